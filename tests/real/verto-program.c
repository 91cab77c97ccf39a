// SPDX-License-Identifier: BSD-2-Clause
/*
 * verto-program.c - what a program on libverto sees of libev.
 *
 * Compiled and run by verto.sh with libev's epoll backend and with evring.  It
 * does not know of libev: libverto opens the module that does when the first
 * loop is made.  What it prints is the same on both: no time, no number of a
 * process or file.  An alarm ends it if nothing else does.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <verto.h>

enum { LIMIT = 40, NR_CLIENTS = 50, NR_ROUNDS = 6, BULK = 2000000 };

static verto_ctx *ctx;
static struct sockaddr_in address;
static bool failed;

static void check(const char *promise, bool holds)
{
	printf("%s - %s\n", holds ? "ok" : "not ok", promise);
	failed |= !holds;
}

static void *must(const char *what, void *result)
{
	if (result)
		return result;
	printf("not ok - %s\n", what);
	exit(1);
}

static void loop_until(const int *count, int wanted)
{
	while (*count < wanted)
		verto_run_once(ctx);
}

/*
 * Timers, idle, signals, children
 */

static char order[16];
static int nr_order;

static void note(verto_ctx *of, verto_ev *ev)
{
	(void)of;
	order[nr_order++] = *(const char *)verto_get_private(ev);
}

static void note_after(char *name, int milliseconds)
{
	verto_ev *ev =
		verto_add_timeout(ctx, VERTO_EV_FLAG_NONE, note, milliseconds);

	verto_set_private(must("a timeout", ev), name, NULL);
}

static void test_timeouts(void)
{
	note_after("3", 30);
	note_after("1", 2);
	note_after("2", 15);
	loop_until(&nr_order, 3);
	check("timeouts come in order", !strcmp(order, "123"));
}

static int nr_ticks;

static void tick(verto_ctx *of, verto_ev *ev)
{
	(void)of;
	if (++nr_ticks == 5)
		verto_del(ev);
}

static void test_repeated(void)
{
	must("a timeout",
	     verto_add_timeout(ctx, VERTO_EV_FLAG_PERSIST, tick, 1));
	loop_until(&nr_ticks, 5);
	nr_order = 0;
	note_after("x", 10);
	loop_until(&nr_order, 1);
	check("a timeout repeats until it is deleted", nr_ticks == 5);
	nr_ticks = 0;
	must("idle", verto_add_idle(ctx, VERTO_EV_FLAG_PERSIST, tick));
	loop_until(&nr_ticks, 5);
	check("so does idle", nr_ticks == 5);
}

static int nr_signals;

static void count_signal(verto_ctx *of, verto_ev *ev)
{
	(void)of;
	(void)ev;
	nr_signals++;
}

static void test_signals(void)
{
	verto_ev *ev = verto_add_signal(ctx, VERTO_EV_FLAG_PERSIST,
					count_signal, SIGUSR1);

	must("a signal", ev);
	for (int n = 1; n <= 3; n++) {
		kill(getpid(), SIGUSR1);
		loop_until(&nr_signals, n);
	}
	verto_del(ev);
	check("three signals, three callbacks", nr_signals == 3);
}

static int nr_children, statuses;

static void child_ended(verto_ctx *of, verto_ev *ev)
{
	(void)of;
	statuses += WEXITSTATUS(verto_get_proc_status(ev));
	nr_children++;
}

static void test_children(void)
{
	for (int n = 1; n <= 4; n++) {
		pid_t pid = fork();

		if (!pid)
			_exit(n);
		must("a child", verto_add_child(ctx, VERTO_EV_FLAG_NONE,
						child_ended, pid));
	}
	loop_until(&nr_children, 4);
	check("the statuses of four children", statuses == 1 + 2 + 3 + 4);
}

/*
 * An echo server and its clients, in one loop
 */

static void echo(verto_ctx *of, verto_ev *ev)
{
	char buf[4096];
	ssize_t len = read(verto_get_fd(ev), buf, sizeof(buf));

	(void)of;
	if (len <= 0 || write(verto_get_fd(ev), buf, len) != len)
		verto_del(ev);
}

static void accept_one(verto_ctx *of, verto_ev *ev)
{
	int fd = accept(verto_get_fd(ev), NULL, NULL);

	if (fd >= 0)
		verto_add_io(of,
			     VERTO_EV_FLAG_PERSIST | VERTO_EV_FLAG_IO_READ |
				     VERTO_EV_FLAG_IO_CLOSE_FD,
			     echo, fd);
}

static verto_ev *listen_here(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(address);

	address.sin_family = AF_INET;
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	address.sin_port = 0;
	if (bind(fd, (struct sockaddr *)&address, len) ||
	    listen(fd, NR_CLIENTS) ||
	    getsockname(fd, (struct sockaddr *)&address, &len))
		must("a listener", NULL);
	return must("a watcher",
		    verto_add_io(ctx,
				 VERTO_EV_FLAG_PERSIST | VERTO_EV_FLAG_IO_READ |
					 VERTO_EV_FLAG_IO_CLOSE_FD |
					 VERTO_EV_FLAG_REINITIABLE,
				 accept_one, fd));
}

