"""Where things live: our own files, and the cache."""
import os
from pathlib import Path

GUEST = Path(__file__).resolve().parent.parent  # test/guest
INSIDE = GUEST / "inside"
SCENARIOS = GUEST / "scenarios"
HELPERS = GUEST / "helpers"  # what several scenarios use; in the guest below /usr/lib/bulkhead-guest
MISBEHAVING = GUEST / "misbehave"  # scenarios that test the testbed by going wrong
PACKAGE_LIST = GUEST / "packages.txt"


def cache() -> Path:
    """The same rule as in tools/lib.sh: one cache for all tools."""
    chosen = os.environ.get("BULKHEAD_CACHE")
    if chosen:
        return Path(chosen) / "guest"
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "tcmu-bulkhead" / "guest"
