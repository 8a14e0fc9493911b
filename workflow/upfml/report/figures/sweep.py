"""Accuracy, latency and program size by depth and number of trees; points that the verifier refuses are marked."""

from collections.abc import Callable

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from upfml.report.figures import style

_VERIFIER_BUDGET = 1_000_000
"""Instructions that the verifier walks before it gives up (BPF_COMPLEXITY_LIMIT_INSNS in the kernel's linux/bpf.h)."""


def _error_pct(accuracy: "pd.Series[float]") -> "pd.Series[float]":
    return 100 - 100 * accuracy


_PANELS: list[tuple[str, str, str, str, Callable[["pd.Series[float]"], "pd.Series[float]"]]] = [
    ("accuracy, held-out windows", "", "accuracy_kernel", "accuracy_sklearn", _error_pct),
    ("inference, median", "time (µs)", "inference_kernel_median_ns", "inference_user_median_ns", lambda ns: ns / 1e3),
    ("the kernel's programs", "BPF instructions", "instructions", "verified_instructions", lambda count: count),
]
"""Title, unit, column of the solid line, column of the dashed line, and the conversion from column to unit."""
_BASELINES = {"accuracy_majority": "always larger class", "accuracy_one_threshold": "one threshold"}


@style.styled
def draw(sweep: pd.DataFrame, window_ms: float) -> Figure:
    """A line over depth for each number of trees, and a strip above each panel for the refused points.

    Takes table sweep.
    """
    figure = style.sheet(style.PAGE_IN, 3.2)
    strips, panels = figure.subplots(2, len(_PANELS), sharex="col", height_ratios=[0.1, 1])
    depths = sorted(sweep["max_depth"].unique())
    trees = sorted(sweep["n_estimators"].unique())
    for strip, axes, letter, (title, unit, solid, dashed, of) in zip(strips, panels, "abc", _PANELS, strict=True):
        for at, count in enumerate(trees):
            points = sweep[sweep["n_estimators"] == count].sort_values("max_depth")
            look, aside = style.series(at), min(0.25, 0.75 / len(trees)) * (at - (len(trees) - 1) / 2)
            x = points["max_depth"].map(depths.index) + aside
            axes.plot(x, of(points[dashed]), linestyle="--", linewidth=0.8, markerfacecolor="white", **look)
            axes.plot(x, of(points[solid]), linestyle="-", **look)
            _refused(strip, x[points["status"] == "refused"], look["color"], count)
        axes.set_yscale("log")
        axes.set_ylabel(unit)
        axes.set_xlabel("max_depth")
        axes.set_xticks(range(len(depths)), [str(depth) for depth in depths])
        axes.set_xlim(-0.5, len(depths) - 0.5)
        style.panel(strip, letter, title)
        strip.set(ylim=(0, 1), yticks=[0.5], yticklabels=["refused" if letter == "a" else ""], facecolor="#F2F2F2")
        strip.grid(visible=False)
        strip.tick_params(length=0)
    _beside(panels[0], sweep)
    panels[-1].axhline(_VERIFIER_BUDGET, color=style.BLACK, linewidth=0.8, linestyle=":")
    figure.legend(handles=_legend(trees), loc="outside upper center", ncols=len(trees) + 4)
    windows = sorted({sweep["test_windows"].min(), sweep["test_windows"].max()})
    style.small_print(
        figure,
        f"Window {window_ms:g} ms; {' to '.join(map(str, windows))} held-out windows per point. "
        "Solid: kernel. Dashed: (a) scikit-learn, (b) user space, (c) instructions that the verifier walked; "
        f"its limit is {_VERIFIER_BUDGET:,} (dotted). Refused points have no kernel program, so no solid mark.",
        *_reasons(sweep),
    )
    return figure


def _beside(axes: Axes, sweep: pd.DataFrame) -> None:
    """Draw the baselines that a forest must beat into the panel of accuracies."""
    style.error_scale(axes, "y")
    errors = {name: float(_error_pct(sweep[column]).iloc[0]) for column, name in _BASELINES.items()}
    for name, error in errors.items():
        axes.axhline(error, color=style.BLACK, linewidth=0.8, linestyle=":")
        axes.annotate(name, (0.02, error), xycoords=("axes fraction", "data"), xytext=(0, 2),
                      textcoords="offset points", fontsize=6)  # fmt: skip
    forests = _error_pct(pd.concat([sweep["accuracy_kernel"], sweep["accuracy_sklearn"]]))
    axes.set_ylim(1.5 * max(*errors.values(), forests.max()), 0.6 * forests.min() - 0.003)


def _refused(strip: Axes, x: "pd.Series[float]", colour: str, trees: int) -> None:
    strip.plot(x, [0.68] * len(x), "x", color=colour, markersize=4, markeredgewidth=1.2)
    for position in x:
        strip.text(position, 0.4, str(trees), fontsize=5.5, ha="center", va="top", color=style.BLACK)


def _legend(trees: list[int]) -> list[Line2D]:
    return [
        *(Line2D([], [], **style.series(at), label=f"{count} trees") for at, count in enumerate(trees)),
        Line2D([], [], color=style.GREY, label="kernel"),
        Line2D([], [], color=style.GREY, linestyle="--", linewidth=0.8, label="dashed: see below"),
        Line2D([], [], color=style.GREY, linestyle="none", marker="x", label="refused (number of trees)"),
    ]


def _reasons(sweep: pd.DataFrame) -> list[str]:
    """A sentence for each reason of the verifier, with its points."""
    refused = sweep[sweep["status"] == "refused"].sort_values(["max_depth", "n_estimators"])
    return [
        f"Refused {', '.join(f'{p.max_depth}/{p.n_estimators}' for p in points.itertuples())} (depth/trees): {reason}"
        for reason, points in refused.groupby("refused_reason", sort=False)
    ]
