"""One machine from power-on to power-off: follows what its driver reports, and gives up when it has gone quiet."""
import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from inside import kernel_log

from .machine import Machine
from .progress import Line
from .results import Result, read_measurements
from .scenario import Scenario

# Seconds on an idle machine of two emulated CPUs: 1 to the first line, 3 to the initrd's, 11 to the first scenario. All of these are
# multiplied by the run's patience.
NO_LIFE = 60.0      # nothing at all on the console
KERNEL = 180.0      # from power-on to the initrd's line
BOOT = 400.0        # from power-on to the driver's first report
SILENCE = 360.0     # between two reports; a crash and the boot after it fit in
SHUTDOWN = 400.0    # a clean reboot: slow services are given 90 s each by systemd
DEFAULT_TIMEOUT = 300.0
FIRST_PROGRAM = "bulkhead-guest: initrd"  # inside/init


class FalseStart(Exception):
    """The kernel did not get as far as its first program, so nothing of ours has run; a second try is fair.

    QEMU's emulation of several CPUs can lose a race while the kernel patches its own code (a stray int3), or start
    without a sign of life: once in some fifty boots of a loaded host.
    """


@dataclass
class Session:
    """What happened so far, as told by the guest."""
    machine: Machine
    share: Path
    scenarios: list[Scenario]
    kernel: str
    patience: float
    heads: dict[str, str]             # what to print in front of each scenario's result
    results: list[Result] = field(default_factory=list)
    up: bool = False
    trouble: str = ""                 # why the machine is not fit for more scenarios
    _over: bool = False               # the guest has said its last word
    _running: Line | None = None
    _console_at: int = 0              # where the console stood when the running scenario began
    _events_at: int = 0
    _warning: str = ""                # of the kernel, before the first scenario
    _quiet_limit: float = 0.0

    def follow(self, boot_line: Line) -> None:
        """Returns when the guest is done or given up; raises FalseStart. What was not run is missing in `results`."""
        began = heard = looked = time.monotonic()
        self._quiet_limit = BOOT * self.patience
        while not self._over and not (self.trouble and self._running is not None):
            on = self.machine.alive()  # before reading events: the last ones of a machine that is off must not be missed
            for event in self._new_events():
                heard = time.monotonic()
                self._take(event, boot_line)
            (self._running or boot_line).tick()
            now = time.monotonic()
            if self._over:
                break
            if not on:
                self.trouble = "the machine went off: " + (self._console_says() or self.machine.qemu_said() or "no reason given")
                break
            if now - looked > 1:
                looked = now
                if not self.up:
                    self._check_start((now - began) / self.patience)
                self.trouble = self.trouble or self._panic()
            if now - heard > self._quiet_limit:
                self.trouble = f"the guest hangs: nothing heard for {self._quiet_limit:.0f} s"
                self.machine.last_words()
            if self.trouble and (self._running is not None or not self.up):
                break
            time.sleep(0.1)
        if self._running is not None:
            self._give_up_running()

    def _take(self, event: dict[str, Any], boot_line: Line) -> None:
        match event["event"]:
            case "up" if not self.up:
                self.up = True
                boot_line.end(f"up after {event['seconds']:.0f} s of its own time,")
            case "warning":
                self._warning = self._warning or f"the kernel warned before any scenario ran: {event['text']}"
            case "start":
                self._quiet_limit = SILENCE * self.patience
                if self._running is None:
                    self._console_at = len(self._console())
                    self._running = Line(self.heads[event["scenario"]])
                    self._running.__enter__()
            case "reboot":
                self._quiet_limit = SHUTDOWN * self.patience
            case "end":
                self._finish(event["scenario"], event["result"], event["reason"])
            case "poisoned":
                self.trouble = event["reason"]
            case "broken":
                self.trouble = f"the driver in the guest failed: {event['reason']}"
                self._over = True
            case "done":
                self._over = True

    def _finish(self, name: str, result: str, reason: str) -> None:
        place = self.share / name
        assert self._running is not None
        if self._warning and result == "pass":
            result, reason, self._warning = "fail", self._warning, ""  # once: the first one stands for the boot
        one = Result(name, self.kernel, result, round(self._running.seconds(), 1), reason, str(place), str(self.share),
                     read_measurements(place / "measurements"))
        self._running.end(one.outcome())
        self._running = None
        self.results.append(one)

    def _give_up_running(self) -> None:
        if self._running is None:
            return
        scenario = self.scenarios[len(self.results)]
        trouble = kernel_log.problems(self._console()[self._console_at:].splitlines(), scenario.expected)
        reason = self.trouble + (f"; kernel: {trouble[0]}" if trouble and self.trouble not in trouble[0] else "")
        self._finish(scenario.name, "fail", reason)

    def _check_start(self, seconds: float) -> None:
        console = self._console()
        if FIRST_PROGRAM in console:
            return
        if seconds > NO_LIFE and not console:
            raise FalseStart("no sign of life")
        if seconds > KERNEL:
            raise FalseStart("stuck before its first program")
        if self._panic():
            raise FalseStart(self._panic())

    def _panic(self) -> str:
        """A panic stands still and reports nothing; no need to wait until the silence is long enough."""
        tail = self._console()[-20000:]
        where = tail.rfind("Kernel panic - not syncing")
        if where < 0 or not tail[where:].count("\n"):
            return ""
        return tail[where:].splitlines()[0].removesuffix(" ]---")

    def _console_says(self) -> str:
        lines = [line for line in self._console().splitlines() if "bulkhead-guest: cannot boot" in line]
        return lines[-1] if lines else ""

    def _console(self) -> str:
        try:
            return (self.share / "console.txt").read_text(errors="replace")
        except OSError:
            return ""

    def _new_events(self) -> list[dict[str, Any]]:
        try:
            with (self.share / "events.jsonl").open("rb") as file:
                file.seek(self._events_at)
                data = file.read()
        except OSError:
            return []
        whole = data[:data.rfind(b"\n") + 1]
        self._events_at += len(whole)
        return [json.loads(line) for line in whole.splitlines()]
