/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * spin.c - look before sleeping: when it is begun and ended, what it enters the
 * kernel for.
 */
#include "config.h"

#include "harness.h"

#include <errno.h>
#include <evring.h>
#include <limits.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../lib/probe.h"
#include "../lib/ring.h"
#include "../lib/spin.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#define US  ((int64_t)1000)
#define MS  ((int64_t)1000000)
#define SEC ((int64_t)1000000000)

static const struct {
	double seconds;
	bool is_valid;
} lengths[] = {
	{ 0., true },	      { 50e-6, true },
	{ 1., true },	      { 1.001, false },
	{ -1e-9, false },     { -0.999, false },
	{ NAN, false },	      { INFINITY, false },
	{ -INFINITY, false }, { EVRING_SPIN_AUTO, true },
};

START_TEST(length_is_checked)
{
	ck_assert_int_eq(evr_spin_is_valid(lengths[_i].seconds),
			 lengths[_i].is_valid);
}
END_TEST

/*
 * learning
 */

static struct evr_spin spin;

static bool watches(void)
{
	return evr_spin_next(&spin) > 0;
}

/* A letter a wait: s short, l long, t ended by a timer, T by a late one. */
static void live(const char *waits)
{
	for (; *waits; waits++)
		evr_spin_learn(&spin,
			       *waits == 'l' || *waits == 'T' ? 10 * MS
							      : 20 * US,
			       *waits == 's' || *waits == 'l');
}

/* The number of waits that were watched in vain, or that were watched. */
struct tally {
	unsigned nr_vain, nr_watched;
};

/* So many short ones and a long one. */
static void live_burst(unsigned nr, struct tally *tally)
{
	unsigned i;

	for (i = 0; i < nr; i++) {
		tally->nr_watched += watches();
		live("s");
	}
	tally->nr_vain += watches();
	live("l");
}

START_TEST(fixed_length_always_holds)
{
	evr_spin_set(&spin, 50e-6);
	ck_assert_int_eq(evr_spin_next(&spin), 50 * US);
	live("llllTTTTllll");
	ck_assert_int_eq(evr_spin_next(&spin), 50 * US);
	evr_spin_set(&spin, 0.);
	ck_assert(!evr_spin_is_on(&spin));
}
END_TEST

static const struct {
	const char *waits;
	bool watches;
} lives[] = {
	{ "", false },
	{ "sssssss", false },
	{ "ssssssss", true },
	{ "sssslssss", false },		       /* in a row */
	{ "ssssttttssss", true },	       /* timers say nothing */
	{ "ssssTssss", false },		       /* but that nothing came */
	{ "ssssssssl", false },		       /* the first in vain ends it */
	{ "ssssssssT", false },		       /* whatever that was */
	{ "sssssssslssssssss", false },	       /* more is wanted then */
	{ "sssssssslssssssssssssssss", true }, /* twice as many */
	{ "ssssssssssssssssssssssssss", true },
};

START_TEST(auto_begins_and_ends)
{
	evr_spin_set(&spin, EVRING_SPIN_AUTO);
	ck_assert(evr_spin_is_on(&spin));
	live(lives[_i].waits);
	ck_assert_msg(watches() == lives[_i].watches, "%s", lives[_i].waits);
}
END_TEST

/* Each time it begins to watch, events stop: it costs that less and less. */
START_TEST(auto_gives_up_on_what_is_always_in_vain)
{
	unsigned i, nr_vain = 0;

	evr_spin_set(&spin, EVRING_SPIN_AUTO);
	for (i = 0; i < 1000000; i++) {
		nr_vain += watches();
		live(watches() ? "l" : "s");
	}
	ck_assert_uint_gt(nr_vain, 900);
	ck_assert_uint_lt(nr_vain, 1100);
}
END_TEST

