#!/usr/bin/env python3
"""Verdicts of libiscsi's suite for several targets, as Markdown tables: side_by_side.py WHO.tsv..."""
import collections
import pathlib
import sys


def read(path):
    """Name of the test -> verdict."""
    lines = path.read_text().splitlines()
    return dict(line.split("\t")[:2] for line in lines if line and not line.startswith("#"))


def table(head, rows):
    print("| " + " | ".join(head) + " |")
    print("|" + "---|" * len(head))
    for row in rows:
        print("| " + " | ".join(row) + " |")
    print()


def counted(verdicts):
    """passed/failed/skipped."""
    of = collections.Counter(verdicts)
    return f"{of['pass']}/{of['fail']}/{of['skip']}"


def main(paths):
    results = {path.stem: read(path) for path in paths}
    names = sorted(set().union(*results.values()))
    suites = collections.defaultdict(list)
    for name in names:
        suites[name.rsplit(".", 1)[0]].append(name)
    suites["all"] = names
    print("Passed/failed/skipped per suite:\n")
    table(
        ["suite", *results],
        [[suite, *(counted(r.get(n, "none") for n in of) for r in results.values())] for suite, of in suites.items()],
    )
    print("Tests whose verdicts differ:\n")
    differing = [[n, *(r.get(n, "none") for r in results.values())] for n in names]
    table(["test", *results], [row for row in differing if len(set(row[1:])) > 1])


if __name__ == "__main__":
    main([pathlib.Path(argument) for argument in sys.argv[1:]])
