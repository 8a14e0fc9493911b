"""The measured runs: a randomised block design. A trial is a block; every arm has one turn in it, in drawn order.

Each trial has its own traffic (seed and N3 rate). The traffic goes on while one arm replaces another on N3. Whatever
differs between trials, or drifts while the machine runs, therefore affects all arms alike. So differences between arms
are taken within trials. Agents are loaded once for a batch of trials on one test bed. Between its turns an agent sleeps
and is not attached. A turn begins with a warm-up: the agent has forgotten all flows, and they close their first
windows.

Stein's two-stage procedure (1945, Annals of Mathematical Statistics 16) gives the number of trials: the spread of the
first few says how many an interval of the wanted width needs (see `needed`).
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from upfml.arms import NONE, STRONGEST_ARMS, Arm, Arms
from upfml.base import files, provenance, tables, xdpmode
from upfml.base.statistics import CONFIDENCE
from upfml.provision import IDLE_WANTED_PCT
from upfml.run import apart, steps
from upfml.run.agentprocess import AgentProcess, loss
from upfml.run.meter import MeterProcess
from upfml.testbed.bed import Bed, bed_of
from upfml.traffic.session import Session

log = logging.getLogger(__name__)

STEAL_BOUND_PCT = 1.0
"""A turn from which the hypervisor took more is marked as noisy."""
_CHANGE_S = 0.5
"""About the time that a change of arms takes. The traffic is planned to last for it."""
_LAST_SECOND_S = 0.15
"""mpstat's last second ends so much after a turn's, at most."""


def in_batch(config: Mapping[str, Any], batch: int) -> range:
    """The numbers of a batch's trials. Trials and batches count from 1."""
    size = config["runs"]["trials_per_batch"]
    return range((batch - 1) * size + 1, batch * size + 1)


def order_of_arms(config: Mapping[str, Any], trial: int) -> list[Arm]:
    """The arms in the order of their turns. Each trial draws its own, so that drift of the machine favours no arm."""
    arms = list(Arms.of(config["arms"]))
    random = np.random.default_rng(steps.trial_seed(config, trial))
    return [arms[at] for at in random.permutation(len(arms))]


def needed(differences: pd.Series[float], wanted_half_width: float) -> int:
    """How many trials an interval of +- `wanted_half_width` for a mean needs; at least as many as there are.

    Takes the values of the first trials. Stein (1945): n = (t s / d)^2, with s and the t quantile of the first stage.
    """
    first = len(differences)
    if first < 2:
        return first
    t = stats.t.ppf((1 + CONFIDENCE) / 2, first - 1)
    return max(first, math.ceil(float((t * differences.std() / wanted_half_width) ** 2)))


def enough(config: Mapping[str, Any], turns: pd.DataFrame, samples: pd.DataFrame) -> dict[str, Any]:
    """How many batches give the wanted interval, from what `metrics.gather` returns of the first ones.

    The interval is that of the strongest kernel arm's busy CPU less that of forwarding alone. Without these two arms
    the first batches are enough.
    """
    runs = config["runs"]
    batches, wanted = runs["batches"], runs["half_width_cpu_points"]
    busy = samples[(samples["source"] == "procstat") & (samples["entity"] == "cpu-all")]
    by_arm = busy.groupby(["arm", "trial"])["busy_pct"].mean().unstack("arm")
    pair = [STRONGEST_ARMS["kernel"].name, NONE.name]
    if not set(pair) <= set(by_arm.columns):
        return {"batches": batches["first"], "why": f"arms {' and '.join(pair)} are not both there to compare"}
    differences = (by_arm[pair[0]] - by_arm[pair[1]]).dropna()
    trials = needed(differences, wanted)
    needs = math.ceil(trials / runs["trials_per_batch"])
    made = min(max(needs, batches["first"]), batches["most"])
    return {
        "batches": made,
        "why": f"{trials} trials for +-{wanted:g} points of CPU; the first {len(differences)} have a standard "
        f"deviation of {differences.std():.2f}" + (f"; runs.batches.most is {made}" if made < needs else ""),
        "trials_needed": trials,
        "trials_made": made * runs["trials_per_batch"],
        "standard_deviation_points": float(differences.std()),
        "noisy_turns": int((turns["noise"] != "").sum()),
    }


