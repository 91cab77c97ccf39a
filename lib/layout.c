/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * layout.c - where libev's private fields are: discovery, and the list of
 * layouts that programs bring along.
 *
 * libev has no interface for a foreign backend, so the fields that make one are
 * found out: loops made for the purpose are changed through public calls, and
 * what changes in their memory tells the offsets.  Every finding must be the
 * only one possible, and the function pointers are proven by use: a loop in
 * which they are replaced must call the replacements, with the arguments that
 * the manual lets one expect.  Each such step is a proof with a name; the first
 * that fails ends the discovery with -ENOTSUP.
 *
 * What to know:
 *
 * a) Memory is read through the kernel (process_vm_readv, or a pipe where that
 *    is forbidden), so that a wrong guess cannot fault.
 * b) Writing starts only when all that can be shown by reading is shown, and
 *    only into loops made here.
 * c) The images must not lie in the heap: beside a loop they would be part of
 *    the next image, and every value would be found twice.
 * d) libev initialises a few globals with its first loop; making loops is
 *    otherwise without side effects: no signals, no pipe, no thread.
 *
 * Invariants:
 *
 * (1) Nothing here writes to a loop of the user.
 * (2) A layout in the list or in known is never changed or freed: loops point
 *     to it.
 */
#include "config.h"

#include "layout.h"

#include <assert.h>
#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

static_assert(sizeof(ev_tstamp) == sizeof(double), "ev_tstamp is a double");
static_assert(EV_READ == 1 && EV_WRITE == 2, "the event bits of libev 4");

/*
 * peek
 */

static int peek_through_pipe(const void *from, void *to, size_t size)
{
	int fds[2];
	ssize_t n;

	assert(size <= PIPE_BUF);
	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	n = write(fds[1], from, size);
	if (n > 0)
		n = read(fds[0], to, (size_t)n);
	if (n < 0)
		n = -errno;
	close(fds[0]);
	close(fds[1]);
	return (int)n;
}

static int peek_memory(const void *from, void *to, size_t size)
{
	struct iovec local = { .iov_base = to, .iov_len = size };
	struct iovec remote = { .iov_base = (void *)(uintptr_t)from,
				.iov_len = size };
	ssize_t n = process_vm_readv(getpid(), &local, 1, &remote, 1, 0);

	if (n >= 0)
		return (int)n;
	if (errno == EFAULT)
		return -EFAULT;
	return peek_through_pipe(from, to, size);
}

/*
 * layouts that programs bring along
 */

/* Newest first. */
struct embedded {
	struct evring_layout layout;
	struct embedded *next;
};

static struct embedded *_Atomic embedded;

static bool layout_fits(const struct evring_layout *l)
{
	return l->anfd_size == sizeof(struct evr_anfd) &&
	       l->anfd_events == offsetof(struct evr_anfd, events) &&
	       l->anfd_reify == offsetof(struct evr_anfd, reify) &&
	       l->anfd_emask == offsetof(struct evr_anfd, emask) &&
	       l->anfd_egen == offsetof(struct evr_anfd, egen) &&
	       l->cleanup_size == sizeof(ev_cleanup);
}

int evr_layout_add(const struct evring_layout *layout)
{
	struct embedded *node;

	if (!layout || layout->size != sizeof(*layout))
		return -EINVAL;
	if (!layout_fits(layout))
		return -ENOTSUP;
	node = malloc(sizeof(*node));
	if (!node)
		return -ENOMEM;
	node->layout = *layout;
	node->next = atomic_load(&embedded);
	while (!atomic_compare_exchange_weak(&embedded, &node->next, node))
		;
	return 0;
}

#ifdef EVR_EMBEDDED_ONLY
const struct evring_layout *evr_layout_own(void)
{
	const struct embedded *newest = atomic_load(&embedded);

	return newest ? &newest->layout : NULL;
}

int evr_layout_discover(evr_peek *peek, struct evring_layout *ret_layout,
			struct evr_proof proofs[EVR_MAX_PROOFS])
{
	(void)peek;
	(void)ret_layout;
	(void)proofs;
	return -ENOTSUP;
}
#else

/*
 * discovery
 */

