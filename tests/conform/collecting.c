/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * conform/collecting.c - line 9, continued: evring_set_collect() is to events
 * what ev_set_io_collect_interval() is on the oracle.
 *
 * A machine without a min-wait to collect with has libev's interval in all
 * modes, and the scenarios hold with it just the same.
 */
#include "config.h"

#include "scene.h"

#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <time.h>

/* Turns that block are so far apart.  A loop whose ring was lost may refuse. */
static void collect(double seconds)
{
	int r = evring_set_collect(scene.loop, seconds, 0);

	if (r == -ENOTSUP && !is_faulty)
		printf("# left out: no min-wait here, or one with a defect\n");
	else if (!is_faulty)
		check_int(r, ==, is_evring() ? 0 : -EINVAL);
	ev_set_io_collect_interval(scene.loop, r < 0 ? seconds : 0.);
}

static void pause_ms(int ms)
{
	const struct timespec pause = { .tv_nsec = ms * 1000000L };

	nanosleep(&pause, NULL);
}

/* So that a turn has no reason to end but what it is to see. */
static struct alarm far;

/*
 * events
 */

enum { NR_BURST = 3, TRIES = 10 /* of what a slow machine may spoil */ };

static struct burst {
	struct pair pairs[NR_BURST];
	struct watch watches[NR_BURST];
	struct bell bell;
} burst;

static void let_burst(void *unused)
{
	int i;

	(void)unused;
	for (i = 0; i < NR_BURST; i++) {
		put(burst.pairs[i].theirs);
		pause_ms(15);
		ev_async_send(scene.loop, &burst.bell.async);
	}
}

static bool has_burst(void)
{
	int i, nr = burst.bell.nr > 0;

	for (i = 0; i < NR_BURST; i++)
		nr += burst.watches[i].nr > 0;
	return nr == NR_BURST + 1;
}

static void forget_burst(void)
{
	int i;

	burst.bell.nr = 0;
	for (i = 0; i < NR_BURST; i++) {
		take(burst.pairs[i].ours);
		burst.watches[i].nr = 0;
	}
	turn();
}

/* All of it comes; in one turn, unless the interval was over before. */
static bool burst_is_one_turn(void)
{
	unsigned iteration = ev_iteration(scene.loop);
	struct actor actor;

	act_when_asleep(&actor, let_burst, NULL);
	do
		run_once();
	while (!has_burst());
	join(&actor);
	return ev_iteration(scene.loop) - iteration == 1;
}

static void *play_burst(void *unused)
{
	int tries = TRIES;

	turn(); /* a new ring, where this is another thread or process */
	while (!burst_is_one_turn() && !is_faulty && --tries)
		forget_burst();
	check_int(tries, >, 0);
	return unused;
}

static void play_elsewhere(void)
{
	pthread_t thread;

	check_int(pthread_create(&thread, NULL, play_burst, NULL), ==, 0);
	check_int(pthread_join(thread, NULL), ==, 0);
}

static void play_in_child(void)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		alarm((unsigned)patience(PATIENCE));
		ev_loop_fork(scene.loop);
		play_burst(NULL);
		_exit(0);
	}
	check_int(waitpid(pid, &status, 0), ==, pid);
	check_int(status, ==, 0);
}

enum { HERE, ELSEWHERE, IN_CHILD, NR_PLACES };

/* The pauses are long enough to tell a burst from single events, the interval
   for most machines. */
START_TEST(a_burst_is_one_turn)
{
	int i, place = _i / nr_runnable;

	open_scene(_i);
	for (i = 0; i < NR_BURST; i++) {
		burst.pairs[i] = open_pair();
		watch(&burst.watches[i], burst.pairs[i].ours, EV_READ);
	}
	start_bell(&burst.bell);
	settle();
	set_alarm(&far, 60., 0.);
	collect(0.3);
	if (place == HERE)
		play_burst(NULL);
	else if (place == ELSEWHERE)
		play_elsewhere();
	else
		play_in_child();
	close_scene();
}
END_TEST

static void put_later(void *fd)
{
	pause_ms(60);
	put_to(fd);
}

START_TEST(an_event_after_the_interval_ends_the_wait)
{
	struct actor actor;
	struct pair pair;
	struct watch w;

	pair = open_watched(_i, &w);
	set_alarm(&far, 60., 0.);
	collect(0.02);
	act_when_asleep(&actor, put_later, &pair.theirs);
	run_once();
	while (is_faulty && !w.nr)
		run_on();
	join(&actor);
	check_int(w.nr, ==, 1);
	close_scene();
}
END_TEST

static struct {
	struct pair gone, ready;
} pairs;

static void change_places(void *unused)
{
	(void)unused;
	take(pairs.gone.ours);
	put(pairs.ready.theirs);
}

/* One event was there before the interval was over, the other when it was. */
static void play_change(struct watch *ready)
{
	struct actor actor;

	put(pairs.gone.theirs);
	if (is_faulty)
		change_places(NULL);
	else
		act_when_asleep(&actor, change_places, NULL);
	run_once();
	while (is_faulty && !ready->nr)
		run_on();
	if (!is_faulty)
		join(&actor);
}

