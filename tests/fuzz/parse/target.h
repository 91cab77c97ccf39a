/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * target.h - a parser of what comes from outside, as a target for a fuzzer.
 *
 * A target is a file of this folder that defines the two names below.  What it
 * knows about its parser it says by fuzz_require(), which ends the process; the
 * sanitizers say the rest.  `make check' links it with corpus.c and runs the
 * inputs in corpus/NAME; scripts/fuzz links it with libFuzzer.
 */
#ifndef FUZZ_TARGET_H
#define FUZZ_TARGET_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The name of the folder of its corpus. */
extern const char fuzz_target[];

/* One input; its name is libFuzzer's. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define fuzz_require(condition)                                                \
	do {                                                                   \
		if (!(condition)) {                                            \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__,       \
				__LINE__, #condition);                         \
			abort();                                               \
		}                                                              \
	} while (0)

/* data as a string: in memory of just that size, to be freed. */
static inline char *fuzz_string(const uint8_t *data, size_t size)
{
	char *string = malloc(size + 1);

	fuzz_require(string);
	if (size)
		memcpy(string, data, size);
	string[size] = '\0';
	return string;
}

#endif
