/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * post.c - messages to a loop, from any thread: none is lost, each sender's
 * come in order, and a loop that sleeps is woken, whatever becomes of its ring
 * meanwhile.
 *
 * A wake that is lost shows as a loop that sleeps until its guard ends it.
 */
#include "config.h"

#include "harness.h"

#include <errno.h>
#include <ev.h>
#include <evring-net.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../lib/uapi.h"
#include "../lib/waker.h"
#include "sandbox.h"
#include "works.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

static const char *const modes[] = {
	NULL,
	"region",
	"epoll-wait",
	"epoll-wait,multishot-poll",
	"defer-taskrun",
	"defer-taskrun,single-issuer,coop-taskrun",
	"single-issuer,coop-taskrun,r-disabled,cqe-skip",
	"sync-msg",
	"msg-ring",
	"msg-ring,epoll-wait",
};

enum { NR_MODES = ARRAY_SIZE(modes) };

/* In these a message to the ring is what wakes it. */
static bool mode_has(int mode, const char *name)
{
	return !modes[mode] || !strstr(modes[mode], name);
}

static bool mode_has_messages(int mode)
{
	return mode_has(mode, "cqe-skip") && mode_has(mode, "msg-ring");
}

enum { GUARD_SECONDS = 10 };

static _Atomic unsigned nr_noted; /* messages, by all loops */

/* A loop with a guard, which does not keep it alive. */
struct place {
	struct ev_loop *loop;
	ev_timer guard;
	unsigned nr_noted; /* when the guard looked */
};

/* A slow machine is no fault. */
static void on_guard(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct place *place = w->data;

	(void)loop;
	(void)revents;
	if (place->nr_noted == nr_noted)
		ck_abort_msg("the loop was not woken");
	place->nr_noted = nr_noted;
}

static void open_place(struct place *place, int mode)
{
	struct evring_config config = { .disable = modes[mode] };

	place->loop = evring_loop_new(EVFLAG_NOENV, &config);
	ck_assert_msg(place->loop != NULL, "less %s: %d", config.disable,
		      errno);
	place->guard.data = place;
	place->nr_noted = nr_noted;
	ev_timer_init(&place->guard, on_guard, GUARD_SECONDS, GUARD_SECONDS);
	ev_timer_start(place->loop, &place->guard);
	ev_unref(place->loop);
}

static void close_place(struct place *place)
{
	ev_ref(place->loop);
	ev_timer_stop(place->loop, &place->guard);
	ev_loop_destroy(place->loop);
}

static void turn(struct place *place)
{
	ev_run(place->loop, EVRUN_NOWAIT);
}

static struct evring_stats stats(struct place *place)
{
	struct evring_stats s;

	ck_assert_int_eq(evring_stats(place->loop, &s), 0);
	return s;
}

/*
 * A port and what it got: of each sender the numbers from 0 on.
 */
enum { MAX_SENDERS = 4 };

struct box {
	struct evring_port port;
	unsigned nr, until; /* ev_break() with that many; 0: never */
	unsigned next[MAX_SENDERS];
	unsigned nr_ends;
	bool in_disorder;
	void (*each)(struct ev_loop *loop, struct box *box,
		     struct evring_message *message);
};

static uint64_t stamp(unsigned sender, unsigned number)
{
	return (uint64_t)sender << 32 | number;
}

static void note(struct box *box, const struct evring_message *message)
{
	unsigned sender = (unsigned)(message->value >> 32);

	if (box->next[sender] != (uint32_t)message->value)
		box->in_disorder = true;
	box->next[sender] = (uint32_t)message->value + 1;
	box->nr++;
	nr_noted++;
}

static void on_message(struct ev_loop *loop, struct evring_port *port,
		       struct evring_message *message)
{
	struct box *box = port->op.data;

	if (!message) {
		box->nr_ends++;
		return;
	}
	note(box, message);
	if (box->nr == box->until)
		ev_break(loop, EVBREAK_ALL);
	if (box->each)
		box->each(loop, box, message);
}

static void init_box(struct box *box)
{
	memset(box, 0, sizeof(*box));
	evring_port_init(&box->port, on_message);
	box->port.op.data = box;
}

static void open_box(struct box *box, struct place *place)
{
	init_box(box);
	ck_assert_int_eq(evring_port_start(place->loop, &box->port), 0);
}

/* Messages of sender 0 with the numbers from first on. */
static void post_some(struct ev_loop *from, struct box *box,
		      struct evring_message *messages, unsigned first,
		      unsigned nr)
{
	unsigned i;

	for (i = first; i < first + nr; i++) {
		messages[i].value = stamp(0, i);
		ck_assert_int_eq(evring_post(from, &box->port, &messages[i]),
				 0);
	}
}

#define check_box(box, nr_)                                                    \
	do {                                                                   \
		ck_assert_uint_eq((box)->nr, nr_);                             \
		ck_assert(!(box)->in_disorder);                                \
	} while (0)

/*
 * one loop
 */

START_TEST(messages_come_each_and_in_order)
{
	struct evring_message messages[100];
	struct place place;
	struct box box;

	open_place(&place, _i);
	open_box(&box, &place);
	turn(&place);
	check_box(&box, 0);
	post_some(NULL, &box, messages, 0, 60);
	post_some(place.loop, &box, messages, 60, 40);
	turn(&place);
	check_box(&box, 100);
	turn(&place);
	check_box(&box, 100);
	close_place(&place);
	ck_assert_uint_eq(box.nr_ends, 1);
}
END_TEST

START_TEST(loop_does_not_sleep_on_messages)
{
	struct evring_message messages[4];
	struct place place;
	struct box box;

	open_place(&place, _i);
	init_box(&box);
	post_some(NULL, &box, messages, 0, 1); /* before the start */
	ck_assert_int_eq(evring_port_start(place.loop, &box.port), 0);
	ev_run(place.loop, EVRUN_ONCE);
	check_box(&box, 1);
	post_some(NULL, &box, messages, 1, 1);
	ev_run(place.loop, EVRUN_ONCE);
	check_box(&box, 2);
	post_some(place.loop, &box, messages, 2, 1);
	ev_run(place.loop, EVRUN_ONCE);
	check_box(&box, 3);
	evring_port_stop(place.loop, &box.port);
	close_place(&place);
	ck_assert_uint_eq(box.nr_ends, 0);
}
END_TEST

static void repost(struct ev_loop *loop, struct box *box,
		   struct evring_message *message)
{
	message->value = stamp(0, box->nr);
	evring_post(box->nr % 2 ? loop : NULL, &box->port, message);
}

static void count_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)loop;
	(void)revents;
	(*(int *)w->data)++;
}

