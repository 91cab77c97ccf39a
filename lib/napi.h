/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * napi.h - NAPI busy polling: while a loop sleeps in its ring, the kernel polls
 * the queues of the NICs that its sockets get their packets from.
 */
#ifndef EVR_NAPI_H
#define EVR_NAPI_H

#include <stdbool.h>
#include <stdint.h>

struct evr_ring;

enum { EVR_NAPI_QUEUES = 32 };

/* All zero: off. */
struct evr_napi {
	unsigned usec; /* to poll at most in a wait; 0: off */
	bool is_due;   /* the ring is to be told (trap b) */

	unsigned ids[EVR_NAPI_QUEUES]; /* of queues that are polled */
	unsigned nr_ids;
	unsigned oldest; /* of these, where all places are taken */
};

/* For evring_set_napi().  The ring hears of it with evr_napi_tell(). */
bool evr_napi_is_valid(double seconds);
void evr_napi_set(struct evr_napi *napi, double seconds);

static inline bool evr_napi_is_on(const struct evr_napi *napi)
{
	return napi->usec;
}

/* The next ring knows nothing; that it was switched off may be untold. */
static inline void evr_napi_forget_ring(struct evr_napi *napi)
{
	napi->is_due |= evr_napi_is_on(napi);
}

/* Is evr_napi_tell() to be called before the next wait? */
static inline bool evr_napi_has_work(const struct evr_napi *napi)
{
	return napi->is_due || evr_napi_is_on(napi);
}

/* Before a wait, with a ring of ours: have it know the time and all queues,
   also those of what is about to be received. */
void evr_napi_tell(struct evr_napi *napi, struct evr_ring *ring);

/* While it is on: a packet came to this fd, if it is a socket. */
void evr_napi_ask(struct evr_napi *napi, struct evr_ring *ring, int fd);

#endif
