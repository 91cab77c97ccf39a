/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * harness.c - what all test programs share.
 */
#include "config.h"

#include "harness.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

void add_or_leave_out(TCase *tcase, const TTest *test, const char *reason)
{
	if (!reason) {
		tcase_add_test(tcase, test);
		return;
	}
	printf("# left out: %s: %s\n", test->name, reason);
	fflush(stdout);
}

void add_loop_or_leave_out(TCase *tcase, const TTest *test, int nr_rows,
			   const char *reason)
{
	if (reason)
		add_or_leave_out(tcase, test, reason);
	else
		tcase_add_loop_test(tcase, test, 0, nr_rows);
}

const char *no_children(void)
{
	if (!under_valgrind())
		return NULL;
	return "valgrind believes that a child has mappings which it has not, "
	       "and all tests there are one process";
}

const char *no_threads(void)
{
	return under_valgrind() ? "valgrind lets no other thread run while a "
				  "ring waits"
				: NULL;
}

const char *no_collecting(void)
{
	return under_valgrind() ? "valgrind takes the offset for a bad pointer"
				: NULL;
}

bool under_valgrind(void)
{
	return getenv("EVRING_VALGRIND") != NULL;
}

/* gcc defines a macro for each, clang has a question for all. */
#ifndef __has_feature
#define __has_feature(name) 0
#endif

bool under_tsan(void)
{
#if defined __SANITIZE_THREAD__ || __has_feature(thread_sanitizer)
	return true;
#else
	return false;
#endif
}

bool under_asan(void)
{
#if defined __SANITIZE_ADDRESS__ || __has_feature(address_sanitizer)
	return true;
#else
	return false;
#endif
}

int run_in_child(int (*body)(void *arg), void *arg)
{
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (!pid) {
		signal(SIGALRM, SIG_DFL);
		alarm((unsigned)patience(20.));
		_exit(body(arg));
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status)
				   : WEXITSTATUS(status);
}

_Noreturn void child_failed(const char *file, int line, const char *what)
{
	fprintf(stderr, "# %s:%d: in a child: not so: %s\n", file, line, what);
	_exit(1);
}

int count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int nr = -1; /* dir's own */

	if (!dir)
		ck_abort_msg("no /proc");
	while (readdir(dir))
		nr++;
	closedir(dir);
	return nr - 2; /* "." and ".." */
}

int find_fd(const char *target)
{
	char name[32], link[64];
	ssize_t size;
	int fd;

	for (fd = 0; fd < 4096; fd++) {
		snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
		size = readlink(name, link, sizeof(link) - 1);
		if (size < 0)
			continue;
		link[size] = '\0';
		if (!strcmp(link, target))
			return fd;
	}
	return -1;
}

int count_mappings(const char *what)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[512];
	int nr = 0;

	if (!maps)
		ck_abort_msg("no /proc");
	while (fgets(line, sizeof(line), maps))
		nr += !what || strstr(line, what);
	fclose(maps);
	return nr;
}

double patience(double seconds)
{
	const char *times = getenv("CK_TIMEOUT_MULTIPLIER");
	double factor = times ? strtod(times, NULL) : 1.;

	return factor > 1. ? seconds * factor : seconds;
}

double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}
