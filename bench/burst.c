/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * burst.c - what it costs and saves to keep turns apart when messages come in
 * bursts: evring_set_collect() beside libev's ev_set_io_collect_interval() on
 * epoll, and both beside the same loops whose turns come as the messages do.
 *
 * The server is a process on one CPU, the client is this process on another.
 * A burst is a message of 64 bytes on each connection, one after the other with
 * a random gap, the same gaps for every server; then comes a lull.  The client
 * does not sleep during a burst, so that its own wake-ups are no part of the
 * latency: from just before a message is sent to the end of its answer.  "slow"
 * is the slowest message of a burst, the median of all bursts: as p99 is where
 * nothing else runs, and not moved by what runs now and then.
 *
 * Servers take turns.  CPU is that of the server, as the kernel counted it;
 * turns are those of its loop (ev_iteration()), wake-ups its voluntary context
 * switches: how often it fell asleep.  After that, and apart from it, the same
 * bursts go on while the kernel counts the server's system calls (calls.h).
 *
 * In the end nothing is sent for a long time.  That begins soon after the last
 * answer, when the server sleeps and its interval is not over.
 */
#include "config.h"

#include <err.h>
#include <errno.h>
#include <ev.h>
#include <evring.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "calls.h"
#include "echo/process.h"
#include "row.h"

enum server_idx { EPOLL, AGAIN, INTERVAL, WATCHERS, COLLECT, NR_SERVERS };

static const struct echo_server *const servers[NR_SERVERS] = {
	[EPOLL] = &echo_epoll,	     [AGAIN] = &echo_epoll_again,
	[INTERVAL] = &echo_interval, [WATCHERS] = &echo_ring,
	[COLLECT] = &echo_collect,
};

enum {
	SIZE = 64,
	MAX_CONNECTIONS = ECHO_BACKLOG,
	QUICK_SHARE = 10, /* one in so many, if quick */
	OTHER_SHARE = 4,  /* of the bursts, to warm up and to count calls */
	SETTLE_US = 100	  /* from the last answer to the long lull */
};

static unsigned nr_bursts = 200, nr_connections = 32, gap_us = 24;
static unsigned lull_us = 5000, long_lull_ms = 2000, interval_us = 1000;
static unsigned server_cpu = UINT_MAX;

/* clang-format off */
static const struct bench_option options[] = {
	{ "bursts", &nr_bursts, BENCH_NUMBER, "in each round" },
	{ "clients", &nr_connections, BENCH_NUMBER, "connections, with a message on each" },
	{ "gap", &gap_us, BENCH_NUMBER, "between two messages, on average, us" },
	{ "lull", &lull_us, BENCH_NUMBER, "between two bursts, us" },
	{ "long-lull", &long_lull_ms, BENCH_NUMBER, "in the end, ms" },
	{ "interval", &interval_us, BENCH_NUMBER, "asked for between turns, us" },
	{ "server-cpu", &server_cpu, BENCH_NUMBER, "CPU of the servers; the one before that of the client" },
	{ NULL, NULL, BENCH_NUMBER, NULL }
};
/* clang-format on */

/* Of a message, then of the long lull. */
enum figure_idx {
	P50,
	P99,
	SLOWEST, /* of a burst */
	CPU,
	TURNS,
	WAKES,
	CALLS,
	LULL_CPU,
	LULL_WAKES,
	NR_FIGURES
};

struct figures {
	struct bench_series series[NR_FIGURES];
};

/*
 * the client
 */

struct client {
	int epoll;
	int fds[MAX_CONNECTIONS];
	uint64_t sent_at[MAX_CONNECTIONS];
	size_t missing[MAX_CONNECTIONS]; /* bytes of the answer */
	unsigned short seed[3];
	double slowest; /* microseconds, in this burst */

	/* Microseconds of each message, and of the slowest in each burst. */
	struct bench_series times, slowest_times;
};

static void connect_client(struct client *client, const struct sockaddr_in *to)
{
	struct epoll_event event = { .events = EPOLLIN };
	unsigned i;

	memset(client->seed, 0, sizeof(client->seed));
	bench_series_init(&client->times, nr_bursts * nr_connections);
	bench_series_init(&client->slowest_times, nr_bursts);
	client->epoll = epoll_create1(0);
	for (i = 0; i < nr_connections; i++) {
		client->fds[i] = echo_connect(to);
		event.data.u32 = i;
		epoll_ctl(client->epoll, EPOLL_CTL_ADD, client->fds[i], &event);
	}
}

