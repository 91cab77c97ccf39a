/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * forks.c - a program with children of every kind.
 */
#define _GNU_SOURCE

#include "parts.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../preload/page.h"

extern char **environ;

/* Starts child, which ends with what it returns, and waits for it. */
static void with_child(int (*child)(void *arg), void *arg)
{
	int pid = fork();

	need(pid >= 0);
	if (pid == 0)
		_exit(child(arg));
	say_end(pid);
}

/*
 * children that go on with a loop
 */

static int go_on(void *arg)
{
	struct ev_loop *loop = arg;

	ev_loop_fork(loop);
	work(loop, "child");
	return 5;
}

static int end_it(void *arg)
{
	ev_loop_destroy(arg);
	work(ev_loop_new(0), "child");
	return 6;
}

static int leave_it(void *arg)
{
	(void)arg;
	return 7;
}

static void play_children(char **args)
{
	struct ev_loop *loop = ev_default_loop(0);

	(void)args;
	work(loop, "parent");
	with_child(go_on, loop);
	work(loop, "parent");
	with_child(end_it, loop);
	work(loop, "parent");
	with_child(leave_it, loop);
	work(loop, "parent");
}

/* A child that is noticed without ev_loop_fork. */

static int just_go_on(void *arg)
{
	work(arg, "child");
	return 5;
}

static void play_forkcheck(char **args)
{
	struct ev_loop *loop = ev_default_loop(EVFLAG_FORKCHECK);

	(void)args;
	work(loop, "parent");
	with_child(just_go_on, loop);
	work(loop, "parent");
}

static int make_first(void *arg)
{
	(void)arg;
	work(ev_default_loop(0), "child");
	return 5;
}

/* The parent has no loop when it forks. */
static void play_first_in_child(char **args)
{
	(void)args;
	with_child(make_first, NULL);
	work(ev_default_loop(0), "parent");
}

static int make_grandchild(void *arg)
{
	ev_loop_fork(arg);
	work(arg, "child");
	with_child(go_on, arg);
	return 5;
}

static void play_grandchildren(char **args)
{
	struct ev_loop *loop = ev_default_loop(0);

	(void)args;
	work(loop, "parent");
	with_child(make_grandchild, loop);
}

/* As daemons start: a loop, then daemon(), then work. */
static void play_daemon(char **args)
{
	struct ev_loop *loop = ev_default_loop(0);

	(void)args;
	work(loop, "before");
	need(daemon(1, 1) == 0);
	ev_loop_fork(loop);
	work(loop, "daemon");
}

/*
 * children that execute args
 */

static int execute(void *arg)
{
	char **args = arg;

	execvp(args[0], args);
	return 111;
}

static void play_exec(char **args)
{
	work(ev_default_loop(0), "parent");
	with_child(execute, args);
	work(ev_default_loop(0), "parent");
}

static void play_vfork(char **args)
{
	int pid;

	work(ev_default_loop(0), "parent");
	pid = vfork();
	need(pid >= 0);
	if (pid == 0) {
		execvp(args[0], args);
		_exit(111);
	}
	say_end(pid);
}

static void play_spawn(char **args)
{
	int pid;

	work(ev_default_loop(0), "parent");
	need(posix_spawnp(&pid, args[0], NULL, NULL, args, environ) == 0);
	say_end(pid);
	work(ev_default_loop(0), "parent");
}

/* The program goes on as another. */
static void play_become(char **args)
{
	work(ev_default_loop(0), "before");
	execvp(args[0], args);
}

/* With an environment of the program's own. */
static void play_clean(char **args)
{
	char *none[] = { NULL };

	work(ev_default_loop(0), "before");
	execve(args[0], args, none);
}

/*
 * the page of counters, which only a program under `evring run` has
 */

enum { NUMBERS = 64 };

/* The page that fd stands for, mapped; NULL if it is something else. */
static const struct evr_page *map_page(int fd)
{
	char path[64], target[64];
	ssize_t len;
	void *page;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	len = readlink(path, target, sizeof(target) - 1);
	if (len < 0)
		return NULL;
	target[len] = 0;
	if (strcmp(target, EVR_PAGE_LINK) != 0)
		return NULL;
	page = mmap(NULL, sizeof(struct evr_page), PROT_READ, MAP_SHARED, fd,
		    0);
	return page == MAP_FAILED ? NULL : page;
}

/* This process's; a child may have its parent's open as well. */
static const struct evr_page *find_page(void)
{
	const struct evr_page *page;
	int fd;

	for (fd = 0; fd < NUMBERS; fd++) {
		page = map_page(fd);
		if (page && page->pid == getpid())
			return page;
	}
	return NULL;
}

static uint64_t turns_on(const struct evr_page *page)
{
	uint64_t turns = page->ended.turns;
	int i;

	for (i = 0; i < EVR_PAGE_SLOTS; i++)
		if (page->slots[i].state == EVR_SLOT_ATTACHED)
			turns += page->slots[i].stats.turns;
	return turns;
}

