/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * poll.c - which fds are ready: libev's own epoll set, waited for inside the
 * ring.
 *
 * Every fd stays in the epoll set of its loop, in the form in which libev's own
 * backend keeps it: the mask in emask, a generation in egen and, with the fd,
 * in the event's data.  What differs is how the set is changed and asked:
 * IORING_OP_EPOLL_CTL and IORING_OP_EPOLL_WAIT travel in the enter that waits;
 * a turn that would find something without waiting asks by epoll_wait (0)
 * alone.  So an fd has no state of ours that libev's backend would miss.  It
 * can decide any case that we do not understand, and it can take over at any
 * time.
 *
 * Where the ring has no EPOLL_WAIT (before Linux 6.15, or completions that are
 * not ours to time) it polls the epoll fd instead, and epoll_wait (0) follows.
 *
 * What to know:
 *
 * a) A completion ends the wait, so changes of the set answer only when they
 *    fail.  They fail at once, within the submission, so the full timeout is
 *    still ahead when the wait is repeated.  But see trap i.
 * b) libev does not say whether a watcher that starts again means the same file
 *    as before: the fd may have been closed and opened.  A change (MOD) fails
 *    for a new file and an addition (ADD) for the old one.  We try what was
 *    right for this fd the last time.
 * c) libev never removes an fd from the set; the kernel does when the file is
 *    closed.  An event that nobody wants is the sign to remove it.
 * d) EPOLL_WAIT writes to its buffer during our own enter only, and an event in
 *    it is true at that moment.  The rest of the turn must not lose it.
 * e) Another thread may change watchers between the release and the acquire
 *    callback.  What changed has reify set, and events for it are dropped, as
 *    libev does: the next turn asks anew.
 * f) Regular files cannot be in an epoll set; they are always ready.  libev's
 *    backend finds out and marks them in emask; we keep a list.
 * g) After ev_loop_fork(), or when its set is in a state that it cannot
 *    explain, libev makes a new set, mostly with the fd number of the old one.
 *    Fork watchers hear of it, but sometimes too late.  It forgets the masks
 *    of all watched fds, and adds them anew.  See notice_new_set().
 * h) The release and acquire callbacks may fork, and so may a signal handler
 *    during the wait.  The child comes back into the middle of a turn, without
 *    the mappings of the ring.  For it the turn is over, as after a signal.
 * i) While somebody else holds the lock of the set (reads its fdinfo, closes a
 *    file in it), the kernel makes our changes in worker threads, later and in
 *    any order.  Two of one fd must not be under way at once: the last to be
 *    made could be the older one.  That a change was made is known by an event
 *    of its generation; where none came, the kernel is asked before the next.
 *
 * j) A wait that collects goes on after the ring was told what is ready: for as
 *    long as min-wait, if that was at once.  By then it is out of date, and
 *    others are ready, too.  So the set is asked anew; no request to the set
 *    says when it was answered.
 *
 * k) An edge (evring_io_edge()) is reported by the kernel once, and an event of
 *    it that is dropped comes never again.  Trap e drops events, and so do
 *    traps h and j, a ring that goes with its answers, and libev's backend
 *    wherever it looks in our place.  See the section "edges".
 *
 * States of the request that asks the set, and the function that moves it:
 *
 *   IDLE    -> ARMED    [arm_home]
 *   ARMED   -> IDLE     [home_answered]
 *   ARMED   -> LEAVING  [leave_home]   the set is replaced
 *   LEAVING -> IDLE     [home_answered]
 *
 * Invariants:
 *
 * (1) The buffer is the kernel's while ARMED or LEAVING, unless that is the
 *     polled form; it is resized only when IDLE.
 * (2) All changes of a turn are submitted before or with the wait of that turn.
 * (3) A turn reports each fd that is ready, or leaves it to the next turn only
 *     because the buffer was full, as libev does, or a change is late (trap i).
 * (4) No turn that may not block sleeps, and a turn with nothing to submit and
 *     nothing to reap makes no system call.
 * (5) At most one change of an fd is under way.
 * (6) The set has an edge only where emask says so, and only this file asks a
 *     set that has any.  What it then drops it has the kernel report again.
 */
#include "config.h"

#include "poll.h"

#include <assert.h>
#include <errno.h>
#include <ev.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>

#include "engine.h"
#include "flight.h"
#include "napi.h"
#include "port.h"
#include "probe.h"
#include "ring.h"
#include "spin.h"
#include "waker.h"

/*
 * user_data: the address of an operation, or what else the request is, which is
 * odd, and for a change of the set its fd.  Other rings may send us TAG_WAKE at
 * any time, and nothing else: that is in their wakers.
 */
enum tag {
	TAG_HOME = 1,  /* EPOLL_WAIT, or the poll request on the epoll fd */
	TAG_LEAVE = 3, /* cancels the above */
	TAG_ADD = 5,
	TAG_MOD = 7,
	TAG_DEL = 9,
	TAG_CANCEL = 11, /* cancels an operation */
	TAG_END = 13,	 /* cancels operations of a ring that goes */
	TAG_LISTEN = 15, /* polls the eventfd of our waker */
	TAG_RETRY = 16,	 /* or'ed: the other one failed before */
	TAG_WAKE = 33,	 /* not of a request: a message from elsewhere */
	TAG_SEND = 35,	 /* such a message to another loop; with the number of
			    its waker in place of an fd */
	TAG_FINISH = 37	 /* cancels a change of the set that was sent */
};

static uint64_t make_tag(unsigned tag, int fd)
{
	return (uint64_t)(uint32_t)fd << 32 | tag;
}

static unsigned tag_of(uint64_t user_data)
{
	return (uint32_t)user_data;
}

static int fd_of(uint64_t user_data)
{
	return (int)(user_data >> 32);
}

static uint64_t tag_of_op(const struct evring_op *op)
{
	return (uint64_t)(uintptr_t)op;
}

static struct evring_op *op_of(uint64_t user_data)
{
	return user_data & 1 ? NULL : (struct evring_op *)(uintptr_t)user_data;
}

enum home_state { IDLE, ARMED, LEAVING };

enum {
	MIN_ENTRIES = 8,
	MAX_PAUSES = 10, /* of a millisecond, for memory to come back */
	DEFAULT_ENTRIES = 128,
	MAX_WAKES = 16,
	MAX_PASSED = 16, /* looks before a ring that may have more than hints */
	FEW_MARKS = 64,	 /* memory for so many is kept */
	FIRST_EVENTS = 256,
	MAX_EVENTS = 8192
};

/* Seconds until a ring that refused is tried again for its operations. */
static const double LOOK_AGAIN = 0.01;

/* What we remember of an fd besides libev's ANFD; small, for there are many. */
struct evr_fd {
	unsigned char emask; /* libev's, as we left it; see notice_new_set() */
	unsigned char under_way; /* tag of a change that may be (trap i) */
	bool is_watched : 1;
	bool is_reused : 1; /* a restart meant a new file, the last time
			       (trap b) */
	bool is_asked : 1;  /* for its NIC's queue, since it was started */
	int mark;	    /* 1 + index of its mark, 0: it has none */
};

/* evring_io_edge() was called for an fd that libev is about to change: that
   makes it an edge unless its watchers show that one was started since. */
struct evr_mark {
	unsigned nr_watchers; /* that it had then */
	const void *newest;   /* of these; compared, not looked at */
};

struct evr_poll {
	struct evr_host host;
	struct evr_ring ring;
	uint64_t ring_id; /* evr_poll_ring_id() */
	bool lost;	  /* the ring is gone and could not be replaced */
	bool hopeless;	  /* no memory for what a ring needs: to be lost */
	bool broken;	  /* the ring asks what it should not: to be replaced */
	bool is_set_parents; /* a child's, with a ring, that did not run yet */
	bool has_lost_answers;	/* an operation may have ended unheard */
	unsigned nr_unanswered; /* requests to cancel, when the ring goes */

	enum home_state state;
	bool in_ring;	    /* EPOLL_WAIT; otherwise the polled form */
	bool look;	    /* polled form: epoll_wait (0) may find something */
	unsigned nr_passed; /* looks since, with the ring passed over */

	struct evr_engine engine;
	struct evr_napi napi;
	struct evr_spin spin; /* unless there is an interval: */

	/* Turns that block are so far apart; 0: as they come. */
	double interval;
	unsigned nr_collected; /* completions that are enough, 0: none are */
	double last_end;       /* of a turn, on the monotonic clock */

	/* Of one turn and the changes before it. */
	bool is_collecting; /* what is heard of the set is not used (trap j) */
	bool again;	    /* ask once more */
	bool hand_over;	    /* let libev's backend look */
	bool called;	    /* there was a system call */
	bool has_told;	    /* libev of fds that are ready */
	int nr_reported;

	struct evr_flight flight; /* operations */
	unsigned nr_files;	  /* fixed ones, in each ring */

	/* Messages from other threads: see there. */
	struct evr_ports ports;
	struct evr_waker *waker; /* of this ring; NULL: it never had ports */
	bool is_listening;	 /* on the eventfd of the waker */

