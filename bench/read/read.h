/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * read.h - ways to read many blocks of a file at once, and what they have in
 * common.
 *
 * Each runs in a process of its own.  It keeps READ_DEPTH reads under way until
 * all of a list have been made; the next block of the list is read as soon as
 * one has come.  Every block begins with its own number, which is looked at, so
 * that nothing counts as read that was not.
 */
#ifndef READ_H
#define READ_H

#include <stdint.h>

enum { READ_DEPTH = 32, READ_SIZE = 4096 };

/* Blocks to be read, and how far that is. */
struct read_list {
	int fd;
	const uint32_t *blocks;
	unsigned nr, nr_started, nr_done;
};

struct reader {
	const char *name;
	unsigned nr_threads; /* of a pool; 0 without one */

	/*
	 * Once, with the file and READ_DEPTH buffers of READ_SIZE, one after
	 * the other, aligned to READ_SIZE.
	 */
	void (*begin)(int fd, char *buffers);

	/* Any number of times: returns when all of the list has come. */
	void (*read_all)(struct read_list *list);
};

extern const struct reader read_ops;   /* evring */
extern const struct reader read_fixed; /* with registered file and buffers */

/* Where configure has found libuv. */
extern const struct reader read_libuv_4; /* threads, libuv's default */
extern const struct reader read_libuv_32;

/* The next block of list, which must have one; there are nr - nr_started. */
uint32_t read_next(struct read_list *list);

/* A read has come: end the program if this is not what block is. */
void read_done(struct read_list *list, const char *buffer, uint32_t block,
	       long result);

#endif
