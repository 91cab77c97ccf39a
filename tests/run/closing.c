/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * closing.c - a program that closes what its loops watch.
 *
 * The promise: when the call returns the file is closed, so that the peer sees
 * the end of the stream at once.  A poll request of a ring would hold the file
 * open until it is answered.
 */
#define _GNU_SOURCE

#include "parts.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
	HIGH = 700,  /* for calls that close all from a number on */
	CALMING = 30 /* turns with events: what the loop uses often */
};

/*
 * ways to close
 */

static int spare;

static void by_close(int fd)
{
	need(close(fd) == 0);
}

static void by_dup2(int fd)
{
	need(dup2(spare, fd) == fd);
}

static void by_dup3(int fd)
{
	need(dup3(spare, fd, O_CLOEXEC) == fd);
}

static void by_close_range(int fd)
{
	need(close_range((unsigned)fd, (unsigned)fd, 0) == 0);
}

static void by_open_range(int fd)
{
	need(close_range((unsigned)fd, ~0U, 0) == 0);
}

static void by_closefrom(int fd)
{
	closefrom(fd);
}

static const struct {
	const char *name;
	void (*end)(int fd);
	int leaves_number; /* something else is open there */
} ways[] = {
	{ "close", by_close, 0 },
	{ "dup2", by_dup2, 1 },
	{ "dup3", by_dup3, 1 },
	{ "close_range", by_close_range, 0 },
	{ "open close_range", by_open_range, 0 },
	{ "closefrom", by_closefrom, 0 },
};

/*
 * moments to close at
 */

struct scene {
	struct ev_loop *loop;
	struct pair pair;
	ev_io io;
	ev_timer limit;
	int turns;
	int stops;
	size_t way;
	const char *when;
	sem_t about_to_sleep;
	pthread_t sleeper;
	int sleeper_tid;
	ev_prepare prepare;
	ev_async async;
};

/* Closes, and asks the peer what it sees, before anything else happens. */
static void end_file(struct scene *s)
{
	const char *seen = "nothing";
	char byte;
	ssize_t len;

	if (s->stops)
		ev_io_stop(s->loop, &s->io);
	ways[s->way].end(s->pair.ours);
	len = recv(s->pair.peers, &byte, 1, MSG_DONTWAIT);
	if (len == 0)
		seen = "the end";
	else if (len > 0)
		seen = "data";
	say("%s %s, %s ev_io_stop: the peer sees %s", ways[s->way].name,
	    s->when, s->stops ? "after" : "without", seen);
}

static void on_limit(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)w;
	(void)revents;
	ev_break(loop, EVBREAK_ALL);
}

/* Some turns with one byte each, then the end. */
static void on_readable(struct ev_loop *loop, ev_io *w, int revents)
{
	struct scene *s = w->data;
	char byte;

	(void)revents;
	if (read(w->fd, &byte, 1) != 1)
		return;
	if (s->turns < CALMING)
		need(write(s->pair.peers, "x", 1) == 1);
	else if (strcmp(s->when, "in a callback") == 0)
		end_file(s);
	if (s->turns++ == CALMING)
		ev_break(loop, EVBREAK_ALL);
}

static void start_watching(struct scene *s)
{
	s->pair = make_pair();
	need(dup2(s->pair.ours, HIGH) == HIGH && close(s->pair.ours) == 0);
	s->pair.ours = HIGH;
	ev_io_init(&s->io, on_readable, HIGH, EV_READ);
	s->io.data = s;
	ev_io_start(s->loop, &s->io);
	ev_timer_init(&s->limit, on_limit, 10., 0.);
	ev_timer_start(s->loop, &s->limit);
}

static void stop_watching(struct scene *s)
{
	ev_io_stop(s->loop, &s->io);
	ev_timer_stop(s->loop, &s->limit);
	if (ways[s->way].leaves_number)
		close(HIGH);
	close(s->pair.peers);
}

static void run_until_calm(struct scene *s)
{
	need(write(s->pair.peers, "x", 1) == 1);
	ev_run(s->loop, 0);
	need(s->turns == CALMING + 1);
}

static void close_before_first_turn(struct scene *s)
{
	end_file(s);
	if (s->stops) /* else it is libev that has to notice */
		ev_run(s->loop, EVRUN_NOWAIT);
}

static void close_in_callback(struct scene *s)
{
	run_until_calm(s);
}

static void close_between_turns(struct scene *s)
{
	run_until_calm(s);
	end_file(s);
	if (s->stops)
		ev_run(s->loop, EVRUN_NOWAIT);
}

