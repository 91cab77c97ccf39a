/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * resp-store.h - keys and their values, within a bound of memory, some of them
 * for a time.
 *
 * An entry is one block of memory: what is known of it, its key, its value.  A
 * pointer to one is good until the next call that may make, delete or evict:
 * store_get(), store_find(), store_make(), store_delete(), store_expire(),
 * store_clear().
 *
 * Memory.  Counted are the entries as the allocator rounds them, the buckets
 * and the heap; what the fragmentation of the allocator adds is not.  When an
 * entry would exceed the limit others are evicted: a hand goes round the
 * buckets (CLOCK).  Each entry has a small number that grows when it is used
 * and shrinks when the hand passes; evicted is the first with 0, or, so that a
 * command never waits for long, the one with the least among some tens.  So
 * what is used often stays longer than what was used once.
 *
 * Time.  An entry that is due is gone for every reader from that millisecond
 * on; its memory is freed by who comes across it, or by store_expire().
 *
 * Invariants:
 *
 * (1) store_used() is at most limit - *beside / nr_beside after store_make(),
 * unless the caller's own memory grew. (2) entry->place is not 0 if and only if
 * the entry has a time.
 */
#ifndef RESP_STORE_H
#define RESP_STORE_H

#include "resp-hash.h"
#include "resp-heap.h"
#include "resp-table.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STORE_NEVER INT64_MAX

/* Bytes of somebody, not ended by a zero. */
struct text {
	const char *bytes;
	size_t size;
};

struct entry {
	struct table_link link; /* the first member */
	uint32_t key_size, value_size;
	uint32_t room;	/* for both */
	uint32_t place; /* in the heap, or 0 */
	uint8_t uses;
	char bytes[];
};

struct store {
	/* The caller's to set. */
	int64_t now;	/* milliseconds on a clock that is not set back */
	size_t limit;	/* of memory */
	bool may_evict; /* else store_make() fails when it is full */
	/* Memory that counts, too, in as many stores; NULL: none. */
	const _Atomic size_t *beside;
	unsigned nr_beside;

	/* To be read. */
	uint64_t nr_hits, nr_misses, nr_expired, nr_evicted;

	/* Private. */
	struct hash_seed seed;
	struct table table;
	struct heap heap;
	size_t entries_size;
	uint32_t hand;
};

/* 0 or -ENOMEM. */
int store_init(struct store *store, const struct hash_seed *seed, size_t limit);
void store_exit(struct store *store);

/* Delete all. */
void store_clear(struct store *store);

/* Memory in use, in bytes. */
size_t store_used(const struct store *store);

static inline uint64_t store_nr(const struct store *store)
{
	return store->table.nr_links;
}

static inline uint32_t store_nr_timed(const struct store *store)
{
	return store->heap.nr;
}

/* NULL if there is none.  get is a use of it, and a hit or a miss. */
struct entry *store_get(struct store *store, struct text key);
struct entry *store_find(struct store *store, struct text key);

static inline char *entry_value(struct entry *entry)
{
	return entry->bytes + entry->key_size;
}

/*
 * The entry of key, made if there is none, with a value of size bytes: the
 * first kept bytes (or as many as there were) of its value till now, the rest
 * undefined.  A time that it has stays.  spare: more room, for a value that
 * grows often.  NULL: there is no memory for it.
 */
struct entry *store_make(struct store *store, struct text key, size_t size,
			 size_t kept, size_t spare);

/* Was it there? */
bool store_delete(struct store *store, struct text key);

/* When entry is due: milliseconds, or STORE_NEVER. */
int64_t store_due(const struct store *store, const struct entry *entry);

/* 0 or -ENOMEM; STORE_NEVER always succeeds. */
int store_set_due(struct store *store, struct entry *entry, int64_t due);

/* When the next one is due. */
int64_t store_next_due(const struct store *store);

/* Delete at most max of those that are due; how many there were. */
unsigned store_expire(struct store *store, unsigned max);

#endif
