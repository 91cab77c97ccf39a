#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
#
# row.py - a figure as a line of JSON, for scripts; bench/row.h describes it.
#
#   row.py NAME=VALUE... -- VALUES BASE_VALUES
#
# VALUES and BASE_VALUES are words, one for each round.  A figure whose unit is
# "1/s" becomes the microseconds for one: less is better everywhere.  A VALUE
# that is a number is written as one.

import json
import statistics
import sys

QUANTILES = {"min": 0, "q1": 0.25, "median": 0.5, "q3": 0.75, "p99": 0.99,
             "max": 1}


def quantile(values, share):
    """As bench_quantile(): a value that was measured, or between two."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])


def ratio(value, base):
    return value / base if base else None


def ratios_of(values, base):
    """Of what was measured in one round, and of minima and medians."""
    row = {f"ratio_of_{name}": ratio(quantile(values, share),
                                     quantile(base, share))
           for name, share in (("minima", 0), ("q1", 0.25), ("medians", 0.5))}
    pairs = [value / other for value, other in zip(values, base) if other]
    if pairs:
        row |= {"ratio": statistics.median(pairs),
                "ratio_q1": quantile(pairs, 0.25),
                "ratio_q3": quantile(pairs, 0.75)}
    return row


def value_of(text):
    try:
        return float(text)
    except ValueError:
        return text


def main():
    end = sys.argv.index("--")
    row = dict(word.split("=", 1) for word in sys.argv[1:end])
    texts = ("bench", "cell", "side", "figure", "unit", "role", "base")
    row = {name: value if name in texts else value_of(value)
           for name, value in row.items()}
    values, base = ([float(word) for word in words.split()]
                    for words in sys.argv[end + 1:])
    if row["unit"] == "1/s":
        row["unit"] = "us"
        values, base = ([1e6 / value for value in series if value]
                        for series in (values, base))
    row |= ratios_of(values, base)
    row |= {name: quantile(values, share)
            for name, share in QUANTILES.items()}
    row |= {"values": len(values), "rounds": len(values)}
    print(json.dumps(row))


if __name__ == "__main__":
    main()
