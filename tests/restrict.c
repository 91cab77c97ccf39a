/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * restrict.c - EVRING_RESTRICT: the kernel refuses whatever evring does not ask
 * itself, evring refuses operations before that, and all else works as ever.
 *
 * Code that has the ring of a loop in its hands is played by the test: it gets
 * at the ring when liburing makes it, and asks for everything there is.  Each
 * refusal has its control, the same on a loop that is not restricted.
 */
#include "config.h"

#include "harness.h"

#include <errno.h>
#include <ev.h>
#include <evring-net.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../lib/probe.h"
#include "../lib/uapi.h"
#include "raw.h"
#include "works.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* Each makes a ring that is asked in another way, or asks for less. */
static const char *const modes[] = {
	NULL,
	"region",
	"kernel-memory",
	"epoll-wait",
	"epoll-wait,multishot-poll",
	"epoll-ctl",
	"defer-taskrun",
	"defer-taskrun,coop-taskrun,single-issuer",
	"registered-ring",
	"napi",
	"multishot-poll,cqe-skip,registered-ring,submit-all,coop-taskrun,"
	"single-issuer,no-iowait,multishot-accept,pbuf-ring,send-zc,napi,"
	"region",
};

enum { NR_MODES = ARRAY_SIZE(modes), MINE = 0x7ffff001 };

static struct io_uring *ring; /* that was made last */
static struct ev_loop *loop;

int __real_io_uring_queue_init_params(unsigned entries, struct io_uring *made,
				      struct io_uring_params *params);
int __wrap_io_uring_queue_init_params(unsigned entries, struct io_uring *made,
				      struct io_uring_params *params);

int __wrap_io_uring_queue_init_params(unsigned entries, struct io_uring *made,
				      struct io_uring_params *params)
{
	ring = made;
	return __real_io_uring_queue_init_params(entries, made, params);
}

static struct evring_stats stats_of(struct ev_loop *of)
{
	struct evring_stats stats = { 0 };

	ck_assert_int_eq(evring_stats(of, &stats), 0);
	return stats;
}

static struct ev_loop *new_loop(int mode, unsigned flags)
{
	struct evring_config config = { .flags = flags,
					.disable = modes[mode] };
	struct ev_loop *new = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
	int r = evring_attach(new, &config);

	ck_assert_msg(!r, "less %s: %s", modes[mode], evring_strerror(r));
	return new;
}

/* One that has been run: its ring is enabled. */
static void open_loop(int mode, unsigned flags)
{
	loop = new_loop(mode, flags);
	ev_run(loop, EVRUN_NOWAIT);
	ck_assert(loop_works(loop));
	ck_assert_uint_eq(stats_of(loop).restricted,
			  flags & EVRING_RESTRICT ? 1 : 0);
}

/* What the kernel says to one request. */
static int answer_to(unsigned opcode, unsigned char flags)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);
	struct io_uring_cqe *cqe;
	int r, res = 0;

	ck_assert_ptr_nonnull(sqe);
	memset(sqe, 0, sizeof(*sqe));
	sqe->opcode = (unsigned char)opcode;
	sqe->flags = flags;
	sqe->fd = -1;
	sqe->user_data = MINE;
	r = io_uring_submit_and_wait(ring, 1);
	ck_assert_msg(r == 1, "opcode %u: %d", opcode, r);
	ck_assert_int_eq(io_uring_peek_cqe(ring, &cqe), 0);
	ck_assert_uint_eq(cqe->user_data, MINE);
	res = cqe->res;
	io_uring_cqe_seen(ring, cqe);
	return res;
}

static bool is_allowed(unsigned opcode)
{
	switch (opcode) {
	case IORING_OP_EPOLL_CTL:
	case IORING_OP_POLL_ADD:
	case IORING_OP_ASYNC_CANCEL:
	case EVR_OP_EPOLL_WAIT:
		return true;
	default:
		return false;
	}
}

static unsigned nr_opcodes(void)
{
	struct io_uring_probe *probe = io_uring_get_probe();
	unsigned nr;

	ck_assert_ptr_nonnull(probe);
	nr = probe->last_op + 1u;
	io_uring_free_probe(probe);
	return nr;
}

