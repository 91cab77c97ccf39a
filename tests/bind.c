/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bind.c - attach and detach: every error of evring_attach() with its cause,
 * and what comes and goes with a binding.
 *
 * After every refusal the loop must be as libev made it: see check_untouched().
 */
#include "config.h"

#include "harness.h"

#include <errno.h>
#include <ev.h>
#include <evring.h>
#include <liburing.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>

#include "sandbox.h"
#include "works.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

static struct ev_loop *new_loop(void)
{
	return ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
}

static bool is_untouched(struct ev_loop *loop)
{
	struct evring_stats stats;

	return evring_tier(loop) == EVRING_TIER_NONE &&
	       evring_stats(loop, &stats) == -EINVAL &&
	       evring_detach(loop) == -EINVAL && !ev_run(loop, 0) &&
	       loop_works(loop);
}

/* What the library says it is on. */
static bool is_attached(struct ev_loop *loop)
{
	struct evring_stats stats;

	return evring_tier(loop) != EVRING_TIER_NONE &&
	       evring_stats(loop, &stats) == 0 && find_fd(RING_FD) >= 0 &&
	       loop_works(loop);
}

static struct evring_stats stats_of(struct ev_loop *loop)
{
	struct evring_stats stats;

	ck_assert_int_eq(evring_stats(loop, &stats), 0);
	return stats;
}

/*
 * what the caller did wrong
 */

START_TEST(no_loop_is_invalid)
{
	struct evring_stats stats;

	ck_assert_int_eq(evring_attach(NULL, NULL), -EINVAL);
	ck_assert_int_eq(evring_detach(NULL), -EINVAL);
	ck_assert_int_eq(evring_stats(NULL, &stats), -EINVAL);
	ck_assert_int_eq(evring_tier(NULL), EVRING_TIER_NONE);
}
END_TEST

static const struct {
	const char *name;
	int error;
	struct evring_config config;
} bad_configs[] = {
	{ "unknown flag 5", -EINVAL, { .flags = 1u << 5 } },
	{ "unknown flag 31", -EINVAL, { .flags = 1u << 31 } },
	{ "unknown and known flags",
	  -EINVAL,
	  { .flags = 1u << 5 | EVRING_USER_REGION } },
	{ "one entry too many", -EINVAL, { .entries = 32769 } },
	{ "all entries", -EINVAL, { .entries = (unsigned)-1 } },
	{ "first reserved", -EINVAL, { .reserved = { 1 } } },
	{ "last reserved", -EINVAL, { .reserved = { [9] = 1ull << 63 } } },
	{ "unknown name", -EINVAL, { .disable = "regions" } },
	{ "unknown name last", -EINVAL, { .disable = "region,no-such" } },
	{ "no region to require",
	  -ENODEV,
	  { .flags = EVRING_REQUIRE_REGION, .disable = "region" } },
	{ "no region for want of r-disabled",
	  -ENODEV,
	  { .flags = EVRING_REQUIRE_REGION, .disable = "r-disabled" } },
	{ "nothing to restrict by",
	  -ENODEV,
	  { .flags = EVRING_RESTRICT, .disable = "restrict" } },
};

START_TEST(bad_config_is_refused)
{
	struct ev_loop *loop = new_loop();
	int nr_fds = count_fds();
	int r = evring_attach(loop, &bad_configs[_i].config);

	ck_assert_msg(r == bad_configs[_i].error, "%s: %d",
		      bad_configs[_i].name, r);
	ck_assert_msg(is_untouched(loop), "%s", bad_configs[_i].name);
	ck_assert_int_eq(count_fds(), nr_fds);
	ev_loop_destroy(loop);
}
END_TEST

static const struct evring_config good_configs[] = {
	{ .flags = 0 },
	{ .flags = EVRING_USER_REGION },
	{ .flags = EVRING_ALLOW_NONE },
	{ .entries = 1 },
	{ .entries = 129 },
	{ .entries = 32768 },
	{ .disable = "" },
	{ .disable = "region" },
	{ .disable = "region,epoll-wait,epoll-ctl" },
	{ .flags = EVRING_USER_REGION, .disable = "r-disabled" },
};

START_TEST(good_config_is_accepted)
{
	struct ev_loop *loop = new_loop();

	ck_assert_msg(!evring_attach(loop, &good_configs[_i]), "row %d", _i);
	ck_assert_msg(is_attached(loop), "row %d", _i);
	ck_assert_int_eq(evring_detach(loop), 0);
	ck_assert_msg(is_untouched(loop), "row %d", _i);
	ev_loop_destroy(loop);
}
END_TEST

START_TEST(region_can_be_required)
{
	struct evring_config config = { .flags = EVRING_REQUIRE_REGION };
	struct ev_loop *loop = new_loop();
	int r = evring_attach(loop, &config);

	if (r == -ENODEV) {
		ck_assert(is_untouched(loop));
		printf("# left out: no wait regions here\n");
		ev_loop_destroy(loop);
		return;
	}
	ck_assert_int_eq(r, 0);
	ck_assert_int_eq(evring_tier(loop), EVRING_TIER_REGION);
	ck_assert(loop_works(loop));
	ck_assert_uint_gt(stats_of(loop).waits_by_offset, 0);
	ck_assert_uint_eq(stats_of(loop).waits_copied, 0);
	ev_loop_destroy(loop);
}
END_TEST

START_TEST(without_region_waits_are_copied)
{
	struct evring_config config = { .disable = "region" };
	struct ev_loop *loop = new_loop();

	ck_assert_int_eq(evring_attach(loop, &config), 0);
	ck_assert_int_eq(evring_tier(loop), EVRING_TIER_COPIED);
	ck_assert(loop_works(loop));
	ck_assert_uint_gt(stats_of(loop).waits_copied, 0);
	ck_assert_uint_eq(stats_of(loop).waits_by_offset, 0);
	ev_loop_destroy(loop);
}
END_TEST

START_TEST(second_attach_is_busy)
{
	struct evring_config config = { .disable = "region" };
	struct ev_loop *loop = new_loop();
	int nr_fds;

	ck_assert_int_eq(evring_attach(loop, &config), 0);
	nr_fds = count_fds();
	ck_assert_int_eq(evring_attach(loop, NULL), -EBUSY);
	ck_assert_int_eq(count_fds(), nr_fds);
	ck_assert_int_eq(evring_tier(loop), EVRING_TIER_COPIED);
	ck_assert(is_attached(loop));
	ck_assert_int_eq(evring_detach(loop), 0);
	ck_assert(is_untouched(loop));
	ev_loop_destroy(loop);
}
END_TEST

START_TEST(attachment_can_give_way)
{
	struct evring_stats stats, others;
	struct evring_config first = { .flags = EVRING_GIVE_WAY,
				       .stats = &stats };
	struct evring_config second = { .disable = "region" };
	struct ev_loop *loop = new_loop();
	int nr_fds;

	ck_assert_int_eq(evring_attach(loop, &first), 0);
	nr_fds = count_fds();
	ck_assert_int_eq(evring_attach(loop, &second), 0);
	ck_assert_int_eq(count_fds(), nr_fds);
	ck_assert(is_attached(loop));
	ck_assert_int_eq(evring_tier(loop), EVRING_TIER_COPIED);
	ck_assert_uint_gt(stats.waits_copied, 0);
	ck_assert_int_eq(evring_attach(loop, NULL), -EBUSY);
	ck_assert_int_eq(evring_detach(loop), 0);

	second.stats = &others;
	ck_assert_int_eq(evring_attach(loop, &first), 0);
	ck_assert_int_eq(evring_attach(loop, &second), 0);
	ck_assert(is_attached(loop));
	ck_assert_uint_eq(stats.turns, 0);
	ck_assert_uint_gt(others.turns, 0);
	ev_loop_destroy(loop);
}
END_TEST

START_TEST(refused_attach_leaves_the_one_that_gives_way)
{
	struct evring_config first = { .flags = EVRING_GIVE_WAY };
	struct evring_config no_region = { .flags = EVRING_REQUIRE_REGION,
					   .disable = "region" };
	struct ev_loop *loop = new_loop();

	ck_assert_int_eq(evring_attach(loop, &first), 0);
	ck_assert_int_eq(evring_attach(loop, &no_region), -ENODEV);
	ck_assert(is_attached(loop));
	ev_loop_destroy(loop);
}
END_TEST

