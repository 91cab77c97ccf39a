/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * echo.c - a TCP and UDP echo daemon on plain libev watchers, with evring
 * doing the waiting.
 *
 * It shows that a libev program gains io_uring by one call, evring_attach(),
 * and keeps everything else: the ev_io, ev_timer and ev_signal watchers below
 * would be the same without it (--epoll shows that).  The rest is what an echo
 * daemon needs when strangers talk to it: bounds on memory, descriptors and
 * time, and an end that loses nothing.
 *
 * Kernel: 6.13 for the region tier, 5.11 for the copied tier; anything older,
 * or a system that forbids io_uring, is said in one line and served by libev's
 * own epoll backend.
 *
 *	./echo --listen 127.0.0.1:7777 --listen '[::1]:7777' --stats
 *	echo hello | nc -N 127.0.0.1 7777
 *	echo hello | socat -t1 - UDP:127.0.0.1:7777
 *	head -c 1000000 /dev/urandom | socat -t9 - TCP:127.0.0.1:7777 | wc -c
 *	kill -USR1 PID		statistics on stderr
 *	kill PID		graceful end
 *
 * What to know about sockets:
 *
 * a) close() with unread bytes resets the connection and takes with it what
 *    the peer has not yet received.  Hence LINGERING.
 * b) accept() reports network errors of a connection that is gone; the next
 *    one may be well.  Without a free descriptor it leaves the connection in
 *    the queue, so the listener stays readable: asking again at once spins.
 * c) A UDP socket on a wildcard address answers from an address of the
 *    kernel's choice unless told.  The control message that says where a
 *    datagram arrived is sent back with the answer.
 * d) UDP senders can be forged, and an answer goes to whoever was named.  The
 *    default address is therefore the loopback one.
 *
 * State of a connection, and the function that moves it:
 *
 *   READING   -> WRITING    [on_connection]  the peer takes less than it sends
 *   WRITING   -> READING    [on_connection]  all of it is sent
 *   READING   -> LINGERING  [finish]         the daemon stops
 *   WRITING   -> LINGERING  [finish]         the daemon stops, all is sent
 *   any       -> gone       [connection_free]
 *
 * Invariants:
 *
 * (1) The buffer holds unsent bytes only in WRITING.  A peer's end of stream
 *     is seen in READING, so all that came before it has been echoed.
 * (2) A listener is watched if and only if may_accept() says so.
 * (3) A function that found a connection over says so and leaves it; its
 *     callback frees it, and touches it no more.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* accept4, struct in6_pktinfo */
#endif

#include <evring.h>

#include <arpa/inet.h>
#include <errno.h>
#include <ev.h>
#include <getopt.h>
#include <inttypes.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define NR_OF(array) (sizeof(array) / sizeof((array)[0]))

#define ACCEPT_PAUSE	  0.1 /* seconds, after accept() found no room */
#define COMPLAIN_INTERVAL 10. /* seconds, at least, between words about it */

enum {
	EXIT_USAGE = 2,
	MAX_ENDPOINTS = 16,  /* --listen */
	MAX_BATCH = 16,	     /* accepts or datagrams in one callback */
	MAX_PORT_TRIES = 16, /* for a number that is free for TCP and UDP */
	FDS_KEPT = 16,	     /* stdio, epoll, ring, eventfd, some to spare */
	DATAGRAM_SIZE = 65536,
	ADDRESS_TEXT_SIZE = INET6_ADDRSTRLEN + IF_NAMESIZE + sizeof("[%]:65535")
};

struct endpoint {
	struct sockaddr_storage address;
	socklen_t address_size;
	bool is_any; /* ":PORT", IPv6 and IPv4 by one socket where possible */
};

struct options {
	struct endpoint endpoints[MAX_ENDPOINTS];
	unsigned nr_endpoints;
	const char *disable;
	bool tcp_only;
	bool udp_only;
	bool epoll;
	bool require_region;
	bool user_region;
	bool stats;
	uint64_t buffer_size;
	uint64_t max_connections;
	uint64_t max_requests;
	uint64_t nr_ticks;
	double idle;
	double grace;
	double tick;
};

struct counters {
	uint64_t connections_total;
	uint64_t connections_timed_out;
	uint64_t limit_reached;
	uint64_t accept_pauses;
	uint64_t tcp_requests;
	uint64_t tcp_bytes_in;
	uint64_t tcp_bytes_out;
	uint64_t tcp_errors;
	uint64_t udp_requests;
	uint64_t udp_bytes_in;
	uint64_t udp_bytes_out;
	uint64_t udp_dropped;
	uint64_t timers;
};

struct listener {
	ev_io io; /* data: the server */
	int type; /* SOCK_STREAM or SOCK_DGRAM */
};

enum connection_state { READING, WRITING, LINGERING };

struct connection {
	ev_io io;      /* data: this */
	ev_timer idle; /* data: this */
	struct server *server;
	struct connection *next;
	struct connection **link; /* what points at this one */
	enum connection_state state;
	double last_activity; /* seconds(), of some progress */
	size_t start;	      /* of the unsent bytes in buffer */
	size_t end;
	char buffer[]; /* options.buffer_size */
};

struct ticks {
	ev_timer timer; /* data: the server */
	struct timespec armed;
	double *late; /* microseconds, of each tick so far; ours to free */
	uint64_t nr;
};

