# SPDX-License-Identifier: BSD-2-Clause

bin_PROGRAMS += %D%/evring
%C%_evring_SOURCES = \
	%D%/diagnose.c %D%/diagnose.h \
	%D%/evring.c \
	%D%/facts.c %D%/facts.h \
	%D%/info.c %D%/info.h \
	%D%/names.c %D%/names.h \
	%D%/output.c %D%/output.h \
	%D%/process.c %D%/process.h \
	%D%/program.c %D%/program.h \
	%D%/run.c %D%/run.h \
	preload/options.c preload/options.h \
	preload/path.c preload/path.h \
	preload/terms.c preload/terms.h
%C%_evring_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/lib \
	-I$(top_srcdir)/preload -DBINDIR='"$(bindir)"' \
	-DPKGLIBDIR='"$(pkglibdir)"'
%C%_evring_LDADD = lib/libevr.la $(LIBURING_LIBS) $(EV_LIBS) -ldl
