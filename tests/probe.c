/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * probe.c - what this kernel lets a ring do, and what is left when a name, the
 * environment or a seccomp filter takes something away.
 *
 * The answer of the kernel is kept by the process, so whatever must be there
 * before the first question is tested in a child that has not asked yet.
 */
#include "config.h"

#include "harness.h"

#include <errno.h>
#include <liburing.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "../lib/probe.h"
#include "../lib/ring.h"
#include "sandbox.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* clang-format off */
static const struct {
	const char *name;
	unsigned bit;
	unsigned dependents; /* what cannot be used without it */
} features[] = {
	{ "r-disabled",      EVR_HAVE_R_DISABLED,
	  EVR_HAVE_RESTRICT | EVR_HAVE_REGION | EVR_HAVE_KERNEL_MEMORY },
	{ "restrict",        EVR_HAVE_RESTRICT,        0 },
	{ "multishot-poll",  EVR_HAVE_MULTISHOT_POLL,  0 },
	{ "cqe-skip",        EVR_HAVE_CQE_SKIP,
	  EVR_HAVE_EPOLL_CTL | EVR_HAVE_MSG_RING | EVR_HAVE_SYNC_MSG },
	{ "registered-ring", EVR_HAVE_REGISTERED_RING, 0 },
	{ "submit-all",      EVR_HAVE_SUBMIT_ALL,      0 },
	{ "msg-ring",        EVR_HAVE_MSG_RING,        EVR_HAVE_SYNC_MSG },
	{ "coop-taskrun",    EVR_HAVE_COOP_TASKRUN,    0 },
	{ "multishot-accept", EVR_HAVE_MULTISHOT_ACCEPT, 0 },
	{ "pbuf-ring",       EVR_HAVE_PBUF_RING,
	  EVR_HAVE_MULTISHOT_RECV | EVR_HAVE_RECV_BUNDLE | EVR_HAVE_PBUF_INC },
	{ "single-issuer",   EVR_HAVE_SINGLE_ISSUER,
	  EVR_HAVE_DEFER_TASKRUN | EVR_HAVE_EPOLL_WAIT },
	{ "epoll-ctl",       EVR_HAVE_EPOLL_CTL,       0 },
	{ "multishot-recv",  EVR_HAVE_MULTISHOT_RECV,  EVR_HAVE_RECV_BUNDLE },
	{ "defer-taskrun",   EVR_HAVE_DEFER_TASKRUN,   EVR_HAVE_EPOLL_WAIT },
	{ "send-zc",         EVR_HAVE_SEND_ZC,         0 },
	{ "recv-bundle",     EVR_HAVE_RECV_BUNDLE,     0 },
	{ "pbuf-inc",        EVR_HAVE_PBUF_INC,        0 },
	{ "min-wait",        EVR_HAVE_MIN_WAIT,        0 },
	{ "napi",            EVR_HAVE_NAPI,            0 },
	{ "region",          EVR_HAVE_REGION,          EVR_HAVE_KERNEL_MEMORY },
	{ "sync-msg",        EVR_HAVE_SYNC_MSG,        0 },
	{ "kernel-memory",   EVR_HAVE_KERNEL_MEMORY,   0 },
	{ "epoll-wait",      EVR_HAVE_EPOLL_WAIT,      0 },
	{ "no-iowait",       EVR_HAVE_NO_IOWAIT,       0 },
};
/* clang-format on */

enum { NR_FEATURES = ARRAY_SIZE(features) };

/*
 * names
 */

START_TEST(table_is_complete)
{
	unsigned bits = 0;
	int i;

	for (i = 0; i < NR_FEATURES; i++) {
		ck_assert_str_eq(evr_features[i].name, features[i].name);
		ck_assert_uint_eq(evr_features[i].bit, features[i].bit);
		ck_assert_ptr_nonnull(strchr(evr_features[i].kernel, '.'));
		ck_assert_uint_gt(strlen(evr_features[i].what), 10);
		ck_assert_uint_eq(bits & features[i].bit, 0);
		bits |= features[i].bit;
	}
	ck_assert_ptr_null(evr_features[i].name);
	ck_assert_uint_eq(bits, EVR_HAVE_ALL);
}
END_TEST

