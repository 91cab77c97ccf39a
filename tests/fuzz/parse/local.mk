# SPDX-License-Identifier: BSD-2-Clause
# The parsers of what comes from outside, as targets for a fuzzer: with their
# corpus among the tests, and with libFuzzer for scripts/fuzz.

parse_common = %D%/target.h
if !FUZZ
parse_common += %D%/corpus.c
TESTS += $(parse_targets)
endif
parse_targets = \
	%D%/daemon.t \
	%D%/layout.t \
	%D%/options.t \
	%D%/page.t \
	%D%/program.t \
	%D%/resp.t
if HAVE_HTTP_PARSER
parse_targets += %D%/http.t
endif
check_PROGRAMS += $(parse_targets)
EXTRA_DIST += tests/fuzz/corpus

%C%_daemon_t_SOURCES = %D%/daemon.c examples/daemon/endpoint.c $(parse_common)
%C%_daemon_t_CFLAGS = $(AM_CFLAGS)
%C%_daemon_t_LDADD = lib/libevring.la $(EV_LIBS)
%C%_daemon_t_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
# With a libev of its own.
%C%_layout_t_SOURCES = %D%/layout.c lib/layout.c $(parse_common)
%C%_layout_t_CFLAGS = $(AM_CFLAGS)
%C%_layout_t_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
%C%_options_t_SOURCES = %D%/options.c preload/options.c $(parse_common)
%C%_options_t_LDADD = lib/libevr.la $(LIBURING_LIBS) $(EV_LIBS) -lpthread
%C%_options_t_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
%C%_page_t_SOURCES = %D%/page.c tools/output.c tools/process.c \
	preload/terms.c $(parse_common)
%C%_page_t_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/preload
%C%_page_t_LDADD = lib/libevring.la $(EV_LIBS)
%C%_page_t_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
%C%_program_t_SOURCES = %D%/program.c tools/program.c $(parse_common)
%C%_program_t_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
%C%_resp_t_SOURCES = %D%/resp.c examples/resp-parse.c $(parse_common)
%C%_resp_t_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
if HAVE_HTTP_PARSER
%C%_http_t_SOURCES = %D%/http.c examples/http-condition.c \
	examples/http-date.c examples/http-parse.c examples/http-path.c \
	$(parse_common)
%C%_http_t_CPPFLAGS = $(AM_CPPFLAGS) $(HTTP_PARSER_CPPFLAGS)
%C%_http_t_LDADD = $(HTTP_PARSER_LIBS)
%C%_http_t_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
endif