	/* Wakers of other loops, got and to be put: the first nr_sent are in
	   requests, the others are to be. */
	struct evr_waker *wakes[MAX_WAKES];
	unsigned nr_wakes, nr_sent;

	/* Where EPOLL_WAIT puts events, from arming to its answer. */
	struct epoll_event *events;
	unsigned nr_events;

	/* Arguments of EPOLL_CTL, one for each SQE: the kernel reads them when
	   it takes the SQE. */
	struct epoll_event *changes;

	struct evr_fd *fds; /* by fd */
	int nr_fds;
	int nr_watched; /* of these */
	bool has_edges; /* some of these may be */

	/* Of fds that libev changes in its next turn, so all go together. */
	struct evr_mark *marks;
	int nr_marks, max_marks;
	int nr_waiting; /* of these: their fds are not changed yet */

	int *always; /* fds that are always ready (trap f) */
	int nr_always, max_always;

	/* The caller's, who keeps it until we are freed, or own_stats. */
	struct evring_stats *stats;
	struct evring_stats own_stats;
};

/*
 * life
 */

/*
 * The kernel frees rings in the background, and until then their memory counts
 * as locked: that of the trial, of a larger attempt, or of the ring which this
 * one replaces.
 */
static int init_patiently(struct evr_ring *ring,
			  const struct evr_ring_config *config)
{
	const struct timespec pause = { .tv_nsec = 1000000 };
	int r = evr_ring_init(ring, config);
	int i;

	for (i = 0; i < MAX_PAUSES && r == -ENOMEM; i++) {
		nanosleep(&pause, NULL);
		r = evr_ring_init(ring, config);
	}
	return r;
}

/* The largest ring, up to config.entries, that memory can be locked for. */
static int init_largest(struct evr_ring *ring, struct evr_ring_config config)
{
	int r = init_patiently(ring, &config);

	while (r == -ENOMEM && config.entries > MIN_ENTRIES) {
		config.entries /= 2;
		r = init_patiently(ring, &config);
	}
	return r;
}

static uint64_t new_ring_id(void)
{
	static _Atomic uint64_t last;

	return atomic_fetch_add_explicit(&last, 1, memory_order_relaxed) + 1;
}

static int make_ring(struct evr_poll *p, struct evr_ring_config config)
{
	struct epoll_event *changes;
	int r;

	r = init_largest(&p->ring, config);
	if (r < 0)
		return r;
	changes = realloc(p->changes,
			  evr_ring_entries(&p->ring) * sizeof(*changes));
	if (!changes) {
		evr_ring_exit(&p->ring);
		return -ENOMEM;
	}
	p->changes = changes;
	if (evr_spin_is_on(&p->spin)) /* without a view it does not watch */
		(void)evr_ring_open_view(&p->ring);
	evr_napi_forget_ring(&p->napi);
	p->stats->restricted = config.restricted;
	p->ring_id = new_ring_id();
	p->state = IDLE;
	p->look = true;
	return 0;
}

static bool add_always(struct evr_poll *p, int fd)
{
	int max = p->max_always ? p->max_always * 2 : 8;
	int *always;
	int i;

	for (i = 0; i < p->nr_always; i++)
		if (p->always[i] == fd)
			return true;
	if (p->nr_always == p->max_always) {
		always = realloc(p->always, (size_t)max * sizeof(*always));
		if (!always)
			return false;
		p->always = always;
		p->max_always = max;
	}
	p->always[p->nr_always++] = fd;
	return true;
}

static struct evr_fd *fd_state(struct evr_poll *p, int fd)
{
	int nr_fds = evr_host_nr_fds(&p->host);
	struct evr_fd *fds;

	if (evr_likely(fd < p->nr_fds))
		return &p->fds[fd];
	assert(fd < nr_fds);
	fds = realloc(p->fds, (size_t)nr_fds * sizeof(*fds));
	if (!fds)
		return NULL;
	memset(fds + p->nr_fds, 0, (size_t)(nr_fds - p->nr_fds) * sizeof(*fds));
	p->fds = fds;
	p->nr_fds = nr_fds;
	return &p->fds[fd];
}

static unsigned char want_of(struct evr_anfd *anfd)
{
	return anfd->events & (EV_READ | EV_WRITE);
}

static void set_watched(struct evr_poll *p, struct evr_fd *state,
			bool is_watched)
{
	p->nr_watched += (int)is_watched - (int)state->is_watched;
	state->is_watched = is_watched;
}

/* What libev's backend has in the set, and the regular files it knows. */
static bool adopt_fds(struct evr_poll *p)
{
	int fd, nr_fds = evr_host_nr_fds(&p->host);

	for (fd = 0; fd < nr_fds; fd++) {
		struct evr_fd *state = fd_state(p, fd);

		if (!state)
			return false;
		state->emask = evr_host_anfd(&p->host, fd)->emask;
		set_watched(p, state, want_of(evr_host_anfd(&p->host, fd)));
		if (state->emask & EVR_EMASK_EPERM && !add_always(p, fd))
			return false;
	}
	return true;
}

static bool resize_events(struct evr_poll *p, unsigned nr_events)
{
	struct epoll_event *events;

	assert(nr_events > 0); /* a realloc() of nothing is a free() */
	events = realloc(p->events, nr_events * sizeof(*events));
	if (!events)
		return false;
	/* for valgrind, which does not know who writes there */
	memset(events, 0, nr_events * sizeof(*events));
	p->events = events;
	p->nr_events = nr_events;
	return true;
}

int evr_poll_new(struct evr_poll **ret_poll, const struct evr_host *host,
		 const struct evr_poll_config *config)
{
	struct evr_ring_config ring_config = {
		.have = config->have,
		.entries = config->entries ? config->entries : DEFAULT_ENTRIES,
		.user_region = config->user_region,
		.restricted = config->restricted,
	};
	struct evr_poll *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return -ENOMEM;
	p->host = *host;
	evr_engine_init(&p->engine, evr_probe_engine());
	evr_flight_init(&p->flight, host);
	evr_ports_init(&p->ports, host);
	p->stats = config->stats ? config->stats : &p->own_stats;
	memset(p->stats, 0, sizeof(*p->stats));
	ring_config.stats = p->stats;
	p->in_ring = config->have & EVR_HAVE_EPOLL_WAIT;
	r = make_ring(p, ring_config);
	if (r < 0) {
		p->lost = true;
	} else if (!resize_events(p, FIRST_EVENTS) || !adopt_fds(p)) {
		r = -ENOMEM;
	} else {
		(void)evr_poll_set_napi(p, config->napi);
		r = evr_poll_set_spin(p, config->spin);
	}
	if (r < 0) {
		evr_poll_free(p);
		return r;
	}
	*ret_poll = p;
	return 0;
}

/*
 * changes of the set
 */

static void take_back(struct evr_poll *p);
static bool ready_ring(struct evr_poll *p);

static bool has_epoll_ctl(const struct evr_poll *p)
{
	return p->ring.config.have & EVR_HAVE_EPOLL_CTL;
}

static uint32_t epoll_mask(unsigned want)
{
	return (want & EV_READ ? (uint32_t)EPOLLIN : 0) |
	       (want & EV_WRITE ? (uint32_t)EPOLLOUT : 0);
}

static uint64_t data_of(const struct evr_anfd *anfd, int fd)
{
	return (uint64_t)anfd->egen << 32 | (uint32_t)fd;
}

static bool is_edge(const struct evr_anfd *anfd)
{
	return anfd->emask & EVR_EMASK_EDGE;
}

/* Have libev's idea of what the set has changed, and remember it. */
static void set_emask(struct evr_poll *p, int fd, int emask)
{
	struct evr_fd *state = fd_state(p, fd);

	evr_host_anfd(&p->host, fd)->emask = (unsigned char)emask;
	if (state)
		state->emask = (unsigned char)emask;
}

/* The SQE of a change of fd that the kernel has not seen, or NULL. */
static struct io_uring_sqe *find_unsent_change(struct evr_poll *p, int fd)
{
	unsigned tag = p->fds[fd].under_way;

	return tag ? evr_ring_find_unsent(&p->ring, make_tag(tag, fd)) : NULL;
}

/* Before another change of fd (trap i).  True: it may have been cancelled. */
static bool finish_sent_change(struct evr_poll *p, int fd)
{
	unsigned tag = p->fds[fd].under_way;
	int r;

	if (evr_likely(!tag))
		return false;
	p->fds[fd].under_way = 0;
	r = evr_ring_finish(&p->ring, make_tag(tag, fd));
	if (evr_likely(r >= 0))
		return r;
	p->ring.config.have &= ~(unsigned)EVR_HAVE_EPOLL_CTL;
	return evr_ring_finish_by_requests(&p->ring, make_tag(tag, fd),
					   make_tag(TAG_FINISH, fd)) != 0;
}

static void finish_change(struct evr_poll *p, int fd)
{
	if (p->lost || fd >= p->nr_fds)
		return;
	if (find_unsent_change(p, fd))
		take_back(p);
	finish_sent_change(p, fd);
}

/*
 * A change of fd that the kernel has not seen becomes this one: what is in the
 * set is as it was when that one was chosen.
 */
