/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * conform/scene.c - what the scenarios share.
 */
#include "config.h"

#include "scene.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <liburing.h>
#include <linux/sockios.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

/*
 * modes
 */

/* All that is newer than Linux 5.11, which is the oldest that will do; and
   with it what needs one of these. */
#define NEW_FEATURES                                                           \
	"multishot-poll,cqe-skip,registered-ring,submit-all,coop-taskrun,"     \
	"single-issuer,r-disabled,no-iowait,multishot-accept,pbuf-ring,"       \
	"send-zc,napi"

/* clang-format off */
static struct mode modes[] = {
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
	{ .name = "spinning",         .tier = EVRING_TIER_REGION,
	  .config = { .spin = 1e-3 } },
	{ .name = "spinning, auto",   .tier = EVRING_TIER_REGION,
	  .config = { .spin = EVRING_SPIN_AUTO } },
	{ .name = "spinning, oldest", .tier = EVRING_TIER_COPIED,
	  .config = { .spin = 1e-3, .disable = NEW_FEATURES } },
};
/* clang-format on */

/* Those that this machine can do, and the best tier it has. */
const struct mode *runnable[MAX_MODES];
int nr_runnable;
static enum evring_tier machine_tier;

enum evring_tier expected_tier(const struct mode *mode)
{
	return mode->tier < machine_tier ? mode->tier : machine_tier;
}

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

/* See restricted.sh. */
static bool is_restricted(void)
{
	return getenv("CONFORM_RESTRICT");
}

static bool may_be_restricted(struct mode *mode)
{
	const char *disable = mode->config.disable;

	mode->config.flags |= EVRING_RESTRICT;
	return !disable || !strstr(disable, "r-disabled");
}

void find_runnable(void)
{
	struct mode *mode;

	machine_tier = find_tier();
	for (mode = modes; mode < modes + ARRAY_SIZE(modes); mode++)
		if (mode->tier && !machine_tier)
			leave_out(mode, "no io_uring here");
		else if (mode->needs_region &&
			 machine_tier < EVRING_TIER_REGION)
			leave_out(mode, "no wait regions here");
		else if (mode->tier && is_restricted() &&
			 !may_be_restricted(mode))
			leave_out(mode, "cannot be restricted");
		else
			runnable[nr_runnable++] = mode;
}

/*
 * the scene of a test
 */

struct scene scene;
bool is_faulty;

_Noreturn void scene_fail(const char *file, int line, const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	ck_abort_msg("%s:%d: mode %s: %s", file, line, scene.mode->name, text);
}

/* A test that hangs is killed by Check without the name of the mode. */
static void say_who_hangs(int signum)
{
	(void)signum;
	(void)!write(2, "# hangs in mode ", 16);
	(void)!write(2, scene.mode->name, strlen(scene.mode->name));
	(void)!write(2, "\n", 1);
	abort();
}

bool is_evring(void)
{
	return expected_tier(scene.mode) != EVRING_TIER_NONE;
}

bool promises_more(void)
{
	return is_evring() && !is_faulty;
}

void attach(void)
{
	int r = evring_attach(scene.loop, &scene.mode->config);

	if (r < 0 && is_faulty)
		return;
	if (r < 0)
		scene_fail(__FILE__, __LINE__, "%s", evring_strerror(r));
	scene.is_attached = true;
}

void detach(void)
{
	if (is_faulty && !scene.is_attached)
		return;
	check_int(evring_detach(scene.loop), ==, 0);
	scene.is_attached = false;
}

struct ev_loop *open_oracle(void)
{
	return ev_loop_new(EVFLAG_NOENV | EVBACKEND_EPOLL);
}

bool attach_other(struct ev_loop *loop)
{
	int r = is_evring() ? evring_attach(loop, &scene.mode->config) : 0;

	return r == 0 || is_faulty;
}

/* Of the same kind as the loop of the scene. */
struct ev_loop *open_another(void)
{
	struct ev_loop *loop = open_oracle();

	check_that(attach_other(loop));
	return loop;
}

static void use_loop(int i, struct ev_loop *loop)
{
	scene.mode = runnable[i % nr_runnable];
	scene.loop = loop;
	scene.is_attached = false;
	signal(SIGALRM, say_who_hangs);
	alarm((unsigned)patience(PATIENCE));
	check_that(loop != NULL);
	if (is_evring() && !scene.mode->is_late)
		attach();
}

