/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * conform/loops.c - line 10: loops in loops, and hooks.
 */
#include "config.h"

#include "scene.h"

/*
 * 10: loops in loops, and hooks
 */

static void run_nested(struct watch *w)
{
	int before = w->other->nr;

	w->then = NULL;
	put(*(int *)w->io.data);
	check_int(ev_depth(scene.loop), ==, 1);
	while (w->other->nr == before)
		run_on();
	take(w->other->io.fd);
	take(w->io.fd);
	check_int(events_in_turn(w), ==, 0);
}

START_TEST(the_loop_may_run_within_a_callback)
{
	struct watch outer, inner;
	struct pair a, b;

	open_scene(_i);
	a = open_pair();
	b = open_pair();
	watch_then(&outer, a.ours, EV_READ, run_nested);
	outer.other = &inner;
	outer.io.data = &b.theirs;
	watch(&inner, b.ours, EV_READ);
	settle();
	put(a.theirs);
	turn();
	check_int(inner.nr, ==, 1);
	check_int(outer.nr, >=, 1); /* it holds until the nested take() */
	outer.nr = 0;
	check_quiet(&outer);
	check_quiet(&inner);
	check_int(outer.nr + inner.nr, ==, 1);
	close_scene();
}
END_TEST

static int break_how;

static void break_out(struct watch *w)
{
	take(w->io.fd);
	ev_break(scene.loop, break_how);
}

static void run_until_break(struct watch *w)
{
	take(w->io.fd);
	put(*(int *)w->io.data);
	ev_run(scene.loop, 0);
	note(the_log, "inner ");
	if (break_how == EVBREAK_ONE) /* the outer one goes on */
		ev_break(scene.loop, EVBREAK_ALL);
}

START_TEST(break_ends_one_run_or_all)
{
	struct log log = { .size = 0 };
	struct watch outer, inner;
	struct pair a, b;

	open_scene(_i);
	a = open_pair();
	b = open_pair();
	watch_then(&outer, a.ours, EV_READ, run_until_break);
	outer.io.data = &b.theirs;
	watch_then(&inner, b.ours, EV_READ, break_out);
	settle();
	the_log = &log;
	for (break_how = EVBREAK_ONE; break_how <= EVBREAK_ALL; break_how++) {
		put(a.theirs);
		check_int(ev_run(scene.loop, 0), !=, 0);
		check_int(ev_depth(scene.loop), ==, 0);
	}
	check_int(log.size, ==, strlen("inner inner "));
	close_scene();
}
END_TEST

static int nr_invoked, nr_pending_seen;

static void invoke_counted(struct ev_loop *loop)
{
	nr_invoked++;
	nr_pending_seen += (int)ev_pending_count(loop);
	ev_invoke_pending(loop);
}

START_TEST(pending_watchers_are_invoked_by_the_users_callback)
{
	struct pair pair;
	struct watch w;

	pair = open_watched(_i, &w);
	nr_invoked = nr_pending_seen = 0;
	ev_set_invoke_pending_cb(scene.loop, invoke_counted);
	put(pair.theirs);
	check_turn(&w, EV_READ);
	check_int(nr_invoked, ==, 2); /* before and after the poll */
	check_int(nr_pending_seen, ==, 1);
	ev_set_invoke_pending_cb(scene.loop, ev_invoke_pending);
	check_turn(&w, EV_READ);
	check_int(nr_invoked, ==, 2);
	close_scene();
}
END_TEST

START_TEST(pending_watchers_may_be_invoked_later)
{
	struct pair pair;
	struct watch w;
	int i;

	pair = open_watched(_i, &w);
	ev_set_invoke_pending_cb(scene.loop, invoke_later);
	put(pair.theirs);
	for (i = 0; i < 3; i++)
		turn();
	check_int(w.nr, ==, 0);
	check_int(ev_pending_count(scene.loop), ==, 1);
	ev_invoke_pending(scene.loop);
	check_int(w.nr, ==, 1);
	ev_set_invoke_pending_cb(scene.loop, ev_invoke_pending);
	close_scene();
}
END_TEST

static int nr_released, nr_acquired;

