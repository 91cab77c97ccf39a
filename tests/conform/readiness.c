/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * conform/readiness.c - lines 1 to 4 of the contract: what is reported, and
 * when.
 */
#include "config.h"

#include "scene.h"

#include <limits.h>
#include <poll.h>

/*
 * 1: level-triggered
 */

START_TEST(readable_is_reported_every_turn)
{
	struct pair pair;
	struct watch w;
	int i;

	pair = open_watched(_i, &w);
	check_quiet(&w);
	put(pair.theirs);
	for (i = 0; i < 20; i++)
		check_turn(&w, EV_READ);
	for (i = 0; i < 20; i++) {
		w.nr = 0;
		run_once();
		check_int(w.nr, ==, 1);
	}
	take(pair.ours);
	check_quiet(&w);
	close_scene();
}
END_TEST

START_TEST(partly_read_is_reported_until_all_is_read)
{
	struct pair pair;
	struct watch w;
	int i;

	open_scene(_i);
	pair = open_pair();
	watch_then(&w, pair.ours, EV_READ, take_one);
	settle();
	for (i = 0; i < 6; i++)
		put(pair.theirs);
	for (i = 0; i < 3; i++)
		check_turn(&w, EV_READ);
	while (w.nr < 6)
		run_on();
	check_quiet(&w);
	close_scene();
}
END_TEST

START_TEST(writable_is_reported_while_there_is_room)
{
	struct pair pair;
	struct watch w;
	int i;

	open_scene(_i);
	pair = open_pair();
	fill(pair.ours);
	watch(&w, pair.ours, EV_WRITE);
	settle();
	check_quiet(&w);
	drain(pair.theirs);
	for (i = 0; i < 20; i++)
		check_turn(&w, EV_WRITE);
	w.nr = 0;
	run_once();
	run_once();
	check_int(w.nr, ==, 2);
	fill(pair.ours);
	check_quiet(&w);
	close_scene();
}
END_TEST

START_TEST(ready_before_the_start_is_reported_in_the_first_turn)
{
	struct pair pair;
	struct watch w;

	open_scene(_i);
	pair = open_pair();
	put(pair.theirs);
	settle();
	watch(&w, pair.ours, EV_READ);
	check_turn(&w, EV_READ);
	stop(&w);
	turn();
	start(&w);
	w.nr = 0;
	run_once();
	check_int(w.nr, ==, 1);
	close_scene();
}
END_TEST

static void start_other(struct ev_loop *loop, ev_prepare *w, int revents)
{
	(void)loop;
	(void)revents;
	start(w->data);
}

START_TEST(started_by_a_prepare_watcher_is_asked_in_that_turn)
{
	struct pair pair;
	struct watch w;
	ev_prepare prepare;

	open_scene(_i);
	pair = open_pair();
	put(pair.theirs);
	settle();
	watch(&w, pair.ours, EV_READ);
	stop(&w);
	ev_prepare_init(&prepare, start_other);
	prepare.data = &w;
	ev_prepare_start(scene.loop, &prepare);
	check_turn(&w, EV_READ);
	ev_prepare_stop(scene.loop, &prepare);
	close_scene();
}
END_TEST

/*
 * 2: one event per watcher and turn; on_io() counts
 */

START_TEST(watchers_of_one_fd_get_their_own_events)
{
	struct watch reader, reader2, writer, both;
	struct pair pair;

	open_scene(_i);
	pair = open_pair();
	fill(pair.ours);
	watch(&reader, pair.ours, EV_READ);
	watch(&writer, pair.ours, EV_WRITE);
	watch(&both, pair.ours, EV_READ | EV_WRITE);
	watch(&reader2, pair.ours, EV_READ);
	settle();
	check_quiet(&both);
	put(pair.theirs);
	check_turn(&both, EV_READ);
	check_int(reader.nr + reader2.nr + writer.nr, ==, 2);
	drain(pair.theirs);
	check_turn(&both, EV_READ | EV_WRITE);
	check_int(reader.revents, ==, EV_READ);
	check_int(reader2.revents, ==, EV_READ);
	check_int(writer.revents, ==, EV_WRITE);
	check_int(reader.nr + reader2.nr + writer.nr, ==, 5);
	take(pair.ours);
	check_turn(&both, EV_WRITE);
	check_int(reader.nr + reader2.nr, ==, 4);
	check_int(writer.nr, ==, 2);
	close_scene();
}
END_TEST

