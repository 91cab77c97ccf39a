/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * real.c - finding the functions of libev that ours hide, and loading
 * libevring: at the start of a program in which libev is global by then, else
 * for the first loop that is to be attached.
 *
 * What to know about the dynamic linker:
 *
 * a) Our functions are found first by everybody, also by objects that are
 *    opened later and with RTLD_LOCAL: the global scope goes before the local
 *    one.  (Not with RTLD_DEEPBIND.)
 * b) The libev behind them may be global, for RTLD_NEXT to find, or known to
 *    the object that calls and to nobody else: then it is found by asking that
 *    object.
 * c) We must not depend on libev ourselves.  It would become global in every
 *    program, and it also has the names of libevent's old interface, which
 *    would then hide libevent's own.  Hence libevring, which depends on it, is
 *    opened when there is a libev, and for itself alone.
 * d) What a plugin brought goes when it is closed, and its addresses may be
 *    used again.  A libev that was found stays.
 * e) Asking the program itself is asking the global scope, and so finds us.
 * f) A call in tail position is a jump: the address that it returns to is not
 *    in the object that called, but in one further up, which may know of no
 *    libev at all (libverto's module for libev).  Then all objects are asked.
 */
#include "config.h"

#include "real.h"

#include <dlfcn.h>
#include <limits.h>
#include <link.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LIBRARY "libevring.so.0"

/* The object that has this address, once more; NULL for the program itself. */
static void *open_again(const void *address, int flags)
{
	Dl_info info;

	return dladdr(address, &info)
		       ? dlopen(info.dli_fname, RTLD_LAZY | RTLD_NOLOAD | flags)
		       : NULL;
}

static bool is_ours(const void *function)
{
	static const char here;
	Dl_info info, own;

	return dladdr(function, &info) && dladdr(&here, &own) &&
	       info.dli_fbase == own.dli_fbase;
}

/* Of this object or what it needs, unless that is ours again: trap e. */
static void *find_in(void *handle, const char *name)
{
	void *function = handle ? dlsym(handle, name) : NULL;

	if (handle)
		dlclose(handle);
	return function && !is_ours(function) ? function : NULL;
}

/* Trap f. */
struct objects {
	char *names[512];
	size_t nr;
};

static int note_object(struct dl_phdr_info *info, size_t size, void *context)
{
	struct objects *objects = context;

	(void)size;
	if (!*info->dlpi_name || objects->nr == 512)
		return 0;
	objects->names[objects->nr] = strdup(info->dlpi_name);
	if (objects->names[objects->nr])
		objects->nr++;
	return 0;
}

static void *ask_all(const char *name)
{
	struct objects objects = { .nr = 0 };
	void *function = NULL;
	size_t i;

	dl_iterate_phdr(note_object, &objects);
	for (i = 0; i < objects.nr; i++) {
		if (!function)
			function = find_in(dlopen(objects.names[i],
						  RTLD_LAZY | RTLD_NOLOAD),
					   name);
		free(objects.names[i]);
	}
	return function;
}

static void keep(const void *function)
{
	(void)open_again(function, RTLD_NODELETE); /* trap d */
}

static const char *const names[EVR_NR_FUNCTIONS] = {
	[EVR_BACKEND] = "ev_backend",
	[EVR_DEFAULT_LOOP] = "ev_default_loop",
	[EVR_DEFAULT_LOOP_INIT] = "ev_default_loop_init",
	[EVR_LOOP_DESTROY] = "ev_loop_destroy",
	[EVR_LOOP_NEW] = "ev_loop_new",
	[EVR_SET_IO_COLLECT_INTERVAL] = "ev_set_io_collect_interval",
	[EVR_EXIT] = "_exit",
};

/*
 * EV_DEFAULT is a call of ev_default_loop() each time, also in signal handlers
 * (ev_async_send), where the dynamic linker must not be asked.  What is global
 * is the same for all callers.
 */
static void *_Atomic global[EVR_NR_FUNCTIONS];

static void *find_global(enum evr_function f)
{
	void *function = atomic_load(&global[f]);

	if (function)
		return function;
	function = dlsym(RTLD_NEXT, names[f]);
	if (function) {
		keep(function);
		atomic_store(&global[f], function);
	}
	return function;
}

void evr_real_init(void)
{
	int f;

	for (f = 0; f < EVR_NR_FUNCTIONS; f++)
		(void)find_global(f);
}

/* What is not is kept for as many callers as there is room for. */
static struct {
	const void *_Atomic caller; /* set last, once */
	enum evr_function f;
	void *function;
	_Atomic bool is_taken;
} found[256];

static void *find_local(enum evr_function f, const void *caller)
{
	size_t i =
		((uintptr_t)caller >> 2) % (sizeof(found) / sizeof(found[0]));
	void *function;

	if (atomic_load(&found[i].caller) == caller && found[i].f == f)
		return found[i].function;
	function = find_in(open_again(caller, 0), names[f]); /* trap b */
	if (!function)
		function = ask_all(names[f]);
	if (!function)
		return NULL;
	keep(function);
	if (!atomic_exchange(&found[i].is_taken, true)) {
		found[i].f = f;
		found[i].function = function;
		atomic_store(&found[i].caller, caller);
	}
	return function;
}

/* A libev that became global late is seen when no other was found before. */
void *evr_real(enum evr_function f, const void *caller)
{
	void *function = find_global(f);

	return function ? function : find_local(f, caller);
}

/*
 * libevring
 */

static struct evr_library library;
static const char *_Atomic why_not = "it is being loaded";
static char reason[256];

/* Where it is beside us: installed, and in a tree that is being built. */
static const char *const places[] = { "/../" LIBRARY,
				      "/../../lib/.libs/" LIBRARY };

static void *open_beside_us(void)
{
	char path[PATH_MAX];
	Dl_info info;
	void *handle = NULL;
	size_t i, size;

	if (!dladdr(&library, &info) || !strrchr(info.dli_fname, '/'))
		return NULL;
	size = (size_t)(strrchr(info.dli_fname, '/') - info.dli_fname);
	for (i = 0; i < sizeof(places) / sizeof(places[0]) && !handle; i++)
		if (snprintf(path, sizeof(path), "%.*s%s", (int)size,
			     info.dli_fname, places[i]) < (int)sizeof(path))
			handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	return handle;
}

static bool find(void *handle, const char *name, void *ret_function)
{
	void *function = dlsym(handle, name);

	memcpy(ret_function, &function, sizeof(function));
	return function != NULL;
}

static void load(void)
{
	void *handle = open_beside_us();

	if (!handle)
		handle = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
	if (!handle) {
		snprintf(reason, sizeof(reason), "%s", dlerror());
		why_not = reason;
		return;
	}
	if (find(handle, "evring_attach", &library.attach) &&
	    find(handle, "evring_tier", &library.tier) &&
	    find(handle, "evring_tier_name", &library.tier_name) &&
	    find(handle, "evring_strerror", &library.strerror) &&
	    find(handle, "evring_set_collect", &library.set_collect) &&
	    find(handle, "evring_set_napi", &library.set_napi))
		why_not = NULL;
	else
		why_not = LIBRARY " is of another version";
}

const struct evr_library *evr_library(const char **ret_why)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, load);
	*ret_why = why_not;
	return *ret_why ? NULL : &library;
}
