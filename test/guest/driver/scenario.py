"""Scenario files: what their header lines say about how they want to be run.

The header is the comment at the top of scenarios/NAME.sh. `# setting: value` is a setting, any other line describes the
scenario. What looks like a misspelt setting is an error, as it would silently change what is tested.
"""
import difflib
import fnmatch
import re
from dataclasses import dataclass, field
from pathlib import Path

from .debian import KERNELS
from .failure import Failure
from .paths import MISBEHAVING, SCENARIOS

_SETTING = re.compile(r"^# ([a-z][a-z-]*): +(\S.*)$")
_SETTINGS = ["boot", "kernels", "timeout", "expect-kernel", "cpus", "memory", "scratch", "packages", "peer", "install", "audit", "run", "verdict"]
_SIZE = re.compile(r"^(0|[1-9][0-9]*[MG])$")


@dataclass
class Scenario:
    name: str
    file: Path
    description: str = ""
    by_name: bool = False                                     # "run: by-name", left out of "all": benchmarks, soaks
    once: bool = False                                        # "run: once", left out of "kernel-dependent"
    own_boot: bool = False                                    # "boot: own"
    kernels: list[str] = field(default_factory=lambda: list(KERNELS))  # "kernels: 6.12"
    timeout: float | None = None                              # "timeout: 600", seconds per phase
    expected: list[str] = field(default_factory=list)         # "expect-kernel: REGEX -- REASON", repeatable
    cpus: int | None = None                                   # "cpus: 4"
    memory_mib: int | None = None                             # "memory: 4096", MiB
    scratch: str | None = None                                # "scratch: 4G"
    packages: list[str] = field(default_factory=list)         # "packages: multipath-tools", more Debian packages
    peer: str | None = None                                   # "peer: tcmu-runner"
    audit: bool = False                                       # "audit: on"
    tree: bool = True                                         # "install: no", what --install names stays away
    verdict: tuple[str, str] | None = None                    # "verdict: fail -- REGEX", in misbehave/ only


def scenarios(directory: Path = SCENARIOS) -> list[Scenario]:
    return [_read(file) for file in sorted(directory.glob("*.sh"))]


def chosen(patterns: list[str], directory: Path = SCENARIOS) -> list[Scenario]:
    """In the order of the patterns, each scenario once. A pattern is a name or a shell pattern; "all" is every one but those that
    want to be called by name, "kernel-dependent" those of them of which a second kernel may think otherwise."""
    files = sorted(directory.glob("*.sh"))
    picked: dict[str, Scenario] = {}
    for pattern in patterns:
        # Only these are read: a mistake in one scenario's header stops nobody else's work.
        group = pattern in ("all", "kernel-dependent")
        matching = [_read(file) for file in files if group or fnmatch.fnmatchcase(file.stem, pattern)]
        if not matching:
            raise Failure(f"there is no scenario {pattern}", "guest list names them all")
        for one in matching:
            if not group or not (one.by_name or (one.once and pattern == "kernel-dependent")):
                picked.setdefault(one.name, one)
    return list(picked.values())


def _read(file: Path) -> Scenario:
    scenario = Scenario(file.stem, file)
    description = []
    for number, line in enumerate(file.read_text().splitlines(), 1):
        if number == 1 and line.startswith("#!"):
            continue
        if not line.startswith("#"):
            break
        setting = _SETTING.match(line)
        if setting is None or not difflib.get_close_matches(setting[1], _SETTINGS, n=1, cutoff=0.75):
            description.append(line.lstrip("# "))
            continue
        try:
            _apply(scenario, setting[1], setting[2].strip())
        except (ValueError, re.error) as error:
            raise Failure(f"{file}:{number}: {error}") from None
    scenario.description = " ".join(description)
    return scenario


def _apply(scenario: Scenario, key: str, value: str) -> None:
    match key:
        case "run":
            scenario.by_name = _one_of(value, ["by-name", "once"]) == "by-name"
            scenario.once = value == "once"
        case "boot":
            scenario.own_boot = _one_of(value, ["own"]) == "own"
        case "kernels":
            scenario.kernels = [_one_of(word, list(KERNELS)) for word in value.split()]
        case "timeout":
            scenario.timeout = float(value)
        case "expect-kernel":
            pattern, separator, reason = value.partition(" -- ")
            if not separator or not reason.strip():
                raise ValueError('expect-kernel needs a reason: "# expect-kernel: REGEX -- REASON"')
            re.compile(pattern)
            scenario.expected.append(pattern)
        case "cpus":
            scenario.cpus = int(value)
        case "memory":
            scenario.memory_mib = int(value)
        case "scratch":
            scenario.scratch = checked_size(value)
        case "packages":
            scenario.packages = value.split()
        case "peer":
            scenario.peer = _one_of(value, ["tcmu-runner"])
        case "audit":
            scenario.audit = _one_of(value, ["on"]) == "on"
        case "install":
            scenario.tree = _one_of(value, ["no"]) != "no"
        case "verdict" if scenario.file.parent == MISBEHAVING:
            result, _, pattern = value.partition(" -- ")
            scenario.verdict = (_one_of(result, ["pass", "fail", "skip"]), re.compile(pattern).pattern)
        case _:
            raise ValueError(f'"{key}" is no setting here; the settings are: {", ".join(_SETTINGS)}')


def checked_size(value: str) -> str:
    if not _SIZE.match(value):
        raise ValueError(f'"{value}" is no size like 512M or 2G')
    return value


def _one_of(value: str, allowed: list[str]) -> str:
    if value not in allowed:
        raise ValueError(f'"{value}" is none of: {", ".join(allowed)}')
    return value
