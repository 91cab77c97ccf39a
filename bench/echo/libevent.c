/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libevent.c - the echo server of epoll.c on libevent's events, with read and
 * write.
 *
 * libev, which is in the same program, has functions of the same names for
 * those who come from libevent 1.  Which of the two libraries is bound depends
 * on their order, so the one that runs says its name and method, and anything
 * but libevent's own epoll ends the program.
 */
#include "config.h"

#include <err.h>
#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "echo.h"

struct connection {
	struct event *reading, *writing;
	int fd;
	char buffer[ECHO_BUFFER_SIZE];
	size_t offset, size; /* what is to be sent */
	int is_writing;
};

static struct event_base *base;

static void leave(struct connection *c)
{
	event_free(c->reading);
	event_free(c->writing);
	close(c->fd);
	free(c);
}

static void wait_for(struct connection *c, int is_writing)
{
	if (c->is_writing == is_writing)
		return;
	c->is_writing = is_writing;
	event_del(is_writing ? c->reading : c->writing);
	event_add(is_writing ? c->writing : c->reading, NULL);
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
	wait_for(c, c->offset != c->size);
}

static void on_writable(evutil_socket_t fd, short events, void *data)
{
	(void)fd;
	(void)events;
	send_on(data);
}

static void on_readable(evutil_socket_t fd, short events, void *data)
{
	struct connection *c = data;
	ssize_t nr = recv(fd, c->buffer, sizeof(c->buffer), 0);

	(void)events;
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

static void on_connection(evutil_socket_t listener, short events, void *data)
{
	struct connection *c;
	int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);

	(void)events;
	(void)data;
	if (fd < 0)
		return;
	c = calloc(1, sizeof(*c));
	if (!c)
		err(1, "connection");
	c->fd = fd;
	c->reading = event_new(base, fd, EV_READ | EV_PERSIST, on_readable, c);
	c->writing = event_new(base, fd, EV_WRITE | EV_PERSIST, on_writable, c);
	if (!c->reading || !c->writing || event_add(c->reading, NULL))
		errx(1, "libevent");
}

/* Nothing but epoll is left to libevent. */
static struct event_base *base_on_epoll(void)
{
	struct event_config *config = event_config_new();
	struct event_base *made;

	if (!config || event_config_avoid_method(config, "poll") ||
	    event_config_avoid_method(config, "select"))
		errx(1, "libevent: no configuration");
	made = event_base_new_with_config(config);
	event_config_free(config);
	if (!made)
		errx(1, "libevent has no epoll here");
	if (strcmp(event_base_get_method(made), "epoll"))
		errx(1, "libevent's place has %s, on %s", event_get_version(),
		     event_base_get_method(made));
	return made;
}

static void serve(int listener)
{
	struct event *accepting;

	base = base_on_epoll();
	accepting = event_new(base, listener, EV_READ | EV_PERSIST,
			      on_connection, NULL);
	if (!accepting || event_add(accepting, NULL))
		errx(1, "libevent");
	event_base_dispatch(base);
}

const char *echo_libevent_version(void)
{
	event_base_free(base_on_epoll());
	return event_get_version();
}

const struct echo_server echo_libevent = { "libevent", "read and write",
					   serve };
