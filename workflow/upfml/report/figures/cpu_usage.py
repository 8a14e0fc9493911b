"""Figure 6 of the paper (a-c: CPU time in user space, kernel and softirq), their sum (d), and what arms cost (e, f).

The figure shows every arm that was run, not only the paper's two. An arm's cost is its CPU time above forwarding alone:
as a difference in non-idle time within trials (e), and by exact accounts (f).
"""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from upfml.arms import NONE, Arm, Arms
from upfml.base import published, tables
from upfml.base.statistics import mean_over_trials
from upfml.report.figures import style
from upfml.report.metrics import by_trial

_PANELS = [("usr", "user space (%usr)"), ("sys", "system (%sys)"), ("soft", "softirq (%soft)"), ("total", "total")]


@style.styled
def draw(arms: Arms, samples: pd.DataFrame, turns: pd.DataFrame, metrics: pd.DataFrame, window_ms: float) -> Figure:
    """Box plots over every second of every trial (`samples`: mpstat, the UPF's CPUs, in %), and costs over trials.

    Takes the configuration's arms, gathered samples and turns (metrics.gather) and table `metrics`. Raises UserError
    without an arm of kind kernel or user.
    """
    seconds = samples[(samples["source"] == "mpstat") & (samples["entity"] == tables.UPF)]
    present = style.in_order(arms.among(seconds["arm"]))
    figure = style.sheet(style.PAGE_IN, 6.2)
    panels = figure.subplots(3, 2)
    for axes, letter, (share, title) in zip(panels.flat, "abcd", _PANELS, strict=False):
        means = {present.papers(role): published.value(f"CPU {share}", role) for role in ("user", "kernel")}
        style.boxes(axes, {arm: seconds.loc[seconds["arm"] == arm.name, f"{share}_pct"] for arm in present}, means)
        style.panel(axes, letter, title)
        if letter in "ac":
            axes.set_ylabel("% of the UPF's CPUs")
    _costs(panels[2, 0], metrics, present, "cpu_busy_mean", NONE)
    style.panel(panels[2, 0], "e", "cost over forwarding alone: non-idle time")
    panels[2, 0].set_ylabel("points of the UPF's CPUs")
    _costs(panels[2, 1], metrics, present, "cpu_direct", None)
    style.panel(panels[2, 1], "f", "cost by exact accounts: program and process")
    style.boxes_legend(figure)
    cpus = int(turns["upf_cpus"].iloc[0])
    style.small_print(
        figure,
        f"{style.runs_print(turns, present, window_ms)} (a)-(d): one value a second, from mpstat: "
        f"{_seconds(seconds)}. CPUs of the UPF: {cpus} here, {published.CPUS} in the paper; so shares differ.",
        "mpstat samples at the clock tick, which stops while a CPU is idle: it misses most of the work that wakes one. "
        "(e), (f): one dot for each trial, hollow when noisy; bars: mean and 95 % interval over trials. (e) Non-idle "
        "time by the kernel's idle account: exact, all that was done on the UPF's CPUs. (f) Run time of the program on "
        "N3 (BPF statistics) and of the classifier's process (scheduler), without the cost of waking it.",
    )
    return figure


def _costs(axes: Axes, metrics: pd.DataFrame, present: Arms, metric: str, against: Arm | None) -> None:
    drawn = [arm for arm in present if arm != NONE]
    for at, arm in enumerate(drawn):
        values = by_trial(metrics, arm, metric)
        noisy = by_trial(metrics, arm, "noisy")
        if against is not None:
            values = (values - by_trial(metrics, against, metric)).dropna()
        if values.empty:
            continue
        style.trials(axes, at, values, noisy.reindex(values.index) > 0, mean_over_trials(values), style.look(arm))
    axes.axhline(0, color=style.BLACK, linewidth=0.6)
    axes.set_xticks(range(len(drawn)), [style.look(arm).label for arm in drawn])
    axes.tick_params(axis="x", length=0, labelsize=5.4)
    axes.grid(visible=False, axis="x")


def _seconds(seconds: pd.DataFrame) -> str:
    counts = seconds.groupby("arm").size()
    return f"{counts.min()} to {counts.max()} per arm" if counts.nunique() > 1 else f"{counts.min()} per arm"
