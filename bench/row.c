/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * row.c - write a figure as a line of JSON.
 */
#include "row.h"

#include <err.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static void write_text(FILE *file, const char *name, const char *text)
{
	fprintf(file, "\"%s\": \"", name);
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			putc('\\', file);
		putc(*text, file);
	}
	fprintf(file, "\", ");
}

/* JSON has no infinity, and nothing that is not a number. */
static void write_number(FILE *file, const char *name, double value)
{
	if (isfinite(value))
		fprintf(file, "\"%s\": %.6g, ", name, value);
	else
		fprintf(file, "\"%s\": null, ", name);
}

static void write_names(FILE *file, const struct bench_row *row)
{
	static const char *const roles[] = {
		[BENCH_OTHER] = "other",
		[BENCH_BASE] = "base",
		[BENCH_AGAIN] = "again",
		[BENCH_OURS] = "evring",
	};

	write_text(file, "bench", row->bench);
	write_text(file, "cell", row->cell);
	write_text(file, "side", row->side);
	write_text(file, "figure", row->figure);
	write_text(file, "unit", row->unit);
	write_text(file, "role", roles[row->role]);
	if (row->backend)
		write_text(file, "backend", row->backend);
	if (row->tier && row->tier[0] != '-')
		write_text(file, "tier", row->tier);
}

static void write_ratios(FILE *file, const struct bench_row *row)
{
	const struct bench_series *series = row->series, *base = row->base;

	if (!base || !base->nr)
		return;
	write_text(file, "base", row->base_side);
	write_number(file, "ratio_of_minima",
		     bench_min(series) / bench_min(base));
	write_number(file, "ratio_of_q1",
		     bench_quarter(series) / bench_quarter(base));
	write_number(file, "ratio_of_medians",
		     bench_median(series) / bench_median(base));
	if (row->is_apart)
		return;
	write_number(file, "ratio", bench_paired_ratio(series, base));
	write_number(file, "ratio_q1",
		     bench_paired_ratio_at(series, base, 0.25));
	write_number(file, "ratio_q3",
		     bench_paired_ratio_at(series, base, 0.75));
}

static void write_statistics(FILE *file, const struct bench_series *series)
{
	static const struct {
		const char *name;
		double share;
	} quantiles[] = {
		{ "min", 0 },	{ "q1", 0.25 },	 { "median", 0.5 },
		{ "q3", 0.75 }, { "p99", 0.99 }, { "max", 1 },
	};
	size_t i;

	for (i = 0; i < sizeof(quantiles) / sizeof(quantiles[0]); i++)
		write_number(file, quantiles[i].name,
			     bench_quantile(series, quantiles[i].share));
}

void bench_row(const struct bench_row *row)
{
	const char *path = getenv("BENCH_ROWS");
	FILE *file;
	int i;

	if (!path || !row->series->nr)
		return;
	file = fopen(path, "ae");
	if (!file)
		err(1, "%s", path);
	putc('{', file);
	write_names(file, row);
	write_ratios(file, row);
	write_statistics(file, row->series);
	for (i = 0; i < BENCH_MAX_FACTS && row->facts[i].name; i++)
		write_number(file, row->facts[i].name, row->facts[i].value);
	fprintf(file, "\"values\": %u, \"rounds\": %u}\n", row->series->nr,
		bench_common.rounds);
	if (fclose(file))
		err(1, "%s", path);
}

void bench_rows(struct bench_row *row, const struct bench_figure *kinds,
		const struct bench_series *series,
		const struct bench_series *base, unsigned nr)
{
	unsigned i;

	for (i = 0; i < nr; i++) {
		row->figure = kinds[i].name;
		row->unit = kinds[i].unit;
		row->series = &series[i];
		row->base = &base[i];
		bench_row(row);
	}
}
