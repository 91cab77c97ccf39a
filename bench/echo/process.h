/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * process.h - an echo server in a process of its own, on one CPU.
 */
#ifndef ECHO_PROCESS_H
#define ECHO_PROCESS_H

#include <netinet/in.h>
#include <sys/types.h>
#include <time.h>

#include "echo.h"

struct echo_process {
	pid_t pid;
	struct sockaddr_in address; /* on loopback */
	clockid_t clock;	    /* of its CPU time */
};

/* It ends with this process at the latest. */
void echo_process_start(struct echo_process *process,
			const struct echo_server *server, unsigned cpu);
void echo_process_stop(struct echo_process *process);

/* A connection that sends what it is given at once. */
int echo_connect(const struct sockaddr_in *to);

/* CPU time so far, user and system, in nanoseconds. */
double echo_process_cpu(const struct echo_process *process);

#endif
