/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libuv.c - an echo server on libuv's streams: what a message costs there.
 *
 * An answer is tried at once, as in epoll.c, and uv_write() has what the socket
 * did not take; until that is done nothing is read.  (uv_write() alone would do
 * the same, with a request and a callback for every message.)
 *
 * libuv reads again when a read has filled the buffer.  Buffers are twice as
 * long as those of the others, so that a message of that length does not cost
 * a second read that finds nothing.
 */
#include "config.h"

#include <err.h>
#include <stdlib.h>
#include <uv.h>

#include "echo.h"

struct connection {
	uv_tcp_t stream;
	uv_write_t rest;
	char buffer[2 * ECHO_BUFFER_SIZE];
};

static void on_read(uv_stream_t *stream, ssize_t nr, const uv_buf_t *buffer);

static void on_closed(uv_handle_t *handle)
{
	free(handle);
}

static void leave(struct connection *c)
{
	if (!uv_is_closing((uv_handle_t *)&c->stream))
		uv_close((uv_handle_t *)&c->stream, on_closed);
}

static void give_buffer(uv_handle_t *handle, size_t wish, uv_buf_t *ret_buffer)
{
	struct connection *c = (struct connection *)handle;

	(void)wish;
	*ret_buffer = uv_buf_init(c->buffer, sizeof(c->buffer));
}

static void start_reading(struct connection *c)
{
	if (uv_read_start((uv_stream_t *)&c->stream, give_buffer, on_read))
		leave(c);
}

static void on_written(uv_write_t *rest, int status)
{
	struct connection *c = (struct connection *)rest->handle;

	if (status < 0)
		leave(c);
	else
		start_reading(c);
}

static void send_rest(struct connection *c, char *data, size_t size)
{
	uv_buf_t rest = uv_buf_init(data, (unsigned)size);

	uv_read_stop((uv_stream_t *)&c->stream);
	if (uv_write(&c->rest, (uv_stream_t *)&c->stream, &rest, 1, on_written))
		leave(c);
}

static void on_read(uv_stream_t *stream, ssize_t nr, const uv_buf_t *buffer)
{
	struct connection *c = (struct connection *)stream;
	uv_buf_t answer = uv_buf_init(buffer->base, nr > 0 ? (unsigned)nr : 0);
	int sent;

	if (nr < 0)
		leave(c);
	if (nr <= 0)
		return;
	sent = uv_try_write(stream, &answer, 1);
	if (sent < 0 && sent != UV_EAGAIN)
		leave(c);
	else if (sent < nr)
		send_rest(c, buffer->base + (sent > 0 ? sent : 0),
			  (size_t)(nr - (sent > 0 ? sent : 0)));
}

static void on_connection(uv_stream_t *listener, int status)
{
	struct connection *c;

	if (status < 0)
		return;
	c = malloc(sizeof(*c));
	if (!c)
		err(1, "connection");
	uv_tcp_init(listener->loop, &c->stream);
	if (uv_accept(listener, (uv_stream_t *)&c->stream))
		leave(c);
	else
		start_reading(c);
}

static void serve(int listener)
{
	static uv_tcp_t accepting;
	static uv_loop_t loop;

	if (uv_loop_init(&loop) || uv_tcp_init(&loop, &accepting) ||
	    uv_tcp_open(&accepting, listener) ||
	    uv_listen((uv_stream_t *)&accepting, ECHO_BACKLOG, on_connection))
		errx(1, "libuv");
	uv_run(&loop, UV_RUN_DEFAULT);
}

const char *echo_libuv_version(void)
{
	return uv_version_string();
}

const struct echo_server echo_libuv = { "libuv", "its streams", serve };