START_TEST(stopping_one_of_two_watchers_leaves_the_other)
{
	struct watch reader, writer;
	struct pair pair;

	open_scene(_i);
	pair = open_pair();
	watch(&reader, pair.ours, EV_READ);
	watch(&writer, pair.ours, EV_WRITE);
	settle();
	stop(&writer);
	writer.nr = 0;
	check_quiet(&reader);
	put(pair.theirs);
	check_turn(&reader, EV_READ);
	check_int(writer.nr, ==, 0);
	stop(&reader);
	start(&writer);
	check_turn(&writer, EV_WRITE);
	check_int(reader.nr, ==, 1);
	stop(&writer);
	start(&reader);
	check_turn(&reader, EV_READ);
	check_int(writer.nr, ==, 1);
	close_scene();
}
END_TEST

START_TEST(a_watcher_may_change_its_events)
{
	static const int events[] = { EV_READ, EV_WRITE, EV_READ | EV_WRITE };
	struct pair pair;
	struct watch w;
	int i;

	pair = open_watched(_i, &w);
	put(pair.theirs);
	for (i = 0; i < 12; i++) {
		change_events(&w, events[i % 3]);
		check_turn(&w, events[i % 3]);
		check_turn(&w, events[i % 3]);
	}
	for (i = 0; i < 12; i++) {
		change_events(&w, events[i % 3]);
		change_events(&w, events[(i + 2) % 3]);
		check_turn(&w, events[(i + 2) % 3]);
	}
	take(pair.ours);
	change_events(&w, EV_READ);
	check_quiet(&w);
	close_scene();
}
END_TEST

START_TEST(io_modify_changes_events_of_the_same_fd)
{
	struct pair pair;
	struct watch w;

	pair = open_watched(_i, &w);
	stop(&w);
	ev_io_modify(&w.io, EV_WRITE);
	start(&w);
	check_turn(&w, EV_WRITE);
	stop(&w);
	ev_io_modify(&w.io, EV_READ);
	start(&w);
	check_quiet(&w);
	put(pair.theirs);
	check_turn(&w, EV_READ);
	close_scene();
}
END_TEST

/*
 * 3: never spurious
 */

START_TEST(read_between_turns_is_not_reported)
{
	struct pair pair;
	struct watch w;
	int i;

	pair = open_watched(_i, &w);
	for (i = 0; i < 50; i++) {
		put(pair.theirs);
		if (i % 3 == 1)
			check_turn(&w, EV_READ);
		take(pair.ours);
		check_int(events_in_turn(&w), ==, 0);
		if (i % 10 == 0)
			check_int(events_in_nap(&w), ==, 0);
	}
	put(pair.theirs);
	check_turn(&w, EV_READ);
	close_scene();
}
END_TEST

START_TEST(room_filled_between_turns_is_not_reported)
{
	struct pair pair;
	struct watch w;
	int i;

	open_scene(_i);
	pair = open_pair();
	fill(pair.ours);
	watch(&w, pair.ours, EV_WRITE);
	settle();
	for (i = 0; i < 10; i++) {
		drain(pair.theirs);
		fill(pair.ours);
		check_quiet(&w);
	}
	drain(pair.theirs);
	check_turn(&w, EV_WRITE);
	close_scene();
}
END_TEST

/* Others who read what the loop was already woken for. */

static void take_by_dup(int fd)
{
	int other = dup(fd);

	take(other);
	close(other);
}

static void *run_take(void *fd)
{
	take(*(int *)fd);
	return NULL;
}

static void take_by_thread(int fd)
{
	pthread_t thread;

	check_int(pthread_create(&thread, NULL, run_take, &fd), ==, 0);
	check_int(pthread_join(thread, NULL), ==, 0);
}

static int run_take_in_child(void *fd)
{
	char c;

	return read(*(int *)fd, &c, 1) != 1;
}

static void take_by_child(int fd)
{
	check_int(run_in_child(run_take_in_child, &fd), ==, 0);
}

static void (*const takers[])(int fd) = { take_by_dup, take_by_thread,
					  take_by_child };

