/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * http.c - an HTTP/1.1 server of static files on operations.
 *
 * It shows a server in which nothing waits but io_uring: connections are
 * evring's watchers for sockets, and files are opened, looked at, read and
 * closed by operations, so that a slow disk, a FIFO or a network file system
 * holds up who asked for it and nobody else.
 *
 * Kernel: 6.0 and later as meant; from 5.11 on with more requests per
 * connection.  openat2() keeps everything below ROOT: not even a symbolic link
 * leads out.
 *
 *	./http --listen 127.0.0.1:8080 /srv/www
 *	curl -v http://127.0.0.1:8080/
 *	curl -r 0-99 http://127.0.0.1:8080/a
 *	kill -USR1 PID		statistics on stderr
 *
 * What it holds in memory: for each connection some KB, --max-header, a KB for
 * each of --max-unsent, copies of at most some of --buffer-size that came for
 * later requests, and at most two chunks of 64 KB of a file that it reads from;
 * for each worker --cache-bytes and --buffers.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* O_PATH */
#endif

#include "http.h"
#include "http-connection.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

struct http_options http_options = {
	.index = "index.html",
	.header_timeout = 20,
	.max_header = 8192,
	.max_unsent = 32,
	.cache = { .files = 1024,
		   .bytes = 32 << 20,
		   .max_size = 256 << 10,
		   .seconds = 1 },
};

/* clang-format off */
static const struct daemon_option options[] = {
	{ .name = "index", .form = "NAME", .kind = OPTION_TEXT,
	  .value = &http_options.index,
	  .help = "The file that stands for its directory: index.html." },
	{ .name = "header-timeout", .form = "SECONDS", .kind = OPTION_SECONDS,
	  .value = &http_options.header_timeout, .min = 0.1, .max = 86400,
	  .help = "Time for a request to come in whole, from its first byte,"
		  " or from the\n\tconnection's begin." },
	{ .name = "max-header", .form = "BYTES", .kind = OPTION_COUNT,
	  .value = &http_options.max_header, .min = 256, .max = 65536,
	  .help = "Of a request's line and headers." },
	{ .name = "max-unsent", .form = "NUMBER", .kind = OPTION_COUNT,
	  .value = &http_options.max_unsent, .min = 1, .max = 4096,
	  .help = "Answers of a connection that wait to be sent; then no"
		  " request is read." },
	{ .name = "cache-files", .form = "NUMBER", .kind = OPTION_COUNT,
	  .value = &http_options.cache.files, .min = 0, .max = 1e6,
	  .help = "Files that a worker keeps open, or the content of."
		  "  Fewer are kept\n\topen where RLIMIT_NOFILE wants it." },
	{ .name = "cache-bytes", .form = "BYTES", .kind = OPTION_COUNT,
	  .value = &http_options.cache.bytes, .min = 0, .max = 1e12,
	  .help = "Content that a worker has in memory, of all files." },
	{ .name = "cache-max-size", .form = "BYTES", .kind = OPTION_COUNT,
	  .value = &http_options.cache.max_size, .min = 0, .max = 1 << 24,
	  .help = "Of a file whose content is kept." },
	{ .name = "cache-seconds", .form = "SECONDS", .kind = OPTION_SECONDS,
	  .value = &http_options.cache.seconds, .min = 0, .max = 3600,
	  .help = "So long a file is not looked at again." },
	{ .name = "log", .kind = OPTION_FLAG, .value = &http_options.log,
	  .help = "A line on stdout for each request, in the common log"
		  " format." },
};

#define COUNTER(text, member) { text, offsetof(struct http_worker, member) }

static const struct daemon_counter counters[] = {
	COUNTER("http_requests", requests),
	COUNTER("answers_2xx", answers[2]),
	COUNTER("answers_3xx", answers[3]),
	COUNTER("answers_4xx", answers[4]),
	COUNTER("answers_5xx", answers[5]),
	COUNTER("file_hits", files.hits),
	COUNTER("file_misses", files.misses),
	COUNTER("files_opened", files.opened),
	COUNTER("content_bytes", files.content_bytes),
	COUNTER("log_lines_dropped", log.nr_dropped),
};
/* clang-format on */

static int root = -1;

/* Beside what is below: stdio, and what a worker needs for itself. */
enum { FDS_OF_PROCESS = 32, FDS_OF_WORKER = 8 + MAX_ENDPOINTS };

/*
 * A connection may have a file open, and what is known may, too.  Where the
 * hard limit is less, few are kept open that nobody asks for, or connections
 * would wait for their descriptors for ever; and an answer may be 503.
 */
static void raise_nofile(void)
{
	uint64_t nr = daemon_options.workers;
	rlim_t needed = FDS_OF_PROCESS + nr * FDS_OF_WORKER +
			2 * daemon_options.max_connections;
	rlim_t wanted = needed + nr * http_options.cache.files;
	struct rlimit limit;

	http_options.cache.fds = http_options.cache.files;
	if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur >= wanted)
		return;
	limit.rlim_cur = wanted < limit.rlim_max ? wanted : limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur == wanted)
		return;
	http_options.cache.fds =
		limit.rlim_cur > needed ? (limit.rlim_cur - needed) / nr : 0;
}

static bool is_name(const char *name)
{
	return *name && !strchr(name, '/') && strlen(name) <= 255 &&
	       strcmp(name, ".") && strcmp(name, "..");
}

static int configure(int nr_arguments, char **arguments)
{
	if (nr_arguments != 1) {
		complain("one directory is to be served, %d were given; "
			 "http --help lists the options",
			 nr_arguments);
		return EXIT_USAGE;
	}
	if (!is_name(http_options.index)) {
		complain("--index=%s refused: wants the name of a file",
			 http_options.index);
		return EXIT_USAGE;
	}
	root = open(arguments[0], O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0) {
		complain("cannot serve %s: %s", arguments[0], strerror(errno));
		return EXIT_FAILURE;
	}
	raise_nofile();
	return 0;
}

static int begin(struct worker *w)
{
	struct http_worker *worker = (struct http_worker *)w;
	int r = files_init(&worker->files, w->loop, root, &http_options.cache);

	if (!r && http_options.log)
		r = log_init(&worker->log, w->loop);
	if (r)
		complain("a worker cannot begin: %s", evring_strerror(r));
	return r;
}

static void end(struct worker *w)
{
	struct http_worker *worker = (struct http_worker *)w;

	connections_exit(worker);
	files_exit(&worker->files);
	parts_exit(&worker->parts);
	log_exit(&worker->log);
}

static void on_connection(struct worker *worker, int fd)
{
	connection_begin((struct http_worker *)worker, fd);
}

static const struct daemon http_daemon = {
	.name = "http",
	.about = "Serves the files below ROOT by HTTP/1.1.",
	.arguments = "ROOT",
	.options = options,
	.nr_options = NR_OF(options),
	.counters = counters,
	.nr_counters = NR_OF(counters),
	.worker_size = sizeof(struct http_worker),
	.default_port = 8080,
	.configure = configure,
	.begin = begin,
	.on_connection = on_connection,
	.end = end,
};

int main(int argc, char **argv)
{
	return daemon_main(&http_daemon, argc, argv);
}
