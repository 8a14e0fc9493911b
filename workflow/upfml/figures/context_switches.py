"""Figure 7 of the paper: context switches a second, of the whole machine and of the classifier's process alone."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from upfml import paper
from upfml.figures import style
from upfml.metrics import CLASSIFYING_ARMS, require_arms


@style.styled
def draw(samples: pd.DataFrame, losses: pd.DataFrame, window_ms: float) -> Figure:
    """Box plots over every second of every trial, from /proc/stat (whole machine) and pidstat (process).

    Takes the gathered samples and losses (metrics.gather, gather_losses). Raises UserError without kernel or user.
    """
    machine = samples[(samples["source"] == "procstat") & (samples["entity"] == "cpu-all")]
    process = samples[(samples["source"] == "pidstat") & (samples["entity"] == "classifier")]
    require_arms(machine, CLASSIFYING_ARMS)
    require_arms(process, CLASSIFYING_ARMS)
    means = {arm: paper.published("context switches", arm) for arm in CLASSIFYING_ARMS}
    figure = style.sheet(style.PAGE_IN, 2.4)
    left, right = figure.subplots(1, 2, width_ratios=[3, 2])
    arms = _boxes(left, machine, means)
    style.panel(left, "a", "whole machine")
    left.set_ylabel("context switches (1/s)")
    _boxes(right, process, {})
    style.panel(right, "b", "classifier's process alone")
    style.boxes_legend(figure)
    style.small_print(
        figure,
        f"{style.runs_print(losses, arms, window_ms)} One value a second. The paper does not say which of the two its "
        "means are.",
    )
    return figure


def _boxes(axes: Axes, samples: pd.DataFrame, means: dict[str, float]) -> list[str]:
    values = {arm: samples.loc[samples["arm"] == arm, "context_switches_per_s"].dropna() for arm in style.ARMS}
    present = {arm: each for arm, each in values.items() if len(each)}
    style.boxes(axes, present, means)
    return list(present)
