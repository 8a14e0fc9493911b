"""The report's opening page: what was asked, what was found, how sure. For a reader who reads nothing else.

In: table `metrics`, exactness.json, paper_vs_here.json, provenance.json. Out: reStructuredText, results/first_page.rst.

The page is a list of claims. Each claim says something that would be good news for classification in the kernel; its
verdict and its sentence are made from numbers, so that a run that finds the opposite says so:

- confirmed: the whole 95 % interval over the trials is on the claim's side;
- not confirmed: the whole interval is on the other side;
- not resolved: the interval holds both, or there is none (a single trial).
"""

from __future__ import annotations

import enum
import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from upfml.metrics import (
    CLASSIFYING_ARMS,
    Estimate,
    by_trial,
    mean_over_trials,
    ratio_over_trials,
    require_arms,
)
from upfml.paper import published

KERNEL, USER, ALONE = "kernel", "user", "none"
"""The arms that the page compares."""

CPU_COST_POINTS, SWITCHES_COST_PCT = 1.0, 5.0
"""What classification in the kernel may cost over forwarding alone for "nearly free" (issue 5)."""

_NS_PER_US = 1000.0
_PERCENT = (0.0, 100.0)


class Verdict(enum.Enum):
    """What the run says of a claim."""

    CONFIRMED = "confirmed"
    NOT_CONFIRMED = "not confirmed"
    NOT_RESOLVED = "not resolved"


@dataclass(frozen=True)
class Claim:
    """A statement, what the run says of it, and the numbers that say so, in a sentence or two."""

    statement: str
    verdict: Verdict
    evidence: str


def below(estimate: Estimate, bound: float) -> Verdict:
    """The verdict on "the true value is below `bound`"."""
    if estimate.low is None or estimate.high is None:
        return Verdict.NOT_RESOLVED
    if estimate.high < bound:
        return Verdict.CONFIRMED
    return Verdict.NOT_CONFIRMED if estimate.low >= bound else Verdict.NOT_RESOLVED


def claims(metrics: pd.DataFrame, exactness: Mapping[str, Any]) -> list[Claim]:
    """Every claim that the run can judge. Raises UserError when arm kernel or user was not run."""
    require_arms(metrics, CLASSIFYING_ARMS)
    found = [
        label_claim(metrics),
        delivery_claim(metrics),
        cpu_claim(metrics),
        switches_claim(metrics),
        same_decisions_claim(exactness),
        live_accuracy_claim(metrics),
        loss_claim(metrics),
    ]
    if ALONE in set(metrics["arm"]):
        found.insert(4, forwarding_claim(metrics))
    return found


def label_claim(metrics: pd.DataFrame) -> Claim:
    """From a packet's arrival until its flow's class is known where it was made, for who can act there."""
    verdict, evidence = _latency(metrics, "arrival_to_label", "until the classifier has the flow's class")
    paper = " and ".join(f"{published('classification time', arm):.3g}" for arm in CLASSIFYING_ARMS[::-1])
    return Claim(
        "The kernel knows a class sooner",
        verdict,
        f"{evidence} The paper, which timed different work in each, has {paper} µs.",
    )


def delivery_claim(metrics: pd.DataFrame) -> Claim:
    """From a packet's arrival until a program in user space knows its flow's class, for who acts there."""
    verdict, evidence = _latency(metrics, "arrival_to_user_space", "until a program in user space has the flow's class")
    return Claim(
        "User space hears of a class sooner when the kernel finds it",
        verdict,
        f"{evidence} The paper has no such time.",
    )


def _latency(metrics: pd.DataFrame, name: str, until: str) -> tuple[Verdict, str]:
    times = {arm: by_trial(metrics, arm, f"{name}_median") / _NS_PER_US for arm in CLASSIFYING_ARMS}
    later = mean_over_trials(times[KERNEL] - times[USER])
    kernel, user = (_number(mean_over_trials(times[arm]), " µs") for arm in (KERNEL, USER))
    ratio = _number(ratio_over_trials(times[USER], times[KERNEL]))
    evidence = (
        f"From a packet's arrival {until}, the median is {kernel} when the kernel classifies and {user} when user "
        f"space does, which is {ratio} times as long."
    )
    return below(later, 0), evidence


def cpu_claim(metrics: pd.DataFrame) -> Claim:
    """Share of all CPUs, forwarding and generators of traffic included."""
    shares = {arm: by_trial(metrics, arm, "cpu_total_mean") for arm in CLASSIFYING_ARMS}
    saved = mean_over_trials(shares[KERNEL] - shares[USER])
    paper = {arm: published("CPU total", arm) for arm in CLASSIFYING_ARMS}
    return Claim(
        "The kernel needs less CPU",
        below(saved, 0),
        f"All CPUs were busy for {_number(mean_over_trials(shares[KERNEL], _PERCENT), ' %')} with the kernel's "
        f"classifier and {_number(mean_over_trials(shares[USER], _PERCENT), ' %')} with the one in user space, the "
        f"traffic itself included: a difference of {_signed(saved, ' points')}. The paper: {paper[KERNEL]:g} and "
        f"{paper[USER]:g} %, {_digits(paper[KERNEL] - paper[USER], '+')} points.",
    )


