/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * preload.c - what `evring run` loads into a program: functions of the names of
 * libev's that make and end loops.  They call the real ones, and attach each
 * loop that libev put on epoll before the program sees it.
 *
 * The program is a guest who knows nothing of us.  Whatever goes wrong, it runs
 * as it would have without; only with EVRING_REQUIRE it is ended instead.
 *
 * close(), dup2() and the like need no function here: an fd is watched by the
 * loop's epoll set, which holds no file open.
 *
 * Invariants:
 *
 * (1) libevring makes loops of its own, to find out how libev is laid out, with
 *     the functions here: while it is called, they only pass on.
 * (2) Nothing is made or loaded in a program that has no libev, nor in any
 *     before it makes a loop, but for libevring itself where there is a libev
 *     from the start: the loop may be made after chroot(), or by another user.
 */
#include "config.h"

#include <dlfcn.h>
#include <errno.h>
#include <ev.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "evr.h"
#include "ledger.h"
#include "options.h"
#include "path.h"
#include "real.h"
#include "report.h"
#include "say.h"
#include "terms.h"

#define CALLER __builtin_return_address(0)

static struct evr_options options;
static void (*real_exit)(int status);
static _Thread_local bool is_inside; /* invariant 1 */

/*
 * attaching
 */

static bool is_first(_Atomic bool *was_said)
{
	return !options.quiet && !atomic_exchange(was_said, true);
}

/* Who wants this loop on what it is on? */
static const char *choice_of(unsigned flags)
{
	if (flags & EVBACKEND_MASK)
		return "the program asked for it";
	if (!(flags & EVFLAG_NOENV) && getenv("LIBEV_FLAGS"))
		return "LIBEV_FLAGS asks for it";
	return "libev chose it";
}

static void say_attached(struct ev_loop *loop, enum evring_tier tier,
			 const struct evr_library *library)
{
	if (options.verbose)
		evr_say("loop %p: attached, tier %s", (void *)loop,
			library->tier_name(tier));
}

/* It is on epoll, and stays there. */
static void refused(struct ev_loop *loop, const char *why)
{
	static _Atomic bool was_said;

	if (options.verbose)
		evr_say("loop %p: not attached: %s", (void *)loop, why);
	else if (options.tier != EVR_NO_TIER && is_first(&was_said))
		evr_say("not attached, goes on with epoll: %s", why);
	if (!options.require)
		return;
	if (!options.quiet)
		evr_say("EVRING_REQUIRE: ended, status %d", EVR_EXIT_REQUIRED);
	syscall(SYS_exit_group, EVR_EXIT_REQUIRED);
}

/* Names of EVRING_DISABLE that are unknown are not to be fatal. */
static int attach_without_names(const struct evr_library *library,
				struct ev_loop *loop,
				struct evring_config *config)
{
	static _Atomic bool was_said;

	if (is_first(&was_said))
		evr_say("unknown names in EVRING_DISABLE are ignored");
	config->disable = options.tier == EVR_COPIED ? "region" : NULL;
	return library->attach(loop, config);
}

static void collect_as_wanted(const struct evr_library *library,
			      struct ev_loop *loop)
{
	int r = library->set_collect(loop, options.collect, 0);

	if (r < 0 && options.verbose)
		evr_say("loop %p: does not collect: %s", (void *)loop,
			library->strerror(r));
}

/* The program runs on without, which nobody would notice. */
static void poll_nics_as_wanted(const struct evr_library *library,
				struct ev_loop *loop)
{
	static _Atomic bool was_said;

	if (library->set_napi(loop, options.napi) < 0 && is_first(&was_said))
		evr_say("NICs are not polled: this kernel does not let a ring "
			"do so (Linux 6.13, CONFIG_NET_RX_BUSY_POLL), or napi "
			"is disabled");
}

static int attach_as_wanted(const struct evr_library *library,
			    struct ev_loop *loop, struct evring_stats *stats)
{
	struct evring_config config = { .flags = EVRING_GIVE_WAY,
					.disable = options.disable,
					.stats = stats,
					.spin = options.spin };
	int r;

	if (options.require && options.tier == EVR_REGION)
		config.flags |= EVRING_REQUIRE_REGION;
	if (options.restricted)
		config.flags |= EVRING_RESTRICT;
	r = library->attach(loop, &config);
	if (r == -EINVAL && config.disable)
		r = attach_without_names(library, loop, &config);
	if (r >= 0 && options.collect > 0.)
		collect_as_wanted(library, loop);
	if (r >= 0 && options.napi > 0.)
		poll_nics_as_wanted(library, loop);
	return r;
}

static int attach_on_epoll(struct ev_loop *loop, struct evr_slot *slot)
{
	const struct evr_library *library;
	const char *why;
	int r;

	if (options.tier == EVR_NO_TIER) {
		refused(loop, "EVRING_TIER is none");
		return -ENOTSUP;
	}
	library = evr_library(&why);
	if (!library) {
		refused(loop, why);
		return -ENOTSUP;
	}
	r = attach_as_wanted(library, loop, slot ? &slot->stats : NULL);
	if (r < 0) {
		refused(loop, library->strerror(r));
		return r;
	}
	if (slot)
		slot->tier = library->tier(loop);
	say_attached(loop, library->tier(loop), library);
	return 0;
}

