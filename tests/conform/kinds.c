/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * conform/kinds.c - line 7 and every kind of descriptor: what is always ready,
 * what is bad, what hangs up.
 */
#include "config.h"

#include "scene.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>

/*
 * 7: files that are always ready, bad descriptors, hang-ups
 */

START_TEST(a_regular_file_is_always_ready)
{
	struct watch reader, writer;
	int fd, i;

	open_scene(_i);
	fd = open_temporary();
	watch(&reader, fd, EV_READ);
	watch(&writer, fd, EV_READ | EV_WRITE);
	settle();
	for (i = 0; i < 5; i++) {
		check_turn(&writer, EV_READ | EV_WRITE);
		check_int(reader.revents, ==, EV_READ);
	}
	stop(&writer);
	writer.nr = reader.nr = 0;
	run_once();
	run_once();
	check_int(reader.nr, ==, 2);
	check_int(writer.nr, ==, 0);
	stop(&reader);
	check_quiet(&reader);
	start(&reader);
	check_turn(&reader, EV_READ);
	close_scene();
}
END_TEST

START_TEST(files_without_readiness_are_as_on_the_oracle)
{
	static const char *const paths[] = { "/", "/dev/null", "/dev/zero",
					     "/proc/self/status" };
	struct watch w[ARRAY_SIZE(paths)];
	size_t i;

	open_scene(_i);
	for (i = 0; i < ARRAY_SIZE(paths); i++)
		watch(&w[i], keep(open(paths[i], O_RDONLY)), EV_READ);
	settle();
	for (i = 0; i < ARRAY_SIZE(paths); i++) {
		check_turn(&w[i], EV_READ);
		check_turn(&w[i], EV_READ);
		stop(&w[i]);
		check_quiet(&w[i]);
	}
	close_scene();
}
END_TEST

START_TEST(a_regular_file_does_not_hide_sockets_or_timers)
{
	struct watch file, socket;
	struct pair pair;

	open_scene(_i);
	pair = open_pair();
	watch(&socket, pair.ours, EV_READ);
	watch(&file, open_temporary(), EV_WRITE);
	settle();
	put(pair.theirs);
	check_turn(&socket, EV_READ);
	check_int(file.revents, ==, EV_WRITE);
	take(pair.ours);
	check_quiet(&socket); /* the nap proves the timer */
	check_int(file.nr, >, 4);
	close_scene();
}
END_TEST

START_TEST(a_number_may_alternate_between_file_and_socket)
{
	int fd, i, file;
	struct pair pair;
	struct watch w;

	open_scene(_i);
	pair = open_pair();
	file = open_temporary();
	fd = keep(dup(file));
	watch(&w, fd, EV_READ);
	settle();
	for (i = 0; i < 20; i++) {
		stop(&w);
		dup2(i % 2 ? file : pair.ours, fd);
		if (i % 3 == 0)
			turn();
		take_step('S', &w, -1);
		if (i % 2) {
			check_turn(&w, EV_READ);
			check_turn(&w, EV_READ);
		} else {
			check_is_fresh(&w, pair.theirs);
		}
	}
	close_scene();
}
END_TEST

struct bad_fd {
	const struct mode *mode;
	int steps; /* which of those below */
};

static int use_bad_fd(void *arg)
{
	const struct bad_fd *bad = arg;
	struct ev_loop *loop = ev_loop_new(EVFLAG_NOENV | EVBACKEND_EPOLL);
	struct watch w = { .nr = 0 };
	int fds[2];

	close(2); /* libev's assertion is no news */
	if (pipe(fds) ||
	    (bad->mode->tier && evring_attach(loop, &bad->mode->config) < 0 &&
	     !is_faulty))
		return 100;
	ev_io_init(&w.io, on_io, fds[0], EV_READ);
	if (bad->steps) {
		ev_io_start(loop, &w.io);
		ev_run(loop, EVRUN_NOWAIT);
		ev_io_stop(loop, &w.io);
	}
	if (bad->steps == 2)
		ev_run(loop, EVRUN_NOWAIT);
	close(fds[0]);
	ev_io_set(&w.io, fds[0], EV_READ);
	ev_io_start(loop, &w.io);
	ev_run(loop, EVRUN_NOWAIT);
	ev_run(loop, EVRUN_NOWAIT);
	return w.nr + (w.revents & EV_ERROR ? 10 : 0) +
	       (ev_is_active(&w.io) ? 20 : 0);
}

/* libev says that it is a bug of the program: EV_ERROR, or an assertion. */
/*
 * Of two numbers that mean other files now, one was always ready before.  Both
 * are ready, and one turn says so.
 */
