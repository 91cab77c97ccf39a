#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# resp.sh - the cache driven by redis-cli and redis-benchmark, and by clients
# that no library would be (resp.py); compared with a redis-server if there is
# one.
#
# RESP names the daemon, ./examples/resp unless set.  One line per promise,
# "ok - ..." or "not ok - ..."; "# ..." says what was left out and why.  Exit
# status: 0, 1 when any promise is broken, 77 when nothing could be tried.
#
# Every client runs under timeout(1), every wait is a bounded poll, and only
# processes that this script started are ended.
#
# shellcheck disable=SC2317 # trap and within call functions by name

# shellcheck source-path=SCRIPTDIR source=daemon/common.sh
. "${0%/*}/daemon/common.sh"
RESP=${RESP:-./examples/resp}
CASES=${0%/*}/resp.py
export LC_ALL=C

[ -x "$RESP" ] || skip "there is no program $RESP"
command -v timeout >/dev/null || skip "there is no timeout"

deadline=$(($(date +%s) + 900)) # if all waits were in vain
other_port=

# start OPTION...
start() {
	launch "$RESP" --listen 127.0.0.1:0 "$@" && return
	contains "$dir/err" 'no io_uring\|forbidden' && {
		wait "$pid"
		pid=
		skip "no ring here: $(head -n 1 "$dir/err")"
	}
	give_up
}

# play GROUP: what resp.py says is what holds
play() {
	if [ "$python" = no ]; then
		left_out "there is no python3 for the cases of $1"
		return
	fi
	timeout 300 python3 "$CASES" "$1" "$port" "$pid" $other_port \
		>"$dir/cases" 2>&1
	status=$?
	sed "s/^\(ok\|not ok\) - /&${mode:+$mode: }/" "$dir/cases"
	[ "$status" -eq 0 ] || {
		failed=1
		on_failure
	}
}

cli() {
	timeout 30 redis-cli -p "$port" "$@"
}

#
# Real clients
#

typed() {
	cat <<'END'
FLUSHALL
SET greeting "hello world" EX 100
GET greeting
TTL greeting
INCR n
INCRBY n 41
MSET a 1 b 2
MGET a b nokey
DEL a b
EXISTS a
HELLO 3
DBSIZE
END
}

answers() {
	cat <<'END'
OK
OK
hello world
100
1
42
OK
1
2

2
0
ERR unknown command 'HELLO', with args beginning with: '3' 

2
END
}

redis_cli() {
	command -v redis-cli >/dev/null || {
		left_out "there is no redis-cli"
		return
	}
	answers >"$dir/wanted"
	typed | cli >"$dir/got" 2>&1
	cmp -s "$dir/wanted" "$dir/got"
	check "redis-cli: commands from a pipe" $?
	[ "$(cli get greeting)" = "hello world" ]
	check "redis-cli: a command from its arguments" $?
	head -c 3000000 /dev/urandom >"$dir/blob"
	[ "$(cli -x set blob <"$dir/blob")" = OK ] &&
		cli get blob | head -c 3000000 | cmp -s - "$dir/blob"
	check "redis-cli: 3 MB of any bytes" $?
	awk 'BEGIN { for (i = 0; i < 5000; i++)
		printf "SET mass:%d %d\r\n", i, i }' |
		timeout 30 redis-cli -p "$port" --pipe >"$dir/got" 2>&1
	contains "$dir/got" 'errors: 0, replies: 5000'
	check "redis-cli --pipe: 5000 commands" $?
	cli info memory | grep -q '^used_memory:[1-9]'
	check "redis-cli: INFO of a section" $?
	command -v script >/dev/null || {
		left_out "there is no script, to make a terminal"
		return
	}
	printf 'get greeting\nquit\n' | TERM=dumb timeout 30 script -qec \
		"redis-cli -p $port" /dev/null >"$dir/got" 2>&1
	contains "$dir/got" '"hello world"'
	check "redis-cli: at a terminal, where it asks for COMMAND DOCS" $?
}

# benchmark WHAT OPTION...: no reply is an error, all are counted
benchmark() {
	what=$1
	shift
	timeout 120 redis-benchmark -p "$port" --csv "$@" >"$dir/got" \
		2>"$dir/warnings" </dev/null &&
		! grep -v Keepalive "$dir/warnings" &&
		[ "$(tail -n +2 "$dir/got" | wc -l)" -ge 1 ] &&
		! grep -qi error "$dir/got"
	check "redis-benchmark: $what" $?
}

redis_benchmark() {
	command -v redis-benchmark >/dev/null || {
		left_out "there is no redis-benchmark"
		return
	}
	benchmark "one at a time" -n 5000 -c 50 -d 64 \
		-t ping,set,get,incr,mset
	benchmark "16 at a time" -n 50000 -c 50 -d 64 -P 16 -r 10000 -t set,get
	benchmark "a new connection for each" -n 2000 -c 20 -k 0 -t get
}

start_other() {
	command -v redis-server >/dev/null || return
	for try in 1 2 3 4 5; do
		other_port=$((20000 + ($$ * 7 + try * 1009) % 12000))
		(cd "$dir" && exec redis-server --port "$other_port" \
			--bind 127.0.0.1 --save "" --appendonly no \
			--databases 1 --daemonize no >other.log 2>&1) &
		clients=$!
		within 10 other_is_ready && return
		kill -KILL "$clients" 2>/dev/null
		wait "$clients" 2>/dev/null
		clients='' other_port=''
	done
}

other_is_ready() {
	contains "$dir/other.log" 'Ready to accept connections'
}

stop_other() {
	[ -n "$clients" ] || return
	kill -TERM "$clients"
	wait "$clients"
	clients='' other_port=''
}

#
# All of it
#

# served MODE OPTION...
served() {
	mode=$1
	shift
	start "$@" || return
	before=$(nr_descriptors)
	play commands
	play protocol
	play times
	redis_cli
	redis_benchmark
	within 10 has_descriptors "$before"
	check "no descriptor is left" $?
	stop
}

# compared MODE OPTION...
compared() {
	mode=$1
	shift
	start "$@" || return
	start_other
	play random
	stop_other
	stop
}

shared() {
	mode='3 workers'
	start --workers 3 || return
	play shared
	stop
}

greedy() {
	mode=greedy
	start || return
	play greedy
	stop
	mode='tight'
	start --max-output 1024 || return
	play tight
	stop
	mode='impatient'
	start --stall 0.5 --max-connections 10 || return # high water: 1 MiB
	play stalled
	stop
}

# The buffers to receive into are not of --memory.
bounded() {
	mode='bounded'
	start --memory 8M --buffers 64 || return
	play memory
	stop
	mode='no eviction'
	start --memory 8M --buffers 64 --no-eviction || return
	play full
	stop
}

ending() {
	mode='end'
	[ "$python" = yes ] || return
	start --grace 30 || return
	play stopping
	ended
	check "ends with status 0" $?
}

options() {
	mode=options
	"$RESP" --help >"$dir/help" && contains "$dir/help" '--no-eviction'
	check "--help tells them" $?
	"$RESP" --memory 1 >/dev/null 2>"$dir/err"
	[ $? -eq 2 ] && contains "$dir/err" '--memory=1 refused'
	check "a bound that is too small is refused" $?
	"$RESP" --memory 8M --workers 3 >/dev/null 2>"$dir/err"
	[ $? -eq 2 ] && contains "$dir/err" 'bytes for each worker'
	check "so is one that is too small for all workers" $?
}

python=yes
command -v python3 >/dev/null || python=no
served ''
served 'without multishot' --disable multishot-recv,pbuf-ring
served '3 workers' --workers 3
compared 'compared'
compared 'compared, 2 workers' --workers 2
shared
greedy
bounded
ending
options
exit "$failed"
