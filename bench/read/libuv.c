/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libuv.c - reads by libuv, which gives them to a pool of threads.
 *
 * From 1.45 on libuv can give them to a ring instead; UV_USE_IO_URING=0 says
 * that it is the pool that is measured.
 */
#include "config.h"

#include <err.h>
#include <stdlib.h>
#include <uv.h>

#include "read.h"

struct slot {
	uv_fs_t request;
	char *buffer;
	uint32_t block;
};

static uv_loop_t loop;
static struct slot slots[READ_DEPTH];
static struct read_list *reading;

static void start(struct slot *slot);

static void on_read(uv_fs_t *request)
{
	struct slot *slot = (struct slot *)request;
	long result = (long)request->result;

	uv_fs_req_cleanup(request);
	read_done(reading, slot->buffer, slot->block, result);
	if (reading->nr_started < reading->nr)
		start(slot);
}

static void start(struct slot *slot)
{
	uv_buf_t buffer = uv_buf_init(slot->buffer, READ_SIZE);

	slot->block = read_next(reading);
	if (uv_fs_read(&loop, &slot->request, reading->fd, &buffer, 1,
		       (int64_t)slot->block * READ_SIZE, on_read))
		errx(1, "uv_fs_read");
}

static void begin(const char *nr_threads, char *buffers)
{
	int i;

	if (setenv("UV_THREADPOOL_SIZE", nr_threads, 1) ||
	    setenv("UV_USE_IO_URING", "0", 1))
		err(1, "setenv");
	if (uv_loop_init(&loop))
		errx(1, "libuv");
	for (i = 0; i < READ_DEPTH; i++)
		slots[i].buffer = buffers + (size_t)i * READ_SIZE;
}

static void begin_4(int fd, char *buffers)
{
	(void)fd;
	begin("4", buffers);
}

static void begin_32(int fd, char *buffers)
{
	(void)fd;
	begin("32", buffers);
}

static void read_all(struct read_list *list)
{
	int i;

	reading = list;
	for (i = 0; i < READ_DEPTH && list->nr_started < list->nr; i++)
		start(&slots[i]);
	uv_run(&loop, UV_RUN_DEFAULT);
}

const struct reader read_libuv_4 = { "libuv, 4 threads", 4, begin_4, read_all };
const struct reader read_libuv_32 = { "libuv, 32 threads", 32, begin_32,
				      read_all };
