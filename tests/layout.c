/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * layout.c - libev's private fields are found, or discovery says no.
 *
 * A libev with other fields is imitated through the function that reads
 * memory: it tells what the fields would hold in another libev.  What it
 * changes is read, never written, so whatever discovery is led to believe,
 * the loops of the program must stay as they are.
 */
#include "config.h"

#include "harness.h"

#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <unistd.h>

#include "../lib/layout.h"
#include "sandbox.h"
#include "works.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

static const char *const names[] = {
	"io-interval", "timeout-interval", "backend",	 "activecnt",
	"backend-fd",  "mintime",	   "release-cb", "functions",
	"anfds",       "by-use",
};

enum { NR_PROOFS = ARRAY_SIZE(names) };

static int read_memory(const void *from, void *to, size_t size)
{
	struct iovec local = { to, size };
	struct iovec remote = { (void *)(uintptr_t)from, size };
	ssize_t n = process_vm_readv(getpid(), &local, 1, &remote, 1, 0);

	return n < 0 ? -errno : (int)n;
}

/* The layout without any mischief. */
static struct evring_layout truth(void)
{
	struct evr_proof proofs[EVR_MAX_PROOFS];
	struct evring_layout layout;
	int r, i;

	r = evr_layout_discover(NULL, &layout, proofs);
	for (i = 0; i < EVR_MAX_PROOFS && proofs[i].name; i++)
		if (!proofs[i].held)
			fprintf(stderr, "# not held: %s\n", proofs[i].name);
	ck_assert_int_eq(r, 0);
	return layout;
}

/* Fields, in the order in which discovery comes to them. */
static bool same_layout(const struct evring_layout *a,
			const struct evring_layout *b)
{
	return !memcmp(a, b, sizeof(*a));
}

/*
 * discovery
 */

START_TEST(every_proof_holds_here)
{
	struct evr_proof proofs[EVR_MAX_PROOFS];
	struct evring_layout layout;
	int nr_fds = count_fds(), i;

	ck_assert_int_eq(evr_layout_discover(NULL, &layout, proofs), 0);
	for (i = 0; i < NR_PROOFS; i++) {
		ck_assert_str_eq(proofs[i].name, names[i]);
		ck_assert_uint_gt(strlen(proofs[i].what), 10);
		ck_assert(proofs[i].held);
	}
	ck_assert_ptr_null(proofs[i].name);
	ck_assert_int_eq(count_fds(), nr_fds);
	ck_assert_uint_eq(layout.size, sizeof(layout));
}
END_TEST

START_TEST(fields_are_where_discovery_says)
{
	struct ev_loop *loop = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
	struct evring_layout layout = truth();
	struct evr_host host = { loop, &layout };
	int fds[2];
	ev_io w;

	ck_assert_int_eq(evr_host_home(&host),
			 find_fd("anon_inode:[eventpoll]"));
	ck_assert(*evr_field(&host, double, mintime) == 1e-3);
	ck_assert_int_eq(pipe(fds), 0);
	ev_io_init(&w, work_read, fds[1], EV_WRITE);
	ev_io_start(loop, &w);
	ck_assert_int_gt(evr_host_nr_fds(&host), fds[1]);
	ck_assert_ptr_eq(evr_host_anfd(&host, fds[1])->head, &w);
	ck_assert_ptr_null(evr_host_anfd(&host, fds[0])->head);
	ck_assert_int_ne(evr_host_anfd(&host, fds[1])->reify, 0);
	w.data = &(struct work){ .was_late = false };
	ev_run(loop, EVRUN_NOWAIT);
	ck_assert_int_eq(evr_host_anfd(&host, fds[1])->reify, 0);
	ck_assert_int_eq(evr_host_anfd(&host, fds[1])->events, EV_WRITE);
	ck_assert_int_eq(evr_host_anfd(&host, fds[1])->emask, EV_WRITE);
	ev_io_stop(loop, &w);
	ev_loop_destroy(loop);
	close(fds[0]);
	close(fds[1]);
}
END_TEST

static int nr_released, nr_acquired;

static void count_release(struct ev_loop *loop)
{
	(void)loop;
	nr_released++;
}

static void count_acquire(struct ev_loop *loop)
{
	(void)loop;
	nr_acquired++;
}

