#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# run-stats.sh - what `evring run` says and when: statistics, --require, --quiet
# and --verbose; and that it says nothing into files of the program's.
#
# shellcheck disable=SC2016 # what other shells are to expand

# shellcheck source-path=SCRIPTDIR source=run/common.sh
. "${top_srcdir:?}/tests/run/common.sh"
# shellcheck disable=SC3045 # dash, bash, ksh and busybox have it
ulimit -c 0
ends=$programs/ends
loops=$programs/loops
without=$programs/without

# The members of struct evring_stats.
names=$(sed -n '/^struct evring_stats {/,/^};/s/^	uint64_t \([a-z_]*\);.*/\1/p' \
	"$top_srcdir/include/evring.h")

nr_blocks() {
	[ "$(grep -c '^evring stats: ends\[[0-9]*\]$' "$dir/err")" -eq "$1" ] &&
		[ "$(grep -c '^evring stats: end$' "$dir/err")" -eq "$1" ]
}

counts() {
	line=$(grep "^evring stats: $1.*turns=[1-9]" "$dir/err" | tail -n 1)
	for name in $names; do
		case $line in
		*" $name="[0-9]*) ;;
		*) return 1 ;;
		esac
	done
}

#
# statistics
#

at_end() {
	for part in return exit _exit _Exit quick_exit atexit; do
		plain "$ends" $part
		run --stats "$ends" $part
		is_same
		check "$part: the same" $?
		nr_blocks 1 && counts "loop 0x[0-9a-f]*: tier=$tier "
		check "$part: one block, with all counters" $?
	done
	case $tier in
	region) says ' waits_by_offset=[1-9]' && says ' waits_copied=0' ;;
	copied) says ' waits_by_offset=0' && says ' waits_copied=[1-9]' ;;
	esac
	check "they prove the tier" $?
	plain "$ends" destroyed
	run --stats "$ends" destroyed
	is_same && nr_blocks 1 && counts 'ended: '
	check "those of a loop that was destroyed are kept" $?
	plain "$ends" abort
	run --stats "$ends" abort
	is_same && nr_blocks 0
	check "a program that aborts has none" $?
	EVRING_STATS=1 && export EVRING_STATS
	run "$ends" return
	nr_blocks 1
	check "EVRING_STATS=1 does the same" $?
	unset EVRING_STATS
	run "$ends" return
	! says .
	check "without, nothing is said" $?
	run --stats ls /
	! says .
	check "nor by a program without a loop" $?
}

on_signal() {
	for option in --stats=USR2 --stats=SIGUSR2; do
		launch $option $option "$ends" serve
		kill -USR2 "$pid"
		within 5 nr_blocks 1
		check "$option: a block while it runs" $?
		kill -USR2 "$pid"
		within 5 nr_blocks 2
		check "$option: and another" $?
		ends_with 0 TERM && nr_blocks 3 && prints "done"
		check "$option: and one at its end" $?
	done
	EVRING_STATS=USR1 && export EVRING_STATS
	launch EVRING_STATS=USR1 "$ends" serve
	kill -USR1 "$pid"
	within 5 nr_blocks 1
	check "EVRING_STATS=USR1 does the same" $?
	unset EVRING_STATS
	ends_with 0 TERM
	launch "the program's own signal" --stats=USR2 "$ends" own-signal
	kill -USR2 "$pid"
	within 5 grep -qx "the program's handler" "$dir/out"
	check "a signal that the program wants stays the program's" $?
	ends_with 0 TERM && nr_blocks 1
	check "and there is one block, at its end" $?
}

interrupted() {
	mkfifo "$dir/silence"
	exec 9<>"$dir/silence"
	"$EVRING" run --stats=USR2 sh -c \
		'echo $$ >"$1"; exec "$2" sleep' sh "$dir/pid" "$ends" \
		<"$dir/silence" >"$dir/out" 2>"$dir/err" &
	waited=$!
	started="$started $waited"
	within 10 is_ready
	read -r pid <"$dir/pid"
	kill -USR2 "$pid"
	within 5 nr_blocks 1
	echo >&9
	wait "$waited"
	prints 'read: 1'
	check "a call that the signal finds waiting goes on" $?
	exec 9>&-
}

#
# whose file is 2?
#

silent() {
	for part in taken taken-first closed; do
		launch $part --stats=USR2 --verbose "$ends" $part "$dir/$part"
		kill -USR2 "$pid"
		ends_with 0 TERM && [ ! -s "$dir/$part" ] && nr_blocks 0
		check "$part: nothing is written to another file" $?
	done
	prints '2 is closed'
	check "and nothing is opened there" $?
	timeout -k 1 60 "$EVRING" run --stats=USR2 --verbose sh -c \
		'echo $$ >"$1"; exec "$2" missing "$3"' sh "$dir/pid" "$ends" \
		"$dir/missing" </dev/null >"$dir/out" 2>&- &
	waited=$!
	started="$started $waited"
	within 10 is_ready
	read -r pid <"$dir/pid"
	kill -USR2 "$pid"
	ends_with 0 TERM && prints 'fd 2' && [ ! -s "$dir/missing" ]
	check "nor to one that is the first to be opened" $?
	plain "$ends" broken-pipe "$ends" exit
	run --stats --verbose "$ends" broken-pipe "$ends" exit
	show_difference
	is_same
	check "a pipe that nobody reads does no harm" $?
}

#
# without a ring
#

