/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * info.c - `evring info': its options, and the report on this machine.
 *
 * The report is written twice from the same facts and findings, as text and as
 * JSON.  Its last line is the tier.
 */
#include "config.h"

#include "info.h"

#include <getopt.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "diagnose.h"
#include "names.h"
#include "output.h"
#include "path.h"
#include "process.h"

struct options {
	bool json, quiet;
	enum evring_tier tier; /* at least; NONE if it was not given */
	const char *disable;
	pid_t pid; /* 0: this machine */
};

/*
 * text
 */

static void print_versions(const struct facts *f)
{
	printf("versions\n");
	printf("  evring    %s\n", evring_version());
	printf("  kernel    %s %s %s\n", f->kernel.sysname, f->kernel.release,
	       f->kernel.machine);
	printf("  liburing  %d.%d\n", f->liburing[0], f->liburing[1]);
	printf("  libev     %d.%d, ", f->libev[0], f->libev[1]);
	text_foreign(stdout, f->libev_file ? f->libev_file : "linked in");
	putchar('\n');
}

static void print_proofs(const struct facts *f)
{
	const struct evr_proof *proof;

	printf("\nproofs of libev's layout, each the condition of the next\n");
	for (proof = f->proofs; proof->name; proof++)
		printf("  %-16s  %-6s  %s\n", proof->name,
		       proof->held ? "held" : "failed", proof->what);
	if (f->layout_error && proof == f->proofs)
		printf("  none could be tried\n");
}

static const char *state_name(enum feature_state state)
{
	static const char *const names[] = {
		[FEATURE_ON] = "on",
		[FEATURE_OFF] = "off",
		[FEATURE_MASKED] = "masked",
		[FEATURE_UNKNOWN] = "unknown",
	};

	return names[state];
}

/* Without any ring there is one reason for all: see diagnosis. */
static void print_features(const struct facts *f)
{
	const struct evr_feature *row;
	int i;

	printf("\nfeatures of io_uring, and the Linux that brought them\n");
	for (i = 0; i < NR_FEATURES; i++) {
		row = &evr_features[i];
		printf("  %-16s  %-5s %-8s ", row->name, row->kernel,
		       state_name(f->features[i].state));
		text_wrap(stdout, 34, row->what);
		if (f->features[i].why[0] && !f->probe_error) {
			printf("%34s", "");
			text_wrap(stdout, 34, f->features[i].why);
		}
	}
}

/* The next unknown name in a list of names; NULL at its end. */
static char *next_unknown(const char **names)
{
	unsigned bits;
	size_t size;
	char *name;

	while (*names && **names) {
		size = strcspn(*names, ",");
		name = strndup(*names, size);
		*names += size + ((*names)[size] == ',');
		if (!name || evr_probe_parse(name, &bits) < 0)
			return name;
		free(name);
	}
	return NULL;
}

static void print_unknown_names(const char *names)
{
	const char *separator = "\nunknown in EVRING_DISABLE, ignored: ";
	char *name;

	while ((name = next_unknown(&names))) {
		fputs(separator, stdout);
		text_foreign(stdout, name);
		separator = ", ";
		free(name);
	}
	if (*separator == ',')
		putchar('\n');
}

static void print_findings(const struct facts *f)
{
	struct finding findings[MAX_FINDINGS];
	int i, n = diagnose(f, findings);

	printf("\ndiagnosis\n");
	for (i = 0; i < n; i++) {
		printf("  %-8s  %-7s  ", findings[i].topic,
		       verdict_name(findings[i].verdict));
		text_wrap(stdout, 21, findings[i].what);
		if (findings[i].change[0]) {
			printf("%12sto do    ", "");
			text_wrap(stdout, 21, findings[i].change);
		}
	}
}

static void print_tier(const struct facts *f)
{
	char why[256];

	diagnose_tier(f, why, sizeof(why));
	printf("\ntier: %s%s%s\n", evring_tier_name(f->tier),
	       why[0] ? ", because " : "", why);
}

static void print_text(const struct facts *f)
{
	print_versions(f);
	print_proofs(f);
	print_features(f);
	print_unknown_names(f->disable_env);
	print_findings(f);
	print_tier(f);
}

/*
 * JSON
 */

static void json_version(struct json *j, const char *name, const int version[2])
{
	char text[32];

	snprintf(text, sizeof(text), "%d.%d", version[0], version[1]);
	json_string(j, name, text);
}

static void json_versions(struct json *j, const struct facts *f)
{
	json_open(j, "versions", '{');
	json_string(j, "evring", evring_version());
	json_string(j, "system", f->kernel.sysname);
	json_string(j, "kernel", f->kernel.release);
	json_string(j, "machine", f->kernel.machine);
	json_version(j, "liburing", f->liburing);
	json_version(j, "libev", f->libev);
	json_string(j, "libev_file", f->libev_file);
	json_close(j, '}');
}

static void json_proofs(struct json *j, const struct facts *f)
{
	const struct evr_proof *proof;

	json_open(j, "proofs", '[');
	for (proof = f->proofs; proof->name; proof++) {
		json_open(j, NULL, '{');
		json_string(j, "name", proof->name);
		json_bool(j, "held", proof->held);
		json_string(j, "what", proof->what);
		json_close(j, '}');
	}
	json_close(j, ']');
}

static void json_features(struct json *j, const struct facts *f)
{
	int i;

	json_open(j, "features", '[');
	for (i = 0; i < NR_FEATURES; i++) {
		json_open(j, NULL, '{');
		json_string(j, "name", evr_features[i].name);
		json_string(j, "kernel", evr_features[i].kernel);
		json_string(j, "state", state_name(f->features[i].state));
		json_string(j, "why", f->features[i].why);
		json_string(j, "what", evr_features[i].what);
		json_close(j, '}');
	}
	json_close(j, ']');
}

static void json_unknown_names(struct json *j, const char *names)
{
	char *name;

	json_open(j, "unknown_names", '[');
	while ((name = next_unknown(&names))) {
		json_string(j, NULL, name);
		free(name);
	}
	json_close(j, ']');
}

static void json_limit(struct json *j, const char *name, rlim_t limit)
{
	if (limit == RLIM_INFINITY)
		json_string(j, name, "unlimited");
	else
		json_uint(j, name, limit);
}

static void json_sysctl(struct json *j, const char *name,
			const struct sysctl *sysctl)
{
	if (sysctl->is_known)
		json_int(j, name, sysctl->value);
	else
		json_null(j, name);
}

static void json_calls(struct json *j, const struct facts *f)
{
	const struct call *call;
	int i;

	json_open(j, "calls", '{');
	for (i = 0; i < NR_CALLS; i++) {
		call = &f->calls[i];
		json_string(j, call->name,
			    call->is_fatal ? "SIGSYS"
			    : call->error  ? error_name(call->error)
					   : "ok");
	}
	json_close(j, '}');
}

static void json_system(struct json *j, const struct facts *f)
{
	json_open(j, "system", '{');
	json_calls(j, f);
	json_sysctl(j, "io_uring_disabled", &f->disabled);
	json_sysctl(j, "io_uring_group", &f->group);
	json_int(j, "seccomp", f->status.seccomp);
	json_int(j, "no_new_privs", f->status.no_new_privs);
	json_limit(j, "memlock", f->memlock.rlim_cur);
	json_limit(j, "memlock_hard", f->memlock.rlim_max);
	json_uint(j, "memlock_needed", f->ring_bytes);
	json_uint(j, "ring_entries", f->ring_entries);
	json_limit(j, "nofile", f->nofile.rlim_cur);
	json_limit(j, "nofile_hard", f->nofile.rlim_max);
	json_close(j, '}');
}

static void json_findings(struct json *j, const struct facts *f)
{
	struct finding findings[MAX_FINDINGS];
	int i, n = diagnose(f, findings);

	json_open(j, "diagnosis", '[');
	for (i = 0; i < n; i++) {
		json_open(j, NULL, '{');
		json_string(j, "topic", findings[i].topic);
		json_string(j, "verdict", verdict_name(findings[i].verdict));
		json_string(j, "what", findings[i].what);
		json_string(j, "to_do", findings[i].change);
		json_close(j, '}');
	}
	json_close(j, ']');
}

static void print_json(const struct facts *f)
{
	struct json j = { .out = stdout };
	char why[256];

	diagnose_tier(f, why, sizeof(why));
	json_open(&j, NULL, '{');
	json_versions(&j, f);
	json_proofs(&j, f);
	json_features(&j, f);
	json_unknown_names(&j, f->disable_env);
	json_system(&j, f);
	json_findings(&j, f);
	json_string(&j, "tier", evring_tier_name(f->tier));
	json_string(&j, "why", why);
	json_close(&j, '}');
}

static int report_machine(const struct options *options)
{
	enum evring_tier wanted = options->tier;
	static struct facts facts;

	if (wanted == EVRING_TIER_NONE)
		wanted = EVRING_TIER_COPIED;
	facts_gather(&facts, options->disable);
	if (options->json)
		print_json(&facts);
	else if (!options->quiet)
		print_text(&facts);
	if (!output_is_written())
		return STATUS_UNREADABLE;
	return facts.tier >= wanted ? STATUS_YES : STATUS_NO;
}

/*
 * options
 */

static const char help[] =
	"usage: evring info [--json | --quiet] [--tier=region|copied]\n"
	"                   [--disable=NAMES]\n"
	"       evring info [--json | --quiet] PID\n"
	"\n"
	"What this machine gives a loop of libev, and what to change where it\n"
	"gives less than it could; or the loops of process PID, run by evring "
	"run.\n"
	"\n"
	"  --json           the same as one JSON object\n"
	"  --quiet          no report, the exit status only\n"
	"  --tier=TIER      exit 1 if a loop gets less than TIER: region or "
	"copied\n"
	"  --disable=NAMES  leave these features unused, separated by commas; "
	"so\n"
	"                   does EVRING_DISABLE\n"
	"  --help           this text\n"
	"\n"
	"Exit status: 0 a loop gets a ring, or a loop of PID has one; 1 none; "
	"2 wrong\n"
	"usage; 3 PID cannot be read, or the report not be written.\n";

__attribute__((format(printf, 1, 2))) static int refuse(const char *format, ...)
{
	va_list args;

	fputs("evring info: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputs("\nTry: evring info --help\n", stderr);
	return STATUS_USAGE;
}

/* 0, or STATUS_USAGE with a message; so do the next ones. */
static int set_tier(struct options *options, const char *text)
{
	if (!strcmp(text, "region"))
		options->tier = EVRING_TIER_REGION;
	else if (!strcmp(text, "copied"))
		options->tier = EVRING_TIER_COPIED;
	else
		return refuse("--tier=%s: must be region or copied", text);
	return 0;
}

static int set_disable(struct options *options, const char *text)
{
	const char *names = text;
	char *unknown = next_unknown(&names);
	const struct evr_feature *row;

	options->disable = text;
	if (!unknown)
		return 0;
	fprintf(stderr, "evring info: --disable: no feature is called %s; ",
		unknown);
	fputs("give a list, with commas, of:\n ", stderr);
	for (row = evr_features; row->name; row++)
		fprintf(stderr, " %s", row->name);
	putc('\n', stderr);
	free(unknown);
	return STATUS_USAGE;
}

static int set_pid(struct options *options, const char *text)
{
	char *end = NULL;
	long pid = strtol(text, &end, 10);

	if (text[strspn(text, "0123456789")] || end == text || pid <= 0 ||
	    pid > INT_MAX)
		return refuse("%s: must be the number of a process", text);
	options->pid = (pid_t)pid;
	return 0;
}

static int check_options(const struct options *options)
{
	if (options->json && options->quiet)
		return refuse("--json and --quiet exclude each other");
	if (options->pid && (options->tier || options->disable))
		return refuse("--tier and --disable ask about this machine, "
			      "not about a process");
	return 0;
}

static int set_option(struct options *options, int letter)
{
	switch (letter) {
	case 'j':
		options->json = true;
		return 0;
	case 'q':
		options->quiet = true;
		return 0;
	case 't':
		return set_tier(options, optarg);
	case 'd':
		return set_disable(options, optarg);
	default:
		return refuse("unknown option, one without its value, or one "
			      "with a value too many");
	}
}

static int set_arguments(struct options *options, int argc, char **argv)
{
	if (optind < argc && set_pid(options, argv[optind]))
		return STATUS_USAGE;
	if (optind + 1 < argc)
		return refuse("%s: takes one process", argv[optind + 1]);
	return check_options(options);
}

/*
 * In a shell under evring run the loops made here would be attached by what is
 * loaded, and nothing would be as it is without.  Without it, then.
 */
static void leave_evring_run(int argc, char **argv)
{
	const char *preload = getenv("LD_PRELOAD");
	char **args;

	if (!preload || !strstr(preload, EVR_PRELOAD))
		return;
	evr_path_remove_us();
	preload = getenv("LD_PRELOAD");
	args = calloc((size_t)argc + 2, sizeof(*args));
	if (!args || (preload && strstr(preload, EVR_PRELOAD))) {
		free(args);
		return;
	}
	args[0] = (char[]){ "evring" };
	memcpy(args + 1, argv, (size_t)argc * sizeof(*args));
	execv("/proc/self/exe", args);
	free(args);
}

int evring_info(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "quiet", no_argument, NULL, 'q' },
		{ "tier", required_argument, NULL, 't' },
		{ "disable", required_argument, NULL, 'd' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	struct options options = { .tier = EVRING_TIER_NONE };
	int letter;

	leave_evring_run(argc, argv);
	optind = 0; /* others may have parsed before */
	opterr = 0;
	while ((letter = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		if (letter == 'h') {
			fputs(help, stdout);
			return output_is_written() ? 0 : STATUS_UNREADABLE;
		}
		if (set_option(&options, letter))
			return STATUS_USAGE;
	}
	if (set_arguments(&options, argc, argv))
		return STATUS_USAGE;
	return options.pid ? process_report(options.pid, options.json,
					    options.quiet)
			   : report_machine(&options);
}
