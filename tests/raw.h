/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * raw.h - the three io_uring system calls with nothing in between.
 *
 * For tests that must send the kernel what liburing would not send, or see
 * what liburing would not show.  Every call returns -errno on failure; errno is
 * not part of the result.
 */
#ifndef EVR_TEST_RAW_H
#define EVR_TEST_RAW_H

#include <stddef.h>

#include "../lib/uapi.h"

/* Returns the ring fd.  Nothing is mapped. */
int raw_setup(unsigned entries, struct io_uring_params *params);

int raw_register(int fd, unsigned opcode, const void *arg, unsigned nr_args);

/* arg is a pointer, or the offset in the region, as flags say. */
int raw_enter(int fd, unsigned to_submit, unsigned wait_nr, unsigned flags,
	      const void *arg, size_t arg_size);

#endif
