/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * conform/wakers.c - line 10: wake-ups from elsewhere.
 */
#include "config.h"

#include "scene.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

/*
 * 10: wake-ups from elsewhere
 */

static void ring_often(void *arg)
{
	pid_t sleeper = getpid();
	int i;

	for (i = 0; i < 50; i++) {
		if (i % 2)
			await_sleep(sleeper);
		ev_async_send(scene.loop, &((struct bell *)arg)->async);
		while (sem_wait(&seen) < 0)
			;
	}
}

START_TEST(async_send_wakes_a_blocked_loop)
{
	struct actor actor;
	struct bell bell;
	int nr;

	open_scene(_i);
	start_bell(&bell);
	sem_init(&seen, 0, 0);
	settle();
	act_when_asleep(&actor, ring_often, &bell);
	for (nr = 0; nr < 50; nr++) {
		while (bell.nr <= nr)
			run_on();
		sem_post(&seen);
	}
	join(&actor);
	check_int(bell.nr, ==, 50);
	close_scene();
}
END_TEST

static struct bell *rung_by_signal;

static void ring_in_handler(int signum)
{
	(void)signum;
	ev_async_send(scene.loop, &rung_by_signal->async);
}

START_TEST(async_sends_before_a_turn_are_one_event)
{
	struct bell bell;

	open_scene(_i);
	start_bell(&bell);
	settle();
	ev_async_send(scene.loop, &bell.async);
	ev_async_send(scene.loop, &bell.async);
	check_that(ev_async_pending(&bell.async));
	turn();
	check_int(bell.nr, ==, 1);
	turn();
	check_int(bell.nr, ==, 1);
	rung_by_signal = &bell;
	signal(SIGUSR1, ring_in_handler);
	raise(SIGUSR1);
	run_once();
	check_int(bell.nr, ==, 2);
	close_scene();
}
END_TEST

/*
 * Each thread has an async of its own, and all share one.  What was sent is
 * counted before it is sent, so the last event of each sees all of it.
 */
enum { NR_SENDERS = 4, NR_BURSTS = 60 };

struct sender {
	ev_async async;
	pthread_t thread;
	atomic_int nr_sent, nr_seen;
};

static struct {
	struct sender own[NR_SENDERS], shared;
	pid_t sleeper; /* the thread of the loop */
} senders;

static void see_what_was_sent(struct ev_loop *loop, ev_async *w, int revents)
{
	struct sender *sender = (struct sender *)w;

	(void)loop;
	check_int(revents, ==, EV_ASYNC);
	atomic_store(&sender->nr_seen, atomic_load(&sender->nr_sent));
}

static void start_sender(struct sender *sender)
{
	atomic_init(&sender->nr_sent, 0);
	atomic_init(&sender->nr_seen, 0);
	ev_async_init(&sender->async, see_what_was_sent);
	ev_async_start(scene.loop, &sender->async);
}

static void send_to(struct sender *sender)
{
	atomic_fetch_add(&sender->nr_sent, 1);
	ev_async_send(scene.loop, &sender->async);
}

static bool has_seen_all(struct sender *sender)
{
	return atomic_load(&sender->nr_seen) == atomic_load(&sender->nr_sent);
}

/* A burst at a loop that is running, asleep, or either. */
static void *send_bursts(void *arg)
{
	struct sender *own = arg;
	int i, k;

	for (i = 0; i < NR_BURSTS; i++) {
		if (i % 3 == 0)
			await_sleep(senders.sleeper);
		for (k = 0; k <= i % 4; k++) {
			send_to(own);
			send_to(&senders.shared);
		}
		while (i % 3 < 2 && !has_seen_all(own))
			sched_yield();
	}
	return NULL;
}

static bool has_seen_all_bursts(void)
{
	const int nr = NR_BURSTS / 4 * (1 + 2 + 3 + 4);
	int i;

	for (i = 0; i < NR_SENDERS; i++)
		if (atomic_load(&senders.own[i].nr_seen) < nr)
			return false;
	return atomic_load(&senders.shared.nr_seen) == NR_SENDERS * nr;
}