START_TEST(release_and_acquire_are_told_apart)
{
	struct ev_loop *loop = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
	struct evring_layout layout = truth();
	struct evr_host host = { loop, &layout };

	evr_host_release(&host); /* none: nothing happens */
	evr_host_acquire(&host);
	ev_set_loop_release_cb(loop, count_release, count_acquire);
	evr_host_release(&host);
	ck_assert_int_eq(nr_released, 1);
	ck_assert_int_eq(nr_acquired, 0);
	evr_host_acquire(&host);
	ck_assert_int_eq(nr_acquired, 1);
	ev_loop_destroy(loop);
}
END_TEST

/* Where the next loop goes: to the end of this block. */
static struct {
	char *start;
	size_t size;
	bool is_taken;
} block;

static void *allocate(void *ptr, long size)
{
	if (ptr && block.is_taken && (char *)ptr >= block.start &&
	    (char *)ptr < block.start + block.size) {
		ck_assert_int_eq(size, 0);
		return NULL;
	}
	if (!ptr && size && block.start && !block.is_taken) {
		block.is_taken = true;
		return block.start + (block.size - (size_t)size) / 16 * 16;
	}
	if (size)
		return realloc(ptr, (size_t)size);
	free(ptr);
	return NULL;
}

/*
 * What lies behind a loop is in its image too.  So let it lie right before a
 * hole that what discovery allocates will take; anywhere in a page, since the
 * kernel copies page by page.
 */
START_TEST(loop_may_lie_before_memory_of_discovery)
{
	struct evring_layout layout, want = truth();
	struct evr_proof proofs[EVR_MAX_PROOFS];
	void *kept[128][2]; /* the next loop lies elsewhere in a page */
	void *hole;
	int i, last;

	ev_set_allocator(allocate);
	for (i = 0; i < 128; i++) {
		block.size = 4096 + 64;
		block.start = kept[i][0] = malloc(block.size);
		block.is_taken = false;
		hole = malloc(16384);
		kept[i][1] = malloc(64);
		free(hole);
		if (evr_layout_discover(NULL, &layout, proofs) < 0) {
			for (last = 0; proofs[last + 1].name; last++)
				;
			ck_abort_msg("loop before %p: %s", hole,
				     proofs[last].name);
		}
		ck_assert(same_layout(&layout, &want));
	}
	block.start = NULL;
	for (i = 0; i < 128; i++) {
		free(kept[i][0]);
		free(kept[i][1]);
	}
}
END_TEST

START_TEST(discovery_leaves_other_loops_alone)
{
	struct ev_loop *loop = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
	struct evring_layout layout = truth();
	static char before[512], after[512];

	ck_assert(loop_works(loop));
	ck_assert_int_eq(read_memory(loop, before, sizeof(before)),
			 (int)sizeof(before));
	ck_assert_int_eq(evr_layout_discover(NULL, &layout, NULL), 0);
	ck_assert_int_eq(read_memory(loop, after, sizeof(after)),
			 (int)sizeof(after));
	ck_assert_mem_eq(before, after, sizeof(before));
	ck_assert(loop_works(loop));
	ev_loop_destroy(loop);
}
END_TEST

/*
 * another libev
 */

enum what {
	ZERO,	/* the field is all zero */
	ONES,	/* all one */
	SHIFT,	/* it and what follows stand a word further on */
	MISSING /* a word less before it */
};

static const char *const what_names[] = { "zero", "ones", "a word before it",
					  "a word less before it" };

static struct {
	enum what what;
	unsigned offset, size;
	unsigned anfd_offset, anfd_size; /* the same in ANFD */
	int nr_images;
} mischief;

static void change(char *image, int n, unsigned offset, unsigned size)
{
	unsigned word = sizeof(void *), rest;

	if (!size || n < (int)(offset + size + word))
		return;
	rest = (unsigned)n - offset - word;
	switch (mischief.what) {
	case ZERO:
		memset(image + offset, 0, size);
		break;
	case ONES:
		memset(image + offset, 0xff, size);
		break;
	case SHIFT:
		memmove(image + offset + word, image + offset, rest);
		memset(image + offset, 0x5a, word);
		break;
	case MISSING:
		memmove(image + offset, image + offset + word, rest);
		break;
	}
}

