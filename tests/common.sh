# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=sh
#
# common.sh - what the tests in shell share: how they tell what holds and what
# was not tried, and how they wait.
#
#	skip REASON          nothing can be tried: ends the script
#	left_out REASON      a part is not tried here
#	check WHAT STATUS    "ok - ..." or "not ok - ...", then what on_failure says
#	within SECONDS CMD...  repeats CMD until it succeeds; false after SECONDS
#	is_in_time           false after $deadline, in seconds since 1970, if set
#	is_over PID          true once it is gone, or a zombie
#
# A script ends with: exit "$failed".  It may set $mode, which then stands before
# what is told, $deadline, and, after reading this, a function on_failure of its
# own.
#
# shellcheck disable=SC2034 # failed is for who includes this
# shellcheck disable=SC2317 # so are functions that are called by name

failed=0
mode=
deadline=

skip() {
	echo "1..0 # SKIP $1"
	exit 77
}

left_out() {
	echo "# left out: ${mode:+$mode: }$1"
}

on_failure() {
	:
}

check() {
	if [ "$2" -eq 0 ]; then
		echo "ok - ${mode:+$mode: }$1"
		return
	fi
	echo "not ok - ${mode:+$mode: }$1"
	failed=1
	on_failure
}

is_in_time() {
	[ -z "$deadline" ] || [ "$(date +%s)" -lt "$deadline" ]
}

after_first() {
	shift
	"$@"
}

# Counted, not timed: what stands still while the machine does is not late.  The
# count is an argument, because these are a function's own: COMMAND may wait, too.
within() {
	left=$(($1 * 20))
	shift
	set -- "$left" "$@"
	until after_first "$@"; do
		left=$(($1 - 1))
		shift
		set -- "$left" "$@"
		[ "$left" -gt 0 ] && is_in_time || return 1
		sleep 0.05
	done
}

is_over() {
	read -r line 2>/dev/null <"/proc/$1/stat" || return 0
	case ${line##*) } in Z*) return 0 ;; esac
	return 1
}
