"""What each cause costs in accuracy: a waterfall from scikit-learn to the authors' kernel, and each cause alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from upfml.base.words import given, number
from upfml.report.figures import style

_SPLITS = {"random": "random split (the paper's)", "grouped": "split by flow"}
_TOGETHER = ["whole ms, trained on them", "whole ms and thresholds"]
"""The other chains to draw: the two shortest ways to whole milliseconds."""
_LOSS = {"facecolor": style.SKY, "edgecolor": style.BLACK, "linewidth": 0.5}
_GAIN = {"facecolor": "white", "edgecolor": style.BLUE, "linewidth": 0.5, "hatch": "//////"}
_INTERVAL = {"color": style.BLACK, "linewidth": 1}
_LINEAR_POINTS = 0.1
_TICKS = [-10, -1, 0, 1, 10]

Row = Mapping[str, Any]


@style.styled
def draw(study: Mapping[str, Any]) -> Figure:
    """One line for each cause, in percentage points from scikit-learn on floats. Takes accuracy_causes.json."""
    causes = [cause["cause"] for cause in study["causes"]]
    names = ["scikit-learn on floats", "this project's kernel", *causes, "the authors' kernel", *_TOGETHER]
    blocks = [2, 2 + len(causes), 3 + len(causes)]
    published = study["paper_accuracy_pct"]
    loss = published["sklearn"] - published["kernel"]

    figure = style.sheet(style.PAGE_IN, 4.0)
    panels = figure.subplots(1, 4, sharey=True, width_ratios=[1.7, 1.15, 1.7, 1.15])
    for at, (split, title) in enumerate(_SPLITS.items()):
        left, right = panels[2 * at : 2 * at + 2]
        found = study["splits"][split]
        others = [next(row for row in found["others"] if row["chain"] == name) for name in _TOGETHER]
        _waterfall(left, found, others, loss if split == "random" else None)
        _alone(right, [None, found["exact"], *(row["alone"] for row in found["causes"]), None, *others], loss)
        style.panel(left, "ac"[at], title)
        style.panel(right, "bd"[at], "alone")
    panels[0].set_yticks(range(len(names)), names)
    panels[0].set_ylim(len(names) - 0.4, -0.6)
    for axes in panels:
        axes.tick_params(axis="y", length=0)
        axes.grid(visible=False, axis="y")
        for edge in blocks:
            axes.axhline(edge - 0.5, color="#BBBBBB", linewidth=0.5)
    figure.legend(
        handles=[
            Patch(**_LOSS, label="lost by the cause"),
            Patch(**_GAIN, label="regained"),
            Line2D([], [], color=style.BLACK, marker="D", linestyle="none", label="a whole chain"),
            Line2D([], [], **_INTERVAL, label="95 % interval"),
            Line2D([], [], color=style.VERMILION, marker="*", linestyle=":", label=f"the paper's loss, {loss:.2f}"),
        ],
        loc="outside upper center",
        ncols=5,
    )
    style.small_print(figure, *_words(study))
    return figure


def _waterfall(axes: Axes, found: Row, others: Sequence[Row], loss: float | None) -> None:
    """A bar for each cause, from the level before it to the level after it, and the accuracies of whole chains."""
    steps = [row["cumulative"] for row in found["causes"]]
    levels = np.cumsum([0.0, *(step["points"] for step in steps)])
    spans: dict[int, tuple[float, float, str]] = {}
    chains = {0: found["scikit_learn"], 1: found["exact"], 2 + len(steps): found["authors"]}
    chains |= dict(enumerate(others, start=3 + len(steps)))
    for y, row in chains.items():
        origin = found["scikit_learn"]["accuracy_pct"]
        low, at, high = (row[f"accuracy_{which}pct"] - origin for which in ("low_", "", "high_"))
        axes.plot([low, high], [y, y], **_INTERVAL)
        axes.plot(at, y, "D", color=style.BLACK)
        spans[y] = (low, high, f"{row['accuracy_pct']:.2f} %")
    for y, (step, before, after) in enumerate(zip(steps, levels[:-1], levels[1:], strict=True), start=2):
        axes.barh(y, after - before, left=before, height=0.66, **(_GAIN if after > before else _LOSS))
        low, high = before + step["points_low"], before + step["points_high"]
        axes.plot([low, high], [y, y], **_INTERVAL)
        axes.plot([after, after], [y, y + 1], color=style.GREY, linewidth=0.5, zorder=0)
        spans[y] = (min(low, before, after), max(high, before, after), number(step["points"], decimals=2, signed=True))
    if loss is not None:
        end = 2 + len(steps)
        axes.plot(-loss, end, "*", color=style.VERMILION, markersize=6)
        low, high, words = spans[end]
        spans[end] = (min(low, -loss), max(high, -loss), words)
    _write(axes, spans)
    axes.set_xlabel("percentage points from\nscikit-learn on floats")


def _write(axes: Axes, spans: Mapping[int, tuple[float, float, str]]) -> None:
    """Each line's number, on the side of its bar that has more room."""
    lowest, highest = min(low for low, _, _ in spans.values()), max(high for _, high, _ in spans.values())
    text = 0.44 * (highest - lowest)
    axes.set_xlim(lowest - 0.05 * (highest - lowest), highest + 0.05 * (highest - lowest))
    if any(low - lowest < text and highest - high < text for low, high, _ in spans.values()):
        axes.set_xlim(left=lowest - text)
    for y, (low, high, words) in spans.items():
        right = highest - high > text
        axes.annotate(
            words,
            (high if right else low, y),
            xytext=(4 if right else -4, 0),
            textcoords="offset points",
            ha="left" if right else "right",
            va="center",
            fontsize=6.5,
        )


