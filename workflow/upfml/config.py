"""config.yaml, checked: every key, type and range by workflow/schemas/config.schema.yaml, then what spans keys."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from itertools import combinations
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from upfml.arms import Arms
from upfml.base.errors import UserError
from upfml.model.engines import ENGINES
from upfml.studies.load.loads import offered_loads

SCHEMA = Path(__file__).resolve().parents[1] / "schemas" / "config.schema.yaml"


CLASSIFIERS = [f"workflow/upfml/classify/{name}.py" for name in ("afxdp", "kernel", "native", "user")]
"""Code that the agent (run/agent.py) does not use when it only keeps packets (see `unused_code`)."""


def check(config: Mapping[str, Any]) -> None:
    """Raise UserError naming the key, what is wrong with it, and what it must be."""
    _check_schema(config)
    _check_traffic(config["traffic"])
    _check_scenarios(config)
    _check_overridden("runs.traffic", {**config, "traffic": traffic_of_trials(config)}, config)
    _check_model(config)
    Arms.of(config["arms"])
    _check_load(config["load"])
    batches = config["runs"]["batches"]
    if batches["first"] > batches["most"]:
        raise UserError(
            f"config: runs.batches: first is {batches['first']}, but most is {batches['most']}",
            "raise most, or lower first",
        )


def normalised(config: Mapping[str, Any]) -> dict[str, Any]:
    """The same configuration, checked, in the one form in which two that mean the same are equal.

    Whole numbers are integers (3.0 is 3), keys are in the schema's order, what has a default is there, and `arms` is a
    list of names. So nothing runs again because something is only written in another way.
    """
    ordered = _normalised(config, _schema())
    return {**ordered, "arms": Arms.of(ordered["arms"]).names}


def _normalised(value: Any, schema: Mapping[str, Any]) -> Any:
    if isinstance(value, dict):
        known = schema.get("properties", {})
        value = {key: of["default"] for key, of in known.items() if "default" in of} | value
        names = [*(key for key in known if key in value), *sorted(key for key in value if key not in known)]
        return {key: _normalised(value[key], known.get(key, {})) for key in names}
    if isinstance(value, list):
        return [_normalised(item, schema.get("items", {})) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def part(config: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    """What `config` says of these keys, such as `features.window_ms`, and nothing else.

    Keys without a value are left out. A rule takes it as a parameter: it runs again when one of its keys changes.
    """
    found: dict[str, Any] = {}
    for key in keys:
        *sections, name = key.split(".")
        source, into = config, found
        for section in sections:
            source, into = source[section], into.setdefault(section, {})
        if name in source:
            into[name] = source[name]
    return found


def checked_keys(config: Mapping[str, Any]) -> list[str]:
    """The keys of `testbed` that the check of its machines reads: more of them when the machines are the user's own."""
    own = ["testbed.machines", "testbed.xdp_mode", "testbed.n3_rate_mbit_s"]
    return ["testbed.kind", *(own if config["testbed"]["kind"] == "ssh" else [])]


def unused_code(config: Mapping[str, Any], every_engine: bool = False) -> list[str]:
    """Files and folders of the project that change no result under this configuration (base/sourcecode.py).

    They are other engines than the configured one, but for a stage that tries every engine; the machines of the test
    bed `ssh`, when it is of namespaces; and how a script logs and ends.
    """
    others = [] if every_engine else [engine for engine in ENGINES if engine != config["classify"]["engine"]]
    return [
        *(f"workflow/upfml/model/engines/{engine}.py" for engine in others),
        *(f"bpf/engines/{engine}.h" for engine in others),
        *([] if config["testbed"]["kind"] == "ssh" else ["workflow/upfml/testbed/ssh/"]),
        *("workflow/upfml/base/errors.py", "workflow/upfml/glue.py"),
    ]


def _check_load(load: Mapping[str, Any]) -> None:
    Arms.of(load["arms"])
    for offered in offered_loads(load):
        offered.schedule(load)


@functools.cache
def _schema() -> Any:
    return yaml.safe_load(SCHEMA.read_text())


def _check_schema(config: Mapping[str, Any]) -> None:
    schema = _schema()
    error = jsonschema.exceptions.best_match(jsonschema.Draft202012Validator(schema).iter_errors(dict(config)))
    if error is not None:
        key = ".".join(map(str, error.absolute_path)) or "the top level"
        raise UserError(f"config: {key}: {error.message}", f"{key}: {_description(schema, error)}")