/* A message that is posted again from its callback, for ever. */
START_TEST(flood_does_not_stop_the_loop)
{
	struct evring_message message = { 0 };
	struct place place;
	struct box box;
	int i, nr_fired = 0;
	ev_timer timer;

	open_place(&place, _i);
	open_box(&box, &place);
	box.each = repost;
	ev_timer_init(&timer, count_timer, 0., 0.001);
	timer.data = &nr_fired;
	ev_timer_start(place.loop, &timer);
	post_some(NULL, &box, &message, 0, 1);
	turn(&place);
	check_box(&box, 1); /* the next is of the next turn */
	for (i = 0; i < 1000000 && nr_fired < 3; i++)
		ev_run(place.loop, EVRUN_ONCE);
	ck_assert_int_eq(nr_fired, 3);
	ck_assert(!box.in_disorder);
	ev_timer_stop(place.loop, &timer);
	close_place(&place);
	ck_assert_ptr_eq(evring_port_take(&box.port), &message);
}
END_TEST

static void stop_box(struct ev_loop *loop, struct box *box,
		     struct evring_message *message)
{
	(void)message;
	evring_port_stop(loop, &box->port);
}

START_TEST(stopped_port_keeps_messages)
{
	struct evring_message messages[10], *message;
	struct place place, other;
	struct box box;
	unsigned i;

	open_place(&place, _i);
	open_place(&other, _i);
	open_box(&box, &place);
	box.each = stop_box;
	post_some(NULL, &box, messages, 0, 5);
	for (i = 0; i < 3; i++)
		turn(&place);
	check_box(&box, 1);
	ck_assert(!ev_is_active(&box.port.op) && !ev_is_pending(&box.port.op));
	post_some(NULL, &box, messages, 5, 5);
	ck_assert_int_eq(evring_port_start(other.loop, &box.port), 0);
	ev_run(other.loop, EVRUN_ONCE);
	check_box(&box, 2);
	evring_port_stop(other.loop, &box.port); /* a second time */
	for (i = 2; (message = evring_port_take(&box.port)); i++)
		ck_assert_ptr_eq(message, &messages[i]);
	ck_assert_uint_eq(i, 10);
	close_place(&place);
	close_place(&other);
	ck_assert_uint_eq(box.nr_ends, 0);
}
END_TEST

enum { NR_BOXES = 3 };

START_TEST(ports_of_a_loop_are_stopped_in_any_order)
{
	struct evring_message messages[NR_BOXES][2];
	struct box boxes[NR_BOXES];
	struct place place;
	int i, gone = _i / NR_MODES;

	open_place(&place, _i % NR_MODES);
	for (i = 0; i < NR_BOXES; i++)
		open_box(&boxes[i], &place);
	evring_port_stop(place.loop, &boxes[gone].port);
	for (i = 0; i < NR_BOXES; i++)
		post_some(NULL, &boxes[i], messages[i], 0, 1);
	turn(&place);
	for (i = 0; i < NR_BOXES; i++)
		check_box(&boxes[i], i != gone);
	ck_assert_int_eq(evring_port_start(place.loop, &boxes[gone].port), 0);
	for (i = 0; i < NR_BOXES; i++)
		post_some(NULL, &boxes[i], messages[i], 1, 1);
	turn(&place);
	for (i = 0; i < NR_BOXES; i++)
		check_box(&boxes[i], 2);
	close_place(&place);
	for (i = 0; i < NR_BOXES; i++)
		ck_assert_uint_eq(boxes[i].nr_ends, 1);
}
END_TEST

static void take_rest(struct ev_loop *loop, struct box *box,
		      struct evring_message *message)
{
	(void)loop;
	while ((message = evring_port_take(&box->port)))
		note(box, message);
}

START_TEST(callback_may_take_the_rest)
{
	struct evring_message messages[10];
	struct place place;
	struct box box;

	open_place(&place, _i);
	open_box(&box, &place);
	box.each = take_rest;
	post_some(NULL, &box, messages, 0, 10);
	turn(&place);
	check_box(&box, 10);
	post_some(NULL, &box, messages, 0, 0);
	memset(box.next, 0, sizeof(box.next));
	post_some(NULL, &box, messages, 0, 10); /* they may be used again */
	ev_run(place.loop, EVRUN_ONCE);
	check_box(&box, 20);
	close_place(&place);
}
END_TEST

static struct box *boxes_in_order[3];
static int nr_in_order;

static void note_order(struct ev_loop *loop, struct box *box,
		       struct evring_message *message)
{
	(void)loop;
	(void)message;
	boxes_in_order[nr_in_order++] = box;
}

START_TEST(priorities_are_obeyed)
{
	struct evring_message messages[3];
	struct place place;
	struct box boxes[3];
	int i;

	open_place(&place, _i);
	nr_in_order = 0;
	for (i = 0; i < 3; i++) {
		init_box(&boxes[i]);
		boxes[i].each = note_order;
		ev_set_priority(&boxes[i].port.op, i == 1 ? 100 : i - 1);
		ck_assert_int_eq(evring_port_start(place.loop, &boxes[i].port),
				 0);
		messages[i].value = 0;
		evring_post(NULL, &boxes[i].port, &messages[i]);
	}
	turn(&place);
	ck_assert_int_eq(nr_in_order, 3);
	ck_assert_ptr_eq(boxes_in_order[0], &boxes[1]);
	ck_assert_ptr_eq(boxes_in_order[1], &boxes[2]);
	ck_assert_ptr_eq(boxes_in_order[2], &boxes[0]);
	close_place(&place);
}
END_TEST

static struct evring_message *other_message;

static void stop_other(struct ev_loop *loop, struct box *box,
		       struct evring_message *message)
{
	(void)message;
	evring_port_stop(loop, &box[message == other_message ? -1 : 1].port);
}

/* Whichever of the two comes first. */
START_TEST(port_stopped_by_another_has_no_event)
{
	struct evring_message messages[2] = { { .value = 0 } };
	struct place place;
	struct box boxes[2];
	int i;

	open_place(&place, _i);
	other_message = &messages[1];
	for (i = 0; i < 2; i++) {
		open_box(&boxes[i], &place);
		boxes[i].each = stop_other;
	}
	for (i = 0; i < 2; i++)
		evring_post(NULL, &boxes[i].port, &messages[i]);
	turn(&place);
	turn(&place);
	ck_assert_uint_eq(boxes[0].nr + boxes[1].nr, 1);
	close_place(&place);
}
END_TEST

START_TEST(port_keeps_the_loop_alive)
{
	struct evring_message message = { 0 };
	struct place place;
	struct box box;

	open_place(&place, _i);
	open_box(&box, &place);
	box.each = stop_box;
	ev_unref(place.loop);
	ev_run(place.loop, 0); /* nothing to wait for */
	ev_ref(place.loop);
	post_some(NULL, &box, &message, 0, 1);
	ev_run(place.loop, 0); /* until it is stopped */
	check_box(&box, 1);
	close_place(&place);
}
END_TEST

