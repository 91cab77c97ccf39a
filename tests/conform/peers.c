/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * conform/peers.c - line 7 and the other end: peers that hang up, reset, shut
 * down one direction; connections that are being made, refused, given up.
 */
#include "config.h"

#include "scene.h"

#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

/*
 * 7: hang-ups and errors
 */

START_TEST(a_hang_up_wakes_the_reader)
{
	open_fn *const opens[] = { open_pair, open_pipe, open_tcp };
	struct pair pair;
	struct watch w;
	char c;
	size_t i;

	open_scene(_i);
	for (i = 0; i < ARRAY_SIZE(opens); i++) {
		pair = opens[i]();
		watch(&w, pair.ours, EV_READ);
		settle();
		check_quiet(&w);
		discard(pair.theirs);
		await(pair.ours, POLLIN);
		check_turn(&w, EV_READ);
		check_turn(&w, EV_READ);
		check_int(read(pair.ours, &c, 1), ==, 0);
		stop(&w);
		check_quiet(&w);
	}
	close_scene();
}
END_TEST

START_TEST(a_hang_up_wakes_the_writer)
{
	open_fn *const opens[] = { open_pair, open_pipe };
	struct pair pair;
	struct watch w;
	size_t i;

	open_scene(_i);
	signal(SIGPIPE, SIG_IGN);
	for (i = 0; i < ARRAY_SIZE(opens); i++) {
		pair = opens[i]();
		fill(pair.theirs);
		watch(&w, pair.theirs, EV_WRITE);
		settle();
		check_quiet(&w);
		discard(pair.ours);
		check_turn(&w, EV_WRITE);
		check_turn(&w, EV_WRITE);
		check_int(write(pair.theirs, "x", 1), ==, -1);
		check_int(errno, ==, EPIPE);
		stop(&w);
	}
	close_scene();
}
END_TEST

START_TEST(an_error_wakes_both_directions)
{
	struct watch reader, writer, both;
	struct pair pair;

	open_scene(_i);
	pair = open_pipe();
	fill(pair.theirs);
	watch(&reader, pair.theirs, EV_READ);
	watch(&writer, pair.theirs, EV_WRITE);
	watch(&both, pair.theirs, EV_READ | EV_WRITE);
	settle();
	check_quiet(&both);
	discard(pair.ours);
	check_turn(&both, EV_READ | EV_WRITE);
	check_int(reader.revents, ==, EV_READ);
	check_int(writer.revents, ==, EV_WRITE);
	stop(&both);
	stop(&writer);
	check_turn(&reader, EV_READ);
	close_scene();
}
END_TEST

static void reset(int fd)
{
	const struct linger linger = { .l_onoff = 1, .l_linger = 0 };

	check_int(
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)),
		==, 0);
	discard(fd);
}

static void reset_at(void *fd)
{
	reset(*(int *)fd);
}

START_TEST(a_reset_wakes_both_directions)
{
	struct actor actor;
	struct pair pair;
	struct watch w;
	int events;
	char c;

	open_scene(_i);
	settle();
	for (events = EV_READ; events <= (EV_READ | EV_WRITE); events++) {
		pair = open_tcp();
		fill_tcp(pair.ours);
		watch(&w, pair.ours, events);
		check_quiet(&w);
		act_when_asleep(&actor, reset_at, &pair.theirs);
		run_once();
		join(&actor);
		check_int(w.nr, ==, 1);
		check_int(w.revents, ==, events);
		check_turn(&w, events);
		check_int(read(pair.ours, &c, 1), ==, -1);
		check_int(errno, ==, ECONNRESET);
		stop(&w);
	}
	close_scene();
}
END_TEST

START_TEST(a_watch_of_nothing_but_hang_ups_does_not_spin)
{
	unsigned iterations;
	struct pair pair;
	struct watch w;

	pair = open_watched(_i, &w);
	stop(&w);
	discard(pair.theirs);
	iterations = ev_iteration(scene.loop);
	nap(0.03);
	check_int(ev_iteration(scene.loop) - iterations, <=, 20);
	check_int(w.nr, ==, 0);
	start(&w);
	check_turn(&w, EV_READ);
	close_scene();
}
END_TEST

