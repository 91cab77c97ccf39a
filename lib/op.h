/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * op.h - operations, for watchers that are made of them.
 */
#ifndef EVR_OP_H
#define EVR_OP_H

#include <evring.h>

/* evring_op_start(), but it returns 0 or -errno, and errno is left alone. */
int evr_op_start(struct ev_loop *loop, struct evring_op *op,
		 struct io_uring_sqe **ret_sqe);

#endif
