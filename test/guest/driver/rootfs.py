"""The guest's root image: Debian packages and nothing of ours.

What makes it *our* guest (masked units, the scenario driver, the install tree) is laid over it at every boot by the
initrd (overlay.py), so that changing any of it costs no rebuild.
"""
from pathlib import Path

from .command import AS_ROOT, place_for_root, run_logged
from .debian import REMEDY, SUITE, apt_options, mirrors
from .paths import INSIDE, PACKAGE_LIST
from .progress import Line
from .store import Store, key_of

# Sparse: only what is used takes room on the host.
SIZE = "6G"
# Nobody reads manuals in there, and unpacking them takes time.
UNREAD = ["/usr/share/doc/*", "/usr/share/man/*", "/usr/share/info/*", "/usr/share/locale/*"]


def packages(extra: list[str]) -> list[str]:
    lines = (line.split("#")[0].split() for line in PACKAGE_LIST.read_text().splitlines())
    return sorted({words[0] for words in lines if words} | set(extra))


def root_image(store: Store, extra: list[str]) -> Path:
    """The ext4 image with the listed packages and `extra` ones; built on first use."""
    names = packages(extra)
    title = f"guest root ({len(names)} packages{', with ' + ' '.join(sorted(extra)) if extra else ''})"
    script = INSIDE.parent / "make-root-image.sh"
    # Not in the key: the packages' versions. A rebuild per security update of any of them would buy nothing here.
    key = key_of(SUITE, SIZE, " ".join(names), script, Path(__file__))

    def build(directory: Path, line: Line) -> None:
        log = directory / "build.log"
        with place_for_root(directory) as work:
            tree, image = work / "root.tar", work / "root.img"
            run_logged(line, log, ["mmdebstrap", "--variant=minbase", f"--include={','.join(names)}", *apt_options(),
                                   *(f"--dpkgopt=path-exclude={path}" for path in UNREAD), SUITE, str(tree), "-"],
                       stdin="".join(f"{source}\n" for source in mirrors()).encode(), deadline=3600, remedy=REMEDY,
                       environment={"TMPDIR": str(work)})
            image.touch()
            image.chmod(0o666)  # in a user namespace, root is somebody else than who runs this
            run_logged(line, log, [*AS_ROOT, "sh", "-eu", str(script), str(tree), str(image), SIZE], deadline=1200,
                       environment={"TMPDIR": str(work)})
            run_logged(line, log, ["cp", "--sparse=always", str(image), str(directory / "whole.img")], deadline=600)
        (directory / "whole.img").rename(directory / "root.img")
        (directory / "root.img").chmod(0o644)

    return store.entry("root", key, title, build) / "root.img"
