/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * conform/forks.c - line 11: fork.
 *
 * Most of it is one play: a loop with watchers on it, a fork somewhere, a child
 * that does something with its copy, and a parent that must not notice.  The
 * rows of forks[] say where, what, and how the child tells libev.
 *
 * What to know:
 *
 * a) A child that tells libev nothing shares its parent's epoll set.  What it
 *    changes there, the parent gets, on the oracle as well.  So such a child
 *    only waits, and changes nothing.
 * b) A child begins when its parent's turn is over (go), so that who reads what
 *    is no question of speed.  In the threaded form the parent sleeps in its
 *    loop for the whole life of the child, and what they share is not written.
 * c) libev's fork watchers are called once by ev_loop_fork() or the fork check,
 *    except where ev_loop_fork() comes after their place in the turn: in a
 *    prepare watcher, or in a fork watcher itself.
 * d) A default loop gets a SIGCHLD and reaps all children in its next turn.  So
 *    children are waited for before.
 * e) Where a thread was waiting when another one forked, libev believes in the
 *    child that the loop is waiting still, and its assertions forbid to run it.
 *    ev_break (EVBREAK_CANCEL) ends that.
 */
#include "config.h"

#include "scene.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/*
 * rows
 */

enum tell { LOOP_FORK, FORKCHECK, NOTHING };

enum deed {
	RUNS,
	DESTROYS,
	DETACHES, /* and runs */
	EXECS,
	LEAVES, /* by _exit() */
	EXITS,	/* by exit() */
	HAS_CHILD,
	RUNS_AND_HAS_CHILD
};

enum place {
	BETWEEN_TURNS, /* with a wait armed */
	BEFORE_FIRST_TURN,
	WITH_CHANGES, /* that no turn has seen */
	IN_IO,
	IN_TIMER,
	IN_PREPARE,
	IN_CHECK,
	IN_FORK,    /* a fork watcher */
	IN_RELEASE, /* callback, with changes queued */
	IN_ACQUIRE,
	IN_HANDLER, /* of a signal that ends the wait */
	IN_THREAD
};

struct row {
	enum place place;
	enum deed deed;
	enum tell tell;
	bool is_default; /* loop */
};

/* clang-format off */
#define TELL_EACH(...)                                                         \
	{ __VA_ARGS__, LOOP_FORK, false }, { __VA_ARGS__, FORKCHECK, false },  \
	{ __VA_ARGS__, NOTHING, false }
#define TELL_EACH_DEFAULT(...)                                                 \
	{ __VA_ARGS__, LOOP_FORK, true }, { __VA_ARGS__, FORKCHECK, true },    \
	{ __VA_ARGS__, NOTHING, true }

