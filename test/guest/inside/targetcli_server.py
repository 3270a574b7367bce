"""Debian's own targetcli, its modules already loaded: emulated, a call takes two to three seconds then, and not five.

One process per machine, started by agent.py. Each call is a fork of it, with the arguments, files, environment, directory,
mount namespace and control group of the one who asks (targetcli_call.py); what then runs is /usr/bin/targetcli as it is.
"""
import ctypes
import inspect
import json
import linecache
import os
import runpy
import select
import signal
import socket
import struct
import sys
import traceback
from pathlib import Path

SOCKET = "/run/bulkhead-guest-targetcli"
PROGRAM = "/usr/bin/targetcli"
_CLONE_NEWNS = 0x00020000
_LIBC = ctypes.CDLL(None, use_errno=True)


def serve() -> None:
    runpy.run_path(PROGRAM, run_name="loaded")
    # Its shell asks for the source lines of the whole stack at each message, printed or not.
    inspect.stack()
    for name in list(sys.modules):
        if name.startswith(("configshell_fb", "targetcli", "rtslib_fb")):
            linecache.getlines(sys.modules[name].__file__)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        Path(SOCKET).unlink(missing_ok=True)
        listener.bind(SOCKET)
        os.chmod(SOCKET, 0o600)
        listener.listen()
        while True:
            caller, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                os._exit(_answer(caller))
            caller.close()


def _answer(caller: socket.socket) -> int:
    """Runs the program in a child, until it ends or the caller does."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    message, files, _, _ = socket.recv_fds(caller, 1 << 20, 3)
    pid, _, _ = struct.unpack("3i", caller.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    child = os.fork()
    if child == 0:
        os._exit(_run(json.loads(message), files, pid))
    ended = os.pidfd_open(child)
    ready, _, _ = select.select([ended, caller], [], [])
    if ended not in ready:
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    try:
        caller.send(bytes([os.waitstatus_to_exitcode(status) & 0xff]))
    except OSError:
        pass  # the caller was ended: nobody waits for it
    return 0


def _run(call: dict, files: list[int], caller: int) -> int:
    group = Path(f"/proc/{caller}/cgroup").read_text().strip().split("::")[1]
    Path(f"/sys/fs/cgroup{group}/cgroup.procs").write_text("0")
    Path("/proc/self/oom_score_adj").write_text("0")
    with open(f"/proc/{caller}/ns/mnt", "rb") as namespace:
        if _LIBC.setns(namespace.fileno(), _CLONE_NEWNS) != 0:
            raise OSError(ctypes.get_errno(), "setns")
    os.chdir(call["directory"])
    os.environ.clear()
    os.environ.update(call["environment"])
    for target, file in enumerate(files):
        os.dup2(file, target)
    sys.argv = [PROGRAM, *call["arguments"]]
    status = 0
    try:
        exec(compile(Path(PROGRAM).read_bytes(), PROGRAM, "exec"), {"__name__": "__main__", "__file__": PROGRAM})
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except BaseException:
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return status & 0xff


if __name__ == "__main__":
    serve()
