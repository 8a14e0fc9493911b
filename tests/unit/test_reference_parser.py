"""The reference of the parser, against the bytes of the standards."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upfml.base import tables
from upfml.base.flowkey import TCP, UDP
from upfml.bpf.module import counter_names
from upfml.packets import frames
from upfml.reference.parser import Packet, parse

# An uplink packet, octet by octet: Ethernet, two tags, IPv4 with an option, UDP, GTP-U with all optional fields, a PDCP
# PDU number and a PDU Session Container (uplink, QFI 5), IPv6 with hop-by-hop options, TCP.
FRAME = bytes.fromhex(
    """
    02 00 00 00 00 02  02 00 00 00 00 01  88 a8
    00 05  81 00
    00 07  08 00
    46 00 00 88  00 00 20 00  40 11 00 00  0a c8 00 01  0a c8 00 02  01 01 01 00
    08 68 08 68 00 70 00 00
    37 ff 00 60  ca fe ba be  4e 20  03  c0
    01  09 04  85
    01  10 05  00
    60 00 00 00  00 1c  00  40  20010db8000000000000000000000001  20010db8000000000000000000000002
    06  00  01 04 00 00 00 00
    00 50 a0 28  de ad be ef  01 02 03 04  50 18 10 e1  00 00 00 00
    """
)


def test_every_header_of_a_frame_written_by_hand() -> None:
    parsed = parse(FRAME)
    assert parsed.outcome == "flow"
    assert parsed.also == {"outer_first_fragment"}
    assert parsed.packet == Packet(
        src="2001:db8::1",
        src_port=80,
        dst="2001:db8::2",
        dst_port=41_000,
        protocol=TCP,
        teid=0xCAFEBABE,
        qfi=5,
        length_bytes=68,
        tcp_flags=0x18,
        tcp_window=4_321,
        tcp_seq=0xDEADBEEF,
        tcp_ack=0x01020304,
        tcp_data_offset_bytes=20,
    )
    starts = dict(zip(parsed.headers, parsed.starts, strict=True))
    assert starts == {
        "ethernet": 0,
        "service-vlan": 14,
        "vlan": 18,
        "ipv4-options": 22,
        "udp": 46,
        "gtpu": 54,
        "optional": 62,
        "gtpu-extension": 66,
        "psc": 70,
        "ipv6": 74,
        "hopopts": 114,
        "tcp": 122,
    }


@pytest.mark.parametrize(
    ("at", "value", "outcome"),
    [
        (20, "8100", "outer_tags"),  # a third tag in place of IPv4
        (20, "0806", "not_ip"),
        (22, "56", "outer_malformed"),  # version
        (22, "44", "outer_malformed"),  # header length
        (24, "0017", "outer_malformed"),  # total length below the header's
        (24, "001f", "outer_malformed"),  # ... with 7 bytes for UDP
        (28, "2001", "outer_fragment"),
        (31, "06", "not_udp"),
        (46, "00350035", "not_gtpu"),
        (50, "0007", "outer_malformed"),  # UDP length
        (50, "000f", "gtpu_malformed"),
        (54, "57", "gtpu_version"),
        (54, "27", "gtpu_version"),  # GTP'
        (55, "fe", "gtpu_end_marker"),
        (55, "1a", "gtpu_not_gpdu"),
        (56, "0003", "gtpu_malformed"),
        (56, "000b", "gtpu_malformed"),
        (56, "000c", "inner_malformed"),
        (66, "00", "gtpu_extensions"),
        (66, "ff", "gtpu_malformed"),
        (74, "70", "inner_not_ip"),
        (78, "0007", "inner_malformed"),
        (78, "001b", "inner_malformed"),
        (80, "32", "inner_no_ports"),  # ESP
        (80, "3b", "inner_no_ports"),  # no next header
        (114, "3a", "inner_no_ports"),
        (115, "01", "inner_malformed"),  # options that reach into TCP, which then reaches beyond
    ],
)
def test_one_field_changed(at: int, value: str, outcome: str) -> None:
    changed = bytes.fromhex(value)
    parsed = parse(FRAME[:at] + changed + FRAME[at + len(changed) :])
    assert (parsed.outcome, parsed.packet, parsed.also) == (outcome, None, frozenset())


@pytest.mark.parametrize(
    ("offset_and_more", "outcome", "also"),
    [
        (0, "flow", set()),
        (1, "flow", {"inner_first_fragment"}),
        (8, "inner_fragment", set()),
        (9, "inner_fragment", set()),
    ],
)
def test_ipv6_fragments(offset_and_more: int, outcome: str, also: set[str]) -> None:
    fragment = struct.pack("!BBHI", UDP, 255, offset_and_more, 7)
    inner = frames.ipv6("::1", "::2", 44, fragment + frames.udp(1, 2, b""))
    parsed = parse(frames.n3(inner))
    assert (parsed.outcome, parsed.also) == (outcome, also)


@pytest.mark.parametrize("length", range(len(FRAME)))
def test_every_cut_is_truncated(length: int) -> None:
    assert parse(FRAME[:length]).outcome == "truncated"


def test_what_the_optional_fields_mean_depends_on_the_flags() -> None:
    """With S or PN alone the four bytes are there, but the type of an extension header in them means nothing."""
    inner = frames.inner("10.0.0.1", 1, "10.0.0.2", 2, UDP, 60)
    for flags in (0x31, 0x32, 0x33):
        message = struct.pack("!BBHIHBB", flags, 255, 4 + len(inner), 7, 0xFFFF, 0xFF, 0x85) + inner
        parsed = parse(_in_udp(message))
        assert (parsed.outcome, parsed.packet and parsed.packet.qfi) == ("flow", -1)


@pytest.mark.parametrize(("pdu_type", "qfi"), [(0, 63), (1, 63), (2, -1), (15, -1)])
def test_qfi_of_the_pdu_types_that_have_one(pdu_type: int, qfi: int) -> None:
    inner = frames.inner("10.0.0.1", 1, "10.0.0.2", 2, UDP, 60)
    container = bytes([1, pdu_type << 4, 0xFF, 0])
    message = struct.pack("!BBHIHBB", 0x34, 255, 8 + len(inner), 7, 0, 0, 0x85) + container + inner
    packet = parse(_in_udp(message)).packet
    assert packet is not None
    assert packet.qfi == qfi


addresses = st.one_of(
    st.tuples(*[st.ip_addresses(v=4).map(str)] * 2),
    st.tuples(*[st.ip_addresses(v=6).filter(lambda address: address.ipv4_mapped is None).map(str)] * 2),
)


@given(addresses, st.tuples(*[st.integers(0, 65_535)] * 2), st.sampled_from([TCP, UDP]), st.integers(60, 1_500))
def test_finds_what_frames_puts_in(
    pair: tuple[str, str], ports: tuple[int, int], protocol: int, length_bytes: int
) -> None:
    inner = frames.inner(pair[0], ports[0], pair[1], ports[1], protocol, length_bytes)
    parsed = parse(frames.n3(inner, teid=0xFFFFFFFF, qfi=None))
    assert parsed.packet is not None
    assert parsed.packet[:8] == (pair[0], ports[0], pair[1], ports[1], protocol, 0xFFFFFFFF, -1, len(inner))


@given(st.binary(max_size=200), st.integers(0, len(FRAME)))
def test_any_bytes_have_an_outcome(tail: bytes, kept: int) -> None:
    names = counter_names()
    parsed = parse(FRAME[:kept] + tail)
    assert parsed.outcome in names[: names.index("outer_first_fragment")]
    assert (parsed.packet is not None) == (parsed.outcome == "flow")
    assert len(parsed.headers) == len(parsed.starts)


def test_fields_are_those_of_the_packets_table() -> None:
    assert set(Packet._fields) == set(tables.PACKETS.columns) - {"t_ns", "iat_ns"}


def _in_udp(message: bytes) -> bytes:
    datagram = frames.udp(2_152, 2_152, message)
    return bytes(12) + b"\x08\x00" + frames.ipv4("10.0.0.1", "10.0.0.2", UDP, datagram)