START_TEST(default_loop_attached_to_give_way_is_taken_over)
{
	struct evring_config first = { .flags = EVRING_GIVE_WAY };
	struct evring_config second = { .disable = "region" };
	struct ev_loop *loop = evring_default_loop(0, &first);

	ck_assert_ptr_nonnull(loop);
	ck_assert_ptr_eq(evring_default_loop(0, &second), loop);
	ck_assert_int_eq(evring_tier(loop), EVRING_TIER_COPIED);
	ck_assert(is_attached(loop));
	ev_loop_destroy(loop);
}
END_TEST

static const unsigned other_backends[] = { EVBACKEND_SELECT, EVBACKEND_POLL };

START_TEST(other_backend_is_not_supported)
{
	struct ev_loop *loop = ev_loop_new(other_backends[_i] | EVFLAG_NOENV);

	ck_assert_ptr_nonnull(loop);
	ck_assert_int_eq(evring_attach(loop, NULL), -ENOTSUP);
	ck_assert(is_untouched(loop));
	ck_assert_uint_eq(ev_backend(loop), other_backends[_i]);
	ev_loop_destroy(loop);
}
END_TEST

START_TEST(detach_without_attach_is_invalid)
{
	struct ev_loop *loop = new_loop(), *other = new_loop();

	ck_assert_int_eq(evring_attach(other, NULL), 0);
	ck_assert(is_untouched(loop));
	ck_assert_int_eq(evring_detach(other), 0);
	ck_assert(is_untouched(other));
	ev_loop_destroy(loop);
	ev_loop_destroy(other);
}
END_TEST

START_TEST(stats_are_counted_where_the_caller_wants)
{
	struct evring_stats stats = { .turns = 1000, .enters = 1000 };
	struct evring_config config = { .stats = &stats };
	struct evring_stats copy;
	struct ev_loop *loop = new_loop();

	ck_assert_int_eq(evring_attach(loop, &config), 0);
	ck_assert_uint_eq(stats.turns, 0);
	ck_assert(is_attached(loop));
	ck_assert_uint_gt(stats.turns, 0);
	ck_assert_uint_lt(stats.turns, 1000);
	ck_assert_uint_gt(stats.enters, 0);
	ck_assert_int_eq(evring_stats(loop, &copy), 0);
	ck_assert_mem_eq(&copy, &stats, sizeof(stats));
	ev_loop_destroy(loop);
}
END_TEST

static const struct {
	double seconds;
	int error;
} intervals[] = {
	{ -1e-9, -EINVAL },
	{ -1., -EINVAL },
	{ -INFINITY, -EINVAL },
	{ NAN, -EINVAL },
	{ INFINITY, -EINVAL },
	{ 4294.1, -EINVAL },
	{ 0., 0 },
	{ -0., 0 },
};

START_TEST(interval_to_collect_in_is_checked)
{
	struct ev_loop *loop = new_loop();
	int r;

	ck_assert_int_eq(evring_set_collect(NULL, intervals[_i].seconds, 0),
			 -EINVAL);
	ck_assert_int_eq(evring_set_collect(loop, intervals[_i].seconds, 0),
			 -EINVAL);
	ck_assert_int_eq(evring_attach(loop, NULL), 0);
	errno = 12345;
	r = evring_set_collect(loop, intervals[_i].seconds, 3);
	ck_assert_int_eq(errno, 12345);
	ck_assert_msg(r == intervals[_i].error, "%g: %d", intervals[_i].seconds,
		      r);
	ck_assert(is_attached(loop));
	ck_assert_int_eq(evring_detach(loop), 0);
	ck_assert_int_eq(evring_set_collect(loop, intervals[_i].seconds, 0),
			 -EINVAL);
	ev_loop_destroy(loop);
}
END_TEST

START_TEST(collecting_needs_min_wait)
{
	struct evring_config config = { .disable = "min-wait" };
	struct ev_loop *loop = new_loop();

	ck_assert_int_eq(evring_attach(loop, &config), 0);
	ck_assert_int_eq(evring_set_collect(loop, 0.01, 0), -ENOTSUP);
	ck_assert_int_eq(evring_set_collect(loop, 0., 0), 0);
	ck_assert(is_attached(loop));
	ck_assert(loop_works(loop));
	ev_loop_destroy(loop);
}
END_TEST

static void ignore_io(struct ev_loop *loop, ev_io *w, int revents)
{
	(void)loop;
	(void)w;
	(void)revents;
}

enum { NR_TURNS = 5 };

static const double interval = 0.3;

/* How long it takes to be told of an event that is there, NR_TURNS times. */
static double time_of_turns(struct ev_loop *loop)
{
	double start;
	int fds[2], i;
	ev_io w;

	ck_assert_int_eq(pipe(fds), 0);
	ev_io_init(&w, ignore_io, fds[0], EV_READ);
	ev_io_start(loop, &w);
	ck_assert_int_eq(write(fds[1], "x", 1), 1);
	ev_run(loop, EVRUN_NOWAIT);
	start = now();
	for (i = 0; i < NR_TURNS; i++)
		ev_run(loop, EVRUN_ONCE);
	ev_io_stop(loop, &w);
	close(fds[0]);
	close(fds[1]);
	return now() - start;
}

/* A machine that is late looks like it, but not each time. */
static bool is_collecting(struct ev_loop *loop)
{
	int i;

	for (i = 0; i < 5; i++)
		if (time_of_turns(loop) < NR_TURNS * interval)
			return false;
	return true;
}

START_TEST(collecting_ends_when_told_and_with_the_attachment)
{
	struct ev_loop *loop = new_loop();
	int nr_fds = count_fds(), r;

	ck_assert_int_eq(evring_attach(loop, NULL), 0);
	errno = 12345;
	r = evring_set_collect(loop, interval, 0);
	ck_assert_int_eq(errno, 12345);
	if (r == -ENOTSUP) {
		printf("# left out: no min-wait here, or one with a defect\n");
		return;
	}
	ck_assert_int_eq(r, 0);
	ck_assert_int_eq(evring_set_collect(loop, 4294.1, 0), -EINVAL);
	ck_assert(time_of_turns(loop) >= NR_TURNS * interval);
	ck_assert_int_eq(evring_set_collect(loop, interval, 1), 0);
	ck_assert(!is_collecting(loop));
	ck_assert_int_eq(evring_set_collect(loop, 4294., 0), 0);
	ck_assert_int_eq(evring_set_collect(loop, 1e-7, 0), 0);
	ck_assert(!is_collecting(loop));
	ck_assert_int_eq(evring_set_collect(loop, interval, 2), 0);
	ck_assert_int_eq(evring_set_collect(loop, 0., 0), 0);
	ck_assert(!is_collecting(loop));
	ck_assert_int_eq(evring_set_collect(loop, interval, 0), 0);
	ck_assert_int_eq(evring_detach(loop), 0);
	ck_assert_int_eq(count_fds(), nr_fds);
	ck_assert_int_eq(evring_attach(loop, NULL), 0);
	ck_assert(!is_collecting(loop));
	ev_loop_destroy(loop);
}
END_TEST

static const struct {
	double seconds;
	int error;
} spins[] = {
	{ -1e-9, -EINVAL },
	{ -0.5, -EINVAL },
	{ -2., -EINVAL },
	{ NAN, -EINVAL },
	{ INFINITY, -EINVAL },
	{ 1.001, -EINVAL },
	{ EVRING_SPIN_AUTO, 0 },
	{ 0., 0 },
	{ 1., 0 },
};

START_TEST(spin_is_checked)
{
	struct evring_config config = { .spin = spins[_i].seconds };
	struct ev_loop *loop = new_loop();

	ck_assert_int_eq(evring_set_spin(NULL, spins[_i].seconds), -EINVAL);
	ck_assert_int_eq(evring_set_spin(loop, spins[_i].seconds), -EINVAL);
	ck_assert_int_eq(evring_attach(loop, &config), spins[_i].error);
	if (spins[_i].error) {
		ck_assert(is_untouched(loop));
		ck_assert_int_eq(evring_attach(loop, NULL), 0);
	}
	errno = 12345;
	ck_assert_int_eq(evring_set_spin(loop, spins[_i].seconds),
			 spins[_i].error);
	ck_assert_int_eq(errno, 12345);
	ck_assert(is_attached(loop));
	ck_assert_int_eq(evring_detach(loop), 0);
	ck_assert_int_eq(evring_set_spin(loop, spins[_i].seconds), -EINVAL);
	ev_loop_destroy(loop);
}
END_TEST

