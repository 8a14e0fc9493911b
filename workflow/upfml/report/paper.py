"""Every number of the paper's evaluation beside ours.

In: table `metrics` and scores.json. Out: rows for results/paper_vs_here.json and the same as Markdown.

A number agrees with the paper's in two ways, judged apart:

- direction: the kernel is above (or below) user space as in the paper. "not resolved" where the interval of the
  difference over the trials includes zero;
- magnitude: accuracies within 1 percentage point of the paper's, costs (times, CPU, context switches, ratios of them)
  within a factor of 2. The machine is another, so costs can do no better.

The paper's two arms are arms.PAPER where these were run: they do what the authors' code does. What other arms say about
the same quantity stands below, and in results/comparison.json.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import pandas as pd

from upfml import arms
from upfml.arms import STRONGEST, Arm
from upfml.base import xdpmode
from upfml.base.errors import UserError
from upfml.report.metrics import (
    CPU_SHARES,
    LATENCIES,
    Estimate,
    by_trial,
    classifying,
    difference,
    mean_over_trials,
    offline,
    ratio_over_trials,
)

ACCURACY_TOLERANCE_POINTS = 1.0
COST_TOLERANCE_FACTOR = 2.0

_ROLES = ("user", "kernel")
_PLAYERS = "the work of players and server, on the same machine here, is in every level"
_DECODING = "players decode video on the same machine here"

PAPER_CPUS = 4
"""vCPUs of each of the authors' machines (section 3.3)."""

_NS_PER_US = 1000.0
_PERCENT, _ANY = (0.0, 100.0), (-math.inf, math.inf)


@dataclass(frozen=True)
class Published:
    """A number of the paper: `source` says where it stands."""

    quantity: str
    arm: str
    unit: str
    value: float
    source: str


PUBLISHED = (
    Published("accuracy", "sklearn", "%", 99.97, "section 4"),
    Published("accuracy", "kernel", "%", 99.60, "section 4"),
    Published("accuracy", "user", "%", 99.91, "abstract, section 4"),
    Published("accuracy, scikit-learn minus kernel", "kernel", "percentage points", 0.37, "section 4"),
    Published("accuracy, user minus kernel", "user", "percentage points", 0.31, "section 4"),
    Published("classification time", "kernel", "us", 0.9046, "section 4"),
    Published("classification time", "user", "us", 32.88, "section 4"),
    Published("classification time, user over kernel", "user", "ratio", 36.35, "abstract, sections 4, 6"),
    Published("CPU usr", "kernel", "% of all CPUs", 2.91, "figure 6a"),
    Published("CPU usr", "user", "% of all CPUs", 5.83, "figure 6a"),
    Published("CPU sys", "kernel", "% of all CPUs", 0.44, "figure 6b"),
    Published("CPU sys", "user", "% of all CPUs", 0.25, "figure 6b"),
    Published("CPU soft", "kernel", "% of all CPUs", 9.52, "figure 6c"),
    Published("CPU soft", "user", "% of all CPUs", 9.71, "figure 6c"),
    Published("CPU total", "kernel", "% of all CPUs", 12.87, "abstract, sections 4, 6"),
    Published("CPU total", "user", "% of all CPUs", 15.79, "abstract, sections 4, 6"),
    Published("CPU usr, lower edge of the bulk", "user", "% of all CPUs", 5.0, "section 4"),
    Published("CPU usr, upper edge of the bulk", "user", "% of all CPUs", 7.0, "section 4"),
    Published("context switches", "kernel", "1/s", 3452.09, "figure 7"),
    Published("context switches", "user", "1/s", 5736.07, "figure 7"),
    Published("context switches, largest outlier", "user", "1/s", 12000.0, "figure 7"),
)


def published(quantity: str, arm: str) -> float:
    """The paper's value. Raises KeyError where the paper gives none."""
    return {(number.quantity, number.arm): number.value for number in PUBLISHED}[quantity, arm]


