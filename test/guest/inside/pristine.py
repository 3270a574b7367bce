"""Puts configuration back as it was before a scenario, so that the next one does not inherit it."""
import filecmp
import os
import shutil
from pathlib import Path

# What administrators, and so scenarios, edit.
DIRECTORIES = ["/etc/tcmu", "/etc/target", "/etc/rtslib-fb-target", "/etc/systemd/system", "/etc/dbus-1", "/etc/iscsi",
               "/etc/modprobe.d", "/etc/tmpfiles.d"]
COPY = Path("/var/lib/bulkhead-guest/pristine")


def remember() -> None:
    """Takes the copy, once per machine: a reboot inside a scenario does not make its changes the norm."""
    if COPY.exists():
        return
    half = COPY.with_name("half")
    shutil.rmtree(half, ignore_errors=True)
    for name in DIRECTORIES:
        if Path(name).is_dir():
            shutil.copytree(name, half / name.strip("/"), symlinks=True)
    half.mkdir(parents=True, exist_ok=True)
    half.rename(COPY)


def restore() -> list[str]:
    """Undoes what differs; returns the directories that did."""
    changed = []
    for name in DIRECTORIES:
        kept, place = COPY / name.strip("/"), Path(name)
        if _same(kept, place):
            continue
        changed.append(name)
        shutil.rmtree(place, ignore_errors=True)
        if kept.is_dir():
            shutil.copytree(kept, place, symlinks=True)
    return changed


def _same(one: Path, two: Path) -> bool:
    names = _names(one)
    if names != _names(two):
        return False
    for name in names:
        a, b = one / name, two / name
        if a.is_symlink() or b.is_symlink():
            if not (a.is_symlink() and b.is_symlink() and os.readlink(a) == os.readlink(b)):
                return False
        elif a.is_dir() != b.is_dir():
            return False
        elif a.is_dir():
            if not _same(a, b):
                return False
        elif a.stat().st_mode != b.stat().st_mode or not filecmp.cmp(a, b, shallow=False):
            return False
    return True


def _names(directory: Path) -> list[str]:
    return sorted(item.name for item in directory.iterdir()) if directory.is_dir() else []
