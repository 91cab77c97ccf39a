/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * echo.c - a TCP and UDP echo daemon on libev, in two styles.
 *
 * --style watchers: a libev program gains io_uring by one call,
 *evring_attach(), and keeps everything else.  The ev_io, ev_timer and ev_signal
 *watchers would be the same without it (--epoll shows that).
 *
 * --style operations: the same daemon, as one would write it for io_uring:
 * watchers are requests, and what was received is sent from where it is.
 *
 * The rest, which both have from daemon/, is what an echo daemon needs when
 * strangers talk to it: bounds on memory, descriptors and time, and an end that
 * loses nothing.
 *
 * Kernel: 6.13 for the region tier, 5.11 for the copied tier; anything older,
 * or a system that forbids io_uring, is said in one line and served by libev's
 * own epoll backend, unless it is to be by operations.
 *
 *	./echo --listen 127.0.0.1:7777 --listen '[::1]:7777' --stats
 *	echo hello | nc -N 127.0.0.1 7777
 *	echo hello | socat -t1 - UDP:127.0.0.1:7777
 *	head -c 1000000 /dev/urandom | socat -t9 - TCP:127.0.0.1:7777 | wc -c
 *	kill -USR1 PID		statistics on stderr
 *	kill PID		graceful end
 */
#include "echo.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct echo_options echo_options = {
	.buffer = 65536,
	.nr_ticks = 1000,
};

static const char *style_name = "watchers";
static const struct echo_style *style = &echo_watchers;
static _Atomic uint64_t nr_served; /* of all workers, if there is a limit */

/* clang-format off */
static const struct daemon_option options[] = {
	{ .name = "style", .form = "STYLE", .kind = OPTION_TEXT,
	  .value = &style_name,
	  .help = "watchers: of libev, which evring only waits for; or"
		  " operations: requests\n\tof io_uring.  Default watchers." },
	{ .name = "tcp-only", .kind = OPTION_FLAG,
	  .value = &echo_options.tcp_only,
	  .help = "Serve TCP only.  Default: TCP and UDP." },
	{ .name = "udp-only", .kind = OPTION_FLAG,
	  .value = &echo_options.udp_only,
	  .help = "Serve UDP only.  Default: TCP and UDP." },
	{ .name = "buffer", .form = "BYTES", .kind = OPTION_COUNT,
	  .value = &echo_options.buffer, .min = 1, .max = 16 << 20,
	  .help = "Of what one peer sent and has not taken back; no more is"
		  " read from it\n\twhile there is so much." },
	{ .name = "tick", .form = "SECONDS", .kind = OPTION_SECONDS,
	  .value = &echo_options.tick, .min = 0, .max = 3600,
	  .help = "Measure how late timers of this length are, as 0.0002;"
		  " 0 for off." },
	{ .name = "ticks", .form = "NUMBER", .kind = OPTION_COUNT,
	  .value = &echo_options.nr_ticks, .min = 1, .max = 1e6,
	  .help = "Timers that --tick runs, one after the other; then"
		  " \"ticks done=NUMBER\"\n\tis printed." },
	{ .name = "requests", .form = "NUMBER", .kind = OPTION_COUNT,
	  .value = &echo_options.max_requests, .min = 0, .max = 1e15,
	  .help = "End as if by SIGTERM after so many reads and datagrams;"
		  " 0 for never." },
};

#define COUNTER(name) { #name, offsetof(struct echo_worker, name) }

static const struct daemon_counter counters[] = {
	COUNTER(tcp_requests),
	COUNTER(udp_requests),
	COUNTER(udp_bytes_in),
	COUNTER(udp_bytes_out),
	COUNTER(udp_dropped),
	COUNTER(timers),
};
/* clang-format on */

void echo_served(struct worker *worker, counter *requests)
{
	uint64_t max = echo_options.max_requests;

	(void)worker;
	count(requests, 1);
	if (max != 0 && ++nr_served >= max)
		daemon_stop();
}

static int refuse(const char *why)
{
	complain("%s", why);
	return EXIT_USAGE;
}

static int configure(int nr_arguments, char **arguments)
{
	bool by_operations = strcmp(style_name, "operations") == 0;

	(void)nr_arguments, (void)arguments;
	if (echo_options.tcp_only && echo_options.udp_only)
		return refuse("--tcp-only and --udp-only exclude each other");
	if (!by_operations && strcmp(style_name, "watchers") != 0)
		return refuse("--style wants watchers or operations");
	if (by_operations && daemon_options.epoll)
		return refuse("--epoll excludes --style=operations");
	if (by_operations)
		style = &echo_operations;
	daemon_options.by_watchers = !by_operations;
	daemon_options.tcp_only = echo_options.tcp_only;
	daemon_options.udp_only = echo_options.udp_only;
	return EXIT_SUCCESS;
}

static int begin(struct worker *worker)
{
	int r = style->begin(worker);

	return r == 0 ? echo_ticks_begin(worker) : r;
}

static void on_connection(struct worker *worker, int fd)
{
	style->on_connection(worker, fd);
}

static int on_udp(struct worker *worker, int fd)
{
	return style->on_udp(worker, fd);
}

static void stop(struct worker *worker)
{
	echo_ticks_stop(worker);
	style->stop(worker);
}

static void cut(struct worker *worker)
{
	style->cut(worker);
}

static void end(struct worker *worker)
{
	style->end(worker);
}

static void print_stats(struct worker *const *workers, unsigned nr)
{
	(void)workers, (void)nr;
	echo_ticks_print();
}

static const struct daemon echo_daemon = {
	.name = "echo",
	.about = "TCP and UDP echo daemon on libev, waiting on io_uring through"
		 " evring.",
	.options = options,
	.nr_options = NR_OF(options),
	.counters = counters,
	.nr_counters = NR_OF(counters),
	.worker_size = sizeof(struct echo_worker),
	.default_port = 7777,
	.may_do_without_ring = true,
	.has_udp = true,
	.configure = configure,
	.begin = begin,
	.on_connection = on_connection,
	.on_udp = on_udp,
	.stop = stop,
	.cut = cut,
	.end = end,
	.print_stats = print_stats,
};

int main(int argc, char **argv)
{
	return daemon_main(&echo_daemon, argc, argv);
}
