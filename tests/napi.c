/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * napi.c - NAPI busy polling: what a ring is told, when, and of which sockets.
 *
 * What sockets say of their queues goes through answer_of(): some tests make
 * answers up.  Others have a pair of interfaces whose packets really come
 * through NAPI.
 */
#include "config.h"

#include "harness.h"

#include <errno.h>
#include <ev.h>
#include <evring-net.h>
#include <evring.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../lib/napi.h"
#include "../lib/probe.h"
#include "../lib/ring.h"
#include "sandbox.h"
#include "veth.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* Below the number of CPUs that a kernel is built for (8192 in distributions)
   are no queues, and it takes none. */
enum { FIRST_ID = 1 << 20 };

static int nr_asked;
static unsigned answer; /* made up; 0: what the socket says */

int __real_getsockopt(int fd, int level, int name, void *value,
		      socklen_t *size);
int __wrap_getsockopt(int fd, int level, int name, void *value,
		      socklen_t *size);

int __wrap_getsockopt(int fd, int level, int name, void *value, socklen_t *size)
{
	int r = __real_getsockopt(fd, level, name, value, size);

	if (level != SOL_SOCKET || name != SO_INCOMING_NAPI_ID)
		return r;
	nr_asked++;
	if (r >= 0 && answer)
		memcpy(value, &answer, sizeof(answer));
	return r;
}

static const struct {
	double seconds;
	int error;
} lengths[] = {
	{ 0., 0 },	    { 1e-6, 0 },	  { 50e-6, 0 },
	{ 10e-3, 0 },	    { 10.1e-3, -EINVAL }, { -1e-9, -EINVAL },
	{ -1., -EINVAL },   { NAN, -EINVAL },	  { INFINITY, -EINVAL },
	{ 4294., -EINVAL },
};

/*
 * what the ring knows
 */

static int tell_ring(unsigned opcode, struct evr_uring_napi *napi)
{
	int fd = find_fd(RING_FD);

	ck_assert_int_ge(fd, 0);
	return io_uring_register((unsigned)fd, opcode, napi, 1);
}

/* The ring of this process polls for so many microseconds; not any more. */
static unsigned end_polling(void)
{
	struct evr_uring_napi napi = { .busy_poll_to = 12345 };

	if (tell_ring(IORING_UNREGISTER_NAPI, &napi) < 0)
		return 12345;
	return napi.busy_poll_to;
}

/* Was this queue on the list of the ring?  It is not any more. */
static bool remove_queue(unsigned id)
{
	struct evr_uring_napi napi = { .opcode = EVR_NAPI_STATIC_DEL_ID,
				       .op_param = id };
	int r = tell_ring(IORING_REGISTER_NAPI, &napi);

	ck_assert(r == 0 || r == -ENOENT);
	return r == 0;
}

static struct ev_loop *new_loop(void)
{
	struct ev_loop *loop = ev_loop_new(EVBACKEND_EPOLL);

	ck_assert_ptr_nonnull(loop);
	return loop;
}

static struct ev_loop *new_attached(const char *disable, double seconds)
{
	struct evring_config config = { .disable = disable, .napi = seconds };
	struct ev_loop *loop = new_loop();

	ck_assert_int_eq(evring_attach(loop, &config), 0);
	return loop;
}

static unsigned nr_queues(struct ev_loop *loop)
{
	struct evring_stats stats;

	ck_assert_int_eq(evring_stats(loop, &stats), 0);
	return (unsigned)stats.napi_queues;
}

/*
 * settings
 */