START_TEST(a_number_that_was_a_file_does_not_delay_others)
{
	struct watch was_file, was_pair;
	struct pair pair, fresh;
	int file, null;

	open_scene(_i);
	file = keep(open("/", O_RDONLY));
	null = keep(open("/dev/null", O_RDONLY));
	pair = open_pair();
	fresh = open_pair();
	watch(&was_file, file, EV_READ);
	watch(&was_pair, pair.ours, EV_READ);
	put(pair.theirs);
	settle();
	turn();
	stop(&was_pair);
	stop(&was_file);
	put(fresh.theirs);
	ck_assert_int_eq(dup2(null, pair.ours), pair.ours);
	ck_assert_int_eq(dup2(fresh.ours, file), file);
	ev_io_set(&was_pair.io, pair.ours, EV_READ);
	ev_io_set(&was_file.io, file, EV_READ);
	start(&was_pair);
	start(&was_file);
	was_pair.nr = was_file.nr = 0;
	turn();
	check_int(was_pair.nr, ==, 1);
	check_int(was_file.nr, ==, 1);
	close_scene();
}
END_TEST

START_TEST(a_closed_fd_ends_as_on_the_oracle)
{
	struct bad_fd bad, oracle = { .mode = runnable[0] };
	int got, want;

	open_scene(_i);
	settle();
	for (oracle.steps = 0; oracle.steps < 3; oracle.steps++) {
		bad = oracle;
		bad.mode = scene.mode;
		got = run_in_child(use_bad_fd, &bad);
		want = run_in_child(use_bad_fd, &oracle);
		check_int(got, !=, 100);
		check_int(got, ==, want);
		check_int(want, !=, 20); /* it was noticed */
	}
	close_scene();
}
END_TEST

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

static int closed_port(void)
{
	int fd = open_listener(), port = port_of(fd);

	discard(fd);
	return port;
}

START_TEST(a_refused_connect_wakes_both_directions)
{
	int events, fd, error = 0;
	socklen_t size = sizeof(error);
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
		check_int(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size),
			  ==, 0);
		check_int(error, ==, ECONNREFUSED);
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

	open_scene(_i);
	pair = open_pair();
	watch(&w, pair.ours, EV_READ);
	settle();
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
 * kinds of descriptors: how to make them ready, and not ready again
 */

struct kind {
	const char *name;
	open_fn *open;
	void (*rouse)(const struct pair *pair);
	void (*calm)(const struct pair *pair);
};

static void put_theirs(const struct pair *pair)
{
	put(pair->theirs);
}

static void take_ours(const struct pair *pair)
{
	take(pair->ours);
}

static struct pair open_fifo(void)
{
	char dir[] = "/tmp/evring-conform-XXXXXX", path[64];
	struct pair pair;

	check_that(mkdtemp(dir) != NULL);
	snprintf(path, sizeof(path), "%s/fifo", dir);
	check_int(mkfifo(path, 0600), ==, 0);
	pair.ours = keep(open(path, O_RDWR | O_CLOEXEC));
	pair.theirs = keep(open(path, O_WRONLY | O_CLOEXEC));
	unlink(path);
	rmdir(dir);
	return pair;
}

static struct pair open_pty(void)
{
	struct pair pair;

	pair.theirs = keep(posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
	check_int(grantpt(pair.theirs), ==, 0);
	check_int(unlockpt(pair.theirs), ==, 0);
	pair.ours = keep(open(ptsname(pair.theirs), O_RDWR | O_NOCTTY));
	return pair;
}

static void put_line(const struct pair *pair)
{
	check_int(write(pair->theirs, "x\n", 2), ==, 2);
}

static void take_line(const struct pair *pair)
{
	char line[8];

	check_int(read(pair->ours, line, sizeof(line)), ==, 2);
}

static void rouse_eventfd(const struct pair *pair)
{
	check_int(eventfd_write(pair->ours, 1), ==, 0);
}

static void take_u64(const struct pair *pair)
{
	uint64_t value;

	check_int(read(pair->ours, &value, sizeof(value)), ==, 8);
	check_int(value, ==, 1);
}

static struct pair open_timerfd(void)
{
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);

	return (struct pair){ keep(fd), -1 };
}

static void rouse_timerfd(const struct pair *pair)
{
	struct itimerspec soon = { .it_value = { .tv_nsec = 1 } };

	check_int(timerfd_settime(pair->ours, 0, &soon, NULL), ==, 0);
}

static struct pair open_signalfd(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	check_int(sigprocmask(SIG_BLOCK, &set, NULL), ==, 0);
	return (struct pair){ keep(signalfd(-1, &set, SFD_CLOEXEC)), -1 };
}

static void rouse_signalfd(const struct pair *pair)
{
	(void)pair;
	check_int(kill(getpid(), SIGUSR2), ==, 0);
}

static void calm_signalfd(const struct pair *pair)
{
	struct signalfd_siginfo info;

	check_int(read(pair->ours, &info, sizeof(info)), ==, sizeof(info));
}

static struct pair open_listening(void)
{
	struct pair pair = { .ours = open_listener() };

	pair.theirs = port_of(pair.ours);
	return pair;
}

static void connect_theirs(const struct pair *pair)
{
	check_int(connect_to(open_socket(SOCK_STREAM), pair->theirs), ==, 0);
}

