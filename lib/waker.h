/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * waker.h - how other threads wake a loop that sleeps in its ring.
 */
#ifndef EVR_WAKER_H
#define EVR_WAKER_H

#include "evr.h"

struct evr_waker;

/*
 * Make a waker for the ring with this fd: have is what to use, wakes are
 * completions with user_data.  The caller's until evr_waker_retire().  Takes an
 * fd.
 *
 * Returns 0, -ENOMEM, -EMFILE or -ENFILE.
 */
int evr_waker_new(struct evr_waker **ret_waker, int ring_fd, unsigned have,
		  uint64_t user_data);

/*
 * The other way to wake, where no message can be sent to the ring: an eventfd,
 * on which the ring has a poll request.  Also what is to take the number of the
 * ring fd when the ring is closed.
 */
int evr_waker_event_fd(const struct evr_waker *waker);

/* The poll request was answered: it can be made again. */
void evr_waker_heard(struct evr_waker *waker);

/*
 * The ring is closed.  has_number: the number of its fd was not, but is another
 * name of evr_waker_event_fd().  In whatever process.
 */
void evr_waker_retire(struct evr_waker *waker, bool has_number);

/*
 * For any thread.  What was a waker once is always one, but may wake another
 * loop, for nothing.  From a successful get to put it is of the same ring, and
 * the number of its fd does not become another file's.
 */
bool evr_waker_get(struct evr_waker *waker);
void evr_waker_put(struct evr_waker *waker);

/* Between these: wake the loop. */
void evr_waker_wake(const struct evr_waker *waker);

/* The same, though no message can be sent. */
void evr_waker_wake_by_event(const struct evr_waker *waker);

/* How to wake by a request of another ring. */
bool evr_waker_takes_messages(const struct evr_waker *waker);
int evr_waker_ring_fd(const struct evr_waker *waker);
uint64_t evr_waker_user_data(const struct evr_waker *waker);

/* A number for it, and what is behind that number, or NULL. */
unsigned evr_waker_idx(const struct evr_waker *waker);
struct evr_waker *evr_waker_at(unsigned idx);

#endif
