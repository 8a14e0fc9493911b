"""Packets through one program, in batches, and what it hands to user space."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType

import numpy as np
import pandas as pd

from upfml import events, frames
from upfml.bpf import Module, Program
from upfml.capture import collector
from upfml.classify import kernel
from upfml.errors import UserError
from upfml.features import Definition
from upfml.flowtable import FlowTable
from upfml.testrun import Events, TestRun, one_cpu

BATCH_PACKETS = 2_048
"""At most so many before the perf buffers are emptied; Arm makes them large enough for an event for each."""
_ROW_GROUP = 1 << 17
"""Events that are kept in memory before they are handed on."""

Take = Callable[[np.ndarray], None]
"""Gets events (shape (n,)), many at a time and in order; the array is reused afterwards."""


class Arm:
    """A program in the kernel, the packets run through it, and what it hands to user space."""

    def __init__(self, module: Module, program: Program, table: str, event: np.dtype, cpu: int, take: Take) -> None:
        """`table` is the program's perf buffer, `event` what it sends there, `take` who gets that."""
        self._module, self._program, self._take = module, program, take
        self._run = TestRun(program)
        self._events = Events(module, table, event, cpu=cpu, burst=BATCH_PACKETS, capacity=_ROW_GROUP + BATCH_PACKETS)

    def __enter__(self) -> Arm:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._events.close()

    def run(self, batch: np.ndarray, records: int) -> None:
        """Run the program on a batch of at most BATCH_PACKETS records."""
        self._run.batch(batch, records)
        if self._events.gather() >= _ROW_GROUP:
            self._hand_on()

    def end(self) -> dict[str, int]:
        """After the last batch: the program's counters, and flows_evicted.

        Raises UserError when an event was lost or is missing.
        """
        self._hand_on()
        counters = self._module.counters()
        if counters["event_lost"] or counters["inference_broken"] or self._events.received != counters["event_sent"]:
            raise UserError(
                f"{self._program.name} sent {counters['event_sent']} events, of which {self._events.received} arrived; "
                f"{counters['event_lost']} found no room, {counters['inference_broken']} inferences broke off",
                "run it again; nothing was written",
            )
        return counters | {"flows_evicted": self._module.flows_evicted()}

    def _hand_on(self) -> None:
        rows = self._events.take()
        if len(rows):
            self._take(rows)


def collect(packets: pd.DataFrame, definition: Definition, flow_table: FlowTable, take: Take) -> dict[str, int]:
    """A packets table (in order of time) through the collector, its events to `take`; the collector's counters.

    Raises UserError when the replay loses an event.
    """
    module = collector(definition, flow_table, replay=True)
    with one_cpu() as cpu, Arm(module, module.load("collect"), "packets", events.PACKET_EVENT, cpu, take) as arm:
        return _feed(arm, frames.batches(packets, BATCH_PACKETS))


def classify(
    packets: pd.DataFrame, model: Path, definition: Definition, when: str, flow_table: FlowTable
) -> tuple[pd.DataFrame, list[Program], dict[str, int]]:
    """The decisions on a packets table (in order of time), the programs that made them, and their counters.

    Raises VerifierRefused, and UserError when the replay loses a decision.
    """
    module, programs = kernel.load(model, definition, when, flow_table, replay=True)
    decisions, counters = decide(module, programs[0], frames.batches(packets, BATCH_PACKETS))
    return decisions, programs, counters


def decide(module: Module, program: Program, batches: Iterable[np.ndarray]) -> tuple[pd.DataFrame, dict[str, int]]:
    """The decisions of a classifier on batches as frames.batches makes them, and its counters.

    Raises UserError when a decision is lost.
    """
    taken = [np.empty(0, events.DECISION_EVENT)]
    with (
        one_cpu() as cpu,
        Arm(module, program, "decisions", events.DECISION_EVENT, cpu, lambda rows: taken.append(rows.copy())) as arm,
    ):
        counters = _feed(arm, batches)
    decisions = np.concatenate(taken)
    return events.decisions_table(decisions, decisions["t_label_ns"]), counters


def _feed(arm: Arm, batches: Iterable[np.ndarray]) -> dict[str, int]:
    for batch in batches:
        arm.run(batch, len(batch))
    return arm.end()
