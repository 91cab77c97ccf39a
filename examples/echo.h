/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * echo.h - what the parts of the echo daemon know of each other.
 *
 *   echo.c             options, counters, which style serves
 *   echo-watchers.c    by ev_io, recv() and send()
 *   echo-operations.c  by requests of io_uring
 *   echo-ticks.c       how late timers are
 */
#ifndef EXAMPLES_ECHO_H
#define EXAMPLES_ECHO_H

#include "daemon/daemon.h"

struct echo_options {
	bool tcp_only, udp_only;
	uint64_t buffer; /* bytes of a peer's that wait for it */
	uint64_t max_requests;
	uint64_t nr_ticks;
	double tick;
};

extern struct echo_options echo_options;

struct echo_worker {
	struct worker worker;
	counter tcp_requests, udp_requests, timers;
	counter udp_bytes_in, udp_bytes_out, udp_dropped;
	void *of_style;
};

static inline struct echo_worker *echo_worker(struct worker *worker)
{
	return (struct echo_worker *)(void *)worker;
}

/* The callbacks of struct daemon, for each style of its own. */
struct echo_style {
	int (*begin)(struct worker *worker);
	void (*on_connection)(struct worker *worker, int fd);
	int (*on_udp)(struct worker *worker, int fd);
	void (*stop)(struct worker *worker);
	void (*cut)(struct worker *worker);
	void (*end)(struct worker *worker);
};

extern const struct echo_style echo_watchers, echo_operations;

/* One more read or datagram was served: maybe the last one (--requests). */
void echo_served(struct worker *worker, counter *requests);

/* How late timers are, in the first worker. */
int echo_ticks_begin(struct worker *worker);
void echo_ticks_stop(struct worker *worker);
void echo_ticks_print(void);

#endif
