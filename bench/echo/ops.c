/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ops.c - the echo server of uring.c, request by request, as operations of a
 * libev loop.
 */
#include "config.h"

#include <err.h>
#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <unistd.h>

#include "echo.h"

#include "buffers.h"
#include "loop.h"

struct connection;

/* Of each buffer: the send that it is in, or waits for. */
struct piece {
	evring_op send;
	struct connection *connection;
	unsigned offset, size;
	int next; /* of this connection; -1: none */
};

struct connection {
	evring_op receive;
	int fd;
	int first, last; /* pieces to send; -1: none */
	int nr_requests;
	int is_over;
};

static struct ev_loop *the_loop;
static struct echo_buffers buffers;
static struct piece pieces[ECHO_NR_BUFFERS];

static struct io_uring_sqe *start(evring_op *op)
{
	struct io_uring_sqe *sqe = evring_op_start(the_loop, op);

	if (!sqe)
		err(1, "evring_op_start");
	return sqe;
}

static void start_receive(struct connection *c)
{
	struct io_uring_sqe *sqe = start(&c->receive);

	io_uring_prep_recv_multishot(sqe, c->fd, NULL, 0, 0);
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = ECHO_GROUP;
	c->nr_requests++;
}

static void start_send(struct connection *c)
{
	struct piece *piece = &pieces[c->first];

	io_uring_prep_send(start(&piece->send), c->fd,
			   echo_buffer(&buffers, c->first) + piece->offset,
			   piece->size - piece->offset, MSG_NOSIGNAL);
	c->nr_requests++;
}

static void append(struct connection *c, int i, unsigned size)
{
	pieces[i].connection = c;
	pieces[i].offset = 0;
	pieces[i].size = size;
	pieces[i].next = -1;
	if (c->first < 0) {
		c->first = c->last = i;
		start_send(c);
	} else {
		pieces[c->last].next = i;
		c->last = i;
	}
}

static void leave(struct connection *c)
{
	if (c->nr_requests)
		return;
	while (c->first >= 0) {
		echo_buffers_put(&buffers, c->first);
		c->first = pieces[c->first].next;
	}
	close(c->fd);
	free(c);
}

static void on_receive(struct ev_loop *loop, evring_op *op, int revents)
{
	struct connection *c = (struct connection *)op;
	int more = ev_is_active(op);

	(void)loop;
	(void)revents;
	c->nr_requests -= !more;
	if (op->res == -ENOBUFS)
		echo_buffers_grow(&buffers);
	if (op->res > 0) {
		echo_buffers_take(&buffers);
		append(c, (int)(op->flags >> IORING_CQE_BUFFER_SHIFT),
		       (unsigned)op->res);
	}
	if (more)
		return;
	if (op->res > 0 || op->res == -ENOBUFS)
		start_receive(c);
	else
		c->is_over = 1;
	if (c->is_over)
		leave(c);
}

static void on_send(struct ev_loop *loop, evring_op *op, int revents)
{
	struct piece *piece = (struct piece *)op;
	struct connection *c = piece->connection;
	int i = c->first;

	(void)loop;
	(void)revents;
	c->nr_requests--;
	if (op->res < 0) {
		c->is_over = 1;
		shutdown(c->fd, SHUT_RDWR);
		leave(c);
		return;
	}
	piece->offset += (unsigned)op->res;
	if (piece->offset == piece->size) {
		c->first = piece->next;
		echo_buffers_put(&buffers, i);
	}
	if (c->first >= 0)
		start_send(c);
	else if (c->is_over)
		leave(c);
}

static void on_accept(struct ev_loop *loop, evring_op *op, int revents)
{
	struct connection *c;

	(void)loop;
	(void)revents;
	if (op->res < 0)
		errx(1, "accept: %d", op->res);
	c = calloc(1, sizeof(*c));
	evring_op_init(&c->receive, on_receive);
	c->fd = op->res;
	c->first = -1;
	start_receive(c);
}

static void serve(int listener)
{
	const struct evring_config config = { .entries = 1024 };
	static evring_op accepting;
	int i;

	the_loop = echo_loop_on_ring(config);
	echo_buffers_init(&buffers, evring_ring(the_loop));
	for (i = 0; i < ECHO_NR_BUFFERS; i++)
		evring_op_init(&pieces[i].send, on_send);
	evring_op_init(&accepting, on_accept);
	io_uring_prep_multishot_accept(start(&accepting), listener, NULL, NULL,
				       0);
	ev_run(the_loop, 0);
}

const struct echo_server echo_ops = { "operations", "evring", serve };
