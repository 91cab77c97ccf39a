/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * veth.c - see veth.h.  The far end is in a namespace of its own, too, or its
 * packets would take the way of the loopback interface.
 *
 * The kernel gives the packets of a veth to NAPI where the receiver has GRO
 * and the sender has no TSO.
 */
#include "config.h"

#include "veth.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <linux/veth.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define NEAR_NAME    "evr-near"
#define FAR_NAME     "evr-far"
#define NEAR_ADDRESS "198.18.0.1" /* of the network for tests of devices */
#define FAR_ADDRESS  "198.18.0.2"

static int near_namespace = -1, far_namespace = -1;

/*
 * making the pair
 */

struct message {
	struct nlmsghdr header;
	struct ifinfomsg info;
	char attributes[256];
};

static void *end_of(struct message *m)
{
	return (char *)m + NLMSG_ALIGN(m->header.nlmsg_len);
}

static struct rtattr *add(struct message *m, unsigned short type,
			  const void *data, size_t size)
{
	struct rtattr *attribute = end_of(m);

	attribute->rta_type = type;
	attribute->rta_len = (unsigned short)RTA_LENGTH(size);
	if (size)
		memcpy(RTA_DATA(attribute), data, size);
	m->header.nlmsg_len += (unsigned)RTA_ALIGN(RTA_LENGTH(size));
	return attribute;
}

/* What was added since is within it. */
static void close_nest(struct message *m, struct rtattr *nest)
{
	nest->rta_len = (unsigned short)((char *)end_of(m) - (char *)nest);
}

/* The far end is here, the near one in its namespace. */
static void fill(struct message *m)
{
	struct ifinfomsg info = { .ifi_family = AF_UNSPEC };
	struct rtattr *link, *data, *peer;

	memset(m, 0, sizeof(*m));
	m->header.nlmsg_type = RTM_NEWLINK;
	m->header.nlmsg_flags =
		NLM_F_REQUEST | NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK;
	m->header.nlmsg_len = NLMSG_LENGTH(sizeof(m->info));
	add(m, IFLA_IFNAME, FAR_NAME, sizeof(FAR_NAME));
	link = add(m, IFLA_LINKINFO, NULL, 0);
	add(m, IFLA_INFO_KIND, "veth", 4);
	data = add(m, IFLA_INFO_DATA, NULL, 0);
	peer = add(m, VETH_INFO_PEER, &info, sizeof(info));
	add(m, IFLA_IFNAME, NEAR_NAME, sizeof(NEAR_NAME));
	add(m, IFLA_NET_NS_FD, &near_namespace, sizeof(near_namespace));
	close_nest(m, peer);
	close_nest(m, data);
	close_nest(m, link);
}

static int make_pair(void)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	struct {
		struct nlmsghdr header;
		struct nlmsgerr error;
		char rest[512];
	} answer;
	struct message m;
	int r = -EIO;

	if (fd < 0)
		return -errno;
	fill(&m);
	if (send(fd, &m, m.header.nlmsg_len, 0) < 0)
		r = -errno;
	else if (recv(fd, &answer, sizeof(answer), 0) > 0 &&
		 answer.header.nlmsg_type == NLMSG_ERROR)
		r = answer.error.error;
	close(fd);
	return r;
}

/*
 * the ends
 */

static struct sockaddr_in address_of(const char *text, int port)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_port = htons((uint16_t)port) };

	inet_pton(AF_INET, text, &address.sin_addr);
	return address;
}

