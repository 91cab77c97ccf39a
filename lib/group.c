/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * group.c - buffers to receive into, and who waits for one.
 *
 * Two forms.  In the ring form free buffers are in a ring that is shared with
 * the kernel, which takes one when it has data for it.  In the plain form they
 * are in a list of ours, and recv.c picks one.
 *
 * What to know about rings of provided buffers:
 *
 * a) They belong to one ring, and their memory is read by the kernel for as
 *    long as that lives; so it is left out of forks.  The buffers are not: the
 *    kernel writes to them as any program does, a child may look at what it was
 *    given before, and does not see what its parent receives later.
 * b) Completions of a ring that was replaced may still be on their way to their
 *    watchers, and name buffers.  Until all these watchers have ended, nobody
 *    can say which buffers are free, and the group is not known to the new
 *    ring.
 * c) A bundle names its first buffer; the others are those that were put into
 *    the ring after it.  By the time we look, their places in the ring may have
 *    others.  So each buffer remembers which one came after it.
 * d) For a bundle the kernel may make a buffer in the ring shorter than it was,
 *    and not use it then.  A later bundle fills that much of it, and goes on in
 *    the next.  So what counts is the length in the ring, which is kept when
 *    the place is used again.
 * e) Incremental: a completion with nothing in it, at the end of a stream, may
 *    lack BUF_MORE (before Linux 7.0).  The kernel goes on with the buffer all
 *    the same.
 *
 * f) The kernel takes buffers in the order in which they were put into the
 * ring: of all that are there, the one whose memory was not used for the
 * longest time.  So few are in the ring, and the others on a shelf, the last
 * one used on top: what is received goes where the cache still is.
 *
 * A buffer is provided (the kernel's) or held (the user's), or both, if it is
 * incremental; or neither: on the shelf, or its ring has gone.
 *
 * Invariants:
 *
 * (1) A buffer that is held is not given to the kernel.
 * (2) While a watcher waits for a buffer, there is one that will be put back,
 *     or one that was woken has not tried yet, and wakes the next when it did
 *     not need one.
 * (3) While there are buffers on the shelf, as many as are wanted there are in
 *     the ring, as far as its completions have been told.
 */
#include "config.h"

#include "group.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "bind.h"
#include "self.h"
#include "uapi.h"

enum {
	MAX_BUFFERS = 32768,
	MAX_SIZE = 1 << 30,
	ALIGN = 16, /* of each buffer: headers of messages are in it */
	LAST_ID = 65535,
	NOBODY = 0xffff, /* no buffer has been in this place */
	NO_BUFFER = MAX_BUFFERS,
	WANTED = 16,  /* in the ring, to begin with */
	LEARNT = 1024 /* taken, until half as many may do as after a crowd */
};

#define HUGE_SIZE ((size_t)2 << 20)
#define HUGE_PAGE (MAP_HUGETLB | 21 << 26) /* of 2 MiB, whatever is usual */

struct evr_buffer {
	unsigned nr_held;    /* pieces */
	unsigned filled;     /* incremental: so far */
	unsigned len;	     /* what there was room for (trap d) */
	unsigned short next; /* put into the ring after it */
	unsigned short place;
	unsigned short below; /* on the shelf; in the plain form: in the list */
	bool is_provided;
};

static_assert(MAX_BUFFERS <= NOBODY, "NOBODY is not a buffer");

/*
 * memory
 */

static void *map(size_t size, int flags)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

static int map_buffers(struct evring_group *group)
{
	size_t size = (size_t)group->nr_buffers * group->size;

	if (group->flags & EVRING_GROUP_HUGE) {
		group->memory_size = (size + HUGE_SIZE - 1) & ~(HUGE_SIZE - 1);
		group->memory = map(group->memory_size, HUGE_PAGE);
		if (group->memory)
			return 0;
		group->flags &= ~(unsigned)EVRING_GROUP_HUGE;
	}
	group->memory_size = size;
	group->memory = map(size, 0);
	return group->memory ? 0 : -ENOMEM;
}

static size_t ring_size(const struct evring_group *group)
{
	return group->nr_buffers * sizeof(struct io_uring_buf);
}

/* Is the memory of the ring there?  Not in a child (trap a). */
static bool ring_is_mapped(const struct evring_group *group)
{
	return group->ring && group->process == evr_process_id();
}

static int map_ring(struct evring_group *group)
{
	if (ring_is_mapped(group))
		return 0;
	group->ring = map(ring_size(group), 0);
	if (!group->ring)
		return -ENOMEM;
	(void)madvise(group->ring, ring_size(group), MADV_DONTFORK);
	group->process = evr_process_id();
	return 0;
}

static void unmap_ring(struct evring_group *group)
{
	if (ring_is_mapped(group))
		munmap(group->ring, ring_size(group));
	group->ring = NULL;
}

