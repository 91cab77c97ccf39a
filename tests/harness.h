/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * harness.h - what all test programs share: one main (main.c), skips that are
 * printed, children that end.
 */
#ifndef HARNESS_H
#define HARNESS_H

#include <check.h>
#include <stdbool.h>

/* Each program defines it: its suite.  Runs in the parent of all tests. */
Suite *make_suite(void);

/*
 * Add test to tcase unless reason is not NULL: then say that it is left out and
 * why.  A skip is for what this machine lacks, never for what does not work.
 */
void add_or_leave_out(TCase *tcase, const TTest *test, const char *reason);

/* The same for a test that is run with _i from 0 to nr_rows - 1. */
void add_loop_or_leave_out(TCase *tcase, const TTest *test, int nr_rows,
			   const char *reason);

/*
 * Is this program a run of valgrind's?  Some things it cannot do; reasons to
 * leave tests out only.  Set EVRING_VALGRIND=1 there.
 */
bool under_valgrind(void);

/*
 * Why a test whose child makes rings, or asks the kernel first, cannot be run
 * there; NULL elsewhere.
 */
const char *no_children(void);

/* The same of a test in which other threads run while a ring waits, and of one
   whose loop collects. */
const char *no_threads(void);
const char *no_collecting(void);

/* Is this program built with the address or the thread sanitizer? */
bool under_asan(void);
bool under_tsan(void);

/*
 * Run body (arg) in a forked child and return what it returned (0 to 127), or
 * 128 + the signal that ended it.  Ends the child after patience (20.).
 */
int run_in_child(int (*body)(void *arg), void *arg);

/* In such a body, in place of ck_assert(): say what is wrong, return 1. */
#define child_assert(ok)                                                       \
	do {                                                                   \
		if (!(ok))                                                     \
			child_failed(__FILE__, __LINE__, #ok);                 \
	} while (0)
_Noreturn void child_failed(const char *file, int line, const char *what);

/* How many file descriptors are open. */
int count_fds(void);

/*
 * The lowest fd that /proc names so, as "anon_inode:[io_uring]"; -1 for none.
 */
int find_fd(const char *target);
#define RING_FD "anon_inode:[io_uring]"

/* How many lines in /proc/self/maps have what in them; NULL for all. */
int count_mappings(const char *what);

/*
 * So many seconds, or as many times that as Check is told to wait for a test
 * (CK_TIMEOUT_MULTIPLIER): for a bound that only says that there is one.
 */
double patience(double seconds);

/* Seconds on the monotonic clock. */
double now(void);

#endif
