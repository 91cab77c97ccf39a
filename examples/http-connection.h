/* SPDX-License-Identifier: BSD-2-Clause */
/* http-connection.h - a connection: requests in, answers out, in order. */
#ifndef HTTP_CONNECTION_H
#define HTTP_CONNECTION_H

#include "http.h"

/* fd is the connection's, whatever becomes of it. */
void connection_begin(struct http_worker *worker, int fd);

/* Those that are not in use. */
void connections_exit(struct http_worker *worker);

#endif
