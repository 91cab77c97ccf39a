/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * churn.c - clients of the echo daemon that come and go: those that are well
 * behaved, those that stall, leave or reset, datagrams, and SIGUSR1.
 *
 *   churn PORT PID
 *
 * Drives the daemon with process number PID at 127.0.0.1:PORT as told on stdin,
 * see soak.h; the end of stdin ends the daemon, too.  Every byte that comes
 * back is compared; the first wrong one ends churn with status 1, and so does
 * a connection that the daemon ends too early or that does not end at all.
 *
 * What to know:
 *
 * a) All data are slices of one random text, at a place of each client's own.
 *    A byte that came back to the wrong client is a wrong byte.
 * b) Each run begins with more clients than the daemon takes at a time, so that
 *    it has no larger crowd later than in the first run.
 * c) Datagrams may be lost.  One that is late is told by its number.
 */
#include "config.h"

#include "soak.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
	MAX_CLIENTS = 300,
	NR_TALKERS = 8, /* with datagrams */
	MAX_NEW = 8,	/* connections between two looks at the others */
	TEXT_SIZE = 1 << 16,
	MAX_DATAGRAM = 8192,
	MAX_DATAGRAMS = 200, /* of one socket */
	PATIENCE = 60	     /* seconds */
};

static const double SIGNAL_INTERVAL = 0.1; /* seconds */
static const double TALKER_PATIENCE = 1.;

/*
 * who there is
 */

enum ending {
	HALF_CLOSE, /* wait for the rest, and for the daemon's end of stream */
	CLOSE,	    /* without reading the rest */
	RESET,
	WAIT /* until the daemon has enough of it */
};

/* clang-format off */
static const struct kind {
	unsigned share;	   /* in a thousand clients */
	size_t size;	   /* the most that is sent in all */
	size_t chunk;	   /* the most that is sent at once */
	size_t window;	   /* the most that is sent and has not come back */
	unsigned stall_ms; /* how long at most nothing is read */
	enum ending ending;
} kinds[] = {
	/* the first is the one that fills a buffer of the daemon */
	{ .share = 100, .size = 1 << 18, .chunk = 1 << 16, .window = SIZE_MAX,
	  .stall_ms = 300, .ending = HALF_CLOSE },
	{ .share = 300, .size = 200, .chunk = 200, .window = SIZE_MAX,
	  .ending = HALF_CLOSE },
	{ .share = 140, .size = 300, .chunk = 8, .window = 1,
	  .ending = HALF_CLOSE },
	{ .share = 50, .size = 1 << 21, .chunk = 1 << 16, .window = SIZE_MAX,
	  .ending = HALF_CLOSE },
	{ .share = 100, .size = 0, .ending = CLOSE },
	{ .share = 100, .size = 1 << 17, .chunk = 5000, .window = SIZE_MAX,
	  .stall_ms = 30, .ending = CLOSE },
	{ .share = 207, .size = 1 << 17, .chunk = 5000, .window = SIZE_MAX,
	  .stall_ms = 30, .ending = RESET },
	{ .share = 3, .size = 100, .chunk = 100, .window = SIZE_MAX,
	  .ending = WAIT },
};
/* clang-format on */

struct client {
	const struct kind *kind;
	int fd;
	unsigned text; /* where its slice begins */
	size_t size, sent, echoed;
	double born;
	double reads_from; /* it stalls until then */
	bool is_shut;
};

struct talker {
	int fd; /* -1: none */
	uint32_t sent;
	unsigned nr_left;
	size_t size; /* of the datagram that is awaited */
	char datagram[MAX_DATAGRAM];
	double due;
};

static struct client clients[MAX_CLIENTS];
static unsigned nr_clients;
static struct talker talkers[NR_TALKERS];
static char text[2 * TEXT_SIZE]; /* twice the same */
static struct sockaddr_in daemon_address;
static int daemon_fd; /* the process */

enum {
	CONNECTIONS,
	BYTES,
	RESETS,
	LEFT_EARLY,
	STALLS,
	ENDED_BY_DAEMON,
	DATAGRAMS,
	DATAGRAMS_LOST,
	STATS_SIGNALS,
	NO_PORTS,
	NR_TALLIES
};

