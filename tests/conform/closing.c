/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * conform/closing.c - line 6: closed is closed.
 *
 * Nothing of ours holds a file.  So the other end hears of a close before the
 * loop runs again, whatever the loop was asked before: to wait for the file, in
 * a turn that blocked or not; to start waiting with the next turn; to report
 * what it found a moment ago.
 */
#include "config.h"

#include "scene.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/socket.h>

/*
 * what is closed, and who hears of it
 */

struct closing {
	const char *name;
	open_fn *open; /* ours is what the loop watches and closes */
	void (*rouse)(
		int theirs); /* ours is readable; NULL: never, or always */
	int ready;	     /* for these, once roused */
	void (*hear)(int theirs);
};

/* A writer in theirs hears, or a reader. */
static void hear_end(int fd)
{
	check_int(await(fd, POLLRDHUP) & (POLLERR | POLLHUP | POLLRDHUP), !=,
		  0);
}

static void hear_eof(int fd)
{
	char c;

	hear_end(fd);
	check_int(read(fd, &c, 1), ==, 0);
}

static void hear_broken_pipe(int fd)
{
	hear_end(fd);
	check_int(write(fd, "x", 1), ==, -1);
	check_int(errno, ==, EPIPE);
}

static void hear_refusal(int fd)
{
	check_int(write(fd, "x", 1), ==, -1);
	check_int(errno, ==, ECONNREFUSED);
}

/* Theirs is a port here. */
static void bind_again(int type, int port)
{
	int fd = open_socket(type);

	check_int(bind_to(fd, port), ==, 0);
	if (type == SOCK_STREAM)
		check_int(listen(fd, 1), ==, 0);
	discard(fd);
}

static void hear_free_tcp_port(int port)
{
	bind_again(SOCK_STREAM, port);
}

static void hear_free_udp_port(int port)
{
	bind_again(SOCK_DGRAM, port);
}

static void hear_lock(int fd)
{
	check_int(flock(fd, LOCK_EX | LOCK_NB), ==, 0);
}

static struct pair swap(struct pair pair)
{
	return (struct pair){ .ours = pair.theirs, .theirs = pair.ours };
}

static struct pair open_write_end(void)
{
	return swap(open_pipe());
}

static struct pair open_fifo_writer(void)
{
	return swap(open_fifo());
}

static struct pair open_master(void)
{
	return swap(open_pty());
}

static struct pair open_tcp_port(void)
{
	struct pair pair = { .ours = open_listener() };

	pair.theirs = port_of(pair.ours);
	return pair;
}

static struct pair open_udp_port(void)
{
	struct pair pair = { .ours = open_socket(SOCK_DGRAM) };

	check_int(bind_to(pair.ours, 0), ==, 0);
	pair.theirs = port_of(pair.ours);
	return pair;
}

/* A file that nobody has but its descriptors, locked by ours. */
static struct pair open_locked(void)
{
	struct pair pair = { .ours = open_temporary() };
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", pair.ours);
	pair.theirs = keep(open(path, O_RDWR | O_CLOEXEC));
	check_int(flock(pair.ours, LOCK_EX), ==, 0);
	check_int(flock(pair.theirs, LOCK_EX | LOCK_NB), ==, -1);
	return pair;
}

static void put_line(int fd)
{
	check_int(write(fd, "x\n", 2), ==, 2);
}

static void connect_to_port(int port)
{
	check_int(connect_to(open_socket(SOCK_STREAM), port), ==, 0);
}

static void send_to_port(int port)
{
	int fd = open_socket(SOCK_DGRAM);

	check_int(connect_to(fd, port), ==, 0);
	put(fd);
	discard(fd);
}

enum { BOTH = EV_READ | EV_WRITE };

/* clang-format off */
static const struct closing closings[] = {
	{ "pipe, read end",  open_pipe,        put,     EV_READ,
	  hear_broken_pipe },
	{ "pipe, write end", open_write_end,   NULL,    EV_WRITE, hear_eof },
	{ "fifo, read end",  open_fifo,        put,     EV_READ,
	  hear_broken_pipe },
	{ "fifo, write end", open_fifo_writer, NULL,    EV_WRITE, hear_eof },
	{ "unix socket",     open_pair,        put,     BOTH, hear_end },
	{ "seqpacket",       open_packets,     put,     BOTH, hear_end },
	{ "unix dgram",      open_datagrams,   put,     BOTH, hear_refusal },
	{ "tcp",             open_tcp,         put,     BOTH, hear_end },
	{ "tty",             open_pty,         put_line, BOTH, hear_end },
	{ "tty master",      open_master,      put_line, BOTH, hear_end },
	{ "tcp port",        open_tcp_port,    connect_to_port, EV_READ,
	  hear_free_tcp_port },
	{ "udp port",        open_udp_port,    send_to_port, BOTH,
	  hear_free_udp_port },
	{ "file",            open_locked,      NULL,    BOTH, hear_lock },
};
/* clang-format on */

/*
 * ways to close
 */

