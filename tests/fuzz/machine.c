/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * machine.c - one run of a program: a loop, its watchers, and a judge that
 * knows which reports are allowed.
 *
 * The judge asks poll(2) about every active watcher right before the loop asks
 * its backend: in a prepare watcher, and nothing happens in between.  What is
 * ready then is due: it must be reported in this turn, unless the watcher is
 * stopped first, and nothing else may be reported, but for what the program
 * fed itself.
 *
 * Stock libev is the oracle, and what it does is written down as a trace.  It
 * has freedom in these places, and the trace is compared without them:
 *
 * a) The order of watchers of one priority.  Either the watchers do nothing
 *    that others could see, and the trace is sorted; or (ORDERED) the machine
 *    calls what is pending in an order of its own.
 * b) When the set has an event of a file that was closed here and lives on,
 *    libev makes a new set, and calls fork watchers.  Which turn that happens
 *    in is not compared, unless the program asked for it by ev_loop_fork().
 * c) A file may return to an fd number at which the set still knows it, when
 *    another one was there in between and lives on.  epoll_ctl says EEXIST, and
 *    libev takes back the new generation: it then has that of the other file.
 *    It misses what is due for a turn, as the event looks too old, or reports
 *    an event of the other file.  An oracle that erred so is no measure for
 *    others.  They are judged all the same, unless they do exactly what it did.
 * d) A wait may end early for an event that nobody wants any more.
 * e) Turns that wait for time: do_sleep() is only looked at as a whole.
 *
 * What programs do not do, because the result is libev's to define and not
 * epoll's: close a file under an active watcher, or use a loop in a child
 * without ev_loop_fork().  libev aborts on the former when it notices.
 */
#include "config.h"

#include "machine.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* All that is newer than Linux 5.11; what needs these goes with them. */
#define ALL_FEATURES                                                           \
	"r-disabled,multishot-poll,cqe-skip,registered-ring,submit-all,"       \
	"coop-taskrun,single-issuer,no-iowait"

/* clang-format off */
const struct mode modes[] = {
	{ .name = "epoll", .is_stock = true },
	{ .name = "region" },
	{ .name = "copied",      .config = { .disable = "region" } },
	{ .name = "user-memory", .config = { .flags = EVRING_USER_REGION } },
	{ .name = "polled",      .config = { .disable = "epoll-wait" } },
	{ .name = "plain-ring",
	  .config = { .disable = "defer-taskrun,coop-taskrun" } },
	{ .name = "libev-ctl",   .config = { .disable = "epoll-ctl" } },
	{ .name = "tiny",        .config = { .entries = 4 } },
	{ .name = "oldest",      .config = { .disable = ALL_FEATURES } },
};
/* clang-format on */

const int nr_modes = ARRAY_SIZE(modes);

enum {
	MAX_CALLS = 100, /* of callbacks; later ones do nothing */
	MAX_DEPTH = 3,	 /* of turns in callbacks */
	MAX_FORKS = 2,	 /* children of children */
	MAX_WAITS = 30,	 /* in a nap: one for each stale entry, and room */
	CHILD_SECONDS = 5
};

static const double NAP = 0.0002;
static const double GUARD = 1.; /* when something is ready no wait ends so */

struct watcher {
	ev_io io;
	const struct body *body;
	int place;
	unsigned serial; /* of the place when it was set */
	int due;	 /* to be reported in this turn */
	int fed;	 /* by the program */
};

struct timer {
	ev_timer timer;
	const struct body *body;
};

static struct machine {
	const struct mode *mode;
	unsigned flags;
	struct trace *trace;
	struct ev_loop *loop;
	bool is_attached;

	struct watcher watchers[NR_WATCHERS];
	struct timer timers[NR_TIMERS];
	ev_async async;
	ev_fork fork;
	ev_prepare judge;

	int self; /* the watcher that was called, or SELF */
	int depth;
	int nr_forks;
	int nr_calls;
	int nr_reports;
	int nr_fork_calls;
	bool fork_is_due; /* in the next turn */
} m;

/*
 * the trace
 */

enum what { TURN, IO, TIMER, ASYNC, FORKED, RESULT, CHILD, PARENT, FLAW };

static void record(enum what what, int priority, int who, int value)
{
	struct trace *t = m.trace;

	if (t->nr < MAX_RECORDS)
		t->records[t->nr++] =
			(struct record){ .what = (uint8_t)what,
					 .priority = (int8_t)priority,
					 .who = (int16_t)who,
					 .value = value };
}

