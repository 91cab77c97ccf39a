/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * wait.c - what the wait argument of io_uring_enter costs.
 *
 * One call is: submit a no-op, wait for one completion with io_uring_enter,
 * reap it.  The no-op is done before the kernel looks at the wait argument, so
 * nothing sleeps, and the calls differ in the argument alone:
 *
 *   none     no argument, the wait would be endless
 *   offset   EXT_ARG | EXT_ARG_REG: the argument lies in the registered region
 *   copied   EXT_ARG: the kernel copies it from this process
 *
 * The timeout is written before each call, as a loop does; in the form without
 * an argument it is written too, to where nobody reads it.
 *
 * A ring has one region.  So there are two rings, one with a region in the
 * kernel's memory and one with a region in ours, and each has its own "none" to
 * compare with.
 *
 * How a difference of a few nanoseconds is made visible:
 *
 * a) The forms take turns in blocks which are short against the disturbances of
 *    a shared machine.
 * b) The order of a rotation is another each time.  The number of forms is
 *    prime, so every step from 1 to NR_FORMS - 1 visits all of them, and in
 *    NR_FORMS - 1 steps every form follows every other equally often.
 * c) A cost is the median over all rotations of "block of this form minus block
 *    of none in the same rotation".
 */
#include "../lib/uapi.h"
#include "row.h"

#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
	RING_ENTRIES = 8,
	PROOF_NS = 1000000,
	TARGET_PERCENT = 20,
};

enum form_idx {
	NONE,
	OFFSET,
	COPIED,
	NONE_USER,
	OFFSET_USER,
	NR_FORMS /* a prime, see b) */
};

struct form {
	const char *name;
	bool is_user;	    /* on the ring whose region is our memory */
	unsigned flags;	    /* for io_uring_enter, besides the common ones */
	enum form_idx base; /* what to compare with */
};

/* clang-format off */
static const struct form forms[NR_FORMS] = {
	[NONE] = { "none", false, 0, NONE },
	[OFFSET] = {
		"region offset, kernel's memory", false,
		IORING_ENTER_EXT_ARG | IORING_ENTER_EXT_ARG_REG, NONE
	},
	[COPIED] = { "copied", false, IORING_ENTER_EXT_ARG, NONE },
	[NONE_USER] = { "none, other ring", true, 0, NONE_USER },
	[OFFSET_USER] = {
		"region offset, user's memory", true,
		IORING_ENTER_EXT_ARG | IORING_ENTER_EXT_ARG_REG, NONE_USER
	},
};
/* clang-format on */

struct wait_ring {
	struct io_uring ring;
	struct io_uring_reg_wait *slot; /* in the region, as long as ring */
	unsigned flags;			/* for every io_uring_enter */
};

/* What io_uring_enter is given to wait with. */
struct wait_argument {
	unsigned flags;
	void *pointer;
	size_t size;
	struct __kernel_timespec *timeout; /* written before each call */
	struct __kernel_timespec own_timeout;
	struct io_uring_getevents_arg copied;
};

static unsigned nr_calls = 200000;
static unsigned nr_block_calls = 2000;
static unsigned must_meet;

/* clang-format off */
static const struct bench_option options[] = {
	{ "calls", &nr_calls, BENCH_NUMBER, "calls per form and round" },
	{ "block", &nr_block_calls, BENCH_NUMBER, "calls before the next form's" },
	{ "check", &must_meet, BENCH_SWITCH, "exit with 1 when the target is missed" },
	{ NULL, NULL, BENCH_NUMBER, NULL }
};
/* clang-format on */

