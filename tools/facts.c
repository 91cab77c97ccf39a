/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * facts.c - what can be known of this machine: measured, not yet judged.
 *
 * What a ring can do is found by making rings, as the library does it, and the
 * tier by attaching a loop and running it once.  Version numbers are shown, not
 * believed.
 *
 * What to know:
 *
 * a) A seccomp filter may end the process instead of refusing a call.  So each
 *    call, and then all that follows, is first tried in a child.
 * b) The kernel answers a call with wrong arguments in its own way: EFAULT for
 *    io_uring_setup without parameters, EBADF for the others without a ring.
 *    Any other answer says that the call is refused.
 * c) The features of a ring are not refused one by one.  Why one is off is
 *    found with a ring that has nothing but it and what it needs.
 * d) The memory of a closed ring counts as locked for some milliseconds more.
 *    So the loop comes first, while it is as alone as in a program, and each
 *    ring after it waits for memory.
 */
#include "config.h"

#include "facts.h"

#include <dlfcn.h>
#include <errno.h>
#include <ev.h>
#include <limits.h>
#include <linux/io_uring.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../lib/ring.h"
#include "names.h"

/*
 * children, for what may be fatal (trap a)
 */

enum { KILLED = -1, NOT_TRIED = -2 };

static _Noreturn void run_child(int (*body)(void *arg), void *arg)
{
	const struct rlimit none = { 0, 0 };

	(void)setrlimit(RLIMIT_CORE, &none);
	_exit(body(arg));
}

/* What body (arg) returns, 0 to 255, in a child. */
static int in_child(int (*body)(void *arg), void *arg)
{
	int status = 0;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (!pid)
		run_child(body, arg);
	if (pid < 0)
		return NOT_TRIED;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return NOT_TRIED;
	if (WIFEXITED(status))
		return WEXITSTATUS(status);
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS ? KILLED
								 : NOT_TRIED;
}

/*
 * the three calls (trap b)
 */

static int call_setup(void *unused)
{
	(void)unused;
	return syscall(__NR_io_uring_setup, 1, NULL) < 0 ? errno : 0;
}

static int call_register(void *unused)
{
	(void)unused;
	return syscall(__NR_io_uring_register, INT_MAX, IORING_REGISTER_PROBE,
		       NULL, 0) < 0
		       ? errno
		       : 0;
}

static int call_enter(void *unused)
{
	(void)unused;
	return syscall(__NR_io_uring_enter, INT_MAX, 0, 0, 0, NULL, 0) < 0
		       ? errno
		       : 0;
}

static const struct {
	const char *name;
	int (*body)(void *unused);
	int expected;
} calls[NR_CALLS] = {
	[CALL_SETUP] = { "io_uring_setup", call_setup, EFAULT },
	[CALL_REGISTER] = { "io_uring_register", call_register, EBADF },
	[CALL_ENTER] = { "io_uring_enter", call_enter, EBADF },
};

static void try_call(struct call *call, int i)
{
	int error = in_child(calls[i].body, NULL);

	call->name = calls[i].name;
	call->is_fatal = error == KILLED;
	if (error > 0 && error != calls[i].expected)
		call->error = error;
}

const struct call *facts_refused_call(const struct facts *f)
{
	int i;

	for (i = 0; i < NR_CALLS; i++)
		if (f->calls[i].error || f->calls[i].is_fatal)
			return &f->calls[i];
	return NULL;
}

/*
 * files of /proc
 */

/* The first line of a file, without its end.  0 or a positive errno. */
static int read_line(const char *path, char *line, size_t size)
{
	FILE *file = fopen(path, "re");
	int error = 0;

	if (!file)
		return errno;
	if (!fgets(line, (int)size, file))
		error = EIO;
	else
		line[strcspn(line, "\n")] = '\0';
	fclose(file);
	return error;
}

static void read_sysctl(struct sysctl *s, const char *path)
{
	char line[64], *end = NULL;

	s->error = read_line(path, line, sizeof(line));
	if (s->error)
		return;
	s->value = strtol(line, &end, 10);
	s->is_known = end != line;
}

static void read_status_line(struct status *s, const char *line)
{
	(void)sscanf(line, "Seccomp: %d", &s->seccomp);
	(void)sscanf(line, "NoNewPrivs: %d", &s->no_new_privs);
	(void)sscanf(line, "CapEff: %llx", &s->capabilities);
}

