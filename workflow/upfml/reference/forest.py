"""The forest as scikit-learn evaluates it, for comparison with its C (convert.py).

Slow and plain: scikit-learn's own trees are walked with scikit-learn's own comparison, float32(x) <= threshold.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from upfml.model.kinds import TreeModel, trees_of
from upfml.model.voting import Voting, leaf_votes


class _Tree(NamedTuple):
    """A scikit-learn `tree_`: a value for each node."""

    left: list[int]  # child; -1: a leaf
    right: list[int]
    feature: list[int]
    threshold: list[float]
    votes: list[list[int]]

    def leaf(self, features: Sequence[float]) -> int:
        node = 0
        while self.left[node] != -1:
            goes_left = features[self.feature[node]] <= self.threshold[node]
            node = self.left[node] if goes_left else self.right[node]
        return node


class Forest:
    """A trained forest as a function from integer features to a class."""

    def __init__(self, forest: TreeModel, voting: Voting) -> None:
        """Take the trees of `forest`; `voting` says what a leaf adds to the votes (voting.leaf_votes)."""
        self._classes = range(forest.n_classes_)
        self._trees = [
            _Tree(
                tree.children_left.tolist(),
                tree.children_right.tolist(),
                tree.feature.tolist(),
                tree.threshold.tolist(),
                leaf_votes(tree, voting).tolist(),
            )
            for tree in trees_of(forest)
        ]

    def predict(self, features: Sequence[int]) -> int:
        """The class of one sample of int64 features: the one with the largest sum of votes, the first of equals."""
        # In one rounding, as scikit-learn casts int64; np.float32(int) would round to float64 on the way.
        cast = np.array(features, np.int64).astype(np.float32).tolist()
        votes = [tree.votes[tree.leaf(cast)] for tree in self._trees]
        return max(self._classes, key=lambda number: sum(vote[number] for vote in votes))
