#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# planted.sh - what the library does about a fault is needed.
#
#   make check-planted
#
# For every fault of faults.c, what answers it is taken out of a copy of lib/,
# and faults.t, linked anew with it, must fail.

. "${top_srcdir:?}/tests/plant.sh"

plant_flags="-include $srcdir/tests/faults/calls.h"
answered=$dir/answered

# link OBJECT: faults.t, with this in place of the library's
link() {
	objects=$(find lib/.libs -name 'tests_libfaulty_la-*.o' \
		! -name "*-$(basename "$1")")
	# shellcheck disable=SC2086 # lists of words
	${CC:-cc} ${SAN_FLAGS:-} -o "$dir/faults" tests/faults_t-*.o \
		tests/faults/t-*.o tests/conform/faults_t-*.o "$1" $objects \
		${TEST_LIBS:-}
}

# plant NAME FILE OLD NEW SCENARIO FAULT...: each fault is noticed in SCENARIO,
# in one of its modes and rows
plant() {
	name=$1
	if ! replace "$3" "$4" <"$srcdir/lib/$2" >"$dir/$2"; then
		result "not ok" "$1: the text to change does not stand once in $2"
		return
	fi
	compile "$dir/$2" && link "$dir/${2%.c}.o" || exit 1
	scenario=$5
	shift 5
	for fault; do
		echo "$fault" >>"$answered"
		if timeout 300 "$dir/faults" --all --scenario "$scenario" \
			--fault "$fault" >"$dir/log" 2>&1; then
			result "not ok" "$name: $fault: not noticed"
		else
			result ok "$name: $fault: $(grep -c '^# ' "$dir/log")"
		fi
	done
}

tab='	'
lf='
'
told=told
level=readable_is_reported_every_turn
reuse=a_reused_number_reports_the_new_file_only
done=operations_that_are_done_all_end_once
streams=streams_are_received_in_order

plant does-not-make-changes poll.c \
	"if (will_pass(error))$lf$tab${tab}take_back(p);" \
	"if (will_pass(error))$lf$tab$tab;" \
	$level 'enter: EAGAIN for ever' 'enter: EBUSY for ever'
plant gives-up-at-once poll.c \
	'return error == -EAGAIN || error == -EBUSY || error == -ENOMEM;' \
	'return 0;' \
	$told 'enter: EAGAIN' 'enter: EBUSY' 'enter: ENOMEM'
plant a-signal-is-a-refusal poll.c \
	'return r < 0 && r != -ETIME && r != -EINTR;' \
	'return r < 0 && r != -ETIME;' \
	$told 'enter: EINTR'
plant never-replaces poll.c \
	'if (p->ring.has_worked && !p->hopeless)' \
	'if (0)' \
	$told 'enter: EBADF' 'enter: EBADR, completions lost'
plant believes-lost-answers poll.c \
	'if (lost_answers)' \
	'if (0)' \
	$reuse 'enter: EBADR, completions lost' 'enter: EBADR for ever'
plant submits-once ring.c \
	'while (evr_unlikely((unsigned)r < todo));' \
	'while (0);' \
	$told 'enter: short submit' 'enter: short submit for ever'
plant does-not-say-lost poll.c \
	'p->stats->rings_lost++;' \
	';' \
	$told 'enter: EPERM for ever' 'enable: EBADFD for ever'
plant goes-on-without-ring poll.c \
	"if (make_ring(p, config) < 0)$lf$tab${tab}set_lost(p);$lf${tab}else if" \
	"(void)make_ring(p, config);$lf${tab}if" \
	$told 'setup: EMFILE' 'setup: EMFILE for ever' \
	'setup: ENOMEM for ever' 'malloc: ENOMEM for ever'
plant has-no-patience poll.c \
	'r = init_largest(&p->ring, config);' \
	'r = evr_ring_init(&p->ring, &config);' \
	$told 'setup: ENOMEM' 'region: ENOMEM' 'mmap: ENOMEM'
plant leaks-a-ring-that-forks ring.c \
	"r = io_uring_ring_dontfork(&ring->uring);$lf${tab}if (r < 0)" \
	"r = io_uring_ring_dontfork(&ring->uring);$lf${tab}if (0)" \
	$told 'dontfork: ENOMEM for ever'
plant leaks-a-ring-without-region ring.c \
	"if (r < 0) {$lf$tab${tab}io_uring_queue_exit(&ring->uring);" \
	"if (r < 0) {" \
	$told 'region: EPERM for ever' 'mmap: ENOMEM for ever'
plant takes-any-place ring.c \
	'return r == -EBUSY ? 0 : r;' \
	';' \
	$told 'register: EBUSY for ever'
plant needs-its-place ring.c \
	'if (r < 0 && step != EVR_STEP_REGISTER_RING)' \
	'if (r < 0)' \
	$told 'register: EPERM for ever'
plant leaks-a-region ring.c \
	"r = -errno;$lf$tab${tab}munmap(mem, region_size());" \
	'r = -errno;' \
	$told 'madvise: ENOMEM for ever'
plant leaks-a-ring-without-memory poll.c \
	"if (!changes) {$lf$tab${tab}evr_ring_exit(&p->ring);" \
	'if (!changes) {' \
	$told 'malloc: ENOMEM'
plant leaves-what-overflowed poll.c \
	'while (evr_unlikely(nr && evr_ring_has_overflown(&p->ring) &&' \
	'while (evr_unlikely(0 &&' \
	changes_not_yet_made_survive_a_detach 'room for one completion'
plant leaks-a-guard ring.c \
	"if (r < 0) {$lf$tab${tab}close(fds[0]);" \
	'if (r < 0) {' \
	$done 'files: ENOMEM' 'files: EPERM for ever'
plant leaks-a-group group.c \
	"if (r < 0)$lf$tab${tab}evring_group_exit(group);" \
	';' \
	$streams 'buffers: ENOMEM'
plant hands-out-a-buffer-twice group.c \
	'group->unused = group->buffers[i].below;' \
	';' \
	$streams 'buffers: EPERM for ever'
plant keeps-what-it-refused poll.c \
	"if (evr_unlikely(r < 0))$lf$tab${tab}return r;$lf${tab}if (evr_unlikely(evr_flight" \
	"if (r == -EMFILE && evr_flight_reserve(&p->flight, 2))$lf$tab${tab}evr_flight_start(&p->flight, op);$lf${tab}if (r < 0)$lf$tab${tab}return r;$lf${tab}if (evr_unlikely(evr_flight" \
	$done 'pipe, eventfd: EMFILE' 'pipe, eventfd: EMFILE for ever'

# Has each fault its control?
names=$(sed -n 's/^	{ "\([^"]*\)", [A-Z]*, .*/\1/p' "$srcdir/tests/faults.c")
echo "$names" | while read -r fault; do
	grep -qxF "$fault" "$answered" || echo "$fault"
done >"$dir/unanswered"
[ ! -s "$dir/unanswered" ] ||
	result "not ok" "no control for: $(paste -s -d, "$dir/unanswered")"

exit $failed