enum {
	IMAGE_SIZE = 2048, /* struct ev_loop of 4.33 has less than half of it */
	STEP = sizeof(int) /* fields are at multiples of this */
};

/* A loop made for probing, and its memory as it was last read. */
struct scratch {
	struct ev_loop *loop;
	unsigned size; /* bytes of image that could be read */
	unsigned char image[IMAGE_SIZE];
};

struct discovery {
	evr_peek *peek;
	struct scratch epoll;
	struct scratch select;
	int pipe[2];
	struct evring_layout layout;
	unsigned io_blocktime;
	unsigned backend;
};

/* What the functions put into a scratch loop were called with. */
static _Thread_local struct {
	unsigned nr_modify, nr_poll;
	struct ev_loop *loop;
	int fd, oev, nev;
	double timeout;
	evr_backend_modify *modify;
	evr_backend_poll *poll;
} calls;

static void take_image(struct discovery *d, struct scratch *s)
{
	int n = d->peek(s->loop, s->image, IMAGE_SIZE);

	/* near the end of the heap: what is left of the page is enough */
	if (n < 0)
		n = d->peek(s->loop, s->image,
			    4096 - ((uintptr_t)s->loop & 4095));
	s->size = n < 0 ? 0 : (unsigned)n;
}

/* The bytes at offset of the last image; size 0 where there are none. */
static bool image_has(const struct scratch *s, unsigned offset,
		      const void *value, size_t size)
{
	return offset + size <= s->size &&
	       !memcmp(s->image + offset, value, size);
}

static int image_int(const struct scratch *s, unsigned offset)
{
	int value = INT_MIN;

	if (offset + sizeof(value) <= s->size)
		memcpy(&value, s->image + offset, sizeof(value));
	return value;
}

static void *image_ptr(const struct scratch *s, unsigned offset)
{
	void *value = NULL;

	if (offset + sizeof(value) <= s->size)
		memcpy(&value, s->image + offset, sizeof(value));
	return value;
}

/* The only place in image where value is.  False if there is none or two. */
static bool find_only(const struct scratch *s, const void *value, size_t size,
		      unsigned *ret_offset)
{
	unsigned offset, nr_found = 0;

	for (offset = 0; offset + size <= s->size; offset += STEP)
		if (image_has(s, offset, value, size)) {
			*ret_offset = offset;
			nr_found++;
		}
	return nr_found == 1;
}

/* Values no clock or counter of libev has. */
static bool find_interval(struct discovery *d,
			  void (*set)(struct ev_loop *, ev_tstamp),
			  unsigned *ret_offset)
{
	static const double odd[] = { 0x1.23456789abcdp-20,
				      0x1.fedcba987654p-21, 0.0 };
	unsigned offset = 0, again = 0;
	bool ok;

	set(d->epoll.loop, odd[0]);
	take_image(d, &d->epoll);
	ok = find_only(&d->epoll, &odd[0], sizeof(odd[0]), &offset);
	set(d->epoll.loop, odd[1]);
	take_image(d, &d->epoll);
	ok = ok && find_only(&d->epoll, &odd[1], sizeof(odd[1]), &again);
	set(d->epoll.loop, odd[2]);
	take_image(d, &d->epoll);
	*ret_offset = offset;
	return ok && offset == again;
}

static bool prove_io_interval(struct discovery *d)
{
	return find_interval(d, ev_set_io_collect_interval, &d->io_blocktime);
}

static bool prove_timeout_interval(struct discovery *d)
{
	unsigned offset;

	return find_interval(d, ev_set_timeout_collect_interval, &offset) &&
	       offset == d->io_blocktime + sizeof(double);
}

static bool prove_backend(struct discovery *d)
{
	d->backend = d->io_blocktime + 2 * sizeof(double);
	take_image(d, &d->select);
	return image_int(&d->epoll, d->backend) == EVBACKEND_EPOLL &&
	       image_int(&d->select, d->backend) == EVBACKEND_SELECT;
}

static bool prove_activecnt(struct discovery *d)
{
	unsigned offset = d->backend + sizeof(int);
	int before = image_int(&d->epoll, offset), more;

	ev_ref(d->epoll.loop);
	take_image(d, &d->epoll);
	more = image_int(&d->epoll, offset);
	ev_unref(d->epoll.loop);
	take_image(d, &d->epoll);
	return more == before + 1 && image_int(&d->epoll, offset) == before;
}

