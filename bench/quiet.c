/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * quiet.c - what a turn costs in which nothing happens and nothing may block.
 *
 * One loop per side, each with one watched descriptor that never becomes ready,
 * takes EVRUN_NOWAIT turns.  A program that does its own work between such
 * turns pays this price each time.
 *
 * The figures are those of whole turns, as a program pays them.  They contain
 * libev's own part (clock, heap, pending queue), which is the same on all
 * sides. libev's interface has no turn without a backend, so one is made: a
 * loop whose function for it is replaced by an empty one, with the library's
 * own knowledge of the layout.  What a side needs more than that is the work of
 * its backend.
 */
#include "bench.h"
#include "side.h"
#include "../lib/layout.h"

#include <err.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

struct quiet_loop {
	struct ev_loop *loop;
	ev_io io;
	int fd[2]; /* nobody writes to [1] */
	struct bench_series series;
	struct side_facts before;
};

enum { STUCK_SECONDS = 20 }; /* no block takes a tenth of this */

static const unsigned target_ns = 60;

static unsigned nr_turns = 20000;
static unsigned nr_block_turns = 200;
static unsigned must_meet;

/* clang-format off */
static const struct bench_option options[] = {
	{ "turns", &nr_turns, BENCH_NUMBER, "turns per side and round" },
	{ "block", &nr_block_turns, BENCH_NUMBER, "turns before the next side's" },
	{ "backends", &side_has_extra, BENCH_SWITCH, "libev's others, too" },
	{ "check", &must_meet, BENCH_SWITCH, "exit with 1 when the target is missed" },
	{ NULL, NULL, BENCH_NUMBER, NULL }
};
/* clang-format on */

static void on_event(struct ev_loop *loop, ev_io *io, int revents)
{
	(void)loop;
	errx(1, "fd %d is not quiet: %d", io->fd, revents);
}

static void run_turns(struct ev_loop *loop, unsigned nr)
{
	while (nr--)
		ev_run(loop, EVRUN_NOWAIT);
}

static void poll_nothing(struct ev_loop *loop, double timeout)
{
	(void)loop;
	(void)timeout;
}

static void take_backend_away(struct ev_loop *loop)
{
	struct evr_host host = { .loop = loop };

	if (evr_layout_find(loop, &host.layout) < 0)
		errx(1, "the layout of this libev cannot be proven");
	*evr_field(&host, evr_backend_poll *, poll) = poll_nothing;
}

static void quiet_loop_init(struct quiet_loop *quiet, enum side_idx idx,
			    unsigned nr_blocks)
{
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0,
		       quiet->fd))
		err(1, "socketpair");
	quiet->loop = side_loop_new(idx);
	ev_io_init(&quiet->io, on_event, quiet->fd[0], EV_READ);
	ev_io_start(quiet->loop, &quiet->io);
	bench_series_init(&quiet->series, nr_blocks);
	bench_deadline(STUCK_SECONDS);
	run_turns(quiet->loop, nr_block_turns);
	side_facts(quiet->loop, &quiet->before);
}

static void quiet_loop_exit(struct quiet_loop *quiet)
{
	ev_io_stop(quiet->loop, &quiet->io);
	ev_loop_destroy(quiet->loop);
	close(quiet->fd[0]);
	close(quiet->fd[1]);
	bench_series_exit(&quiet->series);
}

static void time_block(struct quiet_loop *quiet)
{
	uint64_t start;

	bench_deadline(STUCK_SECONDS);
	start = bench_ns();
	run_turns(quiet->loop, nr_block_turns);
	bench_series_add(&quiet->series,
			 (double)(bench_ns() - start) / nr_block_turns);
}

static void write_row(const struct quiet_loop *quiet,
		      const struct quiet_loop *base, enum side_idx idx,
		      const struct side_facts *facts)
{
	struct bench_row row = {
		.bench = "quiet",
		.cell = "",
		.figure = "a turn without events",
		.unit = "ns",
		.series = &quiet->series,
		.base = &base->series,
	};

	side_name_row(&row, idx, facts);
	if (sides[idx].has_ring) {
		row.facts[0].name = "enters_per_turn";
		row.facts[0].value = (double)facts->enters / facts->turns;
		row.facts[1].name = "turns_without_a_call";
		row.facts[1].value = (double)facts->avoided / facts->turns;
	}
	bench_row(&row);
}