START_TEST(time_is_checked)
{
	struct evring_config config = { .napi = lengths[_i].seconds };
	struct ev_loop *loop = new_loop();

	ck_assert_int_eq(evring_set_napi(NULL, lengths[_i].seconds), -EINVAL);
	ck_assert_int_eq(evring_set_napi(loop, lengths[_i].seconds), -EINVAL);
	ck_assert_int_eq(evring_attach(loop, &config), lengths[_i].error);
	if (lengths[_i].error)
		ck_assert_int_eq(evring_attach(loop, NULL), 0);
	errno = 12345;
	ck_assert_int_eq(evring_set_napi(loop, lengths[_i].seconds),
			 lengths[_i].error);
	ck_assert_int_eq(errno, 12345);
	ck_assert_int_eq(evring_detach(loop), 0);
	ck_assert_int_eq(evring_set_napi(loop, lengths[_i].seconds), -EINVAL);
	ev_loop_destroy(loop);
}
END_TEST

START_TEST(the_ring_is_told_with_the_next_turn)
{
	struct ev_loop *loop = new_attached(NULL, 50e-6);

	ev_run(loop, EVRUN_NOWAIT);
	ck_assert_uint_eq(end_polling(), 50);
	ck_assert_int_eq(evring_set_napi(loop, 7e-6), 0);
	ck_assert_int_eq(evring_set_napi(loop, 1.), -EINVAL);
	ck_assert_uint_eq(end_polling(), 0);
	ev_run(loop, EVRUN_NOWAIT);
	ck_assert_uint_eq(end_polling(), 7);
	ev_loop_destroy(loop);
}
END_TEST

START_TEST(polling_ends_when_told_and_with_the_attachment)
{
	struct ev_loop *loop = new_attached(NULL, 10e-3);

	ev_run(loop, EVRUN_NOWAIT);
	ck_assert_int_eq(evring_set_napi(loop, 0.), 0);
	ev_run(loop, EVRUN_NOWAIT);
	ck_assert_uint_eq(end_polling(), 0);
	ck_assert_int_eq(evring_set_napi(loop, 50e-6), 0);
	ck_assert_int_eq(evring_detach(loop), 0);
	ck_assert_int_eq(evring_attach(loop, NULL), 0);
	ev_run(loop, EVRUN_NOWAIT);
	ck_assert_uint_eq(end_polling(), 0);
	ev_loop_destroy(loop);
}
END_TEST

START_TEST(polling_is_handed_on_by_what_gives_way)
{
	struct evring_config first = { .flags = EVRING_GIVE_WAY };
	struct evring_config second = { .napi = 9e-6 };
	struct evring_config without = { .disable = "napi" };
	struct ev_loop *loop = new_loop();

	ck_assert_int_eq(evring_attach(loop, &first), 0);
	ck_assert_int_eq(evring_set_napi(loop, 50e-6), 0);
	ck_assert_int_eq(evring_attach(loop, NULL), 0);
	ev_run(loop, EVRUN_NOWAIT);
	ck_assert_uint_eq(end_polling(), 50);
	ck_assert_int_eq(evring_detach(loop), 0);
	first.napi = 50e-6;
	ck_assert_int_eq(evring_attach(loop, &first), 0);
	ck_assert_int_eq(evring_attach(loop, &second), 0);
	ev_run(loop, EVRUN_NOWAIT);
	ck_assert_uint_eq(end_polling(), 9);
	ck_assert_int_eq(evring_detach(loop), 0);
	ck_assert_int_eq(evring_attach(loop, &first), 0);
	ck_assert_int_eq(evring_attach(loop, &without), 0);
	ev_loop_destroy(loop);
}
END_TEST

/* To switch off what is not there is no error. */
static int is_not_supported(void *disable)
{
	struct evring_config config = { .disable = disable };
	struct ev_loop *loop = ev_loop_new(EVBACKEND_EPOLL);

	config.napi = 50e-6;
	child_assert(evring_attach(loop, &config) == -ENOTSUP);
	child_assert(evring_tier(loop) == EVRING_TIER_NONE);
	config.napi = 0.;
	child_assert(evring_attach(loop, &config) == 0);
	child_assert(evring_set_napi(loop, 50e-6) == -ENOTSUP);
	child_assert(evring_set_napi(loop, 50.) == -EINVAL);
	child_assert(evring_set_napi(loop, 0.) == 0);
	ev_run(loop, EVRUN_NOWAIT);
	ev_loop_destroy(loop);
	return 0;
}

