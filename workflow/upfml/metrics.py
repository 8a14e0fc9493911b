"""From the tables of the runs to one number per arm, trial and metric, and to intervals over the trials.

In: decisions, samples (tables.py) and loss.json of every run; scores.json of the training. Out: table `metrics`.

Times are differences of CLOCK_MONOTONIC stamps that both arms take at the same steps, so that each name means the same
in kernel and user space:

    arrival_to_label       t_packet   → t_label      what a packet waits for its class
    features_and_inference t_start    → t_label      the classifier's own work (the user arm as the authors timed it)
    inference              t_features → t_label      the trees alone (the kernel arm as the authors timed it)
    arrival_to_user_space  t_packet   → t_delivered  until a Python process knows the class
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
import pandera.pandas as pa
from numpy.typing import NDArray
from scipy import stats

from upfml import tables
from upfml.errors import UserError
from upfml.tables import CLASS_NAMES, METRICS

RUN = ["arm", "point", "trial"]
"""The columns that name a run."""

CLASSIFYING_ARMS = ["user", "kernel"]

LATENCIES = {
    "inference": ("t_features_ns", "t_label_ns"),
    "features_and_inference": ("t_start_ns", "t_label_ns"),
    "arrival_to_label": ("t_packet_ns", "t_label_ns"),
    "arrival_to_user_space": ("t_packet_ns", "t_delivered_ns"),
}
"""Name of a time → the stamps at which it begins and ends."""

CPU_SHARES = ["usr", "sys", "soft", "total"]
CONFIDENCE = 0.95


@dataclass(frozen=True, order=True)
class RunPath:
    """The run that a file belongs to, read from results/runs/<arm>/<point>/trial-<n>/<file>."""

    arm: str
    point: str
    trial: int

    @classmethod
    def parse(cls, path: Path | str) -> Self:
        """Raises ValueError when the path is not that of a run's file."""
        found = re.search(r"(?:^|/)runs/([^/]+)/([^/]+)/trial-(\d+)/[^/]+$", Path(path).as_posix())
        if found is None:
            raise ValueError(f"{path} is not runs/<arm>/<point>/trial-<n>/<file>")
        return cls(found[1], found[2], int(found[3]))


def gather(paths: Iterable[Path | str], schema: pa.DataFrameSchema) -> pd.DataFrame:
    """The rows of one table of several runs, with the columns arm, point and trial before them."""
    frames = []
    for path in paths:
        run = RunPath.parse(path)
        frame = tables.read(path, schema)
        for at, name in enumerate(RUN):
            frame.insert(at, name, getattr(run, name))
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def gather_losses(paths: Iterable[Path | str]) -> pd.DataFrame:
    """loss.json of several runs: arm, point, trial, received and lost events; one row a run."""
    rows = []
    for path in paths:
        run, loss = RunPath.parse(path), tables.read_json(path)
        rows.append((run.arm, run.point, run.trial, int(loss["received"]), int(loss["lost"])))
    return pd.DataFrame(rows, columns=[*RUN, "received", "lost"])


def require_arms(frame: pd.DataFrame, arms: Sequence[str]) -> None:
    """Raises UserError when an arm has no row in `frame` (column arm)."""
    missing = [arm for arm in arms if arm not in set(frame["arm"])]
    if missing:
        raise UserError(
            f"nothing was recorded in arm {', '.join(missing)}",
            "add it to runs.arms in config.yaml; if it is there, runs.duration_s is too short for a window to close",
        )


def latency_ns(decisions: pd.DataFrame, name: str) -> pd.Series[int]:
    """One of LATENCIES for every decision, in ns. Raises UserError when a step ends before it begins."""
    begin, end = LATENCIES[name]
    elapsed = decisions[end] - decisions[begin]
    if (elapsed < 0).any():
        raise UserError(
            f"{(elapsed < 0).sum()} decisions have {end} before {begin}",
            "remove results/runs and run again; if it comes back, the classifier's clocks differ",
        )
    return elapsed


