/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * plugin.c - a shared object that uses libev, for a program that does not know
 * of it: as the extensions of Python and Ruby do.
 */
#include <ev.h>

void plugin_play(void (*say)(const char *format, ...));

static int rung;

static void on_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)loop;
	(void)w;
	(void)revents;
	rung++;
}

static void use(struct ev_loop *loop, const char *label,
		void (*say)(const char *format, ...))
{
	ev_timer timer;

	rung = 0;
	ev_timer_init(&timer, on_timer, 0.002, 0.);
	ev_timer_start(loop, &timer);
	ev_run(loop, 0);
	say("plugin, %s: %s, %d", label,
	    ev_backend(loop) == EVBACKEND_EPOLL ? "epoll" : "another", rung);
	ev_loop_destroy(loop);
}

/*
 * A call at the end of a function is a jump: the address that libev returns to
 * is in the program, which does not know libev.  (Where the compiler makes it a
 * call this is as the others.)
 */
__attribute__((visibility("default"))) struct ev_loop *plugin_jump(void);
__attribute__((visibility("default"))) struct ev_loop *plugin_jump(void)
{
	return ev_loop_new(0);
}

__attribute__((visibility("default"))) void plugin_end(struct ev_loop *loop);
__attribute__((visibility("default"))) void plugin_end(struct ev_loop *loop)
{
	ev_loop_destroy(loop);
}

__attribute__((visibility("default"))) void
plugin_play(void (*say)(const char *format, ...))
{
	use(ev_default_loop(0), "default", say);
	use(ev_loop_new(0), "new", say);
	use(ev_loop_new(EVBACKEND_SELECT), "select", say);
}
