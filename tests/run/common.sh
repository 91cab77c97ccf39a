# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=sh
#
# common.sh - what tests/run-*.sh share: a program started plain and under
# `evring run`, and the two compared.
#
# What a plain start prints is right.  That the loops were on a ring otherwise,
# and not on epoll all the same, shows in what --verbose says.
#
# Runs in the build folder; EVRING names the tool, ./tools/evring unless set.
#
# shellcheck disable=SC2034 # variables are for those who include this
# shellcheck disable=SC2317 # trap and within call functions by name
# shellcheck disable=SC2016 # what other shells are to expand

# shellcheck source-path=SCRIPTDIR source-path=SCRIPTDIR/..
# shellcheck source=../tests/common.sh
. "${top_srcdir:?}/tests/common.sh"
export LC_ALL=C
EVRING=${EVRING:-$PWD/tools/evring}
programs=$PWD/tests/run
objects=$programs/.libs
unset EVRING_ENGINE EVRING_RESTRICT EVRING_SPIN EVRING_NAPI EVRING_COLLECT EVRING_TIER EVRING_DISABLE EVRING_REQUIRE \
	EVRING_STATS EVRING_CHILDREN EVRING_QUIET EVRING_VERBOSE \
	LD_PRELOAD LIBEV_FLAGS

[ -x "$EVRING" ] || skip "there is no $EVRING"
[ -x "$programs/loops" ] || skip "the programs were not built"
ldd "$programs/loops" | grep -q 'libev\.so' ||
	skip "the programs are linked with libev.a: nothing to preload for"
dir=$(mktemp -d) || exit 1
started=

finish() {
	# shellcheck disable=SC2086 # a list of numbers
	[ -z "$started" ] || kill -KILL $started 2>/dev/null
	rm -rf "$dir"
}
trap finish EXIT
trap 'exit 1' HUP INT TERM

on_failure() {
	tail -n 8 "$dir/err" 2>/dev/null | sed 's/^/# stderr: /'
}

# plain COMMAND...: to plain.out, plain.err
plain() {
	timeout -k 1 60 "$@" >"$dir/plain.out" 2>"$dir/plain.err" </dev/null
	plain_status=$?
}

# run [OPTION...] COMMAND...: to out, err
run() {
	timeout -k 1 60 "$EVRING" run "$@" >"$dir/out" 2>"$dir/err" </dev/null
	status=$?
}

# How often does err have a line that matches?
count() {
	grep -c -- "$1" "$dir/err"
}

says() {
	grep -q -- "$1" "$dir/err"
}

# prints LINE: is it a line of out?
prints() {
	grep -qxF -- "$1" "$dir/out"
}

is_same() {
	[ "$status" -eq "$plain_status" ] &&
		cmp "$dir/plain.out" "$dir/out" >"$dir/cmp" 2>&1
}

show_difference() {
	is_same && return
	echo "# status $plain_status, and $status under evring run"
	diff "$dir/plain.out" "$dir/out" | head -n 8 | sed 's/^/# /'
}

# same WHAT ATTACHED REFUSED COMMAND...: prints the same under evring run; so
# many loops were attached, and so many not
same() {
	what=$1
	attached=$2
	refused=$3
	shift 3
	plain "$@"
	run --verbose "$@"
	show_difference
	is_same
	check "$what: the same" $?
	[ "$(count ': attached, tier ')" -eq "$attached" ]
	check "$what: $attached attached" $?
	[ "$(count ': not attached: ')" -eq "$refused" ]
	check "$what: $refused left alone" $?
}

is_ready() {
	grep -qx ready "$dir/out"
}

# launch WHAT [OPTION...] COMMAND...: in the background, until it says that it
# is in its loop; sets pid
launch() {
	what=$1
	shift
	: >"$dir/out"
	timeout -k 1 60 sh -c 'echo $$ >"$0"; exec "$@"' "$dir/pid" \
		"$EVRING" run "$@" >"$dir/out" 2>"$dir/err" </dev/null &
	waited=$!
	started="$started $waited"
	within 10 is_ready
	check "$what: it runs" $?
	read -r pid <"$dir/pid"
}

# ends_with STATUS SIGNAL: when the program is sent SIGNAL
ends_with() {
	kill "-$2" "$pid"
	wait "$waited" 2>/dev/null
	[ $? -eq "$1" ]
}

# What a loop gets here; sanitizers must be the first to be loaded.
if [ -n "${SAN_FLAGS:-}" ]; then
	ASAN_OPTIONS=verify_asan_link_order=0:detect_leaks=0
	export ASAN_OPTIONS
	run -- true
	[ "$status" -eq 0 ] ||
		skip "no other program can be run with this sanitizer in it"
fi
run --verbose -- "$programs/loops" default
tier=$(sed -n 's/.*: attached, tier //p' "$dir/err" | tail -n 1)
