"""Does the forest generalise? Scores its decisions, and the baselines', on scenarios that it was not trained on.

In: the packets of each scenario (run/trace.py, arm `capture`) and the true classes from their generators. Windows are
made as for training (windows.py). The forest is scikit-learn's; exactness.py shows that the kernel decides alike.
Scenario HELD_OUT is for comparison: windows of the training trace that were kept from training at random.

Intervals are a cluster bootstrap. It draws whole flows with replacement within each class, because windows of one flow
resemble each other (Efron and Tibshirani 1993, chapter 8). They show what other flows of the scenario would change for
this forest. Forests retrained on draws of the training flows show what other training flows would change. Accuracy
leaves out applications of neither class.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats
from sklearn.metrics import confusion_matrix

from upfml.base import tables
from upfml.base.classes import APPLICATIONS, CLASS_NAMES, EMBB, NEITHER
from upfml.base.errors import UserError
from upfml.model import train
from upfml.model.baselines import Baselines
from upfml.model.kinds import TreeModel
from upfml.packets.features import Definition

HELD_OUT = "held-out"
CLASSIFIERS = ["forest", "one_threshold", "majority"]
"""Columns of tables.JUDGED."""
RESAMPLES = 2000
RETRAINED = 20
"""Forests; their lowest and highest score are told."""
CONFIDENCE = 0.95


def traffic_seed(config: Mapping[str, Any], scenario: str) -> int:
    """The seed of a scenario's traffic, from its name: above all of run.steps.trial_seed, and not moved by others."""
    return (int(config["seed"]) + 1 << 32) + zlib.crc32(scenario.encode())


def judge(
    scenario: str, windows: pd.DataFrame, flows: pd.DataFrame, forest: TreeModel, baselines: Baselines
) -> tuple[pd.DataFrame, int]:
    """tables.JUDGED of closed windows (windows.closed), and how many were left out, as no generator made their flow."""
    by_flow = flows.set_index("flow")
    known = windows[windows["flow"].isin(by_flow.index)]
    rows = known.assign(
        scenario=scenario,
        application=known["flow"].map(by_flow["application"]),
        label=known["flow"].map(by_flow["label"]),
        forest=forest.predict(known[tables.FEATURES].to_numpy()) if len(known) else 0,
        one_threshold=baselines.one_threshold(known),
        majority=baselines.majority(known),
    )
    return tables.typed(rows, tables.JUDGED), len(windows) - len(known)


def retrained(windows: pd.DataFrame, parameters: Mapping[str, Any], seed: int) -> list[TreeModel]:
    """Forests as the deployed one, each on a draw of its training flows, with replacement, within each class.

    `windows` are tables.WINDOWS, `parameters` keywords of train.fit without the seed.
    """
    rows = windows[windows["split_random"] == "train"]
    of_flow = dict(list(rows.groupby("flow")))
    by_class = [flows.unique() for _, flows in rows.groupby("label")["flow"]]
    forests = []
    for number in range(RETRAINED):
        random = np.random.default_rng([seed, number])
        drawn = [of_flow[flow] for flows in by_class for flow in random.choice(flows, len(flows))]
        forests.append(train.fit(pd.concat(drawn), "split_random", **parameters, seed=seed + number))
    return forests


def evaluate(judged: pd.DataFrame, others: Sequence[TreeModel], seed: int) -> dict[str, Any]:
    """One scenario's rows of tables.JUDGED: the scores of each classifier, and what it calls each application.

    `others` are the `retrained` forests: the forest's scores have theirs, in the same order, beside. Raises UserError
    when a class has no window.
    """
    of_class = judged[judged["label"] != NEITHER]
    scenario = judged["scenario"].iloc[0] if len(judged) else "?"
    for label, name in CLASS_NAMES.items():
        if not (of_class["label"] == label).any():
            raise UserError(
                f"scenario {scenario} has no {name} window, so its accuracy would mean nothing",
                "lengthen generalise.duration_s: a flow is classified from its second closed window on",
            )
    said = [pd.Series(forest.predict(judged[tables.FEATURES].to_numpy()), judged.index) for forest in others]
    classifiers = {name: _scores(of_class, name, seed) for name in CLASSIFIERS}
    by_others = [_right_by_flow(of_class, classes[of_class.index]) for classes in said]
    for name, score in SCORES.items():
        scores = [float(score([rows.sum(axis=0) for rows in by_class])) for by_class in by_others]
        classifiers["forest"][f"{name}_retrained_pct"] = scores
    return {
        "flows": int(judged["flow"].nunique()),
        "windows": len(of_class),
        "windows_of_neither": len(judged) - len(of_class),
        "classifiers": classifiers,
        "applications": [
            {
                "application": application,
                "label": int(rows["label"].iloc[0]),
                "flows": int(rows["flow"].nunique()),
                "windows": len(rows),
                "called": {
                    name: {words: int((rows[name] == label).sum()) for label, words in CLASS_NAMES.items()}
                    for name in CLASSIFIERS
                },
                "called_embb_retrained_pct": [float(100 * (classes[rows.index] == EMBB).mean()) for classes in said],
            }
            for application, rows in sorted(
                judged.groupby("application"), key=lambda group: APPLICATIONS.index(str(group[0]))
            )
        ],
    }


