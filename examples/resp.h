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
	ev_timer expiry;   /* data: this; a key of its shard is due */
	ev_async sooner;   /* data: this; another one is due before */
	size_t high_water; /* of one client's replies */
	size_t max_output; /* of one command's */
	uint64_t last_id;

	/* For the statistics. */
	counter nr_commands, nr_refused, nr_cut;
};

/* Milliseconds on a clock that is not set back. */
int64_t resp_now(void);

/* After commands: the statistics follow. */
void cache_settle(struct cache *cache);

/* A connection; fd is the callee's. */
void client_begin(struct worker *worker, int fd);

#endif