static const struct row forks[] = {
	TELL_EACH(BETWEEN_TURNS, RUNS),
	TELL_EACH(BETWEEN_TURNS, DESTROYS),
	TELL_EACH(BETWEEN_TURNS, DETACHES),
	TELL_EACH(BETWEEN_TURNS, HAS_CHILD),
	TELL_EACH(BETWEEN_TURNS, RUNS_AND_HAS_CHILD),
	{ BETWEEN_TURNS, EXECS,  NOTHING,   false },
	{ BETWEEN_TURNS, LEAVES, NOTHING,   false },
	{ BETWEEN_TURNS, EXITS,  NOTHING,   false },
	{ BETWEEN_TURNS, EXECS,  LOOP_FORK, false },
	{ BETWEEN_TURNS, EXITS,  LOOP_FORK, false },

	TELL_EACH_DEFAULT(BETWEEN_TURNS, RUNS),
	TELL_EACH_DEFAULT(BETWEEN_TURNS, DESTROYS),
	TELL_EACH_DEFAULT(BETWEEN_TURNS, HAS_CHILD),
	TELL_EACH_DEFAULT(BETWEEN_TURNS, RUNS_AND_HAS_CHILD),
	{ BETWEEN_TURNS, EXECS,  NOTHING, true },
	{ BETWEEN_TURNS, LEAVES, NOTHING, true },
	{ BETWEEN_TURNS, EXITS,  NOTHING, true },

	TELL_EACH(BEFORE_FIRST_TURN, RUNS),
	TELL_EACH_DEFAULT(BEFORE_FIRST_TURN, RUNS),
	TELL_EACH(BEFORE_FIRST_TURN, DESTROYS),
	TELL_EACH(BEFORE_FIRST_TURN, HAS_CHILD),
	{ BEFORE_FIRST_TURN, EXECS,  NOTHING, false },
	{ BEFORE_FIRST_TURN, LEAVES, NOTHING, false },

	TELL_EACH(WITH_CHANGES, RUNS),
	TELL_EACH(WITH_CHANGES, DESTROYS),
	TELL_EACH(WITH_CHANGES, HAS_CHILD),
	{ WITH_CHANGES, EXECS,  NOTHING, false },
	{ WITH_CHANGES, LEAVES, NOTHING, false },

	TELL_EACH(IN_IO, RUNS),
	TELL_EACH(IN_TIMER, RUNS),
	TELL_EACH(IN_PREPARE, RUNS),
	TELL_EACH(IN_CHECK, RUNS),
	TELL_EACH(IN_FORK, RUNS),
	TELL_EACH(IN_RELEASE, RUNS),
	TELL_EACH(IN_ACQUIRE, RUNS),
	TELL_EACH(IN_HANDLER, RUNS),
	{ IN_IO,      HAS_CHILD, LOOP_FORK, false },
	{ IN_PREPARE, DESTROYS,  LOOP_FORK, false },
	{ IN_CHECK,   LEAVES,    NOTHING,   false },

	TELL_EACH(IN_THREAD, RUNS),
	TELL_EACH(IN_THREAD, DESTROYS),
	{ IN_THREAD, RUNS_AND_HAS_CHILD, LOOP_FORK, false },
	{ IN_THREAD, RUNS_AND_HAS_CHILD, FORKCHECK, false },
	{ IN_THREAD, EXECS,  NOTHING, false },
	{ IN_THREAD, LEAVES, NOTHING, false },
};
/* clang-format on */

/*
 * the family
 */

/* What a process holds of the kernel. */
struct holdings {
	int nr_fds, nr_rings;
	uint64_t nr_rebuilds;
};

static struct family {
	struct row row;
	pid_t pid;	  /* of the child, 0 there, -1 before */
	bool is_observed; /* a parent sleeps in the same loop */
	struct holdings before;

	struct pair old, fresh;
	struct pair changed; /* of WITH_CHANGES; and what ends IN_IO's wait */
	struct watch w, own, w_changed; /* own: only of a child */
	struct pair go;
	struct pair shell; /* both ends of an EXECS child */
	ev_fork fork;
	int nr_forks;
} family;

static bool is_ring(int dir_fd, const char *name)
{
	char link[64];
	ssize_t size = readlinkat(dir_fd, name, link, sizeof(link) - 1);

	link[size > 0 ? size : 0] = 0;
	return !strcmp(link, RING_FD);
}

static int nr_rings_of(pid_t pid)
{
	struct dirent *entry;
	char path[64];
	int nr = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	dir = opendir(path);
	check_that(dir != NULL);
	while ((entry = readdir(dir)))
		nr += is_ring(dirfd(dir), entry->d_name);
	closedir(dir);
	return nr;
}

static struct holdings holdings(void)
{
	return (struct holdings){
		.nr_fds = count_fds(),
		.nr_rings = nr_rings_of(getpid()),
		.nr_rebuilds = is_evring() ? stats().ring_rebuilds : 0,
	};
}

