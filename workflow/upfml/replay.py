"""Recorded packets through the real in-kernel classifier, each at its own time (BPF_PROG_TEST_RUN).

No network, and the same decisions every time.
"""

from __future__ import annotations

import ctypes
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from upfml import events, frames
from upfml.agent import PERF_PAGES
from upfml.bpf import Program
from upfml.classify import kernel
from upfml.features import Definition
from upfml.flowkey import FIVE_TUPLE
from upfml.flowtable import FlowTable
from upfml.testrun import TestRun

_POLL_EVERY_PACKETS = 512
"""Often enough that the perf buffer cannot overflow: it holds over 1,500 decisions a CPU."""


def classify(
    packets: pd.DataFrame, model: Path, definition: Definition, when: str, flow_table: FlowTable
) -> tuple[pd.DataFrame, list[Program], dict[str, int]]:
    """The decisions on a packets table (in order of time), the programs that made them, and their counters.

    t_packet_ns is the recorded time; t_features_ns and t_label_ns are of the replay. Raises VerifierRefused.
    """
    module, programs = kernel.load(model, definition, when, flow_table, replay=True)
    raw = bytearray()
    module.read_events(
        "decisions", lambda _cpu, data, _size: raw.extend(ctypes.string_at(data, _EVENT_BYTES)), PERF_PAGES
    )
    run = TestRun(programs[0])
    columns = [*FIVE_TUPLE, "length_bytes", "t_ns"]
    for number, (*inner, t_ns) in enumerate(zip(*(packets[name].tolist() for name in columns), strict=True)):
        run(_frame(*inner), t_ns)
        if number % _POLL_EVERY_PACKETS == 0:
            module.poll(0)
    module.poll(0)
    decisions = np.frombuffer(raw, events.DECISION_EVENT)
    return events.decisions_table(decisions, decisions["t_label_ns"]), programs, module.counters()


_EVENT_BYTES = events.DECISION_EVENT.itemsize


@lru_cache(maxsize=1 << 14)
def _frame(src: str, src_port: int, dst: str, dst_port: int, protocol: int, length_bytes: int) -> bytes:
    return frames.n3(frames.inner(src, src_port, dst, dst_port, protocol, length_bytes))
