/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * process.c - an echo server in a process of its own, on one CPU.
 */
#include "config.h"

#include "process.h"

#include <arpa/inet.h>
#include <err.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../bench.h"

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

	fflush(stdout);
	process->pid = fork();
	if (process->pid < 0)
		err(1, "fork");
	if (!process->pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		bench_stay_on(cpu);
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