START_TEST(what_others_read_before_the_turn_is_not_reported)
{
	void (*take_by_other)(int fd) = takers[_i / nr_runnable];
	open_fn *const opens[] = { open_pipe, open_tcp };
	struct pair pair;
	struct watch w;
	size_t i;

	open_scene(_i);
	settle();
	for (i = 0; i < ARRAY_SIZE(opens); i++) {
		pair = opens[i]();
		watch(&w, pair.ours, EV_READ);
		check_quiet(&w);
		put(pair.theirs);
		take_by_other(pair.ours);
		check_quiet(&w);
		put(pair.theirs);
		await(pair.ours, POLLIN);
		check_turn(&w, EV_READ);
		take_by_other(pair.ours);
		check_int(events_in_turn(&w), ==, 0);
		stop(&w);
	}
	close_scene();
}
END_TEST

static void take_first(struct ev_loop *loop, ev_prepare *w, int revents)
{
	(void)loop;
	(void)revents;
	take(*(int *)w->data);
}

START_TEST(what_a_prepare_watcher_reads_is_not_reported)
{
	ev_prepare prepare;
	struct pair pair;
	struct watch w;
	int i;

	pair = open_watched(_i, &w);
	ev_prepare_init(&prepare, take_first);
	prepare.data = &pair.ours;
	for (i = 0; i < 4; i++) {
		put(pair.theirs);
		if (i % 2)
			check_turn(&w, EV_READ);
		ev_prepare_start(scene.loop, &prepare);
		check_int(events_in_turn(&w), ==, 0);
		ev_prepare_stop(scene.loop, &prepare);
		check_quiet(&w);
	}
	close_scene();
}
END_TEST

static void take_of_other(struct watch *w)
{
	take(w->other->io.fd);
}

START_TEST(an_event_gathered_with_others_is_delivered)
{
	struct watch first, second;
	struct pair a, b;

	open_scene(_i);
	a = open_pair();
	b = open_pair();
	watch(&second, b.ours, EV_READ);
	watch_then(&first, a.ours, EV_READ, take_of_other);
	first.other = &second;
	stop(&first);
	ev_set_priority(&first.io, EV_MAXPRI);
	start(&first);
	settle();
	put(a.theirs);
	put(b.theirs);
	check_turn(&second, EV_READ); /* as the oracle: it was true then */
	check_int(first.nr, ==, 1);
	first.then = NULL;
	check_quiet(&second);
	close_scene();
}
END_TEST

static void pass_on(struct watch *w)
{
	put_char(w->io.fd, take(w->io.fd));
}

START_TEST(blocking_reads_in_callbacks_never_hang)
{
	struct watch left, right;
	struct pair pair;

	open_scene(_i);
	pair = open_pair();
	watch_then(&left, pair.ours, EV_READ, pass_on);
	watch_then(&right, pair.theirs, EV_READ, pass_on);
	settle();
	put(pair.theirs);
	while (right.nr < 500)
		run_on();
	put(pair.theirs);
	put(pair.ours);
	while (right.nr < 1000)
		turn();
	check_int(left.nr, >=, 1000);
	close_scene();
}
END_TEST

/* So much can be written to a pipe that has room. */
static void put_block(struct watch *w)
{
	static const char block[PIPE_BUF];

	check_int(write(w->io.fd, block, sizeof(block)), ==, PIPE_BUF);
}

static void take_half_a_block(struct watch *w)
{
	static char block[PIPE_BUF / 2];

	check_int(read(w->io.fd, block, sizeof(block)), ==, PIPE_BUF / 2);
}

START_TEST(blocking_writes_in_callbacks_never_hang)
{
	struct watch reader, writer;
	struct pair pair;

	open_scene(_i);
	pair = open_pipe();
	watch(&reader, pair.ours, EV_READ);
	reader.then = take_half_a_block;
	settle();
	watch_then(&writer, pair.theirs, EV_WRITE, put_block);
	while (writer.nr < 100)
		turn();
	while (writer.nr < 200)
		run_once();
	check_int(reader.nr, >, writer.nr); /* it was full: it had to wait */
	close_scene();
}
END_TEST

/*
 * 4: stopped is stopped
 */

static void stop_other(struct watch *w)
{
	stop(w->other);
}

