"""What a classifier must beat: always naming the larger class, and one threshold on one feature.

Both are fitted on the windows that the forest is trained on. The threshold is a decision stump (Holte 1993, "Very
simple classification rules perform well"): scikit-learn's tree of depth 1, which takes feature and threshold by Gini
impurity.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from upfml.base import files, tables
from upfml.base.classes import CLASS_NAMES

SPLITS = ["random", "grouped"]


@dataclass(frozen=True)
class Baselines:
    """`larger` is the class that most training windows have; a window is `below` where `feature` <= `threshold`."""

    larger: int
    feature: str
    threshold: float  # in the feature's unit
    below: int
    above: int

    @classmethod
    def fit(cls, windows: pd.DataFrame, split: str, features: Sequence[str] = tables.FEATURES) -> Self:
        """Fit both on the windows whose column `split` says train; the threshold is of one of `features`."""
        from sklearn.tree import (
            DecisionTreeClassifier,  # takes half a second, and most who come here only read baselines
        )

        rows = windows[windows[split] == "train"]
        labels = rows["label"].to_numpy()
        larger = int(np.bincount(labels).argmax())
        stump = DecisionTreeClassifier(max_depth=1, random_state=0).fit(rows[features].to_numpy(), labels)
        tree = stump.tree_
        if tree.node_count == 1:  # no threshold parts the classes better than none
            return cls(larger, features[0], 0.0, larger, larger)
        below, above = (int(stump.classes_[tree.value[leaf].argmax()]) for leaf in (1, 2))
        return cls(larger, features[tree.feature[0]], float(tree.threshold[0]), below, above)

    def one_threshold(self, windows: pd.DataFrame) -> NDArray[np.int8]:
        """The class of each row of any table that has the features as columns (WINDOWS, DECISIONS)."""
        return np.where(windows[self.feature] <= self.threshold, self.below, self.above).astype(np.int8)

    def majority(self, windows: pd.DataFrame) -> NDArray[np.int8]:
        """The class that was larger in training, for each row."""
        return np.full(len(windows), self.larger, np.int8)

    def in_words(self) -> str:
        """The threshold as a sentence's part, e.g. `URLLC where iat_mean <= 17000.5, else eMBB`."""
        below, above = (CLASS_NAMES[label] for label in (self.below, self.above))
        return f"{below} where {self.feature} <= {self.threshold:g}, else {above}"


def write(by_split: Mapping[str, Baselines], path: Path | str) -> None:
    """Write those of each split as JSON."""
    files.write_json({split: asdict(baselines) for split, baselines in by_split.items()}, path)


def read(path: Path | str) -> dict[str, Baselines]:
    """What `write` wrote: those of each of SPLITS. Raises UserError when it cannot be read."""
    content: dict[str, dict[str, Any]] = files.read_json(path)
    return {split: Baselines(**fields) for split, fields in content.items()}
