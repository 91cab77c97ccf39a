/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * loops.c - a program that makes its loops in every way that libev has.
 */
#include "parts.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { MANY = 300, NR_THREADS = 4 };

/*
 * the default loop
 */

static void play_default(char **args)
{
	struct ev_loop *loop = ev_default_loop(0);
	int i, same = 0;

	(void)args;
	need(loop);
	work(loop, "default");
	for (i = 0; i < 100; i++)
		same += ev_default_loop(0) == loop && EV_DEFAULT == loop;
	say("%d times the same", same);
	work(EV_DEFAULT, "default, again");
}

static void play_default_anew(char **args)
{
	int i;

	(void)args;
	for (i = 0; i < 3; i++) {
		work(ev_default_loop(0), "default");
		ev_loop_destroy(EV_DEFAULT);
	}
}

/* libev hears of signals and children in the default loop. */

static int nr_signals;

static void on_signal(struct ev_loop *loop, ev_signal *w, int revents)
{
	(void)revents;
	say("signal %s", w->signum == SIGTERM ? "TERM" : "other");
	if (++nr_signals == 2)
		ev_break(loop, EVBREAK_ALL);
	else
		need(raise(SIGTERM) == 0);
}

static void on_child(struct ev_loop *loop, ev_child *w, int revents)
{
	(void)loop;
	(void)revents;
	say("a child ended with %d", w->rstatus >> 8);
	need(raise(SIGTERM) == 0);
}

static void play_signals(char **args)
{
	struct ev_loop *loop = ev_default_loop(0);
	ev_signal signal;
	ev_child child;
	int pid;

	(void)args;
	ev_signal_init(&signal, on_signal, SIGTERM);
	ev_signal_start(loop, &signal);
	pid = fork();
	if (pid == 0)
		_exit(7);
	ev_child_init(&child, on_child, pid, 0);
	ev_child_start(loop, &child);
	ev_run(loop, 0);
}

/* Says so when it runs, and waits to be ended by a signal. */

static void on_start(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)loop;
	(void)w;
	(void)revents;
	say("ready");
}

static void play_wait(char **args)
{
	struct ev_loop *loop = ev_default_loop(0);
	struct pair pair = make_pair();
	ev_timer start;
	ev_io io;

	(void)args;
	ev_io_init(&io, NULL, pair.ours, EV_READ);
	ev_io_start(loop, &io);
	ev_timer_init(&start, on_start, 0.01, 0.);
	ev_timer_start(loop, &start);
	ev_run(loop, 0);
}

static void play_wait_with_signal(char **args)
{
	struct ev_loop *loop = ev_default_loop(0);
	ev_signal signal;

	ev_signal_init(&signal, on_signal, SIGTERM);
	ev_signal_start(loop, &signal);
	nr_signals = 1;
	play_wait(args);
	exit(3);
}

/*
 * loops of a program's own
 */

static void use_new(unsigned flags, const char *label)
{
	struct ev_loop *loop = ev_loop_new(flags);

	if (!loop) {
		say("%s: no loop", label);
		return;
	}
	work(loop, label);
	ev_loop_destroy(loop);
}

static const struct {
	const char *name;
	unsigned flags;
} ways[] = {
	{ "new", 0 },
	{ "auto", EVFLAG_AUTO },
	{ "epoll", EVBACKEND_EPOLL },
	{ "select", EVBACKEND_SELECT },
	{ "poll", EVBACKEND_POLL },
	{ "either", EVBACKEND_SELECT | EVBACKEND_EPOLL },
	{ "all", EVBACKEND_ALL },
	{ "noenv", EVFLAG_NOENV },
	{ "forkcheck", EVFLAG_FORKCHECK },
	{ "signalfd", EVFLAG_SIGNALFD },
	{ "noinotify", EVFLAG_NOINOTIFY },
	{ "none", EVBACKEND_PORT },
};

/* loops chroot FOLDER, in which nothing of evring is */
static void play_chroot(char **args)
{
	need(args[0] && chroot(args[0]) == 0 && chdir("/") == 0);
	use_new(0, "chroot");
}

/* loops flags [default] NAME */
static void play_flags(char **args)
{
	size_t i;

	if (args[0] && strcmp(args[0], "default") == 0) {
		for (i = 0; i < ARRAY_SIZE(ways); i++)
			if (args[1] && strcmp(args[1], ways[i].name) == 0 &&
			    ev_default_loop(ways[i].flags))
				work(EV_DEFAULT_UC, args[1]);
		return;
	}
	for (i = 0; i < ARRAY_SIZE(ways); i++)
		if (args[0] && strcmp(args[0], ways[i].name) == 0)
			use_new(ways[i].flags, args[0]);
}

static void play_unused(char **args)
{
	struct ev_loop *loop = ev_loop_new(0);

	(void)args;
	need(loop && ev_default_loop(0));
	ev_loop_destroy(loop);
	say("two loops that never ran");
}

/* All at once: more than a page of counters has room for. */
static void play_many(char **args)
{
	static struct ev_loop *loops[MANY];
	int i;

	(void)args;
	for (i = 0; i < MANY; i++)
		need((loops[i] = ev_loop_new(0)));
	for (i = 0; i < MANY; i++)
		work(loops[i], "one of many");
	for (i = 0; i < MANY; i++)
		ev_loop_destroy(loops[i]);
}

/* As many, but one after the other. */
static void play_one_by_one(char **args)
{
	int i;

	(void)args;
	for (i = 0; i < MANY; i++)
		use_new(0, "one by one");
}

static void *run_loop(void *loop)
{
	work(loop, "made elsewhere");
	return NULL;
}

