/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * resp-parse.c - commands out of bytes, however these come.
 */
#include "config.h"

#include "harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../examples/resp-parse.h"

#define NR_OF(array) ((int)(sizeof(array) / sizeof((array)[0])))

static const struct parse_limits limits = {
	.bulk = 1000,
	.request = 5000,
	.args = 100,
};

static struct parser parser;

static void setup(void)
{
	parser_init(&parser, &limits);
}

static void teardown(void)
{
	parser_exit(&parser);
}

/* The arguments as "[a][b]". */
static const char *args_text(const char *bytes)
{
	static char text[4096];
	size_t size = 0;

	for (uint32_t i = 0; i < parser.nr_args; i++)
		size += (size_t)snprintf(text + size, sizeof(text) - size,
					 "[%.*s]", (int)parser.args[i].size,
					 bytes + parser.args[i].at);
	text[size] = '\0';
	return text;
}

/*
 * Parse bytes as they come: first at once, then the rest byte by byte, each
 * time in memory of just that size, elsewhere.
 */
static enum parse_result parse_split(const char *bytes, size_t size,
				     size_t at_once, char **ret_memory)
{
	enum parse_result r = PARSE_MORE;
	char *memory = NULL;
	size_t had = 0;

	for (size_t have = at_once; have <= size && r == PARSE_MORE; have++) {
		char *more = malloc(have + 1);

		if (had > 0)
			memcpy(more, memory, had);
		memcpy(more + had, bytes + had, have - had);
		free(memory);
		memory = realloc(more, have ? have : 1);
		had = have;
		r = parser_parse(&parser, memory, have);
	}
	*ret_memory = memory;
	return r;
}

/* clang-format off */
static const struct good_row {
	const char *bytes, *args;
} good_rows[] = {
	{ "*1\r\n$4\r\nPING\r\n", "[PING]" },
	{ "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n", "[GET][k]" },
	{ "*2\r\n$3\r\nGET\r\n$0\r\n\r\n", "[GET][]" },
	{ "*2\r\n$4\r\nECHO\r\n$4\r\n\r\n\r\n\r\n", "[ECHO][\r\n\r\n]" },
	{ "*10\r\n$1\r\n0\r\n$1\r\n1\r\n$1\r\n2\r\n$1\r\n3\r\n$1\r\n4\r\n"
	  "$1\r\n5\r\n$1\r\n6\r\n$1\r\n7\r\n$1\r\n8\r\n$1\r\n9\r\n",
	  "[0][1][2][3][4][5][6][7][8][9]" },
	{ "PING\r\n", "[PING]" },
	{ "PING\n", "[PING]" },
	{ "  set  a\tb \r\n", "[set][a][b]" },
	{ "set a \"b c\"\r\n", "[set][a][b c]" },
	{ "set a \"\\x41\\n\\\"\\q\"\r\n", "[set][a][A\n\"q]" },
	{ "set a 'b \\' \\n'\r\n", "[set][a][b ' \\n]" },
	{ "set a \"\"\r\n", "[set][a][]" },
	{ "set a x\"y z\"\r\n", "[set][a][xy z]" },
	{ "$3\r\n", "[$3]" },
};

