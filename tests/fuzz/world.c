/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * world.c - files of every kind behind a few fixed fd numbers.
 *
 * The same calls in the same order must always lead to the same readiness, or
 * no two runs of a program could be compared.  What Linux does later than in
 * the call that causes it:
 *
 * a) A terminal hands bytes to its other end in a kernel thread, so that a
 *    write waits until they have arrived.
 * b) A timerfd expires in an interrupt, so that arming one waits for that.
 * c) TCP acknowledges when it likes.  How much a peer has room for is therefore
 *    never asked: TCP is not filled.  A connection, its bytes and its end
 *    arrive on the loopback before the call returns, unless the machine is
 *    busy; so these are waited for as well.
 *
 * All waits are for what is sure to come, and bounded: world_is_late().
 */
#include "config.h"

#include "world.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

enum {
	NR_FIFOS = 4,
	BIG = 65536,	  /* more than any buffer here holds */
	PATIENCE = 20,	  /* seconds to wait for what is sure to come */
	MAX_TRIES = 1000, /* to fill or drain: what has room, has less */
	SMALL_BUFFER = 4096,
	MAX_WAITING = 8,
	PTY_ROOM = 8 /* a write; all of a program fit into its buffer */
};

struct place {
	bool is_open;
	enum kind kind;
	int end;
	unsigned file; /* both ends of a file have the same */
	unsigned serial;
};

static struct place places[NR_PLACES];
static unsigned nr_files, nr_changes;
static bool is_shared; /* a close here does not end a file */
static bool is_late;

static int fifos[NR_FIFOS] = { -1, -1, -1, -1 };
static int noted = -1;			/* the file that inotify watches */
static struct sockaddr_in home_address; /* a loopback address of our own */
static int tcp_listener = -1;
static pid_t tcp_process;

static char buffer[BIG];

/*
 * life
 */

static void make_fifo(int *ret_fd, const char *folder)
{
	char name[128];

	snprintf(name, sizeof(name), "%s/fifo", folder);
	*ret_fd = -1;
	if (mkfifo(name, 0600) < 0)
		return;
	*ret_fd = open(name, O_PATH | O_CLOEXEC);
	unlink(name);
}

void world_init(void)
{
	char folder[] = "/tmp/evring-fuzz-XXXXXX";
	int i;

	signal(SIGPIPE, SIG_IGN);
	if (!mkdtemp(folder))
		return; /* world_open() will say so, by opening nothing */
	for (i = 0; i < NR_FIFOS; i++)
		make_fifo(&fifos[i], folder);
	rmdir(folder);
	noted = memfd_create("noted", MFD_CLOEXEC);
}

void world_begin(void)
{
	memset(places, 0, sizeof(places));
	nr_files = nr_changes = 0;
	is_late = false;
}

void world_end(void)
{
	close_range(FIRST_FD, FIRST_FD + NR_PLACES - 1, 0);
	world_begin();
}

void world_forked(void)
{
	is_shared = true;
}

bool world_is_late(void)
{
	return is_late;
}

int world_fd(int place)
{
	return FIRST_FD + place;
}

bool world_is_open(int place)
{
	return places[place].is_open;
}

unsigned world_serial(int place)
{
	return places[place].serial;
}

/*
 * waiting
 */

static void wait_until(int fd, short events)
{
	struct pollfd p = { .fd = fd, .events = events };

	if (poll(&p, 1, PATIENCE * 1000) == 0)
		is_late = true;
}

static int bytes_at(int fd)
{
	int nr = 0;

	return ioctl(fd, FIONREAD, &nr) < 0 ? 0 : nr;
}

static bool has_failed(int fd)
{
	struct pollfd p = { .fd = fd };

	return poll(&p, 1, 0) > 0;
}

/* For a loop that waits: false when it was long enough. */
static bool go_on_since(const struct timespec *start)
{
	struct timespec now;

	sched_yield();
	clock_gettime(CLOCK_MONOTONIC, &now);
	if (now.tv_sec - start->tv_sec <= PATIENCE)
		return true;
	is_late = true;
	return false;
}

/*
 * Until reader has nr bytes, or writer hears that it never will.  A busy
 * machine may keep the kernel thread waiting that is in between.
 */
