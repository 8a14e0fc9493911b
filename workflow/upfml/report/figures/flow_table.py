"""What a flood of new flows does to the flows that keep sending, by size of the flow table."""

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from upfml.report.figures import style

_KINDS = {"lru": ("LRU", style.BLUE, "D", "-"), "hash": ("hash (paper)", style.ORANGE, "o", "--")}
_IDEAL = {"color": style.BLACK, "marker": "v", "linestyle": ":", "markerfacecolor": "white"}


@style.styled
def draw(flood: pd.DataFrame, trace_s: float) -> Figure:
    """Decisions that the flood did not change, and flows of the trace that were evicted. Takes table flood."""
    figure = style.sheet(style.PAGE_IN, 2.5)
    kept, restarts = figure.subplots(1, 2)
    for kind, (label, colour, marker, line) in _KINDS.items():
        rows = flood[flood["kind"] == kind].sort_values("flows")
        share = 100 * rows["unchanged"] / rows["decisions_undisturbed"]
        kept.plot(rows["flows"], share, line, color=colour, marker=marker, label=label)
    lru = flood[flood["kind"] == "lru"].sort_values("flows")
    restarts.plot(lru["flows"], lru["restarts"], "-", color=style.BLUE, marker="D")
    restarts.plot(lru["flows"], lru["restarts_ideal"], **_IDEAL)
    style.panel(kept, "a", "decisions that the flood left unchanged")
    style.panel(restarts, "b", "evicted flows of the trace that went on")
    kept.set_ylabel("share (%)")
    restarts.set_ylabel("evictions")
    restarts.set_yscale("symlog", linthresh=1)
    restarts.set_ylim(bottom=-0.2)
    for axes in (kept, restarts):
        axes.set_xscale("log", base=2)
        axes.set_xticks(lru["flows"], [f"{flows:,}" for flows in lru["flows"]])
        axes.set_xlabel("flows in the table")
    handles = [Line2D([], [], color=c, marker=m, linestyle=line, label=name) for name, c, m, line in _KINDS.values()]
    handles.append(Line2D([], [], label="an exact LRU table", **_IDEAL))
    figure.legend(handles=handles, loc="outside upper center", ncols=3)
    first = flood.iloc[0]
    style.small_print(
        figure,
        f"The kernel program replays {trace_s:g} s of the recorded trace ({first['trace_flows']} flows, "
        f"{first['decisions_undisturbed']:,} decisions) on one CPU, with {first['flood']:,} flows of one packet each "
        "added. An LRU table forgets the flow that was silent for longest. A full hash table turns new flows away.",
    )
    return figure
