/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bind.c - attach to a loop of libev and detach from it: the only file that
 * replaces what is in libev's struct.
 *
 * An attached loop calls our functions in place of its backend's and rounds
 * waits up to a microsecond only.  One watcher of ours is on it, which does not
 * count among its references: it hears that the loop is destroyed.
 *
 * libev hands us the loop, and the binding must be found from it several
 * million times a second, from any thread, without taking the user's
 * ev_userdata and without a lock that a fork could leave locked.  So bindings
 * hang on seats: a list that only grows, by one seat for each loop attached at
 * the same time, and each thread remembers the seat it used last.
 *
 * Invariants:
 *
 * (1) Seats are never freed or moved, so a remembered one may always be looked
 *     at.
 * (2) Only the thread that owns a loop writes to the seat of that loop.
 * (3) On failure attach has written nothing to the loop.
 */
#include "config.h"

#include <errno.h>
#include <ev.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "bind.h"
#include "napi.h"
#include "probe.h"
#include "spin.h"

#define KNOWN_FLAGS                                                            \
	(EVRING_REQUIRE_REGION | EVRING_USER_REGION | EVRING_ALLOW_NONE |      \
	 EVRING_GIVE_WAY | EVRING_RESTRICT)

enum { MAX_ENTRIES = 32768 };

/* What waits for less than this is not worth a timer. */
static const double MINTIME = 1e-6;

/* For evring_set_collect(): what the kernel takes, 32 bits of microseconds. */
static const double MAX_INTERVAL = 4294.;

struct binding {
	struct evr_host host;
	struct evr_poll *poll;

	ev_cleanup cleanup; /* libev's while the loop is attached */
	double mintime;	    /* of libev's backend, to be put back */
	bool is_given_back; /* the ring was lost, libev's backend has the loop
			     */
	unsigned flags;	    /* evring_config.flags */
	double spin;	    /* evring_config.spin */
	struct evring_stats *users_stats; /* evring_config.stats: the
					     caller's, until unbind() */
};

struct seat {
	struct ev_loop *_Atomic loop; /* NULL: free */
	struct binding *binding;      /* written before loop, read after it;
					 NULL while it is let go */
	struct seat *next;	      /* never changes once in the list */
};

static struct seat *_Atomic seats;
static _Thread_local struct seat *last_seat;

/*
 * seats
 */

static bool is_seat_of(struct seat *seat, struct ev_loop *loop)
{
	return atomic_load_explicit(&seat->loop, memory_order_acquire) == loop;
}

static struct seat *find_seat(struct ev_loop *loop)
{
	struct seat *seat = last_seat;

	if (evr_likely(seat && is_seat_of(seat, loop)))
		return seat;
	for (seat = atomic_load(&seats); seat; seat = seat->next)
		if (is_seat_of(seat, loop)) {
			last_seat = seat;
			return seat;
		}
	return NULL;
}

static struct binding *find_binding(struct ev_loop *loop)
{
	struct seat *seat = find_seat(loop);

	return seat ? seat->binding : NULL;
}

/* A free seat, marked as taken by what is no loop; NULL if no memory. */
static struct seat *take_seat(void)
{
	struct ev_loop *taken = (struct ev_loop *)&seats;
	struct ev_loop *none;
	struct seat *seat;

	for (seat = atomic_load(&seats); seat; seat = seat->next) {
		none = NULL;
		if (atomic_compare_exchange_strong(&seat->loop, &none, taken))
			return seat;
	}
	seat = calloc(1, sizeof(*seat));
	if (!seat)
		return NULL;
	atomic_init(&seat->loop, taken);
	seat->next = atomic_load(&seats);
	while (!atomic_compare_exchange_weak(&seats, &seat->next, seat))
		;
	return seat;
}

static void leave_seat(struct seat *seat)
{
	seat->binding = NULL;
	atomic_store_explicit(&seat->loop, NULL, memory_order_release);
}

/*
 * what libev calls
 */

static void give_back(struct binding *b);

static void modify(struct ev_loop *loop, int fd, int oev, int nev)
{
	struct binding *b = find_binding(loop);

	if (!evr_poll_modify(b->poll, fd, oev, nev))
		evr_host_modify(&b->host, fd, oev, nev);
}

static void poll_events(struct ev_loop *loop, double timeout)
{
	struct binding *b = find_binding(loop);

	if (evr_unlikely(!evr_poll_turn(b->poll, timeout)))
		give_back(b);
}

/*
 * attach and detach
 */

static void put_functions(const struct evr_host *host,
			  evr_backend_modify *new_modify,
			  evr_backend_poll *new_poll, double mintime)
{
	*evr_field(host, evr_backend_modify *, modify) = new_modify;
	*evr_field(host, evr_backend_poll *, poll) = new_poll;
	*evr_field(host, double, mintime) = mintime;
}

