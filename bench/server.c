/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * server.c - the CPU and the system calls that an echo server needs for a
 * message: on evring's operations, by hand on liburing, and on libev's
 * watchers.
 *
 * The server is a process on one CPU, the clients are this process on another:
 * each sends a message, waits until all of it has come back, and sends the
 * next.  Servers take turns; CPU time is what the kernel counted for the
 * process between the first and the last message of a round (user and system).
 */
#include "config.h"

#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"
#include "echo/echo.h"

static const struct echo_server *const servers[] = { &echo_uring, &echo_ops,
						     &echo_epoll, &echo_ring };

enum {
	NR_SERVERS = sizeof(servers) / sizeof(servers[0]),
	BASE = 0, /* what the others are compared with */
	MAX_CLIENTS = 1000,
	MAX_SIZE = 4096
};

static unsigned nr_messages = 40000, server_cpu;

/* clang-format off */
static const struct bench_option options[] = {
	{ "messages", &nr_messages, BENCH_NUMBER, "in each round" },
	{ "server-cpu", &server_cpu, BENCH_NUMBER, "CPU of the servers" },
	{ NULL, NULL, BENCH_NUMBER, NULL }
};

static const struct cell {
	unsigned size, nr_clients;
} cells[] = {
	{ 64, 1 }, { 64, 16 }, { 64, 256 }, { 64, 1000 },
	{ 4096, 1 }, { 4096, 16 }, { 4096, 256 }, { 4096, 1000 },
};
/* clang-format on */

/*
 * a server
 */

struct running {
	pid_t pid;
	clockid_t clock; /* of its CPU time */
	struct sockaddr_in address;
	struct echo_counts *counts; /* shared */
};

static void stay_on(unsigned cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set) < 0)
		err(1, "CPU %u", cpu);
}

static int open_listener(struct sockaddr_in *ret_address)
{
	socklen_t size = sizeof(*ret_address);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	memset(ret_address, 0, sizeof(*ret_address));
	ret_address->sin_family = AF_INET;
	ret_address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || bind(fd, (struct sockaddr *)ret_address, size) < 0 ||
	    listen(fd, MAX_CLIENTS) < 0 ||
	    getsockname(fd, (struct sockaddr *)ret_address, &size) < 0)
		err(1, "listener");
	return fd;
}

