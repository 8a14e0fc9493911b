"""The arms against each other as a page in Markdown, results/comparison.md."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from upfml.arms import Arms
from upfml.base import pages, words, xdpmode
from upfml.report.comparison.goal import CONTEXT_SWITCHES_GOAL_PCT, CPU_GOAL_POINTS, goals
from upfml.report.comparison.rows import Row

_HEADINGS = {
    "cpu_busy_mean": "non-idle CPU, % of the UPF's CPUs",
    "cpu_busy_at_equal_traffic": "non-idle CPU at equal traffic (analysis of covariance), % of the UPF's CPUs",
    "cpu_direct": "CPU by exact accounts (the program on N3 and the classifier's process), % of the UPF's CPUs",
    "cpu_program": "CPU of the program on N3 alone, % of the UPF's CPUs",
    "cpu_soft_mean": "CPU in softirq as the tick sees it, % of the UPF's CPUs",
    "cpu_over_forwarding": "CPU over forwarding alone, ns a packet",
    "context_switches_mean": "context switches of the UPF's CPUs, 1/s",
    "context_switches_at_equal_traffic": "context switches of the UPF's CPUs at equal traffic, 1/s",
    "arrival_to_label_median": "packet arrival to class, median, ns",
    "arrival_to_label_p99": "packet arrival to class, p99, ns",
    "arrival_to_user_space_median": "packet arrival to a process in user space that knows the class, median, ns",
    "accuracy": "accuracy on live traffic, %",
    "majority_accuracy": "accuracy of always naming the larger class, on the same traffic, %",
    "one_threshold_accuracy": "accuracy of one threshold on one feature, on the same traffic, %",
}
"""The metrics of the page, in its order. The JSON has all of COMPARED."""


_COLUMNS = ["arm", "value", "against", "difference", "interval", "in %", "effect size", "p", "trials (noisy)"]


def markdown(arms: Arms, rows: Sequence[Row], metrics: pd.DataFrame) -> str:
    """The page: first whether a kernel arm is cheap, then every metric of every pair of arms."""
    page = [
        _HEAD.format(
            points=CPU_GOAL_POINTS, switches=CONTEXT_SWITCHES_GOAL_PCT, modes=xdpmode.words(metrics["xdp_mode"])
        )
    ]
    page += [f"- {goal.sentence}" for goal in goals(arms, rows, metrics)]
    for metric, heading in _HEADINGS.items():
        chosen = [row for row in rows if row.metric == metric]
        if not chosen:
            continue
        page += ["", f"## {heading[0].upper()}{heading[1:]}", ""]
        page.append(pages.table(_COLUMNS, map(_cells, chosen)))
    return "\n".join([*page, ""])


_HEAD = """# The arms against each other

In each trial every arm has a turn on the same traffic. This page shows the differences within trials. `snakemake
results/comparison.md` makes it; `comparison.json` has all metrics.

- **interval**: 95 %, bootstrap over the trials (BCa; Student's t with few trials).
- **effect size**: the mean difference divided by the standard deviation of the differences, with Hedges' correction.
- **p**: permutation test of the two arms within trials. It is not corrected for the number of rows.
- {modes}.
- **noisy**: the hypervisor took CPU time, or the machine was not idle before the trial. All numbers include these
  trials.

## Is a kernel arm cheap?

It is cheap if it costs at most {points:g} percentage point of CPU and {switches:g} % of context switches over
forwarding alone, and loses no decision. The answer is *yes* when the intervals lie below these bounds.
"""


def _cells(row: Row) -> list[str]:
    return [
        *(row.arm, words.number(row.value, 4), row.against, words.number(row.difference, signed=True)),
        *(words.interval(row.low, row.high, signed=True), words.number(row.relative_pct, signed=True)),
        *(words.number(row.effect_size, signed=True), words.number(row.p, decimals=3)),
        f"{row.trials} ({row.noisy_trials})",
    ]