static struct io_uring_reg_wait *map_own_page(size_t page_size)
{
	void *page = mmap(NULL, page_size, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (page == MAP_FAILED)
		err(1, "page");
	return page;
}

static struct io_uring_reg_wait *map_region(const struct wait_ring *wait,
					    size_t page_size, uint64_t offset)
{
	void *page =
		mmap(NULL, page_size, PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_POPULATE, wait->ring.ring_fd, offset);

	if (page == MAP_FAILED)
		err(1, "mmap of the region");
	return page;
}

static void register_region(struct wait_ring *wait, bool is_user)
{
	size_t page_size = sysconf(_SC_PAGESIZE);
	struct io_uring_region_desc desc = { .size = page_size };
	struct io_uring_mem_region_reg reg = {
		.region_uptr = (uintptr_t)&desc,
		.flags = IORING_MEM_REGION_REG_WAIT_ARG,
	};
	int r;

	if (is_user) {
		wait->slot = map_own_page(page_size);
		desc.user_addr = (uintptr_t)wait->slot;
		desc.flags = IORING_MEM_REGION_TYPE_USER;
	}
	r = io_uring_register_region(&wait->ring, &reg);
	if (r < 0)
		errx(1, "region (Linux 6.13): %s", strerror(-r));
	if (!is_user)
		wait->slot = map_region(wait, page_size, desc.mmap_offset);
	wait->slot->flags = IORING_REG_WAIT_TS;
}

static void wait_ring_init(struct wait_ring *wait, bool is_user)
{
	int r = io_uring_queue_init(RING_ENTRIES, &wait->ring,
				    IORING_SETUP_R_DISABLED |
					    IORING_SETUP_SINGLE_ISSUER |
					    IORING_SETUP_DEFER_TASKRUN);

	if (r < 0)
		errx(1, "io_uring: %s", strerror(-r));
	register_region(wait, is_user);
	r = io_uring_enable_rings(&wait->ring);
	if (r < 0)
		errx(1, "io_uring_enable_rings: %s", strerror(-r));
	r = io_uring_register_ring_fd(&wait->ring);
	if (r < 0)
		errx(1, "io_uring_register_ring_fd: %s", strerror(-r));
	wait->flags = IORING_ENTER_GETEVENTS | IORING_ENTER_REGISTERED_RING;
	if (wait->ring.features & IORING_FEAT_NO_IOWAIT)
		wait->flags |= IORING_ENTER_NO_IOWAIT;
}

static void wait_ring_exit(struct wait_ring *wait)
{
	io_uring_queue_exit(&wait->ring);
	munmap(wait->slot, sysconf(_SC_PAGESIZE));
}

static inline void call_once(struct wait_ring *wait,
			     const struct wait_argument *argument)
{
	struct io_uring *ring = &wait->ring;
	int r;

	io_uring_prep_nop(io_uring_get_sqe(ring));
	io_uring_smp_store_release(ring->sq.ktail, ring->sq.sqe_tail);
	r = io_uring_enter2(ring->enter_ring_fd, 1, 1, argument->flags,
			    argument->pointer, argument->size);
	if (r != 1 || io_uring_cq_ready(ring) != 1)
		errx(1, "io_uring_enter: %s",
		     r < 0 ? strerror(-r) : "not one completion");
	io_uring_cq_advance(ring, 1);
}

static double time_block(struct wait_ring *wait,
			 const struct wait_argument *argument)
{
	uint64_t start = bench_ns();
	unsigned i;

	for (i = 0; i < nr_block_calls; i++) {
		argument->timeout->tv_nsec = i;
		call_once(wait, argument);
	}
	return (double)(bench_ns() - start) / nr_block_calls;
}

static void argument_init(struct wait_argument *argument,
			  const struct form *form, struct wait_ring *wait)
{
	memset(argument, 0, sizeof(*argument));
	argument->flags = wait->flags | form->flags;
	argument->timeout = &argument->own_timeout;
	if (form->flags & IORING_ENTER_EXT_ARG_REG) {
		argument->size = sizeof(*wait->slot); /* pointer: offset 0 */
		argument->timeout = &wait->slot->ts;
	} else if (form->flags & IORING_ENTER_EXT_ARG) {
		argument->copied.ts = (uintptr_t)&argument->own_timeout;
		argument->pointer = &argument->copied;
		argument->size = sizeof(argument->copied);
	}
}

/* Run a block of form, and return ns per call. */
static double run_form(const struct form *form, struct wait_ring *wait)
{
	struct wait_argument argument;

	argument_init(&argument, form, wait);
	argument.timeout->tv_sec = 1;
	return time_block(wait, &argument);
}

/*
 * A call that submits something returns what it submitted, even when its wait
 * argument was refused.  So let the argument end one wait that nothing else
 * ends, or what is measured might be a refusal.
 */
static void prove_argument(const struct form *form, struct wait_ring *wait)
{
	struct wait_argument argument;
	uint64_t start = bench_ns();
	int r;

	if (!(form->flags & IORING_ENTER_EXT_ARG))
		return;
	argument_init(&argument, form, wait);
	argument.timeout->tv_sec = 0;
	argument.timeout->tv_nsec = PROOF_NS;
	r = io_uring_enter2(wait->ring.enter_ring_fd, 0, 1, argument.flags,
			    argument.pointer, argument.size);
	if (r != -ETIME || bench_ns() - start < PROOF_NS)
		errx(1, "%s: the wait did not end by its timeout", form->name);
}

static void run_rotation(unsigned rotation, struct wait_ring *rings,
			 struct bench_series *series)
{
	unsigned step = 1 + rotation / NR_FORMS % (NR_FORMS - 1);
	unsigned i, idx;

