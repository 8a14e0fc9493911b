"""Does the test bed carry traffic as a 5G user plane does? TCP and UDP both ways, seen on N3 inside GTP-U."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from upfml.base.errors import UserError
from upfml.testbed.bed import Bed
from upfml.testbed.host import stop
from upfml.testbed.tap import tapped

_PORT = 7
_SEE_PROVISION = "see `snakemake provision`"
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
kind, address, port, here, size = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4], int(sys.argv[5])
client = socket.socket(socket.AF_INET, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
client.settimeout(5)
client.bind((here, 0))
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


def check(bed: Bed, work: Path) -> dict[str, Any]:
    """Echo TCP (100 kB) and UDP (1,000 bytes) between UE and data network; what was seen on N3 (tap.py).

    Raises UserError when an echo fails, or when N3 showed no GTP-U of a direction, or, where N3 is the experiment's
    alone, anything else but GTP-U and ARP.
    """
    with tapped(bed.upf, bed.n3_device, bed.ue_address, work / "tap.log") as seen:
        for kind, size in (("tcp", 100_000), ("udp", 1_000)):
            echo(bed, kind, size, work)
    for direction in ("uplink", "downlink"):
        if not any(name.startswith(direction) for name in seen):
            raise UserError(f"no {direction} GTP-U was seen on N3 ({bed.n3_device}): {seen}", _SEE_PROVISION)
    if bed.n3_is_ours and seen.get("other"):
        raise UserError(f"{seen['other']} packets on N3 are not in GTP-U", "see bpf/upf.bpf.c: encapsulation failed")
    return {**bed.facts(), "seen_on_n3": seen}


def echo(bed: Bed, kind: str, size: int, work: Path) -> None:
    """Send `size` bytes from UE to data network and back, tcp or udp. Raises UserError when they do not arrive."""
    arguments = [kind, bed.dn_address, str(_PORT)]
    server = bed.dn.start([bed.dn.python, "-c", _ECHO, *arguments], log=work / f"echo-{kind}.log")
    time.sleep(0.5)
    try:
        done = bed.ran.run([bed.ran.python, "-c", _ASK, *arguments, bed.ue_address, str(size)])
    finally:
        stop(server)
    if done.returncode:
        raise UserError(
            f"{kind} does not get from UE to data network and back through GTP-U: {done.stderr[-500:]}", _SEE_PROVISION
        )
