/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * accept.c - the connections of a listener, by one request that accepts all, or
 * one for each.
 *
 * What to know about accept requests:
 *
 * a) One that accepts all may end with a connection, without having been asked
 *    to: when the CQ is full.
 * b) One that waits for a listener with O_NONBLOCK, and was woken in vain too
 *    often (others accept there, too), is handed to a kernel thread, which
 *    answers -EAGAIN.  Linux 5.11 may do so at once.  Made anew it could answer
 *    that for ever, so the listener is polled first.
 * c) The fd is taken before the connection, so without fds they fail even when
 *    there is no connection; and RLIMIT_NOFILE is what it was when the request
 *    was made.
 * d) -EPERM may be the answer to one connection (a firewall) or to all (a
 *    security module), which then stays in the backlog.
 *
 * States, which are what op is at the moment, and the function that moves them:
 *
 *   idle      -> ACCEPTING  [evring_accept_start]
 *   ACCEPTING -> ACCEPTING  [connection_came, go_on]
 *   ACCEPTING -> POLLING    [go_on]    trap b
 *   ACCEPTING -> PAUSED     [pause_with]
 *   POLLING   -> ACCEPTING  [waiting_ended]
 *   PAUSED    -> ACCEPTING  [waiting_ended]
 *   ACCEPTING -> ENDING     [end_after]
 *   any       -> idle       [end_accept]
 *
 * Invariants:
 *
 * (1) op is started again before the user hears of anything, so that it is
 *     active exactly if there is more to come, and after a callback nothing is
 *     touched.  (But see end_after().)
 * (2) The last event is never a connection.
 */
#include "config.h"

#include <assert.h>
#include <errno.h>
#include <evring-net.h>
#include <liburing.h>
#include <poll.h>

#include "bind.h"
#include "op.h"

enum accept_state { ACCEPTING, POLLING, PAUSED, ENDING };

enum { KNOWN_FLAGS = SOCK_CLOEXEC | SOCK_NONBLOCK };

static const double DEFAULT_PAUSE = 0.1, SHORTEST_PAUSE = 0.001,
		    LONGEST_PAUSE = 1e9;

static_assert(sizeof(struct __kernel_timespec) ==
		      sizeof(((struct evring_accept *)NULL)->time),
	      "time is one");

/*
 * requests
 */

static bool is_multishot(struct ev_loop *loop)
{
	struct evr_poll *poll = evr_bind_find(loop);

	return poll && evr_poll_have(poll) & EVR_HAVE_MULTISHOT_ACCEPT;
}

static void prep_accept(struct ev_loop *loop,
			const struct evring_accept *accept,
			struct io_uring_sqe *sqe)
{
	if (is_multishot(loop))
		io_uring_prep_multishot_accept(sqe, accept->fd, NULL, NULL,
					       accept->flags);
	else
		io_uring_prep_accept(sqe, accept->fd, NULL, NULL,
				     accept->flags);
}

static bool is_pause(double seconds)
{
	return seconds == 0. ||
	       (seconds >= SHORTEST_PAUSE && seconds <= LONGEST_PAUSE);
}

static void prep_pause(struct evring_accept *accept, struct io_uring_sqe *sqe)
{
	double pause = accept->pause;

	if (!is_pause(pause) || pause == 0.)
		pause = DEFAULT_PAUSE;
	accept->time[0] = (int64_t)pause;
	accept->time[1] = (int64_t)((pause - (double)accept->time[0]) * 1e9);
	io_uring_prep_timeout(sqe, (struct __kernel_timespec *)accept->time, 0,
			      0);
}

/* Start op, to be what state says.  Returns 0 or -errno. */
static int ask_to_accept(struct ev_loop *loop, struct evring_accept *accept,
			 enum accept_state state)
{
	struct io_uring_sqe *sqe;
	int r = evr_op_start(loop, &accept->op, &sqe);

	if (r < 0)
		return r;
	if (state == ACCEPTING)
		prep_accept(loop, accept, sqe);
	else if (state == POLLING)
		io_uring_prep_poll_add(sqe, accept->fd, POLLIN);
	else if (state == PAUSED)
		prep_pause(accept, sqe);
	accept->state = state; /* ENDING is as it is: it does nothing */
	return 0;
}

/*
 * answers
 */

/* The last event.  A loop that lost its ring, or is being left, ends all. */
static void end_accept(struct ev_loop *loop, struct evring_accept *accept,
		       int error)
{
	accept->cb(loop, accept, error == -ENXIO ? -ECANCELED : error);
}

