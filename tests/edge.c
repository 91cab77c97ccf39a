/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * edge.c - evring_io_edge(): an fd is reported once for what happens to it, and
 * nothing that happens is missed.
 *
 * Most files here are not drained, against the promise, to see by the number of
 * reports whether the loop has them as edges.  Where it may have none
 * (has_edges), what is promised is that they are reported at all.
 */
#include "config.h"

#include "harness.h"

#include <errno.h>
#include <ev.h>
#include <evring.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sandbox.h"
#include "works.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

static const struct {
	const char *disable;
	const char *engine; /* EVRING_ENGINE */
	bool has_edges;
} modes[] = {
	{ NULL, NULL, true },
	{ NULL, "set", true },
	{ NULL, "ring", true },
	{ "region", NULL, true },
	{ "epoll-ctl", NULL, false },
	{ "epoll-wait", NULL, true },
	{ "epoll-wait,multishot-poll", NULL, true },
	{ "epoll-wait,epoll-ctl", NULL, false },
	{ "defer-taskrun", NULL, true },
	{ "single-issuer,coop-taskrun,r-disabled,cqe-skip", NULL, false },
};

enum { NR_MODES = ARRAY_SIZE(modes), NR_TURNS = 6, MANY = 3 };

static struct ev_loop *loop;

static void attach(int mode)
{
	struct evring_config config = { .disable = modes[mode].disable };
	int r;

	if (modes[mode].engine)
		setenv("EVRING_ENGINE", modes[mode].engine, 1);
	r = evring_attach(loop, &config);
	unsetenv("EVRING_ENGINE");
	ck_assert_msg(!r, "less %s: %d", config.disable, r);
}

static void new_loop(int mode)
{
	loop = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
	attach(mode);
}

static void turn(void)
{
	ev_run(loop, EVRUN_NOWAIT);
}

static void turns(void)
{
	int i;

	for (i = 0; i < NR_TURNS; i++)
		turn();
}

/* A file, its watcher, and what it saw. */
struct file {
	ev_io io;
	int fd, nr_events;
};

static void count(struct ev_loop *l, ev_io *w, int revents)
{
	(void)l;
	if (!(revents & EV_ERROR))
		((struct file *)w->data)->nr_events++;
}

static void watch(struct file *file, int fd, int events)
{
	ck_assert_int_ge(fd, 0);
	file->fd = fd;
	file->nr_events = 0;
	ev_io_init(&file->io, count, fd, events);
	file->io.data = file;
	ev_io_start(loop, &file->io);
}

static int new_file(bool readable)
{
	return eventfd(readable, EFD_NONBLOCK | EFD_CLOEXEC);
}

static void open_file(struct file *file, bool readable)
{
	watch(file, new_file(readable), EV_READ);
}

static void mark(struct file *file)
{
	ck_assert_int_eq(evring_io_edge(loop, &file->io), 0);
}

/* Started, watched, and an edge. */
static void open_edge(struct file *file)
{
	open_file(file, false);
	mark(file);
	turns();
	ck_assert_int_eq(file->nr_events, 0);
}

static void set_readable(struct file *file)
{
	ck_assert_int_eq(eventfd_write(file->fd, 1), 0);
}

static void set_quiet(struct file *file)
{
	eventfd_t value;

	ck_assert_int_eq(eventfd_read(file->fd, &value), 0);
}

/* Hear of it, once.  The turn is over, and the set is not being asked. */
static void hear_of(struct file *file)
{
	int i;

	set_readable(file);
	file->nr_events = 0;
	for (i = 0; i < NR_TURNS && !file->nr_events; i++)
		turn();
	ck_assert_int_eq(file->nr_events, 1);
	set_quiet(file);
	file->nr_events = 0;
}

static int reports_of(struct file *file)
{
	int before = file->nr_events;

	turns();
	return file->nr_events - before;
}

#define ck_assert_level(file) ck_assert_int_ge(reports_of(file), MANY)

/* Of a file that is ready all the time. */
#define ck_assert_reports(file, nr)                                            \
	do {                                                                   \
		int reports_ = reports_of(file);                               \
                                                                               \
		if (modes[_i].has_edges)                                       \
			ck_assert_int_eq(reports_, nr);                        \
		else                                                           \
			ck_assert_int_ge(reports_, MANY);                      \
	} while (0)

/*
 * what it is
 */

START_TEST(edge_is_reported_once_until_something_new)
{
	struct file file;

	new_loop(_i);
	open_edge(&file);
	set_readable(&file);
	ck_assert_reports(&file, 1);
	ck_assert_reports(&file, 0);
	set_readable(&file);
	ck_assert_reports(&file, 1);
	ck_assert_reports(&file, 0);
	set_quiet(&file);
	ck_assert_int_eq(reports_of(&file), 0);
	ev_loop_destroy(loop);
}
END_TEST

