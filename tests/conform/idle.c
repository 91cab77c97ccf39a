/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * conform/idle.c - lines 8 and 13: a turn with nothing to do costs nothing, and
 * a loop that waits is not woken.
 */
#include "config.h"

#include "scene.h"

/*
 * 8: a quiet turn that may not block
 */

START_TEST(a_quiet_turn_makes_no_system_call)
{
	struct evring_stats before, after;
	struct pair pair;
	struct watch w;
	ev_timer timer;

	open_scene(_i);
	pair = open_pair();
	watch(&w, pair.ours, EV_READ);
	ev_timer_init(&timer, NULL, 60., 0.);
	ev_timer_start(scene.loop, &timer);
	settle();
	turns(3);
	before = promises_more() ? stats() : (struct evring_stats){ 0 };
	turns(1000);
	if (promises_more()) {
		after = stats();
		check_int(after.turns - before.turns, ==, 1000);
		check_int(after.enters - before.enters, ==, 0);
		check_int(after.requests - before.requests, ==, 0);
		check_int(after.waits_avoided - before.waits_avoided, ==, 1000);
	}
	put(pair.theirs);
	check_turn(&w, EV_READ);
	close_scene();
}
END_TEST

/*
 * 13: idle is idle
 */

START_TEST(an_idle_loop_is_not_woken)
{
	struct evring_stats before = { 0 };
	unsigned iterations;
	struct pair pair;
	struct watch w;

	open_scene(_i);
	pair = open_pair();
	watch(&w, pair.ours, EV_READ);
	settle();
	nap(SHORT_NAP);
	if (promises_more())
		before = stats();
	iterations = ev_iteration(scene.loop);
	nap(0.3);
	check_int(ev_iteration(scene.loop) - iterations, <=,
		  is_faulty ? 20 : 2);
	if (promises_more())
		check_int(stats().enters - before.enters, <=, 3);
	check_int(w.nr, ==, 0);
	close_scene();
}
END_TEST

/*
 * all of them
 */

void add_idle(void)
{
	add_scenario("quiet", a_quiet_turn_makes_no_system_call);

	add_scenario("idle", an_idle_loop_is_not_woken);
}
