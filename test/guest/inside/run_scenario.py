"""Runs one phase of one scenario: in a control group of its own, with a deadline, its output in a file on the share."""
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

HOME = Path("/usr/lib/bulkhead-guest")
STATUS_SKIP = 77     # as in other test drivers
STATUS_REBOOT = 194  # lib.sh: reboot_into
GROUP = Path("/sys/fs/cgroup/system.slice/bulkhead-guest.service/scenario")


class Outcome(NamedTuple):
    result: str  # pass, fail, skip, reboot
    reason: str = ""

    def also(self, fault: str) -> "Outcome":
        """Failed, whatever it was, for this reason as well."""
        return Outcome("fail", f"{self.reason}; {fault}" if self.result == "fail" and self.reason else fault)


def next_phase(place: Path) -> str:
    """What lib.sh has left there before a reboot; empty if it has not asked for one."""
    return _text(place / "next-phase")


def run_scenario(name: str, phase: str, place: Path, *, deadline: float, patience: float,
                 settings: dict[str, str], meanwhile: Callable[[], None]) -> Outcome:
    """`place` is the scenario's directory on the share; `meanwhile` is called every now and then while it runs."""
    GROUP.mkdir(exist_ok=True)
    (place / "files").mkdir(parents=True, exist_ok=True)
    for stale in ("reason", "next-phase"):
        (place / stale).unlink(missing_ok=True)
    environment = {**os.environ, **settings, "PHASE": phase, "SCENARIO": name, "SCENARIO_DIR": str(place), "PATIENCE": f"{patience:g}",
                   "FILES": str(place / "files"), "JOURNAL_CURSOR": _journal_cursor(), "LC_ALL": "C", "HOME": "/root"}
    with (place / "log.txt").open("ab") as log:
        if phase != "start":
            log.write(f"--- phase {phase}\n".encode())
            log.flush()
        process = subprocess.Popen(["bash", str(HOME / "scenarios" / f"{name}.sh")], cwd="/root", env=environment,
                                   stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                                   start_new_session=True, preexec_fn=_enter_group)
        ends = time.monotonic() + deadline
        while process.poll() is None:
            if time.monotonic() > ends:
                _show_stuck(log.fileno())
                return Outcome("fail", f"not finished after {deadline:.0f} s")
            meanwhile()
            time.sleep(0.05)
    status = process.returncode
    reason = _text(place / "reason")
    if status == 0:
        return Outcome("pass")
    if status == STATUS_SKIP:
        return Outcome("skip", reason)
    if status == STATUS_REBOOT and next_phase(place):
        return Outcome("reboot")
    if status < 0:
        return Outcome("fail", f"killed by {signal.Signals(-status).name}")
    return Outcome("fail", reason or f"exit status {status}")


def kill_leftovers(seconds: float) -> list[str]:
    """Ends whatever the scenario has left running; returns the command lines of what cannot be ended."""
    if not GROUP.exists():
        return []
    ends = time.monotonic() + seconds
    while (left := _processes()) and time.monotonic() < ends:
        (GROUP / "cgroup.kill").write_text("1")
        time.sleep(0.05)
    return [_describe(process) for process in left]


def _enter_group() -> None:
    (GROUP / "cgroup.procs").write_text("0")
    Path("/proc/self/oom_score_adj").write_text("0")  # not the driver's protection


def _processes() -> list[int]:
    # Below the group as well: a scenario may make groups of its own.
    return [int(line) for procs in GROUP.rglob("cgroup.procs") for line in _text(procs).split()]


def _show_stuck(log: int) -> None:
    """Before it is killed: who waits for what, in the scenario's log and (blocked tasks of the kernel) in dmesg."""
    os.write(log, b"--- out of time; processes of the scenario:\n")
    for process in _processes():
        os.write(log, f"    {_describe(process)}\n".encode())
    try:
        Path("/proc/sysrq-trigger").write_text("w")
    except OSError:
        pass


def _describe(process: int) -> str:
    base = Path(f"/proc/{process}")
    command = _text(base / "cmdline").replace("\0", " ").strip() or _text(base / "comm")
    state = next((line.split(":")[1].strip() for line in _text(base / "status").splitlines() if line.startswith("State")), "?")
    return f"{process} [{state}] in {_text(base / 'wchan') or '?'}: {command[:200]}"


def _journal_cursor() -> str:
    shown = subprocess.run(["journalctl", "-q", "-n", "0", "--show-cursor"], capture_output=True, text=True, check=False,
                           timeout=60).stdout
    return shown.rpartition("-- cursor: ")[2].strip()


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""