static void read_status(struct status *s)
{
	FILE *file = fopen("/proc/self/status", "re");
	char line[256];

	s->seccomp = s->no_new_privs = -1;
	if (!file)
		return;
	while (fgets(line, sizeof(line), file))
		read_status_line(s, line);
	fclose(file);
	s->is_known = true;
}

static bool in_initial_userns(void)
{
	unsigned long inside, outside, count;
	char line[64];

	return !read_line("/proc/self/uid_map", line, sizeof(line)) &&
	       sscanf(line, "%lu %lu %lu", &inside, &outside, &count) == 3 &&
	       inside == 0 && outside == 0 && count == UINT32_MAX;
}

bool facts_has_capability(const struct facts *f, int bit)
{
	return f->is_initial_userns && f->status.capabilities >> bit & 1;
}

static bool in_group(long group)
{
	gid_t list[1024];
	int i, n = getgroups(1024, list);

	if (group < 0)
		return false;
	for (i = 0; i < n; i++)
		if (list[i] == (gid_t)group)
			return true;
	return getegid() == (gid_t)group;
}

static void gather_system(struct facts *f)
{
	(void)uname(&f->kernel);
	read_status(&f->status);
	f->is_initial_userns = in_initial_userns();
	read_sysctl(&f->disabled, "/proc/sys/kernel/io_uring_disabled");
	read_sysctl(&f->group, "/proc/sys/kernel/io_uring_group");
	f->is_in_group = f->group.is_known && in_group(f->group.value);
	(void)getrlimit(RLIMIT_MEMLOCK, &f->memlock);
	(void)getrlimit(RLIMIT_NOFILE, &f->nofile);
	if (read_line("/sys/kernel/security/lsm", f->modules,
		      sizeof(f->modules)))
		f->modules[0] = '\0';
}

/*
 * libraries
 */

/* Asked by name: the address of a function may be of our own jump to it. */
static const char *file_of_libev(void)
{
	void *in_use = dlsym(RTLD_DEFAULT, "ev_version_major");
	Dl_info info;

	if (!in_use || !dladdr(in_use, &info))
		return NULL;
	return info.dli_fname;
}

static void gather_libraries(struct facts *f)
{
	f->liburing[0] = io_uring_major_version();
	f->liburing[1] = io_uring_minor_version();
	f->libev[0] = ev_version_major();
	f->libev[1] = ev_version_minor();
	f->libev_file = file_of_libev();
	f->libev_flags = secure_getenv("LIBEV_FLAGS");
}

/*
 * features
 */

static unsigned with_needs(unsigned bits)
{
	const struct evr_feature *row;
	unsigned before;

	do {
		before = bits;
		for (row = evr_features; row->name; row++)
			if (bits & row->bit)
				bits |= row->needs;
	} while (bits != before);
	return bits;
}

static const char *call_of_step(enum evr_ring_step step)
{
	static const char *const names[] = {
		[EVR_STEP_SETUP] = "io_uring_setup",
		[EVR_STEP_REGION] = "io_uring_register (memory region)",
		[EVR_STEP_RESTRICT] = "io_uring_register (restrictions)",
		[EVR_STEP_ENABLE] = "io_uring_register (enable rings)",
		[EVR_STEP_REGISTER_RING] = "io_uring_register (ring fds)",
		[EVR_STEP_ENTER] = "io_uring_enter",
	};

	return step < EVR_STEP_DONE ? names[step] : "";
}

/* Memory of a closed ring is given back in the background (trap d). */
static int try_patiently(const struct evr_ring_config *config,
			 enum evr_ring_step *ret_step, unsigned *ret_seen)
{
	const struct timespec pause = { .tv_nsec = 5000000 };
	int i, r = evr_ring_trial(config, ret_step, ret_seen);

	for (i = 0; i < 40 && r == -ENOMEM; i++) {
		nanosleep(&pause, NULL);
		r = evr_ring_trial(config, ret_step, ret_seen);
	}
	return r;
}

