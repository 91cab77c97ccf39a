# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=sh
#
# real/common.sh - what the scripts share that drive real programs.
#
# Beside what tests/common.sh has.  A script names what it needs and its
# scenarios:
#
#	. "${top_srcdir:?}/tests/real/common.sh"
#	need nghttpd h2load
#	serves_files() { start server nghttpd ...; ...; }
#	both serves_files
#	exit "$failed"
#
# Each scenario runs twice, with $side epoll (the program as it is) and with
# $side ring (under `evring run $options`, which is "--stats --verbose" until a
# script says otherwise); what it told fact() must be the same on both.  It runs
# in the build folder, with EVRING the tool, ./tools/evring unless set, and $dir
# a folder that goes at the end.  After each scenario no process of its own may
# be left; those that are, are killed.
#
#	need TOOL...           skips the script where one is missing
#	both SCENARIO...       see above
#	fact NAME VALUE...     must be the same on both sides
#
#	start NAME CMD...      sets $pid; prints into $dir/NAME.out, $dir/NAME.err
#	helper NAME CMD...     the same, on neither side: a client, a backend
#	listens                waits until $pid does so; sets $port; false if it
#	                       does not, which is a failed check
#	ended PID              waits for it; its exit status, 137 if it had to be
#	                       killed (after 20 seconds)
#	stop SIGNAL PID        sends the signal, then ended
#	ports_of PID           TCP ports that it listens on, or a process it forked
#	has_ports PID [N]      they listen on N ports, 1 unless given; or it is over
#	spare_port             a port that nobody has, for programs that cannot let
#	                       the kernel pick one; not of those it picks
#	children PID           "NUMBER STATE" for each, zombies included
#	is_said NAME           it has printed something
#	make_certificate       $dir/key.pem, $dir/cert.pem, $dir/both.pem
#	digest                 of stdin
#	ask_thrice             what ask prints, a function of the script's, into
#	                       $dir/answer.1 to 3
#	are_right              all three are what expected prints, another
#	nr_fds PID             open descriptors, less rings and evring's page, and
#	                       less files in $dir (servers may keep what they serve)
#	nr_rings PID           of these, rings
#	calm_fds PID           nr_fds once it is the same for a while
#	has_fds PID N          nr_fds is N
#
# Which side was it?  These check() what is true of $side: counters that moved
# where it is the ring, neither a ring nor a page where it is epoll.
#
#	uses_side PID [N]      by `evring info PID`, while it runs; with N rings
#	used_side FILE         by the --stats blocks in FILE, after its end
#	waits_by_side PID CMD...  by strace, while CMD runs
#	counter PID NAME       of `evring info PID`, summed over the loops
#	stat_of FILE NAME      of the --stats blocks in FILE, summed
#
# shellcheck disable=SC2034 # some variables are for who includes this
# shellcheck disable=SC2317 # trap, both and within call functions by name

# shellcheck source-path=SCRIPTDIR source-path=SCRIPTDIR/..
# shellcheck source=../tests/common.sh
. "${top_srcdir:?}/tests/common.sh"
EVRING=${EVRING:-./tools/evring}
export LC_ALL=C
unset LIBEV_FLAGS
options="--stats --verbose"
groups=
side=
mode=${0##*/}

on_failure() {
	for said in "$dir"/*.err; do
		[ ! -s "$said" ] || tail -n 4 "$said" |
			sed "s|^|# ${said##*/}: |" | cut -c 1-200
	done
}

fact() {
	echo "$*" >>"$dir/facts.$side"
}

#
# Processes
#

# In a group of its own, by which what it leaves behind is found.
helper() {
	: >"$dir/$1.out"
	: >"$dir/$1.err"
	told=$dir/$1
	shift
	setsid "$@" </dev/null >>"$told.out" 2>>"$told.err" &
	pid=$!
	groups="$groups $pid"
}

start() {
	as=$1
	shift
	# shellcheck disable=SC2086 # a list of words
	[ "$side" = epoll ] || set -- "$EVRING" run $options -- "$@"
	helper "$as" "$@"
}

is_said() {
	[ -s "$dir/$1.out" ]
}

# "PID STATE PARENT GROUP" of all processes; names may have blanks.
processes() {
	cat /proc/[0-9]*/stat 2>/dev/null |
		sed -n 's/^\([0-9]*\) (.*) \(. [-0-9]* [-0-9]*\) .*/\1 \2/p'
}

