"""Every wrong key, type, range or combination in config.yaml is named."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from snakemake.utils import update_config

from upfml import config as upfml_config
from upfml.base.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
QUICK = yaml.safe_load((ROOT / "config.yaml").read_text())


def changed(key: str, value: Any) -> dict[str, Any]:
    config = copy.deepcopy(QUICK)
    *path, last = key.split(".")
    place = config
    for part in path:
        place = place[part]
    place[last] = value
    return config


def test_the_settings_that_come_with_the_project_are_right() -> None:
    upfml_config.check(QUICK)
    for preset in (ROOT / "presets").glob("*.yaml"):
        merged = copy.deepcopy(QUICK)
        update_config(merged, yaml.safe_load(preset.read_text()))  # as Snakemake merges them
        upfml_config.check(merged)


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("sede", 1, "sede"),
        ("seed", -1, "seed"),
        ("testbed.kind", "vm", "testbed.kind"),
        ("testbed.prefix", "a b", "testbed.prefix"),
        ("testbed.ue_mtu_bytes", 1500, "testbed.ue_mtu_bytes"),
        ("testbed.n3_rate_mbit_s", 10, "testbed.n3_rate_mbit_s"),
        ("traffic.video.ladder_mbit_s", [1], "traffic.video.ladder_mbit_s"),
        ("traffic.robot_arm.period_ms", [16, 5], "traffic.robot_arm.period_ms"),
        ("traffic.robot_arm.flows", 150, "overlap"),
        ("traffic.motion_control.period_ms", [0.01], "traffic.motion_control.period_ms"),
        ("generalise.scenarios", [{"name": "a"}, {"name": "a"}], "name twice"),
        ("generalise.scenarios", [{"name": "held-out"}], "generalise.scenarios.0.name"),
        ("generalise.scenarios", [{"name": "a", "testbed": {"n3_rate_mbit_s": 5}}], "a: .*testbed.n3_rate_mbit_s"),
        ("generalise.scenarios", [{"name": "a", "traffic": {"robot": {}}}], "a: .*robot"),
        ("generalise.scenarios", [{"name": "a", "traffic": {"video": {"watch_s": [9, 3]}}}], "a: .*watch_s"),
        ("generalise.scenarios", [{"name": "a", "traffic": {"video": {"length_s": 9}}}], "shares one video"),
        ("generalise.scenarios", [{"name": "a", "applications": {"chess": {}}}], "chess"),
        (
            "generalise.scenarios",
            [{"name": "a", "applications": {"voice": {"calls": 2, "first_port": 5002, "bitrate_kbit_s": 24}}}],
            "robot_arm .* voice .* overlap",
        ),
        ("features.window_ms", 0, "features.window_ms"),
        ("features.iat_unit", "ns", "features.iat_unit"),
        ("model.max_depth", 10, "model.max_depth"),
        ("model.max_depth", [10, "x"], "model.max_depth.1"),
        ("model.max_depth", [3, 5], "model.deployed"),
        ("model.kind", "gradient_boosting", "model.kind"),
        ("model.kind", "decision_tree", r"model\.n_estimators is .* one tree"),
        ("convert.division", [5, 5], "convert.division"),
        ("convert.division", 0, "convert.division"),
        ("classify.engine", "never", "classify.engine"),
        ("exactness.when", "never", "exactness.when"),
        ("arms", ["kernel", "kernel"], "arms"),
        ("arms", "fastest", "arms: there is no arm fastest"),
        ("arms", ["none", "native-perf"], "arms: there is no arm native-perf"),
        ("runs.trials_per_batch", 0, "runs.trials_per_batch"),
        ("runs.turn_s", "3", "runs.turn_s"),
        ("runs.batches", {"first": 3, "most": 2}, "runs.batches"),
        ("load.arms", ["kernal"], "there is no arm kernal"),
        ("load.rate.flows", 0, "load.rate.flows"),
        ("load.period.period_ms", [100], r"so close to load\.window_ms"),
        ("bench.saturation.flows", 0, "bench.saturation.flows"),
        ("bench.saturation.duration_s", 0, "bench.saturation.duration_s"),
    ],
)
def test_names_the_key_and_the_remedy(key: str, value: Any, says: str) -> None:
    with pytest.raises(UserError, match=says) as error:
        upfml_config.check(changed(key, value))
    assert error.value.remedy


def test_a_missing_key_is_named() -> None:
    config = copy.deepcopy(QUICK)
    del config["runs"]["turn_s"]
    with pytest.raises(UserError, match="'turn_s' is a required property"):
        upfml_config.check(config)


def test_a_scenario_overrides_key_by_key() -> None:
    override = {"name": "a", "testbed": {"n3_rate_mbit_s": None}, "traffic": {"video": {"clients": 9}}}
    config = changed("generalise.scenarios", [override, {"name": "b"}])
    upfml_config.check(config)
    scenarios = upfml_config.scenarios(config)
    assert list(scenarios) == ["a", "b"]
    assert scenarios["a"]["testbed"] == QUICK["testbed"] | {"n3_rate_mbit_s": None}
    assert scenarios["a"]["traffic"]["video"] == QUICK["traffic"]["video"] | {"clients": 9}
    assert scenarios["b"]["traffic"] == QUICK["traffic"] | {"applications": {}}
    assert config["traffic"] == QUICK["traffic"]
