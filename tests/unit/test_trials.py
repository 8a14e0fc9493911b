"""Trials: who has which turn, how many are needed, and which are marked."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from upfml.base import tables
from upfml.run import trials

ARMS = ["none", "user", "kernel"]
RUNS = {"trials_per_batch": 4, "batches": {"first": 2, "most": 5}, "half_width_cpu_points": 1.0}
CONFIG = {"seed": 1, "arms": ARMS, "runs": RUNS}


def test_batches_share_out_the_trials() -> None:
    assert [list(trials.in_batch(CONFIG, batch)) for batch in (1, 2)] == [[1, 2, 3, 4], [5, 6, 7, 8]]


def names_in_order(trial: int, seed: int = 1) -> list[str]:
    return [arm.name for arm in trials.order_of_arms(CONFIG | {"seed": seed}, trial)]


def test_every_arm_has_one_turn_and_each_place_in_some_trial() -> None:
    orders = [names_in_order(trial) for trial in range(1, 30)]
    assert all(sorted(order) == sorted(ARMS) for order in orders)
    assert {(place, arm) for order in orders for place, arm in enumerate(order)} == {
        (place, arm) for place in range(3) for arm in ARMS
    }
    assert orders == [names_in_order(trial) for trial in range(1, 30)]
    assert orders != [names_in_order(trial, seed=2) for trial in range(1, 30)]


def test_as_many_trials_as_keep_steins_promise() -> None:
    """Over many experiments, an interval of the wanted width holds the truth at least as often as it says."""
    random, held = np.random.default_rng(1), []
    for _ in range(400):
        first = pd.Series(random.normal(0.7, 2.0, 8))
        more = random.normal(0.7, 2.0, trials.needed(first, 1.0) - len(first))
        held.append(abs(np.concatenate([first, more]).mean() - 0.7) <= 1.0)
    assert np.mean(held) >= 0.93


def test_a_narrower_interval_needs_more_and_no_spread_none() -> None:
    first = pd.Series([1.0, 2.0, 4.0, 3.0])
    assert trials.needed(first, 0.5) > trials.needed(first, 1.0) > 4
    assert trials.needed(pd.Series([1.0, 1.0, 1.0]), 0.1) == 3
    assert trials.needed(pd.Series([1.0]), 0.1) == 1


def samples(differences: list[float], arms: list[str] = ARMS) -> pd.DataFrame:
    same = {"source": "procstat", "entity": "cpu-all"}
    rows = [
        same | {"arm": arm, "trial": trial, "busy_pct": 30 + trial + extra * (arm == "kernel")}
        for arm in arms
        for trial, extra in enumerate(differences, 1)
    ]
    return pd.DataFrame(rows)


def turns() -> pd.DataFrame:
    return pd.DataFrame({"noise": ["", "5 % stolen", ""]})


@pytest.mark.parametrize(("spread", "batches"), [(0.01, 2), (1.5, 4), (50.0, 5)])
def test_batches_follow_the_spread_within_trials_up_to_the_most(spread: float, batches: int) -> None:
    enough = trials.enough(CONFIG, turns(), samples([1 + spread * (-1) ** trial for trial in range(8)]))
    assert enough["batches"] == batches
    assert enough["noisy_turns"] == 1
    assert ("most is 5" in enough["why"]) == (spread == 50.0)


def test_without_the_arms_to_compare_the_first_batches_do() -> None:
    enough = trials.enough(CONFIG, turns(), samples([1.0, 9.0], arms=["none", "user"]))
    assert enough["batches"] == 2
    assert "kernel" in enough["why"]


@pytest.mark.parametrize(
    ("idle", "steal", "says"),
    [(99, 0.1, ""), (50, 0.1, "50 % idle before the trial"), (99, 5.0, "5.0 % stolen"), (50, 5.0, "; 5.0 % stolen")],
)
def test_noise_is_named(idle: float, steal: float, says: str) -> None:
    noise = trials.noise({"idle_before_pct": idle, "steal_pct": steal})
    assert says in noise
    assert bool(noise) == bool(says)


def test_schemas_of_turns_are_those_of_runs_with_arm_and_trial() -> None:
    assert list(tables.TURN_DECISIONS.columns) == ["arm", "trial", *tables.DECISIONS.columns]
    assert list(tables.TURN_SAMPLES.columns) == ["arm", "trial", *tables.SAMPLES.columns]
