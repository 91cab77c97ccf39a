/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * layout.h - where libev's private fields are, and access to them.
 *
 * The table itself, struct evring_layout, is public: programs with an ev.c of
 * their own fill one.
 */
#ifndef EVR_LAYOUT_H
#define EVR_LAYOUT_H

#include <evring.h>

#include "evr.h"

/*
 * libev's ANFD, one per fd, in its array anfds.  4.24 to 4.33 have it in this
 * form; a layout with another is refused, so that no offsets are added per
 * event.
 */
struct evr_anfd {
	void *head;	      /* watchers of this fd */
	unsigned char events; /* wanted by them, as of the last fd_reify */
	unsigned char reify;  /* not 0: changed since then */
	unsigned char emask;  /* what the epoll set has; see poll.c */
	unsigned char eflags; /* not looked at */
	unsigned egen;	      /* generation: upper half of epoll's data */
};

#define EVR_EMASK_EPERM 0x80 /* in emask: epoll takes no such file */
#define EVR_EMASK_EDGE	0x40 /* ours: the set reports it once (poll.c) */

/* A loop, and how to reach into it.  The layout lives for ever. */
struct evr_host {
	struct ev_loop *loop;
	const struct evring_layout *layout;
};

/* Reads memory that may not be there: size bytes, or a negative errno. */
typedef int evr_peek(const void *from, void *to, size_t size);

/* One step of the proof that a layout is right. */
struct evr_proof {
	const char *name;
	const char *what; /* was shown, in words */
	bool held;
};

enum { EVR_MAX_PROOFS = 16 };

/*
 * Find the layout of the libev that this library is linked with, by probing
 * loops made for it.  proofs (may be NULL) gets what was tried, in order; the
 * last is the one that failed, if any; the rest have a NULL name.  peek is how
 * to read memory, NULL for the usual way.
 *
 * Returns 0; -ENOTSUP if a proof failed; -ENOMEM, -EMFILE or -ENFILE if none
 * could be tried.
 */
int evr_layout_discover(evr_peek *peek, struct evring_layout *ret_layout,
			struct evr_proof proofs[EVR_MAX_PROOFS]);

/*
 * The layout of the libev that made loop: one that is embedded, or the
 * discovered one.  Nothing is written to loop.
 *
 * Returns 0 or what evr_layout_discover() returned; -ENOTSUP also for a loop
 * that is not on the epoll backend.
 */
int evr_layout_find(struct ev_loop *loop,
		    const struct evring_layout **ret_layout);

/*
 * The libev that evring makes loops of: the one that this library is linked
 * with; where all is embedded, the newest that was, or NULL.  Only what calls
 * it is valid.
 */
const struct evring_layout *evr_layout_own(void);

/* Remember a copy of layout.  Returns 0 or an error of evring_embed(). */
int evr_layout_add(const struct evring_layout *layout);

/*
 * Access.  The place of a field of type type.
 */
#define evr_field(host, type, offset)                                          \
	((type *)((char *)(host)->loop + (host)->layout->offset))

typedef void evr_backend_modify(struct ev_loop *loop, int fd, int oev, int nev);
typedef void evr_backend_poll(struct ev_loop *loop, double timeout);
typedef void evr_loop_cb(struct ev_loop *loop);

/* libev's epoll set. */
static inline int evr_host_home(const struct evr_host *host)
{
	return *evr_field(host, int, backend_fd);
}

static inline int evr_host_nr_fds(const struct evr_host *host)
{
	return *evr_field(host, int, anfdmax);
}

static inline struct evr_anfd *evr_host_anfd(const struct evr_host *host,
					     int fd)
{
	return *evr_field(host, struct evr_anfd *, anfds) + fd;
}

/* The callbacks around a wait, or NULL. */
static inline evr_loop_cb *evr_host_release_cb(const struct evr_host *host)
{
	if (evr_unlikely(!host->layout->release_cb))
		return NULL;
	return *evr_field(host, evr_loop_cb *, release_cb);
}

static inline evr_loop_cb *evr_host_acquire_cb(const struct evr_host *host)
{
	if (evr_unlikely(!host->layout->acquire_cb))
		return NULL;
	return *evr_field(host, evr_loop_cb *, acquire_cb);
}

static inline void evr_host_release(const struct evr_host *host)
{
	evr_loop_cb *cb = evr_host_release_cb(host);

	if (evr_unlikely(cb != NULL))
		cb(host->loop);
}

static inline void evr_host_acquire(const struct evr_host *host)
{
	evr_loop_cb *cb = evr_host_acquire_cb(host);

	if (evr_unlikely(cb != NULL))
		cb(host->loop);
}

/* May others have the loop while it waits? */
static inline bool evr_host_is_shared(const struct evr_host *host)
{
	return evr_host_release_cb(host) || evr_host_acquire_cb(host);
}

/* libev's own backend. */
static inline void evr_host_modify(const struct evr_host *host, int fd, int oev,
				   int nev)
{
	host->layout->epoll_modify(host->loop, fd, oev, nev);
}

static inline void evr_host_poll(const struct evr_host *host, double timeout)
{
	host->layout->epoll_poll(host->loop, timeout);
}

#endif
