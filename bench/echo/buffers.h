/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * buffers.h - buffers that the kernel receives into, for servers that register
 * them by hand.
 *
 * The kernel takes them in the order in which they were given to it.  So it has
 * few, more when they were too few, and the rest is on a stack: what was used
 * last, and is in the cache, is used again.
 */
#ifndef ECHO_BUFFERS_H
#define ECHO_BUFFERS_H

#include <err.h>
#include <liburing.h>
#include <stdlib.h>

enum {
	ECHO_NR_BUFFERS = 2048, /* a power of two */
	ECHO_NR_GIVEN = 16,	/* to begin with */
	ECHO_GROUP = 1
};

struct echo_buffers {
	struct io_uring_buf_ring *ring;
	char *memory;
	int stack[ECHO_NR_BUFFERS];
	int nr_stack, nr_given, nr_wanted;
};

static inline char *echo_buffer(const struct echo_buffers *buffers, int i)
{
	return buffers->memory + (size_t)i * ECHO_BUFFER_SIZE;
}

static inline void echo_buffers_fill(struct echo_buffers *buffers)
{
	int i;

	while (buffers->nr_given < buffers->nr_wanted && buffers->nr_stack) {
		i = buffers->stack[--buffers->nr_stack];
		io_uring_buf_ring_add(buffers->ring, echo_buffer(buffers, i),
				      ECHO_BUFFER_SIZE, (unsigned short)i,
				      io_uring_buf_ring_mask(ECHO_NR_BUFFERS),
				      0);
		io_uring_buf_ring_advance(buffers->ring, 1);
		buffers->nr_given++;
	}
}

static inline void echo_buffers_init(struct echo_buffers *buffers,
				     struct io_uring *ring)
{
	int i, r = 0;

	buffers->ring = io_uring_setup_buf_ring(ring, ECHO_NR_BUFFERS,
						ECHO_GROUP, 0, &r);
	buffers->memory = malloc((size_t)ECHO_NR_BUFFERS * ECHO_BUFFER_SIZE);
	if (!buffers->ring || !buffers->memory)
		errx(1, "buffers: %d", r);
	for (i = ECHO_NR_BUFFERS; i--;)
		buffers->stack[buffers->nr_stack++] = i;
	buffers->nr_wanted = ECHO_NR_GIVEN;
	echo_buffers_fill(buffers);
}

/* The kernel has received into one of them. */
static inline void echo_buffers_take(struct echo_buffers *buffers)
{
	buffers->nr_given--;
	echo_buffers_fill(buffers);
}

static inline void echo_buffers_put(struct echo_buffers *buffers, int i)
{
	buffers->stack[buffers->nr_stack++] = i;
	echo_buffers_fill(buffers);
}

/* The kernel found none. */
static inline void echo_buffers_grow(struct echo_buffers *buffers)
{
	if (buffers->nr_stack)
		buffers->nr_wanted *= 2;
	echo_buffers_fill(buffers);
}

#endif
