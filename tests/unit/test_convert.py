"""emlearn's C, its adaptation to the kernel, and the proof that it decides as scikit-learn does."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import emlearn
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.forests import (
    ENDS,
    EVERY_TIED,
    FORESTS,
    INT64,
    around_thresholds,
    at_ends,
    converted,
    forest_between,
    noisy_forest,
    tied_forest,
)

from upfml.base import files, tables
from upfml.base.errors import UserError
from upfml.bpf.module import KernelRefused
from upfml.classify.user import predictor
from upfml.model import convert
from upfml.model.engines import inline, tailcall
from upfml.model.kinds import FEATURES_MAX, KINDS, TreeModel, trees_of
from upfml.model.voting import Voting, leaf_votes
from upfml.reference.forest import Forest

FOREST = noisy_forest(trees=10, depth=5)

int64s = st.one_of(st.integers(INT64.min, INT64.max), st.sampled_from(ENDS))


# Dividing the trees over programs


@pytest.mark.parametrize(
    ("trees", "division", "sizes"),
    [(10, 3, [4, 3, 3]), (10, [4, 3, 3], [4, 3, 3]), (2, 3, [1, 1]), (7, 1, [7]), (20, 33, [1] * 20)],
)
def test_divides_trees(trees: int, division: int | list[int], sizes: list[int]) -> None:
    parts = tailcall.divide([1] * trees, division)
    assert [len(part) for part in parts] == sizes
    assert [tree for part in parts for tree in part] == list(range(trees))


def test_the_papers_division() -> None:
    assert tailcall.divide([1] * 10, 3) == [[0, 1, 2, 3], [4, 5, 6], [7, 8, 9]]


@given(st.integers(1, 200), st.integers(1, 33))
def test_no_tree_is_lost(trees: int, programs: int) -> None:
    parts = tailcall.divide([1] * trees, programs)
    assert sorted(tree for part in parts for tree in part) == list(range(trees))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_division_that_does_not_fit() -> None:
    with pytest.raises(UserError, match=r"convert\.division"):
        tailcall.divide([1] * 10, [4, 3])


def test_as_few_programs_as_hold_the_trees() -> None:
    half = tailcall.PROGRAM_MAX // 2
    assert tailcall.divide([10] * 500, "auto") == [list(range(500))]
    assert tailcall.divide([half, half, 1, half], "auto") == [[0, 1], [2, 3]]
    assert len(tailcall.divide([half] * 66, "auto")) == tailcall.TAIL_CALLS_MAX


def test_a_tree_too_large_for_a_program_is_left_to_the_verifier() -> None:
    larger = tailcall.PROGRAM_MAX + 1
    assert tailcall.divide([larger, 1, larger], "auto") == [[0], [1], [2]]


def test_a_forest_too_large_for_one_program_is_refused_before_it_is_compiled() -> None:
    inline.check(65_000)
    with pytest.raises(KernelRefused, match="35000 instructions") as refusal:
        inline.check(70_000)
    assert "classify.engine: table" in refusal.value.remedy


# The text


def test_the_papers_conversion_is_emlearns() -> None:
    plain = emlearn.convert(FOREST, method="inline", dtype="int64_t").save(name="model", include_proba=False)
    assert convert.c_model(FOREST, "emlearn", "majority") == plain


@pytest.mark.parametrize("voting", ["soft", "majority"])
def test_adaptation_is_the_papers(voting: Voting) -> None:
    model = convert.c_model(FOREST, "exact", voting)
    kernel = convert.for_kernel(model)
    assert "#include <stdint.h>" in model
    assert "votes[2] = {0,}" in model
    assert "stdint.h" not in kernel
    assert "#include <linux/types.h>" in kernel
    assert "typedef s64 int64_t;" in kernel
    assert "votes[0] = 0;" in kernel
    assert "votes[1] = 0;" in kernel
    for word in ("float", "double", "predict_proba"):
        assert word not in kernel


@pytest.mark.parametrize("thresholds", ["exact", "emlearn"])
@pytest.mark.parametrize("voting", ["soft", "majority"])
def test_a_folder_says_what_it_was_made_for(thresholds: convert.Thresholds, voting: Voting, tmp_path: Path) -> None:
    converted(FOREST, tmp_path, thresholds=thresholds, voting=voting)
    assert (tmp_path / "model.h").read_text() == convert.c_model(FOREST, thresholds, voting)
    assert files.read_json(tmp_path / "parts.json") == {
        "engine": "tailcall",
        "parts": [[0, 1, 2, 3], [4, 5, 6], [7, 8, 9]],
        "nodes": sum(tree.node_count for tree in trees_of(FOREST)),
        "trees": 10,
        "classes": 2,
        "features": len(tables.FEATURES),
        "thresholds": thresholds,
        "voting": voting,
        "window_ns": 500_000_000,
        "iat_unit_ns": 1_000,
    }


def test_leftover_of_user_space_is_an_error() -> None:
    with pytest.raises(UserError, match="float"):
        convert.for_kernel(convert.c_model(FOREST, "exact", "soft") + "\nfloat x;\n")


def test_a_model_that_does_not_compile_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "model.h").write_text("no C")
    with pytest.raises(UserError, match=r"model\.c"):
        convert.shared_library(tmp_path, 4)
    assert not (tmp_path / "model.so").exists()


# Thresholds


def stump(threshold: float) -> SimpleNamespace:
    """A tree of one threshold."""
    return SimpleNamespace(
        node_count=3, children_left=np.array([1, -1, -1]), threshold=np.array([threshold, -2.0, -2.0])
    )


def in_float32(x: int) -> int:
    """An int64 rounded to float32 (24 bits, half to even) by whole-number arithmetic."""
    unit = 1 << max(abs(x).bit_length() - 24, 0)
    return round(Fraction(x, unit)) * unit


# Where scikit-learn puts thresholds: half-way between two float32, or on one; and anywhere else.
halfway = st.tuples(int64s, int64s).map(lambda pair: in_float32(pair[0]) / 2 + in_float32(pair[1]) / 2)
neighbours = int64s.map(lambda x: (in_float32(x) + float(np.nextafter(np.float32(in_float32(x)), np.float32(0)))) / 2)
thresholds_of_any_size = st.one_of(
    st.floats(-(2.0**63), 2.0**63, exclude_min=True, exclude_max=True),
    st.floats(-100, 100),
    st.integers(-100, 100).map(lambda twice: twice / 2),
    int64s.map(lambda x: float(in_float32(x))),
    halfway,
    neighbours,
).filter(lambda threshold: -(2.0**63) < threshold < 2.0**63)


@settings(max_examples=1_000, deadline=None)
@given(threshold=thresholds_of_any_size, x=int64s, step=st.integers(-3, 3))
def test_exact_thresholds_part_the_integers_as_scikit_learn(threshold: float, x: int, step: int) -> None:
    part = int(convert.integer_thresholds(stump(threshold), "exact")[0])
    for sample in {part - 1, part, part + step, round(threshold) + step, x}:
        if INT64.min <= sample <= INT64.max:
            assert int(np.int64(sample).astype(np.float32)) == in_float32(sample)
            assert (sample < part) == (in_float32(sample) <= threshold)


@pytest.mark.parametrize(
    ("threshold", "exact", "emlearns"),
    [
        (12.5, 13, 12),
        (12.0, 13, 12),
        (-0.5, 0, 0),
        (-12.5, -12, -12),
        (-12.0, -11, -12),
        (2.0**24, 2**24 + 2, 2**24),  # float32(2^24 + 1) is 2^24, half to even
        (2.0**24 + 2, 2**24 + 3, 2**24 + 2),  # float32(2^24 + 3) is 2^24 + 4
        (2.0**46, 2**46 + 2**22 + 1, 2**46),
    ],
)
def test_thresholds_by_hand(threshold: float, exact: int, emlearns: int) -> None:
    assert convert.integer_thresholds(stump(threshold), "exact").tolist() == [exact, 0, 0]
    assert convert.integer_thresholds(stump(threshold), "emlearn").tolist() == [emlearns, 0, 0]


@pytest.mark.parametrize("how", ["exact", "emlearn"])
@pytest.mark.parametrize("threshold", [2.0**63, -(2.0**63), 1e300, float("inf"), float("-inf"), float("nan")])
def test_a_threshold_beyond_int64_is_an_error(how: convert.Thresholds, threshold: float) -> None:
    with pytest.raises(UserError, match="threshold"):
        convert.integer_thresholds(stump(threshold), how)


# The whole forest: C in user space, the reference and scikit-learn


def c_decisions(folder: Path, samples: NDArray[np.int64]) -> list[int]:
    predict = predictor(folder / "model.so")
    return [predict(sample) for sample in samples.tolist()]


def reference_decisions(forest: TreeModel, voting: Voting, samples: NDArray[np.int64]) -> list[int]:
    predict = Forest(forest, voting).predict
    return [predict(sample) for sample in samples.tolist()]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Path]:
    """The folder of every forest and voting."""
    root = tmp_path_factory.mktemp("models")
    return {
        (name, voting): converted(forest, root / f"{number}-{voting}", voting=voting)
        for number, (name, forest) in enumerate(FORESTS.items())
        for voting in ("soft", "majority")
    }


@pytest.mark.parametrize("name", FORESTS)
def test_soft_c_reference_and_scikit_learn_agree(name: str, folders: dict[tuple[str, str], Path]) -> None:
    """Around every threshold on every path, and at the ends of the integers: 0 differences."""
    forest = FORESTS[name]
    samples = np.concatenate([around_thresholds(forest), at_ends(forest.n_features_in_, 1_000)])
    wanted = forest.predict(samples).tolist()
    assert reference_decisions(forest, "soft", samples) == wanted
    assert c_decisions(folders[name, "soft"], samples) == wanted


@pytest.mark.parametrize("name", FORESTS)
def test_majority_c_reference_and_scikit_learns_trees_agree(name: str, folders: dict[tuple[str, str], Path]) -> None:
    forest = FORESTS[name]
    samples = np.concatenate([around_thresholds(forest), at_ends(forest.n_features_in_, 1_000)])
    cast = samples.astype(np.float32)
    trees = np.array([tree.predict(cast).argmax(axis=1) for tree in trees_of(forest)])
    votes = np.array([(trees == number).sum(axis=0) for number in range(forest.n_classes_)])
    wanted = votes.argmax(axis=0).tolist()
    assert reference_decisions(forest, "majority", samples) == wanted
    assert c_decisions(folders[name, "majority"], samples) == wanted


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), name=st.sampled_from(list(FORESTS)))
def test_any_int64s(folders: dict[tuple[str, str], Path], data: st.DataObject, name: str) -> None:
    forest = FORESTS[name]
    near = [int(part) for tree in trees_of(forest) for part in convert.integer_thresholds(tree, "exact")]
    number = st.one_of(int64s, st.tuples(st.sampled_from(near), st.integers(-2, 2)).map(sum))
    rows = data.draw(st.lists(st.tuples(*[number] * forest.n_features_in_), min_size=1, max_size=20))
    samples = np.array(rows, np.int64)
    wanted = reference_decisions(forest, "soft", samples)
    assert wanted == forest.predict(samples).tolist()
    assert c_decisions(folders[name, "soft"], samples) == wanted
    assert c_decisions(folders[name, "majority"], samples) == reference_decisions(forest, "majority", samples)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    low=st.one_of(int64s, st.integers(-1_000, 1_000)),
    bits=st.integers(1, 62),
    classes=st.integers(2, 4),
    trees=st.integers(1, 9),
    leaf=st.sampled_from([1, 5, 100]),
    seed=st.integers(0, 2**31),
    features=st.integers(1, FEATURES_MAX),
    kind=st.sampled_from(list(KINDS)),
)
def test_any_forest(tmp_path_factory: pytest.TempPathFactory, low: int, bits: int, seed: int, **how: Any) -> None:
    low = min(low, INT64.max - 2**bits)
    forest = forest_between(low, low + 2**bits, rows=200, seed=seed, **how)
    samples = np.concatenate([around_thresholds(forest, seed), at_ends(forest.n_features_in_, 100, seed)])
    for voting in ("soft", "majority"):
        folder = converted(forest, tmp_path_factory.mktemp("any"), voting=voting)
        wanted = reference_decisions(forest, voting, samples)
        assert c_decisions(folder, samples) == wanted
        if voting == "soft":
            assert wanted == forest.predict(samples).tolist()


def test_ties_are_scikit_learns() -> None:
    """Where leaves' shares balance exactly, both take the first class: shares are rounded (voting.py)."""
    ties = 0
    for seed in range(30):
        forest = tied_forest(seed)
        votes = sum(leaf_votes(tree, "soft")[tree.apply(EVERY_TIED.astype(np.float32))] for tree in trees_of(forest))
        ties += (votes[:, 0] == votes[:, 1]).sum()
        assert reference_decisions(forest, "soft", EVERY_TIED) == forest.predict(EVERY_TIED).tolist()
    assert ties > 10


def test_shares_as_they_were_trained_would_leave_ties_to_the_last_bit() -> None:
    """That the test above can fail."""
    assert any(
        reference_decisions(forest, "soft", EVERY_TIED) != forest.predict(EVERY_TIED).tolist()
        for forest in (tied_forest(seed, rounded=False) for seed in range(30))
    )


@pytest.mark.parametrize("name", ["windows", "half thresholds", "whole thresholds", "up to 2^46"])
def test_emlearns_thresholds_decide_otherwise(name: str, tmp_path: Path) -> None:
    """These samples tell conversions apart: with emlearn's thresholds the same comparison finds differences."""
    forest = FORESTS[name]
    folder = converted(forest, tmp_path, thresholds="emlearn")
    samples = around_thresholds(forest)
    assert (forest.predict(samples) != c_decisions(folder, samples)).mean() > 0.01


def test_majority_decides_otherwise(folders: dict[tuple[str, str], Path]) -> None:
    samples = around_thresholds(FORESTS["windows"])
    assert (FORESTS["windows"].predict(samples) != c_decisions(folders["windows", "majority"], samples)).mean() > 0.01
