#!/usr/bin/env python3
"""Replays a write log of dm-log-writes: what a disk would hold if the power had failed after any of its writes.

The log (kernel: Documentation/admin-guide/device-mapper/log-writes.rst, drivers/md/dm-log-writes.c), little-endian, in units
of the super block's sector size:
    super block   one sector:  u64 magic, u64 version 1, u64 number of entries, u32 sector size
    entry         one sector:  u64 sector, u64 sectors, u64 flags, u64 bytes of data behind this header; then that data,
                  which only a mark has: its text
                  then the written sectors, but for a discard or a mark
A write is in the log behind every write that a flush between them has made durable, so each prefix of the log is a state in
which a crash may leave the disk.

    write_log.py list LOG                 one line per entry: NUMBER TEXT-OF-MARK (= as a blank) | NUMBER flush | NUMBER write
    write_log.py replay LOG TO FROM END   does entries FROM..END-1 to TO, a file or a device
"""

import struct
import sys
from typing import BinaryIO, Iterator, NamedTuple

MAGIC, VERSION = 0x6A736677736872, 1
FLUSH, FUA, DISCARD, MARK = 1, 2, 4, 8


class Entry(NamedTuple):
    number: int
    sector: int
    sectors: int
    flags: int
    text: str
    at: int  # where the written data lies in the log


class Log:
    def __init__(self, path: str) -> None:
        self.file: BinaryIO = open(path, "rb")
        magic, version, self.entries, self.sector_bytes = struct.unpack("<QQQI", self.file.read(28))
        if magic != MAGIC or version != VERSION:
            sys.exit(f"{path} is no log of dm-log-writes")

    def __iter__(self) -> Iterator[Entry]:
        at = self.sector_bytes
        for number in range(self.entries):
            self.file.seek(at)
            head = self.file.read(self.sector_bytes)
            sector, sectors, flags, length = struct.unpack_from("<QQQQ", head)
            text = head[32 : 32 + length].rstrip(b"\0").decode() if flags & MARK else ""
            at += self.sector_bytes
            yield Entry(number, sector, sectors, flags, text, at)
            if not flags & (DISCARD | MARK):
                at += sectors * self.sector_bytes

    def replay(self, to: BinaryIO, first: int, end: int) -> None:
        for entry in self:
            if entry.number >= end:
                return
            if entry.number < first or entry.flags & MARK or entry.sectors == 0:
                continue
            length = entry.sectors * self.sector_bytes
            self.file.seek(entry.at)
            data = bytes(length) if entry.flags & DISCARD else self.file.read(length)
            if len(data) != length:
                sys.exit(f"entry {entry.number} is cut off")
            to.seek(entry.sector * self.sector_bytes)
            to.write(data)


def main(arguments: list[str]) -> None:
    log = Log(arguments[1])
    if arguments[0] == "list":
        for entry in log:
            print(entry.number, entry.text.replace("=", " ") or ("flush" if entry.flags & (FLUSH | FUA) else "write"))
    else:
        with open(arguments[2], "r+b") as to:
            log.replay(to, int(arguments[3]), int(arguments[4]))


if __name__ == "__main__":
    main(sys.argv[1:])
