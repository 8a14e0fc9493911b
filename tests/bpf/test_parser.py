"""The in-kernel parser, by BPF_PROG_TEST_RUN: every frame ends in the counter that it should."""

from __future__ import annotations

import ipaddress
import struct

import numpy as np
import pytest

from upfml.base.flowkey import TCP, UDP
from upfml.bpf import events
from upfml.bpf.flowtable import FlowTable
from upfml.bpf.module import counter_names
from upfml.bpf.ring import Ring
from upfml.bpf.testrun import XDP_PASS, TestRun
from upfml.classify.collector import collector
from upfml.packets import frames

UE, DN = "10.60.0.1", "10.70.0.1"
UDP_IN_IPV4 = frames.ipv4(UE, DN, UDP, frames.udp(40_000, 5_001, bytes(32)))


class Collector:
    """The real collector with its events and counters."""

    def __init__(self) -> None:
        self.module = collector(FlowTable(), replay=True)
        self._run = TestRun(self.module.load("collect"))
        self._ring = Ring(self.module, "packets", events.PACKET_EVENT)

    def __call__(self, frame: bytes, t_ns: int = 0) -> tuple[set[str], np.ndarray]:
        """The counters that moved, those of the flow table aside, and the events that came, for one frame."""
        before = self.module.counters()
        assert self._run(frame, t_ns) == XDP_PASS
        after = self.module.counters()
        moved = {name for name in after if after[name] != before[name]} - {"flow_new", "clock_backwards"}
        return moved, self._ring.take()


@pytest.fixture(scope="module")
def collect() -> Collector:
    return Collector()


def ipv4(protocol: int, payload: bytes, *, fragment: int = 0, options: bytes = b"") -> bytes:
    """An IPv4 packet with what frames.ipv4 leaves out."""
    words = 5 + len(options) // 4
    header = struct.pack("!BBHHHBBH", 0x40 | words, 0, 4 * words + len(payload), 0, fragment, 64, protocol, 0)
    return header + ipaddress.IPv4Address(UE).packed + ipaddress.IPv4Address(DN).packed + options + payload


def n3_ipv4(protocol: int, payload: bytes, **header: object) -> bytes:
    """An Ethernet frame with an outer IPv4 packet."""
    return bytes(12) + b"\x08\x00" + ipv4(protocol, payload, **header)  # type: ignore[arg-type]


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


def vlan(frame: bytes, *ethertypes: int) -> bytes:
    """The frame with a tag more for each ethertype, the last one innermost."""
    return frame[:12] + b"".join(struct.pack("!HH", ethertype, 7) for ethertype in ethertypes) + frame[12:]


def outer_ipv6(*extensions: tuple[int, bytes]) -> bytes:
    return bytes(12) + b"\x86\xdd" + ipv6(frames.udp(2152, 2152, frames.gtpu(77, UDP_IN_IPV4)), *extensions)


def ipv6(payload: bytes, *extensions: tuple[int, bytes], protocol: int = UDP) -> bytes:
    """An IPv6 packet with extension headers: (type, all of the header but its first byte)."""
    types = [*(kind for kind, _ in extensions), protocol]
    chain = b"".join(bytes([after]) + rest for (_, rest), after in zip(extensions, types[1:], strict=True))
    return frames.ipv6("fd00::1", "fd00::2", types[0], chain + payload)


def in_ipv6(*extensions: tuple[int, bytes]) -> bytes:
    return frames.n3(ipv6(frames.udp(40_000, 5_001, bytes(32)), *extensions), teid=77)


def in_ipv4(**header: object) -> bytes:
    return frames.n3(ipv4(UDP, frames.udp(40_000, 5_001, bytes(32)), **header), teid=77)  # type: ignore[arg-type]


def with_bytes(frame: bytes, at: int, value: bytes) -> bytes:
    """The frame with other bytes from offset `at` on."""
    return frame[:at] + value + frame[at + len(value) :]


HOP_BY_HOP = (0, bytes([0, 1, 4]) + bytes(4))  # a PadN option
LONG_DESTINATION = (60, bytes([1, 1, 12]) + bytes(12))
ROUTING = (43, bytes([2, 4, 0]) + bytes(20))
AUTHENTICATION = (51, bytes([4]) + bytes(22))
ATOMIC_FRAGMENT = (44, bytes([0, 0, 0]) + bytes(4))
FIRST_FRAGMENT = (44, bytes([0, 0, 1]) + bytes(4))
LATER_FRAGMENT = (44, bytes([0, 0, 9]) + bytes(4))
ONE_MORE_THAN_ALLOWED = [(60, bytes([0, 1, 4]) + bytes(4))] * 7

