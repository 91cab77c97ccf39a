/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * clock.c - a daemon that carries libev and evring in its own source, and needs
 * neither installed: each second it tells the time to all who are connected.
 *
 * What embedding takes is in Makefile and libev.c, and in this file the call of
 * evring_attach(): the rest is a program on libev like any other.
 *
 * Kernel: 6.13 for the region tier, 5.11 for the copied tier; anything older,
 * or a system that forbids io_uring, is said in one line and served by libev's
 * own epoll backend.
 *
 *	./clock 7013		0: a port that the kernel chooses
 *	nc 127.0.0.1 7013
 *	kill PID		ends it
 */
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "ev.h"
#include "evring.h"

enum { MAX_CLIENTS = 1000, BACKLOG = 128 };

struct client {
	ev_io io;
	struct client *next, **link; /* what points to it */
};

static struct client *clients;
static int nr_clients;
static ev_io listener;

static void drop(struct ev_loop *loop, struct client *client)
{
	ev_io_stop(loop, &client->io);
	close(client->io.fd);
	*client->link = client->next;
	if (client->next)
		client->next->link = client->link;
	free(client);
	nr_clients--;
}

/* Who says something is not heard; who has gone is dropped. */
static void on_readable(struct ev_loop *loop, ev_io *w, int revents)
{
	char ignored[512];
	ssize_t n = recv(w->fd, ignored, sizeof(ignored), MSG_DONTWAIT);

	(void)revents;
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		drop(loop, (struct client *)(void *)w);
}

static int add(struct ev_loop *loop, int fd)
{
	struct client *client = malloc(sizeof(*client));

	if (!client)
		return -1;
	ev_io_init(&client->io, on_readable, fd, EV_READ);
	ev_io_start(loop, &client->io);
	client->link = &clients;
	client->next = clients;
	if (clients)
		clients->link = &client->next;
	clients = client;
	nr_clients++;
	return 0;
}

/* Without room for one more, others wait for the next tick. */
static void on_connection(struct ev_loop *loop, ev_io *w, int revents)
{
	int fd = nr_clients < MAX_CLIENTS ? accept(w->fd, NULL, NULL) : -1;

	(void)revents;
	if (fd >= 0 && add(loop, fd) == 0)
		return;
	if (fd >= 0)
		close(fd);
	ev_io_stop(loop, w);
}

/* Who does not take a line in time misses it. */
static void on_tick(struct ev_loop *loop, ev_timer *w, int revents)
{
	char line[64];
	time_t now = (time_t)ev_now(loop);
	size_t size = strftime(line, sizeof(line), "%Y-%m-%dT%H:%M:%SZ\n",
			       gmtime(&now));
	struct client *client;

	(void)w;
	(void)revents;
	for (client = clients; client; client = client->next)
		send(client->io.fd, line, size, MSG_DONTWAIT | MSG_NOSIGNAL);
	ev_io_start(loop, &listener);
}

static void on_signal(struct ev_loop *loop, ev_signal *w, int revents)
{
	(void)w;
	(void)revents;
	ev_break(loop, EVBREAK_ALL);
}

/* Returns a listening socket of this machine's, and its port; or -1. */
static int listen_on(unsigned short *port)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_port = htons(*port) };
	socklen_t size = sizeof(address);
	int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
	    bind(fd, (struct sockaddr *)&address, size) < 0 ||
	    listen(fd, BACKLOG) < 0 ||
	    getsockname(fd, (struct sockaddr *)&address, &size) < 0)
		return -1;
	*port = ntohs(address.sin_port);
	return fd;
}

static void run(struct ev_loop *loop)
{
	ev_signal term, interrupt;
	ev_timer tick;

	ev_io_start(loop, &listener);
	ev_timer_init(&tick, on_tick, 1., 1.);
	ev_timer_start(loop, &tick);
	ev_signal_init(&term, on_signal, SIGTERM);
	ev_signal_start(loop, &term);
	ev_signal_init(&interrupt, on_signal, SIGINT);
	ev_signal_start(loop, &interrupt);
	ev_run(loop, 0);
	ev_signal_stop(loop, &interrupt);
	ev_signal_stop(loop, &term);
	ev_timer_stop(loop, &tick);
	ev_io_stop(loop, &listener);
}

int main(int argc, char **argv)
{
	unsigned short port = (unsigned short)(argc == 2 ? atoi(argv[1]) : 0);
	struct ev_loop *loop = ev_default_loop(EVBACKEND_EPOLL);
	int fd, r;

	if (argc != 2 || !loop) {
		fprintf(stderr, "usage: clock PORT\n");
		return 2;
	}
	fd = listen_on(&port);
	if (fd < 0) {
		perror("clock");
		return 1;
	}
	ev_io_init(&listener, on_connection, fd, EV_READ);
	r = evring_attach(loop, NULL);
	if (r < 0)
		fprintf(stderr, "clock: epoll: %s\n", evring_strerror(r));
	fprintf(stderr, "clock: port %d, tier %s\n", port,
		evring_tier_name(evring_tier(loop)));
	run(loop);
	while (clients)
		drop(loop, clients);
	close(fd);
	ev_loop_destroy(loop);
	return 0;
}
