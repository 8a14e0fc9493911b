"""Frames that lead the reference parser down different ways, and mutants of them."""

from __future__ import annotations

import random
import struct
from typing import NamedTuple

from upfml.base.flowkey import TCP, UDP
from upfml.packets import frames
from upfml.reference import parser
from upfml.reference.parser import Parsed

FRAME_BYTES_MIN, FRAME_BYTES_MAX = 14, 1_600
"""A test run takes no frame that is shorter than an Ethernet header; Ethernet has hardly any that are longer."""
_MUTATIONS = (1, 1, 1, 1, 2, 2, 3, 4)
"""How many a mutant gets: more of them mostly break it at an outer header, with nothing left to see behind that."""
_CORPUS_MAX = 20_000
"""Frames that are kept: chains of extension headers alone can be combined in more ways than memory should hold."""


class _Seen(NamedTuple):
    """A frame of the corpus, with its headers."""

    frame: bytes
    headers: tuple[str, ...]
    starts: tuple[int, ...]


class Corpus:
    """Frames that lead the reference down different ways, and mutants of them."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._seen: list[_Seen] = []
        self._flows: list[_Seen] = []  # those of them that have all headers
        self._ways: set[tuple[str, frozenset[str], tuple[str, ...]]] = set()

    @property
    def ways(self) -> int:
        """How many different ways were found."""
        return len(self._ways)

    def add(self, frame: bytes, parsed: Parsed) -> None:
        """Keep the frame when its way is new."""
        way = (parsed.outcome, parsed.also, parsed.headers)
        if way not in self._ways:
            self._ways.add(way)
            seen = _Seen(frame, parsed.headers, parsed.starts)
            self._keep(seen, self._seen)
            if parsed.packet is not None:
                self._keep(seen, self._flows)

    def _keep(self, seen: _Seen, kept: list[_Seen]) -> None:
        if len(kept) < _CORPUS_MAX:
            kept.append(seen)
        else:
            kept[self._random.randrange(_CORPUS_MAX)] = seen

    def mutant(self) -> bytes:
        """A frame of the corpus, every other time of a flow, with some changes."""
        seen = self._random.choice(self._random.choice((self._seen, self._flows)) or self._seen)
        frame = bytearray(seen.frame)
        for _ in range(self._random.choice(_MUTATIONS)):
            self._random.choice(self._MUTATORS)(self, frame, seen)
        return bytes(frame[:FRAME_BYTES_MAX]).ljust(FRAME_BYTES_MIN, b"\0")

    # Each changes `frame`, which was `seen.frame` before the mutations so far: offsets into that may have moved.

    def _flip_bit(self, frame: bytearray, _: _Seen) -> None:
        if frame:
            frame[self._place(frame)] ^= 1 << self._random.randrange(8)

    def _set_byte(self, frame: bytearray, _: _Seen) -> None:
        if frame:
            frame[self._place(frame)] = self._random.choice(_BYTES)

    def _cut(self, frame: bytearray, _: _Seen) -> None:
        del frame[self._place(frame) :]

    def _insert(self, frame: bytearray, _: _Seen) -> None:
        place = self._place(frame)
        frame[place:place] = self._random.randbytes(self._random.randint(1, 40))

    def _delete(self, frame: bytearray, _: _Seen) -> None:
        place = self._place(frame)
        del frame[place : place + self._random.randint(1, 40)]

    def _duplicate(self, frame: bytearray, _: _Seen) -> None:
        place = self._place(frame)
        frame[place:place] = frame[place : place + self._random.randint(1, 40)]

    def _set_field(self, frame: bytearray, seen: _Seen) -> None:
        """A flag, length, version or type of some header becomes another that a parser looks at."""
        index = self._random.randrange(len(seen.headers))
        field = self._random.choice(_FIELDS.get(seen.headers[index], _EXTENSION_FIELDS))
        at = seen.starts[index] + field.offset
        if at + field.size > len(frame):
            return
        if field.values:
            value = self._random.choice(field.values)
        else:  # a length: near what it is, what is there, or nothing
            near = self._random.choice((int.from_bytes(frame[at : at + field.size]), len(frame) - at, 0))
            value = near + self._random.randint(-24, 24)
        frame[at : at + field.size] = (value % (1 << 8 * field.size)).to_bytes(field.size)

    def _insert_header(self, frame: bytearray, seen: _Seen) -> None:
        """A VLAN tag or an extension header more, well chained, between two headers that are there."""
        index = self._random.randrange(len(seen.headers))
        at = seen.starts[index]
        end = seen.starts[index + 1] if index + 1 < len(seen.starts) else at + 8
        header = seen.headers[index]
        if end > len(frame):
            return
        if header in _LINK:
            tag, ethertype = self._random.randbytes(2), slice(end - 2, end)
            frame[end:end] = tag + frame[ethertype]
            frame[ethertype] = self._random.choice(tuple(parser.ETHERTYPES_VLAN)).to_bytes(2)
        elif header in _IPV6_CHAIN:
            following = at + (6 if header == "ipv6" else 0)
            protocol = self._random.choice(tuple(parser.IPV6_EXTENSIONS))
            units = self._random.choice((0, 0, 1, 2))
            unit = {parser.FRAGMENT: 0, parser.AUTHENTICATION: 4}.get(protocol, 8)
            rest = bytes(6) if self._random.random() < 0.8 else self._random.randbytes(6)
            frame[end:end] = bytes([frame[following], units]) + rest + bytes(units * unit)
            frame[following] = protocol
        elif header in _GTPU_CHAIN:
            kind = self._random.choice(_GTPU_EXTENSIONS)
            words = self._random.choice((1, 1, 2, 3))
            frame[end:end] = bytes([words]) + self._random.randbytes(4 * words - 2) + frame[end - 1 : end]
            frame[end - 1] = kind

    def _splice(self, frame: bytearray, _: _Seen) -> None:
        """Up to some header of this frame, then another frame from some header of its own on."""
        other = self._random.choice(self._seen)
        frame[self._place(frame) :] = other.frame[self._random.choice(other.starts) :]

    def _place(self, frame: bytearray) -> int:
        """An offset, mostly among the headers."""
        end = len(frame) if self._random.random() < 0.1 else min(len(frame), 160)
        return self._random.randrange(max(1, end))

    _MUTATORS = (
        _flip_bit,
        _set_byte,
        _cut,
        _insert,
        _delete,
        _duplicate,
        _set_field,
        _set_field,
        _set_field,
        _insert_header,
        _insert_header,
        _splice,
    )


class _Field(NamedTuple):
    offset: int
    size: int
    values: tuple[int, ...] = ()  # none: a length


_PROTOCOLS = (*parser.IPV6_EXTENSIONS, TCP, UDP, 1, 4, 41, 50, 58, 59, 132, 135, 255)
_VERSIONS = (*range(0x40, 0x50), 0x60, 0x6F, 0x00, 0x50, 0xF0)
_ETHERTYPES = (parser.ETHERTYPE_IPV4, parser.ETHERTYPE_IPV6, *parser.ETHERTYPES_VLAN, 0x9100, 0x0806, 46)
_FRAGMENTS = (0, 1, 7, 8, 0x2000, 0x2001, 0x4000, 0x6000, 0x8000, 0x1FFF, 0xFFF8, 0xFFFF)
_GTPU_EXTENSIONS = (parser.PDU_SESSION_CONTAINER, 0xC0, 0x20, 0xFF)
_FIELDS = {
    "ethernet": (_Field(12, 2, _ETHERTYPES),),
    "vlan": (_Field(2, 2, _ETHERTYPES),),
    "service-vlan": (_Field(2, 2, _ETHERTYPES),),
    **dict.fromkeys(
        ("ipv4", "ipv4-options"),
        (_Field(0, 1, _VERSIONS), _Field(2, 2), _Field(6, 2, _FRAGMENTS), _Field(9, 1, _PROTOCOLS)),
    ),
    "ipv6": (_Field(0, 1, _VERSIONS), _Field(4, 2), _Field(6, 1, _PROTOCOLS)),
    **dict.fromkeys(
        parser.IPV6_EXTENSIONS.values(),
        (_Field(0, 1, _PROTOCOLS), _Field(1, 1), _Field(1, 1, (0, 1, 2)), _Field(2, 2, _FRAGMENTS)),
    ),
    "udp": (*(_Field(port, 2, (parser.GTPU_PORT, 1_024)) for port in (0, 2)), _Field(4, 2)),
    "tcp": (_Field(12, 1, tuple(range(0, 256, 16))),),
    "gtpu": (
        _Field(0, 1, tuple(range(0x30, 0x40))),
        _Field(0, 1, tuple(range(256))),
        _Field(1, 1, (parser.GTPU_GPDU, parser.GTPU_END_MARKER, 1, 2, 26, 31)),
        _Field(2, 2),
    ),
    "optional": (_Field(3, 1, (0, *_GTPU_EXTENSIONS)),),
}
_EXTENSION_FIELDS = (_Field(0, 1, (0, 1, 2, 3, 255)), _Field(1, 1, (0x00, 0x10, 0x20)), _Field(3, 1, (0, 0x85, 0xC0)))
"""Of a GTP-U extension header; the last is its next type when its length is 1."""
_LINK = {"ethernet", *parser.ETHERTYPES_VLAN.values()}
_IPV6_CHAIN = {"ipv6", *parser.IPV6_EXTENSIONS.values()}
_GTPU_CHAIN = {"optional", "psc", "gtpu-extension"}
_BYTES = (0, 1, 2, 4, 5, 6, 17, 44, 51, 59, 60, 0x08, 0x10, 0x20, 0x30, 0x40, 0x45, 0x60, 0x7F, 0x80, 0x85, 0xFE, 0xFF)


def built_in() -> list[bytes]:
    """A frame for each kind of headers that there is, whole and well-formed."""
    v4, v6 = ("10.60.0.1", "10.70.0.1"), ("2001:db8::1", "2001:db8::2")
    inner = [
        frames.inner(src, 40_000, dst, 5_001, protocol, 200) for src, dst in (v4, v6) for protocol in (TCP, UDP)
    ] + [frames.ipv4(*v4, 1, bytes(64)), frames.ipv6(*v6, 59, b"")]
    tunnelled = [frames.n3(packet, teid=0xCAFE, qfi=qfi) for packet in inner for qfi in (9, None)]
    ethernet = tunnelled[0][:12]
    gtpu = frames.udp(frames.GTPU_PORT, frames.GTPU_PORT, frames.gtpu(7, inner[0]))
    signalling = [struct.pack("!BBHIHBB", 0x32, kind, 4, 0, 1, 0, 0) for kind in (1, 26, parser.GTPU_END_MARKER)]
    return [
        *tunnelled,
        ethernet + b"\x86\xdd" + frames.ipv6(*v6, UDP, gtpu),
        *(
            ethernet + b"\x08\x00" + frames.ipv4(*v4, UDP, frames.udp(frames.GTPU_PORT, frames.GTPU_PORT, message))
            for message in signalling
        ),
        *(ethernet + b"\x08\x00" + packet for packet in inner),
        ethernet + b"\x08\x06" + bytes(28),
    ]
