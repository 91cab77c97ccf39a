/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * http-connection.c - a connection: requests in, answers out, in order.
 *
 * Requests are answered one after the other: the next one is looked at when all
 * of the answer before it is queued to be sent.  What came meanwhile stays in
 * the buffers in which it came, and the stream is paused.  So a client that
 * asks for much and reads little costs two chunks of a file, or some heads.
 *
 * Those buffers are the worker's: when few are left, what is kept is copied and
 * its buffer given back, or some such clients would have them all.
 *
 * State, and the function that moves it:
 *
 *   READING -> LOOKING [answer_request]  a file has to be opened
 *   READING -> READING [answer_request]  answered from memory
 *   LOOKING -> READING [on_file]         the same, later
 *   any     -> SENDING [send_body]       the body is read from a descriptor
 *   SENDING -> READING [on_read]         all of it is queued
 *
 * Invariants:
 *
 * (1) file is held in SENDING only; wait is linked in LOOKING only.
 * (2) Between LOOKING and READING request and its text stay as they are.
 * (3) At most MAX_CHUNKS parts that are as large as a chunk are in memory for
 *     a connection: of a file that is read, or a redirection.
 * (4) When the stream is gone nothing but an operation that reads may still
 *     look at a connection; then its last event frees it.
 */
#include "http-connection.h"
#include "daemon/stream.h"
#include "http-answer.h"
#include "http-path.h"

#include <arpa/inet.h>
#include <errno.h>
#include <liburing.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	MAX_CHUNKS = 2,
	MAX_QUEUED = 4 * CHUNK_SIZE, /* bytes; then no request is looked at */
	MAX_INPUTS = 4,		     /* then the stream is paused */
	MAX_UNUSED = 256
};

enum connection_state { READING, LOOKING, SENDING };

/* What came and could not be looked at yet. */
struct input {
	char *buffer; /* data may have moved behind its end, to another one;
			 NULL: a copy */
	char *data;
	size_t size;
	struct input *next;
	char copy[];
};

struct connection {
	struct stream stream; /* first */
	struct http_worker *worker;
	enum connection_state state;
	bool is_last; /* no request is looked at any more */
	bool has_end; /* no more data will come */
	bool is_gone;
	bool is_paused;
	unsigned nr_unsent; /* answers */
	unsigned nr_inputs;
	struct input *first, *last;

	ev_timer head_timer;
	double head_since; /* daemon_seconds(); 0: nobody waits for a head */

	struct file_wait wait;
	struct file *file;
	struct range left; /* of file */
	unsigned nr_chunks;
	struct evring_op read;
	struct part *chunk; /* being read into */

	struct connection *next; /* unused */
	char peer[INET6_ADDRSTRLEN];
	struct request request;
	char text[]; /* of request; --max-header bytes */
};

static void run(struct connection *c);

/*
 * Memory
 */

static struct connection *connection_new(struct http_worker *worker)
{
	struct connection *c = worker->unused;

	if (c) {
		worker->unused = c->next;
		worker->nr_unused--;
	} else {
		c = malloc(sizeof(*c) + (size_t)http_options.max_header);
	}
	return c;
}

static void connection_free(struct connection *c)
{
	struct http_worker *worker = c->worker;

	if (worker->nr_unused == MAX_UNUSED) {
		free(c);
		return;
	}
	c->next = worker->unused;
	worker->unused = c;
	worker->nr_unused++;
}

void connections_exit(struct http_worker *worker)
{
	struct connection *c;

	while ((c = worker->unused)) {
		worker->unused = c->next;
		free(c);
	}
}

static struct worker *worker_of(struct connection *c)
{
	return &c->worker->worker;
}

/*
 * Input
 */

static void drop_input(struct connection *c)
{
	struct input *input = c->first;

	c->first = input->next;
	if (!c->first)
		c->last = NULL;
	c->nr_inputs--;
	if (input->buffer)
		stream_put(worker_of(c), input->buffer);
	free(input);
}

static void drop_inputs(struct connection *c)
{
	while (c->first)
		drop_input(c);
}

