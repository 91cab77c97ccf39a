/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * proxy-chunk.c - bytes on their way from one side to the other, mostly in the
 * buffer that they were received into.
 *
 * All connections of a worker receive into one group of buffers.  If those who
 * do not read could keep them all, nobody else would be served.  So the last
 * quarter of the group is for receiving only: bytes that come when no more than
 * that is free are copied, and the buffer is given back at once.
 *
 * Invariants:
 *
 * (1) A chunk for each buffer exists before the first connection, so one that
 *     names a buffer is always to be had.
 * (2) Copies are made in memory that was used for copies before, if there is
 *     any; as much is kept as the group has.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "proxy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void keep(struct chunk **spare, struct chunk *chunk)
{
	chunk->next = *spare;
	*spare = chunk;
}

static struct chunk *take(struct chunk **spare)
{
	struct chunk *chunk = *spare;

	if (chunk)
		*spare = chunk->next;
	return chunk;
}

int chunks_init(struct proxy_worker *proxy)
{
	unsigned i, nr = proxy->worker.group.nr_buffers;

	proxy->chunks = calloc(nr, sizeof(*proxy->chunks));
	if (!proxy->chunks)
		return -ENOMEM;
	for (i = nr; i--;)
		keep(&proxy->spare, &proxy->chunks[i]);
	return 0;
}

void chunks_exit(struct proxy_worker *proxy)
{
	struct chunk *chunk;

	while ((chunk = take(&proxy->spare_copies)))
		free(chunk);
	free(proxy->chunks);
}

static struct chunk *copy_get(struct proxy_worker *proxy, const void *data,
			      size_t size)
{
	struct chunk *chunk = take(&proxy->spare_copies);

	if (chunk)
		proxy->nr_spare--;
	else
		chunk = malloc(sizeof(*chunk) + proxy->worker.group.size);
	if (!chunk)
		return NULL;
	memcpy(chunk->copy, data, size);
	chunk->buffer = NULL;
	chunk->piece.bytes = chunk->copy;
	count(&proxy->nr_copies, 1);
	return chunk;
}

static bool is_scarce(const struct evring_group *group)
{
	return group->nr_free <= group->nr_buffers / 4;
}

struct chunk *chunk_get(struct proxy_worker *proxy, void *data, size_t size)
{
	struct chunk *chunk;

	if (is_scarce(&proxy->worker.group)) {
		chunk = copy_get(proxy, data, size);
		stream_put(&proxy->worker, data);
		if (!chunk)
			return NULL;
	} else {
		chunk = take(&proxy->spare);
		chunk->buffer = data;
		chunk->piece.bytes = data;
	}
	chunk->piece.size = size;
	return chunk;
}

void chunk_put(struct proxy_worker *proxy, struct chunk *chunk)
{
	if (chunk->buffer) {
		stream_put(&proxy->worker, chunk->buffer);
		keep(&proxy->spare, chunk);
	} else if (proxy->nr_spare < proxy->worker.group.nr_buffers) {
		proxy->nr_spare++;
		keep(&proxy->spare_copies, chunk);
	} else {
		free(chunk);
	}
}
