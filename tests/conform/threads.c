/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * conform/threads.c - line 12: threads.
 */
#include "config.h"

#include "scene.h"

#include <sys/socket.h>

/*
 * 12: threads
 */

struct visit {
	struct watch *watch;
	int theirs;
	int nr; /* events there */
};

static void *run_elsewhere(void *arg)
{
	struct visit *visit = arg;
	int before = visit->watch->nr;

	put(visit->theirs);
	run_once();
	take(visit->watch->io.fd);
	turn();
	nap(SHORT_NAP);
	visit->nr = visit->watch->nr - before;
	return NULL;
}

static void visit_thread(struct visit *visit)
{
	pthread_t thread;

	check_int(pthread_create(&thread, NULL, run_elsewhere, visit), ==, 0);
	check_int(pthread_join(thread, NULL), ==, 0);
	check_int(visit->nr, ==, 1);
}

START_TEST(a_loop_made_here_may_run_in_another_thread)
{
	struct pair pair;
	struct watch w;

	open_scene(_i);
	pair = open_pair();
	watch(&w, pair.ours, EV_READ);
	if (scene.mode->is_late)
		settle();
	visit_thread(&(struct visit){ &w, pair.theirs, 0 });
	close_scene();
}
END_TEST

START_TEST(a_loop_may_move_between_threads)
{
	struct pair pair;
	struct watch w;
	int i;

	pair = open_watched(_i, &w);
	for (i = 0; i < 3; i++) {
		nap(SHORT_NAP);
		visit_thread(&(struct visit){ &w, pair.theirs, 0 });
		check_quiet(&w);
		put(pair.theirs);
		check_turn(&w, EV_READ);
		take(pair.ours);
		stop(&w); /* a change that is not submitted yet */
		turn();
		start(&w);
	}
	close_scene();
}
END_TEST

enum { NR_LOOPS = 20 }; /* more rings than a thread can register */

START_TEST(many_loops_work_side_by_side)
{
	struct ev_loop *loops[NR_LOOPS], *first;
	struct watch w[NR_LOOPS];
	struct pair pair;
	int i, k;

	open_scene(_i);
	settle();
	first = scene.loop;
	pair = open_pair();
	for (i = 0; i < NR_LOOPS; i++) {
		scene.loop = loops[i] = i ? open_another() : first;
		watch(&w[i], pair.ours, EV_READ); /* the same in each */
	}
	for (k = 0; k < 3; k++) {
		for (i = 0; i < NR_LOOPS; i++) {
			scene.loop = loops[i];
			check_int(events_in_turn(&w[i]), ==, 0);
			put(pair.theirs);
			check_turn(&w[i], EV_READ);
			take(pair.ours);
		}
	}
	for (i = 1; i < NR_LOOPS; i++)
		ev_loop_destroy(loops[i]);
	scene.loop = first;
	close_scene();
}
END_TEST

/*
 * A loop that each thread leaves to the next, and how it is left.  Two fds are
 * watched; other may have been stopped.
 */
struct estate {
	struct watch w, other;
	struct pair pair, other_pair;
	bool is_ready; /* there is something to take from both */
	void (*leave)(struct estate *estate);
};

static void put_both(struct estate *estate)
{
	put(estate->pair.theirs);
	put(estate->other_pair.theirs);
	estate->is_ready = true;
}

/* Nothing is lost of what was there, and of what comes. */
static void take_over(struct estate *estate)
{
	start(&estate->other);
	if (!estate->is_ready)
		put_both(estate);
	estate->other.nr = 0;
	check_turn(&estate->w, EV_READ);
	check_int(estate->other.nr, ==, 1);
	take(estate->pair.ours);
	take(estate->other_pair.ours);
	estate->is_ready = false;
	check_int(events_in_turn(&estate->w), ==, 0);
	check_int(estate->other.nr, ==, 1);
}

static void leave_asleep_before(struct estate *estate)
{
	(void)estate;
	nap(SHORT_NAP);
}

static void leave_ready(struct estate *estate)
{
	turn();
	put_both(estate);
}

/* libev knows, its backend does not. */
static void leave_changed(struct estate *estate)
{
	stop(&estate->w);
	ev_io_set(&estate->w.io, estate->pair.ours, EV_READ);
	start(&estate->w);
	stop(&estate->other);
	put_both(estate);
}

/* An event that nobody wants: the fd is to leave the set with the next turn. */
static void leave_unsent(struct estate *estate)
{
	put_both(estate);
	turn();
	stop(&estate->other);
	estate->other.nr = 0;
	check_turn(&estate->w, EV_READ);
	check_int(estate->other.nr, ==, 0);
}