static int configure(int fd, struct ifreq *request, const char *text)
{
	struct ethtool_value gro = { .cmd = ETHTOOL_SGRO, .data = 1 };
	struct ethtool_value tso = { .cmd = ETHTOOL_STSO, .data = 0 };
	struct sockaddr_in address = address_of(text, 0);

	memcpy(&request->ifr_addr, &address, sizeof(address));
	if (ioctl(fd, SIOCSIFADDR, request) < 0)
		return -errno;
	request->ifr_data = (void *)&gro;
	if (ioctl(fd, SIOCETHTOOL, request) < 0)
		return -errno;
	request->ifr_data = (void *)&tso;
	if (ioctl(fd, SIOCETHTOOL, request) < 0)
		return -errno;
	request->ifr_flags = IFF_UP;
	return ioctl(fd, SIOCSIFFLAGS, request) < 0 ? -errno : 0;
}

/* In this namespace. */
static int bring_up(const char *name, const char *address)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq request = { .ifr_flags = 0 };
	int r;

	if (fd < 0)
		return -errno;
	strcpy(request.ifr_name, name);
	r = configure(fd, &request, address);
	close(fd);
	return r;
}

static int new_namespace(int *ret_fd)
{
	if (unshare(CLONE_NEWNET) < 0 &&
	    unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
		return -errno;
	*ret_fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	return *ret_fd < 0 ? -errno : 0;
}

static int go_to(int namespace)
{
	return setns(namespace, CLONE_NEWNET) < 0 ? -errno : 0;
}

int veth_init(void)
{
	int r = new_namespace(&near_namespace);

	if (r >= 0)
		r = new_namespace(&far_namespace);
	if (r >= 0)
		r = make_pair();
	if (r >= 0)
		r = bring_up(FAR_NAME, FAR_ADDRESS);
	if (r >= 0)
		r = go_to(near_namespace);
	return r < 0 ? r : bring_up(NEAR_NAME, NEAR_ADDRESS);
}

/* In a child: the namespaces are to be for tests only. */
static int try_veth(void)
{
	int status = 0;
	pid_t pid = fork();

	if (!pid)
		_exit(-veth_init());
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		return -errno;
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -EIO;
}

const char *no_veth(void)
{
	static char reason[128];
	int r = try_veth();

	if (r >= 0)
		return NULL;
	snprintf(reason, sizeof(reason),
		 "no interfaces in a namespace of our own: %s", strerror(-r));
	return reason;
}

/* A socket belongs to the namespace in which it was made. */
static int far_socket(void)
{
	int fd, r = go_to(far_namespace);

	if (r < 0)
		return r;
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	r = go_to(near_namespace);
	return r < 0 ? r : fd;
}

static int connect_to(int listener, int fds[2])
{
	struct sockaddr_in address = address_of(NEAR_ADDRESS, 0);
	socklen_t size = sizeof(address);

	if (bind(listener, (struct sockaddr *)&address, size) < 0 ||
	    listen(listener, 1) < 0 ||
	    getsockname(listener, (struct sockaddr *)&address, &size) < 0)
		return -errno;
	fds[1] = far_socket();
	if (fds[1] < 0)
		return fds[1];
	if (connect(fds[1], (struct sockaddr *)&address, size) < 0)
		return -errno;
	fds[0] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	return fds[0] < 0 ? -errno : 0;
}

int veth_connect(int fds[2])
{
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int r;

	if (listener < 0)
		return -errno;
	r = connect_to(listener, fds);
	close(listener);
	return r;
}

/* The file has a line of names and below it one of numbers. */
long veth_nr_polled(void)
{
	FILE *file = fopen("/proc/thread-self/net/netstat", "r");
	char names[8192], numbers[8192], *name, *number, *a, *b;

	while (file && fgets(names, sizeof(names), file) &&
	       fgets(numbers, sizeof(numbers), file)) {
		name = strtok_r(names, " \n", &a);
		number = strtok_r(numbers, " \n", &b);
		while (name && number && strcmp(name, "BusyPollRxPackets")) {
			name = strtok_r(NULL, " \n", &a);
			number = strtok_r(NULL, " \n", &b);
		}
		if (name && number) {
			fclose(file);
			return atol(number);
		}
	}
	if (file)
		fclose(file);
	return -1;
}