/* Images of a loop are the large reads, of an ANFD those of its size. */
static int peek_mischief(const void *from, void *to, size_t size)
{
	int n = read_memory(from, to, size);

	if (size > 256) {
		mischief.nr_images++;
		change(to, n, mischief.offset, mischief.size);
	} else if (size == sizeof(struct evr_anfd) && mischief.anfd_size &&
		   n == (int)size) {
		memset((char *)to + mischief.anfd_offset,
		       mischief.what == ZERO ? 0 : 0xff, mischief.anfd_size);
	}
	return n;
}

/* Which fields, and which proof is to fail if it is not there. */
enum field {
	IO_BLOCKTIME,
	TIMEOUT_BLOCKTIME,
	BACKEND,
	ACTIVECNT,
	BACKEND_FD,
	BACKEND_MINTIME,
	RELEASE_CB,
	ACQUIRE_CB,
	BACKEND_MODIFY,
	BACKEND_POLL,
	ANFDS,
	ANFDMAX,
	NR_FIELDS
};

static const char *const field_names[NR_FIELDS] = {
	"io_blocktime",	  "timeout_blocktime", "backend",    "activecnt",
	"backend_fd",	  "backend_mintime",   "release_cb", "acquire_cb",
	"backend_modify", "backend_poll",      "anfds",	     "anfdmax",
};

static unsigned offset_of(const struct evring_layout *l, enum field field)
{
	const unsigned offsets[NR_FIELDS] = {
		[IO_BLOCKTIME] = l->backend_fd - 12 - 16,
		[TIMEOUT_BLOCKTIME] = l->backend_fd - 12 - 8,
		[BACKEND] = l->backend_fd - 12,
		[ACTIVECNT] = l->backend_fd - 8,
		[BACKEND_FD] = l->backend_fd,
		[BACKEND_MINTIME] = l->mintime,
		[RELEASE_CB] = l->release_cb,
		[ACQUIRE_CB] = l->acquire_cb,
		[BACKEND_MODIFY] = l->modify,
		[BACKEND_POLL] = l->poll,
		[ANFDS] = l->anfds,
		[ANFDMAX] = l->anfdmax,
	};

	return offsets[field];
}

static unsigned size_of(enum field field)
{
	switch (field) {
	case IO_BLOCKTIME:
	case TIMEOUT_BLOCKTIME:
	case BACKEND_MINTIME:
		return sizeof(double);
	case BACKEND:
	case ACTIVECNT:
	case BACKEND_FD:
	case ANFDMAX:
		return sizeof(int);
	default:
		return sizeof(void *);
	}
}

/* clang-format off */
static const struct {
	enum field field;
	enum what what;
	const char *proof; /* the last, and the only one that does not hold */
} mutations[] = {
	{ IO_BLOCKTIME,      ZERO,    "io-interval" },
	{ IO_BLOCKTIME,      ONES,    "io-interval" },
	{ TIMEOUT_BLOCKTIME, ZERO,    "timeout-interval" },
	{ TIMEOUT_BLOCKTIME, ONES,    "timeout-interval" },
	{ TIMEOUT_BLOCKTIME, SHIFT,   "timeout-interval" },
	{ BACKEND,           ZERO,    "backend" },
	{ BACKEND,           ONES,    "backend" },
	{ BACKEND,           SHIFT,   "backend" },
	{ BACKEND,           MISSING, "backend" },
	{ ACTIVECNT,         ZERO,    "activecnt" },
	{ ACTIVECNT,         ONES,    "activecnt" },
	{ ACTIVECNT,         SHIFT,   "activecnt" },
	{ ACTIVECNT,         MISSING, "activecnt" },
	{ BACKEND_FD,        ZERO,    "backend-fd" },
	{ BACKEND_FD,        ONES,    "backend-fd" },
	{ BACKEND_FD,        SHIFT,   "backend-fd" },
	{ BACKEND_FD,        MISSING, "backend-fd" },
	{ BACKEND_MINTIME,   ZERO,    "mintime" },
	{ BACKEND_MINTIME,   ONES,    "mintime" },
	{ BACKEND_MINTIME,   SHIFT,   "mintime" },
	{ BACKEND_MINTIME,   MISSING, "mintime" },
	{ RELEASE_CB,        ZERO,    "release-cb" },
	{ RELEASE_CB,        ONES,    "release-cb" },
	{ ACQUIRE_CB,        ZERO,    "release-cb" },
	{ ACQUIRE_CB,        ONES,    "release-cb" },
	{ BACKEND_MODIFY,    ZERO,    "functions" },
	{ BACKEND_MODIFY,    ONES,    "functions" },
	{ BACKEND_MODIFY,    SHIFT,   "functions" },
	{ BACKEND_POLL,      ZERO,    "functions" },
	{ BACKEND_POLL,      ONES,    "functions" },
	{ BACKEND_POLL,      SHIFT,   "functions" },
	{ BACKEND_POLL,      MISSING, NULL },
	{ ANFDS,             ZERO,    "anfds" },
	{ ANFDS,             ONES,    "anfds" },
	{ ANFDS,             SHIFT,   "anfds" },
	{ ANFDS,             MISSING, "anfds" },
	{ ANFDMAX,           ZERO,    "anfds" },
	{ ANFDMAX,           ONES,    "anfds" },
};
/* clang-format on */

