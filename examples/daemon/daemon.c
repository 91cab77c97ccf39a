/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * daemon.c - the process of a daemon: its limits, threads and signals.
 *
 * Workers begin one after the other, so that the first refusal is the only one
 * that is told; the daemon is ready when the last has begun.  What is to be
 * done is a number that only grows; who raises it wakes all.
 *
 * Invariants:
 *
 * (1) Before a worker is joined its loop may be sent to: all loops live until
 *     all threads have been joined.
 * (2) Signals are for the main thread alone.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "private.h"

#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum {
	MAX_WORKERS = 64,
	FDS_OF_PROCESS = 16, /* stdio, some to spare */
	FDS_OF_WORKER = 8    /* epoll, ring, eventfds, some to spare */
};

static struct {
	const struct daemon *daemon;
	struct worker *workers[MAX_WORKERS];
	_Atomic unsigned nr; /* that have begun */
	unsigned nr_threads; /* to be joined */
	_Atomic unsigned nr_running;
	_Atomic int command;
	_Atomic int status;
	sem_t begun; /* a worker has, or has failed */
	ev_async ended;
	ev_signal sigterm, sigint, sigusr1;
} process;

const char *program_name(void)
{
	return process.daemon->name;
}

void complain(const char *format, ...)
{
	char text[1024];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	fprintf(stderr, "%s: %s\n", program_name(), text);
}

double daemon_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return now.tv_sec + now.tv_nsec / 1e9;
}

/*
 * commands
 */

enum command daemon_command(void)
{
	return (enum command)process.command;
}

bool daemon_others_run(void)
{
	return process.nr_running > 0;
}

const struct worker *daemon_first(void)
{
	return process.workers[0];
}

static void wake_all(void)
{
	for (unsigned i = 0; i < process.nr; i++)
		ev_async_send(process.workers[i]->loop,
			      &process.workers[i]->private->command);
}

static void raise_command(enum command command)
{
	int was = process.command;

	while (was < (int)command &&
	       !atomic_compare_exchange_weak(&process.command, &was, command))
		;
	wake_all();
}

void daemon_stop(void)
{
	raise_command(COMMAND_STOP);
}

void daemon_fail(void)
{
	process.status = EXIT_FAILURE;
	daemon_stop();
}

static void on_stop_signal(struct ev_loop *loop, ev_signal *w, int revents)
{
	(void)loop, (void)w, (void)revents;
	raise_command(daemon_command() == COMMAND_RUN ? COMMAND_STOP
						      : COMMAND_CUT);
}

static void on_sigusr1(struct ev_loop *loop, ev_signal *w, int revents)
{
	(void)loop, (void)w, (void)revents;
	stats_print(process.workers, process.nr);
}

static void on_ended(struct ev_loop *loop, ev_async *w, int revents)
{
	(void)loop, (void)w, (void)revents;
	worker_check_end(process.workers[0]);
}

static void start_signal(struct ev_loop *loop, ev_signal *w,
			 void (*cb)(struct ev_loop *, ev_signal *, int),
			 int signum)
{
	ev_signal_init(w, cb, signum);
	ev_signal_start(loop, w);
}

static void start_signals(struct ev_loop *loop)
{
	signal(SIGPIPE, SIG_IGN);
	start_signal(loop, &process.sigterm, on_stop_signal, SIGTERM);
	start_signal(loop, &process.sigint, on_stop_signal, SIGINT);
	start_signal(loop, &process.sigusr1, on_sigusr1, SIGUSR1);
	ev_async_init(&process.ended, on_ended);
	ev_async_start(loop, &process.ended);
}

/*
 * limits
 */

static uint64_t nr_cpus(void)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) < 0)
		return 1;
	return CPU_COUNT(&set) < MAX_WORKERS ? (uint64_t)CPU_COUNT(&set)
					     : MAX_WORKERS;
}

/* The soft limit is raised for max descriptors, as far as the hard one lets. */
static rlim_t raise_nofile(rlim_t max)
{
	struct rlimit nofile;
	rlim_t was;

	if (getrlimit(RLIMIT_NOFILE, &nofile) < 0)
		return max;
	was = nofile.rlim_cur;
	if (was >= max)
		return was;
	nofile.rlim_cur = max < nofile.rlim_max ? max : nofile.rlim_max;
	return setrlimit(RLIMIT_NOFILE, &nofile) < 0 ? was : nofile.rlim_cur;
}

static void set_limits(void)
{
	struct daemon_options *options = &daemon_options;
	uint64_t sockets =
		options->listen.nr * (process.daemon->has_udp ? 2u : 1u);
	uint64_t kept =
		FDS_OF_PROCESS + options->workers * (FDS_OF_WORKER + sockets);
	rlim_t nofile = raise_nofile(kept + options->max_connections);
	uint64_t most = nofile > kept ? nofile - kept : 1;

	if (options->max_connections > most) {
		complain("--max-connections lowered to %" PRIu64
			 ": RLIMIT_NOFILE is %" PRIu64,
			 most, (uint64_t)nofile);
		options->max_connections = most;
	}
	if (options->workers > options->max_connections)
		options->workers = options->max_connections;
}

