"""Points of the sweep: every depth with every number of trees."""

from __future__ import annotations

from upfml.model.points import deployed_point, points

MODEL = {"max_depth": [3, 10], "n_estimators": [1, 10], "deployed": {"max_depth": 10, "n_estimators": 10}}


def test_points_are_depth_times_trees() -> None:
    assert list(points(MODEL)) == ["depth3-trees1", "depth3-trees10", "depth10-trees1", "depth10-trees10"]
    assert points(MODEL)["depth3-trees10"] == {"max_depth": 3, "n_estimators": 10}
    assert deployed_point(MODEL) == "depth10-trees10"
