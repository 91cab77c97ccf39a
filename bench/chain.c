/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * chain.c - what one event costs: the chain of libevent's and libev's bench.
 *
 * Pairs of connected sockets stand in a ring.  Tokens of one byte travel: the
 * callback of a pair reads what came, and when the turn is over it is written
 * to the next pair, until enough have been written.  The read is short, so
 * there is no more, and the watchers may be edges (evring_io_edge()): those of
 * one side are.  "pairs" is how many descriptors are watched, "active" how many
 * tokens travel, so how many events a turn has.  A figure is the time of all
 * this by the number of events: the read and the write of each are in it, and
 * are the same on all sides.
 *
 * What to know about the measurement:
 *
 * a) libev's epoll backend leaves stopped descriptors in its epoll set, where
 *    they would be woken by another side's traffic.  So each side gets a new
 *    loop in each round, which is destroyed after it; what that costs is not
 *    timed.
 * b) A round is timed in blocks, which are short against the disturbances of a
 *    shared machine: a few of them are undisturbed.  The first one is a warm-up
 *    and not counted.
 * c) A chain that stops is a lost event.  A deadline ends the program then.
 * d) Edges come in the order in which they happen, levels in that of the set.
 *    Were tokens passed on at once, that would decide how many a pair has got
 *    by its callback, and so how many reads a token needs.  Where two have met
 *    nevertheless they go to different pairs.
 * e) libev's io_uring backend has been seen not to finish.  So it and linuxaio
 *    have a child each, after the others, and ten times what epoll took.
 */
#include "bench.h"
#include "side.h"

#include <err.h>
#include <evring.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	NR_BLOCKS = 10,	    /* at most, in a round */
	MIN_TURNS = 5,	    /* in a block */
	STUCK_SECONDS = 20, /* no round takes a tenth of this */
	SPARE_FDS = 64,	    /* for all but the pairs */
	MAX_TOKENS = 4096,  /* more than come together */
};

/* What a program may pay for evring in any cell: the noise. */
static const double target = 1.03;

struct cell {
	unsigned pairs;
	unsigned active;
	unsigned timers;  /* events push a timer of their pair back */
	unsigned restart; /* callbacks stop, set and start their watcher */
	unsigned toggle;  /* a pair is watched only while a token goes to it */
	bool in_quick;
};

/* clang-format off */
static const struct cell grid[] = {
	{ .pairs = 1, .active = 1, .in_quick = true },
	{ .pairs = 100, .active = 1, .in_quick = true },
	{ .pairs = 100, .active = 100, .in_quick = true },
	{ .pairs = 1000, .active = 100, .in_quick = true },
	{ .pairs = 1000, .active = 1000 },
	{ .pairs = 5000, .active = 100, .timers = 1 },
	{ .pairs = 5000, .active = 1 },
	{ .pairs = 1000, .active = 100, .restart = 1, .in_quick = true },
	{ .pairs = 1000, .active = 100, .toggle = 1 },
};
/* clang-format on */

struct pair {
	ev_io io;	/* watches fd[0] */
	ev_timer timer; /* only with timers */
	int fd[2];	/* read from [0], write to [1] */
	struct pair *next;
};

/* The chain of the cell that is being measured. */
struct chain {
	struct cell cell;
	struct pair *pairs;
	bool has_edges;
	struct pair **due; /* who gets a token when the turn is over */
	unsigned nr_due;
	unsigned to_write; /* tokens the callbacks may still pass on */
	unsigned nr_read;
};

struct result {
	struct bench_series series; /* ns per event, of each block */
	unsigned nr_per_block;
	struct side_facts facts;
};

static struct cell own_cell = { .active = 1 };
static unsigned nr_writes = 6000;
static unsigned must_meet;

