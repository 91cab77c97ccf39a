#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# info.sh - `evring info' on this machine with features masked, calls refused
# and limits lowered, and on processes that show a page, good or wrong.
#
# EVRING names the program, ./tools/evring unless set; tests/info/filter and
# tests/info/page are beside it.  One line per promise, "ok - ..." or "not ok -
# ..."; "# ..." says what was left out and why.  Exit status: 0, 1 when any
# promise is broken, 77 when nothing could be tried.
#
# shellcheck disable=SC2317 # traps call functions by name

# shellcheck source-path=SCRIPTDIR source=common.sh
. "${0%/*}/common.sh"
EVRING=${EVRING:-./tools/evring}
filter=./tests/info/filter
page=./tests/info/page
export LC_ALL=C
unset EVRING_DISABLE LIBEV_FLAGS

for program in "$EVRING" "$filter" "$page"; do
	[ -x "$program" ] || skip "there is no program $program"
done
command -v timeout >/dev/null || skip "there is no timeout"

dir=$(mktemp -d) || skip "mktemp made no directory"
asked=

finish() {
	[ -z "$asked" ] || kill -KILL "$asked" 2>/dev/null
	rm -rf "$dir"
}
trap finish EXIT
trap 'exit 1' HUP INT TERM

on_failure() {
	sed 's/^/# /' "$dir/out" "$dir/err" | tail -n 24
}

# info OPTION...: out, err, text (out with a space for every white space) and
# status; the program runs under the words of $under
under=
info() {
	# shellcheck disable=SC2086 # a list of words
	timeout 60 $under "$EVRING" info "$@" >"$dir/out" 2>"$dir/err"
	status=$?
	tr -s ' \n' '  ' <"$dir/out" >"$dir/text"
}

has() {
	grep -q -F -e "$1" "$dir/text"
}

last_line() {
	tail -n 1 "$dir/out"
}

# says STATUS LAST-LINE TEXT...
says() {
	[ "$status" -eq "$1" ] && [ "$(last_line)" = "$2" ] || return
	shift 2
	for text; do
		has "$text" || return
	done
}

# "name state" for each feature
states() {
	sed -n '/^features/,/^$/s/^  \([a-z]\)/\1/p' "$dir/out" |
		awk '{ print $1, $3 }'
}

# verdict TOPIC WORD
verdict() {
	grep -q "^  $1  *$2  " "$dir/out"
}

#
# this machine
#

# What cannot be used without it.
dependents() {
	case $1 in
	r-disabled) echo restrict region kernel-memory ;;
	cqe-skip) echo epoll-ctl msg-ring sync-msg ;;
	msg-ring) echo sync-msg ;;
	pbuf-ring) echo multishot-recv recv-bundle pbuf-inc ;;
	multishot-recv) echo recv-bundle ;;
	single-issuer) echo defer-taskrun epoll-wait ;;
	defer-taskrun) echo epoll-wait ;;
	region) echo kernel-memory ;;
	esac
}

# masked_states NAME: those of "$dir/states", less NAME
masked_states() {
	gone=" $1 $(dependents "$1") "
	while read -r name state; do
		case $gone in *" $name "*) [ "$state" = off ] || state=masked ;; esac
		[ "$name" != "$1" ] || state=masked
		echo "$name $state"
	done <"$dir/states"
}

tier_without() {
	case $1 in
	region) echo "tier: copied, because of region: masked by $2" ;;
	r-disabled)
		echo "tier: copied, because of region: needs r-disabled," \
			"masked by $2"
		;;
	*) echo "tier: region" ;;
	esac
}

# is_masked NAME BY: so says the last info
is_masked() {
	masked_states "$1" >"$dir/wanted"
	states | diff "$dir/wanted" - >&2 && has "masked by $2" &&
		[ "$status" -eq 0 ] &&
		[ "$(last_line)" = "$(tier_without "$1" "$2")" ]
}