/* After a turn that found nothing: the loop asked, and nobody answered yet. */
static void close_after_quiet_turn(struct scene *s)
{
	run_until_calm(s);
	ev_run(s->loop, EVRUN_NOWAIT);
	end_file(s);
}

/* Another thread sleeps in the loop. */

static void on_prepare(struct ev_loop *loop, ev_prepare *w, int revents)
{
	struct scene *s = w->data;

	(void)loop;
	(void)revents;
	sem_post(&s->about_to_sleep);
}

static void on_async(struct ev_loop *loop, ev_async *w, int revents)
{
	(void)w;
	(void)revents;
	ev_break(loop, EVBREAK_ALL);
}

static void *sleep_in_loop(void *arg)
{
	struct scene *s = arg;

	s->sleeper_tid = (int)syscall(SYS_gettid);
	ev_run(s->loop, 0);
	return NULL;
}

/* Does the kernel say so? */
static int is_asleep(int tid)
{
	char path[64], state = 0;
	FILE *stat;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", tid);
	stat = fopen(path, "re");
	need(stat);
	need(fscanf(stat, "%*d (%*[^)]) %c", &state) == 1);
	fclose(stat);
	return state == 'S';
}

static void close_while_other_sleeps(struct scene *s)
{
	int tries;

	run_until_calm(s);
	need(sem_init(&s->about_to_sleep, 0, 0) == 0);
	ev_prepare_init(&s->prepare, on_prepare);
	ev_async_init(&s->async, on_async);
	s->prepare.data = s;
	ev_prepare_start(s->loop, &s->prepare);
	ev_async_start(s->loop, &s->async);
	need(pthread_create(&s->sleeper, NULL, sleep_in_loop, s) == 0);
	need(sem_wait(&s->about_to_sleep) == 0);
	for (tries = 0; !is_asleep(s->sleeper_tid); tries++) {
		need(tries < 5000);
		usleep(1000);
	}
	end_file(s);
	ev_async_send(s->loop, &s->async);
	need(pthread_join(s->sleeper, NULL) == 0);
	ev_prepare_stop(s->loop, &s->prepare);
	ev_async_stop(s->loop, &s->async);
}

static const struct {
	const char *when;
	void (*play)(struct scene *s);
	int never_stops; /* ev_io_stop is not for other threads */
} moments[] = {
	{ "before the first turn", close_before_first_turn, 0 },
	{ "in a callback", close_in_callback, 0 },
	{ "between turns", close_between_turns, 0 },
	{ "after a quiet turn", close_after_quiet_turn, 0 },
	{ "while another thread sleeps", close_while_other_sleeps, 1 },
};

static void play_one(size_t moment, size_t way, int stops)
{
	struct scene s = { .way = way, .stops = stops };

	s.when = moments[moment].when;
	s.loop = ev_loop_new(0);
	need(s.loop);
	start_watching(&s);
	moments[moment].play(&s);
	stop_watching(&s);
	ev_loop_destroy(s.loop);
}

static void play_watched(char **args)
{
	size_t moment, way;
	int stops;

	(void)args;
	spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
	need(spare >= 0);
	for (moment = 0; moment < ARRAY_SIZE(moments); moment++)
		for (way = 0; way < ARRAY_SIZE(ways); way++)
			for (stops = !moments[moment].never_stops; stops >= 0;
			     stops--)
				play_one(moment, way, stops);
}

/*
 * what goes on as it did
 */

/* A number that is closed and used again at once, in the same callback. */
struct reuse {
	ev_io io;
	struct pair pair;
	int rounds;
};

static void on_reuse(struct ev_loop *loop, ev_io *w, int revents)
{
	struct reuse *r = w->data;
	struct pair next;
	int fd = w->fd;

	(void)revents;
	ev_io_stop(loop, w);
	if (++r->rounds == 100) {
		ev_break(loop, EVBREAK_ALL);
		return;
	}
	next = make_pair();
	need(dup2(next.ours, fd) == fd && close(next.ours) == 0);
	close(r->pair.peers);
	r->pair.peers = next.peers;
	ev_io_set(w, fd, EV_READ);
	ev_io_start(loop, w);
	need(write(r->pair.peers, "x", 1) == 1);
}

static void play_reuse(char **args)
{
	struct ev_loop *loop = ev_default_loop(0);
	struct reuse r = { .pair = make_pair() };

	(void)args;
	ev_io_init(&r.io, on_reuse, r.pair.ours, EV_READ);
	r.io.data = &r;
	ev_io_start(loop, &r.io);
	need(write(r.pair.peers, "x", 1) == 1);
	ev_run(loop, 0);
	say("%d rounds", r.rounds);
	close(r.pair.ours);
	close(r.pair.peers);
	work(loop, "then");
}

