/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * spin.c - look before sleeping: how long, and the looking.
 *
 * To fall asleep and to be woken costs more than many requests take from the
 * other side to be answered.  The kernel shows in mapped memory that something
 * happened (IORING_SQ_TASKRUN, or the tail of the CQ), so a loop may look there
 * as often as it likes without a system call.
 *
 * Traps:
 *
 * a) What is to be submitted must be before the looking begins: a request that
 *    the kernel has not got is not answered.  So a turn that watches, and has
 *    something to submit, enters twice; the second enter runs what the kernel
 *    has deferred.
 * b) Looking is worth it only for events that come soon.  With auto a number of
 *    waits in a row must have been short before it begins, it ends with the
 *    first that was not, and twice as many are wanted after that; half as many
 *    after as many successes as were wanted.  So whoever always pauses in vain
 *    soon looks no more (a partner that needs this very CPU, bursts that end
 *    just when the looking has begun), and whoever talks for long looks nearly
 *    all the time.
 * c) TASKRUN may mean nothing for us: what woke the request has gone again.
 *    Then looking goes on, but not for longer.
 * d) A signal handler may fork, and the child comes back to where we look.  The
 *    queues are not there any more, only the view of them, in which is its
 *    parent's news.  For the child the wait is over, as a signal ends a sleep.
 */
#include "config.h"

#include "spin.h"

#include <errno.h>
#include <evring.h>
#include <time.h>

#include "ring.h"

enum {
	LOOKS = 16, /* between two looks at the clock */
	MIN_WANTED = 8,
	MAX_WANTED = 1024,
	AUTO_LENGTH = 100000
};

/* The largest that evring_set_spin() takes, in seconds. */
static const double MAX_LENGTH = 1.;

/* Not for NaN. */
bool evr_spin_is_valid(double seconds)
{
	return seconds == EVRING_SPIN_AUTO ||
	       (seconds >= 0. && seconds <= MAX_LENGTH);
}

void evr_spin_set(struct evr_spin *spin, double seconds)
{
	spin->is_auto = seconds == EVRING_SPIN_AUTO;
	spin->length = spin->is_auto ? AUTO_LENGTH : (int64_t)(seconds * 1e9);
	spin->nr_short = 0;
	spin->nr_wanted = MIN_WANTED;
}

int64_t evr_spin_next(const struct evr_spin *spin)
{
	if (spin->is_auto && spin->nr_short < spin->nr_wanted)
		return 0;
	return spin->length;
}

static void learn_short(struct evr_spin *spin)
{
	spin->nr_short++;
	if (spin->nr_short < 2 * spin->nr_wanted)
		return;
	if (spin->nr_wanted > MIN_WANTED)
		spin->nr_wanted /= 2;
	spin->nr_short = spin->nr_wanted;
}

static void learn_long(struct evr_spin *spin)
{
	if (spin->nr_short >= spin->nr_wanted && spin->nr_wanted < MAX_WANTED)
		spin->nr_wanted *= 2;
	spin->nr_short = 0;
}

/* A timer that ends a wait early says nothing of events. */
void evr_spin_learn(struct evr_spin *spin, int64_t took, bool has_event)
{
	if (took > spin->length)
		learn_long(spin);
	else if (has_event)
		learn_short(spin);
}

static int64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

/* Tell the CPU that this is a loop which waits. */
static void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__) || (defined(__arm__) && __ARM_ARCH >= 7)
	__asm__ volatile("yield" ::: "memory");
#else
	__asm__ volatile("" ::: "memory");
#endif
}

/* Until there is news, or until then; in a child not at all (trap d). */
static bool watch(const struct evr_ring *ring, int64_t end)
{
	int i;

	do {
		for (i = 0; i < LOOKS; i++) {
			if (evr_ring_view_has_news(ring))
				return true;
			relax();
		}
	} while (evr_ring_is_mapped(ring) && now_ns() < end);
	return false;
}

/* Is there a ring still (trap d), and nothing to take from it? */
static bool is_quiet(const struct evr_ring *ring)
{
	return evr_ring_is_mapped(ring) && !evr_ring_nr_ready(ring);
}

/* Returns 0 or -errno; what there is to take is in the CQ. */
static int submit_and_watch(struct evr_ring *ring, int64_t end)
{
	int r = 0;

	ring->config.stats->spins++;
	if (evr_ring_has_unsent(ring))
		r = evr_ring_submit(ring); /* trap a */
	while (r >= 0 && is_quiet(ring) && watch(ring, end) && is_quiet(ring)) {
		r = evr_ring_submit(ring);
		if (now_ns() >= end)
			break; /* trap c */
	}
	if (evr_ring_is_mapped(ring))
		ring->config.stats->spin_hits += evr_ring_nr_ready(ring) > 0;
	return r;
}

int evr_spin_wait(struct evr_spin *spin, struct evr_ring *ring,
		  int64_t timeout_ns)
{
	int64_t start = now_ns(), length = evr_spin_next(spin),
		left = timeout_ns;
	int r = 0;

	if (length && ring->view) {
		if (length > timeout_ns)
			length = timeout_ns;
		r = submit_and_watch(ring, start + length);
		left -= now_ns() - start;
	}
	if (r >= 0 && is_quiet(ring))
		r = left > 0 ? evr_ring_wait(ring, left) : -ETIME;
	if (spin->is_auto && evr_ring_is_mapped(ring))
		evr_spin_learn(spin, now_ns() - start,
			       evr_ring_nr_ready(ring) > 0);
	return r;
}
