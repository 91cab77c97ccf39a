/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * conform/watchers.c - line 10: libev's other watchers, order and priorities.
 */
#include "config.h"

#include "scene.h"

#include <sys/socket.h>

/*
 * 10: libev's other watchers, order and priorities
 */

struct noted {
	ev_io io;
	const char *name;
};

static void note_io(struct ev_loop *loop, ev_io *w, int revents)
{
	(void)loop;
	note(the_log, "io%s%d ", ((struct noted *)w)->name, revents);
}

static void note_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)loop;
	(void)w;
	(void)revents;
	note(the_log, "timer ");
}

static void note_prepare(struct ev_loop *loop, ev_prepare *w, int revents)
{
	(void)w;
	(void)revents;
	note(the_log, "prepare(%u) ", ev_pending_count(loop));
}

static void note_check(struct ev_loop *loop, ev_check *w, int revents)
{
	(void)w;
	(void)revents;
	note(the_log, "check(%u) ", ev_pending_count(loop));
}

static void note_idle(struct ev_loop *loop, ev_idle *w, int revents)
{
	(void)loop;
	(void)revents;
	note(the_log, "idle%d ", ev_priority(w));
}

static void start_noting(struct ev_loop *loop, struct noted *w,
			 const char *name, int fd, int events, int priority)
{
	ev_io_init(&w->io, note_io, fd, events);
	ev_set_priority(&w->io, priority);
	w->name = name;
	ev_io_start(loop, &w->io);
}

static void play_kinds(struct ev_loop *loop, struct log *log)
{
	struct pair pair = open_pair();
	ev_prepare prepare;
	ev_timer timer;
	ev_check check;
	ev_idle idle;
	struct noted io;
	int i;

	the_log = log;
	ev_prepare_init(&prepare, note_prepare);
	ev_check_init(&check, note_check);
	ev_idle_init(&idle, note_idle);
	ev_timer_init(&timer, note_timer, 0., 0.);
	ev_prepare_start(loop, &prepare);
	ev_check_start(loop, &check);
	ev_idle_start(loop, &idle);
	ev_timer_start(loop, &timer);
	start_noting(loop, &io, "A", pair.ours, EV_READ, 0);
	for (i = 0; i < 4; i++) {
		ev_run(loop, i % 2 ? EVRUN_NOWAIT : EVRUN_ONCE);
		note(log, "/ ");
		if (i == 1)
			put(pair.theirs);
	}
	ev_idle_stop(loop, &idle);
	ev_run(loop, EVRUN_ONCE);
	ev_io_stop(loop, &io.io);
	ev_check_stop(loop, &check);
	ev_prepare_stop(loop, &prepare);
	note(log, "%d %u", ev_run(loop, 0), ev_iteration(loop));
}

START_TEST(callbacks_of_all_kinds_come_in_the_oracles_order)
{
	open_scene(_i);
	settle();
	check_with_oracle(play_kinds);
	close_scene();
}
END_TEST

static void play_priorities(struct ev_loop *loop, struct log *log)
{
	static const char *const names[] = { "A", "B", "C", "D", "E" };
	struct pair pairs[ARRAY_SIZE(names)];
	struct noted io[ARRAY_SIZE(names)];
	ev_idle idle[2];
	int i, n = (int)ARRAY_SIZE(names);

	the_log = log;
	for (i = 0; i < n; i++) {
		pairs[i] = open_pair();
		put(pairs[i].theirs);
		start_noting(loop, &io[i], names[i], pairs[i].ours,
			     i % 2 ? EV_READ : EV_READ | EV_WRITE,
			     i * 3 % n + EV_MINPRI);
	}
	for (i = 0; i < 2; i++) {
		ev_idle_init(&idle[i], note_idle);
		ev_set_priority(&idle[i], i ? EV_MAXPRI : EV_MINPRI);
		ev_idle_start(loop, &idle[i]);
	}
	for (i = 0; i < n; i++) {
		ev_run(loop, EVRUN_NOWAIT);
		note(log, "/ ");
		ev_io_stop(loop, &io[i].io);
	}
	ev_run(loop, EVRUN_NOWAIT);
	note(log, "%u", ev_iteration(loop));
	ev_idle_stop(loop, &idle[0]);
	ev_idle_stop(loop, &idle[1]);
}

