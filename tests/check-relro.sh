#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# check-relro.sh - no pointer to a function is there from the start and can be
# written to: the dynamic linker fills our tables of functions, and the addresses of
# what is called elsewhere, before anything of ours runs (-z now), and then makes
# them read-only (-z relro).

# shellcheck source-path=SCRIPTDIR source=common.sh
. "${top_srcdir:?}/tests/common.sh"

library=lib/.libs/libevring.so
[ -f "$library" ] || skip "there is no $library"
command -v readelf >/dev/null || skip "there is no readelf (package binutils)"
[ -z "${SAN_FLAGS:-}" ] || skip "the sanitizers' own data can be written to"

# "relro BEGIN SIZE", "code BEGIN SIZE", then "reloc WHERE KIND WHAT" for each.
tables_of() {
	LC_ALL=C readelf -lW "$1" | awk '
		$1 == "GNU_RELRO" { print "relro", $3, $6 }
		$1 == "LOAD" && $8 == "E" { print "code", $3, $6 }'
	LC_ALL=C readelf -rW "$1" | awk '
		$1 ~ /^[0-9a-f]+$/ && NF > 3 { print "reloc", "0x" $1, $3, "0x" $4 }'
}

is_in() {
	[ $(($1)) -ge $(($2)) ] && [ $(($1)) -lt $(($2 + $3)) ]
}

# What can be written to and points to code, or to a name elsewhere.
writable_in() {
	relro='0 0' code='0 0'
	tables_of "$1" | while read -r what at kind target; do
		# shellcheck disable=SC2086 # two words each
		case $what in
		relro) relro="$at $kind" ;;
		code) code="$at $kind" ;;
		reloc)
			is_in "$at" $relro && continue
			case $kind in *_RELATIVE)
				is_in "$target" $code || continue ;;
			esac
			echo "# $1: $at $kind $target" ;;
		esac
	done
}

for file in "$library" preload/.libs/libevring-preload.so; do
	LC_ALL=C readelf -dW "$file" | grep -q 'FLAGS.*NOW'
	check "${file##*/}: all is bound before it runs" $?
	found=$(writable_in "$file")
	[ -z "$found" ] || echo "$found"
	[ -z "$found" ] && tables_of "$file" | grep -q '^reloc'
	check "${file##*/}: pointers to functions are read-only" $?
done
exit "$failed"