static unsigned merge_changes(unsigned old, unsigned tag)
{
	old &= ~(unsigned)TAG_RETRY;
	if (tag == TAG_MOD && old == TAG_ADD)
		return TAG_ADD;
	if (tag == TAG_ADD && old == TAG_DEL)
		return TAG_MOD;
	return tag;
}

static struct io_uring_sqe *get_change(struct evr_poll *p, unsigned *tag,
				       int fd)
{
	struct io_uring_sqe *sqe = find_unsent_change(p, fd);

	if (sqe) {
		*tag = merge_changes(p->fds[fd].under_way, *tag);
		return sqe;
	}
	if (finish_sent_change(p, fd) && !evr_ring_is_mapped(&p->ring))
		return NULL; /* a handler forked meanwhile: trap h */
	return evr_ring_get_sqe(&p->ring);
}

/* Have the set changed with the next enter.  False: no SQE to be had. */
static bool queue_change(struct evr_poll *p, unsigned tag, int fd)
{
	static const int ops[] = { [TAG_ADD] = EPOLL_CTL_ADD,
				   [TAG_MOD] = EPOLL_CTL_MOD,
				   [TAG_DEL] = EPOLL_CTL_DEL };
	struct evr_anfd *anfd = evr_host_anfd(&p->host, fd);
	struct epoll_event *change;
	struct io_uring_sqe *sqe;

	sqe = get_change(p, &tag, fd);
	if (evr_unlikely(!sqe))
		return false;
	p->fds[fd].under_way = (unsigned char)tag;
	change = &p->changes[evr_ring_sqe_index(&p->ring, sqe)];
	change->events = epoll_mask(anfd->events) |
			 (is_edge(anfd) ? (uint32_t)EPOLLET : 0);
	change->data.u64 = data_of(anfd, fd);
	io_uring_prep_epoll_ctl(sqe, evr_host_home(&p->host), fd,
				ops[tag & ~(unsigned)TAG_RETRY], change);
	sqe->flags = IOSQE_CQE_SKIP_SUCCESS; /* trap a */
	sqe->user_data = make_tag(tag, fd);
	return true;
}

/*
 * libev's backend makes the change, or finds out what is wrong with fd.  Not
 * before changes that were queued earlier: one may be about this fd.
 */
static void change_by_libev(struct evr_poll *p, int fd, int oev, int nev)
{
	struct evr_anfd *anfd;

	p->stats->handed_over++;
	finish_change(p, fd);
	if (!p->lost && evr_ring_is_mapped(&p->ring) &&
	    evr_ring_has_unsent(&p->ring) && evr_ring_flush(&p->ring) < 0)
		take_back(p);
	evr_host_modify(&p->host, fd, oev, nev);
	anfd = evr_host_anfd(&p->host, fd);
	set_emask(p, fd, anfd->emask);
	if (anfd->reify)
		p->nr_reported++; /* it was killed: EV_ERROR */
	if (anfd->emask & EVR_EMASK_EPERM && !add_always(p, fd))
		p->hopeless = true; /* not at once: it may be being reaped */
}

/* Of an fd that libev will look at before the next wait: it asks us to change
   it then, be it the same as before. */
static void have_libev_change(struct evr_anfd *anfd)
{
	anfd->reify |= EV__IOFDSET;
}

/* The set may have anything for fd: libev's backend makes it what is wanted. */
static void change_afresh(struct evr_poll *p, int fd)
{
	struct evr_anfd *anfd = evr_host_anfd(&p->host, fd);

	if (!want_of(anfd))
		return;
	set_emask(p, fd, anfd->emask & EVR_EMASK_EPERM); /* believe nothing */
	if (anfd->reify) /* it may be closed by now: trap e */
		have_libev_change(anfd);
	else
		change_by_libev(p, fd, 0, want_of(anfd));
}

/* A watcher that goes on with other events means the same file; one that
   starts again may not (trap b). */
static bool is_same_file(int oev, int nev)
{
	return oev && oev != nev;
}

static unsigned guess_change(const struct evr_fd *state, unsigned char emask,
			     int oev, int nev)
{
	if (!emask)
		return TAG_ADD;
	if (is_same_file(oev, nev))
		return TAG_MOD;
	return state->is_reused ? TAG_ADD : TAG_MOD;
}

static bool can_queue(const struct evr_poll *p, const struct evr_anfd *anfd)
{
	return has_epoll_ctl(p) && !(anfd->emask & EVR_EMASK_EPERM);
}

/* Stop asking the set that was. */
static void leave_home(struct evr_poll *p)
{
	struct io_uring_sqe *sqe;

	p->look = true;
	if (p->state != ARMED)
		return;
	sqe = evr_ring_get_sqe(&p->ring);
	if (!sqe) {
		p->broken = true; /* not at once: it may be being reaped */
		return;
	}
	io_uring_prep_cancel64(sqe, make_tag(TAG_HOME, 0), 0);
	sqe->user_data = make_tag(TAG_LEAVE, 0);
	p->state = LEAVING;
}

static bool has_forgotten(const struct evr_fd *state,
			  const struct evr_anfd *anfd)
{
	return !anfd->emask && state->emask;
}

/*
 * Is the set a new one (trap g)?  If libev forgot the mask of an fd, yes.  If
 * nothing was watched there was no mask to forget, and nothing proves anything.
 */
static void notice_new_set(struct evr_poll *p, const struct evr_fd *state,
			   const struct evr_anfd *anfd)
{
	if (has_forgotten(state, anfd) || !p->nr_watched)
		leave_home(p);
}

/* What is wanted is in anfd. */
static void change_fd(struct evr_poll *p, unsigned tag, int fd, int emask)
{
	set_emask(p, fd, emask);
	evr_host_anfd(&p->host, fd)->egen++;
	if (!queue_change(p, tag, fd))
		change_afresh(p, fd);
}

/*
 * edges
 *
 * An edge is a bit in emask that libev's backend does not know.  So it takes
 * the mask for another than the one it wants, and whenever it changes the fd,
 * now or long after we have gone, it makes it level.  That is always right, for
 * a level is reported wherever an edge would be, and so it is the answer to all
 * that goes wrong: a change that fails, or an event that was dropped, makes the
 * fd level, and the kernel reports it if it is ready.
 *
 * Whatever libev wants of an fd may be for another file under this number, or
 * another watcher, who has not promised anything.  So it makes the fd level,
 * too, unless evring_io_edge() was called since the last time, and none was
 * started after that.
 */

static bool has_watcher(const struct evr_anfd *anfd, const void *watcher)
{
	const struct ev_watcher_list *w;

	for (w = anfd->head; w; w = w->next)
		if (w == watcher)
			return true;
	return false;
}

static unsigned nr_watchers(const struct evr_anfd *anfd)
{
	const struct ev_watcher_list *w;
	unsigned nr = 0;

	for (w = anfd->head; w; w = w->next)
		nr++;
	return nr;
}

/* Or the one it has; NULL: no memory. */
static struct evr_mark *add_mark(struct evr_poll *p, struct evr_fd *state)
{
	int max = p->max_marks ? p->max_marks * 2 : 8;
	struct evr_mark *marks;

	if (state->mark)
		return &p->marks[state->mark - 1];
	if (p->nr_marks == p->max_marks) {
		marks = realloc(p->marks, (size_t)max * sizeof(*marks));
		if (!marks)
			return NULL;
		p->marks = marks;
		p->max_marks = max;
	}
	p->nr_waiting++;
	state->mark = ++p->nr_marks;
	return &p->marks[state->mark - 1];
}

static void drop_mark(struct evr_poll *p, struct evr_fd *state)
{
	if (evr_likely(!state->mark))
		return;
	state->mark = 0;
	if (--p->nr_waiting)
		return;
	p->nr_marks = 0;
	if (p->max_marks <= FEW_MARKS)
		return;
	free(p->marks);
	p->marks = NULL;
	p->max_marks = 0;
}

/* libev puts the newest watcher first. */
static bool has_new_watcher(const struct evr_mark *mark,
			    const struct evr_anfd *anfd)
{
	return anfd->head != mark->newest ||
	       nr_watchers(anfd) > mark->nr_watchers;
}

/* For emask. */
static int take_edge(struct evr_poll *p)
{
	if (p->interval > 0.) /* trap j */
		return 0;
	p->has_edges = true;
	return EVR_EMASK_EDGE;
}

static int take_marked_edge(struct evr_poll *p, const struct evr_fd *state,
			    const struct evr_anfd *anfd)
{
	if (evr_likely(!state->mark) ||
	    has_new_watcher(&p->marks[state->mark - 1], anfd))
		return 0;
	return take_edge(p);
}

/*
 * Not by libev's backend, to which a file that was closed is a bug.  One that
 * is not in the set may be closed, which libev hears of if it did not yet; or
 * the change that was to add it was cancelled.
 */
