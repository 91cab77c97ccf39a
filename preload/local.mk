# SPDX-License-Identifier: BSD-2-Clause

# What `evring run` loads into a program. It is linked with libc alone; see
# real.c.
pkglib_LTLIBRARIES += %D%/libevring-preload.la
%C%_libevring_preload_la_SOURCES = \
	%D%/ledger.c %D%/ledger.h \
	%D%/options.c %D%/options.h \
	%D%/page.h \
	%D%/path.c %D%/path.h \
	%D%/preload.c \
	%D%/real.c %D%/real.h \
	%D%/report.c %D%/report.h \
	%D%/say.c %D%/say.h \
	%D%/terms.c %D%/terms.h
%C%_libevring_preload_la_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/lib
%C%_libevring_preload_la_LIBADD  = -ldl -lpthread
%C%_libevring_preload_la_LDFLAGS = $(AM_LDFLAGS) $(NO_UNDEFINED) \
	-module -avoid-version -shared

# It is alone in its folder.
uninstall-hook:
	-test ! -d "$(DESTDIR)$(pkglibdir)" || rmdir "$(DESTDIR)$(pkglibdir)"
