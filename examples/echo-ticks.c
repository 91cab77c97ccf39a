/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * echo-ticks.c - how late are timers?
 *
 * Timers of one length run one after the other, in the loop of the first
 * worker, which is the main thread: so whoever prints them need not ask
 * anybody.
 */
#include "echo.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static struct {
	ev_timer timer; /* data: the worker */
	struct timespec armed;
	double *late; /* microseconds, of each tick so far */
	uint64_t nr;
} ticks;

static double us_since(const struct timespec *then)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (now.tv_sec - then->tv_sec) * 1e6 +
	       (now.tv_nsec - then->tv_nsec) / 1e3;
}

/* The clock is read first, so that a tick in time never seems early. */
static void arm_tick(struct ev_loop *loop)
{
	clock_gettime(CLOCK_MONOTONIC, &ticks.armed);
	ev_now_update(loop);
	ev_timer_set(&ticks.timer, echo_options.tick, 0.);
	ev_timer_start(loop, &ticks.timer);
}

static void on_tick(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)revents;
	count(&echo_worker(w->data)->timers, 1);
	ticks.late[ticks.nr++] =
		us_since(&ticks.armed) - echo_options.tick * 1e6;
	if (ticks.nr < echo_options.nr_ticks) {
		arm_tick(loop);
		return;
	}
	printf("ticks done=%" PRIu64 "\n", ticks.nr);
	fflush(stdout);
}

/* In the first turn, so that no tick pays for what the loop does only once. */
static void on_ticks_begin(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)revents;
	ev_set_cb(w, on_tick);
	arm_tick(loop);
}

int echo_ticks_begin(struct worker *worker)
{
	if (echo_options.tick <= 0 || worker->index != 0)
		return 0;
	ticks.late = calloc(echo_options.nr_ticks, sizeof(*ticks.late));
	if (!ticks.late) {
		complain("no memory for --ticks=%" PRIu64,
			 echo_options.nr_ticks);
		return -ENOMEM;
	}
	ev_timer_init(&ticks.timer, on_ticks_begin, 0., 0.);
	ticks.timer.data = worker;
	ev_timer_start(worker->loop, &ticks.timer);
	return 0;
}

void echo_ticks_stop(struct worker *worker)
{
	if (worker->index == 0)
		ev_timer_stop(worker->loop, &ticks.timer);
}

static int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Sorts in place: later ticks are appended, the order means nothing. */
void echo_ticks_print(void)
{
	fprintf(stderr, "ticks: %" PRIu64 "\n", ticks.nr);
	if (ticks.nr == 0)
		return;
	qsort(ticks.late, ticks.nr, sizeof(*ticks.late), compare_doubles);
	fprintf(stderr,
		"tick_late_best_us: %.1f\n"
		"tick_late_median_us: %.1f\n"
		"tick_late_worst_us: %.1f\n",
		ticks.late[0], ticks.late[ticks.nr / 2],
		ticks.late[ticks.nr - 1]);
}
