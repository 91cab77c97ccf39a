/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * group.h - buffers to receive into, and who waits for one.
 */
#ifndef EVR_GROUP_H
#define EVR_GROUP_H

#include <evring-net.h>

#include "evr.h"

struct evr_poll;

/*
 * Make group known to the ring of poll.  Returns 0; -EBUSY while there are
 * watchers of its last ring, whose buffers may be on their way: wait; or
 * another -errno.
 */
int evr_group_ready(struct evring_group *group, struct evr_poll *poll);

/*
 * The kernel filled buffer i with size bytes; of a bundle, with those that come
 * after it.  They are the caller's now.  flags are the completion's.  Returns
 * the data in the first.
 */
char *evr_group_take(struct evring_group *group, unsigned i, int size,
		     unsigned flags, bool is_bundle);

/*
 * Of what was taken: how many of size bytes are in buffer i, and which one is
 * next, which is to be asked before i is the user's.
 */
int evr_group_share(const struct evring_group *group, unsigned i, int size);
unsigned evr_group_next(const struct evring_group *group, unsigned i);

char *evr_group_data(const struct evring_group *group, unsigned i);

/* There were too few in the ring.  False: there are no more for it. */
bool evr_group_grow(struct evring_group *group);

/* In the plain form: a buffer for a request; -1: there is none. */
int evr_group_pick(struct evring_group *group);

/* Buffer i was the kernel's, or picked, and has nothing in it. */
void evr_group_return(struct evring_group *group, unsigned i);

/*
 * Waiting.  At the front: those that were woken, and others were faster.
 */
enum evr_group_queue { EVR_FRONT, EVR_BACK, EVR_NO_QUEUE };

void evr_group_wait(struct evring_group *group, struct evring_recv *recv,
		    enum evr_group_queue queue);
void evr_group_forget(struct evring_group *group, struct evring_recv *recv);
/* Is no buffer with the kernel, as far as its completions have been told? */
bool evr_group_is_dry(const struct evring_group *group);

bool evr_group_has_waiting(const struct evring_group *group);

/* There is a buffer: the first that waits has an event with 0. */
void evr_group_wake_one(struct evring_group *group);

/* The watchers that have asked the group's ring for something. */
void evr_group_enter(struct evring_group *group);
void evr_group_leave(struct evring_group *group);

#endif
