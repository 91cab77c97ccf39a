/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * parse/daemon.c - the command line of the example daemons.  A line is an
 * argument.
 *
 * What is wrong ends a daemon: here exit() comes back to the fuzzer instead.
 */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>

#include "target.h"

#include "../../../examples/daemon/private.h"

static jmp_buf after_exit;

_Noreturn static void leave(int status)
{
	longjmp(after_exit, status + 1);
}

static int print_nothing(const char *format, ...)
{
	(void)format;
	return 0;
}

#define exit(status) leave(status)
#define printf	     print_nothing
#define puts	     print_nothing
#include "../../../examples/daemon/options.c"
#undef exit
#undef printf
#undef puts

const char fuzz_target[] = "daemon";

enum { MAX_ARGUMENTS = 32 };

const char *program_name(void)
{
	return fuzz_target;
}

void complain(const char *format, ...)
{
	char text[256];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
}

/* Of what opens sockets, which nobody does here. */
void accept_add(struct worker *worker, int fd)
{
	(void)worker;
	(void)fd;
}

static void check_endpoint(const struct endpoint *endpoint)
{
	char text[ADDRESS_TEXT_SIZE], again[ADDRESS_TEXT_SIZE];
	struct endpoint same;

	endpoint_format(endpoint, text);
	fuzz_require(endpoint_parse(text, &same));
	endpoint_format(&same, again);
	fuzz_require(!strcmp(text, again));
}

static void check_results(void)
{
	unsigned i;

	fuzz_require(daemon_options.idle >= 0. && daemon_options.idle <= 86400);
	fuzz_require(daemon_options.grace >= 0.);
	fuzz_require(daemon_options.buffers >= 1 &&
		     daemon_options.buffers <= 32768);
	fuzz_require(daemon_options.buffer_size >= 64 &&
		     daemon_options.buffer_size <= 16 << 20);
	fuzz_require(daemon_options.spin == EVRING_SPIN_AUTO ||
		     (daemon_options.spin >= 0. && daemon_options.spin <= 1.));
	fuzz_require(daemon_options.listen.nr <= MAX_ENDPOINTS);
	for (i = 0; i < daemon_options.listen.nr; i++)
		check_endpoint(&daemon_options.listen.at[i]);
}

static const struct daemon daemon_tried = {
	.name = fuzz_target,
	.about = "",
	.arguments = "FILE",
	.default_port = 1,
	.may_do_without_ring = true,
};

/* What would end the program ends this. */
static void try_options(int argc, char **argv)
{
	optind = 0; /* have getopt begin anew */
	if (!setjmp(after_exit)) {
		options_parse(&daemon_tried, argc, argv);
		check_results();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct daemon_options defaults;
	static char *text;
	char *arguments[MAX_ARGUMENTS + 2] = { (char *)(uintptr_t)fuzz_target };
	char *rest;
	int argc = 1;

	if (!defaults.buffers) {
		defaults = daemon_options;
		opterr = 0;
	}
	daemon_options = defaults;
	free(text);
	text = rest = fuzz_string(data, size);
	while (rest && argc <= MAX_ARGUMENTS)
		arguments[argc++] = strsep(&rest, "\n");
	try_options(argc, arguments);
	return 0;
}
