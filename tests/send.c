/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * send.c - the peer reads what was queued, in order and once, and each piece is
 * handed back once, with the truth about it, whatever happens.
 *
 * All bytes of the streams follow one pattern.  A piece is overwritten when it
 * is handed back: a kernel that still read from it would send something else.
 */
#include "config.h"

#include "harness.h"

#include <errno.h>
#include <ev.h>
#include <evring-net.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* zero_copy: the threshold. */
static const struct {
	const char *disable;
	bool is_local; /* AF_UNIX; otherwise TCP */
	size_t zero_copy;
} modes[] = {
	{ NULL, false, 0 },
	{ NULL, true, 0 },
	{ "region", false, 0 },
	{ "epoll-wait", false, 0 },
	{ "defer-taskrun,single-issuer,coop-taskrun", false, 0 },
	{ NULL, false, 1 },
	{ NULL, false, 1000 },
	{ NULL, true, 1 },
	{ "epoll-wait", false, 1 },
	{ "defer-taskrun,single-issuer,coop-taskrun", false, 1 },
	{ "send-zc", false, 1 },
	{ "send-zc,cqe-skip,epoll-wait", true, 1 },
};

enum {
	NR_MODES = ARRAY_SIZE(modes),
	MAX_PIECES = 2048,
	PERIOD = 65521,
	CHUNK = 65536,
	SOME = 100,	       /* bytes */
	MAX_REQUEST = 1 << 18, /* bytes */
	LARGE = 1 << 19,       /* more than a socket takes */
	BUFFER = 25000,	       /* of a sender; the kernel doubles it */
	WINDOW = 100000,       /* of its peer */
	SEGMENT = 1000,	       /* of TCP, so that windows open in small steps */
	NR_MANY = 100,	       /* pieces */
	ENOUGH_BITS = 300      /* of a piece that is read in bits */
};

/* Checked: a ring does not go with a fork. */
static struct ev_loop *loop;

/* A stream, its two ends, and what happened to it. */
struct stream {
	struct evring_send send;
	int fd, peer;
	size_t nr_queued_bytes, nr_read; /* so far */

	struct evring_piece pieces[MAX_PIECES];
	int nr_pieces, nr_back; /* so far */
	size_t nr_sent;		/* bytes, of those that are back */
	int nr_events, res;	/* the last one's */
	bool was_early;
	bool are_kept; /* not overwritten */

	/* What to do in the callback. */
	void (*action)(struct stream *stream);
	int nr_actions; /* how often still */
};

/* The pattern repeats after a number of bytes that nothing else has to do with.
   Up to CHUNK bytes of it, from any place. */
static const unsigned char *pattern_at(size_t place)
{
	static unsigned char bytes[PERIOD + CHUNK];
	static bool is_made;
	size_t i;

	for (i = 0; i < sizeof(bytes) && !is_made; i++)
		bytes[i] = (unsigned char)((i % PERIOD) * 2654435761u >> 24);
	is_made = true;
	return bytes + place % PERIOD;
}

static void new_loop(int mode)
{
	struct evring_config config = { .disable = modes[mode].disable };
	int r;

	loop = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
	r = evring_attach(loop, &config);
	ck_assert_msg(!r, "less %s: %d", config.disable, r);
}

static struct evring_stats stats(void)
{
	struct evring_stats s;

	ck_assert_int_eq(evring_stats(loop, &s), 0);
	return s;
}

static void turn(void)
{
	ev_run(loop, EVRUN_NOWAIT);
}

static bool has_zero_copy(int mode)
{
	return modes[mode].zero_copy && !modes[mode].is_local &&
	       !(modes[mode].disable && strstr(modes[mode].disable, "send-zc"));
}

/*
 * streams
 */

/* Before they are connected: the kernel then does not change them itself. */
static void set_window(int fd)
{
	int size = WINDOW, segment = SEGMENT;

	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	setsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, &segment, sizeof(segment));
}

static void set_buffer(int fd)
{
	int size = BUFFER;

	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
}

