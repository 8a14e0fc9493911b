"""Arms against each other: differences within trials."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from upfml import comparison, tables
from upfml.arms import SETS


def metrics(trials: int = 12, cost: float = 2.0, noisy: int = 0) -> pd.DataFrame:
    """CPU of three arms: what differs between trials is large, the kernel's cost small and steady."""
    random, rows = np.random.default_rng(1), []
    for trial in range(1, trials + 1):
        traffic = random.normal(50, 20)
        for arm, over in (("none", 0.0), ("user", 9.0), ("kernel", cost)):
            rows.append((arm, trial, "cpu_busy_mean", traffic + over + random.normal(0, 0.2), "%"))
            rows.append((arm, trial, "noisy", float(arm == "kernel" and trial <= noisy), "turns"))
    return pd.DataFrame(rows, columns=list(tables.METRICS.columns))


def row(rows: list[dict[str, object]], arm: str, against: str) -> dict[str, object]:
    (found,) = (row for row in rows if (row["arm"], row["against"]) == (arm, against))
    return found


def test_differences_are_within_trials() -> None:
    found = row(comparison.compare(metrics()), "kernel", "none")
    assert found["difference"] == pytest.approx(2, abs=0.2)
    assert 1.6 < found["low"] < found["difference"] < found["high"] < 2.4  # type: ignore[operator]
    assert found["effect_size"] > 3  # type: ignore[operator]
    assert found["p"] < 0.01  # type: ignore[operator]
    assert (found["trials"], found["unit"]) == (12, "%")
    assert found["relative_pct"] == pytest.approx(100 * 2 / 50, rel=0.3)


def test_no_difference_is_none() -> None:
    found = row(comparison.compare(metrics(cost=0.0)), "kernel", "none")
    assert found["low"] < 0 < found["high"]  # type: ignore[operator]
    assert found["p"] > 0.05  # type: ignore[operator]


def test_noisy_trials_are_counted_and_kept() -> None:
    found = row(comparison.compare(metrics(noisy=3)), "kernel", "none")
    assert (found["trials"], found["noisy_trials"]) == (12, 3)
    assert found["difference_quiet"] == pytest.approx(2, abs=0.3)
    assert row(comparison.compare(metrics(noisy=12)), "kernel", "none")["difference_quiet"] is None


def test_one_trial_has_a_difference_and_no_more() -> None:
    found = row(comparison.compare(metrics(trials=1)), "user", "none")
    assert found["difference"] == pytest.approx(9, abs=1)
    assert [found[name] for name in ("low", "high", "effect_size", "p")] == [None] * 4


def test_rows_are_plain_json() -> None:
    assert json.loads(json.dumps(comparison.compare(metrics()), allow_nan=False))


def test_kernels_are_held_against_user_space_like_for_like() -> None:
    pairs = comparison.pairs(SETS["compared"])
    assert {("kernel", "native"), ("kernel", "afxdp"), ("kernel-packet-perf", "user-perf")} <= set(pairs)
    assert sum(against == "none" for _, against in pairs) == len(SETS["compared"]) - 1
    assert len(pairs) == len(set(pairs))
