/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * conform/wakers.c - line 10: wake-ups from elsewhere.
 */
#include "config.h"

#include "scene.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>

/*
 * 10: wake-ups from elsewhere
 */

static void ring_often(void *arg)
{
	pid_t sleeper = getpid();
	int i;

	for (i = 0; i < 50; i++) {
		if (i % 2)
			await_sleep(sleeper);
		ev_async_send(scene.loop, &((struct bell *)arg)->async);
		while (sem_wait(&seen) < 0)
			;
	}
}

START_TEST(async_send_wakes_a_blocked_loop)
{
	struct actor actor;
	struct bell bell;
	int nr;

	open_scene(_i);
	start_bell(&bell);
	sem_init(&seen, 0, 0);
	settle();
	act_when_asleep(&actor, ring_often, &bell);
	for (nr = 0; nr < 50; nr++) {
		while (bell.nr <= nr)
			run_once();
		sem_post(&seen);
	}
	join(&actor);
	check_int(bell.nr, ==, 50);
	close_scene();
}
END_TEST

static struct bell *rung_by_signal;

static void ring_in_handler(int signum)
{
	(void)signum;
	ev_async_send(scene.loop, &rung_by_signal->async);
}

START_TEST(async_sends_before_a_turn_are_one_event)
{
	struct bell bell;

	open_scene(_i);
	start_bell(&bell);
	settle();
	ev_async_send(scene.loop, &bell.async);
	ev_async_send(scene.loop, &bell.async);
	check_that(ev_async_pending(&bell.async));
	turn();
	check_int(bell.nr, ==, 1);
	turn();
	check_int(bell.nr, ==, 1);
	rung_by_signal = &bell;
	signal(SIGUSR1, ring_in_handler);
	raise(SIGUSR1);
	run_once();
	check_int(bell.nr, ==, 2);
	close_scene();
}
END_TEST

struct noticed {
	ev_signal signal;
	int nr;
};

static void on_signal(struct ev_loop *loop, ev_signal *w, int revents)
{
	(void)loop;
	check_int(revents, ==, EV_SIGNAL);
	((struct noticed *)w)->nr++;
}

static void signal_us(void *arg)
{
	(void)arg;
	kill(getpid(), SIGUSR1);
}

static void check_signals(void)
{
	struct noticed w = { .nr = 0 };
	struct actor actor;

	ev_signal_init(&w.signal, on_signal, SIGUSR1);
	ev_signal_start(scene.loop, &w.signal);
	settle();
	raise(SIGUSR1);
	while (w.nr < 1)
		turn();
	ev_feed_signal_event(scene.loop, SIGUSR1);
	turn();
	check_int(w.nr, ==, 2);
	act_when_asleep(&actor, signal_us, NULL);
	while (w.nr < 3)
		run_once();
	join(&actor);
	turn();
	check_int(w.nr, ==, 3);
	ev_signal_stop(scene.loop, &w.signal);
}

START_TEST(signals_are_delivered)
{
	open_scene(_i);
	check_signals();
	close_scene();
}
END_TEST

START_TEST(signals_are_delivered_by_signalfd)
{
	open_scene_with(_i, EVFLAG_SIGNALFD);
	check_signals();
	close_scene();
}
END_TEST

struct ended {
	ev_child child;
	int nr;
};

static void on_child(struct ev_loop *loop, ev_child *w, int revents)
{
	check_int(revents, ==, EV_CHILD);
	check_int(WEXITSTATUS(w->rstatus), ==, 7);
	((struct ended *)w)->nr++;
	ev_child_stop(loop, w);
}

START_TEST(children_are_reaped)
{
	struct ended children[3] = { { .nr = 0 } };
	struct watch w;
	int i;

	open_default_scene(_i);
	watch(&w, open_pair().ours, EV_READ);
	settle();
	for (i = 0; i < 3; i++) {
		pid_t pid = fork();

		if (!pid)
			_exit(7);
		ev_child_init(&children[i].child, on_child, pid, 0);
		ev_child_start(scene.loop, &children[i].child);
	}
	while (children[0].nr + children[1].nr + children[2].nr < 3)
		run_once();
	check_quiet(&w);
	close_scene();
}
END_TEST

