/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * proxy-session.c - one forwarded connection: a stream to the client, another
 * to the server, and the request that connects.
 *
 * What to know:
 *
 * a) A connection has two directions that end apart.  "GET" and an end of
 *    stream may go to the server a minute before the answer comes back.
 * b) An end of stream tells the receiver that it has everything.  So it is
 *    passed on only behind the last byte that came before it.  Whatever else
 *    ends a side (a reset, a timeout, the end of the daemon) ends the other by
 *    a reset, which is what close() sends under SO_LINGER with no time.
 * c) A reset overtakes what is held for the other side: bytes are lost with it,
 *    as they are without a proxy.
 * d) A reset is seen by receiving or sending.  From a side that has ended its
 *    stream, or is paused, it is seen when bytes are sent there, or --idle is
 *    over.
 * e) Bytes that a client sends before it is connected are received, as many as
 *    the other direction may hold: otherwise a client that is gone would not be
 *    noticed while a server does not answer.
 * f) A connect with a linked timeout is two operations, with a last event each,
 *    in either order.
 *
 * State of a session, and the function that moves it:
 *
 *   CONNECTING -> OPEN       [open_server]
 *   CONNECTING -> BROKEN     [give_up]      no server can be had
 *   any        -> BROKEN     [break_off]    one side is gone before its end
 *   OPEN       -> FINISHED   [on_end]       both sides have ended
 *   any        -> gone       [free_if_over] both are gone, and the request is
 *
 * Invariants:
 *
 * (1) A side is held as many bytes as the chunks are large that it is to get:
 *     those in waiting, or queued in its stream.
 * (2) A side is paused if the other is held --buffer bytes or more, and goes on
 *     when it is held half of that.
 * (3) While it is CONNECTING, or the request is under way, the session is a
 *     connection of the worker's for the socket that the server will have, or
 *     has: so the loop does not end before the request.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "proxy.h"

#include <errno.h>
#include <liburing.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <unistd.h>

enum state { CONNECTING, OPEN, FINISHED, BROKEN };

struct session;

struct side {
	struct stream stream;
	struct session *session;
	uint64_t held;
	bool is_there; /* from stream_begin() to gone() */
};

struct session {
	struct side sides[2]; /* enum which */
	struct evring_op connect, limit;
	struct proxy_worker *proxy;
	struct chunk *waiting, **last_waiting; /* for the server */
	enum state state;
	int fd; /* that connects, or -1 */
	int result;
	unsigned target, nr_tried;
};

static struct side *side_of(struct stream *stream)
{
	return (struct side *)stream;
}

static enum which which_of(const struct side *side)
{
	return (enum which)(side - side->session->sides);
}

static struct side *other_of(const struct side *side)
{
	return &side->session->sides[!which_of(side)];
}

/*
 * The end
 */

static bool is_connecting(const struct session *session)
{
	return ev_is_active(&session->connect) || ev_is_active(&session->limit);
}

static void drop_waiting(struct session *session)
{
	struct chunk *chunk;

	while ((chunk = session->waiting)) {
		session->waiting = chunk->next;
		chunk_put(session->proxy, chunk);
	}
	session->last_waiting = &session->waiting;
}

static void free_if_over(struct session *session)
{
	if (session->sides[CLIENT].is_there || session->sides[SERVER].is_there)
		return;
	if (is_connecting(session))
		return;
	drop_waiting(session);
	free(session);
}

static void reset_side(struct side *side)
{
	if (side->is_there)
		stream_reset(&side->stream, -ECONNRESET);
}

/* One side is gone, or will never be there: so the other goes. */
static void break_off(struct session *session)
{
	if (session->state != BROKEN)
		count(&session->proxy->nr_broken_off, 1);
	session->state = BROKEN;
	if (is_connecting(session))
		evring_op_cancel(session->proxy->worker.loop,
				 &session->connect);
	reset_side(&session->sides[CLIENT]);
	reset_side(&session->sides[SERVER]);
}

static void on_gone(struct stream *stream)
{
	struct side *side = side_of(stream);
	struct session *session = side->session;

	side->is_there = false;
	if (stream->error || session->state != FINISHED)
		break_off(session);
	free_if_over(session);
}

void sessions_cut(struct worker *worker)
{
	struct stream *stream;

	for (stream = worker->streams; stream; stream = stream->next)
		stream_reset(stream, -ECANCELED);
}

