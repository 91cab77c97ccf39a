/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * recv.c - receiving into groups of buffers, with all that this kernel has and
 * with each feature left out.
 */
#include "config.h"

#include "harness.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ev.h>
#include <evring-net.h>
#include <fcntl.h>
#include <liburing.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "sandbox.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* clang-format off */
static const struct {
	const char *disable;
	unsigned flags; /* of the group */
	bool is_plain;	/* no buffers with the ring */
	bool is_unix;	/* AF_UNIX, which has a form of its own; else TCP */
} modes[] = {
	{ NULL, 0, false, false },
	{ NULL, 0, false, true },
	{ NULL, EVRING_GROUP_INCREMENTAL, false, false },
	{ NULL, EVRING_GROUP_INCREMENTAL, false, true },
	{ NULL, EVRING_GROUP_HUGE, false, false },
	{ "region", 0, false, false },
	{ "epoll-wait", 0, false, false },
	{ "defer-taskrun,single-issuer,coop-taskrun", 0, false, false },
	{ "defer-taskrun,single-issuer,coop-taskrun", 0, false, true },
	{ "recv-bundle", 0, false, false },
	{ "recv-bundle", 0, false, true },
	{ "pbuf-inc", EVRING_GROUP_INCREMENTAL, false, false },
	{ "multishot-recv", 0, true, false },
	{ "pbuf-ring", EVRING_GROUP_INCREMENTAL, true, true },
	{ "pbuf-ring,defer-taskrun,single-issuer,coop-taskrun,cqe-skip", 0,
	  true, false },
};
/* clang-format on */

enum { NR_MODES = ARRAY_SIZE(modes), MAX_HELD = 64 };

/* Checked: a ring does not go with a fork. */
static struct ev_loop *loop;
static struct evring_group group;
static bool is_unix;

static struct ev_loop *new_loop(int mode, unsigned entries)
{
	struct evring_config config = { .disable = modes[mode].disable,
					.entries = entries };
	struct ev_loop *new = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
	int r = evring_attach(new, &config);

	ck_assert_msg(!r, "less %s: %d", config.disable, r);
	return new;
}

static void set_up(int mode, unsigned nr_buffers, unsigned size)
{
	loop = new_loop(mode, 0);
	is_unix = modes[mode].is_unix;
	ck_assert_int_eq(evring_group_init(loop, &group, nr_buffers, size,
					   modes[mode].flags),
			 0);
	ck_assert_int_eq(group.is_plain, modes[mode].is_plain);
}

/* All that ended has put its buffers back, and nothing is left behind. */
static void tear_down(void)
{
	ck_assert_uint_eq(group.nr_free, group.nr_buffers);
	ev_loop_destroy(loop);
	ck_assert_int_eq(evring_group_exit(&group), 0);
}

static struct evring_stats stats(void)
{
	struct evring_stats s;

	ck_assert_int_eq(evring_stats(loop, &s), 0);
	return s;
}

static void turns(int nr)
{
	while (nr--)
		ev_run(loop, EVRUN_NOWAIT);
}

/* Events come, or Check ends the test. */
#define run_until(condition)                                                   \
	do {                                                                   \
		while (!(condition))                                           \
			ev_run(loop, EVRUN_ONCE);                              \
	} while (0)

/*
 * connections
 */

struct conn {
	struct evring_recv recv; /* of fds[0] */
	int fds[2];
	unsigned long nr_sent, nr_received; /* bytes */
	int nr_events, nr_last, nr_restarts, result;
	bool is_wrong; /* not what was sent, or not when */
	bool keep;     /* does not put back at once */
	bool stop;     /* stops in each event */
	bool again;    /* starts again when stopped */
	bool detach;   /* detaches the loop in its first event */
	bool run;      /* runs the loop in each event */
	int depth;
	void *held[MAX_HELD];
	int nr_held;
};

static char byte_at(unsigned long i)
{
	return (char)(i * 7 + i / 251 + i / 65521);
}

static void check_bytes(struct conn *conn, const char *data, int size)
{
	int i;

	for (i = 0; i < size; i++)
		if (data[i] != byte_at(conn->nr_received++))
			conn->is_wrong = true;
}

static void hold(struct conn *conn, void *data)
{
	if (conn->keep && conn->nr_held < MAX_HELD)
		conn->held[conn->nr_held++] = data;
	else if (evring_group_put(conn->recv.group, data) != 0)
		conn->is_wrong = true;
}

static void on_last(struct ev_loop *l, struct conn *conn, void *data, int size)
{
	conn->nr_last++;
	conn->result = size;
	conn->is_wrong |= data || size > 0 || ev_is_active(&conn->recv);
	if (conn->again && size == -ECANCELED &&
	    evring_recv_start(l, &conn->recv) != 0)
		conn->is_wrong = true;
}

static void on_data(struct ev_loop *l, struct evring_recv *recv, void *data,
		    int size)
{
	struct conn *conn = recv->op.data;

	if (size <= 0) {
		on_last(l, conn, data, size);
		return;
	}
	conn->is_wrong |= (conn->nr_last && !conn->again) ||
			  !ev_is_active(recv) || size > (int)group.size;
	conn->nr_events++;
	check_bytes(conn, data, size);
	hold(conn, data);
	if (conn->stop && evring_recv_stop(l, recv) != 0)
		conn->is_wrong = true;
	if (conn->detach) {
		conn->detach = false;
		evring_detach(l);
	} else if (conn->run && conn->depth < 3) {
		conn->depth++;
		ev_run(l, EVRUN_NOWAIT);
		conn->depth--;
	}
}

/* Two ends of a TCP connection. */
static void connect_tcp(int fds[2])
{
	struct sockaddr_in sin = { .sin_family = AF_INET };
	socklen_t size = sizeof(sin);
	int on = 1;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&sin, size), 0);
	ck_assert_int_eq(listen(fd, 1), 0);
	getsockname(fd, (struct sockaddr *)&sin, &size);
	fds[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(connect(fds[1], (struct sockaddr *)&sin, size), 0);
	fds[0] = accept(fd, NULL, NULL);
	ck_assert_int_ge(fds[0], 0);
	close(fd);
	setsockopt(fds[1], IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

static void init_conn(struct conn *conn)
{
	memset(conn, 0, sizeof(*conn));
	if (is_unix)
		ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC,
					    0, conn->fds),
				 0);
	else
		connect_tcp(conn->fds);
	fcntl(conn->fds[1], F_SETFL, O_NONBLOCK);
	evring_recv_init(&conn->recv, on_data, conn->fds[0], &group);
	conn->recv.op.data = conn;
}

static void open_conn(struct conn *conn)
{
	init_conn(conn);
	ck_assert_int_eq(evring_recv_start(loop, &conn->recv), 0);
	ck_assert(ev_is_active(&conn->recv));
}

/* As much of size bytes as the socket takes. */
static void send_some(struct conn *conn, unsigned long size)
{
	char bytes[4096];
	unsigned long i, nr;
	ssize_t r;

	while (size) {
		nr = size < sizeof(bytes) ? size : sizeof(bytes);
		for (i = 0; i < nr; i++)
			bytes[i] = byte_at(conn->nr_sent + i);
		r = send(conn->fds[1], bytes, nr, MSG_NOSIGNAL);
		if (r < 0)
			return;
		conn->nr_sent += (unsigned long)r;
		size -= (unsigned long)r;
	}
}

/*
 * What was sent over TCP is on its way: the kernel may leave the rest of it to
 * a thread of its own.  The socket answers when it has the data, and all who
 * wait for that were woken.
 */
static unsigned long nr_arrived(const struct conn *conn)
{
	struct tcp_info info = { .tcpi_state = 0 };
	socklen_t size = sizeof(info);

	if (is_unix)
		return conn->nr_sent;
	ck_assert_int_eq(
		getsockopt(conn->fds[0], IPPROTO_TCP, TCP_INFO, &info, &size),
		0);
	return info.tcpi_bytes_received;
}

