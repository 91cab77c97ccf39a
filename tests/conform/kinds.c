/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * conform/kinds.c - line 7 and every kind of descriptor: what is always ready,
 * what was closed by mistake, what becomes ready in its own way.
 */
#include "config.h"

#include "scene.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <termios.h>

/*
 * 7: files that are always ready
 */

START_TEST(a_regular_file_is_always_ready)
{
	struct watch reader, writer;
	int fd, i;

	open_scene(_i);
	fd = open_temporary();
	watch(&reader, fd, EV_READ);
	watch(&writer, fd, EV_READ | EV_WRITE);
	settle();
	for (i = 0; i < 5; i++) {
		check_turn(&writer, EV_READ | EV_WRITE);
		check_int(reader.revents, ==, EV_READ);
	}
	stop(&writer);
	writer.nr = reader.nr = 0;
	run_once();
	run_once();
	check_int(reader.nr, ==, 2);
	check_int(writer.nr, ==, 0);
	stop(&reader);
	check_quiet(&reader);
	start(&reader);
	check_turn(&reader, EV_READ);
	close_scene();
}
END_TEST

static const char *const ready_paths[] = {
	"/",	       "/dev/null",    "/dev/zero",    "/dev/full",
	"/dev/random", "/dev/urandom", "/proc/mounts", "/proc/self/status",
};

START_TEST(files_without_readiness_are_always_ready)
{
	struct watch w[ARRAY_SIZE(ready_paths) + 1];
	size_t i, nr = ARRAY_SIZE(ready_paths);

	open_scene(_i);
	for (i = 0; i < nr; i++)
		watch(&w[i], keep(open(ready_paths[i], O_RDONLY)), EV_READ);
	watch(&w[nr], keep(memfd_create("conform", MFD_CLOEXEC)), EV_READ);
	settle();
	for (i = 0; i <= nr; i++) {
		check_turn(&w[i], EV_READ);
		check_turn(&w[i], EV_READ);
		stop(&w[i]);
		check_quiet(&w[i]);
	}
	close_scene();
}
END_TEST

START_TEST(a_regular_file_does_not_hide_sockets_or_timers)
{
	struct watch file, socket;
	struct pair pair;

	open_scene(_i);
	pair = open_pair();
	watch(&socket, pair.ours, EV_READ);
	watch(&file, open_temporary(), EV_WRITE);
	settle();
	put(pair.theirs);
	check_turn(&socket, EV_READ);
	check_int(file.revents, ==, EV_WRITE);
	take(pair.ours);
	check_quiet(&socket); /* the nap proves the timer */
	check_int(file.nr, >, 4);
	close_scene();
}
END_TEST

START_TEST(a_number_may_alternate_between_file_and_socket)
{
	int fd, i, file;
	struct pair pair;
	struct watch w;

	open_scene(_i);
	pair = open_pair();
	file = open_temporary();
	fd = keep(dup(file));
	watch(&w, fd, EV_READ);
	settle();
	for (i = 0; i < 20; i++) {
		stop(&w);
		dup2(i % 2 ? file : pair.ours, fd);
		if (i % 3 == 0)
			turn();
		take_step('S', &w, -1);
		if (i % 2) {
			check_turn(&w, EV_READ);
			check_turn(&w, EV_READ);
		} else {
			check_is_fresh(&w, pair.theirs);
		}
	}
	close_scene();
}
END_TEST

/*
 * Of two numbers that mean other files now, one was always ready before.  Both
 * are ready, and one turn says so.
 */
START_TEST(a_number_that_was_a_file_does_not_delay_others)
{
	struct watch was_file, was_pair;
	struct pair pair, fresh;
	int file, null;

	open_scene(_i);
	file = keep(open("/", O_RDONLY));
	null = keep(open("/dev/null", O_RDONLY));
	pair = open_pair();
	fresh = open_pair();
	watch(&was_file, file, EV_READ);
	watch(&was_pair, pair.ours, EV_READ);
	put(pair.theirs);
	settle();
	turn();
	stop(&was_pair);
	stop(&was_file);
	put(fresh.theirs);
	ck_assert_int_eq(dup2(null, pair.ours), pair.ours);
	ck_assert_int_eq(dup2(fresh.ours, file), file);
	ev_io_set(&was_pair.io, pair.ours, EV_READ);
	ev_io_set(&was_file.io, file, EV_READ);
	start(&was_pair);
	start(&was_file);
	was_pair.nr = was_file.nr = 0;
	turn();
	check_int(was_pair.nr, ==, 1);
	check_int(was_file.nr, ==, 1);
	close_scene();
}
END_TEST