/*
 * Bytes
 */

/* Give chunk to side, which has it back in any case. */
static void pass(struct side *side, struct chunk *chunk)
{
	if (stream_send(&side->stream, &chunk->piece) < 0) {
		side->held -= side->stream.worker->group.size;
		chunk_put(side->session->proxy, chunk);
	}
}

static void keep_waiting(struct session *session, struct chunk *chunk)
{
	chunk->next = NULL;
	*session->last_waiting = chunk;
	session->last_waiting = &chunk->next;
}

static void pause_if_full(struct side *from, const struct side *to)
{
	if (to->held < proxy_options.buffer || from->stream.is_paused)
		return;
	count(&from->session->proxy->nr_pauses, 1);
	stream_pause(&from->stream);
}

static void on_data(struct stream *stream, char *data, size_t size)
{
	struct side *from = side_of(stream), *to = other_of(from);
	struct session *session = from->session;
	struct chunk *chunk;

	if (session->state != CONNECTING && session->state != OPEN) {
		stream_put(stream->worker, data);
		return;
	}
	chunk = chunk_get(session->proxy, data, size);
	if (!chunk) {
		stream_reset(stream, -ENOMEM);
		return;
	}
	to->held += stream->worker->group.size;
	if (session->state == OPEN)
		pass(to, chunk);
	else
		keep_waiting(session, chunk);
	pause_if_full(from, to);
}

static void resume_if_drained(struct side *from, const struct side *to)
{
	if (from->is_there && from->stream.is_paused &&
	    from->session->state == OPEN &&
	    to->held <= proxy_options.buffer / 2)
		stream_resume(&from->stream);
}

static void on_sent(struct stream *stream, struct evring_piece *pieces, int res)
{
	struct side *to = side_of(stream);
	struct proxy_worker *proxy = to->session->proxy;
	struct evring_piece *next;
	uint64_t nr_bytes = 0;

	(void)res; /* an error cuts the stream */
	for (; pieces; pieces = next) {
		next = pieces->next;
		nr_bytes += pieces->sent;
		to->held -= stream->worker->group.size;
		chunk_put(proxy, (struct chunk *)pieces);
	}
	count(&proxy->bytes_to[which_of(to)], nr_bytes);
	resume_if_drained(other_of(to), to);
}

/* Trap b: behind what is queued. */
static void on_end(struct stream *stream)
{
	struct side *from = side_of(stream), *to = other_of(from);
	struct session *session = from->session;

	if (session->state != OPEN)
		return;
	if (!to->stream.has_peer_end) {
		stream_shutdown(&to->stream);
		return;
	}
	session->state = FINISHED;
	stream_finish(&to->stream);
	stream_finish(stream);
}

/*
 * Who has nothing to take and says nothing may be waiting for the other, which
 * takes its time; whether that is idle its own timer finds out.
 */
static void on_timeout(struct stream *stream)
{
	const struct side *side = side_of(stream), *other = other_of(side);
	double last = other->is_there ? other->stream.last_activity : 0.;

	if (other->is_there && other->held > 0 && side->held == 0)
		return;
	if (last + stream->idle_limit > daemon_seconds())
		stream->last_activity = last;
	else
		stream_reset(stream, -ETIMEDOUT);
}

/* Who is connected may go on when the daemon stops. */
static void on_stop(struct stream *stream)
{
	(void)stream;
}

static const struct stream_type stream_type = {
	.data = on_data,
	.sent = on_sent,
	.peer_end = on_end,
	.stop = on_stop,
	.timeout = on_timeout,
	.gone = on_gone,
};

static int begin_side(struct side *side, struct session *session, int fd)
{
	int r;

	side->session = session;
	r = stream_begin(&side->stream, &stream_type, &session->proxy->worker,
			 fd);
	side->is_there = r == 0;
	return r;
}

/*
 * Connecting
 */

static const struct endpoint *target_of(const struct session *session)
{
	const struct endpoints *targets = &proxy_options.targets;

	return &targets->at[(session->target + session->nr_tried) %
			    targets->nr];
}

