# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=sh
#
# turns.sh - what the scripts share that measure programs as they are: turns,
# figures, their statistics, and rows of them for bench/compare.
#
# Beside what tests/real/common.sh has.  $dir/figures has a line for each figure
# of each turn, in the order of the rounds.
#
#	turn_of ROUND SIDES    the sides, words, each first in its turn
#	cpu_of PID             CPU time of all its threads, in nanoseconds
#	note FIGURE SIDE VALUE
#	has_figure FIGURE SIDE
#	statistic FIGURE SIDE best|median
#	                       best is the highest of what is per second, whose
#	                       name ends with _s
#	write_row FIGURE SIDE BASE ROLE CELL [FACT=VALUE]...
#	                       as bench/row.h says, if BENCH_ROWS names a file;
#	                       names and units are said by
#	figure_name FIGURE     which the script has, as side_name
#	figure_unit FIGURE
#
# shellcheck disable=SC2154 # dir and top_srcdir are the script's

# note FIGURE SIDE VALUE
note() {
	echo "$*" >>"$dir/figures"
}

has_figure() {
	grep -q "^$1 $2 " "$dir/figures"
}

values_of() {
	awk -v figure="$1" -v side="$2" '
		$1 == figure && $2 == side { print $3 }' "$dir/figures"
}

statistic() {
	values_of "$1" "$2" | sort -n | awk -v figure="$1" -v what="$3" '
		{ value[NR] = $1 }
		END {
			best = figure ~ /_s$/ ? value[NR] : value[1]
			half = int((NR + 1) / 2)
			median = (value[half] + value[NR + 1 - half]) / 2
			printf "%.6f\n", what == "best" ? best : median
		}'
}

write_row() {
	[ -n "${BENCH_ROWS:-}" ] || return 0
	figure=$1 side=$2 base=$3 role=$4 cell=$5
	shift 5
	python3 "$top_srcdir/bench/row.py" "bench=${0##*/}" "cell=$cell" \
		"side=$(side_name "$side")" "figure=$(figure_name "$figure")" \
		"unit=$(figure_unit "$figure")" "role=$role" \
		"base=$(side_name "$base")" "$@" \
		-- "$(values_of "$figure" "$side" | tr '\n' ' ')" \
		"$(values_of "$figure" "$base" | tr '\n' ' ')" \
		>>"$BENCH_ROWS" || fail "bench/row.py"
}

turn_of() {
	shift_by=$1
	# shellcheck disable=SC2086 # words
	set -- $2
	shift_by=$((shift_by % $#))
	while [ $shift_by -gt 0 ]; do
		set -- "$@" "$1"
		shift
		shift_by=$((shift_by - 1))
	done
	echo "$@"
}

cpu_of() {
	cat /proc/"$1"/task/*/schedstat |
		awk '{ ns += $1 } END { printf "%.0f\n", ns }'
}
