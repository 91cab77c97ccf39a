/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * differential.c - random programs, run on libev's epoll backend and on evring
 * in every form: nothing but the freedom of epoll may differ.
 *
 *   differential.t [--seed N] [--programs N] [--seconds N] [--mode NAME]...
 *   differential.t --print SEED
 *
 * Programs are those of the seeds N, N + 1 ...  Without arguments, as in "make
 * check", they are the first 2,000, the same ones everywhere, or as many of
 * them as a slow machine runs in 20 seconds.  The first program that fails is
 * made short and printed as C, with what was reported on epoll and in the mode
 * that failed.  The output is TAP, a line for each mode; exit status 1 says
 * that something differed.
 *
 * Programs run in children, some hundred in each, so that one that crashes or
 * hangs ends a child and not the search; what a child was doing stands in
 * shared memory.  A program that failed is run again in a child of its own.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "machine.h"
#include "program.h"
#include "shrink.h"

enum {
	BATCH = 250, /* programs of one child */
	DEFAULT_PROGRAMS = 2000,
	DEFAULT_SECONDS = 20,
	MAX_MODES = 16,
	ORACLE = 0, /* its place in modes[] */
	TRIES = 20  /* to see a failure again */
};

/* While a program is made short, which is tried some hundred times. */
static const struct patience hasty = { .run = 5, .wait = 0.1 };

struct verdict {
	enum reason reason;
	int mode;
};

struct options {
	uint64_t seed, nr_programs;
	double seconds;
	unsigned modes; /* a bit for each */
};

/* Seen by the parent when a child is gone. */
struct shared {
	volatile uint64_t seed; /* under way */
	volatile int mode;
	struct verdict verdict;
	struct trace oracle, trace; /* of the program of the verdict */
	uint64_t nr_runs[MAX_MODES];
	uint64_t nr_programs, nr_free, nr_records;
	uint64_t handed_over, ring_rebuilds, stale_completions, overflows;
};

static struct shared *shared;
static struct options options;

/*
 * one program
 */

static void count_run(int mode, const struct trace *trace)
{
	shared->nr_runs[mode]++;
	shared->nr_records += (uint64_t)trace->nr;
	shared->handed_over += trace->handed_over;
	shared->ring_rebuilds += trace->ring_rebuilds;
	shared->stale_completions += trace->stale_completions;
	shared->overflows += trace->overflows;
}

static void run_mode(const struct program *program, int mode,
		     struct trace *ret_trace)
{
	shared->mode = mode;
	alarm(patience.run);
	run_program(program, &modes[mode], ret_trace);
	alarm(0);
	count_run(mode, ret_trace);
}

/* In all chosen modes, up to the first that fails. */
static struct verdict check_program(const struct program *program,
				    unsigned chosen)
{
	struct trace *oracle = &shared->oracle, *trace = &shared->trace;
	struct verdict v = { PASSED, ORACLE };
	int i;

	shared->seed = program->seed;
	run_mode(program, ORACLE, oracle);
	v.reason = judge_oracle(oracle);
	shared->nr_free += is_free(oracle);
	for (i = ORACLE + 1; i < nr_modes && v.reason == PASSED; i++) {
		if (!(chosen & 1u << i))
			continue;
		run_mode(program, i, trace);
		v = (struct verdict){ compare_traces(oracle, trace), i };
	}
	return v;
}

/*
 * children
 */

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

static pid_t fork_child(void)
{
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid < 0) {
		perror("fork");
		exit(2);
	}
	if (!pid)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	return pid;
}

/* What became of a child; its own verdict, if it could still tell. */
static struct verdict wait_for(pid_t pid)
{
	struct verdict v = { CRASHED, shared->mode };
	int status;

	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	v.mode = shared->mode;
	if (!status)
		return shared->verdict;
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
		v.reason = HUNG;
	return v;
}

static void be_silent(void)
{
	int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);

	dup2(fd, STDERR_FILENO);
}

