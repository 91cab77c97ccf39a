/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * engine.h - who is asked first what is ready: the ring, or the epoll set.
 */
#ifndef EVR_ENGINE_H
#define EVR_ENGINE_H

#include <stdbool.h>

enum evr_engine_kind {
	EVR_ENGINE_AUTO, /* as the last turns went */
	EVR_ENGINE_RING, /* always the ring */
	EVR_ENGINE_SET	 /* always the set, where that may be */
};

struct evr_engine {
	enum evr_engine_kind kind;

	/* auto: */
	unsigned nr_left;  /* turns until the set is asked first; 0: now */
	unsigned nr_pause; /* turns between two attempts */
};

/* kind: "ring", "set", or anything else or NULL for auto. */
void evr_engine_init(struct evr_engine *engine, const char *kind);

/* Before each turn in which the set could be asked first: is it to be? */
bool evr_engine_asks_set(struct evr_engine *engine);

/* It was asked, and had something; or nothing. */
void evr_engine_learn(struct evr_engine *engine, bool had_something);

#endif
