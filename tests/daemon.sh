#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# daemon.sh - what daemons have in common, asked of the echo daemon in both
# styles: several workers, clients of the worst kinds, limits, and the end.
#
# ECHO names the daemon and CLIENT the clients, ./examples/echo and
# ./tests/daemon/client unless set.  ECHO_WRAP is put before the daemon.  Not
# valgrind: it hands on no signal, and runs no other thread, while one is in
# io_uring_enter.  PARTS and STYLES choose what is tried.
#
# shellcheck disable=SC2317 # trap and within call functions by name

# shellcheck source-path=SCRIPTDIR source=daemon/common.sh
. "${0%/*}/daemon/common.sh"
ECHO=${ECHO:-./examples/echo}
CLIENT=${CLIENT:-./tests/daemon/client}
FILTER=${FILTER:-./tests/info/filter}
export LC_ALL=C

[ -x "$ECHO" ] || skip "there is no program $ECHO"
[ -x "$CLIENT" ] || skip "there is no program $CLIENT"

deadline=$(($(date +%s) + 600)) # if all waits were in vain

on_failure() {
	for file in "$dir/err" "$dir/client"; do
		[ ! -s "$file" ] || sed 's/^/# said: /' "$file" | tail -n 8
	done
}

# start OPTION...: the daemon
start() {
	# shellcheck disable=SC2086 # a command and its options
	launch $ECHO_WRAP "$ECHO" --style "$style" --listen 127.0.0.1:0 "$@" ||
		give_up
}

play() {
	timeout 200 "$CLIENT" "$1" "$port" ${2:+"$2"} >"$dir/played" \
		2>"$dir/client"
}

has_line() {
	contains "$dir/played" "$1"
}

# Clients that are stuck until something is written to descriptor 5.
start_stuck() {
	rm -f "$dir/go"
	mkfifo "$dir/go"
	: >"$dir/played"
	timeout 200 "$CLIENT" stuck "$port" "$1" <"$dir/go" >"$dir/played" \
		2>"$dir/client" &
	clients=$!
	exec 5>"$dir/go"
	within 60 has_line '^stuck'
}

# Whether they saw what they should see.
end_stuck() {
	exec 5>&-
	wait "$clients"
	status=$?
	clients=
	return "$status"
}

is_refused() {
	! "$CLIENT" nothing "$port" 1 2>/dev/null
}

#
# clients of all kinds
#

kinds() {
	mode="$style: clients"
	start --workers 2 --stats --max-connections 2000 || return
	[ "$(grep -c '^listening tcp' "$dir/out")" -eq 1 ]
	check "an address is told once, whatever the number of workers" $?
	stat_is workers -eq 2 && [ "$(value connections_now)" -eq 0 ]
	check "there are two workers" $?
	before_fds=$(nr_descriptors)
	play bytes
	check "a byte at a time comes back" $?
	play drops
	check "so do bytes each sent alone" $?
	play halves
	check "those who end their half get all, and then the end" $?
	play nothing
	check "also if they sent nothing" $?
	play slow
	check "those who read slowly get all" $?
	play crowd
	check "a thousand are served at once" $?
	fresh_stats
	[ "$(value connections_total)" -eq $((4 + 4 + 40 + 40 + 4 + 1000)) ]
	check "all are counted" $?
	all=$((4 * 300 + 4 * 3000 + 40 * 300000 + 4 * 1048576 + 1000 * 500))
	[ "$(value tcp_bytes_in)" -eq "$all" ] &&
		[ "$(value tcp_bytes_out)" -eq "$all" ] &&
		[ "$(value tcp_errors)" -eq 0 ]
	check "and all bytes, of both workers" $?
	play resets
	check "those who reset" $?
	play leaves
	check "and those who leave are no harm" $?
	within 20 stat_is connections_now -eq 0
	check "and leave nothing behind" $?
	within 10 has_descriptors "$before_fds"
	check "no descriptor either" $?
	play halves
	check "and all goes on" $?
	stop
}

# A worker has one place, so two at once are served by two workers; and who is
# dealt to a worker that is full waits for it.
sharing() {
	mode="$style: sharing"
	start --workers 2 --max-connections 2 || return
	play queue
	check "connections are served in turn" $?
	fresh_stats
	[ "$(value limit_reached)" -ge 2 ] &&
		[ "$(value connections_total)" -eq 40 ]
	check "none is lost, the limit is noticed" $?
	start_stuck 2 >"$dir/stuck"
	within 10 stat_is connections_now -ge 1
	start_more=$clients
	timeout 200 "$CLIENT" stuck "$port" 16 </dev/null >/dev/null 2>&1
	[ "$(value connections_now)" -le 2 ]
	check "never more than the limit" $?
	clients=$start_more
	end_stuck
	check "those who are connected stay" $?
	stop

	start --workers 4 --max-connections 2 || return
	stat_is workers -eq 2
	check "no more workers than connections" $?
	stop
}