/* What comes after a flaw proves nothing: no more operations are done. */
static void note_flaw(enum flaw flaw, int who, int value)
{
	m.trace->flaws |= flaw;
	record(FLAW, (int)flaw, who, value);
}

static int compare_records(const void *a, const void *b)
{
	const struct record *r = a, *s = b;

	if (r->priority != s->priority)
		return s->priority - r->priority;
	if (r->what != s->what)
		return r->what - s->what;
	return r->who - s->who;
}

static bool is_report(const struct record *r)
{
	return r->what == IO || r->what == TIMER || r->what == ASYNC;
}

/* Reports of one turn: their order within a priority is free (freedom a). */
static void sort_reports(struct trace *t)
{
	int from, to;

	for (from = 0; from < t->nr; from = to + 1) {
		for (to = from; to < t->nr && is_report(&t->records[to]);)
			to++;
		qsort(t->records + from, (size_t)(to - from),
		      sizeof(t->records[0]), compare_records);
	}
}

bool traces_differ(const struct trace *a, const struct trace *b)
{
	return a->nr != b->nr || memcmp(a->records, b->records,
					(size_t)a->nr * sizeof(a->records[0]));
}

static const char *name_events(int events)
{
	static const char *const names[] = { "-", "READ", "WRITE",
					     "READ|WRITE" };

	return events & ~(EV_READ | EV_WRITE) ? "ERROR" : names[events & 3];
}

static void print_flaw(const struct record *r)
{
	switch (r->priority) {
	case SPURIOUS:
		printf("not so:  w%d %s\n", r->who, name_events(r->value));
		return;
	case MISSED:
		printf("missed:  w%d %s\n", r->who, name_events(r->value));
		return;
	case RESTLESS:
		printf("does not sleep\n");
		return;
	case OVERSLEPT:
		printf("waits, with something ready\n");
		return;
	case CHILD_DIED:
		printf("child died, status %d\n", r->value);
		return;
	default:
		printf("no ring: %d\n", r->value);
	}
}

static void print_record(const struct record *r)
{
	/* clang-format off */
	static const char *const texts[] = {
		[TURN] = "turn", [ASYNC] = "  async", [FORKED] = "  fork watcher",
		[CHILD] = "child {", [PARENT] = "}",
	};
	/* clang-format on */

	if (r->what == IO)
		printf("  w%d %s\n", r->who, name_events(r->value));
	else if (r->what == TIMER)
		printf("  timer %d\n", r->who);
	else if (r->what == RESULT)
		printf("    place %d: %d\n", r->who, r->value);
	else if (r->what == FLAW)
		print_flaw(r);
	else
		puts(texts[r->what]);
}

void print_trace(const struct trace *trace)
{
	int i;

	for (i = 0; i < trace->nr; i++)
		print_record(&trace->records[i]);
}

/*
 * the judge
 */

static bool is_watching(const struct watcher *w)
{
	return ev_is_active(&w->io);
}

static int events_of(short revents)
{
	return (revents & (POLLIN | POLLERR | POLLHUP) ? EV_READ : 0) |
	       (revents & (POLLOUT | POLLERR | POLLHUP) ? EV_WRITE : 0);
}

/* What poll(2) says about each watcher; how many have something to report. */
static int ask_poll(int ret_ready[NR_WATCHERS])
{
	struct pollfd polls[NR_WATCHERS];
	int i, nr_ready = 0;

	for (i = 0; i < NR_WATCHERS; i++) {
		polls[i].fd =
			is_watching(&m.watchers[i]) ? m.watchers[i].io.fd : -1;
		polls[i].events = POLLIN | POLLOUT;
		polls[i].revents = 0;
	}
	poll(polls, NR_WATCHERS, 0);
	for (i = 0; i < NR_WATCHERS; i++) {
		ret_ready[i] = polls[i].fd < 0
				       ? 0
				       : events_of(polls[i].revents) &
						 m.watchers[i].io.events;
		nr_ready += ret_ready[i] != 0;
	}
	return nr_ready;
}

/* What was due or fed, and never came. */
static void find_missed(void)
{
	struct watcher *w;
	int i;

	for (i = 0; i < NR_WATCHERS; i++) {
		w = &m.watchers[i];
		if (w->due | w->fed)
			note_flaw(MISSED, i, w->due | w->fed);
		w->due = w->fed = 0;
	}
}

