"""Time and memory of each long rule. In: the files that Snakemake writes for `benchmark:`. Out: a page in Markdown."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

from upfml.base import pages

_COLUMNS = {"s": "wall clock, s", "cpu_time": "CPU, s", "max_rss": "largest resident memory, MiB"}
"""Snakemake's name of a column (its manual: Benchmark Rules), and what it is."""


def markdown(files: Iterable[Path]) -> str:
    """A row for each job, the longest first.

    A file is named RULE.tsv or RULE-JOB.tsv. Snakemake writes NA where a job ended before it looked at its memory.
    """
    rows = sorted(map(_row, files), key=lambda row: -float(row[2]))
    head = ["rule", "job", *_COLUMNS.values()]
    together = sum(float(row[2]) for row in rows)
    return "\n\n".join(
        [
            "# What each rule took",
            f"{len(rows)} jobs, {together:,.0f} s when run one after the other. Rules that measure have the machine to "
            "themselves; others share it. A job's processes on other machines are not counted.",
            pages.table(head, rows),
            "",
        ]
    )


def _row(file: Path) -> list[str]:
    rule, _, job = file.stem.partition("-")
    with file.open(newline="") as lines:
        (taken,) = csv.DictReader(lines, delimiter="\t")
    numbers = ["–" if taken[name] == "NA" else f"{float(taken[name]):.1f}" for name in _COLUMNS]
    return [rule, job, *numbers]