static const char *last_proof(const struct evr_proof *proofs)
{
	int i = 0;

	while (i + 1 < EVR_MAX_PROOFS && proofs[i + 1].name)
		ck_assert_msg(proofs[i].held, "%s", proofs[i].name), i++;
	ck_assert_ptr_nonnull(proofs[i].name);
	ck_assert(!proofs[i].held);
	return proofs[i].name;
}

START_TEST(changed_field_fails_its_proof)
{
	struct evr_proof proofs[EVR_MAX_PROOFS];
	struct evring_layout layout = truth(), before = layout;
	struct ev_loop *loop = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
	const char *name = field_names[mutations[_i].field];
	const char *what = what_names[mutations[_i].what];
	int nr_fds = count_fds(), r;

	mischief.what = mutations[_i].what;
	mischief.offset = offset_of(&layout, mutations[_i].field);
	mischief.size = size_of(mutations[_i].field);
	r = evr_layout_discover(peek_mischief, &layout, proofs);
	ck_assert_msg(r == -ENOTSUP, "%s: %s: %d", name, what, r);
	ck_assert_int_gt(mischief.nr_images, 0);
	what = last_proof(proofs);
	if (mutations[_i].proof)
		ck_assert_msg(!strcmp(what, mutations[_i].proof),
			      "%s: %s failed", name, what);
	ck_assert(same_layout(&layout, &before)); /* only on success */
	ck_assert_int_eq(count_fds(), nr_fds);
	ck_assert(loop_works(loop));
	ev_loop_destroy(loop);
}
END_TEST

/* clang-format off */
static const struct {
	const char *name;
	unsigned offset, size;
	enum what what;
} anfd_mutations[] = {
	{ "head",   offsetof(struct evr_anfd, head),   sizeof(void *), ZERO },
	{ "head",   offsetof(struct evr_anfd, head),   sizeof(void *), ONES },
	{ "events", offsetof(struct evr_anfd, events), 1,              ZERO },
	{ "events", offsetof(struct evr_anfd, events), 1,              ONES },
	{ "reify",  offsetof(struct evr_anfd, reify),  1,              ZERO },
	{ "reify",  offsetof(struct evr_anfd, reify),  1,              ONES },
	{ "emask",  offsetof(struct evr_anfd, emask),  1,              ZERO },
	{ "emask",  offsetof(struct evr_anfd, emask),  1,              ONES },
	{ "egen",   offsetof(struct evr_anfd, egen),   4,              ZERO },
	{ "egen",   offsetof(struct evr_anfd, egen),   4,              ONES },
};
/* clang-format on */

START_TEST(changed_anfd_fails_its_proof)
{
	struct evr_proof proofs[EVR_MAX_PROOFS];
	struct evring_layout layout;
	int r;

	mischief.what = anfd_mutations[_i].what;
	mischief.anfd_offset = anfd_mutations[_i].offset;
	mischief.anfd_size = anfd_mutations[_i].size;
	r = evr_layout_discover(peek_mischief, &layout, proofs);
	ck_assert_msg(r == -ENOTSUP, "%s: %d", anfd_mutations[_i].name, r);
	ck_assert_str_eq(last_proof(proofs), "anfds");
}
END_TEST