static void ignore_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)loop;
	(void)w;
	(void)revents;
}

/* Does a turn look before it sleeps?  It sleeps for long enough. */
static bool is_spinning(struct ev_loop *loop)
{
	struct evring_stats before, after;
	ev_timer timer;

	ck_assert_int_eq(evring_stats(loop, &before), 0);
	ev_now_update(loop);
	ev_timer_init(&timer, ignore_timer, 0.2, 0.);
	ev_timer_start(loop, &timer);
	ev_run(loop, EVRUN_ONCE);
	ev_timer_stop(loop, &timer);
	ck_assert_int_eq(evring_stats(loop, &after), 0);
	ck_assert_uint_eq(after.spin_hits, before.spin_hits);
	return after.spins > before.spins;
}

START_TEST(spinning_ends_when_told_and_with_the_attachment)
{
	struct evring_config config = { .spin = 1e-4 };
	struct ev_loop *loop = new_loop();

	ck_assert_int_eq(evring_attach(loop, &config), 0);
	ck_assert(is_spinning(loop));
	ck_assert_int_eq(evring_set_spin(loop, 2.), -EINVAL);
	ck_assert(is_spinning(loop));
	ck_assert_int_eq(evring_set_spin(loop, 0.), 0);
	ck_assert(!is_spinning(loop));
	ck_assert_int_eq(evring_set_spin(loop, 1e-4), 0);
	ck_assert(is_spinning(loop));
	ck_assert_int_eq(evring_detach(loop), 0);
	ck_assert_int_eq(evring_attach(loop, NULL), 0);
	ck_assert(!is_spinning(loop));
	ev_loop_destroy(loop);
}
END_TEST

START_TEST(a_loop_that_collects_does_not_spin)
{
	struct evring_config config = { .spin = 1e-4 };
	struct ev_loop *loop = new_loop();

	ck_assert_int_eq(evring_attach(loop, &config), 0);
	if (!evring_set_collect(loop, 0.01, 0)) {
		ck_assert(!is_spinning(loop));
		ck_assert_int_eq(evring_set_collect(loop, 0., 0), 0);
	}
	ck_assert(is_spinning(loop));
	ev_loop_destroy(loop);
}
END_TEST

/* A turn that watches until its timer has expired makes no system call. */
START_TEST(spinning_until_a_timer_is_counted_as_no_wait)
{
	struct evring_config config = { .spin = 1. };
	struct ev_loop *loop = new_loop();
	struct evring_stats before, stats;
	ev_timer timer;

	ck_assert_int_eq(evring_attach(loop, &config), 0);
	ev_run(loop, EVRUN_NOWAIT); /* the polled form looks at the set once */
	ck_assert_int_eq(evring_stats(loop, &before), 0);
	ev_now_update(loop);
	ev_timer_init(&timer, ignore_timer, 0.1, 0.);
	ev_timer_start(loop, &timer);
	ev_run(loop, 0);
	ck_assert_int_eq(evring_stats(loop, &stats), 0);
	ck_assert_uint_ge(stats.spins, 1);
	ck_assert_uint_eq(stats.enters, 0);
	ck_assert_uint_gt(stats.turns, before.turns);
	ck_assert_uint_eq(stats.waits_avoided - before.waits_avoided,
			  stats.turns - before.turns);
	ev_loop_destroy(loop);
}
END_TEST

struct heard {
	ev_signal signal;
	ev_async async;
	int nr;
};

static struct heard heard;
static struct ev_loop *heard_by;

static void hear_signal(struct ev_loop *loop, ev_signal *w, int revents)
{
	(void)loop;
	(void)w;
	(void)revents;
	heard.nr++;
}

static void hear_async(struct ev_loop *loop, ev_async *w, int revents)
{
	(void)loop;
	(void)w;
	(void)revents;
	heard.nr++;
}

static void send_in_handler(int signal_nr)
{
	(void)signal_nr;
	ev_async_send(heard_by, &heard.async);
}

static void start_hearing(struct ev_loop *loop, bool by_signal)
{
	heard.nr = 0;
	heard_by = loop;
	ev_signal_init(&heard.signal, hear_signal, SIGALRM);
	ev_async_init(&heard.async, hear_async);
	ev_async_start(loop, &heard.async);
	if (by_signal)
		ev_signal_start(loop, &heard.signal);
	else
		signal(SIGALRM, send_in_handler);
}

/* Without a sleep: within the second for which it looks. */
START_TEST(what_a_handler_tells_libev_ends_the_looking)
{
	static const char *const masks[] = { "", "epoll-wait", "defer-taskrun",
					     "defer-taskrun,coop-taskrun" };
	const struct itimerval in_a_moment = { .it_value.tv_usec = 20000 };
	struct evring_config config = { .spin = 1., .disable = masks[_i / 2] };
	struct ev_loop *loop = new_loop();
	struct evring_stats stats;

	ck_assert_int_eq(evring_attach(loop, &config), 0);
	start_hearing(loop, _i % 2);
	ev_run(loop, EVRUN_NOWAIT);
	setitimer(ITIMER_REAL, &in_a_moment, NULL);
	while (!heard.nr)
		ev_run(loop, EVRUN_ONCE);
	ck_assert_int_eq(evring_stats(loop, &stats), 0);
	ck_assert_uint_ge(stats.spin_hits, 1);
	ck_assert_uint_eq(stats.spin_hits, stats.spins);
	ck_assert_uint_eq(stats.waits_by_offset + stats.waits_copied, 0);
	ev_signal_stop(loop, &heard.signal);
	ev_async_stop(loop, &heard.async);
	ev_loop_destroy(loop);
}
END_TEST

static int mappings_of_a_child(void *unused)
{
	(void)unused;
	return count_mappings("io_uring");
}

START_TEST(children_have_a_mapping_only_while_the_loop_spins)
{
	struct ev_loop *loop = new_loop();

	ck_assert_int_eq(evring_attach(loop, NULL), 0);
	ck_assert_int_eq(run_in_child(mappings_of_a_child, NULL), 0);
	ck_assert_int_eq(evring_set_spin(loop, EVRING_SPIN_AUTO), 0);
	ck_assert_int_eq(run_in_child(mappings_of_a_child, NULL), 1);
	ck_assert_int_eq(evring_set_spin(loop, 0.), 0);
	ck_assert_int_eq(run_in_child(mappings_of_a_child, NULL), 0);
	ck_assert_int_eq(evring_set_spin(loop, 1e-10), 0); /* nothing */
	ck_assert_int_eq(run_in_child(mappings_of_a_child, NULL), 0);
	ck_assert_int_eq(evring_set_spin(loop, 1e-4), 0);
	ck_assert(is_spinning(loop));
	ck_assert_int_eq(evring_detach(loop), 0);
	ck_assert_int_eq(run_in_child(mappings_of_a_child, NULL), 0);
	ev_loop_destroy(loop);
}
END_TEST

START_TEST(spin_is_handed_on_by_what_gives_way)
{
	struct evring_config first = { .flags = EVRING_GIVE_WAY, .spin = 1e-4 };
	struct evring_config second = { .spin = 1. };
	struct ev_loop *loop = new_loop();
	struct evring_stats s;

	ck_assert_int_eq(evring_attach(loop, &first), 0);
	ck_assert_int_eq(evring_attach(loop, NULL), 0);
	ck_assert(is_spinning(loop));
	ck_assert_int_eq(evring_stats(loop, &s), 0);
	ck_assert_uint_gt(s.waits_by_offset + s.waits_copied, 0);
	ck_assert_int_eq(evring_detach(loop), 0);
	ck_assert_int_eq(evring_attach(loop, &first), 0);
	ck_assert_int_eq(evring_attach(loop, &second), 0);
	ck_assert(is_spinning(loop)); /* for longer than the turn */
	ck_assert_int_eq(evring_stats(loop, &s), 0);
	ck_assert_uint_eq(s.waits_by_offset + s.waits_copied, 0);
	ev_loop_destroy(loop);
}
END_TEST

START_TEST(stats_need_a_place)
{
	struct ev_loop *loop = new_loop();

	ck_assert_int_eq(evring_attach(loop, NULL), 0);
	ck_assert_int_eq(evring_stats(loop, NULL), -EINVAL);
	ev_loop_destroy(loop);
}
END_TEST

/*
 * what the system refuses
 */

