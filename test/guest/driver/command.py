"""Runs the programs that build images: their output in a log, a deadline, and the rights to own files as root."""
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .failure import Failure
from .progress import Line

# mmdebstrap's own helper enters a user namespace with a whole range of ids, so that an ordinary user can make a tree
# whose files belong to root, systemd-network, ... and pack it with these owners.
AS_ROOT: list[str] = [] if os.geteuid() == 0 else ["mmdebstrap", "--unshare-helper"]


@contextmanager
def place_for_root(directory: Path) -> Iterator[Path]:
    """Where AS_ROOT can work: in `directory` if we are root, else where the namespace's ids may go, too; they have no way
    through a private home. Everything in it is removed in the end."""
    work = Path(tempfile.mkdtemp(dir=directory if not AS_ROOT else "/var/tmp"))
    try:
        if AS_ROOT:
            work.chmod(0o1777)  # its name is not to be guessed
        yield work
    finally:
        # Trees that an interrupted step has left belong to the namespace's ids.
        trees = [str(item) for item in work.iterdir() if item.is_dir()]
        if trees:
            subprocess.run([*AS_ROOT, "rm", "-rf", *trees], check=False, timeout=300, capture_output=True)
        shutil.rmtree(work, ignore_errors=True)


def run_logged(line: Line, log: Path, command: list[str], *, deadline: float, remedy: str = "",
               stdin: bytes = b"", environment: dict[str, str] | None = None) -> None:
    """Runs one command to its end, ticking `line`; raises Failure with the log's tail when it fails or takes too long."""
    name = command[len(AS_ROOT) if AS_ROOT and command[:len(AS_ROOT)] == AS_ROOT else 0]
    with log.open("ab") as output:
        output.write((" ".join(command) + "\n").encode())
        output.flush()
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT,
                                   env={**os.environ, **(environment or {})}, start_new_session=True)
        try:
            assert process.stdin is not None
            process.stdin.write(stdin)
            process.stdin.close()
            ends = time.monotonic() + deadline
            while (status := process.poll()) is None:
                if time.monotonic() > ends:
                    raise Failure(f"{name} did not finish within {deadline:.0f} s", remedy, log)
                line.tick()
                time.sleep(0.1)
        except BaseException:
            # Its children too: mmdebstrap leaves apt and dpkg running otherwise.
            os.killpg(process.pid, 15)
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, 9)
            raise
    if status != 0:
        raise Failure(f"{name} failed with status {status}", remedy, log)


def output_of(command: list[str], *, deadline: float = 60, remedy: str = "") -> str:
    """What a short command prints; Failure when it cannot be run, fails or hangs."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=deadline, check=False,
                              stdin=subprocess.DEVNULL, env={**os.environ, "LC_ALL": "C"})
    except FileNotFoundError:
        raise Failure(f"{command[0]} is not installed", "run tools/setup") from None
    except subprocess.TimeoutExpired:
        raise Failure(f"{command[0]} did not finish within {deadline:.0f} s", remedy) from None
    if done.returncode != 0:
        raise Failure(f"{' '.join(command)} failed: {done.stderr.strip()[-500:]}", remedy)
    return done.stdout
