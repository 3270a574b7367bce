"""Between two scenarios: everything the last one may have left is taken away, each step with a deadline.

What cannot be taken away poisons the machine: the caller says so, and the host gives the next scenario a fresh boot.
"""
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pristine
from run_scenario import kill_leftovers

SLICE = Path("/sys/fs/cgroup/system.slice")
TARGET = Path("/sys/kernel/config/target")
USER_MODULE = Path("/sys/module/target_core_user/parameters")
SERVICES = ["bulkhead-peer.service", "tcmu-supervisor.service"]
# Unloaded, so that module-wide switches (netlink replies, memory limit) start anew, and that a leaked reference shows.
MODULES = ["tcm_loop", "vhost_scsi", "iscsi_target_mod", "target_core_user", "scsi_debug"]


class Stuck(Exception):
    """Says what could not be cleaned up."""


class State(NamedTuple):
    """What was there before the first scenario."""
    mounts: frozenset[str]
    services: frozenset[str]

    @staticmethod
    def now() -> "State":
        rows = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
        return State(frozenset(row[1] for row in rows if row[0].startswith("/dev/") or row[1] == "/ram"),
                     frozenset(place.name for place in SLICE.glob("*.service")))

    def as_json(self) -> dict[str, list[str]]:
        return {"mounts": sorted(self.mounts), "services": sorted(self.services)}

    @staticmethod
    def of(known: dict[str, list[str]]) -> "State":
        return State(frozenset(known["mounts"]), frozenset(known["services"]))


def clean_up(before: State, say: Callable[[str], None]) -> None:
    """Raises Stuck when a fresh boot is the only remedy."""
    if kill_leftovers(5):
        say("processes of the scenario wait in the kernel; ending what a dead daemon has left unanswered")
        _release_waiters()
        left = kill_leftovers(30)
        if left:
            raise Stuck("processes that do not die: " + "; ".join(left))
    _unmount(before.mounts)
    _log_out_of_iscsi()
    _clear_targets(say)
    for service in [*SERVICES, *sorted(State.now().services - before.services - set(SERVICES))]:
        _stop(service, say)
    _restore_files(say)
    _unload_modules()
    _run(["systemctl", "reset-failed"], 60)


def _unmount(before: frozenset[str]) -> None:
    for place in sorted(State.now().mounts - before, reverse=True):
        if not _run(["umount", place], 30) and not _run(["umount", "-l", place], 30):
            raise Stuck(f"{place} cannot be unmounted")
    _run(["swapoff", "-a"], 60)
    if shutil.which("dmsetup") and Path("/dev/mapper").exists() and len(os.listdir("/dev/mapper")) > 1:
        _run(["dmsetup", "remove_all", "--force"], 60)
    _run(["losetup", "-D"], 30)


def _log_out_of_iscsi() -> None:
    if Path("/sys/class/iscsi_session").is_dir() and os.listdir("/sys/class/iscsi_session"):
        _run(["iscsiadm", "-m", "node", "-u"], 60)
    if _run(["pgrep", "-x", "iscsid"], 10):
        _run(["pkill", "-KILL", "-x", "iscsid"], 10)
    shutil.rmtree("/var/lib/iscsi/nodes", ignore_errors=True)
    shutil.rmtree("/var/lib/iscsi/send_targets", ignore_errors=True)


def _devices() -> list[Path]:
    return [place for place in TARGET.glob("core/*/*") if place.is_dir() and place.parent.name != "alua"]


def _fabrics() -> list[Path]:
    return [place for place in TARGET.glob("*/*/tpgt_*") if place.parent.parent.name != "core"]


def _clear_targets(say: Callable[[str], None]) -> None:
    if not _devices() and not _fabrics():
        return
    # First in peace, with the daemon still there to answer.
    if _run(["targetctl", "clear"], 60) and not _devices():
        return
    say("targets could not be cleared in peace; stopping the daemons and resetting rings and netlink")
    for service in SERVICES:
        _run(["systemctl", "kill", "--kill-whom=all", "-s", "KILL", service], 30)
    _release_waiters()
    if _run(["targetctl", "clear"], 60) and not _devices():
        return
    _release_waiters()
    if _devices() or _fabrics():
        raise Stuck("targets that cannot be removed: " + ", ".join(str(item.relative_to(TARGET)) for item in
                                                                   [*_devices(), *_fabrics()]))


def _release_waiters() -> None:
    """Nobody will answer any more: ends commands in the rings, and configfs writers waiting for a netlink reply."""
    for name, value in (("block_netlink", "1"), ("reset_netlink", "1"), ("block_netlink", "0")):
        _write(USER_MODULE / name, value)
    for device in TARGET.glob("core/user_*/*"):
        for name, value in (("block_dev", "1"), ("reset_ring", "2"), ("block_dev", "0")):
            _write(device / "action" / name, value)


def _stop(service: str, say: Callable[[str], None]) -> None:
    group = SLICE / service
    if not group.exists():
        return
    if not _run(["systemctl", "stop", service], 60):
        say(f"{service} does not stop; killing it")
    _run(["systemctl", "kill", "--kill-whom=all", "-s", "KILL", service], 30)
    # A unit with KillMode=process leaves processes in its control group on purpose; they must not outlive the scenario.
    if (group / "cgroup.kill").exists():
        _write(group / "cgroup.kill", "1")


def _restore_files(say: Callable[[str], None]) -> None:
    changed = pristine.restore()
    if changed:
        say("put back as it was: " + ", ".join(changed))
        _run(["systemctl", "daemon-reload"], 120)
        _run(["busctl", "call", "org.freedesktop.DBus", "/", "org.freedesktop.DBus", "ReloadConfig"], 60)
    for directory in ("/scratch", "/tmp"):
        for item in Path(directory).glob("*"):
            if item.name == "lost+found" or item.name.startswith("systemd-private-"):
                continue
            if item.is_dir() and not item.is_symlink():
                shutil.rmtree(item, ignore_errors=True)
            else:
                item.unlink(missing_ok=True)


def _unload_modules() -> None:
    for fabric in TARGET.glob("*"):
        # Its configfs directory holds the module; targetctl leaves it.
        if fabric.is_dir() and fabric.name != "core":
            _run(["rmdir", str(fabric)], 15)
    for module in MODULES:
        if Path("/sys/module", module).exists() and not _run(["modprobe", "-r", module], 60):
            raise Stuck(f"the kernel module {module}, which is still in use")


def _write(place: Path, value: str) -> None:
    # Through a child, as a configfs write can block for good in the kernel.
    _run(["sh", "-c", 'test ! -e "$1" || echo "$2" > "$1"', "write", str(place), value], 15)


def _run(command: list[str], seconds: float) -> bool:
    """Whether it succeeded in time. A child stuck in the kernel is left behind; what it was to do has then not been done."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        return process.wait(timeout=seconds) == 0
    except subprocess.TimeoutExpired:
        process.kill()
        return False
