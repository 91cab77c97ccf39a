#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# echo.sh - the echo daemon driven by real clients, on every backend.
#
# ECHO names the daemon, ./examples/echo unless set, and ECHO_STYLE the style it
# is to have, watchers unless set.  One line per promise, "ok - ..." or "not ok -
# ..."; "# ..." says what was left out and why.  Exit status: 0, 1 when any
# promise is broken, 77 when nothing could be tried.
#
# Every client runs under timeout(1), every wait is a bounded poll, and only
# processes that this script started are ended.
#
# shellcheck disable=SC2094 # cmp and a client read the same file, none writes
# shellcheck disable=SC2317 # trap and within call functions by name

# shellcheck source-path=SCRIPTDIR source=daemon/common.sh
. "${0%/*}/daemon/common.sh"
ECHO=${ECHO:-./examples/echo}
style=${ECHO_STYLE:-watchers}
export LC_ALL=C

[ -x "$ECHO" ] || skip "there is no program $ECHO"
for tool in socat timeout cmp; do
	command -v "$tool" >/dev/null || skip "there is no $tool"
done

deadline=$(($(date +%s) + 600)) # if all waits were in vain

start() {
	launch "$@" || give_up
}

# With one worker: what is counted, or is to be full, is all in one loop.
run_echo() {
	exec "$ECHO" --style "$style" --workers 1 "$@"
}

stop() {
	kill -TERM "$pid"
	ended
}

# port tcp|udp ADDR
port() {
	sed -n "s/^listening $1 //p" "$dir/out" |
		while read -r at; do
			[ "${at%:*}" != "$2" ] || echo "${at##*:}"
		done
}

tcp() {
	timeout 60 socat -t50 - "TCP:$1"
}

# udp BYTES ADDRESS: ends as soon as so many bytes came back
udp() {
	timeout 60 socat -t20 - "UDP:$2,readbytes=$1"
}

# hold ADDRESS [FILE]: a client that never reads, or never writes
hold() {
	if [ -n "$2" ]; then
		timeout 120 socat -u "FILE:$2" "TCP:$1" 2>/dev/null &
	else
		timeout 120 socat -u "TCP:$1" "FILE:/dev/null" 2>/dev/null &
	fi
	clients="$clients $!"
}

release() {
	# shellcheck disable=SC2086 # a list of numbers
	[ -z "$clients" ] || kill $clients 2>/dev/null
	clients=
}

# is_calm SECONDS TURNS: there are fewer in that time.  What spins has thousands.
is_calm() {
	fresh_stats
	turns=$(value turns)
	sleep "$1"
	fresh_stats
	[ $(($(value turns) - turns)) -lt "$2" ]
}

#
# Every backend
#

serves() {
	host=$1
	at=$1:$(port tcp "$host")

	[ "$(echo "hello $host" | tcp "$at")" = "hello $host" ]
	check "tcp $host echoes a line" $?
	tcp "$at" <"$dir/blob" | cmp -s - "$dir/blob"
	check "tcp $host echoes 1 MB, and closes after the peer's half" $?
	if [ "$nc" = yes ] && [ "$host" = 127.0.0.1 ]; then
		timeout 60 nc -N "$host" "${at##*:}" <"$dir/blob" |
			cmp -s - "$dir/blob"
		check "tcp $host echoes 1 MB to nc" $?
	fi
	at=$1:$(port udp "$host")
	[ "$at" = "$1:$(port tcp "$host")" ]
	check "udp $host has the port of tcp" $?
	[ "$(printf hello | udp 5 "$at")" = hello ]
	check "udp $host echoes" $?
	udp 8000 "$at" <"$dir/8000" | cmp -s - "$dir/8000"
	check "udp $host echoes 8000 bytes" $?
}

slow_reader() {
	at=127.0.0.1:$(port tcp 127.0.0.1)
	fresh_stats
	before=$(value tcp_bytes_in)
	hold "$at" "$dir/big"
	within 5 stat_is tcp_bytes_in -gt "$before"
	[ "$(echo "first" | tcp "$at")" = first ]
	check "a peer that does not read does not hold up others" $?
	fresh_stats
	[ $(($(value tcp_bytes_in) - before)) -lt 33554432 ]
	check "and is not read from without bound" $?
	within 1 is_calm 0.3 30
	check "nor spun on" $?
	release
	within 5 stat_is connections_now -eq 0
	check "and its end is noticed" $?
}

