/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * process.c - the loops of a process under `evring run', from the page that it
 * shows (preload/page.h).
 *
 * The page is memory of another process, which may be hostile, and goes on
 * changing.  So it is never mapped: a memfd that is truncated would end who
 * looks (SIGBUS).  It is read into a copy, and the copy is checked:
 *
 * (1) What is not a page of this version, of this size and of this process is
 *     refused with a reason.
 * (2) No number in it is an index or a size.
 * (3) A slot is shown if two copies, one after the other, agree on whose it is.
 *
 * A process has the memfd open; one that closed all its fds (a daemon, some
 * do) still maps it, and root can reach it by /proc/PID/map_files.
 */
#include "config.h"

#include "process.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "output.h"
#include "page.h"
#include "terms.h"

enum { MAX_COPIES = 5, MAX_PIDS = 32 };

struct process {
	pid_t pid;
	char name[64];
	struct evr_page *page;
	const char *refusal; /* why there is no page */
};

static uint64_t count_of(const struct evring_stats *stats, int i)
{
	uint64_t value;

	memcpy(&value, (const uint64_t *)stats + i, sizeof(value));
	return value;
}

/*
 * finding the page
 */

static const char no_permission[] =
	"no permission to look into it: be the user that it runs as, or root "
	"(only root, if it changed its user)";
static const char no_page[] =
	"it is not under evring run, or has made no loop of libev yet";
static const char closed_page[] =
	"it has closed the file that shows its loops: root can still read it";

/* Does this link name the page?  Then open it. */
static int open_link(const char *path)
{
	char link[sizeof(EVR_PAGE_LINK) + 1];
	ssize_t size = readlink(path, link, sizeof(link));

	if (size < 0)
		return -errno;
	if ((size_t)size != strlen(EVR_PAGE_LINK) ||
	    memcmp(link, EVR_PAGE_LINK, (size_t)size))
		return -ENOENT;
	size = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	return size < 0 ? -errno : (int)size;
}

/*
 * Calls use (arg, fd) for each page in a folder of links, until it returns
 * true; says whether it did.  *ret_error: what kept from looking, positive.
 */
static bool search_links(const char *folder, int *ret_error,
			 bool (*use)(struct process *p, int fd),
			 struct process *p)
{
	DIR *dir = opendir(folder);
	struct dirent *entry;
	char path[PATH_MAX];
	bool found = false;
	int fd;

	*ret_error = dir ? 0 : errno;
	while (dir && !found && (entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
		fd = open_link(path);
		if (fd == -EPERM || fd == -EACCES)
			*ret_error = -fd;
		if (fd < 0)
			continue;
		found = use(p, fd);
		close(fd);
	}
	if (dir)
		closedir(dir);
	return found;
}

/* Does the process map a page?  Its own user may ask that. */
static bool maps_page(pid_t pid)
{
	char path[64], line[PATH_MAX + 128];
	bool found = false;
	FILE *maps;

	snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
	maps = fopen(path, "re");
	while (maps && !found && fgets(line, sizeof(line), maps))
		found = strstr(line, EVR_PAGE_LINK) != NULL;
	if (maps)
		fclose(maps);
	return found;
}

/*
 * reading it
 */

/* All of the page, or a reason. */
static const char *read_copy(int fd, struct evr_page *page)
{
	size_t done = 0;
	ssize_t n;

	while (done < sizeof(*page)) {
		n = pread(fd, (char *)page + done, sizeof(*page) - done,
			  (off_t)done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return "the file that shows its loops cannot be read";
		if (!n)
			return "the file that shows its loops is too short";
		done += (size_t)n;
	}
	return NULL;
}

static const char *check_head(const struct evr_page *page)
{
	if (!page->magic)
		return "its page is not filled in yet: try again";
	if (page->magic != EVR_PAGE_MAGIC)
		return "what shows its loops is no page of evring's";
	if (strncmp(page->version, evring_version(), sizeof(page->version)))
		return "it runs with another version of evring: use that "
		       "version's evring info";
	if (page->size != sizeof(*page) || page->nr_slots != EVR_PAGE_SLOTS)
		return "its page has another size than evring's";
	return NULL;
}

/* The numbers of the process, outside and inside of its containers. */
static int read_pids(pid_t pid, long pids[MAX_PIDS])
{
	char path[64], line[1024], *at, *end;
	FILE *file;
	int n = 0;

	pids[n++] = pid;
	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file)) {
		if (strncmp(line, "NSpid:", 6))
			continue;
		for (at = line + 6; n < MAX_PIDS; at = end) {
			pids[n] = strtol(at, &end, 10);
			if (end == at)
				break;
			n++;
		}
	}
	if (file)
		fclose(file);
	return n;
}

/* A forked child has its parent's fd until it makes a loop. */
static bool is_about(const struct evr_page *page, pid_t pid)
{
	long pids[MAX_PIDS];
	int i, n = read_pids(pid, pids);

	for (i = 0; i < n; i++)
		if (pids[i] == page->pid)
			return true;
	return false;
}

static bool same_slots(const struct evr_page *a, const struct evr_page *b)
{
	int i;

	for (i = 0; i < EVR_PAGE_SLOTS; i++)
		if (a->slots[i].state != b->slots[i].state ||
		    a->slots[i].loop != b->slots[i].loop)
			return false;
	return true;
}

/* Of what two copies do not agree on, nothing is shown. */
static void drop_unsettled(struct evr_page *page, const struct evr_page *before)
{
	int i;

	for (i = 0; i < EVR_PAGE_SLOTS; i++)
		if (page->slots[i].state != before->slots[i].state ||
		    page->slots[i].loop != before->slots[i].loop)
			page->slots[i].state = EVR_SLOT_FREE;
}

static const char *read_page(int fd, struct evr_page *page,
			     struct evr_page *before)
{
	const char *refusal;
	int i;

	refusal = read_copy(fd, page);
	if (!refusal)
		refusal = check_head(page);
	for (i = 0; i < MAX_COPIES && !refusal; i++) {
		memcpy(before, page, sizeof(*page));
		refusal = read_copy(fd, page);
		if (!refusal)
			refusal = check_head(page);
		if (same_slots(before, page))
			break;
	}
	if (!refusal)
		drop_unsettled(page, before);
	return refusal;
}

/* A regular file; not so large a one that reading it would take long. */
static bool use_page(struct process *p, int fd)
{
	struct evr_page *before = malloc(sizeof(*before));
	struct stat st;

	if (!before) {
		p->refusal = "no memory";
		return false;
	}
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		p->refusal = "what shows its loops is no page of evring's";
	else
		p->refusal = read_page(fd, p->page, before);
	if (!p->refusal && !is_about(p->page, p->pid))
		p->refusal = "it was forked by a process under evring run, and "
			     "has made no loop itself yet";
	free(before);
	return !p->refusal;
}

/* Why no page was found, with what looking for it said. */
static const char *explain_absence(pid_t pid, int error)
{
	switch (error) {
	case 0:
		return maps_page(pid) ? closed_page : no_page;
	case ENOENT:
	case ESRCH:
		return "there is no such process";
	case EACCES:
	case EPERM:
		return no_permission;
	default:
		return strerror(error);
	}
}

/* False, with p->refusal, if there is nothing to show. */
static bool find_page(struct process *p)
{
	char folder[64];
	int error, ignored;

	snprintf(folder, sizeof(folder), "/proc/%d/fd", (int)p->pid);
	if (search_links(folder, &error, use_page, p))
		return true;
	if (p->refusal)
		return false;
	snprintf(folder, sizeof(folder), "/proc/%d/map_files", (int)p->pid);
	if (!error && search_links(folder, &ignored, use_page, p))
		return true;
	if (!p->refusal)
		p->refusal = explain_absence(p->pid, error);
	return false;
}

static void read_name(struct process *p)
{
	char path[64];
	ssize_t n = -1;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/comm", (int)p->pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		n = read(fd, p->name, sizeof(p->name) - 1);
		close(fd);
	}
	if (n < 0)
		n = 0;
	if (n > 0 && p->name[n - 1] == '\n')
		n--;
	p->name[n] = '\0';
}

/*
 * showing it
 */

static bool is_attached(const struct evr_slot *slot)
{
	return slot->state == EVR_SLOT_ATTACHED && !slot->stats.rings_lost &&
	       (slot->tier == EVRING_TIER_COPIED ||
		slot->tier == EVRING_TIER_REGION);
}

static bool is_shown(const struct evr_slot *slot)
{
	return slot->state == EVR_SLOT_ATTACHED ||
	       slot->state == EVR_SLOT_REFUSED;
}

static int nr_attached(const struct evr_page *page)
{
	int i, n = 0;

	for (i = 0; i < EVR_PAGE_SLOTS; i++)
		n += is_attached(&page->slots[i]);
	return n;
}

/* Why this loop has no ring; empty if it has one. */
static void explain_slot(const struct evr_slot *slot, char *why, size_t size)
{
	why[0] = '\0';
	if (is_attached(slot))
		return;
	if (slot->state == EVR_SLOT_ATTACHED)
		snprintf(why, size, "it went back to libev's backend");
	else if (slot->backend != 4 /* EVBACKEND_EPOLL */)
		snprintf(why, size,
			 "it is on %s, and evring takes over loops on epoll",
			 evr_backend_name(slot->backend));
	else if (slot->error == -ENOTSUP)
		snprintf(why, size,
			 "it is on epoll, but: --tier=none, or libevring was "
			 "not found, or the layout of this libev could not be "
			 "proven; evring run --verbose says which");
	else
		snprintf(why, size, "%s", evring_strerror(slot->error));
}

static const char *tier_of(const struct evr_slot *slot)
{
	return evring_tier_name(is_attached(slot) ? slot->tier
						  : EVRING_TIER_NONE);
}

static void print_counters(const struct evring_stats *stats)
{
	int i;

	for (i = 0; i < EVR_NR_COUNTERS; i++)
		printf("  %-18s %" PRIu64 "\n", evr_counter_name(i),
		       count_of(stats, i));
}

static void print_slot(const struct evr_slot *slot)
{
	char why[256];

	explain_slot(slot, why, sizeof(why));
	printf("\nloop %#" PRIx64 "%s: tier %s\n", slot->loop,
	       slot->is_default ? ", default" : "", tier_of(slot));
	if (why[0]) {
		fputs("  ", stdout);
		text_wrap(stdout, 2, why);
	}
	if (slot->state == EVR_SLOT_ATTACHED)
		print_counters(&slot->stats);
}

static void print_process(const struct process *p)
{
	const struct evr_page *page = p->page;
	int i;

	printf("process  %d ", (int)p->pid);
	text_foreign(stdout, p->name);
	printf("\nevring   %s\n", evring_version());
	printf("loops    %" PRIu64 " made, %" PRIu64 " destroyed, %" PRIu64
	       " not shown\n",
	       page->nr_made, page->nr_ended, page->nr_unseen);
	for (i = 0; i < EVR_PAGE_SLOTS; i++)
		if (is_shown(&page->slots[i]))
			print_slot(&page->slots[i]);
	if (page->nr_ended) {
		printf("\nloops that were destroyed, all together\n");
		print_counters(&page->ended);
	}
	printf("\nattached: %d\n", nr_attached(page));
}

static void json_counters(struct json *j, const char *name,
			  const struct evring_stats *stats)
{
	int i;

	json_open(j, name, '{');
	for (i = 0; i < EVR_NR_COUNTERS; i++)
		json_uint(j, evr_counter_name(i), count_of(stats, i));
	json_close(j, '}');
}

static void json_slot(struct json *j, const struct evr_slot *slot)
{
	char why[256], loop[32];

	explain_slot(slot, why, sizeof(why));
	snprintf(loop, sizeof(loop), "%#" PRIx64, slot->loop);
	json_open(j, NULL, '{');
	json_string(j, "loop", loop);
	json_bool(j, "default", slot->is_default);
	json_string(j, "backend", evr_backend_name(slot->backend));
	json_string(j, "tier", tier_of(slot));
	json_string(j, "why", why);
	if (slot->state == EVR_SLOT_ATTACHED)
		json_counters(j, "stats", &slot->stats);
	else
		json_null(j, "stats");
	json_close(j, '}');
}

static void print_json(const struct process *p)
{
	const struct evr_page *page = p->page;
	struct json j = { .out = stdout };
	int i;

	json_open(&j, NULL, '{');
	json_int(&j, "pid", p->pid);
	json_string(&j, "name", p->name);
	json_string(&j, "evring", evring_version());
	json_uint(&j, "made", page->nr_made);
	json_uint(&j, "destroyed", page->nr_ended);
	json_uint(&j, "not_shown", page->nr_unseen);
	json_open(&j, "loops", '[');
	for (i = 0; i < EVR_PAGE_SLOTS; i++)
		if (is_shown(&page->slots[i]))
			json_slot(&j, &page->slots[i]);
	json_close(&j, ']');
	json_counters(&j, "destroyed_stats", &page->ended);
	json_int(&j, "attached", nr_attached(page));
	json_close(&j, '}');
}

static int show(const struct process *p, bool json, bool quiet)
{
	if (json)
		print_json(p);
	else if (!quiet)
		print_process(p);
	if (!output_is_written())
		return STATUS_UNREADABLE;
	return nr_attached(p->page) ? STATUS_YES : STATUS_NO;
}

int process_report(pid_t pid, bool json, bool quiet)
{
	struct process p = { .pid = pid };
	int status = STATUS_UNREADABLE;

	p.page = malloc(sizeof(*p.page));
	if (!p.page)
		p.refusal = "no memory";
	if (p.page && find_page(&p)) {
		read_name(&p);
		status = show(&p, json, quiet);
	} else if (!quiet) {
		fprintf(stderr, "evring info: process %d: %s\n", (int)pid,
			p.refusal);
	}
	free(p.page);
	return status;
}
