/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * accept.c - no connection is lost and none comes twice, whatever happens to
 * the listener, to the loop, or to the fds of this process.
 *
 * What the kernel does not do when asked (ECONNABORTED and its like) is put
 * into the answer of a request that was cancelled: see fail_next().
 */
#include "config.h"

#include "harness.h"

#include <errno.h>
#include <ev.h>
#include <evring-net.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

static const char *const modes[] = {
	NULL,
	"region",
	"epoll-wait",
	"defer-taskrun,single-issuer,coop-taskrun",
	"multishot-accept",
	"multishot-accept,defer-taskrun,single-issuer,coop-taskrun",
	"multishot-accept,epoll-wait,cqe-skip",
};

enum {
	NR_MODES = ARRAY_SIZE(modes),
	MAX_EVENTS = 2000,
	NOT_ALL = 64,  /* events */
	NR_MANY = 300, /* connections */
};

/* Checked: a ring does not go with a fork. */
static struct ev_loop *loop;

/* A listener, its watcher, and what it heard. */
struct server {
	struct evring_accept accept;
	struct sockaddr_in address;
	int results[MAX_EVENTS]; /* fds and errors */
	int nr_results, nr_connections, nr_ends;

	/* What to do in the callback. */
	void (*action)(struct server *server, int result);
	int nr_actions; /* how often still */
	int spare;	/* an fd */

	int fault; /* see fail_next() */
	void (*answered)(struct ev_loop *loop, struct evring_op *op,
			 int revents);
};

static void new_loop_of(int mode, unsigned entries)
{
	struct evring_config config = { .disable = modes[mode],
					.entries = entries };
	int r;

	loop = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
	r = evring_attach(loop, &config);
	ck_assert_msg(!r, "less %s: %d", config.disable, r);
}

static void new_loop(int mode)
{
	new_loop_of(mode, 0);
}

static bool is_multishot(int mode)
{
	return !modes[mode] || !strstr(modes[mode], "multishot-accept");
}

static uint64_t nr_ops(void)
{
	struct evring_stats stats;

	ck_assert_int_eq(evring_stats(loop, &stats), 0);
	return stats.ops;
}

static void on_accept(struct ev_loop *l, struct evring_accept *accept, int fd)
{
	struct server *server = accept->op.data;

	(void)l;
	ck_assert_int_eq(server->nr_ends, 0);
	ck_assert_int_lt(server->nr_results, MAX_EVENTS);
	server->results[server->nr_results++] = fd;
	server->nr_connections += fd >= 0;
	if (!ev_is_active(accept)) {
		ck_assert_int_lt(fd, 0);
		server->nr_ends++;
	}
	if (server->action && server->nr_actions) {
		server->nr_actions--;
		server->action(server, fd);
	}
}

static int make_listener(struct sockaddr_in *address, int flags)
{
	socklen_t size = sizeof(*address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);

	ck_assert_int_ge(fd, 0);
	memset(address, 0, sizeof(*address));
	address->sin_family = AF_INET;
	address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	ck_assert_int_eq(bind(fd, (void *)address, size), 0);
	ck_assert_int_eq(listen(fd, 1024), 0);
	ck_assert_int_eq(getsockname(fd, (void *)address, &size), 0);
	return fd;
}

static void open_server(struct server *server)
{
	memset(server, 0, sizeof(*server));
	evring_accept_init(&server->accept, on_accept,
			   make_listener(&server->address, 0), SOCK_CLOEXEC);
	server->accept.op.data = server;
}

static void start(struct server *server)
{
	ck_assert_int_eq(evring_accept_start(loop, &server->accept), 0);
	ck_assert(ev_is_active(&server->accept));
}

static void stop(struct server *server)
{
	ck_assert_int_eq(evring_accept_stop(loop, &server->accept), 0);
}

static void close_connections(struct server *server)
{
	int i;

	for (i = 0; i < server->nr_results; i++)
		if (server->results[i] >= 0)
			close(server->results[i]);
}

/* It has ended. */
static void close_server(struct server *server)
{
	ck_assert_int_eq(server->nr_ends, 1);
	ck_assert(!ev_is_active(&server->accept));
	close_connections(server);
	close(server->accept.fd);
}

static void destroy_loop(void)
{
	ev_loop_destroy(loop);
}

static int connect_to(const struct server *server)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(connect(fd, (const void *)&server->address,
				 sizeof(server->address)),
			 0);
	return fd;
}

static void connect_many(const struct server *server, int *fds, int nr)
{
	int i;

	for (i = 0; i < nr; i++)
		fds[i] = connect_to(server);
}

