/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * recv.c - all that comes from a socket, into the buffers of a group.
 *
 * What to know about multishot receive with provided buffers:
 *
 * a) It ends for reasons that are no end of the stream: the CQ was full, a
 *    bundle took the last buffer, there was no buffer.  Then it is asked for
 *    again, before the event: so the kernel has an operation for as long as the
 *    watcher is active, and cancelling that one is how to stop.
 * b) It takes a buffer before it looks whether there is data, so -ENOBUFS does
 *    not say that there is any.  A poll request does.
 * c) With MSG_DONTWAIT it receives what is there, and ends with -EAGAIN.
 * d) For messages it puts header, address and control data into the buffer,
 *    before the data.  The plain form puts them into the same places.
 * e) An empty message ends it, as the end of a stream does.
 * f) One completion may have several buffers, which are as many events.  Their
 *    callbacks may run the loop, where the next completion comes, or end the
 *    watcher by detaching the loop.
 * g) On AF_UNIX it may never tell the end of the stream, when that came
 *    together with data (from Linux 6.17, when such sockets began to say that
 *    they are empty; liburing issue 1549; with POLL_FIRST also after its fix).
 *    There one request receives once, or all that there is (trap c).
 *
 * States of an active watcher, and the function that moves it.  In each it has
 * an operation, in the kernel or parked.
 *
 *   LISTENING  a request that receives when there is data
 *   POLLED     a poll request: if there is no buffer, and in the plain form
 *   TRYING     a request that does not wait: there is data, and a buffer
 *   WAITING    parked in the group: there is data, and no buffer
 *
 *   any        -> LISTENING, POLLED  [listen_again]
 *   LISTENING  -> POLLED             [run_dry]
 *   POLLED     -> TRYING             [readable]
 *   POLLED     -> WAITING            [readable]
 *   WAITING    -> TRYING             [try_now]   a buffer came back
 *   TRYING     -> WAITING            [run_dry]
 *
 * Who waits is woken for one buffer, and is the only one to be woken for it.
 * When it does not need it (the data is gone, the stream has ended, it was
 * stopped) it wakes the next: is_granted.  A request that is woken is submitted
 * before the kernel looks at who else has got data, so those who wait come
 * first.  Who finds that others were faster waits at the front; who got
 * something, at the back.  So each gets something.
 */
#include "config.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <string.h>

#include "bind.h"
#include "group.h"
#include "uapi.h"

enum recv_state { LISTENING, POLLED, TRYING, WAITING };

static_assert(offsetof(struct evring_recv, op) == 0,
	      "a watcher begins as libev's do");

/*
 * requests
 */

static bool is_msg(const struct evring_recv *recv)
{
	return recv->flags & EVRING_RECV_MSG;
}

/* Where control data, or the message itself, is in a buffer (trap d). */
static size_t name_room(const struct evring_recv *recv)
{
	return (recv->name_size + 7) & ~(size_t)7;
}

static size_t control_room(const struct evring_recv *recv)
{
	return (recv->control_size + 7) & ~(size_t)7;
}

static size_t msg_offset(const struct evring_recv *recv)
{
	return sizeof(struct io_uring_recvmsg_out) + name_room(recv) +
	       control_room(recv);
}

static void set_header(struct evring_recv *recv)
{
	memset(&recv->header, 0, sizeof(recv->header));
	recv->header.msg_namelen = (socklen_t)name_room(recv);
	recv->header.msg_controllen = control_room(recv);
}

static void prep_msg_into(struct evring_recv *recv, struct io_uring_sqe *sqe,
			  char *buffer)
{
	size_t offset = msg_offset(recv);

	set_header(recv);
	recv->iov.iov_base = buffer + offset;
	recv->iov.iov_len = recv->group->size - offset;
	recv->header.msg_iov = &recv->iov;
	recv->header.msg_iovlen = 1;
	if (name_room(recv))
		recv->header.msg_name =
			buffer + sizeof(struct io_uring_recvmsg_out);
	if (control_room(recv))
		recv->header.msg_control = buffer + offset - control_room(recv);
	io_uring_prep_recvmsg(sqe, recv->fd, &recv->header, MSG_DONTWAIT);
}

