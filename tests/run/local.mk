# SPDX-License-Identifier: BSD-2-Clause

EXTRA_DIST += %D%/common.sh %D%/other.c

# The programs that run-*.sh start plain and under `evring run`: on libev alone.
run_parts = %D%/parts.c %D%/parts.h
check_PROGRAMS += \
	%D%/ancient \
	%D%/both \
	%D%/closing \
	%D%/ends \
	%D%/forks \
	%D%/late \
	%D%/loops \
	%D%/without
%C%_ancient_SOURCES = %D%/ancient.c $(run_parts)
%C%_ancient_LDADD = %D%/libold.la $(EV_LIBS)
%C%_both_SOURCES = %D%/both.c $(run_parts)
%C%_both_LDADD = lib/libevring.la $(EV_LIBS)
%C%_closing_SOURCES = %D%/closing.c $(run_parts)
%C%_closing_LDADD = $(EV_LIBS) -lpthread
%C%_ends_SOURCES = %D%/ends.c $(run_parts)
%C%_ends_LDADD = $(EV_LIBS)
%C%_forks_SOURCES = %D%/forks.c $(run_parts)
%C%_forks_LDADD = $(EV_LIBS)
%C%_late_SOURCES = %D%/late.c
%C%_late_LDADD = -ldl
%C%_loops_SOURCES = %D%/loops.c $(run_parts)
%C%_loops_LDADD = $(EV_LIBS) -lpthread
%C%_without_SOURCES = %D%/without.c tests/sandbox.c tests/sandbox.h

# Shared objects, and not to be installed: hence the rpath.
check_LTLIBRARIES += %D%/beside.la %D%/libold.la %D%/plugin.la
run_ldflags = $(AM_LDFLAGS) -shared -avoid-version -rpath $(abs_builddir)/%D%
%C%_beside_la_SOURCES = %D%/beside.c
%C%_beside_la_LDFLAGS = -module $(run_ldflags)
%C%_libold_la_SOURCES = %D%/old.c
%C%_libold_la_LIBADD = $(EV_LIBS) -ldl
%C%_libold_la_LDFLAGS = $(run_ldflags)
%C%_plugin_la_SOURCES = %D%/plugin.c
%C%_plugin_la_LIBADD = $(EV_LIBS)
%C%_plugin_la_LDFLAGS = -module $(run_ldflags)

# Whose ev.c is its own, and its warnings, too.
if HAVE_LIBEV_SOURCE
check_PROGRAMS += %D%/own
%C%_own_SOURCES = %D%/own.c
%C%_own_CPPFLAGS = $(AM_CPPFLAGS) -I$(LIBEV_SOURCE)
%C%_own_CFLAGS = $(SAN_FLAGS) -w
%C%_own_LDADD = -lm
endif
