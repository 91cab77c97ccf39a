/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * works.h - does a loop work?  Whatever libev it is of: include it after its
 * ev.h.
 */
#ifndef EVR_TEST_WORKS_H
#define EVR_TEST_WORKS_H

#include <fcntl.h>
#include <stdbool.h>
#include <unistd.h>

struct work {
	ev_io reader;
	ev_timer writer, guard;
	int fds[2];
	bool was_late, has_read;
};

static void work_read(struct ev_loop *loop, ev_io *w, int revents)
{
	struct work *work = w->data;
	char byte = 0;

	work->has_read =
		revents == EV_READ && read(w->fd, &byte, 1) == 1 && byte == 'x';
	ev_break(loop, EVBREAK_ONE);
}

static void work_write(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct work *work = w->data;

	(void)loop;
	(void)revents;
	if (write(work->fds[1], "x", 1) != 1)
		work->was_late = true;
}

static void work_end(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct work *work = w->data;

	(void)revents;
	work->was_late = true;
	ev_break(loop, EVBREAK_ONE);
}

/* A timer fires and fills a pipe, and the byte in it arrives. */
static bool loop_works(struct ev_loop *loop)
{
	struct work work = { .was_late = false };

	if (pipe2(work.fds, O_CLOEXEC | O_NONBLOCK) < 0)
		return false;
	ev_io_init(&work.reader, work_read, work.fds[0], EV_READ);
	ev_timer_init(&work.writer, work_write, 0.002, 0.);
	ev_timer_init(&work.guard, work_end, 10., 0.);
	work.reader.data = work.writer.data = work.guard.data = &work;
	ev_io_start(loop, &work.reader);
	ev_timer_start(loop, &work.writer);
	ev_timer_start(loop, &work.guard);
	ev_run(loop, 0);
	ev_io_stop(loop, &work.reader);
	ev_timer_stop(loop, &work.writer);
	ev_timer_stop(loop, &work.guard);
	close(work.fds[0]);
	close(work.fds[1]);
	return work.has_read && !work.was_late;
}

#endif
