# SPDX-License-Identifier: BSD-2-Clause

# Built by `make bench', neither by `make' nor installed.
bench_programs = %D%/burst %D%/chain %D%/file %D%/ping %D%/post \
	%D%/quiet %D%/server %D%/start %D%/timer %D%/wait
EXTRA_PROGRAMS += $(bench_programs)
CLEANFILES     += $(bench_programs)

bench_base_sources = %D%/bench.c %D%/bench.h %D%/row.c %D%/row.h
bench_loop_sources = %D%/side.c %D%/side.h $(bench_base_sources)
bench_echo_sources = %D%/echo/echo.h %D%/echo/epoll.c %D%/echo/loop.c \
	%D%/echo/loop.h %D%/echo/process.c %D%/echo/process.h \
	$(bench_loop_sources)
bench_loop_libs    = lib/libevring.la $(LIBURING_LIBS) $(EV_LIBS)

%C%_burst_SOURCES = %D%/burst.c %D%/calls.c %D%/calls.h \
	$(bench_echo_sources)
%C%_burst_LDADD   = $(bench_loop_libs)

%C%_chain_SOURCES = %D%/chain.c $(bench_loop_sources)
%C%_chain_LDADD   = $(bench_loop_libs)

%C%_file_SOURCES  = %D%/file.c %D%/read/read.h %D%/read/ops.c \
	$(bench_base_sources)
%C%_file_CPPFLAGS = $(AM_CPPFLAGS) $(LIBUV_CFLAGS)
%C%_file_LDADD    = $(LIBUV_LIBS) $(bench_loop_libs)
if HAVE_LIBUV
%C%_file_SOURCES += %D%/read/libuv.c
endif

%C%_ping_SOURCES = %D%/ping.c %D%/calls.c %D%/calls.h \
	%D%/echo/bare.c %D%/echo/buffers.h %D%/echo/uring.c \
	$(bench_echo_sources)
%C%_ping_LDADD   = $(bench_loop_libs)

%C%_post_SOURCES = %D%/post.c $(bench_loop_sources)
%C%_post_LDADD   = $(bench_loop_libs) -lpthread

# libevent before libev, which has functions of the same names.
%C%_server_SOURCES  = %D%/server.c %D%/calls.c %D%/calls.h \
	%D%/echo/bare.c %D%/echo/buffers.h %D%/echo/ops.c \
	%D%/echo/sockets.c %D%/echo/uring.c $(bench_echo_sources)
%C%_server_CPPFLAGS = $(AM_CPPFLAGS) $(LIBUV_CFLAGS) $(LIBEVENT_CFLAGS)
%C%_server_LDADD    = $(LIBEVENT_LIBS) $(LIBUV_LIBS) $(bench_loop_libs)
if HAVE_LIBUV
%C%_server_SOURCES += %D%/echo/libuv.c
endif
if HAVE_LIBEVENT
%C%_server_SOURCES += %D%/echo/libevent.c
endif

%C%_quiet_SOURCES = %D%/quiet.c $(bench_loop_sources)
# With the library's objects: it replaces the backend of a loop.
%C%_quiet_LDADD   = lib/libevr.la $(LIBURING_LIBS) $(EV_LIBS)

%C%_start_SOURCES = %D%/start.c $(bench_loop_sources)
%C%_start_LDADD   = $(bench_loop_libs)

%C%_timer_SOURCES = %D%/timer.c $(bench_loop_sources)
%C%_timer_LDADD   = $(bench_loop_libs)

# The kernel's share alone: no evring in it.
%C%_wait_SOURCES = %D%/wait.c $(bench_base_sources)
%C%_wait_LDADD   = $(LIBURING_LIBS) $(EV_LIBS)

# All of these in one run; programs as they are, and daemons; see their texts.
EXTRA_DIST += %D%/compare %D%/results.py %D%/daemons %D%/real \
	%D%/row.py %D%/turns.sh \
	%D%/results/overview.svg %D%/results/results.md

.PHONY: bench
bench: $(bench_programs)
