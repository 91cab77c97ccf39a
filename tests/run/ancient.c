/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ancient.c - a program that calls ev_default_loop by its old name.
 */
#include "parts.h"

#include <stddef.h>

struct ev_loop *ev_default_loop_init(unsigned flags);

static void play_default(char **args)
{
	(void)args;
	work(ev_default_loop_init(0), "default, the old name");
}

const struct part parts[] = {
	{ "default", play_default },
	{ NULL, NULL },
};