def _alone(axes: Axes, rows: Sequence[Row | None], loss: float) -> None:
    """Each cause's change from scikit-learn on floats. The scale is linear up to _LINEAR_POINTS, logarithmic beyond."""
    axes.axvline(0, color=style.GREY, linewidth=0.6)
    axes.axvline(-loss, color=style.VERMILION, linestyle=":", linewidth=1)
    drawn = [(y, row) for y, row in enumerate(rows) if row is not None]
    for y, row in drawn:
        axes.plot([row["points_low"], row["points_high"]], [y, y], **_INTERVAL)
        chain = "accuracy_pct" in row
        axes.plot(
            row["points"], y, "D" if chain else "o", color=style.BLACK if chain else style.SKY, mec=style.BLACK, mew=0.6
        )
    low = 2 * min(-1, *(row["points_low"] for _, row in drawn))
    high = 2 * max(_LINEAR_POINTS, *(row["points_high"] for _, row in drawn))
    axes.set_xscale("symlog", linthresh=_LINEAR_POINTS, linscale=0.4)
    axes.set_xlim(low, high)
    ticks = [tick for tick in _TICKS if low <= tick <= high]
    axes.set_xticks(ticks, [given(tick) for tick in ticks])
    axes.set_xticks([], minor=True)
    axes.set_xlabel(f"points, linear\nwithin ±{_LINEAR_POINTS:g}")


def _words(study: Mapping[str, Any]) -> list[str]:
    method, trace, exact = study["method"], study["trace"], study["splits"]["random"]["exact"]
    flows = " and ".join(f"{count} {name}" for name, count in trace["flows"].items())
    beside = "; ".join(
        f"{title} {found['majority']['accuracy_pct']:.2f} and {found['one_threshold']['accuracy_pct']:.2f} %"
        for title, found in ((title, study["splits"][split]["baselines"]) for split, title in _SPLITS.items())
    )
    return [
        f"One trace, {trace['packets']:,} packets of {flows} flows; window {method['window_ms']:g} ms; "
        f"{method['folds']} folds, {method['repetitions']} repetitions, each with other folds and forests. Intervals: "
        f"{method['resamples']:,} draws of flows within each class. From “every packet” on, accuracy counts packets, "
        "not windows.",
        "This project's kernel (whole µs, exact thresholds, soft voting) and scikit-learn decide differently on the "
        f"same integers {exact['unlike_scikit_learn']} of {exact['decisions'] * method['repetitions']:,} times. Always "
        f"naming the larger class, and one threshold on one feature, would score: {beside}.",
    ]
