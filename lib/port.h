/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * port.h - messages from other threads: the queue of a port, and the ports of a
 * loop.
 */
#ifndef EVR_PORT_H
#define EVR_PORT_H

#include <evring-net.h>

#include "layout.h"
#include "waker.h"

/* The active ports of one loop. */
struct evr_ports {
	struct evr_host host;
	struct evring_port
		*first;		 /* the callers', who keep each while active */
	struct evr_waker *waker; /* of the loop; NULL: none */
	bool have_ended; /* there will be no ring: each is told, and stopped */
};

void evr_ports_init(struct evr_ports *ports, const struct evr_host *host);

/* Wake by this one from now on; NULL: not at all.  A turn is to follow. */
void evr_ports_set_waker(struct evr_ports *ports, struct evr_waker *waker);

/* port, not active, is from now on, and keeps the loop alive.  A turn is to
   follow. */
void evr_ports_add(struct evr_ports *ports, struct evring_port *port);

/* evring_port_stop() for one that is active. */
void evr_port_remove(struct evring_port *port);

/*
 * Have the callbacks of ports called that have messages.  At the beginning of a
 * turn, and when the loop was woken in it.  Returns how many ports have
 * something to say; if it is not 0 the turn does not sleep any more, and looks
 * of the first kind go on.
 */
enum evr_look { EVR_BEFORE_SLEEP, EVR_WOKEN };
unsigned evr_ports_gather(struct evr_ports *ports, enum evr_look look);

/* There is no ring and there will be none.  Returns as above. */
unsigned evr_ports_end(struct evr_ports *ports);

/* The same, and tell them now: libev will not any more. */
void evr_ports_end_now(struct evr_ports *ports);

/* Returns true if somebody has to wake the loop, if there is one. */
bool evr_port_push(struct evring_port *port, struct evring_message *message);

/* Who wakes the loop; NULL: nobody, it is not there. */
struct evr_waker *evr_port_waker(const struct evring_port *port);

/* evring_port_take() */
struct evring_message *evr_port_take(struct evring_port *port);

#endif
