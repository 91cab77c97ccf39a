/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * output.c - how evring's reports are written: aligned text, or JSON.
 *
 * Names of programs and values of the environment may be any bytes.  Text has
 * them without control characters, so that they do nothing to a terminal; JSON
 * has them escaped, and is always UTF-8.
 */
#include "config.h"

#include "output.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

enum { WIDTH = 79 };

/*
 * text
 */

void text_wrap(FILE *out, int column, const char *text)
{
	int at = column;
	size_t size;

	while (*text) {
		size = strcspn(text, " ");
		if (at > column && at + 1 + (int)size > WIDTH) {
			fprintf(out, "\n%*s", column, "");
			at = column;
		} else if (at > column) {
			putc(' ', out);
			at++;
		}
		fwrite(text, 1, size, out);
		at += (int)size;
		text += size;
		text += strspn(text, " ");
	}
	putc('\n', out);
}

static bool is_control(unsigned char byte)
{
	return byte < 0x20 || byte == 0x7f;
}

void text_foreign(FILE *out, const char *text)
{
	for (; *text; text++)
		putc(is_control((unsigned char)*text) ? '?' : *text, out);
}

/*
 * JSON
 */

/* The size of the UTF-8 character that text begins with, 0 if it is none. */
static size_t utf8_size(const unsigned char *text)
{
	size_t i, size = text[0] < 0x80	  ? 1
			 : text[0] < 0xc2 ? 0
			 : text[0] < 0xe0 ? 2
			 : text[0] < 0xf0 ? 3
			 : text[0] < 0xf5 ? 4
					  : 0;

	for (i = 1; i < size; i++)
		if ((text[i] & 0xc0) != 0x80)
			return 0;
	/* overlong forms, surrogates, and what is beyond U+10FFFF */
	if ((text[0] == 0xe0 && text[1] < 0xa0) ||
	    (text[0] == 0xed && text[1] > 0x9f) ||
	    (text[0] == 0xf0 && text[1] < 0x90) ||
	    (text[0] == 0xf4 && text[1] > 0x8f))
		return 0;
	return size;
}

static size_t put_character(FILE *out, const unsigned char *text)
{
	size_t size = utf8_size(text);

	if (!size)
		fputs("\\ufffd", out);
	else if (is_control(*text))
		fprintf(out, "\\u%04x", *text);
	else if (*text == '"' || *text == '\\')
		fprintf(out, "\\%c", *text);
	else
		fwrite(text, 1, size, out);
	return size ? size : 1;
}

static void put_quoted(FILE *out, const char *string)
{
	const unsigned char *text = (const unsigned char *)string;

	putc('"', out);
	while (*text)
		text += put_character(out, text);
	putc('"', out);
}

/* What stands before a value. */
static void begin(struct json *j, const char *name)
{
	if (j->is_next)
		putc(',', j->out);
	if (j->depth)
		fprintf(j->out, "\n%*s", 2 * j->depth, "");
	if (name) {
		put_quoted(j->out, name);
		fputs(": ", j->out);
	}
	j->is_next = true;
}

void json_open(struct json *j, const char *name, char bracket)
{
	begin(j, name);
	putc(bracket, j->out);
	j->depth++;
	j->is_next = false;
}

void json_close(struct json *j, char bracket)
{
	j->depth--;
	if (j->is_next)
		fprintf(j->out, "\n%*s", 2 * j->depth, "");
	putc(bracket, j->out);
	if (!j->depth)
		putc('\n', j->out);
	j->is_next = true;
}

void json_string(struct json *j, const char *name, const char *text)
{
	if (!text) {
		json_null(j, name);
		return;
	}
	begin(j, name);
	put_quoted(j->out, text);
}

void json_int(struct json *j, const char *name, int64_t value)
{
	begin(j, name);
	fprintf(j->out, "%" PRId64, value);
}

void json_uint(struct json *j, const char *name, uint64_t value)
{
	begin(j, name);
	fprintf(j->out, "%" PRIu64, value);
}

void json_bool(struct json *j, const char *name, bool value)
{
	begin(j, name);
	fputs(value ? "true" : "false", j->out);
}

void json_null(struct json *j, const char *name)
{
	begin(j, name);
	fputs("null", j->out);
}

bool output_is_written(void)
{
	if (!fflush(stdout) && !ferror(stdout))
		return true;
	fprintf(stderr, "evring info: cannot write: %s\n", strerror(errno));
	return false;
}