masks() {
	mode=masks
	while read -r masked _; do
		EVRING_DISABLE=$masked
		export EVRING_DISABLE
		info
		unset EVRING_DISABLE
		is_masked "$masked" EVRING_DISABLE
		check "$masked, by EVRING_DISABLE" $?
		info "--disable=$masked"
		is_masked "$masked" --disable
		check "$masked, by --disable" $?
	done <"$dir/states"

	EVRING_DISABLE='no-such,no-iowait,,nor"this' info --disable=epoll-ctl
	says 0 'tier: region' \
		'unknown in EVRING_DISABLE, ignored: no-such, nor"this' &&
		[ "$(states | grep -c masked)" -eq 2 ]
	check "unknown names are named, the others apply" $?
}

plain() {
	mode=plain
	info
	[ "$(head -n 1 "$dir/out")" = versions ] && has "kernel $(uname -s)" &&
		has "$(uname -r)" && has 'liburing 2.' && has 'libev 4.' &&
		[ ! -s "$dir/err" ]
	check "versions" $?
	[ "$(grep -c '^  [a-z-]* *held ' "$dir/out")" -eq 10 ] &&
		! grep -q '^  [a-z-]* *failed ' "$dir/out" &&
		verdict libev ok
	check "ten proofs, all held" $?
	[ "$(wc -l <"$dir/states")" -eq "$(grep -c '^	{ "' \
		"$top_srcdir/lib/probe.c")" ]
	check "all features" $?
	[ "$status" -eq 0 ]
	check "exit status 0" $?

	info --quiet
	[ "$status" -eq 0 ] && [ ! -s "$dir/out" ] && [ ! -s "$dir/err" ]
	check "--quiet says nothing" $?
	info --tier=region
	[ "$status" -eq 0 ]
	check "--tier=region, and it is" $?
	info --tier=region --disable=region
	says 1 'tier: copied, because of region: masked by --disable'
	check "--tier=region, and it is not: exit 1" $?
	info --tier=copied --disable=region
	[ "$status" -eq 0 ]
	check "--tier=copied is content with it" $?
	info --tier copied
	[ "$status" -eq 0 ]
	check "and with more" $?

	LIBEV_FLAGS=1 info
	says 1 'tier: none, because loops are on select, not epoll' \
		'to do unset LIBEV_FLAGS' && verdict libev problem
	check "LIBEV_FLAGS that names another backend" $?

	timeout 20 "$EVRING" info >/dev/full 2>"$dir/err"
	[ $? -eq 3 ] && grep -q 'cannot write' "$dir/err"
	check "a report that cannot be written: exit 3" $?
}

# refused CALL ANSWER STATUS LAST-LINE TEXT...
refused() {
	what="$1 $2"
	under="$filter $1 $2"
	info
	under=
	shift 2
	says "$@"
	check "$what" $?
}

filters() {
	mode=filter
	hidden='something hides it'
	[ -r /proc/sys/kernel/io_uring_disabled ] || hidden='hides it'
	refused acct EPERM 0 'tier: region' \
		'a filter is installed; it lets through what a loop needs' \
		'NoNewPrivs is 1'
	refused setup EPERM 1 'tier: none, because io_uring_setup says EPERM' \
		'seccomp problem a filter is installed' \
		'likely cause of EPERM to io_uring_setup' \
		'io_uring problem io_uring_setup says EPERM' \
		'--security-opt' 'SystemCallFilter='
	refused setup ENOSYS 1 \
		'tier: none, because io_uring_setup says ENOSYS' "$hidden"
	refused setup EACCES 1 \
		'tier: none, because io_uring_setup says EACCES' \
		'EACCES is what a security module says, or a seccomp filter'
	refused register EPERM 0 \
		'tier: copied, because of region: needs r-disabled, refused: io_uring_register (enable rings) says EPERM' \
		'a loop gets a ring without it' \
		'seccomp note a filter is installed; it says EPERM to io_uring_register;'
	refused enter ENOSYS 1 \
		'tier: none, because io_uring_enter says ENOSYS' \
		"it says ENOSYS to io_uring_enter"
	refused register-region EINVAL 0 \
		'tier: copied, because of region: refused: io_uring_register (memory region) says EINVAL' \
		'seccomp unknown' 'refuses the features that are off' \
		'tier note wait arguments are copied' \
		'needs region, refused:'
	refused enter-no-iowait EINVAL 0 'tier: region' \
		'refused: io_uring_enter says EINVAL'
	refused register-napi EINVAL 0 'tier: region' \
		'napi 6.13 off waits that poll NICs before they sleep not listed'
	refused setup kill 1 \
		'tier: none, because a seccomp filter ends who calls io_uring_setup' \
		'whoever calls io_uring_setup is ended by SIGSYS'
	refused register-region kill 1 \
		'tier: none, because a seccomp filter ends who calls it' \
		'whoever makes a ring is ended by SIGSYS'
}

#
# limits
#

# as_nobody LIMIT OPTION...: info as a user with that limit of locked memory, in
# KiB.  The memory of the rings before it may have to come back first: the
# kernel does that in its own time.
as_nobody() {
	limit=$(($1 * 1024))
	shift
	sleep 0.2
	under="prlimit --memlock=$limit:$limit setpriv --reuid 64999 --regid 64999 --clear-groups"
	info "$@"
	under=
}

locked_memory() {
	mode=memlock
	if [ "$(id -u)" -ne 0 ] || ! command -v prlimit >/dev/null ||
		! command -v setpriv >/dev/null; then
		left_out "limits of another user want root, prlimit and setpriv"
		return
	fi
	# where another user can reach it
	chmod 755 "$dir"
	binary=$EVRING
	[ ! -x ./tools/.libs/evring ] || binary=./tools/.libs/evring
	cp "$binary" "$dir/evring"
	EVRING=$dir/evring
	as_nobody 1024
	if [ "$status" -ne 0 ]; then
		left_out "another user cannot run evring"
	elif as_nobody 8 && [ "$status" -eq 0 ] && verdict memlock ok; then
		left_out "this kernel does not count rings"
	else
		too_little
	fi
	EVRING=${program_given:?}
}

# has_in LIMIT TEXT: with a limit of so many KiB
has_in() {
	as_nobody "$1"
	[ "$status" -eq 0 ] && has "$2"
}

too_little() {
	[ "$status" -eq 1 ] && verdict memlock problem && has 'is 8 KiB' &&
		has 'not even for a small one' && has 'LimitMEMLOCK='
	check "8 KiB: no ring" $?
	within 5 has_in 16 'one of 64 entries was made instead' &&
		verdict memlock note
	check "16 KiB: a smaller ring" $?
	within 5 has_in 24 'needs 24 KiB and was made' && verdict memlock ok
	check "24 KiB, as it says: the ring" $?
}

no_files() {
	mode=files
	if ! command -v prlimit >/dev/null; then
		left_out "there is no prlimit"
		return
	fi
	under='prlimit --nofile=5:5'
	info
	under=
	[ "$status" -eq 1 ] && verdict files problem &&
		has 'RLIMIT_NOFILE is 5 (hard: 5)'
	check "none left" $?
}

#
# a libev that is not as expected
#

broken_libev() {
	mode='broken libev'
	if [ -n "${SAN_FLAGS:-}" ]; then
		left_out "LD_PRELOAD with a sanitizer"
		return
	fi
	echo 'void ev_set_timeout_collect_interval(void);
	      void ev_set_timeout_collect_interval(void) {}' >"$dir/broken.c"
	${CC:-cc} -shared -fPIC -o "$dir/broken.so" "$dir/broken.c" ||
		skip "no compiler"
	LD_PRELOAD=$dir/broken.so info
	says 1 'tier: none, because the layout of libev could not be proven' \
		'timeout-interval failed' 'io-interval held' \
		'proof timeout-interval failed' && verdict libev problem &&
		! grep -q '^  backend ' "$dir/out"
	check "the proof that failed is named, and is the last" $?
}

#
# JSON
#

cat >"$dir/same.py" <<'END'
import json, sys
text = " ".join(open(sys.argv[1]).read().split())
j = json.load(open(sys.argv[2]))
def need(*words):
    words = " ".join(" ".join(words).split())
    if words not in text:
        sys.exit("not in the text: " + words)
    return words
v = j["versions"]
need("evring", v["evring"])
need("kernel", v["system"], v["kernel"], v["machine"])
need("liburing", v["liburing"])
need("libev", v["libev"] + ",", v["libev_file"] or "linked in")
for p in j["proofs"]:
    need(p["name"], "held" if p["held"] else "failed", p["what"])
has_ring = all(f["why"] != "no ring can be made" for f in j["features"])
for f in j["features"]:
    need(f["name"], f["kernel"], f["state"], f["what"],
         f["why"] if has_ring else "")
for d in j["diagnosis"]:
    need(d["topic"], d["verdict"], d["what"],
         "to do " + d["to_do"] if d["to_do"] else "")
if j["unknown_names"]:
    need("ignored:", ", ".join(j["unknown_names"]))
last = "tier: " + j["tier"] + (", because " + j["why"] if j["why"] else "")
if not text.endswith(last):
    sys.exit("not the last line: " + last)
rows = [l for l in open(sys.argv[1]) if l[:2] == "  " and l[2] != " "]
if len(rows) != 4 + len(j["proofs"]) + len(j["features"]) + len(j["diagnosis"]):
    sys.exit("other rows in the text")
if "system" not in j or j["system"]["memlock_needed"] <= 0:
    sys.exit("no numbers")
END

# same WHAT: text and JSON under $under
same() {
	info
	cp "$dir/out" "$dir/as-text"
	text_status=$status
	info --json
	python3 "$dir/same.py" "$dir/as-text" "$dir/out" 2>"$dir/err" &&
		[ "$status" -eq "$text_status" ]
	check "$1: the same as text and as JSON" $?
}

as_json() {
	mode=json
	if ! command -v python3 >/dev/null; then
		left_out "there is no python3"
		return
	fi
	same "plain"
	EVRING_DISABLE='region,a"b\c,' export EVRING_DISABLE
	same "masked"
	unset EVRING_DISABLE
	under="$filter setup EPERM"
	same "refused"
	under="$filter register-region EINVAL"
	same "partly refused"
	under="$filter enter kill"
	same "fatal"
	under=
}

#
# processes
#

# start COMMAND...: it prints "ready PID"; sets asked.  What another one printed
# is removed first: the shell does not wait until the new process opens the file.
start() {
	mkfifo "$dir/stdin"
	: >"$dir/page"
	"$@" <"$dir/stdin" >"$dir/page" 2>"$dir/said" &
	asked=$!
	exec 3>"$dir/stdin"
	within 10 grep -q ready "$dir/page"
}

# ask_it OPTION...: info of what was started
ask_it() {
	info "$@" "$(sed -n 's/ready //p' "$dir/page")"
}

stop() {
	exec 3>&-
	wait "$asked" 2>/dev/null
	asked=
	rm "$dir/stdin"
}

# ask KIND OPTION...: info of a process with such a page
ask() {
	kind=$1
	shift
	start "$page" "$kind"
	ask_it "$@"
	case $kind in busy | shrinking) kill -KILL "$asked" ;; esac
	stop
}