static void make_level(struct evr_poll *p, int fd)
{
	struct evr_anfd *anfd = evr_host_anfd(&p->host, fd);
	unsigned want = want_of(anfd);
	struct epoll_event event = { .events = epoll_mask(want) };
	int home = evr_host_home(&p->host);

	finish_change(p, fd);
	if (!is_edge(anfd) || !want)
		return;
	anfd->egen++; /* a change of another thread's may come after this one */
	event.data.u64 = data_of(anfd, fd);
	if (epoll_ctl(home, EPOLL_CTL_MOD, fd, &event) < 0) {
		if (anfd->reify)
			have_libev_change(anfd);
		if (anfd->reify || errno != ENOENT ||
		    epoll_ctl(home, EPOLL_CTL_ADD, fd, &event) < 0)
			want = 0;
	}
	set_emask(p, fd, (int)want);
}

/* All are level from now on, and what is ready is reported.  A child's set is
   its parent's until libev makes a new one, which has none. */
static void end_edges(struct evr_poll *p)
{
	int fd;

	if (evr_likely(!p->has_edges))
		return;
	p->has_edges = false;
	if (!evr_ring_is_mapped(&p->ring))
		return;
	for (fd = 0; fd < p->nr_fds; fd++)
		if (is_edge(evr_host_anfd(&p->host, fd)))
			make_level(p, fd);
}

/* Those that have changed since libev made its last changes, in this turn. */
static void ask_where_changed(struct evr_poll *p)
{
	struct evr_anfd *anfd;
	int fd;

	for (fd = 0; fd < p->nr_fds; fd++) {
		anfd = evr_host_anfd(&p->host, fd);
		if (is_edge(anfd) && anfd->reify)
			have_libev_change(anfd);
	}
}

/* What libev is about to change is asked for with that. */
static void mark_fd(struct evr_poll *p, struct evr_fd *state,
		    struct evr_anfd *anfd)
{
	struct evr_mark *mark = add_mark(p, state);

	if (!mark)
		return; /* level will do */
	mark->nr_watchers = nr_watchers(anfd);
	mark->newest = anfd->head;
	have_libev_change(anfd);
}

int evr_poll_set_edge(struct evr_poll *p, int fd, const void *watcher)
{
	struct evr_anfd *anfd;
	struct evr_fd *state;

	if (p->is_set_parents || (!p->lost && !evr_ring_is_mapped(&p->ring)))
		return 0; /* trap h */
	if (p->lost || fd < 0 || fd >= evr_host_nr_fds(&p->host))
		return -EINVAL;
	anfd = evr_host_anfd(&p->host, fd);
	if (!has_watcher(anfd, watcher))
		return -EINVAL;
	if (!anfd->reify && !ready_ring(p)) /* else it may be any thread's */
		return -EINVAL;
	state = fd_state(p, fd);
	if (!state || !can_queue(p, anfd))
		return 0; /* level will do */
	if (anfd->reify)
		mark_fd(p, state, anfd);
	else if (want_of(anfd))
		change_fd(p, anfd->emask ? TAG_MOD : TAG_ADD, fd,
			  want_of(anfd) | take_edge(p));
	return 0;
}

static void start_fd(struct evr_poll *p, struct evr_fd *state, int fd, int oev,
		     int nev)
{
	struct evr_anfd *anfd = evr_host_anfd(&p->host, fd);
	unsigned tag = guess_change(state, anfd->emask, oev, nev);

	notice_new_set(p, state, anfd);
	set_watched(p, state, true);
	state->is_asked &= is_same_file(oev, nev) && can_queue(p, anfd);
	if (can_queue(p, anfd))
		change_fd(p, tag, fd, nev | take_marked_edge(p, state, anfd));
	else
		change_by_libev(p, fd, oev, nev);
	drop_mark(p, state);
}

/* The set keeps the fd (trap c). */
static void stop_fd(struct evr_poll *p, struct evr_fd *state, int fd)
{
	if (has_forgotten(state, evr_host_anfd(&p->host, fd)))
		leave_home(p);
	set_watched(p, state, false);
	drop_mark(p, state);
}

/* The wrong guess of trap b: the change to make instead, or 0. */
static unsigned other_guess(struct evr_fd *state, unsigned tag, int res)
{
	if (tag == TAG_MOD && res == -ENOENT) {
		state->is_reused = true;
		state->is_asked = false;
		return TAG_ADD | TAG_RETRY;
	}
	if (tag == TAG_ADD && res == -EEXIST) {
		state->is_reused = false;
		return TAG_MOD | TAG_RETRY;
	}
	return 0;
}

static void change_failed(struct evr_poll *p, unsigned tag, int fd, int res)
{
	struct evr_anfd *anfd = evr_host_anfd(&p->host, fd);
	struct evr_fd *state = fd_state(p, fd);
	unsigned other;

	if (res == -ECANCELED) { /* by finish_sent_change() */
		p->again = true;
		return;
	}
	if (state->under_way == tag)
		state->under_way = 0;
	if (tag == TAG_DEL) {
		p->hand_over = true; /* in the set by another number */
		return;
	}
	if (!want_of(anfd))
		return;
	p->again = true;
	other = other_guess(state, tag, res);
	if (other && queue_change(p, other, fd))
		return;
	change_afresh(p, fd);
}

/*
 * answers
 */

/* Neither the end of the wait nor a signal: this turn has not taken place. */
static bool is_refusal(int r)
{
	return r < 0 && r != -ETIME && r != -EINTR;
}

static void op_answered(struct evr_poll *p, struct evring_op *op, int res,
			unsigned flags)
{
	evr_flight_complete(&p->flight, op, res, flags,
			    !(flags & IORING_CQE_F_MORE));
	p->nr_reported++;
	p->stats->op_events++;
}

/* Of a ring that goes: what is ready will be asked for again. */
static void last_answer(void *arg, uint64_t user_data, int res, unsigned flags)
{
	struct evr_poll *p = arg;
	struct evring_op *op = op_of(user_data);

	if (op)
		op_answered(p, op, res, flags);
	else if (tag_of(user_data) == TAG_END && res != -EINVAL)
		p->nr_unanswered--;
}

/* As many as there is memory to remember. */
static unsigned reap(struct evr_poll *p, evr_ring_complete *answer)
{
	unsigned max = UINT_MAX;

	if (evr_flight_has_any(&p->flight))
		max = evr_flight_reserve(&p->flight,
					 evr_ring_nr_ready(&p->ring));
	return evr_ring_reap(&p->ring, max, answer, p);
}

/*
 * messages
 *
 * A loop that has ports has a waker, one for each ring it gets, through which
 * others wake it: by a message, whose completion is TAG_WAKE, or by the
 * eventfd, on which a poll request is kept.  Neither says what is to be heard,
 * nor for whom; all ports are looked at, and one time too many is no harm.
 *
 * A loop that wakes others puts the messages into its own next enter.  They are
 * prepared at the beginning of the turn, so that they do not come into the
 * middle of a chain of linked requests, and answer only when they fail.  The
 * wakers are held until the kernel has taken the requests.
 */

static int make_waker(struct evr_poll *p)
{
	int r = evr_waker_new(&p->waker, p->ring.uring.ring_fd,
			      p->ring.config.have, make_tag(TAG_WAKE, 0));

	if (r < 0)
		return r;
	p->ring.stand_in = evr_waker_event_fd(p->waker);
	evr_ports_set_waker(&p->ports, p->waker);
	return 0;
}

/* The ring is closed. */
static void drop_waker(struct evr_poll *p)
{
	if (!p->waker)
		return;
	evr_ports_set_waker(&p->ports, NULL);
	evr_waker_retire(p->waker, p->ring.stand_in >= 0);
	p->waker = NULL;
	p->is_listening = false;
}

static void gather_messages(struct evr_poll *p, enum evr_look look)
{
	p->nr_reported += (int)evr_ports_gather(&p->ports, look);
}

/* False: no SQE to be had. */
static bool listen_for_waker(struct evr_poll *p)
{
	struct io_uring_sqe *sqe;

	if (evr_likely(!p->waker || p->is_listening))
		return true;
	sqe = evr_ring_get_sqe(&p->ring);
	if (!sqe)
		return false;
	io_uring_prep_poll_add(sqe, evr_waker_event_fd(p->waker), EPOLLIN);
	sqe->user_data = make_tag(TAG_LISTEN, 0);
	p->is_listening = true;
	return true;
}

/* A message could not be sent. */
static void wake_otherwise(unsigned idx)
{
	struct evr_waker *waker = evr_waker_at(idx);

	if (!waker || !evr_waker_get(waker))
		return; /* that ring is gone, and its ports were looked at */
	evr_waker_wake_by_event(waker);
	evr_waker_put(waker);
}

/* Returns whether it was about messages. */
static bool message_answered(struct evr_poll *p, unsigned tag,
			     uint64_t user_data)
{
	switch (tag) {
	case TAG_LISTEN:
		p->is_listening = false;
		evr_waker_heard(p->waker);
		/* fall through */
	case TAG_WAKE:
		gather_messages(p, EVR_WOKEN);
		return true;
	case TAG_SEND:
		wake_otherwise((unsigned)fd_of(user_data));
		return true;
	default:
		return false;
	}
}

/* The same of a request that the kernel will not see. */
static bool undo_message(struct evr_poll *p, unsigned tag, uint64_t user_data)
{
	if (tag == TAG_LISTEN)
		p->is_listening = false;
	else if (tag == TAG_SEND)
		wake_otherwise((unsigned)fd_of(user_data));
	else
		return false;
	return true;
}

