"""Packets per second that the live UPF forwards at saturation: with no program on N3, with XDP_PASS, with each engine.

GTP-U packets of some flows come to N3 faster than the UPF can take them (traffic/injector). They are counted where they
arrive at the data network, which discards them. Arms take turns of a fraction of a second, in drawn order. So a busy
machine or its hypervisor slows all of them alike. `over_pass` is relative to XDP_PASS in the same round. Every arm has
its own test bed, set up beforehand; all but one are silent. The choice of bed makes no visible difference: two arms
without a program differed by 0.7 % over 40 rounds, in which single turns differed threefold.

The UPF's thread (traffic/injector/bed.py) has one CPU to itself; generator, readers of decisions and this process have
the others.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from upfml.arms import Arm
from upfml.base import files, tables
from upfml.base.errors import UserError
from upfml.bpf import xdp
from upfml.model.engines import ENGINES
from upfml.model.kinds import TreeModel
from upfml.run.agentprocess import AgentProcess, loss
from upfml.studies.bench import programs
from upfml.testbed.namespaces import N3, Namespaces, inside
from upfml.traffic.injector import bed as injector_bed
from upfml.traffic.injector.bed import InjectorBed
from upfml.traffic.injector.generator import Generator

log = logging.getLogger(__name__)

ARMS = [*(("kernel", engine) for engine in ENGINES), ("none", ""), ("XDP_PASS", "")]
"""Each with its engine; `kernel` is the agent's arm. Agents take long to start, so they come first."""
COLUMNS = [
    *("arm", "engine", "turn", "forwarded_packets_per_s", "over_pass", "sent_packets_per_s", "forwarded_share"),
    *("upf_cpu_share", "decisions", "events_lost", "xdp_mode"),
]

_WARMUP_S = 0.05


def measure(forest: TreeModel, config: Mapping[str, Any]) -> pd.DataFrame:
    """The table of COLUMNS: a row for each turn and arm, of the seconds after its warm-up.

    `forest` is converted for each engine by the section `convert`, and runs as `features`, `flow_table` and `delivery`
    say. upf_cpu_share is the time that the UPF's thread had on its CPU: below 1 something else was there, or the
    generator was too slow. decisions are those of the turn that user space got, with its warm-up; events_lost those of
    all the arm's turns. Raises UserError when an engine or the kernel refuses, when an arm forwards nothing, and when
    an engine has decided nothing.
    """
    bench = config["bench"]["saturation"]
    with ExitStack() as stack:
        work = Path(stack.enter_context(TemporaryDirectory()))
        beds = []
        for number, (arm, engine) in enumerate(ARMS):
            log.info("setting up %s", f"{arm} {engine}".strip())
            beds.append(stack.enter_context(_set_up(arm, engine, forest, config, number, work / str(number))))
        for made in beds:
            if made.agent:
                made.agent.attach()
        stack.enter_context(_apart(beds))
        random = np.random.default_rng(config["seed"])
        rows = []
        for turn in range(bench["repeats"]):
            log.info("turn %d of %d", turn + 1, bench["repeats"])
            rows += [beds[at].turn(turn, bench["duration_s"]) for at in random.permutation(len(beds))]
        table = pd.concat([bed.end(pd.DataFrame(rows)) for bed in beds])
    return _over_pass(table)


def _over_pass(table: pd.DataFrame) -> pd.DataFrame:
    forwarded = "forwarded_packets_per_s"
    passed = table[table["arm"] == "XDP_PASS"].set_index("turn")[forwarded]
    table["over_pass"] = table[forwarded] / table["turn"].map(passed)
    return table[COLUMNS].sort_values("turn", kind="stable", ignore_index=True)


