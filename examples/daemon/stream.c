/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * stream.c - a TCP connection on operations, from its begin to its end.
 *
 * What to know about sockets:
 *
 * a) close() with unread bytes resets the connection and takes with it what
 *    the peer has not yet received.  Hence LINGERING.
 * b) A peer that reads slowly is not idle.  Receiver and sender hear nothing of
 *    it while a request is being sent, but the kernel counts what was
 *    acknowledged: the timer asks.
 *
 * The timer is not moved at each event: when it expires it looks how long ago
 * the last one was, and waits for the rest.
 *
 * Functions that the daemon may call end with settle(), which moves the state
 * as far as it can, but frees nothing: if there is nothing more to wait for,
 * the timer's callback is fed, which says gone().  The callbacks of receiver
 * and sender say so themselves, at their end: advance().
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "stream.h"

#include <errno.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define LINGER_SECONDS 5.  /* without progress of the peer's */
#define LINGER_LOOK    0.2 /* while the worker stops */

static bool is_over(const struct stream *stream)
{
	return stream->state == STREAM_CUT && !ev_is_active(&stream->recv) &&
	       !ev_is_active(&stream->send);
}

/*
 * the list of a worker
 */

static void link_stream(struct stream *stream)
{
	struct worker *worker = stream->worker;

	stream->next = worker->streams;
	stream->link = &worker->streams;
	if (stream->next)
		stream->next->link = &stream->next;
	worker->streams = stream;
}

static void unlink_stream(struct stream *stream)
{
	*stream->link = stream->next;
	if (stream->next)
		stream->next->link = stream->link;
}

static void be_gone(struct stream *stream)
{
	struct worker *worker = stream->worker;

	unlink_stream(stream);
	ev_timer_stop(worker->loop, &stream->idle); /* pending, too */
	close(stream_fd(stream));
	stream->type->gone(stream);
	worker_closed(worker);
}

/*
 * cut
 */

/* If the kernel takes no request to cancel, this ends what is under way. */
static void end_requests(struct stream *stream)
{
	struct ev_loop *loop = stream->worker->loop;
	int r = 0, s = 0;

	if (ev_is_active(&stream->recv))
		r = evring_recv_stop(loop, &stream->recv);
	if (ev_is_active(&stream->send))
		s = evring_send_cancel(loop, &stream->send);
	if (r == -EAGAIN || s == -EAGAIN)
		shutdown(stream_fd(stream), SHUT_RDWR);
}

void stream_cut(struct stream *stream, int error)
{
	if (stream->state == STREAM_CUT)
		return;
	stream->state = STREAM_CUT;
	stream->error = error;
	end_requests(stream);
	if (is_over(stream))
		ev_feed_event(stream->worker->loop, &stream->idle, EV_CUSTOM);
}

void stream_reset(struct stream *stream, int error)
{
	struct linger linger = { .l_onoff = 1, .l_linger = 0 };

	setsockopt(stream_fd(stream), SOL_SOCKET, SO_LINGER, &linger,
		   sizeof(linger));
	stream_cut(stream, error);
}

/* What the kernel said, not the daemon. */
static void fail(struct stream *stream, int error)
{
	if (stream->state == STREAM_CUT)
		return;
	count(&stream->worker->nr_errors, 1);
	stream_cut(stream, error);
}

/*
 * the idle timer
 */

static void wait_for(struct stream *stream, double seconds)
{
	struct ev_loop *loop = stream->worker->loop;

	ev_timer_stop(loop, &stream->idle);
	ev_timer_set(&stream->idle, seconds, 0.);
	ev_timer_start(loop, &stream->idle);
}

/* Trap b: whether the peer is taking what it was sent. */
static bool is_taking(struct stream *stream)
{
	struct tcp_info info;
	socklen_t size = sizeof(info);
	uint64_t was = stream->acked;
	int unsent;

	memset(&info, 0, sizeof(info));
	if (ioctl(stream_fd(stream), SIOCOUTQ, &unsent) < 0 || unsent == 0 ||
	    getsockopt(stream_fd(stream), IPPROTO_TCP, TCP_INFO, &info, &size) <
		    0)
		return false;
	stream->acked = info.tcpi_bytes_acked;
	return stream->acked != was;
}

/* Whether close() can destroy nothing: all was read and all has arrived.  If
   receiving goes on all is read at any time: ask only when nothing comes. */
static bool is_settled(int fd)
{
	int unread, unsent;

	return ioctl(fd, SIOCINQ, &unread) == 0 && unread == 0 &&
	       ioctl(fd, SIOCOUTQ, &unsent) == 0 && unsent == 0;
}

static double linger_interval(const struct stream *stream)
{
	return stream->worker->is_stopping ? LINGER_LOOK : LINGER_SECONDS;
}

