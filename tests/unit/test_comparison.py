"""Arms against each other: differences within trials."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest

from upfml.arms import Arms
from upfml.report.comparison import rows as comparison
from upfml.report.comparison.goal import Goal, goals
from upfml.report.comparison.page import markdown
from upfml.report.metrics import COLUMNS

EVERY = Arms.of("every")


def metrics(trials: int = 12, cost: float = 2.0, noisy: int = 0) -> pd.DataFrame:
    """CPU of three arms: what differs between trials is large, the kernel's cost small and steady."""
    random, rows = np.random.default_rng(1), []
    for trial in range(1, trials + 1):
        traffic = random.normal(50, 20)
        for arm, over in (("none", 0.0), ("user", 9.0), ("kernel", cost)):
            rows.append((arm, trial, "cpu_busy_mean", traffic + over + random.normal(0, 0.2), "%"))
            rows.append((arm, trial, "noisy", float(arm == "kernel" and trial <= noisy), "turns"))
    return pd.DataFrame(rows, columns=COLUMNS).assign(xdp_mode="native")


def compare(table: pd.DataFrame) -> list[dict[str, object]]:
    return [asdict(row) for row in comparison.compare(EVERY, table)]


def row(rows: list[dict[str, object]], arm: str, against: str) -> dict[str, object]:
    (found,) = (row for row in rows if (row["arm"], row["against"]) == (arm, against))
    return found


def test_differences_are_within_trials() -> None:
    found = row(compare(metrics()), "kernel", "none")
    assert found["difference"] == pytest.approx(2, abs=0.2)
    assert 1.6 < found["low"] < found["difference"] < found["high"] < 2.4  # type: ignore[operator]
    assert found["effect_size"] > 3  # type: ignore[operator]
    assert found["p"] < 0.01  # type: ignore[operator]
    assert (found["trials"], found["unit"]) == (12, "%")
    assert found["relative_pct"] == pytest.approx(100 * 2 / 50, rel=0.3)


def test_no_difference_is_none() -> None:
    found = row(compare(metrics(cost=0.0)), "kernel", "none")
    assert found["low"] < 0 < found["high"]  # type: ignore[operator]
    assert found["p"] > 0.05  # type: ignore[operator]


def test_noisy_trials_are_counted_and_kept() -> None:
    found = row(compare(metrics(noisy=3)), "kernel", "none")
    assert (found["trials"], found["noisy_trials"]) == (12, 3)
    assert found["difference_quiet"] == pytest.approx(2, abs=0.3)
    assert row(compare(metrics(noisy=12)), "kernel", "none")["difference_quiet"] is None


def test_one_trial_has_a_difference_and_no_more() -> None:
    found = row(compare(metrics(trials=1)), "user", "none")
    assert found["difference"] == pytest.approx(9, abs=1)
    assert [found[name] for name in ("low", "high", "effect_size", "p")] == [None] * 4


def test_rows_are_plain_json() -> None:
    assert json.loads(json.dumps(compare(metrics()), allow_nan=False))


def test_kernels_are_held_against_user_space_like_for_like() -> None:
    arms = Arms.of("compared")
    pairs = [(arm.name, against.name) for arm, against in comparison.pairs(arms)]
    assert {("kernel", "native"), ("kernel", "afxdp"), ("kernel-packet-perf", "user-perf")} <= set(pairs)
    assert sum(against == "none" for _, against in pairs) == len(arms) - 1
    assert len(pairs) == len(set(pairs))


def cheap(cpu: float, switches: float, spread: float = 0.2, lost: int = 0) -> Goal:
    """The verdict on a kernel arm that costs so many points of CPU, and so many of 1,000 context switches."""
    random, rows = np.random.default_rng(1), []
    for trial in range(1, 13):
        for arm, by in (("none", 0.0), ("kernel-change", 1.0)):
            moved = by * random.normal(0, spread)
            rows.append((arm, trial, "cpu_busy_mean", 50 + by * cpu + moved, "%"))
            rows.append((arm, trial, "cpu_direct", by * cpu, "%"))
            rows.append((arm, trial, "context_switches_mean", 1000 + by * switches + moved, "1/s"))
            rows.append((arm, trial, "events_lost", by * lost / 12, "events"))
    table = pd.DataFrame(rows, columns=COLUMNS).assign(xdp_mode="native")
    (goal,) = goals(EVERY, comparison.compare(EVERY, table), table)
    assert goal.sentence in markdown(EVERY, comparison.compare(EVERY, table), table)
    return goal


@pytest.mark.parametrize(
    ("goal", "reached"),
    [
        ({"cpu": 0.4, "switches": 10}, "yes"),
        ({"cpu": 3.0, "switches": 10}, "no"),
        ({"cpu": 0.4, "switches": 90}, "no"),
        ({"cpu": 0.4, "switches": 10, "lost": 12}, "no"),
        ({"cpu": 0.4, "switches": 10, "spread": 8.0}, "not resolved"),
    ],
)
def test_a_kernel_arm_is_cheap_when_its_intervals_say_so(goal: dict[str, float], reached: str) -> None:
    found = cheap(**goal)  # type: ignore[arg-type]
    assert found.reached == reached
    assert found.sentence.startswith(f"kernel-change: {reached}.")


def test_the_page_shows_no_nan() -> None:
    page = markdown(EVERY, comparison.compare(EVERY, metrics(trials=1)), metrics(trials=1))
    assert "Non-idle CPU" in page and "nan" not in page
    assert "XDP mode: native" in page
