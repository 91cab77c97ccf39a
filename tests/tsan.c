/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tsan.c - an order of events that the thread sanitizer does not see.
 *
 * When one thread ends a ring and another makes one, the kernel may give the
 * second the addresses that the first gave back.  The sanitizer learns of
 * memory that is mapped and unmapped from the functions of the C library;
 * liburing makes these system calls itself.  So what the first wrote seems to
 * have been written to the ring of the second, without any order.
 *
 * The order is the kernel's, and is said here: the end of a ring comes before
 * all that is made later.  A ring that two threads use at once is reported as
 * before, which a list of suppressions for liburing's inline functions would
 * prevent.
 *
 * These functions stand in front of liburing's own, for the library under test,
 * too.  Without the sanitizer there are none.
 */
#include "config.h"

#include "harness.h"

/* gcc defines a macro, clang answers a question. */
#ifndef __has_feature
#define __has_feature(name) 0
#endif

#if defined __SANITIZE_THREAD__ || __has_feature(thread_sanitizer)

#include <dlfcn.h>
#include <liburing.h>
#include <sanitizer/tsan_interface.h>
#include <stdlib.h>

#define SEEN_BY_THE_LIBRARY __attribute__((visibility("default")))

/* Some tests fork in a signal handler; a child has not the threads that its
   parent is to join, and may start its own. */
const char *__tsan_default_options(void);
SEEN_BY_THE_LIBRARY const char *__tsan_default_options(void)
{
	return "report_signal_unsafe=0:report_thread_leaks=0:die_after_fork=0";
}

static int given_back; /* an address, no more */

static void *real(const char *name)
{
	void *function = dlsym(RTLD_NEXT, name);

	if (!function)
		abort();
	return function;
}

SEEN_BY_THE_LIBRARY int
io_uring_queue_init_params(unsigned entries, struct io_uring *ring,
			   struct io_uring_params *params)
{
	int (*init)(unsigned, struct io_uring *, struct io_uring_params *) =
		real("io_uring_queue_init_params");
	int r = init(entries, ring, params);

	__tsan_acquire(&given_back);
	return r;
}

SEEN_BY_THE_LIBRARY void io_uring_queue_exit(struct io_uring *ring)
{
	void (*queue_exit)(struct io_uring *) = real("io_uring_queue_exit");

	__tsan_release(&given_back);
	queue_exit(ring);
}

#endif
