"""Figure 6 of the paper, a-c: CPU time in user space, kernel and softirq; and their sum (d).

Beside the paper's two arms stand forwarding alone and the collector where they were run: what lies above forwarding
alone is the price of classification.
"""

import pandas as pd
from matplotlib.figure import Figure

from upfml import paper
from upfml.figures import style
from upfml.metrics import CLASSIFYING_ARMS, require_arms

_PANELS = [("usr", "user space (%usr)"), ("sys", "system (%sys)"), ("soft", "softirq (%soft)"), ("total", "total")]


@style.styled
def draw(samples: pd.DataFrame, losses: pd.DataFrame, window_ms: float) -> Figure:
    """Box plots over every second of every trial (`samples`: mpstat, all CPUs together, in %).

    Takes the gathered samples and losses (metrics.gather, gather_losses). Raises UserError without kernel or user.
    """
    seconds = samples[(samples["source"] == "mpstat") & (samples["entity"] == "cpu-all")]
    require_arms(seconds, CLASSIFYING_ARMS)
    arms = [arm for arm in style.ARMS if arm in set(seconds["arm"])]
    figure = style.sheet(style.PAGE_IN, 2.4)
    for axes, letter, (share, title) in zip(figure.subplots(1, len(_PANELS)), "abcd", _PANELS, strict=True):
        means = {arm: paper.published(f"CPU {share}", arm) for arm in CLASSIFYING_ARMS}
        style.boxes(axes, {arm: seconds.loc[seconds["arm"] == arm, f"{share}_pct"] for arm in arms}, means)
        style.panel(axes, letter, title)
        if letter == "a":
            axes.set_ylabel("CPU time (% of all CPUs)")
    style.boxes_legend(figure)
    cpus = samples.loc[(samples["source"] == "mpstat") & (samples["entity"] != "cpu-all"), "entity"].nunique()
    style.small_print(
        figure,
        f"{style.runs_print(losses, arms, window_ms)} One value a second, mpstat: {_seconds(seconds)}. "
        f"{cpus} CPUs here, {paper.PAPER_CPUS} in the paper: equal work is another share.",
    )
    return figure


def _seconds(seconds: pd.DataFrame) -> str:
    counts = seconds.groupby("arm").size()
    return f"{counts.min()} to {counts.max()} per arm" if counts.nunique() > 1 else f"{counts.min()} per arm"
