/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * resp-parse.c - see resp-parse.h.
 *
 * Stricter than it need be where leniency would hide that a peer and we do not
 * agree on where an argument ends: a length is written as a program would
 * (no sign but a minus, no zero in front), and an argument ends with CR LF.
 */
#include "resp-parse.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	MAX_LINE = 65536, /* of a command that is typed */
	MAX_NUMBER = 32,  /* bytes of a length, with its type */
	KEPT_ROOM = 1024  /* of args, for the next command */
};

void parser_init(struct parser *parser, const struct parse_limits *limits)
{
	*parser = (struct parser){
		.limits = limits,
		.args = parser->few,
		.room = PARSE_FEW,
		.bulk = -1,
	};
}

void parser_exit(struct parser *parser)
{
	if (parser->args != parser->few)
		free(parser->args);
	parser->args = parser->few;
	parser->room = PARSE_FEW;
}

void parser_next(struct parser *parser)
{
	if (parser->room > KEPT_ROOM)
		parser_exit(parser);
	parser->at = 0;
	parser->nr_args = 0;
	parser->nr_left = 0;
	parser->bulk = -1;
}

size_t parser_wants(const struct parser *parser)
{
	size_t bulk = parser->bulk < 0 ? 1 : (size_t)parser->bulk + 2;

	return parser->at + bulk;
}

__attribute__((format(printf, 2, 3))) static enum parse_result
refuse(struct parser *parser, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(parser->error, sizeof(parser->error), format, args);
	va_end(args);
	return PARSE_ERROR;
}

static int grow_args(struct parser *parser)
{
	bool is_few = parser->args == parser->few;
	uint32_t room = parser->room * 2;
	struct parse_arg *args;

	args = realloc(is_few ? NULL : parser->args, room * sizeof(*args));
	if (!args)
		return -1;
	if (is_few)
		memcpy(args, parser->few, sizeof(parser->few));
	parser->args = args;
	parser->room = room;
	return 0;
}

static enum parse_result add_arg(struct parser *parser, size_t at, size_t size)
{
	if (parser->nr_args == parser->limits->args)
		return refuse(parser, "too many arguments");
	if (parser->nr_args == parser->room && grow_args(parser) != 0)
		return refuse(parser, "no memory for the arguments");
	parser->args[parser->nr_args++] = (struct parse_arg){ at, size };
	return PARSE_COMMAND;
}

/*
 * Arrays
 */

/* Of the text from at to the line feed at end, with the CR before it;
   INT64_MIN for what is no number, or a number that nobody needs. */
static int64_t number_of(const char *at, const char *end)
{
	bool is_negative = *at == '-';
	const char *first = at + is_negative;
	int64_t number = 0;

	for (at = first; *at >= '0' && *at <= '9' && at - first < 18; at++)
		number = number * 10 + (*at - '0');
	if (at == first || (*first == '0' && at - first > 1) || *at != '\r' ||
	    at + 1 != end)
		return INT64_MIN;
	return is_negative ? -number : number;
}

/* "xNUMBER\r\n", where at is: PARSE_COMMAND, and at is behind it. */
static enum parse_result read_number(struct parser *parser, const char *bytes,
				     size_t size, int64_t *ret_number)
{
	const char *at = bytes + parser->at + 1, *end = bytes + size;
	const char *line_end;

	if (size - parser->at > MAX_NUMBER)
		end = bytes + parser->at + MAX_NUMBER;
	line_end = at < end ? memchr(at, '\n', end - at) : NULL;
	if (!line_end) {
		if (size - parser->at < MAX_NUMBER)
			return PARSE_MORE;
		return refuse(parser, "too big %s count string",
			      bytes[parser->at] == '*' ? "mbulk" : "bulk");
	}
	parser->at = line_end + 1 - bytes;
	*ret_number = number_of(at, line_end);
	return PARSE_COMMAND;
}

static enum parse_result begin_array(struct parser *parser, const char *bytes,
				     size_t size)
{
	enum parse_result r;
	int64_t nr;

	r = read_number(parser, bytes, size, &nr);
	if (r != PARSE_COMMAND)
		return r;
	if (nr == INT64_MIN || nr > (int64_t)parser->limits->args)
		return refuse(parser, "invalid multibulk length");
	if (nr <= 0)
		return PARSE_EMPTY;
	parser->nr_left = nr;
	return PARSE_COMMAND;
}