static void judge(struct ev_loop *loop, ev_prepare *prepare, int revents)
{
	int ready[NR_WATCHERS];
	int i;

	(void)loop;
	(void)prepare;
	(void)revents;
	find_missed();
	ask_poll(ready);
	for (i = 0; i < NR_WATCHERS; i++)
		m.watchers[i].due = ready[i];
}

/*
 * what the loop calls
 */

static void run_body(const struct body *body, int self)
{
	int before = m.self;

	if (!body || m.nr_calls++ >= MAX_CALLS)
		return;
	m.self = self;
	body->run(body->arg);
	m.self = before;
}

static void on_io(struct ev_loop *loop, ev_io *io, int revents)
{
	struct watcher *w = (struct watcher *)io;
	int i = (int)(w - m.watchers);

	(void)loop;
	m.nr_reports++;
	record(IO, ev_priority(io), i, revents);
	if (revents & ~(w->due | w->fed))
		note_flaw(SPURIOUS, i, revents & ~(w->due | w->fed));
	w->due &= ~revents;
	w->fed &= ~revents;
	run_body(w->body, i);
}

static void on_timer(struct ev_loop *loop, ev_timer *timer, int revents)
{
	struct timer *t = (struct timer *)timer;

	(void)loop;
	(void)revents;
	m.nr_reports++;
	record(TIMER, ev_priority(timer), (int)(t - m.timers), 0);
	run_body(t->body, SELF);
}

static void on_async(struct ev_loop *loop, ev_async *async, int revents)
{
	(void)loop;
	(void)revents;
	m.nr_reports++;
	record(ASYNC, ev_priority(async), 0, 0);
}

/* Only what the program asked for (freedom b). */
static void on_fork(struct ev_loop *loop, ev_fork *fork_watcher, int revents)
{
	(void)loop;
	(void)fork_watcher;
	(void)revents;
	if (m.fork_is_due)
		record(FORKED, 0, 0, 0);
	m.fork_is_due = false;
	m.nr_fork_calls++;
}

static void on_time_out(struct ev_loop *loop, ev_timer *timer, int revents)
{
	(void)loop;
	(void)timer;
	(void)revents;
}

/*
 * the order of calls (freedom a)
 */

/* Every watcher whose callback may do something. */
static ev_watcher *nth_watcher(int i)
{
	if (i < NR_WATCHERS)
		return (ev_watcher *)&m.watchers[i].io;
	return (ev_watcher *)&m.timers[i - NR_WATCHERS].timer;
}

static ev_watcher *first_pending(void)
{
	ev_watcher *first = NULL, *w;
	int i;

	for (i = 0; i < NR_WATCHERS + NR_TIMERS; i++) {
		w = nth_watcher(i);
		if (ev_is_pending(w) &&
		    (!first || ev_priority(w) > ev_priority(first)))
			first = w;
	}
	return first;
}

/* libev's own watchers, the judge and others that only write down. */
static void call_the_rest(struct ev_loop *loop)
{
	int pending[NR_WATCHERS + NR_TIMERS];
	int i;

	for (i = 0; i < NR_WATCHERS + NR_TIMERS; i++)
		pending[i] = ev_clear_pending(loop, nth_watcher(i));
	ev_invoke_pending(loop);
	for (i = 0; i < NR_WATCHERS + NR_TIMERS; i++)
		if (pending[i])
			ev_feed_event(loop, nth_watcher(i), pending[i]);
}

static void call_in_order(struct ev_loop *loop)
{
	ev_watcher *w;

	call_the_rest(loop);
	while ((w = first_pending()))
		ev_invoke(loop, w, ev_clear_pending(loop, w));
	ev_invoke_pending(loop); /* the holes that clearing leaves */
}

/*
 * operations on files
 */

static bool is_ours_to_do(void)
{
	return !m.trace->flaws && (!m.depth || m.flags & ORDERED);
}

static int resolve(int place)
{
	if (place != SELF)
		return place;
	return m.self == SELF ? 0 : m.watchers[m.self].place;
}

static void stop_watcher(struct watcher *w)
{
	ev_io_stop(m.loop, &w->io);
	w->due = w->fed = 0;
}

