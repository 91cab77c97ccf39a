/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * faults.c - the contract holds when the kernel fails: the scenarios of conform
 * with a fault at the n-th call, for n from 1 until there is no such call.
 *
 *   faults.t [--all] [--fault NAME] [--scenario NAME] [--mode NAME] [--n N]
 *
 * Each run is a child: it plays one scenario in one mode with one fault, which
 * happens once or from then on for ever (the table faults[]).  The scenario
 * must hold as on libev's epoll, or attach must fail; where evring promises
 * more than libev it does not have to.  Afterwards no fd, no ring and no piece
 * of memory is left that was not there before.
 *
 * Without --all, as in "make check", it plays a part of the matrix: for each
 * scenario a sixth of the faults, with one of the modes and rows (more of them
 * if the fault is about operations, as the scenario is), and with larger and
 * larger steps of n; "make check-faults" plays all of it.  TAP, a line for each
 * fault; a fault that never happened has failed.
 */
#include "config.h"

#include <evring-net.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/wait.h>

#include "conform/scene.h"
#include "faults/inject.h"

enum { NR_WARM = 70, MAX_N = 100000, SECONDS = 20 };

/* clang-format off */
static const struct fault faults[] = {
	{ "enter: EINTR", WAIT, EINTR, false, UNHURT },
	{ "enter: EAGAIN", ENTER, EAGAIN, false, HANDED_OVER },
	{ "enter: EBUSY", ENTER, EBUSY, false, HANDED_OVER },
	{ "enter: ENOMEM", ENTER, ENOMEM, false, HANDED_OVER },
	{ "enter: EBADF", ENTER, EBADF, false, REBUILT },
	{ "enter: EBADR, completions lost", REAP, EBADR, false, REBUILT },
	{ "enter: short submit", SUBMIT, EAGAIN, false, UNHURT },
	{ "enter: EAGAIN for ever", ENTER, EAGAIN, true, HANDED_OVER },
	{ "enter: EBUSY for ever", ENTER, EBUSY, true, HANDED_OVER },
	{ "enter: EPERM for ever", ENTER, EPERM, true, LOST },
	{ "enter: EBADR for ever", REAP, EBADR, true, LOST },
	{ "enter: short submit for ever", SUBMIT, EAGAIN, true, UNHURT },
	{ "setup: ENOMEM", SETUP, ENOMEM, false, UNHURT },
	{ "setup: EMFILE", SETUP, EMFILE, false, LOST },
	{ "setup: EMFILE for ever", SETUP, EMFILE, true, LOST },
	{ "setup: ENOMEM for ever", SETUP, ENOMEM, true, LOST },
	{ "dontfork: ENOMEM for ever", DONTFORK, ENOMEM, true, LOST },
	{ "region: ENOMEM", REGION, ENOMEM, false, UNHURT },
	{ "region: EPERM for ever", REGION, EPERM, true, LOST },
	{ "enable: EBADFD for ever", ENABLE, EBADFD, true, LOST },
	{ "register: EBUSY for ever", REGISTER, EBUSY, true, HANDED_OVER },
	{ "register: EPERM for ever", REGISTER, EPERM, true, HANDED_OVER },
	{ "files: ENOMEM", FILES, ENOMEM, false, UNTOLD },
	{ "files: EPERM for ever", FILES, EPERM, true, UNTOLD },
	{ "buffers: ENOMEM", BUFFERS, ENOMEM, false, UNTOLD },
	{ "buffers: EPERM for ever", BUFFERS, EPERM, true, UNTOLD },
	{ "pipe, eventfd: EMFILE", FDS, EMFILE, false, UNTOLD },
	{ "pipe, eventfd: EMFILE for ever", FDS, EMFILE, true, UNTOLD },
	{ "mmap: ENOMEM", MAP, ENOMEM, false, UNHURT },
	{ "mmap: ENOMEM for ever", MAP, ENOMEM, true, LOST },
	{ "madvise: ENOMEM for ever", ADVISE, ENOMEM, true, LOST },
	{ "malloc: ENOMEM", MEMORY, ENOMEM, false, LOST },
	{ "malloc: ENOMEM for ever", MEMORY, ENOMEM, true, LOST },
	{ "room for one completion", SMALL, ENOSPC, true, UNHURT },
};
/* clang-format on */

static const struct fault none = { .name = "none", .site = NR_SITES };

static struct {
	bool all;
	const char *fault, *scenario, *mode;
	int n;
} options;

/* What a run says of itself. */
struct report {
	int nr_injected;
	int nr_failed; /* tests: 0 or 1 */
	char text[512];
};

static struct report *report; /* shared with children */

/*
 * one run
 */

