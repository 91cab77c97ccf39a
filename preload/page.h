/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * page.h - what a process under `evring run` shows of its loops, for `evring
 * info PID`.
 *
 * It is a memfd of that process, mapped there for as long as it lives: it goes
 * when the process ends or executes another program, however that happens.  The
 * reader opens /proc/PID/fd/N, whose name is EVR_PAGE_LINK, and reads it.
 *
 * The counters are the ones that the loops count with, not copies.  Each is
 * whole when read (64 bits, aligned), but they are not read in one moment.  A
 * slot is valid while its state is not EVR_SLOT_FREE; look at the state before
 * and after.
 */
#ifndef EVR_PAGE_H
#define EVR_PAGE_H

#include <evring.h>
#include <stdatomic.h>

#define EVR_PAGE_NAME  "evring"
#define EVR_PAGE_LINK  "/memfd:evring (deleted)"
#define EVR_PAGE_MAGIC 0x3167617067727665 /* "evrgpag1", little end first */

enum evr_slot_state {
	EVR_SLOT_FREE,
	EVR_SLOT_TAKEN,	   /* being filled */
	EVR_SLOT_ATTACHED, /* the loop is on a ring */
	EVR_SLOT_REFUSED   /* it is not: see error and backend */
};

struct evr_slot {
	_Atomic uint32_t state;
	int32_t error;	     /* of evring_attach(): 0 or negative */
	uint64_t loop;	     /* its address in that process */
	uint32_t backend;    /* libev's EVBACKEND_* bit */
	uint32_t flags;	     /* that the program made it with */
	uint32_t tier;	     /* enum evring_tier, when it was attached */
	uint32_t is_default; /* 1: ev_default_loop() */
	struct evring_stats stats;
};

enum { EVR_PAGE_SLOTS = 255 };

struct evr_page {
	_Atomic uint64_t magic; /* written last */
	uint32_t size;		/* sizeof (struct evr_page) */
	uint32_t nr_slots;
	int32_t pid; /* of the process that it is about */
	uint32_t reserved;
	char version[16];	    /* of the library */
	_Atomic uint64_t nr_made;   /* loops that this process made, ... */
	_Atomic uint64_t nr_ended;  /* ... destroyed, ... */
	_Atomic uint64_t nr_unseen; /* ... and had no slot left for */
	struct evring_stats ended;  /* sums of the loops that are destroyed */
	struct evr_slot slots[EVR_PAGE_SLOTS];
};

#endif
