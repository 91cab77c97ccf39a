/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * region.c - does this kernel keep what io_uring_register_region(3) promises?
 *
 * evring gives its wait parameters to the kernel in a registered region, so it
 * stands on these promises, and on much that the page does not say: which
 * mistakes are refused and how, what a wait does with the values, what happens
 * to the memory on fork.  Nothing of evring is used here.  When a test fails,
 * the ground has moved, and lib/ring.c has to be read again.
 *
 * A region is memory of the program (IORING_MEM_REGION_TYPE_USER, Linux 6.13)
 * or memory of the kernel that the program maps (6.14).  Every statement that
 * is not about one of them is tested on both: see modes[].
 *
 * What to know before using a region:
 *
 * a) The argument of io_uring_enter(2) is an offset in bytes, not an index.
 * b) The last slot of a region cannot be used: Linux reads the first one in its
 *    place, without an error.  make_suite() prints whether this kernel does.
 * c) ts is not validated, and min_wait_usec beyond ts makes ts void.
 * d) Whoever submits and waits in one call never learns how the wait ended.
 * e) Kernel memory is shared with forked children, and with them the timeouts.
 * f) A mapping of kernel memory must be as long as the region, or longer, and
 *    shared: what is written to a private one stays there.
 * g) A completed IORING_OP_TIMEOUT ends every wait, however many events the
 *    wait is for.
 *
 * How the tests measure: a slot with an unknown flag is refused with EINVAL,
 * even by a call that need not wait.  That tells which bytes the kernel reads,
 * and no time passes (reads_marker).  Where time is the promise, a wait must
 * last at least what it was told to, and less than PATIENCE_MS; what would
 * happen otherwise lies beyond that (FOREVER_MS).
 */
#include "config.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "harness.h"
#include "raw.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

enum {
	SLOT = sizeof(struct io_uring_reg_wait),
	NR_ENTRIES = 8,
	SHORT_MS = 50,
	PATIENCE_MS = 15000,
	FOREVER_MS = 20000,
	MARKER = 1 << 1, /* a flag that no slot may have */
	KERNEL_SIGSET = _NSIG / 8,
	PARAM_REGION_OFFSET = 0x20000000, /* mmap_offset, as of Linux 6.18 */
	DEFER = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
	REG_WAIT = IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG |
		   IORING_ENTER_EXT_ARG_REG,
};

/* The structures are what the page and the kernel say they are. */
static_assert(sizeof(struct io_uring_mem_region_reg) == 32, "registration");
static_assert(sizeof(struct io_uring_region_desc) == 64, "descriptor");
static_assert(sizeof(struct io_uring_reg_wait) == 64, "slot");
static_assert(offsetof(struct io_uring_reg_wait, min_wait_usec) == 16, "slot");
static_assert(offsetof(struct io_uring_reg_wait, flags) == 20, "slot");
static_assert(offsetof(struct io_uring_reg_wait, sigmask) == 24, "slot");
static_assert(offsetof(struct io_uring_reg_wait, sigmask_sz) == 32, "slot");

struct mode {
	const char *name;
	bool user; /* whose memory the region is */
};

enum { USER, KERNEL, NR_MODES };

/* clang-format off */
static const struct mode modes[NR_MODES] = {
	[USER]   = { .name = "user memory",   .user = true },
	[KERNEL] = { .name = "kernel memory", .user = false },
};
/* clang-format on */

static int nr_modes = NR_MODES; /* 1 where the kernel has user memory only */

/* A loop test runs once for each row of its table in each mode. */
static const struct mode *mode_of(int i)
{
	return &modes[i % nr_modes];
}

#define ROW_OF(table, i) (&(table)[(i) / nr_modes])

/* A ring, its region, and where this process sees the region. */
struct waiter {
	const struct mode *mode;
	struct io_uring ring;
	struct io_uring_region_desc desc;
	struct io_uring_mem_region_reg reg;
	char *mem; /* NULL as long as there is nothing to unmap */
	size_t size;
	bool is_open;
};

/* Here, not on the stack of a test, for close_all() to find. */
static struct waiter self, other;

static size_t page_size;

#define ck_ret(w, what, got, want)                                             \
	ck_assert_msg((got) == (want), "%s: %s: got %d, want %d",              \
		      (w)->mode->name, what, got, want)

#define ck_waited(w, what, since, at_least_ms)                                 \
	ck_assert_msg(ms_since(since) >= (at_least_ms) &&                      \
			      ms_since(since) < PATIENCE_MS,                   \
		      "%s: %s: waited %g ms, want at least %g",                \
		      (w)->mode->name, what, ms_since(since),                  \
		      (double)(at_least_ms))

/*
 * Time and signals
 */

static double ms_since(double start)
{
	return (now() - start) * 1e3;
}

static struct __kernel_timespec ms_to_ts(long long ms)
{
	return (struct __kernel_timespec){ .tv_sec = ms / 1000,
					   .tv_nsec = ms % 1000 * 1000000 };
}

static struct {
	timer_t id;
	int signo; /* 0: not ticking */
	sigset_t old_mask;
} ticker;

static volatile sig_atomic_t nr_ticks;

static void count_tick(int signo)
{
	(void)signo;
	nr_ticks++;
}

/*
 * Send us signo every 10 ms.  Again and again, because a single one might come
 * before the wait that it is to interrupt.
 */
static void start_ticking(int signo, void (*handler)(int))
{
	struct sigaction sa = { .sa_handler = handler, .sa_flags = SA_RESTART };
	struct sigevent ev = { .sigev_notify = SIGEV_SIGNAL,
			       .sigev_signo = signo };
	struct itimerspec every = { .it_value.tv_nsec = 10000000,
				    .it_interval.tv_nsec = 10000000 };

	nr_ticks = 0;
	sigprocmask(SIG_SETMASK, NULL, &ticker.old_mask);
	ck_assert_int_eq(sigaction(signo, &sa, NULL), 0);
	ck_assert_int_eq(timer_create(CLOCK_MONOTONIC, &ev, &ticker.id), 0);
	ck_assert_int_eq(timer_settime(ticker.id, 0, &every, NULL), 0);
	ticker.signo = signo;
}

static void stop_ticking(void)
{
	if (!ticker.signo)
		return;
	timer_delete(ticker.id);
	signal(ticker.signo, SIG_IGN); /* drops one that is pending */
	sigprocmask(SIG_SETMASK, &ticker.old_mask, NULL);
	signal(ticker.signo, SIG_DFL);
	ticker.signo = 0;
}

/*
 * Memory
 */

static struct {
	void *addr;
	size_t size;
} borrowed[4];

static int timers[4];
static size_t nr_timers;

/* close_all() unmaps it. */
static void give_back_later(void *addr, size_t size)
{
	size_t i = 0;

	while (i < ARRAY_SIZE(borrowed) && borrowed[i].addr)
		i++;
	ck_assert_uint_lt(i, ARRAY_SIZE(borrowed));
	borrowed[i].addr = addr;
	borrowed[i].size = size;
}

static void *map_anonymous(size_t size, int prot)
{
	void *p = mmap(NULL, size, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

static void *borrow(size_t size, int prot)
{
	void *p = map_anonymous(size, prot);

	ck_assert_ptr_nonnull(p);
	give_back_later(p, size);
	return p;
}

/* An address where nothing is mapped. */
static void *nowhere(void)
{
	void *p = map_anonymous(page_size, PROT_NONE);

	ck_assert_ptr_nonnull(p);
	munmap(p, page_size);
	return p;
}

enum address { ADDR_GOOD, ADDR_NULL, ADDR_NOWHERE };

/* For those who have a good one of their own. */
static void *address(enum address kind)
{
	return kind == ADDR_NULL ? NULL : nowhere();
}

/*
 * Rings and regions
 */

static int try_ring(struct waiter *w, const struct mode *mode, unsigned flags)
{
	struct io_uring_params p = { .flags = flags };
	int r;

	*w = (struct waiter){ .mode = mode };
	r = io_uring_queue_init_params(NR_ENTRIES, &w->ring, &p);
	w->is_open = r == 0;
	return r;
}

/* Fill in a registration that has nothing wrong. */
static int try_describe(struct waiter *w, size_t size)
{
	w->size = size;
	w->desc = (struct io_uring_region_desc){ .size = size };
	w->reg = (struct io_uring_mem_region_reg){
		.region_uptr = (uintptr_t)&w->desc,
		.flags = IORING_MEM_REGION_REG_WAIT_ARG,
	};
	if (!w->mode->user)
		return 0;
	w->mem = map_anonymous(size, PROT_READ | PROT_WRITE);
	w->desc.user_addr = (uintptr_t)w->mem;
	w->desc.flags = IORING_MEM_REGION_TYPE_USER;
	return w->mem ? 0 : -ENOMEM;
}

static int register_region(struct waiter *w)
{
	return io_uring_register_region(&w->ring, &w->reg);
}

static void *map_kernel_memory(struct waiter *w, size_t size, int flags)
{
	return mmap(NULL, size, PROT_READ | PROT_WRITE, flags, w->ring.ring_fd,
		    (off_t)w->desc.mmap_offset);
}

/* User memory is mapped already. */
static int try_map(struct waiter *w)
{
	void *p;

	if (w->mode->user)
		return 0;
	p = map_kernel_memory(w, w->size, MAP_SHARED);
	if (p == MAP_FAILED)
		return -errno;
	w->mem = p;
	return 0;
}

/* A disabled ring whose region is registered and mapped. */
static int try_waiter(struct waiter *w, const struct mode *mode, unsigned flags,
		      size_t size)
{
	int r;

	r = try_ring(w, mode, flags | IORING_SETUP_R_DISABLED);
	if (!r)
		r = try_describe(w, size);
	if (!r)
		r = register_region(w);
	if (!r)
		r = try_map(w);
	return r;
}

static void close_waiter(struct waiter *w)
{
	if (w->mem)
		munmap(w->mem, w->size);
	if (w->is_open)
		io_uring_queue_exit(&w->ring);
	*w = (struct waiter){ .mode = w->mode };
}

static void close_all(void)
{
	size_t i;

	stop_ticking();
	close_waiter(&self);
	close_waiter(&other);
	for (i = 0; i < ARRAY_SIZE(borrowed); i++) {
		if (borrowed[i].addr)
			munmap(borrowed[i].addr, borrowed[i].size);
		borrowed[i].addr = NULL;
	}
	while (nr_timers)
		close(timers[--nr_timers]);
}

/* The same for tests: what fails, fails the test. */

static void open_ring(struct waiter *w, const struct mode *mode, unsigned flags)
{
	int r = try_ring(w, mode, flags);

	ck_ret(w, "ring", r, 0);
}

static void describe(struct waiter *w, size_t size)
{
	int r = try_describe(w, size);

	ck_ret(w, "memory", r, 0);
}

static void open_disabled(struct waiter *w, const struct mode *mode,
			  unsigned flags, size_t size)
{
	int r = try_waiter(w, mode, flags, size);

	ck_ret(w, "region", r, 0);
}

static void enable(struct waiter *w)
{
	int r = io_uring_enable_rings(&w->ring);

	ck_ret(w, "enable", r, 0);
}

/* What most tests need: one page, ready to wait. */
static void open_waiter(struct waiter *w, const struct mode *mode)
{
	open_disabled(w, mode, DEFER, page_size);
	enable(w);
}

/*
 * Slots and waits
 */

static struct io_uring_reg_wait *slot(struct waiter *w, size_t offset)
{
	return (void *)(w->mem + offset);
}

static void set_ts(struct waiter *w, size_t offset, long long ms)
{
	*slot(w, offset) = (struct io_uring_reg_wait){
		.ts = ms_to_ts(ms),
		.flags = IORING_REG_WAIT_TS,
	};
}

static int enter(struct waiter *w, unsigned to_submit, unsigned wait_nr,
		 unsigned flags, size_t offset, size_t arg_size)
{
	return raw_enter(w->ring.ring_fd, to_submit, wait_nr, flags,
			 (const void *)offset, arg_size);
}

static int wait_at(struct waiter *w, size_t offset, unsigned wait_nr)
{
	return enter(w, 0, wait_nr, REG_WAIT, offset, SLOT);
}

/* Look at the slot and come back: with a marker in it EINVAL, without one 0. */
static int look_at(struct waiter *w, size_t offset)
{
	return wait_at(w, offset, 0);
}

/* Does the kernel read the slot at offset from where mem shows it? */
static bool reads_marker(struct waiter *w, size_t offset)
{
	int with, without;

	slot(w, offset)->flags = MARKER;
	with = look_at(w, offset);
	slot(w, offset)->flags = 0;
	without = look_at(w, offset);
	return with == -EINVAL && without == 0;
}

/* A wait that has nothing to wait for ends as its ts says. */
static void ck_wait_works(struct waiter *w, const char *what)
{
	double start = now();
	int r;

	set_ts(w, 0, SHORT_MS);
	r = wait_at(w, 0, 1);
	ck_ret(w, what, r, -ETIME);
	ck_waited(w, what, start, SHORT_MS);
}

static struct io_uring_sqe *get_sqe(struct waiter *w)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&w->ring);

	ck_assert_ptr_nonnull(sqe);
	return sqe;
}

