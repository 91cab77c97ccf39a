/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * real.h - the functions that the preloaded library stands in front of, and
 * the library that does the work.
 */
#ifndef EVR_REAL_H
#define EVR_REAL_H

#include <evring.h>
#include <stdbool.h>

/*
 * The function of this name that a call from caller would have reached without
 * us.  NULL: none, which cannot be if it is called.
 */
void *evr_real(const char *name, const void *caller);

/* libevring, as far as it is used here. */
struct evr_library {
	int (*attach)(struct ev_loop *loop, const struct evring_config *config);
	enum evring_tier (*tier)(struct ev_loop *loop);
	const char *(*tier_name)(enum evring_tier tier);
	const char *(*strerror)(int error);
	int (*set_collect)(struct ev_loop *loop, double seconds,
			   unsigned events);
};

/* Loaded at the first call.  NULL, and *ret_why is set, if it cannot be. */
const struct evr_library *evr_library(const char **ret_why);

#endif
