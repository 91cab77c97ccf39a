/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * embed.c - a program that compiles ev.c itself, next to a libev in a library.
 *
 * The ev.c here is static and other code than that of the library: each loop
 * must be attached through the layout of the libev that made it.
 */
#include "config.h"

#define EV_STANDALONE 1
#define EV_API_STATIC 1
#define EV_USE_EPOLL  1
#define EV_MINPRI     -1 /* others than those of the library */
#define EV_MAXPRI     1
#include "ev.c"
#include <evring-embed.h>
#include <evring-net.h>

#include "harness.h"

#include <dlfcn.h>

#include "works.h"

START_TEST(own_loop_is_attached)
{
	struct ev_loop *loop = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
	int nr_fds = count_fds();
	struct evring_stats stats;

	ck_assert_int_eq(evring_attach(loop, NULL), 0);
	ck_assert_int_ne(evring_tier(loop), EVRING_TIER_NONE);
	ck_assert_int_eq(count_fds(), nr_fds + 1);
	ck_assert(loop_works(loop));
	ck_assert_int_eq(evring_stats(loop, &stats), 0);
	ck_assert_uint_eq(stats.events, 1);
	ck_assert_uint_gt(stats.enters, 1);
	ck_assert(loop->backend_poll != epoll_poll);
	ck_assert(loop->backend_mintime == 1e-6);
	ck_assert_int_eq(evring_detach(loop), 0);
	ck_assert(loop->backend_poll == epoll_poll);
	ck_assert(loop->backend_modify == epoll_modify);
	ck_assert(loop->backend_mintime == 1e-3);
	ck_assert_int_eq(loop->forkcnt, 0);
	ck_assert_int_eq(loop->cleanupcnt, 0);
	ck_assert_int_eq(loop->activecnt, 0);
	ck_assert(loop_works(loop));
	ev_loop_destroy(loop);
}
END_TEST

START_TEST(destroy_ends_the_ring)
{
	struct ev_loop *loop = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);

	ck_assert_int_eq(evring_attach(loop, NULL), 0);
	ck_assert(loop_works(loop));
	ck_assert_int_ge(find_fd(RING_FD), 0);
	ev_loop_destroy(loop);
	ck_assert_int_eq(find_fd(RING_FD), -1);
}
END_TEST

static int priorities_seen[8], nr_seen;

static void on_op(struct ev_loop *loop, evring_op *op, int revents)
{
	(void)loop;
	(void)revents;
	priorities_seen[nr_seen++] = ev_priority(op);
}

START_TEST(operations_keep_to_the_priorities_of_this_libev)
{
	struct ev_loop *loop = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
	evring_op ops[5];
	int i;

	ck_assert_int_eq(evring_attach(loop, NULL), 0);
	for (i = 0; i < 5; i++) {
		evring_op_init(&ops[i], on_op);
		ev_set_priority(&ops[i], i - 2);
		ck_assert_ptr_nonnull(evring_op_start(loop, &ops[i]));
	}
	ev_run(loop, 0);
	ck_assert_int_eq(nr_seen, 5);
	ck_assert_int_eq(priorities_seen[0] + priorities_seen[1], 2 + 1);
	ck_assert_int_eq(priorities_seen[2], 0);
	ev_loop_destroy(loop);
}
END_TEST

static void on_message(struct ev_loop *loop, evring_port *port,
		       evring_message *message)
{
	ck_assert_ptr_nonnull(message);
	priorities_seen[nr_seen++] = ev_priority(&port->op);
	evring_port_stop(loop, port);
}

/* Its queues are an array by priority, whatever that of the library is. */
START_TEST(ports_keep_to_the_priorities_of_this_libev)
{
	struct ev_loop *loop = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
	evring_message messages[5];
	evring_port ports[5];
	int i;

	ck_assert_int_eq(evring_attach(loop, NULL), 0);
	for (i = 0; i < 5; i++) {
		evring_port_init(&ports[i], on_message);
		ev_set_priority(&ports[i].op, i - 2);
		ck_assert_int_eq(evring_port_start(loop, &ports[i]), 0);
		ck_assert_int_eq(evring_post(NULL, &ports[i], &messages[i]), 0);
	}
	ev_run(loop, 0);
	ck_assert_int_eq(nr_seen, 5);
	for (i = 0; i < 5; i++)
		ck_assert_int_eq(priorities_seen[i], i < 2   ? 1
						     : i < 3 ? 0
							     : -1);
	ev_loop_destroy(loop);
}
END_TEST

START_TEST(binding_is_not_counted)
{
	struct ev_loop *loop = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);

	ck_assert_int_eq(evring_attach(loop, NULL), 0);
	ck_assert_int_eq(loop->activecnt, 0);
	ck_assert(!ev_run(loop, 0));
	ev_loop_destroy(loop);
}
END_TEST