static unsigned swap_a, swap_b, swap_size;

static int peek_swapped(const void *from, void *to, size_t size)
{
	int n = read_memory(from, to, size);
	char a[sizeof(double)], *image = to;

	if (size > 256 && n >= (int)(swap_b + swap_size)) {
		memcpy(a, image + swap_a, swap_size);
		memcpy(image + swap_a, image + swap_b, swap_size);
		memcpy(image + swap_b, a, swap_size);
	}
	return n;
}

/* The order of release and acquire is asked for by value: any will do. */
START_TEST(swapped_neighbours_are_noticed)
{
	struct evring_layout layout = truth(), found = layout;
	enum field a, b;
	int r;

	for (a = IO_BLOCKTIME; a < NR_FIELDS; a++) {
		b = a + 1;
		if (b == NR_FIELDS || size_of(a) != size_of(b) ||
		    a == RELEASE_CB || b == RELEASE_CB || a == ACQUIRE_CB)
			continue;
		swap_a = offset_of(&layout, a);
		swap_b = offset_of(&layout, b);
		swap_size = size_of(a);
		r = evr_layout_discover(peek_swapped, &found, NULL);
		ck_assert_msg(r == -ENOTSUP, "%s and %s: %d", field_names[a],
			      field_names[b], r);
	}
}
END_TEST

static unsigned flip_offset, flip_bits;

static int peek_flipped(const void *from, void *to, size_t size)
{
	int n = read_memory(from, to, size);
	unsigned word;

	if (size > 256 && n >= (int)(flip_offset + sizeof(word))) {
		memcpy(&word, (char *)to + flip_offset, sizeof(word));
		word ^= flip_bits;
		memcpy((char *)to + flip_offset, &word, sizeof(word));
	}
	return n;
}

/* Wherever the image is wrong: the right layout, or none. */
START_TEST(wrong_image_gives_the_right_layout_or_none)
{
	struct evring_layout layout = truth(), found;
	unsigned end = layout.acquire_cb + sizeof(void *);
	int nr_refused = 0, r;

	for (flip_offset = 0; flip_offset < end; flip_offset += 4) {
		flip_bits = (unsigned)random() | 1;
		r = evr_layout_discover(peek_flipped, &found, NULL);
		ck_assert_msg(r == -ENOTSUP ||
				      (!r && same_layout(&found, &layout)),
			      "bits %#x at %u: %d", flip_bits, flip_offset, r);
		nr_refused += r < 0;
	}
	ck_assert_int_ge(nr_refused, NR_FIELDS);
}
END_TEST

static int peek_nothing(const void *from, void *to, size_t size)
{
	(void)from;
	(void)to;
	(void)size;
	return -EFAULT;
}

static int peek_little(const void *from, void *to, size_t size)
{
	return read_memory(from, to, size < 128 ? size : 128);
}

START_TEST(unreadable_memory_is_not_supported)
{
	struct evr_proof proofs[EVR_MAX_PROOFS];
	struct evring_layout layout;

	ck_assert_int_eq(evr_layout_discover(peek_nothing, &layout, proofs),
			 -ENOTSUP);
	ck_assert_str_eq(last_proof(proofs), "io-interval");
	ck_assert_int_eq(evr_layout_discover(peek_little, &layout, proofs),
			 -ENOTSUP);
}
END_TEST

/*
 * what the system refuses
 */

static int discover_through_pipe(void *want)
{
	static const struct refusal no_vm =
		REFUSE(__NR_process_vm_readv, EPERM);
	struct ev_loop *loop = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
	struct evr_proof proofs[EVR_MAX_PROOFS];
	const struct evring_layout *found;
	struct evring_layout layout;
	int nr_fds = count_fds();

	sandbox(&no_vm, 1);
	child_assert(read_memory(&layout, proofs, 1) == -EPERM);
	child_assert(evr_layout_discover(NULL, &layout, proofs) == 0);
	child_assert(same_layout(&layout, want));
	child_assert(evr_layout_find(loop, &found) == 0);
	child_assert(same_layout(found, want));
	child_assert(count_fds() == nr_fds);
	return 0;
}

