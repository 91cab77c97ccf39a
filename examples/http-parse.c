/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * http-parse.c - a request's head, by llhttp, or by http-parser, its
 * predecessor: what else differs between the two is not seen outside.
 *
 * The grammar is theirs, strictness included.  Here is what a request must
 * have to be answered, how much of it is kept, and how long it may be.
 *
 * What to know about the parsers:
 *
 * a) Target, names and values come in pieces, as the data does.  A name that
 *    comes after a value begins a new header; of an empty value http-parser
 *    tells, llhttp may not, but it tells where a name ends.
 * b) "Connection: Upgrade" makes them stop behind the head, as if what follows
 *    were of another protocol.  We stay with this one, and take the flag away.
 * c) Each request is parsed by a parser made anew, so that nothing that stood
 *    in one can matter to the next.
 * d) Both go on behind a complete request unless they are told to pause, and
 *    tell in different ways where that was.
 * e) http-parser, as it is packaged, lets a blank stand before the colon, where
 *    others may not see the same header: it must be refused (RFC 9112, 5.1).
 * f) What stands behind a chunked body has the form of headers, and comes by
 *    the same callbacks, as much of it as a client likes.  It is dropped: a
 *    head that was judged does not change.
 */
#include "http-parse.h"

#include <string.h>
#include <strings.h>

static const char *const header_names[NR_HEADERS] = {
	[HEADER_EXPECT] = "expect",
	[HEADER_HOST] = "host",
	[HEADER_IF_MATCH] = "if-match",
	[HEADER_IF_MODIFIED_SINCE] = "if-modified-since",
	[HEADER_IF_NONE_MATCH] = "if-none-match",
	[HEADER_IF_RANGE] = "if-range",
	[HEADER_IF_UNMODIFIED_SINCE] = "if-unmodified-since",
	[HEADER_RANGE] = "range",
	[HEADER_TRANSFER_ENCODING] = "transfer-encoding",
};

/* A byte is left for the 0. */
static void keep(struct request *request, const char *bytes, size_t size)
{
	if (size >= request->text_size - request->text_used) {
		request->status = 431;
		return;
	}
	memcpy(request->text + request->text_used, bytes, size);
	request->text_used += size;
}

