/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * poll.c - what a program cannot see of its loop: how often the kernel is
 * entered, what is remembered of an fd, and what happens when the ring goes.
 *
 * What a program can see is in conform.c.
 */
#include "config.h"

#include "harness.h"

#include <errno.h>
#include <ev.h>
#include <evring.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "../lib/probe.h"
#include "sandbox.h"
#include "works.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* in_set: all that the changes of the set need is there. */
static const struct {
	const char *disable;
	bool in_ring, in_set;
} modes[] = {
	{ NULL, true, true },
	{ "region", true, true },
	{ "registered-ring,no-iowait", true, true },
	{ "epoll-ctl", true, false },
	{ "epoll-wait", false, true },
	{ "epoll-wait,multishot-poll", false, true },
	{ "epoll-wait,epoll-ctl", false, false },
	{ "defer-taskrun", false, true },
	{ "single-issuer,coop-taskrun,submit-all", false, true },
	{ "single-issuer,coop-taskrun,r-disabled,cqe-skip", false, false },
};

enum { NR_MODES = ARRAY_SIZE(modes) };

/* Checked: a ring does not go with a fork. */
static struct ev_loop *loop;
static bool in_ring, in_set; /* what the mode says, if this kernel can */

static void new_loop(int mode)
{
	struct evring_config config = { .disable = modes[mode].disable };
	unsigned have = 0;
	int r;

	ck_assert_int_eq(evr_probe(modes[mode].disable, &have), 0);
	in_ring = modes[mode].in_ring && have & EVR_HAVE_EPOLL_WAIT;
	in_set = modes[mode].in_set && have & EVR_HAVE_EPOLL_CTL;
	loop = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
	r = evring_attach(loop, &config);
	ck_assert_msg(!r, "less %s: %d", config.disable, r);
}

static struct evring_stats stats(void)
{
	struct evring_stats s;

	ck_assert_int_eq(evring_stats(loop, &s), 0);
	return s;
}

static void turn(void)
{
	ev_run(loop, EVRUN_NOWAIT);
}

/* A file that is readable or not, its watcher, and what it saw. */
struct file {
	ev_io io;
	int fd, nr_events;
};

static void count(struct ev_loop *l, ev_io *w, int revents)
{
	(void)l;
	if (revents == EV_READ)
		((struct file *)w->data)->nr_events++;
}

static void open_file(struct file *file, bool readable)
{
	file->fd = eventfd(readable, EFD_NONBLOCK | EFD_CLOEXEC);
	ck_assert_int_ge(file->fd, 0);
	file->nr_events = 0;
	ev_io_init(&file->io, count, file->fd, EV_READ);
	file->io.data = file;
}

static void set_readable(struct file *file)
{
	ck_assert_int_eq(eventfd_write(file->fd, 1), 0);
}

static void set_quiet(struct file *file)
{
	eventfd_t value;

	ck_assert_int_eq(eventfd_read(file->fd, &value), 0);
}

/*
 * enters
 */

enum { NR_FILES = 50, NR_MANY = 1000 };

/* The event that nobody wants has its removal under way by then. */
START_TEST(a_watcher_that_starts_again_is_not_handed_over)
{
	struct file restarted, other;
	uint64_t before;

	new_loop(_i);
	open_file(&restarted, false);
	open_file(&other, false);
	ev_io_start(loop, &restarted.io);
	ev_io_start(loop, &other.io);
	turn();
	ev_io_stop(loop, &restarted.io);
	set_readable(&restarted);
	set_readable(&other);
	turn();
	ck_assert_int_eq(restarted.nr_events, 0);
	ck_assert_int_eq(other.nr_events, 1);
	set_quiet(&other);
	before = stats().handed_over;
	ev_io_start(loop, &restarted.io);
	turn();
	ck_assert_int_eq(restarted.nr_events, 1);
	if (in_set)
		ck_assert_uint_eq(stats().handed_over, before);
	set_quiet(&restarted);
	turn();
	ck_assert_int_eq(restarted.nr_events, 1);
	ev_loop_destroy(loop);
}
END_TEST

