"""A trace: one run on the test bed with one arm that keeps every packet.

There are two kinds: the training trace (arm `capture`), and the trace on which studies/exactness.py compares kernel and
user space with the reference (arm `exactness`). The measured arms do not make traces; they take turns in trials.py.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from upfml.arms import Arm
from upfml.base import files, provenance, tables
from upfml.provision import IDLE_WANTED_PCT
from upfml.run import steps
from upfml.run.agentprocess import AgentProcess, loss
from upfml.run.meter import MeterProcess
from upfml.testbed.bed import bed_of

log = logging.getLogger(__name__)

EXACTNESS_TRIAL = 999_999
"""The trial number of arm `exactness`, so that no other run has its traffic."""
_PROGRESS_S = 10


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
    code: str,
    out: Path,
) -> None:
    """Run one arm and write into `out`: its tables, flows, rungs, sampling/, loss, run and provenance.

    `ladder` and `control` are what the traffic stage made, `model` a folder of convert.write. `code` is the hash of the
    code that measures (base/sourcecode.py), for the provenance. The measured part begins after `warmup_s`; rows from
    before it, or from after `duration_s`, are dropped. Raises UserError when a generator or the agent fails; the test
    bed and every process are gone then, too.
    """
    began = provenance.now()
    work = out / "work"
    work.mkdir(parents=True, exist_ok=True)
    total_s = warmup_s + duration_s
    rates = config["testbed"]["n3_rate_mbit_s"] or [None]
    with bed_of(config["testbed"]) as bed:
        meter = MeterProcess(bed, work / "meter.log")
        idle = steps.wait_for_idle(meter)
        agent = AgentProcess(config, arm, bed, model, work)
        agent.attach()
        traffic = steps.session(config, bed, seed=seed, ladder=ladder, control=control, work=work, duration_s=total_s)
        progress = _Progress(arm.name, total_s)
        with traffic:
            shares = [(rate, total_s / len(rates)) for rate in rates]
            bed.limit_n3(shares[0][0])
            steps.keep_going(warmup_s, traffic.tend, agent.check, progress)
            with meter.sampling(out / "sampling", traffic.processes(bed.upf) | {"classifier": agent.pid}):
                start_ns = meter.reading(bed.n3_device, None)["t_ns"]
                for number, (rate, share_s) in enumerate(shares):
                    bed.limit_n3(rate)
                    left_s = share_s - (warmup_s if number == 0 else 0)
                    steps.keep_going(left_s, traffic.tend, agent.check, progress)
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
        code,
        machine,
        arm=arm.name,
        traffic_seed=seed,
        xdp_modes=[agent.xdp_mode],
        testbed=facts,
        start=began,
        end=provenance.now(),
    )
    files.write_json(record, out / "provenance.json")


class _Progress:
    """Logs from time to time how far a run is."""

    def __init__(self, name: str, total_s: float) -> None:
        self._name, self._total_s = name, total_s
        self._began_s, self._step = time.monotonic(), 0

    def __call__(self) -> None:
        elapsed_s = time.monotonic() - self._began_s
        if elapsed_s // _PROGRESS_S > self._step:
            self._step += 1
            log.info("%s: %.0f of %.0f s", self._name, elapsed_s, self._total_s)


def _write_rows(arm: Arm, work: Path, out: Path, flows: pd.DataFrame, start_ns: int, end_ns: int) -> int:
    """Move the agent's rows into `out`. Returns how many decisions are about flows that no generator made.

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
            rows = steps.label(rows, flows)
            unlabelled += int((rows["label"] == -1).sum())
        files.write(rows, out / made.name, schema)
        made.unlink()
    return unlabelled
