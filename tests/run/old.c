/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * old.c - the name that ev_default_loop had in libev 3, which no libev has that
 * evring works with: a shared object stands in for one.
 *
 * The loop is made by libev's own function, found without the dynamic linker's
 * search order; so it is the old name alone that evring can have noticed.
 */
#define _GNU_SOURCE

#include <dlfcn.h>
#include <ev.h>
#include <stddef.h>

struct ev_loop *ev_default_loop_init(unsigned flags);

__attribute__((visibility("default"))) struct ev_loop *
ev_default_loop_init(unsigned flags)
{
	void *libev = dlopen("libev.so.4", RTLD_NOW | RTLD_NOLOAD);
	struct ev_loop *(*make)(unsigned flags) = NULL;

	if (libev)
		*(void **)&make = dlsym(libev, "ev_default_loop");
	return make ? make(flags) : NULL;
}
