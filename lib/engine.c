/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * engine.c - who is asked first what is ready: the ring, or the epoll set.
 *
 * An EPOLL_WAIT in the ring is for turns that sleep, have changes to make, or
 * have nothing to do: it costs none of these a system call of its own.  Where
 * something is ready before the turn begins, epoll_wait (0) answers the same
 * for some 10 % of an event less, because there is no request to be made and
 * completed; but where nothing is, it was a system call in vain.  No flag in
 * memory says which it will be.  So one turn in so many tries: while that
 * succeeds the set is asked first, and after each failure the pause before the
 * next attempt is twice as long.
 */
#include "config.h"

#include "engine.h"

#include <string.h>

enum { MIN_PAUSE = 16, MAX_PAUSE = 1024 };

void evr_engine_init(struct evr_engine *engine, const char *kind)
{
	engine->kind = EVR_ENGINE_AUTO;
	if (kind && !strcmp(kind, "ring"))
		engine->kind = EVR_ENGINE_RING;
	else if (kind && !strcmp(kind, "set"))
		engine->kind = EVR_ENGINE_SET;
	engine->nr_left = engine->nr_pause = MIN_PAUSE;
}

bool evr_engine_asks_set(struct evr_engine *engine)
{
	if (engine->kind != EVR_ENGINE_AUTO)
		return engine->kind == EVR_ENGINE_SET;
	if (!engine->nr_left)
		return true;
	engine->nr_left--;
	return false;
}

void evr_engine_learn(struct evr_engine *engine, bool had_something)
{
	if (had_something) {
		engine->nr_pause = MIN_PAUSE;
		return;
	}
	engine->nr_left = engine->nr_pause;
	if (engine->nr_pause < MAX_PAUSE)
		engine->nr_pause *= 2;
}