START_TEST(what_is_ready_when_asked_for_is_reported)
{
	struct file file;

	new_loop(_i);
	open_file(&file, true);
	mark(&file);
	ck_assert_reports(&file, 1);
	mark(&file); /* in no turn of a start */
	ck_assert_reports(&file, 1);
	ck_assert_reports(&file, 0);
	ev_loop_destroy(loop);
}
END_TEST

START_TEST(level_becomes_edge)
{
	struct file file;

	new_loop(_i);
	open_file(&file, true);
	ck_assert_level(&file);
	mark(&file);
	ck_assert_reports(&file, 1);
	ck_assert_reports(&file, 0);
	ev_loop_destroy(loop);
}
END_TEST

static uint64_t requests(void)
{
	struct evring_stats s;

	ck_assert_int_eq(evring_stats(loop, &s), 0);
	return s.requests + s.handed_over;
}

START_TEST(mark_with_the_start_costs_no_request)
{
	uint64_t plain, edge, before;
	struct file files[3];

	new_loop(_i);
	open_edge(&files[0]);
	before = requests();
	open_file(&files[1], false);
	turns();
	plain = requests() - before;
	before = requests();
	open_file(&files[2], false);
	mark(&files[2]);
	turns();
	edge = requests() - before;
	ck_assert_uint_eq(edge, plain);
	ev_loop_destroy(loop);
}
END_TEST

static void *mark_there(void *file)
{
	mark(file);
	return NULL;
}

/* As where pending watchers are invoked by another thread than polls. */
START_TEST(mark_with_the_start_wants_no_ring)
{
	struct evring_stats stats;
	struct file file, old;
	pthread_t thread;

	new_loop(_i);
	open_edge(&old);
	set_readable(&old);
	ck_assert_reports(&old, 1);
	open_file(&file, true);
	ck_assert(!pthread_create(&thread, NULL, mark_there, &file));
	ck_assert(!pthread_join(thread, NULL));
	ck_assert_reports(&file, 1);
	ck_assert_reports(&old, 0);
	ck_assert_int_eq(evring_stats(loop, &stats), 0);
	ck_assert_uint_eq(stats.ring_rebuilds, 0);
	ev_loop_destroy(loop);
}
END_TEST

START_TEST(writers_have_edges)
{
	char buffer[4096] = { 0 };
	struct file file;
	int fds[2];

	new_loop(_i);
	ck_assert(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds));
	watch(&file, fds[0], EV_WRITE);
	mark(&file);
	ck_assert_reports(&file, 1);
	ck_assert_reports(&file, 0);
	while (write(fds[0], buffer, sizeof(buffer)) > 0)
		;
	ck_assert_int_eq(errno, EAGAIN);
	turns();
	ck_assert_int_eq(reports_of(&file), 0);
	while (read(fds[1], buffer, sizeof(buffer)) > 0)
		;
	ck_assert_int_ge(reports_of(&file), 1);
	ck_assert_reports(&file, 0);
	ev_loop_destroy(loop);
	close(fds[0]);
	close(fds[1]);
}
END_TEST

START_TEST(regular_file_is_always_ready)
{
	struct file file;

	new_loop(_i);
	watch(&file, open("/proc/self/exe", O_RDONLY | O_CLOEXEC), EV_READ);
	mark(&file);
	ck_assert_int_ge(reports_of(&file), NR_TURNS - 1);
	mark(&file);
	ck_assert_int_eq(reports_of(&file), NR_TURNS);
	ev_loop_destroy(loop);
	close(file.fd);
}
END_TEST

START_TEST(watchers_that_are_not_there_are_refused)
{
	struct ev_loop *other = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
	struct file file, theirs;

	new_loop(_i);
	open_file(&file, false);
	errno = 12345;
	ck_assert_int_eq(evring_io_edge(NULL, &file.io), -EINVAL);
	ck_assert_int_eq(evring_io_edge(loop, NULL), -EINVAL);
	ck_assert_int_eq(evring_io_edge(other, &file.io), -EINVAL);
	ev_io_init(&theirs.io, count, 1000, EV_READ);
	ev_io_start(other, &theirs.io); /* never runs */
	ck_assert_int_eq(evring_io_edge(loop, &theirs.io), -EINVAL);
	ev_io_stop(loop, &file.io);
	ck_assert_int_eq(evring_io_edge(loop, &file.io), -EINVAL);
	ev_io_start(loop, &file.io);
	ck_assert_int_eq(evring_io_edge(loop, &file.io), 0);
	ck_assert_int_eq(evring_detach(loop), 0);
	ck_assert_int_eq(evring_io_edge(loop, &file.io), -EINVAL);
	ck_assert_int_eq(errno, 12345);
	ev_loop_destroy(loop);
	ev_loop_destroy(other);
}
END_TEST

/*
 * how it ends
 */

/* The mark is of a start that came to nothing. */
static void restart_marked(struct file *file)
{
	ev_io_stop(loop, &file->io);
	turns();
	ev_io_start(loop, &file->io);
	mark(file);
	ev_io_stop(loop, &file->io);
	turns();
	ev_io_start(loop, &file->io);
}