static void check_holdings(uint64_t nr_rebuilt)
{
	struct holdings got = holdings(), want = family.before;

	check_int(got.nr_fds, <=, want.nr_fds);
	if (is_faulty)
		return;
	check_int(got.nr_fds, ==, want.nr_fds);
	check_int(got.nr_rings, ==, want.nr_rings);
	check_int(got.nr_rings, ==, is_evring());
	check_int(got.nr_rebuilds, ==,
		  want.nr_rebuilds + (is_evring() ? nr_rebuilt : 0));
	check_int(evring_tier(scene.loop), ==, expected_tier(scene.mode));
}

/* A child's own, since its fork. */
static int expected_forks(void)
{
	if (family.row.tell != LOOP_FORK)
		return family.row.tell == FORKCHECK;
	return family.row.place != IN_PREPARE && family.row.place != IN_FORK;
}

static bool shares_set(void)
{
	return family.row.tell == NOTHING && family.row.place != IN_FORK;
}

/*
 * what works
 */

static void check_event(struct watch *w, struct pair pair)
{
	check_int(events_in_turn(w), ==, 0);
	put(pair.theirs);
	check_turn(w, EV_READ);
	take(pair.ours);
	check_int(events_in_turn(w), ==, 0);
}

static void check_wakes(struct watch *w, struct pair pair)
{
	int before = w->nr;
	struct actor actor;

	act_when_asleep(&actor, put_to, &pair.theirs);
	run_once();
	check_int(w->nr, ==, before + 1);
	join(&actor);
	take(pair.ours);
	check_int(events_in_turn(w), ==, 0);
}

/* Long enough to sleep; there are more than a thousand of these. */
static const double MOMENT = 0.001;

static void check_nap(void)
{
	double start_time = now();
	int before = family.w.nr;

	nap(MOMENT);
	check_time(now() - start_time, >=, MOMENT);
	check_int(family.w.nr, ==, before);
}

static void check_turns_are_free(void)
{
	struct evring_stats before, after;

	turns(3);
	if (!promises_more())
		return;
	before = stats();
	turns(100);
	after = stats();
	check_int(after.enters - before.enters, ==, 0);
	check_int(after.waits_avoided - before.waits_avoided, ==, 100);
}

/* A process that is not observed may use everything and start threads. */
static void check_all(void)
{
	check_nap();
	check_wakes(&family.w, family.old);
	check_event(&family.w, family.old);
	if (ev_is_active(&family.w_changed.io))
		check_event(&family.w_changed, family.changed);
}

/* Its parent gets this event, too. */
static void check_event_for_both(void)
{
	put(family.old.theirs);
	while (!family.w.nr)
		run_on();
}

static void check_own_watcher(void)
{
	watch(&family.own, family.fresh.ours, EV_READ);
	check_event(&family.own, family.fresh);
	if (!family.is_observed)
		check_wakes(&family.own, family.fresh);
	stop(&family.own);
}

/*
 * the child
 */

static void begin(void)
{
	alarm((unsigned)patience(PATIENCE));
	family.before = holdings();
	family.nr_forks = 0;
	family.w.nr = 0;
	if (family.is_observed)
		ev_break(scene.loop, EVBREAK_CANCEL); /* trap e */
	if (family.row.tell == LOOP_FORK)
		ev_loop_fork(scene.loop);
}

static void run_as_child(void)
{
	turn();
	check_holdings(1);
	check_turns_are_free();
	if (family.is_observed)
		check_nap();
	else
		check_all();
	if (!shares_set())
		check_own_watcher();
	else if (family.is_observed)
		check_event_for_both();
	check_int(family.nr_forks, ==, expected_forks());
	check_holdings(1);
}

static void destroy(void)
{
	int nr_fds = count_fds();

	ev_loop_destroy(scene.loop);
	check_int(nr_rings_of(getpid()), ==, 0);
	check_int(count_fds(), <, nr_fds);
}

