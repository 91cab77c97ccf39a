/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * conform.c - an attached loop is a libev loop: the same scenarios on stock
 * libev and on evring in every form it can take.
 *
 * The first row of modes[] is libev's own epoll backend.  It is the oracle: a
 * promise that it does not keep is not one.  Every other row makes evring wait
 * in another way, and must not differ.  So nothing here asks which mode it is
 * in, except where evring promises more than libev: exact timers, turns without
 * a system call, an idle loop that stays idle.
 *
 * The order is that of the contract in DESIGN.md.
 *
 * What to know before writing a test:
 *
 * a) open_scene() makes the loop of a mode.  In the mode "late" it is not
 *    attached yet: settle() does that, after the watchers of the test were
 *    started and the loop has run without us.  So settle() comes where nothing
 *    is ready yet, and is not optional: close_scene() looks whether evring was
 *    really in use.
 * b) Descriptors block, and callbacks read no more than what was promised.  A
 *    false report hangs the test, and its alarm tells which mode it was.
 * c) turn() may not block and run_once() may.  No event in a turn proves little
 *    when readiness is only noticed in a wait: nap() waits.
 * d) Another thread that acts on a blocked loop waits for the kernel to say
 *    that this thread sleeps; see act_when_asleep().
 */
#include "config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ev.h>
#include <evring.h>
#include <fcntl.h>
#include <liburing.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/*
 * modes
 */

struct mode {
	const char *name;
	enum evring_tier tier; /* what it becomes where nothing is missing */
	bool needs_region;     /* has no sense without */
	bool is_late;	       /* attached by settle(), not at birth */
	struct evring_config config;
};

/* All that is newer than Linux 5.11, which is the oldest that will do; and
   with it what needs one of these. */
#define NEW_FEATURES                                                           \
	"multishot-poll,cqe-skip,registered-ring,submit-all,coop-taskrun,"     \
	"single-issuer,r-disabled,no-iowait"

/* clang-format off */
static const struct mode modes[] = {
	{ .name = "epoll" }, /* the oracle */
	{ .name = "region",           .tier = EVRING_TIER_REGION,
	  .needs_region = true },
	{ .name = "copied",           .tier = EVRING_TIER_COPIED,
	  .config = { .disable = "region" } },
	{ .name = "user memory",      .tier = EVRING_TIER_REGION,
	  .needs_region = true,
	  .config = { .flags = EVRING_USER_REGION } },
	{ .name = "polled",           .tier = EVRING_TIER_REGION,
	  .config = { .disable = "epoll-wait" } },
	{ .name = "plain ring",       .tier = EVRING_TIER_REGION,
	  .config = { .disable = "defer-taskrun,coop-taskrun" } },
	{ .name = "changes by libev", .tier = EVRING_TIER_REGION,
	  .config = { .disable = "epoll-ctl" } },
	{ .name = "oldest",           .tier = EVRING_TIER_COPIED,
	  .config = { .disable = NEW_FEATURES } },
	{ .name = "tiny ring",        .tier = EVRING_TIER_REGION,
	  .config = { .entries = 8 } },
	{ .name = "late",             .tier = EVRING_TIER_REGION,
	  .is_late = true },
	{ .name = "late, polled",     .tier = EVRING_TIER_REGION,
	  .is_late = true,
	  .config = { .disable = "epoll-wait,epoll-ctl" } },
};
/* clang-format on */

/* Those that this machine can do, and the best tier it has. */
static const struct mode *runnable[ARRAY_SIZE(modes)];
static int nr_runnable;
static enum evring_tier machine_tier;

static enum evring_tier expected_tier(const struct mode *mode)
{
	return mode->tier < machine_tier ? mode->tier : machine_tier;
}

/*
 * the scene of a test
 */

enum { MAX_FDS = 16384, PATIENCE = 5 /* seconds */ };

static struct scene {
	const struct mode *mode;
	struct ev_loop *loop;
	bool is_attached;
	bool kept[MAX_FDS]; /* to be closed in the end */
} scene;

