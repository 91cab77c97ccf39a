/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * scale.c - as many watched fds as this machine allows, up to 100,000, all of
 * them ready at once, on a ring that is far too small for them.
 *
 * The fds are copies of one eventfd: each is a member of the epoll set of its
 * own, and one write makes all of them ready.
 */
#include "config.h"

#include "harness.h"

#include <errno.h>
#include <ev.h>
#include <evring.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

enum { WANTED_FDS = 100000, SPARE_FDS = 100, MAX_BYTES_PER_FD = 32 };

struct crowd {
	struct ev_loop *loop;
	int nr, fd; /* fd: the eventfd they are copies of */
	ev_io *watchers;
	unsigned *nr_events; /* by watcher */
	int nr_heard;	     /* watchers with one event or more */
};

/* How many fds we may open. */
static int raise_limit(void)
{
	struct rlimit limit = { WANTED_FDS + SPARE_FDS,
				WANTED_FDS + SPARE_FDS };

	if (setrlimit(RLIMIT_NOFILE, &limit) < 0) {
		ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
		limit.rlim_cur = limit.rlim_max;
		ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	}
	return (int)limit.rlim_cur - SPARE_FDS;
}

static void on_event(struct ev_loop *loop, ev_io *w, int revents)
{
	struct crowd *c = ev_userdata(loop);

	ck_assert_int_eq(revents, EV_READ);
	if (!c->nr_events[w - c->watchers]++)
		c->nr_heard++;
}

static void crowd_init(struct crowd *c)
{
	c->nr = raise_limit();
	if (c->nr > WANTED_FDS)
		c->nr = WANTED_FDS;
	c->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	c->watchers = calloc((size_t)c->nr, sizeof(*c->watchers));
	c->nr_events = calloc((size_t)c->nr, sizeof(*c->nr_events));
	c->nr_heard = 0;
	for (int i = 0; i < c->nr; i++) {
		int fd = fcntl(c->fd, F_DUPFD_CLOEXEC, 0);

		ck_assert_int_ge(fd, 0);
		ev_io_init(&c->watchers[i], on_event, fd, EV_READ);
	}
}

static void crowd_start(struct crowd *c, struct ev_loop *loop)
{
	c->loop = loop;
	ck_assert_ptr_nonnull(loop);
	ev_set_userdata(loop, c);
	for (int i = 0; i < c->nr; i++)
		ev_io_start(loop, &c->watchers[i]);
	ev_run(loop, EVRUN_NOWAIT);
}

static void crowd_exit(struct crowd *c)
{
	for (int i = 0; i < c->nr; i++)
		close(c->watchers[i].fd);
	close(c->fd);
	free(c->watchers);
	free(c->nr_events);
}

static struct ev_loop *small_loop(const char *disable)
{
	struct evring_config config = { .entries = 8, .disable = disable };

	return evring_loop_new(0, &config);
}

static const char *const forms[] = { NULL, "region", "epoll-wait" };

static const char *form_name(int i)
{
	return forms[i] ? forms[i] : "nothing";
}

START_TEST(all_ready_at_once_are_all_reported)
{
	struct crowd c;
	int turns = 0;

	crowd_init(&c);
	crowd_start(&c, small_loop(forms[_i]));
	ck_assert_int_eq(c.nr_heard, 0);
	ck_assert_int_eq(eventfd_write(c.fd, 1), 0);
	while (c.nr_heard < c.nr && turns++ < 1000)
		ev_run(c.loop, EVRUN_ONCE);
	ck_assert_msg(c.nr_heard == c.nr, "without %s: %d of %d fds heard of",
		      form_name(_i), c.nr_heard, c.nr);
	printf("# without %s: %d fds ready at once, all heard in %d turns\n",
	       form_name(_i), c.nr, turns);
	fflush(stdout);
	ev_loop_destroy(c.loop);
	crowd_exit(&c);
}
END_TEST

START_TEST(what_was_read_is_not_reported_any_more)
{
	struct crowd c;
	eventfd_t value;

	crowd_init(&c);
	crowd_start(&c, small_loop(forms[_i]));
	ck_assert_int_eq(eventfd_write(c.fd, 1), 0);
	ev_run(c.loop, EVRUN_ONCE);
	ck_assert_int_gt(c.nr_heard, 0);
	ck_assert_int_eq(eventfd_read(c.fd, &value), 0);
	c.nr_heard = 0;
	for (int i = 0; i < c.nr; i++)
		c.nr_events[i] = 0;
	ev_run(c.loop, EVRUN_NOWAIT);
	ck_assert_msg(!c.nr_heard, "without %s: %d events of empty fds",
		      form_name(_i), c.nr_heard);
	ev_loop_destroy(c.loop);
	crowd_exit(&c);
}
END_TEST

static size_t heap_in_use(void)
{
	struct mallinfo2 info = mallinfo2();

	return info.uordblks + info.hblkhd;
}

/* What detaching gives back is what was ours. */
START_TEST(memory_of_ours_is_bounded_per_fd)
{
	struct crowd c;
	size_t with, ours;

	crowd_init(&c);
	crowd_start(&c, small_loop(NULL));
	ck_assert_int_eq(eventfd_write(c.fd, 1), 0);
	for (int i = 0; i < 10; i++)
		ev_run(c.loop, EVRUN_ONCE);
	with = heap_in_use();
	ck_assert_int_eq(evring_detach(c.loop), 0);
	ours = with - heap_in_use();
	printf("# %d fds: %zu bytes of ours, %.1f per fd\n", c.nr, ours,
	       (double)ours / c.nr);
	fflush(stdout);
	ck_assert_uint_gt(ours, (size_t)c.nr); /* or it was not counted */
	ck_assert_uint_lt(ours, (size_t)c.nr * MAX_BYTES_PER_FD);
	ev_loop_destroy(c.loop);
	crowd_exit(&c);
}
END_TEST

static double time_of_destroying(const char *disable)
{
	struct crowd c;
	double start, took;

	crowd_init(&c);
	crowd_start(&c, small_loop(disable));
	ck_assert_int_eq(eventfd_write(c.fd, 1), 0);
	ev_run(c.loop, EVRUN_ONCE);
	start = now();
	ev_loop_destroy(c.loop);
	took = now() - start;
	crowd_exit(&c);
	return took;
}

/* Or the machine was not, but then not each time. */
START_TEST(destroying_a_loop_under_load_is_quick)
{
	const double quick = patience(1.);
	double took;
	int tries = 5;

	do
		took = time_of_destroying(forms[_i]);
	while (took >= quick && --tries);
	ck_assert_double_lt(took, quick);
}
END_TEST

Suite *make_suite(void)
{
	const int nr_forms = sizeof(forms) / sizeof(forms[0]);
	Suite *suite = suite_create("scale");
	TCase *tcase = tcase_create("scale");

	tcase_set_timeout(tcase, 60);
	tcase_add_loop_test(tcase, all_ready_at_once_are_all_reported, 0,
			    nr_forms);
	tcase_add_loop_test(tcase, what_was_read_is_not_reported_any_more, 0,
			    nr_forms);
	add_or_leave_out(tcase, memory_of_ours_is_bounded_per_fd,
			 under_valgrind() || under_asan() || under_tsan()
				 ? "a heap that mallinfo2 does not know"
				 : NULL);
	tcase_add_loop_test(tcase, destroying_a_loop_under_load_is_quick, 0,
			    nr_forms);
	suite_add_tcase(suite, tcase);
	return suite;
}