/* After activecnt comes loop_done, then the fd that select does not have. */
static bool prove_backend_fd(struct discovery *d)
{
	struct epoll_event event;
	int fd;

	d->layout.backend_fd = d->backend + 3 * (unsigned)sizeof(int);
	fd = image_int(&d->epoll, d->layout.backend_fd);
	return fd >= 0 && epoll_wait(fd, &event, 1, 0) == 0 &&
	       image_int(&d->select, d->layout.backend_fd) == -1;
}

static unsigned align_up(unsigned offset, unsigned size)
{
	return (offset + size - 1) / size * size;
}

static bool prove_mintime(struct discovery *d)
{
	static const double epoll = 1e-3, select = 1e-6;

	/* a double after an int: alignment differs on 32 bits */
	d->layout.mintime = align_up(
		d->layout.backend_fd + (unsigned)sizeof(int), _Alignof(double));
	if (!image_has(&d->epoll, d->layout.mintime, &epoll, sizeof(epoll)))
		d->layout.mintime = d->layout.backend_fd + sizeof(int);
	return image_has(&d->epoll, d->layout.mintime, &epoll, sizeof(epoll)) &&
	       image_has(&d->select, d->layout.mintime, &select,
			 sizeof(select));
}

static void release_mark(struct ev_loop *loop)
{
	(void)loop;
}

static void acquire_mark(struct ev_loop *loop)
{
	(void)loop;
}

static bool prove_release_cb(struct discovery *d)
{
	void (*release)(struct ev_loop *) = release_mark;
	void (*acquire)(struct ev_loop *) = acquire_mark;
	struct ev_loop *loop = d->epoll.loop;
	bool ok;

	ev_set_loop_release_cb(loop, release, acquire);
	take_image(d, &d->epoll);
	ok = find_only(&d->epoll, &release, sizeof(release),
		       &d->layout.release_cb) &&
	     find_only(&d->epoll, &acquire, sizeof(acquire),
		       &d->layout.acquire_cb);
	ev_set_loop_release_cb(loop, NULL, NULL);
	take_image(d, &d->epoll);
	return ok && !image_ptr(&d->epoll, d->layout.release_cb) &&
	       !image_ptr(&d->epoll, d->layout.acquire_cb);
}

/* Two pointers into the same code, others for select. */
static bool prove_functions(struct discovery *d)
{
	void *modify, *poll;
	unsigned char code;

	d->layout.modify = d->layout.mintime + sizeof(double);
	d->layout.poll = d->layout.modify + sizeof(void *);
	modify = image_ptr(&d->epoll, d->layout.modify);
	poll = image_ptr(&d->epoll, d->layout.poll);
	memcpy(&d->layout.epoll_modify, &modify, sizeof(modify));
	memcpy(&d->layout.epoll_poll, &poll, sizeof(poll));
	return modify != poll && d->peek(modify, &code, 1) == 1 &&
	       d->peek(poll, &code, 1) == 1 &&
	       image_ptr(&d->select, d->layout.modify) != modify &&
	       image_ptr(&d->select, d->layout.poll) != poll;
}

static void ignore_io(struct ev_loop *loop, ev_io *w, int revents)
{
	(void)loop;
	(void)w;
	(void)revents;
}

static bool peek_anfd(struct discovery *d, int fd, struct evr_anfd *ret_anfd)
{
	uintptr_t anfd;

	take_image(d, &d->epoll);
	/* it may be anything, so no arithmetic on a pointer */
	anfd = (uintptr_t)image_ptr(&d->epoll, d->layout.anfds) +
	       (uintptr_t)fd * sizeof(*ret_anfd);
	return d->peek((void *)anfd, ret_anfd, sizeof(*ret_anfd)) ==
	       (int)sizeof(*ret_anfd);
}

/*
 * The array by fd, which a loop without watchers does not have: a started
 * watcher is the head of its fd, which is marked as changed; when the loop ran
 * the mark is gone, its events and the epoll mask are there, and the generation
 * went up by one; and by one again for a change.  When it is stopped the events
 * go and the mask, what the set has, stays.
 */
