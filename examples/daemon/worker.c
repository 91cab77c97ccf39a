/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * worker.c - a worker from its beginning to its end, all in its own thread, but
 * for worker_new() and worker_free().
 *
 * The loop of the first worker is the default loop, and goes on until the
 * others have ended: it has the signals, and a second one is for all.
 *
 * Order of the end: the loop has ended, connections are gone; evring is
 * detached, and the last events of all operations come; the daemon ends its
 * part; the group goes.  The loop itself goes when all threads have been
 * joined, because others may be sending to it.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "private.h"
#include "stream.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CACHE_LINE = 64 };

/*
 * attach
 */

static int refused(const struct worker *worker, int error)
{
	const struct daemon_options *options = &daemon_options;
	bool may_go_on = options->by_watchers && !options->require_region;

	if (error == -EINVAL && options->disable) {
		complain("--disable=%s refused: wants names of features, "
			 "separated by commas",
			 options->disable);
		return EXIT_USAGE;
	}
	if (may_go_on && worker->index > 0 && !daemon_first()->has_ring)
		return EXIT_SUCCESS; /* said by the first */
	complain("evring_attach: %s%s", evring_strerror(error),
		 may_go_on ? "; going on with libev's epoll backend"
			   : " (`evring info` says more)");
	return may_go_on ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int attach_evring(struct worker *worker)
{
	struct evring_config config = {
		.disable = daemon_options.disable,
		.spin = daemon_options.spin,
		.stats = &worker->private->ring,
	};
	int r;

	if (daemon_options.epoll)
		return EXIT_SUCCESS;
	if (daemon_options.require_region)
		config.flags |= EVRING_REQUIRE_REGION;
	if (daemon_options.user_region)
		config.flags |= EVRING_USER_REGION;
	r = evring_attach(worker->loop, &config);
	if (r < 0)
		return refused(worker, r);
	worker->has_ring = true;
	worker->private->tier = evring_tier(worker->loop);
	return EXIT_SUCCESS;
}

static int make_group(struct worker *worker)
{
	int r;

	if (daemon_options.by_watchers)
		return EXIT_SUCCESS;
	r = evring_group_init(worker->loop, &worker->group,
			      (unsigned)daemon_options.buffers,
			      (unsigned)daemon_options.buffer_size, 0);
	if (r == 0)
		return EXIT_SUCCESS;
	complain("%" PRIu64 " buffers of %" PRIu64 " bytes: %s",
		 daemon_options.buffers, daemon_options.buffer_size,
		 evring_strerror(r));
	return EXIT_FAILURE;
}

int worker_attach(struct worker *worker)
{
	int status;

	worker->loop = worker->index == 0 ? ev_default_loop(EVBACKEND_EPOLL)
					  : ev_loop_new(EVBACKEND_EPOLL);
	if (!worker->loop) {
		complain("libev made no loop on epoll: %s", strerror(errno));
		return EXIT_FAILURE;
	}
	status = attach_evring(worker);
	return status == EXIT_SUCCESS ? make_group(worker) : status;
}

/*
 * stop
 */

void worker_check_end(struct worker *worker)
{
	if (worker->is_stopping && worker->nr_connections == 0 &&
	    worker->private->nr_held == 0 &&
	    (worker->index != 0 || !daemon_others_run()))
		ev_break(worker->loop, EVBREAK_ALL);
}

void worker_hold(struct worker *worker)
{
	worker->private->nr_held++;
}

void worker_release(struct worker *worker)
{
	worker->private->nr_held--;
	worker_check_end(worker);
}

static void stop(struct worker *worker)
{
	if (worker->is_stopping)
		return;
	worker->is_stopping = true;
	accept_stop(worker);
	ev_timer_start(worker->loop, &worker->private->grace);
	if (!worker->private->has_begun)
		return;
	if (worker->daemon->stop)
		worker->daemon->stop(worker);
	else
		stream_stop_all(worker);
}

static void cut(struct worker *worker)
{
	if (!worker->private->has_begun)
		return;
	if (worker->nr_connections > 0)
		complain("%" PRIu64 " connections cut",
			 (uint64_t)worker->nr_connections);
	if (worker->daemon->cut)
		worker->daemon->cut(worker);
	else
		stream_cut_all(worker);
}

static void on_grace_over(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)loop, (void)revents;
	cut(w->data);
	worker_check_end(w->data);
}

