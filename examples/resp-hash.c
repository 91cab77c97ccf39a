/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * resp-hash.c - SipHash of Aumasson and Bernstein, with one round for each
 * word and three at the end.
 *
 * With a hash that anybody can compute, a client could send keys that all fall
 * into one bucket, and each command would walk over all of them.  One round is
 * fewer than its authors recommend where hashes are seen; here nobody sees one.
 */
#include "resp-hash.h"

#include <endian.h>
#include <string.h>

struct state {
	uint64_t a, b, c, d;
};

static inline uint64_t rotate(uint64_t word, unsigned bits)
{
	return word << bits | word >> (64 - bits);
}

static inline void mix(struct state *s)
{
	s->a += s->b;
	s->b = rotate(s->b, 13) ^ s->a;
	s->a = rotate(s->a, 32);
	s->c += s->d;
	s->d = rotate(s->d, 16) ^ s->c;
	s->a += s->d;
	s->d = rotate(s->d, 21) ^ s->a;
	s->c += s->b;
	s->b = rotate(s->b, 17) ^ s->c;
	s->c = rotate(s->c, 32);
}

static inline void add_word(struct state *s, uint64_t word)
{
	s->d ^= word;
	mix(s);
	s->a ^= word;
}

/* nr bytes, 0 to 8, the first the lowest. */
static inline uint64_t load(const unsigned char *bytes, size_t nr)
{
	uint64_t word = 0;

	memcpy(&word, bytes, nr);
	return le64toh(word);
}

uint64_t resp_hash(const struct hash_seed *seed, const void *bytes, size_t size)
{
	const unsigned char *at = bytes;
	struct state s = {
		.a = seed->low ^ 0x736f6d6570736575,
		.b = seed->high ^ 0x646f72616e646f6d,
		.c = seed->low ^ 0x6c7967656e657261,
		.d = seed->high ^ 0x7465646279746573,
	};
	size_t left;

	for (left = size; left >= 8; left -= 8, at += 8)
		add_word(&s, load(at, 8));
	add_word(&s, load(at, left) | (uint64_t)size << 56);

	s.c ^= 0xff;
	mix(&s);
	mix(&s);
	mix(&s);
	return s.a ^ s.b ^ s.c ^ s.d;
}