START_TEST(changes_of_the_set_travel_with_the_wait)
{
	static struct file files[NR_FILES];
	struct evring_stats before, after;
	int i;

	new_loop(_i);
	turn();
	before = stats();
	for (i = 0; i < NR_FILES; i++) {
		open_file(&files[i], i == 7);
		ev_io_start(loop, &files[i].io);
	}
	ev_run(loop, EVRUN_ONCE);
	after = stats();
	ck_assert_int_eq(files[7].nr_events, 1);
	ck_assert_uint_eq(after.events - before.events, 1);
	if (in_ring && in_set) {
		ck_assert_uint_eq(after.enters - before.enters, 1);
		ck_assert_uint_ge(after.requests - before.requests, NR_FILES);
		ck_assert_uint_eq(after.handed_over, before.handed_over);
	}
	for (i = 0; i < NR_FILES; i++)
		ev_io_stop(loop, &files[i].io);
	ev_loop_destroy(loop);
}
END_TEST

START_TEST(quiet_turns_make_no_system_call)
{
	struct evring_stats before, after;
	struct file file;
	int i;

	new_loop(_i);
	open_file(&file, false);
	ev_io_start(loop, &file.io);
	for (i = 0; i < 5; i++)
		turn();
	before = stats();
	for (i = 0; i < 100; i++)
		turn();
	after = stats();
	ck_assert_uint_eq(after.turns - before.turns, 100);
	ck_assert_msg(after.enters == before.enters, "less %s: %d enters",
		      modes[_i].disable, (int)(after.enters - before.enters));
	ck_assert_uint_eq(after.waits_avoided - before.waits_avoided, 100);
	set_readable(&file);
	turn();
	if (!in_ring) /* hint first, then the look */
		turn();
	ck_assert_int_ge(file.nr_events, 1);
	ck_assert_uint_gt(stats().enters, after.enters);
	ck_assert_uint_eq(stats().waits_avoided, after.waits_avoided);
	ev_io_stop(loop, &file.io);
	ev_loop_destroy(loop);
	close(file.fd);
}
END_TEST

static void end_turn(struct ev_loop *l, ev_timer *w, int revents)
{
	(void)l;
	(void)w;
	(void)revents;
}

/* A turn that blocks until a timer of its own ends it. */
static void sleep_once(double seconds)
{
	ev_timer timer;

	ev_now_update(loop);
	ev_timer_init(&timer, end_turn, seconds, 0.);
	ev_timer_start(loop, &timer);
	ev_run(loop, EVRUN_ONCE);
	ck_assert(!ev_is_active(&timer));
}

static uint64_t nr_waits(const struct evring_stats *s)
{
	return s->waits_by_offset + s->waits_copied;
}

/*
 * What a turn costs that sleeps.  One whose timer is over before it begins does
 * not, so it does not count.
 */
static void check_sleep_is_one_enter(double seconds)
{
	struct evring_stats before, after;
	int tries = 100;

	do {
		before = stats();
		sleep_once(seconds);
		after = stats();
	} while (nr_waits(&after) == nr_waits(&before) && --tries);
	ck_assert_uint_eq(nr_waits(&after) - nr_waits(&before), 1);
	ck_assert_uint_eq(after.enters - before.enters, 1);
	ck_assert_uint_eq(after.waits_avoided, before.waits_avoided);
}

START_TEST(blocking_turn_waits_once)
{
	struct file file;
	int i;

	new_loop(_i);
	open_file(&file, false);
	ev_io_start(loop, &file.io);
	for (i = 0; i < 3; i++)
		turn();
	for (i = 0; i < 10; i++)
		check_sleep_is_one_enter(0.005);
	ev_io_stop(loop, &file.io);
	ev_loop_destroy(loop);
	close(file.fd);
}
END_TEST

/* False, and said so, where that cannot be tested. */
static bool collect(double seconds)
{
	int r;

	if (under_valgrind()) {
		printf("# left out: valgrind takes offsets for pointers\n");
		return false;
	}
	r = evring_set_collect(loop, seconds, 0);
	if (r == -ENOTSUP)
		printf("# left out: no min-wait here, or one with a defect\n");
	else
		ck_assert_int_eq(r, 0);
	return r == 0;
}

