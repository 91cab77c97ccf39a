/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * op.c - operations: from start to last event, and what becomes of them when
 * their loop, its ring, its thread or its process goes.
 *
 * Every promise is tested in every mode.
 */
#include "config.h"

#include "harness.h"

#include <errno.h>
#include <ev.h>
#include <evring-net.h>
#include <liburing.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sandbox.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* clang-format off */
static const struct evring_config modes[] = {
	{ .entries = 0 },
	{ .flags = EVRING_USER_REGION },
	{ .disable = "region" },
	{ .disable = "epoll-wait" },
	{ .disable = "r-disabled,registered-ring" },
	{ .disable = "cqe-skip,epoll-ctl" },
	{ .disable = "defer-taskrun" },
	{ .disable = "single-issuer,coop-taskrun,no-iowait" },
	{ .entries = 8 },
};
/* clang-format on */

enum { NR_MODES = ARRAY_SIZE(modes) };

static struct ev_loop *loop;
static int nr_events; /* of all operations */
static int fds[2];    /* a socket pair: what is written to 1 is read from 0 */

static void open_loop_with(const struct evring_config *config)
{
	loop = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
	ck_assert_ptr_nonnull(loop);
	ck_assert_int_eq(evring_attach(loop, config), 0);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	nr_events = 0;
}

static void open_loop(int mode)
{
	open_loop_with(&modes[mode]);
}

static void close_loop(void)
{
	ev_loop_destroy(loop);
	loop = NULL;
	close(fds[0]);
	close(fds[1]);
}

/*
 * an operation that keeps count
 */

struct
try {
	evring_op op;
	int nr;	     /* events */
	int nr_last; /* last ones of these */
	int sum;     /* of the results that are not errors */
	int turn;    /* number of the last event among all */
	char buffer[64];
	void (*then)(struct try * try);
};

static void on_event(struct ev_loop *l, evring_op *op, int revents)
{
	struct try *try = (struct try *)(void *)op;

	ck_assert_ptr_eq(l, loop);
	ck_assert_int_eq(revents, EV_CUSTOM);
	try->nr++;
	try->nr_last += !ev_is_active(op);
	try->sum += op->res > 0 ? op->res : 0;
	try->turn = ++nr_events;
	if (try->then)
		try->then(try);
}

static void init(struct try *try)
{
	memset(try, 0, sizeof(*try));
	evring_op_init(&try->op, on_event);
}

static struct io_uring_sqe *start(struct try *try)
{
	struct io_uring_sqe *sqe = evring_op_start(loop, &try->op);

	ck_assert_msg(sqe != NULL, "start: %s", strerror(errno));
	ck_assert(ev_is_active(&try->op));
	return sqe;
}

static void start_nop(struct try *try)
{
	io_uring_prep_nop(start(try));
}

static void start_read(struct try *try)
{
	io_uring_prep_read(start(try), fds[0], try->buffer, 1, 0);
}

static void start_poll(struct try *try)
{
	io_uring_prep_poll_multishot(start(try), fds[0], POLLIN);
}

/* The last event has come, and it was this. */
static void check_ended(const struct try *try, int res)
{
	ck_assert_int_eq(try->nr_last, 1);
	ck_assert(!ev_is_active(&try->op));
	ck_assert_int_eq(try->op.res, res);
}

static void put(const char *text)
{
	ck_assert_int_eq(write(fds[1], text, strlen(text)), strlen(text));
}

static void turn(void)
{
	ev_run(loop, EVRUN_NOWAIT);
}

/* Until try has had nr events; the alarm of Check is what gives up. */
static void await_events(const struct try *try, int nr)
{
	while (try->nr < nr)
		ev_run(loop, EVRUN_ONCE);
	ck_assert_int_eq(try->nr, nr);
}

static void note_timeout(struct ev_loop *l, ev_timer *w, int revents)
{
	(void)l;
	(void)revents;
	w->data = w;
}

/* Run for some turns, or it is too early to say that nothing comes. */
static void rest(void)
{
	ev_timer timer;

	ev_timer_init(&timer, note_timeout, 0.02, 0.);
	timer.data = NULL;
	ev_now_update(loop);
	ev_timer_start(loop, &timer);
	while (!timer.data)
		ev_run(loop, EVRUN_ONCE);
}

static struct evring_stats stats(void)
{
	struct evring_stats s;

	ck_assert_int_eq(evring_stats(loop, &s), 0);
	return s;
}

/*
 * from start to last event
 */

START_TEST(an_operation_answers_once_and_keeps_the_loop_alive)
{
	struct try try;

	open_loop(_i);
	init(&try);
	try.op.data = &try;
	start_nop(&try);
	ck_assert_int_eq(try.nr, 0);
	ck_assert_int_eq(ev_run(loop, 0), 0);
	check_ended(&try, 0);
	ck_assert_int_eq(try.nr, 1);
	ck_assert_ptr_eq(try.op.data, &try);
	ck_assert_uint_eq(stats().ops, 1);
	ck_assert_uint_eq(stats().op_events, 1);
	close_loop();
}
END_TEST

START_TEST(an_entry_left_as_it_is_does_nothing)
{
	struct try try;

	open_loop(_i);
	init(&try);
	start(&try);
	ev_run(loop, 0);
	check_ended(&try, 0);
	close_loop();
}
END_TEST

START_TEST(data_arrive_and_the_result_is_told)
{
	struct try try;

	open_loop(_i);
	init(&try);
	io_uring_prep_recv(start(&try), fds[0], try.buffer, 64, 0);
	turn();
	ck_assert_int_eq(try.nr, 0);
	put("hello");
	ev_run(loop, 0);
	check_ended(&try, 5);
	ck_assert_mem_eq(try.buffer, "hello", 6);
	close_loop();
}
END_TEST

START_TEST(an_error_is_told_as_the_kernel_says_it)
{
	struct try try;

	open_loop(_i);
	init(&try);
	io_uring_prep_read(start(&try), -1, try.buffer, 1, 0);
	ev_run(loop, 0);
	check_ended(&try, -EBADF);
	close_loop();
}
END_TEST

static void start_again(struct try *try)
{
	if (try->nr < 5)
		start_nop(try);
}

START_TEST(an_operation_may_start_again_in_its_last_event)
{
	struct try try;

	open_loop(_i);
	init(&try);
	try.then = start_again;
	start_nop(&try);
	ev_run(loop, 0);
	ck_assert_int_eq(try.nr, 5);
	ck_assert(!ev_is_active(&try.op));
	close_loop();
}
END_TEST

START_TEST(a_multishot_request_has_one_event_for_each_completion)
{
	struct try try;
	int i;

	open_loop(_i);
	init(&try);
	start_poll(&try);
	turn();
	for (i = 1; i <= 4; i++) {
		put("x");
		await_events(&try, i);
		ck_assert(try.op.flags & IORING_CQE_F_MORE);
		ck_assert(ev_is_active(&try.op));
		ck_assert_int_eq(read(fds[0], try.buffer, 1), 1);
	}
	ck_assert_int_eq(evring_op_cancel(loop, &try.op), 0);
	ev_run(loop, 0);
	check_ended(&try, -ECANCELED);
	ck_assert_int_eq(try.nr, 5);
	close_loop();
}
END_TEST

