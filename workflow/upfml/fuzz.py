"""Fuzz the in-kernel parser: its verdict on mutated frames against the reference, which must be the same on all.

    python -m upfml.fuzz [--packets 1000000] [--seed 1] [--corpus DIR_OR_FILE ...]

Frames go through the real collector (BPF_PROG_TEST_RUN) in batches, each frame's number in place of its time, so that
an event names its frame. Compared are the counters of parsing and every field of every event. Mutants that lead the
reference down a new way, i.e. to a new outcome or along new headers, join the corpus from which further mutants come.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import struct
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from upfml import events, frames
from upfml.bpf import counter_names
from upfml.capture import collector
from upfml.capturefile import CaptureFile
from upfml.errors import UserError
from upfml.features import Definition
from upfml.flowkey import TCP, UDP
from upfml.flowtable import FlowTable
from upfml.reference import parser
from upfml.reference.parser import Packet, Parsed
from upfml.testrun import RECORD, Events, TestRun, one_cpu

FRAME_BYTES_MIN, FRAME_BYTES_MAX = 14, 1_600
"""A test run takes no frame that is shorter than an Ethernet header; Ethernet has hardly any that are longer."""
BATCH_FRAMES = 512
_MUTATIONS = (1, 1, 1, 1, 2, 2, 3, 4)
"""How many a mutant gets: more of them mostly break it at an outer header, with nothing left to see behind that."""
_CORPUS_MAX = 20_000
"""Frames that are kept: chains of extension headers alone can be combined in more ways than memory should hold."""
_PROGRESS_S = 2.0
_DIFFERENCES_SHOWN = 10
_DEFINITION = Definition(window_ns=500_000_000, iat_unit_ns=1_000)  # of no consequence here

Tell = Callable[[str], None]


class Verdict(NamedTuple):
    """What a parser says of a batch."""

    counters: Counter[str]  # those of parsing
    packets: dict[int, Packet]  # by the frame's place in the batch


class Difference(NamedTuple):
    """A frame of which the kernel says something else than the reference."""

    frame: bytes
    kernel: Verdict
    reference: Verdict

    def __str__(self) -> str:
        return "\n  ".join((self.frame.hex(), f"kernel:    {_say(self.kernel)}", f"reference: {_say(self.reference)}"))


class Result(NamedTuple):
    """What a run of the fuzzer found."""

    packets: int
    outcomes: Counter[str]
    ways: int  # different ways through the reference
    differences: list[Difference]
    seconds: float


class Kernel:
    """The real collector's verdict on batches of at most BATCH_FRAMES frames; for one CPU."""

    def __init__(self, cpu: int) -> None:
        self._module = collector(_DEFINITION, FlowTable(), replay=True)
        self._run = TestRun(self._module.load("collect"))
        self._events = Events(
            self._module, "packets", events.PACKET_EVENT, cpu=cpu, burst=BATCH_FRAMES, capacity=BATCH_FRAMES
        )
        names = counter_names()
        self._names = names[: names.index("inner_first_fragment") + 1]
        self._before = self._module.counters()

    def __enter__(self) -> Kernel:
        return self

    def __exit__(self, *_: object) -> None:
        self._events.close()

    def __call__(self, batch: Sequence[bytes]) -> Verdict:
        """Run the batch."""
        self._run.batch(_records(batch), len(batch))
        self._events.gather()
        after = self._module.counters()
        moved = Counter({name: after[name] - self._before[name] for name in self._names})
        self._before = after
        return Verdict(+moved, dict(_packets(self._events.take())))


def _records(batch: Sequence[bytes]) -> np.ndarray:
    """The batch as bytes (testrun.RECORD), with each frame's place in it for its time."""
    pieces = []
    for number, frame in enumerate(batch):
        pieces += [struct.pack("<IIQ", len(frame), 0, number), frame, bytes(-(RECORD.itemsize + len(frame)) % 8)]
    return np.frombuffer(b"".join(pieces), np.uint8)


def _packets(rows: np.ndarray) -> Iterator[tuple[int, Packet]]:
    fields = rows[list(Packet._fields[5:])].tolist()
    for key, number, values in zip(rows["key"], rows["t_ns"].tolist(), fields, strict=True):
        yield number, Packet(*events.five_tuple(key.tobytes()), *values)


def expected(parsed: Sequence[Parsed]) -> Verdict:
    """The reference's verdict on a batch."""
    counters = Counter(name for one in parsed for name in (one.outcome, *one.also))
    return Verdict(counters, {number: one.packet for number, one in enumerate(parsed) if one.packet is not None})


