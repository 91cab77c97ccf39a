/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ring.h - one io_uring with its wait region: make, submit, wait, reap.
 */
#ifndef EVR_RING_H
#define EVR_RING_H

#include <evring.h>

#include <sys/types.h>

#include "evr.h"
#include "uapi.h"

/* Which step of making a ring failed; see evr_ring_trial(). */
enum evr_ring_step {
	EVR_STEP_SETUP,
	EVR_STEP_REGION,
	EVR_STEP_RESTRICT,
	EVR_STEP_ENABLE,
	EVR_STEP_REGISTER_RING,
	EVR_STEP_ENTER,
	EVR_STEP_DONE
};

struct evr_ring_config {
	unsigned have;	  /* of enum evr_have: what to use */
	unsigned entries; /* of the SQ; the CQ has four times as many */
	bool user_region; /* wait region in our own memory */
	bool restricted;  /* takes no requests but those of readiness */

	/* Counted here, for as long as the ring lives.  The caller's; another
	   ring may go on counting there. */
	struct evring_stats *stats;
};

struct evr_ring {
	struct io_uring uring;
	struct evr_ring_config config;

	/*
	 * The wait region, one page, NULL in the copied tier.  The kernel
	 * reads it during every waiting enter and keeps the page until the
	 * ring is closed, so it is unmapped after that.
	 */
	struct io_uring_reg_wait *region;

	/* In the copied tier: read by the kernel during enter only. */
	struct __kernel_timespec ts;
	struct io_uring_getevents_arg arg;

	bool enabled;	  /* has been entered, or is about to be */
	bool has_worked;  /* an enter succeeded */
	uint64_t process; /* that made the ring */
	uint64_t thread;  /* that made or enabled it; the only one to enter */

	/* How enter names the ring: its fd, or its place in the thread's table
	   with IORING_ENTER_REGISTERED_RING in enter_flags. */
	int enter_fd;
	unsigned enter_flags; /* in every enter */
	unsigned wait_flags;  /* besides, in one that may sleep */

	/*
	 * The queues once more, to look at only, NULL but between
	 * evr_ring_open_view() and evr_ring_close_view(): unlike the others
	 * this mapping is also in a forked child, because a signal handler may
	 * fork while we look.
	 */
	const char *view;

	/*
	 * When the ring fd is closed, its number becomes another name of this
	 * one; -1: nobody's, also where that failed.  The caller's, who keeps
	 * it until then.
	 */
	int stand_in;

	int guard;	   /* a pipe that ends with the ring, -1: none; */
	ino_t guard_inode; /* in case the program closes it (trap g) */
};

/*
 * Make a ring, disabled, with its region.  On failure there is nothing to
 * clean up.
 *
 * Returns 0 or -errno.  -ENOMEM: try with fewer entries.
 */
int evr_ring_init(struct evr_ring *ring, const struct evr_ring_config *config);

/*
 * Make a small ring with all of have, wait on it once, and close it.  Sets
 * *ret_step to the step that failed (EVR_STEP_DONE if none did) and on success
 * *ret_seen to those of have that this kernel lists.
 */
int evr_ring_trial(const struct evr_ring_config *config,
		   enum evr_ring_step *ret_step, unsigned *ret_seen);

/*
 * Make a small ring of config.have, and wait on it with min_us for more than
 * what comes after a millisecond, which is therefore to end the wait.
 *
 * Returns 1 if it did; 2 if the wait went on for what comes after 20
 * milliseconds; 0 if it was interrupted before; or -errno.
 */
int evr_ring_try_min_wait(const struct evr_ring_config *config,
			  unsigned min_us);

/*
 * Prepare a ring of ours for evr_ring_exit_and_wait(): for requests that name
 * memory.  Makes a table of nr_files fixed files, all empty, and one more of
 * our own; takes one fd.  Returns 0 or -errno.
 */
int evr_ring_guard(struct evr_ring *ring, unsigned nr_files);
bool evr_ring_is_guarded(const struct evr_ring *ring);

/*
 * Close the ring, from whatever process or thread.  Ends all requests.  In a
 * forked child it does not touch what is the parent's.
 */
void evr_ring_exit(struct evr_ring *ring);

/*
 * The same for a guarded ring, and return only when the kernel has let go of
 * all memory that requests named.  (A forked child that has a copy of the ring
 * fd keeps it from doing so.)
 */
void evr_ring_exit_and_wait(struct evr_ring *ring);

/* Have the next enter cancel all requests.  The answer has user_data.  Returns
   0, or -EAGAIN if the kernel takes no SQE. */
int evr_ring_cancel_all(struct evr_ring *ring, uint64_t user_data);

/* Is the memory of the ring there?  Not in a forked child. */
bool evr_ring_is_mapped(const struct evr_ring *ring);

/* May this process and thread use the ring? */
bool evr_ring_is_ours(const struct evr_ring *ring);

