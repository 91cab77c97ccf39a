/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * proxy.h - what the parts of the proxy share: its options, its worker, and
 * chunks, which are bytes on their way from one side to the other.
 */
#ifndef PROXY_H
#define PROXY_H

#include "daemon/stream.h"

#include <linux/time_types.h>

struct proxy_options {
	struct endpoints targets;	/* --to */
	struct __kernel_timespec limit; /* --connect-timeout */
	uint64_t buffer;		/* bytes for each direction */
	double connect_timeout;
};

extern struct proxy_options proxy_options;

struct proxy_worker {
	struct worker worker;
	unsigned next_target;
	unsigned nr_spare;    /* in spare_copies */
	struct chunk *chunks; /* one for each buffer of the group */
	struct chunk *spare;  /* of them, for buffers */
	struct chunk *spare_copies;
	counter nr_sessions, nr_connects, nr_failed, nr_late, nr_given_up;
	counter nr_broken_off, nr_pauses, nr_copies;
	counter bytes_to[2]; /* enum which */
};

static inline struct proxy_worker *proxy_of(struct worker *worker)
{
	return (struct proxy_worker *)worker;
}

/*
 * Chunks: proxy-chunk.c
 */

struct chunk {
	struct evring_piece piece;
	void *buffer; /* of the worker's group; NULL: the bytes are in copy */
	struct chunk *next;
	char copy[];
};

int chunks_init(struct proxy_worker *proxy);
void chunks_exit(struct proxy_worker *proxy);

/* size bytes at data, a buffer of the worker's group, which is the chunk's from
   now on.  NULL: no memory, and the buffer is given back. */
struct chunk *chunk_get(struct proxy_worker *proxy, void *data, size_t size);
void chunk_put(struct proxy_worker *proxy, struct chunk *chunk);

/*
 * Sessions: proxy-session.c
 */

enum which { CLIENT, SERVER };

/* Forward fd, a connection that was accepted. */
void session_begin(struct worker *worker, int fd);

/* Reset all sessions of the worker. */
void sessions_cut(struct worker *worker);

#endif