def switches_claim(metrics: pd.DataFrame) -> Claim:
    """Of the whole machine."""
    rates = {arm: by_trial(metrics, arm, "context_switches_mean") for arm in CLASSIFYING_ARMS}
    ratio = ratio_over_trials(rates[KERNEL], rates[USER])
    paper = published("context switches", KERNEL) / published("context switches", USER)
    return Claim(
        "The kernel makes fewer context switches",
        below(ratio, 1),
        f"{_number(mean_over_trials(rates[KERNEL]))} a second with the kernel's classifier, "
        f"{_number(mean_over_trials(rates[USER]))} with the one in user space: {_number(ratio)} times as many. "
        f"The paper: {paper:.2f} times.",
    )


def forwarding_claim(metrics: pd.DataFrame) -> Claim:
    """What the classifier in the kernel adds to a user plane that only forwards."""
    cpu, switches = (
        {arm: by_trial(metrics, arm, metric) for arm in (KERNEL, ALONE)}
        for metric in ("cpu_total_mean", "context_switches_mean")
    )
    points = mean_over_trials(cpu[KERNEL] - cpu[ALONE])
    ratio = ratio_over_trials(switches[KERNEL], switches[ALONE])
    percent = Estimate(
        100 * (ratio.value - 1),
        None if ratio.low is None else 100 * (ratio.low - 1),
        None if ratio.high is None else 100 * (ratio.high - 1),
        ratio.trials,
    )
    both = {below(points, CPU_COST_POINTS), below(percent, SWITCHES_COST_PCT)}
    worst = next(v for v in (Verdict.NOT_CONFIRMED, Verdict.NOT_RESOLVED, Verdict.CONFIRMED) if v in both)
    return Claim(
        f"The kernel's classifier costs less than {CPU_COST_POINTS:g} point of CPU and {SWITCHES_COST_PCT:g} % of "
        "context switches over forwarding alone",
        worst,
        f"It costs {_signed(points, ' points')} of CPU and {_signed(percent, ' %')} of context switches. The paper has "
        "no run without classification.",
    )


def same_decisions_claim(exactness: Mapping[str, Any]) -> Claim:
    """Kernel, user space and scikit-learn on the very same packets: nothing but the classifiers can differ."""
    data = "live" if "live" in exactness else "replayed"
    judged = exactness[data]
    differ = {arm: judged[arm]["decision_differences"] for arm in (KERNEL, USER, "sklearn")}
    accuracy = {arm: judged[arm]["accuracy_pct"] for arm in differ}
    verdict = Verdict.NOT_CONFIRMED if any(differ.values()) else Verdict.CONFIRMED
    return Claim(
        "Accuracy does not suffer from the kernel's arithmetic",
        verdict,
        f"On the same {judged[KERNEL]['windows']:,} windows of {data} traffic the kernel decides {differ[KERNEL]:,}, "
        f"user space {differ[USER]:,} and scikit-learn {differ['sklearn']:,} times otherwise than the reference; "
        f"accuracy is {accuracy[KERNEL]:.2f}, {accuracy[USER]:.2f} and {accuracy['sklearn']:.2f} %. The paper loses "
        f"{published('accuracy, scikit-learn minus kernel', KERNEL):.2f} points from scikit-learn to the kernel.",
    )


def live_accuracy_claim(metrics: pd.DataFrame) -> Claim:
    """Accuracy of each arm on the traffic of its own runs, beside always naming the larger class."""
    accuracy = {arm: by_trial(metrics, arm, "accuracy") for arm in CLASSIFYING_ARMS}
    over = mean_over_trials(by_trial(metrics, KERNEL, "majority_accuracy") - accuracy[KERNEL])
    return Claim(
        "On live traffic the kernel classifies better than by always naming the larger class",
        below(over, 0),
        f"Accuracy is {_number(mean_over_trials(accuracy[KERNEL], _PERCENT), ' %')} in the kernel and "
        f"{_number(mean_over_trials(accuracy[USER], _PERCENT), ' %')} in user space; always naming the larger class "
        f"would score {_number(mean_over_trials(by_trial(metrics, KERNEL, 'majority_accuracy'), _PERCENT), ' %')}. "
        f"The paper: {published('accuracy', KERNEL):.2f} and {published('accuracy', USER):.2f} %.",
    )