# refused_page KIND TEXT
refused_page() {
	ask "$1"
	[ "$status" -eq 3 ] && [ ! -s "$dir/out" ] && grep -q "$2" "$dir/err" &&
		[ "$(wc -l <"$dir/err")" -eq 1 ]
	check "$1: exit 3, and why" $?
}

wrong_pages() {
	refused_page unready 'not filled in yet'
	refused_page foreign 'no page of evring'
	refused_page other-version 'another version'
	refused_page other-size 'another size'
	refused_page other-slots 'another size'
	refused_page other-pid 'forked by a process under evring run'
	refused_page short 'too short'
	refused_page nothing 'too short'
	refused_page forked 'has made no loop itself yet'
	ask garbage
	[ "$status" -eq 1 ] && has 'tier none' && has 'attached: 0'
	check "garbage in the slots is not believed" $?
	for _ in 1 2 3 4 5; do
		ask shrinking
		case $status in [013]) ;; *) break ;; esac
	done
	[ "$status" -eq 3 ] || [ "$status" -eq 1 ] || [ "$status" -eq 0 ]
	check "a page that shrinks under the reader does not end it" $?
	ask busy
	[ "$status" -eq 0 ] && has 'loop 0x1000, default: tier region'
	check "a slot that changes all the time keeps nobody" $?
}