/* All of size bytes, for which there is room. */
static void deliver(struct conn *conn, unsigned long size)
{
	unsigned long nr = conn->nr_sent + size;

	send_some(conn, size);
	ck_assert_uint_eq(conn->nr_sent, nr);
	while (nr_arrived(conn) < nr)
		sched_yield();
}

static void deliver_end(struct conn *conn)
{
	struct pollfd end = { .fd = conn->fds[0], .events = POLLRDHUP };

	shutdown(conn->fds[1], SHUT_WR);
	ck_assert_int_eq(poll(&end, 1, -1), 1);
	nr_arrived(conn);
}

static void put_held(struct conn *conn)
{
	while (conn->nr_held)
		ck_assert_int_eq(evring_group_put(conn->recv.group,
						  conn->held[--conn->nr_held]),
				 0);
}

static void check_conn(struct conn *conn, int mode)
{
	ck_assert_msg(!conn->is_wrong, "mode %d: wrong bytes or events", mode);
	ck_assert_msg(conn->nr_received <= conn->nr_sent, "mode %d: too many",
		      mode);
}

static void close_conn(struct conn *conn)
{
	close(conn->fds[0]);
	close(conn->fds[1]);
}

/* The peer sends no more: all that was sent has arrived, and the end. */
static void finish_conn(struct conn *conn, int mode)
{
	shutdown(conn->fds[1], SHUT_WR);
	run_until(conn->nr_last);
	check_conn(conn, mode);
	ck_assert_int_eq(conn->nr_last, 1);
	ck_assert_int_eq(conn->result, 0);
	ck_assert_uint_eq(conn->nr_received, conn->nr_sent);
	close_conn(conn);
}

/*
 * streams
 */

enum { MUCH = 500000, NR_CROWD = 128 };

static void send_all(struct conn *conn, unsigned long portion)
{
	while (conn->nr_sent < MUCH) {
		send_some(conn, portion);
		turns(1);
	}
}

static const unsigned long portions[] = { 1000000, 5000, 999 };

START_TEST(all_bytes_arrive_in_order_and_then_the_end)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(portions); i++) {
		struct conn conn;

		set_up(_i, 8, 1000);
		open_conn(&conn);
		send_all(&conn, portions[i]);
		finish_conn(&conn, _i);
		tear_down();
	}
}
END_TEST

START_TEST(a_non_blocking_socket_is_the_same)
{
	struct conn conn;

	set_up(_i, 16, 512);
	open_conn(&conn);
	fcntl(conn.fds[0], F_SETFL, O_NONBLOCK);
	send_all(&conn, 100000);
	finish_conn(&conn, _i);
	tear_down();
}
END_TEST

START_TEST(a_small_ring_loses_nothing)
{
	struct conn conns[4];
	int i;

	loop = new_loop(_i, 8);
	is_unix = modes[_i].is_unix;
	ck_assert_int_eq(
		evring_group_init(loop, &group, 256, 64, modes[_i].flags), 0);
	for (i = 0; i < 4; i++)
		open_conn(&conns[i]);
	while (conns[3].nr_sent < MUCH / 4) {
		for (i = 0; i < 4; i++)
			send_some(&conns[i], 50000);
		turns(1);
	}
	for (i = 0; i < 4; i++)
		finish_conn(&conns[i], _i);
	tear_down();
}
END_TEST

/* The last of MAX_HELD events stay with the user, who puts them back in any
   order. */
START_TEST(buffers_are_put_back_in_any_order)
{
	unsigned long seed = 1;
	struct conn conn;
	int i;

	set_up(_i, 16, 500);
	open_conn(&conn);
	conn.keep = true;
	while (conn.nr_sent < MUCH) {
		send_some(&conn, 3000);
		turns(2);
		while (conn.nr_held > 3) {
			seed = seed * 1103515245 + 12345;
			i = (int)(seed / 65536 % (unsigned long)conn.nr_held);
			ck_assert_int_eq(evring_group_put(&group, conn.held[i]),
					 0);
			conn.held[i] = conn.held[--conn.nr_held];
		}
	}
	put_held(&conn);
	conn.keep = false;
	finish_conn(&conn, _i);
	tear_down();
}
END_TEST

/* One request serves all. */
START_TEST(messages_cost_no_request_each)
{
	uint64_t before, nr;
	struct conn conn;
	int i;

	set_up(_i, 64, 256);
	open_conn(&conn);
	turns(2);
	before = stats().requests;
	for (i = 0; i < 100; i++) {
		send_some(&conn, 64);
		turns(1);
	}
	nr = stats().requests - before;
	if (!group.is_plain && !is_unix)
		ck_assert_uint_le(nr, 30);
	run_until(conn.nr_received == 6400);
	finish_conn(&conn, _i);
	tear_down();
}
END_TEST

/* Of 1024 of 64 bytes, for so many messages, one after the other. */
static int count_buffers(struct conn *conn, int nr_messages)
{
	bool is_used[1024] = { false };
	int i, k, nr_used = 0;

	conn->keep = true;
	for (i = 0; i < nr_messages; i++) {
		send_some(conn, 64);
		run_until(conn->nr_received == conn->nr_sent);
		for (k = 0; k < conn->nr_held; k++)
			is_used[((char *)conn->held[k] - group.memory) / 64] =
				true;
		put_held(conn);
	}
	for (i = 0; i < 1024; i++)
		nr_used += is_used[i];
	return nr_used;
}

/* The memory that was used last is used again, not the next of all. */
START_TEST(few_buffers_are_used_where_few_are_needed)
{
	struct conn conn;

	set_up(_i, 1024, 64);
	open_conn(&conn);
	ck_assert_int_le(count_buffers(&conn, 500), 32);
	finish_conn(&conn, _i);
	tear_down();
}
END_TEST

/* What a crowd needed at once is not in use for ever. */
START_TEST(few_buffers_are_used_again_after_a_crowd)
{
	struct conn crowd[NR_CROWD];
	int i;

	set_up(_i, 1024, 64);
	for (i = 0; i < NR_CROWD; i++) {
		open_conn(&crowd[i]);
		send_some(&crowd[i], 64);
	}
	for (i = 0; i < NR_CROWD; i++)
		run_until(crowd[i].nr_received == crowd[i].nr_sent);
	count_buffers(&crowd[0], 5000);
	ck_assert_int_le(count_buffers(&crowd[0], 200), 32);
	for (i = 0; i < NR_CROWD; i++)
		finish_conn(&crowd[i], _i);
	tear_down();
}
END_TEST

/* More buffers are wanted at once than are kept ready, by some before others.
 */
START_TEST(a_crowd_gets_all_buffers_that_there_are)
{
	struct conn crowd[NR_CROWD];
	int i, round;

	set_up(_i, NR_CROWD, 64);
	for (i = 0; i < NR_CROWD; i++) {
		init_conn(&crowd[i]);
		ev_set_priority(&crowd[i].recv, i % 5 - 2);
		ck_assert_int_eq(evring_recv_start(loop, &crowd[i].recv), 0);
		crowd[i].keep = true;
	}
	for (round = 0; round < 3; round++) {
		turns(2);
		for (i = 0; i < NR_CROWD; i++)
			send_some(&crowd[i], 64);
		for (i = 0; i < NR_CROWD; i++)
			run_until(crowd[i].nr_received == crowd[i].nr_sent);
		for (i = 0; i < NR_CROWD; i++)
			put_held(&crowd[i]);
	}
	for (i = 0; i < NR_CROWD; i++)
		crowd[i].keep = false;
	for (i = 0; i < NR_CROWD; i++)
		finish_conn(&crowd[i], _i);
	tear_down();
}
END_TEST

/* Pieces of one completion come before the next, also from a nested loop. */
START_TEST(order_holds_in_nested_runs)
{
	struct conn conn;

	set_up(_i, 32, 100);
	open_conn(&conn);
	conn.run = true;
	while (conn.nr_sent < MUCH / 5) {
		send_some(&conn, 2500);
		turns(1);
	}
	finish_conn(&conn, _i);
	tear_down();
}
END_TEST