static int nr_answers, nr_wrong;

/* The private part of a client is how many rounds it has done. */
static void answered(verto_ctx *of, verto_ev *ev)
{
	int fd = verto_get_fd(ev), *round = verto_get_private(ev);
	int seen = -1;

	(void)of;
	if (read(fd, &seen, sizeof(seen)) != sizeof(seen) || seen != *round)
		nr_wrong++;
	nr_answers++;
	if (++*round == NR_ROUNDS || write(fd, round, sizeof(*round)) < 0)
		verto_del(ev);
}

static void start_client(int *round)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	verto_ev *ev;

	*round = 0;
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) ||
	    write(fd, round, sizeof(*round)) < 0)
		must("a client", NULL);
	ev = verto_add_io(ctx,
			  VERTO_EV_FLAG_PERSIST | VERTO_EV_FLAG_IO_READ |
				  VERTO_EV_FLAG_IO_CLOSE_FD,
			  answered, fd);
	verto_set_private(must("a watcher", ev), round, NULL);
}

static bool all_answered(void)
{
	static int rounds[NR_CLIENTS];

	nr_answers = nr_wrong = 0;
	for (int n = 0; n < NR_CLIENTS; n++)
		start_client(&rounds[n]);
	loop_until(&nr_answers, NR_CLIENTS * NR_ROUNDS);
	return nr_wrong == 0;
}

static void test_echo(void)
{
	check("50 clients get what they sent", all_answered());
	check("and again, with the same descriptors", all_answered());
}

/*
 * Readers and writers that wait for each other
 */

static int nr_written, nr_read, nr_ends;

static void write_some(verto_ctx *of, verto_ev *ev)
{
	static const char buf[50000];
	size_t left = BULK - nr_written;
	ssize_t len =
		send(verto_get_fd(ev), buf,
		     left < sizeof(buf) ? left : sizeof(buf), MSG_DONTWAIT);

	(void)of;
	nr_written += len > 0 ? len : 0;
	if (nr_written == BULK)
		verto_del(ev);
}

static void read_some(verto_ctx *of, verto_ev *ev)
{
	char buf[30000];
	ssize_t len = recv(verto_get_fd(ev), buf, sizeof(buf), MSG_DONTWAIT);

	(void)of;
	if (len > 0) {
		nr_read += len;
		return;
	}
	nr_ends++;
	verto_del(ev);
}

static void test_bulk(void)
{
	int fds[2];
	verto_ev_flag flags = VERTO_EV_FLAG_PERSIST | VERTO_EV_FLAG_IO_CLOSE_FD;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds))
		must("a pair", NULL);
	must("a writer", verto_add_io(ctx, flags | VERTO_EV_FLAG_IO_WRITE,
				      write_some, fds[0]));
	must("a reader", verto_add_io(ctx, flags | VERTO_EV_FLAG_IO_READ,
				      read_some, fds[1]));
	loop_until(&nr_ends, 1);
	check("2 MB from a writer to a reader, then the end", nr_read == BULK);
}

/*
 * Forks, other loops
 */

/* The listener is taken along; nothing else is. */
static void in_child(void)
{
	alarm(LIMIT);
	if (!verto_reinitialize(ctx))
		_exit(2);
	_exit(all_answered() ? 9 : 3);
}

static void test_fork(void)
{
	pid_t pid = fork();

	if (!pid)
		in_child();
	nr_children = statuses = 0;
	/* Not both at once: they would take each other's clients. */
	must("a child",
	     verto_add_child(ctx, VERTO_EV_FLAG_NONE, child_ended, pid));
	waitid(P_PID, pid, &(siginfo_t){ 0 }, WEXITED | WNOWAIT);
	loop_until(&nr_children, 1);
	check("a forked child serves and asks", statuses == 9);
	check("and then its parent does", all_answered());
}

static void stop(verto_ctx *of, verto_ev *ev)
{
	(void)ev;
	verto_break(of);
}

static void test_other_loops(void)
{
	int before = dup(0), after;

	for (int n = 0; n < 10; n++) {
		verto_ctx *other = verto_new("libev", VERTO_EV_TYPE_TIMEOUT);

		must("another loop", other);
		verto_add_timeout(other, VERTO_EV_FLAG_NONE, stop, 1);
		verto_run(other);
		verto_free(other);
	}
	close(before);
	after = dup(0);
	close(after);
	check("ten more loops leave no file open", after == before);
}

int main(void)
{
	verto_ev *listener;

	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGPIPE, SIG_IGN);
	alarm(LIMIT);
	ctx = must("libverto's module for libev",
		   verto_default("libev", VERTO_EV_TYPE_CHILD));
	test_timeouts();
	test_repeated();
	test_signals();
	test_children();
	listener = listen_here();
	test_echo();
	test_bulk();
	test_fork();
	verto_del(listener);
	test_other_loops();
	check("no child is left", waitpid(-1, NULL, WNOHANG) < 0);
	verto_free(ctx);
	verto_cleanup();
	return failed;
}
