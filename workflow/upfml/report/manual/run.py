"""The tables that README.md, ARTIFACT.md and the manual show of a finished run, each a block by its name.

In: the folder results/ of that run. Out: Markdown. Text from the run's own pages is quoted word by word. A block is
left out if its files are missing (a benchmark, other kernels).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from upfml.arms import PAPER_ARMS, STRONGEST_ARMS, Arm
from upfml.base import files, pages, tables
from upfml.base.errors import UserError
from upfml.base.statistics import Estimate, mean_over_trials, ratio_over_trials
from upfml.base.words import estimate, given, number, with_interval
from upfml.report.metrics import by_trial
from upfml.report.runs import commits

KERNEL, USER = (STRONGEST_ARMS[role] for role in ("kernel", "user"))
PAPER_KERNEL, PAPER_USER = (PAPER_ARMS[role] for role in ("kernel", "user"))

_QUOTED = {
    "found": ("first_page.rst", "What was found"),
    "sure": ("first_page.rst", "How sure"),
    "paper": ("paper_vs_here.md", "Published numbers"),
    "forwarding": ("comparison.md", "Is a kernel arm cheap?"),
    "causes": ("accuracy_causes.md", "Random split, as in the paper"),
    "generalise": ("generalise.md", "Accuracy"),
}
"""Block → the page of the run and its section that the block quotes."""


def texts(results: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Every block that the run can fill, by its name; and of the others, what the run has not."""
    made, wanting = {}, {}
    for name, (make, needed) in _MADE.items():
        missing = [file for file in needed if not (results / file).is_file()]
        if missing:
            wanting[name] = f"no {', '.join(missing)}"
            continue
        try:
            made[name] = make(results)
        except UserError as error:
            wanting[name] = error.cause
            continue
        if name != "kernels":  # no run's: it names the kernels itself
            made[name] += f"\n\n{_which_run(results)}"
    return made, wanting


def section(page: str, heading: str) -> str:
    """What stands under a heading, in Markdown (##) or reStructuredText (underlined), up to the next of its kind.

    Raises ValueError when the page has no such heading.
    """
    escaped = re.escape(heading)
    found = re.search(rf"^## {escaped}\n(.*?)(?=^## |\Z)", page, re.M | re.S) or re.search(
        rf"^{escaped}\n-+\n(.*?)(?=^[^\n]+\n-+\n|\Z)", page, re.M | re.S
    )
    if found is None:
        raise ValueError(f"there is no section {heading}")
    return found[1].strip()


def _quoted(name: str, results: Path) -> str:
    page, heading = _QUOTED[name]
    return section((results / page).read_text(), heading)


def _which_run(results: Path) -> str:
    record = files.read_json(results / "provenance.json")
    made_by = commits(record["runs"], record["head"])
    return (
        f"*By `make pictures`, from a run of {record['start'][:10]}: {made_by}, {record['cpus']} CPUs "
        f"({record['cpu']}), Linux {record['kernel']}, XDP {' and '.join(record['xdp_modes'])}.*"
    )


@dataclass(frozen=True)
class _AnswerRow:
    """A row of the table `answer`: a metric of two arms, by how much they differ, and which of the two is better."""

    what: str
    metric: str
    unit: str
    scale: float = 1
    kernel: Arm = KERNEL
    user: Arm = USER
    is_share: bool = False  # in %, compared by its difference, and more is better; else by its ratio, and less is

    def cells(self, metrics: pd.DataFrame) -> list[str]:
        """Its row."""
        kernel, user = (by_trial(metrics, arm, self.metric) * self.scale for arm in (self.kernel, self.user))
        against = mean_over_trials(kernel - user) if self.is_share else ratio_over_trials(kernel, user)
        words = f"{estimate(against)} points" if self.is_share else f"× {estimate(against)}"
        possible = (0.0, 100.0 if self.unit.startswith("%") else float("inf"))
        levels = [estimate(mean_over_trials(values, possible)) for values in (kernel, user)]
        return [f"{self.what}, {self.unit}", *levels, words, self._better(against)]

    def _better(self, against: Estimate) -> str:
        same = 0 if self.is_share else 1
        if against.low is None or against.high is None or against.low <= same <= against.high:
            return "not resolved"
        return "kernel" if (against.value > same) == self.is_share else "user space"


