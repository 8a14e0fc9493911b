"""Judging scenarios: whose windows count, what the scores and their intervals are, and what the page says."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from upfml.base import tables
from upfml.base.classes import EMBB, URLLC
from upfml.base.errors import UserError
from upfml.model.baselines import Baselines
from upfml.packets.features import Definition
from upfml.studies.generalise import evaluation, page

BASELINES = Baselines(URLLC, "iat_var", 500.0, URLLC, EMBB)


class AsLabelled:
    """In a forest's place: names the class that stands in the first feature."""

    def predict(self, features: np.ndarray) -> np.ndarray:
        return features[:, 0]


OTHERS: Any = [AsLabelled()]  # the retrained forests


def judged(windows_by_flow: dict[str, tuple[str, int, list[int]]], scenario: str = "a-scenario") -> pd.DataFrame:
    """tables.JUDGED: of each flow its application, its true class, and what the forest says of each window."""
    rows = [
        (flow, application, label, said)
        for flow, (application, label, called) in windows_by_flow.items()
        for said in called
    ]
    frame = pd.DataFrame(rows, columns=["flow", "application", "label", "iat_mean"])
    features = dict.fromkeys(tables.FEATURES, 0) | {"iat_mean": frame["iat_mean"], "iat_var": 1000 * frame["iat_mean"]}
    windows = tables.typed(frame.assign(window=1, t_close_ns=0, packets=2, **features), tables.CLOSED_WINDOWS)
    flows = frame.drop_duplicates("flow")
    found, unknown = evaluation.judge(scenario, windows, flows, AsLabelled(), BASELINES)  # type: ignore[arg-type]
    assert unknown == 0
    return tables.JUDGED.validate(found)


MIXED = {
    "u1": ("robot-arm", 0, [0, 0, 0, 0]),
    "u2": ("robot-arm", 0, [0, 0, 1, 1]),
    "e1": ("video", 1, [1, 1]),
    "e2": ("download", 1, [0, 0]),
    "n1": ("voice", -1, [0, 0, 1]),
}


def test_windows_of_flows_that_nobody_made_are_counted_and_left_out() -> None:
    made = judged({"u1": ("robot-arm", 0, [0])})
    closed = pd.concat([made, made.assign(flow="stranger")])[list(tables.CLOSED_WINDOWS.columns)]
    flows = pd.DataFrame({"flow": ["u1"], "application": ["robot-arm"], "label": [0]})
    found, unknown = evaluation.judge("a", closed, flows, AsLabelled(), BASELINES)  # type: ignore[arg-type]
    assert (found["flow"].tolist(), unknown) == (["u1"], 1)


def test_scores_count_classes_and_leave_out_neither() -> None:
    found = evaluation.evaluate(judged(MIXED), OTHERS, seed=1)
    assert (found["windows"], found["windows_of_neither"], found["flows"]) == (12, 3, 5)
    forest = found["classifiers"]["forest"]
    assert forest["confusion"] == [[6, 2], [2, 2]]
    assert forest["accuracy_pct"] == pytest.approx(100 * 8 / 12)
    assert forest["balanced_accuracy_pct"] == pytest.approx(100 * (6 / 8 + 2 / 4) / 2)
    assert found["classifiers"]["majority"]["balanced_accuracy_pct"] == 50
    assert forest["accuracy_retrained_pct"] == [pytest.approx(100 * 8 / 12)]
    called = {each["application"]: each["called"]["forest"] for each in found["applications"]}
    assert called["voice"] == {"URLLC": 2, "eMBB": 1}
    assert list(called) == ["robot-arm", "video", "download", "voice"]


def test_intervals_are_over_flows_not_over_windows() -> None:
    """Two flows a class, one all right and one all wrong: a drawn class is right by 0, 50 or 100 %."""
    few = {f"{kind}{label}": ("video" if label else "robot-arm", label, [label if kind == "right" else 1 - label] * 500)
           for kind in ("right", "wrong") for label in (0, 1)}  # fmt: skip
    forest = evaluation.evaluate(judged(few), OTHERS, seed=1)["classifiers"]["forest"]
    assert (forest["accuracy_low_pct"], forest["accuracy_high_pct"]) == (0, 100)
    many = {f"{flow}-{copy}": what for flow, what in few.items() for copy in range(50)}
    forest = evaluation.evaluate(judged(many), OTHERS, seed=1)["classifiers"]["forest"]
    # 200 flows, each right or wrong with equal odds: a standard error of 50 / sqrt(200) = 3.5 points.
    assert forest["accuracy_low_pct"] == pytest.approx(50 - 1.96 * 3.54, abs=1)
    assert forest["balanced_accuracy_high_pct"] == pytest.approx(50 + 1.96 * 3.54, abs=1)