static void run_inside(struct ev_loop *loop, struct box *box,
		       struct evring_message *message)
{
	(void)message;
	if (box->nr == 1)
		ev_run(loop, EVRUN_NOWAIT);
}

START_TEST(nested_loop_goes_on)
{
	struct evring_message messages[6];
	struct place place;
	struct box box;

	open_place(&place, _i);
	open_box(&box, &place);
	box.each = run_inside;
	post_some(NULL, &box, messages, 0, 6);
	turn(&place);
	check_box(&box, 6);
	close_place(&place);
}
END_TEST

START_TEST(collecting_loop_gets_messages)
{
	struct evring_message messages[3];
	struct place place;
	struct box box;
	int r;

	open_place(&place, _i);
	open_box(&box, &place);
	r = evring_set_collect(place.loop, 0.02, 0);
	ck_assert(!r || r == -ENOTSUP);
	post_some(NULL, &box, messages, 0, 1);
	ev_run(place.loop, EVRUN_ONCE);
	check_box(&box, 1);
	post_some(NULL, &box, messages, 1, 2);
	ev_run(place.loop, EVRUN_ONCE);
	check_box(&box, 3);
	close_place(&place);
}
END_TEST

/*
 * costs
 */

/* Messages are not completions: the wake is, and one is enough. */
START_TEST(many_messages_wake_once)
{
	struct evring_message messages[200];
	struct evring_stats before;
	struct place place;
	struct box box;

	open_place(&place, _i);
	open_box(&box, &place);
	turn(&place);
	before = stats(&place);
	post_some(NULL, &box, messages, 0, 200);
	turn(&place); /* looks without being told, the wake is still there */
	check_box(&box, 200);
	turn(&place);
	ck_assert_uint_le(stats(&place).completions - before.completions, 1);
	close_place(&place);
}
END_TEST

static void post_next(struct ev_loop *loop, struct box *box,
		      struct evring_message *message)
{
	(void)loop;
	if (box->nr < 100)
		post_some(NULL, box, message - message->value, box->nr, 1);
}

START_TEST(awake_loop_is_not_woken)
{
	struct evring_message messages[101];
	struct evring_stats before;
	struct place place;
	struct box box;

	open_place(&place, _i);
	open_box(&box, &place);
	turn(&place);
	before = stats(&place);
	box.each = post_next;
	box.until = 100;
	post_some(NULL, &box, messages, 0, 1);
	ev_run(place.loop, 0);
	check_box(&box, 100);
	ck_assert_uint_le(stats(&place).completions - before.completions, 1);
	close_place(&place);
}
END_TEST

START_TEST(wake_from_a_loop_travels_with_its_turn)
{
	struct evring_message messages[20];
	struct evring_stats before;
	struct place place, from;
	struct box box;

	open_place(&place, _i);
	open_place(&from, _i);
	open_box(&box, &place);
	turn(&place);
	turn(&from);
	before = stats(&from);
	post_some(from.loop, &box, messages, 0, 20);
	turn(&from);
	if (mode_has_messages(_i)) {
		ck_assert_uint_eq(stats(&from).requests - before.requests, 1);
		ck_assert_uint_eq(stats(&from).enters - before.enters, 1);
	}
	ck_assert_uint_eq(stats(&from).completions - before.completions, 0);
	ev_run(place.loop, EVRUN_ONCE);
	check_box(&box, 20);
	close_place(&from);
	close_place(&place);
}
END_TEST

static struct {
	struct box *box;
	struct evring_message message;
} late;

static void post_late(struct ev_loop *loop)
{
	if (late.box)
		post_some(loop, late.box, &late.message, 0, 1);
	late.box = NULL;
}

/* Its wake waits behind that of the message before, which is being sent. */
START_TEST(message_posted_when_a_turn_that_wakes_lets_go)
{
	struct evring_stats before, before_second;
	struct place first, second, from;
	struct evring_message message;
	struct box box, second_box;

	open_place(&first, _i);
	open_place(&second, _i);
	open_place(&from, _i);
	open_box(&box, &first);
	open_box(&second_box, &second);
	turn(&first);
	turn(&second);
	turn(&from);
	before = stats(&first);
	before_second = stats(&second);
	ev_set_loop_release_cb(from.loop, post_late, post_late);
	late.box = &second_box;
	post_some(from.loop, &box, &message, 0, 1);
	turn(&from);
	ck_assert_ptr_null(late.box);
	turn(&from);
	ev_run(first.loop, EVRUN_ONCE);
	check_box(&box, 1);
	ev_run(second.loop, EVRUN_ONCE);
	check_box(&second_box, 1);
	turn(&first);
	turn(&second);
	ck_assert_uint_eq(stats(&first).completions - before.completions, 1);
	ck_assert_uint_eq(
		stats(&second).completions - before_second.completions, 1);
	close_place(&from);
	close_place(&second);
	close_place(&first);
}
END_TEST

START_TEST(loop_without_ports_takes_nothing)
{
	struct place place;
	struct box box;
	int nr_fds;

	open_place(&place, _i);
	turn(&place);
	nr_fds = count_fds();
	open_box(&box, &place);
	ck_assert_int_eq(count_fds(), nr_fds + 1);
	evring_port_stop(place.loop, &box.port);
	open_box(&box, &place);
	ck_assert_int_eq(count_fds(), nr_fds + 1);
	close_place(&place);
	ck_assert_int_eq(count_fds(), nr_fds - 2); /* libev's and the ring */
}
END_TEST

/*
 * threads
 */

enum { NR_POSTS = 20000 };

struct sender {
	pthread_t thread;
	struct box *box;
	unsigned number, nr;
	struct evring_message *messages;
};

/* Now and then so slowly that the loop goes to sleep. */
static void *send_all(void *arg)
{
	struct sender *sender = arg;
	unsigned i;

	for (i = 0; i < sender->nr; i++) {
		sender->messages[i].value = stamp(sender->number, i);
		evring_post(NULL, &sender->box->port, &sender->messages[i]);
		if (i % 64 < 8)
			sched_yield();
	}
	return NULL;
}

static void start_sender(struct sender *sender, struct box *box,
			 unsigned number, unsigned nr)
{
	sender->box = box;
	sender->number = number;
	sender->nr = nr;
	sender->messages = calloc(nr, sizeof(sender->messages[0]));
	ck_assert_ptr_nonnull(sender->messages);
	ck_assert_int_eq(
		pthread_create(&sender->thread, NULL, send_all, sender), 0);
}

static void join_sender(struct sender *sender)
{
	ck_assert_int_eq(pthread_join(sender->thread, NULL), 0);
	free(sender->messages);
}