static void run_detached(void)
{
	if (is_evring())
		detach();
	check_int(nr_rings_of(getpid()), ==, 0);
	check_int(count_fds(), ==,
		  family.before.nr_fds - family.before.nr_rings);
	check_all();
	check_int(family.nr_forks, ==, expected_forks());
}

_Noreturn static void exec_shell(void)
{
	dup2(family.shell.theirs, 0);
	dup2(family.shell.theirs, 1);
	execl("/bin/sh", "sh", "-c", "echo; read line", (char *)NULL);
	_exit(127);
}

static void has_child(void);

_Noreturn static void live(void)
{
	switch (family.row.deed) {
	case RUNS:
		run_as_child();
		destroy();
		break;
	case DESTROYS:
		destroy();
		break;
	case DETACHES:
		run_detached();
		break;
	case EXECS:
		exec_shell();
	case LEAVES:
		break;
	case EXITS:
		exit(0);
	case HAS_CHILD:
		has_child();
		break;
	case RUNS_AND_HAS_CHILD:
		run_as_child();
		has_child();
		check_holdings(0);
		if (!family.is_observed)
			check_all();
		destroy();
	}
	_exit(0);
}

/* The child comes back from here as well, wherever that is. */
static void fork_here(void)
{
	fflush(NULL);
	family.pid = fork();
	check_int(family.pid, >=, 0);
	if (family.pid)
		return;
	take(family.go.ours);
	begin();
}

/*
 * the parent
 */

/* It has no ring, nor has anything else leaked that is one. */
static void look_at_shell(void)
{
	check_int(take(family.shell.ours), ==, '\n');
	check_int(nr_rings_of(family.pid), ==, 0);
	put_char(family.shell.ours, '\n');
}

static void await_child(void)
{
	int status;

	put(family.go.theirs);
	if (family.row.deed == EXECS)
		look_at_shell();
	check_int(waitpid(family.pid, &status, 0), ==, family.pid);
	check_int(status, ==, 0);
}

/* One more generation: it runs. */
static void has_child(void)
{
	struct holdings before;

	family.row.deed = RUNS;
	family.row.place = BETWEEN_TURNS;
	before = holdings();
	fork_here();
	if (!family.pid)
		live();
	await_child();
	family.before = before;
}

static void on_fork(struct ev_loop *loop, ev_fork *w, int revents)
{
	(void)loop;
	(void)w;
	check_int(revents, ==, EV_FORK);
	family.nr_forks++;
	if (family.row.place == IN_FORK && family.pid < 0)
		fork_here();
}

static unsigned flags_of(const struct row *row)
{
	return row->tell == FORKCHECK ? EVFLAG_FORKCHECK : 0;
}

static void start_watchers(void)
{
	family.old = open_pair();
	family.fresh = open_pair();
	family.changed = open_pair();
	family.go = open_pipe();
	family.shell = open_pair();
	watch(&family.w, family.old.ours, EV_READ);
	ev_fork_init(&family.fork, on_fork);
	ev_fork_start(scene.loop, &family.fork);
}

/* Attached, and with no turn since. */
static void attach_only(void)
{
	if (!is_evring() || scene.is_attached)
		return;
	turn();
	attach();
}

static void open_family(int i, const struct row *row)
{
	(row->is_default ? open_default_scene_with
			 : open_scene_with)(i, flags_of(row));
	family.row = *row;
	family.pid = -1;
	family.is_observed =
		row->place == IN_THREAD || row->place == IN_HANDLER;
	start_watchers();
	if (row->place == BEFORE_FIRST_TURN) {
		attach_only();
	} else {
		settle();
		nap(MOMENT);
	}
	if (row->place == WITH_CHANGES)
		watch(&family.w_changed, family.changed.ours, EV_READ);
	family.before = holdings();
}

/*
 * places
 */

#define FORK_IN(type)                                                          \
	static void fork_in_##type(struct ev_loop *loop, type *w, int revents) \
	{                                                                      \
		(void)revents;                                                 \
		type##_stop(loop, w);                                          \
		fork_here();                                                   \
	}

