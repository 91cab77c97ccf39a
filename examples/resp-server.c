/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * resp-server.c - commands about the connection and the server.
 *
 * Clients ask some things before they begin, and want an answer of the form
 * that Redis gives: COMMAND DOCS (redis-cli), CONFIG GET (redis-benchmark),
 * CLIENT SETINFO (libraries).
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* FNM_CASEFOLD */
#endif

#include "resp-commands.h"

#include <ctype.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define NR_OF(array) (sizeof(array) / sizeof((array)[0]))

/* HELLO is not there, so that clients speak as with this one. */
#define LIKE_VERSION "5.0.0"

/*
 * The connection
 */

void run_ping(struct call *call)
{
	if (call->nr_args == 1)
		reply_literal(call->reply, "+PONG\r\n");
	else if (call->nr_args == 2)
		reply_bulk(call->reply, call_arg(call, 1));
	else
		call_refuse_count(call);
}

void run_echo(struct call *call)
{
	reply_bulk(call->reply, call_arg(call, 1));
}

void run_quit(struct call *call)
{
	reply_ok(call->reply);
	call->session->wants_end = true;
}

/* A browser that was made to talk to us: what follows is not from a client. */
void run_cut(struct call *call)
{
	call->session->wants_cut = true;
}

void run_select(struct call *call)
{
	int64_t number;

	if (!call_number(call, 1, &number))
		return;
	if (number == 0)
		reply_ok(call->reply);
	else
		reply_error(call->reply, "ERR DB index is out of range");
}

static void set_name(struct call *call)
{
	struct text name = call_arg(call, 2);
	bool is_fine = name.size < CLIENT_NAME_SIZE;

	for (size_t i = 0; i < name.size && is_fine; i++)
		is_fine = isgraph((unsigned char)name.bytes[i]);
	if (!is_fine) {
		reply_error(call->reply,
			    "ERR Client names cannot contain spaces, newlines "
			    "or special characters, nor %d bytes or more",
			    CLIENT_NAME_SIZE);
		return;
	}
	memcpy(call->session->name, name.bytes, name.size);
	call->session->name[name.size] = '\0';
	reply_ok(call->reply);
}

void run_client(struct call *call)
{
	uint32_t nr = call->nr_args;

	if (nr == 4 && call_arg_is(call, 1, "setinfo"))
		reply_ok(call->reply);
	else if (nr == 3 && call_arg_is(call, 1, "setname"))
		set_name(call);
	else if (nr == 2 && call_arg_is(call, 1, "getname"))
		reply_string(call->reply, call->session->name);
	else if (nr == 2 && call_arg_is(call, 1, "id"))
		reply_number(call->reply, (int64_t)call->session->id);
	else
		call_refuse_subcommand(call);
}

/*
 * COMMAND
 */

static const struct flag_name {
	unsigned flag;
	const char *name;
} flag_names[] = {
	{ COMMAND_WRITE, "write" },
	{ COMMAND_READ, "readonly" },
	{ COMMAND_MEMORY, "denyoom" },
	{ COMMAND_FAST, "fast" },
};

static void reply_status(struct reply *reply, const char *text)
{
	reply_literal(reply, "+");
	reply_raw(reply, text, strlen(text));
	reply_literal(reply, "\r\n");
}

static void tell_command(struct reply *reply, const struct command *command)
{
	unsigned nr_flags = (unsigned)__builtin_popcount(command->flags);

	reply_array(reply, 6);
	reply_string(reply, command->name);
	reply_number(reply, command->arity);
	reply_array(reply, nr_flags);
	for (size_t i = 0; i < NR_OF(flag_names); i++)
		if (command->flags & flag_names[i].flag)
			reply_status(reply, flag_names[i].name);
	reply_number(reply, command->first_key);
	reply_number(reply, command->last_key);
	reply_number(reply, command->step);
}

static void tell_name(struct reply *reply, const struct command *command)
{
	reply_string(reply, command->name);
}

static void tell_docs(struct reply *reply, const struct command *command)
{
	reply_string(reply, command->name);
	reply_array(reply, 4);
	reply_string(reply, "summary");
	reply_string(reply, command->about);
	reply_string(reply, "group");
	reply_string(reply, command->group);
}

static unsigned nr_shown(void)
{
	unsigned nr = 0;

	for (unsigned i = 0; i < nr_commands; i++)
		nr += !(commands[i].flags & COMMAND_HIDDEN);
	return nr;
}