static void close_all(const int *fds, int nr)
{
	int i;

	for (i = 0; i < nr; i++)
		close(fds[i]);
}

static void turn(void)
{
	ev_run(loop, EVRUN_NOWAIT);
}

static void run_to_connections(struct server *server, int nr)
{
	while (server->nr_connections < nr)
		ev_run(loop, EVRUN_ONCE);
	ck_assert_int_eq(server->nr_connections, nr);
}

static void run_to_results(struct server *server, int nr)
{
	while (server->nr_results < nr)
		ev_run(loop, EVRUN_ONCE);
	ck_assert_int_eq(server->nr_results, nr);
}

/* Nothing else keeps the loop alive. */
static void run_to_end(struct server *server)
{
	ev_run(loop, 0);
	ck_assert_int_eq(server->nr_ends, 1);
}

static int last_result(const struct server *server)
{
	ck_assert_int_gt(server->nr_results, 0);
	return server->results[server->nr_results - 1];
}

static void end_well(struct server *server)
{
	stop(server);
	run_to_end(server);
	ck_assert_int_eq(last_result(server), -ECANCELED);
	close_server(server);
	destroy_loop();
}

/* How many are left to whoever accepts next. */
static int empty_backlog(const struct server *server)
{
	int fd, nr = 0;

	fcntl(server->accept.fd, F_SETFL, O_NONBLOCK);
	while ((fd = accept(server->accept.fd, NULL, NULL)) >= 0) {
		close(fd);
		nr++;
	}
	ck_assert_int_eq(errno, EAGAIN);
	return nr;
}

/*
 * connections
 */

static bool is_peer_of(int fd, int other)
{
	struct sockaddr_in peer, own;
	socklen_t size = sizeof(peer);

	if (getpeername(fd, (void *)&peer, &size) < 0 ||
	    getsockname(other, (void *)&own, &size) < 0)
		return false;
	return peer.sin_port == own.sin_port &&
	       peer.sin_addr.s_addr == own.sin_addr.s_addr;
}

START_TEST(each_connection_is_an_event)
{
	struct server server;
	int fds[6], i;

	new_loop(_i);
	open_server(&server);
	connect_many(&server, fds, 3);
	start(&server);
	run_to_connections(&server, 3);
	for (i = 3; i < 6; i++) {
		fds[i] = connect_to(&server);
		run_to_connections(&server, i + 1);
	}
	for (i = 0; i < 6; i++)
		ck_assert(is_peer_of(server.results[i], fds[i]));
	turn();
	ck_assert_int_eq(server.nr_results, 6);
	ck_assert(ev_is_active(&server.accept));
	close_all(fds, 6);
	end_well(&server);
}
END_TEST

START_TEST(one_request_accepts_all_where_there_is_multishot)
{
	struct server server;
	int fds[8], i;

	new_loop(_i);
	open_server(&server);
	start(&server);
	for (i = 0; i < 8; i++) {
		fds[i] = connect_to(&server);
		run_to_connections(&server, i + 1);
	}
	ck_assert_uint_eq(nr_ops(), is_multishot(_i) ? 1 : 9);
	close_all(fds, 8);
	end_well(&server);
}
END_TEST

START_TEST(connections_have_the_flags_asked_for)
{
	static const int flags[] = { 0, SOCK_CLOEXEC, SOCK_NONBLOCK,
				     SOCK_CLOEXEC | SOCK_NONBLOCK };
	struct server server;
	int fd, client, i;

	for (i = 0; i < (int)ARRAY_SIZE(flags); i++) {
		new_loop(_i);
		open_server(&server);
		server.accept.flags = flags[i];
		start(&server);
		client = connect_to(&server);
		run_to_connections(&server, 1);
		fd = last_result(&server);
		ck_assert_int_eq(!!(flags[i] & SOCK_CLOEXEC),
				 !!(fcntl(fd, F_GETFD) & FD_CLOEXEC));
		ck_assert_int_eq(!!(flags[i] & SOCK_NONBLOCK),
				 !!(fcntl(fd, F_GETFL) & O_NONBLOCK));
		close(client);
		end_well(&server);
	}
}
END_TEST

/* More than the completion queue has room for. */
START_TEST(crowd_is_accepted_by_a_small_ring)
{
	struct server server;
	int fds[NR_MANY], nr;

	new_loop_of(_i, 8);
	open_server(&server);
	connect_many(&server, fds, NR_MANY / 2);
	start(&server);
	run_to_connections(&server, NR_MANY / 2);
	nr = NR_MANY - NR_MANY / 2;
	connect_many(&server, fds + NR_MANY / 2, nr);
	run_to_connections(&server, NR_MANY);
	ck_assert_int_eq(empty_backlog(&server), 0);
	close_all(fds, NR_MANY);
	end_well(&server);
}
END_TEST

