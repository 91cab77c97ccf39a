/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * self.c - which process and which thread is running, without a system call.
 *
 * A ring must not be touched by a forked child (the memory is shared with the
 * parent) nor by a foreign thread (the kernel refuses it, and its registered
 * ring fd is another ring there).  So both are asked before every use of a
 * ring, in a few nanoseconds:
 *
 * a) A page with MADV_WIPEONFORK (Linux 4.14) holds a number; in a child it
 *    reads 0, whoever made the child and however.  getpid() would cost a
 *    system call, pthread_atfork() misses raw clone().
 * b) pthread_self() and the address of a thread-local variable come back when
 *    a thread ends and another starts.  A counter in a thread-local variable
 *    does not.
 *
 * The page is made once per process and never unmapped: a word in it may be
 * read at any time.
 *
 * Invariant:
 *
 * (1) No number is given out twice along one line of descent: the counter is
 *     ordinary memory, so a child goes on counting where its parent was.
 */
#include "config.h"

#include "self.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

/* uint_fast64_t is lock-free on everything that has io_uring. */
static _Atomic(_Atomic uint64_t *) page;
static _Atomic uint64_t last_process;
static _Atomic uint64_t last_thread;
static _Thread_local uint64_t thread;

int evr_self_init(void)
{
	size_t size = (size_t)sysconf(_SC_PAGESIZE);
	_Atomic uint64_t *expected = NULL;
	void *mem;

	if (atomic_load(&page))
		return 0;
	mem = mmap(NULL, size, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (mem == MAP_FAILED)
		return -errno;
	if (madvise(mem, size, MADV_WIPEONFORK) < 0) {
		int r = -errno;

		munmap(mem, size);
		return r;
	}
	if (!atomic_compare_exchange_strong(&page, &expected,
					    (_Atomic uint64_t *)mem))
		munmap(mem, size); /* another thread was faster */
	return 0;
}

uint64_t evr_process_id(void)
{
	_Atomic uint64_t *word =
		atomic_load_explicit(&page, memory_order_acquire);
	uint64_t id = atomic_load_explicit(word, memory_order_relaxed);
	uint64_t fresh;

	if (evr_likely(id))
		return id;
	/* First look in this process; of several threads one wins. */
	fresh = atomic_fetch_add(&last_process, 1) + 1;
	if (atomic_compare_exchange_strong(word, &id, fresh))
		return fresh;
	return id;
}

uint64_t evr_thread_id(void)
{
	if (evr_unlikely(!thread))
		thread = atomic_fetch_add(&last_thread, 1) + 1;
	return thread;
}
