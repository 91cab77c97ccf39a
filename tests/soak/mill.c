/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mill.c - a program on an attached loop that does over and over what the echo
 * daemon does not: see the table at the end of jobs.c.
 *
 *   mill [--epoll]
 *
 * Works as told on stdin, see soak.h.  --epoll attaches nothing.  A job that
 * does not get what libev promises ends mill with status 1 and words on stderr,
 * one that hangs with SIGABRT.
 *
 * The default loop is attached once and keeps its ring, so that all that is
 * left there adds up.  Stdin is watched there: at rest mill sleeps in this
 * ring. While it works, a second thread rings a bell of this loop and sends it
 * signals.
 *
 * What to know:
 *
 * a) Signals are delivered to the main thread only, in which they are no
 *    accident: all others block them.
 * b) A ring is replaced for each move of its loop to another thread, and for
 *    nothing else.  Each loop is looked at before it goes.
 * c) The heap has one arena, so that mallinfo2() sees all.  Without the
 *    tunable glibc.malloc.tcache_count=0 it takes what is cached for what is
 *    used.
 * d) Huge pages would make the resident size jump.
 */
#include "config.h"

#include "mill.h"

#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

enum {
	PATIENCE = 60, /* seconds for a job */
	MIN_ROUNDS = 5 /* in a run, however short */
};

struct tally tallies[NR_TALLIES] = {
	[TURNS] = { .name = "turns" },
	[ENTERS] = { .name = "enters" },
	[LOOPS] = { .name = "loops" },
	[ATTACHES] = { .name = "attaches" },
	[MOVES] = { .name = "moves" },
	[RINGS_MOVED] = { .name = "rings_moved" },
	[RINGS_LOST] = { .name = "rings_lost" },
	[OVERFLOWS] = { .name = "overflows" },
	[TIMERS] = { .name = "timers" },
	[PERIODICS] = { .name = "periodics" },
	[SIGNALS] = { .name = "signals" },
	[ASYNCS] = { .name = "asyncs" },
	[FORKS] = { .name = "forks" },
	[EXECS] = { .name = "execs" },
	[FILES] = { .name = "files" },
	[FDS_REUSED] = { .name = "fds_reused" },
	[SETS] = { .name = "sets" },
};

struct ev_loop *mill_loop;
static bool on_epoll; /* --epoll */

/*
 * loops
 */

void attach(struct ev_loop *loop, const struct evring_config *config)
{
	int r;

	if (on_epoll)
		return;
	r = evring_attach(loop, config);
	if (r < 0)
		fail("mill: evring_attach: %s", evring_strerror(r));
	add(ATTACHES, 1);
}

static void check_stats(struct ev_loop *loop, unsigned rebuilds,
			struct evring_stats *ret_stats)
{
	check_that(evring_stats(loop, ret_stats) == 0);
	check_that(evring_tier(loop) != EVRING_TIER_NONE);
	if (ret_stats->ring_rebuilds != rebuilds)
		fail("mill: %u rebuilt rings were expected, not %u", rebuilds,
		     (unsigned)ret_stats->ring_rebuilds);
}

/* What an attached loop did, before that is forgotten. */
static void count_loop(struct tally to[NR_TALLIES], struct ev_loop *loop,
		       unsigned rebuilds)
{
	struct evring_stats stats;

	if (on_epoll)
		return;
	check_stats(loop, rebuilds, &stats);
	to[TURNS].nr += stats.turns;
	to[ENTERS].nr += stats.enters;
	to[RINGS_MOVED].nr += stats.ring_rebuilds;
	to[RINGS_LOST].nr += stats.rings_lost;
	to[OVERFLOWS].nr += stats.overflows;
}

void detach(struct ev_loop *loop, unsigned rebuilds)
{
	count_loop(tallies, loop, rebuilds);
	check_that(on_epoll || evring_detach(loop) == 0);
}

void destroy(struct ev_loop *loop, unsigned rebuilds)
{
	count_loop(tallies, loop, rebuilds);
	ev_loop_destroy(loop);
	add(LOOPS, 1);
}

/*
 * threads
 */

static pthread_t start_thread(void *(*body)(void *arg), void *arg)
{
	sigset_t all, before;
	pthread_t thread;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	check_that(pthread_create(&thread, NULL, body, arg) == 0);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return thread;
}

struct visit {
	void (*body)(struct ev_loop *loop);
	struct ev_loop *loop;
};

static void *run_visit(void *arg)
{
	struct visit *visit = arg;

	visit->body(visit->loop);
	return NULL;
}

void run_in_thread(void (*body)(struct ev_loop *loop), struct ev_loop *loop)
{
	struct visit visit = { body, loop };

	check_that(pthread_join(start_thread(run_visit, &visit), NULL) == 0);
}

/*
 * what goes on beside the jobs
 */

static struct {
	ev_async bell;
	ev_signal storm;
	pthread_t ringer;
	atomic_bool is_over;
	atomic_bool bell_due, storm_due; /* sent, not yet seen */
	uint64_t nr_rung, nr_sent;
} beside;