char *evr_group_data(const struct evring_group *group, unsigned i)
{
	return group->memory + (size_t)i * group->size;
}

/*
 * giving buffers to the kernel, or into the list
 */

/* What was in this place remembers how long it was (trap d). */
static void leave_place(struct evring_group *group, unsigned place)
{
	struct io_uring_buf *buf = &group->ring->bufs[place];
	struct evr_buffer *b;

	if (buf->bid == NOBODY)
		return;
	b = &group->buffers[buf->bid];
	if (b->place == place)
		b->len = buf->len;
}

static void set_provided(struct evring_group *group, struct evr_buffer *b,
			 bool is_provided)
{
	group->nr_given += (unsigned)is_provided - (unsigned)b->is_provided;
	b->is_provided = is_provided;
}

/* Into the next place of the ring. */
static void add(struct evring_group *group, unsigned i)
{
	struct io_uring_buf_ring *ring = group->ring;
	unsigned mask = group->nr_buffers - 1;
	struct evr_buffer *b = &group->buffers[i];

	leave_place(group, ring->tail & mask);
	b->place = (unsigned short)(ring->tail & mask);
	b->len = group->size;
	io_uring_buf_ring_add(ring, evr_group_data(group, i), group->size,
			      (unsigned short)i, (int)mask, 0);
	io_uring_buf_ring_advance(ring, 1);
	b->filled = 0;
	set_provided(group, b, true);
	group->buffers[group->last_added].next = (unsigned short)i;
	group->last_added = i;
}

static void push(struct evring_group *group, unsigned i)
{
	group->buffers[i].below = (unsigned short)group->unused;
	group->unused = i;
}

static unsigned pop(struct evring_group *group)
{
	unsigned i = group->unused;

	group->unused = group->buffers[i].below;
	return i;
}

/* Invariant 3. */
static void refill(struct evring_group *group)
{
	if (group->is_plain || !group->ring_id || !ring_is_mapped(group))
		return;
	while (group->nr_given < group->nr_wanted && group->unused != NO_BUFFER)
		add(group, pop(group));
}

/* Buffer i is nobody's. */
static void give(struct evring_group *group, unsigned i)
{
	group->nr_puts++;
	push(group, i);
	if (group->is_plain)
		set_provided(group, &group->buffers[i], true);
	else
		refill(group);
}

bool evr_group_grow(struct evring_group *group)
{
	if (group->is_plain || group->unused == NO_BUFFER)
		return false;
	if (group->nr_taken - group->grown_at >= group->nr_wanted &&
	    group->nr_wanted < group->nr_buffers) {
		group->nr_wanted *= 2;
		group->grown_at = group->nr_taken;
	}
	refill(group);
	return true;
}

int evr_group_pick(struct evring_group *group)
{
	unsigned i;

	if (group->unused == NO_BUFFER)
		return -1;
	i = pop(group);
	set_provided(group, &group->buffers[i], false);
	return (int)i;
}

void evr_group_return(struct evring_group *group, unsigned i)
{
	if (group->flags & EVRING_GROUP_INCREMENTAL)
		return; /* trap e */
	set_provided(group, &group->buffers[i], false);
	give(group, i);
	evr_group_wake_one(group);
}

/*
 * registration
 */

static unsigned new_id(void)
{
	static _Atomic unsigned nr;

	return (LAST_ID - atomic_fetch_add(&nr, 1)) & LAST_ID;
}

/* An empty ring, and on the shelf what nobody holds. */
static void empty_ring(struct evring_group *group)
{
	unsigned i;

	group->ring->tail = 0;
	group->unused = NO_BUFFER;
	for (i = group->nr_buffers; i--;) {
		group->ring->bufs[i].bid = NOBODY;
		set_provided(group, &group->buffers[i], false);
		if (!group->buffers[i].nr_held)
			push(group, i);
	}
}

static int register_ring(struct evring_group *group, struct io_uring *uring)
{
	struct io_uring_buf_reg reg = {
		.ring_addr = (uint64_t)(uintptr_t)group->ring,
		.ring_entries = group->nr_buffers,
	};
	unsigned i, flags = 0;
	int r = -EEXIST;

	if (group->flags & EVRING_GROUP_INCREMENTAL)
		flags = IOU_PBUF_RING_INC;
	for (i = 0; i <= LAST_ID && r == -EEXIST; i++) {
		if (i)
			group->id = new_id();
		reg.bgid = (uint16_t)group->id;
		r = io_uring_register_buf_ring(uring, &reg, flags);
	}
	return r;
}

static int renew(struct evring_group *group, struct io_uring *uring,
		 uint64_t ring_id)
{
	int r = map_ring(group);

	group->ring_id = 0;
	if (r < 0)
		return r;
	empty_ring(group);
	r = register_ring(group, uring);
	if (r < 0)
		return r;
	group->ring_id = ring_id;
	refill(group);
	return 0;
}

