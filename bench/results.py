#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
#
# results.py - what bench/compare writes: one document of all rows, tables,
# pictures.
#
#   results.py COLLECTED RESULTS PART...
#
# COLLECTED is the folder of compare's: rows (see bench/row.h), machine (a name,
# a tab, a value in each line), notes.  Each PART must have given rows.
#
# A ratio is the median of those of pairs, or that of the medians where the
# sides had no turns in common.  Less is better everywhere.

import json
import os
import shutil
import subprocess
import sys

NEEDED = ("bench", "cell", "side", "figure", "unit", "role", "min", "q1",
          "median", "q3", "max", "values", "rounds")
GREY = "#888888"
# Of middling lightness, for pages of either kind; not told apart by colour
# alone, see point types.
COLOURS = ("#0a84c6", "#d9641e", "#1a9e74", "#b8608f", "#b08a00", "#7b6fd0",
           "#c23b3b", "#5f8f2f")
TICKS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500)
COARSE_TICKS = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300)
FINE_TICKS = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.1, 1.2, 1.4, 1.6, 1.8,
              2, 2.5, 3, 4, 5)


def unique(values):
    return list(dict.fromkeys(values))


def lines_of(path):
    with open(path, encoding="utf-8") as file:
        return file.read().splitlines()


def collect(folder):
    machine = dict(line.split("\t", 1)
                   for line in lines_of(os.path.join(folder, "machine")))
    notes = unique(lines_of(os.path.join(folder, "notes")))
    rows = [json.loads(line) for line in lines_of(os.path.join(folder, "rows"))]
    return {"machine": machine, "notes": notes, "rows": rows}


def ratio_of(row):
    ratio = row.get("ratio")
    return ratio if ratio is not None else row.get("ratio_of_medians")


def shown(ratio):
    return "-" if ratio is None else f"{ratio:.2f}"


def number(value):
    if value is None:
        return "-"
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.4g}"


#
# tables
#

def table(titles, lines):
    yield "| " + " | ".join(titles) + " |"
    yield "|" + "---|" * len(titles)
    for line in lines:
        yield "| " + " | ".join(line) + " |"
    yield ""


def facts_of(row):
    """What the side said that it is, and its turns, enters and looks."""
    words = [row[name] for name in ("backend", "tier") if name in row]
    words += [f"{name.replace('_', ' ')} {number(value)}"
              for name, value in row.items()
              if "_per_" in name or name.startswith("turns_")]
    return ", ".join(words)


def marked_ratio(row):
    text = shown(ratio_of(row))
    is_behind = row["role"] == "evring" and text != "-" and float(text) > 1
    return f"**{text}**" if is_behind else text


def line_of(row):
    figures = [number(row[name]) for name in ("median", "min", "q1", "q3")]
    figures.append(number(row.get("p99")))
    return [row["cell"] or "-", row["side"], marked_ratio(row),
            shown(row.get("ratio_of_minima")), *figures,
            str(row["rounds"]), facts_of(row)]


def figure_table(rows):
    first = rows[0]
    unit = f", {first['unit']}" if first["unit"] else ""
    against = f", against: {first['base']}" if "base" in first else ""
    yield f"### {first['bench']}: {first['figure']}{unit}{against}"
    yield ""
    yield from table(("cell", "side", "ratio", "of minima", "median", "min",
                      "quarter", "three quarters", "p99", "rounds", "what it is"),
                     map(line_of, rows))


def by_table(rows):
    """Lists of rows with the same benchmark, figure and base."""
    tables = {}
    for row in rows:
        key = (row["bench"], row["figure"], row.get("base"))
        tables.setdefault(key, []).append(row)
    return tables.values()


def place_of(row):
    return tuple(row.get(name) for name in ("bench", "cell", "figure", "base"))


def not_ahead(rows):
    """Those of evring whose ratio, as it is shown, is not below 1."""
    return [row for row in rows if row["role"] == "evring"
            and ratio_of(row) is not None
            and float(shown(ratio_of(row))) >= 1]


def not_ahead_table(rows):
    chance = {place_of(row): ratio_of(row) for row in rows
              if row["role"] == "again"}
    yield "## Where evring is not ahead"
    yield ""
    yield ("Again: the ratio of the base to itself, measured a second time; it is "
           "chance.")
    yield ""
    yield from table(
        ("benchmark", "cell", "figure", "side", "against", "ratio",
         "of minima", "again"),
        ([row["bench"], row["cell"] or "-", row["figure"], row["side"],
          row["base"], marked_ratio(row), shown(row["ratio_of_minima"]),
          shown(chance.get(place_of(row)))] for row in not_ahead(rows)))


