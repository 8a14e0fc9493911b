"""The in-kernel parser, by BPF_PROG_TEST_RUN: every frame ends in the counter that it should."""

from __future__ import annotations

import ctypes
import struct

import numpy as np
import pytest

from upfml import events, frames
from upfml.capture import collector
from upfml.features import Definition
from upfml.flowkey import TCP, UDP
from upfml.flowtable import FlowTable
from upfml.testrun import XDP_PASS, TestRun

UE, DN = "10.60.0.1", "10.70.0.1"
UDP_IN_IPV4 = frames.ipv4(UE, DN, UDP, frames.udp(40_000, 5_001, bytes(32)))


class Collector:
    """The real collector with its events and counters."""

    def __init__(self) -> None:
        self.module = collector(Definition(500_000_000, 1_000), FlowTable(), replay=True)
        self._run = TestRun(self.module.load("collect"))
        self._raw = bytearray()
        size = events.PACKET_EVENT.itemsize
        self.module.read_events("packets", lambda _c, data, _s: self._raw.extend(ctypes.string_at(data, size)), 8)

    def __call__(self, frame: bytes, t_ns: int = 0) -> tuple[set[str], np.ndarray]:
        """The counters that moved, and the events that came, for one frame."""
        before = self.module.counters()
        self._raw.clear()
        assert self._run(frame, t_ns) == XDP_PASS
        self.module.poll(0)
        after = self.module.counters()
        return {name for name in after if after[name] != before[name]}, np.frombuffer(
            bytes(self._raw), events.PACKET_EVENT
        )


@pytest.fixture(scope="module")
def collect() -> Collector:
    return Collector()


def n3_ipv4(protocol: int, payload: bytes, *, fragment: int = 0, options: bytes = b"") -> bytes:
    """An Ethernet frame with an outer IPv4 packet."""
    words = 5 + len(options) // 4
    header = struct.pack("!BBHHHBBH", 0x40 | words, 0, 4 * words + len(payload), 0, fragment, 64, protocol, 0)
    return bytes(12) + b"\x08\x00" + header + bytes([10, 200, 0, 1, 10, 200, 0, 2]) + options + payload


def gtpu_frame(gtpu: bytes, **outer: object) -> bytes:
    return n3_ipv4(UDP, frames.udp(2152, 2152, gtpu), **outer)  # type: ignore[arg-type]


