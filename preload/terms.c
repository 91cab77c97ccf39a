/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * terms.c - the names of backends and counters.
 */
#include "config.h"

#include "terms.h"

#include <assert.h>

/* By the number of the bit, as in ev.h. */
static const char *const backends[] = { "select",   "poll",	 "epoll",
					"kqueue",   "/dev/poll", "port",
					"linuxaio", "iouring" };

const char *evr_backend_name(unsigned backend)
{
	size_t i;

	if (!backend)
		return "none";
	for (i = 0; i < sizeof(backends) / sizeof(backends[0]); i++)
		if (backend == 1u << i)
			return backends[i];
	return "unknown";
}

static const char *const counters[] = {
	"turns",	"enters",	 "waits_by_offset",
	"waits_copied", "waits_avoided", "requests",
	"completions",	"events",	 "stale_completions",
	"overflows",	"handed_over",	 "ring_rebuilds",
	"rings_lost",	"ops",		 "op_events",
	"looks",	"spins",	 "spin_hits",
	"napi_queues",	"restricted",
};

static_assert(sizeof(counters) / sizeof(counters[0]) == EVR_NR_COUNTERS,
	      "a name for each counter");

const char *evr_counter_name(int i)
{
	return counters[i];
}
