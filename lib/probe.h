/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * probe.h - what this kernel lets a ring do.
 */
#ifndef EVR_PROBE_H
#define EVR_PROBE_H

#include "evr.h"

struct evr_feature {
	const char *name;   /* as in EVRING_DISABLE */
	unsigned bit;	    /* one of enum evr_have */
	unsigned needs;	    /* others without which it cannot be used */
	const char *kernel; /* the Linux that brought it */
	const char *what;   /* it is for */
};

/* All of them, in the order in which they came; ends with a NULL name. */
enum { EVR_NR_FEATURES = 24 };
extern const struct evr_feature evr_features[EVR_NR_FEATURES + 1];

/*
 * What to use: all that this kernel has, less what EVRING_DISABLE and disable
 * (may be NULL) name, less what cannot do without those.
 *
 * Returns 0; -EINVAL if disable has an unknown name; or why there is no
 * io_uring here: -ENOSYS, -EPERM, -EACCES, -ENOMEM, -EMFILE, -ENFILE.
 */
int evr_probe(const char *disable, unsigned *ret_have);

/* EVRING_ENGINE, as evr_engine_init() takes it. */
const char *evr_probe_engine(void);

/*
 * Can a wait be made to collect, with a ring of have?  Linux from 6.12 to
 * 6.18.0 has min-wait with a defect, and says nothing of it; so this is tried,
 * once for the process, when first asked.
 *
 * Returns 1, 0, or why it cannot be tried: -ENOMEM, -EMFILE, -ENFILE.
 */
int evr_probe_min_wait(unsigned have);

/*
 * What to think of evr_ring_try_min_wait() and its likes: try_once (arg) is
 * called until it is clear.  Returns 1, 0, or its -errno.
 */
int evr_judge_min_wait(int (*try_once)(void *arg), void *arg);

/*
 * The bits of a comma separated list of names.  Returns 0, or -EINVAL when a
 * name is unknown; *ret_bits has the known ones in either case.
 */
int evr_probe_parse(const char *names, unsigned *ret_bits);

#endif
