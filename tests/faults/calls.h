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
#include <sys/mman.h>

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
#define mmap			   inject_mmap
#define madvise			   inject_madvise
#define malloc			   inject_malloc
#define calloc			   inject_calloc
#define realloc			   inject_realloc
#define free			   inject_free
#endif

#endif
