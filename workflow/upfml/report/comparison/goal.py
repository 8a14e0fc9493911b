"""Is a kernel arm cheap? Compares its cost over forwarding alone with two bounds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from upfml.arms import NONE, Arm, Arms
from upfml.base import words
from upfml.report.comparison.rows import Row
from upfml.report.metrics import by_trial

CPU_GOAL_POINTS, CONTEXT_SWITCHES_GOAL_PCT = 1.0, 5.0
"""A kernel arm is cheap if it costs at most this much over forwarding alone."""


@dataclass(frozen=True)
class Goal:
    """A kernel arm's cost over forwarding alone, for comparison with the bounds. `lost` are events of all its turns."""

    arm: str
    cpu_points: Row  # of the UPF's CPUs, at equal traffic where the run can tell
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
            f"{self.arm}: {self.reached}. Over forwarding alone: non-idle CPU {_points(cpu)} points, CPU by exact "
            f"accounts {_points(direct)} points, context switches {_relative(switches)} %. It lost {self.lost} "
            f"decisions in {cpu.trials} trials ({cpu.noisy_trials} of them noisy).{self._why}"
        )

    @property
    def _why(self) -> str:
        """Which bound is exceeded, and for which one the run cannot tell."""
        cpu, switches = self.cpu_points, self.context_switches
        bounds = [
            ("CPU", cpu.low, cpu.high, CPU_GOAL_POINTS),
            ("context switches", switches.relative_low, switches.relative_high, CONTEXT_SWITCHES_GOAL_PCT),
        ]
        above = [name for name, low, _, bound in bounds if low is not None and low > bound]
        open_ = [name for name, low, high, bound in bounds if name not in above and (high is None or high > bound)]
        reasons = [f" It exceeds the bound for {name}." for name in above]
        if open_:
            reasons.append(
                f" We cannot say whether it stays within the bound for {' and '.join(open_)}: "
                "what else differs between turns varies by more than that."
            )
        return "".join(reasons)


def _points(row: Row) -> str:
    return words.with_interval(row.difference, row.low, row.high, signed=True)


def _relative(row: Row) -> str:
    if row.relative_pct is None:
        return words.UNKNOWN
    return words.with_interval(row.relative_pct, row.relative_low, row.relative_high, signed=True)


def goals(arms: Arms, rows: Sequence[Row], metrics: pd.DataFrame) -> list[Goal]:
    """Of every kernel arm that was run beside forwarding alone."""
    found = {(row.metric, row.arm): row for row in rows if row.against == NONE.name}

    def row(arm: Arm, *names: str) -> Row | None:
        """That of the first of these metrics that the arm has."""
        return next((found[name, arm.name] for name in names if (name, arm.name) in found), None)

    rows_of = {
        arm: (
            row(arm, "cpu_busy_at_equal_traffic", "cpu_busy_mean"),
            row(arm, "cpu_direct"),
            row(arm, "context_switches_at_equal_traffic", "context_switches_mean"),
        )
        for arm in arms.among(metrics["arm"]).of_kind("kernel")
    }
    return [
        Goal(
            arm.name,
            cpu_points=cpu,
            cpu_direct_points=direct,
            context_switches=switches,
            lost=int(by_trial(metrics, arm, "events_lost").sum()),
        )
        for arm, (cpu, direct, switches) in rows_of.items()
        if cpu and direct and switches
    ]
