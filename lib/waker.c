/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * waker.c - how other threads wake a loop that sleeps in its ring.
 *
 * A message to the ring (MSG_RING) is a completion there, so it ends the wait.
 * Where the kernel has no messages, or refuses one (no memory, a ring that was
 * not entered yet), there is an eventfd that the ring polls.
 *
 * What to know:
 *
 * a) A message is sent to an fd, that is, to a number.  The ring may be closed
 *    at any time, and the number be another file by then: even another ring, of
 *    somebody who is not prepared for messages.  A sender cannot be waited for:
 *    it may be a request in the ring of a loop that does not run.
 * b) After a fork the parent's senders are not there, but what they held is
 *    still held.
 *
 * So there is a count of who may use the numbers: the ring, and each sender
 * from get to put.  When the ring is closed and senders are left, its number
 * becomes another name of the eventfd (dup2 does it at once), to which messages
 * cannot be sent.  The last one to leave closes the numbers.
 *
 * A sender may come late, with a waker that is long gone.  Therefore wakers are
 * never freed, they are used again, for rings of other loops of ours; these are
 * woken for nothing, which is no harm.
 *
 * States by refs, and the function that moves it:
 *
 *   0      -> MAKING  [take_unused_waker]
 *   MAKING -> 1       [evr_waker_new]
 *   n      -> n + 1   [evr_waker_get]   unless it is 0 or MAKING
 *   n      -> n - 1   [evr_waker_put, evr_waker_retire]
 *
 * Invariants:
 *
 * (1) While refs is 1 or more, nothing but has_number is written, and that by
 *     the ring's owner only.
 * (2) A waker of another process is not used, and its numbers are not closed
 *     but by the owner of the ring, who has a copy of them.
 */
#include "config.h"

#include "waker.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "ring.h"
#include "self.h"

enum { MAKING = -1 };

struct evr_waker {
	_Atomic int refs;
	unsigned idx;		/* never changes */
	struct evr_waker *next; /* never changes once in the list */
	uint64_t process;	/* whose numbers these are */
	int ring_fd, event_fd;
	bool has_number; /* ring_fd is to be closed with event_fd */
	unsigned have;
	uint64_t user_data;
};

static struct evr_waker *_Atomic wakers;
static _Atomic unsigned nr_wakers;

static struct evr_waker *take_unused_waker(void)
{
	struct evr_waker *waker;
	int none;

	for (waker = atomic_load(&wakers); waker; waker = waker->next) {
		none = 0;
		if (atomic_compare_exchange_strong(&waker->refs, &none, MAKING))
			return waker;
	}
	waker = calloc(1, sizeof(*waker));
	if (!waker)
		return NULL;
	atomic_init(&waker->refs, MAKING);
	waker->idx = atomic_fetch_add(&nr_wakers, 1);
	waker->next = atomic_load(&wakers);
	while (!atomic_compare_exchange_weak(&wakers, &waker->next, waker))
		;
	return waker;
}

int evr_waker_new(struct evr_waker **ret_waker, int ring_fd, unsigned have,
		  uint64_t user_data)
{
	struct evr_waker *waker;
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	if (fd < 0)
		return -errno;
	waker = take_unused_waker();
	if (!waker) {
		close(fd);
		return -ENOMEM;
	}
	waker->process = evr_process_id();
	waker->ring_fd = ring_fd;
	waker->event_fd = fd;
	waker->has_number = false;
	waker->have = have;
	waker->user_data = user_data;
	atomic_store(&waker->refs, 1);
	*ret_waker = waker;
	return 0;
}

static bool is_of_this_process(const struct evr_waker *waker)
{
	return waker->process == evr_process_id();
}

bool evr_waker_get(struct evr_waker *waker)
{
	int refs = atomic_load(&waker->refs);

	do {
		if (refs <= 0)
			return false;
	} while (!atomic_compare_exchange_weak(&waker->refs, &refs, refs + 1));
	if (evr_likely(is_of_this_process(waker)))
		return true;
	evr_waker_put(waker);
	return false;
}

/* The last one: nobody can come any more.  0 is written last, because then it
   is anybody's. */
static void close_numbers(struct evr_waker *waker)
{
	if (waker->has_number)
		close(waker->ring_fd);
	close(waker->event_fd);
}

void evr_waker_put(struct evr_waker *waker)
{
	int refs = atomic_load(&waker->refs);
	int left;

	do {
		assert(refs > 0);
		left = refs == 1 ? MAKING : refs - 1;
	} while (!atomic_compare_exchange_weak(&waker->refs, &refs, left));
	if (left != MAKING)
		return;
	close_numbers(waker);
	atomic_store(&waker->refs, 0);
}

/* In a child it stays as it is for ever: somebody may seem to hold it. */
void evr_waker_retire(struct evr_waker *waker, bool has_number)
{
	if (!is_of_this_process(waker)) {
		close(waker->event_fd);
		return;
	}
	waker->has_number = has_number;
	evr_waker_put(waker);
}

int evr_waker_event_fd(const struct evr_waker *waker)
{
	return waker->event_fd;
}

void evr_waker_heard(struct evr_waker *waker)
{
	uint64_t times;

	(void)!read(waker->event_fd, &times, sizeof(times));
}

void evr_waker_wake_by_event(const struct evr_waker *waker)
{
	static const uint64_t once = 1;

	(void)!write(waker->event_fd, &once, sizeof(once));
}

void evr_waker_wake(const struct evr_waker *waker)
{
	if (waker->have & EVR_HAVE_SYNC_MSG &&
	    evr_ring_send(waker->ring_fd, waker->user_data) >= 0)
		return;
	evr_waker_wake_by_event(waker);
}

bool evr_waker_takes_messages(const struct evr_waker *waker)
{
	return waker->have & EVR_HAVE_MSG_RING;
}

int evr_waker_ring_fd(const struct evr_waker *waker)
{
	return waker->ring_fd;
}

uint64_t evr_waker_user_data(const struct evr_waker *waker)
{
	return waker->user_data;
}

unsigned evr_waker_idx(const struct evr_waker *waker)
{
	return waker->idx;
}

struct evr_waker *evr_waker_at(unsigned idx)
{
	struct evr_waker *waker;

	for (waker = atomic_load(&wakers); waker; waker = waker->next)
		if (waker->idx == idx)
			return waker;
	return NULL;
}
