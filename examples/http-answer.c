/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * http-answer.c - what is said to a request: status, head, which bytes.
 *
 * Every answer has a length, or none by its kind (304, HEAD), so that the
 * connection can go on behind it.
 */
#include "http-answer.h"
#include "http-path.h"

#include <string.h>

static const struct {
	int status;
	const char *line;
} lines[] = {
	{ 200, "200 OK" },
	{ 206, "206 Partial Content" },
	{ 301, "301 Moved Permanently" },
	{ 304, "304 Not Modified" },
	{ 400, "400 Bad Request" },
	{ 403, "403 Forbidden" },
	{ 404, "404 Not Found" },
	{ 405, "405 Method Not Allowed" },
	{ 408, "408 Request Timeout" },
	{ 412, "412 Precondition Failed" },
	{ 413, "413 Content Too Large" },
	{ 414, "414 URI Too Long" },
	{ 416, "416 Range Not Satisfiable" },
	{ 417, "417 Expectation Failed" },
	{ 431, "431 Request Header Fields Too Large" },
	{ 500, "500 Internal Server Error" },
	{ 501, "501 Not Implemented" },
	{ 503, "503 Service Unavailable" },
	{ 505, "505 HTTP Version Not Supported" },
};

static const char *line_of(int status)
{
	size_t i;

	for (i = 0; i < NR_OF(lines); i++)
		if (lines[i].status == status)
			return lines[i].line;
	return "500 Internal Server Error";
}

static const char *date_now(struct http_worker *worker)
{
	ev_tstamp now = ev_now(worker->worker.loop);

	if (now < worker->date_time || now >= worker->date_time + 1) {
		worker->date_time = (ev_tstamp)(time_t)now;
		http_date_format((time_t)now, worker->date);
	}
	return worker->date;
}

static void add_line(struct text *text, const char *name, const char *value)
{
	text_string(text, name);
	text_string(text, ": ");
	text_string(text, value);
	text_add(text, "\r\n", 2);
}

static void add_length(struct text *text, uint64_t length)
{
	text_string(text, "Content-Length: ");
	text_number(text, length);
	text_add(text, "\r\n", 2);
}

/* To be ended by an empty line. */
static void begin_head(struct http_worker *worker,
		       const struct request *request, int status,
		       struct text *text)
{
	text_string(text, "HTTP/1.1 ");
	text_string(text, line_of(status));
	text_string(text, "\r\nServer: evring\r\nDate: ");
	text_string(text, date_now(worker));
	text_add(text, "\r\n", 2);
	if (!request->keep_alive)
		text_string(text, "Connection: close\r\n");
	else if (!request->minor)
		text_string(text, "Connection: keep-alive\r\n");
	count(&worker->requests, 1);
	count(&worker->answers[status / 100], 1);
}

static void add_content_range(struct text *text, const struct range *range,
			      uint64_t size)
{
	text_string(text, "Content-Range: bytes ");
	if (range) {
		text_number(text, range->first);
		text_add(text, "-", 1);
		text_number(text, range->first + range->size - 1);
	} else {
		text_add(text, "*", 1);
	}
	text_add(text, "/", 1);
	text_number(text, size);
	text_add(text, "\r\n", 2);
}

/* For HEAD, too: as if it were a GET. */
static void add_status_body(const struct request *request, int status,
			    struct text *text, struct answer *answer)
{
	const char *line = line_of(status);
	size_t size = strlen(line) + 1;

	add_line(text, "Content-Type", "text/plain");
	add_length(text, size);
	text_add(text, "\r\n", 2);
	if (request->method == METHOD_HEAD)
		return;
	answer->length = size;
	text_string(text, line);
	text_add(text, "\n", 1);
}

static void add_location(struct text *text, const char *location)
{
	text_string(text, "Location: ");
	http_path_encode(text, location);
	text_string(text, "/\r\n");
}

void answer_status(struct http_worker *worker, const struct request *request,
		   int status, const char *location, struct text *text,
		   struct answer *ret_answer)
{
	*ret_answer = (struct answer){ .status = status };
	begin_head(worker, request, status, text);
	if (status == 301)
		add_location(text, location);
	if (status == 405)
		add_line(text, "Allow", "GET, HEAD");
	add_status_body(request, status, text, ret_answer);
}

static void answer_without_part(struct http_worker *worker,
				const struct request *request,
				const struct file *file, int status,
				struct text *text, struct answer *answer)
{
	begin_head(worker, request, status, text);
	if (status == 304) {
		text_add(text, file->head, file->head_size);
		text_add(text, "\r\n", 2);
		return;
	}
	if (status == 416)
		add_content_range(text, NULL, file->size);
	add_status_body(request, status, text, answer);
}

void answer_file(struct http_worker *worker, const struct request *request,
		 const struct file *file, struct text *text,
		 struct answer *ret_answer)
{
	struct range range = { 0, file->size };
	int status = http_conditions(request, file);

	if (status == 200)
		status = http_range(request, file, &range);
	*ret_answer = (struct answer){ .status = status };
	if (status != 200 && status != 206) {
		answer_without_part(worker, request, file, status, text,
				    ret_answer);
		return;
	}
	begin_head(worker, request, status, text);
	text_add(text, file->head, file->head_size);
	if (status == 206)
		add_content_range(text, &range, file->size);
	add_length(text, range.size);
	text_add(text, "\r\n", 2);
	if (request->method == METHOD_HEAD)
		return;
	ret_answer->range = range;
	ret_answer->length = range.size;
}
