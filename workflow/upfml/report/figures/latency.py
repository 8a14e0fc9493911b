"""Classification latency: the trees alone, features and trees, arrival to class (a-c), and its parts (d)."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter

from upfml.arms import STRONGEST_ARMS, Arm, Arms
from upfml.base import published
from upfml.base.statistics import ratio_over_trials
from upfml.report.figures import style
from upfml.report.metrics import by_trial, from_decisions, latency_ns, parts, require_arms

_PANELS = [
    ("inference", "the trees alone", "kernel"),
    ("features_and_inference", "features and trees", "user"),
    ("arrival_to_label", "packet arrival to class", None),
]
"""Quantity, title, and the arm whose published time is this quantity."""
_PARTS = {
    "parse": (style.GREY, ""),
    "features": (style.SKY, "...."),
    "inference": (style.GREEN, "////"),
    "delivery": (style.PURPLE, "xxxx"),
}


@style.styled
def draw(arms: Arms, decisions: pd.DataFrame, turns: pd.DataFrame, timer: dict[str, Any], window_ms: float) -> Figure:
    """Distributions over all decisions of all trials (log scale, µs), ratios over the trials, and medians of the parts.

    Takes the configuration's arms, gathered decisions and turns (metrics.gather) and timer.json. The figure leaves out
    arms that send only changes: nobody knows when they made most of their decisions. Raises UserError without an arm of
    kind kernel or user.
    """
    present = style.in_order(arms.among(decisions["arm"]).telling_every)
    told = decisions[decisions["arm"].isin(present.names)]
    roles = {role: present.papers(role) for role in ("user", "kernel")}
    require_arms(decisions, roles.values())
    metrics = from_decisions(present, told)
    figure = style.sheet(style.PAGE_IN, 5.2)
    grid = figure.add_gridspec(2, len(_PANELS), height_ratios=[1.15, 1])
    panels: list[Axes] = []
    references: list[Line2D] = []
    for column, (letter, (quantity, title, timed)) in enumerate(zip("abc", _PANELS, strict=True)):
        first = panels[0] if panels else None
        axes = figure.add_subplot(grid[0, column], sharex=first, sharey=first)
        panels.append(axes)
        for arm in present:
            _arm(axes, latency_ns(told[told["arm"] == arm.name], quantity) / 1000, arm)
        if timed:
            references.append(_reference(axes, timed))
        style.panel(axes, letter, f"{title}\n{_ratios(metrics, quantity, roles)}")
        axes.set_xscale("log")
        axes.set_xlabel("time (µs)")
    panels[0].set_ylabel("share of decisions")
    panels[0].set_ylim(0, 1.02)
    below = figure.add_subplot(grid[1, :])
    _parts(below, metrics, present)
    style.panel(below, "d", "from arrival until a process in user space knows the class: median of each part")
    lines = panels[2].get_legend_handles_labels()[0]
    figure.legend(handles=[*lines, *references], loc="outside upper center", ncols=4)
    counts = ", ".join(f"{arm} {(told['arm'] == arm.name).sum()}" for arm in present)
    style.small_print(
        figure,
        f"{style.runs_print(turns, present, window_ms)} Decisions: {counts}. CLOCK_MONOTONIC everywhere; one reading "
        f"takes {timer['kernel_ns']:.0f} ns in the kernel, {timer['native_ns']:.0f} in C, {timer['python_ns']:.0f} in "
        "Python. Every part includes one reading. Marks: median, p99, p99.9. Brackets: 95 % interval over the "
        "trials (on the logarithm). The paper timed different work: in the kernel the trees alone (a), in user space "
        "statistics and call (b). Delivery includes waking the reader and its wait for a CPU; kernel arms know the "
        "class before it.",
    )
    return figure


def _arm(axes: Axes, elapsed_us: "pd.Series[float]", arm: Arm) -> None:
    look = style.look(arm)
    style.distribution(axes, elapsed_us, look, label=arm.name)
    shares = [0.5, 0.99, 0.999]
    axes.plot(
        elapsed_us.quantile(shares), shares, look.marker, color=look.colour, markeredgecolor=style.BLACK,
        markeredgewidth=0.5, markersize=3,
    )  # fmt: skip


def _reference(axes: Axes, role: str) -> Line2D:
    """The paper's mean, as a line with a star on top."""
    time_us = published.value("classification time", role)
    (line,) = axes.plot([time_us] * 2, [0, 1], ":*", color=style.VERMILION, markersize=6, markevery=[1], clip_on=False)
    line.set_label(f"the paper's mean, {role}: {time_us:g} µs")
    return line


def _parts(axes: Axes, metrics: pd.DataFrame, present: Arms) -> None:
    """A bar for each arm: the medians of its parts, one after the other in the order of the packet's path."""
    for height, arm in enumerate(reversed(list(present))):
        begin_us = 0.0
        for part in parts(arm):
            median_us = float(by_trial(metrics, arm, f"part_{part}_median").mean()) / 1000
            colour, hatch = _PARTS[part]
            axes.barh(height, median_us, left=begin_us, color=colour, hatch=hatch, height=0.6, edgecolor=style.BLACK,
                      linewidth=0.4)  # fmt: skip
            begin_us += median_us
        whole = [float(by_trial(metrics, arm, f"arrival_to_user_space_{q}").mean()) / 1000 for q in ("p99", "p99.9")]
        words = ", ".join(f"{_short(us)} µs" for us in whole)
        axes.annotate(
            f"p99, p99.9: {words}", (begin_us, height), xytext=(4, 0), textcoords="offset points", va="center",
            fontsize=6,
        )  # fmt: skip
    handles = [
        axes.barh(np.nan, 0, color=colour, hatch=hatch, edgecolor=style.BLACK, linewidth=0.4, label=part)
        for part, (colour, hatch) in _PARTS.items()
    ]
    axes.legend(handles=handles, loc="upper right", bbox_to_anchor=(1, -0.1), ncols=4)  # no bar is below the axis
    axes.set_yticks(range(len(present)), [arm.name for arm in reversed(list(present))])
    axes.set_xlim(0, 1.35 * axes.get_xlim()[1])
    axes.set_xlabel("time (µs), linear")
    axes.grid(visible=False, axis="y")


def _ratios(metrics: pd.DataFrame, quantity: str, roles: dict[str, Arm]) -> str:
    """User space over kernel, for the paper's arms and the strongest, e.g. `user/kernel: median × 36 [31, 42]`."""
    lines = []
    for pair in (roles, STRONGEST_ARMS):
        values = [by_trial(metrics, pair[role], f"{quantity}_median") for role in ("user", "kernel")]
        if any(value.empty for value in values):
            continue
        ratio = ratio_over_trials(*values)
        interval = "" if ratio.low is None or ratio.high is None else f" [{_short(ratio.low)}, {_short(ratio.high)}]"
        words = f"{pair['user']} / {pair['kernel']}:\n× {_short(ratio.value)}{interval}"
        if words not in lines:
            lines.append(words)
    return "\n".join(lines)


def _short(ratio: float) -> str:
    """Three digits, or 1.1k: even the wide intervals of noisy trials must fit over a panel."""
    return f"{ratio:.3g}" if ratio < 999.5 else EngFormatter(places=1, sep="")(ratio)