static bool is_short_of_buffers(const struct connection *c)
{
	const struct evring_group *group = &c->worker->worker.group;

	return group->nr_free <= group->nr_buffers / 4;
}

/* NULL: no memory.  buffer is the input's, or was given back. */
static struct input *input_new(struct connection *c, char *buffer, char *data,
			       size_t size)
{
	bool is_copy = is_short_of_buffers(c);
	struct input *input = malloc(sizeof(*input) + (is_copy ? size : 0));

	if (input)
		*input = (struct input){ buffer, data, size, NULL };
	if (input && is_copy) {
		input->buffer = NULL;
		input->data = memcpy(input->copy, data, size);
	}
	if (!input || is_copy)
		stream_put(worker_of(c), buffer);
	return input;
}

static void keep_input(struct connection *c, char *buffer, char *data,
		       size_t size)
{
	struct input *input = input_new(c, buffer, data, size);

	if (!input) {
		stream_cut(&c->stream, -ENOMEM);
		return;
	}
	*(c->last ? &c->last->next : &c->first) = input;
	c->last = input;
	c->nr_inputs++;
}

static void pause_input(struct connection *c)
{
	if (c->is_paused)
		return;
	c->is_paused = true;
	stream_pause(&c->stream);
}

static void resume_input(struct connection *c)
{
	if (!c->is_paused)
		return;
	c->is_paused = false;
	stream_resume(&c->stream);
}

/*
 * Output
 */

static bool is_open(const struct connection *c)
{
	return c->stream.state == STREAM_OPEN;
}

/* False: the stream is over. */
static bool send_part(struct connection *c, struct part *part)
{
	int r = stream_send(&c->stream, &part->piece);

	if (!r)
		return true;
	part_put(&c->worker->parts, part);
	stream_cut(&c->stream, r);
	return false;
}

/* NULL: the stream is over. */
static struct part *get_part(struct connection *c, enum part_kind kind)
{
	struct part *part = part_get(&c->worker->parts, kind);

	if (!part)
		stream_cut(&c->stream, -ENOMEM);
	return part;
}

static void begin_request(struct connection *c)
{
	c->state = READING;
	request_begin(&c->request, c->text, (size_t)http_options.max_header);
}

static void note_answer(struct connection *c, const struct answer *answer)
{
	c->nr_unsent++;
	log_request(&c->worker->log, c->peer, &c->request, answer->status,
		    answer->length);
}

/* location: of a redirection, may be long. */
static void send_status(struct connection *c, int status, const char *location)
{
	enum part_kind kind = location ? PART_CHUNK : PART_HEAD;
	struct part *part = get_part(c, kind);
	struct answer answer;
	struct text text;

	if (!part)
		return;
	text.at = part->memory;
	text.end = text.at + (location ? CHUNK_SIZE : HEAD_SIZE);
	text.is_cut = false;
	answer_status(c->worker, &c->request, status, location, &text, &answer);
	c->nr_chunks += kind == PART_CHUNK;
	part->piece.size = (size_t)(text.at - part->memory);
	part->is_last = true;
	note_answer(c, &answer);
	begin_request(c);
	send_part(c, part);
}

static bool send_content_part(struct connection *c, struct content *content,
			      const struct range *range, bool is_last)
{
	struct part *part = get_part(c, PART_CONTENT);

	if (!part)
		return false;
	content->refs++;
	part->content = content;
	part->piece.bytes = content->bytes + range->first;
	part->piece.size = (size_t)range->size;
	part->is_last = is_last;
	return send_part(c, part);
}

/* Not as one piece: that the peer takes something is seen by the piece. */
static void send_content(struct connection *c, struct content *content,
			 struct range left)
{
	struct range range;

	while (left.size) {
		range = left;
		if (range.size > CHUNK_SIZE)
			range.size = CHUNK_SIZE;
		left.first += range.size;
		left.size -= range.size;
		if (!send_content_part(c, content, &range, !left.size))
			return;
	}
}

static void on_read(struct ev_loop *loop, struct evring_op *op, int revents);

