/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * probe.c - what this kernel lets a ring do: the table of features, and the
 * trial that finds out which of them work.
 *
 * Version numbers say little: distributions port back, and sandboxes refuse
 * single flags.  So a small ring is made with everything and waited on once;
 * when a step is refused, the newest feature of that step is left out and the
 * trial repeated, until a ring has waited or nothing is left to leave out.
 *
 * Only "not there" makes a feature go: EINVAL, EPERM, EACCES, ENOSYS,
 * EOPNOTSUPP, EBUSY (a task that has restrictions, Linux 7.0, whose rings are
 * made with them, and can have no others), and EFAULT, EBADFD and EBADF from a
 * step that should not know them (a seccomp filter that swallowed an earlier
 * one).  ENOMEM, EMFILE and ENFILE end the trial: they will pass, and a loop
 * should not stay poorer for it.
 *
 * The answer of a trial that succeeded holds for the process and is kept.
 *
 * Whether min-wait works takes waits of its own, of 1 ms each, or 20 where it
 * does not.  So it is found out only when somebody wants to collect.
 */
#include "config.h"

#include "probe.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "ring.h"

/* clang-format off */
const struct evr_feature evr_features[EVR_NR_FEATURES + 1] = {
	{ "r-disabled",      EVR_HAVE_R_DISABLED,      0,
	  "5.10", "a ring made in one thread and run in another" },
	{ "restrict",        EVR_HAVE_RESTRICT,        EVR_HAVE_R_DISABLED,
	  "5.10", "rings that take no other requests than evring's own" },
	{ "multishot-poll",  EVR_HAVE_MULTISHOT_POLL,  0,
	  "5.13", "one request, many events" },
	{ "cqe-skip",        EVR_HAVE_CQE_SKIP,        0,
	  "5.17", "requests that answer only when they fail" },
	{ "registered-ring", EVR_HAVE_REGISTERED_RING, 0,
	  "5.18", "enter without looking up the ring's fd" },
	{ "submit-all",      EVR_HAVE_SUBMIT_ALL,      0,
	  "5.18", "a bad request does not stop those behind it" },
	{ "msg-ring",        EVR_HAVE_MSG_RING,        EVR_HAVE_CQE_SKIP,
	  "5.18", "loops wake each other in the system call of a turn" },
	{ "coop-taskrun",    EVR_HAVE_COOP_TASKRUN,    0,
	  "5.19", "no interrupts for completions" },
	{ "multishot-accept", EVR_HAVE_MULTISHOT_ACCEPT, 0,
	  "5.19", "one request, many connections" },
	{ "pbuf-ring",       EVR_HAVE_PBUF_RING,       0,
	  "5.19", "buffers that requests take when there is data" },
	{ "single-issuer",   EVR_HAVE_SINGLE_ISSUER,   0,
	  "6.0",  "one thread per ring, less locking" },
	/* With a way to wait for one that is under way. */
	{ "epoll-ctl",       EVR_HAVE_EPOLL_CTL,       EVR_HAVE_CQE_SKIP,
	  "6.0",  "watch and forget fds without a system call" },
	{ "multishot-recv",  EVR_HAVE_MULTISHOT_RECV,  EVR_HAVE_PBUF_RING,
	  "6.0",  "one request for all that comes from a socket" },
	{ "defer-taskrun",   EVR_HAVE_DEFER_TASKRUN,   EVR_HAVE_SINGLE_ISSUER,
	  "6.1",  "completions are made when the loop asks, not before" },
	{ "send-zc",         EVR_HAVE_SEND_ZC,         0,
	  "6.1",  "large sends without a copy" },
	{ "recv-bundle",     EVR_HAVE_RECV_BUNDLE,     EVR_HAVE_MULTISHOT_RECV,
	  "6.10", "several buffers filled by one completion" },
	{ "pbuf-inc",        EVR_HAVE_PBUF_INC,        EVR_HAVE_PBUF_RING,
	  "6.12", "buffers that are filled piece by piece" },
	{ "min-wait",        EVR_HAVE_MIN_WAIT,        0,
	  "6.12", "waits that collect several completions" },
	/* With the list of queues ours; without, 6.9. */
	{ "napi",            EVR_HAVE_NAPI,            0,
	  "6.13", "waits that poll NICs before they sleep" },
	{ "region",          EVR_HAVE_REGION,          EVR_HAVE_R_DISABLED,
	  "6.13", "wait arguments by region offset, not copied" },
	{ "sync-msg",        EVR_HAVE_SYNC_MSG,        EVR_HAVE_MSG_RING,
	  "6.13", "threads without a ring wake a loop in its ring" },
	{ "kernel-memory",   EVR_HAVE_KERNEL_MEMORY,   EVR_HAVE_REGION,
	  "6.14", "a region that the kernel allocates; else it is ours" },
	/* It hands out events that are true when they are taken from the
	   kernel.  Only with defer-taskrun is that our moment to choose. */
	{ "epoll-wait",      EVR_HAVE_EPOLL_WAIT,      EVR_HAVE_DEFER_TASKRUN,
	  "6.15", "the epoll set waited for inside the ring" },
	{ "no-iowait",       EVR_HAVE_NO_IOWAIT,       0,
	  "6.15", "an idle loop does not count as waiting for a disk" },
	{ NULL, 0, 0, NULL, NULL }
};

