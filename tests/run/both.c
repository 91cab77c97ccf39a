/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * both.c - a program that uses evring itself, and is started by `evring run`
 * all the same.
 *
 * What it asked for counts: it may attach a loop that evring attached for it,
 * with a configuration of its own, once.
 */
#include "parts.h"

#include <evring.h>

#include <errno.h>
#include <stddef.h>
#include <string.h>

static const char *tier(struct ev_loop *loop)
{
	return evring_tier_name(evring_tier(loop));
}

static void play_attach(char **args)
{
	struct evring_config config = { .disable = "region" };
	struct ev_loop *loop = ev_default_loop(0);
	struct evring_stats stats;

	(void)args;
	say("attach: %d", evring_attach(loop, &config));
	say("once more is EBUSY: %d", evring_attach(loop, NULL) == -EBUSY);
	work(loop, "attached");
	say("tier %s", tier(loop));
	say("stats: %d", evring_stats(loop, &stats));
	say("turns counted: %d", stats.turns > 0);
	say("detach: %d", evring_detach(loop));
	work(loop, "detached");
	say("tier %s", tier(loop));
	ev_default_loop(0);
	say("tier %s, still", tier(loop));
	ev_loop_destroy(loop);
}

/* After the loop has run with watchers. */
static void play_attach_late(char **args)
{
	struct ev_loop *loop = ev_loop_new(0);

	(void)args;
	work(loop, "before");
	say("attach: %d", evring_attach(loop, NULL));
	work(loop, "after");
	ev_loop_destroy(loop);
}

/* Refused: the loop stays usable. */
static void play_refused(char **args)
{
	struct evring_config config = { .disable = "no-such-name" };
	struct ev_loop *loop = ev_loop_new(0);

	(void)args;
	say("attach: EINVAL %d", evring_attach(loop, &config) == -EINVAL);
	work(loop, "refused");
	ev_loop_destroy(loop);
}

static void play_made(char **args)
{
	struct evring_config config = { .disable = "region" };
	struct ev_loop *loop = evring_loop_new(0, &config);

	(void)args;
	need(loop);
	work(loop, "made");
	say("tier %s", tier(loop));
	ev_loop_destroy(loop);
	loop = evring_default_loop(0, &config);
	need(loop && loop == ev_default_loop(0));
	work(loop, "default");
	say("tier %s", tier(loop));
	say("the same: %d", evring_default_loop(0, NULL) == loop);
	ev_loop_destroy(loop);
}

const struct part parts[] = {
	{ "attach", play_attach },
	{ "attach-late", play_attach_late },
	{ "refused", play_refused },
	{ "made", play_made },
	{ NULL, NULL },
};
