/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * accept.c - the connections of a worker's listeners, if there is room for
 * them: through evring_accept, or through ev_io in a daemon by watchers.
 *
 * What to know:
 *
 * a) When evring_accept is asked to stop, connections that the kernel has
 *    accepted come still.  Those for which there is no room are parked, and
 *    served when there is, before any other.
 * b) accept() reports network errors of a connection that is gone; the next one
 *    may be well.  Without a free descriptor it leaves the connection in the
 *    queue, so the listener stays readable: asking again at once spins.
 *    (evring_accept knows both.)
 * c) SO_REUSEPORT deals connections out without looking who has room: those
 *    dealt to a worker that has none wait for this worker.
 *
 * Invariants:
 *
 * (1) A listener accepts, or was asked to, if and only if may_accept() says so.
 * (2) While there are parked connections there is no room, or the callback of
 *     the pause timer is pending.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "private.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ACCEPT_PAUSE	  0.1 /* seconds, after accept() found no room */
#define COMPLAIN_INTERVAL 10. /* seconds, at least, between words about it */

enum { MAX_BATCH = 16 /* accepts in one callback */ };

static bool has_room(const struct worker *worker)
{
	return !worker->is_stopping &&
	       worker->nr_connections < worker->private->share;
}

static bool may_accept(const struct worker *worker)
{
	const struct worker_private *private = worker->private;

	return has_room(worker) && private->nr_parked == 0 &&
	       !ev_is_active(&private->pause);
}

/*
 * no room
 */

/* Any worker's, so that all together are not louder than one. */
static bool may_complain(void)
{
	static _Atomic double next;
	double now = daemon_seconds(), due = atomic_load(&next);

	return now >= due && atomic_compare_exchange_strong(
				     &next, &due, now + COMPLAIN_INTERVAL);
}

static void note_pause(struct worker *worker, int error)
{
	count(&worker->nr_pauses, 1);
	worker->private->is_paused = true;
	if (may_complain())
		complain("accept: %s; a worker has %" PRIu64 " connections, "
			 "new ones wait",
			 strerror(error), (uint64_t)worker->nr_connections);
}

/* Until the timer ends or a connection does, whichever is first. */
static void pause_accepting(struct worker *worker, int error)
{
	ev_timer *pause = &worker->private->pause;

	note_pause(worker, error);
	ev_timer_stop(worker->loop, pause);
	ev_timer_set(pause, ACCEPT_PAUSE, 0.);
	ev_timer_start(worker->loop, pause);
}

static bool park(struct worker_private *private, int fd)
{
	if (private->nr_parked == private->max_parked) {
		unsigned max = private->max_parked * 2 + 16;
		int *parked = realloc(private->parked, max * sizeof(*parked));

		if (!parked)
			return false;
		private->parked = parked;
		private->max_parked = max;
	}
	private->parked[private->nr_parked++] = fd;
	return true;
}

/* The oldest first.  There are few, or they would not be parked. */
static int unpark(struct worker_private *private)
{
	int fd = private->parked[0];

	memmove(private->parked, private->parked + 1,
		--private->nr_parked * sizeof(fd));
	return fd;
}

static void close_parked(struct worker_private *private)
{
	while (private->nr_parked > 0)
		close(private->parked[--private->nr_parked]);
}

/*
 * connections
 */

static void connection_came(struct worker *worker, int fd)
{
	if (has_room(worker)) {
		worker->daemon->on_connection(worker, fd);
		return;
	}
	if (worker->is_stopping || !park(worker->private, fd))
		close(fd);
	accept_update(worker); /* it may not have been heard */
}

static void on_pause_over(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct worker *worker = w->data;

	(void)loop, (void)revents;
	while (worker->private->nr_parked > 0 && has_room(worker))
		worker->daemon->on_connection(worker, unpark(worker->private));
	accept_update(worker);
}

void worker_opened(struct worker *worker)
{
	count(&worker->nr_accepted, 1);
	count(&worker->nr_connections, 1);
	if (worker->nr_connections != worker->private->share)
		return;
	count(&worker->nr_limited, 1);
	accept_update(worker);
}

/* A descriptor is free: what had none may be tried again. */
static void end_pause(struct worker *worker)
{
	struct worker_private *private = worker->private;

	private->is_paused = false;
	ev_timer_stop(worker->loop, &private->pause);
	if (!daemon_options.by_watchers)
		for (unsigned i = 0; i < private->nr_listeners; i++)
			evring_accept_resume(worker->loop,
					     &private->listeners[i].accept);
}

void worker_closed(struct worker *worker)
{
	count(&worker->nr_connections, (uint64_t)-1);
	if (worker->private->is_paused)
		end_pause(worker);
	if (worker->private->nr_parked > 0)
		ev_feed_event(worker->loop, &worker->private->pause, EV_CUSTOM);
	accept_update(worker);
	worker_check_end(worker);
}

/*
 * through evring
 */

