#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# engines.sh - the whole contract, where the epoll set is always asked before
# the ring, and the parts about readiness and threads where it never is.
# conform.t by itself lets the loop decide.

# shellcheck source-path=SCRIPTDIR source=common.sh
. "${top_srcdir:?}/tests/common.sh"

[ -x tests/conform.t ] || skip "conform.t was not built: there is no Check"
[ -z "${EVRING_VALGRIND:-}" ] || skip "valgrind is too slow for it"

out=$(mktemp) || exit 1
trap 'rm -f "$out"' EXIT
trap 'exit 1' HUP INT TERM

# conform ENGINE [CASE]
conform() {
	timeout 900 env EVRING_ENGINE="$1" ${2:+CK_RUN_CASE="$2"} \
		tests/conform.t >"$out" 2>&1
	status=$?
	grep -E '^not ok' "$out" | sed 's/^/# /'
	[ $status -eq 0 ] && grep -q '^ok' "$out" && ! grep -q '^not ok' "$out"
	check "conform.t, EVRING_ENGINE=$1${2:+, $2}" $?
}

conform set
for part in level changes closing reuse threads; do
	conform ring $part
done
exit "$failed"