def run(
    config: Mapping[str, Any], batch: int, *, ladder: Path, control: Path, model: Path, code: str, out: Path
) -> None:
    """Run the trials of a batch and write into `out`: decisions, turns, flows, sampling/, run and provenance.

    `ladder` and `control` are what the traffic stage made, `model` is a folder of convert.write. `code` is the hash of
    the code that measures (base/sourcecode.py), for the provenance. Raises UserError when a generator or an agent
    fails; the test bed and every process are gone then, too.
    """
    began = provenance.now()
    trials = in_batch(config, batch)
    with ExitStack() as stack:
        bed = stack.enter_context(bed_of(config["testbed"]))
        meter = MeterProcess(bed, out / "work" / "meter.log")
        loaded = [arm for arm in Arms.of(config["arms"]) if arm != NONE]
        log.info("loading %s", ", ".join(arm.name for arm in loaded))
        agents = {arm: AgentProcess(config, arm, bed, model, out / "work" / arm.name) for arm in loaded}
        for agent in agents.values():
            agent.wait_until_loaded()
        meter.count_run_time()
        trial_of = _Trials(config, bed, meter, agents, ladder, control, out)
        made = [trial_of(trial) for trial in trials]
        reports = {arm.name: agent.end() for arm, agent in agents.items()}
        facts, machine = bed.facts(), meter.machine()
    turns = pd.concat([trial.turns for trial in made], ignore_index=True)
    files.write(turns, out / "turns.parquet", tables.TURNS)
    flows = [trial.flows.assign(trial=trial.number) for trial in made]
    files.write(tables.typed(pd.concat(flows), tables.TRIAL_FLOWS), out / "flows.parquet", tables.TRIAL_FLOWS)
    warmup_ns = round(config["runs"]["warmup_s"] * 1e9)
    decided = [_decisions(out / "work" / arm.name, arm, made, warmup_ns) for arm in loaded if arm.classifies]
    decisions = pd.concat(decided, ignore_index=True) if decided else tables.empty(tables.TURN_DECISIONS)
    files.write(decisions, out / "decisions.parquet", tables.TURN_DECISIONS)
    modes = sorted({agent.xdp_mode for agent in agents.values()})
    traffic = {trial.number: trial.traffic for trial in made}
    files.write_json(
        {
            "xdp_modes": modes,
            "apart": trial_of.apart,
            "idle_wanted_pct": IDLE_WANTED_PCT,
            "agents": reports,
            "traffic": traffic,
        },
        out / "run.json",
    )
    record = provenance.of(
        config, code, machine, trials=list(trials), xdp_modes=modes, testbed=facts, start=began, end=provenance.now()
    )
    files.write_json(record, out / "provenance.json")


@dataclass(frozen=True)
class _Trial:
    """What a trial leaves, apart from the agents' tables."""

    number: int
    turns: pd.DataFrame
    flows: pd.DataFrame
    traffic: dict[str, Any]


