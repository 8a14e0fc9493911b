"""voting: what leaves say, in whole numbers."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from tests.forests import noisy_forest

from upfml.model.kinds import round_shares, trees_of
from upfml.model.voting import SOFT_ONE, leaf_votes


@given(st.lists(st.lists(st.integers(0, 10**6), min_size=3, max_size=3).filter(any), min_size=1, max_size=20))
def test_a_leafs_shares_add_up(counts: list[list[int]]) -> None:
    leaves = np.array(counts)
    tree = SimpleNamespace(value=(leaves / leaves.sum(axis=1, keepdims=True))[:, np.newaxis, :])
    soft, majority = leaf_votes(tree, "soft"), leaf_votes(tree, "majority")
    assert (soft.sum(axis=1) == SOFT_ONE).all()
    assert (np.abs(soft - tree.value[:, 0] * SOFT_ONE) <= 1.5).all()
    assert (majority.sum(axis=1) == 1).all()
    assert (majority.argmax(axis=1) == leaves.argmax(axis=1)).all()


def test_rounded_shares_are_the_votes_and_stay() -> None:
    forest = noisy_forest(trees=3, depth=6)
    votes = [leaf_votes(tree, "soft") for tree in trees_of(forest)]
    for tree, of_tree in zip(trees_of(round_shares(forest)), votes, strict=True):
        assert (tree.value[:, 0] * SOFT_ONE == of_tree).all()
        assert (leaf_votes(tree, "soft") == of_tree).all()


def test_scikit_learns_averages_are_the_sums_of_votes() -> None:
    forest = noisy_forest(trees=7, depth=6)
    samples = np.random.default_rng(0).integers(0, 10**6, (1_000, forest.n_features_in_))
    votes = sum(leaf_votes(tree, "soft")[tree.apply(samples.astype(np.float32))] for tree in trees_of(forest))
    assert (forest.predict_proba(samples) == votes / SOFT_ONE / 7).all()
