/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bench.h - what all benchmarks share: options, one CPU, a clock, series of
 * figures and their statistics.
 *
 * How the programs of this folder measure:
 *
 * a) They run on one CPU, so that the scheduler moves nothing.
 * b) What is compared takes turns: A, B, A, B, ...  A slow minute of the
 *    machine then falls on both, and A and B of one round can be paired.
 * c) They print the minimum (the machine undisturbed) and the median (the
 *    machine as it is), and the ratio before the figures: the figures are this
 *    machine's, the ratio may be another's too.
 * d) Nothing is allocated while the clock runs: a series has all its room from
 *    the start.
 *
 * Any failure ends the program with a message and exit code 1.
 */
#ifndef BENCH_H
#define BENCH_H

#include <stdbool.h>
#include <stdint.h>

/* What stands after --name, and what value points to. */
enum bench_kind {
	BENCH_NUMBER, /* an unsigned, which holds the default */
	BENCH_SWITCH, /* nothing stands there; an unsigned, which becomes 1 */
	BENCH_TEXT    /* a const char *, which holds the default or NULL */
};

struct bench_option {
	const char *name;
	void *value;
	enum bench_kind kind;
	const char *help;
};

/* What every program understands, set by bench_begin(). */
struct bench_common {
	unsigned cpu;	 /* --cpu: the CPU to stay on */
	unsigned rounds; /* --rounds */
	unsigned quick;	 /* --quick: less of everything */
};

extern struct bench_common bench_common;

/*
 * Read the command line, move to one CPU and print what is measured where.
 * options ends with a name of NULL and may itself be NULL.
 */
void bench_begin(int argc, char **argv, const char *about,
		 const struct bench_option *options);

/* The calling thread runs on this CPU alone from now on. */
void bench_stay_on(unsigned cpu);

/* One that bench_common.cpu is not. */
unsigned bench_other_cpu(void);

/*
 * End the program with a message unless this is called again within so many
 * seconds: a loop that lost an event, or never returns, must not hang for ever.
 * 0 is never.
 */
void bench_deadline(unsigned seconds);

/* Now, in nanoseconds of CLOCK_MONOTONIC. */
uint64_t bench_ns(void);

/* Figures of one kind, in the order in which they were measured. */
struct bench_series {
	double *value;
	double *sorted; /* room for statistics; meaningless between calls */
	unsigned nr;
	unsigned nr_max;
};

void bench_series_init(struct bench_series *series, unsigned nr_max);
void bench_series_exit(struct bench_series *series);

/* The same for each of so many. */
void bench_series_init_all(struct bench_series *series, unsigned nr,
			   unsigned nr_max);
void bench_series_exit_all(struct bench_series *series, unsigned nr);

void bench_series_add(struct bench_series *series, double value);

/* The value which this share of the others, 0 to 1, does not exceed. */
double bench_quantile(const struct bench_series *series, double share);
double bench_min(const struct bench_series *series);
double bench_median(const struct bench_series *series);

/*
 * The value a quarter of the others do not exceed: still of the undisturbed
 * machine, and steadier than the minimum.
 */
double bench_quarter(const struct bench_series *series);

/* The median of series[i] - base[i], of what was measured in one round. */
double bench_paired_difference(const struct bench_series *series,
			       const struct bench_series *base);

/* The median of series[i] / base[i]; what a share of them does not exceed. */
double bench_paired_ratio(const struct bench_series *series,
			  const struct bench_series *base);
double bench_paired_ratio_at(const struct bench_series *series,
			     const struct bench_series *base, double share);

/* As "%*.*f"; "-" for what is not a number. */
void bench_print(int width, int nr_digits, double value);

/* "met" or "missed". */
const char *bench_verdict(bool met);

#endif