/* Read what may be read ahead. */
static void read_on(struct connection *c)
{
	struct io_uring_sqe *sqe;
	struct part *part;

	if (c->chunk || c->nr_chunks >= MAX_CHUNKS || !is_open(c))
		return;
	part = get_part(c, PART_CHUNK);
	if (!part)
		return;
	evring_op_init(&c->read, on_read);
	sqe = evring_op_start(worker_of(c)->loop, &c->read);
	if (!sqe) {
		stream_cut(&c->stream, -errno);
		part_put(&c->worker->parts, part);
		return;
	}
	part->piece.size =
		c->left.size < CHUNK_SIZE ? (size_t)c->left.size : CHUNK_SIZE;
	io_uring_prep_read(sqe, c->file->fd, part->memory,
			   (unsigned)part->piece.size, c->left.first);
	c->chunk = part;
	c->nr_chunks++;
}

static void put_file(struct connection *c)
{
	file_put(&c->worker->files, c->file);
	c->file = NULL;
}

/* What has been read goes out; a file that has become shorter than was said
   cannot be ended but by a cut. */
static void send_chunk(struct connection *c, struct part *part, int res)
{
	if (res <= 0) {
		c->nr_chunks--;
		part_put(&c->worker->parts, part);
		stream_cut(&c->stream, res ? res : -EIO);
		return;
	}
	part->piece.size = (size_t)res;
	c->left.first += (uint64_t)res;
	c->left.size -= (uint64_t)res;
	part->is_last = !c->left.size;
	if (!send_part(c, part))
		return;
	if (c->left.size) {
		read_on(c);
		return;
	}
	put_file(c);
	begin_request(c);
	run(c);
}

static void on_read(struct ev_loop *loop, struct evring_op *op, int revents)
{
	struct connection *c = op->data;
	struct part *part = c->chunk;

	(void)loop;
	(void)revents;
	c->chunk = NULL;
	if (!c->is_gone) {
		send_chunk(c, part, op->res);
		return;
	}
	part_put(&c->worker->parts, part);
	put_file(c);
	connection_free(c);
}

/* file's reference is taken. */
static void send_body(struct connection *c, struct file *file,
		      struct part *head, const struct range *range)
{
	bool is_content = file->content != NULL;
	struct content *content = file->content;

	if (!is_content) {
		c->file = file;
		c->left = *range;
		c->state = SENDING;
		if (send_part(c, head))
			read_on(c);
		return;
	}
	begin_request(c);
	if (send_part(c, head))
		send_content(c, content, *range);
	file_put(&c->worker->files, file);
}

/* A body that finds room behind the head goes with it. */
static bool add_body(struct text *text, const struct file *file,
		     const struct range *range)
{
	if (!range->size)
		return true;
	if (!file->content || range->size > (uint64_t)(text->end - text->at))
		return false;
	text_add(text, file->content->bytes + range->first,
		 (size_t)range->size);
	return true;
}

/* file's reference is taken. */
static void send_file(struct connection *c, struct file *file)
{
	struct part *part = get_part(c, PART_HEAD);
	struct answer answer;
	struct text text;

	if (!part) {
		file_put(&c->worker->files, file);
		return;
	}
	text = (struct text){ part->memory, part->memory + HEAD_SIZE, false };
	answer_file(c->worker, &c->request, file, &text, &answer);
	note_answer(c, &answer);
	part->is_last = add_body(&text, file, &answer.range);
	part->piece.size = (size_t)(text.at - part->memory);
	if (!part->is_last) {
		send_body(c, file, part, &answer.range);
		return;
	}
	file_put(&c->worker->files, file);
	begin_request(c);
	send_part(c, part);
}

/*
 * Requests
 */

static int status_of(int error)
{
	switch (error) {
	case -ENOENT:
	case -ENOTDIR:
	case -ENAMETOOLONG:
		return 404;
	case -EACCES:
	case -EPERM:
	case -EXDEV:
	case -ELOOP:
	case -ENXIO:
		return 403;
	case -EAGAIN:
	case -ECANCELED:
	case -EMFILE:
	case -ENFILE:
	case -ENOMEM:
		return 503;
	default:
		return 500;
	}
}

