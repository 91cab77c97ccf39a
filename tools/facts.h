/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * facts.h - what can be known of this machine: measured, not yet judged.
 */
#ifndef EVR_TOOL_FACTS_H
#define EVR_TOOL_FACTS_H

#include <evring.h>
#include <sys/resource.h>
#include <sys/types.h>
#include <sys/utsname.h>

#include "../lib/layout.h"
#include "../lib/probe.h"

enum feature_state {
	FEATURE_ON,
	FEATURE_OFF,	/* not on this kernel, or refused */
	FEATURE_MASKED, /* by name, or it needs one that is */
	FEATURE_UNKNOWN /* no ring could be made to find out */
};

struct feature {
	enum feature_state state;
	char why[160]; /* it is not on; empty if it is */
};

/* One of the three system calls, asked in a way that does nothing. */
struct call {
	const char *name;
	int error;     /* positive; 0: the kernel took it as it should */
	bool is_fatal; /* the process that called it was ended, SIGSYS */
};

enum { CALL_SETUP, CALL_REGISTER, CALL_ENTER, NR_CALLS };

enum { NR_FEATURES = EVR_NR_FEATURES };

/* What /proc/sys says. */
struct sysctl {
	bool is_known;
	int error; /* positive: why it is not known */
	long value;
};

/* What /proc/self/status says. */
struct status {
	bool is_known;
	int seccomp; /* 0: no filter, 1: strict, 2: filters; -1: not said */
	int no_new_privs;
	unsigned long long capabilities; /* effective */
};

struct facts {
	struct utsname kernel;
	int liburing[2], libev[2]; /* major and minor */
	const char *libev_file;	   /* NULL: linked into this program */

	struct evr_proof proofs[EVR_MAX_PROOFS];
	int layout_error; /* 0 or negative, of evr_layout_discover() */

	const char *disable_env; /* EVRING_DISABLE, or NULL */
	unsigned masked_env, masked_option;
	int probe_error; /* 0 or negative, of evr_probe() */
	unsigned have;
	struct feature features[NR_FEATURES]; /* in the order of evr_features */

	struct call calls[NR_CALLS];
	bool is_fatal; /* SIGSYS: nothing was tried in this process */

	/* The plainest ring there is: how it ended, and in which call. */
	int plain_error; /* 0 or negative */
	const char *plain_call;

	/* A ring of the default size: its error, 0 or negative; the size of
	   the largest that could be made, 0 if none. */
	int ring_error;
	unsigned ring_entries;
	size_t ring_bytes; /* that the default size locks */

	struct sysctl disabled, group;
	bool is_in_group;
	struct status status;
	bool is_initial_userns;
	struct rlimit memlock, nofile;
	char modules[256]; /* security modules in force; empty: unknown */

	const char *libev_flags; /* LIBEV_FLAGS, or NULL */
	unsigned backend;	 /* that libev chose, 0 if it made no loop */
	int attach_error;	 /* 0 or negative, of evring_loop_new() */
	bool is_lost;		 /* attached, but its first turn failed */
	enum evring_tier tier;
};

enum { DEFAULT_ENTRIES = 128 };

/* disable is the value of --disable, or NULL; its names are known. */
void facts_gather(struct facts *f, const char *disable);

/* The first system call that does not work; NULL if all do. */
const struct call *facts_refused_call(const struct facts *f);

/* Does this error, negative, say that memory or files are short?  It passes. */
bool facts_is_shortage(int error);

/* Is this capability (a bit of capabilities(7)) of use to this process? */
bool facts_has_capability(const struct facts *f, int bit);
enum { NEED_IPC_LOCK = 14, NEED_SYS_ADMIN = 21 };

#endif
