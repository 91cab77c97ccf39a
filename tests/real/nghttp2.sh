#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# real/nghttp2.sh - nghttpd and nghttpx from their packages, driven by h2load
# and curl, on libev's epoll and under `evring run`.
#
# nghttpd has a loop for its main thread and one for each of its workers, and
# speaks HTTP/2 only; it has no handler for SIGTERM, so its statistics are asked
# for by a signal.  nghttpx stands in front of it for HTTP/1.1 and HTTP/2: a main
# process and one with worker threads, each with loops of their own.  The latter
# is replaced at reload, both are when it executes itself.
#
# EVRING, top_srcdir, SAN_FLAGS from make.
#
# shellcheck disable=SC2119 # further arguments are for the clients
# shellcheck disable=SC2317 # both calls functions by name
# shellcheck disable=SC2154 # common.sh sets them

. "${top_srcdir:?}/tests/real/common.sh"
. "$top_srcdir/tests/real/http.sh"

# has_stats FILE PID: its block is there, to its end
has_stats() {
	sed -n "/^evring stats: .*\\[$2\\]/,/^evring stats: end/p" "$1" |
		grep -q '^evring stats: end'
}

asked_for_stats() {
	[ "$side" = ring ] || return 0
	kill -USR1 "$1"
	within 10 has_stats "$2" "$1"
	check "prints its statistics when asked" $?
}

# nghttpd URL-SCHEME CURL-ARGUMENT -- NGHTTPD-ARGUMENT...
drive_nghttpd() {
	scheme=$1
	protocol=$2
	shift 3
	options="--stats=USR1 --verbose"
	start server nghttpd -n 2 -a 127.0.0.1 -d "$dir/docs" --echo-upload \
		"$@"
	listens || return
	at=$scheme://127.0.0.1:$port
	server=$pid
	load 1 10 "$at/small"
	idle=$(calm_fds "$server")
	fact idle descriptors "$idle"
	loads
	bodies "$protocol"
	waits_by_side "$server" load 10 50 "$at/small"
	uses_side "$server" 3
	within 10 has_fds "$server" "$idle"
	check "keeps no descriptor" $?
	asked_for_stats "$server" "$dir/server.err"
	used_side "$dir/server.err"
	stop TERM "$server"
	fact exit $?
}

nghttpd_plain() {
	drive_nghttpd http --http2-prior-knowledge -- --no-tls 0
}

nghttpd_tls() {
	drive_nghttpd https --http2 -- 0 "$dir/key.pem" "$dir/cert.pem"
}

#
# nghttpx
#

start_backend() {
	start backend nghttpd -n 2 -a 127.0.0.1 -d "$dir/docs" --no-tls \
		--echo-upload "$1"
	backend=$pid
	listens
}

# Its whole path, or it could not execute itself.
start_front() {
	start front "$(command -v nghttpx)" --conf="$dir/nghttpx.conf"
	front=$pid
	listens
}

# Its log is its standard error, which it replaces by its log: evring does not
# write into what was put in place of standard error.
start_both() {
	behind=$(spare_port)
	before=$(spare_port)
	options="--stats=USR1 --verbose"
	start_backend "$behind" || return
	cat >"$dir/nghttpx.conf" <<-END
		frontend=127.0.0.1,$before;no-tls
		backend=127.0.0.1,$behind;;proto=h2
		backend-max-backoff=1
		errorlog-file=$dir/front.err
		workers=2
	END
	options="--stats --verbose"
	start_front || return
	at=http://127.0.0.1:$before
	within 10 has_child "$front"
	worker=$(child "$front")
	within 10 serves
}

child() {
	children "$1" | sed 's/ .*//' | head -n 1
}

has_child() {
	[ "$(children "$1" | wc -l)" -eq 1 ]
}

# quit PID: nghttpx ends by itself, and without a mistake
quit() {
	stop QUIT "$1"
	status=$?
	fact exit "$status"
	[ "$status" -eq 0 ]
	check "SIGQUIT ends it with status 0" $?
}

# told_by PID...: each has printed its statistics at its end
told_by() {
	used_side "$dir/front.err"
	[ "$side" = ring ] || return 0
	for number; do
		has_stats "$dir/front.err" "$number"
		check "each process prints its statistics at its end" $?
	done
}

end_backend() {
	stop TERM "$backend"
	fact backend exit $?
}

nghttpx_serves() {
	start_both
	check "serves" $?
	fronts=$(calm_fds "$front")
	fact idle descriptors "$fronts"
	loads --h1
	loads
	bodies --http1.1
	bodies --http2-prior-knowledge
	waits_by_side "$worker" load 10 50 "$at/small"
	uses_side "$front" 1
	uses_side "$worker" 3
	uses_side "$backend" 3
	within 10 has_fds "$front" "$fronts"
	check "keeps no descriptor" $?
	quit "$front"
	told_by "$front" "$worker"
	end_backend
}

nghttpx_loses_its_backend() {
	start_both
	check "serves" $?
	end_backend
	within 10 fails
	check "a backend that is gone is an error to the client" $?
	start_backend "$behind"
	within 10 serves
	check "a backend that is back is used again" $?
	quit "$front"
	told_by "$front" "$worker"
	end_backend
}

nghttpx_reloads() {
	start_both
	check "serves" $?
	slow_download
	old=$worker
	kill -HUP "$front"
	within 10 is_replaced_beside
	check "SIGHUP makes a new worker" $?
	within 10 serves
	check "which serves" $?
	downloaded
	check "what was under way came to its end" $?
	within 10 is_over "$old"
	check "the old worker ends when it is done" $?
	within 10 has_child "$front"
	check "and is no zombie" $?
	worker=$(child "$front")
	within 10 serves
	uses_side "$front" 1
	uses_side "$worker" 3
	quit "$front"
	told_by "$front" "$old" "$worker"
	end_backend
}

# A second worker, while the old one may still be there.
is_replaced_beside() {
	children "$front" | grep -q -v "^$worker "
}

# The other process of the group that is neither $front nor its worker, and has
# a worker of its own.
successor() {
	for number in $(group_of "$front"); do
		[ "$number" != "$front" ] && has_child "$number" &&
			echo "$number"
	done
}

has_successor() {
	[ -n "$(successor)" ]
}

nghttpx_executes_itself() {
	start_both
	check "serves" $?
	slow_download
	kill -USR2 "$front"
	within 10 has_successor
	check "SIGUSR2 starts it anew" $?
	next=$(successor)
	next_worker=$(child "$next")
	quit "$front"
	downloaded
	check "what was under way came to its end" $?
	within 10 serves
	check "the new one serves" $?
	load 10 200 "$at/small"
	check "200 right replies" $?
	uses_side "$next" 1
	uses_side "$next_worker" 3
	kill -QUIT "$next"
	within 10 is_over "$next"
	check "ends by SIGQUIT, too" $?
	told_by "$front" "$worker" "$next" "$next_worker"
	end_backend
}

need nghttpd nghttpx h2load curl openssl cksum
make_documents
make_certificate
both nghttpd_plain nghttpd_tls nghttpx_serves nghttpx_loses_its_backend \
	nghttpx_reloads nghttpx_executes_itself
exit "$failed"
