"""What an inference costs relative to gcc's C, by engine, size of the forest and order of the inputs."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from upfml.report.figures import style

_TITLES = {
    "constant": "the same input",
    "trace": "as in the trace",
    "shuffled": "shuffled",
    "hardest": "at the thresholds",
}
_USER_SPACE = {"gcc-O2": (style.BLACK, "v"), "gcc-O3": (style.GREY, "^"), "tl2cgen": (style.PURPLE, "s")}
"""Colour and marker. Their lines are dashed. Engines in the kernel have solid lines and the remaining colours."""
_YARDSTICK = "gcc-O2"
_PYTHON = {"ctypes": "ctypes", "sklearn": "scikit-learn"}
"""Called from Python: the small print gives them, for they lie too far above the others to be drawn."""
_KERNEL = [(style.BLUE, "D"), (style.ORANGE, "o"), (style.GREEN, "P")]


@style.styled
def draw(inference: pd.DataFrame) -> Figure:
    """Ratio by number of trees: a column for each order, a row for each depth. Takes the table of bench.inference."""
    sizes = inference["forest"].str.extract(r"depth(?P<depth>\d+)-trees(?P<trees>\d+)").astype(int)
    table = inference.join(sizes)
    yardstick = table[table["engine"] == _YARDSTICK].set_index(["forest", "order"])["ns_net"]
    table["ratio"] = (
        table["ns_net"] / yardstick.reindex(pd.MultiIndex.from_frame(table[["forest", "order"]])).to_numpy()
    )
    python = table[table["engine"].isin(_PYTHON)]
    table = table[~table["engine"].isin(_PYTHON)]
    orders = [order for order in _TITLES if order in set(table["order"])]
    depths, trees = sorted(table["depth"].unique()), sorted(table["trees"].unique())
    looks = _looks(list(table["engine"].unique()))
    figure = style.sheet(style.PAGE_IN, 0.7 + 1.45 * len(depths))
    panels = figure.subplots(len(depths), len(orders), sharex=True, sharey=True, squeeze=False)
    for row, depth in zip(panels, depths, strict=True):
        for axes, order in zip(row, orders, strict=True):
            of_panel = table[(table["depth"] == depth) & (table["order"] == order)]
            for engine, look in looks.items():
                _line(axes, of_panel[of_panel["engine"] == engine].sort_values("trees"), trees, look)
            axes.set_yscale("log", base=2)
            axes.yaxis.set_major_formatter("{x:g}")
            axes.set_xticks(range(len(trees)), [str(number) for number in trees])
            axes.set_xlim(-0.3, len(trees) - 0.7)
        row[0].set_ylabel(f"depth {depth}\ntime over gcc -O2")
    panels[0, 0].set_ylim(top=1.8 * table["ratio"].max())  # room for the refused
    for axes, order in zip(panels[0], orders, strict=True):
        axes.set_title(_TITLES[order])
    for axes in panels[-1]:
        axes.set_xlabel("trees")
    handles = [Line2D([], [], **look, label=engine) for engine, look in looks.items()]
    refused = Line2D([], [], color=style.GREY, linestyle="none", marker="x", label="refused")
    figure.legend(handles=[*handles, refused], loc="outside upper center", ncols=len(handles) + 1)
    style.small_print(
        figure,
        "One inference, net of all else, on one CPU; medians over turns. Solid: in the kernel, BPF_PROG_TEST_RUN's own "
        "time. Dashed: in user space, the same C (or tl2cgen's with gcc -O2) in a loop. From Python, one row a call: "
        f"{', '.join(_of_python(python))} (median). Results equal to scikit-learn's: {_agreement(inference)}.",
        *_reasons(inference),
    )
    return figure


def _looks(engines: list[str]) -> dict[str, dict[str, object]]:
    kernel = [engine for engine in engines if engine not in _USER_SPACE]
    looks = {engine: (*_KERNEL[at % len(_KERNEL)], "-") for at, engine in enumerate(kernel)}
    looks |= {engine: (*look, "--") for engine, look in _USER_SPACE.items() if engine in engines}
    return {
        engine: {"color": colour, "marker": marker, "linestyle": line}
        for engine, (colour, marker, line) in looks.items()
    }


def _line(axes: Axes, points: pd.DataFrame, trees: list[int], look: dict[str, object]) -> None:
    x = points["trees"].map(trees.index)
    axes.plot(x, points["ratio"], **look)
    refused = x[points["ratio"].isna()]
    if len(refused):
        marks = axes.plot(
            refused, [0.95] * len(refused), "x", color=look["color"], transform=axes.get_xaxis_transform()
        )
        marks[0].set_in_layout(False)


def _of_python(python: pd.DataFrame) -> list[str]:
    medians = python.groupby("engine", sort=False)["ratio"].median()
    return [f"{_PYTHON[str(engine)]} {ratio:,.0f} ×" for engine, ratio in medians.items()]


def _agreement(inference: pd.DataFrame) -> str:
    least = inference["agree"].min()
    return "all" if least == 1 else f"at least {100 * least:.2f} %"


def _reasons(inference: pd.DataFrame) -> list[str]:
    """A sentence for each engine and reason, with its forests."""
    refused = inference[inference["ns_net"].isna()].drop_duplicates(["forest", "engine"])
    return [
        f"Refused by {engine}: {', '.join(rows['forest'])}: {reason}"
        for (engine, reason), rows in refused.groupby(["engine", "refused_reason"], sort=False)
    ]
