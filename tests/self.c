/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * self.c - which process and which thread is running.
 */
#include "config.h"

#include "harness.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../lib/self.h"
#include "sandbox.h"

START_TEST(init_may_be_repeated)
{
	uint64_t id;

	ck_assert_int_eq(evr_self_init(), 0);
	id = evr_process_id();
	ck_assert_int_eq(evr_self_init(), 0);
	ck_assert_uint_ne(id, 0);
	ck_assert_uint_eq(evr_process_id(), id);
}
END_TEST

/* As on Linux before 4.14.  Without that page no fork would be noticed. */
static int init_without_wipe(void *unused)
{
	const struct refusal refusals[] = { REFUSE(__NR_madvise, EINVAL) };

	(void)unused;
	sandbox(refusals, 1);
	child_assert(evr_self_init() == -EINVAL);
	child_assert(evr_self_init() == -EINVAL);
	return 0;
}

START_TEST(a_page_that_forks_keep_is_refused)
{
	ck_assert_int_eq(run_in_child(init_without_wipe, NULL), 0);
}
END_TEST

/* Ids seen in a child are sent home through a pipe. */
static int pipe_home[2];

static void send_id(void)
{
	uint64_t id = evr_process_id();

	child_assert(id == evr_process_id());
	child_assert(write(pipe_home[1], &id, sizeof(id)) == sizeof(id));
}

static int child_and_grandchild(void *unused)
{
	int status;
	pid_t pid;

	(void)unused;
	send_id();
	pid = fork();
	if (!pid) {
		send_id();
		_exit(0);
	}
	child_assert(waitpid(pid, &status, 0) == pid && !status);
	send_id(); /* stays what it was */
	return 0;
}

static uint64_t receive_id(void)
{
	uint64_t id = 0;

	ck_assert_int_eq(read(pipe_home[0], &id, sizeof(id)), sizeof(id));
	ck_assert_uint_ne(id, 0);
	return id;
}

START_TEST(child_and_grandchild_are_others)
{
	uint64_t id, child, grandchild;

	ck_assert_int_eq(evr_self_init(), 0);
	ck_assert_int_eq(pipe(pipe_home), 0);
	id = evr_process_id();
	ck_assert_int_eq(run_in_child(child_and_grandchild, NULL), 0);
	child = receive_id();
	grandchild = receive_id();
	ck_assert_uint_ne(child, id);
	ck_assert_uint_ne(grandchild, id);
	ck_assert_uint_ne(grandchild, child);
	ck_assert_uint_eq(receive_id(), child);
	ck_assert_uint_eq(evr_process_id(), id);
	close(pipe_home[0]);
	close(pipe_home[1]);
}
END_TEST

/* Neither may have asked before the other was forked. */
START_TEST(child_that_asks_first_is_another)
{
	uint64_t child;

	ck_assert_int_eq(evr_self_init(), 0);
	ck_assert_int_eq(pipe(pipe_home), 0);
	ck_assert_int_eq(run_in_child(child_and_grandchild, NULL), 0);
	child = receive_id();
	ck_assert_uint_ne(receive_id(), child);
	close(pipe_home[0]);
	close(pipe_home[1]);
}
END_TEST

/* Not through fork(3): no handler of pthread_atfork() runs. */
START_TEST(child_by_raw_clone_is_another)
{
	uint64_t id;
	int status;
	long pid;

	ck_assert_int_eq(evr_self_init(), 0);
	id = evr_process_id();
	pid = syscall(__NR_clone, SIGCHLD, NULL, NULL, NULL, NULL);
	if (!pid)
		_exit(evr_process_id() == id);
	ck_assert_int_gt(pid, 0);
	ck_assert_int_eq(waitpid((pid_t)pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	ck_assert_uint_eq(evr_process_id(), id);
}
END_TEST

enum { NR_ASKING = 2, NR_THREADS = 16, NR_ROUNDS = 50 };

static atomic_int nr_there;

static void *process_in_thread(void *ret_id)
{
	nr_there++;
	while (nr_there < NR_ASKING)
		; /* all ask at once */
	*(uint64_t *)ret_id = evr_process_id();
	return NULL;
}

static int threads_of_child(void *unused)
{
	pthread_t threads[NR_ASKING];
	uint64_t ids[NR_ASKING];
	int i;

	(void)unused; /* all of them ask first */
	for (i = 0; i < NR_ASKING; i++)
		child_assert(!pthread_create(&threads[i], NULL,
					     process_in_thread, &ids[i]));
	for (i = 0; i < NR_ASKING; i++)
		child_assert(!pthread_join(threads[i], NULL));
	for (i = 0; i < NR_ASKING; i++)
		child_assert(ids[i] == evr_process_id());
	return 0;
}

START_TEST(threads_of_a_process_agree)
{
	int i;

	ck_assert_int_eq(evr_self_init(), 0);
	ck_assert_uint_ne(evr_process_id(), 0);
	for (i = 0; i < 200; i++)
		ck_assert_int_eq(run_in_child(threads_of_child, NULL), 0);
}
END_TEST

static void *thread_in_thread(void *ret_id)
{
	uint64_t id = evr_thread_id();

	*(uint64_t *)ret_id = id == evr_thread_id() ? id : 0;
	return NULL;
}

static int compare_ids(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

START_TEST(no_two_threads_ever_are_the_same)
{
	static uint64_t ids[NR_ROUNDS * NR_THREADS + 1];
	pthread_t threads[NR_THREADS];
	int round, i, nr = 0;

	ids[nr++] = evr_thread_id();
	for (round = 0; round < NR_ROUNDS; round++) {
		for (i = 0; i < NR_THREADS; i++)
			ck_assert(!pthread_create(&threads[i], NULL,
						  thread_in_thread,
						  &ids[nr++]));
		for (i = 0; i < NR_THREADS; i++)
			ck_assert(!pthread_join(threads[i], NULL));
	}
	ck_assert_uint_eq(evr_thread_id(), ids[0]);
	qsort(ids, (size_t)nr, sizeof(ids[0]), compare_ids);
	ck_assert_uint_ne(ids[0], 0);
	for (i = 1; i < nr; i++)
		ck_assert_uint_ne(ids[i], ids[i - 1]);
}
END_TEST

Suite *make_suite(void)
{
	Suite *suite = suite_create("self");
	TCase *tcase = tcase_create("self");

	tcase_set_timeout(tcase, 20);
	tcase_add_test(tcase, init_may_be_repeated);
	add_or_leave_out(tcase, a_page_that_forks_keep_is_refused,
			 no_children());
	tcase_add_test(tcase, child_and_grandchild_are_others);
	tcase_add_test(tcase, child_that_asks_first_is_another);
	add_or_leave_out(tcase, child_by_raw_clone_is_another,
			 under_valgrind() ? "valgrind has its own clone"
					  : NULL);
	add_or_leave_out(tcase, threads_of_a_process_agree,
			 under_valgrind() ? "valgrind runs one thread at a time"
					  : NULL);
	tcase_add_test(tcase, no_two_threads_ever_are_the_same);
	suite_add_tcase(suite, tcase);
	return suite;
}
