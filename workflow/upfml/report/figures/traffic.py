"""The traffic that the model learns from: inter-arrival times, rates over time, and the players' rungs."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure

from upfml.base import xdpmode
from upfml.base.classes import CLASS_NAMES
from upfml.report.figures import style

_TUPLE = ["src", "dst", "src_port", "dst_port", "protocol"]


@style.styled
def draw(
    packets: pd.DataFrame,
    flows: pd.DataFrame,
    rungs: pd.DataFrame,
    lost_pct: float,
    xdp_mode: str,
    *,
    warmup_s: float,
    duration_s: float,
    n3_rate_mbit_s: Sequence[float] | None,
) -> Figure:
    """Takes tables packets, flows and rungs of the capture, its lost events in % and XDP mode, and its settings.

    Time 0 is the start of the capture, `warmup_s` after a player first asked for a segment. Table rungs starts earlier.
    N3's limiter takes the rates in turn, each for an equal share of warm-up and capture. None: no limit.
    """
    labelled = packets.merge(flows[[*_TUPLE, "label"]], on=_TUPLE, how="left")
    time_s = (labelled["t_ns"] - labelled["t_ns"].min()) / 1e9
    limits = _schedule(n3_rate_mbit_s, warmup_s, duration_s)

    figure = style.sheet(style.PAGE_IN, 4.5)
    (iat, throughput), (players, rate) = figure.subplots(2, 2)
    for label in CLASS_NAMES:
        mine = labelled["label"] == label
        look = style.CLASSES[label]
        gaps_ns = labelled.loc[mine & (labelled["iat_ns"] > 0), "iat_ns"]
        if len(gaps_ns):
            style.distribution(iat, gaps_ns / 1e6, look, label=look.label)
        second = time_s[mine].astype("int64")
        seconds = np.arange(int(duration_s))
        bits = 8 * labelled.loc[mine, "length_bytes"].groupby(second).sum().reindex(seconds, fill_value=0)
        throughput.plot(seconds + 0.5, bits / 1e6, look.line, color=look.colour)
        counts = second.value_counts().reindex(seconds, fill_value=0)
        rate.plot(seconds + 0.5, counts, look.line, color=look.colour)
    if limits:
        starts, values = zip(*limits, strict=True)
        (line,) = throughput.plot([*starts, duration_s], [*values, values[-1]], ":", color=style.BLACK, linewidth=1)
        line.set(drawstyle="steps-post", label="rate limit of N3")
    _rungs(players, rungs, warmup_s)
    for letter, axes, title, unit in (
        ("a", iat, "inter-arrival time in a flow", "share of packets"),
        ("b", throughput, "throughput", "Mbit/s (inner IP)"),
        ("c", players, "rung that each player chose", "player"),
        ("d", rate, "packets", "packets/s"),
    ):
        style.panel(axes, letter, title)
        axes.set_ylabel(unit)
        if axes is not iat:
            axes.set_xlim(0, duration_s)
            axes.set_xlabel("time (s)")
            axes.set_ylim(bottom=0)
            for start, _ in limits[1:]:
                axes.axvline(start, color=style.GREY, linewidth=0.6, linestyle=":")
    iat.set_xscale("log")
    iat.set_xlim(left=labelled.loc[labelled["iat_ns"] > 0, "iat_ns"].quantile(0.001) / 1e6)
    iat.set_xlabel("inter-arrival time (ms)")
    handles = [*iat.get_legend_handles_labels()[0], *throughput.get_legend_handles_labels()[0]]
    figure.legend(handles=handles, loc="outside upper center", ncols=3)
    style.small_print(figure, _evidence(labelled, flows, lost_pct, xdp_mode))
    return figure


def _schedule(rates: Sequence[float] | None, warmup_s: float, duration_s: float) -> list[tuple[float, float]]:
    """For each part of the run: its start in s after the start of the capture, and its rate in Mbit/s."""
    share_s = (warmup_s + duration_s) / len(rates or [None])
    return [(part * share_s - warmup_s, rate) for part, rate in enumerate(rates or [])]


def _rungs(axes: Axes, rungs: pd.DataFrame, warmup_s: float) -> None:
    """A row for each player, in order of arrival. The colour is the rung from one request to the next."""
    bitrates = sorted(rungs["bitrate_mbit_s"].unique())
    steps = ListedColormap(colormaps["cividis"](np.linspace(1, 0, len(bitrates))))  # lighter is lower, in grey too
    scale = ScalarMappable(BoundaryNorm(np.arange(len(bitrates) + 1) - 0.5, len(bitrates)), steps)
    time_s = rungs["t_s"] - rungs["t_s"].min() - warmup_s
    for row, (_, mine) in enumerate(rungs.assign(time_s=time_s).sort_values("t_s").groupby("client", sort=False), 1):
        begin = mine["time_s"].to_numpy()
        colours = scale.to_rgba([bitrates.index(bitrate) for bitrate in mine["bitrate_mbit_s"]])
        axes.hlines(np.full(len(begin) - 1, row), begin[:-1], begin[1:], colors=colours[:-1], linewidth=2.5)
        axes.scatter(begin, np.full(len(begin), row), c=colours, marker="|", s=12, linewidth=0.8)
    axes.yaxis.get_major_locator().set_params(integer=True)
    bar = axes.figure.colorbar(scale, ax=axes, ticks=range(len(bitrates)), pad=0.02, aspect=15)
    bar.set_ticklabels([f"{bitrate:g}" for bitrate in bitrates])
    bar.set_label("Mbit/s")
    bar.ax.tick_params(length=0)


def _evidence(labelled: pd.DataFrame, flows: pd.DataFrame, lost_pct: float, xdp_mode: str) -> str:
    packets, kinds = labelled["label"].value_counts(), flows["label"].value_counts()
    classes = ", ".join(
        f"{name} {packets.get(label, 0)} packets of {kinds.get(label, 0)} flows" for label, name in CLASS_NAMES.items()
    )
    others = int(labelled["label"].isna().sum())
    return (
        f"Captured on N3 ({xdpmode.words([xdp_mode])}): {classes}. Events lost: {lost_pct:.2f} %. Not drawn: {others} "
        "packets of other flows. Vertical dotted lines: N3's limit changes."
    )
