/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * file.c - random reads of 4 KB from a large file, 32 at a time: as operations
 * of a loop, and by a pool of threads.
 *
 * The figure is reads per second of CPU time, of all threads of the process
 * that reads, those of the kernel for it included (getrusage).  Each reader has
 * a process of its own in each round, all read the same blocks in the same
 * order, on the same CPU (or CPUs, see --all-cpus), in turns.
 *
 * a) From the page cache, nothing waits for a disk: what is compared is asking
 *    for a read and hearing of it.  The file is read once before each turn.
 * b) With O_DIRECT each read is the disk's.  What its interrupts cost is
 *    nobody's CPU time.
 * c) The file has no name for longer than it takes to make it, so that it is
 *    gone when this program is, however it ends.
 */
#include "config.h" /* _GNU_SOURCE for O_DIRECT */

#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "read/read.h"
#include "row.h"

enum { CHUNK_SIZE = 1 << 20, BLOCKS_IN_CHUNK = CHUNK_SIZE / READ_SIZE };

enum reader_idx { OPERATIONS, FIXED, POOL_OF_4, POOL_OF_32, NR_READERS };

/* NULL: not built. */
static const struct reader *const readers[NR_READERS] = {
	[OPERATIONS] = &read_ops,
	[FIXED] = &read_fixed,
#ifdef HAVE_LIBUV
	[POOL_OF_4] = &read_libuv_4,
	[POOL_OF_32] = &read_libuv_32,
#endif
};

static unsigned nr_mib = 1024, uses_all_cpus;
static cpu_set_t all_cpus;

struct cell {
	const char *name;
	int flags; /* of open() */
	unsigned nr_reads;
};

static struct cell cells[] = {
	{ "page cache", 0, 200000 },
	{ "O_DIRECT", O_DIRECT, 20000 },
};

/* clang-format off */
static const struct bench_option options[] = {
	{ "mib", &nr_mib, BENCH_NUMBER, "size of the file in MiB" },
	{ "reads", &cells[0].nr_reads, BENCH_NUMBER, "from the cache, in each round" },
	{ "direct", &cells[1].nr_reads, BENCH_NUMBER, "with O_DIRECT" },
	{ "all-cpus", &uses_all_cpus, BENCH_SWITCH, "not on one CPU alone" },
	{ NULL, NULL, BENCH_NUMBER, NULL }
};
/* clang-format on */

/*
 * lists of blocks
 */

uint32_t read_next(struct read_list *list)
{
	return list->blocks[list->nr_started++];
}

void read_done(struct read_list *list, const char *buffer, uint32_t block,
	       long result)
{
	uint32_t found;

	if (result < 0)
		errx(1, "read: %s", strerror((int)-result));
	memcpy(&found, buffer, sizeof(found));
	if (result != READ_SIZE || found != block)
		errx(1, "read: not block %u", block);
	list->nr_done++;
}

/* The same in every run of this program, whatever the machine. */
static uint32_t *make_blocks(unsigned nr)
{
	uint32_t *blocks = malloc(nr * sizeof(*blocks));
	uint64_t state = 88172645463325252u;
	unsigned i;

	if (!blocks)
		err(1, "blocks");
	for (i = 0; i < nr; i++) {
		state ^= state << 13;
		state ^= state >> 7;
		state ^= state << 17;
		blocks[i] = (uint32_t)(state % (nr_mib * BLOCKS_IN_CHUNK));
	}
	return blocks;
}

/*
 * the file
 */

static char *chunk; /* for making and reading the file, aligned */

static void write_chunk(int fd, uint32_t block)
{
	char *at;

	for (at = chunk; at < chunk + CHUNK_SIZE; at += READ_SIZE, block++)
		memcpy(at, &block, sizeof(block));
	if (write(fd, chunk, CHUNK_SIZE) != CHUNK_SIZE)
		err(1, "writing %u MiB to the file", nr_mib);
}

/* Its blocks differ throughout, for file systems that compress. */
static void fill_chunk(void)
{
	size_t i;

	chunk = aligned_alloc(READ_SIZE, CHUNK_SIZE);
	if (!chunk)
		err(1, "memory");
	for (i = 0; i < CHUNK_SIZE; i++)
		chunk[i] = (char)random();
}

static int make_file(void)
{
	const char *folder = getenv("TMPDIR");
	char path[4096];
	unsigned i;
	int fd;

	snprintf(path, sizeof(path), "%s/evring-bench.XXXXXX",
		 folder ? folder : "/tmp");
	fd = mkstemp(path);
	if (fd < 0)
		err(1, "%s", path);
	unlink(path); /* (c) */
	fill_chunk();
	for (i = 0; i < nr_mib; i++)
		write_chunk(fd, i * BLOCKS_IN_CHUNK);
	if (fsync(fd))
		err(1, "fsync");
	return fd;
}

