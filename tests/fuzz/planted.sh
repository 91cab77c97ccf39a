#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# planted.sh - a bug in the library is found by random programs.
#
#   make check-planted
#
# Bugs are planted one at a time in a copy of a file of lib/.  differential.t,
# linked anew with it, must fail within PROGRAMS programs, and the short program
# that it prints must fail with the same library and pass with the right one.

PROGRAMS=${PROGRAMS:-15000} # a minute, unless the machine is busy or slow
TRIES=5                     # a failure may need some luck to be seen again

. "${top_srcdir:?}/tests/plant.sh"

# link PROGRAM OBJECT...: with the library, but for what the objects have of it
link() {
	program=$1
	shift
	# shellcheck disable=SC2086 # lists of words
	${CC:-cc} ${SAN_FLAGS:-} -o "$program" "$@" lib/.libs/libevr.a \
		${TEST_LIBS:-}
}

# search FILE: run what differential.t is with this file of $dir
search() {
	compile "$dir/$1" &&
		link "$dir/differential" "$dir/${1%.c}.o" tests/fuzz/*.o &&
		"$dir/differential" --programs "$PROGRAMS" >"$dir/log"
}

# build_program NAME OBJECT...: what was printed, as a reader would
build_program() {
	name=$1
	shift
	sed -n '/^\/\* seed/,/^\treturn replay/p' "$dir/log" >"$dir/program.c"
	echo '}' >>"$dir/program.c"
	compile "$dir/program.c" &&
		link "$dir/$name" "$dir/program.o" tests/fuzz/machine.o \
			tests/fuzz/world.o "$@"
}

# In a shell that can say quietly that it crashed.
run_planted() {
	("$dir/planted" "$@"; exit $?) >"$dir/replay" 2>&1
}

# replay OBJECT: does what was printed fail with it, and only with it?  In the
# mode that failed; some bugs need a loop that was there before.
replay() {
	mode=$(sed -n 's/^# seed .* in mode //p' "$dir/log")
	build_program planted "$1" && build_program right || return 1
	"$dir/right" >"$dir/replay" || return 1
	i=0
	while [ $i -lt $TRIES ]; do
		run_planted "$mode" || return 0
		i=$((i + 1))
	done
	! run_planted
}

# plant NAME FILE OLD NEW
plant() {
	if ! replace "$3" "$4" <"$srcdir/lib/$2" >"$dir/$2"; then
		result "not ok" "$1: the text to change does not stand once in $2"
		return
	fi
	start=$(date +%s)
	if search "$2"; then
		result "not ok" "$1: not found"
		return
	fi
	took=$(($(date +%s) - start))
	seen=$(sed -n 's/^# \([0-9]* programs\) from.*/\1/p' "$dir/log")
	size=$(sed -n 's/^# \([0-9]* operations\):/\1/p' "$dir/log")
	if replay "$dir/${2%.c}.o"; then
		result ok "$1: in $seen, $size, $took seconds"
	else
		cat "$dir/log"
		result "not ok" "$1: the program that was printed does not show it"
	fi
}

nothing='enum home_state {'
tab='	'
lf='
'

if ! replace "$nothing" "$nothing" <"$srcdir/lib/poll.c" >"$dir/poll.c" ||
	! PROGRAMS=250 search poll.c; then
	echo "not ok - it fails with nothing planted"
	exit 1
fi

plant any-generation poll.c \
	'if (evr_unlikely(anfd->egen != (uint32_t)(event->data.u64 >> 32))) {' \
	'if (0) {'
plant not-re-armed poll.c \
	"if (!(flags & IORING_CQE_F_MORE))$lf$tab$tab""p->state = IDLE;" \
	'(void)flags;'
plant no-retry-of-a-change poll.c \
	'else if (res < 0 && tag' \
	'else if (res < 0 && res != -ENOENT && tag'
plant stays-with-the-old-set poll.c \
	'if (p->state != ARMED)' \
	'if (p->state == ARMED || 1)'
plant reports-a-changed-fd poll.c \
	'if (evr_likely(!anfd->reify))' \
	'if (1)'
plant keeps-what-nobody-wants poll.c \
	'restrict_fd(p, fd, want);' \
	'(void)restrict_fd;'
plant forgets-regular-files poll.c \
	'if (anfd->emask & EVR_EMASK_EPERM && !add_always(p, fd))' \
	'if (0)'
plant loses-a-refused-change poll.c \
	'anfd->reify |= EV__IOFDSET;' \
	';'
plant any-seat bind.c \
	'if (evr_likely(seat && is_seat_of(seat, loop)))' \
	'if (seat)'

exit $failed
