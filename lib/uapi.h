/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * uapi.h - what of the kernel's interface liburing 2.9 does not name yet.  The
 * numbers are the kernel's.
 */
#ifndef EVR_UAPI_H
#define EVR_UAPI_H

#include <liburing.h>

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

#endif