static int is_not_supported_in_sandbox(void *error)
{
	struct refusal refusal = REFUSE_REGISTER(IORING_REGISTER_NAPI, 0);

	refusal.error = *(int *)error;
	sandbox(&refusal, 1);
	return is_not_supported(NULL);
}

START_TEST(a_kernel_without_it_is_told)
{
	static int errors[] = { EINVAL, EOPNOTSUPP, EPERM };

	ck_assert_int_eq(run_in_child(is_not_supported_in_sandbox, &errors[_i]),
			 0);
}
END_TEST

START_TEST(what_is_disabled_is_told)
{
	ck_assert_int_eq(is_not_supported((void *)(uintptr_t) "napi"), 0);
}
END_TEST

/*
 * which sockets
 */

struct end {
	struct ev_loop *loop;
	ev_io io;
	int fds[2];
};

static void take_byte(struct ev_loop *loop, ev_io *w, int revents)
{
	char byte;

	(void)revents;
	ck_assert_int_eq(read(w->fd, &byte, 1), 1);
	ev_break(loop, EVBREAK_ONE);
}

static void watch(struct end *end)
{
	ev_io_init(&end->io, take_byte, end->fds[0], EV_READ);
	ev_io_start(end->loop, &end->io);
}

static void init_end(struct end *end, const char *disable, double seconds)
{
	end->loop = new_attached(disable, seconds);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, end->fds), 0);
	watch(end);
}

static void exit_end(struct end *end)
{
	close(end->fds[0]);
	close(end->fds[1]);
	ev_loop_destroy(end->loop);
}

/* Until the near end of it has read a byte. */
static void pass_byte(struct end *end)
{
	ck_assert_int_eq(write(end->fds[1], "x", 1), 1);
	ev_run(end->loop, 0);
}

START_TEST(no_socket_is_asked_while_it_is_off)
{
	struct end end;

	init_end(&end, NULL, 0.);
	pass_byte(&end);
	ck_assert_int_eq(evring_set_napi(end.loop, 50e-6), 0);
	ck_assert_int_eq(evring_set_napi(end.loop, 0.), 0);
	pass_byte(&end);
	ck_assert_int_eq(nr_asked, 0);
	exit_end(&end);
}
END_TEST

START_TEST(what_has_no_queue_adds_none)
{
	struct end end;

	init_end(&end, NULL, 50e-6);
	pass_byte(&end);
	ck_assert_int_eq(nr_asked, 1);
	ck_assert_uint_eq(nr_queues(end.loop), 0);
	exit_end(&end);
}
END_TEST

/* The trial found it, and the kernel has changed its mind. */
static int is_refused_later(void *unused)
{
	const struct refusal refusal =
		REFUSE_REGISTER(IORING_REGISTER_NAPI, EPERM);
	struct end end;

	(void)unused;
	init_end(&end, NULL, 50e-6);
	sandbox(&refusal, 1);
	pass_byte(&end);
	child_assert(nr_asked == 0);
	child_assert(nr_queues(end.loop) == 0);
	child_assert(evring_tier(end.loop) != EVRING_TIER_NONE);
	exit_end(&end);
	return 0;
}

START_TEST(a_refusal_that_comes_later_does_no_harm)
{
	ck_assert_int_eq(run_in_child(is_refused_later, NULL), 0);
}
END_TEST

static const char *const masks[] = { "", "epoll-wait", "epoll-ctl", "region",
				     "defer-taskrun,registered-ring" };

START_TEST(a_watched_socket_is_asked_once)
{
	struct end end;
	int i;

	init_end(&end, masks[_i], 50e-6);
	answer = FIRST_ID;
	for (i = 0; i < 3; i++)
		pass_byte(&end);
	ck_assert_int_eq(nr_asked, 1);
	ck_assert_uint_eq(nr_queues(end.loop), 1);
	ck_assert(remove_queue(FIRST_ID));
	exit_end(&end);
}
END_TEST

