/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * calls.c - how many system calls another process makes, counted by the kernel.
 *
 * a) The number of the tracepoint stands in tracefs, which is for root and not
 *    mounted everywhere.  Where it is not, it is mounted in a mount namespace
 *    of this process: the machine's stays as it is.
 * b) A counter that counts nothing looks like a program without system calls.
 *    So it is believed only after it has counted calls that were made.
 */
#include "config.h" /* _GNU_SOURCE for unshare */

#include "calls.h"

#include <err.h>
#include <errno.h>
#include <linux/perf_event.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#define TRACEFS "/sys/kernel/tracing"

enum { NR_TRIAL_CALLS = 1000 };

static uint64_t tracepoint;

static bool read_tracepoint(void)
{
	FILE *file = fopen(TRACEFS "/events/raw_syscalls/sys_enter/id", "re");
	unsigned long id;
	bool is_read;

	if (!file)
		return false;
	is_read = fscanf(file, "%lu", &id) == 1;
	fclose(file);
	if (is_read)
		tracepoint = id;
	return is_read;
}

/* Trap (a). */
static bool mount_tracefs(void)
{
	return !unshare(CLONE_NEWNS) &&
	       !mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) &&
	       !mount("tracefs", TRACEFS, "tracefs", 0, NULL);
}

static int open_counter(pid_t pid)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_TRACEPOINT,
		.size = sizeof(attr),
		.config = tracepoint,
	};

	return (int)syscall(SYS_perf_event_open, &attr, pid, -1, -1,
			    PERF_FLAG_FD_CLOEXEC);
}

int calls_start(pid_t pid)
{
	int counter = open_counter(pid);

	if (counter < 0)
		err(1, "perf_event_open");
	return counter;
}

uint64_t calls_stop(int counter)
{
	uint64_t nr;

	if (read(counter, &nr, sizeof(nr)) != sizeof(nr))
		err(1, "counter of system calls");
	close(counter);
	return nr;
}

static const char *why_not(void)
{
	uint64_t nr;
	int counter, i;

	if (!read_tracepoint() && !(mount_tracefs() && read_tracepoint()))
		return "no tracefs, which root may mount";
	counter = open_counter(0);
	if (counter < 0)
		return strerror(errno);
	for (i = 0; i < NR_TRIAL_CALLS; i++)
		syscall(SYS_getppid);
	nr = calls_stop(counter); /* by a call of its own */
	if (nr < NR_TRIAL_CALLS || nr > NR_TRIAL_CALLS + 1)
		return "the kernel counts wrong";
	return NULL;
}

bool calls_begin(void)
{
	const char *why = why_not();

	if (why)
		printf("left out: system calls: %s\n", why);
	return !why;
}