def _check_traffic(traffic: Mapping[str, Any]) -> None:
    applications = traffic.get("applications", {})
    ranges = {
        f"traffic.{section}.{key}": traffic[section][key]
        for section, key in (("robot_arm", "period_ms"), ("robot_arm", "payload_bytes"), ("video", "watch_s"))
    }
    further = {"download": "rate_mbit_s", "event_control": "mean_interval_ms", "telemetry": "interval_s"}
    ranges |= {
        f"applications.{name}.{key}": applications[name][key] for name, key in further.items() if name in applications
    }
    for key, (low, high) in ranges.items():
        if low > high:
            raise UserError(f"config: {key}: [{low}, {high}] is not a range", "give the smaller number first")
    ports = {
        "robot_arm": _ports(traffic["robot_arm"], traffic["robot_arm"]["flows"]),
        "motion_control": _ports(traffic["motion_control"], len(traffic["motion_control"]["period_ms"])),
    }
    if events := applications.get("event_control"):
        ports["event_control"] = _ports(events, events["flows"])
    if games := applications.get("gaming"):
        ports["gaming"] = _ports(games, sum(games["players"].values()))
    if calls := applications.get("voice"):
        ports["voice"] = _ports(calls, 2 * calls["calls"])
    for (one, of_one), (other, of_other) in combinations(ports.items(), 2):
        if set(of_one) & set(of_other):
            raise UserError(
                f"config: traffic: the ports of {one} ({_span(of_one)}) and {other} ({_span(of_other)}) overlap",
                "move the first_port of one of them",
            )


def _check_scenarios(config: Mapping[str, Any]) -> None:
    described = config["generalise"]["scenarios"]
    names = [scenario["name"] for scenario in described]
    if len(set(names)) < len(names):
        raise UserError(
            f"config: generalise.scenarios has a name twice: {names}", "give each scenario a name of its own"
        )
    for scenario, merged in scenarios(config).items():
        _check_overridden(f"generalise.scenarios: {scenario}", merged, config)


def _check_overridden(by: str, merged: Mapping[str, Any], config: Mapping[str, Any]) -> None:
    """Check a configuration of which `by` overrides parts."""
    try:
        without = {key: value for key, value in merged["traffic"].items() if key != "applications"}
        _check_schema({**merged, "traffic": without})
        _check_traffic(merged["traffic"])
    except UserError as error:
        raise UserError(f"{by}: {error.cause}", error.remedy) from error
    video, trained = merged["traffic"]["video"], config["traffic"]["video"]
    encoded = [key for key in ("ladder_mbit_s", "segment_s", "length_s") if video[key] != trained[key]]
    if encoded:
        raise UserError(
            f"config: {by} changes video.{encoded[0]}, but all traffic shares one video", "change it in traffic.video"
        )


def _check_model(config: Mapping[str, Any]) -> None:
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
    division = config["convert"]["division"]
    if isinstance(division, list):
        other = [trees for trees in model["n_estimators"] if trees != sum(division)]
        if other:
            raise UserError(
                f"config: convert.division {division} adds up to {sum(division)} trees, but model.n_estimators has "
                f"{other}",
                "give a number of programs, which fits every forest, or sweep over no other number of trees",
            )


def scenarios(config: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The configuration of each scenario of `generalise`, by name: what it overrides is merged over the rest.

    Sections merge key by key, to the depth of the override; everything else, lists too, is replaced.
    """
    return {
        scenario["name"]: {
            **config,
            "testbed": _merged(config["testbed"], scenario.get("testbed", {})),
            "traffic": _merged(config["traffic"], scenario.get("traffic", {}))
            | {"applications": scenario.get("applications", {})},
        }
        for scenario in config["generalise"]["scenarios"]
    }


def traffic_of_trials(config: Mapping[str, Any]) -> dict[str, Any]:
    """The section `traffic` of the measured runs: `runs.traffic` is merged over it, as in scenarios."""
    return _merged(config["traffic"], config["runs"]["traffic"])


def _merged(section: Mapping[str, Any], override: Mapping[str, Any]) -> dict[str, Any]:
    nested = {key: _merged(section.get(key) or {}, value) for key, value in override.items() if isinstance(value, dict)}
    return {**section, **override, **nested}


def _ports(settings: Mapping[str, Any], count: int) -> range:
    return range(settings["first_port"], settings["first_port"] + count)


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


def _span(ports: range) -> str:
    return f"{ports.start}-{ports.stop - 1}"
