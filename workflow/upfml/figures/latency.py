"""Classification latency of kernel and user space: the trees alone, features and trees, arrival to class."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter

from upfml import paper
from upfml.figures import style
from upfml.metrics import CLASSIFYING_ARMS, by_trial, from_decisions, latency_ns, ratio_over_trials, require_arms

_PANELS = [
    ("inference", "the trees alone", "kernel"),
    ("features_and_inference", "features and trees", "user"),
    ("arrival_to_label", "packet arrival to class", None),
]
"""Quantity, title, and the arm whose published time is this quantity."""


@style.styled
def draw(decisions: pd.DataFrame, losses: pd.DataFrame, window_ms: float) -> Figure:
    """Distributions of all decisions of all trials, log scale in us, with the ratio of the arms over the trials.

    Takes gathered decisions and losses (metrics.gather, gather_losses). Raises UserError without kernel or user.
    """
    require_arms(decisions, CLASSIFYING_ARMS)
    metrics = from_decisions(decisions)
    figure = style.sheet(style.PAGE_IN, 2.9)
    references: list[Line2D] = []
    panels = figure.subplots(1, len(_PANELS), sharex=True, sharey=True)
    for axes, letter, (quantity, title, timed) in zip(panels, "abc", _PANELS, strict=True):
        for arm in CLASSIFYING_ARMS:
            _arm(axes, latency_ns(decisions[decisions["arm"] == arm], quantity) / 1000, arm)
        if timed:
            references.append(_reference(axes, timed))
        style.panel(axes, letter, f"{title}\n{_ratios(metrics, quantity)}")
        axes.set_xscale("log")
        axes.set_xlabel("time (µs)")
    panels[0].set_ylabel("share of decisions")
    panels[0].set_ylim(0, 1.02)
    arms = panels[2].get_legend_handles_labels()[0]  # two entries an arm; below them the arm's published time
    figure.legend(handles=[*arms[:2], references[1], *arms[2:], references[0]], loc="outside upper center", ncols=2)
    counts = ", ".join(f"{style.name(arm)} {(decisions['arm'] == arm).sum()}" for arm in CLASSIFYING_ARMS)
    style.small_print(
        figure,
        f"{style.runs_print(losses, CLASSIFYING_ARMS, window_ms)} Decisions: {counts}. "
        "CLOCK_MONOTONIC on both sides. Brackets: 95 % interval over the trials (t, on the logarithm). "
        "The paper's times are of different work: kernel, the trees alone (a); user space, statistics and call (b).",
    )
    return figure


def _arm(axes: Axes, elapsed_us: "pd.Series[float]", arm: str) -> None:
    look, words = style.ARMS[arm], style.name(arm)
    style.distribution(axes, elapsed_us, look, label=words)
    axes.plot(
        elapsed_us.quantile([0.5, 0.99]),
        [0.5, 0.99],
        look.marker,
        color=look.colour,
        markeredgecolor=style.BLACK,
        markeredgewidth=0.5,
        label=f"{words}: median, p99",
    )


def _reference(axes: Axes, arm: str) -> Line2D:
    """The paper's mean as a line with a star on top."""
    time_us = paper.published("classification time", arm)
    (line,) = axes.plot([time_us] * 2, [0, 1], ":*", color=style.VERMILION, markersize=6, markevery=[1], clip_on=False)
    line.set_label(f"the paper's mean, {style.name(arm)}: {time_us:g} µs")
    return line


def _ratios(metrics: pd.DataFrame, quantity: str) -> str:
    """User space over kernel, e.g. `median, user/kernel: × 36 [31, 42]`."""
    lines = []
    for statistic in ("median", "mean"):
        user, kernel = (by_trial(metrics, arm, f"{quantity}_{statistic}") for arm in ("user", "kernel"))
        ratio = ratio_over_trials(user, kernel)
        interval = "" if ratio.low is None or ratio.high is None else f" [{_short(ratio.low)}, {_short(ratio.high)}]"
        lines.append(f"{statistic}, user/kernel: × {_short(ratio.value)}{interval}")
    return "\n".join(lines)


def _short(ratio: float) -> str:
    """Three digits, or 1.1k: noisy trials have wide intervals, and those must fit over a panel, too."""
    return f"{ratio:.3g}" if ratio < 999.5 else EngFormatter(places=1, sep="")(ratio)
