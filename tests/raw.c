/* SPDX-License-Identifier: BSD-2-Clause */
#include "config.h"

#include "raw.h"

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

static int result(long r)
{
	return r < 0 ? -errno : (int)r;
}

int raw_setup(unsigned entries, struct io_uring_params *params)
{
	return result(syscall(__NR_io_uring_setup, entries, params));
}

int raw_register(int fd, unsigned opcode, const void *arg, unsigned nr_args)
{
	return result(
		syscall(__NR_io_uring_register, fd, opcode, arg, nr_args));
}

int raw_enter(int fd, unsigned to_submit, unsigned wait_nr, unsigned flags,
	      const void *arg, size_t arg_size)
{
	return result(syscall(__NR_io_uring_enter, fd, to_submit, wait_nr,
			      flags, arg, arg_size));
}
