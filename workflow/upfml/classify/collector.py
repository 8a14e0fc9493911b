"""The collector (paper, section 3.1): bpf/collect.bpf.c, and what user space does with its events."""

from __future__ import annotations

import numpy as np
import pandas as pd

from upfml.base import tables
from upfml.bpf import events
from upfml.bpf.delivery import READ_AT_ONCE, Delivery
from upfml.bpf.flowtable import FlowTable
from upfml.bpf.module import Module
from upfml.bpf.testrun import replay_defines

_NO_WINDOWS: dict[str, int | str | None] = {"WINDOW_NS": 1, "IAT_UNIT_NS": 1}
"""For window.h, of which the collector uses no more than the structs: windows are made of its events, in user space."""


def collector(
    flow_table: FlowTable,
    delivery: Delivery = READ_AT_ONCE,
    *,
    replay: bool = False,
    stamps: bool = False,
) -> Module:
    """bpf/collect.bpf.c, compiled.

    With `replay` it takes packets' own times from TestRun; with `stamps` it says when an event was sent.
    """
    clock = (replay_defines() if replay else {}) | ({"STAMP_STEPS": None} if stamps else {})
    return Module("collect.bpf.c", {**_NO_WINDOWS, **flow_table.defines(), **delivery.defines(), **clock})


class PacketRecorder:
    """Every packet event becomes a row of the packets table."""

    event, schema = events.PACKET_EVENT, tables.PACKETS

    def __init__(self) -> None:
        self._taken = [np.empty(0, events.PACKET_EVENT)]

    def take(self, events: np.ndarray) -> None:
        """Keep them: 80 bytes a packet."""
        self._taken.append(events)

    def table(self) -> pd.DataFrame:
        """The packets in the order in which they arrived."""
        packets = np.concatenate(self._taken)
        return events.packets_table(packets[np.argsort(packets["t_ns"], kind="stable")])