START_TEST(listener_may_be_non_blocking)
{
	struct server server;
	int fds[2];

	new_loop(_i);
	open_server(&server);
	fcntl(server.accept.fd, F_SETFL, O_NONBLOCK);
	start(&server);
	turn();
	fds[0] = connect_to(&server);
	run_to_connections(&server, 1);
	turn();
	fds[1] = connect_to(&server);
	run_to_connections(&server, 2);
	ck_assert_int_eq(server.nr_results, 2);
	close_all(fds, 2);
	end_well(&server);
}
END_TEST

/*
 * stop
 */

START_TEST(stop_leaves_the_backlog_to_others)
{
	struct server server;
	int fds[3];

	new_loop(_i);
	open_server(&server);
	start(&server);
	fds[0] = connect_to(&server);
	run_to_connections(&server, 1);
	stop(&server);
	run_to_end(&server);
	ck_assert_int_eq(last_result(&server), -ECANCELED);
	connect_many(&server, fds + 1, 2);
	turn();
	ck_assert_int_eq(server.nr_connections, 1);
	ck_assert_int_eq(empty_backlog(&server), 2);
	close_all(fds, 3);
	close_server(&server);
	destroy_loop();
}
END_TEST

static void stop_it(struct server *server, int result)
{
	(void)result;
	stop(server);
}

/* Rows: how many turns before stop, and then whether it is in the callback. */
START_TEST(stop_loses_no_connection)
{
	int row = _i / NR_MODES, fds[NOT_ALL];
	struct server server;

	new_loop(_i % NR_MODES);
	open_server(&server);
	if (row & 1)
		connect_many(&server, fds, NOT_ALL);
	start(&server);
	if (!(row & 1)) {
		turn();
		connect_many(&server, fds, NOT_ALL);
	}
	if (row & 2) {
		server.action = stop_it;
		server.nr_actions = 1;
	} else {
		stop(&server);
	}
	run_to_end(&server);
	ck_assert_int_eq(last_result(&server), -ECANCELED);
	ck_assert_int_eq(server.nr_connections, server.nr_results - 1);
	ck_assert_int_eq(server.nr_connections + empty_backlog(&server),
			 NOT_ALL);
	close_all(fds, NOT_ALL);
	close_server(&server);
	destroy_loop();
}
END_TEST

START_TEST(stop_may_be_repeated_or_needless)
{
	struct server server;

	new_loop(_i);
	open_server(&server);
	stop(&server);
	start(&server);
	stop(&server);
	stop(&server);
	turn();
	stop(&server);
	run_to_end(&server);
	ck_assert_int_eq(server.nr_results, 1);
	stop(&server);
	turn();
	ck_assert_int_eq(server.nr_results, 1);
	close_server(&server);
	destroy_loop();
}
END_TEST

static void start_again(struct server *server, int result)
{
	ck_assert_int_eq(result, -ECANCELED);
	server->nr_ends = 0;
	start(server);
}

START_TEST(last_event_may_start_it_again)
{
	struct server server;
	int client;

	new_loop(_i);
	open_server(&server);
	start(&server);
	server.action = start_again;
	server.nr_actions = 1;
	stop(&server);
	run_to_results(&server, 1);
	ck_assert(ev_is_active(&server.accept));
	client = connect_to(&server);
	run_to_connections(&server, 1);
	close(client);
	end_well(&server);
}
END_TEST

