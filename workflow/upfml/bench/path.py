"""What each step of a packet's way costs, from a program that does nothing to a classification that is delivered.

The steps are the classifier's own functions, in programs that stop after one of them (bpf/bench.h), on real clocks,
each packet another flow's. Every packet is classified (`classify.when: packet`), so that no step is left out:

- `pass`: XDP_PASS alone;
- `parse`: Ethernet to the inner 5-tuple; the arrival's time is read with the next step;
- `flow`: look up the flow's state;
- `statistics`: lock the flow, add the packet, features;
- `classify`: the engine, without delivery; the time at which features were ready is read here;
- `deliver`: the time of the label, and the event into its buffer. Nobody is woken for it; it is emptied in between.

Times are BPF_PROG_TEST_RUN's own, net of what makes the packet another flow's, medians over turns in which the steps
take turns, pinned to one CPU.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from upfml import events, frames
from upfml.bench import programs
from upfml.bpf import Module, Program
from upfml.classify import kernel
from upfml.features import Definition
from upfml.flowkey import UDP
from upfml.flowtable import FlowTable
from upfml.testrun import Events, TestRun, one_cpu

STEPS = ["pass", "parse", "flow", "statistics", "classify", "deliver"]
COLUMNS = ["flows", "step", "ns", "ns_step", "share", "over_pass"]

_FRAME = frames.n3(frames.inner("10.60.0.1", 40_000, "10.70.0.1", 5_001, UDP, 60))
_ADDRESS_AT = len(frames.n3(b"")) + 12  # of an inner IPv4 header: the source address
_RUNS = 131_072  # in a turn, of each step; at least one a flow
_BURST = 16_384  # events, after which their buffer is emptied; each call of bpf(2) waits for RCU, some 20 ms
_SPARE = 2  # of places in the flow table: an LRU table evicts before it is full
_WINDOW_NS = 5_000_000  # at the least, so that no window has more IATs than are counted; and for each flow
_WINDOW_FLOW_NS = 5_000  # as much time as brings it some packets


def measure(model: Path, flow_table: FlowTable, flows: Sequence[int], repeats: int) -> pd.DataFrame:
    """The table of COLUMNS: a row for each number of flows and step; ns is from the packet's arrival to the step's end.

    `model` is a folder of convert.write; the kind of `flow_table` is kept, and its size where it has room. share is
    ns_step's of the whole way; over_pass is ns over that of `pass`. Raises VerifierRefused.
    """
    with one_cpu() as cpu:
        return pd.concat([_of_flows(model, flow_table, number, repeats, cpu) for number in flows], ignore_index=True)


def _of_flows(model: Path, flow_table: FlowTable, flows: int, repeats: int, cpu: int) -> pd.DataFrame:
    definition = Definition(max(_WINDOW_NS, flows * _WINDOW_FLOW_NS), 1_000)
    table = FlowTable(flow_table.kind, max(flow_table.flows, _SPARE * flows))
    module, (undelivered, *_) = programs.load(model, definition, "packet", table)
    real, (delivered, *_) = kernel.load(model, definition, "packet", table)
    cut_short = {step: module.load(f"bench_{step}") for step in STEPS[:4]}
    steps = cut_short | {"classify": undelivered, "deliver": delivered}
    decisions = Events(real, "decisions", events.DECISION_EVENT, cpu=cpu, burst=_BURST, capacity=_BURST)
    run, runs = _Run(module, decisions, flows), max(flows, _RUNS)
    try:
        for _ in range(2):  # a flow begins; it has an IAT
            run(undelivered, flows, flows)
            run(delivered, flows, _BURST)
        time.sleep(definition.window_ns / 1e9)
        run(undelivered, flows, flows)  # its first window closes
        run(delivered, flows, _BURST)
        turns = [
            {step: run(program, runs, _BURST if step == "deliver" else runs) for step, program in steps.items()}
            for _ in range(repeats)
        ]
    finally:
        decisions.close()
    alone_ns = np.median([_alone(steps["pass"]) for _ in range(repeats)])
    return _shares(pd.DataFrame(turns), float(alone_ns)).assign(flows=flows)[COLUMNS]


def _shares(turns: pd.DataFrame, alone_ns: float) -> pd.DataFrame:
    """`turns` has a column a step, each with the same extra time as `pass`, which alone takes alone_ns."""
    ns = turns.sub(turns["pass"], axis="index").median() + alone_ns
    ns_step = ns.diff().fillna(alone_ns)
    columns = {"step": STEPS, "ns": ns, "ns_step": ns_step, "share": ns_step / ns.iloc[-1], "over_pass": ns / alone_ns}
    return pd.DataFrame(columns).reset_index(drop=True)


def _alone(program: Program) -> int:
    run = TestRun(program)
    run(_FRAME, times=_RUNS)
    return run.duration_ns


class _Run:
    """Runs of a program on packets of one flow after the other."""

    def __init__(self, module: Module, decisions: Events, flows: int) -> None:
        self._module, self._decisions, self._flows = module, decisions, flows
        self._run = TestRun(module.load("bench_packet"))

    def __call__(self, program: Program, runs: int, burst: int) -> float:
        """ns a run of `program`, the mean over `runs`, in bursts of `burst`."""
        programs.tail_call(self._module, "bench_step", 0, program)
        programs.begin_round(self._module, self._flows, _ADDRESS_AT)
        total_ns = done = 0
        while done < runs:
            times = min(burst, runs - done)
            self._run(_FRAME, times=times)
            total_ns += times * self._run.duration_ns
            done += times
            self._decisions.gather()
            self._decisions.take()
        return total_ns / runs