/* clang-format off */
static const struct bench_option options[] = {
	{ "pairs", &own_cell.pairs, BENCH_NUMBER, "this many, and not the grid" },
	{ "active", &own_cell.active, BENCH_NUMBER, "tokens, with --pairs" },
	{ "timers", &own_cell.timers, BENCH_SWITCH, "push timers, with --pairs" },
	{ "restart", &own_cell.restart, BENCH_SWITCH, "stop, set, start; --pairs" },
	{ "toggle", &own_cell.toggle, BENCH_SWITCH, "watch while needed; --pairs" },
	{ "writes", &nr_writes, BENCH_NUMBER, "events per side and round" },
	{ "backends", &side_has_extra, BENCH_SWITCH, "libev's others, too" },
	{ "check", &must_meet, BENCH_SWITCH, "exit with 1 when a target is missed" },
	{ NULL, NULL, BENCH_NUMBER, NULL }
};
/* clang-format on */

/* The traffic. */

static void start_watcher(struct ev_loop *loop, const struct chain *chain,
			  ev_io *io)
{
	ev_io_start(loop, io);
	if (chain->has_edges && evring_io_edge(loop, io))
		errx(1, "evring_io_edge");
}

static void send_token(struct ev_loop *loop, const struct chain *chain,
		       struct pair *to)
{
	if (chain->cell.toggle)
		start_watcher(loop, chain, &to->io);
	if (write(to->fd[1], "", 1) != 1)
		err(1, "write");
}

static void restart_watcher(struct ev_loop *loop, const struct chain *chain,
			    ev_io *io)
{
	ev_io_stop(loop, io);
	ev_io_set(io, io->fd, EV_READ);
	start_watcher(loop, chain, io);
}

static void on_readable(struct ev_loop *loop, ev_io *io, int revents)
{
	struct chain *chain = ev_userdata(loop);
	struct pair *to, *pair = io->data;
	char tokens[MAX_TOKENS];
	ssize_t nr;

	(void)revents;
	if (chain->cell.timers)
		ev_timer_again(loop, &pair->timer);
	nr = read(pair->fd[0], tokens, sizeof(tokens));
	if (nr < 1 || nr == sizeof(tokens))
		err(1, "read"); /* EAGAIN too: the event was a lie */
	chain->nr_read += (unsigned)nr;
	if (chain->cell.restart)
		restart_watcher(loop, chain, io);
	else if (chain->cell.toggle)
		ev_io_stop(loop, io);
	for (to = pair->next; nr && chain->to_write; to = to->next, nr--) {
		chain->to_write--;
		chain->due[chain->nr_due++] = to;
	}
}

static void on_timer(struct ev_loop *loop, ev_timer *timer, int revents)
{
	(void)loop;
	(void)timer;
	(void)revents;
	errx(1, "a timer that is pushed back has fired");
}

/* Let the tokens travel until nr have been written. */
static void run_tokens(struct ev_loop *loop, struct chain *chain, unsigned nr)
{
	const struct cell *cell = &chain->cell;
	unsigned i;

	chain->nr_read = 0;
	chain->to_write = nr - cell->active;
	for (i = 0; i < cell->active; i++)
		send_token(
			loop, chain,
			&chain->pairs[(size_t)i * cell->pairs / cell->active]);
	while (chain->nr_read < nr) {
		ev_run(loop, EVRUN_ONCE);
		while (chain->nr_due)
			send_token(loop, chain, chain->due[--chain->nr_due]);
	}
}

/* A round of one side. */

static void start_watchers(struct ev_loop *loop, struct chain *chain)
{
	struct pair *pair;

	for (pair = chain->pairs; pair < chain->pairs + chain->cell.pairs;
	     pair++) {
		ev_io_init(&pair->io, on_readable, pair->fd[0], EV_READ);
		pair->io.data = pair;
		if (!chain->cell.toggle)
			start_watcher(loop, chain, &pair->io);
		/* Other times, as libevent's: or the heap would be a list. */
		ev_timer_init(&pair->timer, on_timer, 0, 600 + drand48());
		if (chain->cell.timers)
			ev_timer_again(loop, &pair->timer);
	}
	ev_run(loop, EVRUN_NOWAIT);
}

static unsigned block_size(const struct cell *cell)
{
	unsigned size = nr_writes / NR_BLOCKS;

	return size > MIN_TURNS * cell->active ? size
					       : MIN_TURNS * cell->active;
}