static void accept_one(const struct pair *pair)
{
	discard(keep(accept(pair->ours, NULL, NULL)));
}

/* clang-format off */
static const struct kind kinds[] = {
	{ "unix socket", open_pair,      put_theirs,     take_ours },
	{ "pipe",        open_pipe,      put_theirs,     take_ours },
	{ "tcp",         open_tcp,       put_theirs,     take_ours },
	{ "udp",         open_udp,       put_theirs,     take_ours },
	{ "fifo",        open_fifo,      put_theirs,     take_ours },
	{ "pty",         open_pty,       put_line,       take_line },
	{ "eventfd",     open_eventfd,   rouse_eventfd,  take_u64 },
	{ "timerfd",     open_timerfd,   rouse_timerfd,  take_u64 },
	{ "signalfd",    open_signalfd,  rouse_signalfd, calm_signalfd },
	{ "listener",    open_listening, connect_theirs, accept_one },
};
/* clang-format on */

START_TEST(every_kind_of_file_is_reported_while_ready)
{
	const struct kind *kind = &kinds[_i / nr_runnable];
	struct pair pair;
	struct watch w;
	int i;

	open_scene(_i);
	pair = kind->open();
	watch(&w, pair.ours, EV_READ);
	settle();
	for (i = 0; i < 3; i++) {
		check_quiet(&w);
		kind->rouse(&pair);
		await(pair.ours, POLLIN);
		check_turn(&w, EV_READ);
		check_turn(&w, EV_READ);
		kind->calm(&pair);
	}
	check_quiet(&w);
	close_scene();
}
END_TEST

struct rousing {
	const struct kind *kind;
	struct pair pair;
};

static void rouse(void *arg)
{
	struct rousing *rousing = arg;

	rousing->kind->rouse(&rousing->pair);
}

START_TEST(every_kind_of_file_wakes_a_blocked_loop)
{
	struct rousing rousing = { .kind = &kinds[_i / nr_runnable] };
	struct actor actor;
	struct watch w;
	int i;

	open_scene(_i);
	rousing.pair = rousing.kind->open();
	watch(&w, rousing.pair.ours, EV_READ);
	settle();
	for (i = 0; i < 3; i++) {
		w.nr = 0;
		act_when_asleep(&actor, rouse, &rousing);
		run_once();
		check_int(w.nr, ==, 1);
		join(&actor);
		rousing.kind->calm(&rousing.pair);
	}
	check_quiet(&w);
	close_scene();
}
END_TEST

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
		run_once();
	check_int(client.revents, ==, EV_WRITE);
	check_turn(&server, EV_READ);
	check_int(server.revents, ==, EV_READ);
	close_scene();
}
END_TEST

static void accept_watched(struct watch *w)
{
	discard(keep(accept(w->io.fd, NULL, NULL)));
}

START_TEST(every_pending_connection_is_reported)
{
	struct pair pair;
	struct watch w;
	int i;

	open_scene(_i);
	pair = open_listening();
	watch_then(&w, pair.ours, EV_READ, accept_watched);
	settle();
	for (i = 0; i < 5; i++)
		connect_theirs(&pair);
	while (w.nr < 5)
		run_once();
	check_quiet(&w);
	close_scene();
}
END_TEST

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
		fill(pair.ours);
		await(pair.theirs, POLLIN);
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
	check_turn(&w, EV_READ);
	check_turn(&w, EV_READ);
	change_events(&w, EV_READ | EV_WRITE);
	check_turn(&w, EV_READ | EV_WRITE);
	close_scene();
}
END_TEST

/*
 * all of them
 */

void add_kinds(void)
{
	add_scenario("always ready", a_regular_file_is_always_ready);
	add_scenario("always ready",
		     files_without_readiness_are_as_on_the_oracle);
	add_scenario("always ready",
		     a_regular_file_does_not_hide_sockets_or_timers);
	add_scenario("always ready",
		     a_number_may_alternate_between_file_and_socket);
	add_scenario("always ready",
		     a_number_that_was_a_file_does_not_delay_others);
	add_scenario("always ready", a_closed_fd_ends_as_on_the_oracle);
	add_scenario("always ready", a_hang_up_wakes_the_reader);
	add_scenario("always ready", a_hang_up_wakes_the_writer);
	add_scenario("always ready", an_error_wakes_both_directions);
	add_scenario("always ready", a_refused_connect_wakes_both_directions);
	add_scenario("always ready",
		     a_watch_of_nothing_but_hang_ups_does_not_spin);

	add_scenario("kinds", a_finished_connect_is_writable);
	add_scenario("kinds", every_pending_connection_is_reported);
	add_scenario("kinds", a_half_closed_peer_does_not_wake_a_writer);
	add_scenario("kinds", a_half_closed_peer_wakes_a_reader);
	add_rows("kinds", every_kind_of_file_is_reported_while_ready,
		 ARRAY_SIZE(kinds));
	add_rows("kinds", every_kind_of_file_wakes_a_blocked_loop,
		 ARRAY_SIZE(kinds));
}