/* It is asked, and then there is another file by its number. */
static void replace_file(struct end *end)
{
	int fds[2];

	answer = FIRST_ID;
	pass_byte(end);
	ev_io_stop(end->loop, &end->io);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	ck_assert_int_eq(dup2(fds[0], end->fds[0]), end->fds[0]);
	ck_assert_int_eq(dup2(fds[1], end->fds[1]), end->fds[1]);
}

static void check_it_is_asked_too(struct end *end)
{
	answer = FIRST_ID + 1;
	pass_byte(end);
	ck_assert_int_eq(nr_asked, 2);
	ck_assert_uint_eq(nr_queues(end->loop), 2);
	exit_end(end);
}

START_TEST(another_file_by_the_same_number_is_asked)
{
	struct end end;

	init_end(&end, NULL, 50e-6);
	replace_file(&end);
	watch(&end);
	check_it_is_asked_too(&end);
}
END_TEST

/* In one turn, and whoever watches it wants other events than before. */
START_TEST(another_file_with_other_events_is_asked)
{
	struct end end;

	init_end(&end, masks[_i], 50e-6);
	replace_file(&end);
	ev_io_set(&end.io, end.fds[0], EV_READ | EV_WRITE);
	ev_io_start(end.loop, &end.io);
	check_it_is_asked_too(&end);
}
END_TEST

START_TEST(all_are_asked_when_it_is_switched_on)
{
	struct end end;

	init_end(&end, NULL, 50e-6);
	answer = FIRST_ID;
	pass_byte(&end);
	ck_assert_int_eq(evring_set_napi(end.loop, 0.), 0);
	pass_byte(&end);
	ck_assert_uint_eq(nr_queues(end.loop), 0);
	ck_assert_int_eq(evring_set_napi(end.loop, 20e-6), 0);
	pass_byte(&end);
	ck_assert_uint_eq(nr_queues(end.loop), 1);
	ck_assert_int_eq(evring_set_napi(end.loop, 30e-6), 0);
	pass_byte(&end);
	ck_assert_uint_eq(nr_queues(end.loop), 1);
	ck_assert_int_eq(nr_asked, 2);
	ck_assert(remove_queue(FIRST_ID));
	ck_assert_uint_eq(end_polling(), 30);
	exit_end(&end);
}
END_TEST

/* That the ring knows the first queue, and nothing of it twice. */
static int knows_queue(void *arg)
{
	struct end *end = arg;

	ev_run(end->loop, EVRUN_NOWAIT);
	child_assert(nr_queues(end->loop) == 1);
	child_assert(remove_queue(FIRST_ID));
	child_assert(end_polling() == 50);
	return 0;
}

static int knows_queue_as_child(void *arg)
{
	struct end *end = arg;

	ev_loop_fork(end->loop);
	return knows_queue(arg);
}

static void *knows_queue_in_thread(void *arg)
{
	knows_queue(arg);
	return NULL;
}

