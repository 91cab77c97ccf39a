/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * evring.h - libev on io_uring: loops and operations.  Watchers for sockets,
 * and messages between threads, are in evring-net.h.
 *
 * Conventions
 *
 * Return values.  0 or more is success, a negative errno value is failure;
 * errno itself is left alone.  Functions that return a loop, an entry or a ring
 * return NULL on failure and set errno.  evring_strerror() puts every failure
 * of this interface into words: what was refused, by whom, and what to do.
 *
 * Threads.  A loop belongs to one thread at a time, as in libev.  Every
 * function that takes a loop is called by the thread that owns the loop at
 * that moment.  Different loops may be used by different threads at once.  The
 * ring is made by evring_attach() and bound to a thread when that thread first
 * runs the loop; when another thread runs it later, the ring is made anew.
 * Handing a loop on needs an order of the program's own (a mutex, a join).
 * While a loop is in ev_run(), these functions may be called from its callbacks
 * only: the lock of libev's release and acquire callbacks is not enough.
 *
 * fork.  A child that does not touch an inherited loop does nothing and changes
 * nothing of the parent's.  A child that runs or destroys it follows libev's
 * rules (ev_loop_fork or EVFLAG_FORKCHECK) and gets a ring of its own.
 *
 * What is not changed.  Watchers, callbacks, ev_backend() (it says
 * EVBACKEND_EPOLL, whose behaviour the loop keeps), userdata, release, acquire
 * and invoke callbacks.  Timers become exact: libev rounds waits on epoll up to
 * a millisecond, an attached loop does not.  One more difference: an attached
 * loop has a cleanup watcher, ours, and libev invokes what is pending when it
 * destroys a loop that has one.
 *
 * Growth.  Structures that cross this interface have reserved members.  Those
 * passed in must be all zero where not set, so that a program built today
 * means the same to a later library; for watchers their init functions see to
 * it.
 */
#ifndef EVRING_H
#define EVRING_H

#include <stdint.h>

#define EVRING_VERSION_MAJOR 0
#define EVRING_VERSION_MINOR 1
#define EVRING_VERSION_PATCH 0