/* One program in a child of its own. */
static struct verdict check_alone(const struct program *program,
				  unsigned chosen)
{
	pid_t pid;

	shared->verdict.reason = PASSED;
	pid = fork_child();
	if (!pid) {
		be_silent();
		shared->verdict = check_program(program, chosen);
		exit(0);
	}
	return wait_for(pid);
}

/* It exits as a program does, so that sanitizers can have their say. */
static _Noreturn void be_batch(uint64_t seed, uint64_t nr, double deadline)
{
	struct program program;

	for (; nr && now() < deadline; nr--, seed++) {
		generate_program(&program, seed);
		shared->nr_programs++;
		shared->verdict = check_program(&program, options.modes);
		if (shared->verdict.reason != PASSED)
			break;
	}
	exit(0);
}

static struct verdict check_batch(uint64_t seed, uint64_t nr, double deadline)
{
	pid_t pid;

	shared->verdict.reason = PASSED;
	pid = fork_child();
	if (!pid)
		be_batch(seed, nr, deadline);
	return wait_for(pid);
}

/*
 * a failure
 */

/* A hang is only the same as another one: see hasty. */
static bool fails_alone(const struct program *program, void *arg)
{
	const struct verdict *before = arg;
	struct verdict v = check_alone(program, 1u << before->mode);

	return v.reason != PASSED && v.mode == before->mode &&
	       (v.reason == HUNG) == (before->reason == HUNG);
}

static bool fails_again(const struct program *program, struct verdict *v)
{
	int i;

	for (i = 0; i < TRIES; i++)
		if (fails_alone(program, v))
			return true;
	return false;
}

/* Only if it still fails when it has all the time that it had at first. */
static bool make_short(struct program *program, struct verdict *v)
{
	struct patience all_the_time = patience;
	struct program candidate = *program;
	bool fails;

	patience = hasty;
	fails = fails_again(&candidate, v);
	if (fails)
		shrink_program(&candidate, fails_alone, v);
	patience = all_the_time;
	if (!fails || !fails_again(&candidate, v))
		return false;
	*program = candidate;
	return true;
}

static void show_traces(const struct shared *seen, int mode)
{
	printf("\n%s:\n", modes[ORACLE].name);
	print_trace(&seen->oracle);
	if (mode == ORACLE)
		return;
	printf("\n%s:\n", modes[mode].name);
	print_trace(&seen->trace);
	printf("\n");
}

static void show_failure(uint64_t seed, struct verdict v)
{
	static const char *const reasons[] = { [FLAWED] = "is wrong",
					       [DIFFERENT] = "differs",
					       [CRASHED] = "crashes",
					       [HUNG] = "hangs" };
	static struct shared seen;
	struct program program;

	seen = *shared;
	generate_program(&program, seed);
	printf("# seed %llu %s in mode %s\n", (unsigned long long)seed,
	       reasons[v.reason], modes[v.mode].name);
	fflush(stdout);
	if (make_short(&program, &v))
		seen = *shared;
	else
		printf("# not always; not made short\n");
	printf("# %d operations:\n\n", program.nr_ops);
	print_program(&program);
	show_traces(&seen, v.mode);
}

/*
 * the search
 */

/* Was it the machine (machine.c, freedom f)? */
static bool is_excused(uint64_t seed, struct verdict *v)
{
	struct program program;

	generate_program(&program, seed);
	if ((v->reason != FLAWED && v->reason != DIFFERENT) ||
	    !program_opens(&program, NESTED) || fails_again(&program, v))
		return false;
	printf("# seed %llu differed once in mode %s and not again: an epoll "
	       "set was added to another, and the machine was busy\n",
	       (unsigned long long)seed, modes[v->mode].name);
	v->reason = PASSED;
	return true;
}

/* Returns the verdict of the first failure, or of none. */
static struct verdict search(void)
{
	double deadline =
		options.seconds > 0. ? now() + options.seconds : 1e300;
	struct verdict v = { PASSED, ORACLE };
	uint64_t done, nr;