START_TEST(kernel_refuses_every_other_request)
{
	unsigned opcode, nr = nr_opcodes();
	int res;

	open_loop(_i, EVRING_RESTRICT);
	ck_assert_uint_gt(nr, IORING_OP_OPENAT);
	for (opcode = 0; opcode < nr; opcode++) {
		if (is_allowed(opcode))
			continue;
		res = answer_to(opcode, 0);
		ck_assert_msg(res == -EACCES, "opcode %u: %d", opcode, res);
	}
	ck_assert(loop_works(loop));
	ev_loop_destroy(loop);
}
END_TEST

/* Two are refused before restrictions are asked, by what the ring was used for:
   draining, which comes last because it would stay behind, and selecting. */
START_TEST(kernel_refuses_every_other_flag)
{
	static const unsigned char flags[] = {
		IOSQE_FIXED_FILE, IOSQE_IO_LINK,       IOSQE_IO_HARDLINK,
		IOSQE_ASYNC,	  IOSQE_BUFFER_SELECT, IOSQE_IO_DRAIN,
	};
	size_t i;
	int res;

	open_loop(_i, EVRING_RESTRICT);
	ck_assert_int_eq(answer_to(IORING_OP_POLL_ADD, 0), -EBADF);
	for (i = 0; i < ARRAY_SIZE(flags); i++) {
		res = answer_to(IORING_OP_POLL_ADD, flags[i]);
		ck_assert_msg(res == -EACCES || (i >= 4 && res == -EOPNOTSUPP),
			      "flag %#x: %d", flags[i], res);
	}
	ev_loop_destroy(loop);
}
END_TEST

/* What may be registered, where there is what it is for.  (Without ring fds in
   the list the trial says that the kernel has none, so it is not asked.) */
static const struct {
	unsigned opcode, have;
} registered[] = {
	{ IORING_REGISTER_RING_FDS, 0 },
	{ IORING_UNREGISTER_RING_FDS, 0 },
	{ IORING_REGISTER_SYNC_CANCEL, EVR_HAVE_EPOLL_CTL },
	{ IORING_REGISTER_NAPI, EVR_HAVE_NAPI },
	{ IORING_UNREGISTER_NAPI, EVR_HAVE_NAPI },
};

static bool may_be_registered(unsigned opcode)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(registered); i++)
		if (registered[i].opcode == opcode)
			return true;
	return false;
}

/* The same wrong argument, of which each says something else than EACCES.
   Without any of these a loop goes on, in a poorer way. */
START_TEST(kernel_registers_what_evring_needs)
{
	int answers[ARRAY_SIZE(registered)], r;
	unsigned have;
	size_t i;

	ck_assert_int_eq(evr_probe(NULL, &have), 0);
	open_loop(0, 0);
	for (i = 0; i < ARRAY_SIZE(registered); i++)
		answers[i] = raw_register(ring->ring_fd, registered[i].opcode,
					  NULL, 1);
	ev_loop_destroy(loop);
	open_loop(0, EVRING_RESTRICT);
	for (i = 0; i < ARRAY_SIZE(registered); i++) {
		if (registered[i].have ? !(have & registered[i].have)
				       : answers[i] == -EINVAL)
			continue; /* not there */
		r = raw_register(ring->ring_fd, registered[i].opcode, NULL, 1);
		ck_assert_msg(r == answers[i] && r != -EACCES, "opcode %u: %d",
			      registered[i].opcode, r);
	}
	ev_loop_destroy(loop);
}
END_TEST

/* Some of those that came after restrictions; since 6.3 none. */
static bool may_be_unknown(unsigned opcode)
{
	return opcode > IORING_REGISTER_ENABLE_RINGS &&
	       !(ring->features & IORING_FEAT_REG_REG_RING);
}