static const struct {
	const char *names;
	int r;
	unsigned bits;
} lists[] = {
	{ NULL, 0, 0 },
	{ "", 0, 0 },
	{ ",", 0, 0 },
	{ ",,,", 0, 0 },
	{ "region", 0, EVR_HAVE_REGION },
	{ "region,region", 0, EVR_HAVE_REGION },
	{ ",region,", 0, EVR_HAVE_REGION },
	{ "region,no-iowait", 0, EVR_HAVE_REGION | EVR_HAVE_NO_IOWAIT },
	{ "epoll-ctl,,epoll-wait", 0,
	  EVR_HAVE_EPOLL_CTL | EVR_HAVE_EPOLL_WAIT },
	{ "nothing", -EINVAL, 0 },
	{ "regio", -EINVAL, 0 },
	{ "regions", -EINVAL, 0 },
	{ "Region", -EINVAL, 0 },
	{ " region", -EINVAL, 0 },
	{ "region ", -EINVAL, 0 },
	{ "region;no-iowait", -EINVAL, 0 },
	{ "nothing,region", -EINVAL, EVR_HAVE_REGION },
	{ "region,nothing", -EINVAL, EVR_HAVE_REGION },
};

START_TEST(list_of_names_is_parsed)
{
	unsigned bits = 0xdead;
	int r = evr_probe_parse(lists[_i].names, &bits);

	ck_assert_msg(r == lists[_i].r, "\"%s\": %d", lists[_i].names, r);
	ck_assert_msg(bits == lists[_i].bits, "\"%s\": %#x", lists[_i].names,
		      bits);
}
END_TEST

START_TEST(each_name_is_its_bit)
{
	unsigned bits = 0;

	ck_assert_int_eq(evr_probe_parse(features[_i].name, &bits), 0);
	ck_assert_uint_eq(bits, features[_i].bit);
}
END_TEST

START_TEST(unknown_name_is_invalid)
{
	unsigned have = 0xdead;

	ck_assert_int_eq(evr_probe("nothing", &have), -EINVAL);
	ck_assert_int_eq(evr_probe("region,nothing", &have), -EINVAL);
	ck_assert_uint_eq(have, 0xdead);
	ck_assert_int_eq(evr_probe("region", &have), 0);
}
END_TEST

/*
 * masks
 */

static unsigned all_there_is(void)
{
	unsigned have = 0;

	ck_assert_int_eq(evr_probe(NULL, &have), 0);
	ck_assert_uint_ne(have, 0);
	ck_assert_uint_eq(have & ~(unsigned)EVR_HAVE_ALL, 0);
	return have;
}

START_TEST(masked_feature_goes_with_its_dependents_only)
{
	unsigned all = all_there_is(), have = 0;

	ck_assert_int_eq(evr_probe(features[_i].name, &have), 0);
	ck_assert_msg(
		have == (all & ~(features[_i].bit | features[_i].dependents)),
		"less %s: %#x of %#x", features[_i].name, have, all);
	ck_assert_uint_eq(all_there_is(), all);
}
END_TEST

static struct evring_stats stats;

/* What a ring made with have does, as far as it shows in the ring. */
static unsigned seen_in_ring(unsigned have)
{
	uint64_t by_offset = stats.waits_by_offset;
	struct evr_ring_config config = { .have = have,
					  .entries = 4,
					  .stats = &stats };
	struct evr_ring ring = { .region = NULL };
	unsigned flags, seen = 0;

	ck_assert_int_eq(evr_ring_init(&ring, &config), 0);
	ck_assert_int_eq(evr_ring_wait(&ring, 0), -ETIME);
	flags = ring.uring.flags;
	seen |= flags & IORING_SETUP_R_DISABLED ? EVR_HAVE_R_DISABLED : 0;
	seen |= flags & IORING_SETUP_SUBMIT_ALL ? EVR_HAVE_SUBMIT_ALL : 0;
	seen |= flags & IORING_SETUP_COOP_TASKRUN ? EVR_HAVE_COOP_TASKRUN : 0;
	seen |= flags & IORING_SETUP_SINGLE_ISSUER ? EVR_HAVE_SINGLE_ISSUER : 0;
	seen |= flags & IORING_SETUP_DEFER_TASKRUN ? EVR_HAVE_DEFER_TASKRUN : 0;
	seen |= stats.waits_by_offset > by_offset ? EVR_HAVE_REGION : 0;
	seen |= ring.enter_flags & IORING_ENTER_REGISTERED_RING
			? EVR_HAVE_REGISTERED_RING
			: 0;
	seen |= ring.wait_flags & IORING_ENTER_NO_IOWAIT ? EVR_HAVE_NO_IOWAIT
							 : 0;
	evr_ring_exit(&ring);
	return seen;
}

