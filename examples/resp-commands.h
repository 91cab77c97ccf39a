/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * resp-commands.h - what each command does; knows no socket and no loop.
 *
 * The table is in resp-commands.c; the functions are in resp-strings.c
 * (values), resp-keys.c (keys and their times) and resp-server.c (the server
 * and the connection).
 */
#ifndef RESP_COMMANDS_H
#define RESP_COMMANDS_H

#include "resp-parse.h"
#include "resp-reply.h"
#include "resp-shards.h"
#include "resp-store.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CLIENT_NAME_SIZE = 64 };

/* What the clients of all workers did. */
struct server_sum {
	uint64_t nr_commands, nr_clients, nr_clients_ever;
};

/* All that the clients of a worker share; shards is all workers'. */
struct server {
	struct shards *shards;
	struct pool pool;
	struct parse_limits limits;
	size_t memory; /* the bound of stores and pools together */
	bool may_evict;
	int64_t started, now; /* as store.now */
	uint64_t nr_commands, max_clients;
	unsigned port;
	void (*add_up)(struct server_sum *ret_sum);
};

/* What the server knows of one connection. */
struct session {
	uint64_t id;
	char name[CLIENT_NAME_SIZE];
	bool wants_end; /* after what is answered */
	bool wants_cut; /* at once */
};

struct command;

struct call {
	struct server *server;
	struct store *store; /* of the key, while it is locked */
	struct reply *reply;
	struct session *session;
	const struct command *command;

	const char *bytes; /* what args are in */
	const struct parse_arg *args;
	uint32_t nr_args; /* at least 1: the name */
};

enum command_flags {
	COMMAND_WRITE = 1u << 0,
	COMMAND_READ = 1u << 1,
	COMMAND_MEMORY = 1u << 2, /* may want more memory: "denyoom" */
	COMMAND_FAST = 1u << 3,
	COMMAND_HIDDEN = 1u << 4 /* is no command */
};

struct command {
	const char *name; /* lower case */
	void (*run)(struct call *call);
	int arity; /* with the name; negative: at least */
	unsigned flags;
	int first_key, last_key, step; /* as COMMAND INFO tells */
	const char *group, *about;
};

extern const struct command commands[];
extern const unsigned nr_commands;

/* Before the first of the others. */
void commands_init(void);

/* NULL if there is none. */
const struct command *command_find(struct text name);

/* Carry out what the other members of call say, and answer. */
void command_run(struct call *call);

/*
 * For the functions
 */

static inline struct text call_arg(const struct call *call, uint32_t i)
{
	return (struct text){ call->bytes + call->args[i].at,
			      call->args[i].size };
}

/* Lock the store of argument i: call->store. */
void call_lock(struct call *call, uint32_t i);
void call_unlock(struct call *call);

/* Is argument i this word, in any case of its letters? */
bool call_arg_is(const struct call *call, uint32_t i, const char *word);

/* A whole number as INCR takes it: no blanks, no plus, no zero in front. */
bool text_number(struct text text, int64_t *ret_number);

/* The argument as one, or the error is answered. */
bool call_number(struct call *call, uint32_t i, int64_t *ret_number);

/* A time of number units of so many milliseconds from now; or false: too
   far. */
bool call_due(const struct call *call, int64_t number, int64_t unit,
	      int64_t *ret_due);

void call_refuse_syntax(struct call *call);
void call_refuse_memory(struct call *call);
void call_refuse_time(struct call *call);
void call_refuse_count(struct call *call);

/* "ERR unknown subcommand ...". */
void call_refuse_subcommand(struct call *call);

/* clang-format off */
void run_append(struct call *call);
void run_client(struct call *call);
void run_command(struct call *call);
void run_config(struct call *call);
void run_cut(struct call *call);
void run_dbsize(struct call *call);
void run_decr(struct call *call);
void run_decrby(struct call *call);
void run_del(struct call *call);
void run_echo(struct call *call);
void run_exists(struct call *call);
void run_expire(struct call *call);
void run_flushall(struct call *call);
void run_get(struct call *call);
void run_getdel(struct call *call);
void run_getset(struct call *call);
void run_incr(struct call *call);
void run_incrby(struct call *call);
void run_info(struct call *call);
void run_mget(struct call *call);
void run_mset(struct call *call);
void run_persist(struct call *call);
void run_pexpire(struct call *call);
void run_ping(struct call *call);
void run_psetex(struct call *call);
void run_pttl(struct call *call);
void run_quit(struct call *call);
void run_select(struct call *call);
void run_set(struct call *call);
void run_setex(struct call *call);
void run_setnx(struct call *call);
void run_strlen(struct call *call);
void run_ttl(struct call *call);
void run_type(struct call *call);
/* clang-format on */

#endif
