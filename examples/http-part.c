/* SPDX-License-Identifier: BSD-2-Clause */
/* http-part.c - the pieces that answers are made of. */
#include "http-part.h"
#include "http-file.h"

#include <stdlib.h>

/* So many are kept for use again, beside those that are in use. */
static const struct {
	size_t size;
	unsigned max_unused;
} kinds[] = {
	[PART_HEAD] = { HEAD_SIZE, 1024 },
	[PART_CHUNK] = { CHUNK_SIZE, 64 },
	[PART_CONTENT] = { 0, 4096 },
};

struct part *part_get(struct parts *parts, enum part_kind kind)
{
	struct part *part = parts->unused[kind];

	if (part) {
		parts->unused[kind] = part->next;
		parts->nr_unused[kind]--;
	} else {
		part = malloc(sizeof(*part) + kinds[kind].size);
		if (!part)
			return NULL;
	}
	part->kind = kind;
	part->is_last = false;
	part->content = NULL;
	part->piece.bytes = part->memory;
	part->piece.size = 0;
	part->piece.data = part;
	return part;
}

void part_put(struct parts *parts, struct part *part)
{
	enum part_kind kind = part->kind;

	content_put(part->content);
	if (parts->nr_unused[kind] == kinds[kind].max_unused) {
		free(part);
		return;
	}
	part->next = parts->unused[kind];
	parts->unused[kind] = part;
	parts->nr_unused[kind]++;
}

void parts_exit(struct parts *parts)
{
	struct part *part;
	int kind;

	for (kind = 0; kind < NR_PART_KINDS; kind++)
		while ((part = parts->unused[kind])) {
			parts->unused[kind] = part->next;
			free(part);
		}
}
