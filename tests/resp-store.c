/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * resp-store.c - keys, values and times of examples/resp, and their memory.
 */
#include "config.h"

#include "harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../examples/resp-store.h"

#define NR_OF(array) ((int)(sizeof(array) / sizeof((array)[0])))

enum { PLENTY = 1 << 28 };

static const struct hash_seed seed = { 1, 2 };
static struct store store;

static void setup(void)
{
	ck_assert_int_eq(store_init(&store, &seed, PLENTY), 0);
	store.now = 1000;
}

static void teardown(void)
{
	store_exit(&store);
}

static struct text text_of(const char *string)
{
	return (struct text){ string, strlen(string) };
}

/* One at a time. */
static struct text key_of(int i)
{
	static char key[16];

	snprintf(key, sizeof(key), "key:%d", i);
	return text_of(key);
}

static struct entry *put(struct text key, const char *value)
{
	size_t size = strlen(value);
	struct entry *entry = store_make(&store, key, size, 0, 0);

	if (entry)
		memcpy(entry_value(entry), value, size);
	return entry;
}

static bool has(struct text key, const char *value)
{
	struct entry *entry = store_find(&store, key);

	return entry && entry->value_size == strlen(value) &&
	       memcmp(entry_value(entry), value, entry->value_size) == 0;
}

/* With the seed 0, as another implementation has them. */
START_TEST(hash_is_siphash_1_3)
{
	static const struct {
		const char *text;
		uint64_t hash;
	} rows[] = {
		{ "a", 0x407448d2b89b1813 },
		{ "abcdefg", 0x6db12aae9070f506 },
		{ "abcdefgh", 0x3f7b849c0b8e35ea },
		{ "abcdefghijklmnopq", 0x61c47e6da27eaccc },
	};
	struct hash_seed none = { 0, 0 };

	for (int i = 0; i < NR_OF(rows); i++)
		ck_assert(resp_hash(&none, rows[i].text,
				    strlen(rows[i].text)) == rows[i].hash);
}
END_TEST

START_TEST(keys_are_bytes)
{
	struct text with_zero = { "a\0b", 3 }, shorter = { "a", 1 };
	struct text empty = { "", 0 };

	ck_assert(put(with_zero, "1") && put(shorter, "2") && put(empty, "3"));
	ck_assert(has(with_zero, "1"));
	ck_assert(has(shorter, "2"));
	ck_assert(has(empty, "3"));
	ck_assert(store_delete(&store, empty));
	ck_assert(!store_delete(&store, empty));
	ck_assert_uint_eq(store_nr(&store), 2);
}
END_TEST

/* Grown and shrunk again, with all that is there found at each step. */
START_TEST(table_holds_many_and_gives_them_back)
{
	size_t empty = store_used(&store);
	enum { NR = 50000 };

	for (int i = 0; i < NR; i++)
		ck_assert(put(key_of(i), "v"));
	ck_assert_uint_eq(store_nr(&store), NR);
	ck_assert_uint_ge(store.table.nr_buckets, NR - 1);
	for (int i = 0; i < NR; i++)
		ck_assert(has(key_of(i), "v"));
	for (int i = 0; i < NR; i++) {
		ck_assert(store_delete(&store, key_of(i)));
		ck_assert(i == NR - 1 || has(key_of(i + (NR - i) / 2), "v"));
	}
	ck_assert_uint_eq(store_nr(&store), 0);
	ck_assert_uint_eq(store_used(&store), empty);
}
END_TEST

START_TEST(clear_leaves_a_store_that_works)
{
	size_t empty = store_used(&store);

	for (int i = 0; i < 5000; i++)
		store_set_due(&store, put(key_of(i), "v"), 2000 + i);
	store_clear(&store);
	ck_assert_uint_eq(store_used(&store), empty);
	ck_assert(store_next_due(&store) == STORE_NEVER);
	ck_assert(put(key_of(1), "w"));
	ck_assert(has(key_of(1), "w"));
}
END_TEST

