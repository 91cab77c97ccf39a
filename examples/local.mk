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
