#!/usr/bin/env python3
"""An initiator that only wants its data: how long its commands take while something happens elsewhere.

bystander.py probe DISK OUT      writes a block, reads it back, checks it, again and again until SIGTERM; a line for each
                                 command: when (seconds since boot), microseconds. An error or a wrong byte: status 1
bystander.py table OUT PHASES    PHASES: lines of "begin<TAB>end<TAB>what<TAB>outcome"; prints what OUT says of each
"""

import mmap
import os
import signal
import sys
import time

BLOCK = 4096
BLOCKS = 1024
PAUSE_SECONDS = 0.005


def now() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def probe(disk: str, out_path: str) -> None:
    stop = []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(True))
    device = os.open(disk, os.O_RDWR | os.O_DIRECT)
    buffer = mmap.mmap(-1, BLOCK)  # O_DIRECT wants it aligned
    number = 0
    with open(out_path, "w", buffering=1, encoding="ascii") as out:
        while not stop:
            number += 1
            content = number.to_bytes(8, "little") * (BLOCK // 8)
            at = number * 7919 % BLOCKS * BLOCK
            buffer[:] = content
            for act in (os.pwritev, os.preadv):
                begun = now()
                if act(device, [buffer], at) != BLOCK:
                    sys.exit(f"{act.__name__} at {at} moved less than a block")
                out.write(f"{begun:.3f} {(now() - begun) * 1e6:.0f}\n")
                if act is os.pwritev:
                    buffer[:] = bytes(BLOCK)
            if buffer[:] != content:
                sys.exit(f"wrong data at {at}")
            time.sleep(PAUSE_SECONDS)


def table(out_path: str, phases_path: str) -> None:
    with open(out_path, encoding="ascii") as out:
        samples = [(float(when), int(took)) for when, took in (line.split() for line in out)]
    print(f"{'what a host did':<34} {'seconds':>7} {'commands':>8} {'median us':>9} {'p99 us':>8} {'max us':>8}  how it ended")
    with open(phases_path, encoding="utf-8") as phases:
        for line in phases:
            begin, end, what, outcome = line.rstrip("\n").split("\t")
            took = sorted(us for when, us in samples if float(begin) <= when < float(end))
            if not took:
                sys.exit(f"the bystander did nothing during: {what}")
            print(f"{what:<34} {float(end) - float(begin):>7.1f} {len(took):>8} {took[len(took) // 2]:>9} "
                  f"{took[len(took) * 99 // 100]:>8} {took[-1]:>8}  {outcome}")


if __name__ == "__main__":
    {"probe": probe, "table": table}[sys.argv[1]](*sys.argv[2:])