/* Sleeping once: the interval is a part of the wait, not a sleep before it. */
START_TEST(collecting_turn_without_events_waits_once)
{
	uint64_t before;
	struct file file;
	int i;

	new_loop(_i);
	open_file(&file, false);
	ev_io_start(loop, &file.io);
	for (i = 0; i < 5; i++)
		turn();
	if (!collect(0.005))
		return;
	for (i = 0; i < 10; i++)
		check_sleep_is_one_enter(0.01);
	before = stats().enters;
	for (i = 0; i < 100; i++)
		turn();
	ck_assert_uint_eq(stats().enters, before);
	ev_io_stop(loop, &file.io);
	ev_loop_destroy(loop);
	close(file.fd);
}
END_TEST

/* One enter to sleep, one to ask. */
START_TEST(collecting_turn_with_events_sleeps_and_asks)
{
	uint64_t before;
	struct file file;
	int i;

	new_loop(_i);
	open_file(&file, true);
	ev_io_start(loop, &file.io);
	for (i = 0; i < 5; i++)
		turn();
	if (!collect(0.002))
		return;
	ev_run(loop, EVRUN_ONCE);
	file.nr_events = 0;
	before = stats().enters;
	for (i = 0; i < 10; i++)
		ev_run(loop, EVRUN_ONCE);
	ck_assert_int_eq(file.nr_events, 10);
	ck_assert_msg(stats().enters - before <= 20, "less %s: %d enters",
		      modes[_i].disable, (int)(stats().enters - before));
	ev_io_stop(loop, &file.io);
	ev_loop_destroy(loop);
	close(file.fd);
}
END_TEST

/*
 * what is remembered of an fd
 */

/* Enters of nr rounds of: start, run, stop, run. */
static unsigned enters_of(int nr, struct file *file, bool reopen)
{
	uint64_t before = stats().enters;
	int i, fd = file->fd;

	for (i = 0; i < nr; i++) {
		ev_io_start(loop, &file->io);
		turn();
		ev_io_stop(loop, &file->io);
		turn();
		if (reopen) {
			close(fd);
			file->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
			ck_assert_int_eq(file->fd, fd);
		}
	}
	return (unsigned)(stats().enters - before);
}

/*
 * Beside another fd that stays.  Where nothing else is watched a new file may
 * mean a new set, and the request that asks the set is made anew, in one enter
 * more.
 */
START_TEST(restart_settles_to_one_enter)
{
	struct file file, other;
	unsigned nr, want;

	new_loop(_i);
	want = in_set ? 10 : 0;
	open_file(&other, false);
	ev_io_start(loop, &other.io);
	open_file(&file, false);
	(void)enters_of(5, &file, false);
	nr = enters_of(10, &file, false);
	ck_assert_msg(nr == want, "the same file: %u", nr);
	(void)enters_of(5, &file, true);
	nr = enters_of(10, &file, true);
	ck_assert_msg(nr == want, "another file: %u", nr);
	(void)enters_of(5, &file, false);
	nr = enters_of(10, &file, false);
	ck_assert_msg(nr == want, "the same again: %u", nr);
	ck_assert_int_eq(!stats().handed_over, in_set);
	ev_io_start(loop, &file.io);
	turn();
	set_readable(&file);
	turn();
	turn();
	ck_assert_int_ge(file.nr_events, 1);
	ev_io_stop(loop, &file.io);
	ev_io_stop(loop, &other.io);
	ev_loop_destroy(loop);
	close(other.fd);
	close(file.fd);
}
END_TEST