/*
 * 7: closed by mistake.  libev says that it is a bug of the program: EV_ERROR,
 * an assertion, or nothing at all.  Steps as in scene.h, and W start for both
 * events, f ev_loop_fork().
 */

/* clang-format off */
static const char *const mistakes[] = {
	"cSt",                                   /* never good */
	"StscSt", "StstcSt", "StcsSt", "StcsWt", /* closed before a start */
	"Stctt", "Stcsrt", "StctotsSt",          /* nobody is told */
	"Stcft", "Stcsftt", "Stcotft",           /* all are added anew */
};
/* clang-format on */

struct mistake {
	const struct mode *mode;
	const char *steps;
	bool is_file; /* always ready; otherwise a pipe with data in it */
	int report;   /* where the outcome goes */
};

/* It has no padding: compared as memory. */
struct outcome {
	int status; /* of the process */
	int nr, revents, is_active;
};

static int open_ready(bool is_file)
{
	struct pair pair;

	if (is_file)
		return open_temporary();
	pair = open_pipe();
	put(pair.theirs);
	return pair.ours;
}

static void make_step(char step, struct watch *w, int fresh)
{
	if (step == 'f') {
		ev_loop_fork(scene.loop);
	} else if (step == 'W') {
		ev_io_set(&w->io, w->io.fd, EV_READ | EV_WRITE);
		start(w);
	} else {
		take_step(step, w, fresh);
	}
}

static int make_mistake(void *arg)
{
	const struct mistake *mistake = arg;
	const struct rlimit no_core = { 0, 0 };
	const char *step;
	struct outcome outcome = { .status = 0 };
	struct watch w = { .nr = 0 };
	int fresh = open_ready(mistake->is_file);

	close(2); /* libev's assertion is no news */
	setrlimit(RLIMIT_CORE, &no_core);
	scene.mode = mistake->mode;
	scene.loop = open_another();
	ev_io_init(&w.io, on_io, open_ready(mistake->is_file), EV_READ);
	for (step = mistake->steps; *step; step++)
		make_step(*step, &w, fresh);
	turns(2);
	outcome.nr = w.nr;
	outcome.revents = w.revents;
	outcome.is_active = ev_is_active(&w.io);
	return write(mistake->report, &outcome, sizeof(outcome)) < 0;
}

/* An assertion leaves nothing but the status. */
static struct outcome outcome_of(struct mistake mistake)
{
	struct outcome outcome = { .status = 0 };
	struct pair report = open_pipe();
	int status;

	mistake.report = report.theirs;
	status = run_in_child(make_mistake, &mistake);
	discard(report.theirs);
	(void)!read(report.ours, &outcome, sizeof(outcome));
	discard(report.ours);
	outcome.status = status;
	return outcome;
}

START_TEST(a_mistake_ends_as_on_the_oracle)
{
	int row = _i / nr_runnable;
	struct mistake mistake = { .steps = mistakes[row / 2],
				   .is_file = row % 2 };
	struct outcome got, want;

	open_scene(_i);
	settle();
	mistake.mode = scene.mode;
	got = outcome_of(mistake);
	mistake.mode = runnable[0];
	want = outcome_of(mistake);
	if (memcmp(&got, &want, sizeof(got)))
		scene_fail(__FILE__, __LINE__,
			   "%s: status %d, %d events, last %#x, active %d; the "
			   "oracle %d, %d, %#x, %d",
			   mistake.steps, got.status, got.nr,
			   (unsigned)got.revents, got.is_active, want.status,
			   want.nr, (unsigned)want.revents, want.is_active);
	close_scene();
}
END_TEST

/*
 * kinds of descriptors: how to make them ready, and not ready again
 */

struct kind {
	const char *name;
	open_fn *open;
	void (*rouse)(const struct pair *pair);
	void (*calm)(const struct pair *pair);
};

static void put_theirs(const struct pair *pair)
{
	put(pair->theirs);
}

