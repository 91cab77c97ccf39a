/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mutant.c - a libev whose private fields are not where they should be, and
 * that says nothing about it.
 *
 * check-mutants.sh links this with libev as it is, which must be accepted, or
 * the rest proves nothing, and with libevs whose source it changed.  There it
 * sets MUTANT to the proof that must fail.
 */
#include "config.h"

#include "harness.h"

#include <errno.h>
#include <ev.h>
#include <evring.h>
#include <stdlib.h>

#include "../lib/layout.h"
#include "works.h"

START_TEST(attach_is_refused_and_the_loop_works)
{
	struct ev_loop *loop = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
	int nr_fds = count_fds(), i;

	for (i = 0; i < 2; i++) { /* it is remembered, too */
		ck_assert_int_eq(evring_attach(loop, NULL), -ENOTSUP);
		ck_assert_int_eq(evring_tier(loop), EVRING_TIER_NONE);
		ck_assert_int_eq(count_fds(), nr_fds);
		ck_assert(loop_works(loop));
	}
	ev_loop_destroy(loop);
}
END_TEST

START_TEST(no_loop_is_made_unless_allowed)
{
	struct evring_config config = { .flags = EVRING_ALLOW_NONE };
	int nr_fds = count_fds();
	struct ev_loop *loop;

	errno = 0;
	ck_assert_ptr_null(evring_loop_new(0, NULL));
	ck_assert_int_eq(errno, ENOTSUP);
	ck_assert_int_eq(count_fds(), nr_fds);
	loop = evring_loop_new(0, &config);
	ck_assert_ptr_nonnull(loop);
	ck_assert(loop_works(loop));
	ev_loop_destroy(loop);
}
END_TEST

START_TEST(the_last_proof_is_the_one_that_failed)
{
	struct evr_proof proofs[EVR_MAX_PROOFS];
	struct evring_layout layout;
	int i;

	ck_assert_int_eq(evr_layout_discover(NULL, &layout, proofs), -ENOTSUP);
	for (i = 0; proofs[i + 1].name; i++)
		ck_assert(proofs[i].held);
	ck_assert(!proofs[i].held);
	ck_assert_str_eq(proofs[i].name, getenv("MUTANT"));
}
END_TEST

START_TEST(unchanged_libev_is_accepted)
{
	struct ev_loop *loop = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);

	ck_assert_int_eq(evring_attach(loop, NULL), 0);
	ck_assert_int_ne(evring_tier(loop), EVRING_TIER_NONE);
	ck_assert(loop_works(loop));
	ev_loop_destroy(loop);
}
END_TEST

Suite *make_suite(void)
{
	Suite *suite = suite_create("mutant");
	TCase *tcase = tcase_create("mutant");

	if (getenv("MUTANT")) {
		tcase_add_test(tcase, attach_is_refused_and_the_loop_works);
		tcase_add_test(tcase, no_loop_is_made_unless_allowed);
		tcase_add_test(tcase, the_last_proof_is_the_one_that_failed);
	} else {
		tcase_add_test(tcase, unchanged_libev_is_accepted);
	}
	suite_add_tcase(suite, tcase);
	return suite;
}
