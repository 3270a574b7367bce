"""The program we are compared with: Debian's tcmu-runner, as files under /opt/tcmu-runner, not as a service.

Its two packages are enough: what they need beyond them (GLib, kmod, zlib, libnl) is in the guest for other reasons.
librbd is not, so the rbd handler will not load; lib.sh leaves it out.
"""
from pathlib import Path

from .command import run_logged
from .debian import download
from .progress import Line
from .store import Store, key_of

PACKAGES = ["tcmu-runner", "libtcmu2"]


def peer_tree(store: Store) -> Path:
    """The directory with the packages' files; built on first use."""

    def build(directory: Path, line: Line) -> None:
        log = directory / "build.log"
        for deb in download(line, log, directory, PACKAGES).values():
            run_logged(line, log, ["dpkg-deb", "-x", str(deb), str(directory / "tree")], deadline=300)
            deb.unlink()

    return store.entry("peer", key_of(" ".join(PACKAGES), Path(__file__)), "peer (Debian's tcmu-runner)", build) / "tree"
