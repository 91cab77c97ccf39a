/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * parts.h - what the programs share that tests/run-*.sh start plain and under
 * `evring run`: one main, a loop put to work.
 *
 * They are plain users of libev and know nothing of evring.  What they print on
 * stdout must be the same both times, so it has no numbers that a run chooses:
 * no pids, addresses or times.  What evring did is seen from outside, in what
 * --verbose and --stats print.
 */
#ifndef PARTS_H
#define PARTS_H

#include <ev.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* PROGRAM NAME [ARG...] plays the part of that name; args ends with NULL. */
struct part {
	const char *name;
	void (*play)(char **args);
};

/* Each program defines it; the last has no name. */
extern const struct part parts[];

/* A line on stdout, written at once: children and threads print, too. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Ends the program with status 99 unless ok: something the test rests on. */
#define need(ok)                                                               \
	do {                                                                   \
		if (!(ok))                                                     \
			give_up(__FILE__, __LINE__, #ok);                      \
	} while (0)
_Noreturn void give_up(const char *file, int line, const char *what);

/*
 * 50 round trips over a socket pair, three timers; says what it saw, and which
 * backend it was.
 */
void work(struct ev_loop *loop, const char *label);

/* Half of a pair of stream sockets, both non-blocking. */
struct pair {
	int ours, peers;
};
struct pair make_pair(void);

/* Waits for a child and says how it ended. */
void say_end(int pid);

#endif
