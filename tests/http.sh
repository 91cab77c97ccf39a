#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# http.sh - the example http driven by real clients, and by http-client.py,
# which is none.
#
# HTTP names the server, ./examples/http unless set.  One line per promise,
# "ok - ..." or "not ok - ..."; "# ..." says what was left out and why.  Exit
# status: 0, 1 when any promise is broken, 77 when nothing could be tried.
#
# shellcheck disable=SC2317 # trap and within call functions by name

# shellcheck source-path=SCRIPTDIR source=daemon/common.sh
. "${0%/*}/daemon/common.sh"
HTTP=${HTTP:-./examples/http}
PYTHON=/usr/bin/python3
here=${0%/*}
export LC_ALL=C

[ -x "$HTTP" ] || skip "there is no program $HTTP: no llhttp or http-parser"
for tool in curl timeout cmp "$PYTHON"; do
	command -v "$tool" >/dev/null || skip "there is no $tool"
done

chmod 755 "$dir"
root=$dir/root
[ -z "$SAN_FLAGS" ] || export SANITIZED=1

# start OPTION...: sets url, too
start() {
	# shellcheck disable=SC2086 # words: a program before it
	launch $before "$HTTP" --listen 127.0.0.1:0 --stats "$@" "$root" ||
		give_up || return
	url=http://127.0.0.1:$port
}
before=

get() {
	timeout 60 curl -s --noproxy '*' "$@"
}

# raw GROUP...: of http-client.py
raw() {
	MODE=$mode timeout 300 "$PYTHON" "$here/http-client.py" "$port" \
		"$pid" "$root" "$@" || check "http-client.py $*" 1
}

make_root() {
	mkdir -p "$root/dir" "$root/bare" "$root-outside" "$root/sp ace\""
	echo secret >"$root-outside/secret"
	echo 'hello, world' >"$root/small"
	echo '<p>hello</p>' >"$root/index.html"
	echo 'body { }' >"$root/style.css"
	echo directory >"$root/dir/index.html"
	: >"$root/empty"
	head -c 70000 /dev/urandom >"$root/middle"
	head -c 3000000 /dev/urandom >"$root/big"
	head -c 8388608 /dev/urandom >"$root/huge"
	ln -s ../small "$root/dir/inner"
	ln -s "$root-outside/secret" "$root/outer"
	ln -s "$root-outside" "$root/outside"
	ln -s loop "$root/loop"
	mkfifo "$root/fifo"
	"$PYTHON" -c 'import socket, sys
socket.socket(socket.AF_UNIX).bind(sys.argv[1])' "$root/socket"
	touch -d '1 hour ago' "$root/small" "$root/middle" "$root/big" \
		"$root/huge" "$root/empty"
}

# before ACTION: no descriptor is left over behind it
leaves_no_fd() {
	get "$url/big" "$url/small" "$url/huge" >/dev/null
	within 10 stat_is connections_now -eq 0
	fds=$(nr_descriptors)
	"$@"
	within 20 stat_is connections_now -eq 0
	check "all connections are gone" $?
	# What is known may be as many files as there are.
	within 10 has_descriptors $((fds + 8))
	check "and their descriptors ($fds before, $(nr_descriptors) now)" $?
}

#
# With curl
#

with_curl() {
	get "$url/" | cmp -s - "$root/index.html"
	check "curl: the index" $?
	get "$url/big" | cmp -s - "$root/big"
	check "curl: 3 MB" $?
	get -0 "$url/middle" | cmp -s - "$root/middle"
	check "curl: HTTP/1.0" $?
	[ "$(get -I "$url/big" | sed -n 's/^Content-Length: \([0-9]*\).*/\1/p')" = \
		3000000 ]
	check "curl: HEAD" $?
	[ "$(get -r 7-11 "$url/small")" = world ]
	check "curl: a range" $?
	head -c 1000000 "$root/big" >"$dir/part"
	get -C - -o "$dir/part" "$url/big" && cmp -s "$dir/part" "$root/big"
	check "curl: a download goes on" $?
	[ "$(get -z "$root/small" -o /dev/null -w '%{http_code}' "$url/small")" = 304 ]
	check "curl: not modified since" $?
	get --etag-save "$dir/etag" -o /dev/null "$url/small"
	[ "$(get --etag-compare "$dir/etag" -o /dev/null -w '%{http_code}' \
		"$url/small")" = 304 ]
	check "curl: the same tag" $?
	[ "$(get -o /dev/null -o /dev/null -o /dev/null -w '%{num_connects}' \
		"$url/small" "$url/none" "$url/big")" = 100 ]
	check "curl: a connection is used again" $?
	get -L "$url/dir" | cmp -s - "$root/dir/index.html"
	check "curl: a redirection is followed" $?
	[ "$(get -o /dev/null -w '%{content_type}' "$url/style.css")" = text/css ]
	check "curl: a type" $?
	[ "$(get --path-as-is -o /dev/null -w '%{http_code}' \
		"$url/../../etc/passwd")" = 400 ]
	check "curl: out of the root" $?
	[ "$(get --http2 -o /dev/null -w '%{http_code}' "$url/small")" = 200 ]
	check "curl: HTTP/2 is asked for, HTTP/1.1 is good enough" $?
	[ "$(get -T "$root/small" -o /dev/null -w '%{http_code}' "$url/new")" = 405 ]
	check "curl: an upload is refused" $?
	[ "$(get -T "$root/huge" -o /dev/null -w '%{http_code}' "$url/new")" = 405 ]
	check "curl: a large one, too" $?
}