START_TEST(memory_is_read_through_a_pipe_where_it_must)
{
	struct evring_layout layout = truth();

	ck_assert_int_eq(run_in_child(discover_through_pipe, &layout), 0);
}
END_TEST

/* With 0, 1 and so on fds to be had; until it succeeds. */
static int discover_without_fds(void *unused)
{
	struct ev_loop *loop = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
	int nr_fds = count_fds(), nr_free, r = -1;
	const struct evring_layout *layout;
	struct rlimit limit = { .rlim_max = 1000 };

	(void)unused;
	while (dup(0) < nr_fds)
		nr_fds++; /* no holes */
	for (nr_free = 1; nr_free < 16 && r; nr_free++) {
		limit.rlim_cur = (rlim_t)(nr_fds + nr_free);
		child_assert(setrlimit(RLIMIT_NOFILE, &limit) == 0);
		r = evr_layout_find(loop, &layout);
		fprintf(stderr, "# %d fds: %d\n", nr_free - 1, r);
		child_assert(r == -EMFILE || (!r && nr_free > 3));
	}
	child_assert(r == 0);
	limit.rlim_cur = 1000;
	setrlimit(RLIMIT_NOFILE, &limit);
	child_assert(loop_works(loop));
	return 0;
}

START_TEST(no_fd_left_is_returned_and_not_remembered)
{
	ck_assert_int_eq(run_in_child(discover_without_fds, NULL), 0);
}
END_TEST

/*
 * layouts by loop
 */

START_TEST(layout_is_found_once)
{
	struct ev_loop *loop = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
	const struct evring_layout *first, *second;

	ck_assert_int_eq(evr_layout_find(loop, &first), 0);
	ck_assert_int_eq(evr_layout_find(loop, &second), 0);
	ck_assert_ptr_eq(first, second);
	ck_assert(same_layout(first, &(struct evring_layout){ 0 }) == false);
	ev_loop_destroy(loop);
}
END_TEST

START_TEST(loop_on_select_is_not_supported)
{
	struct ev_loop *loop = ev_loop_new(EVBACKEND_SELECT | EVFLAG_NOENV);
	const struct evring_layout *layout;

	ck_assert_int_eq(evr_layout_find(loop, &layout), -ENOTSUP);
	ck_assert(loop_works(loop));
	ev_loop_destroy(loop);
}
END_TEST

static void *find_in_thread(void *loop)
{
	const struct evring_layout *layout = NULL;

	return evr_layout_find(loop, &layout) ? NULL
					      : (void *)(uintptr_t)layout;
}

START_TEST(threads_find_the_same_layout)
{
	struct ev_loop *loop = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
	pthread_t threads[8];
	void *layouts[8];
	int i;

	for (i = 0; i < 8; i++)
		ck_assert_int_eq(
			pthread_create(&threads[i], NULL, find_in_thread, loop),
			0);
	for (i = 0; i < 8; i++)
		ck_assert_int_eq(pthread_join(threads[i], &layouts[i]), 0);
	for (i = 0; i < 8; i++) {
		ck_assert_ptr_nonnull(layouts[i]);
		ck_assert_ptr_eq(layouts[i], layouts[0]);
	}
	ev_loop_destroy(loop);
}
END_TEST

/*
 * layouts that programs bring along
 */

START_TEST(layout_of_another_size_is_invalid)
{
	struct evring_layout layout = truth();

	ck_assert_int_eq(evr_layout_add(NULL), -EINVAL);
	layout.size--;
	ck_assert_int_eq(evr_layout_add(&layout), -EINVAL);
	layout.size = 0;
	ck_assert_int_eq(evr_layout_add(&layout), -EINVAL);
	ck_assert_int_eq(evring_embed(NULL), -EINVAL);
}
END_TEST

static const size_t fixed_fields[] = {
	offsetof(struct evring_layout, anfd_size),
	offsetof(struct evring_layout, anfd_events),
	offsetof(struct evring_layout, anfd_reify),
	offsetof(struct evring_layout, anfd_emask),
	offsetof(struct evring_layout, anfd_egen),
	offsetof(struct evring_layout, cleanup_size),
};