/* The loop has its own backend again.  The binding stays, for its counters. */
static void give_back(struct binding *b)
{
	if (b->is_given_back)
		return;
	b->is_given_back = true;
	put_functions(&b->host, b->host.layout->epoll_modify,
		      b->host.layout->epoll_poll, b->mintime);
}

/*
 * Operations hear of it: for them the loop is not attached any more.  But the
 * seat is not free, or they could attach a loop that is being destroyed, whose
 * end nobody would tell us.
 */
static void unbind(struct seat *seat)
{
	struct binding *b = seat->binding;

	give_back(b);
	b->host.layout->cleanup_stop(b->host.loop, &b->cleanup);
	seat->binding = NULL;
	evr_poll_free(b->poll);
	free(b);
	leave_seat(seat);
}

static void loop_destroyed(struct ev_loop *loop, ev_cleanup *w, int revents)
{
	(void)w;
	(void)revents;
	unbind(find_seat(loop));
}

static int check_config(const struct evring_config *config, unsigned *ret_have)
{
	static const uint64_t none[sizeof(config->reserved) / sizeof(uint64_t)];
	int r;

	if (config->flags & ~(unsigned)KNOWN_FLAGS ||
	    config->entries > MAX_ENTRIES || !evr_spin_is_valid(config->spin) ||
	    !evr_napi_is_valid(config->napi) ||
	    memcmp(config->reserved, none, sizeof(none)))
		return -EINVAL;
	r = evr_probe(config->disable, ret_have);
	if (r >= 0 && config->napi > 0. && !(*ret_have & EVR_HAVE_NAPI))
		return -ENOTSUP;
	return r;
}

static int new_binding(struct binding **ret_binding, struct ev_loop *loop,
		       const struct evring_config *config, unsigned have)
{
	struct evr_poll_config poll_config = {
		.have = have,
		.entries = config->entries,
		.user_region = config->flags & EVRING_USER_REGION,
		.restricted = config->flags & EVRING_RESTRICT,
		.spin = config->spin,
		.napi = config->napi,
		.stats = config->stats,
	};
	struct binding *b = calloc(1, sizeof(*b));
	int r;

	if (!b)
		return -ENOMEM;
	b->host.loop = loop;
	r = evr_layout_find(loop, &b->host.layout);
	if (r >= 0)
		r = evr_poll_new(&b->poll, &b->host, &poll_config);
	if (r < 0) {
		free(b);
		return r;
	}
	b->flags = config->flags;
	b->users_stats = config->stats;
	b->spin = config->spin;
	b->mintime = *evr_field(&b->host, double, mintime);
	*ret_binding = b;
	return 0;
}

/* Only after all that can fail. */
static void bind_loop(struct seat *seat, struct binding *b)
{
	seat->binding = b;
	atomic_store_explicit(&seat->loop, b->host.loop, memory_order_release);
	ev_cleanup_init(&b->cleanup, loop_destroyed);
	b->host.layout->cleanup_start(b->host.loop, &b->cleanup);
	put_functions(&b->host, modify, poll_events, MINTIME);
}

static bool gives_way(const struct binding *b)
{
	return b->flags & EVRING_GIVE_WAY;
}

/* May attach leave this loop as it is?  b is its binding or NULL. */
static bool is_settled(const struct binding *b)
{
	return b && !b->is_given_back && !gives_way(b);
}

/* What config does not say is as it was. */
static void inherit(struct evring_config *config, const struct binding *b)
{
	config->flags |= b->flags & EVRING_RESTRICT;
	if (!config->stats)
		config->stats = b->users_stats;
	if (config->spin == 0.)
		config->spin = b->spin;
	if (config->napi == 0.)
		config->napi = evr_poll_napi(b->poll);
}

static bool has_what_is_required(unsigned flags, unsigned have)
{
	return (!(flags & EVRING_REQUIRE_REGION) || have & EVR_HAVE_REGION) &&
	       (!(flags & EVRING_RESTRICT) || have & EVR_HAVE_RESTRICT);
}

/* A loop whose ring was lost may be attached again. */
static int make_room(struct ev_loop *loop, struct evring_config *config,
		     unsigned have)
{
	struct seat *seat = find_seat(loop);
	struct binding *b = seat ? seat->binding : NULL;

	if (b && gives_way(b))
		inherit(config, b);
	if (!has_what_is_required(config->flags, have))
		return -ENODEV;
	if (!seat)
		return 0;
	if (!b || is_settled(b))
		return -EBUSY;
	unbind(seat);
	return 0;
}

static int attach(struct ev_loop *loop, const struct evring_config *wanted)
{
	static const struct evring_config defaults;
	struct evring_config config = wanted ? *wanted : defaults;
	struct binding *b;
	struct seat *seat;
	unsigned have;
	int r;

	if (!loop)
		return -EINVAL;
	r = check_config(&config, &have);
	if (r < 0)
		return r;
	r = make_room(loop, &config, have);
	if (r < 0)
		return r;
	seat = take_seat();
	if (!seat)
		return -ENOMEM;
	r = new_binding(&b, loop, &config, have);
	if (r < 0)
		leave_seat(seat);
	else
		bind_loop(seat, b);
	return r;
}

