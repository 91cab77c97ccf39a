/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * post.c - what a message to a loop in another thread costs.
 *
 * One loop, that of the main thread, and a partner: a thread with a loop of its
 * own, or one without.  So many messages are in flight at once; whoever gets
 * one sends it back (a partner without a loop is told by a counter, and posts
 * again).  One in flight is the price of a wake in either direction, many are
 * the price of messages between wakes.
 *
 * evring_post() is compared with what a program on libev has: ev_async_send()
 * after a push to a lock-free stack, which the watcher's callback takes whole
 * and turns round, as evring does.  A loop may be woken at once or with the
 * next turn of the sender's.  Partners are on the same CPU unless --apart is
 * given, so that the figures are work, not waiting.
 */
#include "config.h"

#include "bench.h"
#include "side.h"

#include <err.h>
#include <evring-net.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STUCK_SECONDS = 20, MAX_FLYING = 1024 };

static unsigned nr_messages = 20000;
static unsigned nr_block_messages = 2000;
static unsigned is_apart;

/* clang-format off */
static const struct bench_option options[] = {
	{ "messages", &nr_messages, BENCH_NUMBER, "messages per cell, side, round" },
	{ "block", &nr_block_messages, BENCH_NUMBER, "messages before the next" },
	{ "apart", &is_apart, BENCH_SWITCH, "the partner on another CPU" },
	{ NULL, NULL, BENCH_NUMBER, NULL }
};

/* A way to send. */
static const struct way {
	const char *name;
	enum side_idx side;
	enum { BY_ASYNC, AT_ONCE, WITH_THE_TURN } means;
	const char *disable;
} ways[] = {
	{ "ev_async, libev epoll", SIDE_EPOLL, BY_ASYNC, NULL },
	{ "ev_async, libev epoll, again", SIDE_EPOLL_AGAIN, BY_ASYNC, NULL },
	{ "ev_async, evring", SIDE_REGION, BY_ASYNC, NULL },
	{ "evring_post, at once", SIDE_REGION, AT_ONCE, NULL },
	{ "evring_post, at once, eventfd", SIDE_REGION, AT_ONCE, "msg-ring" },
	{ "evring_post, with the turn", SIDE_REGION, WITH_THE_TURN, NULL },
};

static const struct cell {
	const char *name;
	bool has_loop; /* the partner */
	unsigned nr_flying;
} cells[] = {
	{ "a loop and a thread, 1 message", false, 1 },
	{ "a loop and a thread, 64 messages", false, 64 },
	{ "two loops, 1 message", true, 1 },
	{ "two loops, 64 messages", true, 64 },
};
/* clang-format on */

enum {
	NR_WAYS = sizeof(ways) / sizeof(ways[0]),
	NR_CELLS = sizeof(cells) / sizeof(cells[0])
};

/* Where one side gets messages, by either means. */
struct mailbox {
	struct ev_loop *loop;
	const struct way *way;
	struct evring_port port;
	ev_async async;
	struct evring_message *_Atomic posted; /* for async */
	void (*got)(struct mailbox *box, struct evring_message *message);
	struct match *match;
};

/* Two that play with each other. */
struct match {
	struct mailbox main, partner;
	const struct cell *cell;
	pthread_t thread;
	/* For a partner without a loop, who asks and yields. */
	_Atomic unsigned nr_returned;
	_Atomic bool is_over;
	unsigned nr_left; /* of this block, for main to get */
	unsigned nr_flying;
	struct evring_message messages[MAX_FLYING];
	struct evring_message last;
	struct bench_series series;
	struct side_facts before[2];
};

/*
 * mailboxes
 */

static void on_message(struct ev_loop *loop, struct evring_port *port,
		       struct evring_message *message)
{
	struct mailbox *box = port->op.data;

	(void)loop;
	if (message)
		box->got(box, message);
}

static void on_async(struct ev_loop *loop, ev_async *async, int revents)
{
	struct mailbox *box = async->data;
	struct evring_message *stack = atomic_exchange(&box->posted, NULL);
	struct evring_message *first = NULL, *next;

	(void)loop;
	(void)revents;
	for (; stack; stack = next) {
		next = stack->next;
		stack->next = first;
		first = stack;
	}
	for (; first; first = next) {
		next = first->next;
		box->got(box, first);
	}
}

static void post(struct mailbox *from, struct mailbox *to,
		 struct evring_message *message)
{
	bool can_wait = from && from->way->means == WITH_THE_TURN;

