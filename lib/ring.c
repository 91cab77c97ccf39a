/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ring.c - one io_uring with its wait region; the only file that enters the
 * kernel.
 *
 * What is waited for stands in a page that the kernel and we share, the wait
 * region: enter passes an offset in it and nothing is copied.  Where the kernel
 * has no regions (before 6.13) the same ring is waited on with a copied
 * argument, and nobody outside this file sees a difference.
 *
 * What to know about rings:
 *
 * a) A region for waits can only be registered while the ring is disabled.
 *    Enabling binds a ring with one issuer to the enabling thread, so it is
 *    done as late as the first enter: a loop may be made in one thread and run
 *    in another, or made before daemon().
 * b) With something to submit, enter returns how much it took, and what the
 *    wait returned is lost.  Taking less than offered skips the wait.  Hence
 *    the loop in enter_all().
 * c) io_uring_submit_and_wait_reg() is not used: before liburing 2.15 it
 *    dereferences the offset when a wait times out, and it has no way to pass
 *    NO_IOWAIT.  (liburing issue 1567.)
 * d) The region is shared memory: a child that wrote to it would change its
 *    parent's timeouts.  So all mappings that can be written to are left out of
 *    a fork, and a child must not even unmap them: by then something else may
 *    lie there.
 * e) A ring fd registered with a thread means another ring, or nothing, in
 *    every other thread.  We keep the number ourselves: liburing would
 *    unregister it in whatever thread closes the ring.
 * f) A wait with more than one completion to wait for and min-wait ends when
 *    they are there, or after min-wait if there is any, or with the next one.
 *    Without min-wait it would go on to the timeout; with one that is longer
 *    than the timeout, past the timeout; and up to Linux 6.18.0 one that comes
 *    after min-wait does not end it either (evr_ring_try_min_wait()).  Other
 *    waits must not find a min-wait in their slot.
 * g) The registered number works on when the program closes all fds behind our
 *    back; the fd number may by then be another file, which must not be closed.
 * h) What a restricted ring may be asked, of requests and of registering, is
 *    listed while it is disabled, and for ever.  Numbers that the kernel does
 *    not know are refused there, so the list is made of what it has.
 *
 * States of a ring, and the function that moves it:
 *
 *   nothing  -> disabled  [evr_ring_init]
 *   disabled -> enabled   [enable]         first submit or wait
 *   any      -> nothing   [evr_ring_exit]
 *
 * Invariants:
 *
 * (1) io_uring_enter is called by enter() only; the SQ tail is published
 *     before, and to_submit is exactly what is between head and tail.
 * (2) A ring is entered only when evr_ring_is_ours(): the callers see to it.
 * (3) The slots of the region are written by us only, between waits.
 */
#include "config.h"

#include "ring.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "self.h"

/*
 * A slot of the region, a cache line, per kind of wait, so that a turn writes
 * only what differs from the last turn of its kind, and finds no min-wait that
 * is not its own (trap f).  The blocking wait has offset 0: valgrind takes the
 * argument for a pointer, and complains about any other offset.
 */
enum { SLOT_BLOCKING, SLOT_COLLECTING };

static_assert(sizeof(struct io_uring_reg_wait) == 64,
	      "a slot of the wait region is 64 bytes");

