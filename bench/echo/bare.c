/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bare.c - an echo server by hand on epoll, level-triggered, with read and
 * write: what it costs without an event library.
 */
#include "config.h"

#include <err.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "echo.h"

enum { NR_EVENTS = 64 }; /* as many as libev begins with */

struct connection {
	int fd;
	uint32_t events; /* in the set */
	size_t offset, size;
	char buffer[ECHO_BUFFER_SIZE];
};

static int set;

static void change(struct connection *c, int how, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = c };

	if (how == EPOLL_CTL_MOD && c->events == events)
		return;
	c->events = events;
	if (epoll_ctl(set, how, c->fd, &event))
		err(1, "epoll_ctl");
}

static void leave(struct connection *c)
{
	close(c->fd);
	free(c);
}

static void send_on(struct connection *c)
{
	ssize_t nr = send(c->fd, c->buffer + c->offset, c->size - c->offset,
			  MSG_NOSIGNAL);

	if (nr < 0 && errno != EAGAIN) {
		leave(c);
		return;
	}
	c->offset += nr > 0 ? (size_t)nr : 0;
	change(c, EPOLL_CTL_MOD, c->offset == c->size ? EPOLLIN : EPOLLOUT);
}

static void on_ready(struct connection *c)
{
	ssize_t nr;

	if (c->events & EPOLLOUT) {
		send_on(c);
		return;
	}
	nr = recv(c->fd, c->buffer, sizeof(c->buffer), 0);
	if (nr < 0 && errno == EAGAIN)
		return;
	if (nr <= 0) {
		leave(c);
		return;
	}
	c->offset = 0;
	c->size = (size_t)nr;
	send_on(c);
}

static void on_connection(int listener)
{
	int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
	struct connection *c;

	if (fd < 0)
		return;
	c = malloc(sizeof(*c));
	c->fd = fd;
	change(c, EPOLL_CTL_ADD, EPOLLIN);
}

static void serve(int listener)
{
	struct epoll_event events[NR_EVENTS] = { { .events = EPOLLIN } };
	int i, nr;

	set = epoll_create1(EPOLL_CLOEXEC);
	if (set < 0 || epoll_ctl(set, EPOLL_CTL_ADD, listener, events))
		err(1, "epoll");
	for (;;) {
		nr = epoll_wait(set, events, NR_EVENTS, -1);
		for (i = 0; i < nr; i++)
			if (events[i].data.ptr)
				on_ready(events[i].data.ptr);
			else
				on_connection(listener);
	}
}

const struct echo_server echo_bare = { "bare", "epoll by hand", serve };