/* They are submitted together, so there is no limit without a connect. */
static int start_connect(struct session *session, const struct endpoint *to)
{
	struct ev_loop *loop = session->proxy->worker.loop;
	struct io_uring_sqe *connect, *limit;
	int r = evring_reserve(loop, 2);

	if (r < 0)
		return r;
	connect = evring_op_start(loop, &session->connect);
	if (!connect)
		return -errno;
	io_uring_prep_connect(connect, session->fd,
			      (const struct sockaddr *)&to->address,
			      to->address_size);
	limit = evring_op_start(loop, &session->limit);
	if (limit) {
		connect->flags |= IOSQE_IO_LINK;
		io_uring_prep_link_timeout(limit, &proxy_options.limit, 0);
	}
	return 0;
}

static void close_socket(struct session *session)
{
	if (session->fd >= 0)
		close(session->fd);
	session->fd = -1;
}

static int try_target(struct session *session)
{
	const struct endpoint *to = target_of(session);
	int r;

	count(&session->proxy->nr_connects, 1);
	session->fd =
		socket(to->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (session->fd < 0)
		return -errno;
	r = start_connect(session, to);
	if (r < 0)
		close_socket(session);
	return r;
}

static void give_up(struct session *session)
{
	struct proxy_worker *proxy = session->proxy;

	if (session->state == CONNECTING)
		count(&proxy->nr_given_up, 1);
	break_off(session);
	free_if_over(session);
	worker_closed(&proxy->worker);
}

static void connect_to_next(struct session *session)
{
	while (session->nr_tried < proxy_options.targets.nr) {
		if (try_target(session) == 0)
			return;
		count(&session->proxy->nr_failed, 1);
		session->nr_tried++;
	}
	give_up(session);
}

/* What came while it was connecting, maybe with an end. */
static void open_server(struct session *session)
{
	struct side *client = &session->sides[CLIENT];
	struct side *server = &session->sides[SERVER];
	struct chunk *chunk;

	session->state = OPEN;
	while ((chunk = session->waiting)) {
		session->waiting = chunk->next;
		pass(server, chunk);
	}
	session->last_waiting = &session->waiting;
	if (client->stream.has_peer_end)
		stream_shutdown(&server->stream);
	resume_if_drained(client, server);
}

static void connected(struct session *session)
{
	struct worker *worker = &session->proxy->worker;
	int fd = session->fd, on = 1;

	session->fd = -1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (begin_side(&session->sides[SERVER], session, fd) < 0) {
		give_up(session);
		return;
	}
	worker_closed(worker);
	open_server(session);
}

static void count_failure(struct session *session)
{
	struct proxy_worker *proxy = session->proxy;

	count(&proxy->nr_failed, 1);
	if (session->result == -ECANCELED)
		count(&proxy->nr_late, 1);
}

static void connect_ended(struct session *session)
{
	if (session->state == CONNECTING && session->result == 0) {
		connected(session);
		return;
	}
	close_socket(session);
	if (session->state != CONNECTING) {
		give_up(session);
		return;
	}
	count_failure(session);
	session->nr_tried++;
	connect_to_next(session);
}

static void on_connect(struct ev_loop *loop, struct evring_op *op, int revents)
{
	struct session *session = op->data;

	(void)loop;
	(void)revents;
	session->result = op->res;
	if (!is_connecting(session))
		connect_ended(session);
}

static void on_limit(struct ev_loop *loop, struct evring_op *op, int revents)
{
	struct session *session = op->data;

	(void)loop;
	(void)revents;
	if (!is_connecting(session))
		connect_ended(session);
}

static struct session *session_new(struct proxy_worker *proxy)
{
	struct session *session = calloc(1, sizeof(*session));

	if (!session)
		return NULL;
	session->proxy = proxy;
	session->last_waiting = &session->waiting;
	session->fd = -1;
	session->target = proxy->next_target++ % proxy_options.targets.nr;
	evring_op_init(&session->connect, on_connect);
	evring_op_init(&session->limit, on_limit);
	session->connect.data = session->limit.data = session;
	return session;
}

void session_begin(struct worker *worker, int fd)
{
	struct session *session = session_new(proxy_of(worker));

	if (!session) {
		close(fd);
		return;
	}
	if (begin_side(&session->sides[CLIENT], session, fd) < 0) {
		free(session);
		return;
	}
	count(&session->proxy->nr_sessions, 1);
	worker_opened(worker);
	count(&worker->nr_accepted, (uint64_t)-1); /* but when it connected */
	connect_to_next(session);
}
