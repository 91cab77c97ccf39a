/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fds.c - a program that this one executes has none of evring's files: each is
 * close-on-exec from the moment it is made, there is no exception.
 *
 * Those that stay are looked at in the table of the process, after each step
 * that may make some.  Those that are closed again before the step is over are
 * seen when they are made: by the flags of the calls, which are wrapped.  A
 * ring is made close-on-exec by the kernel, always.  The epoll set is libev's.
 */
#include "config.h"

#include "harness.h"

#include <dirent.h>
#include <ev.h>
#include <evring-net.h>
#include <fcntl.h>
#include <liburing.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "works.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

enum { MAX_FDS = 256 };

static const char *const modes[] = { NULL, "region", "epoll-wait", "msg-ring",
				     "registered-ring" };

static bool were_there[MAX_FDS]; /* before anything was attached */
static unsigned nr_made;	 /* by calls that are wrapped */

int __real_pipe2(int fds[2], int flags);
int __wrap_pipe2(int fds[2], int flags);
int __real_eventfd(unsigned value, int flags);
int __wrap_eventfd(unsigned value, int flags);
int __real_dup3(int old, int new, int flags);
int __wrap_dup3(int old, int new, int flags);

/* Also where no test is running yet. */
static void must_be_set(int flag)
{
	if (!flag)
		abort();
	nr_made++;
}

int __wrap_pipe2(int fds[2], int flags)
{
	must_be_set(flags & O_CLOEXEC);
	return __real_pipe2(fds, flags);
}

int __wrap_eventfd(unsigned value, int flags)
{
	must_be_set(flags & EFD_CLOEXEC);
	return __real_eventfd(value, flags);
}

int __wrap_dup3(int old, int new, int flags)
{
	must_be_set(flags & O_CLOEXEC);
	return __real_dup3(old, new, flags);
}

/* Calls use (fd) for all that are open, but the one that lists them. */
static void each_fd(void (*use)(int fd))
{
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *entry;

	ck_assert_ptr_nonnull(dir);
	while ((entry = readdir(dir)))
		if (entry->d_name[0] != '.' &&
		    atoi(entry->d_name) != dirfd(dir) &&
		    atoi(entry->d_name) < getdtablesize()) /* or valgrind's */
			use(atoi(entry->d_name));
	closedir(dir);
}

static void note_fd(int fd)
{
	ck_assert_int_lt(fd, MAX_FDS);
	were_there[fd] = true;
}

static int nr_new;
static const char *step;

static void check_fd(int fd)
{
	char path[64], name[128];
	ssize_t size;
	int flags;

	if (were_there[fd])
		return;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	size = readlink(path, name, sizeof(name) - 1);
	name[size < 0 ? 0 : size] = '\0';
	flags = fcntl(fd, F_GETFD);
	ck_assert_msg(flags >= 0 && flags & FD_CLOEXEC,
		      "%s: fd %d, %s, is not close-on-exec", step, fd, name);
	nr_new++;
}

/* Returns how many there are that were not there in the beginning. */
static int check_fds(const char *after)
{
	step = after;
	nr_new = 0;
	each_fd(check_fd);
	return nr_new;
}

static void on_op(struct ev_loop *loop, struct evring_op *op, int revents)
{
	(void)loop;
	(void)op;
	(void)revents;
}

static void on_message(struct ev_loop *loop, struct evring_port *port,
		       struct evring_message *message)
{
	(void)loop;
	(void)port;
	(void)message;
}

/* A parent's loop, and what it makes of it. */
static int use_in_child(void *arg)
{
	struct ev_loop *loop = arg;

	ev_loop_fork(loop);
	ev_run(loop, EVRUN_NOWAIT);
	child_assert(loop_works(loop));
	return check_fds("in a child") < 2;
}

static void *use_in_thread(void *loop)
{
	ck_assert(loop_works(loop));
	check_fds("in another thread");
	return NULL;
}

static struct ev_loop *attach(const char *disable)
{
	struct evring_config config = { .disable = disable };
	struct ev_loop *loop = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);

	ck_assert_int_eq(evring_attach(loop, &config), 0);
	return loop;
}

START_TEST(every_file_is_close_on_exec)
{
	struct evring_port port;
	struct evring_op op;
	struct ev_loop *loop;
	pthread_t thread;
	int nr;

	each_fd(note_fd);
	loop = attach(modes[_i]);
	nr = check_fds("attach");
	ck_assert_int_ge(nr, 2); /* the set and the ring */
	ck_assert(loop_works(loop));
	ck_assert_int_eq(check_fds("a turn"), nr);
	evring_port_init(&port, on_message);
	ck_assert_int_eq(evring_port_start(loop, &port), 0);
	ck_assert_int_gt(check_fds("a port"), nr);
	evring_op_init(&op, on_op);
	io_uring_prep_nop(evring_op_start(loop, &op));
	ck_assert_int_gt(check_fds("an operation"), nr + 1);
	ev_run(loop, EVRUN_NOWAIT);
	ck_assert_int_eq(evring_set_files(loop, 4), 0);
	check_fds("fixed files");
	if (!no_collecting())
		(void)evring_set_collect(loop, 1e-3, 0);
	ck_assert_int_eq(evring_set_spin(loop, 1e-4), 0);
	ck_assert(loop_works(loop));
	check_fds("collecting and spinning");
	evring_port_stop(loop, &port);
	if (!no_children())
		ck_assert_int_eq(run_in_child(use_in_child, loop), 0);
	ck_assert(!pthread_create(&thread, NULL, use_in_thread, loop));
	pthread_join(thread, NULL);
	ck_assert_int_eq(evring_detach(loop), 0);
	check_fds("detach");
	ck_assert_uint_gt(nr_made, 0);
	ev_loop_destroy(loop);
}
END_TEST

static const char *no_ring(void)
{
	struct ev_loop *loop = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
	int r = evring_attach(loop, NULL);

	ev_loop_destroy(loop);
	return r < 0 ? evring_strerror(r) : NULL;
}

Suite *make_suite(void)
{
	Suite *suite = suite_create("fds");
	TCase *tcase = tcase_create("fds");

	suite_add_tcase(suite, tcase);
	add_loop_or_leave_out(tcase, every_file_is_close_on_exec,
			      ARRAY_SIZE(modes), no_ring());
	return suite;
}
