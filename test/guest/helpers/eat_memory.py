#!/usr/bin/env python3
"""Fills memory, a mark in each page, and then looks whether every mark is there: what was swapped out must come back.

eat_memory.py MIB    status 0: all came back; 1: the first that did not is named
"""

import mmap
import struct
import sys

PAGE = 4096


def mark(number: int) -> bytes:
    return struct.pack("<QQ", number, number * 0x9E3779B97F4A7C15 % 2**64)


def main(mebibytes: int) -> None:
    pages = mebibytes * 256
    memory = mmap.mmap(-1, pages * PAGE)
    for number in range(pages):
        memory[number * PAGE : number * PAGE + 16] = mark(number)
    print("full", flush=True)
    for number in range(pages):
        if memory[number * PAGE : number * PAGE + 16] != mark(number):
            sys.exit(f"page {number} did not come back as it was written")


if __name__ == "__main__":
    main(int(sys.argv[1]))