static void close_listener(struct listener *listener)
{
	if (listener->fd >= 0)
		close(listener->fd);
	listener->fd = -1;
}

/* The last event. */
static void accepting_ended(struct listener *listener, int error)
{
	struct worker *worker = listener->worker;
	bool was_asked = listener->is_stopping;

	listener->is_stopping = false;
	if (worker->is_stopping) {
		close_listener(listener);
		return;
	}
	if (was_asked) {
		accept_update(worker);
		return;
	}
	complain("worker %u accepts no more: %s", worker->index,
		 strerror(-error));
	daemon_fail();
}

static void on_accept(struct ev_loop *loop, struct evring_accept *accept,
		      int fd)
{
	struct listener *listener = accept->op.data;

	(void)loop;
	if (fd >= 0)
		connection_came(listener->worker, fd);
	else if (ev_is_active(accept))
		note_pause(listener->worker, -fd);
	else
		accepting_ended(listener, fd);
}

static void start_accepting(struct listener *listener)
{
	struct worker *worker = listener->worker;
	int r;

	if (ev_is_active(&listener->accept))
		return; /* or ends, and is started by that */
	r = evring_accept_start(worker->loop, &listener->accept);
	if (r < 0)
		pause_accepting(worker, -r);
}

static void stop_accepting(struct listener *listener)
{
	struct evring_accept *accept = &listener->accept;

	if (!ev_is_active(accept) || listener->is_stopping)
		return;
	listener->is_stopping =
		evring_accept_stop(listener->worker->loop, accept) == 0;
}

/*
 * through watchers
 */

/* Whether accept() failed for the sake of one connection that is gone. */
static bool is_about_the_peer(int error)
{
	switch (error) {
	case ECONNABORTED:
	case EINTR:
	case EPERM: /* a firewall's */
	case EPROTO:
	case ENOPROTOOPT:
	case EOPNOTSUPP:
	case ENETDOWN:
	case ENETUNREACH:
	case EHOSTDOWN:
	case EHOSTUNREACH:
	case ENONET:
		return true;
	}
	return false;
}

static void on_listener(struct ev_loop *loop, ev_io *w, int revents)
{
	struct worker *worker = w->data;

	(void)loop, (void)revents;
	for (int i = 0; i < MAX_BATCH && may_accept(worker); i++) {
		int fd = accept4(w->fd, NULL, NULL,
				 SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0) {
			connection_came(worker, fd);
		} else if (errno == EAGAIN) {
			return;
		} else if (!is_about_the_peer(errno)) {
			pause_accepting(worker, errno);
			accept_update(worker);
		}
	}
}

/*
 * all listeners
 */

/* Starting what is started and stopping what is not are free. */
static void update_listener(struct listener *listener, bool is_on)
{
	struct ev_loop *loop = listener->worker->loop;

	if (daemon_options.by_watchers && is_on)
		ev_io_start(loop, &listener->io);
	else if (daemon_options.by_watchers)
		ev_io_stop(loop, &listener->io);
	else if (is_on)
		start_accepting(listener);
	else
		stop_accepting(listener);
}

/* Invariant 1. */
void accept_update(struct worker *worker)
{
	struct worker_private *private = worker->private;

	for (unsigned i = 0; i < private->nr_listeners; i++)
		if (private->listeners[i].fd >= 0)
			update_listener(&private->listeners[i],
					may_accept(worker));
}

void accept_add(struct worker *worker, int fd)
{
	struct worker_private *private = worker->private;
	struct listener *listener =
		&private->listeners[private->nr_listeners++];

	listener->worker = worker;
	listener->fd = fd;
	evring_accept_init(&listener->accept, on_accept, fd, SOCK_CLOEXEC);
	listener->accept.op.data = listener;
	ev_io_init(&listener->io, on_listener, fd, EV_READ);
	listener->io.data = worker;
}

void accept_begin(struct worker *worker)
{
	ev_timer *pause = &worker->private->pause;

	ev_timer_init(pause, on_pause_over, ACCEPT_PAUSE, 0.);
	pause->data = worker;
	accept_update(worker);
}

/* After shutdown() nobody can connect any more; close() comes with the last
   event. */
static void end_listener(struct listener *listener)
{
	update_listener(listener, false);
	if (ev_is_active(&listener->accept))
		shutdown(listener->fd, SHUT_RD);
	else
		close_listener(listener);
}

void accept_stop(struct worker *worker)
{
	struct worker_private *private = worker->private;

	ev_timer_stop(worker->loop, &private->pause);
	for (unsigned i = 0; i < private->nr_listeners; i++)
		if (private->listeners[i].fd >= 0)
			end_listener(&private->listeners[i]);
	close_parked(private);
}

void accept_end(struct worker *worker)
{
	struct worker_private *private = worker->private;

	for (unsigned i = 0; i < private->nr_listeners; i++)
		close_listener(&private->listeners[i]);
	close_parked(private);
	free(private->parked);
	private->parked = NULL;
}