/* clang-format off */
static const struct {
	const char *name;
	int error;
	struct refusal refusal;
} sandboxes[] = {
	{ "container, EPERM",     -EPERM,
	  REFUSE(__NR_io_uring_setup, EPERM) },
	{ "container, ENOSYS",    -ENOSYS,
	  REFUSE(__NR_io_uring_setup, ENOSYS) },
	{ "security module",      -EACCES,
	  REFUSE(__NR_io_uring_setup, EACCES) },
	{ "system out of files",  -ENFILE,
	  REFUSE(__NR_io_uring_setup, ENFILE) },
	{ "process out of files", -EMFILE,
	  REFUSE(__NR_io_uring_setup, EMFILE) },
	{ "out of memory",        -ENOMEM,
	  REFUSE(__NR_io_uring_setup, ENOMEM) },
	{ "enter is EPERM",       -EPERM,
	  REFUSE(__NR_io_uring_enter, EPERM) },
	{ "enter is ENOSYS",      -ENOSYS,
	  REFUSE(__NR_io_uring_enter, ENOSYS) },
	{ "Linux before 5.11",    -ENOSYS,
	  REFUSE_ENTER(1u << 3, EINVAL) },
};
/* clang-format on */

static int attach_in_sandbox(void *row)
{
	struct ev_loop *loop = new_loop();
	int i = *(int *)row, nr_fds = count_fds(), r;

	sandbox(&sandboxes[i].refusal, 1);
	errno = 12345;
	r = evring_attach(loop, NULL);
	child_assert(errno == 12345);
	fprintf(stderr, "# %s: %s\n", sandboxes[i].name, strerror(-r));
	child_assert(r == sandboxes[i].error);
	child_assert(count_fds() == nr_fds);
	child_assert(is_untouched(loop));
	child_assert(evring_attach(loop, NULL) == r);
	ev_loop_destroy(loop);
	return 0;
}

START_TEST(refusal_of_the_system_is_returned)
{
	ck_assert_msg(!run_in_child(attach_in_sandbox, &_i), "%s",
		      sandboxes[_i].name);
}
END_TEST

/* Leave nr_free file descriptors to be opened. */
static void leave_fds(int nr_free)
{
	struct rlimit limit;
	int fd, nr_fds = count_fds();

	while ((fd = dup(0)) < nr_fds)
		nr_fds++; /* fill the holes */
	close(fd);
	child_assert(getrlimit(RLIMIT_NOFILE, &limit) == 0);
	limit.rlim_cur = (rlim_t)(fd + nr_free);
	child_assert(setrlimit(RLIMIT_NOFILE, &limit) == 0);
}

static void allow_fds(void)
{
	struct rlimit limit;

	child_assert(getrlimit(RLIMIT_NOFILE, &limit) == 0);
	limit.rlim_cur = 1000;
	child_assert(setrlimit(RLIMIT_NOFILE, &limit) == 0);
}

/* Where no fd is left, and where discovery runs out of them half way. */
static int attach_without_fds(void *arg)
{
	struct ev_loop *loop = new_loop();
	int nr_free, r;

	(void)arg;
	for (nr_free = 0; nr_free < 3; nr_free++) {
		leave_fds(nr_free);
		errno = 12345;
		r = evring_attach(loop, NULL);
		child_assert(errno == 12345);
		allow_fds();
		fprintf(stderr, "# %d fds: %d\n", nr_free, r);
		child_assert(r == -EMFILE);
		child_assert(is_untouched(loop));
	}
	child_assert(evring_attach(loop, NULL) == 0);
	child_assert(is_attached(loop));
	return 0;
}

START_TEST(no_fd_left_is_returned_and_passes)
{
	ck_assert_int_eq(run_in_child(attach_without_fds, NULL), 0);
}
END_TEST

static int attach_with_one_fd(void *arg)
{
	struct ev_loop *loop = new_loop();

	(void)arg;
	child_assert(evring_attach(loop, NULL) == 0);
	child_assert(loop_works(loop));
	child_assert(evring_detach(loop) == 0);
	leave_fds(1);
	child_assert(evring_attach(loop, NULL) == 0);
	child_assert(evring_detach(loop) == 0);
	allow_fds();
	leave_fds(0);
	child_assert(evring_attach(loop, NULL) == -EMFILE);
	allow_fds();
	child_assert(is_untouched(loop));
	return 0;
}

START_TEST(attach_needs_one_fd)
{
	ck_assert_int_eq(run_in_child(attach_with_one_fd, NULL), 0);
}
END_TEST

/* Become a user who has no locked memory yet and may lock only so much. */
static bool become_nobody(rlim_t memlock)
{
	struct rlimit limit = { memlock, memlock };
	uid_t uid = 1500000000u + (uid_t)getpid();

	return setrlimit(RLIMIT_MEMLOCK, &limit) == 0 &&
	       setresuid(uid, uid, uid) == 0;
}

enum { CANNOT = 99, NOT_COUNTED };

static unsigned entries_of_ring(void)
{
	unsigned mask = 0;
	char line[128];
	FILE *info;

	snprintf(line, sizeof(line), "/proc/self/fdinfo/%d", find_fd(RING_FD));
	info = fopen(line, "re");
	while (info && fgets(line, sizeof(line), info))
		if (sscanf(line, "SqMask: %x", &mask) == 1)
			break;
	if (info)
		fclose(info);
	return mask + 1;
}

/* Too little for 128 entries, enough for 8. */
static const rlim_t little[] = { 16 << 10, 20 << 10 };

/* The kernel gives back the memory of rings in the background. */
static int attach_in_the_end(struct ev_loop *loop)
{
	double start = now();
	int r;

	while ((r = evring_attach(loop, NULL)) == -ENOMEM && now() - start < 8.)
		usleep(10000);
	return r;
}

static int attach_to_little_memory(void *row)
{
	struct ev_loop *loop;

	if (!become_nobody(little[*(int *)row]))
		return CANNOT;
	loop = new_loop();
	child_assert(attach_in_the_end(loop) == 0);
	fprintf(stderr, "# %u entries\n", entries_of_ring());
	child_assert(entries_of_ring() >= 8 && entries_of_ring() < 128);
	child_assert(is_attached(loop));
	ev_loop_destroy(loop);
	return 0;
}

static int attach_to_no_memory(void *arg)
{
	struct ev_loop *loop;
	int nr_fds;

	(void)arg;
	if (!become_nobody(0))
		return CANNOT;
	loop = new_loop();
	nr_fds = count_fds();
	child_assert(evring_attach(loop, NULL) == -ENOMEM);
	child_assert(count_fds() == nr_fds);
	child_assert(is_untouched(loop));
	return 0;
}

/* Enough for the trial, but not for the smallest ring besides another. */
static int attach_until_memory_ends(void *arg)
{
	struct ev_loop *loop = NULL, *last;
	int i, r = 0;

	(void)arg;
	if (!become_nobody(64 << 10))
		return CANNOT;
	for (i = 0; i < 64 && !r; i++) {
		last = loop;
		loop = new_loop();
		r = evring_attach(loop, NULL);
	}
	fprintf(stderr, "# 64 KiB: %d loops\n", i - 1);
	child_assert(r == -ENOMEM);
	child_assert(is_untouched(loop));
	child_assert(i > 2 && is_attached(last));
	child_assert(evring_detach(last) == 0);
	child_assert(attach_in_the_end(loop) == 0);
	child_assert(is_attached(loop));
	return 0;
}

/* Not so on Linux 6.1 and 6.12. */
static int is_ring_locked_memory(void *arg)
{
	struct io_uring ring;
	int r;

	(void)arg;
	if (!become_nobody(0))
		return CANNOT;
	r = io_uring_queue_init(128, &ring, 0);
	return r < 0 ? 0 : NOT_COUNTED;
}

static void check_memlock(int (*body)(void *), void *arg)
{
	int status = run_in_child(is_ring_locked_memory, NULL);

	if (!status)
		status = run_in_child(body, arg);
	if (status == CANNOT)
		printf("# left out: no other user to be had for memlock\n");
	else if (status == NOT_COUNTED)
		printf("# left out: rings lock no memory on this kernel\n");
	else
		ck_assert_int_eq(status, 0);
}

START_TEST(little_locked_memory_makes_a_smaller_ring)
{
	check_memlock(attach_to_little_memory, &_i);
}
END_TEST

START_TEST(no_locked_memory_is_returned)
{
	check_memlock(attach_to_no_memory, NULL);
}
END_TEST

START_TEST(locked_memory_used_up_is_returned_and_passes)
{
	check_memlock(attach_until_memory_ends, NULL);
}
END_TEST