static void on_release(struct ev_loop *loop)
{
	check_that(loop == scene.loop);
	check_int(nr_released, ==, nr_acquired);
	check_int(ev_depth(loop), ==, 1);
	nr_released++;
}

static void on_acquire(struct ev_loop *loop)
{
	check_that(loop == scene.loop);
	nr_acquired++;
	check_int(nr_released, ==, nr_acquired);
}

START_TEST(release_and_acquire_are_called_around_each_wait)
{
	struct pair pair;
	struct watch w;
	int i;

	open_scene(_i);
	pair = open_pair();
	settle();
	nr_released = nr_acquired = 0;
	ev_set_loop_release_cb(scene.loop, on_release, on_acquire);
	watch(&w, pair.ours, EV_READ);
	check_int(nr_released, ==, 0);
	for (i = 0; i < 5; i++) {
		nr_released = nr_acquired = 0;
		turn();
		check_int(nr_acquired, >=, 1);
		put(pair.theirs);
		nr_released = nr_acquired = 0;
		run_once();
		check_int(nr_acquired, >=, 1);
		take(pair.ours);
		nr_released = nr_acquired = 0;
		nap(SHORT_NAP);
		check_int(nr_acquired, >=, 1);
	}
	nr_released = nr_acquired = 0;
	stop(&w);
	check_int(nr_released, ==, 0);
	ev_set_loop_release_cb(scene.loop, NULL, NULL);
	close_scene();
}
END_TEST

/* The manual's THREAD LOCKING EXAMPLE: a loop that others may change. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct bell lock_bell;

static void unlock_loop(struct ev_loop *loop)
{
	(void)loop;
	pthread_mutex_unlock(&lock);
}

static void lock_loop(struct ev_loop *loop)
{
	(void)loop;
	pthread_mutex_lock(&lock);
}

static void start_from_outside(void *arg)
{
	struct watch *w = arg;
	int i;

	for (i = 0; i < 30; i++) {
		pthread_mutex_lock(&lock);
		start(w);
		ev_async_send(scene.loop, &lock_bell.async);
		pthread_mutex_unlock(&lock);
		while (sem_wait(&seen) < 0)
			;
	}
}

START_TEST(another_thread_may_start_watchers_during_the_wait)
{
	struct actor actor;
	struct pair pair;
	struct watch w;
	int i;

	open_scene(_i);
	pair = open_pair();
	watch_then(&w, pair.ours, EV_READ, stop);
	start_bell(&lock_bell);
	sem_init(&seen, 0, 0);
	settle();
	stop(&w);
	put(pair.theirs);
	ev_set_loop_release_cb(scene.loop, unlock_loop, lock_loop);
	pthread_mutex_lock(&lock);
	act_when_asleep(&actor, start_from_outside, &w);
	for (i = 0; i < 30; i++) {
		for (w.nr = 0; !w.nr;)
			run_once();
		sem_post(&seen);
	}
	pthread_mutex_unlock(&lock);
	join(&actor);
	ev_set_loop_release_cb(scene.loop, NULL, NULL);
	close_scene();
}
END_TEST

/*
 * The same in full: the loop runs in a thread of its own, the callbacks in
 * another, which is told when there are some, and several more change watchers.
 * Who holds the lock may touch the loop; the loop's thread gives it up while it
 * waits for the kernel or for the callbacks.
 */
enum { NR_CHANGERS = 3, NR_CHANGES = 100 };

static struct shared {
	pthread_mutex_t lock;
	pthread_cond_t invoked;
	sem_t pending;
	ev_async changed;
	int nr_changers; /* that are not done */
	bool is_over;
} shared;

static void lock_shared(struct ev_loop *loop)
{
	pthread_mutex_lock(&((struct shared *)ev_userdata(loop))->lock);
}

static void unlock_shared(struct ev_loop *loop)
{
	pthread_mutex_unlock(&((struct shared *)ev_userdata(loop))->lock);
}

static void await_semaphore(sem_t *semaphore)
{
	while (sem_wait(semaphore) < 0)
		;
}

static void let_other_invoke(struct ev_loop *loop)
{
	struct shared *s = ev_userdata(loop);

	while (ev_pending_count(loop)) {
		sem_post(&s->pending);
		pthread_cond_wait(&s->invoked, &s->lock);
	}
}