static void *make_loop(void *flags)
{
	use_new(*(unsigned *)flags, "in a thread");
	return NULL;
}

static void run_in_threads(void *(*body)(void *), void *arg, int nr)
{
	pthread_t threads[NR_THREADS];
	int i;

	for (i = 0; i < nr; i++)
		need(pthread_create(&threads[i], NULL, body, arg) == 0);
	for (i = 0; i < nr; i++)
		need(pthread_join(threads[i], NULL) == 0);
}

static void play_threads(char **args)
{
	struct ev_loop *loop = ev_loop_new(0);
	unsigned any = 0, select = EVBACKEND_SELECT;

	(void)args;
	run_in_threads(run_loop, loop, 1);
	ev_loop_destroy(loop);
	run_in_threads(make_loop, &any, NR_THREADS);
	run_in_threads(make_loop, &select, NR_THREADS);
}

/*
 * ev_set_io_collect_interval: 60 bytes, 5 ms apart or more, are looked at every
 * 50 ms at most, however slow the machine; and a timer does not wait for an
 * interval that is longer.
 */

enum { NR_BYTES = 60, TRIES = 5 };
static const double interval = 0.05, long_interval = 2., soon = 0.02;

struct collector {
	ev_io io;
	int bytes, calls;
};

static void on_bytes(struct ev_loop *loop, ev_io *w, int revents)
{
	struct collector *c = w->data;
	char bytes[NR_BYTES];
	ssize_t len = read(w->fd, bytes, sizeof(bytes));

	(void)revents;
	c->calls++;
	if (len > 0)
		c->bytes += (int)len;
	if (c->bytes == NR_BYTES)
		ev_break(loop, EVBREAK_ALL);
}

static void *send_bytes(void *arg)
{
	int i;

	for (i = 0; i < NR_BYTES; i++) {
		ev_sleep(0.005);
		need(write(*(int *)arg, "x", 1) == 1);
	}
	return NULL;
}

/* There is always some. */
static void on_room(struct ev_loop *loop, ev_io *w, int revents)
{
	(void)loop;
	(void)w;
	(void)revents;
}

/* Seconds on the clock of timers. */
static double seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

static const char *collect_bytes(struct ev_loop *loop, struct collector *c,
				 struct pair *pair)
{
	double start = seconds();
	pthread_t sender;

	ev_set_io_collect_interval(loop, interval);
	need(pthread_create(&sender, NULL, send_bytes, &pair->peers) == 0);
	ev_run(loop, 0);
	need(pthread_join(sender, NULL) == 0);
	say("%d bytes", c->bytes);
	return (c->calls - 2) * interval <= seconds() - start ? "few" : "many";
}

static void on_tick(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)w;
	(void)revents;
	ev_break(loop, EVBREAK_ALL);
}

static double time_of_timer(struct ev_loop *loop)
{
	double start = seconds();
	ev_timer timer;

	ev_timer_init(&timer, on_tick, soon, 0.);
	ev_now_update(loop);
	ev_timer_start(loop, &timer);
	ev_run(loop, 0);
	return seconds() - start;
}

/* What is late once may be so because the machine was. */
static const char *keep_time(struct ev_loop *loop)
{
	double took;
	int i;

	ev_set_io_collect_interval(loop, long_interval);
	for (i = 0; i < TRIES; i++) {
		took = time_of_timer(loop);
		if (took < soon)
			return "early";
		if (took < long_interval / 2)
			return "right";
	}
	return "late";
}

static void play_collect(char **args)
{
	struct ev_loop *loop = ev_default_loop(0);
	struct pair pair = make_pair();
	struct collector c = { .bytes = 0 };

	(void)args;
	ev_io_init(&c.io, on_bytes, pair.ours, EV_READ);
	c.io.data = &c;
	ev_io_start(loop, &c.io);
	say("calls: %s", collect_bytes(loop, &c, &pair));
	say("timers: %s", keep_time(loop));
	ev_io_stop(loop, &c.io);
	ev_io_init(&c.io, on_room, pair.ours, EV_WRITE);
	ev_io_start(loop, &c.io);
	say("timers beside events: %s", keep_time(loop));
}

/*
 * what a program is given
 */

static void play_given(char **args)
{
	extern char **environ;
	char cwd[512];
	char **s;

	work(ev_default_loop(0), "given");
	for (s = args; *s; s++)
		say("argument [%s]", *s);
	for (s = environ; *s; s++)
		if (strncmp(*s, "GIVEN", 5) == 0)
			say("variable [%s]", *s);
	need(getcwd(cwd, sizeof(cwd)));
	say("in [%s]", cwd);
	while (fgets(cwd, sizeof(cwd), stdin))
		say("input [%.3s]", cwd);
}

/* Its address space, with a loop in it. */
static void play_maps(char **args)
{
	char line[1024];
	FILE *maps;

	(void)args;
	work(ev_default_loop(0), "maps");
	maps = fopen("/proc/self/maps", "re");
	need(maps);
	while (fgets(line, sizeof(line), maps))
		fputs(line, stdout);
	fclose(maps);
}

const struct part parts[] = {
	{ "default", play_default },
	{ "default-anew", play_default_anew },
	{ "signals", play_signals },
	{ "wait", play_wait },
	{ "wait-with-signal", play_wait_with_signal },
	{ "flags", play_flags },
	{ "chroot", play_chroot },
	{ "unused", play_unused },
	{ "many", play_many },
	{ "one-by-one", play_one_by_one },
	{ "threads", play_threads },
	{ "collect", play_collect },
	{ "given", play_given },
	{ "maps", play_maps },
	{ NULL, NULL },
};