/*
 * A connection, and then the last event: in the next turn.  Where there is none
 * to come, at once; only then is op not what it seems to be.
 */
static void end_after(struct ev_loop *loop, struct evring_accept *accept,
		      int fd, int error)
{
	accept->error = error;
	if (ask_to_accept(loop, accept, ENDING) >= 0) {
		accept->cb(loop, accept, fd);
		return;
	}
	accept->op.active = 1;
	accept->cb(loop, accept, fd);
	accept->op.active = 0;
	end_accept(loop, accept, error);
}

/* The request may have ended with it (trap a). */
static void connection_came(struct ev_loop *loop, struct evring_accept *accept,
			    int fd)
{
	int r = -ECANCELED;

	if (accept->op.active) {
		accept->cb(loop, accept, fd);
		return;
	}
	if (!accept->is_stopping)
		r = ask_to_accept(loop, accept, ACCEPTING);
	if (r < 0)
		end_after(loop, accept, fd, r);
	else
		accept->cb(loop, accept, fd);
}

static void go_on(struct ev_loop *loop, struct evring_accept *accept,
		  enum accept_state state)
{
	int r = -ECANCELED;

	if (!accept->is_stopping)
		r = ask_to_accept(loop, accept, state);
	if (r < 0)
		end_accept(loop, accept, r);
}

static void pause_with(struct ev_loop *loop, struct evring_accept *accept,
		       int error)
{
	int r = -ECANCELED;

	if (!accept->is_stopping)
		r = ask_to_accept(loop, accept, PAUSED);
	if (r < 0)
		end_accept(loop, accept, r);
	else
		accept->cb(loop, accept, error);
}

static void accepting_failed(struct ev_loop *loop, struct evring_accept *accept,
			     int error)
{
	switch (-error) {
	case ECANCELED: /* with the ring, unless we asked */
	case ECONNABORTED:
	case EINTR:
	case EPROTO:
	case ENOPROTOOPT:
	case ENETDOWN:
	case ENETUNREACH:
	case EHOSTDOWN:
	case EHOSTUNREACH:
	case ENONET:
	case ETIMEDOUT:
		go_on(loop, accept, ACCEPTING);
		break;
	case EAGAIN:
		go_on(loop, accept, POLLING);
		break;
	case EMFILE:
	case ENFILE:
	case ENOBUFS:
	case ENOMEM:
	case EPERM: /* trap d */
		pause_with(loop, accept, error);
		break;
	default:
		end_accept(loop, accept, error);
	}
}

/* The poll request, or the pause.  Why, accepting will tell. */
static void waiting_ended(struct ev_loop *loop, struct evring_accept *accept)
{
	go_on(loop, accept, ACCEPTING);
}

static void accept_answered(struct ev_loop *loop, struct evring_op *op,
			    int revents)
{
	struct evring_accept *accept = (struct evring_accept *)(void *)op;

	(void)revents;
	if (accept->state == ENDING)
		end_accept(loop, accept, accept->error);
	else if (accept->state != ACCEPTING)
		waiting_ended(loop, accept);
	else if (op->res >= 0)
		connection_came(loop, accept, op->res);
	else
		accepting_failed(loop, accept, op->res);
}

/*
 * start and stop
 */

EVR_API int evring_accept_start(struct ev_loop *loop,
				struct evring_accept *accept)
{
	if (!accept || !accept->cb || accept->flags & ~KNOWN_FLAGS ||
	    !is_pause(accept->pause))
		return -EINVAL;
	if (accept->op.active)
		return -EBUSY;
	accept->is_stopping = 0;
	accept->op.cb = accept_answered;
	return ask_to_accept(loop, accept, ACCEPTING);
}

/* If op has ended its answer is on its way, and will be handled as it should
   by now. */
static int cancel(struct ev_loop *loop, struct evring_accept *accept)
{
	int r = evring_op_cancel(loop, &accept->op);

	return r == -ENOENT ? 0 : r;
}

EVR_API int evring_accept_stop(struct ev_loop *loop,
			       struct evring_accept *accept)
{
	if (!accept)
		return -EINVAL;
	if (!accept->op.active)
		return 0;
	accept->is_stopping = 1;
	return cancel(loop, accept);
}

EVR_API int evring_accept_resume(struct ev_loop *loop,
				 struct evring_accept *accept)
{
	if (!accept)
		return -EINVAL;
	if (!accept->op.active || accept->state != PAUSED)
		return 0;
	return cancel(loop, accept);
}
