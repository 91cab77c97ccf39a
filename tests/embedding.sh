#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# embedding.sh - programs that carry ev.c, configured in many ways, attach its
# loops: with the library and evring-embed.h, and with evring-all.c; as C and as
# C++. What cannot work is refused by the compiler, in words.
#
# Runs in the build folder; CC, CXX, NM, SAN_FLAGS, LIBEV_SOURCE from make.

# shellcheck source-path=SCRIPTDIR source=common.sh
. "${top_srcdir:?}/tests/common.sh"

[ -n "${LIBEV_SOURCE:-}" ] || skip "the source of libev is not here"
dir=$(mktemp -d) || exit 1
clock=
trap '[ -z "$clock" ] || kill "$clock"; rm -rf "$dir"' EXIT
trap 'exit 1' HUP INT TERM
make -s amalgamation || exit 1
all=$PWD/amalgamation
program=$top_srcdir/tests/embedding/program.c
objects=$top_srcdir/tests/embedding/objects.cc
library="lib/.libs/libevring.so -Wl,-rpath,$PWD/lib/.libs -lev"
carried="$dir/all.o -luring"

has_ring=yes
cc=${CC:-cc}
cxx=${CXX:-}
command -v "${cxx%% *}" >/dev/null || {
	cxx=
	left_out "there is no C++ compiler"
}

on_failure() {
	echo "# $command"
	cat "$dir/log"
}

# compile COMMAND...: what libev's files are warned of is not ours, so -isystem
compile() {
	command=$*
	compiler=$1
	shift
	# shellcheck disable=SC2086 # lists of words
	$compiler ${SAN_FLAGS:-} -Wall -Wextra -Werror \
		-isystem "$LIBEV_SOURCE" -I "$all" "$@" >"$dir/log" 2>&1
}

# attaches WHAT COMMAND...: what is compiled runs
attaches() {
	what=$1
	shift
	status=0
	compile "$@" -o "$dir/program" && timeout 60 "$dir/program" \
		>>"$dir/log" 2>&1 || status=$?
	if [ $status -eq 77 ]; then
		has_ring=no
		left_out "$what: there is no io_uring"
	else
		check "$what" $status
	fi
}

#
# configurations
#

# try NAME SETTING...: given to all files of the program
try() {
	mode=$1
	shift
	case ${SAN_FLAGS:+sanitized}-$mode in
	-* | *-standalone | *-minimal) ;;
	*)
		left_out "two configurations are enough for a sanitizer"
		return ;;
	esac
	compile "$cc" "$@" -c "$all/evring-all.c" -o "$dir/all.o"
	check "evring-all.c compiles" $?
	set -- "$@" -DCARRY_EV
	# shellcheck disable=SC2086 # lists of words
	attaches library "$cc" "$@" "$program" $library
	# shellcheck disable=SC2086
	attaches evring-all.c "$cc" "$@" -DOWN_LOOPS "$program" $carried
	attaches "evring-all.c in one file" "$cc" "$@" -DEV_USE_IOURING=0 \
		-DCARRY_ALL -DOWN_LOOPS "$program" -luring
	# A static ev.c is no C++, whoever has it.
	[ -n "$cxx" ] && [ "$mode" != static ] || return
	# shellcheck disable=SC2086
	attaches "library, C++" "$cxx" "$@" -xc++ "$program" -xnone $library
	# shellcheck disable=SC2086
	attaches "evring-all.c, C++" "$cxx" "$@" -DOWN_LOOPS -xc++ "$program" \
		-xnone $carried
}

cat >"$dir/config.h" <<'EOF'
#define HAVE_EPOLL_CTL 1
#define HAVE_SYS_EPOLL_H 1
#define HAVE_EVENTFD 1
#define HAVE_CLOCK_GETTIME 1
EOF

alone=-DEV_STANDALONE
# With EV_FEATURES=0: what must be there; and what ev.c does not compile with, or
# without.
needed='-DEV_MULTIPLICITY=1 -DEV_USE_EPOLL=1 -DEV_CLEANUP_ENABLE=1 -DEV_MAXPRI=1
	-DEV_USE_MONOTONIC=1 -DEV_USE_IOURING=0'
try configured -DEV_CONFIG_H="\"$dir/config.h\""
try standalone $alone
try static $alone -DEV_API_STATIC
try checking $alone -DEV_VERIFY=3
try "no signals" $alone -DEV_SIGNAL_ENABLE=0 -DEV_CHILD_ENABLE=0 \
	-DEV_ASYNC_ENABLE=0
try "io and timers" $alone -DEV_PERIODIC_ENABLE=0 -DEV_STAT_ENABLE=0 \
	-DEV_PREPARE_ENABLE=0 -DEV_CHECK_ENABLE=0 -DEV_IDLE_ENABLE=0 \
	-DEV_FORK_ENABLE=0 -DEV_EMBED_ENABLE=0
try "no API of libev 3" $alone -DEV_COMPAT3=0
try "many priorities" $alone -DEV_MINPRI=-10 -DEV_MAXPRI=10
try "few priorities" $alone -DEV_MINPRI=0 -DEV_MAXPRI=1
try "without API" $alone -DEV_FEATURES=0x77
try "without what the system has" $alone -DEV_FEATURES=0x3f -DEV_USE_IOURING=0
try "small, and one backend" $alone -DEV_FEATURES=0x5c -DEV_USE_EPOLL=1
# shellcheck disable=SC2086 # a list of words
try minimal $alone -DEV_FEATURES=0 $needed

#
# refusals
#

