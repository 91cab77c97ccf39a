/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * without.c - refuses itself io_uring, and becomes another program: what a
 * container may do.
 *
 *	without EPERM|ENOSYS|ENOMEM PROGRAM [ARG...]
 */
#include "../sandbox.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int number_of(const char *name)
{
	if (strcmp(name, "ENOSYS") == 0)
		return ENOSYS;
	return strcmp(name, "ENOMEM") == 0 ? ENOMEM : EPERM;
}

int main(int argc, char **argv)
{
	struct refusal refusals[] = { REFUSE(__NR_io_uring_setup, 0) };

	if (argc < 3)
		return 98;
	refusals[0].error = number_of(argv[1]);
	sandbox(refusals, 1);
	execvp(argv[2], argv + 2);
	perror(argv[2]);
	return 99;
}
