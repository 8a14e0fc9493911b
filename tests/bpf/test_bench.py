"""The benchmarks: every combination is in their tables, every timed result is scikit-learn's. No time is asserted."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tests.forests import converted, noisy_forest

from upfml.base import tables
from upfml.bpf.flowtable import FlowTable
from upfml.model.kinds import trees_of
from upfml.studies.bench import delivery, inference, path


def closed_windows(rows: int = 2_000) -> pd.DataFrame:
    """What the benchmark needs of the windows table; there is nothing in it to be learnt."""
    random = np.random.default_rng(0)
    columns = {name: random.integers(0, 10**9 if "var" in name else 50_000, rows) for name in tables.FEATURES}
    return pd.DataFrame(columns | {"label": random.integers(0, 2, rows), "t_close_ns": np.arange(rows)})


def config(max_depth: list[int], n_estimators: list[int], division: int | list[int] = 2) -> dict[str, Any]:
    bench = {"max_depth": max_depth, "n_estimators": n_estimators, "orders": inference.ORDERS, "repeats": 2}
    return {
        "seed": 1,
        "features": {"window_ms": 500, "iat_unit": "us"},
        "convert": {"thresholds": "exact", "voting": "soft", "division": division},
        "bench": bench,
    }


def test_every_engine_finds_scikit_learns_class_in_every_order() -> None:
    table = inference.measure(closed_windows(), config([3, 6], [1, 5]))
    engines = [*inference.ENGINES, *inference.USER_SPACE]
    forests = ["depth3-trees1", "depth3-trees5", "depth6-trees1", "depth6-trees5"]
    assert list(table.columns) == inference.COLUMNS
    assert sorted(zip(table["forest"], table["engine"], table["order"], strict=True)) == sorted(
        product(forests, engines, inference.ORDERS)
    )
    assert (table["agree"] == 1).all()
    assert (table["refused_reason"] == "").all()
    assert (table["ns_gross"] > 0).all()
    kernel = table["engine"].isin(inference.ENGINES)
    assert (table.loc[kernel, ["instructions", "verified_instructions", "jited_bytes", "load_ms"]] > 0).all(axis=None)


def test_the_benchmark_sees_a_wrong_class() -> None:
    """One vote a tree is not scikit-learn's average of class shares."""
    settings = config([3], [4])
    settings["convert"]["voting"] = "majority"
    table = inference.measure(closed_windows(), settings, ["tailcall"])
    shuffled = table[table["order"] == "shuffled"].set_index("engine")["agree"]
    assert shuffled["tailcall"] == shuffled["gcc-O2"] < 1
    assert shuffled["sklearn"] == 1


def test_a_refused_forest_is_a_row_with_its_reason() -> None:
    table = inference.measure(closed_windows(), config([3], [5], division=[1, 1]), ["tailcall"])
    refused = table[table["engine"] == "tailcall"]
    assert len(refused) == len(inference.ORDERS)
    assert refused["refused_reason"].str.contains("adds up to 2").all()
    assert refused["ns_net"].isna().all()
    assert (table.loc[table["engine"] != "tailcall", "agree"] == 1).all()


def test_hardest_inputs_are_at_thresholds() -> None:
    forest = noisy_forest(trees=5, depth=6)
    trace = np.arange(40).reshape(10, 4)
    samples = inference.inputs("hardest", trace, forest, seed=1)
    for feature, column in enumerate(samples.T):
        thresholds = np.concatenate([tree.threshold[tree.feature == feature] for tree in trees_of(forest)])
        below = np.floor(thresholds).astype(np.int64)
        assert np.isin(column, np.concatenate([below, below + 1])).all()
    constant = inference.inputs("constant", trace, forest, seed=1)
    assert (constant == constant[0]).all()
    in_order = inference.inputs("trace", trace, forest, seed=1)
    assert (in_order[:10] == trace).all() and (in_order[10:20] == trace).all()
    assert sorted(map(tuple, inference.inputs("shuffled", trace, forest, seed=1))) == sorted(map(tuple, in_order))


@pytest.fixture(scope="module")
def way(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    model: Path = converted(noisy_forest(trees=3, depth=5), tmp_path_factory.mktemp("model"))
    return path.measure(model, FlowTable(), [1, 500], 2)


def test_every_step_of_a_packets_way_is_a_row(way: pd.DataFrame) -> None:
    assert list(way.columns) == path.COLUMNS
    rows = list(zip(way["flows"], zip(way["when"], way["emit"], strict=True), way["step"], strict=True))
    assert rows == list(product([1, 500], path.WAYS, path.STEPS))


def test_ways_to_deliver(tmp_path: Path) -> None:
    table = delivery.measure(converted(noisy_forest(trees=3, depth=5), tmp_path), 1)
    assert list(table.columns) == delivery.COLUMNS
    assert len(table) == len(delivery.DELIVERIES)
    assert (table["lost"] == 0).all()
    every = table[table["emit"] == "every"]
    assert (every["events"] > 0.9 * every["packets"]).all()
    (changes,) = table.loc[table["emit"] == "change", "events"]
    assert 0 < changes < every["events"].min()


def test_steps_add_up_to_the_whole_way(way: pd.DataFrame) -> None:
    for _, steps in way.groupby(["flows", "when", "emit"]):
        assert steps["share"].sum() == pytest.approx(1)
        assert steps["ns_step"].sum() == pytest.approx(steps["ns"].iloc[-1])
