/* SPDX-License-Identifier: BSD-2-Clause */
/* http-date.h - dates as HTTP has them; and as the log has. */
#ifndef HTTP_DATE_H
#define HTTP_DATE_H

#include <stdbool.h>
#include <time.h>

enum { HTTP_DATE_SIZE = 30, LOG_DATE_SIZE = 27 };

/* "Sun, 06 Nov 1994 08:49:37 GMT" */
void http_date_format(time_t time, char text[HTTP_DATE_SIZE]);

/* "06/Nov/1994:08:49:37 +0000" */
void log_date_format(time_t time, char text[LOG_DATE_SIZE]);

/* Any of the three forms that RFC 9110 wants to be understood. */
bool http_date_parse(const char *text, time_t *ret_time);

#endif