static_assert(EVR_HAVE_ALL == (1u << EVR_NR_FEATURES) - 1,
	      "a row for each bit");

/* What may be to blame when a step is refused, newest first. */
static const unsigned suspects[EVR_STEP_DONE][5] = {
	[EVR_STEP_SETUP] = { EVR_HAVE_DEFER_TASKRUN, EVR_HAVE_SINGLE_ISSUER,
			     EVR_HAVE_COOP_TASKRUN, EVR_HAVE_SUBMIT_ALL,
			     EVR_HAVE_R_DISABLED },
	[EVR_STEP_REGION] = { EVR_HAVE_KERNEL_MEMORY, EVR_HAVE_REGION },
	[EVR_STEP_RESTRICT] = { EVR_HAVE_RESTRICT },
	[EVR_STEP_ENABLE] = { EVR_HAVE_R_DISABLED },
	[EVR_STEP_REGISTER_RING] = { EVR_HAVE_REGISTERED_RING },
	[EVR_STEP_ENTER] = { EVR_HAVE_NO_IOWAIT, EVR_HAVE_REGION,
			     EVR_HAVE_REGISTERED_RING },
};
/* clang-format on */

static const struct evr_feature *find_feature(const char *name, size_t size)
{
	const struct evr_feature *f;

	for (f = evr_features; f->name; f++)
		if (strlen(f->name) == size && !memcmp(f->name, name, size))
			return f;
	return NULL;
}

int evr_probe_parse(const char *names, unsigned *ret_bits)
{
	const struct evr_feature *f;
	unsigned bits = 0;
	size_t size;
	int r = 0;

	for (; names && *names; names += size + (names[size] == ',')) {
		size = strcspn(names, ",");
		f = find_feature(names, size);
		if (f)
			bits |= f->bit;
		else if (size)
			r = -EINVAL;
	}
	*ret_bits = bits;
	return r;
}

/* Less what cannot do without what is not there. */
static unsigned drop_dependents(unsigned have)
{
	const struct evr_feature *f;
	unsigned before;

	do {
		before = have;
		for (f = evr_features; f->name; f++)
			if ((have & f->needs) != f->needs)
				have &= ~f->bit;
	} while (have != before);
	return have;
}

static bool means_not_there(int error)
{
	switch (error) {
	case -EINVAL:
	case -EPERM:
	case -EACCES:
	case -ENOSYS:
	case -EOPNOTSUPP:
	case -EFAULT:
	case -EBADFD:
	case -EBADF:
		return true;
	default:
		return false;
	}
}

/* Of a step of the trial: nothing in it is busy for a while. */
static bool is_refused_for_good(int error)
{
	return error == -EBUSY || means_not_there(error);
}

