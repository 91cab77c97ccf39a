#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""
coverage.py - the counts of gcov for the files of lib/, one table.

    coverage.py [--missing] [--lines PERCENT] [--branches PERCENT] LIST GCNO...

LIST is coverage-missing.md, which has the reasons.  GCNO are the .gcno files of
the library's objects.  A file may have been compiled several times (for
faults.t with calls that can fail): what one of them counted counts.

--missing prints each line and branch that was not taken.  Exit status 1: below
one of the limits, lines are missing in a function that LIST does not name, or LIST
names one that is not there.

A branch is what gcc makes one, two for each condition and each && in it.  Those
of assert() do not count: the one that fails cannot be taken.
"""

import argparse
import collections
import json
import os
import re
import subprocess
import sys


class File:
    def __init__(self):
        self.lines = collections.Counter()  # line: how often
        self.branches = {}                  # (line, function): [how often]
        self.functions = {}                 # line: function

    def add(self, line):
        nr = line["line_number"]
        function = line.get("function_name", "")
        self.lines[nr] += line["count"]
        self.functions[nr] = function
        counts = [branch["count"] for branch in line["branches"]]
        known = self.branches.setdefault((nr, function), [0] * len(counts))
        if len(known) != len(counts):
            sys.exit(f"line {nr}: {len(known)} branches and {len(counts)}")
        for i, count in enumerate(counts):
            known[i] += count

    def forget_asserts(self, source):
        for key in list(self.branches):
            if re.match(r"\s*assert\(", source[key[0] - 1]):
                del self.branches[key]

    def missing_lines(self):
        return sorted(nr for nr, count in self.lines.items() if not count)

    def missing_branches(self):
        """(line, function, which, of how many), of lines that ran"""
        for (nr, function), counts in sorted(self.branches.items()):
            for i, count in enumerate(counts):
                if not count and self.lines[nr]:
                    yield nr, function, i + 1, len(counts)

    def line_figures(self):
        return len(self.lines) - len(self.missing_lines()), len(self.lines)

    def branch_figures(self):
        counts = [n for known in self.branches.values() for n in known]
        return sum(n > 0 for n in counts), len(counts)


def gcov(gcno):
    out = subprocess.run(
        ["gcov", "--json-format", "--stdout", "--branch-probabilities", gcno],
        check=True, stdout=subprocess.PIPE).stdout
    for text in out.splitlines():
        yield json.loads(text)


def read_counts(gcnos):
    files = collections.defaultdict(File)
    for gcno in gcnos:
        for report in gcov(gcno):
            for one in report["files"]:
                folder, name = os.path.split(os.path.normpath(one["file"]))
                if os.path.basename(folder) != "lib":
                    continue
                for line in one["lines"]:
                    files[os.path.join(folder, name)].add(line)
    return dict(sorted(files.items()))


def percent(figures):
    done, of = figures
    return 100.0 * done / of if of else 100.0


def add(a, b):
    return a[0] + b[0], a[1] + b[1]


def print_table(files):
    lines = branches = (0, 0)
    print(f"{'file':<12}{'lines':>14}{'%':>7}{'branches':>14}{'%':>7}")

    def row(name, lines, branches):
        print(f"{name:<12}{lines[0]:>7} /{lines[1]:>5}{percent(lines):>7.1f}"
              f"{branches[0]:>7} /{branches[1]:>5}{percent(branches):>7.1f}")

    for path, file in files.items():
        row(os.path.basename(path), file.line_figures(), file.branch_figures())
        lines = add(lines, file.line_figures())
        branches = add(branches, file.branch_figures())
    row("all", lines, branches)
    return percent(lines), percent(branches)


def print_missing(files, sources):
    for path, file in files.items():
        name = os.path.basename(path)
        for nr in file.missing_lines():
            print(f"{name}:{nr}: {file.functions[nr]}: never:"
                  f" {sources[path][nr - 1].strip()}")
        for nr, function, which, of in file.missing_branches():
            print(f"{name}:{nr}: {function}: branch {which} of {of}:"
                  f" {sources[path][nr - 1].strip()}")


def compare_with_list(files, path):
    """the functions that miss lines and are not in the list; and those in the
    list that are not there, under this name"""
    listed = set()
    with open(path, encoding="utf-8") as text:
        for line in text:
            row = re.match(r"\| `(\w+\.[ch])` \| ([^|]*)\|", line)
            if row:
                listed |= {(row[1], function)
                           for function in re.findall(r"`(\w+)`", row[2])}
    missing = {(os.path.basename(name), file.functions[nr])
               for name, file in files.items() for nr in file.missing_lines()}
    known = {(os.path.basename(name), function)
             for name, file in files.items()
             for function in file.functions.values()}
    return sorted(missing - listed), sorted(listed - known)


def main():
    parser = argparse.ArgumentParser(description="coverage of lib/")
    parser.add_argument("--missing", action="store_true")
    parser.add_argument("--lines", type=float, default=0)
    parser.add_argument("--branches", type=float, default=0)
    parser.add_argument("list")
    parser.add_argument("gcno", nargs="+")
    args = parser.parse_args()

    files = read_counts(args.gcno)
    if not files:
        sys.exit("coverage.py: no counts of lib/")
    sources = {}
    for path, file in files.items():
        with open(path, encoding="utf-8") as text:
            sources[path] = text.read().splitlines()
        file.forget_asserts(sources[path])

    if args.missing:
        print_missing(files, sources)
    lines, branches = print_table(files)
    status = 0
    if lines < args.lines or branches < args.branches:
        print(f"coverage.py: wanted are {args.lines:g} % of lines and"
              f" {args.branches:g} % of branches")
        status = 1
    without_reason, gone = compare_with_list(files, args.list)
    for file, function in without_reason:
        print(f"coverage.py: {file}: {function}(): lines are missing, and"
              f" {args.list} has no reason")
        status = 1
    for file, function in gone:
        print(f"coverage.py: {file}: there is no {function}(), which"
              f" {args.list} names")
        status = 1
    sys.exit(status)


if __name__ == "__main__":
    main()
