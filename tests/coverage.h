/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * coverage.h - included before every file of the test programs in a build for
 * gcov (configure --enable-coverage): a child that leaves by _exit() leaves its
 * counts, too.
 *
 * A child that a signal ends leaves none.
 */
#ifndef EVR_TEST_COVERAGE_H
#define EVR_TEST_COVERAGE_H

#include "config.h"

#include <unistd.h>

/* In libgcov. */
void __gcov_dump(void);

static inline _Noreturn void exit_counted(int status)
{
	__gcov_dump();
	(_exit)(status);
}

#define _exit(status) exit_counted(status)

#endif