/* The number means another file each time, and the guess is wrong each time. */
START_TEST(wrong_guess_costs_an_enter_and_no_event)
{
	struct file file;
	int i, fd;

	new_loop(_i);
	open_file(&file, false);
	fd = file.fd;
	for (i = 0; i < 20; i++) {
		if (i & 2) {
			close(fd);
			file.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
			ck_assert_int_eq(file.fd, fd);
		}
		ev_io_start(loop, &file.io);
		turn();
		set_readable(&file);
		file.nr_events = 0;
		ev_run(loop, EVRUN_ONCE);
		ck_assert_msg(file.nr_events == 1, "round %d", i);
		set_quiet(&file);
		ev_io_stop(loop, &file.io);
		turn();
	}
	ev_loop_destroy(loop);
	close(file.fd);
}
END_TEST

START_TEST(more_ready_than_fit_are_all_reported)
{
	static struct file files[NR_MANY];
	uint64_t before;
	int i, nr_turns = 0;

	new_loop(_i);
	for (i = 0; i < NR_MANY; i++) {
		open_file(&files[i], true);
		ev_io_start(loop, &files[i].io);
	}
	do {
		before = stats().events;
		turn();
	} while (stats().events - before < NR_MANY && ++nr_turns < 20);
	ck_assert_int_lt(nr_turns, 8); /* twice as many each time */
	for (i = 0; i < NR_MANY; i++)
		ck_assert_msg(files[i].nr_events > 0, "file %d", i);
	before = stats().events;
	turn();
	ck_assert_uint_eq(stats().events - before, NR_MANY);
	for (i = 0; i < NR_MANY; i++)
		ev_io_stop(loop, &files[i].io);
	ev_loop_destroy(loop);
}
END_TEST

/* /dev/null and regular files: epoll takes none of them. */
START_TEST(regular_file_is_always_ready)
{
	struct file file, other;
	ev_timer guard;
	double start;
	int i, fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	new_loop(_i);
	open_file(&other, false);
	open_file(&file, false);
	ck_assert_int_eq(dup2(fd, file.fd), file.fd);
	ev_io_start(loop, &file.io);
	ev_io_start(loop, &other.io);
	ev_timer_init(&guard, end_turn, 20., 0.);
	ev_timer_start(loop, &guard);
	start = now();
	for (i = 1; i <= 10; i++) {
		ev_run(loop, EVRUN_ONCE);
		ck_assert_int_eq(file.nr_events, i);
	}
	ev_timer_stop(loop, &guard);
	ck_assert_msg(now() - start < 15., "less %s", modes[_i].disable);
	ck_assert_int_eq(other.nr_events, 0);
	set_readable(&other);
	for (i = 0; i < 3; i++)
		ev_run(loop, EVRUN_ONCE);
	ck_assert_int_ge(other.nr_events, 1);
	ev_io_stop(loop, &file.io);
	ev_io_stop(loop, &other.io);
	turn();
	i = file.nr_events;
	turn();
	ck_assert_int_eq(file.nr_events, i);
	ck_assert(loop_works(loop)); /* sleeps again */
	ev_loop_destroy(loop);
	close(fd);
	close(file.fd);
	close(other.fd);
}
END_TEST

/* It was always ready before evring came, and after it went. */
START_TEST(regular_file_is_taken_over)
{
	struct evring_config config = { .disable = modes[_i].disable };
	struct file file;

	loop = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
	open_file(&file, false);
	ck_assert_int_eq(
		dup2(open("/proc/self/exe", O_RDONLY | O_CLOEXEC), file.fd),
		file.fd);
	ev_io_start(loop, &file.io);
	ev_run(loop, EVRUN_ONCE);
	ck_assert_int_eq(file.nr_events, 1);
	ck_assert_int_eq(evring_attach(loop, &config), 0);
	ev_run(loop, EVRUN_ONCE);
	ck_assert_int_eq(file.nr_events, 2);
	ck_assert_int_eq(evring_detach(loop), 0);
	ev_run(loop, EVRUN_ONCE);
	ck_assert_int_eq(file.nr_events, 3);
	ev_io_stop(loop, &file.io);
	ev_loop_destroy(loop);
}
END_TEST

/*
 * the ring goes
 */

static void on_timer(struct ev_loop *l, ev_timer *w, int revents)
{
	(void)revents;
	(*(int *)w->data)++;
	ev_break(l, EVBREAK_ONE);
}

