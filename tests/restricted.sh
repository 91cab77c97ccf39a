#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# restricted.sh - the contract of watchers on rings that accept evring's own requests
# only (EVRING_RESTRICT), in each mode that can be restricted: all of conform.t but
# operations. restrict.t shows that these, and whatever else, are refused.

# shellcheck source-path=SCRIPTDIR source=common.sh
. "${top_srcdir:?}/tests/common.sh"

[ -x tests/conform.t ] || skip "conform.t was not built: there is no Check"
[ -z "${EVRING_VALGRIND:-}" ] || skip "valgrind is too slow for it"
tools/evring info | grep -q '^  restrict .* on ' ||
	skip "rings cannot be restricted here: see evring info"

out=$(mktemp) || exit 1
trap 'rm -f "$out"' EXIT
trap 'exit 1' HUP INT TERM

for part in level changes closing kinds mistakes half-closed hang-ups reuse replaced \
	stopped 'one event' 'never spurious' 'always ready' connects detaching quiet idle \
	timers collecting libev wakers loops forks threads many 'looked at'; do
	timeout 300 env CONFORM_RESTRICT=1 CK_RUN_CASE="$part" \
		tests/conform.t >"$out" 2>&1
	status=$?
	grep -E '^not ok' "$out" | sed 's/^/# /'
	[ $status -eq 0 ] && grep -q '^ok' "$out" && ! grep -q '^not ok' "$out"
	check "conform.t, restricted: $part" $?
done
exit "$failed"
