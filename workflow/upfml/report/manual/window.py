"""The manual's picture of a flow's windows, and the numbers beside it, computed by the definition itself."""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from upfml.base import pages
from upfml.packets.features import ClosedWindow, Definition, Flow, no_overflows

ARRIVALS_MS = [0, 90, 210, 300, 420, 530, 610, 740, 820, 960, 1620, 1700, 1850, 1900, 2040]
"""Of an example flow. It is silent for the whole of window 2."""
WINDOW_MS = 500
_NS_PER_MS = 1_000_000
_USED, _BOUNDARY, _INK = "#2a6fbb", "#999999", "#222222"


@dataclass(frozen=True)
class Shown:
    """A closed window of the example: its number, the packet that closed it, its statistics (ms, ms²) and features."""

    window: int
    packets: int
    closed_by_ms: int
    mean: int
    variance: int
    features: tuple[int, ...] | None  # None: nothing closed before, so it is not classified


@cache
def example() -> list[Shown]:
    """The windows of ARRIVALS_MS that close, by upfml.packets.features."""
    definition = Definition(WINDOW_MS * _NS_PER_MS, _NS_PER_MS)
    flow = Flow(ARRIVALS_MS[0], no_overflows())
    shown: list[Shown] = []
    for before, now in pairwise(ARRIVALS_MS):
        closed = flow.packet(now * _NS_PER_MS, (now - before) * _NS_PER_MS, definition)
        if closed is not None:
            if not shown:
                shown.append(_first(closed))
            mean, variance, *_ = closed.features
            shown.append(Shown(closed.window, closed.packets, now, mean, variance, closed.features))
    return shown


def _first(second: ClosedWindow) -> Shown:
    """The flow's first closed window: the definition hands it out only as the second one's previous."""
    inside = [t for t in ARRIVALS_MS if t < WINDOW_MS]
    return Shown(0, len(inside), ARRIVALS_MS[len(inside)], second.features[2], second.features[3], None)


def markdown() -> str:
    """The example's windows as a table."""
    rows = [
        [
            shown.window,
            shown.packets,
            f"{shown.closed_by_ms} ms",
            shown.mean,
            shown.variance,
            "not classified: no window closed before" if shown.features is None else f"`{list(shown.features)}`",
        ]
        for shown in example()
    ]
    head = ["window", "packets", "closed by the packet at", "mean IAT, ms", "variance, ms²", "features"]
    return pages.table(head, rows)


def svg() -> str:
    """The example's packets, windows and features, as SVG."""
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "upfml", "font.family": "sans-serif"}):
        figure = Figure(figsize=(9, 2.9), layout="constrained")
        _draw(figure.subplots())
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    return text.getvalue()


def _draw(axes: Axes) -> None:
    end = ARRIVALS_MS[-1] + 130
    axes.hlines(0, 0, end, color=_INK, linewidth=1)
    for number, start in enumerate(range(0, end, WINDOW_MS)):
        axes.vlines(start, -0.55, 1.5, color=_BOUNDARY, linewidth=1, linestyle="--")
        if start + WINDOW_MS <= end:
            axes.text(start + WINDOW_MS / 2, 1.3, f"window {number}", ha="center", color=_INK, weight="bold")
    axes.vlines(ARRIVALS_MS, 0, 0.45, color=_USED, linewidth=2)
    first, second = ARRIVALS_MS[1:3]
    axes.annotate("", (second, 0.55), (first, 0.55), arrowprops={"arrowstyle": "<->", "color": _INK})
    axes.text((first + second) / 2, 0.62, "IAT", ha="center", color=_INK)
    shown = example()
    for window in shown:
        start = window.window * WINDOW_MS
        axes.text(
            start + WINDOW_MS / 2, 0.88, f"mean {window.mean}, variance {window.variance}", ha="center", fontsize=9
        )
        axes.annotate(
            f"closes\nwindow {window.window}",
            (window.closed_by_ms, 0),
            (window.closed_by_ms, -0.62),
            ha="center",
            va="top",
            fontsize=9,
            arrowprops={"arrowstyle": "->", "color": _USED},
        )
    silent = next(number for number in range(1, end // WINDOW_MS) if number not in {w.window for w in shown})
    axes.text((silent + 0.5) * WINDOW_MS, 0.88, "no packet: skipped", ha="center", fontsize=9, style="italic")
    axes.set(xlim=(-30, end), ylim=(-1.25, 1.6), yticks=[], xlabel="flow's clock, ms (starts at its first packet)")
    axes.set_xticks(range(0, end, WINDOW_MS))
    axes.spines[["left", "right", "top"]].set_visible(False)