# refused WHAT TEXT SETTING...: the compiler says it
refused() {
	what=$1 text=$2
	shift 2
	for compiler in "$cc -xc" ${cxx:+"$cxx -xc++"}; do
		# shellcheck disable=SC2086 # a list of words
		! compile "$compiler" $alone -DCARRY_EV "$@" -fsyntax-only \
			"$program" && grep -q "$text" "$dir/log"
		check "$what" $?
	done
}

mode=refused
refused "one loop only" 'EV_MULTIPLICITY=1' -DEV_MULTIPLICITY=0
refused "no epoll" 'EV_USE_EPOLL=1' -DEV_USE_EPOLL=0
refused "no cleanup watchers" 'EV_CLEANUP_ENABLE=1' -DEV_CLEANUP_ENABLE=0
refused "no priorities" 'EV_MINPRI less than EV_MAXPRI' -DEV_MINPRI=0 \
	-DEV_MAXPRI=0
refused "larger watchers" 'EV_COMMON, .* must be' \
	'-DEV_COMMON=void *data; void *more;'
refused "time in single precision" 'EV_TSTAMP_T must be' -DEV_TSTAMP_T=float

# in_one_file WHAT TEXT LINE...: so does evring-all.c
in_one_file() {
	what=$1 text=$2
	shift 2
	printf '%s\n' "$@" '#include "evring-all.c"' >"$dir/wrong.c"
	! compile "$cc" -fsyntax-only "$dir/wrong.c" &&
		grep -q "$text" "$dir/log"
	check "$what" $?
}

carry='#define EV_STANDALONE 1
#include "ev.c"
#include "evring-embed.h"'
in_one_file "two io_urings in one file" 'EV_USE_IOURING to 0' \
	'#define _GNU_SOURCE' "$carry"
in_one_file "interfaces of POSIX only" 'define _GNU_SOURCE' \
	'#define EV_USE_IOURING 0' "$carry"

#
# as strangers compile it
#

mode=
sees() {
	${NM:-nm} -g "$dir/all.o" | sed -n "s/.* $1 //p"
}

for compiler in "$cc -O2" clang; do
	command -v "${compiler%% *}" >/dev/null || {
		left_out "there is no $compiler"
		continue
	}
	SAN_FLAGS='' compile "$compiler" -std=c11 -c "$all/evring-all.c" \
		-o "$dir/all.o"
	check "$compiler does not warn of evring-all.c" $?
	sees '[A-TV-Z]' >"$dir/names"
	grep -qx evring_attach "$dir/names" &&
		! grep -v '^evring_' "$dir/names" >"$dir/log"
	check "$compiler: the names it brings are evring_" $?
	! sees U | grep '^ev_' >"$dir/log"
	check "$compiler: it wants none of libev's" $?
done

if [ $has_ring = yes ]; then
	compile "$cc" $alone -c "$all/evring-all.c" -o "$dir/all.o"
	# shellcheck disable=SC2086 # lists of words
	compile "$cc" $alone -DCARRY_EV -DEVRING_EMBED_H "$program" $carried \
		-o "$dir/program" && ! "$dir/program" >"$dir/log" &&
		grep -q 'not so: the loop is attached' "$dir/log"
	check "without evring-embed.h attach is refused" $?
fi

printf '%s\n' "$carry" '#include "evring-net.h"' >"$dir/headers.cc"
for compiler in "$cxx" clang++; do
	command -v "${compiler%% *}" >/dev/null || {
		left_out "there is no ${compiler:-C++ compiler}"
		continue
	}
	for standard in c++11 c++14 c++17 c++20; do
		compile "$compiler" -std=$standard -pedantic -fsyntax-only \
			"$dir/headers.cc"
		check "$compiler $standard: the headers are clean" $?
	done
done

if [ -n "$cxx" ]; then
	# shellcheck disable=SC2086 # lists of words
	attaches "ev++.h with libev in a library" "$cxx" -std=c++11 "$objects" \
		$library
	# Linked in this order: what runs before main in libev.c is the last.
	set -- $alone "$objects" -xc++ "$top_srcdir/examples/embed/libev.c" \
		-xnone
	# shellcheck disable=SC2086
	attaches "ev++.h with ev.c" "$cxx" "$@" $library
	# shellcheck disable=SC2086
	attaches "ev++.h with ev.c and evring-all.c" "$cxx" "$@" $carried
fi

#
# examples/embed, with its own Makefile
#

cp "$top_srcdir"/examples/embed/* "$dir"
command='make clock'
# Not with flags of the make that runs this.
MAKEFLAGS='' make -C "$dir" CC="$cc" LIBEV="$LIBEV_SOURCE" EVRING="$all" \
	CFLAGS="-Wall -Wextra -Werror ${SAN_FLAGS:-}" >"$dir/log" 2>&1
check "the example is built by its Makefile" $?

says() {
	grep -q "$1" "$dir/said"
}

on_failure() {
	cat "$dir/said"
}

"$dir/clock" 0 2>"$dir/said" &
clock=$!
within 20 says 'port [1-9]'
check "it starts" $?
if [ $has_ring = yes ]; then
	says 'tier [^n]'
	check "attached" $?
fi
if command -v socat >/dev/null; then
	port=$(sed -n 's/.*port \([0-9]*\).*/\1/p' "$dir/said")
	timeout 20 socat -u "TCP:127.0.0.1:$port" - 2>/dev/null | head -n 1 \
		>"$dir/log"
	grep -q '^20..-..-..T..:..:..Z$' "$dir/log"
	check "and tells the time" $?
else
	left_out "there is no socat to ask it"
fi
kill "$clock"
wait "$clock"
status=$?
clock=
check "until SIGTERM" $status

exit "$failed"
