"""Numbers of the same run that the paper does not give: other splits and arms, times like for like, exact accounts."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import pandas as pd

from upfml.arms import NONE, STRONGEST_ARMS, Arm, Arms
from upfml.base import published
from upfml.base.statistics import Estimate, mean_over_trials, ratio_over_trials
from upfml.report.metrics import CPU_SHARES, LATENCIES, by_trial, cpus, offline
from upfml.report.paper.comparison import Comparison

_NS_PER_US = 1000.0
_PERCENT, _ANY = (0.0, 100.0), (-math.inf, math.inf)

_LATENCY_WORDS = {
    "inference": ("trees alone", "features ready → class"),
    "features_and_inference": ("features and trees", "classifier starts → class"),
    "arrival_to_label": ("arrival to class", "packet at XDP → the classifier knows the class"),
    "arrival_to_user_space": ("arrival to user space", "packet at XDP → a process in user space knows the class"),
}


def beyond(arms: Arms, metrics: pd.DataFrame, scores: dict[str, Any]) -> list[Comparison]:
    """Rows of table `metrics` and scores.json, of the arms that were run."""
    of = partial(by_trial, metrics)
    present = arms.among(metrics["arm"])
    deciding, costly = present.classifying, [arm for arm in present if arm != NONE]
    rows: list[Comparison] = []

    def add(quantity: str, arm: Arm | str, unit: str, here: Estimate, remark: str) -> None:
        rows.append(Comparison(quantity, str(arm), unit, None, here, remark))

    def add_mean(quantity: str, arm: Arm, unit: str, values: pd.Series[float], remark: str) -> None:
        if values.notna().any():
            add(quantity, arm, unit, mean_over_trials(values, _PERCENT if unit.startswith("%") else _ANY), remark)

    for split, words in (("random", "random split"), ("grouped", "split by flow")):
        score = scores[split]
        windows = f"{score['test_windows']} held-out windows; the split by flow keeps each flow on one side"
        if split == "grouped":
            add(f"accuracy, {words}", "sklearn", "%", offline(score), f"{windows}; Wilson interval")
        for name, quantity in (
            ("balanced_accuracy", "balanced accuracy"),
            ("majority_accuracy", "majority class"),
            ("one_threshold_accuracy", "one threshold"),
        ):
            add(f"{quantity}, {words}", "sklearn", "%", Estimate(100 * score[name], None, None, 0), windows)
    for arm in deciding:
        add_mean("accuracy", arm, "%", of(arm, "accuracy"), "live traffic")
        add_mean("balanced accuracy", arm, "%", of(arm, "balanced_accuracy"), "live traffic")
        always = "accuracy of always naming the larger class, on live traffic"
        add_mean("majority class", arm, "%", of(arm, "majority_accuracy"), always)
        stump = "accuracy of one threshold on one feature, on live traffic; fitted on the forest's training windows"
        add_mean("one threshold", arm, "%", of(arm, "one_threshold_accuracy"), stump)

    pairs = [(present.papers("user"), present.papers("kernel")), (STRONGEST_ARMS["user"], STRONGEST_ARMS["kernel"])]
    for name in LATENCIES:
        words, steps = _LATENCY_WORDS[name]
        for statistic in ("mean", "median", "p99", "p99.9"):
            values = {arm: of(arm, f"{name}_{statistic}") / _NS_PER_US for arm in deciding}
            for arm in deciding:
                add_mean(f"{words}, {statistic}", arm, "us", values[arm], steps)
            for user, kernel in dict.fromkeys(pairs):
                if user in values and kernel in values:
                    ratio = ratio_over_trials(values[user], values[kernel])
                    add(f"{words}, {statistic}, {user} over {kernel}", user, "ratio", ratio, f"like for like: {steps}")

    costs = [(f"CPU {share}", f"cpu_{share}_mean", "% of the UPF's CPUs", "percentage points") for share in CPU_SHARES]
    costs.append(("non-idle CPU", "cpu_busy_mean", "% of the UPF's CPUs", "percentage points"))
    costs.append(("context switches", "context_switches_mean", "1/s", "1/s"))
    for quantity, metric, unit, difference_unit in costs:
        for arm in present:
            add_mean(quantity, arm, unit, of(arm, metric), "the UPF's CPUs")
        for arm in costly:
            over, remark = of(arm, metric) - of(NONE, metric), "difference within each trial"
            add_mean(f"{quantity}, cost over forwarding alone", arm, difference_unit, over, remark)
    for quantity, metric, unit, remark in _ACCOUNTS:
        for arm in costly:
            add_mean(quantity, arm, unit, of(arm, metric), remark)
    add(
        "CPUs of the UPF",
        "all",
        "CPUs",
        Estimate(cpus(metrics), None, None, 0),
        f"the paper's machines had {published.CPUS}",
    )
    return rows


_ACCOUNTS = [
    (
        *("CPU by exact accounts", "cpu_direct", "% of the UPF's CPUs"),
        "run time of the program on N3 (BPF statistics) plus CPU time of the classifier's process (scheduler). CPU "
        "shares are sampled at the clock tick, which sees little of what runs in softirq",
    ),
    (
        *("CPU of the program on N3", "cpu_program", "% of the UPF's CPUs"),
        "run time by BPF statistics. The part that the tick sees is in CPU soft, cost over forwarding alone",
    ),
    ("program on N3", "program", "ns/packet", "BPF statistics, including their own two readings of the clock"),
    ("classifier's process", "agent_cpu", "ns/packet", "CPU time by the scheduler's account"),
    ("CPU over forwarding alone", "cpu_over_forwarding", "ns/packet", "difference in non-idle time"),
    ("CPU over forwarding alone", "cpu_over_forwarding_decision", "ns/decision", "difference in non-idle time"),
    ("wait for a CPU", "scheduling", "ns", "mean, by the scheduler's account; delivery includes it"),
    ("context switches of the classifier's process", "classifier_context_switches_mean", "1/s", "from pidstat"),
    ("lost events", "events_lost_share", "%", "share of the events that the kernel tried to send"),
]
