/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * page.c - a process with a page as `evring run' makes it, or one that is
 *wrong.
 *
 *	page KIND
 *
 * Prints "ready PID" when the page is there, and ends when its stdin does, or
 * after 30 seconds.  PID is the process to ask about.
 *
 * The loops of a good page: one default loop in the region tier, one in the
 * copied tier, one that lost its ring, one on select, one that was refused.
 * Counters are numbers that differ from each other.
 */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../preload/page.h"

enum { SELECT = 1, EPOLL = 4 };

static struct evr_page *page;
static int fd;

static _Noreturn void fail(const char *what)
{
	perror(what);
	exit(1);
}

static void make_page(void)
{
	fd = memfd_create(EVR_PAGE_NAME, MFD_CLOEXEC);
	if (fd < 0 || ftruncate(fd, sizeof(*page)) < 0)
		fail("memfd");
	page = mmap(NULL, sizeof(*page), PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		    0);
	if (page == MAP_FAILED)
		fail("mmap");
}

static void fill_stats(struct evring_stats *stats, uint64_t from)
{
	uint64_t *counters = (uint64_t *)stats;
	int i;

	for (i = 0; i < 12; i++)
		counters[i] = from + (uint64_t)i;
}

static struct evr_slot *fill_slot(int i, uint64_t loop, uint32_t state)
{
	struct evr_slot *slot = &page->slots[i];

	slot->loop = loop;
	slot->backend = EPOLL;
	slot->state = state;
	return slot;
}

static void fill_head(void)
{
	page->size = sizeof(*page);
	page->nr_slots = EVR_PAGE_SLOTS;
	page->pid = (int32_t)getpid();
	snprintf(page->version, sizeof(page->version), "%s", VERSION);
	page->magic = EVR_PAGE_MAGIC;
}

static void fill_good(void)
{
	struct evr_slot *slot;

	slot = fill_slot(0, 0x1000, EVR_SLOT_ATTACHED);
	slot->tier = EVRING_TIER_REGION;
	slot->is_default = 1;
	fill_stats(&slot->stats, 100);
	slot = fill_slot(2, 0x2000, EVR_SLOT_ATTACHED);
	slot->tier = EVRING_TIER_COPIED;
	fill_stats(&slot->stats, 200);
	slot = fill_slot(3, 0x3000, EVR_SLOT_ATTACHED);
	slot->tier = EVRING_TIER_REGION;
	slot->stats.rings_lost = 1;
	slot = fill_slot(100, 0x4000, EVR_SLOT_REFUSED);
	slot->error = -ENOTSUP;
	slot->backend = SELECT;
	slot = fill_slot(EVR_PAGE_SLOTS - 1, 0x5000, EVR_SLOT_REFUSED);
	slot->error = -EPERM;
	fill_slot(50, 0x6000, EVR_SLOT_TAKEN);
	page->nr_made = 9;
	page->nr_ended = 3;
	page->nr_unseen = 1;
	fill_stats(&page->ended, 300);
	fill_head();
}

static void fill_lost(void)
{
	fill_slot(0, 0x3000, EVR_SLOT_ATTACHED)->tier = EVRING_TIER_REGION;
	page->slots[0].stats.rings_lost = 1;
	fill_head();
}

static void fill_empty(void)
{
	fill_head();
}

static void fill_unready(void)
{
	fill_good();
	page->magic = 0;
}

static void fill_foreign(void)
{
	fill_good();
	page->magic++;
}

static void fill_other_version(void)
{
	fill_good();
	memset(page->version, '9', sizeof(page->version)); /* no end */
}

static void fill_other_size(void)
{
	fill_good();
	page->size--;
}

static void fill_other_slots(void)
{
	fill_good();
	page->nr_slots = UINT32_MAX;
}

static void fill_other_pid(void)
{
	fill_good();
	page->pid = 1;
}

/* All that a reader could take for an index, a size or a text. */
static void fill_garbage(void)
{
	memset(page, 0xff, sizeof(*page));
	fill_head();
	page->slots[0].state = EVR_SLOT_ATTACHED;
	page->slots[1].state = EVR_SLOT_REFUSED;
	page->slots[2].state = EVR_SLOT_REFUSED;
	page->slots[2].error = INT32_MIN;
	page->slots[2].backend = EPOLL;
}

static void fill_short(void)
{
	fill_good();
	if (ftruncate(fd, (off_t)sizeof(*page) / 2) < 0)
		fail("ftruncate");
}

static void fill_nothing(void)
{
	fill_good();
	if (ftruncate(fd, 0) < 0)
		fail("ftruncate");
}

static void fill_and_close(void)
{
	fill_good();
	close(fd);
}

static void rename_program(void)
{
	fill_good();
	(void)prctl(PR_SET_NAME, "a\"\\\x1b[1m\xc3\xa9\xff");
}

/* A child that has the page of its parent and none of its own. */
static void fork_child(void)
{
	pid_t child;

	fill_good();
	child = fork();
	if (child < 0)
		fail("fork");
	if (child) {
		while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
			;
		exit(0);
	}
}

static void take_and_free(void)
{
	struct evr_slot *slot = &page->slots[7];

	slot->state = EVR_SLOT_FREE;
	slot->loop += 16;
	slot->state = EVR_SLOT_ATTACHED;
}

static void shrink_and_grow(void)
{
	if (ftruncate(fd, 100) < 0 || ftruncate(fd, sizeof(*page)) < 0)
		fail("ftruncate");
}

static const struct {
	const char *name;
	void (*fill)(void);
	void (*change)(void); /* again and again */
} kinds[] = {
	{ "good", fill_good, NULL },
	{ "lost", fill_lost, NULL },
	{ "empty", fill_empty, NULL },
	{ "unready", fill_unready, NULL },
	{ "foreign", fill_foreign, NULL },
	{ "other-version", fill_other_version, NULL },
	{ "other-size", fill_other_size, NULL },
	{ "other-slots", fill_other_slots, NULL },
	{ "other-pid", fill_other_pid, NULL },
	{ "garbage", fill_garbage, NULL },
	{ "short", fill_short, NULL },
	{ "nothing", fill_nothing, NULL },
	{ "closed", fill_and_close, NULL },
	{ "strange-name", rename_program, NULL },
	{ "forked", fork_child, NULL },
	{ "busy", fill_good, take_and_free },
	{ "shrinking", fill_good, shrink_and_grow },
};

/* The parent of whoever waits holds stdin's other end. */
static void wait_for_end(void)
{
	char byte;

	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
}

static void run(size_t kind)
{
	make_page();
	kinds[kind].fill();
	alarm(30);
	printf("ready %d\n", (int)getpid());
	fflush(stdout);
	if (!kinds[kind].change)
		wait_for_end();
	else
		for (;;)
			kinds[kind].change();
}

int main(int argc, char **argv)
{
	size_t i;

	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (argc == 2 && !strcmp(kinds[i].name, argv[1])) {
			run(i);
			return 0;
		}
	fprintf(stderr, "page: no such kind\n");
	return 2;
}
