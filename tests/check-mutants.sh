#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# check-mutants.sh - libevs with other private fields are refused.
#
# mutant.t is linked anew with an ev.o in place of libev: first as its source
# is, then with fields moved.  The change must fail the proof that is about
# these fields, and the loop must go on with its own backend.

# shellcheck source-path=SCRIPTDIR source=common.sh
. "${top_srcdir:?}/tests/common.sh"

[ -f "${LIBEV_SOURCE:-}/ev.c" ] || skip "there is no source of libev: no embed.t, no mutants"
[ -f tests/mutant_t-mutant.o ] || skip "mutant.t was not built"
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
trap 'exit 1' HUP INT TERM

# build NAME: of the source in $dir/NAME
build() {
	# shellcheck disable=SC2086 # lists of words
	${CC:-cc} -w -g -O2 -DEV_STANDALONE=1 -c -o "$dir/$1.o" \
		"$dir/$1/ev.c" &&
		${CC:-cc} ${SAN_FLAGS:-} -o "$dir/$1.t" tests/mutant_t-*.o \
			lib/.libs/libevr.a "$dir/$1.o" ${TEST_LIBS:-}
}

# try NAME FILE SED...: FILE of libev's source edited by sed
try() {
	name=$1
	file=$2
	shift 2
	mkdir "$dir/$name"
	cp "$LIBEV_SOURCE"/ev*.[ch] "$dir/$name/"
	sed "$@" "$LIBEV_SOURCE/$file" >"$dir/$name/$file"
	if [ -n "${MUTANT:-}" ] &&
		cmp -s "$LIBEV_SOURCE/$file" "$dir/$name/$file"; then
		check "$name: something is changed in $file" 1
	else
		build "$name" && timeout 60 "$dir/$name.t"
		check "$name" $?
	fi
}

# mutate PROOF NAME FILE SED...
mutate() {
	MUTANT=$1
	export MUTANT
	shift
	try "$@"
}

unset MUTANT
try none ev_vars.h -e ''
mutate backend order ev_vars.h \
	-e '/^VARx(int, backend)$/{h;d;}' -e '/^VARx(int, activecnt)/G'
mutate backend early ev_vars.h \
	-e 's/^VARx(int, backend)$/VARx(void *, mutant)\n&/'
mutate backend-fd word ev_vars.h \
	-e 's/^VARx(int, backend_fd)/VARx(int, mutant)\n&/'
mutate mintime double ev_vars.h \
	-e 's/^VARx(ev_tstamp, backend_mintime)/VARx(ev_tstamp, mutant)\n&/'
mutate by-use functions ev_vars.h \
	-e '/^VAR (backend_modify/{h;d;}' -e '/^VAR (backend_poll/G'
mutate anfds anfds ev_vars.h \
	-e '/^VARx(ANFD \*, anfds)/{h;d;}' -e '/^VARx(int, anfdmax)/G'
mutate anfds anfd ev.c \
	-e '/^  unsigned char reify;/{h;d;}' -e '/^  unsigned char emask;/G'
mutate anfds larger-anfd ev.c \
	-e 's/^  unsigned char eflags;/  void *mutant;\n&/'

exit "$failed"
