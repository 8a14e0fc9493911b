"""The classifier in C against the one in Python, on any events: order, loss, eviction, long silence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.forests import converted, forest_between, noisy_forest

from upfml.base import tables
from upfml.base.errors import UserError
from upfml.bpf import events
from upfml.classify.native import NativeClassifier
from upfml.classify.user import UserClassifier
from upfml.packets.features import Definition

DEFINITION = Definition(500_000_000, 1_000)
DECIDED = ["flow", "window", "packets", *tables.FEATURES, "predicted", "model", "repeats", "t_packet_ns", "t_sent_ns"]
FLOWS = 5
SECOND_NS = 10**9


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return converted(noisy_forest(trees=10, depth=8), tmp_path_factory.mktemp("model"))


class Pair:
    """Both classifiers on the same events. C is compiled once, so its decisions are those since the last comparison."""

    def __init__(self, model: Path, when: str) -> None:
        self._model, self._when = model, when
        self._lost = 0
        self._native = NativeClassifier(model, DEFINITION, when, lambda: self._lost)
        self._seen, self._counts = 0, self._native.counts

    def compare(self, turns: list[np.ndarray], lost: int) -> pd.DataFrame:
        """Events of several turns, after each of which flows are forgotten: the decisions, after they were compared."""
        self._lost = lost
        user = UserClassifier(self._model, DEFINITION, self._when, lambda: lost)
        for turn in turns:
            for reader in (user, self._native):
                reader.take(turn)
                reader.forget()
        made = self._native.table()
        mine, wanted = (
            rows.sort_values("flow", kind="stable", ignore_index=True) for rows in (made[self._seen :], user.table())
        )
        pd.testing.assert_frame_equal(mine[DECIDED], wanted[DECIDED])
        for rows in (mine, wanted):
            assert (rows["t_start_ns"] <= rows["t_features_ns"]).all()
            assert (rows["t_features_ns"] <= rows["t_label_ns"]).all()
            assert (rows["t_label_ns"] == rows["t_delivered_ns"]).all()
        before, self._counts, self._seen = self._counts, self._native.counts, len(made)
        assert {name: count - before[name] for name, count in self._counts.items()} == user.counts
        return mine


@pytest.fixture(scope="module", params=["window", "packet"])
def pair(request: pytest.FixtureRequest, model: Path) -> Pair:
    return Pair(model, request.param)


def collected(gaps_ns: np.ndarray, flows: np.ndarray) -> np.ndarray:
    """The collector's events on packets that are so far apart, each of a flow of FLOWS."""
    found = np.zeros(len(gaps_ns), events.PACKET_EVENT)
    found["key"]["sport"], found["key"]["protocol"] = flows, 17
    found["t_ns"] = SECOND_NS + np.cumsum(gaps_ns)
    found["t_sent_ns"] = found["t_ns"] + 7
    for flow in range(FLOWS):
        times = found["t_ns"][flows == flow].astype(np.int64)
        found["iat_ns"][flows == flow] = np.diff(times, prepend=times[:1] + 1)
    return found


def drawn(seed: int, packets: int = 400) -> np.ndarray:
    """Events in the order of time, with an eviction, a clock that went back, and silences."""
    random = np.random.default_rng(seed)
    gaps = random.integers(0, 30_000_000, packets)
    gaps[random.integers(0, packets, 2)] = random.choice([2, 9]) * SECOND_NS  # beyond patience, and beyond IAT_MAX
    found = collected(gaps, random.integers(0, FLOWS, packets))
    found["iat_ns"][random.integers(packets)] = -1
    backwards = random.integers(packets)
    found["t_ns"][backwards] -= 1_000
    found["iat_ns"][backwards] = 0
    return found


def test_in_order_both_decide_alike(pair: Pair) -> None:
    assert len(pair.compare([drawn(1, 5_000)], lost=0)) > 100


@settings(deadline=None, max_examples=150)
@given(
    seed=st.integers(0, 2**32),
    displaced=st.sampled_from([0, 1, 4, 40]),
    kept=st.sampled_from([1.0, 0.98, 0.5]),
    turns=st.integers(1, 3),
    lost=st.integers(0, 1),
)
def test_whatever_overtakes_or_is_lost_both_decide_alike(
    pair: Pair, seed: int, displaced: int, kept: float, turns: int, lost: int
) -> None:
    random, found = np.random.default_rng(seed), drawn(seed)
    found = found[np.argsort(np.arange(len(found)) + random.uniform(0, displaced, len(found)), kind="stable")]
    found = found[random.random(len(found)) < kept]
    pair.compare(np.array_split(found, turns), lost)


def test_decisions_beyond_a_chunk_are_all_there_and_in_order(model: Path) -> None:
    classifier = NativeClassifier(model, DEFINITION, "packet")
    packets = collected(np.full(10_000, 1_000_000), np.zeros(10_000, int))
    classifier.take(packets)
    rows = classifier.table()
    assert rows["t_packet_ns"].tolist() == packets["t_ns"][500:].tolist()  # the first window has no previous one
    assert classifier.received == 10_000


def test_many_flows_are_told_apart(model: Path) -> None:
    flows = 20_000
    packets = np.zeros(flows, events.PACKET_EVENT)
    packets["key"]["sport"], packets["key"]["dport"] = np.arange(flows) % 2_000, np.arange(flows) // 2_000
    classifier = NativeClassifier(model, DEFINITION, "window")
    for at_ms, iat_ms in ((0, None), (100, 100), (600, 500), (1_100, 500)):
        packets["t_ns"] = (1_000 + at_ms) * 1_000_000
        packets["iat_ns"] = -1 if iat_ms is None else iat_ms * 1_000_000
        classifier.take(packets)
    rows = classifier.table()
    assert rows["flow"].nunique() == len(rows) == flows
    statistics = ["iat_mean", "iat_var", "prev_iat_mean", "prev_iat_var"]
    assert rows[statistics].drop_duplicates().values.tolist() == [[500_000, 0, 100_000, 0]]


def test_a_model_with_other_features_is_refused(tmp_path: Path) -> None:
    model = converted(forest_between(0, 1_000, features=7), tmp_path)
    with pytest.raises(UserError, match=f"has 7 features, a window has {len(tables.FEATURES)}"):
        NativeClassifier(model, DEFINITION, "window")