static bool is_to_be_woken(const struct evr_poll *p,
			   const struct evr_waker *waker)
{
	unsigned i;

	for (i = p->nr_sent; i < p->nr_wakes; i++)
		if (p->wakes[i] == waker)
			return true;
	return false;
}

/* A parent's ring has no next turn here. */
static bool has_next_turn(const struct evr_poll *p)
{
	return !p->lost && evr_ring_is_mapped(&p->ring);
}

bool evr_poll_wake_later(struct evr_poll *p, struct evr_waker *waker)
{
	if (waker == p->waker || is_to_be_woken(p, waker)) {
		evr_waker_put(waker); /* every turn looks at its own ports */
		return true;
	}
	if (!(p->ring.config.have & EVR_HAVE_MSG_RING) ||
	    p->ring.config.restricted || !evr_waker_takes_messages(waker) ||
	    !has_next_turn(p) || p->nr_wakes == MAX_WAKES)
		return false;
	p->wakes[p->nr_wakes++] = waker;
	return true;
}

/* Once the kernel has the requests the numbers in them do not matter. */
static void put_sent(struct evr_poll *p)
{
	unsigned i, nr = p->nr_sent;

	for (i = 0; i < nr; i++)
		evr_waker_put(p->wakes[i]);
	p->nr_wakes -= nr;
	p->nr_sent = 0;
	for (i = 0; i < p->nr_wakes; i++)
		p->wakes[i] = p->wakes[i + nr];
}

static bool send_wake(struct evr_poll *p, const struct evr_waker *waker)
{
	struct io_uring_sqe *sqe = evr_ring_get_sqe(&p->ring);

	if (!sqe)
		return false;
	io_uring_prep_msg_ring(sqe, evr_waker_ring_fd(waker), 0,
			       evr_waker_user_data(waker), 0);
	sqe->flags = IOSQE_CQE_SKIP_SUCCESS;
	sqe->user_data = make_tag(TAG_SEND, (int)evr_waker_idx(waker));
	return true;
}

static void send_wakes(struct evr_poll *p)
{
	for (; p->nr_sent < p->nr_wakes; p->nr_sent++)
		if (!send_wake(p, p->wakes[p->nr_sent]))
			evr_waker_wake(p->wakes[p->nr_sent]);
}

/* There is no next turn of this ring.  A parent's wakes are the parent's. */
static void end_wakes(struct evr_poll *p)
{
	if (evr_ring_is_mapped(&p->ring)) {
		for (; p->nr_sent < p->nr_wakes; p->nr_sent++)
			evr_waker_wake(p->wakes[p->nr_sent]);
		put_sent(p);
	}
	p->nr_wakes = p->nr_sent = 0;
}

int evr_poll_add_port(struct evr_poll *p, struct evring_port *port)
{
	int r;

	if (!ready_ring(p))
		return -ENXIO;
	r = p->waker ? 0 : make_waker(p);
	if (r < 0)
		return r;
	evr_ports_add(&p->ports, port);
	return 0;
}

/*
 * losing and replacing the ring
 */

/* What the kernel was to be told about the set, and was not.  Operations can
   wait for the next turn. */
static bool undo(void *arg, uint64_t user_data)
{
	struct evr_poll *p = arg;
	unsigned tag = tag_of(user_data) & ~(unsigned)TAG_RETRY;

	if (op_of(user_data) || tag == TAG_CANCEL)
		return true;
	if (undo_message(p, tag, user_data))
		return false;
	if (tag == TAG_HOME) {
		p->state = IDLE;
	} else if (tag == TAG_LEAVE) {
		p->broken |= p->state == LEAVING; /* it asks the old set */
	} else if (tag != TAG_FINISH) {
		p->hand_over = true;
		p->fds[fd_of(user_data)].under_way = 0;
		change_afresh(p, fd_of(user_data));
	}
	return false;
}

/* Empty the SQ of changes: libev's backend makes them. */
static void take_back(struct evr_poll *p)
{
	evr_ring_take_back(&p->ring, undo, p);
	p->look = true; /* hints may not have been taken */
}

static bool undo_op(void *arg, uint64_t user_data)
{
	struct evr_poll *p = arg;
	struct evring_op *op = op_of(user_data);

	if (op)
		evr_flight_complete(&p->flight, op, -ECANCELED, 0, true);
	return false;
}

/* Another thread cannot wait for what is under way, and a child need not. */
static void finish_changes(struct evr_poll *p)
{
	bool is_ours = evr_ring_is_ours(&p->ring);
	int fd;

	for (fd = 0; fd < p->nr_fds; fd++) {
		if (is_ours && finish_sent_change(p, fd))
			change_afresh(p, fd);
		p->fds[fd].under_way = 0;
	}
}

/*
 * operations in flight when the ring goes
 *
 * The kernel is asked to cancel them, and tells what became of each: in a ring
 * of ours.  Of another thread's, and of one that refuses to be entered, only
 * what it has told already is known.  Of a parent's, nothing: there they go on.
 */

/* Before Linux 5.19 one by one.  What cannot be cancelled now may be later. */
static int cancel_ops(struct evr_poll *p)
{
	const uint64_t tag = make_tag(TAG_END, 0);
	struct io_uring_sqe *sqe;
	struct evring_op *op;
	int r;

	if (p->ring.config.have & EVR_HAVE_COOP_TASKRUN) { /* of 5.19, too */
		r = evr_ring_cancel_all(&p->ring, tag);
		p->nr_unanswered += r >= 0;
		return r;
	}
	for (op = p->flight.ops; op; op = op->next) {
		sqe = evr_ring_get_sqe(&p->ring);
		if (!sqe)
			return -EAGAIN;
		io_uring_prep_cancel64(sqe, tag_of_op(op), 0);
		sqe->user_data = tag;
		p->nr_unanswered++;
	}
	return 0;
}

/*
 * r is what the last wait said, and what this one says is returned.  To cancel
 * takes no time, so that an answer which is not there never comes: the request
 * waits behind one with IOSQE_IO_DRAIN.  Or the kernel does not know it
 * (-EINVAL, not counted as an answer).  Closing the ring ends all, too.
 */
static int end_some_ops(struct evr_poll *p, int r, int64_t pause)
{
	if (r == -ETIME)
		r = p->nr_unanswered ? -EBUSY : cancel_ops(p);
	if (!is_refusal(r))
		r = evr_ring_wait(&p->ring, pause);
	if (!reap(p, last_answer) && evr_ring_nr_ready(&p->ring))
		return -ENOMEM;
	return r;
}

static void end_ops(struct evr_poll *p)
{
	static const int64_t longest = 100000000;
	int64_t pause = 1000000;
	int r = -ETIME;

	p->nr_unanswered = 0;
	while (evr_flight_has_any(&p->flight) && !is_refusal(r)) {
		r = end_some_ops(p, r, pause);
		pause = pause < longest ? pause * 2 : longest;
	}
}

static void drop_ops(struct evr_poll *p)
{
	if (!evr_ring_is_mapped(&p->ring))
		return;
	evr_ring_take_back(&p->ring, undo_op, p);
	reap(p, last_answer);
	if (evr_ring_is_ours(&p->ring) && !p->has_lost_answers)
		end_ops(p);
}

/* (In a forked child the parent will do what the ring did not do yet.) */
static void drop_ring(struct evr_poll *p)
{
	if (evr_ring_is_mapped(&p->ring))
		take_back(p);
	end_wakes(p);
	finish_changes(p);
	if (evr_flight_has_any(&p->flight))
		drop_ops(p);
	end_edges(p);
	if (evr_flight_has_any(&p->flight) && evr_ring_is_mapped(&p->ring))
		evr_ring_exit_and_wait(&p->ring);
	else
		evr_ring_exit(&p->ring);
	drop_waker(p);
	evr_flight_cancel(&p->flight);
}

/* What is a level among the counters. */
static void end_levels(struct evr_poll *p)
{
	p->stats->napi_queues = 0;
	p->stats->restricted = 0;
}

static void set_lost(struct evr_poll *p)
{
	p->lost = true;
	p->stats->rings_lost++;
	end_levels(p);
	p->nr_reported += (int)evr_ports_end(&p->ports);
}

/* Out of what it takes to go on: libev's backend will. */
static void lose_ring(struct evr_poll *p)
{
	drop_ring(p);
	set_lost(p);
}

void evr_poll_free(struct evr_poll *p)
{
	if (!p)
		return;
	if (!p->lost)
		drop_ring(p);
	end_levels(p);
	evr_flight_invoke(&p->flight);
	evr_flight_exit(&p->flight);
	evr_ports_end_now(&p->ports);
	free(p->events);
	free(p->changes);
	free(p->fds);
	free(p->always);
	free(p->marks);
	free(p);
}

