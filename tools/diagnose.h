/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * diagnose.h - what the facts mean, and what to change.
 */
#ifndef EVR_TOOL_DIAGNOSE_H
#define EVR_TOOL_DIAGNOSE_H

#include "facts.h"

enum verdict {
	VERDICT_OK,
	VERDICT_NOTE,	 /* works, but not as well as it could */
	VERDICT_PROBLEM, /* keeps loops from a ring */
	VERDICT_UNKNOWN
};

struct finding {
	const char *topic;
	enum verdict verdict;
	char what[480];
	char change[480]; /* empty: nothing */
};

enum { MAX_FINDINGS = 8 };

/* Returns how many there are.  The same facts give the same findings. */
int diagnose(const struct facts *f, struct finding findings[MAX_FINDINGS]);

/* In a phrase: why a loop gets no higher tier.  Empty in the region tier. */
void diagnose_tier(const struct facts *f, char *why, size_t size);

const char *verdict_name(enum verdict verdict);

#endif