static void *inherit(void *arg)
{
	struct estate *estate = arg;

	take_over(estate);
	estate->leave(estate);
	return NULL;
}

static void in_thread(void *(*body)(void *), void *arg)
{
	pthread_t thread;

	check_int(pthread_create(&thread, NULL, body, arg), ==, 0);
	check_int(pthread_join(thread, NULL), ==, 0);
}

/* A loop may have lost its ring in between when there are faults. */
static void check_nothing_left(int nr_fds, int nr_mappings)
{
	if (is_faulty)
		return;
	check_int(count_fds(), ==, nr_fds);
	check_int(count_mappings(RING_FD), ==, nr_mappings);
}

static void (*const ways_to_leave[])(struct estate *) = {
	leave_asleep_before,
	leave_ready,
	leave_changed,
	leave_unsent,
};

enum { NR_GENERATIONS = 40 }; /* more than a thread can register rings */

START_TEST(a_loop_outlives_the_threads_that_run_it)
{
	int i, nr_fds = 0, nr_mappings = 0;
	struct estate estate;

	open_scene(_i);
	estate.pair = open_pair();
	estate.other_pair = open_pair();
	estate.is_ready = false;
	watch(&estate.w, estate.pair.ours, EV_READ);
	watch(&estate.other, estate.other_pair.ours, EV_READ);
	settle();
	for (i = 0; i < NR_GENERATIONS; i++) {
		estate.leave = ways_to_leave[i % ARRAY_SIZE(ways_to_leave)];
		in_thread(inherit, &estate);
		if (!i) {
			nr_fds = count_fds();
			nr_mappings = count_mappings(RING_FD);
		}
	}
	check_nothing_left(nr_fds, nr_mappings);
	if (promises_more())
		check_int(stats().ring_rebuilds, ==, NR_GENERATIONS);
	take_over(&estate);
	close_scene();
}
END_TEST

enum { NR_RALLIES = 100 };

static struct {
	pthread_mutex_t lock;
	pthread_cond_t played;
	struct watch w;
	struct pair pair;
	int nr;
} rally = { .lock = PTHREAD_MUTEX_INITIALIZER,
	    .played = PTHREAD_COND_INITIALIZER };

/* With the loop alternately asleep and in a hurry, in either thread. */
static void *play(void *parity)
{
	pthread_mutex_lock(&rally.lock);
	while (rally.nr < NR_RALLIES) {
		if (rally.nr % 2 != *(int *)parity) {
			pthread_cond_wait(&rally.played, &rally.lock);
			continue;
		}
		put(rally.pair.theirs);
		if (rally.nr % 4 < 2)
			run_once();
		else
			turn();
		take(rally.pair.ours);
		check_int(rally.w.nr, ==, ++rally.nr);
		pthread_cond_signal(&rally.played);
	}
	pthread_mutex_unlock(&rally.lock);
	return NULL;
}

/* A ring that is never entered belongs to no thread; and a loop that finds
   something in every turn soon asks the set alone. */
static int nr_rings_wanted(void)
{
	const char *engine = getenv("EVRING_ENGINE");

	if (engine && !strcmp(engine, "set"))
		return 0;
	return engine && !strcmp(engine, "ring") ? NR_RALLIES - 1 : 10;
}

START_TEST(two_threads_may_run_the_loop_by_turns)
{
	int even = 0, odd = 1;
	pthread_t thread;

	open_scene(_i);
	rally.pair = open_pair();
	watch(&rally.w, rally.pair.ours, EV_READ);
	rally.nr = 0;
	settle();
	check_int(pthread_create(&thread, NULL, play, &odd), ==, 0);
	play(&even);
	check_int(pthread_join(thread, NULL), ==, 0);
	check_int(rally.w.nr, ==, NR_RALLIES);
	check_quiet(&rally.w);
	if (promises_more())
		check_int(stats().ring_rebuilds, >=, nr_rings_wanted());
	close_scene();
}
END_TEST

/*
 * where a loop ends
 */

static void *destroy(void *loop)
{
	ev_loop_destroy(loop);
	return NULL;
}

/* scene.loop is another than the scene's until it is destroyed. */
static struct watch guest;
static struct pair guest_pair;

