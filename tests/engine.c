/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * engine.c - who is asked first what is ready: how that is learned, and that a
 * loop does so.
 */
#include "config.h"

#include "harness.h"

#include <ev.h>
#include <evring.h>
#include <liburing.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "../lib/engine.h"
#include "../lib/probe.h"

static struct evr_engine engine;

/* So many turns, in each of which the set has something or nothing. */
static unsigned nr_asked(unsigned nr_turns, bool has_something)
{
	unsigned i, nr = 0;

	for (i = 0; i < nr_turns; i++)
		if (evr_engine_asks_set(&engine)) {
			evr_engine_learn(&engine, has_something);
			nr++;
		}
	return nr;
}

START_TEST(kind_may_be_forced)
{
	evr_engine_init(&engine, "ring");
	ck_assert_uint_eq(nr_asked(1000, true), 0);
	evr_engine_init(&engine, "set");
	ck_assert_uint_eq(nr_asked(1000, false), 1000);
	evr_engine_init(&engine, "nonsense");
	ck_assert_uint_eq(nr_asked(16, true), 0);
	ck_assert_uint_eq(nr_asked(1000, true), 1000);
}
END_TEST

START_TEST(success_is_gone_on_with)
{
	evr_engine_init(&engine, NULL);
	ck_assert_uint_eq(nr_asked(16, true), 0);
	ck_assert_uint_eq(nr_asked(100000, true), 100000);
}
END_TEST

/* 16, 32, ... 1024, and then every 1025 turns. */
START_TEST(failures_become_rare)
{
	evr_engine_init(&engine, NULL);
	ck_assert_uint_eq(nr_asked(16 + 1 + 16 + 1, false), 2);
	ck_assert_uint_eq(nr_asked(32, false), 0);
	ck_assert_uint_eq(nr_asked(1, false), 1);
	ck_assert_uint_lt(nr_asked(100000, false), 105);
	ck_assert_uint_gt(nr_asked(100000, false), 95);
}
END_TEST

START_TEST(success_after_failures_makes_them_cheap_again)
{
	evr_engine_init(&engine, NULL);
	(void)nr_asked(100000, false);
	(void)nr_asked(1025, true);
	ck_assert_uint_eq(nr_asked(100, true), 100);
	ck_assert_uint_eq(nr_asked(1, false), 1);
	ck_assert_uint_eq(nr_asked(16, false), 0);
	ck_assert_uint_eq(nr_asked(1, false), 1);
}
END_TEST

/*
 * a loop
 */

static struct ev_loop *loop;
static struct evring_stats before;
static int nr_events, nr_operations, nr_released, nr_acquired;

static void count(struct ev_loop *l, ev_io *w, int revents)
{
	(void)l;
	(void)w;
	(void)revents;
	nr_events++;
}

static void take(struct ev_loop *l, ev_io *w, int revents)
{
	eventfd_t value;

	count(l, w, revents);
	ck_assert_int_eq(eventfd_read(w->fd, &value), 0);
}

static void on_timer(struct ev_loop *l, ev_timer *w, int revents)
{
	(void)l;
	(void)revents;
	ck_assert_int_eq(eventfd_write(*(int *)w->data, 1), 0);
}

/* All tests may be one process. */
static void make_form(const char *disable)
{
	struct evring_config config = { .disable = disable };

	loop = evring_loop_new(EVFLAG_NOENV, &config);
	ck_assert_ptr_nonnull(loop);
	before = (struct evring_stats){ 0 };
	nr_events = nr_operations = nr_released = nr_acquired = 0;
}

static void make_loop(const char *kind)
{
	ck_assert_int_eq(setenv("EVRING_ENGINE", kind, 1), 0);
	make_form(NULL);
}

/* Counters since the last call. */
static struct evring_stats counted(void)
{
	struct evring_stats now, since;

	ck_assert_int_eq(evring_stats(loop, &now), 0);
	since.turns = now.turns - before.turns;
	since.enters = now.enters - before.enters;
	since.looks = now.looks - before.looks;
	before = now;
	return since;
}

static void run_turns(int nr)
{
	while (nr--)
		ev_run(loop, EVRUN_ONCE);
}

typedef void on_io(struct ev_loop *loop, ev_io *w, int revents);

