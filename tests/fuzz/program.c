/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * program.c - random programs over the operations of machine.h: made from a
 * seed, run, and printed as C.
 *
 * A program is a list of operations and a few handlers, which are short lists
 * themselves and are what watchers do when they are called.  Any list is a
 * program: an operation that makes no sense where it stands does nothing.  So
 * programs can be cut anywhere.
 *
 * All that there is to know about an operation is its row in ops[].
 */
#include "config.h"

#include "program.h"

#include <stdio.h>
#include <string.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

enum arg {
	NONE,
	KIND,
	PLACE,
	WATCHER,
	EVENTS,
	PRIORITY,
	SIZE,
	HANDLER,
	TIMER,
	LENGTH, /* of a block */
	HOW,
	FORM
};

enum code {
	OPEN,
	CLOSE,
	DUP,
	SWAP,
	WRITE,
	READ,
	DRAIN,
	FILL,
	SHUT,
	START,
	RESTART,
	MODIFY,
	STOP,
	FEED,
	FEED_FD,
	SET_TIMER,
	STOP_TIMER,
	MEANWHILE,
	ASYNC,
	TURN,
	ONCE,
	SLEEP,
	LOOP_FORK,
	DETACH,
	ATTACH,
	DESTROY,
	OTHER,
	LEAVE,
	FORK,
	MOVE,
	NR_CODES
};

/* How programs differ in what they do most; the last is for handlers. */
enum theme { GENERAL, REUSE, RETURNS, CALLS, LIVES, IN_HANDLER, NR_THEMES };

struct op_type {
	const char *name;
	uint8_t args[MAX_ARGS];
	uint8_t weights[NR_THEMES];
};

/* clang-format off */
static const struct op_type ops[NR_CODES] = {
	[OPEN]	     = { "do_open", { KIND, PLACE, PLACE }, { 8, 14, 3, 6, 6, 3 } },
	[CLOSE]	     = { "do_close", { PLACE },		    { 3, 8, 1, 2, 2, 3 } },
	[DUP]	     = { "do_dup", { PLACE, PLACE },	    { 3, 12, 2, 1, 2, 2 } },
	[SWAP]	     = { "do_swap", { PLACE, PLACE },	    { 2, 8, 22, 1, 1, 1 } },
	[WRITE]	     = { "do_write", { PLACE, SIZE },	    { 14, 14, 6, 16, 12, 8 } },
	[READ]	     = { "do_read", { PLACE, SIZE },	    { 6, 4, 2, 3, 3, 14 } },
	[DRAIN]	     = { "do_drain", { PLACE },		    { 3, 2, 3, 2, 2, 6 } },
	[FILL]	     = { "do_fill", { PLACE },		    { 3, 1, 0, 2, 2, 1 } },
	[SHUT]	     = { "do_shut", { PLACE, HOW },	    { 2, 1, 0, 1, 1, 1 } },
	[START]	     = { "do_start",
			 { WATCHER, PLACE, EVENTS, PRIORITY, HANDLER },
							    { 18, 22, 24, 22, 14, 8 } },
	[RESTART]    = { "do_restart", { WATCHER },	    { 4, 4, 2, 3, 3, 4 } },
	[MODIFY]     = { "do_modify", { WATCHER, EVENTS },  { 4, 4, 2, 3, 3, 3 } },
	[STOP]	     = { "do_stop", { WATCHER },	    { 6, 6, 2, 3, 3, 8 } },
	[FEED]	     = { "do_feed", { WATCHER, EVENTS },    { 2, 1, 0, 2, 1, 2 } },
	[FEED_FD]    = { "do_feed_fd", { PLACE, EVENTS },   { 1, 1, 0, 2, 1, 2 } },
	[SET_TIMER]  = { "do_timer", { TIMER, HANDLER },    { 2, 1, 0, 4, 2, 1 } },
	[STOP_TIMER] = { "do_timer_stop", { TIMER },	    { 1, 0, 0, 1, 1, 1 } },
	[MEANWHILE]  = { "do_meanwhile", { HANDLER },	    { 3, 2, 2, 3, 1, 1 } },
	[ASYNC]	     = { "do_async", { NONE },		    { 1, 0, 0, 1, 1, 0 } },
	[TURN]	     = { "do_turn", { NONE },		    { 20, 20, 20, 20, 16, 3 } },
	[ONCE]	     = { "do_once", { NONE },		    { 12, 12, 6, 12, 10, 2 } },
	[SLEEP]	     = { "do_sleep", { NONE },		    { 1, 1, 0, 0, 0, 0 } },
	[LOOP_FORK]  = { "do_loop_fork", { NONE },	    { 2, 1, 1, 1, 5, 1 } },
	[DETACH]     = { "do_detach", { NONE },		    { 1, 0, 1, 0, 4, 1 } },
	[ATTACH]     = { "do_attach", { FORM },		    { 2, 1, 2, 0, 6, 1 } },
	[DESTROY]    = { "do_destroy", { NONE },	    { 1, 0, 0, 0, 2, 1 } },
	[OTHER]	     = { "do_other", { NONE },		    { 1, 1, 0, 1, 3, 1 } },
	[LEAVE]	     = { "do_leave", { NONE },		    { 0, 0, 0, 0, 1, 0 } },
	[FORK]	     = { "do_fork", { LENGTH },		    { 1, 0, 0, 0, 2, 0 } },
	[MOVE]	     = { "do_move", { LENGTH },		    { 1, 0, 0, 0, 4, 0 } },
};