static void time_blocks(struct ev_loop *loop, struct chain *chain,
			struct bench_series *series)
{
	unsigned i, size = block_size(&chain->cell);
	uint64_t start;

	for (i = 0; i < nr_writes / size; i++) {
		start = bench_ns();
		run_tokens(loop, chain, size);
		bench_series_add(series, (double)(bench_ns() - start) / size);
	}
}

/* The watchers go with the loop: they are initialised anew before next use. */
static void run_round(enum side_idx idx, struct chain *chain,
		      struct result *result)
{
	struct side_facts before, after;
	struct ev_loop *loop = side_loop_new(idx);

	chain->has_edges = sides[idx].has_edges;
	ev_set_userdata(loop, chain);
	start_watchers(loop, chain);
	run_tokens(loop, chain, block_size(&chain->cell));
	side_facts(loop, &before);
	time_blocks(loop, chain, &result->series);
	side_facts(loop, &after);
	ev_loop_destroy(loop);
	side_facts_add(&result->facts, &before, &after);
}

static void run_in_turns(struct chain *chain, struct result *results)
{
	enum side_idx idx;
	unsigned i, k;

	for (i = 0; i < bench_common.rounds; i++) {
		for (k = 0; k < side_count(); k++) {
			idx = side_at(i + k);
			bench_deadline(STUCK_SECONDS);
			if (!sides[idx].may_hang)
				run_round(idx, chain, &results[idx]);
		}
	}
	bench_deadline(0);
}

/* Backends that may hang, see e). */

/* What the child tells after each round. */
struct child_round {
	struct side_facts facts; /* its text is constant, so the parent's too */
	unsigned nr;
	double ns[NR_BLOCKS];
};

static void run_child(enum side_idx idx, struct chain *chain,
		      struct result *result, int to_parent, unsigned seconds)
{
	struct child_round round = { .nr = 0 };
	unsigned i;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGALRM, SIG_DFL);
	alarm(seconds);
	for (i = 0; i < bench_common.rounds; i++) {
		result->series.nr = 0;
		run_round(idx, chain, result);
		round.facts = result->facts;
		round.nr = result->series.nr;
		memcpy(round.ns, result->series.value,
		       round.nr * sizeof(round.ns[0]));
		if (write(to_parent, &round, sizeof(round)) != sizeof(round))
			_exit(1);
	}
	_exit(0);
}

/* Returns the number of rounds. */
static unsigned collect_rounds(int from_child, struct result *result)
{
	struct child_round round;
	unsigned i, nr = 0;

	while (read(from_child, &round, sizeof(round)) == sizeof(round)) {
		for (i = 0; i < round.nr; i++)
			bench_series_add(&result->series, round.ns[i]);
		result->facts = round.facts;
		nr++;
	}
	return nr;
}

/* Returns the number of rounds that were finished in time. */
static unsigned run_apart(enum side_idx idx, struct chain *chain,
			  struct result *result, unsigned seconds)
{
	unsigned nr_rounds;
	int fd[2], status;
	pid_t pid;

	if (pipe(fd))
		err(1, "pipe");
	fflush(stdout);
	pid = fork();
	if (pid < 0)
		err(1, "fork");
	if (!pid)
		run_child(idx, chain, result, fd[1], seconds);
	close(fd[1]);
	nr_rounds = collect_rounds(fd[0], result);
	close(fd[0]);
	if (waitpid(pid, &status, 0) != pid)
		err(1, "waitpid");
	return nr_rounds;
}

/* Ten times what epoll took, and at least a second. */
static unsigned child_seconds(const struct bench_series *epoll)
{
	double ns_per_round = bench_median(epoll) * nr_writes;

	return 1 + 10 * bench_common.rounds * ns_per_round * 1e-9;
}

/* The table of a cell. */

enum { CELL_NAME_SIZE = 64 };