#define check_that(condition)                                                  \
	ck_assert_msg(condition, "mode %s: not so: %s", scene.mode->name,      \
		      #condition)

#define check_int(got, op, want)                                               \
	do {                                                                   \
		long long got_ = (long long)(got), want_ = (long long)(want);  \
                                                                               \
		ck_assert_msg(got_ op want_,                                   \
			      "mode %s: %s is %lld, not " #op " %lld",         \
			      scene.mode->name, #got, got_, want_);            \
	} while (0)

#define check_time(got, op, want)                                              \
	do {                                                                   \
		double got_ = (got), want_ = (want);                           \
                                                                               \
		ck_assert_msg(got_ op want_,                                   \
			      "mode %s: %s is %g s, not " #op " %g",           \
			      scene.mode->name, #got, got_, want_);            \
	} while (0)

/* A test that hangs is killed by Check without the name of the mode. */
static void say_who_hangs(int signum)
{
	(void)signum;
	(void)!write(2, "# hangs in mode ", 16);
	(void)!write(2, scene.mode->name, strlen(scene.mode->name));
	(void)!write(2, "\n", 1);
	abort();
}

static bool is_evring(void)
{
	return expected_tier(scene.mode) != EVRING_TIER_NONE;
}

static void attach(void)
{
	int r = evring_attach(scene.loop, &scene.mode->config);

	ck_assert_msg(!r, "mode %s: %s", scene.mode->name, evring_strerror(r));
	scene.is_attached = true;
}

static void detach(void)
{
	check_int(evring_detach(scene.loop), ==, 0);
	scene.is_attached = false;
}

static struct ev_loop *open_oracle(void)
{
	return ev_loop_new(EVFLAG_NOENV | EVBACKEND_EPOLL);
}

/* Of the same kind as the loop of the scene. */
static struct ev_loop *open_another(void)
{
	struct ev_loop *loop = open_oracle();

	if (is_evring())
		check_int(evring_attach(loop, &scene.mode->config), ==, 0);
	return loop;
}

static void use_loop(int i, struct ev_loop *loop)
{
	scene.mode = runnable[i % nr_runnable];
	scene.loop = loop;
	scene.is_attached = false;
	signal(SIGALRM, say_who_hangs);
	alarm(PATIENCE);
	check_that(loop != NULL);
	if (is_evring() && !scene.mode->is_late)
		attach();
}

static void open_scene_with(int i, unsigned flags)
{
	use_loop(i, ev_loop_new(EVFLAG_NOENV | EVBACKEND_EPOLL | flags));
}

static void open_scene(int i)
{
	open_scene_with(i, 0);
}

/* Signals and children need it. */
static void open_default_scene(int i)
{
	use_loop(i, ev_default_loop(EVFLAG_NOENV | EVBACKEND_EPOLL));
}

static struct evring_stats stats(void)
{
	struct evring_stats stats;

	check_int(evring_stats(scene.loop, &stats), ==, 0);
	return stats;
}

static void check_backend(void)
{
	check_int(ev_backend(scene.loop), ==, EVBACKEND_EPOLL);
	check_int(evring_tier(scene.loop), ==, expected_tier(scene.mode));
	if (!is_evring())
		return;
	check_int(stats().turns, >, 0);
	check_int(stats().rings_lost, ==, 0);
	if (expected_tier(scene.mode) == EVRING_TIER_REGION)
		check_int(stats().waits_copied, ==, 0);
	else
		check_int(stats().waits_by_offset, ==, 0);
}

static void close_scene(void)
{
	int fd;

	check_backend();
	ev_loop_destroy(scene.loop);
	check_int(evring_tier(scene.loop), ==, EVRING_TIER_NONE);
	for (fd = 0; fd < MAX_FDS; fd++)
		if (scene.kept[fd])
			close(fd);
	memset(scene.kept, 0, sizeof(scene.kept));
	alarm(0);
}

/*
 * turns
 */

static void turn(void)
{
	ev_run(scene.loop, EVRUN_NOWAIT);
}

static void turns(int nr)
{
	while (nr--)
		turn();
}

static void run_once(void)
{
	ev_run(scene.loop, EVRUN_ONCE);
}

static void settle(void)
{
	turn();
	if (is_evring() && !scene.is_attached)
		attach();
	turn();
}

static void on_nap_over(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)loop;
	(void)revents;
	*(bool *)w->data = true;
}

/* Run the loop, mostly blocked, for so many seconds. */
static void nap(double seconds)
{
	bool is_over = false;
	ev_timer timer;

	ev_timer_init(&timer, on_nap_over, seconds, 0.);
	timer.data = &is_over;
	ev_now_update(scene.loop);
	ev_timer_start(scene.loop, &timer);
	while (!is_over)
		run_once();
}

static const double SHORT_NAP = 0.002;

/*
 * an ev_io that keeps count
 */

struct watch {
	ev_io io;
	int nr;	     /* events so far */
	int revents; /* of the last one */
	unsigned iteration;
	void (*then)(struct watch *watch); /* may be NULL */
	struct watch *other;		   /* for then */
};

static void on_io(struct ev_loop *loop, ev_io *w, int revents)
{
	struct watch *watch = (struct watch *)w;

	/* Contract 2: one event per watcher and turn. */
	if (watch->nr)
		check_int(ev_iteration(loop), !=, watch->iteration);
	watch->iteration = ev_iteration(loop);
	watch->revents = revents;
	watch->nr++;
	if (watch->then)
		watch->then(watch);
}

static void watch_then(struct watch *watch, int fd, int events,
		       void (*then)(struct watch *watch))
{
	memset(watch, 0, sizeof(*watch));
	ev_io_init(&watch->io, on_io, fd, events);
	watch->then = then;
	ev_io_start(scene.loop, &watch->io);
}

static void watch(struct watch *watch, int fd, int events)
{
	watch_then(watch, fd, events, NULL);
}

static void start(struct watch *watch)
{
	ev_io_start(scene.loop, &watch->io);
}

static void stop(struct watch *watch)
{
	ev_io_stop(scene.loop, &watch->io);
}

/* How many events one turn has for it, and of what kind. */
static int events_in_turn(struct watch *watch)
{
	int before = watch->nr;

	watch->revents = 0;
	turn();
	return watch->nr - before;
}

static int events_in_nap(struct watch *watch)
{
	int before = watch->nr;

	nap(SHORT_NAP);
	return watch->nr - before;
}

#define check_quiet(watch)                                                     \
	do {                                                                   \
		check_int(events_in_turn(watch), ==, 0);                       \
		check_int(events_in_nap(watch), ==, 0);                        \
		check_int(events_in_turn(watch), ==, 0);                       \
	} while (0)

#define check_turn(watch, events)                                              \
	do {                                                                   \
		check_int(events_in_turn(watch), ==, 1);                       \
		check_int((watch)->revents, ==, events);                       \
	} while (0)

/*
 * descriptors
 */

static int keep(int fd)
{
	check_int(fd, >=, 0);
	check_int(fd, <, MAX_FDS);
	scene.kept[fd] = true;
	return fd;
}

static void discard(int fd)
{
	check_int(close(fd), ==, 0);
	scene.kept[fd] = false;
}

/* What is written to theirs is read from ours. */
struct pair {
	int ours, theirs;
};

typedef struct pair open_fn(void);

static struct pair open_pair(void)
{
	int fds[2] = { -1, -1 };

	socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds);
	return (struct pair){ keep(fds[0]), keep(fds[1]) };
}

static struct pair open_pipe(void)
{
	int fds[2] = { -1, -1 };

	(void)!pipe2(fds, O_CLOEXEC);
	return (struct pair){ keep(fds[0]), keep(fds[1]) };
}

static struct sockaddr_in loopback(int port)
{
	return (struct sockaddr_in){
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr = { htonl(INADDR_LOOPBACK) },
	};
}

static int bind_to(int fd, int port)
{
	struct sockaddr_in address = loopback(port);

	return bind(fd, (struct sockaddr *)&address, sizeof(address));
}

static int port_of(int fd)
{
	struct sockaddr_in address;
	socklen_t size = sizeof(address);

	check_int(getsockname(fd, (struct sockaddr *)&address, &size), ==, 0);
	return ntohs(address.sin_port);
}

static int connect_to(int fd, int port)
{
	struct sockaddr_in address = loopback(port);

	return connect(fd, (struct sockaddr *)&address, sizeof(address));
}

static int open_socket(int type)
{
	return keep(socket(AF_INET, type | SOCK_CLOEXEC, 0));
}

static int open_listener(void)
{
	int fd = open_socket(SOCK_STREAM);

	check_int(bind_to(fd, 0), ==, 0);
	check_int(listen(fd, 16), ==, 0);
	return fd;
}

static struct pair open_tcp(void)
{
	int listener = open_listener();
	struct pair pair = { .theirs = open_socket(SOCK_STREAM) };

	check_int(connect_to(pair.theirs, port_of(listener)), ==, 0);
	pair.ours = keep(accept4(listener, NULL, NULL, SOCK_CLOEXEC));
	discard(listener);
	return pair;
}

static struct pair open_udp(void)
{
	struct pair pair = { open_socket(SOCK_DGRAM), open_socket(SOCK_DGRAM) };

	check_int(bind_to(pair.ours, 0), ==, 0);
	check_int(connect_to(pair.theirs, port_of(pair.ours)), ==, 0);
	return pair;
}

static void put_char(int fd, char c)
{
	check_int(write(fd, &c, 1), ==, 1);
}

static void put(int fd)
{
	put_char(fd, 'x');
}

/* Blocks when there is nothing. */
static char take(int fd)
{
	char c = 0;

	check_int(read(fd, &c, 1), ==, 1);
	return c;
}

static void take_one(struct watch *watch)
{
	take(watch->io.fd);
}

static void set_blocking(int fd, bool on)
{
	check_int(fcntl(fd, F_SETFL, on ? 0 : O_NONBLOCK), ==, 0);
}

static void fill(int fd)
{
	static char block[4096];

	set_blocking(fd, false);
	while (write(fd, block, sizeof(block)) > 0)
		;
	check_int(errno, ==, EAGAIN);
	set_blocking(fd, true);
}

static void drain(int fd)
{
	static char block[4096];

	set_blocking(fd, false);
	while (read(fd, block, sizeof(block)) > 0)
		;
	check_int(errno, ==, EAGAIN);
	set_blocking(fd, true);
}

static void await(int fd, short events)
{
	struct pollfd pollfd = { .fd = fd, .events = events };

	check_int(poll(&pollfd, 1, PATIENCE * 1000), ==, 1);
}

/*
 * another thread, and a loop that is asleep
 */

struct actor {
	pthread_t thread;
	pid_t sleeper;
	void (*act)(void *arg);
	void *arg;
};

static pid_t thread_id(void)
{
	return (pid_t)syscall(SYS_gettid);
}

static bool is_asleep(pid_t tid)
{
	char path[64], line[512];
	const char *state;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", (int)tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = read(fd, line, sizeof(line) - 1);
	close(fd);
	line[n > 0 ? n : 0] = 0;
	state = strrchr(line, ')');
	return state && state[2] == 'S';
}

static void await_sleep(pid_t tid)
{
	while (!is_asleep(tid))
		sched_yield();
}

static void *run_actor(void *arg)
{
	struct actor *actor = arg;

	await_sleep(actor->sleeper);
	actor->act(actor->arg);
	return NULL;
}

/* act (arg) runs in another thread once this one sleeps. */
static void act_when_asleep(struct actor *actor, void (*act)(void *), void *arg)
{
	actor->sleeper = thread_id();
	actor->act = act;
	actor->arg = arg;
	check_int(pthread_create(&actor->thread, NULL, run_actor, actor), ==,
		  0);
}

static void join(struct actor *actor)
{
	check_int(pthread_join(actor->thread, NULL), ==, 0);
}

static void put_to(void *fd)
{
	put(*(int *)fd);
}

/*
 * what the oracle says: play a scene on both and compare what was noted
 */

struct log {
	char text[512];
	size_t size;
};

__attribute__((format(printf, 2, 3))) static void note(struct log *log,
						       const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(log->text + log->size, sizeof(log->text) - log->size,
		      format, args);
	va_end(args);
	check_int(n, >=, 0);
	log->size += (size_t)n;
	check_int(log->size, <, sizeof(log->text));
}

static void check_with_oracle(void (*play)(struct ev_loop *, struct log *))
{
	struct ev_loop *oracle = open_oracle();
	struct log want = { .size = 0 }, got = { .size = 0 };

	check_that(oracle != NULL);
	ev_run(oracle, EVRUN_NOWAIT); /* settle() did so, too */
	ev_run(oracle, EVRUN_NOWAIT);
	play(oracle, &want);
	play(scene.loop, &got);
	ev_loop_destroy(oracle);
	ck_assert_msg(want.size && !strcmp(got.text, want.text),
		      "mode %s: got %s, the oracle %s", scene.mode->name,
		      got.text, want.text);
}

/*
 * 1: level-triggered
 */

START_TEST(readable_is_reported_every_turn)
{
	struct pair pair;
	struct watch w;
	int i;

	open_scene(_i);
	pair = open_pair();
	watch(&w, pair.ours, EV_READ);
	settle();
	check_quiet(&w);
	put(pair.theirs);
	for (i = 0; i < 20; i++)
		check_turn(&w, EV_READ);
	for (i = 0; i < 20; i++) {
		w.nr = 0;
		run_once();
		check_int(w.nr, ==, 1);
	}
	take(pair.ours);
	check_quiet(&w);
	close_scene();
}
END_TEST

START_TEST(partly_read_is_reported_until_all_is_read)
{
	struct pair pair;
	struct watch w;
	int i;

	open_scene(_i);
	pair = open_pair();
	watch_then(&w, pair.ours, EV_READ, take_one);
	settle();
	for (i = 0; i < 6; i++)
		put(pair.theirs);
	for (i = 0; i < 3; i++)
		check_turn(&w, EV_READ);
	while (w.nr < 6)
		run_once();
	check_quiet(&w);
	close_scene();
}
END_TEST

START_TEST(writable_is_reported_while_there_is_room)
{
	struct pair pair;
	struct watch w;
	int i;

	open_scene(_i);
	pair = open_pair();
	fill(pair.ours);
	watch(&w, pair.ours, EV_WRITE);
	settle();
	check_quiet(&w);
	drain(pair.theirs);
	for (i = 0; i < 20; i++)
		check_turn(&w, EV_WRITE);
	w.nr = 0;
	run_once();
	run_once();
	check_int(w.nr, ==, 2);
	fill(pair.ours);
	check_quiet(&w);
	close_scene();
}
END_TEST

START_TEST(ready_before_the_start_is_reported_in_the_first_turn)
{
	struct pair pair;
	struct watch w;

	open_scene(_i);
	pair = open_pair();
	put(pair.theirs);
	settle();
	watch(&w, pair.ours, EV_READ);
	check_turn(&w, EV_READ);
	stop(&w);
	turn();
	start(&w);
	w.nr = 0;
	run_once();
	check_int(w.nr, ==, 1);
	close_scene();
}
END_TEST

static void start_other(struct ev_loop *loop, ev_prepare *w, int revents)
{
	(void)loop;
	(void)revents;
	start(w->data);
}

START_TEST(started_by_a_prepare_watcher_is_asked_in_that_turn)
{
	struct pair pair;
	struct watch w;
	ev_prepare prepare;

	open_scene(_i);
	pair = open_pair();
	put(pair.theirs);
	settle();
	watch(&w, pair.ours, EV_READ);
	stop(&w);
	ev_prepare_init(&prepare, start_other);
	prepare.data = &w;
	ev_prepare_start(scene.loop, &prepare);
	check_turn(&w, EV_READ);
	ev_prepare_stop(scene.loop, &prepare);
	close_scene();
}
END_TEST

/*
 * 2: one event per watcher and turn; on_io() counts
 */

START_TEST(watchers_of_one_fd_get_their_own_events)
{
	struct watch reader, reader2, writer, both;
	struct pair pair;

	open_scene(_i);
	pair = open_pair();
	fill(pair.ours);
	watch(&reader, pair.ours, EV_READ);
	watch(&writer, pair.ours, EV_WRITE);
	watch(&both, pair.ours, EV_READ | EV_WRITE);
	watch(&reader2, pair.ours, EV_READ);
	settle();
	check_quiet(&both);
	put(pair.theirs);
	check_turn(&both, EV_READ);
	check_int(reader.nr + reader2.nr + writer.nr, ==, 2);
	drain(pair.theirs);
	check_turn(&both, EV_READ | EV_WRITE);
	check_int(reader.revents, ==, EV_READ);
	check_int(reader2.revents, ==, EV_READ);
	check_int(writer.revents, ==, EV_WRITE);
	check_int(reader.nr + reader2.nr + writer.nr, ==, 5);
	take(pair.ours);
	check_turn(&both, EV_WRITE);
	check_int(reader.nr + reader2.nr, ==, 4);
	check_int(writer.nr, ==, 2);
	close_scene();
}
END_TEST

START_TEST(stopping_one_of_two_watchers_leaves_the_other)
{
	struct watch reader, writer;
	struct pair pair;

	open_scene(_i);
	pair = open_pair();
	watch(&reader, pair.ours, EV_READ);
	watch(&writer, pair.ours, EV_WRITE);
	settle();
	stop(&writer);
	writer.nr = 0;
	check_quiet(&reader);
	put(pair.theirs);
	check_turn(&reader, EV_READ);
	check_int(writer.nr, ==, 0);
	stop(&reader);
	start(&writer);
	check_turn(&writer, EV_WRITE);
	check_int(reader.nr, ==, 1);
	stop(&writer);
	start(&reader);
	check_turn(&reader, EV_READ);
	check_int(writer.nr, ==, 1);
	close_scene();
}
END_TEST

static void change_events(struct watch *w, int events)
{
	stop(w);
	ev_io_set(&w->io, w->io.fd, events);
	start(w);
}

START_TEST(a_watcher_may_change_its_events)
{
	static const int events[] = { EV_READ, EV_WRITE, EV_READ | EV_WRITE };
	struct pair pair;
	struct watch w;
	int i;

	open_scene(_i);
	pair = open_pair();
	watch(&w, pair.ours, EV_READ);
	settle();
	put(pair.theirs);
	for (i = 0; i < 12; i++) {
		change_events(&w, events[i % 3]);
		check_turn(&w, events[i % 3]);
		check_turn(&w, events[i % 3]);
	}
	for (i = 0; i < 12; i++) {
		change_events(&w, events[i % 3]);
		change_events(&w, events[(i + 2) % 3]);
		check_turn(&w, events[(i + 2) % 3]);
	}
	take(pair.ours);
	change_events(&w, EV_READ);
	check_quiet(&w);
	close_scene();
}
END_TEST

START_TEST(io_modify_changes_events_of_the_same_fd)
{
	struct pair pair;
	struct watch w;

	open_scene(_i);
	pair = open_pair();
	watch(&w, pair.ours, EV_READ);
	settle();
	stop(&w);
	ev_io_modify(&w.io, EV_WRITE);
	start(&w);
	check_turn(&w, EV_WRITE);
	stop(&w);
	ev_io_modify(&w.io, EV_READ);
	start(&w);
	check_quiet(&w);
	put(pair.theirs);
	check_turn(&w, EV_READ);
	close_scene();
}
END_TEST

/*
 * 3: never spurious
 */

START_TEST(read_between_turns_is_not_reported)
{
	struct pair pair;
	struct watch w;
	int i;

	open_scene(_i);
	pair = open_pair();
	watch(&w, pair.ours, EV_READ);
	settle();
	for (i = 0; i < 50; i++) {
		put(pair.theirs);
		if (i % 3 == 1)
			check_turn(&w, EV_READ);
		take(pair.ours);
		check_int(events_in_turn(&w), ==, 0);
		if (i % 10 == 0)
			check_int(events_in_nap(&w), ==, 0);
	}
	put(pair.theirs);
	check_turn(&w, EV_READ);
	close_scene();
}
END_TEST

START_TEST(room_filled_between_turns_is_not_reported)
{
	struct pair pair;
	struct watch w;
	int i;

	open_scene(_i);
	pair = open_pair();
	fill(pair.ours);
	watch(&w, pair.ours, EV_WRITE);
	settle();
	for (i = 0; i < 10; i++) {
		drain(pair.theirs);
		fill(pair.ours);
		check_quiet(&w);
	}
	drain(pair.theirs);
	check_turn(&w, EV_WRITE);
	close_scene();
}
END_TEST

static void take_of_other(struct watch *w)
{
	take(w->other->io.fd);
}

START_TEST(an_event_gathered_with_others_is_delivered)
{
	struct watch first, second;
	struct pair a, b;

	open_scene(_i);
	a = open_pair();
	b = open_pair();
	watch(&second, b.ours, EV_READ);
	watch_then(&first, a.ours, EV_READ, take_of_other);
	first.other = &second;
	stop(&first);
	ev_set_priority(&first.io, EV_MAXPRI);
	start(&first);
	settle();
	put(a.theirs);
	put(b.theirs);
	check_turn(&second, EV_READ); /* as the oracle: it was true then */
	check_int(first.nr, ==, 1);
	first.then = NULL;
	check_quiet(&second);
	close_scene();
}
END_TEST

static void pass_on(struct watch *w)
{
	put_char(w->io.fd, take(w->io.fd));
}

START_TEST(blocking_reads_in_callbacks_never_hang)
{
	struct watch left, right;
	struct pair pair;

	open_scene(_i);
	pair = open_pair();
	watch_then(&left, pair.ours, EV_READ, pass_on);
	watch_then(&right, pair.theirs, EV_READ, pass_on);
	settle();
	put(pair.theirs);
	while (right.nr < 500)
		run_once();
	put(pair.theirs);
	put(pair.ours);
	while (right.nr < 1000)
		turn();
	check_int(left.nr, >=, 1000);
	close_scene();
}
END_TEST

/*
 * 4: stopped is stopped
 */

static void stop_other(struct watch *w)
{
	stop(w->other);
}

START_TEST(stopped_by_a_callback_of_the_same_turn_gets_nothing)
{
	struct watch a, b;
	struct pair pair;
	int i;

	open_scene(_i);
	pair = open_pair();
	watch_then(&a, pair.ours, EV_READ, stop_other);
	watch_then(&b, dup(keep(pair.ours)), EV_READ, stop_other);
	keep(b.io.fd);
	a.other = &b;
	b.other = &a;
	settle();
	put(pair.theirs);
	for (i = 0; i < 20; i++) {
		a.nr = b.nr = 0;
		turn();
		check_int(a.nr + b.nr, ==, 1);
		start(a.nr ? &b : &a);
	}
	close_scene();
}
END_TEST

START_TEST(stopped_before_the_turn_gets_nothing)
{
	struct pair pair;
	struct watch w;

	open_scene(_i);
	pair = open_pair();
	watch(&w, pair.ours, EV_READ);
	settle();
	put(pair.theirs);
	stop(&w);
	check_quiet(&w);
	start(&w);
	check_turn(&w, EV_READ);
	stop(&w);
	start(&w);
	check_turn(&w, EV_READ);
	take(pair.ours);
	stop(&w);
	start(&w);
	check_quiet(&w);
	close_scene();
}
END_TEST

START_TEST(stop_in_its_own_callback_ends_it)
{
	struct pair pair;
	struct watch w;

	open_scene(_i);
	pair = open_pair();
	watch_then(&w, pair.ours, EV_READ | EV_WRITE, stop);
	stop(&w);
	settle();
	put(pair.theirs);
	start(&w);
	check_turn(&w, EV_READ | EV_WRITE);
	check_quiet(&w);
	start(&w);
	check_turn(&w, EV_READ | EV_WRITE);
	check_quiet(&w);
	close_scene();
}
END_TEST

START_TEST(what_nobody_watches_does_not_keep_the_loop_awake)
{
	unsigned iterations;
	struct pair pair;
	struct watch w;

	open_scene(_i);
	pair = open_pair();
	watch(&w, pair.ours, EV_READ | EV_WRITE);
	settle();
	put(pair.theirs);
	turn();
	stop(&w);
	iterations = ev_iteration(scene.loop);
	nap(0.03);
	check_int(ev_iteration(scene.loop) - iterations, <=, 20);
	start(&w);
	check_turn(&w, EV_READ | EV_WRITE);
	change_events(&w, EV_READ);
	take(pair.ours);
	iterations = ev_iteration(scene.loop);
	nap(0.03);
	check_int(ev_iteration(scene.loop) - iterations, <=, 20);
	close_scene();
}
END_TEST

/*
 * 5: a descriptor's number means another file
 *
 * Steps: s stop, c close, o open a new file with this number, S set and start,
 * r start only, t a turn.
 */

struct reuse {
	const char *steps;
	bool is_dupped; /* the old file lives on, and epoll goes on with it */
};

/* clang-format off */
static const struct reuse reuses[] = {
	{ "scoS",    false }, { "scoS",    true },
	{ "csoS",    false }, { "csoS",    true },
	{ "cosS",    false }, { "cosS",    true },
	{ "osS",     false }, { "osS",     true }, /* dup2 closes */
	{ "soS",     false }, { "soS",     true },
	{ "sScosS",  false }, { "sScosS",  true },
	{ "scoSosS", false }, { "scoSosS", true }, /* and again */
};

/* With turns in between: not in a callback. */
static const struct reuse slow_reuses[] = {
	{ "stcoS",   false }, { "stcoS",   true },
	{ "sctoS",   false }, { "sctoS",   true },
	{ "scotS",   false }, { "scotS",   true },
	{ "stctotS", false }, { "stctotS", true },
	{ "ctosS",   false }, { "ctosS",   true },
	{ "tscoS",   false }, { "tscoS",   true },
	{ "scoStsS", false }, { "scoStsS", true },
};
/* clang-format on */

static void take_step(char step, struct watch *w, int fresh)
{
	int fd = w->io.fd;

	switch (step) {
	case 's':
		stop(w);
		break;
	case 'c':
		discard(fd);
		break;
	case 'o':
		check_int(dup2(fresh, keep(fd)), ==, fd);
		break;
	case 'S':
		ev_io_set(&w->io, fd, EV_READ);
		start(w);
		break;
	case 'r':
		start(w);
		break;
	default:
		turn();
	}
}

static void take_steps(const char *steps, struct watch *w, int fresh)
{
	for (; *steps; steps++)
		take_step(*steps, w, fresh);
}

/* The new file is reported, and is the one that is read. */
static void check_is_fresh(struct watch *w, int theirs)
{
	w->nr = 0;
	check_quiet(w);
	put_char(theirs, 'n');
	check_turn(w, EV_READ);
	check_int(take(w->io.fd), ==, 'n');
	check_quiet(w);
}

static void reuse_number(const struct reuse *reuse, open_fn *open_new)
{
	struct pair old = open_pair(), fresh = open_new();
	struct watch w;

	if (reuse->is_dupped)
		keep(dup(old.ours));
	watch(&w, old.ours, EV_READ);
	settle();
	put_char(old.theirs, 'o');
	take_steps(reuse->steps, &w, fresh.ours);
	check_is_fresh(&w, fresh.theirs);
}

START_TEST(a_reused_number_reports_the_new_file_only)
{
	open_scene(_i);
	reuse_number(&reuses[_i / nr_runnable], open_pair);
	close_scene();
}
END_TEST

START_TEST(a_number_reused_over_several_turns_reports_the_new_file_only)
{
	open_scene(_i);
	reuse_number(&slow_reuses[_i / nr_runnable], open_pair);
	close_scene();
}
END_TEST

START_TEST(a_reused_number_may_be_another_kind_of_file)
{
	open_scene(_i);
	reuse_number(&slow_reuses[_i / nr_runnable], open_pipe);
	close_scene();
}
END_TEST

static struct {
	const char *steps;
	int fresh;
} in_callback;

static void take_steps_in_callback(struct watch *w)
{
	const char *steps = in_callback.steps;

	in_callback.steps = "";
	take_steps(steps, w, in_callback.fresh);
}

START_TEST(a_number_may_be_reused_within_its_callback)
{
	const struct reuse *reuse = &reuses[_i / nr_runnable];
	struct pair old, fresh;
	struct watch w;

	open_scene(_i);
	old = open_pair();
	fresh = open_pair();
	if (reuse->is_dupped)
		keep(dup(old.ours));
	watch_then(&w, old.ours, EV_READ, take_steps_in_callback);
	in_callback.steps = reuse->steps;
	in_callback.fresh = fresh.ours;
	settle();
	put_char(old.theirs, 'o');
	turn();
	check_is_fresh(&w, fresh.theirs);
	close_scene();
}
END_TEST

START_TEST(two_numbers_may_be_swapped)
{
	struct pair a, b;
	struct watch wa, wb;
	int i, spare;

	open_scene(_i);
	a = open_pair();
	b = open_pair();
	watch(&wa, a.ours, EV_READ);
	watch(&wb, b.ours, EV_READ);
	settle();
	for (i = 0; i < 4; i++) {
		stop(&wa);
		stop(&wb);
		spare = keep(dup(a.ours));
		dup2(b.ours, a.ours);
		dup2(spare, b.ours);
		discard(spare);
		take_step('S', &wa, -1);
		take_step('S', &wb, -1);
		check_quiet(&wa);
		put(i % 2 ? a.theirs : b.theirs);
		wb.nr = 0;
		check_turn(&wa, EV_READ);
		check_int(wb.nr, ==, 0);
		take(wa.io.fd);
	}
	close_scene();
}
END_TEST

START_TEST(a_file_kept_alive_elsewhere_does_not_keep_the_loop_awake)
{
	unsigned iterations;
	struct pair pair;
	struct watch w;

	open_scene(_i);
	pair = open_pair();
	keep(dup(pair.ours));
	watch(&w, pair.ours, EV_READ);
	settle();
	stop(&w);
	discard(pair.ours);
	put(pair.theirs);
	iterations = ev_iteration(scene.loop);
	nap(0.03);
	check_int(ev_iteration(scene.loop) - iterations, <=, 20);
	check_int(w.nr, ==, 0);
	close_scene();
}
END_TEST

/*
 * 6: closed is closed
 */

struct closing {
	open_fn *open;
	bool writes; /* theirs is what the loop watches and closes */
};

static const struct closing closings[] = {
	{ open_pair, false }, { open_pair, true }, { open_pipe, false },
	{ open_pipe, true },  { open_tcp, false }, { open_tcp, true },
};

/* Without waiting: the other end is told. */
static void check_hears_of_it(int fd, const struct closing *closing)
{
	struct pollfd pollfd = { .fd = fd, .events = POLLIN | POLLOUT };
	char c;

	check_int(poll(&pollfd, 1, 0), ==, 1);
	if (closing->open == open_pipe && !closing->writes) {
		check_int(pollfd.revents & POLLERR, ==, POLLERR);
		return;
	}
	set_blocking(fd, false);
	check_int(read(fd, &c, 1), ==, 0);
}

START_TEST(the_peer_hears_of_a_close_at_once)
{
	const struct closing *closing = &closings[_i / nr_runnable];
	struct pair pair;
	struct watch w;
	int how;

	open_scene(_i);
	for (how = 0; how < 4; how++) {
		pair = closing->open();
		watch(&w, closing->writes ? pair.theirs : pair.ours,
		      closing->writes ? EV_WRITE : EV_READ);
		settle();
		nap(how & 1 ? SHORT_NAP : 0.);
		if (how & 2)
			stop(&w);
		discard(w.io.fd);
		check_hears_of_it(closing->writes ? pair.ours : pair.theirs,
				  closing);
		stop(&w);
		turn();
	}
	close_scene();
}
END_TEST

static void stop_and_close(struct watch *w)
{
	stop(w);
	discard(w->io.fd);
}

START_TEST(the_peer_hears_of_a_close_in_a_callback_at_once)
{
	const struct closing *closing = &closings[_i / nr_runnable];
	struct pair pair;
	struct watch w;

	open_scene(_i);
	pair = closing->open();
	watch_then(&w, closing->writes ? pair.theirs : pair.ours,
		   closing->writes ? EV_WRITE : EV_READ, stop_and_close);
	stop(&w);
	settle();
	start(&w);
	if (!closing->writes && closing->open == open_pipe)
		put(pair.theirs);
	else if (!closing->writes)
		check_int(shutdown(pair.theirs, SHUT_WR), ==, 0);
	turn();
	check_int(w.nr, ==, 1);
	check_hears_of_it(closing->writes ? pair.ours : pair.theirs, closing);
	close_scene();
}
END_TEST

START_TEST(a_port_is_free_when_its_listener_is_closed)
{
	int fd, port, i;
	struct watch w;

	open_scene(_i);
	fd = open_listener();
	port = port_of(fd);
	for (i = 0; i < 5; i++) {
		watch(&w, fd, EV_READ);
		settle();
		nap(i % 2 ? 0. : SHORT_NAP);
		stop(&w);
		discard(fd);
		fd = open_socket(SOCK_STREAM);
		check_int(bind_to(fd, port), ==, 0);
		check_int(listen(fd, 1), ==, 0);
	}
	close_scene();
}
END_TEST

/*
 * 7: files that are always ready, bad descriptors, hang-ups
 */

static int open_temporary(void)
{
	char path[] = "/tmp/evring-conform-XXXXXX";
	int fd = keep(mkstemp(path));

	unlink(path);
	return fd;
}

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

START_TEST(files_without_readiness_are_as_on_the_oracle)
{
	static const char *const paths[] = { "/", "/dev/null", "/dev/zero",
					     "/proc/self/status" };
	struct watch w[ARRAY_SIZE(paths)];
	size_t i;

	open_scene(_i);
	for (i = 0; i < ARRAY_SIZE(paths); i++)
		watch(&w[i], keep(open(paths[i], O_RDONLY)), EV_READ);
	settle();
	for (i = 0; i < ARRAY_SIZE(paths); i++) {
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

struct bad_fd {
	const struct mode *mode;
	int steps; /* which of those below */
};

static int use_bad_fd(void *arg)
{
	const struct bad_fd *bad = arg;
	struct ev_loop *loop = ev_loop_new(EVFLAG_NOENV | EVBACKEND_EPOLL);
	struct watch w = { .nr = 0 };
	int fds[2];

	close(2); /* libev's assertion is no news */
	if (pipe(fds) ||
	    (bad->mode->tier && evring_attach(loop, &bad->mode->config) < 0))
		return 100;
	ev_io_init(&w.io, on_io, fds[0], EV_READ);
	if (bad->steps) {
		ev_io_start(loop, &w.io);
		ev_run(loop, EVRUN_NOWAIT);
		ev_io_stop(loop, &w.io);
	}
	if (bad->steps == 2)
		ev_run(loop, EVRUN_NOWAIT);
	close(fds[0]);
	ev_io_set(&w.io, fds[0], EV_READ);
	ev_io_start(loop, &w.io);
	ev_run(loop, EVRUN_NOWAIT);
	ev_run(loop, EVRUN_NOWAIT);
	return w.nr + (w.revents & EV_ERROR ? 10 : 0) +
	       (ev_is_active(&w.io) ? 20 : 0);
}

/* libev says that it is a bug of the program: EV_ERROR, or an assertion. */
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

START_TEST(a_closed_fd_ends_as_on_the_oracle)
{
	struct bad_fd bad, oracle = { .mode = &modes[0] };
	int got, want;

	open_scene(_i);
	settle();
	for (oracle.steps = 0; oracle.steps < 3; oracle.steps++) {
		bad = oracle;
		bad.mode = scene.mode;
		got = run_in_child(use_bad_fd, &bad);
		want = run_in_child(use_bad_fd, &oracle);
		check_int(got, !=, 100);
		check_int(got, ==, want);
		check_int(want, !=, 20); /* it was noticed */
	}
	close_scene();
}
END_TEST

START_TEST(a_hang_up_wakes_the_reader)
{
	open_fn *const opens[] = { open_pair, open_pipe, open_tcp };
	struct pair pair;
	struct watch w;
	char c;
	size_t i;

	open_scene(_i);
	for (i = 0; i < ARRAY_SIZE(opens); i++) {
		pair = opens[i]();
		watch(&w, pair.ours, EV_READ);
		settle();
		check_quiet(&w);
		discard(pair.theirs);
		check_turn(&w, EV_READ);
		check_turn(&w, EV_READ);
		check_int(read(pair.ours, &c, 1), ==, 0);
		stop(&w);
		check_quiet(&w);
	}
	close_scene();
}
END_TEST

START_TEST(a_hang_up_wakes_the_writer)
{
	open_fn *const opens[] = { open_pair, open_pipe };
	struct pair pair;
	struct watch w;
	size_t i;

	open_scene(_i);
	signal(SIGPIPE, SIG_IGN);
	for (i = 0; i < ARRAY_SIZE(opens); i++) {
		pair = opens[i]();
		fill(pair.theirs);
		watch(&w, pair.theirs, EV_WRITE);
		settle();
		check_quiet(&w);
		discard(pair.ours);
		check_turn(&w, EV_WRITE);
		check_turn(&w, EV_WRITE);
		check_int(write(pair.theirs, "x", 1), ==, -1);
		check_int(errno, ==, EPIPE);
		stop(&w);
	}
	close_scene();
}
END_TEST

START_TEST(an_error_wakes_both_directions)
{
	struct watch reader, writer, both;
	struct pair pair;

	open_scene(_i);
	pair = open_pipe();
	fill(pair.theirs);
	watch(&reader, pair.theirs, EV_READ);
	watch(&writer, pair.theirs, EV_WRITE);
	watch(&both, pair.theirs, EV_READ | EV_WRITE);
	settle();
	check_quiet(&both);
	discard(pair.ours);
	check_turn(&both, EV_READ | EV_WRITE);
	check_int(reader.revents, ==, EV_READ);
	check_int(writer.revents, ==, EV_WRITE);
	stop(&both);
	stop(&writer);
	check_turn(&reader, EV_READ);
	close_scene();
}
END_TEST

static int closed_port(void)
{
	int fd = open_listener(), port = port_of(fd);

	discard(fd);
	return port;
}

START_TEST(a_refused_connect_wakes_both_directions)
{
	int events, fd, error = 0;
	socklen_t size = sizeof(error);
	struct watch w;

	open_scene(_i);
	settle();
	for (events = EV_READ; events <= (EV_READ | EV_WRITE); events++) {
		fd = open_socket(SOCK_STREAM | SOCK_NONBLOCK);
		check_int(connect_to(fd, closed_port()), ==, -1);
		check_int(errno, ==, EINPROGRESS);
		watch(&w, fd, events);
		run_once();
		check_int(w.nr, ==, 1);
		check_int(w.revents, ==, events);
		check_int(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size),
			  ==, 0);
		check_int(error, ==, ECONNREFUSED);
		stop(&w);
	}
	close_scene();
}
END_TEST

START_TEST(a_watch_of_nothing_but_hang_ups_does_not_spin)
{
	unsigned iterations;
	struct pair pair;
	struct watch w;

	open_scene(_i);
	pair = open_pair();
	watch(&w, pair.ours, EV_READ);
	settle();
	stop(&w);
	discard(pair.theirs);
	iterations = ev_iteration(scene.loop);
	nap(0.03);
	check_int(ev_iteration(scene.loop) - iterations, <=, 20);
	check_int(w.nr, ==, 0);
	start(&w);
	check_turn(&w, EV_READ);
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

static struct pair open_fifo(void)
{
	char dir[] = "/tmp/evring-conform-XXXXXX", path[64];
	struct pair pair;

	check_that(mkdtemp(dir) != NULL);
	snprintf(path, sizeof(path), "%s/fifo", dir);
	check_int(mkfifo(path, 0600), ==, 0);
	pair.ours = keep(open(path, O_RDWR | O_CLOEXEC));
	pair.theirs = keep(open(path, O_WRONLY | O_CLOEXEC));
	unlink(path);
	rmdir(dir);
	return pair;
}

static struct pair open_pty(void)
{
	struct pair pair;

	pair.theirs = keep(posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
	check_int(grantpt(pair.theirs), ==, 0);
	check_int(unlockpt(pair.theirs), ==, 0);
	pair.ours = keep(open(ptsname(pair.theirs), O_RDWR | O_NOCTTY));
	return pair;
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

static struct pair open_eventfd(void)
{
	return (struct pair){ keep(eventfd(0, EFD_CLOEXEC)), -1 };
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
	{ "tcp",         open_tcp,       put_theirs,     take_ours },
	{ "udp",         open_udp,       put_theirs,     take_ours },
	{ "fifo",        open_fifo,      put_theirs,     take_ours },
	{ "pty",         open_pty,       put_line,       take_line },
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
	for (i = 0; i < 3; i++) {
		check_quiet(&w);
		kind->rouse(&pair);
		await(pair.ours, POLLIN);
		check_turn(&w, EV_READ);
		check_turn(&w, EV_READ);
		kind->calm(&pair);
	}
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
	for (i = 0; i < 3; i++) {
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

START_TEST(a_finished_connect_is_writable)
{
	struct watch client, server;
	int fd, listener;

	open_scene(_i);
	listener = open_listener();
	watch(&server, listener, EV_READ);
	settle();
	fd = open_socket(SOCK_STREAM | SOCK_NONBLOCK);
	check_int(connect_to(fd, port_of(listener)), ==, -1);
	check_int(errno, ==, EINPROGRESS);
	watch(&client, fd, EV_READ | EV_WRITE);
	while (!client.nr)
		run_once();
	check_int(client.revents, ==, EV_WRITE);
	check_turn(&server, EV_READ);
	check_int(server.revents, ==, EV_READ);
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
		run_once();
	check_quiet(&w);
	close_scene();
}
END_TEST

START_TEST(a_half_closed_peer_does_not_wake_a_writer)
{
	open_fn *const opens[] = { open_pair, open_tcp };
	unsigned iterations;
	struct pair pair;
	struct watch w;
	size_t i;

	open_scene(_i);
	for (i = 0; i < ARRAY_SIZE(opens); i++) {
		pair = opens[i]();
		fill(pair.ours);
		await(pair.theirs, POLLIN);
		fill(pair.ours);
		watch(&w, pair.ours, EV_WRITE);
		settle();
		check_quiet(&w);
		check_int(shutdown(pair.theirs, SHUT_WR), ==, 0);
		iterations = ev_iteration(scene.loop);
		nap(0.02);
		check_int(ev_iteration(scene.loop) - iterations, <=, 20);
		check_quiet(&w);
		for (w.nr = 0; !w.nr; turn())
			drain(pair.theirs);
		check_int(w.revents, ==, EV_WRITE);
		stop(&w);
	}
	close_scene();
}
END_TEST

START_TEST(a_half_closed_peer_wakes_a_reader)
{
	struct pair pair;
	struct watch w;

	open_scene(_i);
	pair = open_tcp();
	watch(&w, pair.ours, EV_READ);
	settle();
	check_quiet(&w);
	check_int(shutdown(pair.theirs, SHUT_WR), ==, 0);
	check_turn(&w, EV_READ);
	check_turn(&w, EV_READ);
	change_events(&w, EV_READ | EV_WRITE);
	check_turn(&w, EV_READ | EV_WRITE);
	close_scene();
}
END_TEST

/*
 * 8: a quiet turn that may not block
 */

START_TEST(a_quiet_turn_makes_no_system_call)
{
	struct evring_stats before, after;
	struct pair pair;
	struct watch w;
	ev_timer timer;

	open_scene(_i);
	pair = open_pair();
	watch(&w, pair.ours, EV_READ);
	ev_timer_init(&timer, NULL, 60., 0.);
	ev_timer_start(scene.loop, &timer);
	settle();
	turns(3);
	before = is_evring() ? stats() : (struct evring_stats){ 0 };
	turns(1000);
	if (is_evring()) {
		after = stats();
		check_int(after.turns - before.turns, ==, 1000);
		check_int(after.enters - before.enters, ==, 0);
		check_int(after.requests - before.requests, ==, 0);
		check_int(after.waits_avoided - before.waits_avoided, ==, 1000);
	}
	put(pair.theirs);
	check_turn(&w, EV_READ);
	close_scene();
}
END_TEST

/*
 * 9: timers
 */

struct alarm {
	ev_timer timer;
	int nr;
	double at; /* when it is due, on the loop's clock */
	struct alarm *previous;
};

static void on_alarm(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct alarm *self = (struct alarm *)w;

	check_int(revents, ==, EV_TIMER);
	check_time(ev_now(loop), >=, self->at - 1e-4);
	if (self->previous)
		check_int(self->previous->nr, ==, 1);
	self->nr++;
}

/* The clock of timers is not that of ev_now(), hence the 1e-4 above. */
static void set_alarm(struct alarm *self, double after, double repeat)
{
	memset(self, 0, sizeof(*self));
	ev_timer_init(&self->timer, on_alarm, after, repeat);
	ev_now_update(scene.loop);
	self->at = ev_now(scene.loop) + after;
	ev_timer_start(scene.loop, &self->timer);
}

START_TEST(a_timer_is_not_rounded_up_to_a_millisecond)
{
	double start_time, best = 1.;
	struct alarm w;
	int i;

	open_scene(_i);
	settle();
	for (i = 0; i < 50; i++) {
		start_time = now();
		set_alarm(&w, 200e-6, 0.);
		while (!w.nr)
			run_once();
		if (now() - start_time < best)
			best = now() - start_time;
	}
	check_time(best, >=, 200e-6);
	if (is_evring() && !under_valgrind())
		check_time(best, <, 700e-6);
	close_scene();
}
END_TEST

START_TEST(a_timer_needs_one_wait)
{
	int i, best = 100, iterations;
	struct alarm w;

	open_scene(_i);
	settle();
	for (i = 0; i < 5; i++) {
		iterations = (int)ev_iteration(scene.loop);
		set_alarm(&w, 0.003, 0.);
		while (!w.nr)
			run_once();
		iterations = (int)ev_iteration(scene.loop) - iterations;
		if (iterations < best)
			best = iterations;
	}
	check_int(best, ==, 1);
	close_scene();
}
END_TEST

START_TEST(a_repeating_timer_repeats_until_stopped)
{
	double start_time = now();
	struct alarm w;

	open_scene(_i);
	settle();
	set_alarm(&w, 0.002, 0.002);
	while (w.nr < 10)
		run_once();
	check_time(now() - start_time, >=, 0.020);
	check_that(ev_is_active(&w.timer));
	ev_timer_stop(scene.loop, &w.timer);
	nap(0.005);
	check_int(w.nr, ==, 10);
	close_scene();
}
END_TEST

START_TEST(timer_again_starts_over)
{
	double start_time;
	struct alarm w;

	open_scene(_i);
	settle();
	set_alarm(&w, 0., 0.02);
	turn();
	check_int(w.nr, ==, 1); /* a delay of 0 is over at once */
	nap(0.01);
	start_time = now();
	ev_now_update(scene.loop);
	ev_timer_again(scene.loop, &w.timer);
	check_time(ev_timer_remaining(scene.loop, &w.timer), >, 0.015);
	while (w.nr < 2)
		run_once();
	check_time(now() - start_time, >=, 0.02);
	w.timer.repeat = 0.;
	ev_timer_again(scene.loop, &w.timer);
	check_that(!ev_is_active(&w.timer));
	close_scene();
}
END_TEST

START_TEST(a_timer_of_nothing_expires_in_the_next_turn)
{
	struct alarm a, b;

	open_scene(_i);
	settle();
	set_alarm(&a, 0., 0.);
	set_alarm(&b, -5., 0.);
	b.at = 0.;
	turn();
	check_int(a.nr, ==, 1);
	check_int(b.nr, ==, 1);
	set_alarm(&a, 0., 0.);
	run_once();
	check_int(a.nr, ==, 1);
	close_scene();
}
END_TEST

START_TEST(many_timers_expire_in_order)
{
	static struct alarm alarms[1000];
	size_t i, k, n = ARRAY_SIZE(alarms);

	open_scene(_i);
	settle();
	for (i = 0; i < n; i++) {
		k = i * 7 % n; /* not in the order of their times */
		set_alarm(&alarms[k], 0.01 + (double)k * 30e-6, 0.);
	}
	for (i = 1; i < n; i++)
		if (alarms[i - 1].at < alarms[i].at)
			alarms[i].previous = &alarms[i - 1];
	ev_run(scene.loop, 0);
	for (i = 0; i < n; i++)
		check_int(alarms[i].nr, ==, 1);
	close_scene();
}
END_TEST

struct clock_event {
	ev_periodic periodic;
	int nr;
};

static void on_periodic(struct ev_loop *loop, ev_periodic *w, int revents)
{
	(void)revents;
	((struct clock_event *)w)->nr++;
	check_time(ev_now(loop), >=, w->offset);
}

static ev_tstamp in_five_ms(ev_periodic *w, ev_tstamp at)
{
	(void)w;
	return at + 0.005;
}

START_TEST(periodics_follow_the_wall_clock)
{
	struct clock_event once = { .nr = 0 }, every = once, custom = once;
	double start_time;

	open_scene(_i);
	settle();
	start_time = ev_time();
	ev_periodic_init(&once.periodic, on_periodic, start_time + 0.01, 0.,
			 NULL);
	ev_periodic_init(&every.periodic, on_periodic, 0., 0.005, NULL);
	ev_periodic_init(&custom.periodic, on_periodic, 0., 0., in_five_ms);
	ev_periodic_start(scene.loop, &once.periodic);
	ev_periodic_start(scene.loop, &every.periodic);
	ev_periodic_start(scene.loop, &custom.periodic);
	while (!once.nr || every.nr < 4 || custom.nr < 4)
		run_once();
	check_int(once.nr, ==, 1);
	check_time(ev_time() - start_time, >=, 0.015);
	check_that(!ev_is_active(&once.periodic));
	ev_periodic_stop(scene.loop, &every.periodic);
	ev_periodic_stop(scene.loop, &custom.periodic);
	close_scene();
}
END_TEST

START_TEST(timeout_collect_interval_delays_timers)
{
	double start_time;
	struct alarm w;

	open_scene(_i);
	settle();
	ev_set_timeout_collect_interval(scene.loop, 0.02);
	start_time = now();
	set_alarm(&w, 0.001, 0.);
	while (!w.nr)
		run_once();
	check_time(now() - start_time, >=, 0.02);
	ev_set_timeout_collect_interval(scene.loop, 0.);
	close_scene();
}
END_TEST

START_TEST(io_collect_interval_delays_events)
{
	double start_time;
	struct pair pair;
	struct watch w;
	struct alarm far;

	open_scene(_i);
	pair = open_pair();
	watch(&w, pair.ours, EV_READ);
	settle();
	set_alarm(&far, 60., 0.);
	put(pair.theirs);
	run_once();
	ev_set_io_collect_interval(scene.loop, 0.01);
	start_time = now();
	while (w.nr < 5)
		run_once();
	check_time(now() - start_time, >=, 0.025);
	ev_set_io_collect_interval(scene.loop, 0.);
	close_scene();
}
END_TEST

START_TEST(suspended_timers_do_not_run)
{
	struct alarm w;
	struct timespec pause = { .tv_nsec = 30000000 };

	open_scene(_i);
	settle();
	set_alarm(&w, 0.02, 0.);
	ev_suspend(scene.loop);
	nanosleep(&pause, NULL); /* time passes; nobody is waited for */
	ev_resume(scene.loop);
	turn();
	check_int(w.nr, ==, 0);
	check_time(ev_timer_remaining(scene.loop, &w.timer), >, 0.01);
	while (!w.nr)
		run_once();
	close_scene();
}
END_TEST

static void ignore_signal(int signum)
{
	(void)signum;
}

START_TEST(an_interrupted_wait_is_neither_event_nor_timeout)
{
	struct itimerval often = { { 0, 2000 }, { 0, 2000 } };
	struct itimerval never = { { 0, 0 }, { 0, 0 } };
	struct sigaction action = { .sa_handler = ignore_signal };
	double start_time;
	struct pair pair;
	struct watch w;

	open_scene(_i);
	pair = open_pair();
	watch(&w, pair.ours, EV_READ);
	settle();
	sigaction(SIGVTALRM, &action, NULL);
	sigaction(SIGPROF, &action, NULL);
	sigaction(SIGALRM, &action, NULL);
	alarm(0);
	setitimer(ITIMER_REAL, &often, NULL);
	start_time = now();
	nap(0.03);
	setitimer(ITIMER_REAL, &never, NULL);
	check_time(now() - start_time, >=, 0.03);
	check_int(w.nr, ==, 0);
	put(pair.theirs);
	check_turn(&w, EV_READ);
	close_scene();
}
END_TEST

/*
 * 10: libev's other watchers, order and priorities
 */

static struct log *the_log; /* of the loop that is being played */

struct noted {
	ev_io io;
	const char *name;
};

static void note_io(struct ev_loop *loop, ev_io *w, int revents)
{
	(void)loop;
	note(the_log, "io%s%d ", ((struct noted *)w)->name, revents);
}

static void note_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)loop;
	(void)w;
	(void)revents;
	note(the_log, "timer ");
}

static void note_prepare(struct ev_loop *loop, ev_prepare *w, int revents)
{
	(void)w;
	(void)revents;
	note(the_log, "prepare(%u) ", ev_pending_count(loop));
}

static void note_check(struct ev_loop *loop, ev_check *w, int revents)
{
	(void)w;
	(void)revents;
	note(the_log, "check(%u) ", ev_pending_count(loop));
}

static void note_idle(struct ev_loop *loop, ev_idle *w, int revents)
{
	(void)loop;
	(void)revents;
	note(the_log, "idle%d ", ev_priority(w));
}

static void start_noting(struct ev_loop *loop, struct noted *w,
			 const char *name, int fd, int events, int priority)
{
	ev_io_init(&w->io, note_io, fd, events);
	ev_set_priority(&w->io, priority);
	w->name = name;
	ev_io_start(loop, &w->io);
}

static void play_kinds(struct ev_loop *loop, struct log *log)
{
	struct pair pair = open_pair();
	ev_prepare prepare;
	ev_timer timer;
	ev_check check;
	ev_idle idle;
	struct noted io;
	int i;

	the_log = log;
	ev_prepare_init(&prepare, note_prepare);
	ev_check_init(&check, note_check);
	ev_idle_init(&idle, note_idle);
	ev_timer_init(&timer, note_timer, 0., 0.);
	ev_prepare_start(loop, &prepare);
	ev_check_start(loop, &check);
	ev_idle_start(loop, &idle);
	ev_timer_start(loop, &timer);
	start_noting(loop, &io, "A", pair.ours, EV_READ, 0);
	for (i = 0; i < 4; i++) {
		ev_run(loop, i % 2 ? EVRUN_NOWAIT : EVRUN_ONCE);
		note(log, "/ ");
		if (i == 1)
			put(pair.theirs);
	}
	ev_idle_stop(loop, &idle);
	ev_run(loop, EVRUN_ONCE);
	ev_io_stop(loop, &io.io);
	ev_check_stop(loop, &check);
	ev_prepare_stop(loop, &prepare);
	note(log, "%d %u", ev_run(loop, 0), ev_iteration(loop));
}

START_TEST(callbacks_of_all_kinds_come_in_the_oracles_order)
{
	open_scene(_i);
	settle();
	check_with_oracle(play_kinds);
	close_scene();
}
END_TEST

static void play_priorities(struct ev_loop *loop, struct log *log)
{
	static const char *const names[] = { "A", "B", "C", "D", "E" };
	struct pair pairs[ARRAY_SIZE(names)];
	struct noted io[ARRAY_SIZE(names)];
	ev_idle idle[2];
	int i, n = (int)ARRAY_SIZE(names);

	the_log = log;
	for (i = 0; i < n; i++) {
		pairs[i] = open_pair();
		put(pairs[i].theirs);
		start_noting(loop, &io[i], names[i], pairs[i].ours,
			     i % 2 ? EV_READ : EV_READ | EV_WRITE,
			     i * 3 % n + EV_MINPRI);
	}
	for (i = 0; i < 2; i++) {
		ev_idle_init(&idle[i], note_idle);
		ev_set_priority(&idle[i], i ? EV_MAXPRI : EV_MINPRI);
		ev_idle_start(loop, &idle[i]);
	}
	for (i = 0; i < n; i++) {
		ev_run(loop, EVRUN_NOWAIT);
		note(log, "/ ");
		ev_io_stop(loop, &io[i].io);
	}
	ev_run(loop, EVRUN_NOWAIT);
	note(log, "%u", ev_iteration(loop));
	ev_idle_stop(loop, &idle[0]);
	ev_idle_stop(loop, &idle[1]);
}

START_TEST(callbacks_come_by_priority)
{
	open_scene(_i);
	settle();
	check_with_oracle(play_priorities);
	close_scene();
}
END_TEST

static void play_feeding(struct ev_loop *loop, struct log *log)
{
	struct pair pair = open_pair();
	struct noted a, b;

	the_log = log;
	start_noting(loop, &a, "A", pair.ours, EV_READ, 0);
	start_noting(loop, &b, "B", pair.ours, EV_WRITE, 1);
	ev_feed_fd_event(loop, pair.ours, EV_READ);
	ev_feed_event(loop, &b.io, EV_CUSTOM);
	note(log, "%u pending ", ev_pending_count(loop));
	ev_invoke_pending(loop);
	note(log, "/ ");
	ev_feed_fd_event(loop, pair.ours, EV_READ | EV_WRITE);
	ev_run(loop, EVRUN_NOWAIT);
	note(log, "/ ");
	ev_feed_event(loop, &a.io, EV_CUSTOM);
	note(log, "cleared %d ", ev_clear_pending(loop, &a.io));
	ev_invoke(loop, &a.io, EV_ERROR);
	put(pair.theirs);
	ev_feed_event(loop, &a.io, EV_CUSTOM);
	ev_run(loop, EVRUN_NOWAIT);
	note(log, "/ %u", ev_iteration(loop));
	ev_io_stop(loop, &a.io);
	ev_io_stop(loop, &b.io);
}

START_TEST(fed_events_are_delivered)
{
	open_scene(_i);
	settle();
	check_with_oracle(play_feeding);
	close_scene();
}
END_TEST

static void note_once(int revents, void *arg)
{
	note(arg, "once%d ", revents);
}

static void play_once(struct ev_loop *loop, struct log *log)
{
	struct pair pair = open_pair();

	ev_once(loop, pair.ours, EV_READ, 0.002, note_once, log);
	note(log, "%d ", ev_run(loop, 0));
	put(pair.theirs);
	ev_once(loop, pair.ours, EV_READ | EV_WRITE, 60., note_once, log);
	note(log, "%d ", ev_run(loop, 0));
	ev_once(loop, -1, 0, 0., note_once, log);
	note(log, "%d", ev_run(loop, 0));
}

START_TEST(once_is_called_once)
{
	open_scene(_i);
	settle();
	check_with_oracle(play_once);
	close_scene();
}
END_TEST

static void start_late(struct watch *w)
{
	if (w->other)
		start(w->other);
	w->other = NULL;
}

START_TEST(started_in_a_callback_is_reported_in_the_next_turn)
{
	struct watch first, second;
	struct pair pair;

	open_scene(_i);
	pair = open_pair();
	watch_then(&first, pair.ours, EV_READ, start_late);
	watch(&second, pair.ours, EV_READ | EV_WRITE);
	stop(&second);
	first.other = &second;
	settle();
	put(pair.theirs);
	check_int(events_in_turn(&second), ==, 0);
	check_turn(&second, EV_READ | EV_WRITE);
	check_int(first.nr, ==, 2);
	close_scene();
}
END_TEST

/*
 * 10: wake-ups from elsewhere
 */

static sem_t seen; /* the loop has seen what the other thread did */

struct bell {
	ev_async async;
	int nr;
};

static void on_bell(struct ev_loop *loop, ev_async *w, int revents)
{
	(void)loop;
	check_int(revents, ==, EV_ASYNC);
	((struct bell *)w)->nr++;
}

static void start_bell(struct bell *bell)
{
	bell->nr = 0;
	ev_async_init(&bell->async, on_bell);
	ev_async_start(scene.loop, &bell->async);
}

static void ring_often(void *arg)
{
	pid_t sleeper = getpid();
	int i;

	for (i = 0; i < 50; i++) {
		if (i % 2)
			await_sleep(sleeper);
		ev_async_send(scene.loop, &((struct bell *)arg)->async);
		while (sem_wait(&seen) < 0)
			;
	}
}

START_TEST(async_send_wakes_a_blocked_loop)
{
	struct actor actor;
	struct bell bell;
	int nr;

	open_scene(_i);
	start_bell(&bell);
	sem_init(&seen, 0, 0);
	settle();
	act_when_asleep(&actor, ring_often, &bell);
	for (nr = 0; nr < 50; nr++) {
		while (bell.nr <= nr)
			run_once();
		sem_post(&seen);
	}
	join(&actor);
	check_int(bell.nr, ==, 50);
	close_scene();
}
END_TEST

static struct bell *rung_by_signal;

static void ring_in_handler(int signum)
{
	(void)signum;
	ev_async_send(scene.loop, &rung_by_signal->async);
}

START_TEST(async_sends_before_a_turn_are_one_event)
{
	struct bell bell;

	open_scene(_i);
	start_bell(&bell);
	settle();
	ev_async_send(scene.loop, &bell.async);
	ev_async_send(scene.loop, &bell.async);
	check_that(ev_async_pending(&bell.async));
	turn();
	check_int(bell.nr, ==, 1);
	turn();
	check_int(bell.nr, ==, 1);
	rung_by_signal = &bell;
	signal(SIGUSR1, ring_in_handler);
	raise(SIGUSR1);
	run_once();
	check_int(bell.nr, ==, 2);
	close_scene();
}
END_TEST

struct noticed {
	ev_signal signal;
	int nr;
};

static void on_signal(struct ev_loop *loop, ev_signal *w, int revents)
{
	(void)loop;
	check_int(revents, ==, EV_SIGNAL);
	((struct noticed *)w)->nr++;
}

static void signal_us(void *arg)
{
	(void)arg;
	kill(getpid(), SIGUSR1);
}

static void check_signals(void)
{
	struct noticed w = { .nr = 0 };
	struct actor actor;

	ev_signal_init(&w.signal, on_signal, SIGUSR1);
	ev_signal_start(scene.loop, &w.signal);
	settle();
	raise(SIGUSR1);
	while (w.nr < 1)
		turn();
	ev_feed_signal_event(scene.loop, SIGUSR1);
	turn();
	check_int(w.nr, ==, 2);
	act_when_asleep(&actor, signal_us, NULL);
	while (w.nr < 3)
		run_once();
	join(&actor);
	turn();
	check_int(w.nr, ==, 3);
	ev_signal_stop(scene.loop, &w.signal);
}

START_TEST(signals_are_delivered)
{
	open_scene(_i);
	check_signals();
	close_scene();
}
END_TEST

START_TEST(signals_are_delivered_by_signalfd)
{
	open_scene_with(_i, EVFLAG_SIGNALFD);
	check_signals();
	close_scene();
}
END_TEST

struct ended {
	ev_child child;
	int nr;
};

static void on_child(struct ev_loop *loop, ev_child *w, int revents)
{
	check_int(revents, ==, EV_CHILD);
	check_int(WEXITSTATUS(w->rstatus), ==, 7);
	((struct ended *)w)->nr++;
	ev_child_stop(loop, w);
}

START_TEST(children_are_reaped)
{
	struct ended children[3] = { { .nr = 0 } };
	struct watch w;
	int i;

	open_default_scene(_i);
	watch(&w, open_pair().ours, EV_READ);
	settle();
	for (i = 0; i < 3; i++) {
		pid_t pid = fork();

		if (!pid)
			_exit(7);
		ev_child_init(&children[i].child, on_child, pid, 0);
		ev_child_start(scene.loop, &children[i].child);
	}
	while (children[0].nr + children[1].nr + children[2].nr < 3)
		run_once();
	check_quiet(&w);
	close_scene();
}
END_TEST

struct changed {
	ev_stat stat;
	int nr;
};

static void on_stat(struct ev_loop *loop, ev_stat *w, int revents)
{
	(void)loop;
	check_int(revents, ==, EV_STAT);
	((struct changed *)w)->nr++;
}

START_TEST(a_changed_file_is_noticed)
{
	char dir[] = "/tmp/evring-conform-XXXXXX", path[64];
	struct changed w = { .nr = 0 };
	double start_time;
	int fd;

	open_scene(_i);
	check_that(mkdtemp(dir) != NULL);
	snprintf(path, sizeof(path), "%s/file", dir);
	fd = keep(open(path, O_CREAT | O_RDWR, 0600));
	ev_stat_init(&w.stat, on_stat, path, 0.);
	ev_stat_start(scene.loop, &w.stat);
	settle();
	start_time = now();
	put(fd);
	while (w.nr < 1)
		run_once();
	check_int(w.stat.attr.st_size, ==, 1);
	unlink(path);
	rmdir(dir);
	while (w.stat.attr.st_nlink)
		run_once();
	check_time(now() - start_time, <, 4.); /* polling takes 5 s */
	ev_stat_stop(scene.loop, &w.stat);
	close_scene();
}
END_TEST

static void embed_io(struct ev_loop *loop, ev_io *w, int revents)
{
	(void)loop;
	(void)revents;
	take(w->fd);
	++*(int *)w->data;
}

/* What is watched by inner is handled when only outer runs. */
static void check_embedding(struct ev_loop *outer, struct ev_loop *inner)
{
	struct pair a = open_pair(), b = open_pair();
	int i, nr_a = 0, nr_b = 0;
	ev_embed embed;
	ev_io wa, wb;

	ev_io_init(&wa, embed_io, a.ours, EV_READ);
	wa.data = &nr_a;
	ev_io_init(&wb, embed_io, b.ours, EV_READ);
	wb.data = &nr_b;
	ev_embed_init(&embed, NULL, inner);
	ev_embed_start(outer, &embed);
	ev_io_start(inner, &wa); /* the embedding has to notice */
	ev_io_start(outer, &wb);
	for (i = 1; i <= 5; i++) {
		put(a.theirs);
		put(b.theirs);
		while (nr_a < i || nr_b < i)
			ev_run(outer, i % 2 ? EVRUN_ONCE : EVRUN_NOWAIT);
		ev_run(outer, EVRUN_NOWAIT);
		check_int(nr_a, ==, i);
		check_int(nr_b, ==, i);
		ev_io_stop(inner, &wa);
		ev_run(outer, EVRUN_NOWAIT);
		ev_io_start(inner, &wa);
	}
	ev_io_stop(inner, &wa);
	ev_io_stop(outer, &wb);
	ev_embed_stop(outer, &embed);
}

START_TEST(the_loop_can_be_embedded)
{
	struct ev_loop *outer = open_oracle();

	open_scene(_i);
	settle();
	check_that(ev_embeddable_backends() & ev_backend(scene.loop));
	check_embedding(outer, scene.loop);
	ev_loop_destroy(outer);
	close_scene();
}
END_TEST

START_TEST(the_loop_can_embed_another)
{
	struct ev_loop *inner = open_oracle();

	open_scene(_i);
	settle();
	check_embedding(scene.loop, inner);
	close_scene();
	ev_loop_destroy(inner);
}
END_TEST

START_TEST(the_loop_can_embed_one_of_its_kind)
{
	struct ev_loop *inner;

	open_scene(_i);
	settle();
	inner = open_another();
	check_embedding(scene.loop, inner);
	close_scene();
	ev_loop_destroy(inner);
}
END_TEST

/*
 * 10: loops in loops, and hooks
 */

static void run_nested(struct watch *w)
{
	int before = w->other->nr;

	w->then = NULL;
	put(*(int *)w->io.data);
	check_int(ev_depth(scene.loop), ==, 1);
	while (w->other->nr == before)
		run_once();
	take(w->other->io.fd);
	take(w->io.fd);
	check_int(events_in_turn(w), ==, 0);
}

START_TEST(the_loop_may_run_within_a_callback)
{
	struct watch outer, inner;
	struct pair a, b;

	open_scene(_i);
	a = open_pair();
	b = open_pair();
	watch_then(&outer, a.ours, EV_READ, run_nested);
	outer.other = &inner;
	outer.io.data = &b.theirs;
	watch(&inner, b.ours, EV_READ);
	settle();
	put(a.theirs);
	turn();
	check_int(inner.nr, ==, 1);
	check_int(outer.nr, >=, 1); /* it holds until the nested take() */
	outer.nr = 0;
	check_quiet(&outer);
	check_quiet(&inner);
	check_int(outer.nr + inner.nr, ==, 1);
	close_scene();
}
END_TEST

static int break_how;

static void break_out(struct watch *w)
{
	take(w->io.fd);
	ev_break(scene.loop, break_how);
}

static void run_until_break(struct watch *w)
{
	take(w->io.fd);
	put(*(int *)w->io.data);
	ev_run(scene.loop, 0);
	note(the_log, "inner ");
	if (break_how == EVBREAK_ONE) /* the outer one goes on */
		ev_break(scene.loop, EVBREAK_ALL);
}

START_TEST(break_ends_one_run_or_all)
{
	struct log log = { .size = 0 };
	struct watch outer, inner;
	struct pair a, b;

	open_scene(_i);
	a = open_pair();
	b = open_pair();
	watch_then(&outer, a.ours, EV_READ, run_until_break);
	outer.io.data = &b.theirs;
	watch_then(&inner, b.ours, EV_READ, break_out);
	settle();
	the_log = &log;
	for (break_how = EVBREAK_ONE; break_how <= EVBREAK_ALL; break_how++) {
		put(a.theirs);
		check_int(ev_run(scene.loop, 0), !=, 0);
		check_int(ev_depth(scene.loop), ==, 0);
	}
	check_int(log.size, ==, strlen("inner inner "));
	close_scene();
}
END_TEST

static int nr_invoked, nr_pending_seen;

static void invoke_counted(struct ev_loop *loop)
{
	nr_invoked++;
	nr_pending_seen += (int)ev_pending_count(loop);
	ev_invoke_pending(loop);
}

START_TEST(pending_watchers_are_invoked_by_the_users_callback)
{
	struct pair pair;
	struct watch w;

	open_scene(_i);
	pair = open_pair();
	watch(&w, pair.ours, EV_READ);
	settle();
	nr_invoked = nr_pending_seen = 0;
	ev_set_invoke_pending_cb(scene.loop, invoke_counted);
	put(pair.theirs);
	check_turn(&w, EV_READ);
	check_int(nr_invoked, ==, 2); /* before and after the poll */
	check_int(nr_pending_seen, ==, 1);
	ev_set_invoke_pending_cb(scene.loop, ev_invoke_pending);
	check_turn(&w, EV_READ);
	check_int(nr_invoked, ==, 2);
	close_scene();
}
END_TEST

static void invoke_later(struct ev_loop *loop)
{
	(void)loop;
}

START_TEST(pending_watchers_may_be_invoked_later)
{
	struct pair pair;
	struct watch w;
	int i;

	open_scene(_i);
	pair = open_pair();
	watch(&w, pair.ours, EV_READ);
	settle();
	ev_set_invoke_pending_cb(scene.loop, invoke_later);
	put(pair.theirs);
	for (i = 0; i < 3; i++)
		turn();
	check_int(w.nr, ==, 0);
	check_int(ev_pending_count(scene.loop), ==, 1);
	ev_invoke_pending(scene.loop);
	check_int(w.nr, ==, 1);
	ev_set_invoke_pending_cb(scene.loop, ev_invoke_pending);
	close_scene();
}
END_TEST

static int nr_released, nr_acquired;

static void on_release(struct ev_loop *loop)
{
	check_that(loop == scene.loop);
	check_int(nr_released, ==, nr_acquired);
	check_int(ev_depth(loop), ==, 1);
	nr_released++;
}

static void on_acquire(struct ev_loop *loop)
{
	check_that(loop == scene.loop);
	nr_acquired++;
	check_int(nr_released, ==, nr_acquired);
}

START_TEST(release_and_acquire_are_called_around_each_wait)
{
	struct pair pair;
	struct watch w;
	int i;

	open_scene(_i);
	pair = open_pair();
	settle();
	nr_released = nr_acquired = 0;
	ev_set_loop_release_cb(scene.loop, on_release, on_acquire);
	watch(&w, pair.ours, EV_READ);
	check_int(nr_released, ==, 0);
	for (i = 0; i < 5; i++) {
		nr_released = nr_acquired = 0;
		turn();
		check_int(nr_acquired, >=, 1);
		put(pair.theirs);
		nr_released = nr_acquired = 0;
		run_once();
		check_int(nr_acquired, >=, 1);
		take(pair.ours);
		nr_released = nr_acquired = 0;
		nap(SHORT_NAP);
		check_int(nr_acquired, >=, 1);
	}
	nr_released = nr_acquired = 0;
	stop(&w);
	check_int(nr_released, ==, 0);
	ev_set_loop_release_cb(scene.loop, NULL, NULL);
	close_scene();
}
END_TEST

/* The manual's THREAD LOCKING EXAMPLE: a loop that others may change. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct bell lock_bell;

static void unlock_loop(struct ev_loop *loop)
{
	(void)loop;
	pthread_mutex_unlock(&lock);
}

static void lock_loop(struct ev_loop *loop)
{
	(void)loop;
	pthread_mutex_lock(&lock);
}

static void start_from_outside(void *arg)
{
	struct watch *w = arg;
	int i;

	for (i = 0; i < 30; i++) {
		pthread_mutex_lock(&lock);
		start(w);
		ev_async_send(scene.loop, &lock_bell.async);
		pthread_mutex_unlock(&lock);
		while (sem_wait(&seen) < 0)
			;
	}
}

START_TEST(another_thread_may_start_watchers_during_the_wait)
{
	struct actor actor;
	struct pair pair;
	struct watch w;
	int i;

	open_scene(_i);
	pair = open_pair();
	watch_then(&w, pair.ours, EV_READ, stop);
	start_bell(&lock_bell);
	sem_init(&seen, 0, 0);
	settle();
	stop(&w);
	put(pair.theirs);
	ev_set_loop_release_cb(scene.loop, unlock_loop, lock_loop);
	pthread_mutex_lock(&lock);
	act_when_asleep(&actor, start_from_outside, &w);
	for (i = 0; i < 30; i++) {
		for (w.nr = 0; !w.nr;)
			run_once();
		sem_post(&seen);
	}
	pthread_mutex_unlock(&lock);
	join(&actor);
	ev_set_loop_release_cb(scene.loop, NULL, NULL);
	close_scene();
}
END_TEST

/*
 * What another thread may do to a watcher while its loop waits.  The release
 * callback does it itself: libev sees no difference, and the moment is known.
 */
static struct {
	struct watch *watch;
	const char *steps;
	int fresh;
} meanwhile;

static void act_meanwhile(struct ev_loop *loop)
{
	const char *steps = meanwhile.steps;

	(void)loop;
	meanwhile.steps = "";
	take_steps(steps, meanwhile.watch, meanwhile.fresh);
}

static void do_nothing(struct ev_loop *loop)
{
	(void)loop;
}

static void act_meanwhile_on(struct watch *w)
{
	meanwhile.watch = w;
	meanwhile.steps = "";
	ev_set_loop_release_cb(scene.loop, act_meanwhile, do_nothing);
}

START_TEST(a_restart_during_the_wait_loses_nothing)
{
	struct pair old, fresh;
	struct watch w;
	int round;

	open_scene(_i);
	old = open_pair();
	watch(&w, old.ours, EV_READ);
	settle();
	act_meanwhile_on(&w);
	for (round = 0; round < 4; round++) {
		fresh = open_pair();
		take_steps("sosS", &w, fresh.ours);
		if (round & 1)
			put(fresh.theirs);
		meanwhile.steps = round & 2 ? "s" : "sr"; /* no ev_io_set */
		turn();
		if (round & 2)
			start(&w);
		if (!(round & 1))
			put(fresh.theirs);
		w.nr = 0;
		check_turn(&w, EV_READ);
		take(w.io.fd);
	}
	ev_set_loop_release_cb(scene.loop, NULL, NULL);
	close_scene();
}
END_TEST

START_TEST(a_file_replaced_during_the_wait_is_not_reported)
{
	struct pair old, fresh;
	struct watch w;

	open_scene(_i);
	old = open_pair();
	keep(dup(old.ours)); /* it goes on being in the set */
	watch(&w, old.ours, EV_READ);
	settle();
	act_meanwhile_on(&w);
	fresh = open_pair();
	put(old.theirs);
	meanwhile.fresh = fresh.ours;
	meanwhile.steps = "sosS";
	check_int(events_in_turn(&w), ==, 0);
	check_is_fresh(&w, fresh.theirs);
	ev_set_loop_release_cb(scene.loop, NULL, NULL);
	close_scene();
}
END_TEST

START_TEST(attaching_does_not_keep_a_loop_alive)
{
	struct pair pair;
	struct watch w;
	struct alarm far;

	open_scene(_i);
	settle();
	check_int(ev_run(scene.loop, 0), ==, 0);
	pair = open_pair();
	put(pair.theirs);
	watch_then(&w, pair.ours, EV_READ, stop);
	check_int(ev_run(scene.loop, 0), ==, 0);
	check_int(w.nr, ==, 1);
	set_alarm(&far, 60., 0.);
	ev_unref(scene.loop);
	check_int(ev_run(scene.loop, 0), ==, 0);
	ev_ref(scene.loop);
	check_int(ev_run(scene.loop, EVRUN_NOWAIT), !=, 0);
	ev_timer_stop(scene.loop, &far.timer);
	check_int(ev_run(scene.loop, 0), ==, 0);
	close_scene();
}
END_TEST

START_TEST(run_once_returns_after_the_first_event)
{
	struct watch a, b;
	struct pair pa, pb;
	struct alarm far;

	open_scene(_i);
	pa = open_pair();
	pb = open_pair();
	watch(&a, pa.ours, EV_READ);
	watch(&b, pb.ours, EV_READ);
	set_alarm(&far, 60., 0.);
	settle();
	put(pa.theirs);
	run_once();
	check_int(a.nr, ==, 1);
	check_int(b.nr + far.nr, ==, 0);
	ev_timer_stop(scene.loop, &far.timer);
	close_scene();
}
END_TEST

START_TEST(userdata_is_the_users)
{
	int mine;

	open_scene(_i);
	check_that(!ev_userdata(scene.loop));
	ev_set_userdata(scene.loop, &mine);
	settle();
	turns(3);
	check_that(ev_userdata(scene.loop) == &mine);
	check_int(ev_iteration(scene.loop), ==, 5);
	close_scene();
}
END_TEST

/*
 * 11: fork
 */

static int child_sees_event(void *arg)
{
	struct watch *w = arg;
	struct pair pair = open_pair();
	struct watch own;

	ev_loop_fork(scene.loop);
	w->nr = 0;
	turn();
	if (w->nr != 1)
		return 1;
	watch(&own, pair.ours, EV_READ);
	stop(w);
	put(pair.theirs);
	run_once();
	if (own.nr != 1 || w->nr != 1)
		return 2;
	take(pair.ours);
	nap(SHORT_NAP);
	ev_loop_destroy(scene.loop);
	return own.nr == 1 ? 0 : 3;
}

START_TEST(a_forked_child_gets_its_events_and_the_parent_its_own)
{
	struct pair pair;
	struct watch w;
	int i;

	open_scene(_i);
	pair = open_pair();
	watch(&w, pair.ours, EV_READ);
	settle();
	nap(SHORT_NAP); /* a wait is under way */
	for (i = 0; i < 3; i++) {
		put(pair.theirs);
		check_int(run_in_child(child_sees_event, &w), ==, 0);
		check_turn(&w, EV_READ);
		take(pair.ours);
		check_quiet(&w);
	}
	close_scene();
}
END_TEST

static int child_checks_itself(void *arg)
{
	struct watch *w = arg;

	w->nr = 0;
	turn();
	return w->nr == 1 ? 0 : 1;
}

START_TEST(forkcheck_takes_care_of_a_forked_child)
{
	struct pair pair;
	struct watch w;

	open_scene_with(_i, EVFLAG_FORKCHECK);
	pair = open_pair();
	watch(&w, pair.ours, EV_READ);
	settle();
	put(pair.theirs);
	check_int(run_in_child(child_checks_itself, &w), ==, 0);
	check_turn(&w, EV_READ);
	take(pair.ours);
	check_quiet(&w);
	close_scene();
}
END_TEST

START_TEST(a_child_without_loop_fork_gets_events_as_on_the_oracle)
{
	struct pair pair;
	struct watch w;

	open_scene(_i);
	pair = open_pair();
	watch(&w, pair.ours, EV_READ);
	settle();
	put(pair.theirs);
	check_int(run_in_child(child_checks_itself, &w), ==, 0);
	check_turn(&w, EV_READ);
	take(pair.ours);
	check_quiet(&w);
	close_scene();
}
END_TEST

static int child_does(void *arg)
{
	if (arg)
		ev_loop_destroy(scene.loop);
	return 0;
}

START_TEST(a_child_that_exits_leaves_the_parents_loop_working)
{
	struct pair pair;
	struct watch w;
	double start_time;

	open_scene(_i);
	pair = open_pair();
	watch(&w, pair.ours, EV_READ);
	settle();
	nap(SHORT_NAP);
	check_int(run_in_child(child_does, NULL), ==, 0);
	check_quiet(&w);
	put(pair.theirs);
	check_turn(&w, EV_READ);
	take(pair.ours);
	check_int(run_in_child(child_does, &w), ==, 0);
	start_time = now();
	nap(0.01);
	check_time(now() - start_time, >=, 0.01);
	check_quiet(&w);
	put(pair.theirs);
	check_turn(&w, EV_READ);
	close_scene();
}
END_TEST

/* A child with another timeout in the same kind of wait, at the same time. */
START_TEST(a_childs_timeouts_are_not_its_parents)
{
	double start_time;
	pid_t pid;
	int i;

	open_scene(_i);
	settle();
	nap(SHORT_NAP);
	pid = fork();
	if (!pid) {
		ev_loop_fork(scene.loop);
		for (i = 0; i < 20; i++)
			nap(0.001);
		_exit(0);
	}
	start_time = now();
	nap(0.03);
	check_time(now() - start_time, >=, 0.03);
	check_int(waitpid(pid, NULL, 0), ==, pid);
	close_scene();
}
END_TEST

/*
 * 12: threads
 */

struct visit {
	struct watch *watch;
	int theirs;
	int nr; /* events there */
};

static void *run_elsewhere(void *arg)
{
	struct visit *visit = arg;
	int before = visit->watch->nr;

	put(visit->theirs);
	run_once();
	take(visit->watch->io.fd);
	turn();
	nap(SHORT_NAP);
	visit->nr = visit->watch->nr - before;
	return NULL;
}

static void visit_thread(struct visit *visit)
{
	pthread_t thread;

	check_int(pthread_create(&thread, NULL, run_elsewhere, visit), ==, 0);
	check_int(pthread_join(thread, NULL), ==, 0);
	check_int(visit->nr, ==, 1);
}

START_TEST(a_loop_made_here_may_run_in_another_thread)
{
	struct pair pair;
	struct watch w;

	open_scene(_i);
	pair = open_pair();
	watch(&w, pair.ours, EV_READ);
	if (scene.mode->is_late)
		settle();
	visit_thread(&(struct visit){ &w, pair.theirs, 0 });
	close_scene();
}
END_TEST

START_TEST(a_loop_may_move_between_threads)
{
	struct pair pair;
	struct watch w;
	int i;

	open_scene(_i);
	pair = open_pair();
	watch(&w, pair.ours, EV_READ);
	settle();
	for (i = 0; i < 3; i++) {
		nap(SHORT_NAP);
		visit_thread(&(struct visit){ &w, pair.theirs, 0 });
		check_quiet(&w);
		put(pair.theirs);
		check_turn(&w, EV_READ);
		take(pair.ours);
		stop(&w); /* a change that is not submitted yet */
		turn();
		start(&w);
	}
	close_scene();
}
END_TEST

enum { NR_LOOPS = 20 }; /* more rings than a thread can register */

START_TEST(many_loops_work_side_by_side)
{
	struct ev_loop *loops[NR_LOOPS], *first;
	struct watch w[NR_LOOPS];
	struct pair pair;
	int i, k;

	open_scene(_i);
	settle();
	first = scene.loop;
	pair = open_pair();
	for (i = 0; i < NR_LOOPS; i++) {
		scene.loop = loops[i] = i ? open_another() : first;
		watch(&w[i], pair.ours, EV_READ); /* the same in each */
	}
	for (k = 0; k < 3; k++) {
		for (i = 0; i < NR_LOOPS; i++) {
			scene.loop = loops[i];
			check_int(events_in_turn(&w[i]), ==, 0);
			put(pair.theirs);
			check_turn(&w[i], EV_READ);
			take(pair.ours);
		}
	}
	for (i = 1; i < NR_LOOPS; i++)
		ev_loop_destroy(loops[i]);
	scene.loop = first;
	close_scene();
}
END_TEST

static void *run_own_loop(void *arg)
{
	struct ev_loop *loop = open_oracle();
	int nr = 0, fds[2] = { -1, -1 };
	ev_io io;

	if (is_evring() && evring_attach(loop, &scene.mode->config) < 0)
		return NULL;
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) < 0)
		return NULL;
	ev_io_init(&io, embed_io, fds[0], EV_READ);
	io.data = &nr;
	ev_io_start(loop, &io);
	while (nr < 200) {
		put(fds[1]);
		ev_run(loop, nr % 2 ? EVRUN_ONCE : EVRUN_NOWAIT);
	}
	ev_loop_destroy(loop);
	close(fds[0]);
	close(fds[1]);
	return arg;
}

START_TEST(each_thread_may_have_a_loop)
{
	pthread_t threads[4];
	void *result;
	int i;

	open_scene(_i);
	settle();
	for (i = 0; i < 4; i++)
		check_int(
			pthread_create(&threads[i], NULL, run_own_loop, &scene),
			==, 0);
	for (i = 0; i < 4; i++) {
		check_int(pthread_join(threads[i], &result), ==, 0);
		check_that(result == &scene);
	}
	close_scene();
}
END_TEST

/*
 * 13: idle is idle
 */

START_TEST(an_idle_loop_is_not_woken)
{
	struct evring_stats before = { 0 };
	unsigned iterations;
	struct pair pair;
	struct watch w;

	open_scene(_i);
	pair = open_pair();
	watch(&w, pair.ours, EV_READ);
	settle();
	nap(SHORT_NAP);
	if (is_evring())
		before = stats();
	iterations = ev_iteration(scene.loop);
	nap(0.3);
	check_int(ev_iteration(scene.loop) - iterations, <=, 2);
	if (is_evring())
		check_int(stats().enters - before.enters, <=, 3);
	check_int(w.nr, ==, 0);
	close_scene();
}
END_TEST

/*
 * detach and attach
 */

START_TEST(attach_and_detach_in_the_middle_lose_nothing)
{
	struct watch reader, writer, file;
	struct pair pair;
	int i;

	open_scene(_i);
	pair = open_pair();
	watch(&reader, pair.ours, EV_READ);
	watch(&writer, pair.theirs, EV_READ | EV_WRITE);
	watch(&file, open_temporary(), EV_READ);
	settle();
	for (i = 0; i < 6; i++) {
		if (is_evring() && scene.is_attached)
			detach();
		else if (is_evring())
			attach();
		reader.nr = 0;
		if (i & 1)
			check_quiet(&reader);
		put(pair.theirs);
		check_turn(&reader, EV_READ);
		check_int(writer.revents, ==, EV_WRITE);
		check_turn(&file, EV_READ);
		take(pair.ours);
		stop(&writer);
		stop(&file);
		check_quiet(&reader);
		start(&writer);
		start(&file);
	}
	close_scene();
}
END_TEST

static void change_hands(struct watch *w)
{
	(void)w;
	if (is_evring() && scene.is_attached)
		detach();
	else if (is_evring())
		attach();
}

START_TEST(attach_and_detach_in_a_callback_lose_nothing)
{
	struct watch a, b;
	struct pair pair;
	int i;

	open_scene(_i);
	pair = open_pair();
	watch_then(&a, pair.ours, EV_READ, change_hands);
	watch(&b, pair.ours, EV_READ | EV_WRITE);
	settle();
	put(pair.theirs);
	for (i = 0; i < 10; i++) {
		check_turn(&b, EV_READ | EV_WRITE);
		check_int(a.nr, ==, i + 1);
	}
	a.then = NULL;
	take(pair.ours);
	check_quiet(&a);
	close_scene();
}
END_TEST

START_TEST(changes_not_yet_made_survive_a_detach)
{
	struct watch w[40];
	struct pair pair;
	int i, k, n = (int)ARRAY_SIZE(w);

	open_scene(_i);
	settle();
	pair = open_pair();
	for (k = 0; k < 4; k++) {
		for (i = 0; i < n; i++)
			watch(&w[i], keep(dup(pair.ours)), EV_READ);
		if (k & 1)
			turn();
		for (i = 0; i < n; i++)
			if (k & 2)
				change_events(&w[i], EV_WRITE);
		change_hands(NULL);
		for (i = 0; i < n; i++) {
			w[i].nr = 0;
			put(pair.theirs);
			check_turn(&w[i], k & 2 ? EV_WRITE : EV_READ);
			take(pair.ours);
			stop(&w[i]);
			discard(w[i].io.fd);
		}
	}
	close_scene();
}
END_TEST

START_TEST(a_default_loop_is_like_any_other)
{
	struct ev_loop *loop;
	struct pair pair;
	struct watch w;

	open_default_scene(_i);
	pair = open_pair();
	watch(&w, pair.ours, EV_READ);
	settle();
	check_that(ev_is_default_loop(scene.loop));
	if (is_evring()) {
		loop = evring_default_loop(0, &scene.mode->config);
		check_that(loop == scene.loop);
	}
	check_quiet(&w);
	put(pair.theirs);
	check_turn(&w, EV_READ);
	close_scene();
	if (is_evring()) {
		loop = evring_default_loop(EVFLAG_NOENV, &scene.mode->config);
		check_that(evring_tier(loop) == expected_tier(scene.mode));
		ev_loop_destroy(loop);
	}
}
END_TEST

static void run_another(struct watch *w)
{
	struct ev_loop *loop = scene.loop, *another = open_another();
	struct pair pair = open_pair();
	struct watch inner;

	take(w->io.fd);
	scene.loop = another;
	watch_then(&inner, pair.ours, EV_READ, take_one);
	put(pair.theirs);
	run_once();
	check_quiet(&inner);
	check_int(inner.nr, ==, 1);
	ev_loop_destroy(another);
	scene.loop = loop;
}

START_TEST(a_callback_may_make_run_and_destroy_another_loop)
{
	struct pair pair;
	struct watch w;
	int i;

	open_scene(_i);
	pair = open_pair();
	watch_then(&w, pair.ours, EV_READ, run_another);
	settle();
	for (i = 0; i < 3; i++) {
		put(pair.theirs);
		check_turn(&w, EV_READ);
		check_quiet(&w);
	}
	close_scene();
}
END_TEST

START_TEST(a_loop_is_destroyed_with_all_watchers_active)
{
	struct watch w[3];
	struct pair pair;
	struct alarm far;
	struct bell bell;
	int round, fds;

	open_scene(_i);
	settle();
	fds = count_fds();
	for (round = 0; round < 5; round++) {
		struct ev_loop *loop = scene.loop;

		scene.loop = open_oracle();
		if (is_evring())
			check_int(
				evring_attach(scene.loop, &scene.mode->config),
				==, 0);
		pair = open_pair();
		watch(&w[0], pair.ours, EV_READ);
		watch(&w[1], pair.theirs, EV_READ | EV_WRITE);
		watch(&w[2], open_temporary(), EV_READ);
		set_alarm(&far, 60., 0.);
		start_bell(&bell);
		turns(round);
		ev_loop_destroy(scene.loop);
		scene.loop = loop;
		discard(pair.ours);
		discard(pair.theirs);
		discard(w[2].io.fd);
	}
	check_int(count_fds(), ==, fds);
	close_scene();
}
END_TEST

/*
 * many at once
 */

enum { MANY = 1000 };

static struct watch many_watches[MANY];
static struct pair many_pairs[MANY];

/* As many pairs as there can be. */
static int open_many(void)
{
	struct rlimit limit;
	int i, nr;

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	nr = limit.rlim_cur < 2 * MANY + 100 ? (int)(limit.rlim_cur - 100) / 2
					     : MANY;
	for (i = 0; i < nr; i++)
		many_pairs[i] = open_pair();
	return nr;
}

/* All of them are ready: each is reported once, in few turns. */
static void check_each_once(int nr)
{
	int i, total = 0, nr_turns;

	for (i = 0; i < nr; i++) {
		many_watches[i].nr = 0;
		put(many_pairs[i].theirs);
	}
	for (nr_turns = 0; total < nr; nr_turns++) {
		check_int(nr_turns, <, 40);
		turn();
		for (i = total = 0; i < nr; i++)
			total += many_watches[i].nr;
	}
	turn();
	for (i = 0; i < nr; i++)
		check_int(many_watches[i].nr, ==, 1);
}

START_TEST(many_fds_are_each_reported_once)
{
	int i, nr;

	open_scene(_i);
	nr = open_many();
	for (i = 0; i < nr; i++)
		watch_then(&many_watches[i], many_pairs[i].ours, EV_READ,
			   take_one);
	settle();
	check_each_once(nr);
	check_each_once(nr);
	close_scene();
}
END_TEST

START_TEST(many_fds_started_and_ready_at_once_lose_nothing)
{
	int i, nr;

	open_scene(_i);
	settle();
	nr = open_many();
	for (i = 0; i < nr; i++)
		watch_then(&many_watches[i], many_pairs[i].ours, EV_READ,
			   take_one);
	check_each_once(nr);
	close_scene();
}
END_TEST

START_TEST(many_unread_fds_all_get_their_turn)
{
	int i, nr, nr_turns, missing;

	open_scene(_i);
	nr = open_many();
	for (i = 0; i < nr; i++) {
		put(many_pairs[i].theirs);
		watch(&many_watches[i], many_pairs[i].ours, EV_READ);
	}
	settle();
	for (nr_turns = 0, missing = nr; missing; nr_turns++) {
		check_int(nr_turns, <, 40);
		turn();
		for (i = missing = 0; i < nr; i++)
			missing += !many_watches[i].nr;
	}
	close_scene();
}
END_TEST

/* What was believed of every one of them is wrong. */
START_TEST(many_files_replaced_at_once_lose_nothing)
{
	int i, nr, round;

	open_scene(_i);
	nr = open_many();
	for (i = 0; i < nr; i++)
		watch_then(&many_watches[i], many_pairs[i].ours, EV_READ,
			   take_one);
	settle();
	for (round = 0; round < 3; round++) {
		for (i = 0; i < nr; i++) {
			struct pair fresh = open_pair();

			take_steps("sosS", &many_watches[i], fresh.ours);
			discard(fresh.ours);
			discard(many_pairs[i].theirs);
			many_pairs[i].theirs = fresh.theirs;
		}
		check_each_once(nr);
	}
	close_scene();
}
END_TEST

START_TEST(many_changes_of_events_lose_nothing)
{
	int i, nr, round;

	open_scene(_i);
	nr = open_many();
	for (i = 0; i < nr; i++)
		watch(&many_watches[i], many_pairs[i].ours, EV_WRITE);
	settle();
	for (round = 0; round < 3; round++) {
		for (i = 0; i < nr; i++)
			change_events(&many_watches[i], EV_READ | EV_WRITE);
		turn();
		for (i = 0; i < nr; i++) {
			stop(&many_watches[i]);
			many_watches[i].then = take_one;
		}
		turns(2);
		for (i = 0; i < nr; i++) {
			ev_io_set(&many_watches[i].io, many_pairs[i].ours,
				  EV_READ);
			start(&many_watches[i]);
		}
		check_each_once(nr);
		for (i = 0; i < nr; i++)
			many_watches[i].then = NULL;
	}
	close_scene();
}
END_TEST

/*
 * the set is replaced: ev_loop_fork without a fork
 */

START_TEST(loop_fork_without_a_fork_loses_nothing)
{
	struct watch w, file;
	struct pair pair;
	int round;

	open_scene(_i);
	pair = open_pair();
	watch(&w, pair.ours, EV_READ);
	watch(&file, open_temporary(), EV_READ);
	settle();
	stop(&file);
	for (round = 0; round < 8; round++) {
		if (round & 1)
			nap(SHORT_NAP); /* a wait is under way */
		ev_loop_fork(scene.loop);
		if (round & 2) {
			turn();
			ev_loop_fork(scene.loop);
		}
		if (round & 4) {
			turn();
			check_quiet(&w);
		}
		put(pair.theirs);
		check_turn(&w, EV_READ);
		take(pair.ours);
		check_quiet(&w);
		start(&file);
		check_turn(&file, EV_READ);
		stop(&file);
	}
	close_scene();
}
END_TEST

/* The old set would not know it. */
START_TEST(a_watcher_started_after_a_loop_fork_is_asked)
{
	struct watch w, fresh;
	struct pair pair;
	int round;

	open_scene(_i);
	watch(&w, open_pair().ours, EV_READ);
	settle();
	for (round = 0; round < 4; round++) {
		if (round & 1)
			nap(SHORT_NAP); /* a wait is under way */
		ev_loop_fork(scene.loop);
		if (round & 2)
			turn();
		pair = open_pair();
		watch(&fresh, pair.ours, EV_READ);
		check_quiet(&fresh);
		put(pair.theirs);
		check_turn(&fresh, EV_READ);
		check_turn(&fresh, EV_READ);
		stop(&fresh);
	}
	check_int(w.nr, ==, 0);
	close_scene();
}
END_TEST

START_TEST(loop_fork_wakes_from_a_blocked_wait_as_before)
{
	struct actor actor;
	struct pair pair;
	struct watch w;
	int i;

	open_scene(_i);
	pair = open_pair();
	watch(&w, pair.ours, EV_READ);
	settle();
	for (i = 0; i < 4; i++) {
		ev_loop_fork(scene.loop);
		act_when_asleep(&actor, put_to, &pair.theirs);
		for (w.nr = 0; !w.nr;)
			run_once();
		take(pair.ours);
		join(&actor);
	}
	close_scene();
}
END_TEST

static void invoke_all(struct ev_loop *loop)
{
	while (ev_pending_count(loop))
		ev_invoke_pending(loop);
}

/*
 * Also those that hear of the fork, us among them: the set is replaced before
 * they do.
 */
START_TEST(loop_fork_works_with_pending_watchers_invoked_later)
{
	struct pair old, fresh;
	struct watch w, x;
	int i;

	open_scene(_i);
	old = open_pair();
	watch(&w, old.ours, EV_READ);
	settle();
	nap(SHORT_NAP);
	ev_set_invoke_pending_cb(scene.loop, invoke_later);
	for (i = 0; i < 3; i++) {
		ev_loop_fork(scene.loop);
		turn();
		fresh = open_pair();
		watch(&x, fresh.ours, EV_READ);
		turn();
		put(i & 1 ? old.theirs : fresh.theirs);
		turns(2);
		w.nr = 0;
		invoke_all(scene.loop);
		check_int(w.nr, ==, i & 1);
		check_int(x.nr, ==, !(i & 1));
		take(i & 1 ? old.ours : fresh.ours);
		stop(&x);
		turn();
		invoke_all(scene.loop);
		check_int(w.nr, ==, i & 1);
	}
	ev_set_invoke_pending_cb(scene.loop, ev_invoke_pending);
	close_scene();
}
END_TEST

static void fork_loop(struct ev_loop *loop, ev_prepare *w, int revents)
{
	(void)revents;
	ev_loop_fork(loop);
	ev_prepare_stop(loop, w);
}

/* It comes too late for ev_fork watchers, and before the set is replaced. */
START_TEST(loop_fork_works_in_a_prepare_watcher)
{
	struct watch w, x;
	struct pair pair;
	ev_prepare prepare;
	int i;

	open_scene(_i);
	pair = open_pair();
	watch(&w, pair.ours, EV_READ);
	settle();
	ev_prepare_init(&prepare, fork_loop);
	for (i = 0; i < 4; i++) {
		if (i == 2)
			stop(&w); /* nothing is watched now */
		nap(SHORT_NAP);
		ev_prepare_start(scene.loop, &prepare);
		turn();
		pair = open_pair();
		watch(&x, pair.ours, EV_READ);
		check_quiet(&x);
		put(pair.theirs);
		check_turn(&x, EV_READ);
		stop(&x);
	}
	check_int(w.nr, ==, 0);
	close_scene();
}
END_TEST

/* Nothing is watched when the set is replaced; then the same number is. */
START_TEST(restart_after_a_loop_fork_is_heard)
{
	struct pair pair, fresh;
	struct watch w;
	ev_prepare prepare;
	int i;

	open_scene(_i);
	pair = open_pair();
	watch(&w, pair.ours, EV_READ);
	settle();
	ev_prepare_init(&prepare, fork_loop);
	for (i = 0; i < 4; i++) {
		nap(SHORT_NAP); /* a wait that ends without event */
		stop(&w);
		turn();
		ev_prepare_start(scene.loop, &prepare);
		turn();
		if (!(i & 1)) { /* a file that the old set never had */
			fresh = open_pair();
			ck_assert_int_eq(dup2(fresh.ours, pair.ours),
					 pair.ours);
			pair.theirs = fresh.theirs;
		}
		start(&w);
		check_quiet(&w);
		put(pair.theirs);
		check_turn(&w, EV_READ);
		take(pair.ours);
	}
	close_scene();
}
END_TEST

START_TEST(many_fds_survive_a_loop_fork)
{
	int i, nr, round;

	open_scene(_i);
	nr = open_many();
	for (i = 0; i < nr; i++)
		watch_then(&many_watches[i], many_pairs[i].ours, EV_READ,
			   take_one);
	settle();
	for (round = 0; round < 2; round++) {
		ev_loop_fork(scene.loop);
		check_each_once(nr);
	}
	close_scene();
}
END_TEST

/*
 * suite
 */

/*
 * What this machine has is asked of the kernel, not of evring: one that finds
 * no io_uring where there is some would have nothing left to be tested.
 */
static bool has_regions(int ring_fd)
{
	size_t size = (size_t)sysconf(_SC_PAGESIZE);
	void *page = aligned_alloc(size, size);
	struct io_uring_region_desc desc = {
		.user_addr = (uint64_t)(uintptr_t)page,
		.size = size,
		.flags = IORING_MEM_REGION_TYPE_USER,
	};
	struct io_uring_mem_region_reg reg = {
		.region_uptr = (uint64_t)(uintptr_t)&desc,
		.flags = IORING_MEM_REGION_REG_WAIT_ARG,
	};
	bool ok;

	memset(page, 0, size);
	ok = !syscall(SYS_io_uring_register, ring_fd,
		      IORING_REGISTER_MEM_REGION, &reg, 1);
	free(page);
	return ok;
}

static enum evring_tier find_tier(void)
{
	struct io_uring_params params = { .flags = IORING_SETUP_R_DISABLED };
	int fd = (int)syscall(SYS_io_uring_setup, 1, &params);
	enum evring_tier tier;

	if (fd < 0 || !(params.features & IORING_FEAT_EXT_ARG))
		tier = EVRING_TIER_NONE;
	else
		tier = has_regions(fd) ? EVRING_TIER_REGION
				       : EVRING_TIER_COPIED;
	close(fd);
	return tier;
}

static void leave_out(const struct mode *mode, const char *reason)
{
	printf("# left out: mode %s: %s\n", mode->name, reason);
	fflush(stdout);
}

static void find_runnable(void)
{
	const struct mode *mode;

	machine_tier = find_tier();
	for (mode = modes; mode < modes + ARRAY_SIZE(modes); mode++)
		if (mode->tier && !machine_tier)
			leave_out(mode, "no io_uring here");
		else if (mode->needs_region &&
			 machine_tier < EVRING_TIER_REGION)
			leave_out(mode, "no wait regions here");
		else
			runnable[nr_runnable++] = mode;
}

static TCase *add_case(Suite *suite, const char *name)
{
	TCase *tcase = tcase_create(name);

	tcase_set_timeout(tcase, 20);
	suite_add_tcase(suite, tcase);
	return tcase;
}

/* Each in every mode. */
static TCase *add_tests(Suite *suite, const char *name,
			const TTest *const *tests, size_t nr_tests)
{
	TCase *tcase = add_case(suite, name);
	size_t i;

	for (i = 0; i < nr_tests; i++)
		tcase_add_loop_test(tcase, tests[i], 0, nr_runnable);
	return tcase;
}

/* Also for each row of a table. */
static void add_rows(TCase *tcase, const TTest *test, size_t nr_rows)
{
	tcase_add_loop_test(tcase, test, 0, (int)nr_rows * nr_runnable);
}

static void add_level(Suite *suite)
{
	const TTest *const tests[] = {
		readable_is_reported_every_turn,
		partly_read_is_reported_until_all_is_read,
		writable_is_reported_while_there_is_room,
		ready_before_the_start_is_reported_in_the_first_turn,
		started_by_a_prepare_watcher_is_asked_in_that_turn,
	};

	add_tests(suite, "level", tests, ARRAY_SIZE(tests));
}

static void add_one_event(Suite *suite)
{
	const TTest *const tests[] = {
		watchers_of_one_fd_get_their_own_events,
		stopping_one_of_two_watchers_leaves_the_other,
		a_watcher_may_change_its_events,
		io_modify_changes_events_of_the_same_fd,
	};

	add_tests(suite, "one event", tests, ARRAY_SIZE(tests));
}

static void add_never_spurious(Suite *suite)
{
	const TTest *const tests[] = {
		read_between_turns_is_not_reported,
		room_filled_between_turns_is_not_reported,
		an_event_gathered_with_others_is_delivered,
		blocking_reads_in_callbacks_never_hang,
	};

	add_tests(suite, "never spurious", tests, ARRAY_SIZE(tests));
}

static void add_stopped(Suite *suite)
{
	const TTest *const tests[] = {
		stopped_by_a_callback_of_the_same_turn_gets_nothing,
		stopped_before_the_turn_gets_nothing,
		stop_in_its_own_callback_ends_it,
		what_nobody_watches_does_not_keep_the_loop_awake,
	};

	add_tests(suite, "stopped", tests, ARRAY_SIZE(tests));
}

static void add_reuse(Suite *suite)
{
	const TTest *const tests[] = {
		two_numbers_may_be_swapped,
		a_file_kept_alive_elsewhere_does_not_keep_the_loop_awake,
	};
	TCase *tcase = add_tests(suite, "reuse", tests, ARRAY_SIZE(tests));

	add_rows(tcase, a_reused_number_reports_the_new_file_only,
		 ARRAY_SIZE(reuses));
	add_rows(tcase,
		 a_number_reused_over_several_turns_reports_the_new_file_only,
		 ARRAY_SIZE(slow_reuses));
	add_rows(tcase, a_reused_number_may_be_another_kind_of_file,
		 ARRAY_SIZE(slow_reuses));
	add_rows(tcase, a_number_may_be_reused_within_its_callback,
		 ARRAY_SIZE(reuses));
}

static void add_closing(Suite *suite)
{
	const TTest *const tests[] = {
		a_port_is_free_when_its_listener_is_closed,
	};
	TCase *tcase = add_tests(suite, "closing", tests, ARRAY_SIZE(tests));

	add_rows(tcase, the_peer_hears_of_a_close_at_once,
		 ARRAY_SIZE(closings));
	add_rows(tcase, the_peer_hears_of_a_close_in_a_callback_at_once,
		 ARRAY_SIZE(closings));
}

static void add_always_ready(Suite *suite)
{
	const TTest *const tests[] = {
		a_regular_file_is_always_ready,
		files_without_readiness_are_as_on_the_oracle,
		a_regular_file_does_not_hide_sockets_or_timers,
		a_number_may_alternate_between_file_and_socket,
		a_number_that_was_a_file_does_not_delay_others,
		a_closed_fd_ends_as_on_the_oracle,
		a_hang_up_wakes_the_reader,
		a_hang_up_wakes_the_writer,
		an_error_wakes_both_directions,
		a_refused_connect_wakes_both_directions,
		a_watch_of_nothing_but_hang_ups_does_not_spin,
	};

	add_tests(suite, "always ready", tests, ARRAY_SIZE(tests));
}

static void add_kinds(Suite *suite)
{
	const TTest *const tests[] = {
		a_finished_connect_is_writable,
		every_pending_connection_is_reported,
		a_half_closed_peer_does_not_wake_a_writer,
		a_half_closed_peer_wakes_a_reader,
	};
	TCase *tcase = add_tests(suite, "kinds", tests, ARRAY_SIZE(tests));

	add_rows(tcase, every_kind_of_file_is_reported_while_ready,
		 ARRAY_SIZE(kinds));
	add_rows(tcase, every_kind_of_file_wakes_a_blocked_loop,
		 ARRAY_SIZE(kinds));
}

static void add_quiet(Suite *suite)
{
	const TTest *const tests[] = {
		a_quiet_turn_makes_no_system_call,
	};

	add_tests(suite, "quiet", tests, ARRAY_SIZE(tests));
}

static void add_timers(Suite *suite)
{
	const TTest *const tests[] = {
		a_timer_is_not_rounded_up_to_a_millisecond,
		a_timer_needs_one_wait,
		a_repeating_timer_repeats_until_stopped,
		timer_again_starts_over,
		a_timer_of_nothing_expires_in_the_next_turn,
		many_timers_expire_in_order,
		periodics_follow_the_wall_clock,
		timeout_collect_interval_delays_timers,
		io_collect_interval_delays_events,
		suspended_timers_do_not_run,
		an_interrupted_wait_is_neither_event_nor_timeout,
	};

	add_tests(suite, "timers", tests, ARRAY_SIZE(tests));
}

static void add_libev(Suite *suite)
{
	const TTest *const tests[] = {
		callbacks_of_all_kinds_come_in_the_oracles_order,
		callbacks_come_by_priority,
		fed_events_are_delivered,
		once_is_called_once,
		started_in_a_callback_is_reported_in_the_next_turn,
	};

	add_tests(suite, "libev", tests, ARRAY_SIZE(tests));
}

static void add_wakers(Suite *suite)
{
	const TTest *const tests[] = {
		async_send_wakes_a_blocked_loop,
		async_sends_before_a_turn_are_one_event,
		signals_are_delivered,
		signals_are_delivered_by_signalfd,
		children_are_reaped,
		a_changed_file_is_noticed,
		the_loop_can_be_embedded,
		the_loop_can_embed_another,
		the_loop_can_embed_one_of_its_kind,
	};

	add_tests(suite, "wakers", tests, ARRAY_SIZE(tests));
}

static void add_loops(Suite *suite)
{
	const TTest *const tests[] = {
		the_loop_may_run_within_a_callback,
		break_ends_one_run_or_all,
		pending_watchers_are_invoked_by_the_users_callback,
		pending_watchers_may_be_invoked_later,
		release_and_acquire_are_called_around_each_wait,
		another_thread_may_start_watchers_during_the_wait,
		a_restart_during_the_wait_loses_nothing,
		a_file_replaced_during_the_wait_is_not_reported,
		attaching_does_not_keep_a_loop_alive,
		run_once_returns_after_the_first_event,
		userdata_is_the_users,
	};

	add_tests(suite, "loops", tests, ARRAY_SIZE(tests));
}

static void add_forks(Suite *suite)
{
	const TTest *const tests[] = {
		a_forked_child_gets_its_events_and_the_parent_its_own,
		forkcheck_takes_care_of_a_forked_child,
		a_child_without_loop_fork_gets_events_as_on_the_oracle,
		a_child_that_exits_leaves_the_parents_loop_working,
		a_childs_timeouts_are_not_its_parents,
	};

	add_tests(suite, "forks", tests, ARRAY_SIZE(tests));
}

static void add_threads(Suite *suite)
{
	const TTest *const tests[] = {
		a_loop_made_here_may_run_in_another_thread,
		a_loop_may_move_between_threads,
		many_loops_work_side_by_side,
		each_thread_may_have_a_loop,
	};

	add_tests(suite, "threads", tests, ARRAY_SIZE(tests));
}

static void add_idle(Suite *suite)
{
	const TTest *const tests[] = {
		an_idle_loop_is_not_woken,
	};

	add_tests(suite, "idle", tests, ARRAY_SIZE(tests));
}

static void add_detaching(Suite *suite)
{
	const TTest *const tests[] = {
		attach_and_detach_in_the_middle_lose_nothing,
		attach_and_detach_in_a_callback_lose_nothing,
		changes_not_yet_made_survive_a_detach,
		a_default_loop_is_like_any_other,
		a_callback_may_make_run_and_destroy_another_loop,
		a_loop_is_destroyed_with_all_watchers_active,
	};

	add_tests(suite, "detaching", tests, ARRAY_SIZE(tests));
}

static void add_many(Suite *suite)
{
	const TTest *const tests[] = {
		many_fds_are_each_reported_once,
		many_fds_started_and_ready_at_once_lose_nothing,
		many_unread_fds_all_get_their_turn,
		many_files_replaced_at_once_lose_nothing,
		many_changes_of_events_lose_nothing,
	};

	add_tests(suite, "many", tests, ARRAY_SIZE(tests));
}

static void add_replaced(Suite *suite)
{
	const TTest *const tests[] = {
		loop_fork_without_a_fork_loses_nothing,
		a_watcher_started_after_a_loop_fork_is_asked,
		loop_fork_wakes_from_a_blocked_wait_as_before,
		loop_fork_works_with_pending_watchers_invoked_later,
		loop_fork_works_in_a_prepare_watcher,
		restart_after_a_loop_fork_is_heard,
		many_fds_survive_a_loop_fork,
	};

	add_tests(suite, "replaced", tests, ARRAY_SIZE(tests));
}

Suite *make_suite(void)
{
	Suite *suite = suite_create("conform");

	unsetenv("EVRING_DISABLE");
	find_runnable();
	add_level(suite);
	add_one_event(suite);
	add_never_spurious(suite);
	add_stopped(suite);
	add_reuse(suite);
	add_closing(suite);
	add_always_ready(suite);
	add_kinds(suite);
	add_quiet(suite);
	add_timers(suite);
	add_libev(suite);
	add_wakers(suite);
	add_loops(suite);
	add_forks(suite);
	add_threads(suite);
	add_idle(suite);
	add_detaching(suite);
	add_many(suite);
	add_replaced(suite);
	return suite;
}
