/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * resp-table.h - a hash table that never stops to rehash.
 *
 * It has as many buckets as it wants, not only powers of two (linear hashing):
 * each insertion that makes it too full adds one bucket and splits one; removal
 * does the reverse.  So no operation costs more than a few buckets, and there
 * is never a second table beside the first.
 *
 * Buckets are in segments: the first has MIN_BUCKETS, each further one as many
 * as all before it; bucket i is in the segment of i's highest bit.
 *
 * Invariants:
 *
 * (1) mask + 1 is the greatest power of two that is not above nr_buckets.
 * (2) A link is in bucket hash & (2 * mask + 1) if that is there, else in
 *     hash & mask.
 */
#ifndef RESP_TABLE_H
#define RESP_TABLE_H

#include <stdint.h>

enum { TABLE_SEGMENTS = 22, TABLE_MIN_BITS = 10 };

struct table_link {
	struct table_link *next;
	uint32_t hash;
};

struct table {
	struct table_link **segments[TABLE_SEGMENTS];
	uint32_t nr_buckets, mask;
	uint64_t nr_links;
};

/* 0 or -ENOMEM. */
int table_init(struct table *table);

/* The links are the caller's, and are forgotten. */
void table_clear(struct table *table);
void table_exit(struct table *table);

/* i < nr_buckets; what points at the first link of it. */
static inline struct table_link **table_bucket(const struct table *table,
					       uint32_t i)
{
	uint32_t high = i >> TABLE_MIN_BITS;
	unsigned segment;

	if (high == 0)
		return &table->segments[0][i];
	segment = 32 - (unsigned)__builtin_clz(high);
	return &table->segments[segment]
			       [i - (1u << (segment - 1 + TABLE_MIN_BITS))];
}

/* Where links with hash are: invariant 2. */
static inline struct table_link **table_chain(const struct table *table,
					      uint32_t hash)
{
	uint32_t i = hash & (2 * table->mask + 1);

	return table_bucket(table,
			    i < table->nr_buckets ? i : hash & table->mask);
}

/* link->hash is set. */
void table_insert(struct table *table, struct table_link *link);

/* place points at the link, in its chain. */
void table_remove(struct table *table, struct table_link **place);

#endif