static void take_ours(const struct pair *pair)
{
	take(pair->ours);
}

static void put_line(const struct pair *pair)
{
	check_int(write(pair->theirs, "x\n", 2), ==, 2);
}

static void take_line(const struct pair *pair)
{
	char line[8];

	check_int(read(pair->ours, line, sizeof(line)), ==, 2);
}

static void rouse_eventfd(const struct pair *pair)
{
	check_int(eventfd_write(pair->ours, 1), ==, 0);
}

static void take_u64(const struct pair *pair)
{
	uint64_t value;

	check_int(read(pair->ours, &value, sizeof(value)), ==, 8);
	check_int(value, ==, 1);
}

/* No line discipline between them; ours is the master. */
static struct pair open_master(void)
{
	struct pair pty = open_pty();
	struct termios termios;

	check_int(tcgetattr(pty.ours, &termios), ==, 0);
	cfmakeraw(&termios);
	check_int(tcsetattr(pty.ours, TCSANOW, &termios), ==, 0);
	return (struct pair){ .ours = pty.theirs, .theirs = pty.ours };
}

/* Theirs is a file; ours hears of what is written to it. */
static struct pair open_inotify(void)
{
	struct pair pair = { keep(inotify_init1(IN_CLOEXEC)),
			     open_temporary() };
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", pair.theirs);
	check_int(inotify_add_watch(pair.ours, path, IN_MODIFY), >=, 0);
	return pair;
}

static void calm_inotify(const struct pair *pair)
{
	struct inotify_event event;

	check_int(read(pair->ours, &event, sizeof(event)), ==, sizeof(event));
	check_int(event.mask, ==, IN_MODIFY);
}

/* Ours is an epoll set with theirs in it. */
static struct pair open_set(void)
{
	struct pair pair = { keep(epoll_create1(EPOLL_CLOEXEC)),
			     keep(eventfd(0, EFD_CLOEXEC)) };
	struct epoll_event event = { .events = EPOLLIN };

	check_int(epoll_ctl(pair.ours, EPOLL_CTL_ADD, pair.theirs, &event), ==,
		  0);
	return pair;
}

static void rouse_set(const struct pair *pair)
{
	check_int(eventfd_write(pair->theirs, 1), ==, 0);
}

static void calm_set(const struct pair *pair)
{
	eventfd_t value;

	check_int(eventfd_read(pair->theirs, &value), ==, 0);
}

static struct pair open_timerfd(void)
{
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);

	return (struct pair){ keep(fd), -1 };
}

static void rouse_timerfd(const struct pair *pair)
{
	struct itimerspec soon = { .it_value = { .tv_nsec = 1 } };

	check_int(timerfd_settime(pair->ours, 0, &soon, NULL), ==, 0);
}

static struct pair open_signalfd(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	check_int(sigprocmask(SIG_BLOCK, &set, NULL), ==, 0);
	return (struct pair){ keep(signalfd(-1, &set, SFD_CLOEXEC)), -1 };
}

static void rouse_signalfd(const struct pair *pair)
{
	(void)pair;
	check_int(kill(getpid(), SIGUSR2), ==, 0);
}

static void calm_signalfd(const struct pair *pair)
{
	struct signalfd_siginfo info;

	check_int(read(pair->ours, &info, sizeof(info)), ==, sizeof(info));
}

static struct pair open_listening(void)
{
	struct pair pair = { .ours = open_listener() };

	pair.theirs = port_of(pair.ours);
	return pair;
}

static void connect_theirs(const struct pair *pair)
{
	check_int(connect_to(open_socket(SOCK_STREAM), pair->theirs), ==, 0);
}

static void accept_one(const struct pair *pair)
{
	discard(keep(accept(pair->ours, NULL, NULL)));
}

