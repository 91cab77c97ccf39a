#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# real/hitch.sh - hitch from its package, which ends TLS in front of nghttpd, on
# libev's epoll and under `evring run`.
#
# The main process has no loop; it forks two workers and one for OCSP, each of
# which makes its loop after the fork and, where the script runs as root, after
# it became another user.  Reload forks new ones, and the old ones end when they
# are done.
#
# EVRING, top_srcdir, SAN_FLAGS from make.
#
# shellcheck disable=SC2119 # further arguments are for the clients
# shellcheck disable=SC2317 # both calls functions by name
# shellcheck disable=SC2154 # common.sh sets them

. "${top_srcdir:?}/tests/real/common.sh"
. "$top_srcdir/tests/real/http.sh"

nr_children=3

numbers() {
	children "$front" | sed -n 's/ [^Z]$//p' | sort -n
}

has_children() {
	[ "$(numbers | wc -l)" -eq "$nr_children" ]
}

# make_config: $before and $behind are the ports
make_config() {
	cat >"$dir/hitch.conf" <<-END
		frontend = "[127.0.0.1]:$before"
		backend = "[127.0.0.1]:$behind"
		pem-file = "$dir/both.pem"
		alpn-protos = "h2"
		workers = 2
	END
	[ "$(id -u)" -ne 0 ] || echo 'user = "nobody"' >>"$dir/hitch.conf"
}

start_backend() {
	helper backend nghttpd -a 127.0.0.1 -d "$dir/docs" --no-tls \
		--echo-upload 0
	backend=$pid
	listens
	behind=$port
}

start_front() {
	start front hitch --config="$dir/hitch.conf"
	front=$pid
	listens || return
	within 10 has_children
	check "forks its children" $?
	within 10 serves
	check "serves" $?
}

start_both() {
	start_backend || return
	before=$(spare_port)
	make_config
	at=https://127.0.0.1:$before
	start_front
}

# Of each child: a worker that got no connection has the same as one that did.
descriptors() {
	for number in $(numbers); do
		calm_fds "$number"
	done | tr '\n' ' '
}

has_descriptors() {
	[ "$(descriptors)" = "$1" ]
}

all_use_side() {
	for number in $(numbers); do
		uses_side "$number" 1
	done
}

is_refused() {
	! timeout 20 curl -sk --noproxy '*' -o /dev/null "$at/small"
}

# end_front: by SIGTERM; all its processes are gone, its port is free
end_front() {
	stop TERM "$front"
	status=$?
	fact exit "$status"
	[ "$status" -eq 0 ]
	check "SIGTERM ends it with status 0" $?
	within 10 is_gone "$front"
	check "and its children" $?
	used_side "$dir/front.err"
	is_refused
	check "and nobody listens" $?
}

hitch_serves() {
	start_both || return
	idle=$(descriptors)
	fact idle descriptors "$idle"
	loads
	bodies --http2
	waits_by_side "$(numbers | head -n 1)" load 10 50 "$at/small"
	all_use_side
	within 10 has_descriptors "$idle"
	check "keeps no descriptor" $?
	end_front
	start_front
	end_front
	stop TERM "$backend"
}

is_replaced() {
	has_children && ! numbers | grep -q -x -F "$old"
}

hitch_reloads() {
	start_both || return
	old=$(numbers)
	slow_download
	kill -HUP "$front"
	within 10 has_newer
	check "SIGHUP makes new workers" $?
	within 10 serves
	check "which serve" $?
	downloaded
	check "what was under way came to its end" $?
	within 10 is_replaced
	check "the old ones end when they are done" $?
	[ "$(children "$front" | wc -l)" -eq "$nr_children" ]
	check "and none is a zombie" $?
	load 10 100 "$at/small"
	check "100 right replies" $?
	fact idle descriptors "$(descriptors)"
	all_use_side
	end_front
	stop TERM "$backend"
}

has_newer() {
	[ "$(numbers | grep -c -v -x -F "$old")" -eq "$nr_children" ]
}

need nghttpd hitch h2load curl openssl cksum id
make_documents
make_certificate
both hitch_serves hitch_reloads
exit "$failed"
