/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * side.c - make the kinds of loop that benchmarks compare, and ask them what
 * they are.
 */
#include "side.h"

#include <err.h>
#include <errno.h>
#include <evring.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* clang-format off */
const struct side sides[NR_SIDES] = {
	[SIDE_EPOLL] = { .name = "libev epoll", .backend = EVBACKEND_EPOLL },
	[SIDE_EPOLL_AGAIN] = {
		.name = "libev epoll, again", .backend = EVBACKEND_EPOLL
	},
	[SIDE_REGION] = {
		.name = "evring", .backend = EVBACKEND_EPOLL, .has_ring = true,
		.flags = EVRING_REQUIRE_REGION
	},
	[SIDE_EDGE] = {
		.name = "evring, edge", .backend = EVBACKEND_EPOLL,
		.has_ring = true, .flags = EVRING_REQUIRE_REGION,
		.has_edges = true
	},
	[SIDE_COPIED] = {
		.name = "evring, no region", .backend = EVBACKEND_EPOLL,
		.has_ring = true, .disable = "region"
	},
	[SIDE_POLL] = {
		.name = "evring, no epoll-wait", .backend = EVBACKEND_EPOLL,
		.has_ring = true, .disable = "epoll-wait"
	},
	[SIDE_ENGINE_RING] = {
		.name = "evring, asks the ring", .backend = EVBACKEND_EPOLL,
		.has_ring = true, .engine = "ring", .is_extra = true
	},
	[SIDE_ENGINE_SET] = {
		.name = "evring, asks the set", .backend = EVBACKEND_EPOLL,
		.has_ring = true, .engine = "set", .is_extra = true
	},
	[SIDE_LIBEV_RING] = {
		.name = "libev io_uring", .backend = EVBACKEND_IOURING,
		.may_hang = true
	},
	[SIDE_LIBEV_POLL] = {
		.name = "libev poll", .backend = EVBACKEND_POLL,
		.is_extra = true
	},
	[SIDE_LIBEV_SELECT] = {
		.name = "libev select", .backend = EVBACKEND_SELECT,
		.is_extra = true
	},
	[SIDE_LIBEV_AIO] = {
		.name = "libev linuxaio", .backend = EVBACKEND_LINUXAIO,
		.is_extra = true, .may_hang = true
	},
};
/* clang-format on */

unsigned side_has_extra;
bool side_may_have_edges;

/* The sides that can be had, in order. */
static enum side_idx available[NR_SIDES];
static unsigned nr_available;

/* As evring_loop_new(), with an engine in the environment. */
static struct ev_loop *new_ring_loop(const struct side *side, unsigned flags,
				     const struct evring_config *config)
{
	struct ev_loop *loop;

	if (!side->engine)
		return evring_loop_new(flags, config);
	setenv("EVRING_ENGINE", side->engine, 1);
	loop = evring_loop_new(flags, config);
	unsetenv("EVRING_ENGINE");
	return loop;
}

/* NULL with errno set, and *ret_why to its words, where there is none. */
static struct ev_loop *try_loop(const struct side *side, const char **ret_why)
{
	struct evring_config config = {
		.flags = side->flags,
		.disable = side->disable,
	};
	unsigned flags = side->backend | EVFLAG_NOENV;
	struct ev_loop *loop;

	if (side->has_ring) {
		loop = new_ring_loop(side, flags, &config);
		*ret_why = loop ? NULL : evring_strerror(errno);
	} else {
		loop = ev_loop_new(flags);
		*ret_why = loop ? NULL : "libev refuses this backend";
	}
	return loop;
}

static void try_side(enum side_idx idx)
{
	const char *why;
	struct ev_loop *loop = try_loop(&sides[idx], &why);

	if (!loop) {
		printf("left out: %s: %s\n", sides[idx].name, why);
		return;
	}
	ev_loop_destroy(loop);
	available[nr_available++] = idx;
}

void side_begin(void)
{
	enum side_idx idx;

	printf("evring %s\n", evring_version());
	for (idx = 0; idx < NR_SIDES; idx++) {
		if (sides[idx].has_edges && !side_may_have_edges)
			continue;
		if (side_has_extra || !sides[idx].is_extra)
			try_side(idx);
	}
	if (!side_is_available(SIDE_EPOLL))
		errx(1, "nothing to compare with");
}

bool side_is_available(enum side_idx idx)
{
	unsigned i;

	for (i = 0; i < nr_available; i++) {
		if (available[i] == idx)
			return true;
	}
	return false;
}

unsigned side_count(void)
{
	return nr_available;
}

enum side_idx side_at(unsigned i)
{
	return available[i % nr_available];
}

struct ev_loop *side_loop_new(enum side_idx idx)
{
	const char *why;
	struct ev_loop *loop = try_loop(&sides[idx], &why);

	if (!loop)
		errx(1, "%s: %s", sides[idx].name, why);
	return loop;
}

void side_facts(struct ev_loop *loop, struct side_facts *ret_facts)
{
	struct evring_stats stats;

	memset(ret_facts, 0, sizeof(*ret_facts));
	ret_facts->backend = ev_backend(loop);
	ret_facts->turns = ev_iteration(loop);
	ret_facts->tier = "-";
	if (evring_stats(loop, &stats))
		return;
	if (stats.rings_lost)
		errx(1, "evring lost its ring");
	ret_facts->tier = evring_tier_name(evring_tier(loop));
	ret_facts->enters = stats.enters;
	ret_facts->looks = stats.looks;
	ret_facts->avoided = stats.waits_avoided;
}

void side_facts_add(struct side_facts *sum, const struct side_facts *before,
		    const struct side_facts *after)
{
	sum->backend = after->backend;
	sum->tier = after->tier;
	sum->turns += after->turns - before->turns;
	sum->enters += after->enters - before->enters;
	sum->looks += after->looks - before->looks;
	sum->avoided += after->avoided - before->avoided;
}

const char *side_backend_name(unsigned backend)
{
	switch (backend) {
	case EVBACKEND_EPOLL:
		return "epoll";
	case EVBACKEND_IOURING:
		return "io_uring";
	case EVBACKEND_POLL:
		return "poll";
	case EVBACKEND_SELECT:
		return "select";
	case EVBACKEND_LINUXAIO:
		return "linuxaio";
	default:
		return "other";
	}
}

static enum bench_role side_role(enum side_idx idx)
{
	if (idx == SIDE_EPOLL)
		return BENCH_BASE;
	if (idx == SIDE_EPOLL_AGAIN)
		return BENCH_AGAIN;
	return sides[idx].has_ring ? BENCH_OURS : BENCH_OTHER;
}

void side_name_row(struct bench_row *row, enum side_idx idx,
		   const struct side_facts *facts)
{
	row->side = sides[idx].name;
	row->base_side = sides[SIDE_EPOLL].name;
	row->role = side_role(idx);
	row->backend = side_backend_name(facts->backend);
	row->tier = facts->tier;
}
