#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# run-bad.sh - `evring run` and what is wrong: with the command line, with the
# environment, with the program.

# shellcheck source-path=SCRIPTDIR source=run/common.sh
. "${top_srcdir:?}/tests/run/common.sh"
loops=$programs/loops

#
# the command line
#

# refused STATUS PATTERN ARGUMENT...: nothing runs, and the message says why
refused() {
	expected=$1
	pattern=$2
	shift 2
	run "$@"
	[ "$status" -eq "$expected" ] && says "$pattern" && [ ! -s "$dir/out" ]
	check "evring run $*: status $expected, and why" $?
}

values() {
	for value in --tier= --tier=best --tier=REGION --disable=nonsense \
		--disable=region,nonsense --engine=epoll --engine= --collect=5 --collect=-1ms \
		--collect=61s --collect=nan --collect=1e999s --collect=0x1s \
		--spin= --spin=banana --spin=10 --spin=2s --napi= --napi=auto --napi=11ms --stats=FOO --stats=KILL \
		--stats=2 --children=maybe --children= --require=2 --restrict=2 --quiet=no \
		--verbose=yes; do
		refused 2 "^evring: ${value%%=*}.*: it must be " "$value" \
			echo ran
	done
	for value in --no-such-option --tier --children -x; do
		refused 2 "option.*${value##*-}" "$value"
	done
	refused 2 '^Usage: '
	refused 2 '^Usage: ' --
	refused 2 '^Usage: ' --verbose
	run --help
	[ "$status" -eq 0 ] && ! says . && grep -q -- --children "$dir/out"
	check "--help" $?
	timeout 10 "$EVRING" walk >"$dir/out" 2>"$dir/err"
	[ $? -eq 2 ] && says walk
	check "evring walk: status 2" $?
}

# What a program may be started under.
surroundings() {
	plain "$programs/loops" default
	out=$(ulimit -f 0 && "$EVRING" run "$programs/loops" default 2>&1)
	[ "$out" = "$(cat "$dir/plain.out")" ]
	check "RLIMIT_FSIZE of 0" $?
	(cd "$programs" && PATH=/nowhere: "$EVRING" run loops default) \
		>"$dir/out" 2>"$dir/err"
	cmp -s "$dir/out" "$dir/plain.out"
	check "PATH that ends with the current folder" $?
	mkfifo "$dir/fifo"
	printf '#!%s\n' "$dir/fifo" >"$dir/piped"
	chmod +x "$dir/piped"
	timeout 10 "$EVRING" run "$dir/piped" >"$dir/out" 2>"$dir/err"
	[ $? -eq 126 ]
	check "a script whose interpreter is a FIFO: status 126" $?
	if [ -z "$tier" ] || ! command -v bash >/dev/null; then
		left_out "there is no bash, or no ring"
		return
	fi
	# shellcheck disable=SC2016 # bash expands it
	run --verbose -- bash -c 'exec -a "$0" "$@"' \
		"$(printf '%01500d' 0)" "$programs/loops" default
	[ "$status" -eq 0 ] && [ "$(count ': attached, tier ')" -eq 1 ]
	check "a program with a name of 1500 letters" $?
}

good_values() {
	for value in --tier=any --tier=copied --tier=region --tier=none \
		--disable=region,epoll-wait --disable= --engine=set --collect=0 \
		--collect=2ms --collect=0.5s --collect=50us --spin=auto \
		--spin=0 --spin=20us --napi=0 --napi=50us --napi=10ms --stats --stats=WINCH --children=yes \
		--children=no --require=0 --restrict=0 --restrict --quiet --verbose --verbose=0; do
		run "$value" -- echo ran
		[ "$status" -eq 0 ] && prints ran
		check "$value is accepted" $?
	done
}

#
# the environment
#

# One line that names it, and nothing else is different.
nonsense() {
	plain "$loops" default
	for one in EVRING_SPIN=banana EVRING_SPIN= EVRING_NAPI=1s EVRING_COLLECT=-3x \
		EVRING_TIER=best EVRING_DISABLE=nonsense EVRING_ENGINE=fast \
		EVRING_REQUIRE=maybe EVRING_STATS=NOSIG EVRING_CHILDREN=some \
		EVRING_VERBOSE=very EVRING_QUIET=loud EVRING_NO_SUCH=1; do
		name=${one%%=*}
		export "${one?}"
		run "$loops" default
		unset "$name"
		is_same && [ "$(wc -l <"$dir/err")" -eq 1 ] &&
			says "^evring: .*$name.* ignored"
		check "$one: ignored with one line" $?
		run -- env "$one" "$loops" default
		is_same && [ "$(count "$name")" -eq 1 ] && says ignored
		check "$one, set for the program: ignored with one line" $?
	done
	EVRING_TIER=$(head -c 100000 /dev/zero | tr '\0' x) &&
		export EVRING_TIER
	run "$loops" default
	unset EVRING_TIER
	is_same && [ "$(grep -c EVRING_TIER "$dir/err")" -eq 1 ]
	check "EVRING_TIER of 100,000 bytes: ignored with one line" $?
	[ -n "$tier" ] || return
	for option in --children=yes --children=no; do
		EVRING_DISABLE=region,nonsense && export EVRING_DISABLE
		run --verbose $option "$loops" default
		unset EVRING_DISABLE
		says ": attached, tier copied"
		check "$option: the names that are known are not" $?
	done
}

