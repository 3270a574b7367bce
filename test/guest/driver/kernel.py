"""One of Debian's kernels, ready to boot: image, initrd, and its modules as a read-only file system of their own.

The modules are a disk of their own so that root images know nothing of kernels: either changes without the other.
"""
import os
from dataclasses import dataclass
from pathlib import Path

from .command import run_logged
from .debian import KernelPackage, download
from .failure import Failure
from .initrd import initrd_recipe, write_initrd
from .kernel_image import bootable
from .progress import Line
from .store import Store, key_of


@dataclass(frozen=True)
class Kernel:
    package: KernelPackage
    image: Path
    initrd: Path
    modules: Path


def kernel(store: Store, package: KernelPackage) -> Kernel:
    """The files of that kernel; built on first use."""
    key = package.series + "-" + key_of(package.name, package.version, initrd_recipe(), Path(__file__),
                                          Path(__file__).with_name("kernel_image.py"))

    def build(directory: Path, line: Line) -> None:
        log, tree = directory / "build.log", directory / "tree"
        deb = download(line, log, directory, [f"{package.name}={package.version}"])[package.name]
        run_logged(line, log, ["dpkg-deb", "-x", str(deb), str(tree)], deadline=600)
        deb.unlink()
        modules = _modules_of(tree, package.release)
        run_logged(line, log, ["depmod", "-b", str(modules.parents[2]), package.release], deadline=300)
        (directory / "kernel").write_bytes(bootable((tree / "boot" / f"vmlinuz-{package.release}").read_bytes()))
        write_initrd(directory / "initrd", modules)
        image = directory / "modules.img"
        with image.open("wb") as file:
            file.truncate(_bytes_under(modules) * 5 // 4 + (64 << 20))
        run_logged(line, log, ["mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-L", "modules", "-E",
                               "root_owner=0:0", "-d", str(modules.parent), str(image)], deadline=600)
        run_logged(line, log, ["rm", "-rf", str(tree)], deadline=300)

    place = store.entry("kernel", key, f"kernel {package.series} ({package.release})", build)
    return Kernel(package, place / "kernel", place / "initrd", place / "modules.img")


def _modules_of(tree: Path, release: str) -> Path:
    for base in ("lib", "usr/lib"):
        found = tree / base / "modules" / release
        if found.is_dir():
            return found if base == "usr/lib" else _moved_to_usr(tree, found)
    raise Failure(f"the kernel package has no modules of {release}")


def _moved_to_usr(tree: Path, modules: Path) -> Path:
    # depmod -b BASE looks in BASE/lib/modules; BASE is tree/usr, as the guest has everything in /usr.
    place = tree / "usr/lib/modules" / modules.name
    place.parent.mkdir(parents=True, exist_ok=True)
    modules.rename(place)
    return place


def _bytes_under(directory: Path) -> int:
    total = 0
    for base, _, names in os.walk(directory):
        # Whole blocks: thousands of small files take more room than their bytes.
        total += sum(-(-os.lstat(os.path.join(base, name)).st_size // 4096) * 4096 for name in names)
    return total
