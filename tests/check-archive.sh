#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# check-archive.sh - libevring.a brings no name into a program that is not
# evring_ or evr_.

# shellcheck source-path=SCRIPTDIR source=common.sh
. "${top_srcdir:?}/tests/common.sh"

archive=lib/.libs/libevring.a
[ -f "$archive" ] || skip "there is no $archive (--disable-static)"
[ -z "${SAN_FLAGS:-}" ] || skip "sanitizers add names of their own"

names=$(${NM:-nm} -g --defined-only "$archive" 2>/dev/null |
	sed -n 's/^[0-9a-f]* [A-Za-z] //p')
echo "$names" | grep -qx evring_attach || {
	echo "not ok - no evring_attach in $archive"
	exit 1
}
if echo "$names" | grep -v '^evring_' | grep -v '^evr_'; then
	echo "not ok - the names above are neither evring_ nor evr_"
	exit 1
fi
echo "ok - all names are evring_ or evr_"
