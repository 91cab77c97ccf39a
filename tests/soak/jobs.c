/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * jobs.c - what mill does over and over; the table is at the end.
 *
 * A job runs on the loop of mill.c, on which other things go on, or on loops of
 * its own.  Descriptors block: a false report makes a job hang, and its alarm
 * tells which it was.
 */
#include "config.h"

#include "mill.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/*
 * a watcher of a pair
 */

struct watch {
	ev_io io;
	int theirs; /* what is written there is read from io.fd */
	char last;  /* that was read */
	unsigned nr;
};

static void on_watch(struct ev_loop *loop, ev_io *w, int revents)
{
	struct watch *watch = (struct watch *)w;

	(void)loop;
	check_that(revents == EV_READ);
	check_that(read(w->fd, &watch->last, 1) == 1);
	watch->nr++;
}

static void open_watch(struct ev_loop *loop, struct watch *watch)
{
	int fds[2];

	check_that(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds));
	memset(watch, 0, sizeof(*watch));
	watch->theirs = fds[1];
	ev_io_init(&watch->io, on_watch, fds[0], EV_READ);
	ev_io_start(loop, &watch->io);
}

static void close_watch(struct ev_loop *loop, struct watch *watch)
{
	ev_io_stop(loop, &watch->io);
	close(watch->io.fd);
	close(watch->theirs);
}

/* What is sent is seen, and once only. */
static void send_and_see(struct ev_loop *loop, struct watch *watch, char c)
{
	unsigned before = watch->nr;

	check_that(write(watch->theirs, &c, 1) == 1);
	while (watch->nr == before)
		ev_run(loop, EVRUN_ONCE);
	ev_run(loop, EVRUN_NOWAIT);
	check_that(watch->nr == before + 1 && watch->last == c);
}

static void count_down(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)loop, (void)revents;
	--*(unsigned *)w->data;
}

/* It reports a descriptor and waits for a timer. */
static void use_loop(struct ev_loop *loop)
{
	struct watch watch;
	ev_timer timer;
	unsigned left = 1;

	open_watch(loop, &watch);
	send_and_see(loop, &watch, (char)chance(256));
	ev_timer_init(&timer, count_down, 1e-4, 0.);
	timer.data = &left;
	ev_timer_start(loop, &timer);
	while (left)
		ev_run(loop, EVRUN_ONCE);
	close_watch(loop, &watch);
}

/*
 * timers
 */

enum { NR_TIMERS = 300, NR_PERIODICS = 60 };

/*
 * In some rounds, among them the first, the loop is late and all are due at
 * once: how much memory libev takes for that must not depend on luck.
 */
static void mill_timers(void)
{
	static ev_timer timers[NR_TIMERS], stopped[NR_TIMERS];
	static unsigned nr_rounds;
	unsigned left = NR_TIMERS, never = 0;
	int i;

	ev_now_update(mill_loop);
	for (i = 0; i < NR_TIMERS; i++) {
		ev_timer_init(&timers[i], count_down, chance(5000) * 1e-6, 0.);
		timers[i].data = &left;
		ev_timer_start(mill_loop, &timers[i]);
		ev_timer_init(&stopped[i], count_down, 0., 1e-3 + i * 1e-3);
		stopped[i].data = &never;
		ev_timer_again(mill_loop, &stopped[i]);
	}
	for (i = 0; i < NR_TIMERS; i++)
		ev_timer_stop(mill_loop, &stopped[i]);
	if (nr_rounds++ % 8 == 0)
		usleep(6000);
	while (left)
		ev_run(mill_loop, EVRUN_ONCE);
	check_that(!never);
	add(TIMERS, 2 * NR_TIMERS);
}

struct periodic {
	ev_periodic periodic;
	unsigned nr;
};

static void on_periodic(struct ev_loop *loop, ev_periodic *w, int revents)
{
	(void)loop, (void)revents;
	((struct periodic *)w)->nr++;
}

static ev_tstamp in_a_moment(ev_periodic *w, ev_tstamp time)
{
	(void)w;
	return time + 2e-3;
}

static void mill_periodics(void)
{
	static struct periodic all[NR_PERIODICS];
	int i;

	for (i = 0; i < NR_PERIODICS; i++) {
		ev_periodic_init(&all[i].periodic, on_periodic,
				 chance(5000) * 1e-6, 5e-3,
				 i % 2 ? in_a_moment : NULL);
		all[i].nr = 0;
		ev_periodic_start(mill_loop, &all[i].periodic);
	}
	for (i = 0; i < NR_PERIODICS; i++)
		while (!all[i].nr)
			ev_run(mill_loop, EVRUN_ONCE);
	for (i = 0; i < NR_PERIODICS; i++)
		ev_periodic_stop(mill_loop, &all[i].periodic);
	add(PERIODICS, NR_PERIODICS);
}

