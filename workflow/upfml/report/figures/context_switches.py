"""Figure 7 of the paper: context switches a second, of the UPF's CPUs and of the classifier's process alone."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from upfml.arms import Arm, Arms
from upfml.base import published, tables
from upfml.report.figures import style


@style.styled
def draw(arms: Arms, samples: pd.DataFrame, turns: pd.DataFrame, window_ms: float) -> Figure:
    """Box plots over every second of every trial, counted at sched_switch on the UPF's CPUs.

    Takes the configuration's arms, gathered samples and turns (metrics.gather). Raises UserError without an arm of kind
    kernel or user.
    """
    counted = samples[samples["source"] == "sched_switch"]
    upf, process = (counted[counted["entity"] == entity] for entity in (tables.UPF, "classifier"))
    present = style.in_order(arms.among(upf["arm"]))
    means = {present.papers(role): published.value("context switches", role) for role in ("user", "kernel")}
    figure = style.sheet(style.PAGE_IN, 2.6)
    left, right = figure.subplots(1, 2, width_ratios=[1.1, 1])
    _boxes(left, present, upf, means)
    style.panel(left, "a", "the UPF's CPUs")
    left.set_ylabel("context switches (1/s)")
    _boxes(right, style.in_order(arms.among(process["arm"])), process, {})
    style.panel(right, "b", "classifier's process alone")
    style.boxes_legend(figure)
    style.small_print(
        figure,
        f"{style.runs_print(turns, present, window_ms)} One value a second, counted at sched_switch on the UPF's CPUs; "
        "(b) switches away from the process. The paper does not say which of the two its means describe.",
    )
    return figure


def _boxes(axes: Axes, arms: Arms, samples: pd.DataFrame, means: dict[Arm, float]) -> None:
    rates = {arm: samples.loc[samples["arm"] == arm.name, "context_switches_per_s"].dropna() for arm in arms}
    style.boxes(axes, rates, means)
