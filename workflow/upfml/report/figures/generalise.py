"""How the forest generalises: accuracy and baselines by scenario, and the class that each application gets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from upfml.base import xdpmode
from upfml.base.classes import APPLICATIONS, CLASS_NAMES, EMBB, URLLC
from upfml.report.figures import style
from upfml.studies.generalise.page import KINDS, TITLES, name

Row = Mapping[str, Any]

_LOOKS = {
    "forest": {"marker": "D", "color": style.BLUE, "markeredgecolor": style.BLACK, "markersize": 5},
    "one_threshold": {"marker": "x", "color": style.GREY, "markersize": 5},
    "majority": {"marker": "|", "color": style.GREY, "markersize": 10},
}
_RETRAINED = {"linestyle": "none", "marker": "o", "color": style.SKY, "markersize": 2}
_CALLED = LinearSegmentedColormap.from_list(
    "called", [style.CLASSES[URLLC].colour, "#FFFFFF", style.CLASSES[EMBB].colour]
)
"""From always called URLLC to always called eMBB."""


@style.styled
def draw(found: Mapping[str, Any]) -> Figure:
    """Top: a line per scenario. Below: a column per scenario, a row per application. Takes generalise.json."""
    scenarios = found["scenarios"]
    made = {each["application"]: each["label"] for scenario in scenarios for each in scenario["applications"]}
    applications = sorted(made, key=APPLICATIONS.index)

    figure = style.sheet(style.PAGE_IN, 1.4 + 0.22 * len(scenarios) + 0.42 * len(applications))
    rows = figure.add_gridspec(2, 2, height_ratios=[0.7 + 0.22 * len(scenarios), 0.6 + 0.42 * len(applications)])
    left = figure.add_subplot(rows[0, 0])
    right = figure.add_subplot(rows[0, 1], sharey=left)
    for axes, letter, score, title in (
        (left, "a", "accuracy", "accuracy (%)"),
        (right, "b", "balanced_accuracy", "balanced accuracy (%)"),
    ):
        _scores(axes, scenarios, score)
        style.panel(axes, letter, title)
    left.set_yticks(range(len(scenarios)), [name(scenario["scenario"]) for scenario in scenarios])
    left.set_ylim(len(scenarios) - 0.5, -0.5)
    right.tick_params(axis="y", labelleft=False)
    _matrix(figure.add_subplot(rows[1, :]), scenarios, applications, made)
    handles, labels = left.get_legend_handles_labels()
    one_each = dict(zip(labels, handles, strict=True))
    figure.legend(one_each.values(), one_each.keys(), loc="outside upper center", ncols=len(one_each))
    style.small_print(figure, *_words(found))
    return figure


def _scores(axes: Axes, scenarios: Sequence[Row], score: str) -> None:
    for y, scenario in enumerate(scenarios):
        for classifier, look in _LOOKS.items():
            scores = scenario["classifiers"][classifier]
            value, low, high = (scores[f"{score}_{part}pct"] for part in ("", "low_", "high_"))
            if classifier == "forest":
                others = scores[f"{score}_retrained_pct"]
                axes.plot(others, [y + 0.27] * len(others), label="retrained forests", **_RETRAINED)
            if classifier == "forest" and low is not None:
                axes.plot([low, high], [y, y], color=style.BLACK, linewidth=1, label="95 % interval")
            axes.plot(value, y, linestyle="none", label=TITLES[classifier], **look)
        forest = scenario["classifiers"]["forest"][f"{score}_pct"]
        axes.annotate(f"{forest:.1f}", (1.0, y), xycoords=("axes fraction", "data"), ha="left", va="center")
    axes.set_xlim(right=101.5)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")


def _matrix(axes: Axes, scenarios: Sequence[Row], applications: Sequence[str], made: Mapping[str, int]) -> None:
    """The share of each application's windows that the forest calls either class. Empty: not in that scenario."""
    shares = np.full((len(applications), len(scenarios)), np.nan)
    for column, scenario in enumerate(scenarios):
        for each in scenario["applications"]:
            row, called, windows = applications.index(each["application"]), each["called"]["forest"], each["windows"]
            shares[row, column] = called[CLASS_NAMES[EMBB]] / windows
            likelier = max(called, key=lambda name: called[name])
            axes.text(
                column,
                row,
                f"{100 * called[likelier] / windows:.1f} % {likelier}\nretrained {_range(each, likelier)}\n"
                f"{windows:,} w. of {each['flows']} fl.",
                ha="center",
                va="center",
                fontsize=6,
            )
    # Paler than the classes' colours, so that black text can be read on it.
    axes.imshow(shares, cmap=_CALLED, vmin=0, vmax=1, aspect="auto", alpha=0.6)
    axes.set_xticks(range(len(scenarios)), [name(scenario["scenario"]).replace(" ", "\n", 1) for scenario in scenarios])
    axes.set_yticks(range(len(applications)), [f"{each} ({KINDS[made[each]]})" for each in applications])
    for row in range(1, len(applications)):
        if made[applications[row]] != made[applications[row - 1]]:
            axes.axhline(row - 0.5, color=style.BLACK, linewidth=0.8)
    axes.tick_params(length=0)
    axes.grid(visible=False)
    style.panel(axes, "c", "what the forest calls the windows of each application (true class)")


def _range(application: Row, said: str) -> str:
    """Lowest and highest share, in %, of the application's windows that a retrained forest calls `said`."""
    of_embb = application["called_embb_retrained_pct"]
    shares = of_embb if said == CLASS_NAMES[EMBB] else [100 - share for share in of_embb]
    return f"{min(shares):.0f}–{max(shares):.0f}"


def _words(found: Mapping[str, Any]) -> list[str]:
    method = found["method"]
    runs = [scenario["run"] for scenario in found["scenarios"] if "run" in scenario]
    lost, received = (sum(run[f"events_{what}"] for run in runs) for what in ("lost", "received"))
    return [
        f"One run of {min(run['duration_s'] for run in runs):.0f} s for each scenario, with its own seeds and flows; "
        f"window {method['window_ms']:g} ms; {xdpmode.words(run['xdp_mode'] for run in runs)}; events lost "
        f"{100 * lost / max(lost + received, 1):.2f} %. First line: windows of the training trace, kept from "
        f"training at random. Intervals: {method['resamples']:,} draws of the scenario's flows within each class; they "
        f"leave out what another run would change. Retrained: the lowest and the highest of {method['retrained']} "
        f"forests, trained like this one on draws of the training flows. One threshold: {method['one_threshold']}. "
        "Accuracy leaves out applications of neither class. w.: windows, fl.: flows.",
    ]