START_TEST(asyncs_of_many_threads_are_all_seen)
{
	int i;

	open_scene(_i);
	senders.sleeper = gettid();
	start_sender(&senders.shared);
	for (i = 0; i < NR_SENDERS; i++)
		start_sender(&senders.own[i]);
	settle();
	for (i = 0; i < NR_SENDERS; i++)
		check_int(pthread_create(&senders.own[i].thread, NULL,
					 send_bursts, &senders.own[i]),
			  ==, 0);
	while (!has_seen_all_bursts())
		run_on();
	for (i = 0; i < NR_SENDERS; i++)
		check_int(pthread_join(senders.own[i].thread, NULL), ==, 0);
	check_that(has_seen_all(&senders.shared));
	close_scene();
}
END_TEST

/* Two loops, each in its thread, that throw an async to each other. */
enum { NR_THROWS = 200 };

struct player {
	ev_async async;
	struct ev_loop *loop;
	struct player *other;
	int nr_caught;
};

static void throw_back(struct ev_loop *loop, ev_async *w, int revents)
{
	struct player *self = (struct player *)w;

	check_int(revents, ==, EV_ASYNC);
	if (self->nr_caught++ < NR_THROWS)
		ev_async_send(self->other->loop, &self->other->async);
	if (self->nr_caught >= NR_THROWS)
		ev_break(loop, EVBREAK_ALL);
}

static void start_player(struct player *self, struct ev_loop *loop,
			 struct player *other)
{
	self->loop = loop;
	self->other = other;
	self->nr_caught = 0;
	ev_async_init(&self->async, throw_back);
	ev_async_start(loop, &self->async);
}

static void *play_elsewhere(void *arg)
{
	ev_run(((struct player *)arg)->loop, 0);
	return NULL;
}

START_TEST(two_loops_may_wake_each_other)
{
	struct player here, there;
	pthread_t thread;

	open_scene(_i);
	settle();
	start_player(&here, scene.loop, &there);
	start_player(&there, open_another(), &here);
	check_int(pthread_create(&thread, NULL, play_elsewhere, &there), ==, 0);
	ev_async_send(there.loop, &there.async);
	ev_run(here.loop, 0);
	check_int(pthread_join(thread, NULL), ==, 0);
	check_int(here.nr_caught, ==, NR_THROWS);
	check_int(there.nr_caught, ==, NR_THROWS);
	ev_loop_destroy(there.loop);
	close_scene();
}
END_TEST

struct noticed {
	ev_signal signal;
	int nr;
};

static void on_signal(struct ev_loop *loop, ev_signal *w, int revents)
{
	(void)loop;
	check_int(revents, ==, EV_SIGNAL);
	((struct noticed *)w)->nr++;
}

static void signal_us(void *arg)
{
	(void)arg;
	kill(getpid(), SIGUSR1);
}

static void check_signals(void)
{
	struct noticed w = { .nr = 0 };
	struct actor actor;

	ev_signal_init(&w.signal, on_signal, SIGUSR1);
	ev_signal_start(scene.loop, &w.signal);
	settle();
	raise(SIGUSR1);
	while (w.nr < 1)
		turn();
	ev_feed_signal_event(scene.loop, SIGUSR1);
	turn();
	check_int(w.nr, ==, 2);
	act_when_asleep(&actor, signal_us, NULL);
	while (w.nr < 3)
		run_once();
	join(&actor);
	turn();
	check_int(w.nr, ==, 3);
	ev_signal_stop(scene.loop, &w.signal);
}

START_TEST(signals_are_delivered)
{
	open_scene(_i);
	check_signals();
	close_scene();
}
END_TEST

START_TEST(signals_are_delivered_by_signalfd)
{
	open_scene_with(_i, EVFLAG_SIGNALFD);
	check_signals();
	close_scene();
}
END_TEST

/* The thread that runs the loop. */
static pthread_t waiter;
static pid_t waiter_id;

static void signal_the_waiter(void *arg)
{
	(void)arg;
	pthread_kill(waiter, SIGUSR1);
}

static void signal_self(void *arg)
{
	(void)arg;
	raise(SIGUSR1);
}

/* Its handler runs in the thread that waits, in another one, or in either. */
static void (*const ways_to_signal[])(void *) = {
	signal_us,
	signal_the_waiter,
	signal_self,
};

