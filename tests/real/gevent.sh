#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# real/gevent.sh - gevent (python3-gevent) on libev's epoll and on evring.
#
# python loads libev late and privately: gevent's extension, opened RTLD_LOCAL,
# brings libev.so.4 with it.  gevent-program.py beside this file says what a
# program sees: time, sockets, HTTP, children, signals, forks, threads, files.
# Its output must be the same on both sides.  Then curl asks its server.
#
# shellcheck disable=SC2154 # dir, failed, side and pid are common.sh's
# shellcheck disable=SC2317 # both and within call functions by name

# shellcheck source-path=SCRIPTDIR source=common.sh
. "${top_srcdir:?}/tests/real/common.sh"

PYTHON=/usr/bin/python3 # the one that Debian's packages are for
PROGRAM=$top_srcdir/tests/real/gevent-program.py
export GEVENT_LOOP=libev-cext
export PYTHONDONTWRITEBYTECODE=1
unset PYTHONPATH PYTHONHOME

# block FILE PID: what the statistics of one process say of its loops
block() {
	awk -v "first=[$2]" '
		/^evring stats: / && index($0, first) { inside = 1; next }
		/^evring stats: end$/ { inside = 0 }
		inside' "$1"
}

# by_itself NAME PID: not only a child of it was in the ring
by_itself() {
	[ "$side" = ring ] || return 0
	block "$dir/$1.err" "$2" | grep -q ' loop .*tier=[rc].* enters=[1-9]'
	check "so did the process itself" $?
}

# Loops in threads, loops that are destroyed, and those of five forked children.
by_others() {
	[ "$side" = ring ] || return 0
	block "$dir/$1.err" "$2" |
		grep -q ' ended: loops=2[4-9] .* enters=[1-9]'
	check "and its other loops" $?
	[ "$(grep -c ' loop .*tier=[rc].* enters=[1-9]' "$dir/$1.err")" -ge 6 ]
	check "and its children" $?
}

parts() {
	start parts "$PYTHON" "$PROGRAM"
	parts=$pid
	within 600 is_over "$parts"
	ended "$parts"
	status=$?
	grep '^not ok' "$dir/parts.out" | sed 's/^/# /'
	check "all parts hold" "$status"
	used_side "$dir/parts.err"
	by_itself parts "$parts"
	by_others parts "$parts"
	cat "$dir/parts.out" >>"$dir/facts.$side"
}

is_serving() {
	grep -q '^http:' "$dir/server.out" || is_over "$pid"
}

get() {
	curl -sS --no-progress-meter --noproxy '*' -m 60 "$@" 2>>"$dir/curl.err"
}

# Twenty at a time, one connection each, and twenty over one.
ask() {
	get "$url/late" -d "$1"
	get "$url/none" -w '%{http_code}\n'
	get -Z --parallel-max 20 "$url/many[1-60]" | sort
	get "$url/one[1-20]"
	get --data-binary @"$dir/blob" "$url/post"
}

requests() {
	for n in 1 2 3; do
		ask "$n" >"$dir/answer.$n"
	done
}

answers_are_right() {
	sum=$(sha256sum <"$dir/blob")
	[ "$(wc -l <"$dir/answer.3")" -eq 84 ] &&
		grep -q "^POST /post ${sum%% *}\$" "$dir/answer.3" &&
		grep -q '^404$' "$dir/answer.3"
}

server() {
	start server "$PYTHON" "$PROGRAM" serve
	server=$pid
	within 60 is_serving
	url=$(cat "$dir/server.out")
	ask 0 >"$dir/answer.0"
	before=$(calm_fds "$server")
	waits_by_side "$server" requests
	[ -e "$dir/answer.3" ] || requests
	answers_are_right
	check "curl gets 84 answers, the right ones" $?
	cat "$dir"/answer.? >>"$dir/facts.$side"
	rm -f "$dir"/answer.?
	within 10 has_fds "$server" "$before"
	check "leaves no descriptor open" $?
	uses_side "$server"
	stop TERM "$server"
	check "SIGTERM ends it with status 0" $?
	[ "$(tail -n 1 "$dir/server.out")" = stopped ]
	check "and in order" $?
	used_side "$dir/server.err"
	by_itself server "$server"
}

need curl sha256sum
"$PYTHON" -c 'import gevent.libev.corecext' 2>/dev/null ||
	skip "there is no gevent on libev (python3-gevent)"
head -c 300000 /dev/urandom >"$dir/blob"
both parts server
exit "$failed"
