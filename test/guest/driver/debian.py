"""What the guest takes from Debian, found through the machine's own apt: mirrors, kernel packages, downloads."""
import json
import re
from dataclasses import dataclass
from pathlib import Path

from .command import output_of, run_logged
from .failure import Failure
from .progress import Line
from .store import Store, key_of

SUITE = "bookworm"
KERNELS = {"6.1": "linux-image-amd64", "6.12": "linux-image-6.12-amd64"}
REMEDY = "check that apt's sources name Debian 12 (with its security suite), and run: apt-get update"


@dataclass(frozen=True)
class KernelPackage:
    series: str   # "6.1"
    name: str     # "linux-image-6.1.0-56-amd64"
    version: str  # Debian's version of that package

    @property
    def release(self) -> str:
        """What `uname -r` will say, and the name of the directory of modules."""
        return self.name.removeprefix("linux-image-")


def mirrors() -> list[str]:
    """Lines for sources.list: the Debian archives this machine uses, whatever else it has configured.

    apt itself is asked, so both syntaxes of its sources, and mirror lists, mean what they mean to apt.
    """
    fields = ["REPO_URI", "RELEASE", "COMPONENT", "ORIGIN", "CODENAME"]
    listed = output_of(["apt-get", "indextargets", "--format", "\t".join(f"$({field})" for field in fields),
                        "Created-By: Packages"], remedy=REMEDY)
    lines: list[str] = []
    for row in listed.splitlines():
        uri, release, component, origin, codename = row.split("\t")
        # "$(ORIGIN)" stays as it is while the lists have not been fetched.
        ours = origin == "Debian" or (origin.startswith("$(") and "debian" in uri)
        suite = codename if not codename.startswith("$(") else release
        if ours and component == "main" and suite in (SUITE, f"{SUITE}-updates", f"{SUITE}-security"):
            line = f"deb {uri} {release} main"
            if line not in lines:
                lines.append(line)
    if not lines:
        raise Failure("apt's sources on this machine name no Debian 12 archive", REMEDY)
    return lines


def apt_options() -> list[str]:
    """How this machine reaches its mirrors; mmdebstrap's apt reads no configuration of the host."""
    options = []
    for name in ("Acquire::http::Proxy", "Acquire::https::Proxy"):
        value = re.search(r"'(.*)'", output_of(["apt-config", "shell", "VALUE", name]))
        if value and value[1]:
            options.append(f'--aptopt={name} "{value[1]}";')
    return options


def kernel_package(series: str, store: Store) -> KernelPackage:
    """Which package is that kernel today. apt takes a second to say, so its answer is remembered until its lists change."""
    memo = store.root / "kernel-versions.json"
    state = _lists_state()
    try:
        known = json.loads(memo.read_text())
    except (OSError, ValueError):
        known = {}
    if known.get("state") != state:
        known = {"state": state}
    if series not in known:
        name = _dependency(KERNELS[series])
        known[series] = [name, _field(name, "Version")]
        memo.parent.mkdir(parents=True, exist_ok=True)
        fresh = memo.with_suffix(".new")
        fresh.write_text(json.dumps(known))
        fresh.rename(memo)
    return KernelPackage(series, known[series][0], known[series][1])


def download(line: Line, log: Path, directory: Path, packages: list[str]) -> dict[str, Path]:
    """Fetches package files into `directory`; by package name (without =version)."""
    run_logged(line, log, ["sh", "-c", 'cd "$1" && shift && exec apt-get -q download "$@"', "download",
                           str(directory), *packages], deadline=1800, remedy=REMEDY)
    found = {}
    for package in packages:
        name = package.split("=")[0]
        files = list(directory.glob(f"{name}_*.deb"))
        if len(files) != 1:
            raise Failure(f"apt-get downloaded no {name}", REMEDY, log)
        found[name] = files[0]
    return found


def _lists_state() -> str:
    entries = []
    for place in ("/var/lib/apt/lists", "/etc/apt/preferences.d", "/etc/apt/sources.list.d"):
        if Path(place).is_dir():
            entries += [f"{item.name} {item.stat().st_size} {item.stat().st_mtime_ns}"
                        for item in sorted(Path(place).iterdir()) if item.is_file()]
    return key_of("\n".join(entries))


def _dependency(meta: str) -> str:
    for word in re.split(r"[,|\s]+", _field(meta, "Depends")):
        if word.startswith("linux-image-"):
            return word
    raise Failure(f"{meta} depends on no kernel image", REMEDY)


def _field(package: str, name: str) -> str:
    shown = output_of(["apt-cache", "show", "--no-all-versions", package], remedy=REMEDY)
    for line in shown.splitlines():
        if line.startswith(f"{name}: "):
            return line.removeprefix(f"{name}: ").strip()
    raise Failure(f"apt knows no {package}", REMEDY)
