/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ping.c - how long one request takes, one at a time: libev's epoll, the same
 * watchers on evring in each of its forms, and on evring that looks before it
 * sleeps; and by hand, on epoll and on liburing.
 *
 * The server is a process on one CPU, the client is this process on another; it
 * sends 64 bytes and sleeps until they are back.  Servers take turns.  CPU is
 * that of the server for one request, as the kernel counted it.
 *
 * --pause: a program that has little to do.  What it needs for a request, and
 * while it waits for one, is a share of its time then.
 *
 * --port: the client alone, for a server that is there already; it prints the
 * three quantiles, in microseconds.
 */
#include "config.h"

#include <arpa/inet.h>
#include <err.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "calls.h"
#include "echo/process.h"
#include "row.h"

static const struct echo_server *const servers[] = {
	&echo_epoll, &echo_epoll_again, &echo_ring, &echo_copied, &echo_polled,
	&echo_spin,  &echo_auto,	&echo_bare, &echo_uring,
};

enum { NR_SERVERS = sizeof(servers) / sizeof(servers[0]), SIZE = 64 };

static unsigned nr_requests = 20000, server_cpu = UINT_MAX, outside_port;
static unsigned pause_us;

/* clang-format off */
static const struct bench_option options[] = {
	{ "requests", &nr_requests, BENCH_NUMBER, "in each round" },
	{ "pause", &pause_us, BENCH_NUMBER, "microseconds before each request" },
	{ "server-cpu", &server_cpu, BENCH_NUMBER, "CPU of the servers; the one before that of the client" },
	{ "port", &outside_port, BENCH_NUMBER, "of a server on 127.0.0.1, which is there" },
	{ NULL, NULL, BENCH_NUMBER, NULL }
};
/* clang-format on */

enum figure_idx { P50, P99, P999, CPU, CALLS, NR_FIGURES };

struct figures {
	struct bench_series series[NR_FIGURES];
	struct echo_said said;
};

/*
 * the client
 */

static void ask(int fd)
{
	static char message[SIZE];
	size_t got = 0;
	ssize_t r;

	if (send(fd, message, SIZE, MSG_NOSIGNAL) != SIZE)
		err(1, "send");
	while (got < SIZE) {
		r = recv(fd, message + got, SIZE - got, 0);
		if (r <= 0)
			err(1, "recv: %zd", r);
		got += (size_t)r;
	}
}

/* Microseconds of each of nr requests, in times. */
static void ask_often(int fd, unsigned nr, struct bench_series *times)
{
	uint64_t start;
	unsigned i;

	times->nr = 0;
	for (i = 0; i < nr; i++) {
		if (pause_us)
			usleep(pause_us);
		start = bench_ns();
		ask(fd);
		bench_series_add(times, (double)(bench_ns() - start) / 1e3);
	}
}

/*
 * figures
 */

static void add_quantiles(struct figures *figures,
			  const struct bench_series *times)
{
	bench_series_add(&figures->series[P50], bench_quantile(times, 0.5));
	bench_series_add(&figures->series[P99], bench_quantile(times, 0.99));
	bench_series_add(&figures->series[P999], bench_quantile(times, 0.999));
}

static void measure(const struct echo_server *server, unsigned nr,
		    bool counts_calls, struct figures *figures)
{
	struct echo_process process;
	struct bench_series times;
	double cpu;
	int fd, counter;

	bench_series_init(&times, nr);
	echo_process_start(&process, server, server_cpu);
	fd = echo_connect(&process.address);
	ask_often(fd, nr / 10, &times);
	echo_said_begin(&figures->said, &process);
	cpu = echo_process_cpu(&process);
	ask_often(fd, nr, &times);
	bench_series_add(&figures->series[CPU],
			 (echo_process_cpu(&process) - cpu) / nr / 1e3);
	echo_said_end(&figures->said, &process, nr);
	add_quantiles(figures, &times);
	if (counts_calls) {
		counter = calls_start(process.pid);
		ask_often(fd, nr / 10, &times);
		bench_series_add(&figures->series[CALLS],
				 (double)calls_stop(counter) / (nr / 10));
	}
	close(fd);
	echo_process_stop(&process);
	bench_series_exit(&times);
}

