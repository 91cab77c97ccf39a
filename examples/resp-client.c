/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * resp-client.c - the connection of a client: requests in, replies out.
 *
 * Commands are carried out where they were received, in the buffer of the
 * group.  Only what is not whole is copied, into the client's own buffer
 * (query), and continued there.  The replies to all that came at once are sent
 * at once.
 *
 * A client that takes no replies: from high_water bytes on its commands wait in
 * query (is_blocked), and if more come, it is not read from any more.  When
 * half of the replies have gone it goes on.
 *
 * Invariants:
 *
 * (1) query is not empty if and only if a command is unfinished, or commands
 *     wait because the client is blocked.  It is paid for from the pool.
 * (2) Nothing is parsed while the client is blocked, or after its end.
 */
#include "resp.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MIN_QUERY = 1024 };

struct client {
	struct stream stream; /* the first member */
	struct session session;
	struct parser parser;
	struct reply reply;
	char *query;
	size_t query_size, query_room;
	size_t paid;	  /* to the pool, for query and parser */
	bool is_blocked;  /* by its replies */
	bool is_ending;	  /* no more commands of it */
	bool is_stopping; /* it ends when it is not blocked */
	bool is_watched;  /* it must make progress: --stall */
};

static struct cache *cache_of(const struct client *client)
{
	return (struct cache *)client->stream.worker;
}

static struct client *client_of(struct stream *stream)
{
	return (struct client *)stream;
}

/*
 * The end
 */

/* Its memory would be too much, or it is no client at all. */
static void cut(struct client *client)
{
	client->is_ending = true;
	count(&cache_of(client)->nr_cut, 1);
	stream_cut(&client->stream, -ENOBUFS);
}

static void refuse(struct client *client, const char *why)
{
	client->is_ending = true;
	count(&cache_of(client)->nr_refused, 1);
	reply_begin(&client->reply);
	reply_error(&client->reply, "ERR Protocol error: %s", why);
}

/*
 * The client's own buffer
 */

/* Pay for what query and parser hold. */
static bool pay(struct client *client, size_t query_room)
{
	struct pool *pool = client->reply.pool;
	size_t due = query_room + parser_memory(&client->parser);

	if (due > client->paid && !pool_take(pool, due - client->paid))
		return false;
	if (due < client->paid)
		pool_give(pool, client->paid - due);
	client->paid = due;
	return true;
}

static void free_query(struct client *client)
{
	free(client->query);
	client->query = NULL;
	client->query_size = client->query_room = 0;
	pay(client, 0);
}

/* At least size; more, so that it is not copied again and again, but not more
   than the unfinished argument wants. */
static size_t room_for(const struct client *client, size_t size)
{
	size_t room = client->query_room * 2, wanted;

	wanted = parser_wants(&client->parser);
	if (room > wanted)
		room = wanted;
	if (room < size)
		room = size;
	return room < MIN_QUERY ? MIN_QUERY : room;
}

static bool grow_query(struct client *client, size_t size)
{
	size_t room = room_for(client, size);
	char *query;

	if (size <= client->query_room)
		return true;
	if (!pay(client, room))
		return false;
	query = realloc(client->query, room);
	if (!query) {
		pay(client, client->query_room);
		return false;
	}
	client->query = query;
	client->query_room = room;
	return true;
}

static void keep(struct client *client, const char *data, size_t size)
{
	if (size == 0 || client->is_ending)
		return;
	if (!grow_query(client, client->query_size + size)) {
		refuse(client, "no memory for the request");
		return;
	}
	memcpy(client->query + client->query_size, data, size);
	client->query_size += size;
}

static void drop(struct client *client, size_t size)
{
	client->query_size -= size;
	if (client->query_size == 0)
		free_query(client);
	else if (size > 0)
		memmove(client->query, client->query + size,
			client->query_size);
}

/*
 * Commands
 */

static void run_command_of(struct client *client, const char *bytes)
{
	struct server *server = &cache_of(client)->server;
	struct call call = {
		.server = server,
		.reply = &client->reply,
		.session = &client->session,
		.bytes = bytes,
		.args = client->parser.args,
		.nr_args = client->parser.nr_args,
	};

	reply_begin(&client->reply);
	command_run(&call);
	if (client->session.wants_end || client->session.wants_cut ||
	    client->reply.is_lost)
		client->is_ending = true;
}

static bool is_over_high_water(const struct client *client)
{
	return client->reply.size + stream_queued(&client->stream) >=
	       cache_of(client)->high_water;
}

/* One command at bytes; false: there is none, or no more. */
static bool run_next(struct client *client, char *bytes, size_t size)
{
	switch (parser_parse(&client->parser, bytes, size)) {
	case PARSE_MORE:
		return false;
	case PARSE_ERROR:
		refuse(client, client->parser.error);
		return false;
	case PARSE_COMMAND:
		run_command_of(client, bytes);
		break;
	case PARSE_EMPTY:
		break;
	}
	return true;
}

