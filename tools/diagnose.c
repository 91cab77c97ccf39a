/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * diagnose.c - what the facts mean, and what to change.
 *
 * Nothing is measured here, and nothing is claimed that the facts do not say:
 * of several things that can be the cause, each is named as possible.
 *
 * What the kernel's answers say:
 *
 * a) io_uring_register and io_uring_enter are never refused by a sysctl or a
 *    security module, only by a filter, or where there is no io_uring at all.
 * b) A kernel that has the sysctl kernel.io_uring_disabled has io_uring: ENOSYS
 *    comes from something before it then.
 * c) A sysctl says EPERM, a security module usually EACCES, a filter whatever
 *    was written into it: EPERM or ENOSYS as a rule.
 */
#include "config.h"

#include "diagnose.h"

#include <errno.h>
#include <ev.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "names.h"
#include "terms.h"

#define THREE_CALLS "io_uring_setup, io_uring_enter and io_uring_register"

const char *verdict_name(enum verdict verdict)
{
	static const char *const names[] = {
		[VERDICT_OK] = "ok",
		[VERDICT_NOTE] = "note",
		[VERDICT_PROBLEM] = "problem",
		[VERDICT_UNKNOWN] = "unknown",
	};

	return names[verdict];
}

/* Appends; what does not fit is left out. */
__attribute__((format(printf, 3, 4))) static void add(char *text, size_t size,
						      const char *format, ...)
{
	size_t used = strlen(text);
	va_list args;

	va_start(args, format);
	vsnprintf(text + used, size - used, format, args);
	va_end(args);
}

#define WHAT(n, ...)   add((n)->what, sizeof((n)->what), __VA_ARGS__)
#define CHANGE(n, ...) add((n)->change, sizeof((n)->change), __VA_ARGS__)

/*
 * io_uring as a whole
 */

static bool may_be_filtered(const struct facts *f)
{
	return f->status.seccomp != 0;
}

static void judge_refused(const struct facts *f, struct finding *n,
			  const struct call *call)
{
	n->verdict = VERDICT_PROBLEM;
	if (call->is_fatal) {
		WHAT(n,
		     "whoever calls %s is ended by SIGSYS, also a program "
		     "under evring run",
		     call->name);
		return;
	}
	WHAT(n, "%s says %s", call->name, error_name(call->error));
	if (f->tier != EVRING_TIER_NONE) {
		n->verdict = VERDICT_NOTE;
		WHAT(n, "; a loop gets a ring without it");
		return;
	}
	if (call->error != ENOSYS)
		return;
	if (f->disabled.is_known) { /* (b) */
		WHAT(n, "; the kernel has io_uring, something hides it");
		return;
	}
	WHAT(n, "; there is no io_uring in this kernel%s",
	     may_be_filtered(f) ? ", or a seccomp filter hides it" : "");
	CHANGE(n, "use Linux 5.11 or later, built with CONFIG_IO_URING");
}

static bool judge_uring(const struct facts *f, struct finding *n)
{
	const struct call *call = facts_refused_call(f);

	n->topic = "io_uring";
	if (call) {
		judge_refused(f, n, call);
	} else if (f->is_fatal) {
		n->verdict = VERDICT_PROBLEM;
		WHAT(n, "whoever makes a ring is ended by SIGSYS, also a "
			"program under evring run");
	} else if (f->plain_error < 0) {
		n->verdict = VERDICT_PROBLEM;
		WHAT(n, "no ring can be made: %s says %s", f->plain_call,
		     error_name(f->plain_error));
		if (f->plain_error == -ENOSYS)
			CHANGE(n, "use Linux 5.11 or later");
	} else if (f->probe_error < 0) {
		n->verdict = VERDICT_PROBLEM;
		WHAT(n, "no ring can be used: %s", error_name(f->probe_error));
	} else {
		WHAT(n, "a ring can be made and waited on");
	}
	return true;
}

/*
 * sysctl
 */

