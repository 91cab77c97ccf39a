/* SPDX-License-Identifier: BSD-2-Clause */
/* http-answer.h - what is said to a request: status, head, which bytes. */
#ifndef HTTP_ANSWER_H
#define HTTP_ANSWER_H

#include "http-condition.h"
#include "http-text.h"
#include "http.h"

struct answer {
	int status;
	uint64_t length;    /* of the body that is sent, for the log */
	struct range range; /* of the file; its size is 0 if nothing is sent */
};

/* The head goes to text, which has room for HEAD_SIZE. */
void answer_file(struct http_worker *worker, const struct request *request,
		 const struct file *file, struct text *text,
		 struct answer *ret_answer);

/*
 * An answer without a file: head, and a line as its body.  For 301, location
 * is the path to be redirected to, to which a slash is added; text has room for
 * three times its size beside HEAD_SIZE.
 */
void answer_status(struct http_worker *worker, const struct request *request,
		   int status, const char *location, struct text *text,
		   struct answer *ret_answer);

#endif
