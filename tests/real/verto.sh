#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# real/verto.sh - libverto (libverto-libev1) on libev's epoll and on evring.
#
# libverto opens its module for libev, and libev with it, when a program makes
# its first loop.  verto-program.c beside this file is that program.
#
# shellcheck disable=SC2154 # dir, failed, side and pid are common.sh's
# shellcheck disable=SC2317 # both and within call functions by name

# shellcheck source-path=SCRIPTDIR source=common.sh
. "${top_srcdir:?}/tests/real/common.sh"

SOURCE=$top_srcdir/tests/real/verto-program.c

parts() {
	start parts "$dir/program"
	within 60 is_over "$pid"
	ended "$pid"
	check "all parts hold" $?
	grep '^not ok' "$dir/parts.out" | sed 's/^/# /'
	used_side "$dir/parts.err"
	cat "$dir/parts.out" >>"$dir/facts.$side"
	[ "$side" = epoll ] || in_the_ring "$dir/parts.err"
}

# The default loop, that of the forked child, and ten that ended.
in_the_ring() {
	[ "$(grep -c ' loop .*tier=[rc].* enters=[1-9]' "$1")" -ge 2 ]
	check "and so did its forked child" $?
	grep -q ' ended: loops=1[0-9] .* enters=[1-9]' "$1"
	check "and its other loops" $?
}

CC=${CC:-cc}
need "${CC%% *}"
# shellcheck disable=SC2086 # a compiler with its options
echo '#include <verto.h>' | $CC -E - >/dev/null 2>&1 ||
	skip "there is no verto.h (libverto-dev)"
# shellcheck disable=SC2086
$CC -Wall -Wextra "$SOURCE" -o "$dir/program" -lverto || exit 1
"$dir/program" >"$dir/first" 2>&1
! grep -q "libverto's module" "$dir/first" ||
	skip "libverto has no module for libev (libverto-libev1)"
both parts
exit "$failed"