static size_t region_size(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

/*
 * setup
 */

static unsigned setup_flags(unsigned have)
{
	unsigned flags = IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP;

	if (have & EVR_HAVE_R_DISABLED)
		flags |= IORING_SETUP_R_DISABLED;
	if (have & EVR_HAVE_SUBMIT_ALL)
		flags |= IORING_SETUP_SUBMIT_ALL;
	if (have & EVR_HAVE_SINGLE_ISSUER)
		flags |= IORING_SETUP_SINGLE_ISSUER;
	if (have & EVR_HAVE_DEFER_TASKRUN)
		flags |= IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG;
	else if (have & EVR_HAVE_COOP_TASKRUN)
		flags |= IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG;
	return flags;
}

static int setup(struct evr_ring *ring)
{
	struct io_uring_params params = {
		.flags = setup_flags(ring->config.have),
		.cq_entries = ring->config.entries * 4,
	};
	int r;

	r = io_uring_queue_init_params(ring->config.entries, &ring->uring,
				       &params);
	if (r < 0)
		return r;
	if (!(params.features & IORING_FEAT_EXT_ARG) ||
	    !(params.features & IORING_FEAT_NODROP)) {
		io_uring_queue_exit(&ring->uring);
		return -ENOSYS; /* before 5.11 a wait has no timeout */
	}
	r = io_uring_ring_dontfork(&ring->uring);
	if (r < 0)
		io_uring_queue_exit(&ring->uring);
	return r;
}

static void *map_anonymous(void)
{
	return mmap(NULL, region_size(), PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void *map_kernel_region(struct evr_ring *ring, uint64_t offset)
{
	return mmap(NULL, region_size(), PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_POPULATE, ring->uring.ring_fd,
		    (off_t)offset);
}

static int register_region(struct evr_ring *ring,
			   struct io_uring_region_desc *desc)
{
	struct io_uring_mem_region_reg reg = {
		.region_uptr = (uint64_t)(uintptr_t)desc,
		.flags = IORING_MEM_REGION_REG_WAIT_ARG,
	};

	return io_uring_register_region(&ring->uring, &reg);
}

/*
 * Memory that the kernel allocates: register, then map what it gave.  This and
 * the next answer as mmap() does.
 */
static void *make_kernel_region(struct evr_ring *ring)
{
	struct io_uring_region_desc desc = { .size = region_size() };
	int r = register_region(ring, &desc);

	if (r < 0) {
		errno = -r;
		return MAP_FAILED;
	}
	return map_kernel_region(ring, desc.mmap_offset);
}

/* Memory of ours: map, then register it. */
static void *make_user_region(struct evr_ring *ring)
{
	struct io_uring_region_desc desc = {
		.size = region_size(),
		.flags = IORING_MEM_REGION_TYPE_USER,
	};
	void *mem = map_anonymous();
	int r;

	if (mem == MAP_FAILED)
		return MAP_FAILED;
	desc.user_addr = (uint64_t)(uintptr_t)mem;
	r = register_region(ring, &desc);
	if (r < 0) {
		munmap(mem, region_size());
		errno = -r;
		return MAP_FAILED;
	}
	return mem;
}

static bool is_kernel_memory(const struct evr_ring_config *config)
{
	return config->have & EVR_HAVE_KERNEL_MEMORY && !config->user_region;
}

static int make_region(struct evr_ring *ring)
{
	void *mem;
	int r;

	mem = is_kernel_memory(&ring->config) ? make_kernel_region(ring)
					      : make_user_region(ring);
	if (mem == MAP_FAILED)
		return -errno;
	if (madvise(mem, region_size(), MADV_DONTFORK) < 0) {
		r = -errno;
		munmap(mem, region_size());
		return r;
	}
	ring->region = mem;
	ring->region[SLOT_BLOCKING].flags = IORING_REG_WAIT_TS;
	ring->region[SLOT_COLLECTING].flags = IORING_REG_WAIT_TS;
	return 0;
}

/* What the flags of every enter are, once it is known what there is. */
static void set_flags(struct evr_ring *ring)
{
	ring->enter_fd = ring->uring.ring_fd;
	ring->wait_flags = IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG;
	if (ring->region)
		ring->wait_flags |= IORING_ENTER_EXT_ARG_REG;
	if (ring->config.have & EVR_HAVE_NO_IOWAIT)
		ring->wait_flags |= IORING_ENTER_NO_IOWAIT;
	ring->arg.ts = (uint64_t)(uintptr_t)&ring->ts;
}

/*
 * restrictions
 */

/* All that evring asks of a ring without operations, once it is enabled; and
   what the kernel must have for it (0: it always has). */
static const struct {
	unsigned short kind; /* IORING_RESTRICTION_ */
	unsigned char what;
	unsigned have;
} allowed[] = {
	{ IORING_RESTRICTION_SQE_OP, IORING_OP_EPOLL_CTL, 0 },
	{ IORING_RESTRICTION_SQE_OP, IORING_OP_POLL_ADD, 0 },
	{ IORING_RESTRICTION_SQE_OP, IORING_OP_ASYNC_CANCEL, 0 },
	{ IORING_RESTRICTION_SQE_OP, EVR_OP_EPOLL_WAIT, EVR_HAVE_EPOLL_WAIT },
	{ IORING_RESTRICTION_SQE_FLAGS_ALLOWED, IOSQE_CQE_SKIP_SUCCESS,
	  EVR_HAVE_CQE_SKIP },
	{ IORING_RESTRICTION_REGISTER_OP, IORING_REGISTER_RING_FDS,
	  EVR_HAVE_REGISTERED_RING },
	{ IORING_RESTRICTION_REGISTER_OP, IORING_UNREGISTER_RING_FDS,
	  EVR_HAVE_REGISTERED_RING },
	{ IORING_RESTRICTION_REGISTER_OP, IORING_REGISTER_SYNC_CANCEL,
	  EVR_HAVE_EPOLL_CTL },
	{ IORING_RESTRICTION_REGISTER_OP, IORING_REGISTER_NAPI, EVR_HAVE_NAPI },
	{ IORING_RESTRICTION_REGISTER_OP, IORING_UNREGISTER_NAPI,
	  EVR_HAVE_NAPI },
};

enum { NR_ALLOWED = sizeof(allowed) / sizeof(allowed[0]) };

static int restrict_ring(struct evr_ring *ring)
{
	struct io_uring_restriction list[NR_ALLOWED];
	unsigned i, nr = 0;

	memset(list, 0, sizeof(list));
	for (i = 0; i < NR_ALLOWED; i++) {
		if ((ring->config.have & allowed[i].have) != allowed[i].have)
			continue;
		list[nr].opcode = allowed[i].kind;
		list[nr++].sqe_op = allowed[i].what; /* a union */
	}
	return io_uring_register_restrictions(&ring->uring, list, nr);
}

/* evr_ring_init(), telling which step failed. */
static int init_by_steps(struct evr_ring *ring,
			 const struct evr_ring_config *config,
			 enum evr_ring_step *ret_step)
{
	int r;

	memset(ring, 0, sizeof(*ring));
	ring->guard = ring->stand_in = -1;
	ring->config = *config;
	*ret_step = EVR_STEP_SETUP;
	r = evr_self_init();
	if (r < 0)
		return r;
	r = setup(ring);
	if (r < 0)
		return r;
	ring->process = evr_process_id();
	ring->thread = evr_thread_id();
	if (config->have & EVR_HAVE_REGION) {
		*ret_step = EVR_STEP_REGION;
		r = make_region(ring);
	}
	if (r < 0) {
		io_uring_queue_exit(&ring->uring);
		return r;
	}
	set_flags(ring);
	*ret_step = EVR_STEP_DONE;
	return 0;
}

int evr_ring_init(struct evr_ring *ring, const struct evr_ring_config *config)
{
	enum evr_ring_step step;
	int r = init_by_steps(ring, config, &step);

	if (r < 0 || !config->restricted)
		return r;
	r = restrict_ring(ring);
	if (r < 0)
		evr_ring_exit(ring);
	return r;
}

/*
 * the ring fd in the thread's own table
 *
 * It saves the kernel a lookup in every enter.  The table also keeps the ring
 * alive, and only its thread can change it (trap e).  So when a ring ends in
 * another thread, a note is left for the owner, who frees the place when it
 * makes its next ring; the end of the thread frees all.  A note that nobody
 * reads gives way to later ones, and its place is taken until the thread ends.
 */

enum { NR_NOTES = 64 };

static _Atomic uint64_t notes[NR_NOTES];
static _Atomic unsigned nr_notes; /* so far */

/* A place in the table of a thread; never 0. */
static uint64_t make_note(uint64_t process, uint64_t thread, int place)
{
	return process << 40 | (thread & UINT32_MAX) << 8 | (uint8_t)place;
}

/* By its place where the kernel can: the fd may be gone (trap g). */
static int register_at(const struct evr_ring *ring, int place, unsigned opcode,
		       const void *arg)
{
	unsigned fd = (unsigned)ring->uring.ring_fd;

	if (ring->uring.features & IORING_FEAT_REG_REG_RING) {
		fd = (unsigned)place;
		opcode |= IORING_REGISTER_USE_REGISTERED_RING;
	}
	return io_uring_register(fd, opcode, arg, 1);
}

static void free_place(const struct evr_ring *ring, int place)
{
	struct io_uring_rsrc_update update = { .offset = (uint32_t)place };

	(void)register_at(ring, place, IORING_UNREGISTER_RING_FDS, &update);
}

static void leave_note(const struct evr_ring *ring)
{
	unsigned i = atomic_fetch_add(&nr_notes, 1) % NR_NOTES;

	atomic_store(&notes[i],
		     make_note(ring->process, ring->thread, ring->enter_fd));
}

/* Free the places of this thread that others left. */
static void read_notes(const struct evr_ring *ring)
{
	uint64_t mine = make_note(evr_process_id(), evr_thread_id(), 0);
	uint64_t note;
	int i;

	for (i = 0; i < NR_NOTES; i++) {
		note = atomic_load(&notes[i]);
		if ((note & ~(uint64_t)UINT8_MAX) == mine &&
		    atomic_compare_exchange_strong(&notes[i], &note, 0))
			free_place(ring, (uint8_t)note);
	}
}

/* -EBUSY: the 16 places of this thread are taken, the fd itself will do. */
static int register_ring_fd(struct evr_ring *ring)
{
	struct io_uring_rsrc_update update = {
		.offset = UINT32_MAX,
		.data = (uint64_t)ring->uring.ring_fd,
	};
	int r;

	read_notes(ring);
	r = io_uring_register((unsigned)ring->uring.ring_fd,
			      IORING_REGISTER_RING_FDS, &update, 1);
	if (r < 0)
		return r == -EBUSY ? 0 : r;
	ring->enter_fd = (int)update.offset;
	ring->enter_flags |= IORING_ENTER_REGISTERED_RING;
	return 0;
}

static void unregister_ring_fd(struct evr_ring *ring)
{
	if (!(ring->enter_flags & IORING_ENTER_REGISTERED_RING))
		return;
	if (ring->thread == evr_thread_id())
		free_place(ring, ring->enter_fd);
	else
		leave_note(ring);
}

/* From here on the ring belongs to this thread. */
static int enable(struct evr_ring *ring, enum evr_ring_step *ret_step)
{
	int r = 0;

	*ret_step = EVR_STEP_ENABLE;
	if (ring->config.have & EVR_HAVE_R_DISABLED)
		r = io_uring_enable_rings(&ring->uring);
	if (r < 0)
		return r;
	ring->enabled = true;
	ring->thread = evr_thread_id();
	*ret_step = EVR_STEP_REGISTER_RING;
	if (ring->config.have & EVR_HAVE_REGISTERED_RING)
		r = register_ring_fd(ring);
	return r;
}

bool evr_ring_is_mapped(const struct evr_ring *ring)
{
	return ring->process == evr_process_id();
}

/* A ring with one issuer is bound when it is enabled, or else when made. */
static bool is_unbound(const struct evr_ring *ring)
{
	return !ring->enabled &&
	       (ring->config.have & EVR_HAVE_R_DISABLED ||
		!(ring->config.have & EVR_HAVE_SINGLE_ISSUER));
}

bool evr_ring_is_ours(const struct evr_ring *ring)
{
	return evr_ring_is_mapped(ring) &&
	       (ring->thread == evr_thread_id() || is_unbound(ring));
}

/*
 * submit and wait
 */

/* Make what was filled visible to the kernel; how much there is to take. */
static unsigned publish(struct evr_ring *ring)
{
	struct io_uring_sq *sq = &ring->uring.sq;

	sq->sqe_head = sq->sqe_tail;
	io_uring_smp_store_release(sq->ktail, sq->sqe_tail);
	return sq->sqe_tail - io_uring_smp_load_acquire(sq->khead);
}

/* The one way into the kernel (invariant 1). */
static int enter(struct evr_ring *ring, unsigned to_submit,
		 unsigned min_complete, unsigned flags, void *arg, size_t size)
{
	ring->config.stats->enters++;
	return io_uring_enter2((unsigned)ring->enter_fd, to_submit,
			       min_complete, ring->enter_flags | flags, arg,
			       size);
}

/* Until all is submitted: a short submit has not waited (trap b). */
static int enter_all(struct evr_ring *ring, unsigned min_complete,
		     unsigned flags, void *arg, size_t size)
{
	enum evr_ring_step step;
	unsigned todo;
	int r;

	if (evr_unlikely(!ring->enabled)) {
		r = enable(ring, &step);
		if (r < 0 && step != EVR_STEP_REGISTER_RING)
			return r; /* the fd will do */
	}
	do {
		todo = publish(ring);
		r = enter(ring, todo, min_complete, flags, arg, size);
		ring->has_worked |= r >= 0 || r == -ETIME;
		if (r < 0)
			return r;
		if (todo && !r)
			return -EAGAIN;
		ring->config.stats->requests += (unsigned)r;
	} while (evr_unlikely((unsigned)r < todo));
	return 0;
}

static int wait_by_offset(struct evr_ring *ring, unsigned place, unsigned nr,
			  int64_t timeout_ns)
{
	struct io_uring_reg_wait *slot = &ring->region[place];
	int64_t sec = timeout_ns / 1000000000;
	int64_t nsec = timeout_ns % 1000000000;

	if (slot->ts.tv_sec != sec)
		slot->ts.tv_sec = sec;
	if (slot->ts.tv_nsec != nsec)
		slot->ts.tv_nsec = nsec;
	ring->config.stats->waits_by_offset++;
	return enter_all(ring, nr, ring->wait_flags,
			 (void *)(uintptr_t)(place * sizeof(*slot)),
			 sizeof(*slot));
}

static int wait_copied(struct evr_ring *ring,
		       struct io_uring_getevents_arg *arg, unsigned nr,
		       int64_t timeout_ns)
{
	ring->ts.tv_sec = timeout_ns / 1000000000;
	ring->ts.tv_nsec = timeout_ns % 1000000000;
	ring->config.stats->waits_copied++;
	return enter_all(ring, nr, ring->wait_flags, arg, sizeof(*arg));
}

int evr_ring_wait(struct evr_ring *ring, int64_t timeout_ns)
{
	assert(timeout_ns >= 0);
	return ring->region ? wait_by_offset(ring, SLOT_BLOCKING, 1, timeout_ns)
			    : wait_copied(ring, &ring->arg, 1, timeout_ns);
}

static int collect_by_offset(struct evr_ring *ring, int64_t timeout_ns,
			     uint32_t min_us, unsigned nr)
{
	struct io_uring_reg_wait *slot = &ring->region[SLOT_COLLECTING];

	if (slot->min_wait_usec != min_us)
		slot->min_wait_usec = min_us;
	return wait_by_offset(ring, SLOT_COLLECTING, nr, timeout_ns);
}

static int collect_copied(struct evr_ring *ring, int64_t timeout_ns,
			  uint32_t min_us, unsigned nr)
{
	struct io_uring_getevents_arg arg = ring->arg;

	arg.min_wait_usec = min_us;
	return wait_copied(ring, &arg, nr, timeout_ns);
}

int evr_ring_collect(struct evr_ring *ring, int64_t timeout_ns, int64_t min_ns,
		     unsigned nr)
{
	int64_t min_us = (min_ns < timeout_ns ? min_ns : timeout_ns) / 1000;

	assert(timeout_ns >= 0 && min_ns >= 0);
	if (!min_us)
		return evr_ring_wait(ring, timeout_ns); /* trap f */
	if (min_us > UINT32_MAX)
		min_us = UINT32_MAX;
	if (!nr)
		nr = ring->uring.cq.ring_entries;
	if (ring->region)
		return collect_by_offset(ring, timeout_ns, (uint32_t)min_us,
					 nr);
	return collect_copied(ring, timeout_ns, (uint32_t)min_us, nr);
}

int evr_ring_flush(struct evr_ring *ring)
{
	return enter_all(ring, 0, 0, NULL, 0);
}

int evr_ring_submit(struct evr_ring *ring)
{
	return enter_all(ring, 0, IORING_ENTER_GETEVENTS, NULL, 0);
}

bool evr_ring_has_unsent(const struct evr_ring *ring)
{
	return ring->uring.sq.sqe_tail !=
	       io_uring_smp_load_acquire(ring->uring.sq.khead);
}

struct io_uring_sqe *evr_ring_find_unsent(const struct evr_ring *ring,
					  uint64_t user_data)
{
	const struct io_uring_sq *sq = &ring->uring.sq;
	unsigned i = io_uring_smp_load_acquire(sq->khead);

	for (; i != sq->sqe_tail; i++)
		if (sq->sqes[i & sq->ring_mask].user_data == user_data)
			return &sq->sqes[i & sq->ring_mask];
	return NULL;
}

const struct io_uring_sqe *evr_ring_unsent(const struct evr_ring *ring,
					   unsigned i)
{
	const struct io_uring_sq *sq = &ring->uring.sq;

	i += io_uring_smp_load_acquire(sq->khead);
	return i != sq->sqe_tail ? &sq->sqes[i & sq->ring_mask] : NULL;
}

/* Flags of the SQ that say so. */
enum { NEWS = IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW };

bool evr_ring_has_news(const struct evr_ring *ring)
{
	return io_uring_cq_ready(&ring->uring) ||
	       IO_URING_READ_ONCE(*ring->uring.sq.kflags) & NEWS;
}

/*
 * Is our ring fd still ours?  The program may have closed it, and opened
 * something else.  Only a ring knows this register opcode at all; the argument
 * is wrong on purpose, so that it does nothing there either.
 */
static bool fd_is_ring(int fd)
{
	int r = io_uring_register((unsigned)fd, IORING_REGISTER_PROBE, NULL, 0);

	return r != -EBADF && r != -EOPNOTSUPP && r != -ENOTTY;
}

/* Where it stands in the view. */
static const unsigned *in_view(const struct evr_ring *ring, const void *where)
{
	return (const void *)(ring->view +
			      ((const char *)where -
			       (const char *)ring->uring.sq.ring_ptr));
}

/* The fd may be another ring's by now (trap g).  Nobody else writes there, and
   the kernel reads it in an enter only. */
static bool is_view_ours(const struct evr_ring *ring)
{
	unsigned *tail = ring->uring.sq.ktail, was = *tail;
	const unsigned *seen = in_view(ring, tail);
	bool is_ours;

	IO_URING_WRITE_ONCE(*tail, was + 1);
	is_ours = IO_URING_READ_ONCE(*seen) == was + 1;
	IO_URING_WRITE_ONCE(*tail, was);
	return is_ours && IO_URING_READ_ONCE(*seen) == was;
}

void evr_ring_close_view(struct evr_ring *ring)
{
	if (ring->view)
		munmap((void *)(uintptr_t)ring->view, ring->uring.sq.ring_sz);
	ring->view = NULL;
}

int evr_ring_open_view(struct evr_ring *ring)
{
	struct io_uring *uring = &ring->uring;
	void *view;

	if (ring->view)
		return 0;
	assert(uring->cq.ring_ptr == uring->sq.ring_ptr); /* since 5.4 */
	if (!fd_is_ring(uring->ring_fd)) /* and might have no first page */
		return -EBADF;
	view = mmap(NULL, uring->sq.ring_sz, PROT_READ, MAP_SHARED,
		    uring->ring_fd, IORING_OFF_SQ_RING);
	if (view == MAP_FAILED)
		return -errno;
	ring->view = view;
	if (is_view_ours(ring))
		return 0;
	evr_ring_close_view(ring);
	return -EBADF;
}

bool evr_ring_view_has_news(const struct evr_ring *ring)
{
	const struct io_uring *uring = &ring->uring;
	const unsigned *head = in_view(ring, uring->cq.khead);
	const unsigned *tail = in_view(ring, uring->cq.ktail);
	const unsigned *flags = in_view(ring, uring->sq.kflags);

	return IO_URING_READ_ONCE(*tail) != IO_URING_READ_ONCE(*head) ||
	       IO_URING_READ_ONCE(*flags) & NEWS;
}

bool evr_ring_has_overflown(const struct evr_ring *ring)
{
	return IO_URING_READ_ONCE(*ring->uring.sq.kflags) &
	       IORING_SQ_CQ_OVERFLOW;
}

struct io_uring_sqe *evr_ring_get_sqe(struct evr_ring *ring)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&ring->uring);

	if (evr_unlikely(!sqe)) {
		if (evr_ring_flush(ring) < 0)
			return NULL;
		sqe = io_uring_get_sqe(&ring->uring);
	}
	if (sqe)
		memset(sqe, 0, sizeof(*sqe));
	return sqe;
}

int evr_ring_reserve(struct evr_ring *ring, unsigned nr)
{
	if (nr > ring->uring.sq.ring_entries)
		return -E2BIG;
	return io_uring_sq_space_left(&ring->uring) < nr ? evr_ring_flush(ring)
							 : 0;
}

unsigned evr_ring_space(const struct evr_ring *ring)
{
	return io_uring_sq_space_left(&ring->uring);
}

unsigned evr_ring_sqe_index(const struct evr_ring *ring,
			    const struct io_uring_sqe *sqe)
{
	return (unsigned)(sqe - ring->uring.sq.sqes);
}

unsigned evr_ring_entries(const struct evr_ring *ring)
{
	return ring->uring.sq.ring_entries;
}

/* While each is called the SQ is empty. */
void evr_ring_take_back(struct evr_ring *ring,
			bool (*each)(void *arg, uint64_t user_data), void *arg)
{
	struct io_uring_sq *sq = &ring->uring.sq;
	unsigned head = io_uring_smp_load_acquire(sq->khead);
	unsigned i, kept = head, tail = sq->sqe_tail;

	sq->sqe_head = sq->sqe_tail = head;
	io_uring_smp_store_release(sq->ktail, head);
	for (i = head; i != tail; i++)
		if (each(arg, sq->sqes[i & sq->ring_mask].user_data))
			sq->sqes[kept++ & sq->ring_mask] =
				sq->sqes[i & sq->ring_mask];
	sq->sqe_tail = kept;
}

int evr_ring_register(const struct evr_ring *ring, unsigned opcode, void *arg)
{
	if (ring->enter_flags & IORING_ENTER_REGISTERED_RING)
		return register_at(ring, ring->enter_fd, opcode, arg);
	return io_uring_register((unsigned)ring->uring.ring_fd, opcode, arg, 1);
}

enum { CANCEL_NS = 50000, MAX_CANCELS = 64 };

/* Returns 0, -ENOENT if there is none, or -ETIME if it does not end. */
static int sync_cancel(const struct evr_ring *ring, uint64_t user_data)
{
	struct io_uring_sync_cancel_reg reg = {
		.addr = user_data,
		.timeout = { .tv_nsec = CANCEL_NS },
	};

	return evr_ring_register(ring, IORING_REGISTER_SYNC_CANCEL, &reg);
}

/* The end of a request that does not answer wakes nobody: look again. */
int evr_ring_finish(const struct evr_ring *ring, uint64_t user_data)
{
	int r = sync_cancel(ring, user_data);

	if (r == -ENOENT)
		return 0;
	while (r == -ETIME || r == -EINTR)
		r = sync_cancel(ring, user_data);
	return r < 0 && r != -ENOENT ? r : 1;
}

/* The result of a request that was submitted since; -EBUSY if there is none. */
static int result_since(const struct evr_ring *ring, unsigned tail,
			uint64_t user_data)
{
	const struct io_uring_cq *cq = &ring->uring.cq;
	unsigned end = io_uring_smp_load_acquire(cq->ktail);
	const struct io_uring_cqe *cqe;

	for (; tail != end; tail++) {
		cqe = &cq->cqes[tail & cq->ring_mask];
		if (cqe->user_data == user_data)
			return cqe->res;
	}
	return -EBUSY;
}

/* Is there room for an answer, and for those of others? */
static bool can_ask(const struct evr_ring *ring)
{
	return evr_ring_is_mapped(ring) && !evr_ring_has_unsent(ring) &&
	       evr_ring_nr_ready(ring) < ring->uring.cq.ring_entries / 2;
}

/* Returns 0, -ENOENT if there is none, -EALREADY if it does not end, or what
   else is wrong.  With nothing before it, it answers while it is submitted. */
static int cancel_by_request(struct evr_ring *ring, uint64_t user_data,
			     uint64_t answer)
{
	struct io_uring_sqe *sqe;
	unsigned tail;
	int r;

	if (!can_ask(ring))
		return -EBUSY;
	tail = io_uring_smp_load_acquire(ring->uring.cq.ktail);
	sqe = evr_ring_get_sqe(ring);
	io_uring_prep_cancel64(sqe, user_data, 0);
	sqe->user_data = answer;
	r = evr_ring_flush(ring);
	if (r < 0)
		return r;
	return evr_ring_is_mapped(ring) ? result_since(ring, tail, answer)
					: -EBUSY;
}

/* For up to a tenth of a second: pauses become longer. */
int evr_ring_finish_by_requests(struct evr_ring *ring, uint64_t user_data,
				uint64_t answer)
{
	struct timespec pause = { 0 };
	int i, r = cancel_by_request(ring, user_data, answer);

	if (r == -ENOENT)
		return 0;
	for (i = 0; i < MAX_CANCELS && r == -EALREADY; i++) {
		pause.tv_nsec += CANCEL_NS;
		nanosleep(&pause, NULL);
		r = cancel_by_request(ring, user_data, answer);
	}
	return r < 0 && r != -ENOENT ? r : 1;
}

/*
 * messages
 */

int evr_ring_send(int ring_fd, uint64_t user_data)
{
	struct io_uring_sqe sqe;

	memset(&sqe, 0, sizeof(sqe));
	io_uring_prep_msg_ring(&sqe, ring_fd, 0, user_data, 0);
	return io_uring_register((unsigned)-1, EVR_REGISTER_SEND_MSG_RING, &sqe,
				 1);
}

/*
 * reap
 */

unsigned evr_ring_nr_ready(const struct evr_ring *ring)
{
	return io_uring_cq_ready(&ring->uring);
}

unsigned evr_ring_reap(struct evr_ring *ring, unsigned max,
		       evr_ring_complete *complete, void *arg)
{
	struct io_uring_cqe *cqe;
	unsigned head, nr_reaped = 0;

	if (evr_unlikely(evr_ring_has_overflown(ring)))
		ring->config.stats->overflows++;
	io_uring_for_each_cqe(&ring->uring, head, cqe)
	{
		if (evr_unlikely(nr_reaped == max))
			break;
		complete(arg, cqe->user_data, cqe->res, cqe->flags);
		nr_reaped++;
	}
	io_uring_cq_advance(&ring->uring, nr_reaped);
	ring->config.stats->completions += nr_reaped;
	return nr_reaped;
}

/*
 * exit
 */

/* A child has the fd and of the mappings only the view (trap d). */
static void exit_in_child(struct evr_ring *ring)
{
	evr_ring_close_view(ring);
	if (fd_is_ring(ring->uring.ring_fd))
		close(ring->uring.ring_fd);
	ring->stand_in = -1;
}

int evr_ring_cancel_all(struct evr_ring *ring, uint64_t user_data)
{
	struct io_uring_sqe *sqe = evr_ring_get_sqe(ring);

	if (!sqe)
		return -EAGAIN;
	io_uring_prep_cancel64(
		sqe, 0, IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL);
	sqe->user_data = user_data;
	return 0;
}

/* Closing the ring would end requests some milliseconds later, and until then
   they hold their files. */
static void end_requests(struct evr_ring *ring)
{
	if (ring->enabled && ring->thread == evr_thread_id() &&
	    evr_ring_cancel_all(ring, 0) >= 0)
		(void)evr_ring_submit(ring);
}

/* Somebody may be about to use the number. */
static void replace_fd(struct evr_ring *ring)
{
	if (ring->stand_in >= 0 &&
	    dup3(ring->stand_in, ring->uring.ring_fd, O_CLOEXEC) >= 0)
		ring->uring.ring_fd = -1;
	else
		ring->stand_in = -1;
}

static void close_ring(struct evr_ring *ring)
{
	if (!evr_ring_is_mapped(ring)) {
		exit_in_child(ring);
		return;
	}
	end_requests(ring);
	unregister_ring_fd(ring);
	evr_ring_close_view(ring);
	if (fd_is_ring(ring->uring.ring_fd))
		replace_fd(ring);
	else
		ring->uring.ring_fd = ring->stand_in = -1; /* trap g */
	io_uring_queue_exit(&ring->uring);
	if (ring->region)
		munmap(ring->region, region_size());
}

static bool has_guard(const struct evr_ring *ring)
{
	struct stat st;

	return ring->guard >= 0 && fstat(ring->guard, &st) == 0 &&
	       S_ISFIFO(st.st_mode) && st.st_ino == ring->guard_inode;
}

void evr_ring_exit(struct evr_ring *ring)
{
	close_ring(ring);
	if (has_guard(ring))
		close(ring->guard);
}

void evr_ring_exit_and_wait(struct evr_ring *ring)
{
	struct pollfd end = { .fd = ring->guard };

	close_ring(ring);
	if (!has_guard(ring))
		return;
	while (poll(&end, 1, -1) < 0 && errno == EINTR)
		;
	close(ring->guard);
}

/*
 * guard
 *
 * The kernel ends the requests of a closed ring in the background, and until
 * then writes to what they name.  It tells nobody when it is done.  But the
 * last thing it does is to close the fixed files of the ring; so one of them is
 * the writing end of a pipe, which nobody else has.
 */

/* It would keep the ring alive, until its thread says otherwise (trap e). */
static void give_up_place(struct evr_ring *ring)
{
	unregister_ring_fd(ring);
	ring->enter_fd = ring->uring.ring_fd;
	ring->enter_flags &= ~(unsigned)IORING_ENTER_REGISTERED_RING;
	ring->config.have &= ~(unsigned)EVR_HAVE_REGISTERED_RING;
}

/* A table in which only the last file is there. */
static int register_last(struct evr_ring *ring, unsigned nr_files, int fd)
{
	int *fds = malloc((nr_files + 1) * sizeof(*fds));
	int r;

	if (!fds)
		return -ENOMEM;
	memset(fds, 0xff, nr_files * sizeof(*fds));
	fds[nr_files] = fd;
	r = io_uring_register_files(&ring->uring, fds, nr_files + 1);
	free(fds);
	return r;
}

static void drop_guard(struct evr_ring *ring)
{
	if (!has_guard(ring))
		return;
	(void)io_uring_unregister_files(&ring->uring);
	close(ring->guard);
	ring->guard = -1;
}

/* Returns 0; 1 if there is no table, but the guard; or -errno, and neither. */
static int replace_table(struct evr_ring *ring, unsigned nr_files, int fd)
{
	int r;

	drop_guard(ring);
	r = register_last(ring, nr_files, fd);
	if (r < 0 && nr_files && register_last(ring, 0, fd) >= 0)
		return 1;
	return r;
}

/* The kernel's own limit, asked before the old table is gone. */
static bool is_too_many(unsigned nr_files)
{
	struct rlimit limit;

	return getrlimit(RLIMIT_NOFILE, &limit) == 0 &&
	       nr_files >= limit.rlim_cur;
}

int evr_ring_guard(struct evr_ring *ring, unsigned nr_files)
{
	struct stat st;
	int fds[2], r;

	if (is_too_many(nr_files))
		return -EMFILE;
	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	r = fstat(fds[0], &st) < 0 ? -errno
				   : replace_table(ring, nr_files, fds[1]);
	close(fds[1]);
	if (r < 0) {
		close(fds[0]);
		return r;
	}
	ring->guard = fds[0];
	ring->guard_inode = st.st_ino;
	give_up_place(ring);
	return r ? -ENOMEM : 0;
}

bool evr_ring_is_guarded(const struct evr_ring *ring)
{
	return ring->guard >= 0;
}

/*
 * trial
 */

static bool has_request(const struct io_uring_probe *probe, int opcode)
{
	return probe && io_uring_opcode_supported(probe, opcode);
}

/* Before 6.13 what says that the list of queues is ours must be zero. */
static bool has_napi(const struct evr_ring *ring)
{
	struct evr_uring_napi off = { .opcode = EVR_NAPI_REGISTER_OP,
				      .op_param = EVR_NAPI_TRACKING_STATIC };

	return evr_ring_register(ring, IORING_REGISTER_NAPI, &off) >= 0;
}

/* Where it is known, no argument is EFAULT. */
static bool knows_registered_rings(const struct evr_ring *ring)
{
	return evr_ring_register(ring, IORING_REGISTER_RING_FDS, NULL) !=
	       -EINVAL;
}

static unsigned seen_features(struct evr_ring *ring)
{
	unsigned features = ring->uring.features;
	unsigned seen = ring->config.have;
	struct io_uring_probe *probe;

	if (!(features & IORING_FEAT_CQE_SKIP))
		seen &= ~(unsigned)EVR_HAVE_CQE_SKIP;
	if (!(features & IORING_FEAT_RSRC_TAGS)) /* of the same release */
		seen &= ~(unsigned)EVR_HAVE_MULTISHOT_POLL;
	if (!(features & IORING_FEAT_MIN_TIMEOUT)) /* likewise the second */
		seen &= ~(unsigned)(EVR_HAVE_MIN_WAIT | EVR_HAVE_PBUF_INC);
	if (!(features & IORING_FEAT_NO_IOWAIT))
		seen &= ~(unsigned)EVR_HAVE_NO_IOWAIT;
	if (!(features & IORING_FEAT_RECVSEND_BUNDLE))
		seen &= ~(unsigned)EVR_HAVE_RECV_BUNDLE;
	probe = io_uring_get_probe_ring(&ring->uring);
	if (!has_request(probe, IORING_OP_SOCKET)) /* of the same release */
		seen &= ~(unsigned)(EVR_HAVE_PBUF_RING |
				    EVR_HAVE_MULTISHOT_ACCEPT);
	if (!has_request(probe, IORING_OP_SEND_ZC)) /* likewise */
		seen &= ~(unsigned)EVR_HAVE_MULTISHOT_RECV;
	if (!has_request(probe, IORING_OP_SENDMSG_ZC))
		seen &= ~(unsigned)EVR_HAVE_SEND_ZC;
	if (!has_request(probe, IORING_OP_MSG_RING))
		seen &= ~(unsigned)EVR_HAVE_MSG_RING;
	if (!has_request(probe, EVR_OP_EPOLL_WAIT))
		seen &= ~(unsigned)EVR_HAVE_EPOLL_WAIT;
	if (!has_request(probe, IORING_OP_EPOLL_CTL) ||
	    sync_cancel(ring, 0) != -ENOENT)
		seen &= ~(unsigned)EVR_HAVE_EPOLL_CTL;
	if (!knows_registered_rings(ring)) /* nor may it be in a list */
		seen &= ~(unsigned)EVR_HAVE_REGISTERED_RING;
	if (!has_napi(ring))
		seen &= ~(unsigned)EVR_HAVE_NAPI;
	if (evr_ring_send(-1, 0) != -EBADF) /* it looked for the ring */
		seen &= ~(unsigned)EVR_HAVE_SYNC_MSG;
	io_uring_free_probe(probe);
	return seen;
}

int evr_ring_trial(const struct evr_ring_config *config,
		   enum evr_ring_step *ret_step, unsigned *ret_seen)
{
	struct evr_ring_config uncounted = *config;
	struct evring_stats stats = { .turns = 0 };
	struct evr_ring ring;
	unsigned seen;
	int r;

	uncounted.stats = &stats;
	r = init_by_steps(&ring, &uncounted, ret_step);
	if (r < 0)
		return r;
	seen = seen_features(&ring);
	ring.config.have = seen;
	set_flags(&ring);
	if (seen & EVR_HAVE_RESTRICT) {
		*ret_step = EVR_STEP_RESTRICT;
		r = restrict_ring(&ring);
	}
	if (r >= 0)
		r = enable(&ring, ret_step);
	if (r >= 0) {
		*ret_step = EVR_STEP_ENTER;
		r = evr_ring_wait(&ring, 0);
	}
	evr_ring_exit(&ring);
	if (r != -ETIME)
		return r < 0 ? r : -EIO; /* it cannot have been anything else */
	*ret_step = EVR_STEP_DONE;
	*ret_seen = seen;
	return 0;
}

/*
 * min-wait
 *
 * The completion that is to end the wait must not come from a timeout request:
 * when one of these expires, every wait ends; on Linux 6.12 also when one is
 * cancelled.  A poll request that a linked timeout cancels does not end it; it
 * brings two completions.
 */

enum { HELD = 1, SOON, LATE };

static bool add_held(struct evr_ring *ring, int fd)
{
	struct io_uring_sqe *sqe = evr_ring_get_sqe(ring);

	if (!sqe)
		return false;
	io_uring_prep_poll_add(sqe, fd, POLLIN);
	sqe->user_data = HELD;
	sqe->flags = IOSQE_IO_LINK;
	return true;
}

static bool add_timeout(struct evr_ring *ring, struct __kernel_timespec *ts,
			uint64_t user_data)
{
	struct io_uring_sqe *sqe = evr_ring_get_sqe(ring);

	if (!sqe)
		return false;
	if (user_data == SOON)
		io_uring_prep_link_timeout(sqe, ts, 0);
	else
		io_uring_prep_timeout(sqe, ts, 0, 0);
	sqe->user_data = user_data;
	return true;
}

static void see_last(void *arg, uint64_t user_data, int res, unsigned flags)
{
	(void)flags;
	if (res == -ETIME)
		*(uint64_t *)arg = user_data;
}

/* Without handlers, which would end the wait as a completion does. */
static int wait_for_three(struct evr_ring *ring, unsigned min_us)
{
	struct io_uring_getevents_arg arg = ring->arg;
	sigset_t all;

	sigfillset(&all);
	arg.sigmask = (uint64_t)(uintptr_t)&all;
	arg.sigmask_sz = _NSIG / 8;
	arg.min_wait_usec = min_us;
	return wait_copied(ring, &arg, 3, 1000000000);
}

/* fd is never readable.  No clock is asked: where the last one has not come, it
   had not to come. */
static int try_min_wait(struct evr_ring *ring, int fd, unsigned min_us)
{
	struct __kernel_timespec soon = { .tv_nsec = 1000000 };
	struct __kernel_timespec late = { .tv_nsec = 20000000 };
	uint64_t last = HELD;
	int r;

	if (!add_held(ring, fd) || !add_timeout(ring, &soon, SOON) ||
	    !add_timeout(ring, &late, LATE))
		return -EAGAIN;
	r = wait_for_three(ring, min_us);
	if (r < 0 && r != -EINTR && r != -ETIME)
		return r;
	/* What ended the wait may not have its completion yet. */
	r = evr_ring_submit(ring);
	if (r < 0)
		return r;
	evr_ring_reap(ring, 3, see_last, &last);
	return (int)(last - HELD);
}

int evr_ring_try_min_wait(const struct evr_ring_config *config, unsigned min_us)
{
	struct evr_ring_config copied = *config;
	struct evring_stats stats = { 0 };
	struct evr_ring ring;
	int fd, r;

	copied.have &= ~(unsigned)EVR_HAVE_REGION;
	copied.stats = &stats;
	fd = eventfd(0, EFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	r = evr_ring_init(&ring, &copied);
	if (r >= 0) {
		r = try_min_wait(&ring, fd, min_us);
		evr_ring_exit(&ring);
	}
	close(fd);
	return r;
}
