/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * conform/idle.c - lines 8 and 13: a turn with nothing to do costs nothing, and
 * a loop that waits is not woken.
 */
#include "config.h"

#include "scene.h"

#include <liburing.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>

/*
 * 8: a quiet turn that may not block
 */

START_TEST(a_quiet_turn_makes_no_system_call)
{
	struct evring_stats before, after;
	struct pair pair;
	struct watch w;
	ev_timer timer;

	open_scene(_i);
	pair = open_pair();
	watch(&w, pair.ours, EV_READ);
	ev_timer_init(&timer, NULL, 60., 0.);
	ev_timer_start(scene.loop, &timer);
	settle();
	turns(3);
	before = promises_more() ? stats() : (struct evring_stats){ 0 };
	turns(1000);
	if (promises_more()) {
		after = stats();
		check_int(after.turns - before.turns, ==, 1000);
		check_int(after.enters - before.enters, ==, 0);
		check_int(after.requests - before.requests, ==, 0);
		check_int(after.waits_avoided - before.waits_avoided, ==, 1000);
	}
	put(pair.theirs);
	check_turn(&w, EV_READ);
	close_scene();
}
END_TEST

/*
 * 13: idle is idle
 */

static long nr_sleeps(void)
{
	struct rusage usage;

	check_int(getrusage(RUSAGE_THREAD, &usage), ==, 0);
	return usage.ru_nvcsw;
}

START_TEST(an_idle_loop_is_not_woken)
{
	struct evring_stats before = { 0 };
	unsigned iterations;
	long sleeps;
	struct watch w;

	open_watched(_i, &w);
	nap(SHORT_NAP);
	if (promises_more())
		before = stats();
	iterations = ev_iteration(scene.loop);
	sleeps = nr_sleeps();
	nap(0.1);
	check_int(ev_iteration(scene.loop) - iterations, <=,
		  is_faulty ? 20 : 2);
	check_int(nr_sleeps() - sleeps, <=, is_faulty ? 40 : 5);
	if (promises_more())
		check_int(stats().enters - before.enters, <=, 3);
	check_int(w.nr, ==, 0);
	close_scene();
}
END_TEST

/* How many threads of this machine sleep for the sake of a device. */
static int nr_blocked(void)
{
	FILE *stat = fopen("/proc/stat", "re");
	char line[8192];
	int nr = -1;

	check_that(stat != NULL);
	while (nr < 0 && fgets(line, sizeof(line), stat))
		(void)sscanf(line, "procs_blocked %d", &nr);
	fclose(stat);
	check_int(nr, >=, 0);
	return nr;
}

static bool kernel_has_no_iowait(void)
{
	struct io_uring_params params = { .flags = IORING_SETUP_R_DISABLED };
	int fd = (int)syscall(SYS_io_uring_setup, 1, &params);

	close(fd);
	return params.features & 1u << 17; /* IORING_FEAT_NO_IOWAIT */
}

/* Linux 6.15, and not masked in this mode. */
static bool is_free_of_iowait(void)
{
	const char *disable = scene.mode->config.disable;

	return !is_evring() || (!is_faulty && kernel_has_no_iowait() &&
				!(disable && strstr(disable, "no-iowait")));
}

struct look {
	int fd;	      /* to wake the loop with */
	int awake;    /* seen while the loop ran */
	bool is_free; /* no more were seen while it slept */
};

/* The scheduler may count a sleeper late: the first looks do not. */
static void look_for_iowait(void *arg)
{
	const struct timespec pause = { .tv_nsec = 5000000 };
	struct look *look = arg;
	int i;

	for (i = 0; i < 20 && !look->is_free; i++) {
		nanosleep(&pause, NULL);
		look->is_free = i > 2 && nr_blocked() <= look->awake;
	}
	put(look->fd);
}

/* Others may begin to wait for a device meanwhile, but not each time. */
static bool finds_no_iowait(struct watch *w, struct look *look)
{
	struct actor actor;
	int i;

	for (i = 0; i < 8 && !look->is_free; i++) {
		look->awake = nr_blocked();
		act_when_asleep(&actor, look_for_iowait, look);
		run_once();
		join(&actor);
		take(w->io.fd);
	}
	return look->is_free;
}

START_TEST(a_loop_that_waits_is_no_iowait)
{
	struct look look = { .is_free = false };
	struct pair pair;
	struct watch w;

	pair = open_watched(_i, &w);
	look.fd = pair.theirs;
	if (is_free_of_iowait())
		check_that(finds_no_iowait(&w, &look));
	close_scene();
}
END_TEST

/*
 * all of them
 */

void add_idle(void)
{
	add_scenario("quiet", a_quiet_turn_makes_no_system_call);

	add_scenario("idle", an_idle_loop_is_not_woken);
	add_scenario("idle", a_loop_that_waits_is_no_iowait);
}
