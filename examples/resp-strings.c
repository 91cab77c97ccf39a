/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * resp-strings.c - commands on values.
 *
 * An entry is looked up again after whatever may evict it: see resp-store.h.
 */
#include "resp-commands.h"

#include <string.h>

static struct text value_of(struct entry *entry)
{
	return (struct text){ entry_value(entry), entry->value_size };
}

static void reply_value(struct call *call, struct entry *entry)
{
	if (entry)
		reply_bulk(call->reply, value_of(entry));
	else
		reply_null(call->reply);
}

/* Set key to value; due as in store_set_due().  Has it been done? */
static bool set_value(struct call *call, struct text key, struct text value,
		      int64_t due)
{
	struct entry *entry = store_make(call->store, key, value.size, 0, 0);

	if (!entry)
		return false;
	memcpy(entry_value(entry), value.bytes, value.size);
	if (store_set_due(call->store, entry, due) == 0)
		return true;
	store_delete(call->store, key);
	return false;
}

void run_get(struct call *call)
{
	reply_value(call, store_get(call->store, call_arg(call, 1)));
}

void run_mget(struct call *call)
{
	reply_array(call->reply, call->nr_args - 1);
	for (uint32_t i = 1; i < call->nr_args && !call->reply->is_lost; i++) {
		call_lock(call, i);
		reply_value(call, store_get(call->store, call_arg(call, i)));
		call_unlock(call);
	}
}

void run_strlen(struct call *call)
{
	struct entry *entry = store_get(call->store, call_arg(call, 1));

	reply_number(call->reply, entry ? entry->value_size : 0);
}

void run_getdel(struct call *call)
{
	run_get(call);
	if (!call->reply->is_lost)
		store_delete(call->store, call_arg(call, 1));
}

/*
 * SET and its like
 */

struct set_options {
	bool only_new, only_old, wants_old, keeps_time, has_time;
	int64_t due;
};

/* EX or PX, and the number behind it at i. */
static bool parse_time(struct call *call, uint32_t i, int64_t unit,
		       struct set_options *options)
{
	int64_t number;

	if (options->has_time || options->keeps_time || i >= call->nr_args) {
		call_refuse_syntax(call);
		return false;
	}
	if (!call_number(call, i, &number))
		return false;
	if (number <= 0 || !call_due(call, number, unit, &options->due)) {
		call_refuse_time(call);
		return false;
	}
	options->has_time = true;
	return true;
}

static bool parse_flag(struct call *call, uint32_t i,
		       struct set_options *options)
{
	if (call_arg_is(call, i, "nx") && !options->only_old)
		options->only_new = true;
	else if (call_arg_is(call, i, "xx") && !options->only_new)
		options->only_old = true;
	else if (call_arg_is(call, i, "get"))
		options->wants_old = true;
	else if (call_arg_is(call, i, "keepttl") && !options->has_time)
		options->keeps_time = true;
	else {
		call_refuse_syntax(call);
		return false;
	}
	return true;
}

static bool parse_set(struct call *call, struct set_options *options)
{
	for (uint32_t i = 3; i < call->nr_args; i++) {
		bool is_ok;

		if (call_arg_is(call, i, "ex"))
			is_ok = parse_time(call, ++i, 1000, options);
		else if (call_arg_is(call, i, "px"))
			is_ok = parse_time(call, ++i, 1, options);
		else
			is_ok = parse_flag(call, i, options);
		if (!is_ok)
			return false;
	}
	return true;
}

/* Set key as options say, and answer. */
static void set_as(struct call *call, struct text value,
		   const struct set_options *options)
{
	struct text key = call_arg(call, 1);
	struct entry *old = options->wants_old ? store_get(call->store, key)
					       : store_find(call->store, key);
	bool is_wanted = old ? !options->only_new : !options->only_old;
	int64_t due = options->due;
	size_t before = call->reply->size;

	if (options->keeps_time && old)
		due = store_due(call->store, old);
	if (options->wants_old)
		reply_value(call, old);
	if (is_wanted && !set_value(call, key, value, due)) {
		reply_undo(call->reply, before);
		call_refuse_memory(call);
	} else if (!options->wants_old && is_wanted) {
		reply_ok(call->reply);
	} else if (!options->wants_old) {
		reply_null(call->reply);
	}
}

