"""causes: every arithmetic by hand, the honest one against features.py, the forest against scikit-learn and C."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import RandomForestClassifier
from tests.forests import FORESTS, around_thresholds, at_ends, converted, noisy_forest

from upfml.base import tables
from upfml.base.errors import UserError
from upfml.base.flowkey import UDP, flow_id
from upfml.classify.user import predictor
from upfml.model import convert
from upfml.model.kinds import KINDS, trees_of
from upfml.model.voting import Voting
from upfml.packets import windows
from upfml.packets.features import UNIT_NS, Definition, Flow, no_overflows
from upfml.studies.causes import page, study
from upfml.studies.causes.arithmetic import (
    FEATURES,
    Arithmetic,
    Clock,
    Trace,
    Whole,
    decisions,
    statistics,
    window_starts,
)
from upfml.studies.causes.chains import AUTHORS, CAUSES, HONEST, OTHERS, Chain, added_up
from upfml.studies.causes.forest import classes

WINDOW_NS = 500_000_000
MS = 1_000_000
FOREST = {"kind": "random_forest", "max_depth": 4, "n_estimators": 3, "min_samples_leaf": 2}
REPETITIONS = 2


def tables_of(times_ns: dict[int, Any], embb: set[int] = frozenset()) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Packets and flows of the given arrival times of each port; ports above 60000 no generator made."""
    frames = []
    for port, times in times_ns.items():
        frame = pd.DataFrame(dict.fromkeys(tables.PACKETS.columns, 0), index=range(len(times)))
        frame[["src", "dst"]] = "10.60.0.1", "10.70.0.1"
        frame["src_port"], frame["dst_port"], frame["protocol"] = port, 5_001, UDP
        frame["t_ns"], frame["iat_ns"] = times, np.diff(times, prepend=times[0] + 1)
        frames.append(tables.typed(frame, tables.PACKETS))
    packets = pd.concat(frames).sort_values("t_ns", kind="stable", ignore_index=True)
    names = [flow_id("10.60.0.1", port, "10.70.0.1", 5_001, UDP) for port in times_ns if port < 60_000]
    labels = [int(port in embb) for port in times_ns if port < 60_000]
    return packets, pd.DataFrame({"flow": names, "label": labels})


def trace_of(*flows_ms: list[float]) -> Trace:
    """Flows by their arrival times in ms."""
    times = {port: np.round(np.array(ms) * MS).astype(np.int64) + 10 * MS for port, ms in enumerate(flows_ms, start=1)}
    return Trace.of(*tables_of(times))


