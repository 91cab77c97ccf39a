/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * http-file.c - files that are open, or whose content is kept.
 *
 * What to know about files:
 *
 * a) Opening a FIFO waits for a writer, unless O_NONBLOCK says not to.  With
 *    that flag, a read of a regular file that would have to wait for the disk
 *    may answer -EAGAIN on some file systems: it is taken away when the file
 *    is known to be regular.
 * b) A file that is changed within the tick of its clock in which it was looked
 *    at shows no other time.  So a file that was changed a moment before it
 *    was read is "racy", and is never taken for the same again.
 * c) openat2() with RESOLVE_BENEATH may answer -EAGAIN when something is
 *    renamed meanwhile: it is asked again.
 * d) A name may be given to another file at any time.  Whether a file is the
 *    same is therefore asked by its name, with all the checks of opening it.
 *
 * A file's life, and the function that moves it:
 *
 *   being opened -> ready     [finish]  waiters get it, it is known
 *   being opened -> gone      [finish]  waiters hear why
 *   ready        -> replaced  [renew]   its time is over; a new one is opened
 *   ready        -> forgotten [trim]    there are too many
 *
 * Invariants:
 *
 * (1) What is in a bucket is being opened or known, and a bucket holds a
 *     reference.  A file that is known is in the list by use, too.
 * (2) A ready file does not change: who has a reference may send it.
 * (3) Content that anybody has, known or not, is no more than --cache-bytes.
 * (4) An open descriptor belongs to a file, or to a struct opening, or a close
 *     is under way.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* statx, O_PATH */
#endif

#include "http-file.h"
#include "http-text.h"
#include "http-type.h"

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define RACY_SECONDS 2 /* more than any file system's tick */

enum { MAX_TRIES = 4 };

/* A file that is being opened. */
struct opening {
	struct evring_op op; /* one after the other */
	struct files *files;
	struct file *file; /* held */
	struct file *old;  /* what it takes the place of, held, or NULL */
	int fd;
	unsigned nr_tries;
	struct open_how how;
	struct statx stat;
	struct content *content; /* being read */
	size_t nr_read;
};

/*
 * References
 */

void content_put(struct content *content)
{
	if (!content || --content->refs)
		return;
	count(content->content_bytes, -(uint64_t)content->room);
	free(content);
}

static void on_closed(struct ev_loop *loop, struct evring_op *op, int revents)
{
	(void)loop;
	(void)revents;
	free(op);
}

/* Without an operation it is closed at once, rather than never. */
static void close_fd(struct files *files, int fd)
{
	struct evring_op *op = malloc(sizeof(*op));
	struct io_uring_sqe *sqe = NULL;

	if (op) {
		evring_op_init(op, on_closed);
		sqe = evring_op_start(files->loop, op);
	}
	if (sqe) {
		io_uring_prep_close(sqe, fd);
		return;
	}
	free(op);
	close(fd);
}

void file_put(struct files *files, struct file *file)
{
	if (!file || --file->refs)
		return;
	content_put(file->content);
	if (file->fd >= 0)
		close_fd(files, file->fd);
	free(file);
}

/*
 * What is known
 */

/* FNV-1a: only names of files that exist stay in the table. */
static uint32_t hash_path(const char *path)
{
	uint32_t hash = 2166136261u;

	for (; *path; path++)
		hash = (hash ^ (unsigned char)*path) * 16777619u;
	return hash;
}

static struct file **bucket_of(struct files *files, uint32_t hash)
{
	return &files->buckets[hash & (files->nr_buckets - 1)];
}

static struct file *find_file(struct files *files, const char *path,
			      uint32_t hash)
{
	struct file *file = *bucket_of(files, hash);

	while (file && (file->hash != hash || strcmp(file->path, path)))
		file = file->next;
	return file;
}

static void put_in_bucket(struct files *files, struct file *file)
{
	struct file **bucket = bucket_of(files, file->hash);

	file->next = *bucket;
	*bucket = file;
	file->refs++;
}

/* The bucket's reference is the caller's now. */
static void take_from_bucket(struct files *files, struct file *file)
{
	struct file **at = bucket_of(files, file->hash);

	while (*at != file)
		at = &(*at)->next;
	*at = file->next;
}

static void unlink_used(struct files *files, struct file *file)
{
	*(file->newer ? &file->newer->older : &files->newest) = file->older;
	*(file->older ? &file->older->newer : &files->oldest) = file->newer;
}

