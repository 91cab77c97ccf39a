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
 * One worker: the key space is one, and a loop serves it without a lock.
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
#include <sys/random.h>
#include <time.h>

#define MIB (1024. * 1024.)
#define GIB (1024. * MIB)

enum {
	EXPIRE_BATCH = 256, /* keys in one callback */
	MIN_HIGH_WATER = 16384
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
	  .value = &resp_options.memory, .min = 4 * MIB, .max = 1024 * GIB,
	  .help = "For keys, values, unfinished requests and replies that are"
		  " not taken;\n\tthe last two get half of it at most." },
	{ .name = "no-eviction", .kind = OPTION_FLAG,
	  .value = &resp_options.no_eviction,
	  .help = "When --memory is reached refuse what wants more."
		  "  Default: evict keys\n\tthat were not used lately." },
	{ .name = "max-bulk", .form = "BYTES", .kind = OPTION_COUNT,
	  .value = &resp_options.max_bulk, .min = 64, .max = 512 * MIB,
	  .help = "A key, a value or another argument; at most a quarter of"
		  " --memory." },
	{ .name = "max-request", .form = "BYTES", .kind = OPTION_COUNT,
	  .value = &resp_options.max_request, .min = 1024, .max = GIB,
	  .help = "A command with all its arguments; at most a quarter of"
		  " --memory." },
	{ .name = "max-args", .form = "NUMBER", .kind = OPTION_COUNT,
	  .value = &resp_options.max_args, .min = 1, .max = 16 * MIB,
	  .help = "Arguments of a command." },
	{ .name = "max-output", .form = "BYTES", .kind = OPTION_COUNT,
	  .value = &resp_options.max_output, .min = 1024, .max = 4 * GIB,
	  .help = "The reply to a command; at most a quarter of --memory.  A"
		  " client that\n\tasks for more is cut." },
	{ .name = "high-water", .form = "BYTES", .kind = OPTION_COUNT,
	  .value = &resp_options.high_water, .min = MIN_HIGH_WATER,
	  .max = GIB,
	  .help = "With so many bytes of replies not taken a client's commands"
		  " wait.\n\tLowered so that all clients together find room in"
		  " --memory." },
	{ .name = "stall", .form = "SECONDS", .kind = OPTION_SECONDS,
	  .value = &resp_options.stall, .min = 0, .max = 86400,
	  .help = "Close a connection that takes no replies, or does not go on"
		  " with a\n\trequest, for so long; 0 for never." },
};

#define COUNTER(text, member) { text, offsetof(struct cache, member) }

static const struct daemon_counter counters[] = {
	COUNTER("commands", nr_commands),
	COUNTER("keys", nr_keys),
	COUNTER("keys_hit", nr_hits),
	COUNTER("keys_missed", nr_misses),
	COUNTER("keys_expired", nr_expired),
	COUNTER("keys_evicted", nr_evicted),
	COUNTER("protocol_errors", nr_refused),
	COUNTER("clients_cut", nr_cut),
	COUNTER("memory", memory),
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

/*
 * Time
 */

/* The timer is moved when something is due before what it waits for, and not
   when that is later: it finds out. */
static void arm_expiry(struct cache *cache)
{
	const struct store *store = &cache->server.store;
	int64_t due = store_next_due(store), left = due - store->now;

	if (due >= cache->expiry_due)
		return;
	cache->expiry_due = due;
	ev_timer_stop(cache->worker.loop, &cache->expiry);
	ev_timer_set(&cache->expiry, left > 0 ? (double)left / 1e3 : 0., 0.);
	ev_timer_start(cache->worker.loop, &cache->expiry);
}

/* What is due after a full batch waits for the next turn: clients first. */
static void on_expiry(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct cache *cache = w->data;

	(void)loop, (void)revents;
	cache->expiry_due = STORE_NEVER;
	cache->server.store.now = resp_now();
	store_expire(&cache->server.store, EXPIRE_BATCH);
	cache_settle(cache);
}

static void set(counter *c, uint64_t value)
{
	atomic_store_explicit(c, value, memory_order_relaxed);
}

void cache_settle(struct cache *cache)
{
	const struct server *server = &cache->server;
	const struct store *store = &server->store;

	arm_expiry(cache);
	set(&cache->nr_commands, server->nr_commands);
	set(&cache->nr_keys, store_nr(store));
	set(&cache->nr_hits, store->nr_hits);
	set(&cache->nr_misses, store->nr_misses);
	set(&cache->nr_expired, store->nr_expired);
	set(&cache->nr_evicted, store->nr_evicted);
	set(&cache->memory, store_used(store) + server->pool.clients);
}

/*
 * The worker
 */

static int configure(int nr_arguments, char **arguments)
{
	(void)nr_arguments, (void)arguments;
	if (daemon_options.workers != 1) {
		complain("--workers=%" PRIu64 " refused: the key space is one, "
			 "and one worker serves it",
			 daemon_options.workers);
		return EXIT_USAGE;
	}
	return EXIT_SUCCESS;
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
	size_t quarter = resp_options.memory / 4;
	size_t share;

	server->memory = resp_options.memory;
	server->max_clients = daemon_options.max_connections;
	server->port = port_of(&daemon_options.listen.at[0]);
	server->limits.bulk = lower(resp_options.max_bulk, quarter);
	server->limits.request = lower(resp_options.max_request, quarter);
	server->limits.args = resp_options.max_args;
	pool_init(&server->pool, resp_options.memory / 2);

	share = server->pool.limit / 2 / server->max_clients;
	cache->high_water = lower(resp_options.high_water, share);
	if (cache->high_water < MIN_HIGH_WATER)
		cache->high_water = MIN_HIGH_WATER;
}

static int begin(struct worker *worker)
{
	struct cache *cache = (struct cache *)worker;
	struct store *store = &cache->server.store;
	struct hash_seed seed;
	int r;

	if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed)) {
		complain("getrandom gave no seed: %s", strerror(errno));
		return -EIO;
	}
	r = store_init(store, &seed, resp_options.memory);
	if (r < 0) {
		complain("no memory for the table of keys");
		return r;
	}
	set_limits(cache);
	store->beside = &cache->server.pool.clients;
	store->may_evict = !resp_options.no_eviction;
	store->now = cache->server.started = resp_now();
	commands_init();
	ev_timer_init(&cache->expiry, on_expiry, 0., 0.);
	cache->expiry.data = cache;
	cache->expiry_due = STORE_NEVER;
	return 0;
}

static void end(struct worker *worker)
{
	struct cache *cache = (struct cache *)worker;

	ev_timer_stop(worker->loop, &cache->expiry);
	store_exit(&cache->server.store);
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
	};

	daemon_options.workers = 1;
	daemon_options.idle = 0;
	return daemon_main(&daemon, argc, argv);
}