/* A ring for this process and thread, in place of one that cannot be used. */
static void replace_ring(struct evr_poll *p)
{
	struct evr_ring_config config = p->ring.config;

	p->is_set_parents |= !evr_ring_is_mapped(&p->ring);
	drop_ring(p);
	p->broken = false;
	p->has_lost_answers = false;
	p->stats->ring_rebuilds++;
	if (make_ring(p, config) < 0)
		set_lost(p);
	else if (p->ports.first && make_waker(p) < 0)
		lose_ring(p);
}

/* The answer to any change may have been lost. */
static void change_all_afresh(struct evr_poll *p)
{
	int fd;

	for (fd = 0; fd < p->nr_fds; fd++)
		change_afresh(p, fd);
}

/* Errors of an enter that may be gone in the next turn. */
static bool will_pass(int error)
{
	return error == -EAGAIN || error == -EBUSY || error == -ENOMEM;
}

/*
 * The kernel refused an enter: what it was to change is changed by libev.  A
 * ring that worked, and will not any more, may be replaced by one that does;
 * one that never did would not be the last.
 */
static void survive(struct evr_poll *p, int error)
{
	bool lost_answers =
		error == -EBADR || (evr_ring_is_mapped(&p->ring) &&
				    evr_ring_has_overflown(&p->ring));

	p->has_lost_answers |= error == -EBADR;
	if (will_pass(error))
		take_back(p);
	else if (p->ring.has_worked && !p->hopeless)
		replace_ring(p);
	else
		lose_ring(p);
	if (lost_answers)
		change_all_afresh(p);
}

static bool ready_ring(struct evr_poll *p)
{
	if (evr_unlikely(p->lost))
		return false;
	if (evr_unlikely(p->broken || p->hopeless))
		survive(p, -EBADFD);
	else if (evr_unlikely(!evr_ring_is_ours(&p->ring)))
		replace_ring(p);
	return !p->lost;
}

bool evr_poll_modify(struct evr_poll *p, int fd, int oev, int nev)
{
	struct evr_fd *state;

	if (!ready_ring(p))
		return false;
	state = fd_state(p, fd);
	if (!state) {
		p->hopeless = true;
		return false;
	}
	if (nev)
		start_fd(p, state, fd, oev, nev);
	else
		stop_fd(p, state, fd);
	return true;
}

/*
 * events
 */

/* An event that nobody wants: stop it.  libev's backend does the same. */
static void restrict_fd(struct evr_poll *p, int fd, unsigned want)
{
	struct evr_anfd *anfd = evr_host_anfd(&p->host, fd);

	set_emask(p, fd, want ? (int)want | (anfd->emask & EVR_EMASK_EDGE) : 0);
	if (want)
		anfd->egen++;
	if (!has_epoll_ctl(p) || !queue_change(p, want ? TAG_MOD : TAG_DEL, fd))
		p->hand_over = true;
}

static unsigned events_of(uint32_t epoll_events)
{
	return (epoll_events & (EPOLLOUT | EPOLLERR | EPOLLHUP) ? EV_WRITE
								: 0) |
	       (epoll_events & (EPOLLIN | EPOLLERR | EPOLLHUP) ? EV_READ : 0);
}

static void report(struct evr_poll *p, int fd, unsigned events)
{
	p->host.layout->feed_fd_event(p->host.loop, fd, (int)events);
	p->nr_reported++;
	p->has_told = true;
	p->stats->events++;
}

/* May a change of what the set says of fd be under way (trap i)? */
static bool is_changing(const struct evr_poll *p, int fd)
{
	return fd < p->nr_fds && p->fds[fd].under_way &&
	       p->fds[fd].under_way != TAG_DEL;
}

/*
 * An event of another generation: of a file that was closed here only, or of a
 * change that is overdue.
 */
static void handle_foreign(struct evr_poll *p, int fd)
{
	if (!is_changing(p, fd)) {
		p->hand_over = true;
		return;
	}
	finish_change(p, fd);
	if (want_of(evr_host_anfd(&p->host, fd)))
		change_afresh(p, fd);
	else
		restrict_fd(p, fd, 0);
	p->again = true;
}

static void handle_event(struct evr_poll *p, const struct epoll_event *event)
{
	int fd = (int)(uint32_t)event->data.u64;
	struct evr_anfd *anfd;
	unsigned want;

	if (evr_unlikely(fd < 0 || fd >= evr_host_nr_fds(&p->host))) {
		p->hand_over = true; /* not put there by libev */
		return;
	}
	anfd = evr_host_anfd(&p->host, fd);
	if (evr_unlikely(anfd->egen != (uint32_t)(event->data.u64 >> 32))) {
		handle_foreign(p, fd);
		return;
	}
	if (is_changing(p, fd))
		p->fds[fd].under_way = 0; /* it was made */
	want = want_of(anfd);
	if (evr_unlikely(!want || event->events & (EPOLLIN | EPOLLOUT) &
					  ~epoll_mask(want)))
		restrict_fd(p, fd, want);
	if (evr_likely(!anfd->reify))
		report(p, fd, events_of(event->events) & want);
	else if (is_edge(anfd))
		have_libev_change(anfd); /* trap k */
}

/* What has been read from has had a packet. */
static void ask_for_queues(struct evr_poll *p, unsigned nr)
{
	unsigned i;
	int fd;

	for (i = 0; i < nr; i++) {
		fd = (int)(uint32_t)p->events[i].data.u64;
		if (!(p->events[i].events & EPOLLIN) || fd < 0 ||
		    fd >= p->nr_fds || p->fds[fd].is_asked ||
		    evr_host_anfd(&p->host, fd)->egen !=
			    (uint32_t)(p->events[i].data.u64 >> 32))
			continue;
		p->fds[fd].is_asked = true;
		evr_napi_ask(&p->napi, &p->ring, fd);
	}
}

static void handle_events(struct evr_poll *p, unsigned nr)
{
	unsigned i;

	if (evr_unlikely(evr_napi_is_on(&p->napi)))
		ask_for_queues(p, nr);
	for (i = 0; i < nr; i++)
		handle_event(p, &p->events[i]);
	if (evr_unlikely(nr == p->nr_events && nr < MAX_EVENTS))
		(void)resize_events(p, nr * 2);
}

/* Regular files: every turn (trap f). */
static void report_always(struct evr_poll *p)
{
	int i;

	for (i = p->nr_always; i--;) {
		int fd = p->always[i];
		struct evr_anfd *anfd = evr_host_anfd(&p->host, fd);

		if (!(anfd->emask & EVR_EMASK_EPERM) || !want_of(anfd)) {
			p->always[i] = p->always[--p->nr_always];
			p->hand_over = true; /* libev has a list, too */
		} else if (!anfd->reify)
			report(p, fd, want_of(anfd));
	}
}

/*
 * the request that asks the set
 */

static void prep_epoll_wait(struct evr_poll *p, struct io_uring_sqe *sqe)
{
	io_uring_prep_rw(EVR_OP_EPOLL_WAIT, sqe, evr_host_home(&p->host),
			 p->events, p->nr_events, 0);
}

static void prep_poll(struct evr_poll *p, struct io_uring_sqe *sqe)
{
	if (p->ring.config.have & EVR_HAVE_MULTISHOT_POLL)
		io_uring_prep_poll_multishot(sqe, evr_host_home(&p->host),
					     EPOLLIN);
	else
		io_uring_prep_poll_add(sqe, evr_host_home(&p->host), EPOLLIN);
}

/* Unless nothing is watched.  False: no SQE to be had. */
static bool arm_home(struct evr_poll *p)
{
	struct io_uring_sqe *sqe;

	if (p->state != IDLE || !p->nr_watched)
		return true;
	sqe = evr_ring_get_sqe(&p->ring);
	if (evr_unlikely(!sqe))
		return false;
	if (evr_likely(p->in_ring))
		prep_epoll_wait(p, sqe);
	else
		prep_poll(p, sqe);
	sqe->user_data = make_tag(TAG_HOME, 0);
	p->state = ARMED;
	return true;
}

static void home_answered(struct evr_poll *p, int res, unsigned flags)
{
	bool left = p->state == LEAVING;

	if (!(flags & IORING_CQE_F_MORE))
		p->state = IDLE;
	if (left) {
		p->stats->stale_completions++; /* about the old set */
		p->again = true;
		if (p->in_ring && res > 0) /* or about this one, after all */
			end_edges(p);
	} else if (!p->in_ring) {
		p->look = true;
	} else if (evr_unlikely(p->is_collecting)) {
		p->again = true;
	} else if (res >= 0) {
		handle_events(p, (unsigned)res);
	} else if (res == -EAGAIN) {
		/* Others were faster too often.  How long that took is not
		   known, so do not sleep any more. */
		p->nr_reported++;
		p->again = true;
	} else {
		p->hand_over = true;
		p->in_ring = false; /* this kernel says no: poll the fd */
	}
}

/*
 * one turn
 */

static void complete(void *arg, uint64_t user_data, int res, unsigned flags)
{
	struct evr_poll *p = arg;
	struct evring_op *op = op_of(user_data);
	unsigned tag = tag_of(user_data);

	if (op)
		op_answered(p, op, res, flags);
	else if (evr_likely(tag == TAG_HOME))
		home_answered(p, res, flags);
	else if (tag == TAG_LEAVE)
		p->again |= p->state == LEAVING; /* its target is yet to come */
	else if (tag == TAG_FINISH)
		p->again = true;
	else if (message_answered(p, tag, user_data))
		return;
	else if (res < 0 && tag != TAG_CANCEL)
		change_failed(p, tag, fd_of(user_data), res);
}