/* Returns -1 with errno set if the file system refuses the flags. */
static int open_again(int fd, int flags)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, O_RDONLY | O_CLOEXEC | flags);
}

/* Into the page cache, as far as it is not there. */
static void read_through(int fd)
{
	unsigned i;

	for (i = 0; i < nr_mib; i++)
		if (pread(fd, chunk, CHUNK_SIZE, (off_t)i * CHUNK_SIZE) !=
		    CHUNK_SIZE)
			err(1, "reading the file");
}

/*
 * a process that reads
 */

struct result {
	double cpu, time; /* seconds */
};

static double cpu_seconds(void)
{
	struct rusage usage;

	if (getrusage(RUSAGE_SELF, &usage))
		err(1, "getrusage");
	return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
	       (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

/* A pool that is not used would be no pool's figure. */
static void check_threads(const struct reader *reader)
{
	DIR *tasks = opendir("/proc/self/task");
	unsigned nr = 0;
	struct dirent *entry;

	while (tasks && (entry = readdir(tasks)))
		nr += entry->d_name[0] != '.';
	if (tasks)
		closedir(tasks);
	if (reader->nr_threads && nr != reader->nr_threads + 1)
		errx(1, "%s: the process has %u", reader->name, nr);
}

static void read_list(const struct reader *reader, struct read_list *list)
{
	reader->read_all(list);
	if (list->nr_done != list->nr)
		errx(1, "%s: %u of %u reads", reader->name, list->nr_done,
		     list->nr);
}

/* The first tenth of the reads is made beforehand. */
static struct result measure_reads(const struct reader *reader, int fd,
				   const uint32_t *blocks, unsigned nr)
{
	struct read_list warm = { .fd = fd, .blocks = blocks, .nr = nr / 10 };
	struct read_list list = { .fd = fd, .blocks = blocks, .nr = nr };
	char *buffers = aligned_alloc(READ_SIZE, READ_DEPTH * READ_SIZE);
	struct result result;
	uint64_t start;

	if (!buffers)
		err(1, "memory");
	memset(buffers, 0xff, READ_DEPTH * READ_SIZE);
	reader->begin(fd, buffers);
	read_list(reader, &warm);
	result.cpu = cpu_seconds();
	start = bench_ns();
	read_list(reader, &list);
	result.time = (double)(bench_ns() - start) / 1e9;
	result.cpu = cpu_seconds() - result.cpu;
	check_threads(reader);
	return result;
}

static void be_reader(const struct reader *reader, int fd,
		      const uint32_t *blocks, unsigned nr, int pipe_fd)
{
	struct result result;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (uses_all_cpus && sched_setaffinity(0, sizeof(all_cpus), &all_cpus))
		err(1, "sched_setaffinity");
	bench_deadline(300);
	result = measure_reads(reader, fd, blocks, nr);
	if (write(pipe_fd, &result, sizeof(result)) != sizeof(result))
		err(1, "pipe");
	_exit(0);
}

static struct result run_reader(const struct reader *reader, int fd,
				const uint32_t *blocks, unsigned nr)
{
	struct result result;
	int fds[2];
	ssize_t size;
	pid_t pid;

	fflush(stdout);
	if (pipe(fds) || (pid = fork()) < 0)
		err(1, "process");
	if (!pid)
		be_reader(reader, fd, blocks, nr, fds[1]);
	close(fds[1]);
	size = read(fds[0], &result, sizeof(result));
	close(fds[0]);
	if (waitpid(pid, NULL, 0) != pid || size != sizeof(result))
		errx(1, "%s: failed", reader->name);
	return result;
}

/*
 * figures
 */

struct figures {
	struct bench_series per_cpu;  /* reads per second of CPU time */
	struct bench_series per_time; /* reads per second */
};

/* CPU time for a read, as less is better in rows. */
static void invert(const struct bench_series *per_cpu,
		   struct bench_series *ret_cpu)
{
	unsigned i;

	bench_series_init(ret_cpu, per_cpu->nr);
	for (i = 0; i < per_cpu->nr; i++)
		bench_series_add(ret_cpu, 1e9 / per_cpu->value[i]);
}

static void write_row(const struct cell *cell, enum reader_idx idx,
		      const struct figures *all)
{
	struct bench_series own, base;
	struct bench_row row = {
		.bench = "file",
		.cell = cell->name,
		.side = readers[idx]->name,
		.figure = "CPU for a read",
		.unit = "ns",
		.role = readers[idx]->nr_threads ? BENCH_OTHER : BENCH_OURS,
		.series = &own,
		.base = &base,
	};

	if (idx == POOL_OF_4)
		row.role = BENCH_BASE;
	if (readers[POOL_OF_4])
		row.base_side = readers[POOL_OF_4]->name;
	invert(&all[idx].per_cpu, &own);
	invert(&all[POOL_OF_4].per_cpu, &base);
	bench_row(&row);
	bench_series_exit(&own);
	bench_series_exit(&base);
}

static void print_ratio(const struct figures *own, const struct figures *base)
{
	if (base->per_cpu.nr)
		printf("  %5.2f", bench_median(&own->per_cpu) /
					  bench_median(&base->per_cpu));
	else
		printf("      -");
}

static void print_reader(const struct cell *cell, enum reader_idx idx,
			 const struct figures *all)
{
	const struct figures *own = &all[idx];

	printf("%-10s  %-18s", cell->name, readers[idx]->name);
	print_ratio(own, &all[POOL_OF_4]);
	print_ratio(own, &all[POOL_OF_32]);
	printf("  %9.0f %9.0f  %9.0f\n", bench_median(&own->per_cpu),
	       bench_quantile(&own->per_cpu, 1), bench_median(&own->per_time));
	write_row(cell, idx, all);
}

static void run_round(const struct cell *cell, int fd, int cached_fd,
		      unsigned round, struct figures *figures)
{
	unsigned nr = bench_common.quick ? cell->nr_reads / 10 : cell->nr_reads;
	uint32_t *blocks = make_blocks(nr);
	struct result result;
	unsigned i, k;

	for (i = 0; i < NR_READERS; i++) {
		k = (round + i) % NR_READERS;
		if (!readers[k])
			continue;
		bench_deadline(300);
		if (!cell->flags)
			read_through(cached_fd);
		result = run_reader(readers[k], fd, blocks, nr);
		bench_series_add(&figures[k].per_cpu, nr / result.cpu);
		bench_series_add(&figures[k].per_time, nr / result.time);
	}
	free(blocks);
}

static void run_cell(const struct cell *cell, int file)
{
	struct figures figures[NR_READERS];
	int fd = open_again(file, cell->flags);
	unsigned round, k;

	if (fd < 0) {
		printf("left out: %s: %s\n", cell->name, strerror(errno));
		return;
	}
	for (k = 0; k < NR_READERS; k++) {
		bench_series_init(&figures[k].per_cpu, bench_common.rounds);
		bench_series_init(&figures[k].per_time, bench_common.rounds);
	}
	for (round = 0; round < bench_common.rounds; round++)
		run_round(cell, fd, file, round, figures);
	for (k = 0; k < NR_READERS; k++)
		if (readers[k])
			print_reader(cell, k, figures);
	for (k = 0; k < NR_READERS; k++) {
		bench_series_exit(&figures[k].per_cpu);
		bench_series_exit(&figures[k].per_time);
	}
	close(fd);
}

static void check_options(void)
{
	size_t i;

	if (bench_common.quick && nr_mib > 64)
		nr_mib = 64;
	if (nr_mib < 1 || nr_mib > 1 << 20)
		errx(1, "--mib: from 1 to 1048576");
	for (i = 0; i < sizeof(cells) / sizeof(cells[0]); i++)
		if (cells[i].nr_reads < 1000)
			errx(1, "--reads, --direct: at least 1000");
}

int main(int argc, char **argv)
{
	size_t i;
	int file;

	if (sched_getaffinity(0, sizeof(all_cpus), &all_cpus))
		err(1, "sched_getaffinity");
	bench_begin(argc, argv,
		    "file - random reads of 4 KB, 32 at a time, per CPU second",
		    options);
	check_options();
#ifndef HAVE_LIBUV
	printf("left out: libuv: not found by configure\n");
#endif
	bench_deadline(300);
	file = make_file();
	printf("a file of %u MiB, readers on %s\n", nr_mib,
	       uses_all_cpus ? "all CPUs" : "the same CPU");
	puts("                                ratio to a pool  reads per CPU"
	     " second  per second\n"
	     "file from   reader               of 4   of 32     median"
	     "      best     median");
	for (i = 0; i < sizeof(cells) / sizeof(cells[0]); i++)
		run_cell(&cells[i], file);
	return 0;
}
