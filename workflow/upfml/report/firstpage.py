"""The report's opening page: what was asked, what was found, how sure. For a reader who reads nothing else.

In: table `metrics`, exactness.json, comparison.json, load/breaks.json, paper_vs_here.json, provenance.json. Out:
reStructuredText, results/first_page.rst.

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

from upfml import arms
from upfml.base import xdpmode
from upfml.report import comparison
from upfml.report.metrics import Estimate, by_trial, mean_over_trials, ratio_over_trials
from upfml.report.paper import published
from upfml.studies.load.breaks import LIGHTEST_LAST

KERNEL, USER = "kernel", "user"
"""The two sides. Which arm stands for a side: `strongest`, and beside it `as_in_the_paper`."""

_NS_PER_US = 1000.0
_PERCENT = (0.0, 100.0)
_POSITIVE = (0.0, float("inf"))


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


def as_in_the_paper(metrics: pd.DataFrame) -> dict[str, str]:
    """Side → the arm that was run and is nearest to the authors' code."""
    return {side: arms.papers(side, metrics["arm"].unique()) for side in (KERNEL, USER)}


def strongest(metrics: pd.DataFrame) -> dict[str, str]:
    """Side → the best arm of it that was run: each window once, by ring buffer, where that is among them."""
    run, nearest = set(metrics["arm"]), as_in_the_paper(metrics)
    wanted = {side: (arm, side, nearest[side]) for side, arm in arms.STRONGEST.items()}
    return {side: next(arm for arm in order if arm in run) for side, order in wanted.items()}


def claims(
    metrics: pd.DataFrame,
    exactness: Mapping[str, Any],
    compared: Sequence[comparison.Row],
    breaks: Mapping[str, Any],
) -> list[Claim]:
    """Every claim that the run can judge. Raises UserError when no arm of kind user, or of kind kernel, was run."""
    found = [
        label_claim(metrics),
        delivery_claim(metrics),
        cpu_claim(metrics),
        direct_cost_claim(metrics),
        switches_claim(metrics),
        same_decisions_claim(exactness),
        live_accuracy_claim(metrics),
        loss_claim(metrics),
    ]
    if any(set(arms.STRONGEST.values()) <= set(sweep["arms"]) for sweep in breaks["sweeps"].values()):
        found.append(load_claim(breaks))
    goals = comparison.goals(compared, metrics)
    if goals:
        found.insert(5, forwarding_claim(goals))
    return found


def label_claim(metrics: pd.DataFrame) -> Claim:
    """From a packet's arrival until its flow's class is known where it was made, for who can act there."""
    verdict, evidence = _latency(metrics, "arrival_to_label", "until the classifier has the flow's class")
    paper = " and ".join(f"{published('classification time', side):.3g}" for side in (KERNEL, USER))
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
    times = _sides(metrics, f"{name}_median", strongest(metrics), 1 / _NS_PER_US)
    later = mean_over_trials(times[KERNEL] - times[USER])
    kernel, user = (_number(mean_over_trials(times[side], _POSITIVE), " µs") for side in (KERNEL, USER))
    ratio = _number(ratio_over_trials(times[USER], times[KERNEL]))
    evidence = (
        f"From a packet's arrival {until}, the median is {kernel} when the kernel classifies and {user} when user "
        f"space does, which is {ratio} times as long."
    )
    return below(later, 0), evidence


def cpu_claim(metrics: pd.DataFrame) -> Claim:
    """Share of all CPUs, forwarding and generators of traffic included."""
    name = "cpu_total_mean"
    shares = _sides(metrics, name, strongest(metrics))
    saved = mean_over_trials(shares[KERNEL] - shares[USER])
    kernel, user = (_number(mean_over_trials(shares[side], _PERCENT), " %") for side in (KERNEL, USER))
    paper = [published("CPU total", side) for side in (KERNEL, USER)]
    theirs = _sides(metrics, name, as_in_the_paper(metrics))
    configured = mean_over_trials(theirs[KERNEL] - theirs[USER])
    return Claim(
        "The kernel needs less CPU",
        below(saved, 0),
        f"All CPUs were busy for {kernel} with the kernel's classifier and {user} with the one in user space, the "
        f"traffic itself included: a difference of {_signed(saved, ' points')}. {_as_configured(metrics)} "
        f"{_signed(configured, ' points')} ({below(configured, 0).value}). The paper: {paper[0]:g} and {paper[1]:g} %, "
        f"{_digits(paper[0] - paper[1], '+')} points.",
    )


