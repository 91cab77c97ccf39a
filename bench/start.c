/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * start.c - what it costs to make a loop, and to have one: time and memory of
 * loops and of watched descriptors.
 *
 * Each side has a process of its own in each round, in turns, which is this
 * program anew (--side): the first loop of a process is then really the first,
 * with all that is found out about the kernel once.
 *
 *   first loop       made, with one watcher, and turned once
 *   a further loop   the same, the mean of NR_LOOPS
 *   a watcher        started, and changed in the kernel by the next turn, the
 *                    mean of NR_FDS
 *
 * Memory is the anonymous memory of the process and the size of what it has
 * mapped of its rings.  What the kernel keeps and does not map is in neither:
 * epoll's own part of a watched descriptor, a ring's own part of a request.
 */
#include "config.h"

#include "side.h"

#include <err.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { NR_LOOPS = 32, NR_FDS = 1000, SPARE_FDS = 256, STUCK_SECONDS = 20 };

enum figure_idx {
	FIRST,
	FURTHER,
	WATCHER,
	LOOP_MEMORY,
	WATCHER_MEMORY,
	NR_FIGURES
};

static const struct bench_figure kinds[NR_FIGURES] = {
	[FIRST] = { "first loop", "us" },
	[FURTHER] = { "a further loop", "us" },
	[WATCHER] = { "a watcher", "ns" },
	[LOOP_MEMORY] = { "memory of a loop", "KiB" },
	[WATCHER_MEMORY] = { "memory of a watcher", "bytes" },
};

struct result {
	struct bench_series series[NR_FIGURES];
	struct side_facts facts;
};

static unsigned only_side = UINT_MAX;

/* clang-format off */
static const struct bench_option options[] = {
	{ "backends", &side_has_extra, BENCH_SWITCH, "libev's others, too" },
	{ "side", &only_side, BENCH_NUMBER, "this alone, by its number, and bare figures" },
	{ NULL, NULL, BENCH_NUMBER, NULL }
};
/* clang-format on */

/*
 * a process of one side
 */

static ev_io watchers[NR_FDS];

/* The sum, in bytes, of mappings of rings. */
static double ring_bytes(void)
{
	unsigned long from, to;
	double sum = 0;
	char line[512];
	FILE *file = fopen("/proc/self/maps", "re");

	while (file && fgets(line, sizeof(line), file)) {
		if (strstr(line, "[io_uring]") &&
		    sscanf(line, "%lx-%lx", &from, &to) == 2)
			sum += (double)(to - from);
	}
	if (file)
		fclose(file);
	return sum;
}

static double anonymous_bytes(void)
{
	unsigned long kib;
	char line[256];
	FILE *file = fopen("/proc/self/smaps_rollup", "re");

	while (file && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "Anonymous: %lu", &kib) == 1) {
			fclose(file);
			return kib * 1024.0;
		}
	}
	errx(1, "/proc/self/smaps_rollup: no anonymous memory");
}

static double memory(void)
{
	return anonymous_bytes() + ring_bytes();
}

static void on_event(struct ev_loop *loop, ev_io *io, int revents)
{
	(void)loop;
	errx(1, "fd %d is not quiet: %d", io->fd, revents);
}

static void open_fds(void)
{
	struct rlimit limit;
	unsigned i;
	int fd;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		err(1, "getrlimit");
	limit.rlim_cur = limit.rlim_max;
	if (limit.rlim_max < NR_FDS + SPARE_FDS)
		errx(1, "RLIMIT_NOFILE is too low");
	if (setrlimit(RLIMIT_NOFILE, &limit))
		err(1, "setrlimit");
	for (i = 0; i < NR_FDS; i++) {
		fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		if (fd < 0)
			err(1, "eventfd");
		ev_io_init(&watchers[i], on_event, fd, EV_READ);
	}
}

static struct ev_loop *make_loop(enum side_idx idx, ev_io *io)
{
	struct ev_loop *loop = side_loop_new(idx);

	ev_io_start(loop, io);
	ev_run(loop, EVRUN_NOWAIT);
	return loop;
}

/* Some that stay: memory that is given back would be used again. */
static void measure_loops(enum side_idx idx, double figures[NR_FIGURES])
{
	static ev_io ios[NR_LOOPS];
	double before = memory();
	uint64_t start = bench_ns();
	unsigned i;

	for (i = 0; i < NR_LOOPS; i++) {
		ev_io_init(&ios[i], on_event, watchers[0].fd, EV_READ);
		make_loop(idx, &ios[i]);
	}
	figures[FURTHER] = (double)(bench_ns() - start) / NR_LOOPS / 1e3;
	figures[LOOP_MEMORY] = (memory() - before) / NR_LOOPS / 1024;
}

static void measure_watchers(struct ev_loop *loop, double figures[NR_FIGURES])
{
	double before = memory();
	uint64_t start = bench_ns();
	unsigned i;

	for (i = 1; i < NR_FDS; i++)
		ev_io_start(loop, &watchers[i]);
	ev_run(loop, EVRUN_NOWAIT);
	figures[WATCHER] = (double)(bench_ns() - start) / (NR_FDS - 1);
	figures[WATCHER_MEMORY] = (memory() - before) / (NR_FDS - 1);
}