/* Nobody who stops waits for a peer that is at rest. */
static bool may_leave(const struct stream *stream, bool is_quiet)
{
	return is_quiet && stream->worker->is_stopping &&
	       is_settled(stream_fd(stream));
}

static void look_at_linger(struct stream *stream)
{
	double now = daemon_seconds();
	bool is_quiet = !stream->has_dropped;

	stream->has_dropped = false;
	if (is_taking(stream))
		stream->last_activity = now;
	if (may_leave(stream, is_quiet) ||
	    now - stream->last_activity >= LINGER_SECONDS)
		stream_cut(stream, 0);
	else
		wait_for(stream, linger_interval(stream));
}

/* timeout() may find that it is not idle: then nothing is counted. */
static void time_out(struct stream *stream)
{
	enum stream_state was = stream->state;

	stream->last_activity = daemon_seconds();
	if (stream->type->timeout)
		stream->type->timeout(stream);
	else
		stream_cut(stream, -ETIMEDOUT);
	if (stream->state != was)
		count(&stream->worker->nr_timed_out, 1);
}

/* Wait for the rest of the limit; false: there is none. */
static bool wait_on(struct stream *stream)
{
	double left =
		stream->last_activity + stream->idle_limit - daemon_seconds();

	if (left > 0)
		wait_for(stream, left);
	return left > 0;
}

static void look_at_idle(struct stream *stream)
{
	if (stream->idle_limit <= 0 || wait_on(stream))
		return;
	if (is_taking(stream))
		stream->last_activity = daemon_seconds();
	else
		time_out(stream);
	if (stream->state < STREAM_LINGERING && stream->idle_limit > 0 &&
	    !ev_is_active(&stream->idle))
		wait_on(stream);
}

static void on_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct stream *stream = w->data;

	(void)loop, (void)revents;
	if (stream->state == STREAM_LINGERING)
		look_at_linger(stream);
	else if (stream->state != STREAM_CUT)
		look_at_idle(stream);
	if (is_over(stream))
		be_gone(stream);
}

void stream_set_idle(struct stream *stream, double seconds)
{
	stream->idle_limit = seconds;
	if (stream->state >= STREAM_LINGERING)
		return;
	if (seconds <= 0)
		ev_timer_stop(stream->worker->loop, &stream->idle);
	else if (!ev_is_active(&stream->idle) ||
		 ev_timer_remaining(stream->worker->loop, &stream->idle) >
			 seconds)
		wait_for(stream, seconds);
}

/*
 * ends
 */

static void start_receiving(struct stream *stream)
{
	int r;

	if (stream->has_peer_end || ev_is_active(&stream->recv))
		return;
	r = evring_recv_start(stream->worker->loop, &stream->recv);
	if (r < 0)
		fail(stream, r);
}

static void linger(struct stream *stream)
{
	double now = daemon_seconds();
	bool is_quiet = now - stream->last_activity >= LINGER_LOOK;

	stream->state = STREAM_LINGERING;
	stream->last_activity = now;
	if (may_leave(stream, is_quiet) ||
	    (!stream->is_shut && shutdown(stream_fd(stream), SHUT_WR) < 0)) {
		stream_cut(stream, 0);
		return;
	}
	stream->is_shut = true;
	stream->is_paused = false;
	wait_for(stream, linger_interval(stream));
	start_receiving(stream);
}

/* Our end, as soon as all is sent. */
static void settle(struct stream *stream)
{
	if (stream->state == STREAM_CUT || !stream->has_our_end ||
	    stream_queued(stream) > 0)
		return;
	if (stream->has_peer_end) {
		stream_cut(stream, 0);
	} else if (stream->state == STREAM_FINISHING) {
		linger(stream);
	} else if (!stream->is_shut) {
		stream->is_shut = true;
		if (shutdown(stream_fd(stream), SHUT_WR) < 0)
			fail(stream, -errno);
	}
}

/* At the end of a callback of evring's, where nothing else looks at it. */
static void advance(struct stream *stream)
{
	settle(stream);
	if (is_over(stream))
		be_gone(stream);
}

/*
 * receive
 */

/* If the kernel takes no request to cancel, the next data asks again. */
static void stop_receiving(struct stream *stream)
{
	int r = evring_recv_stop(stream->worker->loop, &stream->recv);

	stream->is_stopping = true;
	stream->is_unheard = r == -EAGAIN;
}

static void data_came(struct stream *stream, void *data, int size)
{
	if (stream->is_unheard)
		stop_receiving(stream);
	if (stream->state == STREAM_LINGERING)
		stream->has_dropped = true;
	else
		stream->last_activity = daemon_seconds();
	if (stream->state != STREAM_OPEN) {
		stream_put(stream->worker, data);
		return;
	}
	count(&stream->worker->bytes_in, (uint64_t)size);
	stream->type->data(stream, data, (size_t)size);
}

