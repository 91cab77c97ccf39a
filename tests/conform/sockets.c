/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * conform/sockets.c - watchers for sockets, and messages, in all modes and, in
 * faults.t, with all faults: what came is told once and in order, what was to
 * go goes in order, nothing that is not told is lost, and the last event comes,
 * exactly once.
 *
 * The rows are what ends the watchers: a stop, a detach, or a thread that takes
 * the loop over for a moment, which ends some of them by itself.  After that
 * all are used once more.
 *
 * libev's epoll has none: there a start says so.  What is special about each
 * watcher is looked at in accept.c, recv.c, send.c and post.c.
 */
#include "config.h"

#include "scene.h"

#include <evring-net.h>
#include <sys/socket.h>

enum { STOP, DETACH, MOVE, NR_WAYS };

static int way_of(int i)
{
	return i / nr_runnable % NR_WAYS;
}

/* Of a row after NR_WAYS rows: a kind of socket of its own. */
static open_fn *open_of(int i)
{
	return i / nr_runnable / NR_WAYS ? open_pair : open_tcp;
}

static bool has_begun(int r)
{
	if (r >= 0)
		return true;
	check_that(is_faulty || r == -ENXIO);
	check_that(is_faulty || !is_evring());
	return false;
}

static void *nap_there(void *arg)
{
	(void)arg;
	nap(SHORT_NAP);
	return NULL;
}

static void go_way(int way)
{
	pthread_t thread;

	if (way == DETACH && scene.is_attached)
		detach();
	if (way != MOVE)
		return;
	check_int(pthread_create(&thread, NULL, nap_there, NULL), ==, 0);
	check_int(pthread_join(thread, NULL), ==, 0);
}

static int nr_active; /* watchers whose last event is to come */

/* With a fault a stop may have been refused: the end of the loop will do. */
static void await_last_events(void)
{
	int i;

	for (i = 0; is_faulty ? i < 5 : nr_active > 0; i++)
		nap(SHORT_NAP);
	if (is_faulty && scene.is_attached)
		detach();
	check_int(nr_active, ==, 0);
}

static void attach_again(void)
{
	if (is_evring() && !scene.is_attached)
		attach();
}

/*
 * connections
 */

enum { NR_CONNECTIONS = 5 };

static struct {
	evring_accept accept;
	int fd, port;
	int nr_made, nr_told;
} listener;

static void on_accept(struct ev_loop *loop, evring_accept *accept, int fd)
{
	check_that(loop == scene.loop);
	if (fd >= 0) {
		check_that(ev_is_active(accept));
		check_int(port_of(fd), ==, listener.port);
		check_int(close(fd), ==, 0);
		listener.nr_told++;
	} else if (!ev_is_active(accept)) {
		check_that(is_faulty || fd == -ECANCELED);
		nr_active--;
	}
}

static void start_listening(void)
{
	evring_accept_init(&listener.accept, on_accept, listener.fd,
			   SOCK_CLOEXEC);
	nr_active =
		has_begun(evring_accept_start(scene.loop, &listener.accept));
}

static void make_connections(void)
{
	int i, fd;

	for (i = 0; i < NR_CONNECTIONS; i++) {
		fd = open_socket(SOCK_STREAM);
		check_int(connect_to(fd, listener.port), ==, 0);
	}
	listener.nr_made += NR_CONNECTIONS;
	while (promises_more() && listener.nr_told < listener.nr_made)
		run_on();
	nap(SHORT_NAP);
}