/* Nanoseconds, rounded up: a timer must have expired after the wait. */
static int64_t to_ns(double seconds)
{
	return seconds < 1e9 ? (int64_t)(seconds * 1e9) + 1
			     : (int64_t)1000000000 * 1000000000;
}

/* What comes, or a timer, may end it without a system call. */
static int spin_in_ring(struct evr_poll *p, double timeout)
{
	uint64_t enters = p->stats->enters;
	int r = evr_spin_wait(&p->spin, &p->ring, to_ns(timeout));

	p->called |= p->stats->enters != enters;
	return r;
}

static int enter_ring(struct evr_poll *p, double timeout)
{
	if (timeout <= 0. && !evr_ring_has_unsent(&p->ring) &&
	    !evr_ring_has_news(&p->ring))
		return 0;
	if (timeout > 0. && evr_unlikely(evr_spin_is_on(&p->spin)) &&
	    p->interval <= 0.)
		return spin_in_ring(p, timeout);
	p->called = true;
	return timeout > 0. ? evr_ring_wait(&p->ring, to_ns(timeout))
			    : evr_ring_submit(&p->ring);
}

/* What came in an enter that returned r. */
static int take_answers(struct evr_poll *p, int r)
{
	unsigned nr;

	if (evr_unlikely(!evr_ring_is_mapped(&p->ring)))
		return -EINTR; /* trap h */
	nr = reap(p, complete);
	while (evr_unlikely(nr && evr_ring_has_overflown(&p->ring) &&
			    !is_refusal(r))) {
		r = evr_ring_submit(&p->ring);
		nr = reap(p, complete);
	}
	return r;
}

/* False: no SQE to be had. */
static bool arm(struct evr_poll *p)
{
	return arm_home(p) && listen_for_waker(p);
}

/* A watcher that was stopped meanwhile has lost what this turn reported. */
static void acquire(struct evr_poll *p)
{
	evr_host_acquire(&p->host);
	if (evr_unlikely(p->has_edges && p->has_told) &&
	    evr_host_is_shared(&p->host))
		ask_where_changed(p);
}

/* Submit, sleep for up to timeout, take what came. */
static int ask_ring(struct evr_poll *p, double timeout)
{
	int r = 0;

	if (!arm(p))
		return take_answers(p, -EAGAIN);
	evr_host_release(&p->host);
	if (evr_likely(evr_ring_is_mapped(&p->ring))) /* trap h */
		r = enter_ring(p, timeout);
	acquire(p);
	return take_answers(p, r);
}

/* Ask the set itself.  The answer, or -errno, is for take_look(). */
static int look(struct evr_poll *p)
{
	int nr;

	if (evr_unlikely(!evr_ring_is_mapped(&p->ring)))
		return -EINTR; /* traps h, k: what it has is the parent's */
	nr = epoll_wait(evr_host_home(&p->host), p->events, (int)p->nr_events,
			0);
	return nr < 0 ? -errno : nr;
}

/* What look() said, in a process that has the ring. */
static bool take_look(struct evr_poll *p, int nr)
{
	p->called = true;
	p->stats->looks++;
	p->look = nr > 0; /* where there is something, there may be more */
	if (nr > 0)
		handle_events(p, (unsigned)nr);
	else if (evr_unlikely(nr < 0 && nr != -EINTR))
		p->hand_over = true; /* no set any more: libev says so */
	return nr > 0;
}

/* The polled form: what the poll request hinted at, exactly. */
static bool look_at_home(struct evr_poll *p)
{
	int nr;

	evr_host_release(&p->host);
	nr = look(p);
	acquire(p);
	if (evr_unlikely(!evr_ring_is_mapped(&p->ring)))
		return true; /* trap h */
	return take_look(p, nr);
}

/*
 * Polled, and the set may have something: must the ring be asked before?  What
 * it has to say may be no more than hints, which are worth no system call.  It
 * may also be of operations; or, rarely, of changes that failed late (trap i).
 */
static bool is_ring_first(struct evr_poll *p)
{
	if (evr_ring_has_unsent(&p->ring) || p->state == IDLE)
		return true;
	if (!evr_ring_has_news(&p->ring))
		return false;
	if (!evr_flight_has_any(&p->flight) && ++p->nr_passed < MAX_PASSED)
		return false;
	p->nr_passed = 0;
	return true;
}

/*
 * Polled, while there is reason to look: send what must be sent, look; if that
 * was in vain, take the hints that are stale by now, or they would end the wait
 * at once.  Returns true when this turn is over.
 */
static bool look_before_waiting(struct evr_poll *p, int *r)
{
	*r = 0;
	if (is_ring_first(p))
		*r = ask_ring(p, 0.);
	else /* a change that was flushed may have failed */
		reap(p, complete);
	if (*r < 0 || p->again || look_at_home(p))
		return true;
	*r = ask_ring(p, 0.);
	return *r < 0 || p->again || (p->look && look_at_home(p));
}

static int turn_polled(struct evr_poll *p, double timeout)
{
	int r;

	if (p->look && look_before_waiting(p, &r))
		return r;
	r = ask_ring(p, p->nr_reported ? 0. : timeout);
	if (p->look)
		look_at_home(p);
	return r;
}

/* May the set be asked before the ring?  The ring has nothing to say, and
   nothing to be told, and is not asking the set itself. */
static bool may_look_first(const struct evr_poll *p)
{
	return p->state == IDLE && p->nr_watched &&
	       !evr_ring_has_unsent(&p->ring) && !evr_ring_has_news(&p->ring);
}

/* The set, and if it has nothing the ring: one wait for the callbacks.  After
   the acquire callback, which may start a timer, we do not sleep again. */
static int ask_set_and_ring(struct evr_poll *p, double timeout)
{
	int nr, r = 0;

	evr_host_release(&p->host);
	nr = look(p);
	if (nr <= 0 && evr_likely(evr_ring_is_mapped(&p->ring)))
		r = arm(p) ? enter_ring(p, timeout) : -EAGAIN;
	acquire(p);
	if (evr_unlikely(!evr_ring_is_mapped(&p->ring)))
		return -EINTR; /* trap h */
	evr_engine_learn(&p->engine, nr > 0);
	return take_look(p, nr) ? 0 : take_answers(p, r);
}

static int turn_in_ring(struct evr_poll *p, double timeout)
{
	if (may_look_first(p) && evr_engine_asks_set(&p->engine))
		return ask_set_and_ring(p, timeout);
	return ask_ring(p, timeout);
}

static int ask(struct evr_poll *p, double timeout)
{
	int r;

	do {
		p->again = false;
		if (p->nr_reported || p->nr_always)
			timeout = 0.;
		r = p->in_ring ? turn_in_ring(p, timeout)
			       : turn_polled(p, timeout);
		if (evr_unlikely(p->broken || p->hopeless))
			return -EBADFD;
	} while (evr_unlikely(p->again) && r >= 0);
	return r;
}

/*
 * collecting
 *
 * As after ev_set_io_collect_interval(), a turn that blocks begins with a sleep
 * for the rest of the interval, and only then asks what is ready.  But where
 * nothing is ready then, the same wait goes on.
 */

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

/* Is there something to report, or a reason to ask for it? */
static bool has_reason_to_ask(const struct evr_poll *p)
{
	return p->again || p->nr_reported || p->nr_always ||
	       (!p->in_ring && p->look);
}

/* At least min, and if nothing comes meanwhile up to timeout. */
static int sleep_in_ring(struct evr_poll *p, double min, double timeout)
{
	int r = 0;

	if (!arm(p))
		return take_answers(p, -EAGAIN);
	evr_host_release(&p->host);
	if (evr_likely(evr_ring_is_mapped(&p->ring))) {
		p->called = true;
		r = evr_ring_collect(&p->ring, to_ns(timeout), to_ns(min),
				     p->in_ring ? p->nr_collected : 0);
	}
	acquire(p);
	p->is_collecting = true;
	r = take_answers(p, r);
	p->is_collecting = false;
	return r;
}

/*
 * Sleep for the rest of the interval.  Returns true when that was the whole
 * turn, and *r what ended it; else what is left of *timeout is still to come.
 * A signal within the interval ends only the sleep, as with libev.
 */
static bool collect(struct evr_poll *p, double *timeout, int *r)
{
	double start = now(), took;
	double min = p->interval - (start - p->last_end);

	if (min > *timeout)
		min = *timeout; /* timers stay exact */
	if (min < 1e-6)
		return false;
	p->again = false;
	*r = sleep_in_ring(p, min, has_reason_to_ask(p) ? min : *timeout);
	took = now() - start;
	*timeout = took < *timeout ? *timeout - took : 0.;
	if (is_refusal(*r) || !evr_ring_is_mapped(&p->ring))
		return true;
	return !has_reason_to_ask(p) && *r != -ETIME && took >= min;
}