/* clang-format off */
static const struct kind kinds[] = {
	{ "unix socket", open_pair,      put_theirs,     take_ours },
	{ "pipe",        open_pipe,      put_theirs,     take_ours },
	{ "seqpacket",   open_packets,   put_theirs,     take_ours },
	{ "unix dgram",  open_datagrams, put_theirs,     take_ours },
	{ "tcp",         open_tcp,       put_theirs,     take_ours },
	{ "udp",         open_udp,       put_theirs,     take_ours },
	{ "fifo",        open_fifo,      put_theirs,     take_ours },
	{ "pty",         open_pty,       put_line,       take_line },
	{ "pty master",  open_master,    put_theirs,     take_ours },
	{ "inotify",     open_inotify,   put_theirs,     calm_inotify },
	{ "epoll set",   open_set,       rouse_set,      calm_set },
	{ "eventfd",     open_eventfd,   rouse_eventfd,  take_u64 },
	{ "timerfd",     open_timerfd,   rouse_timerfd,  take_u64 },
	{ "signalfd",    open_signalfd,  rouse_signalfd, calm_signalfd },
	{ "listener",    open_listening, connect_theirs, accept_one },
};
/* clang-format on */

START_TEST(every_kind_of_file_is_reported_while_ready)
{
	const struct kind *kind = &kinds[_i / nr_runnable];
	struct pair pair;
	struct watch w;
	int i;

	open_scene(_i);
	pair = kind->open();
	watch(&w, pair.ours, EV_READ);
	settle();
	for (i = 0; i < 2; i++) {
		check_quiet(&w);
		kind->rouse(&pair);
		await(pair.ours, POLLIN);
		check_turn(&w, EV_READ);
		check_turn(&w, EV_READ);
		kind->calm(&pair);
	}
	check_quiet(&w);
	kind->rouse(&pair);
	await(pair.ours, POLLIN);
	kind->calm(&pair); /* before a turn saw it */
	check_quiet(&w);
	close_scene();
}
END_TEST

struct rousing {
	const struct kind *kind;
	struct pair pair;
};

static void rouse(void *arg)
{
	struct rousing *rousing = arg;

	rousing->kind->rouse(&rousing->pair);
}

START_TEST(every_kind_of_file_wakes_a_blocked_loop)
{
	struct rousing rousing = { .kind = &kinds[_i / nr_runnable] };
	struct actor actor;
	struct watch w;
	int i;

	open_scene(_i);
	rousing.pair = rousing.kind->open();
	watch(&w, rousing.pair.ours, EV_READ);
	settle();
	for (i = 0; i < 2; i++) {
		w.nr = 0;
		act_when_asleep(&actor, rouse, &rousing);
		run_once();
		check_int(w.nr, ==, 1);
		join(&actor);
		rousing.kind->calm(&rousing.pair);
	}
	check_quiet(&w);
	close_scene();
}
END_TEST

static void accept_watched(struct watch *w)
{
	discard(keep(accept(w->io.fd, NULL, NULL)));
}

START_TEST(every_pending_connection_is_reported)
{
	struct pair pair;
	struct watch w;
	int i;

	open_scene(_i);
	pair = open_listening();
	watch_then(&w, pair.ours, EV_READ, accept_watched);
	settle();
	for (i = 0; i < 5; i++)
		connect_theirs(&pair);
	while (w.nr < 5)
		run_on();
	check_quiet(&w);
	close_scene();
}
END_TEST

/*
 * kinds of descriptors: room to write
 */

struct room {
	const char *name;
	open_fn *open;
	void (*fill)(int theirs);
	void (*drain)(int ours);
};

static void fill_eventfd(int fd)
{
	check_int(eventfd_write(fd, UINT64_MAX - 1), ==, 0);
}

static void drain_eventfd(int fd)
{
	eventfd_t value;

	check_int(eventfd_read(fd, &value), ==, 0);
}

/* clang-format off */
static const struct room rooms[] = {
	{ "unix socket", open_pair,      fill,         drain },
	{ "seqpacket",   open_packets,   fill,         drain },
	{ "unix dgram",  open_datagrams, fill,         drain },
	{ "pipe",        open_pipe,      fill,         drain },
	{ "fifo",        open_fifo,      fill,         drain },
	{ "tcp",         open_tcp,       fill_tcp,     drain },
	{ "eventfd",     open_eventfd,   fill_eventfd, drain_eventfd },
};
/* clang-format on */

