"""Forests for tests: trained on noise, so that trees are full and no two leaves agree by chance of clean data.

And the inputs on which a conversion shows what it is worth: around every threshold, and at the ends of the integers.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from upfml.base import tables
from upfml.model import convert
from upfml.model.engines import tailcall
from upfml.model.kinds import TreeModel, round_shares, trees_of, untrained
from upfml.model.synthetic import noisy_forest
from upfml.model.voting import Voting
from upfml.packets.features import Definition

INT64 = np.iinfo(np.int64)
ENDS = [
    *(0, -1, 1, INT64.min, INT64.min + 1, INT64.max, INT64.max - 1),
    *(sign * 2**bits + step for sign in (1, -1) for bits in (24, 31, 32, 46, 53, 62) for step in (-1, 0, 1)),
]
"""Integers at which a type, or the spacing of float32 or float64, ends."""


def forest_between(
    low: int,
    high: int,
    *,
    step: int = 1,
    rows: int = 600,
    trees: int = 8,
    depth: int | None = 8,
    classes: int = 2,
    leaf: int = 5,
    seed: int = 0,
    rounded: bool = True,
    features: int = len(tables.FEATURES),
    kind: str = "random_forest",
) -> TreeModel:
    """A forest on features drawn from multiples of `step` in [low, high), with at least `leaf` samples a leaf.

    With its leaves' shares rounded, as the stage `train` makes forests, or as scikit-learn trained them.
    """
    random = np.random.default_rng(seed)
    samples = random.integers(low // step, high // step, (rows, features)) * step
    labels = np.concatenate([np.arange(classes), random.integers(0, classes, rows - classes)])  # every class is there
    forest = untrained(kind, n_estimators=trees, max_depth=depth, min_samples_leaf=leaf, seed=seed)
    forest.fit(samples, labels)
    return round_shares(forest) if rounded else forest


FORESTS = {
    "windows": noisy_forest(trees=10, depth=8),
    "half thresholds": forest_between(-20, 20),
    "whole thresholds": forest_between(-20, 20, step=2),
    "up to 2^46": forest_between(0, 2**46),  # the largest variance of IATs; float32 has gaps of 2^22 there
    "gaps of float32": forest_between(2**24 - 30, 2**24 + 30),
    "near 2^53": forest_between(2**53 - 2**33, 2**53 + 2**33),
    "all of int64": forest_between(-(2**63), 2**63),
    "three classes": forest_between(0, 1_000, classes=3),
    "single leaves": forest_between(0, 1_000, leaf=600),
    "one tree": forest_between(0, 1_000, trees=1),
    "one class": forest_between(0, 1_000, classes=1),
    "five classes": forest_between(0, 1_000, classes=5, trees=4),
    "extra trees": forest_between(-1_000, 1_000, kind="extra_trees", trees=4),
    "extra trees, all of int64": forest_between(-(2**63), 2**63, kind="extra_trees", classes=3, trees=4),
    "a decision tree": forest_between(0, 1_000, kind="decision_tree", depth=None, leaf=1, classes=5, rows=200),
    "one feature": forest_between(-1_000, 1_000, features=1, kind="extra_trees", trees=4),
    "seven features": forest_between(2**53 - 2**33, 2**53 + 2**33, features=7, classes=3, trees=4),
    "16 features": forest_between(-1_000, 1_000, features=16, trees=4),
    "16 features, extra trees": forest_between(-(2**62), 2**62, features=16, classes=5, kind="extra_trees", trees=4),
}


EVERY_TIED = np.stack(np.meshgrid(*[np.arange(4)] * len(tables.FEATURES)), axis=-1).reshape(-1, len(tables.FEATURES))
"""Every sample of tied_forest's features."""


def tied_forest(seed: int, *, rounded: bool = True) -> TreeModel:
    """A small forest on few samples and few values, whose trees often balance each other."""
    return forest_between(0, 4, rows=60, trees=6, depth=3 + seed % 4, leaf=1 + seed % 5, seed=seed, rounded=rounded)


def converted(
    forest: TreeModel,
    folder: Path,
    *,
    engine: str = "tailcall",
    division: tailcall.Division = 3,
    thresholds: convert.Thresholds = "exact",
    voting: Voting = "soft",
) -> Path:
    """A folder as the stage `convert` makes, of a forest for windows of 500 ms and IATs in us."""
    definition = Definition(500_000_000, 1_000)
    convert.write(forest, division, engine, folder, thresholds=thresholds, voting=voting, definition=definition)
    convert.shared_library(folder, forest.n_features_in_)
    return folder


def around_thresholds(forest: TreeModel, seed: int = 0) -> NDArray[np.int64]:
    """Samples that reach each inner node of each tree and there lie around its threshold, shape (n, features).

    At a node its feature takes the integers next to the threshold and next to where the branches part; the others stay
    within what the path to the node demands, once anywhere and once at an end of that, next to other thresholds.
    """
    random = np.random.default_rng(seed)
    rows = [row for tree in trees_of(forest) for row in _around(tree, random)]
    if not rows:  # single leaves
        return at_ends(forest.n_features_in_, 20, seed)
    return np.array(rows, np.int64)


def _around(tree: object, random: np.random.Generator) -> Iterator[list[int]]:
    parts = convert.integer_thresholds(tree, "exact").tolist()
    paths = [(0, [(INT64.min, INT64.max)] * tree.n_features)]
    while paths:
        node, bounds = paths.pop()
        if tree.children_left[node] < 0:
            continue
        feature, part, whole = tree.feature[node], parts[node], math.floor(tree.threshold[node])
        for inside in ([random.integers(*b, endpoint=True) for b in bounds], [random.choice(b) for b in bounds]):
            for value in {part - 1, part, part + 1, whole - 1, whole, whole + 1}:
                yield [*inside[:feature], min(max(value, INT64.min), INT64.max), *inside[feature + 1 :]]
        low, high = bounds[feature]
        paths.append((tree.children_left[node], [*bounds[:feature], (low, part - 1), *bounds[feature + 1 :]]))
        paths.append((tree.children_right[node], [*bounds[:feature], (part, high), *bounds[feature + 1 :]]))


def at_ends(features: int, rows: int, seed: int = 0) -> NDArray[np.int64]:
    """Samples of numbers in ENDS: each in every feature, and `rows` mixed ones."""
    mixed = np.random.default_rng(seed).choice(np.array(ENDS, np.int64), (rows, features))
    return np.concatenate([np.array([[end] * features for end in ENDS], np.int64), mixed])
