"""Kernel, user space and scikit-learn against the reference on one trace; and that differences would be found."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from tests.forests import converted, forest_between, noisy_forest

from upfml.bpf.flowtable import FlowTable
from upfml.model.baselines import Baselines
from upfml.model.engines import ENGINES
from upfml.model.synthetic import trace
from upfml.packets.features import Definition
from upfml.reference.forest import Forest
from upfml.studies import exactness

DEFINITION = Definition(500_000_000, 1_000)


@pytest.fixture(scope="module")
def forest() -> object:
    return noisy_forest(trees=10, depth=8)


@pytest.fixture(scope="module", params=["soft", "majority"])
def voting(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("when", ["window", "packet"])
@pytest.mark.parametrize("engine", ENGINES)
def test_nobody_differs_from_the_reference(forest: object, voting: str, engine: str, when: str, tmp_path: Path) -> None:
    folder = converted(forest, tmp_path, engine=engine, voting=voting)
    model = exactness.Model(forest, folder, voting, DEFINITION, when)
    packets = trace()
    flows = pd.DataFrame({"flow": ["10.60.0.1:1>10.70.0.1:0/6"], "label": [0]})
    stump = Baselines(larger=1, feature="iat_mean", threshold=-1.0, below=1, above=0)
    judged = exactness.judge(model, stump, packets, flows, exactness.replayed(model, packets, FlowTable()))
    assert judged["kernel"]["windows"] > 400
    assert judged["majority"]["accuracy_pct"] == 0  # of the one flow whose class is known, which is of class 0
    assert judged["one_threshold"]["accuracy_pct"] == 100
    for arm in ("kernel", "user", "native"):
        assert (judged[arm]["feature_differences"], judged[arm]["decision_differences"]) == (0, 0)
    assert judged["sklearn"]["feature_differences"] == 0
    if voting == "soft":
        assert judged["sklearn"]["decision_differences"] == 0
    else:  # votes are not averaged shares: counted, not hidden
        assert judged["sklearn"]["decision_differences"] > 0


def test_emlearns_own_thresholds_differ(tmp_path: Path) -> None:
    forest = forest_between(0, 40)  # thresholds that IATs in ms meet
    folder = converted(forest, tmp_path, thresholds="emlearn", voting="soft")
    model = exactness.Model(forest, folder, "soft", Definition(500_000_000, 1_000_000), "window")
    packets = trace()
    wanted = exactness.expected(packets, model.definition, "window", Forest(forest, "soft"))
    found = exactness.replayed(model, packets, FlowTable())["kernel"]
    counted = exactness.differences(wanted, found)
    assert counted["feature_differences"] == 0
    assert counted["decision_differences"] > 0


def test_each_kind_of_difference_is_counted() -> None:
    wanted = exactness.expected(trace(flows=3), DEFINITION, "window", Forest(noisy_forest(trees=3, depth=3), "soft"))
    same = {"windows": len(wanted), "feature_differences": 0, "decision_differences": 0}
    assert exactness.differences(wanted, wanted) == same
    other = wanted.copy()
    other.loc[0, "predicted"] = 1 - other.loc[0, "predicted"]
    assert exactness.differences(wanted, other) == same | {"decision_differences": 1}
    other = wanted.copy()
    other.loc[[0, 1], "prev_iat_var"] += 1
    assert exactness.differences(wanted, other) == same | {"feature_differences": 2}
    assert exactness.differences(wanted, wanted.iloc[1:]) == same | {
        "feature_differences": 1,
        "decision_differences": 1,
    }


def test_an_evicted_flow_begins_anew() -> None:
    packets = trace(flows=1)
    anew = packets.copy()
    anew.loc[300, "iat_ns"] = -1
    forest = Forest(noisy_forest(trees=3, depth=3), "soft")
    halves = [exactness.expected(part, DEFINITION, "window", forest) for part in (packets[:300], packets[300:])]
    pd.testing.assert_frame_equal(
        exactness.expected(anew, DEFINITION, "window", forest), pd.concat(halves, ignore_index=True)
    )
