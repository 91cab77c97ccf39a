# SPDX-License-Identifier: BSD-2-Clause

bin_PROGRAMS += %D%/evring
%C%_evring_SOURCES = \
	%D%/evring.c \
	%D%/program.c %D%/program.h \
	%D%/run.c %D%/run.h \
	preload/options.c preload/options.h \
	preload/path.c preload/path.h
%C%_evring_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/lib \
	-I$(top_srcdir)/preload -DBINDIR='"$(bindir)"' \
	-DPKGLIBDIR='"$(pkglibdir)"'
%C%_evring_LDADD = lib/libevr.la $(LIBURING_LIBS) $(EV_LIBS)
