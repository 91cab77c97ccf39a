# SPDX-License-Identifier: BSD-2-Clause
# A test program per file of the library, conform.t for the contract as a whole,
# and scripts that look at what was built. TAP, a line per test.

TEST_EXTENSIONS = .sh .t
T_LOG_DRIVER = env AM_TAP_AWK='$(AWK)' $(SHELL) \
	$(top_srcdir)/build-aux/tap-driver.sh
T_LOG_DRIVER_FLAGS = --comments
AM_TESTS_ENVIRONMENT = \
	top_srcdir='$(top_srcdir)'; export top_srcdir; \
	CC='$(CC)'; export CC; CXX='$(CXX)'; export CXX; NM='$(NM)'; export NM; \
	SAN_FLAGS='$(SAN_FLAGS)'; export SAN_FLAGS; \
	LIBEV_SOURCE='$(LIBEV_SOURCE)'; export LIBEV_SOURCE; \
	TEST_LIBS='$(LIBURING_LIBS) $(CHECK_LIBS) -lpthread -lm'; \
	export TEST_LIBS;

check_scripts = \
	%D%/check-abi.sh \
	%D%/check-archive.sh \
	%D%/check-exports.sh \
	%D%/check-guide.sh \
	%D%/check-header.sh \
	%D%/check-layers.sh \
	%D%/check-manual.sh \
	%D%/check-mutants.sh \
	%D%/check-relro.sh \
	%D%/check-static.sh \
	%D%/daemon.sh \
	%D%/echo.sh \
	%D%/echo-operations.sh \
	%D%/embedding.sh \
	%D%/engines.sh \
	%D%/http.sh \
	%D%/info.sh \
	%D%/install.sh \
	%D%/resp.sh \
	%D%/restricted.sh \
	%D%/proxy.sh \
	%D%/run-bad.sh \
	%D%/run-close.sh \
	%D%/run-exec.sh \
	%D%/run-fds.sh \
	%D%/run-forks.sh \
	%D%/run-late.sh \
	%D%/run-loops.sh \
	%D%/run-stats.sh \
	%D%/syscalls.sh
EXTRA_DIST += $(check_scripts) %D%/common.sh %D%/daemon/common.sh \
	%D%/http-client.py %D%/proxy-cases.py %D%/resp.py
TESTS += $(check_scripts)

# Who info.sh asks, and under what.
check_PROGRAMS += %D%/info/filter %D%/info/loops %D%/info/page
%C%_info_filter_SOURCES = %D%/info/filter.c %D%/sandbox.c %D%/sandbox.h
%C%_info_loops_SOURCES = %D%/info/loops.c
%C%_info_loops_LDADD = $(EV_LIBS)
%C%_info_page_SOURCES = %D%/info/page.c

# What embedding.sh compiles.
EXTRA_DIST += %D%/embedding/objects.cc %D%/embedding/program.c

# The clients of daemon.sh.
check_PROGRAMS += %D%/daemon/client
%C%_daemon_client_SOURCES = %D%/daemon/client.c

test_cflags = $(AM_CFLAGS) $(CHECK_CFLAGS) $(test_coverage)
test_common = %D%/harness.c %D%/harness.h %D%/main.c \
	%D%/sandbox.c %D%/sandbox.h %D%/tsan.c %D%/works.h
# Their children leave by _exit(), which would leave no counts.
EXTRA_DIST += %D%/coverage.h %D%/coverage.py %D%/coverage-missing.md
if COVERAGE
test_coverage = -include $(top_srcdir)/%D%/coverage.h
endif
# The whole library, hidden functions included.
test_libs = lib/libevr.la $(LIBURING_LIBS) $(EV_LIBS) $(CHECK_LIBS) -lpthread

if HAVE_CHECK
check_PROGRAMS += $(unit_tests) %D%/conform.t
TESTS += $(unit_tests) %D%/conform.t
unit_tests = \
	%D%/accept.t \
	%D%/bind.t \
	%D%/edge.t \
	%D%/engine.t \
	%D%/facts.t \
	%D%/fds.t \
	%D%/layout.t \
	%D%/ledger.t \
	%D%/mutant.t \
	%D%/napi.t \
	%D%/op.t \
	%D%/poll.t \
	%D%/post.t \
	%D%/probe.t \
	%D%/recv.t \
	%D%/region.t \
	%D%/resp-parse.t \
	%D%/resp-store.t \
	%D%/restrict.t \
	%D%/ring.t \
	%D%/scale.t \
	%D%/self.t \
	%D%/send.t \
	%D%/spin.t \
	%D%/text.t