late_reader() {
	at=127.0.0.1:$(port tcp 127.0.0.1)
	tcp "$at" <"$dir/big" | {
		sleep 0.3
		cmp -s - "$dir/big"
	}
	check "a peer that reads late gets all 32 MB" $?
}

backend() {
	mode=${1:-default}
	set -- --listen 127.0.0.1:0 --stats ${1:+"$1"}
	[ "$v6" = no ] || set -- --listen '[::1]:0' "$@"
	start run_echo "$@" || return
	tier=$(sed -n 's/^ready tier=//p' "$dir/out")
	case $mode:$tier in
	--epoll:none | --disable=region:copied | --disable=region:none) ;;
	--epoll:* | --disable=region:*) false ;;
	*:none | *:copied | *:region) ;;
	*) false ;;
	esac
	check "is ready on tier $tier" $?
	if [ "$mode" != --epoll ] && [ "$tier" = none ]; then
		echo "# $mode: not on evring: $(head -n 1 "$dir/err")"
	fi
	serves 127.0.0.1
	[ "$v6" = no ] || serves '[::1]'
	slow_reader
	late_reader
	fresh_stats
	[ "$(value tier)" = "$tier" ] &&
		[ "$(value tcp_bytes_in)" -gt 33554432 ] &&
		[ "$(value udp_bytes_out)" -ge 8005 ] &&
		[ "$(value turns)" -gt 0 ] &&
		{ [ "$tier" != region ] ||
			[ "$(value waits_by_offset)" -gt 0 ]; }
	check "SIGUSR1 prints true statistics" $?
	stop
	check "SIGTERM ends it with status 0" $?
	has_more_stats 1
	check "--stats prints statistics at the end" $?
}

#
# Once: what does not depend on the backend
#

# A client is stuck on what it sent, the daemon is told to stop, the client goes
# on reading: it gets every byte that the daemon took, then a clean end.
nothing_lost() {
	mode='stop'
	start run_echo --listen 127.0.0.1:0 --stats --grace 60 || return
	at=127.0.0.1:$(port tcp 127.0.0.1)
	rm -f "$dir/go"
	{
		tcp "$at" <"$dir/big" 2>"$dir/client"
		echo $? >"$dir/status"
	} | {
		within 60 test -e "$dir/go"
		cat >"$dir/got"
	} &
	reader=$!
	within 5 stat_is tcp_bytes_in -gt 65536
	within 5 is_stuck
	check "a connection is stuck" $?
	kill -TERM "$pid"
	within 10 is_refused "$at"
	check "SIGTERM closes the listener at once" $?
	: >"$dir/go"
	ended
	check "ends with status 0 when the connection is done" $?
	wait "$reader"
	[ "$(wc -c <"$dir/got")" -eq "$(value tcp_bytes_in)" ] &&
		[ "$(value tcp_bytes_out)" -eq "$(value tcp_bytes_in)" ] &&
		[ "$(value tcp_errors)" -eq 0 ] &&
		head -c "$(value tcp_bytes_in)" "$dir/big" |
		cmp -s - "$dir/got"
	check "every byte that was taken came back" $?
	[ "$(cat "$dir/status")" -eq 0 ] && [ ! -s "$dir/client" ]
	check "without a reset" $?
}

is_stuck() {
	fresh_stats
	before_bytes=$(value tcp_bytes_in)
	sleep 0.1
	stat_is tcp_bytes_in -eq "$before_bytes"
}

is_refused() {
	! timeout 20 socat -u OPEN:/dev/null "TCP:$1" 2>/dev/null
}

hard_stop() {
	mode='hard stop'
	start run_echo --listen 127.0.0.1:0 --grace 60 || return
	mkfifo "$dir/silence"
	exec 3<>"$dir/silence"
	timeout 120 socat -t120 - "TCP:127.0.0.1:$(port tcp 127.0.0.1)" \
		<&3 2>/dev/null &
	clients=$!
	exec 3<&-
	within 5 stat_is connections_now -eq 1
	stop
	check "a connection at rest is not waited for" $?
	release

	start run_echo --listen 127.0.0.1:0 --grace 60 || return
	hold "127.0.0.1:$(port tcp 127.0.0.1)" "$dir/big"
	within 5 stat_is tcp_bytes_in -gt 65536
	within 5 is_stuck
	kill -INT "$pid"
	sleep 0.2
	! is_over "$pid"
	check "the grace time is given to a connection that is stuck" $?
	stop
	check "a second signal ends it with status 0" $?
	release

	start run_echo --listen 127.0.0.1:0 --grace 0.2 || return
	hold "127.0.0.1:$(port tcp 127.0.0.1)" "$dir/big"
	within 5 stat_is tcp_bytes_in -gt 65536
	stop
	check "so does the end of the grace time" $?
	release
}

