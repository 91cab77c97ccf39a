/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * stream.h - a TCP connection of a daemon on operations: a receiver, a sender,
 * an idle timer, and the order in which they end.
 *
 * The daemon embeds a struct stream in its connection, and hears of data, of
 * what was sent, of the peer's end, and once and last that all is gone: then
 * nothing looks at the memory any more, and the callback frees it.
 *
 * State, and the function that moves it:
 *
 *   OPEN      -> FINISHING [stream_finish]    what is queued is sent still
 *   FINISHING -> LINGERING [when all is sent] our end of stream is sent; what
 *                                             comes is dropped
 *   any       -> CUT       [stream_cut, an error, a timeout]
 *   LINGERING -> CUT       [the peer's end; or some seconds in which the peer
 *                           acknowledged nothing]
 *   OPEN      -> CUT       [both ends, by stream_shutdown() and the peer: there
 *                           is nothing left to come]
 *   CUT       -> gone      [the last event of receiver and sender]
 *
 * Invariants:
 *
 * (1) gone() is called exactly once, never from within a call of the daemon's
 *     (but from stream_begin()'s failure, which says so itself).
 * (2) A buffer that data() hands out is the daemon's until stream_put().
 * (3) A piece is the stream's from stream_send() until sent() hands it back;
 *     every piece comes back before gone().
 */
#ifndef STREAM_H
#define STREAM_H

#include "daemon.h"

struct stream;

/* Callbacks.  In each of them any function of this header may be called. */
struct stream_type {
	/* size bytes, in a buffer of the worker's group. */
	void (*data)(struct stream *stream, char *data, size_t size);

	/* Pieces that are done, linked by next; res as in evring_send. */
	void (*sent)(struct stream *stream, struct evring_piece *pieces,
		     int res);

	/* The peer will send no more.  NULL: stream_finish(). */
	void (*peer_end)(struct stream *stream);

	/* The daemon stops: end soon and well.  NULL: stream_finish(). */
	void (*stop)(struct stream *stream);

	/* Nothing moved for as long as stream->idle_limit.  NULL: it is cut. */
	void (*timeout)(struct stream *stream);

	/* All is over, the fd is closed: free it. */
	void (*gone)(struct stream *stream);
};

enum stream_state {
	STREAM_OPEN,
	STREAM_FINISHING,
	STREAM_LINGERING,
	STREAM_CUT
};

struct stream {
	struct evring_recv recv;
	struct evring_send send;
	ev_timer idle;
	double idle_limit; /* seconds; stream_begin(): --idle; 0: none */
	double last_activity;
	struct worker *worker;
	const struct stream_type *type;
	struct stream *next, **link; /* of the worker's */
	enum stream_state state;
	int error;	   /* what cut it, or 0 */
	bool is_paused;	   /* the daemon wants no data */
	bool has_peer_end; /* no more data will come */
	bool has_our_end;  /* SHUT_WR is to follow what is queued, or did */

	/* Private. */
	bool is_shut;	  /* it did */
	bool is_stopping; /* receiving was asked to end, for a pause */
	bool is_unheard;  /* the kernel could not be told */
	bool has_dropped; /* what came, since the timer looked */
	uint64_t acked;	  /* by the peer, when the timer looked */
};

static inline int stream_fd(const struct stream *stream)
{
	return stream->recv.fd;
}

/*
 * Begin to receive from fd, which is the stream's from now on; counts a
 * connection of the worker's.  0, or -errno: then fd is closed, nothing is
 * counted and gone() is not called.
 */
int stream_begin(struct stream *stream, const struct stream_type *type,
		 struct worker *worker, int fd);

/* Give a buffer back. */
void stream_put(struct worker *worker, void *data);

/* Queue a piece; 0, or -errno (the stream is cut or ends): then it is the
   caller's still. */
int stream_send(struct stream *stream, struct evring_piece *piece);

/* Bytes queued and not taken by the kernel: for backpressure. */
static inline size_t stream_queued(const struct stream *stream)
{
	return evring_send_queued(&stream->send);
}

/* No data until stream_resume(); some that is on its way may come still. */
void stream_pause(struct stream *stream);
void stream_resume(struct stream *stream);

/* Send our end of stream after what is queued; receiving goes on. */
void stream_shutdown(struct stream *stream);

/* End well: send what is queued, then our end; drop what comes until the peer
   ends, too, or for some seconds; then close.  What is paused goes on when our
   end is sent. */
void stream_finish(struct stream *stream);

/* End at once: what is queued comes back unsent. */
void stream_cut(struct stream *stream, int error);

/* The same, and the peer hears of a reset. */
void stream_reset(struct stream *stream, int error);

/* Change idle_limit; what has been idle so far counts.  0 for none. */
void stream_set_idle(struct stream *stream, double seconds);

/* Call stop(), or stream_cut(), for all of a worker. */
void stream_stop_all(struct worker *worker);
void stream_cut_all(struct worker *worker);

#endif
