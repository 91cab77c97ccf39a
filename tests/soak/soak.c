/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * soak.c - what churn and mill share.
 */
#include "config.h"

#include "soak.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

/* A command is written at once, so it is read at once. */
double read_command(void)
{
	char line[64];
	ssize_t size = read(STDIN_FILENO, line, sizeof(line) - 1);
	double seconds;

	if (size <= 0)
		return -1.;
	line[size] = '\0';
	if (sscanf(line, "run %lf", &seconds) != 1 || seconds < 0.)
		fail("wants \"run SECONDS\", not %s", line);
	return seconds;
}

void print_tallies(const struct tally *tallies, size_t nr)
{
	size_t i;

	for (i = 0; i < nr; i++)
		printf("%s: %" PRIu64 "\n", tallies[i].name, tallies[i].nr);
}

void print_end(void)
{
	printf("stats: end\n");
	fflush(stdout);
}

double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

/* xorshift64 */
unsigned chance(unsigned nr)
{
	static uint64_t state = 88172645463325252;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (unsigned)((state >> 32) % nr);
}

/* _exit: a child must not flush what its parent has printed. */
_Noreturn void fail(const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	dprintf(STDERR_FILENO, "%s\n", text);
	_exit(1);
}
