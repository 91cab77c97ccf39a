/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * resp-reply.c - see resp-reply.h.
 */
#include "resp-reply.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { MAX_FREE = 256, MAX_ERROR = 512, SMALL_TAKE = 65536 };

/*
 * Memory
 */

void pool_init(struct pool *pool, size_t limit, _Atomic size_t *total)
{
	*pool = (struct pool){ .limit = limit, .total = total };
}

void pool_exit(struct pool *pool)
{
	while (pool->free) {
		struct chunk *chunk = pool->free;

		pool->free = chunk->next;
		free(chunk);
	}
	pool->nr_free = 0;
}

bool pool_take(struct pool *pool, size_t size)
{
	size_t limit = size > SMALL_TAKE ? pool->limit / 4 * 3 : pool->limit;

	if (pool->clients > limit || size > limit - pool->clients)
		return false;
	pool->clients += size;
	atomic_fetch_add_explicit(pool->total, size, memory_order_relaxed);
	return true;
}

void pool_give(struct pool *pool, size_t size)
{
	pool->clients -= size;
	atomic_fetch_sub_explicit(pool->total, size, memory_order_relaxed);
}

static size_t chunk_size(size_t room)
{
	return sizeof(struct chunk) + room;
}

static struct chunk *get_chunk(struct pool *pool, size_t room)
{
	struct chunk *chunk = pool->free;

	if (room > CHUNK_ROOM || !chunk) {
		chunk = malloc(chunk_size(room));
		if (chunk)
			chunk->room = room;
		return chunk;
	}
	pool->free = chunk->next;
	pool->nr_free--;
	return chunk;
}

static struct chunk *chunk_new(struct pool *pool, size_t size)
{
	size_t room = size < CHUNK_ROOM ? CHUNK_ROOM : size;
	struct chunk *chunk;

	if (!pool_take(pool, chunk_size(room)))
		return NULL;
	chunk = get_chunk(pool, room);
	if (!chunk) {
		pool_give(pool, chunk_size(room));
		return NULL;
	}
	chunk->next = NULL;
	chunk->used = 0;
	return chunk;
}

void chunk_free(struct pool *pool, struct chunk *chunk)
{
	pool_give(pool, chunk_size(chunk->room));
	if (chunk->room > CHUNK_ROOM || pool->nr_free == MAX_FREE) {
		free(chunk);
		return;
	}
	chunk->next = pool->free;
	pool->free = chunk;
	pool->nr_free++;
}

/*
 * Gathering
 */

void reply_init(struct reply *reply, struct pool *pool, size_t limit)
{
	*reply = (struct reply){ .pool = pool, .limit = limit };
}

struct chunk *reply_take(struct reply *reply)
{
	struct chunk *first = reply->first;

	reply->first = reply->last = NULL;
	reply->size = reply->begun = 0;
	return first;
}

static struct chunk *add_chunk(struct reply *reply, size_t size)
{
	struct chunk *chunk = chunk_new(reply->pool, size);

	if (!chunk)
		return NULL;
	if (reply->last)
		reply->last->next = chunk;
	else
		reply->first = chunk;
	reply->last = chunk;
	return chunk;
}

/* The one that has room for size bytes. */
static struct chunk *chunk_for(struct reply *reply, size_t size)
{
	struct chunk *last = reply->last;

	if (reply->is_lost ||
	    size > reply->limit - (reply->size - reply->begun))
		return NULL;
	if (last && last->room - last->used >= size)
		return last;
	return add_chunk(reply, size);
}

char *reply_reserve(struct reply *reply, size_t size)
{
	struct chunk *chunk = chunk_for(reply, size);

	if (!chunk) {
		reply->is_lost = true;
		return NULL;
	}
	chunk->used += size;
	reply->size += size;
	return chunk->bytes + chunk->used - size;
}

void reply_undo(struct reply *reply, size_t size)
{
	if (reply->is_lost || reply->size == size)
		return;
	reply->last->used -= reply->size - size;
	reply->size = size;
}

void reply_raw(struct reply *reply, const char *bytes, size_t size)
{
	char *to = reply_reserve(reply, size);

	if (to)
		memcpy(to, bytes, size);
}

/*
 * Forms
 */

size_t format_number(char *to, int64_t number)
{
	uint64_t rest = number < 0 ? -(uint64_t)number : (uint64_t)number;
	char digits[NUMBER_SIZE], *at = digits + sizeof(digits);
	size_t size;

	do {
		*--at = '0' + rest % 10;
		rest /= 10;
	} while (rest > 0);
	if (number < 0)
		*--at = '-';
	size = digits + sizeof(digits) - at;
	memcpy(to, at, size);
	return size;
}

/* "TNUMBER\r\n" at line, which has NUMBER_SIZE + 3 bytes; its size. */
static size_t format_line(char *line, char type, int64_t number)
{
	size_t size = 1;

	line[0] = type;
	size += format_number(line + 1, number);
	line[size++] = '\r';
	line[size++] = '\n';
	return size;
}

static void reply_line(struct reply *reply, char type, int64_t number)
{
	char line[NUMBER_SIZE + 3];

	reply_raw(reply, line, format_line(line, type, number));
}

void reply_number(struct reply *reply, int64_t number)
{
	reply_line(reply, ':', number);
}

void reply_array(struct reply *reply, uint64_t nr)
{
	reply_line(reply, '*', (int64_t)nr);
}

void reply_bulk(struct reply *reply, struct text text)
{
	char line[NUMBER_SIZE + 3];
	size_t head = format_line(line, '$', (int64_t)text.size);
	char *to = reply_reserve(reply, head + text.size + 2);

	if (!to)
		return;
	memcpy(to, line, head);
	memcpy(to + head, text.bytes, text.size);
	memcpy(to + head + text.size, "\r\n", 2);
}

void reply_string(struct reply *reply, const char *string)
{
	reply_bulk(reply, (struct text){ string, strlen(string) });
}

void reply_error(struct reply *reply, const char *format, ...)
{
	char line[MAX_ERROR] = "-";
	va_list args;
	size_t size;

	va_start(args, format);
	vsnprintf(line + 1, sizeof(line) - 3, format, args);
	va_end(args);
	size = strlen(line);
	for (size_t i = 0; i < size; i++)
		if (line[i] == '\r' || line[i] == '\n')
			line[i] = ' ';
	memcpy(line + size, "\r\n", 2);
	reply_raw(reply, line, size + 2);
}
