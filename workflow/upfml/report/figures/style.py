"""The look of every figure: its size, type, colours and marks.

Colours are those of Okabe and Ito (Color Universal Design, 2008), which the colour-blind can tell apart. A marker, line
style or hatch repeats what a colour says, so that figures work in grey. Sizes are those in print: nothing is scaled.
"""

from __future__ import annotations

import functools
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ParamSpec

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike

from upfml.arms import SETS, Arm, Arms
from upfml.base import words, xdpmode
from upfml.base.classes import EMBB, URLLC
from upfml.base.files import whole_file
from upfml.base.statistics import Estimate
from upfml.report.metrics import loss_pct

PAGE_IN = 7.1
"""Width of a page of two columns, in inches."""

BLACK = "#000000"
ORANGE = "#E69F00"
SKY = "#56B4E9"
GREEN = "#009E73"
BLUE = "#0072B2"
VERMILION = "#D55E00"  # the paper's values, and nothing else
PURPLE = "#CC79A7"
GREY = "#5F5F5F"

_TYPE: dict[Any, Any] = {
    "figure.dpi": 100,
    "savefig.dpi": 300,
    "pdf.fonttype": 42,  # TrueType: text stays text, as publishers demand
    "font.family": "DejaVu Sans",  # comes with matplotlib, so it is the same everywhere
    "font.size": 7.5,
    "axes.titlesize": 7.5,
    "axes.titlelocation": "left",
    "axes.labelsize": 7.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": "#DDDDDD",
    "grid.linewidth": 0.5,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "hatch.linewidth": 0.5,
    "lines.linewidth": 1.2,
    "lines.markersize": 4,
}
_SMALL_PT = 6


@dataclass(frozen=True)
class Look:
    """What stands for an arm or a class."""

    label: str
    colour: str
    marker: str
    line: Any  # matplotlib's line style
    hatch: str


_KINDS = {
    "none": Look("forward\nonly", "#BBBBBB", "s", ":", ""),
    "collect": Look("collect\nonly", SKY, "^", "-.", "...."),
    "user": Look("Python", ORANGE, "o", "--", "////"),
    "native": Look("C", PURPLE, "P", "-.", "\\\\\\\\"),
    "afxdp": Look("AF_XDP", GREEN, "X", (0, (5, 1)), "xxxx"),
    "kernel": Look("kernel", BLUE, "D", "-", ""),
}
"""The look of each kind of arm. Labels of arms in user space name how they classify."""
_SUFFIXES = {
    "packet": ("packets", "++"),
    "perf": ("perf", "--"),
    "batched": ("batched", "||"),
    "change": ("changes", "oo"),
}
"""The word below the kind's label, and the hatch."""
_LINES = {"packet": (0, (1, 1)), "perf": (0, (3, 1, 1, 1)), "batched": (0, (1, 3)), "change": (0, (6, 2))}
SCIKIT_LEARN = Look("scikit-learn", BLACK, "v", "-", "")
CLASSES = {
    URLLC: Look("URLLC", GREEN, "o", "-", ""),
    EMBB: Look("eMBB", PURPLE, "s", "--", "////"),
}

SERIES_COLOURS = [BLUE, ORANGE, GREEN, PURPLE, SKY, BLACK]
SERIES_MARKERS = ["o", "s", "D", "^", "v"]
"""For any number of lines: 30 pairs before one repeats."""

P = ParamSpec("P")


