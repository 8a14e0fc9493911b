"""The comparison with the paper as a page in Markdown, results/paper_vs_here.md."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from upfml.arms import Arms
from upfml.base import pages, words, xdpmode
from upfml.report.paper.comparison import ACCURACY_TOLERANCE_POINTS, COST_TOLERANCE_FACTOR, Comparison

_HEAD = """# The paper and here

This page compares section 4 of *Leveraging eBPF/XDP for Real-Time Machine Learning Traffic Classification in 5G User
Plane Networks* with the runs in `results/runs`. `snakemake results/paper_vs_here.md` makes it; `paper_vs_here.json` has
the same rows.

- **interval**: 95 % over the trials, bootstrap (BCa; Student's t with few trials; on the logarithm for ratios). For
  scikit-learn: Wilson over the held-out windows. A single trial gives none.
- Here `{user}` stands for the paper's user space, and `{kernel}` for its kernel; {modes}.
- **direction**: is the kernel above or below user space, as in the paper? The differences within each trial decide. It
  is *not resolved* when their interval includes zero.
- **magnitude**: an accuracy *agrees* within {points:g} percentage point of the paper's, a cost within a factor of
  {factor:g}.
"""


def markdown(arms: Arms, comparisons: Iterable[Comparison], metrics: pd.DataFrame) -> str:
    """The comparison as a page: published numbers, a sentence on each, notes, and our further numbers.

    Takes the result of `compare`, and the table `metrics` that it was made from.
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
        f"Of {len(both)} published numbers, {magnitudes.count('agrees')} agree in magnitude. {len(judged)} have a "
        f"direction: {judged.count('agrees')} agree, {judged.count('opposite')} are opposite and "
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
