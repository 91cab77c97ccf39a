/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * evr.h - what every file of the library may use: the mark of exported
 * functions and the names of what a kernel may have.
 *
 * A set of features is an unsigned with these bits, called have.  probe.c asks
 * the kernel once which there are; everything else is told.
 */
#ifndef EVR_H
#define EVR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifndef EVR_API /* as scripts/amalgamate wants it */
#define EVR_API __attribute__((visibility("default")))
#endif

#define evr_likely(x)	__builtin_expect(!!(x), 1)
#define evr_unlikely(x) __builtin_expect(!!(x), 0)

static inline int evr_clamp(int value, int min, int max)
{
	return value < min ? min : value > max ? max : value;
}

/* What each is for, and the kernel that brought it: the table in probe.c. */
enum evr_have {
	EVR_HAVE_REGION = 1u << 0,
	EVR_HAVE_EPOLL_WAIT = 1u << 1,
	EVR_HAVE_EPOLL_CTL = 1u << 2,
	EVR_HAVE_MULTISHOT_POLL = 1u << 3,
	EVR_HAVE_NO_IOWAIT = 1u << 4,
	EVR_HAVE_DEFER_TASKRUN = 1u << 5,
	EVR_HAVE_SINGLE_ISSUER = 1u << 6,
	EVR_HAVE_COOP_TASKRUN = 1u << 7,
	EVR_HAVE_SUBMIT_ALL = 1u << 8,
	EVR_HAVE_REGISTERED_RING = 1u << 9,
	EVR_HAVE_CQE_SKIP = 1u << 10,
	EVR_HAVE_R_DISABLED = 1u << 11,
	EVR_HAVE_KERNEL_MEMORY = 1u << 12,
	EVR_HAVE_MIN_WAIT = 1u << 13,
	EVR_HAVE_MULTISHOT_ACCEPT = 1u << 14,
	EVR_HAVE_SEND_ZC = 1u << 15,
	EVR_HAVE_PBUF_RING = 1u << 16,
	EVR_HAVE_MULTISHOT_RECV = 1u << 17,
	EVR_HAVE_RECV_BUNDLE = 1u << 18,
	EVR_HAVE_PBUF_INC = 1u << 19,
	EVR_HAVE_MSG_RING = 1u << 20,
	EVR_HAVE_SYNC_MSG = 1u << 21,
	EVR_HAVE_NAPI = 1u << 22,
	EVR_HAVE_RESTRICT = 1u << 23,
	EVR_HAVE_ALL = (1u << 24) - 1
};

#endif