static void on_change(struct ev_loop *loop, ev_async *w, int revents)
{
	struct shared *s = ev_userdata(loop);

	(void)w;
	check_int(revents, ==, EV_ASYNC);
	s->is_over = !s->nr_changers;
	if (s->is_over)
		ev_break(loop, EVBREAK_ALL);
}

static void *run_shared(void *arg)
{
	struct ev_loop *loop = arg;

	lock_shared(loop);
	ev_run(loop, 0);
	unlock_shared(loop);
	return NULL;
}

static void invoke_until_over(void)
{
	bool is_over;

	do {
		await_semaphore(&shared.pending);
		lock_shared(scene.loop);
		ev_invoke_pending(scene.loop);
		pthread_cond_signal(&shared.invoked);
		is_over = shared.is_over;
		unlock_shared(scene.loop);
	} while (!is_over);
}

/* One of those that change watchers: their own. */
struct changer {
	struct watch w;
	ev_timer timer;
	struct pair pair;
	pthread_t thread;
	int nr_timers; /* events of the timer */
	sem_t told;    /* one of the callbacks was called */
};

static void begin_change(void)
{
	lock_shared(scene.loop);
}

static void end_change(void)
{
	ev_async_send(scene.loop, &shared.changed);
	unlock_shared(scene.loop);
}

static void stop_and_tell(struct watch *w)
{
	stop(w);
	sem_post(&((struct changer *)w)->told);
}

static void on_changed_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct changer *c = w->data;

	(void)loop;
	check_int(revents, ==, EV_TIMER);
	c->nr_timers++;
	sem_post(&c->told);
}

static void start_for(struct changer *c, int events)
{
	stop(&c->w);
	ev_io_set(&c->w.io, c->w.io.fd, events);
	start(&c->w);
}

static void await_event(struct changer *c, int revents)
{
	await_semaphore(&c->told);
	begin_change();
	check_int(c->w.nr, ==, 1);
	check_int(c->w.revents, ==, revents);
	c->w.nr = 0;
	end_change();
}

static void await_timer(struct changer *c)
{
	begin_change();
	ev_timer_set(&c->timer, SHORT_NAP / 2, 0.);
	ev_timer_start(scene.loop, &c->timer);
	end_change();
	await_semaphore(&c->told);
}

static void start_ready(struct changer *c)
{
	put(c->pair.theirs);
	begin_change();
	start_for(c, EV_READ);
	end_change();
	await_event(c, EV_READ);
	take(c->pair.ours);
}

static void start_then_ready(struct changer *c)
{
	begin_change();
	start_for(c, EV_READ);
	end_change();
	put(c->pair.theirs);
	await_event(c, EV_READ);
	take(c->pair.ours);
}

static void start_then_change(struct changer *c)
{
	begin_change();
	start_for(c, EV_READ);
	end_change();
	begin_change();
	start_for(c, EV_WRITE);
	end_change();
	await_event(c, EV_WRITE);
}

/* The timer is due after the wait that noticed, and left out, the event. */
static void stop_before_ready(struct changer *c)
{
	begin_change();
	start_for(c, EV_READ);
	end_change();
	begin_change();
	stop(&c->w);
	end_change();
	put(c->pair.theirs);
	await_timer(c);
	begin_change();
	check_int(c->w.nr, ==, 0);
	end_change();
	take(c->pair.ours);
}

static void stop_before_due(struct changer *c)
{
	int nr;

	begin_change();
	nr = c->nr_timers;
	ev_timer_set(&c->timer, 0., 0.);
	ev_timer_start(scene.loop, &c->timer);
	ev_timer_stop(scene.loop, &c->timer);
	end_change();
	start_ready(c);
	begin_change();
	check_int(c->nr_timers, ==, nr);
	end_change();
	await_timer(c);
}