/* Everything; it outlives all watchers, which point to it. */
struct server {
	struct ev_loop *loop;
	struct options options;
	struct counters counters;
	struct listener listeners[2 * MAX_ENDPOINTS];
	unsigned nr_listeners;
	struct connection *connections;
	uint64_t nr_connections;
	ev_signal sigterm;
	ev_signal sigint;
	ev_signal sigusr1;
	ev_timer pause; /* active: accept() found no room lately */
	ev_timer grace;
	struct ticks ticks;
	bool is_stopping;
	double complained; /* seconds(), of the last pause that was reported */
	char datagram[DATAGRAM_SIZE];
};

/*
 * Options
 */

enum option_kind { FLAG, COUNT, SECONDS, TEXT, ENDPOINT };

#define FIELD(name) offsetof(struct options, name)

/* clang-format off */
static const struct option_row {
	const char *name;
	const char *form;
	const char *help;
	size_t field;
	double min, max;
	enum option_kind kind;
} option_rows[] = {
	{ .name = "listen", .form = "ADDR:PORT", .kind = ENDPOINT,
	  .help = "Address to serve, numeric: ADDR:PORT, [V6ADDR]:PORT, or"
		  " :PORT for all.\n\tPort 0 lets the kernel pick one."
		  "  May be repeated.\n\tDefault 127.0.0.1:7777." },
	{ .name = "tcp-only", .kind = FLAG, .field = FIELD(tcp_only),
	  .help = "Serve TCP only.  Default: TCP and UDP." },
	{ .name = "udp-only", .kind = FLAG, .field = FIELD(udp_only),
	  .help = "Serve UDP only.  Default: TCP and UDP." },
	{ .name = "epoll", .kind = FLAG, .field = FIELD(epoll),
	  .help = "Stay on libev's own epoll backend.  Default: attach evring,"
		  "\n\tand stay on epoll only if that is refused." },
	{ .name = "require-region", .kind = FLAG,
	  .field = FIELD(require_region),
	  .help = "Exit with 1 if less than the region tier is to be had."
		  "\n\tDefault: off." },
	{ .name = "user-region", .kind = FLAG, .field = FIELD(user_region),
	  .help = "Keep the wait region in memory of this process."
		  "\n\tDefault: off, the kernel allocates it." },
	{ .name = "disable", .form = "LIST", .kind = TEXT,
	  .field = FIELD(disable),
	  .help = "Kernel features evring shall leave unused, separated by"
		  " commas.\n\tDefault: none." },
	{ .name = "buffer", .form = "BYTES", .kind = COUNT,
	  .field = FIELD(buffer_size), .min = 1, .max = 16 << 20,
	  .help = "Memory for what one peer sent and has not taken back; no"
		  " more is\n\tread from it while any is left." },
	{ .name = "max-connections", .form = "NUMBER", .kind = COUNT,
	  .field = FIELD(max_connections), .min = 1, .max = 1e6,
	  .help = "TCP connections at a time; more wait in the kernel's queue."
		  "\n\tLowered to what RLIMIT_NOFILE allows." },
	{ .name = "idle", .form = "SECONDS", .kind = SECONDS,
	  .field = FIELD(idle), .min = 0, .max = 86400,
	  .help = "Close a connection on which nothing moved for so long;"
		  " 0 for never." },
	{ .name = "grace", .form = "SECONDS", .kind = SECONDS,
	  .field = FIELD(grace), .min = 0, .max = 86400,
	  .help = "Time from SIGTERM or SIGINT for connections to end well."
		  "\n\tA second signal ends it." },
	{ .name = "tick", .form = "SECONDS", .kind = SECONDS,
	  .field = FIELD(tick), .min = 0, .max = 3600,
	  .help = "Measure how late timers of this length are, as 0.0002;"
		  " 0 for off." },
	{ .name = "ticks", .form = "NUMBER", .kind = COUNT,
	  .field = FIELD(nr_ticks), .min = 1, .max = 1e6,
	  .help = "Timers that --tick runs, one after the other; then"
		  " \"ticks done=NUMBER\"\n\tis printed." },
	{ .name = "requests", .form = "NUMBER", .kind = COUNT,
	  .field = FIELD(max_requests), .min = 0, .max = 1e15,
	  .help = "End as if by SIGTERM after so many reads and datagrams;"
		  " 0 for never." },
	{ .name = "stats", .kind = FLAG, .field = FIELD(stats),
	  .help = "Print the statistics on stderr at exit, as SIGUSR1 does at"
		  " any time.\n\tDefault: off." },
};
/* clang-format on */

static const struct options default_options = {
	.buffer_size = 65536,
	.max_connections = 1000,
	.nr_ticks = 1000,
	.idle = 60,
	.grace = 5,
};

static void print_range(const struct option_row *row)
{
	const char *field = (const char *)&default_options + row->field;

	if (row->kind == COUNT)
		printf("\tWhole number, %.0f to %.0f; default %" PRIu64 ".\n",
		       row->min, row->max, *(const uint64_t *)field);
	if (row->kind == SECONDS)
		printf("\tSeconds, %g to %g; default %g.\n", row->min, row->max,
		       *(const double *)field);
}

static void print_help(void)
{
	printf("Usage: echo [OPTION]...\n"
	       "TCP and UDP echo daemon on libev, waiting on io_uring through "
	       "evring %s.\n\n"
	       "  -h, --help\n\tThis text.\n",
	       evring_version());
	for (size_t i = 0; i < NR_OF(option_rows); i++) {
		const struct option_row *row = &option_rows[i];

		printf("  --%s%s%s\n\t%s\n", row->name, row->form ? " " : "",
		       row->form ? row->form : "", row->help);
		print_range(row);
	}
	printf("\nOn stdout: \"listening tcp|udp ADDR:PORT\" for each socket, "
	       "then \"ready tier=TIER\"\n"
	       "with TIER one of none, copied, region.\n"
	       "Exit status: 0 after SIGTERM, SIGINT or --requests, 1 for a "
	       "failure, 2 for wrong usage.\n");
	exit(fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE);
}