START_TEST(every_kind_of_file_is_writable_while_there_is_room)
{
	const struct room *room = &rooms[_i / nr_runnable];
	struct pair pair;
	struct watch w;
	int i;

	open_scene(_i);
	pair = room->open();
	watch(&w, pair.theirs, EV_WRITE);
	stop(&w);
	settle();
	start(&w);
	for (i = 0; i < 2; i++) {
		check_turn(&w, EV_WRITE);
		check_turn(&w, EV_WRITE);
		room->fill(pair.theirs);
		check_quiet(&w);
		room->drain(pair.ours);
		await(pair.theirs, POLLOUT);
	}
	check_turn(&w, EV_WRITE);
	close_scene();
}
END_TEST

/*
 * kinds of descriptors: those with a life of their own
 */

/* Ends when the other end of its standard input does. */
static pid_t start_waiting_child(struct pair input)
{
	pid_t pid = fork();
	char c;

	check_int(pid, >=, 0);
	if (!pid) {
		close(input.theirs);
		_exit((int)read(input.ours, &c, 1));
	}
	return pid;
}

static void discard_at(void *fd)
{
	discard(*(int *)fd);
}

START_TEST(a_process_is_readable_when_it_ends)
{
	struct actor actor;
	struct pair input;
	struct watch w;
	int status;
	pid_t pid;

	open_scene(_i);
	input = open_pipe();
	pid = start_waiting_child(input);
	watch(&w, keep((int)syscall(SYS_pidfd_open, pid, 0)), EV_READ);
	settle();
	check_quiet(&w);
	act_when_asleep(&actor, discard_at, &input.theirs);
	run_once();
	check_int(w.nr, ==, 1);
	join(&actor);
	check_turn(&w, EV_READ);
	check_int(waitpid(pid, &status, 0), ==, pid);
	check_int(status, ==, 0);
	stop(&w);
	check_quiet(&w);
	close_scene();
}
END_TEST

START_TEST(a_fifo_hears_of_its_writers)
{
	char path[32], c;
	struct pair pair;
	struct watch w;
	int i;

	open_scene(_i);
	pair = open_fifo();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", pair.ours);
	watch(&w, pair.ours, EV_READ);
	settle();
	for (i = 0; i < 3; i++) {
		check_quiet(&w);
		put(pair.theirs);
		discard(pair.theirs);
		check_turn(&w, EV_READ);
		take(pair.ours);
		check_turn(&w, EV_READ); /* no writer: the end */
		check_int(read(pair.ours, &c, 1), ==, 0);
		pair.theirs = keep(open(path, O_WRONLY | O_CLOEXEC));
	}
	check_quiet(&w);
	close_scene();
}
END_TEST

START_TEST(a_fifo_that_had_no_writer_yet_is_quiet)
{
	struct pair pair;
	struct watch w;
	char path[32];
	int fd;

	open_scene(_i);
	pair = open_fifo();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", pair.ours);
	discard(pair.theirs);
	fd = keep(open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC));
	watch(&w, fd, EV_READ);
	settle();
	check_quiet(&w); /* of this reader's writers none has gone */
	pair.theirs = keep(open(path, O_WRONLY | O_CLOEXEC));
	check_quiet(&w);
	put(pair.theirs);
	check_turn(&w, EV_READ);
	take(fd);
	check_quiet(&w);
	discard(pair.theirs);
	check_turn(&w, EV_READ);
	close_scene();
}
END_TEST

START_TEST(a_fifo_hears_of_its_readers)
{
	struct pair pair;
	struct watch w;
	char path[32];
	int i;

	open_scene(_i);
	signal(SIGPIPE, SIG_IGN);
	pair = open_fifo();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", pair.theirs);
	fill(pair.theirs);
	watch(&w, pair.theirs, EV_WRITE);
	settle();
	for (i = 0; i < 3; i++) {
		check_quiet(&w);
		discard(pair.ours);
		check_turn(&w, EV_WRITE);
		check_turn(&w, EV_WRITE);
		check_int(write(pair.theirs, "x", 1), ==, -1);
		check_int(errno, ==, EPIPE);
		pair.ours = keep(open(path, O_RDONLY | O_CLOEXEC));
	}
	check_quiet(&w);
	drain(pair.ours);
	check_turn(&w, EV_WRITE);
	close_scene();
}
END_TEST

