/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * uring.c - an echo server by hand, on liburing alone: what evring's operations
 * are measured against.
 *
 * One multishot accept, one multishot receive per connection into buffers that
 * the kernel chooses, one send per buffer, in order.  One enter per turn.
 */
#include "config.h"

#include <err.h>
#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <unistd.h>

#include "echo.h"

#include "buffers.h"

enum kind { ACCEPT, RECEIVE, SEND };

struct connection;

struct request {
	enum kind kind;
	struct connection *connection;
};

/* Of each buffer: the send that it is in, or waits for. */
struct piece {
	struct request send;
	unsigned offset, size;
	int next; /* of this connection; -1: none */
};

struct connection {
	struct request receive;
	int fd;
	int first, last; /* pieces to send; -1: none */
	int nr_requests;
	int is_over;
};

static struct io_uring ring;
static struct echo_buffers buffers;
static struct piece pieces[ECHO_NR_BUFFERS];

static struct io_uring_sqe *get_sqe(struct request *request)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);

	while (!sqe) {
		io_uring_submit(&ring);
		sqe = io_uring_get_sqe(&ring);
	}
	io_uring_sqe_set_data(sqe, request);
	return sqe;
}

static void start_receive(struct connection *c)
{
	struct io_uring_sqe *sqe = get_sqe(&c->receive);

	io_uring_prep_recv_multishot(sqe, c->fd, NULL, 0, 0);
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = ECHO_GROUP;
	c->nr_requests++;
}

static void start_send(struct connection *c)
{
	struct piece *piece = &pieces[c->first];

	io_uring_prep_send(get_sqe(&piece->send), c->fd,
			   echo_buffer(&buffers, c->first) + piece->offset,
			   piece->size - piece->offset, MSG_NOSIGNAL);
	c->nr_requests++;
}

static void append(struct connection *c, int i, unsigned size)
{
	pieces[i] = (struct piece){ { SEND, c }, 0, size, -1 };
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

static void on_accept(int res)
{
	struct connection *c;

	if (res < 0)
		errx(1, "accept: %d", res);
	c = calloc(1, sizeof(*c));
	c->receive = (struct request){ RECEIVE, c };
	c->fd = res;
	c->first = -1;
	start_receive(c);
}

static void on_receive(struct connection *c, int res, unsigned flags)
{
	int more = !!(flags & IORING_CQE_F_MORE);

	c->nr_requests -= !more;
	if (res == -ENOBUFS)
		echo_buffers_grow(&buffers);
	if (res > 0) {
		echo_buffers_take(&buffers);
		append(c, (int)(flags >> IORING_CQE_BUFFER_SHIFT),
		       (unsigned)res);
	}
	if (more)
		return;
	if (res > 0 || res == -ENOBUFS)
		start_receive(c);
	else
		c->is_over = 1;
	if (c->is_over)
		leave(c);
}

static void on_send(struct connection *c, int res)
{
	int i = c->first;

	c->nr_requests--;
	if (res < 0) {
		c->is_over = 1;
		shutdown(c->fd, SHUT_RDWR);
		leave(c);
		return;
	}
	pieces[i].offset += (unsigned)res;
	if (pieces[i].offset == pieces[i].size) {
		c->first = pieces[i].next;
		echo_buffers_put(&buffers, i);
	}
	if (c->first >= 0)
		start_send(c);
	else if (c->is_over)
		leave(c);
}

static void handle(const struct io_uring_cqe *cqe)
{
	struct request *request = io_uring_cqe_get_data(cqe);

	if (request->kind == ACCEPT)
		on_accept(cqe->res);
	else if (request->kind == RECEIVE)
		on_receive(request->connection, cqe->res, cqe->flags);
	else
		on_send(request->connection, cqe->res);
}

static void make_ring(void)
{
	struct io_uring_params params = {
		.flags = IORING_SETUP_SINGLE_ISSUER |
			 IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE |
			 IORING_SETUP_SUBMIT_ALL,
		.cq_entries = 4096,
	};
	int r = io_uring_queue_init_params(1024, &ring, &params);

	if (r < 0)
		errx(1, "io_uring: %d", r);
	io_uring_register_ring_fd(&ring);
	echo_buffers_init(&buffers, &ring);
}

static void serve(int listener)
{
	static struct request accepting = { ACCEPT, NULL };
	struct io_uring_cqe *cqe;
	unsigned head, nr;

	make_ring();
	io_uring_prep_multishot_accept(get_sqe(&accepting), listener, NULL,
				       NULL, 0);
	for (;;) {
		io_uring_submit_and_wait(&ring, 1);
		nr = 0;
		io_uring_for_each_cqe(&ring, head, cqe)
		{
			handle(cqe);
			nr++;
		}
		io_uring_cq_advance(&ring, nr);
	}
}

const struct echo_server echo_uring = { "liburing", "by hand", serve };