static void refuse_usage(const char *why)
{
	fprintf(stderr,
		"echo: %s\nUsage: echo [OPTION]...; "
		"echo --help lists the options.\n",
		why);
	exit(EXIT_USAGE);
}

static void refuse_value(const struct option_row *row, const char *text)
{
	fprintf(stderr, "echo: --%s=%s refused: ", row->name, text);
	if (row->kind == COUNT)
		fprintf(stderr, "wants a whole number from %.0f to %.0f\n",
			row->min, row->max);
	else if (row->kind == SECONDS)
		fprintf(stderr, "wants seconds from %g to %g, as 0.5\n",
			row->min, row->max);
	else
		fprintf(stderr,
			"wants a numeric address as 127.0.0.1:7777, "
			"[::1]:7777 or :7777, at most %d of them\n",
			MAX_ENDPOINTS);
	exit(EXIT_USAGE);
}

static bool parse_count(const char *text, uint64_t *ret_count)
{
	unsigned long long count;
	char *end;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	count = strtoull(text, &end, 10);
	if (errno != 0 || *end != '\0')
		return false;
	*ret_count = count;
	return true;
}

/* Decimal only: strtod() would also take a sign, hexadecimal, "inf", "nan". */
static bool parse_seconds(const char *text, double *ret_seconds)
{
	double seconds;
	char *end;

	if (strchr("+-", *text) ||
	    strspn(text, "0123456789.eE+-") != strlen(text))
		return false;
	seconds = strtod(text, &end);
	if (*end != '\0')
		return false;
	*ret_seconds = seconds;
	return true;
}

/* host is a numeric address, or NULL for all. */
static bool parse_host(const char *host, int family, struct endpoint *at)
{
	struct addrinfo hints = {
		.ai_family = family,
		.ai_socktype = SOCK_STREAM,
		.ai_flags = AI_NUMERICHOST | AI_PASSIVE,
	};
	struct addrinfo *found;

	if (getaddrinfo(host, host ? NULL : "0", &hints, &found) != 0)
		return false;
	memcpy(&at->address, found->ai_addr, found->ai_addrlen);
	at->address_size = found->ai_addrlen;
	freeaddrinfo(found);
	return true;
}

static void set_port(struct endpoint *at, uint16_t port)
{
	if (at->address.ss_family == AF_INET6)
		((struct sockaddr_in6 *)&at->address)->sin6_port = htons(port);
	else
		((struct sockaddr_in *)&at->address)->sin_port = htons(port);
}

static uint16_t get_port(const struct endpoint *at)
{
	if (at->address.ss_family == AF_INET6)
		return ntohs(
			((const struct sockaddr_in6 *)&at->address)->sin6_port);
	return ntohs(((const struct sockaddr_in *)&at->address)->sin_port);
}

static bool parse_endpoint(const char *text, struct endpoint *at)
{
	char host[ADDRESS_TEXT_SIZE];
	const char *colon = strrchr(text, ':');
	bool has_brackets = text[0] == '[';
	size_t host_size;
	uint64_t port;

	if (!colon || !parse_count(colon + 1, &port) || port > UINT16_MAX)
		return false;
	if (has_brackets && (colon == text + 1 || colon[-1] != ']'))
		return false;
	host_size = colon - text - (has_brackets ? 2 : 0);
	if (host_size >= sizeof(host))
		return false;
	memcpy(host, text + has_brackets, host_size);
	host[host_size] = '\0';

	at->is_any = colon == text;
	if (!parse_host(at->is_any ? NULL : host,
			at->is_any || has_brackets ? AF_INET6 : AF_INET, at))
		return false;
	set_port(at, port);
	return true;
}

static bool parse_value(struct options *options, const struct option_row *row,
			const char *text)
{
	char *field = (char *)options + row->field;

	switch (row->kind) {
	case FLAG:
		*(bool *)field = true;
		return true;
	case TEXT:
		*(const char **)field = text;
		return true;
	case COUNT:
		return parse_count(text, (uint64_t *)field) &&
		       *(uint64_t *)field >= row->min &&
		       *(uint64_t *)field <= row->max;
	case SECONDS:
		return parse_seconds(text, (double *)field) &&
		       *(double *)field >= row->min &&
		       *(double *)field <= row->max;
	case ENDPOINT:
		return options->nr_endpoints < MAX_ENDPOINTS &&
		       parse_endpoint(
			       text,
			       &options->endpoints[options->nr_endpoints++]);
	}
	return false;
}

static void check_options(struct options *options)
{
	if (options->tcp_only && options->udp_only)
		refuse_usage("--tcp-only and --udp-only exclude each other");
	if (options->epoll && (options->require_region ||
			       options->user_region || options->disable))
		refuse_usage("--epoll excludes --require-region, "
			     "--user-region and --disable");
	if (options->nr_endpoints == 0)
		parse_endpoint("127.0.0.1:7777",
			       &options->endpoints[options->nr_endpoints++]);
}

static void parse_options(int argc, char **argv, struct options *options)
{
	struct option longs[NR_OF(option_rows) + 2] = {
		{ .name = "help", .val = 'h' },
	};
	int idx;

	*options = default_options;
	for (size_t i = 0; i < NR_OF(option_rows); i++) {
		longs[i + 1].name = option_rows[i].name;
		longs[i + 1].has_arg = option_rows[i].kind != FLAG;
	}
	for (;;) {
		int c = getopt_long(argc, argv, "h", longs, &idx);

		if (c < 0)
			break;
		if (c == 'h')
			print_help();
		if (c == '?')
			refuse_usage(
				"unknown option, or one without its value");
		if (!parse_value(options, &option_rows[idx - 1], optarg))
			refuse_value(&option_rows[idx - 1], optarg);
	}
	if (optind < argc)
		refuse_usage("takes options only");
	check_options(options);
}