/* Make prepared SQEs visible to the kernel; liburing does so on submit only. */
static void publish(struct waiter *w)
{
	struct io_uring_sq *sq = &w->ring.sq;

	sq->sqe_head = sq->sqe_tail;
	io_uring_smp_store_release(sq->ktail, sq->sqe_tail);
}

static void submit(struct waiter *w, int nr)
{
	int r;

	publish(w);
	r = enter(w, (unsigned)nr, 0, 0, 0, 0);
	ck_ret(w, "submit", r, nr);
}

/* Requests whose CQE is there when this returns. */
static void complete_nops(struct waiter *w, int nr)
{
	int i;

	for (i = 0; i < nr; i++)
		io_uring_prep_nop(get_sqe(w));
	submit(w, nr);
	ck_assert_int_eq((int)io_uring_cq_ready(&w->ring), nr);
}

/*
 * A request that completes in ms.  Not IORING_OP_TIMEOUT: its completion ends
 * every wait, see timeout_request_ends_every_wait.
 */
static int try_event(struct waiter *w, long long ms)
{
	struct itimerspec in = { .it_value.tv_sec = ms / 1000,
				 .it_value.tv_nsec = ms % 1000 * 1000000 };
	struct io_uring_sqe *sqe = io_uring_get_sqe(&w->ring);
	int fd;

	if (!sqe || nr_timers == ARRAY_SIZE(timers))
		return -EBUSY;
	fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	timers[nr_timers++] = fd;
	io_uring_prep_poll_add(sqe, fd, POLLIN);
	return timerfd_settime(fd, 0, &in, NULL) ? -errno : 0;
}

static void prep_event(struct waiter *w, long long ms)
{
	int r = try_event(w, ms);

	ck_ret(w, "event", r, 0);
}

static void event_in(struct waiter *w, long long ms)
{
	prep_event(w, ms);
	submit(w, 1);
}

/*
 * The page: registering
 */

struct ring_kind {
	const char *name;
	unsigned flags;
};

struct region_size {
	const char *name;
	size_t pages;
};

/* clang-format off */
static const struct ring_kind ring_kinds[] = {
	{ "plain",        .flags = 0 },
	{ "coop",         .flags = IORING_SETUP_COOP_TASKRUN },
	{ "one issuer",   .flags = IORING_SETUP_SINGLE_ISSUER },
	{ "defer",        .flags = DEFER },
	{ "no SQ array",  .flags = DEFER | IORING_SETUP_NO_SQARRAY },
};

static const struct region_size region_sizes[] = {
	{ "1 page",    .pages = 1 },
	{ "2 pages",   .pages = 2 },
	{ "3 pages",   .pages = 3 },
	{ "256 pages", .pages = 256 },
};
/* clang-format on */

/*
 * "After a successful return, waiting parameters can be passed to
 * io_uring_enter(2) in the region", whatever the ring is.
 */
START_TEST(every_kind_of_ring_waits_with_a_region)
{
	const struct ring_kind *row = ROW_OF(ring_kinds, _i);

	open_disabled(&self, mode_of(_i), row->flags, page_size);
	enable(&self);
	ck_wait_works(&self, row->name);
}
END_TEST

/* "size is the size of the region": all of it can be used. */
START_TEST(region_has_the_size_asked_for)
{
	const struct region_size *row = ROW_OF(region_sizes, _i);
	size_t size = row->pages * page_size;
	int r;

	open_disabled(&self, mode_of(_i), DEFER, size);
	enable(&self);
	ck_assert_msg(reads_marker(&self, size - 2 * SLOT), "%s: %s",
		      self.mode->name, row->name);
	r = look_at(&self, size);
	ck_ret(&self, row->name, r, -EFAULT);
}
END_TEST

/* "Returns 0, or -errno on failure": what the kernel said, nothing else. */
START_TEST(failure_is_returned_as_negative_errno)
{
	int cooked, raw;

	open_disabled(&self, mode_of(_i), DEFER, page_size);
	cooked = register_region(&self);
	raw = raw_register(self.ring.ring_fd, IORING_REGISTER_MEM_REGION,
			   &self.reg, 1);
	ck_ret(&self, "io_uring_register_region", cooked, -EBUSY);
	ck_ret(&self, "io_uring_register", raw, -EBUSY);
}
END_TEST

/* "ring is the ring in question": no other ring gets the region. */
START_TEST(region_belongs_to_one_ring)
{
	int r;

	open_waiter(&self, mode_of(_i));
	open_ring(&other, mode_of(_i), DEFER);
	r = look_at(&other, 0);
	ck_ret(&other, "ring without a region", r, -EFAULT);
	r = look_at(&self, 0);
	ck_ret(&self, "ring with a region", r, 0);
}
END_TEST

enum where { IN_DESC, IN_REG };

/* A field, and what is added to the right value to make it a wrong one. */
struct field {
	const char *name;
	enum where where;
	size_t offset;
	size_t width;
	long long pages;
	long long bytes;
	int want;
};

/* clang-format off */
#define DESC(f)                                                                \
	.name = "desc." #f, .where = IN_DESC,                                  \
	.offset = offsetof(struct io_uring_region_desc, f),                    \
	.width = sizeof(((struct io_uring_region_desc *)0)->f)
#define REG(f)                                                                 \
	.name = "reg." #f, .where = IN_REG,                                    \
	.offset = offsetof(struct io_uring_mem_region_reg, f),                 \
	.width = sizeof(((struct io_uring_mem_region_reg *)0)->f)

/*
 * "flags are a bitmask of the following values", "__resv must be zeroes", "id
 * must be zero".  Sizes are whole pages, and at least one.
 */
static const struct field wrong_fields[] = {
	{ REG(flags),       .bytes = 1ll << 1,              .want = -EINVAL },
	{ REG(flags),       .bytes = 1ll << 62,             .want = -EINVAL },
	{ REG(__resv[0]),   .bytes = 1,                     .want = -EINVAL },
	{ REG(__resv[1]),   .bytes = 1ll << 62,             .want = -EINVAL },
	{ DESC(flags),      .bytes = 1ll << 1,              .want = -EINVAL },
	{ DESC(flags),      .bytes = 1ll << 31,             .want = -EINVAL },
	{ DESC(id),         .bytes = 1,                     .want = -EINVAL },
	{ DESC(id),         .bytes = 1ll << 31,             .want = -EINVAL },
	{ DESC(mmap_offset), .pages = 1,                    .want = -EINVAL },
	{ DESC(mmap_offset), .bytes = PARAM_REGION_OFFSET,  .want = -EINVAL },
	{ DESC(__resv[0]),  .bytes = 1,                     .want = -EINVAL },
	{ DESC(__resv[1]),  .bytes = 1,                     .want = -EINVAL },
	{ DESC(__resv[2]),  .bytes = 1,                     .want = -EINVAL },
	{ DESC(__resv[3]),  .bytes = 1ll << 62,             .want = -EINVAL },
	{ DESC(size),       .pages = -1,                    .want = -EINVAL },
	{ DESC(size),       .pages = -1, .bytes = SLOT,     .want = -EINVAL },
	{ DESC(size),       .bytes = 1,                     .want = -EINVAL },
	{ DESC(size),       .bytes = -1,                    .want = -EINVAL },
	{ DESC(size),       .bytes = SLOT,                  .want = -EINVAL },
	{ DESC(size),       .pages = 1ll << 31,             .want = -E2BIG },
};
/* clang-format on */

static void add_to_field(struct waiter *w, const struct field *f)
{
	char *base = f->where == IN_DESC ? (char *)&w->desc : (char *)&w->reg;
	int64_t delta = f->pages * (int64_t)page_size + f->bytes;
	uint64_t wide;
	uint32_t narrow;

	if (f->width == sizeof(wide)) {
		memcpy(&wide, base + f->offset, sizeof(wide));
		wide += (uint64_t)delta;
		memcpy(base + f->offset, &wide, sizeof(wide));
	} else {
		memcpy(&narrow, base + f->offset, sizeof(narrow));
		narrow += (uint32_t)delta;
		memcpy(base + f->offset, &narrow, sizeof(narrow));
	}
}

/*
 * The wrong call fails, and the right one after it succeeds: so nothing else
 * was wrong with the call, and failure leaves nothing behind.
 */
START_TEST(wrong_field_is_refused)
{
	const struct field *row = ROW_OF(wrong_fields, _i);
	struct io_uring_region_desc good_desc;
	struct io_uring_mem_region_reg good_reg;
	int r;

	open_ring(&self, mode_of(_i), DEFER | IORING_SETUP_R_DISABLED);
	describe(&self, page_size);
	good_desc = self.desc;
	good_reg = self.reg;
	add_to_field(&self, row);
	r = register_region(&self);
	ck_ret(&self, row->name, r, row->want);
	self.desc = good_desc;
	self.reg = good_reg;
	r = register_region(&self);
	ck_ret(&self, row->name, r, 0);
}
END_TEST

/* A pointer, and what is done to it. */
struct spoil {
	const char *name;
	void (*spoil)(struct waiter *w);
	int want;
};

static void no_address(struct waiter *w)
{
	w->desc.user_addr = 0;
}

static void unmapped_address(struct waiter *w)
{
	w->desc.user_addr = (uintptr_t)nowhere();
}

static void read_only_address(struct waiter *w)
{
	w->desc.user_addr = (uintptr_t)borrow(page_size, PROT_READ);
}

static void half_mapped_address(struct waiter *w)
{
	char *p = borrow(2 * page_size, PROT_READ | PROT_WRITE);

	munmap(p + page_size, page_size);
	w->desc.user_addr = (uintptr_t)p;
	w->desc.size = 2 * page_size;
}

static void unaligned_address(struct waiter *w)
{
	w->desc.user_addr += SLOT;
}

static void kernel_address(struct waiter *w)
{
	w->desc.user_addr = UINT64_MAX - 2 * page_size + 1;
}

static void wrapping_address(struct waiter *w)
{
	w->desc.user_addr = UINT64_MAX - page_size + 1;
}

static void address_without_type_user(struct waiter *w)
{
	w->desc.flags = 0;
}