def direct_cost_claim(metrics: pd.DataFrame) -> Claim:
    """By accounts that are exact: BPF's of the program on N3, the scheduler's of the process that reads its events."""
    best = strongest(metrics)
    shares = _sides(metrics, "cpu_direct", best)
    ratio = ratio_over_trials(shares[KERNEL], shares[USER])
    every = metrics.loc[(metrics["metric"] == "cpu_direct") & (metrics["arm"] != "none")].groupby("arm")["value"].mean()
    others = ", ".join(f"{arm} {_digits(share)} %" for arm, share in every.sort_values().items())
    return Claim(
        "The kernel needs less CPU by exact accounts, too",
        below(ratio, 1),
        f"The program on N3 and the process that reads its events took {_number(ratio)} times as much CPU when the "
        f"kernel classified. Of all CPUs: {others}. These accounts tell its work from the traffic's own, as "
        "the tick cannot; what waking a process costs others is not in them.",
    )


def switches_claim(metrics: pd.DataFrame) -> Claim:
    """Of the whole machine."""
    name = "context_switches_mean"
    rates = _sides(metrics, name, strongest(metrics))
    ratio = ratio_over_trials(rates[KERNEL], rates[USER])
    theirs = _sides(metrics, name, as_in_the_paper(metrics))
    configured = ratio_over_trials(theirs[KERNEL], theirs[USER])
    paper = published("context switches", KERNEL) / published("context switches", USER)
    return Claim(
        "The kernel makes fewer context switches",
        below(ratio, 1),
        f"{_number(mean_over_trials(rates[KERNEL], _POSITIVE))} a second with the kernel's classifier, "
        f"{_number(mean_over_trials(rates[USER], _POSITIVE))} with the one in user space: {_number(ratio)} times as "
        "many. "
        f"{_as_configured(metrics)} {_number(configured)} times ({below(configured, 1).value}). The paper: {paper:.2f} "
        "times.",
    )


def forwarding_claim(goals: Sequence[comparison.Goal]) -> Claim:
    """What the cheapest classifier in the kernel adds to a user plane that only forwards."""
    verdicts = {"yes": Verdict.CONFIRMED, "not resolved": Verdict.NOT_RESOLVED, "no": Verdict.NOT_CONFIRMED}
    best = min(goals, key=lambda goal: (list(verdicts).index(goal.reached), goal.cpu_direct_points.difference))
    return Claim(
        f"A kernel classifier costs at most {comparison.CPU_GOAL_POINTS:g} point of CPU and "
        f"{comparison.CONTEXT_SWITCHES_GOAL_PCT:g} % of context switches over forwarding alone, and loses no decision",
        verdicts[best.reached],
        f"The best: {best.sentence} The paper has no run without classification.",
    )


def _sides(metrics: pd.DataFrame, name: str, arm: Mapping[str, str], scale: float = 1) -> dict[str, pd.Series[float]]:
    return {side: by_trial(metrics, arm[side], name) * scale for side in (KERNEL, USER)}


def _as_configured(metrics: pd.DataFrame) -> str:
    return "Configured as nearly as in the paper ({kernel} against {user}):".format(**as_in_the_paper(metrics))


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
        f"accuracy is {accuracy[KERNEL]:.2f}, {accuracy[USER]:.2f} and {accuracy['sklearn']:.2f} %, where naming the "
        f"larger class each time would score {judged['majority']['accuracy_pct']:.2f} and one threshold on one feature "
        f"{judged['one_threshold']['accuracy_pct']:.2f} %. The paper loses "
        f"{published('accuracy, scikit-learn minus kernel', KERNEL):.2f} points from scikit-learn to the kernel.",
    )


def live_accuracy_claim(metrics: pd.DataFrame) -> Claim:
    """Accuracy of each side on the traffic of its own turns, beside always naming the larger class."""
    best = strongest(metrics)
    accuracy = _sides(metrics, "accuracy", best)
    majority, stump = (by_trial(metrics, best[KERNEL], f"{name}_accuracy") for name in ("majority", "one_threshold"))
    kernel, user = (_number(mean_over_trials(accuracy[side], _PERCENT), " %") for side in (KERNEL, USER))
    return Claim(
        "On live traffic the kernel classifies better than by always naming the larger class",
        below(mean_over_trials(majority - accuracy[KERNEL]), 0),
        f"Accuracy is {kernel} in the kernel and {user} in user space; always naming the larger class would score "
        f"{_number(mean_over_trials(majority, _PERCENT), ' %')}, one threshold on one feature "
        f"{_number(mean_over_trials(stump, _PERCENT), ' %')}. "
        f"The paper: {published('accuracy', KERNEL):.2f} and {published('accuracy', USER):.2f} %.",
    )


def loss_claim(metrics: pd.DataFrame) -> Claim:
    """Events that never reached user space; a lost one is a decision that nobody can act on."""
    lost, received = (
        {side: int(values.sum()) for side, values in _sides(metrics, f"events_{name}", strongest(metrics)).items()}
        for name in ("lost", "received")
    )
    every = metrics.loc[metrics["metric"] == "events_lost"].groupby("arm")["value"].sum()
    losers = ", ".join(f"{arm} {int(count):,}" for arm, count in every.items() if count) or "none"
    return Claim(
        "No decision of the kernel's is lost on its way to user space",
        Verdict.NOT_CONFIRMED if lost[KERNEL] else Verdict.CONFIRMED,
        f"Of {lost[KERNEL] + received[KERNEL]:,} decisions {lost[KERNEL]:,} were lost; of the "
        f"{lost[USER] + received[USER]:,} events of the arm in user space, {lost[USER]:,}. Arms that lost events: "
        f"{losers}. The paper does not report losses.",
    )