static struct tally tallies[NR_TALLIES] = {
	[CONNECTIONS] = { .name = "connections" },
	[BYTES] = { .name = "bytes" },
	[RESETS] = { .name = "resets" },
	[LEFT_EARLY] = { .name = "left_early" },
	[STALLS] = { .name = "stalls" },
	[ENDED_BY_DAEMON] = { .name = "ended_by_daemon" },
	[DATAGRAMS] = { .name = "datagrams" },
	[DATAGRAMS_LOST] = { .name = "datagrams_lost" },
	[STATS_SIGNALS] = { .name = "stats_signals" },
	[NO_PORTS] = { .name = "no_ports" },
};

static void count(int what)
{
	tallies[what].nr++;
}

/* The text of a client from its byte number on; TEXT_SIZE can be looked at. */
static const char *text_at(const struct client *c, size_t number)
{
	return text + (c->text + number) % TEXT_SIZE;
}

/*
 * a client
 */

static const struct kind *draw_kind(void)
{
	unsigned n = chance(1000);
	const struct kind *kind = kinds;

	for (; n >= kind->share; kind++)
		n -= kind->share;
	return kind;
}

static int connect_socket(int type)
{
	int fd = socket(AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		fail("churn: socket: %s", strerror(errno));
	if (connect(fd, (struct sockaddr *)&daemon_address,
		    sizeof(daemon_address)) == 0 ||
	    errno == EINPROGRESS)
		return fd;
	if (errno != EADDRNOTAVAIL)
		fail("churn: connect: %s", strerror(errno));
	count(NO_PORTS); /* old connections have them all, for a second */
	close(fd);
	return -1;
}

static void new_client(const struct kind *kind, size_t size)
{
	struct client *c = &clients[nr_clients];
	int fd = connect_socket(SOCK_STREAM);

	if (fd < 0)
		return;
	*c = (struct client){
		.kind = kind,
		.fd = fd,
		.text = chance(TEXT_SIZE),
		.size = size,
		.born = now(),
	};
	if (kind->stall_ms) {
		c->reads_from = c->born + chance(kind->stall_ms) * 1e-3;
		count(STALLS);
	}
	nr_clients++;
	count(CONNECTIONS);
}

static void end_client(struct client *c)
{
	static const struct linger at_once = { .l_onoff = 1 };

	if (c->kind->ending == RESET) {
		setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &at_once,
			   sizeof(at_once));
		count(RESETS);
	}
	close(c->fd);
	c->fd = -1;
}

static bool may_send(const struct client *c)
{
	return c->sent < c->size && c->sent - c->echoed < c->kind->window;
}

static size_t next_chunk(const struct client *c)
{
	size_t chunk = c->kind->chunk, left = c->size - c->sent;

	if (chunk > 1)
		chunk = 1 + chance((unsigned)chunk);
	return chunk < left ? chunk : left;
}

static _Noreturn void fail_client(const struct client *c, const char *what)
{
	fail("churn: client of kind %d, %zu bytes of %zu sent, %zu echoed: %s",
	     (int)(c->kind - kinds), c->sent, c->size, c->echoed, what);
}

/* All is sent: what now?  Returns whether the client is still there. */
static bool stays(struct client *c)
{
	switch (c->kind->ending) {
	case HALF_CLOSE:
		if (!c->is_shut && shutdown(c->fd, SHUT_WR) < 0)
			fail_client(c, strerror(errno));
		c->is_shut = true;
		return true;
	case WAIT:
		return true;
	case CLOSE:
		count(LEFT_EARLY);
		return false;
	default:
		return false;
	}
}

/* Returns whether the client is still there, as does the next one. */
static bool send_some(struct client *c)
{
	if (may_send(c)) {
		ssize_t n = send(c->fd, text_at(c, c->sent), next_chunk(c),
				 MSG_NOSIGNAL);

		if (n < 0 && errno != EAGAIN)
			fail_client(c, strerror(errno));
		c->sent += n > 0 ? (size_t)n : 0;
	}
	return c->sent < c->size || stays(c);
}