/* The newest of have that can be to blame for a refusal at step, or 0. */
static unsigned suspect(enum evr_ring_step step, unsigned have)
{
	size_t i;

	for (i = 0; i < sizeof(suspects[0]) / sizeof(suspects[0][0]); i++)
		if (suspects[step][i] & have)
			return suspects[step][i];
	return 0;
}

/* The richest part of have with which a ring can be waited on. */
static int try_rings(unsigned have, unsigned *ret_have)
{
	struct evr_ring_config config = { .entries = 4 };
	enum evr_ring_step step;
	unsigned blamed;
	int r;

	for (;;) {
		config.have = drop_dependents(have);
		r = evr_ring_trial(&config, &step, ret_have);
		if (!r)
			return 0;
		blamed = suspect(step, config.have);
		if (!is_refused_for_good(r) || !blamed)
			return r;
		have = config.have & ~blamed;
	}
}

/* A kernel that says EINVAL to the plainest ring has none for us. */
static int documented(int error)
{
	switch (error) {
	case -EPERM:
	case -EACCES:
	case -ENOMEM:
	case -EMFILE:
	case -ENFILE:
		return error;
	default:
		return -ENOSYS;
	}
}

static const char *environment(const char *name)
{
	return secure_getenv(name);
}

const char *evr_probe_engine(void)
{
	return environment("EVRING_ENGINE");
}

/* What the kernel has and the environment leaves; asked once. */
static int ask_kernel(unsigned *ret_have)
{
	static _Atomic unsigned known; /* 0: not asked yet */
	unsigned have = atomic_load(&known);
	unsigned masked;
	int r;

	if (!have) {
		(void)evr_probe_parse(environment("EVRING_DISABLE"), &masked);
		r = try_rings(EVR_HAVE_ALL & ~masked, &have);
		if (r < 0)
			return documented(r);
		atomic_store(&known, have | (1u << 31));
	}
	*ret_have = have & EVR_HAVE_ALL;
	return 0;
}

int evr_probe(const char *disable, unsigned *ret_have)
{
	unsigned have, masked;
	int r;

	r = evr_probe_parse(disable, &masked);
	if (r < 0)
		return r;
	r = ask_kernel(&have);
	if (r < 0)
		return r;
	*ret_have = drop_dependents(have & ~masked);
	return 0;
}

/*
 * min-wait
 */

enum {
	ENOUGH_GOOD = 2, /* one might be an interruption */
	ENOUGH_BAD = 3,	 /* and some the lateness of a busy machine */
	MAX_TRIES = 10
};

int evr_judge_min_wait(int (*try_once)(void *arg), void *arg)
{
	int i, r, nr_good = 0, nr_bad = 0;

	for (i = 0; i < MAX_TRIES; i++) {
		r = try_once(arg);
		if (r < 0)
			return r;
		nr_good += r == 1;
		nr_bad += r == 2;
		if (nr_good == ENOUGH_GOOD || nr_bad == ENOUGH_BAD)
			break;
	}
	return nr_good == ENOUGH_GOOD;
}

static int try_min_wait_once(void *have)
{
	struct evr_ring_config config = { .have = *(unsigned *)have,
					  .entries = 4 };

	return evr_ring_try_min_wait(&config, 50);
}

/* Whatever passes is for want of memory, if not of files. */
static int passing(int error)
{
	return error == -EMFILE || error == -ENFILE ? error : -ENOMEM;
}

int evr_probe_min_wait(unsigned have)
{
	enum { UNKNOWN, SOUND, DEFECTIVE };
	static _Atomic int known;
	int r;

	if (!(have & EVR_HAVE_MIN_WAIT))
		return 0;
	if (!atomic_load(&known)) {
		r = evr_judge_min_wait(try_min_wait_once, &have);
		if (r < 0)
			return means_not_there(r) ? 0 : passing(r);
		atomic_store(&known, r ? SOUND : DEFECTIVE);
	}
	return atomic_load(&known) == SOUND;
}
