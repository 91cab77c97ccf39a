/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * row.h - figures for programs to read: one line of JSON each, beside the table
 * that is printed.
 *
 * Rows are appended to the file that the environment variable BENCH_ROWS names,
 * and made of nothing without it.  bench/compare collects them, and
 * bench/results.py is who reads them; scripts write theirs by bench/row.py.
 * Less is better in every row: a rate is turned round before.
 */
#ifndef ROW_H
#define ROW_H

#include "bench.h"

enum bench_role {
	BENCH_OTHER, /* shown beside the others */
	BENCH_BASE,  /* what the others of its cell are compared with */
	BENCH_AGAIN, /* the base once more: its ratio is chance */
	BENCH_OURS   /* evring: not ahead where its ratio is above 1 */
};

/* What else is known, as a number. */
struct bench_fact {
	const char *name; /* NULL: none */
	double value;
};

enum { BENCH_MAX_FACTS = 3 };

struct bench_row {
	const char *bench;  /* the program */
	const char *cell;   /* what is done there, "" if always the same */
	const char *side;   /* who does it */
	const char *figure; /* what is measured */
	const char *unit;
	enum bench_role role;

	const struct bench_series *series; /* no row if it is empty */
	const struct bench_series *base;   /* NULL: no ratio */
	const char *base_side;
	bool is_apart; /* not in turns with base: no ratio of pairs */

	const char *backend; /* as ev_backend() says; NULL: not known */
	const char *tier;    /* of evring; NULL: not known, or none */
	struct bench_fact facts[BENCH_MAX_FACTS];
};

void bench_row(const struct bench_row *row);

/* What a series is of. */
struct bench_figure {
	const char *name, *unit;
};

/* A row for each of so many series and bases, and of these kinds; *row has the
   rest. */
void bench_rows(struct bench_row *row, const struct bench_figure *kinds,
		const struct bench_series *series,
		const struct bench_series *base, unsigned nr);

#endif