_ANSWER = [
    _AnswerRow("From a packet to its class, where it is found (median)", "arrival_to_label_median", "µs", 1e-3),
    _AnswerRow("From a packet to a process that knows its class (median)", "arrival_to_user_space_median", "µs", 1e-3),
    _AnswerRow("CPU of the classifier, by exact accounts", "cpu_direct", "% of the UPF's CPUs"),
    _AnswerRow("Context switches of the UPF's CPUs", "context_switches_mean", "1/s"),
    _AnswerRow("Accuracy on live traffic", "accuracy", "%", is_share=True),
]


def answer(results: Path) -> str:
    """Six rows: the best kernel arm beside the best arm in user space. Raises UserError when the run had not both."""
    metrics, period = _metrics(results), _period(results)
    _require([KERNEL, USER], "arms", set(metrics["arm"]))
    _require([KERNEL, USER], "load.arms", period)
    rows = [*(row.cells(metrics) for row in _ANSWER), _load_row(period)]
    head = ["", f"kernel (`{KERNEL}`)", f"user space, C (`{USER}`)", "kernel against user space", "better"]
    return pages.table(head, rows)


def _load_row(arms: Mapping[str, Any]) -> list[str]:
    broke = {side: arms[arm.name]["broke"] for side, arm in (("kernel", KERNEL), ("user space", USER))}
    cells = [_breaks_at(arms[arm.name]) for arm in (KERNEL, USER)]
    longest = {side: period or 0.0 for side, period in broke.items()}  # the longer the period, the earlier it broke
    if longest["kernel"] == longest["user space"]:
        better = "not resolved"
    else:
        better = min(longest, key=lambda side: longest[side])
    return ["More load, until something is lost: period of the flows, ms", *cells, "–", better]


def _breaks_at(arm: Mapping[str, Any]) -> str:
    if arm["broke"] is None:
        return f"holds {arm['held']:g}"
    return f"breaks at {arm['broke']:g}"


def artifact(results: Path) -> str:
    """What the run says of each claim of ARTIFACT.md that a run decides. Raises UserError as `answer`."""
    metrics, exact = _metrics(results), files.read_json(results / "exactness.json")
    differing = sum(
        judged[kind]
        for data in ("live", "replayed")
        for judged in exact[data].values()
        for kind in ("feature_differences", "decision_differences")
        if kind in judged
    )
    causes = {
        row["cause"]: row["alone"]
        for row in files.read_json(results / "accuracy_causes.json")["splits"]["random"]["causes"]
    }
    _require([KERNEL, USER, PAPER_KERNEL, PAPER_USER], "arms", set(metrics["arm"]))
    record = files.read_json(results / "provenance.json")
    rows = [
        ["1", "differences in features and decisions, all classifiers", f"{differing}"],
        ["2", f"arrival to class, median: `{USER}` over `{KERNEL}`", _ratio(metrics, "arrival_to_label_median")],
        ["3", f"arrival to user space: `{USER}` over `{KERNEL}`", _ratio(metrics, "arrival_to_user_space_median")],
        ["4", f"CPU by exact accounts: `{USER}` over `{KERNEL}`", _ratio(metrics, "cpu_direct")],
        ["5", f"the same: `{PAPER_KERNEL}` over `{KERNEL}`", _ratio(metrics, "cpu_direct", PAPER_KERNEL)],
        [
            "6",
            f"context switches: `{PAPER_KERNEL}` over `{PAPER_USER}`",
            _ratio(metrics, "context_switches_mean", PAPER_KERNEL, PAPER_USER),
        ],
        [
            "7",
            "accuracy, points: each change alone",
            "; ".join(f"{name} {_change(row)}" for name, row in causes.items()),
        ],
        ["8", "sweep *period*, ms", "; ".join(f"`{name}` {_breaks_at(arm)}" for name, arm in _period(results).items())],
        ["", "from the first capture to the last trial", f"{record['start']} to {record['end']}"],
    ]
    return pages.table(["claim", "quantity", "in the reference run"], rows)


