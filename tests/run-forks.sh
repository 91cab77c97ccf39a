#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# run-forks.sh - `evring run` and a program's children: those that go on with
# its loops, and those that execute something else.

# shellcheck source-path=SCRIPTDIR source=run/common.sh
. "${top_srcdir:?}/tests/run/common.sh"
[ -n "$tier" ] || skip "no ring is to be had: $(cat "$dir/err")"
forks=$programs/forks
loops=$programs/loops

# Blocks of statistics in err, and those of loops that waited on a ring.
nr_blocks() {
	grep -c '^evring stats: .*\[[0-9]*\]$' "$dir/err"
}

nr_working() {
	grep '^evring stats: ' "$dir/err" |
		grep 'turns=[1-9]' | grep -c 'enters=[1-9]'
}

inheriting() {
	same "children that inherit loops" 2 0 "$forks" children
	same "EVFLAG_FORKCHECK" 1 0 "$forks" forkcheck
	same "the first loop in a child" 2 0 "$forks" first-in-child
	same "children of children" 1 0 "$forks" grandchildren
	same "a child of one that closed all files" 1 0 "$forks" low-numbers
	run --stats "$forks" grandchildren
	[ "$(nr_blocks)" -eq 3 ] && [ "$(nr_working)" -eq 3 ]
	check "each is on a ring, and counts for itself" $?
	run --stats "$forks" children
	[ "$(nr_blocks)" -eq 3 ]
	check "a child that does nothing says nothing" $?
	for one in EVRING_TIER=copied EVRING_DISABLE=epoll-wait; do
		export "${one?}"
		same "$one: children that inherit loops" 2 0 "$forks" children
		unset "${one%%=*}"
	done
}

# The daemon's end is the end of the pipe.  The process that daemon(3) leaves is
# ended within libc and has no statistics.
daemon() {
	timeout 20 "$forks" daemon </dev/null | cat >"$dir/plain.out"
	timeout 20 "$EVRING" run --stats "$forks" daemon </dev/null \
		2>"$dir/err" | cat >"$dir/out"
	[ "$(wc -l <"$dir/out")" -eq 2 ] && cmp -s "$dir/plain.out" "$dir/out"
	check "daemon(3) with a loop" $?
	[ "$(nr_blocks)" -eq 1 ] && [ "$(nr_working)" -eq 1 ]
	check "and the daemon is on a ring" $?
}

executing() {
	for part in exec spawn vfork become; do
		same "$part: a program on libev" 2 0 "$forks" $part \
			"$loops" default
		plain "$forks" $part "$loops" default
		run --verbose --children=no "$forks" $part "$loops" default
		is_same && [ "$(count ': attached, ')" -eq 1 ]
		check "$part: not with --children=no" $?
	done
	same "a program that is given no environment" 1 0 "$forks" clean \
		"$loops" default
}

variables() {
	run --children=no --verbose --tier=any -- "$forks" exec env
	! grep -e '^EVRING_' -e '^LD_PRELOAD=' "$dir/out"
	check "--children=no: nothing of evring's in their environment" $?
	LD_PRELOAD=$objects/beside.so && export LD_PRELOAD
	run --children=no -- "$forks" exec env
	unset LD_PRELOAD
	prints "LD_PRELOAD=$objects/beside.so"
	check "--children=no: what was in LD_PRELOAD before is" $?
	EVRING_CHILDREN=no && export EVRING_CHILDREN
	run -- "$forks" exec env
	unset EVRING_CHILDREN
	! grep -e '^EVRING_' -e '^LD_PRELOAD=' "$dir/out"
	check "EVRING_CHILDREN=no does the same" $?
	run --tier=copied -- "$forks" exec env
	prints EVRING_TIER=copied && grep -q '^LD_PRELOAD=' "$dir/out"
	check "else they inherit the options" $?
	run --verbose -- sh -c "$loops default; exec $loops default"
	[ "$(count ': attached, ')" -eq 2 ]
	check "programs that a shell starts are attached" $?
}

pages() {
	run "$forks" page
	[ "$status" -eq 0 ] && prints "parent's page is as it was" &&
		prints "parent counts: yes"
	check "a child does not write its parent's page" $?
	prints "child: its own page, turns counted: yes"
	check "and has its own" $?
	run "$forks" full-page
	[ "$status" -eq 0 ] && prints "300 made, 0 ended, 45 unseen" &&
		prints "301 made, first slot: attached"
	check "loops that the page has no room for are counted" $?
	prints "300 made, 300 ended"
	check "also when they end" $?
	same "loops that come and go" 51 0 "$forks" leaks
	prints "0 more files, 0 inheritable"
	check "leave no file open" $?
}

inheriting
daemon
executing
variables
pages
exit "$failed"
