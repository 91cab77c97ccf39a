/* SPDX-License-Identifier: BSD-2-Clause */
/* http-type.h - media types, by the ends of files' names. */
#ifndef HTTP_TYPE_H
#define HTTP_TYPE_H

const char *http_type(const char *path);

#endif
