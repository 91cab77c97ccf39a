/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * endpoint.c - addresses as text, and the sockets that serve them.
 *
 * What to know about sockets:
 *
 * a) With SO_REUSEPORT another process of the same user may take the port, and
 *    half of the connections.  So the first socket is bound without, which
 *    fails if somebody has the port, and gets the flag before the second is
 *    bound.
 * b) A UDP socket on a wildcard address answers from an address of the
 *    kernel's choice unless told.  So each is asked to say where a datagram
 *    arrived: IP_PKTINFO, IPV6_PKTINFO, to be sent back with the answer.
 * c) UDP senders can be forged, and an answer goes to whoever was named.  The
 *    default address is therefore the loopback one.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "private.h"

#include <assert.h>
#include <errno.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_PORT_TRIES = 16 /* for a number that is free for TCP and UDP */ };

static_assert((int)ADDRESS_TEXT_SIZE >= (int)(INET6_ADDRSTRLEN + IF_NAMESIZE +
					      sizeof("[%]:65535")),
	      "room for the longest address");

/*
 * text
 */

/* host is a numeric address, or NULL for all. */
static bool parse_host(const char *host, int family, struct endpoint *at)
{
	struct addrinfo hints = {
		.ai_family = family,
		.ai_socktype = SOCK_STREAM,
		.ai_flags = AI_NUMERICHOST | AI_PASSIVE,
	};
	struct addrinfo *found;

	if (getaddrinfo(host, host ? NULL : "0", &hints, &found) != 0)
		return false;
	memcpy(&at->address, found->ai_addr, found->ai_addrlen);
	at->address_size = found->ai_addrlen;
	freeaddrinfo(found);
	return true;
}

static void set_port(struct endpoint *at, uint16_t port)
{
	if (at->address.ss_family == AF_INET6)
		((struct sockaddr_in6 *)&at->address)->sin6_port = htons(port);
	else
		((struct sockaddr_in *)&at->address)->sin_port = htons(port);
}

static uint16_t get_port(const struct endpoint *at)
{
	if (at->address.ss_family == AF_INET6)
		return ntohs(
			((const struct sockaddr_in6 *)&at->address)->sin6_port);
	return ntohs(((const struct sockaddr_in *)&at->address)->sin_port);
}

static bool parse_port(const char *text, uint16_t *ret_port)
{
	unsigned long port;
	char *end;

	if (*text < '0' || *text > '9')
		return false;
	port = strtoul(text, &end, 10);
	*ret_port = (uint16_t)port;
	return *end == '\0' && port <= UINT16_MAX;
}

bool endpoint_parse(const char *text, struct endpoint *ret_endpoint)
{
	char host[ADDRESS_TEXT_SIZE];
	const char *colon = strrchr(text, ':');
	bool has_brackets = text[0] == '[';
	size_t host_size;
	uint16_t port;

	if (!colon || !parse_port(colon + 1, &port))
		return false;
	if (has_brackets && (colon == text + 1 || colon[-1] != ']'))
		return false;
	host_size = colon - text - (has_brackets ? 2 : 0);
	if (host_size >= sizeof(host))
		return false;
	memcpy(host, text + has_brackets, host_size);
	host[host_size] = '\0';

	memset(ret_endpoint, 0, sizeof(*ret_endpoint));
	ret_endpoint->is_any = colon == text;
	if (!parse_host(ret_endpoint->is_any ? NULL : host,
			ret_endpoint->is_any || has_brackets ? AF_INET6
							     : AF_INET,
			ret_endpoint))
		return false;
	set_port(ret_endpoint, port);
	return true;
}

void endpoint_format(const struct endpoint *endpoint,
		     char text[ADDRESS_TEXT_SIZE])
{
	char host[INET6_ADDRSTRLEN + IF_NAMESIZE + 1] = "?", port[6] = "?";
	bool is_v6 = endpoint->address.ss_family == AF_INET6;

	getnameinfo((const struct sockaddr *)&endpoint->address,
		    endpoint->address_size, host, sizeof(host), port,
		    sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV);
	snprintf(text, ADDRESS_TEXT_SIZE, "%s%s%s:%s", is_v6 ? "[" : "", host,
		 is_v6 ? "]" : "", port);
}

