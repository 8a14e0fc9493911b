"""One run on the test bed: traffic through N3, one arm on it, samples of the machine, everything written down.

For the training trace (arm `capture`), and for the trace on which kernel and user space are compared with the reference
(arm `exactness`). The measured arms take turns on one test bed: trials.py.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from upfml.arms import Arm
from upfml.base import files, provenance, tables
from upfml.provision import IDLE_WANTED_PCT
from upfml.run.agentprocess import AgentProcess, loss
from upfml.run.meter import MeterProcess
from upfml.testbed.bed import Bed, bed_of
from upfml.traffic.session import Session

log = logging.getLogger(__name__)

IDLE_PATIENCE_S = 20.0
"""A run waits this long for the machine to be IDLE_WANTED_PCT idle; then it goes on and records what it saw."""
EXACTNESS_TRIAL = 999_999
"""The trial of arm `exactness`: its traffic is that of no other run."""
_TEND_S = 0.1
_PROGRESS_S = 10


def trial_seed(config: Mapping[str, Any], trial: int) -> int:
    """The seed of a trial's traffic (0: training trace): another for each trial."""
    return int(config["seed"]) * 1_000_000 + trial


def session(
    config: Mapping[str, Any], bed: Bed, *, seed: int, ladder: Path, control: Path, work: Path, duration_s: float
) -> Session:
    """The traffic of a run, for `duration_s`; `ladder` and `control` are what the traffic stage made."""
    return Session(
        config["traffic"], seed=seed, ran=bed.ran, dn=bed.dn, ue_address=bed.ue_address, dn_address=bed.dn_address,
        ladder=ladder, control=control, workdir=work / "traffic", duration_s=duration_s,
    )  # fmt: skip


def keep_going(seconds: float, *tend: Callable[[], None]) -> None:
    """Call each of `tend` ten times a second, for so long."""
    until_s = time.monotonic() + seconds
    while time.monotonic() < until_s:
        for call in tend:
            call()
        time.sleep(max(0.0, min(_TEND_S, until_s - time.monotonic())))


def run(
    config: Mapping[str, Any],
    arm: Arm,
    *,
    seed: int,
    warmup_s: float,
    duration_s: float,
    ladder: Path,
    control: Path,
    model: Path | None,
    out: Path,
) -> None:
    """Run one arm and write into `out`: its tables, flows, rungs, sampling/, loss, run and provenance.

    `ladder` and `control` are what the traffic stage made, `model` a folder of convert.write. The measured part begins
    after `warmup_s`; rows from before it, or from after `duration_s`, are dropped. Raises UserError when a generator or
    the agent fails; the test bed and every process are gone then, too.
    """
    began = provenance.now()
    work = out / "work"
    work.mkdir(parents=True, exist_ok=True)
    total_s = warmup_s + duration_s
    rates = config["testbed"]["n3_rate_mbit_s"] or [None]
    with bed_of(config["testbed"]) as bed:
        meter = MeterProcess(bed.upf, work / "meter.log")
        idle = wait_for_idle(meter)
        agent = AgentProcess(config, arm, bed, model, work)
        agent.attach()
        traffic = session(config, bed, seed=seed, ladder=ladder, control=control, work=work, duration_s=total_s)
        progress = _Progress(arm.name, total_s)
        with traffic:
            shares = [(rate, total_s / len(rates)) for rate in rates]
            bed.limit_n3(shares[0][0])
            keep_going(warmup_s, traffic.tend, agent.check, progress)
            with meter.sampling(out / "sampling", traffic.processes(bed.upf) | {"classifier": agent.pid}):
                start_ns = meter.reading(bed.n3_device, None)["t_ns"]
                for number, (rate, share_s) in enumerate(shares):
                    bed.limit_n3(rate)
                    left_s = share_s - (warmup_s if number == 0 else 0)
                    keep_going(left_s, traffic.tend, agent.check, progress)
                end_ns = meter.reading(bed.n3_device, None)["t_ns"]
        agent.detach()
        report = agent.end()
        facts, machine = bed.facts(), meter.machine()
        flows = traffic.flows()
        files.write(flows, out / "flows.parquet", tables.FLOWS)
        files.write(traffic.rungs(), out / "rungs.parquet", tables.RUNGS)
        generators = traffic.report()
    files.write_json(loss(report), out / "loss.json")
    unlabelled = _write_rows(arm, work, out, flows, start_ns, end_ns)
    files.write_json(
        {
            "arm": arm.name,
            "seed": seed,
            "start_ns": start_ns,
            "end_ns": end_ns,
            "idle_before_pct": round(idle, 1),
            "idle_wanted_pct": IDLE_WANTED_PCT,
            "xdp_mode": agent.xdp_mode,
            "n3_rate_mbit_s": config["testbed"]["n3_rate_mbit_s"],
            "decisions_of_unknown_flows": unlabelled,
            "agent": report,
            "traffic": generators,
        },
        out / "run.json",
    )
    record = provenance.of(
        config,
        machine,
        arm=arm.name,
        traffic_seed=seed,
        xdp_modes=[agent.xdp_mode],
        testbed=facts,
        start=began,
        end=provenance.now(),
    )
    files.write_json(record, out / "provenance.json")


def wait_for_idle(meter: MeterProcess) -> float:
    """How idle the UPF's machine is (%), as soon as that is enough, or when patience ends."""
    deadline = time.monotonic() + IDLE_PATIENCE_S
    while (idle := meter.idle_pct()) < IDLE_WANTED_PCT and time.monotonic() < deadline:
        pass
    if idle < IDLE_WANTED_PCT:
        log.warning("the machine is only %.0f%% idle (wanted: %.0f%%); the run says so", idle, IDLE_WANTED_PCT)
    return idle


def label(decisions: pd.DataFrame, flows: pd.DataFrame) -> pd.DataFrame:
    """Decisions with the true classes of their flows; -1 for flows that no generator made."""
    return decisions.assign(label=decisions["flow"].map(flows.set_index("flow")["label"]).fillna(-1).astype("int8"))


class _Progress:
    """Tells now and then how far a run is."""

    def __init__(self, name: str, total_s: float) -> None:
        self._name, self._total_s = name, total_s
        self._began_s, self._step = time.monotonic(), 0

    def __call__(self) -> None:
        elapsed_s = time.monotonic() - self._began_s
        if elapsed_s // _PROGRESS_S > self._step:
            self._step += 1
            log.info("%s: %.0f of %.0f s", self._name, elapsed_s, self._total_s)


def _write_rows(arm: Arm, work: Path, out: Path, flows: pd.DataFrame, start_ns: int, end_ns: int) -> int:
    """Move the agent's rows into `out`; how many decisions are of flows that nobody made.

    Rows of the measured part alone, but all of arm `exactness`: to say what a window must be, a flow's first packet has
    to be there.
    """
    unlabelled = 0
    for made in work.glob("*.parquet"):
        schema, time = (tables.PACKETS, "t_ns") if made.stem == "packets" else (tables.DECISIONS, "t_packet_ns")
        rows = files.read(made, schema)
        if arm.kind != "exactness":
            rows = rows[rows[time].between(start_ns, end_ns)].reset_index(drop=True)
        if schema is tables.DECISIONS:
            rows = label(rows, flows)
            unlabelled += int((rows["label"] == -1).sum())
        files.write(rows, out / made.name, schema)
        made.unlink()
    return unlabelled
