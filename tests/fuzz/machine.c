/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * machine.c - one run of a program: two loops, their watchers, and a judge that
 * knows which reports are allowed.
 *
 * The judge asks poll(2) about every active watcher right before the loop asks
 * its backend: in a prepare watcher, and nothing happens in between.  What is
 * ready then is due: it must be reported in this turn, unless the watcher is
 * stopped first, and nothing else may be reported, but for what the program
 * fed itself.  When the program does something while the loop waits
 * (do_meanwhile), the judge asks again after that; but watchers of an fd of
 * which one was stopped or started then are not due: libev drops what it hears
 * of an fd that changed, until the next turn.
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
 * f) Linux adds an epoll set to another under a lock of the whole machine. When
 *    some other process holds it, EPOLL_CTL in a ring goes to a worker thread,
 *    and the change is made later than the turn that asked for it.  A program
 *    that opens NESTED is therefore given some tries by differential.c.
 *
 * What programs do not do, because the result is libev's to define and not
 * epoll's: close a file under an active watcher, or use a loop in a child
 * without ev_loop_fork().  libev aborts on the former when it notices.
 *
 * No verdict depends on the speed of the machine.  world.c waits until what it
 * did can be seen.  A run may take a minute, where milliseconds are the rule. A
 * wait with something ready may not put the thread to sleep: that it took long
 * is no flaw as long as the thread only waited for a processor.  A nap gets
 * fewer waits on a slow machine, never more.
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
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* All that is newer than Linux 5.11; what needs these goes with them. */
#define ALL_FEATURES                                                           \
	"r-disabled,multishot-poll,cqe-skip,registered-ring,submit-all,"       \
	"coop-taskrun,single-issuer,no-iowait,napi"

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
	MAX_WAITS = 30	 /* in a nap: one for each stale entry, and room */
};

static const double NAP = 0.0002;

struct patience patience = { .run = 60, .wait = 10. };

/* One of the loops. */
struct side {
	struct ev_loop *loop; /* NULL: not made yet */
	bool is_attached;
	int depth; /* of ev_run() */

	ev_async async;
	ev_fork fork;
	ev_prepare judge;

	int nr_fork_calls;
	bool fork_is_due;	      /* in the next turn */
	const struct body *meanwhile; /* to be done in the next wait */
	bool is_changed[NR_PLACES];   /* there a watcher stopped or started
					 since the last turn began */
};

struct watcher {
	ev_io io;
	struct side *side; /* of the loop that it was started on */
	const struct body *body;
	int place;
	unsigned serial; /* of the place when it was set */
	int due;	 /* to be reported in this turn */
	int fed;	 /* by the program */
};

struct timer {
	ev_timer timer;
	struct side *side;
	const struct body *body;
};

static struct machine {
	const struct mode *mode;
	unsigned flags;
	struct trace *trace;

	struct side sides[NR_LOOPS];
	struct watcher watchers[NR_WATCHERS];
	struct timer timers[NR_TIMERS];

	struct side *now;     /* that operations mean */
	int self;	      /* the watcher that was called, or SELF */
	int depth;	      /* of ev_run(), of all loops */
	struct side *waiting; /* in do_meanwhile: the side that waits */
	bool leaves;	      /* a child that does not destroy its loops */
	int nr_forks;
	int nr_calls;
	int nr_reports;
} m;

static int index_of(const struct side *side)
{
	return (int)(side - m.sides);
}

static struct side *side_of(struct ev_loop *loop)
{
	return ev_userdata(loop);
}

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

static bool traces_differ(const struct trace *a, const struct trace *b)
{
	return a->nr != b->nr || memcmp(a->records, b->records,
					(size_t)a->nr * sizeof(a->records[0]));
}

/*
 * libev errs where it takes back a generation (freedom c), and no more.  But
 * evring may err in the same way, where libev's backend makes its changes.
 */
bool is_free(const struct trace *oracle)
{
	return oracle->flaws == MISSED || oracle->flaws == SPURIOUS;
}

enum reason judge_oracle(const struct trace *oracle)
{
	return oracle->flaws && !is_free(oracle) ? FLAWED : PASSED;
}

