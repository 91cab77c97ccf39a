/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * resp-shards.h - the keys of all workers: a store for each, with a lock.
 *
 * Any worker serves any client, so any thread uses any store.  Which one has a
 * key is a matter of the key's hash.  A lock is held for one key at a time, for
 * as long as it takes to copy a value, and to evict what has to make room for
 * it: commands on several keys lock one after the other, and are not one step
 * for who looks on from another worker.  With one worker nothing is locked, and
 * they are.  (Longer is what FLUSHALL takes: all that a store has is freed
 * under its lock.)
 *
 * Keys that are due are deleted by the worker with the number of the store.  It
 * waits for the first of them; who makes one that is due sooner wakes it.
 *
 * Invariants:
 *
 * (1) What is in a shard is touched under its lock only.
 * (2) awaited is what the owner waits for, at the latest once it has dealt with
 *     the async that is on its way; no key of the store is due before.
 */
#ifndef RESP_SHARDS_H
#define RESP_SHARDS_H

#include "resp-store.h"

#include <ev.h>
#include <pthread.h>
#include <stdatomic.h>

enum { MAX_SHARDS = 64 };

struct shard {
	pthread_mutex_t mutex;
	struct store store;
	int64_t awaited;      /* STORE_NEVER: nothing */
	struct ev_loop *loop; /* the owner's; NULL: there is none */
	ev_async *sooner;     /* of that loop */
};

struct shards {
	struct shard *at[MAX_SHARDS];
	unsigned nr;
	struct hash_seed seed;	/* of the choice of a shard */
	_Atomic size_t clients; /* memory of all clients */
};

/* nr stores that share the memory; 0 or -errno. */
int shards_init(struct shards *shards, unsigned nr, size_t memory,
		bool may_evict);
void shards_exit(struct shards *shards);

/* Between the two the store, of key or with a number, is the caller's. */
struct store *shards_lock_key(struct shards *shards, struct text key,
			      int64_t now);
struct store *shards_lock(struct shards *shards, unsigned i, int64_t now);
void shards_unlock(struct shards *shards, struct store *store);

/*
 * The owner's: sooner is sent to when something is due before the time that
 * shards_expire() returned.  Without loop there is no owner any more.
 */
void shards_own(struct shards *shards, unsigned i, struct ev_loop *loop,
		ev_async *sooner);

/* Delete at most max of those that are due; when the next one is. */
int64_t shards_expire(struct shards *shards, unsigned i, int64_t now,
		      unsigned max);

/* Of all of them. */
struct shards_sum {
	uint64_t nr_keys, nr_timed, nr_hits, nr_misses, nr_expired, nr_evicted;
	uint64_t memory; /* of keys and values */
};

void shards_add_up(struct shards *shards, struct shards_sum *ret_sum);

#endif
