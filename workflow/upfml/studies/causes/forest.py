"""A scikit-learn forest as the C model decides, with integer thresholds and votes, for many samples at once."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray

from upfml.model import convert
from upfml.model.kinds import TreeModel, trees_of
from upfml.model.voting import Voting, leaf_votes


def classes(
    forest: TreeModel,
    features: NDArray[Any],
    thresholds: convert.Thresholds,
    voting: Voting,
) -> NDArray[np.int64]:
    """The class of each row of `features`, shape (n, features), integers or float64.

    With `exact` thresholds and `soft` votes, that is scikit-learn's, on floats too; with `emlearn`, floats are rounded
    down first, as the cast to the C model's integers does.

    The trees are scikit-learn's own with ranks in place of numbers: a feature's value becomes how many of the forest's
    thresholds are at or below it. The same way is taken, and float32, to which scikit-learn casts, holds every rank.
    """
    trees = trees_of(forest)
    if features.dtype == np.float64 and thresholds == "exact":
        features = features.astype(np.float32).astype(np.float64)
        limits = [np.nextafter(tree.threshold, np.inf) for tree in trees]  # float32(x) <= t is float32(x) < limit
    else:
        features = np.floor(features).astype(np.int64)
        limits = [convert.integer_thresholds(tree, thresholds) for tree in trees]
    feature_of, limit = np.concatenate([tree.feature for tree in trees]), np.concatenate(limits)
    ranks, rank_of = np.empty(features.shape, np.float32), np.zeros(len(limit))
    for number in range(features.shape[1]):
        at = feature_of == number
        distinct = np.unique(limit[at])
        ranks[:, number] = np.searchsorted(distinct, features[:, number], side="right")
        rank_of[at] = np.searchsorted(distinct, limit[at])
    votes = np.zeros((len(features), len(forest.classes_)), np.int64)
    edges = np.cumsum([tree.node_count for tree in trees])
    for tree, rank in zip(trees, np.split(rank_of, edges[:-1]), strict=True):
        ranked = copy.deepcopy(tree)
        ranked.threshold[:] = rank
        votes += leaf_votes(tree, voting)[ranked.apply(ranks)]
    found: NDArray[np.int64] = forest.classes_[votes.argmax(axis=1)]
    return found
