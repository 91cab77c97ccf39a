/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * http.h - what the files of the example http share: its options, and a
 * worker.
 *
 *   http.c             options, workers
 *   http-connection.c  a connection: requests in, answers out, in order
 *   http-answer.c      what is said to a request: status and head
 *   http-condition.c   If-..., Range
 *   http-file.c        files that are open, or whose content is kept
 *   http-parse.c       a request's head; the only one that knows the parser
 *   http-path.c        from a request's target to a path below ROOT
 *   http-log.c         the log of requests
 *   http-part.c, http-text.h, http-date.c, http-type.c  small helpers
 */
#ifndef HTTP_H
#define HTTP_H

#include "daemon/daemon.h"
#include "http-date.h"
#include "http-file.h"
#include "http-log.h"
#include "http-part.h"

struct http_options {
	const char *index;
	double header_timeout; /* seconds from a request's first byte to the end
				  of its head */
	uint64_t max_header;   /* bytes of a head */
	uint64_t max_unsent; /* answers that wait to be sent, of a connection */
	struct files_limits cache;
	bool log;
};

extern struct http_options http_options;

struct http_worker {
	struct worker worker; /* first */
	struct files files;
	struct parts parts;
	struct log log;
	struct connection *unused; /* to be used again, linked */
	unsigned nr_unused;
	ev_tstamp date_time;
	char date[HTTP_DATE_SIZE];    /* of date_time */
	counter requests, answers[6]; /* by the first digit of the status */
};

#endif