START_TEST(stop_ends_it)
{
	struct file file;

	new_loop(_i);
	open_edge(&file);
	ev_io_stop(loop, &file.io);
	set_readable(&file);
	turns();
	ev_io_start(loop, &file.io);
	ck_assert_level(&file);
	mark(&file);
	ck_assert_reports(&file, 1);
	restart_marked(&file);
	ck_assert_level(&file);
	ev_loop_destroy(loop);
}
END_TEST

START_TEST(stop_without_a_turn_does_not)
{
	struct file file;

	new_loop(_i);
	open_edge(&file);
	ev_io_stop(loop, &file.io);
	ev_io_start(loop, &file.io);
	set_readable(&file);
	ck_assert_reports(&file, 1);
	ev_loop_destroy(loop);
}
END_TEST

/* All in one turn, as a server does that closes and accepts. */
static void use_number_anew(struct file *file)
{
	struct file other;

	ev_io_stop(loop, &file->io);
	close(file->fd);
	open_file(&other, true);
	ck_assert_int_eq(other.fd, file->fd);
	ck_assert_level(&other);
	ev_loop_destroy(loop);
}

START_TEST(number_used_anew_has_no_edge)
{
	struct file file;

	new_loop(_i);
	open_edge(&file);
	use_number_anew(&file);
}
END_TEST

START_TEST(number_used_anew_after_the_mark_has_no_edge)
{
	struct file file;

	new_loop(_i);
	open_file(&file, false);
	mark(&file);
	use_number_anew(&file);
}
END_TEST

/* It has not promised anything, until it is marked, too. */
START_TEST(second_watcher_ends_it)
{
	struct file file, second;

	new_loop(_i);
	open_edge(&file);
	set_readable(&file);
	ck_assert_reports(&file, 1);
	watch(&second, file.fd, EV_READ);
	ck_assert_level(&second);
	ck_assert_level(&file);
	mark(&second);
	ck_assert_reports(&second, 1);
	ck_assert_reports(&file, 0);
	ev_io_stop(loop, &second.io);
	watch(&second, file.fd, EV_READ | EV_WRITE);
	ck_assert_level(&file);
	ev_loop_destroy(loop);
}
END_TEST

/* In the turn of the mark. */
START_TEST(second_watcher_after_the_mark_ends_it)
{
	static const int events[] = { EV_READ, EV_WRITE, EV_READ | EV_WRITE };
	struct file file, second;
	size_t i;

	new_loop(_i);
	for (i = 0; i < ARRAY_SIZE(events); i++) {
		open_file(&file, true);
		mark(&file);
		watch(&second, file.fd, events[i]);
		ck_assert_level(&second);
		ck_assert_level(&file);
		ev_io_stop(loop, &file.io);
		mark(&second);
		watch(&file, second.fd, EV_READ);
		ck_assert_level(&file);
		mark(&file); /* now both have promised */
		ck_assert_reports(&file, 1);
		ck_assert_reports(&second, 0);
		ev_io_stop(loop, &file.io);
		ev_io_stop(loop, &second.io);
		close(file.fd);
	}
	ev_loop_destroy(loop);
}
END_TEST

/* More than 64, in another order than the loop hears of the files, twice; one
   in three gets another watcher, one is marked again, one is left as it is. */
START_TEST(many_marks_of_a_turn_are_kept_apart)
{
	enum { NR = 96, STEP = 35 }; /* without a common factor */
	static struct file files[NR], seconds[NR];
	int round, i;

	new_loop(_i);
	for (round = 0; round < 2; round++) {
		for (i = 0; i < NR; i++)
			open_file(&files[i], true);
		for (i = 0; i < NR; i++)
			mark(&files[i * STEP % NR]);
		for (i = 0; i < NR; i += 3)
			watch(&seconds[i], files[i].fd, EV_READ);
		for (i = 1; i < NR; i += 3)
			mark(&files[i]);
		turns();
		for (i = 0; i < NR; i++) {
			if (i % 3 && modes[_i].has_edges)
				ck_assert_int_eq(files[i].nr_events, 1);
			else
				ck_assert_int_ge(files[i].nr_events, MANY);
		}
		for (i = 0; i < NR; i++) {
			ev_io_stop(loop, &files[i].io);
			if (i % 3 == 0)
				ev_io_stop(loop, &seconds[i].io);
			close(files[i].fd);
		}
	}
	ev_loop_destroy(loop);
}
END_TEST

START_TEST(mark_is_not_for_who_comes_in_between)
{
	struct file file, other;

	new_loop(_i);
	open_file(&file, true);
	mark(&file);
	ev_io_stop(loop, &file.io);
	watch(&other, file.fd, EV_READ);
	ev_io_start(loop, &file.io);
	ck_assert_level(&other);
	ev_loop_destroy(loop);
}
END_TEST

