# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=sh
#
# plant.sh - what the scripts share that plant bugs in copies of lib/.
#
# A bug is planted in place of a text that stands once in its file; where the
# text is gone the bug must be thought of anew, and until then the script fails.

srcdir=${top_srcdir:?}
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
trap 'exit 1' HUP INT TERM
failed=0

# replace OLD NEW <FILE: the text OLD, which stands there once, by NEW
replace() {
	OLD=$1 NEW=$2 awk '
	{ text = text $0 "\n" }
	END {
		old = ENVIRON["OLD"]
		at = index(text, old)
		rest = substr(text, at + length(old))
		if (!at || index(rest, old))
			exit 1
		printf "%s%s%s", substr(text, 1, at - 1), ENVIRON["NEW"], rest
	}'
}

# compile FILE.c: to FILE.o
compile() {
	# shellcheck disable=SC2086 # lists of words
	${CC:-cc} -w -g -O2 -I. -I"$srcdir/include" -iquote "$srcdir/lib" \
		-I"$srcdir/tests/fuzz" ${TEST_CPPFLAGS:-} ${SAN_FLAGS:-} \
		${plant_flags:-} -c -o "${1%.c}.o" "$1"
}

result() {
	echo "$1 - $2"
	# shellcheck disable=SC2034 # the exit status of who includes this
	[ "$1" = ok ] || failed=1
}