static bool receive_some(struct client *c)
{
	static char buffer[TEXT_SIZE];
	ssize_t n = recv(c->fd, buffer, sizeof(buffer), 0);

	if (n < 0) {
		if (errno != EAGAIN)
			fail_client(c, strerror(errno));
		return true;
	}
	if (n == 0) {
		if (c->sent < c->size || c->echoed < c->sent)
			fail_client(c, "ended too early by the daemon");
		if (c->kind->ending == WAIT)
			count(ENDED_BY_DAEMON);
		return false;
	}
	if (c->echoed + (size_t)n > c->sent)
		fail_client(c, "more came back than was sent");
	if (memcmp(buffer, text_at(c, c->echoed), (size_t)n))
		fail_client(c, "a wrong byte came back");
	c->echoed += (size_t)n;
	tallies[BYTES].nr += (uint64_t)n;
	return true;
}

/* Send, or be done with sending. */
static bool has_to_send(const struct client *c)
{
	if (c->sent < c->size)
		return may_send(c);
	return !c->is_shut && c->kind->ending != WAIT;
}

static short events_of(const struct client *c, double time)
{
	return (short)((has_to_send(c) ? POLLOUT : 0) |
		       (time >= c->reads_from ? POLLIN : 0));
}

static void serve_client(struct client *c, short events, double time)
{
	bool lives = true;

	if (time - c->born > PATIENCE && c->kind->ending != WAIT)
		fail_client(c, "takes too long");
	if (events & POLLOUT)
		lives = send_some(c);
	if (lives && events & (POLLIN | POLLHUP | POLLERR) &&
	    time >= c->reads_from)
		lives = receive_some(c);
	if (!lives)
		end_client(c);
}

/* Those that ended leave no gap. */
static void close_ranks(void)
{
	unsigned i, nr = 0;

	for (i = 0; i < nr_clients; i++)
		if (clients[i].fd >= 0)
			clients[nr++] = clients[i];
	nr_clients = nr;
}

/*
 * datagrams
 */

static void send_datagram(struct talker *t)
{
	t->sent++;
	t->size = sizeof(t->sent) +
		  chance(MAX_DATAGRAM - (unsigned)sizeof(t->sent));
	memcpy(t->datagram, text + chance(TEXT_SIZE), t->size);
	memcpy(t->datagram, &t->sent, sizeof(t->sent));
	t->due = now() + TALKER_PATIENCE;
	(void)!send(t->fd, t->datagram, t->size, 0);
}

static void end_talker(struct talker *t)
{
	close(t->fd);
	t->fd = -1;
}

static void start_talker(struct talker *t)
{
	t->fd = connect_socket(SOCK_DGRAM);
	t->nr_left = 1 + chance(MAX_DATAGRAMS);
	if (t->fd >= 0)
		send_datagram(t);
}

static void next_datagram(struct talker *t)
{
	if (--t->nr_left)
		send_datagram(t);
	else
		end_talker(t);
}

static void receive_datagram(struct talker *t)
{
	static char buffer[MAX_DATAGRAM + 1];
	ssize_t n = recv(t->fd, buffer, sizeof(buffer), 0);

	if (n < 0 && errno == ECONNREFUSED)
		fail("churn: nobody has the daemon's datagrams");
	if (n < (ssize_t)sizeof(t->sent) ||
	    memcmp(buffer, t->datagram, sizeof(t->sent)))
		return; /* trap c */
	if ((size_t)n != t->size || memcmp(buffer, t->datagram, t->size))
		fail("churn: a wrong datagram of %zd bytes came back", n);
	count(DATAGRAMS);
	next_datagram(t);
}

static void serve_talker(struct talker *t, short events, double time)
{
	if (events)
		receive_datagram(t);
	else if (time > t->due) {
		count(DATAGRAMS_LOST);
		next_datagram(t);
	}
}

/*
 * a run
 */

/* How many clients there shall be: tide comes and goes, a second each. */
static unsigned wanted(double seconds)
{
	static const unsigned tide[] = { MAX_CLIENTS, 200, 30, 200, 120 };

	return tide[(unsigned)seconds % ARRAY_SIZE(tide)];
}

/* Trap b: the crowd that begins a run fills all buffers of the daemon. */
static void begin_run(void)
{
	while (nr_clients < MAX_CLIENTS) {
		unsigned before = nr_clients;

		new_client(&kinds[0], kinds[0].size);
		if (nr_clients == before)
			usleep(100000); /* no ports */
	}
}

