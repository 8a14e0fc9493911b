"""What the kernel says of a batch of frames, and what the reference says."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from upfml.bpf import events
from upfml.bpf.flowtable import FlowTable
from upfml.bpf.module import counter_names
from upfml.bpf.ring import Ring
from upfml.bpf.testrun import RECORD, TestRun
from upfml.classify.collector import collector
from upfml.reference.parser import Packet, Parsed

BATCH_FRAMES = 512


class BatchOutcome(NamedTuple):
    """What a parser says of a batch."""

    counters: Counter[str]  # those of parsing
    packets: dict[int, Packet]  # by the frame's place in the batch


class Difference(NamedTuple):
    """A frame of which the kernel says something else than the reference."""

    frame: bytes
    kernel: BatchOutcome
    reference: BatchOutcome

    def __str__(self) -> str:
        return "\n  ".join((self.frame.hex(), f"kernel:    {_say(self.kernel)}", f"reference: {_say(self.reference)}"))


class KernelParser:
    """The real collector's verdict on batches of at most BATCH_FRAMES frames."""

    def __init__(self) -> None:
        self._module = collector(FlowTable(), replay=True)
        self._run = TestRun(self._module.load("collect"))
        self._ring = Ring(self._module, "packets", events.PACKET_EVENT)
        names = counter_names()
        self._names = names[: names.index("inner_first_fragment") + 1]
        self._before = self._module.counters()

    def __call__(self, batch: Sequence[bytes]) -> BatchOutcome:
        """Run the batch."""
        self._run.batch(records(batch), len(batch))
        after = self._module.counters()
        moved = Counter({name: after[name] - self._before[name] for name in self._names})
        self._before = after
        return BatchOutcome(+moved, dict(_packets(self._ring.take())))


def records(batch: Sequence[bytes]) -> np.ndarray:
    """The batch as bytes (testrun.RECORD), with each frame's place in it for its time."""
    pieces = []
    for number, frame in enumerate(batch):
        pieces += [struct.pack("<IIQ", len(frame), 0, number), frame, bytes(-(RECORD.itemsize + len(frame)) % 8)]
    return np.frombuffer(b"".join(pieces), np.uint8)


def _packets(rows: np.ndarray) -> Iterator[tuple[int, Packet]]:
    fields = rows[list(Packet._fields[5:])].tolist()
    for key, number, values in zip(rows["key"], rows["t_ns"].tolist(), fields, strict=True):
        yield number, Packet(*events.five_tuple(key.tobytes()), *values)


def expected(parsed: Sequence[Parsed]) -> BatchOutcome:
    """The reference's verdict on a batch."""
    counters = Counter(name for one in parsed for name in (one.outcome, *one.also))
    return BatchOutcome(counters, {number: one.packet for number, one in enumerate(parsed) if one.packet is not None})


def compare(kernel: KernelParser, batch: Sequence[bytes], parsed: Sequence[Parsed]) -> list[Difference]:
    """The frames of a batch on which kernel and reference differ, looked at one by one when there are any."""
    if kernel(batch) == expected(parsed):
        return []
    verdicts = [(frame, kernel([frame]), expected([one])) for frame, one in zip(batch, parsed, strict=True)]
    differences = [Difference(*verdict) for verdict in verdicts if verdict[1] != verdict[2]]
    if not differences:
        raise RuntimeError("a batch differs, but none of its frames alone: an event was lost, or is another's")
    return differences


def _say(verdict: BatchOutcome) -> str:
    counters = " ".join(sorted(verdict.counters))
    return " ".join((counters, *map(str, verdict.packets.values())))
