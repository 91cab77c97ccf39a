/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * run.c - `evring run`: set the environment, become the program.
 *
 * What is wrong on the command line is refused; what is wrong in the
 * environment is somebody else's, and ignored with a line.
 */
#include "config.h"

#include "run.h"

#include <errno.h>
#include <ev.h>
#include <evring.h>
#include <getopt.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "options.h"
#include "path.h"
#include "probe.h"
#include "program.h"

enum { EXIT_USAGE = 2, EXIT_NOT_EXECUTABLE = 126, EXIT_NOT_FOUND = 127 };

static struct evr_options options;

__attribute__((format(printf, 1, 2))) static void say(const char *format, ...)
{
	va_list args;

	fputs("evring: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
}

static void print_usage(FILE *to)
{
	fputs("Usage: evring run [OPTION...] [--] PROGRAM [ARGUMENT...]\n"
	      "\n"
	      "Runs PROGRAM with every loop that libev puts on epoll attached "
	      "to an io_uring.\n"
	      "\n"
	      "  --require          end PROGRAM (status 125) rather than run "
	      "it "
	      "on epoll\n"
	      "  --tier=TIER        region, copied, none: the highest to use; "
	      "any\n"
	      "  --disable=NAMES    kernel features to leave unused; evring "
	      "info lists them\n"
	      "  --engine=ENGINE    ask the ring or the epoll set first; "
	      "auto\n"
	      "  --restrict         rings that take evring's own requests "
	      "only\n"
	      "  --collect=TIME     wait so long for more events; as in 2ms\n"
	      "  --spin=TIME        look so long before sleeping; or auto\n"
	      "  --napi=TIME        have the kernel poll NICs so long before "
	      "sleeping\n"
	      "  --stats[=SIGNAL]   counters on standard error at exit, and on "
	      "SIGNAL\n"
	      "  --children=yes|no  also programs that PROGRAM executes "
	      "(yes)\n"
	      "  --quiet            say nothing\n"
	      "  --verbose          say which loops were attached, and why "
	      "others were not\n"
	      "  --help\n"
	      "\n"
	      "Each is also a variable of the environment: EVRING_TIER=copied "
	      "and so on.\n"
	      "See evring(1).\n",
	      to);
}

/*
 * options
 */

static void complain(const char *variable, int length, const char *form)
{
	char *name = strndup(variable, (size_t)length);

	if (!name)
		return;
	if (form)
		say("%s is ignored: it must be %s", variable, form);
	else
		say("%s is ignored: there is no such variable", name);
	unsetenv(name); /* said once is enough */
	free(name);
}

/* The library has no need to say it again. */
static void keep_known_names(const char *names)
{
	char *copy = strdup(names), *known = calloc(1, strlen(names) + 2);
	char *name, *rest = NULL, *end = known;
	unsigned bits;

	say("EVRING_DISABLE=%s: unknown names are ignored; evring info lists "
	    "the features",
	    names);
	name = copy && known ? strtok_r(copy, ",", &rest) : NULL;
	for (; name; name = strtok_r(NULL, ",", &rest))
		if (evr_probe_parse(name, &bits) >= 0)
			end = stpcpy(stpcpy(end, *known ? "," : ""), name);
	setenv("EVRING_DISABLE", known ? known : "", 1);
	options.disable = getenv("EVRING_DISABLE");
	free(copy);
	free(known);
}

static void read_environment(void)
{
	const char *names = getenv("EVRING_DISABLE");
	char **copy;
	size_t n;
	unsigned bits;

	for (n = 0; environ[n]; n++)
		;
	copy = calloc(n + 1, sizeof(*copy)); /* complain() changes the other */
	if (!copy)
		return;
	memcpy(copy, environ, n * sizeof(*copy));
	evr_options_read(&options, copy, complain);
	free(copy);
	if (names && evr_probe_parse(names, &bits) < 0)
		keep_known_names(names);
}

static int bad_value(const struct evr_option *option, const char *value)
{
	say("--%s=%s: it must be %s", option->name, value, option->form);
	return EXIT_USAGE;
}

static int set_option(const struct evr_option *option, const char *value)
{
	unsigned bits;

	if (!evr_options_set(&options, option, value) ||
	    (!strcmp(option->name, "disable") &&
	     evr_probe_parse(value, &bits) < 0))
		return bad_value(option, value);
	setenv(option->variable, value ? value : "1", 1);
	return 0;
}

enum { HELP = 1000, MAX_OPTIONS = 16 };

static void list_options(struct option list[MAX_OPTIONS])
{
	const struct evr_option *o;
	int i = 0;

	for (o = evr_options_table; o->name && i < MAX_OPTIONS - 2; o++, i++)
		list[i] = (struct option){ o->name,
					   o->is_optional ? optional_argument
							  : required_argument,
					   NULL, i };
	list[i] = (struct option){ "help", no_argument, NULL, HELP };
	list[i + 1] = (struct option){ NULL, 0, NULL, 0 };
}

/* Returns a status to exit with, or -1 to go on. */
static int parse_options(int argc, char **argv)
{
	static char name[] = "evring run";
	struct option list[MAX_OPTIONS];
	int c, status = 0;

	list_options(list);
	argv[0] = name; /* in getopt's messages */
	while (!status && (c = getopt_long(argc, argv, "+", list, NULL)) >= 0) {
		if (c == HELP) {
			print_usage(stdout);
			return 0;
		}
		if (c == '?') {
			fputs("evring run --help lists the options\n", stderr);
			return EXIT_USAGE;
		}
		status = set_option(&evr_options_table[c], optarg);
	}
	if (!status && optind == argc) {
		print_usage(stderr);
		return EXIT_USAGE;
	}
	return status ? status : -1;
}

/*
 * what is needed
 */

/* The folder of this tool; false if it cannot be known. */
static bool find_tool(char folder[PATH_MAX])
{
	ssize_t n = readlink("/proc/self/exe", folder, PATH_MAX - 1);

	if (n <= 0)
		return false;
	folder[n] = '\0';
	*strrchr(folder, '/') = '\0';
	return true;
}

/* "/tmp/root" if the tool is in /tmp/root/usr/bin and belongs in /usr/bin. */
static const char *root_of(char *folder)
{
	size_t size = strlen(folder), less = strlen(BINDIR);

	if (size >= less && !strcmp(folder + size - less, BINDIR))
		folder[size - less] = '\0';
	else
		*folder = '\0';
	return folder;
}

/*
 * In the tree that is being built, or where it was installed, even if that is
 * not yet where it will be (DESTDIR).
 */
static bool find_library(char path[PATH_MAX])
{
	char folder[PATH_MAX] = "";
	int n;

	(void)find_tool(folder);
	n = snprintf(path, PATH_MAX, "%s/../preload/.libs/" EVR_PRELOAD,
		     folder);
	if (n >= PATH_MAX || access(path, R_OK) < 0)
		n = snprintf(path, PATH_MAX, "%s" PKGLIBDIR "/" EVR_PRELOAD,
			     root_of(folder));
	return n < PATH_MAX && access(path, R_OK) == 0;
}

/* Would a loop get what is asked for?  Returns what evring_attach() says. */
static int try_loop(void)
{
	struct evring_config config = { .disable = options.disable };
	struct ev_loop *loop;

	if (options.tier == EVR_NO_TIER)
		return -ENOTSUP;
	if (options.tier == EVR_REGION)
		config.flags |= EVRING_REQUIRE_REGION;
	if (options.restricted)
		config.flags |= EVRING_RESTRICT;
	loop = evring_loop_new(EVFLAG_NOENV, &config);
	if (!loop)
		return -errno;
	ev_loop_destroy(loop);
	return 0;
}

static int check_required(void)
{
	int r = options.require ? try_loop() : 0;

	if (r >= 0)
		return 0;
	if (!options.quiet)
		say("--require: %s", options.tier == EVR_NO_TIER
					     ? "--tier=none leaves every loop "
					       "on epoll"
					     : evring_strerror(r));
	return EVR_EXIT_REQUIRED;
}

/* The program runs unchanged, or not at all.  Returns a status, or 0. */
static int cannot_load(const char *program, const char *why)
{
	if (options.require) {
		if (!options.quiet)
			say("--require: nothing can be loaded into %s: %s",
			    program, why);
		return EVR_EXIT_REQUIRED;
	}
	if (!options.quiet)
		say("%s runs unchanged: %s", program, why);
	return 0;
}

static int preload(const char *program)
{
	const char *why = evr_program_refuses(program);
	char path[PATH_MAX];

	if (why)
		return cannot_load(program, why);
	if (!find_library(path)) {
		say("%s is not there: install evring anew", path);
		return options.require ? EVR_EXIT_REQUIRED : 0;
	}
	if (!evr_path_is_possible(path))
		return cannot_load(program,
				   "LD_PRELOAD cannot name a library in a "
				   "folder whose name has spaces or colons");
	return evr_path_add(path) < 0 ? EVR_EXIT_REQUIRED : 0;
}

static int not_executed(const char *program)
{
	int error = errno;

	say("%s: %s", program, strerror(error));
	return error == ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE;
}

int evring_run(int argc, char **argv)
{
	char *path;
	int r;

	read_environment();
	r = parse_options(argc, argv);
	if (r >= 0)
		return r;
	argv += optind;
	path = evr_program_find(argv[0]);
	if (!path)
		return not_executed(argv[0]);
	r = check_required();
	if (!r)
		r = preload(path);
	if (r)
		return r;
	execv(path, argv);
	if (errno == ENOEXEC) /* a script without a first line: as execvp() */
		execvp(argv[0], argv);
	return not_executed(argv[0]);
}
