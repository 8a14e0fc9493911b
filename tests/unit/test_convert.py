"""emlearn's C and its adaptation to the kernel."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.forests import noisy_forest

from upfml import convert
from upfml.classify.user import predictor
from upfml.errors import UserError

FOREST = noisy_forest(trees=10, depth=5)


@pytest.mark.parametrize(
    ("trees", "division", "sizes"),
    [(10, 3, [4, 3, 3]), (10, [4, 3, 3], [4, 3, 3]), (2, 3, [1, 1]), (7, 1, [7]), (20, 33, [1] * 20)],
)
def test_divides_trees(trees: int, division: int | list[int], sizes: list[int]) -> None:
    parts = convert.divide(trees, division)
    assert [len(part) for part in parts] == sizes
    assert [tree for part in parts for tree in part] == list(range(trees))


def test_the_papers_division() -> None:
    assert convert.divide(10, 3) == [[0, 1, 2, 3], [4, 5, 6], [7, 8, 9]]


@given(st.integers(1, 200), st.integers(1, 33))
def test_no_tree_is_lost(trees: int, programs: int) -> None:
    parts = convert.divide(trees, programs)
    assert sorted(tree for part in parts for tree in part) == list(range(trees))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@pytest.mark.parametrize("division", [[4, 3], [1] * 34])
def test_division_that_does_not_fit(division: list[int]) -> None:
    with pytest.raises(UserError, match=r"convert\.division"):
        convert.divide(34 if len(division) == 34 else 10, division)


def test_adaptation_is_the_papers() -> None:
    model = convert.c_model(FOREST)
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
    assert "#define MODEL_CLASSES 2" in kernel


def test_user_space_uses_the_model_as_emlearn_wrote_it(tmp_path: Path) -> None:
    convert.write(FOREST, 3, "tailcall", tmp_path)
    assert (tmp_path / "model.h").read_text() == convert.c_model(FOREST)


def test_leftover_of_user_space_is_an_error() -> None:
    with pytest.raises(UserError, match="float"):
        convert.for_kernel(convert.c_model(FOREST) + "\nfloat x;\n")


def test_library_votes_as_the_trees_do(tmp_path: Path) -> None:
    """The class with most trees behind it, where no feature is near enough to a threshold to be rounded over it."""
    convert.write(FOREST, 3, "tailcall", tmp_path)
    predict = predictor(convert.shared_library(tmp_path))
    random = np.random.default_rng(1)
    rows = random.integers(0, 10**9, (2_000, 4))
    rows[:, [0, 2]] = random.integers(0, 50_000, (2_000, 2))
    votes = sum(tree.predict(rows) for tree in FOREST.estimators_)
    thresholds = [
        tree.tree_.threshold[tree.tree_.feature == feature] for feature in range(4) for tree in FOREST.estimators_
    ]
    by_feature = [np.concatenate(thresholds[feature * 10 : feature * 10 + 10]) for feature in range(4)]
    # float32 inputs of scikit-learn and truncated thresholds of emlearn move a boundary by less than 64
    clear = np.all(
        [np.min(np.abs(rows[:, [f]] - by_feature[f]), axis=1) > (1 if f in (0, 2) else 64) for f in range(4)], axis=0
    )
    wanted = (votes > 5).astype(int)
    decided = clear & (votes != 5)
    assert decided.sum() > 500
    got = np.array([predict(row.tolist()) for row in rows])
    assert (got[decided] == wanted[decided]).all()


def test_a_model_that_does_not_compile_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "model.h").write_text("no C")
    with pytest.raises(UserError, match=r"model\.c"):
        convert.shared_library(tmp_path)
    assert not (tmp_path / "model.so").exists()