@dataclass(frozen=True)
class Comparison:
    """One quantity of one arm: the paper's value (None where it gives none), ours, and how they agree.

    `versus` is the difference whose sign is the direction, kernel minus user or what the quantity itself states.
    """

    quantity: str
    arm: str
    unit: str
    paper: float | None
    here: Estimate
    remark: str
    source: str = ""
    paper_versus: float | None = None
    here_versus: Estimate | None = None
    why: str = ""
    """Words on what lies behind agreement or disagreement."""

    @property
    def is_accuracy(self) -> bool:
        return self.quantity.startswith(("accuracy", "balanced accuracy"))

    @property
    def change(self) -> str:
        """Ours against the paper's: a difference for accuracies, a ratio for costs."""
        if self.paper is None:
            return ""
        if self.is_accuracy:
            return f"{self.here.value - self.paper:+.2f} points"
        return f"× {self.here.value / self.paper:.3g}"

    @property
    def magnitude(self) -> str:
        if self.paper is None:
            return ""
        if self.is_accuracy:
            near = abs(self.here.value - self.paper) <= ACCURACY_TOLERANCE_POINTS
        else:
            near = 1 / COST_TOLERANCE_FACTOR <= self.here.value / self.paper <= COST_TOLERANCE_FACTOR
        return "agrees" if near else "differs"

    @property
    def direction(self) -> str:
        if self.paper_versus is None or self.here_versus is None:
            return ""
        here = self.here_versus
        if here.low is not None and here.high is not None and here.low <= 0 <= here.high:
            return "not resolved"
        return "agrees" if here.value * self.paper_versus > 0 else "opposite"

    @property
    def verdict(self) -> str:
        """Whether the paper's number is confirmed."""
        if self.paper is None:
            return ""
        if self.direction == "opposite":
            return "not confirmed"
        if self.direction == "not resolved":
            return "size confirmed, direction not resolved" if self.magnitude == "agrees" else "not resolved"
        if self.magnitude == "agrees":
            return "confirmed"
        return "confirmed in direction only" if self.direction == "agrees" else "not confirmed"

    @property
    def sentence(self) -> str:
        """The verdict, the two values, and why."""
        if self.paper is None:
            return ""
        verdict = self.verdict.capitalize()
        values = f"the paper has {self.paper:.6g}, here it is {_number(self.here.value)} ({self.unit})"
        return f"{verdict}: {values}{'; ' + self.why if self.why else ''}."

    def as_row(self) -> dict[str, Any]:
        """The row of results/paper_vs_here.json."""
        verdicts = [("", self.change), ("direction ", self.direction), ("magnitude ", self.magnitude)]
        parts = ["; ".join(name + verdict for name, verdict in verdicts if verdict), self.remark]
        if self.source:
            parts.append(f"paper: {self.source}")
        if self.here.trials == 1:
            parts.append("one trial: no interval")
        return {
            "quantity": self.quantity,
            "arm": self.arm,
            "unit": self.unit,
            "paper": self.paper,
            "here": self.here.value,
            "here_low": self.here.low,
            "here_high": self.here.high,
            "trials": self.here.trials,
            "verdict": self.verdict,
            "sentence": self.sentence,
            "note": ". ".join(part for part in parts if part),
        }


def compare(
    metrics: pd.DataFrame, scores: dict[str, Any], exactness: dict[str, Any], *, apart: bool
) -> list[Comparison]:
    """The paper's numbers, in its order, then what it does not give.

    Takes table `metrics` and the content of scores.json and exactness.json; `apart` says whether UE, UPF and data
    network were machines of their own, as in the paper. Raises UserError when no arm of kind kernel or none of kind
    user was run.
    """
    return [*_published(metrics, scores, exactness, apart), *_same_windows(exactness), *_beyond(metrics, scores)]


def _same_windows(exactness: dict[str, Any]) -> list[Comparison]:
    """Accuracy where each classifier saw the very same packets, so that nothing but the classifiers can differ."""
    words = {
        **dict.fromkeys(
            ("sklearn", "user", "kernel"),
            "{windows} classifications; {feature_differences} differ from the reference in a feature, "
            "{decision_differences} in the class",
        ),
        "majority": "naming the larger class each time",
        "one_threshold": "one feature, fitted on the forest's training windows",
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
        for arm, remark in words.items()
    ]


