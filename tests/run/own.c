/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * own.c - a program that carries its own ev.c, hidden, as many do.
 */
#define EV_STANDALONE 1
#define EV_USE_EPOLL  1
#define EV_API_STATIC 1
#define EV_VERIFY     0
#define EV_NO_ATFORK  1
#include <ev.c>

#include "parts.c"

static void play_default(char **args)
{
	(void)args;
	work(ev_default_loop(0), "default");
}

static void play_new(char **args)
{
	struct ev_loop *loop = ev_loop_new(0);

	(void)args;
	work(loop, "new");
	ev_loop_destroy(loop);
}

const struct part parts[] = {
	{ "default", play_default },
	{ "new", play_new },
	{ NULL, NULL },
};
