/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ops.c - reads as operations of a libev loop, plain, and with file and buffers
 * registered with the ring.
 */
#include "config.h"

#include <err.h>
#include <errno.h>
#include <ev.h>
#include <evring.h>
#include <liburing.h>
#include <stdbool.h>
#include <string.h>

#include "read.h"

struct slot {
	evring_op op;
	char *buffer;
	uint32_t block;
	int idx;
};

static struct ev_loop *the_loop;
static struct slot slots[READ_DEPTH];
static struct read_list *reading;
static bool is_fixed;

static void start(struct slot *slot)
{
	struct io_uring_sqe *sqe = evring_op_start(the_loop, &slot->op);
	uint64_t offset;

	if (!sqe)
		err(1, "evring_op_start");
	slot->block = read_next(reading);
	offset = (uint64_t)slot->block * READ_SIZE;
	if (is_fixed) {
		io_uring_prep_read_fixed(sqe, 0, slot->buffer, READ_SIZE,
					 offset, slot->idx);
		sqe->flags |= IOSQE_FIXED_FILE;
	} else {
		io_uring_prep_read(sqe, reading->fd, slot->buffer, READ_SIZE,
				   offset);
	}
}

static void on_read(struct ev_loop *loop, evring_op *op, int revents)
{
	struct slot *slot = (struct slot *)op;

	(void)loop;
	(void)revents;
	read_done(reading, slot->buffer, slot->block, op->res);
	if (reading->nr_started < reading->nr)
		start(slot);
}

static void begin(int fd, char *buffers)
{
	int i;

	(void)fd;
	the_loop = evring_loop_new(EVFLAG_NOENV, NULL);
	if (!the_loop)
		errx(1, "evring: %s", evring_strerror(errno));
	for (i = 0; i < READ_DEPTH; i++) {
		evring_op_init(&slots[i].op, on_read);
		slots[i].buffer = buffers + (size_t)i * READ_SIZE;
		slots[i].idx = i;
	}
}

static void begin_fixed(int fd, char *buffers)
{
	struct iovec iovecs[READ_DEPTH];
	struct io_uring *ring;
	int i, r;

	begin(fd, buffers);
	is_fixed = true;
	for (i = 0; i < READ_DEPTH; i++)
		iovecs[i] = (struct iovec){ slots[i].buffer, READ_SIZE };
	r = evring_set_files(the_loop, 1);
	if (r < 0)
		errx(1, "evring_set_files: %s", evring_strerror(r));
	ring = evring_ring(the_loop);
	if (!ring)
		err(1, "evring_ring");
	r = io_uring_register_files_update(ring, 0, &fd, 1);
	if (r != 1)
		errx(1, "registering a file: %s", strerror(-r));
	r = io_uring_register_buffers(ring, iovecs, READ_DEPTH);
	if (r < 0)
		errx(1, "registering buffers: %s", strerror(-r));
}

static void read_all(struct read_list *list)
{
	int i;

	reading = list;
	for (i = 0; i < READ_DEPTH && list->nr_started < list->nr; i++)
		start(&slots[i]);
	ev_run(the_loop, 0);
}

const struct reader read_ops = { "operations", 0, begin, read_all };
const struct reader read_fixed = { "operations, fixed", 0, begin_fixed,
				   read_all };
