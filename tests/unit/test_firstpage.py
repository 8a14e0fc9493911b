"""firstpage: claims whose verdicts follow the numbers, whichever way these point."""

from __future__ import annotations

import copy
from typing import Any

import pandas as pd
import pytest
from docutils.core import publish_doctree
from docutils.nodes import strong, system_message

from upfml.arms import Arms
from upfml.base.errors import UserError
from upfml.base.statistics import Estimate
from upfml.report.comparison.rows import compare
from upfml.report.firstpage import claims as firstpage
from upfml.report.firstpage import page as opening
from upfml.report.firstpage.claims import Verdict
from upfml.report.metrics import COLUMNS

EVERY = Arms.of("every")

GOOD: dict[str, dict[str, float]] = {
    "none": {"cpu_total_mean": 9, "cpu_busy_mean": 9, "cpu_direct": 0, "context_switches_mean": 3400},
    "user": {"cpu_total_mean": 15.79, "cpu_busy_mean": 15.79, "cpu_direct": 6, "context_switches_mean": 5736,
             "accuracy": 99.9, "majority_accuracy": 87, "one_threshold_accuracy": 91, "events_lost": 0,
             "events_received": 40_000,
             "arrival_to_label_median": 30_000, "arrival_to_user_space_median": 30_000},
    "kernel": {"cpu_total_mean": 9.5, "cpu_busy_mean": 9.5, "cpu_direct": 0.4, "context_switches_mean": 3450,
               "accuracy": 99.9, "majority_accuracy": 87, "one_threshold_accuracy": 91, "events_lost": 0,
               "events_received": 1_500, "noisy": 0,
               "arrival_to_label_median": 900, "arrival_to_user_space_median": 20_000},
}  # fmt: skip
"""A run in which everything is good news for the kernel."""
EXACTNESS: dict[str, Any] = {
    data: {
        **{
            arm: {"windows": 1200, "decision_differences": 0, "accuracy_pct": 99.5}
            for arm in ("kernel", "user", "sklearn")
        },
        "majority": {"accuracy_pct": 71.25},
        "one_threshold": {"accuracy_pct": 92.75},
    }
    for data in ("live", "replayed")
}
GOAL = (
    "A kernel classifier costs at most 1 point of CPU and 5 % of context switches over forwarding alone, and loses no "
    "decision"
)
BREAKS: dict[str, Any] = {
    "limit_pct": 0.1,
    "sweeps": {
        "rate": {
            "unit": "packets/s",
            "arms": {
                "native": {"held": 5e4, "broke": 2e5, "by": "events", "lost_pct": {"events": 63.0, "packets": 0.0}},
                "kernel": {"held": 2e5, "broke": 6e5, "by": "packets", "lost_pct": {"events": 0.0, "packets": 0.3}},
                "none": {"held": 6e5, "broke": None, "by": None, "lost_pct": {}},
            },
        }
    },
}
PROVENANCE: dict[str, Any] = {
    "note": None,
    "head": "0123456789abcdef",
    "runs": {"results/capture": {"git_commit": "0123456789abcdef", "git_changes": False, "older_than": []}},
    "seed": 1, "cpus": 2, "cpu": "AMD EPYC", "kernel": "6.18",
    "testbed": {"kind": "namespaces"}, "xdp_modes": ["native"],
    "start": "2026-01-01T00:00:00+00:00", "end": "2026-01-01T01:00:00+00:00",
}  # fmt: skip


def measured(trials: int = 3, spread: float = 0.001, **changed: dict[str, float]) -> pd.DataFrame:
    """Table metrics of GOOD with changes, each number moved by `spread` of itself from trial to trial."""
    rows = []
    for arm, values in GOOD.items():
        for trial in range(1, trials + 1):
            moved = 1 + spread * (trial - (trials + 1) / 2) * (-1 if arm == "user" else 1)
            rows += [
                (arm, trial, name, value * (1 if name.startswith("events") else moved), "x")
                for name, value in (values | changed.get(arm, {})).items()
            ]
    return pd.DataFrame(rows, columns=COLUMNS).assign(xdp_mode="native")


