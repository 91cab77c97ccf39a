/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * say.h - what the preloaded library says on standard error.
 */
#ifndef EVR_SAY_H
#define EVR_SAY_H

#include <stddef.h>
#include <stdint.h>

/* Remember what standard error is.  Nothing is said before. */
void evr_say_init(void);

/* A line: "evring: PROGRAM[PID]: ...". */
__attribute__((format(printf, 1, 2))) void evr_say(const char *format, ...);

/*
 * Text made in pieces, also in a signal handler, on what may be a small stack
 * of its own.  What does not fit is left out, and what is longer than a name.
 */
struct evr_text {
	size_t size;
	char bytes[1024];
};

void evr_text_add(struct evr_text *text, const char *string);
void evr_text_add_number(struct evr_text *text, uint64_t number, unsigned base);
void evr_text_say(struct evr_text *text); /* and empty it */

#endif
