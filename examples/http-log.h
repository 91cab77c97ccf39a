/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * http-log.h - a line for each request, on stdout, in the common log format.
 *
 * The length is that of the body which is to be sent.
 */
#ifndef HTTP_LOG_H
#define HTTP_LOG_H

#include "daemon/daemon.h"
#include "http-date.h"

#include <time.h>

enum { LOG_BUFFER_SIZE = 256 * 1024 };

struct request;

struct log {
	struct evring_op op;
	struct ev_loop *loop;
	char *filling, *writing; /* NULL: no log */
	size_t nr_filled, nr_to_write, nr_written;
	size_t max_write; /* in one piece */
	time_t time;
	char date[LOG_DATE_SIZE]; /* of time */
	counter nr_dropped;	  /* lines */
};

int log_init(struct log *log, struct ev_loop *loop);

/* No operation is under way.  Writes what is left, if somebody reads. */
void log_exit(struct log *log);

void log_request(struct log *log, const char *peer,
		 const struct request *request, int status, uint64_t length);

#endif