static void replace_file(struct changer *c)
{
	struct pair fresh;

	begin_change();
	start_for(c, EV_READ);
	end_change();
	begin_change();
	stop(&c->w);
	fresh = open_pair();
	check_int(dup2(fresh.ours, c->pair.ours), ==, c->pair.ours);
	discard(fresh.ours);
	discard(c->pair.theirs);
	c->pair.theirs = fresh.theirs;
	start_for(c, EV_READ);
	end_change();
	put_char(c->pair.theirs, 'n');
	await_event(c, EV_READ);
	check_int(take(c->pair.ours), ==, 'n');
}

static void (*const changes[])(struct changer *) = {
	start_ready,	   start_then_ready, start_then_change,
	stop_before_ready, stop_before_due,  replace_file,
};

static void *change_watchers(void *arg)
{
	struct changer *c = arg;
	int i;

	for (i = 0; i < NR_CHANGES; i++)
		changes[i % (int)ARRAY_SIZE(changes)](c);
	begin_change();
	shared.nr_changers--;
	end_change();
	return NULL;
}

static void prepare_loop(void)
{
	memset(&shared, 0, sizeof(shared));
	pthread_mutex_init(&shared.lock, NULL);
	pthread_cond_init(&shared.invoked, NULL);
	sem_init(&shared.pending, 0, 0);
	shared.nr_changers = NR_CHANGERS;
	ev_async_init(&shared.changed, on_change);
	ev_async_start(scene.loop, &shared.changed);
	ev_set_userdata(scene.loop, &shared);
	ev_set_invoke_pending_cb(scene.loop, let_other_invoke);
	ev_set_loop_release_cb(scene.loop, unlock_shared, lock_shared);
}

static void prepare_changer(struct changer *c)
{
	memset(c, 0, sizeof(*c));
	c->pair = open_pair();
	sem_init(&c->told, 0, 0);
	ev_io_init(&c->w.io, on_io, c->pair.ours, EV_READ);
	c->w.then = stop_and_tell;
	ev_timer_init(&c->timer, on_changed_timer, 0., 0.);
	c->timer.data = c;
}

START_TEST(many_threads_may_change_a_loop_that_runs_in_another)
{
	struct changer changers[NR_CHANGERS];
	struct watch w;
	pthread_t thread;
	int i;

	open_scene(_i);
	watch(&w, open_pair().ours, EV_READ);
	settle();
	prepare_loop();
	for (i = 0; i < NR_CHANGERS; i++)
		prepare_changer(&changers[i]);
	check_int(pthread_create(&thread, NULL, run_shared, scene.loop), ==, 0);
	for (i = 0; i < NR_CHANGERS; i++)
		check_int(pthread_create(&changers[i].thread, NULL,
					 change_watchers, &changers[i]),
			  ==, 0);
	invoke_until_over();
	for (i = 0; i < NR_CHANGERS; i++)
		check_int(pthread_join(changers[i].thread, NULL), ==, 0);
	check_int(pthread_join(thread, NULL), ==, 0);
	ev_set_invoke_pending_cb(scene.loop, ev_invoke_pending);
	ev_set_loop_release_cb(scene.loop, NULL, NULL);
	check_quiet(&w);
	for (i = 0; i < NR_CHANGERS; i++)
		check_int(changers[i].w.nr, ==, 0);
	close_scene();
}
END_TEST

/*
 * What another thread may do to a watcher while its loop waits.  The release
 * callback does it itself: libev sees no difference, and the moment is known.
 */
static struct {
	struct watch *watch;
	const char *steps;
	int fresh;
} meanwhile;

static void act_meanwhile(struct ev_loop *loop)
{
	const char *steps = meanwhile.steps;

	(void)loop;
	meanwhile.steps = "";
	take_steps(steps, meanwhile.watch, meanwhile.fresh);
}

static void do_nothing(struct ev_loop *loop)
{
	(void)loop;
}

static void act_meanwhile_on(struct watch *w)
{
	meanwhile.watch = w;
	meanwhile.steps = "";
	ev_set_loop_release_cb(scene.loop, act_meanwhile, do_nothing);
}

