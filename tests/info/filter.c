/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * filter.c - run a program under a seccomp filter.
 *
 *	filter CALL ANSWER COMMAND...
 *
 * CALL is one of the table below; ANSWER is an error's name or "kill".
 */
#include "config.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "../sandbox.h"

enum { NAPI = 27, MEM_REGION = 34, NO_IOWAIT = 1u << 7 };

static const struct {
	const char *name;
	struct refusal refusal;
} calls[] = {
	{ "setup", REFUSE(__NR_io_uring_setup, 0) },
	{ "register", REFUSE(__NR_io_uring_register, 0) },
	{ "enter", REFUSE(__NR_io_uring_enter, 0) },
	{ "register-region", REFUSE_REGISTER(MEM_REGION, 0) },
	{ "register-napi", REFUSE_REGISTER(NAPI, 0) },
	{ "enter-no-iowait", REFUSE_ENTER(NO_IOWAIT, 0) },
	{ "acct", REFUSE(__NR_acct, 0) }, /* of no interest */
};

static const struct {
	const char *name;
	int error;
} errors[] = {
	{ "EPERM", EPERM },   { "EACCES", EACCES }, { "ENOSYS", ENOSYS },
	{ "EINVAL", EINVAL }, { "EMFILE", EMFILE }, { "ENOMEM", ENOMEM },
	{ "ENFILE", ENFILE },
};

#define NR_OF(a) (sizeof(a) / sizeof((a)[0]))

static struct refusal find_call(const char *name)
{
	size_t i;

	for (i = 0; i < NR_OF(calls); i++)
		if (!strcmp(calls[i].name, name))
			return calls[i].refusal;
	fprintf(stderr, "filter: no such call: %s\n", name);
	exit(126);
}

static int find_error(const char *name)
{
	size_t i;

	for (i = 0; i < NR_OF(errors); i++)
		if (!strcmp(errors[i].name, name))
			return errors[i].error;
	fprintf(stderr, "filter: no such answer: %s\n", name);
	exit(126);
}

/* Only the lower half of the argument is looked at: little endian. */
static void end_who_calls(const struct refusal *r)
{
	/* clang-format off */
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)r->nr, 0, 4),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 (unsigned)(offsetof(struct seccomp_data, args) +
				    r->arg * 8)),
		BPF_STMT(BPF_ALU | BPF_AND | BPF_K, r->mask),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, r->value, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	/* clang-format on */
	struct sock_fprog prog = { .len = NR_OF(code), .filter = code };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) < 0) {
		perror("filter: seccomp");
		exit(126);
	}
}

int main(int argc, char **argv)
{
	struct refusal refusal;

	if (argc < 4) {
		fprintf(stderr, "usage: filter CALL ANSWER COMMAND...\n");
		return 126;
	}
	refusal = find_call(argv[1]);
	if (!strcmp(argv[2], "kill")) {
		end_who_calls(&refusal);
	} else {
		refusal.error = find_error(argv[2]);
		sandbox(&refusal, 1);
	}
	execv(argv[3], argv + 3);
	perror(argv[3]);
	return 127;
}
