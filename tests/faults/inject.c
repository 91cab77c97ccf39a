/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * inject.c - what the library calls, with faults.
 *
 * A failing call does what the kernel does when it fails so: nothing, but for
 * these.  -EINTR and -ETIME come from waiting; when something was submitted
 * before, its number is what is returned.  -EBADR says that completions were
 * lost: so some are.
 */
#include "config.h"

#include "inject.h"

#include "calls.h"

#include <errno.h>
#include <liburing.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static const struct fault *_Atomic armed;
static atomic_int nr_calls, nr_failed, first;

void inject(const struct fault *fault, int nth)
{
	atomic_store(&nr_calls, 0);
	atomic_store(&nr_failed, 0);
	atomic_store(&first, nth);
	atomic_store(&armed, fault);
}

int stop_injecting(void)
{
	atomic_store(&armed, NULL);
	return nr_injected();
}

int nr_injected(void)
{
	return atomic_load(&nr_failed);
}

static const struct fault *armed_at(enum site site)
{
	const struct fault *fault = atomic_load(&armed);

	return fault && fault->site == site ? fault : NULL;
}

/* Is it time?  Counts this call.  0 or -errno. */
static int fail_at(enum site site)
{
	const struct fault *fault = armed_at(site);
	int nr;

	if (!fault)
		return 0;
	nr = atomic_fetch_add(&nr_calls, 1) + 1;
	if (fault->is_for_ever ? nr < first : nr != first)
		return 0;
	atomic_fetch_add(&nr_failed, 1);
	return -fault->error;
}

/*
 * rings: which one an enter means
 */

enum { MAX_RINGS = 512 };

static struct known {
	struct io_uring *_Atomic ring;
	atomic_int fd;
	atomic_int thread; /* in whose table it is */
	atomic_int place;  /* there, -1 for none */
} known[MAX_RINGS];

static void remember(struct io_uring *ring)
{
	struct io_uring *none;
	int i;

	for (i = 0; i < MAX_RINGS; i++) {
		none = NULL;
		if (atomic_load(&known[i].ring) == ring)
			return;
		if (atomic_compare_exchange_strong(&known[i].ring, &none,
						   ring)) {
			known[i].place = -1;
			known[i].fd = ring->ring_fd;
			return;
		}
	}
	abort();
}

static struct known *find_ring(unsigned fd, bool is_place)
{
	pid_t thread = gettid();
	int i;

	for (i = 0; i < MAX_RINGS; i++) {
		if (!atomic_load(&known[i].ring))
			continue;
		if (is_place ? known[i].place == (int)fd &&
				       known[i].thread == thread
			     : known[i].fd == (int)fd)
			return &known[i];
	}
	return NULL;
}

static void forget(struct io_uring *ring)
{
	int i;

	for (i = 0; i < MAX_RINGS; i++)
		if (atomic_load(&known[i].ring) == ring) {
			known[i].place = -1;
			atomic_store(&known[i].ring, NULL);
		}
}

static struct io_uring *ring_of(unsigned fd, unsigned flags)
{
	struct known *k = find_ring(fd, flags & IORING_ENTER_REGISTERED_RING);

	if (!k)
		abort();
	return k->ring;
}

static void lose_completions(struct io_uring *ring)
{
	io_uring_cq_advance(ring, io_uring_cq_ready(ring));
}

/*
 * enter
 */

/* A wait is interrupted only when there is something to wait for. */
static int wait_or_fail(unsigned fd, unsigned to_submit, unsigned min_complete,
			unsigned flags, void *arg, size_t size)
{
	unsigned how = flags & IORING_ENTER_REGISTERED_RING;
	int submitted = 0, r = 0;

	if (to_submit)
		submitted = io_uring_enter2(fd, to_submit, 0, how, NULL, 0);
	if (submitted < (int)to_submit || io_uring_cq_ready(ring_of(fd, flags)))
		return submitted;
	r = fail_at(WAIT);
	if (!r)
		r = io_uring_enter2(fd, 0, min_complete, flags, arg, size);
	return submitted ? submitted : r;
}

int inject_io_uring_enter2(unsigned fd, unsigned to_submit,
			   unsigned min_complete, unsigned flags, void *arg,
			   size_t size)
{
	unsigned how = flags & IORING_ENTER_REGISTERED_RING;
	int r = fail_at(ENTER);

	if (r < 0)
		return r;
	if (min_complete && armed_at(WAIT))
		return wait_or_fail(fd, to_submit, min_complete, flags, arg,
				    size);
	if (to_submit > 1 && fail_at(SUBMIT) < 0)
		return io_uring_enter2(fd, to_submit / 2, 0, how, NULL, 0);
	if (flags & IORING_ENTER_GETEVENTS && (r = fail_at(REAP)) < 0) {
		io_uring_enter2(fd, to_submit, 0, how | IORING_ENTER_GETEVENTS,
				NULL, 0);
		lose_completions(ring_of(fd, flags));
		return r;
	}
	return io_uring_enter2(fd, to_submit, min_complete, flags, arg, size);
}