static void stop_watchers_of(int place)
{
	int i;

	for (i = 0; i < NR_WATCHERS; i++)
		if (is_watching(&m.watchers[i]) && m.watchers[i].place == place)
			stop_watcher(&m.watchers[i]);
}

void do_open(enum kind kind, int place, int other)
{
	place = resolve(place);
	other = resolve(other);
	if (!is_ours_to_do())
		return;
	stop_watchers_of(place);
	if (world_has_two_ends(kind))
		stop_watchers_of(other);
	world_open(kind, place, other);
}

void do_close(int place)
{
	place = resolve(place);
	if (!is_ours_to_do())
		return;
	stop_watchers_of(place);
	world_close(place);
}

void do_dup(int place, int to)
{
	place = resolve(place);
	to = resolve(to);
	if (!is_ours_to_do() || place == to || !world_is_open(place))
		return;
	stop_watchers_of(to);
	world_dup(place, to);
}

void do_swap(int place, int other)
{
	place = resolve(place);
	other = resolve(other);
	if (!is_ours_to_do())
		return;
	stop_watchers_of(place);
	stop_watchers_of(other);
	world_swap(place, other);
}

void do_write(int place, int size)
{
	place = resolve(place);
	if (is_ours_to_do())
		record(RESULT, 0, place, world_write(place, size));
}

void do_read(int place, int size)
{
	place = resolve(place);
	if (is_ours_to_do())
		record(RESULT, 0, place, world_read(place, size));
}

void do_drain(int place)
{
	if (is_ours_to_do())
		world_drain(resolve(place));
}

void do_fill(int place)
{
	if (is_ours_to_do())
		world_fill(resolve(place));
}

void do_shut(int place, int how)
{
	place = resolve(place);
	if (is_ours_to_do())
		record(RESULT, 0, place, world_shut(place, how));
}

/*
 * operations on watchers
 */

static struct watcher *watcher_of(int watcher)
{
	if (watcher != SELF)
		return &m.watchers[watcher];
	return &m.watchers[m.self == SELF ? 0 : m.self];
}

void do_start(int watcher, int place, int events, int priority,
	      const struct body *body)
{
	struct watcher *w = watcher_of(watcher);

	place = resolve(place);
	if (!is_ours_to_do() || !world_is_open(place))
		return;
	stop_watcher(w);
	w->place = place;
	w->serial = world_serial(place);
	w->body = body;
	ev_set_priority(&w->io, priority);
	ev_io_set(&w->io, world_fd(place), events);
	ev_io_start(m.loop, &w->io);
}

/* Is the file there that the watcher was set to? */
static bool is_set(const struct watcher *w)
{
	return w->serial && w->serial == world_serial(w->place);
}

void do_restart(int watcher)
{
	struct watcher *w = watcher_of(watcher);

	if (!is_ours_to_do() || !is_set(w))
		return;
	stop_watcher(w);
	ev_io_start(m.loop, &w->io);
}

void do_modify(int watcher, int events)
{
	struct watcher *w = watcher_of(watcher);

	if (!is_ours_to_do() || !is_set(w))
		return;
	stop_watcher(w);
	ev_io_modify(&w->io, events);
	ev_io_start(m.loop, &w->io);
}

void do_stop(int watcher)
{
	if (watcher == SELF && m.self == SELF)
		return; /* a timer was called */
	if (is_ours_to_do() || watcher == SELF)
		stop_watcher(watcher_of(watcher));
}

void do_feed(int watcher, int events)
{
	struct watcher *w = watcher_of(watcher);

	if (!is_ours_to_do())
		return;
	w->fed |= events;
	ev_feed_event(m.loop, &w->io, events);
}

void do_feed_fd(int place, int events)
{
	struct watcher *w;
	int i;

	place = resolve(place);
	if (!is_ours_to_do())
		return;
	for (i = 0; i < NR_WATCHERS; i++) {
		w = &m.watchers[i];
		if (is_watching(w) && w->place == place)
			w->fed |= w->io.events & events;
	}
	ev_feed_fd_event(m.loop, world_fd(place), events);
}

void do_timer(int timer, const struct body *body)
{
	struct timer *t = &m.timers[timer];

	if (!is_ours_to_do())
		return;
	ev_timer_stop(m.loop, &t->timer);
	t->body = body;
	ev_timer_set(&t->timer, 0., 0.);
	ev_timer_start(m.loop, &t->timer);
}

