"""What a model is here: one of scikit-learn's classifiers whose trees vote, on integer features.

A single tree is a forest of one. Other models of trees decide otherwise: boosted trees add up scores, regressors have
no classes, a model of several outputs names several classes at once.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier
from sklearn.tree import DecisionTreeClassifier

from upfml.base.errors import UserError
from upfml.model.voting import SOFT_ONE, leaf_votes

TreeModel: TypeAlias = RandomForestClassifier | ExtraTreesClassifier | DecisionTreeClassifier

KINDS: dict[str, Any] = {
    "random_forest": RandomForestClassifier,
    "extra_trees": ExtraTreesClassifier,
    "decision_tree": DecisionTreeClassifier,
}
"""By their names in config.yaml, `model.kind`."""

FEATURES_MAX = 16
"""Of a model as C. The programs of all engines are verified, with room on their stacks, for so many."""


def untrained(kind: str, *, max_depth: int, n_estimators: int, min_samples_leaf: int, seed: int) -> TreeModel:
    """A model of a kind of KINDS, yet to be fitted; a decision tree is one tree whatever `n_estimators` says."""
    forest = {} if kind == "decision_tree" else {"n_estimators": n_estimators}
    return KINDS[kind](max_depth=max_depth, min_samples_leaf=min_samples_leaf, random_state=seed, **forest)


def trees_of(model: TreeModel) -> list[Any]:
    """The `tree_` of each of a model's trees. Raises UserError when it is no fitted model with one output."""
    if not isinstance(model, TreeModel):
        raise UserError(
            f"a {type(model).__name__} is not a model of voting trees",
            f"train a {', '.join(kind.__name__ for kind in KINDS.values())}",
        )
    fitted = [model] if isinstance(model, DecisionTreeClassifier) else getattr(model, "estimators_", [])
    if not all(hasattr(tree, "tree_") for tree in fitted or [model]):
        raise UserError(f"the {type(model).__name__} is not trained", "fit it first")
    if model.n_outputs_ > 1:
        raise UserError(
            f"the {type(model).__name__} has {model.n_outputs_} outputs; a model here names one class",
            "train a model for each output",
        )
    return [tree.tree_ for tree in fitted]


def check_for_c(model: TreeModel) -> None:
    """Raise UserError when C cannot be made of the model: its kind (see `trees_of`), features or classes forbid it."""
    trees_of(model)
    if model.n_features_in_ > FEATURES_MAX:
        raise UserError(
            f"the model has {model.n_features_in_} features; engines take up to {FEATURES_MAX}",
            "train it on the features that matter most (feature_importances_)",
        )
    if model.classes_.tolist() != list(range(model.n_classes_)):
        raise UserError(
            f"the model's classes are {model.classes_.tolist()}, but its C counts from 0",
            "train it on labels 0, 1, …: on windows of every class",
        )


def round_shares(forest: TreeModel) -> TreeModel:
    """Round the class shares of a trained forest to multiples of 1/SOFT_ONE (voting.py), in place; the same forest.

    Raises UserError when it is not a model of voting trees.
    """
    for tree in trees_of(forest):
        tree.value[:, 0, :] = leaf_votes(tree, "soft") / SOFT_ONE
    return forest