enum reason compare_traces(const struct trace *oracle,
			   const struct trace *trace)
{
	if (trace->flaws == oracle->flaws && !traces_differ(oracle, trace))
		return PASSED;
	if (trace->flaws)
		return FLAWED;
	return is_free(oracle) ? PASSED : DIFFERENT;
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
	case WORLD_LATE:
		printf("the machine: a file is not as it should be by now\n");
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
		[TURN] = "turn of loop", [ASYNC] = "  async of loop",
		[FORKED] = "  fork watcher of loop",
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
	else if (r->what == CHILD || r->what == PARENT)
		puts(r->what == CHILD ? "child {" : "}");
	else
		printf("%s %d\n", texts[r->what], r->who);
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

static bool is_watching(const struct watcher *w, const struct side *side)
{
	return w->side == side && ev_is_active(&w->io);
}

static int events_of(short revents)
{
	return (revents & (POLLIN | POLLERR | POLLHUP) ? EV_READ : 0) |
	       (revents & (POLLOUT | POLLERR | POLLHUP) ? EV_WRITE : 0);
}

/*
 * What poll(2) says about each watcher of side; how many have something to
 * report.
 */
static int ask_poll(const struct side *side, int ret_ready[NR_WATCHERS])
{
	struct pollfd polls[NR_WATCHERS];
	int i, nr_ready = 0;

	for (i = 0; i < NR_WATCHERS; i++) {
		polls[i].fd = is_watching(&m.watchers[i], side)
				      ? m.watchers[i].io.fd
				      : -1;
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
static void find_missed(const struct side *side)
{
	struct watcher *w;
	int i;

	for (i = 0; i < NR_WATCHERS; i++) {
		w = &m.watchers[i];
		if (w->side != side)
			continue;
		if (w->due | w->fed)
			note_flaw(MISSED, i, w->due | w->fed);
		w->due = w->fed = 0;
	}
}

/* As far as the backend knows of the watchers. */
static void find_due(const struct side *side)
{
	int ready[NR_WATCHERS];
	struct watcher *w;
	int i;

	ask_poll(side, ready);
	for (i = 0; i < NR_WATCHERS; i++) {
		w = &m.watchers[i];
		if (w->side == side)
			w->due = side->is_changed[w->place] ? 0 : ready[i];
	}
}

static void judge(struct ev_loop *loop, ev_prepare *prepare, int revents)
{
	struct side *side = side_of(loop);

	(void)prepare;
	(void)revents;
	find_missed(side);
	memset(side->is_changed, 0, sizeof(side->is_changed));
	find_due(side);
}

/*
 * what the loop calls
 */

static void run_body(const struct body *body, struct side *side, int self)
{
	struct side *side_before = m.now;
	int self_before = m.self;

	if (!body || m.nr_calls++ >= MAX_CALLS)
		return;
	m.now = side;
	m.self = self;
	body->run(body->arg);
	m.now = side_before;
	m.self = self_before;
}

static void on_io(struct ev_loop *loop, ev_io *io, int revents)
{
	struct watcher *w = (struct watcher *)io;
	int i = (int)(w - m.watchers);

	m.nr_reports++;
	record(IO, ev_priority(io), i, revents);
	if (revents & ~(w->due | w->fed))
		note_flaw(SPURIOUS, i, revents & ~(w->due | w->fed));
	w->due &= ~revents;
	w->fed &= ~revents;
	run_body(w->body, side_of(loop), i);
}

static void on_timer(struct ev_loop *loop, ev_timer *timer, int revents)
{
	struct timer *t = (struct timer *)timer;

	(void)revents;
	m.nr_reports++;
	record(TIMER, ev_priority(timer), (int)(t - m.timers), 0);
	run_body(t->body, side_of(loop), SELF);
}

static void on_async(struct ev_loop *loop, ev_async *async, int revents)
{
	(void)revents;
	m.nr_reports++;
	record(ASYNC, ev_priority(async), index_of(side_of(loop)), 0);
}

/* Only what the program asked for (freedom b). */
static void on_fork(struct ev_loop *loop, ev_fork *fork_watcher, int revents)
{
	struct side *side = side_of(loop);

	(void)fork_watcher;
	(void)revents;
	if (side->fork_is_due)
		record(FORKED, 0, index_of(side), 0);
	side->fork_is_due = false;
	side->nr_fork_calls++;
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

/* Every watcher whose callback may do something; NULL: not of this side. */
static ev_watcher *nth_watcher(const struct side *side, int i)
{
	struct timer *t = &m.timers[i < NR_WATCHERS ? 0 : i - NR_WATCHERS];

	if (i >= NR_WATCHERS)
		return t->side == side ? (ev_watcher *)&t->timer : NULL;
	return m.watchers[i].side == side ? (ev_watcher *)&m.watchers[i].io
					  : NULL;
}

static ev_watcher *first_pending(const struct side *side)
{
	ev_watcher *first = NULL, *w;
	int i;

	for (i = 0; i < NR_WATCHERS + NR_TIMERS; i++) {
		w = nth_watcher(side, i);
		if (w && ev_is_pending(w) &&
		    (!first || ev_priority(w) > ev_priority(first)))
			first = w;
	}
	return first;
}

/* libev's own watchers, the judge and others that only write down. */
static void call_the_rest(const struct side *side)
{
	int pending[NR_WATCHERS + NR_TIMERS];
	ev_watcher *w;
	int i;

	for (i = 0; i < NR_WATCHERS + NR_TIMERS; i++) {
		w = nth_watcher(side, i);
		pending[i] = w ? ev_clear_pending(side->loop, w) : 0;
	}
	ev_invoke_pending(side->loop);
	for (i = 0; i < NR_WATCHERS + NR_TIMERS; i++)
		if (pending[i])
			ev_feed_event(side->loop, nth_watcher(side, i),
				      pending[i]);
}

static void call_in_order(struct ev_loop *loop)
{
	const struct side *side = side_of(loop);
	ev_watcher *w;

	call_the_rest(side);
	while ((w = first_pending(side)))
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

/* What another thread may not do while a loop waits. */
static bool is_ours_to_run(void)
{
	return !m.waiting && is_ours_to_do();
}

static int resolve(int place)
{
	if (place != SELF)
		return place;
	return m.self == SELF ? 0 : m.watchers[m.self].place;
}

static void stop_watcher(struct watcher *w)
{
	if (ev_is_active(&w->io))
		w->side->is_changed[w->place] = true;
	ev_io_stop(w->side->loop, &w->io);
	w->due = w->fed = 0;
}

static void start_watcher(struct watcher *w)
{
	w->side->is_changed[w->place] = true;
	ev_io_start(w->side->loop, &w->io);
}

static void stop_watchers_of(int place)
{
	struct watcher *w;

	for (w = m.watchers; w < m.watchers + NR_WATCHERS; w++)
		if (ev_is_active(&w->io) && w->place == place)
			stop_watcher(w);
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
	w->side = m.now;
	w->place = place;
	w->serial = world_serial(place);
	w->body = body;
	ev_set_priority(&w->io, priority);
	ev_io_set(&w->io, world_fd(place), events);
	start_watcher(w);
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
	start_watcher(w);
}

void do_modify(int watcher, int events)
{
	struct watcher *w = watcher_of(watcher);

	if (!is_ours_to_do() || !is_set(w))
		return;
	stop_watcher(w);
	ev_io_modify(&w->io, events);
	start_watcher(w);
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
	ev_feed_event(w->side->loop, &w->io, events);
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
		if (is_watching(w, m.now) && w->place == place)
			w->fed |= w->io.events & events;
	}
	ev_feed_fd_event(m.now->loop, world_fd(place), events);
}

void do_timer(int timer, const struct body *body)
{
	struct timer *t = &m.timers[timer];

	if (!is_ours_to_do())
		return;
	ev_timer_stop(t->side->loop, &t->timer);
	t->side = m.now;
	t->body = body;
	ev_timer_set(&t->timer, 0., 0.);
	ev_timer_start(t->side->loop, &t->timer);
}

void do_timer_stop(int timer)
{
	struct timer *t = &m.timers[timer];

	if (is_ours_to_do())
		ev_timer_stop(t->side->loop, &t->timer);
}

static void *send_async(void *arg)
{
	(void)arg;
	ev_async_send(m.now->loop, &m.now->async);
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

static void run_loop(struct side *side, int flags)
{
	bool fork_is_due = side->fork_is_due;
	int nr_fork_calls = side->nr_fork_calls;

	m.depth++;
	side->depth++;
	ev_run(side->loop, flags);
	side->depth--;
	m.depth--;
	find_missed(side);
	if (fork_is_due && side->nr_fork_calls == nr_fork_calls)
		note_flaw(MISSED, -1, 0);
}

void do_turn(void)
{
	if (!is_ours_to_run() || m.depth >= MAX_DEPTH)
		return;
	record(TURN, m.depth, index_of(m.now), 0);
	run_loop(m.now, EVRUN_NOWAIT);
}

static void on_release(struct ev_loop *loop)
{
	struct side *side = side_of(loop);
	const struct body *body = side->meanwhile;

	if (!body)
		return;
	side->meanwhile = NULL;
	m.waiting = side;
	run_body(body, side, SELF);
	m.waiting = NULL;
	find_due(side);
}

static void on_acquire(struct ev_loop *loop)
{
	(void)loop;
}

void do_meanwhile(const struct body *body)
{
	if (!is_ours_to_run())
		return;
	m.now->meanwhile = body;
	ev_set_loop_release_cb(m.now->loop, on_release, on_acquire);
}

/* Nothing is called before the wait, or in it, that may do something. */
static bool is_calm(const struct side *side)
{
	return !first_pending(side) && !side->meanwhile;
}

static bool something_is_ready(const struct side *side)
{
	int ready[NR_WATCHERS];

	return ask_poll(side, ready) > 0;
}

/* From now on, and not from when the loop looked at the clock last. */
static void start_clock(ev_timer *timer, double seconds)
{
	ev_now_update(m.now->loop);
	ev_timer_init(timer, on_time_out, seconds, 0.);
	ev_timer_start(m.now->loop, timer);
}

/* How often this thread slept. */
static long count_sleeps(void)
{
	struct rusage usage;

	getrusage(RUSAGE_THREAD, &usage);
	return usage.ru_nvcsw;
}

void do_once(void)
{
	ev_timer guard;
	long nr_sleeps;

	if (!is_ours_to_run() || m.depth >= MAX_DEPTH)
		return;
	if (!is_calm(m.now) || !something_is_ready(m.now)) {
		do_turn();
		return;
	}
	record(TURN, m.depth, index_of(m.now), 1);
	start_clock(&guard, patience.wait);
	nr_sleeps = count_sleeps();
	run_loop(m.now, EVRUN_ONCE);
	if (!ev_is_active(&guard) && count_sleeps() > nr_sleeps)
		note_flaw(OVERSLEPT, -1, 0);
	ev_timer_stop(m.now->loop, &guard);
}

void do_sleep(void)
{
	ev_timer nap;
	int i;

	/* In a callback before the wait, a turn would use up the nap. */
	if (m.depth || !is_calm(m.now) || !is_ours_to_run()) {
		do_turn();
		return;
	}
	record(TURN, 0, index_of(m.now), 2);
	m.nr_reports = 0;
	start_clock(&nap, NAP);
	for (i = 0; i < MAX_WAITS; i++) {
		run_loop(m.now, EVRUN_ONCE);
		if (m.nr_reports || !ev_is_active(&nap))
			break;
	}
	if (i == MAX_WAITS)
		note_flaw(RESTLESS, -1, 0);
	ev_timer_stop(m.now->loop, &nap);
}

/*
 * the life of a loop
 */

void do_loop_fork(void)
{
	if (!is_ours_to_do())
		return;
	ev_loop_fork(m.now->loop);
	m.now->fork_is_due = true;
}

static void check_ring(const struct side *side)
{
	struct evring_stats stats;

	if (!side->is_attached || m.mode->is_stock ||
	    evring_stats(side->loop, &stats) < 0)
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
	if (!m.now->is_attached || !is_ours_to_run())
		return;
	check_ring(m.now);
	if (!m.mode->is_stock)
		evring_detach(m.now->loop);
	m.now->is_attached = false;
}

static void attach(struct side *side, const struct mode *mode)
{
	int r = 0;

	if (!m.mode->is_stock)
		r = evring_attach(side->loop, &mode->config);
	if (r < 0)
		note_flaw(RING_LOST, -1, r);
	side->is_attached = true;
}

void do_attach(int form)
{
	if (!m.now->is_attached && is_ours_to_run())
		attach(m.now, form ? &modes[form] : m.mode);
}

static void make_watchers(struct side *side)
{
	ev_async_init(&side->async, on_async);
	ev_async_start(side->loop, &side->async);
	ev_fork_init(&side->fork, on_fork);
	ev_fork_start(side->loop, &side->fork);
	ev_prepare_init(&side->judge, judge);
	ev_set_priority(&side->judge, EV_MINPRI);
	ev_prepare_start(side->loop, &side->judge);
}

static void make_loop(struct side *side)
{
	unsigned flags = EVBACKEND_EPOLL | EVFLAG_NOENV;

	*side = (struct side){ .loop = NULL };
	side->loop = ev_loop_new(m.flags & FORKCHECK ? flags | EVFLAG_FORKCHECK
						     : flags);
	ev_set_userdata(side->loop, side);
	if (m.flags & ORDERED)
		ev_set_invoke_pending_cb(side->loop, call_in_order);
	if (!(m.flags & LATE))
		attach(side, m.mode);
	make_watchers(side);
}

/* Not on any loop yet, or on none any more. */
static void reset_watchers(struct side *side)
{
	struct watcher *w;
	struct timer *t;

	for (w = m.watchers; w < m.watchers + NR_WATCHERS; w++)
		if (w->side == side) {
			*w = (struct watcher){ .side = side };
			ev_io_init(&w->io, on_io, -1, EV_READ);
		}
	for (t = m.timers; t < m.timers + NR_TIMERS; t++)
		if (t->side == side) {
			*t = (struct timer){ .side = side };
			ev_timer_init(&t->timer, on_timer, 0., 0.);
		}
}

/*
 * ev_loop_destroy() calls what is pending if it has a cleanup watcher to call,
 * which is the case while attached.  Nothing is, therefore.
 */
static void destroy_loop(struct side *side)
{
	ev_watcher *w;
	int i;

	for (i = 0; i < NR_WATCHERS + NR_TIMERS; i++) {
		w = nth_watcher(side, i);
		if (w)
			ev_clear_pending(side->loop, w);
	}
	check_ring(side);
	ev_loop_destroy(side->loop);
	reset_watchers(side);
}

void do_destroy(void)
{
	if (m.now->depth || !is_ours_to_run())
		return;
	destroy_loop(m.now);
	make_loop(m.now);
}

void do_other(void)
{
	if (!is_ours_to_run())
		return;
	m.now = &m.sides[!index_of(m.now)];
	if (!m.now->loop)
		make_loop(m.now);
}

static void begin_machine(void)
{
	int i;

	m.now = &m.sides[0];
	m.self = SELF;
	for (i = 0; i < NR_WATCHERS; i++)
		m.watchers[i].side = m.now;
	for (i = 0; i < NR_TIMERS; i++)
		m.timers[i].side = m.now;
	reset_watchers(m.now);
	make_loop(m.now);
}

static void end_machine(void)
{
	int i;

	for (i = 0; i < NR_LOOPS && !m.leaves; i++)
		if (m.sides[i].loop)
			destroy_loop(&m.sides[i]);
	world_end();
}

void run_machine(const struct mode *mode, unsigned flags,
		 const struct body *body, struct trace *ret_trace)
{
	memset(&m, 0, sizeof(m));
	m.mode = mode;
	m.flags = flags;
	m.trace = ret_trace;
	*m.trace = (struct trace){ .nr = 0 };
	world_begin();
	begin_machine();
	body->run(body->arg);
	if (world_is_late())
		note_flaw(WORLD_LATE, -1, 0);
	end_machine();
	if (!(flags & ORDERED))
		sort_reports(m.trace);
}

/*
 * children and threads
 */

static void follow_fork(struct side *side)
{
	if (!side->loop)
		return;
	if (!(m.flags & FORKCHECK))
		ev_loop_fork(side->loop);
	side->fork_is_due = true;
}

/* When the parent has lost its patience, this ends, too. */
static _Noreturn void be_child(const struct body *body, int fd)
{
	int i;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	m.nr_forks++;
	*m.trace = (struct trace){ .nr = 0 };
	world_forked();
	for (i = 0; i < NR_LOOPS; i++)
		follow_fork(&m.sides[i]);
	body->run(body->arg);
	if (world_is_late())
		note_flaw(WORLD_LATE, -1, 0);
	end_machine();
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

/* It believes that a child has mappings which it has not. */
static bool under_valgrind(void)
{
	return getenv("EVRING_VALGRIND") != NULL;
}

void do_fork(const struct body *body)
{
	static struct trace child;
	int fds[2], status;
	pid_t pid;

	if (m.depth || !is_ours_to_do() || m.nr_forks >= MAX_FORKS ||
	    under_valgrind() || pipe(fds) < 0)
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

void do_leave(void)
{
	if (m.nr_forks && is_ours_to_run())
		m.leaves = true;
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

static void replay_mode(const struct mode *mode, unsigned flags,
			const struct body *body, struct trace *ret_trace)
{
	printf("%s:\n", mode->name);
	fflush(stdout); /* in case it crashes */
	alarm(patience.run);
	run_machine(mode, flags, body, ret_trace);
	alarm(0);
	print_trace(ret_trace);
}

static bool is_chosen(const char *name, int argc, char **argv)
{
	int i;

	for (i = 1; i < argc; i++)
		if (!strcmp(argv[i], name))
			return true;
	return argc < 2;
}

int replay(int argc, char **argv, unsigned flags, const struct body *body)
{
	static struct trace oracle, trace;
	bool has_failed;
	int i;

	world_init();
	replay_mode(&modes[0], flags, body, &oracle);
	has_failed = judge_oracle(&oracle) != PASSED;
	for (i = 1; i < nr_modes; i++) {
		if (!is_chosen(modes[i].name, argc, argv))
			continue;
		replay_mode(&modes[i], flags, body, &trace);
		has_failed |= compare_traces(&oracle, &trace) != PASSED;
	}
	return has_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
