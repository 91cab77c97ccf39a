/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * spin.h - look before sleeping: a loop that expects an event soon watches its
 * ring for a while, without a system call, before it sleeps in it.
 */
#ifndef EVR_SPIN_H
#define EVR_SPIN_H

#include <stdbool.h>
#include <stdint.h>

struct evr_ring;

/* All zero: never. */
struct evr_spin {
	int64_t length; /* nanoseconds to watch at most; 0: off */

	/* Whether to watch is learned (trap b). */
	bool is_auto;
	unsigned nr_short;  /* waits in a row that were short enough for it */
	unsigned nr_wanted; /* so many are reason enough */
};

/* For evring_set_spin(). */
bool evr_spin_is_valid(double seconds);
void evr_spin_set(struct evr_spin *spin, double seconds);

static inline bool evr_spin_is_on(const struct evr_spin *spin)
{
	return spin->length;
}

/* Nanoseconds to watch before the next sleep. */
int64_t evr_spin_next(const struct evr_spin *spin);

/* A wait took so long, and ended with an event; or without one. */
void evr_spin_learn(struct evr_spin *spin, int64_t took, bool has_event);

/* evr_ring_wait(), but watch first, if the ring has a view. */
int evr_spin_wait(struct evr_spin *spin, struct evr_ring *ring,
		  int64_t timeout_ns);

#endif
