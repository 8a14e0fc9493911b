"""The study as a page: tables for both splits, and words made from them on what most likely causes the paper's loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

from upfml.base import pages, words, xdpmode
from upfml.studies.causes.chains import FIRST_WINDOW, KERNEL_WINDOWS, USER

Row = Mapping[str, Any]

AUTHORS_FIRST_WINDOWS_PCT = 100 * (1 - 100_428 / 100_699)
"""From the notebook's number of windows, before and after it drops the first window of each flow."""


class Live(TypedDict):
    """Accuracy, as a share, of one model on held-out windows of its capture, and on traffic that came later."""

    heldout_accuracy: float
    live_accuracy: float
    xdp_mode: str  # of the live run


_HEAD = """# Where accuracy goes between scikit-learn and the kernel

All numbers come from one recorded trace: {packets:,} packets, {flows} flows. `snakemake results/accuracy_causes.md`
makes this page; `accuracy_causes.json` has the same rows.

- **alone**: the change in accuracy, in percentage points, when only this cause is added to scikit-learn on floats.
- **cumulative**: the change when it is added to the causes above it.
- **decided differently**: how many decisions change, alone / cumulative. A dash: this cause classifies other windows,
  or packets.

A forest never classifies a window that it was trained on ({folds} folds). The whole study is repeated {repetitions}
times with other folds and forests. Brackets hold 95 % intervals over {resamples} draws of flows, within each class, and
of repetitions. Forests are not trained again for a draw, so the intervals leave out what other training flows would
change. Accuracy counts windows; from "every packet" on it counts packets.
"""

_SOURCES = """The repository that the paper names in section 3.3 shows what the authors did: (K) is
`kernel_class/monitorjanela.bpf.c`, (N) the notebook `data/modelo-org.ipynb`. The study leaves out two things that (N)
does: it counts a flow's first packet as an IAT of 0, and it trains on each flow's last, unfinished window."""

_TITLES = {"random": "Random split, as in the paper", "grouped": "No flow in both training and test"}


def markdown(study: Mapping[str, Any], live: Live | None = None) -> str:
    """The page. `study` is the result of study.run; `live`, if it was measured, shows what the study cannot see."""
    trace, method = study["trace"], study["method"]
    flows = ", ".join(f"{count} {name}" for name, count in trace["flows"].items())
    head = _HEAD.format(packets=trace["packets"], flows=flows, **method)
    parts = [
        head,
        pages.table(["cause", "here", "authors"], [[c["cause"], c["here"], c["authors"]] for c in study["causes"]]),
    ]
    parts += ["", _SOURCES, ""]
    for split, title in _TITLES.items():
        parts += [f"## {title}", "", *_of_split(study["splits"][split]), ""]
    return "\n".join([*parts, "## What the paper's loss most likely is", "", *verdict(study, live), ""])


def _of_split(split: Row) -> list[str]:
    causes = [
        [
            row["cause"],
            _points(row["alone"]),
            _points(row["cumulative"]),
            f"{_count(row['alone'])} / {_count(row['cumulative'])}",
        ]
        for row in split["causes"]
    ]
    ends = [
        ("scikit-learn on floats", split["scikit_learn"]),
        ("this project's kernel: whole µs, trained on them, `exact` thresholds, `soft` voting", split["exact"]),
        *((f"{row['chain']}: {row['words']}", row) for row in split["others"]),
        ("kernel as in the authors' code", split["authors"]),
        ("for comparison: always the larger class", split["baselines"]["majority"]),
        ("for comparison: one threshold on one feature", split["baselines"]["one_threshold"]),
    ]
    return [
        pages.table(["cause", "alone", "cumulative", "decided differently"], causes),
        "",
        pages.table(
            ["chain", "accuracy, %", "balanced, %", "points from scikit-learn on floats", "decisions"],
            [
                [name, _accuracy(row), f"{row['balanced_accuracy_pct']:.2f}", _points(row), f"{row['decisions']:,}"]
                for name, row in ends
            ],
        ),
    ]