static int nr_in_backlog(void)
{
	int nr = 0, fd;

	set_blocking(listener.fd, false);
	while ((fd = accept4(listener.fd, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
		close(fd);
		nr++;
	}
	check_int(errno, ==, EAGAIN);
	set_blocking(listener.fd, true);
	return nr;
}

static bool is_accepted(int fd)
{
	struct sockaddr_in address = { 0 };
	socklen_t size = sizeof(address);

	return fd != listener.fd &&
	       getsockname(fd, (struct sockaddr *)&address, &size) == 0 &&
	       address.sin_family == AF_INET &&
	       ntohs(address.sin_port) == listener.port;
}

/* Those whose completions a fault has thrown away. */
static int close_lost(void)
{
	int fd, nr = 0;

	for (fd = 3; is_faulty && fd < 256; fd++)
		if (is_accepted(fd)) {
			close(fd);
			nr++;
		}
	return nr;
}

static void check_connections(void)
{
	if (promises_more())
		check_int(listener.nr_told, ==, listener.nr_made);
	check_int(listener.nr_told + nr_in_backlog() + close_lost(), ==,
		  listener.nr_made);
	listener.nr_told = listener.nr_made = 0;
}

START_TEST(connections_are_told_or_stay_in_the_backlog)
{
	int way = way_of(_i), i;
	struct watch w;

	open_watched(_i, &w);
	listener.fd = open_listener();
	listener.port = port_of(listener.fd);
	listener.nr_told = listener.nr_made = 0;
	for (i = 0; i < 2; i++) {
		attach_again();
		start_listening();
		make_connections();
		go_way(way);
		if (promises_more())
			check_int(nr_active, ==, way != DETACH);
		if (nr_active)
			make_connections();
		evring_accept_stop(scene.loop, &listener.accept);
		await_last_events();
		check_connections();
	}
	attach_again();
	check_quiet(&w);
	close_scene();
}
END_TEST

/*
 * streams that are received
 */

enum { NR_STREAMS = 3, NR_BUFFERS = 2, BUFFER_SIZE = 16, PORTION = 20 };
enum { APART = 80 }; /* what one stream has, no other has */

struct stream {
	evring_recv recv;
	struct pair pair;
	unsigned char sent, received;
	int nr;
	void *held; /* a buffer */
};

static struct stream streams[NR_STREAMS];
static evring_group group;

/* The bytes count up: after a fault some may be missing, none come twice. */
static void check_data(struct stream *stream, const unsigned char *data,
		       int size)
{
	int i;

	for (i = 0; i < size; i++) {
		if (promises_more())
			check_int(data[i], ==, stream->received);
		check_int(data[i], >=, stream->received);
		check_int(data[i], <, stream->sent);
		stream->received = data[i] + 1;
	}
}

static void put_buffer(struct stream *stream)
{
	if (stream->held)
		check_int(evring_group_put(&group, stream->held), ==, 0);
	stream->held = NULL;
}

/* A stream keeps a buffer until the next one, so that the group runs dry. */
static void on_data(struct ev_loop *loop, evring_recv *recv, void *data,
		    int size)
{
	struct stream *stream = (struct stream *)(void *)recv;

	check_that(loop == scene.loop);
	put_buffer(stream);
	if (size > 0) {
		check_data(stream, data, size);
		stream->held = data;
		return;
	}
	check_that(!data && !ev_is_active(recv));
	check_that(is_faulty || size == -ECANCELED);
	nr_active--;
}

static void start_receiving(void)
{
	struct stream *stream;

	for (stream = streams; stream < streams + NR_STREAMS; stream++) {
		evring_recv_init(&stream->recv, on_data, stream->pair.ours,
				 &group);
		nr_active +=
			has_begun(evring_recv_start(scene.loop, &stream->recv));
	}
}

static void put_portion(struct stream *stream)
{
	unsigned char bytes[PORTION];
	int i;

	for (i = 0; i < PORTION; i++)
		bytes[i] = stream->sent++;
	check_int(write(stream->pair.theirs, bytes, PORTION), ==, PORTION);
}

static void put_buffers(void)
{
	int i;

	for (i = 0; i < NR_STREAMS; i++)
		put_buffer(&streams[i]);
}

static bool is_all_received(void)
{
	int i;

	for (i = 0; i < NR_STREAMS; i++)
		if (streams[i].received != streams[i].sent)
			return false;
	return true;
}

static void put_portions(void)
{
	int i;

	for (i = 0; i < NR_STREAMS; i++)
		put_portion(&streams[i]);
	for (i = 0; is_faulty ? i < 5 : nr_active && !is_all_received(); i++) {
		nap(SHORT_NAP);
		put_buffers();
	}
}

static void stop_receiving(void)
{
	int i;

	for (i = 0; i < NR_STREAMS; i++)
		evring_recv_stop(scene.loop, &streams[i].recv);
	await_last_events();
	put_buffers();
}

static void receive(int way)
{
	start_receiving();
	put_portions();
	go_way(way);
	if (way == MOVE) /* they have ended with the ring */
		check_that(is_faulty || !nr_active);
	stop_receiving();
}

START_TEST(streams_are_received_in_order)
{
	struct watch w;
	int i;

	open_watched(_i, &w);
	memset(streams, 0, sizeof(streams));
	nr_active = 0;
	for (i = 0; i < NR_STREAMS; i++) {
		streams[i].pair = open_of(_i)();
		streams[i].sent = streams[i].received =
			(unsigned char)(i * APART);
	}
	if (has_begun(evring_group_init(scene.loop, &group, NR_BUFFERS,
					BUFFER_SIZE, 0))) {
		receive(way_of(_i));
		attach_again();
		receive(way_of(_i));
		check_int(group.nr_free, ==, NR_BUFFERS);
		check_int(evring_group_exit(&group), ==, 0);
	}
	attach_again();
	check_quiet(&w);
	close_scene();
}
END_TEST

/*
 * streams that are sent
 */

/* The first has large pieces and little room, the second has pieces that are
   sent without a copy and room for all: else who ends the loop would wait for
   a peer that is read from afterwards. */
static const size_t sizes[][5] = { { 1, 70000, 100, 5000, 40000 },
				   { 7000, 100, 5000, 1, 6000 } };

enum { NR_SENDERS = ARRAY_SIZE(sizes), NR_PIECES = ARRAY_SIZE(sizes[0]) };
enum { ZERO_COPY = 4096, SMALL_ROOM = 4608 };

static struct sender {
	evring_send send;
	struct pair pair;
	evring_piece pieces[NR_PIECES];
	unsigned nr_queued, nr_back;
	size_t nr_taken; /* bytes, by the kernel */
	size_t nr_read;	 /* by the peer */
	size_t position; /* in the stream, of the piece to come */
} senders[NR_SENDERS];

/* What is at each place of a stream. */
static unsigned char byte_at(size_t position)
{
	return (unsigned char)(position * 7 + position / 251);
}

static void on_sent(struct ev_loop *loop, evring_send *send,
		    evring_piece *pieces, int res)
{
	struct sender *sender = (struct sender *)(void *)send;
	evring_piece *piece;

	check_that(loop == scene.loop);
	check_that(is_faulty || !res || res == -ECANCELED);
	for (piece = pieces; piece; piece = piece->next) {
		check_that(piece == &sender->pieces[sender->nr_back]);
		check_that(res || piece->sent == piece->size);
		sender->nr_back++;
		sender->nr_taken += piece->sent;
	}
	if (!ev_is_active(send))
		nr_active--;
}

static void queue_piece(struct sender *sender, size_t size)
{
	evring_piece *piece = &sender->pieces[sender->nr_queued];
	bool was_active = ev_is_active(&sender->send);
	unsigned char *bytes = malloc(size);
	size_t i;

	for (i = 0; i < size; i++)
		bytes[i] = byte_at(sender->position + i);
	*piece = (evring_piece){ .bytes = bytes, .size = size };
	if (!has_begun(evring_send_queue(scene.loop, &sender->send, piece))) {
		free(bytes);
		return;
	}
	nr_active += !was_active;
	sender->position += size;
	sender->nr_queued++;
}

static void read_there(struct sender *sender, int flags)
{
	static unsigned char bytes[65536];
	ssize_t size;
	int i;

	while ((size = recv(sender->pair.theirs, bytes, sizeof(bytes), flags)) >
	       0)
		for (i = 0; i < size; i++)
			check_int(bytes[i], ==, byte_at(sender->nr_read++));
}

static bool is_all_back(void)
{
	int i;

	for (i = 0; i < NR_SENDERS; i++)
		if (senders[i].nr_back < senders[i].nr_queued)
			return false;
	return true;
}

static void read_some(bool until_all)
{
	int i, s;

	for (i = 0; until_all && !is_faulty ? !is_all_back() : i < 5; i++) {
		nap(SHORT_NAP);
		for (s = 0; s < NR_SENDERS; s++)
			read_there(&senders[s], MSG_DONTWAIT);
	}
}

static void queue_pieces(struct sender *sender, const size_t *piece_sizes)
{
	int i;

	for (i = 0; i < NR_PIECES; i++)
		queue_piece(sender, piece_sizes[i]);
}

static void open_sender(struct sender *sender, open_fn *open, bool is_large)
{
	int room = SMALL_ROOM;

	memset(sender, 0, sizeof(*sender));
	sender->pair = open();
	if (is_large)
		setsockopt(sender->pair.ours, SOL_SOCKET, SO_SNDBUF, &room,
			   sizeof(room));
	evring_send_init(&sender->send, on_sent, sender->pair.ours);
	if (!is_large)
		sender->send.zero_copy = ZERO_COPY;
}

/* What the kernel took arrives, and nothing else but what was queued. */
static void close_sender(struct sender *sender)
{
	unsigned i;

	check_int(sender->nr_back, ==, sender->nr_queued);
	shutdown(sender->pair.ours, SHUT_WR);
	read_there(sender, 0); /* to the end of the stream */
	check_int(sender->nr_read, >=, sender->nr_taken);
	check_int(sender->nr_read, <=, sender->position);
	for (i = 0; i < sender->nr_queued; i++)
		free((void *)(uintptr_t)sender->pieces[i].bytes);
}

static void send_pieces(int way)
{
	int i;

	for (i = 0; i < NR_SENDERS; i++)
		queue_pieces(&senders[i], sizes[i]);
	read_some(way == STOP);
	go_way(way);
	for (i = 0; i < NR_SENDERS; i++)
		evring_send_cancel(scene.loop, &senders[i].send);
	await_last_events();
}

START_TEST(pieces_are_sent_in_order_and_come_back)
{
	int i, s, way = way_of(_i);
	struct watch w;

	open_watched(_i, &w);
	nr_active = 0;
	for (i = 0; i < 2; i++) {
		attach_again();
		for (s = 0; s < NR_SENDERS; s++)
			open_sender(&senders[s], open_of(_i), s == 0);
		send_pieces(way);
		if (promises_more() && way == STOP)
			check_int(senders[0].nr_taken, ==, senders[0].position);
		for (s = 0; s < NR_SENDERS; s++)
			close_sender(&senders[s]);
	}
	attach_again();
	check_quiet(&w);
	close_scene();
}
END_TEST

/*
 * messages
 */

enum { HERE, THERE, ELSEWHERE, NR_SOURCES, NR_MESSAGES = 6 };

static struct {
	evring_port port;
	evring_message messages[NR_SOURCES][NR_MESSAGES];
	uint64_t next[NR_SOURCES]; /* value that is to come */
	int nr_heard, nr_ends;
} box;

static void check_message(const evring_message *message)
{
	const evring_message *first = &box.messages[0][0];
	int source = (int)((message - first) / NR_MESSAGES);

	check_int(message->value, ==, box.next[source]++);
	box.nr_heard++;
}

static void on_message(struct ev_loop *loop, evring_port *port,
		       evring_message *message)
{
	check_that(loop == scene.loop);
	if (message) {
		check_message(message);
		return;
	}
	check_that(!ev_is_active(port));
	box.nr_ends++;
}

static void post_all(struct ev_loop *from, int source)
{
	evring_message *message;
	int i;

	for (i = 0; i < NR_MESSAGES; i++) {
		message = &box.messages[source][i];
		message->value = (uint64_t)i;
		check_int(evring_post(from, &box.port, message), ==, 0);
	}
}

static void post_from_there(void *arg)
{
	(void)arg;
	post_all(NULL, THERE);
}

static void post_from_elsewhere(void)
{
	struct ev_loop *other = open_another();

	post_all(other, ELSEWHERE);
	ev_run(other, EVRUN_NOWAIT);
	ev_loop_destroy(other);
}

static void hear(int nr)
{
	int i;

	for (i = 0; promises_more() ? box.nr_heard < nr : i < 5; i++)
		if (promises_more())
			run_once(); /* it has to be woken */
		else
			nap(SHORT_NAP);
}

/* Posted while the loop sleeps, if it has the port. */
static void hear_from_there(void)
{
	struct actor actor;

	if (!promises_more() || !ev_is_active(&box.port)) {
		post_from_there(NULL);
		return;
	}
	act_when_asleep(&actor, post_from_there, NULL);
	hear(2 * NR_MESSAGES);
	join(&actor);
}

static void exchange(int way)
{
	evring_message *message;
	bool has_started;

	memset(&box, 0, sizeof(box));
	evring_port_init(&box.port, on_message);
	has_started = has_begun(evring_port_start(scene.loop, &box.port));
	post_all(NULL, HERE);
	hear(NR_MESSAGES);
	go_way(way);
	hear_from_there();
	post_from_elsewhere();
	if (way != DETACH)
		hear(NR_SOURCES * NR_MESSAGES);
	if (is_faulty || way == DETACH)
		check_int(box.nr_ends, <=, has_started);
	else
		check_int(box.nr_ends, ==, 0);
	evring_port_stop(scene.loop, &box.port);
	while ((message = evring_port_take(&box.port)))
		check_message(message);
	check_int(box.nr_heard, ==, NR_SOURCES * NR_MESSAGES);
}

START_TEST(messages_are_heard_once_and_in_order)
{
	struct watch w;

	open_watched(_i, &w);
	exchange(way_of(_i));
	attach_again();
	exchange(way_of(_i));
	attach_again();
	check_quiet(&w);
	close_scene();
}
END_TEST

/*
 * all of them
 */

void add_sockets(void)
{
	add_rows("sockets", connections_are_told_or_stay_in_the_backlog,
		 NR_WAYS);
	add_rows("sockets", streams_are_received_in_order, 2 * NR_WAYS);
	add_rows("sockets", pieces_are_sent_in_order_and_come_back,
		 2 * NR_WAYS);
	add_rows("sockets", messages_are_heard_once_and_in_order, NR_WAYS);
}
