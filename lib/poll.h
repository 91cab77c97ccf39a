/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * poll.h - which fds are ready: one turn of a loop on its ring.
 */
#ifndef EVR_POLL_H
#define EVR_POLL_H

#include "layout.h"

/* How to make the ring; see struct evr_ring_config. */
struct evr_poll_config {
	unsigned have;
	unsigned entries;
	bool user_region;
	bool restricted;	    /* EVRING_RESTRICT */
	double spin;		    /* as evring_config.spin, valid */
	double napi;		    /* as evring_config.napi, valid */
	struct evring_stats *stats; /* as evring_config.stats */
};

struct evr_poll;

/*
 * Make the readiness of one loop.  host is copied.  Fds that are watched
 * already are taken over.  Returns 0 or -errno; entries are halved as far as 8
 * where RLIMIT_MEMLOCK wants it.
 */
int evr_poll_new(struct evr_poll **ret_poll, const struct evr_host *host,
		 const struct evr_poll_config *config);

/*
 * Takes NULL.  libev's epoll set is as its own backend would have left it.
 * Operations are cancelled, and all that they have not heard of is told now.
 */
void evr_poll_free(struct evr_poll *poll);

/* libev wants other events of fd.  False: no ring, ask libev's backend. */
bool evr_poll_modify(struct evr_poll *poll, int fd, int oev, int nev);

/*
 * One turn: wait up to timeout seconds, tell libev what is ready.  False: there
 * is no ring any more, libev's backend had this turn and must go on alone.
 */
bool evr_poll_turn(struct evr_poll *poll, double timeout);

/* evring_set_collect(), with valid arguments and while there is a ring. */
int evr_poll_set_collect(struct evr_poll *poll, double seconds,
			 unsigned events);

/* evring_set_spin(), with valid seconds. */
int evr_poll_set_spin(struct evr_poll *poll, double seconds);

/* evring_io_edge() for a watcher of fd.  Returns 0 or -EINVAL. */
int evr_poll_set_edge(struct evr_poll *poll, int fd, const void *watcher);

/* evring_set_napi(), with valid seconds; and what was set last. */
int evr_poll_set_napi(struct evr_poll *poll, double seconds);
double evr_poll_napi(const struct evr_poll *poll);

struct io_uring_sqe;
struct evring_port;
struct evr_waker;

/* evring_port_start() for a port that is not active. */
int evr_poll_add_port(struct evr_poll *poll, struct evring_port *port);

/*
 * Wake the loop of waker with the next turn of poll, or when poll ends.  True:
 * waker, which the caller has got, is poll's to put.  False: not to be had.
 */
bool evr_poll_wake_later(struct evr_poll *poll, struct evr_waker *waker);

/*
 * evring_op_start() for an op that is not active.  Returns 0 or -errno: -ENXIO
 * if there is no ring, -EACCES if it is restricted.
 */
int evr_poll_start(struct evr_poll *poll, struct evring_op *op,
		   struct io_uring_sqe **ret_sqe);

/*
 * op, not active, becomes active without a request: it keeps the loop alive,
 * and ends when it is woken (with res), cancelled, or its ring goes.  Returns 0
 * or -errno, as above.
 */
int evr_poll_park(struct evr_poll *poll, struct evring_op *op);
void evr_poll_wake(struct evr_poll *poll, struct evring_op *op, int res);
bool evr_poll_is_parked(const struct evring_op *op);

/* evring_op_cancel(), evring_reserve(), evring_set_files(), evring_ring() */
int evr_poll_cancel(struct evr_poll *poll, struct evring_op *op);
int evr_poll_reserve(struct evr_poll *poll, unsigned nr);
int evr_poll_set_files(struct evr_poll *poll, unsigned nr);
int evr_poll_ring(struct evr_poll *poll, struct io_uring **ret_ring);

/* What its ring is made with: enum evr_have. */
unsigned evr_poll_have(const struct evr_poll *poll);

/* A number that no other ring of this process has or had.  What was registered
   with a ring is registered with that one only. */
uint64_t evr_poll_ring_id(const struct evr_poll *poll);

enum evring_tier evr_poll_tier(const struct evr_poll *poll);
const struct evring_stats *evr_poll_stats(const struct evr_poll *poll);

#endif
