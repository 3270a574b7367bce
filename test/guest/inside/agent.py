"""The guest's side of the testbed: runs the scenarios the host has listed, one after the other, and reports each.

Started by bulkhead-guest.service at every boot of the machine. Its place in the list is kept on the share, so that it
goes on after a reboot that a scenario has asked for, and notices one that none has.
"""
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import cleanup
import kernel_log
import pristine
import share
from kmsg import KernelLog
from run_scenario import Outcome, next_phase, run_scenario

HEARTBEAT_SECONDS = 5.0
TARGETCLI_SERVER = Path("/usr/lib/bulkhead-guest/targetcli_server.py")


class Agent:
    def __init__(self) -> None:
        self._plan: dict[str, Any] = share.read_json("plan.json")
        # Which scenario is next, and the phase it is in if it has begun.
        self._place: dict[str, Any] = share.read_json("place.json") or {"next": 0, "phase": None}
        self._kernel = KernelLog()
        self._copied = 0.0
        # As it was at the machine's first boot: what a later phase finds started or mounted is the scenario's doing.
        known = share.read_json("before.json")
        self._before = cleanup.State.of(known) if known else cleanup.State.now()
        if not known:
            share.write_json("before.json", self._before.as_json())

    def run(self) -> None:
        share.tell("up", seconds=round(time.clock_gettime(time.CLOCK_BOOTTIME), 1))
        threading.Thread(target=_heartbeat, daemon=True).start()
        pristine.remember()
        subprocess.Popen(["python3", "-B", str(TARGETCLI_SERVER)], stdin=subprocess.DEVNULL, cwd="/")
        # Drivers still loading would compete with the first scenario.
        subprocess.run(["udevadm", "settle", "--timeout=60"], check=False, timeout=90)
        scenarios: list[dict[str, Any]] = self._plan["scenarios"]
        if self._place["phase"] is None:
            # What the kernel said before any scenario is nobody's failure, but worth knowing.
            self._copy_kernel_log("boot")
            for line in self._problems("boot", []):
                share.tell("warning", text=line)
        while self._place["next"] < len(scenarios) and self._one(scenarios[self._place["next"]]):
            pass

    def _one(self, entry: dict[str, Any]) -> bool:
        """Runs one scenario, or its next phase; False when no other may follow on this machine."""
        name: str = entry["name"]
        directory = share.ROOT / name
        directory.mkdir(exist_ok=True)
        phase = "start"
        if self._place["phase"] is not None:
            # lib.sh has left the name of the next phase before it rebooted or crashed the machine.
            phase = next_phase(directory)
            if not phase:
                self._copy_kernel_log(name)
                self._finish(name, Outcome("fail", "the guest rebooted by itself"))
                return self._poisoned("the guest rebooted by itself")
        self._remember(self._place["next"], phase)
        share.tell("start", scenario=name, phase=phase)
        _mark(f"scenario {name}, phase {phase}: begins")
        outcome = run_scenario(name, phase, directory, deadline=entry["timeout"] * self._plan["patience"],
                               patience=self._plan["patience"], settings=self._plan["settings"],
                               meanwhile=lambda: self._copy_kernel_log(name, every=1.0))
        if outcome.result == "reboot":
            self._reboot(name)
        return self._settle(name, entry["expected"], outcome)

    def _settle(self, name: str, expected: list[str], outcome: Outcome) -> bool:
        """Cleans up and gives the verdict: a scenario passes if it left a healthy kernel and nothing that stays."""
        _mark(f"scenario {name}: {outcome.result} {outcome.reason}")
        self._copy_kernel_log(name)
        broken = [line for line in self._problems(name, expected) if kernel_log.is_the_kernels_own(line)]
        # A kernel that has oopsed is not to be tidied up: that may hang, and the machine is thrown away anyway.
        stuck = "" if broken else self._clean_up(name)
        self._copy_kernel_log(name)
        trouble = self._problems(name, expected)
        if trouble:
            outcome = outcome.also(f"kernel: {trouble[0]}")
        if stuck:
            outcome = outcome.also(f"leaves behind {stuck}")
        self._finish(name, outcome)
        if stuck or any(kernel_log.is_the_kernels_own(line) for line in trouble):
            return self._poisoned(stuck or f"kernel: {trouble[0]}")
        return True

    def _clean_up(self, name: str) -> str:
        """What could not be cleaned up; empty if all is well."""
        log = share.ROOT / name / "log.txt"
        try:
            cleanup.clean_up(self._before, lambda text: _append(log, f"--- clean-up: {text}"))
        except cleanup.Stuck as error:
            _append(log, f"--- clean-up: {error}")
            return str(error)
        return ""

    def _finish(self, name: str, outcome: Outcome) -> None:
        self._remember(self._place["next"] + 1, None)
        share.tell("end", scenario=name, result=outcome.result, reason=outcome.reason)

    def _poisoned(self, reason: str) -> bool:
        share.tell("poisoned", reason=reason)
        return False

    def _reboot(self, name: str) -> None:
        """The clean way, as an administrator would. A crash (lib.sh: crash_into) never gets here."""
        self._copy_kernel_log(name)
        share.tell("reboot", scenario=name)
        subprocess.run(["systemctl", "reboot"], check=True, timeout=120)
        # The shutdown ends this process. The host has the deadline.
        while True:
            signal.pause()

    def _problems(self, name: str, expected: list[str]) -> list[str]:
        """In all its phases."""
        return kernel_log.problems((share.ROOT / name / "dmesg.txt").read_text().splitlines(), expected)

    def _remember(self, index: int, phase: str | None) -> None:
        self._place = {"next": index, "phase": phase}
        share.write_json("place.json", self._place)

    def _copy_kernel_log(self, name: str, every: float = 0.0) -> None:
        """Appends what is new to the scenario's dmesg.txt, so that a crash loses a second of it at most."""
        now = time.monotonic()
        if now - self._copied >= every:
            self._copied = now
            (share.ROOT / name).mkdir(exist_ok=True)
            _append(share.ROOT / name / "dmesg.txt", *self._kernel.new_lines())


def _heartbeat() -> None:
    while True:
        share.tell("alive")
        time.sleep(HEARTBEAT_SECONDS)


def _append(path: Path, *lines: str) -> None:
    with path.open("a") as file:
        file.writelines(f"{line}\n" for line in lines)


def _mark(text: str) -> None:
    """In the kernel's log and in the journal, so that both can be read by scenario."""
    # One record, which has room for less than 1000 bytes.
    Path("/dev/kmsg").write_text(f"bulkhead-guest: {' '.join(text.split())[:800]}\n")


def main() -> None:
    subprocess.run(["modprobe", "-a", "9p", "9pnet_virtio"], check=True, timeout=120)
    share.ROOT.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "9p", "-o", "trans=virtio,version=9p2000.L,msize=262144", "share", str(share.ROOT)],
                   check=True, timeout=120)
    # The journal is copied out as it is written: when the guest dies, its last lines matter most.
    with (share.ROOT / "journal.txt").open("ab") as file:
        journal = subprocess.Popen(["journalctl", "-b", "-f", "-n", "all", "-o", "short-monotonic"], stdout=file,
                                   stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    try:
        Agent().run()
    except Exception as error:  # a bug of this program must reach the host as such, and not as a silent guest
        share.tell("broken", reason=f"{type(error).__name__}: {error}")
        raise
    time.sleep(0.5)  # the journal's last lines
    journal.terminate()
    journal.wait(timeout=30)
    # The host switches the machine off: nothing on its disks is kept.
    share.tell("done")


if __name__ == "__main__":
    main()
