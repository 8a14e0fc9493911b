"""paper: the published numbers beside ours, and how they agree."""

import json
import math
from pathlib import Path

import pandas as pd
import pytest

from upfml.arms import Arms
from upfml.base import published
from upfml.base.errors import UserError
from upfml.base.statistics import Estimate
from upfml.report.metrics import COLUMNS
from upfml.report.paper.comparison import Comparison
from upfml.report.paper.page import markdown
from upfml.report.paper.rows import compare

EVERY = Arms.of("every")

KEYS = ["quantity", "arm", "unit", "paper", "here", "here_low", "here_high", "trials", "verdict", "sentence", "note"]
SPLIT = {
    "accuracy": 0.9997,
    "accuracy_low": 0.999,
    "accuracy_high": 0.9999,
    "balanced_accuracy": 0.99,
    "majority_accuracy": 0.87,
    "one_threshold_accuracy": 0.9,
    "test_windows": 1500,
}
SCORES = {"random": SPLIT, "grouped": {**SPLIT, "accuracy": 0.97, "accuracy_low": 0.96, "accuracy_high": 0.98}}
EXACTNESS = {
    data: {
        **{
            arm: {"windows": 1200, "feature_differences": 0, "decision_differences": 0, "accuracy_pct": 99.5}
            for arm in ("kernel", "user", "sklearn")
        },
        "majority": {"accuracy_pct": 71.25},
        "one_threshold": {"accuracy_pct": 92.75},
    }
    for data in ("live", "replayed")
}
VALUES = {
    "none": {"cpu_total_mean": 9, "cpu_usr_mean": 2, "cpu_sys_mean": 0.1, "cpu_soft_mean": 6.9,
             "context_switches_mean": 3000, "cpus": 2},
    "user": {"accuracy": 99.91, "balanced_accuracy": 99, "majority_accuracy": 87, "inference_mean": 4000,
             "features_and_inference_mean": 32880, "arrival_to_label_mean": 90000, "arrival_to_user_space_mean": 90000,
             "cpu_usr_mean": 5.83, "cpu_sys_mean": 0.25, "cpu_soft_mean": 9.71, "cpu_total_mean": 15.79,
             "cpu_usr_p25": 5, "cpu_usr_p75": 7, "context_switches_mean": 5736.07, "context_switches_max": 12000,
             "classifier_context_switches_mean": 900, "events_lost_share": 0.1, "cpus": 2},
    "kernel": {"accuracy": 99.60, "balanced_accuracy": 99, "majority_accuracy": 87, "inference_mean": 904.6,
               "features_and_inference_mean": 1300, "arrival_to_label_mean": 1300, "arrival_to_user_space_mean": 60000,
               "cpu_usr_mean": 2.91, "cpu_sys_mean": 0.44, "cpu_soft_mean": 9.52, "cpu_total_mean": 12.87,
               "context_switches_mean": 3452.09, "classifier_context_switches_mean": 30, "events_lost_share": 0.0,
               "cpus": 2},
}  # fmt: skip
"""The paper's own results as if they had been measured here, and what it does not give."""


def measured(trials: int = 3, spread: float = 0.001, **changed: dict[str, float]) -> pd.DataFrame:
    """Table metrics with VALUES in every trial, each moved by `spread` of itself from trial to trial."""
    rows = []
    for arm, values in VALUES.items():
        whole = values | changed.get(arm, {})
        means = {name: value for name, value in whole.items() if name.endswith("_mean")}
        for statistic in ("median", "p99", "p99.9"):
            whole |= {name.replace("_mean", f"_{statistic}"): value for name, value in means.items()}
        for trial in range(1, trials + 1):
            moved = 1 + spread * (trial - (trials + 1) / 2) * (-1 if arm == "user" else 1)
            rows += [
                (arm, trial, name, float(value) * (1 if name == "cpus" else moved), "x")
                for name, value in whole.items()
            ]
    return pd.DataFrame(rows, columns=COLUMNS).assign(xdp_mode="native")


def find(compared: list[Comparison], quantity: str, arm: str) -> Comparison:
    (found,) = (c for c in compared if (c.quantity, c.arm, c.paper is None) == (quantity, arm, False))
    return found


def test_every_published_number_is_compared_once_and_in_order() -> None:
    rows = [c for c in compare(EVERY, measured(), SCORES, EXACTNESS) if c.paper is not None]
    assert [(c.quantity, c.arm, c.unit, c.paper) for c in rows] == [
        (number.quantity, number.arm, number.unit, number.value) for number in published.NUMBERS
    ]