/*
 * Statistics
 */

struct counter {
	const char *name;
	size_t offset;
};

/* clang-format off */
#define SERVER_COUNTER(name) { #name, offsetof(struct counters, name) }
#define RING_COUNTER(name) { #name, offsetof(struct evring_stats, name) }

static const struct counter server_counters[] = {
	SERVER_COUNTER(connections_total),
	SERVER_COUNTER(connections_timed_out),
	SERVER_COUNTER(limit_reached),
	SERVER_COUNTER(accept_pauses),
	SERVER_COUNTER(tcp_requests),
	SERVER_COUNTER(tcp_bytes_in),
	SERVER_COUNTER(tcp_bytes_out),
	SERVER_COUNTER(tcp_errors),
	SERVER_COUNTER(udp_requests),
	SERVER_COUNTER(udp_bytes_in),
	SERVER_COUNTER(udp_bytes_out),
	SERVER_COUNTER(udp_dropped),
	SERVER_COUNTER(timers),
};

static const struct counter ring_counters[] = {
	RING_COUNTER(turns),
	RING_COUNTER(enters),
	RING_COUNTER(waits_by_offset),
	RING_COUNTER(waits_copied),
	RING_COUNTER(waits_avoided),
	RING_COUNTER(requests),
	RING_COUNTER(completions),
	RING_COUNTER(events),
	RING_COUNTER(stale_completions),
	RING_COUNTER(overflows),
	RING_COUNTER(handed_over),
	RING_COUNTER(ring_rebuilds),
	RING_COUNTER(rings_lost),
};
/* clang-format on */

static void print_counters(const struct counter *counters, size_t nr,
			   const void *base)
{
	for (size_t i = 0; i < nr; i++) {
		uint64_t value;

		memcpy(&value, (const char *)base + counters[i].offset,
		       sizeof(value));
		fprintf(stderr, "%s: %" PRIu64 "\n", counters[i].name, value);
	}
}

static int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Sorts in place: later ticks are appended, the order means nothing. */
static void print_ticks(struct ticks *ticks)
{
	fprintf(stderr, "ticks: %" PRIu64 "\n", ticks->nr);
	if (ticks->nr == 0)
		return;
	qsort(ticks->late, ticks->nr, sizeof(*ticks->late), compare_doubles);
	fprintf(stderr,
		"tick_late_best_us: %.1f\n"
		"tick_late_median_us: %.1f\n"
		"tick_late_worst_us: %.1f\n",
		ticks->late[0], ticks->late[ticks->nr / 2],
		ticks->late[ticks->nr - 1]);
}

static void print_stats(struct server *server)
{
	struct evring_stats stats;

	fprintf(stderr,
		"stats: begin\n"
		"tier: %s\n"
		"connections_now: %" PRIu64 "\n",
		evring_tier_name(evring_tier(server->loop)),
		server->nr_connections);
	print_counters(server_counters, NR_OF(server_counters),
		       &server->counters);
	print_ticks(&server->ticks);
	if (evring_stats(server->loop, &stats) == 0)
		print_counters(ring_counters, NR_OF(ring_counters), &stats);
	else
		fprintf(stderr, "turns: %u\n", ev_iteration(server->loop));
	fprintf(stderr, "stats: end\n");
}

static void on_sigusr1(struct ev_loop *loop, ev_signal *w, int revents)
{
	(void)loop, (void)revents;
	print_stats(w->data);
}

/*
 * Connections
 */

/*
 * For intervals.  ev_now() is the time of day, which may be set while we run;
 * this is not, and neither of them is a system call.
 */
static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return now.tv_sec + now.tv_nsec / 1e9;
}

static bool may_accept(const struct server *server)
{
	return !server->is_stopping && !ev_is_active(&server->pause) &&
	       server->nr_connections < server->options.max_connections;
}

/* Invariant 2.  Starting what is started and stopping what is not are free. */
static void update_listeners(struct server *server)
{
	bool is_on = may_accept(server);

	for (unsigned i = 0; i < server->nr_listeners; i++) {
		struct listener *listener = &server->listeners[i];

		if (listener->type != SOCK_STREAM)
			continue;
		if (is_on)
			ev_io_start(server->loop, &listener->io);
		else
			ev_io_stop(server->loop, &listener->io);
	}
}

static void connection_free(struct connection *connection)
{
	struct server *server = connection->server;

	ev_io_stop(server->loop, &connection->io);
	ev_timer_stop(server->loop, &connection->idle);
	close(connection->io.fd);
	*connection->link = connection->next;
	if (connection->next)
		connection->next->link = connection->link;
	free(connection);

	server->nr_connections--;
	ev_timer_stop(server->loop, &server->pause); /* a descriptor is free */
	update_listeners(server);
	if (server->is_stopping && server->nr_connections == 0)
		ev_break(server->loop, EVBREAK_ALL);
}

static void set_state(struct connection *connection,
		      enum connection_state state)
{
	struct ev_loop *loop = connection->server->loop;
	int was = connection->state == WRITING ? EV_WRITE : EV_READ;
	int events = state == WRITING ? EV_WRITE : EV_READ;

	connection->state = state;
	if (events == was)
		return;
	ev_io_stop(loop, &connection->io);
	ev_io_set(&connection->io, connection->io.fd, events);
	ev_io_start(loop, &connection->io);
}

