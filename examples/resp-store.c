/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * resp-store.c - see resp-store.h.
 */
#include "resp-store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define container_of(pointer, type, member)                                    \
	((type *)((char *)(pointer)-offsetof(type, member)))

enum {
	MAX_USES = 3,
	MAX_LOOKS = 32, /* entries the hand looks at for each that it takes */
	MALLOC_HEADER = 8,
	MALLOC_UNIT = 16,
	MAPPED_SIZE = 128 * 1024, /* glibc maps such blocks by themselves */
	PAGE_BYTES = 4096,
	SMALL_ROOM = 256
};

/*
 * Memory
 */

/* What malloc (size) takes, as glibc does it; others are not far from it. */
static size_t block_size(size_t size)
{
	size_t unit = size >= MAPPED_SIZE ? PAGE_BYTES : MALLOC_UNIT;

	return (size + MALLOC_HEADER + unit - 1) / unit * unit;
}

static size_t entry_size(const struct entry *entry)
{
	return block_size(offsetof(struct entry, bytes) + entry->room);
}

size_t store_used(const struct store *store)
{
	return store->entries_size +
	       store->table.nr_buckets * sizeof(struct table_link *) +
	       store->heap.room * sizeof(struct heap_node);
}

static size_t limit_of(const struct store *store)
{
	size_t beside = 0;

	if (store->beside)
		beside = atomic_load_explicit(store->beside,
					      memory_order_relaxed) /
			 store->nr_beside;
	return beside < store->limit ? store->limit - beside : 0;
}

int store_init(struct store *store, const struct hash_seed *seed, size_t limit)
{
	memset(store, 0, sizeof(*store));
	store->seed = *seed;
	store->limit = limit;
	store->may_evict = true;
	return table_init(&store->table);
}

static void free_entries(struct store *store)
{
	for (uint32_t i = 0; i < store->table.nr_buckets; i++) {
		struct table_link *link = *table_bucket(&store->table, i);

		while (link) {
			struct table_link *next = link->next;

			free(link);
			link = next;
		}
	}
	heap_exit(&store->heap);
	store->entries_size = 0;
}

void store_clear(struct store *store)
{
	free_entries(store);
	table_clear(&store->table);
}

void store_exit(struct store *store)
{
	free_entries(store);
	table_exit(&store->table);
}

/*
 * Finding
 */

static struct entry *entry_of(struct table_link *link)
{
	return container_of(link, struct entry, link);
}

static bool has_key(const struct entry *entry, struct text key)
{
	return entry->key_size == key.size &&
	       memcmp(entry->bytes, key.bytes, key.size) == 0;
}

static uint32_t hash_of(const struct store *store, struct text key)
{
	return (uint32_t)resp_hash(&store->seed, key.bytes, key.size);
}

/* What points at the entry of key, or at the end of its chain. */
static struct table_link **find_place(struct store *store, struct text key,
				      uint32_t hash)
{
	struct table_link **place = table_chain(&store->table, hash);

	while (*place &&
	       ((*place)->hash != hash || !has_key(entry_of(*place), key)))
		place = &(*place)->next;
	return place;
}

static void remove_at(struct store *store, struct table_link **place)
{
	struct entry *entry = entry_of(*place);

	heap_remove(&store->heap, &entry->place);
	table_remove(&store->table, place);
	store->entries_size -= entry_size(entry);
	free(entry);
}

static void remove_entry(struct store *store, struct entry *entry)
{
	struct table_link **place =
		table_chain(&store->table, entry->link.hash);

	while (*place != &entry->link)
		place = &(*place)->next;
	remove_at(store, place);
}

static bool is_due(const struct store *store, const struct entry *entry)
{
	return entry->place &&
	       heap_due(&store->heap, entry->place) <= store->now;
}

static struct entry *find(struct store *store, struct text key, uint32_t hash)
{
	struct table_link **place = find_place(store, key, hash);

	if (!*place)
		return NULL;
	if (is_due(store, entry_of(*place))) {
		remove_at(store, place);
		store->nr_expired++;
		return NULL;
	}
	return entry_of(*place);
}

static void use(struct entry *entry)
{
	if (entry->uses < MAX_USES)
		entry->uses++;
}

struct entry *store_find(struct store *store, struct text key)
{
	return find(store, key, hash_of(store, key));
}

struct entry *store_get(struct store *store, struct text key)
{
	struct entry *entry = store_find(store, key);

	if (!entry) {
		store->nr_misses++;
		return NULL;
	}
	store->nr_hits++;
	use(entry);
	return entry;
}

/*
 * Evicting
 */

/* The hand passes one bucket.  Is there one without uses?  Else the best one
   so far becomes the one with the fewest. */
static bool look_at_bucket(struct store *store, const struct entry *kept,
			   struct entry **best, unsigned *nr_looks)
{
	struct table_link *link;

