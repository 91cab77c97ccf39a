/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * options.c - the command line of a daemon: the options that all have, and its
 * own, by one table each.
 *
 * Wrong usage ends the process with EXIT_USAGE and a line that says what was
 * wanted.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "private.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_OPTIONS = 64 };

struct daemon_options daemon_options = {
	.max_connections = 1000,
	.idle = 60,
	.grace = 5,
	.buffers = 1024,
	.buffer_size = 16384,
};

/* clang-format off */
static const struct daemon_option common_options[] = {
	{ .name = "listen", .form = "ADDR:PORT", .kind = OPTION_ENDPOINTS,
	  .value = &daemon_options.listen,
	  .help = "Address to serve, numeric: ADDR:PORT, [V6ADDR]:PORT, or"
		  " :PORT for all.\n\tPort 0 lets the kernel pick one."
		  "  May be repeated." },
	{ .name = "workers", .form = "NUMBER", .kind = OPTION_COUNT,
	  .value = &daemon_options.workers, .min = 1, .max = 64,
	  .help = "Threads, each with a loop and listeners of its own."
		  "  Without this\n\toption: as many as CPUs." },
	{ .name = "max-connections", .form = "NUMBER", .kind = OPTION_COUNT,
	  .value = &daemon_options.max_connections, .min = 1, .max = 1e6,
	  .help = "Connections at a time, divided among the workers; more wait"
		  " in the\n\tkernel's queue."
		  "  Lowered to what RLIMIT_NOFILE allows." },
	{ .name = "idle", .form = "SECONDS", .kind = OPTION_SECONDS,
	  .value = &daemon_options.idle, .min = 0, .max = 86400,
	  .help = "Close a connection on which nothing moved for so long;"
		  " 0 for never." },
	{ .name = "grace", .form = "SECONDS", .kind = OPTION_SECONDS,
	  .value = &daemon_options.grace, .min = 0, .max = 86400,
	  .help = "Time from SIGTERM or SIGINT for connections to end well."
		  "\n\tA second signal ends it." },
	{ .name = "buffers", .form = "NUMBER", .kind = OPTION_COUNT,
	  .value = &daemon_options.buffers, .min = 1, .max = 32768,
	  .help = "Buffers to receive into, for each worker."
		  "  Memory is taken as it is used." },
	{ .name = "buffer-size", .form = "BYTES", .kind = OPTION_COUNT,
	  .value = &daemon_options.buffer_size, .min = 64, .max = 16 << 20,
	  .help = "Of each of them." },
	{ .name = "spin", .form = "SECONDS|auto", .kind = OPTION_SPIN,
	  .value = &daemon_options.spin, .min = 0, .max = 1,
	  .help = "Look so long for something to do before sleeping: answers"
		  " come\n\tsooner, other threads get less of the CPU."
		  "  Seconds, 0 to 1, as\n\t50e-6; auto: only while it is worth"
		  " it; default 0." },
	{ .name = "require-region", .kind = OPTION_FLAG,
	  .value = &daemon_options.require_region,
	  .help = "Exit with 1 if less than the region tier is to be had." },
	{ .name = "user-region", .kind = OPTION_FLAG,
	  .value = &daemon_options.user_region,
	  .help = "Keep the wait region in memory of this process, not of the"
		  " kernel." },
	{ .name = "disable", .form = "LIST", .kind = OPTION_TEXT,
	  .value = &daemon_options.disable,
	  .help = "Kernel features evring shall leave unused, separated by"
		  " commas." },
	{ .name = "stats", .kind = OPTION_FLAG, .value = &daemon_options.stats,
	  .help = "Print the statistics on stderr at exit, as SIGUSR1 does at"
		  " any time." },
};

static const struct daemon_option epoll_option = {
	.name = "epoll", .kind = OPTION_FLAG, .value = &daemon_options.epoll,
	.help = "Stay on libev's own epoll backend.  Default: attach evring,"
		"\n\tand stay on epoll only if that is refused."
};
/* clang-format on */

