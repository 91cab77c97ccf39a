/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * evring-net.h - watchers for sockets, made of operations; and messages from
 * other threads, which are not.
 *
 *   evring_accept  the connections of a listener
 *   evring_send    ordered sends on a stream
 *   evring_group   buffers to receive into
 *   evring_recv    all that comes from a socket
 *   evring_port    messages to a loop: what is said here of watchers for
 *                  sockets is not about these
 *
 * What evring.h says of operations holds for these, too: conventions, three
 * clocks, stop only asks, the last event always comes, and where it may come.
 * Here the watcher makes the requests, and makes new ones as long as there is
 * something to do.
 *
 * Each of them begins with a struct evring_op.  Its data is the user's, and
 * ev_is_active(), ev_set_priority() and ev_priority() work on the watcher as
 * they do on an operation; its callback and the rest of it are evring's.  In a
 * callback ev_is_active() says whether more will come; if not, nothing of
 * evring's looks at the watcher any more, and the callback may free it, or
 * start it again.  So a connection whose watchers are members of one struct is
 * freed in the callback in which the last of these is not active any more.
 *
 * File descriptors are the caller's.  A request holds its file, so the number
 * may be closed and used again only when the watcher is not active: shutdown(2)
 * or stop, then close.  Whether a file has O_NONBLOCK does not matter to these
 * watchers: they wait in the kernel, and no thread of the program does.
 */
#ifndef EVRING_NET_H
#define EVRING_NET_H

#include "evring.h"
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * evring_accept: the connections of a listener
 *
 *     static void on_accept(struct ev_loop *loop,
 *                           struct evring_accept *accept, int fd);
 *
 *     evring_accept_init(&accept, on_accept, listener, SOCK_CLOEXEC);
 *     evring_accept_start(loop, &accept);
 *
 * An event for each connection, with its fd, which is the callee's from then
 * on; who the peer is getpeername() tells.  Where the kernel has it (Linux
 * 5.19; "multishot-accept" in evring_config.disable), one request accepts all;
 * else there is a request for each.
 *
 * What can go wrong, and goes on:
 *
 *   - A connection that is gone before it is accepted (ECONNABORTED, EPROTO,
 *     and the network errors of accept(2)) is no event.
 *   - -EMFILE, -ENFILE, -ENOBUFS, -ENOMEM, -EPERM: an event with that in place
 *     of an fd, ev_is_active() is true.  Accepting pauses; connections wait in
 *     the listener.  It is tried again after evring_accept.pause seconds, or
 *     when evring_accept_resume() says so, and each try that fails is an event.
 *     (The kernel takes the fd first: -EMFILE may come though nobody connects.
 *     A change of RLIMIT_NOFILE is noticed when accepting pauses, or starts.)
 *
 * The last event has a negative errno value in place of an fd, never a
 * connection, and ev_is_active() is false: -ECANCELED after stop, or when the
 * loop has been detached, is being destroyed or lost its ring; another for what
 * cannot go on, as -EINVAL for a socket that does not listen (any more:
 * shutdown (fd, SHUT_RD) does that), -EBADF, -ENOTSOCK, -EOPNOTSUPP; or one
 * that evring_accept_start() returns.
 *
 * Stop loses no connection: what the kernel accepted before it heard of stop
 * comes as events before the last one.  What it did not accept stays in the
 * backlog of the listener, for whoever accepts there next; closing the listener
 * resets those.
 *
 * fork and threads: the watcher goes on by itself in a child that runs the
 * loop, beside the parent, as an ev_io would, and in another thread.  With a
 * move between threads a connection may get lost that arrives at that moment.
 */
struct evring_accept {
	struct evring_op op; /* data is the user's */
	void (*cb)(struct ev_loop *loop, struct evring_accept *accept, int fd);
	int fd;	      /* listens; the user's, open as long as active */
	int flags;    /* of the new fds: SOCK_CLOEXEC, SOCK_NONBLOCK */
	double pause; /* seconds, 0.001 to 1e9; 0 for the default of 0.1 */

	/* Private. */
	int state, is_stopping, error;
	int64_t time[2];
	uint64_t reserved[4];
};

typedef struct evring_accept evring_accept;