def verdicts(metrics: pd.DataFrame, exactness: dict[str, Any] = EXACTNESS) -> dict[str, Verdict]:
    return {claim.statement: claim.verdict for claim in claims(metrics, exactness)}


def claims(metrics: pd.DataFrame, exactness: dict[str, Any] = EXACTNESS) -> list[firstpage.Claim]:
    return firstpage.claims(EVERY.among(metrics["arm"]), metrics, exactness, compare(EVERY, metrics), BREAKS)


def page(metrics: pd.DataFrame, provenance: dict[str, Any] = PROVENANCE) -> str:
    rows = [{"paper": 1.0}, {"paper": None}]
    return opening.page(EVERY, metrics, EXACTNESS, compare(EVERY, metrics), BREAKS, rows, provenance)


def changed_exactness(arm: str, differences: int) -> dict[str, Any]:
    exactness = copy.deepcopy(EXACTNESS)
    exactness["live"][arm]["decision_differences"] = differences
    return exactness


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (-2.0, -1.0, Verdict.CONFIRMED),
        (-1.0, 1.0, Verdict.NOT_RESOLVED),
        (1.0, 2.0, Verdict.NOT_CONFIRMED),
        (None, None, Verdict.NOT_RESOLVED),
    ],
)
def test_a_verdict_is_the_side_that_the_whole_interval_is_on(low: float, high: float, verdict: Verdict) -> None:
    assert firstpage.below(Estimate(-1.5, low, high, 3), 0) == verdict


def test_good_news_is_confirmed() -> None:
    assert set(verdicts(measured()).values()) == {Verdict.CONFIRMED}


@pytest.mark.parametrize(
    ("statement", "opposite"),
    [
        ("The kernel knows a class sooner", {"arrival_to_label_median": 60_000}),
        ("User space hears of a class sooner when the kernel finds it", {"arrival_to_user_space_median": 60_000}),
        ("The kernel needs less CPU", {"cpu_total_mean": 17}),
        ("The kernel needs less CPU by exact accounts, too", {"cpu_direct": 7}),
        ("The kernel makes fewer context switches", {"context_switches_mean": 9_000}),
        (GOAL, {"cpu_busy_mean": 12}),
        (GOAL, {"context_switches_mean": 5_000}),
        ("On live traffic the kernel classifies better than by always naming the larger class", {"accuracy": 80}),
        ("No decision of the kernel's is lost on its way to user space", {"events_lost": 1}),
    ],
)  # fmt: skip
def test_the_opposite_number_gives_the_opposite_verdict(statement: str, opposite: dict[str, float]) -> None:
    assert verdicts(measured(kernel=opposite))[statement] == Verdict.NOT_CONFIRMED


@pytest.mark.parametrize(
    ("sweep", "kernel", "user", "verdict"),
    [
        ("rate", 6e5, 2e5, Verdict.CONFIRMED),
        ("rate", None, 2e5, Verdict.CONFIRMED),
        ("rate", 2e5, 2e5, Verdict.NOT_RESOLVED),
        ("rate", None, None, Verdict.NOT_RESOLVED),
        ("rate", 2e5, None, Verdict.NOT_CONFIRMED),
        ("period", 1.0, 5.0, Verdict.CONFIRMED),  # a shorter period is more load
        ("period", 5.0, 1.0, Verdict.NOT_CONFIRMED),
    ],
)
def test_who_breaks_first_under_load(sweep: str, kernel: float | None, user: float | None, verdict: Verdict) -> None:
    found = copy.deepcopy(BREAKS["sweeps"]["rate"])
    for arm, broke in (("kernel", kernel), ("native", user)):
        found["arms"][arm]["broke"] = broke
    claim = firstpage.load_claim(BREAKS | {"sweeps": {sweep: found}})
    assert claim.verdict == verdict
    assert ("nothing broke" in claim.evidence) == (kernel is None and user is None)