/*
 * connections that are being made
 */

START_TEST(a_finished_connect_is_writable)
{
	struct watch client, server;
	int fd, listener;

	open_scene(_i);
	listener = open_listener();
	watch(&server, listener, EV_READ);
	settle();
	fd = open_socket(SOCK_STREAM | SOCK_NONBLOCK);
	check_int(connect_to(fd, port_of(listener)), ==, -1);
	check_int(errno, ==, EINPROGRESS);
	watch(&client, fd, EV_READ | EV_WRITE);
	while (!client.nr)
		run_on();
	check_int(client.revents, ==, EV_WRITE);
	check_turn(&server, EV_READ);
	check_int(server.revents, ==, EV_READ);
	close_scene();
}
END_TEST

static int closed_port(void)
{
	int fd = open_listener(), port = port_of(fd);

	discard(fd);
	return port;
}

static int error_of(int fd)
{
	socklen_t size = sizeof(int);
	int error = 0;

	check_int(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size), ==, 0);
	return error;
}

START_TEST(a_refused_connect_wakes_both_directions)
{
	int events, fd;
	struct watch w;

	open_scene(_i);
	settle();
	for (events = EV_READ; events <= (EV_READ | EV_WRITE); events++) {
		fd = open_socket(SOCK_STREAM | SOCK_NONBLOCK);
		check_int(connect_to(fd, closed_port()), ==, -1);
		check_int(errno, ==, EINPROGRESS);
		watch(&w, fd, events);
		run_once();
		check_int(w.nr, ==, 1);
		check_int(w.revents, ==, events);
		check_int(error_of(fd), ==, ECONNREFUSED);
		stop(&w);
	}
	close_scene();
}
END_TEST

START_TEST(a_refused_socket_may_connect_again)
{
	struct watch w;
	int fd, listener;

	open_scene(_i);
	listener = open_listener();
	fd = open_socket(SOCK_STREAM | SOCK_NONBLOCK);
	check_int(connect_to(fd, closed_port()), ==, -1);
	watch(&w, fd, EV_READ | EV_WRITE);
	settle();
	await(fd, POLLOUT);
	check_turn(&w, EV_READ | EV_WRITE);
	check_int(connect_to(fd, port_of(listener)), ==, -1);
	check_int(errno, ==, ECONNREFUSED); /* it says so once */
	check_int(connect_to(fd, port_of(listener)), ==, -1);
	check_int(errno, ==, EINPROGRESS);
	await(fd, POLLOUT);
	check_turn(&w, EV_WRITE);
	check_int(error_of(fd), ==, 0);
	close_scene();
}
END_TEST

/* Nobody answers: the queue of the listener has room for one, who is there. */
static int open_stuck(int listener)
{
	int fd = open_socket(SOCK_STREAM | SOCK_NONBLOCK), soon = 1;

	check_int(listen(listener, 0), ==, 0);
	check_int(connect_to(open_socket(SOCK_STREAM), port_of(listener)), ==,
		  0);
	check_int(setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &soon,
			     sizeof(soon)),
		  ==, 0);
	check_int(connect_to(fd, port_of(listener)), ==, -1);
	check_int(errno, ==, EINPROGRESS);
	return fd;
}

static void give_up(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct watch *watch = w->data;

	(void)loop;
	(void)revents;
	stop(watch);
	discard(watch->io.fd);
}

START_TEST(a_connect_in_progress_is_quiet_until_a_timer_gives_it_up)
{
	struct pair fresh;
	ev_timer timer;
	struct watch w;
	int events;

	open_scene(_i);
	settle();
	fresh = open_pair();
	for (events = EV_READ; events <= (EV_READ | EV_WRITE); events++) {
		watch(&w, open_stuck(open_listener()), events);
		check_quiet(&w);
		ev_timer_init(&timer, give_up, 0.001, 0.);
		timer.data = &w;
		ev_timer_start(scene.loop, &timer);
		run_once();
		check_quiet(&w);
		take_steps("oS", &w, fresh.ours);
		check_is_fresh(&w, fresh.theirs);
		stop(&w);
	}
	close_scene();
}
END_TEST

