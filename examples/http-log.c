/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * http-log.c - a line for each request, on stdout.
 *
 * A pipe that nobody reads must not hold up the loop: writing is an operation.
 * While one buffer is written the other is filled; lines that find no room are
 * dropped, and counted.  For the same reason the end waits for no reader: what
 * a full pipe does not take is dropped, too.
 *
 * Workers share stdout.  A write to a file goes to its end only if that is
 * asked for (O_APPEND): io_uring takes the position without a lock, and lines
 * would be written over others.  A write to a pipe stays in one piece only if
 * it is short (PIPE_BUF).
 *
 * What a client sent is escaped: a line is a line, and a terminal is not told
 * what to do.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* memrchr */
#endif

#include "http-log.h"
#include "http-parse.h"
#include "http-text.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <liburing.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { END_MILLISECONDS = 200 /* for a reader, at the end */ };

static void write_on(struct log *log);

/* Of what is left, so many whole lines as stay in one piece; or, if the first
   is longer, a part of it. */
static size_t portion(const struct log *log, const char *bytes, size_t size)
{
	const char *end;

	if (size <= log->max_write)
		return size;
	end = memrchr(bytes, '\n', log->max_write);
	return end ? (size_t)(end + 1 - bytes) : log->max_write;
}

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
	written = log->writing + log->nr_written;
	sqe = evring_op_start(log->loop, &log->op);
	if (sqe)
		io_uring_prep_write(
			sqe, STDOUT_FILENO, written,
			(unsigned)portion(log, written,
					  log->nr_to_write - log->nr_written),
			(uint64_t)-1);
}

static bool is_file(int fd)
{
	struct stat stat;

	return !fstat(fd, &stat) && S_ISREG(stat.st_mode);
}

static void append(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags >= 0)
		fcntl(fd, F_SETFL, flags | O_APPEND);
}

int log_init(struct log *log, struct ev_loop *loop)
{
	log->loop = loop;
	evring_op_init(&log->op, on_written);
	log->max_write = PIPE_BUF;
	if (is_file(STDOUT_FILENO)) {
		log->max_write = LOG_BUFFER_SIZE;
		append(STDOUT_FILENO);
	}
	log->filling = malloc(LOG_BUFFER_SIZE);
	log->writing = malloc(LOG_BUFFER_SIZE);
	return log->filling && log->writing ? 0 : -ENOMEM;
}

/* A pipe that is ready takes PIPE_BUF bytes at once. */
static bool is_ready(int fd)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLOUT };

	return poll(&poll_fd, 1, END_MILLISECONDS) == 1 &&
	       poll_fd.revents & POLLOUT;
}

static void write_rest(const struct log *log, const char *bytes, size_t size)
{
	ssize_t nr;

	for (; size && is_ready(STDOUT_FILENO);
	     bytes += nr, size -= (size_t)nr) {
		nr = write(STDOUT_FILENO, bytes, portion(log, bytes, size));
		if (nr <= 0)
			return;
	}
}

void log_exit(struct log *log)
{
	if (log->filling && log->writing) {
		write_rest(log, log->writing + log->nr_written,
			   log->nr_to_write - log->nr_written);
		write_rest(log, log->filling, log->nr_filled);
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
