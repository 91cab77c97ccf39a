/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * resp-commands.c - the table of commands, and what all of them need.
 *
 * Names, arguments, replies and the first words of errors are those of Redis:
 * clients depend on them.
 */
#include "resp-commands.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define NR_OF(array) (sizeof(array) / sizeof((array)[0]))

enum {
	NR_SLOTS = 256, /* of the index, much more than commands */
	MAX_NAME = 16,
	QUOTED_SIZE = 128 /* bytes of a command that an error repeats */
};

#define READ  (COMMAND_READ | COMMAND_FAST)
#define WRITE (COMMAND_WRITE | COMMAND_FAST)
#define MORE  (COMMAND_WRITE | COMMAND_MEMORY)

/* clang-format off */
const struct command commands[] = {
	{ "append", run_append, 3, MORE | COMMAND_FAST, 1, 1, 1, "string",
	  "Adds bytes to the end of a value." },
	{ "client", run_client, -2, 0, 0, 0, 0, "connection",
	  "Tells and sets what is known of this connection." },
	{ "command", run_command, -1, 0, 0, 0, 0, "server",
	  "Tells about commands." },
	{ "config", run_config, -2, 0, 0, 0, 0, "server",
	  "Tells how the server was set up." },
	{ "dbsize", run_dbsize, 1, READ, 0, 0, 0, "server",
	  "Counts the keys." },
	{ "decr", run_decr, 2, MORE | COMMAND_FAST, 1, 1, 1, "string",
	  "Subtracts one from a number." },
	{ "decrby", run_decrby, 3, MORE | COMMAND_FAST, 1, 1, 1, "string",
	  "Subtracts from a number." },
	{ "del", run_del, -2, COMMAND_WRITE, 1, -1, 1, "generic",
	  "Deletes keys." },
	{ "echo", run_echo, 2, COMMAND_FAST, 0, 0, 0, "connection",
	  "Answers what it is given." },
	{ "exists", run_exists, -2, READ, 1, -1, 1, "generic",
	  "Counts those of the keys that are there." },
	{ "expire", run_expire, 3, WRITE, 1, 1, 1, "generic",
	  "Gives a key some seconds to live." },
	{ "flushall", run_flushall, -1, COMMAND_WRITE, 0, 0, 0, "server",
	  "Deletes all keys." },
	{ "flushdb", run_flushall, -1, COMMAND_WRITE, 0, 0, 0, "server",
	  "Deletes all keys." },
	{ "get", run_get, 2, READ, 1, 1, 1, "string",
	  "Answers the value of a key." },
	{ "getdel", run_getdel, 2, WRITE, 1, 1, 1, "string",
	  "Answers the value of a key and deletes it." },
	{ "getset", run_getset, 3, MORE | COMMAND_FAST, 1, 1, 1, "string",
	  "Sets a value and answers the one before." },
	{ "host:", run_cut, -1, COMMAND_HIDDEN, 0, 0, 0, "", "" },
	{ "incr", run_incr, 2, MORE | COMMAND_FAST, 1, 1, 1, "string",
	  "Adds one to a number." },
	{ "incrby", run_incrby, 3, MORE | COMMAND_FAST, 1, 1, 1, "string",
	  "Adds to a number." },
	{ "info", run_info, -1, 0, 0, 0, 0, "server",
	  "Tells how the server does." },
	{ "mget", run_mget, -2, READ, 1, -1, 1, "string",
	  "Answers the values of keys." },
	{ "mset", run_mset, -3, MORE, 1, -1, 2, "string",
	  "Sets the values of keys." },
	{ "persist", run_persist, 2, WRITE, 1, 1, 1, "generic",
	  "Lets a key live for ever." },
	{ "pexpire", run_pexpire, 3, WRITE, 1, 1, 1, "generic",
	  "Gives a key some milliseconds to live." },
	{ "ping", run_ping, -1, COMMAND_FAST, 0, 0, 0, "connection",
	  "Answers PONG, or what it is given." },
	{ "post", run_cut, -1, COMMAND_HIDDEN, 0, 0, 0, "", "" },
	{ "psetex", run_psetex, 4, MORE, 1, 1, 1, "string",
	  "Sets a value for some milliseconds." },
	{ "pttl", run_pttl, 2, READ, 1, 1, 1, "generic",
	  "Answers how many milliseconds a key has to live." },
	{ "quit", run_quit, -1, COMMAND_FAST, 0, 0, 0, "connection",
	  "Ends the connection." },
	{ "select", run_select, 2, COMMAND_FAST, 0, 0, 0, "connection",
	  "Chooses database 0, the only one." },
	{ "set", run_set, -3, MORE, 1, 1, 1, "string",
	  "Sets a value." },
	{ "setex", run_setex, 4, MORE, 1, 1, 1, "string",
	  "Sets a value for some seconds." },
	{ "setnx", run_setnx, 3, MORE | COMMAND_FAST, 1, 1, 1, "string",
	  "Sets a value if the key is not there." },
	{ "strlen", run_strlen, 2, READ, 1, 1, 1, "string",
	  "Answers the size of a value." },
	{ "touch", run_exists, -2, READ, 1, -1, 1, "generic",
	  "Counts those of the keys that are there." },
	{ "ttl", run_ttl, 2, READ, 1, 1, 1, "generic",
	  "Answers how many seconds a key has to live." },
	{ "type", run_type, 2, READ, 1, 1, 1, "generic",
	  "Answers string for a key that is there." },
	{ "unlink", run_del, -2, WRITE, 1, -1, 1, "generic",
	  "Deletes keys." },
};
/* clang-format on */