int evr_group_ready(struct evring_group *group, struct evr_poll *poll)
{
	struct io_uring *uring;
	uint64_t ring_id;
	int r = evr_poll_ring(poll, &uring);

	if (evr_unlikely(r < 0))
		return r;
	ring_id = evr_poll_ring_id(poll);
	if (evr_likely(group->ring_id == ring_id))
		return 0;
	if (group->nr_users)
		return -EBUSY; /* trap b */
	if (!group->is_plain)
		return renew(group, uring, ring_id);
	group->ring_id = ring_id;
	return 0;
}

/* Tell the ring, if it is still the one. */
static void unregister(struct evring_group *group)
{
	struct evr_poll *poll = evr_bind_find(group->loop);
	struct io_uring *uring;

	if (group->is_plain || !group->ring_id || !poll ||
	    evr_poll_ring_id(poll) != group->ring_id)
		return;
	if (evr_poll_ring(poll, &uring) >= 0 &&
	    evr_poll_ring_id(poll) == group->ring_id)
		(void)io_uring_unregister_buf_ring(uring, (int)group->id);
}

/*
 * taking and putting
 */

/* What there was room for in buffer i when the kernel took it. */
static unsigned room(const struct evring_group *group, unsigned i)
{
	const struct evr_buffer *b = &group->buffers[i];
	const struct io_uring_buf *buf = &group->ring->bufs[b->place];

	return ring_is_mapped(group) && buf->bid == i ? buf->len : b->len;
}

static void hold(struct evring_group *group, struct evr_buffer *b, int size,
		 bool is_provided)
{
	if (!b->nr_held++)
		group->nr_free--;
	b->filled += (unsigned)size;
	set_provided(group, b, is_provided);
}

/* What a crowd needed is not needed for ever. */
static void count_taken(struct evring_group *group)
{
	if (++group->nr_taken % LEARNT == 0 && group->nr_wanted > WANTED)
		group->nr_wanted /= 2;
}

int evr_group_share(const struct evring_group *group, unsigned i, int size)
{
	unsigned len = group->buffers[i].len;

	return len && len < (unsigned)size ? (int)len : size;
}

unsigned evr_group_next(const struct evring_group *group, unsigned i)
{
	return group->buffers[i].next;
}

char *evr_group_take(struct evring_group *group, unsigned i, int size,
		     unsigned flags, bool is_bundle)
{
	char *data = evr_group_data(group, i) + group->buffers[i].filled;
	struct evr_buffer *b;
	int share;

	do {
		b = &group->buffers[i];
		b->len = is_bundle ? room(group, i) : (unsigned)size;
		share = evr_group_share(group, i, size);
		hold(group, b, share, flags & IORING_CQE_F_BUF_MORE);
		size -= share;
		i = b->next;
	} while (size > 0);
	count_taken(group);
	refill(group);
	return data;
}

static int put(struct evring_group *group, unsigned i)
{
	struct evr_buffer *b = &group->buffers[i];

	if (!b->nr_held)
		return -EINVAL;
	if (--b->nr_held)
		return 0;
	group->nr_free++;
	if (!b->is_provided) {
		b->filled = 0;
		give(group, i);
		evr_group_wake_one(group);
	}
	return 0;
}

EVR_API int evring_group_put(struct evring_group *group, void *data)
{
	uintptr_t offset;

	if (!group || (char *)data < group->memory)
		return -EINVAL;
	offset = (uintptr_t)data - (uintptr_t)group->memory;
	if (offset >= (size_t)group->nr_buffers * group->size)
		return -EINVAL;
	return put(group, (unsigned)(offset / group->size));
}

/*
 * waiting
 */

bool evr_group_is_dry(const struct evring_group *group)
{
	return !group->nr_given;
}

bool evr_group_has_waiting(const struct evring_group *group)
{
	return group->first_waiting[EVR_FRONT] ||
	       group->first_waiting[EVR_BACK];
}

void evr_group_wait(struct evring_group *group, struct evring_recv *recv,
		    enum evr_group_queue queue)
{
	recv->queue = queue;
	recv->next = NULL;
	recv->prev = group->last_waiting[queue];
	if (recv->prev)
		recv->prev->next = recv;
	else
		group->first_waiting[queue] = recv;
	group->last_waiting[queue] = recv;
}

void evr_group_forget(struct evring_group *group, struct evring_recv *recv)
{
	int queue = recv->queue;

	if (queue == EVR_NO_QUEUE)
		return;
	if (recv->prev)
		recv->prev->next = recv->next;
	else
		group->first_waiting[queue] = recv->next;
	if (recv->next)
		recv->next->prev = recv->prev;
	else
		group->last_waiting[queue] = recv->prev;
	recv->queue = EVR_NO_QUEUE;
}