static enum parse_result begin_bulk(struct parser *parser, const char *bytes,
				    size_t size)
{
	unsigned char type;
	enum parse_result r;
	int64_t bulk;

	if (parser->at == size)
		return PARSE_MORE;
	type = bytes[parser->at];
	if (type != '$')
		return refuse(parser, "expected '$', got '%c'",
			      isprint(type) ? type : '?');
	r = read_number(parser, bytes, size, &bulk);
	if (r != PARSE_COMMAND)
		return r;
	if (bulk < 0 || bulk > (int64_t)parser->limits->bulk)
		return refuse(parser, "invalid bulk length");
	if (parser->at + bulk + 2 > parser->limits->request)
		return refuse(parser, "the request is too large");
	parser->bulk = bulk;
	return PARSE_COMMAND;
}

static enum parse_result end_bulk(struct parser *parser, const char *bytes,
				  size_t size)
{
	size_t end = parser->at + parser->bulk;
	enum parse_result r;

	if (size < end + 2)
		return PARSE_MORE;
	if (bytes[end] != '\r' || bytes[end + 1] != '\n')
		return refuse(parser, "expected CR LF after an argument");
	r = add_arg(parser, parser->at, parser->bulk);
	parser->at = end + 2;
	parser->bulk = -1;
	parser->nr_left--;
	return r;
}

static enum parse_result read_args(struct parser *parser, const char *bytes,
				   size_t size)
{
	enum parse_result r = PARSE_COMMAND;

	while (parser->nr_left > 0 && r == PARSE_COMMAND) {
		if (parser->bulk < 0)
			r = begin_bulk(parser, bytes, size);
		if (r == PARSE_COMMAND)
			r = end_bulk(parser, bytes, size);
	}
	return r;
}

/*
 * Lines
 */

struct line {
	char *from, *to, *end; /* read from, write to */
};

static int hex_of(int c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = tolower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* What a backslash in double quotes means; from is behind the backslash. */
static char read_escape(struct line *line)
{
	static const char letters[] = "nrtba", values[] = "\n\r\t\b\a";
	const char *found;
	char c = *line->from++;

	if (c == 'x' && line->end - line->from >= 2 &&
	    hex_of(line->from[0]) >= 0 && hex_of(line->from[1]) >= 0) {
		c = hex_of(line->from[0]) << 4 | hex_of(line->from[1]);
		line->from += 2;
		return c;
	}
	found = c ? strchr(letters, c) : NULL;
	return found ? values[found - letters] : c;
}

static bool is_blank(char c)
{
	return isspace((unsigned char)c) || c == '\0';
}

/* from is behind the first quote.  Is there a second one, and a blank or the
   end after it? */
static bool read_quoted(struct line *line, char quote)
{
	while (line->from < line->end && *line->from != quote) {
		char c = *line->from++;

		if (c == '\\' && line->from < line->end) {
			if (quote == '"')
				c = read_escape(line);
			else if (*line->from == '\'')
				c = *line->from++;
		}
		*line->to++ = c;
	}
	if (line->from == line->end)
		return false;
	line->from++;
	return line->from == line->end || is_blank(*line->from);
}

static bool read_word(struct line *line)
{
	while (line->from < line->end && !is_blank(*line->from)) {
		char c = *line->from++;

		if (c == '"' || c == '\'')
			return read_quoted(line, c);
		*line->to++ = c;
	}
	return true;
}

static enum parse_result split_line(struct parser *parser, char *bytes,
				    char *end)
{
	struct line line = { bytes, bytes, end };

	for (;;) {
		enum parse_result r;
		char *word;

		while (line.from < end && is_blank(*line.from))
			line.from++;
		if (line.from == end)
			return parser->nr_args ? PARSE_COMMAND : PARSE_EMPTY;
		word = line.to = line.from;
		if (!read_word(&line))
			return refuse(parser, "unbalanced quotes in request");
		r = add_arg(parser, word - bytes, line.to - word);
		if (r != PARSE_COMMAND)
			return r;
	}
}

static enum parse_result parse_line(struct parser *parser, char *bytes,
				    size_t size)
{
	char *end = memchr(bytes + parser->at, '\n', size - parser->at);

	parser->at = end ? (size_t)(end + 1 - bytes) : size;
	if (parser->at > MAX_LINE)
		return refuse(parser, "too big inline request");
	return end ? split_line(parser, bytes, end) : PARSE_MORE;
}

enum parse_result parser_parse(struct parser *parser, char *bytes, size_t size)
{
	if (parser->nr_left == 0) {
		enum parse_result r;

		if (size == 0)
			return PARSE_MORE;
		if (bytes[0] != '*')
			return parse_line(parser, bytes, size);
		r = begin_array(parser, bytes, size);
		if (r != PARSE_COMMAND)
			return r;
	}
	return read_args(parser, bytes, size);
}