enum {
	NO_MESSAGES = EVR_HAVE_MSG_RING | EVR_HAVE_SYNC_MSG,
	/* whose memory it is does not show; the others are for requests */
	NOT_IN_RING = EVR_HAVE_KERNEL_MEMORY | EVR_HAVE_EPOLL_WAIT |
		      EVR_HAVE_EPOLL_CTL | EVR_HAVE_MULTISHOT_POLL |
		      EVR_HAVE_CQE_SKIP | EVR_HAVE_MIN_WAIT |
		      EVR_HAVE_MULTISHOT_ACCEPT | EVR_HAVE_SEND_ZC |
		      EVR_HAVE_PBUF_RING | EVR_HAVE_MULTISHOT_RECV |
		      EVR_HAVE_RECV_BUNDLE | EVR_HAVE_PBUF_INC | EVR_HAVE_NAPI |
		      EVR_HAVE_RESTRICT | NO_MESSAGES
};

static bool is_since(const char *kernel, const char *release)
{
	int major, minor, has_major, has_minor;

	ck_assert_int_eq(sscanf(kernel, "%d.%d", &major, &minor), 2);
	ck_assert_int_eq(sscanf(release, "%d.%d", &has_major, &has_minor), 2);
	return has_major > major || (has_major == major && has_minor >= minor);
}

/*
 * Many tests leave out what the probe does not find; this one is about what it
 * must find.  Not NAPI, without which a kernel may be built.
 */
START_TEST(what_this_kernel_brought_is_found)
{
	const struct evr_feature *feature;
	struct utsname name;
	unsigned have = 0;

	ck_assert_int_eq(uname(&name), 0);
	ck_assert_int_eq(evr_probe(NULL, &have), 0);
	for (feature = evr_features; feature->name; feature++)
		if (feature->bit != EVR_HAVE_NAPI &&
		    is_since(feature->kernel, name.release))
			ck_assert_msg(have & feature->bit, "no %s on %s",
				      feature->name, name.release);
}
END_TEST

/* Why nothing must be found; NULL if all must. */
static const char *what_is_masked(void)
{
	const char *disable = getenv("EVRING_DISABLE");

	return disable && *disable ? "EVRING_DISABLE is set" : NULL;
}

START_TEST(masked_feature_is_off_in_the_ring)
{
	unsigned have = 0, seen, want;

	ck_assert_int_eq(evr_probe(features[_i].name, &have), 0);
	seen = seen_in_ring(have);
	want = have & ~(unsigned)NOT_IN_RING;
	if (have & EVR_HAVE_DEFER_TASKRUN)
		want &= ~(unsigned)EVR_HAVE_COOP_TASKRUN; /* either */
	ck_assert_msg(seen == want, "less %s: %#x, want %#x", features[_i].name,
		      seen, want);
}
END_TEST

/*
 * environment
 */

static int environment_masks(void *name)
{
	unsigned have = 0, bits = 0;
	char value[64];

	snprintf(value, sizeof(value), "no-such,%s,,nor-this", (char *)name);
	setenv("EVRING_DISABLE", value, 1);
	child_assert(evr_probe(NULL, &have) == 0);
	child_assert(evr_probe_parse(name, &bits) == 0 && bits);
	child_assert(!(have & bits));
	child_assert(evr_probe("no-such", &have) == -EINVAL);
	unsetenv("EVRING_DISABLE"); /* read once */
	child_assert(evr_probe(NULL, &have) == 0);
	child_assert(!(have & bits));
	return 0;
}

START_TEST(environment_masks_and_ignores_unknown_names)
{
	char name[32];

	snprintf(name, sizeof(name), "%s", features[_i].name);
	ck_assert_msg(!run_in_child(environment_masks, name), "%s", name);
}
END_TEST

static int both_mask(void *unused)
{
	unsigned have = 0;

	(void)unused;
	setenv("EVRING_DISABLE", "submit-all", 1);
	child_assert(evr_probe("epoll-ctl", &have) == 0);
	child_assert(!(have & (EVR_HAVE_SUBMIT_ALL | EVR_HAVE_EPOLL_CTL)));
	child_assert(have & EVR_HAVE_MULTISHOT_POLL);
	child_assert(evr_probe(NULL, &have) == 0);
	child_assert(have & EVR_HAVE_EPOLL_CTL);
	return 0;
}

