#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# check-manual.sh - the manual says what the headers say: section 3 documents
# every public name and no other, with the declarations of the headers; what it
# shows compiles; and what formats it has nothing to object.
#
# By the names in a page:
#
#	NAME        .Nm of each function, and of none that does not exist
#	SYNOPSIS    .Ft, and .Fn or .Fo, .Fa, .Fc: C, compiled beside the headers
#	.Vt .Dv     structs and enums; constants and macros
#	.It Dv      values of an enum that has a name
#	.It Fa      members that are not private, in a page that has the struct
#	EXAMPLES    displays: whole files, from the first #include or #define on,
#	            or commands, which begin with "$ "
#
# Runs in the build folder; CC, LIBEV_SOURCE from make.

# shellcheck source-path=SCRIPTDIR source=common.sh
. "${top_srcdir:?}/tests/common.sh"

srcdir=${top_srcdir:?}
man=$srcdir/man
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
trap 'exit 1' HUP INT TERM

# In a build in the source folder make has put other names beside them.
# shellcheck disable=SC2046 # a list of words
cp $(grep -L '^\.so ' "$man"/evring*.[137]) "$dir" || exit 1

# same WHAT FILE FILE: sorted, the same, and not empty
same() {
	sort -u "$2" >"$2.sorted"
	sort -u "$3" >"$3.sorted"
	[ -s "$2.sorted" ] && diff "$2.sorted" "$3.sorted"
	check "$1" $?
}

# lines_of NAME FILE...: the lines of one section of each
lines_of() {
	section=$1
	shift
	awk -v section=".Sh $section" '
		FNR == 1 { inside = 0 }
		/^\.Sh / { inside = $0 == section; next }
		inside' "$@"
}

#
# form
#

# shellcheck disable=SC2317 # called by name, as is the next
lint() {
	mandoc -T lint -W warning "$1" >"$dir/said" 2>&1
	cat "$dir/said"
	[ ! -s "$dir/said" ]
}

# shellcheck disable=SC2317
format() {
	groff -ww -mdoc -Tutf8 "$1" 2>"$dir/said" >/dev/null
	cat "$dir/said"
	[ ! -s "$dir/said" ]
}

