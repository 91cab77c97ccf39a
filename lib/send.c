/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * send.c - ordered sends on a stream socket.
 *
 * The pieces are one list, in the order of the stream:
 *
 *     first ...    all sent, some request still names them (zero copy)
 *     unsent ...   named by the request that sends, at most the first partly
 *                  sent
 *     unasked ...  named by none
 *     last
 *
 * The first pieces that were sent, and that no request names any more, are
 * handed back; nothing is taken out elsewhere.
 *
 * What to know about send requests:
 *
 * a) What a request names is read when the kernel takes the SQE, so until then
 *    pieces may be added; msg and iov may be used anew after that, the bytes
 *    may not.
 * b) With MSG_WAITALL the kernel goes on after a short send, and a send that is
 *    cancelled or fails says how much was sent before.  But one that had to
 *    wait too often is handed to a kernel thread, which would be busy with it
 *    until the peer has read all, or with O_NONBLOCK answers -EAGAIN or less
 *    than all.  Hence the limit for the bytes of a request, and a poll request
 *    after -EAGAIN.
 * c) A zero-copy request answers twice: when it was sent (or failed), with
 *    F_MORE, and when the network has let go of the bytes.  In between it is
 *    not in the way of other requests, but its operation is in use.  The last
 *    operation that is free is not used for one, so that there always is one to
 *    go on with.
 * d) -EOPNOTSUPP, -ENOMEM and -ENOBUFS may be about the copy that was to be
 *    spared.
 *
 * op stands for all operations, because the user asks ev_is_active (&send.op).
 * So it is active as long as any is, by hand where need be.
 *
 * Invariants:
 *
 * (1) At most one request sends (or polls); a second one is made only when the
 *     first has answered.
 * (2) After a callback nothing is touched.
 * (3) When no operation is busy there are no pieces.
 */
#include "config.h"

#include <assert.h>
#include <errno.h>
#include <evring-net.h>
#include <liburing.h>
#include <poll.h>

#include "bind.h"
#include "op.h"

enum {
	MAX_BYTES = 1 << 18, /* in a request (trap b) */
	SEND_FLAGS = MSG_NOSIGNAL | MSG_WAITALL
};

/* evring_send.state */
enum {
	IS_SENDING = 1u << 0,	/* a request, whose result is yet to come */
	IS_POLLING = 1u << 1,	/* or that waits until it can be made */
	HAS_LARGE = 1u << 2,	/* it has a piece to be sent without a copy */
	IS_ZERO_COPY = 1u << 3, /* and is */
	NO_ZERO_COPY = 1u << 4, /* it was refused */
	OF_REQUEST = IS_SENDING | IS_POLLING | HAS_LARGE | IS_ZERO_COPY
};

static_assert(EVRING_SEND_OPS <= sizeof(unsigned) * 8, "a bit for each");

/*
 * operations
 */

static struct evring_op *op_at(struct evring_send *send, unsigned i)
{
	return i ? &send->more[i - 1] : &send->op;
}

static void answered(struct evring_send *send, struct ev_loop *loop,
		     unsigned i);

static void first_answered(struct ev_loop *loop, struct evring_op *op,
			   int revents)
{
	(void)revents;
	answered((struct evring_send *)(void *)op, loop, 0);
}

static void other_answered(struct ev_loop *loop, struct evring_op *op,
			   int revents)
{
	struct evring_send *send = op->data;

	(void)revents;
	answered(send, loop, (unsigned)(op - send->more) + 1);
}

static bool is_only_free(const struct evring_send *send, unsigned i)
{
	return (send->busy | 1u << i) == (1u << EVRING_SEND_OPS) - 1;
}

static unsigned free_op(const struct evring_send *send)
{
	unsigned i = 0;

	while (send->busy & 1u << i)
		i++;
	assert(i < EVRING_SEND_OPS); /* trap c */
	return i;
}

/* Of the request that sends from now on.  Returns 0 or -errno. */
static int take_op(struct ev_loop *loop, struct evring_send *send,
		   struct io_uring_sqe **ret_sqe)
{
	unsigned i = free_op(send);
	struct evring_op *op = op_at(send, i);
	int r, active = send->op.active;

	op->active = 0;
	op->cb = i ? other_answered : first_answered;
	op->priority = send->op.priority;
	if (i)
		op->data = send;
	r = evr_op_start(loop, op, ret_sqe);
	send->op.active = r < 0 ? active : 1;
	if (r < 0)
		return r;
	send->busy |= 1u << i;
	send->sender = i;
	send->named[i].nr = 0;
	send->state = (send->state & ~(unsigned)OF_REQUEST) | IS_SENDING;
	return 0;
}

/*
 * requests
 */

