/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * resp.c - a cache of keys and values that speaks the protocol of Redis
 * (RESP2), on operations of evring.
 *
 * It shows a server with state of its own: requests that come in parts, and
 * many at once; answers in order, gathered so that a batch of requests costs
 * one send; memory within a bound; times to live through one libev timer.
 *
 *	./resp --listen 127.0.0.1:6380 --memory 64M
 *	redis-cli -p 6380 set greeting hello ex 60
 *	redis-benchmark -p 6380 -t set,get -P 16
 *	printf 'PING\r\n' | nc -N 127.0.0.1 6380
 *
 * Strings only, one database, nothing on disk.  What is known to redis-cli's
 * COMMAND is all there is.
 *
 * One worker, unless told otherwise: its loop serves all keys without a lock.
 * With more, each has a part of the keys, which all use (resp-shards.h).
 *
 * Memory.  --memory bounds keys, values and what clients make us hold
 * (unfinished requests, replies they do not take), which is at most half of
 * it.  When it is full keys are evicted (resp-store.h), or with --no-eviction
 * what wants more is refused.
 *
 * Kernel: multishot receive into a group of buffers (6.0) where there is one;
 * see evring-net.h for what is done elsewhere.
 */
#include "resp.h"

#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MIB (1024. * 1024.)
#define GIB (1024. * MIB)

enum {
	EXPIRE_BATCH = 256, /* keys in one callback */
	MIN_HIGH_WATER = 16384,
	MIN_MEMORY = 4 << 20 /* of each worker */
};

struct resp_options resp_options = {
	.memory = 256 << 20,
	.max_bulk = 16 << 20,
	.max_request = 64 << 20,
	.max_args = 1 << 20,
	.max_output = 64 << 20,
	.high_water = 1 << 20,
	.stall = 30,
};

/* clang-format off */
static const struct daemon_option options[] = {
	{ .name = "memory", .form = "BYTES", .kind = OPTION_COUNT,
	  .value = &resp_options.memory, .min = MIN_MEMORY, .max = 1024 * GIB,
	  .help = "For keys, values, unfinished requests and replies that are"
		  " not taken;\n\tthe last two get half of it at most." },
	{ .name = "no-eviction", .kind = OPTION_FLAG,
	  .value = &resp_options.no_eviction,
	  .help = "When --memory is reached refuse what wants more."
		  "  Default: evict keys\n\tthat were not used lately." },
	{ .name = "max-bulk", .form = "BYTES", .kind = OPTION_COUNT,
	  .value = &resp_options.max_bulk, .min = 64, .max = 512 * MIB,
	  .help = "A key, a value or another argument; at most a quarter of"
		  " a\n\tworker's share of --memory." },
	{ .name = "max-request", .form = "BYTES", .kind = OPTION_COUNT,
	  .value = &resp_options.max_request, .min = 1024, .max = GIB,
	  .help = "A command with all its arguments; at most a quarter of"
		  " a\n\tworker's share of --memory." },
	{ .name = "max-args", .form = "NUMBER", .kind = OPTION_COUNT,
	  .value = &resp_options.max_args, .min = 1, .max = 16 * MIB,
	  .help = "Arguments of a command." },
	{ .name = "max-output", .form = "BYTES", .kind = OPTION_COUNT,
	  .value = &resp_options.max_output, .min = 1024, .max = 4 * GIB,
	  .help = "The reply to a command; at most a quarter of a worker's"
		  " share of\n\t--memory.  A client that asks for more is cut." },
	{ .name = "high-water", .form = "BYTES", .kind = OPTION_COUNT,
	  .value = &resp_options.high_water, .min = MIN_HIGH_WATER,
	  .max = GIB,
	  .help = "With so many bytes of replies not taken a client's commands"
		  " wait.\n\tLowered so that all clients together find room in"
		  " --memory." },
	{ .name = "stall", .form = "SECONDS", .kind = OPTION_SECONDS,
	  .value = &resp_options.stall, .min = 0, .max = 86400,
	  .help = "Close a connection whose commands wait for it to take"
		  " replies, that\n\tdoes not go on with a request, or that has"
		  " ended and does not take the\n\trest, for so long; 0 for"
		  " never." },
};

#define COUNTER(text, member) { text, offsetof(struct cache, member) }

static const struct daemon_counter counters[] = {
	COUNTER("commands", nr_commands),
	COUNTER("protocol_errors", nr_refused),
	COUNTER("clients_cut", nr_cut),
};
/* clang-format on */

static size_t lower(uint64_t value, uint64_t limit)
{
	return value < limit ? value : limit;
}

int64_t resp_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static struct shards shards;

/* Of the workers that have begun; the others are NULL. */
static struct cache *_Atomic caches[MAX_SHARDS];

/*
 * Time
 */

/* What is due after a full batch waits for the next turn: clients first. */
static void expire(struct cache *cache)
{
	struct ev_loop *loop = cache->worker.loop;
	int64_t now = resp_now(), due;

	due = shards_expire(&shards, cache->worker.index, now, EXPIRE_BATCH);
	ev_timer_stop(loop, &cache->expiry);
	if (due == STORE_NEVER)
		return;
	ev_timer_set(&cache->expiry, due > now ? (double)(due - now) / 1e3 : 0.,
		     0.);
	ev_timer_start(loop, &cache->expiry);
}

static void on_expiry(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)loop, (void)revents;
	expire(w->data);
}

