/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * conform/forks.c - line 11: fork.
 */
#include "config.h"

#include "scene.h"

#include <sys/wait.h>

/*
 * 11: fork
 */

static int child_sees_event(void *arg)
{
	struct watch *w = arg;
	struct pair pair = open_pair();
	struct watch own;

	ev_loop_fork(scene.loop);
	w->nr = 0;
	turn();
	if (w->nr != 1)
		return 1;
	watch(&own, pair.ours, EV_READ);
	stop(w);
	put(pair.theirs);
	run_once();
	if (own.nr != 1 || w->nr != 1)
		return 2;
	take(pair.ours);
	nap(SHORT_NAP);
	ev_loop_destroy(scene.loop);
	return own.nr == 1 ? 0 : 3;
}

START_TEST(a_forked_child_gets_its_events_and_the_parent_its_own)
{
	struct pair pair;
	struct watch w;
	int i;

	open_scene(_i);
	pair = open_pair();
	watch(&w, pair.ours, EV_READ);
	settle();
	nap(SHORT_NAP); /* a wait is under way */
	for (i = 0; i < 3; i++) {
		put(pair.theirs);
		check_int(run_in_child(child_sees_event, &w), ==, 0);
		check_turn(&w, EV_READ);
		take(pair.ours);
		check_quiet(&w);
	}
	close_scene();
}
END_TEST

static int child_checks_itself(void *arg)
{
	struct watch *w = arg;

	w->nr = 0;
	turn();
	return w->nr == 1 ? 0 : 1;
}

START_TEST(forkcheck_takes_care_of_a_forked_child)
{
	struct pair pair;
	struct watch w;

	open_scene_with(_i, EVFLAG_FORKCHECK);
	pair = open_pair();
	watch(&w, pair.ours, EV_READ);
	settle();
	put(pair.theirs);
	check_int(run_in_child(child_checks_itself, &w), ==, 0);
	check_turn(&w, EV_READ);
	take(pair.ours);
	check_quiet(&w);
	close_scene();
}
END_TEST

START_TEST(a_child_without_loop_fork_gets_events_as_on_the_oracle)
{
	struct pair pair;
	struct watch w;

	open_scene(_i);
	pair = open_pair();
	watch(&w, pair.ours, EV_READ);
	settle();
	put(pair.theirs);
	check_int(run_in_child(child_checks_itself, &w), ==, 0);
	check_turn(&w, EV_READ);
	take(pair.ours);
	check_quiet(&w);
	close_scene();
}
END_TEST

static int child_does(void *arg)
{
	if (arg)
		ev_loop_destroy(scene.loop);
	return 0;
}

START_TEST(a_child_that_exits_leaves_the_parents_loop_working)
{
	struct pair pair;
	struct watch w;
	double start_time;

	open_scene(_i);
	pair = open_pair();
	watch(&w, pair.ours, EV_READ);
	settle();
	nap(SHORT_NAP);
	check_int(run_in_child(child_does, NULL), ==, 0);
	check_quiet(&w);
	put(pair.theirs);
	check_turn(&w, EV_READ);
	take(pair.ours);
	check_int(run_in_child(child_does, &w), ==, 0);
	start_time = now();
	nap(0.01);
	check_time(now() - start_time, >=, 0.01);
	check_quiet(&w);
	put(pair.theirs);
	check_turn(&w, EV_READ);
	close_scene();
}
END_TEST

/* A child with another timeout in the same kind of wait, at the same time. */
START_TEST(a_childs_timeouts_are_not_its_parents)
{
	double start_time;
	pid_t pid;
	int i;

	open_scene(_i);
	settle();
	nap(SHORT_NAP);
	pid = fork();
	if (!pid) {
		ev_loop_fork(scene.loop);
		for (i = 0; i < 20; i++)
			nap(0.001);
		_exit(0);
	}
	start_time = now();
	nap(0.03);
	check_time(now() - start_time, >=, 0.03);
	check_int(waitpid(pid, NULL, 0), ==, pid);
	close_scene();
}
END_TEST

/*
 * all of them
 */

void add_forks(void)
{
	add_scenario("forks",
		     a_forked_child_gets_its_events_and_the_parent_its_own);
	add_scenario("forks", forkcheck_takes_care_of_a_forked_child);
	add_scenario("forks",
		     a_child_without_loop_fork_gets_events_as_on_the_oracle);
	add_scenario("forks",
		     a_child_that_exits_leaves_the_parents_loop_working);
	add_scenario("forks", a_childs_timeouts_are_not_its_parents);
}
