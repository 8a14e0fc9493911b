"""What changes, runs again; nothing else does: for every key of the configuration and for every source file.

A rule runs again when its parameters, its inputs or its outputs change. They are read from the workflow itself, once for
each key that is changed. That Snakemake acts on it is tested in tests/e2e/test_reruns.py.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import yaml
from snakemake.api import SnakemakeApi
from snakemake.settings.types import ConfigSettings, OutputSettings, ResourceSettings

from upfml import config as upfml_config

ROOT = Path(__file__).resolve().parents[2]
CONFIG = yaml.safe_load((ROOT / "config.yaml").read_text())
SCHEMA = yaml.safe_load(upfml_config.SCHEMA.read_text())

RECORDED = {"provenance", "page_of_provenance", "archive"}
"""What shows the whole configuration."""

LIVE = {"capture", "classify", "exactness_run", "generalise_run"}
ON_THE_BED = {"testbed", *LIVE}
ON_THE_UPF = {
    *("timer", "sweep_point", "exactness", "flood", "load_turns"),
    *("bench_lock", "bench_replay", "bench_inference", "bench_path", "bench_delivery", "bench_saturation"),
}
BESIDE = {"load_turns", "bench_saturation"}
"""What makes namespaces of its own."""
ENGINES_BENCH = {"bench_inference", "bench_saturation"}
"""What converts forests itself."""
WITH_MODEL = {
    *("classify", "sweep_point", "exactness_run", "exactness", "flood", "load_turns"),
    *("bench_lock", "bench_replay", "bench_path", "bench_delivery"),
}
OF_RUNS = {"figure_accuracy", "figure_latency", "figure_cpu_usage", "figure_context_switches"}
LOAD_FIGURES = {"figure_load_rate", "figure_load_flows", "figure_load_period"}
FIGURES = {
    *("figure_traffic", "figure_sweep", "figure_accuracy_causes", "figure_flow_table", "figure_generalise"),
    *("figure_bench_inference", "figure_bench_path", "figure_bench_saturation"),
    *OF_RUNS,
    *LOAD_FIGURES,
}
FEATURES = {
    *("windows", "convert", "classify", "sweep_point", "exactness_run", "exactness", "generalise_judge", "flood"),
    *("bench_lock", *ENGINES_BENCH),
}
DEPLOYED = {
    *("enough_trials", "metrics", "paper_vs_here", "figure_accuracy", "causes", "causes_page", "generalise_judge"),
    *("exactness_run", "exactness", "flood", "load_turns", "bench_lock", "bench_replay", "bench_path"),
    *("bench_delivery", "bench_saturation"),
}
POINTS = {"sweep_table", "page_of_benchmarks"}

MACHINES = {
    "ran": {"address": "ran.example", "n3": "n3", "ue": "uesimtun0"},
    "upf": {"address": "upf.example", "n3": "n3"},
    "dn": {"address": "dn.example", "address_n6": "10.70.0.1"},
}
EVERY_APPLICATION = {
    "download": {"clients": 4, "rate_mbit_s": [2, 20], "file_mbyte": 5},
    "event_control": {"flows": 8, "first_port": 5201, "mean_interval_ms": [5, 50], "payload_bytes": 64},
    "voice": {"calls": 4, "first_port": 5601, "bitrate_kbit_s": 24},
    "gaming": {"players": {"Quake3": 2, "CSa": 2, "CSi": 1}, "first_port": 5401},
    "telemetry": {"sensors": 6, "interval_s": [0.05, 1], "payload_bytes": 64},
}
SCENARIO_BASE = {"generalise": {"scenarios": [{"name": "all", "applications": EVERY_APPLICATION}]}}
SSH_BASE = {"testbed": {"kind": "ssh", "machines": MACHINES}}
SCENARIO = {"generalise_run", "generalise_judge"}
MACHINE = {"check_machines", *ON_THE_BED, *ON_THE_UPF}

KEYS: dict[str, tuple[Any, set[str]]] = {
    "note": ("too short", FIGURES),
    "seed": (
        2,
        {"windows", "train", *LIVE, "causes", "generalise_judge", "flood", "load_turns", *ENGINES_BENCH},
    ),
    "testbed.kind": ("ssh", {"check_machines", *ON_THE_BED, *ON_THE_UPF, "paper_vs_here"}),
    "testbed.prefix": ("other", ON_THE_BED | BESIDE),
    "testbed.ue_mtu_bytes": (1300, ON_THE_BED | BESIDE),
    "testbed.n3_rate_mbit_s": ([50], {"check_machines", *LIVE, "figure_traffic"}),
    "testbed.xdp_mode": ("generic", {"check_machines", *LIVE, *BESIDE}),
    "traffic.video.clients": (5, LIVE),
    "traffic.video.watch_s": ([11, 30], LIVE),
    "traffic.video.buffer_s": (9, LIVE),
    "traffic.video.ladder_mbit_s": ([0.5, 1], {"ladder", *LIVE}),
    "traffic.video.segment_s": (3, {"ladder", *LIVE}),
    "traffic.video.length_s": (59, {"ladder", *LIVE}),
    "traffic.robot_arm.flows": (25, LIVE),
    "traffic.robot_arm.first_port": (5002, LIVE),
    "traffic.robot_arm.period_ms": ([6, 16], LIVE),
    "traffic.robot_arm.jitter_ms": (0.3, LIVE),
    "traffic.robot_arm.payload_bytes": ([41, 250], LIVE),
    "traffic.robot_arm.tcp_share": (0.4, LIVE),
    "traffic.motion_control.first_port": (5102, LIVE),
    "traffic.motion_control.period_ms": ([1, 2], LIVE),
    "traffic.motion_control.jitter_ms": (0.03, LIVE),
    "traffic.motion_control.payload_bytes": (65, LIVE),
    "capture.warmup_s": (4, {"capture", "figure_traffic"}),
    "capture.duration_s": (91, {"capture", "figure_traffic"}),
    "features.window_ms": (400, {*FEATURES, "causes", *OF_RUNS, "figure_sweep"}),
    "features.iat_unit": ("ms", {*FEATURES, "load_turns"}),
    "flow_table.kind": (
        "hash",
        {*LIVE, "sweep_point", "exactness", "load_turns", "bench_path", "bench_saturation"},
    ),
    "flow_table.flows": (
        1024,
        {*LIVE, "sweep_point", "exactness", "load_turns", "bench_path", "bench_saturation"},
    ),
    "model.kind": ("extra_trees", {"train", "causes", "generalise_judge"}),
    "model.max_depth": ([3, 5, 10], POINTS),
    "model.n_estimators": ([5, 10], POINTS),
    "model.min_samples_leaf": (4, {"train", "causes", "generalise_judge"}),
    "model.test_share": (0.3, {"windows"}),
    "model.urllc_per_embb": (2, {"windows"}),
    "model.deployed.max_depth": (5, DEPLOYED),
    "model.deployed.n_estimators": (5, DEPLOYED),
    "convert.thresholds": ("emlearn", {"convert", *ENGINES_BENCH}),
    "convert.voting": ("majority", {"convert", "exactness", *ENGINES_BENCH}),
    "convert.division": (3, ENGINES_BENCH),
    "classify.engine": ("table", {"convert", *WITH_MODEL}),
    "delivery.delay_ms": (2, {"classify"}),
    "exactness.duration_s": (21, {"exactness_run"}),
    "exactness.when": ("packet", {"exactness_run", "exactness"}),
    "causes.repetitions": (4, {"causes"}),
    "flood.packets": (2000, {"flood"}),
    "arms": ("paper", {"classify", "metrics", "comparison", "paper_vs_here", "first_page", *OF_RUNS}),
    "runs.settle_s": (5, {"classify"}),
    "runs.warmup_s": (2, {"classify"}),
    "runs.turn_s": (4, {"classify"}),
    "runs.trials_per_batch": (5, {"classify", "enough_trials"}),
    "runs.batches.first": (3, {"enough_trials"}),
    "runs.batches.most": (9, {"enough_trials"}),
    "runs.half_width_cpu_points": (0.5, {"enough_trials"}),
    "generalise.warmup_s": (4, {"generalise_run"}),
    "generalise.duration_s": (21, {"generalise_run"}),
    "load.arms": (["none", "user"], {"load_turns", *LOAD_FIGURES}),
    "load.window_ms": (90, {"load_turns", *LOAD_FIGURES}),
    "load.turn_s": (0.6, {"load_turns"}),
    "load.repeats": (2, {"load_turns"}),
    "load.rate.packets_per_s": ([10000], {"load_turns"}),
    "load.rate.flows": (27, {"load_turns"}),
    "load.flows.flows": ([261], {"load_turns"}),
    "load.flows.packets_per_s": (50001, {"load_turns"}),
    "load.period.period_ms": ([20, 5], {"load_turns"}),
    "load.period.flows": (261, {"load_turns"}),
    "bench.max_depth": ([9], {"bench_inference"}),
    "bench.n_estimators": ([1, 10], {"bench_inference"}),
    "bench.orders": (["trace"], {"bench_inference"}),
    "bench.repeats": (4, {"bench_inference", "bench_path", "bench_delivery"}),
    "bench.flows": ([1], {"bench_path"}),
    "bench.saturation.flows": (31, {"bench_saturation"}),
    "bench.saturation.duration_s": (0.3, {"bench_saturation"}),
    "bench.saturation.repeats": (19, {"bench_saturation"}),
}
"""Another value, and the rules that run again because of it; what depends on these follows. RECORDED always does."""

MACHINE_KEYS: dict[str, Any] = {
    "address": "other.example", "port": 23, "user": "other", "key": "other", "known_hosts": "other", "sudo": True,
    "python": "python3.11", "folder": "/srv",
}  # fmt: skip
"""Of each of the three machines, and of what stands beside them for all."""
SSH_KEYS = {
    **{f"testbed.machines.{key}": value for key, value in MACHINE_KEYS.items()},
    **{f"testbed.machines.{role}.{key}": value for role in MACHINES for key, value in MACHINE_KEYS.items()},
    "testbed.machines.ran.n3": "n4", "testbed.machines.upf.n3": "n4", "testbed.machines.ran.ue": "uesimtun1",
    "testbed.machines.dn.address_n6": "10.70.0.2",
}  # fmt: skip
SCENARIO_KEYS: dict[str, Any] = {
    "name": "other", "testbed": {"xdp_mode": "generic"}, "traffic": {"video": {"clients": 2}},
    "applications.download.clients": 5, "applications.download.rate_mbit_s": [3, 20],
    "applications.download.file_mbyte": 6, "applications.event_control.flows": 7,
    "applications.event_control.first_port": 5202, "applications.event_control.mean_interval_ms": [6, 50],
    "applications.event_control.payload_bytes": 65, "applications.voice.calls": 3,
    "applications.voice.first_port": 5602, "applications.voice.bitrate_kbit_s": 25,
    "applications.gaming.players.Quake3": 3, "applications.gaming.players.CSa": 3,
    "applications.gaming.players.CSi": 3, "applications.gaming.first_port": 5402,
    "applications.telemetry.sensors": 5, "applications.telemetry.interval_s": [0.06, 1],
    "applications.telemetry.payload_bytes": 65,
}  # fmt: skip
"""Of one scenario."""
REPLAY_KEYS = {"file": "other.pcap", "label": "URLLC", "plain": True}
"""Of one capture."""


def leaves(schema: Mapping[str, Any], before: str = "") -> Iterator[str]:
    """The keys that have no keys in them."""
    for name, value in schema.get("properties", {}).items():
        inside = value if "properties" in value else value.get("items", {})
        if "properties" in inside:
            yield from leaves(inside, f"{before}{name}.")
        else:
            yield f"{before}{name}"


def changed(base: Mapping[str, Any], key: str, value: Any) -> dict[str, Any]:
    """A configuration with another value of a key."""
    found = copy.deepcopy(dict(base))
    *sections, name = key.split(".")
    place: Any = found
    for section in sections:
        place = place[0] if isinstance(place, list) else place
        place = place.setdefault(section, {})
    (place[0] if isinstance(place, list) else place)[name] = value
    return found


def merged(base: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **base,
        **{
            key: merged(base.get(key) or {}, value) if isinstance(value, dict) else value for key, value in more.items()
        },
    }


class Rules:
    """The workflow's rules under a configuration, each with all that makes it run again."""

    def __init__(self, folder: Path, config: Mapping[str, Any]) -> None:
        (folder / "config.yaml").write_text(yaml.safe_dump(dict(config)))
        here = Path.cwd()
        try:
            with SnakemakeApi(OutputSettings(dryrun=True, quiet=None)) as api:
                workflow = api.workflow(
                    resource_settings=ResourceSettings(cores=1),
                    config_settings=ConfigSettings(),
                    snakefile=ROOT / "workflow/Snakefile",
                    workdir=folder,
                )._workflow
        finally:
            os.chdir(here)
        names = [scenario["name"] for scenario in config["generalise"]["scenarios"]]
        asked = [SimpleNamespace(point="depth10-trees10", batch="1", scenario=name) for name in names]
        self.found = {rule.name: _described(rule, asked) for rule in workflow.rules if rule.name != "archive"}

    def against(self, other: Rules) -> set[str]:
        """The rules that differ, but for those that always do."""
        names = self.found.keys() | other.found.keys()
        return {name for name in names if self.found.get(name) != other.found.get(name)} - RECORDED


def _described(rule: Any, asked: list[SimpleNamespace]) -> str:
    params = {
        name: [value(wildcards) for wildcards in asked] if callable(value) else value
        for name, value in rule.params.items()
    }
    files = [[str(path) for path in paths if not callable(path)] for paths in (rule.input, rule.output)]
    return repr((params, files))