static void wait_for_bytes(int reader, int nr, int writer)
{
	struct timespec start;

	clock_gettime(CLOCK_MONOTONIC, &start);
	while (bytes_at(reader) < nr && !has_failed(writer))
		if (!go_on_since(&start))
			return;
}

/* An fd of the other end of what is at place, or -1. */
static int peer_of(int place)
{
	const struct place *p = &places[place];
	int i;

	for (i = 0; i < NR_PLACES; i++)
		if (places[i].is_open && places[i].file == p->file &&
		    places[i].end != p->end)
			return world_fd(i);
	return -1;
}

/*
 * files
 */

static int open_fifo(int place, int flags)
{
	char name[32];

	snprintf(name, sizeof(name), "/proc/self/fd/%d",
		 fifos[place % NR_FIFOS]);
	return open(name, flags | O_NONBLOCK | O_CLOEXEC);
}

/* With its two ends at one place only the reader: no writer was ever there. */
static void make_fifo_ends(int place, int other, int fds[2])
{
	fds[0] = open_fifo(place, O_RDONLY);
	fds[1] = place == other ? -1 : open_fifo(place, O_WRONLY);
}

static int new_listener(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct sockaddr_in address = home_address;

	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    listen(fd, 4 * MAX_WAITING) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

/*
 * An address for each process, as connections that ended block theirs for a
 * minute.
 */
static void find_home(void)
{
	uint32_t pid = (uint32_t)getpid();

	if (tcp_process == getpid())
		return;
	tcp_process = getpid();
	home_address.sin_family = AF_INET;
	home_address.sin_addr.s_addr =
		htonl(0x7f010000u + (pid * 7919u & 0xffffu));
	if (tcp_listener >= 0)
		close(tcp_listener);
	tcp_listener = new_listener();
}

/* Of a listener: more than it has room for would connect later. */
static unsigned nr_waiting(int listener)
{
	struct tcp_info info = { .tcpi_unacked = 0 };
	socklen_t size = sizeof(info);

	getsockopt(listener, IPPROTO_TCP, TCP_INFO, &info, &size);
	return info.tcpi_unacked;
}

static void wait_for_connection(int listener, unsigned nr)
{
	struct timespec start;

	clock_gettime(CLOCK_MONOTONIC, &start);
	while (nr_waiting(listener) < nr && go_on_since(&start))
		;
}

static int connect_to(int listener)
{
	struct sockaddr_in address;
	socklen_t size = sizeof(address);
	unsigned before = nr_waiting(listener);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (getsockname(listener, (struct sockaddr *)&address, &size) < 0 ||
	    connect(fd, (struct sockaddr *)&address, size) < 0) {
		close(fd);
		return -1;
	}
	fcntl(fd, F_SETFL, O_NONBLOCK);
	wait_for_connection(listener, before + 1);
	return fd;
}

/* What is written is sent at once, whatever was acknowledged. */
static void make_tcp(int fds[2])
{
	int one = 1;
	int i;

	find_home();
	fds[0] = connect_to(tcp_listener);
	fds[1] =
		accept4(tcp_listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	for (i = 0; i < 2; i++)
		setsockopt(fds[i], IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

static void make_unix(int type, int fds[2])
{
	int size = SMALL_BUFFER;
	int i;

	if (socketpair(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) <
	    0)
		return;
	for (i = 0; i < 2; i++)
		setsockopt(fds[i], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
}

static void make_pty(int fds[2])
{
	struct termios raw;
	int zero = 0;

	fds[0] = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	if (fds[0] < 0 || ioctl(fds[0], TIOCSPTLCK, &zero) < 0)
		return;
	fds[1] = ioctl(fds[0], TIOCGPTPEER,
		       O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	if (tcgetattr(fds[1], &raw) < 0)
		return;
	cfmakeraw(&raw);
	tcsetattr(fds[1], TCSANOW, &raw);
}

static void make_nested(int fds[2])
{
	struct epoll_event event = { .events = EPOLLIN };

	fds[0] = epoll_create1(EPOLL_CLOEXEC);
	fds[1] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	epoll_ctl(fds[0], EPOLL_CTL_ADD, fds[1], &event);
}

static void set_timer(int fd, int seconds, int nanoseconds)
{
	struct itimerspec spec = { .it_value = { seconds, nanoseconds } };

	timerfd_settime(fd, 0, &spec, NULL);
	if (!seconds && nanoseconds)
		wait_until(fd, POLLIN);
}

static int make_timer(int seconds, int nanoseconds)
{
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);

	if (fd >= 0)
		set_timer(fd, seconds, nanoseconds);
	return fd;
}

static void make_two_ends(enum kind kind, int place, int other, int fds[2])
{
	switch (kind) {
	case PIPE:
		if (pipe2(fds, O_NONBLOCK | O_CLOEXEC) < 0)
			fds[0] = fds[1] = -1;
		return;
	case STREAM:
		make_unix(SOCK_STREAM, fds);
		return;
	case DATAGRAM:
		make_unix(SOCK_DGRAM, fds);
		return;
	case SEQPACKET:
		make_unix(SOCK_SEQPACKET, fds);
		return;
	case TCP:
		make_tcp(fds);
		return;
	case FIFO:
		make_fifo_ends(place, other, fds);
		return;
	case PTY:
		make_pty(fds);
		return;
	default:
		make_nested(fds);
	}
}

static int make_inotify(void)
{
	char name[32];
	int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);

	snprintf(name, sizeof(name), "/proc/self/fd/%d", noted);
	inotify_add_watch(fd, name, IN_MODIFY);
	return fd;
}

static int make_one_end(enum kind kind)
{
	switch (kind) {
	case EVENTFD:
		return eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	case TIMERFD:
		return make_timer(1000000, 0);
	case EXPIRED:
		return make_timer(0, 1);
	case LISTENER:
		find_home();
		return new_listener();
	case INOTIFY:
		return make_inotify();
	case REGULAR:
		return memfd_create("fuzz", MFD_CLOEXEC);
	case DIRECTORY:
		return open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	default:
		return open("/dev/null", O_RDWR | O_CLOEXEC);
	}
}

bool world_has_two_ends(enum kind kind)
{
	return kind <= NESTED;
}

/*
 * places
 */

static void put(int fd, int place, enum kind kind, int end)
{
	struct place *p = &places[place];

	if (fd < 0)
		return;
	world_close(place);
	dup3(fd, world_fd(place), O_CLOEXEC);
	close(fd);
	*p = (struct place){ .is_open = true,
			     .kind = kind,
			     .end = end,
			     .file = nr_files,
			     .serial = ++nr_changes };
}

void world_open(enum kind kind, int place, int other)
{
	int fds[2] = { -1, -1 };

	/* They go first: a FIFO must not meet its predecessor. */
	world_close(place);
	nr_files++;
	if (!world_has_two_ends(kind)) {
		put(make_one_end(kind), place, kind, 0);
		return;
	}
	world_close(other);
	make_two_ends(kind, place, other, fds);
	if (place != other)
		put(fds[1], other, kind, 1);
	else if (fds[1] >= 0)
		close(fds[1]);
	if (place == other && kind == TCP)
		wait_until(fds[0], POLLRDHUP);
	put(fds[0], place, kind, 0);
}

/*
 * The last fd of a TCP connection says so to the other side (trap c): that
 * there will be no more, or, when bytes were left unread, that all is over.
 */
static void wait_for_end(const struct place *closed, int peer, bool is_unread)
{
	int i;

	if (closed->kind != TCP || peer < 0 || is_shared)
		return;
	for (i = 0; i < NR_PLACES; i++)
		if (places[i].is_open && places[i].file == closed->file &&
		    places[i].end == closed->end)
			return;
	wait_until(peer, is_unread ? 0 : POLLRDHUP);
}

void world_close(int place)
{
	struct place *p = &places[place];
	bool is_unread;
	int peer;

	if (!p->is_open)
		return;
	peer = peer_of(place);
	is_unread = p->kind == TCP && bytes_at(world_fd(place)) > 0;
	close(world_fd(place));
	p->is_open = false;
	p->serial = ++nr_changes;
	wait_for_end(p, peer, is_unread);
}

void world_dup(int place, int to)
{
	if (place == to || !world_is_open(place))
		return;
	world_close(to);
	dup3(world_fd(place), world_fd(to), O_CLOEXEC);
	places[to] = places[place];
	places[to].serial = ++nr_changes;
}

void world_swap(int place, int other)
{
	struct place kept = places[place];
	int fd;

	if (place == other || !kept.is_open || !world_is_open(other))
		return;
	fd = fcntl(world_fd(place), F_DUPFD_CLOEXEC, 0);
	dup3(world_fd(other), world_fd(place), O_CLOEXEC);
	dup3(fd, world_fd(other), O_CLOEXEC);
	close(fd);
	places[place] = places[other];
	places[other] = kept;
	places[place].serial = ++nr_changes;
	places[other].serial = ++nr_changes;
}

/*
 * reading and writing
 */

static bool is_eventfd(const struct place *p)
{
	return p->kind == EVENTFD || (p->kind == NESTED && p->end == 1);
}

static int result_of(ssize_t r)
{
	return r < 0 ? -errno : (int)r;
}

static int write_number(int fd, uint64_t number)
{
	return result_of(write(fd, &number, sizeof(number)));
}

/* Of bytes that were written; their reader has nr then, if there is one. */
static void wait_for_delivery(int place, int peer, int nr)
{
	enum kind kind = places[place].kind;

	if (kind != PTY && kind != TCP)
		return;
	if (peer >= 0)
		wait_for_bytes(peer, nr, world_fd(place));
	else if (kind == TCP && !is_shared)
		wait_until(world_fd(place), 0); /* an error: nobody reads */
}

static int write_bytes(int place, int size)
{
	int peer = peer_of(place);
	int before = peer < 0 ? 0 : bytes_at(peer);
	int r;

	if (places[place].kind == PTY && size > PTY_ROOM)
		size = PTY_ROOM;
	r = result_of(write(world_fd(place), buffer, (size_t)size));
	if (r > 0)
		wait_for_delivery(place, peer, before + r);
	return r;
}

int world_write(int place, int size)
{
	const struct place *p = &places[place];

	if (!p->is_open)
		return -EBADF;
	if (is_eventfd(p))
		return write_number(world_fd(place), (uint64_t)size);
	switch (p->kind) {
	case TIMERFD:
	case EXPIRED:
		set_timer(world_fd(place), 0, size > 1);
		return 0;
	case LISTENER:
		if (nr_waiting(world_fd(place)) < MAX_WAITING)
			close(connect_to(world_fd(place)));
		return 0;
	case INOTIFY:
		return result_of(pwrite(noted, buffer, (size_t)size, 0));
	case REGULAR:
	case DIRECTORY:
	case NULL_DEVICE:
		return result_of(write(world_fd(place), buffer, (size_t)size));
	default:
		return write_bytes(place, size);
	}
}

static int accept_one(int fd)
{
	int r = accept4(fd, NULL, NULL, SOCK_CLOEXEC);

	if (r < 0)
		return -errno;
	close(r);
	return 1;
}

int world_read(int place, int size)
{
	const struct place *p = &places[place];
	int fd = world_fd(place);

	if (!p->is_open)
		return -EBADF;
	if (p->kind == LISTENER)
		return accept_one(fd);
	if (is_eventfd(p) || p->kind == TIMERFD || p->kind == EXPIRED)
		size = 8;
	else if (p->kind == INOTIFY)
		size = BIG;
	return result_of(read(fd, buffer, (size_t)size));
}

void world_drain(int place)
{
	int i;

	for (i = 0; i < MAX_TRIES && world_read(place, BIG) > 0; i++)
		;
}

static void fill_eventfd(int fd)
{
	uint64_t number;

	(void)!read(fd, &number, sizeof(number));
	write_number(fd, UINT64_MAX - 1);
}

void world_fill(int place)
{
	const struct place *p = &places[place];
	int i;

	if (!p->is_open)
		return;
	if (is_eventfd(p))
		fill_eventfd(world_fd(place));
	else if (p->kind == DATAGRAM || p->kind == SEQPACKET)
		for (i = 0; i < MAX_TRIES && world_write(place, 1) > 0; i++)
			;
	else if (p->kind == PIPE || p->kind == FIFO || p->kind == STREAM)
		for (i = 0; i < MAX_TRIES && world_write(place, BIG) > 0; i++)
			;
	else
		world_write(place, 2);
}

int world_shut(int place, int how)
{
	int peer, r;

	if (!world_is_open(place))
		return -EBADF;
	r = result_of(shutdown(world_fd(place), how));
	peer = peer_of(place);
	if (!r && peer >= 0 && places[place].kind == TCP && how != SHUT_RD)
		wait_until(peer, POLLRDHUP);
	return r;
}