static void name_piece(struct evring_send *send, struct evring_piece *piece)
{
	struct iovec *iov = &send->iov[send->nr_iov++];
	size_t size = piece->size - piece->sent;

	if (size > MAX_BYTES - send->nr_bytes)
		size = MAX_BYTES - send->nr_bytes; /* and no piece after it */
	iov->iov_base = (char *)(uintptr_t)piece->bytes + piece->sent;
	iov->iov_len = size;
	send->nr_bytes += size;
	send->named[send->sender].nr++;
	piece->nr_requests++;
	if (send->zero_copy && piece->size >= send->zero_copy)
		send->state |= HAS_LARGE;
}

static bool has_room(const struct evring_send *send)
{
	return send->nr_iov < EVRING_SEND_PIECES && send->nr_bytes < MAX_BYTES;
}

static bool use_zero_copy(struct ev_loop *loop, const struct evring_send *send)
{
	struct evr_poll *poll;

	if (evr_likely(!(send->state & HAS_LARGE)) ||
	    send->state & NO_ZERO_COPY || is_only_free(send, send->sender))
		return false;
	poll = evr_bind_find(loop);
	return poll && evr_poll_have(poll) & EVR_HAVE_SEND_ZC;
}

static void prep_msg(struct evring_send *send, struct io_uring_sqe *sqe,
		     bool zero_copy)
{
	send->msg = (struct msghdr){ .msg_iov = send->iov,
				     .msg_iovlen = send->nr_iov };
	if (zero_copy)
		io_uring_prep_sendmsg_zc(sqe, send->fd, &send->msg, SEND_FLAGS);
	else
		io_uring_prep_sendmsg(sqe, send->fd, &send->msg, SEND_FLAGS);
}

static void prep_one(const struct evring_send *send, struct io_uring_sqe *sqe,
		     bool zero_copy)
{
	const struct iovec *iov = &send->iov[0];

	if (zero_copy)
		io_uring_prep_send_zc(sqe, send->fd, iov->iov_base,
				      iov->iov_len, SEND_FLAGS, 0);
	else
		io_uring_prep_send(sqe, send->fd, iov->iov_base, iov->iov_len,
				   SEND_FLAGS);
}

/* Have the request name what it does not yet, as far as there is room. */
static void fill(struct ev_loop *loop, struct evring_send *send,
		 struct io_uring_sqe *sqe)
{
	uint64_t user_data = sqe->user_data;
	bool zero_copy;

	for (; send->unasked && has_room(send);
	     send->unasked = send->unasked->next)
		name_piece(send, send->unasked);
	zero_copy = use_zero_copy(loop, send);
	if (zero_copy)
		send->state |= IS_ZERO_COPY;
	if (send->nr_iov > 1)
		prep_msg(send, sqe, zero_copy);
	else
		prep_one(send, sqe, zero_copy);
	sqe->user_data = user_data;
}

/* The SQE of the request that sends, if pieces may be added (trap a). */
static struct io_uring_sqe *find_sqe(struct ev_loop *loop,
				     const struct evring_send *send,
				     const struct evring_op *op)
{
	const struct io_uring *ring;
	struct io_uring_sqe *sqe;
	unsigned head;

	if (send->state & IS_POLLING || !has_room(send))
		return NULL;
	ring = evring_ring(loop);
	if (!ring || !op->lane)
		return NULL;
	head = io_uring_smp_load_acquire(ring->sq.khead);
	if (send->place - head >= ring->sq.sqe_tail - head)
		return NULL;
	sqe = &ring->sq.sqes[send->place & ring->sq.ring_mask];
	return sqe->user_data == (uintptr_t)op ? sqe : NULL;
}

static void begin(struct ev_loop *loop, struct evring_send *send,
		  struct io_uring_sqe *sqe)
{
	send->place = evring_ring(loop)->sq.sqe_tail - 1;
	send->nr_iov = 0;
	send->nr_bytes = 0;
	send->unasked = send->unsent;
	send->named[send->sender].first = send->unsent;
	fill(loop, send, sqe);
}

static int send_on(struct ev_loop *loop, struct evring_send *send)
{
	struct io_uring_sqe *sqe;
	int r = take_op(loop, send, &sqe);

	if (r >= 0)
		begin(loop, send, sqe);
	return r;
}

static int wait_for_room(struct ev_loop *loop, struct evring_send *send)
{
	struct io_uring_sqe *sqe;
	int r = take_op(loop, send, &sqe);

	if (r < 0)
		return r;
	io_uring_prep_poll_add(sqe, send->fd, POLLOUT);
	send->state |= IS_POLLING;
	return 0;
}

/*
 * answers
 */

/* The kernel took so many bytes. */
static void count_sent(struct evring_send *send, size_t size)
{
	struct evring_piece *piece;
	size_t part;

	send->queued -= size;
	while (size) {
		piece = send->unsent;
		part = piece->size - piece->sent;
		if (part > size)
			part = size;
		piece->sent += part;
		size -= part;
		if (piece->sent == piece->size)
			send->unsent = piece->next;
	}
}

static bool is_about_the_copy(int error)
{
	return error == -EOPNOTSUPP || error == -ENOMEM || error == -ENOBUFS;
}

