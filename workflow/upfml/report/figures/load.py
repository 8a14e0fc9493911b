"""A sweep of the load: each arm's losses, CPU and time to label, and the value at which it breaks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from upfml.arms import Arms
from upfml.base import xdpmode
from upfml.report.figures import style
from upfml.studies.load import breaks

_AXES = {"rate": "packets/s", "flows": "flows", "period": "period of a flow (ms)"}
_PANELS = [
    ("lost: packets, events or decisions", "share (%)", "lost_pct", 1.0),
    ("CPU of forwarding and classifier", "of the UPF's CPUs (%)", "upf_cpu_pct", 1.0),
    ("arrival to label, p99", "time (µs)", "latency_p99_ns", 1e-3),
]
"""Title, unit, the column of breaks.medians, and the factor from column to unit."""
_LOSS_FLOOR_PCT = 0.01
"""Below this the scale of the loss is linear, so that zero can be drawn."""


@style.styled
def draw(arms: Arms, load: pd.DataFrame, sweep: str, window_ms: float) -> Figure:
    """One line for each arm over the values of a sweep (rate, flows or period). Takes load.arms and table load.

    The small print names turns whose packets were not sent in time; they are not drawn.
    """
    rows = load[load["sweep"] == sweep]
    middle = breaks.medians(rows)
    found = breaks.find(rows)["sweeps"][sweep]
    present = style.in_order(arms.among(rows["arm"]))
    figure = style.sheet(style.PAGE_IN, 2.9)
    panels = figure.subplots(1, len(_PANELS))
    for axes, letter, (title, unit, column, factor) in zip(panels, "abc", _PANELS, strict=True):
        for arm in present:
            points = middle[middle["arm"] == arm.name]
            look, values = style.look(arm), factor * points[column]
            axes.plot(points["value"], values, linestyle=look.line, color=look.colour, marker=look.marker)
            broke = points["value"] == found["arms"].get(arm.name, {}).get("broke")
            axes.plot(points["value"][broke], values[broke], "x", color=style.BLACK, markersize=7, zorder=5)
        style.panel(axes, letter, title)
        axes.set_ylabel(unit)
        _over_values(axes, sweep, sorted(rows["value"].unique()))
    loss, _, latency = panels
    loss.set_yscale("symlog", linthresh=_LOSS_FLOOR_PCT)
    loss.set_ylim(0, 130)
    loss.axhline(breaks.LIMIT_PCT, color=style.BLACK, linewidth=0.8, linestyle=":")
    if middle["latency_p99_ns"].notna().any():
        latency.set_yscale("log")
    figure.legend(handles=_legend(present), loc="outside upper center", ncols=5)
    style.small_print(figure, *_small_print(rows, sweep, window_ms, found))
    return figure


def _over_values(axes: Axes, sweep: str, values: list[float]) -> None:
    axes.set_xscale("log")
    axes.set_xticks(values, [f"{value / 1e3:g}k" if value >= 1e3 else f"{value:g}" for value in values])
    axes.set_xticks([], minor=True)
    axes.set_xlabel(_AXES[sweep])
    if sweep in breaks.LIGHTEST_LAST:
        axes.invert_xaxis()


def _legend(arms: Arms) -> list[Line2D]:
    looks = [(arm.name, style.look(arm)) for arm in arms]
    return [
        *(Line2D([], [], linestyle=k.line, color=k.colour, marker=k.marker, label=name) for name, k in looks),
        Line2D([], [], linestyle="none", marker="x", markersize=7, color=style.BLACK, label="breaks"),
    ]


def _small_print(rows: pd.DataFrame, sweep: str, window_ms: float, found: Mapping[str, Any]) -> list[str]:
    fixed = {
        "rate": f"{rows['flows'].iloc[0]:,.0f} flows",
        "flows": f"{rows['wanted_packets_per_s'].iloc[0]:,.0f} packets/s",
        "period": f"{rows['flows'].iloc[0]:,.0f} flows",
    }[sweep]
    turns = rows["turn"].nunique()
    sentences = [
        f"{fixed}; window {window_ms:g} ms; {xdpmode.words(rows['xdp_mode'])}; medians over {turns} "
        f"turn{'' if turns == 1 else 's'}. Lost packets: beyond what forwarding alone loses. Breaks: the first "
        f"value with more than {breaks.LIMIT_PCT:g} % lost (dotted). CPU: "
        "the thread that receives N3 and the agent, without the generator.",
    ]
    late = found["not_offered"]
    if late:
        places = ", ".join(f"{place['arm']} at {place['value']:g} ({place['turns']})" for place in late)
        sentences.append(f"Left out because the generator was late (turns): {places}.")
    return sentences