static void play_in_check(const struct scenario *scenario, int i)
{
	Suite *suite = suite_create("faults");
	TCase *tcase = tcase_create("scenario");
	SRunner *runner = srunner_create(suite);
	TestResult **failures;

	suite_add_tcase(suite, tcase);
	tcase_add_loop_test(tcase, scenario->test, i, i + 1);
	srunner_set_fork_status(runner, CK_NOFORK);
	srunner_run_all(runner, CK_SILENT);
	report->nr_failed = srunner_ntests_failed(runner);
	if (report->nr_failed) {
		failures = srunner_failures(runner);
		snprintf(report->text, sizeof(report->text), "%s",
			 tr_msg(failures[0]));
		free(failures);
	}
	srunner_free(runner);
}

static void complain(const char *what, int before, int after)
{
	if (report->nr_failed || before == after)
		return;
	report->nr_failed = 1;
	snprintf(report->text, sizeof(report->text), "%s: %d before, %d after",
		 what, before, after);
}

static void play(const struct scenario *scenario, int i,
		 const struct fault *fault, int n)
{
	int fds = count_fds(), rings = count_mappings("io_uring");
	int pieces = nr_live_pieces();

	is_faulty = true;
	nr_faulty_waits = fault->site == WAIT ? nr_injected : NULL;
	inject(fault, n);
	play_in_check(scenario, i);
	report->nr_injected = stop_injecting();
	complain("file descriptors", fds, count_fds());
	complain("mappings of rings", rings, count_mappings("io_uring"));
	complain("pieces of memory", pieces, nr_live_pieces());
}

/* Its status.  It may have set another alarm, and hang. */
static int await_child(pid_t pid)
{
	struct pollfd end = { .fd = pidfd_open(pid, 0), .events = POLLIN };
	int status;

	if (end.fd < 0)
		abort();
	if (poll(&end, 1, SECONDS * 1000) == 0)
		kill(pid, SIGKILL);
	close(end.fd);
	if (waitpid(pid, &status, 0) != pid)
		abort();
	return status;
}

/* In a child.  Returns false, with a report, if it failed. */
static bool run(const struct scenario *scenario, int i,
		const struct fault *fault, int n)
{
	int status;
	pid_t pid;

	memset(report, 0, sizeof(*report));
	fflush(NULL);
	pid = fork();
	if (!pid) {
		play(scenario, i, fault, n);
		_exit(0);
	}
	if (pid < 0)
		abort();
	status = await_child(pid);
	if (!status)
		return !report->nr_failed;
	snprintf(report->text, sizeof(report->text), "it ended with status %#x",
		 (unsigned)status);
	return false;
}

/*
 * the matrix
 */

static bool is_chosen(const char *name, const char *chosen)
{
	return !chosen || !strcmp(name, chosen);
}

/* The next n to try after n: all, or fewer and fewer. */
static int next_n(int n)
{
	return options.all ? n + 1 : 2 * n + 1;
}

struct count {
	int nr_runs, nr_hit, nr_failed;
};

static void say_failed(const struct scenario *scenario, int i,
		       const struct fault *fault, int n)
{
	printf("# %s, row %d, mode %s, %s, n = %d: %s\n", scenario->test->name,
	       i / nr_runnable, runnable[i % nr_runnable]->name, fault->name, n,
	       report->text);
	fflush(stdout);
}

/* For all n, until there is no n-th call. */
static void try_all_n(const struct scenario *scenario, int i,
		      const struct fault *fault, struct count *count)
{
	int n = options.n ? options.n : 1;

	for (; n < MAX_N; n = next_n(n)) {
		count->nr_runs++;
		if (!run(scenario, i, fault, n)) {
			count->nr_failed++;
			say_failed(scenario, i, fault, n);
		}
		count->nr_hit += report->nr_injected > 0;
		if (!report->nr_injected || options.n)
			return;
	}
}

/* What few scenarios can notice they play more often. */
static bool is_for(const struct scenario *scenario, const struct fault *fault)
{
	return fault->becomes == UNTOLD &&
	       (!strcmp(scenario->group, "operations") ||
		!strcmp(scenario->group, "sockets"));
}

/* Is it in the part that is played?  Each mode and row has its turn. */
static bool is_due(int scenario, int i, int fault)
{
	int nr = scenarios[scenario].nr_rows * (nr_runnable - 1);
	int mode = i % nr_runnable, row = i / nr_runnable;
	int turn = row * (nr_runnable - 1) + mode - 1;

	if (!mode) /* the oracle */
		return false;
	if (options.all || options.mode)
		return true;
	if (is_for(&scenarios[scenario], &faults[fault]))
		return turn % 7 == fault % 7;
	return (scenario + fault) % 6 == 0 && turn == (scenario + fault) % nr;
}

