/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ledger.c - the page in which this process shows its loops; nobody but the
 * loops themselves writes their counters.
 *
 * The page is a memfd, so that nothing is left behind however the process ends,
 * made with the first loop.  The program may close its fd, or get the number
 * for something else; the mapping lives on.  Where no memfd is to be had the
 * page is private memory, for the statistics at exit.
 *
 * A forked child must not count in the page of its parent, and its loops know
 * the address by heart: so it gets a page of its own at the same address, with
 * the same loops and counters from zero.  (A child of vfork() shares all memory
 * and is not told; one of clone() without libc is on its own.)
 *
 * Invariants:
 *
 * (1) The address of the page never changes, and it is never unmapped.
 * (2) Who takes a slot from FREE to TAKEN owns it until it is entered.
 */
#include "config.h"

#include "ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static struct evr_page *_Atomic page;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static int page_fd = -1;
static struct stat page_file; /* of page_fd, should it still be that file */

/* The memfd, or -1 when there is none to be had.  A limit on the size of files
   counts for it, too, and going beyond it would be SIGXFSZ. */
static int make_file(void)
{
	struct rlimit limit;
	int fd;

	if (getrlimit(RLIMIT_FSIZE, &limit) < 0 ||
	    limit.rlim_cur < sizeof(struct evr_page))
		return -1;
	fd = memfd_create(EVR_PAGE_NAME, MFD_CLOEXEC);
	if (fd >= 0 && ftruncate(fd, sizeof(struct evr_page)) < 0) {
		close(fd);
		fd = -1;
	}
	return fd;
}

static void *map(int fd)
{
	int flags = fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;

	return mmap(NULL, sizeof(struct evr_page), PROT_READ | PROT_WRITE,
		    flags, fd, 0);
}

static void close_file(int fd)
{
	if (fd >= 0)
		close(fd);
}

static void remember_file(int fd)
{
	page_fd = fd;
	if (fd < 0 || fstat(fd, &page_file) < 0)
		page_fd = -1;
}

static void begin_page(struct evr_page *p)
{
	p->size = sizeof(*p);
	p->nr_slots = EVR_PAGE_SLOTS;
	p->pid = getpid();
	strncpy(p->version, VERSION, sizeof(p->version) - 1);
	atomic_store(&p->magic, EVR_PAGE_MAGIC);
}

/*
 * fork
 */

static bool is_our_file(int fd)
{
	struct stat st;

	return fd >= 0 && fstat(fd, &st) == 0 &&
	       st.st_dev == page_file.st_dev && st.st_ino == page_file.st_ino;
}

/* The new file, if there is one, under the number of the old one. */
static int replace_file(int fd)
{
	if (fd < 0 || dup3(fd, page_fd, O_CLOEXEC) < 0)
		return fd;
	close(fd);
	return page_fd;
}

/* What the slots say, but for the counters. */
static void copy_slots(struct evr_page *to, const struct evr_page *from)
{
	uint32_t state;
	int i;

	for (i = 0; i < EVR_PAGE_SLOTS; i++) {
		state = atomic_load(&from->slots[i].state);
		if (state != EVR_SLOT_ATTACHED && state != EVR_SLOT_REFUSED)
			continue;
		to->slots[i] = from->slots[i];
		memset(&to->slots[i].stats, 0, sizeof(to->slots[i].stats));
	}
}

/* Made elsewhere, filled, and then moved over the old one. */
static bool move_new_page(int fd, struct evr_page *old)
{
	struct evr_page *new = map(fd);

	if (new == MAP_FAILED)
		return false;
	copy_slots(new, old);
	begin_page(new);
	if (mremap(new, sizeof(*new), sizeof(*new),
		   MREMAP_MAYMOVE | MREMAP_FIXED, old) != MAP_FAILED)
		return true;
	munmap(new, sizeof(*new));
	return false;
}

/* Without memory the child counts in the page of its parent: wrong figures are
   the lesser evil. */
static void renew_page(void)
{
	struct evr_page *old = atomic_load(&page);
	int error = errno;
	int fd;

	if (!old)
		return;
	/* Only where replace_file() finds the old one: no number more. */
	fd = is_our_file(page_fd) ? make_file() : -1;
	if (move_new_page(fd, old))
		remember_file(replace_file(fd));
	else
		close_file(fd);
	errno = error;
}

/*
 * slots
 */

static void make_page(void)
{
	int fd = make_file();
	struct evr_page *p = map(fd);

	if (p == MAP_FAILED) {
		close_file(fd);
		return;
	}
	remember_file(fd);
	begin_page(p);
	atomic_store(&page, p);
	pthread_atfork(NULL, NULL, renew_page);
}

const struct evr_page *evr_ledger_page(void)
{
	return atomic_load(&page);
}

struct evr_slot *evr_ledger_open(const void *loop)
{
	struct evr_page *p;
	uint32_t free_slot;
	int i;

	pthread_once(&once, make_page);
	p = atomic_load(&page);
	for (i = 0; p && i < EVR_PAGE_SLOTS; i++) {
		free_slot = EVR_SLOT_FREE;
		if (!atomic_compare_exchange_strong(&p->slots[i].state,
						    &free_slot, EVR_SLOT_TAKEN))
			continue;
		memset(&p->slots[i].error, 0,
		       sizeof(p->slots[i]) - offsetof(struct evr_slot, error));
		p->slots[i].loop = (uintptr_t)loop;
		return &p->slots[i];
	}
	return NULL;
}

void evr_ledger_enter(struct evr_slot *slot, enum evr_slot_state state)
{
	struct evr_page *p = atomic_load(&page);

	if (!p)
		return;
	atomic_fetch_add(&p->nr_made, 1);
	if (slot)
		atomic_store(&slot->state, state);
	else
		atomic_fetch_add(&p->nr_unseen, 1);
}

struct evr_slot *evr_ledger_find(const void *loop)
{
	struct evr_page *p = atomic_load(&page);
	uint32_t state;
	int i;

	for (i = 0; p && i < EVR_PAGE_SLOTS; i++) {
		state = atomic_load(&p->slots[i].state);
		if ((state == EVR_SLOT_ATTACHED || state == EVR_SLOT_REFUSED) &&
		    p->slots[i].loop == (uintptr_t)loop)
			return &p->slots[i];
	}
	return NULL;
}

/* The members are counters, all of them. */
static void add_stats(struct evring_stats *sum, const struct evring_stats *more)
{
	uint64_t *to = (uint64_t *)sum;
	const uint64_t *from = (const uint64_t *)more;
	size_t i;

	for (i = 0; i < sizeof(*sum) / sizeof(*to); i++)
		__atomic_fetch_add(&to[i], from[i], __ATOMIC_RELAXED);
}

void evr_ledger_close(struct evr_slot *slot)
{
	struct evr_page *p = atomic_load(&page);

	if (!p)
		return;
	atomic_fetch_add(&p->nr_ended, 1);
	if (!slot)
		return;
	add_stats(&p->ended, &slot->stats);
	atomic_store(&slot->state, EVR_SLOT_FREE);
}
