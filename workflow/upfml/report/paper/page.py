"""The comparison with the paper as a page in Markdown, results/paper_vs_here.md."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from upfml.arms import Arms
from upfml.base import pages, words, xdpmode
from upfml.report.paper.comparison import ACCURACY_TOLERANCE_POINTS, COST_TOLERANCE_FACTOR, Comparison

_HEAD = """# The paper and here

Leveraging eBPF/XDP for Real-Time Machine Learning Traffic Classification in 5G User Plane Networks, section 4, against
the runs in `results/runs`. Made by `snakemake results/paper_vs_here.md`; the same rows are in `paper_vs_here.json`.

- **interval**: 95 % over the trials, bootstrap (BCa; Student's t with few trials; on the logarithm for ratios);
  scikit-learn: Wilson over the held-out windows. None with a single trial.
- The paper's arms here: user space is `{user}`, the kernel `{kernel}`; {modes}.
- **direction**: is the kernel above or below user space as in the paper? Judged by the differences within each trial;
  *not resolved* when their interval includes zero.
- **magnitude**: *agrees* when an accuracy is within {points:g} percentage point of the paper's, and a cost within a
  factor of {factor:g}.
"""


def markdown(arms: Arms, comparisons: Iterable[Comparison], metrics: pd.DataFrame) -> str:
    """The comparison as a page: published numbers, a sentence on each, what lies beyond them, and notes.

    Takes what `compare` made of table `metrics`, and that.
    """
    comparisons, present = list(comparisons), arms.among(metrics["arm"])
    modes = xdpmode.words(metrics["xdp_mode"])
    both = [c for c in comparisons if c.paper is not None]
    ours = [c for c in comparisons if c.paper is None]
    stand_ins = {role: present.papers(role) for role in ("user", "kernel")}
    head = _HEAD.format(points=ACCURACY_TOLERANCE_POINTS, factor=COST_TOLERANCE_FACTOR, modes=modes, **stand_ins)
    directions, magnitudes = ([getattr(c, name) for c in both] for name in ("direction", "magnitude"))
    judged = [verdict for verdict in directions if verdict]
    summary = (
        f"Of {len(both)} published numbers, {magnitudes.count('agrees')} agree in magnitude; of {len(judged)} with a "
        f"direction, {judged.count('agrees')} agree, {judged.count('opposite')} are opposite and "
        f"{judged.count('not resolved')} are not resolved."
    )
    published_table = pages.table(
        [
            *("quantity", "arm", "unit", "paper", "here", "interval"),
            *("here against the paper", "direction", "magnitude", "source"),
        ],
        [
            [
                *(c.quantity, c.arm, c.unit, words.given(c.paper), *_ours(c)),
                *(c.change, c.direction or "–", c.magnitude, c.source),
            ]
            for c in both
        ],
    )
    beyond_table = pages.table(
        ["quantity", "arm", "unit", "here", "interval", "trials", "what it is"],
        [[c.quantity, c.arm, c.unit, *_ours(c), str(c.here.trials or "–"), c.remark] for c in ours],
    )
    sentences = [f"- {c.quantity} ({c.arm}). {c.sentence}" for c in both]
    about: dict[str, list[str]] = {}
    for c in both:
        about.setdefault(c.remark, []).append(f"{c.quantity} ({c.arm})")
    notes = [f"- {', '.join(rows)}: {remark}." for remark, rows in about.items()]
    page = [head, summary, "", "## Published numbers", "", published_table, ""]
    page += ["## Each in a sentence", "", *sentences, "", "## Notes", "", *notes, ""]
    return "\n".join([*page, "## Beyond the paper", "", beyond_table, ""])


def _ours(comparison: Comparison) -> tuple[str, str]:
    here = comparison.here
    return words.number(here.value, 4), words.interval(here.low, here.high, 4)
