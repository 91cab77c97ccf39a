#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# proxy.sh - the proxy between real clients and real servers, and then between
# those of proxy-cases.py, which misbehave.
#
# PROXY and ECHO name the programs, ./examples/proxy and ./examples/echo unless
# set.  One line per promise, "ok - ..." or "not ok - ..."; "# ..." says what was
# left out and why.  Exit status: 0, 1 when any promise is broken, 77 when
# nothing could be tried.
#
# Every client runs under timeout(1), every wait is a bounded poll, and only
# processes that this script started are ended.
#
# shellcheck disable=SC2094 # cmp and a client read the same file, none writes
# shellcheck disable=SC2317 # trap and within call functions by name

# shellcheck source-path=SCRIPTDIR source=common.sh
. "${0%/*}/common.sh"
PROXY=${PROXY:-./examples/proxy}
ECHO=${ECHO:-./examples/echo}
export LC_ALL=C PROXY

for program in $PROXY "$ECHO"; do
	command -v "$program" >/dev/null || skip "there is no program $program"
done
for tool in socat timeout cmp; do
	command -v "$tool" >/dev/null || skip "there is no $tool"
done

dir=$(mktemp -d) || skip "mktemp made no directory"
pids=

finish() {
	# shellcheck disable=SC2086 # a list of numbers
	[ -z "$pids" ] || kill -KILL $pids 2>/dev/null
	rm -rf "$dir"
}
trap finish EXIT
trap 'exit 1' HUP INT TERM

on_failure() {
	[ ! -s "$dir/proxy.err" ] || sed 's/^/# stderr: /' "$dir/proxy.err"
}

is_ready_or_over() {
	grep -q '^ready ' "$dir/$1.out" || is_over "$pid"
}

# start NAME COMMAND...: sets pid, and at to where it listens
start() {
	name=$1
	shift
	: >"$dir/$name.out"
	"$@" >"$dir/$name.out" 2>"$dir/$name.err" &
	pid=$!
	pids="$pids $pid"
	within 20 is_ready_or_over "$name"
	at=$(sed -n 's/^listening tcp //p' "$dir/$name.out")
	[ -n "$at" ]
}

# start_files: a server of files in $dir/files
start_files() {
	mkdir "$dir/files"
	cp "$dir/blob" "$dir/files/blob"
	(
		cd "$dir/files" || exit
		exec python3 -u -m http.server --bind 127.0.0.1 0
	) >"$dir/files.out" 2>"$dir/files.err" &
	pids="$pids $!"
	within 20 grep -q ' port ' "$dir/files.out" || return
	port=$(sed -n 's/.* port \([0-9]*\) .*/\1/p' "$dir/files.out")
	files=127.0.0.1:$port
}

# ended PID: its status, or 1 if it had to be shot
ended() {
	within 20 is_over "$1" || kill -KILL "$1"
	wait "$1"
}

bytes() {
	timeout 60 socat -t50 - "TCP:$at" <"$dir/blob" | cmp -s - "$dir/blob"
	check "1 MB goes to echo and back, by socat" $?
	if nc -h 2>&1 | grep -q OpenBSD; then
		timeout 60 nc -N "${at%:*}" "${at##*:}" <"$dir/blob" |
			cmp -s - "$dir/blob"
		check "and by nc" $?
	else
		left_out "there is no OpenBSD nc"
	fi
}

curls() {
	if ! command -v curl >/dev/null; then
		left_out "there is no curl"
		return
	fi
	timeout 60 curl -sS --fail "http://$at/blob" | cmp -s - "$dir/blob"
	check "curl gets a file from python's server" $?
	[ "$(timeout 60 curl -sS -o /dev/null -w '%{http_code}' \
		"http://$at/none")" = 404 ]
	check "and is told that there is none" $?
}

wrks() {
	if ! command -v wrk >/dev/null; then
		left_out "there is no wrk"
		return
	fi
	timeout 60 wrk -t 1 -c 20 -d 1 "http://$at/blob" >"$dir/wrk" 2>&1
	check "wrk runs" $?
	! grep -q '^ *Socket errors\|Non-2xx' "$dir/wrk"
	check "without an error" $?
}

head -c 1000000 /dev/urandom >"$dir/blob"
if start echo "$ECHO" --listen 127.0.0.1:0; then
	# shellcheck disable=SC2086 # words
	start proxy $PROXY --listen 127.0.0.1:0 --to "$at" && bytes
	check "is started in front of echo" $?
	kill -TERM "$pid"
	ended "$pid"
	check "SIGTERM ends it with status 0" $?
fi
if ! command -v python3 >/dev/null; then
	left_out "there is no python3"
	exit "$failed"
fi
if start_files; then
	# shellcheck disable=SC2086 # words
	start proxy $PROXY --listen 127.0.0.1:0 --to "$files" && {
		curls
		wrks
	}
	kill -TERM "$pid"
	ended "$pid"
	check "SIGTERM ends it with status 0" $?
fi
timeout 900 python3 "${0%/*}/proxy-cases.py"
status=$?
[ "$status" -eq 1 ] || check "proxy-cases.py ends" "$status"
[ "$status" -eq 0 ] || failed=1
exit "$failed"