static bool setup_says(const struct facts *f, int error)
{
	return f->calls[CALL_SETUP].error == error ||
	       (!f->calls[CALL_SETUP].error && f->plain_error == -error &&
		!strcmp(f->plain_call, "io_uring_setup"));
}

static bool is_member(const struct facts *f)
{
	return f->is_in_group || facts_has_capability(f, NEED_SYS_ADMIN);
}

static void judge_members_only(const struct facts *f, struct finding *n)
{
	WHAT(n,
	     "kernel.io_uring_disabled is 1: rings are for CAP_SYS_ADMIN "
	     "and for members of the group kernel.io_uring_group, which is ");
	if (!f->group.is_known)
		WHAT(n, "unknown");
	else if (f->group.value < 0)
		WHAT(n, "%ld, no group", f->group.value);
	else
		WHAT(n, "%ld", f->group.value);
	if (!setup_says(f, EPERM)) {
		WHAT(n, "; this process may make them");
	} else if (is_member(f)) {
		WHAT(n, "; this process is one of them, so something else "
			"refuses");
	} else {
		n->verdict = VERDICT_PROBLEM;
		WHAT(n, "; this process is neither");
		CHANGE(n, "as root, on the host if this is a container: "
			  "sysctl -w kernel.io_uring_disabled=0; or make the "
			  "user a member of a group and sysctl -w "
			  "kernel.io_uring_group=GID; the same in "
			  "/etc/sysctl.d/ to keep it");
	}
}

static void judge_no_sysctl(const struct facts *f, struct finding *n)
{
	if (f->disabled.error == ENOENT) {
		WHAT(n, "there is no kernel.io_uring_disabled here: it came "
			"with Linux 6.6");
		return;
	}
	n->verdict = VERDICT_UNKNOWN;
	WHAT(n, "kernel.io_uring_disabled cannot be read%s%s",
	     f->disabled.error ? ": " : "",
	     f->disabled.error ? error_name(f->disabled.error) : "");
}

static bool judge_sysctl(const struct facts *f, struct finding *n)
{
	n->topic = "sysctl";
	if (!f->disabled.is_known) {
		judge_no_sysctl(f, n);
	} else if (f->disabled.value == 0) {
		WHAT(n, "kernel.io_uring_disabled is 0: every user may make "
			"rings");
	} else if (f->disabled.value == 1) {
		judge_members_only(f, n);
	} else if (f->disabled.value == 2) {
		n->verdict = VERDICT_PROBLEM;
		WHAT(n, "kernel.io_uring_disabled is 2: nobody may make rings");
		CHANGE(n, "as root, on the host if this is a container: "
			  "sysctl -w kernel.io_uring_disabled=0; the same in "
			  "/etc/sysctl.d/ to keep it");
	} else {
		n->verdict = VERDICT_UNKNOWN;
		WHAT(n,
		     "kernel.io_uring_disabled is %ld, which evring does "
		     "not know",
		     f->disabled.value);
	}
	return true;
}

static bool sysctl_forbids(const struct facts *f)
{
	return f->disabled.is_known &&
	       (f->disabled.value == 2 ||
		(f->disabled.value == 1 && !is_member(f)));
}

/*
 * seccomp
 */

static void advise_filter(struct finding *n)
{
	CHANGE(n, "allow " THREE_CALLS ". Docker, Podman: run with "
		  "--security-opt seccomp=FILE, the default profile with these "
		  "three added. systemd: SystemCallFilter=io_uring_setup "
		  "io_uring_enter io_uring_register, beside the line that is "
		  "there");
}