def test_one_flow_of_a_class_has_no_interval() -> None:
    found = evaluation.evaluate(judged({**MIXED, "e2": ("voice", -1, [0])}), OTHERS, seed=1)
    assert found["classifiers"]["forest"]["accuracy_low_pct"] is None
    assert "[" not in page.markdown(of(found)).split("## What the forest calls")[0].split("## Accuracy")[1]


def test_the_same_seed_gives_the_same_intervals() -> None:
    assert evaluation.evaluate(judged(MIXED), OTHERS, 3) == evaluation.evaluate(judged(MIXED), OTHERS, 3)


def test_a_scenario_without_a_class_is_named() -> None:
    with pytest.raises(UserError, match="a-scenario has no eMBB window"):
        evaluation.evaluate(judged({"u1": MIXED["u1"], "n1": MIXED["n1"]}), OTHERS, seed=1)


def test_retrained_forests_see_draws_of_the_training_flows_alone() -> None:
    random = np.random.default_rng(1)
    rows = pd.DataFrame({name: random.integers(0, 1000, 200) for name in tables.FEATURES})
    rows = rows.assign(flow=[f"f{at // 10}" for at in range(200)], label=np.arange(200) // 10 % 2, split_random="train")
    hidden = rows.assign(flow="hidden", label=1 - rows["label"], split_random="test")
    parameters = {"kind": "random_forest", "max_depth": 3, "n_estimators": 3, "min_samples_leaf": 5}
    forests = evaluation.retrained(pd.concat([rows, hidden]), parameters, seed=1)
    again = evaluation.retrained(rows, parameters, seed=1)
    features = rows[tables.FEATURES].to_numpy()
    said = [forest.predict(features).tolist() for forest in forests]
    assert said == [forest.predict(features).tolist() for forest in again]
    assert len(forests) == evaluation.RETRAINED and len(set(map(tuple, said))) > 1


def test_seeds_of_scenarios_are_their_own() -> None:
    config = {"seed": 1}
    seeds = [evaluation.traffic_seed(config, name) for name in ("a", "b")] + [evaluation.traffic_seed({"seed": 2}, "a")]
    assert len(set(seeds)) == 3
    assert min(seeds) > 2**32


def of(*found: dict[str, Any]) -> dict[str, Any]:
    """generalise.json: each after the first with what its run was."""
    run = {"seed": 1, "n3_rate_mbit_s": [10], "duration_s": 20.0, "idle_before_pct": 87.0, "idle_wanted_pct": 90.0}
    run |= {"xdp_mode": "generic", "events_received": 990, "events_lost": 10}
    scenarios: list[dict[str, Any]] = [{"scenario": evaluation.HELD_OUT, **found[0]}]
    for at, each in enumerate(found[1:]):
        differs = {"testbed": {"n3_rate_mbit_s": [10]}}
        extra = {"differs": differs, "run": run, "windows_of_unknown_flows": 2}
        scenarios.append({"scenario": f"number-{at}", **extra, **each})
    return {"method": evaluation.method(Definition(500_000_000, 1_000), BASELINES), "scenarios": scenarios}


def test_the_page_has_every_scenario_baseline_and_application() -> None:
    perfect = {flow: (name, label, [max(label, 0)] * 4) for flow, (name, label, _) in MIXED.items()}
    said = page.markdown(
        of(
            evaluation.evaluate(judged(perfect), OTHERS, 1),
            evaluation.evaluate(judged(MIXED), OTHERS, 1),
        )
    )
    assert "| number 0 | forest | 66.67 [" in said and "| number 0 | majority class | 66.67" in said
    assert "| number 0 | voice | neither | 1 | 3 | 66.7 | 33.3 | 33.3 to 33.3 |" in said
    assert "`{testbed: {n3_rate_mbit_s: [10]}}`" in said and "10 of 1,000" in said
    assert "balanced accuracy is 37.5 points below that of held-out windows" in said
    assert "Compared with the majority class, accuracy is 0.0 points." in said
    assert "XDP mode: generic, of the collector" in said
    assert "Before, the machine was 87 % idle instead of 90 %." in said
    assert "The worst application is download: 0.0 % of its windows" in said
