"""config.yaml, checked: every key, type and range by workflow/schemas/config.schema.yaml, then what spans keys."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from upfml import arms
from upfml.errors import UserError

SCHEMA = Path(__file__).resolve().parents[1] / "schemas" / "config.schema.yaml"


def check(config: Mapping[str, Any]) -> None:
    """Raise UserError naming the key, what is wrong with it, and what it must be."""
    schema = yaml.safe_load(SCHEMA.read_text())
    error = jsonschema.exceptions.best_match(jsonschema.Draft202012Validator(schema).iter_errors(dict(config)))
    if error is not None:
        key = ".".join(map(str, error.absolute_path)) or "the top level"
        raise UserError(f"config: {key}: {error.message}", f"{key}: {_description(schema, error)}")
    for key in ("traffic.robot_arm.period_ms", "traffic.robot_arm.payload_bytes", "traffic.video.watch_s"):
        low, high = _get(config, key)
        if low > high:
            raise UserError(f"config: {key}: [{low}, {high}] is no range", "give the smaller number first")
    robot, motion = config["traffic"]["robot_arm"], config["traffic"]["motion_control"]
    robot_ports = range(robot["first_port"], robot["first_port"] + robot["flows"])
    motion_ports = range(motion["first_port"], motion["first_port"] + len(motion["period_ms"]))
    if set(robot_ports) & set(motion_ports):
        raise UserError(
            f"config: traffic: the ports of robot_arm ({_span(robot_ports)}) and motion_control "
            f"({_span(motion_ports)}) overlap",
            "move one traffic.*.first_port",
        )
    model, deployed = config["model"], config["model"]["deployed"]
    if deployed["max_depth"] not in model["max_depth"] or deployed["n_estimators"] not in model["n_estimators"]:
        raise UserError(
            f"config: model.deployed {deployed} is not a point of the sweep",
            "add its max_depth and n_estimators to model.max_depth and model.n_estimators",
        )
    if model["kind"] == "decision_tree" and model["n_estimators"] != [1]:
        raise UserError(
            f"config: model.n_estimators is {model['n_estimators']}, but a decision_tree is one tree",
            "set model.n_estimators to [1] and model.deployed.n_estimators to 1, or model.kind to a forest",
        )
    arms.chosen(config)
    batches = config["runs"]["batches"]
    if batches["first"] > batches["most"]:
        raise UserError(
            f"config: runs.batches: first is {batches['first']}, but most is {batches['most']}",
            "raise most, or lower first",
        )
    division = config["convert"]["division"]
    if isinstance(division, list):
        other = [trees for trees in model["n_estimators"] if trees != sum(division)]
        if other:
            raise UserError(
                f"config: convert.division {division} adds up to {sum(division)} trees, but model.n_estimators has "
                f"{other}",
                "give a number of programs, which fits every forest, or sweep over no other number of trees",
            )


def point_name(max_depth: int, n_estimators: int) -> str:
    """A point of the sweep as it stands in paths, e.g. depth10-trees10."""
    return f"depth{max_depth}-trees{n_estimators}"


def points(config: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    """Every point of the sweep: its name and its hyper-parameters."""
    model = config["model"]
    return {
        point_name(depth, trees): {"max_depth": depth, "n_estimators": trees}
        for depth, trees in product(model["max_depth"], model["n_estimators"])
    }


def deployed_point(config: Mapping[str, Any]) -> str:
    """The point whose model the runs use."""
    return point_name(**config["model"]["deployed"])


def _description(schema: Any, error: jsonschema.ValidationError) -> str:
    """The schema's words on the key, or on the list that it stands in."""
    place, words = schema, "see the comments in config.yaml"
    for step in error.absolute_schema_path:
        if isinstance(place, dict):
            words = place.get("description", words)
            if step not in place:  # the path goes on behind a $ref
                break
        place = place[step]
    return str(error.schema.get("description", words)) if isinstance(error.schema, dict) else words


def _get(config: Mapping[str, Any], key: str) -> Any:
    value: Any = config
    for part in key.split("."):
        value = value[part]
    return value


def _span(ports: range) -> str:
    return f"{ports.start}-{ports.stop - 1}"
