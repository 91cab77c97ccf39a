/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * path.h - LD_PRELOAD: a list of paths with spaces or colons between them, so
 * that no path with either can be in it.
 */
#ifndef EVR_PATH_H
#define EVR_PATH_H

#include <stdbool.h>

#define EVR_PRELOAD "libevring-preload.so"

/* Can this path be in the list at all? */
bool evr_path_is_possible(const char *path);

/* Behind what is there, unless it is there.  Returns 0 or -errno. */
int evr_path_add(const char *path);

/* Every path whose last part is EVR_PRELOAD. */
void evr_path_remove_us(void);

#endif