# clean WHAT PROGRAM COMMAND
clean() {
	command -v "$2" >/dev/null || {
		left_out "there is no $2"
		return
	}
	failures=0
	for page in "$dir"/*.[137]; do
		"$3" "$page" || failures=1
	done
	check "$1" $failures
}

clean "mandoc has no warning" mandoc lint
clean "groff has no warning" groff format

#
# names
#

preprocess() {
	echo "#include <evring-net.h>" |
		${CC:-cc} -I "$srcdir/include" -E "$@" -x c -
}

preprocess -P >"$dir/declarations.c" || exit 1
grep -o '\<evring_[a-z_]*(' "$dir/declarations.c" | tr -d '(' \
	>"$dir/functions"
sed -n 's/^\.Nm \(evring_[a-z_]*\)\( ,\)*$/\1/p' "$dir"/*.3 |
	while read -r name; do
		# Pages of a type have its name, too.
		grep -q "struct $name {" "$dir/declarations.c" &&
			! grep -qx "$name" "$dir/functions" || echo "$name"
	done >"$dir/named"
same "NAME has all functions and no other" "$dir/functions" "$dir/named"

lines_of SYNOPSIS "$dir"/*.3 |
	sed -n 's/^\.F[no] \([a-z_]*\).*/\1/p' >"$dir/synopses"
same "so has SYNOPSIS" "$dir/functions" "$dir/synopses"

grep -o '\(struct\|enum\) evring_[a-z_]* {' "$dir/declarations.c" |
	tr -d '{' | sed 's/ $//' >"$dir/types"
sed -n 's/^\.Vt "\(\(struct\|enum\) evring_[a-z_]*\)".*/\1/p' "$dir"/*.3 \
	>"$dir/told-types"
same "all structs and enums are told of, and no other" \
	"$dir/types" "$dir/told-types"

{
	grep -o '\<EVRING_[A-Z_]*\>' "$dir/declarations.c"
	preprocess -dM | sed -n 's/^#define \(EVRING_[A-Z_]*\) .*/\1/p' |
		grep -v '_H$'
} >"$dir/constants"
grep -h '^\.\(It \|Pq \|Po \)*Dv ' "$dir"/*.3 |
	grep -o '\<EVRING_[A-Z_]*\>' >"$dir/told-constants"
same "all constants and macros are told of, and no other" \
	"$dir/constants" "$dir/told-constants"

# Those of a named enum in a list: speaking of them is not enough.
tr '\n' ' ' <"$dir/declarations.c" | grep -o 'enum evring_[a-z_]* {[^}]*}' |
	grep -o '\<EVRING_[A-Z_]*\>' >"$dir/values"
sed -n 's/^\.It Dv //p' "$dir"/*.3 >"$dir/listed"
same "so are all values of an enum, in a list" "$dir/values" "$dir/listed"

# STRUCT MEMBER for each member before what is private, less what is reserved.
awk '
	/^(typedef )?struct evring_[a-z_]* \{/ {
		name = $2
		depth = 0
		is_private = 0
	}
	/Private/ && name { is_private = 1 }
	/^\};/ { name = "" }
	name && !is_private {
		sub(/\/\*.*/, "")
		if (/\(\*[a-z_]*\)/) {
			sub(/.*\(\*/, "")
			sub(/\).*/, "")
			print name, $0
		} else if (/^\t[a-z].*;/) {
			sub(/;.*/, "")
			sub(/\[.*/, "")
			sub(/.*[ *]/, "")
			print name, $0
		}
	}' "$srcdir"/include/evring.h "$srcdir"/include/evring-net.h |
	grep -v -e ' reserved' -e '^evring_layout ' >"$dir/members"

