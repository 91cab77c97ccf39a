/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * resp-keys.c - commands on keys and their times.
 */
#include "resp-commands.h"

void run_del(struct call *call)
{
	int64_t nr = 0;

	for (uint32_t i = 1; i < call->nr_args; i++) {
		call_lock(call, i);
		nr += store_delete(call->store, call_arg(call, i));
		call_unlock(call);
	}
	reply_number(call->reply, nr);
}

void run_exists(struct call *call)
{
	int64_t nr = 0;

	for (uint32_t i = 1; i < call->nr_args; i++) {
		call_lock(call, i);
		nr += store_get(call->store, call_arg(call, i)) != NULL;
		call_unlock(call);
	}
	reply_number(call->reply, nr);
}

void run_type(struct call *call)
{
	if (store_find(call->store, call_arg(call, 1)))
		reply_literal(call->reply, "+string\r\n");
	else
		reply_literal(call->reply, "+none\r\n");
}

void run_dbsize(struct call *call)
{
	struct shards_sum sum;

	shards_add_up(call->server->shards, &sum);
	reply_number(call->reply, (int64_t)sum.nr_keys);
}

static void clear_all(struct server *server)
{
	struct shards *shards = server->shards;

	for (unsigned i = 0; i < shards->nr; i++) {
		struct store *store = shards_lock(shards, i, server->now);

		store_clear(store);
		shards_unlock(shards, store);
	}
}

/* SYNC or ASYNC, as clients say, is the same here. */
void run_flushall(struct call *call)
{
	if (call->nr_args > 2 ||
	    (call->nr_args == 2 && !call_arg_is(call, 1, "sync") &&
	     !call_arg_is(call, 1, "async"))) {
		call_refuse_syntax(call);
		return;
	}
	clear_all(call->server);
	reply_ok(call->reply);
}

/* A time that is over deletes the key. */
static void expire(struct call *call, int64_t unit)
{
	struct text key = call_arg(call, 1);
	struct entry *entry;
	int64_t number, due;

	if (!call_number(call, 2, &number))
		return;
	if (!call_due(call, number, unit, &due)) {
		call_refuse_time(call);
		return;
	}
	entry = store_find(call->store, key);
	if (!entry) {
		reply_number(call->reply, 0);
	} else if (number <= 0) {
		store_delete(call->store, key);
		reply_number(call->reply, 1);
	} else if (store_set_due(call->store, entry, due) == 0) {
		reply_number(call->reply, 1);
	} else {
		call_refuse_memory(call);
	}
}

void run_expire(struct call *call)
{
	expire(call, 1000);
}

void run_pexpire(struct call *call)
{
	expire(call, 1);
}

void run_persist(struct call *call)
{
	struct entry *entry = store_find(call->store, call_arg(call, 1));
	bool has_time = entry && entry->place;

	if (has_time)
		store_set_due(call->store, entry, STORE_NEVER);
	reply_number(call->reply, has_time);
}

/* -2: there is no such key; -1: it lives for ever. */
static int64_t left_of(struct call *call)
{
	struct entry *entry = store_find(call->store, call_arg(call, 1));

	if (!entry)
		return -2;
	if (!entry->place)
		return -1;
	return store_due(call->store, entry) - call->store->now;
}

void run_pttl(struct call *call)
{
	reply_number(call->reply, left_of(call));
}

void run_ttl(struct call *call)
{
	int64_t left = left_of(call);

	reply_number(call->reply, left < 0 ? left : (left + 500) / 1000);
}
