/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * http-log.c - a line for each request, on stdout.
 *
 * A pipe that nobody reads must not hold up the loop: writing is an operation.
 * While one buffer is written the other is filled; lines that find no room are
 * dropped, and counted.
 *
 * What a client sent is escaped: a line is a line, and a terminal is not told
 * what to do.
 */
#include "http-log.h"
#include "http-parse.h"
#include "http-text.h"

#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <unistd.h>

static void write_on(struct log *log);

static void on_written(struct ev_loop *loop, struct evring_op *op, int revents)
{
	struct log *log = (struct log *)op;

	(void)loop;
	(void)revents;
	if (op->res > 0)
		log->nr_written += (size_t)op->res;
	else if (op->res != -EINTR && op->res != -ECANCELED)
		log->nr_written = log->nr_to_write; /* nobody to write to */
	write_on(log);
}

static void write_on(struct log *log)
{
	struct io_uring_sqe *sqe;
	char *written = log->writing;

	if (log->nr_written == log->nr_to_write) {
		log->writing = log->filling;
		log->nr_to_write = log->nr_filled;
		log->filling = written;
		log->nr_filled = log->nr_written = 0;
	}
	if (!log->nr_to_write)
		return;
	sqe = evring_op_start(log->loop, &log->op);
	if (sqe)
		io_uring_prep_write(
			sqe, STDOUT_FILENO, log->writing + log->nr_written,
			(unsigned)(log->nr_to_write - log->nr_written),
			(uint64_t)-1);
}

int log_init(struct log *log, struct ev_loop *loop)
{
	log->loop = loop;
	evring_op_init(&log->op, on_written);
	log->filling = malloc(LOG_BUFFER_SIZE);
	log->writing = malloc(LOG_BUFFER_SIZE);
	return log->filling && log->writing ? 0 : -ENOMEM;
}

static void write_rest(const char *bytes, size_t size)
{
	ssize_t nr;

	for (; size; bytes += nr, size -= (size_t)nr) {
		nr = write(STDOUT_FILENO, bytes, size);
		if (nr <= 0)
			return;
	}
}

void log_exit(struct log *log)
{
	if (log->filling && log->writing) {
		write_rest(log->writing + log->nr_written,
			   log->nr_to_write - log->nr_written);
		write_rest(log->filling, log->nr_filled);
	}
	free(log->filling);
	free(log->writing);
}

/* As others do it: \xHH. */
static void add_escaped(struct text *text, const char *string)
{
	char hex[4] = "\\x";

	for (; *string; string++) {
		if (*string > ' ' && *string < 127 && *string != '"' &&
		    *string != '\\') {
			text_add(text, string, 1);
			continue;
		}
		hex[2] = "0123456789ABCDEF"[(unsigned char)*string >> 4];
		hex[3] = "0123456789ABCDEF"[*string & 15];
		text_add(text, hex, 4);
	}
}

static void add_request(struct text *text, const struct request *request)
{
	if (!request->target || !request->method_name) {
		text_string(text, "-");
		return;
	}
	text_string(text, request->method_name);
	text_string(text, " ");
	add_escaped(text, request->target);
	text_string(text, request->minor ? " HTTP/1.1" : " HTTP/1.0");
}

static const char *date_now(struct log *log)
{
	time_t now = (time_t)ev_now(log->loop);

	if (now != log->time || !log->date[0]) {
		log->time = now;
		log_date_format(now, log->date);
	}
	return log->date;
}

static void add_line(struct log *log, struct text *text, const char *peer,
		     const struct request *request, int status, uint64_t length)
{
	text_string(text, peer);
	text_string(text, " - - [");
	text_string(text, date_now(log));
	text_string(text, "] \"");
	add_request(text, request);
	text_string(text, "\" ");
	text_number(text, (uint64_t)status);
	text_string(text, " ");
	text_number(text, length);
	text_string(text, "\n");
}

void log_request(struct log *log, const char *peer,
		 const struct request *request, int status, uint64_t length)
{
	struct text text;

	if (!log->filling)
		return;
	text.at = log->filling + log->nr_filled;
	text.end = log->filling + LOG_BUFFER_SIZE;
	text.is_cut = false;
	add_line(log, &text, peer, request, status, length);
	if (text.is_cut)
		count(&log->nr_dropped, 1);
	else
		log->nr_filled = (size_t)(text.at - log->filling);
	if (!log->op.active)
		write_on(log);
}
