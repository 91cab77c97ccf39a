/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * resp-shards.c - see resp-shards.h.
 */
#include "resp-shards.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { CACHE_LINE = 64 };

#define container_of(pointer, type, member)                                    \
	((type *)((char *)(pointer)-offsetof(type, member)))

static struct shard *new_shard(struct shards *shards, unsigned nr,
			       size_t memory)
{
	size_t lines = (sizeof(struct shard) + CACHE_LINE - 1) / CACHE_LINE;
	struct shard *shard = aligned_alloc(CACHE_LINE, lines * CACHE_LINE);
	struct hash_seed seed;

	if (!shard)
		return NULL;
	memset(shard, 0, sizeof(*shard));
	if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed) ||
	    store_init(&shard->store, &seed, memory / nr) < 0) {
		free(shard);
		return NULL;
	}
	shard->store.beside = &shards->clients;
	shard->store.nr_beside = nr;
	shard->awaited = STORE_NEVER;
	pthread_mutex_init(&shard->mutex, NULL);
	return shard;
}

int shards_init(struct shards *shards, unsigned nr, size_t memory,
		bool may_evict)
{
	memset(shards, 0, sizeof(*shards));
	if (getrandom(&shards->seed, sizeof(shards->seed), 0) !=
	    sizeof(shards->seed))
		return -EIO;
	for (; shards->nr < nr; shards->nr++) {
		struct shard *shard = new_shard(shards, nr, memory);

		if (!shard) {
			shards_exit(shards);
			return -ENOMEM;
		}
		shard->store.may_evict = may_evict;
		shards->at[shards->nr] = shard;
	}
	return 0;
}

void shards_exit(struct shards *shards)
{
	while (shards->nr > 0) {
		struct shard *shard = shards->at[--shards->nr];

		store_exit(&shard->store);
		pthread_mutex_destroy(&shard->mutex);
		free(shard);
	}
}

/*
 * Locking
 */

struct store *shards_lock(struct shards *shards, unsigned i, int64_t now)
{
	struct shard *shard = shards->at[i];

	if (shards->nr > 1)
		pthread_mutex_lock(&shard->mutex);
	if (now > shard->store.now)
		shard->store.now = now;
	return &shard->store;
}

struct store *shards_lock_key(struct shards *shards, struct text key,
			      int64_t now)
{
	unsigned i = 0;

	if (shards->nr > 1)
		i = resp_hash(&shards->seed, key.bytes, key.size) % shards->nr;
	return shards_lock(shards, i, now);
}

void shards_unlock(struct shards *shards, struct store *store)
{
	struct shard *shard = container_of(store, struct shard, store);
	int64_t due = store_next_due(store);

	if (due < shard->awaited && shard->loop) {
		shard->awaited = due;
		ev_async_send(shard->loop, shard->sooner);
	}
	if (shards->nr > 1)
		pthread_mutex_unlock(&shard->mutex);
}

/*
 * The owner
 */

void shards_own(struct shards *shards, unsigned i, struct ev_loop *loop,
		ev_async *sooner)
{
	struct shard *shard = shards->at[i];

	shards_lock(shards, i, 0);
	shard->loop = loop;
	shard->sooner = sooner;
	shards_unlock(shards, &shard->store);
}

int64_t shards_expire(struct shards *shards, unsigned i, int64_t now,
		      unsigned max)
{
	struct store *store = shards_lock(shards, i, now);
	int64_t due;

	store_expire(store, max);
	due = shards->at[i]->awaited = store_next_due(store);
	shards_unlock(shards, store);
	return due;
}

void shards_add_up(struct shards *shards, struct shards_sum *ret_sum)
{
	struct shards_sum sum = { 0 };

	for (unsigned i = 0; i < shards->nr; i++) {
		struct store *store = shards_lock(shards, i, 0);

		sum.nr_keys += store_nr(store);
		sum.nr_timed += store_nr_timed(store);
		sum.nr_hits += store->nr_hits;
		sum.nr_misses += store->nr_misses;
		sum.nr_expired += store->nr_expired;
		sum.nr_evicted += store->nr_evicted;
		sum.memory += store_used(store);
		shards_unlock(shards, store);
	}
	*ret_sum = sum;
}