/* Or the directory has the name of an index. */
static bool names_without_slash(const struct connection *c)
{
	size_t size = strcspn(c->request.target, "?#");

	return size && c->request.target[size - 1] != '/';
}

static void refuse_file(struct connection *c, const char *path, int error)
{
	if (error != -EISDIR)
		send_status(c, status_of(error), NULL);
	else if (names_without_slash(c))
		send_status(c, 301, path);
	else
		send_status(c, 403, NULL);
}

static bool find_path(const struct connection *c, char path[HTTP_PATH_SIZE],
		      int *ret_status)
{
	*ret_status =
		http_path_decode(c->request.target, strlen(c->request.target),
				 http_options.index, path);
	return !*ret_status;
}

static void on_file(struct file_wait *wait, struct file *file, int error)
{
	struct connection *c =
		(struct connection *)((char *)wait -
				      offsetof(struct connection, wait));
	char path[HTTP_PATH_SIZE];
	int status;

	if (!is_open(c)) {
		c->state = READING;
		file_put(&c->worker->files, file);
		return;
	}
	if (file)
		send_file(c, file);
	else if (find_path(c, path, &status))
		refuse_file(c, path, error);
	run(c);
}

static void look_for(struct connection *c, const char *path)
{
	struct file *file;
	int r = files_get(&c->worker->files, path, &c->wait, &file);

	if (r > 0)
		c->state = LOOKING;
	else if (r)
		refuse_file(c, path, r);
	else
		send_file(c, file);
}

static void answer_request(struct connection *c)
{
	char path[HTTP_PATH_SIZE];
	int status = c->request.status;

	c->head_since = 0;
	if (worker_of(c)->is_stopping)
		c->request.keep_alive = false;
	c->is_last = !c->request.keep_alive;
	if (!status && find_path(c, path, &status))
		look_for(c, path);
	else
		send_status(c, status, NULL);
}

static size_t parse(struct connection *c, const char *data, size_t size)
{
	size_t used = request_parse(&c->request, data, size);

	if (!c->head_since)
		c->head_since = daemon_seconds();
	if (c->request.is_complete)
		answer_request(c);
	return used;
}

static bool may_parse(const struct connection *c)
{
	return c->state == READING && !c->is_last && is_open(c) &&
	       c->nr_unsent < http_options.max_unsent &&
	       c->nr_chunks < MAX_CHUNKS &&
	       stream_queued(&c->stream) < MAX_QUEUED;
}

/* Returns what is left. */
static size_t parse_all(struct connection *c, char **data, size_t size)
{
	size_t used;

	while (size && may_parse(c)) {
		used = parse(c, *data, size);
		*data += used;
		size -= used;
	}
	return size;
}

/* After anything that may have changed what there is to do. */
static void settle(struct connection *c)
{
	if (!is_open(c) || (c->is_last && c->state == READING)) {
		drop_inputs(c);
		if (is_open(c))
			stream_finish(&c->stream);
	} else if (c->nr_inputs >= MAX_INPUTS) {
		pause_input(c);
	} else if (!c->first && c->state == READING) {
		resume_input(c);
		if (c->has_end)
			stream_finish(&c->stream);
	}
}

/* Go on with what has come. */
static void run(struct connection *c)
{
	while (c->first && may_parse(c)) {
		c->first->size = parse_all(c, &c->first->data, c->first->size);
		if (!c->first->size)
			drop_input(c);
	}
	settle(c);
}

/*
 * The stream's events
 */

static struct connection *connection_of(struct stream *stream)
{
	return (struct connection *)stream;
}

static void on_data(struct stream *stream, char *data, size_t size)
{
	struct connection *c = connection_of(stream);
	char *buffer = data;

	if (!c->first)
		size = parse_all(c, &data, size);
	if (size)
		keep_input(c, buffer, data, size);
	else
		stream_put(worker_of(c), buffer);
	settle(c);
}