START_TEST(a_new_ring_knows_time_and_queues)
{
	struct evring_stats stats;
	pthread_t thread;
	struct end end;

	init_end(&end, NULL, 50e-6);
	answer = FIRST_ID;
	pass_byte(&end);
	ck_assert_int_eq(run_in_child(knows_queue_as_child, &end), 0);
	ck_assert_int_eq(
		pthread_create(&thread, NULL, knows_queue_in_thread, &end), 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_int_eq(evring_stats(end.loop, &stats), 0);
	ck_assert_uint_eq(stats.ring_rebuilds, 1);
	exit_end(&end);
}
END_TEST

static void *turn_in_thread(void *arg)
{
	ev_run(((struct end *)arg)->loop, EVRUN_NOWAIT);
	return NULL;
}

START_TEST(switched_off_before_a_new_ring_is_off)
{
	pthread_t thread;
	struct end end;

	init_end(&end, NULL, 50e-6);
	answer = FIRST_ID;
	pass_byte(&end);
	ck_assert_uint_eq(nr_queues(end.loop), 1);
	ck_assert_int_eq(evring_set_napi(end.loop, 0.), 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, turn_in_thread, &end),
			 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_uint_eq(nr_queues(end.loop), 0);
	exit_end(&end);
}
END_TEST

START_TEST(detached_loop_polls_nothing)
{
	struct evring_stats stats;
	struct evring_config config = { .napi = 50e-6, .stats = &stats };
	struct end end;

	init_end(&end, NULL, 0.);
	ck_assert_int_eq(evring_detach(end.loop), 0);
	ck_assert_int_eq(evring_attach(end.loop, &config), 0);
	answer = FIRST_ID;
	pass_byte(&end);
	ck_assert_uint_eq(stats.napi_queues, 1);
	ck_assert_int_eq(evring_detach(end.loop), 0);
	ck_assert_uint_eq(stats.napi_queues, 0);
	exit_end(&end);
}
END_TEST

START_TEST(the_oldest_queue_gives_way)
{
	struct evring_stats stats = { 0 };
	struct evr_ring_config config = { .entries = 4, .stats = &stats };
	struct evr_napi napi = { 0 };
	struct evr_ring ring;
	int fds[2];
	unsigned i;

	ck_assert_int_eq(evr_probe(NULL, &config.have), 0);
	ck_assert_int_eq(evr_ring_init(&ring, &config), 0);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	evr_napi_set(&napi, 50e-6);
	evr_napi_tell(&napi, &ring);
	for (i = 0; i < EVR_NAPI_QUEUES + 2; i++) {
		answer = FIRST_ID + i;
		evr_napi_ask(&napi, &ring, fds[0]);
		evr_napi_ask(&napi, &ring, fds[0]);
	}
	ck_assert_uint_eq(stats.napi_queues, EVR_NAPI_QUEUES);
	for (i = 0; i < EVR_NAPI_QUEUES + 2; i++)
		ck_assert_int_eq(remove_queue(FIRST_ID + i), i >= 2);
	evr_ring_exit(&ring);
}
END_TEST

/*
 * operations
 */

static void op_done(struct ev_loop *loop, struct evring_op *op, int revents)
{
	(void)revents;
	ck_assert_int_eq(op->res, 1);
	ev_break(loop, EVBREAK_ONE);
}

static void prep_op(struct io_uring_sqe *sqe, int i, int fd, char *byte)
{
	static struct iovec iov;
	static struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	iov = (struct iovec){ .iov_base = byte, .iov_len = 1 };
	switch (i) {
	case 0:
		io_uring_prep_recv(sqe, fd, byte, 1, 0);
		break;
	case 1:
		io_uring_prep_recvmsg(sqe, fd, &msg, 0);
		break;
	case 2:
		io_uring_prep_read(sqe, fd, byte, 1, 0);
		break;
	case 3:
		io_uring_prep_readv(sqe, fd, &iov, 1, 0);
		break;
	default:
		io_uring_prep_poll_add(sqe, fd, POLLIN);
	}
}

START_TEST(what_an_operation_receives_from_is_asked)
{
	struct io_uring_sqe *sqe;
	struct evring_op op;
	struct end end;
	char byte;

	init_end(&end, NULL, 50e-6);
	ev_io_stop(end.loop, &end.io);
	answer = FIRST_ID;
	evring_op_init(&op, op_done);
	sqe = evring_op_start(end.loop, &op);
	ck_assert_ptr_nonnull(sqe);
	prep_op(sqe, _i, end.fds[0], &byte);
	pass_byte(&end);
	ck_assert_int_eq(nr_asked, 1);
	ck_assert(remove_queue(FIRST_ID));
	exit_end(&end);
}
END_TEST

static void ignore_op(struct ev_loop *loop, struct evring_op *op, int revents)
{
	(void)loop;
	(void)op;
	(void)revents;
}

/* More than the SQ takes. */
START_TEST(all_that_receive_are_asked)
{
	struct evring_config config = { .entries = 8, .napi = 50e-6 };
	struct evring_op ops[20];
	struct io_uring_sqe *sqe;
	struct end end;
	char bytes[20];
	int i;

	end.loop = new_loop();
	ck_assert_int_eq(evring_attach(end.loop, &config), 0);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, end.fds), 0);
	for (i = 0; i < 20; i++) {
		answer = FIRST_ID + (unsigned)i;
		evring_op_init(&ops[i], ignore_op);
		sqe = evring_op_start(end.loop, &ops[i]);
		ck_assert_ptr_nonnull(sqe);
		io_uring_prep_recv(sqe, end.fds[0], &bytes[i], 1, 0);
	}
	ev_run(end.loop, EVRUN_NOWAIT);
	ck_assert_int_eq(nr_asked, 20);
	exit_end(&end);
}
END_TEST

