/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * loop.h - the loops of echo servers, which say what they are.
 */
#ifndef ECHO_LOOP_H
#define ECHO_LOOP_H

#include <ev.h>
#include <evring.h>

/* Of libev's own, on this backend; never NULL. */
struct ev_loop *echo_loop_on(unsigned backend);

/* Attached to evring, whose counters are echo_facts'; never NULL. */
struct ev_loop *echo_loop_on_ring(struct evring_config config);

#endif
