#!/usr/bin/env python3
"""usage: tcm_user_responder.py SUBTYPE LOG GATE

The smallest daemon that serves a subtype without Bulkhead: answers the kernel's events about its devices with success,
once the file GATE exists. Opens the uio device at ADDED: the kernel lets only one open it, so success tells that nobody
else has. Wire facts: include/uapi/linux/{genetlink,target_core_user}.h.
"""
import os
import select
import socket
import struct
import sys

NETLINK_GENERIC, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP = 16, 270, 1
GENL_ID_CTRL, CTRL_CMD_GETFAMILY, CTRL_FAMILY_ID, CTRL_FAMILY_NAME, CTRL_MCAST_GROUPS = 0x10, 3, 1, 2, 7
GROUP_NAME, GROUP_ID = 1, 2
NLM_F_REQUEST = 1
ADDED, REMOVED, RECONFIG, SET_FEATURES = 1, 2, 3, 7
KINDS = {ADDED: "added", REMOVED: "removed", RECONFIG: "reconfig"}
DEVICE, MINOR, CMD_STATUS, DEVICE_ID, SUPP_KERN_CMD_REPLY = 1, 2, 7, 8, 9


def attributes(data: bytes) -> dict[int, bytes]:
    found = {}
    while len(data) >= 4:
        size, kind = struct.unpack_from("=HH", data)
        found[kind & 0x3fff] = data[4:size]
        data = data[(size + 3) & ~3:]
    return found


def attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


class Line:
    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_GENERIC)
        self._socket.bind((0, 0))
        self._family = 0

    def send(self, command: int, *contents: bytes) -> None:
        body = struct.pack("=BBH", command, 2, 0) + b"".join(contents)
        family = self._family or GENL_ID_CTRL
        self._socket.send(struct.pack("=IHHII", 16 + len(body), family, NLM_F_REQUEST, 1, 0) + body)

    def receive(self) -> tuple[int, dict[int, bytes]]:
        """The next message of our family: its command and attributes."""
        while True:
            data = self._socket.recv(65536)
            size, family = struct.unpack_from("=IH", data)
            if family == (self._family or GENL_ID_CTRL):
                return data[16], attributes(data[20:size])

    def join(self) -> None:
        self.send(CTRL_CMD_GETFAMILY, attribute(CTRL_FAMILY_NAME, b"TCM-USER\0"))
        about = self.receive()[1]
        groups = [attributes(group) for group in attributes(about[CTRL_MCAST_GROUPS]).values()]
        number = next(group[GROUP_ID] for group in groups if group[GROUP_NAME] == b"config\0")
        self._socket.setsockopt(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, struct.unpack("=I", number)[0])
        self._family = struct.unpack("=H", about[CTRL_FAMILY_ID])[0]
        self.send(SET_FEATURES, attribute(SUPP_KERN_CMD_REPLY, b"\1"))


def wait_for(gate: str) -> None:
    while not os.path.exists(gate):
        select.select([], [], [], 0.05)


def main() -> None:
    subtype, log, gate = sys.argv[1:]
    line = Line()
    line.join()
    notes = open(log, "w", buffering=1)
    notes.write("listening\n")
    opened: dict[int, int] = {}
    while True:
        command, about = line.receive()
        if command not in KINDS:
            continue
        name = about[DEVICE].rstrip(b"\0").decode()
        if name.split("/")[3] != subtype:
            continue
        minor = struct.unpack("=I", about[MINOR])[0]
        notes.write(f"{KINDS[command]} {name} uio{minor}\n")
        wait_for(gate)
        if command == ADDED:
            opened[minor] = os.open(f"/dev/uio{minor}", os.O_RDWR | os.O_CLOEXEC)
            notes.write(f"opened uio{minor}\n")
        if command == REMOVED:
            os.close(opened.pop(minor))
        line.send(command + 3, attribute(CMD_STATUS, struct.pack("=i", 0)), attribute(DEVICE_ID, about[DEVICE_ID]))
        notes.write(f"answered {KINDS[command]} {name}\n")


main()
