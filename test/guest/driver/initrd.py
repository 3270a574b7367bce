"""The initrd: busybox, the few modules the root disk needs, and inside/init. Written here, so no root and no cpio."""
import lzma
from pathlib import Path

from .failure import Failure
from .paths import INSIDE
from .store import key_of

BUSYBOX = Path("/bin/busybox")
# ext4 asks for its checksum by name, which no dependency list shows. Absent ones are built in.
NEEDED = ["virtio_pci", "virtio_blk", "crc32c_generic", "ext4"]


def initrd_recipe() -> str:
    """Changes when an initrd would."""
    if not BUSYBOX.exists():
        raise Failure("busybox-static is not installed", "run tools/setup")
    return key_of(INSIDE / "init", BUSYBOX, Path(__file__))


def write_initrd(place: Path, modules: Path) -> None:
    """`modules` is the directory of one kernel release, with depmod's files in it."""
    archive = _Archive()
    for name in ("bin", "dev", "proc", "sys", "modules", "newroot"):
        archive.directory(name)
    archive.file("bin/busybox", BUSYBOX.read_bytes(), 0o755)
    archive.file("init", (INSIDE / "init").read_bytes(), 0o755)
    order = _load_order(modules)
    for file in order:
        archive.file(f"modules/{_plain_name(file)}", _unpacked(file), 0o644)
    archive.file("modules/order", "".join(f"{_plain_name(file)}\n" for file in order).encode(), 0o644)
    # The kernel opens it for init before anything is mounted.
    archive.character_device("dev/console", 5, 1)
    # Not compressed: 4 MB are sooner copied than unpacked by an emulated CPU.
    place.write_bytes(archive.whole())


def _load_order(modules: Path) -> list[Path]:
    """The needed modules, each after what it depends on."""
    depends: dict[str, list[str]] = {}
    for row in (modules / "modules.dep").read_text().splitlines():
        file, _, needs = row.partition(":")
        depends[file] = needs.split()
    by_name = {_module_name(file): file for file in depends}
    order: list[str] = []
    for name in NEEDED:
        if name in by_name:
            # modules.dep lists nearest dependencies first.
            wanted = [*reversed(depends[by_name[name]]), by_name[name]]
            order += [file for file in wanted if file not in order]
    return [modules / file for file in order]


def _module_name(file: str) -> str:
    return Path(file).name.split(".")[0].replace("-", "_")


def _plain_name(file: Path) -> str:
    return file.name.removesuffix(".xz")


def _unpacked(file: Path) -> bytes:
    data = file.read_bytes()
    return lzma.decompress(data) if file.suffix == ".xz" else data


class _Archive:
    """cpio's "newc" format: per entry a header of 13 eight-digit hexadecimal fields after the magic, then name and data,
    each padded to four bytes."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._inode = 0

    def directory(self, name: str) -> None:
        self._add(name, 0o040755, b"")

    def file(self, name: str, data: bytes, mode: int) -> None:
        self._add(name, 0o100000 | mode, data)

    def character_device(self, name: str, major: int, minor: int) -> None:
        self._add(name, 0o020600, b"", major, minor)

    def whole(self) -> bytes:
        self._add("TRAILER!!!", 0, b"")
        return b"".join(self._parts)

    def _add(self, name: str, mode: int, data: bytes, major: int = 0, minor: int = 0) -> None:
        self._inode += 1
        raw = name.encode() + b"\0"
        # inode, mode, uid, gid, links, mtime, size, device major/minor, special major/minor, name size, checksum (unused)
        fields = (self._inode, mode, 0, 0, 1, 0, len(data), 0, 0, major, minor, len(raw), 0)
        header = b"070701" + b"".join(b"%08X" % field for field in fields)
        for part in (header + raw, data):
            self._parts.append(part + b"\0" * (-len(part) % 4))