PLAIN = frames.n3(UDP_IN_IPV4, teid=77)
IP, DATAGRAM, GTPU, INNER = 14, 34, 42, 58
"""Offsets of its headers."""

FLOW_FRAMES = {
    "psc": PLAIN,
    "no optional fields": frames.n3(UDP_IN_IPV4, teid=77, qfi=None),
    "sequence number only": gtpu_frame(struct.pack("!BBHIHBB", 0x32, 255, 64, 77, 20_000, 0, 0) + UDP_IN_IPV4),
    # without E the next-type byte means nothing (TS 29.281, 5.1)
    "n-pdu number only": gtpu_frame(struct.pack("!BBHIHBB", 0x31, 255, 64, 77, 0, 3, 0x85) + UDP_IN_IPV4),
    "spare bit set": with_bytes(PLAIN, GTPU, b"\x3c"),
    "two extensions": gtpu_frame(with_extensions(PDCP, PSC)),
    "a long extension": gtpu_frame(with_extensions(LONG, PSC)),
    "four extensions": gtpu_frame(with_extensions(PDCP, LONG, PSC, PDCP)),
    "a reserved pdu type": gtpu_frame(with_extensions((0x85, bytes([0x20, 9])))),
    "ipv4 options": gtpu_frame(frames.gtpu(77, UDP_IN_IPV4), options=bytes([1] * 8)),
    "first fragment": gtpu_frame(frames.gtpu(77, UDP_IN_IPV4), fragment=0x2000),
    "vlan": vlan(PLAIN, 0x8100),
    "qinq": vlan(PLAIN, 0x88A8, 0x8100),
    "outer ipv6": outer_ipv6(),
    "outer ipv6 with extensions": outer_ipv6(HOP_BY_HOP, LONG_DESTINATION),
    "outer ipv6 first fragment": outer_ipv6(FIRST_FRAGMENT),
    "inner ipv4 options": in_ipv4(options=bytes([1] * 36)),
    "inner first fragment": in_ipv4(fragment=0x2000),
    "both first fragments": vlan(with_bytes(in_ipv4(fragment=0x2000), IP + 6, b"\x20"), 0x8100),
    "don't fragment": with_bytes(in_ipv4(fragment=0x4000), IP + 6, b"\x40"),
    "inner ipv6": in_ipv6(),
    "inner ipv6 hop-by-hop": in_ipv6(HOP_BY_HOP),
    "inner ipv6 authenticated": in_ipv6(AUTHENTICATION),
    "inner ipv6 first fragment": in_ipv6(FIRST_FRAGMENT),
    "inner ipv6 atomic fragment": in_ipv6(ATOMIC_FRAGMENT),
    "inner ipv6 with all extensions": in_ipv6(
        HOP_BY_HOP, LONG_DESTINATION, ROUTING, FIRST_FRAGMENT, AUTHENTICATION, LONG_DESTINATION
    ),
    "from the port of gtp-u": with_bytes(PLAIN, DATAGRAM + 2, struct.pack("!H", 1_024)),
    "ethernet padding": PLAIN + bytes(6),
    "inner longer than gtp-u": with_bytes(PLAIN, INNER + 2, b"\x05\xdc"),
    "outer longer than the frame": with_bytes(PLAIN, IP + 2, b"\x05\xdc"),
}
NO_CONTAINER = {"no optional fields", "sequence number only", "n-pdu number only", "a reserved pdu type"}
LENGTHS = {
    "inner ipv4 options": 96,
    "inner ipv6": 80,
    "inner ipv6 hop-by-hop": 88,
    "inner ipv6 authenticated": 104,
    "inner ipv6 first fragment": 88,
    "inner ipv6 atomic fragment": 88,
    "inner ipv6 with all extensions": 176,
    "inner longer than gtp-u": 1_500,
}
FIRST_FRAGMENTS = {
    "first fragment": {"outer_first_fragment"},
    "outer ipv6 first fragment": {"outer_first_fragment"},
    "inner first fragment": {"inner_first_fragment"},
    "inner ipv6 first fragment": {"inner_first_fragment"},
    "inner ipv6 with all extensions": {"inner_first_fragment"},
    "both first fragments": {"outer_first_fragment", "inner_first_fragment"},
}


