/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * terms.h - the words for what is in the page (page.h), for those who write
 * it and those who read it.
 */
#ifndef EVR_TERMS_H
#define EVR_TERMS_H

#include <evring.h>
#include <stddef.h>

/* "epoll" for EVBACKEND_EPOLL; "none" for 0; "unknown" for what is no bit. */
const char *evr_backend_name(unsigned backend);

/* The members of struct evring_stats, which are all counters, in their order.
 */
enum {
	EVR_NR_COUNTERS =
		offsetof(struct evring_stats, reserved) / sizeof(uint64_t)
};

const char *evr_counter_name(int i);

#endif
