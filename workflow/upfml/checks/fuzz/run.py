"""A run of the fuzzer: frames to start from, mutants until there are enough, and what was found."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from upfml.base import root
from upfml.base.errors import UserError
from upfml.bpf.testrun import RECORD, one_cpu
from upfml.checks.fuzz.compare import BATCH_FRAMES, Difference, KernelParser, compare
from upfml.checks.fuzz.corpus import FRAME_BYTES_MAX, Corpus
from upfml.packets.capturefile import CaptureFile
from upfml.reference import parser

_PROGRESS_S = 2.0
_DIFFERENCES_SHOWN = 10

Tell = Callable[[str], None]


class Result(NamedTuple):
    """What a run of the fuzzer found."""

    packets: int
    outcomes: Counter[str]
    ways: int  # different ways through the reference
    differences: list[Difference]
    seconds: float


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
    root.require()
    corpus, outcomes, differences, done = Corpus(seed), Counter[str](), list[Difference](), 0
    waiting = iter(list(seeds)[:packets])
    began = told = time.monotonic()
    with one_cpu():
        kernel = KernelParser()
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


def summary(result: Result) -> str:
    """The first differences, how often each outcome came, and how many packets and differences there were."""
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
