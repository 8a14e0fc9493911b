"""What is a model here, and what is not: the user is told which, and what to train instead."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.base import BaseEstimator
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier, RandomForestRegressor
from sklearn.tree import DecisionTreeClassifier
from tests.forests import FORESTS, converted, forest_between

from upfml.base import tables
from upfml.base.errors import UserError
from upfml.classify.user import UserClassifier
from upfml.model.kinds import FEATURES_MAX, KINDS, check_for_c, trees_of, untrained
from upfml.packets.features import Definition

SAMPLES, LABELS = [[0, 1], [2, 3], [4, 5], [6, 7]], [0, 1, 0, 1]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_trees(kind: str) -> None:
    model = untrained(kind, max_depth=2, n_estimators=3, min_samples_leaf=1, seed=0).fit(SAMPLES, LABELS)
    check_for_c(model)
    assert type(model) is KINDS[kind]
    assert len(trees_of(model)) == (1 if kind == "decision_tree" else 3)
    assert all(tree.max_depth <= 2 for tree in trees_of(model))


@pytest.mark.parametrize("kind", [GradientBoostingClassifier, RandomForestRegressor])
def test_other_models_are_refused_by_name(kind: type[BaseEstimator]) -> None:
    with pytest.raises(UserError, match=kind.__name__) as refusal:
        trees_of(kind().fit(SAMPLES, LABELS))
    assert "DecisionTreeClassifier" in refusal.value.remedy


@pytest.mark.parametrize("kind", [RandomForestClassifier, DecisionTreeClassifier])
def test_an_untrained_model_is_refused(kind: type[BaseEstimator]) -> None:
    with pytest.raises(UserError, match="not trained"):
        trees_of(kind())


@pytest.mark.parametrize("kind", [RandomForestClassifier, DecisionTreeClassifier])
def test_several_outputs_are_refused(kind: type[BaseEstimator]) -> None:
    with pytest.raises(UserError, match="2 outputs"):
        trees_of(kind().fit(SAMPLES, np.column_stack([LABELS, LABELS])))


def test_more_features_than_engines_take_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"{FEATURES_MAX + 1} features"):
        converted(forest_between(0, 100, features=FEATURES_MAX + 1), tmp_path, engine="table")


@pytest.mark.parametrize("labels", [[1, 1, 1, 1], [0, 2, 0, 2], ["a", "b", "a", "b"]])
def test_classes_that_do_not_count_from_0_are_refused(labels: list[int | str]) -> None:
    with pytest.raises(UserError, match="classes are"):
        check_for_c(DecisionTreeClassifier().fit(SAMPLES, labels))


def test_user_space_refuses_a_model_of_other_features_than_windows_have(tmp_path: Path) -> None:
    model = converted(FORESTS["one feature"], tmp_path)
    with pytest.raises(UserError, match=f"has 1 features, a window has {len(tables.FEATURES)}"):
        UserClassifier(model, Definition(500_000_000, 1_000), "window")
