"""A frame on N3, header by header: what bpf/include/n3frame.h has to say about it.

Sources: Ethernet and VLAN tags: IEEE 802.3, 802.1Q; IPv4: RFC 791; IPv6 and its extension headers: RFC 8200, the
authentication header: RFC 4302; UDP: RFC 768; TCP: RFC 9293; GTP-U: 3GPP TS 29.281, section 5; the PDU Session
Container: TS 38.415, section 5.5.

Two rules hold for every header.

- It lies where the length fields of all headers around it have room for it: what follows (Ethernet padding, another
  datagram) is not part of the packet. A header that reaches beyond is called malformed, after the part to which it
  belongs: outer, gtpu or inner. Payload is not judged: a packet that claims more payload than there is has its headers.
- It lies within the frame, which may have been cut by whoever captured it: else the frame is truncated. A header that
  breaks both rules is malformed.

A header of variable length is read in two steps, its fixed part and the rest, each by these rules.
"""

from __future__ import annotations

import ipaddress
import struct
from functools import lru_cache
from typing import NamedTuple

VLAN_TAGS_MAX = 2
GTPU_EXTENSIONS_MAX = 4
IPV6_EXTENSIONS_MAX = 6
GTPU_PORT = 2152

ETHERTYPE_IPV4, ETHERTYPE_IPV6 = 0x0800, 0x86DD
ETHERTYPES_VLAN = {0x8100: "vlan", 0x88A8: "service-vlan"}
TCP, UDP = 6, 17
FRAGMENT, AUTHENTICATION = 44, 51
IPV6_EXTENSIONS = {0: "hopopts", 43: "routing", FRAGMENT: "fragment", AUTHENTICATION: "ah", 60: "dstopts"}
"""RFC 8200, section 4, without ESP (50), behind which everything is encrypted."""
GTPU_END_MARKER, GTPU_GPDU = 254, 255
PDU_SESSION_CONTAINER = 0x85
NO_QFI = -1


class Packet(NamedTuple):
    """Fields of the packets table (tables.PACKETS) that come from the frame; zero without TCP for the TCP ones."""

    src: str
    src_port: int
    dst: str
    dst_port: int
    protocol: int
    teid: int
    qfi: int
    length_bytes: int
    tcp_flags: int = 0
    tcp_window: int = 0
    tcp_seq: int = 0
    tcp_ack: int = 0
    tcp_data_offset_bytes: int = 0


class Parsed(NamedTuple):
    """What became of a frame."""

    outcome: str  # a counter of bpf/include/counters.h, as bpf.counter_names has it
    also: frozenset[str]  # counters that move beside it
    packet: Packet | None  # with the outcome `flow` only
    headers: tuple[str, ...]  # that are there whole, in their order
    starts: tuple[int, ...]  # offset of the first byte of each


class _Ends(Exception):
    """The parser has seen enough; the argument is the outcome."""


class _Ip(NamedTuple):
    src: bytes
    dst: bytes
    length: int  # bytes, IP header included
    payload: int  # protocol number of what follows
    first_fragment: bool


class _HeaderReader:
    """Takes headers off a frame by the two rules above."""

    def __init__(self, frame: bytes) -> None:
        self._frame = frame
        self._at = 0
        self._room = 1 << 32  # offset at which the innermost length field ends the packet
        self.part = "outer"
        self.headers: list[str] = []
        self.ends = [0]  # where the first begins, then where each ends

    def take(self, size: int) -> bytes:
        """The next `size` bytes."""
        end = self._at + size
        if end > self._room:
            raise _Ends(f"{self.part}_malformed")
        if end > len(self._frame):
            raise _Ends("truncated")
        taken = self._frame[self._at : end]
        self._at = end
        return taken

    def peek(self) -> int:
        """The next byte, which stays the next."""
        byte = self.take(1)[0]
        self._at -= 1
        return byte

    def found(self, header: str) -> None:
        """All since the last header was the header of this name."""
        self.headers.append(header)
        self.ends.append(self._at)

    def announced(self, size: int) -> None:
        """A header that ends here says that `size` bytes follow."""
        self._room = min(self._room, self._at + size)


def parse(frame: bytes) -> Parsed:
    """The outcome for an Ethernet frame of any length."""
    reader = _HeaderReader(frame)
    try:
        outer = _outer(reader)
        teid, qfi = _gtpu(reader)
        inner, packet = _inner(reader, teid, qfi)
    except _Ends as end:
        return Parsed(end.args[0], frozenset(), None, tuple(reader.headers), tuple(reader.ends[:-1]))
    fragments = {"outer_first_fragment": outer.first_fragment, "inner_first_fragment": inner.first_fragment}
    also = frozenset(counter for counter, is_there in fragments.items() if is_there)
    return Parsed("flow", also, packet, tuple(reader.headers), tuple(reader.ends[:-1]))


def _outer(reader: _HeaderReader) -> _Ip:
    """Ethernet to the UDP header that announces GTP-U."""
    reader.part = "outer"
    ethertype = int.from_bytes(reader.take(14)[12:])
    reader.found("ethernet")
    for _ in range(VLAN_TAGS_MAX):
        if ethertype in ETHERTYPES_VLAN:
            tag = reader.take(4)  # what the ethertype was before the tag went in comes last
            reader.found(ETHERTYPES_VLAN[ethertype])
            ethertype = int.from_bytes(tag[2:])
    if ethertype in ETHERTYPES_VLAN:
        raise _Ends("outer_tags")
    if ethertype == ETHERTYPE_IPV4:
        ip = _ipv4(reader)
    elif ethertype == ETHERTYPE_IPV6:
        ip = _ipv6(reader)
    else:
        raise _Ends("not_ip")
    if ip.payload != UDP:
        raise _Ends("not_udp")
    src_port, dst_port, length, _ = struct.unpack("!HHHH", reader.take(8))
    reader.found("udp")
    # TS 29.281, section 4.4.2: to this port, but responses from it; some senders' G-PDUs come from it, too.
    if GTPU_PORT not in (src_port, dst_port):
        raise _Ends("not_gtpu")
    if length < 8:
        raise _Ends("outer_malformed")
    reader.announced(length - 8)
    return ip


