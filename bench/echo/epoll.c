/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * epoll.c - an echo server on libev's watchers, with read and write: on libev's
 * own epoll, and the same loop attached to evring; each with turns as they come
 * and with turns kept apart.
 */
#include "config.h"

#include <err.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "echo.h"
#include "loop.h"

struct connection {
	ev_io io;
	char buffer[ECHO_BUFFER_SIZE];
	size_t offset, size; /* what is to be sent */
};

double echo_seconds_apart;
bool echo_counts_turns;

static void leave(struct ev_loop *loop, struct connection *c)
{
	ev_io_stop(loop, &c->io);
	close(c->io.fd);
	free(c);
}

static void wait_for(struct ev_loop *loop, struct connection *c, int events)
{
	if ((c->io.events & (EV_READ | EV_WRITE)) == events)
		return;
	ev_io_stop(loop, &c->io);
	ev_io_set(&c->io, c->io.fd, events);
	ev_io_start(loop, &c->io);
}

static void send_on(struct ev_loop *loop, struct connection *c)
{
	ssize_t nr = send(c->io.fd, c->buffer + c->offset, c->size - c->offset,
			  MSG_NOSIGNAL);

	if (nr < 0 && errno != EAGAIN) {
		leave(loop, c);
		return;
	}
	c->offset += nr > 0 ? (size_t)nr : 0;
	wait_for(loop, c, c->offset == c->size ? EV_READ : EV_WRITE);
}

static void on_ready(struct ev_loop *loop, ev_io *w, int revents)
{
	struct connection *c = (struct connection *)w;
	ssize_t nr;

	if (revents & EV_WRITE) {
		send_on(loop, c);
		return;
	}
	nr = recv(w->fd, c->buffer, sizeof(c->buffer), 0);
	if (nr < 0 && errno == EAGAIN)
		return;
	if (nr <= 0) {
		leave(loop, c);
		return;
	}
	c->offset = 0;
	c->size = (size_t)nr;
	send_on(loop, c);
}

static void on_connection(struct ev_loop *loop, ev_io *w, int revents)
{
	struct connection *c;
	int fd = accept4(w->fd, NULL, NULL, SOCK_NONBLOCK);

	(void)revents;
	if (fd < 0)
		return;
	c = malloc(sizeof(*c));
	ev_io_init(&c->io, on_ready, fd, EV_READ);
	ev_io_start(loop, &c->io);
}

static void count_turn(struct ev_loop *loop, ev_prepare *w, int revents)
{
	(void)w;
	(void)revents;
	atomic_store_explicit(&echo_facts->turns, ev_iteration(loop),
			      memory_order_relaxed);
}

static void serve_on(struct ev_loop *loop, int listener)
{
	static ev_prepare counting;
	static ev_io accepting;

	ev_prepare_init(&counting, count_turn);
	if (echo_counts_turns)
		ev_prepare_start(loop, &counting);
	ev_io_init(&accepting, on_connection, listener, EV_READ);
	ev_io_start(loop, &accepting);
	ev_run(loop, 0);
}

static void serve_epoll(int listener)
{
	serve_on(echo_loop_on(EVBACKEND_EPOLL), listener);
}

static void serve_interval(int listener)
{
	struct ev_loop *loop = echo_loop_on(EVBACKEND_EPOLL);

	ev_set_io_collect_interval(loop, echo_seconds_apart);
	serve_on(loop, listener);
}

static void serve_ring_as(int listener, struct evring_config config)
{
	serve_on(echo_loop_on_ring(config), listener);
}

static void serve_ring(int listener)
{
	serve_ring_as(listener, (struct evring_config){ .entries = 0 });
}

static void serve_copied(int listener)
{
	serve_ring_as(listener, (struct evring_config){ .disable = "region" });
}

static void serve_polled(int listener)
{
	serve_ring_as(listener,
		      (struct evring_config){ .disable = "epoll-wait" });
}

static void serve_spin(int listener)
{
	serve_ring_as(listener, (struct evring_config){ .spin = 50e-6 });
}

static void serve_auto(int listener)
{
	serve_ring_as(listener,
		      (struct evring_config){ .spin = EVRING_SPIN_AUTO });
}

static void serve_collect(int listener)
{
	const struct evring_config config = { .entries = 0 };
	struct ev_loop *loop = echo_loop_on_ring(config);
	int r = evring_set_collect(loop, echo_seconds_apart, 0);

	if (r < 0)
		errx(1, "evring_set_collect: %s", evring_strerror(r));
	serve_on(loop, listener);
}

const struct echo_server echo_epoll = { "epoll", "libev, read and write",
					serve_epoll };
const struct echo_server echo_epoll_again = { "again", "libev's epoll, again",
					      serve_epoll };
const struct echo_server echo_spin = { "spin", "and spins for 50 us",
				       serve_spin };
const struct echo_server echo_auto = { "auto", "and spins if it likes",
				       serve_auto };
const struct echo_server echo_ring = { "watchers", "the same on evring",
				       serve_ring };
const struct echo_server echo_copied = { "no region", "waits copied",
					 serve_copied };
const struct echo_server echo_polled = { "polled", "no EPOLL_WAIT",
					 serve_polled };
const struct echo_server echo_interval = { "interval",
					   "ev_set_io_collect_interval()",
					   serve_interval };
const struct echo_server echo_collect = { "collect", "evring_set_collect()",
					  serve_collect };