static void disconnect_client(struct client *client)
{
	unsigned i;

	for (i = 0; i < nr_connections; i++)
		close(client->fds[i]);
	close(client->epoll);
	bench_series_exit(&client->times);
	bench_series_exit(&client->slowest_times);
}

static void say(struct client *client, unsigned i)
{
	static const char message[SIZE];

	client->missing[i] = SIZE;
	client->sent_at[i] = bench_ns();
	if (send(client->fds[i], message, SIZE, MSG_NOSIGNAL) != SIZE)
		err(1, "send");
}

static void note_time(struct client *client, unsigned i)
{
	double us = (double)(bench_ns() - client->sent_at[i]) / 1e3;

	bench_series_add(&client->times, us);
	if (us > client->slowest)
		client->slowest = us;
}

/* Returns 1 when all of the answer was there. */
static unsigned hear(struct client *client, unsigned i)
{
	char buffer[SIZE];
	ssize_t nr =
		recv(client->fds[i], buffer, client->missing[i], MSG_DONTWAIT);

	if (nr <= 0)
		err(1, "recv: %zd", nr);
	client->missing[i] -= (size_t)nr;
	if (client->missing[i])
		return 0;
	note_time(client, i);
	return 1;
}

static unsigned hear_what_is_there(struct client *client)
{
	struct epoll_event events[MAX_CONNECTIONS];
	int i, ready = epoll_wait(client->epoll, events, MAX_CONNECTIONS, 0);
	unsigned nr = 0;

	for (i = 0; i < ready; i++)
		nr += hear(client, events[i].data.u32);
	return nr;
}

/* In nanoseconds; each up to twice the average is as likely. */
static uint64_t random_gap(struct client *client)
{
	return (uint64_t)(erand48(client->seed) * 2e3 * gap_us);
}

static void burst(struct client *client)
{
	unsigned nr_sent = 0, nr_heard = 0;
	uint64_t next = bench_ns();

	client->slowest = 0.;
	while (nr_heard < nr_connections) {
		if (nr_sent < nr_connections && bench_ns() >= next) {
			say(client, nr_sent++);
			next += random_gap(client);
		}
		nr_heard += hear_what_is_there(client);
	}
	bench_series_add(&client->slowest_times, client->slowest);
}

static void stay_silent(unsigned us)
{
	struct timespec ts = {
		.tv_sec = us / 1000000,
		.tv_nsec = us % 1000000 * 1000,
	};

	nanosleep(&ts, NULL);
}

static void forget_times(struct client *client)
{
	client->times.nr = client->slowest_times.nr = 0;
}

static void talk(struct client *client, unsigned nr)
{
	forget_times(client);
	for (; nr; nr--) {
		burst(client);
		stay_silent(lull_us);
	}
}

/*
 * what the server has used so far
 */

struct usage {
	double cpu; /* nanoseconds */
	unsigned turns;
	uint64_t wakes;
};

static uint64_t voluntary_switches(pid_t pid)
{
	static const char key[] = "voluntary_ctxt_switches:";
	char path[32], line[256];
	uint64_t nr = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	file = fopen(path, "re");
	if (!file)
		err(1, "%s", path);
	while (fgets(line, sizeof(line), file))
		if (!strncmp(line, key, sizeof(key) - 1))
			nr = strtoull(line + sizeof(key) - 1, NULL, 10);
	fclose(file);
	return nr;
}

static struct usage read_usage(const struct echo_process *process)
{
	return (struct usage){
		.cpu = echo_process_cpu(process),
		.turns = atomic_load(&process->facts->turns),
		.wakes = voluntary_switches(process->pid),
	};
}

/* Since a usage before. */
static struct usage read_more_usage(const struct echo_process *process,
				    const struct usage *before)
{
	struct usage usage = read_usage(process);

	usage.cpu -= before->cpu;
	usage.turns -= before->turns;
	usage.wakes -= before->wakes;
	return usage;
}

/*
 * figures
 */

static void add(struct figures *figures, enum figure_idx idx, double value)
{
	bench_series_add(&figures->series[idx], value);
}

