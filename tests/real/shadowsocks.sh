#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# real/shadowsocks.sh - the programs of shadowsocks-libev on epoll and on evring.
#
#	curl --socks5 -> ss-local  -> ss-server -> backend.py
#	socat UDP     -> ss-tunnel -> ss-server -> backend.py
#
# All three are libev loops with many short connections, data in both directions
# and peers that go away in the middle.
#
# shellcheck disable=SC2154 # dir, failed, side and pid are common.sh's
# shellcheck disable=SC2317 # both and within call functions by name

# shellcheck source-path=SCRIPTDIR source=common.sh
. "${top_srcdir:?}/tests/real/common.sh"

PYTHON=/usr/bin/python3

# ss NAME PROGRAM OPTION...: one of the three
ss() {
	as=$1
	shift
	start "$as" "$@" -k secret -m aes-256-gcm -t 20
	within 10 has_ports "$pid"
	! is_over "$pid"
	check "$as starts" $?
}

begin() {
	helper backend "$PYTHON" "$top_srcdir/tests/real/backend.py" "$dir/files"
	backend=$pid
	within 10 is_said backend
	origin=127.0.0.1:$(cat "$dir/backend.out")
	at=$(spare_port)
	ss server ss-server -s 127.0.0.1 -p "$at" -u
	server=$pid
	socks=$(spare_port)
	ss local ss-local -s 127.0.0.1 -p "$at" -b 127.0.0.1 -l "$socks"
	local=$pid
}

get() {
	curl -sS --no-progress-meter -m 60 --noproxy '' \
		--socks5 "127.0.0.1:$socks" "$@" 2>>"$dir/curl.err"
}

# No two of these may depend on each other: the answers are sorted.
ask() {
	get -Z --parallel-max 30 "http://$origin/small?[1-90]" | sort
	get "http://$origin/small?[1-20]"
	get "http://$origin/big" | digest
	get -H 'Expect:' -T "$dir/files/big" "http://$origin/put"
	get -o /dev/null -w '%{http_code}\n' "http://$origin/none"
}

expected() {
	for _ in $(seq 110); do
		cat "$dir/files/small"
	done
	digest <"$dir/files/big"
	digest <"$dir/files/big"
	echo 404
}

forwards() {
	begin
	ask >/dev/null
	of_server=$(calm_fds "$server")
	of_local=$(calm_fds "$local")
	rm -f "$dir"/answer.?
	waits_by_side "$server" ask_thrice
	[ -e "$dir/answer.3" ] || ask_thrice
	are_right
	check "three times 113 answers, the right ones" $?
	within 10 has_fds "$server" "$of_server" &&
		within 10 has_fds "$local" "$of_local"
	check "neither keeps a descriptor" $?
	end_pair
}

# Both, what they did, and the origin.
end_pair() {
	uses_side "$server"
	uses_side "$local"
	stop TERM "$local"
	check "SIGTERM ends ss-local with status 0" $?
	stop TERM "$server"
	check "and ss-server" $?
	used_side "$dir/local.err"
	used_side "$dir/server.err"
	stop TERM "$backend" 2>/dev/null
}

# A client that reads slowly, so that all between is full.
slow() {
	helper "$1" curl -sS -m 60 --limit-rate 100k --noproxy '' \
		--socks5 "127.0.0.1:$socks" -o "$dir/$1.got" "http://$origin/big"
}

has_begun() {
	[ -s "$dir/$1.got" ]
}

breaks() {
	begin
	get "http://$origin/small" >/dev/null
	of_server=$(calm_fds "$server")
	of_local=$(calm_fds "$local")
	for client in one two three; do
		slow "$client"
		slow_pids="${slow_pids:-} $pid"
	done
	within 10 has_begun one && within 10 has_begun two &&
		within 10 has_begun three
	check "three slow clients are served" $?
	[ "$(get "http://$origin/small")" = "$(cat "$dir/files/small")" ]
	check "and hold up nobody" $?
	for client in $slow_pids; do
		kill -KILL "$client"
		wait "$client" 2>/dev/null
	done
	slow_pids=
	within 10 has_fds "$server" "$of_server" &&
		within 10 has_fds "$local" "$of_local"
	check "their sudden end is noticed on all sides" $?
	get "http://127.0.0.1:1/" >/dev/null
	fact "a port that refuses: curl says" $?
	[ "$(get "http://$origin/small")" = "$(cat "$dir/files/small")" ]
	check "and all goes on" $?
	slow last
	within 10 has_begun last
	last=$pid
	end_pair
	stop KILL "$last" 2>/dev/null
}

datagram() {
	timeout 60 socat -t 20 - "UDP:127.0.0.1:$tunnel,readbytes=${#1}" <<-END
	$1
	END
}

datagrams() {
	begin
	tunnel=$(spare_port)
	ss tunnel ss-tunnel -s 127.0.0.1 -p "$at" -b 127.0.0.1 -l "$tunnel" \
		-L "$origin" -u
	wrong=0
	for n in 101 102 103 104 105 106 107 108; do
		[ "$(datagram "datagram $n")" = "datagram $n" ] ||
			wrong=$((wrong + 1))
	done
	[ "$wrong" -eq 0 ]
	check "datagrams go there and back" $?
	[ "$(curl -sS -m 60 --noproxy '*' "http://127.0.0.1:$tunnel/small")" = \
		"$(cat "$dir/files/small")" ]
	check "and connections, by the same port" $?
	uses_side "$pid"
	stop TERM "$pid"
	check "SIGTERM ends ss-tunnel with status 0" $?
	used_side "$dir/tunnel.err"
	end_pair
}

need ss-server ss-local ss-tunnel curl socat sha256sum
"$PYTHON" -c 'import http.server' 2>/dev/null || skip "there is no $PYTHON"
mkdir "$dir/files"
echo "a small file" >"$dir/files/small"
head -c 4000000 /dev/urandom >"$dir/files/big"
both forwards breaks datagrams
exit "$failed"