/* Trap c. */
static void explain_off(const struct evr_feature *row, struct feature *feature)
{
	struct evr_ring_config config = { .have = with_needs(row->bit),
					  .entries = 4 };
	enum evr_ring_step step = EVR_STEP_DONE;
	unsigned seen = 0;
	int r = try_patiently(&config, &step, &seen);

	if (r < 0)
		snprintf(feature->why, sizeof(feature->why),
			 "refused: %s says %s", call_of_step(step),
			 error_name(r));
	else if (!(seen & row->bit))
		snprintf(feature->why, sizeof(feature->why),
			 "not listed by this kernel");
	else
		snprintf(feature->why, sizeof(feature->why),
			 "works alone, but not together with the others");
}

/* The first of bits in the table. */
static int index_of(unsigned bits)
{
	int i = 0;

	while (!(evr_features[i].bit & bits))
		i++;
	return i;
}

static const char *masked_by(const struct facts *f, unsigned bit)
{
	return f->masked_option & bit ? "masked by --disable"
				      : "masked by EVRING_DISABLE";
}

/* That it is there does not say that it is sound. */
static void judge_min_wait(const struct facts *f, struct feature *feature)
{
	int r = evr_probe_min_wait(f->have);

	feature->state = r > 0	  ? FEATURE_ON
			 : r == 0 ? FEATURE_OFF
				  : FEATURE_UNKNOWN;
	if (r < 0)
		snprintf(feature->why, sizeof(feature->why),
			 "could not be tried: %s", error_name(r));
	else if (!r)
		snprintf(feature->why, sizeof(feature->why),
			 "has the defect of Linux 6.12 to 6.18.0");
}

/* What a feature needs stands above it in the table. */
static void judge_feature(struct facts *f, int i)
{
	const struct evr_feature *row = &evr_features[i];
	unsigned missing = row->needs & ~f->have;
	struct feature *feature = &f->features[i];
	int cause;

	if (f->have & row->bit & EVR_HAVE_MIN_WAIT) {
		judge_min_wait(f, feature);
	} else if (f->have & row->bit) {
		feature->state = FEATURE_ON;
	} else if ((f->masked_env | f->masked_option) & row->bit) {
		feature->state = FEATURE_MASKED;
		snprintf(feature->why, sizeof(feature->why), "%s",
			 masked_by(f, row->bit));
	} else if (missing) {
		cause = index_of(missing);
		feature->state = f->features[cause].state;
		snprintf(feature->why, sizeof(feature->why), "needs %s, %.120s",
			 evr_features[cause].name, f->features[cause].why);
	} else {
		feature->state = FEATURE_OFF;
		explain_off(row, feature);
	}
}

bool facts_is_shortage(int error)
{
	return error == -ENOMEM || error == -EMFILE || error == -ENFILE;
}

/* Without any ring there is one reason for all that is not masked. */
static void judge_without_ring(struct facts *f, int i)
{
	unsigned bit = evr_features[i].bit;
	struct feature *feature = &f->features[i];

	if ((f->masked_env | f->masked_option) & bit) {
		feature->state = FEATURE_MASKED;
		snprintf(feature->why, sizeof(feature->why), "%s",
			 masked_by(f, bit));
		return;
	}
	feature->state = facts_is_shortage(f->probe_error) ? FEATURE_UNKNOWN
							   : FEATURE_OFF;
	snprintf(feature->why, sizeof(feature->why), "no ring can be made");
}

static void gather_features(struct facts *f, const char *disable)
{
	int i;

	if (f->is_fatal)
		f->probe_error = -EPERM;
	else
		f->probe_error = evr_probe(disable, &f->have);
	for (i = 0; evr_features[i].name && i < NR_FEATURES; i++)
		if (f->probe_error < 0)
			judge_without_ring(f, i);
		else
			judge_feature(f, i);
}

/*
 * rings
 */

static void gather_plain_ring(struct facts *f)
{
	struct evr_ring_config config = { .have = 0, .entries = 4 };
	enum evr_ring_step step = EVR_STEP_DONE;
	unsigned seen;

	f->plain_error = try_patiently(&config, &step, &seen);
	f->plain_call = call_of_step(step);
}

/* As the library does it: halved as far as 8 entries. */
static void gather_ring_size(struct facts *f)
{
	struct evr_ring_config config = { .have = f->have,
					  .entries = DEFAULT_ENTRIES };
	enum evr_ring_step step;
	unsigned seen;
	int r = try_patiently(&config, &step, &seen);

	f->ring_error = r;
	while (r == -ENOMEM && config.entries > 8) {
		config.entries /= 2;
		r = try_patiently(&config, &step, &seen);
	}
	if (r >= 0)
		f->ring_entries = config.entries;
}