static void link_newest(struct files *files, struct file *file)
{
	file->newer = NULL;
	file->older = files->newest;
	*(file->older ? &file->older->newer : &files->oldest) = file;
	files->newest = file;
}

static void make_known(struct files *files, struct file *file)
{
	file->is_known = true;
	link_newest(files, file);
	files->nr_known++;
	files->nr_fds += file->fd >= 0;
	files->nr_bytes += file->content ? file->content->size : 0;
}

/* The bucket's reference is the caller's now. */
static void forget(struct files *files, struct file *file)
{
	take_from_bucket(files, file);
	if (!file->is_known)
		return;
	file->is_known = false;
	unlink_used(files, file);
	files->nr_known--;
	files->nr_fds -= file->fd >= 0;
	files->nr_bytes -= file->content ? file->content->size : 0;
}

static void drop(struct files *files, struct file *file)
{
	forget(files, file);
	file_put(files, file);
}

/* There is one. */
static struct file *oldest_open(const struct files *files)
{
	struct file *file = files->oldest;

	while (file->fd < 0)
		file = file->newer;
	return file;
}

static void trim(struct files *files)
{
	while (files->oldest && (files->nr_known > files->limits->files ||
				 files->nr_bytes > files->limits->bytes))
		drop(files, files->oldest);
	while (files->nr_fds > files->limits->fds)
		drop(files, oldest_open(files));
}

/*
 * Opening
 */

static void wait_unlink(struct file_wait *wait)
{
	*wait->link = wait->next;
	if (wait->next)
		wait->next->link = wait->link;
	wait->link = NULL;
}

void file_wait_cancel(struct file_wait *wait)
{
	if (wait->link)
		wait_unlink(wait);
}

static void wait_link(struct file *file, struct file_wait *wait)
{
	wait->next = file->waits;
	wait->link = &file->waits;
	if (wait->next)
		wait->next->link = &wait->next;
	file->waits = wait;
}

static void wake(struct file *file, int error)
{
	struct file_wait *wait;

	while ((wait = file->waits)) {
		wait_unlink(wait);
		if (!error)
			file->refs++;
		wait->cb(wait, error ? NULL : file, error);
	}
}

/* Texts that depend on the file only are made once. */
static void describe(struct file *file)
{
	struct text text = { file->etag, file->etag + ETAG_SIZE - 1, false };
	char date[HTTP_DATE_SIZE];

	text_add(&text, "\"", 1);
	text_hex(&text, (uint64_t)file->modified.tv_sec * 1000000000 +
				(uint64_t)file->modified.tv_nsec);
	text_add(&text, "-", 1);
	text_hex(&text, file->size);
	text_add(&text, "\"", 1);
	*text.at = 0;

	http_date_format(file->mtime, date);
	text = (struct text){ file->head, file->head + FILE_HEAD_SIZE, false };
	text_string(&text, "Content-Type: ");
	text_string(&text, http_type(file->path));
	text_string(&text, "\r\nLast-Modified: ");
	text_string(&text, date);
	text_string(&text, "\r\nETag: ");
	text_string(&text, file->etag);
	text_string(&text, "\r\nAccept-Ranges: bytes\r\n");
	file->head_size = (size_t)(text.at - file->head);
}

/* The end of opening: 0 or why not. */
static void finish(struct opening *opening, int error)
{
	struct files *files = opening->files;
	struct file *file = opening->file;

	file_put(files, opening->old);
	if (opening->fd >= 0)
		close_fd(files, opening->fd);
	content_put(opening->content);
	free(opening);

	if (!error) {
		describe(file);
		file->is_ready = true;
		file->checked = daemon_seconds();
		make_known(files, file);
	} else {
		forget(files, file);
		file_put(files, file); /* the bucket's */
	}
	wake(file, error);
	file_put(files, file);
	trim(files);
}

/* The entry to prepare; or NULL, and opening is over. */
static struct io_uring_sqe *next_op(struct opening *opening,
				    void (*cb)(struct ev_loop *,
					       struct evring_op *, int))
{
	struct io_uring_sqe *sqe;

	evring_op_init(&opening->op, cb);
	sqe = evring_op_start(opening->files->loop, &opening->op);
	if (!sqe)
		finish(opening, -errno);
	return sqe;
}

static void on_read(struct ev_loop *loop, struct evring_op *op, int revents);