/*
 * making rings
 */

int inject_io_uring_queue_init_params(unsigned entries, struct io_uring *ring,
				      struct io_uring_params *params)
{
	int r = fail_at(SETUP);

	if (r < 0)
		return r;
	if (fail_at(SMALL) < 0)
		entries = params->cq_entries = 1;
	r = io_uring_queue_init_params(entries, ring, params);
	if (r >= 0)
		remember(ring);
	return r;
}

void inject_io_uring_queue_exit(struct io_uring *ring)
{
	forget(ring);
	io_uring_queue_exit(ring);
}

int inject_io_uring_ring_dontfork(struct io_uring *ring)
{
	int r = fail_at(DONTFORK);

	return r < 0 ? r : io_uring_ring_dontfork(ring);
}

int inject_io_uring_enable_rings(struct io_uring *ring)
{
	int r = fail_at(ENABLE);

	return r < 0 ? r : io_uring_enable_rings(ring);
}

int inject_io_uring_register_region(struct io_uring *ring,
				    struct io_uring_mem_region_reg *reg)
{
	int r = fail_at(REGION);

	return r < 0 ? r : io_uring_register_region(ring, reg);
}

static void remember_place(const struct io_uring_rsrc_update *update)
{
	struct known *k = find_ring((unsigned)update->data, false);

	if (!k)
		abort();
	k->place = (int)update->offset;
	k->thread = gettid();
}

int inject_io_uring_register(unsigned fd, unsigned opcode, const void *arg,
			     unsigned nr)
{
	int r = 0;

	if (opcode != IORING_REGISTER_PROBE) /* only asks whose fd it is */
		r = fail_at(REGISTER);
	if (r < 0)
		return r;
	r = io_uring_register(fd, opcode, arg, nr);
	if (r >= 0 && opcode == IORING_REGISTER_RING_FDS)
		remember_place(arg);
	return r;
}

int inject_io_uring_register_files(struct io_uring *ring, const int *fds,
				   unsigned nr)
{
	int r = fail_at(FILES);

	return r < 0 ? r : io_uring_register_files(ring, fds, nr);
}

int inject_io_uring_register_buf_ring(struct io_uring *ring,
				      struct io_uring_buf_reg *reg,
				      unsigned flags)
{
	int r = fail_at(BUFFERS);

	return r < 0 ? r : io_uring_register_buf_ring(ring, reg, flags);
}

/*
 * fds
 */

int inject_pipe2(int fds[2], int flags)
{
	int r = fail_at(FDS);

	if (!r)
		return pipe2(fds, flags);
	errno = -r;
	return -1;
}

int inject_eventfd(unsigned count, int flags)
{
	int r = fail_at(FDS);

	if (!r)
		return eventfd(count, flags);
	errno = -r;
	return -1;
}

/*
 * memory
 */

void *inject_mmap(void *addr, size_t size, int prot, int flags, int fd,
		  off_t offset)
{
	int r = fail_at(MAP);

	if (!r)
		return mmap(addr, size, prot, flags, fd, offset);
	errno = -r;
	return MAP_FAILED;
}

int inject_madvise(void *addr, size_t size, int advice)
{
	int r = fail_at(ADVISE);

	if (!r)
		return madvise(addr, size, advice);
	errno = -r;
	return -1;
}

static atomic_int nr_live;

int nr_live_pieces(void)
{
	return atomic_load(&nr_live);
}

static void *count_piece(void *piece)
{
	if (piece)
		atomic_fetch_add(&nr_live, 1);
	return piece;
}

static bool has_memory(void)
{
	int r = fail_at(MEMORY);

	if (r < 0)
		errno = -r;
	return !r;
}

void *inject_malloc(size_t size)
{
	return has_memory() ? count_piece(malloc(size)) : NULL;
}

void *inject_calloc(size_t nr, size_t size)
{
	return has_memory() ? count_piece(calloc(nr, size)) : NULL;
}

void *inject_realloc(void *old, size_t size)
{
	void *piece = has_memory() ? realloc(old, size) : NULL;

	return old ? piece : count_piece(piece);
}

void inject_free(void *piece)
{
	if (piece)
		atomic_fetch_sub(&nr_live, 1);
	free(piece);
}