/* clang-format off */
static const struct {
	const char *name;
	struct refusal refusals[2];
	size_t nr_refusals;
} losses[] = {
	{ "enter is forbidden", { REFUSE(__NR_io_uring_enter, EPERM) }, 1 },
	{ "enter is not there", { REFUSE(__NR_io_uring_enter, ENOSYS) }, 1 },
	{ "enter is invalid",   { REFUSE(__NR_io_uring_enter, EINVAL) }, 1 },
	{ "no ring any more",   { REFUSE(__NR_io_uring_enter, EPERM),
				  REFUSE(__NR_io_uring_setup, EPERM) }, 2 },
};
/* clang-format on */

/* A child: mode and loss. */
static int lose_ring(void *arg)
{
	const int *row = arg;
	struct file before, with;
	struct evring_stats s;
	int nr_fired = 0, i;
	ev_timer timer;

	new_loop(row[0]);
	open_file(&before, false);
	ev_io_start(loop, &before.io);
	turn();
	child_assert(loop_works(loop));
	sandbox(losses[row[1]].refusals, losses[row[1]].nr_refusals);
	open_file(&with, true); /* its start is lost with the ring */
	ev_io_start(loop, &with.io);
	for (i = 0; i < 5; i++)
		turn();
	child_assert(with.nr_events >= 1);
	with.nr_events = 0;
	turn();
	child_assert(with.nr_events == 1);
	ev_io_stop(loop, &with.io);
	/* It is noticed when the loop sleeps, but a slow machine may not. */
	for (i = 0; i < 20 && evring_tier(loop) != EVRING_TIER_NONE; i++)
		child_assert(loop_works(loop));
	child_assert(evring_tier(loop) == EVRING_TIER_NONE);
	child_assert(evring_stats(loop, &s) == 0 && s.rings_lost == 1);
	child_assert(find_fd(RING_FD) < 0);
	set_readable(&before);
	turn();
	child_assert(before.nr_events == 1);
	set_quiet(&before);
	ev_timer_init(&timer, on_timer, 0.01, 0.);
	timer.data = &nr_fired;
	ev_timer_start(loop, &timer);
	ev_run(loop, 0);
	child_assert(nr_fired == 1);
	ev_io_stop(loop, &before.io);
	child_assert(loop_works(loop));
	child_assert(evring_stats(loop, &s) == 0 && s.rings_lost == 1);
	child_assert(evring_detach(loop) == 0);
	child_assert(loop_works(loop));
	ev_loop_destroy(loop);
	return 0;
}

START_TEST(lost_ring_leaves_all_to_libev)
{
	int row[2] = { _i % NR_MODES, _i / NR_MODES };

	ck_assert_msg(!run_in_child(lose_ring, row), "less %s: %s",
		      modes[row[0]].disable, losses[row[1]].name);
}
END_TEST

/* No more turns than it takes: the processor is not kept busy for ever. */
static int lose_and_sleep(void *mode)
{
	const struct refusal refusal = REFUSE(__NR_io_uring_enter, EPERM);
	struct evring_stats s;
	int nr_fired = 0;
	ev_timer timer;

	new_loop(*(int *)mode);
	child_assert(loop_works(loop));
	sandbox(&refusal, 1);
	ev_timer_init(&timer, on_timer, 0.1, 0.);
	timer.data = &nr_fired;
	ev_timer_start(loop, &timer);
	ev_run(loop, 0);
	child_assert(nr_fired == 1);
	child_assert(evring_stats(loop, &s) == 0);
	child_assert(s.ring_rebuilds < 10 && s.turns < 50);
	return 0;
}

START_TEST(lost_ring_does_not_keep_the_loop_busy)
{
	ck_assert_msg(!run_in_child(lose_and_sleep, &_i), "less %s",
		      modes[_i].disable);
}
END_TEST

static void *turns_there(void *ret_ok)
{
	bool *ok = ret_ok;
	int i;

	*ok = loop_works(loop);
	for (i = 0; i < 10; i++)
		turn();
	return NULL;
}