both_work() {
	mode="$style: both workers"
	start --workers 2 --max-connections 2 || return
	# Of 24 not all are dealt to one worker.
	start_stuck 24
	within 20 stat_is connections_now -eq 2
	check "two are served at once, by one worker each" $?
	kill "$clients"
	wait "$clients" 2>/dev/null
	clients=
	exec 5>&-
	stop
}

in_use() {
	mode="$style: port in use"
	start --workers 2 || return
	# shellcheck disable=SC2086 # a command and its options
	timeout 30 $ECHO_WRAP "$ECHO" --style "$style" --workers 2 \
		--listen "127.0.0.1:$port" >"$dir/out2" 2>"$dir/err2"
	[ $? -eq 1 ] && contains "$dir/err2" 'bind refused'
	check "another daemon is refused, workers or not" $?
	stop
}

#
# the end
#

graceful() {
	mode="$style: stop"
	start --workers 2 --stats --grace 60 || return
	start_stuck 8
	check "clients are stuck" $?
	kill -TERM "$pid"
	within 10 is_refused
	check "nobody can connect any more" $?
	sleep 0.3
	! is_over "$pid"
	check "the grace time is theirs" $?
	echo go >&5
	end_stuck
	check "each gets all that was taken, and then the end, no reset" $?
	ended
	check "it ends with status 0 when they are done" $?
	received=$(sed -n 's/^received: //p' "$dir/played")
	[ "${received:-0}" -gt 65536 ] &&
		[ "$(value tcp_bytes_in)" -eq "$received" ] &&
		[ "$(value tcp_bytes_out)" -eq "$received" ] &&
		[ "$(value connections_now)" -eq 0 ]
	check "and counted that" $?
}

# cut_by COMMAND...: what ends a grace time that is not over
hard() {
	mode="$style: hard stop"
	start --workers 2 --grace 60 || return
	start_stuck 8
	kill -TERM "$pid"
	sleep 0.3
	! is_over "$pid"
	check "the first signal waits" $?
	kill -INT "$pid"
	ended && contains "$dir/err" 'connections cut'
	check "the second cuts all workers' connections" $?
	end_stuck

	start --workers 2 --grace 0.3 || return
	start_stuck 8
	stop
	contains "$dir/err" 'connections cut'
	check "so does the end of the grace time" $?
	end_stuck
}

at_rest() {
	mode="$style: at rest"
	start --workers 2 --grace 60 || return
	play crowd 20
	kill -TERM "$pid"
	ended
	check "ends at once" $?
}

idle() {
	mode="$style: idle"
	start --workers 2 --idle 0.5 --buffer 256K || return
	if [ "$style" = operations ]; then
		play sip
		check "who reads slowly, but reads, is not idle" $?
		within 20 stat_is connections_now -eq 0
	fi
	play deaf
	check "who does not read is" $?
	stat_is connections_timed_out -ge 4
	check "and counted" $?
	stop
}

#
# refusals
#

no_ring() {
	mode="$style: io_uring forbidden"
	[ -x "$FILTER" ] || {
		left_out "there is no program $FILTER"
		return
	}
	if [ "$style" = watchers ]; then
		ECHO_WRAP="$FILTER setup EPERM" start --workers 2 \
			--max-connections 2000 || return
		contains "$dir/out" 'tier=none'
		check "is served by epoll" $?
		[ "$(wc -l <"$dir/err")" -eq 1 ]
		check "and said once" $?
		play crowd
		check "by all workers" $?
		stop
		return
	fi
	timeout 30 "$FILTER" setup EPERM "$ECHO" --style operations \
		--listen 127.0.0.1:0 >"$dir/out" 2>"$dir/err"
	[ $? -eq 1 ] && [ "$(wc -l <"$dir/err")" -eq 1 ] &&
		contains "$dir/err" 'evring info' && [ ! -s "$dir/out" ]
	check "exit 1, and one line that says why" $?
}

few_pages() {
	# shellcheck disable=SC3045 # dash, bash, ksh and busybox have it
	ulimit -s 8000000 && ulimit -v 20000000 &&
		exec "$ECHO" --style "$style" --listen 127.0.0.1:0 --workers 4
}

no_thread() {
	mode="$style: no thread"
	if [ -n "$SAN_FLAGS$ECHO_WRAP" ]; then
		left_out "the program wants all addresses"
		return
	fi
	(few_pages) >"$dir/out" 2>"$dir/err"
	[ $? -eq 1 ] && contains "$dir/err" 'no thread' &&
		! contains "$dir/out" '^ready'
	check "a worker that fails to start ends the daemon: exit 1, and why" $?
}

for style in ${STYLES:-watchers operations}; do
	for part in ${PARTS:-kinds sharing both_work in_use graceful hard \
		at_rest idle no_ring no_thread}; do
		is_in_time && $part
	done
done
is_in_time || {
	mode=daemon.sh
	check "is done in ten minutes" 1
}
exit "$failed"
