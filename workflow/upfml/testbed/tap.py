"""What comes and goes on N3: a program that counts the GTP-U packets of each direction, TEID and QFI.

    python -m upfml.testbed.tap DEVICE

It says a line when it listens, and at the end of its input, or at any line of it, the counts as JSON: keys are
`uplink TEID QFI` and `downlink TEID QFI` (QFI `-` without a PDU Session Container, 3GPP TS 38.415), `arp` and `other`.
Uplink is what the device's neighbour has sent.
"""

from __future__ import annotations

import json
import socket
import struct
import sys
from collections import Counter

_ETH_P_ALL = 3
_SO_RCVBUFFORCE = 33  # asm-generic/socket.h; Python has no name for it
_BUFFER_BYTES = 16 << 20  # all packets wait in it until they are counted
_ARP, _IPV4 = b"\x08\x06", b"\x08\x00"
_ETHERNET_BYTES, _UDP_BYTES = 14, 8
_UDP, _GTPU_PORT, _G_PDU = 17, 2152, 0xFF
_PDU_SESSION_CONTAINER = 0x85
_PACKET_OUTGOING = 4  # linux/if_packet.h


def listen(device: str) -> socket.socket:
    """A socket that gets all packets of a device of this process's network namespace."""
    tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL))
    tap.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER_BYTES)
    tap.bind((device, 0))
    tap.setblocking(False)
    return tap


def read(tap: socket.socket) -> Counter[str]:
    """Count what it has got."""
    seen: Counter[str] = Counter()
    while True:
        try:
            frame, (_, _, kind, *_) = tap.recvfrom(65536)
        except BlockingIOError:
            return seen
        seen[_named(frame, "downlink" if kind == _PACKET_OUTGOING else "uplink")] += 1


def _named(frame: bytes, direction: str) -> str:
    if frame[12:14] == _ARP:
        return "arp"
    udp_at = _ETHERNET_BYTES + 4 * (frame[_ETHERNET_BYTES] & 0xF) if len(frame) > _ETHERNET_BYTES else 0
    gtpu = frame[udp_at + _UDP_BYTES :]
    if (
        frame[12:14] != _IPV4
        or frame[_ETHERNET_BYTES + 9] != _UDP
        or struct.unpack_from("!H", frame, udp_at + 2)[0] != _GTPU_PORT
        or len(gtpu) < 8
        or gtpu[1] != _G_PDU
    ):
        return "other"
    # TS 29.281, 5.1: with flag E there are four more bytes, of which the last is the first extension header's type.
    extended = gtpu[0] & 0x04 and len(gtpu) > 14 and gtpu[11] == _PDU_SESSION_CONTAINER
    qfi = str(gtpu[14] & 0x3F) if extended else "-"
    return f"{direction} {struct.unpack_from('!I', gtpu, 4)[0]:#x} {qfi}"


def main() -> None:
    """Listen until told."""
    tap = listen(sys.argv[1])
    print("listening", flush=True)
    sys.stdin.readline()
    print(json.dumps(read(tap)), flush=True)


if __name__ == "__main__":
    main()
