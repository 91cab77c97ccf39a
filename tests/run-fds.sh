#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# run-fds.sh - `evring run' adds no file to what a program hands on: its page and its
# rings are close-on-exec, as /proc says from outside.  fds.t looks from inside.

# shellcheck source-path=SCRIPTDIR source=run/common.sh
. "${top_srcdir:?}/tests/run/common.sh"
program=$PWD/tests/info/loops
[ -x "$program" ] || skip "there is no $program"

# The numbers of what has this name.
fds_named() {
	for fd in "/proc/$pid/fd"/*; do
		case $(readlink "$fd") in
		"$1") echo "${fd##*/}" ;;
		esac
	done
}

# O_CLOEXEC in the flags, which are octal.
is_cloexec() {
	flags=$(sed -n 's/^flags:[[:space:]]*//p' "/proc/$pid/fdinfo/$1")
	[ $((0$flags & 02000000)) -ne 0 ]
}

# of_name WHAT NAME: there are some, and all are close-on-exec
of_name() {
	numbers=$(fds_named "$2")
	good=0
	[ -n "$numbers" ] || good=1
	for number in $numbers; do
		is_cloexec "$number" || good=1
	done
	check "$1: close-on-exec" $good
}

mkfifo "$dir/in" || exit 1
"$EVRING" run "$program" <"$dir/in" >"$dir/out" 2>"$dir/err" &
pid=$!
started=$pid
exec 3>"$dir/in"
# shellcheck disable=SC2317 # called by name
is_ready() {
	grep -q '^ready' "$dir/out"
}
within 20 is_ready
check "a program runs" $?
of_name "the page" "/memfd:evring (deleted)"
if [ -n "$(fds_named 'anon_inode:[io_uring]')" ]; then
	of_name "the rings" 'anon_inode:[io_uring]'
else
	left_out "there is no io_uring here: $(tail -n 1 "$dir/err")"
fi
exec 3>&-
wait "$pid"
check "and ends" $?
exit "$failed"
