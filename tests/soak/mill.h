/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mill.h - the loop that mill lives on, and the jobs it does there.
 */
#ifndef MILL_H
#define MILL_H

#include <ev.h>
#include <evring.h>
#include <stdbool.h>
#include <stdint.h>

#include "soak.h"

/* What was done; the jobs count theirs, mill.c the loops. */
enum {
	TURNS,
	ENTERS,
	LOOPS,
	ATTACHES,
	MOVES,
	RINGS_MOVED,
	RINGS_LOST,
	OVERFLOWS,
	TIMERS,
	PERIODICS,
	SIGNALS,
	ASYNCS,
	FORKS,
	EXECS,
	FILES,
	FDS_REUSED,
	SETS,
	NR_TALLIES
};

extern struct tally tallies[NR_TALLIES];

static inline void add(int what, uint64_t nr)
{
	tallies[what].nr += nr;
}

/* The default loop, attached, with watchers of mill.c. */
extern struct ev_loop *mill_loop;

/*
 * evring_attach(), unless --epoll was given; and its end.  What the loop did is
 * counted; rebuilds is how often its ring must have been replaced.
 */
void attach(struct ev_loop *loop, const struct evring_config *config);
void detach(struct ev_loop *loop, unsigned rebuilds);
void destroy(struct ev_loop *loop, unsigned rebuilds);

/* One thread, which gets no signals, runs body (loop) to its end. */
void run_in_thread(void (*body)(struct ev_loop *loop), struct ev_loop *loop);

/* A job does its work to the end, checks it and leaves nothing behind. */
struct job {
	const char *name;
	void (*work)(void);
};

extern const struct job jobs[];
extern const unsigned nr_jobs;

#endif
