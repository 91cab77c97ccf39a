/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * resp-table.c - see resp-table.h.
 *
 * It grows when there are as many links as buckets, and shrinks when there are
 * four times as many buckets.  Where there is no memory for a segment it stays
 * as it is, and chains get longer: an insertion cannot fail.
 */
#include "resp-table.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum {
	MIN_BUCKETS = 1 << TABLE_MIN_BITS,
	SHRINK_STEP = 8 /* more than 4: buckets go away as fast as links */
};

#define MAX_BUCKETS (1u << (TABLE_SEGMENTS - 1 + TABLE_MIN_BITS))

int table_init(struct table *table)
{
	memset(table, 0, sizeof(*table));
	table->segments[0] = calloc(MIN_BUCKETS, sizeof(struct table_link *));
	if (!table->segments[0])
		return -ENOMEM;
	table->nr_buckets = MIN_BUCKETS;
	table->mask = MIN_BUCKETS - 1;
	return 0;
}

void table_clear(struct table *table)
{
	for (unsigned i = 1; i < TABLE_SEGMENTS; i++) {
		free(table->segments[i]);
		table->segments[i] = NULL;
	}
	memset(table->segments[0], 0, MIN_BUCKETS * sizeof(void *));
	table->nr_buckets = MIN_BUCKETS;
	table->mask = MIN_BUCKETS - 1;
	table->nr_links = 0;
}

void table_exit(struct table *table)
{
	for (unsigned i = 0; i < TABLE_SEGMENTS; i++)
		free(table->segments[i]);
	memset(table, 0, sizeof(*table));
}

/* If a segment begins with bucket i, make it. */
static int make_segment(struct table *table, uint32_t i)
{
	struct table_link ***segment;

	if (i & table->mask)
		return 0;
	segment = &table->segments[32 - __builtin_clz(i >> TABLE_MIN_BITS)];
	if (!*segment)
		*segment = calloc(i, sizeof(struct table_link *));
	return *segment ? 0 : -ENOMEM;
}

/* Move the links that belong into bucket to, from the one that had them. */
static void split_bucket(struct table_link **from, struct table_link **to,
			 uint32_t bit)
{
	while (*from) {
		struct table_link *link = *from;

		if (!(link->hash & bit)) {
			from = &link->next;
			continue;
		}
		*from = link->next;
		link->next = *to;
		*to = link;
	}
}

static void grow(struct table *table)
{
	uint32_t i = table->nr_buckets, bit = table->mask + 1;

	if (i == MAX_BUCKETS || make_segment(table, i) != 0)
		return;
	split_bucket(table_bucket(table, i - bit), table_bucket(table, i), bit);
	table->nr_buckets++;
	if (table->nr_buckets == 2 * bit)
		table->mask = 2 * bit - 1;
}

static void free_segment(struct table *table, uint32_t i)
{
	struct table_link ***segment =
		&table->segments[32 - __builtin_clz(i >> TABLE_MIN_BITS)];

	free(*segment);
	*segment = NULL;
}

static void shrink(struct table *table)
{
	uint32_t i = table->nr_buckets - 1;
	struct table_link **from, **to;

	if (i < table->mask + 1)
		table->mask /= 2;
	from = table_bucket(table, i);
	for (to = table_bucket(table, i & table->mask); *to; to = &(*to)->next)
		;
	*to = *from;
	*from = NULL;
	table->nr_buckets = i;
	if ((i & table->mask) == 0)
		free_segment(table, i);
}

static bool is_sparse(const struct table *table)
{
	return table->nr_links < table->nr_buckets / 4 &&
	       table->nr_buckets > MIN_BUCKETS;
}

void table_insert(struct table *table, struct table_link *link)
{
	struct table_link **chain = table_chain(table, link->hash);

	link->next = *chain;
	*chain = link;
	table->nr_links++;
	if (table->nr_links > table->nr_buckets)
		grow(table);
}

void table_remove(struct table *table, struct table_link **place)
{
	*place = (*place)->next;
	table->nr_links--;
	for (unsigned i = 0; i < SHRINK_STEP && is_sparse(table); i++)
		shrink(table);
}