const unsigned nr_commands = NR_OF(commands);

/*
 * Finding
 */

static const struct command *slots[NR_SLOTS];

static unsigned slot_of(struct text name)
{
	unsigned hash = name.size;

	for (size_t i = 0; i < name.size; i++)
		hash = hash * 31 + (name.bytes[i] | 0x20);
	return (hash ^ hash >> 8) % NR_SLOTS;
}

void commands_init(void)
{
	for (unsigned i = 0; i < nr_commands; i++) {
		const char *name = commands[i].name;
		unsigned at = slot_of((struct text){ name, strlen(name) });

		while (slots[at] && slots[at] != &commands[i])
			at = (at + 1) % NR_SLOTS;
		slots[at] = &commands[i];
	}
}

static bool is_word(struct text text, const char *word)
{
	return text.size == strlen(word) &&
	       strncasecmp(text.bytes, word, text.size) == 0;
}

const struct command *command_find(struct text name)
{
	unsigned at;

	if (name.size == 0 || name.size > MAX_NAME)
		return NULL;
	for (at = slot_of(name); slots[at]; at = (at + 1) % NR_SLOTS)
		if (is_word(name, slots[at]->name))
			return slots[at];
	return NULL;
}

/*
 * Running
 */

/* Of the arguments, as much as fits. */
static void quote_args(const struct call *call, char text[QUOTED_SIZE])
{
	size_t size = 0;

	text[0] = '\0';
	for (uint32_t i = 1; i < call->nr_args && size < QUOTED_SIZE - 4; i++) {
		struct text arg = call_arg(call, i);
		int left = QUOTED_SIZE - 4 - (int)size;

		if (arg.size > (size_t)left)
			arg.size = left;
		size += snprintf(text + size, QUOTED_SIZE - size, "'%.*s' ",
				 (int)arg.size, arg.bytes);
	}
}

static void refuse_unknown(struct call *call)
{
	struct text name = call_arg(call, 0);
	char args[QUOTED_SIZE];

	if (name.size > QUOTED_SIZE)
		name.size = QUOTED_SIZE;
	quote_args(call, args);
	reply_error(call->reply,
		    "ERR unknown command '%.*s', with args beginning with: %s",
		    (int)name.size, name.bytes, args);
}

static bool fits_arity(const struct call *call)
{
	int arity = call->command->arity;

	if (arity < 0)
		return call->nr_args >= (uint32_t)-arity;
	return call->nr_args == (uint32_t)arity;
}

void call_lock(struct call *call, uint32_t i)
{
	struct server *server = call->server;

	call->store =
		shards_lock_key(server->shards, call_arg(call, i), server->now);
}

void call_unlock(struct call *call)
{
	shards_unlock(call->server->shards, call->store);
	call->store = NULL;
}

/* A command on one key has its store locked; others do it themselves. */
static void run_locked(struct call *call)
{
	bool has_key = call->command->last_key == 1;

	if (has_key)
		call_lock(call, 1);
	call->command->run(call);
	if (has_key)
		call_unlock(call);
}

void command_run(struct call *call)
{
	call->command = command_find(call_arg(call, 0));
	call->server->nr_commands++;
	if (!call->command)
		refuse_unknown(call);
	else if (!fits_arity(call))
		call_refuse_count(call);
	else
		run_locked(call);
}

/*
 * For the functions
 */

bool call_arg_is(const struct call *call, uint32_t i, const char *word)
{
	return is_word(call_arg(call, i), word);
}

bool text_number(struct text text, int64_t *ret_number)
{
	bool is_negative = text.size > 0 && text.bytes[0] == '-';
	uint64_t limit = (uint64_t)INT64_MAX + is_negative, number = 0;
	size_t i = is_negative;

	if (i == text.size || (text.bytes[i] == '0' && text.size > 1))
		return false;
	for (; i < text.size; i++) {
		unsigned digit = (unsigned char)text.bytes[i] - '0';

		if (digit > 9 || number > (limit - digit) / 10)
			return false;
		number = number * 10 + digit;
	}
	*ret_number = (int64_t)(is_negative ? -number : number);
	return true;
}

bool call_number(struct call *call, uint32_t i, int64_t *ret_number)
{
	if (text_number(call_arg(call, i), ret_number))
		return true;
	reply_error(call->reply, "ERR value is not an integer or out of range");
	return false;
}

bool call_due(const struct call *call, int64_t number, int64_t unit,
	      int64_t *ret_due)
{
	int64_t due;

	if (__builtin_mul_overflow(number, unit, &due) ||
	    __builtin_add_overflow(due, call->store->now, &due) ||
	    due == STORE_NEVER)
		return false;
	*ret_due = due;
	return true;
}

void call_refuse_syntax(struct call *call)
{
	reply_error(call->reply, "ERR syntax error");
}

void call_refuse_memory(struct call *call)
{
	reply_error(call->reply, "OOM no memory for this: --memory is reached");
}

void call_refuse_time(struct call *call)
{
	reply_error(call->reply, "ERR invalid expire time in '%s' command",
		    call->command->name);
}

void call_refuse_count(struct call *call)
{
	reply_error(call->reply,
		    "ERR wrong number of arguments for '%s' command",
		    call->command->name);
}

void call_refuse_subcommand(struct call *call)
{
	struct text name = call_arg(call, 1);

	if (name.size > QUOTED_SIZE)
		name.size = QUOTED_SIZE;
	reply_error(call->reply,
		    "ERR unknown subcommand or wrong number of arguments for "
		    "'%.*s' of '%s'",
		    (int)name.size, name.bytes, call->command->name);
}