/*
 * what a binding leaves behind: nothing
 */

START_TEST(attach_and_detach_leak_nothing)
{
	struct ev_loop *loop = new_loop();
	int nr_fds, nr_mappings = 0, i;

	ck_assert(loop_works(loop));
	nr_fds = count_fds();
	for (i = 0; i < 1000; i++) {
		ck_assert_int_eq(evring_attach(loop, NULL), 0);
		if (i % 10 == 0)
			ck_assert(loop_works(loop));
		ck_assert_int_eq(count_fds(), nr_fds + 1);
		ck_assert_int_eq(evring_detach(loop), 0);
		if (i == 10)
			nr_mappings = count_mappings(NULL);
	}
	ck_assert_int_eq(count_fds(), nr_fds);
	ck_assert_int_le(count_mappings(NULL), nr_mappings + 10);
	ck_assert_int_eq(count_mappings("[io_uring]"), 0);
	ck_assert(is_untouched(loop));
	ev_loop_destroy(loop);
}
END_TEST

START_TEST(destroying_the_loop_detaches_it)
{
	int nr_fds = count_fds(), nr_mappings = 0, i;
	struct ev_loop *loop;

	for (i = 0; i < 100; i++) {
		loop = new_loop();
		ck_assert_int_eq(evring_attach(loop, NULL), 0);
		if (i & 1)
			ck_assert(loop_works(loop));
		ev_loop_destroy(loop);
		ck_assert_int_eq(count_fds(), nr_fds);
		if (i == 10)
			nr_mappings = count_mappings(NULL);
	}
	ck_assert_int_le(count_mappings(NULL), nr_mappings + 10);
}
END_TEST

/* The address of every loop, so that a new one is where the old one was. */
static struct {
	_Alignas(64) char bytes[8192];
	bool is_taken;
} arena;

static void *allocate(void *ptr, long size)
{
	if (ptr == arena.bytes) {
		ck_assert_int_eq(size, 0);
		arena.is_taken = false;
		return NULL;
	}
	if (!ptr && size && !arena.is_taken) {
		ck_assert_int_le(size, (long)sizeof(arena.bytes));
		arena.is_taken = true;
		return arena.bytes;
	}
	if (size)
		return realloc(ptr, (size_t)size);
	free(ptr);
	return NULL;
}

START_TEST(new_loop_at_an_old_address_is_not_attached)
{
	struct ev_loop *loop, *again;

	/* what discovery allocates comes first, and is gone */
	loop = new_loop();
	ck_assert_int_eq(evring_attach(loop, NULL), 0);
	ev_loop_destroy(loop);
	ev_set_allocator(allocate);
	loop = new_loop();
	ck_assert_ptr_eq(loop, arena.bytes);
	ck_assert_int_eq(evring_attach(loop, NULL), 0);
	ck_assert(loop_works(loop));
	ev_loop_destroy(loop);
	again = new_loop();
	ck_assert_ptr_eq(again, loop);
	ck_assert(is_untouched(again));
	ck_assert_int_eq(evring_attach(again, NULL), 0);
	ck_assert_uint_eq(stats_of(again).turns, 0);
	ck_assert(is_attached(again));
	ev_loop_destroy(again);
}
END_TEST

START_TEST(detach_leaves_watchers_as_they_are)
{
	struct ev_loop *loop = new_loop();
	int fds[2];
	ev_io w;

	ck_assert_int_eq(pipe(fds), 0);
	ev_io_init(&w, ignore_io, fds[0], EV_READ);
	ev_io_start(loop, &w);
	ck_assert_int_eq(evring_attach(loop, NULL), 0);
	ck_assert(loop_works(loop));
	ck_assert_int_eq(evring_detach(loop), 0);
	ck_assert(ev_is_active(&w));
	ck_assert_int_eq(write(fds[1], "x", 1), 1);
	ev_set_io_collect_interval(loop, 0.);
	ev_run(loop, EVRUN_NOWAIT);
	ev_io_stop(loop, &w);
	ck_assert(is_untouched(loop));
	ev_loop_destroy(loop);
	close(fds[0]);
	close(fds[1]);
}
END_TEST

/*
 * what attach does not change
 */

static void mark_userdata(struct ev_loop *loop)
{
	(*(int *)ev_userdata(loop))++;
}

START_TEST(attach_keeps_what_belongs_to_the_program)
{
	struct ev_loop *loop = new_loop();
	int nr_invoked = 0;

	ev_set_userdata(loop, &nr_invoked);
	ck_assert_int_eq(evring_attach(loop, NULL), 0);
	ck_assert_ptr_eq(ev_userdata(loop), &nr_invoked);
	ck_assert_uint_eq(ev_backend(loop), EVBACKEND_EPOLL);
	ev_set_loop_release_cb(loop, mark_userdata, mark_userdata);
	ck_assert(loop_works(loop));
	ck_assert_int_ge(nr_invoked, 4);
	ck_assert_int_eq(nr_invoked % 2, 0);
	ev_loop_destroy(loop);
}
END_TEST

START_TEST(binding_does_not_keep_the_loop_alive)
{
	struct ev_loop *loop = new_loop();
	double start = now();

	ck_assert_int_eq(evring_attach(loop, NULL), 0);
	ck_assert(!ev_run(loop, 0));
	ck_assert_int_eq(evring_detach(loop), 0);
	ck_assert(!ev_run(loop, 0));
	ck_assert(now() - start < 20.);
	ev_loop_destroy(loop);
}
END_TEST

START_TEST(errno_is_left_alone)
{
	struct ev_loop *loop = new_loop();

	errno = 12345;
	ck_assert_int_eq(evring_attach(loop, NULL), 0);
	ck_assert_int_eq(errno, 12345);
	ck_assert_int_eq(evring_detach(loop), 0);
	ck_assert_int_eq(errno, 12345);
	ck_assert_int_eq(evring_detach(loop), -EINVAL);
	ck_assert_int_eq(errno, 12345);
	ev_loop_destroy(loop);
}
END_TEST

START_TEST(stats_begin_anew_and_count)
{
	struct ev_loop *loop = new_loop();
	struct evring_stats stats;
	static const struct evring_stats none;

	ck_assert_int_eq(evring_attach(loop, NULL), 0);
	stats = stats_of(loop);
	ck_assert_mem_eq(&stats, &none, sizeof(stats));
	ck_assert(loop_works(loop));
	stats = stats_of(loop);
	ck_assert_uint_ge(stats.turns, 2);
	ck_assert_uint_ge(stats.enters, 2);
	ck_assert_uint_le(stats.enters, stats.turns * 2);
	ck_assert_uint_eq(stats.events, 1);
	ck_assert_uint_ge(stats.requests, 1);
	ck_assert_uint_ge(stats.completions, 1);
	ck_assert_uint_eq(stats.rings_lost, 0);
	ck_assert_uint_eq(stats.ring_rebuilds, 0);
	ck_assert_mem_eq(stats.reserved, none.reserved, sizeof(none.reserved));
	ck_assert_int_eq(evring_detach(loop), 0);
	ck_assert_int_eq(evring_attach(loop, NULL), 0);
	stats = stats_of(loop);
	ck_assert_mem_eq(&stats, &none, sizeof(stats));
	ev_loop_destroy(loop);
}
END_TEST

/*
 * attach and detach while the loop runs
 */

struct inside {
	struct ev_loop *loop;
	bool attach;
	int r;
	int nr_after; /* events after it */
};

static void change_inside(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct inside *in = w->data;

	(void)revents;
	in->r = in->attach ? evring_attach(loop, NULL) : evring_detach(loop);
}

static void count_io(struct ev_loop *loop, ev_io *w, int revents)
{
	char byte;

	(void)loop;
	if (revents & EV_READ && read(w->fd, &byte, 1) == 1)
		(*(int *)w->data)++;
}

/*
 * Turns until it is no longer so.  One may not be enough: when a ring has gone,
 * the kernel interrupts one wait of its thread (EINTR, as by a signal).
 */
static void run_while(struct ev_loop *loop, const int *value, int so)
{
	int i;

	for (i = 0; i < 10 && *value == so; i++)
		ev_run(loop, EVRUN_ONCE);
}

