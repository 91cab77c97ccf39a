/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * loops.c - a program of libev's for `evring run': a default loop that runs, a
 * loop on select, and one that is gone.  Knows nothing of evring.
 *
 * Prints "ready PID" from the loop and ends when its stdin does, or after 30
 * seconds.
 */
#include <ev.h>
#include <stdio.h>
#include <unistd.h>

static void on_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)loop;
	(void)w;
	(void)revents;
	printf("ready %d\n", (int)getpid());
	fflush(stdout);
}

static void on_input(struct ev_loop *loop, ev_io *w, int revents)
{
	char byte;

	(void)revents;
	if (read(w->fd, &byte, 1) <= 0)
		ev_break(loop, EVBREAK_ALL);
}

int main(void)
{
	struct ev_loop *loop = ev_default_loop(0);
	struct ev_loop *other = ev_loop_new(EVBACKEND_SELECT);
	ev_timer timer;
	ev_io input;

	if (!loop || !other)
		return 1;
	alarm(30);
	ev_loop_destroy(ev_loop_new(0));
	ev_timer_init(&timer, on_timer, 0.05, 0.);
	ev_timer_start(loop, &timer);
	ev_io_init(&input, on_input, STDIN_FILENO, EV_READ);
	ev_io_start(loop, &input);
	ev_run(loop, 0);
	ev_loop_destroy(other);
	return 0;
}
