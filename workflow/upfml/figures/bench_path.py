"""What each step of a packet's way costs, for few flows and for many."""

import pandas as pd
from matplotlib.figure import Figure

from upfml.figures import style

_STEPS = {
    "pass": ("XDP_PASS", style.GREY, ""),
    "parse": ("parse", style.SKY, "...."),
    "flow": ("clock, flow", style.GREEN, ""),
    "statistics": ("statistics", style.PURPLE, "////"),
    "classify": ("classify", style.BLUE, ""),
    "deliver": ("clock, deliver", style.ORANGE, "\\\\\\\\"),
}
"""Label, colour and hatch of each step."""


@style.styled
def draw(path: pd.DataFrame) -> Figure:
    """A bar for each number of flows, stacked from the steps. Takes the table of bench.path."""
    figure = style.sheet(style.PAGE_IN, 2.4)
    axes = figure.subplots()
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
            f"{left[number]:,.0f} ns, {whole.loc[number, 'over_pass']:.0f} ×",
            (left[number], at), (3, 0), textcoords="offset points", va="center", fontsize=7,
        )  # fmt: skip
    axes.set_yticks(range(len(flows)), [f"{number:,}" for number in flows])
    axes.invert_yaxis()
    axes.set_ylabel("flows")
    axes.set_xlabel("time of a packet (ns)")
    axes.set_xlim(0, 1.2 * left.max())
    axes.grid(visible=False, axis="y")
    figure.legend(loc="outside upper center", ncols=len(_STEPS))
    style.small_print(
        figure,
        "BPF_PROG_TEST_RUN's own time, one CPU, medians over turns; each packet is another flow's, and each is "
        "classified. A reading of the clock is in the steps flow (arrival), classify (features ready) and deliver "
        "(label known). Deliver: into the buffer of events, nobody woken. ×: over XDP_PASS alone.",
    )
    return figure