static void name_cell(const struct cell *cell, char name[CELL_NAME_SIZE])
{
	snprintf(name, CELL_NAME_SIZE, "%u pairs, %u active%s%s%s", cell->pairs,
		 cell->active, cell->timers ? ", timers" : "",
		 cell->restart ? ", restart" : "",
		 cell->toggle ? ", toggle" : "");
}

static void print_cell(const struct cell *cell)
{
	char name[CELL_NAME_SIZE];

	name_cell(cell, name);
	printf("\n%s\n", name);
	printf("%15s  %17s\n", "ratio to epoll", "ns per event");
	printf("%7s %7s  %8s %8s  %-8s %-7s %7s %7s %7s  %s\n", "of min",
	       "quarter", "min", "median", "backend", "tier", "turns", "enters",
	       "looks", "side");
}

static void print_result(const struct result *result, const struct result *base,
			 const char *name)
{
	const struct side_facts *facts = &result->facts;

	printf("%7.3f %7.3f  %8.1f %8.1f  %-8s %-7s %7.3f ",
	       bench_min(&result->series) / bench_min(&base->series),
	       bench_quarter(&result->series) / bench_quarter(&base->series),
	       bench_min(&result->series), bench_median(&result->series),
	       side_backend_name(facts->backend), facts->tier,
	       (double)facts->turns / result->series.nr / result->nr_per_block);
	if (facts->tier[0] == '-')
		printf("%7s %7s  %s\n", "-", "-", name);
	else
		printf("%7.3f %7.3f  %s\n",
		       (double)facts->enters / facts->turns,
		       (double)facts->looks / facts->turns, name);
}

static void write_row(const struct cell *cell, enum side_idx idx,
		      const struct result *result, const struct result *base)
{
	const struct side_facts *facts = &result->facts;
	double turns = (double)facts->turns;
	char name[CELL_NAME_SIZE];
	struct bench_row row = {
		.bench = "chain",
		.cell = name,
		.figure = "an event",
		.unit = "ns",
		.series = &result->series,
		.base = &base->series,
		.is_apart = sides[idx].may_hang,
		.facts = { { "turns_per_event",
			     turns / result->series.nr / result->nr_per_block },
			   { "enters_per_turn", facts->enters / turns },
			   { "looks_per_turn", facts->looks / turns } },
	};

	if (!sides[idx].has_ring)
		row.facts[1].name = NULL;
	name_cell(cell, name);
	side_name_row(&row, idx, facts);
	bench_row(&row);
}

/* A side that has a child and a time limit. */
static void measure_apart(enum side_idx idx, struct chain *chain,
			  struct result *result, const struct result *base)
{
	const char *name = sides[idx].name;
	unsigned nr_rounds, seconds = child_seconds(&base->series);

	nr_rounds = run_apart(idx, chain, result, seconds);
	if (nr_rounds) {
		print_result(result, base, name);
		write_row(&chain->cell, idx, result, base);
	}
	if (nr_rounds < bench_common.rounds)
		printf("%s did not finish: %u of %u rounds in %u s\n", name,
		       nr_rounds, bench_common.rounds, seconds);
}

static double quarter_ratio(const struct result *results, enum side_idx idx)
{
	return bench_quarter(&results[idx].series) /
	       bench_quarter(&results[SIDE_EPOLL].series);
}

static bool print_target(const struct result *results)
{
	double ratio;

	if (!side_is_available(SIDE_REGION))
		return true;
	ratio = quarter_ratio(results, SIDE_REGION);
	printf("evring %.3f, target %.2f: %s; epoll against itself %.3f\n",
	       ratio, target, bench_verdict(ratio <= target),
	       quarter_ratio(results, SIDE_EPOLL_AGAIN));
	return ratio <= target;
}

static bool measure_sides(struct chain *chain, struct result *results)
{
	const struct result *base = &results[SIDE_EPOLL];
	enum side_idx idx;
	unsigned i;

	print_cell(&chain->cell);
	run_in_turns(chain, results);
	for (i = 0; i < side_count(); i++) {
		idx = side_at(i);
		if (sides[idx].may_hang) {
			measure_apart(idx, chain, &results[idx], base);
			continue;
		}
		print_result(&results[idx], base, sides[idx].name);
		write_row(&chain->cell, idx, &results[idx], base);
	}
	return print_target(results);
}