static void *use_another_loop(void *arg)
{
	scene.loop = open_another();
	watch_then(&guest, guest_pair.ours, EV_READ, take_one);
	put(guest_pair.theirs);
	check_turn(&guest, EV_READ);
	check_int(events_in_turn(&guest), ==, 0); /* the set is being asked */
	return arg;
}

static void *use_and_destroy_another_loop(void *arg)
{
	use_another_loop(arg);
	return destroy(scene.loop);
}

static void destroy_there(void)
{
	use_another_loop(NULL);
	in_thread(destroy, scene.loop);
}

static void destroy_here(void)
{
	in_thread(use_another_loop, NULL);
	check_int(events_in_turn(&guest), ==, 0);
	destroy(scene.loop);
}

static void destroy_unused_here(void)
{
	in_thread(use_another_loop, NULL);
	destroy(scene.loop);
}

static void all_there(void)
{
	in_thread(use_and_destroy_another_loop, NULL);
}

static void (*const endings[])(void) = {
	destroy_there,
	destroy_here,
	destroy_unused_here,
	all_there,
};

START_TEST(a_loop_may_be_destroyed_in_another_thread)
{
	struct ev_loop *first;
	int i, nr_fds, nr_mappings;

	open_scene(_i);
	settle();
	first = scene.loop;
	guest_pair = open_pair();
	nr_fds = count_fds();
	nr_mappings = count_mappings(RING_FD);
	for (i = 0; i < NR_LOOPS; i++) {
		endings[_i / nr_runnable]();
		check_nothing_left(nr_fds, nr_mappings);
	}
	scene.loop = first;
	turn();
	close_scene();
}
END_TEST

static void *attach_there(void *arg)
{
	if (is_evring())
		attach();
	return arg;
}

static void *detach_there(void *arg)
{
	struct visit *visit = arg;

	if (is_evring())
		detach();
	check_int(evring_tier(scene.loop), ==, EVRING_TIER_NONE);
	return run_elsewhere(visit);
}

static void check_event_here(struct visit *visit)
{
	put(visit->theirs);
	check_turn(visit->watch, EV_READ);
	take(visit->watch->io.fd);
	check_quiet(visit->watch);
}

START_TEST(a_loop_may_be_attached_and_detached_by_another_thread)
{
	struct visit visit;
	struct pair pair;
	struct watch w;
	int i;

	open_scene(_i);
	pair = open_pair();
	watch(&w, pair.ours, EV_READ);
	visit = (struct visit){ &w, pair.theirs, 0 };
	settle();
	for (i = 0; i < 3; i++) {
		check_event_here(&visit);
		in_thread(detach_there, &visit);
		check_int(visit.nr, ==, 1);
		check_event_here(&visit);
		in_thread(attach_there, NULL);
		if (!is_faulty)
			check_int(evring_tier(scene.loop), ==,
				  expected_tier(scene.mode));
	}
	check_event_here(&visit);
	close_scene();
}
END_TEST

/*
 * many
 */

static void *run_own_loop(void *arg)
{
	struct ev_loop *loop = open_oracle();
	int nr = 0, fds[2] = { -1, -1 };
	ev_io io;

	if (!attach_other(loop))
		return NULL;
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) < 0)
		return NULL;
	ev_io_init(&io, take_and_count, fds[0], EV_READ);
	io.data = &nr;
	ev_io_start(loop, &io);
	while (nr < 200) {
		put(fds[1]);
		ev_run(loop, nr % 2 ? EVRUN_ONCE : EVRUN_NOWAIT);
	}
	ev_loop_destroy(loop);
	close(fds[0]);
	close(fds[1]);
	return arg;
}

START_TEST(each_thread_may_have_a_loop)
{
	pthread_t threads[4];
	void *result;
	int i;

	open_scene(_i);
	settle();
	for (i = 0; i < 4; i++)
		check_int(
			pthread_create(&threads[i], NULL, run_own_loop, &scene),
			==, 0);
	for (i = 0; i < 4; i++) {
		check_int(pthread_join(threads[i], &result), ==, 0);
		check_that(result == &scene);
	}
	close_scene();
}
END_TEST

static void make_and_end_loops(void *fd)
{
	void *result = NULL;
	int i;

	for (i = 0; i < 5; i++)
		result = run_own_loop(fd);
	if (result == fd) /* or else there is no end of the wait */
		put_to(fd);
}

START_TEST(loops_come_and_go_while_another_waits)
{
	struct actor actor;
	struct pair pair;
	struct watch w;

	pair = open_watched(_i, &w);
	act_when_asleep(&actor, make_and_end_loops, &pair.theirs);
	run_once(); /* the one wait */
	check_int(w.nr, ==, 1);
	take(pair.ours);
	join(&actor);
	check_quiet(&w);
	close_scene();
}
END_TEST

