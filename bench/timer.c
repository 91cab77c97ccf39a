/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * timer.c - how late an ev_timer is, and what an idle loop is booked as.
 *
 * Lateness is the time from when the timer was due to when its callback runs.
 * The sides take turns timer by timer.
 *
 * In the last cell each loop has many other timers, which are not due for long.
 *
 * With --idle, the sides then wait that many times for a second, with one quiet
 * watched descriptor.  The kernel books the time of an idle CPU as "iowait"
 * when a task that last ran there waits for I/O, and counts a waiting io_uring
 * as that unless it is told not to.  It costs nothing, but alarms monitors. The
 * share is that of iowait in all the time which the CPU we stay on had nothing
 * to do; other programs that wait for disks there are in it.  Wake-ups are this
 * process's own.
 */
#include "bench.h"
#include "side.h"

#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

/* What the kernel booked for our CPU, in ticks. */
struct idle_ticks {
	unsigned long idle;
	unsigned long iowait;
};

struct timer_loop {
	struct ev_loop *loop;
	ev_timer timer;
	ev_timer *others; /* NULL: none yet */
	ev_io io;
	int fd[2];		    /* nobody writes to [1] */
	uint64_t fired;		    /* when the callback ran */
	struct bench_series series; /* us late */
	struct bench_series shares; /* of iowait, in % of each idle second */
	struct idle_ticks sum;
	long wakeups;
};

static const unsigned delays_us[] = { 50, 200, 1000, 10000 };

enum { STUCK_SECONDS = 20 }; /* and what the timer takes */

static const unsigned delay_among_others_us = 200;

static unsigned idle_seconds, nr_others = 100000;

/* clang-format off */
static const struct bench_option options[] = {
	{ "others", &nr_others, BENCH_NUMBER, "timers beside the one, in the last cell" },
	{ "idle", &idle_seconds, BENCH_NUMBER, "seconds to idle per side, in turns" },
	{ "backends", &side_has_extra, BENCH_SWITCH, "libev's others, too" },
	{ NULL, NULL, BENCH_NUMBER, NULL }
};
/* clang-format on */

static void on_event(struct ev_loop *loop, ev_io *io, int revents)
{
	(void)loop;
	errx(1, "fd %d is not quiet: %d", io->fd, revents);
}

static void on_timer(struct ev_loop *loop, ev_timer *timer, int revents)
{
	struct timer_loop *timed = timer->data;

	(void)loop;
	(void)revents;
	timed->fired = bench_ns();
}

static void timer_loop_init(struct timer_loop *timed, enum side_idx idx)
{
	memset(timed, 0, sizeof(*timed));
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0,
		       timed->fd))
		err(1, "socketpair");
	timed->loop = side_loop_new(idx);
	ev_io_init(&timed->io, on_event, timed->fd[0], EV_READ);
	ev_io_start(timed->loop, &timed->io);
	ev_timer_init(&timed->timer, on_timer, 0, 0);
	timed->timer.data = timed;
	bench_series_init(&timed->series, bench_common.rounds);
	bench_series_init(&timed->shares, idle_seconds);
	bench_deadline(STUCK_SECONDS);
	ev_run(timed->loop, EVRUN_NOWAIT);
}

static void timer_loop_exit(struct timer_loop *timed)
{
	ev_io_stop(timed->loop, &timed->io);
	ev_loop_destroy(timed->loop);
	free(timed->others);
	close(timed->fd[0]);
	close(timed->fd[1]);
	bench_series_exit(&timed->series);
	bench_series_exit(&timed->shares);
}

static void on_other(struct ev_loop *loop, ev_timer *timer, int revents)
{
	(void)loop;
	(void)timer;
	(void)revents;
	errx(1, "a timer has fired that is not due");
}