/* Whether close() can destroy nothing: all was read and all has arrived. */
static bool is_settled(int fd)
{
	int unread, unsent;

	return ioctl(fd, SIOCINQ, &unread) == 0 && unread == 0 &&
	       ioctl(fd, SIOCOUTQ, &unsent) == 0 && unsent == 0;
}

/*
 * End a connection that has nothing left to send.  The peer learns that no
 * more will come, and what it still sends is dropped until it ends too or the
 * grace time does.  False: there is nothing to wait for, free it.
 */
static bool finish(struct connection *connection)
{
	if (is_settled(connection->io.fd) ||
	    shutdown(connection->io.fd, SHUT_WR) < 0)
		return false;
	set_state(connection, LINGERING);
	return true;
}

/* After recv() or send() gave n: whether the connection lives. */
static bool note_result(struct connection *connection, ssize_t n)
{
	struct server *server = connection->server;

	if (n > 0)
		connection->last_activity = seconds();
	if (n >= 0 || errno == EAGAIN || errno == EINTR)
		return true;
	server->counters.tcp_errors++;
	return false;
}

/* False: the connection is over.  So it is for the next two. */
static bool send_unsent(struct connection *connection)
{
	struct server *server = connection->server;
	size_t size = connection->end - connection->start;
	ssize_t n =
		send(connection->io.fd, connection->buffer + connection->start,
		     size, MSG_NOSIGNAL);

	if (!note_result(connection, n))
		return false;
	if (n > 0) {
		connection->start += n;
		server->counters.tcp_bytes_out += n;
	}
	if (connection->start < connection->end) {
		set_state(connection, WRITING);
		return true;
	}
	if (server->is_stopping)
		return finish(connection);
	set_state(connection, READING);
	return true;
}

static bool echo_bytes(struct connection *connection)
{
	struct server *server = connection->server;
	ssize_t n = recv(connection->io.fd, connection->buffer,
			 server->options.buffer_size, 0);

	if (!note_result(connection, n))
		return false;
	if (n <= 0)
		return n < 0;
	server->counters.tcp_requests++;
	server->counters.tcp_bytes_in += n;
	connection->start = 0;
	connection->end = n;
	return send_unsent(connection);
}

static bool drop_bytes(struct connection *connection)
{
	ssize_t n = recv(connection->io.fd, connection->buffer,
			 connection->server->options.buffer_size, 0);

	return note_result(connection, n) && n != 0;
}

static void stop(struct server *server);

/* Called last: stop() may free the connection that is being served. */
static void stop_if_served(struct server *server)
{
	uint64_t max = server->options.max_requests;
	uint64_t nr =
		server->counters.tcp_requests + server->counters.udp_requests;

	if (max != 0 && nr >= max)
		stop(server);
}

static void on_connection(struct ev_loop *loop, ev_io *w, int revents)
{
	struct connection *connection = w->data;
	struct server *server = connection->server;
	bool lives = false;

	(void)loop, (void)revents;
	switch (connection->state) {
	case READING:
		lives = echo_bytes(connection);
		break;
	case WRITING:
		lives = send_unsent(connection);
		break;
	case LINGERING:
		lives = drop_bytes(connection);
		break;
	}
	if (!lives)
		connection_free(connection);
	stop_if_served(server);
}

/*
 * The timer is not moved at each event: when it expires it looks how long ago
 * the last one was, and waits for the rest.
 */
static void on_idle(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct connection *connection = w->data;
	struct server *server = connection->server;
	double left =
		connection->last_activity + server->options.idle - seconds();

	(void)revents;
	server->counters.timers++;
	if (left > 0) {
		ev_timer_set(w, left, 0.);
		ev_timer_start(loop, w);
		return;
	}
	server->counters.connections_timed_out++;
	connection_free(connection);
}

static void start_connection(struct connection *connection, int fd)
{
	struct server *server = connection->server;

	connection->last_activity = seconds();
	ev_io_init(&connection->io, on_connection, fd, EV_READ);
	connection->io.data = connection;
	ev_io_start(server->loop, &connection->io);
	ev_timer_init(&connection->idle, on_idle, server->options.idle, 0.);
	connection->idle.data = connection;
	if (server->options.idle > 0)
		ev_timer_start(server->loop, &connection->idle);
}

/* Takes fd, if it succeeds. */
static int connection_new(struct server *server, int fd)
{
	struct connection *connection =
		malloc(sizeof(*connection) + server->options.buffer_size);

	if (!connection)
		return -ENOMEM;
	connection->server = server;
	connection->state = READING;
	connection->start = connection->end = 0;
	connection->next = server->connections;
	connection->link = &server->connections;
	if (connection->next)
		connection->next->link = &connection->next;
	server->connections = connection;
	start_connection(connection, fd);

	server->counters.connections_total++;
	if (++server->nr_connections == server->options.max_connections) {
		server->counters.limit_reached++;
		update_listeners(server);
	}
	return 0;
}

/*
 * Accepting
 */

static void on_pause_over(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct server *server = w->data;

	(void)loop, (void)revents;
	server->counters.timers++;
	update_listeners(server);
}

/* Until the timer ends or a connection does, whichever is first. */
static void pause_accepting(struct server *server, int error)
{
	double now = seconds();

	server->counters.accept_pauses++;
	if (now - server->complained >= COMPLAIN_INTERVAL) {
		server->complained = now;
		fprintf(stderr,
			"echo: accept: %s; %" PRIu64 " connections are open, "
			"new ones wait\n",
			strerror(error), server->nr_connections);
	}
	ev_timer_set(&server->pause, ACCEPT_PAUSE, 0.);
	ev_timer_start(server->loop, &server->pause);
	update_listeners(server);
}

