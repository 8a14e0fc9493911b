"""What the run says about classification in the kernel: claims, each with a verdict and the numbers behind it.

Each claim states something that would be good news for classification in the kernel. Its verdict and its text are made
from the run's numbers, so a run that finds the opposite says so:

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
"""The two sides. The strongest arm that was run stands for a side; some claims show the paper's arms as well."""

_BOTH = {arm.name for arm in STRONGEST_ARMS.values()}
_NS_PER_US = 1000.0
_PERCENT = (0.0, 100.0)
_POSITIVE = (0.0, float("inf"))


class Verdict(enum.Enum):
    """What the run says about a claim."""

    CONFIRMED = "confirmed"
    NOT_CONFIRMED = "not confirmed"
    NOT_RESOLVED = "not resolved"


@dataclass(frozen=True)
class Claim:
    """A statement, what the run says about it, and the numbers behind that, in a few sentences."""

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
    """Side → its best arm that was run. That is the one that sends each window once by ring buffer, if it was run."""
    return {side: arms.strongest(side) for side in (KERNEL, USER)}


def claims(
    arms: Arms,
    metrics: pd.DataFrame,
    exactness: Mapping[str, Any],
    compared: Sequence[Row],
    breaks: Mapping[str, Any],
) -> list[Claim]:
    """Every claim that the run can judge. Raises UserError when no arm of kind user, or of kind kernel, was run.

    `arms` are the arms that were run. Other arms of the configuration have no rows.
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
    """Time from a packet's arrival until the classifier knows its flow's class, for whoever can act right there."""
    verdict, evidence = _latency(arms, metrics, "arrival_to_label", "until the classifier knows the flow's class")
    paper = " and ".join(f"{published.value('classification time', side):.3g}" for side in (KERNEL, USER))
    return Claim(
        "The kernel knows a class sooner",
        verdict,
        f"{evidence} The paper reports {paper} µs, but it timed different work on each side.",
    )


def delivery_claim(arms: Arms, metrics: pd.DataFrame) -> Claim:
    """Time from a packet's arrival until a program in user space knows its flow's class, for whoever acts there."""
    verdict, evidence = _latency(
        arms, metrics, "arrival_to_user_space", "until a program in user space knows the flow's class"
    )
    return Claim(
        "User space hears of a class sooner when the kernel finds it",
        verdict,
        f"{evidence} The paper does not report this time.",
    )


def _latency(arms: Arms, metrics: pd.DataFrame, name: str, until: str) -> tuple[Verdict, str]:
    times = _sides(metrics, f"{name}_median", strongest(arms), 1 / _NS_PER_US)
    later = mean_over_trials(times[KERNEL] - times[USER])
    kernel, user = (estimate(mean_over_trials(times[side], _POSITIVE), " µs") for side in (KERNEL, USER))
    ratio = estimate(ratio_over_trials(times[USER], times[KERNEL]))
    evidence = (
        f"The median time from a packet's arrival {until} is {kernel} when the kernel classifies. It is {user} when "
        f"user space does: {ratio} times as long."
    )
    return below(later, 0), evidence


def cpu_claim(arms: Arms, metrics: pd.DataFrame) -> Claim:
    """Share of the UPF's CPUs by mpstat, as in the paper. It includes forwarding."""
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
        f"By mpstat the UPF's CPUs are busy for {kernel} of the time with the kernel's classifier, and for {user} with "
        f"the one in user space: a difference of {estimate(saved, ' points', signed=True)}. Both include forwarding. "
        f"{_as_configured(arms)} {estimate(configured, ' points', signed=True)} "
        f"({below(configured, 0).value}). The paper reports {paper[0]:g} and {paper[1]:g} %: "
        f"{number(paper[0] - paper[1], signed=True)} points.",
    )


def direct_cost_claim(arms: Arms, metrics: pd.DataFrame) -> Claim:
    """By exact accounts: BPF's, for the program on N3, and the scheduler's, for the process that reads its events."""
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
        f"The program on N3 and the process that reads its events take {estimate(ratio)} times as much CPU when the "
        f"kernel classifies as when user space does. Their share of the UPF's CPUs: {others}. These accounts separate "
        "the classifier's work from the traffic's; sampling at the clock tick cannot. They leave out what it costs "
        "others that a process is woken.",
    )


