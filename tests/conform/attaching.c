/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * conform/attaching.c - attach and detach at any time.
 */
#include "config.h"

#include "scene.h"

/*
 * detach and attach
 */

START_TEST(attach_and_detach_in_the_middle_lose_nothing)
{
	struct watch reader, writer, file;
	struct pair pair;
	int i;

	open_scene(_i);
	pair = open_pair();
	watch(&reader, pair.ours, EV_READ);
	watch(&writer, pair.theirs, EV_READ | EV_WRITE);
	watch(&file, open_temporary(), EV_READ);
	settle();
	for (i = 0; i < 6; i++) {
		if (is_evring() && scene.is_attached)
			detach();
		else if (is_evring())
			attach();
		reader.nr = 0;
		if (i & 1)
			check_quiet(&reader);
		put(pair.theirs);
		check_turn(&reader, EV_READ);
		check_int(writer.revents, ==, EV_WRITE);
		check_turn(&file, EV_READ);
		take(pair.ours);
		stop(&writer);
		stop(&file);
		check_quiet(&reader);
		start(&writer);
		start(&file);
	}
	close_scene();
}
END_TEST

static void change_hands(struct watch *w)
{
	(void)w;
	if (is_evring() && scene.is_attached)
		detach();
	else if (is_evring())
		attach();
}

START_TEST(attach_and_detach_in_a_callback_lose_nothing)
{
	struct watch a, b;
	struct pair pair;
	int i;

	open_scene(_i);
	pair = open_pair();
	watch_then(&a, pair.ours, EV_READ, change_hands);
	watch(&b, pair.ours, EV_READ | EV_WRITE);
	settle();
	put(pair.theirs);
	for (i = 0; i < 10; i++) {
		check_turn(&b, EV_READ | EV_WRITE);
		check_int(a.nr, ==, i + 1);
	}
	a.then = NULL;
	take(pair.ours);
	check_quiet(&a);
	close_scene();
}
END_TEST

START_TEST(changes_not_yet_made_survive_a_detach)
{
	struct watch w[40];
	struct pair pair;
	int i, k, n = (int)ARRAY_SIZE(w);

	open_scene(_i);
	settle();
	pair = open_pair();
	for (k = 0; k < 4; k++) {
		for (i = 0; i < n; i++)
			watch(&w[i], keep(dup(pair.ours)), EV_READ);
		if (k & 1)
			turn();
		for (i = 0; i < n; i++)
			if (k & 2)
				change_events(&w[i], EV_WRITE);
		change_hands(NULL);
		for (i = 0; i < n; i++) {
			w[i].nr = 0;
			put(pair.theirs);
			check_turn(&w[i], k & 2 ? EV_WRITE : EV_READ);
			take(pair.ours);
			stop(&w[i]);
			discard(w[i].io.fd);
		}
	}
	close_scene();
}
END_TEST

/* A bug of the program, of which libev says nothing as long as nothing changes
   (see the mistakes in kinds.c): who waits for the loop is no change. */
START_TEST(closed_by_mistake_is_not_heard_at_a_detach)
{
	struct watch w, other;
	struct pair pair;

	pair = open_watched(_i, &w);
	watch(&other, pair.theirs, EV_WRITE);
	check_turn(&other, EV_WRITE);
	discard(pair.ours);
	change_hands(NULL);
	check_quiet(&w);
	change_hands(NULL);
	check_quiet(&w);
	check_int(ev_is_active(&w.io), !=, 0);
	close_scene();
}
END_TEST

START_TEST(a_default_loop_is_like_any_other)
{
	struct ev_loop *loop;
	struct pair pair;
	struct watch w;

	open_default_scene(_i);
	pair = open_pair();
	watch(&w, pair.ours, EV_READ);
	settle();
	check_that(ev_is_default_loop(scene.loop));
	if (promises_more()) {
		loop = evring_default_loop(0, &scene.mode->config);
		check_that(loop == scene.loop);
	}
	check_quiet(&w);
	put(pair.theirs);
	check_turn(&w, EV_READ);
	close_scene();
	if (promises_more()) {
		loop = evring_default_loop(EVFLAG_NOENV, &scene.mode->config);
		check_that(evring_tier(loop) == expected_tier(scene.mode));
		ev_loop_destroy(loop);
	}
}
END_TEST

static void run_another(struct watch *w)
{
	struct ev_loop *loop = scene.loop, *another = open_another();
	struct pair pair = open_pair();
	struct watch inner;

	take(w->io.fd);
	scene.loop = another;
	watch_then(&inner, pair.ours, EV_READ, take_one);
	put(pair.theirs);
	run_once();
	check_quiet(&inner);
	check_int(inner.nr, ==, 1);
	ev_loop_destroy(another);
	scene.loop = loop;
}

START_TEST(a_callback_may_make_run_and_destroy_another_loop)
{
	struct pair pair;
	struct watch w;
	int i;

	open_scene(_i);
	pair = open_pair();
	watch_then(&w, pair.ours, EV_READ, run_another);
	settle();
	for (i = 0; i < 3; i++) {
		put(pair.theirs);
		check_turn(&w, EV_READ);
		check_quiet(&w);
	}
	close_scene();
}
END_TEST

START_TEST(a_loop_is_destroyed_with_all_watchers_active)
{
	struct watch w[3];
	struct pair pair;
	struct alarm far;
	struct bell bell;
	int round, fds;

	open_scene(_i);
	settle();
	fds = count_fds();
	for (round = 0; round < 5; round++) {
		struct ev_loop *loop = scene.loop;

		scene.loop = open_oracle();
		check_that(attach_other(scene.loop));
		pair = open_pair();
		watch(&w[0], pair.ours, EV_READ);
		watch(&w[1], pair.theirs, EV_READ | EV_WRITE);
		watch(&w[2], open_temporary(), EV_READ);
		set_alarm(&far, 60., 0.);
		start_bell(&bell);
		turns(round);
		ev_loop_destroy(scene.loop);
		scene.loop = loop;
		discard(pair.ours);
		discard(pair.theirs);
		discard(w[2].io.fd);
	}
	check_int(count_fds(), ==, fds);
	close_scene();
}
END_TEST

/*
 * all of them
 */

void add_attaching(void)
{
	add_scenario("detaching", attach_and_detach_in_the_middle_lose_nothing);
	add_scenario("detaching", attach_and_detach_in_a_callback_lose_nothing);
	add_scenario("detaching", changes_not_yet_made_survive_a_detach);
	add_scenario("detaching", closed_by_mistake_is_not_heard_at_a_detach);
	add_scenario("detaching", a_default_loop_is_like_any_other);
	add_scenario("detaching",
		     a_callback_may_make_run_and_destroy_another_loop);
	add_scenario("detaching", a_loop_is_destroyed_with_all_watchers_active);
}