START_TEST(a_restart_during_the_wait_loses_nothing)
{
	struct pair old, fresh;
	struct watch w;
	int round;

	open_scene(_i);
	old = open_pair();
	watch(&w, old.ours, EV_READ);
	settle();
	act_meanwhile_on(&w);
	for (round = 0; round < 4; round++) {
		fresh = open_pair();
		take_steps("sosS", &w, fresh.ours);
		if (round & 1)
			put(fresh.theirs);
		meanwhile.steps = round & 2 ? "s" : "sr"; /* no ev_io_set */
		turn();
		if (round & 2)
			start(&w);
		if (!(round & 1))
			put(fresh.theirs);
		w.nr = 0;
		check_turn(&w, EV_READ);
		take(w.io.fd);
	}
	ev_set_loop_release_cb(scene.loop, NULL, NULL);
	close_scene();
}
END_TEST

START_TEST(a_file_replaced_during_the_wait_is_not_reported)
{
	struct pair old, fresh;
	struct watch w;

	open_scene(_i);
	old = open_pair();
	keep(dup(old.ours)); /* it goes on being in the set */
	watch(&w, old.ours, EV_READ);
	settle();
	act_meanwhile_on(&w);
	fresh = open_pair();
	put(old.theirs);
	meanwhile.fresh = fresh.ours;
	meanwhile.steps = "sosS";
	check_int(events_in_turn(&w), ==, 0);
	check_is_fresh(&w, fresh.theirs);
	ev_set_loop_release_cb(scene.loop, NULL, NULL);
	close_scene();
}
END_TEST

START_TEST(attaching_does_not_keep_a_loop_alive)
{
	struct pair pair;
	struct watch w;
	struct alarm far;

	open_scene(_i);
	settle();
	check_int(ev_run(scene.loop, 0), ==, 0);
	pair = open_pair();
	put(pair.theirs);
	watch_then(&w, pair.ours, EV_READ, stop);
	check_int(ev_run(scene.loop, 0), ==, 0);
	check_int(w.nr, ==, 1);
	set_alarm(&far, 60., 0.);
	ev_unref(scene.loop);
	check_int(ev_run(scene.loop, 0), ==, 0);
	ev_ref(scene.loop);
	check_int(ev_run(scene.loop, EVRUN_NOWAIT), !=, 0);
	ev_timer_stop(scene.loop, &far.timer);
	check_int(ev_run(scene.loop, 0), ==, 0);
	close_scene();
}
END_TEST

START_TEST(run_once_returns_after_the_first_event)
{
	struct watch a, b;
	struct pair pa, pb;
	struct alarm far;

	open_scene(_i);
	pa = open_pair();
	pb = open_pair();
	watch(&a, pa.ours, EV_READ);
	watch(&b, pb.ours, EV_READ);
	set_alarm(&far, 60., 0.);
	settle();
	put(pa.theirs);
	run_once();
	check_int(a.nr, ==, 1);
	check_int(b.nr + far.nr, ==, 0);
	ev_timer_stop(scene.loop, &far.timer);
	close_scene();
}
END_TEST

START_TEST(userdata_is_the_users)
{
	int mine;

	open_scene(_i);
	check_that(!ev_userdata(scene.loop));
	ev_set_userdata(scene.loop, &mine);
	settle();
	turns(3);
	check_that(ev_userdata(scene.loop) == &mine);
	check_int(ev_iteration(scene.loop), ==, 5);
	close_scene();
}
END_TEST

/*
 * all of them
 */

void add_loops(void)
{
	add_scenario("loops", the_loop_may_run_within_a_callback);
	add_scenario("loops", break_ends_one_run_or_all);
	add_scenario("loops",
		     pending_watchers_are_invoked_by_the_users_callback);
	add_scenario("loops", pending_watchers_may_be_invoked_later);
	add_scenario("loops", release_and_acquire_are_called_around_each_wait);
	add_scenario("loops",
		     another_thread_may_start_watchers_during_the_wait);
	add_scenario("loops",
		     many_threads_may_change_a_loop_that_runs_in_another);
	add_scenario("loops", a_restart_during_the_wait_loses_nothing);
	add_scenario("loops", a_file_replaced_during_the_wait_is_not_reported);
	add_scenario("loops", attaching_does_not_keep_a_loop_alive);
	add_scenario("loops", run_once_returns_after_the_first_event);
	add_scenario("loops", userdata_is_the_users);
}