/* How many of the bytes are done with. */
static size_t run_all(struct client *client, char *bytes, size_t size)
{
	size_t done = 0;

	while (!client->is_ending) {
		if (is_over_high_water(client)) {
			client->is_blocked = true;
			return done;
		}
		if (!run_next(client, bytes + done, size - done))
			break;
		done += client->parser.at;
		parser_next(&client->parser);
	}
	return client->is_ending ? size : done;
}

static void run_query(struct client *client)
{
	drop(client, run_all(client, client->query, client->query_size));
}

/*
 * Replies
 */

static void send_replies(struct client *client)
{
	struct chunk *chunk = reply_take(&client->reply), *next;

	for (; chunk; chunk = next) {
		next = chunk->next;
		chunk->piece.bytes = chunk->bytes;
		chunk->piece.size = chunk->used;
		chunk->piece.data = chunk;
		if (stream_send(&client->stream, &chunk->piece) < 0)
			chunk_free(client->reply.pool, chunk);
	}
}

/* Nothing is left but that it takes its replies. */
static bool is_leaving(const struct client *client)
{
	return client->is_ending || client->is_stopping ||
	       client->stream.has_peer_end;
}

/* Who holds our memory has to go on. */
static void watch(struct client *client)
{
	bool is_watched = client->is_blocked || client->query_size > 0 ||
			  is_leaving(client);
	double limit = daemon_options.idle;

	if (is_watched == client->is_watched)
		return;
	client->is_watched = is_watched;
	if (is_watched && resp_options.stall > 0 &&
	    (limit <= 0 || resp_options.stall < limit))
		limit = resp_options.stall;
	stream_set_idle(&client->stream, limit);
}

/* After any number of commands. */
static void settle(struct client *client)
{
	send_replies(client);
	if (!pay(client, client->query_room))
		client->reply.is_lost = true;
	watch(client);
	if (client->reply.is_lost || client->session.wants_cut)
		cut(client);
	else if ((client->is_ending || client->is_stopping) &&
		 !client->is_blocked)
		stream_finish(&client->stream);
	cache_settle(cache_of(client));
}

static void unblock(struct client *client)
{
	client->is_blocked = false;
	run_query(client);
	settle(client);
	if (client->is_blocked || client->is_ending)
		return;
	if (client->stream.has_peer_end)
		stream_finish(&client->stream);
	else
		stream_resume(&client->stream);
}

/*
 * Events
 */

static void on_data(struct stream *stream, char *data, size_t size)
{
	struct client *client = client_of(stream);
	size_t done;

	cache_of(client)->server.now = resp_now();
	if (client->is_blocked) {
		keep(client, data, size);
		stream_pause(stream);
	} else if (client->query_size == 0) {
		done = run_all(client, data, size);
		keep(client, data + done, size - done);
	} else {
		keep(client, data, size);
		run_query(client);
	}
	stream_put(stream->worker, data);
	settle(client);
}

static void on_sent(struct stream *stream, struct evring_piece *pieces, int res)
{
	struct client *client = client_of(stream);
	struct evring_piece *next;

	(void)res;
	for (; pieces; pieces = next) {
		next = pieces->next;
		chunk_free(client->reply.pool, pieces->data);
	}
	if (!client->is_blocked || stream->state != STREAM_OPEN ||
	    stream_queued(stream) > cache_of(client)->high_water / 2)
		return;
	cache_of(client)->server.now = resp_now();
	unblock(client);
}

/* What it sent before is answered. */
static void on_peer_end(struct stream *stream)
{
	watch(client_of(stream));
	if (!client_of(stream)->is_blocked)
		stream_finish(stream);
}

static void on_stop(struct stream *stream)
{
	struct client *client = client_of(stream);

	client->is_stopping = true;
	watch(client);
	if (!client->is_blocked)
		stream_finish(stream);
}

static void on_gone(struct stream *stream)
{
	struct client *client = client_of(stream);

	free_query(client);
	parser_exit(&client->parser);
	pay(client, 0);
	free(client);
}

static const struct stream_type client_type = {
	.data = on_data,
	.sent = on_sent,
	.peer_end = on_peer_end,
	.stop = on_stop,
	.gone = on_gone,
};

void client_begin(struct worker *worker, int fd)
{
	struct cache *cache = (struct cache *)worker;
	struct server *server = &cache->server;
	struct client *client = calloc(1, sizeof(*client));
	int on = 1;

	if (!client) {
		close(fd);
		return;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	parser_init(&client->parser, &server->limits);
	reply_init(&client->reply, &server->pool, cache->max_output);
	client->session.id =
		++cache->last_id * daemon_options.workers + worker->index;
	if (stream_begin(&client->stream, &client_type, worker, fd) < 0)
		free(client);
}