%C%_accept_t_SOURCES = %D%/accept.c $(test_common)
%C%_accept_t_CFLAGS = $(test_cflags)
%C%_accept_t_LDADD = $(test_libs)
%C%_bind_t_SOURCES = %D%/bind.c $(test_common)
%C%_bind_t_CFLAGS = $(test_cflags)
%C%_bind_t_LDADD = $(test_libs)
%C%_edge_t_SOURCES = %D%/edge.c $(test_common)
%C%_edge_t_CFLAGS = $(test_cflags)
%C%_edge_t_LDADD = $(test_libs)
%C%_engine_t_SOURCES = %D%/engine.c $(test_common)
%C%_engine_t_CFLAGS = $(test_cflags)
%C%_engine_t_LDADD = $(test_libs)
%C%_facts_t_SOURCES = %D%/facts.c tools/diagnose.c tools/facts.c \
	tools/names.c tools/output.c preload/terms.c $(test_common)
%C%_facts_t_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/lib \
	-I$(top_srcdir)/preload
%C%_facts_t_CFLAGS = $(test_cflags)
%C%_facts_t_LDADD = $(test_libs) -ldl
%C%_fds_t_SOURCES = %D%/fds.c $(test_common)
%C%_fds_t_CFLAGS = $(test_cflags)
%C%_fds_t_LDADD = $(test_libs)
%C%_fds_t_LDFLAGS = -Wl,--wrap=pipe2,--wrap=eventfd,--wrap=dup3
%C%_layout_t_SOURCES = %D%/layout.c $(test_common)
%C%_layout_t_CFLAGS = $(test_cflags)
%C%_layout_t_LDADD = $(test_libs)
%C%_ledger_t_SOURCES = %D%/ledger.c preload/ledger.c $(test_common)
%C%_ledger_t_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/preload
%C%_ledger_t_CFLAGS = $(test_cflags)
%C%_ledger_t_LDADD = $(test_libs)
%C%_ledger_t_LDFLAGS = -Wl,--wrap=mmap,--wrap=mmap64
%C%_mutant_t_SOURCES = %D%/mutant.c $(test_common)
%C%_mutant_t_CFLAGS = $(test_cflags)
%C%_mutant_t_LDADD = $(test_libs)
%C%_napi_t_SOURCES = %D%/napi.c %D%/veth.c %D%/veth.h $(test_common)
%C%_napi_t_CFLAGS = $(test_cflags)
%C%_napi_t_LDADD = $(test_libs)
%C%_napi_t_LDFLAGS = -Wl,--wrap=getsockopt
%C%_op_t_SOURCES = %D%/op.c $(test_common)
%C%_op_t_CFLAGS = $(test_cflags)
%C%_op_t_LDADD = $(test_libs)
%C%_op_t_LDFLAGS = -Wl,--wrap=io_uring_enter2,--wrap=realloc
%C%_poll_t_SOURCES = %D%/poll.c $(test_common)
%C%_poll_t_CFLAGS = $(test_cflags)
%C%_poll_t_LDADD = $(test_libs)
%C%_post_t_SOURCES = %D%/post.c $(test_common)
%C%_post_t_CFLAGS = $(test_cflags)
%C%_post_t_LDADD = $(test_libs)
%C%_probe_t_SOURCES = %D%/probe.c $(test_common)
%C%_probe_t_CFLAGS = $(test_cflags)
%C%_probe_t_LDADD = $(test_libs)
%C%_probe_t_LDFLAGS = -Wl,--wrap=io_uring_register_restrictions
%C%_recv_t_SOURCES = %D%/recv.c $(test_common)
%C%_recv_t_CFLAGS = $(test_cflags)
%C%_recv_t_LDADD = $(test_libs)
%C%_region_t_SOURCES = %D%/region.c %D%/raw.c %D%/raw.h $(test_common)
%C%_region_t_CFLAGS = $(test_cflags)
%C%_region_t_LDADD = $(test_libs)
%C%_resp_parse_t_SOURCES = %D%/resp-parse.c examples/resp-parse.c \
	examples/resp-parse.h $(test_common)
