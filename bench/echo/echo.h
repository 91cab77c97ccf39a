/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * echo.h - servers that send back what they get, one per way to write them, and
 * what they have in common.
 *
 * Each runs in a process of its own, on the listener that it is given, until
 * the process is ended.
 */
#ifndef ECHO_H
#define ECHO_H

#include <evring.h>
#include <stdbool.h>

struct echo_server {
	const char *name;
	const char *about;
	void (*serve)(int listener);
};

extern const struct echo_server echo_bare;    /* by hand, on epoll */
extern const struct echo_server echo_uring;   /* by hand, on liburing */
extern const struct echo_server echo_ops;     /* the same on evring */
extern const struct echo_server echo_sockets; /* its watchers for sockets */
extern const struct echo_server echo_epoll; /* libev's epoll, read and write */
extern const struct echo_server echo_epoll_again; /* to see what is chance */
extern const struct echo_server echo_ring;     /* the same attached to evring */
extern const struct echo_server echo_copied;   /* without a wait region */
extern const struct echo_server echo_polled;   /* without EPOLL_WAIT */
extern const struct echo_server echo_spin;     /* that looks before it sleeps */
extern const struct echo_server echo_auto;     /* as it thinks best */
extern const struct echo_server echo_interval; /* epoll, turns kept apart */
extern const struct echo_server echo_collect;  /* evring, the same */

/* To be set before a server on libev's watchers is started. */
extern double echo_seconds_apart; /* the turns of the latter two */
extern bool echo_counts_turns;

/* What a server says of itself, in memory that it shares with who measures. */
struct echo_facts {
	unsigned backend;	   /* libev's; 0: not on libev */
	enum evring_tier tier;	   /* EVRING_TIER_NONE: not on evring */
	struct evring_stats stats; /* of evring, as it counts */
	_Atomic unsigned turns;	   /* of libev, if echo_counts_turns */
};

extern struct echo_facts *echo_facts; /* of the server that this process is */

/* Where configure has found the library; what is running says its version. */
extern const struct echo_server echo_libuv;
extern const struct echo_server echo_libevent;
const char *echo_libuv_version(void);
const char *echo_libevent_version(void);

enum { ECHO_BACKLOG = 1000, ECHO_BUFFER_SIZE = 4096 };

#endif
