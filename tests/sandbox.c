/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sandbox.c - kernels and containers that refuse things, by seccomp.
 *
 * Each refusal becomes six instructions: is it this call, is it this argument,
 * then the error; else the next.
 */
#include "config.h"

#include "sandbox.h"

#include <assert.h>
#include <endian.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <unistd.h>

enum { PER_REFUSAL = 6, LOWER_HALF = __BYTE_ORDER == __LITTLE_ENDIAN ? 0 : 4 };

static unsigned place_of_arg(unsigned arg)
{
	return (unsigned)(offsetof(struct seccomp_data, args) + arg * 8 +
			  LOWER_HALF);
}

static void translate(const struct refusal *r, struct sock_filter *code)
{
	/* clang-format off */
	const struct sock_filter refuse[PER_REFUSAL] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)r->nr, 0, 4),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, place_of_arg(r->arg)),
		BPF_STMT(BPF_ALU | BPF_AND | BPF_K, r->mask),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, r->value, 0, 1),
		BPF_STMT(BPF_RET | BPF_K,
			 SECCOMP_RET_ERRNO | (unsigned)r->error),
	};
	/* clang-format on */
	size_t i;

	for (i = 0; i < PER_REFUSAL; i++)
		code[i] = refuse[i];
}

void sandbox(const struct refusal *refusals, size_t nr_refusals)
{
	struct sock_filter code[MAX_REFUSALS * PER_REFUSAL + 1];
	struct sock_fprog prog = { .filter = code };
	size_t i;

	assert(nr_refusals <= MAX_REFUSALS);
	for (i = 0; i < nr_refusals; i++)
		translate(&refusals[i], &code[i * PER_REFUSAL]);
	code[nr_refusals * PER_REFUSAL] = (struct sock_filter)BPF_STMT(
		BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	prog.len = (unsigned short)(nr_refusals * PER_REFUSAL + 1);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) < 0) {
		perror("seccomp");
		_exit(126);
	}
}
