/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * conform/all.c - the list of scenarios.
 */
#include "config.h"

#include "scene.h"

#include <assert.h>

struct scenario scenarios[MAX_SCENARIOS];
int nr_scenarios;

void add_rows(const char *group, const TTest *test, size_t nr_rows)
{
	assert(nr_scenarios < MAX_SCENARIOS);
	scenarios[nr_scenarios++] =
		(struct scenario){ group, test, (int)nr_rows };
}

void add_scenario(const char *group, const TTest *test)
{
	add_rows(group, test, 1);
}

void add_once(const char *group, const TTest *test)
{
	add_rows(group, test, 0);
}

/* In the order of the contract. */
void add_all_scenarios(void)
{
	add_readiness();
	add_reuse();
	add_closing();
	add_kinds();
	add_peers();
	add_idle();
	add_timers();
	add_collecting();
	add_watchers();
	add_wakers();
	add_loops();
	add_forks();
	add_threads();
	add_attaching();
	add_many();
	add_operations();
	add_sockets();
}