static void read_on(struct opening *opening)
{
	struct io_uring_sqe *sqe = next_op(opening, on_read);

	if (sqe)
		io_uring_prep_read(
			sqe, opening->fd,
			opening->content->bytes + opening->nr_read,
			(unsigned)(opening->content->size - opening->nr_read),
			opening->nr_read);
}

/* A file that has become shorter is what is left of it. */
static void end_content(struct opening *opening)
{
	struct content *content = opening->content;

	if (opening->nr_read < content->size)
		opening->file->is_racy = true;
	content->size = opening->nr_read;
	opening->file->size = content->size;
	opening->file->content = content;
	opening->content = NULL;
	finish(opening, 0);
}

static void on_read(struct ev_loop *loop, struct evring_op *op, int revents)
{
	struct opening *opening = (struct opening *)op;

	(void)loop;
	(void)revents;
	if (op->res < 0) {
		finish(opening, op->res);
		return;
	}
	opening->nr_read += (size_t)op->res;
	if (op->res && opening->nr_read < opening->content->size)
		read_on(opening);
	else
		end_content(opening);
}

static bool is_same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

/* Traps b and d. */
static bool is_same(const struct file *a, const struct file *b)
{
	return !b->is_racy && a->size == b->size && a->inode == b->inode &&
	       a->device == b->device &&
	       is_same_time(&a->modified, &b->modified) &&
	       is_same_time(&a->changed, &b->changed);
}

static void take_stat(struct file *file, const struct statx *stat)
{
	time_t recent = time(NULL) - RACY_SECONDS;

	file->size = stat->stx_size;
	file->mtime = (time_t)stat->stx_mtime.tv_sec;
	file->inode = stat->stx_ino;
	file->device =
		(uint64_t)stat->stx_dev_major << 32 | stat->stx_dev_minor;
	file->modified.tv_sec = (time_t)stat->stx_mtime.tv_sec;
	file->modified.tv_nsec = stat->stx_mtime.tv_nsec;
	file->changed.tv_sec = (time_t)stat->stx_ctime.tv_sec;
	file->changed.tv_nsec = stat->stx_ctime.tv_nsec;
	file->is_racy = file->modified.tv_sec >= recent ||
			file->changed.tv_sec >= recent;
}

/* Invariant 3.  Nothing is dropped that could not help. */
static bool make_room(struct files *files, size_t size)
{
	uint64_t max = files->limits->bytes;

	if (files->content_bytes - files->nr_bytes + size > max)
		return false;
	while (files->oldest && files->content_bytes + size > max)
		drop(files, files->oldest);
	return files->content_bytes + size <= max;
}

/* NULL: no room, which its descriptor can do without. */
static struct content *content_new(struct files *files, size_t size)
{
	struct content *content = NULL;

	if (make_room(files, size))
		content = malloc(sizeof(*content) + size);
	if (!content)
		return NULL;
	content->refs = 1;
	content->size = content->room = size;
	content->content_bytes = &files->content_bytes;
	count(&files->content_bytes, size);
	return content;
}

static bool is_kept(const struct files_limits *limits, uint64_t size)
{
	return limits->files && size <= limits->max_size &&
	       size <= limits->bytes;
}

/* Its content is another's, or is read; or its descriptor is enough. */
static void get_content(struct opening *opening)
{
	struct file *file = opening->file, *old = opening->old;

	if (old && old->content && is_same(file, old)) {
		file->content = old->content;
		file->content->refs++;
		finish(opening, 0);
		return;
	}
	if (is_kept(opening->files->limits, file->size))
		opening->content =
			content_new(opening->files, (size_t)file->size);
	if (!opening->content) {
		file->fd = opening->fd;
		opening->fd = -1;
		finish(opening, 0);
		return;
	}
	read_on(opening);
}

static int judge_mode(unsigned mode)
{
	if (S_ISREG(mode))
		return 0;
	return S_ISDIR(mode) ? -EISDIR : -EACCES;
}

static void on_stat(struct ev_loop *loop, struct evring_op *op, int revents)
{
	struct opening *opening = (struct opening *)op;
	int error = op->res;

	(void)loop;
	(void)revents;
	if (!error)
		error = judge_mode(opening->stat.stx_mode);
	/* Trap a. */
	if (!error && fcntl(opening->fd, F_SETFL, 0))
		error = -errno;
	if (error) {
		finish(opening, error);
		return;
	}
	take_stat(opening->file, &opening->stat);
	get_content(opening);
}