/* It may shorten one for a bundle, and use it for another one. */
START_TEST(what_the_kernel_made_shorter_counts_as_it_is)
{
	struct conn conn;
	int i;

	set_up(_i, 8, 1000);
	if (!group.is_plain)
		for (i = 1; i < 8; i += 2)
			group.ring->bufs[i].len = 100u + (unsigned)i;
	open_conn(&conn);
	send_some(&conn, 3000);
	conn.keep = true;
	run_until(conn.nr_received == 3000);
	put_held(&conn);
	conn.keep = false;
	send_all(&conn, 10000);
	finish_conn(&conn, _i);
	tear_down();
}
END_TEST

START_TEST(small_pieces_share_an_incremental_buffer)
{
	struct conn conn;
	int i;

	set_up(_i, 4, 1024);
	open_conn(&conn);
	conn.keep = true;
	for (i = 0; i < 20; i++) {
		deliver(&conn, 10);
		turns(2);
	}
	if (group.flags & EVRING_GROUP_INCREMENTAL) {
		ck_assert_int_eq(conn.nr_events, 20);
		ck_assert_uint_eq(group.nr_free, 3);
		ck_assert_ptr_eq((char *)conn.held[0] + 10, conn.held[1]);
	} else {
		ck_assert_int_eq(conn.nr_events, 4);
		ck_assert_uint_eq(group.nr_free, 0);
	}
	put_held(&conn);
	ck_assert_uint_eq(group.nr_free, 4);
	conn.keep = false;
	finish_conn(&conn, _i);
	tear_down();
}
END_TEST

/*
 * dry groups
 */

START_TEST(a_dry_group_costs_nothing_and_goes_on_with_a_buffer)
{
	struct evring_stats before, after;
	unsigned long nr;
	struct conn conn;
	int i, nr_events;

	set_up(_i, 4, 100);
	open_conn(&conn);
	conn.keep = true;
	deliver(&conn, 2000);
	turns(10);
	ck_assert_uint_eq(group.nr_free, 0);
	ck_assert(ev_is_active(&conn.recv));
	before = stats();
	nr_events = conn.nr_events;
	turns(50);
	after = stats();
	ck_assert_uint_eq(after.enters, before.enters);
	ck_assert_uint_eq(after.requests, before.requests);
	for (i = 0; i < 10; i++) {
		nr = conn.nr_received;
		ck_assert_int_eq(evring_group_put(&group, conn.held[0]), 0);
		conn.nr_held--;
		memmove(conn.held, conn.held + 1,
			(size_t)conn.nr_held * sizeof(conn.held[0]));
		run_until(conn.nr_received > nr);
		ck_assert_int_eq(conn.nr_events, nr_events + i + 1);
	}
	put_held(&conn);
	conn.keep = false;
	finish_conn(&conn, _i);
	tear_down();
}
END_TEST

/* A loop that waits for nothing but a buffer does not end. */
START_TEST(who_waits_keeps_the_loop_alive)
{
	struct conn conn;

	set_up(_i, 1, 16);
	open_conn(&conn);
	conn.keep = true;
	deliver(&conn, 100);
	turns(10);
	ck_assert_int_eq(conn.nr_held, 1);
	ck_assert(ev_run(loop, EVRUN_NOWAIT));
	put_held(&conn);
	conn.keep = false;
	finish_conn(&conn, _i);
	ck_assert(!ev_run(loop, EVRUN_NOWAIT));
	tear_down();
}
END_TEST

enum { NR_RIVALS = 7, NR_ROUNDS = 20 * NR_RIVALS };

/* One of those that hold a buffer puts it back. */
static void put_one(struct conn *rivals)
{
	struct conn *conn = rivals;

	while (!conn->nr_held)
		conn++;
	ck_assert_int_eq(evring_group_put(&group, conn->held[--conn->nr_held]),
			 0);
}

static int count_events(const struct conn *rivals)
{
	int i, nr = 0;

	for (i = 0; i < NR_RIVALS; i++)
		nr += rivals[i].nr_events;
	return nr;
}

/* nr_puts buffers come back at a time. */
static void share_out(int mode, unsigned nr_buffers, int nr_puts)
{
	struct conn rivals[NR_RIVALS];
	int min = 1 << 30, max = 0;
	int i, k, nr;

	set_up(mode, nr_buffers, 64);
	for (i = 0; i < NR_RIVALS; i++) {
		open_conn(&rivals[i]);
		rivals[i].keep = true;
		deliver(&rivals[i], 30016);
	}
	turns(20);
	for (i = 0; i < NR_RIVALS; i++)
		rivals[i].nr_events = 0;
	for (i = 0; i < NR_ROUNDS; i++) {
		ck_assert_uint_eq(group.nr_free, 0);
		nr = count_events(rivals);
		for (k = 0; k < nr_puts; k++)
			put_one(rivals);
		run_until(count_events(rivals) >= nr + nr_puts);
	}
	for (i = 0; i < NR_RIVALS; i++) {
		nr = rivals[i].nr_events;
		min = nr < min ? nr : min;
		max = nr > max ? nr : max;
		put_held(&rivals[i]);
		rivals[i].keep = false;
	}
	ck_assert_msg(max - min <= 3 * nr_puts, "mode %d: %d to %d events",
		      mode, min, max);
	for (i = 0; i < NR_RIVALS; i++)
		finish_conn(&rivals[i], mode);
	tear_down();
}

START_TEST(those_who_wait_get_a_buffer_in_turn)
{
	share_out(_i, 1, 1);
	share_out(_i, 2, 1);
	share_out(_i, 2, 2);
	share_out(_i, 8, 1);
	share_out(_i, 8, 3);
}
END_TEST

/* Who is woken and has no use for the buffer leaves it to the next. */
START_TEST(a_buffer_is_passed_on_by_who_ends)
{
	struct conn a, b, c;

	set_up(_i, 1, 16);
	open_conn(&a);
	a.keep = true;
	deliver(&a, 16);
	turns(4);
	ck_assert_int_eq(a.nr_held, 1);
	open_conn(&b);
	deliver_end(&b); /* nothing to receive but the end */
	turns(4);
	open_conn(&c);
	deliver(&c, 16);
	turns(4);
	ck_assert_int_eq(c.nr_events, 0);
	put_held(&a);
	a.keep = false;
	run_until(c.nr_events);
	run_until(b.nr_last);
	ck_assert_int_eq(b.result, 0);
	close_conn(&b);
	finish_conn(&a, _i);
	finish_conn(&c, _i);
	tear_down();
}
END_TEST

/* Woken, and stopped before it is told. */
START_TEST(a_buffer_is_passed_on_by_who_is_stopped)
{
	struct conn a, b, c;

	set_up(_i, 1, 16);
	open_conn(&a);
	a.keep = true;
	deliver(&a, 16);
	turns(4);
	open_conn(&b);
	deliver(&b, 16);
	turns(4);
	open_conn(&c);
	deliver(&c, 16);
	turns(4);
	put_held(&a);
	a.keep = false;
	ck_assert_int_eq(evring_recv_stop(loop, &b.recv), 0);
	run_until(b.nr_last);
	ck_assert_int_eq(b.result, -ECANCELED);
	run_until(c.nr_events);
	close_conn(&b);
	finish_conn(&a, _i);
	finish_conn(&c, _i);
	tear_down();
}
END_TEST

/* Somebody else reads what it waited for. */
START_TEST(a_buffer_is_passed_on_by_who_finds_no_data)
{
	struct conn a, b, c;
	char bytes[64];

	set_up(_i, 1, 16);
	open_conn(&a);
	a.keep = true;
	deliver(&a, 16);
	turns(4);
	open_conn(&b);
	deliver(&b, 16);
	turns(4);
	open_conn(&c);
	deliver(&c, 16);
	turns(4);
	ck_assert_int_eq(recv(b.fds[0], bytes, sizeof(bytes), 0), 16);
	put_held(&a);
	a.keep = false;
	run_until(c.nr_events);
	ck_assert_int_eq(b.nr_events, 0);
	b.nr_received = 16;
	send_some(&b, 16);
	run_until(b.nr_received == 32);
	finish_conn(&a, _i);
	finish_conn(&b, _i);
	finish_conn(&c, _i);
	tear_down();
}
END_TEST

