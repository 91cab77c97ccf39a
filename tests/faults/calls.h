/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * calls.h - included before every file of the library in faults.t: what may
 * fail there is called through inject.c.
 */
#ifndef CALLS_H
#define CALLS_H

#include "config.h"

#include <liburing.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

int inject_io_uring_enter2(unsigned fd, unsigned to_submit,
			   unsigned min_complete, unsigned flags, void *arg,
			   size_t size);
int inject_io_uring_queue_init_params(unsigned entries, struct io_uring *ring,
				      struct io_uring_params *params);
void inject_io_uring_queue_exit(struct io_uring *ring);
int inject_io_uring_ring_dontfork(struct io_uring *ring);
int inject_io_uring_enable_rings(struct io_uring *ring);
int inject_io_uring_register_region(struct io_uring *ring,
				    struct io_uring_mem_region_reg *reg);
int inject_io_uring_register(unsigned fd, unsigned opcode, const void *arg,
			     unsigned nr);
int inject_io_uring_register_files(struct io_uring *ring, const int *fds,
				   unsigned nr);
int inject_io_uring_register_buf_ring(struct io_uring *ring,
				      struct io_uring_buf_reg *reg,
				      unsigned flags);
int inject_pipe2(int fds[2], int flags);
int inject_eventfd(unsigned count, int flags);
void *inject_mmap(void *addr, size_t size, int prot, int flags, int fd,
		  off_t offset);
int inject_madvise(void *addr, size_t size, int advice);
void *inject_malloc(size_t size);
void *inject_calloc(size_t nr, size_t size);
void *inject_realloc(void *old, size_t size);
void inject_free(void *piece);

#ifndef INJECT_H
#define io_uring_enter2		   inject_io_uring_enter2
#define io_uring_queue_init_params inject_io_uring_queue_init_params
#define io_uring_queue_exit	   inject_io_uring_queue_exit
#define io_uring_ring_dontfork	   inject_io_uring_ring_dontfork
#define io_uring_enable_rings	   inject_io_uring_enable_rings
#define io_uring_register_region   inject_io_uring_register_region
#define io_uring_register	   inject_io_uring_register
#define io_uring_register_files	   inject_io_uring_register_files
#define io_uring_register_buf_ring inject_io_uring_register_buf_ring
#define pipe2			   inject_pipe2
#define eventfd			   inject_eventfd
#define mmap			   inject_mmap
#define madvise			   inject_madvise
#define malloc			   inject_malloc
#define calloc			   inject_calloc
#define realloc			   inject_realloc
#define free			   inject_free
#endif

#endif
