/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * machine.h - one run of a program: two loops, their watchers, and a judge that
 * knows which reports are allowed.
 *
 * The do_ functions are the operations of programs.  differential prints what
 * failed as a sequence of them; such a file is compiled with machine.c and
 * world.c, and its main is replay().
 */
#ifndef MACHINE_H
#define MACHINE_H

#include <ev.h>
#include <evring.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h> /* SHUT_RD and so on */

#include "world.h"

enum { NR_WATCHERS = 10, NR_TIMERS = 2, NR_LOOPS = 2 };

/* In a callback: the watcher that was called, the place that it watches. */
enum { SELF = -1 };

/* What to do: when a watcher is called, in a child, in another thread, while a
   loop waits. */
struct body {
	void (*run)(const void *arg);
	const void *arg;
};

/* Defines one: BODY(name) { ... } */
#define BODY(name)                                                             \
	static void name##_run(const void *arg);                               \
	static const struct body name = { name##_run, NULL };                  \
	static void name##_run(__attribute__((unused)) const void *arg)

/*
 * modes
 */

struct mode {
	const char *name;
	bool is_stock; /* libev alone: the oracle */
	struct evring_config config;
};

extern const struct mode modes[]; /* the first is the oracle */
extern const int nr_modes;

/*
 * traces
 */

enum flaw {
	SPURIOUS = 1 << 0, /* a report of what was not so */
	MISSED = 1 << 1,   /* no report of what was so */
	RESTLESS = 1 << 2, /* did not sleep with nothing to do */
	CHILD_DIED = 1 << 3,
	RING_LOST = 1 << 4,  /* or attach refused */
	OVERSLEPT = 1 << 5,  /* a report came, but late */
	WORLD_LATE = 1 << 6, /* no fault of a loop's: see world_is_late() */
};

struct record {
	uint8_t what; /* enum in machine.c */
	int8_t priority;
	int16_t who;
	int32_t value;
};

enum { MAX_RECORDS = 1500 };

struct trace {
	unsigned flaws;
	int nr;
	struct record records[MAX_RECORDS];

	/* Of evring_stats(): how far the program went. */
	uint64_t handed_over, ring_rebuilds, stale_completions, overflows;
};

enum reason { PASSED, FLAWED, DIFFERENT, CRASHED, HUNG };

/*
 * A trace of the oracle (machine.c, freedom c): did libev itself err?  Then
 * only the judge is heard about other modes.
 */
bool is_free(const struct trace *oracle);

/* PASSED, FLAWED or DIFFERENT. */
enum reason judge_oracle(const struct trace *oracle);
enum reason compare_traces(const struct trace *oracle,
			   const struct trace *trace);

void print_trace(const struct trace *trace);

/*
 * runs
 */

enum program_flags {
	ORDERED = 1 << 0,   /* watchers are called in an order of ours, and may
			       do anything; otherwise only stop themselves */
	FORKCHECK = 1 << 1, /* EVFLAG_FORKCHECK, no ev_loop_fork in children */
	LATE = 1 << 2,	    /* not attached until do_attach() */
};

void run_machine(const struct mode *mode, unsigned flags,
		 const struct body *body, struct trace *ret_trace);

/*
 * Seconds that a run, and a wait with something ready, may take.  Nothing else
 * is judged by time.
 */
struct patience {
	unsigned run;
	double wait;
};

extern struct patience patience;

/*
 * main of a printed program: replay (argc, argv, flags, &body).  Compares the
 * modes named in argv, or all, with the oracle.
 */
int replay(int argc, char **argv, unsigned flags, const struct body *body);

/*
 * operations
 */

void do_open(enum kind kind, int place, int other);
void do_close(int place); /* stops the watchers first, as all do that close */
void do_dup(int place, int to);
void do_swap(int place, int other);
void do_write(int place, int size);
void do_read(int place, int size);
void do_drain(int place);
void do_fill(int place);
void do_shut(int place, int how);

/*
 * There are two loops.  Operations mean the first until do_other(), which goes
 * to the other one (the first time, makes it), and in callbacks the loop that
 * calls, unless the watcher that they name is on the other loop.
 */
void do_other(void);

/* Stops the watcher, if it is active.  body may be NULL. */
void do_start(int watcher, int place, int events, int priority,
	      const struct body *body);
/* Stop and start with nothing changed, if its file is still there. */
void do_restart(int watcher);
void do_modify(int watcher, int events); /* ev_io_modify */
void do_stop(int watcher);
void do_feed(int watcher, int events);
void do_feed_fd(int place, int events);
void do_timer(int timer, const struct body *body); /* after 0 seconds */
void do_timer_stop(int timer);
void do_async(void); /* from another thread */

/*
 * In the next turn, between the release and the acquire callback, where another
 * thread may have the loop: operations on files and watchers, no others.
 */
void do_meanwhile(const struct body *body);

void do_turn(void);  /* may not block */
void do_once(void);  /* may, if something is ready */
void do_sleep(void); /* until something is reported, for a millisecond */

void do_loop_fork(void); /* without a fork */
void do_detach(void);
void do_attach(int form); /* as in modes[form]; 0: in the mode of this run */
void do_destroy(void);	  /* with all that is active, and goes on with a new
			     loop */
void do_fork(const struct body *body); /* waits for the child; not under
					  valgrind */
void do_leave(void);		       /* a child ends without do_destroy() */
void do_move(const struct body *body); /* in another thread, and waits */

#endif