/* Those below the last that is refused are known to this kernel. */
START_TEST(kernel_registers_nothing_else)
{
	bool is_known = false;
	unsigned opcode;
	int r;

	open_loop(_i, EVRING_RESTRICT);
	for (opcode = 128; opcode--;) {
		if (may_be_registered(opcode))
			continue;
		r = raw_register(ring->ring_fd, opcode, NULL, 0);
		is_known |= r == -EACCES ||
			    (opcode <= IORING_REGISTER_SYNC_CANCEL &&
			     !may_be_unknown(opcode));
		ck_assert_msg(!is_known || r == -EACCES, "opcode %u: %d",
			      opcode, r);
	}
	ev_loop_destroy(loop);
}
END_TEST

/* What the tests above see refused is refused to restricted rings only. */
START_TEST(other_loops_are_not_restricted)
{
	open_loop(_i, 0);
	ck_assert_int_eq(answer_to(IORING_OP_NOP, 0), 0);
	ck_assert_int_eq(answer_to(IORING_OP_READ, 0), -EBADF);
	ck_assert_int_eq(answer_to(IORING_OP_POLL_ADD, IOSQE_ASYNC), -EBADF);
	ck_assert_int_ne(
		raw_register(ring->ring_fd, IORING_REGISTER_PROBE, NULL, 0),
		-EACCES);
	ev_loop_destroy(loop);
}
END_TEST

/*
 * works as ever
 */

struct box {
	struct evring_port port;
	int nr;
};

static void on_message(struct ev_loop *of, struct evring_port *port,
		       struct evring_message *message)
{
	((struct box *)(void *)port)->nr += (int)message->value;
	ev_break(of, EVBREAK_ONE);
}

static void start_box(struct ev_loop *of, struct box *box)
{
	box->nr = 0;
	evring_port_init(&box->port, on_message);
	ck_assert_int_eq(evring_port_start(of, &box->port), 0);
}

/* Of the set, in the ring.  Otherwise libev makes them. */
static bool makes_changes(int mode)
{
	return !modes[mode] || !(strstr(modes[mode], "epoll-ctl") ||
				 strstr(modes[mode], "cqe-skip"));
}

/* In the ring: nothing that was refused is made by libev instead. */
START_TEST(watchers_need_nothing_else)
{
	struct evring_stats stats;
	int i;

	open_loop(_i, EVRING_RESTRICT);
	for (i = 0; i < 20; i++)
		ck_assert(loop_works(loop));
	stats = stats_of(loop);
	ck_assert_uint_ge(stats.events, 20);
	ck_assert_uint_gt(stats.requests, 0);
	ck_assert_uint_eq(stats.rings_lost, 0);
	ck_assert_uint_eq(stats.ring_rebuilds, 0);
	if (makes_changes(_i))
		ck_assert_uint_eq(stats.handed_over, 0);
	ev_loop_destroy(loop);
}
END_TEST

static void on_timer(struct ev_loop *of, ev_timer *w, int revents)
{
	(void)revents;
	ev_timer_stop(of, w);
}

/* A request that is refused would be made again and again. */
START_TEST(a_loop_with_nothing_to_do_sleeps)
{
	uint64_t enters, completions;
	struct box box;
	ev_timer w;

	open_loop(_i, EVRING_RESTRICT);
	start_box(loop, &box);
	ev_run(loop, EVRUN_NOWAIT);
	enters = stats_of(loop).enters;
	completions = stats_of(loop).completions;
	ev_timer_init(&w, on_timer, 0.02, 0.);
	ev_timer_start(loop, &w);
	while (ev_is_active(&w))
		ev_run(loop, EVRUN_ONCE);
	ck_assert_uint_le(stats_of(loop).completions, completions + 2);
	ck_assert_uint_le(stats_of(loop).enters, enters + 20);
	evring_port_stop(loop, &box.port);
	ev_loop_destroy(loop);
}
END_TEST

START_TEST(settings_need_nothing_else)
{
	int r;

	open_loop(_i, EVRING_RESTRICT);
	ck_assert_int_eq(evring_set_spin(loop, 1e-4), 0);
	ck_assert(loop_works(loop));
	r = evring_set_napi(loop, 50e-6);
	ck_assert(r == 0 || r == -ENOTSUP);
	ck_assert(loop_works(loop));
	ck_assert_int_eq(evring_set_napi(loop, 0.), 0);
	r = evring_set_collect(loop, 1e-3, 0);
	ck_assert(r == 0 || r == -ENOTSUP);
	ck_assert(loop_works(loop));
	ck_assert_uint_eq(stats_of(loop).rings_lost, 0);
	ck_assert_uint_eq(stats_of(loop).ring_rebuilds, 0);
	ev_loop_destroy(loop);
}
END_TEST