def confusion(decisions: pd.DataFrame) -> NDArray[np.int64]:
    """Decisions counted by true class (row) and predicted class (column), in the order of CLASS_NAMES.

    A row counts once, and once for each of its repeats. Flows that no generator made (label -1) have no true class and
    are left out.
    """
    labels, times = list(CLASS_NAMES), 1 + decisions["repeats"]
    return np.array(
        [
            [int(times[(decisions["label"] == true) & (decisions["predicted"] == said)].sum()) for said in labels]
            for true in labels
        ]
    )


def loss_pct(losses: pd.DataFrame) -> float | None:
    """Lost events in percent of those sent, all rows together; None where nothing was sent (forwarding only)."""
    lost, received = int(losses["lost"].sum()), int(losses["received"].sum())
    return 100 * lost / (lost + received) if lost + received else None


def from_runs(decisions: pd.DataFrame, samples: pd.DataFrame, losses: pd.DataFrame) -> pd.DataFrame:
    """Table `metrics` of the measured runs.

    Takes what `gather` and `gather_losses` return. Accuracies are in %, times in ns, CPU shares in % of all CPUs.
    Raises UserError when a classifying run decided nothing, or saw windows of one class only.
    """
    classified = set(decisions[RUN].drop_duplicates().itertuples(index=False, name=None))
    for run in losses[losses["arm"].isin(CLASSIFYING_ARMS)][RUN].itertuples(index=False, name=None):
        if run not in classified:
            raise UserError(
                f"run {run[0]}/{run[1]}/trial-{run[2]} classified nothing",
                "lengthen runs.duration_s in config.yaml: a flow is classified from its second closed window on",
            )
    return pd.concat(
        [from_decisions(decisions), _per_run(samples, _sample_metrics), _per_run(losses, _loss_metrics)],
        ignore_index=True,
    )


def from_decisions(decisions: pd.DataFrame) -> pd.DataFrame:
    """Table `metrics` of what `gather` returns for table decisions: accuracies (%), counts and times (ns).

    Raises UserError when a run saw windows of one class only.
    """
    return _per_run(decisions, _decision_metrics)


def from_scores(scores: dict[str, Any], point: str) -> pd.DataFrame:
    """Table `metrics` of scikit-learn's model on the held-out windows of both splits (scores.json); trial 0."""
    rows = [
        ("sklearn", point, 0, f"{name}_{split}", 100 * scores[split][name], "%")
        for split in ("random", "grouped")
        for name in ("accuracy", "balanced_accuracy", "majority_accuracy")
    ]
    return pd.DataFrame(rows, columns=list(METRICS.columns))


def _per_run(frame: pd.DataFrame, measure: Callable[[pd.DataFrame], list[tuple[str, float, str]]]) -> pd.DataFrame:
    rows = [(*run, *found) for run, mine in frame.groupby(RUN) for found in measure(mine)]
    return pd.DataFrame(rows, columns=list(METRICS.columns))


def _loss_metrics(loss: pd.DataFrame) -> list[tuple[str, float, str]]:
    found = [(f"events_{name}", float(loss[name].sum()), "events") for name in ("received", "lost")]
    share = loss_pct(loss)
    return found if share is None else [*found, ("events_lost_share", share, "%")]


def _sample_metrics(samples: pd.DataFrame) -> list[tuple[str, float, str]]:
    mpstat = samples[samples["source"] == "mpstat"]
    whole = mpstat[mpstat["entity"] == "cpu-all"]
    found = []
    for share in CPU_SHARES:
        found += _distribution(f"cpu_{share}", whole[f"{share}_pct"], "%")
    found.append(("cpus", float(mpstat.loc[mpstat["entity"] != "cpu-all", "entity"].nunique()), "CPUs"))
    for name, source, entity in (
        ("context_switches", "procstat", "cpu-all"),
        ("classifier_context_switches", "pidstat", "classifier"),
    ):
        chosen = samples[(samples["source"] == source) & (samples["entity"] == entity)]
        found += _distribution(name, chosen["context_switches_per_s"], "1/s")
    return found


def _distribution(name: str, values: pd.Series[float], unit: str) -> list[tuple[str, float, str]]:
    values = values.dropna()
    if values.empty:  # for instance the classifier's process where nothing classifies
        return []
    return [
        (f"{name}_mean", float(values.mean()), unit),
        (f"{name}_p25", float(values.quantile(0.25)), unit),
        (f"{name}_p75", float(values.quantile(0.75)), unit),
        (f"{name}_max", float(values.max()), unit),
    ]


