/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * soak.h - what churn and mill share: the way scripts/soak talks to them.
 *
 * A program reads commands on stdin, one by one: "run SECONDS" makes it work
 * for so long, come to rest and print what it did since it was started, as
 * lines "NAME: NUMBER" and a last line "stats: end".  The end of stdin ends it,
 * also in the middle of its work: so it does not outlive the script.
 */
#ifndef SOAK_H
#define SOAK_H

#include <stddef.h>
#include <stdint.h>

struct tally {
	const char *name;
	uint64_t nr;
};

/* Blocks.  Returns the seconds to work for, or -1 when there is no more. */
double read_command(void);

void print_tallies(const struct tally *tallies, size_t nr);
void print_end(void);

/* Seconds on the monotonic clock. */
double now(void);

/* A number from 0 to nr - 1; the same ones in each run. */
unsigned chance(unsigned nr);

/* Ends the process, which may be a forked child, with status 1. */
_Noreturn __attribute__((format(printf, 1, 2))) void fail(const char *format,
							  ...);

#define check_that(condition)                                                  \
	do {                                                                   \
		if (!(condition))                                              \
			fail("%s:%d: not so: %s", __FILE__, __LINE__,          \
			     #condition);                                      \
	} while (0)

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#endif