void open_scene_with(int i, unsigned flags)
{
	use_loop(i, ev_loop_new(EVFLAG_NOENV | EVBACKEND_EPOLL | flags));
}

void open_scene(int i)
{
	open_scene_with(i, 0);
}

/* Signals and children need it. */
void open_default_scene_with(int i, unsigned flags)
{
	use_loop(i, ev_default_loop(EVFLAG_NOENV | EVBACKEND_EPOLL | flags));
}

void open_default_scene(int i)
{
	open_default_scene_with(i, 0);
}

struct evring_stats stats(void)
{
	struct evring_stats stats;

	if (evring_stats(scene.loop, &stats) == 0)
		return stats;
	check_that(is_faulty);
	return (struct evring_stats){ 0 };
}

static void check_backend(void)
{
	check_int(ev_backend(scene.loop), ==, EVBACKEND_EPOLL);
	if (is_faulty)
		return;
	check_int(evring_tier(scene.loop), ==, expected_tier(scene.mode));
	if (!is_evring())
		return;
	check_int(stats().turns, >, 0);
	check_int(stats().rings_lost, ==, 0);
	check_int(stats().restricted, ==, is_restricted());
	if (expected_tier(scene.mode) == EVRING_TIER_REGION)
		check_int(stats().waits_copied, ==, 0);
	else
		check_int(stats().waits_by_offset, ==, 0);
}

void close_scene(void)
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

void turn(void)
{
	ev_run(scene.loop, EVRUN_NOWAIT);
}

void turns(int nr)
{
	while (nr--)
		turn();
}

int (*nr_faulty_waits)(void);

/* As a signal would, on which no scenario counts.  A ring that ends interrupts
   an epoll_wait of its thread, some milliseconds later. */
static bool run_is_interrupted(void)
{
	int before = nr_faulty_waits ? nr_faulty_waits() : 0;

	errno = 0;
	ev_run(scene.loop, EVRUN_ONCE);
	return is_faulty && (errno == EINTR ||
			     (nr_faulty_waits && nr_faulty_waits() != before));
}

void run_once(void)
{
	while (run_is_interrupted())
		;
}

void run_on(void)
{
	ev_run(scene.loop, EVRUN_ONCE);
}

void settle(void)
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
void nap(double seconds)
{
	bool is_over = false;
	ev_timer timer;

	ev_timer_init(&timer, on_nap_over, seconds, 0.);
	timer.data = &is_over;
	ev_now_update(scene.loop);
	ev_timer_start(scene.loop, &timer);
	while (!is_over)
		run_on();
}

const double SHORT_NAP = 0.002;

/*
 * an ev_io that keeps count
 */

void on_io(struct ev_loop *loop, ev_io *w, int revents)
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

void watch_then(struct watch *watch, int fd, int events,
		void (*then)(struct watch *watch))
{
	memset(watch, 0, sizeof(*watch));
	ev_io_init(&watch->io, on_io, fd, events);
	watch->then = then;
	ev_io_start(scene.loop, &watch->io);
}

void watch(struct watch *watch, int fd, int events)
{
	watch_then(watch, fd, events, NULL);
}

void start(struct watch *watch)
{
	ev_io_start(scene.loop, &watch->io);
}

void stop(struct watch *watch)
{
	ev_io_stop(scene.loop, &watch->io);
}

struct pair open_watched(int i, struct watch *w)
{
	struct pair pair;

	open_scene(i);
	pair = open_pair();
	watch(w, pair.ours, EV_READ);
	settle();
	return pair;
}

void change_events(struct watch *w, int events)
{
	stop(w);
	ev_io_set(&w->io, w->io.fd, events);
	start(w);
}

/* How many events one turn has for it, and of what kind. */
int events_in_turn(struct watch *watch)
{
	int before = watch->nr;

	watch->revents = 0;
	turn();
	return watch->nr - before;
}

int events_in_nap(struct watch *watch)
{
	int before = watch->nr;

	nap(SHORT_NAP);
	return watch->nr - before;
}

/*
 * descriptors
 */

int keep(int fd)
{
	check_int(fd, >=, 0);
	check_int(fd, <, MAX_FDS);
	scene.kept[fd] = true;
	return fd;
}

void discard(int fd)
{
	check_int(close(fd), ==, 0);
	scene.kept[fd] = false;
}

static struct pair open_unix(int type)
{
	int fds[2] = { -1, -1 };

	socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, fds);
	return (struct pair){ keep(fds[0]), keep(fds[1]) };
}

struct pair open_pair(void)
{
	return open_unix(SOCK_STREAM);
}

struct pair open_packets(void)
{
	return open_unix(SOCK_SEQPACKET);
}

struct pair open_datagrams(void)
{
	return open_unix(SOCK_DGRAM);
}

struct pair open_pipe(void)
{
	int fds[2] = { -1, -1 };

	(void)!pipe2(fds, O_CLOEXEC);
	return (struct pair){ keep(fds[0]), keep(fds[1]) };
}

struct pair open_fifo(void)
{
	char dir[] = "/tmp/evring-conform-XXXXXX", path[64];
	struct pair pair;

	check_that(mkdtemp(dir) != NULL);
	snprintf(path, sizeof(path), "%s/fifo", dir);
	check_int(mkfifo(path, 0600), ==, 0);
	pair.ours = keep(open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC));
	pair.theirs = keep(open(path, O_WRONLY | O_CLOEXEC));
	set_blocking(pair.ours, true);
	unlink(path);
	rmdir(dir);
	return pair;
}

struct pair open_pty(void)
{
	struct pair pair;

	pair.theirs = keep(posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
	check_int(grantpt(pair.theirs), ==, 0);
	check_int(unlockpt(pair.theirs), ==, 0);
	pair.ours = keep(open(ptsname(pair.theirs), O_RDWR | O_NOCTTY));
	return pair;
}

struct sockaddr_in loopback(int port)
{
	return (struct sockaddr_in){
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr = { htonl(INADDR_LOOPBACK) },
	};
}

int bind_to(int fd, int port)
{
	struct sockaddr_in address = loopback(port);

	return bind(fd, (struct sockaddr *)&address, sizeof(address));
}

int port_of(int fd)
{
	struct sockaddr_in address;
	socklen_t size = sizeof(address);

	check_int(getsockname(fd, (struct sockaddr *)&address, &size), ==, 0);
	return ntohs(address.sin_port);
}

int connect_to(int fd, int port)
{
	struct sockaddr_in address = loopback(port);

	return connect(fd, (struct sockaddr *)&address, sizeof(address));
}

int open_socket(int type)
{
	return keep(socket(AF_INET, type | SOCK_CLOEXEC, 0));
}

int open_listener(void)
{
	int fd = open_socket(SOCK_STREAM);

	check_int(bind_to(fd, 0), ==, 0);
	check_int(listen(fd, 16), ==, 0);
	return fd;
}

struct pair open_tcp(void)
{
	int listener = open_listener();
	struct pair pair = { .theirs = open_socket(SOCK_STREAM) };

	check_int(connect_to(pair.theirs, port_of(listener)), ==, 0);
	pair.ours = keep(accept4(listener, NULL, NULL, SOCK_CLOEXEC));
	discard(listener);
	return pair;
}

struct pair open_udp(void)
{
	struct pair pair = { open_socket(SOCK_DGRAM), open_socket(SOCK_DGRAM) };

	check_int(bind_to(pair.ours, 0), ==, 0);
	check_int(connect_to(pair.theirs, port_of(pair.ours)), ==, 0);
	return pair;
}

void put_char(int fd, char c)
{
	check_int(write(fd, &c, 1), ==, 1);
}

void put(int fd)
{
	put_char(fd, 'x');
}

/* Blocks when there is nothing. */
char take(int fd)
{
	char c = 0;

	check_int(read(fd, &c, 1), ==, 1);
	return c;
}

void take_one(struct watch *watch)
{
	take(watch->io.fd);
}

void set_blocking(int fd, bool on)
{
	check_int(fcntl(fd, F_SETFL, on ? 0 : O_NONBLOCK), ==, 0);
}

void fill(int fd)
{
	static char block[4096];

	set_blocking(fd, false);
	while (write(fd, block, sizeof(block)) > 0)
		;
	check_int(errno, ==, EAGAIN);
	set_blocking(fd, true);
}

/* A tcp peer takes what is sent in the background, and says so later. */
static bool is_on_its_way(int fd)
{
	int nr_not_taken, nr_not_sent;

	check_int(ioctl(fd, SIOCOUTQ, &nr_not_taken), ==, 0);
	check_int(ioctl(fd, SIOCOUTQNSD, &nr_not_sent), ==, 0);
	return nr_not_taken != nr_not_sent;
}

void fill_tcp(int fd)
{
	struct pollfd pollfd = { .fd = fd, .events = POLLOUT };

	do {
		fill(fd);
		poll(&pollfd, 1, 20);
	} while (is_on_its_way(fd) || poll(&pollfd, 1, 0));
}

void drain(int fd)
{
	static char block[4096];

	set_blocking(fd, false);
	while (read(fd, block, sizeof(block)) > 0)
		;
	check_int(errno, ==, EAGAIN);
	set_blocking(fd, true);
}

short await(int fd, short events)
{
	struct pollfd pollfd = { .fd = fd, .events = events };

	check_int(poll(&pollfd, 1, (int)patience(PATIENCE) * 1000), ==, 1);
	return pollfd.revents;
}

int open_temporary(void)
{
	char path[] = "/tmp/evring-conform-XXXXXX";
	int fd = keep(mkstemp(path));

	unlink(path);
	return fd;
}

struct pair open_eventfd(void)
{
	int fd = keep(eventfd(0, EFD_CLOEXEC));

