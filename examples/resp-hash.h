/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * resp-hash.h - which bucket a key belongs to, when others choose the keys.
 */
#ifndef RESP_HASH_H
#define RESP_HASH_H

#include <stddef.h>
#include <stdint.h>

struct hash_seed {
	uint64_t low, high;
};

/* SipHash-1-3.  Who does not know the seed cannot make keys that collide. */
uint64_t resp_hash(const struct hash_seed *seed, const void *bytes,
		   size_t size);

#endif