START_TEST(who_waits_can_be_stopped_and_started)
{
	struct conn conn;

	set_up(_i, 1, 16);
	open_conn(&conn);
	conn.keep = true;
	deliver(&conn, 100);
	turns(5);
	ck_assert_int_eq(evring_recv_stop(loop, &conn.recv), 0);
	run_until(conn.nr_last);
	ck_assert_int_eq(conn.result, -ECANCELED);
	ck_assert_int_eq(conn.nr_events, 1);
	put_held(&conn);
	turns(3);
	conn.keep = false;
	conn.nr_last = 0;
	ck_assert_int_eq(evring_recv_start(loop, &conn.recv), 0);
	finish_conn(&conn, _i);
	tear_down();
}
END_TEST

/* Those before and behind go on. */
START_TEST(who_waits_among_others_can_be_stopped)
{
	struct conn conns[4];
	int i;

	set_up(_i, 1, 16);
	for (i = 0; i < 4; i++) {
		open_conn(&conns[i]);
		conns[i].keep = i == 0; /* the only buffer */
		deliver(&conns[i], 16);
		turns(4);
	}
	ck_assert_int_eq(conns[0].nr_held, 1);
	ck_assert_int_eq(evring_recv_stop(loop, &conns[2].recv), 0);
	turns(1); /* nobody else has an event */
	ck_assert_int_eq(conns[2].nr_last, 1);
	ck_assert_int_eq(conns[2].result, -ECANCELED);
	put_held(&conns[0]);
	conns[0].keep = false;
	run_until(conns[1].nr_events && conns[3].nr_events);
	ck_assert_int_eq(conns[2].nr_events, 0);
	close_conn(&conns[2]);
	finish_conn(&conns[0], _i);
	finish_conn(&conns[1], _i);
	finish_conn(&conns[3], _i);
	tear_down();
}
END_TEST

/*
 * ends
 */

START_TEST(stop_only_asks_and_the_last_event_comes_once)
{
	struct conn conn;

	set_up(_i, 8, 100);
	open_conn(&conn);
	turns(2);
	ck_assert_int_eq(evring_recv_stop(loop, &conn.recv), 0);
	ck_assert(ev_is_active(&conn.recv));
	ck_assert_int_eq(evring_recv_stop(loop, &conn.recv), 0);
	ck_assert_int_eq(evring_recv_start(loop, &conn.recv), -EBUSY);
	run_until(conn.nr_last);
	turns(10);
	ck_assert_int_eq(conn.nr_last, 1);
	ck_assert_int_eq(conn.result, -ECANCELED);
	ck_assert(!ev_is_active(&conn.recv));
	ck_assert_int_eq(evring_recv_stop(loop, &conn.recv), 0);
	ck_assert(!ev_run(loop, EVRUN_NOWAIT));
	close_conn(&conn);
	tear_down();
}
END_TEST

START_TEST(a_watcher_can_be_stopped_before_it_began)
{
	struct conn conn;

	set_up(_i, 8, 100);
	open_conn(&conn);
	send_some(&conn, 10);
	ck_assert_int_eq(evring_recv_stop(loop, &conn.recv), 0);
	run_until(conn.nr_last);
	ck_assert_int_eq(conn.result, -ECANCELED);
	check_conn(&conn, _i);
	close_conn(&conn);
	tear_down();
}
END_TEST

/* Stopped in each event, started again in the last one. */
START_TEST(nothing_is_lost_between_stop_and_start)
{
	struct conn conn;

	set_up(_i, 8, 300);
	open_conn(&conn);
	conn.stop = conn.again = true;
	send_all(&conn, 7000);
	shutdown(conn.fds[1], SHUT_WR);
	run_until(conn.nr_last && conn.result == 0);
	check_conn(&conn, _i);
	ck_assert_int_gt(conn.nr_last, 50);
	ck_assert_uint_eq(conn.nr_received, conn.nr_sent);
	close_conn(&conn);
	tear_down();
}
END_TEST