START_TEST(environment_and_caller_both_mask)
{
	ck_assert_int_eq(run_in_child(both_mask, NULL), 0);
}
END_TEST

/*
 * kernels that refuse
 */

enum {
	MEM_REGION = 34, /* register opcode, Linux 6.13 */
	NO_REGION = EVR_HAVE_REGION | EVR_HAVE_KERNEL_MEMORY,
	NOT_DISABLED = EVR_HAVE_R_DISABLED | EVR_HAVE_RESTRICT,
	NO_BUFFERS = EVR_HAVE_PBUF_RING | EVR_HAVE_MULTISHOT_RECV |
		     EVR_HAVE_RECV_BUNDLE | EVR_HAVE_PBUF_INC,
	/* by IORING_REGISTER_PROBE */
	LISTED = EVR_HAVE_EPOLL_WAIT | EVR_HAVE_EPOLL_CTL |
		 EVR_HAVE_MULTISHOT_ACCEPT | EVR_HAVE_SEND_ZC | NO_BUFFERS |
		 NO_MESSAGES
};

/* clang-format off */
static const struct kernel {
	const char *name;
	int error;
	unsigned gone;    /* of what there is without the filter; with an error:
			     what the refused call is for, 0 for any ring */
	unsigned may_go;  /* besides */
	struct refusal refusals[2];
	size_t nr_refusals;
} kernels[] = {
	{ "nothing is refused", 0, 0, 0, { { .nr = 0 } }, 0 },
	{ "no io_uring", -ENOSYS, 0, 0,
	  { REFUSE(__NR_io_uring_setup, ENOSYS) }, 1 },
	{ "io_uring is forbidden", -EPERM, 0, 0,
	  { REFUSE(__NR_io_uring_setup, EPERM) }, 1 },
	{ "a security module", -EACCES, 0, 0,
	  { REFUSE(__NR_io_uring_setup, EACCES) }, 1 },
	{ "the plainest ring is EINVAL", -ENOSYS, 0, 0,
	  { REFUSE(__NR_io_uring_setup, EINVAL) }, 1 },
	{ "no memory", -ENOMEM, 0, 0,
	  { REFUSE(__NR_io_uring_setup, ENOMEM) }, 1 },
	{ "no files", -EMFILE, 0, 0,
	  { REFUSE(__NR_io_uring_setup, EMFILE) }, 1 },
	{ "no files in the system", -ENFILE, 0, 0,
	  { REFUSE(__NR_io_uring_setup, ENFILE) }, 1 },
	{ "before 6.13", 0, NO_REGION, 0,
	  { REFUSE_REGISTER(MEM_REGION, EINVAL) }, 1 },
	{ "registering the region is forbidden", 0, NO_REGION, 0,
	  { REFUSE_REGISTER(MEM_REGION, EPERM) }, 1 },
	{ "no memory for the region", -ENOMEM, EVR_HAVE_REGION, 0,
	  { REFUSE_REGISTER(MEM_REGION, ENOMEM) }, 1 },
	{ "waiting by offset is EINVAL", 0, NO_REGION,
	  EVR_HAVE_NO_IOWAIT,
	  { REFUSE_ENTER(1u << 6, EINVAL) }, 1 },
	{ "before 6.15", 0, EVR_HAVE_NO_IOWAIT, 0,
	  { REFUSE_ENTER(1u << 7, EINVAL) }, 1 },
	{ "enter with registered fds is EINVAL", 0, EVR_HAVE_REGISTERED_RING,
	  EVR_HAVE_NO_IOWAIT | NO_REGION,
	  { REFUSE_ENTER(1u << 4, EINVAL) }, 1 },
	{ "before 5.18", 0, EVR_HAVE_REGISTERED_RING, 0,
	  { REFUSE_REGISTER(IORING_REGISTER_RING_FDS, EINVAL) }, 1 },
	{ "enabling rings is EINVAL", 0,
	  NOT_DISABLED | NO_REGION, 0,
	  { REFUSE_REGISTER(IORING_REGISTER_ENABLE_RINGS, EINVAL) }, 1 },
	{ "restrictions are EINVAL", 0, EVR_HAVE_RESTRICT, 0,
	  { REFUSE_REGISTER(IORING_REGISTER_RESTRICTIONS, EINVAL) }, 1 },
	{ "restrictions are forbidden", 0, EVR_HAVE_RESTRICT, 0,
	  { REFUSE_REGISTER(IORING_REGISTER_RESTRICTIONS, EPERM) }, 1 },
	{ "restrictions are the task's", 0, EVR_HAVE_RESTRICT, 0,
	  { REFUSE_REGISTER(IORING_REGISTER_RESTRICTIONS, EBUSY) }, 1 },
	{ "no memory for restrictions", -ENOMEM, EVR_HAVE_RESTRICT, 0,
	  { REFUSE_REGISTER(IORING_REGISTER_RESTRICTIONS, ENOMEM) }, 1 },
	{ "no probe", 0, LISTED, 0,
	  { REFUSE_REGISTER(IORING_REGISTER_PROBE, EINVAL) }, 1 },
	{ "before 6.0", 0, EVR_HAVE_EPOLL_CTL, 0,
	  { REFUSE_REGISTER(IORING_REGISTER_SYNC_CANCEL, EINVAL) }, 1 },
	{ "no queues of ours before 6.13", 0, EVR_HAVE_NAPI, 0,
	  { REFUSE_REGISTER(IORING_REGISTER_NAPI, EINVAL) }, 1 },
	{ "no busy polling", 0, EVR_HAVE_NAPI, 0,
	  { REFUSE_REGISTER(IORING_REGISTER_NAPI, EOPNOTSUPP) }, 1 },
	{ "no messages before 6.13", 0, EVR_HAVE_SYNC_MSG, 0,
	  { REFUSE_REGISTER(EVR_REGISTER_SEND_MSG_RING, EINVAL) }, 1 },
	{ "register is forbidden", 0,
	  NOT_DISABLED | NO_REGION | EVR_HAVE_REGISTERED_RING |
		  LISTED | EVR_HAVE_NAPI, 0,
	  { REFUSE(__NR_io_uring_register, EPERM) }, 1 },
	{ "register is not there", 0,
	  NOT_DISABLED | NO_REGION | EVR_HAVE_REGISTERED_RING |
		  LISTED | EVR_HAVE_NAPI, 0,
	  { REFUSE(__NR_io_uring_register, ENOSYS) }, 1 },
	{ "enter is forbidden", -EPERM, 0, 0,
	  { REFUSE(__NR_io_uring_enter, EPERM) }, 1 },
	{ "enter is not there", -ENOSYS, 0, 0,
	  { REFUSE(__NR_io_uring_enter, ENOSYS) }, 1 },
	{ "before 5.11", -ENOSYS, 0, 0,
	  { REFUSE_ENTER(1u << 3, EINVAL) }, 1 },
	{ "region and no-iowait", 0, NO_REGION | EVR_HAVE_NO_IOWAIT, 0,
	  { REFUSE_REGISTER(MEM_REGION, EINVAL),
	    REFUSE_ENTER(1u << 7, EINVAL) }, 2 },
};
/* clang-format on */

