"""The arms against each other: paired differences within trials, with intervals, effect sizes and p values.

In: table `metrics`. Out: a row for each metric and pair of arms, results/comparison.json.

- `low`, `high`: 95 % interval of the difference over the trials (metrics.mean_over_trials);
- `effect_size`: the difference in standard deviations of the differences, d_z with Hedges' correction for few trials
  (Lakens 2013, equations 6 and 4);
- `p`: of a permutation test that swaps the two arms of a trial (scipy.stats.permutation_test). It is not corrected for
  the number of rows: a row among many that is small by chance says nothing;
- `noisy_trials`: those in which either arm's turn is marked (tables.TURNS, noise). They are in all numbers;
  `difference_quiet` is that of the others alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from upfml.arms import PAPER, STRONGEST
from upfml.base import xdpmode
from upfml.report.metrics import by_trial, mean_over_trials

COMPARED = {
    **{f"cpu_{share}_mean": "%" for share in ("usr", "sys", "soft", "total", "busy")},
    "cpu_busy_at_equal_traffic": "%",
    "cpu_direct": "%",
    "cpu_program": "%",
    "cpu_over_forwarding": "ns/packet",
    "cpu_over_forwarding_decision": "ns/decision",
    "program": "ns/packet",
    "agent_cpu": "ns/packet",
    "context_switches_mean": "1/s",
    "context_switches_at_equal_traffic": "1/s",
    "classifier_context_switches_mean": "1/s",
    "accuracy": "%",
    "balanced_accuracy": "%",
    "majority_accuracy": "%",
    "one_threshold_accuracy": "%",
    **{
        f"{name}_{statistic}": "ns"
        for name in ("arrival_to_label", "arrival_to_user_space", "features_and_inference", "inference")
        for statistic in ("mean", "median", "p99", "p99.9")
    },
    "events_lost_share": "%",
}
"""Metric and unit."""


CPU_GOAL_POINTS, CONTEXT_SWITCHES_GOAL_PCT = 1.0, 5.0
"""What a kernel arm may cost over forwarding alone at most, to be called cheap."""

_HEADINGS = {
    "cpu_busy_mean": "CPU that is not idle, % of all CPUs",
    "cpu_busy_at_equal_traffic": "the same at equal traffic (analysis of covariance), % of all CPUs",
    "cpu_direct": "CPU by exact accounts, % of all CPUs: the program on N3 and the classifier's process",
    "cpu_program": "CPU of the program on N3 alone, % of all CPUs",
    "cpu_soft_mean": "CPU in softirq as the tick sees it, % of all CPUs",
    "cpu_over_forwarding": "CPU over forwarding alone, ns a packet",
    "context_switches_mean": "context switches of the machine, 1/s",
    "context_switches_at_equal_traffic": "the same at equal traffic, 1/s",
    "arrival_to_label_median": "packet arrival to class, median, ns",
    "arrival_to_label_p99": "packet arrival to class, p99, ns",
    "arrival_to_user_space_median": "packet arrival to a process in user space that knows the class, median, ns",
    "accuracy": "accuracy on live traffic, %",
    "majority_accuracy": "what naming the larger class each time would score there, %",
    "one_threshold_accuracy": "what one threshold on one feature would score there, %",
}
"""What the page shows, in this order; the JSON has all of COMPARED."""


@dataclass(frozen=True)
class Row:
    """One metric of one arm against another's; `value` is the arm's own. None where too few trials say."""

    metric: str
    unit: str
    arm: str
    against: str
    value: float
    difference: float
    low: float | None
    high: float | None
    relative_pct: float | None
    relative_low: float | None
    relative_high: float | None
    effect_size: float | None
    p: float | None
    trials: int
    noisy_trials: int
    difference_quiet: float | None


def pairs(arms: list[str]) -> list[tuple[str, str]]:
    """Which are compared: every arm with forwarding alone, and kernels with user space like for like."""
    found = [(arm, "none") for arm in arms if arm != "none"]
    found += [
        (arm, other)
        for arm in arms
        if arm.startswith("kernel")
        for other in ("user", "native", "native-batched", "afxdp")
    ]
    found += [(PAPER["kernel"], PAPER["user"]), (STRONGEST["kernel"], STRONGEST["user"])]
    return [pair for pair in dict.fromkeys(found) if set(pair) <= set(arms)]


def compare(metrics: pd.DataFrame) -> list[Row]:
    """Every metric of COMPARED for every pair of arms that has it."""
    arms = [arm for arm in metrics["arm"].unique() if arm != "sklearn"]
    rows = [_row(metrics, metric, unit, *pair) for metric, unit in COMPARED.items() for pair in pairs(arms)]
    return [row for row in rows if row is not None]


@dataclass(frozen=True)
class Goal:
    """Is a kernel arm cheap? Its cost over forwarding alone against the bounds; `lost` are events of all its turns."""

    arm: str
    cpu_points: Row  # of all that the machine did, at equal traffic where that can be told
    cpu_direct_points: Row
    context_switches: Row
    lost: int

    @property
    def reached(self) -> str:
        """`yes` when the intervals lie below the bounds, `no` when one lies above, else `not resolved`."""
        bounds = [(self.cpu_points.low, self.cpu_points.high, CPU_GOAL_POINTS)]
        switches = self.context_switches
        bounds.append((switches.relative_low, switches.relative_high, CONTEXT_SWITCHES_GOAL_PCT))
        if self.lost or any(low is not None and low > bound for low, _, bound in bounds):
            return "no"
        return "yes" if all(high is not None and high <= bound for _, high, bound in bounds) else "not resolved"

    @property
    def sentence(self) -> str:
        """The verdict and its numbers."""
        cpu, direct, switches = self.cpu_points, self.cpu_direct_points, self.context_switches
        return (
            f"{self.arm}: {self.reached}. CPU that is not idle {_signed(cpu.difference)} points "
            f"{_interval(cpu.low, cpu.high)}, by exact accounts {_signed(direct.difference)} "
            f"{_interval(direct.low, direct.high)}; context switches {_signed(switches.relative_pct)} % "
            f"{_interval(switches.relative_low, switches.relative_high)}; {self.lost} decisions lost in "
            f"{cpu.trials} trials, of which {cpu.noisy_trials} noisy.{self._why}"
        )

    @property
    def _why(self) -> str:
        """Which bound is not kept, or what would have to be known better."""
        cpu, switches = self.cpu_points, self.context_switches
        bounds = [
            ("CPU", cpu.low, cpu.high, CPU_GOAL_POINTS),
            ("context switches", switches.relative_low, switches.relative_high, CONTEXT_SWITCHES_GOAL_PCT),
        ]
        above = [name for name, low, _, bound in bounds if low is not None and low > bound]
        open_ = [name for name, low, high, bound in bounds if name not in above and (high is None or high > bound)]
        words = [f"more {name} than that" for name in above]
        words += [f"for {name} the machine's other work spreads more than the bound is wide" for name in open_]
        words += ["decisions were lost"] if self.lost else []
        return f" Why not yes: {'; '.join(words)}." if words else ""


def goals(rows: Sequence[Row], metrics: pd.DataFrame) -> list[Goal]:
    """Of every kernel arm that was run beside forwarding alone."""
    found = {(row.metric, row.arm): row for row in rows if row.against == "none"}
    arms = [arm for arm in metrics["arm"].unique() if arm.split("-")[0] == "kernel"]

    def row(arm: str, *metrics: str) -> Row | None:
        """That of the first of `metrics` that the arm has."""
        return next((found[metric, arm] for metric in metrics if (metric, arm) in found), None)

    rows_of = {
        arm: (
            row(arm, "cpu_busy_at_equal_traffic", "cpu_busy_mean"),
            row(arm, "cpu_direct"),
            row(arm, "context_switches_at_equal_traffic", "context_switches_mean"),
        )
        for arm in arms
    }
    return [
        Goal(
            arm,
            cpu_points=cpu,
            cpu_direct_points=direct,
            context_switches=switches,
            lost=int(by_trial(metrics, arm, "events_lost").sum()),
        )
        for arm, (cpu, direct, switches) in rows_of.items()
        if cpu and direct and switches
    ]


def markdown(rows: Sequence[Row], metrics: pd.DataFrame) -> str:
    """The page: is a kernel arm cheap, then what the arms cost over forwarding alone and against each other."""
    page = [
        _HEAD.format(
            points=CPU_GOAL_POINTS, switches=CONTEXT_SWITCHES_GOAL_PCT, modes=xdpmode.words(metrics["xdp_mode"])
        )
    ]
    page += [f"- {goal.sentence}" for goal in goals(rows, metrics)]
    for metric, heading in _HEADINGS.items():
        chosen = [row for row in rows if row.metric == metric]
        if not chosen:
            continue
        page += ["", f"## {heading[0].upper()}{heading[1:]}", ""]
        page += ["| arm | value | against | difference | interval | in % | effect size | p | trials (noisy) |"]
        page += ["| --- | --- | --- | --- | --- | --- | --- | --- | --- |"]
        page += [
            f"| {row.arm} | {row.value:.4g} | {row.against} | {_signed(row.difference)} | "
            f"{_interval(row.low, row.high)} | {_signed(row.relative_pct)} | {_signed(row.effect_size)} | "
            f"{_share(row.p)} | {row.trials} ({row.noisy_trials}) |"
            for row in chosen
        ]
    return "\n".join([*page, ""])


_HEAD = """# The arms against each other