/* clang-format off */
static const struct spoil wrong_addresses[] = {
	{ "TYPE_USER with no address",  no_address,                 -EFAULT },
	{ "nothing there",              unmapped_address,           -EFAULT },
	{ "read-only memory",           read_only_address,          -EFAULT },
	{ "half of it is not there",    half_mapped_address,        -EFAULT },
	{ "not page aligned",           unaligned_address,          -EINVAL },
	{ "address of the kernel",      kernel_address,             -EFAULT },
	{ "beyond the last address",    wrapping_address,        -EOVERFLOW },
	{ "address without TYPE_USER",  address_without_type_user,  -EFAULT },
};
/* clang-format on */

static void ck_spoiled(const struct mode *mode, const struct spoil *row)
{
	struct io_uring_region_desc good_desc;
	int r;

	open_ring(&self, mode, DEFER | IORING_SETUP_R_DISABLED);
	describe(&self, page_size);
	good_desc = self.desc;
	row->spoil(&self);
	r = register_region(&self);
	ck_ret(&self, row->name, r, row->want);
	self.desc = good_desc;
	self.reg.region_uptr = (uintptr_t)&self.desc;
	r = register_region(&self);
	ck_ret(&self, row->name, r, 0);
}

/*
 * "user_addr is a pointer to the memory to register; valid only with
 * IORING_MEM_REGION_TYPE_USER"
 */
START_TEST(wrong_user_addr_is_refused)
{
	ck_spoiled(&modes[USER], &wrong_addresses[_i]);
}
END_TEST

/* "... and zero otherwise" */
START_TEST(user_addr_for_kernel_memory_is_refused)
{
	int r;

	open_ring(&self, &modes[KERNEL], DEFER | IORING_SETUP_R_DISABLED);
	describe(&self, page_size);
	self.desc.user_addr =
		(uintptr_t)borrow(page_size, PROT_READ | PROT_WRITE);
	r = register_region(&self);
	ck_ret(&self, "with user_addr", r, -EFAULT);
	self.desc.user_addr = 0;
	r = register_region(&self);
	ck_ret(&self, "without user_addr", r, 0);
}
END_TEST

static void no_desc(struct waiter *w)
{
	w->reg.region_uptr = 0;
}

static void unmapped_desc(struct waiter *w)
{
	w->reg.region_uptr = (uintptr_t)nowhere();
}

static void read_only_desc(struct waiter *w)
{
	void *p = borrow(page_size, PROT_READ | PROT_WRITE);

	memcpy(p, &w->desc, sizeof(w->desc));
	mprotect(p, page_size, PROT_READ);
	w->reg.region_uptr = (uintptr_t)p;
}

/* clang-format off */
static const struct spoil wrong_descs[] = {
	{ "no descriptor",                 no_desc,        -EFAULT },
	{ "nothing there",                 unmapped_desc,  -EFAULT },
	{ "the kernel cannot write to it", read_only_desc, -EFAULT },
};
/* clang-format on */

/* "region_uptr is a pointer to a filled in struct io_uring_region_desc" */
START_TEST(wrong_region_uptr_is_refused)
{
	ck_spoiled(mode_of(_i), ROW_OF(wrong_descs, _i));
}
END_TEST

struct call {
	const char *name;
	enum address arg;
	unsigned nr_args;
	int want;
};

/* clang-format off */
static const struct call wrong_calls[] = {
	{ "nr_args 0",     .arg = ADDR_GOOD,    .nr_args = 0, .want = -EINVAL },
	{ "nr_args 2",     .arg = ADDR_GOOD,    .nr_args = 2, .want = -EINVAL },
	{ "arg NULL",      .arg = ADDR_NULL,    .nr_args = 1, .want = -EINVAL },
	{ "arg nowhere",   .arg = ADDR_NOWHERE, .nr_args = 1, .want = -EFAULT },
	{ "right call",    .arg = ADDR_GOOD,    .nr_args = 1, .want = 0 },
};
/* clang-format on */

/* "reg is a pointer to a struct io_uring_mem_region_reg": one of them. */
START_TEST(registration_takes_one_argument)
{
	const struct call *row = ROW_OF(wrong_calls, _i);
	const void *arg;
	int r;

	open_ring(&self, mode_of(_i), DEFER | IORING_SETUP_R_DISABLED);
	describe(&self, page_size);
	arg = row->arg == ADDR_GOOD ? &self.reg : address(row->arg);
	r = raw_register(self.ring.ring_fd, IORING_REGISTER_MEM_REGION, arg,
			 row->nr_args);
	ck_ret(&self, row->name, r, row->want);
}
END_TEST

struct ring_state {
	const char *name;
	bool starts_disabled;
};

/* clang-format off */
static const struct ring_state enabled_states[] = {
	{ "never disabled", .starts_disabled = false },
	{ "disabled once",  .starts_disabled = true },
};
/* clang-format on */

/*
 * "With IORING_MEM_REGION_REG_WAIT_ARG registration is only allowed while the
 * ring is disabled" - and without it, always.
 */
START_TEST(wait_region_is_refused_once_the_ring_is_enabled)
{
	const struct ring_state *row = ROW_OF(enabled_states, _i);
	int r;

	open_ring(&self, mode_of(_i),
		  DEFER | (row->starts_disabled ? IORING_SETUP_R_DISABLED : 0));
	if (row->starts_disabled)
		enable(&self);
	describe(&self, page_size);
	r = register_region(&self);
	ck_ret(&self, row->name, r, -EINVAL);
	self.reg.flags = 0;
	r = register_region(&self);
	ck_ret(&self, "without REG_WAIT_ARG", r, 0);
}
END_TEST

/*
 * "IORING_MEM_REGION_REG_WAIT_ARG allows use of the region to pass waiting
 * parameters": without it they cannot be passed, however early it came.
 */
START_TEST(waits_need_the_reg_wait_arg_flag)
{
	const struct ring_state *row = ROW_OF(enabled_states, _i);
	int r;

	open_ring(&self, mode_of(_i),
		  DEFER | (row->starts_disabled ? IORING_SETUP_R_DISABLED : 0));
	describe(&self, page_size);
	self.reg.flags = 0;
	r = register_region(&self);
	ck_ret(&self, row->name, r, 0);
	if (row->starts_disabled)
		enable(&self);
	r = look_at(&self, 0);
	ck_ret(&self, row->name, r, -EFAULT);
}
END_TEST

struct second {
	const char *name;
	bool first_waits;
	bool same_memory;
	unsigned flags;
};

/* clang-format off */
static const struct second seconds[] = {
	{ "the same again",      .first_waits = true,  .same_memory = true,
	  .flags = IORING_MEM_REGION_REG_WAIT_ARG },
	{ "the other memory",    .first_waits = true,  .same_memory = false,
	  .flags = IORING_MEM_REGION_REG_WAIT_ARG },
	{ "not for waits",       .first_waits = true,  .same_memory = true,
	  .flags = 0 },
	{ "waits after no waits", .first_waits = false, .same_memory = true,
	  .flags = IORING_MEM_REGION_REG_WAIT_ARG },
	{ "no waits after no waits", .first_waits = false, .same_memory = false,
	  .flags = 0 },
};
/* clang-format on */

/* Not on the page: a ring has one region for life, and it is the first. */
START_TEST(second_region_is_refused)
{
	const struct second *row = ROW_OF(seconds, _i);
	int i = row->same_memory ? _i : _i + 1;
	int r;

	open_ring(&self, mode_of(_i), DEFER | IORING_SETUP_R_DISABLED);
	describe(&self, page_size);
	self.reg.flags = row->first_waits ? IORING_MEM_REGION_REG_WAIT_ARG : 0;
	r = register_region(&self);
	ck_ret(&self, row->name, r, 0);
	other.mode = mode_of(i);
	describe(&other, page_size);
	other.reg.flags = row->flags;
	r = io_uring_register_region(&self.ring, &other.reg);
	ck_ret(&self, row->name, r, -EBUSY);
}
END_TEST

START_TEST(first_region_survives_the_second)
{
	int r;

	open_disabled(&self, mode_of(_i), DEFER, page_size);
	other.mode = mode_of(_i);
	describe(&other, page_size);
	r = io_uring_register_region(&self.ring, &other.reg);
	ck_ret(&self, "second", r, -EBUSY);
	enable(&self);
	ck_assert(reads_marker(&self, 0));
}
END_TEST

/*
 * The page: memory
 */

/* "IORING_MEM_REGION_TYPE_USER: use the memory at user_addr", and no other. */
START_TEST(user_memory_is_the_memory_at_user_addr)
{
	open_disabled(&self, &modes[USER], DEFER, page_size);
	enable(&self);
	ck_assert_uint_eq(self.desc.user_addr, (uintptr_t)self.mem);
	ck_assert(reads_marker(&self, 0));
	ck_assert_uint_eq(self.desc.mmap_offset, 0);
	self.desc.mmap_offset = PARAM_REGION_OFFSET;
	ck_assert_ptr_eq(map_kernel_memory(&self, page_size, MAP_SHARED),
			 MAP_FAILED);
	ck_assert_int_eq(errno, ENOMEM);
}
END_TEST

/*
 * "If not set, the kernel allocates the memory, which can then be mapped";
 * "mmap_offset will contain an offset that can be passed to mmap(2)"
 */
START_TEST(kernel_memory_is_mapped_at_mmap_offset)
{
	open_ring(&self, &modes[KERNEL], DEFER | IORING_SETUP_R_DISABLED);
	describe(&self, page_size);
	self.desc.mmap_offset = 0;
	ck_assert_int_eq(register_region(&self), 0);
	ck_assert_uint_ne(self.desc.mmap_offset, 0);
	ck_assert_uint_eq(self.desc.mmap_offset % page_size, 0);
	ck_assert_uint_eq(self.desc.user_addr, 0);
	ck_assert_int_eq(try_map(&self), 0);
	enable(&self);
	ck_assert(reads_marker(&self, 0));
}
END_TEST

START_TEST(kernel_memory_cannot_be_mapped_before_it_is_registered)
{
	void *p;

	open_disabled(&other, &modes[KERNEL], DEFER, page_size);
	open_ring(&self, &modes[KERNEL], DEFER | IORING_SETUP_R_DISABLED);
	self.desc.mmap_offset = other.desc.mmap_offset;
	p = map_kernel_memory(&self, page_size, MAP_SHARED);
	ck_assert_ptr_eq(p, MAP_FAILED);
	ck_assert_int_eq(errno, ENOMEM);
}
END_TEST

/* What was in the pages before is not shown, and the slots are all valid. */
START_TEST(kernel_memory_starts_as_zeroes)
{
	size_t size = 256 * page_size;

	open_disabled(&self, &modes[KERNEL], DEFER, size);
	ck_assert_int_eq(self.mem[0], 0);
	ck_assert_int_eq(memcmp(self.mem, self.mem + 1, size - 1), 0);
}
END_TEST

struct mapping {
	const char *name;
	size_t pages; /* of two */
	int prot;
	int flags;
	int want;
};

/* clang-format off */
static const struct mapping mappings[] = {
	{ "shared",     .pages = 2, .prot = PROT_READ | PROT_WRITE,
	  .flags = MAP_SHARED,  .want = 0 },
	{ "private",    .pages = 2, .prot = PROT_READ | PROT_WRITE,
	  .flags = MAP_PRIVATE, .want = 0 },
	{ "read-only",  .pages = 2, .prot = PROT_READ,
	  .flags = MAP_SHARED,  .want = 0 },
	{ "populated",  .pages = 2, .prot = PROT_READ | PROT_WRITE,
	  .flags = MAP_SHARED | MAP_POPULATE, .want = 0 },
	{ "longer",     .pages = 3, .prot = PROT_READ | PROT_WRITE,
	  .flags = MAP_SHARED,  .want = 0 },
	{ "shorter",    .pages = 1, .prot = PROT_READ | PROT_WRITE,
	  .flags = MAP_SHARED,  .want = -EFAULT },
};
/* clang-format on */

