/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ring.c - one ring with its wait region: make, submit, wait, reap, close.
 *
 * Every promise is tested in every mode: with the region in the memory of the
 * kernel and of the process, with copied arguments, and less other features
 * that change the way into the kernel.
 */
#include "config.h"

#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "../lib/probe.h"
#include "../lib/ring.h"
#include "../lib/self.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

enum {
	NR_ENTRIES = 8,
	NR_SLOTS = 63, /* of a page; the kernel cannot read the last */
};

#define MS  ((int64_t)1000000)
#define SEC ((int64_t)1000000000)

/* Nothing but a wait that does not end takes so long, in seconds. */
static const double PATIENCE = 10.;

static const struct {
	const char *name;
	const char *mask;
	bool user_region;
} modes[] = {
	{ "kernel region", NULL, false },
	{ "user region", NULL, true },
	{ "user region, the kernel has none", "kernel-memory", false },
	{ "copied", "region", false },
	{ "no registered ring", "registered-ring", false },
	{ "coop", "defer-taskrun", false },
	{ "no issuer", "single-issuer,coop-taskrun", false },
	{ "not disabled", "r-disabled", false },
	{ "plain",
	  "r-disabled,single-issuer,coop-taskrun,submit-all,"
	  "registered-ring,no-iowait",
	  false },
};

enum { NR_MODES = ARRAY_SIZE(modes) };

static struct evr_ring ring;
static struct evr_ring_config config;
static struct evring_stats stats;

static void set_config(int mode)
{
	memset(&config, 0, sizeof(config));
	memset(&stats, 0, sizeof(stats));
	ck_assert_int_eq(evr_probe(modes[mode].mask, &config.have), 0);
	config.entries = NR_ENTRIES;
	config.stats = &stats;
	config.user_region = modes[mode].user_region;
}

static void make(int mode)
{
	int r;

	set_config(mode);
	memset(&ring, 0, sizeof(ring));
	r = evr_ring_init(&ring, &config);
	ck_assert_msg(!r, "%s: %d", modes[mode].name, r);
	ck_assert_msg(!ring.region == !(config.have & EVR_HAVE_REGION), "%s",
		      modes[mode].name);
}

/* What the last reap found. */
static struct {
	uint64_t user_data[1024];
	int res[1024];
	int nr;
} seen;

static void see(void *arg, uint64_t user_data, int res, unsigned flags)
{
	(void)flags;
	ck_assert_ptr_eq(arg, &seen);
	ck_assert_int_lt(seen.nr, (int)ARRAY_SIZE(seen.res));
	seen.user_data[seen.nr] = user_data;
	seen.res[seen.nr++] = res;
}

static int reap(struct evr_ring *r)
{
	seen.nr = 0;
	evr_ring_reap(r, UINT_MAX, see, &seen);
	return seen.nr;
}

static void add_nop(struct evr_ring *r, uint64_t user_data)
{
	struct io_uring_sqe *sqe = evr_ring_get_sqe(r);

	ck_assert_ptr_nonnull(sqe);
	io_uring_prep_nop(sqe);
	sqe->user_data = user_data;
}

static void add_poll(struct evr_ring *r, int fd, uint64_t user_data)
{
	struct io_uring_sqe *sqe = evr_ring_get_sqe(r);

	ck_assert_ptr_nonnull(sqe);
	io_uring_prep_poll_add(sqe, fd, POLLIN);
	sqe->user_data = user_data;
}

static bool waits(struct evr_ring *r)
{
	return evr_ring_wait(r, 0) == -ETIME;
}

/*
 * waiting
 */

static const int64_t short_waits[] = { 0, 1, 999, MS, 5 * MS, 60 * MS };

/* How long a wait takes that nothing ends. */
static double time_of_wait(int mode, int64_t ns)
{
	double start = now(), took;
	int r = evr_ring_wait(&ring, ns);

	took = now() - start;
	ck_assert_msg(r == -ETIME, "%s: %d", modes[mode].name, r);
	ck_assert_msg(took * 1e9 >= (double)ns, "%s: waited %.9f of %.9f",
		      modes[mode].name, took, (double)ns * 1e-9);
	return took;
}

/* It may be late whenever the machine is, but then not each time. */
START_TEST(wait_times_out_and_not_early)
{
	int mode = _i % NR_MODES, tries = 5;
	int64_t ns = short_waits[_i / NR_MODES];
	double took;

	make(mode);
	ck_assert(waits(&ring));
	do
		took = time_of_wait(mode, ns);
	while (took >= (double)ns * 1e-9 + 1. && --tries);
	ck_assert_msg(tries, "%s: waited %.9f", modes[mode].name, took);
	ck_assert_int_eq(reap(&ring), 0);
	evr_ring_exit(&ring);
}
END_TEST

START_TEST(wait_returns_on_a_completion)
{
	double start = now();

	make(_i);
	add_nop(&ring, 4711);
	ck_assert_int_eq(evr_ring_wait(&ring, 3600 * SEC), 0);
	ck_assert(now() - start < PATIENCE);
	ck_assert_int_eq(reap(&ring), 1);
	ck_assert_uint_eq(seen.user_data[0], 4711);
	ck_assert_int_eq(seen.res[0], 0);
	ck_assert(waits(&ring));
	ck_assert_int_eq(reap(&ring), 0);
	evr_ring_exit(&ring);
}
END_TEST

static void *write_later(void *fd)
{
	usleep(20000);
	return (void *)(intptr_t)write(*(int *)fd, "x", 1);
}

