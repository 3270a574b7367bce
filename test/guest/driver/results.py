"""What came out: the table for people, results.json for programs."""
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from .failure import last_lines
from .progress import BOLD, GREEN, RED, YELLOW, colour

_COLOURS = {"pass": GREEN, "fail": RED, "skip": YELLOW}


@dataclass
class Result:
    scenario: str
    kernel: str       # series, "6.1"
    result: str       # pass, fail, skip
    seconds: float = 0.0
    reason: str = ""
    directory: str = ""  # log.txt, dmesg.txt, files/
    boot: str = ""       # console.txt, journal.txt of the machine it ran in
    measurements: dict[str, dict[str, Any]] = field(default_factory=dict)

    def outcome(self) -> str:
        text = colour(self.result, _COLOURS[self.result])
        reason = self.reason if len(self.reason) < 160 else self.reason[:157] + "..."
        return f"{text} ({reason})" if reason and self.result != "pass" else text


def read_measurements(place: Path) -> dict[str, dict[str, Any]]:
    """What lib.sh's record wrote: name, value, unit, by tabs."""
    found: dict[str, dict[str, Any]] = {}
    try:
        rows = place.read_text().splitlines()
    except OSError:
        return found
    for row in rows:
        name, value, unit = (row.split("\t") + ["", ""])[:3]
        try:
            found[name] = {"value": float(value), "unit": unit}
        except ValueError:
            found[name] = {"value": value, "unit": unit}
    return found


def write_json(place: Path, results: list[Result], kernels: dict[str, str]) -> None:
    count = counts(results)
    place.write_text(json.dumps({"passed": count["pass"], "failed": count["fail"], "skipped": count["skip"],
                                 "kernels": kernels, "scenarios": [asdict(one) for one in results]}, indent=1) + "\n")


def counts(results: list[Result]) -> dict[str, int]:
    return {kind: sum(1 for one in results if one.result == kind) for kind in _COLOURS}


def show(results: list[Result], out: Path) -> None:
    """Failures with the end of their logs, then the table, then the one line that everybody looks for."""
    for one in results:
        if one.result == "fail":
            _show_failure(one)
    width = max((len(one.scenario) for one in results), default=0)
    print()
    for one in results:
        print(f"  {one.kernel:5} {one.scenario:{width}}  {one.seconds:5.0f} s  {one.outcome()}")
    count = counts(results)
    print(f"logs and results.json: {out}")
    print(colour(f"{count['pass']} passed, {count['fail']} failed, {count['skip']} skipped", BOLD), flush=True)


def _show_failure(one: Result) -> None:
    print(f"\n{colour(f'{one.scenario} on {one.kernel} failed', RED)}: {one.reason}")
    directory, boot = Path(one.directory), Path(one.boot)
    log = directory / "log.txt"
    for line in last_lines(log, 25) if one.directory else []:
        print(f"    {line}")
    for what, file in (("its output", log), ("kernel messages", directory / "dmesg.txt"),
                       ("journal", boot / "journal.txt"), ("console", boot / "console.txt")):
        if one.boot and file.exists():
            print(f"  {what + ':':17}{file}")
