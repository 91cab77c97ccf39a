/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * conform/many.c - many at once, and a set that is replaced.
 */
#include "config.h"

#include "scene.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>

/*
 * many at once
 */

enum { MANY = 1000 };

static struct watch many_watches[MANY];
static struct pair many_pairs[MANY];

/* As many pairs as there can be. */
static int open_many(void)
{
	struct rlimit limit;
	int i, nr;

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	nr = limit.rlim_cur < 2 * MANY + 100 ? (int)(limit.rlim_cur - 100) / 2
					     : MANY;
	for (i = 0; i < nr; i++)
		many_pairs[i] = open_pair();
	return nr;
}

/* All of them are ready: each is reported once, in few turns. */
static void check_each_once(int nr)
{
	int i, total = 0, nr_turns;

	for (i = 0; i < nr; i++) {
		many_watches[i].nr = 0;
		put(many_pairs[i].theirs);
	}
	for (nr_turns = 0; total < nr; nr_turns++) {
		check_int(nr_turns, <, 40);
		turn();
		for (i = total = 0; i < nr; i++)
			total += many_watches[i].nr;
	}
	turn();
	for (i = 0; i < nr; i++)
		check_int(many_watches[i].nr, ==, 1);
}

START_TEST(many_fds_are_each_reported_once)
{
	int i, nr;

	open_scene(_i);
	nr = open_many();
	for (i = 0; i < nr; i++)
		watch_then(&many_watches[i], many_pairs[i].ours, EV_READ,
			   take_one);
	settle();
	check_each_once(nr);
	check_each_once(nr);
	close_scene();
}
END_TEST

START_TEST(many_fds_started_and_ready_at_once_lose_nothing)
{
	int i, nr;

	open_scene(_i);
	settle();
	nr = open_many();
	for (i = 0; i < nr; i++)
		watch_then(&many_watches[i], many_pairs[i].ours, EV_READ,
			   take_one);
	check_each_once(nr);
	close_scene();
}
END_TEST

START_TEST(many_unread_fds_all_get_their_turn)
{
	int i, nr, nr_turns, missing;

	open_scene(_i);
	nr = open_many();
	for (i = 0; i < nr; i++) {
		put(many_pairs[i].theirs);
		watch(&many_watches[i], many_pairs[i].ours, EV_READ);
	}
	settle();
	for (nr_turns = 0, missing = nr; missing; nr_turns++) {
		check_int(nr_turns, <, 40);
		turn();
		for (i = missing = 0; i < nr; i++)
			missing += !many_watches[i].nr;
	}
	close_scene();
}
END_TEST

/* What was believed of every one of them is wrong. */
START_TEST(many_files_replaced_at_once_lose_nothing)
{
	int i, nr, round;

	open_scene(_i);
	nr = open_many();
	for (i = 0; i < nr; i++)
		watch_then(&many_watches[i], many_pairs[i].ours, EV_READ,
			   take_one);
	settle();
	for (round = 0; round < 3; round++) {
		for (i = 0; i < nr; i++) {
			struct pair fresh = open_pair();

			take_steps("sosS", &many_watches[i], fresh.ours);
			discard(fresh.ours);
			discard(many_pairs[i].theirs);
			many_pairs[i].theirs = fresh.theirs;
		}
		check_each_once(nr);
	}
	close_scene();
}
END_TEST

START_TEST(many_changes_of_events_lose_nothing)
{
	int i, nr, round;

	open_scene(_i);
	nr = open_many();
	for (i = 0; i < nr; i++)
		watch(&many_watches[i], many_pairs[i].ours, EV_WRITE);
	settle();
	for (round = 0; round < 3; round++) {
		for (i = 0; i < nr; i++)
			change_events(&many_watches[i], EV_READ | EV_WRITE);
		turn();
		for (i = 0; i < nr; i++) {
			stop(&many_watches[i]);
			many_watches[i].then = take_one;
		}
		turns(2);
		for (i = 0; i < nr; i++) {
			ev_io_set(&many_watches[i].io, many_pairs[i].ours,
				  EV_READ);
			start(&many_watches[i]);
		}
		check_each_once(nr);
		for (i = 0; i < nr; i++)
			many_watches[i].then = NULL;
	}
	close_scene();
}
END_TEST

/*
 * the set is replaced: ev_loop_fork without a fork
 */