START_TEST(detached_loop_has_none)
{
	struct file file, stopped;

	new_loop(_i);
	open_edge(&file);
	open_edge(&stopped);
	set_readable(&file);
	set_readable(&stopped);
	ck_assert_reports(&file, 1);
	ev_io_stop(loop, &stopped.io);
	turns();
	ck_assert_int_eq(evring_detach(loop), 0);
	ck_assert_level(&file);
	ev_io_start(loop, &stopped.io);
	ck_assert_level(&stopped);
	attach(_i);
	ck_assert_level(&file);
	mark(&file);
	ck_assert_reports(&file, 1);
	ev_loop_destroy(loop);
}
END_TEST

/* An event that nobody wanted would have removed it from the set. */
START_TEST(stopped_before_detach_is_level_after_it)
{
	struct file file;

	new_loop(_i);
	open_edge(&file);
	ev_io_stop(loop, &file.io);
	turns();
	ck_assert_int_eq(evring_detach(loop), 0);
	ev_io_start(loop, &file.io);
	turns();
	set_readable(&file);
	ck_assert_level(&file);
	ev_loop_destroy(loop);
}
END_TEST

/*
 * events that are dropped
 */

/*
 * In the nth call of the release callback the file becomes ready, and in the
 * acquire callback after it something happens.
 */
static struct {
	struct file *file;
	void (*act)(void);
	int n;
	bool is_ready, is_done;
} plan;

static void release(struct ev_loop *l)
{
	(void)l;
	if (plan.n && !--plan.n) {
		set_readable(plan.file);
		plan.is_ready = true;
	}
}

static void acquire(struct ev_loop *l)
{
	(void)l;
	if (plan.is_ready && !plan.is_done) {
		plan.is_done = true;
		plan.act();
	}
}

static void restart(void)
{
	ev_io_stop(loop, &plan.file->io);
	ev_io_start(loop, &plan.file->io);
}

/* libev's backend looks in the next turn, too. */
static void have_libev_look(void)
{
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	struct file regular;

	watch(&regular, fd, EV_READ);
	turns();
	ev_io_stop(loop, &regular.io);
	close(fd);
}

static void turn_with_libev(int n)
{
	have_libev_look();
	plan.n = n;
	plan.is_done = plan.is_ready = false;
	turn();
}

/* Whoever asks: what came meanwhile is for a watcher that was stopped. */
START_TEST(change_between_the_callbacks_loses_nothing)
{
	struct file file;
	int n, idle;

	new_loop(_i);
	ev_set_loop_release_cb(loop, release, acquire);
	for (n = 1; n <= 4; n++) {
		for (idle = 0; idle < 2; idle++) {
			open_edge(&file);
			hear_of(&file);
			if (idle)
				turns(); /* now it is asked */
			memset(&plan, 0, sizeof(plan));
			plan.file = &file;
			plan.act = restart;
			plan.n = n;
			file.nr_events = 0;
			turn();
			turns();
			ck_assert(plan.is_done);
			ck_assert_msg(file.nr_events > 0, "call %d, %d", n,
				      idle);
			ev_io_stop(loop, &file.io);
			close(file.fd);
		}
	}
	ev_loop_destroy(loop);
}
END_TEST

START_TEST(look_of_libev_loses_nothing)
{
	struct file file;
	int n;

	new_loop(_i);
	ev_set_loop_release_cb(loop, release, acquire);
	for (n = 1; n <= 4; n++) {
		open_edge(&file);
		memset(&plan, 0, sizeof(plan));
		plan.file = &file;
		plan.act = restart;
		plan.is_done = true;
		turn_with_libev(n);
		if (!plan.is_ready) /* not as many calls */
			set_readable(&file);
		ck_assert_msg(reports_of(&file) > 0, "call %d", n);
		ev_io_stop(loop, &file.io);
		close(file.fd);
	}
	ev_loop_destroy(loop);
}
END_TEST

static bool nobody_looks_any_more;

/* Has the lock of the set most of the time. */
static void *look_at_set(void *unused)
{
	char path[64], c;
	int fd;

	(void)unused;
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d",
		 find_fd("anon_inode:[eventpoll]"));
	while (!__atomic_load_n(&nobody_looks_any_more, __ATOMIC_RELAXED)) {
		fd = open(path, O_RDONLY | O_CLOEXEC);
		(void)!read(fd, &c, 1);
		close(fd);
	}
	return NULL;
}

enum { NR_LATE = 200, NR_LATE_ROUNDS = 20 };

static void hear_of_all(struct file *files, int nr)
{
	int i, k;

	for (i = 0; i < nr; i++)
		set_readable(&files[i]);
	for (i = 0; i < nr; i++) {
		for (k = 0; k < 100 && !files[i].nr_events; k++)
			turn();
		ck_assert_msg(files[i].nr_events > 0, "file %d of %d", i, nr);
	}
}

