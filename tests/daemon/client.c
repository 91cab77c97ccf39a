/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * client.c - clients of an echo daemon, many at once, each in its own bad way.
 *
 *	client SCENE PORT [NUMBER]
 *
 * SCENE is a row of the table below, PORT of 127.0.0.1, NUMBER how many clients
 * there are.  Each sends a text of its own, and every byte that comes back is
 * compared.  Status 0 if all was as the scene wants it; 1, and a line on
 *stderr, if not, or if nothing moves for a long time.
 *
 * "stuck" prints a line when all clients are, waits for one on stdin, reads all
 * that is left, and prints how many bytes there were in all.
 */
#include "config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <netinet/tcp.h>
#include <time.h>
#include <unistd.h>

#define NR_OF(array) (sizeof(array) / sizeof((array)[0]))

enum { MAX_CLIENTS = 4000, MAX_CHUNK = 65536, PATIENCE = 60 /* seconds */ };

enum ending {
	HALF_CLOSE,  /* when all is sent, and the daemon is to end after it */
	CLOSE,	     /* when all has come back */
	CLOSE_AFTER, /* when all has come back to all */
	RESET,	     /* when half is sent, without reading */
	LEAVE,	     /* close then, without reading */
	DEAF,	     /* never reads, until the daemon has enough of it */
	TIME	     /* after some seconds */
};

/* clang-format off */
static const struct scene {
	const char *name;
	unsigned nr;	  /* clients */
	size_t size;	  /* that each sends */
	size_t chunk;	  /* at once */
	size_t window;	  /* the most that has not come back */
	size_t read_size; /* at once; 0: whatever there is */
	unsigned nap_ms;  /* between two looks */
	int room;	  /* SO_RCVBUF, or 0 */
	double seconds;	  /* TIME */
	enum ending ending;
} scenes[] = {
	{ .name = "bytes", .nr = 4, .size = 300, .chunk = 1, .window = 1,
	  .ending = CLOSE },
	{ .name = "drops", .nr = 4, .size = 3000, .chunk = 1,
	  .window = SIZE_MAX, .ending = HALF_CLOSE },
	{ .name = "crowd", .nr = 1000, .size = 500, .chunk = 500,
	  .window = SIZE_MAX, .ending = CLOSE_AFTER },
	{ .name = "queue", .nr = 40, .size = 100, .chunk = 100,
	  .window = SIZE_MAX, .ending = CLOSE },
	{ .name = "halves", .nr = 40, .size = 300000, .chunk = 65536,
	  .window = SIZE_MAX, .ending = HALF_CLOSE },
	{ .name = "nothing", .nr = 40, .size = 0, .chunk = 1,
	  .window = SIZE_MAX, .ending = HALF_CLOSE },
	{ .name = "resets", .nr = 100, .size = 1 << 18, .chunk = 20000,
	  .window = SIZE_MAX, .ending = RESET },
	{ .name = "leaves", .nr = 100, .size = 1 << 18, .chunk = 20000,
	  .window = SIZE_MAX, .ending = LEAVE },
	{ .name = "slow", .nr = 4, .size = 1 << 20, .chunk = 65536,
	  .window = SIZE_MAX, .read_size = 20000, .nap_ms = 5,
	  .ending = HALF_CLOSE },
	{ .name = "sip", .nr = 2, .size = 1 << 30, .chunk = 65536,
	  .window = SIZE_MAX, .read_size = 3000, .nap_ms = 30, .room = 4096,
	  .seconds = 3, .ending = TIME },
	{ .name = "deaf", .nr = 4, .size = 1 << 30, .chunk = 65536,
	  .window = SIZE_MAX, .ending = DEAF },
	{ .name = "stuck", .nr = 8, .size = 1 << 30, .chunk = 65536,
	  .window = SIZE_MAX, .ending = HALF_CLOSE },
};
/* clang-format on */

static const struct scene *scene;

static struct client {
	size_t sent, received;
	bool is_over;
} clients[MAX_CLIENTS];

static struct pollfd fds[MAX_CLIENTS];
static unsigned nr_clients, nr_answered;