/* Errors are the caller's, with errno. */

static void say_result(const char *what, int result)
{
	const char *error = result >= 0	      ? "none"
			    : errno == EBADF  ? "EBADF"
			    : errno == EINVAL ? "EINVAL"
					      : "another";

	say("%s: %d, error %s", what, result, error);
	errno = 0;
}

static void play_errors(char **args)
{
	(void)args;
	work(ev_default_loop(0), "first");
	say_result("close", close(HIGH));
	say_result("close of -1", close(-1));
	say_result("dup2", dup2(HIGH, HIGH + 1));
	say_result("dup2 to itself", dup2(1, 1));
	say_result("dup3 to itself", dup3(1, 1, 0));
	say_result("close_range, the wrong way", close_range(9, 8, 0));
	say_result("close_range, unknown flag", close_range(HIGH, HIGH, 64));
	say_result("close_range of nothing", close_range(HIGH, ~0U, 0));
	work(ev_default_loop(0), "then");
}

/* A file that is only marked stays open, and watched. */
static void play_cloexec(char **args)
{
	struct ev_loop *loop = ev_default_loop(0);
	struct scene s = { .loop = loop, .when = "never", .stops = 1 };

	(void)args;
	start_watching(&s);
	run_until_calm(&s);
	need(close_range(HIGH, ~0U, CLOSE_RANGE_CLOEXEC) == 0);
	s.turns = 0;
	run_until_calm(&s);
	say("%d turns", s.turns);
	stop_watching(&s);
}

/* What daemons do when they start, and some when a loop is there already. */
static void close_one_by_one(void)
{
	int fd;

	for (fd = 3; fd < HIGH; fd++)
		close(fd);
}

static void close_all(void)
{
	closefrom(3);
}

static void close_all_by_range(void)
{
	need(close_range(3, ~0U, 0) == 0);
}

static void (*const sweeps[])(void) = { close_one_by_one, close_all,
					close_all_by_range };

static void play_sweep(char **args)
{
	struct ev_loop *loop;
	size_t i;

	(void)args;
	for (i = 0; i < ARRAY_SIZE(sweeps); i++) {
		sweeps[i]();
		loop = ev_loop_new(0);
		need(loop);
		work(loop, "swept before");
		sweeps[i]();
		ev_loop_fork(loop);
		ev_run(loop, EVRUN_NOWAIT); /* before the numbers go round */
		work(loop, "swept after");
		ev_loop_destroy(loop);
	}
}

/*
 * Numbers that evring used and that are the program's after a sweep: nothing
 * may be written or closed there.
 */
static void play_sweep_and_open(char **args)
{
	struct ev_loop *loop = ev_loop_new(0);
	int fds[20], i, alive = 0, empty = 0;

	(void)args;
	need(loop);
	work(loop, "first");
	close_all();
	for (i = 0; i < 20; i++) {
		fds[i] = memfd_create("program's", 0);
		need(fds[i] >= 0);
	}
	/* libev's own number is among them: it closes it. */
	ev_loop_fork(loop);
	work(loop, "then");
	for (i = 0; i < 20; i++) {
		alive += fcntl(fds[i], F_GETFD) >= 0;
		empty += lseek(fds[i], 0, SEEK_END) <= 0;
	}
	say("%s of the program's files closed, %d empty",
	    alive >= 19 ? "one at most" : "more", empty);
}

/*
 * what it costs
 */

enum { UNWATCHED = 100 };

/* For strace: a system call with this argument. */
static void mark(const char *what)
{
	need(chdir(what) < 0);
}

static void play_unwatched(char **args)
{
	struct ev_loop *loop = ev_default_loop(0);
	int fds[UNWATCHED], i;
	struct scene s = { .loop = loop, .when = "never", .stops = 1 };

	(void)args;
	for (i = 0; i < UNWATCHED; i++)
		need((fds[i] = dup(0)) >= 0);
	need(dup2(0, HIGH + 1) >= 0);
	start_watching(&s); /* the number is above those of the dups */
	run_until_calm(&s);
	mark("/no/begin");
	for (i = 0; i < UNWATCHED; i++)
		close(fds[i]);
	close(HIGH + 1);
	mark("/no/end");
	stop_watching(&s);
	say("closed");
}

const struct part parts[] = {
	{ "watched", play_watched },
	{ "reuse", play_reuse },
	{ "errors", play_errors },
	{ "cloexec", play_cloexec },
	{ "sweep", play_sweep },
	{ "sweep-and-open", play_sweep_and_open },
	{ "unwatched", play_unwatched },
	{ NULL, NULL },
};