struct act {
	const struct closing *closing;
	struct pair pair;
	struct watch w; /* of ours */
	int events;
	bool is_heard;
};

static void rouse(struct act *act)
{
	if (!act->closing->rouse)
		return;
	act->closing->rouse(act->pair.theirs);
	await(act->pair.ours, POLLIN);
}

static void stop_and_close(struct watch *w)
{
	stop(w);
	discard(w->io.fd);
}

static void hear(struct act *act)
{
	act->closing->hear(act->pair.theirs);
	act->is_heard = true;
}

static void watch_ours(struct act *act)
{
	watch(&act->w, act->pair.ours, act->events);
}

static void close_after_a_turn(struct act *act)
{
	watch_ours(act);
	turn();
	stop_and_close(&act->w);
}

static void close_after_a_wait(struct act *act)
{
	watch_ours(act);
	nap(1e-4);
	stop_and_close(&act->w);
}

static void close_when_ready(struct act *act)
{
	watch_ours(act);
	nap(1e-4);
	rouse(act);
	stop_and_close(&act->w);
}

static void close_when_reported(struct act *act)
{
	watch_ours(act);
	rouse(act);
	turns(2);
	stop_and_close(&act->w);
}

static void close_before_the_stop(struct act *act)
{
	watch_ours(act);
	nap(1e-4);
	discard(act->pair.ours);
	hear(act);
	stop(&act->w);
}

static void close_a_turn_before_the_stop(struct act *act)
{
	watch_ours(act);
	turn();
	discard(act->pair.ours);
	hear(act);
	if (!is_faulty) /* libev asserts if it has to add all again */
		turn();
	stop(&act->w);
}

static void close_a_turn_after_the_stop(struct act *act)
{
	watch_ours(act);
	turn();
	stop(&act->w);
	nap(1e-4);
	discard(act->pair.ours);
}

static void close_before_its_first_turn(struct act *act)
{
	watch_ours(act);
	stop_and_close(&act->w);
}

static void close_after_a_change(struct act *act)
{
	watch_ours(act);
	turn();
	change_events(&act->w, BOTH & ~act->events ? BOTH : EV_READ);
	stop_and_close(&act->w);
}

static void close_in_its_callback(struct act *act)
{
	watch_ours(act);
	act->w.then = stop_and_close;
	rouse(act);
	turns(2);
	check_int(act->w.nr, ==, !!(act->events & act->closing->ready));
	if (!act->w.nr)
		stop_and_close(&act->w);
}

/* Another watcher, which is called first. */
static struct watch bell;
static struct act *at_the_bell;

static void ring_bell(struct act *act, void (*then)(struct watch *bell))
{
	struct pair pair = open_eventfd();

	at_the_bell = act;
	watch_then(&bell, pair.ours, EV_WRITE, then);
	stop(&bell);
	ev_set_priority(&bell.io, EV_MAXPRI);
	start(&bell);
}

static void stop_and_close_other(struct watch *self)
{
	stop_and_close(&at_the_bell->w);
	hear(at_the_bell);
	stop(self);
}

/* Its event was gathered and must not be delivered. */
static void close_in_a_callback_before_its_own(struct act *act)
{
	watch_ours(act);
	rouse(act);
	ring_bell(act, stop_and_close_other);
	turn();
	check_int(bell.nr, ==, 1);
	check_int(act->w.nr, ==, 0);
	discard(bell.io.fd);
}

static void start_and_close_other(struct watch *self)
{
	watch_ours(at_the_bell);
	rouse(at_the_bell);
	stop_and_close_other(self);
}

static void close_in_the_callback_that_starts_it(struct act *act)
{
	ring_bell(act, start_and_close_other);
	turn();
	check_int(bell.nr, ==, 1);
	check_int(act->w.nr, ==, 0);
	discard(bell.io.fd);
}

/* What happens between the release and the acquire callback: the change that
   starts it is filled in, but not sent. */
static void close_meanwhile(struct ev_loop *loop)
{
	(void)loop;
	if (at_the_bell->is_heard)
		return;
	stop_and_close(&at_the_bell->w);
	hear(at_the_bell);
}

static void do_nothing(struct ev_loop *loop)
{
	(void)loop;
}

static void close_before_it_is_submitted(struct act *act)
{
	at_the_bell = act;
	watch_ours(act);
	rouse(act);
	ev_set_loop_release_cb(scene.loop, close_meanwhile, do_nothing);
	turn();
	ev_set_loop_release_cb(scene.loop, NULL, NULL);
	check_that(act->is_heard);
	check_int(act->w.nr, ==, 0);
}

static void detach_if_attached(void)
{
	if (is_evring())
		detach();
}

static void attach_again(void)
{
	if (is_evring())
		attach();
}

static void close_after_detach(struct act *act)
{
	watch_ours(act);
	nap(1e-4);
	detach_if_attached();
	stop_and_close(&act->w);
	hear(act);
	attach_again();
}