children() {
	processes | awk -v of="$1" '$3 == of { print $1, $2 }'
}

# Zombies of processes that are gone are the business of init.
group_of() {
	processes | awk -v of="$1" '$4 == of && $2 != "Z" { print $1 }'
}

is_gone() {
	[ -z "$(group_of "$1")" ]
}

ended() {
	within 20 is_over "$1" || kill -KILL "$1" 2>/dev/null
	wait "$1" 2>/dev/null # the shell says how it ended
}

stop() {
	kill -s "$1" "$2"
	ended "$2"
}

# Whatever is left of all that was started.
end_all() {
	for group in $groups; do
		kill -KILL "-$group" 2>/dev/null
		wait "$group" 2>/dev/null
	done
	groups=
}

leaves_nothing() {
	for group in $groups; do
		within 10 is_gone "$group" && continue
		check "leaves no process behind" 1
		group_of "$group" | sed 's/^/# left: /'
	done
	end_all
}

finish() {
	end_all
	rm -rf "$dir"
}

#
# What /proc tells
#

fds() {
	# shellcheck disable=SC2012 # names are numbers
	ls -l "/proc/$1/fd" 2>/dev/null | sed -n 's/.* -> //p'
}

nr_fds() {
	fds "$1" | grep -c -v -e '^anon_inode:\[io_uring\]' \
		-e '^/memfd:evring ' -e "^$dir/"
}

nr_rings() {
	fds "$1" | grep -c '^anon_inode:\[io_uring\]'
}

has_fds() {
	[ "$(nr_fds "$1")" -eq "$2" ]
}

# For as long as a busy machine may need to close what was used.
is_calm() {
	are=$(nr_fds "$1")
	for _ in 1 2 3 4 5; do
		sleep 0.1
		has_fds "$1" "$are" || return
	done
}

calm_fds() {
	within 5 is_calm "$1"
	echo "$are"
}

# The last four digits of an address in /proc/net/tcp are its port.
ports_of() {
	cat /proc/net/tcp /proc/net/tcp6 >"$dir/tcp" 2>/dev/null
	for number in $(group_of "$1"); do
		fds "$number"
	done | sort -u | sed -n 's/^socket:\[\(.*\)\]$/\1/p' | awk '
		NR == FNR { if ($4 == "0A") at[$10] = $2; next }
		$1 in at { sub(/.*:/, "", at[$1]); print at[$1] }
		' "$dir/tcp" - |
		while read -r port; do
			printf '%d\n' "0x$port"
		done | sort -u
}

has_ports() {
	[ "$(ports_of "$1" | wc -l)" -eq "${2:-1}" ] || is_over "$1"
}

listens() {
	within 10 has_ports "$pid"
	port=$(ports_of "$pid" | head -n 1)
	[ -n "$port" ]
	check "starts, and listens" $?
	[ -n "$port" ]
}

spare_port() {
	cat /proc/net/tcp /proc/net/tcp6 2>/dev/null |
		awk -v seed="$$" -v n="$(date +%N)" '
		{ sub(/.*:/, "", $2); taken[$2] = 1 }
		END {
			srand(seed + n)
			do
				port = 20000 + int(rand() * 10000)
			while (sprintf("%04X", port) in taken)
			print port
		}'
}

#
# Which side it was
#

# A counter is a line, its name and the number.
counter() {
	"$EVRING" info "$1" 2>/dev/null | awk -v name="$2" '
		NF == 2 && $1 == name { total += $2 }
		END { printf "%.0f\n", total }'
}

stat_of() {
	grep '^evring stats:' "$1" | awk -v name="$2=" '
		{ for (i = 1; i <= NF; i++)
			if (index($i, name) == 1)
				total += substr($i, length(name) + 1) }
		END { printf "%.0f\n", total }'
}