START_TEST(a_reset_is_told)
{
	const struct linger now = { .l_onoff = 1 };
	struct conn conn;

	set_up(_i, 8, 300);
	is_unix = false;
	open_conn(&conn);
	send_some(&conn, 1000);
	run_until(conn.nr_received == 1000);
	setsockopt(conn.fds[1], SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(conn.fds[1]);
	run_until(conn.nr_last);
	check_conn(&conn, _i);
	ck_assert_int_eq(conn.result, -ECONNRESET);
	close(conn.fds[0]);
	tear_down();
}
END_TEST

static int result_for(int fd)
{
	struct conn conn;

	memset(&conn, 0, sizeof(conn));
	evring_recv_init(&conn.recv, on_data, fd, &group);
	conn.recv.op.data = &conn;
	ck_assert_int_eq(evring_recv_start(loop, &conn.recv), 0);
	run_until(conn.nr_last);
	ck_assert_int_eq(conn.nr_last, 1);
	ck_assert(!conn.is_wrong);
	return conn.result;
}

START_TEST(a_wrong_fd_is_told)
{
	int fds[2], fd;

	set_up(_i, 8, 300);
	ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
	ck_assert_int_eq(write(fds[1], "x", 1), 1);
	ck_assert_int_eq(result_for(fds[0]), -ENOTSOCK);
	close(fds[0]);
	close(fds[1]);
	ck_assert_int_eq(result_for(fds[0]), -EBADF);
	ck_assert_int_eq(result_for(-1), -EBADF);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(result_for(fd), -ENOTCONN);
	close(fd);
	tear_down();
}
END_TEST

START_TEST(what_is_wrong_is_refused)
{
	struct evring_group other;
	struct evring_recv receiver;
	struct ev_loop *plain = ev_loop_new(EVBACKEND_EPOLL);
	char byte;

	set_up(_i, 3, 17);
	ck_assert_uint_eq(group.nr_buffers, 4);
	ck_assert_uint_eq(group.size, 32);
	ck_assert_int_eq(evring_group_init(loop, &other, 0, 1, 0), -EINVAL);
	ck_assert_int_eq(evring_group_init(loop, &other, 32769, 1, 0), -EINVAL);
	ck_assert_int_eq(evring_group_init(loop, &other, 1, 0, 0), -EINVAL);
	ck_assert_int_eq(evring_group_init(loop, &other, 1, (1u << 30) + 1, 0),
			 -EINVAL);
	ck_assert_int_eq(evring_group_init(loop, &other, 1, 1, 4), -EINVAL);
	ck_assert_int_eq(evring_group_init(loop, NULL, 1, 1, 0), -EINVAL);
	ck_assert_int_eq(evring_group_init(NULL, &other, 1, 1, 0), -EINVAL);
	ck_assert_int_eq(evring_group_init(plain, &other, 1, 1, 0), -ENXIO);
	ck_assert_int_eq(evring_group_exit(NULL), -EINVAL);
	ck_assert_int_eq(evring_group_put(NULL, &byte), -EINVAL);
	ck_assert_int_eq(evring_group_put(&group, &byte), -EINVAL);
	ck_assert_int_eq(evring_group_put(&group, NULL), -EINVAL);
	ck_assert_int_eq(evring_group_put(&group, group.memory), -EINVAL);
	ck_assert_int_eq(evring_group_put(&group, group.memory + 4 * 32),
			 -EINVAL);
	ck_assert_uint_eq(group.nr_free, 4);

	evring_recv_init(&receiver, on_data, 0, &group);
	ck_assert_int_eq(evring_recv_start(loop, NULL), -EINVAL);
	ck_assert_int_eq(evring_recv_start(plain, &receiver), -EINVAL);
	ck_assert_int_eq(evring_recv_start(NULL, &receiver), -EINVAL);
	receiver.flags = 4;
	ck_assert_int_eq(evring_recv_start(loop, &receiver), -EINVAL);
	receiver.flags = EVRING_RECV_MSG; /* no room for an address */
	ck_assert_int_eq(evring_recv_start(loop, &receiver), -EINVAL);
	receiver.name_size = 0xfffffff0;
	ck_assert_int_eq(evring_recv_start(loop, &receiver), -EINVAL);
	receiver.name_size = 0;
	receiver.control_size = 0xfffffff0;
	ck_assert_int_eq(evring_recv_start(loop, &receiver), -EINVAL);
	receiver.control_size = 16; /* and the header: nothing for data */
	ck_assert_int_eq(evring_recv_start(loop, &receiver), -EINVAL);
	evring_recv_init(&receiver, NULL, 0, &group);
	ck_assert_int_eq(evring_recv_start(loop, &receiver), -EINVAL);
	evring_recv_init(&receiver, on_data, 0, NULL);
	ck_assert_int_eq(evring_recv_start(loop, &receiver), -EINVAL);
	ck_assert_int_eq(evring_recv_stop(loop, NULL), -EINVAL);
	ck_assert_int_eq(evring_recv_stop(loop, &receiver), 0);
	ev_loop_destroy(plain);
	tear_down();
}
END_TEST

/* Freed in its last event. */
static void on_last_free(struct ev_loop *l, struct evring_recv *recv,
			 void *data, int size)
{
	struct conn *conn = recv->op.data;

	on_data(l, recv, data, size);
	if (size > 0)
		return;
	close_conn(conn);
	memset(conn, 0xa5, sizeof(*conn));
	free(conn);
}

static struct conn *new_conn(void)
{
	struct conn *conn = malloc(sizeof(*conn));

	ck_assert_ptr_nonnull(conn);
	open_conn(conn);
	conn->recv.cb = on_last_free;
	return conn;
}

START_TEST(a_watcher_is_freed_in_its_last_event)
{
	struct conn *conn;
	int i;

	set_up(_i, 8, 100);
	for (i = 0; i < 20; i++) {
		conn = new_conn();
		send_some(conn, (unsigned long)i * 100);
		turns(i % 3);
		if (i % 2)
			evring_recv_stop(loop, &conn->recv);
		else
			shutdown(conn->fds[1], SHUT_WR);
	}
	ev_run(loop, 0);
	ck_assert_uint_eq(group.nr_active, 0);
	tear_down();
}
END_TEST

/*
 * the ring goes
 */

enum { NR_STATES = 5 };

/* Unsent, asked for, full of data, waiting, woken: for detach to end. */
static void bring_into(struct conn *conn, int state)
{
	if (state > 0)
		turns(2);
	if (state < 2)
		return;
	deliver(conn, 5000);
	if (state == 2)
		return;
	conn->keep = true;
	turns(10);
	ck_assert_uint_eq(group.nr_free, 0);
	if (state == 4)
		ck_assert_int_eq(
			evring_group_put(&group, conn->held[--conn->nr_held]),
			0);
}

START_TEST(detach_and_destroy_end_it_in_every_state)
{
	struct conn conn;
	int state;

	for (state = 0; state < 2 * NR_STATES; state++) {
		set_up(_i, 4, 100);
		open_conn(&conn);
		bring_into(&conn, state / 2);
		if (state % 2)
			ck_assert_int_eq(evring_detach(loop), 0);
		else
			ev_loop_destroy(loop);
		ck_assert_int_eq(conn.nr_last, 1);
		ck_assert_int_eq(conn.result, -ECANCELED);
		check_conn(&conn, _i);
		put_held(&conn);
		close_conn(&conn);
		ck_assert_uint_eq(group.nr_free, 4);
		ck_assert_int_eq(evring_group_exit(&group), 0);
		if (state % 2)
			ev_loop_destroy(loop);
	}
}
END_TEST

START_TEST(detach_in_an_event_ends_it)
{
	struct conn conn, other;

	set_up(_i, 32, 100);
	open_conn(&conn);
	open_conn(&other);
	turns(1);
	conn.detach = true;
	send_some(&conn, 2000);
	send_some(&other, 2000);
	run_until(conn.nr_last);
	ck_assert_int_eq(conn.nr_last, 1);
	ck_assert_int_eq(other.nr_last, 1);
	ck_assert_int_eq(conn.result, -ECANCELED);
	check_conn(&conn, _i);
	check_conn(&other, _i);
	close_conn(&conn);
	close_conn(&other);
	tear_down();
}
END_TEST

START_TEST(detach_in_an_event_frees_it)
{
	struct conn *conn;

	set_up(_i, 32, 100);
	conn = new_conn();
	turns(1);
	conn->detach = true;
	send_some(conn, 2000);
	run_until(!group.nr_active);
	ck_assert_uint_eq(group.nr_active, 0);
	tear_down();
}
END_TEST

/* Buffers outlive the ring, and the group goes on with the next one. */
START_TEST(a_group_goes_on_after_detach_and_attach)
{
	struct evring_config config = { .disable = modes[_i].disable };
	struct conn conn;
	char *data;

	set_up(_i, 4, 100);
	open_conn(&conn);
	conn.keep = true;
	send_some(&conn, 100);
	run_until(conn.nr_held);
	data = conn.held[0];
	evring_detach(loop);
	ck_assert_int_eq(conn.nr_last, 1);
	ck_assert_int_eq(evring_recv_start(loop, &conn.recv), -ENXIO);
	ck_assert_int_eq(evring_attach(loop, &config), 0);
	conn.keep = false;
	conn.nr_last = 0;
	ck_assert_int_eq(evring_recv_start(loop, &conn.recv), 0);
	send_all(&conn, 5000);
	ck_assert_uint_eq(group.nr_free, 3);
	ck_assert_int_eq(data[99], byte_at(99));
	ck_assert_int_eq(evring_group_put(&group, data), 0);
	ck_assert_int_eq(evring_group_put(&group, data), -EINVAL);
	finish_conn(&conn, _i);
	tear_down();
}
END_TEST

START_TEST(exit_is_refused_while_somebody_receives)
{
	struct conn conn;

	set_up(_i, 4, 100);
	open_conn(&conn);
	ck_assert_int_eq(evring_group_exit(&group), -EBUSY);
	evring_recv_stop(loop, &conn.recv);
	run_until(conn.nr_last);
	close_conn(&conn);
	tear_down();
}
END_TEST

struct move {
	struct conn conn, fresh;
	int mode;
};

/* In the new thread: the old watcher ends, another one goes on. */
static void *run_elsewhere(void *arg)
{
	struct move *move = arg;
	struct conn *conn = &move->conn;

	run_until(conn->nr_last);
	ck_assert_int_eq(conn->result, -ECANCELED);
	ck_assert_int_eq(((char *)conn->held[0])[99], byte_at(99));
	open_conn(&move->fresh);
	send_all(&move->fresh, 3000);
	put_held(conn);
	finish_conn(&move->fresh, move->mode);
	return NULL;
}

START_TEST(another_thread_ends_it_and_can_go_on)
{
	struct move move = { .mode = _i };
	pthread_t thread;

	set_up(_i, 4, 100);
	open_conn(&move.conn);
	move.conn.keep = true;
	send_some(&move.conn, 100);
	run_until(move.conn.nr_held);
	ck_assert_int_eq(pthread_create(&thread, NULL, run_elsewhere, &move),
			 0);
	pthread_join(thread, NULL);
	check_conn(&move.conn, _i);
	close_conn(&move.conn);
	ck_assert_uint_eq(group.nr_free, 4);
	ck_assert_int_eq(evring_group_exit(&group), 0);
	ev_loop_destroy(loop);
}
END_TEST

/* Started before the old ones have ended: it waits for them. */
static void on_end_start(struct ev_loop *l, struct evring_recv *recv,
			 void *data, int size)
{
	struct conn *conn = recv->op.data;

	on_data(l, recv, data, size);
	if (size <= 0) {
		conn->nr_last = 0;
		conn->nr_restarts++;
		ck_assert_int_eq(evring_recv_start(l, recv), 0);
		recv->cb = on_data;
	}
}

static void *run_two_elsewhere(void *arg)
{
	struct conn *conns = arg;
	int i;

	run_until(conns[0].nr_restarts && conns[1].nr_restarts);
	for (i = 0; i < 2; i++)
		send_some(&conns[i], 3000);
	run_until(conns[0].nr_received == conns[0].nr_sent &&
		  conns[1].nr_received == conns[1].nr_sent);
	for (i = 0; i < 2; i++)
		finish_conn(&conns[i], 0);
	return NULL;
}

START_TEST(the_new_ring_has_the_group_when_the_old_watchers_have_ended)
{
	struct conn conns[2];
	pthread_t thread;
	int i;

	set_up(_i, 4, 100);
	for (i = 0; i < 2; i++) {
		open_conn(&conns[i]);
		conns[i].recv.cb = on_end_start;
	}
	turns(2);
	ck_assert_int_eq(
		pthread_create(&thread, NULL, run_two_elsewhere, conns), 0);
	pthread_join(thread, NULL);
	ck_assert_int_eq(evring_group_exit(&group), 0);
	ev_loop_destroy(loop);
}
END_TEST

/* What is on its way from the old ring is in a buffer, too.  first hears of its
   end before late hears of its data. */
static struct {
	struct conn first, late, fresh;
} crowd;

static void on_end_open(struct ev_loop *l, struct evring_recv *recv, void *data,
			int size)
{
	on_data(l, recv, data, size);
	if (size > 0)
		return;
	init_conn(&crowd.fresh);
	crowd.fresh.nr_sent = crowd.fresh.nr_received = 12345;
	ck_assert_int_eq(evring_recv_start(l, &crowd.fresh.recv), 0);
	send_some(&crowd.fresh, 3000);
	ev_run(l, EVRUN_NOWAIT);
}

static void *run_crowd(void *arg)
{
	run_until(crowd.first.nr_last && crowd.late.nr_last);
	run_until(crowd.fresh.nr_received == crowd.fresh.nr_sent);
	finish_conn(&crowd.fresh, *(int *)arg);
	return NULL;
}

START_TEST(what_is_on_its_way_from_the_old_ring_is_not_overwritten)
{
	struct conn *late = &crowd.late;
	pthread_t thread;
	char *data;
	int i;

	memset(&crowd, 0, sizeof(crowd));
	set_up(_i, 4, 100);
	init_conn(&crowd.first);
	crowd.first.recv.cb = on_end_open;
	ev_set_priority(&crowd.first.recv, EV_MAXPRI);
	ck_assert_int_eq(evring_recv_start(loop, &crowd.first.recv), 0);
	open_conn(late);
	late->keep = true;
	turns(2);
	deliver(late, 100);
	ck_assert_int_eq(pthread_create(&thread, NULL, run_crowd, &_i), 0);
	pthread_join(thread, NULL);
	ck_assert_int_eq(late->result, -ECANCELED);
	ck_assert_int_eq(late->nr_last, 1);
	check_conn(late, _i);
	data = late->nr_held ? late->held[0] : NULL;
	for (i = 0; data && i < 100; i++)
		ck_assert_int_eq(data[i], byte_at((unsigned long)i));
	put_held(late);
	close_conn(late);
	close_conn(&crowd.first);
	ck_assert_uint_eq(group.nr_free, 4);
	ck_assert_int_eq(evring_group_exit(&group), 0);
	ev_loop_destroy(loop);
}
END_TEST

static int go_on_in_child(void *arg)
{
	struct move *move = arg;
	struct conn *conn = &move->conn;
	unsigned long nr = conn->nr_received;

	ev_loop_fork(loop);
	child_assert(((char *)conn->held[0])[99] == byte_at(99));
	run_until(conn->nr_last);
	child_assert(conn->result == -ECANCELED && !conn->is_wrong);
	child_assert(conn->nr_received == nr);
	open_conn(&move->fresh);
	send_all(&move->fresh, 3000);
	child_assert(group.nr_free == 3);
	child_assert(evring_group_put(&group, conn->held[0]) == 0);
	finish_conn(&move->fresh, move->mode);
	child_assert(group.nr_free == 4);
	ev_loop_destroy(loop);
	child_assert(evring_group_exit(&group) == 0);
	return 0;
}

START_TEST(a_child_has_what_it_was_given_and_the_parent_goes_on)
{
	struct move move = { .mode = _i };

	set_up(_i, 4, 100);
	open_conn(&move.conn);
	move.conn.keep = true;
	send_some(&move.conn, 100);
	run_until(move.conn.nr_held);
	ck_assert_int_eq(run_in_child(go_on_in_child, &move), 0);
	put_held(&move.conn);
	move.conn.keep = false;
	send_all(&move.conn, 3000);
	finish_conn(&move.conn, _i);
	tear_down();
}
END_TEST

static int put_in_child(void *arg)
{
	struct conn *conn = arg;

	put_held(conn); /* before the loop is touched */
	child_assert(group.nr_free == 4);
	ev_loop_destroy(loop);
	child_assert(conn->nr_last == 1 && conn->result == -ECANCELED);
	child_assert(evring_group_exit(&group) == 0);
	return 0;
}

START_TEST(a_child_puts_back_and_destroys)
{
	struct conn conn;

	set_up(_i, 4, 100);
	open_conn(&conn);
	conn.keep = true;
	deliver(&conn, 1000);
	turns(4);
	ck_assert_int_eq(run_in_child(put_in_child, &conn), 0);
	put_held(&conn);
	conn.keep = false;
	finish_conn(&conn, _i);
	tear_down();
}
END_TEST

/*
 * several groups
 */

/* The user has taken the number that the library would. */
START_TEST(groups_coexist_with_each_other_and_with_the_users)
{
	struct evring_group groups[20];
	struct io_uring_buf_ring *own[20];
	struct conn conn;
	int i, r;

	set_up(_i, 4, 100);
	if (!group.is_plain)
		for (i = 0; i < 20; i++) {
			own[i] = io_uring_setup_buf_ring(
				evring_ring(loop), 4,
				(int)(group.id - 1 - (unsigned)i), 0, &r);
			ck_assert_ptr_nonnull(own[i]);
		}
	for (i = 0; i < 20; i++)
		ck_assert_int_eq(evring_group_init(loop, &groups[i], 4, 50, 0),
				 0);
	for (i = 0; i < 20; i++) {
		open_conn(&conn);
		evring_recv_stop(loop, &conn.recv);
		run_until(conn.nr_last);
		conn.nr_last = 0;
		conn.recv.group = &groups[i];
		ck_assert_int_eq(evring_recv_start(loop, &conn.recv), 0);
		send_some(&conn, 10000);
		finish_conn(&conn, _i);
	}
	for (i = 0; i < 20; i++)
		ck_assert_int_eq(evring_group_exit(&groups[i]), 0);
	if (!group.is_plain)
		for (i = 0; i < 20; i++)
			io_uring_free_buf_ring(
				evring_ring(loop), own[i], 4,
				(int)(group.id - 1 - (unsigned)i));
	tear_down();
}
END_TEST

/* _i: the mode is the first.  A sandbox that the features do not tell of. */
static const struct {
	struct refusal refusal;
	int r;
} sandboxes[] = {
	{ REFUSE_REGISTER(IORING_REGISTER_PBUF_RING, EINVAL), 0 },
	{ REFUSE_REGISTER(IORING_REGISTER_PBUF_RING, EPERM), 0 },
	{ REFUSE_REGISTER(IORING_REGISTER_PBUF_RING, ENOMEM), -ENOMEM },
};

static int receive_in_sandbox(void *row)
{
	int i = *(int *)row, nr_maps;
	struct conn conn;

	loop = new_loop(0, 0);
	nr_maps = count_mappings(NULL);
	sandbox(&sandboxes[i].refusal, 1);
	child_assert(evring_group_init(loop, &group, 8, 4096,
				       EVRING_GROUP_INCREMENTAL) ==
		     sandboxes[i].r);
	if (sandboxes[i].r < 0) {
		child_assert(under_asan() || under_tsan() ||
			     count_mappings(NULL) <= nr_maps + 1);
		return 0;
	}
	child_assert(group.is_plain && !group.flags);
	open_conn(&conn);
	send_all(&conn, 10000);
	finish_conn(&conn, 0);
	tear_down();
	return 0;
}

START_TEST(a_sandbox_without_buffers_has_the_plain_form)
{
	size_t i;
	int row;

	for (i = 0; i < ARRAY_SIZE(sandboxes) && !_i; i++) {
		row = (int)i;
		ck_assert_int_eq(run_in_child(receive_in_sandbox, &row), 0);
	}
}
END_TEST

START_TEST(nothing_is_left_behind)
{
	int i, nr_maps, nr_fds;

	set_up(_i, 64, 4096);
	tear_down();
	nr_fds = count_fds();
	nr_maps = count_mappings(NULL);
	for (i = 0; i < 10; i++) {
		set_up(_i, 64, 4096);
		tear_down();
	}
	ck_assert_int_eq(count_fds(), nr_fds);
	ck_assert_int_le(count_mappings(NULL), nr_maps + 2);
}
END_TEST

START_TEST(a_group_that_is_gone_leaves_its_number)
{
	struct io_uring_buf_ring *own;
	unsigned id;
	int r;

	set_up(_i, 4, 100);
	id = group.id;
	ck_assert_int_eq(evring_group_exit(&group), 0);
	own = io_uring_setup_buf_ring(evring_ring(loop), 4, (int)id, 0, &r);
	ck_assert_ptr_nonnull(own);
	io_uring_free_buf_ring(evring_ring(loop), own, 4, (int)id);
	ev_loop_destroy(loop);
}
END_TEST

START_TEST(a_fixed_file_is_received_from)
{
	struct conn conn;

	set_up(_i, 8, 1000);
	init_conn(&conn);
	ck_assert_int_eq(evring_set_files(loop, 4), 0);
	ck_assert_int_eq(io_uring_register_files_update(evring_ring(loop), 2,
							&conn.fds[0], 1),
			 1);
	conn.recv.fd = 2;
	conn.recv.flags = EVRING_RECV_FIXED_FILE;
	ck_assert_int_eq(evring_recv_start(loop, &conn.recv), 0);
	send_all(&conn, 100000);
	finish_conn(&conn, _i);
	tear_down();
}
END_TEST

/*
 * messages
 */

struct inbox {
	struct evring_recv recv;
	int fds[2];
	int nr, nr_last, result, size;
	char data[256], control[256];
	struct sockaddr_storage name;
	struct evring_msg msg;
	void *kept;
	bool keep, is_wrong;
};

static void on_msg(struct ev_loop *l, struct evring_recv *recv, void *data,
		   int size)
{
	struct inbox *inbox = recv->op.data;
	const struct evring_msg *msg = &recv->msg;

	(void)l;
	if (!data) {
		inbox->nr_last++;
		inbox->result = size;
		inbox->is_wrong |= size > 0 || ev_is_active(recv);
		return;
	}
	inbox->nr++;
	inbox->size = size;
	inbox->msg = *msg;
	inbox->is_wrong |= size < 0 || size > 256 || !ev_is_active(recv) ||
			   (uintptr_t)msg->control % 8;
	memcpy(inbox->data, data, (size_t)size);
	if (msg->name)
		memcpy(&inbox->name, msg->name,
		       msg->name_len < sizeof(inbox->name)
			       ? msg->name_len
			       : sizeof(inbox->name));
	if (msg->control)
		memcpy(inbox->control, msg->control, msg->control_len);
	if (inbox->keep)
		inbox->kept = data;
	else if (evring_group_put(recv->group, data) != 0)
		inbox->is_wrong = true;
}

static void start_inbox(struct inbox *inbox)
{
	evring_recv_init(&inbox->recv, on_msg, inbox->fds[0], &group);
	inbox->recv.op.data = inbox;
	inbox->recv.flags = EVRING_RECV_MSG;
	inbox->recv.control_size = 64;
	ck_assert_int_eq(evring_recv_start(loop, &inbox->recv), 0);
}

/* fds[0] is bound and receives, fds[1] is connected to it. */
static void open_udp(struct inbox *inbox)
{
	struct sockaddr_in sin = { .sin_family = AF_INET };
	socklen_t size = sizeof(sin);
	int on = 1;

	memset(inbox, 0, sizeof(*inbox));
	inbox->fds[0] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	inbox->fds[1] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	ck_assert_int_eq(bind(inbox->fds[0], (struct sockaddr *)&sin, size), 0);
	getsockname(inbox->fds[0], (struct sockaddr *)&sin, &size);
	setsockopt(inbox->fds[0], IPPROTO_IP, IP_PKTINFO, &on, sizeof(on));
	ck_assert_int_eq(connect(inbox->fds[1], (struct sockaddr *)&sin, size),
			 0);
	start_inbox(inbox);
}

static void close_inbox(struct inbox *inbox)
{
	if (ev_is_active(&inbox->recv))
		evring_recv_stop(loop, &inbox->recv);
	run_until(inbox->nr_last);
	ck_assert_int_eq(inbox->nr_last, 1);
	ck_assert(!inbox->is_wrong);
	close(inbox->fds[0]);
	close(inbox->fds[1]);
}

static void set_up_messages(int mode)
{
	loop = new_loop(mode, 0);
	ck_assert_int_eq(
		evring_group_init(loop, &group, 4, 16 + 128 + 64 + 100, 0), 0);
}

START_TEST(a_message_comes_with_sender_and_control_data)
{
	struct sockaddr_in me, *from;
	socklen_t size = sizeof(me);
	struct inbox inbox;
	struct cmsghdr *cmsg;
	int i;

	set_up_messages(_i);
	open_udp(&inbox);
	getsockname(inbox.fds[1], (struct sockaddr *)&me, &size);
	for (i = 1; i <= 100; i++) {
		ck_assert_int_eq(
			send(inbox.fds[1], "hello, world", 5 + i % 8, 0),
			5 + i % 8);
		run_until(inbox.nr == i);
		ck_assert_int_eq(inbox.size, 5 + i % 8);
		ck_assert_mem_eq(inbox.data, "hello, world", 5);
		from = (struct sockaddr_in *)&inbox.name;
		ck_assert_uint_eq(inbox.msg.name_len, sizeof(me));
		ck_assert_uint_eq(from->sin_port, me.sin_port);
		ck_assert_int_eq(inbox.msg.flags, 0);
		cmsg = (struct cmsghdr *)(void *)inbox.control;
		ck_assert_uint_ge(inbox.msg.control_len, sizeof(*cmsg));
		ck_assert_int_eq(cmsg->cmsg_level, IPPROTO_IP);
		ck_assert_int_eq(cmsg->cmsg_type, IP_PKTINFO);
	}
	close_inbox(&inbox);
	ck_assert_int_eq(inbox.result, -ECANCELED);
	tear_down();
}
END_TEST

START_TEST(an_empty_message_is_one_and_a_long_one_is_cut)
{
	char bytes[400];
	struct inbox inbox;

	memset(bytes, 'x', sizeof(bytes));
	set_up_messages(_i);
	open_udp(&inbox);
	send(inbox.fds[1], bytes, 0, 0);
	run_until(inbox.nr == 1);
	ck_assert_int_eq(inbox.size, 0);
	ck_assert_uint_eq(inbox.msg.name_len, sizeof(struct sockaddr_in));
	send(inbox.fds[1], bytes, sizeof(bytes), 0);
	run_until(inbox.nr == 2);
	ck_assert_int_ge(inbox.size, 100);
	ck_assert_int_lt(inbox.size, 400);
	ck_assert_int_eq(inbox.msg.flags & MSG_TRUNC, MSG_TRUNC);
	send(inbox.fds[1], bytes, 3, 0);
	run_until(inbox.nr == 3);
	ck_assert_int_eq(inbox.size, 3);
	ck_assert_int_eq(inbox.msg.flags, 0);
	close_inbox(&inbox);
	tear_down();
}
END_TEST

START_TEST(messages_wait_for_a_buffer)
{
	struct inbox inbox;
	void *kept[4];
	int i;

	set_up_messages(_i);
	open_udp(&inbox);
	inbox.keep = true;
	for (i = 0; i < 4; i++) {
		send(inbox.fds[1], "abcdefgh", (size_t)i, 0);
		run_until(inbox.nr == i + 1);
		kept[i] = inbox.kept;
	}
	for (; i < 8; i++)
		send(inbox.fds[1], "abcdefgh", (size_t)i, 0);
	turns(10);
	ck_assert_int_eq(inbox.nr, 4);
	ck_assert_uint_eq(group.nr_free, 0);
	for (i = 4; i < 8; i++) {
		ck_assert_int_eq(evring_group_put(&group, kept[i - 4]), 0);
		run_until(inbox.nr == i + 1);
		ck_assert_int_eq(inbox.size, i);
		kept[i - 4] = inbox.kept;
	}
	for (i = 0; i < 4; i++)
		ck_assert_int_eq(evring_group_put(&group, kept[i]), 0);
	close_inbox(&inbox);
	tear_down();
}
END_TEST

static void send_fd(int socket_fd, int fd)
{
	char control[CMSG_SPACE(sizeof(int))] = { 0 };
	char byte = 'x';
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control,
			      .msg_controllen = sizeof(control) };
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);

	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(cmsg), &fd, sizeof(fd));
	ck_assert_int_eq(sendmsg(socket_fd, &msg, 0), 1);
}