START_TEST(making_keeps_what_it_is_told_to)
{
	struct text key = text_of("k");
	struct entry *entry = put(key, "0123456789");

	store_set_due(&store, entry, 5000);
	for (size_t size = 11; size < 300000; size = size * 3 / 2) {
		entry = store_make(&store, key, size, 10, 0);
		ck_assert(memcmp(entry_value(entry), "0123456789", 10) == 0);
		ck_assert_uint_eq(entry->value_size, size);
		ck_assert(store_due(&store, entry) == 5000);
		memset(entry_value(entry) + 10, 'x', size - 10);
	}
	entry = store_make(&store, key, 5, 5, 0);
	ck_assert(has(key, "01234"));
	ck_assert_uint_lt(store_used(&store), 20000);
	store.now = 5000;
	ck_assert_ptr_null(store_find(&store, key));
}
END_TEST

/*
 * Time
 */

START_TEST(a_key_is_gone_when_it_is_due)
{
	struct entry *entry = put(text_of("k"), "v");

	ck_assert_int_eq(store_set_due(&store, entry, 1500), 0);
	ck_assert(store_next_due(&store) == 1500);
	store.now = 1499;
	ck_assert(has(text_of("k"), "v"));
	store.now = 1500;
	ck_assert_uint_eq(store_nr(&store), 1);
	ck_assert_ptr_null(store_get(&store, text_of("k")));
	ck_assert_uint_eq(store_nr(&store), 0);
	ck_assert_uint_eq(store.nr_expired, 1);
	ck_assert_uint_eq(store.nr_misses, 1);
}
END_TEST

START_TEST(a_key_can_be_made_to_stay)
{
	struct entry *entry = put(text_of("k"), "v");

	store_set_due(&store, entry, 1500);
	store_set_due(&store, entry, STORE_NEVER);
	ck_assert(store_next_due(&store) == STORE_NEVER);
	store.now = 2000;
	ck_assert(has(text_of("k"), "v"));
}
END_TEST

static uint32_t nr_later(const int64_t *due, int nr)
{
	uint32_t nr_found = 0;

	for (int i = 0; i < nr; i++)
		nr_found += due[i] > store.now && due[i] != STORE_NEVER;
	return nr_found;
}

/* Times are given, changed and taken away in a random order. */
START_TEST(keys_expire_in_the_order_of_their_times)
{
	enum { NR = 2000 };
	static int64_t due[NR];

	srand(11);
	for (int i = 0; i < 4 * NR; i++) {
		int k = rand() % NR;
		struct entry *entry = put(key_of(k), "v");

		due[k] = rand() % 4 ? 1001 + rand() % 1000 : STORE_NEVER;
		ck_assert_int_eq(store_set_due(&store, entry, due[k]), 0);
		if (rand() % 8 == 0) {
			store_delete(&store, key_of(k));
			due[k] = 0;
		}
	}
	for (store.now = 1000; store.now < 2001; store.now++) {
		while (store_expire(&store, 3) == 3)
			;
		ck_assert_uint_eq(store_nr_timed(&store), nr_later(due, NR));
	}
	for (int i = 0; i < NR; i++)
		ck_assert((store_find(&store, key_of(i)) != NULL) ==
			  (due[i] == STORE_NEVER));
}
END_TEST

START_TEST(expire_stops_at_its_bound)
{
	for (int i = 0; i < 10; i++)
		store_set_due(&store, put(key_of(i), "v"), 1001);
	store.now = 1001;
	ck_assert_uint_eq(store_expire(&store, 7), 7);
	ck_assert_uint_eq(store_nr(&store), 3);
	ck_assert_uint_eq(store_expire(&store, 7), 3);
	ck_assert_uint_eq(store.nr_expired, 10);
}
END_TEST

/*
 * Memory
 */

START_TEST(the_limit_holds)
{
	static char value[3000];
	size_t size;

	memset(value, 'v', sizeof(value) - 1);
	store.limit = 1 << 20;
	srand(3);
	for (int i = 0; i < 20000; i++) {
		struct entry *entry;

		size = (size_t)rand() % (sizeof(value) - 1);
		entry = put(key_of(rand() % 5000), value + size);
		ck_assert_ptr_nonnull(entry);
		if (rand() % 4 == 0)
			store_set_due(&store, entry, 1001 + rand() % 5000);
		/* The heap may double after the entry was made. */
		ck_assert_uint_le(store_used(&store), store.limit + 65536);
	}
	ck_assert_uint_gt(store.nr_evicted, 10000);
	ck_assert_uint_gt(store_used(&store), store.limit / 2);
}
END_TEST