START_TEST(start_says_what_is_wrong)
{
	struct ev_loop *bare = ev_loop_new(EVBACKEND_EPOLL);
	struct server server;

	new_loop(_i);
	open_server(&server);
	ck_assert_int_eq(evring_accept_start(loop, NULL), -EINVAL);
	ck_assert_int_eq(evring_accept_stop(loop, NULL), -EINVAL);
	ck_assert_int_eq(evring_accept_resume(loop, NULL), -EINVAL);
	server.accept.flags = O_APPEND;
	ck_assert_int_eq(evring_accept_start(loop, &server.accept), -EINVAL);
	server.accept.flags = 0;
	server.accept.pause = 0.0001;
	ck_assert_int_eq(evring_accept_start(loop, &server.accept), -EINVAL);
	server.accept.pause = -1.;
	ck_assert_int_eq(evring_accept_start(loop, &server.accept), -EINVAL);
	server.accept.pause = 2e9;
	ck_assert_int_eq(evring_accept_start(loop, &server.accept), -EINVAL);
	server.accept.pause = 0.;
	server.accept.cb = NULL;
	ck_assert_int_eq(evring_accept_start(loop, &server.accept), -EINVAL);
	server.accept.cb = on_accept;
	errno = 4711;
	ck_assert_int_eq(evring_accept_start(bare, &server.accept), -ENXIO);
	ck_assert_int_eq(errno, 4711);
	ck_assert(!ev_is_active(&server.accept));
	start(&server);
	ck_assert_int_eq(evring_accept_start(loop, &server.accept), -EBUSY);
	stop(&server);
	ck_assert_int_eq(evring_accept_start(loop, &server.accept), -EBUSY);
	run_to_end(&server);
	ck_assert_int_eq(server.nr_results, 1);
	close_server(&server);
	destroy_loop();
	ev_loop_destroy(bare);
}
END_TEST

static void free_server(struct ev_loop *l, struct evring_accept *accept, int fd)
{
	bool *is_freed = accept->op.data;

	(void)l;
	if (fd >= 0)
		close(fd);
	if (ev_is_active(accept))
		return;
	*is_freed = true;
	close(accept->fd);
	memset(accept, 0xff, sizeof(*accept));
	free(accept);
}

/* Rows: stopped, or the loop is destroyed. */
START_TEST(last_event_may_free_it)
{
	struct evring_accept *accept = malloc(sizeof(*accept));
	struct server server;
	bool is_freed = false;
	int client;

	new_loop(_i % NR_MODES);
	open_server(&server);
	evring_accept_init(accept, free_server, server.accept.fd, 0);
	accept->op.data = &is_freed;
	ck_assert_int_eq(evring_accept_start(loop, accept), 0);
	turn();
	client = connect_to(&server);
	if (_i < NR_MODES) {
		ck_assert_int_eq(evring_accept_stop(loop, accept), 0);
		ev_run(loop, 0);
	}
	destroy_loop();
	ck_assert(is_freed);
	close(client);
}
END_TEST

/*
 * out of fds
 */

/* So that the next fd is one too many; what it was is returned. */
static rlim_t use_up_fds(void)
{
	struct rlimit limit;
	rlim_t before;
	int fd = dup(0);

	ck_assert_int_ge(fd, 0);
	close(fd);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	before = limit.rlim_cur;
	limit.rlim_cur = (rlim_t)fd;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	ck_assert_int_lt(dup(0), 0);
	return before;
}