def _scores(of_class: pd.DataFrame, classifier: str, seed: int) -> dict[str, Any]:
    """Accuracy and balanced accuracy in %, each with its interval, and the confusion matrix (rows: true classes)."""
    by_class = _right_by_flow(of_class, of_class[classifier])
    matrix = confusion_matrix(of_class["label"], of_class[classifier], labels=list(CLASS_NAMES))
    scores: dict[str, Any] = {"confusion": matrix.tolist()}
    for name, score in SCORES.items():
        everything = score([rows.sum(axis=0) for rows in by_class])
        low, high = _interval(by_class, score, seed)
        scores |= {f"{name}_pct": float(everything), f"{name}_low_pct": low, f"{name}_high_pct": high}
    return scores


def _right_by_flow(of_class: pd.DataFrame, said: pd.Series[int]) -> Sums:
    """Of each class, for each of its flows: windows that are said right, and windows; (flows, 2)."""
    by_flow = (
        of_class.assign(right=said == of_class["label"])
        .groupby("flow")
        .agg(label=("label", "first"), right=("right", "sum"), total=("right", "size"))
    )
    return [by_flow.loc[by_flow["label"] == label, ["right", "total"]].to_numpy() for label in CLASS_NAMES]


Sums = list[NDArray[Any]]
"""Right windows and all windows, (..., 2), of each class."""
Score = Callable[[Sums], NDArray[np.float64]]


def _accuracy(sums: Sums) -> NDArray[np.float64]:
    added = np.sum(sums, axis=0)
    share: NDArray[np.float64] = 100 * added[..., 0] / added[..., 1]
    return share


def _balanced_accuracy(sums: Sums) -> NDArray[np.float64]:
    share: NDArray[np.float64] = 100 * np.mean([each[..., 0] / each[..., 1] for each in sums], axis=0)
    return share


SCORES: dict[str, Score] = {"accuracy": _accuracy, "balanced_accuracy": _balanced_accuracy}


def _interval(by_class: Sums, score: Score, seed: int) -> tuple[float | None, float | None]:
    """Bounds of the percentile interval; none where a class has one flow only, from which no spread can be known."""
    if min(map(len, by_class)) < 2:
        return None, None

    def of_drawn(*drawn: NDArray[Any], axis: int) -> NDArray[np.float64]:
        """`drawn` are indices of flows, one array a class."""
        sums = [rows[flows.astype(int)].sum(axis=axis - 1) for rows, flows in zip(by_class, drawn, strict=True)]
        return score(sums)

    interval = stats.bootstrap(
        [np.arange(len(rows)) for rows in by_class],
        of_drawn,
        n_resamples=RESAMPLES,
        confidence_level=CONFIDENCE,
        method="percentile",
        vectorized=True,
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return float(interval.low), float(interval.high)


def facts(run: Mapping[str, Any], loss: Mapping[str, Any]) -> dict[str, Any]:
    """What a reader must know of a scenario's run, from its run.json and loss.json."""
    return {
        "seed": run["seed"],
        "n3_rate_mbit_s": run["n3_rate_mbit_s"],
        "xdp_mode": run["xdp_mode"],
        "duration_s": (run["end_ns"] - run["start_ns"]) / 1e9,
        "idle_before_pct": run["idle_before_pct"],
        "idle_wanted_pct": run["idle_wanted_pct"],
        "events_received": loss["received"],
        "events_lost": loss["lost"],
    }


def method(definition: Definition, baselines: Baselines) -> dict[str, Any]:
    """How the numbers of `evaluate` come about."""
    return {
        "window_ms": definition.window_ns / 1e6,
        "resamples": RESAMPLES,
        "confidence": CONFIDENCE,
        "retrained": RETRAINED,
        "one_threshold": baselines.in_words(),
        "majority": CLASS_NAMES[baselines.larger],
    }