def test_the_papers_own_results_agree_in_everything() -> None:
    for c in compare(EVERY, measured(spread=1e-5), SCORES, EXACTNESS):
        if c.paper is not None:
            assert c.here.value == pytest.approx(c.paper, rel=1e-3), c.quantity
            assert (c.magnitude, c.direction) in {("agrees", "agrees"), ("agrees", "")}, c.quantity


def test_the_papers_own_results_are_confirmed_in_a_sentence_each() -> None:
    compared = [c for c in compare(EVERY, measured(spread=1e-5), SCORES, EXACTNESS) if c.paper is not None]
    assert {c.verdict for c in compared} == {"confirmed"}
    assert all(c.sentence.startswith("Confirmed: the paper has ") for c in compared)
    page = markdown(EVERY, compared, measured())
    assert all(c.sentence in page for c in compared)


@pytest.mark.parametrize(
    ("here", "versus", "verdict"),
    [
        (10.0, Estimate(-2, -3, -1, 9), "confirmed"),
        (30.0, Estimate(-2, -3, -1, 9), "confirmed in direction only"),
        (10.0, Estimate(-2, -3, 1, 9), "size confirmed, direction not resolved"),
        (30.0, Estimate(-2, -3, 1, 9), "not resolved"),
        (10.0, Estimate(2, 1, 3, 9), "not confirmed"),
    ],
)
def test_verdict(here: float, versus: Estimate, verdict: str) -> None:
    row = Comparison("CPU total", "kernel", "%", 10.0, Estimate(here, None, None, 9), "", "", -1.0, versus)
    assert row.verdict == verdict
    assert row.sentence.lower().startswith(verdict)


def test_the_papers_arms_are_those_that_do_as_it_did() -> None:
    table = measured()
    ours = table[table["arm"].isin(["user", "kernel"])].copy()
    ours["arm"] = ours["arm"].map({"user": "user-perf", "kernel": "kernel-packet-perf"})
    ours.loc[ours["metric"].str.startswith("cpu_total"), "value"] *= 2
    compared = compare(EVERY, pd.concat([table, ours]), SCORES, EXACTNESS)
    assert find(compared, "CPU total", "kernel").here.value == pytest.approx(2 * 12.87)
    assert "answers at every packet" in find(compared, "accuracy", "kernel").sentence
    both = {c.arm: c.here.value for c in compared if c.quantity == "CPU total" and c.paper is None}
    assert both["kernel"] == pytest.approx(12.87)
    assert both["kernel-packet-perf"] == pytest.approx(2 * 12.87)


def test_a_reversed_order_is_opposite() -> None:
    compared = compare(EVERY, measured(kernel={"context_switches_mean": 9000}), SCORES, EXACTNESS)
    for arm in ("kernel", "user"):
        assert find(compared, "context switches", arm).direction == "opposite"
    assert find(compared, "context switches", "kernel").magnitude == "differs"


def test_a_difference_lost_in_the_noise_is_not_resolved() -> None:
    compared = compare(EVERY, measured(spread=0.5), SCORES, EXACTNESS)
    assert find(compared, "CPU soft", "kernel").direction == "not resolved"
    assert "direction not resolved" in find(compared, "CPU soft", "kernel").as_row()["note"]


@pytest.mark.parametrize(
    ("quantity", "theirs", "here", "verdict"),
    [
        ("CPU total", 10.0, 5.01, "agrees"),
        ("CPU total", 10.0, 4.99, "differs"),
        ("CPU total", 10.0, 19.9, "agrees"),
        ("CPU total", 10.0, 20.1, "differs"),
        ("accuracy", 99.0, 98.01, "agrees"),
        ("accuracy", 99.0, 97.9, "differs"),
        ("accuracy", 50.0, 99.0, "differs"),  # within a factor of 2, and yet
    ],
)
def test_magnitude(quantity: str, theirs: float, here: float, verdict: str) -> None:
    row = Comparison(quantity, "kernel", "%", theirs, Estimate(here, None, None, 3), "")
    assert row.magnitude == verdict