class _Trials:
    """Makes trials on a test bed with its agents."""

    def __init__(
        self,
        config: Mapping[str, Any],
        bed: Bed,
        meter: MeterProcess,
        agents: Mapping[Arm, AgentProcess],
        ladder: Path,
        control: Path,
        out: Path,
    ) -> None:
        self._config, self._bed, self._meter, self._agents = config, bed, meter, agents
        self._ladder, self._control, self._out = ladder, control, out
        self._reports = {arm: _AgentTotals() for arm in [NONE, *agents]}
        self.apart: dict[str, Any] = {}
        """What was found before the first turn (apart.check)."""

    def __call__(self, number: int) -> _Trial:
        runs, order = self._config["runs"], order_of_arms(self._config, number)
        log.info("trial %d: %s", number, ", ".join(arm.name for arm in order))
        idle_pct = steps.wait_for_idle(self._meter)
        rates = self._config["testbed"]["n3_rate_mbit_s"] or [None]
        rate = rates[number % len(rates)]
        self._bed.limit_n3(rate)
        turn_s = runs["warmup_s"] + runs["turn_s"] + _CHANGE_S
        traffic = steps.session(
            self._config, self._bed, seed=steps.trial_seed(self._config, number), ladder=self._ladder,
            control=self._control, work=self._out / "work", duration_s=runs["settle_s"] + turn_s * len(order),
        )  # fmt: skip
        with traffic:
            self._settle(runs["settle_s"], traffic)
            turns = [self._turn(number, place, arm, traffic) for place, arm in enumerate(order)]
        frame = pd.DataFrame(turns).assign(trial=number, idle_before_pct=idle_pct, n3_rate_mbit_s=rate)
        frame["noise"] = [noise(turn) for _, turn in frame.iterrows()]
        return _Trial(number, tables.typed(frame, tables.TURNS), traffic.flows(), traffic.report())

    def _settle(self, seconds: float, traffic: Session) -> None:
        """Let the traffic settle; before the first trial, see meanwhile whether the UPF has its CPUs to itself."""
        settle = partial(steps.keep_going, seconds, traffic.tend)
        if self.apart or not self._agents:
            settle()
            return
        arm, agent = next(iter(self._agents.items()))
        self.apart, report = apart.check(self._bed.upf_cpus, self._meter, agent, settle)
        self._reports[arm] = _AgentTotals.of(report)

    def _turn(self, trial: int, place: int, arm: Arm, traffic: Session) -> dict[str, Any]:
        """Put an arm on N3 for the warm-up and the measured part. Returns what it knows of the row of tables.TURNS."""
        runs, agent = self._config["runs"], self._agents.get(arm)
        tend, processes = [traffic.tend], traffic.processes(self._bed.upf)
        if agent:
            agent.attach()
            tend, processes = [traffic.tend, agent.check], processes | {"classifier": agent.pid}
        steps.keep_going(runs["warmup_s"], *tend)
        with self._meter.sampling(self._out / "sampling" / f"{arm.name}_{trial}", processes):
            begin = self._reading(agent)
            steps.keep_going(runs["turn_s"], *tend)
            end = self._reading(agent)
            steps.keep_going(_LAST_SECOND_S, *tend)
        report = _AgentTotals.of(agent.detach()) if agent else _AgentTotals()
        before, self._reports[arm] = self._reports[arm], report
        levels = {name: end.pop(name) for name in ("cpu_mhz", "upf_cpus")}
        spent = {key: value - begin[key] for key, value in end.items()}
        steal_pct = 100 * spent.pop("steal_s") * 1e9 / spent.pop("t_ns")
        return {
            "arm": arm.name,
            "xdp_mode": agent.xdp_mode if agent else xdpmode.NONE,
            "place": place,
            "start_ns": begin["t_ns"],
            "end_ns": end["t_ns"],
            "steal_pct": steal_pct,
            **levels,
            **spent,
            **{key: value - getattr(before, key) for key, value in vars(report).items()},
        }

    def _reading(self, agent: AgentProcess | None) -> dict[str, Any]:
        return self._meter.reading(self._bed.n3_device, agent.pid if agent else None)


@dataclass(frozen=True)
class _AgentTotals:
    """The totals of an agent's report that a turn's row holds."""

    received: int = 0
    lost: int = 0
    decided_untold: int = 0
    run_time_ns: int = 0
    run_cnt: int = 0

    @classmethod
    def of(cls, report: Mapping[str, Any]) -> _AgentTotals:
        events = loss(report)
        untold = report["counters"]["decision_untold"]
        return cls(int(events["received"]), int(events["lost"]), untold, report["run_time_ns"], report["run_cnt"])


def noise(turn: Mapping[str, Any] | pd.Series[Any]) -> str:
    """Why a turn (a row of tables.TURNS) is noisy. Empty if it is not."""
    reasons = []
    if turn["idle_before_pct"] < IDLE_WANTED_PCT:
        reasons.append(f"{turn['idle_before_pct']:.0f} % idle before the trial")
    if turn["steal_pct"] > STEAL_BOUND_PCT:
        reasons.append(f"{turn['steal_pct']:.1f} % stolen by the hypervisor")
    return "; ".join(reasons)


def _decisions(work: Path, arm: Arm, trials: Sequence[_Trial], warmup_ns: int) -> pd.DataFrame:
    """An arm's decisions in the measured parts of its turns, labelled.

    Those that were not sent are counted with the one before them (`repeats`), which is mostly a flow's first, in the
    warm-up: so of an arm that sends only changes the warm-up's are there, too.
    """
    made = files.read(work / "decisions.parquet", tables.DECISIONS)
    early_ns = 0 if arm.tells_every else warmup_ns
    parts = []
    for trial in trials:
        turn = trial.turns.set_index("arm").loc[arm.name]
        rows = made[made["t_packet_ns"].between(turn["start_ns"] - early_ns, turn["end_ns"])]
        parts.append(steps.label(rows, trial.flows).assign(arm=arm.name, trial=trial.number))
    return tables.typed(pd.concat(parts, ignore_index=True), tables.TURN_DECISIONS)