START_TEST(auto_leaves_short_bursts_alone)
{
	struct tally tally = { 0, 0 };
	unsigned i;

	evr_spin_set(&spin, EVRING_SPIN_AUTO);
	for (i = 0; i < 10000; i++)
		live_burst(9, &tally);
	ck_assert_uint_eq(tally.nr_vain, 1);
}
END_TEST

START_TEST(auto_watches_what_talks_for_long)
{
	struct tally tally = { 0, 0 };
	unsigned i;

	evr_spin_set(&spin, EVRING_SPIN_AUTO);
	for (i = 0; i < 1000; i++)
		live_burst(1000, &tally);
	ck_assert_uint_le(tally.nr_vain, 1000);
	ck_assert_uint_gt(tally.nr_watched, 950000);
}
END_TEST

/* After a bad time it takes no longer than that to come back. */
START_TEST(auto_recovers)
{
	struct tally tally = { 0, 0 };
	unsigned i;

	evr_spin_set(&spin, EVRING_SPIN_AUTO);
	for (i = 0; i < 100000; i++)
		live(watches() ? "l" : "s");
	for (i = 0; i < 20; i++)
		live_burst(4000, &tally);
	tally.nr_watched = 0;
	live_burst(1000, &tally);
	ck_assert_uint_gt(tally.nr_watched, 950);
}
END_TEST

/*
 * looking
 */

static const char *const modes[] = { "", "region", "defer-taskrun",
				     "defer-taskrun,coop-taskrun" };

static struct evr_ring ring;
static struct evring_stats stats;

static void make(int mode)
{
	struct evr_ring_config config = { .entries = 8, .stats = &stats };

	memset(&stats, 0, sizeof(stats));
	ck_assert_int_eq(evr_probe(modes[mode], &config.have), 0);
	ck_assert_int_eq(evr_ring_init(&ring, &config), 0);
	ck_assert_int_eq(evr_ring_open_view(&ring), 0);
}

/* A completion comes then.  The kernel reads when when it gets the request. */
static void add_alarm(struct __kernel_timespec *when, int64_t ns)
{
	struct io_uring_sqe *sqe = evr_ring_get_sqe(&ring);

	when->tv_sec = ns / SEC;
	when->tv_nsec = ns % SEC;
	io_uring_prep_timeout(sqe, when, 0, 0);
	sqe->user_data = 7;
}

static void check_waits(uint64_t nr)
{
	ck_assert_uint_eq(stats.waits_by_offset + stats.waits_copied, nr);
}

START_TEST(event_ends_the_looking)
{
	struct __kernel_timespec when;

	make(_i);
	evr_spin_set(&spin, 1.);
	add_alarm(&when, 20 * MS);
	ck_assert_int_eq(evr_spin_wait(&spin, &ring, 3600 * SEC), 0);
	ck_assert_uint_eq(evr_ring_nr_ready(&ring), 1);
	ck_assert_uint_eq(stats.spins, 1);
	ck_assert_uint_eq(stats.spin_hits, 1);
	ck_assert_uint_le(stats.enters, 2); /* submit, take */
	check_waits(0);
	evr_ring_exit(&ring);
}
END_TEST

START_TEST(what_is_there_is_not_waited_for)
{
	struct io_uring_sqe *sqe;

	make(_i);
	evr_spin_set(&spin, 1.);
	sqe = evr_ring_get_sqe(&ring);
	io_uring_prep_nop(sqe);
	ck_assert_int_eq(evr_spin_wait(&spin, &ring, 3600 * SEC), 0);
	ck_assert_uint_eq(evr_ring_nr_ready(&ring), 1);
	ck_assert_uint_eq(stats.enters, 1);
	check_waits(0);
	evr_ring_exit(&ring);
}
END_TEST

START_TEST(timeout_ends_the_looking)
{
	double start = now();

	make(_i);
	evr_spin_set(&spin, 1.);
	ck_assert_int_eq(evr_spin_wait(&spin, &ring, 20 * MS), -ETIME);
	ck_assert(now() - start >= 0.02);
	ck_assert_uint_eq(stats.spins, 1);
	ck_assert_uint_eq(stats.spin_hits, 0);
	ck_assert_uint_eq(stats.enters, 0);
	evr_ring_exit(&ring);
}
END_TEST