/* Changes are made late then, and libev's backend looks before they are. */
START_TEST(late_changes_are_not_lost)
{
	struct file files[NR_LATE], regular;
	pthread_t thread;
	int i, round, fd;

	new_loop(_i);
	for (i = 0; i < NR_LATE; i++) /* a long fdinfo */
		open_edge(&files[i]);
	for (i = 0; i < NR_LATE / 2; i++) {
		ev_io_stop(loop, &files[i].io);
		close(files[i].fd);
	}
	nobody_looks_any_more = false;
	ck_assert(!pthread_create(&thread, NULL, look_at_set, NULL));
	for (round = 0; round < NR_LATE_ROUNDS; round++) {
		fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
		watch(&regular, fd, EV_READ);
		turns();
		ev_io_stop(loop, &regular.io);
		for (i = 0; i < NR_LATE / 2; i++) {
			open_file(&files[i], false);
			mark(&files[i]);
		}
		turn();
		hear_of_all(files, NR_LATE / 2);
		for (i = 0; i < NR_LATE / 2; i++) {
			ev_io_stop(loop, &files[i].io);
			close(files[i].fd);
		}
		close(fd);
	}
	__atomic_store_n(&nobody_looks_any_more, true, __ATOMIC_RELAXED);
	ck_assert(!pthread_join(thread, NULL));
	ev_loop_destroy(loop);
}
END_TEST

static pid_t parent;
static int nr_to_fork; /* calls of the release callback */

/* What is ready is left to the child to take, if it does. */
static void release_and_fork(struct ev_loop *l)
{
	int status;
	pid_t pid;

	(void)l;
	if (!nr_to_fork || --nr_to_fork)
		return;
	set_readable(plan.file);
	pid = fork();
	if (pid > 0)
		ck_assert(waitpid(pid, &status, 0) == pid && !status);
}

START_TEST(child_takes_nothing)
{
	struct file file;
	int i;

	parent = getpid();
	new_loop(_i);
	plan.file = &file;
	ev_set_loop_release_cb(loop, release_and_fork, acquire);
	for (i = 0; i < 16; i++) {
		open_edge(&file);
		if (i & 1)
			have_libev_look();
		if (i & 2)
			hear_of(&file);
		nr_to_fork = 1 + i / 4;
		turn();
		if (getpid() != parent)
			_exit(0);
		if (nr_to_fork) /* not as many calls */
			set_readable(&file);
		nr_to_fork = 0;
		ck_assert_msg(file.nr_events + reports_of(&file) > 0, "%d", i);
		ev_io_stop(loop, &file.io);
		close(file.fd);
	}
	ev_loop_destroy(loop);
}
END_TEST

static int run_there(void *arg)
{
	struct file *file = arg;

	ev_loop_fork(loop);
	child_assert(reports_of(file) > 0);
	mark(file);
	child_assert(reports_of(file) > 0);
	ev_loop_destroy(loop);
	return 0;
}

/* Not drained: the child may have been forked before it could. */
START_TEST(child_has_all_that_is_ready)
{
	struct file file;

	new_loop(_i);
	open_edge(&file);
	set_readable(&file);
	ck_assert_reports(&file, 1);
	ck_assert_int_eq(run_in_child(run_there, &file), 0);
	set_readable(&file);
	ck_assert_reports(&file, 1);
	ev_loop_destroy(loop);
}
END_TEST

static int destroy_there(void *arg)
{
	struct file *file = arg;

	mark(file);
	child_assert(evring_reserve(loop, 1) == 0); /* makes a ring */
	mark(file);
	ev_loop_destroy(loop);
	return 0;
}

START_TEST(child_changes_nothing_of_its_parent)
{
	struct file file;

	new_loop(_i);
	open_edge(&file);
	set_readable(&file);
	ck_assert_reports(&file, 1);
	ck_assert_int_eq(run_in_child(destroy_there, &file), 0);
	ck_assert_reports(&file, 0);
	set_readable(&file);
	ck_assert_reports(&file, 1);
	ev_loop_destroy(loop);
}
END_TEST

START_TEST(new_set_has_all_that_is_ready)
{
	struct file file;

	new_loop(_i);
	open_edge(&file);
	set_readable(&file);
	ck_assert_reports(&file, 1);
	ev_loop_fork(loop);
	ck_assert_int_ge(reports_of(&file), 1);
	mark(&file);
	ev_loop_fork(loop);
	ck_assert_int_ge(reports_of(&file), 1);
	mark(&file);
	ck_assert_reports(&file, 1);
	ev_loop_destroy(loop);
}
END_TEST

/* An event of a file that lives on elsewhere has libev make a new set. */
START_TEST(file_that_lives_on_loses_nothing)
{
	struct file file, copy;
	int i;

	new_loop(_i);
	open_edge(&file);
	copy.fd = dup(file.fd);
	ev_io_stop(loop, &file.io);
	close(file.fd);
	open_edge(&file);
	for (i = 0; i < 3; i++) {
		set_readable(&copy);
		set_readable(&file);
		ck_assert_int_ge(reports_of(&file), 1);
		set_quiet(&file);
	}
	ev_loop_destroy(loop);
}
END_TEST

static void *reports_there(void *file)
{
	return reports_of(file) > 0 ? file : NULL;
}