	for (i = 0; i < NR_FORMS; i++) {
		idx = (rotation + i * step) % NR_FORMS;
		bench_series_add(
			&series[idx],
			run_form(&forms[idx], &rings[forms[idx].is_user]));
	}
}

static double cost_of(const struct bench_series *series, enum form_idx idx)
{
	return bench_paired_difference(&series[idx], &series[forms[idx].base]);
}

static double min_cost_of(const struct bench_series *series, enum form_idx idx)
{
	return bench_min(&series[idx]) - bench_min(&series[forms[idx].base]);
}

static void write_row(const struct bench_series *series, enum form_idx idx)
{
	bool is_offset = forms[idx].flags & IORING_ENTER_EXT_ARG_REG;
	struct bench_row row = {
		.bench = "wait",
		.cell = "",
		.side = forms[idx].name,
		.figure = "a call",
		.unit = "ns",
		.role = is_offset ? BENCH_OURS : BENCH_OTHER,
		.series = &series[idx],
		.base = &series[COPIED],
		.base_side = forms[COPIED].name,
	};

	if (idx == COPIED)
		row.role = BENCH_BASE;
	bench_row(&row);
}

static void print_form(const struct bench_series *series, enum form_idx idx)
{
	if (forms[idx].base == idx)
		printf("%6s  %7s %7s", "-", "-", "-");
	else
		printf("%6.3f  %7.1f %7.1f",
		       cost_of(series, idx) / cost_of(series, COPIED),
		       cost_of(series, idx), min_cost_of(series, idx));
	printf("  %7.1f %7.1f  %s\n", bench_min(&series[idx]),
	       bench_median(&series[idx]), forms[idx].name);
	write_row(series, idx);
}

static bool print_table(const struct bench_series *series)
{
	double percent =
		100 * cost_of(series, OFFSET) / cost_of(series, COPIED);
	bool met = percent <= TARGET_PERCENT;
	enum form_idx idx;

	printf("%6s  %15s  %15s\n", "cost", "cost in ns", "call in ns");
	printf("%6s  %7s %7s  %7s %7s  %s\n", "ratio", "paired", "of min",
	       "min", "median", "argument");
	for (idx = 0; idx < NR_FORMS; idx++)
		print_form(series, idx);
	printf("by offset in %% of copied: %.1f; target %d %%: %s\n", percent,
	       TARGET_PERCENT, bench_verdict(met));
	return met;
}

static unsigned count_rotations(void)
{
	if (bench_common.quick)
		nr_calls /= 4;
	if (!nr_block_calls || nr_calls < nr_block_calls)
		errx(1, "--calls: at least one block, --block: at least 1");
	return bench_common.rounds * (nr_calls / nr_block_calls);
}

int main(int argc, char **argv)
{
	struct bench_series series[NR_FORMS];
	struct wait_ring rings[2];
	unsigned i, nr_rotations;
	bool met;

	bench_begin(argc, argv,
		    "wait: the cost of io_uring_enter's wait argument",
		    options);
	nr_rotations = count_rotations();
	for (i = 0; i < NR_FORMS; i++)
		bench_series_init(&series[i], nr_rotations);
	for (i = 0; i < 2; i++)
		wait_ring_init(&rings[i], i);
	for (i = 0; i < NR_FORMS; i++)
		prove_argument(&forms[i], &rings[forms[i].is_user]);
	for (i = 0; i < nr_rotations; i++)
		run_rotation(i, rings, series);
	printf("%u blocks of %u calls per form\n\n", nr_rotations,
	       nr_block_calls);
	met = print_table(series);
	for (i = 0; i < 2; i++)
		wait_ring_exit(&rings[i]);
	for (i = 0; i < NR_FORMS; i++)
		bench_series_exit(&series[i]);
	return must_meet && !met;
}
