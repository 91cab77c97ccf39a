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
 * watchers and the release and acquire callbacks (EV_FEATURE_API): all of them
 * on unless switched off.
 */
#ifndef EVRING_EMBED_H
#define EVRING_EMBED_H

#include <stddef.h>

#include <evring.h>

#if !defined EV_USE_EPOLL || !EV_USE_EPOLL
#error "evring-embed.h: include it after ev.c, built with EV_USE_EPOLL=1"
#elif !EV_MULTIPLICITY
#error "evring-embed.h: ev.c must be built with EV_MULTIPLICITY=1"
#elif !EV_CLEANUP_ENABLE
#error "evring-embed.h: ev.c must be built with EV_CLEANUP_ENABLE=1"
#elif !EV_FEATURE_API
#error "evring-embed.h: ev.c must be built with EV_FEATURE_API (EV_FEATURES)"
#endif

/* ev_xxx_start takes its own watcher type; the table takes any. */
#define EVRING_EMBED_CALL(name, type)                                          \
	static void evring_embed_##name(struct ev_loop *loop, void *watcher)   \
	{                                                                      \
		ev_##name(loop, (type *)watcher);                              \
	}

EVRING_EMBED_CALL(cleanup_start, ev_cleanup)
EVRING_EMBED_CALL(cleanup_stop, ev_cleanup)

#undef EVRING_EMBED_CALL

__attribute__((constructor)) static void evring_embed_register(void)
{
	struct evring_layout l;

	l.size = sizeof(l);
	l.backend_fd = offsetof(struct ev_loop, backend_fd);
	l.mintime = offsetof(struct ev_loop, backend_mintime);
	l.modify = offsetof(struct ev_loop, backend_modify);
	l.poll = offsetof(struct ev_loop, backend_poll);
	l.anfds = offsetof(struct ev_loop, anfds);
	l.anfdmax = offsetof(struct ev_loop, anfdmax);
	l.release_cb = offsetof(struct ev_loop, release_cb);
	l.acquire_cb = offsetof(struct ev_loop, acquire_cb);
	l.anfd_size = sizeof(ANFD);
	l.anfd_events = offsetof(ANFD, events);
	l.anfd_reify = offsetof(ANFD, reify);
	l.anfd_emask = offsetof(ANFD, emask);
	l.anfd_egen = offsetof(ANFD, egen);
	l.cleanup_size = sizeof(ev_cleanup);
	l.min_priority = EV_MINPRI;
	l.max_priority = EV_MAXPRI;
	l.epoll_modify = epoll_modify;
	l.epoll_poll = epoll_poll; /* ev_tstamp must be a double */
	l.feed_fd_event = ev_feed_fd_event;
	l.feed_event = ev_feed_event;
	l.clear_pending = ev_clear_pending;
	l.ref = ev_ref;
	l.unref = ev_unref;
	l.cleanup_start = evring_embed_cleanup_start;
	l.cleanup_stop = evring_embed_cleanup_stop;
	(void)evring_embed(&l);
}

#endif