def styled(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Run a drawing function with the house's settings, whatever matplotlibrc the user has."""

    @functools.wraps(draw)
    def in_style(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with mpl.rc_context():
            mpl.rcdefaults()
            mpl.rcParams.update(_TYPE)
            return draw(*args, **kwargs)

    return in_style


def sheet(width_in: float, height_in: float) -> Figure:
    """An empty figure of this size in print that keeps its parts from overlapping."""
    layout = ConstrainedLayoutEngine(w_pad=0.04, h_pad=0.04, wspace=0.04, hspace=0.04)
    return Figure(figsize=(width_in, height_in), layout=layout)


def save(figure: Figure, *paths: Path | str, note: str | None) -> None:
    """Write the figure once per path, in the format of its suffix. The same figure gives the same bytes.

    `note` is written across it, for instance that the run was too short (config.yaml: note).
    """
    dateless: dict[str, dict[str, Any]] = {".pdf": {"CreationDate": None}, ".png": {"Software": None}}
    with mpl.rc_context(_TYPE):
        if note:
            _write_across(figure, note)
        for path in map(Path, paths):
            with whole_file(path) as partial:
                figure.savefig(partial, format=path.suffix[1:], metadata=dateless[path.suffix])


def _write_across(figure: Figure, note: str) -> None:
    """Large, oblique and pale over all panels. Nobody can miss it or cut it off, and the figure can still be read."""
    width_in, height_in = figure.get_size_inches()
    angle = np.arctan2(height_in, width_in) / 2
    room_pt = 72 * 0.9 * min(width_in / np.cos(angle), height_in / np.sin(angle))
    size_pt = room_pt / (0.6 * len(note))  # a letter of the font is about 0.6 as wide as the font is high
    figure.text(
        0.5, 0.5, note, rotation=np.degrees(angle), size=size_pt, weight="bold", color=GREY, alpha=0.4,
        ha="center", va="center", zorder=10, in_layout=False,
    )  # fmt: skip


ERROR_TICKS_PCT = [0, 0.01, 0.1, 1, 10, 50]


def error_scale(axes: Axes, which: str) -> None:
    """Label x or y as accuracy, on a scale that is logarithmic in the error (%). So 99.6 and 99.97 % are far apart.

    Plot 100 - accuracy on it, and set its limits from the larger error to the smaller.
    """
    {"x": axes.set_xscale, "y": axes.set_yscale}[which]("symlog", linthresh=ERROR_TICKS_PCT[1], linscale=0.5)
    axis = {"x": axes.xaxis, "y": axes.yaxis}[which]
    axis.set_ticks(ERROR_TICKS_PCT, [f"{100 - error:g}" for error in ERROR_TICKS_PCT])
    axis.set_label_text("accuracy (%), logarithmic in the error")


def small_print(figure: Figure, *sentences: str) -> None:
    """Method and sample sizes, below the figure and wrapped to its width. The figure grows by that height."""
    characters = int(figure.get_size_inches()[0] * 72 / (_SMALL_PT * 0.53))
    together = [sentence.replace(" %", "\N{NO-BREAK SPACE}%") for sentence in sentences]
    lines = [line for sentence in together for line in textwrap.wrap(sentence, characters)]
    width, height = figure.get_size_inches()
    figure.set_size_inches(width, height + len(lines) * _SMALL_PT * 1.3 / 72)
    figure.supxlabel("\n".join(lines), x=0.01, ha="left", fontsize=_SMALL_PT, color=GREY, linespacing=1.3)


def runs_print(turns: pd.DataFrame, arms: Arms, window_ms: float) -> str:
    """Trials, window, XDP mode, lost events and noisy turns of the drawn arms. `turns` comes from `metrics.gather`."""
    drawn = turns[turns["arm"].isin(arms.names)]
    trials = "/".join(sorted({str(count) for count in drawn.groupby("arm")["trial"].nunique()}, key=int))
    lost = {arm: loss_pct(drawn[drawn["arm"] == arm.name]) for arm in arms}
    words = ", ".join(f"{arm} {share:.2f} %" for arm, share in lost.items() if share is not None)
    noisy = (drawn["noise"] != "").sum()
    return (
        f"n = {trials} trial{'' if trials == '1' else 's'} per arm, in which all arms take turns on the same traffic; "
        f"window {window_ms:g} ms; {xdpmode.words(drawn['xdp_mode'])}; events lost: {words}; noisy turns: {noisy} "
        f"of {len(drawn)}."
    )


def look(arm: Arm) -> Look:
    """The look of an arm: that of its kind, plus a word, a hatch and a line style for each suffix of its name."""
    plain = _KINDS[arm.kind]
    if not arm.suffixes:
        return plain
    words, hatches = zip(*(_SUFFIXES[suffix] for suffix in arm.suffixes), strict=True)
    line = _LINES[arm.suffixes[0]]
    return replace(plain, label="\n".join([plain.label, *words]), line=line, hatch="".join(hatches))


def in_order(arms: Arms) -> Arms:
    """The arms in the order in which figures show them: that of the set `every`, then others."""
    place = {name: at for at, name in enumerate(SETS["every"])}
    return Arms(sorted(arms, key=lambda arm: (place.get(arm.name, len(place)), arm.name)))


def series(at: int) -> dict[str, Any]:
    """Colour and marker of the line number `at`."""
    return {"color": SERIES_COLOURS[at % len(SERIES_COLOURS)], "marker": SERIES_MARKERS[at % len(SERIES_MARKERS)]}


def panel(axes: Axes, letter: str, title: str) -> None:
    """`(a) title` over a panel."""
    axes.set_title(f"({letter}) {title}")


def distribution(axes: Axes, values: ArrayLike, look: Look, **line: Any) -> None:
    """Empirical distribution function, thinned to 400 quantiles so that the PDF stays small."""
    shares = np.linspace(0, 1, 400)
    quantiles = np.quantile(np.asarray(values, dtype=float), shares, method="inverted_cdf")
    axes.plot(quantiles, shares, linestyle=look.line, color=look.colour, drawstyle="steps-post", **line)


def boxes(axes: Axes, by_arm: Mapping[Arm, pd.Series[float]], paper: Mapping[Arm, float]) -> None:
    """A box plot for each arm: quartiles, whiskers of 1.5 IQR, outliers. A diamond and a number show the mean.

    `paper` holds the paper's means, drawn as red bars with a star.
    """
    arms = list(by_arm)
    drawn = axes.boxplot(
        [by_arm[arm].dropna() for arm in arms],
        widths=0.55,
        patch_artist=True,
        showmeans=True,
        meanprops={"marker": "D", "markerfacecolor": "white", "markeredgecolor": BLACK, "markersize": 4, "zorder": 4},
        medianprops={"color": BLACK, "linewidth": 1.2},
        flierprops={"marker": ".", "markersize": 2.5, "markeredgecolor": GREY},
        boxprops={"linewidth": 0.7},
        whiskerprops={"linewidth": 0.7},
        capprops={"linewidth": 0.7},
    )
    for box, arm in zip(drawn["boxes"], arms, strict=True):
        box.set(facecolor=look(arm).colour, hatch=look(arm).hatch)
    axes.set_ylim(0, 1.14 * max([*axes.get_ylim(), *paper.values()]))
    for position, arm in enumerate(arms, 1):
        mean = by_arm[arm].mean()
        axes.text(
            position,
            0.995,
            words.number(mean),
            transform=axes.get_xaxis_transform(),
            ha="center",
            va="top",
            fontsize=_SMALL_PT,
        )
        if arm in paper:
            axes.plot([position - 0.4, position + 0.4], [paper[arm]] * 2, color=VERMILION, linewidth=1, zorder=5)
            axes.plot(position + 0.4, paper[arm], "*", color=VERMILION, markersize=5, zorder=5)
    axes.set_xticks(range(1, len(arms) + 1), [look(arm).label for arm in arms])
    axes.tick_params(axis="x", length=0, labelsize=6.5 if len(arms) <= 4 else 5.4)
    axes.grid(visible=False, axis="x")


def trials(
    axes: Axes, at: float, values: pd.Series[float], noisy: pd.Series[bool], estimate: Estimate, look: Look
) -> None:
    """One dot for each trial, hollow if it is `noisy`, and beside them the mean with its interval, around x = `at`."""
    spread = np.linspace(-0.28, 0.1, len(values)) if len(values) > 1 else np.zeros(1)
    for x, value, doubted in zip(at + spread, values, noisy, strict=True):
        face = "white" if doubted else look.colour
        axes.plot(x, value, "o", markersize=2.5, markerfacecolor=face, markeredgecolor=look.colour, markeredgewidth=0.6)
    if estimate.low is not None and estimate.high is not None:
        axes.plot([at + 0.26] * 2, [estimate.low, estimate.high], color=BLACK, linewidth=1)
    axes.plot(at + 0.26, estimate.value, look.marker, color=look.colour, markeredgecolor=BLACK, markersize=4.5)


def boxes_legend(figure: Figure) -> None:
    """What the marks of `boxes` mean, once for all panels."""
    figure.legend(
        handles=[
            Line2D(
                [],
                [],
                marker="D",
                color="none",
                markerfacecolor="white",
                markeredgecolor=BLACK,
                label="mean (number on top)",
            ),
            Line2D([], [], marker="*", color=VERMILION, label="the paper's mean"),
            Line2D([], [], color=BLACK, label="median"),
            Line2D([], [], marker=".", color="none", markeredgecolor=GREY, markerfacecolor=GREY, label="one second"),
        ],
        loc="outside upper center",
        ncols=4,
    )