def verdict(study: Mapping[str, Any], live: Live | None = None) -> list[str]:
    """What the random split, the paper's kind of split, says about the paper's loss. One list item a line."""
    split, published = study["splits"]["random"], study["paper_accuracy_pct"]
    loss = published["sklearn"] - published["kernel"]
    alone = [(row["cause"], row["alone"]) for row in split["causes"]]
    added = [(row["cause"], row["cumulative"]) for row in split["causes"]]
    others = [(row["chain"], row) for row in split["others"]]
    exact, whole, start = split["exact"], split["authors"], split["scikit_learn"]
    reach = sorted((n for n in [*alone, *others] if _holds(n[1], loss)), key=lambda n: abs(n[1]["points"] + loss))
    by_name = dict(others)
    first = 1 - start["decisions"] / dict(alone)[FIRST_WINDOW]["decisions"]
    gains = [n for n in added if n[1]["points"] >= loss]
    width = start["accuracy_high_pct"] - start["accuracy_low_pct"]
    windows = by_name[KERNEL_WINDOWS]
    blame = "may" if _holds(exact, loss) else "does not"
    rebuilt = (
        ""
        if _holds(whole, loss) or _holds(windows, loss)
        else " So on this traffic their kernel, as rebuilt here, does not reach the paper's loss. This study can "
        "name likely causes of that loss, but does not prove them."
    )
    lines = [
        f"The paper loses {loss:.2f} points, from {published['sklearn']:.2f} to {published['kernel']:.2f} %, and "
        f"blames missing floating point. On this trace that {blame} explain it. Features in whole µs instead of "
        f"floats change accuracy by {_points(exact)} points. This project's kernel and scikit-learn decide "
        f"differently on these integers {exact['unlike_scikit_learn']} of "
        f"{exact['decisions'] * study['method']['repetitions']:,} times.",
        f"The most likely causes are those whose interval holds {loss:.2f} points. The nearest come first: "
        f"{_list(reach)}.",
        "These are too small, each alone: "
        f"{_list([n for n in alone if n[1]['points_low'] > -loss])}. "
        f"These are too large: {_list([n for n in alone if n[1]['points_high'] < -loss])}.",
        "Causes do not simply add up. On top of the causes before it, each of these reaches the paper's loss: "
        f"{_list([n for n in added if _holds(n[1], loss)])}. These gain as much, because one error partly undoes "
        f"another: {_list(gains)}.",
        f"All causes together change accuracy by {_points(whole)} points, {_beside(whole, loss)} the paper's loss. "
        f"If each window counts once, it is {_points(windows)}, {_beside(windows, loss)} the loss. The authors' "
        f"kernel reports every packet; the paper does not say what its accuracy counts.{rebuilt}",
        f"One such trace gives the accuracy an interval {width:.2f} points wide ({_accuracy(start)} %), "
        f"{'wider' if width > loss else 'narrower'} than the paper's loss. The paper gives no interval.",
        f"Flows' first windows are {100 * first:.1f} % of the windows here, and {AUTHORS_FIRST_WINDOWS_PCT:.2f} % of "
        "the authors' (N). The weight of the cause “first window” differs by as much.",
        f"The paper's user space ({published['user']:.2f} %) has no floating point in its model either: its wrapper "
        "casts the features to integers before it calls emlearn's code. Here, with each window counted once, its chain "
        f"has an accuracy of {_accuracy(by_name[USER])} % and the kernel's {_accuracy(by_name[KERNEL_WINDOWS])} %.",
    ]
    unseen = (
        "This study cannot see one cause: the paper scores scikit-learn on held-out windows of the capture, but its "
        "kernel on later traffic"
    )
    if live is None:
        lines.append(f"{unseen}.")
    else:
        heldout, later = 100 * live["heldout_accuracy"], 100 * live["live_accuracy"]
        lines.append(
            f"{unseen}. Here that alone, with one model and equal arithmetic, changes accuracy by "
            f"{words.number(later - heldout, decimals=2, signed=True)} points ({heldout:.2f} % held out, "
            f"{later:.2f} % live, {xdpmode.words([live['xdp_mode']])})."
        )
    return [f"- {line}" for line in lines]


def _holds(row: Row, loss: float) -> bool:
    return bool(row["points_low"] <= -loss <= row["points_high"])


def _beside(row: Row, loss: float) -> str:
    return "as much as" if _holds(row, loss) else "more than" if row["points_high"] < -loss else "less than"


def _list(named: Sequence[tuple[str, Row]]) -> str:
    return "; ".join(f"{name} ({_points(row)})" for name, row in named) or "none"


def _points(row: Row) -> str:
    if "points" not in row:
        return words.UNKNOWN
    return words.with_interval(row["points"], row["points_low"], row["points_high"], decimals=2, signed=True)


def _accuracy(row: Row) -> str:
    return words.with_interval(row["accuracy_pct"], row["accuracy_low_pct"], row["accuracy_high_pct"], decimals=2)


def _count(row: Row) -> str:
    changed = row["decided_differently"]
    return "–" if changed is None else f"{changed:,.0f}" if changed >= 10 or changed == 0 else f"{changed:.1f}"
