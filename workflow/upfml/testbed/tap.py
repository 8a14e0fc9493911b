"""What comes and goes on N3 for a UE: a program that counts its GTP-U packets by direction, TEID and QFI.

    python -m upfml.testbed.tap DEVICE UE

It says a line when it listens, and at the end of its input, or at any line of it, the counts as JSON: keys are
`uplink teid 0x… qfi …`, `downlink …` (qfi `-` without a PDU Session Container, 3GPP TS 38.415), `other session` for
GTP-U of another UE, `arp` and `other`. Uplink is what comes in.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import socket
import struct
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from upfml.errors import UserError
from upfml.testbed.host import Host, stop

_PATIENCE_S = 30.0
_ETH_P_ALL = 3
_SO_RCVBUFFORCE = 33  # asm-generic/socket.h; Python has no name for it
_BUFFER_BYTES = 16 << 20  # all packets wait in it until they are counted
_ARP, _IPV4 = b"\x08\x06", b"\x08\x00"
_ETHERNET_BYTES, _UDP_BYTES = 14, 8
_UDP, _GTPU_PORT, _G_PDU = 17, 2152, 0xFF
_PDU_SESSION_CONTAINER = 0x85
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
                f"N3 cannot be listened to: {log.read_text()[-500:]}", f"is {device} there? See `snakemake provision`"
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
    address = ipaddress.IPv4Address(ue).packed
    seen: Counter[str] = Counter()
    while True:
        try:
            frame, (_, _, kind, *_) = tap.recvfrom(65536)
        except BlockingIOError:
            return seen
        seen[_named(frame, "downlink" if kind == _PACKET_OUTGOING else "uplink", address)] += 1


def _named(frame: bytes, direction: str, ue: bytes) -> str:
    if frame[12:14] == _ARP:
        return "arp"
    udp_at = _ETHERNET_BYTES + 4 * (frame[_ETHERNET_BYTES] & 0xF) if len(frame) > _ETHERNET_BYTES else 0
    gtpu = frame[udp_at + _UDP_BYTES :]
    if (
        frame[12:14] != _IPV4
        or frame[_ETHERNET_BYTES + 9] != _UDP
        or struct.unpack_from("!H", frame, udp_at + 2)[0] != _GTPU_PORT
        or len(gtpu) < 12
        or gtpu[1] != _G_PDU
    ):
        return "other"
    # TS 29.281, 5.1: with one of the flags E, S, PN there are four more bytes, of which the last is the type of the
    # first extension header; each of these has its length in its first byte, and the next one's type in its last.
    qfi, inner_at, extension = "-", 8, 0
    if gtpu[0] & 0x07:
        inner_at, extension = 12, gtpu[11] if gtpu[0] & 0x04 else 0
    while extension and gtpu[inner_at : inner_at + 1] > b"\0":
        if extension == _PDU_SESSION_CONTAINER:
            qfi = str(gtpu[inner_at + 2] & 0x3F)
        inner_at += 4 * gtpu[inner_at]
        extension = gtpu[inner_at - 1]
    if ue not in (gtpu[inner_at + 12 : inner_at + 16], gtpu[inner_at + 16 : inner_at + 20]):
        return "other session"
    return f"{direction} teid {struct.unpack_from('!I', gtpu, 4)[0]:#x} qfi {qfi}"


def main() -> None:
    """Listen until told."""
    device, ue = sys.argv[1:]
    tap = listen(device)
    print("listening", flush=True)
    sys.stdin.readline()
    print(json.dumps(read(tap, ue)), flush=True)


if __name__ == "__main__":
    main()
