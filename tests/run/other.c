/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * other.c - a user of libevent, whose names libev has as well
 * (event_get_version and others): a program, and a plugin for late.c.
 */
#include <event2/event.h>
#include <stdio.h>

void plugin_play(void (*say)(const char *format, ...));

static int rung;

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	rung++;
	event_base_loopbreak(arg);
}

__attribute__((visibility("default"))) void
plugin_play(void (*say)(const char *format, ...))
{
	struct timeval soon = { .tv_usec = 2000 };
	struct event_base *base = event_base_new();
	struct event *timer = event_new(base, -1, 0, on_timer, base);

	event_add(timer, &soon);
	event_base_dispatch(base);
	say("libevent %s on %s: %d", event_get_version(),
	    event_base_get_method(base), rung);
	event_free(timer);
	event_base_free(base);
}

int main(void)
{
	plugin_play((void (*)(const char *, ...))printf);
	return 0;
}