static sem_t has_forked;

static void fork_in_handler(int signum)
{
	int error = errno;

	(void)signum;
	fork_here();
	sem_post(&has_forked);
	errno = error;
}

/* It does not end meanwhile: a sanitizer has a lock then, and so would the
   child, for ever. */
static void interrupt(void *thread)
{
	pthread_kill(*(pthread_t *)thread, SIGUSR1);
	while (sem_wait(&has_forked) < 0)
		;
}

static void sleep_until_interrupted(void)
{
	pthread_t self = pthread_self();
	struct actor actor;

	check_int(sem_init(&has_forked, 0, 0), ==, 0);
	signal(SIGUSR1, fork_in_handler);
	act_when_asleep(&actor, interrupt, &self);
	while (family.pid < 0)
		run_on();
	if (!family.pid)
		live();
	join(&actor);
	await_child();
	drain(family.old.ours);
	family.w.nr = 0;
}

static void do_nothing(struct ev_loop *loop)
{
	(void)loop;
}

static void fork_in_callback(struct ev_loop *loop)
{
	ev_set_loop_release_cb(loop, do_nothing, do_nothing);
	fork_here();
}

FORK_IN(ev_timer)
FORK_IN(ev_prepare)
FORK_IN(ev_check)

static void fork_in_io(struct watch *w)
{
	take_one(w);
	stop(w);
	fork_here();
}

static union {
	struct watch io;
	ev_timer timer;
	ev_prepare prepare;
	ev_check check;
} spot;

static void fork_in_thread(void *unused)
{
	(void)unused;
	fork_here();
	if (!family.pid)
		live();
	await_child();
	put(family.old.theirs);
}

/* It sleeps in this turn until the child is gone. */
static void sleep_meanwhile(void)
{
	struct actor actor;

	act_when_asleep(&actor, fork_in_thread, NULL);
	run_once();
	check_int(family.w.nr, ==, 1);
	join(&actor);
	drain(family.old.ours);
}

static void start_spot(enum place place)
{
	switch (place) {
	case IN_IO:
		watch_then(&spot.io, family.changed.ours, EV_READ, fork_in_io);
		put(family.changed.theirs);
		break;
	case IN_TIMER:
		ev_timer_init(&spot.timer, fork_in_ev_timer, 0., 0.);
		ev_timer_start(scene.loop, &spot.timer);
		break;
	case IN_PREPARE:
		ev_prepare_init(&spot.prepare, fork_in_ev_prepare);
		ev_prepare_start(scene.loop, &spot.prepare);
		break;
	case IN_CHECK:
		ev_check_init(&spot.check, fork_in_ev_check);
		ev_check_start(scene.loop, &spot.check);
		break;
	case IN_RELEASE:
		watch(&family.w_changed, family.changed.ours, EV_READ);
		ev_set_loop_release_cb(scene.loop, fork_in_callback,
				       do_nothing);
		break;
	case IN_ACQUIRE:
		watch(&family.w_changed, family.changed.ours, EV_READ);
		ev_set_loop_release_cb(scene.loop, do_nothing,
				       fork_in_callback);
		break;
	default: /* IN_FORK */
		ev_loop_fork(scene.loop);
	}
}

/* Both return, with the child's family.pid 0. */
static void fork_in_turn(enum place place)
{
	start_spot(place);
	while (family.pid < 0)
		turn();
}

/* All of the child's life. */
static void have_child(void)
{
	if (family.row.place == IN_THREAD) {
		sleep_meanwhile();
		return;
	}
	if (family.row.place == IN_HANDLER) {
		sleep_until_interrupted();
		return;
	}
	if (family.row.place < IN_IO)
		fork_here();
	else
		fork_in_turn(family.row.place);
	if (!family.pid)
		live();
	await_child();
}