/* Both halves together are as long as was asked for. */
START_TEST(sleep_follows_the_looking)
{
	struct __kernel_timespec when;
	double start = now();

	make(_i);
	evr_spin_set(&spin, 1e-3);
	ck_assert_int_eq(evr_spin_wait(&spin, &ring, 200 * MS), -ETIME);
	ck_assert(now() - start >= 0.2);
	check_waits(1);
	add_alarm(&when, 500 * MS);
	ck_assert_int_eq(evr_spin_wait(&spin, &ring, 3600 * SEC), 0);
	ck_assert_uint_eq(evr_ring_nr_ready(&ring), 1);
	ck_assert_uint_eq(stats.spins, 2);
	ck_assert_uint_eq(stats.spin_hits, 0);
	check_waits(2);
	evr_ring_exit(&ring);
}
END_TEST

START_TEST(auto_sleeps_until_it_has_learned)
{
	make(_i);
	evr_spin_set(&spin, EVRING_SPIN_AUTO);
	ck_assert_int_eq(evr_spin_wait(&spin, &ring, MS), -ETIME);
	ck_assert_uint_eq(stats.spins, 0);
	check_waits(1);
	live("ssssssss");
	/* long enough for a look that is interrupted by other processes */
	ck_assert_int_eq(evr_spin_wait(&spin, &ring, 200 * MS), -ETIME);
	ck_assert_uint_eq(stats.spins, 1);
	ck_assert_int_eq(evr_spin_wait(&spin, &ring, MS), -ETIME);
	ck_assert_uint_eq(stats.spins, 1); /* it was in vain */
	check_waits(3);
	evr_ring_exit(&ring);
}
END_TEST

/*
 * the view
 */

START_TEST(view_is_opened_once_and_goes_with_the_ring)
{
	int nr = count_mappings("io_uring"), nr_open;

	make(_i);
	nr_open = count_mappings("io_uring");
	ck_assert_int_eq(evr_ring_open_view(&ring), 0);
	ck_assert_int_eq(count_mappings("io_uring"), nr_open);
	evr_ring_exit(&ring);
	ck_assert_int_eq(count_mappings("io_uring"), nr);
}
END_TEST

/* The program closed the fd, and a ring of its own has the number now. */
START_TEST(view_of_another_ring_is_none)
{
	struct evr_ring_config config = { .entries = 8, .stats = &stats };
	struct evr_ring other;
	int fd;

	ck_assert_int_eq(evr_probe(modes[_i], &config.have), 0);
	ck_assert_int_eq(evr_ring_init(&ring, &config), 0);
	ck_assert_int_eq(evr_ring_init(&other, &config), 0);
	fd = dup(ring.uring.ring_fd);
	ck_assert_int_ge(dup2(other.uring.ring_fd, ring.uring.ring_fd), 0);
	ck_assert_int_eq(evr_ring_open_view(&ring), -EBADF);
	ck_assert_ptr_null(ring.view);
	ck_assert_int_ge(dup2(fd, ring.uring.ring_fd), 0);
	ck_assert_int_eq(evr_ring_open_view(&ring), 0);
	close(fd);
	evr_ring_exit(&ring);
	evr_ring_exit(&other);
}
END_TEST

/* Or a file of its own, which can be mapped, but has nothing to look at. */
START_TEST(view_of_another_file_is_none)
{
	struct evr_ring_config config = { .entries = 8, .stats = &stats };
	int nr, file = memfd_create("", 0);

	ck_assert_int_ge(file, 0);
	ck_assert_int_eq(evr_probe(modes[_i], &config.have), 0);
	ck_assert_int_eq(evr_ring_init(&ring, &config), 0);
	nr = count_mappings(NULL);
	ck_assert_int_ge(dup2(file, ring.uring.ring_fd), 0);
	ck_assert_int_eq(evr_ring_open_view(&ring), -EBADF);
	close(ring.uring.ring_fd);
	ck_assert_int_eq(evr_ring_open_view(&ring), -EBADF);
	ck_assert_int_eq(count_mappings(NULL), nr);
	close(file);
	evr_ring_exit(&ring);
}
END_TEST

