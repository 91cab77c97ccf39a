/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * process.c - an echo server in a process of its own, on one CPU.
 */
#include "config.h"

#include "process.h"

#include <arpa/inet.h>
#include <err.h>
#include <math.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../bench.h"
#include "../side.h"

struct echo_facts *echo_facts;

static struct echo_facts *share_facts(void)
{
	struct echo_facts *facts =
		mmap(NULL, sizeof(*facts), PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (facts == MAP_FAILED)
		err(1, "memory to share");
	return facts;
}

static int open_listener(struct sockaddr_in *ret_address)
{
	socklen_t size = sizeof(*ret_address);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	memset(ret_address, 0, sizeof(*ret_address));
	ret_address->sin_family = AF_INET;
	ret_address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || bind(fd, (struct sockaddr *)ret_address, size) < 0 ||
	    listen(fd, ECHO_BACKLOG) < 0 ||
	    getsockname(fd, (struct sockaddr *)ret_address, &size) < 0)
		err(1, "listener");
	return fd;
}

void echo_process_start(struct echo_process *process,
			const struct echo_server *server, unsigned cpu)
{
	int fd = open_listener(&process->address);

	process->facts = share_facts();
	fflush(stdout);
	process->pid = fork();
	if (process->pid < 0)
		err(1, "fork");
	if (!process->pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		bench_stay_on(cpu);
		echo_facts = process->facts;
		server->serve(fd);
		_exit(1);
	}
	close(fd);
	if (clock_getcpuclockid(process->pid, &process->clock))
		errx(1, "no clock of another process");
}

void echo_process_stop(struct echo_process *process)
{
	kill(process->pid, SIGKILL);
	waitpid(process->pid, NULL, 0);
	munmap(process->facts, sizeof(*process->facts));
}

int echo_connect(const struct sockaddr_in *to)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;

	if (fd < 0 || connect(fd, (const struct sockaddr *)to, sizeof(*to)) < 0)
		err(1, "connect");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return fd;
}

double echo_process_cpu(const struct echo_process *process)
{
	struct timespec ts;

	clock_gettime(process->clock, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

void echo_said_begin(struct echo_said *said, const struct echo_process *process)
{
	said->enters -= process->facts->stats.enters;
}

void echo_said_end(struct echo_said *said, const struct echo_process *process,
		   unsigned nr_messages)
{
	const struct echo_facts *facts = process->facts;

	if (facts->stats.rings_lost)
		errx(1, "a server lost its ring");
	said->backend = facts->backend;
	said->tier = facts->tier;
	said->enters += facts->stats.enters;
	said->messages += nr_messages;
}

double echo_said_enters(const struct echo_said *said)
{
	return said->tier ? (double)said->enters / (double)said->messages
			  : (double)NAN;
}

void echo_name_row(struct bench_row *row, const struct echo_said *said)
{
	if (said->backend)
		row->backend = side_backend_name(said->backend);
	if (!said->tier)
		return;
	row->tier = evring_tier_name(said->tier);
	row->facts[0].name = "enters_per_message";
	row->facts[0].value = echo_said_enters(said);
}
