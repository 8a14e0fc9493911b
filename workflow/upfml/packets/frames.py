"""Build the frame that a row of the packets table came from: for replay and for tests.

Ethernet, IPv4, UDP, GTP-U with a PDU Session Container (TS 29.281, TS 38.415), then the inner packet. Payload bytes
are zero, and so are the checksums of TCP and UDP: nothing on a packet's way to the data network reads them.
"""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Iterator

import numpy as np
import pandas as pd

from upfml.base.flowkey import FIVE_TUPLE, TCP
from upfml.bpf.testrun import RECORD

GTPU_PORT = 2152
_ETHERNET = bytes.fromhex("0200000000020200000000010800")


def ipv4(src: str, dst: str, protocol: int, payload: bytes) -> bytes:
    """An IPv4 packet (RFC 791) without options."""
    header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 0, 0, 64, protocol, 0)
    header += ipaddress.IPv4Address(src).packed + ipaddress.IPv4Address(dst).packed
    checksum: int = -sum(struct.unpack("!10H", header)) % 0xFFFF  # RFC 1071: ones' complement
    return header[:10] + checksum.to_bytes(2) + header[12:] + payload


def ipv6(src: str, dst: str, protocol: int, payload: bytes) -> bytes:
    """An IPv6 packet (RFC 8200) without extension headers."""
    header = struct.pack("!IHBB", 6 << 28, len(payload), protocol, 64)
    return header + ipaddress.IPv6Address(src).packed + ipaddress.IPv6Address(dst).packed + payload


def udp(src_port: int, dst_port: int, payload: bytes) -> bytes:
    """A UDP datagram (RFC 768)."""
    return struct.pack("!HHHH", src_port, dst_port, 8 + len(payload), 0) + payload


def tcp(
    src_port: int, dst_port: int, payload: bytes, *, seq: int = 0, ack: int = 0, flags: int = 0x10, window: int = 512
) -> bytes:
    """A TCP segment (RFC 9293) without options."""
    return struct.pack("!HHIIBBHHH", src_port, dst_port, seq, ack, 5 << 4, flags, window, 0, 0) + payload


def gtpu(teid: int, payload: bytes, *, qfi: int | None = 9) -> bytes:
    """A G-PDU; with an uplink PDU Session Container unless `qfi` is None."""
    if qfi is None:
        return struct.pack("!BBHI", 0x30, 255, len(payload), teid) + payload
    container = struct.pack("!HBBBBBB", 0, 0, 0x85, 1, 0x10, qfi, 0)
    return struct.pack("!BBHI", 0x34, 255, len(container) + len(payload), teid) + container + payload


def n3(inner: bytes, *, teid: int = 1, qfi: int | None = 9) -> bytes:
    """The Ethernet frame on N3 that carries an inner IP packet."""
    return _ETHERNET + ipv4("10.200.0.1", "10.200.0.2", 17, udp(GTPU_PORT, GTPU_PORT, gtpu(teid, inner, qfi=qfi)))


def inner(src: str, src_port: int, dst: str, dst_port: int, protocol: int, length_bytes: int) -> bytes:
    """An inner TCP or UDP packet of a length, at least that of its headers."""
    is_v6 = ":" in src
    headers = (40 if is_v6 else 20) + (20 if protocol == TCP else 8)
    transport = (tcp if protocol == TCP else udp)(src_port, dst_port, bytes(max(0, length_bytes - headers)))
    return (ipv6 if is_v6 else ipv4)(src, dst, protocol, transport)


_FRAME_BYTES = 120
"""Of every frame in a batch: the headers that `n3` and `inner` make are within, and nothing reads further."""


def batches(packets: pd.DataFrame, rows: int) -> Iterator[np.ndarray]:
    """The frames of a packets table's rows as batches of at most `rows` records (testrun.RECORD, frame).

    Each has shape (records, bytes of a record).
    """
    # Packets of one flow and one length are alike but for their time.
    alike = [*FIVE_TUPLE, "length_bytes"]
    kind = packets.groupby(alike, sort=False, observed=True).ngroup().to_numpy()
    kinds = packets[alike].drop_duplicates()
    records = np.zeros((len(kinds), RECORD.itemsize + _FRAME_BYTES), np.uint8)
    records[:, : RECORD.itemsize].view(RECORD)["frame_bytes"] = _FRAME_BYTES
    for record, packet in zip(records, kinds.itertuples(index=False, name=None), strict=True):
        frame = n3(inner(*packet))[:_FRAME_BYTES]
        record[RECORD.itemsize :][: len(frame)] = np.frombuffer(frame, np.uint8)
    times = packets["t_ns"].to_numpy()
    for start in range(0, len(packets), rows):
        batch = records[kind[start : start + rows]]
        batch[:, : RECORD.itemsize].view(RECORD)["t_ns"] = times[start : start + rows, np.newaxis]
        yield batch
