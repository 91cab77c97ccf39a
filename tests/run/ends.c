/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ends.c - a program that ends in every way, and one whose stderr is not what
 * it was.
 */
#define _GNU_SOURCE

#include "parts.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static void work_once(void)
{
	work(ev_default_loop(0), "loop");
}

static void play_return(char **args)
{
	(void)args;
	work_once();
}

static void play_exit(char **args)
{
	(void)args;
	work_once();
	exit(4);
}

static void play__exit(char **args)
{
	(void)args;
	work_once();
	_exit(5);
}

static void play__Exit(char **args)
{
	(void)args;
	work_once();
	_Exit(6);
}

static void play_quick_exit(char **args)
{
	(void)args;
	work_once();
	quick_exit(7);
}

static void play_abort(char **args)
{
	(void)args;
	work_once();
	abort();
}

/* The loop is gone by then; its counters should not be. */
static void play_destroyed(char **args)
{
	(void)args;
	work_once();
	ev_loop_destroy(EV_DEFAULT_UC);
	exit(4);
}

static void end_in_handler(void)
{
	say("a handler of the program's");
}

/* What atexit() knows runs as well. */
static void play_atexit(char **args)
{
	(void)args;
	need(atexit(end_in_handler) == 0);
	work_once();
}

/*
 * signals that ask for statistics
 */

/* Says when it runs; until TERM. */

static void on_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)loop;
	(void)w;
	(void)revents;
	say("ready");
}

static void on_term(struct ev_loop *loop, ev_signal *w, int revents)
{
	(void)w;
	(void)revents;
	ev_break(loop, EVBREAK_ALL);
}

static void run_until_term(void)
{
	struct ev_loop *loop = ev_default_loop(0);
	ev_timer timer;
	ev_signal term;

	ev_timer_init(&timer, on_timer, 0.01, 0.);
	ev_timer_start(loop, &timer);
	ev_signal_init(&term, on_term, SIGTERM);
	ev_signal_start(loop, &term);
	ev_run(loop, 0);
	say("done");
}

static void play_serve(char **args)
{
	(void)args;
	run_until_term();
}

/* The program wants the signal for itself. */

static volatile sig_atomic_t nr_usr2;

static void on_usr2(int signum)
{
	(void)signum;
	nr_usr2++;
	say("the program's handler");
}

static void play_own_signal(char **args)
{
	struct sigaction action = { .sa_handler = on_usr2 };

	(void)args;
	need(sigaction(SIGUSR2, &action, NULL) == 0);
	run_until_term();
}

/* Threads that have it blocked, and calls that may not be interrupted. */
static void play_sleep(char **args)
{
	char byte;

	(void)args;
	work_once();
	say("ready");
	say("read: %d", (int)read(STDIN_FILENO, &byte, 1));
}

/*
 * fd 2
 */

/* ends taken FILE: whatever is told to fd 2 would reach FILE. */
static void play_taken(char **args)
{
	int fd;

	work_once();
	close(STDERR_FILENO);
	fd = open(args[0], O_RDWR | O_CREAT | O_APPEND, 0600);
	need(fd == STDERR_FILENO);
	run_until_term();
}

/* The same before anything of libev was used. */
static void play_taken_first(char **args)
{
	close(STDERR_FILENO);
	need(open(args[0], O_RDWR | O_CREAT | O_APPEND, 0600) == STDERR_FILENO);
	run_until_term();
}

/* Started without stderr: the first file that is opened becomes fd 2. */
static void play_missing(char **args)
{
	int fd = open(args[0], O_RDWR | O_CREAT | O_APPEND, 0600);

	say("fd %d", fd);
	run_until_term();
}

static void play_closed(char **args)
{
	(void)args;
	work_once();
	close(STDERR_FILENO);
	run_until_term();
	say("2 is %s", fcntl(2, F_GETFD) < 0 ? "closed" : "open");
}

/* Becomes another program, whose stderr is a pipe that nobody reads. */
static void play_broken_pipe(char **args)
{
	int fds[2];

	need(pipe(fds) == 0);
	need(dup2(fds[1], STDERR_FILENO) == STDERR_FILENO);
	close(fds[0]);
	close(fds[1]);
	execvp(args[0], args);
}

/* As small as SIGSTKSZ was for 30 years, with nothing around it. */
static void play_small_stack(char **args)
{
	enum { SIZE = 8192, PAGE = 4096 };
	char *pages = mmap(NULL, SIZE + 2 * PAGE, PROT_NONE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	stack_t stack = { .ss_sp = pages + PAGE, .ss_size = SIZE };

	(void)args;
	need(pages != MAP_FAILED &&
	     mprotect(stack.ss_sp, SIZE, PROT_READ | PROT_WRITE) == 0 &&
	     sigaltstack(&stack, NULL) == 0);
	work_once();
	raise(SIGUSR2);
	say("alive");
}

const struct part parts[] = {
	{ "return", play_return },
	{ "exit", play_exit },
	{ "_exit", play__exit },
	{ "_Exit", play__Exit },
	{ "quick_exit", play_quick_exit },
	{ "abort", play_abort },
	{ "destroyed", play_destroyed },
	{ "atexit", play_atexit },
	{ "serve", play_serve },
	{ "own-signal", play_own_signal },
	{ "sleep", play_sleep },
	{ "taken", play_taken },
	{ "taken-first", play_taken_first },
	{ "missing", play_missing },
	{ "closed", play_closed },
	{ "small-stack", play_small_stack },
	{ "broken-pipe", play_broken_pipe },
	{ NULL, NULL },
};