static size_t in_pages(size_t size)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	return (size + page - 1) / page * page;
}

/*
 * SQEs of 64 bytes; CQEs of 16 and an array of the SQ's indices behind a head
 * of less than 512 bytes; the wait region.
 */
static size_t bytes_of_default_ring(void)
{
	return in_pages(DEFAULT_ENTRIES * 64) +
	       in_pages(512 + DEFAULT_ENTRIES * (4 * 16 + 4)) + in_pages(1);
}

/*
 * the loop
 */

static void on_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)loop;
	(void)w;
	(void)revents;
}

static void run_once(struct ev_loop *loop)
{
	ev_timer timer;

	ev_timer_init(&timer, on_timer, 0.001, 0.);
	ev_timer_start(loop, &timer);
	ev_run(loop, 0);
}

/*
 * A turn that sleeps: did the ring do it?  Where attach took its time, or the
 * machine is busy, the timer is over before the turn, which does not sleep
 * then.
 */
static bool works(struct ev_loop *loop)
{
	struct evring_stats stats = { .turns = 0 };
	int i;

	for (i = 0; i < 50; i++) {
		run_once(loop);
		if (evring_stats(loop, &stats) || stats.rings_lost)
			return false;
		if (stats.waits_by_offset + stats.waits_copied)
			return true;
	}
	return false;
}

static unsigned backend_of_new_loop(void)
{
	struct ev_loop *loop = ev_loop_new(EVBACKEND_EPOLL);
	unsigned backend = loop ? ev_backend(loop) : 0;

	if (loop)
		ev_loop_destroy(loop);
	return backend;
}

static void gather_loop(struct facts *f, const char *disable)
{
	struct evring_config config = { .disable = disable };
	struct ev_loop *loop;

	f->backend = backend_of_new_loop();
	loop = evring_loop_new(0, &config);
	if (!loop) {
		f->attach_error = -errno;
		return;
	}
	f->tier = evring_tier(loop);
	f->is_lost = !works(loop);
	if (f->is_lost)
		f->tier = EVRING_TIER_NONE;
	ev_loop_destroy(loop);
}

/* Everything that may meet a filter, to see whether one survives it. */
static int rehearse(void *f)
{
	struct facts copy = *(struct facts *)f;

	gather_loop(&copy, NULL);
	gather_features(&copy, NULL);
	return 0;
}

static bool is_fatal(struct facts *f)
{
	const struct timespec pause = { .tv_nsec = 100000000 };
	bool is_so;

	if (f->status.seccomp == 0)
		return false;
	is_so = in_child(rehearse, f) == KILLED;
	nanosleep(&pause, NULL); /* trap d */
	return is_so;
}

static void gather_calls(struct facts *f)
{
	int i;

	for (i = 0; i < NR_CALLS; i++) {
		try_call(&f->calls[i], i);
		f->is_fatal |= f->calls[i].is_fatal;
	}
	f->is_fatal = f->is_fatal || is_fatal(f);
}

/* In this order: trap d. */
static void gather_rings(struct facts *f, const char *disable)
{
	if (f->is_fatal) {
		f->plain_error = f->ring_error = f->attach_error = -EPERM;
		f->plain_call = "";
	} else {
		gather_loop(f, disable);
	}
	gather_features(f, disable);
	if (f->is_fatal)
		return;
	gather_plain_ring(f);
	if (f->probe_error >= 0)
		gather_ring_size(f);
	else
		f->ring_error = f->probe_error;
}

void facts_gather(struct facts *f, const char *disable)
{
	struct evring_layout layout;

	memset(f, 0, sizeof(*f));
	gather_system(f);
	gather_libraries(f);
	f->disable_env = secure_getenv("EVRING_DISABLE");
	(void)evr_probe_parse(f->disable_env, &f->masked_env);
	(void)evr_probe_parse(disable, &f->masked_option);
	f->ring_bytes = bytes_of_default_ring();
	gather_calls(f);
	f->layout_error = evr_layout_discover(NULL, &layout, f->proofs);
	gather_rings(f, disable);
}
