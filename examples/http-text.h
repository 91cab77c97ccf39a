/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * http-text.h - text that is put together in a given place.
 *
 * What finds no room is left out, and is_cut says so: nothing is ever written
 * behind the end.
 */
#ifndef HTTP_TEXT_H
#define HTTP_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct text {
	char *at, *end;
	bool is_cut;
};

static inline void text_add(struct text *text, const char *bytes, size_t size)
{
	if (size > (size_t)(text->end - text->at)) {
		text->is_cut = true;
		return;
	}
	memcpy(text->at, bytes, size);
	text->at += size;
}

static inline void text_string(struct text *text, const char *string)
{
	text_add(text, string, strlen(string));
}

static inline void text_number(struct text *text, uint64_t number)
{
	char digits[20], *at = digits + sizeof(digits);

	do
		*--at = (char)('0' + number % 10);
	while (number /= 10);
	text_add(text, at, (size_t)(digits + sizeof(digits) - at));
}

static inline void text_hex(struct text *text, uint64_t number)
{
	char digits[16], *at = digits + sizeof(digits);

	do
		*--at = "0123456789abcdef"[number & 15];
	while (number >>= 4);
	text_add(text, at, (size_t)(digits + sizeof(digits) - at));
}

#endif