static void shut_down_at(void *fd)
{
	check_int(shutdown(*(int *)fd, SHUT_RDWR), ==, 0);
}

START_TEST(a_connect_that_is_shut_down_wakes_both_directions)
{
	struct actor actor;
	struct watch w;
	int events, fd;

	open_scene(_i);
	settle();
	for (events = EV_READ; events <= (EV_READ | EV_WRITE); events++) {
		fd = open_stuck(open_listener());
		watch(&w, fd, events);
		check_quiet(&w);
		act_when_asleep(&actor, shut_down_at, &fd);
		run_once();
		join(&actor);
		check_int(w.nr, ==, 1);
		check_int(w.revents, ==, events);
		stop(&w);
	}
	close_scene();
}
END_TEST

static void connect_in_vain(int i)
{
	struct watch w;
	int fd;

	open_scene(i);
	settle();
	fd = open_stuck(open_listener());
	watch(&w, fd, EV_READ | EV_WRITE);
	check_quiet(&w);
	run_once();
	check_int(w.nr, ==, 1);
	check_int(w.revents, ==, EV_READ | EV_WRITE);
	check_int(error_of(fd), ==, ETIMEDOUT);
	close_scene();
}

static pid_t start_child(void (*body)(int i), int i)
{
	pid_t pid = fork();

	check_int(pid, >=, 0);
	if (!pid) {
		body(i);
		_exit(0);
	}
	return pid;
}

/* TCP tries for a second at least: all modes wait for it at once. */
START_TEST(a_connect_that_times_out_wakes_both_directions)
{
	pid_t pids[MAX_MODES];
	int i, status, nr_bad = 0;

	scene.mode = runnable[_i];
	fflush(NULL);
	for (i = 0; i < nr_runnable; i++)
		pids[i] = start_child(connect_in_vain, i);
	for (i = 0; i < nr_runnable; i++) {
		check_int(waitpid(pids[i], &status, 0), ==, pids[i]);
		if (status)
			printf("# mode %s: status %#x\n", runnable[i]->name,
			       (unsigned)status);
		nr_bad += !!status;
	}
	check_int(nr_bad, ==, 0);
}
END_TEST

START_TEST(a_listener_that_closes_wakes_who_waits_in_its_queue)
{
	int fd, listener;
	struct watch w;

	open_scene(_i);
	listener = open_listener();
	fd = open_socket(SOCK_STREAM);
	check_int(connect_to(fd, port_of(listener)), ==, 0);
	watch(&w, fd, EV_READ);
	settle();
	check_quiet(&w);
	discard(listener);
	await(fd, POLLIN);
	check_turn(&w, EV_READ);
	change_events(&w, EV_READ | EV_WRITE);
	check_turn(&w, EV_READ | EV_WRITE);
	close_scene();
}
END_TEST

/* A name that no file has. */
static struct sockaddr_un unix_name(int fd, socklen_t *size)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };

	*size = sizeof(sa_family_t);
	check_int(bind(fd, (struct sockaddr *)&name, *size), ==, 0);
	*size = sizeof(name);
	check_int(getsockname(fd, (struct sockaddr *)&name, size), ==, 0);
	return name;
}