START_TEST(threads_post_at_once)
{
	struct sender senders[MAX_SENDERS];
	struct place place;
	struct box box;
	unsigned i;

	open_place(&place, _i);
	open_box(&box, &place);
	box.until = MAX_SENDERS * NR_POSTS;
	for (i = 0; i < MAX_SENDERS; i++)
		start_sender(&senders[i], &box, i, NR_POSTS);
	ev_run(place.loop, 0);
	check_box(&box, MAX_SENDERS * NR_POSTS);
	for (i = 0; i < MAX_SENDERS; i++)
		join_sender(&senders[i]);
	close_place(&place);
}
END_TEST

enum { NR_ROUNDS = 2000 };

struct partner {
	struct box *box;
	unsigned nr;
	struct evring_message message;
	sem_t heard;
};

static void tell_partner(struct ev_loop *loop, struct box *box,
			 struct evring_message *message)
{
	struct partner *partner = message->data;

	(void)loop;
	(void)box;
	sem_post(&partner->heard);
}

static void *post_when_heard(void *arg)
{
	struct partner *partner = arg;
	unsigned i;

	for (i = 0; i < partner->nr; i++) {
		partner->message.value = stamp(0, i);
		evring_post(NULL, &partner->box->port, &partner->message);
		while (sem_wait(&partner->heard))
			;
	}
	return NULL;
}

static void open_partner(struct partner *partner, struct box *box,
			 struct place *place)
{
	open_box(box, place);
	box->each = tell_partner;
	box->until = partner->nr;
	partner->box = box;
	partner->message.data = partner;
	sem_init(&partner->heard, 0, 0);
}

/* One message at a time: each finds the loop asleep, or on its way there. */
START_TEST(every_message_wakes_a_sleeping_loop)
{
	struct partner partner = { .nr = NR_ROUNDS };
	struct place place;
	struct box box;
	pthread_t thread;

	open_place(&place, _i);
	open_partner(&partner, &box, &place);
	pthread_create(&thread, NULL, post_when_heard, &partner);
	ev_run(place.loop, 0);
	pthread_join(thread, NULL);
	check_box(&box, NR_ROUNDS);
	sem_destroy(&partner.heard);
	close_place(&place);
}
END_TEST

/*
 * Two loops, each in its thread, that throw one message to and fro.  The last
 * wake is sent by the end of a loop: there is no next turn.
 */
struct player {
	struct box box; /* first */
	struct player *other;
	struct place place;
	int mode;
	bool counts;
};

static void throw_back(struct ev_loop *loop, struct box *box,
		       struct evring_message *message)
{
	struct player *player = (struct player *)box;

	if (player->counts && box->nr == NR_ROUNDS)
		return;
	message->value += player->counts;
	evring_post(loop, &player->other->box.port, message);
}

static void open_player(struct player *player, struct player *other, int mode)
{
	player->mode = mode;
	player->other = other;
	open_place(&player->place, mode);
	open_box(&player->box, &player->place);
	player->box.each = throw_back;
	player->box.until = NR_ROUNDS;
}

static void *play(void *arg)
{
	struct player *player = arg;

	ev_run(player->place.loop, 0);
	close_place(&player->place);
	return NULL;
}

START_TEST(loops_wake_each_other)
{
	struct evring_message message = { 0 };
	struct player players[2];
	pthread_t thread;

	open_player(&players[0], &players[1], _i);
	open_player(&players[1], &players[0], _i);
	players[0].counts = true;
	players[1].counts = false;
	post_some(NULL, &players[1].box, &message, 0, 1);
	pthread_create(&thread, NULL, play, &players[1]);
	play(&players[0]);
	pthread_join(thread, NULL);
	check_box(&players[0].box, NR_ROUNDS);
	check_box(&players[1].box, NR_ROUNDS);
}
END_TEST

enum { NR_MANY = 20 }; /* more than a loop has wakes in hand */

static void *run_place(void *place)
{
	ev_run(((struct place *)place)->loop, 0);
	return NULL;
}

START_TEST(many_loops_are_woken_in_one_turn)
{
	struct evring_message messages[NR_MANY];
	struct place places[NR_MANY], from;
	struct box boxes[NR_MANY];
	pthread_t threads[NR_MANY];
	int i, k;

	open_place(&from, _i);
	for (i = 0; i < NR_MANY; i++) {
		open_place(&places[i], _i);
		open_box(&boxes[i], &places[i]);
		boxes[i].until = 1;
	}
	for (k = 0; k < 3; k++) {
		for (i = 0; i < NR_MANY; i++)
			pthread_create(&threads[i], NULL, run_place,
				       &places[i]);
		for (i = 0; i < NR_MANY; i++)
			post_some(from.loop, &boxes[i], &messages[i], 0, 1);
		turn(&from);
		for (i = 0; i < NR_MANY; i++) {
			pthread_join(threads[i], NULL);
			check_box(&boxes[i], 1);
			boxes[i].nr = boxes[i].next[0] = 0;
		}
	}
	for (i = 0; i < NR_MANY; i++)
		close_place(&places[i]);
	close_place(&from);
}
END_TEST

/* It may sleep by then, or be about to. */
START_TEST(detached_sender_wakes_first)
{
	struct evring_message message = { 0 };
	struct place place, from;
	struct box box;
	pthread_t thread;

	open_place(&place, _i);
	open_place(&from, _i);
	open_box(&box, &place);
	box.until = 1;
	turn(&from);
	pthread_create(&thread, NULL, run_place, &place);
	usleep(2000);
	post_some(from.loop, &box, &message, 0, 1);
	ck_assert_int_eq(evring_detach(from.loop), 0);
	pthread_join(thread, NULL);
	check_box(&box, 1);
	close_place(&from);
	close_place(&place);
}
END_TEST

struct visit {
	struct place place;
	struct box box;
};

static void *run_for_a_while(void *arg)
{
	struct visit *visit = arg;
	int i;

	for (i = 0; i < 20; i++)
		turn(&visit->place);
	if (visit->box.nr < NR_POSTS)
		ev_run(visit->place.loop, EVRUN_ONCE);
	return NULL;
}

/* Each thread that has the loop gets a new ring, while others post. */
START_TEST(port_moves_between_threads)
{
	struct sender sender;
	struct visit visit;
	pthread_t thread;
	int nr_moves;

	open_place(&visit.place, _i);
	open_box(&visit.box, &visit.place);
	turn(&visit.place);
	start_sender(&sender, &visit.box, 0, NR_POSTS);
	for (nr_moves = 0; visit.box.nr < NR_POSTS; nr_moves++) {
		pthread_create(&thread, NULL, run_for_a_while, &visit);
		pthread_join(thread, NULL);
		run_for_a_while(&visit);
	}
	ck_assert_int_ge(nr_moves, 1);
	check_box(&visit.box, NR_POSTS);
	ck_assert_uint_eq(stats(&visit.place).rings_lost, 0);
	join_sender(&sender);
	close_place(&visit.place);
	ck_assert_uint_eq(visit.box.nr_ends, 1);
}
END_TEST