static bool prove_anfds(struct discovery *d)
{
	struct ev_loop *loop = d->epoll.loop;
	struct evr_anfd marked = { 0 }, watched = { 0 }, changed = { 0 };
	struct evr_anfd stopped = { 0 };
	int fd = d->pipe[0];
	bool ok;
	ev_io w;

	d->layout.anfds = d->layout.poll + sizeof(void *);
	d->layout.anfdmax = d->layout.anfds + sizeof(void *);
	ok = !image_ptr(&d->epoll, d->layout.anfds) &&
	     !image_int(&d->epoll, d->layout.anfdmax);
	ev_io_init(&w, ignore_io, fd, EV_READ);
	ev_io_start(loop, &w);
	ok = ok && peek_anfd(d, fd, &marked);
	ok = ok && image_int(&d->epoll, d->layout.anfdmax) > fd;
	ev_run(loop, EVRUN_NOWAIT);
	ok = ok && peek_anfd(d, fd, &watched);
	ev_io_stop(loop, &w);
	ev_io_set(&w, fd, EV_WRITE);
	ev_io_start(loop, &w);
	ev_run(loop, EVRUN_NOWAIT);
	ok = ok && peek_anfd(d, fd, &changed);
	ev_io_stop(loop, &w);
	ev_run(loop, EVRUN_NOWAIT);
	ok = ok && peek_anfd(d, fd, &stopped);
	return ok && marked.head == &w && !marked.events && marked.reify &&
	       !marked.emask && watched.head == &w &&
	       watched.events == EV_READ && !watched.reify &&
	       watched.emask == EV_READ && watched.egen == marked.egen + 1 &&
	       changed.head == &w && changed.events == EV_WRITE &&
	       changed.emask == EV_WRITE && changed.egen == watched.egen + 1 &&
	       !stopped.head && !stopped.events && stopped.emask == EV_WRITE;
}

static void modify_mark(struct ev_loop *loop, int fd, int oev, int nev)
{
	calls.nr_modify++;
	calls.loop = loop;
	calls.fd = fd;
	calls.oev = oev;
	calls.nev = nev;
	calls.modify(loop, fd, oev, nev);
}

static void poll_mark(struct ev_loop *loop, double timeout)
{
	calls.nr_poll++;
	calls.loop = loop;
	calls.timeout = timeout;
	calls.poll(loop, 0.);
}

static bool was_modified(struct discovery *d, int oev, int nev)
{
	ev_run(d->epoll.loop, EVRUN_NOWAIT);
	return calls.nr_modify == 1 && calls.nr_poll == 1 &&
	       calls.loop == d->epoll.loop && calls.fd == d->pipe[0] &&
	       calls.oev == oev && calls.nev == nev && calls.timeout == 0.;
}

/* Started, changed and stopped, the watcher reaches the replaced functions. */
static bool see_modify_calls(struct discovery *d)
{
	struct ev_loop *loop = d->epoll.loop;
	bool ok;
	ev_io w;

	ev_io_init(&w, ignore_io, d->pipe[0], EV_READ);
	ev_io_start(loop, &w);
	ok = was_modified(d, 0, EV_READ);
	calls.nr_modify = calls.nr_poll = 0;
	ev_io_stop(loop, &w);
	ev_io_set(&w, d->pipe[0], EV_READ | EV_WRITE);
	ev_io_start(loop, &w);
	ok = was_modified(d, EV_READ, EV_READ | EV_WRITE) && ok;
	calls.nr_modify = calls.nr_poll = 0;
	ev_io_stop(loop, &w);
	return was_modified(d, EV_READ | EV_WRITE, 0) && ok;
}

static void ignore_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)loop;
	(void)w;
	(void)revents;
}

/* The timeout that poll gets for a timer of 200 us: mintime, if longer. */
static double timeout_for_timer(struct ev_loop *loop)
{
	ev_timer w;

	ev_now_update(loop);
	ev_timer_init(&w, ignore_timer, 200e-6, 0.);
	ev_timer_start(loop, &w);
	ev_run(loop, EVRUN_ONCE);
	ev_timer_stop(loop, &w);
	return calls.timeout;
}