START_TEST(wait_is_woken_by_what_comes_later)
{
	pthread_t thread;
	int fds[2];

	ck_assert_int_eq(pipe(fds), 0);
	make(_i);
	add_poll(&ring, fds[0], 5);
	ck_assert_int_eq(evr_ring_wait(&ring, 0), 0); /* the submission */
	ck_assert_int_eq(reap(&ring), 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, write_later, &fds[1]),
			 0);
	ck_assert_int_eq(evr_ring_wait(&ring, 3600 * SEC), 0);
	ck_assert_int_eq(reap(&ring), 1);
	ck_assert_int_eq(seen.res[0], POLLIN);
	pthread_join(thread, NULL);
	evr_ring_exit(&ring);
	close(fds[0]);
	close(fds[1]);
}
END_TEST

static void ignore_signal(int number)
{
	(void)number;
}

/*
 * A signal every 10 ms, with a handler after which most system calls would go
 * on.  The first may come before the wait begins.
 */
static void start_signals(void)
{
	struct sigaction action = { .sa_handler = ignore_signal,
				    .sa_flags = SA_RESTART };
	struct itimerval often = { { 0, 10000 }, { 0, 10000 } };

	ck_assert_int_eq(sigaction(SIGALRM, &action, NULL), 0);
	ck_assert_int_eq(setitimer(ITIMER_REAL, &often, NULL), 0);
}

static void stop_signals(void)
{
	struct itimerval never = { { 0, 0 }, { 0, 0 } };

	ck_assert_int_eq(setitimer(ITIMER_REAL, &never, NULL), 0);
}

START_TEST(wait_is_ended_by_a_signal_handler)
{
	double start = now();

	make(_i);
	ck_assert(waits(&ring));
	start_signals();
	ck_assert_int_eq(evr_ring_wait(&ring, 3600 * SEC), -EINTR);
	stop_signals();
	ck_assert(now() - start < PATIENCE);
	ck_assert(waits(&ring));
	evr_ring_exit(&ring);
}
END_TEST

/* What the region has: for waits, for waits that collect, nothing else. */
static void check_slots(const struct io_uring_reg_wait *blocking,
			const struct io_uring_reg_wait *collecting)
{
	static const struct io_uring_reg_wait none;
	int i;

	ck_assert_mem_eq(&ring.region[0], blocking, sizeof(none));
	ck_assert_mem_eq(&ring.region[1], collecting, sizeof(none));
	for (i = 2; i < NR_SLOTS; i++)
		ck_assert_mem_eq(&ring.region[i], &none, sizeof(none));
}

static const struct {
	int64_t ns, sec, nsec;
} split_times[] = {
	{ 0, 0, 0 },
	{ 1, 0, 1 },
	{ SEC - 1, 0, SEC - 1 },
	{ SEC, 1, 0 },
	{ 90 * SEC + 7, 90, 7 },
	{ INT64_MAX, INT64_MAX / SEC, INT64_MAX % SEC },
};

/* A long wait that a NOP ends at once; then what is written is looked at. */
START_TEST(timeout_is_written_where_the_kernel_reads)
{
	struct io_uring_reg_wait want = { .flags = IORING_REG_WAIT_TS };
	const struct io_uring_reg_wait unused = want;
	size_t i;

	make(_i);
	for (i = 0; i < ARRAY_SIZE(split_times); i++) {
		add_nop(&ring, i);
		ck_assert_int_eq(evr_ring_wait(&ring, split_times[i].ns), 0);
		ck_assert_int_eq(reap(&ring), 1);
		want.ts.tv_sec = split_times[i].sec;
		want.ts.tv_nsec = split_times[i].nsec;
		if (ring.region)
			check_slots(&want, &unused);
		else
			ck_assert_mem_eq(&ring.ts, &want.ts, sizeof(want.ts));
	}
	evr_ring_exit(&ring);
}
END_TEST

START_TEST(waits_and_enters_are_counted)
{
	bool region;
	int i;

	make(_i);
	region = config.have & EVR_HAVE_REGION;
	for (i = 0; i < 5; i++)
		ck_assert(waits(&ring));
	ck_assert_uint_eq(stats.enters, 5);
	ck_assert_uint_eq(stats.waits_by_offset, region ? 5 : 0);
	ck_assert_uint_eq(stats.waits_copied, region ? 0 : 5);
	ck_assert_uint_eq(stats.requests, 0);
	add_nop(&ring, 1);
	add_nop(&ring, 2);
	ck_assert_int_eq(evr_ring_submit(&ring), 0);
	ck_assert_int_eq(reap(&ring), 2);
	ck_assert_uint_eq(stats.enters, 6);
	ck_assert_uint_eq(stats.requests, 2);
	ck_assert_uint_eq(stats.completions, 2);
	ck_assert_uint_eq(stats.waits_by_offset, region ? 5 : 0);
	ck_assert_uint_eq(stats.overflows, 0);
	evr_ring_exit(&ring);
}
END_TEST

START_TEST(counters_outlive_the_ring)
{
	make(_i);
	ck_assert(waits(&ring));
	evr_ring_exit(&ring);
	ck_assert_int_eq(evr_ring_init(&ring, &config), 0);
	ck_assert(waits(&ring));
	evr_ring_exit(&ring);
	ck_assert_uint_ge(stats.enters, 2);
	ck_assert_uint_eq(stats.waits_by_offset + stats.waits_copied, 2);
}
END_TEST