/*
 * sockets
 */

static bool set_flag(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof(value)) == 0;
}

/*
 * Accepted connections inherit TCP_NODELAY.  SO_REUSEADDR lets a TCP port be
 * taken that has only old connections left; with UDP it would let two daemons
 * take the same port.
 */
static bool set_tcp_flags(int fd)
{
	return set_flag(fd, SOL_SOCKET, SO_REUSEADDR, 1) &&
	       set_flag(fd, IPPROTO_TCP, TCP_NODELAY, 1);
}

/* Trap b. */
static bool set_udp_flags(int fd, bool is_v6)
{
	return is_v6 ? set_flag(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1)
		     : set_flag(fd, IPPROTO_IP, IP_PKTINFO, 1);
}

static bool set_flags(int fd, const struct endpoint *at, int type)
{
	bool is_v6 = at->address.ss_family == AF_INET6;

	if (is_v6 && !set_flag(fd, IPPROTO_IPV6, IPV6_V6ONLY, !at->is_any))
		return false;
	return type == SOCK_STREAM ? set_tcp_flags(fd)
				   : set_udp_flags(fd, is_v6);
}

/* What failed on the way, for the message. */
struct refusal {
	const char *what;
	int type;
};

/* Trap a: the first of several, or one of those after it. */
enum sharing { ALONE, FIRST, ONE_MORE };

static bool set_up(int fd, const struct endpoint *at, int type,
		   enum sharing sharing, const char **ret_refused)
{
	const struct sockaddr *address = (const struct sockaddr *)&at->address;

	*ret_refused = "setsockopt";
	if (!set_flags(fd, at, type))
		return false;
	if (sharing == ONE_MORE && !set_flag(fd, SOL_SOCKET, SO_REUSEPORT, 1))
		return false;
	*ret_refused = "bind";
	if (bind(fd, address, at->address_size) < 0)
		return false;
	*ret_refused = "setsockopt";
	if (sharing == FIRST && !set_flag(fd, SOL_SOCKET, SO_REUSEPORT, 1))
		return false;
	*ret_refused = "listen";
	return type != SOCK_STREAM || listen(fd, SOMAXCONN) == 0;
}

/*
 * Open a socket at *at, and put there the address it got.  Returns the
 * descriptor, or a negative errno value and what was refused.
 */
static int open_socket(struct endpoint *at, int type, enum sharing sharing,
		       struct refusal *ret_refusal)
{
	int flags =
		SOCK_CLOEXEC | (daemon_options.by_watchers ? SOCK_NONBLOCK : 0);
	int fd = socket(at->address.ss_family, type | flags, 0);
	int r;

	ret_refusal->type = type;
	ret_refusal->what = "socket";
	if (fd < 0)
		return -errno;
	if (set_up(fd, at, type, sharing, &ret_refusal->what)) {
		ret_refusal->what = "getsockname";
		if (getsockname(fd, (struct sockaddr *)&at->address,
				&at->address_size) == 0)
			return fd;
	}
	r = -errno;
	close(fd);
	return r;
}

/* For each worker, TCP and UDP, -1 for none. */
struct sockets {
	int (*fds)[2];
	unsigned nr;
};

static const int socket_types[2] = { SOCK_STREAM, SOCK_DGRAM };

static void close_sockets(const struct sockets *sockets)
{
	for (unsigned i = 0; i < sockets->nr; i++)
		for (int k = 0; k < 2; k++)
			if (sockets->fds[i][k] >= 0)
				close(sockets->fds[i][k]);
}

static int open_kind(const struct sockets *sockets, struct endpoint *at, int k,
		     struct refusal *ret_refusal)
{
	for (unsigned i = 0; i < sockets->nr; i++) {
		enum sharing sharing = sockets->nr == 1 ? ALONE
				       : i == 0		? FIRST
							: ONE_MORE;
		int fd = open_socket(at, socket_types[k], sharing, ret_refusal);

		if (fd < 0)
			return fd;
		sockets->fds[i][k] = fd;
	}
	return 0;
}

/* With the same port for TCP and UDP. */
static int try_endpoint(const struct sockets *sockets,
			const struct endpoint *wanted, const bool is_wanted[2],
			struct endpoint *ret_at, struct refusal *ret_refusal)
{
	int r = 0;