/*
 * Before the first use, and while it is not active; op.data stays as it is, and
 * pause is the default.
 *
 * flags: SOCK_NONBLOCK is for those who read and write themselves.  Operations
 * want none: a kernel thread that must wait for such a socket may answer
 * -EAGAIN.  (The watchers of this header see to that.)
 */
static inline void evring_accept_init(struct evring_accept *accept,
				      void (*cb)(struct ev_loop *loop,
						 struct evring_accept *accept,
						 int fd),
				      int fd, int flags)
{
	evring_op_init(&accept->op, NULL);
	accept->cb = cb;
	accept->fd = fd;
	accept->flags = flags;
	accept->pause = 0.;
	memset(accept->reserved, 0, sizeof(accept->reserved));
}

/*
 * Start to accept.  cb, flags and pause may be changed while it is not active,
 * cb and pause at any time.
 *
 * Returns 0, or a negative errno value, and it is not active:
 *   -EINVAL  accept is NULL, has no callback, an unknown flag, or a pause out
 *            of range
 *   -EBUSY   it is active: also after stop, until its last event
 *   -ENXIO, -EACCES, -EAGAIN, -ENOMEM, -EMFILE, -ENFILE  as from
 *             evring_op_start()
 */
int evring_accept_start(struct ev_loop *loop, struct evring_accept *accept);

/*
 * Ask it to end.  The last event comes as ever, later.  May be called when it
 * is not active: then it does nothing.
 *
 * Returns 0; -EINVAL if accept is NULL; or -EAGAIN if the kernel takes no more
 * requests at the moment: then it is to be called again.
 */
int evring_accept_stop(struct ev_loop *loop, struct evring_accept *accept);

/*
 * End a pause: accepting may work by now, because an fd was closed.  May be
 * called at any time, also in the callback that tells of the pause; when there
 * is none it does nothing.
 *
 * Returns 0; -EINVAL if accept is NULL; or -EAGAIN as above.
 */
int evring_accept_resume(struct ev_loop *loop, struct evring_accept *accept);

/*
 * evring_send: ordered sends on a stream socket
 *
 *     static void on_sent(struct ev_loop *loop, struct evring_send *send,
 *                         struct evring_piece *pieces, int res);
 *
 *     evring_send_init(&send, on_sent, fd);
 *     piece.bytes = ...; piece.size = ...;
 *     evring_send_queue(loop, &send, &piece);
 *
 * Pieces are sent in the order in which they were queued, each whole.  One
 * request at a time is under way, with up to EVRING_SEND_PIECES of them; what
 * is queued before the loop turns goes with the request that is being made, and
 * what is queued later with the next one, which is made when the first is done.
 * Short sends go on where they ended.  SIGPIPE is not raised.
 *
 * A piece and its bytes are evring's from evring_send_queue() until an event
 * hands it back.  An event has one or more pieces, linked by next, in their
 * order, with res 0: the kernel has taken all of them (which does not say that
 * the peer has).  There is no event for a part of a piece.
 *
 * When sending fails, or is cancelled, the event has all pieces that are left,
 * and in res the negative errno value.  Those with sent == size were sent, of
 * the first other one maybe a part, of the rest nothing:
 *   -EPIPE, -ECONNRESET  the peer is gone (which of the two is a matter of
 *               chance), or the socket was shut down for writing
 *   -ECANCELED  it was cancelled; or the ring went: see below
 *   -EBADF, -ENOTSOCK, -ENOTCONN, -ETIMEDOUT, ...  as from sendmsg(2)
 *   -EIO        the kernel took none of the bytes, and said nothing
 *   -EAGAIN, -ENOMEM, -EMFILE, -ENFILE  as from evring_op_start(): the request
 *               for the rest could not be made
 * The watcher may be used on after that; whether the stream can is another
 * question.
 *
 * It is active as long as it has pieces, and keeps the loop alive.  It never is
 * while it has none: there is no start and no stop.
 *
 * Zero copy.  With evring_send.zero_copy, a request with a piece at least so
 * large is sent from the memory of the pieces (Linux 6.1, "send-zc" in
 * evring_config.disable; else it is copied).  They are handed back only when
 * the network has let go of them: when the peer has acknowledged them, or is
 * gone.  Pieces behind them are sent meanwhile; up to three such requests may
 * wait for their acknowledgement, and what is sent while three do is copied;
 * all are handed back in their order.  It costs a second completion per request
 * and pays for large pieces and real network cards only: to a receiver on the
 * same machine the kernel copies after all.  A socket that has no zero copy (a
 * local one) gets copies from the first refusal on.
 *
 * fork and threads: when the ring goes (the loop is detached, destroyed, run by
 * another thread or by a forked child, or lost its ring) all pieces come back
 * with -ECANCELED.  When the loop's own thread detached or destroyed it, sent
 * says what was sent.  Otherwise any part of the first piece with sent < size
 * may have been, and in a child all may yet be, by the parent.  Who detaches,
 * destroys or moves a loop waits for what is sent without a copy: until the
 * peer has acknowledged it, or is given up (TCP_USER_TIMEOUT).  shutdown(2)
 * does not hasten that; SO_LINGER of 0 seconds and the last close() do.
 */
