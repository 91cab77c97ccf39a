#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# real/sniproxy.sh - sniproxy on libev's epoll and on evring.
#
#	curl -> sniproxy -> backend.py "one" or "two", by the name in the request
#
# In the foreground, with a reload, and as a daemon, which makes its loop before
# it forks.  A process of its own, without a loop, binds its sockets.
#
# shellcheck disable=SC2154 # dir, failed, side and pid are common.sh's
# shellcheck disable=SC2317 # both and within call functions by name

# shellcheck source-path=SCRIPTDIR source=common.sh
. "${top_srcdir:?}/tests/real/common.sh"

PYTHON=/usr/bin/python3

# Sets origin to the address of a new backend.
backend() {
	helper "$1" "$PYTHON" "$top_srcdir/tests/real/backend.py" "$dir/$1"
	backends="$backends $pid"
	within 10 is_said "$1"
	origin=127.0.0.1:$(cat "$dir/$1.out")
}

# configure NAME...: these names lead to the second backend
configure() {
	{
		echo "user root"
		echo "pidfile $dir/pid"
		echo "error_log { filename $dir/errors }"
		echo "listen 127.0.0.1:$at { proto http }"
		echo "table {"
		echo "	one.test $one"
		for name; do
			echo "	$name $two"
		done
		echo "}"
	} >"$dir/conf"
}

begin() {
	backends=
	backend one
	one=$origin
	backend two
	two=$origin
	at=$(spare_port)
	rm -f "$dir/pid" "$dir/errors"
	configure two.test
}

end_backends() {
	for pid in $backends; do
		stop TERM "$pid" 2>/dev/null
	done
}

# What curl gets, and its status if it fails.
get() {
	curl -sS --no-progress-meter -m 60 --noproxy '*' \
		--resolve "*:$at:127.0.0.1" "$@" 2>>"$dir/curl.err" ||
		echo "curl: $?"
}

ask() {
	for name in one two; do
		url=http://$name.test:$at
		get -Z --parallel-max 20 "$url/name?[1-40]" | sort
		get "$url/big" | digest
		get -H 'Expect:' -T "$dir/one/big" "$url/put"
	done
}

expected() {
	for name in one two; do
		for _ in $(seq 40); do
			echo "$name"
		done
		digest <"$dir/one/big"
		digest <"$dir/one/big"
	done
}

leads() {
	[ "$(get "http://$1:$at/name")" = "$2" ]
}

foreground() {
	begin
	start proxy sniproxy -f -c "$dir/conf"
	proxy=$pid
	within 10 has_ports "$proxy"
	ask >/dev/null
	before=$(calm_fds "$proxy")
	ask_thrice
	are_right
	check "three times 84 answers, the right ones" $?
	within 10 has_fds "$proxy" "$before"
	check "keeps no descriptor" $?
	fact "a name that leads nowhere: $(get "http://three.test:$at/name")"
	configure two.test three.test
	kill -HUP "$proxy"
	within 10 leads three.test two
	check "a reload adds a name" $?
	leads one.test one && leads two.test two
	check "and keeps the others" $?
	uses_side "$proxy"
	stop TERM "$proxy"
	fact "SIGTERM ends it with status $?"
	used_side "$dir/proxy.err"
	end_backends
}

has_pid() {
	[ -s "$dir/pid" ]
}

as_daemon() {
	begin
	start proxy sniproxy -c "$dir/conf"
	ended "$pid"
	check "goes to the background with status 0" $?
	within 10 has_pid
	proxy=$(cat "$dir/pid")
	groups="$groups $proxy" # a session of its own
	within 10 has_ports "$proxy"
	ask_thrice
	are_right
	check "three times 84 answers, the right ones" $?
	uses_side "$proxy"
	kill -TERM "$proxy"
	within 10 is_over "$proxy"
	check "SIGTERM ends it" $?
	end_backends
}

need sniproxy curl sha256sum
"$PYTHON" -c 'import http.server' 2>/dev/null || skip "there is no $PYTHON"
[ "$(id -u)" -eq 0 ] || skip "sniproxy changes its user, which needs root"
mkdir "$dir/one" "$dir/two"
head -c 4000000 /dev/urandom >"$dir/one/big"
cp "$dir/one/big" "$dir/two/big"
echo one >"$dir/one/name"
echo two >"$dir/two/name"
both foreground as_daemon
exit "$failed"