START_TEST(flags_are_what_is_had)
{
	unsigned flags;

	make(_i);
	ck_assert(waits(&ring));
	flags = ring.uring.flags;
	ck_assert_int_eq(!(flags & IORING_SETUP_R_DISABLED),
			 !(config.have & EVR_HAVE_R_DISABLED));
	ck_assert_int_eq(!(flags & IORING_SETUP_DEFER_TASKRUN),
			 !(config.have & EVR_HAVE_DEFER_TASKRUN));
	ck_assert_int_eq(!(flags & IORING_SETUP_SINGLE_ISSUER),
			 !(config.have & EVR_HAVE_SINGLE_ISSUER));
	ck_assert_int_eq(!(flags & IORING_SETUP_SUBMIT_ALL),
			 !(config.have & EVR_HAVE_SUBMIT_ALL));
	ck_assert_int_eq(!(ring.wait_flags & IORING_ENTER_NO_IOWAIT),
			 !(config.have & EVR_HAVE_NO_IOWAIT));
	ck_assert_int_eq(!(ring.wait_flags & IORING_ENTER_EXT_ARG_REG),
			 !(config.have & EVR_HAVE_REGION));
	ck_assert_int_eq(!(ring.enter_flags & IORING_ENTER_REGISTERED_RING),
			 !(config.have & EVR_HAVE_REGISTERED_RING));
	evr_ring_exit(&ring);
}
END_TEST

/*
 * collecting
 */

/* Completes after so long.  (A timeout request that expires ends any wait.) */
static void add_alarm(struct evr_ring *r, int64_t ns)
{
	struct itimerspec after = { .it_value = { .tv_sec = ns / SEC,
						  .tv_nsec = ns % SEC } };
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(timerfd_settime(fd, 0, &after, NULL), 0);
	add_poll(r, fd, 1);
}

/* clang-format off */
static const struct {
	const char *name;
	int64_t alarms[3]; /* when requests complete; 0: none */
	int64_t timeout, min;
	unsigned nr;
	int nr_seen;
	int64_t not_before, not_after;
} collections[] = {
	{ "what comes within min-wait comes together",
	  { MS, 20 * MS, 30 * MS }, 3600 * SEC, 250 * MS, 0,
	  3, 250 * MS, 5 * SEC },
	{ "what comes after min-wait ends the wait",
	  { 60 * MS, 3600 * SEC }, 3600 * SEC, 20 * MS, 0,
	  1, 60 * MS, 5 * SEC },
	{ "enough ends min-wait",
	  { MS, 20 * MS, 3600 * SEC }, 3600 * SEC, 3000 * SEC, 2,
	  2, 20 * MS, 5 * SEC },
	{ "the first is enough",
	  { 20 * MS, 3600 * SEC }, 3600 * SEC, 3000 * SEC, 1,
	  1, 20 * MS, 5 * SEC },
	{ "min-wait ends with the timeout",
	  { MS }, 40 * MS, 3600 * SEC, 0,
	  1, 40 * MS, 5 * SEC },
	{ "nothing comes",
	  { 0 }, 40 * MS, 10 * MS, 0,
	  0, 40 * MS, 5 * SEC },
	{ "nothing comes, and min-wait is longer",
	  { 0 }, 40 * MS, 3600 * SEC, 0,
	  0, 40 * MS, 5 * SEC },
	{ "min-wait of nothing is a wait for one",
	  { 20 * MS, 3600 * SEC }, 3600 * SEC, 0, 0,
	  1, 20 * MS, 5 * SEC },
	{ "min-wait of less than a microsecond, too",
	  { 20 * MS, 3600 * SEC }, 3600 * SEC, 999, 0,
	  1, 20 * MS, 5 * SEC },
	{ "timeout of nothing",
	  { 3600 * SEC }, 0, 3600 * SEC, 0,
	  0, 0, 5 * SEC },
	{ "longest min-wait there is",
	  { MS }, 40 * MS, INT64_MAX, 0,
	  1, 40 * MS, 5 * SEC },
};
/* clang-format on */

START_TEST(wait_that_collects)
{
	int row = _i / NR_MODES, i;
	double start, took;
	int r;

	make(_i % NR_MODES);
	ck_assert(waits(&ring));
	start = now(); /* before the alarms, which go on while we are held up */
	for (i = 0; i < 3; i++)
		if (collections[row].alarms[i])
			add_alarm(&ring, collections[row].alarms[i]);
	r = evr_ring_collect(&ring, collections[row].timeout,
			     collections[row].min, collections[row].nr);
	took = (now() - start) * 1e9;
	ck_assert_msg(r == 0 || r == -ETIME, "%s: %d", collections[row].name,
		      r);
	ck_assert_msg(took >= (double)collections[row].not_before &&
			      took < (double)collections[row].not_after,
		      "%s: %s: %.3f ms", modes[_i % NR_MODES].name,
		      collections[row].name, took * 1e-6);
	ck_assert_msg(reap(&ring) == collections[row].nr_seen, "%s: %s: %d",
		      modes[_i % NR_MODES].name, collections[row].name,
		      seen.nr);
	evr_ring_exit(&ring);
}
END_TEST