@cache
def recorded_like() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Periodic flows and bursty ones, with silences, with IATs beyond the longest that counts, and with evictions."""
    random = np.random.default_rng(3)
    times: dict[int, Any] = {}
    for port in range(1, 13):
        gaps = random.normal(4e6 + 1e6 * port, 2e4, 1_500) if port % 2 else random.exponential(6e6, 1_500)
        silent = random.random(1_500) < 0.004
        gaps[silent] = random.choice([6e8, 2e9, 9e9, 3e10], int(silent.sum()))
        times[port] = port * 10**9 + np.cumsum(np.maximum(gaps, 0).astype(np.int64))
    times[60_001] = times[2] + 17
    packets, flows = tables_of(times, embb=set(range(2, 13, 2)))
    evicted = random.random(len(packets)) < 0.001
    return packets.assign(iat_ns=packets["iat_ns"].where(~evicted, -1)), flows


# Windows and features


@pytest.mark.parametrize("unit", ["us", "ms"])
def test_honest_integers_are_those_of_training_and_kernel(unit: str) -> None:
    packets, flows = recorded_like()
    trace = Trace.of(packets, flows)
    found = decisions(trace, "flow", WINDOW_NS, Arithmetic(unit, "iats"))
    mine = pd.DataFrame(found.features, columns=FEATURES)
    mine.insert(0, "flow", [trace.names[flow] for flow in found.flow])
    theirs, unknown = windows.labelled(windows.closed(packets, Definition(WINDOW_NS, UNIT_NS[unit])), flows)
    theirs = theirs.sort_values(["flow", "t_close_ns"], kind="stable", ignore_index=True)
    assert unknown > 0 and len(theirs) > 300
    assert mine.sort_values("flow", kind="stable", ignore_index=True).equals(theirs[["flow", *FEATURES]])


def test_running_windows_are_those_of_the_kernel() -> None:
    times = np.cumsum(np.random.default_rng(1).integers(1, 40 * MS, 500))
    trace = Trace.of(*tables_of({1: times}))
    flow, expected = Flow(int(times[0]), no_overflows()), []
    for t_ns, iat_ns in zip(times[1:].tolist(), np.diff(times).tolist(), strict=True):
        flow.packet(t_ns, iat_ns, Definition(WINDOW_NS, 1_000))
        running = flow.running()
        if running:
            by_name = dict(zip(tables.FEATURES, running.features, strict=True))
            expected.append([by_name[name] for name in FEATURES])
    found = decisions(trace, "flow", WINDOW_NS, Arithmetic("us", "iats"), every_packet=True)
    assert found.features.tolist() == expected


def test_integers_at_the_largest_iats_do_not_overflow() -> None:
    """Half of 60,000 IATs of 0 and half beyond the longest: the numerator n·Σx² − (Σx)² needs 77 bits."""
    gaps = np.tile([0, 10**10], 30_000)
    trace = Trace.of(*tables_of({1: np.cumsum(np.append(1, gaps))}))
    longest = 2**23 - 1
    mean, variance = statistics(trace, np.array([0]), Arithmetic("us", "iats"))
    assert mean[-1] == longest // 2
    assert variance[-1] == longest**2 // 4
    assert statistics(trace, np.array([0]), Arithmetic("us", "iats", "sample"))[1][-1] == 60_000 * longest**2 // 239_996


@pytest.mark.parametrize(
    ("clock", "expected_ms"),
    [
        ("flow", [[100, 450], [620], [1000, 1130, 1300], [1700]]),
        ("drifting", [[100, 450], [620, 1000], [1130, 1300], [1700]]),
        ("trace", [[100], [450, 620], [1000, 1130, 1300], [1700]]),
    ],
)
def test_window_clocks_by_hand(clock: Clock, expected_ms: list[list[float]]) -> None:
    trace = trace_of([0, 100, 450, 620, 1000, 1130, 1300, 1700], [-180, -179])
    found = np.split(trace.t_ns // MS - 10, window_starts(trace, clock, WINDOW_NS)[1:])
    assert [window.tolist() for window in found] == [[-179], *expected_ms]


def test_a_first_window_without_iat_does_not_exist() -> None:
    trace = trace_of([0, 700, 710, 1300])
    assert window_starts(trace, "drifting", WINDOW_NS).tolist() == [0, 2]
    assert window_starts(trace, "flow", WINDOW_NS).tolist() == [0, 2]


@pytest.mark.parametrize(
    ("unit", "whole", "variance", "expected"),
    [
        ("us", "nothing", "population", (8_200 / 3, 11_180_000 / 9)),
        ("us", "nothing", "sample", (8_200 / 3, 11_180_000 / 6)),
        ("us", "nothing", "rounded mean", (8_200 / 3, 8_713_333 - 2_733**2)),
        ("us", "iats", "population", (2_733, 1_242_222)),
        ("us", "iats", "sample", (2_733, 1_863_333)),
        ("us", "iats", "rounded mean", (2_733, 8_713_333 - 2_733**2)),
        ("ms", "nothing", "population", (8.2 / 3, 11.18 / 9)),
        ("ms", "iats", "population", (2, 1)),  # of 1, 2, 4: 14 / 9
        ("ms", "iats", "sample", (2, 2)),  # 14 / 6
        ("ms", "iats", "rounded mean", (2, 3)),  # 21 // 3 − 2²
        ("ms", "features", "population", (2, 1)),
    ],
)
def test_statistics_by_hand(unit: str, whole: Whole, variance: str, expected: tuple[float, float]) -> None:
    trace = trace_of([0, 1.5, 4.0, 8.2])  # IATs of 1.5, 2.5 and 4.2 ms
    mean, spread = statistics(trace, np.array([0]), Arithmetic(unit, whole, variance))
    assert (mean[-1], spread[-1]) == pytest.approx(expected, rel=1e-12)
    assert (mean.dtype == np.int64) == (whole != "nothing")
    assert spread[0] == 0  # of one IAT


def test_the_rounded_means_variance_is_never_negative() -> None:
    trace = Trace.of(*tables_of({1: np.cumsum(np.random.default_rng(5).integers(0, 9 * MS, 4_000))}))
    assert statistics(trace, np.array([0]), Arithmetic("ms", "iats", "rounded mean"))[1].min() >= 0


def test_zeros_stand_for_the_window_before_the_first() -> None:
    trace = trace_of([0, 100, 600, 700, 1200])
    exact = Arithmetic("ms", "iats")
    assert decisions(trace, "flow", WINDOW_NS, exact).features.tolist() == [[300, 40_000, 100, 0]]
    found = decisions(trace, "flow", WINDOW_NS, exact, zeros_first=True)
    assert found.features.tolist() == [[100, 0, 0, 0], [300, 40_000, 100, 0]]
    assert found.begins.tolist() == [0, 1]
    every = decisions(trace, "flow", WINDOW_NS, exact, every_packet=True, zeros_first=True)
    assert every.features.tolist() == [[100, 0, 0, 0], [500, 0, 100, 0], [300, 40_000, 100, 0], [500, 0, 300, 40_000]]


# Forests


@pytest.mark.parametrize("name", FORESTS)
def test_exact_and_soft_is_scikit_learn(name: str) -> None:
    forest = FORESTS[name]
    samples = np.concatenate([around_thresholds(forest), at_ends(forest.n_features_in_, 200)])
    assert (classes(forest, samples, "exact", "soft") == forest.predict(samples)).all()


def test_on_floats_too() -> None:
    forest = noisy_forest(trees=10, depth=8)
    samples = np.random.default_rng(2).uniform(0, 50_000, (5_000, len(tables.FEATURES)))
    inner = [tree.threshold[tree.feature == 0] for tree in trees_of(forest)]
    at = np.concatenate(inner)[: len(samples)]
    samples[: len(at), 0] = at
    assert (classes(forest, samples, "exact", "soft") == forest.predict(samples)).all()


@pytest.mark.parametrize("thresholds", ["exact", "emlearn"])
@pytest.mark.parametrize("voting", ["soft", "majority"])
def test_every_setting_is_the_compiled_model(thresholds: convert.Thresholds, voting: Voting, tmp_path: Path) -> None:
    forest = FORESTS["half thresholds"]
    predict = predictor(converted(forest, tmp_path, thresholds=thresholds, voting=voting) / "model.so")
    samples = np.concatenate([around_thresholds(forest), at_ends(forest.n_features_in_, 200)])
    assert classes(forest, samples, thresholds, voting).tolist() == [predict(row) for row in samples.tolist()]


# Chains


def test_all_causes_together_are_the_authors_kernel() -> None:
    served, trained = Arithmetic("ms", "iats", "rounded mean"), Arithmetic("ms", "nothing", "sample")
    assert Chain(trained, "flow", served, "drifting", "emlearn", "majority", True, True) == AUTHORS
    assert len({*added_up(CAUSES), HONEST}) == len(CAUSES) + 1


def test_trained_as_served() -> None:
    chain = AUTHORS.trained_as_served()
    assert (chain.trained, chain.trained_clock) == (AUTHORS.served, "drifting")


# The study


def tally(right: np.ndarray, total: np.ndarray) -> study.Tally:
    """Of flows with so many right decisions, the same in each repetition."""
    return study.Tally((), np.zeros((REPETITIONS, 0), np.int8), total, np.tile(right, (REPETITIONS, 1)))


def test_the_interval_covers_a_planted_difference() -> None:
    """Flows lose 2 points on average, some none and some 10; in 19 of 20 traces the interval should hold that."""
    random, held = np.random.default_rng(7), 0
    for trial in range(60):
        labels, total = np.repeat([0, 1], 30), random.integers(80, 120, 60)
        share = np.where(random.random(60) < 0.2, 0.1, 0.0)
        lost = random.binomial(total, share)
        change = study.Bootstrap(labels, trial, REPETITIONS).change(tally(total, total), tally(total - lost, total))
        held += change["points_low"] <= -2 <= change["points_high"]
        assert change["points"] == pytest.approx(-100 * lost.sum() / total.sum())
    assert held >= 51


def test_what_changes_nothing_is_exactly_0() -> None:
    some = tally(np.array([3, 5, 8]), np.array([5, 5, 10]))
    change = study.Bootstrap(np.array([0, 0, 1]), 1, REPETITIONS).change(some, some)
    assert (change["points"], change["points_low"], change["points_high"], change["decided_differently"]) == (
        0,
        0,
        0,
        0,
    )


@pytest.fixture
def small() -> dict[str, Any]:
    return study.run(Trace.of(*recorded_like()), WINDOW_NS, FOREST, 1, REPETITIONS)


@pytest.mark.parametrize("split", study.SPLITS)
def test_a_window_is_decided_by_a_forest_that_has_not_seen_it(split: str, monkeypatch: pytest.MonkeyPatch) -> None:
    trace = Trace.of(*recorded_like())
    trained_on: dict[int, set[bytes]] = {}
    flows_of: dict[int, set[int]] = {}
    flow_of = {row.tobytes(): flow for row, flow in _rows(trace)}

    class Spy(RandomForestClassifier):  # type: ignore[misc]
        def fit(self, features: np.ndarray, labels: np.ndarray) -> Spy:
            trained_on[id(self)] = {row.tobytes() for row in features}
            flows_of[id(self)] = {flow_of[row] for row in trained_on[id(self)]}
            return super().fit(features, labels)

    seen = 0

    def spied(forest: Spy, features: np.ndarray, *_: str) -> np.ndarray:
        nonlocal seen
        rows = [row.tobytes() for row in features]
        seen += len(rows)
        assert not trained_on[id(forest)] & set(rows)
        if split == "grouped":
            assert not flows_of[id(forest)] & {flow_of[row] for row in rows}
        return np.zeros(len(rows), np.int64)

    monkeypatch.setitem(KINDS, "random_forest", Spy)
    monkeypatch.setattr(study, "classes", spied)
    study.Experiment(trace, WINDOW_NS, split, FOREST, 1, REPETITIONS).tally(HONEST)
    assert seen == REPETITIONS * len(flow_of)


def _rows(trace: Trace) -> list[tuple[np.ndarray, int]]:
    found = decisions(trace, "flow", WINDOW_NS, HONEST.served)
    return list(zip(found.features, found.flow.tolist(), strict=True))


def test_the_study_adds_up(small: dict[str, Any]) -> None:
    assert json.loads(json.dumps(small)) == small
    for split in study.SPLITS:
        found = small["splits"][split]
        assert [row["cause"] for row in found["causes"]] == [cause.name for cause in CAUSES]
        assert [row["chain"] for row in found["others"]] == [other.name for other in OTHERS]
        points = sum(row["cumulative"]["points"] for row in found["causes"])
        assert found["authors"]["points"] == pytest.approx(points)
        assert found["scikit_learn"]["accuracy_pct"] + points == pytest.approx(found["authors"]["accuracy_pct"])
        assert found["exact"]["unlike_scikit_learn"] == 0
        assert found["baselines"]["majority"]["balanced_accuracy_pct"] == pytest.approx(50)
        assert 50 < found["baselines"]["one_threshold"]["accuracy_pct"] <= found["scikit_learn"]["accuracy_pct"]
        for row in found["causes"]:
            for change in (row["alone"], row["cumulative"]):
                assert change["points_low"] <= change["points"] <= change["points_high"]


def test_the_page_says_what_the_numbers_say(small: dict[str, Any]) -> None:
    written = page.markdown(small)
    assert all(cause.name in written and cause.authors in written for cause in CAUSES)
    assert "from 99.97 to 99.60 %" in written and "0 of " in written
    assert written.rstrip().endswith("its kernel on later traffic.")
    assert "−3.00 points (99.00 % held out, 96.00 % live, XDP mode: native)" in page.markdown(
        small, {"heldout_accuracy": 0.99, "live_accuracy": 0.96, "xdp_mode": "native"}
    )
    small["splits"]["random"]["causes"][3]["alone"] |= {"points": -0.4, "points_low": -0.5, "points_high": -0.3}
    likely = page.verdict(small)[1].replace("\xa0", " ")
    assert "The most likely causes" in likely and "n or n − 1 (−0.40 [−0.50, −0.30])" in likely


def test_a_trace_too_short_to_split_says_so() -> None:
    trace = trace_of([0, 100, 600, 1100, 1700])
    with pytest.raises(UserError, match="5 folds"):
        study.run(trace, WINDOW_NS, FOREST, 1, REPETITIONS)
