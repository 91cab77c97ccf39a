/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sockets.c - an echo server on evring's watchers for sockets: evring_accept,
 * evring_recv, evring_send.  The buffers received are what is sent.
 */
#include "config.h"

#include <err.h>
#include <evring-net.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "echo.h"
#include "loop.h"

/* A group uses no more of them than it needs, so there may be plenty. */
enum { NR_BUFFERS = 2048 };

struct connection {
	evring_recv recv;
	struct evring_send send;
	int is_over;
};

static struct evring_group group;
static struct evring_piece pieces[NR_BUFFERS]; /* one for each buffer */

static void leave(struct connection *c)
{
	if (ev_is_active(&c->recv) || ev_is_active(&c->send))
		return;
	close(c->recv.fd);
	free(c);
}

static void give_back(struct evring_piece *piece)
{
	evring_group_put(&group, (void *)(uintptr_t)piece->bytes);
}

static void on_data(struct ev_loop *loop, evring_recv *recv, void *data,
		    int size)
{
	struct connection *c = recv->op.data;
	struct evring_piece *piece;

	if (size <= 0) {
		leave(c);
		return;
	}
	piece = &pieces[((char *)data - group.memory) / group.size];
	piece->bytes = data;
	piece->size = (size_t)size;
	if (evring_send_queue(loop, &c->send, piece) < 0)
		give_back(piece);
}

static void on_sent(struct ev_loop *loop, struct evring_send *send,
		    struct evring_piece *first, int res)
{
	struct connection *c = send->op.data;

	for (; first; first = first->next)
		give_back(first);
	if (res < 0)
		evring_recv_stop(loop, &c->recv);
	if (!ev_is_active(&c->recv))
		leave(c);
}

static void on_connection(struct ev_loop *loop, struct evring_accept *accept,
			  int fd)
{
	struct connection *c;

	(void)accept;
	if (fd < 0)
		errx(1, "accept: %d", fd);
	c = calloc(1, sizeof(*c));
	evring_recv_init(&c->recv, on_data, fd, &group);
	evring_send_init(&c->send, on_sent, fd);
	c->recv.op.data = c->send.op.data = c;
	if (evring_recv_start(loop, &c->recv) < 0)
		errx(1, "evring_recv_start");
}

static void serve(int listener)
{
	const struct evring_config config = { .entries = 1024 };
	struct ev_loop *loop = echo_loop_on_ring(config);
	static struct evring_accept accepting;

	if (evring_group_init(loop, &group, NR_BUFFERS, ECHO_BUFFER_SIZE, 0) <
	    0)
		errx(1, "evring_group_init");
	evring_accept_init(&accepting, on_connection, listener, 0);
	if (evring_accept_start(loop, &accepting) < 0)
		errx(1, "evring_accept_start");
	ev_run(loop, 0);
}

const struct echo_server echo_sockets = { "sockets", "evring_recv, evring_send",
					  serve };