/* All options of this daemon. */
struct option_list {
	const struct daemon *daemon;
	const struct daemon_option *at[MAX_OPTIONS];
	unsigned nr;
};

static void add_options(struct option_list *list,
			const struct daemon_option *options, size_t nr)
{
	for (size_t i = 0; i < nr && list->nr < MAX_OPTIONS; i++)
		list->at[list->nr++] = &options[i];
}

/*
 * help
 */

static void print_range(const struct daemon_option *option)
{
	const void *value = option->value;

	if (option->kind == OPTION_COUNT) {
		printf("\tWhole number, %.0f to %.0f", option->min,
		       option->max);
		if (value != &daemon_options.workers ||
		    daemon_options.workers > 0)
			printf("; default %" PRIu64, *(const uint64_t *)value);
		puts(".");
	}
	if (option->kind == OPTION_SECONDS)
		printf("\tSeconds, %g to %g; default %g.\n", option->min,
		       option->max, *(const double *)value);
	if (value == &daemon_options.listen)
		puts("\tDefault: a port of its own on 127.0.0.1.");
}

static void print_help(const struct option_list *list)
{
	const struct daemon *daemon = list->daemon;

	printf("Usage: %s [OPTION]...%s%s\n%s\n\n  -h, --help\n\tThis text.\n",
	       daemon->name, daemon->arguments ? " " : "",
	       daemon->arguments ? daemon->arguments : "", daemon->about);
	for (unsigned i = 0; i < list->nr; i++) {
		const struct daemon_option *option = list->at[i];

		printf("  --%s%s%s\n\t%s\n", option->name,
		       option->form ? " " : "",
		       option->form ? option->form : "", option->help);
		print_range(option);
	}
	printf("\nOn stdout: \"listening tcp%s ADDR:PORT\" for each socket, "
	       "then \"ready tier=TIER\"\n"
	       "with TIER one of none, copied, region.  Evring %s.\n"
	       "Exit status: 0 after a graceful end, 1 for a failure, 2 for "
	       "wrong usage.\n",
	       daemon->has_udp ? "|udp" : "", evring_version());
	exit(fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE);
}

/*
 * refusals
 */

static void refuse_usage(const char *why)
{
	const char *name = program_name();

	complain("%s\nUsage: %s [OPTION]...; %s --help lists the options.", why,
		 name, name);
	exit(EXIT_USAGE);
}

static void refuse_value(const struct daemon_option *option, const char *text)
{
	if (option->kind == OPTION_COUNT)
		complain("--%s=%s refused: wants a whole number from %.0f to "
			 "%.0f; K, M, G are powers of 1024",
			 option->name, text, option->min, option->max);
	else if (option->kind == OPTION_SECONDS)
		complain("--%s=%s refused: wants seconds from %g to %g, as 0.5",
			 option->name, text, option->min, option->max);
	else if (option->kind == OPTION_SPIN)
		complain("--%s=%s refused: wants seconds from 0 to 1, as 50e-6,"
			 " or auto",
			 option->name, text);
	else
		complain("--%s=%s refused: wants a numeric address as "
			 "127.0.0.1:7777, [::1]:7777 or :7777, at most %d of "
			 "them",
			 option->name, text, MAX_ENDPOINTS);
	exit(EXIT_USAGE);
}

/*
 * values
 */

/* How far a suffix shifts; -1 for what is none. */
static int suffix_shift(const char *suffix)
{
	static const char suffixes[] = "KMG";
	const char *at;

	if (*suffix == '\0')
		return 0;
	at = strchr(suffixes, *suffix);
	return at && suffix[1] == '\0' ? 10 * (int)(at - suffixes + 1) : -1;
}

