/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * side.h - the kinds of loop that benchmarks compare.
 *
 * Each is a row of sides[]; the first is libev on epoll, with which the others
 * are compared.  The second is the same: its ratio to the first would be 1 on a
 * machine without noise, and says which differences of the others mean nothing.
 * Libev's older backends, and evring made to ask one way only, are there if
 * they are asked for.  What this machine
 * cannot make is left out, with a line that says why; and
 * beside each figure stands what the loop itself says it is, so that epoll is
 * never measured under another name.
 */
#ifndef SIDE_H
#define SIDE_H

#include "row.h"

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

enum side_idx {
	SIDE_EPOLL,
	SIDE_EPOLL_AGAIN,
	SIDE_REGION,
	SIDE_EDGE,
	SIDE_COPIED,
	SIDE_POLL,
	SIDE_ENGINE_RING,
	SIDE_ENGINE_SET,
	SIDE_LIBEV_RING,
	SIDE_LIBEV_POLL,
	SIDE_LIBEV_SELECT,
	SIDE_LIBEV_AIO,
	NR_SIDES
};

struct side {
	const char *name;
	unsigned backend;    /* libev's */
	bool has_ring;	     /* evring is attached */
	unsigned flags;	     /* for evring_config */
	const char *disable; /* for evring_config */
	const char *engine;  /* EVRING_ENGINE; NULL: as it is */
	bool has_edges;	     /* the program marks its watchers */
	bool is_extra;	     /* left alone unless side_has_extra */
	bool may_hang;	     /* has been seen to, or is little used */
};

extern const struct side sides[NR_SIDES];

/* For an option of the program: try those that are extra, too. */
extern unsigned side_has_extra;

/* Before side_begin(), by a program that marks watchers as has_edges says. */
extern bool side_may_have_edges;

/* What a loop is and did; zero where it cannot be known. */
struct side_facts {
	unsigned backend; /* ev_backend() */
	const char *tier; /* "-" without evring; constant */
	uint64_t turns;	  /* since the loop was made */
	uint64_t enters;  /* calls of io_uring_enter by evring */
	uint64_t looks;	  /* and of epoll_wait */
	uint64_t avoided; /* turns of evring without a system call */
};

/* Try all sides once, and print a line for each that cannot be had. */
void side_begin(void);

bool side_is_available(enum side_idx idx);

/*
 * How many sides there are, and the i-th of them, counted around in a circle:
 * side_at(round + i) lets every side be the first at times.
 */
unsigned side_count(void);
enum side_idx side_at(unsigned i);

/* A loop of this kind, which must be available; never NULL. */
struct ev_loop *side_loop_new(enum side_idx idx);

void side_facts(struct ev_loop *loop, struct side_facts *ret_facts);

/* Add what happened from one call of side_facts() to a later one. */
void side_facts_add(struct side_facts *sum, const struct side_facts *before,
		    const struct side_facts *after);

/* "epoll", "io_uring", ..., or "other". */
const char *side_backend_name(unsigned backend);

/* Name the side in row, its part, and what it said that it is. */
void side_name_row(struct bench_row *row, enum side_idx idx,
		   const struct side_facts *facts);

#endif
