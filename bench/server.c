/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * server.c - the CPU and the system calls that an echo server needs for a
 * message: by hand on liburing, on evring's operations and its watchers for
 * sockets, on libev's watchers, and on other event libraries.
 *
 * The server is a process, the clients are this process: each sends a message,
 * waits until all of it has come back, and sends the next.  Both are on one
 * CPU and do not interrupt each other (SCHED_BATCH): the server runs when the
 * clients wait for it, and finds the messages of all of them, as a server does
 * that has no time to spare.  With --server-cpu it has a CPU of its own: it is
 * as fast as its clients then, sleeps between their messages, and much of what
 * is measured is falling asleep and waking up.
 *
 * Servers take turns; CPU time is what the kernel counted for the process
 * between the first and the last message of a round (user and system); enters
 * of evring's ring are what evring says of itself.
 * After that, and apart from it, the same clients talk on while the kernel
 * counts the system calls of the server (calls.h).  The server on liburing is
 * there twice: a difference as large as that of "again" means nothing.
 *
 * In the last cells each message has a connection of its own, which is made,
 * used and closed: the figures are those of accept and close, too.
 */
#include "config.h"

#include <err.h>
#include <limits.h>
#include <math.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "calls.h"
#include "echo/process.h"
#include "row.h"

enum server_idx {
	URING,
	URING_AGAIN,
	OPERATIONS,
	SOCKETS,
	WATCHERS,
	EPOLL,
	BARE,
	LIBUV,
	LIBEVENT,
	NR_SERVERS
};

static void serve_uring(int listener)
{
	echo_uring.serve(listener);
}

/* Its ratio would be 1 on a machine without noise. */
static const struct echo_server uring_again = { "again", "liburing, again",
						serve_uring };

/* NULL: not built. */
static const struct echo_server *const servers[NR_SERVERS] = {
	[URING] = &echo_uring,	     [URING_AGAIN] = &uring_again,
	[OPERATIONS] = &echo_ops,    [SOCKETS] = &echo_sockets,
	[WATCHERS] = &echo_ring,     [EPOLL] = &echo_epoll,
	[BARE] = &echo_bare,
#ifdef HAVE_LIBUV
	[LIBUV] = &echo_libuv,
#endif
#ifdef HAVE_LIBEVENT
	[LIBEVENT] = &echo_libevent,
#endif
};

enum {
	MAX_CLIENTS = ECHO_BACKLOG,
	MAX_SIZE = ECHO_BUFFER_SIZE,
	CALLS_SHARE = 4, /* of the messages, one in so many for counting */
	CHURN_SHARE = 20 /* and where each has a connection */
};

static unsigned nr_messages = 40000, server_cpu = UINT_MAX;
static unsigned only_size, only_nr_clients, only_churn;
static const char *only_servers;
static bool counts_calls;

/* Those asked for, in order. */
static enum server_idx chosen[NR_SERVERS];
static unsigned nr_chosen;

/* clang-format off */
static const struct bench_option options[] = {
	{ "messages", &nr_messages, BENCH_NUMBER, "in each round" },
	{ "server-cpu", &server_cpu, BENCH_NUMBER, "one of its own" },
	{ "size", &only_size, BENCH_NUMBER, "of a message, 0: 64 and 4096" },
	{ "clients", &only_nr_clients, BENCH_NUMBER, "0: 1, 16, 256 and 1000" },
	{ "churn", &only_churn, BENCH_SWITCH, "a connection for each message; 16 clients" },
	{ "server", &only_servers, BENCH_TEXT, "names, with commas between" },
	{ NULL, NULL, BENCH_NUMBER, NULL }
};
/* clang-format on */

