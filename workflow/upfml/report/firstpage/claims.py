"""What the run says of classification in the kernel: claims, each with a verdict and the numbers behind it.

Each claim says something that would be good news for classification in the kernel; its
verdict and its sentence are made from numbers, so that a run that finds the opposite says so:

- confirmed: the whole 95 % interval over the trials is on the claim's side;
- not confirmed: the whole interval is on the other side;
- not resolved: the interval holds both, or there is none (a single trial).
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from upfml.arms import NONE, STRONGEST_ARMS, Arm, Arms
from upfml.base import published
from upfml.base.statistics import Estimate, mean_over_trials, ratio_over_trials
from upfml.base.words import estimate, number
from upfml.report.comparison.goal import CONTEXT_SWITCHES_GOAL_PCT, CPU_GOAL_POINTS, Goal, goals
from upfml.report.comparison.rows import Row
from upfml.report.metrics import by_trial
from upfml.studies.load.breaks import LIGHTEST_LAST

KERNEL, USER = "kernel", "user"
"""The two sides. Which arm stands for a side: the strongest that was run, and beside it the paper's."""

_BOTH = {arm.name for arm in STRONGEST_ARMS.values()}
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


def below(found: Estimate, bound: float) -> Verdict:
    """The verdict on "the true value is below `bound`"."""
    if found.low is None or found.high is None:
        return Verdict.NOT_RESOLVED
    if found.high < bound:
        return Verdict.CONFIRMED
    return Verdict.NOT_CONFIRMED if found.low >= bound else Verdict.NOT_RESOLVED


def as_in_the_paper(arms: Arms) -> dict[str, Arm]:
    """Side → the arm that was run and is nearest to the authors' code."""
    return {side: arms.papers(side) for side in (KERNEL, USER)}


def strongest(arms: Arms) -> dict[str, Arm]:
    """Side → the best arm of it that was run: each window once, by ring buffer, where that is among them."""
    return {side: arms.strongest(side) for side in (KERNEL, USER)}


def claims(
    arms: Arms,
    metrics: pd.DataFrame,
    exactness: Mapping[str, Any],
    compared: Sequence[Row],
    breaks: Mapping[str, Any],
) -> list[Claim]:
    """Every claim that the run can judge. Raises UserError when no arm of kind user, or of kind kernel, was run.

    `arms` are those that were run; the others of the configuration have no rows.
    """
    found = [
        label_claim(arms, metrics),
        delivery_claim(arms, metrics),
        cpu_claim(arms, metrics),
        direct_cost_claim(arms, metrics),
        switches_claim(arms, metrics),
        same_decisions_claim(exactness),
        live_accuracy_claim(arms, metrics),
        loss_claim(arms, metrics),
    ]
    if any(set(sweep["arms"]) >= _BOTH for sweep in breaks["sweeps"].values()):
        found.append(load_claim(breaks))
    cheap = goals(arms, compared, metrics)
    if cheap:
        found.insert(5, forwarding_claim(cheap))
    return found


def label_claim(arms: Arms, metrics: pd.DataFrame) -> Claim:
    """From a packet's arrival until its flow's class is known where it was made, for who can act there."""
    verdict, evidence = _latency(arms, metrics, "arrival_to_label", "until the classifier has the flow's class")
    paper = " and ".join(f"{published.value('classification time', side):.3g}" for side in (KERNEL, USER))
    return Claim(
        "The kernel knows a class sooner",
        verdict,
        f"{evidence} The paper, which timed different work in each, has {paper} µs.",
    )


def delivery_claim(arms: Arms, metrics: pd.DataFrame) -> Claim:
    """From a packet's arrival until a program in user space knows its flow's class, for who acts there."""
    verdict, evidence = _latency(
        arms, metrics, "arrival_to_user_space", "until a program in user space has the flow's class"
    )
    return Claim(
        "User space hears of a class sooner when the kernel finds it",
        verdict,
        f"{evidence} The paper has no such time.",
    )


