"""Checks that a converted model takes as many features as a window has."""

from __future__ import annotations

from pathlib import Path

from upfml.base import files, tables
from upfml.base.errors import UserError


def check(model: Path) -> None:
    """Raise UserError when the model of a folder of convert.write has another number of features than a window."""
    features = files.read_json(model / "parts.json")["features"]
    if features != len(tables.FEATURES):
        raise UserError(
            f"{model}: the model has {features} features, a window has {len(tables.FEATURES)}",
            f"train it on {', '.join(tables.FEATURES)}",
        )
