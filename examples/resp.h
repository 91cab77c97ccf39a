/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * resp.h - the cache as a daemon: its worker, and a client's connection.
 */
#ifndef RESP_H
#define RESP_H

#include "daemon/daemon.h"
#include "daemon/stream.h"
#include "resp-commands.h"

struct resp_options {
	uint64_t memory;
	uint64_t max_bulk, max_request, max_args;
	uint64_t max_output, high_water;
	double stall;
	bool no_eviction;
};

extern struct resp_options resp_options;

struct cache {
	struct worker worker; /* the first member */
	struct server server;
	ev_timer expiry;    /* data: this */
	int64_t expiry_due; /* what it waits for, or STORE_NEVER */
	size_t high_water;  /* of one client's replies */
	uint64_t last_id;

	/* For the statistics. */
	counter nr_commands, nr_keys, nr_hits, nr_misses, nr_expired;
	counter nr_evicted, nr_refused, nr_cut, memory;
};

/* Milliseconds on a clock that is not set back. */
int64_t resp_now(void);

/* After commands: the timer and the statistics follow the store. */
void cache_settle(struct cache *cache);

/* A connection; fd is the callee's. */
void client_begin(struct worker *worker, int fd);

#endif
