/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * conform/watchers.c - line 10: libev's other watchers, order and priorities.
 */
#include "config.h"

#include "scene.h"

/*
 * 10: libev's other watchers, order and priorities
 */

struct noted {
	ev_io io;
	const char *name;
};

static void note_io(struct ev_loop *loop, ev_io *w, int revents)
{
	(void)loop;
	note(the_log, "io%s%d ", ((struct noted *)w)->name, revents);
}

static void note_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)loop;
	(void)w;
	(void)revents;
	note(the_log, "timer ");
}

static void note_prepare(struct ev_loop *loop, ev_prepare *w, int revents)
{
	(void)w;
	(void)revents;
	note(the_log, "prepare(%u) ", ev_pending_count(loop));
}

static void note_check(struct ev_loop *loop, ev_check *w, int revents)
{
	(void)w;
	(void)revents;
	note(the_log, "check(%u) ", ev_pending_count(loop));
}

static void note_idle(struct ev_loop *loop, ev_idle *w, int revents)
{
	(void)loop;
	(void)revents;
	note(the_log, "idle%d ", ev_priority(w));
}

static void start_noting(struct ev_loop *loop, struct noted *w,
			 const char *name, int fd, int events, int priority)
{
	ev_io_init(&w->io, note_io, fd, events);
	ev_set_priority(&w->io, priority);
	w->name = name;
	ev_io_start(loop, &w->io);
}

static void play_kinds(struct ev_loop *loop, struct log *log)
{
	struct pair pair = open_pair();
	ev_prepare prepare;
	ev_timer timer;
	ev_check check;
	ev_idle idle;
	struct noted io;
	int i;

	the_log = log;
	ev_prepare_init(&prepare, note_prepare);
	ev_check_init(&check, note_check);
	ev_idle_init(&idle, note_idle);
	ev_timer_init(&timer, note_timer, 0., 0.);
	ev_prepare_start(loop, &prepare);
	ev_check_start(loop, &check);
	ev_idle_start(loop, &idle);
	ev_timer_start(loop, &timer);
	start_noting(loop, &io, "A", pair.ours, EV_READ, 0);
	for (i = 0; i < 4; i++) {
		ev_run(loop, i % 2 ? EVRUN_NOWAIT : EVRUN_ONCE);
		note(log, "/ ");
		if (i == 1)
			put(pair.theirs);
	}
	ev_idle_stop(loop, &idle);
	ev_run(loop, EVRUN_ONCE);
	ev_io_stop(loop, &io.io);
	ev_check_stop(loop, &check);
	ev_prepare_stop(loop, &prepare);
	note(log, "%d %u", ev_run(loop, 0), ev_iteration(loop));
}

START_TEST(callbacks_of_all_kinds_come_in_the_oracles_order)
{
	open_scene(_i);
	settle();
	check_with_oracle(play_kinds);
	close_scene();
}
END_TEST

static void play_priorities(struct ev_loop *loop, struct log *log)
{
	static const char *const names[] = { "A", "B", "C", "D", "E" };
	struct pair pairs[ARRAY_SIZE(names)];
	struct noted io[ARRAY_SIZE(names)];
	ev_idle idle[2];
	int i, n = (int)ARRAY_SIZE(names);

	the_log = log;
	for (i = 0; i < n; i++) {
		pairs[i] = open_pair();
		put(pairs[i].theirs);
		start_noting(loop, &io[i], names[i], pairs[i].ours,
			     i % 2 ? EV_READ : EV_READ | EV_WRITE,
			     i * 3 % n + EV_MINPRI);
	}
	for (i = 0; i < 2; i++) {
		ev_idle_init(&idle[i], note_idle);
		ev_set_priority(&idle[i], i ? EV_MAXPRI : EV_MINPRI);
		ev_idle_start(loop, &idle[i]);
	}
	for (i = 0; i < n; i++) {
		ev_run(loop, EVRUN_NOWAIT);
		note(log, "/ ");
		ev_io_stop(loop, &io[i].io);
	}
	ev_run(loop, EVRUN_NOWAIT);
	note(log, "%u", ev_iteration(loop));
	ev_idle_stop(loop, &idle[0]);
	ev_idle_stop(loop, &idle[1]);
}

START_TEST(callbacks_come_by_priority)
{
	open_scene(_i);
	settle();
	check_with_oracle(play_priorities);
	close_scene();
}
END_TEST

static void play_feeding(struct ev_loop *loop, struct log *log)
{
	struct pair pair = open_pair();
	struct noted a, b;

	the_log = log;
	start_noting(loop, &a, "A", pair.ours, EV_READ, 0);
	start_noting(loop, &b, "B", pair.ours, EV_WRITE, 1);
	ev_feed_fd_event(loop, pair.ours, EV_READ);
	ev_feed_event(loop, &b.io, EV_CUSTOM);
	note(log, "%u pending ", ev_pending_count(loop));
	ev_invoke_pending(loop);
	note(log, "/ ");
	ev_feed_fd_event(loop, pair.ours, EV_READ | EV_WRITE);
	ev_run(loop, EVRUN_NOWAIT);
	note(log, "/ ");
	ev_feed_event(loop, &a.io, EV_CUSTOM);
	note(log, "cleared %d ", ev_clear_pending(loop, &a.io));
	ev_invoke(loop, &a.io, EV_ERROR);
	put(pair.theirs);
	ev_feed_event(loop, &a.io, EV_CUSTOM);
	ev_run(loop, EVRUN_NOWAIT);
	note(log, "/ %u", ev_iteration(loop));
	ev_io_stop(loop, &a.io);
	ev_io_stop(loop, &b.io);
}

START_TEST(fed_events_are_delivered)
{
	open_scene(_i);
	settle();
	check_with_oracle(play_feeding);
	close_scene();
}
END_TEST

static void note_once(int revents, void *arg)
{
	note(arg, "once%d ", revents);
}

static void play_once(struct ev_loop *loop, struct log *log)
{
	struct pair pair = open_pair();

	ev_once(loop, pair.ours, EV_READ, 0.002, note_once, log);
	note(log, "%d ", ev_run(loop, 0));
	put(pair.theirs);
	ev_once(loop, pair.ours, EV_READ | EV_WRITE, 60., note_once, log);
	note(log, "%d ", ev_run(loop, 0));
	ev_once(loop, -1, 0, 0., note_once, log);
	note(log, "%d", ev_run(loop, 0));
}

START_TEST(once_is_called_once)
{
	open_scene(_i);
	settle();
	check_with_oracle(play_once);
	close_scene();
}
END_TEST

static void start_late(struct watch *w)
{
	if (w->other)
		start(w->other);
	w->other = NULL;
}

START_TEST(started_in_a_callback_is_reported_in_the_next_turn)
{
	struct watch first, second;
	struct pair pair;

	open_scene(_i);
	pair = open_pair();
	watch_then(&first, pair.ours, EV_READ, start_late);
	watch(&second, pair.ours, EV_READ | EV_WRITE);
	stop(&second);
	first.other = &second;
	settle();
	put(pair.theirs);
	check_int(events_in_turn(&second), ==, 0);
	check_turn(&second, EV_READ | EV_WRITE);
	check_int(first.nr, ==, 2);
	close_scene();
}
END_TEST

/*
 * all of them
 */

void add_watchers(void)
{
	add_scenario("libev", callbacks_of_all_kinds_come_in_the_oracles_order);
	add_scenario("libev", callbacks_come_by_priority);
	add_scenario("libev", fed_events_are_delivered);
	add_scenario("libev", once_is_called_once);
	add_scenario("libev",
		     started_in_a_callback_is_reported_in_the_next_turn);
}
