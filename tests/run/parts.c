/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * parts.c - one main for all programs here, a loop put to work.
 *
 * A program that hangs ends by SIGALRM.
 */
#include "parts.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SECONDS = 30, NR_TRIPS = 50, NR_TIMERS = 3 };

void say(const char *format, ...)
{
	char line[512];
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(line, sizeof(line) - 1, format, args);
	va_end(args);
	need(len >= 0 && len < (int)sizeof(line) - 1);
	line[len++] = '\n';
	need(write(STDOUT_FILENO, line, (size_t)len) == len);
}

void give_up(const char *file, int line, const char *what)
{
	fprintf(stderr, "%s:%d: not so: %s\n", file, line, what);
	_exit(99);
}

struct pair make_pair(void)
{
	int fds[2];

	need(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) == 0);
	return (struct pair){ .ours = fds[0], .peers = fds[1] };
}

void say_end(int pid)
{
	int status;

	need(waitpid(pid, &status, 0) == pid);
	if (WIFSIGNALED(status))
		say("a child was ended by signal %d", WTERMSIG(status));
	else
		say("a child ended with %d", WEXITSTATUS(status));
}

/*
 * work
 */

struct job {
	ev_io ours, peers;
	ev_timer timers[NR_TIMERS];
	ev_timer limit;
	int trips;
	char rung[NR_TIMERS + 1]; /* a digit per timer, as they came */
	int nr_rung;
};

static void look_whether_done(struct ev_loop *loop, struct job *job)
{
	if (job->trips == NR_TRIPS && job->nr_rung == NR_TIMERS)
		ev_break(loop, EVBREAK_ONE);
}

static void on_peer(struct ev_loop *loop, ev_io *w, int revents)
{
	char byte;

	(void)loop;
	(void)revents;
	if (read(w->fd, &byte, 1) == 1)
		need(write(w->fd, &byte, 1) == 1);
}

static void on_echo(struct ev_loop *loop, ev_io *w, int revents)
{
	struct job *job = w->data;
	char byte;

	(void)revents;
	if (read(w->fd, &byte, 1) != 1)
		return;
	if (++job->trips < NR_TRIPS)
		need(write(w->fd, "x", 1) == 1);
	look_whether_done(loop, job);
}

static void on_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct job *job = w->data;

	(void)revents;
	job->rung[job->nr_rung++] = (char)('1' + (w - job->timers));
	look_whether_done(loop, job);
}

static void on_limit(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)w;
	(void)revents;
	ev_break(loop, EVBREAK_ONE);
}

static void start_timers(struct ev_loop *loop, struct job *job)
{
	int i;

	ev_now_update(loop);
	for (i = 0; i < NR_TIMERS; i++) {
		ev_timer_init(&job->timers[i], on_timer, 0.002 * (i + 1), 0.);
		job->timers[i].data = job;
		ev_timer_start(loop, &job->timers[i]);
	}
	ev_timer_init(&job->limit, on_limit, SECONDS / 2., 0.);
	ev_timer_start(loop, &job->limit);
}

static const char *name_of_backend(struct ev_loop *loop)
{
	switch (ev_backend(loop)) {
	case EVBACKEND_EPOLL:
		return "epoll";
	case EVBACKEND_POLL:
		return "poll";
	case EVBACKEND_SELECT:
		return "select";
	default:
		return "another";
	}
}

void work(struct ev_loop *loop, const char *label)
{
	struct pair pair = make_pair();
	struct job job;
	int i;

	memset(&job, 0, sizeof(job));
	ev_io_init(&job.ours, on_echo, pair.ours, EV_READ);
	ev_io_init(&job.peers, on_peer, pair.peers, EV_READ);
	job.ours.data = &job;
	ev_io_start(loop, &job.ours);
	ev_io_start(loop, &job.peers);
	start_timers(loop, &job);
	need(write(pair.ours, "x", 1) == 1);
	ev_run(loop, 0);
	ev_io_stop(loop, &job.ours);
	ev_io_stop(loop, &job.peers);
	ev_timer_stop(loop, &job.limit);
	for (i = 0; i < NR_TIMERS; i++)
		ev_timer_stop(loop, &job.timers[i]);
	close(pair.ours);
	close(pair.peers);
	say("%s: %s, %d trips, timers %s", label, name_of_backend(loop),
	    job.trips, job.rung);
}

int main(int argc, char **argv)
{
	const struct part *part;

	alarm(SECONDS);
	for (part = parts; part->name; part++) {
		if (argc > 1 && strcmp(argv[1], part->name) == 0) {
			part->play(argv + 2);
			return 0;
		}
	}
	fprintf(stderr, "%s: no such part\n", argv[0]);
	return 98;
}