/* Watch fd, which is ready, for long enough to learn that it always is. */
static void be_busy(ev_io *w, int fd, on_io *cb)
{
	ev_io_init(w, cb, fd, EV_READ);
	ev_io_start(loop, w);
	run_turns(100);
	(void)counted();
	nr_events = 0;
}

/* Watch fd, which is ready after each sleep of so many seconds. */
static void be_woken(ev_io *w, ev_timer *timer, int *fd, double seconds)
{
	ev_io_init(w, take, *fd, EV_READ);
	ev_io_start(loop, w);
	ev_timer_init(timer, on_timer, seconds, seconds);
	timer->data = fd;
	ev_timer_start(loop, timer);
}

static void end_loop(int fd)
{
	ev_loop_destroy(loop);
	close(fd);
}

START_TEST(busy_loop_asks_the_set_alone)
{
	int fd = eventfd(1, EFD_NONBLOCK);
	struct evring_stats s;
	ev_io w;

	make_loop("auto");
	be_busy(&w, fd, count);
	run_turns(1000);
	s = counted();
	ck_assert_int_eq(nr_events, 1000);
	ck_assert_uint_eq(s.looks, 1000);
	ck_assert_uint_eq(s.enters, 0);
	end_loop(fd);
}
END_TEST

/* It sleeps before each event, so that asking first would be in vain. */
START_TEST(loop_that_sleeps_asks_the_ring)
{
	int fd = eventfd(0, EFD_NONBLOCK);
	struct evring_stats s;
	ev_timer timer;
	ev_io w;

	make_loop("auto");
	be_woken(&w, &timer, &fd, 0.0005);
	run_turns(1000);
	s = counted();
	ck_assert_int_gt(nr_events, 100);
	ck_assert_uint_lt(s.looks, 100 + s.turns / 4);
	ck_assert_uint_gt(s.enters, s.turns / 2);
	end_loop(fd);
}
END_TEST

/* Every change goes through the ring, in the enter that waits. */
START_TEST(changes_are_made_in_one_enter)
{
	int fd = eventfd(1, EFD_NONBLOCK), i;
	struct evring_stats s;
	ev_io w;

	make_loop("auto");
	be_busy(&w, fd, count);
	for (i = 0; i < 100; i++) {
		ev_io_stop(loop, &w);
		ev_io_set(&w, fd, i & 1 ? EV_READ : EV_READ | EV_WRITE);
		ev_io_start(loop, &w);
		run_turns(1);
	}
	s = counted();
	ck_assert_int_eq(nr_events, 100);
	ck_assert_uint_eq(s.looks, 0);
	ck_assert_uint_eq(s.enters, 100);
	end_loop(fd);
}
END_TEST

/* As on epoll, also where the set is asked, and then the ring. */
static void on_release(struct ev_loop *l)
{
	(void)l;
	nr_released++;
}

static void on_acquire(struct ev_loop *l)
{
	(void)l;
	nr_acquired++;
}

START_TEST(callbacks_see_one_wait)
{
	static const char *const kinds[] = { "auto", "ring", "set" };
	int fd = eventfd(0, EFD_NONBLOCK), i;
	ev_timer timer;
	ev_io w;

	make_loop(kinds[_i]);
	be_woken(&w, &timer, &fd, 0.001);
	run_turns(1);
	ev_set_loop_release_cb(loop, on_release, on_acquire);
	for (i = 1; i <= 100; i++) {
		ev_run(loop, i % 3 ? EVRUN_ONCE : EVRUN_NOWAIT);
		ck_assert_int_eq(nr_released, i);
		ck_assert_int_eq(nr_acquired, i);
	}
	ck_assert_int_gt(nr_events, 0);
	end_loop(fd);
}
END_TEST

/* What the ring has to say is not kept waiting by what the set has. */
static void on_operation(struct ev_loop *l, evring_op *op, int revents)
{
	(void)l;
	(void)revents;
	nr_operations++;
	ck_assert_int_eq(op->res, 8);
}

/* Features to leave unused. */
static const char *const forms[] = {
	NULL,
	"epoll-wait",
	"epoll-wait,multishot-poll",
	"defer-taskrun",
	"defer-taskrun,coop-taskrun",
};

enum { NR_FORMS = sizeof(forms) / sizeof(forms[0]) };

