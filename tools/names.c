/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * names.c - the names of errors.
 */
#include "config.h"

#include "names.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>

#define NR_OF(a) (sizeof(a) / sizeof((a)[0]))

#define ROW(error)                                                             \
	{                                                                      \
		error, #error                                                  \
	}

/* What io_uring, files and processes answer. */
static const struct {
	int error;
	const char *name;
} errors[] = {
	ROW(EPERM),  ROW(EACCES), ROW(ENOSYS), ROW(EINVAL),	ROW(ENOMEM),
	ROW(EMFILE), ROW(ENFILE), ROW(EBADF),  ROW(EFAULT),	ROW(EBUSY),
	ROW(EAGAIN), ROW(ENODEV), ROW(EIO),    ROW(EOPNOTSUPP), ROW(EBADFD),
	ROW(ENOENT), ROW(ESRCH),  ROW(ETIME),  ROW(EINTR),	ROW(ENXIO),
};

const char *error_name(int error)
{
	static char other[32];
	size_t i;

	for (i = 0; i < NR_OF(errors); i++)
		if (errors[i].error == error || -errors[i].error == error)
			return errors[i].name;
	snprintf(other, sizeof(other), "error %d", error);
	return other;
}