def test_sweeps_that_say_opposite_things_resolve_nothing() -> None:
    other = copy.deepcopy(BREAKS["sweeps"]["rate"])
    other["arms"]["kernel"]["broke"], other["arms"]["native"]["broke"] = 100.0, None
    sweeps = {**BREAKS["sweeps"], "flows": other}
    assert firstpage.load_claim(BREAKS | {"sweeps": sweeps}).verdict == Verdict.NOT_RESOLVED


@pytest.mark.parametrize("arm", ["kernel", "user", "sklearn"])
def test_one_decision_otherwise_on_the_same_packets_is_seen(arm: str) -> None:
    found = verdicts(measured(), changed_exactness(arm, 1))
    assert found["Accuracy does not suffer from the kernel's arithmetic"] == Verdict.NOT_CONFIRMED


def test_what_spread_covers_is_not_resolved() -> None:
    found = verdicts(measured(spread=0.9))
    assert found["The kernel needs less CPU"] == Verdict.NOT_RESOLVED
    assert found["The kernel makes fewer context switches"] == Verdict.NOT_RESOLVED


def test_one_trial_resolves_no_difference_and_says_so() -> None:
    metrics = measured(trials=1)
    by_interval = [
        claim for claim in claims(metrics) if "windows" not in claim.evidence and "load" not in claim.statement
    ]
    assert {claim.verdict for claim in by_interval if "lost" not in claim.statement} == {Verdict.NOT_RESOLVED}
    assert "One trial gives no interval" in page(metrics)


def test_without_the_arm_none_nothing_is_said_of_forwarding_alone() -> None:
    metrics = measured()
    assert "over forwarding alone" not in page(metrics[metrics["arm"] != "none"])


def test_the_strongest_arms_are_compared_and_those_as_in_the_paper_beside_them() -> None:
    metrics = measured()
    paper = metrics.replace({"arm": {"user": "user-perf", "kernel": "kernel-packet-perf"}})
    native = metrics.replace({"arm": {"user": "native"}})
    assert "“user space” the arm native" in page(pd.concat([paper, native[native["arm"] == "native"], metrics]))
    assert "kernel-packet-perf against user-perf" in page(paper)
    assert "kernel-packet-perf against user-perf" in page(pd.concat([paper, metrics[metrics["arm"] != "none"]]))


def test_an_arm_that_is_missing_is_named() -> None:
    metrics = measured()
    with pytest.raises(UserError, match="user"):
        claims(metrics[metrics["arm"] != "user"])


def test_the_page_is_sound_and_has_its_three_parts() -> None:
    text = page(measured())
    tree = publish_doctree(text, settings_overrides={"report_level": 1, "halt_level": 5})
    assert not list(tree.findall(system_message))
    assert [section["names"] for section in tree.children[1:]] == [["what was asked"], ["what was found"], ["how sure"]]
    assert any("confirmed" in bold.astext() for bold in tree.findall(strong))
    for fact in ("compares all 1 with ours", "0123456789ab", "AMD EPYC", "6.18", "native", "15.8", "9.50"):
        assert fact in text
    assert len(text.splitlines()) < 100


def test_a_note_stands_before_all_else() -> None:
    noted = page(measured(), PROVENANCE | {"note": "quick run: too short for conclusions"}).splitlines()
    assert noted[3] == "**quick run: too short for conclusions**"
    assert [*noted[:3], *noted[5:]] == page(measured()).splitlines()


def test_what_is_older_than_its_code_is_said_before_all_else() -> None:
    runs = PROVENANCE["runs"] | {"results/load": {"git_commit": "f" * 40, "git_changes": False, "older_than": ["code"]}}
    text = page(measured(), PROVENANCE | {"runs": runs})
    assert text.splitlines()[3].startswith("**Older than the code or the configuration: results/load (code).**")
    assert "several commits: 0123456789ab (1 run); ffffffffffff (1 run) (HEAD is 0123456789ab)" in text.replace(
        "\n  ", " "
    )