def _ratio(metrics: pd.DataFrame, metric: str, numerator: Arm = USER, denominator: Arm = KERNEL) -> str:
    return estimate(ratio_over_trials(by_trial(metrics, numerator, metric), by_trial(metrics, denominator, metric)))


def _change(row: Mapping[str, Any]) -> str:
    return with_interval(row["points"], row["points_low"], row["points_high"], decimals=2, signed=True)


def exactness(results: Path) -> str:
    """Each classifier against the reference on identical packets, and the baselines' accuracy beside it."""
    found = files.read_json(results / "exactness.json")
    counts = ("windows", "feature_differences", "decision_differences")
    rows = [
        [data, name, *(f"{judged[count]:,}" if count in judged else "–" for count in counts), f"{accuracy:.2f}"]
        for data in ("live", "replayed")
        for name, judged in found[data].items()
        for accuracy in [judged["accuracy_pct"]]
    ]
    head = ["packets", "classifier", "windows", "features differ", "decisions differ", "accuracy, %"]
    return pages.table(head, rows)


def load(results: Path) -> str:
    """Of each sweep and arm the last value that held, the first that broke, and by what."""
    found = files.read_json(results / "load/breaks.json")
    rows = [
        [
            sweep if sweep == of_sweep["unit"] else f"{sweep}, {of_sweep['unit']}",
            f"`{name}`",
            given(arm["held"]),
            given(arm["broke"]),
            _lost(arm),
        ]
        for sweep, of_sweep in found["sweeps"].items()
        for name, arm in of_sweep["arms"].items()
    ]
    missing = [
        f"In the sweep {sweep}, too few packets left in time at {', '.join(late)}: no verdict there."
        for sweep, of_sweep in found["sweeps"].items()
        if (late := dict.fromkeys(given(turns["value"]) for turns in of_sweep["not_offered"]))
    ]
    bound = f"An arm may lose {found['limit_pct']:g} %."
    return "\n\n".join(
        [pages.table(["sweep", "arm", "held", "broke at", "lost there"], rows), " ".join([bound, *missing])]
    )


def _lost(arm: Mapping[str, Any]) -> str:
    return "–" if arm["by"] is None else f"{number(arm['lost_pct'][arm['by']])} % of {arm['by']}"


def inference(results: Path) -> str:
    """ns of an inference by forest and order of inputs, a column for each engine."""
    rows = pd.read_csv(results / "bench/inference.csv")
    wide = rows.pivot(index=["forest", "order"], columns="engine", values="ns_net")
    engines = list(dict.fromkeys(rows["engine"]))
    cells = [[*name, *map(number, values)] for name, values in zip(wide.index, wide[engines].to_numpy(), strict=True)]
    return pages.table(["forest", "order of inputs", *(f"`{engine}`" for engine in engines)], cells)


def path(results: Path) -> str:
    """ns to each step's end of a packet whose window stays open, a column for each number of flows."""
    rows = pd.read_csv(results / "bench/path.csv")
    return "\n\n".join(
        f"{_WAYS[f'{when}, {emit}']}, ns to the end of each step:\n\n{_by_flows(way)}"
        for (when, emit), way in rows.groupby(["when", "emit"], sort=False)
    )


_WAYS = {
    "window, every": "A decision when a window closes",
    "packet, every": "A decision for every packet, each sent",
    "window, change": "A decision when a window closes, changes sent",
}


def _by_flows(way: pd.DataFrame) -> str:
    wide = way.pivot(index="step", columns="flows", values="ns").reindex(way["step"].unique())
    cells = [[step, *map(number, values)] for step, values in zip(wide.index, wide.to_numpy(), strict=True)]
    return pages.table(["step", *(f"flows: {flows:,}" for flows in wide.columns)], cells)


