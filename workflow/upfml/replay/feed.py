"""Packets through one program, in batches, and what it hands to user space."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from upfml.base.errors import UserError
from upfml.bpf import events
from upfml.bpf.flowtable import FlowTable
from upfml.bpf.module import Module, Program
from upfml.bpf.ring import Ring
from upfml.bpf.testrun import TestRun, one_cpu
from upfml.classify import kernel
from upfml.classify.collector import collector
from upfml.packets import frames
from upfml.packets.features import Definition

BATCH_PACKETS = 2_048
"""At most so many before the rings are emptied, in which there is room for an event for each."""
_ROW_GROUP = 1 << 17
"""Events that are kept in memory before they are handed on."""

Take = Callable[[np.ndarray], None]
"""Gets events (shape (n,), n > 0), many at a time and in order."""


class ReplayedProgram:
    """A program in the kernel, the packets run through it, and what it hands to user space."""

    def __init__(self, module: Module, program: Program, table: str, event: np.dtype, take: Take) -> None:
        """`table` is the program's ring, `event` what it sends there, `take` who gets that."""
        self._module, self._program, self._take = module, program, take
        self._run = TestRun(program)
        self._ring = Ring(module, table, event)
        self._waiting: list[np.ndarray] = []
        self._received = self._handed_on = 0

    def run(self, batch: np.ndarray, records: int) -> None:
        """Run the program on a batch of at most BATCH_PACKETS records."""
        self._run.batch(batch, records)
        self._waiting.append(self._ring.take())
        self._received += len(self._waiting[-1])
        if self._received - self._handed_on >= _ROW_GROUP:
            self._hand_on()

    def end(self) -> dict[str, int]:
        """After the last batch: the program's counters, and flows_evicted.

        Raises UserError when an event was lost or is missing.
        """
        self._hand_on()
        counters = self._module.counters()
        if counters["event_lost"] or counters["inference_broken"] or self._received != counters["event_sent"]:
            raise UserError(
                f"{self._program.name} sent {counters['event_sent']} events, of which {self._received} arrived; "
                f"{counters['event_lost']} found no room, {counters['inference_broken']} inferences broke off",
                "run it again; nothing was written",
            )
        return counters | {"flows_evicted": self._module.flows_evicted()}

    def _hand_on(self) -> None:
        if self._received > self._handed_on:
            self._take(np.concatenate(self._waiting))
        self._waiting.clear()
        self._handed_on = self._received


def collect(packets: pd.DataFrame, flow_table: FlowTable, take: Take) -> dict[str, int]:
    """A packets table (in order of time) through the collector, its events to `take`; the collector's counters.

    Raises UserError when the replay loses an event.
    """
    module = collector(flow_table, replay=True)
    with one_cpu():
        replayed = ReplayedProgram(module, module.load("collect"), "packets", events.PACKET_EVENT, take)
        return _feed(replayed, frames.batches(packets, BATCH_PACKETS))


def classify(
    packets: pd.DataFrame, model: Path, definition: Definition, when: str, flow_table: FlowTable
) -> tuple[pd.DataFrame, list[Program], dict[str, int]]:
    """The decisions on a packets table (in order of time), the programs that made them, and their counters.

    Raises KernelRefused, and UserError when the replay loses a decision.
    """
    module, programs = kernel.load(model, definition, when, flow_table, replay=True)
    decisions, counters = decide(module, programs[0], frames.batches(packets, BATCH_PACKETS))
    return decisions, programs, counters


def decide(module: Module, program: Program, batches: Iterable[np.ndarray]) -> tuple[pd.DataFrame, dict[str, int]]:
    """The decisions of a classifier on batches as frames.batches makes them, and its counters.

    Raises UserError when a decision is lost.
    """
    taken = [np.empty(0, events.DECISION_EVENT)]
    with one_cpu():
        counters = _feed(ReplayedProgram(module, program, "decisions", events.DECISION_EVENT, taken.append), batches)
    decisions = np.concatenate(taken)
    return events.decisions_table(decisions, decisions["t_label_ns"]), counters


def _feed(replayed: ReplayedProgram, batches: Iterable[np.ndarray]) -> dict[str, int]:
    for batch in batches:
        replayed.run(batch, len(batch))
    return replayed.end()