START_TEST(callbacks_come_by_priority)
{
	open_scene(_i);
	settle();
	check_with_oracle(play_priorities);
	close_scene();
}
END_TEST

static void play_feeding(struct ev_loop *loop, struct log *log)
{
	struct pair pair = open_pair();
	struct noted a, b;

	the_log = log;
	start_noting(loop, &a, "A", pair.ours, EV_READ, 0);
	start_noting(loop, &b, "B", pair.ours, EV_WRITE, 1);
	ev_feed_fd_event(loop, pair.ours, EV_READ);
	ev_feed_event(loop, &b.io, EV_CUSTOM);
	note(log, "%u pending ", ev_pending_count(loop));
	ev_invoke_pending(loop);
	note(log, "/ ");
	ev_feed_fd_event(loop, pair.ours, EV_READ | EV_WRITE);
	ev_run(loop, EVRUN_NOWAIT);
	note(log, "/ ");
	ev_feed_event(loop, &a.io, EV_CUSTOM);
	note(log, "cleared %d ", ev_clear_pending(loop, &a.io));
	ev_invoke(loop, &a.io, EV_ERROR);
	put(pair.theirs);
	ev_feed_event(loop, &a.io, EV_CUSTOM);
	ev_run(loop, EVRUN_NOWAIT);
	note(log, "/ %u", ev_iteration(loop));
	ev_io_stop(loop, &a.io);
	ev_io_stop(loop, &b.io);
}

START_TEST(fed_events_are_delivered)
{
	open_scene(_i);
	settle();
	check_with_oracle(play_feeding);
	close_scene();
}
END_TEST

static void note_once(int revents, void *arg)
{
	note(arg, "once%d ", revents);
}

static void play_once(struct ev_loop *loop, struct log *log)
{
	struct pair pair = open_pair();

	ev_once(loop, pair.ours, EV_READ, 0.002, note_once, log);
	note(log, "%d ", ev_run(loop, 0));
	put(pair.theirs);
	ev_once(loop, pair.ours, EV_READ | EV_WRITE, 60., note_once, log);
	note(log, "%d ", ev_run(loop, 0));
	ev_once(loop, -1, 0, 0., note_once, log);
	note(log, "%d ", ev_run(loop, 0));
	ev_once(loop, pair.ours, EV_READ, 0., note_once, log);
	note(log, "%d ", ev_run(loop, 0)); /* both at once */
	take(pair.ours);
	ev_once(loop, pair.ours, EV_READ, 0., note_once, log);
	note(log, "%d ", ev_run(loop, 0));
	ev_once(loop, pair.ours, EV_WRITE, -1., note_once, log);
	note(log, "%d", ev_run(loop, 0));
}

START_TEST(once_is_called_once)
{
	open_scene(_i);
	settle();
	check_with_oracle(play_once);
	close_scene();
}
END_TEST

static void start_late(struct watch *w)
{
	if (w->other)
		start(w->other);
	w->other = NULL;
}

START_TEST(started_in_a_callback_is_reported_in_the_next_turn)
{
	struct watch first, second;
	struct pair pair;

	open_scene(_i);
	pair = open_pair();
	watch_then(&first, pair.ours, EV_READ, start_late);
	watch(&second, pair.ours, EV_READ | EV_WRITE);
	stop(&second);
	first.other = &second;
	settle();
	put(pair.theirs);
	check_int(events_in_turn(&second), ==, 0);
	check_turn(&second, EV_READ | EV_WRITE);
	check_int(first.nr, ==, 2);
	close_scene();
}
END_TEST

/*
 * 2, 4: several watchers of one fd, each of which may change another, or
 * itself, when it is called
 */

enum { NR_SHARING = 3 };

/* What one of them does to another, once. */
enum deed {
	STOP,
	RESTART,
	SET, /* and start; to READ, WRITE, both */
	FEED = SET + 3,
	CLEAR,
	RANK, /* another priority */
	NR_DEEDS
};

struct sharing {
	ev_io io;
	struct sharing *victim; /* NULL: does nothing */
	enum deed deed;
};

