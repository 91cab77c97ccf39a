#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# run-late.sh - `evring run` and programs that load libev late or for
# themselves, that bring one of their own, or use evring already.

# shellcheck source-path=SCRIPTDIR source=run/common.sh
. "${top_srcdir:?}/tests/run/common.sh"
[ -n "$tier" ] || skip "no ring is to be had: $(cat "$dir/err")"
late=$programs/late
plugin=$objects/plugin.so

plugins() {
	for part in plugin lazy-plugin global-plugin; do
		same "$part" 2 1 "$late" $part "$plugin"
	done
	same "a plugin that jumps into libev" 1 0 "$late" jumps "$plugin"
	same "a plugin that comes and goes" 6 3 "$late" plugin-thrice "$plugin"
	cp "$plugin" "$dir/moved.so"
	same "a plugin elsewhere" 2 1 "$late" plugin "$dir/moved.so"
	if [ -n "${SAN_FLAGS:-}" ]; then
		left_out "no RTLD_DEEPBIND with sanitizers"
		return
	fi
	# It finds libev's own functions, not ours: see evring(1).
	same "a plugin with RTLD_DEEPBIND runs unchanged" 0 0 \
		"$late" deep-plugin "$plugin"
}

# Both have functions of the same names, and the first to come is libev.
with_libevent() {
	# shellcheck disable=SC2086 # lists of words
	if ! ${CC:-cc} ${SAN_FLAGS:-} -fPIC -shared -o "$dir/other.so" \
		"$top_srcdir/tests/run/other.c" -levent 2>/dev/null; then
		left_out "there is no libevent"
		return
	fi
	same "a plugin on libev, then one on libevent" 2 1 "$late" plugin \
		"$plugin" "$dir/other.so"
}

# libevring itself is not loaded then, and keeps no libev.
unattached() {
	EVRING_TIER=none && export EVRING_TIER
	same "plugins come and go, EVRING_TIER=none" 0 9 "$late" \
		plugin-thrice "$plugin"
	unset EVRING_TIER
}

# What dlsym(3) finds in libev is libev's own: see evring(1).
names() {
	for part in names global-names; do
		same "libev by dlsym, $part: runs unchanged" 0 0 \
			"$late" $part libev.so.4
	done
}

extension() {
	cat >"$dir/extension.py" <<-EOF
		import ctypes
		plugin = ctypes.CDLL("$plugin")
		say = ctypes.CFUNCTYPE(None, ctypes.c_char_p)
		seen = []
		plugin.plugin_play(say(seen.append))
		print(seen)
	EOF
	if ! command -v python3 >/dev/null; then
		left_out "there is no python3"
		return
	fi
	same "an extension of Python" 2 1 python3 "$dir/extension.py"
}

users_of_evring() {
	both=$programs/both
	for part in attach attach-late refused; do
		plain "$both" $part
		run --verbose -- "$both" $part
		show_difference
		is_same && says ': attached, '
		check "a program that attaches by itself: $part" $?
	done
	plain "$both" made
	run --verbose -- "$both" made
	show_difference
	is_same
	check "a program whose loops evring makes" $?
}

own_libev() {
	if [ ! -x "$programs/own" ]; then
		left_out "there is no ev.c"
		return
	fi
	for part in default new; do
		same "an ev.c of the program's own, $part" 0 0 \
			"$programs/own" $part
		says 'no loop of libev was made'
		check "and says so" $?
	done
}

plugins
same "a program that can do without libev" 0 0 "$late" weak -
with_libevent
unattached
names
extension
users_of_evring
own_libev
same "ev_default_loop_init" 1 0 "$programs/ancient" default
exit "$failed"