/* width: elements of the reply for each. */
static void tell_all(struct call *call, unsigned width,
		     void (*tell)(struct reply *reply,
				  const struct command *command))
{
	reply_array(call->reply, (uint64_t)width * nr_shown());
	for (unsigned i = 0; i < nr_commands; i++)
		if (!(commands[i].flags & COMMAND_HIDDEN))
			tell(call->reply, &commands[i]);
}

static const struct command *named(const struct call *call, uint32_t i)
{
	const struct command *command = command_find(call_arg(call, i));

	return command && !(command->flags & COMMAND_HIDDEN) ? command : NULL;
}

static void tell_named_docs(struct call *call)
{
	unsigned nr = 0;

	for (uint32_t i = 2; i < call->nr_args; i++)
		nr += named(call, i) != NULL;
	reply_array(call->reply, 2 * nr);
	for (uint32_t i = 2; i < call->nr_args; i++)
		if (named(call, i))
			tell_docs(call->reply, named(call, i));
}

static void tell_named(struct call *call)
{
	reply_array(call->reply, call->nr_args - 2);
	for (uint32_t i = 2; i < call->nr_args; i++) {
		if (named(call, i))
			tell_command(call->reply, named(call, i));
		else
			reply_literal(call->reply, "*-1\r\n");
	}
}

void run_command(struct call *call)
{
	uint32_t nr = call->nr_args;

	if (nr == 1 || (nr == 2 && call_arg_is(call, 1, "info")))
		tell_all(call, 1, tell_command);
	else if (nr == 2 && call_arg_is(call, 1, "count"))
		reply_number(call->reply, nr_shown());
	else if (nr == 2 && call_arg_is(call, 1, "list"))
		tell_all(call, 1, tell_name);
	else if (nr == 2 && call_arg_is(call, 1, "docs"))
		tell_all(call, 2, tell_docs);
	else if (call_arg_is(call, 1, "docs"))
		tell_named_docs(call);
	else if (call_arg_is(call, 1, "info"))
		tell_named(call);
	else
		call_refuse_subcommand(call);
}

/*
 * CONFIG
 */

enum { NR_SETTINGS = 7, SETTING_SIZE = 32, PATTERN_SIZE = 64 };

struct setting {
	const char *name;
	char value[SETTING_SIZE];
};

static void get_settings(const struct server *server,
			 struct setting settings[NR_SETTINGS])
{
	struct setting all[NR_SETTINGS] = {
		{ "appendonly", "no" },	      { "save", "" },
		{ "databases", "1" },	      { "maxclients", "" },
		{ "maxmemory", "" },	      { "maxmemory-policy", "" },
		{ "proto-max-bulk-len", "" },
	};

	memcpy(settings, all, sizeof(all));
	snprintf(settings[3].value, SETTING_SIZE, "%" PRIu64,
		 server->max_clients);
	snprintf(settings[4].value, SETTING_SIZE, "%zu", server->memory);
	snprintf(settings[5].value, SETTING_SIZE, "%s",
		 server->may_evict ? "allkeys-lru" : "noeviction");
	snprintf(settings[6].value, SETTING_SIZE, "%zu", server->limits.bulk);
}

static bool is_asked(const struct call *call, const char *name)
{
	char pattern[PATTERN_SIZE];

	for (uint32_t i = 2; i < call->nr_args; i++) {
		struct text arg = call_arg(call, i);

		if (arg.size >= sizeof(pattern))
			continue;
		memcpy(pattern, arg.bytes, arg.size);
		pattern[arg.size] = '\0';
		if (fnmatch(pattern, name, FNM_CASEFOLD | FNM_NOESCAPE) == 0)
			return true;
	}
	return false;
}

static void get_config(struct call *call)
{
	struct setting settings[NR_SETTINGS];
	unsigned nr = 0;

	get_settings(call->server, settings);
	for (unsigned i = 0; i < NR_SETTINGS; i++)
		nr += is_asked(call, settings[i].name);
	reply_array(call->reply, 2 * nr);
	for (unsigned i = 0; i < NR_SETTINGS; i++) {
		if (!is_asked(call, settings[i].name))
			continue;
		reply_string(call->reply, settings[i].name);
		reply_string(call->reply, settings[i].value);
	}
}