static void measure_bursts(struct client *client,
			   const struct echo_process *process, unsigned nr,
			   struct figures *figures)
{
	double nr_messages = (double)nr * nr_connections;
	struct usage usage = read_usage(process);

	talk(client, nr);
	usage = read_more_usage(process, &usage);
	add(figures, P50, bench_quantile(&client->times, 0.5));
	add(figures, P99, bench_quantile(&client->times, 0.99));
	add(figures, SLOWEST, bench_median(&client->slowest_times));
	add(figures, CPU, usage.cpu / nr_messages / 1e3);
	add(figures, TURNS, usage.turns / nr_messages);
	add(figures, WAKES, (double)usage.wakes / nr_messages);
}

static void count_calls(struct client *client,
			const struct echo_process *process, unsigned nr,
			struct figures *figures)
{
	int counter = calls_start(process->pid);

	talk(client, nr);
	add(figures, CALLS,
	    (double)calls_stop(counter) / ((double)nr * nr_connections));
}

/* Awake: after a sleep it could be too late. */
static void settle(void)
{
	uint64_t end = bench_ns() + SETTLE_US * UINT64_C(1000);

	while (bench_ns() < end)
		;
}

static void measure_long_lull(struct client *client,
			      const struct echo_process *process,
			      struct figures *figures)
{
	unsigned share = bench_common.quick ? QUICK_SHARE : 1;
	struct usage usage;

	forget_times(client);
	burst(client);
	settle();
	usage = read_usage(process);
	stay_silent(long_lull_ms * 1000 / share);
	usage = read_more_usage(process, &usage);
	add(figures, LULL_CPU, usage.cpu / 1e3);
	add(figures, LULL_WAKES, (double)usage.wakes);
}

static void measure(const struct echo_server *server, bool counts_calls,
		    struct figures *figures)
{
	unsigned nr = bench_common.quick ? nr_bursts / QUICK_SHARE : nr_bursts;
	static struct client client;
	struct echo_process process;

	echo_process_start(&process, server, server_cpu);
	connect_client(&client, &process.address);
	talk(&client, nr / OTHER_SHARE);
	measure_bursts(&client, &process, nr, figures);
	if (counts_calls)
		count_calls(&client, &process, nr / OTHER_SHARE, figures);
	measure_long_lull(&client, &process, figures);
	disconnect_client(&client);
	echo_process_stop(&process);
}

/*
 * what is printed
 */

static void print_head(void)
{
	printf("servers on CPU %u, client on CPU %u; medians\n", server_cpu,
	       bench_common.cpu);
	puts("           ratio to epoll                    of a message, times "
	     "in us                      lull");
	puts("server       p50   p99  slow   CPU  wakes      p50     p99    "
	     "slow"
	     "   CPU  turns  wakes  calls   CPU, us  wakes");
}

static void print_ratios(const struct figures *figures,
			 const struct figures *base)
{
	static const enum figure_idx shown[] = { P50, P99, SLOWEST, CPU,
						 WAKES };
	size_t i;

	for (i = 0; i < sizeof(shown) / sizeof(shown[0]); i++)
		printf(" %5.2f", bench_paired_ratio(&figures->series[shown[i]],
						    &base->series[shown[i]]));
}

static void print_median(const struct bench_series *series, int width,
			 int precision)
{
	if (series->nr)
		printf(" %*.*f", width, precision, bench_median(series));
	else
		printf(" %*s", width, "-");
}

/* What answers late because it was asked to is judged beside its like. */
static enum bench_role role_of(enum server_idx idx, enum server_idx base)
{
	if (idx == base)
		return BENCH_BASE;
	if (idx == AGAIN)
		return BENCH_AGAIN;
	return idx == WATCHERS || (idx == COLLECT && base == INTERVAL)
		       ? BENCH_OURS
		       : BENCH_OTHER;
}

static void write_rows(enum server_idx idx, enum server_idx base,
		       const struct figures *all)
{
	static const struct bench_figure kinds[NR_FIGURES] = {
		[P50] = { "a message, p50", "us" },
		[P99] = { "a message, p99", "us" },
		[SLOWEST] = { "the slowest of a burst", "us" },
		[CPU] = { "CPU for a message", "us" },
		[TURNS] = { "turns for a message", "" },
		[WAKES] = { "wake-ups for a message", "" },
		[CALLS] = { "system calls for a message", "" },
		[LULL_CPU] = { "CPU in the lull", "us" },
		[LULL_WAKES] = { "wake-ups in the lull", "" },
	};
	struct bench_row row = {
		.bench = "burst",
		.cell = "",
		.side = servers[idx]->name,
		.role = role_of(idx, base),
		.base_side = servers[base]->name,
	};

	bench_rows(&row, kinds, all[idx].series, all[base].series, NR_FIGURES);
}