static void prep_plain(struct evring_recv *recv, struct io_uring_sqe *sqe)
{
	char *buffer = evr_group_data(recv->group, recv->buffer);

	if (is_msg(recv))
		prep_msg_into(recv, sqe, buffer);
	else
		io_uring_prep_recv(sqe, recv->fd, buffer, recv->group->size,
				   MSG_DONTWAIT);
}

static void prep_selecting(struct evring_recv *recv, struct io_uring_sqe *sqe)
{
	int flags = recv->state == TRYING ? MSG_DONTWAIT : 0;

	if (is_msg(recv)) {
		set_header(recv);
		io_uring_prep_recvmsg_multishot(sqe, recv->fd, &recv->header,
						(unsigned)flags);
	} else if (recv->is_single) {
		io_uring_prep_recv(sqe, recv->fd, NULL, 0, flags);
	} else {
		io_uring_prep_recv_multishot(sqe, recv->fd, NULL, 0, flags);
	}
	if (recv->is_bundle)
		sqe->ioprio |= IORING_RECVSEND_BUNDLE;
	sqe->flags = IOSQE_BUFFER_SELECT;
	sqe->buf_group = (uint16_t)recv->group->id;
}

static int submit(struct evring_recv *recv, struct evr_poll *poll)
{
	struct io_uring_sqe *sqe;
	uint64_t user_data;
	int r = evr_poll_start(poll, &recv->op, &sqe);

	if (evr_unlikely(r < 0))
		return r;
	user_data = sqe->user_data;
	if (recv->state == POLLED)
		io_uring_prep_poll_add(sqe, recv->fd, POLLIN);
	else if (recv->group->is_plain)
		prep_plain(recv, sqe);
	else
		prep_selecting(recv, sqe);
	sqe->user_data = user_data;
	if (recv->flags & EVRING_RECV_FIXED_FILE)
		sqe->flags |= IOSQE_FIXED_FILE;
	return 0;
}

/* The loop has a ring, and it is the one of before. */
static int get_poll(struct evring_recv *recv, struct evr_poll **ret_poll)
{
	struct evr_poll *poll = evr_bind_find(recv->group->loop);
	struct io_uring *uring;
	int r = poll ? evr_poll_ring(poll, &uring) : -ENXIO;

	if (evr_unlikely(r < 0))
		return r;
	if (evr_unlikely(recv->is_user &&
			 evr_poll_ring_id(poll) != recv->ring_id))
		return -ECANCELED;
	*ret_poll = poll;
	return 0;
}

static void become_user(struct evring_recv *recv)
{
	if (recv->is_user)
		return;
	recv->is_user = true;
	recv->ring_id = recv->group->ring_id;
	evr_group_enter(recv->group);
}

static int wait_for_buffer(struct evring_recv *recv, enum evr_group_queue queue)
{
	struct evr_poll *poll;
	int r = get_poll(recv, &poll);

	if (r >= 0)
		r = evr_poll_park(poll, &recv->op);
	if (r < 0)
		return r;
	recv->state = WAITING;
	recv->is_granted = false;
	evr_group_wait(recv->group, recv, queue);
	return 0;
}

/* Have the kernel do what belongs to state. */
static int ask_to_receive(struct evring_recv *recv, enum recv_state state)
{
	struct evr_poll *poll;
	int r = get_poll(recv, &poll);

	if (evr_unlikely(r < 0))
		return r;
	r = evr_group_ready(recv->group, poll);
	if (evr_unlikely(r == -EBUSY))
		return wait_for_buffer(recv, EVR_BACK);
	if (evr_unlikely(r < 0))
		return r;
	recv->state = state;
	recv->is_served = false;
	recv->seen_puts = recv->group->nr_puts;
	r = submit(recv, poll);
	if (r >= 0)
		become_user(recv);
	return r;
}