struct cell {
	unsigned size, nr_clients;
	bool is_churn; /* a connection for each message */
};

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
	unsigned i;

	clients->epoll = epoll_create1(0);
	for (i = 0; i < clients->nr; i++) {
		clients->fds[i] = echo_connect(to);
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

/* All clients at once, once, and anew until there were nr messages. */
static void churn(struct clients *clients, const struct sockaddr_in *to,
		  unsigned nr)
{
	for (; nr; nr -= clients->nr) {
		connect_clients(clients, to);
		talk(clients, clients->nr);
		disconnect_clients(clients);
	}
}

/*
 * figures
 */

struct figures {
	struct bench_series cpu;   /* nanoseconds of CPU for a message */
	struct bench_series calls; /* system calls for a message */
	struct echo_said said;
};

/* As the cell wants it: on connections that are there, or with new ones. */
static void exchange(const struct cell *cell, struct clients *clients,
		     const struct echo_process *process, unsigned nr)
{
	if (cell->is_churn)
		churn(clients, &process->address, nr);
	else
		talk(clients, nr);
}

/* So that each client has as many. */
static unsigned round_up(unsigned nr, const struct cell *cell)
{
	return (nr / cell->nr_clients + 1) * cell->nr_clients;
}

/* The CPU time of nr messages, and apart from it the calls of fewer. */
static void measure_exchange(const struct cell *cell, struct clients *clients,
			     unsigned nr, const struct echo_process *process,
			     struct figures *figures)
{
	unsigned nr_counted = nr / CALLS_SHARE;
	double cpu;
	int counter;

	if (cell->is_churn) {
		nr = round_up(nr / CHURN_SHARE, cell);
		nr_counted = round_up(nr / CALLS_SHARE, cell);
	}
	exchange(cell, clients, process, clients->nr * 4);
	echo_said_begin(&figures->said, process);
	cpu = echo_process_cpu(process);
	exchange(cell, clients, process, nr);
	bench_series_add(&figures->cpu, (echo_process_cpu(process) - cpu) / nr);
	echo_said_end(&figures->said, process, nr);
	if (!counts_calls)
		return;
	counter = calls_start(process->pid);
	exchange(cell, clients, process, nr_counted);
	bench_series_add(&figures->calls,
			 (double)calls_stop(counter) / nr_counted);
}

static void measure(const struct cell *cell, const struct echo_server *server,
		    struct figures *figures)
{
	unsigned nr = bench_common.quick ? nr_messages / 10 : nr_messages;
	struct clients clients = { .nr = cell->nr_clients, .size = cell->size };
	struct echo_process process;

	echo_process_start(&process, server, server_cpu);
	if (!cell->is_churn)
		connect_clients(&clients, &process.address);
	measure_exchange(cell, &clients, nr, &process, figures);
	if (!cell->is_churn)
		disconnect_clients(&clients);
	echo_process_stop(&process);
}

/* Of what was measured in one round, and of the minima. */
static void print_ratios(const struct bench_series *series,
			 const struct bench_series *base)
{
	if (base->nr)
		printf(" %5.2f %5.2f ", bench_paired_ratio(series, base),
		       bench_min(series) / bench_min(base));
	else
		printf("     -     - ");
}

static enum bench_role role_of(enum server_idx idx, enum server_idx base)
{
	if (idx == base)
		return BENCH_BASE;
	if (idx == OPERATIONS || idx == SOCKETS || idx == WATCHERS)
		return BENCH_OURS;
	return idx == URING_AGAIN && base == URING ? BENCH_AGAIN : BENCH_OTHER;
}

/* Against libev's epoll and against liburing by hand, where they are there. */
static void write_rows(const struct cell *cell, enum server_idx idx,
		       const struct figures *all)
{
	static const enum server_idx bases[] = { EPOLL, URING };
	char name[64];
	struct bench_row row = { .bench = "server", .cell = name };
	int i;

	snprintf(name, sizeof(name), "%u bytes, %u client%s%s", cell->size,
		 cell->nr_clients, cell->nr_clients == 1 ? "" : "s",
		 cell->is_churn ? ", churn" : "");
	echo_name_row(&row, &all[idx].said);
	row.side = idx == URING_AGAIN ? uring_again.about : servers[idx]->name;
	for (i = 0; i < 2; i++) {
		row.base_side = servers[bases[i]]->name;
		row.role = role_of(idx, bases[i]);
		row.figure = "CPU for a message";
		row.unit = "ns";
		row.series = &all[idx].cpu;
		row.base = &all[bases[i]].cpu;
		bench_row(&row);
		row.figure = "system calls for a message";
		row.unit = "";
		row.series = &all[idx].calls;
		row.base = &all[bases[i]].calls;
		bench_row(&row);
	}
}

static void print_server(const struct cell *cell, enum server_idx idx,
			 const struct figures *all)
{
	const struct figures *own = &all[idx];

	printf("%5u %5u  %-10s ", cell->size, cell->nr_clients,
	       servers[idx]->name);
	print_ratios(&own->cpu, &all[URING].cpu);
	print_ratios(&own->cpu, &all[EPOLL].cpu);
	printf(" %7.0f %7.0f ", bench_median(&own->cpu), bench_min(&own->cpu));
	bench_print(8, 3, own->calls.nr ? bench_median(&own->calls) : NAN);
	bench_print(8, 3, echo_said_enters(&own->said));
	putchar('\n');
	write_rows(cell, idx, all);
}

static void run_cell(const struct cell *cell)
{
	struct figures figures[NR_SERVERS];
	unsigned round, k;
	enum server_idx idx;

	for (k = 0; k < NR_SERVERS; k++) {
		bench_series_init(&figures[k].cpu, bench_common.rounds);
		bench_series_init(&figures[k].calls, bench_common.rounds);
		memset(&figures[k].said, 0, sizeof(figures[k].said));
	}
	for (round = 0; round < bench_common.rounds; round++)
		for (k = 0; k < nr_chosen; k++) {
			idx = chosen[(round + k) % nr_chosen];
			bench_deadline(120);
			measure(cell, servers[idx], &figures[idx]);
		}
	for (k = 0; k < nr_chosen; k++)
		print_server(cell, chosen[k], figures);
	for (k = 0; k < NR_SERVERS; k++) {
		bench_series_exit(&figures[k].cpu);
		bench_series_exit(&figures[k].calls);
	}
}

static void run_sizes(unsigned nr_clients, bool is_churn)
{
	static const unsigned sizes[] = { 64, MAX_SIZE };
	struct cell cell = { only_size, nr_clients, is_churn };
	size_t i;

	if (only_size) {
		run_cell(&cell);
		return;
	}
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		cell.size = sizes[i];
		run_cell(&cell);
	}
}

