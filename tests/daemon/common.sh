# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=sh
#
# daemon/common.sh - what the tests of a daemon share: how it is started, asked
# and ended.
#
#	launch COMMAND...    sets pid, and port of its TCP socket; $dir/out and
#	                     $dir/err are what it prints.  False: not ready
#	give_up              it should have been ready: ends it, and is false
#	ended                waits for it; its status, or 1 if it had to be shot
#	stop                 SIGTERM ends it well
#	value KEY            as it was in the last statistics
#	stat_is KEY OPERATOR NUMBER
#	                     now, as in: stat_is tcp_requests -ge 1
#	nr_descriptors, has_descriptors NUMBER
#	                     how many it has, and whether there are no more
#
# $dir goes with the script, and so do the processes in $pid and $clients.
#
# shellcheck disable=SC2034 # port is for who includes this
# shellcheck disable=SC2317 # trap and within call functions by name

# shellcheck source-path=SCRIPTDIR/.. source=common.sh
. "${0%/*}/common.sh"

dir=$(mktemp -d) || skip "mktemp made no directory"
pid=
port=
clients=

finish() {
	# shellcheck disable=SC2086 # a list of numbers
	[ -z "$clients" ] || kill -KILL $clients 2>/dev/null
	[ -z "$pid" ] || kill -KILL "$pid" 2>/dev/null
	rm -rf "$dir"
}
trap finish EXIT
trap 'exit 1' HUP INT TERM

on_failure() {
	[ ! -s "$dir/err" ] || sed 's/^/# stderr: /' "$dir/err" | tail -n 8
}

contains() {
	grep -q -- "$2" "$1" 2>/dev/null
}

is_ready_or_over() {
	contains "$dir/out" '^ready ' || is_over "$pid"
}

# What it prints is emptied first: the shell does not wait for the process that
# opens the files.
launch() {
	: >"$dir/out"
	: >"$dir/err"
	"$@" >"$dir/out" 2>"$dir/err" &
	pid=$!
	within 30 is_ready_or_over
	port=$(sed -n 's/^listening tcp .*://p' "$dir/out" | head -n 1)
	contains "$dir/out" '^ready '
}

give_up() {
	check "starts" 1
	kill -KILL "$pid" 2>/dev/null
	ended
	return 1
}

ended() {
	within 30 is_over "$pid" || kill -KILL "$pid"
	wait "$pid"
	status=$?
	pid=
	return "$status"
}

stop() {
	kill -TERM "$pid"
	ended
	check "ends with status 0" $?
}

value() {
	sed -n "s/^$1: //p" "$dir/err" | tail -n 1
}

nr_stats() {
	grep -c '^stats: end$' "$dir/err"
}

has_more_stats() {
	[ "$(nr_stats)" -gt "$1" ]
}

fresh_stats() {
	stats_before=$(nr_stats)
	kill -USR1 "$pid" && within 10 has_more_stats "$stats_before"
}

stat_is() {
	fresh_stats && test "$(value "$1")" "$2" "$3" 2>/dev/null
}

nr_descriptors() {
	find "/proc/$pid/fd" -type l 2>/dev/null | wc -l
}

has_descriptors() {
	[ "$(nr_descriptors)" -le "$1" ]
}