#
# With what is made for load
#

with_load() {
	if command -v h2load >/dev/null; then
		timeout 120 h2load --h1 -n 2000 -c 20 -m 4 "$url/small" \
			"$url/middle" "$url/none" >"$dir/load" 2>&1
		contains "$dir/load" '2000 done' &&
			contains "$dir/load" '0 errored, 0 timeout'
		check "h2load: 2000 requests" $?
	else
		left_out "there is no h2load"
	fi
	if command -v wrk >/dev/null; then
		timeout 60 wrk -t1 -c30 -d1 "$url/middle" >"$dir/load" 2>&1
		contains "$dir/load" 'requests in' &&
			! contains "$dir/load" 'Socket errors' &&
			! contains "$dir/load" 'Non-2xx'
		check "wrk: a second" $?
	else
		left_out "there is no wrk"
	fi
	if command -v nc >/dev/null; then
		printf 'GET /big HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n' |
			timeout 60 nc 127.0.0.1 "$port" | tail -c 3000000 |
			cmp -s - "$root/big"
		check "nc: 3 MB" $?
		printf 'GET /big HTTP/1.1\r\nHost: a\r\n\r\n' |
			timeout 60 nc -N 127.0.0.1 "$port" | tail -c 3000000 |
			cmp -s - "$root/big"
		check "nc: the same behind the end of what it sends" $?
	else
		left_out "there is no nc"
	fi
}

each() {
	mode=${1:-default}
	start "$@" || return
	leaves_no_fd with_curl
	with_load
	leaves_no_fd raw pipeline crowd resets
	raw changes
	stop
}

everything() {
	mode=raw
	start || return
	leaves_no_fd raw forms traversal conditions pieces noise greedy
	[ "$(value answers_5xx)" -gt 0 ] && [ "$(value file_hits)" -gt 0 ]
	check "statistics tell of it" $?
	stop
}

slow() {
	mode=slow
	start --header-timeout 1 --idle 1.5 || return
	raw slow
	within 5 stat_is connections_timed_out -ge 4
	check "those who were cut off are counted" $?
	stop
}

hoarders() {
	mode=hoarders
	start --workers 1 --buffers 16 || return
	raw hoarders
	stop
}

# Where this is root it would be allowed to read everything.
unprivileged() {
	mode=unprivileged
	if [ "$(id -u)" -eq 0 ]; then
		if ! setpriv --reuid=65534 --clear-groups test -x "$HTTP"; then
			left_out "nobody but root may run $HTTP"
			return
		fi
		before='setpriv --reuid=65534 --clear-groups'
	fi
	start && raw forbidden && stop
	before=
}

limits() {
	mode=limits
	start --max-header 300 --max-unsent 1 --index small --buffers 4 \
		--buffer-size 64 || return
	[ "$(get -H "X: $(printf %0250d 0)" -o /dev/null -w '%{http_code}' \
		"$url/small")" = 431 ]
	check "--max-header" $?
	get "$url/" | cmp -s - "$root/small"
	check "--index" $?
	raw pipeline crowd
	stop
}

logs() {
	mode=log
	start --log || return
	get -o /dev/null "$url/small"
	get -o /dev/null -A x "$url/none?\"a%22b"
	printf 'GET /\001\033[31m HTTP/1.1\r\nHost: a\r\n\r\n' |
		timeout 20 "$PYTHON" -c 'import socket, sys
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
s.sendall(sys.stdin.buffer.read())
s.recv(1000)' "$port"
	stop
	contains "$dir/out" \
		'^127.0.0.1 - - \[../.../....:..:..:.. +0000\] "GET /small HTTP/1.1" 200 13$'
	check "a line for a request" $?
	contains "$dir/out" '"GET /none?\\x22a%22b HTTP/1.1" 404 14$'
	check "quotes are escaped" $?
	! LC_ALL=C grep -q '[[:cntrl:]]' "$dir/out"
	check "control characters never get there" $?
}

