"""The cost of classifying a packet and telling user space, for each way to deliver events (upfml/bpf/delivery.py).

Every packet is classified. A reader on another CPU does nothing but take decisions. They reach it in one of these ways:

- by perf buffers, which wake it for every event, as in the paper;
- by a ring, with several delays;
- by a ring, but only if they change the flow's class. Here the class never changes.

The classifier runs in bursts on one CPU, and the ways take turns. Times are BPF_PROG_TEST_RUN's own. bench_statistics
of bpf/bench.h measures what comes before the inference, and that is subtracted. The reader empties the buffers between
bursts, so nothing should be lost.
"""

from __future__ import annotations

import os
import resource
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

import numpy as np
import pandas as pd

from upfml.base.errors import UserError
from upfml.bpf import events
from upfml.bpf.delivery import Delivery, Dropper
from upfml.bpf.flowtable import FlowTable
from upfml.bpf.module import Program
from upfml.bpf.testrun import TestRun, one_cpu
from upfml.classify import kernel
from upfml.packets.features import Definition
from upfml.studies.bench import programs

DELIVERIES = [
    (Delivery("perf", pages=1_024), "every"),
    *((Delivery("ring", delay_ms), "every") for delay_ms in (0, 1, 10)),
    (Delivery("ring"), "change"),
]
"""And whether every decision is sent, or every change of one."""
COLUMNS = [
    *("by", "delay_ms", "emit", "ns", "ns_low", "ns_high"),
    *("packets", "events", "lost", "wakeups", "perf_over_this"),
]

_DEFINITION = Definition(10_000, 1_000)  # a window of some dozen packets of a burst
_BURST, _BURSTS = 4_096, 8  # packets; bursts in a turn
_WAIT_S = 0.05


def measure(model: Path, repeats: int) -> pd.DataFrame:
    """The table of COLUMNS: a row a delivery; ns is to classify and deliver (median and quartiles over the turns).

    `model` is a folder of convert.write. packets, events, lost and wakeups (the reader's voluntary context switches)
    are those of the whole benchmark; perf_over_this is how many times as much perf buffers cost. Raises KernelRefused,
    and UserError where there is no CPU beside this one for the reader.
    """
    with one_cpu() as cpu, ExitStack() as stack:
        others = sorted(set(range(os.cpu_count() or 1)) - {cpu})
        if not others:
            raise UserError("this machine has only one CPU", "run this benchmark on a machine with two or more")
        before = programs.load(model, _DEFINITION, "packet", FlowTable())[0].load("bench_statistics")
        told = [stack.enter_context(_Told(model, delivery, emit, others[0])) for delivery, emit in DELIVERIES]
        turns = []
        for _ in range(repeats):
            statistics_ns = _bursts(before)
            turns.append([each.turn() - statistics_ns for each in told])
    low, middle, high = np.percentile(turns, [25, 50, 75], axis=0)
    rows = [
        (delivery.by, delivery.delay_ms, emit, *ns, *each.counts(), each.wakeups, middle[0] / ns[0])
        for (delivery, emit), each, *ns in zip(DELIVERIES, told, middle, low, high, strict=True)
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def _bursts(program: Program, after_each: Callable[[], None] = lambda: None) -> float:
    """ns a packet, the mean over a turn of bursts of one flow's packets."""
    run, total_ns = TestRun(program), 0
    for _ in range(_BURSTS):
        run(programs.FRAME, times=_BURST)
        total_ns += run.duration_ns
        after_each()
    return total_ns / _BURSTS


class _Told:
    """The classifier, and a thread on another CPU that reads its decisions."""

    def __init__(self, model: Path, delivery: Delivery, emit: str, cpu: int) -> None:
        self.wakeups = 0
        self._module, (self._program, *_) = kernel.load(model, _DEFINITION, "packet", FlowTable(), delivery, emit=emit)
        self._delivered = delivery.open(self._module, {"decisions": Dropper(events.DECISION_EVENT)})
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._read, args=(cpu,))

    def __enter__(self) -> _Told:
        self._thread.start()
        self.turn()  # the flow begins, and closes its first windows
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.set()
        self._thread.join()

    def counts(self) -> tuple[int, int, int]:
        """Packets, events sent and events lost so far."""
        counters = self._module.counters()
        return counters["flow"], counters["event_sent"], counters["event_lost"]

    def turn(self) -> float:
        """ns a packet."""
        return _bursts(self._program, self._wait_for_reader)

    def _wait_for_reader(self) -> None:
        while self._delivered.received < self.counts()[1]:
            time.sleep(1e-3)

    def _read(self, cpu: int) -> None:
        os.sched_setaffinity(0, {cpu})  # of this thread
        while not self._ending.is_set():
            self._delivered.wait(_WAIT_S)
        self.wakeups = resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw
