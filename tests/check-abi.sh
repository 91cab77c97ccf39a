#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# check-abi.sh - what programs that were built with a release rely on is still
# there: soname, functions with their version nodes, layouts, constants.
#
# tests/abi/ has a file for each MAJOR.MINOR, a line for each thing that is part
# of the binary interface; see also dwarf-layout.awk.  Invariants:
#
#  1. Whatever a file has, the library and the headers have.
#  2. A node is closed by the release of its version: a program that wants
#     EVRING_0.1 gets all its functions from any library that has EVRING_0.1.
#  3. The file of this version has all there is; --write, as `make abi' calls
#     it, makes it.  Once the version has a tag, it is not made again: what is
#     new then is of the next minor version.
#
# Runs in the build folder; CC, NM from make.

# shellcheck source-path=SCRIPTDIR source=common.sh
. "${top_srcdir:?}/tests/common.sh"

LC_ALL=C
export LC_ALL
srcdir=${top_srcdir:?}
abi=$srcdir/tests/abi
library=lib/.libs/libevring.so
[ -f "$library" ] || skip "there is no $library"
command -v readelf >/dev/null || skip "there is no readelf"
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
trap 'exit 1' HUP INT TERM

compile() {
	echo "#include <evring-net.h>" |
		${CC:-cc} -I "$srcdir/include" "$@" -x c -
}

compile -E -dM >"$dir/macros" || exit 1
grep -q '__LP64__' "$dir/macros" ||
	skip "tests/abi/ is for machines whose long has 64 bits"

number() {
	sed -n "s/^#define EVRING_VERSION_$1 //p" "$dir/macros"
}

version=$(number MAJOR).$(number MINOR)

soname() {
	readelf -d "$library" | sed -n 's/.*soname: \[\(.*\)\]/soname \1/p'
}

# NODE DECLARATION for each function.  A declaration ends with ";" outside of
# braces.
functions() {
	compile -E -P | tr '\n\t' '  ' | sed 's/[;{}]/&\n/g' | awk '
		/\{$/ { depth++ }
		/\}$/ { depth-- }
		!depth && /;$/ && match($0, /[^a-z_]evring_[a-z_]*\(/) {
			gsub(/ +/, " ")
			sub(/^ /, "")
			print
		}' >"$dir/declarations"
	${NM:-nm} -D --defined-only "$library" |
		sed -n 's/.* T \(evring_[a-z_]*\)@@*\(.*\)/\1 \2/p' |
		while read -r name node; do
			sed -n "s/.*[ *]$name(.*/$node &/p" "$dir/declarations"
		done
}

macros() {
	sed -n 's/^#define \(EVRING_[A-Z_]* ..*\)/macro \1/p' "$dir/macros" |
		grep -v '^macro EVRING_VERSION_'
}

layouts() {
	compile -c -gdwarf-4 -fno-eliminate-unused-debug-types \
		-o "$dir/layouts.o" &&
		readelf --debug-dump=info "$dir/layouts.o" |
		awk -f "$srcdir/tests/dwarf-layout.awk"
}

{
	soname
	functions
	macros
	layouts
} | sort >"$dir/now"

write_down() {
	tags=$(git -C "$srcdir" tag -l "v$version.*" 2>/dev/null)
	[ -z "$tags" ] || {
		echo "make abi: refused: $version has been released: raise the" \
			"minor version, see HACKING.md" >&2
		exit 1
	}
	cp "$dir/now" "$abi/$version" && echo "$abi/$version"
	exit
}

# nothing_said WHAT: it holds if there is nothing in said
nothing_said() {
	sed 's/^/# /' "$dir/said"
	[ ! -s "$dir/said" ]
	check "$1" $?
}

[ "${1:-}" != --write ] || write_down
for kind in soname EVRING_ macro struct member enum; do
	grep -q "^$kind" "$dir/now"
	check "found: $kind" $?
done
for file in "$abi"/*; do
	old=${file##*/}
	comm -23 "$file" "$dir/now" >"$dir/said"
	nothing_said "all that programs built with $old rely on is there"
	[ "$old" != "$version" ] || continue
	grep "^EVRING_$old " "$dir/now" | comm -13 "$file" - >"$dir/said"
	nothing_said "EVRING_$old is closed since its release"
done
file=$abi/$version
[ -f "$file" ] || file=/dev/null
comm -13 "$file" "$dir/now" >"$dir/said"
nothing_said "all there is is in tests/abi/$version (else: make abi)"
exit "$failed"