static void on_bell(struct ev_loop *loop, ev_async *w, int revents)
{
	(void)loop, (void)w, (void)revents;
	atomic_store(&beside.bell_due, false);
}

static void on_storm(struct ev_loop *loop, ev_signal *w, int revents)
{
	(void)loop, (void)w, (void)revents;
	atomic_store(&beside.storm_due, false);
}

/* It does not wait for the loop: bursts, and gaps for it to fall asleep in. */
static void *ring_bells(void *arg)
{
	unsigned i;

	(void)arg;
	for (i = 0; !atomic_load(&beside.is_over); i++) {
		atomic_store(&beside.bell_due, true);
		ev_async_send(mill_loop, &beside.bell);
		beside.nr_rung++;
		if (i % 4 == 0) {
			atomic_store(&beside.storm_due, true);
			kill(getpid(), SIGUSR1);
			beside.nr_sent++;
		}
		if (i % 8 == 0)
			usleep(500);
	}
	return NULL;
}

static void start_beside(void)
{
	ev_async_init(&beside.bell, on_bell);
	ev_async_start(mill_loop, &beside.bell);
	ev_signal_init(&beside.storm, on_storm, SIGUSR1);
	ev_signal_start(mill_loop, &beside.storm);
	atomic_store(&beside.is_over, false);
	beside.ringer = start_thread(ring_bells, NULL);
}

/* All that was sent is seen. */
static void stop_beside(void)
{
	atomic_store(&beside.is_over, true);
	check_that(pthread_join(beside.ringer, NULL) == 0);
	while (atomic_load(&beside.bell_due) || atomic_load(&beside.storm_due))
		ev_run(mill_loop, EVRUN_ONCE);
	ev_async_stop(mill_loop, &beside.bell);
	ev_signal_stop(mill_loop, &beside.storm);
	add(ASYNCS, beside.nr_rung);
	add(SIGNALS, beside.nr_sent);
	beside.nr_rung = beside.nr_sent = 0;
}

/*
 * a run
 */

static const struct job *under_way;

static void say_who_hangs(int signum)
{
	(void)signum;
	(void)!write(STDERR_FILENO, "mill: hangs in ", 15);
	(void)!write(STDERR_FILENO, under_way->name, strlen(under_way->name));
	(void)!write(STDERR_FILENO, "\n", 1);
	abort();
}

static void work(const struct job *job)
{
	under_way = job;
	alarm(PATIENCE);
	job->work();
	alarm(0);
}

static bool has_command; /* or stdin has ended */

static void on_stdin(struct ev_loop *loop, ev_io *w, int revents)
{
	(void)w, (void)revents;
	has_command = true;
	ev_break(loop, EVBREAK_ONE);
}

/* Trap c. */
static void print_heap(void)
{
#if defined __GLIBC__ && __GLIBC_PREREQ(2, 33)
	struct mallinfo2 info = mallinfo2();

	printf("heap_in_use: %zu\n", info.uordblks + info.hblkhd);
#endif
}

static void print_all(void)
{
	struct tally all[NR_TALLIES];

	memcpy(all, tallies, sizeof(all));
	count_loop(all, mill_loop, 0);
	print_tallies(all, NR_TALLIES);
	print_heap();
	print_end();
}

static bool is_due(unsigned nr_rounds, double end)
{
	return !has_command && (nr_rounds < MIN_ROUNDS || now() < end);
}

static void run(double seconds)
{
	double end = now() + seconds;
	unsigned i, nr_rounds;

	start_beside();
	for (nr_rounds = 0; is_due(nr_rounds, end); nr_rounds++)
		for (i = 0; i < nr_jobs; i++)
			if (!has_command)
				work(&jobs[i]);
	stop_beside();
	print_all();
}

/*
 * main
 */

static void be_steady(void)
{
#ifdef M_ARENA_MAX
	mallopt(M_ARENA_MAX, 1);
#endif
	prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
}

static void watch_stdin(void)
{
	static ev_io io;

	ev_io_init(&io, on_stdin, STDIN_FILENO, EV_READ);
	ev_io_start(mill_loop, &io);
}

static double next_command(void)
{
	while (!has_command)
		ev_run(mill_loop, 0);
	has_command = false;
	return read_command();
}

int main(int argc, char **argv)
{
	double seconds;

	on_epoll = argc == 2 && !strcmp(argv[1], "--epoll");
	if (argc > 1 && !on_epoll) {
		fprintf(stderr, "Usage: mill [--epoll]\n");
		return 2;
	}
	be_steady();
	signal(SIGALRM, say_who_hangs);
	mill_loop = ev_default_loop(EVBACKEND_EPOLL);
	check_that(mill_loop != NULL);
	attach(mill_loop, NULL);
	watch_stdin();
	while ((seconds = next_command()) >= 0.)
		run(seconds);
	ev_loop_destroy(mill_loop);
	return EXIT_SUCCESS;
}