/* The loops go with the process, which ends here. */
static void be_side(enum side_idx idx)
{
	double figures[NR_FIGURES];
	struct ev_loop *loop;
	uint64_t start;
	unsigned i;

	bench_deadline(STUCK_SECONDS);
	open_fds();
	start = bench_ns();
	loop = make_loop(idx, &watchers[0]);
	figures[FIRST] = (double)(bench_ns() - start) / 1e3;
	measure_loops(idx, figures);
	measure_watchers(loop, figures);
	printf("figures");
	for (i = 0; i < NR_FIGURES; i++)
		printf(" %.3f", figures[i]);
	printf("\n");
	fflush(stdout);
	_exit(0);
}

/*
 * all sides in turns
 */

static void exec_side(enum side_idx idx, int out)
{
	char side[16], cpu[16];

	snprintf(side, sizeof(side), "%d", idx);
	snprintf(cpu, sizeof(cpu), "%u", bench_common.cpu);
	dup2(out, STDOUT_FILENO);
	execl("/proc/self/exe", "start", "--side", side, "--cpu", cpu, NULL);
	err(1, "/proc/self/exe");
}

/* What the process printed last. */
static bool read_figures(FILE *file, struct result *result)
{
	static const char word[] = "figures";
	char line[256];
	const char *at;
	double value;
	int i, size;

	do {
		at = fgets(line, sizeof(line), file);
		if (!at)
			return false;
	} while (strncmp(line, word, strlen(word)) != 0);
	at += strlen(word);
	for (i = 0; i < NR_FIGURES; i++, at += size) {
		if (sscanf(at, " %lf%n", &value, &size) != 1)
			return false;
		bench_series_add(&result->series[i], value);
	}
	return true;
}

static void run_side(enum side_idx idx, struct result *result)
{
	int fds[2], status;
	bool is_read;
	FILE *file;
	pid_t pid;

	fflush(stdout);
	if (pipe(fds) || (pid = fork()) < 0)
		err(1, "process");
	if (!pid)
		exec_side(idx, fds[1]);
	close(fds[1]);
	file = fdopen(fds[0], "r");
	is_read = file && read_figures(file, result);
	if (waitpid(pid, &status, 0) != pid || status || !is_read)
		errx(1, "%s: failed", sides[idx].name);
	fclose(file);
}

static void result_init(struct result *result, enum side_idx idx)
{
	struct ev_loop *loop = side_loop_new(idx);

	side_facts(loop, &result->facts);
	ev_loop_destroy(loop);
	bench_series_init_all(result->series, NR_FIGURES, bench_common.rounds);
}

static void print_side(enum side_idx idx, const struct result *result,
		       const struct result *base)
{
	struct bench_row row = { .bench = "start", .cell = "" };
	int i;

	for (i = 0; i < NR_FIGURES; i++)
		printf(" %6.2f", bench_median(&result->series[i]) /
					 bench_median(&base->series[i]));
	printf(" ");
	for (i = 0; i < NR_FIGURES; i++)
		printf(" %8.1f", bench_median(&result->series[i]));
	printf("  %-8s %-7s %s\n", side_backend_name(result->facts.backend),
	       result->facts.tier, sides[idx].name);
	side_name_row(&row, idx, &result->facts);
	bench_rows(&row, kinds, result->series, base->series, NR_FIGURES);
}

static void print_head(void)
{
	printf("\n%35s  %s\n", "ratio of medians to epoll",
	       "us, us, ns, KiB, bytes");
	printf(" %6s %6s %6s %6s %6s  %8s %8s %8s %8s %8s  %-8s %-7s %s\n",
	       "first", "loop", "fd", "memory", "of fd", "first", "loop", "fd",
	       "memory", "of fd", "backend", "tier", "side");
}

static void run_all(void)
{
	struct result results[NR_SIDES];
	unsigned i, k;

	for (i = 0; i < side_count(); i++)
		result_init(&results[side_at(i)], side_at(i));
	for (i = 0; i < bench_common.rounds; i++)
		for (k = 0; k < side_count(); k++)
			run_side(side_at(i + k), &results[side_at(i + k)]);
	print_head();
	for (i = 0; i < side_count(); i++)
		print_side(side_at(i), &results[side_at(i)],
			   &results[SIDE_EPOLL]);
	for (i = 0; i < side_count(); i++)
		bench_series_exit_all(results[side_at(i)].series, NR_FIGURES);
}

int main(int argc, char **argv)
{
	bench_common.rounds = 20;
	bench_begin(argc, argv, "start: what loops and watchers cost to have",
		    options);
	if (only_side != UINT_MAX) {
		if (only_side >= NR_SIDES)
			errx(1, "--side: below %d", NR_SIDES);
		be_side(only_side);
	}
	if (bench_common.quick && bench_common.rounds > 3)
		bench_common.rounds = 3;
	side_begin();
	run_all();
	return 0;
}
