/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * http-path.c - from a request's target to a path below ROOT, and back.
 *
 * Decoding comes first and only once, then segments are looked at: so it does
 * not matter how a dot or a slash was written ("%2e%2e%2f"), and "%252e" is a
 * file's name.  This is for well-defined names; that nothing outside of ROOT
 * is opened, whatever symbolic links say, is openat2()'s business.
 */
#include "http-path.h"

#include <strings.h>

struct path {
	char *bytes;
	size_t size;	/* so far */
	size_t segment; /* where the last segment begins */
};

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The next byte; 0 for what may not be there. */
static char decode(const char **at, const char *end)
{
	const char *p = *at;
	int high, low;

	*at = p + 1;
	if (*p != '%')
		return *p;
	if (end - p < 3)
		return 0;
	high = hex_value(p[1]);
	low = hex_value(p[2]);
	*at = p + 3;
	return high < 0 || low < 0 ? 0 : (char)(high << 4 | low);
}

static bool segment_is(const struct path *path, const char *name)
{
	size_t size = path->size - path->segment;

	return size == strlen(name) &&
	       !memcmp(path->bytes + path->segment, name, size);
}

/* Back to where the segment before the last one begins. */
static bool drop_segment(struct path *path)
{
	if (!path->segment)
		return false;
	path->size = path->segment - 1;
	while (path->size && path->bytes[path->size - 1] != '/')
		path->size--;
	path->segment = path->size;
	return true;
}

static bool is_special(const struct path *path)
{
	return segment_is(path, "") || segment_is(path, ".") ||
	       segment_is(path, "..");
}

/* Of a segment that is_special(). */
static bool resolve(struct path *path)
{
	if (segment_is(path, ".."))
		return drop_segment(path);
	path->size = path->segment;
	return true;
}

static bool has_room(const struct path *path, size_t size)
{
	return path->size + size < HTTP_PATH_SIZE;
}

static int add_byte(struct path *path, char c)
{
	if (c == '/' && is_special(path))
		return resolve(path) ? 0 : 400;
	if (!has_room(path, 1))
		return 404;
	path->bytes[path->size++] = c;
	if (c == '/')
		path->segment = path->size;
	return 0;
}

/* What follows scheme and host, or NULL. */
static const char *find_path(const char *target, const char *end)
{
	size_t size = (size_t)(end - target), scheme;

	if (size && *target == '/')
		return target;
	if (size > 7 && !strncasecmp(target, "http://", 7))
		scheme = 7;
	else if (size > 8 && !strncasecmp(target, "https://", 8))
		scheme = 8;
	else
		return NULL;
	for (target += scheme; target < end; target++)
		if (*target == '/' || *target == '?' || *target == '#')
			return target;
	return end;
}

static int end_path(struct path *path, const char *index)
{
	if (is_special(path)) {
		if (!resolve(path))
			return 400;
		if (!has_room(path, strlen(index)))
			return 404;
		memcpy(path->bytes + path->size, index, strlen(index));
		path->size += strlen(index);
	}
	path->bytes[path->size] = 0;
	return 0;
}

int http_path_decode(const char *target, size_t size, const char *index,
		     char bytes[HTTP_PATH_SIZE])
{
	struct path path = { .bytes = bytes };
	const char *end = target + size, *at = find_path(target, end);
	int status;
	char c;

	if (!at)
		return 400;
	while (at < end && *at != '?' && *at != '#') {
		c = decode(&at, end);
		status = c ? add_byte(&path, c) : 400;
		if (status)
			return status;
	}
	return end_path(&path, index);
}

static bool is_plain(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9') || (c && strchr("/-._~!$&'()*+,;=:@", c));
}

void http_path_encode(struct text *text, const char *path)
{
	char hex[3];

	text_add(text, "/", 1);
	for (; *path; path++) {
		if (is_plain(*path)) {
			text_add(text, path, 1);
			continue;
		}
		hex[0] = '%';
		hex[1] = "0123456789ABCDEF"[(unsigned char)*path >> 4];
		hex[2] = "0123456789ABCDEF"[*path & 15];
		text_add(text, hex, 3);
	}
}