static void run_churn(void)
{
	static const struct cell cells[] = { { 64, 1, true },
					     { 64, 16, true },
					     { 64, 256, true } };
	size_t i;

	printf("a connection for each message\n");
	for (i = 0; i < sizeof(cells) / sizeof(cells[0]); i++)
		run_cell(&cells[i]);
}

static void run_cells(void)
{
	static const unsigned numbers[] = { 1, 16, 256, MAX_CLIENTS };
	size_t i;

	if (only_nr_clients || only_churn) {
		run_sizes(only_nr_clients ? only_nr_clients : 16, only_churn);
		return;
	}
	for (i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		run_sizes(numbers[i], false);
	run_churn();
}

/*
 * what is asked for
 */

static enum server_idx server_by_name(const char *name, size_t size)
{
	enum server_idx idx;

	for (idx = 0; idx < NR_SERVERS; idx++)
		if (servers[idx] && strlen(servers[idx]->name) == size &&
		    !memcmp(servers[idx]->name, name, size))
			return idx;
	printf("servers:");
	for (idx = 0; idx < NR_SERVERS; idx++)
		if (servers[idx])
			printf(" %s", servers[idx]->name);
	printf("\n");
	errx(1, "--server: there is no %.*s", (int)size, name);
}

static void choose_servers(void)
{
	bool is_chosen[NR_SERVERS] = { false };
	const char *name = only_servers;
	enum server_idx idx;
	size_t size;

	while (name) {
		size = strcspn(name, ",");
		is_chosen[server_by_name(name, size)] = true;
		name = name[size] ? name + size + 1 : NULL;
	}
	for (idx = 0; idx < NR_SERVERS; idx++)
		if (servers[idx] && (!only_servers || is_chosen[idx]))
			chosen[nr_chosen++] = idx;
}

static void check_options(void)
{
	if (only_size > MAX_SIZE || only_nr_clients > MAX_CLIENTS)
		errx(1, "at most --size %d --clients %d", MAX_SIZE,
		     MAX_CLIENTS);
	if (nr_messages < MAX_CLIENTS * CALLS_SHARE)
		errx(1, "at least --messages %d", MAX_CLIENTS * CALLS_SHARE);
}

static void print_libraries(void)
{
#ifdef HAVE_LIBUV
	printf("libuv %s\n", echo_libuv_version());
#else
	printf("left out: libuv: not found by configure\n");
#endif
#ifdef HAVE_LIBEVENT
	printf("libevent %s\n", echo_libevent_version());
#else
	printf("left out: libevent: not found by configure\n");
#endif
}

static void choose_cpu(void)
{
	const struct sched_param param = { 0 };

	if (server_cpu == UINT_MAX)
		server_cpu = bench_common.cpu;
	if (server_cpu == bench_common.cpu &&
	    sched_setscheduler(0, SCHED_BATCH, &param))
		err(1, "SCHED_BATCH");
	printf("servers on CPU %u, clients on CPU %u\n", server_cpu,
	       bench_common.cpu);
}

int main(int argc, char **argv)
{
	bench_begin(argc, argv, "server - CPU and system calls for a message",
		    options);
	check_options();
	choose_cpu();
	choose_servers();
	print_libraries();
	counts_calls = calls_begin();
	puts("                      CPU ratio to   ratio to");
	puts("                      liburing       epoll         CPU, ns"
	     "          calls  enters");
	puts(" size clients server  median  min    median  min    median     "
	     "min"
	     "    of a message");
	run_cells();
	return 0;
}
