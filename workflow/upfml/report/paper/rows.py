"""Every number of the paper's evaluation beside ours.

In: table `metrics` and scores.json. Out: the rows of results/paper_vs_here.json.

arms.PAPER_ARMS stand for the paper's two arms where these were run, because they do what the authors' code does. Rows
further below, and results/comparison.json, show the same quantities for other arms.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pandas as pd

from upfml.arms import STRONGEST_ARMS, Arm, Arms
from upfml.base import published, words
from upfml.base.errors import UserError
from upfml.base.statistics import Estimate, difference, mean_over_trials, ratio_over_trials
from upfml.report.metrics import CPU_SHARES, by_trial, cpus, offline
from upfml.report.paper.beyond import beyond
from upfml.report.paper.comparison import ACCURACY_TOLERANCE_POINTS, Comparison

_ROLES = ("user", "kernel")
_TICK = "mpstat samples at the clock tick, which stops on an idle CPU: it misses most of the work that wakes one"

_NS_PER_US = 1000.0
_PERCENT = (0.0, 100.0)


def compare(arms: Arms, metrics: pd.DataFrame, scores: dict[str, Any], exactness: dict[str, Any]) -> list[Comparison]:
    """The paper's numbers in its order, then further ones that it does not give.

    Takes the configuration's arms, table `metrics` and the content of scores.json and exactness.json. Raises
    UserError when no arm of kind kernel, or none of kind user, was run.
    """
    return [
        *_published(arms, metrics, scores, exactness),
        *_same_windows(exactness),
        *beyond(arms, metrics, scores),
    ]


def _same_windows(exactness: dict[str, Any]) -> list[Comparison]:
    """Accuracy where each classifier saw the very same packets, so only the classifiers can differ."""
    remarks = {
        **dict.fromkeys(
            ("sklearn", "user", "kernel"),
            "{windows} classifications; differences from the reference: {feature_differences} in a feature, "
            "{decision_differences} in the class",
        ),
        "majority": "always naming the larger class",
        "one_threshold": "one threshold on one feature, fitted on the forest's training windows",
    }
    return [
        Comparison(
            f"accuracy on the same windows, {data}",
            arm,
            "%",
            None,
            Estimate(exactness[data][arm]["accuracy_pct"], None, None, 0),
            remark.format(**exactness[data][arm]),
        )
        for data in ("live", "replayed")
        for arm, remark in remarks.items()
    ]


def _published(
    arms: Arms, metrics: pd.DataFrame, scores: dict[str, Any], exactness: dict[str, Any]
) -> list[Comparison]:
    present = arms.among(metrics["arm"])
    here = {role: present.papers(role) for role in _ROLES}

    def of(role: str, metric: str) -> pd.Series[float]:
        return _measured(metrics, here[role], metric)

    def row(
        quantity: str,
        arm: str,
        here: Estimate,
        remark: str,
        versus: tuple[float, Estimate] | None = None,
        why: str = "",
    ) -> Comparison:
        number = next(n for n in published.NUMBERS if (n.quantity, n.arm) == (quantity, arm))
        sign, difference = versus or (None, None)
        return Comparison(quantity, arm, number.unit, number.value, here, remark, number.source, sign, difference, why)

    def pair(
        quantity: str,
        values: dict[str, pd.Series[float]],
        remarks: dict[str, str],
        why: str,
        mean: Callable[[pd.Series[float]], Estimate] = mean_over_trials,
    ) -> list[Comparison]:
        """Rows of kernel and user; the direction is the sign of kernel minus user."""
        sign = published.value(quantity, "kernel") - published.value(quantity, "user")
        versus = (sign, mean_over_trials(values["kernel"] - values["user"]))
        return [row(quantity, arm, mean(values[arm]), remarks[arm], versus, why) for arm in ("kernel", "user")]

    sklearn = offline(scores["random"])
    same = {arm: exactness["live"][arm]["accuracy_pct"] for arm in ("sklearn", "kernel")}
    lost_by_conversion = difference(sklearn, mean_over_trials(of("kernel", "accuracy"), _PERCENT))
    gained_by_user = mean_over_trials(of("user", "accuracy") - of("kernel", "accuracy"))
    trees = {arm: of(arm, "inference_mean") / _NS_PER_US for arm in _ROLES}
    work = {arm: of(arm, "features_and_inference_mean") / _NS_PER_US for arm in _ROLES}
    ratio = ratio_over_trials(work["user"], trees["kernel"])
    same_work = ratio_over_trials(trees["user"], trees["kernel"])
    by_class = (
        f"on the same live windows scikit-learn has {same['sklearn']:.2f} % and the kernel {same['kernel']:.2f} %, so "
        "the rest comes from the traffic, not from the classifier"
    )
    running = _why_running_windows(metrics, here["kernel"]) or by_class
    unlike = (
        "the two numbers time different work: the trees alone in the kernel, statistics and call in user space. For "
        f"the trees alone the ratio is {words.number(same_work.value)}"
    )
    wake_ups = "; ".join(filter(None, [_why_wake_ups(metrics, here["kernel"]), _TICK]))
    here_cpus = cpus(metrics)
    shares = (
        f"a share of the UPF's CPUs: {here_cpus} here, {published.CPUS} in the paper. Equal work is "
        f"{words.number(published.CPUS / here_cpus)} times the share here"
    )
    narrow = f"the tolerance of {ACCURACY_TOLERANCE_POINTS:g} point exceeds the number itself, so look at the direction"
    scope = "the UPF's CPUs, counted at sched_switch. The paper names neither the tool nor the scope"

    return [
        row(
            "accuracy",
            "sklearn",
            sklearn,
            f"random split, {scores['random']['test_windows']} held-out windows, Wilson interval. This split puts "
            "windows of one flow on both sides",
            why=f"on windows of flows that were not in training it is {100 * scores['grouped']['accuracy']:.2f} %",
        ),
        *pair(
            "accuracy",
            {arm: of(arm, "accuracy") for arm in _ROLES},
            {
                "kernel": "live traffic. The abstract gives 99.91 %, user space's accuracy, as the kernel's",
                "user": "live traffic",
            },
            running,
            partial(mean_over_trials, within=_PERCENT),
        ),
        row(
            "accuracy, scikit-learn minus kernel",
            "kernel",
            lost_by_conversion,
            "held-out windows against live traffic, as in the paper, so it includes more than the conversion. On the "
            f"same live windows it is {same['sklearn'] - same['kernel']:.2f} points. The interval covers both "
            f"accuracies. Note that {narrow}",
            (1.0, lost_by_conversion),
            running + "; results/accuracy_causes.md shows what each cause can cost",
        ),
        row(
            "accuracy, user minus kernel",
            "user",
            gained_by_user,
            narrow,
            (1.0, gained_by_user),
            running + "; on the same windows both decide alike (results/exactness.json)",
        ),
        *pair(
            "classification time",
            {"kernel": trees["kernel"], "user": work["user"]},
            {
                "kernel": "the trees alone (features ready → class), as the authors timed it. The clock readings "
                "are included",
                "user": "statistics and the call through ctypes, as the authors timed it. The kernel's row times "
                "the trees alone. Like for like: below",
            },
            unlike,
        ),
        row(
            "classification time, user over kernel",
            "user",
            ratio,
            "ratio of the two rows above, which time different work. Like for like: below",
            (1.0, Estimate(ratio.value - 1, _less_one(ratio.low), _less_one(ratio.high), ratio.trials)),
            unlike,
        ),
        *(
            comparison
            for share in CPU_SHARES
            for comparison in pair(
                f"CPU {share}",
                {arm: of(arm, f"cpu_{share}_mean") for arm in _ROLES},
                dict.fromkeys(_ROLES, shares),
                wake_ups,
                partial(mean_over_trials, within=_PERCENT),
            )
        ),
        row(
            "CPU usr, lower edge of the bulk",
            "user",
            mean_over_trials(of("user", "cpu_usr_p25"), _PERCENT),
            "here the first quartile of the seconds. The paper says that most lie between 5 and 7 %",
            why=_TICK,
        ),
        row(
            "CPU usr, upper edge of the bulk",
            "user",
            mean_over_trials(of("user", "cpu_usr_p75"), _PERCENT),
            "here the third quartile of the seconds",
            why=_TICK,
        ),
        *pair(
            "context switches",
            {arm: of(arm, "context_switches_mean") for arm in _ROLES},
            dict.fromkeys(_ROLES, scope),
            wake_ups,
        ),
        row(
            "context switches, largest outlier",
            "user",
            mean_over_trials(of("user", "context_switches_max")),
            "the largest second of each turn; " + scope,
            why="it is a single second",
        ),
    ]


def _why_running_windows(metrics: pd.DataFrame, kernel: Arm) -> str:
    """What the paper's kernel arm loses by answering at every packet. Empty if no arm shows it."""
    closed = STRONGEST_ARMS["kernel"]
    accuracies = [by_trial(metrics, arm, "accuracy") for arm in (kernel, closed)]
    if kernel.when != "packet" or accuracies[1].empty:
        return ""
    at_every_packet, once = (accuracy.mean() for accuracy in accuracies)
    return (
        f"the kernel arm answers at every packet, on a window that may have just begun ({at_every_packet:.2f} %). "
        f"If it answers once a window, as user space does, it has {once:.2f} %"
    )


def _why_wake_ups(metrics: pd.DataFrame, kernel: Arm) -> str:
    """CPU of the paper's kernel arm, which reports packets, beside one that reports windows. Empty without both."""
    quiet = STRONGEST_ARMS["kernel"]
    costs = {arm: by_trial(metrics, arm, "cpu_direct") for arm in (kernel, quiet)}
    if kernel == quiet or any(cost.empty for cost in costs.values()):
        return ""
    shares = [f"{arm} {cost.mean():.2f} %" for arm, cost in costs.items()]
    return (
        "telling user space about every packet costs more than classifying it. Program and reader took "
        f"{shares[0]} of the CPUs, and {shares[1]} with one decision a window"
    )


def _measured(metrics: pd.DataFrame, arm: Arm, metric: str) -> pd.Series[float]:
    values = by_trial(metrics, arm, metric)
    if values.empty:
        raise UserError(f"no run of arm {arm} has a value of {metric}", "remove results/runs and run again")
    return values


def _less_one(bound: float | None) -> float | None:
    return None if bound is None else bound - 1