static const struct bad_row {
	const char *bytes, *error;
} bad_rows[] = {
	{ "*x\r\n", "invalid multibulk length" },
	{ "*1 \r\n", "invalid multibulk length" },
	{ "*+1\r\n", "invalid multibulk length" },
	{ "*01\r\n", "invalid multibulk length" },
	{ "*\r\n", "invalid multibulk length" },
	{ "*-\r\n", "invalid multibulk length" },
	{ "*1\n", "invalid multibulk length" },
	{ "*1\r\r\n", "invalid multibulk length" },
	{ "*101\r\n", "invalid multibulk length" },
	{ "*18446744073709551617\r\n", "invalid multibulk length" },
	{ "*9999999999999999999999999999999\r\n", "too big mbulk count string" },
	{ "*1\r\n:1\r\n", "expected '$', got ':'" },
	{ "*1\r\n\1", "expected '$', got '?'" },
	{ "*1\r\n$-1\r\n", "invalid bulk length" },
	{ "*1\r\n$1001\r\n", "invalid bulk length" },
	{ "*1\r\n$4294967297\r\n", "invalid bulk length" },
	{ "*1\r\n$-9223372036854775808\r\n", "invalid bulk length" },
	{ "*1\r\n$1x\r\n", "invalid bulk length" },
	{ "*1\r\n$9999999999999999999999999999999\r\n",
	  "too big bulk count string" },
	{ "*1\r\n$1\r\nab\r\n", "expected CR LF after an argument" },
	{ "*1\r\n$1\r\na\n\n", "expected CR LF after an argument" },
	{ "*1\r\n$1\r\na\r\r", "expected CR LF after an argument" },
	{ "set a \"b\r\n", "unbalanced quotes in request" },
	{ "set a 'b\r\n", "unbalanced quotes in request" },
	{ "set a \"b\"c\r\n", "unbalanced quotes in request" },
	{ "set a \"b\\\r\n", "unbalanced quotes in request" },
};

static const char *const empty_rows[] = {
	"\r\n", "\n", "  \r\n", "*0\r\n", "*-1\r\n", "*-5\r\n",
};
/* clang-format on */

/* At every boundary: the same arguments, and not before the last byte. */
START_TEST(good_commands_are_read)
{
	const struct good_row *row = &good_rows[_i];
	size_t size = strlen(row->bytes);

	for (size_t at_once = 0; at_once <= size; at_once++) {
		char *memory;

		ck_assert_int_eq(
			parse_split(row->bytes, size, at_once, &memory),
			PARSE_COMMAND);
		ck_assert_str_eq(args_text(memory), row->args);
		ck_assert_uint_eq(parser.at, size);
		parser_next(&parser);
		free(memory);
	}
}
END_TEST

START_TEST(bad_ones_are_refused)
{
	const struct bad_row *row = &bad_rows[_i];
	size_t size = strlen(row->bytes);

	for (size_t at_once = 0; at_once <= size; at_once++) {
		char *memory;

		ck_assert_int_eq(
			parse_split(row->bytes, size, at_once, &memory),
			PARSE_ERROR);
		ck_assert_str_eq(parser.error, row->error);
		parser_next(&parser);
		free(memory);
	}
}
END_TEST

START_TEST(empty_ones_are_nothing)
{
	char bytes[16];
	size_t size = strlen(empty_rows[_i]);

	memcpy(bytes, empty_rows[_i], size);
	ck_assert_int_eq(parser_parse(&parser, bytes, size), PARSE_EMPTY);
	ck_assert_uint_eq(parser.at, size);
	ck_assert_uint_eq(parser.nr_args, 0);
}
END_TEST

START_TEST(what_follows_is_left)
{
	char bytes[] = "*1\r\n$1\r\na\r\n*1\r\n$1\r\nb\r\nc\r\nd";
	size_t size = sizeof(bytes) - 1, at = 0;
	static const char *const wanted[] = { "[a]", "[b]", "[c]" };

	for (int i = 0; i < NR_OF(wanted); i++) {
		ck_assert_int_eq(parser_parse(&parser, bytes + at, size - at),
				 PARSE_COMMAND);
		ck_assert_str_eq(args_text(bytes + at), wanted[i]);
		at += parser.at;
		parser_next(&parser);
	}
	ck_assert_int_eq(parser_parse(&parser, bytes + at, size - at),
			 PARSE_MORE);
}
END_TEST

/* 6 arguments of 1000 bytes are more than a request may have. */
START_TEST(a_large_request_is_refused_when_announced)
{
	static char bytes[8192];
	size_t size = 4;
	enum parse_result r = PARSE_MORE;

	memcpy(bytes, "*9\r\n", 4);
	while (r == PARSE_MORE && size < 7000) {
		memcpy(bytes + size, "$1000\r\n", 7);
		size += 7;
		r = parser_parse(&parser, bytes, size);
		memset(bytes + size, 'x', 1000);
		memcpy(bytes + size + 1000, "\r\n", 2);
		size += 1002;
	}
	ck_assert_int_eq(r, PARSE_ERROR);
	ck_assert_str_eq(parser.error, "the request is too large");
	ck_assert_uint_lt(size, 6500);
}
END_TEST

