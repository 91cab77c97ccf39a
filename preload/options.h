/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * options.h - how a program is to be run: the options of `evring run`, each of
 * which is also a variable of the environment.
 */
#ifndef EVR_OPTIONS_H
#define EVR_OPTIONS_H

#include <stdbool.h>

enum { EVR_EXIT_REQUIRED = 125 }; /* status, when a ring was required */

enum evr_option_tier { EVR_ANY_TIER, EVR_NO_TIER, EVR_COPIED, EVR_REGION };

struct evr_options {
	enum evr_option_tier tier; /* the highest one to use */
	const char *disable;	   /* of EVRING_DISABLE; NULL: none */
	double collect;		   /* seconds; 0: no collecting */
	double spin;		   /* evring_config.spin */
	double napi;		   /* evring_set_napi(); 0: off */
	bool restricted;	   /* EVRING_RESTRICT of attach */
	bool require; /* end the program rather than leave it on epoll */
	bool stats;
	int stats_signal; /* 0: at exit only */
	bool no_children; /* programs that it executes run unchanged */
	bool quiet;
	bool verbose;
};

/* One of them: --name=value, or VARIABLE=value. */
struct evr_option {
	const char *name;
	const char *variable;
	const char *form; /* of the value, for people; NULL: takes none */
	bool is_optional; /* the value */
	bool (*set)(struct evr_options *options, const char *value);
};

/* Ends with a NULL name. */
extern const struct evr_option evr_options_table[];

/*
 * Set option.  value is kept, not copied.  Returns false when it is not of the
 * option's form; nothing is changed then.
 */
bool evr_options_set(struct evr_options *options,
		     const struct evr_option *option, const char *value);

/*
 * All variables of the environment that begin with EVRING_.  Calls complain
 * (variable, length of its name, NULL or the form that its value must have) for
 * each that is unknown or has a wrong value; these are ignored.
 */
typedef void evr_options_complain(const char *variable, int length,
				  const char *form);
void evr_options_read(struct evr_options *options, char **environment,
		      evr_options_complain *complain);

#endif