def _decision_metrics(decisions: pd.DataFrame) -> list[tuple[str, float, str]]:
    counts = confusion(decisions)
    by_class = counts.sum(axis=1)
    if not by_class.all():
        missing = ", ".join(CLASS_NAMES[label] for label in CLASS_NAMES if not by_class[label])
        run = "{}/{}/trial-{}".format(*decisions[RUN].iloc[0])
        raise UserError(
            f"run {run} classified no window of class {missing}, so its accuracy would mean nothing",
            "lengthen runs.duration_s or raise traffic.video.clients in config.yaml",
        )
    found = [
        ("accuracy", 100 * counts.trace() / counts.sum(), "%"),
        ("balanced_accuracy", 100 * float(np.mean(counts.diagonal() / by_class)), "%"),
        ("majority_accuracy", 100 * by_class.max() / counts.sum(), "%"),
        ("decisions", float(counts.sum()), "decisions"),
        ("decisions_without_label", float((1 + decisions["repeats"]).sum() - counts.sum()), "decisions"),
    ]
    for name in LATENCIES:
        elapsed = latency_ns(decisions, name)
        found += [
            (f"{name}_mean", float(elapsed.mean()), "ns"),
            (f"{name}_median", float(elapsed.median()), "ns"),
            (f"{name}_p99", float(elapsed.quantile(0.99)), "ns"),
        ]
    return found


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval; `low` and `high` are None where one trial gives none.

    `trials` is 0 for what no trial measured (offline scores).
    """

    value: float
    low: float | None
    high: float | None
    trials: int


def by_trial(metrics: pd.DataFrame, arm: str, metric: str) -> pd.Series[float]:
    """One metric of one arm, indexed by trial; empty where the arm has no such metric."""
    chosen = metrics[(metrics["arm"] == arm) & (metrics["metric"] == metric)]
    return chosen.set_index("trial")["value"].sort_index()


def mean_over_trials(values: pd.Series[float], within: tuple[float, float] = (-np.inf, np.inf)) -> Estimate:
    """Mean of one value per trial and Student's t interval, cut to the values that are possible (`within`).

    The t interval rather than a bootstrap: of three trials a bootstrap knows no more than their own range.
    A difference of two arms is taken per trial first (`a - b`, matched by index): the arms of a trial ran side by side.
    """
    values = values.dropna()
    mean = float(values.mean())
    if len(values) < 2:
        return Estimate(mean, None, None, len(values))
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, len(values) - 1) * stats.sem(values))
    return Estimate(mean, max(mean - half, within[0]), min(mean + half, within[1]), len(values))


def difference(a: Estimate, b: Estimate) -> Estimate:
    """`a` minus `b`, measured independently, with the interval that both of theirs imply.

    Method: MOVER (Zou and Donner 2008, after Newcombe 1998): distances to the bounds are added in quadrature.
    """
    value = a.value - b.value
    if a.low is None or a.high is None or b.low is None or b.high is None:
        return Estimate(value, None, None, b.trials)
    below = float(np.hypot(a.value - a.low, b.high - b.value))
    above = float(np.hypot(a.high - a.value, b.value - b.low))
    return Estimate(value, value - below, value + above, b.trials)


def ratio_over_trials(numerator: pd.Series[float], denominator: pd.Series[float]) -> Estimate:
    """Geometric mean of the ratio per trial, and its t interval on the logarithm. Both have one value > 0 per trial."""
    logarithm = mean_over_trials((numerator / denominator).map(np.log))
    low, high = (None if bound is None else float(np.exp(bound)) for bound in (logarithm.low, logarithm.high))
    return Estimate(float(np.exp(logarithm.value)), low, high, logarithm.trials)


def offline(score: dict[str, Any]) -> Estimate:
    """Accuracy in % of one split in scores.json, with the Wilson interval over its held-out windows."""
    return Estimate(100 * score["accuracy"], 100 * score["accuracy_low"], 100 * score["accuracy_high"], 0)