static void attach(struct ev_loop *loop, unsigned flags, unsigned backend,
		   bool is_default)
{
	struct evr_slot *slot = evr_ledger_open(loop);
	int error = errno;
	int r = -ENOTSUP;

	if (slot) {
		slot->backend = backend;
		slot->flags = flags;
		slot->is_default = is_default;
	}
	is_inside = true;
	if (backend == EVBACKEND_EPOLL)
		r = attach_on_epoll(loop, slot);
	else if (options.verbose)
		evr_say("loop %p: not attached: it is on %s, %s", (void *)loop,
			evr_backend_name(backend), choice_of(flags));
	is_inside = false;
	if (slot)
		slot->error = r;
	evr_ledger_enter(slot, r < 0 ? EVR_SLOT_REFUSED : EVR_SLOT_ATTACHED);
	errno = error;
}

/*
 * the beginning
 */

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void complain(const char *variable, int length, const char *form)
{
	const char *quiet = secure_getenv("EVRING_QUIET");

	if (quiet && !strcmp(quiet, "1"))
		return;
	if (form)
		evr_say("%s is ignored: it must be %s", variable, form);
	else
		evr_say("%.*s is ignored: there is no such variable", length,
			variable);
}

/* All wait arguments copied, besides what else is not to be used. */
static void disable_region(void)
{
	char *both;

	if (!options.disable)
		options.disable = "region";
	else if (asprintf(&both, "region,%s", options.disable) >= 0)
		options.disable = both;
}

/* Programs that this one executes are not to hear of us. */
static void leave_environment(void)
{
	const struct evr_option *option;

	if (options.disable)
		options.disable = strdup(options.disable);
	evr_path_remove_us();
	for (option = evr_options_table; option->name; option++)
		unsetenv(option->variable);
}

static void begin(void)
{
	evr_say_init();
	evr_real_init();
	if (environ && !getauxval(AT_SECURE))
		evr_options_read(&options, environ, complain);
	if (options.quiet)
		options.verbose = false;
	if (options.no_children)
		leave_environment();
	if (options.tier == EVR_COPIED)
		disable_region();
	evr_report_init(&options);
	real_exit = evr_real(EVR_EXIT, CALLER); /* no dlsym() in _exit() */
}

/* The first loop may be made where our library cannot be seen any more. */
__attribute__((constructor)) static void loaded(void)
{
	const char *why;

	pthread_once(&once, begin);
	if (options.tier != EVR_NO_TIER && dlsym(RTLD_NEXT, "ev_loop_new"))
		(void)evr_library(&why);
}

/*
 * what the users of libev call
 */

typedef struct ev_loop *make_loop(unsigned flags);

/* The default loop that was seen last; a call that makes none is frequent. */
static struct ev_loop *_Atomic default_loop;

static void handle_new(struct ev_loop *loop, unsigned flags, bool is_default,
		       const void *caller)
{
	unsigned (*backend)(struct ev_loop *) = evr_real(EVR_BACKEND, caller);

	pthread_once(&once, begin);
	if (backend)
		attach(loop, flags, backend(loop), is_default);
}

EVR_API struct ev_loop *ev_loop_new(unsigned flags)
{
	make_loop *make = evr_real(EVR_LOOP_NEW, CALLER);
	struct ev_loop *loop = make ? make(flags) : NULL;

	if (loop && !is_inside)
		handle_new(loop, flags, false, CALLER);
	return loop;
}

static void handle_default(struct ev_loop *loop, unsigned flags,
			   const void *caller)
{
	if (evr_likely(loop == atomic_load(&default_loop)) || !loop ||
	    is_inside)
		return;
	atomic_store(&default_loop, loop);
	if (!evr_ledger_find(loop))
		handle_new(loop, flags, true, caller);
}

EVR_API struct ev_loop *ev_default_loop(unsigned flags)
{
	make_loop *make = evr_real(EVR_DEFAULT_LOOP, CALLER);
	struct ev_loop *loop = make ? make(flags) : NULL;

	handle_default(loop, flags, CALLER);
	return loop;
}

/* Until libev 4. */
EVR_API struct ev_loop *ev_default_loop_init(unsigned flags);
EVR_API struct ev_loop *ev_default_loop_init(unsigned flags)
{
	make_loop *make = evr_real(EVR_DEFAULT_LOOP_INIT, CALLER);
	struct ev_loop *loop = make ? make(flags) : NULL;

	handle_default(loop, flags, CALLER);
	return loop;
}

EVR_API void ev_loop_destroy(struct ev_loop *loop)
{
	void (*destroy)(struct ev_loop *) = evr_real(EVR_LOOP_DESTROY, CALLER);
	struct evr_slot *slot = is_inside ? NULL : evr_ledger_find(loop);
	struct ev_loop *seen = loop;

	atomic_compare_exchange_strong(&default_loop, &seen, NULL);
	if (destroy)
		destroy(loop);
	if (!is_inside)
		evr_ledger_close(slot);
}

/* The ring collects by itself, without a sleep before each wait. */
static bool collect_in_ring(struct ev_loop *loop, double interval)
{
	struct evr_slot *slot = evr_ledger_find(loop);
	const struct evr_library *library;
	const char *why;

	if (!slot || atomic_load(&slot->state) != EVR_SLOT_ATTACHED)
		return false;
	library = evr_library(&why);
	return library &&
	       library->set_collect(loop,
				    interval > 0. ? interval : options.collect,
				    0) == 0;
}

EVR_API void ev_set_io_collect_interval(struct ev_loop *loop, double interval)
{
	void (*set)(struct ev_loop *, double) =
		evr_real(EVR_SET_IO_COLLECT_INTERVAL, CALLER);

	if (!is_inside && collect_in_ring(loop, interval))
		interval = 0.;
	if (set)
		set(loop, interval);
}

/*
 * ends that destructors do not see
 */

EVR_API void _exit(int status)
{
	evr_report_end();
	if (real_exit)
		real_exit(status);
	for (;;)
		syscall(SYS_exit_group, status);
}

EVR_API void _Exit(int status)
{
	_exit(status);
}
