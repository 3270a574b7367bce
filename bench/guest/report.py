#!/usr/bin/env python3
"""Tables of what the scenario bench_peers measured: report.py RESULTS.tsv [--json FILE] [--svg FILE]

RESULTS.tsv has lines `round who work what value`. Each cell is the median over the rounds, with the spread (largest minus
smallest, as a share of the median) where there were several.
"""
import argparse
import collections
import json
import pathlib
import statistics

TITLES = {
    "iops": "Commands per second",
    "share": "The same as a share of the fabric's own ceiling",
    "cpu_us_per_command": "Processor time of the daemon per command (us; = seconds per million commands)",
    "cpu_s_per_gib": "Processor time of the daemon per GiB (s)",
    "p50_us": "Latency, median (us)",
    "p99_us": "Latency, 99th percentile (us)",
    "pss_kib": "Memory of the daemon's processes (PSS, KiB)",
}
# They say that they have no write cache: the initiator's kernel leaves the flushes out, so that theirs is another job.
NOTHING_TO_FLUSH = ("fileio", "ceiling")
COLOURS = ["#8a8f98", "#c9a227", "#2a6fb0", "#3a9d5d", "#b04a2a", "#6a4ab0"]


def read(path):
    """(what, work, who) -> values in the order of the rounds."""
    values = collections.defaultdict(list)
    for line in pathlib.Path(path).read_text().splitlines():
        _, who, work, what, value = line.split("\t")
        if work.endswith("fsync") and who in NOTHING_TO_FLUSH:
            continue
        values[what, work, who].append(float(value))
    for (what, work, who), numbers in list(values.items()):
        ceiling = values.get((what, work, "ceiling"))
        if what == "iops" and ceiling and who != "ceiling":
            values["share", work, who] = [statistics.median(numbers) / statistics.median(ceiling)]
        if what == "cpu_us_per_command":
            size = statistics.median(values["bytes", work, who]) / max(statistics.median(values["iops", work, who]), 1)
            if size > 0:
                values["cpu_s_per_gib", work, who] = [one / 1e6 * 2**30 / size for one in numbers]
    return values


def ordered(values, place):
    return list(dict.fromkeys(key[place] for key in values))


def cell(what, numbers):
    middle = statistics.median(numbers)
    if what == "share":
        return f"{middle * 100:.0f} %"
    text = f"{middle:.0f}" if middle >= 100 else f"{middle:.1f}"
    if len(numbers) > 1 and middle > 0:
        text += f" ±{(max(numbers) - min(numbers)) / middle * 50:.0f} %"
    return text


def tables(values):
    peers = [who for who in ordered(values, 2) if who != "ceiling"]
    for what, title in TITLES.items():
        works = [work for work in ordered(values, 1) if any((what, work, who) in values for who in peers)]
        if not works:
            continue
        columns = [*peers, "ceiling"] if what == "iops" else peers
        columns = [who for who in columns if any((what, work, who) in values for work in works)]
        yield f"\n{title}:\n"
        yield "| work | " + " | ".join(columns) + " |" + (" Bulkhead / tcmu-runner |" if what == "iops" else "")
        yield "|---" * (len(columns) + 1 + (what == "iops")) + "|"
        for work in works:
            row = [cell(what, values[what, work, who]) if (what, work, who) in values else "-" for who in columns]
            if what == "iops":
                row.append(ratio(values, work, "bulkhead", "tcmu-runner"))
            yield f"| {work} | " + " | ".join(row) + " |"


def ratio(values, work, who, against):
    if ("iops", work, who) not in values or ("iops", work, against) not in values:
        return "-"
    return f"{statistics.median(values['iops', work, who]) / statistics.median(values['iops', work, against]):.2f}"


def chart(values):
    """Bars per work: each one's share of the largest in its row, so that rows of different sizes can be looked at together."""
    peers = ordered({key: 0 for key in values if key[0] == "iops"}, 2)
    works = ordered({key: 0 for key in values if key[0] == "iops"}, 1)
    bar, gap, left, width = 14, 14, 190, 620
    height = 40 + len(works) * (bar * len(peers) + gap)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + width + 90}" height="{height}" font-family="sans-serif" '
           'font-size="12">', f'<rect width="100%" height="100%" fill="#ffffff"/>']
    x = left
    for i, who in enumerate(peers):
        out.append(f'<rect x="{x}" y="8" width="12" height="12" fill="{COLOURS[i % len(COLOURS)]}"/>'
                   f'<text x="{x + 18}" y="19">{who}</text>')
        x += 36 + 7 * len(who)
    y = 34
    for work in works:
        medians = {who: statistics.median(values["iops", work, who]) for who in peers if ("iops", work, who) in values}
        top = max(medians.values())
        out.append(f'<text x="{left - 8}" y="{y + bar * len(peers) / 2 + 4:.0f}" text-anchor="end">{work}</text>')
        for i, who in enumerate(peers):
            if who in medians:
                length = medians[who] / top * width
                out.append(f'<rect x="{left}" y="{y}" width="{length:.1f}" height="{bar - 2}" '
                           f'fill="{COLOURS[i % len(COLOURS)]}"/>'
                           f'<text x="{left + length + 5:.1f}" y="{y + 10}" font-size="10">{medians[who]:.0f}/s</text>')
            y += bar
        y += gap
    return "\n".join([*out, "</svg>", ""])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results")
    parser.add_argument("--json", help="also as JSON")
    parser.add_argument("--svg", help="also as a chart")
    chosen = parser.parse_args()
    values = read(chosen.results)
    print("\n".join(tables(values)))
    if chosen.json:
        rows = [{"what": what, "work": work, "who": who, "values": numbers} for (what, work, who), numbers in values.items()]
        pathlib.Path(chosen.json).write_text(json.dumps(rows, indent=1) + "\n")
    if chosen.svg:
        pathlib.Path(chosen.svg).write_text(chart(values))


if __name__ == "__main__":
    main()