/*
 * libev rounds a wait for a near timer up to mintime: with its own value, and
 * no longer with ours.  A machine that sleeps between two lines here sees an
 * expired timer, timeout 0, and tries again.
 */
static bool see_mintime(struct discovery *d, double *mintime)
{
	double with = 0., without = 0.;
	int i;

	for (i = 0; i < 50 && with == 0.; i++)
		with = timeout_for_timer(d->epoll.loop);
	*mintime = 1e-6;
	for (i = 0; i < 50 && without == 0.; i++)
		without = timeout_for_timer(d->epoll.loop);
	*mintime = 1e-3;
	return with == 1e-3 && without > 0. && without <= 200e-6;
}

static bool prove_by_use(struct discovery *d)
{
	struct evr_host host = { d->epoll.loop, &d->layout };
	evr_backend_modify **modify =
		evr_field(&host, evr_backend_modify *, modify);
	evr_backend_poll **poll = evr_field(&host, evr_backend_poll *, poll);
	bool ok;

	memset(&calls, 0, sizeof(calls));
	calls.modify = *modify;
	calls.poll = *poll;
	*modify = modify_mark;
	*poll = poll_mark;
	ok = calls.modify == d->layout.epoll_modify &&
	     calls.poll == d->layout.epoll_poll && see_modify_calls(d) &&
	     see_mintime(d, evr_field(&host, double, mintime));
	*modify = calls.modify;
	*poll = calls.poll;
	return ok;
}

/* clang-format off */
static const struct {
	const char *name, *what;
	bool (*holds)(struct discovery *d);
} proofs_in_order[] = {
	{ "io-interval", "one double follows ev_set_io_collect_interval",
	  prove_io_interval },
	{ "timeout-interval", "the next follows ev_set_timeout_collect_interval",
	  prove_timeout_interval },
	{ "backend", "then an int equal to ev_backend, for epoll and select",
	  prove_backend },
	{ "activecnt", "then one that follows ev_ref and ev_unref",
	  prove_activecnt },
	{ "backend-fd", "then the epoll fd, -1 for select",
	  prove_backend_fd },
	{ "mintime", "then 1e-3 for epoll and 1e-6 for select",
	  prove_mintime },
	{ "release-cb", "two words follow ev_set_loop_release_cb",
	  prove_release_cb },
	{ "functions", "two pointers to code, others for select",
	  prove_functions },
	{ "anfds", "an array by fd follows watchers through their changes",
	  prove_anfds },
	{ "by-use", "replaced, the functions are called as expected",
	  prove_by_use },
};
/* clang-format on */

enum { NR_PROOFS = sizeof(proofs_in_order) / sizeof(proofs_in_order[0]) };

static_assert((int)NR_PROOFS < (int)EVR_MAX_PROOFS, "one place for the end");

static int try_proofs(struct discovery *d, struct evr_proof *proofs)
{
	bool held = true;
	int i;

	for (i = 0; i < NR_PROOFS && held; i++) {
		held = proofs_in_order[i].holds(d);
		if (proofs)
			proofs[i] = (struct evr_proof){ proofs_in_order[i].name,
							proofs_in_order[i].what,
							held };
	}
	return held ? 0 : -ENOTSUP;
}

static void start_cleanup(struct ev_loop *loop, void *watcher)
{
	ev_cleanup_start(loop, watcher);
}

static void stop_cleanup(struct ev_loop *loop, void *watcher)
{
	ev_cleanup_stop(loop, watcher);
}

/* What needs no finding out: ev.h is public. */
static const struct evring_layout from_header = {
	.size = sizeof(struct evring_layout),
	.anfd_size = sizeof(struct evr_anfd),
	.anfd_events = offsetof(struct evr_anfd, events),
	.anfd_reify = offsetof(struct evr_anfd, reify),
	.anfd_emask = offsetof(struct evr_anfd, emask),
	.anfd_egen = offsetof(struct evr_anfd, egen),
	.cleanup_size = sizeof(ev_cleanup),
	.min_priority = EV_MINPRI,
	.max_priority = EV_MAXPRI,
	.feed_fd_event = ev_feed_fd_event,
	.feed_event = ev_feed_event,
	.clear_pending = ev_clear_pending,
	.ref = ev_ref,
	.unref = ev_unref,
	.cleanup_start = start_cleanup,
	.cleanup_stop = stop_cleanup,
	.loop_new = ev_loop_new,
	.default_loop = ev_default_loop,
	.default_loop_uc_ = ev_default_loop_uc_,
	.loop_destroy = ev_loop_destroy,
};