def _published(
    metrics: pd.DataFrame, scores: dict[str, Any], exactness: dict[str, Any], apart: bool
) -> list[Comparison]:
    here = {role: arms.papers(role, metrics["arm"].unique()) for role in _ROLES}

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
        number = next(n for n in PUBLISHED if (n.quantity, n.arm) == (quantity, arm))
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
        sign = published(quantity, "kernel") - published(quantity, "user")
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
        f"on the same live windows scikit-learn has {same['sklearn']:.2f} %, the kernel {same['kernel']:.2f} %, so "
        "what is left is traffic, not the classifier"
    )
    running = _why_running_windows(metrics, here["kernel"]) or by_class
    unlike = (
        f"the two numbers time unlike things, trees alone against statistics and call; trees alone are × "
        f"{_number(same_work.value)}"
    )
    wake_ups = "; ".join(filter(None, [_why_wake_ups(metrics, here["kernel"]), "" if apart else _PLAYERS]))
    cpus = _cpus(metrics)
    shares = f"a share of all CPUs: {cpus} here, {PAPER_CPUS} in the paper, so equal work is × {PAPER_CPUS / cpus:.2g}"
    narrow = f"the tolerance of {ACCURACY_TOLERANCE_POINTS:g} point is wider than the number itself: see the direction"
    scope = "whole machine, from /proc/stat; the paper names neither the tool nor the scope"

    return [
        row(
            "accuracy",
            "sklearn",
            sklearn,
            f"random split, {scores['random']['test_windows']} held-out windows, Wilson interval. Windows of one flow "
            "are on both sides of this split",
            why=f"on windows of flows never seen in training it is {100 * scores['grouped']['accuracy']:.2f} %",
        ),
        *pair(
            "accuracy",
            {arm: of(arm, "accuracy") for arm in _ROLES},
            {
                "kernel": "live traffic. The abstract gives the user-space 99.91 % as the in-kernel accuracy",
                "user": "live traffic",
            },
            running,
            partial(mean_over_trials, within=_PERCENT),
        ),
        row(
            "accuracy, scikit-learn minus kernel",
            "kernel",
            lost_by_conversion,
            "held-out windows against live traffic, as in the paper, so it holds more than the conversion: on the same "
            f"live windows it is {same['sklearn'] - same['kernel']:.2f} points; the interval is of both; "
            f"{narrow}",
            (1.0, lost_by_conversion),
            running + "; results/accuracy_causes.md has what each cause can cost",
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
                "kernel": "the trees alone (features ready → class), as the authors timed it; the clock readings "
                "are in it",
                "user": "statistics and the call through ctypes, as the authors timed it; the kernel's row has the "
                "trees alone. Like for like: below",
            },
            unlike,
        ),
        row(
            "classification time, user over kernel",
            "user",
            ratio,
            "of the two rows above, so of different work; like for like: below",
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
            "here the first quartile of the seconds; the paper says that most lie between 5 and 7 %",
            why="" if apart else _DECODING,
        ),
        row(
            "CPU usr, upper edge of the bulk",
            "user",
            mean_over_trials(of("user", "cpu_usr_p75"), _PERCENT),
            "here the third quartile of the seconds",
            why="" if apart else _DECODING,
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
            why="it is a single second, and other programs of the machine are in it",
        ),
    ]


def _why_running_windows(metrics: pd.DataFrame, kernel: str) -> str:
    """What the paper's kernel arm loses by answering at every packet; empty where no arm shows that."""
    closed = STRONGEST["kernel"]
    accuracies = [by_trial(metrics, arm, "accuracy") for arm in (kernel, closed)]
    if Arm.parse(kernel).when != "packet" or accuracies[1].empty:
        return ""
    at_every_packet, once = (accuracy.mean() for accuracy in accuracies)
    return (
        f"the kernel arm answers at every packet, on a window that may have just begun ({at_every_packet:.2f} %); "
        f"asked once a window, as user space is, it has {once:.2f} %"
    )


def _why_wake_ups(metrics: pd.DataFrame, kernel: str) -> str:
    """What the paper's kernel arm costs for each packet, and what one that wakes nobody does; empty without both."""
    quiet = STRONGEST["kernel"]
    costs = {arm: by_trial(metrics, arm, "cpu_direct") for arm in (kernel, quiet)}
    if kernel == quiet or any(cost.empty for cost in costs.values()):
        return ""
    words = [f"{arm} {cost.mean():.2f} %" for arm, cost in costs.items()]
    return (
        f"to tell user space of every packet costs more than to classify it: program and reader took {words[0]} of the "
        f"CPUs, {words[1]} with a decision a window"
    )


