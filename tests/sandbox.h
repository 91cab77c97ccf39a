/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sandbox.h - kernels and containers that refuse things, by seccomp.
 *
 * A filter cannot be removed, so it belongs into a forked child: see
 * run_in_child().
 */
#ifndef EVR_TEST_SANDBOX_H
#define EVR_TEST_SANDBOX_H

#include <stddef.h>
#include <sys/syscall.h>

/* The system call nr fails with error, if (argument arg & mask) == value. */
struct refusal {
	int nr;
	int error;
	unsigned arg;  /* 0 to 5; its lower 32 bits are looked at */
	unsigned mask; /* 0, and value 0: whatever the arguments are */
	unsigned value;
};

enum { MAX_REFUSALS = 8 };

/* All calls of nr. */
#define REFUSE(nr_, error_)                                                    \
	{                                                                      \
		.nr = (nr_), .error = (error_)                                 \
	}

/* io_uring_enter with flag set. */
#define REFUSE_ENTER(flag, error_)                                             \
	{                                                                      \
		.nr = __NR_io_uring_enter, .error = (error_), .arg = 3,        \
		.mask = (flag), .value = (flag)                                \
	}

/* io_uring_register with this opcode, whatever its top bit says. */
#define REFUSE_REGISTER(opcode, error_)                                        \
	{                                                                      \
		.nr = __NR_io_uring_register, .error = (error_), .arg = 1,     \
		.mask = 0x7fffffff, .value = (opcode)                          \
	}

/* From here on, for this thread and its children.  Exits on failure. */
void sandbox(const struct refusal *refusals, size_t nr_refusals);

#endif
