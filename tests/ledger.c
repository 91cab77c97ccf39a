/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ledger.c - the page of `evring run`, where there is no memory for one: the
 * program loses the figures, and nothing else.
 *
 * (What is in the page is looked at by run-stats.sh and info.sh.)
 */
#include "config.h"

#include "harness.h"

#include <errno.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/types.h>

#include "ledger.h"

static bool has_memory;

/* Of mmap, or of what is called instead where a long has 32 bits. */
typedef void *mmap_fn(void *addr, size_t size, int prot, int flags, int fd,
		      off_t offset);

mmap_fn __real_mmap, __wrap_mmap, __wrap_mmap64;

void *__wrap_mmap(void *addr, size_t size, int prot, int flags, int fd,
		  off_t offset)
{
	if (has_memory)
		return __real_mmap(addr, size, prot, flags, fd, offset);
	errno = ENOMEM;
	return MAP_FAILED;
}

void *__wrap_mmap64(void *addr, size_t size, int prot, int flags, int fd,
		    off_t offset)
{
	return __wrap_mmap(addr, size, prot, flags, fd, offset);
}

static int open_without_memory(void *arg)
{
	int before = count_fds();

	has_memory = false;
	child_assert(!evr_ledger_open(arg));
	child_assert(!evr_ledger_page());
	child_assert(count_fds() == before);
	return 0;
}

START_TEST(a_page_that_is_refused_leaves_no_file)
{
	ck_assert_int_eq(run_in_child(open_without_memory, NULL), 0);
}
END_TEST

static int count_after_fork(void *arg)
{
	child_assert(evr_ledger_page());
	child_assert(count_fds() == *(int *)arg);
	return 0;
}

/* The first child has a page, its child gets none of its own. */
static int fork_without_memory(void *arg)
{
	int nr_fds;

	has_memory = true;
	child_assert(evr_ledger_open(arg));
	nr_fds = count_fds();
	has_memory = false;
	return run_in_child(count_after_fork, &nr_fds);
}

START_TEST(a_child_that_gets_no_page_has_no_file_more)
{
	ck_assert_int_eq(run_in_child(fork_without_memory, NULL), 0);
}
END_TEST

Suite *make_suite(void)
{
	Suite *suite = suite_create("ledger");
	TCase *tcase = tcase_create("ledger");

	tcase_add_test(tcase, a_page_that_is_refused_leaves_no_file);
	tcase_add_test(tcase, a_child_that_gets_no_page_has_no_file_more);
	suite_add_tcase(suite, tcase);
	return suite;
}
