"""The kernel's log, piece by piece: everything since the last time one looked."""
import os


class KernelLog:
    def __init__(self) -> None:
        """Starts at the boot's first message."""
        self._descriptor = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)

    def new_lines(self) -> list[str]:
        """The kernel's own messages only: what programs write to /dev/kmsg (systemd does) has another facility."""
        lines: list[str] = []
        while True:
            try:
                record = os.read(self._descriptor, 16384).decode("utf-8", "replace")
            except BlockingIOError:
                return lines
            except BrokenPipeError:
                # The buffer went round before we came by; reading goes on with the oldest message left.
                lines.append("[    0.000000] bulkhead-guest: kernel messages were lost here")
                continue
            head, _, text = record.partition(";")
            fields = head.split(",")
            if int(fields[0]) >> 3 == 0:
                stamp = int(fields[2]) / 1e6
                # Lines after the first are key=value dictionary lines, for machines.
                lines.append(f"[{stamp:12.6f}] {text.splitlines()[0] if text else ''}")