START_TEST(new_ring_has_all_that_is_ready)
{
	struct file file;
	pthread_t thread;
	void *ok;

	new_loop(_i);
	open_edge(&file);
	set_readable(&file);
	ck_assert_reports(&file, 1);
	ck_assert(!pthread_create(&thread, NULL, reports_there, &file));
	ck_assert(!pthread_join(thread, &ok));
	ck_assert_ptr_eq(ok, &file);
	mark(&file); /* and another */
	ck_assert_reports(&file, 1);
	ev_loop_destroy(loop);
}
END_TEST

/* clang-format off */
static const struct {
	const char *name;
	struct refusal refusals[2];
	size_t nr_refusals;
} losses[] = {
	{ "enter is forbidden", { REFUSE(__NR_io_uring_enter, EPERM) }, 1 },
	{ "not for now",        { REFUSE(__NR_io_uring_enter, EAGAIN) }, 1 },
	{ "answers are lost",   { REFUSE(__NR_io_uring_enter, EBADR) }, 1 },
	{ "no ring any more",   { REFUSE(__NR_io_uring_enter, EPERM),
				  REFUSE(__NR_io_uring_setup, EPERM) }, 2 },
};
/* clang-format on */

/* A child: mode and loss. */
static int lose_ring(void *arg)
{
	const int *row = arg;
	struct file file, stopped, other;

	new_loop(row[0]);
	open_edge(&file);
	open_edge(&stopped);
	set_readable(&file);
	child_assert(reports_of(&file) > 0);
	ev_io_stop(loop, &stopped.io);
	turns();
	sandbox(losses[row[1]].refusals, losses[row[1]].nr_refusals);
	open_file(&other, false); /* or nothing would be submitted */
	child_assert(reports_of(&file) > 0);
	child_assert(loop_works(loop)); /* by now it is noticed */
	child_assert(reports_of(&file) >= MANY);
	ev_io_start(loop, &stopped.io);
	turns();
	set_readable(&stopped);
	child_assert(reports_of(&stopped) >= MANY);
	ev_loop_destroy(loop);
	return 0;
}

START_TEST(lost_ring_leaves_none)
{
	int row[2] = { _i % NR_MODES, _i / NR_MODES };

	ck_assert_msg(!run_in_child(lose_ring, row), "less %s: %s",
		      modes[row[0]].disable, losses[row[1]].name);
}
END_TEST

static void end_turn(struct ev_loop *l, ev_timer *w, int revents)
{
	(void)l;
	(void)w;
	(void)revents;
}

/* A turn that blocks, but not for ever. */
static void sleep_once(double seconds)
{
	ev_timer timer;

	ev_now_update(loop);
	ev_timer_init(&timer, end_turn, seconds, 0.);
	ev_timer_start(loop, &timer);
	ev_run(loop, EVRUN_ONCE);
	ev_timer_stop(loop, &timer);
}

static void do_nothing(void)
{
}

/* False, and said so, where that cannot be tested. */
static bool collect(double seconds)
{
	int r;

	if (under_valgrind()) {
		printf("# left out: valgrind takes offsets for pointers\n");
		return false;
	}
	r = evring_set_collect(loop, seconds, 0);
	if (r == -ENOTSUP)
		printf("# left out: no min-wait here, or one with a defect\n");
	else
		ck_assert_int_eq(r, 0);
	return r == 0;
}

/* What the wait was told within the interval is dropped. */
START_TEST(collecting_loop_has_none)
{
	struct file file;
	int i;

	new_loop(_i);
	open_edge(&file);
	ev_set_loop_release_cb(loop, release, acquire);
	if (!collect(0.003))
		return;
	for (i = 0; i < 6; i++) {
		memset(&plan, 0, sizeof(plan));
		plan.file = &file;
		plan.act = do_nothing;
		plan.n = 1;
		file.nr_events = 0;
		sleep_once(0.01);
		ck_assert_msg(reports_of(&file) + file.nr_events > 0, "%d", i);
		set_quiet(&file);
		mark(&file);
	}
	ck_assert(collect(0.));
	set_readable(&file);
	mark(&file);
	ck_assert_reports(&file, 1);
	ev_loop_destroy(loop);
}
END_TEST

/*
 * ways to run
 */

START_TEST(spinning_loop_has_edges)
{
	struct file file;
	int i;

	new_loop(_i);
	open_edge(&file);
	ck_assert_int_eq(evring_set_spin(loop, 1e-3), 0);
	for (i = 0; i < 10; i++) {
		set_readable(&file);
		file.nr_events = 0;
		sleep_once(5.);
		if (!file.nr_events) /* polled: a hint */
			sleep_once(5.);
		ck_assert_int_eq(file.nr_events, 1);
		if (modes[_i].has_edges) {
			sleep_once(0.003);
			ck_assert_int_eq(file.nr_events, 1);
		}
	}
	ev_loop_destroy(loop);
}
END_TEST

