"""Turns of the arms under load. A sweep varies one thing: packets a second, flows, or the period of flows.

The generator (traffic/injector) sends small GTP-U packets by the clock. The data network counts what arrives. All arms
take turns on one test bed, in an order that is drawn anew for each value and round. A turn begins with unknown flows.
It ends when every flow has sent its packets and every event has been read. Losses are counted over the whole turn; CPU
and latency are those of its steady part.

The generator and this process have the first CPU. The UPF has the others: for the thread that receives N3, and for the
agent, which decides in user space or reads the kernel's decisions. So every arm has the same machine, and breaks where
all its work together is too much for it. The thread is SCHED_FIFO: packets go before processes, as they do in softirq.
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
import psutil

from upfml.arms import NONE, Arm, Arms
from upfml.base import files, tables, xdpmode
from upfml.base.errors import UserError
from upfml.bpf import syscall
from upfml.run.agentprocess import AgentProcess, loss
from upfml.studies.load.loads import OfferedLoad, offered_loads
from upfml.testbed.namespaces import Namespaces
from upfml.traffic.injector import bed as injector_bed
from upfml.traffic.injector.bed import InjectorBed
from upfml.traffic.injector.generator import ScheduledGenerator
from upfml.traffic.injector.schedule import Schedule

log = logging.getLogger(__name__)

_UNDER_WAY_S = 0.02
"""Within this time after the last packet all that can arrive has arrived."""
_PATIENCE_S = 2.0
"""A generator that is so late does not come to the end of its schedule."""
_POLL_S = 0.002
_SOURCE_PRIORITY = -20
"""Nice value: nothing else on its CPU may keep the generator waiting."""


def measure(config: Mapping[str, Any], model: Path | None) -> pd.DataFrame:
    """Table `load`. `model` is a folder of convert.write, for arms that classify.

    Windows are of load.window_ms; all else is as the sections `features`, `flow_table` and `delivery` say. Raises
    UserError when an agent fails, when there is but one CPU, and as Schedule.of; the test bed and every process are
    gone then, too.
    """
    load = config["load"]
    config = {**config, "features": {**config["features"], "window_ms": load["window_ms"]}}
    values = [(offered, offered.schedule(load)) for offered in offered_loads(load)]
    arms = Arms.of(load["arms"])
    loaded = [arm for arm in arms if arm != NONE]
    with ExitStack() as stack:
        work = Path(stack.enter_context(TemporaryDirectory()))
        bed = stack.enter_context(Namespaces(config["testbed"]["prefix"], config["testbed"]["ue_mtu_bytes"]))
        live = stack.enter_context(injector_bed.ready(bed, max(offered.flows for offered, _ in values)))
        generator = stack.enter_context(ScheduledGenerator(live, bed.ran))
        log.info("loading %s", ", ".join(arm.name for arm in loaded))
        agents = {arm: AgentProcess(config, arm, bed, model, work / arm.name) for arm in loaded}
        for agent in agents.values():
            agent.wait_until_loaded()
        upf_cpus = stack.enter_context(_apart(live.thread, generator.pid, [agent.pid for agent in agents.values()]))
        stack.callback(os.close, syscall.count_run_time())
        turns = [_Turns(arm, live, generator, upf_cpus, agents.get(arm)) for arm in arms]
        random = np.random.default_rng(config["seed"])
        for turn in range(load["repeats"]):
            for offered, schedule in values:
                log.info("round %d of %d: %s %g", turn + 1, load["repeats"], offered.sweep, offered.value)
                for at in random.permutation(len(turns)):
                    turns[at].make(offered, schedule, turn)
        rows = pd.concat([of_arm.end(work / of_arm.arm.name) for of_arm in turns], ignore_index=True)
    return tables.typed(rows.sort_values(["sweep", "value", "turn"], kind="stable"), tables.LOAD)


@dataclass(frozen=True)
class _Reading:
    """Cumulative, at a time."""

    t_ns: int
    sent: int
    thread_cpu_ns: int
    agent_cpu_ns: int
    idle_s: float  # of the UPF's CPUs


@dataclass(frozen=True)
class _EventCosts:
    """Of an agent; cumulative."""

    made: int = 0
    lost: int = 0
    run_time_ns: int = 0
    run_cnt: int = 0

    @classmethod
    def of(cls, report: Mapping[str, Any]) -> _EventCosts:
        events = loss(report)
        lost = int(events["lost"])
        return cls(int(events["received"]) + lost, lost, report["run_time_ns"], report["run_cnt"])

    def since(self, before: _EventCosts) -> _EventCosts:
        return _EventCosts(*(value - vars(before)[name] for name, value in vars(self).items()))


class _Turns:
    """The turns of an arm that is loaded."""

    def __init__(
        self,
        arm: Arm,
        bed: InjectorBed,
        generator: ScheduledGenerator,
        upf_cpus: Sequence[int],
        agent: AgentProcess | None,
    ) -> None:
        self.arm = arm
        self._bed, self._generator, self._upf_cpus, self._agent = bed, generator, upf_cpus, agent
        self._report = _EventCosts()
        self._rows: list[dict[str, Any]] = []
        self._steady_ns: list[tuple[int, int]] = []
        self._ended_ns: list[int] = []

    def make(self, offered: OfferedLoad, schedule: Schedule, turn: int) -> None:
        """Send all of the schedule."""
        if self._agent:
            self._agent.attach()
        self._generator.plan(schedule)
        forwarded = self._bed.forwarded()
        began_ns = time.monotonic_ns()
        steady_ns = [began_ns + since_ns for since_ns in schedule.steady_ns]
        with self._generator.sending():
            begin, end = [self._reading(at_ns) for at_ns in steady_ns]
            self._wait_until_finished(began_ns + schedule.length_ns)
        time.sleep(_UNDER_WAY_S)
        forwarded = self._bed.forwarded() - forwarded
        report = _EventCosts.of(self._agent.detach()) if self._agent else _EventCosts()
        before, self._report = self._report, report
        self._steady_ns.append((begin.t_ns, end.t_ns))
        self._ended_ns.append(time.monotonic_ns())
        self._rows.append(
            {
                "sweep": offered.sweep,
                "value": offered.value,
                "arm": self.arm.name,
                "turn": turn,
                "xdp_mode": self._agent.xdp_mode if self._agent else xdpmode.NONE,
                "flows": offered.flows,
                "wanted_packets_per_s": schedule.packets_per_s,
                "packets_wanted": schedule.sent,
                "packets_offered": self._generator.sent(),
                "packets_forwarded": forwarded,
                "decisions_expected": self._expected(schedule),
                **_of_events(report.since(before)),
                **self._of_cpus(begin, end),
            }
        )

    def end(self, work: Path) -> pd.DataFrame:
        """Have the agent write its decisions into `work`: the rows of table `load`."""
        rows = pd.DataFrame(self._rows).assign(decisions_made=0, latency_p50_ns=np.nan, latency_p99_ns=np.nan)
        if self._agent is None:
            return rows
        self._agent.end()
        if not self.arm.classifies:
            return rows
        made = files.read(work / "decisions.parquet", tables.DECISIONS).sort_values("t_packet_ns")
        at_ns, counted = made["t_packet_ns"].to_numpy(), (1 + made["repeats"]).to_numpy()
        latency_ns = (made["t_delivered_ns"] - made["t_packet_ns"]).to_numpy()
        turn_of = np.searchsorted(self._ended_ns, at_ns)
        rows["decisions_made"] = np.bincount(turn_of, counted, len(rows)).astype(int)
        for turn, steady_ns in enumerate(self._steady_ns):
            steady = latency_ns[slice(*np.searchsorted(at_ns, steady_ns))]
            if len(steady):
                rows.loc[turn, ["latency_p50_ns", "latency_p99_ns"]] = np.quantile(steady, [0.5, 0.99])
        return rows

    def _reading(self, at_ns: int) -> _Reading:
        """At that time, or as soon after as can be."""
        time.sleep(max(0, at_ns - time.monotonic_ns()) / 1e9)
        idle_s = sum(
            spent.idle + spent.iowait + spent.steal
            for cpu, spent in enumerate(psutil.cpu_times(percpu=True))
            if cpu in self._upf_cpus
        )
        agent_cpu_ns = injector_bed.cpu_ns(self._agent.pid) if self._agent else 0
        return _Reading(
            time.monotonic_ns(), self._generator.sent(), injector_bed.cpu_ns(self._bed.thread), agent_cpu_ns, idle_s
        )

    def _wait_until_finished(self, until_ns: int) -> None:
        deadline_ns = until_ns + _PATIENCE_S * 1e9
        while not self._generator.finished() and time.monotonic_ns() < deadline_ns:
            if self._agent:
                self._agent.check()
            time.sleep(_POLL_S)

    def _expected(self, schedule: Schedule) -> float:
        """Decisions, where they follow from the schedule: not of those who decide on packets, or on nothing."""
        if not self.arm.classifies or self.arm.when == "packet":
            return np.nan
        missing = schedule.sent - self._generator.sent() if schedule.decisions_by_packet else 0
        return max(0, schedule.decisions - missing)

    def _of_cpus(self, begin: _Reading, end: _Reading) -> dict[str, float]:
        """What the steady part took."""
        spent = {name: value - vars(begin)[name] for name, value in vars(end).items()}
        had_ns = spent["t_ns"] * len(self._upf_cpus)
        packets = spent["sent"] or np.nan
        return {
            "upf_busy_pct": max(0.0, 100 * (1 - 1e9 * spent["idle_s"] / had_ns)),
            "thread_cpu_ns_per_packet": spent["thread_cpu_ns"] / packets,
            "agent_cpu_ns_per_packet": spent["agent_cpu_ns"] / packets,
            "upf_cpu_pct": 100 * (spent["thread_cpu_ns"] + spent["agent_cpu_ns"]) / had_ns,
        }


def _of_events(report: _EventCosts) -> dict[str, float]:
    return {
        "events_made": report.made,
        "events_lost": report.lost,
        "program_ns": report.run_time_ns / report.run_cnt if report.run_cnt else np.nan,
    }


@contextmanager
def _apart(thread: int, generator: int, agents: Sequence[int]) -> Iterator[list[int]]:
    """Give the first CPU to the generator and to this process, and the others, which it gives, to the UPF.

    Takes pids. Raises UserError when there is but one CPU.
    """
    source, *upf = sorted(os.sched_getaffinity(0))
    if not upf:
        raise UserError(
            "generator and UPF need one CPU each, but this machine has only one", "use a machine with two or more"
        )
    os.sched_setaffinity(thread, upf[-1:])
    os.sched_setscheduler(thread, os.SCHED_FIFO, os.sched_param(1))
    for agent in agents:
        os.sched_setaffinity(agent, upf)
    os.setpriority(os.PRIO_PROCESS, generator, _SOURCE_PRIORITY)
    for process in (generator, 0):
        os.sched_setaffinity(process, [source])
    try:
        yield upf
    finally:
        os.sched_setaffinity(0, [source, *upf])
