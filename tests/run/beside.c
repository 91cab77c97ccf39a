/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * beside.c - something else in LD_PRELOAD, which says that it is there.
 */
#include <unistd.h>

__attribute__((constructor)) static void arrive(void)
{
	static const char text[] = "beside\n";

	if (write(STDOUT_FILENO, text, sizeof(text) - 1) < 0)
		_exit(99);
}