static int open_unix_socket(void)
{
	return keep(
		socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
}

START_TEST(a_unix_connect_is_refused_or_done_at_once)
{
	struct sockaddr_un name;
	int fd, listener;
	struct watch w;
	socklen_t size;

	open_scene(_i);
	listener = open_unix_socket();
	name = unix_name(listener, &size);
	fd = open_unix_socket();
	check_int(connect(fd, (struct sockaddr *)&name, size), ==, -1);
	check_int(errno, ==, ECONNREFUSED);
	watch(&w, fd, EV_READ | EV_WRITE);
	settle();
	check_turn(&w, EV_READ | EV_WRITE); /* it is not connected */
	check_int(listen(listener, 1), ==, 0);
	check_int(connect(fd, (struct sockaddr *)&name, size), ==, 0);
	check_turn(&w, EV_WRITE);
	change_events(&w, EV_READ);
	check_quiet(&w);
	put(keep(accept(listener, NULL, NULL)));
	check_turn(&w, EV_READ);
	close_scene();
}
END_TEST

START_TEST(a_refused_datagram_wakes_both_directions)
{
	struct watch reader, both;
	struct pair pair;

	open_scene(_i);
	pair = open_udp();
	watch(&reader, pair.theirs, EV_READ);
	watch(&both, pair.theirs, EV_READ | EV_WRITE);
	settle();
	check_turn(&both, EV_WRITE);
	discard(pair.ours);
	put(pair.theirs);
	await(pair.theirs, POLLERR);
	check_turn(&both, EV_READ | EV_WRITE);
	check_int(reader.revents, ==, EV_READ);
	check_int(error_of(pair.theirs), ==, ECONNREFUSED);
	check_turn(&both, EV_WRITE);
	stop(&both);
	check_quiet(&reader);
	close_scene();
}
END_TEST

/*
 * one direction is shut down
 */

START_TEST(a_half_closed_peer_does_not_wake_a_writer)
{
	open_fn *const opens[] = { open_pair, open_tcp };
	unsigned iterations;
	struct pair pair;
	struct watch w;
	size_t i;

	open_scene(_i);
	for (i = 0; i < ARRAY_SIZE(opens); i++) {
		pair = opens[i]();
		if (opens[i] == open_tcp)
			fill_tcp(pair.ours);
		else
			fill(pair.ours);
		watch(&w, pair.ours, EV_WRITE);
		settle();
		check_quiet(&w);
		check_int(shutdown(pair.theirs, SHUT_WR), ==, 0);
		iterations = ev_iteration(scene.loop);
		nap(0.02);
		check_int(ev_iteration(scene.loop) - iterations, <=, 20);
		check_quiet(&w);
		for (w.nr = 0; !w.nr; turn())
			drain(pair.theirs);
		check_int(w.revents, ==, EV_WRITE);
		stop(&w);
	}
	close_scene();
}
END_TEST

START_TEST(a_half_closed_peer_wakes_a_reader)
{
	struct pair pair;
	struct watch w;

	open_scene(_i);
	pair = open_tcp();
	watch(&w, pair.ours, EV_READ);
	settle();
	check_quiet(&w);
	check_int(shutdown(pair.theirs, SHUT_WR), ==, 0);
	await(pair.ours, POLLIN);
	check_turn(&w, EV_READ);
	check_turn(&w, EV_READ);
	change_events(&w, EV_READ | EV_WRITE);
	check_turn(&w, EV_READ | EV_WRITE);
	close_scene();
}
END_TEST

struct half {
	open_fn *open;
	bool by_peer;
	int how;
};

/* clang-format off */
static const struct half halves[] = {
	{ open_pair,    false, SHUT_RD }, { open_pair,    true, SHUT_RD },
	{ open_pair,    false, SHUT_WR }, { open_pair,    true, SHUT_WR },
	{ open_pair,    false, SHUT_RDWR }, { open_pair,  true, SHUT_RDWR },
	{ open_packets, false, SHUT_RD }, { open_packets, true, SHUT_RD },
	{ open_packets, false, SHUT_WR }, { open_packets, true, SHUT_WR },
	{ open_tcp,     false, SHUT_RD }, { open_tcp,     true, SHUT_RD },
	{ open_tcp,     false, SHUT_WR }, { open_tcp,     true, SHUT_WR },
	{ open_tcp,     false, SHUT_RDWR }, { open_tcp,   true, SHUT_RDWR },
};
/* clang-format on */

static const struct half *the_half;

/* A reader, a writer and both: what a turn has for each. */
static void note_turn(struct ev_loop *loop, struct log *log, struct watch *w)
{
	int events;

	for (events = EV_READ; events <= (EV_READ | EV_WRITE); events++)
		w[events].revents = 0;
	ev_run(loop, EVRUN_NOWAIT);
	for (events = EV_READ; events <= (EV_READ | EV_WRITE); events++)
		note(log, "%d", w[events].revents);
	note(log, " ");
}

static void play_half(struct ev_loop *loop, struct log *log)
{
	struct pair pair = the_half->open();
	struct watch w[4] = { { .nr = 0 } };
	int events;

	fill(pair.ours);
	for (events = EV_READ; events <= (EV_READ | EV_WRITE); events++) {
		ev_io_init(&w[events].io, on_io, pair.ours, events);
		ev_io_start(loop, &w[events].io);
	}
	if (the_half->open == open_tcp)
		fill_tcp(pair.ours);
	note_turn(loop, log, w);
	shutdown(the_half->by_peer ? pair.theirs : pair.ours, the_half->how);
	if (the_half->by_peer && the_half->how != SHUT_RD)
		await(pair.ours, POLLRDHUP);
	note_turn(loop, log, w);
	ev_io_stop(loop, &w[EV_READ | EV_WRITE].io);
	note_turn(loop, log, w);
	ev_io_stop(loop, &w[EV_READ].io);
	note_turn(loop, log, w);
	note_turn(loop, log, w);
	ev_io_stop(loop, &w[EV_WRITE].io);
	discard(pair.theirs);
	discard(pair.ours);
}

START_TEST(a_half_closed_connection_is_as_on_the_oracle)
{
	open_scene(_i);
	settle();
	the_half = &halves[_i / nr_runnable];
	check_with_oracle(play_half);
	close_scene();
}
END_TEST

START_TEST(what_a_peer_sent_before_it_hung_up_can_be_read)
{
	open_fn *const opens[] = { open_pair, open_pipe, open_tcp, open_fifo };
	struct pair pair;
	struct watch w;
	size_t i;
	char c;

	open_scene(_i);
	settle();
	for (i = 0; i < ARRAY_SIZE(opens); i++) {
		pair = opens[i]();
		watch_then(&w, pair.ours, EV_READ, take_one);
		put(pair.theirs);
		put(pair.theirs);
		discard(pair.theirs);
		await(pair.ours, POLLIN);
		while (w.nr < 2)
			run_on();
		w.then = NULL;
		run_once();
		check_int(w.nr, ==, 3);
		check_int(read(pair.ours, &c, 1), ==, 0);
		stop(&w);
	}
	close_scene();
}
END_TEST

/*
 * all of them
 */

void add_peers(void)
{
	add_scenario("hang-ups", a_hang_up_wakes_the_reader);
	add_scenario("hang-ups", a_hang_up_wakes_the_writer);
	add_scenario("hang-ups", an_error_wakes_both_directions);
	add_scenario("hang-ups", a_reset_wakes_both_directions);
	add_scenario("hang-ups", a_watch_of_nothing_but_hang_ups_does_not_spin);
	add_scenario("hang-ups",
		     what_a_peer_sent_before_it_hung_up_can_be_read);

	add_scenario("connects", a_finished_connect_is_writable);
	add_scenario("connects", a_refused_connect_wakes_both_directions);
	add_scenario("connects", a_refused_socket_may_connect_again);
	add_scenario("connects",
		     a_connect_in_progress_is_quiet_until_a_timer_gives_it_up);
	add_scenario("connects",
		     a_connect_that_is_shut_down_wakes_both_directions);
	add_once("connects", a_connect_that_times_out_wakes_both_directions);
	add_scenario("connects",
		     a_listener_that_closes_wakes_who_waits_in_its_queue);
	add_scenario("connects", a_unix_connect_is_refused_or_done_at_once);
	add_scenario("connects", a_refused_datagram_wakes_both_directions);

	add_scenario("half-closed", a_half_closed_peer_does_not_wake_a_writer);
	add_scenario("half-closed", a_half_closed_peer_wakes_a_reader);
	add_rows("half-closed", a_half_closed_connection_is_as_on_the_oracle,
		 ARRAY_SIZE(halves));
}