good_pages() {
	ask good
	says 0 'attached: 2' "process $(sed -n 's/ready //p' "$dir/page") page" \
		'9 made, 3 destroyed, 1 not shown' \
		'loop 0x1000, default: tier region turns 100 enters 101' \
		'handed_over 110 ring_rebuilds 111 rings_lost 0' \
		'loop 0x2000: tier copied turns 200' \
		"loop 0x3000: tier none it went back to libev's backend" \
		'loop 0x4000: tier none it is on select' \
		'loop 0x5000: tier none io_uring is forbidden' \
		'loops that were destroyed, all together turns 300'
	check "the loops, their tiers and counters" $?
	! has 0x6000
	check "a slot that is being filled is not shown" $?
	ask good --quiet
	[ "$status" -eq 0 ] && [ ! -s "$dir/out" ] && [ ! -s "$dir/err" ]
	check "--quiet" $?
	ask empty
	says 1 'attached: 0' '0 made'
	check "no loop: exit 1" $?
	ask lost
	says 1 'attached: 0' 'loop 0x3000: tier none'
	check "a loop that lost its ring only: exit 1" $?
	ask strange-name
	says 0 'attached: 2' && has 'a"\?[1m'
	check "a name with control characters" $?
	ask foreign --quiet
	[ "$status" -eq 3 ] && [ ! -s "$dir/out" ] && [ ! -s "$dir/err" ]
	check "--quiet, and it cannot be read" $?
}