static int collect_and_ask(struct evr_poll *p, double *timeout)
{
	int r = 0;

	if (*timeout <= 0. || !collect(p, timeout, &r))
		r = ask(p, *timeout);
	p->last_end = now();
	return r;
}

/* Where one completion is enough there is nothing to collect. */
int evr_poll_set_collect(struct evr_poll *p, double seconds, unsigned events)
{
	unsigned have = p->ring.config.have;
	int r = 1;

	if (p->lost)
		return -EINVAL;
	if (seconds > 0.)
		r = evr_probe_min_wait(have);
	if (r <= 0)
		return r < 0 ? r : -ENOTSUP;
	if (seconds > 0. && events != 1 && p->has_edges && ready_ring(p))
		end_edges(p); /* trap j drops events */
	if (p->interval <= 0.)
		p->last_end = now();
	p->interval = events == 1 ? 0. : seconds;
	p->nr_collected = events;
	return 0;
}

/* In a child the next ring will have a view. */
int evr_poll_set_spin(struct evr_poll *p, double seconds)
{
	int r = 0;

	if (p->lost)
		return -EINVAL;
	if (seconds != 0. && evr_ring_is_mapped(&p->ring))
		r = evr_ring_open_view(&p->ring);
	if (r < 0)
		return r;
	evr_spin_set(&p->spin, seconds);
	if (!evr_spin_is_on(&p->spin))
		evr_ring_close_view(&p->ring);
	return 0;
}

/* The ring hears of it in the next turn. */
int evr_poll_set_napi(struct evr_poll *p, double seconds)
{
	int fd;

	if (p->lost)
		return -EINVAL;
	if (!(p->ring.config.have & EVR_HAVE_NAPI))
		return seconds > 0. ? -ENOTSUP : 0;
	if (!evr_napi_is_on(&p->napi))
		for (fd = 0; fd < p->nr_fds; fd++)
			p->fds[fd].is_asked = false;
	evr_napi_set(&p->napi, seconds);
	return 0;
}

double evr_poll_napi(const struct evr_poll *p)
{
	return p->napi.usec * 1e-6;
}

/*
 * libev's backend looks, and has the whole turn when the ring was refused: all
 * changes are made by now.
 */
static void let_libev_look(struct evr_poll *p, int r, double timeout)
{
	if (!is_refusal(r) || p->nr_reported || p->nr_always ||
	    evr_flight_is_pending(&p->flight))
		timeout = 0.;
	else if (timeout > LOOK_AGAIN &&
		 (evr_flight_has_any(&p->flight) || p->ports.first))
		timeout = LOOK_AGAIN; /* the ring may be entered by then */
	p->stats->handed_over++;
	if (timeout > 0.)
		p->last_end = 0.; /* a signal may end the wait unheard */
	end_edges(p);
	evr_host_poll(&p->host, timeout);
}

/* Of others to us, and of us to others. */
static void begin_messages(struct evr_poll *p)
{
	gather_messages(p, EVR_BEFORE_SLEEP);
	if (p->nr_wakes > p->nr_sent)
		send_wakes(p);
}

static void end_messages(struct evr_poll *p)
{
	if (p->lost) /* in this turn, or before it */
		gather_messages(p, EVR_WOKEN);
	else if (p->nr_sent && evr_ring_is_mapped(&p->ring) /* trap h */ &&
		 !evr_ring_has_unsent(&p->ring))
		put_sent(p);
}

bool evr_poll_turn(struct evr_poll *p, double timeout)
{
	bool is_ready;
	int r = -ENXIO;

	p->stats->turns++;
	p->nr_reported = 0;
	p->hand_over = false;
	p->called = false;
	p->has_told = false;
	is_ready = ready_ring(p);  /* a ring that goes ends its operations */
	p->is_set_parents = false; /* libev has made a new one */
	p->nr_reported += evr_flight_is_pending(&p->flight);
	if (evr_likely(is_ready)) {
		begin_messages(p);
		if (evr_unlikely(evr_napi_has_work(&p->napi)))
			evr_napi_tell(&p->napi, &p->ring);
		r = evr_unlikely(p->interval > 0.)
			    ? collect_and_ask(p, &timeout)
			    : ask(p, timeout);
		if (evr_unlikely(is_refusal(r)))
			survive(p, r);
	}
	end_messages(p);
	p->stats->waits_avoided += !p->called;
	report_always(p);
	if (evr_unlikely(p->hand_over || is_refusal(r)) &&
	    (!is_ready || p->lost || evr_ring_is_mapped(&p->ring)))
		let_libev_look(p, r, timeout); /* not in a child: trap h */
	return !p->lost;
}

/*
 * operations
 */

/* A ring that takes operations.  (The kernel would refuse a restricted one's,
   but as late as in the turn.) */
static int ready_for_ops(struct evr_poll *p)
{
	if (evr_unlikely(!ready_ring(p)))
		return -ENXIO;
	return evr_unlikely(p->ring.config.restricted) ? -EACCES : 0;
}

/* One that may be given requests which name memory. */
static int ready_guarded_ring(struct evr_poll *p)
{
	int r = ready_for_ops(p);

	if (evr_unlikely(r < 0))
		return r;
	if (evr_likely(evr_ring_is_guarded(&p->ring)))
		return 0;
	return evr_ring_guard(&p->ring, p->nr_files);
}

/* What is submitted before the turn is asked before: the SQ will be, if it has
   not as much space. */
static void ask_before_flush(struct evr_poll *p, unsigned nr)
{
	if (evr_unlikely(evr_napi_is_on(&p->napi)) &&
	    evr_ring_space(&p->ring) < nr)
		evr_napi_tell(&p->napi, &p->ring);
}

/* Room for its last completion, and one for any other. */
int evr_poll_start(struct evr_poll *p, struct evring_op *op,
		   struct io_uring_sqe **ret_sqe)
{
	struct io_uring_sqe *sqe;
	int r = ready_guarded_ring(p);

	if (evr_unlikely(r < 0))
		return r;
	if (evr_unlikely(evr_flight_reserve(&p->flight, 2) < 2))
		return -ENOMEM;
	ask_before_flush(p, 1);
	sqe = evr_ring_get_sqe(&p->ring);
	if (evr_unlikely(!sqe))
		return -EAGAIN;
	sqe->user_data = tag_of_op(op);
	evr_flight_start(&p->flight, op);
	p->stats->ops++;
	*ret_sqe = sqe;
	return 0;
}

int evr_poll_park(struct evr_poll *p, struct evring_op *op)
{
	int r = ready_for_ops(p);

	if (evr_unlikely(r < 0))
		return r;
	if (evr_unlikely(!evr_flight_reserve(&p->flight, 1)))
		return -ENOMEM;
	evr_flight_park(&p->flight, op);
	return 0;
}

void evr_poll_wake(struct evr_poll *p, struct evring_op *op, int res)
{
	evr_flight_wake(&p->flight, op, res);
}

bool evr_poll_is_parked(const struct evring_op *op)
{
	return evr_flight_is_parked(op);
}

int evr_poll_cancel(struct evr_poll *p, struct evring_op *op)
{
	struct io_uring_sqe *sqe;

	if (evr_flight_is_parked(op)) {
		evr_poll_wake(p, op, -ECANCELED);
		return 0;
	}
	if (!evr_flight_has(op))
		return -ENOENT;
	if (!ready_ring(p) || !evr_flight_has(op))
		return 0; /* it was cancelled with its ring */
	sqe = evr_ring_get_sqe(&p->ring);
	if (!sqe)
		return -EAGAIN;
	io_uring_prep_cancel64(sqe, tag_of_op(op), 0);
	if (p->ring.config.have & EVR_HAVE_CQE_SKIP)
		sqe->flags = IOSQE_CQE_SKIP_SUCCESS;
	sqe->user_data = make_tag(TAG_CANCEL, 0);
	return 0;
}

int evr_poll_reserve(struct evr_poll *p, unsigned nr)
{
	int r = ready_for_ops(p);

	if (r < 0)
		return r;
	ask_before_flush(p, nr);
	return evr_ring_reserve(&p->ring, nr);
}

int evr_poll_set_files(struct evr_poll *p, unsigned nr)
{
	int r = ready_for_ops(p);

	if (r >= 0)
		r = evr_ring_guard(&p->ring, nr);
	if (r >= 0)
		p->nr_files = nr;
	return r;
}

/* Guarded, or the caller could take the table of files. */
int evr_poll_ring(struct evr_poll *p, struct io_uring **ret_ring)
{
	int r = ready_guarded_ring(p);

	if (r >= 0)
		*ret_ring = &p->ring.uring;
	return r;
}

uint64_t evr_poll_ring_id(const struct evr_poll *p)
{
	return p->ring_id;
}

unsigned evr_poll_have(const struct evr_poll *p)
{
	return p->ring.config.have;
}

enum evring_tier evr_poll_tier(const struct evr_poll *p)
{
	if (p->lost)
		return EVRING_TIER_NONE;
	return p->ring.region ? EVRING_TIER_REGION : EVRING_TIER_COPIED;
}

const struct evring_stats *evr_poll_stats(const struct evr_poll *p)
{
	return p->stats;
}
