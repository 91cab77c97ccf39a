/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * process.h - the loops of a process under `evring run'.
 */
#ifndef EVR_TOOL_PROCESS_H
#define EVR_TOOL_PROCESS_H

#include <stdbool.h>
#include <sys/types.h>

/* Exit statuses of `evring info'. */
enum {
	STATUS_YES = 0, /* a loop gets a ring; one of the process has one */
	STATUS_NO = 1,
	STATUS_USAGE = 2,
	STATUS_UNREADABLE = 3 /* the process; or nothing could be written */
};

/* Returns the exit status: not STATUS_USAGE. */
int process_report(pid_t pid, bool json, bool quiet);

#endif