START_TEST(embedded_loop_has_edges)
{
	struct ev_loop *outer = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
	struct file file;
	ev_embed embed;
	int i, k;

	new_loop(_i);
	open_edge(&file);
	ev_embed_init(&embed, NULL, loop);
	ev_embed_start(outer, &embed);
	for (i = 0; i < 5; i++) {
		set_readable(&file);
		file.nr_events = 0;
		for (k = 0; k < NR_TURNS; k++)
			ev_run(outer, EVRUN_NOWAIT);
		ck_assert_int_ge(file.nr_events, 1);
		set_quiet(&file);
	}
	ev_embed_stop(outer, &embed);
	ev_loop_destroy(loop);
	ev_loop_destroy(outer);
}
END_TEST

/* The file whose callback runs the loop, and another. */
static struct file nested[2];

static void run_within(struct ev_loop *l, ev_io *w, int revents)
{
	(void)l;
	count(loop, w, revents);
	set_quiet(&nested[0]);
	set_readable(&nested[1]);
	turns();
	ck_assert_int_ge(nested[1].nr_events, 1);
	set_quiet(&nested[1]);
}

START_TEST(callback_that_runs_the_loop_misses_nothing)
{
	int i;

	new_loop(_i);
	open_edge(&nested[0]);
	ev_set_cb(&nested[0].io, run_within);
	open_edge(&nested[1]);
	for (i = 0; i < 5; i++) {
		set_readable(&nested[0]);
		ck_assert_int_ge(reports_of(&nested[0]), 1);
		nested[1].nr_events = 0;
	}
	ev_loop_destroy(loop);
}
END_TEST

/*
 * random programs
 *
 * Some users of files drain them and may say so, some read once for each event
 * and never do.  Between rounds nobody who is watching may have anything left
 * to read.
 */

enum { NR_USERS = 12, NR_ROUNDS = 2000, NR_STEPS = 8, NR_QUIET = 5 };

static struct user {
	ev_io kinds[2]; /* one that drains and one that does not */
	ev_io *io;	/* which it is; a promise is a watcher's */
	ev_io second;
	int fd;
	bool drains;
} users[NR_USERS];

static unsigned state; /* of chance() */
static unsigned nr_heard;
static bool is_wild; /* things happen between the callbacks, too */
static int round_mode;

/* From 0 to nr - 1. */
static unsigned chance(unsigned nr)
{
	state = state * 1664525 + 1013904223;
	return (state >> 16) % nr;
}

static struct user *any_user(void)
{
	return &users[chance(NR_USERS)];
}

static void hear(struct ev_loop *l, ev_io *w, int revents)
{
	const struct user *user = w->data;
	eventfd_t value;

	(void)l;
	ck_assert(!(revents & EV_ERROR));
	nr_heard++;
	while (!eventfd_read(user->fd, &value) && user->drains)
		;
}

static void init_watcher(struct user *user, ev_io *w)
{
	ev_io_init(w, hear, user->fd, EV_READ);
	w->data = user;
}

static void mark_user(struct user *user)
{
	if (user->drains && ev_is_active(user->io))
		ck_assert_int_eq(evring_io_edge(loop, user->io), 0);
}

static void open_user(struct user *user)
{
	user->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC | EFD_SEMAPHORE);
	ck_assert_int_ge(user->fd, 0);
	user->drains = chance(3);
	user->io = &user->kinds[user->drains];
	init_watcher(user, user->io);
	init_watcher(user, &user->second);
}

static void stop_user(struct user *user)
{
	ev_io_stop(loop, user->io);
	ev_io_stop(loop, &user->second);
}

static void write_user(struct user *user)
{
	ck_assert(!eventfd_write(user->fd, 1 + chance(3)));
}

static void restart_user(struct user *user)
{
	if (!ev_is_active(user->io))
		return;
	ev_io_stop(loop, user->io);
	ev_io_start(loop, user->io);
}

static void toggle_second(struct user *user)
{
	if (ev_is_active(&user->second)) {
		ev_io_stop(loop, &user->second);
		return;
	}
	init_watcher(user, &user->second);
	if (!chance(3))
		ev_io_set(&user->second, user->fd, EV_READ | EV_WRITE);
	ev_io_start(loop, &user->second);
}

static void reopen_user(struct user *user)
{
	stop_user(user);
	close(user->fd);
	open_user(user);
	ev_io_start(loop, user->io);
	if (chance(2))
		mark_user(user);
}

static void wild_release(struct ev_loop *l)
{
	(void)l;
	if (is_wild && !chance(2))
		write_user(any_user());
}

static void wild_acquire(struct ev_loop *l)
{
	(void)l;
	if (!is_wild || chance(2))
		return;
	if (chance(3))
		restart_user(any_user());
	else
		toggle_second(any_user());
}

static void change_loop(void)
{
	switch (chance(4)) {
	case 0:
		ev_loop_fork(loop);
		break;
	case 1:
		ck_assert_int_eq(evring_detach(loop), 0);
		attach(round_mode);
		break;
	default:
		if (!under_valgrind())
			evring_set_collect(loop, chance(2) ? 2e-4 : 0., 0);
	}
}

