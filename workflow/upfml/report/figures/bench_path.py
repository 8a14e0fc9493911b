"""What each step of a packet's way costs, for few flows and for many."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from upfml.report.figures import style

_STEPS = {
    "pass": ("XDP_PASS", style.GREY, ""),
    "clock": ("clock", style.BLACK, ""),
    "parse": ("parse", style.SKY, "...."),
    "flow": ("flow", style.GREEN, ""),
    "statistics": ("statistics", style.PURPLE, "////"),
    "classify": ("classify", style.BLUE, ""),
    "deliver": ("deliver", style.ORANGE, "\\\\\\\\"),
}
"""Label, colour and hatch of each step."""
_WAYS = {
    ("packet", "every"): "every packet classified, every decision delivered",
    ("window", "every"): "windows classified, every decision delivered",
    ("window", "change"): "windows classified, changes delivered: a settled flow",
}


@style.styled
def draw(path: pd.DataFrame) -> Figure:
    """A panel for each way, with a bar for each number of flows. Takes the table of bench.path."""
    figure = style.sheet(style.PAGE_IN, 4.6)
    panels = figure.subplots(len(_WAYS), sharex=True)
    for axes, ((when, emit), title) in zip(panels, _WAYS.items(), strict=True):
        _bars(axes, path[(path["when"] == when) & (path["emit"] == emit)])
        axes.set_title(title)
    panels[0].set_xlim(0, 1.2 * path["ns"].max())
    panels[-1].set_xlabel("time of a packet (ns)")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=len(_STEPS))
    style.small_print(
        figure,
        "BPF_PROG_TEST_RUN's own time, one CPU, medians over turns; each packet belongs to another flow. About "
        "every 64th packet of a flow closes a window; its extra cost is spread over all packets. Classify and deliver "
        "each include a clock reading. Deliver: into a ring that nobody waits on. ×: relative to XDP_PASS alone.",
    )
    return figure


def _bars(axes: Axes, path: pd.DataFrame) -> None:
    flows = sorted(path["flows"].unique())
    steps = path.pivot(index="flows", columns="step", values="ns_step").loc[flows].clip(lower=0)
    left = pd.Series(0.0, index=flows)
    for step, (label, colour, hatch) in _STEPS.items():
        axes.barh(
            range(len(flows)), steps[step], 0.6, left=left, label=label, color=colour, hatch=hatch,
            edgecolor="white", linewidth=0.4,
        )  # fmt: skip
        left += steps[step]
    whole = path[path["step"] == "deliver"].set_index("flows")
    for at, number in enumerate(flows):
        axes.annotate(
            f"{whole.loc[number, 'ns']:,.0f} ns, {whole.loc[number, 'over_pass']:.1f} ×",
            (left[number], at), (3, 0), textcoords="offset points", va="center", fontsize=7,
        )  # fmt: skip
    axes.set_yticks(range(len(flows)), [f"{number:,}" for number in flows])
    axes.invert_yaxis()
    axes.set_ylabel("flows")
    axes.grid(visible=False, axis="y")