enum { EVRING_SEND_PIECES = 16, EVRING_SEND_OPS = 4 };

struct evring_piece {
	const void *bytes; /* what to send */
	size_t size;	   /* of them, at least 1 */
	void *data;	   /* the user's */

	/* When it is handed back. */
	struct evring_piece *next; /* of the same event, or NULL */
	size_t sent;		   /* as many bytes were */

	/* Private. */
	unsigned nr_requests; /* that name its bytes */
	uint64_t reserved[2];
};

typedef struct evring_piece evring_piece;

struct evring_send {
	struct evring_op op; /* data is the user's */
	void (*cb)(struct ev_loop *loop, struct evring_send *send,
		   struct evring_piece *pieces, int res);
	int fd;		  /* a stream socket, the user's */
	size_t zero_copy; /* bytes; 0, the default: never */

	/* Private. */
	size_t queued;
	int error; /* ended by: what is left comes back with it */
	unsigned state;
	unsigned busy;	 /* operations, a bit for each */
	unsigned sender; /* the one that sends */
	unsigned place;	 /* of its request in the submission queue */
	unsigned nr_iov;
	size_t nr_bytes;		   /* in iov */
	struct evring_piece *first, *last; /* all */
	struct evring_piece *unsent;	   /* the first with sent < size */
	struct evring_piece *unasked;	   /* the first that no request names */
	struct {
		struct evring_piece *first; /* that the request names */
		unsigned nr;
	} named[EVRING_SEND_OPS];
	struct evring_op more[EVRING_SEND_OPS - 1];
	struct msghdr msg;
	struct iovec iov[EVRING_SEND_PIECES];
	uint64_t reserved[4];
};

typedef struct evring_send evring_send;

/*
 * Before the first use, and while it is not active; op.data stays as it is, and
 * zero_copy is 0.
 */
static inline void
evring_send_init(struct evring_send *send,
		 void (*cb)(struct ev_loop *loop, struct evring_send *send,
			    struct evring_piece *pieces, int res),
		 int fd)
{
	int i;

	evring_op_init(&send->op, NULL);
	for (i = 0; i < EVRING_SEND_OPS - 1; i++)
		evring_op_init(&send->more[i], NULL);
	send->cb = cb;
	send->fd = fd;
	send->zero_copy = 0;
	send->queued = 0;
	send->error = 0;
	send->state = send->busy = 0;
	send->first = send->last = NULL;
	send->unsent = send->unasked = NULL;
	memset(send->reserved, 0, sizeof(send->reserved));
}

/*
 * Queue piece behind what is queued.  It must not be queued already.  May be
 * called in callbacks, also in the one of send.
 *
 * Returns 0; or a negative errno value, and piece is the caller's still:
 *   -EINVAL  send or piece is NULL, send has no callback, piece has no bytes
 *   -EPIPE, -ECANCELED, ...  sending has failed or was cancelled, and the event
 *            that says so is yet to come
 *   -ENXIO, -EACCES, -EAGAIN, -ENOMEM, -EMFILE, -ENFILE  as from
 *             evring_op_start()
 */
int evring_send_queue(struct ev_loop *loop, struct evring_send *send,
		      struct evring_piece *piece);