/* A provided buffer each: all completions are there in one turn. */
START_TEST(completions_of_one_turn_come_one_by_one_in_order)
{
	static char memory[8][4];
	struct io_uring_buf_ring *buffers;
	struct io_uring_sqe *sqe;
	struct io_uring *ring;
	struct try try;
	int i, r;

	open_loop(_i);
	ring = evring_ring(loop);
	ck_assert_ptr_nonnull(ring);
	buffers = io_uring_setup_buf_ring(ring, 8, 1, 0, &r);
	ck_assert_ptr_nonnull(buffers);
	for (i = 0; i < 8; i++)
		io_uring_buf_ring_add(buffers, memory[i], 4, (unsigned short)i,
				      7, i);
	io_uring_buf_ring_advance(buffers, 8);
	init(&try);
	sqe = start(&try);
	io_uring_prep_recv_multishot(sqe, fds[0], NULL, 0, 0);
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = 1;
	put("abcdefghijklmnopqrstuvwxyz");
	ev_run(loop, EVRUN_ONCE);
	while (try.nr < 7)
		ev_run(loop, EVRUN_ONCE);
	ck_assert_int_eq(try.sum, 26);
	ck_assert_mem_eq(memory, "abcdefghijklmnopqrstuvwxyz", 26);
	evring_op_cancel(loop, &try.op);
	ev_run(loop, 0);
	check_ended(&try, -ECANCELED);
	io_uring_free_buf_ring(ring, buffers, 8, 1);
	close_loop();
}
END_TEST

/* Connected; 1 takes few bytes (0: as many as usual) before it is read. */
static void open_tcp(int pair[2], int receive_buffer)
{
	int listener = socket(AF_INET, SOCK_STREAM, 0), large = 1 << 20, on = 1;
	struct sockaddr_in address = { .sin_family = AF_INET };
	struct sockaddr *any = (struct sockaddr *)(void *)&address;
	socklen_t size = sizeof(address);

	if (receive_buffer)
		setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &receive_buffer,
			   sizeof(receive_buffer));
	ck_assert_int_eq(bind(listener, any, size), 0);
	ck_assert_int_eq(listen(listener, 1), 0);
	getsockname(listener, any, &size);
	pair[0] = socket(AF_INET, SOCK_STREAM, 0);
	setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &large, sizeof(large));
	setsockopt(pair[0], SOL_SOCKET, SO_ZEROCOPY, &on, sizeof(on));
	ck_assert_int_eq(connect(pair[0], any, size), 0);
	pair[1] = accept(listener, NULL, NULL);
	ck_assert_int_ge(pair[1], 0);
	close(listener);
}

static void check_first_of_two(struct try *try)
{
	if (try->nr == 1)
		ck_assert_int_eq(try->op.res, 3);
	ck_assert_int_eq(ev_is_active(&try->op), try->nr == 1);
}

START_TEST(two_answers_of_a_zero_copy_send_are_two_events)
{
	struct try try;
	int pair[2];

	open_loop(_i);
	open_tcp(pair, 0);
	init(&try);
	try.then = check_first_of_two;
	io_uring_prep_send_zc(start(&try), pair[0], "abc", 3, 0, 0);
	ev_run(loop, 0);
	ck_assert_int_eq(read(pair[1], try.buffer, 3), 3);
	ck_assert_int_eq(try.nr, 2);
	ck_assert_int_eq(try.nr_last, 1);
	ck_assert(try.op.flags & IORING_CQE_F_NOTIF);
	close(pair[0]);
	close(pair[1]);
	close_loop();
}
END_TEST

START_TEST(more_operations_than_entries_are_all_done)
{
	enum { NR = 1500 };
	struct try *tries = calloc(NR, sizeof(*tries));
	int i;

	open_loop(_i);
	for (i = 0; i < NR; i++) {
		init(&tries[i]);
		start_nop(&tries[i]);
	}
	ev_run(loop, 0);
	for (i = 0; i < NR; i++)
		check_ended(&tries[i], 0);
	ck_assert_uint_eq(stats().op_events, NR);
	close_loop();
	free(tries);
}
END_TEST

START_TEST(operations_and_watchers_share_the_loop)
{
	struct try try;
	int i;

	open_loop(_i);
	init(&try);
	for (i = 1; i <= 20; i++) {
		start_read(&try);
		rest();
		ck_assert_int_eq(try.nr, i - 1);
		put("x");
		await_events(&try, i);
		ck_assert_int_eq(try.op.res, 1);
	}
	close_loop();
}
END_TEST

/*
 * libev's manners
 */

START_TEST(an_unrefd_operation_does_not_keep_the_loop_alive)
{
	struct try try;

	open_loop(_i);
	init(&try);
	start_read(&try);
	ev_unref(loop);
	ck_assert_int_eq(ev_run(loop, 0), 0);
	ck_assert_int_eq(try.nr, 0);
	ev_ref(loop);
	ck_assert_int_ne(ev_run(loop, EVRUN_NOWAIT), 0);
	put("x");
	ck_assert_int_eq(ev_run(loop, 0), 0);
	check_ended(&try, 1);
	close_loop();
}
END_TEST

static int place_of_timer, place_of_low_timer;

static void note_place(struct ev_loop *l, ev_timer *w, int revents)
{
	(void)l;
	(void)revents;
	*(int *)w->data = ++nr_events;
}

START_TEST(priorities_are_obeyed_among_operations_and_watchers)
{
	ev_timer timer, low;
	struct try tries[5];
	int i;

	open_loop(_i);
	for (i = 0; i < 5; i++) {
		init(&tries[i]);
		ev_set_priority(&tries[i].op, i - 2);
		start_nop(&tries[i]);
	}
	ev_timer_init(&timer, note_place, 0., 0.);
	ev_set_priority(&timer, 1);
	timer.data = &place_of_timer;
	ev_timer_start(loop, &timer);
	ev_timer_init(&low, note_place, 0., 0.);
	ev_set_priority(&low, EV_MINPRI);
	low.data = &place_of_low_timer;
	ev_timer_start(loop, &low);
	ev_run(loop, 0);
	ck_assert_int_eq(tries[4].turn, 1);
	ck_assert_int_eq(tries[3].turn + place_of_timer, 2 + 3);
	ck_assert_int_eq(tries[2].turn, 4);
	ck_assert_int_eq(tries[1].turn, 5);
	ck_assert_int_eq(tries[0].turn + place_of_low_timer, 6 + 7);
	close_loop();
}
END_TEST

static struct try urgent;

static void feed_urgent(struct try *try)
{
	(void)try;
	if (!urgent.nr)
		ev_feed_event(loop, &urgent.op, EV_CUSTOM);
}

/* Between two completions of one priority something urgent has its turn. */
START_TEST(what_becomes_pending_meanwhile_is_not_kept_waiting)
{
	struct try tries[3];
	int i;

	open_loop(_i);
	init(&urgent);
	ev_set_priority(&urgent.op, EV_MAXPRI);
	for (i = 0; i < 3; i++) {
		init(&tries[i]);
		tries[i].then = feed_urgent;
		start_nop(&tries[i]);
	}
	ev_run(loop, 0);
	ck_assert_int_eq(tries[0].turn, 1);
	ck_assert_int_eq(urgent.turn, 2);
	ck_assert_int_eq(tries[2].turn, 4);
	close_loop();
}
END_TEST