/* They go with the loop. */
static void start_others(struct timer_loop *timed)
{
	unsigned i;

	timed->others = calloc(nr_others, sizeof(*timed->others));
	if (!timed->others)
		err(1, "timers");
	for (i = 0; i < nr_others; i++) {
		ev_timer_init(&timed->others[i], on_other, 3600 + drand48(), 0);
		ev_timer_start(timed->loop, &timed->others[i]);
	}
}

/* Let a timer fire, and return how many us late it was. */
static double run_timer(struct timer_loop *timed, double seconds)
{
	uint64_t start;

	bench_deadline(STUCK_SECONDS + (unsigned)seconds);
	start = bench_ns();
	timed->fired = 0;
	ev_now_update(timed->loop);
	ev_timer_set(&timed->timer, seconds, 0);
	ev_timer_start(timed->loop, &timed->timer);
	while (!timed->fired)
		ev_run(timed->loop, EVRUN_ONCE);
	return (timed->fired - start) / 1e3 - seconds * 1e6;
}

/* base is NULL where a ratio would say nothing. */
static void write_row(const struct bench_series *series,
		      const struct bench_series *base, enum side_idx idx,
		      const struct side_facts *facts, struct bench_row *row)
{
	row->bench = "timer";
	row->series = series;
	row->base = base;
	side_name_row(row, idx, facts);
	if (sides[idx].has_ring) {
		row->facts[0].name = "enters_per_turn";
		row->facts[0].value = (double)facts->enters / facts->turns;
	}
	bench_row(row);
}

static void write_lateness(const struct timer_loop *timed,
			   const struct timer_loop *base, enum side_idx idx,
			   const struct side_facts *facts, unsigned delay_us)
{
	char cell[64];
	struct bench_row row = { .cell = cell, .figure = "late", .unit = "us" };

	if (timed->others)
		snprintf(cell, sizeof(cell), "%u us, %u other timers", delay_us,
			 nr_others);
	else
		snprintf(cell, sizeof(cell), "%u us", delay_us);
	write_row(&timed->series, &base->series, idx, facts, &row);
}

static void print_lateness(const struct timer_loop *timed,
			   const struct timer_loop *base, enum side_idx idx,
			   unsigned delay_us)
{
	struct side_facts facts;

	side_facts(timed->loop, &facts);
	printf("%7.3f  %8.1f %8.1f %8.1f %8.1f  %-8s %-7s %s\n",
	       bench_median(&timed->series) / bench_median(&base->series),
	       bench_min(&timed->series), bench_median(&timed->series),
	       bench_quantile(&timed->series, 0.99),
	       bench_quantile(&timed->series, 1),
	       side_backend_name(facts.backend), facts.tier, sides[idx].name);
	write_lateness(timed, base, idx, &facts, delay_us);
}

static void print_delay(unsigned delay_us, unsigned nr_beside)
{
	printf("\n%u us", delay_us);
	if (nr_beside)
		printf(", %u other timers", nr_beside);
	printf(", us late\n%7s  %8s %8s %8s %8s  %-8s %-7s %s\n", "ratio",
	       "best", "median", "p99", "worst", "backend", "tier", "side");
}

static void measure_delay(struct timer_loop *loops, unsigned delay_us)
{
	struct timer_loop *timed;
	unsigned i, k;

	for (i = 0; i < side_count(); i++)
		loops[side_at(i)].series.nr = 0;
	for (i = 0; i < bench_common.rounds; i++) {
		for (k = 0; k < side_count(); k++) {
			timed = &loops[side_at(i + k)];
			bench_series_add(&timed->series,
					 run_timer(timed, delay_us / 1e6));
		}
	}
	print_delay(delay_us, loops[SIDE_EPOLL].others ? nr_others : 0);
	for (i = 0; i < side_count(); i++)
		print_lateness(&loops[side_at(i)], &loops[SIDE_EPOLL],
			       side_at(i), delay_us);
}

/* Since the machine was started. */
static struct idle_ticks read_idle(void)
{
	struct idle_ticks ticks;
	char name[16], line[512];
	FILE *file = fopen("/proc/stat", "re");

