/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * real.h - the functions that the preloaded library stands in front of, and
 * the library that does the work.
 */
#ifndef EVR_REAL_H
#define EVR_REAL_H

#include <evring.h>
#include <stdbool.h>

enum evr_function {
	EVR_BACKEND,
	EVR_DEFAULT_LOOP,
	EVR_DEFAULT_LOOP_INIT,
	EVR_LOOP_DESTROY,
	EVR_LOOP_NEW,
	EVR_SET_IO_COLLECT_INTERVAL,
	EVR_EXIT,
	EVR_NR_FUNCTIONS
};

/* Find what can be found before the program begins. */
void evr_real_init(void);

/*
 * The function that a call from caller would have reached without us.  NULL:
 * none.  May be called in a signal handler, for what is there from the start.
 */
void *evr_real(enum evr_function function, const void *caller);

/* libevring, as far as it is used here. */
struct evr_library {
	int (*attach)(struct ev_loop *loop, const struct evring_config *config);
	enum evring_tier (*tier)(struct ev_loop *loop);
	const char *(*tier_name)(enum evring_tier tier);
	const char *(*strerror)(int error);
	int (*set_collect)(struct ev_loop *loop, double seconds,
			   unsigned events);
	int (*set_napi)(struct ev_loop *loop, double seconds);
};

/* Loaded at the first call.  NULL, and *ret_why is set, if it cannot be. */
const struct evr_library *evr_library(const char **ret_why);

#endif
