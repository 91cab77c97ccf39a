/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * conform/timers.c - line 9: timers.
 */
#include "config.h"

#include "scene.h"

#include <signal.h>
#include <sys/time.h>

/*
 * 9: timers
 */

static double time_of_timer(double after)
{
	double start_time = now();
	struct alarm w;

	set_alarm(&w, after, 0.);
	while (!w.nr)
		run_on();
	return now() - start_time;
}

/* A busy machine is late more often than not, but not for seconds. */
START_TEST(a_timer_is_not_rounded_up_to_a_millisecond)
{
	double start_time, took, best = 1., enough = 1.;
	int i;

	open_scene(_i);
	settle();
	if (promises_more() && !under_valgrind())
		enough = 700e-6;
	start_time = now();
	for (i = 0; i < 50 || best > enough; i++) {
		took = time_of_timer(200e-6);
		check_time(took, >=, 200e-6);
		best = took < best ? took : best;
		if (now() - start_time > PATIENCE / 2.)
			break;
	}
	check_time(best, <=, enough);
	close_scene();
}
END_TEST

START_TEST(a_timer_needs_one_wait)
{
	int i, best = 100, iterations;
	struct alarm w;

	open_scene(_i);
	settle();
	for (i = 0; i < 5; i++) {
		iterations = (int)ev_iteration(scene.loop);
		set_alarm(&w, 0.003, 0.);
		while (!w.nr)
			run_on();
		iterations = (int)ev_iteration(scene.loop) - iterations;
		if (iterations < best)
			best = iterations;
	}
	check_int(best, ==, 1);
	close_scene();
}
END_TEST

START_TEST(a_repeating_timer_repeats_until_stopped)
{
	double start_time = now();
	struct alarm w;

	open_scene(_i);
	settle();
	set_alarm(&w, 0.002, 0.002);
	while (w.nr < 10)
		run_on();
	check_time(now() - start_time, >=, 0.020);
	check_that(ev_is_active(&w.timer));
	ev_timer_stop(scene.loop, &w.timer);
	nap(0.005);
	check_int(w.nr, ==, 10);
	close_scene();
}
END_TEST

START_TEST(timer_again_starts_over)
{
	double start_time;
	struct alarm w;

	open_scene(_i);
	settle();
	set_alarm(&w, 0., 0.02);
	turn();
	check_int(w.nr, ==, 1); /* a delay of 0 is over at once */
	nap(0.01);
	start_time = now();
	ev_now_update(scene.loop);
	ev_timer_again(scene.loop, &w.timer);
	check_time(ev_timer_remaining(scene.loop, &w.timer), >, 0.015);
	w.nr = 0; /* on a busy machine the nap was longer than the interval */
	while (!w.nr)
		run_on();
	check_time(now() - start_time, >=, 0.02);
	w.timer.repeat = 0.;
	ev_timer_again(scene.loop, &w.timer);
	check_that(!ev_is_active(&w.timer));
	close_scene();
}
END_TEST

START_TEST(a_timer_of_nothing_expires_in_the_next_turn)
{
	struct alarm a, b;

	open_scene(_i);
	settle();
	set_alarm(&a, 0., 0.);
	set_alarm(&b, -5., 0.);
	b.at = 0.;
	turn();
	check_int(a.nr, ==, 1);
	check_int(b.nr, ==, 1);
	set_alarm(&a, 0., 0.);
	run_once();
	check_int(a.nr, ==, 1);
	close_scene();
}
END_TEST

static bool is_due_before(struct alarm *a, struct alarm *b)
{
	return ev_timer_remaining(scene.loop, &a->timer) <
	       ev_timer_remaining(scene.loop, &b->timer);
}

START_TEST(many_timers_expire_in_order)
{
	static struct alarm alarms[1000];
	size_t i, k, n = ARRAY_SIZE(alarms);

	open_scene(_i);
	settle();
	for (i = 0; i < n; i++) {
		k = i * 7 % n; /* not in the order of their times */
		set_alarm(&alarms[k], 0.01 + (double)k * 30e-6, 0.);
	}
	for (i = 1; i < n; i++)
		if (is_due_before(&alarms[i - 1], &alarms[i]))
			alarms[i].previous = &alarms[i - 1];
	ev_run(scene.loop, 0);
	for (i = 0; i < n; i++)
		check_int(alarms[i].nr, ==, 1);
	close_scene();
}
END_TEST

struct clock_event {
	ev_periodic periodic;
	int nr;
};

static void on_periodic(struct ev_loop *loop, ev_periodic *w, int revents)
{
	(void)revents;
	((struct clock_event *)w)->nr++;
	check_time(ev_now(loop), >=, w->offset);
}

static ev_tstamp in_five_ms(ev_periodic *w, ev_tstamp at)
{
	(void)w;
	return at + 0.005;
}