def switches_claim(arms: Arms, metrics: pd.DataFrame) -> Claim:
    """Context switches on the UPF's CPUs."""
    name = "context_switches_mean"
    rates = _sides(metrics, name, strongest(arms))
    ratio = ratio_over_trials(rates[KERNEL], rates[USER])
    theirs = _sides(metrics, name, as_in_the_paper(arms))
    configured = ratio_over_trials(theirs[KERNEL], theirs[USER])
    paper = published.value("context switches", KERNEL) / published.value("context switches", USER)
    return Claim(
        "The kernel makes fewer context switches",
        below(ratio, 1),
        f"The UPF's CPUs make {estimate(mean_over_trials(rates[KERNEL], _POSITIVE))} a second with the kernel's "
        f"classifier and {estimate(mean_over_trials(rates[USER], _POSITIVE))} with the one in user space. The first "
        f"is {estimate(ratio)} times the second. {_as_configured(arms)} {estimate(configured)} times "
        f"({below(configured, 1).value}). In the paper it is {paper:.2f} times.",
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
    return "With the arms closest to the paper's ({kernel} against {user}):".format(**as_in_the_paper(arms))


def same_decisions_claim(exactness: Mapping[str, Any]) -> Claim:
    """Kernel, user space and scikit-learn on the very same packets, so only the classifiers can differ."""
    data = "live" if "live" in exactness else "replayed"
    judged = exactness[data]
    differ = {arm: judged[arm]["decision_differences"] for arm in (KERNEL, USER, "sklearn")}
    accuracy = {arm: judged[arm]["accuracy_pct"] for arm in differ}
    verdict = Verdict.NOT_CONFIRMED if any(differ.values()) else Verdict.CONFIRMED
    return Claim(
        "Accuracy does not suffer from the kernel's arithmetic",
        verdict,
        f"All three classify the same {judged[KERNEL]['windows']:,} windows of {data} traffic. Decisions that differ "
        f"from the reference: kernel {differ[KERNEL]:,}, user space {differ[USER]:,}, scikit-learn "
        f"{differ['sklearn']:,}. Accuracy: kernel {accuracy[KERNEL]:.2f} %, user space {accuracy[USER]:.2f} %, "
        f"scikit-learn {accuracy['sklearn']:.2f} %. Always naming the larger class would score "
        f"{judged['majority']['accuracy_pct']:.2f} %, and one threshold on one feature "
        f"{judged['one_threshold']['accuracy_pct']:.2f} %. In the paper the kernel is "
        f"{published.value('accuracy, scikit-learn minus kernel', KERNEL):.2f} points below scikit-learn.",
    )


def live_accuracy_claim(arms: Arms, metrics: pd.DataFrame) -> Claim:
    """Accuracy of each side on the traffic of its own turns, compared with always naming the larger class."""
    best = strongest(arms)
    accuracy = _sides(metrics, "accuracy", best)
    majority, stump = (by_trial(metrics, best[KERNEL], f"{name}_accuracy") for name in ("majority", "one_threshold"))
    kernel, user = (estimate(mean_over_trials(accuracy[side], _PERCENT), " %") for side in (KERNEL, USER))
    return Claim(
        "On live traffic the kernel classifies better than by always naming the larger class",
        below(mean_over_trials(majority - accuracy[KERNEL]), 0),
        f"Accuracy is {kernel} in the kernel and {user} in user space. Always naming the larger class would score "
        f"{estimate(mean_over_trials(majority, _PERCENT), ' %')}, and one threshold on one feature "
        f"{estimate(mean_over_trials(stump, _PERCENT), ' %')}. "
        f"The paper reports {published.value('accuracy', KERNEL):.2f} and {published.value('accuracy', USER):.2f} %.",
    )


def loss_claim(arms: Arms, metrics: pd.DataFrame) -> Claim:
    """Events that never reached user space. Nobody there can act on a decision that was lost."""
    lost, received = (
        {side: int(values.sum()) for side, values in _sides(metrics, f"events_{name}", strongest(arms)).items()}
        for name in ("lost", "received")
    )
    every = metrics.loc[metrics["metric"] == "events_lost"].groupby("arm")["value"].sum()
    losers = ", ".join(f"{arm} {int(count):,}" for arm, count in every.items() if count) or "none"
    return Claim(
        "No decision of the kernel's is lost on its way to user space",
        Verdict.NOT_CONFIRMED if lost[KERNEL] else Verdict.CONFIRMED,
        f"The kernel lost {lost[KERNEL]:,} of {lost[KERNEL] + received[KERNEL]:,} decisions. The arm in user space "
        f"lost {lost[USER]:,} of {lost[USER] + received[USER]:,} events. Arms that lost events: "
        f"{losers}. The paper does not report losses.",
    )


def load_claim(breaks: Mapping[str, Any]) -> Claim:
    """Where arms break as load rises, in each sweep of breaks.json that has the strongest arm of both sides.

    There are few turns at few values, and no intervals. So the verdict compares the values at which the sides broke.
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
        f"An arm breaks where its median turn loses more than {breaks['limit_pct']:g} % of packets (beyond what "
        "forwarding alone loses), of events or of decisions. Where arms broke, of the values tried: "
        f"{'; '.join(broken)}.",
    )


def _load(sweep: str, broke: float | None) -> float:
    """The value at which an arm broke, with its sign changed where smaller values are the heavier load."""
    if broke is None:
        return float("inf")
    return -broke if sweep in LIGHTEST_LAST else broke