static void on_sent(struct stream *stream, struct evring_piece *pieces, int res)
{
	struct connection *c = connection_of(stream);
	struct evring_piece *next;
	struct part *part;

	(void)res;
	for (; pieces; pieces = next) {
		next = pieces->next;
		part = pieces->data;
		c->nr_unsent -= part->is_last;
		c->nr_chunks -= part->kind == PART_CHUNK;
		part_put(&c->worker->parts, part);
	}
	if (c->state == SENDING)
		read_on(c);
	else
		run(c);
}

static void on_peer_end(struct stream *stream)
{
	struct connection *c = connection_of(stream);

	c->has_end = true;
	settle(c);
}

static bool is_idle(const struct connection *c)
{
	return c->state == READING && !c->request.has_begun && !c->nr_unsent;
}

static void on_stop(struct stream *stream)
{
	struct connection *c = connection_of(stream);

	c->is_last = true;
	c->request.keep_alive = false;
	settle(c);
}

static void on_timeout(struct stream *stream)
{
	if (is_open(connection_of(stream)) && is_idle(connection_of(stream)))
		stream_finish(stream);
	else
		stream_cut(stream, -ETIMEDOUT);
}

static void on_gone(struct stream *stream)
{
	struct connection *c = connection_of(stream);

	ev_timer_stop(worker_of(c)->loop, &c->head_timer);
	drop_inputs(c);
	file_wait_cancel(&c->wait);
	c->is_gone = true;
	if (c->chunk) {
		evring_op_cancel(worker_of(c)->loop, &c->read);
		return;
	}
	put_file(c);
	connection_free(c);
}

static const struct stream_type connection_type = {
	.data = on_data,
	.sent = on_sent,
	.peer_end = on_peer_end,
	.stop = on_stop,
	.timeout = on_timeout,
	.gone = on_gone,
};

/*
 * Begin
 */

static void refuse_slow_head(struct connection *c)
{
	c->is_last = true;
	c->request.keep_alive = false;
	count(&worker_of(c)->nr_timed_out, 1);
	if (c->request.has_begun)
		send_status(c, 408, NULL);
	settle(c);
}

/* One timer for all heads: it looks when the next could be too late. */
static void on_head_timer(struct ev_loop *loop, ev_timer *timer, int revents)
{
	struct connection *c = timer->data;
	double left = http_options.header_timeout;

	(void)revents;
	if (!is_open(c))
		return;
	if (c->head_since && c->state == READING)
		left += c->head_since - daemon_seconds();
	if (left <= 0) {
		refuse_slow_head(c);
		return;
	}
	ev_timer_set(timer, left, 0.);
	ev_timer_start(loop, timer);
}

static void start_head_timer(struct connection *c)
{
	c->head_since = daemon_seconds();
	ev_timer_init(&c->head_timer, on_head_timer,
		      http_options.header_timeout, 0.);
	c->head_timer.data = c;
	ev_timer_start(worker_of(c)->loop, &c->head_timer);
}

static void find_peer(struct connection *c, int fd)
{
	struct sockaddr_storage address;
	socklen_t size = sizeof(address);
	const void *number = &((struct sockaddr_in *)&address)->sin_addr;

	c->peer[0] = '-';
	c->peer[1] = 0;
	if (!http_options.log ||
	    getpeername(fd, (struct sockaddr *)&address, &size))
		return;
	if (address.ss_family == AF_INET6)
		number = &((struct sockaddr_in6 *)&address)->sin6_addr;
	inet_ntop(address.ss_family, number, c->peer, sizeof(c->peer));
}

void connection_begin(struct http_worker *worker, int fd)
{
	struct connection *c = connection_new(worker);
	int on = 1;

	if (!c) {
		close(fd);
		return;
	}
	memset(c, 0, sizeof(*c));
	c->worker = worker;
	c->wait.cb = on_file;
	c->read.data = c;
	find_peer(c, fd);
	begin_request(c);
	/* An answer's last bytes do not wait for the peer's acknowledgement. */
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (stream_begin(&c->stream, &connection_type, &worker->worker, fd)) {
		connection_free(c);
		return;
	}
	start_head_timer(c);
}
