/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * flight.h - the operations of a loop, from start to last event.
 */
#ifndef EVR_FLIGHT_H
#define EVR_FLIGHT_H

#include <ev.h>
#include <evring.h>

#include "layout.h"

enum { EVR_NR_LANES = EV_MAXPRI - EV_MINPRI + 1 };

/* A completion that its operation has not heard of. */
struct evr_record;

/* What is to be heard of at one priority, in the order in which it came. */
struct evr_lane {
	ev_watcher watcher; /* libev's while pending: invoked for the first */
	int first, last;    /* records; -1: none */
};

struct evr_flight {
	struct evr_host host;

	/* Those that the kernel has: the callers', who keep each until its last
	   event. */
	struct evring_op *ops;

	/* Those that wait for something that is not the kernel's. */
	struct evring_op *parked;

	unsigned nr_ops; /* of both */

	struct evr_record *records; /* an array, so that it can grow */
	int nr_records;
	int unused;	    /* the first of those; -1: none */
	unsigned nr_unused; /* at least nr_ops */
	unsigned nr_used;   /* records to be handed out */

	struct evr_lane lanes[EVR_NR_LANES];
};

void evr_flight_init(struct evr_flight *flight, const struct evr_host *host);

/* Nothing is in flight or pending any more. */
void evr_flight_exit(struct evr_flight *flight);

/*
 * Make room for nr completions more, of operations in flight or one that is to
 * be.  Returns how many there is room for, however little memory there is.
 */
unsigned evr_flight_reserve(struct evr_flight *flight, unsigned nr);

/* op, not active, is the kernel's from now on, and keeps the loop alive.  There
   is room for one. */
void evr_flight_start(struct evr_flight *flight, struct evring_op *op);

/* The same, but the kernel is not asked for anything: op waits until it is
   woken, or cancelled with all others. */
void evr_flight_park(struct evr_flight *flight, struct evring_op *op);

/* The last event of a parked op, with res. */
void evr_flight_wake(struct evr_flight *flight, struct evring_op *op, int res);

/* Does the kernel have op?  Is it parked? */
bool evr_flight_has(const struct evring_op *op);
bool evr_flight_is_parked(const struct evring_op *op);

/* Does it have any? */
static inline bool evr_flight_has_any(const struct evr_flight *flight)
{
	return flight->ops != NULL;
}

/* Is any completion still to be heard of? */
static inline bool evr_flight_is_pending(const struct evr_flight *flight)
{
	return flight->nr_used > 0;
}

/*
 * A completion of op: an event when libev invokes what is pending.  There is
 * room.  After the last one the kernel does not have op any more.
 */
void evr_flight_complete(struct evr_flight *flight, struct evring_op *op,
			 int res, unsigned flags, bool is_last);

/* The kernel has none any more: -ECANCELED for those that did not answer, and
   those that are parked. */
void evr_flight_cancel(struct evr_flight *flight);

/* Invoke all that is pending, now: libev will not any more. */
void evr_flight_invoke(struct evr_flight *flight);

#endif