static int try_now(struct evring_recv *recv)
{
	bool was_waiting = recv->state == WAITING;
	int i = 0, r;

	if (recv->group->is_plain)
		i = evr_group_pick(recv->group);
	if (i < 0)
		return wait_for_buffer(recv,
				       was_waiting ? EVR_FRONT : EVR_BACK);
	recv->buffer = (unsigned)i;
	r = ask_to_receive(recv, TRYING);
	if (recv->group->is_plain && (r < 0 || recv->state != TRYING))
		evr_group_return(recv->group, recv->buffer);
	return r;
}

/* Where buffers are scarce, those come first who are known to have data. */
static int listen_again(struct evring_recv *recv)
{
	const struct evring_group *group = recv->group;
	bool is_scarce =
		evr_group_is_dry(group) || evr_group_has_waiting(group);

	return ask_to_receive(recv, recv->is_polled || is_scarce ? POLLED
								 : LISTENING);
}

/*
 * events
 */

static void pass_grant(struct evring_recv *recv)
{
	if (!recv->is_granted)
		return;
	recv->is_granted = false;
	evr_group_wake_one(recv->group);
}

/* The last event: nothing of recv is ours in it, or after it. */
static void end_recv(struct ev_loop *loop, struct evring_recv *recv, int res)
{
	struct evring_group *group = recv->group;

	evr_group_forget(group, recv);
	pass_grant(recv);
	group->nr_active--;
	if (recv->is_user)
		evr_group_leave(group);
	recv->op.active = 0;
	if (recv->gone)
		*recv->gone = true;
	recv->gone = NULL;
	recv->cb(loop, recv, NULL, res);
}

/* An event with data.  False: the watcher ended meanwhile (trap f). */
static bool tell(struct ev_loop *loop, struct evring_recv *recv, char *data,
		 int size)
{
	int gone = false, *outer = recv->gone;

	recv->gone = &gone;
	recv->cb(loop, recv, data, size);
	if (evr_likely(!gone))
		recv->gone = outer;
	else if (outer)
		*outer = true;
	return !gone;
}

/* What is left of the last completion. */
static bool tell_rest(struct ev_loop *loop, struct evring_recv *recv)
{
	struct evring_group *group = recv->group;
	unsigned i;
	char *data;
	int size;

	while (recv->rest) {
		i = recv->rest_buffer;
		data = recv->rest_data;
		size = evr_group_share(group, i, recv->rest);
		recv->rest -= size;
		if (evr_unlikely(recv->rest)) {
			recv->rest_buffer = evr_group_next(group, i);
			recv->rest_data =
				evr_group_data(group, recv->rest_buffer);
		}
		if (!tell(loop, recv, data, size))
			return false;
	}
	return true;
}

/* What the kernel says of a message, by itself or in the buffer. */
static int read_msg(struct evring_recv *recv, char *buffer, int res)
{
	struct io_uring_recvmsg_out out;
	size_t offset = sizeof(out) + name_room(recv);

	memset(&recv->msg, 0, sizeof(recv->msg));
	if (recv->group->is_plain) {
		out.namelen = recv->header.msg_namelen;
		out.controllen = (uint32_t)recv->header.msg_controllen;
		out.flags = (uint32_t)recv->header.msg_flags;
	} else {
		memcpy(&out, buffer, sizeof(out));
		res -= (int)msg_offset(recv);
	}
	recv->msg.name_len = out.namelen;
	recv->msg.control_len = out.controllen;
	recv->msg.flags = (int)out.flags;
	if (out.namelen)
		recv->msg.name = buffer + sizeof(out);
	if (out.controllen)
		recv->msg.control = buffer + offset;
	return res;
}

/* After data, and before the event.  Returns 0, or what to end with. */
static int rearm(struct evring_recv *recv)
{
	int r = -ECANCELED;

	if (!recv->is_stopping)
		r = listen_again(recv);
	return r == -ENXIO ? -ECANCELED : r;
}