/* What can be said of the calls that do not work, with a filter installed. */
static void judge_filtered(const struct facts *f, struct finding *n,
			   const struct call *call)
{
	bool is_setup = call == &f->calls[CALL_SETUP];
	const struct call *other = &f->calls[CALL_REGISTER];

	if (is_setup && sysctl_forbids(f) && call->error == EPERM &&
	    !other->error && !f->calls[CALL_ENTER].error) {
		n->verdict = VERDICT_UNKNOWN;
		WHAT(n, "; the sysctl forbids io_uring_setup, whether the "
			"filter does is unknown");
		return;
	}
	if (call->error == ENOSYS && !f->disabled.is_known) {
		n->verdict = VERDICT_UNKNOWN;
		WHAT(n, "; it may be what says ENOSYS to %s", call->name);
	} else {
		n->verdict = f->tier == EVRING_TIER_NONE ? VERDICT_PROBLEM
							 : VERDICT_NOTE;
		WHAT(n,
		     is_setup ? "; it is the likely cause of %s to %s"
			      : "; it says %s to %s",
		     error_name(call->error), call->name);
	}
	advise_filter(n);
}

/* What does not work besides call. */
static void list_refused(const struct facts *f, struct finding *n,
			 const struct call *call)
{
	int i;

	for (i = 0; i < NR_CALLS; i++)
		if (f->calls[i].error && &f->calls[i] != call)
			WHAT(n, "; %s: %s", f->calls[i].name,
			     error_name(f->calls[i].error));
}

static bool some_feature_is_off(const struct facts *f)
{
	int i;

	for (i = 0; i < NR_FEATURES; i++)
		if (f->features[i].state == FEATURE_OFF)
			return true;
	return false;
}

static void judge_partly_filtered(const struct facts *f, struct finding *n)
{
	if (!f->plain_error && !some_feature_is_off(f)) {
		WHAT(n, "; it lets through what a loop needs");
		return;
	}
	n->verdict = VERDICT_UNKNOWN;
	if (f->plain_error && !facts_is_shortage(f->plain_error))
		WHAT(n, "; it may be what says %s to %s",
		     error_name(f->plain_error), f->plain_call);
	else
		WHAT(n, "; it may be what refuses the features that are off");
	advise_filter(n);
}

static void judge_filter(const struct facts *f, struct finding *n)
{
	const struct call *call = facts_refused_call(f);

	WHAT(n, "a filter is installed");
	if (f->is_fatal) {
		n->verdict = VERDICT_PROBLEM;
		WHAT(n, "; it ends the process that calls %s",
		     call ? call->name : "one of the three of io_uring");
		advise_filter(n);
	} else if (call) {
		judge_filtered(f, n, call);
		list_refused(f, n, call);
	} else {
		judge_partly_filtered(f, n);
	}
}

static bool judge_seccomp(const struct facts *f, struct finding *n)
{
	n->topic = "seccomp";
	if (f->status.seccomp == 0) {
		WHAT(n, "no filter is installed");
	} else if (f->status.seccomp == 2) {
		judge_filter(f, n);
	} else {
		n->verdict = VERDICT_UNKNOWN;
		WHAT(n, "/proc/self/status does not say whether a filter is "
			"installed");
	}
	if (f->status.no_new_privs >= 0)
		WHAT(n, "; NoNewPrivs is %d", f->status.no_new_privs);
	return true;
}

/*
 * limits
 */

static void add_size(struct finding *n, rlim_t size)
{
	if (size == RLIM_INFINITY)
		WHAT(n, "unlimited");
	else
		WHAT(n, "%llu KiB", (unsigned long long)size / 1024);
}

static void judge_memory(const struct facts *f, struct finding *n)
{
	bool is_counted = !facts_has_capability(f, NEED_IPC_LOCK) &&
			  f->memlock.rlim_cur != RLIM_INFINITY;

	n->verdict = f->ring_entries ? VERDICT_NOTE : VERDICT_PROBLEM;
	if (f->ring_entries)
		WHAT(n, "; it had no room: one of %u entries was made instead",
		     f->ring_entries);
	else
		WHAT(n, "; there was no room, not even for a small one");
	if (!is_counted) {
		WHAT(n, ", and not for this limit");
		CHANGE(n, "free memory, or raise the limit of the control "
			  "group");
		return;
	}
	CHANGE(n,
	       "raise the limit, %zu KiB for each loop of this user: ulimit "
	       "-l KIB; systemd: LimitMEMLOCK=; Docker, Podman: --ulimit "
	       "memlock=BYTES; for all: memlock in "
	       "/etc/security/limits.conf",
	       f->ring_bytes / 1024);
}