uses_side() {
	if [ "$side" = epoll ]; then
		[ "$(nr_rings "$1")" -eq 0 ]
		check "has no ring" $?
		return
	fi
	[ "$(nr_rings "$1")" -gt 0 ] && [ "$(counter "$1" enters)" -gt 0 ]
	check "waits in rings, says evring info" $?
	[ $# -gt 1 ] || return 0
	[ "$(nr_rings "$1")" -eq "$2" ]
	check "has $2 of them" $?
}

used_side() {
	if [ "$side" = epoll ]; then
		! grep -q '^evring' "$1"
		check "knows nothing of evring" $?
		return
	fi
	grep -q '^evring stats: end$' "$1" && [ "$(stat_of "$1" enters)" -gt 0 ]
	check "waited in rings, say the statistics" $?
}

is_traced() {
	grep -q '^TracerPid:.*[1-9]' "/proc/$1/status"
}

# A look (timeout 0) is not a wait: evring looks where it expects to find
# something, libev's backend where something was handed over.  The timeout of a
# call that strace saw interrupted by another thread stands where it resumes; one
# that never does is a wait.
nr_epoll_waits() {
	awk '
		/epoll_p?wait\(.*<unfinished/ { nr_open++; next }
		/epoll_p?wait resumed/ && nr_open { nr_open-- }
		/epoll_p?wait(\(| resumed)/ && !/, 0(, NULL, 8)?\) += / { nr++ }
		END { print nr + nr_open }' "$dir/trace"
}

nr_enters() {
	grep -c 'io_uring_enter(' "$dir/trace"
}

# strace attaches to all threads, then COMMAND runs.
waits_by_side() {
	command -v strace >/dev/null || {
		left_out "there is no strace"
		return
	}
	strace -f -qq -e trace=epoll_wait,epoll_pwait,io_uring_enter \
		-o "$dir/trace" -p "$1" 2>"$dir/trace.err" &
	tracer=$!
	within 10 is_traced "$1" || {
		left_out "strace may not look: $(head -n 1 "$dir/trace.err")"
		kill "$tracer" 2>/dev/null
		return
	}
	shift
	"$@"
	kill "$tracer"
	wait "$tracer" 2>/dev/null
	if [ "$side" = epoll ]; then
		[ "$(nr_epoll_waits)" -gt 0 ] && [ "$(nr_enters)" -eq 0 ]
		check "waits by epoll_wait alone, says strace" $?
		return
	fi
	[ "$(nr_epoll_waits)" -eq 0 ] && [ "$(nr_enters)" -gt 0 ]
	check "waits by io_uring_enter alone, says strace" $?
}

make_certificate() {
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 \
		-nodes -days 2 -subj /CN=localhost -keyout "$dir/key.pem" \
		-out "$dir/cert.pem" 2>/dev/null
	cat "$dir/key.pem" "$dir/cert.pem" >"$dir/both.pem"
}

#
# Answers
#

digest() {
	sha256sum | cut -d ' ' -f 1
}

ask_thrice() {
	for n in 1 2 3; do
		ask >"$dir/answer.$n"
	done
}

are_right() {
	expected >"$dir/expected"
	for n in 1 2 3; do
		cmp -s "$dir/expected" "$dir/answer.$n" || return 1
	done
}

#
# Running
#

need() {
	[ -z "${SAN_FLAGS:-}" ] ||
		skip "programs without sanitizers cannot load what has them"
	[ -x "$EVRING" ] || skip "there is no $EVRING"
	for tool in setsid timeout "$@"; do
		command -v "$tool" >/dev/null || skip "there is no $tool"
	done
	env -u EVRING_TIER "$EVRING" info >"$dir/info" 2>&1 ||
		skip "no ring here, says evring info: $(tail -n 1 "$dir/info")"
}

same_facts() {
	mode="$scenario"
	diff "$dir/facts.epoll" "$dir/facts.ring" >"$dir/diff"
	same=$?
	check "is the same on both sides" $same
	[ "$same" -eq 0 ] || sed 's/^/# /' "$dir/diff"
}

both() {
	for scenario; do
		for side in epoll ring; do
			mode="$side $scenario"
			is_in_time || {
				check "is begun in time" 1
				return
			}
			: >"$dir/facts.$side"
			rm -f "$dir"/*.err
			"$scenario"
			leaves_nothing
		done
		same_facts
	done
}

PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin # where daemons are
deadline=$(($(date +%s) + 900)) # if all waits were in vain
dir=$(mktemp -d "${TMPDIR:-/tmp}/evring-real.XXXXXX") || exit 1
trap finish EXIT
trap 'exit 1' HUP INT PIPE TERM