	for (done = 0; done < options.nr_programs; done += nr) {
		if (now() >= deadline)
			break;
		nr = options.nr_programs - done;
		nr = nr < BATCH ? nr : BATCH;
		v = check_batch(options.seed + done, nr, deadline);
		if (v.reason == PASSED)
			continue;
		nr = shared->seed + 1 - options.seed - done;
		if (!is_excused(shared->seed, &v))
			break;
	}
	return v;
}

static void report(struct verdict v, double seconds)
{
	int i, nr = 0;

	for (i = 0; i < nr_modes; i++) {
		if (!(options.modes & 1u << i) && i != ORACLE)
			continue;
		nr++;
		printf("%sok %d - %s: %llu programs\n",
		       v.reason != PASSED && v.mode == i ? "not " : "", nr,
		       modes[i].name, (unsigned long long)shared->nr_runs[i]);
	}
	printf("1..%d\n", nr);
	printf("# %llu programs from seed %llu, %.0f per second; %llu records, "
	       "%llu programs in which libev itself errs\n",
	       (unsigned long long)shared->nr_programs,
	       (unsigned long long)options.seed,
	       (double)shared->nr_programs / seconds,
	       (unsigned long long)shared->nr_records,
	       (unsigned long long)shared->nr_free);
	printf("# evring: %llu times handed over to libev, %llu rings "
	       "replaced, "
	       "%llu stale completions, %llu overflows\n",
	       (unsigned long long)shared->handed_over,
	       (unsigned long long)shared->ring_rebuilds,
	       (unsigned long long)shared->stale_completions,
	       (unsigned long long)shared->overflows);
}

/*
 * main
 */

/* Does this machine have a ring at all?  Only then are there modes. */
static int try_ring(void)
{
	struct ev_loop *loop = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
	int r = evring_attach(loop, NULL);

	ev_loop_destroy(loop);
	return r;
}

static unsigned find_mode(const char *name)
{
	int i;

	for (i = ORACLE + 1; i < nr_modes; i++)
		if (!strcmp(modes[i].name, name))
			return 1u << i;
	fprintf(stderr, "no such mode: %s\n", name);
	exit(2);
}

static _Noreturn void print_seed(uint64_t seed)
{
	struct program program;

	generate_program(&program, seed);
	print_program(&program);
	exit(EXIT_SUCCESS);
}

static void parse_options(int argc, char **argv)
{
	static const struct option names[] = {
		{ "seed", required_argument, NULL, 's' },
		{ "programs", required_argument, NULL, 'n' },
		{ "seconds", required_argument, NULL, 't' },
		{ "mode", required_argument, NULL, 'm' },
		{ "print", required_argument, NULL, 'p' },
		{ NULL, 0, NULL, 0 }
	};
	unsigned chosen = 0;
	int c;

	options.seed = 1;
	options.nr_programs = argc == 1 ? DEFAULT_PROGRAMS : UINT64_MAX;
	options.seconds = argc == 1 ? DEFAULT_SECONDS : 0.;
	while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
		if (c == 's')
			options.seed = strtoull(optarg, NULL, 0);
		else if (c == 'n')
			options.nr_programs = strtoull(optarg, NULL, 0);
		else if (c == 't')
			options.seconds = strtod(optarg, NULL);
		else if (c == 'm')
			chosen |= find_mode(optarg);
		else if (c == 'p')
			print_seed(strtoull(optarg, NULL, 0));
		else
			exit(2);
	}
	options.modes = chosen ? chosen : ~1u;
}

int main(int argc, char **argv)
{
	struct verdict v;
	double start;
	int r;

	parse_options(argc, argv);
	r = try_ring();
	if (r < 0) {
		printf("1..0 # SKIP %s\n", evring_strerror(r));
		return EXIT_SUCCESS;
	}
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED) {
		perror("mmap");
		return 2;
	}
	world_init();
	start = now();
	v = search();
	report(v, now() - start);
	if (v.reason == PASSED)
		return EXIT_SUCCESS;
	show_failure(shared->seed, v);
	return EXIT_FAILURE;
}
