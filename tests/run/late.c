/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * late.c - a program that is not linked with libev and loads it late, and for
 * itself.
 */
#define _GNU_SOURCE

#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <ev.h>

__attribute__((format(printf, 1, 2))) static void say(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
	fflush(stdout);
}

static void *need(void *pointer)
{
	if (pointer)
		return pointer;
	fprintf(stderr, "late: %s\n", dlerror());
	exit(99);
}

static void play_plugin(const char *path, int flags)
{
	void (*play)(void (*say)(const char *format, ...));
	void *plugin = need(dlopen(path, flags));

	*(void **)&play = need(dlsym(plugin, "plugin_play"));
	play(say);
	if (dlclose(plugin) != 0)
		say("dlclose: %s", dlerror());
}

static void play_jumps(const char *path, int flags)
{
	struct ev_loop *(*jump)(void);
	void (*end)(struct ev_loop * loop);
	void *plugin = need(dlopen(path, flags));

	*(void **)&jump = need(dlsym(plugin, "plugin_jump"));
	*(void **)&end = need(dlsym(plugin, "plugin_end"));
	end(need(jump()));
	say("jumped");
}

/* libev itself, function by function. */

static void *libev;

static void on_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)loop;
	(void)revents;
	++*(int *)w->data;
}

static void use(struct ev_loop *loop, const char *label)
{
	void (*start)(struct ev_loop * loop, ev_timer * w);
	unsigned (*backend)(struct ev_loop * loop);
	int (*run)(struct ev_loop * loop, int flags);
	ev_timer timer;
	int rung = 0;

	*(void **)&start = need(dlsym(libev, "ev_timer_start"));
	*(void **)&backend = need(dlsym(libev, "ev_backend"));
	*(void **)&run = need(dlsym(libev, "ev_run"));
	ev_timer_init(&timer, on_timer, 0.002, 0.);
	timer.data = &rung;
	start(loop, &timer);
	run(loop, 0);
	say("by name, %s: %s, %d", label,
	    backend(loop) == EVBACKEND_EPOLL ? "epoll" : "another", rung);
}

static void play_names(const char *path, int flags)
{
	struct ev_loop *(*make)(unsigned flags);
	void (*destroy)(struct ev_loop * loop);
	struct ev_loop *loop;

	libev = need(dlopen(path, flags));
	*(void **)&destroy = need(dlsym(libev, "ev_loop_destroy"));
	*(void **)&make = need(dlsym(libev, "ev_default_loop"));
	loop = need(make(0));
	use(loop, "default");
	destroy(loop);
	*(void **)&make = need(dlsym(libev, "ev_loop_new"));
	loop = need(make(0));
	use(loop, "new");
	destroy(loop);
	dlclose(libev);
}

/* As a program does that can do without libev. */
#pragma weak ev_loop_new

static void play_weak(const char *path, int flags)
{
	(void)path;
	(void)flags;
	say(ev_loop_new && ev_loop_new(0) ? "a loop" : "no loop");
}

static const struct {
	const char *name;
	void (*play)(const char *path, int flags);
	int flags;
	int times;
} ways[] = {
	{ "weak", play_weak, 0, 1 },
	{ "plugin", play_plugin, RTLD_NOW | RTLD_LOCAL, 1 },
	{ "lazy-plugin", play_plugin, RTLD_LAZY | RTLD_LOCAL, 1 },
	{ "global-plugin", play_plugin, RTLD_NOW | RTLD_GLOBAL, 1 },
	{ "deep-plugin", play_plugin, RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND,
	  1 },
	{ "plugin-thrice", play_plugin, RTLD_NOW | RTLD_LOCAL, 3 },
	{ "jumps", play_jumps, RTLD_NOW | RTLD_LOCAL, 1 },
	{ "names", play_names, RTLD_NOW | RTLD_LOCAL, 1 },
	{ "global-names", play_names, RTLD_NOW | RTLD_GLOBAL, 1 },
};

static void play_all(size_t way, char **objects)
{
	int n;

	for (; *objects; objects++)
		for (n = 0; n < ways[way].times; n++)
			ways[way].play(*objects, ways[way].flags);
}

/* late NAME OBJECT... */
int main(int argc, char **argv)
{
	size_t i;

	alarm(30);
	for (i = 0; argc > 2 && i < sizeof(ways) / sizeof(ways[0]); i++) {
		if (strcmp(argv[1], ways[i].name) != 0)
			continue;
		play_all(i, argv + 2);
		return 0;
	}
	return 98;
}