static void step(struct user *user)
{
	switch (chance(12)) {
	case 0:
		stop_user(user);
		break;
	case 1:
	case 2:
		ev_io_start(loop, user->io);
		mark_user(user);
		break;
	case 3:
		restart_user(user);
		break;
	case 4:
		toggle_second(user);
		break;
	case 5:
		reopen_user(user);
		break;
	case 6:
	case 7:
		mark_user(user);
		break;
	case 8:
		turn();
		break;
	case 9:
		sleep_once(1e-4);
		break;
	default:
		write_user(user);
	}
}

static bool has_unread(const struct user *user)
{
	struct pollfd pollfd = { .fd = user->fd, .events = POLLIN };

	return (ev_is_active(user->io) || ev_is_active(&user->second)) &&
	       poll(&pollfd, 1, 0) == 1;
}

static void check_users(unsigned nr)
{
	unsigned i, nr_quiet = 0, before;

	is_wild = false;
	while (nr_quiet < NR_QUIET) {
		before = nr_heard;
		turn();
		nr_quiet = nr_heard == before ? nr_quiet + 1 : 0;
		for (i = 0; i < NR_USERS; i++) /* writers are always called */
			if (users[i].second.events & EV_WRITE)
				ev_io_stop(loop, &users[i].second);
	}
	for (i = 0; i < NR_USERS; i++)
		ck_assert_msg(!has_unread(&users[i]), "round %u, user %u", nr,
			      i);
	is_wild = true;
}

START_TEST(who_drains_misses_nothing)
{
	unsigned i, k;

	new_loop(_i);
	round_mode = _i;
	state = (unsigned)_i;
	ev_set_loop_release_cb(loop, wild_release, wild_acquire);
	for (i = 0; i < NR_USERS; i++)
		open_user(&users[i]);
	for (i = 0; i < NR_ROUNDS; i++) {
		if (!chance(20))
			change_loop();
		for (k = chance(NR_STEPS); k; k--)
			step(any_user());
		check_users(i);
	}
	for (i = 0; i < NR_USERS; i++)
		close(users[i].fd);
	ev_loop_destroy(loop);
}
END_TEST

static const struct {
	const char *name;
	const TTest *const *test;
	int nr_rows;
	bool forks;
} tests[] = {
	{ "edges", &edge_is_reported_once_until_something_new, 1, false },
	{ "edges", &what_is_ready_when_asked_for_is_reported, 1, false },
	{ "edges", &level_becomes_edge, 1, false },
	{ "edges", &mark_with_the_start_costs_no_request, 1, false },
	{ "edges", &mark_with_the_start_wants_no_ring, 1, false },
	{ "edges", &writers_have_edges, 1, false },
	{ "edges", &regular_file_is_always_ready, 1, false },
	{ "edges", &watchers_that_are_not_there_are_refused, 1, false },
	{ "ends", &stop_ends_it, 1, false },
	{ "ends", &stop_without_a_turn_does_not, 1, false },
	{ "ends", &number_used_anew_has_no_edge, 1, false },
	{ "ends", &number_used_anew_after_the_mark_has_no_edge, 1, false },
	{ "ends", &second_watcher_ends_it, 1, false },
	{ "ends", &second_watcher_after_the_mark_ends_it, 1, false },
	{ "ends", &many_marks_of_a_turn_are_kept_apart, 1, false },
	{ "ends", &mark_is_not_for_who_comes_in_between, 1, false },
	{ "ends", &detached_loop_has_none, 1, false },
	{ "ends", &stopped_before_detach_is_level_after_it, 1, false },
	{ "drops", &change_between_the_callbacks_loses_nothing, 1, false },
	{ "drops", &look_of_libev_loses_nothing, 1, false },
	{ "drops", &late_changes_are_not_lost, 1, false },
	{ "drops", &child_takes_nothing, 1, true },
	{ "drops", &child_has_all_that_is_ready, 1, true },
	{ "drops", &child_changes_nothing_of_its_parent, 1, true },
	{ "drops", &new_set_has_all_that_is_ready, 1, false },
	{ "drops", &file_that_lives_on_loses_nothing, 1, false },
	{ "drops", &new_ring_has_all_that_is_ready, 1, false },
	{ "drops", &lost_ring_leaves_none, ARRAY_SIZE(losses), true },
	{ "drops", &collecting_loop_has_none, 1, false },
	{ "runs", &spinning_loop_has_edges, 1, false },
	{ "runs", &embedded_loop_has_edges, 1, false },
	{ "runs", &callback_that_runs_the_loop_misses_nothing, 1, false },
	{ "random", &who_drains_misses_nothing, 1, false },
};

Suite *make_suite(void)
{
	Suite *suite = suite_create("edge");
	TCase *tcase = NULL;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(tests); i++) {
		if (!i || strcmp(tests[i].name, tests[i - 1].name)) {
			tcase = tcase_create(tests[i].name);
			tcase_set_timeout(tcase, 60);
			suite_add_tcase(suite, tcase);
		}
		add_loop_or_leave_out(tcase, *tests[i].test,
				      NR_MODES * tests[i].nr_rows,
				      tests[i].forks ? no_children() : NULL);
	}
	return suite;
}