static enum bench_role role_of(const struct echo_server *server)
{
	if (server == &echo_epoll)
		return BENCH_BASE;
	if (server == &echo_bare || server == &echo_uring)
		return BENCH_OTHER;
	return server == &echo_epoll_again ? BENCH_AGAIN : BENCH_OURS;
}

static void write_rows(const struct echo_server *server,
		       const struct figures *figures,
		       const struct figures *base)
{
	static const struct bench_figure kinds[NR_FIGURES] = {
		[P50] = { "a request, p50", "us" },
		[P99] = { "a request, p99", "us" },
		[P999] = { "a request, p99.9", "us" },
		[CPU] = { "CPU for a request", "us" },
		[CALLS] = { "system calls for a request", "" },
	};
	struct bench_row row = {
		.bench = "ping",
		.cell = "one client",
		.side = server->name,
		.role = role_of(server),
		.base_side = echo_epoll.name,
	};

	echo_name_row(&row, &figures->said);
	bench_rows(&row, kinds, figures->series, base->series, NR_FIGURES);
}

static void print_server(const struct echo_server *server,
			 const struct figures *figures,
			 const struct figures *base)
{
	const struct bench_series *own = figures->series;
	int i;

	printf("%-10s ", server->name);
	for (i = 0; i <= CPU; i++)
		printf(" %5.2f", bench_paired_ratio(&own[i], &base->series[i]));
	printf("  ");
	for (i = 0; i <= CPU; i++)
		printf(" %6.1f", bench_median(&own[i]));
	bench_print(7, 2, own[CALLS].nr ? bench_median(&own[CALLS]) : NAN);
	bench_print(7, 2, echo_said_enters(&figures->said));
	printf("   %s\n", server->about);
	write_rows(server, figures, base);
}

/* For so many requests, and the tenths beside them. */
static void expect_end(unsigned nr)
{
	bench_deadline(120 + (unsigned)(1.2e-6 * pause_us * nr));
}

static void run(void)
{
	unsigned nr = bench_common.quick ? nr_requests / 10 : nr_requests;
	struct figures figures[NR_SERVERS] = { 0 };
	bool counts_calls = calls_begin();
	unsigned round, i, k;

	for (i = 0; i < NR_SERVERS; i++)
		bench_series_init_all(figures[i].series, NR_FIGURES,
				      bench_common.rounds);
	for (round = 0; round < bench_common.rounds; round++)
		for (i = 0; i < NR_SERVERS; i++) {
			k = (round + i) % NR_SERVERS;
			expect_end(nr);
			measure(servers[k], nr, counts_calls, &figures[k]);
		}
	for (i = 0; i < NR_SERVERS; i++)
		print_server(servers[i], &figures[i], &figures[0]);
	for (i = 0; i < NR_SERVERS; i++)
		bench_series_exit_all(figures[i].series, NR_FIGURES);
}

static void run_outside(void)
{
	struct sockaddr_in to = {
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)outside_port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	struct bench_series times;
	int fd = echo_connect(&to);

	expect_end(nr_requests);
	bench_series_init(&times, nr_requests);
	ask_often(fd, nr_requests / 10, &times);
	ask_often(fd, nr_requests, &times);
	printf("quantiles %.1f %.1f %.1f\n", bench_quantile(&times, 0.5),
	       bench_quantile(&times, 0.99), bench_quantile(&times, 0.999));
	bench_series_exit(&times);
	close(fd);
}

int main(int argc, char **argv)
{
	bench_begin(argc, argv, "ping - one request at a time", options);
	if (nr_requests < 100)
		errx(1, "at least --requests 100");
	if (server_cpu == UINT_MAX)
		server_cpu = bench_other_cpu();
	if (outside_port) {
		run_outside();
		return 0;
	}
	printf("servers on CPU %u, client on CPU %u; medians\n", server_cpu,
	       bench_common.cpu);
	puts("            ratio to epoll            us for a request"
	     "              calls  enters");
	puts("server        p50   p99 p99.9   CPU      p50    p99  p99.9"
	     "    CPU of a request");
	run();
	return 0;
}