_LATENCY_WORDS = {
    "inference": ("trees alone", "features ready → class"),
    "features_and_inference": ("features and trees", "classifier starts → class"),
    "arrival_to_label": ("arrival to class", "packet at XDP → class known to the classifier"),
    "arrival_to_user_space": ("arrival to user space", "packet at XDP → class known to a Python process"),
}


def _beyond(metrics: pd.DataFrame, scores: dict[str, Any]) -> list[Comparison]:
    of = partial(by_trial, metrics)
    present = [arm for arm in metrics["arm"].unique() if arm != "sklearn"]
    deciding = classifying(metrics[metrics["arm"] != "sklearn"])
    rows: list[Comparison] = []

    def add(quantity: str, arm: str, unit: str, here: Estimate, remark: str) -> None:
        rows.append(Comparison(quantity, arm, unit, None, here, remark))

    def add_mean(quantity: str, arm: str, unit: str, values: pd.Series[float], remark: str) -> None:
        if values.notna().any():
            add(quantity, arm, unit, mean_over_trials(values, _PERCENT if unit.startswith("%") else _ANY), remark)

    for split, words in (("random", "random split"), ("grouped", "split by flow")):
        score = scores[split]
        windows = f"{score['test_windows']} held-out windows; no flow is on both sides of the split by flow"
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
        always = "what naming the larger class each time would score on live traffic"
        add_mean("majority class", arm, "%", of(arm, "majority_accuracy"), always)
        stump = "what one threshold on one feature scores there, fitted on the forest's training windows"
        add_mean("one threshold", arm, "%", of(arm, "one_threshold_accuracy"), stump)

    pairs = [(arms.papers("user", present), arms.papers("kernel", present)), (STRONGEST["user"], STRONGEST["kernel"])]
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

    costs = [(f"CPU {share}", f"cpu_{share}_mean", "% of all CPUs", "percentage points") for share in CPU_SHARES]
    costs.append(("CPU not idle", "cpu_busy_mean", "% of all CPUs", "percentage points"))
    costs.append(("context switches", "context_switches_mean", "1/s", "1/s"))
    for quantity, metric, unit, difference_unit in costs:
        for arm in present:
            add_mean(quantity, arm, unit, of(arm, metric), "whole machine")
        for arm in present:
            if arm != "none":
                over, remark = of(arm, metric) - of("none", metric), "difference within each trial"
                add_mean(f"{quantity}, cost over forwarding alone", arm, difference_unit, over, remark)
    for quantity, metric, unit, remark in _ACCOUNTS:
        for arm in present:
            if arm != "none":
                add_mean(quantity, arm, unit, of(arm, metric), remark)
    cpus = float(_cpus(metrics))
    add("CPUs of the machine", "all", "CPUs", Estimate(cpus, None, None, 0), f"the paper's machines had {PAPER_CPUS}")
    return rows


_ACCOUNTS = [
    (
        *("CPU by exact accounts", "cpu_direct", "% of all CPUs"),
        "run time of the program on N3 (BPF statistics) and CPU time of the classifier's process (scheduler): the "
        "tick, which CPU shares are sampled by, sees little of what runs in softirq",
    ),
    (
        *("CPU of the program on N3", "cpu_program", "% of all CPUs"),
        "run time by BPF statistics; what the tick sees of it is in CPU soft, cost over forwarding alone",
    ),
    ("program on N3", "program", "ns/packet", "BPF statistics, with its own two readings of the clock"),
    ("classifier's process", "agent_cpu", "ns/packet", "CPU time by the scheduler's account"),
    ("CPU over forwarding alone", "cpu_over_forwarding", "ns/packet", "difference in time not idle"),
    ("CPU over forwarding alone", "cpu_over_forwarding_decision", "ns/decision", "difference in time not idle"),
    ("wait for a CPU", "scheduling", "ns", "mean of the classifier's process, by the scheduler's account: in delivery"),
    ("context switches of the classifier's process", "classifier_context_switches_mean", "1/s", "from pidstat"),
    ("lost events", "events_lost_share", "%", "of those that the kernel wanted to send"),
]


