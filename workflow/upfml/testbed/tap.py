"""What comes and goes on N3 for a UE: a program that counts its GTP-U packets by direction, TEID and QFI.

    python -m upfml.testbed.tap DEVICE UE

It says a line when it listens, and at the end of its input, or at any line of it, the counts as JSON: keys are
`uplink teid 0x… qfi …` and `downlink …` for the UE's TCP and UDP (qfi `-` without a PDU Session Container, 3GPP TS
38.415), `other session` for another UE's, `arp`, `other` for what is not in GTP-U, and the parser's word for what else
is. Uplink is what comes in.
"""

from __future__ import annotations

import contextlib
import json
import socket
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from upfml.base.errors import UserError
from upfml.reference.parser import NO_QFI, parse
from upfml.testbed.host import Host, stop

_PATIENCE_S = 30.0
_ETH_P_ALL = 3
_SO_RCVBUFFORCE = 33  # asm-generic/socket.h; Python has no name for it
_BUFFER_BYTES = 16 << 20  # all packets wait in it until they are counted
_ARP = b"\x08\x06"
_PACKET_OUTGOING = 4  # linux/if_packet.h


@contextlib.contextmanager
def tapped(upf: Host, device: str, ue: str, log: Path) -> Iterator[dict[str, int]]:
    """Count what passes a device of the UPF during the block; the counts are there after it.

    Raises UserError when the device cannot be listened to.
    """
    tap = upf.start([upf.python, "-m", "upfml.testbed.tap", device, ue], log=log, talks=True)
    seen: dict[str, int] = {}
    try:
        if not tap.hear(_PATIENCE_S):
            raise UserError(
                f"cannot listen on N3: {log.read_text()[-500:]}", f"is {device} there? See `snakemake provision`"
            )
        yield seen
        tap.tell("")
        seen |= json.loads(tap.hear(_PATIENCE_S) or "{}")
    finally:
        stop(tap)


def listen(device: str) -> socket.socket:
    """A socket that gets all packets of a device of this process's network namespace."""
    tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL))
    tap.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER_BYTES)
    tap.bind((device, 0))
    tap.setblocking(False)
    return tap


def read(tap: socket.socket, ue: str) -> Counter[str]:
    """Count what it has got, by what it is to the UE with this IPv4 address."""
    seen: Counter[str] = Counter()
    while True:
        try:
            frame, (_, _, kind, *_) = tap.recvfrom(65536)
        except BlockingIOError:
            return seen
        seen[named(frame, "downlink" if kind == _PACKET_OUTGOING else "uplink", ue)] += 1


def named(frame: bytes, direction: str, ue: str) -> str:
    """The key under which a frame is counted."""
    if frame[12:14] == _ARP:
        return "arp"
    parsed = parse(frame)
    if parsed.packet is None:
        return parsed.outcome if "gtpu" in parsed.headers else "other"
    packet = parsed.packet
    if ue not in (packet.src, packet.dst):
        return "other session"
    return f"{direction} teid {packet.teid:#x} qfi {'-' if packet.qfi == NO_QFI else packet.qfi}"


def main() -> None:
    """Listen until told."""
    device, ue = sys.argv[1:]
    tap = listen(device)
    print("listening", flush=True)
    sys.stdin.readline()
    print(json.dumps(read(tap, ue)), flush=True)


if __name__ == "__main__":
    main()
