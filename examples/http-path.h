/* SPDX-License-Identifier: BSD-2-Clause */
/* http-path.h - from a request's target to a path below ROOT, and back. */
#ifndef HTTP_PATH_H
#define HTTP_PATH_H

#include "http-text.h"

/* As the kernel's limit, with the 0 at the end. */
enum { HTTP_PATH_SIZE = 4096 };

/*
 * target, in origin-form ("/a?b") or absolute-form ("http://host/a?b"), to a
 * relative path without empty, "." and ".." segments; a target that names a
 * directory by a slash at its end gets index.
 *
 * Returns 0; or the status to answer with: 400 for what is not a target, and
 * what leads out of the root; 404 for what is longer than any path can be.
 */
int http_path_decode(const char *target, size_t size, const char *index,
		     char path[HTTP_PATH_SIZE]);

/* "/" and path, encoded so that it can stand in a header. */
void http_path_encode(struct text *text, const char *path);

#endif