%C%_resp_parse_t_CFLAGS = $(test_cflags)
%C%_resp_parse_t_LDADD = $(test_libs)
%C%_resp_store_t_SOURCES = %D%/resp-store.c examples/resp-hash.c \
	examples/resp-hash.h examples/resp-heap.c examples/resp-heap.h \
	examples/resp-store.c examples/resp-store.h \
	examples/resp-table.c examples/resp-table.h $(test_common)
%C%_resp_store_t_CFLAGS = $(test_cflags)
%C%_resp_store_t_LDADD = $(test_libs)
%C%_restrict_t_SOURCES = %D%/restrict.c %D%/raw.c %D%/raw.h $(test_common)
%C%_restrict_t_CFLAGS = $(test_cflags)
%C%_restrict_t_LDADD = $(test_libs)
%C%_restrict_t_LDFLAGS = -Wl,--wrap=io_uring_queue_init_params
%C%_ring_t_SOURCES = %D%/ring.c $(test_common)
%C%_ring_t_CFLAGS = $(test_cflags)
%C%_ring_t_LDADD = $(test_libs)
%C%_scale_t_SOURCES = %D%/scale.c $(test_common)
%C%_scale_t_CFLAGS = $(test_cflags)
%C%_scale_t_LDADD = $(test_libs)
%C%_self_t_SOURCES = %D%/self.c $(test_common)
%C%_self_t_CFLAGS = $(test_cflags)
%C%_self_t_LDADD = $(test_libs)
%C%_send_t_SOURCES = %D%/send.c $(test_common)
%C%_send_t_CFLAGS = $(test_cflags)
%C%_send_t_LDADD = $(test_libs)
%C%_spin_t_SOURCES = %D%/spin.c $(test_common)
%C%_spin_t_CFLAGS = $(test_cflags)
%C%_spin_t_LDADD = $(test_libs)
%C%_text_t_SOURCES = %D%/text.c $(test_common)
%C%_text_t_CFLAGS = $(test_cflags)
%C%_text_t_LDADD = $(test_libs)

# With an ev.c of its own, whose warnings are not ours.
if HAVE_LIBEV_SOURCE
check_PROGRAMS += %D%/embed.t
TESTS += %D%/embed.t
%C%_embed_t_SOURCES = %D%/embed.c $(test_common)
%C%_embed_t_CPPFLAGS = $(AM_CPPFLAGS) -I$(LIBEV_SOURCE)
%C%_embed_t_CFLAGS = $(SAN_FLAGS) $(CHECK_CFLAGS) $(test_coverage) -w
%C%_embed_t_LDADD = $(test_libs) -ldl
endif

# As a program would link it.
scenarios = \
	%D%/conform/all.c \
	%D%/conform/attaching.c \
	%D%/conform/closing.c \
	%D%/conform/collecting.c \
	%D%/conform/forks.c \
	%D%/conform/idle.c \
	%D%/conform/kinds.c \
	%D%/conform/loops.c \
	%D%/conform/many.c \
	%D%/conform/operations.c \
	%D%/conform/peers.c \
	%D%/conform/readiness.c \
	%D%/conform/reuse.c \
	%D%/conform/scene.c %D%/conform/scene.h \
	%D%/conform/sockets.c \
	%D%/conform/threads.c \
	%D%/conform/timers.c \
	%D%/conform/wakers.c \
	%D%/conform/watchers.c
%C%_conform_t_SOURCES = %D%/conform.c $(scenarios) $(test_common)
%C%_conform_t_CFLAGS = $(test_cflags)
%C%_conform_t_LDADD = lib/libevring.la $(EV_LIBS) $(CHECK_LIBS) -lpthread

# The same scenarios, with a library whose calls can fail.
check_PROGRAMS += %D%/faults.t
check_LTLIBRARIES += %D%/libfaulty.la
TESTS += %D%/faults.t
%C%_libfaulty_la_SOURCES = $(evr_sources)
%C%_libfaulty_la_CPPFLAGS = $(AM_CPPFLAGS) \
	-include $(top_srcdir)/%D%/faults/calls.h
