/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * stats.c - the statistics: what all workers counted, added up.
 *
 * "stats: begin", a line "name: value" for each, "stats: end", on stderr.
 * Whoever reads takes the last value of a name.
 */
#include "private.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#ifdef __has_attribute
#if __has_attribute(no_sanitize)
#define NO_TSAN __attribute__((no_sanitize("thread")))
#endif
#endif
#ifndef NO_TSAN
#define NO_TSAN
#endif

/* clang-format off */
#define WORKER_COUNTER(text, member) { text, offsetof(struct worker, member) }
#define RING_COUNTER(name) { #name, offsetof(struct evring_stats, name) }

static const struct daemon_counter worker_counters[] = {
	WORKER_COUNTER("connections_now", nr_connections),
	WORKER_COUNTER("connections_total", nr_accepted),
	WORKER_COUNTER("connections_timed_out", nr_timed_out),
	WORKER_COUNTER("limit_reached", nr_limited),
	WORKER_COUNTER("accept_pauses", nr_pauses),
	WORKER_COUNTER("tcp_bytes_in", bytes_in),
	WORKER_COUNTER("tcp_bytes_out", bytes_out),
	WORKER_COUNTER("tcp_errors", nr_errors),
};

static const struct daemon_counter ring_counters[] = {
	RING_COUNTER(turns),
	RING_COUNTER(enters),
	RING_COUNTER(waits_by_offset),
	RING_COUNTER(waits_copied),
	RING_COUNTER(waits_avoided),
	RING_COUNTER(requests),
	RING_COUNTER(completions),
	RING_COUNTER(events),
	RING_COUNTER(stale_completions),
	RING_COUNTER(overflows),
	RING_COUNTER(handed_over),
	RING_COUNTER(ring_rebuilds),
	RING_COUNTER(rings_lost),
	RING_COUNTER(ops),
	RING_COUNTER(op_events),
	RING_COUNTER(looks),
	RING_COUNTER(spins),
	RING_COUNTER(spin_hits),
};
/* clang-format on */

static void print(const char *name, uint64_t value)
{
	fprintf(stderr, "%s: %" PRIu64 "\n", name, value);
}

static void print_counters(const struct daemon_counter *counters,
			   size_t nr_counters, struct worker *const *workers,
			   unsigned nr)
{
	for (size_t i = 0; i < nr_counters; i++) {
		uint64_t sum = 0;

		for (unsigned k = 0; k < nr; k++) {
			char *base = (char *)workers[k];
			counter *c = (void *)(base + counters[i].offset);

			sum += atomic_load_explicit(c, memory_order_relaxed);
		}
		print(counters[i].name, sum);
	}
}

/* Another thread may read evring's counters, which are written whole; the
   sanitizer does not know that promise. */
NO_TSAN static uint64_t read_ring(const struct worker *worker, size_t offset)
{
	const char *base = (const char *)&worker->private->ring;

	return *(const volatile uint64_t *)(const void *)(base + offset);
}

static void print_rings(struct worker *const *workers, unsigned nr)
{
	for (size_t i = 0; i < NR_OF(ring_counters); i++) {
		uint64_t sum = 0;

		for (unsigned k = 0; k < nr; k++)
			sum += read_ring(workers[k], ring_counters[i].offset);
		print(ring_counters[i].name, sum);
	}
}

static void print_turns(struct worker *const *workers, unsigned nr)
{
	uint64_t sum = 0;

	for (unsigned k = 0; k < nr; k++)
		sum += workers[k]->private->turns;
	print("turns", sum);
}

void stats_print(struct worker *const *workers, unsigned nr)
{
	const struct daemon *daemon = workers[0]->daemon;

	fprintf(stderr, "stats: begin\ntier: %s\nworkers: %u\n",
		evring_tier_name(workers[0]->private->tier), nr);
	print_counters(worker_counters, NR_OF(worker_counters), workers, nr);
	print_counters(daemon->counters, daemon->nr_counters, workers, nr);
	if (daemon->print_stats)
		daemon->print_stats(workers, nr);
	if (workers[0]->private->tier != EVRING_TIER_NONE)
		print_rings(workers, nr);
	else
		print_turns(workers, nr);
	fprintf(stderr, "stats: end\n");
}