EVR_API int evring_attach(struct ev_loop *loop,
			  const struct evring_config *config)
{
	int error = errno;
	int r = attach(loop, config);

	errno = error;
	return r;
}

EVR_API int evring_detach(struct ev_loop *loop)
{
	struct seat *seat = loop ? find_seat(loop) : NULL;
	int error = errno;

	if (!seat || !seat->binding)
		return -EINVAL;
	unbind(seat);
	errno = error;
	return 0;
}

/*
 * loops
 */

static unsigned with_backend(unsigned flags)
{
	return flags & EVBACKEND_MASK ? flags : flags | EVBACKEND_EPOLL;
}

/* False, with errno set: not attached, and the caller does not want it so. */
static bool attach_or_allow(struct ev_loop *loop,
			    const struct evring_config *config)
{
	int r = evring_attach(loop, config);

	if (r >= 0 || (config && config->flags & EVRING_ALLOW_NONE))
		return true;
	errno = -r;
	return false;
}

static struct ev_loop *no_loop(int error)
{
	errno = error;
	return NULL;
}

EVR_API struct ev_loop *evring_loop_new(unsigned flags,
					const struct evring_config *config)
{
	const struct evring_layout *libev = evr_layout_own();
	struct ev_loop *loop;
	int error;

	if (!libev)
		return no_loop(ENOTSUP);
	loop = libev->loop_new(with_backend(flags));
	if (!loop)
		return no_loop(ENOMEM);
	if (attach_or_allow(loop, config))
		return loop;
	error = errno;
	libev->loop_destroy(loop);
	return no_loop(error);
}

EVR_API struct ev_loop *evring_default_loop(unsigned flags,
					    const struct evring_config *config)
{
	const struct evring_layout *libev = evr_layout_own();
	struct ev_loop *loop;
	bool is_new;
	int error;

	if (!libev)
		return no_loop(ENOTSUP);
	is_new = !libev->default_loop_uc_();
	loop = libev->default_loop(with_backend(flags));
	if (!loop)
		return no_loop(ENOMEM);
	if (is_settled(find_binding(loop)) || attach_or_allow(loop, config))
		return loop;
	error = errno;
	if (is_new)
		libev->loop_destroy(loop);
	return no_loop(error);
}

/*
 * questions
 */

struct evr_poll *evr_bind_find(struct ev_loop *loop)
{
	struct binding *b = loop ? find_binding(loop) : NULL;

	return b && !b->is_given_back ? b->poll : NULL;
}

EVR_API enum evring_tier evring_tier(struct ev_loop *loop)
{
	struct binding *b = loop ? find_binding(loop) : NULL;

	return b ? evr_poll_tier(b->poll) : EVRING_TIER_NONE;
}

EVR_API int evring_stats(struct ev_loop *loop, struct evring_stats *ret_stats)
{
	struct binding *b = loop ? find_binding(loop) : NULL;

	if (!b || !ret_stats)
		return -EINVAL;
	*ret_stats = *evr_poll_stats(b->poll);
	return 0;
}

/*
 * settings
 */

/* Also false for NaN. */
static bool is_interval(double seconds)
{
	return seconds >= 0. && seconds <= MAX_INTERVAL;
}

EVR_API int evring_set_collect(struct ev_loop *loop, double seconds,
			       unsigned events)
{
	struct evr_poll *poll = evr_bind_find(loop);
	int error = errno;
	int r;

	if (!poll || !is_interval(seconds))
		return -EINVAL;
	r = evr_poll_set_collect(poll, seconds, events);
	errno = error;
	return r;
}

EVR_API int evring_set_spin(struct ev_loop *loop, double seconds)
{
	struct evr_poll *poll = evr_bind_find(loop);
	int error = errno;
	int r;

	if (!poll || !evr_spin_is_valid(seconds))
		return -EINVAL;
	r = evr_poll_set_spin(poll, seconds);
	errno = error;
	return r;
}

EVR_API int evring_io_edge(struct ev_loop *loop, struct ev_io *w)
{
	struct evr_poll *poll = evr_bind_find(loop);
	int error = errno;
	int r;

	if (!poll || !w || !ev_is_active(w))
		return -EINVAL;
	r = evr_poll_set_edge(poll, w->fd, w);
	errno = error;
	return r;
}

EVR_API int evring_set_napi(struct ev_loop *loop, double seconds)
{
	struct evr_poll *poll = evr_bind_find(loop);

	if (!poll || !evr_napi_is_valid(seconds))
		return -EINVAL;
	return evr_poll_set_napi(poll, seconds);
}

EVR_API int evring_embed(const struct evring_layout *layout)
{
	return evr_layout_add(layout);
}