/* Any number of mappings, and each that is accepted shows the region. */
START_TEST(kernel_memory_can_be_mapped_again)
{
	const struct mapping *row = &mappings[_i];
	void *p;
	int r;

	open_disabled(&self, &modes[KERNEL], DEFER, 2 * page_size);
	memset(self.mem, 0xa5, 2 * page_size);
	p = mmap(NULL, row->pages * page_size, row->prot, row->flags,
		 self.ring.ring_fd, (off_t)self.desc.mmap_offset);
	r = p == MAP_FAILED ? -errno : 0;
	ck_ret(&self, row->name, r, row->want);
	if (r)
		return;
	give_back_later(p, row->pages * page_size);
	ck_assert_msg(memcmp(p, self.mem, 2 * page_size) == 0, "%s", row->name);
}
END_TEST

/* Not even as a hint. */
START_TEST(kernel_memory_cannot_be_mapped_where_we_like)
{
	void *p;

	open_disabled(&self, &modes[KERNEL], DEFER, page_size);
	p = mmap(nowhere(), page_size, PROT_READ, MAP_SHARED, self.ring.ring_fd,
		 (off_t)self.desc.mmap_offset);
	ck_assert_ptr_eq(p, MAP_FAILED);
	ck_assert_int_eq(errno, EINVAL);
}
END_TEST

/* A private mapping is a copy as soon as it is written to. */
START_TEST(private_mapping_does_not_reach_the_kernel)
{
	struct io_uring_reg_wait *copy;
	int r;

	open_waiter(&self, &modes[KERNEL]);
	copy = map_kernel_memory(&self, page_size, MAP_PRIVATE);
	ck_assert_ptr_ne(copy, MAP_FAILED);
	give_back_later(copy, page_size);
	copy->flags = MARKER;
	r = look_at(&self, 0);
	ck_ret(&self, "marker in the copy", r, 0);
	ck_assert(reads_marker(&self, 0));
}
END_TEST

/* write(2) finds out what a load or store would die of. */
START_TEST(mapping_beyond_the_region_is_empty)
{
	int fds[2];
	char *p;

	open_disabled(&self, &modes[KERNEL], DEFER, page_size);
	p = map_kernel_memory(&self, 2 * page_size, MAP_SHARED);
	ck_assert_ptr_ne(p, MAP_FAILED);
	give_back_later(p, 2 * page_size);
	ck_assert_int_eq(pipe(fds), 0);
	ck_assert_int_eq(write(fds[1], p + page_size - 1, 1), 1);
	ck_assert_int_eq(write(fds[1], p + page_size, 1), -1);
	ck_assert_int_eq(errno, EFAULT);
	close(fds[0]);
	close(fds[1]);
}
END_TEST

START_TEST(kernel_memory_outlives_its_mapping)
{
	int r;

	open_waiter(&self, &modes[KERNEL]);
	slot(&self, 0)->flags = MARKER;
	munmap(self.mem, self.size);
	self.mem = NULL;
	r = look_at(&self, 0);
	ck_ret(&self, "unmapped", r, -EINVAL);
	ck_assert_int_eq(try_map(&self), 0);
	ck_assert_uint_eq(slot(&self, 0)->flags, MARKER);
	ck_assert(reads_marker(&self, 0));
}
END_TEST

/* So a ring may be taken down in any order. */
START_TEST(mapping_outlives_the_ring)
{
	open_waiter(&self, mode_of(_i));
	slot(&self, 0)->flags = MARKER;
	io_uring_queue_exit(&self.ring);
	self.is_open = false;
	ck_assert_uint_eq(slot(&self, 0)->flags, MARKER);
	slot(&self, 0)->flags = 0;
}
END_TEST