/*
 * loops that end
 */

START_TEST(end_of_the_loop_is_told_once)
{
	struct evring_message messages[6];
	struct place place;
	struct box boxes[3];
	int i;

	open_place(&place, _i);
	for (i = 0; i < 3; i++)
		open_box(&boxes[i], &place);
	turn(&place);
	post_some(NULL, &boxes[0], messages, 0, 2);
	ck_assert_int_eq(evring_detach(place.loop), 0);
	for (i = 0; i < 3; i++) {
		ck_assert_uint_eq(boxes[i].nr_ends, 1);
		ck_assert(!ev_is_active(&boxes[i].port.op));
	}
	ev_run(place.loop, 0); /* nothing keeps it alive */
	post_some(NULL, &boxes[0], messages, 2, 2);
	ck_assert_int_eq(evring_port_start(place.loop, &boxes[0].port), -ENXIO);
	ck_assert_int_eq(evring_attach(place.loop, NULL), 0);
	ck_assert_int_eq(evring_port_start(place.loop, &boxes[0].port), 0);
	post_some(NULL, &boxes[0], messages, 4, 2);
	ev_run(place.loop, EVRUN_ONCE);
	check_box(&boxes[0], 6);
	close_place(&place);
	ck_assert_uint_eq(boxes[0].nr_ends, 2);
	ck_assert_uint_eq(boxes[1].nr_ends, 1);
}
END_TEST

static void free_port(struct ev_loop *loop, struct evring_port *port,
		      struct evring_message *message)
{
	(void)loop;
	free(message ? (void *)message : (void *)port);
}

START_TEST(told_port_may_be_freed)
{
	struct evring_port *ports[3];
	struct place place;
	int i;

	open_place(&place, _i);
	for (i = 0; i < 3; i++) {
		ports[i] = malloc(sizeof(*ports[i]));
		evring_port_init(ports[i], free_port);
		ck_assert_int_eq(evring_port_start(place.loop, ports[i]), 0);
		evring_post(NULL, ports[i], malloc(64));
		evring_post(NULL, ports[i], malloc(64));
	}
	turn(&place);
	close_place(&place);
}
END_TEST

static void detach_here(struct ev_loop *loop, struct box *box,
			struct evring_message *message)
{
	(void)message;
	if (box->nr == 1)
		evring_detach(loop);
}

START_TEST(callback_may_detach)
{
	struct evring_message messages[4];
	struct place place;
	struct box boxes[2];

	open_place(&place, _i);
	open_box(&boxes[0], &place);
	open_box(&boxes[1], &place);
	boxes[0].each = detach_here;
	boxes[1].each = detach_here;
	post_some(NULL, &boxes[0], messages, 0, 2);
	post_some(NULL, &boxes[1], messages + 2, 0, 2);
	turn(&place);
	ck_assert_uint_eq(boxes[0].nr + boxes[1].nr, 1);
	ck_assert_uint_eq(boxes[0].nr_ends, 1);
	ck_assert_uint_eq(boxes[1].nr_ends, 1);
	close_place(&place);
}
END_TEST

/* Loops come and go under a port that is posted to. */
START_TEST(senders_outlive_loops)
{
	struct sender senders[2];
	struct evring_message *message;
	struct place place;
	struct box box;
	unsigned i;

	init_box(&box);
	for (i = 0; i < 2; i++)
		start_sender(&senders[i], &box, i, NR_POSTS);
	for (i = 0; i < 30 || box.nr < NR_POSTS; i++) {
		open_place(&place, _i);
		ck_assert_int_eq(evring_port_start(place.loop, &box.port), 0);
		turn(&place);
		turn(&place);
		close_place(&place);
	}
	for (i = 0; i < 2; i++)
		pthread_join(senders[i].thread, NULL);
	while ((message = evring_port_take(&box.port)))
		note(&box, message);
	check_box(&box, 2 * NR_POSTS);
	for (i = 0; i < 2; i++)
		free(senders[i].messages);
}
END_TEST

/*
 * numbers of files
 */

/* A ring of somebody who knows nothing of us. */
static void open_foreign(struct io_uring *ring)
{
	ck_assert_int_eq(io_uring_queue_init(4, ring, 0), 0);
}

static void close_foreign(struct io_uring *ring)
{
	ck_assert_uint_eq(io_uring_cq_ready(ring), 0);
	io_uring_queue_exit(ring);
}

/*
 * The wake is a request to a number, and by the time it is sent, the ring is
 * gone and others are open.
 */
START_TEST(late_wake_reaches_no_foreign_ring)
{
	struct evring_message messages[2];
	struct io_uring foreign[8];
	struct place place, from;
	struct box box;
	int i, nr_fds = count_fds();

	open_place(&from, _i);
	turn(&from);
	open_place(&place, _i);
	open_box(&box, &place);
	turn(&place);
	post_some(from.loop, &box, messages, 0, 1);
	ck_assert_int_eq(evring_detach(place.loop), 0);
	for (i = 0; i < 8; i++)
		open_foreign(&foreign[i]);
	turn(&from);
	turn(&from);
	for (i = 0; i < 8; i++)
		close_foreign(&foreign[i]);
	post_some(from.loop, &box, messages, 1, 1);
	turn(&from);
	close_place(&place);
	close_place(&from);
	ck_assert_int_eq(count_fds(), nr_fds);
	ck_assert_ptr_eq(evring_port_take(&box.port), &messages[0]);
	ck_assert_ptr_eq(evring_port_take(&box.port), &messages[1]);
}
END_TEST

/* The same for a thread that is about to send. */
START_TEST(number_is_kept_for_who_holds_the_waker)
{
	struct io_uring foreign;
	struct place place;
	struct box box;
	struct evr_waker *waker;
	int number, nr_fds = count_fds();

	open_place(&place, _i);
	open_box(&box, &place);
	turn(&place);
	waker = box.port.waker;
	ck_assert(evr_waker_get(waker));
	number = evr_waker_ring_fd(waker);
	close_place(&place);
	ck_assert_ptr_null(box.port.waker);
	open_foreign(&foreign);
	ck_assert_int_ne(foreign.ring_fd, number);
	evr_waker_wake(waker);
	close_foreign(&foreign);
	ck_assert_int_eq(count_fds(), nr_fds + 2);
	evr_waker_put(waker);
	ck_assert_int_eq(count_fds(), nr_fds);
	ck_assert(!evr_waker_get(waker));
}
END_TEST