cat >"$dir/loops.py" <<'END'
import json, sys
j = json.load(open(sys.argv[1], encoding="utf-8"))
loops = {l["loop"]: l for l in j["loops"]}
assert sorted(loops) == ["0x1000", "0x2000", "0x3000", "0x4000", "0x5000"]
assert [loops[l]["tier"] for l in sorted(loops)] == \
    ["region", "copied", "none", "none", "none"]
assert loops["0x1000"]["default"] and not loops["0x2000"]["default"]
assert loops["0x1000"]["stats"]["turns"] == 100
assert len(loops["0x1000"]["stats"]) == 20
assert loops["0x1000"]["why"] == "" and "select" in loops["0x4000"]["why"]
assert loops["0x4000"]["backend"] == "select"
assert loops["0x5000"]["stats"] is None
assert (j["made"], j["destroyed"], j["not_shown"], j["attached"]) == (9, 3, 1, 2)
assert j["destroyed_stats"]["events"] == 307
assert j["name"] == sys.argv[2].encode().decode("unicode_escape"), j["name"]
END

pages_as_json() {
	if ! command -v python3 >/dev/null; then
		left_out "there is no python3"
		return
	fi
	ask good --json
	[ "$status" -eq 0 ] && python3 "$dir/loops.py" "$dir/out" page \
		2>"$dir/err"
	check "--json" $?
	ask strange-name --json
	[ "$status" -eq 0 ] && python3 "$dir/loops.py" "$dir/out" \
		'a"\\\x1b[1m\xe9\ufffd' 2>"$dir/err"
	check "--json, and a name of strange bytes" $?
	ask garbage --json
	[ "$status" -eq 1 ] && python3 -m json.tool "$dir/out" >/dev/null
	check "--json of garbage" $?
}

# Root may open what is mapped, unless its rights were cut down.
may_follow() {
	find "/proc/$$/map_files" -lname '/*' 2>/dev/null | grep -q .
}