/*
 * signals
 */

enum { NR_RAISED = 50 };

struct signal {
	ev_signal signal;
	unsigned nr;
};

static void on_signal(struct ev_loop *loop, ev_signal *w, int revents)
{
	(void)loop, (void)revents;
	((struct signal *)w)->nr++;
}

/* Of a storm of signals as much is seen as libev promises: one of each. */
static void mill_signals(void)
{
	struct signal all[2] = { 0 };
	int i;

	ev_signal_init(&all[0].signal, on_signal, SIGUSR2);
	ev_signal_init(&all[1].signal, on_signal, SIGRTMIN + 1);
	for (i = 0; i < 2; i++)
		ev_signal_start(mill_loop, &all[i].signal);
	for (i = 0; i < NR_RAISED; i++)
		raise(all[i % 2].signal.signum);
	while (!all[0].nr || !all[1].nr)
		ev_run(mill_loop, EVRUN_ONCE);
	for (i = 0; i < 2; i++)
		ev_signal_stop(mill_loop, &all[i].signal);
	add(SIGNALS, NR_RAISED);
}

/*
 * children
 */

static void child_exits(void)
{
}

static void child_execs(void)
{
	execl("/bin/sh", "sh", "-c", "exit 0", (char *)NULL);
	fail("mill: /bin/sh: %s", strerror(errno));
}

static void child_is_killed(void)
{
	raise(SIGKILL);
}

/* As libev wants it: the loop goes on in the child. */
static void child_goes_on(void)
{
	enum evring_tier tier = evring_tier(mill_loop);

	ev_loop_fork(mill_loop);
	use_loop(mill_loop);
	check_that(evring_tier(mill_loop) == tier);
}

static void child_destroys(void)
{
	ev_loop_fork(mill_loop);
	ev_loop_destroy(mill_loop);
}

static void child_makes_its_own(void)
{
	struct ev_loop *loop = ev_loop_new(EVBACKEND_EPOLL);

	attach(loop, NULL);
	use_loop(loop);
	destroy(loop, 0);
}

static const struct kind {
	void (*be)(void);
	int status; /* of waitpid() */
} kinds[] = {
	{ child_exits, 0 },	      { child_execs, 0 },
	{ child_is_killed, SIGKILL }, { child_goes_on, 0 },
	{ child_destroys, 0 },	      { child_makes_its_own, 0 },
};

enum { NR_KINDS = ARRAY_SIZE(kinds) };

struct child {
	ev_child child;
	bool is_gone;
};

static void on_child(struct ev_loop *loop, ev_child *w, int revents)
{
	(void)loop, (void)revents;
	((struct child *)w)->is_gone = true;
}

static _Noreturn void be_child(const struct kind *kind, pid_t parent)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	alarm(30);
	kind->be();
	_exit(0);
}

static void start_child(struct child *child, const struct kind *kind)
{
	pid_t parent = getpid(), pid = fork();

	check_that(pid >= 0);
	if (!pid)
		be_child(kind, parent);
	ev_child_init(&child->child, on_child, pid, 0);
	ev_child_start(mill_loop, &child->child);
	child->is_gone = false;
	add(FORKS, 1);
}

static void mill_children(void)
{
	struct child all[NR_KINDS];
	int i;

	for (i = 0; i < NR_KINDS; i++)
		start_child(&all[i], &kinds[i]);
	for (i = 0; i < NR_KINDS; i++) {
		while (!all[i].is_gone)
			ev_run(mill_loop, EVRUN_ONCE);
		if (all[i].child.rstatus != kinds[i].status)
			fail("mill: child %d ended with status %#x", i,
			     (unsigned)all[i].child.rstatus);
		ev_child_stop(mill_loop, &all[i].child);
	}
	add(EXECS, 1);
}

/*
 * loops
 */

/* clang-format off */
static const struct evring_config configs[] = {
	{ .flags = 0 },
	{ .flags = EVRING_USER_REGION },
	{ .entries = 8 },
	{ .disable = "region" },
	{ .disable = "epoll-wait" },
	{ .disable = "epoll-ctl" },
};
/* clang-format on */

enum { NR_CONFIGS = ARRAY_SIZE(configs), NR_LOOPS = 3 * NR_CONFIGS };

/* More at a time than a thread has places for registered rings: 16. */
static void mill_loops(void)
{
	struct ev_loop *all[NR_LOOPS];
	int i;

	for (i = 0; i < NR_LOOPS; i++) {
		all[i] = ev_loop_new(EVBACKEND_EPOLL);
		check_that(all[i] != NULL);
		attach(all[i], &configs[i % NR_CONFIGS]);
		use_loop(all[i]);
	}
	for (i = 0; i < NR_LOOPS; i++) {
		detach(all[i], 0);
		use_loop(all[i]);
		attach(all[i], &configs[(i + 1) % NR_CONFIGS]);
	}
	for (i = 0; i < NR_LOOPS; i++) {
		use_loop(all[i]);
		destroy(all[i], 0);
	}
}