START_TEST(layout_with_other_structs_is_not_supported)
{
	struct evring_layout layout = truth();

	ck_assert_int_eq(evr_layout_add(&layout), 0);
	++*(unsigned *)((char *)&layout + fixed_fields[_i]);
	ck_assert_int_eq(evr_layout_add(&layout), -ENOTSUP);
}
END_TEST

START_TEST(layout_brought_along_is_copied_and_comes_first)
{
	struct ev_loop *loop = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
	struct evring_layout layout = truth(), copy = layout;
	const struct evring_layout *found, *again;

	ck_assert_int_eq(evr_layout_find(loop, &found), 0);
	ck_assert_int_eq(evr_layout_add(&layout), 0);
	memset(&layout, 0, sizeof(layout));
	ck_assert_int_eq(evr_layout_find(loop, &again), 0);
	ck_assert_ptr_ne(again, found);
	ck_assert_ptr_ne(again, &layout);
	ck_assert(same_layout(again, &copy));
	ev_loop_destroy(loop);
}
END_TEST

/* As of an ev.c that made no loop: where its fields are is not looked at. */
START_TEST(layout_of_another_libev_is_passed_over)
{
	struct ev_loop *loop = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
	struct evring_layout layout = truth(), other = layout;
	const struct evring_layout *found;

	other.epoll_poll = (void (*)(struct ev_loop *, double))abort;
	ck_assert_int_eq(evr_layout_add(&other), 0);
	other = layout;
	other.modify = other.poll = 1u << 30; /* no memory there */
	ck_assert_int_eq(evr_layout_add(&other), 0);
	ck_assert_int_eq(evr_layout_find(loop, &found), 0);
	ck_assert(same_layout(found, &layout));
	ev_loop_destroy(loop);
}
END_TEST

static TCase *add_case(Suite *suite, const char *name)
{
	TCase *tcase = tcase_create(name);

	tcase_set_timeout(tcase, 60);
	suite_add_tcase(suite, tcase);
	return tcase;
}

Suite *make_suite(void)
{
	Suite *suite = suite_create("layout");
	TCase *tcase = add_case(suite, "discovery");
	const char *reason = NULL;

	if (under_valgrind())
		reason = "valgrind keeps files of its own";
	tcase_add_test(tcase, every_proof_holds_here);
	tcase_add_test(tcase, fields_are_where_discovery_says);
	tcase_add_test(tcase, release_and_acquire_are_told_apart);
	tcase_add_test(tcase, loop_may_lie_before_memory_of_discovery);
	tcase_add_test(tcase, discovery_leaves_other_loops_alone);
	tcase = add_case(suite, "another libev");
	tcase_add_loop_test(tcase, changed_field_fails_its_proof, 0,
			    (int)ARRAY_SIZE(mutations));
	tcase_add_loop_test(tcase, changed_anfd_fails_its_proof, 0,
			    (int)ARRAY_SIZE(anfd_mutations));
	tcase_add_test(tcase, swapped_neighbours_are_noticed);
	tcase_add_test(tcase, wrong_image_gives_the_right_layout_or_none);
	tcase_add_test(tcase, unreadable_memory_is_not_supported);
	tcase = add_case(suite, "refusals");
	add_or_leave_out(tcase, memory_is_read_through_a_pipe_where_it_must,
			 under_asan() || under_valgrind()
				 ? "write(2) of what lies behind a loop is "
				   "taken for a mistake"
				 : NULL);
	add_or_leave_out(tcase, no_fd_left_is_returned_and_not_remembered,
			 reason);
	tcase = add_case(suite, "by loop");
	tcase_add_test(tcase, layout_is_found_once);
	tcase_add_test(tcase, loop_on_select_is_not_supported);
	tcase_add_test(tcase, threads_find_the_same_layout);
	tcase_add_test(tcase, layout_of_another_size_is_invalid);
	tcase_add_loop_test(tcase, layout_with_other_structs_is_not_supported,
			    0, (int)ARRAY_SIZE(fixed_fields));
	tcase_add_test(tcase, layout_brought_along_is_copied_and_comes_first);
	tcase_add_test(tcase, layout_of_another_libev_is_passed_over);
	return suite;
}
