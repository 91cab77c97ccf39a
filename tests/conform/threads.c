/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * conform/threads.c - line 12: threads.
 */
#include "config.h"

#include "scene.h"

#include <sys/socket.h>

/*
 * 12: threads
 */

struct visit {
	struct watch *watch;
	int theirs;
	int nr; /* events there */
};

static void *run_elsewhere(void *arg)
{
	struct visit *visit = arg;
	int before = visit->watch->nr;

	put(visit->theirs);
	run_once();
	take(visit->watch->io.fd);
	turn();
	nap(SHORT_NAP);
	visit->nr = visit->watch->nr - before;
	return NULL;
}

static void visit_thread(struct visit *visit)
{
	pthread_t thread;

	check_int(pthread_create(&thread, NULL, run_elsewhere, visit), ==, 0);
	check_int(pthread_join(thread, NULL), ==, 0);
	check_int(visit->nr, ==, 1);
}

START_TEST(a_loop_made_here_may_run_in_another_thread)
{
	struct pair pair;
	struct watch w;

	open_scene(_i);
	pair = open_pair();
	watch(&w, pair.ours, EV_READ);
	if (scene.mode->is_late)
		settle();
	visit_thread(&(struct visit){ &w, pair.theirs, 0 });
	close_scene();
}
END_TEST

START_TEST(a_loop_may_move_between_threads)
{
	struct pair pair;
	struct watch w;
	int i;

	open_scene(_i);
	pair = open_pair();
	watch(&w, pair.ours, EV_READ);
	settle();
	for (i = 0; i < 3; i++) {
		nap(SHORT_NAP);
		visit_thread(&(struct visit){ &w, pair.theirs, 0 });
		check_quiet(&w);
		put(pair.theirs);
		check_turn(&w, EV_READ);
		take(pair.ours);
		stop(&w); /* a change that is not submitted yet */
		turn();
		start(&w);
	}
	close_scene();
}
END_TEST

enum { NR_LOOPS = 20 }; /* more rings than a thread can register */

START_TEST(many_loops_work_side_by_side)
{
	struct ev_loop *loops[NR_LOOPS], *first;
	struct watch w[NR_LOOPS];
	struct pair pair;
	int i, k;

	open_scene(_i);
	settle();
	first = scene.loop;
	pair = open_pair();
	for (i = 0; i < NR_LOOPS; i++) {
		scene.loop = loops[i] = i ? open_another() : first;
		watch(&w[i], pair.ours, EV_READ); /* the same in each */
	}
	for (k = 0; k < 3; k++) {
		for (i = 0; i < NR_LOOPS; i++) {
			scene.loop = loops[i];
			check_int(events_in_turn(&w[i]), ==, 0);
			put(pair.theirs);
			check_turn(&w[i], EV_READ);
			take(pair.ours);
		}
	}
	for (i = 1; i < NR_LOOPS; i++)
		ev_loop_destroy(loops[i]);
	scene.loop = first;
	close_scene();
}
END_TEST

static void *run_own_loop(void *arg)
{
	struct ev_loop *loop = open_oracle();
	int nr = 0, fds[2] = { -1, -1 };
	ev_io io;

	if (!attach_other(loop))
		return NULL;
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) < 0)
		return NULL;
	ev_io_init(&io, take_and_count, fds[0], EV_READ);
	io.data = &nr;
	ev_io_start(loop, &io);
	while (nr < 200) {
		put(fds[1]);
		ev_run(loop, nr % 2 ? EVRUN_ONCE : EVRUN_NOWAIT);
	}
	ev_loop_destroy(loop);
	close(fds[0]);
	close(fds[1]);
	return arg;
}

START_TEST(each_thread_may_have_a_loop)
{
	pthread_t threads[4];
	void *result;
	int i;

	open_scene(_i);
	settle();
	for (i = 0; i < 4; i++)
		check_int(
			pthread_create(&threads[i], NULL, run_own_loop, &scene),
			==, 0);
	for (i = 0; i < 4; i++) {
		check_int(pthread_join(threads[i], &result), ==, 0);
		check_that(result == &scene);
	}
	close_scene();
}
END_TEST

/*
 * all of them
 */

void add_threads(void)
{
	add_scenario("threads", a_loop_made_here_may_run_in_another_thread);
	add_scenario("threads", a_loop_may_move_between_threads);
	add_scenario("threads", many_loops_work_side_by_side);
	add_scenario("threads", each_thread_may_have_a_loop);
}
