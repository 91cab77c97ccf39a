/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * process.h - an echo server in a process of its own, on one CPU.
 */
#ifndef ECHO_PROCESS_H
#define ECHO_PROCESS_H

#include <netinet/in.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "../row.h"
#include "echo.h"

struct echo_process {
	pid_t pid;
	struct sockaddr_in address; /* on loopback */
	clockid_t clock;	    /* of its CPU time */
	struct echo_facts *facts;   /* what it says of itself */
};

/* It ends with this process at the latest. */
void echo_process_start(struct echo_process *process,
			const struct echo_server *server, unsigned cpu);
void echo_process_stop(struct echo_process *process);

/* A connection that sends what it is given at once. */
int echo_connect(const struct sockaddr_in *to);

/* CPU time so far, user and system, in nanoseconds. */
double echo_process_cpu(const struct echo_process *process);

/* What servers of one kind said of themselves; begins as zeros. */
struct echo_said {
	unsigned backend;
	enum evring_tier tier;
	uint64_t enters, messages;
};

/* Between these two it is given so many messages. */
void echo_said_begin(struct echo_said *said,
		     const struct echo_process *process);
void echo_said_end(struct echo_said *said, const struct echo_process *process,
		   unsigned nr_messages);

/* Of evring's ring, for a message; NaN for others. */
double echo_said_enters(const struct echo_said *said);

void echo_name_row(struct bench_row *row, const struct echo_said *said);

#endif
