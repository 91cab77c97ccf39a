/* SPDX-License-Identifier: BSD-2-Clause */
/* http-condition.h - what If-... and Range ask for; RFC 9110, 13 and 14. */
#ifndef HTTP_CONDITION_H
#define HTTP_CONDITION_H

#include "http-file.h"
#include "http-parse.h"

struct range {
	uint64_t first, size;
};

/* 200: as without conditions; 304; or 412. */
int http_conditions(const struct request *request, const struct file *file);

/*
 * 206, and *ret_range is the part; 416; or 200: all of it is to be sent.  Of
 * several ranges in one request all are ignored.
 */
int http_range(const struct request *request, const struct file *file,
	       struct range *ret_range);

#endif