/*
 * The bytes that were queued and that the kernel has not taken: what to look at
 * before more is read from somebody else.  It shrinks when a request is done.
 */
static inline size_t evring_send_queued(const struct evring_send *send)
{
	return send->queued;
}

/*
 * Ask for the pieces back.  They come as ever, by the last event; with
 * -ECANCELED if there are any that were not sent.  Meanwhile none can be
 * queued.  Memory that the network holds (zero copy) is not returned sooner for
 * it.
 *
 * Returns 0; -ENOENT if there are none; -EINVAL if send is NULL; or -EAGAIN if
 * the kernel takes no more requests at the moment: then what is under way goes
 * on, nothing follows it, and this may be called again.
 */
int evring_send_cancel(struct ev_loop *loop, struct evring_send *send);

/*
 * evring_group: buffers to receive into
 *
 * Memory to receive into, for any number of sockets of one loop: a buffer is
 * taken when there is data for it, and not before.  (IORING_REGISTER_PBUF_RING,
 * Linux 5.19, "pbuf-ring" in evring_config.disable, and multishot receive, 6.0.
 * Elsewhere a socket is polled, and a buffer is taken when it is readable: the
 * same for the caller, at the price of two requests per receive.)
 */

/* For evring_group_init(). */
enum evring_group_flags {
	/* In huge pages of 2 MiB, if there are enough (vm.nr_hugepages). */
	EVRING_GROUP_HUGE = 1u << 0,

	/*
	 * A buffer is filled piece by piece, and each event has a piece of one:
	 * large buffers for data that comes in small portions.  Each piece is
	 * put back; with the last one the buffer is free.  Linux 6.12,
	 * "pbuf-inc".  Not for EVRING_RECV_MSG.
	 */
	EVRING_GROUP_INCREMENTAL = 1u << 1
};

struct evr_buffer;
struct io_uring_buf_ring;
struct evring_recv;

struct evring_group {
	/* To be read. */
	unsigned nr_buffers; /* rounded up to a power of two */
	unsigned size;	     /* of each in bytes, rounded up to 16 */
	unsigned flags;	     /* EVRING_GROUP_: those that could be had */
	unsigned nr_free;    /* buffers of which the caller holds nothing */

	/* Private. */
	struct ev_loop *loop;
	char *memory;
	size_t memory_size;
	struct evr_buffer *buffers;
	struct io_uring_buf_ring *ring;
	uint64_t ring_id, process;
	unsigned is_plain, id, unused, last_added;
	unsigned nr_given, nr_wanted, nr_taken, grown_at, nr_puts, nr_active,
		nr_users;
	struct evring_recv *first_waiting[2], *last_waiting[2];
	uint64_t reserved[8];
};

typedef struct evring_group evring_group;

/*
 * Make a group of nr_buffers (1 to 32768) of size bytes (1 to 2^30) for
 * watchers of loop, which is attached.  The memory is the library's, and is
 * taken from the system as it is used.  flags are EVRING_GROUP_; one that is
 * not to be had here is left out, and group->flags says so.
 *
 * group is not to be moved.  Every event has one buffer (or piece), so there
 * should be as many as events come in a turn, and as the program keeps.  When
 * there are none left, watchers wait.
 *
 * With the ring the group is known by a number, which the library chooses,
 * from 65535 down.  When the loop gets another ring the group is known there
 * from the next evring_recv_start(); buffers that the caller has are still the
 * caller's, and are put back as ever.  A forked child has a copy of all buffers
 * as they were then.
 *
 * Returns 0; or, with nothing to clean up:
 *   -EINVAL   loop or group is NULL, a number is out of range, or a flag
 *             unknown
 *   -ENXIO    the loop has no ring
 *   -ENOMEM   no memory, or RLIMIT_MEMLOCK reached (16 bytes for each buffer)
 */
int evring_group_init(struct ev_loop *loop, struct evring_group *group,
		      unsigned nr_buffers, unsigned size, unsigned flags);

/*
 * Free the memory of group, also of buffers that were not put back.  The loop
 * may be gone by then; if it is not, the thread is the loop's.
 *
 * Returns 0; -EINVAL if group is NULL; -EBUSY while a watcher uses it: its last
 * event has not come.
 */