/*
 * the play
 */

START_TEST(a_fork_leaves_the_parent_as_it_was_and_the_child_a_loop)
{
	const struct row *row = &forks[_i / nr_runnable];

	open_family(_i, row);
	have_child();
	check_holdings(0);
	check_all();
	check_turns_are_free();
	check_int(family.nr_forks, ==, row->place == IN_FORK);
	check_holdings(0);
	close_scene();
}
END_TEST

/*
 * daemons
 */

struct daemon_row {
	struct row row;
	bool is_twice; /* two forks by hand, not daemon() */
};

/* clang-format off */
#define DAEMON_EACH(place, is_default, is_twice)                               \
	{ { place, RUNS, LOOP_FORK, is_default }, is_twice },                  \
	{ { place, RUNS, FORKCHECK, is_default }, is_twice },                  \
	{ { place, RUNS, NOTHING,   is_default }, is_twice }

static const struct daemon_row daemons[] = {
	DAEMON_EACH(BEFORE_FIRST_TURN, false, false),
	DAEMON_EACH(BEFORE_FIRST_TURN, true,  false),
	DAEMON_EACH(BEFORE_FIRST_TURN, false, true),
	DAEMON_EACH(BETWEEN_TURNS,     false, false),
	DAEMON_EACH(BETWEEN_TURNS,     true,  false),
	DAEMON_EACH(BETWEEN_TURNS,     false, true),
};
/* clang-format on */

static void leave_parent(void)
{
	pid_t pid = fork();

	check_int(pid, >=, 0);
	if (pid)
		_exit(0);
}

static void become_daemon(bool is_twice)
{
	if (!is_twice) {
		check_int(daemon(1, 1), ==, 0);
		return;
	}
	leave_parent();
	setsid();
	leave_parent();
}

/* Its parents are gone: nobody else has the set. */
_Noreturn static void run_daemon(int i)
{
	const struct daemon_row *row = &daemons[i / nr_runnable];

	open_family(i, &row->row);
	become_daemon(row->is_twice);
	begin();
	run_as_child();
	check_own_watcher();
	close_scene();
	check_int(nr_rings_of(getpid()), ==, 0);
	_exit(0);
}

START_TEST(a_daemon_goes_on_with_the_loop_of_its_parent)
{
	int status, nr = 0;
	pid_t pid;

	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	fflush(NULL);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (!pid)
		run_daemon(_i);
	for (; wait(&status) > 0; nr++)
		ck_assert_int_eq(status, 0);
	ck_assert_int_ge(nr, 2);
}
END_TEST

/*
 * no system call
 */

/* clang-format off */
static const struct {
	struct row row;
	bool is_parent; /* the one that is looked at */
} quiet_ones[] = {
	{ { BETWEEN_TURNS, RUNS, LOOP_FORK, false }, false },
	{ { BETWEEN_TURNS, RUNS, FORKCHECK, false }, false },
	{ { BETWEEN_TURNS, RUNS, NOTHING,   false }, false },
	{ { BETWEEN_TURNS, RUNS, NOTHING,   false }, true  },
};
/* clang-format on */

/*
 * From here on all but leave() is death.  Two are libev's: the clock, where it
 * is a system call at all, and the question of EVFLAG_FORKCHECK.
 */
static void forbid_system_calls(bool may_ask_pid)
{
	unsigned pid = may_ask_pid ? SYS_getpid : SYS_exit_group;
	/* clang-format off */
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 3, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clock_gettime, 2, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, pid, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	/* clang-format on */
	struct sock_fprog prog = { ARRAY_SIZE(code), code };

	check_int(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), ==, 0);
	check_int(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog), ==, 0);
}

/* Sanitizers have an _exit() of their own that does more. */
_Noreturn static void leave(void)
{
	for (;;)
		syscall(SYS_exit_group, 0);
}