START_TEST(loop_fork_without_a_fork_loses_nothing)
{
	struct watch w, file;
	struct pair pair;
	int round;

	open_scene(_i);
	pair = open_pair();
	watch(&w, pair.ours, EV_READ);
	watch(&file, open_temporary(), EV_READ);
	settle();
	stop(&file);
	for (round = 0; round < 8; round++) {
		if (round & 1)
			nap(SHORT_NAP); /* a wait is under way */
		ev_loop_fork(scene.loop);
		if (round & 2) {
			turn();
			ev_loop_fork(scene.loop);
		}
		if (round & 4) {
			turn();
			check_quiet(&w);
		}
		put(pair.theirs);
		check_turn(&w, EV_READ);
		take(pair.ours);
		check_quiet(&w);
		start(&file);
		check_turn(&file, EV_READ);
		stop(&file);
	}
	close_scene();
}
END_TEST

/* The old set would not know it. */
START_TEST(a_watcher_started_after_a_loop_fork_is_asked)
{
	struct watch w, fresh;
	struct pair pair;
	int round;

	open_scene(_i);
	watch(&w, open_pair().ours, EV_READ);
	settle();
	for (round = 0; round < 4; round++) {
		if (round & 1)
			nap(SHORT_NAP); /* a wait is under way */
		ev_loop_fork(scene.loop);
		if (round & 2)
			turn();
		pair = open_pair();
		watch(&fresh, pair.ours, EV_READ);
		check_quiet(&fresh);
		put(pair.theirs);
		check_turn(&fresh, EV_READ);
		check_turn(&fresh, EV_READ);
		stop(&fresh);
	}
	check_int(w.nr, ==, 0);
	close_scene();
}
END_TEST

START_TEST(loop_fork_wakes_from_a_blocked_wait_as_before)
{
	struct actor actor;
	struct pair pair;
	struct watch w;
	int i;

	pair = open_watched(_i, &w);
	for (i = 0; i < 4; i++) {
		ev_loop_fork(scene.loop);
		act_when_asleep(&actor, put_to, &pair.theirs);
		for (w.nr = 0; !w.nr;)
			run_once();
		take(pair.ours);
		join(&actor);
	}
	close_scene();
}
END_TEST

static void invoke_all(struct ev_loop *loop)
{
	while (ev_pending_count(loop))
		ev_invoke_pending(loop);
}

/*
 * Also those that hear of the fork, us among them: the set is replaced before
 * they do.
 */
START_TEST(loop_fork_works_with_pending_watchers_invoked_later)
{
	struct pair old, fresh;
	struct watch w, x;
	int i;

	open_scene(_i);
	old = open_pair();
	watch(&w, old.ours, EV_READ);
	settle();
	nap(SHORT_NAP);
	ev_set_invoke_pending_cb(scene.loop, invoke_later);
	for (i = 0; i < 3; i++) {
		ev_loop_fork(scene.loop);
		turn();
		fresh = open_pair();
		watch(&x, fresh.ours, EV_READ);
		turn();
		put(i & 1 ? old.theirs : fresh.theirs);
		turns(2);
		w.nr = 0;
		invoke_all(scene.loop);
		check_int(w.nr, ==, i & 1);
		check_int(x.nr, ==, !(i & 1));
		take(i & 1 ? old.ours : fresh.ours);
		stop(&x);
		turn();
		invoke_all(scene.loop);
		check_int(w.nr, ==, i & 1);
	}
	ev_set_invoke_pending_cb(scene.loop, ev_invoke_pending);
	close_scene();
}
END_TEST

static void fork_loop(struct ev_loop *loop, ev_prepare *w, int revents)
{
	(void)revents;
	ev_loop_fork(loop);
	ev_prepare_stop(loop, w);
}

/* It comes too late for ev_fork watchers, and before the set is replaced. */
START_TEST(loop_fork_works_in_a_prepare_watcher)
{
	struct watch w, x;
	struct pair pair;
	ev_prepare prepare;
	int i;

	pair = open_watched(_i, &w);
	ev_prepare_init(&prepare, fork_loop);
	for (i = 0; i < 4; i++) {
		if (i == 2)
			stop(&w); /* nothing is watched now */
		nap(SHORT_NAP);
		ev_prepare_start(scene.loop, &prepare);
		turn();
		pair = open_pair();
		watch(&x, pair.ours, EV_READ);
		check_quiet(&x);
		put(pair.theirs);
		check_turn(&x, EV_READ);
		stop(&x);
	}
	check_int(w.nr, ==, 0);
	close_scene();
}
END_TEST