/*
 * Loops that travel: a thread has one at a time, uses it and lays it down in a
 * place where another thread finds it.
 */
enum { NR_TRAVEL_AGENTS = 8, NR_PLACES = 6, NR_STEPS = 60 };

struct traveller {
	struct ev_loop *loop;
	ev_io io;
	int fds[2];
	int nr; /* events so far */
};

static struct {
	pthread_mutex_t lock;
	struct traveller *at[NR_PLACES];
} places = { .lock = PTHREAD_MUTEX_INITIALIZER };

static struct traveller *new_traveller(void)
{
	struct traveller *t = calloc(1, sizeof(*t));

	check_that(t != NULL);
	t->loop = open_another();
	check_int(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, t->fds),
		  ==, 0);
	ev_io_init(&t->io, take_and_count, t->fds[0], EV_READ);
	t->io.data = &t->nr;
	ev_io_start(t->loop, &t->io);
	return t;
}

static void free_traveller(struct traveller *t)
{
	if (!t)
		return;
	ev_loop_destroy(t->loop);
	close(t->fds[0]);
	close(t->fds[1]);
	free(t);
}

static void check_travels_well(struct traveller *t)
{
	int nr = t->nr;

	put(t->fds[1]);
	do {
		ev_run(t->loop, nr % 3 ? EVRUN_ONCE : EVRUN_NOWAIT);
	} while (is_faulty && t->nr == nr);
	check_int(t->nr, ==, nr + 1);
	ev_run(t->loop, EVRUN_NOWAIT);
	check_int(t->nr, ==, nr + 1);
	if (nr % 4)
		return;
	ev_io_stop(t->loop, &t->io); /* the next thread's first change */
	ev_io_set(&t->io, t->fds[0], EV_READ);
	ev_io_start(t->loop, &t->io);
}

static struct traveller *exchange(struct traveller *t, int place)
{
	struct traveller *other;

	pthread_mutex_lock(&places.lock);
	other = places.at[place];
	places.at[place] = t;
	pthread_mutex_unlock(&places.lock);
	return other;
}

static void *send_travellers(void *arg)
{
	struct traveller *t = NULL;
	int i, id = *(int *)arg;

	for (i = 0; i < NR_STEPS; i++) {
		if (i % 6 == 5) {
			free_traveller(t);
			t = NULL;
		}
		if (!t)
			t = new_traveller();
		check_travels_well(t);
		t = exchange(t, (i + id) % NR_PLACES);
	}
	free_traveller(t);
	return NULL;
}

START_TEST(loops_may_be_made_run_moved_and_destroyed_all_at_once)
{
	pthread_t threads[NR_TRAVEL_AGENTS];
	int i, nr_fds, nr_mappings, ids[NR_TRAVEL_AGENTS];

	open_scene(_i);
	settle();
	nr_fds = count_fds();
	nr_mappings = count_mappings(RING_FD);
	for (i = 0; i < NR_TRAVEL_AGENTS; i++) {
		ids[i] = i;
		check_int(pthread_create(&threads[i], NULL, send_travellers,
					 &ids[i]),
			  ==, 0);
	}
	for (i = 0; i < NR_TRAVEL_AGENTS; i++)
		check_int(pthread_join(threads[i], NULL), ==, 0);
	for (i = 0; i < NR_PLACES; i++)
		free_traveller(exchange(NULL, i));
	check_nothing_left(nr_fds, nr_mappings);
	turn();
	close_scene();
}
END_TEST

/*
 * all of them
 */

void add_threads(void)
{
	add_scenario("threads", a_loop_made_here_may_run_in_another_thread);
	add_scenario("threads", a_loop_may_move_between_threads);
	add_scenario("threads", a_loop_outlives_the_threads_that_run_it);
	add_scenario("threads", two_threads_may_run_the_loop_by_turns);
	add_rows("threads", a_loop_may_be_destroyed_in_another_thread,
		 ARRAY_SIZE(endings));
	add_scenario("threads",
		     a_loop_may_be_attached_and_detached_by_another_thread);
	add_scenario("threads", many_loops_work_side_by_side);
	add_scenario("threads", each_thread_may_have_a_loop);
	add_scenario("threads", loops_come_and_go_while_another_waits);
	add_scenario("threads",
		     loops_may_be_made_run_moved_and_destroyed_all_at_once);
}
