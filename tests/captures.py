"""Captures for tests: pcap files of given frames, and synthetic traffic of two kinds."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from upfml.base.flowkey import UDP
from upfml.packets import frames

ETHERNET, RAW, COOKED, COOKED2, WIFI = 1, 101, 113, 276, 105
"""Link types (tcpdump.org/linktypes.html)."""
START_NS = 1_700_000_000_123_456_789


def write_pcap(path: Path, packets: Iterable[tuple[int, bytes]], link_type: int = ETHERNET) -> Path:
    """A pcap file (nanoseconds, little-endian) of (arrival in ns, frame)."""
    pieces = [struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 262_144, link_type)]
    for t_ns, frame in packets:
        pieces += [struct.pack("<IIII", *divmod(t_ns, 10**9), len(frame), len(frame)), frame]
    path.write_bytes(b"".join(pieces))
    return path


def traffic(
    first_port: int, flows: int, packets: int, *, regular: bool, seed: int = 0, mean_iat_ns: float = 10e6
) -> list[tuple[int, bytes]]:
    """(arrival in ns, inner IP packet) of UDP flows, in order of time: each nearly periodic, or a Poisson process."""
    random = np.random.default_rng(seed)
    made: list[tuple[int, bytes]] = []
    for port in range(first_port, first_port + flows):
        gaps = (
            random.normal(mean_iat_ns, mean_iat_ns / 100, packets)
            if regular
            else random.exponential(mean_iat_ns, packets)
        )
        times = START_NS + port + np.cumsum(np.maximum(gaps, 0).astype("int64"))
        inner = frames.inner("10.60.0.1", port, "10.70.0.1", 5_001, UDP, 60 + port % 1_000)
        made += [(t_ns, inner) for t_ns in times.tolist()]
    return sorted(made, key=lambda packet: packet[0])


def tunnelled(packets: Iterable[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
    """The same on N3."""
    return [(t_ns, frames.n3(inner, teid=77)) for t_ns, inner in packets]