static void end_text(struct request *request)
{
	request->text[request->text_used++] = 0;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static void end_value(struct request *request)
{
	if (!request->is_value)
		return;
	request->is_value = false;
	if (request->header == HEADER_OTHER)
		return;
	while (request->text_used &&
	       is_blank(request->text[request->text_used - 1]))
		request->text_used--;
	end_text(request);
}

static enum request_header find_header(const char *name)
{
	int i;

	for (i = 0; i < NR_HEADERS; i++)
		if (!strcasecmp(name, header_names[i]))
			break;
	return (enum request_header)i;
}

/* One that comes again takes the place of the first; hosts are counted. */
static void begin_value(struct request *request)
{
	request->is_value = true;
	request->name[request->name_size] = 0;
	request->header = find_header(request->name);
	request->name_size = 0;
	if (request->header == HEADER_OTHER)
		return;
	if (request->header == HEADER_HOST)
		request->nr_hosts++;
	request->headers[request->header] = request->text + request->text_used;
}

static int on_target(parser *p, const char *at, size_t size)
{
	struct request *request = p->data;

	if (!request->target) {
		request->target = request->text;
		request->is_target = true;
	}
	keep(request, at, size);
	return request->status ? -1 : 0;
}

static void end_target(struct request *request)
{
	if (!request->is_target)
		return;
	request->is_target = false;
	end_text(request);
}

static int on_name(parser *p, const char *at, size_t size)
{
	struct request *request = p->data;
	size_t room = HEADER_NAME_SIZE - 1 - request->name_size;

	if (memchr(at, ' ', size)) {
		request->status = 400; /* trap e */
		return -1;
	}
	if (request->has_head)
		return 0; /* trap f */
	end_value(request);
	end_target(request);
	/* One that is longer than all of ours is cut, and still longer. */
	if (size > room)
		size = room;
	memcpy(request->name + request->name_size, at, size);
	request->name_size += size;
	return 0;
}

static int on_value(parser *p, const char *at, size_t size)
{
	struct request *request = p->data;

	if (request->has_head)
		return 0; /* trap f */
	if (!request->is_value)
		begin_value(request);
	if (request->header != HEADER_OTHER)
		keep(request, at, size);
	return request->status ? -1 : 0;
}

#ifdef HAVE_LLHTTP
/* Trap a. */
static int on_name_end(parser *p)
{
	struct request *request = p->data;

	if (request->name_size)
		begin_value(request);
	return 0;
}
#endif

/* content_length, without the header. */
#ifdef HAVE_LLHTTP
#define NO_LENGTH 0
#else
#define NO_LENGTH UINT64_MAX
#endif

static bool has_body(const struct request *request)
{
	uint64_t length = request->parser.content_length;

	return request->headers[HEADER_TRANSFER_ENCODING] ||
	       (length && length != NO_LENGTH);
}

/* 0, or the status to refuse it with, now that its head is known. */
static int judge_head(const struct request *request)
{
	const char *encoding = request->headers[HEADER_TRANSFER_ENCODING];

	if (request->parser.http_major != 1)
		return 505;
	if (request->nr_hosts > 1 || (request->minor && !request->nr_hosts))
		return 400;
	if (encoding && strcasecmp(encoding, "chunked"))
		return 501;
	if (!has_body(request))
		return request->method == METHOD_OTHER ? 405 : 0;
	if (request->headers[HEADER_EXPECT])
		return request->method == METHOD_OTHER ? 405 : 417;
	if (!encoding && request->parser.content_length > MAX_REQUEST_BODY)
		return 413;
	return request->method == METHOD_OTHER ? 405 : 0;
}

static bool should_keep_alive(const parser *p)
{
#ifdef HAVE_LLHTTP
	return llhttp_should_keep_alive(p);
#else
	return http_should_keep_alive(p);
#endif
}

static enum request_method method_of(const parser *p)
{
	if (p->method == HTTP_GET)
		return METHOD_GET;
	return p->method == HTTP_HEAD ? METHOD_HEAD : METHOD_OTHER;
}

static const char *method_name_of(const parser *p)
{
#ifdef HAVE_LLHTTP
	return llhttp_method_name((llhttp_method_t)p->method);
#else
	return http_method_str((enum http_method)p->method);
#endif
}

/*
 * A request that is refused for its method only, and whose body is short, is
 * read to its end: the connection can go on.
 */
static int on_head(parser *p)
{
	struct request *request = p->data;

	end_value(request);
	end_target(request);
	request->has_head = true;
	request->method = method_of(p);
	request->method_name = method_name_of(p);
	request->minor = p->http_minor;
	request->keep_alive = should_keep_alive(p);
	request->status = judge_head(request);
	p->upgrade = 0; /* trap b */
	if (request->status == 405 && !request->headers[HEADER_EXPECT] &&
	    p->method != HTTP_CONNECT)
		return 0;
	return request->status ? -1 : 0;
}

static int on_body(parser *p, const char *at, size_t size)
{
	struct request *request = p->data;

	(void)at;
	request->body_size += size;
	if (request->body_size <= MAX_REQUEST_BODY)
		return 0;
	request->status = request->status ? request->status : 413;
	return -1;
}

static int on_complete(parser *p)
{
	struct request *request = p->data;

	request->is_complete = true;
#ifdef HAVE_LLHTTP
	return HPE_PAUSED;
#else
	http_parser_pause(p, 1);
	return 0;
#endif
}

static void refuse(struct request *request, int status)
{
	end_value(request);
	end_target(request);
	request->status = status;
	request->keep_alive = false;
	request->is_complete = true;
}

#ifdef HAVE_LLHTTP
static const llhttp_settings_t settings = {
	.on_url = on_target,
	.on_header_field = on_name,
	.on_header_field_complete = on_name_end,
	.on_header_value = on_value,
	.on_headers_complete = on_head,
	.on_body = on_body,
	.on_message_complete = on_complete,
};

static void begin(parser *p)
{
	llhttp_init(p, HTTP_REQUEST, &settings);
}

static size_t execute(parser *p, const char *data, size_t size)
{
	llhttp_errno_t error = llhttp_execute(p, data, size);

	if (error == HPE_OK)
		return size;
	return (size_t)(llhttp_get_error_pos(p) - data);
}

static int status_of_error(const parser *p)
{
	switch (llhttp_get_errno(p)) {
	case HPE_INVALID_METHOD:
		return 501;
	case HPE_INVALID_VERSION:
		return 505;
	default:
		return 400;
	}
}

static bool is_stopped(const parser *p)
{
	return llhttp_get_errno(p) != HPE_OK;
}

#else
static const http_parser_settings settings = {
	.on_url = on_target,
	.on_header_field = on_name,
	.on_header_value = on_value,
	.on_headers_complete = on_head,
	.on_body = on_body,
	.on_message_complete = on_complete,
};

static void begin(parser *p)
{
	http_parser_init(p, HTTP_REQUEST);
}

static size_t execute(parser *p, const char *data, size_t size)
{
	return http_parser_execute(p, &settings, data, size);
}

static int status_of_error(const parser *p)
{
	switch (HTTP_PARSER_ERRNO(p)) {
	case HPE_INVALID_METHOD:
		return 501;
	case HPE_INVALID_VERSION:
		return 505;
	case HPE_HEADER_OVERFLOW:
		return 431;
	default:
		return 400;
	}
}

static bool is_stopped(const parser *p)
{
	return HTTP_PARSER_ERRNO(p) != HPE_OK;
}
#endif

void request_begin(struct request *request, char *text, size_t text_size)
{
	memset(request, 0, sizeof(*request));
	begin(&request->parser);
	request->parser.data = request;
	request->text = text;
	request->text_size = text_size;
}

/* Of what there is, so much that the head does not get too long. */
static size_t portion(const struct request *request, size_t size)
{
	size_t room = request->text_size - request->head_size;

	return request->has_head || size < room ? size : room;
}

static size_t parse_portion(struct request *request, const char *data,
			    size_t size)
{
	bool had_head = request->has_head;
	size_t used = execute(&request->parser, data, size);

	*(had_head ? &request->rest_size : &request->head_size) += used;
	if (!request->is_complete && is_stopped(&request->parser))
		refuse(request, request->status
					? request->status
					: status_of_error(&request->parser));
	return used;
}

size_t request_parse(struct request *request, const char *data, size_t size)
{
	size_t used = 0, nr;

	while (used < size && !request->is_complete) {
		request->has_begun = true;
		nr = portion(request, size - used);
		if (request->rest_size > MAX_REQUEST_REST)
			refuse(request, 413);
		else if (!nr)
			refuse(request, request->is_target ? 414 : 431);
		else
			used += parse_portion(request, data + used, nr);
	}
	return used;
}
