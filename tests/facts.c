/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * facts.c - what `evring info' concludes from facts, and how it writes.
 *
 * The facts are made up: sysctls, limits and filters that a test cannot set.
 * info.sh runs the program.
 */
#include "config.h"

#include "harness.h"

#include <errno.h>
#include <ev.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "terms.h"
#include "../tools/diagnose.h"
#include "../tools/names.h"
#include "../tools/output.h"

#define NR_OF(a) ((int)(sizeof(a) / sizeof((a)[0])))

enum { MIB = 1024 * 1024, GROUP = 1234 };

/* A machine where all is well. */
static struct facts good_facts(void)
{
	struct facts f = {
		.have = EVR_HAVE_ALL,
		.plain_call = "",
		.ring_entries = DEFAULT_ENTRIES,
		.ring_bytes = 24 * 1024,
		.disabled = { .is_known = true },
		.group = { .is_known = true, .value = -1 },
		.status = { .is_known = true },
		.is_initial_userns = true,
		.memlock = { 8 * MIB, 8 * MIB },
		.nofile = { 1024, 4096 },
		.backend = EVBACKEND_EPOLL,
		.tier = EVRING_TIER_REGION,
		.proofs = { { "only", "one", true } },
		.calls = { { "io_uring_setup", 0, false },
			   { "io_uring_register", 0, false },
			   { "io_uring_enter", 0, false } },
	};

	return f;
}

static void get_no_ring(struct facts *f, int error)
{
	int i;

	f->probe_error = f->ring_error = f->attach_error = f->plain_error =
		-error;
	f->plain_call = "io_uring_setup";
	f->ring_entries = 0;
	f->tier = EVRING_TIER_NONE;
	for (i = 0; i < NR_FEATURES; i++)
		f->features[i].state = FEATURE_OFF;
}

static void refuse_setup(struct facts *f, int error)
{
	get_no_ring(f, error);
	f->calls[CALL_SETUP].error = error;
}

static void all_is_well(struct facts *f)
{
	(void)f;
}

static void no_sysctl(struct facts *f)
{
	f->disabled = (struct sysctl){ .error = ENOENT };
}

static void unreadable_sysctl(struct facts *f)
{
	f->disabled = (struct sysctl){ .error = EACCES };
}

static void strange_sysctl(struct facts *f)
{
	f->disabled.value = 7;
}

static void disabled_for_all(struct facts *f)
{
	f->disabled.value = 2;
	refuse_setup(f, EPERM);
}

static void disabled_but_for_nobody(struct facts *f)
{
	f->disabled.value = 1;
	refuse_setup(f, EPERM);
}

static void disabled_but_for_a_group(struct facts *f)
{
	disabled_but_for_nobody(f);
	f->group.value = GROUP;
}

static void disabled_but_for_our_group(struct facts *f)
{
	f->disabled.value = 1;
	f->group.value = GROUP;
	f->is_in_group = true;
}

static void in_the_group_and_yet_refused(struct facts *f)
{
	disabled_but_for_our_group(f);
	refuse_setup(f, EPERM);
}

static void root_of_a_container(struct facts *f)
{
	disabled_but_for_nobody(f);
	f->is_initial_userns = false;
	f->status.capabilities = ~0ull;
}

static void harmless_filter(struct facts *f)
{
	f->status.seccomp = 2;
	f->status.no_new_privs = 1;
}

static void filter_says_eperm(struct facts *f)
{
	harmless_filter(f);
	refuse_setup(f, EPERM);
}

static void filter_behind_sysctl(struct facts *f)
{
	harmless_filter(f);
	disabled_for_all(f);
}

static void filter_and_sysctl(struct facts *f)
{
	filter_behind_sysctl(f);
	f->calls[CALL_ENTER].error = EPERM;
}

static void filter_hides_enter(struct facts *f)
{
	harmless_filter(f);
	get_no_ring(f, ENOSYS);
	f->calls[CALL_ENTER].error = ENOSYS;
}

static void filter_or_old_kernel(struct facts *f)
{
	harmless_filter(f);
	no_sysctl(f);
	refuse_setup(f, ENOSYS);
}

static void old_kernel(struct facts *f)
{
	no_sysctl(f);
	refuse_setup(f, ENOSYS);
}

static void hidden_without_filter(struct facts *f)
{
	refuse_setup(f, ENOSYS);
}

static void fatal_filter(struct facts *f)
{
	harmless_filter(f);
	get_no_ring(f, EPERM);
	f->is_fatal = f->calls[CALL_SETUP].is_fatal = true;
}

static void unknown_filter(struct facts *f)
{
	f->status.seccomp = -1;
}

static void security_module(struct facts *f)
{
	refuse_setup(f, EACCES);
	snprintf(f->modules, sizeof(f->modules), "capability,selinux");
}

static void module_or_filter(struct facts *f)
{
	refuse_setup(f, EACCES);
	harmless_filter(f);
}

static void no_locked_memory(struct facts *f)
{
	f->memlock.rlim_cur = 8 * 1024;
	get_no_ring(f, ENOMEM);
}

static void little_locked_memory(struct facts *f)
{
	f->memlock.rlim_cur = 16 * 1024;
	f->ring_error = -ENOMEM;
	f->ring_entries = 64;
}

static void no_memory_at_all(struct facts *f)
{
	f->memlock.rlim_cur = f->memlock.rlim_max = RLIM_INFINITY;
	get_no_ring(f, ENOMEM);
}

static void locked_by_root(struct facts *f)
{
	f->status.capabilities = 1u << NEED_IPC_LOCK;
}

static void no_files(struct facts *f)
{
	get_no_ring(f, EMFILE);
}

static void no_files_in_the_system(struct facts *f)
{
	get_no_ring(f, ENFILE);
}

static void disproved_layout(struct facts *f)
{
	f->layout_error = f->attach_error = -ENOTSUP;
	f->proofs[1] = (struct evr_proof){ "second", "two", false };
	f->tier = EVRING_TIER_NONE;
}

static void loops_on_poll(struct facts *f)
{
	f->libev_flags = "2";
	f->backend = EVBACKEND_POLL;
	f->attach_error = -ENOTSUP;
	f->tier = EVRING_TIER_NONE;
}

static struct feature *region_of(struct facts *f)
{
	int i = 0;

	while (evr_features[i].bit != EVR_HAVE_REGION)
		i++;
	return &f->features[i];
}

static void region_refused(struct facts *f)
{
	struct feature *feature = region_of(f);

	f->tier = EVRING_TIER_COPIED;
	feature->state = FEATURE_OFF;
	snprintf(feature->why, sizeof(feature->why), "refused: it says EINVAL");
}

static void region_masked(struct facts *f)
{
	struct feature *feature = region_of(f);

	region_refused(f);
	feature->state = FEATURE_MASKED;
	snprintf(feature->why, sizeof(feature->why), "masked by --disable");
}

static void lost_in_first_turn(struct facts *f)
{
	f->tier = EVRING_TIER_NONE;
	f->is_lost = true;
}

enum { ABSENT = -1 };

/* clang-format off */
static const struct row {
	const char *name;
	void (*change)(struct facts *f);
	const char *topic;
	int verdict;		/* ABSENT: nothing is said of the topic */
	const char *said[3];	/* in what or in to do */
	const char *unsaid;
	const char *why_tier;   /* NULL: of no interest */
} rows[] = {
	{ "well", all_is_well, "io_uring", VERDICT_OK, { "waited on" }, NULL,
	  "" },
	{ "well", all_is_well, "sysctl", VERDICT_OK, { "is 0" }, NULL, "" },
	{ "well", all_is_well, "seccomp", VERDICT_OK,
	  { "no filter", "NoNewPrivs is 0" }, NULL, "" },
	{ "well", all_is_well, "memlock", VERDICT_OK,
	  { "is 8192 KiB (hard: 8192 KiB)", "needs 24 KiB and was made" },
	  "CAP_IPC_LOCK", "" },
	{ "well", all_is_well, "libev", VERDICT_OK, { "all 1 proofs held" },
	  NULL, "" },
	{ "well", all_is_well, "security", ABSENT, { NULL }, NULL, "" },
	{ "well", all_is_well, "files", ABSENT, { NULL }, NULL, "" },
	{ "well", all_is_well, "tier", ABSENT, { NULL }, NULL, "" },

	{ "no sysctl", no_sysctl, "sysctl", VERDICT_OK, { "6.6" }, "is 0", "" },
	{ "unreadable", unreadable_sysctl, "sysctl", VERDICT_UNKNOWN,
	  { "cannot be read: EACCES" }, "is 0", "" },
	{ "strange", strange_sysctl, "sysctl", VERDICT_UNKNOWN, { "is 7" },
	  NULL, "" },
	{ "2", disabled_for_all, "sysctl", VERDICT_PROBLEM,
	  { "is 2", "nobody", "sysctl -w kernel.io_uring_disabled=0" }, NULL,
	  "io_uring_setup says EPERM" },
	{ "2", disabled_for_all, "io_uring", VERDICT_PROBLEM,
	  { "io_uring_setup says EPERM" }, NULL, NULL },
	{ "2", disabled_for_all, "seccomp", VERDICT_OK, { "no filter" }, NULL,
	  NULL },
	{ "1", disabled_but_for_nobody, "sysctl", VERDICT_PROBLEM,
	  { "-1, no group", "is neither", "kernel.io_uring_group=GID" }, NULL,
	  "io_uring_setup says EPERM" },
	{ "1, a group", disabled_but_for_a_group, "sysctl", VERDICT_PROBLEM,
	  { "which is 1234", "is neither" }, "no group", NULL },
	{ "1, our group", disabled_but_for_our_group, "sysctl", VERDICT_OK,
	  { "which is 1234", "may make them" }, "neither", "" },
	{ "1, yet refused", in_the_group_and_yet_refused, "sysctl", VERDICT_OK,
	  { "something else refuses" }, "neither", NULL },
	{ "1, in a container", root_of_a_container, "sysctl", VERDICT_PROBLEM,
	  { "is neither" }, NULL, NULL },

	{ "filter", harmless_filter, "seccomp", VERDICT_OK,
	  { "a filter is installed", "lets through", "NoNewPrivs is 1" }, NULL,
	  "" },
	{ "EPERM", filter_says_eperm, "seccomp", VERDICT_PROBLEM,
	  { "likely cause of EPERM to io_uring_setup", "--security-opt",
	    "SystemCallFilter=" }, NULL, "io_uring_setup says EPERM" },
	{ "sysctl first", filter_behind_sysctl, "seccomp", VERDICT_UNKNOWN,
	  { "whether the filter does is unknown" }, "likely", NULL },
	{ "both", filter_and_sysctl, "seccomp", VERDICT_PROBLEM,
	  { "io_uring_enter: EPERM" }, "is unknown", NULL },
	{ "enter", filter_hides_enter, "seccomp", VERDICT_PROBLEM,
	  { "it says ENOSYS to io_uring_enter" }, "likely",
	  "io_uring_enter says ENOSYS" },
	{ "enter", filter_hides_enter, "io_uring", VERDICT_PROBLEM,
	  { "something hides it" }, "no io_uring in", NULL },
	{ "old or hidden", filter_or_old_kernel, "seccomp", VERDICT_UNKNOWN,
	  { "may be what says ENOSYS" }, NULL, NULL },
	{ "old or hidden", filter_or_old_kernel, "io_uring", VERDICT_PROBLEM,
	  { "or a seccomp filter hides it" }, NULL, NULL },
	{ "old", old_kernel, "io_uring", VERDICT_PROBLEM,
	  { "no io_uring in this kernel", "5.11" }, "seccomp", NULL },
	{ "hidden", hidden_without_filter, "io_uring", VERDICT_PROBLEM,
	  { "something hides it" }, "seccomp", NULL },
	{ "fatal", fatal_filter, "seccomp", VERDICT_PROBLEM,
	  { "ends the process that calls io_uring_setup", "SystemCallFilter=" },
	  NULL, "a seccomp filter ends who calls io_uring_setup" },
	{ "fatal", fatal_filter, "io_uring", VERDICT_PROBLEM, { "SIGSYS" },
	  NULL, NULL },
	{ "unknown", unknown_filter, "seccomp", VERDICT_UNKNOWN,
	  { "does not say" }, "no filter", "" },

	{ "module", security_module, "security", VERDICT_PROBLEM,
	  { "EACCES", "capability,selinux" }, "seccomp", NULL },
	{ "either", module_or_filter, "security", VERDICT_UNKNOWN,
	  { "or a seccomp filter", "modules here: unknown" }, NULL, NULL },

	{ "none", no_locked_memory, "memlock", VERDICT_PROBLEM,
	  { "is 8 KiB", "not even for a small one", "LimitMEMLOCK=" }, NULL,
	  "io_uring_setup says ENOMEM" },
	{ "little", little_locked_memory, "memlock", VERDICT_NOTE,
	  { "one of 64 entries", "24 KiB for each loop", "ulimit -l" }, NULL,
	  "" },
	{ "unlimited", no_memory_at_all, "memlock", VERDICT_PROBLEM,
	  { "is unlimited", "not for this limit", "control group" },
	  "ulimit", NULL },
	{ "root", locked_by_root, "memlock", VERDICT_OK,
	  { "not applied with CAP_IPC_LOCK" }, NULL, "" },
	{ "files", no_files, "files", VERDICT_PROBLEM,
	  { "is 1024 (hard: 4096)", "LimitNOFILE=" }, NULL,
	  "io_uring_setup says EMFILE" },
	{ "all files", no_files_in_the_system, "files", VERDICT_PROBLEM,
	  { "whole system", "fs.file-max" }, NULL, NULL },

	{ "disproved", disproved_layout, "libev", VERDICT_PROBLEM,
	  { "proof second failed", "4.24 to 4.33" }, NULL,
	  "the layout of libev could not be proven" },
	{ "poll", loops_on_poll, "libev", VERDICT_PROBLEM,
	  { "LIBEV_FLAGS", "on poll", "unset" }, NULL,
	  "loops are on poll, not epoll" },
	{ "region refused", region_refused, "tier", VERDICT_NOTE,
	  { "region is off (refused: it says EINVAL)", "6.13" }, NULL,
	  "of region: refused: it says EINVAL" },
	{ "region masked", region_masked, "tier", ABSENT, { NULL }, NULL,
	  "of region: masked by --disable" },
	{ "lost", lost_in_first_turn, "tier", ABSENT, { NULL }, NULL,
	  "the ring was lost in its first turn" },
};
/* clang-format on */

static const struct finding *find(const struct finding *findings, int n,
				  const char *topic)
{
	int i;

	for (i = 0; i < n; i++)
		if (!strcmp(findings[i].topic, topic))
			return &findings[i];
	return NULL;
}

static void check_finding(const struct row *row, const struct finding *found)
{
	char text[2048];
	int i;

	snprintf(text, sizeof(text), "%s: %s, to do: %s",
		 verdict_name(found->verdict), found->what, found->change);
	ck_assert_msg((int)found->verdict == row->verdict, "%s: %s", row->name,
		      text);
	for (i = 0; i < NR_OF(row->said) && row->said[i]; i++)
		ck_assert_msg(strstr(text, row->said[i]), "%s: \"%s\": %s",
			      row->name, row->said[i], text);
	if (row->unsaid)
		ck_assert_msg(!strstr(text, row->unsaid), "%s: \"%s\": %s",
			      row->name, row->unsaid, text);
	if (row->verdict == VERDICT_OK)
		ck_assert_msg(!found->change[0], "%s: %s", row->name, text);
}

START_TEST(facts_are_judged)
{
	const struct row *row = &rows[_i];
	struct finding findings[MAX_FINDINGS];
	const struct finding *found;
	struct facts f = good_facts();
	char why[256];
	int n;

	row->change(&f);
	n = diagnose(&f, findings);
	found = find(findings, n, row->topic);
	ck_assert_msg(!found == (row->verdict == ABSENT), "%s: %s", row->name,
		      row->topic);
	if (found)
		check_finding(row, found);
	diagnose_tier(&f, why, sizeof(why));
	if (row->why_tier)
		ck_assert_str_eq(why, row->why_tier);
}
END_TEST

/* No text is cut off, no matter what comes together. */
START_TEST(findings_have_room)
{
	struct finding findings[MAX_FINDINGS];
	struct facts f = good_facts();
	int i, n;

	rows[_i].change(&f);
	n = diagnose(&f, findings);
	for (i = 0; i < n; i++) {
		ck_assert_uint_lt(strlen(findings[i].what),
				  sizeof(findings[i].what) - 1);
		ck_assert_uint_lt(strlen(findings[i].change),
				  sizeof(findings[i].change) - 1);
	}
}
END_TEST

/*
 * output
 */

static char *written;
static size_t written_size;

static FILE *begin_writing(void)
{
	FILE *out = open_memstream(&written, &written_size);

	ck_assert_ptr_nonnull(out);
	return out;
}

static void check_written(FILE *out, const char *expected)
{
	fclose(out);
	ck_assert_str_eq(written, expected);
	free(written);
}

/* clang-format off */
static const struct {
	const char *text, *json;
} strings[] = {
	{ "", "" },
	{ "plain", "plain" },
	{ "a\"b\\c/", "a\\\"b\\\\c/" },
	{ "\n\t\x1b[1m\x7f", "\\u000a\\u0009\\u001b[1m\\u007f" },
	{ "\xc3\xa9 \xe2\x82\xac \xf0\x9f\x92\xa9", /* of 2, 3 and 4 bytes */
	  "\xc3\xa9 \xe2\x82\xac \xf0\x9f\x92\xa9" },
	{ "\xff", "\\ufffd" },
	{ "\xc3", "\\ufffd" },
	{ "\xe2\x82", "\\ufffd\\ufffd" },
	{ "\xc0\xaf", "\\ufffd\\ufffd" },		/* overlong */
	{ "\xe0\x80\xaf", "\\ufffd\\ufffd\\ufffd" },
	{ "\xed\xa0\x80", "\\ufffd\\ufffd\\ufffd" },	/* a surrogate */
	{ "\xf4\x90\x80\x80", "\\ufffd\\ufffd\\ufffd\\ufffd" },
	{ "\xf0\x80\x80\xaf", "\\ufffd\\ufffd\\ufffd\\ufffd" },
};
/* clang-format on */

START_TEST(json_strings_are_escaped)
{
	FILE *out = begin_writing();
	struct json j = { .out = out };
	char expected[128];

	json_string(&j, NULL, strings[_i].text);
	snprintf(expected, sizeof(expected), "\"%s\"", strings[_i].json);
	check_written(out, expected);
}
END_TEST

START_TEST(json_values_have_their_commas)
{
	FILE *out = begin_writing();
	struct json j = { .out = out };

	json_open(&j, NULL, '{');
	json_open(&j, "none", '[');
	json_close(&j, ']');
	json_open(&j, "some", '[');
	json_int(&j, NULL, -1);
	json_uint(&j, NULL, UINT64_MAX);
	json_open(&j, NULL, '{');
	json_close(&j, '}');
	json_close(&j, ']');
	json_bool(&j, "yes", true);
	json_bool(&j, "no", false);
	json_string(&j, "nothing", NULL);
	json_close(&j, '}');
	check_written(out, "{\n"
			   "  \"none\": [],\n"
			   "  \"some\": [\n"
			   "    -1,\n"
			   "    18446744073709551615,\n"
			   "    {}\n"
			   "  ],\n"
			   "  \"yes\": true,\n"
			   "  \"no\": false,\n"
			   "  \"nothing\": null\n"
			   "}\n");
}
END_TEST

START_TEST(text_is_wrapped_at_its_column)
{
	FILE *out = begin_writing();

	fputs("topic     ", out);
	text_wrap(out, 10,
		  "0123456789 0123456789 0123456789 0123456789 0123456789 "
		  "0123456789 0123 next");
	check_written(out, "topic     "
			   "0123456789 0123456789 0123456789 0123456789 "
			   "0123456789 0123456789\n"
			   "          0123 next\n");
}
END_TEST

START_TEST(word_that_is_too_long_is_not_cut)
{
	FILE *out = begin_writing();

	text_wrap(out, 70, "a 0123456789012345 b");
	check_written(out, "a\n"
			   "                                                  "
			   "                    0123456789012345\n"
			   "                                                  "
			   "                    b\n");
}
END_TEST

START_TEST(foreign_text_does_nothing_to_a_terminal)
{
	FILE *out = begin_writing();

	text_foreign(out, "a\x1b[2J\n\x7f\xc3\xa9");
	check_written(out, "a?[2J??\xc3\xa9");
}
END_TEST

START_TEST(numbers_have_names)
{
	ck_assert_str_eq(error_name(EPERM), "EPERM");
	ck_assert_str_eq(error_name(-EPERM), "EPERM");
	ck_assert_str_eq(error_name(12345), "error 12345");
	ck_assert_str_eq(evr_backend_name(EVBACKEND_SELECT), "select");
	ck_assert_str_eq(evr_backend_name(EVBACKEND_POLL), "poll");
	ck_assert_str_eq(evr_backend_name(EVBACKEND_EPOLL), "epoll");
	ck_assert_str_eq(evr_backend_name(0x40), "linuxaio");
	ck_assert_str_eq(evr_backend_name(0x80), "iouring");
	ck_assert_str_eq(evr_backend_name(0), "none");
	ck_assert_str_eq(evr_backend_name(3), "unknown");
	ck_assert_str_eq(evr_backend_name(UINT32_MAX), "unknown");
}
END_TEST

Suite *make_suite(void)
{
	Suite *suite = suite_create("info");
	TCase *judged = tcase_create("judged"), *output = tcase_create("out");

	tcase_add_loop_test(judged, facts_are_judged, 0, NR_OF(rows));
	tcase_add_loop_test(judged, findings_have_room, 0, NR_OF(rows));
	tcase_add_loop_test(output, json_strings_are_escaped, 0,
			    NR_OF(strings));
	tcase_add_test(output, json_values_have_their_commas);
	tcase_add_test(output, text_is_wrapped_at_its_column);
	tcase_add_test(output, word_that_is_too_long_is_not_cut);
	tcase_add_test(output, foreign_text_does_nothing_to_a_terminal);
	tcase_add_test(output, numbers_have_names);
	suite_add_tcase(suite, judged);
	suite_add_tcase(suite, output);
	return suite;
}