/* A pipe watched since before the change gets its event after it. */
static void change_in_callback(struct inside *in)
{
	struct ev_loop *loop = in->loop;
	ev_timer timer;
	int fds[2];
	ev_io io;

	ck_assert_int_eq(pipe2(fds, O_NONBLOCK), 0);
	ev_io_init(&io, count_io, fds[0], EV_READ);
	io.data = &in->nr_after;
	ev_timer_init(&timer, change_inside, 0.001, 0.);
	timer.data = in;
	in->r = 1;
	ev_io_start(loop, &io);
	ev_timer_start(loop, &timer);
	run_while(loop, &in->r, 1);
	ck_assert_int_eq(write(fds[1], "x", 1), 1);
	run_while(loop, &in->nr_after, 0);
	ev_io_stop(loop, &io);
	close(fds[0]);
	close(fds[1]);
	ck_assert_int_eq(in->r, 0);
	ck_assert_int_eq(in->nr_after, 1);
}

START_TEST(attach_from_a_callback)
{
	struct inside in = { .loop = new_loop(), .attach = true };

	change_in_callback(&in);
	ck_assert_uint_eq(stats_of(in.loop).events, 1);
	ck_assert(is_attached(in.loop));
	ev_loop_destroy(in.loop);
}
END_TEST

START_TEST(detach_from_a_callback)
{
	struct inside in = { .loop = new_loop(), .attach = false };

	ck_assert_int_eq(evring_attach(in.loop, NULL), 0);
	change_in_callback(&in);
	ck_assert_int_eq(find_fd(RING_FD), -1);
	ck_assert(is_untouched(in.loop));
	ev_loop_destroy(in.loop);
}
END_TEST

enum { NR_READY = 20 };

/* The first of many that are ready at once detaches: the others follow. */
static void detach_and_count(struct ev_loop *loop, ev_io *w, int revents)
{
	(void)evring_detach(loop);
	count_io(loop, w, revents);
	ev_io_stop(loop, w);
}

START_TEST(detach_loses_no_event_of_the_turn)
{
	struct ev_loop *loop = new_loop();
	int fds[NR_READY][2], nr_events = 0, i;
	ev_io io[NR_READY];

	ck_assert_int_eq(evring_attach(loop, NULL), 0);
	for (i = 0; i < NR_READY; i++) {
		ck_assert_int_eq(pipe2(fds[i], O_NONBLOCK), 0);
		ck_assert_int_eq(write(fds[i][1], "x", 1), 1);
		ev_io_init(&io[i], detach_and_count, fds[i][0], EV_READ);
		io[i].data = &nr_events;
		ev_io_start(loop, &io[i]);
	}
	ev_run(loop, 0);
	ck_assert_int_eq(nr_events, NR_READY);
	ck_assert(is_untouched(loop));
	for (i = 0; i < NR_READY; i++) {
		close(fds[i][0]);
		close(fds[i][1]);
	}
	ev_loop_destroy(loop);
}
END_TEST

START_TEST(attach_takes_over_started_watchers)
{
	struct ev_loop *loop = new_loop();
	int fds[2], nr_events = 0;
	ev_io io;

	ck_assert_int_eq(pipe2(fds, O_NONBLOCK), 0);
	ev_io_init(&io, count_io, fds[0], EV_READ);
	io.data = &nr_events;
	ev_io_start(loop, &io);
	ev_run(loop, EVRUN_NOWAIT);
	ck_assert_int_eq(write(fds[1], "xx", 2), 2);
	ck_assert_int_eq(evring_attach(loop, NULL), 0);
	ev_run(loop, EVRUN_NOWAIT);
	ck_assert_int_eq(nr_events, 1);
	ck_assert_int_eq(evring_detach(loop), 0);
	ev_run(loop, EVRUN_NOWAIT);
	ck_assert_int_eq(nr_events, 2);
	ev_io_stop(loop, &io);
	ev_loop_destroy(loop);
	close(fds[0]);
	close(fds[1]);
}
END_TEST

/*
 * many loops, many threads
 */

enum { NR_LOOPS = 100 };

START_TEST(a_hundred_loops_at_once)
{
	struct ev_loop *loops[NR_LOOPS];
	int nr_fds = count_fds(), i;

	for (i = 0; i < NR_LOOPS; i++) {
		loops[i] = new_loop();
		ck_assert_int_eq(evring_attach(loops[i], NULL), 0);
	}
	for (i = 0; i < NR_LOOPS; i++)
		ck_assert_msg(is_attached(loops[i]), "loop %d", i);
	for (i = 0; i < NR_LOOPS; i += 2)
		ev_loop_destroy(loops[i]);
	for (i = 1; i < NR_LOOPS; i += 2)
		ck_assert_msg(is_attached(loops[i]), "loop %d of half", i);
	for (i = 1; i < NR_LOOPS; i += 2)
		ev_loop_destroy(loops[i]);
	ck_assert_int_eq(count_fds(), nr_fds);
}
END_TEST

struct use {
	struct ev_loop *loop;
	bool worked;
};

static void *use_loop(void *arg)
{
	struct use *use = arg;

	use->worked = loop_works(use->loop) && loop_works(use->loop);
	return NULL;
}

static bool works_in_thread(struct ev_loop *loop)
{
	struct use use = { .loop = loop };
	pthread_t thread;

	ck_assert_int_eq(pthread_create(&thread, NULL, use_loop, &use), 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	return use.worked;
}

static const char *const masks[] = { NULL,
				     "region",
				     "r-disabled",
				     "defer-taskrun",
				     "epoll-wait",
				     "epoll-ctl",
				     "registered-ring",
				     "region,epoll-wait,epoll-ctl",
				     "defer-taskrun,single-issuer" };

START_TEST(attached_here_used_in_a_thread)
{
	struct evring_config config = { .disable = masks[_i] };
	struct ev_loop *loop = new_loop();

	ck_assert_int_eq(evring_attach(loop, &config), 0);
	ck_assert_msg(works_in_thread(loop), "less %s", masks[_i]);
	ck_assert_uint_eq(stats_of(loop).rings_lost, 0);
	if (!masks[_i]) /* bound to no thread before its first run */
		ck_assert_uint_eq(stats_of(loop).ring_rebuilds, 0);
	ck_assert_msg(is_attached(loop), "less %s", masks[_i]);
	ck_assert_uint_eq(stats_of(loop).rings_lost, 0);
	ck_assert_int_eq(evring_detach(loop), 0);
	ck_assert(is_untouched(loop));
	ev_loop_destroy(loop);
}
END_TEST

static void *attach_and_leave(void *loop)
{
	return (void *)(intptr_t)evring_attach(loop, NULL);
}

START_TEST(attached_in_a_thread_used_here)
{
	struct ev_loop *loop = new_loop();
	pthread_t thread;
	void *r;

	ck_assert_int_eq(pthread_create(&thread, NULL, attach_and_leave, loop),
			 0);
	ck_assert_int_eq(pthread_join(thread, &r), 0);
	ck_assert_ptr_null(r);
	ck_assert(is_attached(loop));
	ck_assert_uint_eq(stats_of(loop).ring_rebuilds, 0);
	ev_loop_destroy(loop);
}
END_TEST

static void *attach_and_destroy(void *arg)
{
	bool *ok = arg;
	int i;

	for (i = 0, *ok = true; i < 50 && *ok; i++) {
		struct ev_loop *loop = new_loop();

		*ok = !evring_attach(loop, NULL) && is_attached(loop);
		if (i & 1)
			*ok = *ok && !evring_detach(loop);
		ev_loop_destroy(loop);
	}
	return NULL;
}

START_TEST(threads_attach_at_once)
{
	enum { NR_THREADS = 8 };
	pthread_t threads[NR_THREADS];
	bool ok[NR_THREADS];
	int i;

	for (i = 0; i < NR_THREADS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL,
						attach_and_destroy, &ok[i]),
				 0);
	for (i = 0; i < NR_THREADS; i++)
		ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
	for (i = 0; i < NR_THREADS; i++)
		ck_assert_msg(ok[i], "thread %d", i);
}
END_TEST

/*
 * what a program does behind our back
 */

