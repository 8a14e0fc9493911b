"""The model, a random forest in the paper (section 3.2), and its scores on both splits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import binomtest
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    confusion_matrix,
    precision_recall_fscore_support,
)

from upfml.base import tables
from upfml.base.classes import CLASS_NAMES
from upfml.model import kinds
from upfml.model.baselines import Baselines
from upfml.model.kinds import round_shares


def fit(
    windows: pd.DataFrame,
    split: str,
    *,
    kind: str,
    max_depth: int,
    n_estimators: int,
    min_samples_leaf: int,
    seed: int,
) -> kinds.TreeModel:
    """A model trained on the windows whose column `split` says train, its leaves' class shares rounded (voting.py).

    `kind` is one of model.KINDS.
    """
    rows = windows[windows[split] == "train"]
    forest = kinds.untrained(
        kind, max_depth=max_depth, n_estimators=n_estimators, min_samples_leaf=min_samples_leaf, seed=seed
    )
    return round_shares(forest.fit(rows[tables.FEATURES].to_numpy(), rows["label"].to_numpy()))


def score(forest: kinds.TreeModel, beside: Baselines, windows: pd.DataFrame, split: str) -> dict[str, Any]:
    """The forest's scores on the windows whose column `split` says test (see `scores`), and the baselines' beside."""
    rows = windows[windows[split] == "test"]
    truth = rows["label"].to_numpy()
    found = scores(truth, forest.predict(rows[tables.FEATURES].to_numpy()))
    for name, said in (("majority", beside.majority(rows)), ("one_threshold", beside.one_threshold(rows))):
        found[f"{name}_accuracy"] = float(accuracy_score(truth, said))
        found[f"{name}_balanced_accuracy"] = float(balanced_accuracy_score(truth, said))
    return found


def scores(truth: np.ndarray, predicted: np.ndarray) -> dict[str, Any]:
    """Accuracy with its 95% Wilson interval, balanced accuracy, per-class scores and the confusion matrix.

    `truth` and `predicted` have shape (n,), n > 0; rows of the matrix are true classes.
    """
    labels = list(CLASS_NAMES)
    right = int((truth == predicted).sum())
    interval = binomtest(right, len(truth)).proportion_ci(method="wilson")
    precision, recall, f1, support = precision_recall_fscore_support(truth, predicted, labels=labels, zero_division=0.0)
    return {
        "accuracy": float(accuracy_score(truth, predicted)),
        "accuracy_low": float(interval.low),
        "accuracy_high": float(interval.high),
        "balanced_accuracy": float(balanced_accuracy_score(truth, predicted)),
        "test_windows": len(truth),
        "per_class": {
            CLASS_NAMES[label]: {
                "precision": float(precision[i]),
                "recall": float(recall[i]),
                "f1": float(f1[i]),
                "support": int(support[i]),
            }
            for i, label in enumerate(labels)
        },
        "confusion": confusion_matrix(truth, predicted, labels=labels).tolist(),
    }