closed_page() {
	ask closed
	if [ "$(id -u)" -eq 0 ] && may_follow; then
		says 0 'attached: 2'
		check "root reads a page whose fd was closed" $?
	else
		[ "$status" -eq 3 ] && grep -q 'root can' "$dir/err"
		check "a page whose fd was closed: root can" $?
	fi
}

no_process() {
	sleep 0.01 &
	gone=$!
	wait "$gone"
	info "$gone"
	[ "$status" -eq 3 ] && grep -q 'no such process' "$dir/err"
	check "no such process: exit 3" $?
	info $$
	[ "$status" -eq 3 ] && grep -q 'not under evring run' "$dir/err"
	check "a process without a page: exit 3" $?
	if [ "$(id -u)" -eq 0 ] && command -v setpriv >/dev/null &&
		[ -x "$dir/evring" ]; then
		EVRING=$dir/evring
		under='setpriv --reuid 64999 --regid 64999 --clear-groups'
		info $$
		under=
		EVRING=$program_given
		[ "$status" -eq 3 ] && grep -q 'or root' "$dir/err"
		check "a process of another user: exit 3" $?
	fi
}

# under_run OPTION...: starts the program of three loops
under_run() {
	start "$EVRING" run "$@" -- ./tests/info/loops
}

real_run() {
	mode='evring run'
	if [ -n "${SAN_FLAGS:-}" ]; then
		left_out "LD_PRELOAD with a sanitizer"
		return
	fi
	under_run
	ask_it
	says 0 'attached: 1' ' loops evring' '3 made, 1 destroyed' \
		', default: tier region turns ' \
		'tier none it is on select' 'destroyed, all together' &&
		[ "$(sed -n 's/^  waits_by_offset *//p' "$dir/out" |
			head -n 1)" -ge 1 ]
	check "its loops, and the counters move" $?
	stop
	under_run --tier=copied
	ask_it
	says 0 'attached: 1' ', default: tier copied'
	check "--tier=copied" $?
	stop
	under_run --tier=none --quiet
	ask_it
	says 1 'attached: 0' 'it is on epoll, but: --tier=none'
	check "--tier=none: exit 1" $?
	stop
	under="$EVRING run --"
	info --disable=region
	under=
	says 0 'tier: copied, because of region: masked by --disable'
	check "evring info in a shell under evring run" $?
}

processes() {
	mode=process
	good_pages
	wrong_pages
	closed_page
	no_process
	pages_as_json
}

#
# usage
#

# refuses TEXT OPTION...
refuses() {
	text=$1
	shift
	info "$@"
	[ "$status" -eq 2 ] && [ ! -s "$dir/out" ] &&
		grep -q -e "$text" "$dir/err"
	check "$*: exit 2, and why" $?
}

usage() {
	mode=usage
	info --help
	[ "$status" -eq 0 ] && has --disable=NAMES && [ ! -s "$dir/err" ]
	check "--help" $?
	refuses 'unknown option' --no-such
	refuses 'unknown option' -x
	refuses 'unknown option' --tier
	refuses 'unknown option' --json=yes
	refuses 'region or copied' --tier=none
	refuses 'region or copied' --tier=
	refuses 'no-such; .*' --disable=no-such
	refuses 'kernel-memory' --disable=region,no-such
	refuses 'number of a process' 0
	refuses 'number of a process' -- -1
	refuses 'number of a process' 1x
	refuses 'number of a process' ''
	refuses 'number of a process' 99999999999999999999
	refuses 'number of a process' 2147483648
	refuses 'takes one process' 1 2
	refuses 'exclude' --json --quiet
	refuses 'not about a process' --tier=copied 1
	refuses 'not about a process' --disable=region 1
}

program_given=$EVRING
usage
info
states >"$dir/states"
if [ "$(last_line)" = 'tier: region' ]; then
	plain
	masks
	filters
	locked_memory
	no_files
	broken_libev
else
	left_out "there is no region tier here"
fi
as_json
processes
real_run
exit "$failed"
