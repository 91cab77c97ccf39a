/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * evring-embed.h - for programs that compile ev.c themselves.
 *
 * Include it once, after ev.c, in the same file:
 *
 *     #include "ev.c"
 *     #include <evring-embed.h>
 *
 * Then evring_attach() works, from any file of the program, on the loops of
 * this ev.c.  Nothing else is to be called.  What it adds to the file is one
 * table of offsets, which the compiler fills, and one constructor that gives
 * it to the library before main.
 *
 * ev.c needs its epoll backend, several loops (EV_MULTIPLICITY), cleanup
 * watchers, priorities (EV_MINPRI less than EV_MAXPRI) and watchers with the
 * members that ev.h gives them: so it comes, unless EV_FEATURES or its like
 * says otherwise.  All else may be cut off.
 *
 * The library is linked with -levring, or carried along as evring-all.c.
 */
#ifndef EVRING_EMBED_H
#define EVRING_EMBED_H

#include <stddef.h>

#include "evring.h"

#if !defined EV_USE_EPOLL || !EV_USE_EPOLL
#error "evring-embed.h: include it after ev.c, built with EV_USE_EPOLL=1"
#elif EV_VERSION_MAJOR != 4 || EV_VERSION_MINOR < 24
#error "evring-embed.h: ev.c must be of libev 4.24 or later, and below 5"
#elif !EV_MULTIPLICITY
#error "evring-embed.h: ev.c must be built with EV_MULTIPLICITY=1: without it \
there is no struct ev_loop, by which evring's functions know a loop"
#elif !EV_CLEANUP_ENABLE
#error "evring-embed.h: ev.c must be built with EV_CLEANUP_ENABLE=1: evring \
hears from a cleanup watcher that a loop is destroyed"
#elif EV_MINPRI == EV_MAXPRI
#error "evring-embed.h: ev.c must be built with EV_MINPRI less than EV_MAXPRI: \
without priorities its watchers lack a member that those of evring have"
#endif

#ifdef __cplusplus
#define EVRING_EMBED_ASSERT static_assert
#else
#define EVRING_EMBED_ASSERT _Static_assert
#endif

/* libev and evring hand each other their watchers. */
EVRING_EMBED_ASSERT(offsetof(ev_watcher, cb) == offsetof(evring_op, cb) &&
			    sizeof(ev_watcher) == offsetof(evring_op, res),
		    "evring-embed.h: EV_COMMON, EV_CB_DECLARE and "
		    "EV_DECL_PRIORITY must be those of ev.h");
EVRING_EMBED_ASSERT(sizeof(ev_tstamp) == sizeof(double),
		    "evring-embed.h: EV_TSTAMP_T must be double");

#undef EVRING_EMBED_ASSERT

/* ev_xxx_start takes its own watcher type; the table takes any. */
#define EVRING_EMBED_CALL(name, type)                                          \
	static void evring_embed_##name(struct ev_loop *loop, void *watcher)   \
	{                                                                      \
		ev_##name(loop, (type *)watcher);                              \
	}

EVRING_EMBED_CALL(cleanup_start, ev_cleanup)
EVRING_EMBED_CALL(cleanup_stop, ev_cleanup)

#undef EVRING_EMBED_CALL

/* Before constructors in C++, which may attach loops. */
__attribute__((constructor(101))) static void evring_embed_register(void)
{
	struct evring_layout l;

	l.size = sizeof(l);
	l.backend_fd = offsetof(struct ev_loop, backend_fd);
	l.mintime = offsetof(struct ev_loop, backend_mintime);
	l.modify = offsetof(struct ev_loop, backend_modify);
	l.poll = offsetof(struct ev_loop, backend_poll);
	l.anfds = offsetof(struct ev_loop, anfds);
	l.anfdmax = offsetof(struct ev_loop, anfdmax);
#if EV_FEATURE_API
	l.release_cb = offsetof(struct ev_loop, release_cb);
	l.acquire_cb = offsetof(struct ev_loop, acquire_cb);
#else
	l.release_cb = l.acquire_cb = 0;
#endif
	l.anfd_size = sizeof(ANFD);
	l.anfd_events = offsetof(ANFD, events);
	l.anfd_reify = offsetof(ANFD, reify);
	l.anfd_emask = offsetof(ANFD, emask);
	l.anfd_egen = offsetof(ANFD, egen);
	l.cleanup_size = sizeof(ev_cleanup);
	l.min_priority = EV_MINPRI;
	l.max_priority = EV_MAXPRI;
	l.epoll_modify = epoll_modify;
	l.epoll_poll = epoll_poll;
	l.feed_fd_event = ev_feed_fd_event;
	l.feed_event = ev_feed_event;
	l.clear_pending = ev_clear_pending;
	l.ref = ev_ref;
	l.unref = ev_unref;
	l.cleanup_start = evring_embed_cleanup_start;
	l.cleanup_stop = evring_embed_cleanup_stop;
	l.loop_new = ev_loop_new;
	l.default_loop = ev_default_loop;
	l.default_loop_uc_ = ev_default_loop_uc_;
	l.loop_destroy = ev_loop_destroy;
	(void)evring_embed(&l);
}

#endif