static void run_inside(struct try *try)
{
	struct try inner;

	if (try->nr > 1)
		return;
	init(&inner);
	start_nop(&inner);
	while (!inner.nr)
		ev_run(loop, EVRUN_ONCE);
	check_ended(&inner, 0);
}

START_TEST(a_nested_run_delivers_what_is_started_there)
{
	struct try tries[4];
	int i;

	open_loop(_i);
	for (i = 0; i < 4; i++) {
		init(&tries[i]);
		tries[i].then = run_inside;
		start_nop(&tries[i]);
	}
	ev_run(loop, 0);
	for (i = 0; i < 4; i++)
		check_ended(&tries[i], 0);
	close_loop();
}
END_TEST

static bool may_invoke;

static void invoke_if_allowed(struct ev_loop *l)
{
	if (may_invoke)
		ev_invoke_pending(l);
}

START_TEST(nothing_is_lost_when_pending_is_invoked_later)
{
	struct try tries[4], reader;
	int i;

	open_loop(_i);
	may_invoke = false;
	ev_set_invoke_pending_cb(loop, invoke_if_allowed);
	init(&reader);
	start_poll(&reader);
	for (i = 0; i < 4; i++) {
		init(&tries[i]);
		start_nop(&tries[i]);
	}
	put("x");
	for (i = 0; i < 3; i++)
		ev_run(loop, EVRUN_ONCE); /* does not block */
	ck_assert_int_eq(nr_events, 0);
	ck_assert_int_ne(ev_pending_count(loop), 0);
	may_invoke = true;
	turn();
	ck_assert_int_eq(reader.nr, 1);
	ck_assert_int_eq(nr_events, 5);
	evring_op_cancel(loop, &reader.op);
	ev_run(loop, 0);
	check_ended(&reader, -ECANCELED);
	close_loop();
}
END_TEST

/*
 * embedded in another loop: the two watchers that evring.h asks for
 */

static struct {
	ev_embed embed;
	ev_prepare prepare;
	ev_io io;
} embedding;

static void sweep_before_wait(struct ev_loop *outer, ev_prepare *w, int revents)
{
	(void)w;
	(void)revents;
	ev_embed_sweep(outer, &embedding.embed);
}

static void sweep_when_told(struct ev_loop *outer, ev_io *w, int revents)
{
	(void)revents;
	ck_assert_int_ge(read(w->fd, &(uint64_t){ 0 }, 8), 0);
	ev_embed_sweep(outer, &embedding.embed);
}

static void embed_loop(struct ev_loop *outer, int fd)
{
	ck_assert_int_eq(io_uring_register_eventfd(evring_ring(loop), fd), 0);
	ev_embed_init(&embedding.embed, NULL, loop);
	ev_embed_start(outer, &embedding.embed);
	ev_prepare_init(&embedding.prepare, sweep_before_wait);
	ev_prepare_start(outer, &embedding.prepare);
	ev_io_init(&embedding.io, sweep_when_told, fd, EV_READ);
	ev_io_start(outer, &embedding.io);
}

START_TEST(an_embedded_loop_is_run_for_its_operations)
{
	struct ev_loop *outer = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
	struct __kernel_timespec soon = { .tv_nsec = 20000000 };
	int fd = eventfd(0, EFD_CLOEXEC);
	struct try try;

	open_loop(_i);
	embed_loop(outer, fd);
	init(&try);
	io_uring_prep_timeout(start(&try), &soon, 0, 0);
	while (!try.nr)
		ev_run(outer, EVRUN_ONCE);
	check_ended(&try, -ETIME);
	ev_embed_stop(outer, &embedding.embed);
	close_loop();
	ev_loop_destroy(outer);
	close(fd);
}
END_TEST

START_TEST(a_quiet_turn_with_operations_makes_no_system_call)
{
	uint64_t enters, avoided;
	struct try try;

	open_loop(_i);
	init(&try);
	start_read(&try);
	turn();
	turn();
	turn();
	enters = stats().enters;
	avoided = stats().waits_avoided;
	turn();
	turn();
	ck_assert_uint_eq(stats().enters, enters);
	ck_assert_uint_eq(stats().waits_avoided, avoided + 2);
	close_loop();
	check_ended(&try, -ECANCELED);
}
END_TEST

/* A turn is what submits, sleeps and reaps. */
START_TEST(a_turn_of_the_loop_is_one_enter)
{
	uint64_t enters;
	struct try try;
	int i;

	open_loop(_i);
	init(&try);
	start_nop(&try);
	ev_run(loop, 0);
	enters = stats().enters;
	for (i = 0; i < 10; i++) {
		start_nop(&try);
		ev_run(loop, 0);
	}
	ck_assert_uint_eq(stats().enters, enters + 10);
	close_loop();
}
END_TEST

/*
 * what the caller may not do
 */

static void check_refused(struct ev_loop *l, evring_op *op, int error)
{
	errno = 0;
	ck_assert_ptr_null(evring_op_start(l, op));
	ck_assert_int_eq(errno, error);
	ck_assert_str_ne(evring_strerror(error),
			 evring_strerror(-EDOM)); /* it has words for it */
}

START_TEST(what_cannot_be_started_is_refused)
{
	struct try try, other;

	open_loop(_i);
	init(&try);
	init(&other);
	check_refused(loop, NULL, EINVAL);
	other.op.cb = NULL;
	check_refused(loop, &other.op, EINVAL);
	init(&other);
	check_refused(NULL, &other.op, ENXIO);
	ck_assert_int_eq(evring_op_cancel(loop, NULL), -EINVAL);
	ck_assert_int_eq(evring_op_cancel(loop, &other.op), -ENOENT);
	ck_assert_int_eq(evring_op_cancel(NULL, &other.op), -ENOENT);
	start_read(&try);
	check_refused(loop, &try.op, EBUSY);
	ck_assert_int_eq(evring_detach(loop), 0);
	check_ended(&try, -ECANCELED);
	check_refused(loop, &try.op, ENXIO);
	ck_assert_int_eq(evring_reserve(loop, 1), -ENXIO);
	ck_assert_int_eq(evring_set_files(loop, 1), -ENXIO);
	ck_assert_ptr_null(evring_ring(loop));
	ck_assert(!ev_is_active(&try.op));
	ck_assert_int_eq(ev_run(loop, 0), 0);
	close_loop();
}
END_TEST

START_TEST(a_start_without_an_fd_left_is_refused_and_may_be_repeated)
{
	struct rlimit old, none;
	struct try try;

	open_loop(_i);
	init(&try);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &old), 0);
	none = old;
	none.rlim_cur = 0;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	check_refused(loop, &try.op, EMFILE);
	ck_assert(!ev_is_active(&try.op));
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &old), 0);
	start_nop(&try);
	ev_run(loop, 0);
	check_ended(&try, 0);
	close_loop();
}
END_TEST

/*
 * cancel
 */

START_TEST(cancel_ends_what_the_kernel_has)
{
	struct try try;

	open_loop(_i);
	init(&try);
	start_read(&try);
	turn();
	ck_assert_int_eq(evring_op_cancel(loop, &try.op), 0);
	ck_assert_int_eq(evring_op_cancel(loop, &try.op), 0);
	ck_assert(ev_is_active(&try.op));
	ck_assert_int_eq(ev_run(loop, 0), 0);
	check_ended(&try, -ECANCELED);
	ck_assert_int_eq(try.nr, 1);
	rest();
	put("x"); /* nobody reads it */
	turn();
	ck_assert_int_eq(try.buffer[0], 0);
	close_loop();
}
END_TEST

