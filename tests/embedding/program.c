/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * program.c - what tests/embedding.sh compiles with ev.c in many
 * configurations, as C and as C++: a loop is attached, hears of all that this
 * ev.c has, and is given back.
 *
 *   CARRY_EV    ev.c is in this file
 *   CARRY_ALL   so is evring-all.c, that is, the library
 *   OWN_LOOPS   evring_loop_new() makes loops of this ev.c
 *
 * Prints "tier NAME" and exits 0, or says what did not happen and exits 1; 77
 * if there is no io_uring.
 */
#ifdef CARRY_ALL
#define _GNU_SOURCE
#endif
#ifdef CARRY_EV
#include "ev.c"
#include <evring-embed.h>
#else
#include "ev.h"
#endif
#ifdef CARRY_ALL
#include "evring-all.c"
#endif
#include <evring-net.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum heard {
	HEARD_IO = 1 << 0,
	HEARD_TIMER = 1 << 1,
	HEARD_OP = 1 << 2,
	HEARD_LOWER_OP = 1 << 3,
	HEARD_PORT = 1 << 4,
	HEARD_SIGNAL = 1 << 5,
	HEARD_ASYNC = 1 << 6,
	HEARD_RELEASE = 1 << 7,
	HEARD_ALL = HEARD_IO | HEARD_TIMER | HEARD_OP | HEARD_LOWER_OP |
		    HEARD_PORT | (EV_SIGNAL_ENABLE ? HEARD_SIGNAL : 0) |
		    (EV_ASYNC_ENABLE ? HEARD_ASYNC : 0) |
		    (EV_FEATURE_API ? HEARD_RELEASE : 0)
};

static unsigned heard;
static int fds[2];

static void hear(struct ev_loop *loop, enum heard what)
{
	heard |= what;
	if (heard == HEARD_ALL)
		ev_break(loop, EVBREAK_ONE);
}

static void require(int holds, const char *what)
{
	if (holds)
		return;
	printf("not so: %s\n", what);
	exit(1);
}

static void on_io(struct ev_loop *loop, ev_io *w, int revents)
{
	char byte;

	require(revents == EV_READ && read(w->fd, &byte, 1) == 1,
		"the pipe has a byte");
	hear(loop, HEARD_IO);
}

static void on_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)w;
	(void)revents;
	require(write(fds[1], "x", 1) == 1, "the pipe takes a byte");
	hear(loop, HEARD_TIMER);
}

static void on_late(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)loop;
	(void)w;
	(void)revents;
	printf("heard of %#x, not of %#x\n", heard, (unsigned)HEARD_ALL);
	exit(1);
}

static void on_op(struct ev_loop *loop, evring_op *op, int revents)
{
	enum heard what = *(enum heard *)op->data;

	(void)revents;
	require(op->res == 0 && !ev_is_active(op), "the request does nothing");
	require(what == HEARD_OP || heard & HEARD_OP,
		"the higher priority comes first");
	hear(loop, what);
}

static void on_message(struct ev_loop *loop, evring_port *port,
		       evring_message *message)
{
	require(message != NULL, "there is a message");
	evring_port_stop(loop, port);
	hear(loop, HEARD_PORT);
}

#if EV_SIGNAL_ENABLE
static void on_signal(struct ev_loop *loop, ev_signal *w, int revents)
{
	(void)w;
	(void)revents;
	hear(loop, HEARD_SIGNAL);
}
#endif

#if EV_ASYNC_ENABLE
static void on_async(struct ev_loop *loop, ev_async *w, int revents)
{
	(void)w;
	(void)revents;
	hear(loop, HEARD_ASYNC);
}
#endif

#if EV_FEATURE_API
static void on_release(struct ev_loop *loop) EV_NOEXCEPT
{
	hear(loop, HEARD_RELEASE);
}

static void on_acquire(struct ev_loop *loop) EV_NOEXCEPT
{
	(void)loop;
}
#endif

static void begin_op(struct ev_loop *loop, evring_op *op, enum heard *what,
		     int priority)
{
	evring_op_init(op, NULL);
	ev_set_cb(op, on_op);
	ev_set_priority(op, priority);
	op->data = what;
	require(evring_op_start(loop, op) != NULL, "an operation starts");
}