static void on_sooner(struct ev_loop *loop, ev_async *w, int revents)
{
	(void)loop, (void)revents;
	expire(w->data);
}

/*
 * Statistics
 */

void cache_settle(struct cache *cache)
{
	atomic_store_explicit(&cache->nr_commands, cache->server.nr_commands,
			      memory_order_relaxed);
}

static uint64_t get(const counter *c)
{
	return atomic_load_explicit(c, memory_order_relaxed);
}

static void add_up(struct server_sum *ret_sum)
{
	struct server_sum sum = { 0 };

	for (unsigned i = 0; i < MAX_SHARDS; i++) {
		const struct cache *cache = caches[i];

		if (!cache)
			continue;
		sum.nr_commands += get(&cache->nr_commands);
		sum.nr_clients += get(&cache->worker.nr_connections);
		sum.nr_clients_ever += get(&cache->worker.nr_accepted);
	}
	*ret_sum = sum;
}

static void print_stats(struct worker *const *workers, unsigned nr)
{
	struct shards_sum sum;

	(void)workers, (void)nr;
	shards_add_up(&shards, &sum);
	fprintf(stderr,
		"keys: %" PRIu64 "\nkeys_hit: %" PRIu64
		"\nkeys_missed: %" PRIu64 "\nkeys_expired: %" PRIu64
		"\nkeys_evicted: %" PRIu64 "\nmemory: %" PRIu64 "\n",
		sum.nr_keys, sum.nr_hits, sum.nr_misses, sum.nr_expired,
		sum.nr_evicted, sum.memory + shards.clients);
}

/*
 * The worker
 */

static int configure(int nr_arguments, char **arguments)
{
	int r;

	(void)nr_arguments, (void)arguments;
	commands_init();
	if (daemon_options.workers > daemon_options.max_connections)
		daemon_options.workers = daemon_options.max_connections;
	if (resp_options.memory / daemon_options.workers < MIN_MEMORY) {
		complain("--memory=%" PRIu64 " refused: wants %d bytes for "
			 "each worker",
			 resp_options.memory, MIN_MEMORY);
		return EXIT_USAGE;
	}
	r = shards_init(&shards, (unsigned)daemon_options.workers,
			resp_options.memory, !resp_options.no_eviction);
	if (r == 0)
		return EXIT_SUCCESS;
	complain("no table of keys: %s", strerror(-r));
	return EXIT_FAILURE;
}

static unsigned port_of(const struct endpoint *endpoint)
{
	const void *address = &endpoint->address;

	return ntohs(endpoint->address.ss_family == AF_INET6
			     ? ((const struct sockaddr_in6 *)address)->sin6_port
			     : ((const struct sockaddr_in *)address)->sin_port);
}

static void set_limits(struct cache *cache)
{
	struct server *server = &cache->server;
	size_t quarter = resp_options.memory / shards.nr / 4;
	size_t share;

	server->memory = resp_options.memory;
	server->max_clients = daemon_options.max_connections;
	server->port = port_of(&daemon_options.listen.at[0]);
	server->limits.bulk = lower(resp_options.max_bulk, quarter);
	server->limits.request = lower(resp_options.max_request, quarter);
	server->limits.args = resp_options.max_args;
	pool_init(&server->pool, resp_options.memory / shards.nr / 2,
		  &shards.clients);
	cache->max_output = lower(resp_options.max_output, quarter);

	share = resp_options.memory / 4 / server->max_clients;
	cache->high_water = lower(resp_options.high_water, share);
	if (cache->high_water < MIN_HIGH_WATER)
		cache->high_water = MIN_HIGH_WATER;
}

static int begin(struct worker *worker)
{
	struct cache *cache = (struct cache *)worker;
	struct server *server = &cache->server;

	server->shards = &shards;
	server->add_up = add_up;
	server->may_evict = !resp_options.no_eviction;
	server->now = server->started = resp_now();
	set_limits(cache);
	ev_timer_init(&cache->expiry, on_expiry, 0., 0.);
	cache->expiry.data = cache;
	ev_async_init(&cache->sooner, on_sooner);
	cache->sooner.data = cache;
	ev_async_start(worker->loop, &cache->sooner);
	shards_own(&shards, worker->index, worker->loop, &cache->sooner);
	caches[worker->index] = cache;
	return 0;
}

/* The other workers may go on for a while, with all keys. */
static void end(struct worker *worker)
{
	struct cache *cache = (struct cache *)worker;

	shards_own(&shards, worker->index, NULL, NULL);
	ev_timer_stop(worker->loop, &cache->expiry);
	ev_async_stop(worker->loop, &cache->sooner);
	pool_exit(&cache->server.pool);
}

int main(int argc, char **argv)
{
	static const struct daemon daemon = {
		.name = "resp",
		.about = "A cache of keys and values that speaks the protocol "
			 "of Redis, on io_uring operations.",
		.options = options,
		.nr_options = NR_OF(options),
		.counters = counters,
		.nr_counters = NR_OF(counters),
		.worker_size = sizeof(struct cache),
		.default_port = 6379,
		.configure = configure,
		.begin = begin,
		.on_connection = client_begin,
		.end = end,
		.print_stats = print_stats,
	};

	int status;

	daemon_options.workers = 1;
	daemon_options.idle = 0;
	status = daemon_main(&daemon, argc, argv);
	shards_exit(&shards);
	return status;
}