def loss_claim(metrics: pd.DataFrame) -> Claim:
    """Events that never reached user space; a lost one is a decision that nobody can act on."""
    lost, received = (
        {arm: int(by_trial(metrics, arm, f"events_{name}").sum()) for arm in CLASSIFYING_ARMS}
        for name in ("lost", "received")
    )
    return Claim(
        "No decision of the kernel's is lost on its way to user space",
        Verdict.NOT_CONFIRMED if lost[KERNEL] else Verdict.CONFIRMED,
        f"Of {lost[KERNEL] + received[KERNEL]:,} decisions {lost[KERNEL]:,} were lost; of the "
        f"{lost[USER] + received[USER]:,} events that fed the classifier in user space, {lost[USER]:,}. "
        "The paper does not report losses.",
    )


def certainty(
    metrics: pd.DataFrame, comparison: Sequence[Mapping[str, Any]], provenance: Mapping[str, Any]
) -> list[str]:
    """How sure: trials and intervals, agreement with the paper's numbers, the machine, the code."""
    trials = sorted({by_trial(metrics, arm, "cpu_total_mean").size for arm in CLASSIFYING_ARMS})
    counted = " or ".join(map(str, trials))
    interval = (
        "one trial has no interval, so that no difference is resolved"
        if trials == [1]
        else "intervals in brackets are 95 %, over the trials, and say nothing of other machines or other traffic"
    )
    published_rows = sum(row["paper"] is not None for row in comparison)
    modes = " and ".join(provenance["xdp_modes"]) or "no"
    commit = (provenance["git_commit"] or "unknown")[:12] + (
        ", with changes that are not committed" if provenance["git_changes"] else ""
    )
    return [
        f"**Trials**: {counted} for each arm; arms took turns on the same traffic, in drawn order; {interval}.",
        f"**The paper's numbers**: all {published_rows} stand beside ours, each with interval and verdict, in "
        "“The paper and here”.",
        f"**Machine**: {provenance['cpus']} CPUs ({provenance['cpu']}), Linux {provenance['kernel']}; one machine "
        f"plays UE, gNB, UPF and data network, so compare differences, not levels. XDP mode: {modes}.",
        f"**Code and time**: commit {commit}; seed {provenance['seed']}; {provenance['start']} to {provenance['end']}.",
    ]


def page(
    metrics: pd.DataFrame,
    exactness: Mapping[str, Any],
    comparison: Sequence[Mapping[str, Any]],
    provenance: Mapping[str, Any],
) -> str:
    """The whole page. Takes table `metrics` and the contents of the three JSON files."""
    judged = claims(metrics, exactness)
    return "\n".join(
        [
            *_heading("Classification in the kernel of a 5G user plane", "="),
            *_heading("What was asked", "-"),
            *_paragraph(_ASKED),
            *_heading("What was found", "-"),
            *_paragraph(_summary(judged)),
            *_bullets([f"**{c.statement}: {c.verdict.value}.** {c.evidence}" for c in judged]),
            *_heading("How sure", "-"),
            *_bullets(certainty(metrics, comparison, provenance)),
        ]
    )


_ASKED = (
    "Can the kernel of a 5G UPF tell urgent control traffic (URLLC) from video (eMBB) by itself, with machine learning "
    "in eBPF/XDP; is that faster and cheaper than asking a program in user space; and does accuracy suffer? The paper "
    "*Leveraging eBPF/XDP for Real-Time Machine Learning Traffic Classification in 5G User Plane Networks* (Galvão, "
    "Rocha, Gomes, de Almeida) says yes, yes and hardly. Here its experiment was done again, on real packets."
)


def _summary(judged: Sequence[Claim]) -> str:
    counts = Counter(claim.verdict for claim in judged)
    return f"Of {len(judged)} claims, " + ", ".join(f"{counts[v]} {v.value}" for v in Verdict) + "."


def _number(estimate: Estimate, unit: str = "") -> str:
    return f"{_digits(estimate.value)}{_interval(estimate, '')}{unit}"


def _signed(estimate: Estimate, unit: str = "") -> str:
    return f"{_digits(estimate.value, '+')}{_interval(estimate, '+')}{unit}"


def _interval(estimate: Estimate, sign: str) -> str:
    if estimate.low is None or estimate.high is None:
        return ""
    return f" [{_digits(estimate.low, sign)}, {_digits(estimate.high, sign)}]"


def _digits(value: float, sign: str = "") -> str:
    """Three significant digits, but no fewer than a whole number has; a true minus."""
    text = f"{value:{sign},.0f}" if abs(value) >= 1000 else f"{value:{sign}#.3g}".rstrip(".")
    return text.replace("-", "−")


def _heading(text: str, line: str) -> list[str]:
    return [text, line * len(text), ""]


def _paragraph(text: str) -> list[str]:
    return [*textwrap.wrap(text, 120, break_on_hyphens=False), ""]


def _bullets(items: Sequence[str]) -> list[str]:
    return [
        line
        for item in items
        for line in (*textwrap.wrap(item, 120, initial_indent="- ", subsequent_indent="  ", break_on_hyphens=False), "")
    ]
