#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# run-loops.sh - under `evring run`, loops made in every way do what they did,
# and those that libev has on epoll are on a ring.

# shellcheck source-path=SCRIPTDIR source=run/common.sh
. "${top_srcdir:?}/tests/run/common.sh"
[ -n "$tier" ] || skip "no ring is to be had: $(cat "$dir/err")"
loops=$programs/loops

# reason WHY: as --verbose gave it
reason() {
	says ": not attached: .*$1"
	check "and says why: $1" $?
}

default_loop() {
	same "ev_default_loop() again and again" 1 0 "$loops" default
	same "a default loop that is destroyed and made again" 3 0 \
		"$loops" default-anew
	same "signals and children" 1 0 "$loops" signals
	same "loops that never run" 2 0 "$loops" unused
}

flags() {
	for flag in new auto epoll either noenv forkcheck signalfd noinotify; do
		same "ev_loop_new, $flag" 1 0 "$loops" flags "$flag"
		same "ev_default_loop, $flag" 1 0 "$loops" flags default "$flag"
	done
	for flag in select poll; do
		same "ev_loop_new, $flag" 0 1 "$loops" flags "$flag"
		reason "it is on $flag, the program asked for it"
		same "ev_default_loop, $flag" 0 1 "$loops" flags default "$flag"
		reason "it is on $flag, the program asked for it"
	done
	same "a backend that is not there" 0 0 "$loops" flags none
	says 'no loop of libev was made'
	check "and says so" $?
}

environment() {
	LIBEV_FLAGS=1 && export LIBEV_FLAGS
	same "LIBEV_FLAGS=1" 0 1 "$loops" flags new
	prints 'new: select, 50 trips, timers 123'
	check "it is on select" $?
	reason "it is on select, LIBEV_FLAGS asks for it"
	same "LIBEV_FLAGS=1, which the program does not look at" 1 0 \
		"$loops" flags noenv
	LIBEV_FLAGS=4
	same "LIBEV_FLAGS=4" 1 0 "$loops" flags new
	unset LIBEV_FLAGS
}

numbers() {
	same "threads" 5 4 "$loops" threads
	same "300 loops at once" 300 0 "$loops" many
	same "300 loops one by one" 300 0 "$loops" one-by-one
}

# In the form of SETTING, as in EVRING_TIER=copied
setting() {
	export "${1?}"
	same "$1" 1 0 "$loops" default
	same "$1, signals and children" 1 0 "$loops" signals
	same "$1, threads" 5 4 "$loops" threads
	same "$1, collecting" 1 0 "$loops" collect
	unset "${1%%=*}"
}

# As daemons do that have read what they need.
elsewhere() {
	if [ "$(id -u)" -ne 0 ]; then
		left_out "only root may chroot"
		return
	fi
	mkdir "$dir/empty"
	same "a loop made after chroot" 1 0 "$loops" chroot "$dir/empty"
}

default_loop
flags
elsewhere
environment
numbers
same "ev_set_io_collect_interval" 1 0 "$loops" collect
prints 'calls: few' && prints 'timers: right' &&
	prints 'timers beside events: right' && prints '60 bytes'
check "it collects, and keeps the time of timers" $?
# libev sleeps before it polls; a ring that collects does not.
sleeps() {
	strace -o "$dir/trace" -e trace=nanosleep,clock_nanosleep \
		"$EVRING" run "$@" "$loops" collect >"$dir/out" 2>"$dir/err"
	grep -c nanosleep "$dir/trace"
}

taken_over() {
	if ! strace -o "$dir/trace" true 2>/dev/null; then
		left_out "there is no strace, or it may not look"
		return
	fi
	[ "$(sleeps)" -eq 0 ] && [ "$(sleeps --disable=min-wait)" -gt 0 ]
	check "as a part of the wait, not as a sleep of its own" $?
}

if [ -n "${SAN_FLAGS:-}" ]; then
	left_out "sanitizers sleep as they like"
else
	taken_over
fi
for one in EVRING_TIER=copied EVRING_DISABLE=region \
	EVRING_DISABLE=epoll-wait EVRING_DISABLE=min-wait \
	EVRING_DISABLE=epoll-ctl,no-iowait EVRING_SPIN=1ms EVRING_SPIN=auto EVRING_ENGINE=set EVRING_RESTRICT=1; do
	setting "$one"
done

EVRING_TIER=none && export EVRING_TIER
same "EVRING_TIER=none" 0 1 "$loops" default
reason "EVRING_TIER is none"
exit "$failed"
