/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * private.h - what the files of this folder know of each other.
 *
 *   options.c    the command line
 *   endpoint.c   addresses as text, and sockets that serve them
 *   accept.c     the connections of a worker's listeners
 *   worker.c     a loop, from attach to detach
 *   daemon.c     the process: limits, threads, signals
 *   stats.c      what is printed
 *   stream.c     a connection on operations
 */
#ifndef PRIVATE_H
#define PRIVATE_H

#include "daemon.h"

#include <pthread.h>

/* What workers are to do; it only grows. */
enum command { COMMAND_RUN, COMMAND_STOP, COMMAND_CUT };

struct listener {
	struct evring_accept accept; /* of a worker with a ring */
	ev_io io;		     /* of one that serves by watchers */
	struct worker *worker;
	int fd;		  /* -1: closed */
	bool is_stopping; /* accept was asked to end */
};

struct worker_private {
	struct listener listeners[MAX_ENDPOINTS];
	unsigned nr_listeners;
	int udp_fds[MAX_ENDPOINTS];
	unsigned nr_udp;
	uint64_t share; /* of --max-connections */

	int *parked; /* connections that came when there was no room */
	unsigned nr_parked, max_parked;
	bool is_paused; /* accepting ran out of something */

	unsigned nr_held; /* see worker_hold() */
	ev_async command;
	ev_timer grace;
	ev_timer pause;	 /* active: accepting is tried again after it */
	ev_prepare turn; /* counts turns where no ring does */
	counter turns;

	bool has_begun; /* daemon.begin() did not fail */
	pthread_t thread;
	int status; /* exit status, or EXIT_SUCCESS, of the beginning */
	enum evring_tier tier;
	struct evring_stats ring; /* evring counts here */
};

/* options.c: exits after --help and for wrong usage.  Returns the index of the
   first argument that is no option. */
int options_parse(const struct daemon *daemon, int argc, char **argv);

/* endpoint.c: sockets of one address, for all workers, with the same port.
   Says what was refused.  0 or -errno. */
int endpoint_open(struct worker *const *workers, unsigned nr,
		  struct endpoint endpoint);

/* accept.c */
void accept_add(struct worker *worker, int fd);
void accept_begin(struct worker *worker);
void accept_update(struct worker *worker);
void accept_stop(struct worker *worker);
void accept_end(struct worker *worker);

/* worker.c.  Exit statuses, having said why. */
struct worker *worker_new(const struct daemon *daemon, unsigned index);
int worker_attach(struct worker *worker);
int worker_begin(struct worker *worker);
void worker_run(struct worker *worker);
void worker_end(struct worker *worker);
void worker_free(struct worker *worker);
void worker_check_end(struct worker *worker);

/* daemon.c */
const char *program_name(void);
enum command daemon_command(void);
bool daemon_others_run(void);
const struct worker *daemon_first(void);

/* stats.c */
void stats_print(struct worker *const *workers, unsigned nr);

#endif
