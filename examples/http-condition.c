/* SPDX-License-Identifier: BSD-2-Clause */
/* http-condition.c - what If-... and Range ask for. */
#include "http-condition.h"

#include <string.h>
#include <strings.h>

static const char *skip_blanks(const char *at)
{
	while (*at == ' ' || *at == '\t' || *at == ',')
		at++;
	return at;
}

/*
 * Is etag one of a list?  A weak one, "W/" before it, is the same for
 * If-None-Match only; ours are strong.
 */
static bool list_has(const char *list, const char *etag, bool is_weak_enough)
{
	size_t size = strlen(etag);
	const char *end;
	bool is_weak;

	if (!strcmp(list, "*"))
		return true;
	for (list = skip_blanks(list); *list; list = skip_blanks(end + 1)) {
		is_weak = !strncmp(list, "W/", 2);
		list += is_weak ? 2 : 0;
		end = *list == '"' ? strchr(list + 1, '"') : NULL;
		if (!end)
			return false;
		if (!strncmp(list, etag, size) && (!is_weak || is_weak_enough))
			return true;
	}
	return false;
}

/* 1, 0, or -1 if there is no such header with a date in it. */
static int is_changed_since(const struct request *request,
			    enum request_header header, const struct file *file)
{
	const char *value = request->headers[header];
	time_t time;

	if (!value || !http_date_parse(value, &time))
		return -1;
	return file->mtime > time;
}

static bool is_precondition_false(const struct request *request,
				  const struct file *file)
{
	const char *match = request->headers[HEADER_IF_MATCH];

	if (match)
		return !list_has(match, file->etag, false);
	return is_changed_since(request, HEADER_IF_UNMODIFIED_SINCE, file) > 0;
}

static bool client_has_it(const struct request *request,
			  const struct file *file)
{
	const char *match = request->headers[HEADER_IF_NONE_MATCH];

	if (match)
		return list_has(match, file->etag, true);
	return !is_changed_since(request, HEADER_IF_MODIFIED_SINCE, file);
}

int http_conditions(const struct request *request, const struct file *file)
{
	if (is_precondition_false(request, file))
		return 412;
	return client_has_it(request, file) ? 304 : 200;
}

/* Too large is the largest.  NULL: not a number. */
static const char *read_number(const char *at, uint64_t *ret_number)
{
	uint64_t number = 0;
	const char *start = at;

	for (; *at >= '0' && *at <= '9'; at++) {
		if (number > (UINT64_MAX - 9) / 10)
			number = UINT64_MAX;
		else
			number = number * 10 + (uint64_t)(*at - '0');
	}
	*ret_number = number;
	return at == start ? NULL : at;
}

/* "-N": the last N bytes */
static int take_suffix(const char *at, uint64_t size, struct range *range)
{
	uint64_t nr;

	at = read_number(at, &nr);
	if (!at || *at)
		return 200;
	range->size = nr < size ? nr : size;
	range->first = size - range->size;
	return range->size ? 206 : 416;
}

/* "FIRST-" or "FIRST-LAST" */
static int take_range(const char *at, uint64_t size, struct range *range)
{
	uint64_t first, last = UINT64_MAX;

	at = read_number(at, &first);
	if (!at || *at++ != '-')
		return 200;
	if (*at)
		at = read_number(at, &last);
	if (!at || *at || last < first)
		return 200;
	if (first >= size)
		return 416;
	range->first = first;
	range->size = (last < size ? last + 1 : size) - first;
	return 206;
}

/* If-Range wants the very same file. */
static bool is_range_wanted(const struct request *request,
			    const struct file *file)
{
	const char *value = request->headers[HEADER_IF_RANGE];
	time_t time;

	if (!value || !strcmp(value, file->etag))
		return true;
	return http_date_parse(value, &time) && time == file->mtime;
}

int http_range(const struct request *request, const struct file *file,
	       struct range *ret_range)
{
	const char *value = request->headers[HEADER_RANGE];

	if (!value || request->method != METHOD_GET ||
	    strncasecmp(value, "bytes=", 6) || !is_range_wanted(request, file))
		return 200;
	value += 6;
	while (*value == ' ' || *value == '\t')
		value++;
	if (*value == '-')
		return take_suffix(value + 1, file->size, ret_range);
	return take_range(value, file->size, ret_range);
}
