/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * options.c - the table of the options, and the forms of their values.  It is
 * part of the tool, which refuses what is wrong, and of the preloaded library,
 * which must not.
 */
#include "config.h"

#include "options.h"

#include <evring.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

/* "50us", "2ms", "0.5s" or "0". */
static bool parse_time(const char *value, double *ret_seconds)
{
	static const struct {
		const char *name;
		double seconds;
	} units[] = { { "us", 1e-6 }, { "ms", 1e-3 }, { "s", 1. } };
	char *end;
	double number;
	size_t i;

	if (*value < '0' || *value > '9') /* no sign, nan, inf, space */
		return false;
	number = strtod(value, &end);
	if (!isfinite(number) || strcspn(value, "xX") != strlen(value))
		return false;
	for (i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (!strcmp(end, units[i].name)) {
			*ret_seconds = number * units[i].seconds;
			return *ret_seconds <= 60.;
		}
	*ret_seconds = 0.;
	return number == 0. && !*end;
}

static bool parse_switch(const char *value, const char *on, const char *off,
			 bool *ret_on)
{
	if (strcmp(value, on) && strcmp(value, off))
		return false;
	*ret_on = !strcmp(value, on);
	return true;
}

/* That evring_config.spin may be. */
static const double MAX_SPIN = 1.;

static bool set_spin(struct evr_options *options, const char *value)
{
	double seconds = EVRING_SPIN_AUTO;

	if (strcmp(value, "auto") &&
	    (!parse_time(value, &seconds) || seconds > MAX_SPIN))
		return false;
	options->spin = seconds;
	return true;
}

/* That evring_set_napi() takes. */
static const double MAX_NAPI = 0.01;

static bool set_napi(struct evr_options *options, const char *value)
{
	double seconds;

	if (!parse_time(value, &seconds) || seconds > MAX_NAPI)
		return false;
	options->napi = seconds;
	return true;
}

static bool set_collect(struct evr_options *options, const char *value)
{
	double seconds;

	if (!parse_time(value, &seconds))
		return false;
	options->collect = seconds;
	return true;
}

static bool set_tier(struct evr_options *options, const char *value)
{
	static const char *const names[] = { [EVR_ANY_TIER] = "any",
					     [EVR_NO_TIER] = "none",
					     [EVR_COPIED] = "copied",
					     [EVR_REGION] = "region" };
	unsigned i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!strcmp(value, names[i])) {
			options->tier = i;
			return true;
		}
	return false;
}

/* Which names there are is for the library to say. */
static bool set_disable(struct evr_options *options, const char *value)
{
	options->disable = value;
	return true;
}

/* libevring reads the variable for itself. */
static bool set_engine(struct evr_options *options, const char *value)
{
	(void)options;
	return !strcmp(value, "auto") || !strcmp(value, "ring") ||
	       !strcmp(value, "set");
}

static bool set_require(struct evr_options *options, const char *value)
{
	return parse_switch(value, "1", "0", &options->require);
}

static bool set_restrict(struct evr_options *options, const char *value)
{
	return parse_switch(value, "1", "0", &options->restricted);
}

static int signal_of(const char *value)
{
	static const struct {
		const char *name;
		int number;
	} names[] = { { "USR1", SIGUSR1 }, { "USR2", SIGUSR2 },
		      { "HUP", SIGHUP },   { "WINCH", SIGWINCH },
		      { "URG", SIGURG },   { "IO", SIGIO },
		      { "PWR", SIGPWR },   { "QUIT", SIGQUIT } };
	size_t i;

	if (!strncmp(value, "SIG", 3))
		value += 3;
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!strcmp(value, names[i].name))
			return names[i].number;
	return 0;
}

static bool set_stats(struct evr_options *options, const char *value)
{
	bool on;

	if (parse_switch(value, "1", "0", &on)) {
		options->stats = on;
		options->stats_signal = 0;
		return true;
	}
	if (!signal_of(value))
		return false;
	options->stats = true;
	options->stats_signal = signal_of(value);
	return true;
}

static bool set_children(struct evr_options *options, const char *value)
{
	bool on;

	if (!parse_switch(value, "yes", "no", &on))
		return false;
	options->no_children = !on;
	return true;
}

static bool set_quiet(struct evr_options *options, const char *value)
{
	return parse_switch(value, "1", "0", &options->quiet);
}

static bool set_verbose(struct evr_options *options, const char *value)
{
	return parse_switch(value, "1", "0", &options->verbose);
}

#define TIME_FORM "a time of at most 60s, as in 50us, 2ms or 0.1s, or 0"

/* clang-format off */
const struct evr_option evr_options_table[] = {
	{ "tier",     "EVRING_TIER",     "region, copied, none or any", false,
	  set_tier },
	{ "disable",  "EVRING_DISABLE",
	  "names of features, as `evring info` prints them, with commas", false,
	  set_disable },
	{ "engine",   "EVRING_ENGINE",   "auto, ring or set", false,
	  set_engine },
	{ "require",  "EVRING_REQUIRE",  "1 or 0", true, set_require },
	{ "restrict", "EVRING_RESTRICT", "1 or 0", true, set_restrict },
	{ "spin",     "EVRING_SPIN",
	  "a time of at most 1s, as in 50us, or 0, or auto", false,
	  set_spin },
	{ "napi",     "EVRING_NAPI",
	  "a time of at most 10ms, as in 50us, or 0", false, set_napi },
	{ "collect",  "EVRING_COLLECT",  TIME_FORM, false, set_collect },
	{ "stats",    "EVRING_STATS",
	  "a signal, as in USR2 (USR1, USR2, HUP, QUIT, WINCH, URG, IO or PWR), "
	  "or 1 or 0", true, set_stats },
	{ "children", "EVRING_CHILDREN", "yes or no", false, set_children },
	{ "quiet",    "EVRING_QUIET",    "1 or 0", true, set_quiet },
	{ "verbose",  "EVRING_VERBOSE",  "1 or 0", true, set_verbose },
	{ NULL, NULL, NULL, false, NULL }
};
/* clang-format on */

/* NULL if there is no such variable. */
static const struct evr_option *find_option(const char *variable, int length)
{
	const struct evr_option *option;

	for (option = evr_options_table; option->name; option++)
		if (!strncmp(option->variable, variable, (size_t)length) &&
		    !option->variable[length])
			return option;
	return NULL;
}

bool evr_options_set(struct evr_options *options,
		     const struct evr_option *option, const char *value)
{
	return option->set(options, value ? value : "1");
}

void evr_options_read(struct evr_options *options, char **environment,
		      evr_options_complain *complain)
{
	const struct evr_option *option;
	char **entry;
	int length;

	for (entry = environment; *entry; entry++) {
		length = (int)strcspn(*entry, "=");
		if (strncmp(*entry, "EVRING_", 7) || !(*entry)[length])
			continue;
		option = find_option(*entry, length);
		if (!option)
			complain(*entry, length, NULL);
		else if (!evr_options_set(options, option, *entry + length + 1))
			complain(*entry, length, option->form);
	}
}
