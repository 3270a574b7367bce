"""One QEMU: how it is started, its console, and how it is ended. Knows nothing of scenarios."""
import ctypes
import json
import os
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from .command import output_of
from .failure import Failure
from .kernel import Kernel

# What the guest's kernel is told. Patience for a slow, shared machine: an emulated CPU that is not scheduled for half a
# minute is no stall of the guest's making. Warnings go to the console (loglevel), so they are seen even if the guest dies.
_KERNEL_ARGUMENTS = (
    "console=ttyS0 loglevel=5 log_buf_len=8M mitigations=off net.ifnames=0 systemd.show_status=0 apparmor=0 selinux=0 "
    "sysrq_always_enabled=1 rcupdate.rcu_cpu_stall_timeout=120 watchdog_thresh=60 random.trust_cpu=1 systemd.log_color=0 "
    # Programs start a fifth faster: code at other addresses is translated anew, and pages are cleared twice.
    "norandmaps init_on_alloc=0 transparent_hugepage=madvise hardened_usercopy=off randomize_kstack_offset=off "
    # A panic ends in a standstill that the console shows, not in a reboot that looks like a scenario's own.
    "panic=0"
)

# Emulation works everywhere, and everywhere alike. Each emulated CPU is a thread, so races are real. The translation cache
# is bounded, as several guests may run. Five-level page tables, nested virtualization, wide vectors (emulated one by
# one), string instructions for copying (emulated byte by byte) and unused buses would only cost time.
_MACHINE = ["-machine", "q35,sata=off,smbus=off", "-accel", "tcg,thread=multi,tb-size=512", "-cpu", "max,la57=off,svm=off,avx=off,avx2=off,erms=off"]
# What the kernel of this machine must think of its processors' counters before the guest may read the time from them:
# without, it asks an emulated device, by a system call each time.
_STEADY_COUNTERS = {"constant_tsc", "nonstop_tsc"}
_CLOCKS_BY_COUNTER = {"tsc", "kvm-clock"}
_LIBC = ctypes.CDLL(None)  # loaded here, as little as possible between fork and exec
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Hardware:
    """What a scenario may ask for; scenarios that ask for the same share a boot."""
    cpus: int
    memory_mib: int
    scratch: str  # size of the extra disk, "0" for none
    audit: bool = False  # whether the kernel audits as on an administrator's machine; else it does not, which saves time


