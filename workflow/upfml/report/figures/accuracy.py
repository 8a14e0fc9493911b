"""Accuracy of scikit-learn, user space and kernel, with intervals and confusion matrices."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from numpy.typing import NDArray

from upfml.arms import Arm, Arms
from upfml.base import published
from upfml.base.classes import CLASS_NAMES
from upfml.base.statistics import Estimate, mean_over_trials
from upfml.model.baselines import Baselines
from upfml.report.figures import style
from upfml.report.metrics import by_trial, confusion, from_decisions, offline

_SPLITS = {"random": "scikit-learn,\nrandom split", "grouped": "scikit-learn,\nsplit by flow"}
_SHADES = LinearSegmentedColormap.from_list("shades", ["#FFFFFF", style.BLUE])


@dataclass(frozen=True)
class _Score:
    """What the figure shows of one classifier. Accuracies are in %."""

    label: str
    look: style.Look
    has_matrix: bool
    accuracy: Estimate
    trials: list[float]
    balanced: float
    majority: float
    one_threshold: float
    published: float | None
    counts: NDArray[np.int64]


@style.styled
def draw(
    arms: Arms,
    decisions: pd.DataFrame,
    turns: pd.DataFrame,
    scores: dict[str, Any],
    baselines: Baselines,
    window_ms: float,
) -> Figure:
    """Accuracies on a scale that is logarithmic in the error, so that 99.6 and 99.97 % are told apart.

    Confusion matrices are those of the paper's arms. Takes the configuration's arms, gathered decisions and turns
    (metrics.gather), scores.json, and the baselines of the split that the runs' forest was trained on. Raises UserError
    without an arm of kind kernel or user.
    """
    present = style.in_order(arms.among(decisions["arm"]).classifying)
    roles = {role: present.papers(role) for role in ("user", "kernel")}
    metrics = from_decisions(arms, decisions)
    drawn = [_offline(scores[split], split) for split in _SPLITS]
    drawn += [_live(decisions, metrics, baselines, arm, roles) for arm in present]

    figure = style.sheet(style.PAGE_IN, 3.0 + 0.28 * len(drawn))
    with_matrix = [score for score in drawn if score.has_matrix]
    grid = figure.add_gridspec(2, len(with_matrix), height_ratios=[0.35 * len(drawn), 1])
    _accuracies(figure.add_subplot(grid[0, :]), drawn)
    for column, (letter, score) in enumerate(zip("bcde", with_matrix, strict=True)):
        _matrix(figure.add_subplot(grid[1, column]), score.counts, first=column == 0)
        style.panel(figure.axes[-1], letter, score.label)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    one_each = dict(zip(labels, handles, strict=True))
    figure.legend(one_each.values(), one_each.keys(), loc="outside upper center", ncols=4)
    windows = "; ".join(f"{score.label} {score.counts.sum()}".replace("\n", " ") for score in drawn)
    style.small_print(
        figure,
        f"{style.runs_print(turns, present, window_ms)} Windows classified: {windows}. "
        "Bars: 95 % intervals; Wilson over windows for scikit-learn, bootstrap over trials for live traffic. "
        f"One threshold: {baselines.in_words()}; the split by flow has its own.",
    )
    return figure


def _offline(score: dict[str, Any], split: str) -> _Score:
    return _Score(
        label=_SPLITS[split],
        look=style.SCIKIT_LEARN,
        has_matrix=True,
        accuracy=offline(score),
        trials=[],
        balanced=100 * score["balanced_accuracy"],
        majority=100 * score["majority_accuracy"],
        one_threshold=100 * score["one_threshold_accuracy"],
        published=published.value("accuracy", "sklearn") if split == "random" else None,  # the paper's split
        counts=np.array(score["confusion"]),
    )


def _live(
    decisions: pd.DataFrame, metrics: pd.DataFrame, baselines: Baselines, arm: Arm, roles: dict[str, Arm]
) -> _Score:
    trials = by_trial(metrics, arm, "accuracy")
    role = next((role for role, stands_in in roles.items() if stands_in == arm), None)
    mine = decisions[decisions["arm"] == arm.name]
    by_threshold = [
        counts.trace() / counts.sum()
        for _, rows in mine.groupby("trial")
        for counts in [confusion(rows.assign(predicted=baselines.one_threshold(rows)))]
    ]
    return _Score(
        label=f"{arm},\nlive traffic",
        look=style.look(arm),
        has_matrix=role is not None,
        accuracy=mean_over_trials(trials, (0, 100)),
        trials=trials.tolist(),
        balanced=float(by_trial(metrics, arm, "balanced_accuracy").mean()),
        majority=float(by_trial(metrics, arm, "majority_accuracy").mean()),
        one_threshold=100 * float(np.mean(by_threshold)),
        published=published.value("accuracy", role) if role else None,
        counts=confusion(mine),
    )


def _accuracies(axes: Axes, scores: list[_Score]) -> None:
    """One line for each classifier. x is the error in %; its axis is reversed and labelled as accuracy."""
    for height, score in enumerate(reversed(scores)):
        look, estimate = score.look, score.accuracy
        if estimate.low is not None and estimate.high is not None:
            axes.plot(
                [100 - estimate.low, 100 - estimate.high],
                [height] * 2,
                color=style.BLACK,
                linewidth=1,
                label="accuracy, 95 % interval",
            )
        marks: list[tuple[float, float, str, str, int, str | None]] = [
            (score.majority, height, "|", style.GREY, 11, "always larger class"),
            (score.one_threshold, height, "x", style.GREY, 5, "one threshold"),
            (score.balanced, height, "s", "white", 5, "balanced accuracy"),
            (estimate.value, height, look.marker, look.colour, 6, None),
        ]
        if score.published is not None:
            marks.append((score.published, height + 0.32, "*", style.VERMILION, 6, "the paper's accuracy"))
        marks += [(trial, height - 0.26, "o", style.GREY, 2, "one trial") for trial in score.trials]
        for value, y, marker, colour, size, label in marks:
            edge = style.BLACK if colour in ("white", look.colour) else colour
            axes.plot(100 - value, y, marker, color=colour, markeredgecolor=edge, markersize=size, label=label)
        axes.annotate(
            f"{estimate.value:.2f} %", (1.0, height), xycoords=("axes fraction", "data"), ha="left", va="center"
        )
    style.error_scale(axes, "x")
    worst = max(
        100 - accuracy for score in scores for accuracy in (score.accuracy.value, score.balanced, *score.trials)
    )
    axes.set_xlim(max(style.ERROR_TICKS_PCT[-1], worst), -0.003)
    axes.set_yticks(range(len(scores)), [score.label for score in reversed(scores)])
    axes.set_ylim(-0.5, len(scores) - 0.4)
    style.panel(axes, "a", "accuracy")


def _matrix(axes: Axes, counts: NDArray[np.int64], *, first: bool) -> None:
    """Counts and shares of the true class (rows), shaded by share."""
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap=_SHADES, vmin=0, vmax=1, aspect="auto")
    for row in range(2):
        for column in range(2):
            share = shares[row, column]
            axes.text(
                column,
                row,
                f"{counts[row, column]}\n{100 * share:.2f} %",
                ha="center",
                va="center",
                fontsize=6.5,
                color="white" if share > 0.5 else style.BLACK,
            )
    names = list(CLASS_NAMES.values())
    axes.set_xticks([0, 1], names)
    axes.set_yticks([0, 1], names if first else [])
    axes.set_xlabel("predicted")
    if first:
        axes.set_ylabel("true class")
    axes.tick_params(length=0)
    axes.grid(visible=False)