static const struct kernel *played; /* NULL: it is what it is */

/* A number that is EINVAL to register is not known in a list either. */
static bool is_unknown(const struct io_uring_restriction *entry)
{
	const struct refusal *refused;
	size_t i;

	for (i = 0; played && i < played->nr_refusals; i++) {
		refused = &played->refusals[i];
		if (refused->nr == __NR_io_uring_register && refused->mask &&
		    refused->error == EINVAL &&
		    refused->value == entry->register_op)
			return entry->opcode == IORING_RESTRICTION_REGISTER_OP;
	}
	return false;
}

int __real_io_uring_register_restrictions(struct io_uring *ring,
					  struct io_uring_restriction *list,
					  unsigned nr);
int __wrap_io_uring_register_restrictions(struct io_uring *ring,
					  struct io_uring_restriction *list,
					  unsigned nr);

int __wrap_io_uring_register_restrictions(struct io_uring *ring,
					  struct io_uring_restriction *list,
					  unsigned nr)
{
	unsigned i;

	for (i = 0; i < nr; i++)
		if (is_unknown(&list[i]))
			return -EINVAL;
	return __real_io_uring_register_restrictions(ring, list, nr);
}

/* The answer is true: a ring of that kind waits. */
static void check_ring(unsigned have)
{
	uint64_t by_offset = stats.waits_by_offset;
	struct evr_ring_config config = { .have = have,
					  .entries = 4,
					  .stats = &stats };
	struct evr_ring ring = { .region = NULL };

	child_assert(evr_ring_init(&ring, &config) == 0);
	child_assert(evr_ring_wait(&ring, 1000000) == -ETIME);
	child_assert((stats.waits_by_offset == by_offset) ==
		     !(have & EVR_HAVE_REGION));
	evr_ring_exit(&ring);
}