def _latency(arms: Arms, metrics: pd.DataFrame, name: str, until: str) -> tuple[Verdict, str]:
    times = _sides(metrics, f"{name}_median", strongest(arms), 1 / _NS_PER_US)
    later = mean_over_trials(times[KERNEL] - times[USER])
    kernel, user = (estimate(mean_over_trials(times[side], _POSITIVE), " µs") for side in (KERNEL, USER))
    ratio = estimate(ratio_over_trials(times[USER], times[KERNEL]))
    evidence = (
        f"From a packet's arrival {until}, the median is {kernel} when the kernel classifies and {user} when user "
        f"space does, which is {ratio} times as long."
    )
    return below(later, 0), evidence


def cpu_claim(arms: Arms, metrics: pd.DataFrame) -> Claim:
    """Share of all CPUs, forwarding and generators of traffic included."""
    name = "cpu_total_mean"
    shares = _sides(metrics, name, strongest(arms))
    saved = mean_over_trials(shares[KERNEL] - shares[USER])
    kernel, user = (estimate(mean_over_trials(shares[side], _PERCENT), " %") for side in (KERNEL, USER))
    paper = [published.value("CPU total", side) for side in (KERNEL, USER)]
    theirs = _sides(metrics, name, as_in_the_paper(arms))
    configured = mean_over_trials(theirs[KERNEL] - theirs[USER])
    return Claim(
        "The kernel needs less CPU",
        below(saved, 0),
        f"All CPUs were busy for {kernel} with the kernel's classifier and {user} with the one in user space, the "
        f"traffic itself included: a difference of {estimate(saved, ' points', signed=True)}. "
        f"{_as_configured(arms)} {estimate(configured, ' points', signed=True)} "
        f"({below(configured, 0).value}). The paper: {paper[0]:g} and {paper[1]:g} %, "
        f"{number(paper[0] - paper[1], signed=True)} points.",
    )


def direct_cost_claim(arms: Arms, metrics: pd.DataFrame) -> Claim:
    """By accounts that are exact: BPF's of the program on N3, the scheduler's of the process that reads its events."""
    best = strongest(arms)
    shares = _sides(metrics, "cpu_direct", best)
    ratio = ratio_over_trials(shares[KERNEL], shares[USER])
    every = (
        metrics.loc[(metrics["metric"] == "cpu_direct") & (metrics["arm"] != NONE.name)].groupby("arm")["value"].mean()
    )
    others = ", ".join(f"{arm} {number(share)} %" for arm, share in every.sort_values().items())
    return Claim(
        "The kernel needs less CPU by exact accounts, too",
        below(ratio, 1),
        f"The program on N3 and the process that reads its events took {estimate(ratio)} times as much CPU when the "
        f"kernel classified. Of all CPUs: {others}. These accounts tell its work from the traffic's own, as "
        "the tick cannot; what waking a process costs others is not in them.",
    )


def switches_claim(arms: Arms, metrics: pd.DataFrame) -> Claim:
    """Of the whole machine."""
    name = "context_switches_mean"
    rates = _sides(metrics, name, strongest(arms))
    ratio = ratio_over_trials(rates[KERNEL], rates[USER])
    theirs = _sides(metrics, name, as_in_the_paper(arms))
    configured = ratio_over_trials(theirs[KERNEL], theirs[USER])
    paper = published.value("context switches", KERNEL) / published.value("context switches", USER)
    return Claim(
        "The kernel makes fewer context switches",
        below(ratio, 1),
        f"{estimate(mean_over_trials(rates[KERNEL], _POSITIVE))} a second with the kernel's classifier, "
        f"{estimate(mean_over_trials(rates[USER], _POSITIVE))} with the one in user space: {estimate(ratio)} times as "
        f"many. {_as_configured(arms)} {estimate(configured)} times ({below(configured, 1).value}). The paper: "
        f"{paper:.2f} times.",
    )


