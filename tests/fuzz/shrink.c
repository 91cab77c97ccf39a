/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * shrink.c - make a program that fails short.
 *
 * Whatever is taken away leaves a program, so everything is tried: runs of
 * operations, long ones first, then steps of handlers, flags and arguments,
 * until nothing more can go.
 */
#include "config.h"

#include "shrink.h"

#include <string.h>

struct shrinker {
	struct program *best;
	still_fails *test;
	void *arg;
	bool has_changed;
};

/* Keep candidate, if it still fails. */
static bool try_it(struct shrinker *s, const struct program *candidate)
{
	if (!s->test(candidate, s->arg))
		return false;
	*s->best = *candidate;
	s->has_changed = true;
	return true;
}

/* Blocks that lose operations get shorter. */
static void shorten_blocks(struct program *p, int from, int nr)
{
	int i, end, lost;

	for (i = 0; i < from; i++) {
		end = i + 1 + block_length(&p->ops[i]);
		lost = end - from < nr ? end - from : nr;
		if (end > i + 1 && lost > 0)
			set_block_length(&p->ops[i],
					 block_length(&p->ops[i]) - lost);
	}
}

static void cut(struct program *p, int from, int nr)
{
	shorten_blocks(p, from, nr);
	memmove(p->ops + from, p->ops + from + nr,
		(size_t)(p->nr_ops - from - nr) * sizeof(p->ops[0]));
	p->nr_ops -= nr;
}

static void cut_runs(struct shrinker *s, int nr)
{
	struct program candidate;
	int from;

	for (from = s->best->nr_ops - nr; from >= 0; from--) {
		if (from + nr > s->best->nr_ops)
			continue;
		candidate = *s->best;
		cut(&candidate, from, nr);
		try_it(s, &candidate);
	}
}

static void cut_steps(struct shrinker *s, int handler)
{
	struct program candidate;
	struct handler *h = &candidate.handlers[handler];
	int i;

	for (i = s->best->handlers[handler].nr_steps; i--;) {
		candidate = *s->best;
		h->nr_steps--;
		memmove(h->steps + i, h->steps + i + 1,
			(size_t)(h->nr_steps - i) * sizeof(h->steps[0]));
		try_it(s, &candidate);
	}
}

static void drop_flags(struct shrinker *s)
{
	struct program candidate;
	unsigned flag;

	for (flag = LATE; flag; flag >>= 1) {
		candidate = *s->best;
		candidate.flags &= ~flag;
		if (candidate.flags != s->best->flags)
			try_it(s, &candidate);
	}
}

static void simplify_ops(struct shrinker *s)
{
	struct program candidate;
	int i, j;

	for (i = 0; i < s->best->nr_ops; i++)
		for (j = 0; j < MAX_ARGS; j++) {
			candidate = *s->best;
			if (simplify_arg(&candidate.ops[i], j))
				try_it(s, &candidate);
		}
}

static void simplify_steps(struct shrinker *s, int handler)
{
	struct program candidate;
	int i, j;

	for (i = 0; i < s->best->handlers[handler].nr_steps; i++)
		for (j = 0; j < MAX_ARGS; j++) {
			candidate = *s->best;
			if (simplify_arg(&candidate.handlers[handler].steps[i],
					 j))
				try_it(s, &candidate);
		}
}

/* A block that is only its operations. */
static void dissolve_blocks(struct shrinker *s)
{
	struct program candidate;
	int i;

	for (i = s->best->nr_ops; i--;) {
		if (!block_length(&s->best->ops[i]))
			continue;
		candidate = *s->best;
		set_block_length(&candidate.ops[i],
				 block_length(&candidate.ops[i]) - 1);
		try_it(s, &candidate);
	}
}

void shrink_program(struct program *program, still_fails *test, void *arg)
{
	struct shrinker s = { program, test, arg, true };
	int i, nr;

	while (s.has_changed) {
		s.has_changed = false;
		for (nr = program->nr_ops / 2; nr > 0; nr /= 2)
			cut_runs(&s, nr);
		dissolve_blocks(&s);
		for (i = 0; i < NR_HANDLERS; i++)
			cut_steps(&s, i);
		drop_flags(&s);
		simplify_ops(&s);
		for (i = 0; i < NR_HANDLERS; i++)
			simplify_steps(&s, i);
	}
}
