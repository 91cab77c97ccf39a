/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * echo-watchers.c - the echo daemon on plain libev watchers: the same code with
 * evring and without.
 *
 * close() with unread bytes resets the connection and takes with it what the
 * peer has not yet received.  Hence LINGERING.
 *
 * State of a connection, and the function that moves it:
 *
 *   READING   -> WRITING    [on_event]  the peer takes less than it sends
 *   WRITING   -> READING    [on_event]  all of it is sent
 *   READING   -> LINGERING  [finish]    the daemon stops
 *   WRITING   -> LINGERING  [finish]    the daemon stops, all is sent
 *   any       -> gone       [connection_free]
 *
 * Invariants:
 *
 * (1) The buffer holds unsent bytes only in WRITING.  A peer's end of stream
 *     is seen in READING, so all that came before it has been echoed.
 * (2) A function that found a connection over says so and leaves it; its
 *     callback frees it, and touches it no more.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* struct in6_pktinfo */
#endif

#include "echo.h"

#include <errno.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MAX_BATCH = 16 /* datagrams in one callback */, DATAGRAM_SIZE = 65536 };

enum connection_state { READING, WRITING, LINGERING };

struct connection {
	ev_io io;      /* data: this */
	ev_timer idle; /* data: this */
	struct worker *worker;
	struct connection *next;
	struct connection **link; /* what points at this one */
	enum connection_state state;
	double last_activity; /* daemon_seconds(), of some progress */
	size_t start;	      /* of the unsent bytes in buffer */
	size_t end;
	char buffer[]; /* echo_options.buffer */
};

/* Of a worker. */
struct part {
	struct connection *connections;
	ev_io datagrams[MAX_ENDPOINTS];
	unsigned nr_datagrams;
	char datagram[DATAGRAM_SIZE];
};

static struct part *part_of(struct worker *worker)
{
	return echo_worker(worker)->of_style;
}

/*
 * connections
 */

static void connection_free(struct connection *connection)
{
	struct worker *worker = connection->worker;

	ev_io_stop(worker->loop, &connection->io);
	ev_timer_stop(worker->loop, &connection->idle);
	close(connection->io.fd);
	*connection->link = connection->next;
	if (connection->next)
		connection->next->link = connection->link;
	free(connection);
	worker_closed(worker);
}

static void set_state(struct connection *connection,
		      enum connection_state state)
{
	struct ev_loop *loop = connection->worker->loop;
	int was = connection->state == WRITING ? EV_WRITE : EV_READ;
	int events = state == WRITING ? EV_WRITE : EV_READ;

	connection->state = state;
	if (events == was)
		return;
	ev_io_stop(loop, &connection->io);
	ev_io_set(&connection->io, connection->io.fd, events);
	ev_io_start(loop, &connection->io);
}

/* Whether close() can destroy nothing: all was read and all has arrived. */
static bool is_settled(int fd)
{
	int unread, unsent;

	return ioctl(fd, SIOCINQ, &unread) == 0 && unread == 0 &&
	       ioctl(fd, SIOCOUTQ, &unsent) == 0 && unsent == 0;
}

/*
 * End a connection that has nothing left to send.  The peer learns that no
 * more will come, and what it still sends is dropped until it ends too or the
 * grace time does.  False: there is nothing to wait for, free it.
 */
static bool finish(struct connection *connection)
{
	if (is_settled(connection->io.fd) ||
	    shutdown(connection->io.fd, SHUT_WR) < 0)
		return false;
	set_state(connection, LINGERING);
	return true;
}

/* After recv() or send() gave n: whether the connection lives. */
static bool note_result(struct connection *connection, ssize_t n)
{
	if (n > 0)
		connection->last_activity = daemon_seconds();
	if (n >= 0 || errno == EAGAIN || errno == EINTR)
		return true;
	count(&connection->worker->nr_errors, 1);
	return false;
}

/* False: the connection is over.  So it is for the next two. */
static bool send_unsent(struct connection *connection)
{
	struct worker *worker = connection->worker;
	size_t size = connection->end - connection->start;
	ssize_t n =
		send(connection->io.fd, connection->buffer + connection->start,
		     size, MSG_NOSIGNAL);

	if (!note_result(connection, n))
		return false;
	if (n > 0) {
		connection->start += n;
		count(&worker->bytes_out, n);
	}
	if (connection->start < connection->end) {
		set_state(connection, WRITING);
		return true;
	}
	if (worker->is_stopping)
		return finish(connection);
	set_state(connection, READING);
	return true;
}

static bool echo_bytes(struct connection *connection)
{
	struct worker *worker = connection->worker;
	ssize_t n = recv(connection->io.fd, connection->buffer,
			 echo_options.buffer, 0);

	if (!note_result(connection, n))
		return false;
	if (n <= 0)
		return n < 0;
	count(&worker->bytes_in, n);
	echo_served(worker, &echo_worker(worker)->tcp_requests);
	connection->start = 0;
	connection->end = n;
	return send_unsent(connection);
}

