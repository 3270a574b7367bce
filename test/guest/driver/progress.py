"""What people see while they wait: one line per piece of work, with its seconds."""
import sys
import time
from types import TracebackType

RED, GREEN, YELLOW, BOLD, PLAIN = "\033[31m", "\033[32m", "\033[33m", "\033[1m", "\033[0m"


def colour(text: str, code: str) -> str:
    return f"{code}{text}{PLAIN}" if sys.stdout.isatty() else text


class Line:
    """One line that counts seconds on a terminal and is written in two halves elsewhere: `head ... ` and how it ended.

    Use as a context manager; call tick() while waiting and end() with the outcome.
    """

    def __init__(self, head: str) -> None:
        self.head = head
        self.began = time.monotonic()
        self._ended = False
        self._shown = -1
        self._live = sys.stdout.isatty()

    def __enter__(self) -> "Line":
        if not self._live:
            print(f"{self.head} ... ", end="", flush=True)
        self.tick()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if not self._ended:
            self.end(colour("FAILED", RED) if kind else "")

    def seconds(self) -> float:
        return time.monotonic() - self.began

    def tick(self, note: str = "") -> None:
        now = int(self.seconds())
        if self._live and now != self._shown:
            self._shown = now
            print(f"\r\033[K{self.head} ... {now} s {note}", end="", flush=True)

    def end(self, outcome: str = "") -> None:
        self._ended = True
        tail = f"{outcome} {self.seconds():.0f} s".strip()
        print(f"\r\033[K{self.head} ... {tail}" if self._live else tail, flush=True)

    def interrupt(self, text: str) -> None:
        """Says something on a line of its own in the middle of the wait."""
        if self._live:
            print(f"\r\033[K{text}", flush=True)
            self._shown = -1
        else:
            print(f"\n{text}\n{self.head} ... ", end="", flush=True)