START_TEST(cancel_ends_what_was_not_submitted_yet)
{
	struct try try;

	open_loop(_i);
	init(&try);
	start_read(&try);
	ck_assert_int_eq(evring_op_cancel(loop, &try.op), 0);
	ck_assert_int_eq(ev_run(loop, 0), 0);
	check_ended(&try, -ECANCELED);
	close_loop();
}
END_TEST

static struct try victim;
static int cancel_said;

static void cancel_victim(struct try *try)
{
	(void)try;
	cancel_said = evring_op_cancel(loop, &victim.op);
}

/* Its completion is there, but was not handed out: it stays what it is. */
START_TEST(cancel_comes_too_late_for_what_has_answered)
{
	struct try try;

	open_loop(_i);
	init(&try);
	init(&victim);
	try.then = cancel_victim;
	start_nop(&try);
	start_nop(&victim);
	cancel_said = 1;
	ev_run(loop, 0);
	check_ended(&victim, 0);
	ck_assert(cancel_said == -ENOENT || cancel_said == 0);
	close_loop();
}
END_TEST

/*
 * linked requests
 */

START_TEST(linked_requests_stay_together)
{
	struct try first, second, filler[7];
	struct io_uring_sqe *sqe;
	int i;

	open_loop(_i);
	for (i = 0; i < 7; i++) {
		init(&filler[i]);
		start_nop(&filler[i]);
	}
	ck_assert_int_eq(evring_reserve(loop, 1 << 20), -E2BIG);
	ck_assert_int_eq(evring_reserve(loop, 2), 0);
	init(&first);
	init(&second);
	sqe = start(&first);
	io_uring_prep_recv(sqe, fds[0], first.buffer, 1, 0);
	sqe->flags |= IOSQE_IO_LINK;
	io_uring_prep_send(start(&second), fds[0], "y", 1, 0);
	rest();
	ck_assert_int_eq(second.nr, 0);
	put("x");
	ev_run(loop, 0);
	check_ended(&first, 1);
	check_ended(&second, 1);
	ck_assert_int_lt(first.turn, second.turn);
	close_loop();
}
END_TEST

START_TEST(a_failed_link_cancels_what_follows)
{
	struct try first, second;
	struct io_uring_sqe *sqe;

	open_loop(_i);
	init(&first);
	init(&second);
	ck_assert_int_eq(evring_reserve(loop, 2), 0);
	sqe = start(&first);
	io_uring_prep_recv(sqe, -1, first.buffer, 1, 0);
	sqe->flags |= IOSQE_IO_LINK;
	start_nop(&second);
	ev_run(loop, 0);
	check_ended(&first, -EBADF);
	check_ended(&second, -ECANCELED);
	close_loop();
}
END_TEST

START_TEST(a_linked_timeout_limits_an_operation)
{
	struct __kernel_timespec soon = { .tv_nsec = 5000000 };
	struct try first, second;
	struct io_uring_sqe *sqe;

	open_loop(_i);
	init(&first);
	init(&second);
	ck_assert_int_eq(evring_reserve(loop, 2), 0);
	sqe = start(&first);
	io_uring_prep_recv(sqe, fds[0], first.buffer, 1, 0);
	sqe->flags |= IOSQE_IO_LINK;
	io_uring_prep_link_timeout(start(&second), &soon, 0);
	ev_run(loop, 0);
	check_ended(&first, -ECANCELED);
	check_ended(&second, -ETIME);
	close_loop();
}
END_TEST

/*
 * fixed files and buffers
 */

START_TEST(fixed_files_are_usable)
{
	struct io_uring_sqe *sqe;
	struct try try;

	open_loop(_i);
	ck_assert_int_eq(evring_set_files(loop, (1 << 20) + 1), -EINVAL);
	ck_assert_int_eq(evring_set_files(loop, 1 << 20), -EMFILE);
	ck_assert_int_eq(evring_set_files(loop, 3), 0);
	ck_assert_int_eq(io_uring_register_files_update(evring_ring(loop), 2,
							&fds[0], 1),
			 1);
	init(&try);
	sqe = start(&try);
	io_uring_prep_recv(sqe, 2, try.buffer, 64, 0);
	sqe->flags |= IOSQE_FIXED_FILE;
	put("fixed");
	ev_run(loop, 0);
	check_ended(&try, 5);
	ck_assert_int_eq(evring_set_files(loop, 5), 0);
	sqe = start(&try);
	io_uring_prep_recv(sqe, 2, try.buffer, 64, 0);
	sqe->flags |= IOSQE_FIXED_FILE;
	ev_run(loop, 0);
	ck_assert_int_eq(try.op.res, -EBADF);
	close_loop();
}
END_TEST

START_TEST(fixed_buffers_are_usable)
{
	char memory[4096];
	struct iovec iov = { memory, sizeof(memory) };
	struct try try;

	open_loop(_i);
	memset(memory, 0, sizeof(memory));
	ck_assert_int_eq(io_uring_register_buffers(evring_ring(loop), &iov, 1),
			 0);
	init(&try);
	io_uring_prep_read_fixed(start(&try), fds[0], memory + 10, 100, 0, 0);
	put("there");
	ev_run(loop, 0);
	check_ended(&try, 5);
	ck_assert_mem_eq(memory + 10, "there", 6);
	close_loop();
}
END_TEST

/*
 * the loop goes
 */

enum { NR_WAYS = 2 };

/* Detached, or destroyed: the same for operations. */
static void end_loop(int way)
{
	if (way) {
		close_loop();
		return;
	}
	ck_assert_int_eq(evring_detach(loop), 0);
}

static void finish_loop(int way)
{
	if (!way)
		close_loop();
}

static void try_to_go_on(struct try *try)
{
	check_refused(loop, &try->op, ENXIO);
	ck_assert_int_eq(evring_detach(loop), -EINVAL);
	ck_assert_int_eq(evring_attach(loop, NULL), -EBUSY);
}

START_TEST(operations_end_before_their_loop_is_let_go)
{
	struct try reader, poller, unsent;
	int way = _i % NR_WAYS;

	open_loop(_i / NR_WAYS);
	init(&reader);
	init(&poller);
	init(&unsent);
	reader.then = poller.then = unsent.then = try_to_go_on;
	start_read(&reader);
	start_poll(&poller);
	turn();
	start_nop(&unsent);
	end_loop(way);
	check_ended(&reader, -ECANCELED);
	check_ended(&poller, -ECANCELED);
	check_ended(&unsent, -ECANCELED);
	ck_assert_int_eq(nr_events, 3);
	finish_loop(way);
}
END_TEST

START_TEST(nobody_writes_to_memory_of_what_has_ended)
{
	struct try reader;
	int way = _i % NR_WAYS, others[2];

	open_loop(_i / NR_WAYS);
	ck_assert_int_eq(pipe(others), 0);
	init(&reader);
	io_uring_prep_read(start(&reader), others[0], reader.buffer, 4, 0);
	turn();
	end_loop(way);
	ck_assert_int_eq(write(others[1], "data", 4), 4);
	ck_assert_int_eq(reader.buffer[0], 0);
	ck_assert_int_eq(read(others[0], reader.buffer, 4), 4);
	close(others[0]);
	close(others[1]);
	finish_loop(way);
}
END_TEST

