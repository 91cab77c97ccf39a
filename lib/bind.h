/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bind.h - what an attached loop is attached to.
 */
#ifndef EVR_BIND_H
#define EVR_BIND_H

#include "poll.h"

/* NULL for a loop that is not attached, or whose ring was lost. */
struct evr_poll *evr_bind_find(struct ev_loop *loop);

#endif