START_TEST(min_wait_stays_in_the_slot_of_its_kind)
{
	struct io_uring_reg_wait wait = { .flags = IORING_REG_WAIT_TS,
					  .ts = { .tv_sec = 3600 } };
	struct io_uring_reg_wait collect = { .flags = IORING_REG_WAIT_TS,
					     .min_wait_usec = 70000,
					     .ts = { .tv_nsec = 70 * MS } };
	double start = now();

	make(_i);
	ck_assert_int_eq(evr_ring_collect(&ring, 70 * MS, 3600 * SEC, 0),
			 -ETIME);
	add_nop(&ring, 1);
	add_alarm(&ring, 3000 * SEC);
	ck_assert_int_eq(evr_ring_wait(&ring, 3600 * SEC), 0);
	ck_assert(now() - start < PATIENCE);
	ck_assert_int_eq(reap(&ring), 1);
	if (ring.region)
		check_slots(&wait, &collect);
	else
		ck_assert_uint_eq(ring.arg.min_wait_usec, 0);
	ck_assert_uint_eq(stats.waits_by_offset, ring.region ? 2 : 0);
	ck_assert_uint_eq(stats.waits_copied, ring.region ? 0 : 2);
	evr_ring_exit(&ring);
}
END_TEST

START_TEST(collecting_is_ended_by_a_signal_handler)
{
	double start = now();

	make(_i);
	ck_assert(waits(&ring));
	start_signals();
	ck_assert_int_eq(evr_ring_collect(&ring, 3600 * SEC, 3000 * SEC, 0),
			 -EINTR);
	stop_signals();
	ck_assert(now() - start < PATIENCE);
	evr_ring_exit(&ring);
}
END_TEST

/* A busy machine may wake us late, most of the time. */
static int try_until(int want, unsigned min_us)
{
	double start = now();
	int r;

	do
		r = evr_ring_try_min_wait(&config, min_us);
	while (r != want && now() - start < PATIENCE / 2);
	return r;
}

/* Without any min-wait a wait for more goes on after the first: so does one
   with a min-wait that has the defect of Linux 6.12. */
START_TEST(defect_of_min_wait_is_seen)
{
	int i, nr_fds = count_fds();

	set_config(_i);
	ck_assert_int_eq(try_until(1, 50), 1);
	for (i = 0; i < 3; i++)
		ck_assert_int_eq(evr_ring_try_min_wait(&config, 0), 2);
	ck_assert_int_eq(count_fds(), nr_fds);
	ck_assert_uint_eq(stats.enters, 0);
}
END_TEST

/* What a signal handler would see.  It may be blocked, then it comes later. */
START_TEST(signal_does_not_look_like_a_completion)
{
	struct sigaction action = { .sa_handler = ignore_signal };
	struct itimerval often = { { 0, 1000 }, { 0, 1000 } };
	int i;

	set_config(_i);
	ck_assert_int_eq(sigaction(SIGALRM, &action, NULL), 0);
	ck_assert_int_eq(setitimer(ITIMER_REAL, &often, NULL), 0);
	for (i = 0; i < 3; i++)
		ck_assert_int_eq(evr_ring_try_min_wait(&config, 0), 2);
}
END_TEST

/*
 * queues
 */

START_TEST(full_queue_submits_by_itself)
{
	int i;

	make(_i);
	for (i = 0; i < NR_ENTRIES; i++)
		add_nop(&ring, (uint64_t)i);
	ck_assert_uint_eq(stats.enters, 0);
	add_nop(&ring, NR_ENTRIES);
	ck_assert_uint_eq(stats.enters, 1);
	ck_assert_uint_eq(stats.requests, NR_ENTRIES);
	ck_assert(evr_ring_has_unsent(&ring));
	ck_assert_int_eq(evr_ring_submit(&ring), 0);
	ck_assert_int_eq(reap(&ring), NR_ENTRIES + 1);
	for (i = 0; i <= NR_ENTRIES; i++)
		ck_assert_uint_eq(seen.user_data[i], (uint64_t)i);
	evr_ring_exit(&ring);
}
END_TEST

START_TEST(sqes_come_cleared_and_numbered)
{
	static const struct io_uring_sqe none;
	struct io_uring_sqe *sqe;
	unsigned i, had = 0;

	make(_i);
	ck_assert_uint_eq(evr_ring_entries(&ring), NR_ENTRIES);
	for (i = 0; i < NR_ENTRIES * 2; i++) {
		sqe = evr_ring_get_sqe(&ring);
		ck_assert_ptr_nonnull(sqe);
		ck_assert_mem_eq(sqe, &none, sizeof(none));
		ck_assert_uint_lt(evr_ring_sqe_index(&ring, sqe), NR_ENTRIES);
		had |= 1u << evr_ring_sqe_index(&ring, sqe);
		memset(sqe, 0xff, sizeof(*sqe)); /* an unknown opcode */
		sqe->flags = 0;
		if (i == NR_ENTRIES - 1)
			ck_assert_uint_eq(had, (1u << NR_ENTRIES) - 1);
	}
	evr_ring_exit(&ring);
}
END_TEST

/* Submitted one by one, so that nothing is reaped on the way. */
START_TEST(overflow_loses_nothing)
{
	enum { NR = 300 };
	bool has_overflown = false;
	int i, nr = 0, patience = 100;

	make(_i);
	for (i = 0; i < NR; i++) {
		add_nop(&ring, (uint64_t)i);
		ck_assert_int_ge(evr_ring_submit(&ring), -EBUSY);
		has_overflown |= evr_ring_has_overflown(&ring);
	}
	ck_assert(has_overflown);
	do {
		reap(&ring);
		for (i = 0; i < seen.nr; i++)
			ck_assert_uint_eq(seen.user_data[i], (uint64_t)nr++);
		(void)evr_ring_submit(&ring);
	} while (nr < NR && --patience);
	ck_assert_int_eq(nr, NR);
	ck_assert_int_eq(reap(&ring), 0);
	ck_assert(!evr_ring_has_overflown(&ring));
	ck_assert_uint_ge(stats.overflows, 1);
	ck_assert_uint_eq(stats.completions, NR);
	evr_ring_exit(&ring);
}
END_TEST

