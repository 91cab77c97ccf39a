# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=sh
#
# real/http.sh - HTTP clients for the scripts that drive real servers: curl for
# single requests, h2load for many.
#
# To be read after real/common.sh.  The servers serve $dir/docs and send back
# what is posted; $at is where, without a path.
#
#	make_documents             $dir/docs: small, half (4 MB), big (16 MB)
#	fetch NAME CURL-ARG...     one request, its reply in $dir/body: a fact
#	got FILE                   and it is this document
#	bodies [CURL-ARG...]       large ones both ways, HEAD, what is not there
#	load CLIENTS N H2LOAD-ARG...  true if N requests got N right replies
#	loads [H2LOAD-ARG...]      1, 10, 100 clients
#	serves, fails              the small file comes; or 502, 503
#	slow_download CURL-ARG...  the big file, for more than a second
#	downloaded                 waits for it; true if all of it came
#
# shellcheck disable=SC2154 # common.sh sets them
# shellcheck disable=SC2317 # within calls functions by name

small="a small file"

make_documents() {
	mkdir "$dir/docs"
	echo "$small" >"$dir/docs/small"
	head -c 4194304 /dev/urandom >"$dir/docs/half"
	head -c 16777216 /dev/urandom >"$dir/docs/big"
}

# fetch NAME CURL-ARGUMENT...: status, protocol and length are a fact, so is the
# checksum but for the date and the port
fetch() {
	name=$1
	shift
	rm -f "$dir/body"
	timeout 60 curl -sk --noproxy '*' -o "$dir/body" -w \
		'%{http_code} HTTP/%{http_version} %{size_download}' "$@" \
		>"$dir/reply" 2>/dev/null
	fact fetch "$name" "$?" "$(cat "$dir/reply")" \
		"$(sed 's/^[Dd]ate: .*//; s/port [0-9]*//' "$dir/body" | cksum)"
}

# The file that fetch got last is the one it asked for.
got() {
	[ -s "$dir/body" ] && cmp -s "$dir/body" "$dir/docs/$1"
}

# load CLIENTS REQUESTS H2LOAD-ARGUMENT...: all must succeed; what came is a fact
load() {
	clients=$1
	requests=$2
	shift 2
	timeout 60 h2load -c "$clients" -n "$requests" "$@" >"$dir/load" 2>&1
	fact load "$clients" "$requests" "$(sed -n \
		-e 's/^Application protocol: //p' -e 's/^requests: //p' \
		-e 's/^status codes: //p' -e 's/^traffic:.*(\(.*\)) data/\1/p' \
		"$dir/load" | tr '\n' ' ')"
	grep -q "^requests: .* $requests succeeded, 0 failed" "$dir/load"
}

loads() {
	load 1 200 "$@" "$at/small"
	check "1 client${*:+ $*}: 200 right replies" $?
	load 10 1000 -m 4 "$@" "$at/small"
	check "10 clients${*:+ $*}: 1000 right replies" $?
	load 100 1000 "$@" "$at/small"
	check "100 clients${*:+ $*}: 1000 right replies" $?
}

bodies() {
	fetch big "$@" "$at/big" && got big
	check "16 MB come as they are" $?
	fetch head "$@" -I "$at/small"
	fetch missing "$@" "$at/missing"
	grep -q '^404 ' "$dir/reply"
	check "what is not there is 404" $?
	fetch upload "$@" --data-binary "@$dir/docs/half" "$at/small" &&
		got half
	check "4 MB come back" $?
}

serves() {
	[ "$(timeout 20 curl -sk --noproxy '*' "$at/small")" = "$small" ]
}

fails() {
	code=$(timeout 20 curl -sk --noproxy '*' -o /dev/null \
		-w '%{http_code}' "$at/small")
	[ "$code" = 502 ] || [ "$code" = 503 ]
}

slow_download() {
	: >"$dir/slow"
	timeout 60 curl -sk --noproxy '*' --limit-rate 12M -o "$dir/slow" "$@" \
		"$at/big" &
	download=$!
	within 10 test -s "$dir/slow"
	check "a download is under way" $?
}

downloaded() {
	wait "$download" && cmp -s "$dir/slow" "$dir/docs/big"
}