static uint64_t share_of(unsigned index)
{
	uint64_t max = daemon_options.max_connections;
	uint64_t nr = daemon_options.workers;

	return max / nr + (index < max % nr);
}

/*
 * threads
 */

static void *run_thread(void *arg)
{
	struct worker *worker = arg;
	struct worker_private *private = worker->private;

	private->status = worker_attach(worker);
	if (private->status == EXIT_SUCCESS)
	private->status = worker_begin(worker);
	if (private->status == EXIT_SUCCESS)
		process.nr++; /* before it looks at the command */
	sem_post(&process.begun);
	if (private->status == EXIT_SUCCESS)
		worker_run(worker);
	worker_end(worker);
	process.nr_running--;
	ev_async_send(process.workers[0]->loop, &process.ended);
	return NULL;
}

static int create_thread(struct worker *worker)
{
	sigset_t all, was;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &was);
	r = pthread_create(&worker->private->thread, NULL, run_thread, worker);
	pthread_sigmask(SIG_SETMASK, &was, NULL);
	return r;
}

static void wait_until_begun(void)
{
	while (sem_wait(&process.begun) < 0)
		;
}

static int start_thread(struct worker *worker)
{
	int r;

	process.nr_running++;
	r = create_thread(worker);
	if (r != 0) {
		process.nr_running--;
		complain("worker %u: no thread: %s", worker->index,
			 strerror(r));
		return EXIT_FAILURE;
	}
	process.nr_threads++;
	wait_until_begun();
	return worker->private->status;
}

static int start_threads(void)
{
	unsigned nr = (unsigned)daemon_options.workers;
	int status = EXIT_SUCCESS;

	for (unsigned i = 1; i < nr && status == EXIT_SUCCESS; i++)
		status = start_thread(process.workers[i]);
	return status;
}

static void join_threads(void)
{
	for (unsigned i = 1; i <= process.nr_threads; i++)
		pthread_join(process.workers[i]->private->thread, NULL);
}

/*
 * all together
 */

static int make_workers(void)
{
	for (unsigned i = 0; i < daemon_options.workers; i++) {
		process.workers[i] = worker_new(process.daemon, i);
		if (!process.workers[i])
			return EXIT_FAILURE;
		process.workers[i]->private->share = share_of(i);
	}
	return EXIT_SUCCESS;
}

static int open_endpoints(void)
{
	const struct endpoints *listen = &daemon_options.listen;

	for (unsigned i = 0; i < listen->nr; i++)
		if (endpoint_open(process.workers,
				  (unsigned)daemon_options.workers,
				  listen->at[i]) < 0)
			return EXIT_FAILURE;
	return EXIT_SUCCESS;
}

static int begin(void)
{
	struct worker *first = process.workers[0];
	int status = worker_attach(first);

	if (status == EXIT_SUCCESS)
		status = open_endpoints();
	if (status != EXIT_SUCCESS)
		return status;
	start_signals(first->loop);
	process.nr = 1;
	status = worker_begin(first);
	return status == EXIT_SUCCESS ? start_threads() : status;
}

static int say_ready(void)
{
	enum evring_tier tier = process.workers[0]->private->tier;

	if (printf("ready tier=%s\n", evring_tier_name(tier)) >= 0 &&
	    fflush(stdout) == 0)
		return EXIT_SUCCESS;
	complain("stdout: %s", strerror(errno));
	return EXIT_FAILURE;
}

static void end(void)
{
	join_threads();
	worker_end(process.workers[0]);
	if (daemon_options.stats && process.status == EXIT_SUCCESS)
		stats_print(process.workers, process.nr);
}

static void free_workers(void)
{
	for (unsigned i = 0; i < MAX_WORKERS && process.workers[i]; i++)
		worker_free(process.workers[i]);
}

/* What has begun must end, also when something else has failed. */
static int run(void)
{
	int status = begin();

	if (status == EXIT_SUCCESS)
		status = say_ready();
	if (status != EXIT_SUCCESS) {
		process.status = status;
		raise_command(COMMAND_CUT);
	}
	if (process.nr > 0)
		worker_run(process.workers[0]);
	end();
	return process.status;
}

int daemon_main(const struct daemon *daemon, int argc, char **argv)
{
	int first, status = EXIT_SUCCESS;

	process.daemon = daemon;
	if (daemon_options.workers == 0)
		daemon_options.workers = nr_cpus();
	first = options_parse(daemon, argc, argv);
	if (daemon->configure)
		status = daemon->configure(argc - first, argv + first);
	if (status != EXIT_SUCCESS)
		return status;
	set_limits();
	sem_init(&process.begun, 0, 0);
	status = make_workers();
	if (status == EXIT_SUCCESS)
		status = run();
	free_workers();
	sem_destroy(&process.begun);
	return status;
}