/* Also: such sockets have an end. */
START_TEST(an_fd_is_passed_and_a_stream_ends)
{
	static const int types[] = { SOCK_STREAM, SOCK_SEQPACKET };
	struct inbox inbox;
	struct cmsghdr *cmsg;
	size_t i;
	int fd;

	for (i = 0; i < 2; i++) {
		set_up_messages(_i);
		memset(&inbox, 0, sizeof(inbox));
		ck_assert_int_eq(socketpair(AF_UNIX, types[i] | SOCK_CLOEXEC, 0,
					    inbox.fds),
				 0);
		start_inbox(&inbox);
		send_fd(inbox.fds[1], inbox.fds[1]);
		run_until(inbox.nr == 1);
		cmsg = (struct cmsghdr *)(void *)inbox.control;
		ck_assert_int_eq(cmsg->cmsg_type, SCM_RIGHTS);
		memcpy(&fd, CMSG_DATA(cmsg), sizeof(fd));
		ck_assert_int_eq(send(fd, "abc", 3, 0), 3);
		run_until(inbox.nr == 2);
		ck_assert_int_eq(inbox.size, 3);
		close(fd);
		shutdown(inbox.fds[1], SHUT_WR);
		run_until(inbox.nr_last);
		ck_assert_int_eq(inbox.result, 0);
		close_inbox(&inbox);
		tear_down();
	}
}
END_TEST

