"""The arms against each other: paired differences within trials, with intervals, effect sizes and p values.

In: table `metrics`. Out: a row for each metric and pair of arms, results/comparison.json.

- `low`, `high`: 95 % interval of the difference over the trials (statistics.mean_over_trials);
- `effect_size`: the difference in standard deviations of the differences, d_z with Hedges' correction for few trials
  (Lakens 2013, equations 6 and 4);
- `p`: of a permutation test that swaps the two arms of a trial (scipy.stats.permutation_test). It is not corrected for
  the number of rows: among many rows, some are small by chance;
- `noisy_trials`: trials in which either arm's turn is marked (tables.TURNS, noise). All numbers include them, except
  `difference_quiet`, the difference over the other trials alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from upfml.arms import NONE, PAPER_ARMS, STRONGEST_ARMS, Arm, Arms
from upfml.base.statistics import effect_size, mean_over_trials, permutation_p
from upfml.report.metrics import by_trial

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


@dataclass(frozen=True)
class Row:
    """One metric of one arm against another's. `value` is the arm's own. None: there are too few trials to tell."""

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


_LIKE_THE_KERNEL = [Arm("user"), Arm("native"), Arm("native", by="batched"), Arm("afxdp")]
"""The arms in user space with which every arm in the kernel is compared."""


def pairs(arms: Arms) -> list[tuple[Arm, Arm]]:
    """The pairs to compare: every arm with forwarding alone, and arms in the kernel with arms in user space."""
    found = [(arm, NONE) for arm in arms if arm != NONE]
    found += [(arm, other) for arm in arms.of_kind("kernel") for other in _LIKE_THE_KERNEL]
    found += [(of["kernel"], of["user"]) for of in (PAPER_ARMS, STRONGEST_ARMS)]
    return [pair for pair in dict.fromkeys(found) if set(pair) <= set(arms)]


def compare(arms: Arms, metrics: pd.DataFrame) -> list[Row]:
    """Every metric of COMPARED for every pair of arms that has it."""
    run = pairs(arms.among(metrics["arm"]))
    rows = [_row(metrics, metric, unit, *pair) for metric, unit in COMPARED.items() for pair in run]
    return [row for row in rows if row is not None]


def _row(metrics: pd.DataFrame, metric: str, unit: str, arm: Arm, against: Arm) -> Row | None:
    mine, other = by_trial(metrics, arm, metric), by_trial(metrics, against, metric)
    differences = (mine - other).dropna()
    if differences.empty:
        return None
    estimate = mean_over_trials(differences)
    base = float(other.loc[differences.index].mean())
    noisy = sum((by_trial(metrics, each, "noisy") for each in (arm, against)), pd.Series(0.0, differences.index))
    quiet = differences[noisy.reindex(differences.index) == 0]

    def relative(value: float | None) -> float | None:
        return None if value is None or not base else 100 * value / base

    return Row(
        metric=metric,
        unit=unit,
        arm=arm.name,
        against=against.name,
        value=float(mine.loc[differences.index].mean()),
        difference=estimate.value,
        low=estimate.low,
        high=estimate.high,
        relative_pct=relative(estimate.value),
        relative_low=relative(estimate.low),
        relative_high=relative(estimate.high),
        effect_size=effect_size(differences),
        p=permutation_p(differences),
        trials=len(differences),
        noisy_trials=len(differences) - len(quiet),
        difference_quiet=float(quiet.mean()) if len(quiet) else None,
    )
