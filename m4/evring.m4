dnl SPDX-License-Identifier: BSD-2-Clause

dnl EVRING_TRY_FLAG(FLAG): adds FLAG to WARN_CFLAGS if the compiler has it.
AC_DEFUN([EVRING_TRY_FLAG], [
  AS_VAR_PUSHDEF([cache], [evring_cv_flag_$1])
  AC_CACHE_CHECK([whether $CC accepts $1], [cache], [
    evring_saved="$CFLAGS"
    CFLAGS="$CFLAGS -Werror $1"
    AC_COMPILE_IFELSE([AC_LANG_PROGRAM()],
      [AS_VAR_SET([cache], [yes])], [AS_VAR_SET([cache], [no])])
    CFLAGS="$evring_saved"
  ])
  AS_VAR_IF([cache], [yes], [WARN_CFLAGS="$WARN_CFLAGS $1"])
  AS_VAR_POPDEF([cache])
])

dnl EVRING_COMPILER_FLAGS: warnings into WARN_CFLAGS; sanitizers, or the counters
dnl of gcov, into SAN_FLAGS. CFLAGS belongs to the person who builds.
AC_DEFUN([EVRING_COMPILER_FLAGS], [
  WARN_CFLAGS=
  m4_foreach_w([flag], [-Wall -Wextra -Wshadow -Wstrict-prototypes
    -Wmissing-prototypes -Wpointer-arith -Wwrite-strings -Wvla -Wformat=2
    -fvisibility=hidden], [EVRING_TRY_FLAG(flag)])
  AC_ARG_ENABLE([werror],
    [AS_HELP_STRING([--enable-werror], [make warnings errors])],
    [], [enable_werror=no])
  AS_VAR_IF([enable_werror], [yes], [WARN_CFLAGS="$WARN_CFLAGS -Werror"])
  AC_SUBST([WARN_CFLAGS])
  # what the dynamic linker writes is read-only from the first call on
  AC_SUBST([RELRO_LDFLAGS], ["-Wl,-z,relro,-z,now"])

  AC_ARG_ENABLE([asan],
    [AS_HELP_STRING([--enable-asan],
      [build with the address and undefined behaviour sanitizers])],
    [], [enable_asan=no])
  AC_ARG_ENABLE([tsan],
    [AS_HELP_STRING([--enable-tsan], [build with the thread sanitizer])],
    [], [enable_tsan=no])
  AC_ARG_ENABLE([coverage],
    [AS_HELP_STRING([--enable-coverage],
      [build for gcov, without optimisation (see scripts/coverage)])],
    [], [enable_coverage=no])
  AC_ARG_ENABLE([fuzz],
    [AS_HELP_STRING([--enable-fuzz],
      [build for scripts/fuzz: libFuzzer and sanitizers, wants clang])],
    [], [enable_fuzz=no])
  AS_CASE([$enable_asan$enable_tsan$enable_coverage$enable_fuzz], [*yes*yes*],
    [AC_MSG_ERROR([--enable-asan, --enable-tsan, --enable-coverage and
      --enable-fuzz exclude each other])])
  SAN_FLAGS=
  FUZZ_LDFLAGS=
  NO_UNDEFINED="-Wl,-z,defs"
  AS_VAR_IF([enable_asan], [yes], [SAN_FLAGS="-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer"])
  AS_VAR_IF([enable_tsan], [yes], [SAN_FLAGS="-fsanitize=thread -fno-omit-frame-pointer"])
  AS_VAR_IF([enable_coverage], [yes], [
    SAN_FLAGS="--coverage -fprofile-update=atomic"
    CFLAGS="$CFLAGS -O0"])
  AS_VAR_IF([enable_fuzz], [yes], [
    SAN_FLAGS="-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer"
    FUZZ_LDFLAGS=-fsanitize=fuzzer
  ])
  # a shared library leaves the sanitizer's symbols to the program
  AS_IF([test -n "$SAN_FLAGS"], [NO_UNDEFINED=])
  AC_SUBST([SAN_FLAGS])
  AC_SUBST([FUZZ_LDFLAGS])
  AC_SUBST([NO_UNDEFINED])
  AM_CONDITIONAL([FUZZ], [test "$enable_fuzz" = yes])
  AM_CONDITIONAL([SANITIZED], [test -n "$SAN_FLAGS"])
  AM_CONDITIONAL([COVERAGE], [test "$enable_coverage" = yes])
])

