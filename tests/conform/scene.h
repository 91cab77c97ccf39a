/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * scene.h - what the scenarios of conform share: the loop in one of its modes,
 * turns of it, watchers that count, descriptors, threads that wait for a loop
 * to sleep.
 *
 * What to know before writing a scenario:
 *
 * a) open_scene() makes the loop of a mode.  In the mode "late" it is not
 *    attached yet: settle() does that, after the watchers of the test were
 *    started and the loop has run without us.  So settle() comes where nothing
 *    is ready yet, and is not optional: close_scene() looks whether evring was
 *    really in use.
 * b) Descriptors block, and callbacks read no more than what was promised.  A
 *    false report hangs the test, and its alarm tells which mode it was.
 * c) turn() may not block and run_once() may.  No event in a turn proves little
 *    when readiness is only noticed in a wait: nap() waits.
 * d) Another thread that acts on a blocked loop waits for the kernel to say
 *    that this thread sleeps; see act_when_asleep().
 * e) A file has its own add_ function, which names its scenarios.
 */
#ifndef SCENE_H
#define SCENE_H

#include <errno.h>
#include <ev.h>
#include <evring.h>
#include <netinet/in.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "../harness.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/*
 * modes
 */

struct mode {
	const char *name;
	enum evring_tier tier; /* what it becomes where nothing is missing */
	bool needs_region;     /* has no sense without */
	bool is_late;	       /* attached by settle(), not at birth */
	struct evring_config config;
};

enum { MAX_MODES = 16 };

/* Those that this machine can do. */
extern const struct mode *runnable[MAX_MODES];
extern int nr_runnable;

/* Once, in the parent of all tests: which modes, and why others are not. */
void find_runnable(void);

/*
 * scenarios
 */

/* In each mode, and each for nr_rows rows of a table: _i is the mode plus
   nr_runnable times the row.  No rows: once, it goes through the modes
   itself. */
struct scenario {
	const char *group;
	const TTest *test;
	int nr_rows;
};

enum { MAX_SCENARIOS = 256 };
extern struct scenario scenarios[MAX_SCENARIOS];
extern int nr_scenarios;

void add_scenario(const char *group, const TTest *test);
void add_rows(const char *group, const TTest *test, size_t nr_rows);
void add_once(const char *group, const TTest *test);
void add_all_scenarios(void);

void add_readiness(void);
void add_reuse(void);
void add_closing(void);
void add_kinds(void);
void add_peers(void);
void add_idle(void);
void add_timers(void);
void add_collecting(void);
void add_watchers(void);
void add_wakers(void);
void add_loops(void);
void add_forks(void);
void add_threads(void);
void add_attaching(void);
void add_many(void);
void add_operations(void);
void add_sockets(void);

/*
 * the scene of a test
 */

enum { MAX_FDS = 16384, PATIENCE = 15 /* seconds */ };

struct scene {
	const struct mode *mode;
	struct ev_loop *loop;
	bool is_attached;
	bool kept[MAX_FDS]; /* to be closed in the end */
};

extern struct scene scene;

/* Ends the test: what is not so, in which mode. */
_Noreturn __attribute__((format(printf, 3, 4))) void
scene_fail(const char *file, int line, const char *format, ...);

