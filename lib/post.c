/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * post.c - messages from any thread to a loop: what is public.
 *
 * Queues and callbacks are known to port.c, how a loop is woken to waker.c, and
 * what both have to do with a ring to poll.c.
 */
#include "config.h"

#include <errno.h>
#include <evring-net.h>

#include "bind.h"
#include "port.h"

static int start_port(struct ev_loop *loop, struct evring_port *port)
{
	struct evr_poll *poll;

	if (!port || !port->cb)
		return -EINVAL;
	if (port->op.active)
		return -EBUSY;
	poll = evr_bind_find(loop);
	return poll ? evr_poll_add_port(poll, port) : -ENXIO;
}

EVR_API int evring_port_start(struct ev_loop *loop, struct evring_port *port)
{
	int error = errno;
	int r = start_port(loop, port);

	errno = error;
	return r;
}

EVR_API void evring_port_stop(struct ev_loop *loop, struct evring_port *port)
{
	(void)loop;
	if (port && port->op.active)
		evr_port_remove(port);
}

EVR_API struct evring_message *evring_port_take(struct evring_port *port)
{
	return port ? evr_port_take(port) : NULL;
}

/* The loop of port sleeps, or has none. */
static void wake(struct ev_loop *from, const struct evring_port *port)
{
	struct evr_poll *poll = from ? evr_bind_find(from) : NULL;
	struct evr_waker *waker = evr_port_waker(port);

	if (!waker || !evr_waker_get(waker))
		return; /* whoever has the port will look */
	if (poll && evr_poll_wake_later(poll, waker))
		return;
	evr_waker_wake(waker);
	evr_waker_put(waker);
}

EVR_API int evring_post(struct ev_loop *from, struct evring_port *port,
			struct evring_message *message)
{
	int error = errno;

	if (!port || !message)
		return -EINVAL;
	if (evr_port_push(port, message))
		wake(from, port);
	errno = error;
	return 0;
}