static const char *const kind_names[NR_KINDS] = {
	[PIPE] = "PIPE", [STREAM] = "STREAM", [DATAGRAM] = "DATAGRAM",
	[SEQPACKET] = "SEQPACKET", [INOTIFY] = "INOTIFY",
	[TCP] = "TCP", [FIFO] = "FIFO", [PTY] = "PTY", [NESTED] = "NESTED",
	[EVENTFD] = "EVENTFD", [TIMERFD] = "TIMERFD", [EXPIRED] = "EXPIRED",
	[LISTENER] = "LISTENER", [REGULAR] = "REGULAR",
	[DIRECTORY] = "DIRECTORY", [NULL_DEVICE] = "NULL_DEVICE",
};

/* Terminals and connections are slow to make, inotify to unmake. */
static const uint8_t kind_weights[NR_KINDS] = {
	[PIPE] = 128, [STREAM] = 96, [DATAGRAM] = 48, [SEQPACKET] = 24,
	[TCP] = 24, [FIFO] = 48, [PTY] = 8, [NESTED] = 24, [EVENTFD] = 64,
	[TIMERFD] = 24, [EXPIRED] = 16, [LISTENER] = 16, [INOTIFY] = 1,
	[REGULAR] = 32, [DIRECTORY] = 8, [NULL_DEVICE] = 8,
};
/* clang-format on */

/*
 * generation
 */

struct generator {
	uint64_t state;
	struct program *program;
	enum theme theme;
	int hot[3]; /* places that much happens to */
	int nr_hot;
	int heat; /* how much, in percent */
	int nr_watchers;
	bool in_handler;
	bool is_open[NR_PLACES];
};

