/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * op.c - operations: any request as a watcher of the loop.
 *
 * What they are from start to last event is known to flight.c, and what happens
 * to them when the ring goes to poll.c.
 */
#include "config.h"

#include <errno.h>
#include <evring.h>

#include "op.h"

#include "bind.h"

enum { MAX_FILES = 1 << 20 };

static int start_op(struct ev_loop *loop, struct evring_op *op,
		    struct io_uring_sqe **ret_sqe)
{
	struct evr_poll *poll;

	if (!op || !op->cb)
		return -EINVAL;
	if (op->active)
		return -EBUSY;
	poll = evr_bind_find(loop);
	return poll ? evr_poll_start(poll, op, ret_sqe) : -ENXIO;
}

int evr_op_start(struct ev_loop *loop, struct evring_op *op,
		 struct io_uring_sqe **ret_sqe)
{
	int error = errno;
	int r = start_op(loop, op, ret_sqe);

	errno = error;
	return r;
}

EVR_API struct io_uring_sqe *evring_op_start(struct ev_loop *loop,
					     struct evring_op *op)
{
	struct io_uring_sqe *sqe = NULL;
	int r = evr_op_start(loop, op, &sqe);

	if (evr_unlikely(r < 0))
		errno = -r;
	return sqe;
}

EVR_API int evring_op_cancel(struct ev_loop *loop, struct evring_op *op)
{
	struct evr_poll *poll = evr_bind_find(loop);
	int error = errno;
	int r;

	if (!op)
		return -EINVAL;
	r = poll ? evr_poll_cancel(poll, op) : -ENOENT;
	errno = error;
	return r;
}

EVR_API int evring_reserve(struct ev_loop *loop, unsigned nr)
{
	struct evr_poll *poll = evr_bind_find(loop);
	int error = errno;
	int r = poll ? evr_poll_reserve(poll, nr) : -ENXIO;

	errno = error;
	return r;
}

EVR_API int evring_set_files(struct ev_loop *loop, unsigned nr)
{
	struct evr_poll *poll = evr_bind_find(loop);
	int error = errno;
	int r = -EINVAL;

	if (nr <= MAX_FILES)
		r = poll ? evr_poll_set_files(poll, nr) : -ENXIO;
	errno = error;
	return r;
}

EVR_API struct io_uring *evring_ring(struct ev_loop *loop)
{
	struct evr_poll *poll = evr_bind_find(loop);
	struct io_uring *ring = NULL;
	int error = errno;
	int r = poll ? evr_poll_ring(poll, &ring) : -ENXIO;

	errno = r < 0 ? -r : error;
	return ring;
}