START_TEST(a_refused_message_is_told)
{
	struct inbox inbox;

	set_up_messages(_i);
	open_udp(&inbox);
	evring_recv_stop(loop, &inbox.recv);
	run_until(inbox.nr_last);
	close(inbox.fds[0]);
	inbox.fds[0] = dup(inbox.fds[1]); /* nobody is at the other end */
	inbox.nr_last = 0;
	start_inbox(&inbox);
	turns(2);
	send(inbox.fds[1], "x", 1, 0);
	run_until(inbox.nr_last);
	ck_assert_int_eq(inbox.result, -ECONNREFUSED);
	close_inbox(&inbox);
	tear_down();
}
END_TEST

/* clang-format off */
static const struct {
	const char *name;
	const TTest *const *test;
	bool forks;
} tests[] = {
	{ "streams", &all_bytes_arrive_in_order_and_then_the_end, false },
	{ "streams", &a_non_blocking_socket_is_the_same, false },
	{ "streams", &a_small_ring_loses_nothing, false },
	{ "streams", &buffers_are_put_back_in_any_order, false },
	{ "streams", &messages_cost_no_request_each, false },
	{ "streams", &few_buffers_are_used_where_few_are_needed, false },
	{ "streams", &few_buffers_are_used_again_after_a_crowd, false },
	{ "streams", &a_crowd_gets_all_buffers_that_there_are, false },
	{ "streams", &order_holds_in_nested_runs, false },
	{ "streams", &what_the_kernel_made_shorter_counts_as_it_is, false },
	{ "streams", &small_pieces_share_an_incremental_buffer, false },
	{ "dry", &a_dry_group_costs_nothing_and_goes_on_with_a_buffer, false },
	{ "dry", &who_waits_keeps_the_loop_alive, false },
	{ "dry", &those_who_wait_get_a_buffer_in_turn, false },
	{ "dry", &a_buffer_is_passed_on_by_who_ends, false },
	{ "dry", &a_buffer_is_passed_on_by_who_is_stopped, false },
	{ "dry", &a_buffer_is_passed_on_by_who_finds_no_data, false },
	{ "dry", &who_waits_can_be_stopped_and_started, false },
	{ "dry", &who_waits_among_others_can_be_stopped, false },
	{ "ends", &stop_only_asks_and_the_last_event_comes_once, false },
	{ "ends", &a_watcher_can_be_stopped_before_it_began, false },
	{ "ends", &nothing_is_lost_between_stop_and_start, false },
	{ "ends", &a_reset_is_told, false },
	{ "ends", &a_wrong_fd_is_told, false },
	{ "ends", &what_is_wrong_is_refused, false },
	{ "ends", &a_watcher_is_freed_in_its_last_event, false },
	{ "ring", &detach_and_destroy_end_it_in_every_state, false },
	{ "ring", &detach_in_an_event_ends_it, false },
	{ "ring", &detach_in_an_event_frees_it, false },
	{ "ring", &a_group_goes_on_after_detach_and_attach, false },
	{ "ring", &exit_is_refused_while_somebody_receives, false },
	{ "ring", &another_thread_ends_it_and_can_go_on, false },
	{ "ring", &the_new_ring_has_the_group_when_the_old_watchers_have_ended, false },
	{ "ring", &what_is_on_its_way_from_the_old_ring_is_not_overwritten,
	  false },
	{ "ring", &a_child_has_what_it_was_given_and_the_parent_goes_on, true },
	{ "ring", &a_child_puts_back_and_destroys, true },
	{ "groups", &groups_coexist_with_each_other_and_with_the_users, false },
	{ "groups", &a_sandbox_without_buffers_has_the_plain_form, true },
	{ "groups", &nothing_is_left_behind, false },
	{ "groups", &a_group_that_is_gone_leaves_its_number, false },
	{ "groups", &a_fixed_file_is_received_from, false },
	{ "messages", &a_message_comes_with_sender_and_control_data, false },
	{ "messages", &an_empty_message_is_one_and_a_long_one_is_cut, false },
	{ "messages", &messages_wait_for_a_buffer, false },
	{ "messages", &an_fd_is_passed_and_a_stream_ends, false },
	{ "messages", &a_refused_message_is_told, false },
};
/* clang-format on */

static bool has_bundles(void)
{
	struct io_uring_params params = { .flags = 0 };
	struct io_uring uring;

	if (io_uring_queue_init_params(2, &uring, &params) >= 0)
		io_uring_queue_exit(&uring);
	return params.features & IORING_FEAT_RECVSEND_BUNDLE;
}

/* Why a test is not for this machine; NULL if it is. */
static const char *why_not(size_t i)
{
	if (tests[i].test == &what_the_kernel_made_shorter_counts_as_it_is &&
	    !has_bundles())
		return "the kernel makes none shorter before Linux 6.10";
	return tests[i].forks ? no_children() : NULL;
}

Suite *make_suite(void)
{
	Suite *suite = suite_create("recv");
	TCase *tcase = NULL;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(tests); i++) {
		if (!i || strcmp(tests[i].name, tests[i - 1].name)) {
			tcase = tcase_create(tests[i].name);
			tcase_set_timeout(tcase, 25);
			suite_add_tcase(suite, tcase);
		}
		add_loop_or_leave_out(tcase, *tests[i].test, NR_MODES,
				      why_not(i));
	}
	return suite;
}