def forwarding_claim(cheap: Sequence[Goal]) -> Claim:
    """What the cheapest classifier in the kernel adds to a user plane that only forwards."""
    verdicts = {"yes": Verdict.CONFIRMED, "not resolved": Verdict.NOT_RESOLVED, "no": Verdict.NOT_CONFIRMED}
    best = min(cheap, key=lambda goal: (list(verdicts).index(goal.reached), goal.cpu_direct_points.difference))
    return Claim(
        f"A kernel classifier costs at most {CPU_GOAL_POINTS:g} point of CPU and "
        f"{CONTEXT_SWITCHES_GOAL_PCT:g} % of context switches over forwarding alone, and loses no decision",
        verdicts[best.reached],
        f"The best: {best.sentence} The paper has no run without classification.",
    )


def _sides(metrics: pd.DataFrame, name: str, arm: Mapping[str, Arm], scale: float = 1) -> dict[str, pd.Series[float]]:
    return {side: by_trial(metrics, arm[side], name) * scale for side in (KERNEL, USER)}


def _as_configured(arms: Arms) -> str:
    return "Configured as nearly as in the paper ({kernel} against {user}):".format(**as_in_the_paper(arms))


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
        f"{published.value('accuracy, scikit-learn minus kernel', KERNEL):.2f} points from scikit-learn to the kernel.",
    )


def live_accuracy_claim(arms: Arms, metrics: pd.DataFrame) -> Claim:
    """Accuracy of each side on the traffic of its own turns, beside always naming the larger class."""
    best = strongest(arms)
    accuracy = _sides(metrics, "accuracy", best)
    majority, stump = (by_trial(metrics, best[KERNEL], f"{name}_accuracy") for name in ("majority", "one_threshold"))
    kernel, user = (estimate(mean_over_trials(accuracy[side], _PERCENT), " %") for side in (KERNEL, USER))
    return Claim(
        "On live traffic the kernel classifies better than by always naming the larger class",
        below(mean_over_trials(majority - accuracy[KERNEL]), 0),
        f"Accuracy is {kernel} in the kernel and {user} in user space; always naming the larger class would score "
        f"{estimate(mean_over_trials(majority, _PERCENT), ' %')}, one threshold on one feature "
        f"{estimate(mean_over_trials(stump, _PERCENT), ' %')}. "
        f"The paper: {published.value('accuracy', KERNEL):.2f} and {published.value('accuracy', USER):.2f} %.",
    )


def loss_claim(arms: Arms, metrics: pd.DataFrame) -> Claim:
    """Events that never reached user space; a lost one is a decision that nobody can act on."""
    lost, received = (
        {side: int(values.sum()) for side, values in _sides(metrics, f"events_{name}", strongest(arms)).items()}
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
    kernel_later, user_later, broken = False, False, []
    for sweep, found in breaks["sweeps"].items():
        held = found["arms"]
        if not set(held) >= _BOTH:
            continue
        broke = {side: _load(sweep, held[arm.name]["broke"]) for side, arm in STRONGEST_ARMS.items()}
        kernel_later |= broke[KERNEL] > broke[USER]
        user_later |= broke[USER] > broke[KERNEL]
        which = [
            f"{arm} at {number(of['broke'])} ({number(of['lost_pct'][of['by']])} % of {of['by']})"
            for arm, of in held.items()
            if of["broke"] is not None
        ]
        broken.append(f"{sweep} ({found['unit']}): {', '.join(which) or 'nothing broke'}")
    if kernel_later == user_later:
        verdict = Verdict.NOT_RESOLVED
    else:
        verdict = Verdict.CONFIRMED if kernel_later else Verdict.NOT_CONFIRMED
    return Claim(
        "The kernel's classifier holds at a load at which user space's breaks",
        verdict,
        f"To break is to lose more than {breaks['limit_pct']:g} % of packets beyond forwarding alone, of events or of "
        f"decisions in the median turn. What broke, and where, at the values that were tried: {'; '.join(broken)}.",
    )


def _load(sweep: str, broke: float | None) -> float:
    """The value at which an arm broke, so that more is heavier."""
    if broke is None:
        return float("inf")
    return -broke if sweep in LIGHTEST_LAST else broke