def compare(kernel: Kernel, batch: Sequence[bytes], parsed: Sequence[Parsed]) -> list[Difference]:
    """The frames of a batch on which kernel and reference differ, looked at one by one when there are any."""
    if kernel(batch) == expected(parsed):
        return []
    verdicts = [(frame, kernel([frame]), expected([one])) for frame, one in zip(batch, parsed, strict=True)]
    differences = [Difference(*verdict) for verdict in verdicts if verdict[1] != verdict[2]]
    if not differences:
        raise RuntimeError("a batch differs, but none of its frames alone: an event was lost, or is another's")
    return differences


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


def captured(paths: Iterable[Path]) -> Iterator[bytes]:
    """The frames of captures, or of all captures (*.pcap, *.pcapng) in folders, cut to FRAME_BYTES_MAX.

    Raises UserError when a path is neither, a folder holds none, or a capture cannot be read.
    """
    batch = np.empty(1 << 20, np.uint8)
    for path in paths:
        files = sorted(path.glob("*.pcap*")) if path.is_dir() else [path]
        if not files:
            raise UserError(f"{path} holds no capture", "give a folder with *.pcap or *.pcapng files, or such files")
        for file in files:
            with CaptureFile(file) as capture:
                while records := capture.read(batch, BATCH_FRAMES):
                    at = 0
                    for _ in range(records):
                        begin = at + RECORD.itemsize
                        size = int(batch[at:begin].view(RECORD)["frame_bytes"][0])
                        yield batch[begin : begin + min(size, FRAME_BYTES_MAX)].tobytes()
                        at += -(-(RECORD.itemsize + size) // 8) * 8


def fuzz(packets: int, seed: int, seeds: Iterable[bytes], tell: Tell) -> Result:
    """Compare kernel and reference on the seeds and then on mutants, `packets` altogether.

    `tell` is told every few seconds how far it is. Raises UserError without root.
    """
    if os.geteuid() != 0:
        raise UserError("BPF needs root", "run as root")
    corpus, outcomes, differences, done = Corpus(seed), Counter[str](), list[Difference](), 0
    waiting = iter(list(seeds)[:packets])
    began = told = time.monotonic()
    with one_cpu() as cpu, Kernel(cpu) as kernel:
        while done < packets:
            batch = [frame for _, frame in zip(range(BATCH_FRAMES), waiting, strict=False)]
            batch = batch or [corpus.mutant() for _ in range(min(BATCH_FRAMES, packets - done))]
            parsed = [parser.parse(frame) for frame in batch]
            differences += compare(kernel, batch, parsed)
            for frame, one in zip(batch, parsed, strict=True):
                corpus.add(frame, one)
            outcomes.update(one.outcome for one in parsed)
            done += len(batch)
            now = time.monotonic()
            if now - told >= _PROGRESS_S:
                told = now
                tell(f"{done:,} of {packets:,} packets, {corpus.ways:,} ways, {len(differences)} differences")
    return Result(done, outcomes, corpus.ways, differences, time.monotonic() - began)


def _say(verdict: Verdict) -> str:
    counters = " ".join(sorted(verdict.counters))
    return " ".join((counters, *map(str, verdict.packets.values())))


def _summary(result: Result) -> str:
    shown = result.differences[:_DIFFERENCES_SHOWN]
    more = len(result.differences) - len(shown)
    return "\n".join(
        [
            *(str(difference) for difference in shown),
            *([f"and {more} differences more"] if more else []),
            *(f"{count:>12,} {outcome}" for outcome, count in result.outcomes.most_common()),
            f"{result.packets:,} packets, {result.packets / result.seconds:,.0f} a second, "
            f"{result.ways:,} ways through the headers",
            f"{len(result.differences)} differences between kernel and reference",
        ]
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; exit status 1 when there are differences or something is wrong, 130 after Ctrl-C."""
    options = argparse.ArgumentParser(
        prog="python -m upfml.fuzz",
        description="Compare the in-kernel parser with the reference on mutated frames.",
    )
    options.add_argument("--packets", type=int, default=1_000_000, help="default: %(default)s")
    options.add_argument("--seed", type=int, default=1, help="of the mutations; default: %(default)s")
    options.add_argument(
        "--corpus",
        type=Path,
        nargs="+",
        default=[],
        metavar="DIR_OR_FILE",
        help="captures to start from, beside the built-in frames",
    )
    chosen = options.parse_args(arguments)
    try:
        seeds = [*built_in(), *captured(chosen.corpus)]
        result = fuzz(chosen.packets, chosen.seed, seeds, lambda text: print(text, file=sys.stderr, flush=True))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    print(_summary(result))
    return 1 if result.differences else 0


if __name__ == "__main__":
    sys.exit(main())