def delivery(results: Path) -> str:
    """ns to classify and deliver by each way, and how many times as much perf buffers cost."""
    rows = pd.read_csv(results / "bench/delivery.csv").to_dict("records")
    cells = [
        [
            f"{row['by']}, {row['delay_ms']:g} ms" if row["delay_ms"] else row["by"],
            row["emit"],
            number(row["ns"]),
            number(row["perf_over_this"]),
        ]
        for row in rows
    ]
    return pages.table(["way, delay", "decisions sent", "ns", "perf buffers cost … times as much"], cells)


def saturation(results: Path) -> str:
    """Packets a second that are forwarded, medians over the turns."""
    rows = pd.read_csv(results / "bench/saturation.csv").fillna({"engine": "–"})
    middle = rows.groupby(["arm", "engine"], sort=False)[["forwarded_packets_per_s", "over_pass"]].median()
    cells = [
        [arm, engine, f"{row[0]:,.0f}", f"{row[1]:.2f}"]
        for (arm, engine), row in zip(middle.index, middle.to_numpy(), strict=True)
    ]
    return pages.table(["on N3", "engine", "packets/s", "of what XDP_PASS alone forwards"], cells)


def lock(results: Path) -> str:
    """ns of a packet with and without the lock on its flow."""
    rows = pd.read_csv(results / "bench/lock.csv").to_dict("records")
    cells = [[row["cpus"], row["variant"], f"{row['median_ns']:.1f}", f"{row['ratio']:.3f}"] for row in rows]
    return pages.table(["CPUs at once", "variant", "ns a packet", "ratio"], cells)


def timer(results: Path) -> str:
    """ns of a reading of the clock."""
    found = files.read_json(results / "timer.json")
    cells = [[where.removesuffix("_ns"), f"{ns:.1f}"] for where, ns in found.items()]
    return pages.table(["where", "ns"], cells)


def kernels(results: Path) -> str:
    """What each kernel did with every program."""
    rows = [
        [
            kernel["release"] + ("" if "seconds_emulated" in kernel else " (running, not emulated)"),
            *(f"{kernel[count]:,}" for count in ("loaded", "without_lock", "refused")),
            *(f"{kernel[count]:,}" for count in ("windows_compared", "packets_compared", "differences")),
        ]
        for kernel in files.read_json(results / "kernels.json")["kernels"].values()
    ]
    head = [
        "kernel",
        "loaded",
        "without the lock only",
        "refused",
        "windows compared",
        "packets compared",
        "differences",
    ]
    return pages.table(head, rows)


_MADE: dict[str, tuple[Callable[[Path], str], list[str]]] = {
    "answer": (answer, ["metrics.parquet", "load/breaks.json"]),
    "artifact": (artifact, ["metrics.parquet", "exactness.json", "accuracy_causes.json", "load/breaks.json"]),
    "exactness": (exactness, ["exactness.json"]),
    "load": (load, ["load/breaks.json"]),
    "inference": (inference, ["bench/inference.csv"]),
    "path": (path, ["bench/path.csv"]),
    "delivery": (delivery, ["bench/delivery.csv"]),
    "saturation": (saturation, ["bench/saturation.csv"]),
    "lock": (lock, ["bench/lock.csv"]),
    "timer": (timer, ["timer.json"]),
    "kernels": (kernels, ["kernels.json"]),
    **{name: (partial(_quoted, name), [page]) for name, (page, _) in _QUOTED.items()},
}
"""Block → what makes it of the folder of results, and the files in there that it takes."""
NAMES = set(_MADE)
"""Of all blocks."""


def _metrics(results: Path) -> pd.DataFrame:
    return files.read(results / "metrics.parquet", tables.METRICS)


def _period(results: Path) -> dict[str, Any]:
    """The sweep of load in which every flow sends more and more often: what became of each arm."""
    arms: dict[str, Any] = files.read_json(results / "load/breaks.json")["sweeps"]["period"]["arms"]
    return arms


def _require(arms: Iterable[Arm], where: str, found: Collection[str]) -> None:
    missing = [arm.name for arm in arms if arm.name not in found]
    if missing:
        raise UserError(
            f"this run has nothing of arm {', '.join(missing)}, which the manual's tables show",
            f"add it to {where} in config.yaml, and run again",
        )