void run_set(struct call *call)
{
	struct set_options options = { .due = STORE_NEVER };

	if (parse_set(call, &options))
		set_as(call, call_arg(call, 2), &options);
}

void run_getset(struct call *call)
{
	struct set_options options = { .due = STORE_NEVER, .wants_old = true };

	set_as(call, call_arg(call, 2), &options);
}

static void set_for_time(struct call *call, int64_t unit)
{
	struct set_options options = { .due = STORE_NEVER };

	if (parse_time(call, 2, unit, &options))
		set_as(call, call_arg(call, 3), &options);
}

void run_setex(struct call *call)
{
	set_for_time(call, 1000);
}

void run_psetex(struct call *call)
{
	set_for_time(call, 1);
}

void run_setnx(struct call *call)
{
	struct text key = call_arg(call, 1);

	if (store_find(call->store, key))
		reply_number(call->reply, 0);
	else if (set_value(call, key, call_arg(call, 2), STORE_NEVER))
		reply_number(call->reply, 1);
	else
		call_refuse_memory(call);
}

/* Without memory for all of them the first ones are set. */
void run_mset(struct call *call)
{
	if (call->nr_args % 2 == 0) {
		call_refuse_count(call);
		return;
	}
	for (uint32_t i = 1; i < call->nr_args; i += 2) {
		bool is_set;

		call_lock(call, i);
		is_set = set_value(call, call_arg(call, i),
				   call_arg(call, i + 1), STORE_NEVER);
		call_unlock(call);
		if (is_set)
			continue;
		call_refuse_memory(call);
		return;
	}
	reply_ok(call->reply);
}

/*
 * Changing
 */

void run_append(struct call *call)
{
	struct text key = call_arg(call, 1), more = call_arg(call, 2);
	struct entry *entry = store_find(call->store, key);
	size_t old = entry ? entry->value_size : 0, size = old + more.size;

	if (size > call->server->limits.bulk) {
		reply_error(call->reply,
			    "ERR string exceeds maximum allowed size");
		return;
	}
	entry = store_make(call->store, key, size, old, old ? size / 4 : 0);
	if (!entry) {
		call_refuse_memory(call);
		return;
	}
	memcpy(entry_value(entry) + old, more.bytes, more.size);
	reply_number(call->reply, (int64_t)size);
}

static void add(struct call *call, int64_t number)
{
	struct text key = call_arg(call, 1);
	struct entry *entry = store_find(call->store, key);
	char digits[NUMBER_SIZE];
	int64_t value = 0;
	size_t size;

	if (entry && !text_number(value_of(entry), &value)) {
		reply_error(call->reply,
			    "ERR value is not an integer or out of range");
		return;
	}
	if (__builtin_add_overflow(value, number, &value)) {
		reply_error(call->reply,
			    "ERR increment or decrement would overflow");
		return;
	}
	size = format_number(digits, value);
	entry = store_make(call->store, key, size, 0, 0);
	if (!entry) {
		call_refuse_memory(call);
		return;
	}
	memcpy(entry_value(entry), digits, size);
	reply_number(call->reply, value);
}

void run_incr(struct call *call)
{
	add(call, 1);
}

void run_decr(struct call *call)
{
	add(call, -1);
}

void run_incrby(struct call *call)
{
	int64_t number;

	if (call_number(call, 2, &number))
		add(call, number);
}

void run_decrby(struct call *call)
{
	int64_t number;

	if (!call_number(call, 2, &number))
		return;
	if (number == INT64_MIN)
		reply_error(call->reply, "ERR decrement would overflow");
	else
		add(call, -number);
}