	if (store->hand >= store->table.nr_buckets)
		store->hand = 0;
	link = *table_bucket(&store->table, store->hand++);
	for (; link; link = link->next) {
		struct entry *entry = entry_of(link);

		if (entry == kept)
			continue;
		++*nr_looks;
		if (!*best || entry->uses < (*best)->uses)
			*best = entry;
		if (entry->uses == 0)
			return true;
		entry->uses--;
	}
	return false;
}

/* Returns false if there is none but kept. */
static bool evict_one(struct store *store, const struct entry *kept)
{
	struct entry *best = NULL;
	unsigned nr_looks = 0;

	if (store_nr(store) <= (kept ? 1 : 0))
		return false;
	while (!look_at_bucket(store, kept, &best, &nr_looks) &&
	       nr_looks < MAX_LOOKS)
		;
	remove_entry(store, best);
	store->nr_evicted++;
	return true;
}

/* Evict until size more bytes are within the limit.  kept is to be replaced
   and stays so long. */
static bool make_room(struct store *store, size_t size,
		      const struct entry *kept)
{
	size_t given = kept ? entry_size(kept) : 0;
	size_t limit = limit_of(store);

	if (size > limit)
		return false;
	while (store_used(store) + size > limit + given)
		if (!store->may_evict || !evict_one(store, kept))
			return false;
	return true;
}

/*
 * Making
 */

/* May a value be replaced in place?  Not if much of the room were wasted. */
static bool has_room(const struct entry *entry, size_t size)
{
	return size <= entry->room &&
	       (entry->room <= SMALL_ROOM || size >= entry->room / 2);
}

static struct entry *new_entry(struct store *store, struct text key,
			       uint32_t hash, size_t room)
{
	size_t header = offsetof(struct entry, bytes);
	size_t size = block_size(header + room) - MALLOC_HEADER;
	struct entry *entry = malloc(size);

	if (!entry)
		return NULL;
	entry->link = (struct table_link){ .hash = hash };
	entry->key_size = key.size;
	entry->value_size = 0;
	entry->room = size - header;
	entry->place = 0;
	entry->uses = 0;
	memcpy(entry->bytes, key.bytes, key.size);
	store->entries_size += entry_size(entry);
	return entry;
}

static void replace(struct store *store, struct entry *old, struct entry *entry,
		    size_t kept)
{
	struct text key = { old->bytes, old->key_size };

	if (kept > old->value_size)
		kept = old->value_size;
	memcpy(entry_value(entry), entry_value(old), kept);
	entry->place = old->place;
	entry->uses = old->uses;
	heap_moved(&store->heap, &entry->place);
	entry->link.next = old->link.next;
	*find_place(store, key, old->link.hash) = &entry->link;
	store->entries_size -= entry_size(old);
	free(old);
}

struct entry *store_make(struct store *store, struct text key, size_t size,
			 size_t kept, size_t spare)
{
	uint32_t hash = hash_of(store, key);
	struct entry *old = find(store, key, hash), *entry = old;
	size_t room = key.size + size + spare;

	if (room > UINT32_MAX / 2)
		return NULL;
	if (!old || !has_room(old, key.size + size)) {
		size_t block = block_size(offsetof(struct entry, bytes) + room);

		if (!make_room(store, block, old))
			return NULL;
		entry = new_entry(store, key, hash, room);
		if (!entry)
			return NULL;
		if (old)
			replace(store, old, entry, kept);
		else
			table_insert(&store->table, &entry->link);
	}
	entry->value_size = size;
	use(entry);
	return entry;
}

bool store_delete(struct store *store, struct text key)
{
	struct entry *entry = store_find(store, key);

	if (entry)
		remove_entry(store, entry);
	return entry != NULL;
}

/*
 * Time
 */

int64_t store_due(const struct store *store, const struct entry *entry)
{
	return entry->place ? heap_due(&store->heap, entry->place)
			    : STORE_NEVER;
}

int store_set_due(struct store *store, struct entry *entry, int64_t due)
{
	if (due == STORE_NEVER) {
		heap_remove(&store->heap, &entry->place);
		return 0;
	}
	if (!entry->place && heap_reserve(&store->heap) != 0)
		return -ENOMEM;
	heap_set(&store->heap, &entry->place, due);
	return 0;
}

int64_t store_next_due(const struct store *store)
{
	const struct heap_node *first = heap_first(&store->heap);

	return first ? first->due : STORE_NEVER;
}

unsigned store_expire(struct store *store, unsigned max)
{
	unsigned nr = 0;

	while (nr < max && store_next_due(store) <= store->now) {
		uint32_t *place = heap_first(&store->heap)->place;

		remove_entry(store, container_of(place, struct entry, place));
		nr++;
	}
	store->nr_expired += nr;
	return nr;
}