/* The pages are pinned: the kernel keeps them, and never sees new ones. */
START_TEST(user_memory_outlives_its_mapping)
{
	struct io_uring_reg_wait *impostor;
	int r;

	open_waiter(&self, &modes[USER]);
	slot(&self, 0)->flags = MARKER;
	munmap(self.mem, self.size);
	r = look_at(&self, 0);
	ck_ret(&self, "unmapped", r, -EINVAL);
	impostor = mmap(self.mem, self.size, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	ck_assert_ptr_eq(impostor, self.mem);
	impostor->flags = 0;
	r = look_at(&self, 0);
	ck_ret(&self, "other memory at the same address", r, -EINVAL);
}
END_TEST

START_TEST(one_page_can_serve_two_rings)
{
	int r;

	open_waiter(&self, &modes[USER]);
	open_ring(&other, &modes[USER], DEFER | IORING_SETUP_R_DISABLED);
	r = io_uring_register_region(&other.ring, &self.reg);
	ck_ret(&other, "registered with another ring", r, 0);
	enable(&other);
	slot(&self, 0)->flags = MARKER;
	r = look_at(&self, 0);
	ck_ret(&self, "first ring", r, -EINVAL);
	r = look_at(&other, 0);
	ck_ret(&other, "second ring", r, -EINVAL);
}
END_TEST

/*
 * Locked memory
 */

struct locked {
	const char *name;
	size_t pages;
	int want;
};

enum { LOCKED_LIMIT_PAGES = 16 }; /* a small ring fits, with its region */

/* clang-format off */
static const struct locked locked[] = {
	{ "below RLIMIT_MEMLOCK",  .pages = 1,  .want = 0 },
	{ "beyond RLIMIT_MEMLOCK", .pages = 32, .want = ENOMEM },
};
/* clang-format on */

/*
 * A user that nobody else is.  One per process, because locked memory is
 * counted per user.
 */
static uid_t nobody(void)
{
	return 0x40000000u + (uid_t)getpid();
}

/* Runs in a child, which takes everything with it when it ends. */
static int nobody_registers(void *arg)
{
	struct rlimit limit = { LOCKED_LIMIT_PAGES * page_size,
				LOCKED_LIMIT_PAGES * page_size };
	struct io_uring_params p = { .flags = IORING_SETUP_R_DISABLED };
	struct waiter *w = arg;
	int fd;

	if (setrlimit(RLIMIT_MEMLOCK, &limit))
		return errno;
	if (setresuid(nobody(), nobody(), nobody()))
		return errno;
	fd = raw_setup(NR_ENTRIES, &p);
	if (fd < 0)
		return EBADF;
	return -raw_register(fd, IORING_REGISTER_MEM_REGION, &w->reg, 1);
}

/* A region counts as locked memory. */
START_TEST(region_counts_against_rlimit_memlock)
{
	const struct locked *row = ROW_OF(locked, _i);
	int r;

	self.mode = mode_of(_i);
	describe(&self, row->pages * page_size);
	r = run_in_child(nobody_registers, &self);
	ck_ret(&self, row->name, r, row->want);
}
END_TEST

/*
 * Entering: the argument
 */

/* Not an index: any multiple of 8 names the 64 bytes that start there. */
START_TEST(offset_counts_bytes)
{
	size_t offset;

	open_waiter(&self, mode_of(_i));
	for (offset = 0; offset < page_size - SLOT; offset += sizeof(__u64))
		ck_assert_msg(reads_marker(&self, offset), "%s: offset %zu",
			      self.mode->name, offset);
}
END_TEST

/* See b) above: it is accepted, and then not what is read. */
START_TEST(last_slot_is_accepted)
{
	int r;

	open_waiter(&self, mode_of(_i));
	set_ts(&self, 0, 0);
	set_ts(&self, page_size - SLOT, 0);
	r = wait_at(&self, page_size - SLOT, 1);
	ck_ret(&self, "last slot", r, -ETIME);
}
END_TEST

struct offset {
	const char *name;
	int pages;
	int bytes;
};

/* clang-format off */
static const struct offset wrong_offsets[] = {
	{ "1",                           .bytes = 1 },
	{ "4",                           .bytes = 4 },
	{ "half in the region",          .pages = 1, .bytes = -SLOT / 2 },
	{ "8 bytes beyond the last slot", .pages = 1, .bytes = -SLOT + 8 },
	{ "1 byte beyond the last slot", .pages = 1, .bytes = -SLOT + 1 },
	{ "end of the region",           .pages = 1 },
	{ "next page",                   .pages = 2 },
	{ "-8",                          .bytes = -8 },
	{ "-64",                         .bytes = -SLOT },
};
/* clang-format on */

START_TEST(wrong_offset_is_refused)
{
	const struct offset *row = ROW_OF(wrong_offsets, _i);
	size_t offset = (size_t)row->pages * page_size + (size_t)row->bytes;
	int r;

	open_waiter(&self, mode_of(_i));
	r = wait_at(&self, offset, 0);
	ck_ret(&self, row->name, r, -EFAULT);
	r = wait_at(&self, offset, 1);
	ck_ret(&self, row->name, r, -EFAULT);
}
END_TEST

START_TEST(ring_without_a_region_refuses_region_waits)
{
	struct io_uring_getevents_arg arg = { 0 };
	struct __kernel_timespec ts = { 0 };
	int r;

	open_ring(&self, mode_of(_i), DEFER);
	arg.ts = (uintptr_t)&ts;
	r = wait_at(&self, 0, 1);
	ck_ret(&self, "by offset", r, -EFAULT);
	r = raw_enter(self.ring.ring_fd, 0, 1,
		      IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG, &arg,
		      sizeof(arg));
	ck_ret(&self, "by pointer", r, -ETIME);
}
END_TEST

struct arg_size {
	const char *name;
	size_t size;
	int want;
};

/* clang-format off */
static const struct arg_size arg_sizes[] = {
	{ "0",   .size = 0,        .want = -EINVAL },
	{ "24",  .size = 24,       .want = -EINVAL },
	{ "63",  .size = SLOT - 1, .want = -EINVAL },
	{ "64",  .size = SLOT,     .want = -ETIME },
	{ "65",  .size = SLOT + 1, .want = -EINVAL },
	{ "128", .size = 2 * SLOT, .want = -EINVAL },
};
/* clang-format on */

START_TEST(argument_size_is_the_size_of_a_slot)
{
	const struct arg_size *row = ROW_OF(arg_sizes, _i);
	int r;

	open_waiter(&self, mode_of(_i));
	set_ts(&self, 0, 0);
	r = enter(&self, 0, 1, REG_WAIT, 0, row->size);
	ck_ret(&self, row->name, r, row->want);
}
END_TEST

struct slot_row {
	const char *name;
	struct io_uring_reg_wait slot;
	int want;
};

/* clang-format off */
static const struct slot_row slots[] = {
	{ "flags 1",     { .flags = 1 },                      .want = -ETIME },
	{ "flags 2",     { .flags = 2 },                      .want = -EINVAL },
	{ "flags 3",     { .flags = 3 },                      .want = -EINVAL },
	{ "flags 2^31",  { .flags = 1 | 1u << 31 },           .want = -EINVAL },
	{ "pad[0]",      { .flags = 1, .pad = { 1, 0, 0 } },  .want = -ETIME },
	{ "pad[1]",      { .flags = 1, .pad = { 0, 1, 0 } },  .want = -ETIME },
	{ "pad[2]",      { .flags = 1, .pad = { 0, 0, 1 } },  .want = -ETIME },
	{ "pad2[0]",     { .flags = 1, .pad2 = { 1, 0 } },    .want = -ETIME },
	{ "pad2[1]",     { .flags = 1, .pad2 = { 0, 1 } },    .want = -ETIME },
};
/* clang-format on */

/* Unknown flags are refused, padding is not looked at. */
START_TEST(slot_is_checked_for_flags_only)
{
	const struct slot_row *row = ROW_OF(slots, _i);
	int r;

	open_waiter(&self, mode_of(_i));
	*slot(&self, 0) = row->slot;
	r = wait_at(&self, 0, 1);
	ck_ret(&self, row->name, r, row->want);
}
END_TEST

struct enter_flag {
	const char *name;
	unsigned flag;
};

/* clang-format off */
static const struct enter_flag unknown_flags[] = {
	{ "2^30", .flag = 1u << 30 },
	{ "2^31", .flag = 1u << 31 },
};
/* clang-format on */

/* At once, before anything is submitted, and though there is no wait. */
START_TEST(unknown_enter_flag_is_refused)
{
	const struct enter_flag *row = ROW_OF(unknown_flags, _i);
	int r;

	open_waiter(&self, mode_of(_i));
	io_uring_prep_nop(get_sqe(&self));
	publish(&self);
	r = enter(&self, 1, 0, REG_WAIT | row->flag, 0, SLOT);
	ck_ret(&self, row->name, r, -EINVAL);
	ck_assert_uint_eq(io_uring_sq_ready(&self.ring), 1);
	r = enter(&self, 1, 0, REG_WAIT, 0, SLOT);
	ck_ret(&self, "without it", r, 1);
}
END_TEST

/* It is a pointer to a signal mask then, NULL here; the slot says "at once". */
START_TEST(ext_arg_reg_alone_is_ignored)
{
	double start = now();
	int r;

	open_waiter(&self, mode_of(_i));
	set_ts(&self, 0, 0);
	event_in(&self, SHORT_MS);
	r = enter(&self, 0, 1, REG_WAIT & ~IORING_ENTER_EXT_ARG, 0, SLOT);
	ck_ret(&self, "without EXT_ARG", r, 0);
	ck_waited(&self, "without EXT_ARG", start, SHORT_MS);
	ck_assert_uint_eq(io_uring_cq_ready(&self.ring), 1);
}
END_TEST

/* Wrong in every way, and nobody looks. */
START_TEST(argument_is_not_read_without_getevents)
{
	unsigned flags = REG_WAIT & ~IORING_ENTER_GETEVENTS;
	int r;

	open_waiter(&self, mode_of(_i));
	slot(&self, 0)->flags = MARKER;
	r = enter(&self, 0, 1, flags, 0, SLOT);
	ck_ret(&self, "wrong slot", r, 0);
	r = enter(&self, 0, 1, flags, 1, 24);
	ck_ret(&self, "wrong offset and size", r, 0);
	r = enter(&self, 0, 1, REG_WAIT, 1, 24);
	ck_ret(&self, "with GETEVENTS", r, -EINVAL);
}
END_TEST

START_TEST(disabled_ring_refuses_enter)
{
	int r;

	open_disabled(&self, mode_of(_i), DEFER, page_size);
	r = look_at(&self, 0);
	ck_ret(&self, "disabled", r, -EBADFD);
	enable(&self);
	r = look_at(&self, 0);
	ck_ret(&self, "enabled", r, 0);
	r = io_uring_enable_rings(&self.ring);
	ck_ret(&self, "enabled again", r, -EBADFD);
}
END_TEST

/* What evring passes on every turn. */
START_TEST(registered_ring_waits_with_a_region)
{
	int r;

	open_waiter(&self, mode_of(_i));
	set_ts(&self, 0, 0);
	r = io_uring_register_ring_fd(&self.ring);
	ck_ret(&self, "register", r, 1);
	r = raw_enter(self.ring.enter_ring_fd, 0, 1,
		      REG_WAIT | IORING_ENTER_REGISTERED_RING, NULL, SLOT);
	ck_ret(&self, "wait", r, -ETIME);
}
END_TEST

START_TEST(no_iowait_goes_with_a_region)
{
	int r;

	open_waiter(&self, mode_of(_i));
	set_ts(&self, 0, 0);
	r = enter(&self, 0, 1, REG_WAIT | IORING_ENTER_NO_IOWAIT, 0, SLOT);
	ck_ret(&self, "wait", r, -ETIME);
}
END_TEST

/*
 * Entering: the time
 */

/* "Avoids copying": what is written to the region counts from then on. */
START_TEST(slot_is_read_at_every_wait)
{
	double start;
	int r;

	open_waiter(&self, mode_of(_i));
	set_ts(&self, 0, FOREVER_MS);
	slot(&self, 0)->ts = ms_to_ts(0);
	r = wait_at(&self, 0, 1);
	ck_ret(&self, "ts 0", r, -ETIME);
	start = now();
	slot(&self, 0)->ts = ms_to_ts(SHORT_MS);
	r = wait_at(&self, 0, 1);
	ck_ret(&self, "ts changed", r, -ETIME);
	ck_waited(&self, "ts changed", start, SHORT_MS);
}
END_TEST

struct time_row {
	const char *name;
	struct __kernel_timespec ts;
	double at_least_ms;
};

/* clang-format off */
static const struct time_row times[] = {
	{ "0",                 { .tv_sec = 0 },             .at_least_ms = 0 },
	{ "1 ns",              { .tv_nsec = 1 },            .at_least_ms = 0 },
	{ "70 ms",             { .tv_nsec = 70000000 },     .at_least_ms = 70 },
	{ "-2 s and 2.07e9 ns", { .tv_sec = -2, .tv_nsec = 2070000000 },
							    .at_least_ms = 70 },
	{ "10 s and -9.93e9 ns", { .tv_sec = 10, .tv_nsec = -9930000000 },
							    .at_least_ms = 70 },
	{ "-1 ns",             { .tv_nsec = -1 },           .at_least_ms = 0 },
	{ "-1 s",              { .tv_sec = -1 },            .at_least_ms = 0 },
	{ "the least s",       { .tv_sec = INT64_MIN },     .at_least_ms = 0 },
};
/* clang-format on */

/* Relative, and the sum of its parts, whatever they are. */
START_TEST(ts_is_not_validated)
{
	const struct time_row *row = ROW_OF(times, _i);
	double start;
	int r;

	open_waiter(&self, mode_of(_i));
	set_ts(&self, 0, 0);
	slot(&self, 0)->ts = row->ts;
	start = now();
	r = wait_at(&self, 0, 1);
	ck_ret(&self, row->name, r, -ETIME);
	ck_waited(&self, row->name, start, row->at_least_ms);
}
END_TEST

struct long_time {
	const char *name;
	struct __kernel_timespec ts;
	unsigned flags;
};

/* clang-format off */
static const struct long_time long_times[] = {
	{ "1e9 s",      { .tv_sec = 1000000000 }, .flags = IORING_REG_WAIT_TS },
	{ "the most s", { .tv_sec = INT64_MAX },  .flags = IORING_REG_WAIT_TS },
	{ "no ts flag", { .tv_sec = 0 },          .flags = 0 },
};
/* clang-format on */

/* No overflow: only an event ends it. */
START_TEST(long_wait_ends_with_an_event)
{
	const struct long_time *row = ROW_OF(long_times, _i);
	double start = now();
	int r;

	open_waiter(&self, mode_of(_i));
	*slot(&self, 0) = (struct io_uring_reg_wait){ .ts = row->ts,
						      .flags = row->flags };
	event_in(&self, SHORT_MS);
	r = wait_at(&self, 0, 1);
	ck_ret(&self, row->name, r, 0);
	ck_waited(&self, row->name, start, SHORT_MS);
	ck_assert_uint_eq(io_uring_cq_ready(&self.ring), 1);
}
END_TEST

/* ... or a signal. */
START_TEST(long_wait_ends_with_a_signal)
{
	const struct long_time *row = ROW_OF(long_times, _i);
	double start = now();
	int r;

	open_waiter(&self, mode_of(_i));
	*slot(&self, 0) = (struct io_uring_reg_wait){ .ts = row->ts,
						      .flags = row->flags };
	start_ticking(SIGALRM, count_tick);
	r = wait_at(&self, 0, 1);
	ck_ret(&self, row->name, r, -EINTR);
	ck_waited(&self, row->name, start, 0);
}
END_TEST

struct clock_row {
	const char *name;
	clockid_t clock;
	unsigned resv;
	int want;
};

/* clang-format off */
static const struct clock_row clocks[] = {
	{ "monotonic", .clock = CLOCK_MONOTONIC,     .want = 0 },
	{ "boottime",  .clock = CLOCK_BOOTTIME,      .want = 0 },
	{ "realtime",  .clock = CLOCK_REALTIME,      .want = -EINVAL },
	{ "tai",       .clock = CLOCK_TAI,           .want = -EINVAL },
	{ "raw",       .clock = CLOCK_MONOTONIC_RAW, .want = -EINVAL },
	{ "reserved",  .clock = CLOCK_MONOTONIC,     .want = -EINVAL,
	  .resv = 1 },
};
/* clang-format on */

static int wait_until(struct waiter *w, clockid_t clock, long long in_ms)
{
	struct timespec date;

	clock_gettime(clock, &date);
	set_ts(w, 0, in_ms);
	slot(w, 0)->ts.tv_sec += date.tv_sec;
	slot(w, 0)->ts.tv_nsec += date.tv_nsec;
	return enter(w, 0, 1, REG_WAIT | IORING_ENTER_ABS_TIMER, 0, SLOT);
}

/* With IORING_ENTER_ABS_TIMER ts is a date of the registered clock. */
START_TEST(abs_timer_takes_a_date_of_the_registered_clock)
{
	const struct clock_row *row = ROW_OF(clocks, _i);
	struct io_uring_clock_register reg = {
		.clockid = (unsigned)row->clock,
		.__resv = { 0, row->resv, 0 },
	};
	double start;
	int r;

	open_waiter(&self, mode_of(_i));
	r = io_uring_register_clock(&self.ring, &reg);
	ck_ret(&self, row->name, r, row->want);
	if (r)
		return;
	start = now();
	r = wait_until(&self, row->clock, 0);
	ck_ret(&self, "a date gone by", r, -ETIME);
	ck_waited(&self, "a date gone by", start, 0);
	start = now();
	r = wait_until(&self, row->clock, SHORT_MS);
	ck_ret(&self, "a date to come", r, -ETIME);
	ck_waited(&self, "a date to come", start, SHORT_MS);
}
END_TEST

START_TEST(register_clock_takes_no_count)
{
	struct io_uring_clock_register reg = { .clockid = CLOCK_MONOTONIC };
	int r;

	open_waiter(&self, mode_of(_i));
	r = raw_register(self.ring.ring_fd, IORING_REGISTER_CLOCK, &reg, 1);
	ck_ret(&self, "nr_args 1", r, -EINVAL);
	r = raw_register(self.ring.ring_fd, IORING_REGISTER_CLOCK, &reg, 0);
	ck_ret(&self, "nr_args 0", r, 0);
}
END_TEST

/*
 * Entering: min_wait_usec
 */

struct batch {
	const char *name;
	unsigned wait_nr;
	long long min_ms;
	long long ts_ms; /* -1: no IORING_REG_WAIT_TS */
	int nr_ready;	 /* CQEs that are there before the wait */
	int nr_events;
	long long events_ms[4];
	int want;
	double at_least_ms;
	unsigned nr_cqes; /* at least, afterwards */
};

/*
 * One per line of the rules: a full batch ends the wait at once; after min_wait
 * whatever has come, or comes, ends it; ts ends it if nothing comes. min_wait
 * counts for nothing when one event is enough.  Without ts, min_wait is the
 * timeout, and with a smaller ts too.
 */
/* clang-format off */
static const struct batch batches[] = {
	{ "batch full before min_wait",
	  .wait_nr = 4, .min_ms = FOREVER_MS, .ts_ms = FOREVER_MS,
	  .nr_events = 4, .events_ms = { 10, 15, 20, 25 },
	  .want = 0, .at_least_ms = 25, .nr_cqes = 4 },
	{ "batch full before the wait",
	  .wait_nr = 4, .min_ms = FOREVER_MS, .ts_ms = FOREVER_MS,
	  .nr_ready = 4,
	  .want = 0, .at_least_ms = 0, .nr_cqes = 4 },
	{ "some events before min_wait",
	  .wait_nr = 4, .min_ms = 60, .ts_ms = FOREVER_MS,
	  .nr_events = 2, .events_ms = { 10, 20 },
	  .want = 0, .at_least_ms = 60, .nr_cqes = 1 },
	{ "some events before the wait",
	  .wait_nr = 4, .min_ms = 60, .ts_ms = FOREVER_MS,
	  .nr_ready = 2,
	  .want = 0, .at_least_ms = 60, .nr_cqes = 2 },
	{ "no event",
	  .wait_nr = 4, .min_ms = 20, .ts_ms = 80,
	  .want = -ETIME, .at_least_ms = 80 },
	{ "waiting for one, event before min_wait",
	  .wait_nr = 1, .min_ms = FOREVER_MS, .ts_ms = FOREVER_MS,
	  .nr_events = 1, .events_ms = { 10 },
	  .want = 0, .at_least_ms = 10, .nr_cqes = 1 },
	{ "waiting for one, event after min_wait",
	  .wait_nr = 1, .min_ms = 20, .ts_ms = FOREVER_MS,
	  .nr_events = 1, .events_ms = { 80 },
	  .want = 0, .at_least_ms = 80, .nr_cqes = 1 },
	{ "waiting for one, no event",
	  .wait_nr = 1, .min_ms = 20, .ts_ms = 80,
	  .want = -ETIME, .at_least_ms = 80 },
	{ "no min_wait, too few events",
	  .wait_nr = 4, .min_ms = 0, .ts_ms = 80,
	  .nr_events = 2, .events_ms = { 10, 20 },
	  .want = 0, .at_least_ms = 80, .nr_cqes = 2 },
	{ "no ts, no event",
	  .wait_nr = 4, .min_ms = 60, .ts_ms = -1,
	  .want = -ETIME, .at_least_ms = 60 },
	{ "no ts, too few events",
	  .wait_nr = 4, .min_ms = 60, .ts_ms = -1,
	  .nr_events = 1, .events_ms = { 10 },
	  .want = 0, .at_least_ms = 60, .nr_cqes = 1 },
	{ "min_wait beyond ts",
	  .wait_nr = 4, .min_ms = 150, .ts_ms = 20,
	  .want = -ETIME, .at_least_ms = 150 },
	{ "min_wait beyond ts, waiting for one",
	  .wait_nr = 1, .min_ms = 150, .ts_ms = 20,
	  .want = -ETIME, .at_least_ms = 150 },
	{ "min_wait and ts 0",
	  .wait_nr = 4, .min_ms = 60, .ts_ms = 0,
	  .want = -ETIME, .at_least_ms = 60 },
	{ "min_wait and ts the same",
	  .wait_nr = 4, .min_ms = 60, .ts_ms = 60,
	  .want = -ETIME, .at_least_ms = 60 },
};

/* On its own, because some kernels have a defect there. */
static const struct batch late_event = {
	"event after min_wait",
	.wait_nr = 4, .min_ms = 20, .ts_ms = FOREVER_MS,
	.nr_events = 1, .events_ms = { 100 },
	.want = 0, .at_least_ms = 100, .nr_cqes = 1
};
/* clang-format on */

static void start_events(struct waiter *w, const struct batch *row)
{
	int i;

	for (i = 0; i < row->nr_events; i++)
		prep_event(w, row->events_ms[i]);
	if (row->nr_events)
		submit(w, row->nr_events);
}

static void set_batch(struct waiter *w, const struct batch *row)
{
	set_ts(w, 0, row->ts_ms < 0 ? 0 : row->ts_ms);
	slot(w, 0)->min_wait_usec = (unsigned)(row->min_ms * 1000);
	if (row->ts_ms < 0)
		slot(w, 0)->flags = 0;
}

static void ck_batch(const struct mode *mode, const struct batch *row)
{
	double start;
	int r;

	open_waiter(&self, mode);
	set_batch(&self, row);
	if (row->nr_ready)
		complete_nops(&self, row->nr_ready);
	start = now();
	start_events(&self, row);
	r = wait_at(&self, 0, row->wait_nr);
	ck_ret(&self, row->name, r, row->want);
	ck_waited(&self, row->name, start, row->at_least_ms);
	ck_assert_msg(io_uring_cq_ready(&self.ring) >= row->nr_cqes,
		      "%s: %s: %u CQEs", self.mode->name, row->name,
		      io_uring_cq_ready(&self.ring));
}

START_TEST(min_wait_collects_a_batch)
{
	ck_batch(mode_of(_i), ROW_OF(batches, _i));
}
END_TEST

START_TEST(event_after_min_wait_ends_the_wait)
{
	ck_batch(mode_of(_i), &late_event);
}
END_TEST

/* Whatever wait_nr and min_wait say. */
START_TEST(timeout_request_ends_every_wait)
{
	struct __kernel_timespec ts = ms_to_ts(SHORT_MS);
	double start = now();
	int r;

	open_waiter(&self, mode_of(_i));
	set_ts(&self, 0, FOREVER_MS);
	slot(&self, 0)->min_wait_usec = FOREVER_MS * 1000;
	io_uring_prep_timeout(get_sqe(&self), &ts, 0, 0);
	submit(&self, 1);
	r = wait_at(&self, 0, 4);
	ck_ret(&self, "IORING_OP_TIMEOUT", r, 0);
	ck_waited(&self, "IORING_OP_TIMEOUT", start, SHORT_MS);
	ck_assert_uint_eq(io_uring_cq_ready(&self.ring), 1);
}
END_TEST

/* The region makes this easy to forget: the field is still there. */
START_TEST(min_wait_is_relative_to_an_abs_timer_too)
{
	double start = now();
	int r;

	open_waiter(&self, mode_of(_i));
	set_ts(&self, 0, 0);
	slot(&self, 0)->min_wait_usec = SHORT_MS * 1000;
	r = enter(&self, 0, 1, REG_WAIT | IORING_ENTER_ABS_TIMER, 0, SLOT);
	ck_ret(&self, "a date gone by", r, -ETIME);
	ck_waited(&self, "a date gone by", start, SHORT_MS);
}
END_TEST

/*
 * Entering: signals
 */

struct signal_row {
	const char *name;
	int signo;
	void (*handler)(int signo);
	long long ts_ms;
	int want;
	double at_least_ms;
};

/* clang-format off */
static const struct signal_row signals[] = {
	{ "SIGALRM, handled",    SIGALRM, count_tick, FOREVER_MS, -EINTR, 0 },
	{ "SIGCHLD, handled",    SIGCHLD, count_tick, FOREVER_MS, -EINTR, 0 },
	{ "SIGALRM, ignored",    SIGALRM, SIG_IGN,    80,         -ETIME, 80 },
	{ "SIGCHLD, by default", SIGCHLD, SIG_DFL,    80,         -ETIME, 80 },
	{ "SIGURG, by default",  SIGURG,  SIG_DFL,    80,         -ETIME, 80 },
};
/* clang-format on */

/* SA_RESTART does not restart; what is ignored does not interrupt. */
START_TEST(handled_signal_interrupts)
{
	const struct signal_row *row = ROW_OF(signals, _i);
	double start;
	int r;

	open_waiter(&self, mode_of(_i));
	set_ts(&self, 0, row->ts_ms);
	start_ticking(row->signo, row->handler);
	start = now();
	r = wait_at(&self, 0, 1);
	ck_ret(&self, row->name, r, row->want);
	ck_waited(&self, row->name, start, row->at_least_ms);
}
END_TEST

struct mask_row {
	const char *name;
	enum address mask;
	unsigned size;
	int want;
};

/* clang-format off */
static const struct mask_row masks[] = {
	{ "8 bytes",         ADDR_GOOD,    KERNEL_SIGSET,    -ETIME },
	{ "sigset_t",        ADDR_GOOD,    sizeof(sigset_t), -EINVAL },
	{ "no bytes",        ADDR_GOOD,    0,                -EINVAL },
	{ "nowhere",         ADDR_NOWHERE, KERNEL_SIGSET,    -EFAULT },
	{ "NULL, 8 bytes",   ADDR_NULL,    KERNEL_SIGSET,    -ETIME },
	{ "NULL, sigset_t",  ADDR_NULL,    sizeof(sigset_t), -ETIME },
	{ "NULL, no bytes",  ADDR_NULL,    0,                -ETIME },
};
/* clang-format on */

static void use_mask(struct waiter *w, const sigset_t *mask, unsigned size)
{
	slot(w, 0)->sigmask = (uintptr_t)mask;
	slot(w, 0)->sigmask_sz = size;
}

START_TEST(sigmask_is_checked_unless_null)
{
	const struct mask_row *row = ROW_OF(masks, _i);
	sigset_t mask;
	int r;

	sigemptyset(&mask);
	open_waiter(&self, mode_of(_i));
	set_ts(&self, 0, 0);
	use_mask(&self, row->mask == ADDR_GOOD ? &mask : address(row->mask),
		 row->size);
	r = wait_at(&self, 0, 1);
	ck_ret(&self, row->name, r, row->want);
}
END_TEST

/* As ppoll(2) does, and the process has its own mask back afterwards. */
START_TEST(sigmask_is_in_force_during_the_wait)
{
	sigset_t mask, after;
	int r;

	sigemptyset(&mask);
	open_waiter(&self, mode_of(_i));
	set_ts(&self, 0, FOREVER_MS);
	use_mask(&self, &mask, KERNEL_SIGSET);
	start_ticking(SIGALRM, count_tick);
	sigaddset(&mask, SIGALRM);
	sigprocmask(SIG_BLOCK, &mask, NULL);
	sigemptyset(&mask);
	nr_ticks = 0;
	r = wait_at(&self, 0, 1);
	ck_ret(&self, "unblocked for the wait", r, -EINTR);
	ck_assert_int_eq(nr_ticks, 1);
	sigprocmask(SIG_SETMASK, NULL, &after);
	ck_assert(sigismember(&after, SIGALRM));
}
END_TEST

/* The mask itself is not in the region: the pointer is followed each time. */
START_TEST(sigmask_is_read_at_every_wait)
{
	double start;
	sigset_t mask;
	int r;

	sigemptyset(&mask);
	open_waiter(&self, mode_of(_i));
	set_ts(&self, 0, FOREVER_MS);
	use_mask(&self, &mask, KERNEL_SIGSET);
	start_ticking(SIGALRM, count_tick);
	r = wait_at(&self, 0, 1);
	ck_ret(&self, "not blocked", r, -EINTR);
	sigaddset(&mask, SIGALRM);
	slot(&self, 0)->ts = ms_to_ts(80);
	start = now();
	r = wait_at(&self, 0, 1);
	ck_ret(&self, "blocked for the wait", r, -ETIME);
	ck_waited(&self, "blocked for the wait", start, 80);
}
END_TEST

/*
 * Entering: what the result tells
 */

START_TEST(completions_hide_the_timeout)
{
	double start;
	int r;

	open_waiter(&self, mode_of(_i));
	set_ts(&self, 0, SHORT_MS);
	complete_nops(&self, 1);
	start = now();
	r = wait_at(&self, 0, 2);
	ck_ret(&self, "one of two", r, 0);
	ck_waited(&self, "one of two", start, SHORT_MS);
	io_uring_cq_advance(&self.ring, 1);
	r = wait_at(&self, 0, 2);
	ck_ret(&self, "none of two", r, -ETIME);
}
END_TEST

START_TEST(completions_hide_the_signal)
{
	double start;
	int r;

	open_waiter(&self, mode_of(_i));
	set_ts(&self, 0, FOREVER_MS);
	complete_nops(&self, 1);
	start = now();
	start_ticking(SIGALRM, count_tick);
	r = wait_at(&self, 0, 2);
	ck_ret(&self, "one of two", r, 0);
	ck_waited(&self, "one of two", start, 0);
	io_uring_cq_advance(&self.ring, 1);
	r = wait_at(&self, 0, 2);
	ck_ret(&self, "none of two", r, -EINTR);
}
END_TEST

struct hidden {
	const char *name;
	long long ts_ms;
	size_t offset;
	size_t arg_size;
	unsigned extra_flags;
	bool bad_mask;
	int alone; /* the result when nothing is submitted */
	double at_least_ms;
};

/* clang-format off */
static const struct hidden hidden[] = {
	{ "timeout",         .ts_ms = SHORT_MS,   .arg_size = SLOT,
	  .alone = -ETIME,   .at_least_ms = SHORT_MS },
	{ "wrong size",      .ts_ms = FOREVER_MS, .arg_size = 24,
	  .alone = -EINVAL },
	{ "wrong slot flag", .ts_ms = FOREVER_MS, .arg_size = SLOT,
	  .extra_flags = MARKER, .alone = -EINVAL },
	{ "wrong sigmask",   .ts_ms = FOREVER_MS, .arg_size = SLOT,
	  .bad_mask = true,  .alone = -EFAULT },
};

static const struct hidden hidden_offset = {
	"wrong offset",      .ts_ms = FOREVER_MS, .arg_size = SLOT,
	.offset = 1,         .alone = -EFAULT
};

static const struct hidden hidden_signal = {
	"signal",            .ts_ms = FOREVER_MS, .arg_size = SLOT,
	.alone = -EINTR
};
/* clang-format on */

/* With something submitted the result is the count, however the wait ended. */
static void ck_hidden(const struct hidden *row)
{
	double start;
	int r;

	set_ts(&self, 0, row->ts_ms);
	slot(&self, 0)->flags |= row->extra_flags;
	if (row->bad_mask)
		use_mask(&self, nowhere(), KERNEL_SIGSET);
	prep_event(&self, 2 * FOREVER_MS);
	publish(&self);
	start = now();
	r = enter(&self, 1, 1, REG_WAIT, row->offset, row->arg_size);
	ck_ret(&self, row->name, r, 1);
	ck_waited(&self, row->name, start, row->at_least_ms);
	ck_assert_uint_eq(io_uring_cq_ready(&self.ring), 0);
	r = enter(&self, 0, 1, REG_WAIT, row->offset, row->arg_size);
	ck_ret(&self, row->name, r, row->alone);
}

START_TEST(submit_count_hides_how_the_wait_ended)
{
	open_waiter(&self, mode_of(_i));
	ck_hidden(ROW_OF(hidden, _i));
}
END_TEST

START_TEST(submit_count_hides_a_wrong_offset)
{
	open_waiter(&self, mode_of(_i));
	ck_hidden(&hidden_offset);
}
END_TEST

START_TEST(submit_count_hides_a_signal)
{
	open_waiter(&self, mode_of(_i));
	start_ticking(SIGALRM, count_tick);
	ck_hidden(&hidden_signal);
}
END_TEST

struct shortfall {
	const char *name;
	int nr_queued;
	unsigned to_submit;
};

/* clang-format off */
static const struct shortfall shortfalls[] = {
	{ "1 of an empty SQ", .nr_queued = 0, .to_submit = 1 },
	{ "2 of 1",           .nr_queued = 1, .to_submit = 2 },
	{ "8 of 2",           .nr_queued = 2, .to_submit = 8 },
};
/* clang-format on */

/* to_submit must be exact: a ring that is asked for more does not wait. */
START_TEST(submitting_more_than_queued_skips_the_wait)
{
	const struct shortfall *row = ROW_OF(shortfalls, _i);
	double start;
	int i, r;

	open_waiter(&self, mode_of(_i));
	set_ts(&self, 0, FOREVER_MS);
	for (i = 0; i < row->nr_queued; i++)
		prep_event(&self, 2 * FOREVER_MS);
	publish(&self);
	start = now();
	r = enter(&self, row->to_submit, 1, REG_WAIT, 0, SLOT);
	ck_ret(&self, row->name, r, row->nr_queued);
	ck_waited(&self, row->name, start, 0);
}
END_TEST

struct bad_request {
	const char *name;
	unsigned ring_flags;
	long long ts_ms;
	int want;
	unsigned nr_left;
	double at_least_ms;
};

/* clang-format off */
static const struct bad_request bad_requests[] = {
	{ "stop at the first", .ring_flags = 0,
	  .ts_ms = FOREVER_MS, .want = 2, .nr_left = 1 },
	{ "SUBMIT_ALL",        .ring_flags = IORING_SETUP_SUBMIT_ALL,
	  .ts_ms = SHORT_MS,   .want = 3, .nr_left = 0,
	  .at_least_ms = SHORT_MS },
};
/* clang-format on */

/* The second of three cannot be: the third stays queued, and no wait. */
START_TEST(bad_request_skips_the_wait)
{
	const struct bad_request *row = ROW_OF(bad_requests, _i);
	double start;
	int r;

	open_disabled(&self, mode_of(_i), DEFER | row->ring_flags, page_size);
	enable(&self);
	set_ts(&self, 0, row->ts_ms);
	io_uring_prep_nop(get_sqe(&self));
	io_uring_prep_rw(UINT8_MAX, get_sqe(&self), -1, NULL, 0, 0);
	io_uring_prep_nop(get_sqe(&self));
	publish(&self);
	start = now();
	r = enter(&self, 3, 4, REG_WAIT, 0, SLOT);
	ck_ret(&self, row->name, r, row->want);
	ck_waited(&self, row->name, start, row->at_least_ms);
	ck_assert_uint_eq(io_uring_sq_ready(&self.ring), row->nr_left);
	ck_assert_int_eq((int)io_uring_cq_ready(&self.ring), row->want);
}
END_TEST

/* A request that fails is not one that cannot be: it has its CQE. */
START_TEST(bad_fd_is_a_completion)
{
	struct io_uring_cqe *cqe;
	int r;

	open_waiter(&self, mode_of(_i));
	set_ts(&self, 0, FOREVER_MS);
	io_uring_prep_poll_add(get_sqe(&self), -1, POLLIN);
	publish(&self);
	r = enter(&self, 1, 1, REG_WAIT, 0, SLOT);
	ck_ret(&self, "submitted", r, 1);
	ck_assert_int_eq(io_uring_peek_cqe(&self.ring, &cqe), 0);
	ck_assert_int_eq(cqe->res, -EBADF);
}
END_TEST

/*
 * Other processes, other threads, other rings
 */

static int write_marker(void *arg)
{
	slot(arg, 0)->flags = MARKER;
	return 0;
}

/* User memory is the child's own after fork, kernel memory is not. */
START_TEST(child_reaches_kernel_memory_only)
{
	int r;

	open_waiter(&self, mode_of(_i));
	r = run_in_child(write_marker, &self);
	ck_ret(&self, "child", r, 0);
	r = look_at(&self, 0);
	ck_ret(&self, "parent", r, self.mode->user ? 0 : -EINVAL);
	ck_assert_uint_eq(slot(&self, 0)->flags, self.mode->user ? 0 : MARKER);
}
END_TEST

static int write_longer_ts(void *arg)
{
	set_ts(arg, 0, 150);
	return 0;
}

START_TEST(child_changes_timeouts_in_kernel_memory_only)
{
	double start;
	int r;

	open_waiter(&self, mode_of(_i));
	set_ts(&self, 0, self.mode->user ? 150 : 0);
	r = run_in_child(write_longer_ts, &self);
	ck_ret(&self, "child", r, 0);
	start = now();
	r = wait_at(&self, 0, 1);
	ck_ret(&self, "parent", r, -ETIME);
	ck_waited(&self, "parent", start, 150);
}
END_TEST

/*
 * While a child shares its pages with the parent, a write of the parent makes a
 * copy; it must be the child that gets it, not the kernel.
 */
START_TEST(parent_keeps_its_region_while_a_child_lives)
{
	int fds[2], status;
	pid_t pid;
	char c;

	open_waiter(&self, mode_of(_i));
	ck_assert_int_eq(pipe(fds), 0);
	pid = fork();
	if (pid == 0) {
		close(fds[1]);
		_exit(read(fds[0], &c, 1) == 0 ? 0 : 1);
	}
	close(fds[0]);
	ck_assert_int_gt(pid, 0);
	ck_assert(reads_marker(&self, 0));
	close(fds[1]);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
}
END_TEST

/* Make the ring ours, then say how the slot looks to the kernel. */
static int enable_and_look(void *arg)
{
	struct waiter *w = arg;
	int r;

	r = io_uring_enable_rings(&w->ring);
	if (r)
		return -r;
	slot(w, 0)->flags = MARKER;
	return -look_at(w, 0);
}

/*
 * A child that enables its parent's ring owns it, but with user memory the
 * kernel goes on reading the parent's: a child needs a ring of its own.
 */
START_TEST(child_cannot_use_user_memory_of_its_parent)
{
	int r;

	open_disabled(&self, mode_of(_i), DEFER, page_size);
	r = run_in_child(enable_and_look, &self);
	ck_ret(&self, "child", r, self.mode->user ? 0 : EINVAL);
	slot(&self, 0)->flags = 0;
	r = look_at(&self, 0);
	ck_ret(&self, "parent", r, -EEXIST);
}
END_TEST

static void *enable_and_look_in_thread(void *arg)
{
	return (void *)(intptr_t)enable_and_look(arg);
}

/* A thread that enables a ring owns it, region and all. */
START_TEST(thread_can_use_a_region_of_another)
{
	pthread_t thread;
	void *seen;
	int r;

	open_disabled(&self, mode_of(_i), DEFER, page_size);
	r = pthread_create(&thread, NULL, enable_and_look_in_thread, &self);
	ck_ret(&self, "thread", r, 0);
	ck_assert_int_eq(pthread_join(thread, &seen), 0);
	ck_assert_int_eq((intptr_t)seen, EINVAL);
	slot(&self, 0)->flags = 0;
	r = look_at(&self, 0);
	ck_ret(&self, "not the owner", r, -EEXIST);
}
END_TEST

static int flags_are_zero(void *arg)
{
	return slot(arg, 0)->flags ? EEXIST : 0;
}

/* The page that tells a child that it is one may be the region itself. */
START_TEST(user_memory_can_be_wiped_on_fork)
{
	int r;

	open_waiter(&self, &modes[USER]);
	r = madvise(self.mem, self.size, MADV_WIPEONFORK);
	ck_ret(&self, "MADV_WIPEONFORK", r, 0);
	slot(&self, 0)->flags = MARKER;
	r = run_in_child(flags_are_zero, &self);
	ck_ret(&self, "child", r, 0);
	r = look_at(&self, 0);
	ck_ret(&self, "parent", r, -EINVAL);
}
END_TEST

START_TEST(kernel_memory_cannot_be_wiped_on_fork)
{
	int r;

	open_waiter(&self, &modes[KERNEL]);
	r = madvise(self.mem, self.size, MADV_WIPEONFORK) ? -errno : 0;
	ck_ret(&self, "MADV_WIPEONFORK", r, -EINVAL);
}
END_TEST

/* msync(2) fails with ENOMEM where nothing is mapped. */
static int is_mapped(void *arg)
{
	struct waiter *w = arg;

	return msync(w->mem, w->size, MS_ASYNC) ? errno : 0;
}

/* How evring keeps a child away from its parent's timeouts. */
START_TEST(region_can_be_kept_from_children)
{
	int r;

	open_waiter(&self, mode_of(_i));
	r = run_in_child(is_mapped, &self);
	ck_ret(&self, "mapped in the child", r, 0);
	r = madvise(self.mem, self.size, MADV_DONTFORK);
	ck_ret(&self, "MADV_DONTFORK", r, 0);
	r = run_in_child(is_mapped, &self);
	ck_ret(&self, "not mapped in the child", r, ENOMEM);
	ck_assert(reads_marker(&self, 0));
}
END_TEST

START_TEST(region_survives_resizing_the_ring)
{
	struct io_uring_params p = { .sq_entries = 8 * NR_ENTRIES,
				     .cq_entries = 16 * NR_ENTRIES,
				     .flags = IORING_SETUP_CQSIZE };
	int r;

	open_waiter(&self, mode_of(_i));
	r = io_uring_resize_rings(&self.ring, &p);
	ck_ret(&self, "resize", r, 0);
	ck_assert(reads_marker(&self, 0));
	ck_wait_works(&self, "resized");
}
END_TEST

/*
 * Which tests, and on what kernel
 */

/* Why a group of tests is left out, or NULL. */
static const char *no_kernel_memory, *no_min_wait, *no_iowait_flag, *no_nobody;
static const char *no_offsets, *no_signals, *no_hints;

/*
 * Is there anything to test?  NULL, or the reason why not.  All other errors
 * are for the tests to show.
 */
static const char *look_for_regions(void)
{
	int r = try_waiter(&self, &modes[USER], 0, page_size);
	bool has_ring = self.is_open;

	if (has_ring && !(self.ring.features & IORING_FEAT_NO_IOWAIT))
		no_iowait_flag = "a kernel before 6.15";
	close_all();
	if (!has_ring && (r == -ENOSYS || r == -EPERM || r == -EACCES))
		return "no io_uring here";
	if (r == -EINVAL)
		return "no IORING_REGISTER_MEM_REGION: a kernel before 6.13";
	return NULL;
}

static void look_for_kernel_memory(void)
{
	int r = try_waiter(&self, &modes[KERNEL], 0, page_size);

	close_all();
	if (r != -EINVAL)
		return;
	no_kernel_memory = "regions of user memory only, a kernel before 6.14";
	nr_modes = 1;
	printf("# left out: kernel memory: %s\n", no_kernel_memory);
}

/* 6.12 to 6.18.0: an event after min_wait does not end the wait. */
static void look_for_min_wait(void)
{
	const int until_ms = 5000;
	double start;

	if (try_waiter(&self, &modes[USER], DEFER, page_size) ||
	    io_uring_enable_rings(&self.ring) || try_event(&self, 20) ||
	    io_uring_submit(&self.ring) != 1)
		goto out;
	set_ts(&self, 0, until_ms);
	slot(&self, 0)->min_wait_usec = 1000;
	start = now();
	wait_at(&self, 0, 4);
	if (ms_since(start) >= until_ms)
		no_min_wait = "an event after min_wait does not end a wait of "
			      "this kernel";
out:
	close_all();
}

/* See b) at the top.  Nothing is left out for it, but people should know. */
static void look_at_last_slot(void)
{
	if (no_offsets)
		return;
	if (!try_waiter(&self, &modes[USER], DEFER, page_size) &&
	    !io_uring_enable_rings(&self.ring) &&
	    !reads_marker(&self, page_size - SLOT))
		printf("# note: this kernel takes the first slot for the "
		       "last\n");
	close_all();
}

/* Can we be somebody else, and can somebody else make a ring? */
static void look_for_nobody(void)
{
	struct io_uring_params p = { 0 };
	int status = -1;
	pid_t pid = fork();

	if (pid == 0)
		_exit(setresuid(nobody(), nobody(), nobody()) ||
		      raw_setup(NR_ENTRIES, &p) < 0);
	if (pid > 0)
		waitpid(pid, &status, 0);
	if (status)
		no_nobody = "needs root, and rings for all users";
}

/* What valgrind 3.19 does not know about io_uring_enter(2) and mmap(2). */
static void look_for_valgrind(void)
{
	if (!under_valgrind())
		return;
	no_offsets = "valgrind takes the offset for a pointer";
	no_signals = "valgrind does not know that io_uring_enter blocks";
	no_hints = "valgrind places mappings itself";
}

/* Run test nr times, unless there is a reason not to. */
static void add(TCase *tc, const TTest *test, int nr, const char *why_not)
{
	if (why_not)
		printf("# left out: %s: %s\n", test->name, why_not);
	else
		tcase_add_loop_test(tc, test, 0, nr);
}

/* Each row in each mode. */
#define ROWS(table) ((int)ARRAY_SIZE(table) * nr_modes)

static TCase *new_case(Suite *s, const char *name)
{
	TCase *tc = tcase_create(name);

	tcase_add_checked_fixture(tc, NULL, close_all);
	tcase_set_timeout(tc, 30);
	suite_add_tcase(s, tc);
	return tc;
}

static void add_registering(Suite *s)
{
	TCase *tc = new_case(s, "registering");

	add(tc, every_kind_of_ring_waits_with_a_region, ROWS(ring_kinds), NULL);
	add(tc, region_has_the_size_asked_for, ROWS(region_sizes), no_offsets);
	add(tc, failure_is_returned_as_negative_errno, nr_modes, NULL);
	add(tc, region_belongs_to_one_ring, nr_modes, NULL);
	add(tc, wrong_field_is_refused, ROWS(wrong_fields), NULL);
	add(tc, wrong_user_addr_is_refused, ARRAY_SIZE(wrong_addresses), NULL);
	add(tc, user_addr_for_kernel_memory_is_refused, 1, no_kernel_memory);
	add(tc, wrong_region_uptr_is_refused, ROWS(wrong_descs), NULL);
	add(tc, registration_takes_one_argument, ROWS(wrong_calls), NULL);
	add(tc, wait_region_is_refused_once_the_ring_is_enabled,
	    ROWS(enabled_states), NULL);
	add(tc, waits_need_the_reg_wait_arg_flag, ROWS(enabled_states), NULL);
	add(tc, second_region_is_refused, ROWS(seconds), NULL);
	add(tc, first_region_survives_the_second, nr_modes, NULL);
	add(tc, region_counts_against_rlimit_memlock, ROWS(locked), no_nobody);
}

static void add_memory(Suite *s)
{
	TCase *tc = new_case(s, "memory");

	add(tc, user_memory_is_the_memory_at_user_addr, 1, NULL);
	add(tc, user_memory_outlives_its_mapping, 1, NULL);
	add(tc, one_page_can_serve_two_rings, 1, NULL);
	add(tc, mapping_outlives_the_ring, nr_modes, NULL);
	add(tc, kernel_memory_is_mapped_at_mmap_offset, 1, no_kernel_memory);
	add(tc, kernel_memory_cannot_be_mapped_before_it_is_registered, 1,
	    no_kernel_memory);
	add(tc, kernel_memory_starts_as_zeroes, 1, no_kernel_memory);
	add(tc, kernel_memory_can_be_mapped_again, ARRAY_SIZE(mappings),
	    no_kernel_memory);
	add(tc, kernel_memory_cannot_be_mapped_where_we_like, 1,
	    no_kernel_memory ? no_kernel_memory : no_hints);
	add(tc, private_mapping_does_not_reach_the_kernel, 1, no_kernel_memory);
	add(tc, mapping_beyond_the_region_is_empty, 1, no_kernel_memory);
	add(tc, kernel_memory_outlives_its_mapping, 1, no_kernel_memory);
}

static void add_argument(Suite *s)
{
	TCase *tc = new_case(s, "argument");

	add(tc, offset_counts_bytes, nr_modes, no_offsets);
	add(tc, last_slot_is_accepted, nr_modes, no_offsets);
	add(tc, wrong_offset_is_refused, ROWS(wrong_offsets), no_offsets);
	add(tc, ring_without_a_region_refuses_region_waits, nr_modes, NULL);
	add(tc, argument_size_is_the_size_of_a_slot, ROWS(arg_sizes), NULL);
	add(tc, slot_is_checked_for_flags_only, ROWS(slots), NULL);
	add(tc, unknown_enter_flag_is_refused, ROWS(unknown_flags), NULL);
	add(tc, ext_arg_reg_alone_is_ignored, nr_modes, NULL);
	add(tc, argument_is_not_read_without_getevents, nr_modes, no_offsets);
	add(tc, disabled_ring_refuses_enter, nr_modes, NULL);
	add(tc, registered_ring_waits_with_a_region, nr_modes, NULL);
	add(tc, no_iowait_goes_with_a_region, nr_modes, no_iowait_flag);
}

static void add_time(Suite *s)
{
	TCase *tc = new_case(s, "time");

	add(tc, slot_is_read_at_every_wait, nr_modes, NULL);
	add(tc, ts_is_not_validated, ROWS(times), NULL);
	add(tc, long_wait_ends_with_an_event, ROWS(long_times), NULL);
	add(tc, long_wait_ends_with_a_signal, ROWS(long_times), no_signals);
	add(tc, abs_timer_takes_a_date_of_the_registered_clock, ROWS(clocks),
	    NULL);
	add(tc, register_clock_takes_no_count, nr_modes, NULL);
	add(tc, min_wait_collects_a_batch, ROWS(batches), NULL);
	add(tc, event_after_min_wait_ends_the_wait, nr_modes, no_min_wait);
	add(tc, timeout_request_ends_every_wait, nr_modes, NULL);
	add(tc, min_wait_is_relative_to_an_abs_timer_too, nr_modes, NULL);
}

static void add_signals(Suite *s)
{
	TCase *tc = new_case(s, "signals");

	add(tc, handled_signal_interrupts, ROWS(signals), no_signals);
	add(tc, sigmask_is_checked_unless_null, ROWS(masks), NULL);
	add(tc, sigmask_is_in_force_during_the_wait, nr_modes, no_signals);
	add(tc, sigmask_is_read_at_every_wait, nr_modes, no_signals);
}

static void add_result(Suite *s)
{
	TCase *tc = new_case(s, "result");

	add(tc, completions_hide_the_timeout, nr_modes, NULL);
	add(tc, completions_hide_the_signal, nr_modes, no_signals);
	add(tc, submit_count_hides_how_the_wait_ended, ROWS(hidden), NULL);
	add(tc, submit_count_hides_a_wrong_offset, nr_modes, no_offsets);
	add(tc, submit_count_hides_a_signal, nr_modes, no_signals);
	add(tc, submitting_more_than_queued_skips_the_wait, ROWS(shortfalls),
	    NULL);
	add(tc, bad_request_skips_the_wait, ROWS(bad_requests), NULL);
	add(tc, bad_fd_is_a_completion, nr_modes, NULL);
}

static void add_others(Suite *s)
{
	TCase *tc = new_case(s, "others");

	add(tc, child_reaches_kernel_memory_only, nr_modes, NULL);
	add(tc, child_changes_timeouts_in_kernel_memory_only, nr_modes, NULL);
	add(tc, parent_keeps_its_region_while_a_child_lives, nr_modes, NULL);
	add(tc, child_cannot_use_user_memory_of_its_parent, nr_modes, NULL);
	add(tc, thread_can_use_a_region_of_another, nr_modes, NULL);
	add(tc, user_memory_can_be_wiped_on_fork, 1, NULL);
	add(tc, kernel_memory_cannot_be_wiped_on_fork, 1, no_kernel_memory);
	add(tc, region_can_be_kept_from_children, nr_modes, NULL);
	add(tc, region_survives_resizing_the_ring, nr_modes, NULL);
}

static void look_around(void)
{
	look_for_valgrind();
	look_for_kernel_memory();
	look_for_min_wait();
	look_for_nobody();
	look_at_last_slot();
}

Suite *make_suite(void)
{
	const char *why_not;
	Suite *s;

	page_size = (size_t)sysconf(_SC_PAGESIZE);
	alarm(30); /* nobody else ends a wait that does not end */
	why_not = look_for_regions();
	if (why_not) {
		printf("1..0 # SKIP %s\n", why_not);
		exit(EXIT_SUCCESS);
	}
	look_around();
	alarm(0);
	s = suite_create("region");
	add_registering(s);
	add_memory(s);
	add_argument(s);
	add_time(s);
	add_signals(s);
	add_result(s);
	add_others(s);
	fflush(stdout); /* before Check forks */
	return s;
}
