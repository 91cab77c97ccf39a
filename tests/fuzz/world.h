/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * world.h - files of every kind behind a few fixed fd numbers.
 */
#ifndef WORLD_H
#define WORLD_H

#include <stdbool.h>

enum kind {
	PIPE,
	STREAM, /* Unix, as are the next two */
	DATAGRAM,
	SEQPACKET,
	TCP,
	FIFO,	/* one of four, by place: open it again and both meet */
	PTY,	/* master and slave, raw */
	NESTED, /* an epoll set and an eventfd in it */
	EVENTFD,
	TIMERFD, /* far from expiring; expires when written to */
	EXPIRED, /* a timerfd */
	LISTENER,
	INOTIFY, /* of a file that is written to when this is */
	REGULAR, /* these three are always ready, and epoll refuses them */
	DIRECTORY,
	NULL_DEVICE,
	NR_KINDS
};

/*
 * Places are fd numbers of this world.  At each there is nothing or one end of
 * a file.  All are non-blocking and not inherited by exec.
 */
enum { NR_PLACES = 10, FIRST_FD = 100 };

/* Once per process, before the others; children inherit it. */
void world_init(void);

/* An empty world, and the end of one: nothing is open. */
void world_begin(void);
void world_end(void);

/* In a forked child: others have these files too. */
void world_forked(void);

/*
 * Did something since world_begin() not come to be in time?  Then the world is
 * not what the program made it, and nothing that was seen in it proves
 * anything.
 */
bool world_is_late(void);

int world_fd(int place);
bool world_is_open(int place);

/* Differs after anything was put there or taken away. */
unsigned world_serial(int place);

/*
 * A file of kind with its ends at place and other; with one of its ends at
 * place and the other one closed, if they are equal.  What has one end only
 * leaves other alone.  Whatever was there is closed.
 */
void world_open(enum kind kind, int place, int other);
bool world_has_two_ends(enum kind kind);
void world_close(int place);
void world_dup(int place, int to);
void world_swap(int place, int other); /* each file gets the other's number */

/*
 * What reading and writing mean for the kind of file: a listener is written to
 * by connecting and read by accepting.  When they return, whoever looks at the
 * file sees their effect.  Return what the system call did, or -errno.
 */
int world_write(int place, int size);
int world_read(int place, int size);
void world_drain(int place);
void world_fill(int place);
int world_shut(int place, int how);

#endif
