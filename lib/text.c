/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * text.c - what the library has to say in words.  It prints nothing itself.
 */
#include "config.h"

#include <errno.h>
#include <evring.h>

#include "evr.h"

/* clang-format off */
static const struct {
	int error;
	const char *text;
} texts[] = {
	{ 0, "no error" },
	{ EINVAL, "the caller of evring passed something invalid: a NULL "
	  "pointer, an unknown flag or feature name, a value out of range, or a "
	  "loop that is not attached" },
	{ EBUSY, "the loop is attached to evring already, or what is to be "
	  "started is active already: its last event has not come; or a "
	  "watcher still uses the group of buffers" },
	{ ENXIO, "the loop has no ring: evring is not attached to it, or was "
	  "refused, or lost the ring; see evring_tier()" },
	{ EAGAIN, "the kernel takes no more requests at the moment: let the "
	  "loop run, then try again" },
	{ ENOENT, "the kernel does not have this operation: it was not "
	  "started, or its last event is on its way; or there is nothing to "
	  "be sent" },
	{ ECANCELED, "sending was cancelled, or the ring went that had the "
	  "request: the event that hands the pieces back is on its way" },
	{ EBADF, "the program has closed the fd of the ring, as closefrom() does: "
	  "the loop goes on with the ring it has, but cannot begin to spin" },
	{ E2BIG, "so many operations cannot be submitted together: attach with "
	  "more entries" },
	{ ENOTSUP, "evring cannot attach to this loop: it does not use libev's "
	  "epoll backend (see LIBEV_FLAGS and the flags it was made with), or "
	  "the layout of this libev could not be proven; or "
	  "evring_set_collect() has no min-wait to collect with, which came "
	  "with Linux 6.12 and had a defect up to 6.18.0; or "
	  "evring_set_napi() has no NAPI to poll NICs with: Linux 6.13, built "
	  "with CONFIG_NET_RX_BUSY_POLL" },
	{ ENODEV, "this kernel has no io_uring wait regions (Linux 6.13), and "
	  "EVRING_REQUIRE_REGION accepts nothing less; or it lets no ring be "
	  "restricted (Linux 5.10), and EVRING_RESTRICT accepts no other" },
	{ ENOSYS, "no usable io_uring: the kernel is older than 5.11, or a "
	  "seccomp filter (container runtime, service manager) hides it; allow "
	  "io_uring_setup, io_uring_enter and io_uring_register there" },
	{ EPERM, "io_uring is forbidden: see the sysctl "
	  "kernel.io_uring_disabled (0 allows it) and "
	  "kernel.io_uring_group, or the seccomp filter of the container or "
	  "service, which must allow io_uring_setup, io_uring_enter and "
	  "io_uring_register" },
	{ EACCES, "io_uring is forbidden by a security module (SELinux, "
	  "AppArmor or alike): see its log; or the loop was attached with "
	  "EVRING_RESTRICT, or under evring run --restrict, and takes no "
	  "operations" },
	{ EMFILE, "no file descriptor left in this process (a loop needs one, "
	  "with operations two, with ports one more; fixed files count, too): "
	  "raise RLIMIT_NOFILE, ulimit -n" },
	{ ENFILE, "no file descriptor left in the whole system: raise the "
	  "sysctl fs.file-max" },
	{ ENOMEM, "no memory for the ring, or too little may be locked: rings "
	  "count against RLIMIT_MEMLOCK (ulimit -l), per user" },
};
/* clang-format on */

EVR_API const char *evring_strerror(int error)
{
	size_t i;

	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (texts[i].error == error || -texts[i].error == error)
			return texts[i].text;
	return "not a failure of evring; if a request ended with it, "
	       "strerror(3) has words for it";
}

EVR_API const char *evring_tier_name(enum evring_tier tier)
{
	switch (tier) {
	case EVRING_TIER_COPIED:
		return "copied";
	case EVRING_TIER_REGION:
		return "region";
	default:
		return "none";
	}
}

#define TEXT_OF(number) #number
#define DOTTED(a, b, c) TEXT_OF(a) "." TEXT_OF(b) "." TEXT_OF(c)

EVR_API const char *evring_version(void)
{
	return DOTTED(EVRING_VERSION_MAJOR, EVRING_VERSION_MINOR,
		      EVRING_VERSION_PATCH);
}