told_members() {
	while read -r struct member; do
		tells=no
		for page in "$dir"/*.3; do
			! grep -q "^\.Vt \"struct $struct\"" "$page" ||
				! grep '^\.It Fa' "$page" |
					grep -q "\<$member\>" || tells=yes
		done
		[ $tells = yes ] || echo "$struct.$member"
	done <"$dir/members"
}
told_members >"$dir/untold"
cat "$dir/untold"
[ -s "$dir/members" ] && [ ! -s "$dir/untold" ]
check "all members that are not private are told of" $?

# What is spoken of anywhere, with the parentheses of a function or as a page.
cat "$dir/functions" >"$dir/known"
basename -s .3 "$dir"/*.3 >>"$dir/known"
grep -h '^\.' "$dir"/*.[137] | grep -o \
	-e 'F[no] evring_[a-z_]*' -e 'Xr evring[a-z_-]* 3' |
	sed -e 's/^.. //' -e 's/ 3$//' | sort -u >"$dir/spoken"
sort -u "$dir/known" | comm -13 - "$dir/spoken" >"$dir/unknown"
cat "$dir/unknown"
[ -s "$dir/spoken" ] && [ ! -s "$dir/unknown" ]
check "no page speaks of a function or page that does not exist" $?

# Installed under each name, by make.
sed -n 's,.*/\(evring_[a-z_]*\)\.3.*,\1,p' "$man/local.mk" >"$dir/installed"
{
	cat "$dir/functions"
	basename -s .3 "$dir"/evring_*.3
} >"$dir/pages"
same "each function has a page of its name" "$dir/pages" "$dir/installed"

sed -n 's/^[[:space:]]*{ "\([a-z-]*\)", *EVR_HAVE_.*/\1/p' \
	"$srcdir/lib/probe.c" >"$dir/features"
lines_of ENVIRONMENT "$dir/evring.7" |
	sed -n 's/^\.It \([a-z-]*\) Ta [0-9].*/\1/p' >"$dir/told-features"
same "evring.7 has the kernel features of lib/probe.c" \
	"$dir/features" "$dir/told-features"

sed -n 's/.*"\(EVRING_[A-Z][A-Z]*\)".*/\1/p' \
	"$srcdir/preload/options.c" "$srcdir/lib/probe.c" >"$dir/variables"
sed -n 's/^\.It Ev \([A-Z_]*\).*/\1/p' "$dir/evring.1" >"$dir/told-variables"
same "evring.1 has all variables of the environment" \
	"$dir/variables" "$dir/told-variables"

#
# code
#

# The synopses as C; a declaration that is another than the header's is an error.
lines_of SYNOPSIS "$dir"/*.3 | awk '
	function unquote(s) { gsub(/"/, "", s); return s }
	# Arguments of a macro, in quotes or not.
	function arguments(s,   list, a) {
		while (match(s, /"[^"]*"|[^ ]+/)) {
			a = unquote(substr(s, RSTART, RLENGTH))
			list = list (list == "" ? "" : ", ") a
			s = substr(s, RSTART + RLENGTH)
		}
		return list
	}
	/^\.Ft / { type = unquote(substr($0, 5)) }
	/^\.Fn / {
		sub(/^\.Fn /, "")
		name = $1
		sub(/^[^ ]+ ?/, "")
		printf "%s %s(%s);\n", type, name, arguments($0)
	}
	/^\.Fo / { name = $2; list = "" }
	/^\.Fa / {
		list = list (list == "" ? "" : ", ") arguments(substr($0, 5))
	}
	/^\.Fc/ { printf "%s %s(%s);\n", type, name, list }' >"$dir/synopses.h"
{
	echo '#include <stddef.h>'
	echo '#include <evring-net.h>'
	cat "$dir/synopses.h"
} >"$dir/synopses.c"
flags="-std=gnu11 -Wall -Werror -fsyntax-only -I $srcdir/include"
# shellcheck disable=SC2086 # lists of words
[ -s "$dir/synopses.h" ] && ${CC:-cc} $flags "$dir/synopses.c"
check "SYNOPSIS declares what the headers declare" $?

# Writes each display of EXAMPLES in page $1 to a file of its own, and prints
# what begins as neither a C file nor a command.
extract() {
	lines_of EXAMPLES "$1" | awk -v base="$dir/${1##*/}" '
		/^\.Bd -literal/ {
			inside = 1
			is_first = 1
			file = base "-" ++nr ".c"
			next
		}
		/^\.Ed/ { inside = 0; close(file); next }
		!inside { next }
		{
			gsub(/\\e/, "\\")
			gsub(/\\&/, "")
		}
		is_first && /^\$ / { inside = 0; next }
		is_first && !/^#(include|define) / { print FILENAME, $0 }
		{ is_first = 0; print >file }'
}

# compiles FILE
compiles() {
	more=
	if grep -q '"ev\.c"' "$1"; then
		[ -n "${LIBEV_SOURCE:-}" ] || {
			left_out "an example wants ev.c, which is not here"
			return 0
		}
		more="-isystem $LIBEV_SOURCE" # whose warnings are not ours
	fi
	# shellcheck disable=SC2086 # lists of words
	${CC:-cc} $flags $more "$1"
}

for page in "$dir"/*.[37]; do
	extract "$page" >>"$dir/strange"
done
cat "$dir/strange"
[ ! -s "$dir/strange" ]
check "examples are whole files or commands" $?
for page in "$dir"/*.3; do
	[ -f "$page-1.c" ] || echo "${page##*/}"
done >"$dir/without"
cat "$dir/without"
[ ! -s "$dir/without" ]
check "each page of section 3 has an example" $?
failures=0
for file in "$dir"/*.[37]-*.c; do
	compiles "$file" || failures=1
done
check "all examples compile" $failures

exit "$failed"