# required WHY COMMAND...: status 125, one line, and the program did not run
required() {
	what=$1
	shift
	timeout -k 1 20 "$@" >"$dir/out" 2>"$dir/err" </dev/null
	[ $? -eq 125 ] && [ ! -s "$dir/out" ]
	check "--require, $what: status 125" $?
	[ "$(wc -l <"$dir/err")" -eq 1 ] && says '^evring: .*require.*: '
	check "--require, $what: the reason in one line" $?
}

requiring() {
	if [ -n "$tier" ]; then
		plain "$loops" default
		run --require "$loops" default
		is_same && ! says .
		check "--require, with a ring: the same" $?
		run --require echo ran
		prints ran
		check "--require asks nothing of a program without a loop" $?
	fi
	for error in EPERM ENOSYS; do
		required "$error" "$without" $error "$EVRING" run --require \
			"$loops" default
	done
	required "--tier=none" "$EVRING" run --require --tier=none \
		"$loops" default
	required "EVRING_DISABLE=region" env EVRING_DISABLE=region \
		"$EVRING" run --require --tier=region "$loops" default
	required "EVRING_REQUIRE=1" env EVRING_REQUIRE=1 "$without" EPERM \
		"$EVRING" run "$loops" default
	timeout -k 1 20 "$without" EPERM "$EVRING" run --require --quiet \
		"$loops" default >"$dir/out" 2>"$dir/err"
	[ $? -eq 125 ] && [ ! -s "$dir/err" ]
	check "--require --quiet: status 125 only" $?
	[ -n "$tier" ] || return
	# Refused when the program runs, not before.
	run --require "$without" EPERM "$loops" default
	[ "$status" -eq 125 ] && [ ! -s "$dir/out" ] &&
		says ': EVRING_REQUIRE: '
	check "--require, refused later: status 125" $?
}

not_requiring() {
	plain "$loops" default
	for error in EPERM ENOSYS; do
		"$without" $error "$EVRING" run "$loops" default \
			>"$dir/out" 2>"$dir/err"
		status=$?
		is_same
		check "$error: it runs on epoll" $?
		[ "$(wc -l <"$dir/err")" -eq 1 ] && says 'not attached'
		check "$error: with one line that says why" $?
		"$without" $error "$EVRING" run --quiet "$loops" default \
			>"$dir/out" 2>"$dir/err"
		is_same && [ ! -s "$dir/err" ]
		check "$error: with none if --quiet" $?
	done
	plain "$loops" many
	"$without" EPERM "$EVRING" run "$loops" many >"$dir/out" 2>"$dir/err"
	is_same && [ "$(wc -l <"$dir/err")" -eq 1 ]
	check "with one also for 300 loops" $?
	"$without" EPERM "$EVRING" run --verbose "$loops" many \
		>"$dir/out" 2>"$dir/err"
	[ "$(count ': not attached: ')" -eq 300 ]
	check "with one each if --verbose" $?
	"$without" EPERM "$EVRING" run --stats "$loops" default \
		>"$dir/out" 2>"$dir/err"
	says '^evring stats: loop 0x[0-9a-f]*: tier=none '
	check "the statistics say so, too" $?
}

# Nothing but errors if --quiet.
quiet() {
	run --quiet --spin=auto --collect=2ms "$loops" default
	! says .
	check "--quiet" $?
	run --quiet --verbose --tier=none "$loops" default
	! says .
	check "--quiet with --verbose" $?
	run --tier=none "$loops" default
	! says .
	check "--tier=none is no news" $?
	run --stats --spin=50us "$loops" default
	says '^evring stats: .* spins=[1-9]'
	check "--spin" $?
	run --stats --restrict "$loops" default
	says '^evring stats: .* events=[1-9].* restricted=1'
	check "--restrict" $?
	run --verbose --restrict --disable=restrict "$loops" default
	says ': not attached: .*EVRING_RESTRICT'
	check "--restrict on a kernel without: epoll, and why" $?
	run --stats "$loops" default
	says '^evring stats: .* spins=0.* restricted=0'
	check "without it, none" $?
	run --napi=50us --disable=napi "$loops" default
	[ "$(wc -l <"$dir/err")" -eq 1 ] &&
		says '^evring: .*: NICs are not polled: '
	check "--napi says when there is none" $?
	run --quiet --napi=50us --disable=napi "$loops" default
	! says .
	check "but not if --quiet" $?
	if "$EVRING" info | grep -q '^ *napi .*on'; then
		run --napi=50us --stats "$loops" default
		! says 'NICs' && says '^evring stats: .* napi_queues=0'
		check "--napi on no NIC: the statistics say so" $?
	else
		left_out "--napi on no NIC: this kernel has no NAPI for rings"
	fi
	run --verbose --collect=1ms --disable=min-wait "$loops" default
	says ': does not collect: '
	check "--collect says when it does nothing" $?
	run --verbose sh -c :
	[ "$(wc -l <"$dir/err")" -eq 1 ] &&
		says '^evring: sh\[[0-9]*\]: no loop of libev was made$'
	check "--verbose, and no loop" $?
}

small_stack() {
	if [ -n "${SAN_FLAGS:-}" ]; then
		left_out "sanitizers need a larger stack"
		return
	fi
	run --stats=USR2 "$ends" small-stack
	[ "$status" -eq 0 ] && prints alive && nr_blocks 2
	check "the statistics fit on a small stack of signals" $?
}

if [ -n "$tier" ]; then
	at_end
	small_stack
	on_signal
	interrupted
	silent
else
	left_out "no ring is to be had: $(cat "$dir/err")"
fi
if "$without" EPERM true 2>/dev/null; then
	requiring
	not_requiring
else
	left_out "seccomp does not work"
fi
quiet
exit "$failed"