/* A cell. */

static void chain_init(struct chain *chain, const struct cell *cell)
{
	unsigned i;

	chain->cell = *cell;
	chain->pairs = calloc(cell->pairs, sizeof(*chain->pairs));
	chain->due = calloc(cell->active, sizeof(struct pair *));
	chain->nr_due = 0;
	if (!chain->pairs || !chain->due)
		err(1, "pairs");
	for (i = 0; i < cell->pairs; i++) {
		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0,
			       chain->pairs[i].fd))
			err(1, "socketpair");
		chain->pairs[i].next = &chain->pairs[(i + 1) % cell->pairs];
	}
}

static void chain_exit(struct chain *chain)
{
	unsigned i;

	for (i = 0; i < chain->cell.pairs; i++) {
		close(chain->pairs[i].fd[0]);
		close(chain->pairs[i].fd[1]);
	}
	free(chain->pairs);
	free(chain->due);
}

/* Returns whether the target was met. */
static bool measure_cell(const struct cell *cell)
{
	struct result results[NR_SIDES] = { 0 };
	struct chain chain;
	enum side_idx idx;
	bool met;

	if (nr_writes < NR_BLOCKS || nr_writes < MIN_TURNS * cell->active)
		errx(1, "--writes: too few for %u active", cell->active);
	chain_init(&chain, cell);
	for (idx = 0; idx < NR_SIDES; idx++) {
		bench_series_init(&results[idx].series,
				  bench_common.rounds * NR_BLOCKS);
		results[idx].nr_per_block = block_size(cell);
	}
	met = measure_sides(&chain, results);
	for (idx = 0; idx < NR_SIDES; idx++)
		bench_series_exit(&results[idx].series);
	chain_exit(&chain);
	return met;
}

static bool cell_fits(const struct cell *cell)
{
	struct rlimit limit;
	rlim_t needed = 2 * (rlim_t)cell->pairs + SPARE_FDS;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		err(1, "getrlimit");
	if (limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		if (setrlimit(RLIMIT_NOFILE, &limit))
			err(1, "setrlimit");
	}
	if (limit.rlim_max < needed)
		printf("\nleft out: %u pairs: RLIMIT_NOFILE is %llu at most\n",
		       cell->pairs, (unsigned long long)limit.rlim_max);
	return limit.rlim_max >= needed;
}

static bool measure_grid(void)
{
	bool met = true;
	unsigned i;

	for (i = 0; i < sizeof(grid) / sizeof(grid[0]); i++) {
		if (bench_common.quick && !grid[i].in_quick)
			continue;
		if (cell_fits(&grid[i]) && !measure_cell(&grid[i]))
			met = false;
	}
	return met;
}

static void check_options(void)
{
	if (own_cell.pairs &&
	    (!own_cell.active || own_cell.active > own_cell.pairs))
		errx(1, "--active: from 1 to the number of pairs");
	if (!own_cell.pairs && (own_cell.active != 1 || own_cell.timers ||
				own_cell.restart || own_cell.toggle))
		errx(1, "--active, --timers, --restart, --toggle: "
			"only with --pairs");
	if (own_cell.restart && own_cell.toggle)
		errx(1, "--restart, --toggle: one of them");
	if (bench_common.quick && bench_common.rounds > 15)
		bench_common.rounds = 15;
}

int main(int argc, char **argv)
{
	bool met;

	bench_common.rounds = 60;
	bench_begin(argc, argv, "chain: the cost of an event", options);
	check_options();
	side_may_have_edges = true;
	side_begin();
	printf("quarter: ratio of what a quarter of the blocks stay below; "
	       "turns: per event;\nenters: of the ring, looks: calls of "
	       "epoll_wait by evring, "
	       "per turn\n");
	if (!own_cell.pairs)
		met = measure_grid();
	else
		met = !cell_fits(&own_cell) || measure_cell(&own_cell);
	return must_meet && !met;
}
