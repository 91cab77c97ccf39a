/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * evring-net.h - watchers for sockets, made of operations.
 *
 * What evring.h says of operations holds for these, too: conventions, three
 * clocks, stop only asks, the last event always comes.  Here the watcher makes
 * the requests, and makes new ones as long as there is something to do.
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
 * or stop, then close.  Whether a file has O_NONBLOCK does not matter to an
 * operation: it waits in the kernel, and no thread of the program does.
 */
#ifndef EVRING_NET_H
#define EVRING_NET_H

#include <evring.h>
#include <sys/socket.h>

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
 * resets it.
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
}

/*
 * Start to accept.  cb, flags and pause may be changed while it is not active,
 * cb and pause at any time.
 *
 * Returns 0, or a negative errno value, and it is not active:
 *   -EINVAL  accept is NULL, has no callback, an unknown flag, or a pause out
 *            of range
 *   -EBUSY   it is active: also after stop, until its last event
 *   -ENXIO, -EAGAIN, -ENOMEM, -EMFILE, -ENFILE  as from evring_op_start()
 */
int evring_accept_start(struct ev_loop *loop, struct evring_accept *accept);

/*
 * Ask it to end.  The last event comes as ever, later.  May be called when it
 * is not active: then it does nothing.
 *
 * Returns 0; -EINVAL if accept is NULL; or -EAGAIN if the kernel takes no more
 * requests at the moment: then it ends with the next connection or call of
 * this.
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

#ifdef __cplusplus
}
#endif

#endif