%C%_faults_t_SOURCES = %D%/faults.c %D%/faults/calls.h %D%/faults/inject.c \
	%D%/faults/inject.h %D%/faults/told.c \
	$(scenarios) %D%/harness.c %D%/harness.h %D%/tsan.c
%C%_faults_t_CFLAGS = $(test_cflags)
%C%_faults_t_LDADD = %D%/libfaulty.la $(LIBURING_LIBS) $(EV_LIBS) \
	$(CHECK_LIBS) -lpthread
endif

# What packages ask when they are built: no other programs, some seconds each.
.PHONY: check-units
check-units:
	$(MAKE) check TESTS='$(unit_tests) $(unit_scripts)'
unit_scripts = %D%/check-abi.sh %D%/check-archive.sh %D%/check-exports.sh \
	%D%/check-layers.sh %D%/install.sh

# What check-abi.sh compares with, for this version.
EXTRA_DIST += %D%/abi %D%/dwarf-layout.awk
.PHONY: abi
abi: lib/libevring.la
	$(AM_TESTS_ENVIRONMENT) $(SHELL) $(srcdir)/%D%/check-abi.sh --write

# All faults, for every n, in every mode and row: hours.
.PHONY: check-faults
check-faults: %D%/faults.t
	%D%/faults.t --all

# Random programs on libev's own backend and on evring in every form; see the
# text of fuzz/differential.c. `make check' runs some of them, always the same;
# `make check-fuzz FUZZ="--seconds 600 --seed 7"' runs others.
check_PROGRAMS += %D%/differential.t
TESTS += %D%/differential.t
%C%_differential_t_SOURCES = \
	%D%/fuzz/differential.c \
	%D%/fuzz/machine.c %D%/fuzz/machine.h \
	%D%/fuzz/program.c %D%/fuzz/program.h \
	%D%/fuzz/shrink.c %D%/fuzz/shrink.h \
	%D%/fuzz/world.c %D%/fuzz/world.h \
	%D%/tsan.c
%C%_differential_t_LDADD = lib/libevring.la $(EV_LIBS) -lpthread

.PHONY: check-fuzz
check-fuzz: %D%/differential.t
	%D%/differential.t $(FUZZ)

# Are bugs in the library found by differential.t and faults.t? Some minutes.
EXTRA_DIST += %D%/plant.sh %D%/faults/planted.sh %D%/fuzz/planted.sh
.PHONY: check-planted
check-planted: %D%/differential.t %D%/faults.t
	for script in fuzz faults; do \
		$(AM_TESTS_ENVIRONMENT) \
		TEST_CPPFLAGS='$(LIBURING_CFLAGS) $(CPPFLAGS)' \
		TEST_LIBS='$(LIBURING_LIBS) $(EV_LIBS) $(CHECK_LIBS) -lpthread' \
		$(SHELL) $(srcdir)/%D%/$$script/planted.sh || exit 1; \
	done

# What scripts/soak runs beside the echo daemon.
soak_programs = %D%/soak/churn %D%/soak/mill
EXTRA_PROGRAMS += $(soak_programs)
CLEANFILES += $(soak_programs)
%C%_soak_churn_SOURCES = %D%/soak/churn.c %D%/soak/soak.c %D%/soak/soak.h
%C%_soak_mill_SOURCES = %D%/soak/mill.c %D%/soak/mill.h %D%/soak/jobs.c \
	%D%/soak/soak.c %D%/soak/soak.h
%C%_soak_mill_LDADD = lib/libevring.la $(EV_LIBS) -lpthread

# What a kernel under scripts/test-kernel starts.
EXTRA_DIST += %D%/kernel/init

# The tests of the library's files under valgrind, one process for each program,
# so that it sees all; and random programs without forks. Not conform.t: one
# process cannot hold it all, and a process for each of its tests takes an hour;
# it runs under the sanitizers.
.PHONY: check-valgrind
check-valgrind:
	$(MAKE) check TESTS='$(unit_tests) %D%/differential.t' \
		CK_FORK=no EVRING_VALGRIND=1 \
		T_LOG_COMPILER="$(LIBTOOL) --mode=execute $(VALGRIND)" \
		AM_T_LOG_FLAGS='-q --error-exitcode=3 --leak-check=full'
