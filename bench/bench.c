/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bench.c - options, one CPU, a clock, series of figures and their statistics.
 */
#include "config.h" /* _GNU_SOURCE for sched.h */

#include "bench.h"

#include <err.h>
#include <errno.h>
#include <ev.h>
#include <getopt.h>
#include <liburing.h>
#include <limits.h>
#include <math.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

enum { MAX_OPTIONS = 24, ROUNDS = 8, QUICK_ROUNDS = 2 };

/* Not given, and found out later. */
#define UNSET UINT_MAX

struct bench_common bench_common = { .cpu = UNSET, .rounds = UNSET };

/* clang-format off */
static const struct bench_option common_options[] = {
	{ "cpu", &bench_common.cpu, BENCH_NUMBER, "CPU to run on; the last one" },
	{ "rounds", &bench_common.rounds, BENCH_NUMBER, "taken in turns; 8, if quick 2" },
	{ "quick", &bench_common.quick, BENCH_SWITCH, "less of everything" },
	{ NULL, NULL, BENCH_NUMBER, NULL }
};
/* clang-format on */

static void print_default(const struct bench_option *option)
{
	if (option->kind == BENCH_NUMBER &&
	    *(const unsigned *)option->value != UNSET)
		printf(" (%u)", *(const unsigned *)option->value);
	if (option->kind == BENCH_TEXT && *(const char *const *)option->value)
		printf(" (%s)", *(const char *const *)option->value);
}

static void print_options(const struct bench_option *options)
{
	static const char *const words[] = {
		[BENCH_NUMBER] = "NUMBER",
		[BENCH_SWITCH] = "",
		[BENCH_TEXT] = "TEXT",
	};

	for (; options && options->name; options++) {
		printf("  --%-10s %-6s %s", options->name, words[options->kind],
		       options->help);
		print_default(options);
		putchar('\n');
	}
}

static void print_help(const char *about, const struct bench_option *options)
{
	printf("%s\n\nOptions:\n", about);
	print_options(options);
	print_options(common_options);
}

static unsigned read_number(const char *name, const char *text)
{
	unsigned long value;
	char *end;

	errno = 0;
	value = strtoul(text, &end, 10);
	if (errno || end == text || *end || *text == '-' || value >= UINT_MAX)
		errx(1, "--%s: not a number: %s", name, text);
	return value;
}

static void set_option(const struct bench_option *option, const char *text)
{
	if (option->kind == BENCH_NUMBER)
		*(unsigned *)option->value = read_number(option->name, text);
	else if (option->kind == BENCH_SWITCH)
		*(unsigned *)option->value = 1;
	else
		*(const char **)option->value = text;
}

/* Append options to the NULL-terminated list found, of which nr are in use. */
static unsigned add_options(const struct bench_option **found, unsigned nr,
			    const struct bench_option *options)
{
	for (; options && options->name && nr < MAX_OPTIONS; options++)
		found[nr++] = options;
	return nr;
}

static void read_options(int argc, char **argv, const char *about,
			 const struct bench_option *options)
{
	const struct bench_option *known[MAX_OPTIONS];
	struct option names[MAX_OPTIONS + 2] = { { "help", 0, NULL, 0 } };
	unsigned i, nr;
	int name_idx;
	int r;

	nr = add_options(known, 0, options);
	nr = add_options(known, nr, common_options);
	for (i = 0; i < nr; i++) {
		names[i + 1].name = known[i]->name;
		names[i + 1].has_arg = known[i]->kind != BENCH_SWITCH;
	}
	while ((r = getopt_long(argc, argv, "", names, &name_idx)) == 0) {
		if (name_idx == 0) {
			print_help(about, options);
			exit(0);
		}
		set_option(known[name_idx - 1], optarg);
	}
	if (r != -1 || optind != argc)
		errx(1, "see --help");
}

void bench_stay_on(unsigned cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	if (cpu < CPU_SETSIZE)
		CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		err(1, "CPU %u", cpu);
}

unsigned bench_other_cpu(void)
{
	return bench_common.cpu ? bench_common.cpu - 1 : 1;
}

static void choose_cpu(void)
{
	cpu_set_t set;
	unsigned cpu;

	if (sched_getaffinity(0, sizeof(set), &set))
		err(1, "sched_getaffinity");
	for (cpu = 0; bench_common.cpu == UNSET; cpu++) {
		if (CPU_ISSET(CPU_SETSIZE - 1 - cpu, &set))
			bench_common.cpu = CPU_SETSIZE - 1 - cpu;
	}
}