/* What the kernel had done is told, not cancelled. */
START_TEST(results_that_are_there_are_told_when_the_loop_goes)
{
	struct try reader;
	int way = _i % NR_WAYS;

	open_loop(_i / NR_WAYS);
	ev_set_invoke_pending_cb(loop, invoke_if_allowed);
	may_invoke = false;
	init(&reader);
	start_read(&reader);
	put("z");
	ev_run(loop, EVRUN_ONCE);
	ck_assert_int_eq(reader.nr, 0);
	may_invoke = true; /* libev does so when it destroys a loop */
	end_loop(way);
	check_ended(&reader, 1);
	ck_assert_int_eq(reader.buffer[0], 'z');
	finish_loop(way);
}
END_TEST

static void free_it(struct try *try)
{
	if (!ev_is_active(&try->op))
		free(try);
}

START_TEST(an_operation_may_be_freed_in_its_last_event)
{
	int i, way = _i % NR_WAYS;
	struct try *try;

	open_loop(_i / NR_WAYS);
	for (i = 0; i < 6; i++) {
		try = malloc(sizeof(*try));
		init(try);
		try->then = free_it;
		if (i < 3)
			start_nop(try);
		else
			start_poll(try);
		if (i == 2)
			turn();
	}
	end_loop(way);
	ck_assert_int_eq(nr_events, 6);
	finish_loop(way);
}
END_TEST

static void detach_here(struct try *try)
{
	(void)try;
	ck_assert_int_eq(evring_detach(loop), 0);
}

START_TEST(a_callback_may_detach_its_loop)
{
	struct try tries[4], reader;
	int i;

	open_loop(_i);
	init(&reader);
	start_read(&reader);
	for (i = 0; i < 4; i++) {
		init(&tries[i]);
		start_nop(&tries[i]);
	}
	tries[1].then = detach_here;
	ev_run(loop, 0);
	check_ended(&reader, -ECANCELED);
	for (i = 0; i < 4; i++)
		check_ended(&tries[i], 0);
	ck_assert_int_eq(evring_tier(loop), EVRING_TIER_NONE);
	close_loop();
}
END_TEST

START_TEST(a_loop_that_is_attached_again_takes_operations)
{
	struct try try;

	open_loop(_i);
	init(&try);
	start_read(&try);
	ck_assert_int_eq(evring_detach(loop), 0);
	check_ended(&try, -ECANCELED);
	ck_assert_int_eq(evring_attach(loop, &modes[_i]), 0);
	init(&try);
	start_read(&try);
	put("x");
	ev_run(loop, 0);
	check_ended(&try, 1);
	close_loop();
}
END_TEST

START_TEST(nothing_is_left_of_a_loop_with_operations)
{
	int nr_fds = count_fds(), nr_maps = count_mappings("io_uring");
	struct try try;

	open_loop(_i);
	init(&try);
	start_read(&try);
	turn();
	close_loop();
	ck_assert_int_eq(count_fds(), nr_fds);
	ck_assert_int_eq(count_mappings("io_uring"), nr_maps);
	check_ended(&try, -ECANCELED);
}
END_TEST

/*
 * the ring goes
 */

static struct try lonely;

/* Nothing else is watched: a turn that sleeps now sleeps for ever. */
static int lose_ring(void *arg)
{
	const struct refusal refusals[] = {
		REFUSE(__NR_io_uring_enter, EPERM),
	};

	open_loop(*(int *)arg);
	init(&lonely);
	start_read(&lonely);
	turn();
	sandbox(refusals, ARRAY_SIZE(refusals));
	ev_run(loop, EVRUN_ONCE);
	child_assert(lonely.nr == 1 && lonely.op.res == -ECANCELED);
	child_assert(!ev_is_active(&lonely.op));
	start_read(&lonely); /* there is another, which never works */
	ev_run(loop, EVRUN_ONCE);
	child_assert(lonely.nr == 2 && lonely.op.res == -ECANCELED);
	child_assert(!evring_op_start(loop, &lonely.op) && errno == ENXIO);
	child_assert(stats().rings_lost == 1);
	child_assert(ev_run(loop, 0) == 0);
	ev_loop_destroy(loop);
	return 0;
}

START_TEST(a_ring_that_is_lost_ends_its_operations)
{
	ck_assert_int_eq(run_in_child(lose_ring, &_i), 0);
}
END_TEST

/*
 * fork
 */

static struct try forked;

static int run_in_fork(void *arg)
{
	(void)arg;
	ev_loop_fork(loop);
	while (forked.nr < 1)
		ev_run(loop, EVRUN_ONCE);
	child_assert(forked.nr_last == 1 && forked.op.res == -ECANCELED);
	init(&forked);
	io_uring_prep_nop(evring_op_start(loop, &forked.op));
	ev_run(loop, 0);
	child_assert(forked.nr == 1 && forked.op.res == 0);
	ev_loop_destroy(loop);
	return 0;
}

static int destroy_in_fork(void *arg)
{
	(void)arg;
	ev_loop_destroy(loop);
	child_assert(forked.nr == 1 && forked.op.res == -ECANCELED);
	return 0;
}

static int leave_in_fork(void *arg)
{
	(void)arg;
	child_assert(forked.nr == 0 && ev_is_active(&forked.op));
	return 0;
}

static int (*const in_fork[])(void *) = { run_in_fork, destroy_in_fork,
					  leave_in_fork };

START_TEST(a_child_hears_that_they_are_not_its_own_and_the_parents_go_on)
{
	int way = _i % (int)ARRAY_SIZE(in_fork);

	open_loop(_i / (int)ARRAY_SIZE(in_fork));
	init(&forked);
	start_read(&forked);
	turn();
	ck_assert_int_eq(run_in_child(in_fork[way], NULL), 0);
	turn();
	ck_assert_int_eq(forked.nr, 0);
	put("x");
	ev_run(loop, 0);
	check_ended(&forked, 1);
	ck_assert_int_eq(forked.buffer[0], 'x');
	close_loop();
}
END_TEST

/* Each of them is the first to notice that there will be no other ring. */
static int refuses_cancel(void)
{
	return evring_op_cancel(loop, &forked.op) == 0; /* it has ended */
}

static int refuses_start(void)
{
	static evring_op op;

	evring_op_init(&op, on_event);
	return !evring_op_start(loop, &op) && errno == ENXIO;
}

static int refuses_reserve(void)
{
	return evring_reserve(loop, 1) == -ENXIO;
}

static int refuses_files(void)
{
	return evring_set_files(loop, 1) == -ENXIO;
}

static void on_message(struct ev_loop *l, struct evring_port *port,
		       struct evring_message *message)
{
	(void)l, (void)port, (void)message;
}

static int refuses_port(void)
{
	static struct evring_port port;

	evring_port_init(&port, on_message);
	return evring_port_start(loop, &port) == -ENXIO;
}

static int (*const refuses[])(void) = { refuses_cancel, refuses_start,
					refuses_reserve, refuses_files,
					refuses_port };

enum { NR_REFUSES = ARRAY_SIZE(refuses) };

static void set_fd_limit(rlim_t nr)
{
	struct rlimit limit;

	child_assert(getrlimit(RLIMIT_NOFILE, &limit) == 0);
	limit.rlim_cur = nr;
	child_assert(setrlimit(RLIMIT_NOFILE, &limit) == 0);
}

