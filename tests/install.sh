#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# install.sh - what `make install' puts down is enough for a program of three
# lines, built with pkg-config, shared and static; and `make uninstall' takes all
# of it away.
#
# Runs in the build folder; CC, SAN_FLAGS from make.

set -eu
# shellcheck source-path=SCRIPTDIR source=common.sh
. "${top_srcdir:?}/tests/common.sh"
tmp=$(mktemp -d "${TMPDIR:-/tmp}/evring-install.XXXXXX")
trap 'rm -rf "$tmp"' EXIT

# The prefix is given to install only: what was built stays as it is.
make -s install DESTDIR="$tmp/root" >"$tmp/log" 2>&1 || {
	cat "$tmp/log"
	echo "not ok - make install"
	exit 1
}
pc=$(find "$tmp/root" -name evring.pc)
prefix=$(sed -n 's/^prefix=//p' "$pc")

# pkg-config as for an installed tree that was moved; other libraries were not.
mkdir "$tmp/moved"
sed "s|^\([a-z_]*\)=/|\1=$tmp/root/|" "$pc" >"$tmp/moved/evring.pc"
flags() {
	PKG_CONFIG_PATH="$tmp/moved:${PKG_CONFIG_PATH:-}" \
		pkg-config "$@" evring
}

cat >"$tmp/three.c" <<'EOF'
#include <ev.h>
#include <evring.h>
int main(void) { return evring_attach(ev_default_loop(0), 0) || !evring_tier(ev_default_loop(0)); }
EOF

on_failure() {
	echo "# $command"
	cat "$tmp/log"
}

# try WHAT COMMAND...: it must succeed
try() {
	what=$1
	shift
	command=$*
	status=0
	"$@" >"$tmp/log" 2>&1 || status=$?
	check "$what" $status
}

libdir=$(dirname "$(dirname "$pc")")
LD_LIBRARY_PATH="$libdir${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
export LD_LIBRARY_PATH
# shellcheck disable=SC2046,SC2086 # words on purpose
try "a program of three lines builds" $CC $SAN_FLAGS "$tmp/three.c" \
	-o "$tmp/three" $(flags --cflags --libs)
try "and runs attached" "$tmp/three"
if [ -f "$libdir/libevring.a" ]; then
	# shellcheck disable=SC2046,SC2086
	try "so it does with the static library" $CC $SAN_FLAGS \
		"$tmp/three.c" -o "$tmp/static" $(flags --cflags) \
		"$libdir/libevring.a" $(flags --static --libs)
	try "and runs attached" "$tmp/static"
fi

# A program that knows nothing of evring, by the installed tool.
cat >"$tmp/plain.c" <<'EOF'
#include <ev.h>
int main(void) { ev_run(ev_default_loop(0), EVRUN_NOWAIT); return 0; }
EOF
# shellcheck disable=SC2086
try "a program of libev's builds" $CC $SAN_FLAGS "$tmp/plain.c" \
	-o "$tmp/plain" -lev
# shellcheck disable=SC2317 # called by name
attached() {
	ASAN_OPTIONS=verify_asan_link_order=0 "$@" 2>&1 |
		grep 'attached, tier'
}
try "the installed tool runs it on a ring" attached \
	"$tmp/root$prefix/bin/evring" run --require --verbose -- "$tmp/plain"

# shellcheck disable=SC2317 # called by name
nothing_left() {
	left=$(find "$tmp/root" ! -type d -o -name evring)
	echo "$left"
	[ -z "$left" ]
}
try "make uninstall" make -s uninstall DESTDIR="$tmp/root"
try "leaves nothing, nor a folder of evring's" nothing_left
exit "$failed"
