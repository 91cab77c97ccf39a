/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * parse/http.c - requests to examples/http: the head, the target, conditions,
 * ranges and dates.
 *
 * The first byte says in what portions the rest comes; what becomes of the
 * requests must be the same as of all of it at once.  Of one that is wrong in
 * two ways either may be said, because the parser tells of a piece of a name
 * when the data ends, but not when what follows is wrong.
 */
#include "config.h"

#include "target.h"

#include "../../../examples/http-condition.h"
#include "../../../examples/http-date.h"
#include "../../../examples/http-path.h"

const char fuzz_target[] = "http";

enum { TEXT_SIZE = 1024, MAX_REQUESTS = 16 };

struct outcome {
	unsigned nr;
	int status[MAX_REQUESTS];
	bool keep_alive[MAX_REQUESTS];
	size_t used;
};

/* A relative path, and none that leads out of its folder. */
static void check_path(const char *path)
{
	const char *at, *end;

	fuzz_require(strlen(path) < HTTP_PATH_SIZE);
	fuzz_require(path[0] != '/');
	for (at = path; *at; at = *end ? end + 1 : end) {
		end = at + strcspn(at, "/");
		fuzz_require(end - at != 2 || memcmp(at, "..", 2));
	}
}

static void check_target(const char *target)
{
	char path[HTTP_PATH_SIZE], encoded[64];
	struct text text = { encoded, encoded + sizeof(encoded), false };

	if (http_path_decode(target, strlen(target), "index.html", path))
		return;
	check_path(path);
	http_path_encode(&text, path);
	fuzz_require(text.at <= text.end);
}

static void check_conditions(const struct request *request)
{
	static const uint64_t sizes[] = { 0, 1, 1000, UINT64_MAX };
	static struct file file = { .mtime = 784111777, .etag = "\"abc-1\"" };
	struct range range;
	size_t i;
	int status;

	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		file.size = sizes[i];
		status = http_conditions(request, &file);
		fuzz_require(status == 200 || status == 304 || status == 412);
		status = http_range(request, &file, &range);
		fuzz_require(status == 200 || status == 206 || status == 416);
		fuzz_require(status != 206 ||
			     (range.size > 0 && range.first < file.size &&
			      range.size <= file.size - range.first));
	}
}

static void check_request(const struct request *request, const char *text)
{
	const char *end = text + TEXT_SIZE;
	int i;

	for (i = 0; i < NR_HEADERS; i++)
		fuzz_require(!request->headers[i] ||
			     memchr(request->headers[i], 0,
				    (size_t)(end - request->headers[i])));
	if (request->status)
		return;
	fuzz_require(request->target);
	check_target(request->target);
	check_conditions(request);
}

/* Portions in memory of their own, as they come from a group of buffers. */
static size_t feed(struct request *request, const uint8_t *data, size_t size)
{
	char *copy = malloc(size ? size : 1);
	size_t used;

	fuzz_require(copy);
	memcpy(copy, data, size);
	used = request_parse(request, copy, size);
	free(copy);
	fuzz_require(used <= size);
	fuzz_require(used == size || request->is_complete);
	return used;
}

/* Until what is kept of a connection is over. */
static void serve(const uint8_t *data, size_t size, size_t portion,
		  struct outcome *outcome)
{
	bool goes_on = true;
	struct request request;
	char *text = malloc(TEXT_SIZE);
	size_t nr;

	memset(outcome, 0, sizeof(*outcome));
	fuzz_require(text);
	while (goes_on && outcome->nr < MAX_REQUESTS && outcome->used < size) {
		request_begin(&request, text, TEXT_SIZE);
		while (outcome->used < size && !request.is_complete) {
			nr = size - outcome->used;
			outcome->used += feed(&request, data + outcome->used,
					      nr < portion ? nr : portion);
		}
		goes_on = request.is_complete && request.keep_alive;
		if (!request.is_complete)
			break;
		check_request(&request, text);
		outcome->status[outcome->nr] = request.status;
		outcome->keep_alive[outcome->nr++] = request.keep_alive;
	}
	free(text);
}

static void check_date(const uint8_t *data, size_t size)
{
	char *text = fuzz_string(data, size), again[HTTP_DATE_SIZE];
	time_t time, same;

	if (http_date_parse(text, &time) && time >= 0) {
		http_date_format(time, again);
		fuzz_require(http_date_parse(again, &same) && same == time);
	}
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct outcome whole, split;
	unsigned i;

	if (!size)
		return 0;
	check_date(data + 1, size - 1);
	serve(data + 1, size - 1, size, &whole);
	serve(data + 1, size - 1, data[0] % 32 + 1u, &split);
	fuzz_require(whole.nr == split.nr);
	for (i = 0; i < whole.nr; i++)
		fuzz_require(!whole.status[i] == !split.status[i] &&
			     whole.keep_alive[i] == split.keep_alive[i]);
	return 0;
}
