"""The points of the sweep: each is the size of a model, by its greatest depth and its number of trees."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import Any


def point_name(max_depth: int, n_estimators: int) -> str:
    """A point as it stands in paths, e.g. depth10-trees10."""
    return f"depth{max_depth}-trees{n_estimators}"


def points(model: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    """Every point by its name, with its hyper-parameters; `model` is that section of config.yaml."""
    return {
        point_name(depth, trees): {"max_depth": depth, "n_estimators": trees}
        for depth, trees in product(model["max_depth"], model["n_estimators"])
    }


def deployed_point(model: Mapping[str, Any]) -> str:
    """The point whose model the runs use; `model` is that section of config.yaml."""
    return point_name(**model["deployed"])
