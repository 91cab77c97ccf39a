/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * resp-heap.c - see resp-heap.h.
 */
#include "resp-heap.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

enum { MIN_ROOM = 64 };

void heap_exit(struct heap *heap)
{
	free(heap->nodes);
	*heap = (struct heap){ 0 };
}

static int resize(struct heap *heap, uint32_t room)
{
	struct heap_node *nodes;

	nodes = realloc(heap->nodes, sizeof(*nodes) * room);
	if (!nodes)
		return -ENOMEM;
	heap->nodes = nodes;
	heap->room = room;
	return 0;
}

int heap_reserve(struct heap *heap)
{
	if (heap->nr + 1 < heap->room)
		return 0;
	if (heap->room > UINT32_MAX / 2)
		return -ENOMEM;
	return resize(heap, heap->room ? heap->room * 2 : MIN_ROOM);
}

static void put(struct heap *heap, uint32_t at, struct heap_node node)
{
	heap->nodes[at] = node;
	*node.place = at;
}

/* Both move node to where it belongs; the one at `at' is overwritten. */
static void move_up(struct heap *heap, uint32_t at, struct heap_node node)
{
	for (; at > 1 && heap->nodes[at / 2].due > node.due; at /= 2)
		put(heap, at, heap->nodes[at / 2]);
	put(heap, at, node);
}

static void move_down(struct heap *heap, uint32_t at, struct heap_node node)
{
	for (;;) {
		uint32_t child = 2 * at;

		if (child < heap->nr &&
		    heap->nodes[child + 1].due < heap->nodes[child].due)
			child++;
		if (child > heap->nr || heap->nodes[child].due >= node.due)
			break;
		put(heap, at, heap->nodes[child]);
		at = child;
	}
	put(heap, at, node);
}

static void move(struct heap *heap, uint32_t at, struct heap_node node)
{
	if (at > 1 && heap->nodes[at / 2].due > node.due)
		move_up(heap, at, node);
	else
		move_down(heap, at, node);
}

void heap_set(struct heap *heap, uint32_t *place, int64_t due)
{
	struct heap_node node = { .due = due, .place = place };

	if (*place == 0)
		move_up(heap, ++heap->nr, node);
	else
		move(heap, *place, node);
}

void heap_remove(struct heap *heap, uint32_t *place)
{
	uint32_t at = *place;
	struct heap_node last;

	if (at == 0)
		return;
	*place = 0;
	last = heap->nodes[heap->nr--];
	if (at <= heap->nr)
		move(heap, at, last);
	if (heap->room > MIN_ROOM && heap->nr < heap->room / 8)
		resize(heap, heap->room / 2);
}
