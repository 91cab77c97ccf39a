/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * resp-parse.h - commands out of a stream of bytes.
 *
 * A command is an array of bulk strings ("*2\r\n$3\r\nGET\r\n$1\r\nk\r\n"), or
 * a line as somebody types it ("GET k", with quotes as a shell has them).
 *
 * The parser is asked again with more bytes, at the same address or another:
 * it keeps offsets from where the command began, and looks at no byte twice but
 * for the few of an unfinished length.  Nothing is allocated for what was only
 * announced.
 */
#ifndef RESP_PARSE_H
#define RESP_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* No more than half of 4 GiB each. */
struct parse_limits {
	size_t bulk;	/* bytes of one argument */
	size_t request; /* bytes of a command */
	uint32_t args;	/* of a command */
};

enum { PARSE_FEW = 8, PARSE_ERROR_SIZE = 48 };

struct parse_arg {
	uint32_t at, size; /* from where the command began */
};

enum parse_result {
	PARSE_MORE,    /* it is not there as a whole */
	PARSE_COMMAND, /* it has at least one argument */
	PARSE_EMPTY,   /* an empty line or array */
	PARSE_ERROR    /* see parser->error; the stream has no sense any more */
};

struct parser {
	const struct parse_limits *limits;

	/* Of the command; with PARSE_COMMAND and PARSE_EMPTY, until
	   parser_next(). */
	struct parse_arg *args;
	uint32_t nr_args;
	size_t at; /* parsed so far: with these two its size */

	char error[PARSE_ERROR_SIZE]; /* with PARSE_ERROR */

	/* Private. */
	uint32_t room, nr_left;
	int64_t bulk; /* of the argument that is read, or -1 */
	struct parse_arg few[PARSE_FEW];
};

void parser_init(struct parser *parser, const struct parse_limits *limits);
void parser_exit(struct parser *parser);

/* size bytes from where the command began.  Lines are changed: what is quoted
   is written over the quotes. */
enum parse_result parser_parse(struct parser *parser, char *bytes, size_t size);

/* The next command begins, where this one ends. */
void parser_next(struct parser *parser);

/* Bytes from where the command began that are needed to go on. */
size_t parser_wants(const struct parser *parser);

/* Memory that it holds beside itself. */
static inline size_t parser_memory(const struct parser *parser)
{
	return parser->room > PARSE_FEW
		       ? parser->room * sizeof(struct parse_arg)
		       : 0;
}

#endif
