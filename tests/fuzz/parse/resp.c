/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * parse/resp.c - commands of a client of examples/resp.
 *
 * The first byte says in what portions the rest comes; the commands must be the
 * same as of all of it at once, and their arguments lie within what came.
 */
#include "config.h"

#include "target.h"

#include "../../../examples/resp-parse.h"

const char fuzz_target[] = "resp";

static const struct parse_limits limits = {
	.bulk = 1000,
	.request = 5000,
	.args = 100,
};

/* What was parsed, as text to be compared. */
struct trace {
	uint64_t hash;
	unsigned nr;
	enum parse_result last;
};

static void note(struct trace *trace, const void *bytes, size_t size)
{
	const unsigned char *at = bytes;

	trace->hash = (trace->hash ^ size) * 0x100000001b3;
	while (size--)
		trace->hash = (trace->hash ^ *at++) * 0x100000001b3;
}

static void note_command(struct trace *trace, const struct parser *parser,
			 const char *bytes, size_t size)
{
	uint32_t i;

	fuzz_require(parser->at <= size);
	trace->nr++;
	for (i = 0; i < parser->nr_args; i++) {
		fuzz_require(parser->args[i].at <= parser->at);
		fuzz_require(parser->args[i].size <=
			     parser->at - parser->args[i].at);
		note(trace, bytes + parser->args[i].at, parser->args[i].size);
	}
}

/* As a client's connection does, each portion in memory of its own. */
static struct trace parse(const uint8_t *data, size_t size, size_t portion)
{
	struct trace trace = { .last = PARSE_MORE };
	struct parser parser;
	size_t begin = 0, have = 0;
	char *bytes;

	parser_init(&parser, &limits);
	bytes = fuzz_string(data, size);
	do {
		have = size - have > portion ? have + portion : size;
		do {
			trace.last = parser_parse(&parser, bytes + begin,
						  have - begin);
			if (trace.last == PARSE_COMMAND)
				note_command(&trace, &parser, bytes + begin,
					     have - begin);
			if (trace.last == PARSE_COMMAND ||
			    trace.last == PARSE_EMPTY) {
				begin += parser.at;
				parser_next(&parser);
			}
		} while (trace.last != PARSE_MORE && trace.last != PARSE_ERROR);
	} while (have < size && trace.last != PARSE_ERROR);
	if (trace.last == PARSE_ERROR)
		note(&trace, parser.error, strlen(parser.error));
	free(bytes);
	parser_exit(&parser);
	return trace;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct trace whole, split;

	if (!size)
		return 0;
	whole = parse(data + 1, size - 1, size);
	split = parse(data + 1, size - 1, data[0] % 32 + 1u);
	fuzz_require(whole.last == split.last && whole.nr == split.nr &&
		     whole.hash == split.hash);
	return 0;
}