/* The model name of the first CPU, "unknown CPU" where there is none. */
static void read_cpu_model(char *ret_model, int model_size)
{
	char line[256];
	FILE *file;

	snprintf(ret_model, model_size, "unknown CPU");
	file = fopen("/proc/cpuinfo", "re");
	while (file && fgets(line, sizeof(line), file)) {
		if (strncmp(line, "model name", 10) || !strchr(line, ':'))
			continue;
		line[strcspn(line, "\n")] = '\0';
		snprintf(ret_model, model_size, "%s", strchr(line, ':') + 2);
		break;
	}
	if (file)
		fclose(file);
}

static void print_machine(void)
{
	struct utsname name;
	char model[128];

	if (uname(&name))
		err(1, "uname");
	read_cpu_model(model, sizeof(model));
	printf("%s %s, %s, CPU %u; libev %d.%d, liburing %d.%d\n", name.sysname,
	       name.release, model, bench_common.cpu, ev_version_major(),
	       ev_version_minor(), io_uring_major_version(),
	       io_uring_minor_version());
}

void bench_begin(int argc, char **argv, const char *about,
		 const struct bench_option *options)
{
	read_options(argc, argv, about, options);
	if (bench_common.rounds == UNSET)
		bench_common.rounds =
			bench_common.quick ? QUICK_ROUNDS : ROUNDS;
	if (!bench_common.rounds)
		errx(1, "--rounds: at least 1");
	setvbuf(stdout, NULL, _IOLBF, 0);
	choose_cpu();
	bench_stay_on(bench_common.cpu);
	printf("%s\n", about);
	print_machine();
}

static void on_deadline(int signal_nr)
{
	static const char text[] =
		"stuck: an event was lost, or a turn hangs\n";

	(void)signal_nr;
	(void)!write(STDERR_FILENO, text, sizeof(text) - 1);
	_exit(1);
}

void bench_deadline(unsigned seconds)
{
	if (signal(SIGALRM, on_deadline) == SIG_ERR)
		err(1, "signal");
	alarm(seconds);
}

uint64_t bench_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * UINT64_C(1000000000) + now.tv_nsec;
}

void bench_series_init(struct bench_series *series, unsigned nr_max)
{
	nr_max += !nr_max; /* calloc (0) may say NULL */
	series->value = calloc(nr_max, sizeof(double));
	series->sorted = calloc(nr_max, sizeof(double));
	if (!series->value || !series->sorted)
		err(1, "series");
	series->nr = 0;
	series->nr_max = nr_max;
}

void bench_series_exit(struct bench_series *series)
{
	free(series->value);
	free(series->sorted);
}

void bench_series_init_all(struct bench_series *series, unsigned nr,
			   unsigned nr_max)
{
	while (nr--)
		bench_series_init(series++, nr_max);
}

void bench_series_exit_all(struct bench_series *series, unsigned nr)
{
	while (nr--)
		bench_series_exit(series++);
}

void bench_series_add(struct bench_series *series, double value)
{
	if (series->nr == series->nr_max)
		errx(1, "series: full");
	series->value[series->nr++] = value;
}

static int compare_values(const void *left, const void *right)
{
	double a = *(const double *)left, b = *(const double *)right;

	return (a > b) - (a < b);
}

/* The value at this share of nr values, which are left sorted. */
static double sorted_at(double *value, unsigned nr, double share)
{
	if (!nr)
		errx(1, "series: empty");
	qsort(value, nr, sizeof(double), compare_values);
	return value[(unsigned)(share * (nr - 1) + 0.5)];
}

double bench_quantile(const struct bench_series *series, double share)
{
	memcpy(series->sorted, series->value, series->nr * sizeof(double));
	return sorted_at(series->sorted, series->nr, share);
}

double bench_min(const struct bench_series *series)
{
	return bench_quantile(series, 0);
}

double bench_quarter(const struct bench_series *series)
{
	return bench_quantile(series, 0.25);
}

double bench_median(const struct bench_series *series)
{
	return bench_quantile(series, 0.5);
}

double bench_paired_difference(const struct bench_series *series,
			       const struct bench_series *base)
{
	unsigned i, nr = series->nr < base->nr ? series->nr : base->nr;

	for (i = 0; i < nr; i++)
		series->sorted[i] = series->value[i] - base->value[i];
	return sorted_at(series->sorted, nr, 0.5);
}

double bench_paired_ratio_at(const struct bench_series *series,
			     const struct bench_series *base, double share)
{
	unsigned i, nr = series->nr < base->nr ? series->nr : base->nr;

	for (i = 0; i < nr; i++)
		series->sorted[i] = series->value[i] / base->value[i];
	return sorted_at(series->sorted, nr, share);
}

double bench_paired_ratio(const struct bench_series *series,
			  const struct bench_series *base)
{
	return bench_paired_ratio_at(series, base, 0.5);
}

void bench_print(int width, int nr_digits, double value)
{
	if (isnan(value))
		printf("%*s", width, "-");
	else
		printf("%*.*f", width, nr_digits, value);
}

const char *bench_verdict(bool met)
{
	return met ? "met" : "missed";
}