/*
 * packets
 */

static void init_veth_end(struct end *end, const char *disable)
{
	ck_assert_int_eq(veth_init(), 0);
	ck_assert_int_eq(veth_connect(end->fds), 0);
	end->loop = new_attached(disable, 10e-3);
	watch(end);
}

START_TEST(packets_through_napi_tell_their_queue)
{
	struct end end;

	init_veth_end(&end, masks[_i]);
	pass_byte(&end);
	ck_assert_uint_eq(nr_queues(end.loop), 1);
	pass_byte(&end);
	ck_assert_uint_eq(nr_queues(end.loop), 1);
	exit_end(&end);
}
END_TEST

static void data_came(struct ev_loop *loop, struct evring_recv *recv,
		      void *data, int size)
{
	if (!data)
		return; /* the end */
	ck_assert_int_eq(size, 1);
	ck_assert_int_eq(evring_group_put(recv->group, data), 0);
	ck_assert_int_eq(evring_recv_stop(loop, recv), 0);
	ev_break(loop, EVBREAK_ONE);
}

START_TEST(a_receive_watcher_tells_its_queue)
{
	static struct evring_group group;
	static struct evring_recv recv;
	struct end end;

	init_veth_end(&end, NULL);
	ev_io_stop(end.loop, &end.io);
	ck_assert_int_eq(evring_group_init(end.loop, &group, 4, 64, 0), 0);
	evring_recv_init(&recv, data_came, end.fds[0], &group);
	ck_assert_int_eq(evring_recv_start(end.loop, &recv), 0);
	pass_byte(&end);
	ck_assert_uint_eq(nr_queues(end.loop), 1);
	exit_end(&end);
	ck_assert_int_eq(evring_group_exit(&group), 0);
}
END_TEST

/* Polling ends when another thread wants the CPU. */
static void run_on_cpu(bool is_last)
{
	cpu_set_t all, one;
	int i;

	CPU_ZERO(&one);
	ck_assert_int_eq(sched_getaffinity(0, sizeof(all), &all), 0);
	for (i = 0; i < CPU_SETSIZE; i++)
		if (CPU_ISSET(i, &all) && (is_last || !CPU_COUNT(&one))) {
			CPU_ZERO(&one);
			CPU_SET(i, &one);
		}
	ck_assert_int_eq(sched_setaffinity(0, sizeof(one), &one), 0);
}

/* The far end, in a process of its own: a byte a millisecond later. */
static pid_t fork_far(struct end *end)
{
	pid_t pid = fork();
	char byte;

	if (pid)
		return pid;
	run_on_cpu(false);
	while (read(end->fds[1], &byte, 1) == 1) {
		usleep(1000);
		if (write(end->fds[1], &byte, 1) != 1)
			break;
	}
	_exit(0);
}

enum { ENOUGH_PACKETS = 5000 };