static void note_readable(struct ev_loop *l, ev_io *w, int revents)
{
	(void)revents;
	ev_io_stop(l, w);
}

static int lose_ring_in_fork(void *arg)
{
	ev_io io;
	int i;

	set_fd_limit(0);
	child_assert(refuses[*(int *)arg]());
	for (i = 0; i < NR_REFUSES; i++)
		child_assert(i == 0 || refuses[i]());
	child_assert(!evring_ring(loop) && errno == ENXIO);
	child_assert(evring_set_spin(loop, 0.) == -EINVAL);
	child_assert(evring_set_napi(loop, 0.) == -EINVAL);
	child_assert(evring_set_collect(loop, 0., 0) == -EINVAL);
	child_assert(stats().rings_lost == 1 && forked.nr == 0);
	set_fd_limit(64);
	ev_loop_fork(loop);
	ev_io_init(&io, note_readable, fds[0], EV_READ);
	ev_io_start(loop, &io);
	child_assert(write(fds[1], "x", 1) == 1);
	child_assert(ev_run(loop, 0) == 0); /* libev's backend has it */
	child_assert(forked.nr == 1 && forked.op.res == -ECANCELED);
	ev_loop_destroy(loop);
	return 0;
}

START_TEST(a_ring_that_goes_between_turns_is_missed_by_all)
{
	int first = _i % NR_REFUSES;

	open_loop(_i / NR_REFUSES);
	init(&forked);
	start_poll(&forked);
	turn();
	ck_assert_int_eq(run_in_child(lose_ring_in_fork, &first), 0);
	close_loop();
}
END_TEST

/*
 * threads
 */

static void *run_there(void *arg)
{
	(void)arg;
	ev_run(loop, 0);
	return NULL;
}

static void *destroy_there(void *arg)
{
	(void)arg;
	close_loop();
	return NULL;
}

static void in_thread(void *(*body)(void *), void *arg)
{
	pthread_t thread;

	ck_assert_int_eq(pthread_create(&thread, NULL, body, arg), 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
}

START_TEST(a_loop_started_here_may_run_there_with_its_operations)
{
	struct try try;

	open_loop(_i);
	init(&try);
	start_read(&try);
	put("x");
	in_thread(run_there, NULL);
	ck_assert_int_eq(try.nr, 1);
	if (modes[_i].disable && strstr(modes[_i].disable, "r-disabled"))
		ck_assert_int_eq(try.op.res, -ECANCELED);
	else
		check_ended(&try, 1);
	close_loop();
}
END_TEST

/* The request must be gone for good: nobody takes the byte, or writes it. */
START_TEST(a_loop_that_moves_ends_its_operations)
{
	struct try try;
	int others[2];

	open_loop(_i);
	ck_assert_int_eq(pipe(others), 0);
	init(&try);
	io_uring_prep_read(start(&try), others[0], try.buffer, 4, 0);
	turn();
	in_thread(run_there, NULL);
	check_ended(&try, -ECANCELED);
	ck_assert_int_eq(write(others[1], "data", 4), 4);
	ck_assert_int_eq(try.buffer[0], 0);
	ck_assert_int_eq(read(others[0], try.buffer, 4), 4);
	init(&try);
	start_read(&try);
	put("x");
	ev_run(loop, 0);
	ck_assert_int_eq(try.nr, 1);
	close(others[0]);
	close(others[1]);
	close_loop();
}
END_TEST

START_TEST(another_thread_may_destroy_a_loop_with_operations)
{
	struct try try;
	int others[2];

	open_loop(_i);
	ck_assert_int_eq(pipe(others), 0);
	init(&try);
	io_uring_prep_read(start(&try), others[0], try.buffer, 4, 0);
	turn();
	in_thread(destroy_there, NULL);
	check_ended(&try, -ECANCELED);
	ck_assert_int_eq(write(others[1], "data", 4), 4);
	ck_assert_int_eq(try.buffer[0], 0);
	ck_assert_int_eq(read(others[0], try.buffer, 4), 4);
	close(others[0]);
	close(others[1]);
}
END_TEST

/*
 * what the kernel seldom does
 */

/* Other than ours, to be noticed if it comes first. */
static ev_timer late;

static void start_late_timer(void)
{
	ev_timer_init(&late, note_timeout, 15., 0.);
	late.data = NULL;
	ev_now_update(loop);
	ev_timer_start(loop, &late);
}

static void close_ring_fd(void)
{
	ck_assert_int_eq(close(evring_ring(loop)->ring_fd), 0);
}

static void allow_fds(bool allowed, struct rlimit *old)
{
	struct rlimit none = { 0, 0 };

	if (!allowed) {
		ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, old), 0);
		none.rlim_max = old->rlim_max;
	}
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, allowed ? old : &none), 0);
}

/* Another ring, or none: both without waiting for the timer. */
START_TEST(what_ended_with_its_ring_is_told_at_once)
{
	bool is_replaced = _i % 2;
	struct rlimit old;
	struct try try;

	open_loop(_i / 2);
	init(&try);
	start_read(&try);
	turn();
	start_late_timer();
	close_ring_fd();
	if (!is_replaced)
		allow_fds(false, &old);
	ev_run(loop, EVRUN_ONCE);
	if (!is_replaced)
		allow_fds(true, &old);
	ck_assert_ptr_null(late.data);
	check_ended(&try, -ECANCELED);
	ck_assert_int_eq(evring_tier(loop) == EVRING_TIER_NONE, !is_replaced);
	close_loop();
}
END_TEST

/* A drained request waits for all before it, and all after it wait, too: the
   request to cancel as well. */
START_TEST(a_drained_operation_does_not_keep_the_loop_from_ending)
{
	struct try reader, drained;
	struct io_uring_sqe *sqe;
	int way = _i % NR_WAYS;

	open_loop(_i / NR_WAYS);
	init(&reader);
	init(&drained);
	start_read(&reader);
	sqe = start(&drained);
	io_uring_prep_nop(sqe);
	sqe->flags |= IOSQE_IO_DRAIN;
	turn();
	end_loop(way);
	check_ended(&reader, -ECANCELED);
	check_ended(&drained, -ECANCELED);
	finish_loop(way);
}
END_TEST

START_TEST(each_ring_has_its_table_of_files)
{
	struct try try;

	open_loop(_i);
	ck_assert_int_eq(evring_set_files(loop, 3), 0);
	init(&try);
	start_read(&try);
	turn();
	in_thread(run_there, NULL);
	check_ended(&try, -ECANCELED);
	ck_assert_int_eq(io_uring_register_files_update(evring_ring(loop), 2,
							&fds[0], 1),
			 1);
	close_loop();
}
END_TEST

START_TEST(nobody_else_can_take_the_table_of_files)
{
	struct try try;

	open_loop(_i);
	ck_assert_int_eq(io_uring_register_files(evring_ring(loop), fds, 1),
			 -EBUSY);
	init(&try);
	start_nop(&try);
	ev_run(loop, 0);
	check_ended(&try, 0);
	close_loop();
}
END_TEST

/*
 * what cannot be cancelled: a zero-copy send that nobody takes
 */

enum { LARGE = 256 << 10 };

static struct {
	struct try try;
	int pair[2];
	char memory[LARGE];
	int nr_sent; /* of it: how much a socket takes at once is its own */
	atomic_bool is_taken;
	int nr_taken, nr_wrong;
	pthread_t taker;
} stuck;

