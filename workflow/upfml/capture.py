"""The collector (paper, section 3.1): bpf/collect.bpf.c, and what user space does with its events."""

from __future__ import annotations

import ctypes

import numpy as np
import pandas as pd

from upfml import events, tables
from upfml.bpf import Module
from upfml.features import Definition
from upfml.flowtable import FlowTable
from upfml.reader import Reader


def collector(definition: Definition, flow_table: FlowTable, *, replay: bool = False) -> Module:
    """bpf/collect.bpf.c, compiled; with `replay` it takes arrival times from packets' metadata."""
    clock: dict[str, int | str | None] = {"REPLAY_CLOCK": None} if replay else {}
    return Module("collect.bpf.c", {**definition.defines(), **flow_table.defines(), **clock})


class PacketCounter(Reader):
    """Every packet event reaches user space and is dropped there."""

    def event(self, cpu: int, data: int, size: int) -> None:
        """Count it."""
        self.received += 1


class PacketRecorder(Reader):
    """Every packet event becomes a row of the packets table."""

    schema = tables.PACKETS

    def __init__(self) -> None:
        self._raw = bytearray()

    def event(self, cpu: int, data: int, size: int) -> None:
        """Keep its bytes: 80 a packet."""
        self.received += 1
        self._raw += ctypes.string_at(data, events.PACKET_EVENT.itemsize)

    def table(self) -> pd.DataFrame:
        """The packets in the order in which they arrived."""
        packets = np.frombuffer(self._raw, events.PACKET_EVENT)
        return events.packets_table(packets[np.argsort(packets["t_ns"], kind="stable")])
