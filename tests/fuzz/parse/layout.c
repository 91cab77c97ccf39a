/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * parse/layout.c - a libev whose private fields are where the input says: what
 * lib/layout.c finds out of it must be right, or be refused.
 *
 * The functions of libev that discovery calls are here, and do no more than it
 * can see.  The first byte fills what is between the fields.  Then three bytes
 * each: which field, and by how much it is moved.  Fields that would overlap,
 * or leave the struct, are not tried: there is no such struct.
 *
 * Behind the struct there is no memory, and what is before it and between its
 * fields must stay as it is.  It is not in the heap: there libFuzzer keeps all
 * values that it has seen compared, and what is found twice is not believed.
 */
#include "config.h"

#include <errno.h>
#include <ev.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <unistd.h>

#include "target.h"

#include "../../../lib/layout.h"

const char fuzz_target[] = "layout";

enum { LOOP_SIZE = 512, NR_ANFDS = 1024 };

enum field {
	IO_BLOCKTIME,
	TIMEOUT_BLOCKTIME,
	BACKEND,
	ACTIVECNT,
	LOOP_DONE,
	BACKEND_FD,
	MINTIME,
	MODIFY,
	POLL,
	ANFDS,
	ANFDMAX,
	RELEASE_CB,
	ACQUIRE_CB,
	NR_FIELDS,
	/* Of an ANFD. */
	EVENTS = NR_FIELDS,
	REIFY,
	EMASK,
	EGEN,
	NR_PLACES
};

/* Offset and size of each; the offsets are those of this input. */
static struct place {
	unsigned at, size;
} places[NR_PLACES];

/* clang-format off */
static const struct place usual[NR_PLACES] = {
	[IO_BLOCKTIME] = { 64, 8 }, [TIMEOUT_BLOCKTIME] = { 72, 8 },
	[BACKEND] = { 80, 4 },      [ACTIVECNT] = { 84, 4 },
	[LOOP_DONE] = { 88, 4 },    [BACKEND_FD] = { 92, 4 },
	[MINTIME] = { 96, 8 },
	[MODIFY] = { 104, sizeof(void *) },
	[POLL] = { 104 + sizeof(void *), sizeof(void *) },
	[ANFDS] = { 104 + 2 * sizeof(void *), sizeof(void *) },
	[ANFDMAX] = { 104 + 3 * sizeof(void *), 4 },
	[RELEASE_CB] = { 256, sizeof(void *) },
	[ACQUIRE_CB] = { 256 + sizeof(void *), sizeof(void *) },
	[EVENTS] = { offsetof(struct evr_anfd, events), 1 },
	[REIFY] = { offsetof(struct evr_anfd, reify), 1 },
	[EMASK] = { offsetof(struct evr_anfd, emask), 1 },
	[EGEN] = { offsetof(struct evr_anfd, egen), sizeof(unsigned) },
};
/* clang-format on */

static unsigned char filling;

static void *place(struct ev_loop *loop, enum field field)
{
	return (char *)loop + places[field].at;
}

static void put(struct ev_loop *loop, enum field field, const void *value)
{
	memcpy(place(loop, field), value, places[field].size);
}

static void get(struct ev_loop *loop, enum field field, void *ret_value)
{
	memcpy(ret_value, place(loop, field), places[field].size);
}

static void put_int(struct ev_loop *loop, enum field field, int value)
{
	put(loop, field, &value);
}

/*
 * the backends
 */

static struct evr_anfd *anfd_of(struct ev_loop *loop, int fd)
{
	struct evr_anfd *anfds;

	get(loop, ANFDS, &anfds);
	return &anfds[fd];
}

static void *place_in(struct evr_anfd *anfd, enum field field)
{
	return (char *)anfd + places[field].at;
}

static unsigned char *byte_in(struct evr_anfd *anfd, enum field field)
{
	return place_in(anfd, field);
}

static void modify_epoll(struct ev_loop *loop, int fd, int oev, int nev)
{
	struct evr_anfd *anfd = anfd_of(loop, fd);
	unsigned generation;

	(void)oev;
	if (!nev)
		return;
	memcpy(&generation, place_in(anfd, EGEN), sizeof(generation));
	generation++;
	memcpy(place_in(anfd, EGEN), &generation, sizeof(generation));
	*byte_in(anfd, EMASK) = (unsigned char)nev;
}

static void poll_epoll(struct ev_loop *loop, double timeout)
{
	(void)loop;
	(void)timeout;
}

static void modify_select(struct ev_loop *loop, int fd, int oev, int nev)
{
	modify_epoll(loop, fd, oev, nev);
}

static void poll_select(struct ev_loop *loop, double timeout)
{
	poll_epoll(loop, timeout);
}

static int epoll_fd(void)
{
	static int fd = -1;

	if (fd < 0)
		fd = epoll_create1(EPOLL_CLOEXEC);
	return fd;
}