@pytest.mark.parametrize("name", FLOW_FRAMES)
def test_finds_the_inner_flow(collect: Collector, name: str) -> None:
    moved, seen = collect(FLOW_FRAMES[name])
    assert moved == {"flow", "event_sent", *FIRST_FRAGMENTS.get(name, ())}
    src, dst = ("fd00::1", "fd00::2") if "inner ipv6" in name else (UE, DN)
    assert events.five_tuple(seen["key"][0].tobytes()) == (src, 40_000, dst, 5_001, UDP)
    assert seen["teid"][0] == 77
    assert seen["length_bytes"][0] == LENGTHS.get(name, len(UDP_IN_IPV4))
    assert seen["qfi"][0] == (-1 if name in NO_CONTAINER else 9)


def test_reads_tcp_fields(collect: Collector) -> None:
    segment = frames.tcp(80, 41_000, bytes(100), seq=0xDEADBEEF, ack=0x01020304, flags=0x18, window=4321)
    _, seen = collect(frames.n3(frames.ipv4(UE, DN, TCP, segment)))
    assert events.five_tuple(seen["key"][0].tobytes()) == (UE, 80, DN, 41_000, TCP)
    names = ("tcp_seq", "tcp_ack", "tcp_flags", "tcp_window", "tcp_data_offset_bytes", "length_bytes")
    assert [int(seen[name][0]) for name in names] == [0xDEADBEEF, 0x01020304, 0x18, 4321, 20, 140]


OTHER_FRAMES = {
    "arp": ("not_ip", bytes(12) + b"\x08\x06" + bytes(28)),
    "three tags": ("outer_tags", vlan(PLAIN, 0x88A8, 0x8100, 0x8100)),
    "icmp": ("not_udp", n3_ipv4(1, b"\x08" + bytes(15))),
    "esp in ipv6": ("not_udp", bytes(12) + b"\x86\xdd" + ipv6(bytes(16), protocol=50)),
    "dns": ("not_gtpu", n3_ipv4(UDP, frames.udp(53, 53, bytes(16)))),
    "a later fragment": ("outer_fragment", gtpu_frame(frames.gtpu(1, UDP_IN_IPV4), fragment=100)),
    "the last fragment in ipv6": ("outer_fragment", outer_ipv6(LATER_FRAGMENT)),
    "too many outer extensions": ("outer_extensions", outer_ipv6(*ONE_MORE_THAN_ALLOWED)),
    "ipv6 by its ethertype only": ("outer_malformed", with_bytes(PLAIN, 12, b"\x86\xdd")),
    "ipv4 by its ethertype only": ("outer_malformed", with_bytes(outer_ipv6(), 12, b"\x08\x00")),
    "an ipv4 header of 16 bytes": ("outer_malformed", with_bytes(PLAIN, IP, b"\x44")),
    "ipv4 shorter than its header": ("outer_malformed", with_bytes(PLAIN, IP + 2, b"\x00\x13")),
    "ipv4 that ends in its options": ("outer_malformed", with_bytes(FLOW_FRAMES["ipv4 options"], IP + 2, b"\0\x18")),
    "ipv4 that ends in udp": ("outer_malformed", with_bytes(PLAIN, IP + 2, b"\x00\x1b")),
    "udp of 7 bytes": ("outer_malformed", with_bytes(PLAIN, DATAGRAM + 4, b"\x00\x07")),
    "udp that ends in gtp-u": ("gtpu_malformed", with_bytes(PLAIN, DATAGRAM + 4, b"\x00\x0f")),
    "gtp-u that ends in its options": ("gtpu_malformed", with_bytes(PLAIN, GTPU + 2, b"\x00\x03")),
    "gtp-u that ends in an extension": ("gtpu_malformed", with_bytes(PLAIN, GTPU + 2, b"\x00\x07")),
    "gtp version 2": ("gtpu_version", gtpu_frame(b"\x50" + frames.gtpu(1, UDP_IN_IPV4)[1:])),
    "gtp'": ("gtpu_version", gtpu_frame(b"\x20" + frames.gtpu(1, UDP_IN_IPV4)[1:])),
    "echo": ("gtpu_not_gpdu", gtpu_frame(struct.pack("!BBHI", 0x32, 1, 4, 0) + bytes(4))),
    "error indication": (
        "gtpu_not_gpdu",
        gtpu_frame(struct.pack("!BBHI4xBIBHI", 0x32, 26, 16, 0, 16, 77, 133, 4, 0x0AC80001)),
    ),
    "end marker": ("gtpu_end_marker", gtpu_frame(struct.pack("!BBHI", 0x30, 254, 0, 77))),
    "end marker with a container": (
        "gtpu_end_marker",
        gtpu_frame(struct.pack("!BBHIHBBBBBB", 0x34, 254, 8, 77, 0, 0, 0x85, 1, 0, 9, 0)),
    ),
    "too many extensions": ("gtpu_extensions", gtpu_frame(with_extensions(PSC, PDCP, PDCP, PDCP, PDCP))),
    "an extension of length zero": (
        "gtpu_extensions",
        gtpu_frame(struct.pack("!BBHIHBB", 0x34, 255, 68, 1, 0, 0, 0x85) + bytes(4) + UDP_IN_IPV4),
    ),
    "inner ethernet": ("inner_not_ip", frames.n3(bytes(40))),
    "no inner packet": ("inner_malformed", frames.n3(b"")),
    "inner ipv4 that ends in its header": ("inner_malformed", with_bytes(PLAIN, GTPU + 2, b"\x00\x1b")),
    "an inner ipv4 header of 16 bytes": ("inner_malformed", with_bytes(PLAIN, INNER, b"\x44")),
    "inner ipv4 that ends in udp": ("inner_malformed", with_bytes(PLAIN, INNER + 2, b"\x00\x1b")),
    "inner ipv6 that ends in udp": ("inner_malformed", with_bytes(in_ipv6(), INNER + 4, b"\x00\x07")),
    "an inner later fragment": ("inner_fragment", in_ipv4(fragment=10)),
    "an inner later fragment in ipv6": ("inner_fragment", in_ipv6(LATER_FRAGMENT)),
    "inner icmp": ("inner_no_ports", frames.n3(frames.ipv4(UE, DN, 1, b"\x08" + bytes(7)))),
    "inner esp": ("inner_no_ports", frames.n3(ipv6(bytes(16), HOP_BY_HOP, protocol=50))),
    "inner no next header": ("inner_no_ports", frames.n3(ipv6(b"", protocol=59))),
    "too many inner extensions": ("inner_extensions", in_ipv6(*ONE_MORE_THAN_ALLOWED)),
}