static int accept_one(struct server *server, int listener_fd)
{
	int fd = accept4(listener_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	int r;

	if (fd < 0)
		return -errno;
	r = connection_new(server, fd);
	if (r < 0)
		close(fd);
	return r;
}

/* Whether accept() failed for the sake of one connection that is gone. */
static bool is_about_the_peer(int error)
{
	switch (error) {
	case ECONNABORTED:
	case EINTR:
	case EPERM: /* a firewall's */
	case EPROTO:
	case ENOPROTOOPT:
	case EOPNOTSUPP:
	case ENETDOWN:
	case ENETUNREACH:
	case EHOSTDOWN:
	case EHOSTUNREACH:
	case ENONET:
		return true;
	}
	return false;
}

static void on_listener(struct ev_loop *loop, ev_io *w, int revents)
{
	struct server *server = w->data;

	(void)loop, (void)revents;
	for (int i = 0; i < MAX_BATCH && may_accept(server); i++) {
		int r = accept_one(server, w->fd);

		if (r == -EAGAIN)
			return;
		if (r < 0 && !is_about_the_peer(-r))
			pause_accepting(server, -r);
	}
}

/*
 * Datagrams
 */

/*
 * Echo one datagram, from the address and through the interface it came to.
 * False: there was none.  An answer that cannot be sent at once is dropped, as
 * the network would.
 */
static bool echo_datagram(struct server *server, int fd)
{
	struct sockaddr_storage peer;
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(struct in6_pktinfo))];
	} control;
	struct iovec iov = { server->datagram, sizeof(server->datagram) };
	struct msghdr message = {
		.msg_name = &peer,
		.msg_namelen = sizeof(peer),
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	ssize_t n = recvmsg(fd, &message, 0);

	if (n < 0)
		return false;
	server->counters.udp_requests++;
	server->counters.udp_bytes_in += n;
	iov.iov_len = n;
	n = sendmsg(fd, &message, MSG_NOSIGNAL);
	if (n < 0)
		server->counters.udp_dropped++;
	else
		server->counters.udp_bytes_out += n;
	return true;
}

static void on_datagrams(struct ev_loop *loop, ev_io *w, int revents)
{
	struct server *server = w->data;

	(void)loop, (void)revents;
	for (int i = 0; i < MAX_BATCH && !server->is_stopping; i++) {
		if (!echo_datagram(server, w->fd))
			return;
		stop_if_served(server);
	}
}

/*
 * Sockets
 */

static const char *type_name(int type)
{
	return type == SOCK_STREAM ? "tcp" : "udp";
}

static void format_endpoint(const struct endpoint *at,
			    char text[ADDRESS_TEXT_SIZE])
{
	char host[INET6_ADDRSTRLEN + IF_NAMESIZE + 1] = "?", port[6] = "?";
	bool is_v6 = at->address.ss_family == AF_INET6;

	getnameinfo((const struct sockaddr *)&at->address, at->address_size,
		    host, sizeof(host), port, sizeof(port),
		    NI_NUMERICHOST | NI_NUMERICSERV);
	snprintf(text, ADDRESS_TEXT_SIZE, "%s%s%s:%s", is_v6 ? "[" : "", host,
		 is_v6 ? "]" : "", port);
}

static bool set_flag(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof(value)) == 0;
}

/*
 * Accepted connections inherit TCP_NODELAY.  SO_REUSEADDR lets a TCP port be
 * taken that has only old connections left; with UDP it would let two daemons
 * take the same port.
 */
static bool set_tcp_flags(int fd)
{
	return set_flag(fd, SOL_SOCKET, SO_REUSEADDR, 1) &&
	       set_flag(fd, IPPROTO_TCP, TCP_NODELAY, 1);
}

/* Ask where datagrams arrive: c) above. */
static bool set_udp_flags(int fd, bool is_v6)
{
	return is_v6 ? set_flag(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1)
		     : set_flag(fd, IPPROTO_IP, IP_PKTINFO, 1);
}

static bool set_flags(int fd, const struct endpoint *at, int type)
{
	bool is_v6 = at->address.ss_family == AF_INET6;

	if (is_v6 && !set_flag(fd, IPPROTO_IPV6, IPV6_V6ONLY, !at->is_any))
		return false;
	return type == SOCK_STREAM ? set_tcp_flags(fd)
				   : set_udp_flags(fd, is_v6);
}

/*
 * Open a socket at *at, and put there the address it got.  Returns the
 * descriptor, or a negative errno value and what was refused.
 */