static void add_clients(unsigned target)
{
	const struct kind *kind;
	int i;

	for (i = 0; i < MAX_NEW && nr_clients < target; i++) {
		kind = draw_kind();
		new_client(kind,
			   kind->size ? 1 + chance((unsigned)kind->size) : 0);
	}
	for (i = 0; i < NR_TALKERS; i++)
		if (talkers[i].fd < 0)
			start_talker(&talkers[i]);
}

/* Those who wait for the daemon, or for datagrams that may be lost. */
static void end_waiting(void)
{
	unsigned i;

	for (i = 0; i < nr_clients; i++)
		if (clients[i].kind->ending == WAIT)
			end_client(&clients[i]);
	close_ranks();
	for (i = 0; i < NR_TALKERS; i++)
		if (talkers[i].fd >= 0)
			end_talker(&talkers[i]);
}

static void signal_daemon(int signum)
{
	if (syscall(SYS_pidfd_send_signal, daemon_fd, signum, NULL, 0) < 0)
		fail("churn: the daemon is gone: %s", strerror(errno));
}

static void signal_sometimes(double time)
{
	static double due;

	if (time < due)
		return;
	due = time + SIGNAL_INTERVAL;
	signal_daemon(SIGUSR1);
	count(STATS_SIGNALS);
}

static _Noreturn void finish(void)
{
	signal_daemon(SIGTERM);
	exit(EXIT_SUCCESS);
}

/* Look at all that is open: stdin, talkers, clients. */
static void look(double time)
{
	static struct pollfd polls[1 + NR_TALKERS + MAX_CLIENTS];
	struct pollfd *p = polls + 1;
	unsigned i;

	polls[0] = (struct pollfd){ .fd = STDIN_FILENO, .events = POLLIN };
	for (i = 0; i < NR_TALKERS; i++)
		*p++ = (struct pollfd){ .fd = talkers[i].fd, .events = POLLIN };
	for (i = 0; i < nr_clients; i++)
		*p++ = (struct pollfd){
			.fd = clients[i].fd,
			.events = events_of(&clients[i], time),
		};
	if (poll(polls, (nfds_t)(p - polls), 10) < 0)
		fail("churn: poll: %s", strerror(errno));
	if (polls[0].revents)
		finish();
	p = polls + 1;
	for (i = 0; i < NR_TALKERS; i++, p++)
		if (talkers[i].fd >= 0)
			serve_talker(&talkers[i], p->revents, time);
	for (i = 0; i < nr_clients; i++, p++)
		serve_client(&clients[i], p->revents, time);
	close_ranks();
}

static void run(double seconds)
{
	double start = now(), time = start;

	begin_run();
	for (; time < start + seconds; time = now()) {
		add_clients(wanted(time - start));
		signal_sometimes(time);
		look(time);
	}
	for (end_waiting(); nr_clients; time = now())
		look(time);
	if (tallies[DATAGRAMS_LOST].nr > tallies[DATAGRAMS].nr)
		fail("churn: more datagrams are lost than answered");
	print_tallies(tallies, NR_TALLIES);
	print_end();
}

/*
 * main
 */

static void make_text(void)
{
	int i;

	for (i = 0; i < TEXT_SIZE; i++)
		text[i] = text[i + TEXT_SIZE] = (char)chance(256);
}

static void find_daemon(const char *port, const char *pid)
{
	daemon_address = (struct sockaddr_in){
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)atoi(port)),
		.sin_addr = { htonl(INADDR_LOOPBACK) },
	};
	daemon_fd = (int)syscall(SYS_pidfd_open, atoi(pid), 0);
	if (daemon_fd < 0)
		fail("churn: process %s: %s", pid, strerror(errno));
}

int main(int argc, char **argv)
{
	double seconds;
	int i;

	if (argc != 3) {
		fprintf(stderr, "Usage: churn PORT PID\n");
		return 2;
	}
	make_text();
	find_daemon(argv[1], argv[2]);
	for (i = 0; i < NR_TALKERS; i++)
		talkers[i].fd = -1;
	while ((seconds = read_command()) >= 0.)
		run(seconds);
	finish();
}