static int open_scratch(struct discovery *d)
{
	if (pipe2(d->pipe, O_CLOEXEC | O_NONBLOCK) < 0) {
		d->pipe[0] = d->pipe[1] = -1;
		return -errno;
	}
	d->epoll.loop = ev_loop_new(EVBACKEND_EPOLL | EVFLAG_NOENV);
	if (!d->epoll.loop)
		return errno == EMFILE || errno == ENFILE ? -errno : -ENOMEM;
	d->select.loop = ev_loop_new(EVBACKEND_SELECT | EVFLAG_NOENV);
	return d->select.loop ? 0 : -ENOTSUP;
}

static void close_scratch(struct discovery *d)
{
	if (d->epoll.loop)
		ev_loop_destroy(d->epoll.loop);
	if (d->select.loop)
		ev_loop_destroy(d->select.loop);
	if (d->pipe[0] >= 0) {
		close(d->pipe[0]);
		close(d->pipe[1]);
	}
}

int evr_layout_discover(evr_peek *peek, struct evring_layout *ret_layout,
			struct evr_proof proofs[EVR_MAX_PROOFS])
{
	struct discovery *d = mmap(NULL, sizeof(*d), PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int r;

	if (d == MAP_FAILED)
		return -ENOMEM;
	d->peek = peek ? peek : peek_memory;
	d->layout = from_header;
	if (proofs)
		memset(proofs, 0, EVR_MAX_PROOFS * sizeof(*proofs));
	r = open_scratch(d);
	if (r >= 0)
		r = try_proofs(d, proofs);
	if (r >= 0)
		*ret_layout = d->layout;
	close_scratch(d);
	munmap(d, sizeof(*d));
	return r;
}

const struct evring_layout *evr_layout_own(void)
{
	return &from_header;
}
#endif

/*
 * layouts by loop
 */

/* The discovered one; NULL before, and where it cannot be proven. */
static _Atomic(const struct evring_layout *) known;
static _Atomic bool unprovable;

static int discover_once(const struct evring_layout **ret_layout)
{
	const struct evring_layout *none = NULL;
	struct evring_layout *found;
	int r;

	*ret_layout = atomic_load(&known);
	if (*ret_layout)
		return 0;
	if (atomic_load(&unprovable))
		return -ENOTSUP;
	found = malloc(sizeof(*found));
	if (!found)
		return -ENOMEM;
	r = evr_layout_discover(NULL, found, NULL);
	if (r >= 0 &&
	    atomic_compare_exchange_strong(&known, &none,
					   (const struct evring_layout *)found))
		none = found;
	else
		free(found); /* failed, or another thread was faster */
	if (r == -ENOTSUP)
		atomic_store(&unprovable, true);
	*ret_layout = none;
	return r;
}

/* Are the functions of this loop the epoll backend of that libev? */
static bool made_by(struct ev_loop *loop, const struct evring_layout *l)
{
	struct evr_host host = { loop, l };
	evr_backend_modify *modify;
	evr_backend_poll *poll;

	return peek_memory(evr_field(&host, void, modify), &modify,
			   sizeof(modify)) == (int)sizeof(modify) &&
	       peek_memory(evr_field(&host, void, poll), &poll, sizeof(poll)) ==
		       (int)sizeof(poll) &&
	       modify == l->epoll_modify && poll == l->epoll_poll;
}

int evr_layout_find(struct ev_loop *loop,
		    const struct evring_layout **ret_layout)
{
	const struct evring_layout *layout;
	const struct embedded *node;
	int r;

	for (node = atomic_load(&embedded); node; node = node->next)
		if (made_by(loop, &node->layout)) {
			*ret_layout = &node->layout;
			return 0;
		}
	r = discover_once(&layout);
	if (r < 0)
		return r;
	if (!made_by(loop, layout))
		return -ENOTSUP;
	*ret_layout = layout;
	return 0;
}