START_TEST(ring_fd_closed_by_the_program)
{
	struct evring_config config = { .disable = masks[_i] };
	struct ev_loop *loop = new_loop();
	int ring_fd, fds[2];

	ck_assert_int_eq(evring_attach(loop, &config), 0);
	ck_assert(loop_works(loop));
	ring_fd = find_fd(RING_FD);
	ck_assert_int_eq(pipe(fds), 0);
	ck_assert_int_eq(dup2(fds[0], ring_fd), ring_fd);
	ck_assert_msg(loop_works(loop), "less %s", masks[_i]);
	ck_assert_int_ne(evring_tier(loop), EVRING_TIER_NONE);
	if (!masks[_i]) /* the registered number works on */
		ck_assert_uint_eq(stats_of(loop).ring_rebuilds, 0);
	ck_assert_int_eq(evring_detach(loop), 0);
	ck_assert_int_ge(fcntl(ring_fd, F_GETFD), 0);
	ck_assert_int_eq(write(fds[1], "x", 1), 1);
	ck_assert_int_eq(read(ring_fd, (char[1]){ 0 }, 1), 1);
	ck_assert(is_untouched(loop));
	ev_loop_destroy(loop);
	ck_assert_int_ge(fcntl(ring_fd, F_GETFD), 0);
	close(ring_fd);
	close(fds[0]);
	close(fds[1]);
}
END_TEST

/* daemon(3) as many write it: all fds closed, then ev_loop_fork(). */
static int close_all(void *arg)
{
	struct evring_config config = { .disable = masks[*(int *)arg] };
	struct ev_loop *loop = new_loop();
	int fd;

	child_assert(evring_attach(loop, &config) == 0);
	child_assert(loop_works(loop));
	for (fd = 3; fd < 1000; fd++)
		close(fd);
	ev_loop_fork(loop);
	ev_run(loop, EVRUN_NOWAIT); /* before the number of its set is reused */
	child_assert(loop_works(loop));
	child_assert(evring_tier(loop) != EVRING_TIER_NONE);
	child_assert(evring_detach(loop) == 0);
	child_assert(loop_works(loop));
	ev_loop_destroy(loop);
	return 0;
}

START_TEST(all_fds_closed_by_the_program)
{
	ck_assert_msg(!run_in_child(close_all, &_i), "less %s", masks[_i]);
}
END_TEST

/* A turn that sleeps and so needs the ring. */
static void sleep_a_turn(struct ev_loop *loop)
{
	ev_timer timer;

	ev_timer_init(&timer, ignore_timer, 0.001, 0.);
	ev_timer_start(loop, &timer);
	ev_run(loop, EVRUN_ONCE);
	ev_timer_stop(loop, &timer);
}

/* A turn whose timer is over before it begins needs no ring. */
static void sleep_until_lost(struct ev_loop *loop)
{
	int i;

	for (i = 0; i < 100 && evring_tier(loop) != EVRING_TIER_NONE; i++)
		sleep_a_turn(loop);
}

static int attach_by_name(struct ev_loop *loop,
			  const struct evring_config *config)
{
	return evring_default_loop(0, config) == loop ? 0 : -errno;
}

static int (*const ways_to_attach[])(struct ev_loop *,
				     const struct evring_config *) = {
	evring_attach, attach_by_name
};

/* The ring is lost when there is no fd for another one. */
static int lose_and_attach_again(void *row)
{
	struct evring_config config = { .disable = "registered-ring" };
	struct ev_loop *loop = ev_default_loop(EVBACKEND_EPOLL);
	struct evring_stats stats;
	int nr_fds;

	child_assert(evring_attach(loop, &config) == 0);
	child_assert(loop_works(loop));
	dup2(0, find_fd(RING_FD)); /* stays where the ring was */
	leave_fds(0);
	sleep_until_lost(loop);
	allow_fds();
	nr_fds = count_fds();
	child_assert(evring_tier(loop) == EVRING_TIER_NONE);
	child_assert(evring_stats(loop, &stats) == 0 && stats.rings_lost == 1);
	child_assert(evring_set_collect(loop, 0., 0) == -EINVAL);
	child_assert(loop_works(loop));
	child_assert(ways_to_attach[*(int *)row](loop, NULL) == 0);
	child_assert(evring_stats(loop, &stats) == 0 && stats.rings_lost == 0);
	child_assert(is_attached(loop));
	child_assert(evring_detach(loop) == 0);
	child_assert(is_untouched(loop));
	child_assert(count_fds() == nr_fds);
	return 0;
}

START_TEST(lost_ring_may_be_attached_again)
{
	ck_assert_int_eq(run_in_child(lose_and_attach_again, &_i), 0);
}
END_TEST

/*
 * fork
 */

static int run_inherited(void *loop)
{
	ev_loop_fork(loop);
	child_assert(is_attached(loop));
	child_assert(evring_detach(loop) == 0);
	child_assert(loop_works(loop));
	ev_loop_destroy(loop);
	return 0;
}

static int destroy_inherited(void *loop)
{
	ev_loop_destroy(loop);
	return 0;
}

static int detach_inherited(void *loop)
{
	child_assert(evring_detach(loop) == 0);
	child_assert(evring_tier(loop) == EVRING_TIER_NONE);
	return 0;
}

static int ignore_inherited(void *loop)
{
	child_assert(loop);
	return 0;
}

static const struct {
	const char *name;
	int (*body)(void *loop);
} children[] = {
	{ "runs it", run_inherited },
	{ "destroys it", destroy_inherited },
	{ "detaches it", detach_inherited },
	{ "ignores it", ignore_inherited },
};

START_TEST(child_leaves_the_loop_of_the_parent_alone)
{
	struct ev_loop *loop = new_loop();
	struct evring_stats before, after;
	int fds[2], nr_events = 0;
	ev_io io;

	ck_assert_int_eq(pipe2(fds, O_NONBLOCK), 0);
	ck_assert_int_eq(evring_attach(loop, NULL), 0);
	ck_assert(loop_works(loop));
	ev_io_init(&io, count_io, fds[0], EV_READ);
	io.data = &nr_events;
	ev_io_start(loop, &io);
	ev_run(loop, EVRUN_NOWAIT);
	before = stats_of(loop);
	ck_assert_msg(!run_in_child(children[_i].body, loop), "%s",
		      children[_i].name);
	after = stats_of(loop);
	ck_assert_mem_eq(&before, &after, sizeof(before));
	ck_assert_int_eq(write(fds[1], "x", 1), 1);
	ev_run(loop, EVRUN_ONCE);
	ck_assert_msg(nr_events == 1, "%s", children[_i].name);
	ev_io_stop(loop, &io);
	ck_assert(is_attached(loop));
	ck_assert_uint_eq(stats_of(loop).ring_rebuilds, 0);
	ev_loop_destroy(loop);
	close(fds[0]);
	close(fds[1]);
}
END_TEST

/*
 * loops made attached
 */

START_TEST(new_loop_comes_attached)
{
	struct ev_loop *loop = evring_loop_new(0, NULL);

	ck_assert_ptr_nonnull(loop);
	ck_assert(is_attached(loop));
	ck_assert_uint_eq(ev_backend(loop), EVBACKEND_EPOLL);
	ev_loop_destroy(loop);
	ck_assert_int_eq(find_fd(RING_FD), -1);
}
END_TEST

static const struct {
	unsigned flags;
	struct evring_config config;
	int error;
} refused_loops[] = {
	{ EVBACKEND_SELECT, { .flags = 0 }, ENOTSUP },
	{ EVBACKEND_EPOLL, { .flags = 1u << 7 }, EINVAL },
	{ 0, { .disable = "no-such" }, EINVAL },
	{ 0, { .flags = EVRING_REQUIRE_REGION, .disable = "region" }, ENODEV },
};

START_TEST(refused_new_loop_is_no_loop)
{
	int nr_fds = count_fds();

	errno = 0;
	ck_assert_ptr_null(evring_loop_new(refused_loops[_i].flags,
					   &refused_loops[_i].config));
	ck_assert_int_eq(errno, refused_loops[_i].error);
	ck_assert_int_eq(count_fds(), nr_fds);
}
END_TEST

START_TEST(refused_default_loop_is_no_loop)
{
	int nr_fds = count_fds();

	errno = 0;
	ck_assert_ptr_null(evring_default_loop(refused_loops[_i].flags,
					       &refused_loops[_i].config));
	ck_assert_int_eq(errno, refused_loops[_i].error);
	ck_assert_ptr_null(ev_default_loop_uc_());
	ck_assert_int_eq(count_fds(), nr_fds);
	ck_assert_ptr_nonnull(evring_default_loop(0, NULL));
	ck_assert(is_attached(EV_DEFAULT));
	ev_loop_destroy(EV_DEFAULT);
}
END_TEST