static void stat_fd(struct opening *opening)
{
	struct io_uring_sqe *sqe = next_op(opening, on_stat);

	if (sqe)
		io_uring_prep_statx(sqe, opening->fd, "", AT_EMPTY_PATH,
				    STATX_BASIC_STATS, &opening->stat);
}

static void on_opened(struct ev_loop *loop, struct evring_op *op, int revents);

static void prep_open(const struct opening *opening, struct io_uring_sqe *sqe)
{
	io_uring_prep_openat2(sqe, opening->files->root, opening->file->path,
			      (struct open_how *)&opening->how);
}

static void open_again(struct opening *opening)
{
	struct io_uring_sqe *sqe = next_op(opening, on_opened);

	if (sqe)
		prep_open(opening, sqe);
}

static void on_opened(struct ev_loop *loop, struct evring_op *op, int revents)
{
	struct opening *opening = (struct opening *)op;

	(void)loop;
	(void)revents;
	if (op->res >= 0) {
		opening->fd = op->res;
		count(&opening->files->opened, 1);
		stat_fd(opening);
	} else if (op->res == -EAGAIN && ++opening->nr_tries < MAX_TRIES) {
		open_again(opening); /* trap c */
	} else {
		finish(opening, op->res);
	}
}

static struct file *file_new(const char *path, uint32_t hash)
{
	size_t size = strlen(path) + 1;
	struct file *file = calloc(1, sizeof(*file) + size);

	if (!file)
		return NULL;
	memcpy(file->path, path, size);
	file->hash = hash;
	file->fd = -1;
	file->refs = 1;
	return file;
}

static struct opening *opening_new(struct files *files, struct file *file)
{
	struct opening *opening = calloc(1, sizeof(*opening));

	if (!opening)
		return NULL;
	opening->files = files;
	opening->file = file;
	opening->fd = -1;
	opening->how.flags = O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
	opening->how.resolve = RESOLVE_BENEATH;
	evring_op_init(&opening->op, on_opened);
	return opening;
}

/* The reference to file is opening's from now on. */
static int start_opening(struct files *files, struct file *file,
			 struct opening *opening)
{
	struct io_uring_sqe *sqe = evring_op_start(files->loop, &opening->op);

	if (!sqe)
		return -errno;
	prep_open(opening, sqe);
	put_in_bucket(files, file);
	return 0;
}

/* In place of old, or NULL. */
static int renew(struct files *files, const char *path, uint32_t hash,
		 struct file *old, struct file_wait *wait)
{
	struct file *file = file_new(path, hash);
	struct opening *opening = file ? opening_new(files, file) : NULL;
	int r = opening ? start_opening(files, file, opening) : -ENOMEM;

	if (r) {
		free(opening);
		free(file);
		return r;
	}
	if (old)
		forget(files, old);
	opening->old = old;
	wait_link(file, wait);
	return 1;
}

static bool is_fresh(const struct files *files, const struct file *file)
{
	double age = daemon_seconds() - file->checked;

	return age < files->limits->seconds;
}

static void use(struct files *files, struct file *file)
{
	file->refs++;
	if (file != files->newest) {
		unlink_used(files, file);
		link_newest(files, file);
	}
}

int files_get(struct files *files, const char *path, struct file_wait *wait,
	      struct file **ret_file)
{
	uint32_t hash = hash_path(path);
	struct file *file = find_file(files, path, hash);

	if (file && !file->is_ready) {
		wait_link(file, wait);
		return 1;
	}
	if (file && is_fresh(files, file)) {
		count(&files->hits, 1);
		use(files, file);
		*ret_file = file;
		return 0;
	}
	count(&files->misses, 1);
	return renew(files, path, hash, file, wait);
}

/*
 * All
 */

static size_t round_up(uint64_t nr)
{
	size_t size = 64;

	while (size < nr && size < 1u << 20)
		size *= 2;
	return size;
}

int files_init(struct files *files, struct ev_loop *loop, int root,
	       const struct files_limits *limits)
{
	files->loop = loop;
	files->root = root;
	files->limits = limits;
	files->nr_buckets = round_up(limits->files);
	files->buckets = calloc(files->nr_buckets, sizeof(*files->buckets));
	return files->buckets ? 0 : -ENOMEM;
}

void files_exit(struct files *files)
{
	while (files->oldest)
		drop(files, files->oldest);
	free(files->buckets);
}