/* A sender that comes late finds another loop of ours, or none. */
START_TEST(waker_is_used_again)
{
	struct evr_waker *first, *second;
	struct place place;
	struct box box;

	open_place(&place, _i);
	open_box(&box, &place);
	first = box.port.waker;
	close_place(&place);
	open_place(&place, _i);
	open_box(&box, &place);
	second = box.port.waker;
	ck_assert_ptr_eq(first, second);
	turn(&place);
	ck_assert(evr_waker_get(first));
	evr_waker_wake(first);
	evr_waker_put(first);
	ev_run(place.loop, EVRUN_ONCE);
	ev_run(place.loop, EVRUN_NOWAIT);
	check_box(&box, 0);
	close_place(&place);
}
END_TEST

/* What a request that failed leaves to do. */
START_TEST(refused_message_wakes_otherwise)
{
	struct evr_waker *waker;
	struct place place;
	struct box box;

	open_place(&place, _i);
	open_box(&box, &place);
	turn(&place);
	waker = box.port.waker;
	ck_assert_ptr_eq(evr_waker_at(evr_waker_idx(waker)), waker);
	evr_waker_wake_by_event(waker);
	ev_run(place.loop, EVRUN_ONCE);
	evr_waker_wake_by_event(waker); /* it listens again */
	ev_run(place.loop, EVRUN_ONCE);
	check_box(&box, 0);
	close_place(&place);
	ck_assert_ptr_null(evr_waker_at(1000000));
}
END_TEST

/*
 * fork
 */

struct family {
	struct place place;
	struct box box;
	struct evring_message messages[8];
};

static int run_inherited(void *arg)
{
	struct family *family = arg;

	evring_post(NULL, &family->box.port, &family->messages[2]);
	ev_loop_fork(family->place.loop);
	ev_run(family->place.loop, EVRUN_ONCE);
	child_assert(family->box.nr == 3 && !family->box.in_disorder);
	evring_post(NULL, &family->box.port, &family->messages[3]);
	ev_run(family->place.loop, EVRUN_ONCE);
	child_assert(family->box.nr == 4 && !family->box.in_disorder);
	ev_loop_destroy(family->place.loop);
	child_assert(family->box.nr_ends == 1);
	return 0;
}

static int leave_inherited(void *arg)
{
	struct family *family = arg;

	evring_post(NULL, &family->box.port, &family->messages[2]);
	evring_post(family->place.loop, &family->box.port,
		    &family->messages[3]);
	return 0;
}

START_TEST(child_does_not_wake_its_parent)
{
	struct evring_stats before;
	struct family family;

	open_place(&family.place, _i);
	open_box(&family.box, &family.place);
	turn(&family.place);
	before = stats(&family.place);
	ck_assert_int_eq(run_in_child(leave_inherited, &family), 0);
	turn(&family.place);
	check_box(&family.box, 0);
	ck_assert_uint_eq(stats(&family.place).completions, before.completions);
	close_place(&family.place);
}
END_TEST

static int destroy_inherited(void *arg)
{
	struct family *family = arg;

	ev_loop_destroy(family->place.loop);
	child_assert(family->box.nr_ends == 1);
	child_assert(evring_port_take(&family->box.port) ==
		     &family->messages[0]);
	return 0;
}

static int (*const children[])(void *arg) = { run_inherited, leave_inherited,
					      destroy_inherited };

/* Rows: of each mode, with each child. */
START_TEST(both_sides_of_a_fork_have_what_was_posted)
{
	struct family family;
	int i;

	open_place(&family.place, _i % NR_MODES);
	open_box(&family.box, &family.place);
	turn(&family.place);
	for (i = 0; i < 8; i++)
		family.messages[i].value = stamp(0, (unsigned)i);
	post_some(NULL, &family.box, family.messages, 0, 2);
	ck_assert_int_eq(run_in_child(children[_i / NR_MODES], &family), 0);
	ev_run(family.place.loop, EVRUN_ONCE);
	check_box(&family.box, 2);
	turn(&family.place);
	check_box(&family.box, 2);
	post_some(NULL, &family.box, family.messages, 2, 2);
	ev_run(family.place.loop, EVRUN_ONCE);
	check_box(&family.box, 4);
	close_place(&family.place);
}
END_TEST

struct inherited_wake {
	struct place place, from;
	struct box box;
	struct evring_message message;
};

/* The wake that was to be sent is the parent's. */
static int go_on_as_sender(void *arg)
{
	struct inherited_wake *wake = arg;

	ev_loop_fork(wake->from.loop);
	turn(&wake->from);
	turn(&wake->from);
	ev_loop_fork(wake->place.loop);
	ev_run(wake->place.loop, EVRUN_ONCE);
	child_assert(wake->box.nr == 1);
	turn(&wake->place);
	wake->message.value = stamp(0, 1);
	evring_post(wake->from.loop, &wake->box.port, &wake->message);
	turn(&wake->from);
	ev_run(wake->place.loop, EVRUN_ONCE);
	child_assert(wake->box.nr == 2 && !wake->box.in_disorder);
	ev_loop_destroy(wake->from.loop);
	ev_loop_destroy(wake->place.loop);
	return 0;
}

/* A sender whose ring is the parent's still has no turn to send with. */
static int send_before_the_first_turn(void *arg)
{
	struct inherited_wake *wake = arg;
	struct evr_waker *waker;

	ev_loop_fork(wake->place.loop);
	ev_run(wake->place.loop, EVRUN_ONCE);
	child_assert(wake->box.nr == 1);
	turn(&wake->place); /* it would sleep */
	waker = wake->box.port.waker;
	wake->message.value = stamp(0, 1);
	evring_post(wake->from.loop, &wake->box.port, &wake->message);
	ev_loop_fork(wake->from.loop);
	turn(&wake->from);
	turn(&wake->from);
	ev_run(wake->place.loop, EVRUN_ONCE);
	child_assert(wake->box.nr == 2 && !wake->box.in_disorder);
	ev_loop_destroy(wake->place.loop);
	child_assert(!evr_waker_get(waker)); /* nobody holds it */
	ev_loop_destroy(wake->from.loop);
	return 0;
}

START_TEST(wake_that_was_to_be_sent_is_the_parents)
{
	struct inherited_wake wake;
	struct evring_stats before;

	open_place(&wake.place, _i);
	open_place(&wake.from, _i);
	open_box(&wake.box, &wake.place);
	turn(&wake.place);
	turn(&wake.from);
	before = stats(&wake.place);
	post_some(wake.from.loop, &wake.box, &wake.message, 0, 1);
	ck_assert_int_eq(run_in_child(go_on_as_sender, &wake), 0);
	ck_assert_int_eq(run_in_child(send_before_the_first_turn, &wake), 0);
	turn(&wake.from);
	ev_run(wake.place.loop, EVRUN_ONCE);
	turn(&wake.place);
	check_box(&wake.box, 1);
	ck_assert_uint_eq(stats(&wake.place).completions - before.completions,
			  1);
	close_place(&wake.from);
	close_place(&wake.place);
}
END_TEST

