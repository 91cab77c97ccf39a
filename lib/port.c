/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * port.c - messages from other threads: the queue of a port, and the ports of a
 * loop.
 *
 * Senders put their messages on a stack with one compare-and-swap.  The loop
 * takes the whole stack with one exchange and turns it round, so that the order
 * is that of the swaps.  Nothing is ever taken from the middle, and no member
 * of a message on the stack is read by another sender; so a message may be
 * posted again as soon as it was handed out.
 *
 * The empty stack says whether the loop has to be woken:
 *
 *   NULL   it sleeps, or may go to sleep: who posts the first message wakes it
 *   AWAKE  it will look once more before it sleeps
 *
 * A loop that finds AWAKE at the beginning of a turn makes it NULL and sleeps;
 * one that took messages in a turn does not sleep in it.  So under load nobody
 * wakes and nobody is woken.
 *
 * Which waker to use is in the port, too, and changes with the ring.  No wake
 * is lost: the loop writes the waker and then looks at the stack, a sender
 * writes to the stack and then looks for the waker.  One of them sees what the
 * other wrote, because all four are sequentially consistent.
 *
 * To libev a port is a watcher that we feed: libev reads and writes the first
 * members of port.op, which flight.c compares with libev's, and calls
 * port_invoked().
 *
 * Invariants:
 *
 * (1) posted and waker are the only members that more than one thread knows.
 * (2) Messages from first to last are older than those in posted.
 * (3) Nothing of a port is touched after its callback was called.
 */
#include "config.h"

#include "port.h"

#include <assert.h>
#include <ev.h>

/* What libev tells our callback; anything will do. */
enum { SOMETHING = 1 };

static struct evring_message awake_mark;
#define AWAKE (&awake_mark)

/*
 * queue
 */

/* The public header is also for C++ and C99, which have other atomics. */
#define load(place)	   __atomic_load_n(place, __ATOMIC_SEQ_CST)
#define store(place, what) __atomic_store_n(place, what, __ATOMIC_SEQ_CST)

static bool swap_posted(struct evring_port *port, struct evring_message **from,
			struct evring_message *to)
{
	return __atomic_compare_exchange_n(&port->posted, from, to, false,
					   __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

bool evr_port_push(struct evring_port *port, struct evring_message *message)
{
	struct evring_message *posted = load(&port->posted);

	do
		message->next = posted;
	while (!swap_posted(port, &posted, message));
	return !posted;
}

/* From a stack, the latest first, behind what is there. */
static void append_stack(struct evring_port *port, struct evring_message *stack)
{
	struct evring_message *first = NULL, *last = stack, *next;

	for (; stack && stack != AWAKE; stack = next) {
		next = stack->next;
		stack->next = first;
		first = stack;
	}
	if (!first)
		return;
	if (port->first)
		port->last->next = first;
	else
		port->first = first;
	port->last = last;
}

static void take_all(struct evring_port *port)
{
	append_stack(port, __atomic_exchange_n(&port->posted, AWAKE,
					       __ATOMIC_SEQ_CST));
}

static bool is_empty(const struct evring_message *posted)
{
	return !posted || posted == AWAKE;
}

/* Nothing, and the next message will wake the loop. */
static bool can_sleep(struct evring_port *port)
{
	struct evring_message *posted = load(&port->posted);

	return !posted || (posted == AWAKE && swap_posted(port, &posted, NULL));
}

static void look_for_messages(struct evring_port *port, enum evr_look look)
{
	if (look == EVR_BEFORE_SLEEP ? !can_sleep(port)
				     : !is_empty(load(&port->posted)))
		take_all(port);
}

static struct evring_message *take_message(struct evring_port *port)
{
	struct evring_message *message = port->first;

	if (message)
		port->first = message->next;
	return message;
}

/* (AWAKE where nobody will look is no harm: whoever starts the port looks.) */
struct evring_message *evr_port_take(struct evring_port *port)
{
	if (!port->first && !is_empty(load(&port->posted)))
		take_all(port);
	return take_message(port);
}

/*
 * events
 */

static void feed_port(const struct evr_ports *ports, struct evring_port *port)
{
	ports->host.layout->feed_event(ports->host.loop, &port->op, SOMETHING);
}

static void tell_end(struct ev_loop *loop, struct evring_port *port)
{
	evr_port_remove(port);
	port->cb(loop, port, NULL);
}

static void port_invoked(struct ev_loop *loop, struct evring_op *op,
			 int revents)
{
	struct evring_port *port = (struct evring_port *)(void *)op;
	struct evr_ports *ports = port->set;
	struct evring_message *message;

	(void)revents;
	if (evr_unlikely(ports->have_ended)) {
		tell_end(loop, port);
		return;
	}
	message = take_message(port);
	if (port->first)
		feed_port(ports, port);
	if (evr_likely(message != NULL)) /* somebody may have taken it */
		port->cb(loop, port, message);
}

static bool gather(const struct evr_ports *ports, struct evring_port *port,
		   enum evr_look look)
{
	look_for_messages(port, look);
	if (!port->first && !ports->have_ended)
		return false;
	feed_port(ports, port);
	return true;
}

unsigned evr_ports_gather(struct evr_ports *ports, enum evr_look look)
{
	struct evring_port *port;
	unsigned nr = 0;

	for (port = ports->first; port; port = port->next)
		nr += gather(ports, port, look);
	return nr;
}

unsigned evr_ports_end(struct evr_ports *ports)
{
	ports->have_ended = true;
	return evr_ports_gather(ports, EVR_WOKEN);
}

void evr_ports_end_now(struct evr_ports *ports)
{
	while (ports->first)
		tell_end(ports->host.loop, ports->first);
}

/*
 * the ports of a loop
 */

static_assert(offsetof(struct evring_port, op) == 0,
	      "the watcher that libev knows is the port");

static void set_waker(struct evring_port *port, struct evr_waker *waker)
{
	store(&port->waker, (void *)waker);
}

struct evr_waker *evr_port_waker(const struct evring_port *port)
{
	return load(&port->waker);
}

void evr_ports_init(struct evr_ports *ports, const struct evr_host *host)
{
	ports->host = *host;
}

void evr_ports_set_waker(struct evr_ports *ports, struct evr_waker *waker)
{
	struct evring_port *port;

	ports->waker = waker;
	for (port = ports->first; port; port = port->next)
		set_waker(port, waker);
}

void evr_ports_add(struct evr_ports *ports, struct evring_port *port)
{
	const struct evring_layout *layout = ports->host.layout;

	port->op.active = 1;
	/* As libev's starts do: its queues are an array by priority. */
	port->op.priority = evr_clamp(port->op.priority, layout->min_priority,
				      layout->max_priority);
	port->op.cb = port_invoked;
	port->set = ports;
	port->prev = NULL;
	port->next = ports->first;
	if (port->next)
		port->next->prev = port;
	ports->first = port;
	ports->host.layout->ref(ports->host.loop);
	set_waker(port, ports->waker);
}

void evr_port_remove(struct evring_port *port)
{
	struct evr_ports *ports = port->set;

	set_waker(port, NULL);
	ports->host.layout->clear_pending(ports->host.loop, &port->op);
	ports->host.layout->unref(ports->host.loop);
	if (port->next)
		port->next->prev = port->prev;
	if (port->prev)
		port->prev->next = port->next;
	else
		ports->first = port->next;
	port->set = NULL;
	port->op.active = 0;
}