static void on_command(struct ev_loop *loop, ev_async *w, int revents)
{
	struct worker *worker = w->data;
	enum command command = daemon_command();

	(void)loop, (void)revents;
	if (command >= COMMAND_STOP)
		stop(worker);
	if (command >= COMMAND_CUT)
		cut(worker);
	worker_check_end(worker);
}

/*
 * begin and end
 */

static void on_turn(struct ev_loop *loop, ev_prepare *w, int revents)
{
	(void)loop, (void)revents;
	count(&((struct worker *)w->data)->private->turns, 1);
}

static void start_watchers(struct worker *worker)
{
	struct worker_private *private = worker->private;

	ev_async_init(&private->command, on_command);
	private->command.data = worker;
	ev_async_start(worker->loop, &private->command);
	ev_timer_init(&private->grace, on_grace_over, daemon_options.grace, 0.);
	private->grace.data = worker;
	ev_prepare_init(&private->turn, on_turn);
	private->turn.data = worker;
	if (!worker->has_ring)
		ev_prepare_start(worker->loop, &private->turn);
}

static int begin_udp(struct worker *worker)
{
	struct worker_private *private = worker->private;
	int r;

	for (unsigned i = 0; i < private->nr_udp; i++) {
		r = worker->daemon->on_udp(worker, private->udp_fds[i]);
		if (r < 0) {
			complain("udp: %s", evring_strerror(r));
			return EXIT_FAILURE;
		}
	}
	return EXIT_SUCCESS;
}

int worker_begin(struct worker *worker)
{
	const struct daemon *daemon = worker->daemon;

	start_watchers(worker);
	if (daemon->begin && daemon->begin(worker) < 0)
		return EXIT_FAILURE;
	worker->private->has_begun = true;
	accept_begin(worker);
	return begin_udp(worker);
}

/* A command may have come before the watcher for it. */
void worker_run(struct worker *worker)
{
	ev_feed_event(worker->loop, &worker->private->command, EV_CUSTOM);
	ev_run(worker->loop, 0);
}

static void close_udp(struct worker_private *private)
{
	while (private->nr_udp > 0)
		close(private->udp_fds[--private->nr_udp]);
}

/* Also of one whose beginning failed anywhere. */
void worker_end(struct worker *worker)
{
	int r;

	worker->is_stopping = true;
	if (worker->has_ring)
		evring_detach(worker->loop);
	if (worker->private->has_begun && worker->daemon->end)
		worker->daemon->end(worker);
	accept_end(worker);
	close_udp(worker->private);
	r = worker->group.nr_buffers > 0 ? evring_group_exit(&worker->group)
					 : 0;
	if (r < 0)
		complain("a connection was left: %s", strerror(-r));
}

/*
 * memory
 */

static void *zeroed(size_t size)
{
	size_t whole = (size + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;
	void *memory = aligned_alloc(CACHE_LINE, whole);

	return memory ? memset(memory, 0, whole) : NULL;
}

struct worker *worker_new(const struct daemon *daemon, unsigned index)
{
	struct worker *worker = zeroed(daemon->worker_size);
	struct worker_private *private = zeroed(sizeof(*private));

	if (!worker || !private) {
		complain("no memory for worker %u", index);
		free(worker);
		free(private);
		return NULL;
	}
	worker->daemon = daemon;
	worker->index = index;
	worker->private = private;
	return worker;
}

void worker_free(struct worker *worker)
{
	if (worker->loop)
		ev_loop_destroy(worker->loop);
	free(worker->private);
	free(worker);
}