static void do_deed(struct ev_loop *loop, ev_io *w, enum deed deed)
{
	if (deed == FEED) {
		ev_feed_event(loop, w, EV_CUSTOM);
		return;
	}
	if (deed == CLEAR) {
		note(the_log, "(%d)", ev_clear_pending(loop, w));
		return;
	}
	ev_io_stop(loop, w);
	if (deed == STOP)
		return;
	if (deed == RANK)
		ev_set_priority(w, -ev_priority(w));
	else if (deed != RESTART)
		ev_io_set(w, w->fd, (int)deed - SET + EV_READ);
	ev_io_start(loop, w);
}

static void on_sharing(struct ev_loop *loop, ev_io *w, int revents)
{
	struct sharing *self = (struct sharing *)w;
	struct sharing *victim = self->victim;

	note(the_log, "%d:%x ", ev_priority(w), (unsigned)revents);
	self->victim = NULL;
	if (victim)
		do_deed(loop, &victim->io, self->deed);
}

static struct {
	int actor, victim, rank;
	enum deed deed;
} sharing;

/* For READ, WRITE and both, by rank; all are ready. */
static void play_sharing(struct ev_loop *loop, struct log *log)
{
	static const int ranks[][NR_SHARING] = { { 0, 0, 0 },
						 { -2, 0, 2 },
						 { 1, -1, 1 } };
	struct sharing w[NR_SHARING];
	struct pair pair = open_pair();
	int i;

	the_log = log;
	for (i = 0; i < NR_SHARING; i++) {
		ev_io_init(&w[i].io, on_sharing, pair.ours, i + EV_READ);
		ev_set_priority(&w[i].io, ranks[sharing.rank][i]);
		w[i].victim = i == sharing.actor ? &w[sharing.victim] : NULL;
		w[i].deed = sharing.deed;
		ev_io_start(loop, &w[i].io);
	}
	put(pair.theirs);
	for (i = 0; i < 3; i++) {
		ev_run(loop, EVRUN_NOWAIT);
		note(log, "/ ");
	}
	take(pair.ours);
	ev_run(loop, EVRUN_NOWAIT);
	for (i = 0; i < NR_SHARING; i++)
		ev_io_stop(loop, &w[i].io);
	discard(pair.ours);
	discard(pair.theirs);
}

START_TEST(watchers_of_one_fd_may_change_each_other)
{
	int row = _i / nr_runnable, i;

	open_scene(_i);
	settle();
	sharing.actor = row / NR_SHARING;
	sharing.victim = row % NR_SHARING;
	for (i = 0; i < 3 * NR_DEEDS; i++) {
		sharing.rank = i % 3;
		sharing.deed = i / 3;
		check_with_oracle(play_sharing);
	}
	close_scene();
}
END_TEST

/*
 * 10: callbacks that change themselves and others, at random
 *
 * The order of two fds in one turn is the kernel's, and each other change would
 * follow from it.  So watchers of different fds have different priorities.
 */

enum { NR_PLACES = 3, NR_RESTLESS = 8, MAX_TURNS = 12, LOG_FULL = 420 };

struct restless {
	ev_io io;
	char name;
	int place;
};

static const struct {
	int place, ranks[2];
} casting[NR_RESTLESS] = {
	{ 0, { -2, 1 } }, { 0, { 1, -2 } },  { 0, { 1, 1 } }, { 1, { -1, 2 } },
	{ 1, { 2, -1 } }, { 1, { -1, -1 } }, { 2, { 0, 0 } }, { 2, { 0, 0 } },
};

static struct {
	uint32_t state; /* of the generator */
	struct pair places[NR_PLACES];
	struct restless w[NR_RESTLESS];
	bool is_invoking; /* deep enough */
} play;

static unsigned pick(unsigned nr)
{
	play.state = play.state * 1664525u + 1013904223u;
	return (play.state >> 16) % nr;
}

static void change_priority(struct ev_loop *loop, struct restless *w)
{
	bool was_active = ev_is_active(&w->io);

	ev_io_stop(loop, &w->io); /* nor is it pending then */
	ev_set_priority(&w->io, casting[w - play.w].ranks[pick(2)]);
	if (was_active)
		ev_io_start(loop, &w->io);
}

static void change_restless(struct ev_loop *loop, struct restless *w)
{
	bool is_same = pick(2);

	ev_io_stop(loop, &w->io);
	if (is_same)
		ev_io_modify(&w->io, 1 + (int)pick(3));
	else
		ev_io_set(&w->io, w->io.fd, 1 + (int)pick(3));
	ev_io_start(loop, &w->io);
}