/*
 * An SQE to fill, cleared.  When the SQ is full it is submitted first, without
 * letting the kernel finish anything.  Returns NULL if the kernel takes none.
 */
struct io_uring_sqe *evr_ring_get_sqe(struct evr_ring *ring);

/*
 * See to it that the next nr SQEs are submitted together, if nothing else is
 * submitted before.  Returns 0, -E2BIG if the SQ has no such room, or -errno.
 */
int evr_ring_reserve(struct evr_ring *ring, unsigned nr);

/* How many SQEs there are before the SQ is full. */
unsigned evr_ring_space(const struct evr_ring *ring);

/* Which slot of the SQ this is: 0 to evr_ring_entries() - 1. */
unsigned evr_ring_sqe_index(const struct evr_ring *ring,
			    const struct io_uring_sqe *sqe);
unsigned evr_ring_entries(const struct evr_ring *ring);

/*
 * Submit what was filled and sleep until there is a completion, a signal
 * handler ran, or timeout_ns nanoseconds (0 or more) are over.
 *
 * Returns 0, -ETIME, -EINTR, or another -errno.  0 does not say that there is a
 * completion: what a wait returns is hidden when something was submitted.
 */
int evr_ring_wait(struct evr_ring *ring, int64_t timeout_ns);

/*
 * The same, but what comes within the first min_ns, as far as timeout_ns allows
 * them, does not end the wait before they are over; unless there are nr
 * completions (0: as many as the CQ has room for).  Where evr_probe_min_wait()
 * says so only.
 */
int evr_ring_collect(struct evr_ring *ring, int64_t timeout_ns, int64_t min_ns,
		     unsigned nr);

/*
 * Submit what was filled and let the kernel finish what it has deferred,
 * without sleeping.
 */
int evr_ring_submit(struct evr_ring *ring);

/* For evr_ring_view_has_news().  Returns 0 or -errno. */
int evr_ring_open_view(struct evr_ring *ring);
void evr_ring_close_view(struct evr_ring *ring);

/*
 * evr_ring_has_news(), for looking again and again.  In a child that a signal
 * handler forks meanwhile it says what the parent sees, and does no harm.
 */
bool evr_ring_view_has_news(const struct evr_ring *ring);

/* Submit what was filled, and no more. */
int evr_ring_flush(struct evr_ring *ring);

/*
 * Send a message to the ring with this fd, from any thread: a completion with
 * user_data.  Linux 6.13.  Returns 0 or -errno: -EBADFD also for a ring that
 * was not entered yet.
 */
int evr_ring_send(int ring_fd, uint64_t user_data);

/* Is anything filled and not yet submitted? */
bool evr_ring_has_unsent(const struct evr_ring *ring);

/* The one of these that has user_data, to be changed or not; or NULL. */
struct io_uring_sqe *evr_ring_find_unsent(const struct evr_ring *ring,
					  uint64_t user_data);

/*
 * Return when no request with user_data is under way any more.  One that the
 * kernel had not begun is cancelled, and answers -ECANCELED.  Linux 6.0.
 *
 * Returns 0 if none was; 1 if one was, which may have been cancelled; or -errno
 * if that cannot be known.
 */
int evr_ring_finish(const struct evr_ring *ring, uint64_t user_data);

/*
 * The same where io_uring_register() is refused, by requests that cancel.  Each
 * leaves a completion, of user_data answer.  Not if something is to be
 * submitted first, and not for ever: then -EBUSY or -EALREADY.
 */
int evr_ring_finish_by_requests(struct evr_ring *ring, uint64_t user_data,
				uint64_t answer);

/* The i-th of what is filled and not yet submitted, from 0; or NULL. */
const struct io_uring_sqe *evr_ring_unsent(const struct evr_ring *ring,
					   unsigned i);

/* io_uring_register() with one argument, for a ring of ours. */
int evr_ring_register(const struct evr_ring *ring, unsigned opcode, void *arg);

/* Are there completions, or work that an enter would make into some? */
bool evr_ring_has_news(const struct evr_ring *ring);

/* Were completions put aside because the CQ was full? */
bool evr_ring_has_overflown(const struct evr_ring *ring);

/* How many completions are in the CQ. */
unsigned evr_ring_nr_ready(const struct evr_ring *ring);

/*
 * Hand the first max completions in the CQ, and those that come meanwhile, to
 * complete (arg, user_data, res, flags), in order.  complete may take SQEs.
 * Returns how many there were.
 */
typedef void evr_ring_complete(void *arg, uint64_t user_data, int res,
			       unsigned flags);
unsigned evr_ring_reap(struct evr_ring *ring, unsigned max,
		       evr_ring_complete *complete, void *arg);

/*
 * Take what was filled and not yet submitted out of the SQ: call each (arg,
 * user_data) for it, which returns whether it is to stay, and takes no SQEs.
 */
void evr_ring_take_back(struct evr_ring *ring,
			bool (*each)(void *arg, uint64_t user_data), void *arg);

#endif