static int open_socket(struct endpoint *at, int type, const char **ret_refused)
{
	struct sockaddr *address = (struct sockaddr *)&at->address;
	int fd = socket(at->address.ss_family,
			type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int r;

	*ret_refused = "socket";
	if (fd < 0)
		return -errno;
	*ret_refused = "setsockopt";
	if (!set_flags(fd, at, type))
		goto fail;
	*ret_refused = "bind";
	if (bind(fd, address, at->address_size) < 0)
		goto fail;
	*ret_refused = "listen";
	if (type == SOCK_STREAM && listen(fd, SOMAXCONN) < 0)
		goto fail;
	*ret_refused = "getsockname";
	if (getsockname(fd, address, &at->address_size) < 0)
		goto fail;
	return fd;
fail:
	r = -errno;
	close(fd);
	return r;
}

static void add_listener(struct server *server, int fd, int type)
{
	struct listener *listener = &server->listeners[server->nr_listeners++];

	listener->type = type;
	ev_io_init(&listener->io,
		   type == SOCK_STREAM ? on_listener : on_datagrams, fd,
		   EV_READ);
	listener->io.data = server;
	ev_io_start(server->loop, &listener->io);
}

static int report_listening(const struct endpoint *at, int type)
{
	char text[ADDRESS_TEXT_SIZE];

	format_endpoint(at, text);
	if (printf("listening %s %s\n", type_name(type), text) < 0 ||
	    fflush(stdout) != 0)
		return -errno;
	return 0;
}

/* What failed on the way, for the message. */
struct refusal {
	const char *what;
	int type;
};

static const int socket_types[2] = { SOCK_STREAM, SOCK_DGRAM };

static int open_sockets(const struct options *options, struct endpoint *at,
			int ret_fds[2], struct refusal *ret_refusal)
{
	bool wanted[2] = { !options->udp_only, !options->tcp_only };

	ret_fds[0] = ret_fds[1] = -1;
	for (int i = 0; i < 2; i++) {
		if (!wanted[i])
			continue;
		ret_refusal->type = socket_types[i];
		ret_fds[i] =
			open_socket(at, socket_types[i], &ret_refusal->what);
		if (ret_fds[i] < 0) {
			if (i > 0 && ret_fds[0] >= 0)
				close(ret_fds[0]);
			return ret_fds[i];
		}
	}
	return 0;
}

/* TCP and UDP of one --listen, with the same port. */
static int try_endpoint(struct server *server, struct endpoint at,
			struct refusal *ret_refusal)
{
	int fds[2];
	int r = open_sockets(&server->options, &at, fds, ret_refusal);

	if (r < 0)
		return r;
	ret_refusal->what = "stdout";
	for (int i = 0; i < 2; i++) {
		if (fds[i] < 0)
			continue;
		add_listener(server, fds[i], socket_types[i]);
		if (r == 0)
			r = report_listening(&at, socket_types[i]);
	}
	return r;
}

static const char *advice(int error)
{
	switch (error) {
	case EADDRINUSE:
		return " (another program has it: see ss -lntup)";
	case EADDRNOTAVAIL:
		return " (no interface of this machine has that address)";
	case EACCES:
		return " (low ports want CAP_NET_BIND_SERVICE)";
	case EINVAL:
		return " (link-local addresses want %INTERFACE appended)";
	}
	return "";
}

static bool is_without_v6(int error)
{
	return error == -EAFNOSUPPORT || error == -EADDRNOTAVAIL;
}

/*
 * A port the kernel picks for TCP may be taken for UDP: then it picks another.
 * "All addresses" means IPv4 alone where there is no IPv6.
 */
static int open_endpoint(struct server *server, struct endpoint *at)
{
	char text[ADDRESS_TEXT_SIZE];
	struct refusal refusal;
	uint16_t port = get_port(at);
	int r = try_endpoint(server, *at, &refusal);

	if (at->is_any && is_without_v6(r) && parse_host(NULL, AF_INET, at)) {
		set_port(at, port);
		r = try_endpoint(server, *at, &refusal);
	}
	for (int i = 1; port == 0 && r == -EADDRINUSE && i < MAX_PORT_TRIES;
	     i++)
		r = try_endpoint(server, *at, &refusal);
	if (r == 0)
		return 0;
	format_endpoint(at, text);
	fprintf(stderr, "echo: %s %s: %s refused: %s%s\n",
		type_name(refusal.type), text, refusal.what, strerror(-r),
		advice(-r));
	return r;
}

static int open_endpoints(struct server *server)
{
	for (unsigned i = 0; i < server->options.nr_endpoints; i++) {
		int r = open_endpoint(server, &server->options.endpoints[i]);

		if (r < 0)
			return r;
	}
	return 0;
}

static void close_listeners(struct server *server)
{
	for (unsigned i = 0; i < server->nr_listeners; i++) {
		ev_io_stop(server->loop, &server->listeners[i].io);
		close(server->listeners[i].io.fd);
	}
	server->nr_listeners = 0;
}

/*
 * Ticks: how late are timers?
 */

static double us_since(const struct timespec *then)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (now.tv_sec - then->tv_sec) * 1e6 +
	       (now.tv_nsec - then->tv_nsec) / 1e3;
}

/* The clock is read first, so that a tick in time never seems early. */
static void arm_tick(struct server *server)
{
	struct ticks *ticks = &server->ticks;

	clock_gettime(CLOCK_MONOTONIC, &ticks->armed);
	ev_now_update(server->loop);
	ev_timer_set(&ticks->timer, server->options.tick, 0.);
	ev_timer_start(server->loop, &ticks->timer);
}

static void on_tick(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct server *server = w->data;
	struct ticks *ticks = &server->ticks;

	(void)loop, (void)revents;
	server->counters.timers++;
	ticks->late[ticks->nr++] =
		us_since(&ticks->armed) - server->options.tick * 1e6;
	if (ticks->nr < server->options.nr_ticks) {
		arm_tick(server);
		return;
	}
	printf("ticks done=%" PRIu64 "\n", ticks->nr);
	fflush(stdout);
}

/* In the first turn, so that no tick pays for what the loop does only once. */
static void on_ticks_begin(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)loop, (void)revents;
	ev_set_cb(w, on_tick);
	arm_tick(w->data);
}

static int start_ticks(struct server *server)
{
	struct ticks *ticks = &server->ticks;

	if (server->options.tick <= 0)
		return 0;
	ticks->late = calloc(server->options.nr_ticks, sizeof(*ticks->late));
	if (!ticks->late) {
		fprintf(stderr, "echo: no memory for --ticks=%" PRIu64 "\n",
			server->options.nr_ticks);
		return -ENOMEM;
	}
	ev_timer_init(&ticks->timer, on_ticks_begin, 0., 0.);
	ticks->timer.data = server;
	ev_timer_start(server->loop, &ticks->timer);
	return 0;
}