dnl EVRING_LIBEV: libev >= 4.24 (it ships no .pc file), into EV_LIBS; and where
dnl its source is, for the embedding tests, into LIBEV_SOURCE.
AC_DEFUN([EVRING_LIBEV], [
  AC_CHECK_HEADER([ev.h], [],
    [AC_MSG_ERROR([ev.h not found: run scripts/install-deps])])
  AC_CACHE_CHECK([for the version of libev], [evring_cv_libev_version], [
    AC_COMPILE_IFELSE([AC_LANG_PROGRAM([[
      #include <ev.h>
      #if EV_VERSION_MAJOR != 4 || EV_VERSION_MINOR < 24
      #error too old
      #endif]])], [
      AC_COMPUTE_INT([evring_libev_minor], [EV_VERSION_MINOR], [#include <ev.h>])
      evring_cv_libev_version=4.$evring_libev_minor
      ], [evring_cv_libev_version=no])
  ])
  AS_VAR_IF([evring_cv_libev_version], [no],
    [AC_MSG_ERROR([libev 4.24 or later (and below 5) is needed])])
  AC_CHECK_LIB([ev], [ev_run], [AC_SUBST([EV_LIBS], [-lev])],
    [AC_MSG_ERROR([libev not found: run scripts/install-deps])])

  AC_ARG_WITH([libev-source],
    [AS_HELP_STRING([--with-libev-source=DIR],
      [where ev.c is, for the embedding tests @<:@what install-deps left@:>@])],
    [LIBEV_SOURCE="$withval"],
    [LIBEV_SOURCE=`"$srcdir/scripts/install-deps" --print-libev-source 2>/dev/null`])
  AS_IF([test ! -f "$LIBEV_SOURCE/ev.c"], [LIBEV_SOURCE=])
  AC_SUBST([LIBEV_SOURCE])
  AM_CONDITIONAL([HAVE_LIBEV_SOURCE], [test -n "$LIBEV_SOURCE"])
])

dnl EVRING_HTTP_PARSER: llhttp, or http-parser where there is none, for the
dnl example http: HTTP_PARSER_CPPFLAGS, HTTP_PARSER_LIBS, and its name in
dnl evring_http_parser ("no": the example is not built).
AC_DEFUN([EVRING_HTTP_PARSER], [
  evring_http_parser=no
  evring_saved="$LIBS"
  PKG_CHECK_MODULES([LLHTTP], [libllhttp], [
    evring_http_parser=llhttp
    HTTP_PARSER_CPPFLAGS="-DHAVE_LLHTTP $LLHTTP_CFLAGS"
    HTTP_PARSER_LIBS="$LLHTTP_LIBS"
  ], [
    AC_CHECK_HEADER([llhttp.h],
      [AC_CHECK_LIB([llhttp], [llhttp_execute], [
        evring_http_parser=llhttp
        HTTP_PARSER_CPPFLAGS=-DHAVE_LLHTTP
        HTTP_PARSER_LIBS=-lllhttp
      ])])
  ])
  AS_VAR_IF([evring_http_parser], [no], [
    AC_CHECK_HEADER([http_parser.h],
      [AC_CHECK_LIB([http_parser], [http_parser_execute], [
        evring_http_parser=http-parser
        HTTP_PARSER_CPPFLAGS=
        HTTP_PARSER_LIBS=-lhttp_parser
      ])])
  ])
  LIBS="$evring_saved"
  AC_SUBST([HTTP_PARSER_CPPFLAGS])
  AC_SUBST([HTTP_PARSER_LIBS])
  AM_CONDITIONAL([HAVE_HTTP_PARSER], [test "$evring_http_parser" != no])
  AS_VAR_IF([evring_http_parser], [no], [
    evring_http_parser="not found, examples/http is not built"])
])