@pytest.mark.parametrize("name", OTHER_FRAMES)
def test_counts_why_a_packet_is_not_followed(collect: Collector, name: str) -> None:
    counter, frame = OTHER_FRAMES[name]
    moved, seen = collect(frame)
    assert moved == {counter}
    assert len(seen) == 0


def test_every_outcome_has_a_frame_here() -> None:
    names = counter_names()
    outcomes = set(names[: names.index("outer_first_fragment")]) - {"flow", "truncated"}
    assert {counter for counter, _ in OTHER_FRAMES.values()} == outcomes


CUT = ["psc", "four extensions", "qinq", "outer ipv6", "inner ipv4 options", "inner ipv6 with all extensions"]


@pytest.mark.parametrize("name", CUT)
def test_every_cut_is_truncated(collect: Collector, name: str) -> None:
    """However a frame is cut, the parser says so and makes no event, until the inner UDP header is whole."""
    frame = FLOW_FRAMES[name]
    headers = len(frame) - 32  # the payload
    for length in range(14, headers):
        moved, _ = collect(frame[:length])
        assert moved == {"truncated"}, length
    assert collect(frame[:headers])[0] == {"flow", "event_sent", *FIRST_FRAGMENTS.get(name, ())}


def test_a_fragment_without_the_headers_is_not_a_first_fragment_that_is_followed(collect: Collector) -> None:
    icmp = frames.n3(ipv4(1, bytes(16), fragment=0x2000))
    assert collect(with_bytes(icmp, IP + 6, b"\x20"))[0] == {"inner_no_ports"}


def test_iat_is_per_flow_in_the_kernel(collect: Collector) -> None:
    flows = [frames.n3(frames.inner(UE, port, DN, 5_001, UDP, 60)) for port in (50_001, 50_002)]
    times = [(0, 1_000), (1, 1_500), (0, 4_000), (1, 11_500), (0, 4_000)]
    iats = [int(collect(flows[flow], t_ns)[1]["iat_ns"][0]) for flow, t_ns in times]
    assert iats == [-1, -1, 3_000, 10_000, 0]


def test_a_clock_that_goes_backwards_is_an_iat_of_zero(collect: Collector) -> None:
    frame = frames.n3(frames.inner(UE, 50_009, DN, 5_001, UDP, 60))
    iats = [int(collect(frame, t_ns)[1]["iat_ns"][0]) for t_ns in (1_000, 5_000, 3_000, 6_000)]
    assert iats == [-1, 4_000, 0, 1_000]
