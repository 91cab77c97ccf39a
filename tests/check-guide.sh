#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# check-guide.sh - what README.md, docs/ and the other texts show is true: code
# compiles, programs run and print what stands there, files that are named exist.
#
# Each block of code has a comment before it that says how it is to be taken; one
# without fails:
#
#	<!-- file NAME -->      it is the file NAME, whole
#	<!-- patch OLD NEW -->  a diff; it makes the file NEW of the file OLD
#	<!-- part CODE -->      C from within a function, after the declarations CODE,
#	                        which may be none; #include lines and functions that
#	                        are static are put before it
#	<!-- from FILE -->      it stands in FILE of this project, as it is
#	<!-- run -->            what a shell was told, after "$ ", and what was
#	                        printed; "..." is anything
#
# A name in `code' with a slash in it, or the end of a source file, is a file:
# from the top, from tests/, or, without a slash, anywhere.
#
# Runs in the build folder; CC, SAN_FLAGS from make.
#
# shellcheck disable=SC2016 # ` is no command here
# shellcheck disable=SC2317 # trap and within call functions by name

# shellcheck source-path=SCRIPTDIR source=common.sh
. "${top_srcdir:?}/tests/common.sh"
export LC_ALL=C

srcdir=$(cd "$top_srcdir" && pwd)
build=$PWD
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
trap 'exit 1' HUP INT TERM
mkdir "$dir/blocks" "$dir/bin" || exit 1