static volatile sig_atomic_t is_child;
static volatile pid_t child;
static volatile double forked; /* when */

static void fork_here(int signal_nr)
{
	(void)signal_nr;
	forked = now();
	child = fork();
	is_child = !child;
}

/* What the child does where it comes back: it has no ring. */
static void end_child(void)
{
	int mappings = count_mappings("io_uring");

	if (evr_ring_is_mapped(&ring) || mappings != 1)
		_exit(1);
	evr_ring_exit(&ring);
	_exit(count_mappings("io_uring") ? 2 : 0);
}

START_TEST(child_forked_while_we_look_is_unharmed)
{
	const struct itimerval in_a_moment = { .it_value.tv_usec = 10000 };
	int i, status;

	make(_i);
	evr_spin_set(&spin, 1.);
	signal(SIGALRM, fork_here);
	for (i = 0; i < 10; i++) {
		setitimer(ITIMER_REAL, &in_a_moment, NULL);
		(void)evr_spin_wait(&spin, &ring, 50 * MS);
		if (is_child)
			end_child();
		ck_assert_int_eq(waitpid(child, &status, 0), child);
		ck_assert_int_eq(status, 0);
	}
	check_waits(0);
	evr_ring_exit(&ring);
}
END_TEST

/* The child's wait is over when it is forked, not when it has looked. */
START_TEST(child_forked_while_we_look_looks_no_more)
{
	const struct itimerval in_a_moment = { .it_value.tv_usec = 10000 };
	int status;

	make(_i);
	evr_spin_set(&spin, 1.);
	signal(SIGALRM, fork_here);
	setitimer(ITIMER_REAL, &in_a_moment, NULL);
	(void)evr_spin_wait(&spin, &ring, SEC);
	if (is_child)
		_exit(now() - forked > 0.5);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
	evr_ring_exit(&ring);
}
END_TEST

static void add(Suite *suite, const TTest *test, size_t nr)
{
	TCase *tcase = tcase_create("spin");

	tcase_set_timeout(tcase, 20);
	tcase_add_loop_test(tcase, test, 0, (int)nr);
	suite_add_tcase(suite, tcase);
}

Suite *make_suite(void)
{
	Suite *suite = suite_create("spin");

	add(suite, length_is_checked, ARRAY_SIZE(lengths));
	add(suite, fixed_length_always_holds, 1);
	add(suite, auto_begins_and_ends, ARRAY_SIZE(lives));
	add(suite, auto_gives_up_on_what_is_always_in_vain, 1);
	add(suite, auto_leaves_short_bursts_alone, 1);
	add(suite, auto_watches_what_talks_for_long, 1);
	add(suite, auto_recovers, 1);
	add(suite, event_ends_the_looking, ARRAY_SIZE(modes));
	add(suite, what_is_there_is_not_waited_for, ARRAY_SIZE(modes));
	add(suite, timeout_ends_the_looking, ARRAY_SIZE(modes));
	add(suite, sleep_follows_the_looking, ARRAY_SIZE(modes));
	add(suite, auto_sleeps_until_it_has_learned, ARRAY_SIZE(modes));
	add(suite, view_is_opened_once_and_goes_with_the_ring,
	    ARRAY_SIZE(modes));
	add(suite, view_of_another_ring_is_none, ARRAY_SIZE(modes));
	add(suite, view_of_another_file_is_none, ARRAY_SIZE(modes));
	add(suite, child_forked_while_we_look_is_unharmed, ARRAY_SIZE(modes));
	add(suite, child_forked_while_we_look_looks_no_more, ARRAY_SIZE(modes));
	return suite;
}