#ifdef __cplusplus
extern "C" {
#endif

struct ev_loop; /* libev's */

/* What the kernel lets a loop do, from least to most. */
enum evring_tier {
	EVRING_TIER_NONE = 0,	/* not attached: libev's own backend waits */
	EVRING_TIER_COPIED = 1, /* Linux 5.11: wait arguments are copied */
	EVRING_TIER_REGION = 2 /* Linux 6.13: wait arguments by region offset */
};

/* For evring_config.flags. */
enum evring_flags {
	/*
	 * Refuse less than the region tier: attach fails with -ENODEV where it
	 * would otherwise get the copied tier.
	 */
	EVRING_REQUIRE_REGION = 1u << 0,

	/*
	 * Keep the wait arguments in memory of this process
	 * (IORING_MEM_REGION_TYPE_USER) and not in memory that the kernel
	 * allocates (Linux 6.14; before, it is always ours).  Nothing else
	 * differs.  Without meaning in the copied tier.
	 */
	EVRING_USER_REGION = 1u << 1,

	/*
	 * Only for evring_loop_new() and evring_default_loop(): a loop without
	 * a ring is acceptable.  Ask evring_tier() what it became.
	 */
	EVRING_ALLOW_NONE = 1u << 2,

	/*
	 * Attached on behalf of a program that may not know of it, as `evring
	 * run` does: a later evring_attach() takes the place of this one
	 * instead of failing with -EBUSY, counts where this one did unless it
	 * names another place, spins and polls NICs as this one did unless it
	 * names times of its own, and is restricted if this one was.
	 */
	EVRING_GIVE_WAY = 1u << 3,

	/*
	 * For a loop that has watchers and messages, and no operations: its
	 * ring accepts only the requests that evring makes for these, and the
	 * kernel refuses all others, from whatever code in this process, with
	 * EACCES.  So do evring_op_start() and the watchers of evring-net.h
	 * that are made of it, evring_reserve(), evring_set_files() and
	 * evring_ring().  It holds as long as the loop is attached, also when
	 * the ring is made anew.  Attach fails with -ENODEV where the kernel
	 * has no restrictions (Linux 5.10), or restrict is disabled.
	 */
	EVRING_RESTRICT = 1u << 4
};

/*
 * What a loop did since it was attached.  Counting costs an increment each and
 * is always on.
 */
struct evring_stats {
	uint64_t turns;		  /* times libev asked us for events */
	uint64_t enters;	  /* calls of io_uring_enter */
	uint64_t waits_by_offset; /* of these, waited by region offset */
	uint64_t waits_copied;	  /* of these, waited with a copied argument */
	uint64_t waits_avoided;	  /* turns that needed no system call */
	uint64_t requests;	  /* given to the kernel */
	uint64_t completions;	  /* taken from the kernel */
	uint64_t events;	  /* fds reported ready to libev */
	uint64_t stale_completions; /* dropped: about something gone by then */
	uint64_t overflows;	    /* turns that found the CQ overflown */
	uint64_t handed_over; /* given to libev's own backend: changes and turns
				 that the kernel refused, or we do not judge */
	uint64_t ring_rebuilds; /* after fork, a move between threads, loss */
	uint64_t rings_lost;	/* 1: the loop went back to libev's backend */
	uint64_t ops;		/* operations started */
	uint64_t op_events;	/* what the kernel answered to these: less than
				   the events where a ring went with them */
	uint64_t looks;		/* calls of epoll_wait, without libev's own */
	uint64_t spins;		/* waits that began with watching */
	uint64_t spin_hits;	/* of these, ended by it: without a sleep */
	uint64_t napi_queues;	/* of NICs that are polled now: a level, not a
				   count; see evring_set_napi() */
	uint64_t restricted;	/* 1: EVRING_RESTRICT, while there is a ring */
	uint64_t reserved[12];
};

/*
 * How a loop is attached.  All zero means the defaults, so does NULL in place
 * of a pointer to it.  It is read during the call only, disable included,
 * but for the memory that stats points to.
 */
struct evring_config {
	unsigned flags; /* EVRING_*, or'ed */

	/*
	 * Submission queue entries, 0 for the default of 128, at most 32768;
	 * rounded up to a power of two.  The completion queue has four times
	 * as many.  A smaller ring is made where RLIMIT_MEMLOCK allows no
	 * more.
	 */
	unsigned entries;

	/*
	 * Names of kernel features to leave unused, separated by commas, as
	 * in the environment variable EVRING_DISABLE; both apply.  NULL for
	 * none.  A name that is not known fails here with -EINVAL, and is
	 * ignored in the environment.
	 */
	const char *disable;

	/*
	 * Where to count, zeroed by attach; NULL for memory of the
	 * library's own.  It is the caller's, who keeps it until the loop is
	 * detached or destroyed.  Where a pointer has 64 bits each member is
	 * written whole, so that another thread, or another process if the
	 * memory is shared, may read them at any time.
	 */
	struct evring_stats *stats;

	double spin; /* as evring_set_spin(); 0: off */
	double napi; /* as evring_set_napi(); 0: off */

	uint64_t reserved[10];
};

/*
 * Let evring do the waiting for loop.
 *
 * May be called before or after watchers are started, also from a callback of
 * the loop, but not from its release or acquire callbacks.  Takes no ownership
 * of loop; the ring goes away with evring_detach() or ev_loop_destroy().  (A
 * program whose ev_set_invoke_pending_cb() callback may invoke nothing calls
 * evring_detach() first: the cleanup watcher must be invoked.)  Uses one file
 * descriptor.
 *
 * Returns 0; or, with loop as it was (or on its own backend, if an attachment
 * with EVRING_GIVE_WAY was to be replaced):
 *   -EINVAL      loop is NULL, or config has an unknown flag, a field out of
 *                range, an unknown name in disable, or a reserved field set
 *   -EBUSY       loop is attached already, not with EVRING_GIVE_WAY
 *   -ENOTSUP     the layout of this libev could not be proven, or loop does not
 *                use libev's epoll backend; or config has napi, and
 *                evring_set_napi() would say so
 *   -ENODEV      EVRING_REQUIRE_REGION or EVRING_RESTRICT, and this is not to
 *                be had here
 *   -ENOSYS      no io_uring: a kernel before 5.11, or seccomp says so
 *   -EPERM       io_uring is forbidden: sysctl kernel.io_uring_disabled, or
 *                seccomp
 *   -EACCES      io_uring is forbidden by a security module
 *   -EMFILE, -ENFILE  no file descriptor left
 *   -ENOMEM      no memory, or RLIMIT_MEMLOCK reached even by a small ring
 */
int evring_attach(struct ev_loop *loop, const struct evring_config *config);

/*
 * Give loop back to its own backend.  All watchers stay as they are and nothing
 * is lost.  Same rules for the caller as evring_attach().
 *
 * Returns 0, or -EINVAL when loop is NULL or not attached.
 */
int evring_detach(struct ev_loop *loop);

/*
 * Make a loop as ev_loop_new (flags) does, and attach it.  flags are libev's;
 * the epoll backend is asked for when they name none.  ev_loop_destroy() ends
 * it.
 *
 * Returns the loop; or NULL with errno set to what evring_attach() would have
 * returned (positive), or to ENOMEM when libev made no loop.  With
 * EVRING_ALLOW_NONE in config a loop that could not be attached is returned as
 * it is.
 */
struct ev_loop *evring_loop_new(unsigned flags,
				const struct evring_config *config);

/*
 * The same for the default loop: ev_default_loop (flags), then attach.  A
 * default loop that is attached (not with EVRING_GIVE_WAY) is returned
 * unchanged, config unread; one that lost its ring is attached again.
 * When attach is refused, a default loop which this call made is destroyed
 * again; one that existed is left alone.
 */
struct ev_loop *evring_default_loop(unsigned flags,
				    const struct evring_config *config);

/* What loop got.  EVRING_TIER_NONE for a loop that is not attached, or NULL. */
enum evring_tier evring_tier(struct ev_loop *loop);

/* "none", "copied" or "region". */
const char *evring_tier_name(enum evring_tier tier);

/*
 * Copy the counters of loop to *ret_stats.
 *
 * Returns 0, or -EINVAL when loop or ret_stats is NULL or loop is not attached.
 */
int evring_stats(struct ev_loop *loop, struct evring_stats *ret_stats);

/*
 * Let events come together: turns of loop that block are at least seconds
 * apart, from the end of one wait to the end of the next, and report all that
 * came meanwhile.  As ev_set_io_collect_interval (loop, seconds) does, but it
 * is the wait itself that is long enough, so that a loop with nothing to do
 * sleeps and wakes once.  Timers stay exact, and turns that may not block do
 * not.  A signal handler of this thread ends the interval.  Within a turn the
 * order is libev's: who waited longest may be the last to be told.
 *
 * events: so many completions are enough to end the interval before.  Readiness
 * of fds, however many, is one completion, so 1 switches off.  0: no number is
 * enough.  seconds is at most 4294; 0 switches off.
 *
 * It holds until the loop is detached, destroyed or loses its ring, also when
 * the ring is made anew.  May be called at any time from outside the release
 * and acquire callbacks.  The first call in a process that switches on tries
 * what the kernel does: some 2 ms, and 60 where it does it wrong.
 *
 * Returns 0, or, with everything as it was:
 *   -EINVAL   loop is NULL or not attached, or has lost its ring; or seconds is
 *             negative, not a number, or too large
 *   -ENOTSUP  nothing to collect with here: Linux before 6.12, or one up to
 *             6.18.0 whose min-wait has a defect (a completion after the
 *             interval does not end the wait), or min-wait is disabled
 *   -ENOMEM, -EMFILE, -ENFILE  as from evring_attach(): not tried
 */
int evring_set_collect(struct ev_loop *loop, double seconds, unsigned events);

/*
 * Let loop look before it sleeps: a turn that blocks first watches its ring for
 * up to seconds, without a system call, and sleeps only if nothing came.  What
 * comes meanwhile is heard of without falling asleep and being woken, which on
 * a quiet machine is most of the time that a small request takes; the price is
 * CPU time, of which other threads on this CPU get less.  Timers stay exact,
 * and turns that may not block do not.  While loop collects (see above) it does
 * not spin.
 *
 * A signal handler that runs while loop looks does not end the turn, as it ends
 * a sleep.  What it tells libev does: ev_signal and ev_async_send() are heard
 * at once.  A program whose handler sets a variable, and which reads that when
 * a turn is over, may find it only after the next event.
 *
 * seconds: 0 switches off, which is the default; at most 1; some 50e-6 for a
 * partner on the same machine.  Or EVRING_SPIN_AUTO: up to 100e-6, and only
 * while events have been coming sooner than that; a loop whose events are rare,
 * or whose partners need the CPU that it watches on, soon does not spin.
 *
 * It holds until the loop is detached, destroyed or loses its ring, also when
 * the ring is made anew.  May be called at any time from outside the release
 * and acquire callbacks.
 *
 * While a loop spins, a child that is forked has a mapping of its ring until it
 * runs or destroys the loop, calls exec or ends, even if it closes all fds.
 *
 * Returns 0, or, with everything as it was:
 *   -EINVAL  loop is NULL or not attached, or has lost its ring; or seconds is
 *            neither EVRING_SPIN_AUTO nor from 0 to 1
 *   -EBADF   the program has closed the fd of the ring
 *   -ENOMEM  no memory
 */
#define EVRING_SPIN_AUTO (-1.)
int evring_set_spin(struct ev_loop *loop, double seconds);

/*
 * Let the fd of w, a watcher that is active, be reported once for what happens
 * to it, and not in each turn for as long as it is ready.  Saves the kernel
 * work: it need not look again whether the callback has read all.
 *
 * It is a promise of the program: whenever w is called, its callback reads (or
 * writes) until the kernel says EAGAIN, or end of file, or an error.  A short
 * read is proof only where the peer cannot have closed: the end of file that
 * came with the last bytes is not reported again.  All watchers of the fd are
 * told once; so all their callbacks keep the promise.  If a report is
 * discarded before the callback sees it, by ev_io_stop() or ev_clear_pending(),
 * this is not noticed: call evring_io_edge() again.
 *
 * It is leave, not an order: a report may come more often, and evring goes back
 * to reporting while the fd is ready, without a word, whenever something is out
 * of the ordinary (a fork, a new ring, a change that was refused).  So it does
 *
 *   - when the fd is closed, or nobody watches it when a turn begins; who is
 *     stopped and started before that goes on as it was
 *   - when its watchers want other events than before, and when one is started
 *     after ev_io_init() or ev_io_set(): the fd may be another file then, and
 *     who watches it has promised nothing (only an ev_io that is used anew for
 *     the same number within a turn still has the promise of this turn)
 *   - when the loop is detached or loses its ring
 *   - while the loop collects, see above
 *   - always on Linux before 6.0, and where epoll changes in the ring are
 *     disabled
 *
 * So call it after every ev_io_start() and ev_io_stop() of a watcher of this
 * fd, where one goes on.  Directly after a start, in the same turn, it costs
 * nothing; else as much as a start.  Each call makes the kernel look again, and
 * what is ready then is reported.  May be called at any time from outside the
 * release and acquire callbacks; in a forked child it does nothing until the
 * child has run the loop.
 *
 * Returns 0, also for a file that is always ready, or -EINVAL: loop or w is
 * NULL, loop is not attached or has lost its ring, or w is not active in it.
 */
struct ev_io;
int evring_io_edge(struct ev_loop *loop, struct ev_io *w);

/*
 * Let the kernel poll the NICs for loop: a wait of loop that would sleep first
 * polls, for up to seconds, the receive queues that packets for its sockets
 * come through, instead of waiting for their interrupts (NAPI busy polling).  A
 * packet that comes meanwhile is heard of sooner; the price is CPU time, all of
 * seconds in a wait in which nothing comes.  It ends with the first event, a
 * signal, or the timeout of the wait.  For machines whose partners are behind a
 * NIC and answer within seconds; for partners on the same machine there is
 * evring_set_spin().  A loop that does both spins first.
 *
 * Which queues: those of sockets on which a watcher of loop saw something to
 * read, or from which an operation is started that reads, receives or polls;
 * not of sockets among the fixed files, nor of one that has had no packet when
 * a multishot request on it is started, as only datagram sockets can.  Each is
 * known from the first such moment on, and the last 32 are.  A loop whose
 * sockets have no such queue (loopback, unix sockets, NICs without NAPI) sleeps
 * as if this was off: stats.napi_queues is 0 then.
 *
 * seconds: 0 switches off, which is the default; at most 10e-3; in whole
 * microseconds; some 50e-6.  It takes effect with the next turn, and holds
 * until the loop is detached, destroyed or loses its ring, also when the ring
 * is made anew.  May be called at any time from outside the release and acquire
 * callbacks.
 *
 * Returns 0, or, with everything as it was:
 *   -EINVAL   loop is NULL or not attached, or has lost its ring; or seconds is
 *             negative, not a number, or too large
 *   -ENOTSUP  Linux before 6.13, or one built without CONFIG_NET_RX_BUSY_POLL,
 *             or napi is disabled.  (To switch off is no error there.)
 */
int evring_set_napi(struct ev_loop *loop, double seconds);

/*
 * Operations
 *
 * Any request that liburing can prepare is a watcher of the loop, as long as it
 * fits an entry of 64 bytes and answers in one of 16:
 *
 *     static void on_read(struct ev_loop *loop, struct evring_op *op,
 *                         int revents);
 *
 *     evring_op_init(&op, on_read);
 *     sqe = evring_op_start(loop, &op);
 *     io_uring_prep_read(sqe, fd, buffer, sizeof(buffer), 0);
 *
 * There are three clocks.  The watcher is active from evring_op_start() to its
 * last event; so long its memory and whatever the request names (buffers,
 * iovecs, addresses) stay as they are, because the kernel reads and writes
 * there.  The request is with the kernel from the next turn of the loop to its
 * last completion.  A buffer from a group is the kernel's until a completion
 * names it.
 *
 * Each completion is one event, in order; a request that answers once has one,
 * a multishot request any number.  In the callback ev_is_active (op) says
 * whether more will come.  The last event always comes, exactly once: with the
 * result of the request, or with -ECANCELED when it was cancelled, or when the
 * ring that had it went.
 *
 * It comes from ev_run().  Only when the loop is detached or destroyed, or
 * attached anew (in place of EVRING_GIVE_WAY, or after it lost its ring), what
 * is left comes before evring_detach(), ev_loop_destroy() or evring_attach()
 * returns.  For these callbacks the loop is not attached any more: a start
 * fails with ENXIO, evring_attach() with -EBUSY.  The call waits until the
 * kernel has let go of the memory: for most requests no time at all; for one
 * that cannot be cancelled (a read from a disk, a zero-copy send that the peer
 * has not acknowledged) until it is done.
 *
 * Callbacks are invoked by the thread that runs the loop.  A program that
 * invokes what is pending in other threads (ev_set_invoke_pending_cb()) must
 * leave operations out of that: used there, the loop would seem to have moved.
 *
 * A loop that is embedded in another (ev_embed) needs two more watchers in the
 * outer one, which does not know of operations: an ev_prepare, and an ev_io of
 * an eventfd that is registered with the inner ring (io_uring_register_eventfd
 * (evring_ring (inner), fd)).  Both call ev_embed_sweep(): one has submitted
 * what was started, the other hears of what was completed.
 *
 * Linux 5.11 and what each request wants itself.  An operation that this kernel
 * does not know answers -EINVAL.
 *
 * fork.  Requests are the parent's, and go on there.  In a child that runs or
 * destroys the loop all operations end with -ECANCELED, for it to tidy up; only
 * those whose results the loop had taken by then, and not handed out, hear of
 * these, in both processes.
 *
 * Threads.  Operations want their loop to stay with its thread: when another
 * thread runs or destroys the loop, all that were in flight end with their
 * result if it was there already, or with -ECANCELED, whether the kernel did
 * something or not.  That takes some 50 ms; or for as long as it takes what
 * cannot be cancelled; or until a child that was forked meanwhile, and has the
 * fd of the ring (or of a loop that spins its mapping), has called exec or
 * ended.  Before the first turn a loop may be handed on with operations.
 */
struct io_uring;
struct io_uring_sqe;

/*
 * The first five members are those of every watcher of libev, so
 * ev_is_active(), ev_set_priority(), ev_priority(), ev_set_cb() and ev_cb()
 * work; data is the user's.  Priorities are obeyed: the one that op had when it
 * was started counts until its last event.  ev_is_pending() is always 0,
 * ev_feed_event() and ev_clear_pending() do not apply.
 */
struct evring_op {
	int active;
	int pending;
	int priority;
	void *data;
	void (*cb)(struct ev_loop *loop, struct evring_op *op, int revents);

	/* Of this completion, in the callback: as in struct io_uring_cqe. */
	int res;	/* 0 or more, or a negative errno value */
	unsigned flags; /* IORING_CQE_F_ */

	/* Private. */
	int lane;
	struct evring_op *next, *prev;
	uint64_t reserved[4];
};

typedef struct evring_op evring_op;

/* Before the first use; data stays as it is. */
static inline void evring_op_init(struct evring_op *op,
				  void (*cb)(struct ev_loop *loop,
					     struct evring_op *op, int revents))
{
	int i;

	op->active = op->pending = op->priority = 0;
	op->lane = 0;
	op->cb = cb;
	for (i = 0; i < 4; i++)
		op->reserved[i] = 0;
}

/*
 * Start op: returns its submission queue entry, to be prepared by the caller at
 * once.  It is submitted with the next turn of the loop, or before, when the
 * submission queue is full.  Like any watcher it keeps the loop alive
 * (ev_unref() if it should not, and ev_ref() before the last event).
 *
 * user_data of the entry is evring's.  Of its flags, two are not to be set:
 * IOSQE_CQE_SKIP_SUCCESS, because the last event would never come, and
 * IOSQE_IO_DRAIN, because the request, and all that are made after it, evring's
 * own among them, would wait for evring's request for readiness.
 *
 * Linked requests (IOSQE_IO_LINK) are started one after the other, after
 * evring_reserve(); in between nothing else that makes a request may be called,
 * evring_op_cancel(), evring_io_edge() and the watchers of evring-net.h
 * included, and the last of them is not to have the flag: what evring submits
 * next would be linked to it.
 * An entry left as it is does nothing (IORING_OP_NOP).
 *
 * May be called from callbacks, also from the one of its own last event; not
 * from release and acquire callbacks.  The first start of a loop takes a file
 * descriptor and the table of fixed files of its ring.
 *
 * Returns NULL with errno set on failure, and op is not active:
 *   EINVAL   op is NULL or has no callback
 *   EBUSY    op is active
 *   ENXIO    the loop has no ring: it is not attached, or lost its ring
 *   EACCES   the loop was attached with EVRING_RESTRICT
 *   EAGAIN   the kernel takes no more requests at the moment
 *   ENOMEM, EMFILE, ENFILE  no memory, no file descriptor
 */
struct io_uring_sqe *evring_op_start(struct ev_loop *loop,
				     struct evring_op *op);

/*
 * Ask the kernel to cancel op.  Stop only asks: the last event comes as ever,
 * mostly with -ECANCELED, but it may have been too late.  Of linked requests
 * the first is to be cancelled.
 *
 * Returns 0; -ENOENT if the kernel does not have op (it was not started, or its
 * last event is on its way); -EAGAIN if it takes no more requests at the
 * moment; -EINVAL if op is NULL.
 */
int evring_op_cancel(struct ev_loop *loop, struct evring_op *op);

/*
 * See to it that the next nr operations, started without returning to the loop,
 * are submitted together: a chain of linked requests ends where a submission
 * ends.
 *
 * Returns 0; -E2BIG if the submission queue is not as long; -ENXIO and -EACCES
 * as above; or what the kernel said when it was to take the requests before
 * (-EAGAIN, -EBUSY, -ENOMEM).
 */
int evring_reserve(struct ev_loop *loop, unsigned nr);

/*
 * Make the table of fixed files of loop's ring: nr places, 0 to nr - 1, all
 * empty; what was there before is gone.  They are filled by requests
 * (io_uring_prep_accept_direct() and its like; IORING_FILE_INDEX_ALLOC, Linux
 * 5.19) or by io_uring_register_files_update (evring_ring (loop), ...), and
 * used with IOSQE_FIXED_FILE.  (io_uring_register_files() itself would fail
 * with -EBUSY: evring has a fixed file of its own.)  Where there was a table
 * before, Linux up to 6.12 waits for the requests that use its files; later
 * ones let these requests keep them.
 *
 * Returns 0; -EINVAL if nr is more than 1048576; -ENXIO for a loop without a
 * ring; -EACCES for one with EVRING_RESTRICT; -EMFILE if nr is more than
 * RLIMIT_NOFILE less one, or no file descriptor is left; -ENOMEM: then there
 * may be no table any more.
 */
int evring_set_files(struct ev_loop *loop, unsigned nr);

/*
 * The ring of loop, for what liburing registers with a ring (buffers, rings of
 * provided buffers, personalities), not to be submitted to or waited on.  It is
 * good until the loop runs, and as long as evring_stats.ring_rebuilds does not
 * change: after a fork or a move between threads there is another, with nothing
 * registered but an empty table of fixed files.  Takes what the first
 * evring_op_start() would.
 *
 * The ring fd is not to be registered with the thread
 * (io_uring_register_ring_fd()): that would keep the ring alive when evring has
 * closed it.  Nor are messages (IORING_OP_MSG_RING) to be sent to it: their
 * user_data would be taken for the address of an operation; evring_post() is
 * there for that.  A program that closes all fds (closefrom()) closes evring's,
 * too: without them nobody waits for what the kernel still does to the memory
 * of operations.
 *
 * Returns NULL with errno set on failure: ENXIO for a loop without a ring,
 * EACCES for one with EVRING_RESTRICT, or ENOMEM, EMFILE, ENFILE.
 */
struct io_uring *evring_ring(struct ev_loop *loop);

/*
 * A sentence about a failure of this interface: error is what was returned
 * (negative) or found in errno (positive).  The text is constant.  (What an
 * event says is the kernel's, and in the words of strerror(3).)
 */
const char *evring_strerror(int error);

/* The version of the library in use, as "0.1.0". */
const char *evring_version(void);

/*
 * Where a libev keeps what evring needs, and how to call it.  Programs that
 * compile ev.c themselves fill one by including evring-embed.h after it;
 * for a libev in a library, evring finds the values out and proves them.
 * Offsets are in bytes from the start of struct ev_loop.
 */
struct evring_layout {
	unsigned size;	       /* sizeof (struct evring_layout) */
	unsigned backend_fd;   /* int */
	unsigned mintime;      /* ev_tstamp backend_mintime */
	unsigned modify;       /* backend_modify */
	unsigned poll;	       /* backend_poll */
	unsigned anfds;	       /* ANFD * */
	unsigned anfdmax;      /* int */
	unsigned release_cb;   /* called before a wait that may block */
	unsigned acquire_cb;   /* and after it; 0: this libev has neither */
	unsigned anfd_size;    /* sizeof (ANFD) and offsets in it */
	unsigned anfd_events;  /* unsigned char */
	unsigned anfd_reify;   /* unsigned char */
	unsigned anfd_emask;   /* unsigned char */
	unsigned anfd_egen;    /* unsigned int */
	unsigned cleanup_size; /* sizeof (ev_cleanup) */
	int min_priority;      /* EV_MINPRI */
	int max_priority;      /* EV_MAXPRI */

	/* The epoll backend of this libev. */
	void (*epoll_modify)(struct ev_loop *loop, int fd, int oev, int nev);
	void (*epoll_poll)(struct ev_loop *loop, double timeout);

	/* The calls of the same names in ev.h, less their ev_. */
	void (*feed_fd_event)(struct ev_loop *loop, int fd, int revents);
	void (*feed_event)(struct ev_loop *loop, void *watcher, int revents);
	int (*clear_pending)(struct ev_loop *loop, void *watcher);
	void (*ref)(struct ev_loop *loop);
	void (*unref)(struct ev_loop *loop);
	void (*cleanup_start)(struct ev_loop *loop, void *watcher);
	void (*cleanup_stop)(struct ev_loop *loop, void *watcher);

	/* The same, for evring_loop_new() and evring_default_loop(). */
	struct ev_loop *(*loop_new)(unsigned flags);
	struct ev_loop *(*default_loop)(unsigned flags);
	struct ev_loop *(*default_loop_uc_)(void); /* NULL: not made yet */
	void (*loop_destroy)(struct ev_loop *loop);
};

/*
 * Make a libev known to evring_attach().  layout is copied.  Called by what
 * evring-embed.h adds to a program, before main; not needed otherwise.
 *
 * Returns 0, or
 *   -EINVAL   layout is NULL or of another size: header and library disagree
 *   -ENOTSUP  this ev.c was configured in a way that evring cannot work with
 *   -ENOMEM   no memory
 */
int evring_embed(const struct evring_layout *layout);

#ifdef __cplusplus
}
#endif

#endif