START_TEST(periodics_follow_the_wall_clock)
{
	struct clock_event once = { .nr = 0 }, every = once, custom = once;
	double start_time;

	open_scene(_i);
	settle();
	start_time = ev_time();
	ev_periodic_init(&once.periodic, on_periodic, start_time + 0.01, 0.,
			 NULL);
	ev_periodic_init(&every.periodic, on_periodic, 0., 0.005, NULL);
	ev_periodic_init(&custom.periodic, on_periodic, 0., 0., in_five_ms);
	ev_periodic_start(scene.loop, &once.periodic);
	ev_periodic_start(scene.loop, &every.periodic);
	ev_periodic_start(scene.loop, &custom.periodic);
	while (!once.nr || every.nr < 4 || custom.nr < 4)
		run_on();
	check_int(once.nr, ==, 1);
	check_time(ev_time() - start_time, >=, 0.015);
	check_that(!ev_is_active(&once.periodic));
	ev_periodic_stop(scene.loop, &every.periodic);
	ev_periodic_stop(scene.loop, &custom.periodic);
	close_scene();
}
END_TEST

START_TEST(timeout_collect_interval_delays_timers)
{
	double start_time;
	struct alarm w;

	open_scene(_i);
	settle();
	ev_set_timeout_collect_interval(scene.loop, 0.02);
	start_time = now();
	set_alarm(&w, 0.001, 0.);
	while (!w.nr)
		run_on();
	if (!is_faulty) /* the end of a ring interrupts an epoll_wait */
		check_time(now() - start_time, >=, 0.02);
	ev_set_timeout_collect_interval(scene.loop, 0.);
	close_scene();
}
END_TEST

START_TEST(io_collect_interval_delays_events)
{
	double start_time;
	struct pair pair;
	struct watch w;
	struct alarm far;

	pair = open_watched(_i, &w);
	set_alarm(&far, 60., 0.);
	put(pair.theirs);
	run_once();
	ev_set_io_collect_interval(scene.loop, 0.01);
	start_time = now();
	while (w.nr < 5)
		run_on();
	check_time(now() - start_time, >=, 0.025);
	ev_set_io_collect_interval(scene.loop, 0.);
	close_scene();
}
END_TEST

static bool runs_while_suspended(struct alarm *w)
{
	struct timespec pause = { .tv_nsec = 30000000 };
	double left;

	set_alarm(w, 0.02, 0.);
	ev_suspend(scene.loop);
	nanosleep(&pause, NULL); /* time passes; nobody is waited for */
	ev_resume(scene.loop);
	turn();
	left = ev_timer_remaining(scene.loop, &w->timer);
	return w->nr || left <= 0.01;
}

/* Time runs before the pause and after it: a slow machine takes some tries. */
START_TEST(suspended_timers_do_not_run)
{
	int tries = 20;
	struct alarm w;

	open_scene(_i);
	settle();
	while (runs_while_suspended(&w) && --tries)
		ev_timer_stop(scene.loop, &w.timer);
	check_int(tries, >, 0);
	while (!w.nr)
		run_on();
	close_scene();
}
END_TEST

static void ignore_signal(int signum)
{
	(void)signum;
}

START_TEST(an_interrupted_wait_is_neither_event_nor_timeout)
{
	struct itimerval often = { { 0, 2000 }, { 0, 2000 } };
	struct itimerval never = { { 0, 0 }, { 0, 0 } };
	struct sigaction action = { .sa_handler = ignore_signal };
	double start_time;
	struct pair pair;
	struct watch w;

	pair = open_watched(_i, &w);
	sigaction(SIGVTALRM, &action, NULL);
	sigaction(SIGPROF, &action, NULL);
	sigaction(SIGALRM, &action, NULL);
	alarm(0);
	setitimer(ITIMER_REAL, &often, NULL);
	start_time = now();
	nap(0.03);
	setitimer(ITIMER_REAL, &never, NULL);
	check_time(now() - start_time, >=, 0.03);
	check_int(w.nr, ==, 0);
	put(pair.theirs);
	check_turn(&w, EV_READ);
	close_scene();
}
END_TEST

/*
 * all of them
 */

void add_timers(void)
{
	add_scenario("timers", a_timer_is_not_rounded_up_to_a_millisecond);
	add_scenario("timers", a_timer_needs_one_wait);
	add_scenario("timers", a_repeating_timer_repeats_until_stopped);
	add_scenario("timers", timer_again_starts_over);
	add_scenario("timers", a_timer_of_nothing_expires_in_the_next_turn);
	add_scenario("timers", many_timers_expire_in_order);
	add_scenario("timers", periodics_follow_the_wall_clock);
	add_scenario("timers", timeout_collect_interval_delays_timers);
	add_scenario("timers", io_collect_interval_delays_events);
	add_scenario("timers", suspended_timers_do_not_run);
	add_scenario("timers",
		     an_interrupted_wait_is_neither_event_nor_timeout);
}
