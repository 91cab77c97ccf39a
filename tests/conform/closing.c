/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * conform/closing.c - line 6: closed is closed.
 */
#include "config.h"

#include "scene.h"

#include <poll.h>

/*
 * 6: closed is closed
 */

struct closing {
	open_fn *open;
	bool writes; /* theirs is what the loop watches and closes */
};

static const struct closing closings[] = {
	{ open_pair, false }, { open_pair, true }, { open_pipe, false },
	{ open_pipe, true },  { open_tcp, false }, { open_tcp, true },
};

/* Without waiting: the other end is told. */
static void check_hears_of_it(int fd, const struct closing *closing)
{
	struct pollfd pollfd = { .fd = fd, .events = POLLIN | POLLOUT };
	char c;

	check_int(poll(&pollfd, 1, 0), ==, 1);
	if (closing->open == open_pipe && !closing->writes) {
		check_int(pollfd.revents & POLLERR, ==, POLLERR);
		return;
	}
	set_blocking(fd, false);
	check_int(read(fd, &c, 1), ==, 0);
}

START_TEST(the_peer_hears_of_a_close_at_once)
{
	const struct closing *closing = &closings[_i / nr_runnable];
	struct pair pair;
	struct watch w;
	int how;

	open_scene(_i);
	for (how = 0; how < 4; how++) {
		pair = closing->open();
		watch(&w, closing->writes ? pair.theirs : pair.ours,
		      closing->writes ? EV_WRITE : EV_READ);
		settle();
		nap(how & 1 ? SHORT_NAP : 0.);
		if (how & 2)
			stop(&w);
		discard(w.io.fd);
		check_hears_of_it(closing->writes ? pair.ours : pair.theirs,
				  closing);
		stop(&w);
		turn();
	}
	close_scene();
}
END_TEST

static void stop_and_close(struct watch *w)
{
	stop(w);
	discard(w->io.fd);
}

START_TEST(the_peer_hears_of_a_close_in_a_callback_at_once)
{
	const struct closing *closing = &closings[_i / nr_runnable];
	struct pair pair;
	struct watch w;

	open_scene(_i);
	pair = closing->open();
	watch_then(&w, closing->writes ? pair.theirs : pair.ours,
		   closing->writes ? EV_WRITE : EV_READ, stop_and_close);
	stop(&w);
	settle();
	start(&w);
	if (!closing->writes && closing->open == open_pipe)
		put(pair.theirs);
	else if (!closing->writes)
		check_int(shutdown(pair.theirs, SHUT_WR), ==, 0);
	turn();
	check_int(w.nr, ==, 1);
	check_hears_of_it(closing->writes ? pair.ours : pair.theirs, closing);
	close_scene();
}
END_TEST

START_TEST(a_port_is_free_when_its_listener_is_closed)
{
	int fd, port, i;
	struct watch w;

	open_scene(_i);
	fd = open_listener();
	port = port_of(fd);
	for (i = 0; i < 5; i++) {
		watch(&w, fd, EV_READ);
		settle();
		nap(i % 2 ? 0. : SHORT_NAP);
		stop(&w);
		discard(fd);
		fd = open_socket(SOCK_STREAM);
		check_int(bind_to(fd, port), ==, 0);
		check_int(listen(fd, 1), ==, 0);
	}
	close_scene();
}
END_TEST

/*
 * all of them
 */

void add_closing(void)
{
	add_scenario("closing", a_port_is_free_when_its_listener_is_closed);
	add_rows("closing", the_peer_hears_of_a_close_at_once,
		 ARRAY_SIZE(closings));
	add_rows("closing", the_peer_hears_of_a_close_in_a_callback_at_once,
		 ARRAY_SIZE(closings));
}