static int child_with_page(void *arg)
{
	struct ev_loop *loop = arg;
	const struct evr_page *page;
	struct ev_loop *other;

	ev_loop_fork(loop);
	work(loop, "child");
	other = ev_loop_new(0);
	work(other, "child");
	page = find_page();
	need(page);
	say("child: its own page, turns counted: %s",
	    turns_on(page) > 50 ? "yes" : "no");
	ev_loop_destroy(other);
	return 0;
}

static void play_page(char **args)
{
	struct ev_loop *loop = ev_default_loop(0);
	static struct evr_page before;
	const struct evr_page *page;

	(void)args;
	work(loop, "parent");
	page = find_page();
	need(page);
	need(page->magic == EVR_PAGE_MAGIC && page->size == sizeof(*page));
	memcpy(&before, page, sizeof(before));
	need(turns_on(&before) > 50);
	with_child(child_with_page, loop);
	say("parent's page is %s", memcmp(&before, page, sizeof(before)) == 0
					   ? "as it was"
					   : "changed");
	work(loop, "parent");
	say("parent counts: %s",
	    turns_on(page) > turns_on(&before) ? "yes" : "no");
}

/* As many loops as a page has no room for. */
static void play_full_page(char **args)
{
	enum { MANY = EVR_PAGE_SLOTS + 45 };
	static struct ev_loop *loops[MANY];
	const struct evr_page *page;
	int i;

	(void)args;
	for (i = 0; i < MANY; i++) {
		loops[i] = ev_loop_new(0);
		need(loops[i]);
	}
	page = find_page();
	need(page);
	say("%d made, %d ended, %d unseen", (int)page->nr_made,
	    (int)page->nr_ended, (int)page->nr_unseen);
	for (i = 0; i < MANY; i++)
		ev_loop_destroy(loops[i]);
	say("%d made, %d ended", (int)page->nr_made, (int)page->nr_ended);
	for (i = 0; i < EVR_PAGE_SLOTS; i++)
		need(page->slots[i].state == EVR_SLOT_FREE);
	work(ev_default_loop(0), "then");
	say("%d made, first slot: %s", (int)page->nr_made,
	    page->slots[0].state == EVR_SLOT_ATTACHED ? "attached" : "not");
}

/*
 * what stays open
 */

/* Not more after loops came and went; evring's own say close-on-exec. */
static int count_open(int *ret_inheritable)
{
	int fd, flags, nr = 0;

	*ret_inheritable = 0;
	for (fd = 3; fd < 1000; fd++) {
		flags = fcntl(fd, F_GETFD);
		if (flags < 0)
			continue;
		nr++;
		*ret_inheritable += !(flags & FD_CLOEXEC);
	}
	return nr;
}

static void play_leaks(char **args)
{
	int before, after, given, inheritable, i;
	struct ev_loop *loop;

	(void)args;
	(void)count_open(&given);
	work(ev_default_loop(0), "first");
	before = count_open(&inheritable);
	for (i = 0; i < 50; i++) {
		loop = ev_loop_new(0);
		ev_run(loop, EVRUN_NOWAIT);
		ev_loop_destroy(loop);
	}
	after = count_open(&inheritable);
	say("%d more files, %d inheritable", after - before,
	    inheritable - given);
}

enum { CLOSED = 100 };

static int open_one(void *arg)
{
	int ignored;

	(void)arg;
	say("open gave %d", open("/dev/null", O_RDONLY));
	say("%d more are open", count_open(&ignored));
	return 0;
}

/* All numbers are to stand for the file that 0 stands for. */
static int compare_files(void *arg)
{
	struct stat given, st;
	int fd, nr = 0;

	(void)arg;
	need(fstat(0, &given) == 0);
	for (fd = 3; fd < CLOSED; fd++)
		nr += fstat(fd, &st) < 0 || st.st_dev != given.st_dev ||
		      st.st_ino != given.st_ino;
	say("%d are another file", nr);
	return 0;
}

/*
 * Who closed all files knows which number comes next, in children as well, and
 * finds what it opened under its number there.
 */
static void play_low_numbers(char **args)
{
	int fd;

	(void)args;
	need(ev_default_loop(0));
	for (fd = 3; fd < CLOSED; fd++)
		close(fd);
	close(0);
	with_child(open_one, NULL);
	need(open("/dev/null", O_RDONLY) == 0);
	for (fd = 3; fd < CLOSED; fd++)
		need(dup2(0, fd) == fd);
	with_child(compare_files, NULL);
}

const struct part parts[] = {
	{ "children", play_children },
	{ "forkcheck", play_forkcheck },
	{ "first-in-child", play_first_in_child },
	{ "grandchildren", play_grandchildren },
	{ "daemon", play_daemon },
	{ "exec", play_exec },
	{ "vfork", play_vfork },
	{ "spawn", play_spawn },
	{ "become", play_become },
	{ "clean", play_clean },
	{ "page", play_page },
	{ "full-page", play_full_page },
	{ "leaks", play_leaks },
	{ "low-numbers", play_low_numbers },
	{ NULL, NULL },
};
