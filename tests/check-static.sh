#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# check-static.sh - discovery holds on a libev linked into the program, too.
#
# layout.t is linked anew with libev.a and run again.

# shellcheck source-path=SCRIPTDIR source=common.sh
. "${top_srcdir:?}/tests/common.sh"

# The prefix of their names is automake's affair.
set -- tests/*layout_t-*.o
[ -f "$1" ] || {
	echo "# there are no objects of tests/layout.t"
	echo "not ok - layout.t can be linked anew"
	exit 1
}
archive=$(${CC:-cc} -print-file-name=libev.a)
[ -f "$archive" ] || skip "there is no libev.a"
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
trap 'exit 1' HUP INT TERM

# shellcheck disable=SC2086 # lists of words
${CC:-cc} ${SAN_FLAGS:-} -o "$dir/layout.t" "$@" \
	lib/.libs/libevr.a "$archive" ${TEST_LIBS:-} || exit 1
if ldd "$dir/layout.t" | grep 'libev\.so'; then
	echo "not ok - linked with the shared libev"
	exit 1
fi
timeout 120 "$dir/layout.t"