int evring_group_exit(struct evring_group *group);

/*
 * Give back the buffer, or the piece of one, that data points into: what an
 * event had, or any address within.  From the loop's thread, in a callback or
 * not.  Watchers that wait for a buffer go on: the one that waits longest
 * first.
 *
 * Returns 0, or -EINVAL when group is NULL, or data is not in a buffer that
 * the caller has.
 */
int evring_group_put(struct evring_group *group, void *data);

/*
 * evring_recv: all that comes from a socket
 *
 *     static void on_data(struct ev_loop *loop, struct evring_recv *recv,
 *                         void *data, int size)
 *     {
 *             if (size <= 0) {
 *                     ... end of stream, or -errno: the last event
 *                     return;
 *             }
 *             ... size bytes at data are the program's, until
 *             evring_group_put(recv->group, data);
 *     }
 *
 *     evring_recv_init(&recv, on_data, fd, &group);
 *     evring_recv_start(loop, &recv);
 *
 * An event for each buffer, in order.  The kernel is asked once (multishot
 * receive, Linux 6.0, "multishot-recv" in evring_config.disable), and may fill
 * several buffers before it answers (bundles, 6.10, "recv-bundle").  A local
 * socket (AF_UNIX) is asked anew after each event: there, from Linux 6.17 on,
 * multishot may never tell the end of a stream that came together with data.
 * (The kernel does not say what a fixed file is, so a local socket among these
 * may be hit.)
 *
 * When the group has run dry the watcher waits, active, and goes on when a
 * buffer is put back.  So long the socket is not read: the peer is slowed
 * down, and its end of stream, or an error, is not heard of.
 *
 * A buffer is the caller's from the event that hands it out until it is put
 * back, for longer than watcher and connection if need be.
 *
 * fork and threads: when the ring goes (the loop is detached, destroyed, run by
 * another thread or by a forked child, or lost its ring) the watcher ends with
 * -ECANCELED.  It does not go on by itself with the new ring: what the kernel
 * had received by then may not be known, and in a child the connections are the
 * parent's.
 */

/* For evring_recv.flags. */
enum evring_recv_flags {
	/*
	 * One event for each message (recvmsg), with the sender's address and
	 * control data, all in one buffer of the group.
	 */
	EVRING_RECV_MSG = 1u << 0,

	/* fd is an index in the table of fixed files (evring_set_files()). */
	EVRING_RECV_FIXED_FILE = 1u << 1
};

/* Of a message. */
struct evring_msg {
	void *name;	   /* struct sockaddr of the sender */
	unsigned name_len; /* its length, 0: none, which may be more than there
			      was room for */
	void *control;	   /* a sequence of struct cmsghdr, aligned */
	unsigned control_len;
	int flags; /* MSG_TRUNC, MSG_CTRUNC, ... */
};

typedef struct evring_msg evring_msg;

struct evring_recv {
	struct evring_op op; /* data is the user's */

	/*
	 * The event.  size > 0 (EVRING_RECV_MSG: 0 or more, with data not
	 * NULL): so many bytes at data, in a buffer that is the caller's now.
	 * Else data is NULL and this is the last event: 0 is the end of the
	 * stream, or
	 *   -ECANCELED   it was stopped, or the ring went
	 *   -ECONNRESET, -ETIMEDOUT, -ECONNREFUSED, ...  of the socket
	 *   -EBADF, -ENOTSOCK, -ENOTCONN  fd is not what it should be
	 *   -EAGAIN, -ENOMEM, -EMFILE, -ENFILE  the next request could not be
	 *                made, see evring_recv_start()
	 * ev_is_active (recv) is true in all but the last.
	 */
	void (*cb)(struct ev_loop *loop, struct evring_recv *recv, void *data,
		   int size);

	/* The group may be shared by any number of watchers. */
	struct evring_group *group;
	int fd;
	unsigned flags; /* EVRING_RECV_, 0 after evring_recv_init() */

	/*
	 * With EVRING_RECV_MSG: room in each buffer for address and control
	 * data, in bytes, rounded up to 8; sizeof (struct sockaddr_storage)
	 * and 0 after evring_recv_init().  With 16 bytes more they are less
	 * than the size of a buffer.
	 */
	unsigned name_size, control_size;