static void *post_one(void *port)
{
	static struct evring_message message;

	message.value = 1;
	evring_post(NULL, port, &message);
	return NULL;
}

START_TEST(messages_come)
{
	pthread_t thread;
	struct box box;

	open_loop(_i, EVRING_RESTRICT);
	start_box(loop, &box);
	ck_assert(!pthread_create(&thread, NULL, post_one, &box.port));
	while (!box.nr)
		ev_run(loop, EVRUN_ONCE);
	pthread_join(thread, NULL);
	ck_assert_uint_eq(stats_of(loop).rings_lost, 0);
	evring_port_stop(loop, &box.port);
	ev_loop_destroy(loop);
}
END_TEST

static void *run_until_message(void *arg)
{
	struct box *box = arg;

	while (!box->nr)
		ev_run(box->port.op.data, EVRUN_ONCE);
	return NULL;
}

/* To a loop that sleeps in another thread. */
static void send_one(int mode, unsigned flags, unsigned flags_of_other)
{
	static struct evring_message message = { .value = 1 };
	struct ev_loop *other = new_loop(mode, flags_of_other);
	pthread_t thread;
	struct box box;

	start_box(other, &box);
	box.port.op.data = other;
	open_loop(mode, flags);
	ck_assert(!pthread_create(&thread, NULL, run_until_message, &box));
	evring_post(loop, &box.port, &message);
	ev_run(loop, EVRUN_NOWAIT);
	pthread_join(thread, NULL);
	ck_assert_int_eq(box.nr, 1);
	ck_assert_uint_eq(stats_of(other).rings_lost, 0);
	evring_port_stop(other, &box.port);
	ev_loop_destroy(other);
	ev_loop_destroy(loop);
}

START_TEST(messages_go)
{
	send_one(_i, EVRING_RESTRICT, 0);
	send_one(_i, EVRING_RESTRICT, EVRING_RESTRICT);
}
END_TEST

START_TEST(messages_come_from_other_loops)
{
	send_one(_i, 0, EVRING_RESTRICT);
}
END_TEST

/*
 * operations
 */

static void on_op(struct ev_loop *of, struct evring_op *op, int revents)
{
	(void)of;
	(void)op;
	(void)revents;
	ck_abort_msg("an operation that was refused has an event");
}

static void on_accept(struct ev_loop *of, struct evring_accept *accept, int fd)
{
	(void)of;
	(void)accept;
	ck_abort_msg("evring_accept: %d", fd);
}

static void on_recv(struct ev_loop *of, struct evring_recv *recv, void *data,
		    int size)
{
	(void)of;
	(void)recv;
	(void)data;
	ck_abort_msg("evring_recv: %d", size);
}

static void on_sent(struct ev_loop *of, struct evring_send *send,
		    struct evring_piece *pieces, int res)
{
	(void)of;
	(void)send;
	(void)pieces;
	ck_abort_msg("evring_send: %d", res);
}

START_TEST(operations_are_refused_at_once)
{
	struct evring_op op = { 0 };

	open_loop(_i, EVRING_RESTRICT);
	evring_op_init(&op, on_op);
	errno = 0;
	ck_assert_ptr_null(evring_op_start(loop, &op));
	ck_assert_int_eq(errno, EACCES);
	ck_assert(!ev_is_active(&op));
	ck_assert_int_eq(evring_op_cancel(loop, &op), -ENOENT);
	errno = 0;
	ck_assert_ptr_null(evring_ring(loop));
	ck_assert_int_eq(errno, EACCES);
	ck_assert_int_eq(evring_reserve(loop, 2), -EACCES);
	ck_assert_int_eq(evring_set_files(loop, 4), -EACCES);
	ck_assert_ptr_nonnull(
		strstr(evring_strerror(-EACCES), "EVRING_RESTRICT"));
	ck_assert(loop_works(loop));
	ck_assert_uint_eq(stats_of(loop).ops, 0);
	ev_loop_destroy(loop);
}
END_TEST