def _measured(metrics: pd.DataFrame, arm: str, metric: str) -> pd.Series[float]:
    values = by_trial(metrics, arm, metric)
    if values.empty:
        raise UserError(
            f"no run of arm {arm} has a value of {metric}", f"remove results/runs/{arm} and run again: see its logs"
        )
    return values


def _less_one(bound: float | None) -> float | None:
    return None if bound is None else bound - 1


def _cpus(metrics: pd.DataFrame) -> int:
    return int(metrics.loc[metrics["metric"] == "cpus", "value"].max())


_HEAD = """# The paper and here

Leveraging eBPF/XDP for Real-Time Machine Learning Traffic Classification in 5G User Plane Networks, section 4, against
the runs in `results/runs`. Made by `snakemake results/paper_vs_here.md`; the same rows are in `paper_vs_here.json`.

- **interval**: 95 % over the trials, bootstrap (BCa; Student's t with few trials; on the logarithm for ratios);
  scikit-learn: Wilson over the held-out windows. None with a single trial.
- The paper's arms here: user space is `{user}`, the kernel `{kernel}`; {modes}.
- **direction**: is the kernel above or below user space as in the paper? Judged by the differences within each trial;
  *not resolved* when their interval includes zero.
- **magnitude**: *agrees* when an accuracy is within {points:g} percentage point of the paper's, and a cost within a
  factor of {factor:g}.
"""


def markdown(comparisons: Iterable[Comparison], metrics: pd.DataFrame) -> str:
    """The comparison as a page: published numbers, a sentence on each, what lies beyond them, and notes.

    Takes what `compare` made of table `metrics`, and that.
    """
    comparisons, present = list(comparisons), list(metrics["arm"].unique())
    modes = xdpmode.words(metrics["xdp_mode"])
    both = [c for c in comparisons if c.paper is not None]
    ours = [c for c in comparisons if c.paper is None]
    stand_ins = {role: arms.papers(role, present) for role in _ROLES}
    head = _HEAD.format(points=ACCURACY_TOLERANCE_POINTS, factor=COST_TOLERANCE_FACTOR, modes=modes, **stand_ins)
    directions, magnitudes = ([getattr(c, name) for c in both] for name in ("direction", "magnitude"))
    judged = [verdict for verdict in directions if verdict]
    summary = (
        f"Of {len(both)} published numbers, {magnitudes.count('agrees')} agree in magnitude; of {len(judged)} with a "
        f"direction, {judged.count('agrees')} agree, {judged.count('opposite')} are opposite and "
        f"{judged.count('not resolved')} are not resolved."
    )
    published_table = _table(
        [
            *("quantity", "arm", "unit", "paper", "here", "interval"),
            *("here against the paper", "direction", "magnitude", "source"),
        ],
        [
            [
                *(c.quantity, c.arm, c.unit, f"{c.paper:.6g}", _number(c.here.value), _interval(c.here)),
                *(c.change, c.direction or "–", c.magnitude, c.source),
            ]
            for c in both
        ],
    )
    beyond_table = _table(
        ["quantity", "arm", "unit", "here", "interval", "trials", "what it is"],
        [
            [c.quantity, c.arm, c.unit, _number(c.here.value), _interval(c.here), str(c.here.trials or "–"), c.remark]
            for c in ours
        ],
    )
    sentences = [f"- {c.quantity} ({c.arm}). {c.sentence}" for c in both]
    about: dict[str, list[str]] = {}
    for c in both:
        about.setdefault(c.remark, []).append(f"{c.quantity} ({c.arm})")
    notes = [f"- {', '.join(rows)}: {remark}." for remark, rows in about.items()]
    page = [head, summary, "", "## Published numbers", "", *published_table, ""]
    page += ["## Each in a sentence", "", *sentences, "", "## Notes", "", *notes, ""]
    return "\n".join([*page, "## Beyond the paper", "", *beyond_table, ""])


def _table(head: list[str], rows: list[list[str]]) -> list[str]:
    return [f"| {' | '.join(cells)} |" for cells in [head, ["---"] * len(head), *rows]]


def _interval(estimate: Estimate) -> str:
    if estimate.low is None or estimate.high is None:
        return "–"
    return f"{_number(estimate.low)} … {_number(estimate.high)}"


def _number(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.5g}"