/* What EVRING_DISABLE takes away from all that this program asks. */
static unsigned masked_by_environment(void)
{
	unsigned bits, masked;
	int i;

	evr_probe_parse(getenv("EVRING_DISABLE"), &bits);
	masked = bits;
	for (i = 0; i < NR_FEATURES; i++)
		if (bits & features[i].bit)
			masked |= features[i].dependents;
	return masked;
}

/* What is masked is not asked for, so that a call for it alone cannot fail. */
static int expected_error(const struct kernel *k)
{
	bool is_asked = !k->gone || k->gone & ~masked_by_environment();

	return is_asked ? k->error : 0;
}

static int probe_kernel(void *row)
{
	const struct kernel *k = &kernels[*(int *)row];
	/* asked in a child of its own, so that nothing is remembered here */
	unsigned all = 0, have = 0xdead;
	int fds[2], nr_fds = count_fds(), r;

	child_assert(pipe(fds) == 0);
	if (!fork()) {
		r = evr_probe(NULL, &all);
		_exit(r < 0 || write(fds[1], &all, sizeof(all)) < 0);
	}
	child_assert(read(fds[0], &all, sizeof(all)) == sizeof(all));
	close(fds[0]);
	close(fds[1]);
	sandbox(k->refusals, k->nr_refusals);
	played = k;
	r = evr_probe(NULL, &have);
	fprintf(stderr, "# %s: %d, %#x of %#x\n", k->name, r, have, all);
	child_assert(r == expected_error(k));
	child_assert(count_fds() == nr_fds);
	if (r < 0) {
		child_assert(have == 0xdead);
		return 0;
	}
	child_assert(!(have & k->gone));
	child_assert((have | k->may_go) == ((all & ~k->gone) | k->may_go));
	check_ring(have);
	return 0;
}

START_TEST(kernel_that_refuses)
{
	ck_assert_msg(!run_in_child(probe_kernel, &_i), "%s", kernels[_i].name);
}
END_TEST

static int fail_then_ask_again(void *unused)
{
	struct rlimit limit = { .rlim_cur = 3, .rlim_max = 100 };
	unsigned have = 0;

	(void)unused;
	child_assert(setrlimit(RLIMIT_NOFILE, &limit) == 0);
	child_assert(evr_probe(NULL, &have) == -EMFILE);
	child_assert(evr_probe(NULL, &have) == -EMFILE);
	limit.rlim_cur = 100;
	child_assert(setrlimit(RLIMIT_NOFILE, &limit) == 0);
	child_assert(evr_probe(NULL, &have) == 0);
	check_ring(have);
	return 0;
}

START_TEST(failure_is_not_remembered)
{
	ck_assert_int_eq(run_in_child(fail_then_ask_again, NULL), 0);
}
END_TEST

/* The kernel is asked once: a filter that comes later changes no answer. */
static int answer_then_filter(void *unused)
{
	const struct refusal none = REFUSE(__NR_io_uring_setup, EPERM);
	unsigned before = 0, after = 1;

	(void)unused;
	child_assert(evr_probe(NULL, &before) == 0);
	sandbox(&none, 1);
	child_assert(evr_probe(NULL, &after) == 0);
	child_assert(before == after);
	return 0;
}

START_TEST(success_is_remembered)
{
	ck_assert_int_eq(run_in_child(answer_then_filter, NULL), 0);
}
END_TEST

/* What was there when the kernel was asked may fail when a ring is made. */
static int make_without_memory(void *unused)
{
	const struct refusal none =
		REFUSE_REGISTER(IORING_REGISTER_RESTRICTIONS, ENOMEM);
	struct evr_ring_config config = { .entries = 4,
					  .restricted = true,
					  .stats = &stats };
	struct evr_ring ring;
	int nr_fds = count_fds();

	(void)unused;
	child_assert(evr_probe(NULL, &config.have) == 0);
	if (!(config.have & EVR_HAVE_RESTRICT))
		return 0;
	sandbox(&none, 1);
	child_assert(evr_ring_init(&ring, &config) == -ENOMEM);
	child_assert(count_fds() == nr_fds);
	child_assert(find_fd(RING_FD) < 0);
	return 0;
}