	/* With EVRING_RECV_MSG: of this event, in the same buffer. */
	struct evring_msg msg;

	/* Private. */
	int state, queue;
	unsigned is_stopping, is_user, is_granted, is_served, is_bundle,
		is_single, is_polled, is_stream;
	unsigned seen_puts, buffer, rest_buffer;
	int rest;
	char *rest_data;
	int *gone;
	uint64_t ring_id;
	struct evring_recv *next, *prev;
	struct msghdr header;
	struct iovec iov;
	uint64_t reserved[4];
};

typedef struct evring_recv evring_recv;

/*
 * Before the first use, and while it is not active; op.data stays as it is, and
 * flags, name_size and control_size are the defaults.
 */
static inline void evring_recv_init(struct evring_recv *recv,
				    void (*cb)(struct ev_loop *loop,
					       struct evring_recv *recv,
					       void *data, int size),
				    int fd, struct evring_group *group)
{
	evring_op_init(&recv->op, NULL);
	recv->cb = cb;
	recv->group = group;
	recv->fd = fd;
	recv->flags = 0;
	recv->name_size = (unsigned)sizeof(struct sockaddr_storage);
	recv->control_size = 0;
	recv->gone = NULL;
	memset(recv->reserved, 0, sizeof(recv->reserved));
}

/*
 * Receive from recv->fd, from the next turn of the loop on.  fd is to stay
 * open until the last event.  May be called from callbacks, also from the one
 * of its own last event.
 *
 * With EVRING_RECV_MSG, an empty message is the end of the stream if the
 * socket is of a kind that has one (SOCK_STREAM, SOCK_SEQPACKET); without,
 * that is so for any socket: datagrams want EVRING_RECV_MSG.
 *
 * Returns 0, or, with recv not active:
 *   -EINVAL   recv is NULL, has no callback or no group, or the group is of
 *             another loop; a flag is unknown; or for EVRING_RECV_MSG a buffer
 *             is too small, or the group incremental
 *   -EBUSY    recv is active
 *   -ENXIO, -EACCES, -EAGAIN, -ENOMEM, -EMFILE, -ENFILE  as from
 *             evring_op_start()
 */
int evring_recv_start(struct ev_loop *loop, struct evring_recv *recv);

/*
 * Ask it to end.  What was received by then comes first; then the last event,
 * mostly with -ECANCELED.  Nothing that comes later is taken from the socket.
 * May be called when it is not active: then it does nothing.
 *
 * Returns 0; -EINVAL if recv is NULL; or -EAGAIN if the kernel takes no more
 * requests at the moment: then it is to be called again.
 */
int evring_recv_stop(struct ev_loop *loop, struct evring_recv *recv);

/*
 * Messages to a loop
 *
 * A port is where a loop gets messages from any thread of the process:
 *
 *     static void on_message(struct ev_loop *loop, struct evring_port *port,
 *                            struct evring_message *message);
 *
 *     evring_port_init(&port, on_message);
 *     r = evring_port_start(loop, &port);
 *
 *     r = evring_post(NULL, &port, &job->message);    in any thread
 *
 * Nothing is lost, merged or copied: each message is an event of its own, and
 * those of one sender come in the order in which they were posted.  There is no
 * limit to how many may be waiting, because the memory is the sender's; whoever
 * wants a limit counts what comes back.
 *
 * No sender ever waits for another or for the loop.  The loop is woken with the
 * first message that comes after it went to sleep, by one system call; those
 * that come until it sleeps again cost none.
 *
 * Messages wait in the port, whatever happens to the loop.  They are handed out
 * while the port is active, one at a time as if each were a watcher that became
 * pending at the port's priority: those that were there when the turn began or
 * while it waited, in this turn, what comes later in the next.
 *
 * fork.  What waits in a port at that moment waits in both processes, and is
 * handed out in each that runs the loop.  What is posted afterwards stays in
 * its process.
 *
 * Threads.  When another thread runs the loop its ports go on there, without a
 * message lost.
 */