	return (struct pair){ fd, fd };
}

void take_and_count(struct ev_loop *loop, ev_io *w, int revents)
{
	(void)loop;
	(void)revents;
	take(w->fd);
	++*(int *)w->data;
}

/*
 * a descriptor's number means another file
 */

void take_step(char step, struct watch *w, int fresh)
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

void take_steps(const char *steps, struct watch *w, int fresh)
{
	for (; *steps; steps++)
		take_step(*steps, w, fresh);
}

/* The new file is reported, and is the one that is read. */
void check_is_fresh(struct watch *w, int theirs)
{
	w->nr = 0;
	check_quiet(w);
	put_char(theirs, 'n');
	check_turn(w, EV_READ);
	check_int(take(w->io.fd), ==, 'n');
	check_quiet(w);
}

/*
 * another thread, and a loop that is asleep
 */

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

void await_sleep(pid_t tid)
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
void act_when_asleep(struct actor *actor, void (*act)(void *), void *arg)
{
	actor->sleeper = gettid();
	actor->act = act;
	actor->arg = arg;
	check_int(pthread_create(&actor->thread, NULL, run_actor, actor), ==,
		  0);
}

void join(struct actor *actor)
{
	check_int(pthread_join(actor->thread, NULL), ==, 0);
}

void put_to(void *fd)
{
	put(*(int *)fd);
}

sem_t seen;

static void on_bell(struct ev_loop *loop, ev_async *w, int revents)
{
	(void)loop;
	check_int(revents, ==, EV_ASYNC);
	((struct bell *)w)->nr++;
}

void start_bell(struct bell *bell)
{
	bell->nr = 0;
	ev_async_init(&bell->async, on_bell);
	ev_async_start(scene.loop, &bell->async);
}

/*
 * a timer that keeps count
 */

static void on_alarm(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct alarm *self = (struct alarm *)w;

	check_int(revents, ==, EV_TIMER);
	(void)loop;
	check_time(now(), >=, self->at);
	if (self->previous)
		check_int(self->previous->nr, ==, 1);
	self->nr++;
}

/* ev_now() is another clock than that of timers: it may be set. */
void set_alarm(struct alarm *self, double after, double repeat)
{
	memset(self, 0, sizeof(*self));
	ev_timer_init(&self->timer, on_alarm, after, repeat);
	self->at = now() + after;
	ev_now_update(scene.loop);
	ev_timer_start(scene.loop, &self->timer);
}

void invoke_later(struct ev_loop *loop)
{
	(void)loop;
}

/*
 * what the oracle says: play a scene on both and compare what was noted
 */

struct log *the_log;

void note(struct log *log, const char *format, ...)
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

void check_with_oracle(void (*play)(struct ev_loop *, struct log *))
{
	struct ev_loop *oracle = open_oracle();
	struct log want = { .size = 0 }, got = { .size = 0 };

	check_that(oracle != NULL);
	ev_run(oracle, EVRUN_NOWAIT); /* settle() did so, too */
	ev_run(oracle, EVRUN_NOWAIT);
	play(oracle, &want);
	play(scene.loop, &got);
	ev_loop_destroy(oracle);
	if (!want.size || strcmp(got.text, want.text))
		scene_fail(__FILE__, __LINE__, "got %s, the oracle %s",
			   got.text, want.text);
}
