"""The forest in the kernel on any features, and any number of them: the engines' real programs on inputs from a map.

Packets cannot make every feature, nor other features than a window's; the benchmark's way in (bpf/bench.h) can.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.forests import EVERY_TIED, FORESTS, around_thresholds, at_ends, converted, noisy_forest, tied_forest

from upfml.base import files
from upfml.bpf.flowtable import FlowTable
from upfml.bpf.module import fill
from upfml.bpf.testrun import TestRun
from upfml.classify import kernel
from upfml.model.engines import ENGINES
from upfml.model.engines import table as table_engine
from upfml.model.kinds import trees_of
from upfml.model.voting import Voting, leaf_votes
from upfml.packets.features import Definition
from upfml.reference.forest import Forest
from upfml.studies.bench import programs


class KernelForest:
    """The classes that the kernel finds for given features."""

    def __init__(self, folder: Path) -> None:
        self.module, self.programs = programs.load(folder, Definition(500_000_000, 1_000), "window", FlowTable())
        self._run = TestRun(self.module.load("bench_infer"))

    def __call__(self, samples: NDArray[np.int64]) -> list[int]:
        """The class of each row of `samples`, shape (n, features)."""
        classes: list[int] = []
        for first in range(0, len(samples), programs.INPUTS):
            some = samples[first : first + programs.INPUTS]
            fill(self.module["bench_inputs"], some)
            programs.forget(self.module)
            programs.begin_round(self.module, len(some))
            self._run(bytes(64), times=len(some))
            classes += programs.answers(self.module, len(some)).tolist()
        return classes


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
        ("single leaves", "majority"),
        ("one tree", "soft"),
        ("one class", "majority"),
        ("five classes", "soft"),
        ("extra trees", "majority"),
        ("extra trees, all of int64", "soft"),
        ("a decision tree", "soft"),
        ("one feature", "soft"),
        ("seven features", "majority"),
        ("16 features", "majority"),
        ("16 features, extra trees", "soft"),
    ],
)
@pytest.mark.parametrize("engine", ENGINES)
def test_kernel_decides_as_scikit_learn(
    engine: str, name: str, voting: Voting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Around thresholds on every path and at the ends of the integers: 0 differences, in both forms of a table."""
    forest = FORESTS[name]
    around = np.random.default_rng(0).permutation(around_thresholds(forest))[:4_000]
    samples = np.concatenate([around, at_ends(forest.n_features_in_, 500)])
    predict = Forest(forest, voting).predict
    wanted = [predict(sample) for sample in samples.tolist()]
    if voting == "soft":
        assert wanted == forest.predict(samples).tolist()
    in_kernel = KernelForest(converted(forest, tmp_path, engine=engine, voting=voting))
    assert in_kernel(samples) == wanted
    if engine == "table":
        assert files.read_json(tmp_path / "parts.json")["form"] == "bitvectors"
        monkeypatch.setattr(table_engine, "BITVECTOR_BYTES_MAX", 0)
        kernel.swap(in_kernel.module, converted(forest, tmp_path, engine=engine, voting=voting))
        assert files.read_json(tmp_path / "parts.json")["form"] == "nodes"
        assert in_kernel(samples) == wanted


@pytest.mark.parametrize("engine", ENGINES)
def test_kernel_breaks_ties_as_the_reference(engine: str, tmp_path: Path) -> None:
    forest = tied_forest(15)
    votes = sum(leaf_votes(tree, "soft")[tree.apply(EVERY_TIED.astype(np.float32))] for tree in trees_of(forest))
    assert (votes[:, 0] == votes[:, 1]).any()
    predict = Forest(forest, "soft").predict
    assert KernelForest(converted(forest, tmp_path, engine=engine))(EVERY_TIED) == [
        predict(sample) for sample in EVERY_TIED.tolist()
    ]


def test_the_verifier_forgets_a_tree_before_the_next(tmp_path: Path) -> None:
    """Without forget_features it follows every path of a tree through the next, and gives up after 1,000,000 steps."""
    folder = converted(noisy_forest(trees=10, depth=10), tmp_path, division=1)
    _, (_, part) = kernel.load(folder, Definition(500_000_000, 1_000), "window", FlowTable())
    assert part.verified_instructions < 2 * part.instructions
