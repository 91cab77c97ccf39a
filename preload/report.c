/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * report.c - the statistics of a program at its end or on a signal.
 *
 * They come from the page (ledger.h), so they can be written from a signal
 * handler, and in the last moment of a process.  A process of which the page is
 * not says nothing: a child of vfork() that failed to execute, say.
 */
#include "config.h"

#include "report.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "ledger.h"
#include "say.h"
#include "terms.h"

static const struct evr_options *options;
static pid_t begun_by;		  /* the process that executed the program */
static _Atomic pid_t reported_by; /* the last one that reported its end */

/*
 * the block
 */

static const char *tier_of(const struct evr_slot *slot)
{
	if (slot->stats.rings_lost || slot->tier == EVRING_TIER_NONE)
		return "none";
	return slot->tier == EVRING_TIER_REGION ? "region" : "copied";
}

static void add_stats(struct evr_text *text, const struct evring_stats *stats)
{
	const uint64_t *counters = (const uint64_t *)stats;
	int i;

	for (i = 0; i < EVR_NR_COUNTERS; i++) {
		evr_text_add(text, " ");
		evr_text_add(text, evr_counter_name(i));
		evr_text_add(text, "=");
		evr_text_add_number(text, counters[i], 10);
	}
	evr_text_add(text, "\n");
}

static void add_slot(struct evr_text *text, const struct evr_slot *slot)
{
	evr_text_add(text, "evring stats: loop 0x");
	evr_text_add_number(text, slot->loop, 16);
	evr_text_add(text, ": tier=");
	evr_text_add(text, tier_of(slot));
	evr_text_add(text, " backend=");
	evr_text_add(text, evr_backend_name(slot->backend));
	add_stats(text, &slot->stats);
	if (text->size > sizeof(text->bytes) / 2)
		evr_text_say(text);
}

static void add_head(struct evr_text *text, const struct evr_page *page)
{
	evr_text_add(text, "evring stats: ");
	evr_text_add(text, program_invocation_short_name);
	evr_text_add(text, "[");
	evr_text_add_number(text, (uint64_t)page->pid, 10);
	evr_text_add(text, "]\n");
}

static void add_ended(struct evr_text *text, const struct evr_page *page)
{
	if (!page->nr_ended)
		return;
	evr_text_add(text, "evring stats: ended: loops=");
	evr_text_add_number(text, page->nr_ended, 10);
	add_stats(text, &page->ended);
}

static bool is_seen(const struct evr_slot *slot)
{
	return slot->state == EVR_SLOT_ATTACHED ||
	       slot->state == EVR_SLOT_REFUSED;
}

static void report(const struct evr_page *page)
{
	struct evr_text text = { .size = 0 };
	int i;

	add_head(&text, page);
	add_ended(&text, page);
	for (i = 0; i < EVR_PAGE_SLOTS; i++)
		if (is_seen(&page->slots[i]))
			add_slot(&text, &page->slots[i]);
	evr_text_add(&text, "evring stats: end\n");
	evr_text_say(&text);
}

/*
 * when
 */

/* Did this process do anything with its loops, or those it inherited? */
static bool has_loops(const struct evr_page *page)
{
	int i;

	if (!page || page->pid != getpid())
		return false;
	for (i = 0; i < EVR_PAGE_SLOTS; i++)
		if (is_seen(&page->slots[i]) && page->slots[i].stats.turns)
			return true;
	return page->nr_made || page->nr_ended;
}

void evr_report_end(void)
{
	const struct evr_page *page = evr_ledger_page();
	pid_t self;

	if (!options || (!options->stats && !options->verbose))
		return;
	self = getpid();
	if (atomic_exchange(&reported_by, self) == self)
		return;
	if (has_loops(page)) {
		if (options->stats)
			report(page);
	} else if (!page && options->verbose && self == begun_by) {
		evr_say("no loop of libev was made");
	}
}

__attribute__((destructor)) static void ended(void)
{
	evr_report_end();
}

static void on_signal(int signum)
{
	const struct evr_page *page = evr_ledger_page();

	(void)signum;
	if (has_loops(page))
		report(page);
}

/* Not in place of what the program, or who started it, wants of the signal. */
static void await_signal(int signum)
{
	struct sigaction action = { .sa_handler = on_signal,
				    .sa_flags = SA_RESTART | SA_ONSTACK };
	struct sigaction old;

	if (sigaction(signum, NULL, &old) == 0 && old.sa_handler == SIG_DFL)
		sigaction(signum, &action, NULL);
}

void evr_report_init(const struct evr_options *wanted)
{
	options = wanted;
	begun_by = getpid();
	at_quick_exit(evr_report_end);
	if (options->stats_signal)
		await_signal(options->stats_signal);
}
