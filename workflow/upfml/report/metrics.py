"""From the tables of the runs to one number per arm, trial and metric.

In: turn_decisions, turn_samples and turns (tables.py); scores.json of the training. Out: table `metrics`, in which
every number has the XDP mode of its turn (`with_modes`); until then rows have COLUMNS.

Times are differences of CLOCK_MONOTONIC stamps. All arms take them at the same steps, so each name means the same in
kernel and user space:

    arrival_to_label       t_packet   → t_label      how long a packet waits for its class
    features_and_inference t_start    → t_label      the classifier's own work (the user arm as the authors timed it)
    inference              t_features → t_label      the trees alone (the kernel arm as the authors timed it)
    arrival_to_user_space  t_packet   → t_delivered  until a process in user space knows the class

The first is the sum of the parts of PARTS; the last has one more where the class is known in the kernel first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pandera.pandas as pa
from numpy.typing import NDArray

from upfml.arms import NONE, Arm, Arms
from upfml.base import files, tables, xdpmode
from upfml.base.classes import CLASS_NAMES
from upfml.base.errors import UserError
from upfml.base.statistics import Estimate
from upfml.base.tables import METRICS
from upfml.model.baselines import Baselines

RUN = ["arm", "trial"]
"""The columns that name a turn."""
COLUMNS = [*RUN, "metric", "value", "unit"]

LATENCIES = {
    "inference": ("t_features_ns", "t_label_ns"),
    "features_and_inference": ("t_start_ns", "t_label_ns"),
    "arrival_to_label": ("t_packet_ns", "t_label_ns"),
    "arrival_to_user_space": ("t_packet_ns", "t_delivered_ns"),
}
"""Name of a time → the stamps at which it begins and ends."""

_IN_USER_SPACE = {
    "parse": ("t_packet_ns", "t_sent_ns"),
    "delivery": ("t_sent_ns", "t_start_ns"),
    "features": ("t_start_ns", "t_features_ns"),
    "inference": ("t_features_ns", "t_label_ns"),
}
_IN_KERNEL = {
    "parse": ("t_packet_ns", "t_start_ns"),
    "features": ("t_start_ns", "t_features_ns"),
    "inference": ("t_features_ns", "t_label_ns"),
    "delivery": ("t_label_ns", "t_delivered_ns"),
}

CPU_SHARES = ["usr", "sys", "soft", "total"]
_DEGREES_OF_FREEDOM = 10
"""That must be left to fit what depends on traffic."""


def parts(arm: Arm) -> dict[str, tuple[str, str]]:
    """The steps of an arm's way from arrival to user space, in order: name → the stamps between which each lies.

    `parse` is parsing and, where a collector does that, the IAT; `delivery` is the way of an event to its reader, with
    the reader's waking and its wait for a CPU.
    """
    return _IN_KERNEL if arm.kind == "kernel" else _IN_USER_SPACE


def gather(paths: Iterable[Path | str], schema: pa.DataFrameSchema) -> pd.DataFrame:
    """The rows of one table of several batches."""
    return pd.concat([files.read(path, schema) for path in paths], ignore_index=True)


def require_arms(frame: pd.DataFrame, arms: Iterable[Arm]) -> None:
    """Raises UserError when an arm has no row in `frame` (column arm)."""
    missing = [arm.name for arm in arms if arm.name not in set(frame["arm"])]
    if missing:
        raise UserError(
            f"nothing was recorded in arm {', '.join(missing)}",
            "add it to arms in config.yaml; if it is there, runs.turn_s is too short for a window to close",
        )


def latency_ns(decisions: pd.DataFrame, name: str) -> pd.Series[int]:
    """One of LATENCIES for every decision, in ns. Raises UserError when a step ends before it begins."""
    return _elapsed(decisions, *LATENCIES[name])


def _elapsed(decisions: pd.DataFrame, begin: str, end: str) -> pd.Series[int]:
    elapsed = decisions[end] - decisions[begin]
    if (elapsed < 0).any():
        raise UserError(
            f"{(elapsed < 0).sum()} decisions have {end} before {begin}",
            "remove results/runs and run again; if it comes back, the clocks of kernel and classifier differ",
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


def loss_pct(turns: pd.DataFrame) -> float | None:
    """Lost events in percent of those sent, all rows together; None where nothing was sent (forwarding only)."""
    lost, received = int(turns["lost"].sum()), int(turns["received"].sum())
    return 100 * lost / (lost + received) if lost + received else None


def from_runs(arms: Arms, decisions: pd.DataFrame, samples: pd.DataFrame, turns: pd.DataFrame) -> pd.DataFrame:
    """Rows of table `metrics` of the measured runs.

    `arms` are those of the configuration; the rest is what `gather` returns. Accuracies are in %, times in ns, CPU
    shares in % of the UPF's CPUs. Raises UserError when a classifying arm decided nothing in a turn, or saw windows of
    one class only in all of them.
    """
    decided = set(decisions[RUN].drop_duplicates().itertuples(index=False, name=None))
    for arm, trial in turns[RUN].itertuples(index=False, name=None):
        if arms[arm].classifies and (arm, trial) not in decided:
            raise UserError(
                f"arm {arm} classified nothing in trial {trial}",
                "lengthen runs.turn_s in config.yaml: a flow is classified from its second closed window on",
            )
    measured = pd.concat(
        [from_decisions(arms, decisions), _per_run(samples, _sample_metrics), _per_run(turns, _turn_metrics)],
        ignore_index=True,
    )
    derived = [_direct_cost(measured), _over_forwarding(measured), at_equal_traffic(measured)]
    return pd.concat([measured, *derived], ignore_index=True)


def from_decisions(arms: Arms, decisions: pd.DataFrame) -> pd.DataFrame:
    """Rows of table `metrics` of what `gather` returns for table decisions: accuracies (%), counts and times (ns).

    Raises UserError when an arm saw windows of one class only. A single turn may: it has no balanced accuracy then.
    """
    for arm, mine in decisions.groupby("arm"):
        by_class = confusion(mine).sum(axis=1)
        if not by_class.all():
            missing = ", ".join(CLASS_NAMES[label] for label in CLASS_NAMES if not by_class[label])
            raise UserError(
                f"arm {arm} classified no window of class {missing}, so its accuracy would mean nothing",
                "raise runs.turn_s, runs.trials_per_batch or traffic.video.clients in config.yaml",
            )
    return _per_run(decisions, partial(_decision_metrics, arms))


def from_baselines(arms: Arms, decisions: pd.DataFrame, baselines: Baselines) -> pd.DataFrame:
    """Rows of table `metrics` of what one threshold scores on the windows that arms decided on (%).

    Not of arms that send only changes: of most of their windows the features are not known.
    """
    told = decisions[decisions["arm"].isin(arms.telling_every.names)]
    said = told.assign(predicted=baselines.one_threshold(told))
    counts = {run: confusion(mine) for run, mine in said.groupby(RUN)}
    rows = [(*run, "one_threshold_accuracy", 100 * found.trace() / found.sum(), "%") for run, found in counts.items()]
    return pd.DataFrame(rows, columns=COLUMNS)


def from_scores(scores: dict[str, Any]) -> pd.DataFrame:
    """Rows of table `metrics` of scikit-learn's model on the held-out windows of both splits (scores.json); trial 0."""
    rows = [
        ("sklearn", 0, f"{name}_{split}", 100 * scores[split][name], "%")
        for split in ("random", "grouped")
        for name in ("accuracy", "balanced_accuracy", "majority_accuracy", "one_threshold_accuracy")
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def with_modes(rows: pd.DataFrame, turns: pd.DataFrame) -> pd.DataFrame:
    """Table `metrics`: rows of it, each with the XDP mode of its turn; offline scores have none."""
    of_turn = turns.set_index(RUN)["xdp_mode"]
    return rows.join(of_turn, on=RUN).fillna({"xdp_mode": xdpmode.NONE})


def _per_run(frame: pd.DataFrame, measure: Callable[[pd.DataFrame], list[tuple[str, float, str]]]) -> pd.DataFrame:
    rows = [(*run, *found) for run, mine in frame.groupby(RUN) for found in measure(mine)]
    return pd.DataFrame(rows, columns=COLUMNS)


def _turn_metrics(turn: pd.DataFrame) -> list[tuple[str, float, str]]:
    row = turn.iloc[0]
    seconds = (row["end_ns"] - row["start_ns"]) / 1e9
    found = [
        ("events_received", float(row["received"]), "events"),
        ("events_lost", float(row["lost"]), "events"),
        ("packets", row["n3_packets"] / seconds, "1/s"),
        ("agent_cpu", row["agent_cpu_ns"] / row["n3_packets"], "ns/packet"),
        ("cpus", float(row["upf_cpus"]), "CPUs"),
        ("cpu_busy_mean", 100 * (1 - row["upf_idle_ns"] / (1e9 * seconds * row["upf_cpus"])), "%"),
        ("seconds", seconds, "s"),
        ("noisy", float(row["noise"] != ""), "turns"),
        ("steal", row["steal_pct"], "%"),
    ]
    share = loss_pct(turn)
    if share is not None:
        found.append(("events_lost_share", share, "%"))
    if row["run_cnt"]:
        found.append(("program", row["run_time_ns"] / row["run_cnt"], "ns/packet"))
    if row["agent_slices"]:
        found.append(("scheduling", row["agent_wait_ns"] / row["agent_slices"], "ns"))
    return found


def _wide(metrics: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """Some metrics as columns, indexed by arm and trial; NaN where an arm has none."""
    chosen = metrics[metrics["metric"].isin(names)]
    return chosen.pivot(index=RUN, columns="metric", values="value").reindex(columns=list(names))


def _long(wide: pd.DataFrame, units: dict[str, str]) -> pd.DataFrame:
    """Table `metrics` of the columns in `units`, of rows that have a value."""
    long = wide[list(units)].reset_index().melt(id_vars=RUN, var_name="metric").dropna(subset="value")
    return long.assign(unit=long["metric"].map(units))[COLUMNS]


def _direct_cost(metrics: pd.DataFrame) -> pd.DataFrame:
    """What arms cost by exact accounts rather than by the tick.

    The time of the program on N3, of BPF statistics, and that of the classifier's process, of the scheduler, in % of
    the UPF's CPUs. What is not in it: waking the process, and what either does to caches and to others.
    """
    wide = _wide(metrics, ["program", "agent_cpu", "packets", "cpus"])
    ns_per_packet = wide["program"].fillna(0) + wide["agent_cpu"]
    of_all_cpus = 100 * wide["packets"] / 1e9 / wide["cpus"]
    wide["cpu_direct"], wide["cpu_program"] = ns_per_packet * of_all_cpus, wide["program"] * of_all_cpus
    return _long(wide, {"cpu_direct": "%", "cpu_program": "%"})


def _over_forwarding(metrics: pd.DataFrame) -> pd.DataFrame:
    """What arms cost in CPU time over forwarding alone in the same trial, for each packet and each decision."""
    wide = _wide(metrics, ["cpu_busy_mean", "cpus", "packets", "decisions", "seconds"])
    if NONE.name not in wide.index.get_level_values("arm"):
        return tables.empty(METRICS)[COLUMNS]
    over = wide.drop(NONE.name, level="arm")
    alone = wide.xs(NONE.name, level="arm")["cpu_busy_mean"]
    points = over["cpu_busy_mean"] - alone.reindex(over.index.get_level_values("trial")).to_numpy()
    ns_per_s = points / 100 * over["cpus"] * 1e9
    over["cpu_over_forwarding"] = ns_per_s / over["packets"]
    over["cpu_over_forwarding_decision"] = ns_per_s / (over["decisions"] / over["seconds"])
    return _long(over, {"cpu_over_forwarding": "ns/packet", "cpu_over_forwarding_decision": "ns/decision"})


def at_equal_traffic(metrics: pd.DataFrame) -> pd.DataFrame:
    """CPU that is not idle and context switches as if a trial's arms had had the same traffic.

    In one turn players decode more, in another less, and more or fewer packets come, which no arm has made. Analysis of
    covariance (Fisher 1932): with arms and trials as factors, how both follow packets and the user time of all but the
    classifier is fitted, and taken off a turn as far as these differ from their mean in its trial. No rows where too
    few turns are there for that.
    """
    names = ("cpu_busy", "context_switches")
    outcomes = {f"{name}_mean": f"{name}_at_equal_traffic" for name in names}
    covariates = ["packets", "cpu_others_usr"]
    wide = _wide(metrics, [*outcomes, *covariates]).dropna()
    arms = pd.get_dummies(wide.index.get_level_values("arm"), dtype=float).set_axis(wide.index).iloc[:, 1:]
    trials = wide.index.get_level_values("trial").nunique()
    if len(wide) - trials - arms.shape[1] - len(covariates) < _DEGREES_OF_FREEDOM:
        return tables.empty(METRICS)[COLUMNS]
    within, arms = (frame - frame.groupby("trial").transform("mean") for frame in (wide, arms))
    fit = np.linalg.lstsq(np.column_stack([within[covariates], arms]), within[list(outcomes)], rcond=None)[0]
    adjusted = wide[list(outcomes)] - within[covariates].to_numpy() @ fit[: len(covariates)]
    units = dict(zip(outcomes.values(), ["%", "1/s"], strict=True))
    return _long(adjusted.rename(columns=outcomes), units)


def _sample_metrics(samples: pd.DataFrame) -> list[tuple[str, float, str]]:
    mpstat = samples[samples["source"] == "mpstat"]
    whole = mpstat[mpstat["entity"] == tables.UPF]
    found = []
    for share in CPU_SHARES:
        found += _distribution(f"cpu_{share}", whole[f"{share}_pct"], "%")
    count = mpstat.loc[~mpstat["entity"].isin(["cpu-all", tables.UPF]), "entity"].nunique()
    classifier = samples[(samples["source"] == "pidstat") & (samples["entity"] == "classifier")]["usr_pct"].mean()
    own_usr = classifier / count if classifier == classifier else 0.0  # NaN where there is none
    found.append(("cpu_others_usr", float(whole["usr_pct"].mean() - own_usr), "%"))
    for name, source, entity, column, unit in (
        ("context_switches", "sched_switch", tables.UPF, "context_switches_per_s", "1/s"),
        ("classifier_context_switches", "sched_switch", "classifier", "context_switches_per_s", "1/s"),
        ("machine_cpu_busy", "procstat", "cpu-all", "busy_pct", "%"),
        ("machine_context_switches", "procstat", "cpu-all", "context_switches_per_s", "1/s"),
    ):
        chosen = samples[(samples["source"] == source) & (samples["entity"] == entity)]
        found += _distribution(name, chosen[column], unit)
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


def _decision_metrics(arms: Arms, decisions: pd.DataFrame) -> list[tuple[str, float, str]]:
    counts = confusion(decisions)
    by_class = counts.sum(axis=1)
    found = [
        ("accuracy", 100 * counts.trace() / counts.sum(), "%"),
        ("majority_accuracy", 100 * by_class.max() / counts.sum(), "%"),
        ("decisions", float(counts.sum()), "decisions"),
        ("decisions_without_label", float((1 + decisions["repeats"]).sum() - counts.sum()), "decisions"),
    ]
    if by_class.all():
        found.append(("balanced_accuracy", 100 * float(np.mean(counts.diagonal() / by_class)), "%"))
    steps = parts(arms[decisions["arm"].iloc[0]])
    times = {name: latency_ns(decisions, name) for name in LATENCIES}
    times |= {f"part_{name}": _elapsed(decisions, *stamps) for name, stamps in steps.items()}
    for name, elapsed in times.items():
        found += [
            (f"{name}_mean", float(elapsed.mean()), "ns"),
            (f"{name}_median", float(elapsed.median()), "ns"),
            (f"{name}_p99", float(elapsed.quantile(0.99)), "ns"),
            (f"{name}_p99.9", float(elapsed.quantile(0.999)), "ns"),
        ]
    return found


def by_trial(metrics: pd.DataFrame, arm: Arm, metric: str) -> pd.Series[float]:
    """One metric of one arm, indexed by trial; empty where the arm has no such metric."""
    chosen = metrics[(metrics["arm"] == arm.name) & (metrics["metric"] == metric)]
    return chosen.set_index("trial")["value"].sort_index()


def cpus(metrics: pd.DataFrame) -> int:
    """Of the machine that was measured."""
    return int(metrics.loc[metrics["metric"] == "cpus", "value"].max())


def offline(score: dict[str, Any]) -> Estimate:
    """Accuracy in % of one split in scores.json, with the Wilson interval over its held-out windows."""
    return Estimate(100 * score["accuracy"], 100 * score["accuracy_low"], 100 * score["accuracy_high"], 0)