#
# the program
#

missing() {
	refused 127 "$dir/nothing" "$dir/nothing"
	refused 127 no-such-program no-such-program
	refused 127 '^evring: ' ''
	refused 127 loops/x "$programs/no/loops/x"
	refused 126 "$dir" "$dir"
	echo 'echo ran' >"$dir/text"
	refused 126 "$dir/text" "$dir/text"
	printf '\177ELF\2\1\1 nonsense' >"$dir/nonsense"
	chmod +x "$dir/nonsense"
	plain sh -c "exec $dir/nonsense"
	run "$dir/nonsense"
	[ "$status" -ne 0 ] && [ ! -s "$dir/out" ]
	check "a file that only begins like a program: refused" $?
	: >"$dir/empty"
	chmod +x "$dir/empty"
	plain env "$dir/empty"
	run "$dir/empty"
	[ "$status" -eq "$plain_status" ]
	check "an empty file does what it does" $?
}

# unchanged WHAT WHY COMMAND...: as without, and said; refused by --require
unchanged() {
	what=$1
	why=$2
	shift 2
	plain "$@"
	run --verbose -- "$@"
	show_difference
	is_same
	check "$what: runs unchanged" $?
	[ "$(wc -l <"$dir/err")" -eq 1 ] && says "$why"
	check "$what: and evring says so" $?
	run --quiet -- "$@"
	is_same && ! says .
	check "$what: but not if --quiet" $?
	run --require -- "$@"
	[ "$status" -eq 125 ] && says "$why" && [ ! -s "$dir/out" ]
	check "$what: --require refuses it" $?
}

static() {
	cat >"$dir/static.c" <<-'EOF'
		#include <stdio.h>
		int main(void) { return puts("static") < 0; }
	EOF
	if ${CC:-cc} -static -o "$dir/static" "$dir/static.c" 2>/dev/null; then
		unchanged "a static program" 'statically linked' "$dir/static"
	else
		left_out "no static program can be made"
	fi
}

scripts() {
	# shellcheck disable=SC2016 # $1 is the script's
	printf '#!/bin/sh\n# a script\n%s "$1"\n' "$loops" >"$dir/script"
	# shellcheck disable=SC2016
	printf '%s "$1"\n' "$loops" >"$dir/nameless"
	printf '#!/no/such/shell\n' >"$dir/orphan"
	# shellcheck disable=SC2016
	printf '#! /usr/bin/env sh\n%s "$1"\n' "$loops" >"$dir/by-env"
	chmod +x "$dir/script" "$dir/nameless" "$dir/orphan" "$dir/by-env"
	for script in script nameless by-env; do
		plain sh -c "exec $dir/$script default"
		run --verbose "$dir/$script" default
		is_same
		check "a shell script, $script: the same" $?
		[ -z "$tier" ] || says ": attached, tier $tier"
		check "and what it starts is attached" $?
	done
	run "$dir/orphan"
	[ "$status" -eq 127 ] && says "$dir/orphan"
	check "a script whose shell is not there: status 127" $?
}

as_other() {
	timeout -k 1 20 setpriv --reuid=65533 --regid=65533 --clear-groups \
		"$@" >"$dir/out" 2>"$dir/err" </dev/null
	status=$?
}

# As another user, to whom the program gives rights.
setuid() {
	if [ "$(id -u)" -ne 0 ] || ! command -v setpriv >/dev/null; then
		left_out "setuid programs: not root, or no setpriv"
		return
	fi
	if [ -n "${SAN_FLAGS:-}" ]; then
		left_out "setuid programs: sanitizers end them"
		return
	fi
	chmod 755 "$dir"
	cp "$loops" "$dir/setuid"
	chown 65534 "$dir/setuid" && chmod 4755 "$dir/setuid"
	plain "$loops" default
	as_other "$EVRING" run -- "$loops" default
	if ! is_same || ! [ -u "$dir/setuid" ]; then
		left_out "setuid programs: another user does not get here"
		return
	fi
	as_other "$EVRING" run -- "$dir/setuid" default
	is_same
	check "a setuid program: runs unchanged" $?
	[ "$(wc -l <"$dir/err")" -eq 1 ] && says 'runs unchanged: it is setuid'
	check "a setuid program: and evring says so" $?
	as_other "$EVRING" run --require -- "$dir/setuid" default
	[ "$status" -eq 125 ] && says setuid && [ ! -s "$dir/out" ]
	check "a setuid program: --require refuses it" $?
}

# evring itself, where LD_PRELOAD cannot say where it is.
elsewhere() {
	for folder in 'a folder' 'a:folder'; do
		mkdir -p "$dir/$folder/tools" "$dir/$folder/preload/.libs"
		cp "$EVRING" "$dir/$folder/tools/evring"
		cp "$PWD/preload/.libs/libevring-preload.so" \
			"$dir/$folder/preload/.libs"
		kept=$EVRING
		EVRING=$dir/$folder/tools/evring
		unchanged "evring in \"$folder\"" 'spaces or colons' \
			"$loops" default
		EVRING=$kept
	done
}

values
surroundings
good_values
nonsense
missing
static
scripts
setuid
elsewhere
exit "$failed"