static void start_server(struct running *running,
			 const struct echo_server *server)
{
	int fd = open_listener(&running->address);

	running->counts =
		mmap(NULL, sizeof(*running->counts), PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (running->counts == MAP_FAILED)
		err(1, "memory");
	fflush(stdout);
	running->pid = fork();
	if (running->pid < 0)
		err(1, "fork");
	if (!running->pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		stay_on(server_cpu);
		server->serve(fd, running->counts);
		_exit(1);
	}
	close(fd);
	if (clock_getcpuclockid(running->pid, &running->clock))
		errx(1, "no clock of another process");
}

static void stop_server(struct running *running)
{
	kill(running->pid, SIGKILL);
	waitpid(running->pid, NULL, 0);
	munmap(running->counts, sizeof(*running->counts));
}

/*
 * clients
 */

struct clients {
	int epoll;
	unsigned nr, size;
	int fds[MAX_CLIENTS];
	unsigned missing[MAX_CLIENTS]; /* bytes of the answer */
};

static char message[MAX_SIZE];

static void say(const struct clients *clients, unsigned i)
{
	if (send(clients->fds[i], message, clients->size, MSG_NOSIGNAL) !=
	    (ssize_t)clients->size)
		err(1, "send");
}

static void connect_clients(struct clients *clients,
			    const struct sockaddr_in *to)
{
	struct epoll_event event = { .events = EPOLLIN };
	int on = 1;
	unsigned i;

	clients->epoll = epoll_create1(0);
	for (i = 0; i < clients->nr; i++) {
		clients->fds[i] = socket(AF_INET, SOCK_STREAM, 0);
		if (connect(clients->fds[i], (const struct sockaddr *)to,
			    sizeof(*to)) < 0)
			err(1, "connect");
		setsockopt(clients->fds[i], IPPROTO_TCP, TCP_NODELAY, &on,
			   sizeof(on));
		event.data.u32 = i;
		epoll_ctl(clients->epoll, EPOLL_CTL_ADD, clients->fds[i],
			  &event);
	}
}

static void disconnect_clients(struct clients *clients)
{
	unsigned i;

	for (i = 0; i < clients->nr; i++)
		close(clients->fds[i]);
	close(clients->epoll);
}

/* Returns 1 when all of the answer was there. */
static unsigned hear(struct clients *clients, unsigned i)
{
	char buffer[MAX_SIZE];
	ssize_t nr =
		recv(clients->fds[i], buffer, sizeof(buffer), MSG_DONTWAIT);

	if (nr <= 0)
		err(1, "recv: %zd", nr);
	clients->missing[i] -= (unsigned)nr;
	if (clients->missing[i])
		return 0;
	clients->missing[i] = clients->size;
	return 1;
}

/* All clients at once, each with the next message when it has its answer. */
static void talk(struct clients *clients, unsigned nr)
{
	struct epoll_event events[MAX_CLIENTS];
	unsigned sent = 0, heard = 0, i;
	int k, ready;

	for (i = 0; i < clients->nr; i++) {
		clients->missing[i] = clients->size;
		say(clients, i);
		sent++;
	}
	while (heard < sent) {
		ready = epoll_wait(clients->epoll, events, MAX_CLIENTS, -1);
		for (k = 0; k < ready; k++) {
			i = events[k].data.u32;
			if (!hear(clients, i))
				continue;
			heard++;
			if (sent < nr) {
				say(clients, i);
				sent++;
			}
		}
	}
}

/*
 * figures
 */

struct figures {
	struct bench_series cpu;   /* nanoseconds of CPU for a message */
	struct bench_series calls; /* system calls for a message */
};

static double cpu_of(const struct running *running)
{
	struct timespec ts;

	clock_gettime(running->clock, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static void measure(const struct cell *cell, const struct echo_server *server,
		    struct figures *figures)
{
	unsigned nr = bench_common.quick ? nr_messages / 10 : nr_messages;
	struct clients clients = { .nr = cell->nr_clients, .size = cell->size };
	struct running running;
	uint64_t calls, messages;
	double cpu;

	start_server(&running, server);
	connect_clients(&clients, &running.address);
	talk(&clients, clients.nr * 4);
	cpu = cpu_of(&running);
	calls = running.counts->calls;
	messages = running.counts->messages;
	talk(&clients, nr);
	cpu = cpu_of(&running) - cpu;
	messages = running.counts->messages - messages;
	bench_series_add(&figures->cpu, cpu / nr);
	bench_series_add(&figures->calls,
			 (double)(running.counts->calls - calls) / nr);
	if (messages < nr)
		errx(1, "%s: heard of %llu messages only", server->name,
		     (unsigned long long)messages);
	disconnect_clients(&clients);
	stop_server(&running);
}

static double median_ratio(const struct bench_series *a,
			   const struct bench_series *b)
{
	return bench_median(a) / bench_median(b);
}

static void print_cell(const struct cell *cell, const struct figures *figures)
{
	int k;

	for (k = 0; k < NR_SERVERS; k++)
		printf("%5u B %5u  %-11s %5.2f %5.2f  %7.0f %7.0f ns  %6.3f\n",
		       cell->size, cell->nr_clients, servers[k]->name,
		       median_ratio(&figures[k].cpu, &figures[BASE].cpu),
		       bench_min(&figures[k].cpu) /
			       bench_min(&figures[BASE].cpu),
		       bench_median(&figures[k].cpu),
		       bench_min(&figures[k].cpu),
		       bench_median(&figures[k].calls));
	fflush(stdout);
}

static void run_cell(const struct cell *cell)
{
	struct figures figures[NR_SERVERS];
	unsigned round, k;

	for (k = 0; k < NR_SERVERS; k++) {
		bench_series_init(&figures[k].cpu, bench_common.rounds);
		bench_series_init(&figures[k].calls, bench_common.rounds);
	}
	for (round = 0; round < bench_common.rounds; round++)
		for (k = 0; k < NR_SERVERS; k++) {
			bench_deadline(120);
			measure(cell, servers[(round + k) % NR_SERVERS],
				&figures[(round + k) % NR_SERVERS]);
		}
	print_cell(cell, figures);
	for (k = 0; k < NR_SERVERS; k++) {
		bench_series_exit(&figures[k].cpu);
		bench_series_exit(&figures[k].calls);
	}
}

int main(int argc, char **argv)
{
	size_t i;

	bench_begin(argc, argv, "server - CPU and system calls for a message",
		    options);
	puts("   size clients server      ratio   (min)   median     min CPU "
	     "  calls for a message");
	for (i = 0; i < sizeof(cells) / sizeof(cells[0]); i++)
		run_cell(&cells[i]);
	return 0;
}