static void print_server(const struct echo_server *server,
			 const struct figures *figures,
			 const struct figures *base)
{
	const struct bench_series *series = figures->series;

	printf("%-10s", server->name);
	print_ratios(figures, base);
	printf("  ");
	print_median(&series[P50], 7, 1);
	print_median(&series[P99], 7, 1);
	print_median(&series[SLOWEST], 7, 1);
	print_median(&series[CPU], 5, 1);
	print_median(&series[TURNS], 6, 3);
	print_median(&series[WAKES], 6, 3);
	print_median(&series[CALLS], 6, 3);
	print_median(&series[LULL_CPU], 9, 0);
	print_median(&series[LULL_WAKES], 6, 0);
	printf("   %s\n", server->about);
}

/* What include/evring.h promises, beside a loop that does not collect. */
static void judge_slowest(const struct figures *figures)
{
	double later =
		bench_paired_difference(&figures[COLLECT].series[SLOWEST],
					&figures[WATCHERS].series[SLOWEST]);

	printf("collect: slowest of a burst %.0f us above that of watchers, of "
	       "%u asked for: %s\n",
	       later, interval_us, bench_verdict(later <= interval_us));
}

static void judge_lull(const struct figures *figures)
{
	double wakes =
		bench_paired_difference(&figures[COLLECT].series[LULL_WAKES],
					&figures[WATCHERS].series[LULL_WAKES]);

	printf("collect: %.0f wake-ups in the lull more than watchers: %s\n",
	       wakes, bench_verdict(wakes <= 0.));
}

/*
 * what can be had here
 */

static bool can_collect(void)
{
	struct ev_loop *loop = evring_loop_new(EVFLAG_NOENV, NULL);
	int r;

	if (!loop)
		err(1, "evring");
	r = evring_set_collect(loop, echo_seconds_apart, 0);
	ev_loop_destroy(loop);
	if (r < 0)
		printf("left out: collect: %s\n", evring_strerror(r));
	return r >= 0;
}

/* The last of the servers is the one that may be missing. */
static void run(void)
{
	bool counts_calls = calls_begin();
	unsigned nr = can_collect() ? NR_SERVERS : COLLECT;
	struct figures figures[NR_SERVERS];
	unsigned round, i, k;

	for (i = 0; i < nr; i++)
		bench_series_init_all(figures[i].series, NR_FIGURES,
				      bench_common.rounds);
	for (round = 0; round < bench_common.rounds; round++)
		for (i = 0; i < nr; i++) {
			k = (round + i) % nr;
			bench_deadline(120);
			measure(servers[k], counts_calls, &figures[k]);
		}
	print_head();
	for (i = 0; i < nr; i++) {
		print_server(servers[i], &figures[i], &figures[EPOLL]);
		write_rows(i, EPOLL, figures);
		if (i == INTERVAL || i == COLLECT) /* what was asked for */
			write_rows(i, INTERVAL, figures);
	}
	if (nr > COLLECT) {
		judge_slowest(figures);
		judge_lull(figures);
	}
	for (i = 0; i < nr; i++)
		bench_series_exit_all(figures[i].series, NR_FIGURES);
}

static void check_options(void)
{
	if (!nr_connections || nr_connections > MAX_CONNECTIONS)
		errx(1, "--clients: 1 to %d", MAX_CONNECTIONS);
	if (nr_bursts < QUICK_SHARE * OTHER_SHARE)
		errx(1, "at least --bursts %d", QUICK_SHARE * OTHER_SHARE);
	if (!interval_us)
		errx(1, "at least --interval 1");
}

int main(int argc, char **argv)
{
	bench_begin(argc, argv, "burst - turns that are kept apart", options);
	check_options();
	if (server_cpu == UINT_MAX)
		server_cpu = bench_other_cpu();
	echo_seconds_apart = interval_us / 1e6;
	echo_counts_turns = true;
	run();
	return 0;
}