static void connect_tcp(int fds[2])
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	socklen_t size = sizeof(address);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int one = 1;

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	set_window(listener);
	ck_assert_int_eq(bind(listener, (void *)&address, size), 0);
	ck_assert_int_eq(listen(listener, 1), 0);
	ck_assert_int_eq(getsockname(listener, (void *)&address, &size), 0);
	ck_assert_int_eq(connect(fds[0], (void *)&address, size), 0);
	fds[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	ck_assert_int_ge(fds[1], 0);
	close(listener);
	setsockopt(fds[0], IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

static void connect_pair(int mode, int fds[2])
{
	if (modes[mode].is_local)
		ck_assert_int_eq(
			socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds),
			0);
	else
		connect_tcp(fds);
	set_buffer(fds[0]);
}

/* Is anything left of those that were handed back, or not in their order? */
static void take_back(struct stream *stream, struct evring_piece *piece,
		      int res)
{
	bool was_cut = false;

	for (; piece; piece = piece->next) {
		ck_assert_ptr_eq(piece, &stream->pieces[stream->nr_back]);
		stream->nr_back++;
		stream->nr_sent += piece->sent;
		ck_assert_uint_le(piece->sent, piece->size);
		ck_assert(res < 0 || piece->sent == piece->size);
		ck_assert(!was_cut || !piece->sent);
		was_cut = piece->sent < piece->size;
		if (!stream->are_kept)
			memset((char *)(uintptr_t)piece->bytes, 0xee,
			       piece->size);
		free(piece->data);
	}
	ck_assert(was_cut == (res < 0));
}

static void on_sent(struct ev_loop *l, struct evring_send *send,
		    struct evring_piece *pieces, int res)
{
	struct stream *stream = send->op.data;

	(void)l;
	ck_assert_ptr_nonnull(pieces);
	ck_assert_int_le(res, 0);
	stream->nr_events++;
	stream->res = res;
	take_back(stream, pieces, res);
	ck_assert(!ev_is_active(send) ==
		  (stream->nr_back == stream->nr_pieces));
	ck_assert(res >= 0 || !ev_is_active(send));
	if (!ev_is_active(send))
		ck_assert_uint_eq(evring_send_queued(send), 0);
	if (stream->action && stream->nr_actions) {
		stream->nr_actions--;
		stream->action(stream);
	}
}

static struct stream *new_stream(int mode)
{
	struct stream *stream = calloc(1, sizeof(*stream));
	int fds[2];

	connect_pair(mode, fds);
	stream->fd = fds[0];
	stream->peer = fds[1];
	fcntl(stream->peer, F_SETFL, O_NONBLOCK);
	evring_send_init(&stream->send, on_sent, stream->fd);
	stream->send.zero_copy = modes[mode].zero_copy;
	stream->send.op.data = stream;
	return stream;
}

static void free_stream(struct stream *stream)
{
	ck_assert_int_eq(stream->nr_back, stream->nr_pieces);
	ck_assert(!ev_is_active(&stream->send));
	close(stream->fd);
	if (stream->peer >= 0)
		close(stream->peer);
	free(stream);
}

/* The next bytes of the pattern. */
static struct evring_piece *make_piece(struct stream *stream, size_t size)
{
	struct evring_piece *piece;
	unsigned char *bytes = malloc(size);
	size_t i, part;

	ck_assert_int_lt(stream->nr_pieces, MAX_PIECES);
	piece = &stream->pieces[stream->nr_pieces++];
	for (i = 0; i < size; i += part) {
		part = size - i < CHUNK ? size - i : CHUNK;
		memcpy(bytes + i, pattern_at(stream->nr_queued_bytes), part);
		stream->nr_queued_bytes += part;
	}
	piece->bytes = piece->data = bytes;
	piece->size = size;
	return piece;
}

static void queue(struct stream *stream, size_t size)
{
	struct evring_piece *piece = make_piece(stream, size);
	size_t before = evring_send_queued(&stream->send);

	ck_assert_int_eq(evring_send_queue(loop, &stream->send, piece), 0);
	ck_assert(ev_is_active(&stream->send));
	ck_assert_uint_eq(evring_send_queued(&stream->send), before + size);
}

static void queue_many(struct stream *stream, int nr, size_t size)
{
	while (nr--)
		queue(stream, size);
}

/* What is there, up to max; 0 for the end of the stream, -1 if nothing is. */
static ssize_t read_peer(struct stream *stream, size_t max)
{
	static unsigned char buffer[CHUNK];
	ssize_t size;

	size = read(stream->peer, buffer,
		    max < sizeof(buffer) ? max : sizeof(buffer));
	if (size <= 0)
		return size;
	ck_assert_msg(
		!memcmp(buffer, pattern_at(stream->nr_read), (size_t)size),
		"not what was sent, after %zu bytes", stream->nr_read);
	stream->nr_read += (size_t)size;
	return size;
}

static void wake(struct ev_loop *l, ev_io *w, int revents)
{
	(void)l;
	(void)w;
	(void)revents;
}

/* A turn, until there is an event or the peer has something to read. */
static void turn_and_read(struct stream *stream, size_t max)
{
	ev_io io;

	ev_io_init(&io, wake, stream->peer, EV_READ);
	ev_io_start(loop, &io);
	ev_run(loop, EVRUN_ONCE);
	ev_io_stop(loop, &io);
	if (read_peer(stream, max) < 0)
		ck_assert_int_eq(errno, EAGAIN);
}

/* At most max bytes per turn. */
static void read_all(struct stream *stream, size_t max)
{
	while (stream->nr_read < stream->nr_queued_bytes) {
		turn_and_read(stream, max);
		ck_assert_uint_le(stream->nr_read +
					  evring_send_queued(&stream->send),
				  stream->nr_queued_bytes + MAX_REQUEST);
	}
}

/* The peer has read all: so all come back. */
static void run_to_end(struct stream *stream)
{
	ev_run(loop, 0);
	ck_assert_int_eq(stream->nr_back, stream->nr_pieces);
	ck_assert(!ev_is_active(&stream->send));
}

/* The end of the stream is where it was said to be. */
static void read_to_end(struct stream *stream)
{
	ssize_t r;

	shutdown(stream->fd, SHUT_WR);
	fcntl(stream->peer, F_SETFL, 0);
	while ((r = read_peer(stream, SIZE_MAX)))
		ck_assert_int_gt(r, 0);
	ck_assert_uint_eq(stream->nr_read, stream->nr_sent);
}

static void end_well(struct stream *stream)
{
	run_to_end(stream);
	ck_assert_int_eq(stream->res, 0);
	ck_assert_uint_eq(stream->nr_sent, stream->nr_queued_bytes);
	read_to_end(stream);
	free_stream(stream);
	ev_loop_destroy(loop);
}

/* A request that waits for the peer. */
static void queue_too_much(struct stream *stream)
{
	queue_many(stream, 64, LARGE / 64);
	turn();
	turn();
	ck_assert_uint_gt(evring_send_queued(&stream->send), 0);
}

/*
 * sending
 */

START_TEST(piece_arrives_and_comes_back)
{
	struct stream *stream;

	new_loop(_i);
	stream = new_stream(_i);
	ck_assert(!ev_is_active(&stream->send));
	queue(stream, SOME);
	run_to_end(stream);
	ck_assert_int_eq(stream->nr_events, 1);
	ck_assert_ptr_null(stream->pieces[0].next);
	read_all(stream, SIZE_MAX);
	queue(stream, SOME);
	read_all(stream, SIZE_MAX);
	end_well(stream);
}
END_TEST

START_TEST(what_is_queued_in_a_turn_is_one_request)
{
	struct stream *stream;
	uint64_t before;

	new_loop(_i);
	stream = new_stream(_i);
	before = stats().ops;
	queue_many(stream, EVRING_SEND_PIECES, SOME);
	ck_assert_uint_eq(stats().ops, before + 1);
	read_all(stream, SIZE_MAX);
	/* One more for a socket that turns out to have no zero copy. */
	ck_assert_uint_le(stats().ops,
			  before + 1 +
				  (modes[_i].is_local && modes[_i].zero_copy));
	ck_assert_int_eq(stream->nr_pieces, EVRING_SEND_PIECES);
	end_well(stream);
}
END_TEST

START_TEST(pieces_keep_their_order)
{
	struct stream *stream;
	uint64_t before;
	int i;

	new_loop(_i);
	stream = new_stream(_i);
	before = stats().ops;
	for (i = 0; i < NR_MANY; i++)
		queue(stream, (size_t)(i * i % 997 + 1));
	read_all(stream, SIZE_MAX);
	run_to_end(stream);
	ck_assert_uint_le(stats().ops, before + NR_MANY / 16 + 2);
	for (i = 0; i < NR_MANY; i++) {
		queue(stream, (size_t)(i * 37 % 997 + 1));
		if (i % 3)
			turn();
	}
	read_all(stream, SIZE_MAX);
	end_well(stream);
}
END_TEST

static const size_t sizes[] = { 1, 1000, 60000, 262144, 300001, 1 << 20 };

/* A slow peer. */
START_TEST(short_sends_go_on)
{
	size_t size = sizes[_i / NR_MODES];
	struct stream *stream;

	new_loop(_i % NR_MODES);
	stream = new_stream(_i % NR_MODES);
	queue_many(stream, size > 1000 ? 3 : NR_MANY, size);
	read_all(stream, 10007);
	end_well(stream);
}
END_TEST

/* Rows: the socket is blocking, or not.  The request is woken very often. */
START_TEST(tiny_buffer_is_no_obstacle)
{
	struct stream *stream;
	int i, one = 1;

	new_loop(_i % NR_MODES);
	stream = new_stream(_i % NR_MODES);
	setsockopt(stream->fd, SOL_SOCKET, SO_SNDBUF, &one, sizeof(one));
	if (_i >= NR_MODES)
		fcntl(stream->fd, F_SETFL, O_NONBLOCK);
	queue(stream, 500000);
	for (i = 0; i < ENOUGH_BITS; i++) {
		turn();
		read_peer(stream, 500);
	}
	read_all(stream, SIZE_MAX);
	end_well(stream);
}
END_TEST

static void queue_next(struct stream *stream)
{
	queue(stream, SOME);
}

START_TEST(callback_may_queue_the_next)
{
	struct stream *stream;

	new_loop(_i);
	stream = new_stream(_i);
	stream->action = queue_next;
	stream->nr_actions = 1000;
	queue(stream, SOME);
	while (stream->nr_actions)
		turn_and_read(stream, SIZE_MAX);
	read_all(stream, SIZE_MAX);
	end_well(stream);
}
END_TEST

START_TEST(queued_bytes_shrink_as_they_are_taken)
{
	size_t queued, before;
	struct stream *stream;

	new_loop(_i);
	stream = new_stream(_i);
	queue_too_much(stream);
	before = evring_send_queued(&stream->send);
	ck_assert_uint_le(before, LARGE);
	while (stream->nr_read < LARGE) {
		turn();
		queued = evring_send_queued(&stream->send);
		ck_assert_uint_le(queued, before);
		ck_assert_uint_le(stream->nr_read,
				  LARGE - queued + MAX_REQUEST);
		before = queued;
		turn_and_read(stream, SIZE_MAX);
	}
	run_to_end(stream);
	ck_assert_uint_eq(evring_send_queued(&stream->send), 0);
	end_well(stream);
}
END_TEST

START_TEST(queue_says_what_is_wrong)
{
	struct ev_loop *bare = ev_loop_new(EVBACKEND_EPOLL);
	struct evring_piece piece = { .bytes = "x", .size = 1 };
	struct evring_send *send;
	struct stream *stream;

	new_loop(_i);
	stream = new_stream(_i);
	send = &stream->send;
	ck_assert_int_eq(evring_send_queue(loop, NULL, &piece), -EINVAL);
	ck_assert_int_eq(evring_send_queue(loop, send, NULL), -EINVAL);
	ck_assert_int_eq(evring_send_cancel(loop, NULL), -EINVAL);
	ck_assert_int_eq(evring_send_cancel(loop, send), -ENOENT);
	errno = 4711;
	ck_assert_int_eq(evring_send_queue(bare, send, &piece), -ENXIO);
	ck_assert_int_eq(errno, 4711);
	piece.size = 0;
	ck_assert_int_eq(evring_send_queue(loop, send, &piece), -EINVAL);
	piece.size = 1;
	send->cb = NULL;
	ck_assert_int_eq(evring_send_queue(loop, send, &piece), -EINVAL);
	send->cb = on_sent;
	ck_assert(!ev_is_active(send));
	ck_assert_uint_eq(evring_send_queued(send), 0);
	queue(stream, 1);
	read_all(stream, 1);
	end_well(stream);
	ev_loop_destroy(bare);
}
END_TEST

/* Also the pieces. */
struct connection {
	struct evring_send send;
	struct evring_piece pieces[3];
	bool *is_freed;
};

static void free_connection(struct ev_loop *l, struct evring_send *send,
			    struct evring_piece *pieces, int res)
{
	struct connection *connection = send->op.data;

	(void)l;
	(void)pieces;
	(void)res;
	if (ev_is_active(send))
		return;
	*connection->is_freed = true;
	memset(connection, 0xff, sizeof(*connection));
	free(connection);
}

/* Rows: sent; the peer is gone; cancelled; the loop is destroyed. */
START_TEST(last_event_may_free_all)
{
	struct connection *connection = calloc(1, sizeof(*connection));
	struct stream *stream;
	bool is_freed = false;
	int i, row = _i / NR_MODES;

	new_loop(_i % NR_MODES);
	stream = new_stream(_i % NR_MODES);
	evring_send_init(&connection->send, free_connection, stream->fd);
	connection->send.op.data = connection;
	connection->send.zero_copy = modes[_i % NR_MODES].zero_copy;
	connection->is_freed = &is_freed;
	if (row == 1)
		shutdown(stream->fd, SHUT_WR);
	for (i = 0; i < 3; i++) {
		connection->pieces[i].bytes = "abc";
		connection->pieces[i].size = 3;
		ck_assert_int_eq(evring_send_queue(loop, &connection->send,
						   &connection->pieces[i]),
				 0);
	}
	if (row == 2)
		evring_send_cancel(loop, &connection->send);
	if (row < 3)
		ev_run(loop, 0);
	ev_loop_destroy(loop);
	ck_assert(is_freed);
	free_stream(stream);
}
END_TEST

/*
 * errors
 */

static bool is_gone(int error)
{
	return error == -EPIPE || error == -ECONNRESET;
}

/* What was sent is not known to arrive. */
static void end_badly(struct stream *stream)
{
	run_to_end(stream);
	ck_assert_uint_lt(stream->nr_sent, stream->nr_queued_bytes);
	free_stream(stream);
	ev_loop_destroy(loop);
}

START_TEST(socket_that_was_shut_down_ends_all)
{
	struct stream *stream;

	new_loop(_i);
	stream = new_stream(_i);
	shutdown(stream->fd, SHUT_WR);
	queue_many(stream, 40, SOME);
	run_to_end(stream);
	ck_assert_int_eq(stream->res, -EPIPE);
	ck_assert_int_eq(stream->nr_events, 1);
	ck_assert_uint_eq(stream->nr_sent, 0);
	end_badly(stream);
}
END_TEST

/* Rows: whether the peer has read something. */
START_TEST(peer_that_goes_ends_all)
{
	struct linger linger = { .l_onoff = 1 };
	struct stream *stream;

	new_loop(_i % NR_MODES);
	stream = new_stream(_i % NR_MODES);
	queue_too_much(stream);
	while (_i >= NR_MODES && stream->nr_read < LARGE / 2)
		turn_and_read(stream, SIZE_MAX);
	setsockopt(stream->peer, SOL_SOCKET, SO_LINGER, &linger,
		   sizeof(linger));
	close(stream->peer);
	stream->peer = -1;
	run_to_end(stream);
	ck_assert_msg(is_gone(stream->res), "%d", stream->res);
	end_badly(stream);
}
END_TEST

static int closed_fd(void)
{
	return 4000;
}

static int no_socket(void)
{
	int fds[2];

	ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
	close(fds[0]);
	return fds[1];
}

static int not_connected(void)
{
	return socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static const struct {
	int (*make)(void);
	int error;
} hopeless[] = {
	{ closed_fd, EBADF },
	{ no_socket, ENOTSOCK },
	{ not_connected, EPIPE },
};

START_TEST(what_is_no_stream_ends_all)
{
	int row = _i / NR_MODES;
	struct stream *stream;

	new_loop(_i % NR_MODES);
	stream = new_stream(_i % NR_MODES);
	stream->send.fd = hopeless[row].make();
	queue_many(stream, 20, SOME);
	run_to_end(stream);
	ck_assert_int_eq(stream->res, -hopeless[row].error);
	ck_assert_uint_eq(stream->nr_sent, 0);
	close(stream->send.fd);
	end_badly(stream);
}
END_TEST

/*
 * faults
 *
 * What the kernel does not do when asked is put into the answer of a request
 * that was cancelled before it sent anything.
 */

typedef void answer_cb(struct ev_loop *loop, struct evring_op *op, int revents);

static struct {
	bool is_set;
	int res;
	struct evring_send *send;
	answer_cb *first, *other; /* evring's */
} fault;

static void put_fault(struct ev_loop *l, struct evring_op *op, int revents)
{
	if (fault.is_set && op->res == -ECANCELED) {
		op->res = fault.res;
		fault.is_set = false;
	}
	if (op == &fault.send->op)
		fault.first(l, op, revents);
	else
		fault.other(l, op, revents);
}

static void hook(struct evring_op *op)
{
	answer_cb **place = op == &fault.send->op ? &fault.first : &fault.other;

	if (op->cb != put_fault)
		*place = op->cb;
	op->cb = put_fault;
}

static struct evring_op *sender(struct evring_send *send)
{
	return send->sender ? &send->more[send->sender - 1] : &send->op;
}

/* Have the request that waits for the peer answer res. */
static void fail_next(struct stream *stream, int res)
{
	fault.send = &stream->send;
	fault.res = res;
	fault.is_set = true;
	while (fault.is_set) {
		hook(sender(&stream->send));
		evring_op_cancel(loop, sender(&stream->send));
		turn();
	}
}

static const int passing[] = { -EINTR, -EAGAIN };

START_TEST(interruptions_pass)
{
	struct stream *stream;

	new_loop(_i % NR_MODES);
	stream = new_stream(_i % NR_MODES);
	queue_too_much(stream);
	fail_next(stream, passing[_i / NR_MODES]);
	queue(stream, SOME);
	ck_assert(ev_is_active(&stream->send));
	read_all(stream, SIZE_MAX);
	end_well(stream);
}
END_TEST

/* A kernel that answers so may do it again at once. */
START_TEST(after_eagain_the_socket_is_polled)
{
	struct stream *stream;
	uint64_t ops;
	int i;

	new_loop(_i);
	stream = new_stream(_i);
	queue_too_much(stream);
	fail_next(stream, -EAGAIN);
	ck_assert(stream->send.state & 1u << 1); /* IS_POLLING */
	ops = stats().ops;
	for (i = 0; i < 20; i++)
		turn();
	ck_assert_uint_eq(stats().ops, ops);
	read_all(stream, SIZE_MAX);
	end_well(stream);
}
END_TEST

/* -ENOMEM may be about the copy that is spared: then once more with it. */
static const int lasting[] = { 0, -EPIPE, -ECONNRESET, -ENETDOWN, -ENOMEM };

START_TEST(errors_hand_all_back)
{
	int res = lasting[_i / NR_MODES], mode = _i % NR_MODES;
	struct stream *stream;

	new_loop(mode);
	stream = new_stream(mode);
	queue_too_much(stream);
	fail_next(stream, res);
	if (ev_is_active(&stream->send) && !stream->send.error) {
		ck_assert(res == -ENOMEM && has_zero_copy(mode));
		fail_next(stream, res);
	}
	while (ev_is_active(&stream->send))
		turn_and_read(stream, SIZE_MAX);
	ck_assert_int_eq(stream->res, res ? res : -EIO);
	read_to_end(stream);
	end_badly(stream);
}
END_TEST

/*
 * cancel
 */

/* All that came was said to be sent, and the other way round. */
static void end_cancelled(struct stream *stream)
{
	while (ev_is_active(&stream->send))
		turn_and_read(stream, SIZE_MAX);
	ck_assert_int_eq(stream->res, -ECANCELED);
	read_to_end(stream);
	end_badly(stream);
}

START_TEST(cancel_hands_all_back)
{
	struct evring_piece extra = { .bytes = "x", .size = 1 };
	struct stream *stream;

	new_loop(_i);
	stream = new_stream(_i);
	queue_too_much(stream);
	ck_assert_int_eq(evring_send_cancel(loop, &stream->send), 0);
	ck_assert_int_eq(evring_send_queue(loop, &stream->send, &extra),
			 -ECANCELED);
	ck_assert_int_eq(evring_send_cancel(loop, &stream->send), 0);
	end_cancelled(stream);
}
END_TEST

START_TEST(cancel_before_the_turn_hands_all_back)
{
	struct stream *stream;

	new_loop(_i);
	stream = new_stream(_i);
	queue_many(stream, 40, SOME);
	ck_assert_int_eq(evring_send_cancel(loop, &stream->send), 0);
	run_to_end(stream);
	read_to_end(stream);
	ck_assert_int_eq(stream->res, -ECANCELED);
	end_badly(stream);
}
END_TEST

static void cancel_it(struct stream *stream)
{
	int r = evring_send_cancel(loop, &stream->send);

	ck_assert_int_eq(r, ev_is_active(&stream->send) ? 0 : -ENOENT);
}

START_TEST(callback_may_cancel)
{
	struct stream *stream;

	new_loop(_i);
	stream = new_stream(_i);
	queue_many(stream, 64, LARGE / 64);
	stream->action = cancel_it;
	stream->nr_actions = 1;
	while (!stream->nr_events)
		turn_and_read(stream, SIZE_MAX);
	end_cancelled(stream);
}
END_TEST

START_TEST(cancel_that_is_too_late_changes_nothing)
{
	struct stream *stream;

	new_loop(_i);
	stream = new_stream(_i);
	queue(stream, SOME);
	evring_op_cancel(loop, NULL);
	ck_assert_int_eq(evring_send_cancel(loop, &stream->send), 0);
	run_to_end(stream);
	if (!stream->res) {
		queue(stream, SOME);
		read_all(stream, SIZE_MAX);
		end_well(stream);
	} else {
		ck_assert_int_eq(stream->res, -ECANCELED);
		read_to_end(stream);
		end_badly(stream);
	}
}
END_TEST

/* Nothing was sent, so the stream can go on. */
START_TEST(after_cancel_it_can_be_used)
{
	struct stream *stream;
	size_t nr_sent;

	new_loop(_i);
	stream = new_stream(_i);
	queue_too_much(stream);
	ck_assert_int_eq(evring_send_cancel(loop, &stream->send), 0);
	while (ev_is_active(&stream->send))
		turn_and_read(stream, SIZE_MAX);
	nr_sent = stream->nr_sent;
	stream->nr_queued_bytes = nr_sent; /* the pattern goes on there */
	queue(stream, SOME);
	read_all(stream, SIZE_MAX);
	run_to_end(stream);
	ck_assert_int_eq(stream->res, 0);
	ck_assert_uint_eq(stream->nr_sent, nr_sent + SOME);
	end_well(stream);
}
END_TEST

/*
 * zero copy
 */

START_TEST(zero_copy_is_used_where_it_should_be)
{
	struct stream *stream;
	uint64_t before;

	new_loop(_i);
	stream = new_stream(_i);
	before = stats().op_events - stats().ops;
	queue(stream, modes[_i].zero_copy + 1);
	read_all(stream, SIZE_MAX);
	run_to_end(stream);
	if (has_zero_copy(_i))
		ck_assert_uint_eq(stats().op_events - stats().ops, before + 1);
	else if (!modes[_i].zero_copy)
		ck_assert_uint_eq(stats().op_events - stats().ops, before);
	end_well(stream);
}
END_TEST

START_TEST(small_pieces_are_copied)
{
	struct stream *stream;
	uint64_t before;

	new_loop(_i);
	stream = new_stream(_i);
	stream->send.zero_copy = SOME + 1;
	before = stats().op_events - stats().ops;
	queue_many(stream, 5, SOME);
	read_all(stream, SIZE_MAX);
	run_to_end(stream);
	ck_assert_uint_eq(stats().op_events - stats().ops, before);
	end_well(stream);
}
END_TEST

/* The queue of a request is full, so requests follow each other at once. */
START_TEST(no_more_wait_for_the_network_than_there_are_operations)
{
	struct stream *stream;
	int i;

	new_loop(_i);
	stream = new_stream(_i);
	for (i = 0; i < 1000; i++) {
		queue(stream, 5000);
		if (i % 20 == 0)
			turn();
		if (i % 50 == 0)
			read_peer(stream, SIZE_MAX);
	}
	read_all(stream, SIZE_MAX);
	end_well(stream);
}
END_TEST

static void look_at_answer(struct ev_loop *l, struct evring_op *op, int revents)
{
	struct stream *stream = op->data;
	bool has_more = ev_is_active(op);

	fault.first(l, op, revents);
	stream->nr_actions++;
	stream->was_early |= has_more && stream->nr_back;
}

/* The first answer of a request does not hand anything back. */
START_TEST(pieces_come_back_after_the_notification)
{
	struct stream *stream;

	new_loop(_i);
	stream = new_stream(_i);
	queue(stream, 5000);
	fault.first = stream->send.op.cb;
	stream->send.op.cb = look_at_answer;
	read_all(stream, SIZE_MAX);
	run_to_end(stream);
	ck_assert(!stream->was_early);
	if (has_zero_copy(_i))
		ck_assert_int_eq(stream->nr_actions, 2);
	else if (!modes[_i].zero_copy)
		ck_assert_int_eq(stream->nr_actions, 1);
	end_well(stream);
}
END_TEST

/*
 * the loop goes
 */

static void queue_only(struct stream *stream)
{
	queue_many(stream, 40, SOME);
}

static void queue_and_poll(struct stream *stream)
{
	queue_too_much(stream);
	fail_next(stream, -EAGAIN);
}

static void queue_and_cancel(struct stream *stream)
{
	queue_too_much(stream);
	evring_send_cancel(loop, &stream->send);
}

static void (*const states[])(struct stream *stream) = {
	queue_only,
	queue_too_much,
	queue_and_poll,
	queue_and_cancel,
};

/* Rows: states, detached or destroyed.  Without a copy that would wait until
   the peer has read all. */
START_TEST(end_of_the_loop_hands_all_back)
{
	unsigned row = (unsigned)_i / NR_MODES;
	bool is_destroyed = row % 2;
	struct stream *stream;

	new_loop(_i % NR_MODES);
	stream = new_stream(_i % NR_MODES);
	stream->send.zero_copy = 0;
	states[row / 2](stream);
	if (is_destroyed)
		ev_loop_destroy(loop);
	else
		ck_assert_int_eq(evring_detach(loop), 0);
	ck_assert_int_eq(stream->nr_back, stream->nr_pieces);
	ck_assert_int_eq(stream->res, -ECANCELED);
	read_to_end(stream);
	free_stream(stream);
	if (!is_destroyed)
		ev_loop_destroy(loop);
}
END_TEST

static void detach_it(struct stream *stream)
{
	ck_assert_int_eq(evring_detach(loop), 0);
	ck_assert_int_eq(stream->nr_back, stream->nr_pieces);
}

START_TEST(callback_may_detach_the_loop)
{
	struct stream *stream;

	new_loop(_i);
	stream = new_stream(_i);
	stream->send.zero_copy = 0;
	queue_many(stream, 64, LARGE / 64);
	stream->action = detach_it;
	stream->nr_actions = 1;
	while (!stream->nr_events)
		turn_and_read(stream, SIZE_MAX);
	ck_assert_int_eq(stream->nr_back, stream->nr_pieces);
	ck_assert_int_eq(stream->res, -ECANCELED);
	read_to_end(stream);
	free_stream(stream);
	ev_loop_destroy(loop);
}
END_TEST

/*
 * forks and threads
 */

static int send_in_child(void *arg)
{
	struct stream *stream = arg;
	struct evring_piece extra = { .bytes = "x", .size = 1 };

	ev_loop_fork(loop);
	stream->are_kept = true;
	ev_run(loop, 0);
	child_assert(stream->nr_back == stream->nr_pieces);
	child_assert(stream->res == -ECANCELED);
	child_assert(!ev_is_active(&stream->send));
	stream->nr_pieces = stream->nr_back = 0;
	stream->pieces[stream->nr_pieces++] = extra;
	shutdown(stream->fd, SHUT_WR);
	child_assert(evring_send_queue(loop, &stream->send,
				       &stream->pieces[0]) == 0);
	ev_run(loop, 0);
	child_assert(stream->nr_back == 1 && stream->res == -EPIPE);
	ev_loop_destroy(loop);
	return 0;
}

static int destroy_in_child(void *arg)
{
	struct stream *stream = arg;

	ev_loop_destroy(loop);
	child_assert(stream->nr_back == stream->nr_pieces);
	child_assert(stream->res == -ECANCELED);
	return 0;
}

START_TEST(child_has_all_handed_back)
{
	struct stream *stream;

	new_loop(_i);
	stream = new_stream(_i);
	queue_too_much(stream);
	ck_assert_int_eq(run_in_child(destroy_in_child, stream), 0);
	ck_assert_int_lt(stream->nr_back, stream->nr_pieces);
	read_all(stream, SIZE_MAX);
	end_well(stream);
}
END_TEST

START_TEST(child_that_runs_has_all_handed_back)
{
	struct stream *stream;

	new_loop(_i);
	stream = new_stream(_i);
	queue_too_much(stream);
	ck_assert_int_eq(run_in_child(send_in_child, stream), 0);
	ck_assert_int_lt(stream->nr_back, stream->nr_pieces);
	while (ev_is_active(&stream->send)) /* the child shut it down */
		turn_and_read(stream, SIZE_MAX);
	ck_assert_int_eq(stream->res, -EPIPE);
	end_badly(stream);
}
END_TEST

/* What came is not known to have been said to be sent. */
static void drain(struct stream *stream)
{
	char buffer[4096];

	while (read(stream->peer, buffer, sizeof(buffer)) > 0)
		;
}

static void *send_in_thread(void *arg)
{
	struct stream *stream = arg;

	run_to_end(stream);
	ck_assert_int_eq(stream->res, -ECANCELED);
	drain(stream);
	queue(stream, SOME);
	run_to_end(stream);
	return NULL;
}

START_TEST(another_thread_has_all_handed_back)
{
	struct stream *stream;
	pthread_t thread;

	new_loop(_i);
	stream = new_stream(_i);
	stream->send.zero_copy = 0;
	queue_too_much(stream);
	ck_assert_int_eq(pthread_create(&thread, NULL, send_in_thread, stream),
			 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_int_eq(stream->res, 0);
	free_stream(stream);
	ev_loop_destroy(loop);
}
END_TEST

static const struct {
	const char *name;
	const TTest *const *test;
	int nr_rows;
	bool forks;
} tests[] = {
	{ "sending", &piece_arrives_and_comes_back, 1, false },
	{ "sending", &what_is_queued_in_a_turn_is_one_request, 1, false },
	{ "sending", &pieces_keep_their_order, 1, false },
	{ "sending", &short_sends_go_on, ARRAY_SIZE(sizes), false },
	{ "sending", &tiny_buffer_is_no_obstacle, 2, false },
	{ "sending", &callback_may_queue_the_next, 1, false },
	{ "sending", &queued_bytes_shrink_as_they_are_taken, 1, false },
	{ "sending", &queue_says_what_is_wrong, 1, false },
	{ "sending", &last_event_may_free_all, 4, false },
	{ "errors", &socket_that_was_shut_down_ends_all, 1, false },
	{ "errors", &peer_that_goes_ends_all, 2, false },
	{ "errors", &what_is_no_stream_ends_all, ARRAY_SIZE(hopeless), false },
	{ "errors", &interruptions_pass, ARRAY_SIZE(passing), false },
	{ "errors", &after_eagain_the_socket_is_polled, 1, false },
	{ "errors", &errors_hand_all_back, ARRAY_SIZE(lasting), false },
	{ "cancel", &cancel_hands_all_back, 1, false },
	{ "cancel", &cancel_before_the_turn_hands_all_back, 1, false },
	{ "cancel", &callback_may_cancel, 1, false },
	{ "cancel", &cancel_that_is_too_late_changes_nothing, 1, false },
	{ "cancel", &after_cancel_it_can_be_used, 1, false },
	{ "zero copy", &zero_copy_is_used_where_it_should_be, 1, false },
	{ "zero copy", &small_pieces_are_copied, 1, false },
	{ "zero copy", &no_more_wait_for_the_network_than_there_are_operations,
	  1, false },
	{ "zero copy", &pieces_come_back_after_the_notification, 1, false },
	{ "loop", &end_of_the_loop_hands_all_back, ARRAY_SIZE(states) * 2,
	  false },
	{ "loop", &callback_may_detach_the_loop, 1, false },
	{ "others", &child_has_all_handed_back, 1, true },
	{ "others", &child_that_runs_has_all_handed_back, 1, true },
	{ "others", &another_thread_has_all_handed_back, 1, false },
};

Suite *make_suite(void)
{
	Suite *suite = suite_create("send");
	TCase *tcase = NULL;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(tests); i++) {
		if (!i || strcmp(tests[i].name, tests[i - 1].name)) {
			tcase = tcase_create(tests[i].name);
			tcase_set_timeout(tcase, 25);
			suite_add_tcase(suite, tcase);
		}
		add_loop_or_leave_out(tcase, *tests[i].test,
				      NR_MODES * tests[i].nr_rows,
				      tests[i].forks ? no_children() : NULL);
	}
	return suite;
}
