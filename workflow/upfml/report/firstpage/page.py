"""The opening page in reStructuredText, results/first_page.rst, which Snakemake's report shows first.

In: table `metrics`, exactness.json, comparison.json, load/breaks.json, paper_vs_here.json, provenance.json.
"""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from upfml.arms import Arms
from upfml.base import xdpmode
from upfml.report.comparison.rows import Row
from upfml.report.firstpage.claims import KERNEL, USER, Claim, Verdict, claims, strongest
from upfml.report.metrics import by_trial
from upfml.report.runs import commits, older


def certainty(arms: Arms, metrics: pd.DataFrame, published_rows: int, provenance: Mapping[str, Any]) -> list[str]:
    """How sure: arms, trials and noise, the paper's numbers, the machine, the code."""
    best = strongest(arms)
    trials = by_trial(metrics, best[KERNEL], "cpu_total_mean").size
    interval = (
        "One trial gives no interval, so no difference is resolved"
        if trials == 1
        else "Brackets hold 95 % intervals over the trials. They say nothing about other machines or other traffic"
    )
    noisy = metrics.loc[metrics["metric"] == "noisy", "value"]
    made_by = commits(provenance["runs"], provenance["head"])
    setting = (
        "one machine plays UE, gNB, UPF and data network, so compare differences, not levels"
        if provenance["testbed"]["kind"] == "namespaces"
        else "it is the UPF's, one of three machines"
    )
    return [
        f"**Arms**: “the kernel” means the arm {best[KERNEL]}, and “user space” the arm {best[USER]}, unless another "
        "arm is named. They are the strongest that were run of each side.",
        f"**Trials**: {trials}. In each trial every arm has one turn on the same traffic, in drawn order. {interval}.",
        f"**Noise**: {int(noisy.sum())} of {noisy.size} turns are marked as noisy. All numbers include them.",
        f"**The paper's numbers**: “The paper and here” compares all {published_rows} with ours, each with interval "
        "and verdict.",
        f"**Machine**: {provenance['cpus']} CPUs ({provenance['cpu']}), Linux {provenance['kernel']}; {setting}. "
        f"{xdpmode.words(provenance['xdp_modes'])}.",
        f"**Code and time**: {made_by}; seed {provenance['seed']}; {provenance['start']} to {provenance['end']}.",
    ]


def page(
    arms: Arms,
    metrics: pd.DataFrame,
    exactness: Mapping[str, Any],
    compared: Sequence[Row],
    breaks: Mapping[str, Any],
    paper_vs_here: Sequence[Mapping[str, Any]],
    provenance: Mapping[str, Any],
) -> str:
    """The whole page.

    Takes the configuration's arms, table `metrics`, the rows of comparison.json, and what the other JSON files hold.
    """
    arms = arms.among(metrics["arm"])
    judged = claims(arms, metrics, exactness, compared, breaks)
    published_rows = sum(row["paper"] is not None for row in paper_vs_here)
    return "\n".join(
        [
            *_heading("Classification in the kernel of a 5G user plane", "="),
            *(_paragraph(f"**{provenance['note']}**") if provenance["note"] else []),
            *_warning(provenance),
            *_heading("What was asked", "-"),
            *_paragraph(_ASKED),
            *_heading("What was found", "-"),
            *_paragraph(_summary(judged)),
            *_bullets([f"**{c.statement}: {c.verdict.value}.** {c.evidence}" for c in judged]),
            *_heading("How sure", "-"),
            *_bullets(certainty(arms, metrics, published_rows, provenance)),
        ]
    )


_ASKED = (
    "Can the kernel of a 5G UPF tell urgent control traffic (URLLC) from video (eMBB) by itself, with machine learning "
    "in eBPF/XDP? Is that faster and cheaper than asking a program in user space? Does accuracy suffer? The paper "
    "*Leveraging eBPF/XDP for Real-Time Machine Learning Traffic Classification in 5G User Plane Networks* (Galvão, "
    "Rocha, Gomes, de Almeida) answers: yes, yes, and hardly. This run repeats its experiment on real packets."
)


def _warning(provenance: Mapping[str, Any]) -> list[str]:
    """What is shown though its code or its settings have changed since: somebody has told Snakemake to leave it."""
    outdated = older(provenance["runs"])
    if not outdated:
        return []
    names = ", ".join(outdated)
    return _paragraph(
        f"**Older than the code or the configuration: {names}.** ``make all`` measures again what has changed."
    )


def _summary(judged: Sequence[Claim]) -> str:
    counts = Counter(claim.verdict for claim in judged)
    return f"Of {len(judged)} claims, " + ", ".join(f"{counts[v]} {v.value}" for v in Verdict) + "."


def _heading(text: str, line: str) -> list[str]:
    return [text, line * len(text), ""]


def _paragraph(text: str) -> list[str]:
    return [*textwrap.wrap(text, 120, break_on_hyphens=False), ""]


def _bullets(items: Sequence[str]) -> list[str]:
    return [
        line
        for item in items
        for line in (*textwrap.wrap(item, 120, initial_indent="- ", subsequent_indent="  ", break_on_hyphens=False), "")
    ]