@dataclass(frozen=True)
class _EquippedBed:
    """A test bed with its arm on N3, ready for turns."""

    arm: str
    engine: str
    generator: Generator
    injected: InjectorBed
    agent: AgentProcess | None
    xdp_mode: str
    """Of XDP_PASS; agents know theirs."""
    work: Path

    def processes(self) -> list[int]:
        """Those that are not the UPF's thread."""
        return [self.generator.pid, *([self.agent.pid] if self.agent else [])]

    def turn(self, turn: int, duration_s: float) -> dict[str, Any]:
        """Send for the warm-up and `duration_s`: a row, with the turn's times in place of what `end` knows."""
        began_ns = time.monotonic_ns()
        with self.generator.sending():
            time.sleep(_WARMUP_S)
            before = self._reading()
            time.sleep(duration_s)
            after = self._reading()
        elapsed_ns, forwarded, sent, cpu_ns = after - before
        if not forwarded:
            raise UserError(f"{self.arm} {self.engine}: no packet arrives at the data network", "see bpf/upf.bpf.c")
        return {
            "arm": self.arm,
            "engine": self.engine,
            "turn": turn,
            "forwarded_packets_per_s": 1e9 * forwarded / elapsed_ns,
            "sent_packets_per_s": 1e9 * sent / elapsed_ns,
            "forwarded_share": forwarded / sent,
            "upf_cpu_share": cpu_ns / elapsed_ns,
            "began_ns": began_ns,
            "ended_ns": time.monotonic_ns(),
        }

    def end(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Of the rows of all arms this one's, complete."""
        own = rows[(rows["arm"] == self.arm) & (rows["engine"] == self.engine)]
        if self.agent is None:
            return own.assign(decisions=0, events_lost=0, xdp_mode=self.xdp_mode)
        report = self.agent.end()
        made_ns = files.read(self.work / "decisions.parquet", tables.DECISIONS)["t_packet_ns"].sort_values().to_numpy()
        decisions = np.searchsorted(made_ns, own["ended_ns"]) - np.searchsorted(made_ns, own["began_ns"])
        if not decisions.any():
            raise UserError(
                f"{self.engine} has decided nothing: no flow has closed a second window",
                "raise bench.saturation.repeats or bench.saturation.duration_s",
            )
        return own.assign(decisions=decisions, events_lost=loss(report)["lost"], xdp_mode=report["xdp_mode"])

    def _reading(self) -> NDArray[np.int64]:
        """Time (ns), packets at the data network, packets sent, ns that the UPF's thread had a CPU."""
        forwarded, sent = self.injected.forwarded(), self.injected.sent()
        return np.array([time.monotonic_ns(), forwarded, sent, injector_bed.cpu_ns(self.injected.thread)])


@contextmanager
def _set_up(
    arm: str, engine: str, forest: TreeModel, config: Mapping[str, Any], number: int, work: Path
) -> Iterator[_EquippedBed]:
    testbed = config["testbed"]
    with ExitStack() as stack:
        bed = stack.enter_context(Namespaces(f"{testbed['prefix']}sat{number}", testbed["ue_mtu_bytes"]))
        live = stack.enter_context(injector_bed.ready(bed, config["bench"]["saturation"]["flows"]))
        generator = stack.enter_context(Generator(live, bed.ran))
        agent, mode = None, ""
        if arm == "XDP_PASS":
            mode = stack.enter_context(_passing(live, bed, testbed["xdp_mode"]))
        if engine:
            programs.write(forest, engine, work / "model", config)
            agent = AgentProcess(config, Arm(arm), bed, work / "model", work)
        yield _EquippedBed(arm, engine, generator, live, agent, mode, work)


@contextmanager
def _passing(live: InjectorBed, bed: Namespaces, wanted: str) -> Iterator[str]:
    """XDP_PASS on N3: the mode."""
    with inside(bed.upf.namespace):
        attachment = xdp.attach(live.module, live.module.load("pass"), N3, wanted)
    yield attachment.mode
    with inside(bed.upf.namespace):
        attachment.detach()


@contextmanager
def _apart(beds: Sequence[_EquippedBed]) -> Iterator[None]:
    """Give the UPFs' threads one CPU, and the others to all else. Raises UserError when there is but one."""
    cpus = os.sched_getaffinity(0)
    if len(cpus) < 2:
        raise UserError(
            "generator and UPF need one CPU each, but this machine has only one", "use a machine with two or more"
        )
    upf = {max(cpus)}
    for bed in beds:
        os.sched_setaffinity(bed.injected.thread, upf)
        for process in bed.processes():
            os.sched_setaffinity(process, cpus - upf)
    os.sched_setaffinity(0, cpus - upf)
    try:
        yield
    finally:
        os.sched_setaffinity(0, cpus)