def load_claim(breaks: Mapping[str, Any]) -> Claim:
    """Where arms break as load rises, of each sweep of breaks.json that has both sides' strongest arms.

    Medians of few turns at few values, without intervals: so the verdict is by which value each held.
    """
    kernel_later, user_later, words = False, False, []
    for sweep, found in breaks["sweeps"].items():
        held = found["arms"]
        if not set(arms.STRONGEST.values()) <= set(held):
            continue
        broke = {side: _load(sweep, held[arm]["broke"]) for side, arm in arms.STRONGEST.items()}
        kernel_later |= broke[KERNEL] > broke[USER]
        user_later |= broke[USER] > broke[KERNEL]
        which = [
            f"{arm} at {_digits(of['broke'])} ({_digits(of['lost_pct'][of['by']])} % of {of['by']})"
            for arm, of in held.items()
            if of["broke"] is not None
        ]
        words.append(f"{sweep} ({found['unit']}): {', '.join(which) or 'nothing broke'}")
    if kernel_later == user_later:
        verdict = Verdict.NOT_RESOLVED
    else:
        verdict = Verdict.CONFIRMED if kernel_later else Verdict.NOT_CONFIRMED
    return Claim(
        "The kernel's classifier holds at a load at which user space's breaks",
        verdict,
        f"To break is to lose more than {breaks['limit_pct']:g} % of packets beyond forwarding alone, of events or of "
        f"decisions in the median turn. What broke, and where, at the values that were tried: {'; '.join(words)}.",
    )


def _load(sweep: str, broke: float | None) -> float:
    """The value at which an arm broke, so that more is heavier."""
    if broke is None:
        return float("inf")
    return -broke if sweep in LIGHTEST_LAST else broke


def certainty(metrics: pd.DataFrame, published_rows: int, provenance: Mapping[str, Any]) -> list[str]:
    """How sure: arms, trials and noise, the paper's numbers, the machine, the code."""
    best = strongest(metrics)
    trials = by_trial(metrics, best[KERNEL], "cpu_total_mean").size
    interval = (
        "one trial has no interval, so that no difference is resolved"
        if trials == 1
        else "intervals in brackets are 95 %, over the trials, and say nothing of other machines or other traffic"
    )
    noisy = metrics.loc[metrics["metric"] == "noisy", "value"]
    commit = (provenance["git_commit"] or "unknown")[:12]
    setting = (
        "one machine plays UE, gNB, UPF and data network, so compare differences, not levels"
        if provenance["testbed"]["kind"] == "namespaces"
        else "the UPF's, of three"
    )
    changed = ", with changes that are not committed" if provenance["git_changes"] else ""
    return [
        f"**Arms**: “the kernel” is the arm {best[KERNEL]}, “user space” the arm {best[USER]}, the strongest of each "
        "that were run, unless others are named.",
        f"**Trials**: {trials}; in each every arm had its turn on the same traffic, in drawn order; {interval}.",
        f"**Noise**: {int(noisy.sum())} of {noisy.size} turns are marked as noisy; they are in all numbers.",
        f"**The paper's numbers**: all {published_rows} stand beside ours, each with interval and verdict, in "
        "“The paper and here”.",
        f"**Machine**: {provenance['cpus']} CPUs ({provenance['cpu']}), Linux {provenance['kernel']}; {setting}. "
        f"{xdpmode.words(provenance['xdp_modes'])}.",
        f"**Code and time**: commit {commit}{changed}; seed {provenance['seed']}; {provenance['start']} to "
        f"{provenance['end']}.",
    ]


def page(
    metrics: pd.DataFrame,
    exactness: Mapping[str, Any],
    compared: Sequence[comparison.Row],
    breaks: Mapping[str, Any],
    paper_vs_here: Sequence[Mapping[str, Any]],
    provenance: Mapping[str, Any],
) -> str:
    """The whole page. Takes table `metrics`, the rows of comparison.json, and what the other JSON files hold."""
    judged = claims(metrics, exactness, compared, breaks)
    published_rows = sum(row["paper"] is not None for row in paper_vs_here)
    return "\n".join(
        [
            *_heading("Classification in the kernel of a 5G user plane", "="),
            *(_paragraph(f"**{provenance['note']}**") if provenance["note"] else []),
            *_heading("What was asked", "-"),
            *_paragraph(_ASKED),
            *_heading("What was found", "-"),
            *_paragraph(_summary(judged)),
            *_bullets([f"**{c.statement}: {c.verdict.value}.** {c.evidence}" for c in judged]),
            *_heading("How sure", "-"),
            *_bullets(certainty(metrics, published_rows, provenance)),
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