def _gtpu(reader: _HeaderReader) -> tuple[int, int]:
    """The TEID and QFI of a G-PDU (TS 29.281, sections 5.1 and 5.2)."""
    reader.part = "gtpu"
    flags, kind, length, teid = struct.unpack("!BBHI", reader.take(8))
    reader.found("gtpu")
    version, is_gtp = flags >> 5, flags & 0x10  # the next bit is spare and not evaluated
    if version != 1 or not is_gtp:
        raise _Ends("gtpu_version")
    if kind == GTPU_END_MARKER:
        raise _Ends("gtpu_end_marker")
    if kind != GTPU_GPDU:
        raise _Ends("gtpu_not_gpdu")
    reader.announced(length)
    qfi = NO_QFI
    if not flags & 0x07:
        return teid, qfi
    # One of E, S and PN is set: the fields of all three are there, those of the others without a meaning.
    next_extension = reader.take(4)[3]
    reader.found("optional")
    extension, extensions = next_extension if flags & 0x04 else 0, 0
    while extension:
        if extensions == GTPU_EXTENSIONS_MAX:
            raise _Ends("gtpu_extensions")
        extensions += 1
        header = reader.take(4)
        words = header[0]
        if not words:
            raise _Ends("gtpu_extensions")
        header += reader.take(4 * words - 4)
        reader.found("psc" if extension == PDU_SESSION_CONTAINER else "gtpu-extension")
        if extension == PDU_SESSION_CONTAINER and header[1] >> 4 in (0, 1):  # PDU type: downlink, uplink
            qfi = header[2] & 0x3F
        extension = header[-1]
    return teid, qfi


def _inner(reader: _HeaderReader, teid: int, qfi: int) -> tuple[_Ip, Packet]:
    """The T-PDU, which names its IP version itself, to the TCP or UDP header."""
    reader.part = "inner"
    version = reader.peek() >> 4
    if version == 4:
        ip = _ipv4(reader)
    elif version == 6:
        ip = _ipv6(reader)
    else:
        raise _Ends("inner_not_ip")
    if ip.payload == UDP:
        src_port, dst_port = struct.unpack("!HH4x", reader.take(8))
        reader.found("udp")
        tcp: dict[str, int] = {}
    elif ip.payload == TCP:
        src_port, dst_port, seq, ack, offset, flags, window = struct.unpack("!HHIIBBH4x", reader.take(20))
        reader.found("tcp")
        tcp = {
            "tcp_flags": flags,
            "tcp_window": window,
            "tcp_seq": seq,
            "tcp_ack": ack,
            "tcp_data_offset_bytes": (offset >> 4) * 4,
        }
    else:
        raise _Ends("inner_no_ports")
    src, dst = _text(ip.src), _text(ip.dst)
    return ip, Packet(src, src_port, dst, dst_port, ip.payload, teid, qfi, ip.length, **tcp)


def _ipv4(reader: _HeaderReader) -> _Ip:
    header = reader.take(20)
    version, header_bytes = header[0] >> 4, (header[0] & 0x0F) * 4
    length, _, fragment, _, protocol = struct.unpack_from("!HHHBB", header, 2)
    if version != 4 or header_bytes < 20 or length < header_bytes:
        raise _Ends(f"{reader.part}_malformed")
    reader.take(header_bytes - 20)
    reader.found("ipv4" if header_bytes == 20 else "ipv4-options")
    reader.announced(length - header_bytes)
    more, offset = bool(fragment & 0x2000), fragment & 0x1FFF
    if offset:
        raise _Ends(f"{reader.part}_fragment")
    return _Ip(header[12:16], header[16:20], length, protocol, more)


def _ipv6(reader: _HeaderReader) -> _Ip:
    header = reader.take(40)
    version, (payload_bytes, following) = header[0] >> 4, struct.unpack_from("!HB", header, 4)
    if version != 6:
        raise _Ends(f"{reader.part}_malformed")
    reader.found("ipv6")
    reader.announced(payload_bytes)
    first_fragment, extensions = False, 0
    while following in IPV6_EXTENSIONS:
        if extensions == IPV6_EXTENSIONS_MAX:
            raise _Ends(f"{reader.part}_extensions")
        extensions += 1
        extension = reader.take(8)
        if following == FRAGMENT:  # always 8 bytes; with neither offset nor more to come: a whole packet (RFC 6946)
            more, offset = bool(extension[3] & 1), int.from_bytes(extension[2:4]) >> 3
        else:
            more, offset = False, 0
            reader.take(extension[1] * (4 if following == AUTHENTICATION else 8))
        reader.found(IPV6_EXTENSIONS[following])
        if offset:
            raise _Ends(f"{reader.part}_fragment")
        first_fragment |= more
        following = extension[0]
    return _Ip(header[8:24], header[24:40], 40 + payload_bytes, following, first_fragment)


@lru_cache(maxsize=1 << 16)
def _text(address: bytes) -> str:
    """An address as tables have it: an IPv4-mapped IPv6 address is the IPv4 address (RFC 4291, section 2.5.5.2)."""
    if len(address) == 4:
        return str(ipaddress.IPv4Address(address))
    v6 = ipaddress.IPv6Address(address)
    return str(v6.ipv4_mapped or v6)
