#!/usr/bin/env python3
"""Records that are known to be synced, in files of 16 records each, so that directories and inodes change too.

    synced_records.py write FOLDER STATE MARK-COMMAND   until STATE/stop exists; after every tenth record that fsync() has
                                                        acknowledged, MARK-COMMAND is run with "acked=N" added
    synced_records.py check FOLDER N                    the first N records are there
"""

import hashlib
import os
import shlex
import subprocess
import sys

RECORD = 2048
PER_FILE = 16


def content(number: int) -> bytes:
    return hashlib.sha256(b"%d" % number).digest() * (RECORD // 32)


def path(folder: str, number: int) -> str:
    return os.path.join(folder, f"records-{number // PER_FILE}")


def sync_folder(folder: str) -> None:
    fd = os.open(folder, os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)


def write(folder: str, state: str, mark: list[str]) -> None:
    number = 0
    while not os.path.exists(os.path.join(state, "stop")):
        fd = os.open(path(folder, number), os.O_WRONLY | os.O_CREAT, 0o600)
        os.pwrite(fd, content(number), number % PER_FILE * RECORD)
        os.fsync(fd)
        os.close(fd)
        if number % PER_FILE == 0:
            sync_folder(folder)
        number += 1
        if number % 10 == 0:
            subprocess.run([*mark, f"acked={number}"], check=True)
            with open(os.path.join(state, "acked.new"), "w") as told:
                told.write(f"{number}\n")
            os.rename(told.name, os.path.join(state, "acked"))


def check(folder: str, count: int) -> None:
    for number in range(count):
        with open(path(folder, number), "rb") as file:
            file.seek(number % PER_FILE * RECORD)
            if file.read(RECORD) != content(number):
                sys.exit(f"record {number} of {count} that were synced is lost")


if __name__ == "__main__":
    if sys.argv[1] == "write":
        write(sys.argv[2], sys.argv[3], shlex.split(sys.argv[4]))
    else:
        check(sys.argv[2], int(sys.argv[3]))