/* With less than 32 KiB the window opens by timers only: half a minute. */
static void start_stuck(void)
{
	open_tcp(stuck.pair, 32768);
	memset(stuck.memory, 'x', LARGE);
	init(&stuck.try);
	io_uring_prep_send_zc(start(&stuck.try), stuck.pair[0], stuck.memory,
			      LARGE, 0, 0);
	await_events(&stuck.try, 1);
	stuck.nr_sent = stuck.try.op.res;
	ck_assert_int_gt(stuck.nr_sent, 0);
	ck_assert(ev_is_active(&stuck.try.op));
}

/* Late enough for the loop to end first if it does not wait. */
static void *take(void *arg)
{
	char bytes[16384];
	ssize_t i, nr;

	(void)arg;
	poll(NULL, 0, 200);
	stuck.is_taken = true;
	while ((nr = read(stuck.pair[1], bytes, sizeof(bytes))) > 0) {
		stuck.nr_taken += (int)nr;
		for (i = 0; i < nr; i++)
			stuck.nr_wrong += bytes[i] != 'x';
	}
	return NULL;
}

static void take_late(void)
{
	stuck.is_taken = false;
	stuck.nr_taken = stuck.nr_wrong = 0;
	ck_assert_int_eq(pthread_create(&stuck.taker, NULL, take, NULL), 0);
}

/* The memory is its owner's again: what is written there now is not sent. */
static void check_waited(void)
{
	memset(stuck.memory, 'y', LARGE);
	ck_assert(stuck.is_taken);
	ck_assert_int_eq(stuck.try.nr, 2);
	ck_assert_int_eq(stuck.try.nr_last, 1);
	close(stuck.pair[0]);
	ck_assert_int_eq(pthread_join(stuck.taker, NULL), 0);
	ck_assert_int_eq(stuck.nr_taken, stuck.nr_sent);
	ck_assert_int_eq(stuck.nr_wrong, 0);
	close(stuck.pair[1]);
}

START_TEST(a_loop_that_ends_sleeps_until_the_kernel_is_done)
{
	struct evring_config config = modes[_i / NR_WAYS];
	struct evring_stats counted;
	int way = _i % NR_WAYS;
	uint64_t enters;

	config.stats = &counted;
	open_loop_with(&config);
	start_stuck();
	enters = counted.enters;
	take_late();
	end_loop(way);
	ck_assert_uint_lt(counted.enters - enters, 100);
	check_waited();
	finish_loop(way);
}
END_TEST

START_TEST(another_thread_waits_until_the_kernel_is_done)
{
	open_loop(_i);
	start_stuck();
	take_late();
	in_thread(destroy_there, NULL);
	check_waited();
}
END_TEST

START_TEST(a_refused_table_of_files_changes_nothing_of_that)
{
	struct rlimit old;

	open_loop(_i);
	start_stuck();
	allow_fds(false, &old);
	ck_assert_int_eq(evring_set_files(loop, 3), -EMFILE);
	allow_fds(true, &old);
	ck_assert_int_eq(evring_set_files(loop, 1 << 20), -EMFILE);
	take_late();
	in_thread(destroy_there, NULL);
	check_waited();
}
END_TEST

/* As libev has it for its own: but what if it is changed all the same? */
START_TEST(a_priority_changed_too_early_holds_from_the_next_start)
{
	struct try try;
	int i;

	open_loop(_i);
	may_invoke = false;
	ev_set_invoke_pending_cb(loop, invoke_if_allowed);
	init(&try);
	start_poll(&try);
	for (i = 0; i < 3; i++) {
		turn();
		put("x");
	}
	turn();
	ev_set_priority(&try.op, EV_MAXPRI);
	evring_op_cancel(loop, &try.op);
	turn();
	may_invoke = true;
	turn();
	check_ended(&try, -ECANCELED);
	ck_assert_int_gt(try.nr, 1);
	ck_assert_int_eq(try.nr_last, 1);
	close_loop();
}
END_TEST

static struct try followers[3];

static void run_until_followers_ended(struct try *try)
{
	(void)try;
	ev_run(loop, 0);
	ck_assert_int_eq(followers[0].nr_last, 1);
	ck_assert_int_eq(followers[1].nr_last, 1);
	ck_assert_int_eq(followers[2].nr_last, 1);
}

/* A callback that waits for the others, as any callback may. */
START_TEST(a_loop_may_run_in_a_last_event_at_detach)
{
	struct try first;
	int i;

	open_loop(_i);
	init(&first);
	first.then = run_until_followers_ended;
	start_nop(&first);
	for (i = 0; i < 3; i++) {
		init(&followers[i]);
		ev_set_priority(&followers[i].op, i - 2);
		start_nop(&followers[i]);
	}
	ck_assert_int_eq(evring_detach(loop), 0);
	check_ended(&first, -ECANCELED);
	close_loop();
}
END_TEST

/*
 * no memory, and a kernel that takes nothing
 *
 * The library of this program calls these.
 */

int __real_io_uring_enter2(unsigned fd, unsigned to_submit, unsigned nr,
			   unsigned flags, void *arg, size_t size);
void *__real_realloc(void *old, size_t size);
int __wrap_io_uring_enter2(unsigned fd, unsigned to_submit, unsigned nr,
			   unsigned flags, void *arg, size_t size);
void *__wrap_realloc(void *old, size_t size);

static struct io_uring *busy; /* takes nothing while its CQ has anything */
static struct io_uring *aged; /* cannot cancel all at once */
static bool is_exhausted;

static void refuse_to_cancel_all(struct io_uring *ring, unsigned to_submit)
{
	unsigned i, tail = ring->sq.sqe_tail;
	struct io_uring_sqe *sqe;

	for (i = tail - to_submit; i != tail; i++) {
		sqe = &ring->sq.sqes[i & ring->sq.ring_mask];
		if (sqe->opcode == IORING_OP_ASYNC_CANCEL &&
		    sqe->cancel_flags & IORING_ASYNC_CANCEL_ANY)
			sqe->cancel_flags = ~0u;
	}
}

int __wrap_io_uring_enter2(unsigned fd, unsigned to_submit, unsigned nr,
			   unsigned flags, void *arg, size_t size)
{
	if (busy && to_submit && io_uring_cq_ready(busy))
		return -EBUSY;
	if (aged)
		refuse_to_cancel_all(aged, to_submit);
	return __real_io_uring_enter2(fd, to_submit, nr, flags, arg, size);
}

void *__wrap_realloc(void *old, size_t size)
{
	return is_exhausted ? NULL : __real_realloc(old, size);
}

static void ignore_io(struct ev_loop *l, ev_io *w, int revents)
{
	(void)l;
	(void)w;
	(void)revents;
}

/* As Linux 5.11 does when the CQ has overflown. */
START_TEST(a_full_queue_of_operations_does_not_keep_answers_away)
{
	enum { MAX = 256 };
	struct io_uring *ring;
	struct try tries[MAX];
	int i, nr = 0;
	ev_io w;

	open_loop(_i);
	ev_io_init(&w, ignore_io, fds[0], EV_READ);
	ev_io_start(loop, &w);
	init(&tries[nr]);
	start_nop(&tries[nr++]);
	ring = evring_ring(loop);
	ck_assert_int_eq(evring_reserve(loop, ring->sq.ring_entries), 0);
	while (io_uring_sq_space_left(ring)) {
		ck_assert_int_lt(nr, MAX);
		init(&tries[nr]);
		start_nop(&tries[nr++]);
	}
	busy = ring;
	await_events(&tries[nr - 1], 1);
	busy = NULL;
	for (i = 0; i < nr; i++)
		check_ended(&tries[i], 0);
	ev_io_stop(loop, &w);
	close_loop();
}
END_TEST