/* Nothing is watched when the set is replaced; then the same number is. */
START_TEST(restart_after_a_loop_fork_is_heard)
{
	struct pair pair, fresh;
	struct watch w;
	ev_prepare prepare;
	int i;

	pair = open_watched(_i, &w);
	ev_prepare_init(&prepare, fork_loop);
	for (i = 0; i < 4; i++) {
		nap(SHORT_NAP); /* a wait that ends without event */
		stop(&w);
		turn();
		ev_prepare_start(scene.loop, &prepare);
		turn();
		if (!(i & 1)) { /* a file that the old set never had */
			fresh = open_pair();
			ck_assert_int_eq(dup2(fresh.ours, pair.ours),
					 pair.ours);
			pair.theirs = fresh.theirs;
		}
		start(&w);
		check_quiet(&w);
		put(pair.theirs);
		check_turn(&w, EV_READ);
		take(pair.ours);
	}
	close_scene();
}
END_TEST

START_TEST(many_fds_survive_a_loop_fork)
{
	int i, nr, round;

	open_scene(_i);
	nr = open_many();
	for (i = 0; i < nr; i++)
		watch_then(&many_watches[i], many_pairs[i].ours, EV_READ,
			   take_one);
	settle();
	for (round = 0; round < 2; round++) {
		ev_loop_fork(scene.loop);
		check_each_once(nr);
	}
	close_scene();
}
END_TEST

/*
 * somebody holds the lock of the set
 */

static int find_home(void)
{
	int fd = find_fd("anon_inode:[eventpoll]");

	check_int(fd, >=, 0);
	return fd;
}

static bool nobody_looks_any_more;

/* What tools do that list the files of a process. */
static void *look_at_home(void *home)
{
	char path[64], c;
	int fd;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", *(int *)home);
	while (!__atomic_load_n(&nobody_looks_any_more, __ATOMIC_RELAXED)) {
		fd = open(path, O_RDONLY | O_CLOEXEC);
		(void)!read(fd, &c, 1); /* all is gathered for it */
		close(fd);
	}
	return NULL;
}

static void watch_copies(int fd, int nr)
{
	int i;

	for (i = 0; i < nr; i++)
		watch(&many_watches[i], keep(dup(fd)), EV_READ);
}

/* Now this, now that, last EV_WRITE. */
static void change_mind(struct watch *w)
{
	static const int events[] = { EV_READ | EV_WRITE, EV_READ, EV_WRITE,
				      EV_READ | EV_WRITE, EV_READ, EV_WRITE };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(events); i++) {
		change_events(w, events[i]);
		turn();
	}
}

/* The kernel may be late with a change then, but not with an older one. */
START_TEST(changes_hold_while_others_look_at_the_set)
{
	struct pair pair;
	pthread_t thread;
	struct watch w;
	int i, k, home;

	open_scene(_i);
	pair = open_pair();
	home = find_home();
	watch_copies(open_eventfd().ours, MANY);
	watch(&w, pair.ours, EV_READ);
	settle();
	nobody_looks_any_more = false;
	check_int(pthread_create(&thread, NULL, look_at_home, &home), ==, 0);
	for (i = 0; i < 150; i++) {
		change_mind(&w);
		w.nr = 0;
		for (k = 0; k < 100 && !w.nr; k++)
			nap(SHORT_NAP);
		check_int(w.nr, >, 0);
	}
	__atomic_store_n(&nobody_looks_any_more, true, __ATOMIC_RELAXED);
	check_int(pthread_join(thread, NULL), ==, 0);
	close_scene();
}
END_TEST

/*
 * all of them
 */

void add_many(void)
{
	add_scenario("many", many_fds_are_each_reported_once);
	add_scenario("many", many_fds_started_and_ready_at_once_lose_nothing);
	add_scenario("many", many_unread_fds_all_get_their_turn);
	add_scenario("many", many_files_replaced_at_once_lose_nothing);
	add_scenario("many", many_changes_of_events_lose_nothing);

	add_scenario("replaced", loop_fork_without_a_fork_loses_nothing);
	add_scenario("replaced", a_watcher_started_after_a_loop_fork_is_asked);
	add_scenario("replaced", loop_fork_wakes_from_a_blocked_wait_as_before);
	add_scenario("replaced",
		     loop_fork_works_with_pending_watchers_invoked_later);
	add_scenario("replaced", loop_fork_works_in_a_prepare_watcher);
	add_scenario("replaced", restart_after_a_loop_fork_is_heard);
	add_scenario("replaced", many_fds_survive_a_loop_fork);
	add_scenario("looked at", changes_hold_while_others_look_at_the_set);
}