START_TEST(operations_are_heard_of_in_a_busy_loop)
{
	int fd = eventfd(1, EFD_NONBLOCK), other = eventfd(0, 0), i;
	evring_op op;
	uint64_t value;
	ev_io w;

	unsetenv("EVRING_ENGINE");
	make_form(forms[_i]);
	be_busy(&w, fd, count);
	for (i = 0; i < 20; i++) {
		struct io_uring_sqe *sqe;

		evring_op_init(&op, on_operation);
		sqe = evring_op_start(loop, &op);
		ck_assert_ptr_nonnull(sqe);
		io_uring_prep_read(sqe, other, &value, sizeof(value), 0);
		run_turns(10);
		ck_assert_int_eq(nr_operations, i);
		ck_assert_int_eq(eventfd_write(other, 1), 0);
		run_turns(10);
		ck_assert_int_eq(nr_operations, i + 1);
	}
	end_loop(fd);
	close(other);
}
END_TEST

static void take_and_put(struct ev_loop *l, ev_io *w, int revents)
{
	take(l, w, revents);
	ck_assert_int_eq(eventfd_write(w->fd, 1), 0);
}

/* Hints are worth no enter, but what else there may be is heard of some time.
 */
START_TEST(hints_are_passed_over_for_some_turns)
{
	int fd = eventfd(1, EFD_NONBLOCK);
	struct evring_stats s;
	ev_io w;

	make_form("epoll-wait");
	be_busy(&w, fd, take_and_put);
	run_turns(1600);
	s = counted();
	ck_assert_uint_eq(s.looks, 1600);
	ck_assert_uint_gt(s.enters, 0);
	ck_assert_uint_le(s.enters, 101);
	end_loop(fd);
}
END_TEST

/* The program closes what it does not know, and the number is another file's.
 */
enum { LIBEV_GAVE_UP = 3 };

static void on_error(const char *what)
{
	(void)what;
	_exit(LIBEV_GAVE_UP);
}

static int lose_set(void *arg)
{
	int fd = eventfd(1, EFD_NONBLOCK), home = dup(fd);
	const int *form = arg;
	ev_io w;

	close(home);
	unsetenv("EVRING_ENGINE");
	make_form(forms[*form]);
	be_busy(&w, fd, count);
	ev_set_syserr_cb(on_error);
	child_assert(dup2(fd, home) == home);
	ev_run(loop, EVRUN_NOWAIT);
	ev_run(loop, EVRUN_NOWAIT);
	return 0; /* libev would have noticed */
}

START_TEST(loss_of_the_set_is_noticed_in_a_busy_loop)
{
	ck_assert_int_eq(run_in_child(lose_set, &_i), LIBEV_GAVE_UP);
}
END_TEST

Suite *make_suite(void)
{
	Suite *suite = suite_create("engine");
	TCase *tcase = tcase_create("engine");
	const char *no_choice = NULL, *no_hints = NULL;
	unsigned have = 0;

	(void)evr_probe(NULL, &have);
	if (!(have & EVR_HAVE_EPOLL_WAIT))
		no_choice = "the ring has no EPOLL_WAIT here (Linux 6.15)";
	if (!(have & EVR_HAVE_MULTISHOT_POLL))
		no_hints = "the ring gives no hints here (Linux 5.13)";
	tcase_set_timeout(tcase, 20);
	tcase_add_test(tcase, kind_may_be_forced);
	tcase_add_test(tcase, success_is_gone_on_with);
	tcase_add_test(tcase, failures_become_rare);
	tcase_add_test(tcase, success_after_failures_makes_them_cheap_again);
	add_or_leave_out(tcase, busy_loop_asks_the_set_alone, no_choice);
	add_or_leave_out(tcase, loop_that_sleeps_asks_the_ring, no_choice);
	add_loop_or_leave_out(tcase, callbacks_see_one_wait, 3, no_choice);
	if (!no_choice && !(have & EVR_HAVE_EPOLL_CTL))
		no_choice = "the ring has no EPOLL_CTL here (Linux 6.0)";
	add_or_leave_out(tcase, changes_are_made_in_one_enter, no_choice);
	add_loop_or_leave_out(tcase, loss_of_the_set_is_noticed_in_a_busy_loop,
			      NR_FORMS, no_children());
	tcase_add_loop_test(tcase, operations_are_heard_of_in_a_busy_loop, 0,
			    NR_FORMS);
	add_or_leave_out(tcase, hints_are_passed_over_for_some_turns, no_hints);
	suite_add_tcase(suite, tcase);
	return suite;
}