static int nr_forked;

static void on_fork(struct ev_loop *loop, ev_fork *w, int revents)
{
	(void)loop;
	(void)w;
	(void)revents;
	nr_forked++;
}

static int run_in_fork(void *loop)
{
	ev_loop_fork(loop);
	child_assert(loop_works(loop));
	child_assert(nr_forked == 1);
	child_assert(evring_tier(loop) != EVRING_TIER_NONE);
	ev_loop_destroy(loop);
	child_assert(find_fd(RING_FD) == -1);
	return 0;
}

START_TEST(fork_watcher_of_the_program_is_called)
{
	struct ev_loop *loop = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
	ev_fork forked;

	ck_assert_int_eq(evring_attach(loop, NULL), 0);
	ev_fork_init(&forked, on_fork);
	ev_fork_start(loop, &forked);
	ev_unref(loop);
	ck_assert(loop_works(loop));
	ck_assert_int_eq(run_in_child(run_in_fork, loop), 0);
	ck_assert_int_eq(nr_forked, 0);
	ck_assert(loop_works(loop));
	ev_ref(loop);
	ev_fork_stop(loop, &forked);
	ev_loop_destroy(loop);
}
END_TEST

START_TEST(select_is_not_supported)
{
	struct ev_loop *loop = ev_loop_new(EVBACKEND_SELECT | EVFLAG_NOENV);

	ck_assert_int_eq(evring_attach(loop, NULL), -ENOTSUP);
	ck_assert(loop_works(loop));
	ev_loop_destroy(loop);
}
END_TEST

/*
 * The libev that the library is linked with. Its functions have the names of
 * the static ones here, so they are asked for by name.
 */
static void *library_call(const char *name)
{
	void *call = dlsym(RTLD_DEFAULT, name);

	ck_assert_msg(call != NULL, "%s", name);
	return call;
}

START_TEST(loops_of_two_libevs_are_told_apart)
{
	struct ev_loop *(*their_new)(unsigned) = library_call("ev_loop_new");
	void (*their_destroy)(struct ev_loop *) =
		library_call("ev_loop_destroy");
	int (*their_run)(struct ev_loop *, int) = library_call("ev_run");
	struct ev_loop *theirs = their_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
	struct ev_loop *ours = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
	struct evring_stats stats;

	ck_assert(their_new != ev_loop_new);
	ck_assert_int_eq(evring_attach(theirs, NULL), 0);
	ck_assert_int_eq(evring_attach(ours, NULL), 0);
	ck_assert(loop_works(ours));
	their_run(theirs, EVRUN_NOWAIT);
	ck_assert_int_eq(evring_stats(theirs, &stats), 0);
	ck_assert_uint_eq(stats.turns, 1);
	ck_assert_int_eq(evring_stats(ours, &stats), 0);
	ck_assert_uint_eq(stats.events, 1);
	ck_assert_int_eq(evring_detach(theirs), 0);
	ck_assert(loop_works(ours));
	their_destroy(theirs);
	ck_assert(loop_works(ours));
	ev_loop_destroy(ours);
	ck_assert_int_eq(find_fd(RING_FD), -1);
}
END_TEST

START_TEST(library_makes_loops_of_its_own_libev)
{
	struct ev_loop *loop = evring_loop_new(0, NULL);
	void (*their_destroy)(struct ev_loop *) =
		library_call("ev_loop_destroy");

	ck_assert_ptr_nonnull(loop);
	ck_assert_int_ne(evring_tier(loop), EVRING_TIER_NONE);
	their_destroy(loop);
	ck_assert_int_eq(find_fd(RING_FD), -1);
}
END_TEST

Suite *make_suite(void)
{
	Suite *suite = suite_create("embed");
	TCase *tcase = tcase_create("embed");
	const char *reason = NULL;

	tcase_add_test(tcase, own_loop_is_attached);
	tcase_add_test(tcase, destroy_ends_the_ring);
	tcase_add_test(tcase, operations_keep_to_the_priorities_of_this_libev);
	tcase_add_test(tcase, ports_keep_to_the_priorities_of_this_libev);
	tcase_add_test(tcase, binding_is_not_counted);
	add_or_leave_out(tcase, fork_watcher_of_the_program_is_called,
			 no_children());
	tcase_add_test(tcase, select_is_not_supported);
	if (!dlsym(RTLD_DEFAULT, "ev_run"))
		reason = "the other libev is no shared library";
	add_or_leave_out(tcase, loops_of_two_libevs_are_told_apart, reason);
	add_or_leave_out(tcase, library_makes_loops_of_its_own_libev, reason);
	suite_add_tcase(suite, tcase);
	return suite;
}