static bool judge_memlock(const struct facts *f, struct finding *n)
{
	n->topic = "memlock";
	WHAT(n, "RLIMIT_MEMLOCK is ");
	add_size(n, f->memlock.rlim_cur);
	WHAT(n, " (hard: ");
	add_size(n, f->memlock.rlim_max);
	WHAT(n, ")%s, a ring of %d entries needs %zu KiB",
	     facts_has_capability(f, NEED_IPC_LOCK)
		     ? ", not applied with CAP_IPC_LOCK"
		     : "",
	     (int)DEFAULT_ENTRIES, f->ring_bytes / 1024);
	if (!f->ring_error) {
		WHAT(n, " and was made");
	} else if (f->ring_error == -ENOMEM) {
		judge_memory(f, n);
	} else {
		n->verdict = VERDICT_UNKNOWN;
		WHAT(n, "; not tried");
	}
	return true;
}

static bool someone_got(const struct facts *f, int error)
{
	return f->probe_error == error || f->layout_error == error ||
	       f->ring_error == error || f->attach_error == error;
}

static bool judge_files(const struct facts *f, struct finding *n)
{
	n->topic = "files";
	n->verdict = VERDICT_PROBLEM;
	if (someone_got(f, -ENFILE)) {
		WHAT(n, "no file descriptor is left in the whole system");
		CHANGE(n, "as root: sysctl -w fs.file-max=NUMBER");
		return true;
	}
	if (!someone_got(f, -EMFILE))
		return false;
	WHAT(n,
	     "no file descriptor is left: RLIMIT_NOFILE is %llu (hard: %llu)",
	     (unsigned long long)f->nofile.rlim_cur,
	     (unsigned long long)f->nofile.rlim_max);
	CHANGE(n, "ulimit -n NUMBER; systemd: LimitNOFILE=");
	return true;
}

static bool judge_modules(const struct facts *f, struct finding *n)
{
	const struct call *call = facts_refused_call(f);
	int error = call ? -call->error : f->plain_error;

	if (error != -EACCES)
		return false;
	n->topic = "security";
	n->verdict = VERDICT_PROBLEM;
	WHAT(n, "EACCES is what a security module says");
	if (may_be_filtered(f)) {
		n->verdict = VERDICT_UNKNOWN;
		WHAT(n, ", or a seccomp filter");
	}
	WHAT(n, "; modules here: %s", f->modules[0] ? f->modules : "unknown");
	CHANGE(n, "see its log (journalctl -k, ausearch -m avc) and allow "
		  "io_uring there");
	return true;
}

/*
 * libev
 */

static int nr_proofs(const struct facts *f)
{
	int n = 0;

	while (n < EVR_MAX_PROOFS && f->proofs[n].name)
		n++;
	return n;
}

static void judge_layout(const struct facts *f, struct finding *n)
{
	int nr = nr_proofs(f);

	if (f->layout_error != -ENOTSUP) {
		n->verdict = VERDICT_UNKNOWN;
		WHAT(n, "its layout could not be looked for: %s",
		     error_name(f->layout_error));
		return;
	}
	n->verdict = VERDICT_PROBLEM;
	if (nr)
		WHAT(n,
		     "proof %s failed: evring leaves loops of this libev "
		     "alone",
		     f->proofs[nr - 1].name);
	else
		WHAT(n, "no proof could be begun: this libev makes no loop on "
			"select");
	CHANGE(n, "use libev 4.24 to 4.33 as it is distributed, or compile "
		  "evring-embed.h in with ev.c");
}

