/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * http-parse.h - a request, and how it comes out of what a client sends.
 *
 *     request_begin(&request, text, sizeof(text));
 *     used = request_parse(&request, data, size);
 *     if (request.is_complete) ... answer it; what follows data + used is
 *                                  the next request
 */
#ifndef HTTP_PARSE_H
#define HTTP_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef HAVE_LLHTTP
#include <llhttp.h>
typedef llhttp_t parser;
#else
#include <http_parser.h>
typedef struct http_parser parser;
#endif

enum request_method { METHOD_GET, METHOD_HEAD, METHOD_OTHER };

/* Those that matter here. */
enum request_header {
	HEADER_EXPECT,
	HEADER_HOST,
	HEADER_IF_MATCH,
	HEADER_IF_MODIFIED_SINCE,
	HEADER_IF_NONE_MATCH,
	HEADER_IF_RANGE,
	HEADER_IF_UNMODIFIED_SINCE,
	HEADER_RANGE,
	HEADER_TRANSFER_ENCODING,
	HEADER_OTHER,
	NR_HEADERS = HEADER_OTHER
};

enum {
	/* A longer body is refused, and not read. */
	MAX_REQUEST_BODY = 65536,
	/* With the lengths of its chunks, and what follows the last one. */
	MAX_REQUEST_REST = 8 * MAX_REQUEST_BODY,
	HEADER_NAME_SIZE = 24
};

struct request {
	bool is_complete; /* body included, which is dropped */
	bool has_begun;	  /* a byte of it has come */
	int status;	  /* to refuse it with; 0: none */
	bool keep_alive;
	enum request_method method;
	unsigned minor; /* of HTTP/1.x */

	/* In the text given to request_begin(), each with a 0 at its end. */
	const char *target;		 /* or NULL */
	const char *headers[NR_HEADERS]; /* or NULL */
	const char *method_name;	 /* for the log */

	/* Private. */
	parser parser;
	bool has_head, is_target, is_value;
	size_t head_size, body_size, rest_size;
	char *text;
	size_t text_size, text_used;
	unsigned nr_hosts;
	enum request_header header;
	char name[HEADER_NAME_SIZE];
	size_t name_size;
};

/*
 * text is where a request's target and headers are kept, until the next begin.
 * A head that is longer than text is refused.
 */
void request_begin(struct request *request, char *text, size_t text_size);

/* Returns how many bytes were of this request. */
size_t request_parse(struct request *request, const char *data, size_t size);

#endif
