#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# run-close.sh - under `evring run`, a file that a program closes is closed when
# the call returns, and a file that no loop watches costs nothing.

# shellcheck source-path=SCRIPTDIR source=run/common.sh
. "${top_srcdir:?}/tests/run/common.sh"
[ -n "$tier" ] || skip "no ring is to be had: $(cat "$dir/err")"
closing=$programs/closing
# shellcheck disable=SC3045 # dash, bash, ksh and busybox have it
ulimit -n 1024 || skip "no file can have the number 700"

promises() {
	mode=$1
	same "closing what is watched" 54 0 "$closing" watched
	[ "$(grep -c ': the peer sees the end$' "$dir/out")" -eq 54 ] &&
		[ "$(wc -l <"$dir/out")" -eq 54 ]
	check "the peer sees the end at once, each time" $?
	same "a number that is used again at once" 1 0 "$closing" reuse
	same "errors" 1 0 "$closing" errors
	same "close_range with CLOEXEC" 1 0 "$closing" cloexec
	same "all files closed, then a loop, then all closed" 3 0 \
		"$closing" sweep
	same "our numbers given to the program's files" 1 0 \
		"$closing" sweep-and-open
}

# What the program calls between its marks, other than close().
others() {
	sed -n '/no\/begin/,/no\/end/p' "$1" |
		grep -v -e '/no/' -e ' close([0-9]*) *= 0$' -e '^close([0-9]*) *= 0$'
}

costs() {
	if ! timeout 20 strace -o "$dir/trace" true 2>"$dir/err"; then
		left_out "strace does not work: $(head -n 1 "$dir/err")"
		return
	fi
	timeout -k 1 60 strace -f -o "$dir/trace" "$EVRING" run \
		"$closing" unwatched >"$dir/out" 2>"$dir/err" </dev/null
	[ "$(grep -c 'close(' "$dir/trace")" -gt 100 ] &&
		prints closed && grep -q 'io_uring_enter' "$dir/trace"
	check "100 files that no loop watches are closed" $?
	others "$dir/trace" >"$dir/others"
	sed 's/^/# /' "$dir/others" | head -n 5
	[ ! -s "$dir/others" ]
	check "with one system call each" $?
}

promises default
for one in EVRING_TIER=copied EVRING_DISABLE=epoll-wait \
	EVRING_DISABLE=epoll-ctl; do
	export "${one?}"
	promises "$one"
	unset "${one%%=*}"
done
mode=
costs
exit "$failed"
