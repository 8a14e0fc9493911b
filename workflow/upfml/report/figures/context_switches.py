"""Figure 7 of the paper: context switches a second, of the whole machine and of the classifier's process alone."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from upfml.arms import Arm, Arms
from upfml.base import published
from upfml.report.figures import style


@style.styled
def draw(arms: Arms, samples: pd.DataFrame, turns: pd.DataFrame, window_ms: float) -> Figure:
    """Box plots over every second of every trial, from /proc/stat (whole machine) and pidstat (process).

    Takes the configuration's arms, gathered samples and turns (metrics.gather). Raises UserError without an arm of kind
    kernel or user.
    """
    machine = samples[(samples["source"] == "procstat") & (samples["entity"] == "cpu-all")]
    process = samples[(samples["source"] == "pidstat") & (samples["entity"] == "classifier")]
    present = style.in_order(arms.among(machine["arm"]))
    means = {present.papers(role): published.value("context switches", role) for role in ("user", "kernel")}
    figure = style.sheet(style.PAGE_IN, 2.6)
    left, right = figure.subplots(1, 2, width_ratios=[1.1, 1])
    _boxes(left, present, machine, means)
    style.panel(left, "a", "whole machine")
    left.set_ylabel("context switches (1/s)")
    _boxes(right, style.in_order(arms.among(process["arm"])), process, {})
    style.panel(right, "b", "classifier's process alone")
    style.boxes_legend(figure)
    style.small_print(
        figure,
        f"{style.runs_print(turns, present, window_ms)} One value a second. The paper does not say which of the two "
        "its means describe.",
    )
    return figure


def _boxes(axes: Axes, arms: Arms, samples: pd.DataFrame, means: dict[Arm, float]) -> None:
    rates = {arm: samples.loc[samples["arm"] == arm.name, "context_switches_per_s"].dropna() for arm in arms}
    style.boxes(axes, rates, means)