#define check_that(condition)                                                  \
	do {                                                                   \
		if (!(condition))                                              \
			scene_fail(__FILE__, __LINE__, "not so: %s",           \
				   #condition);                                \
	} while (0)

#define check_int(got, op, want)                                               \
	do {                                                                   \
		long long got_ = (long long)(got), want_ = (long long)(want);  \
                                                                               \
		if (!(got_ op want_))                                          \
			scene_fail(__FILE__, __LINE__,                         \
				   "%s is %lld, not " #op " %lld", #got, got_, \
				   want_);                                     \
	} while (0)

#define check_time(got, op, want)                                              \
	do {                                                                   \
		double got_ = (got), want_ = (want);                           \
                                                                               \
		if (!(got_ op want_))                                          \
			scene_fail(__FILE__, __LINE__,                         \
				   "%s is %g s, not " #op " %g", #got, got_,   \
				   want_);                                     \
	} while (0)

/* The mode of _i, and a loop of its kind. */
void open_scene(int i);
void open_scene_with(int i, unsigned flags); /* EVFLAG_ */
void open_default_scene(int i);		     /* for signals and children */
void open_default_scene_with(int i, unsigned flags);
void close_scene(void);

/* What evring calls is going to fail: it may refuse to attach, or lose its
   ring, and does not promise more than libev. */
extern bool is_faulty;

/* How many waits were ended by a fault; NULL: none will be. */
extern int (*nr_faulty_waits)(void);

bool is_evring(void); /* not the oracle */
bool promises_more(void);
enum evring_tier expected_tier(const struct mode *mode);
struct evring_stats stats(void);
void attach(void);
bool attach_other(struct ev_loop *loop); /* false: it should have worked */
void detach(void);

struct ev_loop *open_oracle(void);
struct ev_loop *open_another(void); /* of the kind of the scene's */

/*
 * turns
 */

extern const double SHORT_NAP;

void turn(void);
void turns(int nr);
void run_once(void); /* once more if a fault interrupted it */
void run_on(void);   /* for loops that wait for something */
void settle(void);
void nap(double seconds); /* run the loop, mostly blocked */

/*
 * an ev_io that keeps count
 */

struct watch {
	ev_io io;
	int nr;	     /* events so far */
	int revents; /* of the last one */
	unsigned iteration;
	void (*then)(struct watch *watch); /* may be NULL */
	struct watch *other;		   /* for then */
};

void watch(struct watch *watch, int fd, int events);
void watch_then(struct watch *watch, int fd, int events,
		void (*then)(struct watch *watch));
void on_io(struct ev_loop *loop, ev_io *w, int revents); /* its callback */
void start(struct watch *watch);
void stop(struct watch *watch);
void change_events(struct watch *watch, int events); /* stop, set, start */

/* How many events one turn, or a nap, has for it; revents says what kind. */
int events_in_turn(struct watch *watch);
int events_in_nap(struct watch *watch);

#define check_quiet(watch)                                                     \
	do {                                                                   \
		check_int(events_in_turn(watch), ==, 0);                       \
		check_int(events_in_nap(watch), ==, 0);                        \
		check_int(events_in_turn(watch), ==, 0);                       \
	} while (0)

#define check_turn(watch, events)                                              \
	do {                                                                   \
		check_int(events_in_turn(watch), ==, 1);                       \
		check_int((watch)->revents, ==, events);                       \
	} while (0)

/*
 * descriptors; closed with the scene unless discarded before
 */

/* What is written to theirs is read from ours. */
struct pair {
	int ours, theirs;
};

typedef struct pair open_fn(void);

int keep(int fd);
void discard(int fd);

open_fn open_pair, open_pipe, open_tcp, open_udp, open_packets, open_datagrams;
open_fn open_fifo;
open_fn open_pty;	  /* ours is the slave */
open_fn open_eventfd;	  /* both are the same */
int open_temporary(void); /* a regular file */
int open_socket(int type);
int open_listener(void);
struct sockaddr_in loopback(int port);
int bind_to(int fd, int port); /* 0: the kernel picks one */
int connect_to(int fd, int port);
int port_of(int fd);

void put(int fd);
void put_char(int fd, char c);
char take(int fd); /* blocks when there is nothing */
void take_one(struct watch *watch);
void fill(int fd);
void fill_tcp(int fd); /* and the peer's buffer, too */
void drain(int fd);
void set_blocking(int fd, bool on);
short await(int fd, short events); /* of poll(2); what happened */

/* The callback of an ev_io whose data is an int *. */
void take_and_count(struct ev_loop *loop, ev_io *w, int revents);

/*
 * a descriptor's number means another file
 */

/*
 * Steps: s stop, c close, o open a new file with this number (a dup of fresh),
 * S set and start, r start only, t a turn.
 */
void take_step(char step, struct watch *w, int fresh);
void take_steps(const char *steps, struct watch *w, int fresh);

/* The new file is reported, and is the one that is read. */
void check_is_fresh(struct watch *w, int theirs);

/* What most scenarios begin with: a pair, ours watched for EV_READ, settled. */
struct pair open_watched(int i, struct watch *w);

/*
 * another thread, and a loop that is asleep
 */

struct actor {
	pthread_t thread;
	pid_t sleeper;
	void (*act)(void *arg);
	void *arg;
};

void await_sleep(pid_t tid);

/* act (arg) runs in another thread once this one sleeps. */
void act_when_asleep(struct actor *actor, void (*act)(void *), void *arg);
void join(struct actor *actor);
void put_to(void *fd); /* an act; fd is an int * */

struct bell {
	ev_async async;
	int nr;
};

void start_bell(struct bell *bell);
extern sem_t seen; /* the loop has seen what the other thread did */

/*
 * a timer that keeps count
 */

struct alarm {
	ev_timer timer;
	int nr;
	double at; /* it is not due before */
	struct alarm *previous;
};

void set_alarm(struct alarm *self, double after, double repeat);

/* A callback for ev_set_invoke_pending_cb(). */
void invoke_later(struct ev_loop *loop);

/*
 * what the oracle says: play a scene on both and compare what was noted
 */

struct log {
	char text[512];
	size_t size;
};

__attribute__((format(printf, 2, 3))) void note(struct log *log,
						const char *format, ...);
extern struct log *the_log; /* of the loop that is being played */
void check_with_oracle(void (*play)(struct ev_loop *, struct log *));

#endif