def with_extensions(*extensions: tuple[int, bytes]) -> bytes:
    """A G-PDU with a chain of extension headers: (type, content of 4n-2 bytes)."""
    types = [*(kind for kind, _ in extensions), 0]
    chain = b"".join(
        bytes([(len(content) + 2) // 4]) + content + bytes([following])
        for (_, content), following in zip(extensions, types[1:], strict=True)
    )
    body = bytes(3) + bytes([types[0]]) + chain + UDP_IN_IPV4
    return struct.pack("!BBHI", 0x34, 255, len(body), 77) + body


PSC = (0x85, bytes([0x10, 9]))
PDCP = (0xC0, bytes([1, 2]))
LONG = (0x20, bytes(6))

FLOW_FRAMES = {
    "psc": frames.n3(UDP_IN_IPV4, teid=77),
    "no optional fields": frames.n3(UDP_IN_IPV4, teid=77, qfi=None),
    "sequence number only": gtpu_frame(struct.pack("!BBHIHBB", 0x32, 255, 64, 77, 20_000, 0, 0) + UDP_IN_IPV4),
    # without E the next-type byte means nothing (TS 29.281, 5.1)
    "n-pdu number only": gtpu_frame(struct.pack("!BBHIHBB", 0x31, 255, 64, 77, 0, 3, 0x85) + UDP_IN_IPV4),
    "two extensions": gtpu_frame(with_extensions(PDCP, PSC)),
    "a long extension": gtpu_frame(with_extensions(LONG, PSC)),
    "four extensions": gtpu_frame(with_extensions(PDCP, LONG, PSC, PDCP)),
    "ipv4 options": gtpu_frame(frames.gtpu(77, UDP_IN_IPV4), options=bytes([1] * 8)),
    "first fragment": gtpu_frame(frames.gtpu(77, UDP_IN_IPV4), fragment=0x2000),
    "vlan": (f := frames.n3(UDP_IN_IPV4, teid=77))[:12] + b"\x81\x00\x00\x07" + f[12:],
    "qinq": f[:12] + b"\x88\xa8\x00\x05\x81\x00\x00\x07" + f[12:],
    "outer ipv6": f[:12]
    + b"\x86\xdd"
    + frames.ipv6("fd00::1", "fd00::2", UDP, frames.udp(2152, 2152, frames.gtpu(77, UDP_IN_IPV4))),
}


@pytest.mark.parametrize("name", FLOW_FRAMES)
def test_finds_the_inner_flow(collect: Collector, name: str) -> None:
    moved, seen = collect(FLOW_FRAMES[name])
    assert moved == {"flow", "event_sent"}
    assert events.five_tuple(seen["key"][0].tobytes()) == (UE, 40_000, DN, 5_001, UDP)
    assert seen["teid"][0] == 77
    assert seen["length_bytes"][0] == len(UDP_IN_IPV4)
    has_container = name not in ("no optional fields", "sequence number only", "n-pdu number only")
    assert seen["qfi"][0] == (9 if has_container else -1)


def test_reads_tcp_fields(collect: Collector) -> None:
    segment = frames.tcp(80, 41_000, bytes(100), seq=0xDEADBEEF, ack=0x01020304, flags=0x18, window=4321)
    _, seen = collect(frames.n3(frames.ipv4(UE, DN, TCP, segment)))
    assert events.five_tuple(seen["key"][0].tobytes()) == (UE, 80, DN, 41_000, TCP)
    names = ("tcp_seq", "tcp_ack", "tcp_flags", "tcp_window", "tcp_data_offset_bytes", "length_bytes")
    assert [int(seen[name][0]) for name in names] == [0xDEADBEEF, 0x01020304, 0x18, 4321, 20, 140]


def test_reads_inner_ipv6_with_extension_headers(collect: Collector) -> None:
    datagram = frames.udp(1, 2, b"")
    hop_by_hop = bytes([60, 0]) + bytes(6)  # then destination options
    destination = bytes([UDP, 1]) + bytes(14)
    inner = frames.ipv6("2001:db8::1", "2001:db8::2", 0, hop_by_hop + destination + datagram)
    _, seen = collect(frames.n3(inner))
    assert events.five_tuple(seen["key"][0].tobytes()) == ("2001:db8::1", 1, "2001:db8::2", 2, UDP)


OTHER_FRAMES = {
    "not_ip": bytes(12) + b"\x08\x06" + bytes(28),
    "not_udp": n3_ipv4(1, bytes(16)),
    "not_gtpu": n3_ipv4(UDP, frames.udp(53, 53, bytes(16))),
    "outer_fragment": gtpu_frame(frames.gtpu(1, UDP_IN_IPV4), fragment=100),
    "gtpu_version": gtpu_frame(b"\x50" + frames.gtpu(1, UDP_IN_IPV4)[1:]),
    "gtpu_not_gpdu": gtpu_frame(struct.pack("!BBHI", 0x32, 1, 4, 0) + bytes(4)),
    "gtpu_extensions": gtpu_frame(with_extensions(PSC, PDCP, PDCP, PDCP, PDCP)),
    "inner_not_ip": frames.n3(bytes(40)),
    "inner_fragment": frames.n3(UDP_IN_IPV4[:6] + struct.pack("!H", 10) + UDP_IN_IPV4[8:]),
    "inner_no_ports": frames.n3(frames.ipv4(UE, DN, 1, bytes(8))),
    "inner_extensions": frames.n3(frames.ipv6("::1", "::2", 0, (bytes([0, 0]) + bytes(6)) * 5)),
}


@pytest.mark.parametrize("counter", OTHER_FRAMES)
def test_counts_why_a_packet_is_not_followed(collect: Collector, counter: str) -> None:
    moved, seen = collect(OTHER_FRAMES[counter])
    assert moved == {counter}
    assert len(seen) == 0


def test_extension_of_length_zero_ends_the_walk(collect: Collector) -> None:
    gtpu = struct.pack("!BBHIHBB", 0x34, 255, 64, 1, 0, 0, 0x85) + bytes(4) + UDP_IN_IPV4
    assert collect(gtpu_frame(gtpu))[0] == {"gtpu_extensions"}


@pytest.mark.parametrize("name", ["psc", "four extensions", "qinq", "outer ipv6"])
def test_every_cut_is_truncated(collect: Collector, name: str) -> None:
    """However a frame is cut, the parser says so and makes no event, until the inner UDP header is whole."""
    frame = FLOW_FRAMES[name]
    headers = len(frame) - 32  # the payload
    for length in range(14, headers):
        moved, _ = collect(frame[:length])
        assert moved == {"truncated"}, length
    assert collect(frame[:headers])[0] == {"flow", "event_sent"}


def test_iat_is_per_flow_in_the_kernel(collect: Collector) -> None:
    flows = [frames.n3(frames.inner(UE, port, DN, 5_001, UDP, 60)) for port in (50_001, 50_002)]
    times = [(0, 1_000), (1, 1_500), (0, 4_000), (1, 11_500), (0, 4_000)]
    iats = [int(collect(flows[flow], t_ns)[1]["iat_ns"][0]) for flow, t_ns in times]
    assert iats == [-1, -1, 3_000, 10_000, 0]


def test_a_clock_that_goes_backwards_is_an_iat_of_zero(collect: Collector) -> None:
    frame = frames.n3(frames.inner(UE, 50_009, DN, 5_001, UDP, 60))
    iats = [int(collect(frame, t_ns)[1]["iat_ns"][0]) for t_ns in (1_000, 5_000, 3_000, 6_000)]
    assert iats == [-1, 4_000, 0, 1_000]