START_TEST(ring_that_cannot_be_restricted_is_closed)
{
	ck_assert_int_eq(run_in_child(make_without_memory, NULL), 0);
}
END_TEST

/*
 * min-wait
 */

/* What tries say, and what to think of it. */
static const struct {
	int tries[11];
	int verdict, nr_asked;
} judgements[] = {
	{ { 1, 1 }, 1, 2 },
	{ { 2, 1, 1 }, 1, 3 },
	{ { 1, 2, 2, 1 }, 1, 4 },
	{ { 0, 1, 0, 0, 1 }, 1, 5 },
	{ { 2, 2, 2 }, 0, 3 },
	{ { 2, 1, 2, 2 }, 0, 4 },
	{ { 0, 2, 2, 0, 2 }, 0, 5 },
	{ { 0 }, 0, 10 },
	{ { 1, 0 }, 0, 10 },
	{ { -ENOMEM }, -ENOMEM, 1 },
	{ { 1, -EMFILE }, -EMFILE, 2 },
};

static int say_next(void *next)
{
	return *(*(const int **)next)++;
}

START_TEST(one_good_try_is_no_proof_and_one_bad_is_none)
{
	const int *next = judgements[_i].tries;
	int r = evr_judge_min_wait(say_next, &next);

	ck_assert_msg(r == judgements[_i].verdict, "row %d: %d", _i, r);
	ck_assert_int_eq(next - judgements[_i].tries, judgements[_i].nr_asked);
}
END_TEST

static int try_min_wait_without_fds(void *unused)
{
	struct rlimit limit = { .rlim_cur = 3, .rlim_max = 100 };
	const struct refusal none = REFUSE(__NR_io_uring_setup, EPERM);
	unsigned have = all_there_is();
	int r;

	(void)unused;
	child_assert(evr_probe_min_wait(have & ~(unsigned)EVR_HAVE_MIN_WAIT) ==
		     0);
	if (!(have & EVR_HAVE_MIN_WAIT))
		return 0;
	child_assert(setrlimit(RLIMIT_NOFILE, &limit) == 0);
	child_assert(evr_probe_min_wait(have) == -EMFILE);
	limit.rlim_cur = 100;
	child_assert(setrlimit(RLIMIT_NOFILE, &limit) == 0);
	r = evr_probe_min_wait(have);
	child_assert(r >= 0);
	sandbox(&none, 1);
	child_assert(evr_probe_min_wait(have) == r);
	return 0;
}

START_TEST(min_wait_is_tried_once_unless_that_failed)
{
	ck_assert_int_eq(run_in_child(try_min_wait_without_fds, NULL), 0);
}
END_TEST

Suite *make_suite(void)
{
	Suite *suite = suite_create("probe");
	TCase *names = tcase_create("names"), *first = tcase_create("first");

	tcase_add_test(names, table_is_complete);
	tcase_add_loop_test(names, list_of_names_is_parsed, 0,
			    (int)ARRAY_SIZE(lists));
	tcase_add_loop_test(names, each_name_is_its_bit, 0, NR_FEATURES);
	tcase_add_test(names, unknown_name_is_invalid);
	tcase_add_loop_test(names, masked_feature_goes_with_its_dependents_only,
			    0, NR_FEATURES);
	add_or_leave_out(names, what_this_kernel_brought_is_found,
			 what_is_masked());
	tcase_add_loop_test(names, masked_feature_is_off_in_the_ring, 0,
			    NR_FEATURES);
	tcase_add_loop_test(names, one_good_try_is_no_proof_and_one_bad_is_none,
			    0, (int)ARRAY_SIZE(judgements));
	suite_add_tcase(suite, names);
	suite_add_tcase(suite, first);
	add_loop_or_leave_out(first,
			      environment_masks_and_ignores_unknown_names,
			      NR_FEATURES, no_children());
	add_or_leave_out(first, environment_and_caller_both_mask,
			 no_children());
	add_loop_or_leave_out(first, kernel_that_refuses,
			      (int)ARRAY_SIZE(kernels), no_children());
	add_or_leave_out(first, failure_is_not_remembered, no_children());
	add_or_leave_out(first, success_is_remembered, no_children());
	add_or_leave_out(first, ring_that_cannot_be_restricted_is_closed,
			 no_children());
	add_or_leave_out(first, min_wait_is_tried_once_unless_that_failed,
			 no_children());
	return suite;
}
