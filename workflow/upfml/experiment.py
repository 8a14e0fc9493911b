"""One run on the test bed: traffic through N3, one arm on it, samples of the machine, everything written down.

The same for the training trace (arm `capture`), for the measured arms (none, collect, user, kernel) and for the trace
on which they are compared with the reference (arm `exactness`).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from upfml import provenance, sampling, tables
from upfml.agentprocess import XDP_MODE, AgentProcess, loss
from upfml.provision import IDLE_WANTED_PCT, idle_pct
from upfml.testbed.namespaces import Namespaces
from upfml.traffic.session import Session

log = logging.getLogger(__name__)

IDLE_PATIENCE_S = 20.0
"""A run waits this long for the machine to be IDLE_WANTED_PCT idle; then it goes on and records what it saw."""
EXACTNESS_TRIAL = 999
"""The trial of arm `exactness`: its traffic is that of no other run."""
_TEND_S = 0.1
_PROGRESS_S = 10


def testbed(config: Mapping[str, Any]) -> Namespaces:
    """The test bed that the configuration names."""
    return Namespaces(config["testbed"]["prefix"], config["testbed"]["ue_mtu_bytes"])


def trial_seed(config: Mapping[str, Any], trial: int) -> int:
    """The seed of a trial's traffic: the same for all arms of a block, another for each trial (0: training trace)."""
    return int(config["seed"]) * 1000 + trial


def order_of_arms(config: Mapping[str, Any], trial: int) -> list[str]:
    """The arms of a block in an order drawn for this trial, so that drift of the machine hits no arm by its place."""
    arms = list(config["runs"]["arms"])
    np.random.default_rng(trial_seed(config, trial)).shuffle(arms)
    return arms


def run(
    config: Mapping[str, Any],
    arm: str,
    *,
    seed: int,
    warmup_s: float,
    duration_s: float,
    ladder: Path,
    control: Path,
    model: Path | None,
    out: Path,
) -> None:
    """Run one arm and write into `out`: packets or decisions, flows, rungs, sampling/, loss, run and provenance.

    `ladder` and `control` are what the traffic stage made, `model` a folder of convert.write. The measured part begins
    after `warmup_s`; rows from before it, or from after `duration_s`, are dropped. Raises UserError when a generator or
    the agent fails; the test bed and every process are gone then, too.
    """
    began = provenance.now()
    work = out / "work"
    work.mkdir(parents=True, exist_ok=True)
    total_s = warmup_s + duration_s
    with testbed(config) as bed:
        idle = _wait_for_idle()
        agent = AgentProcess(config, arm, bed, model, work) if arm != "none" else None
        if agent:
            agent.wait_until_ready()
        session = Session(
            config["traffic"], seed=seed, ran=bed.ran, dn=bed.dn, ue_address=bed.ue_address,
            dn_address=bed.dn_address, ladder=ladder, control=control, workdir=work / "traffic", duration_s=total_s,
        )  # fmt: skip
        course = _Course(arm, bed, session, agent, config["testbed"]["n3_rate_mbit_s"] or [None], total_s)
        with session:
            course.follow(until_s=warmup_s)
            processes = session.processes() | ({"classifier": agent.pid} if agent else {})
            with sampling.Sampler(out / "sampling", processes) as sampler:
                start_ns = time.monotonic_ns()
                course.follow(until_s=total_s, sampler=sampler)
                end_ns = time.monotonic_ns()
        report = agent.end() if agent else {"received": 0, "counters": {}}
        facts = bed.facts()
    flows = session.flows()
    tables.write(flows, out / "flows.parquet", tables.FLOWS)
    tables.write(session.rungs(), out / "rungs.parquet", tables.RUNGS)
    tables.write_json(loss(report), out / "loss.json")
    unlabelled = _write_rows(arm, work, out, flows, start_ns, end_ns)
    xdp_mode = XDP_MODE if agent else None
    tables.write_json(
        {
            "arm": arm,
            "seed": seed,
            "start_ns": start_ns,
            "end_ns": end_ns,
            "idle_before_pct": round(idle, 1),
            "idle_wanted_pct": IDLE_WANTED_PCT,
            "xdp_mode": xdp_mode,
            "n3_rate_mbit_s": config["testbed"]["n3_rate_mbit_s"],
            "decisions_of_unknown_flows": unlabelled,
            "agent": report,
            "traffic": session.report(),
        },
        out / "run.json",
    )
    record = provenance.of(
        config, arm=arm, traffic_seed=seed, xdp_mode=xdp_mode, testbed=facts, start=began, end=provenance.now()
    )
    tables.write_json(record, out / "provenance.json")


def _idle_pct() -> float:
    stat = Path("/proc/stat")
    before = stat.read_text()
    time.sleep(1.0)
    return idle_pct(before, stat.read_text())


@dataclass
class _Course:
    """What happens while a run lasts: players come and go, N3's rate changes, samples are taken, progress is told."""

    arm: str
    bed: Namespaces
    session: Session
    agent: AgentProcess | None
    rates: Sequence[float | None]  # Mbit/s, each for an equal share of the run; None: not limited
    total_s: float
    began_s: float | None = None
    rate_step: int = -1
    progress_step: int = 0

    def follow(self, until_s: float, sampler: sampling.Sampler | None = None) -> None:
        """Keep the run going until `until_s` seconds after its beginning."""
        if self.began_s is None:
            self.began_s = time.monotonic()
        while (elapsed_s := time.monotonic() - self.began_s) < until_s:
            self.session.tend()
            if self.agent:
                self.agent.check()
            if sampler:
                sampler.tick()
            step = int(elapsed_s / self.total_s * len(self.rates))
            if step != self.rate_step:
                self.rate_step = step
                self.bed.limit_n3(self.rates[step])
            if elapsed_s // _PROGRESS_S > self.progress_step:
                self.progress_step += 1
                log.info("%s: %.0f of %.0f s", self.arm, elapsed_s, self.total_s)
            time.sleep(_TEND_S)


def _wait_for_idle() -> float:
    deadline = time.monotonic() + IDLE_PATIENCE_S
    while (idle := _idle_pct()) < IDLE_WANTED_PCT and time.monotonic() < deadline:
        pass
    if idle < IDLE_WANTED_PCT:
        log.warning("the machine is only %.0f%% idle (wanted: %.0f%%); the run says so", idle, IDLE_WANTED_PCT)
    return idle


def _write_rows(arm: str, work: Path, out: Path, flows: pd.DataFrame, start_ns: int, end_ns: int) -> int:
    """Move the agent's rows into `out`; how many decisions are of flows that nobody made.

    Rows of the measured part alone, but all of arm `exactness`: to say what a window must be, a flow's first packet has
    to be there.
    """
    if arm in ("none", "collect"):
        tables.write(tables.empty(tables.DECISIONS), out / "decisions.parquet", tables.DECISIONS)
    unlabelled = 0
    for made in work.glob("*.parquet"):
        schema, time = (tables.PACKETS, "t_ns") if made.stem == "packets" else (tables.DECISIONS, "t_packet_ns")
        rows = tables.read(made, schema)
        if arm != "exactness":
            rows = rows[rows[time].between(start_ns, end_ns)].reset_index(drop=True)
        if schema is tables.DECISIONS:
            rows["label"] = rows["flow"].map(flows.set_index("flow")["label"]).fillna(-1).astype("int8")
            unlabelled += int((rows["label"] == -1).sum())
        tables.write(rows, out / made.name, schema)
        made.unlink()
    return unlabelled