class Machine:
    """Started by the constructor; close() ends it whatever state it is in."""

    def __init__(self, kernel: Kernel, root: Path, overlay: Path, hardware: Hardware, *, share: Path, work: Path,
                 console: Path | None) -> None:
        """`console` is the file that gets the serial console; None gives it to the terminal (with QEMU's monitor)."""
        if shutil.which("qemu-system-x86_64") is None:
            raise Failure("qemu-system-x86_64 is not installed", "run tools/setup")
        self._qemu_log = share / "qemu.txt"
        self._control: socket.socket | None = None
        self._serial: socket.socket | None = None
        command = ["qemu-system-x86_64", "-nodefaults", "-display", "none", *_MACHINE,
                   "-smp", str(hardware.cpus), "-m", str(hardware.memory_mib),
                   "-kernel", str(kernel.image), "-initrd", str(kernel.initrd),
                   "-virtfs", f"local,path={_escaped(share)},mount_tag=share,security_model=none,multidevs=remap",
                   *_disk("root", root, "snapshot=on"), *_disk("modules", kernel.modules, "readonly=on"),
                   *_disk("overlay", overlay, "readonly=on")]
        if hardware.scratch != "0":
            command += _disk("scratch", _make_scratch(work, hardware.scratch), "discard=unmap")
        passed: list[socket.socket] = []
        if console is None:
            command += ["-serial", "mon:stdio"]
        else:
            self._serial, serial = socket.socketpair()
            self._control, control = socket.socketpair()
            passed = [serial, control]
            command += ["-chardev", f"socket,id=console,fd={serial.fileno()},logfile={_escaped(console)}",
                        "-serial", "chardev:console",
                        "-chardev", f"socket,id=control,fd={control.fileno()}", "-mon", "chardev=control,mode=control"]
        command += ["-append", _kernel_arguments(hardware)]
        self._process = subprocess.Popen(
            command, stdin=None if console is None else subprocess.DEVNULL,
            stdout=None if console is None else self._qemu_log.open("wb"), stderr=None if console is None else subprocess.STDOUT,
            pass_fds=[end.fileno() for end in passed], preexec_fn=_die_with_parent,
            # QEMU keeps what a snapshot disk writes in an unlinked file there: not in a /tmp that may be memory.
            env={**os.environ, "TMPDIR": str(work)})
        for end in passed:
            end.close()
        if self._serial is not None:
            self._serial.setblocking(False)

    def alive(self) -> bool:
        """Also takes what the console has sent, which must never fill up: QEMU writes it to the file by itself."""
        if self._serial is not None:
            try:
                while self._serial.recv(65536):
                    pass
            except OSError:
                pass
        return self._process.poll() is None

    def wait(self, seconds: float) -> bool:
        """Whether the machine went off by itself in that time."""
        ends = time.monotonic() + seconds
        while self.alive():
            if time.monotonic() > ends:
                return False
            time.sleep(0.1)
        return True

    def last_words(self) -> None:
        """Asks the kernel of a hung guest, over the console, which tasks are blocked and what each CPU does."""
        if self._serial is None or self._control is None or not self.alive():
            return
        try:
            self._control.settimeout(5)
            self._control.sendall(b'{"execute": "qmp_capabilities"}\n')
            for key in (b"w", b"l"):
                request = {"execute": "chardev-send-break", "arguments": {"id": "console"}}
                self._control.sendall(json.dumps(request).encode() + b"\n")
                time.sleep(0.5)
                self._serial.send(key)
                self.wait(5)
        except OSError:
            pass  # a QEMU that does not even take this is only to be ended

    def close(self) -> None:
        if self._process.poll() is None:
            # Nothing on its disks is kept, so there is nothing to shut down in order.
            self._process.kill()
        self._process.wait()
        for end in (self._serial, self._control):
            if end is not None:
                end.close()

    def qemu_said(self) -> str:
        try:
            return self._qemu_log.read_text(errors="replace").strip()
        except OSError:
            return ""


def _kernel_arguments(hardware: Hardware) -> str:
    return " ".join([_KERNEL_ARGUMENTS, *([] if hardware.audit else ["audit=0"]), *(["tsc=reliable"] if _counters_are_steady() else [])])


def _counters_are_steady() -> bool:
    try:
        clock = Path("/sys/devices/system/clocksource/clocksource0/current_clocksource").read_text().strip()
        flags = next(line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("flags"))
    except (OSError, StopIteration):
        return False
    return clock in _CLOCKS_BY_COUNTER and _STEADY_COUNTERS <= set(flags.split())


def _disk(serial: str, file: Path, options: str) -> list[str]:
    # cache=unsafe: what the guest flushes need not survive this machine's death, only the guest's.
    return ["-drive", f"if=none,id={serial},format=raw,cache=unsafe,{options},file={_escaped(file)}",
            "-device", f"virtio-blk-pci,drive={serial},serial={serial}"]


def _escaped(path: Path) -> str:
    return str(path).replace(",", ",,")


def _make_scratch(work: Path, size: str) -> Path:
    image = work / "scratch.img"
    output_of(["sh", "-euc", 'truncate -s "$2" "$1"; mke2fs -q -t ext4 -L scratch "$1"', "scratch", str(image), size],
              deadline=120, remedy="--scratch wants a size that truncate understands, like 2G")
    return image


def _die_with_parent() -> None:
    # A driver killed outright must not leave a machine running.
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
