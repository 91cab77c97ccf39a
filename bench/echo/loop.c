/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * loop.c - make the loops of echo servers, and have them say what they are.
 */
#include "loop.h"

#include <err.h>

#include "echo.h"

struct ev_loop *echo_loop_on(unsigned backend)
{
	struct ev_loop *loop = ev_loop_new(backend | EVFLAG_NOENV);

	if (!loop)
		errx(1, "libev does not have this backend here");
	echo_facts->backend = ev_backend(loop);
	return loop;
}

struct ev_loop *echo_loop_on_ring(struct evring_config config)
{
	struct ev_loop *loop;

	config.stats = &echo_facts->stats;
	loop = evring_loop_new(EVFLAG_NOENV, &config);
	if (!loop)
		err(1, "evring");
	echo_facts->backend = ev_backend(loop);
	echo_facts->tier = evring_tier(loop);
	return loop;
}