/* Back and forth, with a watcher that stays. */
static void mill_again(void)
{
	struct ev_loop *loop = ev_loop_new(EVBACKEND_EPOLL);
	struct watch watch;
	int i;

	check_that(loop != NULL);
	open_watch(loop, &watch);
	for (i = 0; i < 5; i++) {
		send_and_see(loop, &watch, 'o');
		attach(loop, NULL);
		send_and_see(loop, &watch, 'n');
		detach(loop, 0);
	}
	attach(loop, NULL);
	close_watch(loop, &watch);
	destroy(loop, 0);
}

/*
 * threads
 */

static void destroy_moved(struct ev_loop *loop)
{
	destroy(loop, 2);
}

/* There, back, and destroyed elsewhere: two moves of its ring. */
static void mill_moves(void)
{
	struct ev_loop *loop = ev_loop_new(EVBACKEND_EPOLL);

	check_that(loop != NULL);
	attach(loop, NULL);
	use_loop(loop);
	run_in_thread(use_loop, loop);
	use_loop(loop);
	run_in_thread(destroy_moved, loop);
	add(MOVES, 3);
}

/*
 * descriptors
 */

enum { NR_WATCHES = 40, NR_SETS = 5 };

/* The same numbers, with what was ready before and with other files. */
static void mill_numbers(void)
{
	struct watch all[NR_WATCHES], fresh;
	int i, fd;

	for (i = 0; i < NR_WATCHES; i++)
		open_watch(mill_loop, &all[i]);
	ev_run(mill_loop, EVRUN_NOWAIT);
	for (i = 0; i < NR_WATCHES; i++) {
		fd = all[i].io.fd;
		check_that(write(all[i].theirs, "o", 1) == 1);
		close_watch(mill_loop, &all[i]);
		open_watch(mill_loop, &fresh);
		check_that(fresh.io.fd == fd);
		send_and_see(mill_loop, &fresh, 'n');
		close_watch(mill_loop, &fresh);
		open_watch(mill_loop, &all[i]);
	}
	for (i = 0; i < NR_WATCHES; i++) {
		send_and_see(mill_loop, &all[i], (char)i);
		close_watch(mill_loop, &all[i]);
	}
	add(FDS_REUSED, 2 * NR_WATCHES);
}

static void on_file(struct ev_loop *loop, ev_io *w, int revents)
{
	(void)loop;
	check_that(revents == EV_READ);
	++*(unsigned *)w->data;
}

/* They are ready in every turn; then their number means a socket. */
static void mill_file(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), i;
	struct watch watch;
	unsigned nr = 0;
	ev_io io;

	check_that(fd >= 0);
	ev_io_init(&io, on_file, fd, EV_READ);
	io.data = &nr;
	ev_io_start(mill_loop, &io);
	for (i = 0; i < 10; i++)
		ev_run(mill_loop, EVRUN_ONCE);
	check_that(nr == 10);
	ev_io_stop(mill_loop, &io);
	close(fd);
	open_watch(mill_loop, &watch);
	check_that(watch.io.fd == fd);
	send_and_see(mill_loop, &watch, 's');
	close_watch(mill_loop, &watch);
	add(FILES, 1);
}

static void mill_files(void)
{
	mill_file("/proc/self/exe");
	mill_file("/dev/null");
	mill_file("/");
}

/*
 * libev makes a new epoll set, and the request that asks the old one must end,
 * although nothing that the old set has will become ready.
 */
static void mill_sets(void)
{
	struct watch watch;
	int i;

	for (i = 0; i < NR_SETS; i++) {
		ev_loop_fork(mill_loop);
		ev_run(mill_loop, EVRUN_NOWAIT);
	}
	open_watch(mill_loop, &watch);
	send_and_see(mill_loop, &watch, 'e');
	close_watch(mill_loop, &watch);
	add(SETS, NR_SETS);
}

/* clang-format off */
const struct job jobs[] = {
	{ "timers",    mill_timers },
	{ "periodics", mill_periodics },
	{ "signals",   mill_signals },
	{ "children",  mill_children },
	{ "loops",     mill_loops },
	{ "again",     mill_again },
	{ "moves",     mill_moves },
	{ "numbers",   mill_numbers },
	{ "files",     mill_files },
	{ "sets",      mill_sets },
};
/* clang-format on */
const unsigned nr_jobs = ARRAY_SIZE(jobs);
