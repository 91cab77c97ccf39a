/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * daemon.h - what the example daemons have in common: options, addresses,
 * workers, limits, statistics, the end.
 *
 * A daemon is one process with a worker for each CPU.  A worker is a thread, a
 * loop and listeners of its own (SO_REUSEPORT: the kernel deals connections
 * out), so workers share nothing and wait for nobody.  The first worker is the
 * main thread with the default loop; it has the signals, too.
 *
 * On stdout, before the first connection: "listening tcp ADDRESS:PORT" for each
 * socket, then "ready tier=TIER".  SIGUSR1 prints the statistics on stderr.
 * SIGTERM and SIGINT end the daemon: listeners are closed at once, connections
 * have --grace seconds to end well, a second signal cuts them.
 *
 * Invariants:
 *
 * (1) What is in struct worker is its thread's, but for counters, which any
 *     thread may read.
 * (2) A worker accepts if and only if it has room: fewer connections than its
 *     share of --max-connections, and it does not stop.
 * (3) A worker that stops ends its loop when the last connection is gone.
 */
#ifndef DAEMON_H
#define DAEMON_H

#include <ev.h>
#include <evring-net.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#define NR_OF(array) (sizeof(array) / sizeof((array)[0]))

enum { EXIT_USAGE = 2, MAX_ENDPOINTS = 16 };

/* Counts for the statistics: changed by one thread, read by any. */
typedef _Atomic uint64_t counter;

static inline void count(counter *c, uint64_t nr)
{
	atomic_store_explicit(
		c, atomic_load_explicit(c, memory_order_relaxed) + nr,
		memory_order_relaxed);
}

/*
 * Options
 */

struct endpoint {
	struct sockaddr_storage address;
	socklen_t address_size;
	bool is_any; /* ":PORT", IPv6 and IPv4 by one socket where possible */
};

struct endpoints {
	struct endpoint at[MAX_ENDPOINTS];
	unsigned nr;
};

enum option_kind {
	OPTION_FLAG,	 /* bool */
	OPTION_COUNT,	 /* uint64_t, min to max; K, M, G for powers of 1024 */
	OPTION_SECONDS,	 /* double, min to max */
	OPTION_SPIN,	 /* double, evring_config.spin */
	OPTION_TEXT,	 /* const char * */
	OPTION_ENDPOINTS /* struct endpoints, one more with each */
};

/* The value has its default before options are parsed; -h tells it. */
struct daemon_option {
	const char *name;
	const char *form; /* of its value, as "SECONDS"; NULL: a flag */
	const char *help;
	void *value; /* of the type above */
	double min, max;
	enum option_kind kind;
};

/* Those that every daemon has, as given on the command line. */
struct daemon_options {
	struct endpoints listen;  /* --listen */
	uint64_t workers;	  /* --workers; default: CPUs to run on */
	uint64_t max_connections; /* of all workers */
	double idle;		  /* seconds; 0: for ever */
	double grace;		  /* seconds */
	bool stats;		  /* print them at the end */
	bool epoll;		  /* for daemons that can do without a ring */
	bool tcp_only, udp_only;  /* of has_udp, set by its configure() */
	/*
	 * Set by configure() of a daemon whose connections are watchers of
	 * libev: fds are O_NONBLOCK and accepted through ev_io, there is no
	 * group, and a ring is not needed.
	 */
	bool by_watchers;
	bool require_region, user_region;
	const char *disable; /* evring_config.disable */
	double spin;	     /* evring_config.spin */
	uint64_t buffers;    /* of each worker's group */
	uint64_t buffer_size;
};

extern struct daemon_options daemon_options;

/*
 * Workers
 */

/* The first member of a daemon's own struct for each worker. */
struct worker {
	struct ev_loop *loop;
	const struct daemon *daemon;
	unsigned index;
	bool is_stopping;
	bool has_ring;		   /* false: stayed on libev's epoll */
	struct evring_group group; /* to receive into, if has_ring */
	struct stream *streams;	   /* see stream.h */
	counter nr_connections, nr_accepted, nr_limited, nr_pauses;
	counter nr_timed_out, nr_errors, bytes_in, bytes_out;
	struct worker_private *private;
};

struct daemon_counter {
	const char *name;
	size_t offset; /* of a counter in the daemon's worker; all are added */
};

/* All are called in the worker's thread, but for configure. */
struct daemon {
	const char *name;
	const char *about;     /* a sentence or two for --help */
	const char *arguments; /* after the options, as "ROOT", or NULL */
	const struct daemon_option *options;
	size_t nr_options;
	const struct daemon_counter *counters;
	size_t nr_counters;
	size_t worker_size;
	uint16_t default_port;	  /* on 127.0.0.1, without --listen */
	bool may_do_without_ring; /* if by_watchers; has --epoll */
	bool has_udp; /* sockets of both kinds are opened, see on_socket */

	/* Options are parsed.  Returns an exit status, having said why. */
	int (*configure)(int nr_arguments, char **arguments);
	/* Before the first connection.  0 or -errno, having said why. */
	int (*begin)(struct worker *worker);
	/* A connection; fd is the callee's, who calls worker_opened(). */
	void (*on_connection)(struct worker *worker, int fd);
	/* A UDP socket, the worker's until end(). */
	int (*on_udp)(struct worker *worker, int fd);
	/* Let connections end well.  NULL: stream_stop_all(). */
	void (*stop)(struct worker *worker);
	/* The grace time is over or a second signal came: cut them.
	   NULL: stream_cut_all(). */
	void (*cut)(struct worker *worker);
	/* The loop has ended, all connections are gone, and the last events
	   of all operations have come.  Not called if begin() failed. */
	void (*end)(struct worker *worker);
	/* More lines of statistics, in the main thread, at any time between
	   begin() and the end of the process; NULL: none. */
	void (*print_stats)(struct worker *const *workers, unsigned nr);
};

/* All of main(). */
int daemon_main(const struct daemon *daemon, int argc, char **argv);

/* A connection more, a connection less: invariants 2 and 3. */
void worker_opened(struct worker *worker);
void worker_closed(struct worker *worker);

/* Something else that the worker is to wait for when it stops, as an operation
   whose last event must be heard; and that it has come. */
void worker_hold(struct worker *worker);
void worker_release(struct worker *worker);

/* End all workers as SIGTERM does; from any thread.  daemon_fail(): with exit
   status 1. */
void daemon_stop(void);
void daemon_fail(void);

/* Say on stderr "NAME: ..." with a newline. */
__attribute__((format(printf, 1, 2))) void complain(const char *format, ...);

/*
 * Addresses, for options and logs
 */

enum { ADDRESS_TEXT_SIZE = 80 };

/* "ADDRESS:PORT", "[V6ADDRESS]:PORT", ":PORT"; numeric. */
bool endpoint_parse(const char *text, struct endpoint *ret_endpoint);
void endpoint_format(const struct endpoint *endpoint,
		     char text[ADDRESS_TEXT_SIZE]);

/* Monotonic seconds, without a system call; some ms behind. */
double daemon_seconds(void);

#endif