static bool parse_count(const char *text, uint64_t *ret_count)
{
	unsigned long long number;
	char *end;
	int shift;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	number = strtoull(text, &end, 10);
	shift = suffix_shift(end);
	if (errno != 0 || shift < 0 || number > UINT64_MAX >> shift)
		return false;
	*ret_count = (uint64_t)number << shift;
	return true;
}

/* Decimal only: strtod() would also take a sign, hexadecimal, "inf", "nan". */
static bool parse_seconds(const char *text, double *ret_seconds)
{
	double seconds;
	char *end;

	if (*text == '\0' || strchr("+-", *text) ||
	    strspn(text, "0123456789.eE+-") != strlen(text))
		return false;
	seconds = strtod(text, &end);
	if (*end != '\0')
		return false;
	*ret_seconds = seconds;
	return true;
}

static bool parse_spin(const char *text, double *ret_seconds)
{
	if (strcmp(text, "auto"))
		return parse_seconds(text, ret_seconds);
	*ret_seconds = EVRING_SPIN_AUTO;
	return true;
}

static bool add_endpoint(struct endpoints *endpoints, const char *text)
{
	return endpoints->nr < MAX_ENDPOINTS &&
	       endpoint_parse(text, &endpoints->at[endpoints->nr++]);
}

static bool is_in_range(const struct daemon_option *option, double value)
{
	return value >= option->min && value <= option->max;
}

static bool parse_value(const struct daemon_option *option, const char *text)
{
	switch (option->kind) {
	case OPTION_FLAG:
		*(bool *)option->value = true;
		return true;
	case OPTION_TEXT:
		*(const char **)option->value = text;
		return true;
	case OPTION_COUNT:
		return parse_count(text, option->value) &&
		       is_in_range(option, *(uint64_t *)option->value);
	case OPTION_SECONDS:
		return parse_seconds(text, option->value) &&
		       is_in_range(option, *(double *)option->value);
	case OPTION_SPIN:
		return parse_spin(text, option->value) &&
		       *(double *)option->value <= option->max;
	case OPTION_ENDPOINTS:
		return add_endpoint(option->value, text);
	}
	return false;
}

/*
 * all together
 */

static void check_options(const struct daemon *daemon)
{
	struct daemon_options *options = &daemon_options;
	char text[sizeof("127.0.0.1:65535")];

	if (options->epoll &&
	    (options->require_region || options->user_region ||
	     options->disable || options->spin != 0.))
		refuse_usage("--epoll excludes --require-region, "
			     "--user-region, --disable and --spin");
	if (options->listen.nr > 0)
		return;
	snprintf(text, sizeof(text), "127.0.0.1:%u",
		 (unsigned)daemon->default_port);
	add_endpoint(&options->listen, text);
}

static void parse_all(const struct option_list *list, int argc, char **argv)
{
	struct option longs[MAX_OPTIONS + 2] = {
		{ .name = "help", .val = 'h' },
	};
	int c, idx;

	for (unsigned i = 0; i < list->nr; i++) {
		longs[i + 1].name = list->at[i]->name;
		longs[i + 1].has_arg = list->at[i]->kind != OPTION_FLAG;
	}
	while ((c = getopt_long(argc, argv, "h", longs, &idx)) >= 0) {
		if (c == 'h')
			print_help(list);
		if (c == '?')
			refuse_usage(
				"unknown option, or one without its value");
		if (!parse_value(list->at[idx - 1], optarg))
			refuse_value(list->at[idx - 1], optarg);
	}
}

int options_parse(const struct daemon *daemon, int argc, char **argv)
{
	struct option_list list = { .daemon = daemon };

	add_options(&list, common_options, NR_OF(common_options));
	if (daemon->may_do_without_ring)
		add_options(&list, &epoll_option, 1);
	add_options(&list, daemon->options, daemon->nr_options);
	parse_all(&list, argc, argv);
	if (optind < argc && !daemon->arguments)
		refuse_usage("takes options only");
	check_options(daemon);
	return optind;
}
