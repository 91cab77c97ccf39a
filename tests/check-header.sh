#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# check-header.sh - evring.h and evring-net.h can be included alone, twice, from
# C99 and C++11 on, without a warning; evring-embed.h says what it needs.

srcdir=${top_srcdir:?}
strict='-Wall -Wextra -Wpedantic -Wconversion -Wundef -Werror'
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
trap 'exit 1' HUP INT TERM
failed=0

cat >"$dir/use.c" <<'END'
#include <evring.h>
#include <evring.h>
#include <evring-net.h>
#include <evring-net.h>

int use(struct ev_loop *loop);

static void on_data(struct ev_loop *loop, struct evring_recv *recv, void *data,
		    int size)
{
	if (size > 0)
		evring_group_put(recv->group, data);
	else
		evring_recv_start(loop, recv);
}

int use(struct ev_loop *loop)
{
	struct evring_config config = { 0 };
	struct evring_stats stats;
	struct evring_group group;
	struct evring_recv receiver;
	struct evring_port port;

	if (evring_group_init(loop, &group, 1, 1, EVRING_GROUP_HUGE) == 0) {
		evring_recv_init(&receiver, on_data, 0, &group);
		receiver.flags = EVRING_RECV_MSG;
		evring_recv_start(loop, &receiver);
	}

	evring_port_init(&port, 0);
	config.flags = EVRING_REQUIRE_REGION | EVRING_USER_REGION;
	return evring_attach(loop, &config) + evring_stats(loop, &stats) +
	       (evring_tier(loop) == EVRING_TIER_NONE) + evring_detach(loop);
}
END
sed 's/{ 0 }/{}/' "$dir/use.c" >"$dir/use.cc"

cat >"$dir/net.c" <<'END'
#include <evring-net.h>
#include <evring-net.h>

int use(struct ev_loop *loop, struct evring_accept *accept,
	struct evring_send *sender, struct evring_piece *piece);

int use(struct ev_loop *loop, struct evring_accept *accept,
	struct evring_send *sender, struct evring_piece *piece)
{
	evring_accept_init(accept, NULL, 0, SOCK_CLOEXEC);
	evring_send_init(sender, NULL, 0);
	return evring_accept_start(loop, accept) +
	       evring_send_queue(loop, sender, piece) +
	       (evring_send_queued(sender) > 1);
}
END
cp "$dir/net.c" "$dir/net.cc"

# compile COMPILER STANDARD FILE
compile() {
	# shellcheck disable=SC2086 # lists of words
	$1 -std="$2" $strict -I "$srcdir/include" -fsyntax-only "$3"
}

# knows COMPILER STANDARD FILE
knows() {
	echo >"$dir/empty.${3##*.}"
	# shellcheck disable=SC2086 # a list of words
	$1 -std="$2" -fsyntax-only "$dir/empty.${3##*.}" 2>/dev/null
}

check() {
	if ! knows "$@"; then
		echo "# left out: $1 does not know $2"
	elif compile "$@"; then
		echo "ok - ${3##*/} $2"
	else
		echo "not ok - ${3##*/} $2"
		failed=1
	fi
}

for standard in c99 gnu99 c11 c17 gnu17 c2x; do
	check "${CC:-cc}" $standard "$dir/use.c"
	check "${CC:-cc}" $standard "$dir/net.c"
done
if [ -n "${CXX:-}" ] && command -v "${CXX%% *}" >/dev/null; then
	for standard in c++11 c++14 c++17 gnu++17 c++20; do
		check "$CXX" $standard "$dir/use.cc"
		check "$CXX" $standard "$dir/net.cc"
	done
else
	echo "# left out: there is no C++ compiler"
fi

# A mistake in a program is an error: the flags above are in force.
echo 'int unused(int x) { int x; return sizeof x == -1; }' >>"$dir/use.c"
if compile "${CC:-cc}" c11 "$dir/use.c" 2>/dev/null; then
	echo "not ok - a wrong program is accepted"
	failed=1
fi

echo '#include <evring-embed.h>' >"$dir/alone.c"
if ${CC:-cc} -I "$srcdir/include" -fsyntax-only "$dir/alone.c" \
	2>"$dir/errors" || ! grep -q 'include it after ev.c' "$dir/errors"; then
	echo "not ok - evring-embed.h without ev.c does not say so"
	failed=1
fi

exit $failed