/* As before Linux 5.19. */
START_TEST(operations_end_where_they_cannot_be_cancelled_all_at_once)
{
	struct try reader, poller;
	int way = _i % NR_WAYS;

	open_loop(_i / NR_WAYS);
	init(&reader);
	init(&poller);
	start_read(&reader);
	start_poll(&poller);
	turn();
	aged = evring_ring(loop);
	end_loop(way);
	aged = NULL;
	check_ended(&reader, -ECANCELED);
	check_ended(&poller, -ECANCELED);
	finish_loop(way);
}
END_TEST

START_TEST(what_was_started_ends_without_memory)
{
	enum { MAX = 256 };
	struct try tries[MAX];
	int i, nr = 0;

	open_loop(_i);
	init(&tries[nr]);
	start_nop(&tries[nr++]);
	is_exhausted = true;
	for (;; nr++) {
		ck_assert_int_lt(nr, MAX);
		init(&tries[nr]);
		if (!evring_op_start(loop, &tries[nr].op))
			break;
	}
	ck_assert_int_eq(errno, ENOMEM);
	ev_run(loop, 0);
	is_exhausted = false;
	for (i = 0; i < nr; i++)
		check_ended(&tries[i], 0);
	close_loop();
}
END_TEST

START_TEST(a_loop_ends_without_memory_for_completions)
{
	int i, way = _i % NR_WAYS;
	struct try try;

	open_loop(_i / NR_WAYS);
	ev_set_invoke_pending_cb(loop, invoke_if_allowed);
	may_invoke = false;
	init(&try);
	start_poll(&try);
	turn();
	is_exhausted = true;
	for (i = 0; i < 100; i++) {
		put("x");
		turn();
	}
	may_invoke = true;
	end_loop(way);
	is_exhausted = false;
	check_ended(&try, -ECANCELED);
	ck_assert_int_gt(try.nr, 32);
	finish_loop(way);
}
END_TEST

/*
 * all of them
 */

/* While a thread is in io_uring_enter, valgrind runs no other. */
static const char *no_thread_meanwhile(void)
{
	return under_valgrind() ? "valgrind runs one thread at a time" : NULL;
}

Suite *make_suite(void)
{
	static const struct {
		const TTest **test;
		int nr_rows; /* per mode */
	} tests[] = {
		{ &an_operation_answers_once_and_keeps_the_loop_alive, 1 },
		{ &an_entry_left_as_it_is_does_nothing, 1 },
		{ &data_arrive_and_the_result_is_told, 1 },
		{ &an_error_is_told_as_the_kernel_says_it, 1 },
		{ &an_operation_may_start_again_in_its_last_event, 1 },
		{ &a_multishot_request_has_one_event_for_each_completion, 1 },
		{ &completions_of_one_turn_come_one_by_one_in_order, 1 },
		{ &two_answers_of_a_zero_copy_send_are_two_events, 1 },
		{ &more_operations_than_entries_are_all_done, 1 },
		{ &operations_and_watchers_share_the_loop, 1 },
		{ &an_unrefd_operation_does_not_keep_the_loop_alive, 1 },
		{ &priorities_are_obeyed_among_operations_and_watchers, 1 },
		{ &what_becomes_pending_meanwhile_is_not_kept_waiting, 1 },
		{ &a_nested_run_delivers_what_is_started_there, 1 },
		{ &nothing_is_lost_when_pending_is_invoked_later, 1 },
		{ &an_embedded_loop_is_run_for_its_operations, 1 },
		{ &a_quiet_turn_with_operations_makes_no_system_call, 1 },
		{ &a_turn_of_the_loop_is_one_enter, 1 },
		{ &what_cannot_be_started_is_refused, 1 },
		{ &a_start_without_an_fd_left_is_refused_and_may_be_repeated,
		  1 },
		{ &cancel_ends_what_the_kernel_has, 1 },
		{ &cancel_ends_what_was_not_submitted_yet, 1 },
		{ &cancel_comes_too_late_for_what_has_answered, 1 },
		{ &linked_requests_stay_together, 1 },
		{ &a_failed_link_cancels_what_follows, 1 },
		{ &a_linked_timeout_limits_an_operation, 1 },
		{ &fixed_files_are_usable, 1 },
		{ &fixed_buffers_are_usable, 1 },
		{ &operations_end_before_their_loop_is_let_go, NR_WAYS },
		{ &nobody_writes_to_memory_of_what_has_ended, NR_WAYS },
		{ &results_that_are_there_are_told_when_the_loop_goes,
		  NR_WAYS },
		{ &an_operation_may_be_freed_in_its_last_event, NR_WAYS },
		{ &a_callback_may_detach_its_loop, 1 },
		{ &a_loop_that_is_attached_again_takes_operations, 1 },
		{ &nothing_is_left_of_a_loop_with_operations, 1 },
		{ &a_ring_that_is_lost_ends_its_operations, 1 },
		{ &a_loop_started_here_may_run_there_with_its_operations, 1 },
		{ &a_loop_that_moves_ends_its_operations, 1 },
		{ &another_thread_may_destroy_a_loop_with_operations, 1 },
		{ &what_ended_with_its_ring_is_told_at_once, 2 },
		{ &a_drained_operation_does_not_keep_the_loop_from_ending,
		  NR_WAYS },
		{ &each_ring_has_its_table_of_files, 1 },
		{ &nobody_else_can_take_the_table_of_files, 1 },
		{ &another_thread_waits_until_the_kernel_is_done, 1 },
		{ &a_refused_table_of_files_changes_nothing_of_that, 1 },
		{ &a_priority_changed_too_early_holds_from_the_next_start, 1 },
		{ &a_loop_may_run_in_a_last_event_at_detach, 1 },
		{ &a_full_queue_of_operations_does_not_keep_answers_away, 1 },
		{ &operations_end_where_they_cannot_be_cancelled_all_at_once,
		  NR_WAYS },
		{ &what_was_started_ends_without_memory, 1 },
		{ &a_loop_ends_without_memory_for_completions, NR_WAYS },
	};
	Suite *suite = suite_create("op");
	TCase *tcase = tcase_create("op");
	size_t i;

	tcase_set_timeout(tcase, 30);
	for (i = 0; i < ARRAY_SIZE(tests); i++)
		add_loop_or_leave_out(tcase, *tests[i].test,
				      NR_MODES * tests[i].nr_rows, NULL);
	add_loop_or_leave_out(
		tcase,
		a_child_hears_that_they_are_not_its_own_and_the_parents_go_on,
		NR_MODES * (int)ARRAY_SIZE(in_fork), no_children());
	add_loop_or_leave_out(tcase,
			      a_ring_that_goes_between_turns_is_missed_by_all,
			      NR_MODES * NR_REFUSES, no_children());
	add_loop_or_leave_out(tcase,
			      a_loop_that_ends_sleeps_until_the_kernel_is_done,
			      NR_MODES * NR_WAYS, no_thread_meanwhile());
	suite_add_tcase(suite, tcase);
	return suite;
}
