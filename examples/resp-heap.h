/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * resp-heap.h - what is due first, among many that have a time.
 *
 * A binary heap of pairs.  Whoever is in it knows its place, so that it can be
 * taken out or get another time without a search.
 *
 * Invariants:
 *
 * (1) No node is due before its parent, which is at half its index.
 * (2) *node->place is the index of node; 0 is no place: the heap begins at 1.
 */
#ifndef RESP_HEAP_H
#define RESP_HEAP_H

#include <stddef.h>
#include <stdint.h>

struct heap_node {
	int64_t due;
	uint32_t *place; /* the owner's; it moves with heap_moved() */
};

struct heap {
	struct heap_node *nodes; /* the first one is not used */
	uint32_t nr, room;
};

/* All zero is an empty heap.  The places are the owners', and stay. */
void heap_exit(struct heap *heap);

/* See to it that one more can be added; 0 or -ENOMEM. */
int heap_reserve(struct heap *heap);

/* Add, or give another time; to add, heap_reserve() has returned 0 before. */
void heap_set(struct heap *heap, uint32_t *place, int64_t due);

/* Without effect when it is not there; *place is 0 then. */
void heap_remove(struct heap *heap, uint32_t *place);

/* The owner's place is in other memory now. */
static inline void heap_moved(struct heap *heap, uint32_t *place)
{
	if (*place)
		heap->nodes[*place].place = place;
}

static inline int64_t heap_due(const struct heap *heap, uint32_t place)
{
	return heap->nodes[place].due;
}

/* What is due first, or NULL. */
static inline const struct heap_node *heap_first(const struct heap *heap)
{
	return heap->nr ? &heap->nodes[1] : NULL;
}

#endif