/* Signals end waits here, so run_once() is not to make up for it. */
static void run_interrupted(void)
{
	ev_run(scene.loop, EVRUN_ONCE);
}

START_TEST(a_signal_ends_the_wait_whoever_handles_it)
{
	struct noticed w = { .nr = 0 };
	struct actor actor;
	struct watch quiet;
	int i;

	open_scene(_i);
	waiter = pthread_self();
	watch(&quiet, open_pair().ours, EV_READ);
	ev_signal_init(&w.signal, on_signal, SIGUSR1);
	ev_signal_start(scene.loop, &w.signal);
	settle();
	for (i = 1; i <= 5; i++) {
		act_when_asleep(&actor, ways_to_signal[_i / nr_runnable], NULL);
		while (w.nr < i)
			run_interrupted();
		join(&actor);
		check_int(events_in_turn(&quiet), ==, 0);
		check_int(w.nr, ==, i);
	}
	ev_signal_stop(scene.loop, &w.signal);
	close_scene();
}
END_TEST

static const int several_signals[] = { SIGUSR1, SIGUSR2, SIGWINCH, SIGURG };
enum { NR_SIGNALS = ARRAY_SIZE(several_signals) };

/* To the process, but for the loop's thread to handle: the thread sanitizer
   loses a signal that reaches a thread that is about to end. */
static void send_several(void *arg)
{
	sigset_t several;
	int i;

	sigemptyset(&several);
	for (i = 0; i < NR_SIGNALS; i++)
		sigaddset(&several, several_signals[i]);
	pthread_sigmask(SIG_BLOCK, &several, NULL);
	for (i = 0; i < NR_SIGNALS; i++)
		kill(getpid(), several_signals[i]);
	put_to(arg);
}

START_TEST(signals_that_come_together_are_all_delivered)
{
	struct noticed w[NR_SIGNALS] = { { .nr = 0 } };
	struct actor actor;
	struct watch io;
	struct pair pair;
	int i, nr;

	open_scene(_i);
	pair = open_pair();
	watch_then(&io, pair.ours, EV_READ, take_one);
	for (i = 0; i < NR_SIGNALS; i++) {
		ev_signal_init(&w[i].signal, on_signal, several_signals[i]);
		ev_signal_start(scene.loop, &w[i].signal);
	}
	settle();
	act_when_asleep(&actor, send_several, &pair.theirs);
	for (nr = 0; nr < NR_SIGNALS || !io.nr;) {
		run_interrupted();
		for (i = nr = 0; i < NR_SIGNALS; i++)
			nr += w[i].nr;
	}
	join(&actor);
	turn();
	for (i = 0; i < NR_SIGNALS; i++) {
		check_int(w[i].nr, ==, 1);
		ev_signal_stop(scene.loop, &w[i].signal);
	}
	check_int(io.nr, ==, 1);
	close_scene();
}
END_TEST

/* A handler that libev knows nothing of ends the wait, and no more. */
static void handle_nothing(int signum)
{
	(void)signum;
}

static void interrupt_then_put(void *fd)
{
	int i;

	for (i = 0; i < 3; i++) {
		await_sleep(waiter_id);
		pthread_kill(waiter, SIGUSR2);
	}
	put_to(fd);
}

START_TEST(interrupted_waits_lose_nothing)
{
	struct actor actor;
	struct alarm soon;
	struct pair pair;
	struct watch w;
	int i;

	open_scene(_i);
	waiter = pthread_self();
	waiter_id = gettid();
	signal(SIGUSR2, handle_nothing);
	pair = open_pair();
	watch_then(&w, pair.ours, EV_READ, take_one);
	settle();
	for (i = 1; i <= 5; i++) {
		set_alarm(&soon, 0.003, 0.);
		act_when_asleep(&actor, interrupt_then_put, &pair.theirs);
		while (w.nr < i || !soon.nr)
			run_interrupted();
		join(&actor);
		check_quiet(&w);
		check_int(w.nr, ==, i);
		check_int(soon.nr, ==, 1);
	}
	if (promises_more())
		check_int(stats().ring_rebuilds, ==, 0);
	close_scene();
}
END_TEST

struct ended {
	ev_child child;
	int nr;
};