static bool drop_bytes(struct connection *connection)
{
	ssize_t n = recv(connection->io.fd, connection->buffer,
			 echo_options.buffer, 0);

	return note_result(connection, n) && n != 0;
}

static void on_event(struct ev_loop *loop, ev_io *w, int revents)
{
	struct connection *connection = w->data;
	bool lives = false;

	(void)loop, (void)revents;
	switch (connection->state) {
	case READING:
		lives = echo_bytes(connection);
		break;
	case WRITING:
		lives = send_unsent(connection);
		break;
	case LINGERING:
		lives = drop_bytes(connection);
		break;
	}
	if (!lives)
		connection_free(connection);
}

/*
 * The timer is not moved at each event: when it expires it looks how long ago
 * the last one was, and waits for the rest.
 */
static void on_idle(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct connection *connection = w->data;
	struct worker *worker = connection->worker;
	double left = connection->last_activity + daemon_options.idle -
		      daemon_seconds();

	(void)revents;
	count(&echo_worker(worker)->timers, 1);
	if (left > 0) {
		ev_timer_set(w, left, 0.);
		ev_timer_start(loop, w);
		return;
	}
	count(&worker->nr_timed_out, 1);
	connection_free(connection);
}

static void start_connection(struct connection *connection, int fd)
{
	struct ev_loop *loop = connection->worker->loop;

	connection->last_activity = daemon_seconds();
	ev_io_init(&connection->io, on_event, fd, EV_READ);
	connection->io.data = connection;
	ev_io_start(loop, &connection->io);
	ev_timer_init(&connection->idle, on_idle, daemon_options.idle, 0.);
	connection->idle.data = connection;
	if (daemon_options.idle > 0)
		ev_timer_start(loop, &connection->idle);
}

static void on_connection(struct worker *worker, int fd)
{
	struct part *part = part_of(worker);
	struct connection *connection =
		malloc(sizeof(*connection) + echo_options.buffer);

	if (!connection) {
		count(&worker->nr_errors, 1);
		close(fd);
		return;
	}
	connection->worker = worker;
	connection->state = READING;
	connection->start = connection->end = 0;
	connection->next = part->connections;
	connection->link = &part->connections;
	if (connection->next)
		connection->next->link = &connection->next;
	part->connections = connection;
	start_connection(connection, fd);
	worker_opened(worker);
}

/*
 * datagrams
 */

/*
 * Echo one datagram, from the address and through the interface it came to.
 * False: there was none.  An answer that cannot be sent at once is dropped, as
 * the network would.
 */
static bool echo_datagram(struct worker *worker, int fd)
{
	struct echo_worker *echo = echo_worker(worker);
	struct sockaddr_storage peer;
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(struct in6_pktinfo))];
	} control;
	struct iovec iov = { part_of(worker)->datagram, DATAGRAM_SIZE };
	struct msghdr message = {
		.msg_name = &peer,
		.msg_namelen = sizeof(peer),
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	ssize_t n = recvmsg(fd, &message, 0);

	if (n < 0)
		return false;
	count(&echo->udp_bytes_in, n);
	iov.iov_len = n;
	n = sendmsg(fd, &message, MSG_NOSIGNAL);
	if (n < 0)
		count(&echo->udp_dropped, 1);
	else
		count(&echo->udp_bytes_out, n);
	echo_served(worker, &echo->udp_requests);
	return true;
}

static void on_datagrams(struct ev_loop *loop, ev_io *w, int revents)
{
	(void)loop, (void)revents;
	for (int i = 0; i < MAX_BATCH && echo_datagram(w->data, w->fd); i++)
		;
}

static int on_udp(struct worker *worker, int fd)
{
	struct part *part = part_of(worker);
	ev_io *io = &part->datagrams[part->nr_datagrams++];

	ev_io_init(io, on_datagrams, fd, EV_READ);
	io->data = worker;
	ev_io_start(worker->loop, io);
	return 0;
}

/*
 * begin and end
 */

static int begin(struct worker *worker)
{
	echo_worker(worker)->of_style = calloc(1, sizeof(struct part));
	if (part_of(worker))
		return 0;
	complain("no memory for worker %u", worker->index);
	return -ENOMEM;
}

/* Connections in WRITING come to finish() when all is sent. */
static void stop(struct worker *worker)
{
	struct part *part = part_of(worker);
	struct connection *connection, *next;

	for (unsigned i = 0; i < part->nr_datagrams; i++)
		ev_io_stop(worker->loop, &part->datagrams[i]);
	for (connection = part->connections; connection; connection = next) {
		next = connection->next;
		if (connection->state == READING && !finish(connection))
			connection_free(connection);
	}
}

static void cut(struct worker *worker)
{
	while (part_of(worker)->connections)
		connection_free(part_of(worker)->connections);
}

static void end(struct worker *worker)
{
	free(part_of(worker));
}

const struct echo_style echo_watchers = { begin, on_connection, on_udp,
					  stop,	 cut,		end };
