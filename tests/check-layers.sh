#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# check-layers.sh - who may know what, as far as grep can tell.
#
# Comments do not count: they are taken out first.

# shellcheck source-path=SCRIPTDIR source=common.sh
. "${top_srcdir:?}/tests/common.sh"

srcdir=$top_srcdir
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
trap 'exit 1' HUP INT TERM

# The files of the library and evring-embed.h, without comments.
for file in "$srcdir"/lib/*.[ch] "$srcdir"/include/*.h; do
	sed -e 's|/\*.*\*/||g' -e '/\/\*/,/\*\//d' "$file" \
		>"$dir/${file##*/}"
done
cd "$dir" || exit 1

# never WHAT PATTERN FILE...
never() {
	what=$1
	pattern=$2
	shift 2
	! grep -nE "$pattern" "$@" /dev/null
	check "$what" $?
}

# only_in WHAT PATTERN COUNT FILE: in FILE so many times, elsewhere never
only_in() {
	count=$(grep -cE "$2" "$4")
	if [ "$count" -ne "$3" ]; then
		echo "# $4: $count times"
		check "$1" 1
		return
	fi
	others=$(find . -name '*.[ch]' ! -name "$4")
	# shellcheck disable=SC2086 # a list of files
	! grep -nE "$2" $others
	check "$1" $?
}

# some WHAT PATTERN FILE: or the rules above look for something that is gone
some() {
	grep -qE "$2" "$3"
	check "$1" $?
}

ev='^[[:space:]]*#[[:space:]]*include[[:space:]]*[<"](ev|ev\+\+)\.h'
uring='^[[:space:]]*#[[:space:]]*include[[:space:]]*[<"](liburing|ring)'

never 'ring, spin, napi, waker, probe, self, group and recv know nothing of libev' \
	"$ev" engine.[ch] evr.h group.[ch] napi.[ch] probe.[ch] recv.c ring.[ch] self.[ch] \
	spin.[ch] text.c waker.[ch]
never 'nor do they know of layouts and bindings' \
	'include "(layout|poll|bind)\.h"' \
	evr.h napi.[ch] probe.[ch] ring.[ch] self.[ch] spin.[ch] text.c waker.[ch]
never 'watchers for sockets know nothing of libev' "$ev" accept.c send.c
never 'layout, bind and flight know nothing of io_uring' \
	"$uring|io_uring_|IORING_" layout.[ch] bind.[ch] flight.[ch] port.[ch]
never 'no header of ours brings in libev or liburing but ring.h' \
	"$ev|include <liburing" evr.h bind.h group.h layout.h napi.h op.h poll.h port.h \
	probe.h self.h spin.h waker.h evring.h evring-embed.h evring-net.h
never 'nor does what is public of messages' "$ev" post.c
never 'ring knows nothing of the environment' 'getenv' \
	layout.c ring.c poll.c bind.c flight.c op.c self.c text.c
never 'the library prints nothing and never exits' \
	'\<(printf|fprintf|puts|perror|abort|exit|_exit)[[:space:]]*\(' ./*.c

only_in 'the kernel is entered from one place' \
	'io_uring_(enter|submit|wait|peek)[a-z0-9_]*[[:space:]]*\(' 1 ring.c
only_in 'completions are reaped in one place' \
	'io_uring_(for_each_cqe|cqe_seen|cq_advance)' 2 ring.c
only_in 'rings are made in one place' 'io_uring_(queue_init[a-z_]*|setup)[[:space:]]*\(' 1 ring.c
only_in 'completions are advanced in one place' 'io_uring_cq_advance' 1 ring.c
only_in 'the environment is read in one place' 'getenv' 1 probe.c
only_in 'memory of others is read in one place' 'process_vm_readv' 1 layout.c

# layout.c proves by use on loops of its own; else bind.c alone writes.
never 'only bind replaces what is in the struct of libev' \
	'evr_field\([^)]*(modify|poll|mintime)\)' \
	ring.[ch] probe.[ch] poll.[ch] flight.[ch] op.c self.[ch] text.c \
	layout.h
only_in 'and in three lines' '\*evr_field\(.*\)[[:space:]]*=[^=]' 3 bind.c
some 'of one function' '^static void put_functions' bind.c
never 'offsets are known to layout and to evring-embed.h only' 'offsetof' \
	bind.[ch] op.c poll.[ch] probe.[ch] ring.[ch] self.[ch] text.c evr.h evring.h

exit "$failed"
