"""The collector in user space (paper, section 3.1): events of bpf/collect.bpf.c, saved or only counted."""

from __future__ import annotations

import ctypes

import numpy as np
import pandas as pd

from upfml import events
from upfml.bpf import Module
from upfml.features import Definition
from upfml.flowtable import FlowTable
from upfml.job import Job


def collector(definition: Definition, flow_table: FlowTable, *, replay: bool = False) -> Module:
    """bpf/collect.bpf.c, compiled; with `replay` it takes arrival times from packets' metadata."""
    clock: dict[str, int | str | None] = {"REPLAY_CLOCK": None} if replay else {}
    return Module("collect.bpf.c", {**definition.defines(), **flow_table.defines(), **clock})


class Collect:
    """The arm `collect`: every event reaches user space and is dropped there."""

    events = "packets"

    def __init__(self, job: Job) -> None:
        self.module = collector(job.definition, job.flow_table)
        self.programs = [self.module.load("collect")]
        self.received = 0

    def event(self, cpu: int, data: int, size: int) -> None:
        """Count it."""
        self.received += 1

    def table(self) -> tuple[str, pd.DataFrame] | None:
        """Nothing is kept."""
        return None


class Capture(Collect):
    """The training trace: every event becomes a row of the packets table."""

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self._raw = bytearray()

    def event(self, cpu: int, data: int, size: int) -> None:
        """Keep its bytes: 80 a packet."""
        self.received += 1
        self._raw += ctypes.string_at(data, events.PACKET_EVENT.itemsize)

    def table(self) -> tuple[str, pd.DataFrame] | None:
        """The packets in the order in which they arrived."""
        packets = np.frombuffer(self._raw, events.PACKET_EVENT)
        return "packets", events.packets_table(packets[np.argsort(packets["t_ns"], kind="stable")])
