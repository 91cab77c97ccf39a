/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * calls.h - how many system calls another process makes, counted by the kernel.
 *
 * The count is that of the tracepoint raw_syscalls:sys_enter, asked for the one
 * process: the same for whatever runs there, so that no program has to count
 * for itself, or to be believed.  strace would count as well, but a program
 * that it slows down finds more to do at each turn and makes fewer calls.
 *
 * While anything is counted, every system call of the machine takes a slower
 * way: count apart from what is timed.
 */
#ifndef CALLS_H
#define CALLS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * See whether calls can be counted here, by counting some of our own.  To be
 * called while the process has one thread.  Prints why not.
 */
bool calls_begin(void);

/* Count calls of the only thread of a process, from now on. */
int calls_start(pid_t pid);

/* What calls_start() has counted; its return value is void after that. */
uint64_t calls_stop(int counter);

#endif