static void on_child(struct ev_loop *loop, ev_child *w, int revents)
{
	check_int(revents, ==, EV_CHILD);
	check_int(WEXITSTATUS(w->rstatus), ==, 7);
	((struct ended *)w)->nr++;
	ev_child_stop(loop, w);
}

START_TEST(children_are_reaped)
{
	struct ended children[3] = { { .nr = 0 } };
	struct watch w;
	int i;

	open_default_scene(_i);
	watch(&w, open_pair().ours, EV_READ);
	settle();
	for (i = 0; i < 3; i++) {
		pid_t pid = fork();

		if (!pid)
			_exit(7);
		ev_child_init(&children[i].child, on_child, pid, 0);
		ev_child_start(scene.loop, &children[i].child);
	}
	while (children[0].nr + children[1].nr + children[2].nr < 3)
		run_on();
	check_quiet(&w);
	close_scene();
}
END_TEST

/* What happened to a child that stops, is told to go on, and exits. */
struct traced {
	ev_child child;
	int nr_stops, nr_continues, nr_exits;
};

static void on_trace(struct ev_loop *loop, ev_child *w, int revents)
{
	struct traced *traced = (struct traced *)w;

	(void)loop;
	check_int(revents, ==, EV_CHILD);
	traced->nr_stops += WIFSTOPPED(w->rstatus);
	traced->nr_continues += WIFCONTINUED(w->rstatus);
	traced->nr_exits += WIFEXITED(w->rstatus);
	if (WIFEXITED(w->rstatus))
		check_int(WEXITSTATUS(w->rstatus), ==, 7);
}

static pid_t fork_child_that_stops(int fd)
{
	pid_t pid = fork();
	char c;

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	raise(SIGSTOP);
	_exit(read(fd, &c, 1) == 1 ? 7 : 1);
}

static void start_traced(struct traced *traced, pid_t pid)
{
	memset(traced, 0, sizeof(*traced));
	ev_child_init(&traced->child, on_trace, pid, 1);
	ev_child_start(scene.loop, &traced->child);
}

START_TEST(children_that_stop_and_go_on_are_noticed)
{
	enum { NR = 3 };
	struct traced children[NR], any;
	struct pair pair;
	int i;

	open_default_scene(_i);
	pair = open_pair();
	settle();
	start_traced(&any, 0);
	for (i = 0; i < NR; i++)
		start_traced(&children[i], fork_child_that_stops(pair.ours));
	while (any.nr_stops < NR)
		run_on();
	for (i = 0; i < NR; i++)
		kill(children[i].child.pid, SIGCONT);
	while (any.nr_continues < NR)
		run_on();
	check_int(any.nr_exits, ==, 0);
	for (i = 0; i < NR; i++)
		put(pair.theirs);
	while (any.nr_exits < NR)
		run_on();
	turn();
	for (i = 0; i < NR; i++) {
		check_int(children[i].nr_stops, ==, 1);
		check_int(children[i].nr_continues, ==, 1);
		check_int(children[i].nr_exits, ==, 1);
		ev_child_stop(scene.loop, &children[i].child);
	}
	ev_child_stop(scene.loop, &any.child);
	close_scene();
}
END_TEST

struct changed {
	ev_stat stat;
	int nr;
};

enum { POLLING = 4 * PATIENCE /* seconds, where nothing else tells */ };

static void on_stat(struct ev_loop *loop, ev_stat *w, int revents)
{
	(void)loop;
	check_int(revents, ==, EV_STAT);
	((struct changed *)w)->nr++;
}

START_TEST(a_changed_file_is_noticed)
{
	char dir[] = "/tmp/evring-conform-XXXXXX", path[64];
	struct changed w = { .nr = 0 };
	double start_time;
	int fd;

	open_scene(_i);
	check_that(mkdtemp(dir) != NULL);
	snprintf(path, sizeof(path), "%s/file", dir);
	fd = keep(open(path, O_CREAT | O_RDWR, 0600));
	ev_stat_init(&w.stat, on_stat, path, POLLING);
	ev_stat_start(scene.loop, &w.stat);
	settle();
	start_time = now();
	put(fd);
	while (w.nr < 1)
		run_on();
	check_int(w.stat.attr.st_size, ==, 1);
	unlink(path);
	rmdir(dir);
	while (w.stat.attr.st_nlink)
		run_on();
	check_time(now() - start_time, <, POLLING / 2.);
	ev_stat_stop(scene.loop, &w.stat);
	close_scene();
}
END_TEST