	*ret_at = *wanted;
	for (unsigned i = 0; i < sockets->nr; i++)
		sockets->fds[i][0] = sockets->fds[i][1] = -1;
	for (int k = 0; k < 2 && r == 0; k++)
		if (is_wanted[k])
			r = open_kind(sockets, ret_at, k, ret_refusal);
	if (r < 0)
		close_sockets(sockets);
	return r;
}

static bool is_without_v6(int error)
{
	return error == -EAFNOSUPPORT || error == -EADDRNOTAVAIL;
}

/*
 * A port the kernel picks for TCP may be taken for UDP: then it picks another.
 * "All addresses" means IPv4 alone where there is no IPv6.
 */
static int open_all(const struct sockets *sockets, struct endpoint *at,
		    const bool is_wanted[2], struct refusal *ret_refusal)
{
	struct endpoint wanted = *at;
	uint16_t port = get_port(&wanted);
	int r = try_endpoint(sockets, &wanted, is_wanted, at, ret_refusal);

	if (wanted.is_any && is_without_v6(r) &&
	    parse_host(NULL, AF_INET, &wanted)) {
		set_port(&wanted, port);
		r = try_endpoint(sockets, &wanted, is_wanted, at, ret_refusal);
	}
	for (int i = 1; port == 0 && r == -EADDRINUSE && i < MAX_PORT_TRIES;
	     i++)
		r = try_endpoint(sockets, &wanted, is_wanted, at, ret_refusal);
	return r;
}

/*
 * what is said
 */

static const char *type_name(int type)
{
	return type == SOCK_STREAM ? "tcp" : "udp";
}

static const char *advice(int error)
{
	switch (error) {
	case EADDRINUSE:
		return " (another program has it: see ss -lntup)";
	case EADDRNOTAVAIL:
		return " (no interface of this machine has that address)";
	case EACCES:
		return " (low ports want CAP_NET_BIND_SERVICE)";
	case EINVAL:
		return " (link-local addresses want %INTERFACE appended)";
	case EMFILE:
		return " (fewer --workers want fewer descriptors)";
	}
	return "";
}

static void report_refusal(const struct endpoint *at,
			   const struct refusal *refusal, int error)
{
	char text[ADDRESS_TEXT_SIZE];

	endpoint_format(at, text);
	complain("%s %s: %s refused: %s%s", type_name(refusal->type), text,
		 refusal->what, strerror(error), advice(error));
}

static int report_listening(const struct endpoint *at, const bool is_there[2])
{
	char text[ADDRESS_TEXT_SIZE];

	endpoint_format(at, text);
	for (int k = 0; k < 2; k++)
		if (is_there[k])
			printf("listening %s %s\n", type_name(socket_types[k]),
			       text);
	if (fflush(stdout) == 0 && !ferror(stdout))
		return 0;
	complain("stdout: %s", strerror(errno));
	return -EIO;
}

static void hand_out(const struct sockets *sockets,
		     struct worker *const *workers)
{
	for (unsigned i = 0; i < sockets->nr; i++) {
		struct worker_private *private = workers[i]->private;

		if (sockets->fds[i][0] >= 0)
			accept_add(workers[i], sockets->fds[i][0]);
		if (sockets->fds[i][1] >= 0)
		private->udp_fds[private->nr_udp++] = sockets->fds[i][1];
	}
}

int endpoint_open(struct worker *const *workers, unsigned nr,
		  struct endpoint endpoint)
{
	bool has_udp = workers[0]->daemon->has_udp;
	bool is_wanted[2] = { !has_udp || !daemon_options.udp_only,
			      has_udp && !daemon_options.tcp_only };
	struct sockets sockets = { calloc(nr, sizeof(int[2])), nr };
	struct endpoint at = endpoint;
	struct refusal refusal = { "memory", SOCK_STREAM };
	int r = -ENOMEM;

	if (sockets.fds)
		r = open_all(&sockets, &at, is_wanted, &refusal);
	if (r < 0)
		report_refusal(&endpoint, &refusal, -r);
	else
		hand_out(&sockets, workers);
	free(sockets.fds);
	return r < 0 ? r : report_listening(&at, is_wanted);
}