/* A message: the port's from evring_post() until it is handed out. */
struct evring_message {
	struct evring_message *next; /* private */
	void *data;		     /* the user's */
	uint64_t value;		     /* the user's */
};

typedef struct evring_message evring_message;

/*
 * The port is the library's from evring_port_start() until it is not active any
 * more.  It must also be there for as long as anybody may be posting to it: so
 * it ends after its senders, or after they were told.  (A sender may be in
 * evring_post() still when its message was handed out: join it, do not guess.)
 *
 * op is not an operation, but a watcher as far as these are: op.data is the
 * user's; ev_is_active (port), ev_is_pending() and, while it is not active,
 * ev_set_priority() work.
 */
struct evring_port {
	struct evring_op op;

	/* A message; or NULL when the port was stopped: see
	   evring_port_start(). */
	void (*cb)(struct ev_loop *loop, struct evring_port *port,
		   struct evring_message *message);

	/* Private: of the loop. */
	struct evring_message *first, *last;
	struct evring_port *next, *prev;
	void *set;
	uint64_t reserved[8];

	/* Private: of all senders, in a cache line of their own. */
	struct evring_message *posted;
	void *waker;
	uint64_t reserved_too[6];
};

typedef struct evring_port evring_port;

/* Before the first use, and never while messages are in it; op.data stays. */
static inline void evring_port_init(struct evring_port *port,
				    void (*cb)(struct ev_loop *loop,
					       struct evring_port *port,
					       struct evring_message *message))
{
	evring_op_init(&port->op, NULL);
	port->cb = cb;
	port->first = port->last = NULL;
	port->next = port->prev = NULL;
	port->set = NULL;
	port->posted = NULL;
	port->waker = NULL;
	memset(port->reserved, 0, sizeof(port->reserved));
	memset(port->reserved_too, 0, sizeof(port->reserved_too));
}

/*
 * Hand out what is in the port and what comes, in loop.  Like any watcher the
 * port keeps the loop alive.
 *
 * It goes on by itself when the ring is made anew (a fork, another thread).  If
 * the loop is detached or destroyed, or loses its ring for good, the port is
 * stopped, and its callback is called once with NULL; before evring_detach() or
 * ev_loop_destroy() returns, if it was one of these.  The callback may free the
 * port if nobody posts to it any more.
 *
 * The first port of a loop takes a file descriptor.
 *
 * Returns 0; or
 *   -EINVAL   port is NULL or has no callback
 *   -EBUSY    port is active
 *   -ENXIO    the loop has no ring: it is not attached, or lost its ring
 *   -ENOMEM, -EMFILE, -ENFILE  no memory, no file descriptor
 */
int evring_port_start(struct ev_loop *loop, struct evring_port *port);

/*
 * Stop port, at once: no event comes after it, not even one that was pending.
 * Messages stay in it, also those that are posted later: for the next start, of
 * this loop or another, or for evring_port_take().  Without effect on a port
 * that is not active, or NULL.
 */
void evring_port_stop(struct ev_loop *loop, struct evring_port *port);

/*
 * The next message, which is the caller's from now on; NULL if there is none.
 * Called by who owns the loop of an active port, as a callback does that wants
 * several messages at once, or by the one thread that has a stopped one.
 */
struct evring_message *evring_port_take(struct evring_port *port);

/*
 * Post message to port, from any thread.
 *
 * A loop that sleeps has to be woken.  With NULL for from it is woken before
 * evring_post() returns: by a message to its ring (Linux 6.13), or through an
 * eventfd.  If from is a loop that belongs to the calling thread, the next turn
 * of from wakes it, in the system call that the turn makes anyway (Linux 5.18;
 * as with NULL where that is not to be had).  That is best for many messages;
 * for one that somebody waits for, or when from may not run again for a while,
 * NULL is.  If from is detached or destroyed before its next turn, that wakes.
 *
 * With NULL it may be called from signal handlers, too.  No lock is taken and
 * no memory allocated.  A message in a port is not to be posted again.
 *
 * Returns 0, also when the port is not active; -EINVAL if port or message is
 * NULL.
 */
int evring_post(struct ev_loop *from, struct evring_port *port,
		struct evring_message *message);

#ifdef __cplusplus
}
#endif

#endif
