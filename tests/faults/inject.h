/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * inject.h - faults for the library: what it calls fails at the n-th time.
 *
 * The library is compiled once more with calls.h in front.  An armed fault and
 * its counters are inherited by forked children, which go on counting for
 * themselves.
 */
#ifndef INJECT_H
#define INJECT_H

#include <stdbool.h>

enum site {
	ENTER,	  /* any enter of a ring */
	WAIT,	  /* those that may sleep */
	REAP,	  /* those that take completions; all there are get lost */
	SUBMIT,	  /* those with more than one request: half are taken */
	SETUP,	  /* io_uring_setup, by liburing */
	DONTFORK, /* io_uring_ring_dontfork */
	REGION,	  /* registration of the wait region */
	ENABLE,	  /* of a ring */
	REGISTER, /* the rest: the ring fd, in and out */
	FILES,	  /* a table of fixed files */
	BUFFERS,  /* a ring of provided buffers */
	FDS,	  /* pipe, eventfd */
	MAP,	  /* mmap */
	ADVISE,	  /* madvise */
	MEMORY,	  /* malloc, calloc, realloc */
	SMALL,	  /* no failure: rings have room for one completion */
	NR_SITES
};

/* What becomes of a loop whose ring worked before. */
enum outcome {
	UNHURT,
	HANDED_OVER, /* libev's backend had a turn */
	REBUILT,     /* a new ring */
	LOST,	     /* libev's backend has the loop */
	UNTOLD	     /* only watchers of ours see it: told.c has none */
};

struct fault {
	const char *name;
	enum site site;
	int error;	  /* errno */
	bool is_for_ever; /* from the n-th time on; otherwise once */
	enum outcome becomes;
};

/* From now on the nth call (1 is the next) at the site of fault fails. */
void inject(const struct fault *fault, int nth);

/* No more.  Returns how often it failed. */
int stop_injecting(void);
int nr_injected(void);

/* The scenario that looks whether evring_stats() tells so: told.c. */
struct scenario tell(const struct fault *fault);

/* How many pieces of memory the library holds. */
int nr_live_pieces(void);

#endif
