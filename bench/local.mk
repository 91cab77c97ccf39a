# SPDX-License-Identifier: BSD-2-Clause

# Built by `make bench', neither by `make' nor installed.
bench_programs = %D%/chain %D%/post %D%/quiet %D%/server %D%/timer %D%/wait
EXTRA_PROGRAMS += $(bench_programs)
CLEANFILES     += $(bench_programs)

bench_loop_sources = %D%/bench.c %D%/bench.h %D%/side.c %D%/side.h
bench_loop_libs    = lib/libevring.la $(LIBURING_LIBS) $(EV_LIBS)

%C%_chain_SOURCES = %D%/chain.c $(bench_loop_sources)
%C%_chain_LDADD   = $(bench_loop_libs)

%C%_post_SOURCES = %D%/post.c $(bench_loop_sources)
%C%_post_LDADD   = $(bench_loop_libs) -lpthread

%C%_server_SOURCES = %D%/server.c %D%/echo/echo.h %D%/echo/epoll.c \
	%D%/echo/ops.c %D%/echo/uring.c %D%/bench.c %D%/bench.h
%C%_server_LDADD   = $(bench_loop_libs)

%C%_quiet_SOURCES = %D%/quiet.c $(bench_loop_sources)
# With the library's objects: it replaces the backend of a loop.
%C%_quiet_LDADD   = lib/libevr.la $(LIBURING_LIBS) $(EV_LIBS)

%C%_timer_SOURCES = %D%/timer.c $(bench_loop_sources)
%C%_timer_LDADD   = $(bench_loop_libs)

# The kernel's share alone: no evring in it.
%C%_wait_SOURCES = %D%/wait.c %D%/bench.c %D%/bench.h
%C%_wait_LDADD   = $(LIBURING_LIBS) $(EV_LIBS)

# Programs as they are; see its text.
EXTRA_DIST += %D%/real

.PHONY: bench
bench: $(bench_programs)