static void peer_ended(struct stream *stream)
{
	stream->has_peer_end = true;
	stream->last_activity = daemon_seconds();
	if (stream->state != STREAM_OPEN)
		return;
	if (stream->type->peer_end)
		stream->type->peer_end(stream);
	else
		stream_finish(stream);
}

/* It was stopped for a pause, which may be over by now. */
static void stopped(struct stream *stream)
{
	stream->is_stopping = stream->is_unheard = false;
	if (stream->state != STREAM_CUT && !stream->is_paused)
		start_receiving(stream);
}

static void on_data(struct ev_loop *loop, struct evring_recv *recv, void *data,
		    int size)
{
	struct stream *stream = recv->op.data;

	(void)loop;
	if (size > 0)
		data_came(stream, data, size);
	else if (size == 0)
		peer_ended(stream);
	else if (size == -ECANCELED && stream->is_stopping)
		stopped(stream);
	else
		fail(stream, size);
	advance(stream);
}

void stream_put(struct worker *worker, void *data)
{
	evring_group_put(&worker->group, data);
}

void stream_pause(struct stream *stream)
{
	if (stream->state != STREAM_OPEN)
		return;
	stream->is_paused = true;
	if (ev_is_active(&stream->recv) && !stream->is_stopping)
		stop_receiving(stream);
}

void stream_resume(struct stream *stream)
{
	if (stream->state != STREAM_OPEN || !stream->is_paused)
		return;
	stream->is_paused = false;
	start_receiving(stream);
}

/*
 * send
 */

static void on_sent(struct ev_loop *loop, struct evring_send *send,
		    struct evring_piece *pieces, int res)
{
	struct stream *stream = send->op.data;
	uint64_t sent = 0;

	(void)loop;
	for (const struct evring_piece *piece = pieces; piece;
	     piece = piece->next)
		sent += piece->sent;
	count(&stream->worker->bytes_out, sent);
	if (sent > 0)
		stream->last_activity = daemon_seconds();
	if (res < 0)
		fail(stream, res);
	stream->type->sent(stream, pieces, res);
	advance(stream);
}

int stream_send(struct stream *stream, struct evring_piece *piece)
{
	int r;

	if (stream->state == STREAM_CUT)
		return stream->error < 0 ? stream->error : -ECANCELED;
	if (stream->has_our_end)
		return -EPIPE;
	r = evring_send_queue(stream->worker->loop, &stream->send, piece);
	if (r < 0)
		fail(stream, r);
	return r;
}

/*
 * begin and end
 */

int stream_begin(struct stream *stream, const struct stream_type *type,
		 struct worker *worker, int fd)
{
	int r;

	memset(stream, 0, sizeof(*stream));
	stream->worker = worker;
	stream->type = type;
	stream->idle_limit = daemon_options.idle;
	stream->last_activity = daemon_seconds();
	evring_recv_init(&stream->recv, on_data, fd, &worker->group);
	stream->recv.op.data = stream;
	evring_send_init(&stream->send, on_sent, fd);
	stream->send.op.data = stream;
	ev_timer_init(&stream->idle, on_timer, 0., 0.);
	stream->idle.data = stream;
	r = evring_recv_start(worker->loop, &stream->recv);
	if (r < 0) {
		close(fd);
		return r;
	}
	if (stream->idle_limit > 0)
		wait_for(stream, stream->idle_limit);
	link_stream(stream);
	worker_opened(worker);
	return 0;
}

void stream_shutdown(struct stream *stream)
{
	stream->has_our_end = true;
	settle(stream);
}

void stream_finish(struct stream *stream)
{
	if (stream->state != STREAM_OPEN)
		return;
	stream->state = STREAM_FINISHING;
	stream->has_our_end = true;
	settle(stream);
}

static void stop_one(struct stream *stream)
{
	if (stream->state == STREAM_LINGERING)
		wait_for(stream, LINGER_LOOK);
	else if (stream->state == STREAM_OPEN && stream->type->stop)
		stream->type->stop(stream);
	else if (stream->state == STREAM_OPEN)
		stream_finish(stream);
}

void stream_stop_all(struct worker *worker)
{
	struct stream *stream, *next;

	for (stream = worker->streams; stream; stream = next) {
		next = stream->next;
		stop_one(stream);
	}
}

void stream_cut_all(struct worker *worker)
{
	for (struct stream *stream = worker->streams; stream;
	     stream = stream->next)
		stream_cut(stream, -ECANCELED);
}