	if (to->way->means != BY_ASYNC) {
		evring_post(can_wait ? from->loop : NULL, &to->port, message);
		return;
	}
	message->next = atomic_load(&to->posted);
	while (!atomic_compare_exchange_weak(&to->posted, &message->next,
					     message))
		;
	ev_async_send(to->loop, &to->async);
}

static struct ev_loop *new_loop(const struct way *way)
{
	struct evring_config config = { .disable = way->disable };
	struct ev_loop *loop;

	if (!way->disable)
		return side_loop_new(way->side);
	loop = evring_loop_new(EVFLAG_NOENV, &config);
	if (!loop)
		err(1, "%s", way->name);
	return loop;
}

static void open_mailbox(struct mailbox *box, const struct way *way)
{
	int r;

	box->way = way;
	box->loop = new_loop(way);
	if (way->means == BY_ASYNC) {
		ev_async_init(&box->async, on_async);
		box->async.data = box;
		ev_async_start(box->loop, &box->async);
		return;
	}
	evring_port_init(&box->port, on_message);
	box->port.op.data = box;
	r = evring_port_start(box->loop, &box->port);
	if (r < 0)
		errx(1, "%s: %s", way->name, evring_strerror(r));
}

static void close_mailbox(struct mailbox *box)
{
	if (box->way->means == BY_ASYNC)
		ev_async_stop(box->loop, &box->async);
	else
		evring_port_stop(box->loop, &box->port);
	ev_loop_destroy(box->loop);
}

/*
 * matches
 */

/* All come back before the block is over, and none is sent again. */
static void main_got(struct mailbox *box, struct evring_message *message)
{
	struct match *match = box->match;

	if (match->nr_left > match->nr_flying) {
		match->nr_left--;
		if (match->cell->has_loop)
			post(box, &match->partner, message);
		else
			match->nr_returned++;
		return;
	}
	if (!--match->nr_left)
		ev_break(box->loop, EVBREAK_ALL);
	match->nr_flying--;
}

static void partner_got(struct mailbox *box, struct evring_message *message)
{
	struct match *match = box->match;

	if (message == &match->last)
		ev_break(box->loop, EVBREAK_ALL);
	else
		post(box, &match->main, message);
}

static void go_elsewhere(void)
{
	if (is_apart)
		bench_stay_on(bench_other_cpu());
}

/* Of the messages it has any will do: they are all the same. */
static void post_returned(struct match *match)
{
	unsigned i = 0, nr = match->cell->nr_flying;

	while (!match->is_over) {
		if (i == match->nr_returned)
			sched_yield();
		else
			post(NULL, &match->main, &match->messages[i++ % nr]);
	}
}

static void *play(void *arg)
{
	struct match *match = arg;

	go_elsewhere();
	if (match->cell->has_loop)
		ev_run(match->partner.loop, 0);
	else
		post_returned(match);
	return NULL;
}

static void open_match(struct match *match, const struct cell *cell,
		       const struct way *way, unsigned nr_blocks)
{
	memset(match, 0, sizeof(*match));
	match->cell = cell;
	match->main.match = match->partner.match = match;
	match->main.got = main_got;
	match->partner.got = partner_got;
	open_mailbox(&match->main, way);
	if (cell->has_loop)
		open_mailbox(&match->partner, way);
	bench_series_init(&match->series, nr_blocks);
	if (pthread_create(&match->thread, NULL, play, match))
		errx(1, "no thread");
}

static void close_match(struct match *match)
{
	match->is_over = true;
	if (match->cell->has_loop)
		post(NULL, &match->partner, &match->last);
	pthread_join(match->thread, NULL);
	if (match->cell->has_loop)
		close_mailbox(&match->partner);
	close_mailbox(&match->main);
	bench_series_exit(&match->series);
}

static void play_block(struct match *match)
{
	unsigned i;

	match->nr_flying = match->cell->nr_flying;
	match->nr_left = nr_block_messages;
	for (i = 0; i < match->cell->nr_flying; i++) {
		if (match->cell->has_loop)
			post(&match->main, &match->partner,
			     &match->messages[i]);
		else
			match->nr_returned++;
	}
	ev_run(match->main.loop, 0);
}

static void time_block(struct match *match)
{
	uint64_t start;

	bench_deadline(STUCK_SECONDS);
	start = bench_ns();
	play_block(match);
	bench_series_add(&match->series,
			 (double)(bench_ns() - start) / nr_block_messages);
}