START_TEST(a_line_without_end_is_refused)
{
	size_t size = 0, room = 70000;
	char *bytes = malloc(room);
	enum parse_result r = PARSE_MORE;

	memset(bytes, 'x', room);
	while (r == PARSE_MORE && size < room) {
		size += 1000;
		r = parser_parse(&parser, bytes, size);
	}
	ck_assert_int_eq(r, PARSE_ERROR);
	ck_assert_str_eq(parser.error, "too big inline request");
	ck_assert_uint_le(size, 67000);
	free(bytes);
}
END_TEST

START_TEST(many_words_of_a_line_are_refused)
{
	char bytes[512];

	for (int i = 0; i < 101; i++)
		memcpy(bytes + 2 * i, "x ", 2);
	memcpy(bytes + 202, "\r\n", 2);
	ck_assert_int_eq(parser_parse(&parser, bytes, 204), PARSE_ERROR);
	ck_assert_str_eq(parser.error, "too many arguments");
}
END_TEST

START_TEST(nothing_is_allocated_for_what_is_announced)
{
	struct parse_limits large = { 1 << 30, 1u << 31, 1 << 20 };
	char bytes[] = "*1000000\r\n$500000000\r\n";

	parser_init(&parser, &large);
	ck_assert_int_eq(parser_parse(&parser, bytes, sizeof(bytes) - 1),
			 PARSE_MORE);
	ck_assert_uint_eq(parser_memory(&parser), 0);
	ck_assert_uint_eq(parser_wants(&parser),
			  sizeof(bytes) - 1 + 500000000 + 2);
}
END_TEST

/* Random bytes of the kind that a command has, in memory of just that size:
   for the sanitizers. */
START_TEST(noise_is_survived)
{
	static const char letters[] = "*$0123456789\r\n\r\n-ab\"'\\x ";
	unsigned nr_commands = 0, nr_errors = 0;

	srand(7);
	for (int i = 0; i < 200000; i++) {
		size_t size = (size_t)rand() % 24;
		char *bytes = malloc(size ? size : 1);
		enum parse_result r;

		for (size_t k = 0; k < size; k++)
			bytes[k] =
				letters[(size_t)rand() % (sizeof(letters) - 1)];
		r = parser_parse(&parser, bytes, size);
		ck_assert_uint_le(parser.at, size);
		nr_commands += r == PARSE_COMMAND;
		nr_errors += r == PARSE_ERROR;
		for (uint32_t a = 0; r == PARSE_COMMAND && a < parser.nr_args;
		     a++)
			ck_assert_uint_le(parser.args[a].at +
						  parser.args[a].size,
					  parser.at);
		parser_next(&parser);
		free(bytes);
	}
	ck_assert_uint_gt(nr_commands, 1000);
	ck_assert_uint_gt(nr_errors, 1000);
}
END_TEST

Suite *make_suite(void)
{
	Suite *suite = suite_create("resp-parse");
	TCase *tcase = tcase_create("parse");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_loop_test(tcase, good_commands_are_read, 0, NR_OF(good_rows));
	tcase_add_loop_test(tcase, bad_ones_are_refused, 0, NR_OF(bad_rows));
	tcase_add_loop_test(tcase, empty_ones_are_nothing, 0,
			    NR_OF(empty_rows));
	tcase_add_test(tcase, what_follows_is_left);
	tcase_add_test(tcase, a_large_request_is_refused_when_announced);
	tcase_add_test(tcase, a_line_without_end_is_refused);
	tcase_add_test(tcase, many_words_of_a_line_are_refused);
	tcase_add_test(tcase, nothing_is_allocated_for_what_is_announced);
	tcase_add_test(tcase, noise_is_survived);
	suite_add_tcase(suite, tcase);
	return suite;
}
