/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * parse/program.c - what `evring run' reads of a program before it executes it:
 * the head of an ELF file.
 */
#include "config.h"

#include <sys/mman.h>
#include <unistd.h>

#include "target.h"

#include "../../../tools/program.h"

const char fuzz_target[] = "program";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *why;
	char path[32];
	int fd;

	if (size >= 2 && !memcmp(data, "#!", 2))
		return 0; /* would open any file of this machine */
	fd = memfd_create(fuzz_target, MFD_CLOEXEC);
	fuzz_require(fd >= 0);
	fuzz_require(write(fd, data, size) == (ssize_t)size);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	why = evr_program_refuses(path);
	fuzz_require(!why || strlen(why));
	close(fd);
	return 0;
}
