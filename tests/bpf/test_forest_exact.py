"""The forest in the kernel on any features: the real programs forest_part_0, …, given a scratchpad by user space.

Packets cannot make every feature; but what the classifier leaves in the scratchpad for its tail calls, user space can
leave there, too.
"""

from __future__ import annotations

import ctypes
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.forests import EVERY_TIED, FORESTS, around_thresholds, at_ends, converted, noisy_forest, tied_forest

from upfml import events, tables
from upfml.classify import kernel
from upfml.features import Definition
from upfml.flowtable import FlowTable
from upfml.reference.forest import Forest
from upfml.testrun import TestRun
from upfml.voting import Voting, leaf_votes


class KernelForest:
    """The classes that the kernel finds for given features."""

    def __init__(self, folder: Path) -> None:
        self._module, programs = kernel.load(folder, Definition(500_000_000, 1_000), "window", FlowTable())
        self._run = TestRun(programs[1])  # forest_part_0; the first is the classifier itself
        self._pads = self._module["scratchpads"]
        self._raw = bytearray()
        size = events.DECISION_EVENT.itemsize
        self._module.read_events("decisions", lambda _c, data, _s: self._raw.extend(ctypes.string_at(data, size)), 64)

    def __call__(self, samples: NDArray[np.int64]) -> list[int]:
        """The class of each row of `samples`, shape (n, features)."""
        self._raw.clear()
        for number, features in enumerate(samples.tolist()):
            pads = self._pads.Leaf()  # one a CPU; votes are zero
            for pad in pads:
                pad.decision.window = number
                for name, value in zip(tables.FEATURES, features, strict=True):
                    setattr(pad.decision.features, name, value)
            self._pads[self._pads.Key(0)] = pads
            self._run(bytes(64))
            if number % 256 == 0:
                self._module.poll(0)
        self._module.poll(0)
        decisions = np.sort(np.frombuffer(bytes(self._raw), events.DECISION_EVENT), order="window")
        assert np.column_stack([decisions[name] for name in tables.FEATURES]).tolist() == samples.tolist()
        return [int(predicted) for predicted in decisions["predicted"]]


@pytest.mark.parametrize(
    ("name", "voting"),
    [
        ("windows", "soft"),
        ("windows", "majority"),
        ("up to 2^46", "soft"),
        ("all of int64", "soft"),
        ("three classes", "soft"),
        ("three classes", "majority"),
        ("single leaves", "soft"),
    ],
)
def test_kernel_decides_as_scikit_learn(name: str, voting: Voting, tmp_path: Path) -> None:
    """Around thresholds on every path and at the ends of the integers: 0 differences."""
    forest = FORESTS[name]
    around = np.random.default_rng(0).permutation(around_thresholds(forest))[:4_000]
    samples = np.concatenate([around, at_ends(4, 500)])
    predict = Forest(forest, voting).predict
    wanted = [predict(sample) for sample in samples.tolist()]
    if voting == "soft":
        assert wanted == forest.predict(samples).tolist()
    assert KernelForest(converted(forest, tmp_path, voting=voting))(samples) == wanted


def test_kernel_breaks_ties_as_the_reference(tmp_path: Path) -> None:
    forest = tied_forest(15)
    votes = sum(leaf_votes(tree.tree_, "soft")[tree.apply(EVERY_TIED)] for tree in forest.estimators_)
    assert (votes[:, 0] == votes[:, 1]).any()
    predict = Forest(forest, "soft").predict
    assert KernelForest(converted(forest, tmp_path))(EVERY_TIED) == [predict(sample) for sample in EVERY_TIED.tolist()]


def test_the_verifier_forgets_a_tree_before_the_next(tmp_path: Path) -> None:
    """Without forget_features it follows every path of a tree through the next, and gives up after 1,000,000 steps."""
    folder = converted(noisy_forest(trees=10, depth=10), tmp_path, division=1)
    _, (_, part) = kernel.load(folder, Definition(500_000_000, 1_000), "window", FlowTable())
    assert part.verified_instructions < 2 * part.instructions