texts=$(cd "$srcdir" && echo *.md docs/*.md)

#
# blocks
#

# Writes the blocks of file $1 to blocks/NUMBER, with the mark in NUMBER.mark.
take_blocks() {
	awk -v dir="$dir/blocks" -v text="$1" -v nr="$2" '
		/^```/ && inside {
			inside = 0
			mark = ""
			close(file)
			next
		}
		/^```/ {
			inside = 1
			file = sprintf("%s/%03d", dir, ++nr)
			printf "" >file
			print mark == "" ? "none" : mark >(file ".mark")
			print text ":" FNR >(file ".at")
			close(file ".mark")
			close(file ".at")
			next
		}
		inside { print >file; next }
		/^<!-- .* -->$/ {
			mark = substr($0, 6, length($0) - 9)
			next
		}
		/[^ ]/ { mark = "" }' "$srcdir/$1"
}

nr=0
for text in $texts; do
	take_blocks "$text" $nr
	nr=$((nr + 100))
done

on_failure() {
	sed 's/^/# /' "$dir/said" 2>/dev/null
}

# What a reader who installed evring has.
cat >"$dir/bin/cc" <<EOF
#!/bin/sh
exec ${CC:-cc} ${SAN_FLAGS:-} -std=gnu11 -Wall -Wextra -Werror \\
	-I"$srcdir/include" "\$@"
EOF
cat >"$dir/bin/evring" <<EOF
#!/bin/sh
exec "$build/tools/evring" "\$@"
EOF
chmod +x "$dir/bin/cc" "$dir/bin/evring"
PATH=$dir/bin:$PATH
PKG_CONFIG_PATH=$build/lib${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}
LIBRARY_PATH=$build/lib/.libs${LIBRARY_PATH:+:$LIBRARY_PATH}
LD_LIBRARY_PATH=$build/lib/.libs${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
export PATH PKG_CONFIG_PATH LIBRARY_PATH LD_LIBRARY_PATH
unset EVRING_ENGINE EVRING_RESTRICT EVRING_SPIN EVRING_NAPI EVRING_COLLECT \
	EVRING_TIER EVRING_DISABLE EVRING_REQUIRE EVRING_STATS EVRING_CHILDREN \
	EVRING_QUIET EVRING_VERBOSE LD_PRELOAD LIBEV_FLAGS

compiles() {
	(cd "$dir" && cc -fsyntax-only "$@") >"$dir/said" 2>&1
}

is_file() {
	cp "$block" "$dir/$1" || return 1
	case $1 in
	*.c) compiles "$1" ;;
	esac
}

is_patch() {
	cp "$dir/$1" "$dir/$2" &&
		patch -s -F 0 "$dir/$2" "$block" >"$dir/said" 2>&1 &&
		compiles "$2"
}

# is_part DECLARATIONS
is_part() {
	{
		printf '#include <%s>\n' ev.h evring-net.h liburing.h stdio.h
		awk -v declarations="$1" '
			/^#include/ { print; next }
			/^static .*\)$/ { outside = 1 }
			outside { print }
			!outside { main = main $0 "\n" }
			/^}/ { outside = 0 }
			END {
				print "int main(void)\n{"
				print declarations
				print main "return 0;\n}"
			}' "$block"
	} >"$dir/part.c"
	compiles -Wno-unused-parameter -Wno-declaration-after-statement part.c
}

# Is $block, line after line, in file $1?
is_from() {
	awk '
		NR == FNR { wanted[++nr] = $0; next }
		{ line[FNR] = $0 }
		END {
			for (at = 0; at + nr <= FNR; at++) {
				for (i = 1; i <= nr; i++)
					if (line[at + i] != wanted[i])
						break
				if (nr && i > nr)
					exit found = 0
			}
			exit 1
		}' "$block" "$srcdir/$1" >"$dir/said"
}

# same_but_dots WANTED GOT
same_but_dots() {
	awk '
		# Has text all parts of pattern, in order, the ends at its ends?
		function fits(text, pattern,   n, part, i, at, left) {
			n = split(pattern, part, /\.\.\./)
			if (n < 2)
				return text == pattern
			if (index(text, part[1]) != 1)
				return 0
			for (i = 1; i < n; i++) {
				at = index(text, part[i])
				if (!at)
					return 0
				text = substr(text, at + length(part[i]))
			}
			left = length(text) - length(part[n])
			return left >= 0 && substr(text, left + 1) == part[n]
		}
		FILENAME == ARGV[1] { wanted[++nr_wanted] = $0; next }
		!fits($0, wanted[++nr]) { differs = 1 }
		END { exit differs || nr != nr_wanted }' "$1" "$2"
}

runs() {
	sed -n 's/^\$ //p' "$block" >"$dir/commands"
	sed '/^\$ /d' "$block" >"$dir/wanted"
	(cd "$dir" && rm -f port &&
		{ grep -q mkfifo commands || mkfifo port; } &&
		timeout -k 1 60 sh commands) >"$dir/got" 2>&1 </dev/null
	{
		echo "wanted:"
		cat "$dir/wanted"
		echo "printed:"
		cat "$dir/got"
	} >"$dir/said"
	[ -s "$dir/commands" ] && same_but_dots "$dir/wanted" "$dir/got"
}

# Why nothing can be run here; empty if it can.
cannot_run() {
	if [ -n "${SAN_FLAGS:-}" ]; then
		echo "programs of a sanitizer are not those of the text"
	elif [ ! -f lib/.libs/libevring.so ]; then
		echo "there is no shared library"
	elif ! command -v nc >/dev/null || ! nc -h 2>&1 | grep -q -e '-N'; then
		echo "there is no nc with -N (netcat-openbsd)"
	elif ! evring info >/dev/null 2>&1; then
		echo "loops cannot be attached here: see evring info"
	fi
}

# The mark is split into words, but not that of a part.
try() {
	at=$(cat "$block.at")
	mark=$(cat "$block.mark")
	case $mark in
	part | "part "*)
		is_part "${mark#part}"
		check "$at: it compiles" $?
		return ;;
	esac
	# shellcheck disable=SC2086
	set -- $mark
	: >"$dir/said"
	case $1-$# in
	file-2)
		is_file "$2"
		check "$at: $2 compiles" $? ;;
	patch-3)
		command -v patch >/dev/null || {
			left_out "$at: there is no patch"
			return
		}
		is_patch "$2" "$3"
		check "$at: $2 becomes $3, which compiles" $? ;;
	from-2)
		is_from "$2"
		check "$at: it stands in $2" $? ;;
	run-1)
		[ -z "$cannot" ] || {
			left_out "$at: $cannot"
			return
		}
		runs
		check "$at: it prints what stands there" $? ;;
	*)
		check "$at: what is this block? (<!-- $mark -->)" 1 ;;
	esac
}

cannot=$(cannot_run)
nr_tried=0
for block in "$dir"/blocks/[0-9][0-9][0-9]; do
	[ -f "$block" ] || continue
	try
	nr_tried=$((nr_tried + 1))
done
[ "$nr_tried" -gt 0 ]
check "there are blocks" $?

#
# files
#

# The words in `code' and in lines of code, and the targets of links, of text $1.
named_files() {
	awk '
		/^(    |\t)/ { print; next }
		/^```/ { inside = !inside; next }
		inside { next }
		{
			n = split($0, part, "`")
			for (i = 2; i < n; i += 2)
				print part[i]
		}' "$srcdir/$1" | tr -s ' \t,;:()' '\n' |
		grep -E -e '^[A-Za-z_][A-Za-z0-9_.-]*(/[A-Za-z0-9_.-]+)+/?$' \
			-e '^[A-Za-z0-9_-]+\.([ch]|md|sh|py|mk|map)$' |
		grep -v -e '\.\.\.' -e '/-' |
		sort -u
}

linked_files() {
	grep -o '](\([^)#]*\)' "$srcdir/$1" | sed 's/^](//' | grep . |
		grep -v : | sort -u
}

# A program is as good as its source; libev's are not ours, and one is made.
exists() {
	case $1 in
	ev.c | ev.h | evring-all.c) ;;
	*/*) [ -e "$srcdir/$1" ] || [ -e "$srcdir/${1%.t}.c" ] ||
		[ -e "$srcdir/tests/$1" ] || [ -e "$build/$1" ] ;;
	*) find "$srcdir" -path "$srcdir/build*" -prune -o -name "$1" -print |
		grep -q . ;;
	esac
}

for text in $texts; do
	named_files "$text" | while read -r name; do
		exists "$name" || echo "$text: there is no $name"
	done
	linked_files "$text" | while read -r name; do
		[ -e "$srcdir/$(dirname "$text")/$name" ] ||
			echo "$text: link to $name"
	done
done >"$dir/said"
[ ! -s "$dir/said" ]
check "all files that are named exist" $?

exit "$failed"