/*
 * what is called of libev
 */

static ev_timer *due;
static ev_io *changed;

static size_t page_size(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

/* A page that ends with a loop; the next one is out of bounds. */
static unsigned char *page_of(struct ev_loop *loop)
{
	return (unsigned char *)loop + LOOP_SIZE - page_size();
}

static struct ev_loop *new_page(void)
{
	size_t size = page_size();
	unsigned char *page = mmap(NULL, 2 * size, PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	fuzz_require(page != MAP_FAILED);
	fuzz_require(!mprotect(page + size, size, PROT_NONE));
	memset(page, filling, size);
	return (struct ev_loop *)(page + size - LOOP_SIZE);
}

struct ev_loop *ev_loop_new(unsigned flags)
{
	struct ev_loop *loop = new_page();
	bool is_epoll = flags & EVBACKEND_EPOLL;
	struct evr_anfd *none = NULL;
	void (*modify)(struct ev_loop *, int, int, int) =
		is_epoll ? modify_epoll : modify_select;
	void (*poll)(struct ev_loop *, double) =
		is_epoll ? poll_epoll : poll_select;
	double zero = 0., mintime = is_epoll ? 1e-3 : 1e-6;

	put(loop, IO_BLOCKTIME, &zero);
	put(loop, TIMEOUT_BLOCKTIME, &zero);
	put_int(loop, BACKEND, is_epoll ? EVBACKEND_EPOLL : EVBACKEND_SELECT);
	put_int(loop, ACTIVECNT, 0);
	put_int(loop, LOOP_DONE, 0);
	put_int(loop, BACKEND_FD, is_epoll ? epoll_fd() : -1);
	put(loop, MINTIME, &mintime);
	put(loop, MODIFY, &modify);
	put(loop, POLL, &poll);
	put(loop, ANFDS, &none);
	put_int(loop, ANFDMAX, 0);
	ev_set_loop_release_cb(loop, NULL, NULL);
	return loop;
}

/* Is this byte in a field?  From the loop on; before it is none. */
static bool is_in_field(size_t at)
{
	int i;

	for (i = 0; i < NR_FIELDS; i++)
		if (at - places[i].at < places[i].size)
			return true;
	return false;
}

void ev_loop_destroy(struct ev_loop *loop)
{
	unsigned char *page = page_of(loop);
	size_t size = page_size(), begin = size - LOOP_SIZE, i;

	for (i = 0; i < size; i++)
		fuzz_require(page[i] == filling || is_in_field(i - begin));
	munmap(page, 2 * size);
	due = NULL;
	changed = NULL;
}

/* Its address is taken, no more. */
struct ev_loop *ev_default_loop_ptr;

struct ev_loop *ev_default_loop(unsigned flags)
{
	(void)flags;
	return ev_default_loop_ptr;
}

void ev_set_io_collect_interval(struct ev_loop *loop, ev_tstamp interval)
{
	put(loop, IO_BLOCKTIME, &interval);
}

void ev_set_timeout_collect_interval(struct ev_loop *loop, ev_tstamp interval)
{
	put(loop, TIMEOUT_BLOCKTIME, &interval);
}

void ev_set_loop_release_cb(struct ev_loop *loop,
			    void (*release)(struct ev_loop *loop),
			    void (*acquire)(struct ev_loop *loop))
{
	put(loop, RELEASE_CB, &release);
	put(loop, ACQUIRE_CB, &acquire);
}

static void count(struct ev_loop *loop, int by)
{
	int nr;

	get(loop, ACTIVECNT, &nr);
	put_int(loop, ACTIVECNT, nr + by);
}

void ev_ref(struct ev_loop *loop)
{
	count(loop, 1);
}

void ev_unref(struct ev_loop *loop)
{
	count(loop, -1);
}

static void change(struct ev_loop *loop, ev_io *w)
{
	*byte_in(anfd_of(loop, w->fd), REIFY) = 1;
	changed = w;
}

/* With the first watcher, as libev does. */
static void make_anfds(struct ev_loop *loop)
{
	static struct evr_anfd anfds[NR_ANFDS];
	struct evr_anfd *first = anfds;
	int nr;

	get(loop, ANFDMAX, &nr);
	if (nr)
		return;
	memset(anfds, 0, sizeof(anfds));
	put(loop, ANFDS, &first);
	put_int(loop, ANFDMAX, NR_ANFDS);
}

void ev_io_start(struct ev_loop *loop, ev_io *w)
{
	make_anfds(loop);
	w->active = 1;
	memcpy(anfd_of(loop, w->fd), &w, sizeof(w));
	change(loop, w);
}

void ev_io_stop(struct ev_loop *loop, ev_io *w)
{
	static ev_io *const nobody;

	w->active = 0;
	memcpy(anfd_of(loop, w->fd), &nobody, sizeof(nobody));
	change(loop, w);
}

void ev_timer_start(struct ev_loop *loop, ev_timer *w)
{
	(void)loop;
	due = w;
}

void ev_timer_stop(struct ev_loop *loop, ev_timer *w)
{
	(void)loop;
	(void)w;
	due = NULL;
}

void ev_now_update(struct ev_loop *loop)
{
	(void)loop;
}

static void make_change(struct ev_loop *loop)
{
	struct evr_anfd *anfd = anfd_of(loop, changed->fd);
	unsigned char *events = byte_in(anfd, EVENTS), old = *events;
	void (*modify)(struct ev_loop *, int, int, int);

	*events = changed->active ? (unsigned char)(changed->events & 3) : 0;
	*byte_in(anfd, REIFY) = 0;
	get(loop, MODIFY, &modify);
	modify(loop, changed->fd, old, *events);
	changed = NULL;
}

int ev_run(struct ev_loop *loop, int flags)
{
	void (*poll)(struct ev_loop *, double);
	double timeout = 0., mintime;

	if (changed)
		make_change(loop);
	get(loop, MINTIME, &mintime);
	if (!(flags & EVRUN_NOWAIT) && due)
		timeout = due->at > mintime ? due->at : mintime;
	get(loop, POLL, &poll);
	poll(loop, timeout);
	return 0;
}

/* Those that are only named in a layout. */
void ev_feed_fd_event(struct ev_loop *loop, int fd, int revents)
{
	(void)loop;
	(void)fd;
	(void)revents;
}

void ev_feed_event(struct ev_loop *loop, void *w, int revents)
{
	(void)loop;
	(void)w;
	(void)revents;
}

int ev_clear_pending(struct ev_loop *loop, void *w)
{
	(void)loop;
	(void)w;
	return 0;
}

void ev_cleanup_start(struct ev_loop *loop, ev_cleanup *w)
{
	(void)loop;
	(void)w;
}

void ev_cleanup_stop(struct ev_loop *loop, ev_cleanup *w)
{
	(void)loop;
	(void)w;
}

/*
 * the target
 */

static bool overlap(const struct place *a, const struct place *b)
{
	return a->at < b->at + b->size && b->at < a->at + a->size;
}

/* Is there such a struct, from first to end, of size bytes? */
static bool is_possible(int first, int end, unsigned begin, unsigned size)
{
	int i, j;

	for (i = first; i < end; i++) {
		if (places[i].at < begin || places[i].at > size ||
		    places[i].size > size - places[i].at)
			return false;
		for (j = first; j < i; j++)
			if (overlap(&places[i], &places[j]))
				return false;
	}
	return true;
}

static void move(const uint8_t *data, size_t size)
{
	struct place *moved;
	size_t i;

	memcpy(places, usual, sizeof(places));
	for (i = 0; i + 3 <= size; i += 3) {
		moved = &places[data[i] % NR_PLACES];
		moved->at = (unsigned)(data[i + 1] << 8 | data[i + 2]) /
			    moved->size * moved->size;
		if (data[i] % NR_PLACES < NR_FIELDS)
			moved->at %= LOOP_SIZE;
		else
			moved->at %= sizeof(struct evr_anfd);
	}
}

static void check_found(const struct evring_layout *found)
{
	fuzz_require(found->backend_fd == places[BACKEND_FD].at);
	fuzz_require(found->mintime == places[MINTIME].at);
	fuzz_require(found->modify == places[MODIFY].at);
	fuzz_require(found->poll == places[POLL].at);
	fuzz_require(found->anfds == places[ANFDS].at);
	fuzz_require(found->anfdmax == places[ANFDMAX].at);
	fuzz_require(found->release_cb == places[RELEASE_CB].at);
	fuzz_require(found->acquire_cb == places[ACQUIRE_CB].at);
	fuzz_require(found->epoll_modify == modify_epoll);
	fuzz_require(found->epoll_poll == poll_epoll);
	fuzz_require(!memcmp(&places[EVENTS], &usual[EVENTS],
			     (NR_PLACES - EVENTS) * sizeof(places[0])));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct evring_layout found;
	int r;

	filling = size ? data[0] : 0;
	move(data + 1, size ? size - 1 : 0);
	if (!is_possible(0, NR_FIELDS, 0, LOOP_SIZE) ||
	    !is_possible(EVENTS, NR_PLACES, sizeof(void *),
			 sizeof(struct evr_anfd)))
		return 0;
	r = evr_layout_discover(NULL, &found, NULL);
	fuzz_require(r >= 0 || r == -ENOTSUP);
	if (r >= 0)
		check_found(&found);
	else
		fuzz_require(memcmp(places, usual, sizeof(places)));
	return 0;
}
