/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * self.h - which process and which thread is running, without a system call.
 */
#ifndef EVR_SELF_H
#define EVR_SELF_H

#include "evr.h"

/*
 * Prepare evr_process_id().  Returns 0 or -errno.
 */
int evr_self_init(void);

/*
 * A number that differs between a process and its forked children, and between
 * those.  Needs evr_self_init() once before, in this process or a parent.
 */
uint64_t evr_process_id(void);

/* A number that no other thread of this process ever had or will have. */
uint64_t evr_thread_id(void);

#endif