static void try_fault(int fault, struct count *count)
{
	int s, i;

	for (s = 0; s < nr_scenarios; s++) {
		if (!is_chosen(scenarios[s].test->name, options.scenario))
			continue;
		for (i = 0; i < scenarios[s].nr_rows * nr_runnable; i++)
			if (is_due(s, i, fault) &&
			    is_chosen(runnable[i % nr_runnable]->name,
				      options.mode))
				try_all_n(&scenarios[s], i, &faults[fault],
					  count);
	}
}

/* A ring that may be made anew, and whether evring_stats() says so. */
static void try_telling(int fault, struct count *count)
{
	const struct scenario told = tell(&faults[fault]);
	const int region = 1; /* the first mode that is not the oracle */

	count->nr_runs++;
	if (run(&told, region, &none, 1))
		return;
	count->nr_failed++;
	say_failed(&told, region, &faults[fault], 2);
}

static bool has_no_regions(void)
{
	static const struct mode any = { .tier = EVRING_TIER_REGION };

	return expected_tier(&any) < EVRING_TIER_REGION;
}

static bool has_no_buffer_rings(void)
{
	struct ev_loop *loop = ev_loop_new(EVBACKEND_EPOLL);
	struct evring_group group;
	bool is_plain;

	if (evring_attach(loop, NULL) < 0 ||
	    evring_group_init(loop, &group, 1, 1, 0) < 0)
		abort();
	is_plain = group.is_plain;
	evring_group_exit(&group);
	ev_loop_destroy(loop);
	return is_plain;
}

/* Why the fault cannot happen here, or NULL. */
static const char *reason_against(const struct fault *fault)
{
	if (fault->site == REGION && has_no_regions())
		return "no wait regions here";
	if (fault->site == BUFFERS && has_no_buffer_rings())
		return "no rings of buffers here";
	return NULL;
}

static bool try_and_say(int fault, int nr)
{
	struct count count = { 0 };
	double start_time = now();
	bool ok;

	try_fault(fault, &count);
	if (faults[fault].becomes != UNTOLD &&
	    is_chosen("told", options.scenario))
		try_telling(fault, &count);
	ok = (count.nr_hit || options.scenario) && !count.nr_failed;
	printf("%sok %d - %s (%d runs, %d hit, %d failed, %.0f s)\n",
	       ok ? "" : "not ", nr, faults[fault].name, count.nr_runs,
	       count.nr_hit, count.nr_failed, now() - start_time);
	fflush(stdout);
	return ok;
}

static int try_faults(void)
{
	int f, nr_tests = 0, nr_failed = 0;
	const char *reason;

	for (f = 0; f < (int)ARRAY_SIZE(faults); f++) {
		if (!is_chosen(faults[f].name, options.fault))
			continue;
		reason = reason_against(&faults[f]);
		if (reason)
			printf("# left out: %s: %s\n", faults[f].name, reason);
		else
			nr_failed += !try_and_say(f, ++nr_tests);
	}
	printf("1..%d\n", nr_tests);
	return nr_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

/*
 * main
 */

static void hear_nothing(struct ev_loop *loop, evring_port *port,
			 evring_message *message)
{
	(void)loop;
	(void)port;
	(void)message;
}

/* What is asked or made once, and kept: the layout, the features, seats,
   wakers. */
static void warm_up(void)
{
	static evring_port ports[NR_WARM];
	struct ev_loop *loops[NR_WARM];
	int i;

	for (i = 0; i < NR_WARM; i++) {
		loops[i] = ev_loop_new(EVBACKEND_EPOLL);
		evring_port_init(&ports[i], hear_nothing);
		if (evring_attach(loops[i], NULL) < 0 ||
		    evring_port_start(loops[i], &ports[i]) < 0)
			abort();
	}
	for (i = 0; i < NR_WARM; i++)
		ev_loop_destroy(loops[i]);
}

static void *map_shared(size_t size)
{
	void *mem = mmap(NULL, size, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (mem == MAP_FAILED)
		abort();
	return mem;
}

static void read_options(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "all", no_argument, NULL, 'a' },
		{ "fault", required_argument, NULL, 'f' },
		{ "scenario", required_argument, NULL, 's' },
		{ "mode", required_argument, NULL, 'm' },
		{ "n", required_argument, NULL, 'n' },
		{ 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		switch (c) {
		case 'a':
			options.all = true;
			break;
		case 'f':
			options.fault = optarg;
			break;
		case 's':
			options.scenario = optarg;
			break;
		case 'm':
			options.mode = optarg;
			break;
		case 'n':
			options.n = atoi(optarg);
			break;
		default:
			exit(2);
		}
	}
}

int main(int argc, char **argv)
{
	read_options(argc, argv);
	unsetenv("EVRING_DISABLE");
	report = map_shared(sizeof(*report));
	find_runnable();
	add_all_scenarios();
	warm_up();
	return try_faults();
}
