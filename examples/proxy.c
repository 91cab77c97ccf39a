/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * proxy.c - a TCP forwarder: what comes from a client goes to a server and
 * back, as it is.  Here are its options; proxy-session.c is what it does.
 *
 * It shows operations of three kinds together: receiving into a group of
 * buffers, sending from the same buffers, and linked requests (a connect that
 * has a time limit).
 *
 * Kernel: 5.11 at least; 6.0 receives with one request for many buffers.
 *
 *	./proxy --listen 127.0.0.1:7070 --to 127.0.0.1:80 --to '[::1]:80'
 *	curl http://127.0.0.1:7070/
 *	kill -USR1 PID		statistics on stderr
 *	kill PID		no new connections; those that are there go on
 *				until they end, or for --grace seconds
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "proxy.h"

#include <netinet/in.h>

struct proxy_options proxy_options = {
	.buffer = 256 << 10,
	.connect_timeout = 5.,
};

/* clang-format off */
static const struct daemon_option options[] = {
	{ .name = "to", .form = "ADDR:PORT", .kind = OPTION_ENDPOINTS,
	  .value = &proxy_options.targets,
	  .help = "Server to forward to.  May be repeated: they take turns, and"
		  " when one\n\tcannot be had the next is tried." },
	{ .name = "connect-timeout", .form = "SECONDS", .kind = OPTION_SECONDS,
	  .value = &proxy_options.connect_timeout, .min = 0.001, .max = 86400,
	  .help = "Time for a server to take a connection." },
	{ .name = "buffer", .form = "BYTES", .kind = OPTION_COUNT,
	  .value = &proxy_options.buffer, .min = 1, .max = 1 << 30,
	  .help = "Hold so much in each direction of a connection for who reads"
		  " slowly,\n\tin whole buffers, then read no more." },
};

#define COUNTER(name, member) { name, offsetof(struct proxy_worker, member) }

static const struct daemon_counter counters[] = {
	COUNTER("sessions", nr_sessions),
	COUNTER("sessions_given_up", nr_given_up),
	COUNTER("connects", nr_connects),
	COUNTER("connects_failed", nr_failed),
	COUNTER("connects_timed_out", nr_late),
	COUNTER("bytes_to_servers", bytes_to[SERVER]),
	COUNTER("bytes_to_clients", bytes_to[CLIENT]),
	COUNTER("pauses", nr_pauses),
	COUNTER("sessions_broken_off", nr_broken_off),
	COUNTER("buffers_copied", nr_copies),
};
/* clang-format on */

static uint16_t port_of(const struct sockaddr_storage *address)
{
	if (address->ss_family == AF_INET6)
		return ((const struct sockaddr_in6 *)address)->sin6_port;
	return ((const struct sockaddr_in *)address)->sin_port;
}

static bool may_connect(const struct endpoint *to)
{
	return !to->is_any && port_of(&to->address);
}

static int configure(int nr_arguments, char **arguments)
{
	struct __kernel_timespec *limit = &proxy_options.limit;
	unsigned i;

	(void)nr_arguments;
	(void)arguments;
	if (!proxy_options.targets.nr) {
		complain("--to is missing: say where to forward to");
		return EXIT_USAGE;
	}
	for (i = 0; i < proxy_options.targets.nr; i++) {
		if (may_connect(&proxy_options.targets.at[i]))
			continue;
		complain("--to wants an address and a port to connect to");
		return EXIT_USAGE;
	}
	limit->tv_sec = (long long)proxy_options.connect_timeout;
	limit->tv_nsec = (long long)((proxy_options.connect_timeout -
				      (double)limit->tv_sec) *
				     1e9);
	return 0;
}

static int begin(struct worker *worker)
{
	struct proxy_worker *proxy = proxy_of(worker);
	int r = chunks_init(proxy);

	if (r < 0)
		complain("no memory for %u buffers", worker->group.nr_buffers);
	proxy->next_target = worker->index;
	return r;
}

static void end(struct worker *worker)
{
	chunks_exit(proxy_of(worker));
}

static const struct daemon proxy = {
	.name = "proxy",
	.about = "Forward TCP connections to a server, or to several in turn.\n"
		 "A forwarded connection counts as two for --max-connections.",
	.options = options,
	.nr_options = NR_OF(options),
	.counters = counters,
	.nr_counters = NR_OF(counters),
	.worker_size = sizeof(struct proxy_worker),
	.default_port = 7070,
	.configure = configure,
	.begin = begin,
	.on_connection = session_begin,
	.cut = sessions_cut,
	.end = end,
};

int main(int argc, char **argv)
{
	daemon_options.max_connections = 2000;
	return daemon_main(&proxy, argc, argv);
}