START_TEST(refused_default_loop_that_existed_stays)
{
	struct ev_loop *loop = ev_default_loop(EVBACKEND_EPOLL);

	errno = 0;
	ck_assert_ptr_null(evring_default_loop(0, &refused_loops[2].config));
	ck_assert_int_eq(errno, EINVAL);
	ck_assert_ptr_eq(ev_default_loop_uc_(), loop);
	ck_assert(loop_works(loop));
	ck_assert_ptr_eq(evring_default_loop(0, NULL), loop);
	ck_assert(is_attached(loop));
	ev_loop_destroy(loop);
}
END_TEST

START_TEST(attached_default_loop_is_returned_unchanged)
{
	struct evring_config copied = { .disable = "region" };
	struct ev_loop *loop = evring_default_loop(0, &copied);

	ck_assert_ptr_nonnull(loop);
	ck_assert_ptr_eq(evring_default_loop(0, &refused_loops[1].config),
			 loop);
	ck_assert_int_eq(evring_tier(loop), EVRING_TIER_COPIED);
	ck_assert(is_attached(loop));
	ev_loop_destroy(loop);
	ck_assert_int_eq(find_fd(RING_FD), -1);
}
END_TEST

static int loops_in_sandbox(void *arg)
{
	const struct refusal refusal = REFUSE(__NR_io_uring_setup, EPERM);
	struct evring_config config = { .flags = EVRING_ALLOW_NONE };
	int nr_fds = count_fds();
	struct ev_loop *loop;

	(void)arg;
	sandbox(&refusal, 1);
	errno = 0;
	child_assert(!evring_loop_new(0, NULL) && errno == EPERM);
	errno = 0;
	child_assert(!evring_default_loop(0, NULL) && errno == EPERM);
	child_assert(!ev_default_loop_uc_());
	child_assert(count_fds() == nr_fds);
	loop = evring_loop_new(0, &config);
	child_assert(loop && is_untouched(loop));
	ev_loop_destroy(loop);
	loop = evring_default_loop(0, &config);
	child_assert(loop && loop == ev_default_loop_uc_());
	child_assert(is_untouched(loop));
	ev_loop_destroy(loop);
	child_assert(count_fds() == nr_fds);
	return 0;
}

START_TEST(loops_without_a_ring_only_where_allowed)
{
	ck_assert_int_eq(run_in_child(loops_in_sandbox, NULL), 0);
}
END_TEST

/*
 * the suite
 */

static void add_refusals(Suite *suite)
{
	TCase *tcase = tcase_create("refusals");
	const char *reason = no_children();
	const char *no_offsets = under_valgrind()
					 ? "valgrind takes offsets in the "
					   "region for pointers"
					 : NULL;

	tcase_add_test(tcase, no_loop_is_invalid);
	tcase_add_loop_test(tcase, bad_config_is_refused, 0,
			    (int)ARRAY_SIZE(bad_configs));
	tcase_add_loop_test(tcase, good_config_is_accepted, 0,
			    (int)ARRAY_SIZE(good_configs));
	tcase_add_test(tcase, region_can_be_required);
	tcase_add_test(tcase, without_region_waits_are_copied);
	tcase_add_test(tcase, second_attach_is_busy);
	tcase_add_test(tcase, attachment_can_give_way);
	tcase_add_test(tcase, refused_attach_leaves_the_one_that_gives_way);
	tcase_add_test(tcase, default_loop_attached_to_give_way_is_taken_over);
	tcase_add_loop_test(tcase, other_backend_is_not_supported, 0,
			    (int)ARRAY_SIZE(other_backends));
	tcase_add_test(tcase, detach_without_attach_is_invalid);
	tcase_add_test(tcase, stats_are_counted_where_the_caller_wants);
	tcase_add_test(tcase, stats_need_a_place);
	tcase_add_loop_test(tcase, spin_is_checked, 0, ARRAY_SIZE(spins));
	tcase_add_test(tcase, spinning_ends_when_told_and_with_the_attachment);
	tcase_add_test(tcase, spin_is_handed_on_by_what_gives_way);
	tcase_add_test(tcase,
		       children_have_a_mapping_only_while_the_loop_spins);
	tcase_add_test(tcase, spinning_until_a_timer_is_counted_as_no_wait);
	tcase_add_loop_test(tcase, what_a_handler_tells_libev_ends_the_looking,
			    0, 8);
	tcase_add_loop_test(tcase, interval_to_collect_in_is_checked, 0,
			    (int)ARRAY_SIZE(intervals));
	tcase_add_test(tcase, collecting_needs_min_wait);
	add_or_leave_out(tcase,
			 collecting_ends_when_told_and_with_the_attachment,
			 no_offsets);
	add_or_leave_out(tcase, a_loop_that_collects_does_not_spin, no_offsets);
	add_loop_or_leave_out(tcase, refusal_of_the_system_is_returned,
			      (int)ARRAY_SIZE(sandboxes), reason);
	add_or_leave_out(tcase, no_fd_left_is_returned_and_passes, reason);
	add_or_leave_out(tcase, attach_needs_one_fd, reason);
	if (!reason && geteuid())
		reason = "only root can become another user";
	add_loop_or_leave_out(tcase, little_locked_memory_makes_a_smaller_ring,
			      (int)ARRAY_SIZE(little), reason);
	add_or_leave_out(tcase, no_locked_memory_is_returned, reason);
	add_or_leave_out(tcase, locked_memory_used_up_is_returned_and_passes,
			 reason);
	suite_add_tcase(suite, tcase);
}

static void add_life(Suite *suite)
{
	TCase *tcase = tcase_create("life");

	tcase_set_timeout(tcase, 30);
	tcase_add_test(tcase, attach_and_detach_leak_nothing);
	tcase_add_test(tcase, destroying_the_loop_detaches_it);
	tcase_add_test(tcase, new_loop_at_an_old_address_is_not_attached);
	tcase_add_test(tcase, detach_leaves_watchers_as_they_are);
	tcase_add_test(tcase, attach_keeps_what_belongs_to_the_program);
	tcase_add_test(tcase, binding_does_not_keep_the_loop_alive);
	tcase_add_test(tcase, errno_is_left_alone);
	tcase_add_test(tcase, stats_begin_anew_and_count);
	tcase_add_test(tcase, attach_from_a_callback);
	tcase_add_test(tcase, detach_from_a_callback);
	tcase_add_test(tcase, detach_loses_no_event_of_the_turn);
	tcase_add_test(tcase, attach_takes_over_started_watchers);
	tcase_add_test(tcase, a_hundred_loops_at_once);
	suite_add_tcase(suite, tcase);
}

static void add_threads_and_forks(Suite *suite)
{
	TCase *tcase = tcase_create("threads and forks");
	const char *reason = NULL;

	if (under_valgrind())
		reason = "valgrind 3.19 fails when threads map memory at once";

	tcase_set_timeout(tcase, 30);
	tcase_add_loop_test(tcase, attached_here_used_in_a_thread, 0,
			    (int)ARRAY_SIZE(masks));
	tcase_add_test(tcase, attached_in_a_thread_used_here);
	add_or_leave_out(tcase, threads_attach_at_once, reason);
	tcase_add_loop_test(tcase, ring_fd_closed_by_the_program, 0,
			    (int)ARRAY_SIZE(masks));
	add_loop_or_leave_out(tcase, all_fds_closed_by_the_program,
			      (int)ARRAY_SIZE(masks), no_children());
	add_loop_or_leave_out(tcase, lost_ring_may_be_attached_again,
			      ARRAY_SIZE(ways_to_attach), no_children());
	add_loop_or_leave_out(tcase, child_leaves_the_loop_of_the_parent_alone,
			      (int)ARRAY_SIZE(children), no_children());
	suite_add_tcase(suite, tcase);
}

static void add_loops(Suite *suite)
{
	TCase *tcase = tcase_create("loops");

	tcase_add_test(tcase, new_loop_comes_attached);
	tcase_add_loop_test(tcase, refused_new_loop_is_no_loop, 0,
			    (int)ARRAY_SIZE(refused_loops));
	tcase_add_loop_test(tcase, refused_default_loop_is_no_loop, 0,
			    (int)ARRAY_SIZE(refused_loops));
	tcase_add_test(tcase, refused_default_loop_that_existed_stays);
	tcase_add_test(tcase, attached_default_loop_is_returned_unchanged);
	add_or_leave_out(tcase, loops_without_a_ring_only_where_allowed,
			 no_children());
	suite_add_tcase(suite, tcase);
}

Suite *make_suite(void)
{
	Suite *suite = suite_create("bind");

	add_refusals(suite);
	add_life(suite);
	add_threads_and_forks(suite);
	add_loops(suite);
	return suite;
}
