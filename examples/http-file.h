/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * http-file.h - files that are open, or whose content is kept.
 *
 * All that may wait for a disk is an operation.  What was found is good for
 * files_limits.seconds; then the file is opened anew, and looked at whether it
 * is the same still.
 */
#ifndef HTTP_FILE_H
#define HTTP_FILE_H

#include "daemon/daemon.h"
#include "http-date.h"

#include <sys/types.h>

/* What is sent from memory; it may outlive the file. */
struct content {
	unsigned refs;
	size_t size, room;
	counter *content_bytes; /* of its struct files */
	char bytes[];
};

void content_put(struct content *content);

enum { ETAG_SIZE = 40, FILE_HEAD_SIZE = 256 };

/* A regular file, ready to be sent. */
struct file {
	uint64_t size;
	time_t mtime;
	struct content *content; /* all of it; or NULL, and there is an fd */
	int fd;
	char etag[ETAG_SIZE];	   /* with its quotes */
	char head[FILE_HEAD_SIZE]; /* lines that each answer has */
	size_t head_size;

	/* Private. */
	unsigned refs;
	uint32_t hash;
	bool is_ready, is_known, is_racy;
	double checked;		    /* daemon_seconds() */
	struct file *next;	    /* of the same bucket */
	struct file *newer, *older; /* by use */
	struct file_wait *waits;
	uint64_t device, inode;
	struct timespec modified, changed;
	char path[];
};

/* Somebody who waits for a file. */
struct file_wait {
	/* A file, with a reference that is the callee's; or NULL and why. */
	void (*cb)(struct file_wait *wait, struct file *file, int error);
	struct file_wait *next, **link;
};

struct files_limits {
	uint64_t files;	   /* that are known, each with an fd or its content */
	uint64_t bytes;	   /* of content, of all, while anybody has it */
	uint64_t fds;	   /* of files that are known */
	uint64_t max_size; /* of a file whose content is kept */
	double seconds;	   /* so long it is not looked at again */
};

struct files {
	struct ev_loop *loop;
	const struct files_limits *limits;
	int root;
	struct file **buckets;
	size_t nr_buckets;
	struct file *newest, *oldest;
	uint64_t nr_known, nr_bytes, nr_fds; /* of those that are known */
	counter hits, misses, opened, content_bytes;
};

/* root is a directory, the caller's. */
int files_init(struct files *files, struct ev_loop *loop, int root,
	       const struct files_limits *limits);

/* Nobody has or waits for a file, and no operation is under way. */
void files_exit(struct files *files);

/*
 * The file that path leads to, without leaving root:
 *
 *   0       it is in *ret_file, with a reference that is the caller's
 *   1       wait->cb will be called
 *   -errno  as to wait->cb: -EISDIR for a directory, -EACCES for what is
 *           neither, -EXDEV for what leads out
 */
int files_get(struct files *files, const char *path, struct file_wait *wait,
	      struct file **ret_file);

/* wait->cb is not called any more; nothing if it was. */
void file_wait_cancel(struct file_wait *wait);

void file_put(struct files *files, struct file *file);

#endif