static void run_there(void)
{
	pthread_t thread;
	bool ok = false;

	ck_assert(!pthread_create(&thread, NULL, turns_there, &ok));
	ck_assert(!pthread_join(thread, NULL));
	ck_assert(ok);
}

START_TEST(move_between_threads_rebuilds_once)
{
	struct file file;
	int i;

	new_loop(_i);
	open_file(&file, false);
	ev_io_start(loop, &file.io);
	turn();
	ck_assert_uint_eq(stats().ring_rebuilds, 0);
	for (i = 1; i <= 3; i++) {
		run_there();
		ck_assert_uint_eq(stats().ring_rebuilds, (unsigned)i * 2 - 1);
		turn();
		turn();
		ck_assert_uint_eq(stats().ring_rebuilds, (unsigned)i * 2);
	}
	set_readable(&file);
	ev_run(loop, EVRUN_ONCE);
	ck_assert_int_eq(file.nr_events, 1);
	ck_assert_uint_eq(stats().rings_lost, 0);
	ev_io_stop(loop, &file.io);
	ev_loop_destroy(loop);
	close(file.fd);
}
END_TEST

START_TEST(replaced_set_is_asked)
{
	struct file file, late;
	int i;

	new_loop(_i);
	open_file(&file, false);
	ev_io_start(loop, &file.io);
	turn();
	for (i = 0; i < 5; i++) {
		ev_loop_fork(loop); /* libev makes a new epoll set */
		turn();
		open_file(&late, true);
		ev_io_start(loop, &late.io);
		file.nr_events = 0;
		set_readable(&file);
		ev_run(loop, EVRUN_ONCE);
		ev_run(loop, EVRUN_ONCE);
		ck_assert_int_ge(file.nr_events, 1);
		ck_assert_int_ge(late.nr_events, 1);
		set_quiet(&file);
		ev_io_stop(loop, &late.io);
		close(late.fd);
		turn();
	}
	ck_assert_uint_eq(stats().rings_lost, 0);
	ck_assert_uint_eq(stats().ring_rebuilds, 0);
	ev_io_stop(loop, &file.io);
	ck_assert(loop_works(loop));
	ev_loop_destroy(loop);
	close(file.fd);
}
END_TEST

static const struct {
	const char *name;
	const TTest *const *test;
	int nr_rows;
	bool forks;
} tests[] = {
	{ "enters", &a_watcher_that_starts_again_is_not_handed_over, 1, false },
	{ "enters", &changes_of_the_set_travel_with_the_wait, 1, false },
	{ "enters", &quiet_turns_make_no_system_call, 1, false },
	{ "enters", &blocking_turn_waits_once, 1, false },
	{ "enters", &collecting_turn_without_events_waits_once, 1, false },
	{ "enters", &collecting_turn_with_events_sleeps_and_asks, 1, false },
	{ "fds", &restart_settles_to_one_enter, 1, false },
	{ "fds", &wrong_guess_costs_an_enter_and_no_event, 1, false },
	{ "fds", &more_ready_than_fit_are_all_reported, 1, false },
	{ "fds", &regular_file_is_always_ready, 1, false },
	{ "fds", &regular_file_is_taken_over, 1, false },
	{ "loss", &lost_ring_leaves_all_to_libev, ARRAY_SIZE(losses), true },
	{ "loss", &lost_ring_does_not_keep_the_loop_busy, 1, true },
	{ "loss", &move_between_threads_rebuilds_once, 1, false },
	{ "loss", &replaced_set_is_asked, 1, false },
};

Suite *make_suite(void)
{
	Suite *suite = suite_create("poll");
	TCase *tcase = NULL;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(tests); i++) {
		if (!i || strcmp(tests[i].name, tests[i - 1].name)) {
			tcase = tcase_create(tests[i].name);
			tcase_set_timeout(tcase, 25);
			suite_add_tcase(suite, tcase);
		}
		add_loop_or_leave_out(tcase, *tests[i].test,
				      NR_MODES * tests[i].nr_rows,
				      tests[i].forks ? no_children() : NULL);
	}
	return suite;
}