	snprintf(name, sizeof(name), "cpu%u ", bench_common.cpu);
	while (file && fgets(line, sizeof(line), file)) {
		if (strncmp(line, name, strlen(name)))
			continue;
		fclose(file);
		if (sscanf(line, "%*s %*u %*u %*u %lu %lu", &ticks.idle,
			   &ticks.iowait) == 2)
			return ticks;
		break;
	}
	errx(1, "/proc/stat: no idle time of %s", name);
}

static long read_wakeups(void)
{
	struct rusage usage;

	if (getrusage(RUSAGE_SELF, &usage))
		err(1, "getrusage");
	return usage.ru_nvcsw;
}

/* Idle for a second, and add what was booked. */
static void idle_once(struct timer_loop *timed)
{
	struct idle_ticks after, before = read_idle();
	long wakeups = read_wakeups();
	unsigned long idle, iowait;

	run_timer(timed, 1);
	after = read_idle();
	timed->wakeups += read_wakeups() - wakeups;
	idle = after.idle - before.idle;
	iowait = after.iowait - before.iowait;
	timed->sum.idle += idle;
	timed->sum.iowait += iowait;
	if (idle + iowait) /* or others left nothing to see */
		bench_series_add(&timed->shares,
				 100.0 * iowait / (idle + iowait));
}

static void print_idle(const struct timer_loop *timed, enum side_idx idx)
{
	struct bench_row row = {
		.cell = "idle for 1 s",
		.figure = "iowait of idle",
		.unit = "%",
	};
	struct side_facts facts;

	side_facts(timed->loop, &facts);
	if (timed->shares.nr)
		printf("%6.1f%% %6.1f%%", bench_median(&timed->shares),
		       bench_min(&timed->shares));
	else
		printf("%7s %7s", "busy", "busy");
	printf("  %6lu %6lu  %8ld  %-8s %-7s %s\n", timed->sum.iowait,
	       timed->sum.idle, timed->wakeups,
	       side_backend_name(facts.backend), facts.tier, sides[idx].name);
	write_row(&timed->shares, NULL, idx, &facts, &row);
}

static void measure_idle(struct timer_loop *loops)
{
	unsigned i, k;

	for (i = 0; i < idle_seconds; i++) {
		for (k = 0; k < side_count(); k++)
			idle_once(&loops[side_at(i + k)]);
	}
	printf("\n%u times 1 s idle, booked for CPU %u\n", idle_seconds,
	       bench_common.cpu);
	printf("%15s  %13s\n%7s %7s  %6s %6s  %8s  %-8s %-7s %s\n",
	       "iowait of idle", "ticks", "median", "min", "iowait", "idle",
	       "wake-ups", "backend", "tier", "side");
	for (i = 0; i < side_count(); i++)
		print_idle(&loops[side_at(i)], side_at(i));
}

static void measure_among_others(struct timer_loop *loops)
{
	unsigned i;

	for (i = 0; i < side_count(); i++)
		start_others(&loops[side_at(i)]);
	measure_delay(loops, delay_among_others_us);
}

int main(int argc, char **argv)
{
	struct timer_loop loops[NR_SIDES];
	unsigned i;

	bench_common.rounds = 50;
	bench_begin(argc, argv, "timer: lateness of an ev_timer", options);
	if (bench_common.quick && bench_common.rounds > 10)
		bench_common.rounds = 10;
	side_begin();
	for (i = 0; i < side_count(); i++)
		timer_loop_init(&loops[side_at(i)], side_at(i));
	for (i = 0; i < sizeof(delays_us) / sizeof(delays_us[0]); i++)
		measure_delay(loops, delays_us[i]);
	if (idle_seconds)
		measure_idle(loops);
	if (nr_others)
		measure_among_others(loops);
	for (i = 0; i < side_count(); i++)
		timer_loop_exit(&loops[side_at(i)]);
	return 0;
}
