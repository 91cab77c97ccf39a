/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * resp-reply.h - what is answered to one client, gathered.
 *
 * Replies are written one behind the other into chunks, which are pieces to be
 * sent: as many replies as fit are one of them.  Chunks come from a pool of the
 * worker's, and go back to it when they were sent.
 *
 * Invariants:
 *
 * (1) pool->clients, which is all memory that clients cause (chunks in use, and
 *     what else they add), is at most pool->limit; so is the reply to one
 *     command at most reply->limit.  What would exceed that is not written:
 *     reply->is_lost says that the stream of replies has a hole, and the
 *     connection is of no use.
 */
#ifndef RESP_REPLY_H
#define RESP_REPLY_H

#include "resp-store.h"

#include <evring-net.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { CHUNK_ROOM = 4000, NUMBER_SIZE = 24 };

struct chunk {
	struct evring_piece piece;
	struct chunk *next; /* in the pool, or of the reply */
	size_t used, room;
	char bytes[];
};

struct pool {
	struct chunk *free;
	unsigned nr_free;
	size_t clients, limit;
	_Atomic size_t *total; /* of the pools of all workers */
};

struct reply {
	struct pool *pool;
	struct chunk *first, *last; /* not yet taken */
	size_t size;		    /* of these */
	size_t begun;		    /* size, when the last command began */
	size_t limit;		    /* of a command */
	bool is_lost;
};

/* What clients cause is also added to *total. */
void pool_init(struct pool *pool, size_t limit, _Atomic size_t *total);
void pool_exit(struct pool *pool);

/* Memory of a client's: false if there is none left.  The last quarter is for
   small portions: who holds much does not shut out who wants little. */
bool pool_take(struct pool *pool, size_t size);
void pool_give(struct pool *pool, size_t size);

void reply_init(struct reply *reply, struct pool *pool, size_t limit);

/* What follows is the reply to another command. */
static inline void reply_begin(struct reply *reply)
{
	reply->begun = reply->size;
}

/* All that was gathered, linked by next: the caller's. */
struct chunk *reply_take(struct reply *reply);

/* A chunk that was taken goes back. */
void chunk_free(struct pool *pool, struct chunk *chunk);

/* size bytes behind all others, to be written at once; NULL: is_lost. */
char *reply_reserve(struct reply *reply, size_t size);

/* Take back the last reservation: reply->size was size before it. */
void reply_undo(struct reply *reply, size_t size);

/* The digits of number at to, which has NUMBER_SIZE bytes; how many. */
size_t format_number(char *to, int64_t number);

/* As it is, with its CR LF. */
void reply_raw(struct reply *reply, const char *bytes, size_t size);
#define reply_literal(reply, text) reply_raw(reply, text, sizeof(text) - 1)

void reply_bulk(struct reply *reply, struct text text);
void reply_string(struct reply *reply, const char *string);
void reply_number(struct reply *reply, int64_t number);
void reply_array(struct reply *reply, uint64_t nr);

/* "-" and the text; what would end the line is written as blanks. */
__attribute__((format(printf, 2, 3))) void reply_error(struct reply *reply,
						       const char *format, ...);

static inline void reply_ok(struct reply *reply)
{
	reply_literal(reply, "+OK\r\n");
}

static inline void reply_null(struct reply *reply)
{
	reply_literal(reply, "$-1\r\n");
}

#endif