/* What counts is the end of the interval, not what was ready before it.  It may
   be over before anybody acts, but not each time. */
START_TEST(what_is_ready_is_asked_when_the_interval_is_over)
{
	struct watch gone, ready;
	int tries = TRIES;

	open_scene(_i);
	pairs.gone = open_pair();
	pairs.ready = open_pair();
	watch(&gone, pairs.gone.ours, EV_READ);
	watch(&ready, pairs.ready.ours, EV_READ);
	settle();
	set_alarm(&far, 60., 0.);
	collect(0.3);
	play_change(&ready);
	while (gone.nr && --tries) {
		take(pairs.ready.ours);
		gone.nr = ready.nr = 0;
		play_change(&ready);
	}
	check_int(gone.nr, ==, 0);
	check_int(ready.nr, ==, 1);
	close_scene();
}
END_TEST

/* In the second row libev's backend has something to do in each turn. */
START_TEST(turns_that_block_are_an_interval_apart)
{
	bool takes_turns = _i / nr_runnable;
	struct watch w[2];
	double start_time;
	int i;

	open_scene(_i);
	watch(&w[0], open_temporary(), EV_READ); /* always ready */
	watch(&w[1], open_temporary(), EV_READ);
	stop(&w[1]);
	settle();
	set_alarm(&far, 60., 0.);
	collect(0.03);
	start_time = now();
	for (i = 0; i < 5; i++) {
		run_once();
		if (takes_turns) {
			stop(&w[i % 2]);
			ev_io_start(scene.loop, &w[(i + 1) % 2].io);
		}
	}
	check_int(w[0].nr + w[1].nr, >=, 5);
	if (!is_faulty)
		check_time(now() - start_time, >=, 0.12);
	close_scene();
}
END_TEST

/*
 * what does not wait for the interval
 */

enum { LONG = 4 * PATIENCE };

START_TEST(timers_do_not_wait_for_the_interval)
{
	bool is_busy = _i / nr_runnable;
	double start_time;
	struct watch quiet, always;
	struct alarm soon;

	open_watched(_i, &quiet);
	if (is_busy)
		watch(&always, open_temporary(), EV_READ);
	turn();
	collect(LONG);
	start_time = now();
	set_alarm(&soon, 0.02, 0.);
	while (!soon.nr)
		run_on();
	check_time(now() - start_time, >=, 0.02);
	check_time(now() - start_time, <, LONG / 2.);
	check_int(quiet.nr, ==, 0);
	close_scene();
}
END_TEST

START_TEST(a_turn_that_may_not_block_does_not_wait_for_the_interval)
{
	double start_time;
	struct pair pair;
	struct watch w;

	pair = open_watched(_i, &w);
	collect(LONG);
	start_time = now();
	put(pair.theirs);
	check_turn(&w, EV_READ);
	turns(10);
	check_time(now() - start_time, <, LONG / 2.);
	close_scene();
}
END_TEST

struct heard {
	ev_signal signal;
	int nr;
};

static void on_signal(struct ev_loop *loop, ev_signal *w, int revents)
{
	(void)loop;
	check_int(revents, ==, EV_SIGNAL);
	((struct heard *)w)->nr++;
}

static void send_signal(void *thread)
{
	check_int(pthread_kill(*(pthread_t *)thread, SIGUSR1), ==, 0);
}

START_TEST(a_signal_does_not_wait_for_the_interval)
{
	pthread_t self = pthread_self();
	struct heard heard = { .nr = 0 };
	double start_time;
	struct actor actor;

	open_default_scene(_i);
	ev_signal_init(&heard.signal, on_signal, SIGUSR1);
	ev_signal_start(scene.loop, &heard.signal);
	settle();
	set_alarm(&far, 60., 0.);
	collect(LONG);
	start_time = now();
	act_when_asleep(&actor, send_signal, &self);
	while (!heard.nr)
		run_on();
	check_time(now() - start_time, <, LONG / 2.);
	join(&actor);
	check_int(heard.nr, ==, 1);
	ev_signal_stop(scene.loop, &heard.signal);
	close_scene();
}
END_TEST

START_TEST(an_interval_can_be_taken_back)
{
	double start_time;
	struct pair pair;
	struct watch w;

	pair = open_watched(_i, &w);
	set_alarm(&far, 60., 0.);
	collect(LONG);
	collect(0.);
	start_time = now();
	put(pair.theirs);
	run_once();
	check_time(now() - start_time, <, LONG / 2.);
	check_int(w.nr, ==, 1);
	close_scene();
}
END_TEST

/*
 * all of them
 */

void add_collecting(void)
{
	add_rows("collecting", a_burst_is_one_turn, NR_PLACES);
	add_scenario("collecting", an_event_after_the_interval_ends_the_wait);
	add_scenario("collecting",
		     what_is_ready_is_asked_when_the_interval_is_over);
	add_rows("collecting", turns_that_block_are_an_interval_apart, 2);
	add_rows("collecting", timers_do_not_wait_for_the_interval, 2);
	add_scenario("collecting",
		     a_turn_that_may_not_block_does_not_wait_for_the_interval);
	add_scenario("collecting", a_signal_does_not_wait_for_the_interval);
	add_scenario("collecting", an_interval_can_be_taken_back);
}