__attribute__((format(printf, 1, 2))) static void fail(const char *format, ...)
{
	va_list arguments;

	fprintf(stderr, "client: %s: ", scene ? scene->name : "");
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	exit(1);
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* Of client i at place k: a period that is no power of two. */
static char text_at(unsigned i, size_t k)
{
	return (char)(k % 251 + k / 65521 + i * 7);
}

/*
 * connections
 */

static void connect_client(unsigned i, unsigned port)
{
	struct sockaddr_in at = {
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

	if (fd < 0)
		fail("socket: %s", strerror(errno));
	if (scene->room > 0)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &scene->room,
			   sizeof(scene->room));
	if (connect(fd, (struct sockaddr *)&at, sizeof(at)) < 0)
		fail("connect: %s", strerror(errno));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	fcntl(fd, F_SETFL, O_NONBLOCK);
	fds[i].fd = fd;
}

static void leave(unsigned i)
{
	struct linger linger = { .l_onoff = 1, .l_linger = 0 };

	if (scene->ending == RESET)
		setsockopt(fds[i].fd, SOL_SOCKET, SO_LINGER, &linger,
			   sizeof(linger));
	close(fds[i].fd);
	fds[i].fd = -1;
	clients[i].is_over = true;
}

/*
 * data
 */

static bool may_send(const struct client *client)
{
	return client->sent < scene->size &&
	       client->sent - client->received < scene->window;
}

static bool wants_data(void)
{
	return scene->ending != RESET && scene->ending != LEAVE &&
	       scene->ending != DEAF;
}

static void all_sent(unsigned i)
{
	if (scene->ending == HALF_CLOSE && shutdown(fds[i].fd, SHUT_WR) < 0)
		fail("shutdown: %s", strerror(errno));
}

/* Whether anything went. */
static bool send_some(unsigned i)
{
	struct client *client = &clients[i];
	size_t size = scene->size - client->sent;
	char text[MAX_CHUNK];
	ssize_t nr;

	if (size > scene->chunk)
		size = scene->chunk;
	for (size_t k = 0; k < size; k++)
		text[k] = text_at(i, client->sent + k);
	nr = send(fds[i].fd, text, size, MSG_NOSIGNAL);
	if (nr < 0 && errno == EAGAIN)
		return false;
	if (nr < 0 && scene->ending == DEAF) {
		leave(i);
		return true;
	}
	if (nr < 0)
		fail("send after %zu bytes: %s", client->sent, strerror(errno));
	client->sent += (size_t)nr;
	if (client->sent == scene->size)
		all_sent(i);
	return true;
}

static void compare(unsigned i, const char *bytes, size_t nr)
{
	struct client *client = &clients[i];

	for (size_t k = 0; k < nr; k++)
		if (bytes[k] != text_at(i, client->received + k))
			fail("byte %zu of client %u is wrong",
			     client->received + k, i);
	client->received += nr;
	if (client->received > client->sent)
		fail("more came than was sent");
}

static void answered(unsigned i)
{
	nr_answered++;
	if (scene->ending == CLOSE)
		leave(i);
}

static void peer_ended(unsigned i)
{
	const struct client *client = &clients[i];

	if (scene->ending != HALF_CLOSE || client->sent < scene->size)
		fail("client %u: an end after %zu of %zu bytes", i,
		     client->received, client->sent);
	if (client->received < client->sent)
		fail("client %u: %zu of %zu bytes came back", i,
		     client->received, client->sent);
	leave(i);
}

static bool receive_some(unsigned i)
{
	struct client *client = &clients[i];
	char bytes[MAX_CHUNK];
	size_t size = scene->read_size ? scene->read_size : sizeof(bytes);
	ssize_t nr = recv(fds[i].fd, bytes, size, 0);

	if (nr < 0 && errno == EAGAIN)
		return false;
	if (nr < 0)
		fail("recv after %zu bytes: %s", client->received,
		     strerror(errno));
	if (nr == 0) {
		peer_ended(i);
		return true;
	}
	compare(i, bytes, (size_t)nr);
	if (client->received == scene->size)
		answered(i);
	return true;
}

/*
 * scenes
 */

static bool move(unsigned i)
{
	struct client *client = &clients[i];
	bool has_moved = false;

	if (fds[i].revents & (POLLIN | POLLHUP | POLLERR) && wants_data())
		has_moved = receive_some(i);
	if (!client->is_over && may_send(client) &&
	    fds[i].revents & (POLLOUT | POLLHUP | POLLERR))
		has_moved |= send_some(i);
	if (!client->is_over && !wants_data() && scene->ending != DEAF &&
	    client->sent >= scene->size / 2)
		leave(i);
	return has_moved;
}

static void set_events(void)
{
	for (unsigned i = 0; i < nr_clients; i++)
		fds[i].events = (short)((wants_data() ? POLLIN : 0) |
					(may_send(&clients[i]) ? POLLOUT : 0));
}

static bool is_done(double since)
{
	unsigned nr_over = 0;

	for (unsigned i = 0; i < nr_clients; i++)
		nr_over += clients[i].is_over;
	if (scene->ending == CLOSE_AFTER)
		return nr_answered == nr_clients;
	if (scene->ending == TIME)
		return now() - since >= scene->seconds;
	return nr_over == nr_clients;
}

static void play(void)
{
	double begin = now(), moved = begin;

	for (unsigned i = 0; i < nr_clients; i++)
		if (scene->size == 0)
			all_sent(i);
	while (!is_done(begin)) {
		set_events();
		if (poll(fds, nr_clients, 100) < 0)
			fail("poll: %s", strerror(errno));
		for (unsigned i = 0; i < nr_clients; i++)
			if (fds[i].fd >= 0 && move(i))
				moved = now();
		if (now() - moved > PATIENCE)
			fail("nothing moves");
		if (scene->nap_ms > 0)
			poll(NULL, 0, (int)scene->nap_ms);
	}
}

/* Nobody reads, until nobody can send. */
static void get_stuck(void)
{
	double moved = now();

	while (now() - moved < 0.3) {
		for (unsigned i = 0; i < nr_clients; i++)
			if (send_some(i))
				moved = now();
		poll(NULL, 0, 10);
	}
}

static void read_to_the_end(unsigned i)
{
	char bytes[MAX_CHUNK];
	struct pollfd pollfd = { .fd = fds[i].fd, .events = POLLIN };
	ssize_t nr;

	for (;;) {
		if (poll(&pollfd, 1, PATIENCE * 1000) < 1)
			fail("no end of stream");
		nr = recv(fds[i].fd, bytes, sizeof(bytes), 0);
		if (nr < 0)
			fail("recv: %s", strerror(errno));
		if (nr == 0)
			break;
		compare(i, bytes, (size_t)nr);
	}
	leave(i);
}

static void play_stuck(void)
{
	size_t received = 0;

	get_stuck();
	puts("stuck");
	fflush(stdout);
	if (getchar() == EOF)
		return; /* resets them: there is unread data */
	for (unsigned i = 0; i < nr_clients; i++) {
		read_to_the_end(i);
		received += clients[i].received;
	}
	printf("received: %zu\n", received);
}

static const struct scene *find_scene(const char *name)
{
	for (size_t i = 0; i < NR_OF(scenes); i++)
		if (strcmp(scenes[i].name, name) == 0)
			return &scenes[i];
	fail("no scene %s", name);
	return NULL;
}

static void allow_descriptors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

int main(int argc, char **argv)
{
	if (argc < 3)
		fail("usage: client SCENE PORT [NUMBER]");
	scene = find_scene(argv[1]);
	nr_clients = argc > 3 ? (unsigned)atoi(argv[3]) : scene->nr;
	if (nr_clients > MAX_CLIENTS)
		nr_clients = MAX_CLIENTS;
	allow_descriptors();
	for (unsigned i = 0; i < nr_clients; i++)
		connect_client(i, (unsigned)atoi(argv[2]));
	if (strcmp(scene->name, "stuck") == 0)
		play_stuck();
	else
		play();
	return 0;
}