/* Of a request in what was seen; the order is the kernel's. */
static int result_of(uint64_t user_data)
{
	int i;

	for (i = 0; i < seen.nr; i++)
		if (seen.user_data[i] == user_data)
			return seen.res[i];
	ck_abort_msg("request %d has not answered", (int)user_data);
}

/* SUBMIT_ALL or not: what is behind a bad request is sent too. */
START_TEST(bad_request_does_not_stop_the_others)
{
	struct io_uring_sqe *sqe;

	make(_i);
	add_nop(&ring, 1);
	sqe = evr_ring_get_sqe(&ring);
	sqe->opcode = 255;
	sqe->user_data = 2;
	add_nop(&ring, 3);
	ck_assert_int_eq(evr_ring_wait(&ring, 3600 * SEC), 0);
	ck_assert(!evr_ring_has_unsent(&ring));
	ck_assert_int_eq(reap(&ring), 3);
	ck_assert_int_eq(result_of(1), 0);
	ck_assert_int_eq(result_of(2), -EINVAL);
	ck_assert_int_eq(result_of(3), 0);
	evr_ring_exit(&ring);
}
END_TEST

START_TEST(news_and_unsent_tell_the_truth)
{
	int fds[2];

	ck_assert_int_eq(pipe(fds), 0);
	make(_i);
	ck_assert(!evr_ring_has_unsent(&ring));
	ck_assert(!evr_ring_has_news(&ring));
	add_poll(&ring, fds[0], 1);
	ck_assert(evr_ring_has_unsent(&ring));
	ck_assert_int_eq(evr_ring_submit(&ring), 0);
	ck_assert(!evr_ring_has_unsent(&ring));
	ck_assert(!evr_ring_has_news(&ring));
	ck_assert_int_eq(write(fds[1], "x", 1), 1);
	if (config.have & (EVR_HAVE_DEFER_TASKRUN | EVR_HAVE_COOP_TASKRUN))
		ck_assert(evr_ring_has_news(&ring)); /* without an enter */
	ck_assert_int_eq(evr_ring_submit(&ring), 0);
	ck_assert(evr_ring_has_news(&ring));
	ck_assert_int_eq(reap(&ring), 1);
	ck_assert(!evr_ring_has_news(&ring));
	evr_ring_exit(&ring);
	close(fds[0]);
	close(fds[1]);
}
END_TEST

static bool note(void *arg, uint64_t user_data)
{
	see(arg, user_data, 0, 0);
	return false;
}

START_TEST(unsent_is_taken_back_in_order)
{
	make(_i);
	add_nop(&ring, 1);
	ck_assert_int_eq(evr_ring_submit(&ring), 0);
	ck_assert_int_eq(reap(&ring), 1);
	add_nop(&ring, 2);
	add_nop(&ring, 3);
	add_nop(&ring, 4);
	seen.nr = 0;
	evr_ring_take_back(&ring, note, &seen);
	ck_assert_int_eq(seen.nr, 3);
	ck_assert_uint_eq(seen.user_data[0], 2);
	ck_assert_uint_eq(seen.user_data[2], 4);
	ck_assert(!evr_ring_has_unsent(&ring));
	add_nop(&ring, 5);
	ck_assert_int_eq(evr_ring_wait(&ring, 3600 * SEC), 0);
	ck_assert_int_eq(reap(&ring), 1);
	ck_assert_uint_eq(seen.user_data[0], 5);
	evr_ring_exit(&ring);
}
END_TEST

/*
 * finishing
 */

static void close_pair(const int fds[2])
{
	close(fds[0]);
	close(fds[1]);
}

/* A worker waits for what is to come from one pipe into another, and for a poll
   there is none. */
static void add_requests(const int from[2], const int to[2])
{
	struct io_uring_sqe *sqe = evr_ring_get_sqe(&ring);

	ck_assert_ptr_nonnull(sqe);
	io_uring_prep_splice(sqe, from[0], -1, to[1], -1, 1, 0);
	sqe->user_data = 1;
	add_poll(&ring, from[0], 2);
	ck_assert_int_ge(evr_ring_flush(&ring), 0);
}

static int finish_by_register(uint64_t user_data)
{
	return evr_ring_finish(&ring, user_data);
}

/* No request has its answer's user_data. */
static int finish_by_requests(uint64_t user_data)
{
	return evr_ring_finish_by_requests(&ring, user_data, 1000);
}

START_TEST(finished_is_not_under_way)
{
	static int (*const ways[])(uint64_t user_data) = { finish_by_register,
							   finish_by_requests };
	int from[2], to[2];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(ways); i++) {
		make(_i);
		ck_assert_int_eq(pipe(from), 0);
		ck_assert_int_eq(pipe(to), 0);
		add_requests(from, to);
		ck_assert_int_eq(ways[i](3), 0);
		ck_assert_int_eq(ways[i](1), 1);
		ck_assert_int_eq(ways[i](1), 0);
		ck_assert_int_eq(ways[i](2), 1);
		evr_ring_exit(&ring);
		close_pair(from);
		close_pair(to);
	}
}
END_TEST

/* It could be in the middle of a chain, or not be filled yet. */
START_TEST(what_is_unsent_is_not_sent_to_finish_another)
{
	make(_i);
	add_nop(&ring, 1);
	ck_assert_int_eq(finish_by_requests(2), -EBUSY);
	ck_assert(evr_ring_has_unsent(&ring));
	evr_ring_exit(&ring);
}
END_TEST