START_TEST(stopped_by_a_callback_of_the_same_turn_gets_nothing)
{
	struct watch a, b;
	struct pair pair;
	int i;

	open_scene(_i);
	pair = open_pair();
	watch_then(&a, pair.ours, EV_READ, stop_other);
	watch_then(&b, dup(keep(pair.ours)), EV_READ, stop_other);
	keep(b.io.fd);
	a.other = &b;
	b.other = &a;
	settle();
	put(pair.theirs);
	for (i = 0; i < 20; i++) {
		a.nr = b.nr = 0;
		turn();
		check_int(a.nr + b.nr, ==, 1);
		start(a.nr ? &b : &a);
	}
	close_scene();
}
END_TEST

START_TEST(stopped_before_the_turn_gets_nothing)
{
	struct pair pair;
	struct watch w;

	pair = open_watched(_i, &w);
	put(pair.theirs);
	stop(&w);
	check_quiet(&w);
	start(&w);
	check_turn(&w, EV_READ);
	stop(&w);
	start(&w);
	check_turn(&w, EV_READ);
	take(pair.ours);
	stop(&w);
	start(&w);
	check_quiet(&w);
	close_scene();
}
END_TEST

START_TEST(stop_in_its_own_callback_ends_it)
{
	struct pair pair;
	struct watch w;

	open_scene(_i);
	pair = open_pair();
	watch_then(&w, pair.ours, EV_READ | EV_WRITE, stop);
	stop(&w);
	settle();
	put(pair.theirs);
	start(&w);
	check_turn(&w, EV_READ | EV_WRITE);
	check_quiet(&w);
	start(&w);
	check_turn(&w, EV_READ | EV_WRITE);
	check_quiet(&w);
	close_scene();
}
END_TEST

START_TEST(what_nobody_watches_does_not_keep_the_loop_awake)
{
	unsigned iterations;
	struct pair pair;
	struct watch w;

	open_scene(_i);
	pair = open_pair();
	watch(&w, pair.ours, EV_READ | EV_WRITE);
	settle();
	put(pair.theirs);
	turn();
	stop(&w);
	iterations = ev_iteration(scene.loop);
	nap(0.03);
	check_int(ev_iteration(scene.loop) - iterations, <=, 20);
	start(&w);
	check_turn(&w, EV_READ | EV_WRITE);
	change_events(&w, EV_READ);
	take(pair.ours);
	iterations = ev_iteration(scene.loop);
	nap(0.03);
	check_int(ev_iteration(scene.loop) - iterations, <=, 20);
	close_scene();
}
END_TEST

/*
 * all of them
 */

void add_readiness(void)
{
	add_scenario("level", readable_is_reported_every_turn);
	add_scenario("level", partly_read_is_reported_until_all_is_read);
	add_scenario("level", writable_is_reported_while_there_is_room);
	add_scenario("level",
		     ready_before_the_start_is_reported_in_the_first_turn);
	add_scenario("level",
		     started_by_a_prepare_watcher_is_asked_in_that_turn);

	add_scenario("one event", watchers_of_one_fd_get_their_own_events);
	add_scenario("one event",
		     stopping_one_of_two_watchers_leaves_the_other);
	add_scenario("one event", a_watcher_may_change_its_events);
	add_scenario("one event", io_modify_changes_events_of_the_same_fd);

	add_scenario("never spurious", read_between_turns_is_not_reported);
	add_scenario("never spurious",
		     room_filled_between_turns_is_not_reported);
	add_rows("never spurious",
		 what_others_read_before_the_turn_is_not_reported,
		 ARRAY_SIZE(takers));
	add_scenario("never spurious",
		     what_a_prepare_watcher_reads_is_not_reported);
	add_scenario("never spurious",
		     an_event_gathered_with_others_is_delivered);
	add_scenario("never spurious", blocking_reads_in_callbacks_never_hang);
	add_scenario("never spurious", blocking_writes_in_callbacks_never_hang);

	add_scenario("stopped",
		     stopped_by_a_callback_of_the_same_turn_gets_nothing);
	add_scenario("stopped", stopped_before_the_turn_gets_nothing);
	add_scenario("stopped", stop_in_its_own_callback_ends_it);
	add_scenario("stopped",
		     what_nobody_watches_does_not_keep_the_loop_awake);
}