START_TEST(socket_watchers_are_refused_at_once)
{
	static char byte;
	struct evring_piece piece = { .bytes = &byte, .size = 1 };
	struct evring_accept accept;
	struct evring_group group;
	struct evring_recv recv;
	struct evring_send send;
	int fds[2], nr_fds;

	open_loop(_i, EVRING_RESTRICT);
	ck_assert_int_eq(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	nr_fds = count_fds();
	evring_accept_init(&accept, on_accept, fds[0], 0);
	ck_assert_int_eq(evring_accept_start(loop, &accept), -EACCES);
	ck_assert(!ev_is_active(&accept));
	evring_send_init(&send, on_sent, fds[0]);
	ck_assert_int_eq(evring_send_queue(loop, &send, &piece), -EACCES);
	ck_assert(!ev_is_active(&send));
	if (!evring_group_init(loop, &group, 4, 64, 0)) {
		evring_recv_init(&recv, on_recv, fds[0], &group);
		ck_assert_int_eq(evring_recv_start(loop, &recv), -EACCES);
		ck_assert(!ev_is_active(&recv));
		ck_assert_int_eq(evring_group_exit(&group), 0);
	}
	ck_assert_int_eq(count_fds(), nr_fds);
	ck_assert(loop_works(loop));
	close(fds[0]);
	close(fds[1]);
	ev_loop_destroy(loop);
}
END_TEST

/*
 * for how long
 */

static bool is_restricted(void)
{
	return answer_to(IORING_OP_NOP, 0) == -EACCES &&
	       stats_of(loop).restricted == 1;
}

static int run_in_fork(void *arg)
{
	struct io_uring *parents = ring;

	(void)arg;
	ev_loop_fork(loop);
	ev_run(loop, EVRUN_NOWAIT);
	child_assert(loop_works(loop));
	child_assert(ring == parents); /* the same struct, made anew */
	child_assert(stats_of(loop).ring_rebuilds == 1);
	child_assert(is_restricted());
	return 0;
}

START_TEST(child_is_restricted_as_well)
{
	open_loop(_i, EVRING_RESTRICT);
	ck_assert_int_eq(run_in_child(run_in_fork, NULL), 0);
	ck_assert(is_restricted());
	ev_loop_destroy(loop);
}
END_TEST

static void *run_elsewhere(void *ret_ok)
{
	ev_run(loop, EVRUN_NOWAIT);
	*(bool *)ret_ok = loop_works(loop) && is_restricted();
	return NULL;
}

START_TEST(ring_of_another_thread_is_restricted_as_well)
{
	pthread_t thread;
	bool ok = false;

	open_loop(_i, EVRING_RESTRICT);
	ck_assert(!pthread_create(&thread, NULL, run_elsewhere, &ok));
	pthread_join(thread, NULL);
	ck_assert(ok);
	ck_assert_uint_eq(stats_of(loop).ring_rebuilds, 1);
	ev_loop_destroy(loop);
}
END_TEST

START_TEST(who_takes_the_place_is_restricted_as_well)
{
	struct evring_config config = { .disable = modes[_i] };

	open_loop(_i, EVRING_RESTRICT | EVRING_GIVE_WAY);
	ck_assert_int_eq(evring_attach(loop, &config), 0);
	ck_assert(loop_works(loop));
	ck_assert(is_restricted());
	ck_assert_ptr_null(evring_ring(loop));
	ck_assert_int_eq(evring_detach(loop), 0);
	ck_assert_int_eq(evring_attach(loop, &config), 0);
	ck_assert_uint_eq(stats_of(loop).restricted, 0);
	ck_assert_ptr_nonnull(evring_ring(loop));
	ev_loop_destroy(loop);
}
END_TEST

/* Nor does it get there without: what is there stays. */
START_TEST(who_takes_the_place_cannot_shake_it_off)
{
	static const char *const without[] = { "restrict", "r-disabled" };
	struct evring_config config = { .disable = without[_i] };

	open_loop(0, EVRING_RESTRICT | EVRING_GIVE_WAY);
	ck_assert_int_eq(evring_attach(loop, &config), -ENODEV);
	ck_assert_int_ne(evring_tier(loop), EVRING_TIER_NONE);
	ck_assert(loop_works(loop));
	ck_assert(is_restricted());
	ev_loop_destroy(loop);
}
END_TEST

START_TEST(detach_ends_it)
{
	struct evring_stats stats;
	struct evring_config config = { .flags = EVRING_RESTRICT,
					.disable = modes[_i],
					.stats = &stats };

	loop = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
	ck_assert_int_eq(evring_attach(loop, &config), 0);
	ck_assert_uint_eq(stats.restricted, 1);
	ck_assert_int_eq(evring_detach(loop), 0);
	ck_assert_uint_eq(stats.restricted, 0);
	ck_assert(loop_works(loop));
	ev_loop_destroy(loop);
}
END_TEST

START_TEST(attach_says_where_it_is_not_to_be_had)
{
	static const char *const without[] = { "restrict", "r-disabled" };
	struct evring_config config = { .flags = EVRING_RESTRICT,
					.disable = without[_i] };
	int nr_fds;

	loop = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
	nr_fds = count_fds();
	ck_assert_int_eq(evring_attach(loop, &config), -ENODEV);
	ck_assert_int_eq(evring_tier(loop), EVRING_TIER_NONE);
	ck_assert_int_eq(count_fds(), nr_fds);
	ck_assert(loop_works(loop));
	ck_assert_ptr_nonnull(
		strstr(evring_strerror(-ENODEV), "EVRING_RESTRICT"));
	ev_loop_destroy(loop);
}
END_TEST

static const char *no_ring(void)
{
	struct evring_config config = { .flags = EVRING_RESTRICT };
	struct ev_loop *tried = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
	int r = evring_attach(tried, &config);

	ev_loop_destroy(tried);
	return r == 0	      ? NULL
	       : r == -ENODEV ? "this kernel has no restrictions (Linux 5.10)"
			      : evring_strerror(r);
}

static const char *no_nonsense(void)
{
	return under_valgrind() ? "valgrind reports what is wrong on purpose"
				: NULL;
}

static const struct {
	const TTest *const *test;
	const char *(*why_not)(void);
} in_modes[] = {
	{ &kernel_refuses_every_other_request, no_nonsense },
	{ &kernel_refuses_every_other_flag, no_nonsense },
	{ &kernel_registers_nothing_else, no_nonsense },
	{ &other_loops_are_not_restricted, NULL },
	{ &watchers_need_nothing_else, NULL },
	{ &a_loop_with_nothing_to_do_sleeps, NULL },
	{ &settings_need_nothing_else, no_collecting },
	{ &messages_come, no_threads },
	{ &messages_go, no_threads },
	{ &messages_come_from_other_loops, no_threads },
	{ &operations_are_refused_at_once, NULL },
	{ &socket_watchers_are_refused_at_once, NULL },
	{ &ring_of_another_thread_is_restricted_as_well, no_threads },
	{ &who_takes_the_place_is_restricted_as_well, NULL },
	{ &detach_ends_it, NULL },
};

Suite *make_suite(void)
{
	Suite *suite = suite_create("restrict");
	TCase *tcase = tcase_create("restrict");
	const char *reason = no_ring();
	size_t i;

	suite_add_tcase(suite, tcase);
	for (i = 0; i < ARRAY_SIZE(in_modes); i++)
		add_loop_or_leave_out(tcase, *in_modes[i].test, NR_MODES,
				      reason || !in_modes[i].why_not
					      ? reason
					      : in_modes[i].why_not());
	add_or_leave_out(tcase, kernel_registers_what_evring_needs,
			 reason ? reason : no_nonsense());
	add_loop_or_leave_out(tcase, child_is_restricted_as_well, NR_MODES,
			      reason ? reason : no_children());
	add_loop_or_leave_out(tcase, attach_says_where_it_is_not_to_be_had, 2,
			      reason);
	add_loop_or_leave_out(tcase, who_takes_the_place_cannot_shake_it_off, 2,
			      reason);
	return suite;
}
