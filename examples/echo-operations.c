/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * echo-operations.c - the echo daemon on requests of io_uring.
 *
 * What was received is sent from the buffer it is in, which goes back to the
 * group when it was sent.  Nothing is allocated for an event: there is a piece
 * for each buffer.
 *
 * Peers that send and do not read could have all buffers of a worker, and
 * nobody else would be served.  So a connection that has too much waiting is
 * paused; and when few buffers are left, what comes is copied, and its buffer
 * given back at once.  The copies of a connection are bounded by the same
 * limit.
 *
 * Datagrams have a group of their own, with buffers for the largest, and an
 * operation for each: the answer, from the address and through the interface
 * the datagram came to.  One that cannot be sent at once is dropped, as the
 * network would.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* struct in6_pktinfo */
#endif

#include "daemon/stream.h"
#include "echo.h"

#include <errno.h>
#include <liburing.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	MAX_PIECES = 64, /* of a connection, before it is paused */
	NR_DATAGRAMS = 64,
	CONTROL_SIZE = CMSG_SPACE(sizeof(struct in6_pktinfo)),
	/* The data, and what evring_recv puts before it. */
	DATAGRAM_SIZE =
		65536 + sizeof(struct sockaddr_storage) + CONTROL_SIZE + 64
};

struct piece {
	struct evring_piece piece; /* data: its buffer; NULL: a copy, behind */
};

struct connection {
	struct stream stream;
	unsigned nr_pieces;
};

struct receiver {
	struct evring_recv recv; /* data: the worker */
	int error; /* the last event's, if no datagram came since */
};

struct answer {
	evring_op op; /* data: the worker */
	struct answer *next;
	struct msghdr message;
	struct iovec iov;
};

/* Of a worker. */
struct part {
	struct piece *pieces;
	struct piece **free_pieces;
	unsigned nr_free_pieces;

	struct evring_group datagrams;
	struct receiver receivers[MAX_ENDPOINTS];
	unsigned nr_receivers;
	struct answer answers[NR_DATAGRAMS];
	struct answer *free_answers;
};

static struct part *part_of(struct worker *worker)
{
	return echo_worker(worker)->of_style;
}

/*
 * pieces
 */

static bool is_short_of_buffers(const struct worker *worker)
{
	return worker->group.nr_free <= worker->group.nr_buffers / 4;
}

static struct piece *piece_of_buffer(struct worker *worker, char *data)
{
	struct part *part = part_of(worker);
	struct piece *piece = part->free_pieces[--part->nr_free_pieces];

	piece->piece.bytes = piece->piece.data = data;
	return piece;
}

/* NULL: no memory. */
static struct piece *piece_of_copy(struct worker *worker, char *data,
				   size_t size)
{
	struct piece *piece = malloc(sizeof(*piece) + size);

	if (piece) {
		piece->piece.bytes = memcpy(piece + 1, data, size);
		piece->piece.data = NULL;
	}
	stream_put(worker, data);
	return piece;
}

static void piece_free(struct worker *worker, struct piece *piece)
{
	struct part *part = part_of(worker);

	if (!piece->piece.data) {
		free(piece);
		return;
	}
	stream_put(worker, piece->piece.data);
	part->free_pieces[part->nr_free_pieces++] = piece;
}

static int pieces_new(struct worker *worker)
{
	unsigned nr = worker->group.nr_buffers;
	struct part *part = part_of(worker);

	part->pieces = calloc(nr, sizeof(*part->pieces));
	part->free_pieces = calloc(nr, sizeof(struct piece *));
	if (!part->pieces || !part->free_pieces)
		return -ENOMEM;
	for (unsigned i = 0; i < nr; i++)
		part->free_pieces[i] = &part->pieces[i];
	part->nr_free_pieces = nr;
	return 0;
}

/*
 * connections
 */

static struct connection *connection_of(struct stream *stream)
{
	return (struct connection *)(void *)stream;
}

/* The limits are halved for going on, so that it is not done for each byte. */
static bool has_waiting(const struct connection *connection, unsigned part)
{
	return stream_queued(&connection->stream) >
		       echo_options.buffer / part ||
	       connection->nr_pieces > MAX_PIECES / part;
}

static void data_came(struct stream *stream, char *data, size_t size)
{
	struct connection *connection = connection_of(stream);
	struct worker *worker = stream->worker;
	struct piece *piece = is_short_of_buffers(worker)
				      ? piece_of_copy(worker, data, size)
				      : piece_of_buffer(worker, data);

	echo_served(worker, &echo_worker(worker)->tcp_requests);
	if (!piece) {
		stream_cut(stream, -ENOMEM);
		return;
	}
	piece->piece.size = size;
	if (stream_send(stream, &piece->piece) < 0) {
		piece_free(worker, piece);
		return;
	}
	connection->nr_pieces++;
	if (has_waiting(connection, 1))
		stream_pause(stream);
}

static void was_sent(struct stream *stream, struct evring_piece *pieces,
		     int res)
{
	struct connection *connection = connection_of(stream);
	struct evring_piece *next;

	(void)res;
	for (; pieces; pieces = next) {
		next = pieces->next;
		piece_free(stream->worker, (struct piece *)(void *)pieces);
		connection->nr_pieces--;
	}
	if (!has_waiting(connection, 2))
		stream_resume(stream);
}

static void is_gone(struct stream *stream)
{
	free(connection_of(stream));
}

static const struct stream_type connection_type = {
	.data = data_came,
	.sent = was_sent,
	.gone = is_gone,
};

static void on_connection(struct worker *worker, int fd)
{
	struct connection *connection = calloc(1, sizeof(*connection));

	if (!connection) {
		count(&worker->nr_errors, 1);
		close(fd);
		return;
	}
	if (stream_begin(&connection->stream, &connection_type, worker, fd) <
	    0) {
		count(&worker->nr_errors, 1);
		free(connection);
	}
}