struct changed {
	ev_stat stat;
	int nr;
};

static void on_stat(struct ev_loop *loop, ev_stat *w, int revents)
{
	(void)loop;
	check_int(revents, ==, EV_STAT);
	((struct changed *)w)->nr++;
}

START_TEST(a_changed_file_is_noticed)
{
	char dir[] = "/tmp/evring-conform-XXXXXX", path[64];
	struct changed w = { .nr = 0 };
	double start_time;
	int fd;

	open_scene(_i);
	check_that(mkdtemp(dir) != NULL);
	snprintf(path, sizeof(path), "%s/file", dir);
	fd = keep(open(path, O_CREAT | O_RDWR, 0600));
	ev_stat_init(&w.stat, on_stat, path, 0.);
	ev_stat_start(scene.loop, &w.stat);
	settle();
	start_time = now();
	put(fd);
	while (w.nr < 1)
		run_once();
	check_int(w.stat.attr.st_size, ==, 1);
	unlink(path);
	rmdir(dir);
	while (w.stat.attr.st_nlink)
		run_once();
	check_time(now() - start_time, <, 4.); /* polling takes 5 s */
	ev_stat_stop(scene.loop, &w.stat);
	close_scene();
}
END_TEST

/* What is watched by inner is handled when only outer runs. */
static void check_embedding(struct ev_loop *outer, struct ev_loop *inner)
{
	struct pair a = open_pair(), b = open_pair();
	int i, nr_a = 0, nr_b = 0;
	ev_embed embed;
	ev_io wa, wb;

	ev_io_init(&wa, take_and_count, a.ours, EV_READ);
	wa.data = &nr_a;
	ev_io_init(&wb, take_and_count, b.ours, EV_READ);
	wb.data = &nr_b;
	ev_embed_init(&embed, NULL, inner);
	ev_embed_start(outer, &embed);
	ev_io_start(inner, &wa); /* the embedding has to notice */
	ev_io_start(outer, &wb);
	for (i = 1; i <= 5; i++) {
		put(a.theirs);
		put(b.theirs);
		while (nr_a < i || nr_b < i)
			ev_run(outer, i % 2 ? EVRUN_ONCE : EVRUN_NOWAIT);
		ev_run(outer, EVRUN_NOWAIT);
		check_int(nr_a, ==, i);
		check_int(nr_b, ==, i);
		ev_io_stop(inner, &wa);
		ev_run(outer, EVRUN_NOWAIT);
		ev_io_start(inner, &wa);
	}
	ev_io_stop(inner, &wa);
	ev_io_stop(outer, &wb);
	ev_embed_stop(outer, &embed);
}

START_TEST(the_loop_can_be_embedded)
{
	struct ev_loop *outer = open_oracle();

	open_scene(_i);
	settle();
	check_that(ev_embeddable_backends() & ev_backend(scene.loop));
	check_embedding(outer, scene.loop);
	ev_loop_destroy(outer);
	close_scene();
}
END_TEST

START_TEST(the_loop_can_embed_another)
{
	struct ev_loop *inner = open_oracle();

	open_scene(_i);
	settle();
	check_embedding(scene.loop, inner);
	close_scene();
	ev_loop_destroy(inner);
}
END_TEST

START_TEST(the_loop_can_embed_one_of_its_kind)
{
	struct ev_loop *inner;

	open_scene(_i);
	settle();
	inner = open_another();
	check_embedding(scene.loop, inner);
	close_scene();
	ev_loop_destroy(inner);
}
END_TEST

/*
 * all of them
 */

void add_wakers(void)
{
	add_scenario("wakers", async_send_wakes_a_blocked_loop);
	add_scenario("wakers", async_sends_before_a_turn_are_one_event);
	add_scenario("wakers", signals_are_delivered);
	add_scenario("wakers", signals_are_delivered_by_signalfd);
	add_scenario("wakers", children_are_reaped);
	add_scenario("wakers", a_changed_file_is_noticed);
	add_scenario("wakers", the_loop_can_be_embedded);
	add_scenario("wakers", the_loop_can_embed_another);
	add_scenario("wakers", the_loop_can_embed_one_of_its_kind);
}
