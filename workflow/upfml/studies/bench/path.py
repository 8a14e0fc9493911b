"""The cost of each step of a packet's path, from a program that does nothing to a decision that is delivered.

The steps are the classifier's own functions, on real clocks. Each program stops after one of them (bpf/bench.h). Each
packet belongs to another flow:

- `pass`: XDP_PASS alone;
- `clock`: the packet's arrival;
- `parse`: Ethernet to the inner 5-tuple;
- `flow`: look up the flow's state;
- `statistics`: lock the flow, add the packet, features when it is to be classified;
- `classify`: the engine, without delivery; the time at which features were ready is read here;
- `deliver`: the time of the label, and the event into its ring. Nobody waits for it; the ring is emptied in between.

There are three ways to classify (section `classify` of the configuration): every packet; a window when it closes, which
is one packet in _WINDOW_PACKETS; and the same, but sending only changes. There the flow is settled, so nothing is sent.

Times are BPF_PROG_TEST_RUN's own, less the work that makes the packet belong to another flow. They are medians over
turns of the steps, on one CPU.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from upfml.bpf import events
from upfml.bpf.delivery import Delivery
from upfml.bpf.flowtable import FlowTable
from upfml.bpf.module import Module, Program
from upfml.bpf.ring import Ring
from upfml.bpf.testrun import TestRun, one_cpu
from upfml.classify import kernel
from upfml.packets import frames
from upfml.packets.features import Definition
from upfml.studies.bench import programs

WAYS = [("packet", "every"), ("window", "every"), ("window", "change")]
"""At which packets a flow is classified, and which decisions are sent."""
STEPS = ["pass", "clock", "parse", "flow", "statistics", "classify", "deliver"]
COLUMNS = ["flows", "when", "emit", "step", "ns", "ns_step", "share", "over_pass"]

_ADDRESS_AT = len(frames.n3(b"")) + 12  # of an inner IPv4 header: the source address
_RUNS = 131_072  # in a turn, of each step; at least one a flow
_BURST = 16_384  # packets, after which the ring is emptied; each call of bpf(2) waits for RCU, some 20 ms
_RING_PAGES = 1_024  # room for as many decisions
_SPARE = 2  # of places in the flow table: an LRU table evicts before it is full
_WINDOW_PACKETS = 64  # of a flow, about: as many as one with an IAT of 8 ms, usual in the traffic, has in 500 ms
_PACKET_NS = 200  # about, from packet to packet


def measure(model: Path, flow_table: FlowTable, flows: Sequence[int], repeats: int) -> pd.DataFrame:
    """The table of COLUMNS: a row for each number of flows, way and step; ns is from the start to the step's end.

    `model` is a folder of convert.write; the kind of `flow_table` is kept, and its size where it has room. share is
    ns_step's of the whole way; over_pass is ns over that of `pass`. Raises KernelRefused.
    """
    with one_cpu():
        tables = [_of_flows(model, flow_table, number, when, emit, repeats) for number in flows for when, emit in WAYS]
    return pd.concat(tables, ignore_index=True)


def _of_flows(model: Path, flow_table: FlowTable, flows: int, when: str, emit: str, repeats: int) -> pd.DataFrame:
    definition = Definition(_WINDOW_PACKETS * _PACKET_NS * flows, 1_000)
    table = FlowTable(flow_table.kind, max(flow_table.flows, _SPARE * flows))
    module, (undelivered, *_) = programs.load(model, definition, when, table, emit=emit)
    real, (delivered, *_) = kernel.load(model, definition, when, table, Delivery(pages=_RING_PAGES), emit=emit)
    cut_short = {step: module.load(f"bench_{step}") for step in STEPS[:5]}
    steps = cut_short | {"classify": undelivered, "deliver": delivered}
    run, runs = _Run(module, Ring(real, "decisions", events.DECISION_EVENT), flows), max(2 * flows, _RUNS)
    for _ in range(2):  # flows begin, and close their first windows
        for program, burst in ((undelivered, runs), (delivered, _BURST)):
            run(program, runs, burst)
    turns = [
        {step: run(program, runs, _BURST if step == "deliver" else runs) for step, program in steps.items()}
        for _ in range(repeats)
    ]
    alone_ns = np.median([_alone(steps["pass"]) for _ in range(repeats)])
    return _shares(pd.DataFrame(turns), float(alone_ns)).assign(flows=flows, when=when, emit=emit)[COLUMNS]


def _shares(turns: pd.DataFrame, alone_ns: float) -> pd.DataFrame:
    """`turns` has a column a step, each with the same extra time as `pass`, which alone takes alone_ns."""
    ns = turns.sub(turns["pass"], axis="index").median() + alone_ns
    ns_step = ns.diff().fillna(alone_ns)
    columns = {"step": STEPS, "ns": ns, "ns_step": ns_step, "share": ns_step / ns.iloc[-1], "over_pass": ns / alone_ns}
    return pd.DataFrame(columns).reset_index(drop=True)


def _alone(program: Program) -> int:
    run = TestRun(program)
    run(programs.FRAME, times=_RUNS)
    return run.duration_ns


class _Run:
    """Runs of a program on packets of one flow after the other."""

    def __init__(self, module: Module, decisions: Ring, flows: int) -> None:
        self._module, self._decisions, self._flows = module, decisions, flows
        self._run = TestRun(module.load("bench_packet"))

    def __call__(self, program: Program, runs: int, burst: int) -> float:
        """ns a run of `program`, the mean over `runs`, in bursts of `burst`."""
        self._module.tail_call("bench_step", 0, program)
        programs.begin_round(self._module, self._flows, _ADDRESS_AT)
        total_ns = done = 0
        while done < runs:
            times = min(burst, runs - done)
            self._run(programs.FRAME, times=times)
            total_ns += times * self._run.duration_ns
            done += times
            self._decisions.take()
        return total_ns / runs
