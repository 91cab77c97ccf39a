/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * parse/options.c - the environment of a program: EVRING_* variables, and the
 * names of features in EVRING_DISABLE.  A line is a variable.
 */
#include "config.h"

#include "target.h"

#include "../../../lib/engine.h"
#include "../../../lib/napi.h"
#include "../../../lib/probe.h"
#include "../../../lib/spin.h"
#include "../../../preload/options.h"

const char fuzz_target[] = "options";

enum { MAX_LINES = 32 };

static unsigned nr_complaints;

static void complain(const char *variable, int length, const char *form)
{
	const struct evr_option *option;
	bool is_known = false;

	nr_complaints++;
	fuzz_require(length >= 7 && variable[length] == '=');
	for (option = evr_options_table; option->name; option++)
		is_known |= form == option->form;
	fuzz_require(!form || is_known);
}

static void check_options(const struct evr_options *options)
{
	struct evr_engine engine;
	unsigned bits;

	fuzz_require(evr_spin_is_valid(options->spin));
	fuzz_require(evr_napi_is_valid(options->napi));
	fuzz_require(options->collect >= 0. && options->collect <= 60.);
	fuzz_require(options->tier <= EVR_REGION);
	fuzz_require(options->stats || !options->stats_signal);
	(void)evr_probe_parse(options->disable, &bits);
	fuzz_require(!(bits & ~(unsigned)EVR_HAVE_ALL));
	evr_engine_init(&engine, options->disable);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_string(data, size), *rest = text;
	char *lines[MAX_LINES + 1];
	struct evr_options options = { .disable = NULL };
	unsigned nr = 0;

	while (rest && nr < MAX_LINES)
		lines[nr++] = strsep(&rest, "\n");
	lines[nr] = NULL;
	nr_complaints = 0;
	evr_options_read(&options, lines, complain);
	fuzz_require(nr_complaints <= nr);
	check_options(&options);
	free(text);
	return 0;
}
