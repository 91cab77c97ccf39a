# SPDX-License-Identifier: BSD-2-Clause

include_HEADERS = include/evring.h include/evring-embed.h include/evring-net.h

# The objects, once. Tests link this: hidden evr_ functions can be tested and
# nothing is exported for tests.
noinst_LTLIBRARIES += %D%/libevr.la
%C%_libevr_la_SOURCES = $(evr_sources)
evr_sources = \
	%D%/accept.c \
	%D%/bind.c %D%/bind.h \
	%D%/engine.c %D%/engine.h \
	%D%/evr.h \
	%D%/flight.c %D%/flight.h \
	%D%/group.c %D%/group.h \
	%D%/layout.c %D%/layout.h \
	%D%/napi.c %D%/napi.h \
	%D%/op.c %D%/op.h \
	%D%/poll.c %D%/poll.h \
	%D%/port.c %D%/port.h \
	%D%/post.c \
	%D%/probe.c %D%/probe.h \
	%D%/recv.c \
	%D%/ring.c %D%/ring.h \
	%D%/self.c %D%/self.h \
	%D%/send.c \
	%D%/spin.c %D%/spin.h \
	%D%/text.c \
	%D%/uapi.h \
	%D%/waker.c %D%/waker.h

lib_LTLIBRARIES += %D%/libevring.la
%C%_libevring_la_SOURCES =
%C%_libevring_la_LIBADD  = %D%/libevr.la $(LIBURING_LIBS) $(EV_LIBS)
%C%_libevring_la_LDFLAGS = $(AM_LDFLAGS) $(NO_UNDEFINED) \
	-version-number $(EVRING_LT_VERSION) \
	-Wl,--no-undefined-version \
	-Wl,--version-script=$(top_srcdir)/%D%/evring.map
EXTRA_%C%_libevring_la_DEPENDENCIES = %D%/evring.map
EXTRA_DIST += %D%/evring.map

# All of it as one file, for programs that carry ev.c, and what goes with it.
all_files = $(include_HEADERS) LICENSE
EXTRA_DIST += scripts/amalgamate
CLEANFILES += amalgamation/*
.PHONY: amalgamation
amalgamation: amalgamation/evring-all.c
amalgamation/evring-all.c: $(evr_sources) $(all_files) scripts/amalgamate
	$(AM_V_GEN)$(MKDIR_P) amalgamation
	$(AM_V_at)for file in $(all_files); do \
		cp -f $(srcdir)/$$file amalgamation/ || exit 1; \
	done
	$(AM_V_at)cd $(srcdir) && $(SHELL) scripts/amalgamate $(evr_sources) \
		>$(abs_builddir)/$@.tmp
	$(AM_V_at)mv $@.tmp $@

pkgconfig_DATA = %D%/evring.pc