static void judge_backend(const struct facts *f, struct finding *n)
{
	n->verdict = VERDICT_PROBLEM;
	if (f->libev_flags) {
		WHAT(n,
		     "LIBEV_FLAGS in the environment puts loops on %s, and "
		     "evring takes over loops on epoll only",
		     evr_backend_name(f->backend));
		CHANGE(n, "unset LIBEV_FLAGS");
		return;
	}
	WHAT(n,
	     f->backend ? "loops are on %s, and evring takes over loops on "
			  "epoll only"
			: "no loop on epoll can be made (backend: %s)",
	     evr_backend_name(f->backend));
}

static bool judge_libev(const struct facts *f, struct finding *n)
{
	n->topic = "libev";
	if (f->layout_error)
		judge_layout(f, n);
	else if (!f->is_fatal && f->backend != EVBACKEND_EPOLL)
		judge_backend(f, n);
	else
		WHAT(n, "all %d proofs held: loops on epoll can be attached",
		     nr_proofs(f));
	return true;
}

/*
 * the tier
 */

static const struct feature *feature_of(const struct facts *f, unsigned bit,
					const char **ret_name)
{
	int i = 0;

	while (evr_features[i].bit != bit)
		i++;
	*ret_name = evr_features[i].name;
	return &f->features[i];
}

static bool judge_tier(const struct facts *f, struct finding *n)
{
	const struct feature *region;
	const char *name;

	region = feature_of(f, EVR_HAVE_REGION, &name);
	if (f->tier != EVRING_TIER_COPIED || region->state == FEATURE_MASKED)
		return false;
	n->topic = "tier";
	n->verdict = VERDICT_NOTE;
	WHAT(n,
	     "wait arguments are copied in every turn that sleeps: region "
	     "is off (%s)",
	     region->why);
	CHANGE(n, "use Linux 6.13 or later, or allow the call where it is "
		  "refused");
	return true;
}

static void why_copied(const struct facts *f, char *why, size_t size)
{
	const struct feature *region;
	const char *name;

	region = feature_of(f, EVR_HAVE_REGION, &name);
	add(why, size, "of %s: %s", name, region->why);
}

static void why_none(const struct facts *f, char *why, size_t size)
{
	const struct call *call = facts_refused_call(f);

	if (f->is_fatal)
		add(why, size, "a seccomp filter ends who calls %s",
		    call ? call->name : "it");
	else if (call)
		add(why, size, "%s says %s", call->name,
		    error_name(call->error));
	else if (f->probe_error && f->plain_error)
		add(why, size, "%s says %s", f->plain_call,
		    error_name(f->plain_error));
	else if (f->layout_error == -ENOTSUP)
		add(why, size, "the layout of libev could not be proven");
	else if (f->backend != EVBACKEND_EPOLL)
		add(why, size, "loops are on %s, not epoll",
		    evr_backend_name(f->backend));
	else if (f->is_lost)
		add(why, size, "the ring was lost in its first turn");
	else
		add(why, size, "%s", evring_strerror(f->attach_error));
}

void diagnose_tier(const struct facts *f, char *why, size_t size)
{
	why[0] = '\0';
	if (f->tier == EVRING_TIER_COPIED)
		why_copied(f, why, size);
	else if (f->tier == EVRING_TIER_NONE)
		why_none(f, why, size);
}

int diagnose(const struct facts *f, struct finding findings[MAX_FINDINGS])
{
	static bool (*const judges[MAX_FINDINGS])(const struct facts *f,
						  struct finding *n) = {
		judge_uring,   judge_sysctl, judge_seccomp, judge_memlock,
		judge_modules, judge_files,  judge_libev,   judge_tier,
	};
	int i, n = 0;

	for (i = 0; i < MAX_FINDINGS; i++) {
		memset(&findings[n], 0, sizeof(findings[n]));
		if (judges[i](f, &findings[n]))
			n++;
	}
	return n;
}