static void data_came(struct ev_loop *loop, struct evring_recv *recv,
		      unsigned i, int res, unsigned flags, bool is_last)
{
	char *data =
		evr_group_take(recv->group, i, res, flags, recv->is_bundle);
	int r = 0;

	recv->is_granted = false;
	recv->is_served = true;
	if (flags & IORING_CQE_F_BUF_MORE)
		evr_group_wake_one(recv->group); /* for the rest of it */
	if (evr_unlikely(is_last))
		r = rearm(recv);
	recv->rest = res;
	recv->rest_buffer = i;
	recv->rest_data = data;
	if (tell_rest(loop, recv) && evr_unlikely(r < 0))
		end_recv(loop, recv, r);
}

static void msg_came(struct ev_loop *loop, struct evring_recv *recv, unsigned i,
		     int res, unsigned flags, bool is_last)
{
	char *buffer = evr_group_data(recv->group, i);
	int r = 0, size = read_msg(recv, buffer, res);

	if (!size && recv->is_stream) {
		evr_group_return(recv->group, i);
		end_recv(loop, recv, 0);
		return;
	}
	evr_group_take(recv->group, i, res, flags, false);
	recv->is_granted = false;
	recv->is_served = true;
	if (is_last)
		r = rearm(recv);
	if (tell(loop, recv, buffer + msg_offset(recv), size) && r < 0)
		end_recv(loop, recv, r);
}

/* Does this completion bring data, and in which buffer? */
static bool has_data(const struct evring_recv *recv, int res, unsigned flags,
		     unsigned *ret_buffer)
{
	if (evr_likely(!recv->group->is_plain)) {
		*ret_buffer = flags >> IORING_CQE_BUFFER_SHIFT;
		return res > 0 && flags & IORING_CQE_F_BUFFER;
	}
	*ret_buffer = recv->buffer;
	return recv->state == TRYING && (res > 0 || (is_msg(recv) && !res));
}

static void return_unused(struct evring_recv *recv, unsigned flags)
{
	struct evring_group *group = recv->group;

	if (group->is_plain && recv->state == TRYING) {
		evr_group_return(group, recv->buffer);
		recv->is_granted = false; /* passed on with the buffer */
	}
	if (!group->is_plain && flags & IORING_CQE_F_BUFFER)
		evr_group_return(group, flags >> IORING_CQE_BUFFER_SHIFT);
}

/* No buffer.  If one came back meanwhile, and nobody waits, it is ours. */
static int run_dry(struct evring_recv *recv)
{
	struct evring_group *group = recv->group;

	if (evr_group_grow(group))
		return ask_to_receive(recv, (enum recv_state)recv->state);
	if (recv->state == LISTENING)
		return ask_to_receive(recv, POLLED);
	if (recv->seen_puts != group->nr_puts && !evr_group_has_waiting(group))
		return try_now(recv);
	return wait_for_buffer(recv, recv->is_served ? EVR_BACK : EVR_FRONT);
}

static int readable(struct evring_recv *recv)
{
	if (evr_group_is_dry(recv->group) || evr_group_has_waiting(recv->group))
		return wait_for_buffer(recv, EVR_BACK);
	return try_now(recv);
}

static bool is_passing(const struct evring_recv *recv, int res)
{
	switch (recv->state) {
	case WAITING:
		return !res; /* woken */
	case POLLED:
		return res > 0; /* what poll(2) says */
	default:
		return res == -EAGAIN || res == -EINTR ||
		       (res == -ENOBUFS && !recv->group->is_plain);
	}
}

/* After a completion without data.  Returns 0, or what to end with. */
static int go_on_receiving(struct evring_recv *recv, int res)
{
	if (recv->is_stopping)
		return -ECANCELED;
	if (recv->state == WAITING)
		return try_now(recv);
	if (recv->state == POLLED)
		return readable(recv);
	if (res == -ENOBUFS)
		return run_dry(recv);
	pass_grant(recv);
	return listen_again(recv);
}

static void nothing_came(struct ev_loop *loop, struct evring_recv *recv,
			 int res, unsigned flags)
{
	int r;

	return_unused(recv, flags);
	if (!is_passing(recv, res)) {
		end_recv(loop, recv, res);
		return;
	}
	r = go_on_receiving(recv, res);
	if (r < 0)
		end_recv(loop, recv, r == -ENXIO ? -ECANCELED : r);
}