def test_latency_rows_are_what_the_authors_timed() -> None:
    compared = compare(EVERY, measured(), SCORES, EXACTNESS)
    assert find(compared, "classification time", "kernel").here.value == pytest.approx(0.9046)
    assert find(compared, "classification time", "user").here.value == pytest.approx(32.88)
    like = {(c.quantity, c.arm): c.here.value for c in compared if c.paper is None}
    assert like["trees alone, mean", "user"] == pytest.approx(4.0)
    assert like["features and trees, mean", "kernel"] == pytest.approx(1.3)
    assert like["arrival to class, mean, user over kernel", "user"] == pytest.approx(90 / 1.3, rel=1e-4)


def test_cost_over_forwarding_alone_and_losses_are_beyond_the_paper() -> None:
    rows = {(c.quantity, c.arm): c for c in compare(EVERY, measured(spread=0), SCORES, EXACTNESS) if c.paper is None}
    assert rows["CPU total, cost over forwarding alone", "kernel"].here.value == pytest.approx(3.87)
    assert rows["context switches, cost over forwarding alone", "user"].here.value == pytest.approx(2736.07)
    assert rows["CPU total", "none"].here.value == pytest.approx(9)
    assert rows["lost events", "user"].here.value == pytest.approx(0.1)
    assert rows["CPUs of the UPF", "all"].here.value == 2


def test_forwarding_alone_need_not_be_run() -> None:
    table = measured()
    compared = compare(EVERY, table[table["arm"] != "none"], SCORES, EXACTNESS)
    assert not any(c.arm == "none" or "forwarding alone" in c.quantity for c in compared)


@pytest.mark.parametrize("arm", ["user", "kernel"])
def test_a_missing_arm_is_the_users_to_mend(arm: str) -> None:
    table = measured()
    with pytest.raises(UserError, match=arm):
        compare(EVERY, table[table["arm"] != arm], SCORES, EXACTNESS)


def test_a_missing_metric_is_named() -> None:
    table = measured()
    with pytest.raises(UserError, match="kernel has a value of cpu_soft_mean"):
        compare(EVERY, table[(table["arm"] != "kernel") | (table["metric"] != "cpu_soft_mean")], SCORES, EXACTNESS)


def test_rows_have_the_promised_keys_and_are_plain_json() -> None:
    for row in json.loads(
        json.dumps([c.as_row() for c in compare(EVERY, measured(), SCORES, EXACTNESS)], allow_nan=False)
    ):
        assert list(row) == KEYS
        assert math.isfinite(row["here"])
        if row["here_low"] is not None:
            assert row["here_low"] <= row["here"] <= row["here_high"]


def test_one_trial_has_no_interval_and_says_so() -> None:
    rows = [c.as_row() for c in compare(EVERY, measured(trials=1), SCORES, EXACTNESS)]
    for row in (row for row in rows if row["trials"] == 1):
        assert (row["here_low"], row["here_high"]) == (None, None)
        assert row["note"].endswith("one trial, so no interval")


def test_scikit_learn_has_the_interval_of_its_windows() -> None:
    row = find(compare(EVERY, measured(), SCORES, EXACTNESS), "accuracy", "sklearn")
    assert (row.here.low, row.here.high, row.here.trials) == (pytest.approx(99.9), pytest.approx(99.99), 0)


def test_the_page_has_every_row_and_sound_tables(tmp_path: Path) -> None:
    compared = compare(EVERY, measured(), SCORES, EXACTNESS)
    page = markdown(EVERY, compared, measured())
    assert "XDP mode: native" in page
    lines = [line for line in page.splitlines() if line.startswith("|")]
    assert len(lines) == len(compared) + 2 * 2  # two tables, each with two lines of head
    widths = [line.count("|") for line in lines]
    assert len(set(widths)) == 2 and "nan" not in page
    assert f"Of {len(published.NUMBERS)} published numbers" in page


def test_same_windows_give_a_row_for_each_classifier_and_trace() -> None:
    compared = compare(EVERY, measured(), SCORES, EXACTNESS)
    rows = [c for c in compared if c.quantity.startswith("accuracy on the same windows")]
    assert [(c.quantity.rsplit(", ")[1], c.arm, c.here.value) for c in rows] == [
        (data, arm, accuracy)
        for data in ("live", "replayed")
        for arm, accuracy in {
            **dict.fromkeys(("sklearn", "user", "kernel"), 99.5),
            "majority": 71.25,
            "one_threshold": 92.75,
        }.items()
    ]
    assert "differences from the reference: 0 in a feature, 0 in the class" in rows[0].remark
    (loss,) = (c for c in compared if c.quantity == "accuracy, scikit-learn minus kernel")
    assert "On the same live windows it is 0.00 points" in loss.remark