/* Is it a reason to make the request again? */
static bool send_will_pass(struct evring_send *send, int error)
{
	if (error == -EINTR)
		return true;
	if (!(send->state & IS_ZERO_COPY) || !is_about_the_copy(error))
		return false;
	send->state |= NO_ZERO_COPY;
	return true;
}

static void fail(struct evring_send *send, int error)
{
	if (!send->error)
		send->error = error == -ENXIO ? -ECANCELED : error;
}

/* The result of the request that sends, or polls. */
static int take_result(struct evring_send *send, int res)
{
	send->state &= ~(unsigned)IS_SENDING;
	if (send->state & IS_POLLING)
		return res < 0 ? res : 0;
	if (res > 0)
		count_sent(send, (size_t)res);
	else if (!res)
		return -EIO;
	else if (res == -EAGAIN || !send_will_pass(send, res))
		return res;
	return 0;
}

static void drop_op(struct evring_send *send, unsigned i)
{
	struct evring_piece *piece = send->named[i].first;

	send->busy &= ~(1u << i);
	for (; send->named[i].nr; send->named[i].nr--) {
		piece->nr_requests--;
		piece = piece->next;
	}
}

static void result_came(struct ev_loop *loop, struct evring_send *send, int res)
{
	int r = take_result(send, res);

	if (r == -EAGAIN && !send->error)
		r = wait_for_room(loop, send);
	else if (r >= 0 && !send->error && send->unsent)
		r = send_on(loop, send);
	if (r < 0)
		fail(send, r);
}

/* The first pieces that are done, of all if nothing is under way. */
static struct evring_piece *take_done(struct evring_send *send)
{
	struct evring_piece *pieces = send->first, *last = NULL;
	struct evring_piece *piece = pieces;

	while (piece && (!send->busy ||
			 (piece->sent == piece->size && !piece->nr_requests))) {
		last = piece;
		piece = piece->next;
	}
	if (!last)
		return NULL;
	last->next = NULL;
	send->first = piece;
	if (!piece)
		send->last = NULL;
	return pieces;
}

/* Nothing is under way: what was not sent comes back, too. */
static int finish(struct evring_send *send)
{
	int error = send->unsent ? send->error : 0;

	assert(!send->unsent || error);
	send->error = 0;
	send->queued = 0;
	send->unsent = send->unasked = NULL;
	return error;
}

static void hand_back(struct ev_loop *loop, struct evring_send *send)
{
	struct evring_piece *pieces = take_done(send);
	int res = 0;

	if (!send->busy)
		res = finish(send);
	send->op.active = send->busy != 0;
	if (pieces)
		send->cb(loop, send, pieces, res);
}

static void answered(struct evring_send *send, struct ev_loop *loop, unsigned i)
{
	const struct evring_op *op = op_at(send, i);
	int res = op->res;

	if (!op->active)
		drop_op(send, i);
	if (send->state & IS_SENDING && send->sender == i)
		result_came(loop, send, res);
	hand_back(loop, send);
}

/*
 * the user's
 */

static void append_piece(struct evring_send *send, struct evring_piece *piece)
{
	piece->next = NULL;
	piece->sent = 0;
	piece->nr_requests = 0;
	if (send->last)
		send->last->next = piece;
	else
		send->first = piece;
	send->last = piece;
	if (!send->unsent)
		send->unsent = piece;
	if (!send->unasked)
		send->unasked = piece;
	send->queued += piece->size;
}

static void join(struct ev_loop *loop, struct evring_send *send,
		 struct evring_piece *piece)
{
	struct io_uring_sqe *sqe;

	sqe = find_sqe(loop, send, op_at(send, send->sender));
	append_piece(send, piece);
	if (sqe)
		fill(loop, send, sqe);
}

static int begin_with(struct ev_loop *loop, struct evring_send *send,
		      struct evring_piece *piece)
{
	struct io_uring_sqe *sqe;
	int r = take_op(loop, send, &sqe);

	if (r < 0)
		return r;
	append_piece(send, piece);
	begin(loop, send, sqe);
	return 0;
}

EVR_API int evring_send_queue(struct ev_loop *loop, struct evring_send *send,
			      struct evring_piece *piece)
{
	if (!send || !send->cb || !piece || !piece->size)
		return -EINVAL;
	if (send->error)
		return send->error;
	if (!(send->state & IS_SENDING))
		return begin_with(loop, send, piece);
	join(loop, send, piece);
	return 0;
}

EVR_API int evring_send_cancel(struct ev_loop *loop, struct evring_send *send)
{
	int r = 0;

	if (!send)
		return -EINVAL;
	if (!send->busy)
		return -ENOENT;
	fail(send, -ECANCELED);
	if (send->state & IS_SENDING)
		r = evring_op_cancel(loop, op_at(send, send->sender));
	return r == -ENOENT ? 0 : r;
}
