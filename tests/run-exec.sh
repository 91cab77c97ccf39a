#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# run-exec.sh - `evring run` becomes the program: what the program is given and
# what becomes of it is as without; and programs that have nothing to do with
# libev do not notice.
#
# shellcheck disable=SC2016 # what other shells are to expand

# shellcheck source-path=SCRIPTDIR source=run/common.sh
. "${top_srcdir:?}/tests/run/common.sh"
loops=$programs/loops

# like_plain WHAT COMMAND...
like_plain() {
	what=$1
	shift
	plain "$@"
	run -- "$@"
	show_difference
	is_same
	check "$what" $?
	cmp -s "$dir/plain.err" "$dir/err"
	check "$what: nothing more is said" $?
}

#
# what it is given
#

given() {
	GIVEN_A='x y' GIVEN_B='' && export GIVEN_A GIVEN_B
	like_plain "arguments, environment, folder" "$loops" given \
		a 'b  c' '' '*' -- --help -x "$(printf 'two\nlines')"
	prints 'argument []' && prints 'argument [b  c]' &&
		prints 'argument [--help]' && prints 'variable [GIVEN_B=]'
	check "they are all there" $?
	unset GIVEN_A GIVEN_B

	run "$loops" given --verbose
	prints 'argument [--verbose]' && ! says .
	check "-- may be left out; what follows the program is the program's" $?
	printf 'abc\ndef\n' | timeout 20 "$EVRING" run -- "$loops" given \
		>"$dir/out" 2>"$dir/err"
	prints 'input [abc]' && prints 'input [def]'
	check "stdin is the program's" $?
}

# The environment but for what `evring run` is about, in its order.
environment() {
	run --children=yes env
	grep -v -e '^LD_PRELOAD=' -e '^EVRING_' "$dir/out" >"$dir/environment"
	env | grep -v '^_=' >"$dir/plain.environment"
	grep -v '^_=' "$dir/environment" | cmp -s - "$dir/plain.environment"
	check "the environment is kept, and its order" $?
	grep -q '^LD_PRELOAD=.*libevring-preload.so$' "$dir/out"
	check "but for LD_PRELOAD" $?
}

preloads() {
	beside=$objects/beside.so
	for separator in ':' ' '; do
		LD_PRELOAD="$beside$separator$beside" && export LD_PRELOAD
		run --verbose -- "$loops" maps
		unset LD_PRELOAD
		grep -q 'beside\.so' "$dir/out" &&
			grep -q libevring-preload "$dir/out"
		check "what is in LD_PRELOAD already is loaded as well" $?
	done
	LD_PRELOAD="$beside" && export LD_PRELOAD
	run -- sh -c 'echo "$LD_PRELOAD"'
	unset LD_PRELOAD
	grep -q "$beside.*libevring-preload" "$dir/out"
	check "first" $?
	run -- "$EVRING" run -- "$EVRING" run --verbose -- "$loops" default
	[ "$(count ': attached, tier ')" -eq 1 ]
	check "evring run under evring run attaches once" $?

	mkdir "$dir/relative"
	cp "$beside" "$dir/relative/beside.so"
	(
		cd "$dir/relative" || exit 1
		LD_PRELOAD=./beside.so
		export LD_PRELOAD
		run -- "$loops" maps
		unset LD_PRELOAD
		grep -q relative/beside.so "$dir/out" &&
			grep -q libevring-preload "$dir/out"
	)
	check "a relative path in LD_PRELOAD is kept" $?
}

descriptors() {
	exec 7<"$0" 8>"$dir/eight"
	run -- sh -c 'echo written >&8; cat <&7'
	exec 7<&- 8>&-
	cmp -s "$0" "$dir/out" && [ "$(cat "$dir/eight")" = written ]
	check "open files are inherited" $?
	plain sh -c 'ls /proc/self/fd | wc -l'
	run -- sh -c 'ls /proc/self/fd | wc -l'
	is_same
	check "and no other" $?
}

searching() {
	mkdir "$dir/bin" "$dir/bin2"
	ln -s "$loops" "$dir/bin/searched"
	echo nothing >"$dir/bin2/searched"
	old=$PATH
	PATH=$dir/bin2:$dir/bin:$PATH
	run --verbose -- searched default
	PATH=$old
	[ "$status" -eq 0 ] && says '^evring: searched\[[0-9]*\]: loop '
	check "the program is found by PATH" $?
	(
		cd "$dir/bin" || exit 1
		run --verbose -- ./searched default
		says ': attached, '
	)
	check "and by its path" $?
}

#
# what becomes of it
#

status_of() (
	exec 2>/dev/null # the shell says Terminated
	"$@" >"$dir/out"
	echo $?
)

ends() {
	for code in 0 1 2 3 125 126 127 255; do
		run -- sh -c "exit $code"
		[ "$status" -eq "$code" ]
		check "exit status $code is the program's" $?
	done
	# Without timeout(1), which would be the one that tells.
	for signal in TERM KILL USR1; do
		code=$(status_of "$EVRING" run -- sh -c "kill -$signal \$\$")
		[ "$code" = "$(status_of sh -c "kill -$signal \$\$")" ]
		check "so is death by SIG$signal" $?
	done
}

signals() {
	launch wait-with-signal --verbose -- "$loops" wait-with-signal
	says "^evring: loops\\[$pid\\]: "
	check "it has the process id that evring run had" $?
	[ "$(readlink "/proc/$pid/exe")" = "$(readlink -f "$loops")" ]
	check "nothing of evring's waits for it" $?
	ends_with 3 TERM && prints 'signal TERM'
	check "a signal reaches the program" $?
	launch wait -- "$loops" wait
	ends_with 143 TERM
	check "and ends it, where the program does not care" $?
}

#
# programs that have nothing to do with libev
#

has_no_libev() {
	! grep -q -e 'libev\.so' -e 'libevring\.so' "$dir/out" &&
		grep -q libevring-preload "$dir/out"
	check "$1 has no libev in it" $?
}

others() {
	like_plain "ls" ls /
	like_plain "sh" sh -c 'for i in 1 2 3; do echo $i; done | sort -r'
	run -- cat /proc/self/maps
	has_no_libev cat
	if command -v bash >/dev/null; then
		like_plain "bash" bash -c 'x=(a b); echo "${x[1]}" <(true)'
		run -- bash -c "mapfile -t x </proc/self/maps
			printf '%s\n' \"\${x[@]}\""
		has_no_libev bash
	else
		left_out "there is no bash"
	fi
	if command -v python3 >/dev/null; then
		like_plain "python3" python3 -c 'import threading, select
print(select.epoll().fileno() > 2, threading.active_count())'
		run -- python3 -c 'print(open("/proc/self/maps").read())'
		has_no_libev python3
	else
		left_out "there is no python3"
	fi
}

libevent() {
	# shellcheck disable=SC2086 # lists of words
	if ! ${CC:-cc} ${SAN_FLAGS:-} -o "$dir/other" \
		"$top_srcdir/tests/run/other.c" -levent 2>/dev/null; then
		left_out "there is no libevent"
		return
	fi
	like_plain "a program on libevent" "$dir/other"
	run --verbose -- "$dir/other"
	says 'no loop of libev was made'
	check "and evring sees no loop in it" $?
}

given
environment
preloads
descriptors
searching
ends
[ -n "$tier" ] && signals
others
libevent
exit "$failed"