/*
 * closing
 */

START_TEST(init_and_exit_leave_nothing)
{
	int nr_fds = count_fds(), nr_mappings = 0, i;

	for (i = 0; i < 50; i++) {
		make(_i);
		ck_assert_int_eq(count_fds(), nr_fds + 1);
		if (i & 1)
			ck_assert(waits(&ring));
		evr_ring_exit(&ring);
		ck_assert_int_eq(count_fds(), nr_fds);
		ck_assert_int_eq(count_mappings("[io_uring]"), 0);
		if (i == 5)
			nr_mappings = count_mappings(NULL);
	}
	/* the heap and the sanitizers may take a few */
	ck_assert_int_le(count_mappings(NULL), nr_mappings + 10);
}
END_TEST

static int init_without_fds(void *mode)
{
	struct rlimit limit = { .rlim_cur = 3, .rlim_max = 100 };
	int nr_mappings, r;

	set_config(*(int *)mode);
	nr_mappings = count_mappings(NULL);
	setrlimit(RLIMIT_NOFILE, &limit);
	r = evr_ring_init(&ring, &config);
	limit.rlim_cur = 100;
	setrlimit(RLIMIT_NOFILE, &limit);
	child_assert(r == -EMFILE);
	child_assert(count_mappings(NULL) <= nr_mappings + 1);
	child_assert(count_mappings("[io_uring]") == 0);
	child_assert(evr_ring_init(&ring, &config) == 0);
	child_assert(waits(&ring));
	return 0;
}

START_TEST(refused_init_leaves_nothing)
{
	ck_assert_int_eq(run_in_child(init_without_fds, &_i), 0);
}
END_TEST

/*
 * An armed poll holds its file: the pipe has a reader until the poll is gone,
 * although its fd is closed.
 */
static bool is_released(int write_fd)
{
	struct pollfd pollfd = { .fd = write_fd, .events = 0 };

	return poll(&pollfd, 1, (int)PATIENCE * 1000) == 1 &&
	       pollfd.revents & POLLERR;
}

START_TEST(exit_ends_requests)
{
	int fds[2];

	ck_assert_int_eq(pipe(fds), 0);
	make(_i);
	add_poll(&ring, fds[0], 1);
	ck_assert_int_eq(evr_ring_submit(&ring), 0);
	close(fds[0]);
	evr_ring_exit(&ring);
	ck_assert_msg(is_released(fds[1]), "%s", modes[_i].name);
	close(fds[1]);
}
END_TEST

static void *exit_there(void *unused)
{
	(void)unused;
	evr_ring_exit(&ring);
	return NULL;
}