/*
 * datagrams
 */

static void was_answered(struct ev_loop *loop, evring_op *op, int revents)
{
	struct worker *worker = op->data;
	struct echo_worker *echo = echo_worker(worker);
	struct answer *answer = (struct answer *)(void *)op;
	struct part *part = part_of(worker);

	(void)loop, (void)revents;
	if (op->res < 0)
		count(&echo->udp_dropped, 1);
	else
		count(&echo->udp_bytes_out, (uint64_t)op->res);
	evring_group_put(&part->datagrams, answer->iov.iov_base);
	answer->next = part->free_answers;
	part->free_answers = answer;
	worker_release(worker);
}

/* There is an answer for each buffer. */
static struct answer *take_answer(struct part *part)
{
	struct answer *answer = part->free_answers;

	part->free_answers = answer->next;
	return answer;
}

static bool send_answer(struct worker *worker, int fd, struct answer *answer)
{
	struct io_uring_sqe *sqe = evring_op_start(worker->loop, &answer->op);

	if (!sqe)
		return false;
	io_uring_prep_sendmsg(sqe, fd, &answer->message,
			      MSG_NOSIGNAL | MSG_DONTWAIT);
	return true;
}

/* All of the answer is in the buffer of the datagram. */
static void answer_datagram(struct receiver *receiver, void *data, int size)
{
	struct worker *worker = receiver->recv.op.data;
	const struct evring_msg *msg = &receiver->recv.msg;
	struct answer *answer = take_answer(part_of(worker));

	answer->iov = (struct iovec){ data, (size_t)size };
	answer->message = (struct msghdr){
		.msg_name = msg->name,
		.msg_namelen = msg->name_len,
		.msg_iov = &answer->iov,
		.msg_iovlen = 1,
		.msg_control = msg->control_len > 0 ? msg->control : NULL,
		.msg_controllen = msg->control_len,
	};
	worker_hold(worker);
	if (!send_answer(worker, receiver->recv.fd, answer)) {
		answer->op.res = -errno;
		was_answered(worker->loop, &answer->op, 0);
	}
}

/* One error may be about some datagram; the same again is not. */
static void receiver_ended(struct receiver *receiver, int error)
{
	struct worker *worker = receiver->recv.op.data;
	bool goes_on = error != -ECANCELED && error != receiver->error;

	receiver->error = error;
	if (!worker->is_stopping && goes_on) {
		error = evring_recv_start(worker->loop, &receiver->recv);
		if (error == 0)
			return;
	}
	if (!worker->is_stopping) {
		complain("worker %u receives no more datagrams: %s",
			 worker->index, strerror(-error));
		daemon_fail();
	}
	worker_release(worker);
}

static void on_datagram(struct ev_loop *loop, struct evring_recv *recv,
			void *data, int size)
{
	struct receiver *receiver = (struct receiver *)(void *)recv;
	struct echo_worker *echo = echo_worker(recv->op.data);

	(void)loop;
	if (!data) {
		receiver_ended(receiver, size);
		return;
	}
	receiver->error = 0;
	count(&echo->udp_bytes_in, (uint64_t)size);
	answer_datagram(receiver, data, size);
	echo_served(&echo->worker, &echo->udp_requests);
}

static int datagrams_new(struct worker *worker)
{
	struct part *part = part_of(worker);

	for (unsigned i = 0; i < NR_DATAGRAMS; i++) {
		evring_op_init(&part->answers[i].op, was_answered);
		part->answers[i].op.data = worker;
		part->answers[i].next = part->free_answers;
		part->free_answers = &part->answers[i];
	}
	return evring_group_init(worker->loop, &part->datagrams, NR_DATAGRAMS,
				 DATAGRAM_SIZE, 0);
}

static int on_udp(struct worker *worker, int fd)
{
	struct part *part = part_of(worker);
	struct receiver *receiver = &part->receivers[part->nr_receivers];
	int r = part->nr_receivers == 0 ? datagrams_new(worker) : 0;

	if (r < 0)
		return r;
	evring_recv_init(&receiver->recv, on_datagram, fd, &part->datagrams);
	receiver->recv.op.data = worker;
	receiver->recv.flags = EVRING_RECV_MSG;
	receiver->recv.control_size = CONTROL_SIZE;
	r = evring_recv_start(worker->loop, &receiver->recv);
	if (r < 0)
		return r;
	part->nr_receivers++;
	worker_hold(worker);
	return 0;
}

/*
 * begin and end
 */

static int begin(struct worker *worker)
{
	struct part *part = calloc(1, sizeof(*part));

	echo_worker(worker)->of_style = part;
	if (part && pieces_new(worker) == 0)
		return 0;
	complain("no memory for worker %u", worker->index);
	return -ENOMEM;
}

/* Asked once more by cut(): the kernel may not have taken the request. */
static void stop_receivers(struct worker *worker)
{
	struct part *part = part_of(worker);

	for (unsigned i = 0; i < part->nr_receivers; i++)
		evring_recv_stop(worker->loop, &part->receivers[i].recv);
}

static void stop(struct worker *worker)
{
	stop_receivers(worker);
	stream_stop_all(worker);
}

static void cut(struct worker *worker)
{
	stop_receivers(worker);
	stream_cut_all(worker);
}

static void end(struct worker *worker)
{
	struct part *part = part_of(worker);

	if (part->datagrams.nr_buffers > 0)
		evring_group_exit(&part->datagrams);
	free(part->pieces);
	free(part->free_pieces);
	free(part);
}

const struct echo_style echo_operations = { begin, on_connection, on_udp,
					    stop,  cut,		  end };
