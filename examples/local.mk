# SPDX-License-Identifier: BSD-2-Clause

# Built, not installed. What daemons have in common:
noinst_LTLIBRARIES += %D%/libdaemon.la
%C%_libdaemon_la_SOURCES = \
	%D%/daemon/accept.c \
	%D%/daemon/daemon.c %D%/daemon/daemon.h \
	%D%/daemon/endpoint.c \
	%D%/daemon/options.c \
	%D%/daemon/private.h \
	%D%/daemon/stats.c \
	%D%/daemon/stream.c %D%/daemon/stream.h \
	%D%/daemon/worker.c
example_libs = %D%/libdaemon.la lib/libevring.la $(LIBURING_LIBS) $(EV_LIBS) \
	-lpthread

noinst_PROGRAMS += %D%/echo
%C%_echo_SOURCES = %D%/echo.c %D%/echo.h %D%/echo-operations.c \
	%D%/echo-ticks.c %D%/echo-watchers.c
%C%_echo_LDADD   = $(example_libs)

# A cache that speaks RESP2; what is known of sockets is in the first two files.
resp_sources = \
	%D%/resp-commands.c %D%/resp-commands.h \
	%D%/resp-hash.c %D%/resp-hash.h \
	%D%/resp-heap.c %D%/resp-heap.h \
	%D%/resp-keys.c \
	%D%/resp-parse.c %D%/resp-parse.h \
	%D%/resp-reply.c %D%/resp-reply.h \
	%D%/resp-server.c \
	%D%/resp-shards.c %D%/resp-shards.h \
	%D%/resp-store.c %D%/resp-store.h \
	%D%/resp-strings.c \
	%D%/resp-table.c %D%/resp-table.h
noinst_PROGRAMS += %D%/resp
%C%_resp_SOURCES = %D%/resp.c %D%/resp.h %D%/resp-client.c $(resp_sources)
%C%_resp_LDADD   = $(example_libs)
noinst_PROGRAMS += %D%/proxy
%C%_proxy_SOURCES = \
	%D%/proxy.c %D%/proxy.h \
	%D%/proxy-chunk.c \
	%D%/proxy-session.c
%C%_proxy_LDADD = $(example_libs) $(LIBURING_LIBS)
if HAVE_HTTP_PARSER
noinst_PROGRAMS += %D%/http
%C%_http_SOURCES = \
	%D%/http.c %D%/http.h \
	%D%/http-answer.c %D%/http-answer.h \
	%D%/http-condition.c %D%/http-condition.h \
	%D%/http-connection.c %D%/http-connection.h \
	%D%/http-date.c %D%/http-date.h \
	%D%/http-file.c %D%/http-file.h \
	%D%/http-log.c %D%/http-log.h \
	%D%/http-parse.c %D%/http-parse.h \
	%D%/http-part.c %D%/http-part.h \
	%D%/http-path.c %D%/http-path.h \
	%D%/http-text.h \
	%D%/http-type.c %D%/http-type.h
%C%_http_CPPFLAGS = $(AM_CPPFLAGS) $(HTTP_PARSER_CPPFLAGS)
%C%_http_LDADD = $(example_libs) $(HTTP_PARSER_LIBS)
endif

# Built by tests/embedding.sh as strangers would, with its own Makefile.
EXTRA_DIST += %D%/embed/Makefile %D%/embed/clock.c %D%/embed/libev.c