START_TEST(a_terminal_whose_master_is_closed_wakes_both_directions)
{
	struct actor actor;
	struct pair pty;
	struct watch w;
	char c;

	open_scene(_i);
	pty = open_pty();
	watch(&w, pty.ours, EV_READ);
	settle();
	check_quiet(&w);
	act_when_asleep(&actor, discard_at, &pty.theirs);
	run_once();
	check_int(w.nr, ==, 1);
	check_int(w.revents, ==, EV_READ);
	join(&actor);
	change_events(&w, EV_READ | EV_WRITE);
	check_turn(&w, EV_READ | EV_WRITE);
	check_turn(&w, EV_READ | EV_WRITE);
	check_int(read(pty.ours, &c, 1), ==, 0);
	close_scene();
}
END_TEST

START_TEST(a_master_hears_of_its_terminal)
{
	struct actor actor;
	struct pair pty;
	struct watch w;
	char name[32], c;
	int i;

	open_scene(_i);
	pty = open_master();
	check_int(ptsname_r(pty.ours, name, sizeof(name)), ==, 0);
	watch(&w, pty.ours, EV_READ);
	settle();
	for (i = 0; i < 2; i++) {
		check_quiet(&w);
		act_when_asleep(&actor, discard_at, &pty.theirs);
		w.nr = 0;
		run_once();
		check_int(w.nr, ==, 1);
		join(&actor);
		check_turn(&w, EV_READ);
		check_int(read(pty.ours, &c, 1), ==, -1);
		check_int(errno, ==, EIO);
		pty.theirs = keep(open(name, O_RDWR | O_NOCTTY | O_CLOEXEC));
	}
	check_quiet(&w);
	close_scene();
}
END_TEST

/* /dev/tty is another file than the terminal that it stands for. */
static int watch_dev_tty(void *arg)
{
	struct pair pty = open_pty();
	struct watch w;

	(void)arg;
	signal(SIGHUP, SIG_IGN);
	child_assert(setsid() > 0);
	child_assert(!ioctl(pty.ours, TIOCSCTTY, 0));
	scene.loop = open_another();
	watch(&w, keep(open("/dev/tty", O_RDWR | O_CLOEXEC)), EV_READ);
	child_assert(events_in_turn(&w) == 0);
	child_assert(events_in_nap(&w) == 0);
	put_line(&pty);
	await(pty.ours, POLLIN);
	child_assert(events_in_turn(&w) == 1);
	take_line(&pty);
	child_assert(events_in_turn(&w) == 0);
	discard(pty.theirs);
	child_assert(events_in_turn(&w) == 1);
	ev_loop_destroy(scene.loop);
	return 0;
}

START_TEST(the_controlling_terminal_can_be_watched)
{
	open_scene(_i);
	settle();
	check_int(run_in_child(watch_dev_tty, NULL), ==, 0);
	close_scene();
}
END_TEST

/*
 * all of them
 */

void add_kinds(void)
{
	add_scenario("always ready", a_regular_file_is_always_ready);
	add_scenario("always ready", files_without_readiness_are_always_ready);
	add_scenario("always ready",
		     a_regular_file_does_not_hide_sockets_or_timers);
	add_scenario("always ready",
		     a_number_may_alternate_between_file_and_socket);
	add_scenario("always ready",
		     a_number_that_was_a_file_does_not_delay_others);
	add_rows("mistakes", a_mistake_ends_as_on_the_oracle,
		 ARRAY_SIZE(mistakes) * 2);

	add_scenario("kinds", every_pending_connection_is_reported);
	add_scenario("kinds", a_process_is_readable_when_it_ends);
	add_scenario("kinds", a_fifo_hears_of_its_writers);
	add_scenario("kinds", a_fifo_that_had_no_writer_yet_is_quiet);
	add_scenario("kinds", a_fifo_hears_of_its_readers);
	add_scenario("kinds",
		     a_terminal_whose_master_is_closed_wakes_both_directions);
	add_scenario("kinds", a_master_hears_of_its_terminal);
	add_scenario("kinds", the_controlling_terminal_can_be_watched);
	add_rows("kinds", every_kind_of_file_is_reported_while_ready,
		 ARRAY_SIZE(kinds));
	add_rows("kinds", every_kind_of_file_wakes_a_blocked_loop,
		 ARRAY_SIZE(kinds));
	add_rows("kinds", every_kind_of_file_is_writable_while_there_is_room,
		 ARRAY_SIZE(rooms));
}
