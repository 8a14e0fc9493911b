"""What the lock on a flow costs (bpf/include/flowlock.h; tests/bpf/test_flow_table.py shows what it prevents).

The whole classifier takes packets of one flow, compiled with the lock and without it. The variants take turns, on one
CPU and on two that contend for the flow. BPF_PROG_TEST_RUN's own clock times them. Two alternatives were ruled out:

- to keep a flow's state on each CPU and merge it is not exact: two CPUs may see the two packets of an IAT;
- to steer a flow to one CPU needs a cpumap in XDP, which wakes a process for each packet.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd

from upfml.bpf.flowtable import FlowTable
from upfml.bpf.module import Program
from upfml.bpf.testrun import TestRun
from upfml.classify import kernel
from upfml.packets.features import Definition
from upfml.studies.bench.programs import FRAME

_TURNS = 7
_PACKETS = 1_000_000  # in a turn, on each CPU


def measure(model: Path, definition: Definition) -> pd.DataFrame:
    """A row for each number of CPUs and variant: ns a packet (median and quartiles over the turns), ratio to unlocked.

    `model` is a folder of convert.write.
    """
    variants = {"unlocked": ["FLOW_UNLOCKED"], "locked": []}
    loaded = {
        name: kernel.load(model, definition, "window", FlowTable(), replay=True, also=also)
        for name, also in variants.items()
    }
    rows = []
    for cpus in ([0], [0, 1]):
        times_ns: dict[str, list[float]] = {name: [] for name in variants}
        for _ in range(_TURNS):
            for name, (_, programs) in loaded.items():
                times_ns[name].append(_turn(programs[0], cpus))
        for name, times in times_ns.items():
            low, middle, high = np.percentile(times, [25, 50, 75])
            rows.append((len(cpus), name, middle, low, high, middle / np.median(times_ns["unlocked"])))
    return pd.DataFrame(rows, columns=["cpus", "variant", "median_ns", "q25_ns", "q75_ns", "ratio"])


def _turn(program: Program, cpus: list[int]) -> float:
    """ns a packet, the mean over CPUs that run at the same time."""

    def on_cpu(cpu: int) -> int:
        os.sched_setaffinity(0, {cpu})  # of this thread
        run = TestRun(program)
        run(FRAME, 10**9, times=_PACKETS)
        return run.duration_ns

    with ThreadPoolExecutor(len(cpus)) as threads:
        return float(np.mean(list(threads.map(on_cpu, cpus))))