void do_timer_stop(int timer)
{
	if (is_ours_to_do())
		ev_timer_stop(m.loop, &m.timers[timer].timer);
}

static void *send_async(void *arg)
{
	(void)arg;
	ev_async_send(m.loop, &m.async);
	return NULL;
}

void do_async(void)
{
	pthread_t thread;

	if (is_ours_to_do() && !pthread_create(&thread, NULL, send_async, NULL))
		pthread_join(thread, NULL);
}

/*
 * turns
 */

static void run_loop(int flags)
{
	bool fork_is_due = m.fork_is_due;
	int nr_fork_calls = m.nr_fork_calls;

	m.depth++;
	ev_run(m.loop, flags);
	m.depth--;
	find_missed();
	if (fork_is_due && m.nr_fork_calls == nr_fork_calls)
		note_flaw(MISSED, -1, 0);
}

void do_turn(void)
{
	if (!is_ours_to_do() || m.depth >= MAX_DEPTH)
		return;
	record(TURN, 0, m.depth, 0);
	run_loop(EVRUN_NOWAIT);
}

/* Something is ready, and no callback runs before the wait that could change
   that. */
static bool may_block(void)
{
	int ready[NR_WATCHERS];

	return !first_pending() && ask_poll(ready);
}

/* From now on, and not from when the loop looked at the clock last. */
static void start_clock(ev_timer *timer, double seconds)
{
	ev_now_update(m.loop);
	ev_timer_init(timer, on_time_out, seconds, 0.);
	ev_timer_start(m.loop, timer);
}

void do_once(void)
{
	ev_timer guard;

	if (!is_ours_to_do() || m.depth >= MAX_DEPTH)
		return;
	if (!may_block()) {
		do_turn();
		return;
	}
	record(TURN, 0, m.depth, 1);
	start_clock(&guard, GUARD);
	run_loop(EVRUN_ONCE);
	if (!ev_is_active(&guard))
		note_flaw(OVERSLEPT, -1, 0);
	ev_timer_stop(m.loop, &guard);
}

void do_sleep(void)
{
	ev_timer nap;
	int i;

	/* In a callback before the wait, a turn would use up the nap. */
	if (m.depth || first_pending() || !is_ours_to_do()) {
		do_turn();
		return;
	}
	record(TURN, 0, 0, 2);
	m.nr_reports = 0;
	start_clock(&nap, NAP);
	for (i = 0; i < MAX_WAITS; i++) {
		run_loop(EVRUN_ONCE);
		if (m.nr_reports || !ev_is_active(&nap))
			break;
	}
	if (i == MAX_WAITS)
		note_flaw(RESTLESS, -1, 0);
	ev_timer_stop(m.loop, &nap);
}

/*
 * the life of the loop
 */

void do_loop_fork(void)
{
	if (!is_ours_to_do())
		return;
	ev_loop_fork(m.loop);
	m.fork_is_due = true;
}

static void check_ring(void)
{
	struct evring_stats stats;

	if (!m.is_attached || m.mode->is_stock ||
	    evring_stats(m.loop, &stats) < 0)
		return;
	if (stats.rings_lost)
		note_flaw(RING_LOST, -1, 0);
	m.trace->handed_over += stats.handed_over;
	m.trace->ring_rebuilds += stats.ring_rebuilds;
	m.trace->stale_completions += stats.stale_completions;
	m.trace->overflows += stats.overflows;
}

void do_detach(void)
{
	if (!m.is_attached || !is_ours_to_do())
		return;
	check_ring();
	if (!m.mode->is_stock)
		evring_detach(m.loop);
	m.is_attached = false;
}

void do_attach(void)
{
	int r = 0;

	if (m.is_attached || !is_ours_to_do())
		return;
	if (!m.mode->is_stock)
		r = evring_attach(m.loop, &m.mode->config);
	if (r < 0)
		note_flaw(RING_LOST, -1, r);
	m.is_attached = true;
}

static void make_loop(void)
{
	unsigned flags = EVBACKEND_EPOLL | EVFLAG_NOENV;

	m.loop = ev_loop_new(m.flags & FORKCHECK ? flags | EVFLAG_FORKCHECK
						 : flags);
	if (m.flags & ORDERED)
		ev_set_invoke_pending_cb(m.loop, call_in_order);
	if (!(m.flags & LATE))
		do_attach();
}

