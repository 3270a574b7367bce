"""The directory shared with the host: how the guest's driver gets its orders, keeps its place and reports.

Everything here survives a crash of the guest, as the files are the host's.
"""
import json
import os
import time
from pathlib import Path
from typing import Any

ROOT = Path("/share")


def read_json(name: str) -> Any:
    """None if there is no such file."""
    try:
        return json.loads((ROOT / name).read_text())
    except FileNotFoundError:
        return None


def write_json(name: str, value: Any) -> None:
    """Whole or not at all, also when the machine is reset in the middle."""
    fresh = ROOT / f"{name}.new"
    fresh.write_text(json.dumps(value))
    fresh.rename(ROOT / name)


def tell(event: str, **details: Any) -> None:
    """One line for the host to read; a single write, so a reader never sees half of one with a newline at its end."""
    line = json.dumps({"event": event, "uptime": round(time.monotonic(), 1), **details}) + "\n"
    descriptor = os.open(ROOT / "events.jsonl", os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        os.write(descriptor, line.encode())
    finally:
        os.close(descriptor)