/* While the loop sleeps in its ring, and only with watchers. */
START_TEST(the_kernel_polls_for_watchers)
{
	struct end end;
	pid_t pid;
	int i;

	init_veth_end(&end, masks[_i]);
	pid = fork_far(&end);
	ck_assert_int_ge(pid, 0);
	run_on_cpu(true);
	for (i = 0; i < ENOUGH_PACKETS && veth_nr_polled() <= 0; i++) {
		ck_assert_int_eq(write(end.fds[0], "x", 1), 1);
		ev_run(end.loop, 0);
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	ck_assert_int_gt(veth_nr_polled(), 0);
	exit_end(&end);
}
END_TEST

/* Without evr_probe(): its answer would stay. */
static const char *no_napi(void)
{
	struct evr_ring_config config = { .have = EVR_HAVE_NAPI, .entries = 4 };
	enum evr_ring_step step;
	unsigned seen = 0;

	(void)evr_ring_trial(&config, &step, &seen);
	if (!seen)
		return "this kernel has no NAPI for rings";
	return under_valgrind() ? "valgrind does not know it" : NULL;
}

static const char *no_packets(const char *without)
{
	return without ? without : no_veth();
}

static const char *no_other_cpu(const char *without)
{
	cpu_set_t cpus;

	if (!without && sched_getaffinity(0, sizeof(cpus), &cpus) == 0 &&
	    CPU_COUNT(&cpus) < 2)
		return "the far end wants a CPU of its own";
	return without;
}

static void add_settings(TCase *tcase, const char *without)
{
	add_loop_or_leave_out(tcase, time_is_checked, ARRAY_SIZE(lengths),
			      without);
	add_or_leave_out(tcase, the_ring_is_told_with_the_next_turn, without);
	add_or_leave_out(tcase, polling_ends_when_told_and_with_the_attachment,
			 without);
	add_or_leave_out(tcase, polling_is_handed_on_by_what_gives_way,
			 without);
	add_or_leave_out(tcase, a_refusal_that_comes_later_does_no_harm,
			 without);
}

static void add_sockets(TCase *tcase, const char *without)
{
	add_or_leave_out(tcase, no_socket_is_asked_while_it_is_off, without);
	add_or_leave_out(tcase, what_has_no_queue_adds_none, without);
	add_loop_or_leave_out(tcase, a_watched_socket_is_asked_once,
			      ARRAY_SIZE(masks), without);
	add_or_leave_out(tcase, another_file_by_the_same_number_is_asked,
			 without);
	add_loop_or_leave_out(tcase, another_file_with_other_events_is_asked,
			      ARRAY_SIZE(masks), without);
	add_or_leave_out(tcase, all_are_asked_when_it_is_switched_on, without);
	add_or_leave_out(tcase, a_new_ring_knows_time_and_queues, without);
	add_or_leave_out(tcase, switched_off_before_a_new_ring_is_off, without);
	add_or_leave_out(tcase, detached_loop_polls_nothing, without);
	add_or_leave_out(tcase, the_oldest_queue_gives_way, without);
	add_loop_or_leave_out(tcase, what_an_operation_receives_from_is_asked,
			      5, without);
	add_or_leave_out(tcase, all_that_receive_are_asked, without);
}

static void add_packets(TCase *tcase, const char *without)
{
	add_loop_or_leave_out(tcase, packets_through_napi_tell_their_queue,
			      ARRAY_SIZE(masks), without);
	add_or_leave_out(tcase, a_receive_watcher_tells_its_queue, without);
	add_loop_or_leave_out(tcase, the_kernel_polls_for_watchers, 2,
			      no_other_cpu(without));
}

Suite *make_suite(void)
{
	Suite *suite = suite_create("napi");
	TCase *tcase = tcase_create("napi");
	const char *without = no_napi();

	tcase_set_timeout(tcase, 120);
	add_loop_or_leave_out(tcase, a_kernel_without_it_is_told, 3,
			      no_children());
	tcase_add_test(tcase, what_is_disabled_is_told);
	add_settings(tcase, without);
	add_sockets(tcase, without);
	add_packets(tcase, no_packets(without));
	suite_add_tcase(suite, tcase);
	return suite;
}