static void create(const char *path)
{
	discard(keep(
		open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600)));
}

START_TEST(a_file_that_comes_and_goes_is_noticed)
{
	char dir[] = "/tmp/evring-conform-XXXXXX", path[64];
	struct changed w = { .nr = 0 };
	double start_time;
	int i;

	open_scene(_i);
	check_that(mkdtemp(dir) != NULL);
	snprintf(path, sizeof(path), "%s/file", dir);
	ev_stat_init(&w.stat, on_stat, path, POLLING);
	ev_stat_start(scene.loop, &w.stat);
	settle();
	start_time = now();
	for (i = 0; i < 3; i++) {
		create(path);
		while (!w.stat.attr.st_nlink)
			run_on();
		check_int(truncate(path, 10 + i), ==, 0);
		while (w.stat.attr.st_size != 10 + i)
			run_on();
		check_int(unlink(path), ==, 0);
		while (w.stat.attr.st_nlink)
			run_on();
	}
	check_time(now() - start_time, <, POLLING / 2.);
	check_int(w.nr, >=, 9);
	rmdir(dir);
	ev_stat_stop(scene.loop, &w.stat);
	close_scene();
}
END_TEST

/* What is watched by inner is handled when only outer runs. */
static void check_embedding(struct ev_loop *outer, struct ev_loop *inner)
{
	struct pair a = open_pair(), b = open_pair();
	int i, nr_a = 0, nr_b = 0;
	ev_embed embed;
	ev_io wa, wb;

	ev_io_init(&wa, take_and_count, a.ours, EV_READ);
	wa.data = &nr_a;
	ev_io_init(&wb, take_and_count, b.ours, EV_READ);
	wb.data = &nr_b;
	ev_embed_init(&embed, NULL, inner);
	ev_embed_start(outer, &embed);
	ev_io_start(inner, &wa); /* the embedding has to notice */
	ev_io_start(outer, &wb);
	for (i = 1; i <= 5; i++) {
		put(a.theirs);
		put(b.theirs);
		while (nr_a < i || nr_b < i)
			ev_run(outer, i % 2 ? EVRUN_ONCE : EVRUN_NOWAIT);
		ev_run(outer, EVRUN_NOWAIT);
		check_int(nr_a, ==, i);
		check_int(nr_b, ==, i);
		ev_io_stop(inner, &wa);
		ev_run(outer, EVRUN_NOWAIT);
		ev_io_start(inner, &wa);
	}
	ev_io_stop(inner, &wa);
	ev_io_stop(outer, &wb);
	ev_embed_stop(outer, &embed);
}

struct embedding {
	ev_embed embed;
	int nr; /* times that it was told of inner, and did nothing */
};

static void count_only(struct ev_loop *loop, ev_embed *w, int revents)
{
	(void)loop;
	check_int(revents, ==, EV_EMBED);
	((struct embedding *)w)->nr++;
}

/* With a callback of the user's inner runs when it is swept, and not before. */
static void check_sweeping(struct ev_loop *outer, struct ev_loop *inner)
{
	struct embedding embedding = { .nr = 0 };
	struct pair pair = open_pair();
	int i, nr_taken = 0;
	ev_io io;

	ev_io_init(&io, take_and_count, pair.ours, EV_READ);
	io.data = &nr_taken;
	ev_io_start(inner, &io);
	ev_embed_init(&embedding.embed, count_only, inner);
	ev_embed_start(outer, &embedding.embed);
	ev_run(outer, EVRUN_NOWAIT);
	for (i = 0; i < 5; i++) {
		embedding.nr = 0;
		ev_run(outer, EVRUN_NOWAIT);
		check_int(embedding.nr, ==, 0);
		put(pair.theirs);
		while (!embedding.nr)
			ev_run(outer, EVRUN_ONCE);
		ev_run(outer, EVRUN_NOWAIT);
		check_int(embedding.nr, ==, 2);
		check_int(nr_taken, ==, i);
		ev_embed_sweep(outer, &embedding.embed);
		check_int(nr_taken, ==, i + 1);
	}
	ev_embed_stop(outer, &embedding.embed);
	ev_io_stop(inner, &io);
}

