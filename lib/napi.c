/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * napi.c - NAPI busy polling: which queues a ring polls.
 *
 * A packet names the NAPI context (for short: the queue of a NIC) that it came
 * through, and a socket remembers that of its last packets.  A ring has a list
 * of such ids; a wait that is about to sleep polls them for a while first.  A
 * ring with an empty list sleeps at once.
 *
 * What to know:
 *
 * a) The kernel can fill the list itself (dynamic tracking, Linux 6.9), but
 *    only with the sockets that requests of the ring poll.  Our watchers are in
 *    an epoll set, and the kernel does not look through it.  So the list is
 *    ours (static tracking, 6.13), and we ask the sockets.
 * b) To register discards the list, and a ring with one issuer is told by its
 *    own thread only.  So it is told in a turn, not in evring_set_napi().
 * c) To unregister keeps the list, and its queues are polled once in each wait.
 *    So the list is discarded first.
 * d) Ids that nobody has any more are harmless: the kernel finds no queue.
 * e) Loopback, unix sockets and NICs without NAPI have no id; nor has a socket
 *    without packets.  What is no socket does not know the question.
 */
#include "config.h"

#include "napi.h"

#include <errno.h>
#include <sys/socket.h>

#include "ring.h"

/* The largest that evring_set_napi() takes, in seconds: some kernels take no
   more, and do not say so. */
static const double MAX_SECONDS = 0.01;

/* Not for NaN. */
bool evr_napi_is_valid(double seconds)
{
	return seconds >= 0. && seconds <= MAX_SECONDS;
}

void evr_napi_set(struct evr_napi *napi, double seconds)
{
	unsigned usec = (unsigned)(seconds * 1e6 + 0.5);

	napi->is_due |= usec != napi->usec;
	napi->usec = usec;
}

/*
 * the list
 */

static bool add_to_list(struct evr_ring *ring, unsigned id)
{
	struct evr_uring_napi add = { .opcode = EVR_NAPI_STATIC_ADD_ID,
				      .op_param = id };
	int r = evr_ring_register(ring, IORING_REGISTER_NAPI, &add);

	return r >= 0 || r == -EEXIST;
}

static void remove_from_list(struct evr_ring *ring, unsigned id)
{
	struct evr_uring_napi remove = { .opcode = EVR_NAPI_STATIC_DEL_ID,
					 .op_param = id };

	(void)evr_ring_register(ring, IORING_REGISTER_NAPI, &remove);
}

static bool is_known(const struct evr_napi *napi, unsigned id)
{
	unsigned i;

	for (i = 0; i < napi->nr_ids; i++)
		if (napi->ids[i] == id)
			return true;
	return false;
}

/* Where there is no place left, that of the oldest. */
static unsigned *find_place(struct evr_napi *napi, struct evr_ring *ring)
{
	unsigned *place;

	if (napi->nr_ids < EVR_NAPI_QUEUES)
		return &napi->ids[napi->nr_ids++];
	place = &napi->ids[napi->oldest];
	napi->oldest = (napi->oldest + 1) % EVR_NAPI_QUEUES;
	remove_from_list(ring, *place);
	return place;
}

static void add_queue(struct evr_napi *napi, struct evr_ring *ring, unsigned id)
{
	if (is_known(napi, id) || !add_to_list(ring, id))
		return;
	*find_place(napi, ring) = id;
	ring->config.stats->napi_queues = napi->nr_ids;
}

void evr_napi_ask(struct evr_napi *napi, struct evr_ring *ring, int fd)
{
	unsigned id = 0;
	socklen_t size = sizeof(id);
	int error = errno;

	if (getsockopt(fd, SOL_SOCKET, SO_INCOMING_NAPI_ID, &id, &size) >= 0 &&
	    id)
		add_queue(napi, ring, id);
	errno = error;
}

/*
 * before a wait
 */

static bool is_receiving(const struct io_uring_sqe *sqe)
{
	switch (sqe->opcode) {
	case IORING_OP_POLL_ADD:
	case IORING_OP_READ:
	case IORING_OP_READV:
	case IORING_OP_READ_FIXED:
	case IORING_OP_READ_MULTISHOT:
	case IORING_OP_RECV:
	case IORING_OP_RECVMSG:
		return !(sqe->flags & IOSQE_FIXED_FILE);
	default:
		return false;
	}
}

static void ask_requests(struct evr_napi *napi, struct evr_ring *ring)
{
	const struct io_uring_sqe *sqe;
	unsigned i;

	for (i = 0; (sqe = evr_ring_unsent(ring, i)); i++)
		if (is_receiving(sqe))
			evr_napi_ask(napi, ring, sqe->fd);
}

/* Registers the time, and discards the list of the ring. */
static bool register_time(struct evr_ring *ring, unsigned usec)
{
	struct evr_uring_napi napi = { .busy_poll_to = usec,
				       .opcode = EVR_NAPI_REGISTER_OP,
				       .op_param = EVR_NAPI_TRACKING_STATIC };

	return evr_ring_register(ring, IORING_REGISTER_NAPI, &napi) >= 0;
}

static void switch_off(struct evr_napi *napi, struct evr_ring *ring)
{
	struct evr_uring_napi was;

	if (register_time(ring, 0)) /* trap c */
		(void)evr_ring_register(ring, IORING_UNREGISTER_NAPI, &was);
	napi->usec = napi->nr_ids = napi->oldest = 0;
}

static void switch_on(struct evr_napi *napi, struct evr_ring *ring)
{
	unsigned i, nr_ids = napi->nr_ids;

	napi->nr_ids = 0;
	for (i = 0; i < nr_ids; i++)
		if (add_to_list(ring, napi->ids[i]))
			napi->ids[napi->nr_ids++] = napi->ids[i];
}

void evr_napi_tell(struct evr_napi *napi, struct evr_ring *ring)
{
	if (napi->is_due) {
		napi->is_due = false;
		if (napi->usec && register_time(ring, napi->usec))
			switch_on(napi, ring);
		else
			switch_off(napi, ring);
		ring->config.stats->napi_queues = napi->nr_ids;
	}
	if (napi->usec)
		ask_requests(napi, ring);
}
