"""The cache: directories named by what they were made from.

An entry is built in a temporary directory beside its place and renamed when whole, under a lock. So an entry that
exists is complete, two builds of the same thing are one build, and an interrupted one leaves only rubbish that the
next build of the same entry sweeps away.
"""
import fcntl
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from .progress import Line

UNUSED_DAYS = 14


def key_of(*parts: str | bytes | Path) -> str:
    """A short hash over texts and over the contents of files."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.read_bytes() if isinstance(part, Path) else part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "big"))
        digest.update(data)
    return digest.hexdigest()[:16]


class Store:
    def __init__(self, root: Path) -> None:
        self.root = root

    def entry(self, kind: str, key: str, title: str, build: Callable[[Path, Line], None]) -> Path:
        """The directory of an entry, built by `build(directory, progress line)` if it is not there yet."""
        place = self.root / kind / key
        if not place.exists():
            with self._locked(f"{kind}-{key}", title):
                if not place.exists():  # someone else may have built it while we waited
                    self._build(place, title, build)
        os.utime(place)
        return place

    def has(self, kind: str, key: str) -> bool:
        return (self.root / kind / key).exists()

    def scratch(self) -> Path:
        """A directory on the cache's disk for files of one run; the caller removes it."""
        place = self.root / "tmp"
        place.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(dir=place))

    def prune(self) -> None:
        """Forgets what nobody has used for a while; whoever has a file of it open keeps it until it closes it."""
        oldest = time.time() - UNUSED_DAYS * 86400
        for kind in ("root", "kernel", "peer", "tmp", "runs"):
            for entry in (self.root / kind).glob("*"):
                if entry.lstat().st_mtime < oldest:
                    shutil.rmtree(entry, ignore_errors=True)

    def _build(self, place: Path, title: str, build: Callable[[Path, Line], None]) -> None:
        place.parent.mkdir(parents=True, exist_ok=True)
        prefix = f".building-{place.name}-"
        for rubbish in place.parent.glob(prefix + "*"):
            shutil.rmtree(rubbish, ignore_errors=True)
        half = Path(tempfile.mkdtemp(prefix=prefix, dir=place.parent))
        try:
            with Line(title) as line:
                build(half, line)
            half.chmod(0o755)
            half.rename(place)
        except KeyboardInterrupt:
            shutil.rmtree(half, ignore_errors=True)
            raise
        # Any other failure keeps the directory: its log is named in the message. The next build sweeps it away.

    @contextmanager
    def _locked(self, name: str, title: str) -> Iterator[None]:
        locks = self.root / "locks"
        locks.mkdir(parents=True, exist_ok=True)
        with (locks / name).open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                with Line(f"{title}: another build is at it, waiting") as line:
                    # Bounded by the other's deadlines; its death releases the lock.
                    while not _try_lock(lock.fileno()):
                        line.tick()
                        time.sleep(0.2)
            yield


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except BlockingIOError:
        return False
