/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ledger.h - the loops of this process, in a page that `evring info PID` can
 * read (page.h).
 */
#ifndef EVR_LEDGER_H
#define EVR_LEDGER_H

#include "page.h"

/* A place for the loop at this address.  NULL: none left, or no memory. */
struct evr_slot *evr_ledger_open(const void *loop);

/* To be seen from now on; a NULL slot counts as one that is not seen. */
void evr_ledger_enter(struct evr_slot *slot, enum evr_slot_state state);

/* The slot that has this loop, or NULL. */
struct evr_slot *evr_ledger_find(const void *loop);

/* The loop is no more; its counters, if it has a slot, go to the sum. */
void evr_ledger_close(struct evr_slot *slot);

/* For those who only look.  NULL: no loop was made yet. */
const struct evr_page *evr_ledger_page(void);

#endif