/* splitmix64 */
static uint64_t next_random(struct generator *g)
{
	uint64_t z = g->state += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

static int below(struct generator *g, int limit)
{
	return (int)(next_random(g) % (uint64_t)limit);
}

static bool chance(struct generator *g, int percent)
{
	return below(g, 100) < percent;
}

static int pick_kind(struct generator *g)
{
	int i, total = 0, r;

	for (i = 0; i < NR_KINDS; i++)
		total += kind_weights[i];
	r = below(g, total);
	for (i = 0; r >= kind_weights[i]; i++)
		r -= kind_weights[i];
	return i;
}

static enum code pick_code(struct generator *g)
{
	enum theme theme = g->in_handler ? IN_HANDLER : g->theme;
	int i, total = 0, r;

	for (i = 0; i < NR_CODES; i++)
		total += ops[i].weights[theme];
	r = below(g, total);
	for (i = 0; r >= ops[i].weights[theme]; i++)
		r -= ops[i].weights[theme];
	return (enum code)i;
}

static int pick_any_place(struct generator *g)
{
	if (g->in_handler && chance(g, 50))
		return SELF;
	return chance(g, g->heat) ? g->hot[below(g, g->nr_hot)]
				  : below(g, NR_PLACES);
}

/* Rather one where something is. */
static int pick_place(struct generator *g)
{
	int tries, place = SELF;

	for (tries = 0; tries < 4; tries++) {
		place = pick_any_place(g);
		if (place == SELF || g->is_open[place])
			break;
	}
	return place;
}

static int pick_watcher(struct generator *g)
{
	return g->in_handler && chance(g, 50) ? SELF : below(g, g->nr_watchers);
}

static int pick_arg(struct generator *g, enum arg arg)
{
	static const int8_t sizes[] = { 1, 1, 1, 2, 3, 8, 64, 127 };

	switch (arg) {
	case KIND:
		return pick_kind(g);
	case PLACE:
		return pick_place(g);
	case WATCHER:
		return pick_watcher(g);
	case EVENTS:
		return chance(g, g->heat) ? EV_READ : 1 + below(g, 3);
	case PRIORITY:
		return chance(g, 70) ? 0 : below(g, 5) - 2;
	case SIZE:
		return sizes[below(g, ARRAY_SIZE(sizes))];
	case HANDLER:
		return chance(g, 35) ? -1 : below(g, NR_HANDLERS);
	case TIMER:
		return below(g, NR_TIMERS);
	case LENGTH:
		return 1 + below(g, 10);
	case HOW:
		return below(g, 3);
	case FORM:
		return chance(g, 60) ? 0 : 1 + below(g, nr_modes - 1);
	default:
		return 0;
	}
}

static void follow(struct generator *g, const struct op *op)
{
	if (g->in_handler)
		return;
	if (op->code == OPEN) {
		g->is_open[op->args[1]] = true;
		g->is_open[op->args[2]] = true;
	} else if (op->code == CLOSE) {
		g->is_open[op->args[0]] = false;
	} else if (op->code == DUP) {
		g->is_open[op->args[1]] = true;
	}
}

static void make_op(struct generator *g, struct op *op, enum code code)
{
	int i;

	*op = (struct op){ .code = (uint8_t)code };
	for (i = 0; i < MAX_ARGS; i++)
		op->args[i] = (int8_t)pick_arg(g, ops[code].args[i]);
	/* What is opened, and where a dup goes, is anywhere. */
	if (code == OPEN)
		op->args[1] = (int8_t)pick_any_place(g);
	if (code == OPEN)
		op->args[2] = (int8_t)pick_any_place(g);
	if (code == DUP || (code == SWAP && op->args[0] == op->args[1]))
		op->args[1] = (int8_t)pick_any_place(g);
	follow(g, op);
}

static void add_op(struct generator *g, enum code code)
{
	make_op(g, &g->program->ops[g->program->nr_ops++], code);
}

/* Where the order of watchers is libev's they may only stop themselves. */
static void make_handler(struct generator *g, struct handler *handler)
{
	int i;

	if (!(g->program->flags & ORDERED)) {
		handler->nr_steps = below(g, 2);
		handler->steps[0] = (struct op){ STOP, { SELF } };
		return;
	}
	handler->nr_steps = below(g, MAX_STEPS + 1);
	for (i = 0; i < handler->nr_steps; i++)
		make_op(g, &handler->steps[i], pick_code(g));
}

static void begin_generator(struct generator *g, struct program *program,
			    uint64_t seed)
{
	size_t i;

	memset(program, 0, sizeof(*program));
	memset(g, 0, sizeof(*g));
	program->seed = g->state = seed;
	g->program = program;
	g->theme = (enum theme)below(g, IN_HANDLER);
	g->heat = g->theme == RETURNS ? 90 : 60;
	g->nr_hot = g->theme == RETURNS ? 2 : ARRAY_SIZE(g->hot);
	g->nr_watchers = 2 + below(g, NR_WATCHERS - 1);
	for (i = 0; i < ARRAY_SIZE(g->hot); i++)
		g->hot[i] = (below(g, NR_PLACES / 2) * 2 + (int)i) % NR_PLACES;
	program->flags = (chance(g, 75) ? ORDERED : 0u) |
			 (chance(g, 15) ? FORKCHECK : 0u) |
			 (chance(g, 10) ? LATE : 0u);
}

void generate_program(struct program *ret_program, uint64_t seed)
{
	struct generator g;
	int i, nr_ops;

	begin_generator(&g, ret_program, seed);
	g.in_handler = true;
	for (i = 0; i < NR_HANDLERS; i++)
		make_handler(&g, &ret_program->handlers[i]);
	g.in_handler = false;
	for (i = below(&g, 3); i >= 0; i--) {
		add_op(&g, OPEN);
		add_op(&g, START);
	}
	nr_ops = 10 + below(&g, 31);
	while (ret_program->nr_ops < nr_ops)
		add_op(&g, pick_code(&g));
	add_op(&g, TURN);
}

/*
 * running
 */

/* A part of the list. */
struct range {
	const struct program *program;
	int from, to;
};

static void run_range(const void *arg);

static void run_handler(const void *arg);

static const struct body *body_of(const struct program *program, int handler)
{
	static struct body bodies[NR_HANDLERS];

	if (handler < 0)
		return NULL;
	bodies[handler].run = run_handler;
	bodies[handler].arg = &program->handlers[handler];
	return &bodies[handler];
}

static void run_file_op(const struct op *op)
{
	const int8_t *a = op->args;

	switch ((enum code)op->code) {
	case OPEN:
		do_open((enum kind)a[0], a[1], a[2]);
		return;
	case CLOSE:
		do_close(a[0]);
		return;
	case DUP:
		do_dup(a[0], a[1]);
		return;
	case SWAP:
		do_swap(a[0], a[1]);
		return;
	case WRITE:
		do_write(a[0], a[1]);
		return;
	case READ:
		do_read(a[0], a[1]);
		return;
	case DRAIN:
		do_drain(a[0]);
		return;
	case FILL:
		do_fill(a[0]);
		return;
	default:
		do_shut(a[0], a[1]);
	}
}

static const struct program *running;

static void run_watcher_op(const struct op *op)
{
	const int8_t *a = op->args;

	switch ((enum code)op->code) {
	case START:
		do_start(a[0], a[1], a[2], a[3], body_of(running, a[4]));
		return;
	case RESTART:
		do_restart(a[0]);
		return;
	case MODIFY:
		do_modify(a[0], a[1]);
		return;
	case STOP:
		do_stop(a[0]);
		return;
	case FEED:
		do_feed(a[0], a[1]);
		return;
	case FEED_FD:
		do_feed_fd(a[0], a[1]);
		return;
	case SET_TIMER:
		do_timer(a[0], body_of(running, a[1]));
		return;
	case STOP_TIMER:
		do_timer_stop(a[0]);
		return;
	default:
		do_meanwhile(body_of(running, a[0]));
	}
}

static void run_loop_op(const struct op *op)
{
	/* clang-format off */
	static void (*const functions[NR_CODES])(void) = {
		[ASYNC] = do_async, [TURN] = do_turn, [ONCE] = do_once,
		[SLEEP] = do_sleep, [LOOP_FORK] = do_loop_fork,
		[DETACH] = do_detach, [DESTROY] = do_destroy,
		[OTHER] = do_other, [LEAVE] = do_leave,
	};
	/* clang-format on */

	if (op->code == ATTACH)
		do_attach(op->args[0]);
	else if (functions[op->code]) /* blocks: by run_range() */
		functions[op->code]();
}

static void run_op(const struct op *op)
{
	if (op->code <= SHUT)
		run_file_op(op);
	else if (op->code <= MEANWHILE)
		run_watcher_op(op);
	else
		run_loop_op(op);
}

static void run_handler(const void *arg)
{
	const struct handler *handler = arg;
	int i;

	for (i = 0; i < handler->nr_steps; i++)
		run_op(&handler->steps[i]);
}

static int end_of_block(const struct program *program, int i, int to)
{
	int end = i + 1 + block_length(&program->ops[i]);

	return end < to ? end : to;
}

static void run_block(const struct op *op, const struct range *block)
{
	struct body body = { run_range, block };

	if (op->code == MOVE) {
		do_move(&body);
		return;
	}
	do_fork(&body);
	run_range(block);
}

static void run_range(const void *arg)
{
	const struct range *range = arg;
	const struct program *p = range->program;
	struct range block;
	int i;

	for (i = range->from; i < range->to; i = block.to) {
		block = (struct range){ p, i + 1,
					end_of_block(p, i, range->to) };
		if (block_length(&p->ops[i]))
			run_block(&p->ops[i], &block);
		else
			run_op(&p->ops[i]);
	}
}

void run_program(const struct program *program, const struct mode *mode,
		 struct trace *ret_trace)
{
	struct range all = { program, 0, program->nr_ops };
	struct body body = { run_range, &all };

	running = program;
	run_machine(mode, program->flags, &body, ret_trace);
}

static bool is_open_of(const struct op *op, enum kind kind)
{
	return op->code == OPEN && op->args[0] == (int8_t)kind;
}

bool program_opens(const struct program *program, enum kind kind)
{
	const struct handler *h = program->handlers;
	int i;

	for (i = 0; i < program->nr_ops; i++)
		if (is_open_of(&program->ops[i], kind))
			return true;
	for (; h < program->handlers + NR_HANDLERS; h++)
		for (i = 0; i < h->nr_steps; i++)
			if (is_open_of(&h->steps[i], kind))
				return true;
	return false;
}

/*
 * printing
 */

static void print_arg(const struct program *program, enum arg arg, int value)
{
	static const char *const events[] = { "0", "EV_READ", "EV_WRITE",
					      "EV_READ | EV_WRITE" };
	static const char *const hows[] = { "SHUT_RD", "SHUT_WR", "SHUT_RDWR" };

	if (arg == KIND)
		printf("%s", kind_names[value]);
	else if (arg == EVENTS)
		printf("%s", events[value]);
	else if (arg == HOW)
		printf("%s", hows[value]);
	else if (arg == HANDLER && value >= 0 &&
		 program->handlers[value].nr_steps)
		printf("&on_%d", value);
	else if (arg == HANDLER)
		printf("NULL");
	else if ((arg == PLACE || arg == WATCHER) && value == SELF)
		printf("SELF");
	else
		printf("%d", value);
}

static void print_op(const struct program *program, const struct op *op)
{
	const struct op_type *type = &ops[op->code];
	int i;

	printf("\t%s(", type->name);
	for (i = 0; i < MAX_ARGS && type->args[i] != NONE; i++) {
		printf("%s", i ? ", " : "");
		print_arg(program, (enum arg)type->args[i], op->args[i]);
	}
	printf(");\n");
}

static void print_handler(const struct program *program, int i)
{
	const struct handler *h = &program->handlers[i];
	int j;

	if (!h->nr_steps)
		return;
	printf("BODY(on_%d)\n{\n", i);
	for (j = 0; j < h->nr_steps; j++)
		print_op(program, &h->steps[j]);
	printf("}\n\n");
}

/* Handlers may name each other. */
static void declare_handlers(const struct program *program)
{
	int i;

	for (i = 0; i < NR_HANDLERS; i++)
		if (program->handlers[i].nr_steps)
			printf("static const struct body on_%d;\n", i);
	printf("\n");
}

/* A block is a function that stands before the one that calls it. */
static void print_range(const struct program *p, int from, int to,
			const char *name)
{
	char part[32];
	int i, end;

	for (i = from; i < to; i = end) {
		end = end_of_block(p, i, to);
		snprintf(part, sizeof(part), "part_%d", i);
		if (block_length(&p->ops[i]))
			print_range(p, i + 1, end, part);
	}
	printf("BODY(%s)\n{\n", name);
	for (i = from; i < to; i = end) {
		end = end_of_block(p, i, to);
		if (!block_length(&p->ops[i]))
			print_op(p, &p->ops[i]);
		else
			printf("\t%s(&part_%d);\n", ops[p->ops[i].code].name,
			       i);
		if (p->ops[i].code == FORK)
			printf("\tpart_%d.run(NULL);\n", i);
	}
	printf("}\n\n");
}

void print_program(const struct program *program)
{
	int i;

	printf("/* seed %llu; cc -IBUILD -Itests/fuzz THIS "
	       "tests/fuzz/{machine,world}.c -levring -lev */\n"
	       "#include \"machine.h\"\n\n",
	       (unsigned long long)program->seed);
	declare_handlers(program);
	for (i = 0; i < NR_HANDLERS; i++)
		print_handler(program, i);
	print_range(program, 0, program->nr_ops, "body");
	printf("int main(int argc, char **argv)\n{\n"
	       "\treturn replay(argc, argv, 0%s%s%s, &body);\n}\n",
	       program->flags & ORDERED ? " | ORDERED" : "",
	       program->flags & FORKCHECK ? " | FORKCHECK" : "",
	       program->flags & LATE ? " | LATE" : "");
}

/*
 * shrinking
 */

int block_length(const struct op *op)
{
	return op->code == FORK || op->code == MOVE ? op->args[0] : 0;
}

void set_block_length(struct op *op, int length)
{
	op->args[0] = (int8_t)length;
}

bool simplify_arg(struct op *op, int i)
{
	static const int8_t simplest[] = {
		[KIND] = PIPE, [EVENTS] = EV_READ, [SIZE] = 1, [HANDLER] = -1
	};
	enum arg arg = (enum arg)ops[op->code].args[i];
	int8_t to = arg < ARRAY_SIZE(simplest) ? simplest[arg] : 0;

	if (arg == NONE || arg == PLACE || arg == WATCHER || arg == LENGTH ||
	    op->args[i] == to)
		return false;
	op->args[i] = to;
	return true;
}
