/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * uapi.h - what of the kernel's interface liburing 2.9 does not name yet.  The
 * numbers are the kernel's.
 */
#ifndef EVR_UAPI_H
#define EVR_UAPI_H

#include <liburing.h>

#include <linux/types.h>

#ifndef IORING_ENTER_NO_IOWAIT
#define IORING_ENTER_NO_IOWAIT (1U << 7)
#endif
#ifndef IORING_FEAT_MIN_TIMEOUT
#define IORING_FEAT_MIN_TIMEOUT (1U << 15)
#endif
#ifndef IORING_FEAT_NO_IOWAIT
#define IORING_FEAT_NO_IOWAIT (1U << 17)
#endif
#define EVR_OP_EPOLL_WAIT	   59 /* IORING_OP_EPOLL_WAIT, an enumerator */
#define EVR_REGISTER_SEND_MSG_RING 31 /* IORING_REGISTER_SEND_MSG_RING */

/* IORING_REGISTER_NAPI since Linux 6.13: struct io_uring_napi. */
struct evr_uring_napi {
	__u32 busy_poll_to; /* microseconds */
	__u8 prefer_busy_poll;
	__u8 opcode;
	__u8 pad[2];
	__u32 op_param;
	__u32 resv;
};

enum {
	EVR_NAPI_REGISTER_OP = 0,
	EVR_NAPI_STATIC_ADD_ID = 1,
	EVR_NAPI_STATIC_DEL_ID = 2
};
enum { EVR_NAPI_TRACKING_STATIC = 1 }; /* for REGISTER_OP */

#endif
