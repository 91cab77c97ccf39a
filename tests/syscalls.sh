#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# syscalls.sh - what a seccomp filter must let through, and may: every system call
# that a program makes under `evring run', and not on libev alone, stands in
# SECURITY.md.

# shellcheck source-path=SCRIPTDIR source=run/common.sh
. "${top_srcdir:?}/tests/run/common.sh"
[ -z "${SAN_FLAGS:-}" ] || skip "the sanitizers make calls of their own"
command -v strace >/dev/null || skip "there is no strace"
strace -o "$dir/trace" true 2>"$dir/err" || skip "strace may not trace here"

# From the program's execve on, of all its threads.
calls_in() {
	awk '/ execve\(.*tests\/run/ { on = 1 } on' "$1" |
		sed -n 's/^[0-9]* *\([a-z0-9_]*\)(.*/\1/p' | sort -u
}

# shellcheck disable=SC2016 # backquotes
awk '/^### What a filter must let through/ { on = 1; next } /^#/ { on = 0 } on' \
	"$top_srcdir/SECURITY.md" | grep -o '`[a-z][a-z0-9_]*`' | tr -d '`' |
	sort -u >"$dir/documented"
grep -q '^io_uring_enter$' "$dir/documented"
check "SECURITY.md has a list" $?

# other_calls WAY...: of tests/run/loops
other_calls() {
	strace -f -qq -o "$dir/trace" "$programs/loops" "$@" >"$dir/out" 2>&1
	calls_in "$dir/trace" >"$dir/plain"
	strace -f -qq -o "$dir/trace" "$EVRING" run --stats "$programs/loops" \
		"$@" >"$dir/out" 2>"$dir/err"
	calls_in "$dir/trace" >"$dir/run"
	comm -13 "$dir/plain" "$dir/run" >"$dir/more"
}

for way in default threads; do
	other_calls $way
	if "$EVRING" info --quiet; then
		grep -q '^io_uring_enter$' "$dir/more"
		check "$way: the trace shows the ring" $?
	fi
	comm -23 "$dir/more" "$dir/documented" >"$dir/unknown"
	sed 's/^/# not in SECURITY.md: /' "$dir/unknown"
	[ ! -s "$dir/unknown" ]
	check "$way: all that evring adds is documented" $?
done
exit "$failed"