/*
 * The end
 */

static void on_grace_over(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)w, (void)revents;
	ev_break(loop, EVBREAK_ALL);
}

/* Connections in WRITING come to finish() when all is sent. */
static void stop(struct server *server)
{
	struct connection *connection, *next;

	if (server->is_stopping)
		return;
	server->is_stopping = true;
	close_listeners(server);
	ev_timer_stop(server->loop, &server->pause);
	ev_timer_stop(server->loop, &server->ticks.timer);
	ev_timer_start(server->loop, &server->grace);
	for (connection = server->connections; connection; connection = next) {
		next = connection->next;
		if (connection->state == READING && !finish(connection))
			connection_free(connection);
	}
	if (server->nr_connections == 0)
		ev_break(server->loop, EVBREAK_ALL);
}

static void on_stop_signal(struct ev_loop *loop, ev_signal *w, int revents)
{
	struct server *server = w->data;

	(void)revents;
	if (server->is_stopping)
		ev_break(loop, EVBREAK_ALL);
	else
		stop(server);
}

static void server_exit(struct server *server)
{
	if (!server->loop)
		return;
	while (server->connections)
		connection_free(server->connections);
	close_listeners(server);
	free(server->ticks.late);
	ev_loop_destroy(server->loop);
}

/*
 * The beginning
 */

/* To stay on epoll is success, unless --require-region says otherwise. */
static int attach(struct server *server)
{
	const struct options *options = &server->options;
	struct evring_config config = { .disable = options->disable };
	bool may_go_on;
	int r;

	if (options->epoll)
		return EXIT_SUCCESS;
	if (options->require_region)
		config.flags |= EVRING_REQUIRE_REGION;
	if (options->user_region)
		config.flags |= EVRING_USER_REGION;
	r = evring_attach(server->loop, &config);
	if (r == 0)
		return EXIT_SUCCESS;
	if (r == -EINVAL && options->disable) {
		fprintf(stderr,
			"echo: --disable=%s refused: wants names of features, "
			"separated by commas\n",
			options->disable);
		return EXIT_USAGE;
	}
	may_go_on = !options->require_region;
	fprintf(stderr, "echo: evring_attach: %s%s\n", evring_strerror(r),
		may_go_on ? "; going on with libev's epoll backend" : "");
	return may_go_on ? EXIT_SUCCESS : EXIT_FAILURE;
}

static void start_signal(struct server *server, ev_signal *w,
			 void (*cb)(struct ev_loop *, ev_signal *, int),
			 int signum)
{
	ev_signal_init(w, cb, signum);
	w->data = server;
	ev_signal_start(server->loop, w);
}

static void start_watchers(struct server *server)
{
	signal(SIGPIPE, SIG_IGN);
	start_signal(server, &server->sigterm, on_stop_signal, SIGTERM);
	start_signal(server, &server->sigint, on_stop_signal, SIGINT);
	start_signal(server, &server->sigusr1, on_sigusr1, SIGUSR1);
	server->complained = seconds() - COMPLAIN_INTERVAL;
	ev_timer_init(&server->pause, on_pause_over, ACCEPT_PAUSE, 0.);
	server->pause.data = server;
	ev_timer_init(&server->grace, on_grace_over, server->options.grace, 0.);
	server->grace.data = server;
}

static void limit_connections(struct server *server)
{
	struct options *options = &server->options;
	rlim_t kept = FDS_KEPT + 2 * options->nr_endpoints;
	struct rlimit nofile;
	uint64_t most;

	if (getrlimit(RLIMIT_NOFILE, &nofile) < 0)
		return;
	most = nofile.rlim_cur > kept ? nofile.rlim_cur - kept : 1;
	if (options->max_connections <= most)
		return;
	fprintf(stderr,
		"echo: --max-connections lowered to %" PRIu64
		": RLIMIT_NOFILE is %" PRIu64 "\n",
		most, (uint64_t)nofile.rlim_cur);
	options->max_connections = most;
}

/* The exit status, when it is not EXIT_SUCCESS. */
static int server_init(struct server *server)
{
	int status;

	server->loop = ev_default_loop(EVBACKEND_EPOLL);
	if (!server->loop) {
		fprintf(stderr, "echo: libev made no loop on epoll: %s\n",
			strerror(errno));
		return EXIT_FAILURE;
	}
	status = attach(server);
	if (status != EXIT_SUCCESS)
		return status;
	limit_connections(server);
	start_watchers(server);
	if (open_endpoints(server) < 0 || start_ticks(server) < 0)
		return EXIT_FAILURE;
	if (printf("ready tier=%s\n",
		   evring_tier_name(evring_tier(server->loop))) < 0 ||
	    fflush(stdout) != 0) {
		fprintf(stderr, "echo: stdout: %s\n", strerror(errno));
		return EXIT_FAILURE;
	}
	return EXIT_SUCCESS;
}

static void server_run(struct server *server)
{
	ev_run(server->loop, 0);
	if (server->nr_connections > 0)
		fprintf(stderr, "echo: %" PRIu64 " connections cut\n",
			server->nr_connections);
	if (server->options.stats)
		print_stats(server);
}

int main(int argc, char **argv)
{
	struct server server;
	int status;

	memset(&server, 0, sizeof(server));
	parse_options(argc, argv, &server.options);
	status = server_init(&server);
	if (status == EXIT_SUCCESS)
		server_run(&server);
	server_exit(&server);
	return status;
}