static pid_t forked;

static void fork_once(struct ev_loop *loop)
{
	(void)loop;
	if (forked < 0)
		forked = fork();
}

static void do_nothing(struct ev_loop *loop)
{
	(void)loop;
}

/* The child comes back in the middle of a turn. */
START_TEST(fork_in_a_turn_that_wakes)
{
	struct evring_message messages[2];
	struct place place, from;
	struct box box;
	int status;

	open_place(&place, _i);
	open_place(&from, _i);
	open_box(&box, &place);
	turn(&place);
	turn(&from);
	ev_set_loop_release_cb(from.loop, fork_once, do_nothing);
	fflush(NULL);
	forked = -1;
	post_some(from.loop, &box, messages, 0, 1);
	turn(&from);
	if (!forked) {
		ev_loop_fork(from.loop);
		turn(&from);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(forked, &status, 0), forked);
	ck_assert_int_eq(status, 0);
	post_some(from.loop, &box, messages, 1, 1);
	turn(&from);
	ev_run(place.loop, EVRUN_ONCE);
	check_box(&box, 2);
	close_place(&from);
	close_place(&place);
}
END_TEST

/*
 * refusals
 */

START_TEST(errors_are_told)
{
	struct evring_message message;
	struct ev_loop *plain = ev_loop_new(EVFLAG_NOENV);
	struct place place;
	struct box box;

	open_place(&place, _i);
	init_box(&box);
	errno = 77;
	ck_assert_int_eq(evring_port_start(place.loop, NULL), -EINVAL);
	ck_assert_int_eq(evring_port_start(NULL, &box.port), -ENXIO);
	ck_assert_int_eq(evring_port_start(plain, &box.port), -ENXIO);
	ck_assert_int_eq(evring_port_start(place.loop, &box.port), 0);
	ck_assert_int_eq(evring_port_start(place.loop, &box.port), -EBUSY);
	ck_assert_int_eq(evring_post(NULL, NULL, &message), -EINVAL);
	ck_assert_int_eq(evring_post(NULL, &box.port, NULL), -EINVAL);
	ck_assert_ptr_null(evring_port_take(&box.port));
	ck_assert_ptr_null(evring_port_take(NULL));
	evring_port_stop(place.loop, &box.port);
	evring_port_stop(place.loop, &box.port);
	evring_port_stop(place.loop, NULL);
	box.port.cb = NULL;
	ck_assert_int_eq(evring_port_start(place.loop, &box.port), -EINVAL);
	ck_assert_int_eq(errno, 77);
	close_place(&place);
	ev_loop_destroy(plain);
}
END_TEST

static int start_without_files(void *arg)
{
	struct rlimit limit, none;
	struct place place;
	struct box box;

	open_place(&place, *(int *)arg);
	getrlimit(RLIMIT_NOFILE, &limit);
	none = limit;
	none.rlim_cur = 0;
	setrlimit(RLIMIT_NOFILE, &none);
	init_box(&box);
	child_assert(evring_port_start(place.loop, &box.port) == -EMFILE);
	child_assert(!ev_is_active(&box.port.op));
	setrlimit(RLIMIT_NOFILE, &limit);
	child_assert(evring_port_start(place.loop, &box.port) == 0);
	turn(&place);
	close_place(&place);
	child_assert(box.nr_ends == 1);
	return 0;
}

START_TEST(no_file_is_a_clear_error)
{
	ck_assert_int_eq(run_in_child(start_without_files, &_i), 0);
}
END_TEST

/* The ring goes for ever: in a turn, or in between. */
static int lose_ring(void *arg)
{
	const struct refusal refusals[] = {
		REFUSE(__NR_io_uring_enter, EPERM),
		REFUSE(__NR_io_uring_setup, EPERM),
	};
	struct evring_message messages[2] = { { .value = 0 } };
	struct place place;
	struct box box;

	open_place(&place, *(int *)arg);
	open_box(&box, &place);
	turn(&place);
	sandbox(refusals, 2);
	ev_run(place.loop, 0); /* until the port is stopped */
	child_assert(evring_tier(place.loop) == EVRING_TIER_NONE);
	child_assert(box.nr_ends == 1 && !ev_is_active(&box.port.op));
	evring_post(NULL, &box.port, &messages[0]);
	evring_post(place.loop, &box.port, &messages[1]);
	child_assert(evring_port_start(place.loop, &box.port) == -ENXIO);
	child_assert(evring_port_take(&box.port) == &messages[0]);
	child_assert(loop_works(place.loop));
	close_place(&place);
	child_assert(box.nr_ends == 1);
	child_assert(evring_port_take(&box.port) == &messages[1]);
	return 0;
}

START_TEST(lost_ring_stops_the_port)
{
	ck_assert_int_eq(run_in_child(lose_ring, &_i), 0);
}
END_TEST

static void *refuse_and_post(void *arg)
{
	const struct refusal refusal =
		REFUSE_REGISTER(EVR_REGISTER_SEND_MSG_RING, EPERM);
	struct partner *partner = arg;

	sandbox(&refusal, 1);
	return post_when_heard(partner);
}

static int post_from_sandbox(void *arg)
{
	struct partner partner = { .nr = NR_ROUNDS / 10 };
	struct place place;
	struct box box;
	pthread_t thread;

	open_place(&place, *(int *)arg);
	open_partner(&partner, &box, &place);
	pthread_create(&thread, NULL, refuse_and_post, &partner);
	ev_run(place.loop, 0);
	pthread_join(thread, NULL);
	child_assert(box.nr == partner.nr && !box.in_disorder);
	close_place(&place);
	return 0;
}

START_TEST(thread_in_a_sandbox_wakes_otherwise)
{
	ck_assert_int_eq(run_in_child(post_from_sandbox, &_i), 0);
}
END_TEST

/* The ring may come back, so the loop stays with it, and looks. */
static int post_to_refused_ring(void *arg)
{
	const struct refusal refusal = REFUSE(__NR_io_uring_enter, EAGAIN);
	struct partner partner = { .nr = 20 };
	struct place place;
	struct box box;
	pthread_t thread;

	open_place(&place, *(int *)arg);
	open_partner(&partner, &box, &place);
	turn(&place);
	pthread_create(&thread, NULL, post_when_heard, &partner);
	sandbox(&refusal, 1);
	ev_run(place.loop, 0);
	pthread_join(thread, NULL);
	child_assert(box.nr == 20 && !box.in_disorder);
	return 0;
}