START_TEST(what_others_hold_counts)
{
	_Atomic size_t beside = 0;

	store.limit = 1 << 20;
	store.beside = &beside;
	store.nr_beside = 1;
	for (int i = 0; i < 20000; i++)
		put(key_of(i), "value");
	ck_assert_uint_gt(store_used(&store), store.limit / 2);
	beside = 3 << 18;
	put(text_of("one more"), "value, which is a bit longer than others");
	ck_assert_uint_le(store_used(&store) + beside, store.limit);
	beside = 2 << 20;
	ck_assert_ptr_null(put(text_of("another"), "value"));
}
END_TEST

START_TEST(what_is_used_stays)
{
	int nr_kept = 0;

	store.limit = 1 << 20;
	for (int i = 0; i < 100; i++)
		put(key_of(i), "often");
	for (int i = 100; i < 100000; i++) {
		put(key_of(i), "once");
		store_get(&store, key_of(i % 100));
	}
	for (int i = 0; i < 100; i++)
		nr_kept += has(key_of(i), "often");
	ck_assert_int_ge(nr_kept, 95);
	ck_assert_uint_gt(store.nr_evicted, 50000);
}
END_TEST

START_TEST(without_eviction_it_is_full)
{
	struct entry *entry;
	int i;

	store.limit = 1 << 20;
	store.may_evict = false;
	for (i = 0; put(key_of(i), "value"); i++)
		ck_assert_int_lt(i, 100000);
	ck_assert_int_gt(i, 5000);
	ck_assert_uint_eq(store_nr(&store), (uint64_t)i);
	ck_assert(has(key_of(0), "value"));
	ck_assert(put(key_of(0), "other"));
	store_delete(&store, key_of(1));
	entry = put(text_of("k"), "value");
	ck_assert_ptr_nonnull(entry);
}
END_TEST

START_TEST(what_grows_is_not_evicted_for_itself)
{
	struct text key = text_of("k");
	struct entry *entry;
	size_t size = 4;

	store.limit = 1 << 20;
	put(key, "head");
	for (int i = 0; i < 3000; i++)
		put(key_of(i), "some other value that takes room");
	for (; size < 900000; size += 1000) {
		entry = store_make(&store, key, size, size - 1000, size / 4);
		if (!entry)
			break;
		ck_assert(memcmp(entry_value(entry), "head", 4) == 0);
	}
	ck_assert_uint_gt(size, 500000);
}
END_TEST

START_TEST(what_is_larger_than_all_evicts_nothing)
{
	store.limit = 1 << 20;
	put(text_of("k"), "v");
	ck_assert_ptr_null(store_make(&store, text_of("large"), 2 << 20, 0, 0));
	ck_assert(has(text_of("k"), "v"));
	ck_assert_uint_eq(store.nr_evicted, 0);
}
END_TEST

Suite *make_suite(void)
{
	Suite *suite = suite_create("resp-store");
	TCase *tcase = tcase_create("store");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, hash_is_siphash_1_3);
	tcase_add_test(tcase, keys_are_bytes);
	tcase_add_test(tcase, table_holds_many_and_gives_them_back);
	tcase_add_test(tcase, clear_leaves_a_store_that_works);
	tcase_add_test(tcase, making_keeps_what_it_is_told_to);
	tcase_add_test(tcase, a_key_is_gone_when_it_is_due);
	tcase_add_test(tcase, a_key_can_be_made_to_stay);
	tcase_add_test(tcase, keys_expire_in_the_order_of_their_times);
	tcase_add_test(tcase, expire_stops_at_its_bound);
	tcase_add_test(tcase, the_limit_holds);
	tcase_add_test(tcase, what_others_hold_counts);
	tcase_add_test(tcase, what_is_used_stays);
	tcase_add_test(tcase, without_eviction_it_is_full);
	tcase_add_test(tcase, what_grows_is_not_evicted_for_itself);
	tcase_add_test(tcase, what_is_larger_than_all_evicts_nothing);
	suite_add_tcase(suite, tcase);
	return suite;
}