/*
 * output
 */

static void note_facts(struct match *match, struct side_facts facts[2])
{
	memset(facts, 0, 2 * sizeof(facts[0]));
	side_facts(match->main.loop, &facts[0]);
	if (match->cell->has_loop)
		side_facts(match->partner.loop, &facts[1]);
}

/* turns and enters are those for a message. */
static void write_row(const struct match *match, const struct match *base,
		      const struct side_facts *facts, double turns,
		      double enters)
{
	struct bench_row row = {
		.bench = "post",
		.cell = match->cell->name,
		.figure = "a message",
		.unit = "ns",
		.series = &match->series,
		.base = &base->series,
		.facts = { { "turns_per_message", turns },
			   { "enters_per_message", enters } },
	};

	side_name_row(&row, match->main.way->side, facts);
	row.side = match->main.way->name;
	row.base_side = base->main.way->name;
	if (row.role != BENCH_OURS)
		row.facts[1].name = NULL;
	bench_row(&row);
}

static void print_match(struct match *match, const struct match *base)
{
	double nr = (double)match->series.nr * nr_block_messages;
	struct side_facts after[2];
	double enters, turns;

	note_facts(match, after);
	enters = (double)(after[0].enters - match->before[0].enters +
			  after[1].enters - match->before[1].enters);
	turns = (double)(after[0].turns - match->before[0].turns +
			 after[1].turns - match->before[1].turns);
	printf("%7.3f %7.3f  %8.0f %8.0f  %-7s %6.2f ",
	       bench_min(&match->series) / bench_min(&base->series),
	       bench_median(&match->series) / bench_median(&base->series),
	       bench_min(&match->series), bench_median(&match->series),
	       after[0].tier, turns / nr);
	if (after[0].tier[0] == '-')
		printf("%6s  %s\n", "-", match->main.way->name);
	else
		printf("%6.2f  %s\n", enters / nr, match->main.way->name);
	write_row(match, base, &after[0], turns / nr, enters / nr);
}

static void print_cell(struct match *matches, const bool *is_there)
{
	unsigned i;

	printf("\n%s\n%15s  %17s  %7s %13s\n", matches[0].cell->name, "ratio",
	       "ns per message", "", "per message");
	printf("%7s %7s  %8s %8s  %-7s %6s %6s  %s\n", "of min", "median",
	       "min", "median", "tier", "turns", "enters", "side");
	for (i = 0; i < NR_WAYS; i++)
		if (is_there[i])
			print_match(&matches[i], &matches[0]);
}

/* A thread without a loop has no turn. */
static bool can_play(const struct cell *cell, const struct way *way)
{
	return side_is_available(way->side) &&
	       (cell->has_loop || way->means != WITH_THE_TURN);
}

static void measure_cell(const struct cell *cell, unsigned nr_blocks)
{
	static struct match matches[NR_WAYS];
	bool is_there[NR_WAYS];
	unsigned i, k;

	for (k = 0; k < NR_WAYS; k++) {
		is_there[k] = can_play(cell, &ways[k]);
		if (!is_there[k])
			continue;
		open_match(&matches[k], cell, &ways[k], nr_blocks);
		bench_deadline(STUCK_SECONDS);
		play_block(&matches[k]);
		note_facts(&matches[k], matches[k].before);
	}
	for (i = 0; i < nr_blocks; i++)
		for (k = 0; k < NR_WAYS; k++)
			if (is_there[(i + k) % NR_WAYS])
				time_block(&matches[(i + k) % NR_WAYS]);
	print_cell(matches, is_there);
	for (k = 0; k < NR_WAYS; k++)
		if (is_there[k])
			close_match(&matches[k]);
}

static unsigned count_blocks(void)
{
	if (bench_common.quick)
		nr_messages /= 4;
	if (nr_block_messages < MAX_FLYING || nr_messages < nr_block_messages)
		errx(1, "--block: at least %d, --messages: at least one block",
		     MAX_FLYING);
	return bench_common.rounds * (nr_messages / nr_block_messages);
}

int main(int argc, char **argv)
{
	unsigned i, nr_blocks;

	bench_begin(argc, argv, "post: a message to a loop in another thread",
		    options);
	side_begin();
	nr_blocks = count_blocks();
	for (i = 0; i < NR_CELLS; i++)
		measure_cell(&cells[i], nr_blocks);
	printf("\nenters: of the rings of both loops; a thread's own wake is "
	       "none of these\n");
	return 0;
}