static struct evring_recv *take_waiting(struct evring_group *group)
{
	struct evring_recv *recv = group->first_waiting[EVR_FRONT];

	if (!recv)
		recv = group->first_waiting[EVR_BACK];
	if (recv)
		evr_group_forget(group, recv);
	return recv;
}

/* One that is not parked any more was cancelled, and will hear of that. */
void evr_group_wake_one(struct evring_group *group)
{
	struct evring_recv *recv = take_waiting(group);

	while (evr_unlikely(recv && !evr_poll_is_parked(&recv->op)))
		recv = take_waiting(group);
	if (evr_likely(!recv))
		return;
	recv->is_granted = true;
	evr_poll_wake(evr_bind_find(group->loop), &recv->op, 0);
}

void evr_group_enter(struct evring_group *group)
{
	group->nr_users++;
}

/* Those that wait for the last user of a ring that went ask the new one. */
void evr_group_leave(struct evring_group *group)
{
	struct evr_poll *poll;

	if (--group->nr_users || !evr_group_has_waiting(group))
		return;
	poll = evr_bind_find(group->loop);
	if (!poll || evr_poll_ring_id(poll) == group->ring_id)
		return;
	while (evr_group_has_waiting(group))
		evr_group_wake_one(group);
}

/*
 * life
 */

static unsigned round_up(unsigned n)
{
	unsigned power = 1;

	while (power < n)
		power *= 2;
	return power;
}

/* "Not there", whatever the features say: a sandbox. */
static bool means_plain(int error)
{
	return error == -EINVAL || error == -ENOSYS || error == -EPERM ||
	       error == -EACCES || error == -EOPNOTSUPP;
}

static void make_plain(struct evring_group *group)
{
	unsigned i;

	unmap_ring(group);
	group->is_plain = true;
	group->flags &= ~(unsigned)EVRING_GROUP_INCREMENTAL;
	group->unused = NO_BUFFER;
	for (i = group->nr_buffers; i--;) {
		set_provided(group, &group->buffers[i], false);
		give(group, i);
	}
}

static int choose_group_form(struct evring_group *group, struct evr_poll *poll)
{
	unsigned have = evr_poll_have(poll);
	int r = -ENOSYS;

	if (!(have & EVR_HAVE_PBUF_INC))
		group->flags &= ~(unsigned)EVRING_GROUP_INCREMENTAL;
	if (have & EVR_HAVE_MULTISHOT_RECV)
		r = evr_group_ready(group, poll);
	if (means_plain(r) && group->flags & EVRING_GROUP_INCREMENTAL) {
		group->flags &= ~(unsigned)EVRING_GROUP_INCREMENTAL;
		r = evr_group_ready(group, poll);
	}
	if (!means_plain(r))
		return r;
	make_plain(group);
	return evr_group_ready(group, poll);
}

static int init(struct evring_group *group, struct evr_poll *poll)
{
	int r;

	group->buffers = calloc(group->nr_buffers, sizeof(*group->buffers));
	if (!group->buffers)
		return -ENOMEM;
	r = map_buffers(group);
	if (r >= 0)
		r = choose_group_form(group, poll);
	if (r < 0)
		evring_group_exit(group);
	return r;
}

EVR_API int evring_group_init(struct ev_loop *loop, struct evring_group *group,
			      unsigned nr_buffers, unsigned size,
			      unsigned flags)
{
	const unsigned known = EVRING_GROUP_HUGE | EVRING_GROUP_INCREMENTAL;
	struct evr_poll *poll = evr_bind_find(loop);
	int error = errno;
	int r;

	if (!loop || !group || !nr_buffers || nr_buffers > MAX_BUFFERS ||
	    !size || size > MAX_SIZE || flags & ~known)
		return -EINVAL;
	if (!poll)
		return -ENXIO;
	memset(group, 0, sizeof(*group));
	group->loop = loop;
	group->nr_buffers = group->nr_free = round_up(nr_buffers);
	group->size = (size + ALIGN - 1) & ~(unsigned)(ALIGN - 1);
	group->flags = flags;
	group->id = new_id();
	group->nr_wanted = WANTED;
	group->unused = NO_BUFFER;
	if (group->size > SIZE_MAX / 2 / group->nr_buffers)
		return -ENOMEM;
	r = init(group, poll);
	errno = error;
	return r;
}

EVR_API int evring_group_exit(struct evring_group *group)
{
	int error = errno;

	if (!group)
		return -EINVAL;
	if (group->nr_active)
		return -EBUSY;
	unregister(group);
	unmap_ring(group);
	if (group->memory)
		munmap(group->memory, group->memory_size);
	free(group->buffers);
	memset(group, 0, sizeof(*group));
	errno = error;
	return 0;
}