static void make_watchers(void)
{
	int i;

	for (i = 0; i < NR_WATCHERS; i++)
		ev_io_init(&m.watchers[i].io, on_io, -1, EV_READ);
	for (i = 0; i < NR_TIMERS; i++)
		ev_timer_init(&m.timers[i].timer, on_timer, 0., 0.);
	ev_async_init(&m.async, on_async);
	ev_async_start(m.loop, &m.async);
	ev_fork_init(&m.fork, on_fork);
	ev_fork_start(m.loop, &m.fork);
	ev_prepare_init(&m.judge, judge);
	ev_set_priority(&m.judge, EV_MINPRI);
	ev_prepare_start(m.loop, &m.judge);
}

/*
 * ev_loop_destroy() calls what is pending if it has a cleanup watcher to call,
 * which is the case while attached.  Nothing is, therefore.
 */
static void end_loop(void)
{
	int i;

	for (i = 0; i < NR_WATCHERS + NR_TIMERS; i++)
		ev_clear_pending(m.loop, nth_watcher(i));
	check_ring();
	ev_loop_destroy(m.loop);
	world_end();
}

void run_machine(const struct mode *mode, unsigned flags,
		 const struct body *body, struct trace *ret_trace)
{
	memset(&m, 0, sizeof(m));
	m.mode = mode;
	m.flags = flags;
	m.trace = ret_trace;
	m.self = SELF;
	*m.trace = (struct trace){ .nr = 0 };
	world_begin();
	make_loop();
	make_watchers();
	body->run(body->arg);
	end_loop();
	if (!(flags & ORDERED))
		sort_reports(m.trace);
}

/*
 * children and threads
 */

static _Noreturn void be_child(const struct body *body, int fd)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	alarm(CHILD_SECONDS);
	m.nr_forks++;
	*m.trace = (struct trace){ .nr = 0 };
	world_forked();
	if (!(m.flags & FORKCHECK))
		ev_loop_fork(m.loop);
	m.fork_is_due = true;
	body->run(body->arg);
	end_loop();
	_exit(write(fd, m.trace, sizeof(*m.trace)) != sizeof(*m.trace));
}

static void read_all(int fd, void *mem, size_t size)
{
	ssize_t r = 1;
	char *p;

	for (p = mem; size && r > 0; p += r, size -= (size_t)r)
		r = read(fd, p, size);
}

static void add_trace_of_child(const struct trace *child, int status)
{
	int i;

	record(CHILD, 0, 0, 0);
	if (status)
		note_flaw(CHILD_DIED, -1, status);
	for (i = 0; i < child->nr && m.trace->nr < MAX_RECORDS; i++)
		m.trace->records[m.trace->nr++] = child->records[i];
	m.trace->flaws |= child->flaws;
	record(PARENT, 0, 0, 0);
}

void do_fork(const struct body *body)
{
	static struct trace child;
	int fds[2], status;
	pid_t pid;

	if (m.depth || !is_ours_to_do() || m.nr_forks >= MAX_FORKS ||
	    pipe(fds) < 0)
		return;
	pid = fork();
	if (!pid)
		be_child(body, fds[1]);
	close(fds[1]);
	child = (struct trace){ .nr = 0 };
	read_all(fds[0], &child, sizeof(child));
	close(fds[0]);
	waitpid(pid, &status, 0);
	add_trace_of_child(&child, status);
}

static void *be_thread(void *arg)
{
	const struct body *body = arg;

	body->run(body->arg);
	return NULL;
}

void do_move(const struct body *body)
{
	pthread_t thread;

	if (!m.depth &&
	    !pthread_create(&thread, NULL, be_thread, (void *)(uintptr_t)body))
		pthread_join(thread, NULL);
}

/*
 * printed programs
 */

int replay(int argc, char **argv, unsigned flags, const struct body *body)
{
	static struct trace trace;
	int i, chosen = 0;

	world_init();
	for (i = 0; i < nr_modes; i++)
		if (argc > 1 && !strcmp(argv[1], modes[i].name))
			chosen = i;
	alarm(CHILD_SECONDS);
	run_machine(&modes[chosen], flags, body, &trace);
	printf("%s:\n", modes[chosen].name);
	print_trace(&trace);
	return trace.flaws ? EXIT_FAILURE : EXIT_SUCCESS;
}