/* The request that was to wake is not sent. */
static int post_from_refused_ring(void *arg)
{
	const struct refusal refusal = REFUSE(__NR_io_uring_enter, EAGAIN);
	struct evring_message messages[20];
	struct place place, from;
	struct box box;
	pthread_t thread;
	unsigned i;

	open_place(&place, *(int *)arg);
	open_place(&from, *(int *)arg);
	open_box(&box, &place);
	box.until = ARRAY_SIZE(messages);
	turn(&from);
	pthread_create(&thread, NULL, run_place, &place);
	sandbox(&refusal, 1);
	for (i = 0; i < ARRAY_SIZE(messages); i++) {
		post_some(from.loop, &box, messages, i, 1);
		turn(&from);
		usleep(1000); /* it sleeps by then, mostly */
	}
	pthread_join(thread, NULL);
	child_assert(box.nr == ARRAY_SIZE(messages) && !box.in_disorder);
	return 0;
}

START_TEST(sender_that_cannot_enter_wakes_otherwise)
{
	ck_assert_int_eq(run_in_child(post_from_refused_ring, &_i), 0);
}
END_TEST

START_TEST(ring_that_cannot_be_entered_is_no_end)
{
	ck_assert_int_eq(run_in_child(post_to_refused_ring, &_i), 0);
}
END_TEST

/*
 * signals
 */

static struct box *signalled;
static struct evring_message signal_messages[300];

static _Atomic unsigned nr_signals;

static void post_from_handler(int signal_nr)
{
	unsigned nr = nr_signals;

	(void)signal_nr;
	signal_messages[nr].value = stamp(1, nr);
	evring_post(NULL, &signalled->port, &signal_messages[nr]);
	nr_signals = nr + 1;
}

static void *send_signals(void *loop_thread)
{
	unsigned i;

	for (i = 0; i < ARRAY_SIZE(signal_messages); i++) {
		pthread_kill(*(pthread_t *)loop_thread, SIGUSR2);
		while (nr_signals == i)
			sched_yield();
	}
	return NULL;
}

/* Also of the loop's own thread, wherever it is. */
START_TEST(signal_handlers_may_post)
{
	struct sigaction action = { .sa_handler = post_from_handler };
	pthread_t self = pthread_self(), thread;
	struct evring_message messages[100];
	struct place place;
	struct box box;

	open_place(&place, _i);
	open_box(&box, &place);
	signalled = &box;
	sigaction(SIGUSR2, &action, NULL);
	pthread_create(&thread, NULL, send_signals, &self);
	post_some(NULL, &box, messages, 0, 100);
	while (box.nr < ARRAY_SIZE(signal_messages) + 100)
		ev_run(place.loop, EVRUN_ONCE);
	pthread_join(thread, NULL);
	check_box(&box, ARRAY_SIZE(signal_messages) + 100);
	signal(SIGUSR2, SIG_DFL);
	close_place(&place);
}
END_TEST

typedef const char *why_not(void);

static const struct {
	const char *name;
	const TTest *const *test;
	int nr_rows;
	why_not *why_not;
} tests[] = {
	{ "one loop", &messages_come_each_and_in_order, 1, NULL },
	{ "one loop", &loop_does_not_sleep_on_messages, 1, NULL },
	{ "one loop", &flood_does_not_stop_the_loop, 1, NULL },
	{ "one loop", &stopped_port_keeps_messages, 1, NULL },
	{ "one loop", &ports_of_a_loop_are_stopped_in_any_order, NR_BOXES,
	  NULL },
	{ "one loop", &callback_may_take_the_rest, 1, NULL },
	{ "one loop", &priorities_are_obeyed, 1, NULL },
	{ "one loop", &port_stopped_by_another_has_no_event, 1, NULL },
	{ "one loop", &port_keeps_the_loop_alive, 1, NULL },
	{ "one loop", &nested_loop_goes_on, 1, NULL },
	{ "one loop", &collecting_loop_gets_messages, 1, no_collecting },
	{ "costs", &many_messages_wake_once, 1, NULL },
	{ "costs", &awake_loop_is_not_woken, 1, NULL },
	{ "costs", &wake_from_a_loop_travels_with_its_turn, 1, NULL },
	{ "costs", &message_posted_when_a_turn_that_wakes_lets_go, 1, NULL },
	{ "costs", &loop_without_ports_takes_nothing, 1, NULL },
	{ "threads", &threads_post_at_once, 1, no_threads },
	{ "threads", &every_message_wakes_a_sleeping_loop, 1, no_threads },
	{ "threads", &loops_wake_each_other, 1, no_threads },
	{ "threads", &many_loops_are_woken_in_one_turn, 1, no_threads },
	{ "threads", &detached_sender_wakes_first, 1, no_threads },
	{ "threads", &port_moves_between_threads, 1, no_threads },
	{ "ends", &end_of_the_loop_is_told_once, 1, NULL },
	{ "ends", &told_port_may_be_freed, 1, NULL },
	{ "ends", &callback_may_detach, 1, NULL },
	{ "ends", &senders_outlive_loops, 1, no_threads },
	{ "numbers", &late_wake_reaches_no_foreign_ring, 1, NULL },
	{ "numbers", &number_is_kept_for_who_holds_the_waker, 1, NULL },
	{ "numbers", &waker_is_used_again, 1, NULL },
	{ "numbers", &refused_message_wakes_otherwise, 1, NULL },
	{ "fork", &both_sides_of_a_fork_have_what_was_posted,
	  ARRAY_SIZE(children), no_children },
	{ "fork", &child_does_not_wake_its_parent, 1, no_children },
	{ "fork", &wake_that_was_to_be_sent_is_the_parents, 1, no_children },
	{ "fork", &fork_in_a_turn_that_wakes, 1, no_children },
	{ "refusals", &errors_are_told, 1, NULL },
	{ "refusals", &no_file_is_a_clear_error, 1, no_children },
	{ "refusals", &lost_ring_stops_the_port, 1, no_children },
	{ "refusals", &thread_in_a_sandbox_wakes_otherwise, 1, no_children },
	{ "refusals", &sender_that_cannot_enter_wakes_otherwise, 1,
	  no_children },
	{ "refusals", &ring_that_cannot_be_entered_is_no_end, 1, no_children },
	{ "signals", &signal_handlers_may_post, 1, no_threads },
};

Suite *make_suite(void)
{
	Suite *suite = suite_create("post");
	TCase *tcase = NULL;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(tests); i++) {
		if (!i || strcmp(tests[i].name, tests[i - 1].name)) {
			tcase = tcase_create(tests[i].name);
			tcase_set_timeout(tcase, 100);
			suite_add_tcase(suite, tcase);
		}
		add_loop_or_leave_out(
			tcase, *tests[i].test, NR_MODES * tests[i].nr_rows,
			tests[i].why_not ? tests[i].why_not() : NULL);
	}
	return suite;
}