struct nesting {
	ev_io io;
	int *nr_inner; /* events of the embedded loop */
};

static void run_outer_again(struct ev_loop *outer, ev_io *w, int revents)
{
	int before = *((struct nesting *)w)->nr_inner;

	(void)revents;
	take(w->fd);
	check_int(ev_depth(outer), ==, 1);
	put(*(int *)w->data);
	while (*((struct nesting *)w)->nr_inner == before)
		ev_run(outer, EVRUN_ONCE);
}

/* Also when outer runs within a callback of its own. */
static void check_nested_embedding(struct ev_loop *outer, struct ev_loop *inner)
{
	struct pair a = open_pair(), b = open_pair();
	struct nesting nesting;
	int i, nr_taken = 0;
	ev_embed embed;
	ev_io io;

	ev_io_init(&io, take_and_count, a.ours, EV_READ);
	io.data = &nr_taken;
	ev_io_start(inner, &io);
	ev_embed_init(&embed, NULL, inner);
	ev_embed_start(outer, &embed);
	nesting.nr_inner = &nr_taken;
	ev_io_init(&nesting.io, run_outer_again, b.ours, EV_READ);
	nesting.io.data = &a.theirs;
	ev_io_start(outer, &nesting.io);
	for (i = 1; i <= 5; i++) {
		put(b.theirs);
		while (nr_taken < i)
			ev_run(outer, EVRUN_ONCE);
		check_int(nr_taken, ==, i);
	}
	ev_io_stop(outer, &nesting.io);
	ev_embed_stop(outer, &embed);
	ev_io_stop(inner, &io);
}

static void (*const embeddings[])(struct ev_loop *, struct ev_loop *) = {
	check_embedding,
	check_sweeping,
	check_nested_embedding,
};

START_TEST(the_loop_can_be_embedded)
{
	struct ev_loop *outer = open_oracle();

	open_scene(_i);
	settle();
	check_that(ev_embeddable_backends() & ev_backend(scene.loop));
	embeddings[_i / nr_runnable](outer, scene.loop);
	ev_loop_destroy(outer);
	close_scene();
}
END_TEST

START_TEST(the_loop_can_embed_another)
{
	struct ev_loop *inner = open_oracle();

	open_scene(_i);
	settle();
	embeddings[_i / nr_runnable](scene.loop, inner);
	close_scene();
	ev_loop_destroy(inner);
}
END_TEST

START_TEST(the_loop_can_embed_one_of_its_kind)
{
	struct ev_loop *inner;

	open_scene(_i);
	settle();
	inner = open_another();
	embeddings[_i / nr_runnable](scene.loop, inner);
	close_scene();
	ev_loop_destroy(inner);
}
END_TEST

/*
 * all of them
 */

void add_wakers(void)
{
	add_scenario("wakers", async_send_wakes_a_blocked_loop);
	add_scenario("wakers", async_sends_before_a_turn_are_one_event);
	add_scenario("wakers", asyncs_of_many_threads_are_all_seen);
	add_scenario("wakers", two_loops_may_wake_each_other);
	add_scenario("wakers", signals_are_delivered);
	add_scenario("wakers", signals_are_delivered_by_signalfd);
	add_rows("wakers", a_signal_ends_the_wait_whoever_handles_it,
		 ARRAY_SIZE(ways_to_signal));
	add_scenario("wakers", signals_that_come_together_are_all_delivered);
	add_scenario("wakers", interrupted_waits_lose_nothing);
	add_scenario("wakers", children_are_reaped);
	add_scenario("wakers", children_that_stop_and_go_on_are_noticed);
	add_scenario("wakers", a_changed_file_is_noticed);
	add_scenario("wakers", a_file_that_comes_and_goes_is_noticed);
	add_rows("wakers", the_loop_can_be_embedded, ARRAY_SIZE(embeddings));
	add_rows("wakers", the_loop_can_embed_another, ARRAY_SIZE(embeddings));
	add_rows("wakers", the_loop_can_embed_one_of_its_kind,
		 ARRAY_SIZE(embeddings));
}