Differences within trials, in each of which every arm had a turn on the same traffic; made by `snakemake
results/comparison.md`. All metrics are in `comparison.json`.

- **interval**: 95 %, bootstrap over the trials (BCa; Student's t with few); **effect size**: standardised by the spread
  of the differences, with Hedges' correction; **p**: permutation of the two arms within trials, not corrected for the
  number of rows.
- {modes}.
- **noisy** trials, in which the hypervisor took CPU time or the machine was not idle before, are in all numbers.

## Is a kernel arm cheap?

At most {points:g} percentage point of CPU and {switches:g} % of context switches over forwarding alone, no decision
lost; *yes* when the intervals lie below these bounds.
"""


def _signed(value: float | None) -> str:
    return "–" if value is None else f"{value:+.3g}"


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _interval(low: float | None, high: float | None) -> str:
    return "–" if low is None or high is None else f"[{low:.3g}, {high:.3g}]"


def _row(metrics: pd.DataFrame, metric: str, unit: str, arm: str, against: str) -> Row | None:
    mine, other = by_trial(metrics, arm, metric), by_trial(metrics, against, metric)
    differences = (mine - other).dropna()
    if differences.empty:
        return None
    estimate = mean_over_trials(differences)
    base = float(other.loc[differences.index].mean())
    noisy = sum((by_trial(metrics, name, "noisy") for name in (arm, against)), pd.Series(0.0, differences.index))
    quiet = differences[noisy.reindex(differences.index) == 0]

    def relative(value: float | None) -> float | None:
        return None if value is None or not base else 100 * value / base

    return Row(
        metric=metric,
        unit=unit,
        arm=arm,
        against=against,
        value=float(mine.loc[differences.index].mean()),
        difference=estimate.value,
        low=estimate.low,
        high=estimate.high,
        relative_pct=relative(estimate.value),
        relative_low=relative(estimate.low),
        relative_high=relative(estimate.high),
        effect_size=_effect_size(differences),
        p=_p(differences),
        trials=len(differences),
        noisy_trials=len(differences) - len(quiet),
        difference_quiet=float(quiet.mean()) if len(quiet) else None,
    )


def _effect_size(differences: pd.Series[float]) -> float | None:
    if len(differences) < 2 or not differences.std():
        return None
    correction = 1 - 3 / (4 * (len(differences) - 1) - 1)
    return float(correction * differences.mean() / differences.std())


def _p(differences: pd.Series[float]) -> float | None:
    if len(differences) < 2:
        return None
    test = stats.permutation_test(
        (differences.to_numpy(),), np.mean, permutation_type="samples", vectorized=True, n_resamples=9_999, rng=0
    )
    return float(test.pvalue)
