/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * say.c - what the preloaded library says on standard error.
 *
 * A program may have closed its standard error and got the number 2 for
 * something else: a connection, a database.  So nothing is written unless it
 * is the file that it was when the program began.
 */
#include "config.h"

#include "say.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { MAX_NAME = 200 }; /* a program may have a long text for its name */

static struct stat standard_error;
static bool is_open;

void evr_say_init(void)
{
	int error = errno;

	is_open = fstat(STDERR_FILENO, &standard_error) == 0;
	errno = error;
}

static bool is_unchanged(void)
{
	struct stat now;

	return is_open && fstat(STDERR_FILENO, &now) == 0 &&
	       now.st_dev == standard_error.st_dev &&
	       now.st_ino == standard_error.st_ino &&
	       now.st_rdev == standard_error.st_rdev;
}

/* Where nobody reads any more, SIGPIPE is not to end the program. */
static void write_without_signal(const char *bytes, size_t size)
{
	const struct timespec now = { 0 };
	sigset_t broken_pipe, before, pending;

	sigemptyset(&broken_pipe);
	sigaddset(&broken_pipe, SIGPIPE);
	pthread_sigmask(SIG_BLOCK, &broken_pipe, &before);
	sigpending(&pending);
	if (write(STDERR_FILENO, bytes, size) < 0 && errno == EPIPE &&
	    !sigismember(&pending, SIGPIPE))
		(void)sigtimedwait(&broken_pipe, NULL, &now);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void write_out(const char *bytes, size_t size)
{
	int error = errno;

	if (is_unchanged()) {
		if (S_ISFIFO(standard_error.st_mode) ||
		    S_ISSOCK(standard_error.st_mode))
			write_without_signal(bytes, size);
		else
			(void)!write(STDERR_FILENO, bytes, size);
	}
	errno = error;
}

void evr_say(const char *format, ...)
{
	char line[1024];
	va_list args;
	int n;

	n = snprintf(line, sizeof(line), "evring: %.*s[%d]: ", MAX_NAME,
		     program_invocation_short_name, (int)getpid());
	va_start(args, format);
	n += vsnprintf(line + n, sizeof(line) - (size_t)n, format, args);
	va_end(args);
	if (n > (int)sizeof(line) - 2)
		n = (int)sizeof(line) - 2;
	line[n++] = '\n';
	write_out(line, (size_t)n);
}

void evr_text_add(struct evr_text *text, const char *string)
{
	size_t size = strnlen(string, MAX_NAME);

	if (size > sizeof(text->bytes) - text->size)
		size = sizeof(text->bytes) - text->size;
	memcpy(text->bytes + text->size, string, size);
	text->size += size;
}

void evr_text_add_number(struct evr_text *text, uint64_t number, unsigned base)
{
	char digits[24];
	char *digit = digits + sizeof(digits) - 1;

	*digit = '\0';
	do {
		*--digit = "0123456789abcdef"[number % base];
		number /= base;
	} while (number);
	evr_text_add(text, digit);
}

void evr_text_say(struct evr_text *text)
{
	write_out(text->bytes, text->size);
	text->size = 0;
}