_Noreturn static void run_quietly(void)
{
	turns(5);
	if (promises_more())
		forbid_system_calls(family.row.tell == FORKCHECK);
	turns(100);
	leave();
}

/* The filter stays for good, so it is another process that gets it. */
static int fork_and_run_quietly(void *arg)
{
	int i = *(int *)arg;

	open_family(i, &quiet_ones[i / nr_runnable].row);
	fork_here();
	if (!family.pid)
		run_quietly();
	await_child();
	if (quiet_ones[i / nr_runnable].is_parent)
		run_quietly();
	close_scene();
	return 0;
}

START_TEST(a_fork_is_noticed_without_a_system_call)
{
	ck_assert_int_eq(run_in_child(fork_and_run_quietly, &_i), 0);
}
END_TEST

/*
 * timers
 */

static void await_alarm(struct alarm *w)
{
	while (!w->nr)
		run_on();
	check_nap();
	check_int(w->nr, ==, 1);
}

START_TEST(a_timer_of_before_the_fork_fires_in_both)
{
	struct row row = { BETWEEN_TURNS, RUNS, _i / nr_runnable, false };
	struct alarm w;

	open_family(_i, &row);
	set_alarm(&w, 0.01, 0.);
	fork_here();
	put(family.go.theirs);
	await_alarm(&w);
	if (!family.pid)
		_exit(0);
	await_child();
	close_scene();
}
END_TEST

/* A child with another timeout in the same kind of wait, at the same time. */
START_TEST(a_childs_timeouts_are_not_its_parents)
{
	double start_time;
	pid_t pid;
	int i;

	open_scene(_i);
	settle();
	nap(SHORT_NAP);
	pid = fork();
	if (!pid) {
		ev_loop_fork(scene.loop);
		for (i = 0; i < 20; i++)
			nap(0.001);
		_exit(0);
	}
	start_time = now();
	nap(0.03);
	check_time(now() - start_time, >=, 0.03);
	check_int(waitpid(pid, NULL, 0), ==, pid);
	close_scene();
}
END_TEST

/*
 * many
 */

static int child_sees_event(void *arg)
{
	struct watch *w = arg;
	struct pair pair = open_pair();
	struct watch own;

	ev_loop_fork(scene.loop);
	w->nr = 0;
	turn();
	if (w->nr != 1)
		return 1;
	watch(&own, pair.ours, EV_READ);
	stop(w);
	put(pair.theirs);
	run_once();
	if (own.nr != 1 || w->nr != 1)
		return 2;
	take(pair.ours);
	nap(SHORT_NAP);
	ev_loop_destroy(scene.loop);
	return own.nr == 1 ? 0 : 3;
}

START_TEST(each_of_many_children_gets_an_event_that_was_there)
{
	struct pair pair;
	struct watch w;
	int i;

	pair = open_watched(_i, &w);
	nap(SHORT_NAP); /* a wait is under way */
	for (i = 0; i < 3; i++) {
		put(pair.theirs);
		check_int(run_in_child(child_sees_event, &w), ==, 0);
		check_turn(&w, EV_READ);
		take(pair.ours);
		check_quiet(&w);
	}
	close_scene();
}
END_TEST

/*
 * all of them
 */

void add_forks(void)
{
	add_rows("forks",
		 a_fork_leaves_the_parent_as_it_was_and_the_child_a_loop,
		 ARRAY_SIZE(forks));
	add_rows("forks", a_daemon_goes_on_with_the_loop_of_its_parent,
		 ARRAY_SIZE(daemons));
	add_rows("forks", a_fork_is_noticed_without_a_system_call,
		 ARRAY_SIZE(quiet_ones));
	add_rows("forks", a_timer_of_before_the_fork_fires_in_both,
		 NOTHING + 1);
	add_scenario("forks", a_childs_timeouts_are_not_its_parents);
	add_scenario("forks",
		     each_of_many_children_gets_an_event_that_was_there);
}
