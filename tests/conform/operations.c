/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * conform/operations.c - operations beside watchers, in all modes and, in
 * faults.t, with all faults: the last event comes, exactly once.
 *
 * libev's epoll has none: there a start says so.  What each request does is
 * looked at in op.c.
 */
#include "config.h"

#include "scene.h"

#include <liburing.h>
#include <poll.h>

enum { NR_OPS = 24 };

struct job {
	evring_op op;
	struct pair pair;
	bool is_started;
	int nr, nr_last;
	char c;
};

static struct job jobs[NR_OPS];
static int nr_to_end;

static void on_job(struct ev_loop *loop, evring_op *op, int revents)
{
	struct job *job = (struct job *)(void *)op;

	check_that(loop == scene.loop);
	check_int(revents, ==, EV_CUSTOM);
	job->nr++;
	if (ev_is_active(op))
		return;
	job->nr_last++;
	nr_to_end--;
}

static struct io_uring_sqe *start_job(struct job *job)
{
	struct io_uring_sqe *sqe = evring_op_start(scene.loop, &job->op);

	if (!sqe) {
		check_that(is_faulty || errno == ENXIO);
		check_that(is_faulty || !is_evring());
		return NULL;
	}
	job->is_started = true;
	nr_to_end++;
	return sqe;
}

/* A third reads, a third does nothing, a third polls. */
static void start_jobs(void)
{
	struct io_uring_sqe *sqe;
	struct job *job;
	int i;

	nr_to_end = 0;
	for (i = 0; i < NR_OPS; i++) {
		job = &jobs[i];
		memset(job, 0, sizeof(*job));
		job->pair = open_pair();
		evring_op_init(&job->op, on_job);
		sqe = start_job(job);
		if (sqe && i % 3 == 0)
			io_uring_prep_read(sqe, job->pair.ours, &job->c, 1, 0);
		else if (sqe && i % 3 == 1)
			io_uring_prep_poll_multishot(sqe, job->pair.ours,
						     POLLIN);
	}
}

static void cancel_jobs(void)
{
	int i, r;

	for (i = 0; i < NR_OPS; i++) {
		r = evring_op_cancel(scene.loop, &jobs[i].op);
		check_that(r == 0 || r == -ENOENT || is_faulty);
	}
}

static void check_jobs(void)
{
	int i;

	check_int(nr_to_end, ==, 0);
	for (i = 0; i < NR_OPS; i++) {
		check_int(jobs[i].nr_last, ==, jobs[i].is_started);
		check_int(ev_is_active(&jobs[i].op), ==, 0);
	}
}

/* With a fault a cancel may have been refused: the end of the loop will do. */
static void await_jobs(void)
{
	int i;

	for (i = 0; is_faulty ? i < 5 : nr_to_end > 0; i++)
		nap(SHORT_NAP);
	if (is_faulty && scene.is_attached)
		detach();
}

START_TEST(operations_that_are_cancelled_all_end_once)
{
	struct pair pair;
	struct watch w;

	pair = open_watched(_i, &w);
	start_jobs();
	put(pair.theirs);
	check_turn(&w, EV_READ);
	take(pair.ours);
	cancel_jobs();
	await_jobs();
	check_jobs();
	close_scene();
}
END_TEST

START_TEST(operations_that_are_done_all_end_once)
{
	struct pair pair;
	struct watch w;
	int i;

	pair = open_watched(_i, &w);
	start_jobs();
	turn();
	for (i = 0; i < NR_OPS; i++)
		put(jobs[i].pair.theirs);
	put(pair.theirs);
	nap(SHORT_NAP);
	check_int(w.nr, >, 0);
	take(pair.ours);
	for (i = 0; promises_more() && i < NR_OPS; i++)
		check_int(jobs[i].nr, ==, 1);
	cancel_jobs();
	await_jobs();
	check_jobs();
	close_scene();
}
END_TEST

START_TEST(operations_end_with_a_detach)
{
	struct pair pair;
	struct watch w;

	pair = open_watched(_i, &w);
	start_jobs();
	nap(SHORT_NAP);
	cancel_jobs();
	put(jobs[0].pair.theirs);
	if (is_evring() && scene.is_attached)
		detach();
	check_jobs();
	check_quiet(&w);
	put(pair.theirs);
	check_turn(&w, EV_READ);
	take(pair.ours);
	if (is_evring())
		attach();
	check_quiet(&w);
	close_scene();
}
END_TEST

/*
 * all of them
 */

void add_operations(void)
{
	add_scenario("operations", operations_that_are_cancelled_all_end_once);
	add_scenario("operations", operations_that_are_done_all_end_once);
	add_scenario("operations", operations_end_with_a_detach);
}