static void print_side(const struct quiet_loop *quiet,
		       const struct quiet_loop *base, enum side_idx idx)
{
	struct side_facts after, facts = { 0 };
	const char *name = sides[idx].name;

	side_facts(quiet->loop, &after);
	side_facts_add(&facts, &quiet->before, &after);
	printf("%7.3f %7.3f  %8.1f %8.1f  %-8s %-7s ",
	       bench_min(&quiet->series) / bench_min(&base->series),
	       bench_quarter(&quiet->series) / bench_quarter(&base->series),
	       bench_min(&quiet->series), bench_median(&quiet->series),
	       side_backend_name(facts.backend), facts.tier);
	if (facts.tier[0] == '-')
		printf("%8s  %s\n", "-", name);
	else
		printf("%7.1f%%  %s\n", 100.0 * facts.avoided / facts.turns,
		       name);
	write_row(quiet, base, idx, &facts);
}

static void print_table(const struct quiet_loop *loops)
{
	unsigned i;

	printf("\n%15s  %17s\n", "ratio to epoll", "ns per turn");
	printf("%7s %7s  %8s %8s  %-8s %-7s %8s  %s\n", "of min", "quarter",
	       "min", "median", "backend", "tier", "avoided", "side");
	for (i = 0; i < side_count(); i++)
		print_side(&loops[side_at(i)], &loops[SIDE_EPOLL], side_at(i));
	printf("avoided: turns without a system call\n");
}

/* Of the minimum: what a side needs more than a turn without a backend. */
static double backend_work(const struct quiet_loop *quiet,
			   const struct quiet_loop *none)
{
	return bench_min(&quiet->series) - bench_min(&none->series);
}

static bool print_work(const struct quiet_loop *loops)
{
	const struct quiet_loop *none = &loops[NR_SIDES];
	bool is_met = true;
	double ns;
	unsigned i;

	printf("\nwork of the backend; a turn without one: %.1f ns\n",
	       bench_min(&none->series));
	for (i = 0; i < side_count(); i++) {
		ns = backend_work(&loops[side_at(i)], none);
		printf("%10.1f ns  %s\n", ns, sides[side_at(i)].name);
		if (side_at(i) == SIDE_REGION)
			is_met = ns <= target_ns;
	}
	printf("evring: target %u ns: %s\n", target_ns,
	       is_met ? "met" : "missed");
	return is_met;
}

static unsigned count_blocks(void)
{
	if (bench_common.quick)
		nr_turns /= 4;
	if (!nr_block_turns || nr_turns < nr_block_turns)
		errx(1, "--turns: at least one block, --block: at least 1");
	return bench_common.rounds * (nr_turns / nr_block_turns);
}

/* The loops of all sides, and one without a backend at the end. */
static void init_all(struct quiet_loop loops[NR_SIDES + 1], unsigned nr_blocks)
{
	unsigned i;

	for (i = 0; i < side_count(); i++)
		quiet_loop_init(&loops[side_at(i)], side_at(i), nr_blocks);
	quiet_loop_init(&loops[NR_SIDES], SIDE_EPOLL, nr_blocks);
	take_backend_away(loops[NR_SIDES].loop);
}

static void time_all(struct quiet_loop loops[NR_SIDES + 1], unsigned nr_blocks)
{
	unsigned i, k;

	for (i = 0; i < nr_blocks; i++) {
		for (k = 0; k < side_count(); k++)
			time_block(&loops[side_at(i + k)]);
		time_block(&loops[NR_SIDES]);
	}
}

int main(int argc, char **argv)
{
	struct quiet_loop loops[NR_SIDES + 1];
	unsigned i, nr_blocks;
	bool is_met;

	bench_begin(argc, argv, "quiet: a non-blocking turn without events",
		    options);
	side_begin();
	nr_blocks = count_blocks();
	init_all(loops, nr_blocks);
	time_all(loops, nr_blocks);
	print_table(loops);
	is_met = print_work(loops);
	for (i = 0; i < side_count(); i++)
		quiet_loop_exit(&loops[side_at(i)]);
	quiet_loop_exit(&loops[NR_SIDES]);
	return must_meet && !is_met;
}
