/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * program.h - random programs over the operations of machine.h.
 */
#ifndef PROGRAM_H
#define PROGRAM_H

#include <stdint.h>

#include "machine.h"

enum { MAX_OPS = 64, MAX_STEPS = 3, NR_HANDLERS = 4, MAX_ARGS = 5 };

struct op {
	uint8_t code;
	int8_t args[MAX_ARGS];
};

/* What a watcher does when it is called. */
struct handler {
	int nr_steps;
	struct op steps[MAX_STEPS];
};

struct program {
	uint64_t seed;
	unsigned flags; /* enum program_flags */
	int nr_ops;
	struct op ops[MAX_OPS];
	struct handler handlers[NR_HANDLERS];
};

void generate_program(struct program *ret_program, uint64_t seed);
void run_program(const struct program *program, const struct mode *mode,
		 struct trace *ret_trace);
void print_program(const struct program *program);

/* Is there an operation that opens files of kind? */
bool program_opens(const struct program *program, enum kind kind);

/*
 * For shrinking.  A block is an operation that applies to a number of those
 * that follow.
 */
int block_length(const struct op *op); /* 0: not a block */
void set_block_length(struct op *op, int length);

/* Argument i of op in its simplest form; false if it is so already. */
bool simplify_arg(struct op *op, int i);

#endif