# is_queued ADDRESS: somebody is connected whom nobody accepts
is_queued() {
	awk -v port="$(printf ':%04X' "${1##*:}")" '
		$4 == "0A" && index($2, port) && $5 !~ /:0*$/ { found = 1 }
		END { exit !found }' /proc/net/tcp
}

limits() {
	mode=limits
	start run_echo --listen 127.0.0.1:0 --max-connections 2 || return
	at=127.0.0.1:$(port tcp 127.0.0.1)
	hold "$at"
	within 5 stat_is connections_now -eq 1
	echo late | tcp "$at" >"$dir/first"
	hold "$at"
	within 5 stat_is connections_now -eq 2
	check "two connections of two are served" $?
	echo late | tcp "$at" >"$dir/third" &
	third=$!
	within 10 is_queued "$at"
	sleep 0.1
	is_queued "$at" && stat_is connections_now -eq 2 && [ "$(value limit_reached)" -ge 1 ] &&
		[ ! -s "$dir/third" ]
	check "a third waits" $?
	release
	wait "$third"
	[ "$(cat "$dir/third")" = late ]
	check "and is served when another has gone" $?
	stop
	check "ends with status 0" $?
}

few_descriptors() {
	# shellcheck disable=SC3045 # dash, bash, ksh and busybox have it
	ulimit -n 40 && run_echo --listen 127.0.0.1:0
}

no_descriptor() {
	mode='no descriptor'
	start few_descriptors || return
	contains "$dir/err" 'lowered to .*RLIMIT_NOFILE is 40'
	check "RLIMIT_NOFILE lowers --max-connections, and says so" $?
	stop

	if ! command -v prlimit >/dev/null; then
		left_out "there is no prlimit"
		return
	fi
	start run_echo --listen 127.0.0.1:0 --tcp-only --max-connections 3 ||
		return
	at=127.0.0.1:$(port tcp 127.0.0.1)
	lowest=0
	while [ -L "/proc/$pid/fd/$lowest" ]; do
		lowest=$((lowest + 1))
	done
	hold "$at"
	hold "$at"
	hold "$at"
	# A request has the limit of the time at which it was made, and there is
	# none now: nobody may connect.
	within 5 stat_is limit_reached -eq 1
	prlimit --pid "$pid" --nofile=$((lowest + 2)):
	release
	within 5 stat_is connections_now -eq 0
	for _ in 1 2 3 4; do
		hold "$at"
	done
	within 5 stat_is accept_pauses -ge 1
	check "it runs out of descriptors" $?
	within 1 is_calm 0.5 60
	check "does not spin then" $?
	[ "$(value connections_now)" -eq 2 ]
	check "keeps the connections it has" $?
	release
	[ "$(echo again | tcp "$at")" = again ]
	check "and serves again when some have gone" $?
	stop
	check "ends with status 0" $?
}

# It is used for longer than may be idle.  On a slow machine a pause between may
# be too long, but not each time.
serves_who_talks() {
	for _ in 1 2 3 4 5; do
		[ "$(for i in 1 2 3 4 5; do
			echo "$i"
			sleep 0.2
		done | tcp "$at" | tr -d '\n')" != 12345 ] || return 0
	done
	return 1
}

idle() {
	mode=idle
	start run_echo --listen 127.0.0.1:0 --idle 0.5 || return
	at=127.0.0.1:$(port tcp 127.0.0.1)
	timeout 20 socat -u "TCP:$at" OPEN:/dev/null
	check "an idle connection is closed" $?
	stat_is connections_timed_out -eq 1
	check "and counted" $?
	serves_who_talks
	check "one that is used is not" $?
	stop
	check "ends with status 0" $?
}

addresses() {
	mode=addresses
	start run_echo --listen :0 || return
	any=$(sed -n 's/^listening tcp .*://p' "$dir/out")
	[ "$(echo four | tcp "127.0.0.1:$any")" = four ]
	check "all addresses are reached by IPv4" $?
	[ "$v6" = no ] || [ "$(echo six | tcp "[::1]:$any")" = six ]
	check "and IPv6" $?
	[ "$(printf hello | udp 5 "127.0.0.2:$any")" = hello ]
	check "and answer datagrams from the address they were sent to" $?

	running=$pid
	(run_echo --listen "127.0.0.1:$any") >"$dir/out2" 2>"$dir/err2"
	[ $? -eq 1 ] && contains "$dir/err2" "tcp 127.0.0.1:$any: bind refused"
	check "a port in use: exit 1, and which" $?
	pid=$running
	stop
	check "ends with status 0" $?

	start run_echo --listen 127.0.0.1:0 --udp-only --requests 2 || return
	! contains "$dir/out" '^listening tcp'
	check "--udp-only" $?
	at=127.0.0.1:$(port udp 127.0.0.1)
	printf hello | udp 5 "$at" >"$dir/udp"
	printf world | udp 5 "$at" >>"$dir/udp"
	ended && [ "$(cat "$dir/udp")" = helloworld ]
	check "--requests ends it with status 0, all answered" $?
}

ticks() {
	mode=ticks
	start run_echo --listen 127.0.0.1:0 --tick 0.0002 --ticks 100 --stats ||
		return
	within 10 contains "$dir/out" '^ticks done=100$'
	check "run to the end" $?
	stop
	[ "$(value ticks)" -eq 100 ] && [ -n "$(value tick_late_median_us)" ] &&
		[ "$(value tick_late_best_us | tr -d .)" -ge 0 ]
	check "are measured, none early" $?
}

# refuses OPTION...
refuses() {
	timeout 20 "$ECHO" --style "$style" "$@" >"$dir/out" 2>"$dir/err"
	[ $? -eq 2 ] && [ -s "$dir/err" ] && [ ! -s "$dir/out" ]
	check "$*: exit 2" $?
}

usage() {
	mode=usage
	timeout 20 "$ECHO" --help >"$dir/out" 2>"$dir/err" &&
		[ ! -s "$dir/err" ] && contains "$dir/out" --max-connections
	check "--help" $?
	refuses --no-such-option
	refuses argument
	refuses --listen
	refuses --listen 127.0.0.1
	refuses --listen ::1:7777
	refuses --listen 127.0.0.1:65536
	refuses --listen '[127.0.0.1]:7777'
	refuses --listen host.invalid:7777
	refuses --idle -1
	refuses --idle nan
	refuses --tick 1s
	refuses --buffer 0
	refuses --buffer 64k
	refuses --max-connections 99999999999999999999
	refuses --tcp-only --udp-only
	refuses --style=readiness
	refuses --workers 0
	[ "$style" = watchers ] || refuses --epoll
	refuses --epoll --require-region
	refuses --disable=no-such-feature
	refuses --spin=2
	refuses --spin=-1
	refuses --spin=fast
	refuses --epoll --spin=auto
	timeout 20 "$ECHO" --style "$style" --disable=region --require-region \
		>"$dir/out" 2>"$dir/err"
	[ $? -eq 1 ] && [ "$(wc -l <"$dir/err")" -eq 1 ] && [ ! -s "$dir/out" ]
	check "--require-region where it is not to be had: exit 1, and why" $?
}

nc=no
nc -h 2>&1 | grep -q OpenBSD && nc=yes
[ "$nc" = yes ] || left_out "there is no OpenBSD nc"
v6=no
grep -q '^0\{31\}1 ' /proc/net/if_inet6 2>/dev/null && v6=yes
[ "$v6" = yes ] || left_out "there is no address ::1"
head -c 1000000 /dev/urandom >"$dir/blob"
head -c 8000 "$dir/blob" >"$dir/8000"
for _ in 1 2 3 4; do
	head -c 8388608 /dev/urandom
done >"$dir/big"

usage
if [ "$style" = watchers ]; then
	others=--epoll
else
	others='--disable=multishot-accept,multishot-recv
		--disable=recv-bundle --disable=pbuf-ring'
fi
# shellcheck disable=SC2086 # a list of options
for option in '' $others --disable=region --user-region --disable=epoll-wait \
	--spin=1e-3 --spin=auto; do
	is_in_time && backend "$option"
done
for part in nothing_lost hard_stop limits no_descriptor idle addresses ticks; do
	is_in_time && $part
done
is_in_time || {
	mode=echo.sh
	check "is done in ten minutes" 1
}
exit "$failed"
