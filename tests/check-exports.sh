#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# check-exports.sh - the shared library exports what evring.map lists, which
# is what evring.h and evring-net.h declare, and nothing else; nor does the
# preloaded one.

# shellcheck source-path=SCRIPTDIR source=common.sh
. "${top_srcdir:?}/tests/common.sh"

srcdir=${top_srcdir:?}
library=lib/.libs/libevring.so
[ -f "$library" ] || skip "there is no $library"
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
trap 'exit 1' HUP INT TERM

# compare WHAT FILE FILE
compare() {
	[ -s "$2" ] && diff "$2" "$3"
	check "$1" $?
}

sed -n '/global:/,/local:/s/^[[:space:]]*\([a-z_]*\);.*/\1/p' \
	"$srcdir/lib/evring.map" | sort >"$dir/map"

# "A" is the name of the version.  What a sanitizer adds starts with "__".
${NM:-nm} -D --defined-only "$library" |
	sed -e '/ A /d' -e 's/.* //' -e 's/@.*//' -e '/^__/d' |
	sort >"$dir/library"
compare "libevring.so exports what evring.map lists" "$dir/map" "$dir/library"

# Names before "(", outside of comments, less what is defined there.
# shellcheck disable=SC2086 # a list of words
${CC:-cc} -E -P -I "$srcdir/include" "$srcdir/include/evring-net.h" \
	>"$dir/declarations"
tr '\n' ' ' <"$dir/declarations" | grep -o 'static inline[^(]*(' |
	grep -o 'evring_[a-z_]*' | sort -u >"$dir/inline"
grep -o '\<evring_[a-z_]*(' "$dir/declarations" | tr -d '(' | sort -u |
	comm -23 - "$dir/inline" >"$dir/header"
compare "the headers declare what evring.map lists" "$dir/map" "$dir/header"

# What stands in front of libev's functions in other people's programs.
preload=preload/.libs/libevring-preload.so
sed -n 's/^EVR_API [^=]*[ *]\([A-Za-z_]*\)(.*/\1/p' \
	"$srcdir/preload/preload.c" | sort -u >"$dir/front"
${NM:-nm} -D --defined-only "$preload" |
	sed -e 's/.* //' -e 's/@.*//' -e '/^__/d' | sort >"$dir/preload"
compare "libevring-preload.so exports what preload.c marks" \
	"$dir/front" "$dir/preload"

exit "$failed"