static void close_then_detach(struct act *act)
{
	watch_ours(act);
	turn();
	stop_and_close(&act->w);
	hear(act);
	detach_if_attached();
	attach_again();
}

static void close_after_destroy(struct act *act)
{
	struct ev_loop *ours = scene.loop;

	scene.loop = open_another();
	watch_ours(act);
	nap(1e-4);
	ev_loop_destroy(scene.loop);
	scene.loop = ours;
	discard(act->pair.ours);
}

static void (*const ways[])(struct act *act) = {
	close_after_a_turn,
	close_after_a_wait,
	close_when_ready,
	close_when_reported,
	close_before_the_stop,
	close_a_turn_before_the_stop,
	close_a_turn_after_the_stop,
	close_before_its_first_turn,
	close_after_a_change,
	close_in_its_callback,
	close_in_a_callback_before_its_own,
	close_in_the_callback_that_starts_it,
	close_before_it_is_submitted,
	close_after_detach,
	close_then_detach,
	close_after_destroy,
};

static void close_in(void (*way)(struct act *act),
		     const struct closing *closing, int events)
{
	struct act act = { .closing = closing,
			   .pair = closing->open(),
			   .events = events };
	int nr;

	way(&act);
	if (!act.is_heard)
		hear(&act);
	nr = act.w.nr;
	turn();
	check_int(act.w.nr, ==, nr);
}

START_TEST(the_other_end_hears_of_a_close_at_once)
{
	const struct closing *closing = &closings[_i / nr_runnable];
	size_t i;

	open_scene(_i);
	signal(SIGPIPE, SIG_IGN);
	settle();
	for (i = 0; i < ARRAY_SIZE(ways); i++) {
		close_in(ways[i], closing, EV_READ);
		close_in(ways[i], closing, EV_WRITE);
		close_in(ways[i], closing, EV_READ | EV_WRITE);
	}
	close_scene();
}
END_TEST

/*
 * what it costs
 */

enum { NR_CYCLES = 16 };

static uint64_t nr_enters(void)
{
	return promises_more() ? stats().enters : 0;
}

static uint64_t nr_requests(void)
{
	return promises_more() ? stats().requests : 0;
}

START_TEST(the_turn_after_a_close_makes_no_system_call)
{
	uint64_t enters, requests;
	struct watch w[NR_CYCLES];
	int i;

	open_scene(_i);
	for (i = 0; i < NR_CYCLES; i++)
		watch(&w[i], open_pair().ours, EV_READ);
	settle();
	turns(3);
	enters = nr_enters();
	requests = nr_requests();
	for (i = 0; i < NR_CYCLES; i++) {
		stop_and_close(&w[i]);
		turn();
	}
	check_int(nr_enters(), ==, enters);
	check_int(nr_requests(), ==, requests);
	close_scene();
}
END_TEST

/* A wait may end a little early, and is repeated. */
static uint64_t enters_of_naps(struct watch *to_close)
{
	uint64_t enters = nr_enters();
	int i;

	for (i = 0; i < NR_CYCLES; i++) {
		if (to_close)
			stop_and_close(&to_close[i]);
		nap(1e-4);
	}
	return nr_enters() - enters;
}

START_TEST(a_wait_after_a_close_costs_what_it_always_costs)
{
	struct watch w[NR_CYCLES];
	uint64_t quiet;
	int i;

	open_scene(_i);
	for (i = 0; i < NR_CYCLES; i++)
		watch(&w[i], open_pair().ours, EV_READ);
	settle();
	quiet = enters_of_naps(NULL);
	check_int(enters_of_naps(w), <=, quiet + NR_CYCLES / 2);
	close_scene();
}
END_TEST

static uint64_t enters_of_replies(struct watch *w, bool are_new)
{
	uint64_t enters = nr_enters();
	struct pair pair = { -1, -1 };
	int i;

	for (i = 0; i < NR_CYCLES; i++) {
		if (are_new || !i) {
			stop_and_close(w);
			pair = open_pair();
			watch_then(w, pair.ours, EV_READ, take_one);
		}
		put(pair.theirs);
		w->nr = 0;
		run_once();
		check_int(w->nr, ==, 1);
	}
	return nr_enters() - enters;
}

START_TEST(a_connection_for_each_request_costs_one_enter)
{
	struct watch w;

	open_scene(_i);
	watch_then(&w, open_pair().ours, EV_READ, take_one);
	settle();
	enters_of_replies(&w, true);
	check_int(enters_of_replies(&w, false), <=, NR_CYCLES);
	check_int(enters_of_replies(&w, true), <=, NR_CYCLES);
	close_scene();
}
END_TEST

/*
 * all of them
 */

void add_closing(void)
{
	add_rows("closing", the_other_end_hears_of_a_close_at_once,
		 ARRAY_SIZE(closings));
	add_scenario("closing", the_turn_after_a_close_makes_no_system_call);
	add_scenario("closing",
		     a_wait_after_a_close_costs_what_it_always_costs);
	add_scenario("closing", a_connection_for_each_request_costs_one_enter);
}