static void change_data(const struct pair *place)
{
	char c;

	if (pick(2))
		put(place->theirs);
	else
		(void)!recv(place->ours, &c, 1, MSG_DONTWAIT);
}

static void invoke_restless(struct ev_loop *loop, struct restless *w)
{
	if (play.is_invoking)
		return;
	play.is_invoking = true;
	ev_invoke(loop, &w->io, EV_CUSTOM);
	play.is_invoking = false;
}

static void act_at_random(struct ev_loop *loop)
{
	struct restless *w = &play.w[pick(NR_RESTLESS)];

	switch (pick(11)) {
	case 0:
	case 1:
		ev_io_stop(loop, &w->io);
		break;
	case 2:
		ev_io_stop(loop, &w->io);
		ev_io_start(loop, &w->io);
		break;
	case 3:
		change_priority(loop, w);
		break;
	case 4:
		ev_feed_event(loop, &w->io, EV_CUSTOM);
		break;
	case 5:
		ev_feed_fd_event(loop, w->io.fd, 1 + (int)pick(3));
		break;
	case 6:
		note(the_log, "(%d)", ev_clear_pending(loop, &w->io));
		break;
	case 7:
		change_data(&play.places[w->place]);
		break;
	case 8:
		invoke_restless(loop, w);
		break;
	default:
		change_restless(loop, w);
	}
}

static void on_restless(struct ev_loop *loop, ev_io *w, int revents)
{
	if (the_log->size > LOG_FULL)
		return;
	note(the_log, "%c%x ", ((struct restless *)w)->name, (unsigned)revents);
	if (pick(2))
		act_at_random(loop);
}

static void start_restless(struct ev_loop *loop)
{
	int i;

	for (i = 0; i < NR_PLACES; i++)
		play.places[i] = open_pair();
	for (i = 0; i < NR_RESTLESS; i++) {
		struct restless *w = &play.w[i];

		w->name = (char)('A' + i);
		w->place = casting[i].place;
		ev_io_init(&w->io, on_restless, play.places[w->place].ours,
			   1 + (int)pick(3));
		ev_set_priority(&w->io, casting[i].ranks[0]);
		if (pick(2))
			ev_io_start(loop, &w->io);
	}
}

/* There is something to report then: there is room to write everywhere. */
static bool may_block(void)
{
	int i;

	if (is_faulty)
		return false; /* it may be interrupted */
	for (i = 0; i < NR_RESTLESS; i++)
		if (ev_is_active(&play.w[i].io) &&
		    play.w[i].io.events & EV_WRITE)
			return true;
	return false;
}

static void play_restless(struct ev_loop *loop, struct log *log)
{
	uint32_t seed = play.state;
	int i;

	the_log = log;
	note(log, "%u: ", seed);
	start_restless(loop);
	for (i = 0; i < MAX_TURNS && log->size < LOG_FULL; i++) {
		change_data(&play.places[pick(NR_PLACES)]);
		act_at_random(loop);
		ev_run(loop, may_block() ? EVRUN_ONCE : EVRUN_NOWAIT);
		note(log, "/ ");
	}
	note(log, "%u", ev_pending_count(loop));
	for (i = 0; i < NR_RESTLESS; i++)
		ev_io_stop(loop, &play.w[i].io);
	for (i = 0; i < NR_PLACES; i++) {
		discard(play.places[i].ours);
		discard(play.places[i].theirs);
	}
	play.state = seed;
}

START_TEST(callbacks_may_change_all_watchers_at_random)
{
	uint32_t seed;

	open_scene(_i);
	settle();
	for (seed = 1; seed <= 200; seed++) {
		play.state = seed;
		check_with_oracle(play_restless);
	}
	close_scene();
}
END_TEST

/*
 * all of them
 */

void add_watchers(void)
{
	add_scenario("libev", callbacks_of_all_kinds_come_in_the_oracles_order);
	add_scenario("libev", callbacks_come_by_priority);
	add_scenario("libev", fed_events_are_delivered);
	add_scenario("libev", once_is_called_once);
	add_scenario("libev",
		     started_in_a_callback_is_reported_in_the_next_turn);
	add_rows("changes", watchers_of_one_fd_may_change_each_other,
		 NR_SHARING * NR_SHARING);
	add_scenario("changes", callbacks_may_change_all_watchers_at_random);
}
