/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * http-part.h - the pieces that answers are made of: from lists of unused ones,
 * so that a request costs no allocation.
 */
#ifndef HTTP_PART_H
#define HTTP_PART_H

#include <evring-net.h>
#include <stdbool.h>

struct content;

enum part_kind {
	PART_HEAD,    /* a head, and what is as short */
	PART_CHUNK,   /* a part of a file, read for this */
	PART_CONTENT, /* a part of a content that others send, too */
	NR_PART_KINDS
};

enum { HEAD_SIZE = 1024, CHUNK_SIZE = 65536 };

struct part {
	struct evring_piece piece; /* its data is the part */
	enum part_kind kind;
	bool is_last;		 /* of an answer */
	struct content *content; /* PART_CONTENT: held */
	struct part *next;	 /* unused, too */
	char memory[];		 /* by kind: HEAD_SIZE, CHUNK_SIZE, none */
};

struct parts {
	struct part *unused[NR_PART_KINDS];
	unsigned nr_unused[NR_PART_KINDS];
};

/* NULL: no memory. */
struct part *part_get(struct parts *parts, enum part_kind kind);
void part_put(struct parts *parts, struct part *part);
void parts_exit(struct parts *parts);

#endif
