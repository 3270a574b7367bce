"""What is laid over the root image at one boot: guest configuration, scenario driver, scenarios, install tree, extras.

It travels as a tar on a disk of its own; inside/init unpacks it over the root before the real init starts.
"""
import io
import tarfile
import time
from pathlib import Path

from .failure import Failure
from .paths import GUEST, HELPERS, INSIDE

HOME = "usr/lib/bulkhead-guest"

# Not wanted in a test machine: they wait for a network that is not there, or wake up in the middle of a measurement.
# rtslib-fb-targetctl restores targets at boot; the scenario about that unmasks it.
MASKED_UNITS = [
    "apt-daily-upgrade.timer", "apt-daily.timer", "dpkg-db-backup.timer", "e2scrub_all.timer", "e2scrub_reap.service",
    "fstrim.timer", "getty@.service", "getty.target", "serial-getty@.service", "console-getty.service",
    "iscsid.service", "iscsid.socket", "open-iscsi.service", "rtslib-fb-targetctl.service",
    "systemd-networkd.service", "systemd-networkd.socket", "systemd-networkd-wait-online.service",
    "systemd-resolved.service", "systemd-timesyncd.service", "systemd-pstore.service", "modprobe@drm.service",
    "systemd-firstboot.service", "systemd-hwdb-update.service", "systemd-update-utmp.service",
    "systemd-update-utmp-runlevel.service", "systemd-tmpfiles-clean.timer",
]


def write_overlay(place: Path, *, install: Path | None, peer: Path | None, shell: bool, added: list[tuple[Path, str]],
                  scenarios: list[Path]) -> None:
    """`install` is a tree as `tools/install --destdir` makes it; `added` are (file or directory here, path there)."""
    if install is not None and not install.is_dir():
        raise Failure(f"--install {install}: no such directory", "make one with: tools/install --destdir DIR")
    with tarfile.open(place, "w", format=tarfile.GNU_FORMAT) as tar:
        _add_tree(tar, INSIDE / "tree", "")
        for unit in MASKED_UNITS:
            _add_link(tar, f"etc/systemd/system/{unit}", "/dev/null")
        _add_link(tar, "etc/systemd/system/default.target", "/usr/lib/systemd/system/multi-user.target")
        ours = "bulkhead-shell.service" if shell else "bulkhead-guest.service"
        _add_link(tar, f"etc/systemd/system/multi-user.target.wants/{ours}", f"../{ours}")
        for stamp in ("etc/.updated", "var/.updated"):
            # Or systemd takes the overlay for an upgrade and rebuilds its databases at every boot.
            _add_text(tar, stamp, "")
        for file in sorted(INSIDE.glob("*.py")):
            _add_file(tar, file, f"{HOME}/{file.name}", 0o644)
        for file in (GUEST / "lib.sh", INSIDE / "shell-rc.sh"):
            _add_file(tar, file, f"{HOME}/{file.name}", 0o644)
        for file in scenarios:
            _add_file(tar, file, f"{HOME}/scenarios/{file.name}", 0o755)
        for file in sorted(HELPERS.iterdir()):
            _add_file(tar, file, f"{HOME}/helpers/{file.name}", 0o755)
        if peer is not None:
            _add_tree(tar, peer, "opt/tcmu-runner")
        if install is not None:
            _add_tree(tar, install, "")
        for source, target in added:
            if source.is_dir():
                _add_tree(tar, source, target.strip("/"))
            elif source.is_file():
                _add_file(tar, source, target.strip("/"))
            else:
                raise Failure(f"--add {source}: no such file or directory")


def _usr_merged(path: str) -> str:
    """/lib, /bin, /sbin are links into /usr in the guest; unpacking must not replace the links by directories."""
    first, _, rest = path.partition("/")
    return f"usr/{first}/{rest}" if first in ("bin", "sbin", "lib", "lib32", "lib64") else path


def _add_tree(tar: tarfile.TarFile, base: Path, below: str) -> None:
    for item in sorted(base.rglob("*")):
        name = _usr_merged(f"{below}/{item.relative_to(base)}".strip("/"))
        if item.is_symlink():
            _add_link(tar, name, str(item.readlink()))
        elif item.is_dir():
            # The guest's own top directories keep their modes and times, whatever the tree's look like.
            if name.count("/") >= 2:
                _add_entry(tar, name, tarfile.DIRTYPE, item.stat().st_mode & 0o7777)
        elif item.is_file():
            _add_file(tar, item, name)


def _add_file(tar: tarfile.TarFile, source: Path, name: str, mode: int | None = None) -> None:
    status = source.stat()
    info = tarfile.TarInfo(_usr_merged(name))
    info.size = status.st_size
    info.mtime = int(status.st_mtime)
    info.mode = mode if mode is not None else status.st_mode & 0o7777
    with source.open("rb") as file:
        tar.addfile(info, file)


def _add_text(tar: tarfile.TarFile, name: str, text: str) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(text.encode())
    info.mtime = int(time.time())
    tar.addfile(info, io.BytesIO(text.encode()))


def _add_link(tar: tarfile.TarFile, name: str, target: str) -> None:
    info = tarfile.TarInfo(_usr_merged(name))
    info.type, info.linkname, info.mtime = tarfile.SYMTYPE, target, int(time.time())
    tar.addfile(info)


def _add_entry(tar: tarfile.TarFile, name: str, kind: bytes, mode: int) -> None:
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.mtime = kind, mode, int(time.time())
    tar.addfile(info)
