/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * text.c - failures, tiers and the version in words.
 */
#include "config.h"

#include "harness.h"

#include <errno.h>
#include <evring.h>
#include <string.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* What the headers name as failures of evring, and a word that the text cannot
   do without. */
static const struct {
	int error;
	const char *word;
} errors[] = {
	{ EINVAL, "invalid" },	   { EBUSY, "already" },
	{ ENOTSUP, "layout" },	   { ENODEV, "EVRING_REQUIRE_REGION" },
	{ ENOSYS, "5.11" },	   { EPERM, "io_uring_disabled" },
	{ EACCES, "security" },	   { EMFILE, "RLIMIT_NOFILE" },
	{ ENFILE, "fs.file-max" }, { ENOMEM, "RLIMIT_MEMLOCK" },
	{ ENXIO, "no ring" },	   { EAGAIN, "try again" },
	{ ENOENT, "not started" }, { E2BIG, "entries" },
	{ ECANCELED, "sending" },  { EBADF, "closed the fd" },
};

START_TEST(each_error_has_its_own_text)
{
	const char *text = evring_strerror(-errors[_i].error);
	size_t i;

	ck_assert_ptr_nonnull(strstr(text, errors[_i].word));
	ck_assert_str_ne(text, evring_strerror(-12345));
	ck_assert_str_ne(text, evring_strerror(0));
	for (i = 0; i < ARRAY_SIZE(errors); i++)
		if ((int)i != _i)
			ck_assert_str_ne(text,
					 evring_strerror(errors[i].error));
}
END_TEST

START_TEST(sign_does_not_matter_and_text_is_constant)
{
	const char *text = evring_strerror(-errors[_i].error);

	ck_assert_ptr_eq(text, evring_strerror(errors[_i].error));
	ck_assert_ptr_eq(text, evring_strerror(-errors[_i].error));
}
END_TEST

/* Every number: a text, without line ends or blanks around it. */
START_TEST(every_number_has_a_text)
{
	const char *unknown = evring_strerror(12345), *text;
	int i, nr_known = 0;

	ck_assert_uint_gt(strlen(unknown), 10);
	for (i = 0; i < 200; i++) {
		text = evring_strerror(-i);
		ck_assert_uint_gt(strlen(text), 7);
		ck_assert_ptr_null(strchr(text, '\n'));
		ck_assert_ptr_null(strstr(text, "  "));
		ck_assert_int_ne(text[strlen(text) - 1], ' ');
		nr_known += strcmp(text, unknown) != 0;
	}
	ck_assert_int_eq(nr_known, (int)ARRAY_SIZE(errors) + 1); /* and 0 */
	ck_assert_str_eq(evring_strerror(-2147483647), unknown);
	ck_assert_str_eq(evring_strerror(-2147483647 - 1), unknown);
}
END_TEST

START_TEST(tiers_have_names)
{
	ck_assert_str_eq(evring_tier_name(EVRING_TIER_NONE), "none");
	ck_assert_str_eq(evring_tier_name(EVRING_TIER_COPIED), "copied");
	ck_assert_str_eq(evring_tier_name(EVRING_TIER_REGION), "region");
	ck_assert_str_eq(evring_tier_name((enum evring_tier)3), "none");
}
END_TEST

/* The library takes it from the header: the two agree. */
START_TEST(version_is_that_of_configure)
{
	ck_assert_str_eq(evring_version(), VERSION);
}
END_TEST

Suite *make_suite(void)
{
	Suite *suite = suite_create("text");
	TCase *tcase = tcase_create("text");

	tcase_add_loop_test(tcase, each_error_has_its_own_text, 0,
			    (int)ARRAY_SIZE(errors));
	tcase_add_loop_test(tcase, sign_does_not_matter_and_text_is_constant, 0,
			    (int)ARRAY_SIZE(errors));
	tcase_add_test(tcase, every_number_has_a_text);
	tcase_add_test(tcase, tiers_have_names);
	tcase_add_test(tcase, version_is_that_of_configure);
	suite_add_tcase(suite, tcase);
	return suite;
}