def document(results, pictures):
    rows = results["rows"]
    yield "# Benchmarks of evring"
    yield ""
    yield ("A ratio is the median of those of the rounds, each side by side; "
           "below 1 is better than what it is compared with. **Bold**: evring "
           "is behind.")
    yield ""
    yield from table(("machine", ""), map(list, results["machine"].items()))
    yield from not_ahead_table(rows)
    if results["notes"]:
        yield "## Left out"
        yield ""
        yield from (f"* {note.removeprefix('left out: ')}"
                    for note in results["notes"])
        yield ""
    for bench in unique(row["bench"] for row in rows):
        yield f"## {bench}"
        yield ""
        if bench in pictures:
            yield f"![ratios of {bench}]({bench}.svg)"
            yield ""
        for one in by_table(row for row in rows if row["bench"] == bench):
            yield from figure_table(one)


#
# pictures
#

def quoted(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def categories_of(rows):
    """What is beside each line: the cell, the figure, or both if they vary."""
    varies = [name for name in ("cell", "figure")
              if len(unique(row[name] for row in rows)) > 1] or ["figure"]
    return {(row["cell"], row["figure"]): ", ".join(row[name] for name in varies)
            for row in rows}


def title_of(rows):
    figures = unique(row["figure"] for row in rows)
    figure = f", {figures[0]}" if len(figures) == 1 else ""
    return f"{rows[0]['bench']}{figure}: ratio to {rows[0]['base']}"


def places_of(rows):
    """Where the rows stand, by category and side; and the most in a category."""
    lanes = {}
    for row in rows:
        lanes.setdefault((row["cell"], row["figure"]), []).append(row["side"])
    most = max(map(len, lanes.values()))
    return {(*category, side): 0.4 - 0.8 * (lane + 0.5) / len(own) - i
            for i, (category, own) in enumerate(lanes.items())
            for lane, side in enumerate(own)}, most


def points_of(rows, places):
    """Lines of a ratio, its place, and its quartiles."""
    for row in rows:
        ratio = ratio_of(row)
        place = places[row["cell"], row["figure"], row["side"]]
        yield (f"{ratio} {place:.3f} "
               f"{row.get('ratio_q1') or ratio} {row.get('ratio_q3') or ratio}")


def ticks_of(low, high):
    for ticks, most in ((FINE_TICKS, 5), (TICKS, 50)):
        if high < most * low:
            return ticks
    return COARSE_TICKS


def axes(labels, ratios):
    low, high = min(ratios + [1]) / 1.1, max(ratios + [1]) * 1.1
    ticks = ", ".join(f"{tick}" for tick in ticks_of(low, high))
    names = ", ".join(f"{quoted(label)} {-i}" for i, label in enumerate(labels))
    yield f'set border 1 linecolor rgb "{GREY}"'
    yield f'set xtics ({ticks}) nomirror textcolor rgb "{GREY}"'
    yield f'set ytics ({names}) scale 0 textcolor rgb "{GREY}"'
    yield f'set logscale x; set xrange [{low}:{high}]'
    yield f"set yrange [{0.6 - len(labels)}:0.6]"
    yield (f'set arrow from 1, graph 0 to 1, graph 1 nohead '
           f'linecolor rgb "{GREY}" dashtype 2')
    for i in range(1, len(labels)):
        yield (f'set arrow from graph 0, first {0.5 - i} to '
               f'graph 1, first {0.5 - i} nohead '
               f'linecolor rgb "{GREY}" linewidth 0.3')


def plot_script(bench, rows):
    labels = categories_of(rows)
    places, most = places_of(rows)
    sides = unique(row["side"] for row in rows)
    ratios = [row.get(name) or 1 for row in rows
              for name in ("ratio_q1", "ratio_q3")] + list(map(ratio_of, rows))
    key_lines = (len(sides) + 1) // 2
    height = 110 + len(labels) * (12 + 8 * most) + 20 * key_lines
    yield (f'set terminal svg size 900,{height} dynamic noenhanced '
           f'font "sans-serif,13"')
    yield f"set output {quoted(bench + '.svg')}"
    yield f'set title {quoted(title_of(rows))} textcolor rgb "{GREY}"'
    yield f"set bmargin {3 + 1.2 * key_lines}"
    yield (f'set key at screen 0.5, screen 0.02 center bottom vertical '
           f'maxrows {key_lines} textcolor rgb "{GREY}"')
    yield from axes(labels.values(), ratios)
    plots = []
    for i, side in enumerate(sides):
        yield f"$side{i} << END"
        yield from points_of([row for row in rows if row["side"] == side],
                             places)
        yield "END"
        plots.append(f"$side{i} with xerrorbars title {quoted(side)} "
                     f"pointtype {4 + i} pointsize 0.8 "
                     f'linecolor rgb "{COLOURS[i % len(COLOURS)]}"')
    yield "plot " + ", ".join(plots)


def drawable(rows, bench):
    """
    Rows with a ratio to the benchmark's first base, without that base, and
    without what has no unit: counts, which the tables have.
    """
    own = [row for row in rows if row["bench"] == bench and row["unit"]
           and ratio_of(row)]
    return [row for row in own if row["base"] == own[0]["base"]
            and row["side"] != row["base"]]


def draw(rows, folder):
    """Returns the benchmarks that have a picture."""
    if not shutil.which("gnuplot"):
        return []
    pictures = []
    for bench in unique(row["bench"] for row in rows):
        chosen = drawable(rows, bench)
        if not chosen:
            continue
        script = "\n".join(plot_script(bench, chosen)) + "\n"
        subprocess.run(["gnuplot"], input=script, text=True, cwd=folder,
                       check=True, timeout=60)
        pictures.append(bench)
    return pictures


#
# an overview: evring beside libev's epoll, the rows that most programs are like
#

# For each benchmark: sides, what they are called here, and figures.
OVERVIEW = {
    "chain": ({"evring": "evring"}, ("an event",)),
    "quiet": ({"evring": "evring"}, ("a turn without events",)),
    "timer": ({"evring": "evring"}, ("late",)),
    "start": ({"evring": "evring"},
              ("first loop", "a further loop", "a watcher")),
    "ping": ({"watchers": "evring", "spin": "spin 50 us", "auto": "spin auto"},
             ("a request, p50", "CPU for a request")),
    "server": ({"watchers": "evring", "operations": "operations"},
               ("CPU for a message",)),
    "post": ({"ev_async, evring": "evring",
              "evring_post, at once": "operations"}, ("a message",)),
    "real": ({"evring": "evring", "evring --spin=50us": "spin 50 us",
              "evring --spin=auto": "spin auto"},
             ("latency, p50", "CPU for a request", "sleep of 200 us, mean")),
}
CHANCE = "epoll again: chance"


def overview_of(rows):
    """Copies of rows, with the names that they have in the overview."""
    for row in rows:
        sides, figures = OVERVIEW.get(row["bench"], ({}, ()))
        if row["figure"] not in figures or "epoll" not in row.get("base", ""):
            continue
        name = CHANCE if row["role"] == "again" else sides.get(row["side"])
        if name and ratio_of(row):
            place = ", ".join(filter(None, (row["cell"], row["figure"])))
            yield row | {"bench": "overview", "cell": "", "side": name,
                         "base": "libev's epoll",
                         "figure": f"{row['bench']}: {place}"}


def overview_table(rows):
    names = [name for name in unique(row["side"] for row in rows)
             if name != CHANCE] + [CHANCE]
    cells = {}
    for row in rows:
        cells.setdefault(row["figure"], {})[row["side"]] = marked_ratio(row)
    yield from table(["ratio to libev's epoll"] + names,
                     ([cell] + [ratios.get(name, "") for name in names]
                      for cell, ratios in cells.items()))


def write_overview(rows, folder):
    chosen = list(overview_of(rows))
    if not chosen:
        return
    write(os.path.join(folder, "overview.md"),
          "\n".join(overview_table(chosen)))
    draw(chosen, folder)


#
# all of it
#

def write(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def check(path, parts):
    """What is wrong with the document, as others will read it."""
    with open(path, encoding="utf-8") as file:
        rows = json.load(file)["rows"]
    for part in parts:
        if not any(row["bench"] == part for row in rows):
            yield f"{part}: no rows"
    for row in rows:
        missing = [name for name in NEEDED if name not in row]
        if missing:
            yield f"a row without {', '.join(missing)}: {row}"


def main():
    collected, folder, parts = sys.argv[1], sys.argv[2], sys.argv[3:]
    results = collect(collected)
    path = os.path.join(folder, "results.json")
    write(path, json.dumps(results, indent=1) + "\n")
    pictures = draw(results["rows"], folder)
    write_overview(results["rows"], folder)
    write(os.path.join(folder, "results.md"),
          "\n".join(document(results, pictures)))
    wrong = list(check(path, parts))
    for line in wrong:
        print("bench/compare:", line, file=sys.stderr)
    print(f"{len(results['rows'])} rows, {len(pictures)} pictures")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
