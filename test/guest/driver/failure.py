"""The one kind of error that is meant for people: what failed, and what to do about it."""
from pathlib import Path


class Failure(Exception):
    """Ends the program with its message and status 2; never with a Python traceback."""

    def __init__(self, what: str, remedy: str = "", log: Path | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.remedy = remedy
        self.log = log

    def text(self) -> str:
        lines = [f"guest: {self.what}"]
        if self.log is not None and self.log.exists():
            lines.append("  the last lines of its output:")
            lines += [f"    {line}" for line in last_lines(self.log, 25)]
            lines.append(f"  all of it: {self.log}")
        if self.remedy:
            lines.append(f"  {self.remedy}")
        return "\n".join(lines)


def last_lines(path: Path, count: int) -> list[str]:
    """The end of a text file that may still be growing and may hold any bytes."""
    try:
        with path.open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - 200 * count))
            return file.read().decode("utf-8", "replace").splitlines()[-count:]
    except OSError:
        return []