static void begin_ours(struct ev_loop *loop, evring_op ops[2],
		       evring_port *port, evring_message *message)
{
	static enum heard lower = HEARD_LOWER_OP, higher = HEARD_OP;

	begin_op(loop, &ops[0], &lower, (EV_MINPRI + EV_MAXPRI) / 2);
	begin_op(loop, &ops[1], &higher, EV_MAXPRI);
	evring_port_init(port, on_message);
	ev_set_priority(&port->op, EV_MINPRI);
	require(evring_port_start(loop, port) == 0, "a port starts");
	require(evring_post(NULL, port, message) == 0, "it takes a message");
}

/* All that this ev.c has is heard of, in one run. */
static void try_all(struct ev_loop *loop)
{
	evring_op ops[2];
	evring_port port;
	evring_message message;
	ev_timer timer;
#if EV_SIGNAL_ENABLE
	ev_signal signal;

	ev_signal_init(&signal, on_signal, SIGUSR1);
	ev_signal_start(loop, &signal);
	raise(SIGUSR1);
#endif
#if EV_ASYNC_ENABLE
	ev_async async;

	ev_async_init(&async, on_async);
	ev_async_start(loop, &async);
	ev_async_send(loop, &async);
#endif
#if EV_FEATURE_API
	ev_set_loop_release_cb(loop, on_release, on_acquire);
#endif
	begin_ours(loop, ops, &port, &message);
	ev_timer_init(&timer, on_timer, 0.002, 0.);
	ev_timer_start(loop, &timer);
	ev_run(loop, 0);
	require(heard == HEARD_ALL, "all is heard of");
#if EV_FEATURE_API
	ev_set_loop_release_cb(loop, NULL, NULL);
#endif
#if EV_SIGNAL_ENABLE
	ev_signal_stop(loop, &signal);
#endif
#if EV_ASYNC_ENABLE
	ev_async_stop(loop, &async);
#endif
}

/* As much as libev alone can. */
static void try_libev(struct ev_loop *loop)
{
	ev_timer timer;

	heard = HEARD_ALL & ~(HEARD_IO | HEARD_TIMER);
	ev_timer_init(&timer, on_timer, 0.002, 0.);
	ev_timer_start(loop, &timer);
	ev_run(loop, 0);
	require(heard == HEARD_ALL, "libev's own backend has the loop again");
}

#ifdef OWN_LOOPS
static void try_own_loops(void)
{
	struct ev_loop *loop = evring_loop_new(0, NULL);

	require(loop != NULL && evring_tier(loop) != EVRING_TIER_NONE,
		"evring makes an attached loop");
	ev_run(loop, EVRUN_NOWAIT);
	ev_loop_destroy(loop);
	require(evring_tier(loop) == EVRING_TIER_NONE, "and hears of its end");
	require(evring_default_loop(0, NULL) == ev_default_loop(0),
		"evring has the default loop of this ev.c");
	require(evring_detach(ev_default_loop(0)) == 0, "which was attached");
}
#endif

int main(void)
{
	struct ev_loop *loop = ev_default_loop(EVBACKEND_EPOLL);
	int r = evring_attach(loop, NULL);
	struct evring_stats stats;
	ev_timer late;
	ev_io io;

	if (r == -ENOSYS || r == -EPERM)
		return 77;
	if (r < 0)
		printf("%s\n", evring_strerror(r));
	require(r == 0, "the loop is attached");
	printf("tier %s\n", evring_tier_name(evring_tier(loop)));
	require(pipe(fds) == 0, "there is a pipe");
	ev_io_init(&io, on_io, fds[0], EV_READ);
	ev_io_start(loop, &io);
	ev_timer_init(&late, on_late, 20., 0.);
	ev_timer_start(loop, &late);
	try_all(loop);
	require(evring_stats(loop, &stats) == 0 && stats.enters > 0 &&
			stats.events > 0,
		"the ring was used");
	require(evring_detach(loop) == 0, "the loop is detached");
	try_libev(loop);
	ev_timer_stop(loop, &late);
	ev_io_stop(loop, &io);
#ifdef OWN_LOOPS
	try_own_loops();
#endif
	ev_loop_destroy(loop);
	return 0;
}
