"""Does the test bed carry traffic as a 5G user plane does? TCP and UDP both ways, seen on N3 inside GTP-U."""

from __future__ import annotations

import socket
import struct
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from upfml.errors import UserError
from upfml.testbed.namespaces import DOWNLINK_TEID, QFI, UPLINK_TEID, Namespaces, inside

_PORT = 7
_ECHO = """
import socket, sys
kind, address, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
server = socket.socket(socket.AF_INET, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
server.bind((address, port))
if kind == "tcp":
    server.listen()
    connection = server.accept()[0]
    while data := connection.recv(65536):
        connection.sendall(data)
else:
    data, peer = server.recvfrom(65536)
    server.sendto(data, peer)
"""
_ASK = """
import socket, sys, time
kind, address, port, size = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
client = socket.socket(socket.AF_INET, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
client.settimeout(5)
for _ in range(50):
    try:
        client.connect((address, port))
        break
    except ConnectionRefusedError:
        time.sleep(0.1)
sent = bytes(size)
client.sendall(sent)
got = b""
while len(got) < size:
    got += client.recv(65536)
sys.exit(got != sent)
"""
_ETH_P_ALL = 3
_SO_RCVBUFFORCE = 33  # asm-generic/socket.h; Python has no name for it
_TAP_BYTES = 16 << 20  # all packets of the check wait in it until they are read
_GTPU_AT = 14 + 20 + 8
"""Ethernet, IPv4, UDP."""


def check(bed: Namespaces, work: Path) -> dict[str, Any]:
    """Echo TCP (100 kB) and UDP (1,000 bytes) between UE and data network; what was seen on N3.

    Raises UserError when an echo fails, or when N3 showed no GTP-U of a direction or anything else but GTP-U and ARP.
    """
    with inside(bed.upf.namespace):
        tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL))
    with tap:
        tap.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _TAP_BYTES)
        tap.bind((bed.n3_device, 0))
        tap.setblocking(False)
        for kind, size in (("tcp", 100_000), ("udp", 1_000)):
            echo(bed, kind, size, work)
        seen = _read(tap)
    for direction, teid in (("uplink", UPLINK_TEID), ("downlink", DOWNLINK_TEID)):
        if not seen[f"teid {teid:#x} qfi {QFI}"]:
            raise UserError(f"no {direction} GTP-U was seen on N3: {dict(seen)}", "see `snakemake provision`")
    if seen["other"]:
        raise UserError(f"{seen['other']} packets on N3 are not in GTP-U", "see bpf/upf.bpf.c: encapsulation failed")
    return {**bed.facts(), "seen_on_n3": dict(seen)}


def echo(bed: Namespaces, kind: str, size: int, work: Path) -> None:
    arguments = [kind, bed.dn_address, str(_PORT)]
    server = bed.dn.start([sys.executable, "-c", _ECHO, *arguments], log=work / f"echo-{kind}.log")
    time.sleep(0.5)
    try:
        client = bed.ran.command([sys.executable, "-c", _ASK, *arguments, str(size)])
        done = subprocess.run(client, capture_output=True, text=True, timeout=30)
    finally:
        server.kill()
        server.wait()
    if done.returncode:
        raise UserError(
            f"{kind} does not get from UE to data network and back through GTP-U: {done.stderr[-500:]}",
            "see `snakemake provision` for what the kernel lacks",
        )


def _read(tap: socket.socket) -> Counter[str]:
    seen: Counter[str] = Counter()
    while True:
        try:
            frame = tap.recv(65536)
        except BlockingIOError:
            return seen
        if frame[12:14] == b"\x08\x06":
            seen["arp"] += 1
        elif frame[12:14] == b"\x08\x00" and frame[_GTPU_AT : _GTPU_AT + 2] == b"\x34\xff":
            teid = struct.unpack_from("!I", frame, _GTPU_AT + 4)[0]
            seen[f"teid {teid:#x} qfi {frame[_GTPU_AT + 14]}"] += 1
        else:
            seen["other"] += 1