pinned() {
	mode=pinned
	start --workers 1 --cache-bytes 1M || return
	raw pinned
	stop
}

# What is kept open must not be what connections wait for.
few_fds() {
	mode='few descriptors'
	if ! command -v prlimit >/dev/null; then
		left_out "there is no prlimit"
		return
	fi
	before='prlimit --nofile=100:100'
	mkdir "$root/many"
	for i in $(seq 120); do
		truncate -s 300000 "$root/many/$i"
	done
	start --workers 1 --max-connections 10
	before=
	[ -n "$pid" ] || return
	get --fail "$url/many/[1-120]" >"$dir/got"
	check "more large files than descriptors" $?
	[ "$(wc -c <"$dir/got")" -eq 36000000 ]
	check "all of them" $?
	[ "$(nr_descriptors)" -lt 90 ]
	check "leave some to connections" $?
	stop
	rm -r "$root/many"
}

nr_logged() {
	grep -c '^127.0.0.1 - - \[[^]]*\] "GET /small HTTP/1.1" 200 13$' "$1"
}

# Two workers write to the same file, which the shell did not open to append.
# What found no room, because the disk was slow, was dropped, and counted.
shared_log() {
	mode='shared log'
	start --log --workers 2 || return
	raw load
	stop
	[ $(($(nr_logged "$dir/out") + $(value log_lines_dropped))) -eq 40000 ]
	check "a line for each of 40000 requests" $?
}

# And to a pipe, which somebody reads when all is done, or nobody.
piped_log() {
	mode="log to a pipe, $1"
	rm -f "$dir/pipe"
	mkfifo "$dir/pipe" && exec 9<>"$dir/pipe"
	"$HTTP" --listen 127.0.0.1:0 --log --workers 2 "$root" >"$dir/pipe" \
		2>"$dir/err" 9<&- &
	pid=$!
	read -r line <&9 && port=${line##*:} && read -r line <&9
	raw load
	reader=
	if [ "$1" = read ]; then
		timeout 60 cat "$dir/pipe" >"$dir/out" 9<&- &
		reader=$!
		exec 9<&-
	fi
	kill -TERM "$pid"
	ended
	check "ends with status 0" $?
	exec 9<&-
	[ -n "$reader" ] || return
	wait "$reader"
	# What found no room was dropped, line by line.
	[ "$(wc -l <"$dir/out")" -eq "$(nr_logged "$dir/out")" ]
	check "all lines are whole" $?
}

# Who reads the end of a large file while the server is told to stop.
graceful() {
	mode=stop
	start --grace 60 || return
	truncate -s 64M "$root/long"
	get --limit-rate 30M -o "$dir/got" "$url/long" &
	client=$!
	within 5 stat_is connections_now -eq 1
	kill -TERM "$pid"
	sleep 0.2
	! is_over "$pid"
	check "a transfer is waited for" $?
	! get -o /dev/null "$url/small"
	check "while nobody else gets in" $?
	ended
	check "ends with status 0" $?
	wait "$client" && cmp -s "$dir/got" "$root/long"
	check "and the transfer was whole" $?
}

ipv6() {
	mode=ipv6
	if ! contains /proc/net/if_inet6 ' lo$'; then
		left_out "there is no IPv6"
		return
	fi
	start --listen '[::1]:0' || return
	get -g "http://$(sed -n 's/^listening tcp \(\[::1\]\)/\1/p' \
		"$dir/out")/big" | cmp -s - "$root/big"
	check "is served, too" $?
	stop
}

usage() {
	mode=usage
	"$HTTP" --help | grep -q 'ROOT'
	check "--help" $?
	"$HTTP" 2>"$dir/err"
	[ $? -eq 2 ] && contains "$dir/err" 'one directory'
	check "a root is wanted" $?
	"$HTTP" "$dir/none" 2>"$dir/err"
	[ $? -eq 1 ] && contains "$dir/err" 'cannot serve .*No such file'
	check "one that is there" $?
	"$HTTP" --index a/b "$dir" 2>"$dir/err"
	[ $? -eq 2 ] && contains "$dir/err" 'index'
	check "an index is a name" $?
}

make_root
usage
everything
each --workers=1
each --workers=2
each --cache-files=0
each --cache-bytes=0
each --cache-seconds=0
each --disable=multishot-accept,pbuf-ring
slow
hoarders
unprivileged
limits
logs
few_fds
pinned
shared_log
piped_log read
piped_log unread
graceful
ipv6
exit "$failed"