void run_config(struct call *call)
{
	if (call->nr_args >= 3 && call_arg_is(call, 1, "get"))
		get_config(call);
	else if (call->nr_args == 4 && call_arg_is(call, 1, "set"))
		reply_error(call->reply,
			    "ERR settings are options of the command line");
	else
		call_refuse_subcommand(call);
}

/*
 * INFO
 */

enum { INFO_SIZE = 2048 };

struct page {
	char text[INFO_SIZE];
	size_t size;
};

__attribute__((format(printf, 2, 3))) static void
write_line(struct page *page, const char *format, ...)
{
	size_t left = sizeof(page->text) - page->size;
	va_list args;
	int size;

	va_start(args, format);
	size = vsnprintf(page->text + page->size, left, format, args);
	va_end(args);
	if (size < 0 || (size_t)size + 2 >= left)
		return;
	page->size += size;
	memcpy(page->text + page->size, "\r\n", 2);
	page->size += 2;
}

static void write_server(struct page *page, const struct server *server)
{
	write_line(page, "redis_version:%s", LIKE_VERSION);
	write_line(page, "server_name:evring-resp");
	write_line(page, "redis_mode:standalone");
	write_line(page, "process_id:%ld", (long)getpid());
	if (server->port) /* else the kernel has picked one */
		write_line(page, "tcp_port:%u", server->port);
	write_line(page, "uptime_in_seconds:%" PRId64,
		   (server->now - server->started) / 1000);
}

static void write_clients(struct page *page, const struct server *server)
{
	struct server_sum sum;

	server->add_up(&sum);
	write_line(page, "connected_clients:%" PRIu64, sum.nr_clients);
	write_line(page, "maxclients:%" PRIu64, server->max_clients);
}

static void write_memory(struct page *page, const struct server *server)
{
	size_t clients = atomic_load_explicit(&server->shards->clients,
					      memory_order_relaxed);
	struct shards_sum sum;

	shards_add_up(server->shards, &sum);
	write_line(page, "used_memory:%" PRIu64, sum.memory + clients);
	write_line(page, "used_memory_dataset:%" PRIu64, sum.memory);
	write_line(page, "mem_clients_normal:%zu", clients);
	write_line(page, "maxmemory:%zu", server->memory);
	write_line(page, "maxmemory_policy:%s",
		   server->may_evict ? "allkeys-lru" : "noeviction");
}

static void write_stats(struct page *page, const struct server *server)
{
	struct server_sum clients;
	struct shards_sum keys;

	server->add_up(&clients);
	shards_add_up(server->shards, &keys);
	write_line(page, "total_connections_received:%" PRIu64,
		   clients.nr_clients_ever);
	write_line(page, "total_commands_processed:%" PRIu64,
		   clients.nr_commands);
	write_line(page, "keyspace_hits:%" PRIu64, keys.nr_hits);
	write_line(page, "keyspace_misses:%" PRIu64, keys.nr_misses);
	write_line(page, "expired_keys:%" PRIu64, keys.nr_expired);
	write_line(page, "evicted_keys:%" PRIu64, keys.nr_evicted);
}

static void write_keyspace(struct page *page, const struct server *server)
{
	struct shards_sum sum;

	shards_add_up(server->shards, &sum);
	if (sum.nr_keys > 0)
		write_line(page,
			   "db0:keys=%" PRIu64 ",expires=%" PRIu64 ",avg_ttl=0",
			   sum.nr_keys, sum.nr_timed);
}

static const struct section {
	const char *name;
	void (*write)(struct page *page, const struct server *server);
} sections[] = {
	{ "Server", write_server },	{ "Clients", write_clients },
	{ "Memory", write_memory },	{ "Stats", write_stats },
	{ "Keyspace", write_keyspace },
};

static bool wants_section(const struct call *call, const char *name)
{
	for (uint32_t i = 1; i < call->nr_args; i++)
		if (call_arg_is(call, i, name) || call_arg_is(call, i, "all") ||
		    call_arg_is(call, i, "default") ||
		    call_arg_is(call, i, "everything"))
			return true;
	return call->nr_args == 1;
}

void run_info(struct call *call)
{
	struct page page = { .size = 0 };

	for (size_t i = 0; i < NR_OF(sections); i++) {
		if (!wants_section(call, sections[i].name))
			continue;
		if (page.size > 0)
			write_line(&page, "%s", "");
		write_line(&page, "# %s", sections[i].name);
		sections[i].write(&page, call->server);
	}
	reply_bulk(call->reply, (struct text){ page.text, page.size });
}
