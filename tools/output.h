/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * output.h - how evring's reports are written: aligned text, or JSON.
 */
#ifndef EVR_TOOL_OUTPUT_H
#define EVR_TOOL_OUTPUT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/*
 * Write text at column, wrapped at column 79.  The caller has written as far as
 * column; the last line is ended.
 */
void text_wrap(FILE *out, int column, const char *text);

/* text, with '?' for control characters: it came from elsewhere. */
void text_foreign(FILE *out, const char *text);

/*
 * JSON, one value after another.  name is NULL for the members of an array and
 * for the outermost value.
 */
struct json {
	FILE *out;
	int depth;
	bool is_next; /* of its object or array: a comma goes before it */
};

void json_open(struct json *j, const char *name, char bracket);
void json_close(struct json *j, char bracket);
/* text may be NULL; bytes that are not UTF-8 become U+FFFD. */
void json_string(struct json *j, const char *name, const char *text);
void json_int(struct json *j, const char *name, int64_t value);
void json_uint(struct json *j, const char *name, uint64_t value);
void json_bool(struct json *j, const char *name, bool value);
void json_null(struct json *j, const char *name);

/* Flush stdout.  False, with a message, if not all could be written. */
bool output_is_written(void);

#endif
