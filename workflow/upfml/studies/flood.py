"""What a full flow table costs: a recorded trace through the classifier, with a flood of new flows poured into it.

Each flow of the flood is a single packet with a 5-tuple of its own, as a scan or a spoofed attack makes them. Flows of
the trace keep sending, so a table that forgets the longest silent flow first need not lose one. The kernel's LRU only
approximates that, with per-CPU lists and second chances. The study compares it with an exact LRU.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd

from upfml.base import tables
from upfml.base.flowkey import FIVE_TUPLE, UDP
from upfml.bpf.flowtable import FlowTable
from upfml.bpf.testrun import RECORD
from upfml.classify import kernel
from upfml.packets import frames
from upfml.packets.features import Definition
from upfml.replay import feed

TRACE_S = 20
"""Of the recorded trace."""
SIZES = [1_024, 16_384, 262_144]
"""Flows in the table."""

_INNER = frames.n3(b"\0").rindex(b"\0")  # where the inner packet begins in a frame
_ADDRESSES = slice(RECORD.itemsize + _INNER + 12, RECORD.itemsize + _INNER + 20)  # of an IPv4 header: both
_PORTS = slice(RECORD.itemsize + _INNER + 20, RECORD.itemsize + _INNER + 24)  # of a UDP header: both
_SAME = ["flow", "t_packet_ns", "window", "packets", *tables.FEATURES, "predicted"]
"""What two decisions have in common when nothing disturbed them."""


def study(
    packets: pd.DataFrame,
    model: Path,
    definition: Definition,
    seed: int,
    flood: int,
    *,
    sizes: Sequence[int] = SIZES,
) -> pd.DataFrame:
    """Table `flood`: for each kind and size of flow table, what became of the decisions on `packets`.

    `packets` is a packets table in order of time, `model` a folder of convert.write; `flood` is how many packets are
    poured in. Raises KernelRefused.
    """
    records, flow_of = _with_flood(packets, seed, flood)
    undisturbed = _decisions(
        next(frames.batches(packets, len(packets))), model, definition, FlowTable("hash", 1 << 20)
    )[0]
    trace_flows = int(flow_of.max()) + 1
    rows = []
    for kind in ("lru", "hash"):
        for size in sizes:
            table = FlowTable(kind, size)
            decisions, counters = _decisions(records, model, definition, table)
            is_lru = kind == "lru"
            rows.append(
                {
                    **asdict(table),
                    "flood": flood,
                    "trace_flows": trace_flows,
                    "evicted": counters["flows_evicted"],
                    "table_full": counters["flow_table_full"],
                    "restarts": counters["flow_new"] - flood - trace_flows if is_lru else 0,
                    "restarts_ideal": ideal_restarts(flow_of, size) if is_lru else 0,
                    "decisions": len(decisions),
                    "decisions_undisturbed": len(undisturbed),
                    "unchanged": len(undisturbed.merge(decisions, on=_SAME, validate="one_to_one")),
                }
            )
    return tables.typed(pd.DataFrame(rows), tables.FLOOD)


def _with_flood(packets: pd.DataFrame, seed: int, flood: int) -> tuple[np.ndarray, np.ndarray]:
    """Records of the trace and of the flood in order of time; for each its flow's number in the trace, -1 for flood.

    The flood's times are drawn uniformly over the trace's duration, its addresses and ports from all there are.
    """
    random = np.random.default_rng(seed)
    trace = next(frames.batches(packets, len(packets)))
    template = packets.iloc[[0]].assign(src="0.0.0.0", dst="0.0.0.0", protocol=UDP, length_bytes=60)
    poured = np.repeat(next(frames.batches(template, 1)), flood, axis=0)
    poured[:, _ADDRESSES] = random.integers(0, 256, (flood, 8), np.uint8)
    poured[:, _PORTS] = random.integers(0, 256, (flood, 4), np.uint8)
    first_ns, last_ns = packets["t_ns"].iloc[[0, -1]]
    times = random.integers(first_ns, last_ns, flood)
    poured[:, : RECORD.itemsize].view(RECORD)["t_ns"] = times[:, np.newaxis]
    order = np.argsort(np.concatenate([packets["t_ns"].to_numpy(), times]), kind="stable")
    flow = packets.groupby(FIVE_TUPLE, sort=False, observed=True).ngroup().to_numpy()
    return np.concatenate([trace, poured])[order], np.concatenate([flow, np.full(flood, -1)])[order]


def _decisions(
    records: np.ndarray, model: Path, definition: Definition, table: FlowTable
) -> tuple[pd.DataFrame, dict[str, int]]:
    """The kernel's decisions on records, and its counters (feed.ReplayedProgram.end)."""
    module, programs = kernel.load(model, definition, "window", table, replay=True)
    batches = (records[start : start + feed.BATCH_PACKETS] for start in range(0, len(records), feed.BATCH_PACKETS))
    return feed.decide(module, programs[0], batches)


def ideal_restarts(flow_of: np.ndarray, size: int) -> int:
    """How often a flow of the trace had been evicted when its next packet came, in an exact LRU table."""
    table: OrderedDict[int, None] = OrderedDict()
    seen: set[int] = set()
    restarts = 0
    for number, flow in enumerate(flow_of.tolist()):
        key = flow if flow >= 0 else -1 - number
        if key in table:
            table.move_to_end(key)
            continue
        if flow >= 0:
            restarts += flow in seen
            seen.add(flow)
        table[key] = None
        if len(table) > size:
            table.popitem(last=False)
    return restarts