/* op->active stays set, also between two requests, until end_recv(). */
static void recv_answered(struct ev_loop *loop, struct evring_op *op,
			  int revents)
{
	struct evring_recv *recv = (struct evring_recv *)(void *)op;
	bool is_last = !op->active;
	unsigned i, flags = op->flags;
	int res = op->res;

	(void)revents;
	op->active = 1;
	if (evr_unlikely(!tell_rest(loop, recv)))
		return;
	if (!has_data(recv, res, flags, &i)) {
		if (is_last)
			nothing_came(loop, recv, res, flags);
	} else if (is_msg(recv)) {
		msg_came(loop, recv, i, res, flags, is_last);
	} else {
		data_came(loop, recv, i, res, flags, is_last);
	}
}

/*
 * start and stop
 */

static bool is_valid(const struct ev_loop *loop, const struct evring_recv *recv)
{
	const unsigned known = EVRING_RECV_MSG | EVRING_RECV_FIXED_FILE;
	const struct evring_group *group = recv->group;

	if (!recv->cb || !group || group->loop != loop || recv->flags & ~known)
		return false;
	if (!is_msg(recv))
		return true;
	return !(group->flags & EVRING_GROUP_INCREMENTAL) &&
	       recv->name_size < group->size &&
	       recv->control_size < group->size &&
	       msg_offset(recv) < group->size;
}

static int ask_socket(const struct evring_recv *recv, int option)
{
	socklen_t size = sizeof(int);
	int value = 0;

	if (recv->flags & EVRING_RECV_FIXED_FILE ||
	    getsockopt(recv->fd, SOL_SOCKET, option, &value, &size) < 0)
		return -1;
	return value;
}

static void choose_form(struct evring_recv *recv, unsigned have)
{
	bool is_unix = ask_socket(recv, SO_DOMAIN) == AF_UNIX; /* trap g */
	int type = is_msg(recv) ? ask_socket(recv, SO_TYPE) : -1;

	recv->is_stream = type == SOCK_STREAM || type == SOCK_SEQPACKET;
	recv->is_polled = recv->group->is_plain || (is_msg(recv) && is_unix);
	recv->is_single = is_unix;
	recv->is_bundle = have & EVR_HAVE_RECV_BUNDLE && !is_msg(recv) &&
			  !(recv->group->flags & EVRING_GROUP_INCREMENTAL) &&
			  !recv->group->is_plain;
}

static int start_recv(struct ev_loop *loop, struct evring_recv *recv)
{
	struct evr_poll *poll = evr_bind_find(loop);
	int r;

	if (!recv || !is_valid(loop, recv))
		return -EINVAL;
	if (recv->op.active)
		return -EBUSY;
	if (!poll)
		return -ENXIO;
	recv->op.cb = recv_answered;
	recv->queue = EVR_NO_QUEUE;
	recv->is_stopping = recv->is_user = recv->is_granted = false;
	recv->rest = 0;
	recv->gone = NULL;
	choose_form(recv, evr_poll_have(poll));
	r = listen_again(recv);
	if (r >= 0)
		recv->group->nr_active++;
	return r;
}

EVR_API int evring_recv_start(struct ev_loop *loop, struct evring_recv *recv)
{
	int error = errno;
	int r = start_recv(loop, recv);

	errno = error;
	return r;
}

/* Between two requests there is nothing to cancel: it will not be armed. */
EVR_API int evring_recv_stop(struct ev_loop *loop, struct evring_recv *recv)
{
	struct evr_poll *poll = evr_bind_find(loop);
	int error = errno;
	int r = 0;

	if (!recv)
		return -EINVAL;
	if (!recv->op.active)
		return 0;
	recv->is_stopping = true;
	if (poll)
		r = evr_poll_cancel(poll, &recv->op);
	errno = error;
	return r == -ENOENT ? 0 : r;
}