static void give_back_fds(rlim_t before)
{
	struct rlimit limit;

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = before;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

/* A ring that has fds for its operations already. */
static void warm_up(struct server *server)
{
	start(server);
	stop(server);
	run_to_end(server);
	server->nr_results = server->nr_ends = 0;
}

static rlim_t open_server_without_fds(struct server *server, int *client)
{
	rlim_t before;

	open_server(server);
	warm_up(server);
	*client = connect_to(server);
	before = use_up_fds();
	start(server);
	return before;
}

START_TEST(without_fds_it_says_so_and_waits)
{
	struct server server;
	uint64_t ops;
	rlim_t before;
	int client, i;

	new_loop(_i);
	before = open_server_without_fds(&server, &client);
	server.accept.pause = 1e9;
	run_to_results(&server, 1);
	ck_assert_int_eq(last_result(&server), -EMFILE);
	ck_assert(ev_is_active(&server.accept));
	ops = nr_ops();
	for (i = 0; i < 20; i++)
		turn();
	ck_assert_uint_eq(nr_ops(), ops);
	give_back_fds(before);
	for (i = 0; i < 20; i++)
		turn();
	ck_assert_int_eq(server.nr_results, 1);
	ck_assert_int_eq(evring_accept_resume(loop, &server.accept), 0);
	run_to_connections(&server, 1);
	ck_assert_int_eq(server.nr_results, 2);
	close(client);
	end_well(&server);
}
END_TEST

START_TEST(without_fds_it_tries_again_after_a_pause)
{
	struct server server;
	rlim_t before;
	double begin;
	int client;

	new_loop(_i);
	before = open_server_without_fds(&server, &client);
	server.accept.pause = 0.02;
	run_to_results(&server, 1);
	begin = now();
	run_to_results(&server, 4);
	ck_assert(now() - begin >= 0.059);
	ck_assert_int_eq(last_result(&server), -EMFILE);
	ck_assert(ev_is_active(&server.accept));
	give_back_fds(before);
	run_to_connections(&server, 1);
	close(client);
	end_well(&server);
}
END_TEST

static void close_one_and_resume(struct server *server, int result)
{
	ck_assert_int_eq(result, -EMFILE);
	ck_assert_int_eq(close(server->spare), 0);
	ck_assert_int_eq(evring_accept_resume(loop, &server->accept), 0);
}

/*
 * What a daemon does that keeps an fd for this.  Old kernels (6.1) then say at
 * once that there is none for the next connection, whether or not one has come.
 */
START_TEST(its_event_may_make_room_and_resume)
{
	struct server server;
	int client, spare;
	rlim_t before;

	new_loop(_i);
	spare = dup(0);
	before = open_server_without_fds(&server, &client);
	server.spare = spare;
	server.accept.pause = 1e9;
	server.action = close_one_and_resume;
	server.nr_actions = 1;
	run_to_connections(&server, 1);
	ck_assert_int_ge(server.results[1], 0);
	give_back_fds(before);
	close(client);
	stop(&server);
	run_to_end(&server);
	close_server(&server);
	destroy_loop();
}
END_TEST

/* Rows: in the callback, or later. */
START_TEST(stop_ends_a_pause)
{
	struct server server;
	rlim_t before;
	int client;

	new_loop(_i % NR_MODES);
	before = open_server_without_fds(&server, &client);
	server.accept.pause = 1e9;
	if (_i < NR_MODES) {
		server.action = stop_it;
		server.nr_actions = 1;
	}
	run_to_results(&server, 1);
	if (_i >= NR_MODES)
		stop(&server);
	run_to_end(&server);
	ck_assert_int_eq(last_result(&server), -ECANCELED);
	give_back_fds(before);
	ck_assert_int_eq(empty_backlog(&server), 1);
	close(client);
	close_server(&server);
	destroy_loop();
}
END_TEST

START_TEST(resume_without_a_pause_does_nothing)
{
	struct server server;
	int client;

	new_loop(_i);
	open_server(&server);
	ck_assert_int_eq(evring_accept_resume(loop, &server.accept), 0);
	start(&server);
	turn();
	ck_assert_int_eq(evring_accept_resume(loop, &server.accept), 0);
	turn();
	ck_assert_int_eq(server.nr_results, 0);
	client = connect_to(&server);
	run_to_connections(&server, 1);
	close(client);
	end_well(&server);
}
END_TEST

/*
 * errors
 */

static int closed_fd(struct server *server)
{
	(void)server;
	return 4000;
}

static int not_listening(struct server *server)
{
	(void)server;
	return socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static int no_socket(struct server *server)
{
	int fds[2];

	(void)server;
	ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
	close(fds[1]);
	return fds[0];
}

static int datagrams(struct server *server)
{
	(void)server;
	return socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
}

static int shut_down(struct server *server)
{
	int fd = make_listener(&server->address, 0);

	shutdown(fd, SHUT_RD);
	return fd;
}

static const struct {
	int (*make)(struct server *server);
	int error;
} hopeless[] = {
	{ closed_fd, EBADF },	 { not_listening, EINVAL },
	{ no_socket, ENOTSOCK }, { datagrams, EOPNOTSUPP },
	{ shut_down, EINVAL },
};

START_TEST(what_is_no_listener_ends_it)
{
	int row = _i / NR_MODES;
	struct server server;

	new_loop(_i % NR_MODES);
	open_server(&server);
	close(server.accept.fd);
	server.accept.fd = hopeless[row].make(&server);
	start(&server);
	run_to_end(&server);
	ck_assert_int_eq(server.nr_results, 1);
	ck_assert_int_eq(last_result(&server), -hopeless[row].error);
	close_server(&server);
	destroy_loop();
}
END_TEST

START_TEST(shutdown_of_the_listener_ends_it)
{
	struct server server;
	int client;

	new_loop(_i);
	open_server(&server);
	start(&server);
	client = connect_to(&server);
	run_to_connections(&server, 1);
	turn();
	shutdown(server.accept.fd, SHUT_RD);
	run_to_end(&server);
	ck_assert_int_eq(server.nr_results, 2);
	ck_assert_int_eq(last_result(&server), -EINVAL);
	close(client);
	close_server(&server);
	destroy_loop();
}
END_TEST

static void put_fault(struct ev_loop *l, struct evring_op *op, int revents)
{
	struct server *server = op->data;

	if (server->fault && op->res == -ECANCELED) {
		op->res = server->fault;
		server->fault = 0;
	}
	server->answered(l, op, revents);
}

/* Have the request that is under way fail with error. */
static void fail_next(struct server *server, int error)
{
	server->answered = server->accept.op.cb;
	server->accept.op.cb = put_fault;
	server->fault = -error;
	ck_assert_int_eq(evring_op_cancel(loop, &server->accept.op), 0);
	while (server->fault)
		ev_run(loop, EVRUN_ONCE);
	server->accept.op.cb = server->answered;
}

static const int passing[] = {
	EAGAIN,	   ECONNABORTED, EINTR,	       EPROTO, ENOPROTOOPT, ENETDOWN,
	EHOSTDOWN, ENETUNREACH,	 EHOSTUNREACH, ENONET, ETIMEDOUT,   ECANCELED,
};

START_TEST(errors_of_a_connection_are_no_event)
{
	struct server server;
	int fds[2];

	new_loop(_i % NR_MODES);
	open_server(&server);
	start(&server);
	turn();
	fail_next(&server, passing[_i / NR_MODES]);
	turn();
	ck_assert_int_eq(server.nr_results, 0);
	connect_many(&server, fds, 2);
	run_to_connections(&server, 2);
	ck_assert_int_eq(server.nr_results, 2);
	close_all(fds, 2);
	end_well(&server);
}
END_TEST

/* A kernel that answers so may do it again at once. */
START_TEST(after_eagain_the_listener_is_polled)
{
	struct server server;
	uint64_t ops;
	int client, i;

	new_loop(_i);
	open_server(&server);
	start(&server);
	turn();
	ops = nr_ops();
	fail_next(&server, EAGAIN);
	for (i = 0; i < 20; i++)
		turn();
	ck_assert_uint_eq(nr_ops(), ops + 1);
	client = connect_to(&server);
	run_to_connections(&server, 1);
	ck_assert_uint_eq(nr_ops(), is_multishot(_i) ? ops + 2 : ops + 3);
	close(client);
	end_well(&server);
}
END_TEST

static const int shortages[] = { EMFILE, ENFILE, ENOBUFS, ENOMEM, EPERM };

START_TEST(shortages_are_events_and_pass)
{
	int row = _i / NR_MODES;
	struct server server;
	int client;

	new_loop(_i % NR_MODES);
	open_server(&server);
	server.accept.pause = 0.01;
	start(&server);
	turn();
	fail_next(&server, shortages[row]);
	ck_assert_int_eq(server.nr_results, 1);
	ck_assert_int_eq(last_result(&server), -shortages[row]);
	ck_assert(ev_is_active(&server.accept));
	client = connect_to(&server);
	run_to_connections(&server, 1);
	ck_assert_int_eq(server.nr_results, 2);
	close(client);
	end_well(&server);
}
END_TEST

/* Also between two requests: what is under way is stopped, or what is next. */
START_TEST(stop_counts_whatever_the_answer_is)
{
	int row = _i / NR_MODES;
	struct server server;

	new_loop(_i % NR_MODES);
	open_server(&server);
	start(&server);
	turn();
	server.accept.is_stopping = 0;
	stop(&server);
	server.answered = server.accept.op.cb;
	server.accept.op.cb = put_fault;
	server.fault = -(row ? passing[row] : EMFILE);
	run_to_end(&server);
	ck_assert_int_eq(server.nr_results, 1);
	ck_assert_int_eq(last_result(&server), -ECANCELED);
	close_server(&server);
	destroy_loop();
}
END_TEST

/*
 * the loop goes
 */

static void detach_or_destroy(bool is_destroyed)
{
	if (is_destroyed)
		ev_loop_destroy(loop);
	else
		ck_assert_int_eq(evring_detach(loop), 0);
}

static void start_and_wait(struct server *server)
{
	start(server);
	turn();
}

static void start_only(struct server *server)
{
	start(server);
}

static void start_and_poll(struct server *server)
{
	start_and_wait(server);
	fail_next(server, EAGAIN);
}

static void start_and_pause(struct server *server)
{
	start_and_wait(server);
	fail_next(server, EMFILE);
}

static void start_and_stop(struct server *server)
{
	start_and_wait(server);
	stop(server);
}

static void start_and_accept_unheard(struct server *server)
{
	int fds[2];

	connect_many(server, fds, 2);
	start(server);
	close_all(fds, 2);
}

static void (*const states[])(struct server *server) = {
	start_only,	 start_and_wait, start_and_poll,
	start_and_pause, start_and_stop, start_and_accept_unheard,
};

/* Rows: states, detached or destroyed. */
START_TEST(end_of_the_loop_is_its_end)
{
	unsigned row = (unsigned)_i / NR_MODES;
	bool is_destroyed = row % 2;
	struct server server;

	new_loop(_i % NR_MODES);
	open_server(&server);
	states[row / 2](&server);
	detach_or_destroy(is_destroyed);
	ck_assert_int_eq(server.nr_ends, 1);
	ck_assert_int_eq(last_result(&server), -ECANCELED);
	close_server(&server);
	if (!is_destroyed)
		ev_loop_destroy(loop);
}
END_TEST

static void detach_it(struct server *server, int result)
{
	(void)result;
	ck_assert_int_eq(evring_detach(loop), 0);
	ck_assert_int_eq(server->nr_ends, 1);
}

static void destroy_it(struct server *server, int result)
{
	(void)result;
	ev_break(loop, EVBREAK_ALL);
	ck_assert_int_eq(evring_detach(loop), 0);
	ck_assert_int_eq(server->nr_ends, 1);
}

/* Rows: of a connection after which there are more, of one after stop, and of
   a pause. */
START_TEST(its_event_may_detach_the_loop)
{
	int row = _i / NR_MODES, fds[4];
	struct server server;

	new_loop(_i % NR_MODES);
	open_server(&server);
	connect_many(&server, fds, 4);
	server.action = row & 1 ? detach_it : destroy_it;
	server.nr_actions = 1;
	if (row < 4) {
		start(&server);
		if (row & 2)
			stop(&server);
		ev_run(loop, 0);
	} else {
		server.accept.pause = 1e9;
		ck_assert_int_eq(empty_backlog(&server), 4);
		start_and_pause(&server);
	}
	ck_assert_int_eq(server.nr_ends, 1);
	ck_assert_int_eq(last_result(&server), -ECANCELED);
	if (row < 4)
		ck_assert_int_eq(server.nr_connections + empty_backlog(&server),
				 4);
	close_all(fds, 4);
	close_server(&server);
	destroy_loop();
}
END_TEST

static void detach_before_events(struct ev_loop *l, ev_check *w, int revents)
{
	(void)revents;
	ev_check_stop(l, w);
	ck_assert_int_eq(evring_detach(l), 0);
}

/* A connection that came and was not heard of; and there is no next turn to put
   the end off to. */
START_TEST(last_connection_of_a_loop_is_before_the_end)
{
	struct server server;
	ev_check check;
	int fds[3], nr;

	new_loop(_i);
	open_server(&server);
	connect_many(&server, fds, 3);
	ev_check_init(&check, detach_before_events);
	ev_set_priority(&check, EV_MAXPRI);
	ev_check_start(loop, &check);
	start(&server);
	while (!server.nr_ends)
		ev_run(loop, EVRUN_ONCE);
	nr = server.nr_connections;
	ck_assert_int_ge(nr, 1);
	ck_assert_int_eq(server.nr_results, nr + 1);
	ck_assert_int_eq(last_result(&server), -ECANCELED);
	ck_assert_int_eq(nr + empty_backlog(&server), 3);
	close_all(fds, 3);
	close_server(&server);
	destroy_loop();
}
END_TEST

/*
 * forks and threads
 */

static int accept_in_child(void *arg)
{
	struct server *server = arg;
	int client;

	ev_loop_fork(loop);
	while (server->nr_connections < 1) {
		ev_run(loop, EVRUN_NOWAIT);
		if (ev_is_active(&server->accept))
			break;
	}
	client = socket(AF_INET, SOCK_STREAM, 0);
	child_assert(connect(client, (void *)&server->address,
			     sizeof(server->address)) == 0);
	while (server->nr_connections < 1)
		ev_run(loop, EVRUN_ONCE);
	child_assert(server->nr_results == 1 && server->nr_ends == 0);
	child_assert(evring_accept_stop(loop, &server->accept) == 0);
	ev_run(loop, 0);
	child_assert(server->nr_ends == 1);
	return 0;
}

/* The parent does not run, so the child has the listener to itself, as far as
   the parent's request does not accept in the background. */
START_TEST(child_goes_on_by_itself)
{
	struct server server;
	int client, r;

	new_loop(_i);
	open_server(&server);
	start(&server);
	stop(&server);
	run_to_end(&server);
	server.nr_ends = server.nr_results = 0;
	start(&server);
	r = run_in_child(accept_in_child, &server);
	ck_assert_msg(!r, "less %s: %d", modes[_i], r);
	client = connect_to(&server);
	run_to_connections(&server, 1);
	close(client);
	end_well(&server);
}
END_TEST

static int destroy_in_child(void *arg)
{
	struct server *server = arg;

	ev_loop_destroy(loop);
	child_assert(server->nr_ends == 1);
	child_assert(last_result(server) == -ECANCELED);
	return 0;
}

START_TEST(child_may_destroy_the_loop)
{
	struct server server;
	int client;

	new_loop(_i);
	open_server(&server);
	start(&server);
	turn();
	ck_assert_int_eq(run_in_child(destroy_in_child, &server), 0);
	ck_assert_int_eq(server.nr_results, 0);
	client = connect_to(&server);
	run_to_connections(&server, 1);
	close(client);
	end_well(&server);
}
END_TEST

static void *accept_in_thread(void *arg)
{
	struct server *server = arg;
	int client;

	turn();
	client = connect_to(server);
	run_to_connections(server, 1);
	stop(server);
	run_to_end(server);
	close(client);
	return NULL;
}

START_TEST(another_thread_goes_on)
{
	struct server server;
	pthread_t thread;

	new_loop(_i);
	open_server(&server);
	start(&server);
	turn();
	ck_assert_int_eq(
		pthread_create(&thread, NULL, accept_in_thread, &server), 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_int_eq(server.nr_results, 2);
	ck_assert_int_eq(last_result(&server), -ECANCELED);
	close_server(&server);
	destroy_loop();
}
END_TEST

static const char *no_limits(void)
{
	return under_valgrind() ? "valgrind keeps the limit of fds to itself"
				: NULL;
}

static const struct {
	const char *name;
	const TTest *const *test;
	int nr_rows;
	const char *(*reason)(void);
} tests[] = {
	{ "connections", &each_connection_is_an_event, 1, NULL },
	{ "connections", &one_request_accepts_all_where_there_is_multishot, 1,
	  NULL },
	{ "connections", &connections_have_the_flags_asked_for, 1, NULL },
	{ "connections", &crowd_is_accepted_by_a_small_ring, 1, NULL },
	{ "connections", &listener_may_be_non_blocking, 1, NULL },
	{ "stop", &stop_leaves_the_backlog_to_others, 1, NULL },
	{ "stop", &stop_loses_no_connection, 4, NULL },
	{ "stop", &stop_may_be_repeated_or_needless, 1, NULL },
	{ "stop", &last_event_may_start_it_again, 1, NULL },
	{ "stop", &start_says_what_is_wrong, 1, NULL },
	{ "stop", &last_event_may_free_it, 2, NULL },
	{ "fds", &without_fds_it_says_so_and_waits, 1, no_limits },
	{ "fds", &without_fds_it_tries_again_after_a_pause, 1, no_limits },
	{ "fds", &its_event_may_make_room_and_resume, 1, no_limits },
	{ "fds", &stop_ends_a_pause, 2, no_limits },
	{ "fds", &resume_without_a_pause_does_nothing, 1, NULL },
	{ "errors", &what_is_no_listener_ends_it, ARRAY_SIZE(hopeless), NULL },
	{ "errors", &shutdown_of_the_listener_ends_it, 1, NULL },
	{ "errors", &errors_of_a_connection_are_no_event, ARRAY_SIZE(passing),
	  NULL },
	{ "errors", &after_eagain_the_listener_is_polled, 1, NULL },
	{ "errors", &shortages_are_events_and_pass, ARRAY_SIZE(shortages),
	  NULL },
	{ "errors", &stop_counts_whatever_the_answer_is, ARRAY_SIZE(passing),
	  NULL },
	{ "loop", &end_of_the_loop_is_its_end, ARRAY_SIZE(states) * 2, NULL },
	{ "loop", &its_event_may_detach_the_loop, 6, NULL },
	{ "loop", &last_connection_of_a_loop_is_before_the_end, 1, NULL },
	{ "others", &child_goes_on_by_itself, 1, no_children },
	{ "others", &child_may_destroy_the_loop, 1, no_children },
	{ "others", &another_thread_goes_on, 1, NULL },
};

Suite *make_suite(void)
{
	Suite *suite = suite_create("accept");
	TCase *tcase = NULL;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(tests); i++) {
		if (!i || strcmp(tests[i].name, tests[i - 1].name)) {
			tcase = tcase_create(tests[i].name);
			tcase_set_timeout(tcase, 25);
			suite_add_tcase(suite, tcase);
		}
		add_loop_or_leave_out(
			tcase, *tests[i].test, NR_MODES * tests[i].nr_rows,
			tests[i].reason ? tests[i].reason() : NULL);
	}
	return suite;
}