static void in_thread(void *(*body)(void *), void *arg)
{
	pthread_t thread;

	ck_assert_int_eq(pthread_create(&thread, NULL, body, arg), 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
}

/*
 * The table of registered ring fds, which only its thread can change, keeps a
 * ring until that thread makes the next one.
 */
START_TEST(exit_from_another_thread_ends_requests)
{
	int fds[2], nr_fds;

	ck_assert_int_eq(pipe(fds), 0);
	nr_fds = count_fds();
	make(_i);
	add_poll(&ring, fds[0], 1);
	ck_assert_int_eq(evr_ring_submit(&ring), 0);
	in_thread(exit_there, NULL);
	ck_assert_int_eq(count_fds(), nr_fds);
	ck_assert_int_eq(count_mappings("[io_uring]"), 0);
	close(fds[0]);
	if (config.have & EVR_HAVE_REGISTERED_RING) {
		make(_i);
		ck_assert(waits(&ring));
		evr_ring_exit(&ring);
	}
	ck_assert_msg(is_released(fds[1]), "%s", modes[_i].name);
	close(fds[1]);
}
END_TEST

/* More often than a thread has places for registered ring fds. */
START_TEST(rings_closed_by_other_threads_use_up_no_places)
{
	int i;

	for (i = 0; i < 40; i++) {
		make(_i);
		ck_assert(waits(&ring));
		ck_assert_msg(
			!(ring.enter_flags & IORING_ENTER_REGISTERED_RING) ==
				!(config.have & EVR_HAVE_REGISTERED_RING),
			"%s: ring %d", modes[_i].name, i);
		in_thread(exit_there, NULL);
	}
}
END_TEST

static void *use_there(void *ret_ok)
{
	bool *ok = ret_ok;

	*ok = evr_ring_is_ours(&ring) && waits(&ring) &&
	      evr_ring_is_ours(&ring);
	return NULL;
}

START_TEST(ring_made_here_is_enabled_there)
{
	bool ok = false;

	make(_i);
	if (!(config.have & EVR_HAVE_R_DISABLED) &&
	    config.have & EVR_HAVE_SINGLE_ISSUER) {
		evr_ring_exit(&ring); /* the next test */
		return;
	}
	ck_assert(evr_ring_is_ours(&ring));
	in_thread(use_there, &ok);
	ck_assert_msg(ok, "%s", modes[_i].name);
	ck_assert(!evr_ring_is_ours(&ring));
	ck_assert(evr_ring_is_mapped(&ring));
	evr_ring_exit(&ring);
}
END_TEST

static void *ask_there(void *ret_ours)
{
	*(bool *)ret_ours = evr_ring_is_ours(&ring);
	return NULL;
}

START_TEST(ring_used_here_is_not_that_of_another_thread)
{
	bool is_ours = true;

	make(_i);
	ck_assert(waits(&ring));
	in_thread(ask_there, &is_ours);
	ck_assert(!is_ours);
	ck_assert(evr_ring_is_ours(&ring));
	ck_assert(waits(&ring));
	evr_ring_exit(&ring);
}
END_TEST

/* Without r-disabled the kernel binds the ring to the thread that makes it. */
START_TEST(ring_bound_at_setup_is_not_that_of_another_thread)
{
	bool is_ours = true;

	make(_i);
	in_thread(ask_there, &is_ours);
	ck_assert_msg(!is_ours || config.have & EVR_HAVE_R_DISABLED ||
			      !(config.have & EVR_HAVE_SINGLE_ISSUER),
		      "%s", modes[_i].name);
	ck_assert(waits(&ring));
	evr_ring_exit(&ring);
}
END_TEST

static int exit_in_child(void *unused)
{
	int nr_fds = count_fds();

	(void)unused;
	child_assert(!evr_ring_is_ours(&ring));
	child_assert(!evr_ring_is_mapped(&ring));
	evr_ring_exit(&ring);
	child_assert(count_fds() == nr_fds - 1);
	return 0;
}

START_TEST(exit_in_a_child_leaves_the_parent_alone)
{
	int fds[2];

	ck_assert_int_eq(pipe(fds), 0);
	make(_i);
	add_poll(&ring, fds[0], 7);
	ck_assert_int_eq(evr_ring_submit(&ring), 0);
	ck_assert_int_eq(run_in_child(exit_in_child, NULL), 0);
	ck_assert(evr_ring_is_ours(&ring));
	ck_assert(waits(&ring));
	ck_assert_int_eq(write(fds[1], "x", 1), 1);
	ck_assert_int_eq(evr_ring_wait(&ring, 3600 * SEC), 0);
	ck_assert_int_eq(reap(&ring), 1);
	ck_assert_uint_eq(seen.user_data[0], 7);
	evr_ring_exit(&ring);
	close(fds[0]);
	close(fds[1]);
}
END_TEST

static int make_again_in_child(void *unused)
{
	struct evr_ring_config same = ring.config;

	(void)unused;
	evr_ring_exit(&ring);
	child_assert(evr_ring_init(&ring, &same) == 0);
	child_assert(evr_ring_is_ours(&ring));
	child_assert(evr_ring_wait(&ring, 3 * MS) == -ETIME);
	evr_ring_exit(&ring);
	return 0;
}

START_TEST(child_makes_a_ring_of_its_own)
{
	double start;

	make(_i);
	ck_assert_int_eq(evr_ring_wait(&ring, 40 * MS), -ETIME);
	ck_assert_int_eq(run_in_child(make_again_in_child, NULL), 0);
	if (ring.region)
		ck_assert_int_eq(ring.region[0].ts.tv_nsec, 40 * MS);
	start = now();
	ck_assert_int_eq(evr_ring_wait(&ring, 40 * MS), -ETIME);
	ck_assert(now() - start >= 0.04);
	evr_ring_exit(&ring);
}
END_TEST

static int exit_without_fd(void *fd)
{
	evr_ring_exit(&ring);
	child_assert(fcntl(*(int *)fd, F_GETFD) >= 0);
	return 0;
}

/* The program closed all it did not know, and opened something else. */
START_TEST(exit_closes_no_file_of_the_program)
{
	int fds[2], fd;

	ck_assert_int_eq(pipe(fds), 0);
	make(_i);
	ck_assert(waits(&ring));
	fd = ring.uring.ring_fd;
	ck_assert_int_eq(dup2(fds[0], fd), fd);
	if (config.have & EVR_HAVE_REGISTERED_RING)
		ck_assert(waits(&ring));
	ck_assert_int_eq(run_in_child(exit_without_fd, &fd), 0);
	evr_ring_exit(&ring);
	ck_assert_int_ge(fcntl(fd, F_GETFD), 0);
	ck_assert_int_eq(write(fds[1], "x", 1), 1);
	ck_assert_int_eq(read(fd, (char[1]){ 0 }, 1), 1);
	close(fd);
	close(fds[0]);
	close(fds[1]);
}
END_TEST

START_TEST(exit_after_the_fd_was_closed)
{
	int fds[2], nr_fds;

	ck_assert_int_eq(pipe(fds), 0);
	make(_i);
	add_poll(&ring, fds[0], 1);
	ck_assert_int_eq(evr_ring_submit(&ring), 0);
	close(ring.uring.ring_fd);
	nr_fds = count_fds();
	evr_ring_exit(&ring);
	ck_assert_int_eq(count_fds(), nr_fds);
	close(fds[0]);
	ck_assert_msg(is_released(fds[1]), "%s", modes[_i].name);
	close(fds[1]);
}
END_TEST

/* A thread may register 16 ring fds. */
START_TEST(more_rings_than_a_thread_can_register)
{
	enum { NR_RINGS = 18 };
	static struct evr_ring rings[NR_RINGS];
	int i, nr_registered = 0;

	set_config(_i);
	for (i = 0; i < NR_RINGS; i++) {
		ck_assert_int_eq(evr_ring_init(&rings[i], &config), 0);
		ck_assert(waits(&rings[i]));
		nr_registered +=
			!!(rings[i].enter_flags & IORING_ENTER_REGISTERED_RING);
	}
	ck_assert_int_eq(nr_registered,
			 config.have & EVR_HAVE_REGISTERED_RING ? 16 : 0);
	for (i = 0; i < NR_RINGS; i++) {
		add_nop(&rings[i], (uint64_t)i);
		ck_assert_int_eq(evr_ring_wait(&rings[i], 3600 * SEC), 0);
		ck_assert_int_eq(reap(&rings[i]), 1);
		ck_assert_uint_eq(seen.user_data[0], (uint64_t)i);
	}
	for (i = 0; i < NR_RINGS; i++)
		evr_ring_exit(&rings[i]);
	make(_i);
	ck_assert(waits(&ring));
	ck_assert_int_eq(!(ring.enter_flags & IORING_ENTER_REGISTERED_RING),
			 !(config.have & EVR_HAVE_REGISTERED_RING));
	evr_ring_exit(&ring);
}
END_TEST

/*
 * trial
 */

START_TEST(trial_waits_once_and_leaves_nothing)
{
	enum evr_ring_step step = EVR_STEP_SETUP;
	int nr_fds = count_fds();
	unsigned have = 0;

	set_config(_i);
	ck_assert_int_eq(evr_ring_trial(&config, &step, &have), 0);
	ck_assert_int_eq(step, EVR_STEP_DONE);
	ck_assert_uint_eq(have, config.have);
	ck_assert_int_eq(count_fds(), nr_fds);
}
END_TEST

#define NO_OTHERS                                                              \
	"valgrind runs no other thread and no handler during io_uring_enter"
#define OFFSETS	  "valgrind takes offsets in the region for pointers"
#define OWN_FILES "valgrind keeps files of its own"
#define CHILDREN  "valgrind believes that a child has mappings it has not"
#define USED_UP	  "tests before it in the same thread used up the places"

static const struct {
	const char *name;
	const TTest *const *test;
	int nr_rows;
	const char *not_by_valgrind; /* why */
} tests[] = {
	{ "wait", &wait_times_out_and_not_early, ARRAY_SIZE(short_waits),
	  NULL },
	{ "wait", &wait_returns_on_a_completion, 1, NULL },
	{ "wait", &wait_is_woken_by_what_comes_later, 1, NO_OTHERS },
	{ "wait", &wait_is_ended_by_a_signal_handler, 1, NO_OTHERS },
	{ "wait", &timeout_is_written_where_the_kernel_reads, 1, NULL },
	{ "wait", &waits_and_enters_are_counted, 1, NULL },
	{ "wait", &counters_outlive_the_ring, 1, NULL },
	{ "wait", &flags_are_what_is_had, 1, NULL },
	{ "collect", &wait_that_collects, ARRAY_SIZE(collections), OFFSETS },
	{ "collect", &min_wait_stays_in_the_slot_of_its_kind, 1, OFFSETS },
	{ "collect", &collecting_is_ended_by_a_signal_handler, 1, NO_OTHERS },
	{ "collect", &defect_of_min_wait_is_seen, 1, NULL },
	{ "collect", &signal_does_not_look_like_a_completion, 1, NO_OTHERS },
	{ "queues", &full_queue_submits_by_itself, 1, NULL },
	{ "queues", &sqes_come_cleared_and_numbered, 1, NULL },
	{ "queues", &overflow_loses_nothing, 1, NULL },
	{ "queues", &bad_request_does_not_stop_the_others, 1, NULL },
	{ "queues", &news_and_unsent_tell_the_truth, 1, NULL },
	{ "queues", &unsent_is_taken_back_in_order, 1, NULL },
	{ "finish", &finished_is_not_under_way, 1, NULL },
	{ "finish", &what_is_unsent_is_not_sent_to_finish_another, 1, NULL },
	{ "exit", &init_and_exit_leave_nothing, 1, NULL },
	{ "exit", &refused_init_leaves_nothing, 1, OWN_FILES },
	{ "exit", &exit_ends_requests, 1, NULL },
	{ "exit", &exit_from_another_thread_ends_requests, 1, NULL },
	{ "exit", &rings_closed_by_other_threads_use_up_no_places, 1, USED_UP },
	{ "exit", &ring_made_here_is_enabled_there, 1, NULL },
	{ "exit", &ring_used_here_is_not_that_of_another_thread, 1, NULL },
	{ "exit", &ring_bound_at_setup_is_not_that_of_another_thread, 1, NULL },
	{ "exit", &exit_in_a_child_leaves_the_parent_alone, 1, NULL },
	{ "exit", &child_makes_a_ring_of_its_own, 1, CHILDREN },
	{ "exit", &exit_closes_no_file_of_the_program, 1, NULL },
	{ "exit", &exit_after_the_fd_was_closed, 1, NULL },
	{ "exit", &more_rings_than_a_thread_can_register, 1, USED_UP },
	{ "exit", &trial_waits_once_and_leaves_nothing, 1, NULL },
};

/* Why a test is not for this machine; NULL if it is. */
static const char *why_not(size_t i)
{
	unsigned have = 0;

	if (!strcmp(tests[i].name, "collect") &&
	    (evr_probe(NULL, &have) < 0 || evr_probe_min_wait(have) != 1))
		return "no min-wait here (Linux 6.12), or one with a defect";
	return under_valgrind() ? tests[i].not_by_valgrind : NULL;
}

Suite *make_suite(void)
{
	Suite *suite = suite_create("ring");
	TCase *tcase = NULL;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(tests); i++) {
		if (!i || strcmp(tests[i].name, tests[i - 1].name)) {
			tcase = tcase_create(tests[i].name);
			tcase_set_timeout(tcase, 20);
			suite_add_tcase(suite, tcase);
		}
		add_loop_or_leave_out(tcase, *tests[i].test,
				      NR_MODES * tests[i].nr_rows, why_not(i));
	}
	return suite;
}
