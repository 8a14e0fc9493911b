"""How many packets per second the live UPF forwards at saturation, by what is on its N3."""

import pandas as pd
from matplotlib.figure import Figure

from upfml.base import xdpmode
from upfml.report.figures import style

_LOOKS = {"none": ("no program", "#BBBBBB", ""), "XDP_PASS": ("XDP_PASS", style.GREY, "")}
_ENGINE = (style.BLUE, "////")


@style.styled
def draw(live: pd.DataFrame) -> Figure:
    """A bar for each arm and engine, and a dot for each turn. Takes the table of bench.saturation."""
    figure = style.sheet(style.PAGE_IN, 2.2)
    axes = figure.subplots()
    looks = _LOOKS | {engine: (f"classify, {engine}", *_ENGINE) for engine in sorted({*live["engine"]} - {""})}
    named = live["engine"].where(live["engine"] != "", live["arm"])
    for at, (name, (_, colour, hatch)) in enumerate(looks.items()):
        turns = live[named == name]
        forwarded = turns["forwarded_packets_per_s"] / 1e3
        axes.barh(at, forwarded.median(), 0.6, color=colour, hatch=hatch, edgecolor="white", linewidth=0.4)
        axes.plot(forwarded, [at] * len(turns), ".", color=style.BLACK, markersize=2.5, alpha=0.5)
        low, middle, high = turns["over_pass"].quantile([0.25, 0.5, 0.75])
        axes.annotate(
            f"{middle:.2f} ×" if name == "XDP_PASS" else f"{middle:.2f} × [{low:.2f}, {high:.2f}]",
            (forwarded.max(), at), (4, 0), textcoords="offset points", va="center", fontsize=7,
        )  # fmt: skip
    axes.set_yticks(range(len(looks)), [label for label, *_ in looks.values()])
    axes.invert_yaxis()
    axes.set_xlabel("packets forwarded (1,000/s)")
    axes.set_xlim(0, 1.25 * live["forwarded_packets_per_s"].max() / 1e3)
    axes.grid(visible=False, axis="y")
    engines = live[live["arm"] == "kernel"]
    lost = engines.groupby("engine")["events_lost"].max().sum()
    style.small_print(
        figure,
        f"{live['turn'].nunique()} turns each, in drawn order; bars are medians. ×: relative to XDP_PASS in the same "
        "round, median and quartiles. One thread does all the UPF's work. It had its CPU "
        f"{100 * live['upf_cpu_share'].median():.0f} % of the time, and forwarded "
        f"{100 * live['forwarded_share'].median():.0f} % of the packets sent (medians).",
        f"{xdpmode.words(live['xdp_mode'])}; {engines['decisions'].sum():,} decisions in these turns; "
        f"{lost:,} events lost.",
    )
    return figure
