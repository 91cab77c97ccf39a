/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * conform.c - an attached loop is a libev loop: the same scenarios on stock
 * libev and on evring in every form it can take.
 *
 * The first row of modes[] in conform/scene.c is libev's own epoll backend.  It
 * is the oracle: a promise that it does not keep is not one.  Every other row
 * makes evring wait in another way, and must not differ.  So no scenario asks
 * which mode it is in, except where evring promises more than libev: exact
 * timers, turns without a system call, an idle loop that stays idle.
 *
 * The scenarios are in conform/, in the order of the contract in DESIGN.md.
 */
#include "config.h"

#include "conform/scene.h"

/* Each in every mode, unless it sees to that itself. */
static void add_to(TCase *tcase, const struct scenario *scenario)
{
	int nr_runs = scenario->nr_rows * nr_runnable;

	tcase_add_loop_test(tcase, scenario->test, 0, nr_runs ? nr_runs : 1);
}

Suite *make_suite(void)
{
	Suite *suite = suite_create("conform");
	const char *group = "";
	TCase *tcase = NULL;
	int i;

	unsetenv("EVRING_DISABLE");
	find_runnable();
	add_all_scenarios();
	for (i = 0; i < nr_scenarios; i++) {
		if (strcmp(scenarios[i].group, group)) {
			group = scenarios[i].group;
			tcase = tcase_create(group);
			tcase_set_timeout(tcase, 20);
			suite_add_tcase(suite, tcase);
		}
		add_to(tcase, &scenarios[i]);
	}
	return suite;
}
