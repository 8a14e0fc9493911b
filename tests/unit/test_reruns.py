"""What changes, runs again; nothing else does: for every key of the configuration and for every source file.

A rule runs again when its parameters, its inputs or its outputs change. They are read from the workflow itself, once
for each key that is changed. That Snakemake acts on it is tested below, on a finished run whose files are empty.
"""

from __future__ import annotations

import copy
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from fnmatch import fnmatch
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from snakemake.api import SnakemakeApi
from snakemake.settings.types import ConfigSettings, OutputSettings, ResourceSettings

from upfml import config as upfml_config
from upfml.base import sourcecode

ROOT = Path(__file__).resolve().parents[2]
CONFIG = yaml.safe_load((ROOT / "config.yaml").read_text())
SCHEMA = yaml.safe_load(upfml_config.SCHEMA.read_text())

RECORDED = {"provenance", "page_of_provenance", "archive"}
"""What shows the whole configuration, and so runs again whichever key changes."""

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
MACHINE = {"check_machines", *ON_THE_BED, *ON_THE_UPF}

KEYS: dict[str, tuple[Any, set[str]]] = {
    "note": ("too short", FIGURES),
    "seed": (
        2,
        {"windows", "train", *LIVE, "causes", "generalise_judge", "flood", "load_turns", *ENGINES_BENCH},
    ),
    "testbed.kind": ("ssh", {"check_machines", *ON_THE_BED, *ON_THE_UPF}),
    "testbed.prefix": ("other", ON_THE_BED | BESIDE),
    "testbed.cpus": ([0], ON_THE_BED),
    "testbed.ue_mtu_bytes": (1300, ON_THE_BED | BESIDE),
    "testbed.n3_rate_mbit_s": ([50], {*LIVE, "figure_traffic"}),
    "testbed.xdp_mode": ("generic", {*LIVE, *BESIDE}),
    "traffic.video.clients": (5, LIVE),
    "traffic.video.watch_s": ([11, 30], LIVE - {"classify"}),  # trials have their own
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
    "runs.traffic": ({}, {"classify"}),
    "runs.turn_s": (6, {"classify"}),
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
"""Another value, and the rules that run again because of it. What depends on these, and RECORDED, follow."""

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
        self.hashes = {
            rule.name: (Path(rule.params.get("script", rule.script)).name, rule.params.code)
            for rule in workflow.rules
            if hasattr(rule.params, "code")
        }
        self.with_script = {rule.name for rule in workflow.rules if rule.script}
        (benchmarks,) = [rule.input for rule in workflow.rules if rule.name == "page_of_benchmarks"]
        self.benchmarks = {str(path) for path in benchmarks if not callable(path)} | {
            f"results/benchmarks/classify-depth10-trees10-{batch}.tsv" for batch in (1, 2)
        }
        self.found = {rule.name: _described(rule, asked) for rule in workflow.rules if rule.name not in RECORDED}

    def against(self, other: Rules) -> set[str]:
        """The rules that differ."""
        names = self.found.keys() | other.found.keys()
        return {name for name in names if self.found.get(name) != other.found.get(name)}


def _described(rule: Any, asked: list[SimpleNamespace]) -> str:
    params = {
        name: [value(wildcards) for wildcards in asked] if callable(value) else value
        for name, value in rule.params.items()
    }
    files = [[str(path) for path in paths if not callable(path)] for paths in (rule.input, rule.output)]
    return repr((params, files))


Read = Callable[[Mapping[str, Any]], Rules]


@pytest.fixture(scope="module")
def rules_under(tmp_path_factory: pytest.TempPathFactory) -> Read:
    """Reads the rules under a configuration, those of one configuration once."""
    folder = tmp_path_factory.mktemp("rules")
    for name in ("one.pcap", "other.pcap"):
        (folder / name).write_text(name)
    known: dict[str, Rules] = {}

    def read(config: Mapping[str, Any]) -> Rules:
        if repr(config) not in known:
            known[repr(config)] = Rules(folder, config)
        return known[repr(config)]

    return read


def test_every_key_has_a_row() -> None:
    rows = {
        *KEYS,
        *SSH_KEYS,
        *(f"generalise.scenarios.{key}" for key in SCENARIO_KEYS),
        *(f"replay.{key}" for key in REPLAY_KEYS),
    }
    assert rows == set(leaves(SCHEMA))


@pytest.mark.parametrize("key", KEYS)
def test_a_key_makes_run_again_what_depends_on_it(rules_under: Read, key: str) -> None:
    value, expected = KEYS[key]
    other = changed(CONFIG, key, value)
    if key == "testbed.kind":
        other = merged(other, SSH_BASE)
    assert rules_under(CONFIG).against(rules_under(other)) == expected


def test_a_machine_makes_run_again_what_is_measured_there(rules_under: Read) -> None:
    """Those take all that is said of the machines."""
    base = merged(CONFIG, SSH_BASE)
    key, value = next(iter(SSH_KEYS.items()))
    assert rules_under(base).against(rules_under(changed(base, key, value))) == MACHINE
    said = [upfml_config.part(changed(base, *each), "testbed.machines") for each in SSH_KEYS.items()]
    assert upfml_config.part(base, "testbed.machines") not in said


@pytest.mark.parametrize("key", SCENARIO_KEYS)
def test_a_scenario_makes_run_again_its_capture_and_the_judgement(rules_under: Read, key: str) -> None:
    base = merged(CONFIG, SCENARIO_BASE)
    other = changed(base, f"generalise.scenarios.{key}", SCENARIO_KEYS[key])
    # Under another name it is another job of the same rule.
    expected = {"generalise_judge", "page_of_benchmarks"} if key == "name" else {"generalise_run", "generalise_judge"}
    assert rules_under(base).against(rules_under(other)) == expected


@pytest.mark.parametrize("key", REPLAY_KEYS)
def test_another_capture_is_replayed(rules_under: Read, key: str) -> None:
    base = {**CONFIG, "replay": [{"file": "one.pcap", "label": "eMBB"}]}
    assert rules_under(base).against(rules_under(changed(base, f"replay.{key}", REPLAY_KEYS[key]))) == {"replay"}


def test_a_capture_is_known_by_its_content(tmp_path: Path) -> None:
    """Also when the new one is older."""
    config = {**CONFIG, "replay": [{"file": "trace.pcap", "label": "eMBB"}]}
    trace = tmp_path / "trace.pcap"
    trace.write_bytes(b"one")
    before = Rules(tmp_path, config)
    os.utime(trace)
    assert before.against(Rules(tmp_path, config)) == set()
    trace.write_bytes(b"two")
    os.utime(trace, (1, 1))
    assert before.against(Rules(tmp_path, config)) == {"replay"}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("runs.turn_s", 4.0),
        ("runs.warmup_s", 1.50),
        ("capture.duration_s", 90.0),
        ("model.max_depth", [3.0, 5.0, 10.0, 15.0]),
        ("model.deployed", {"n_estimators": 10, "max_depth": 10}),
        ("arms", upfml_config.normalised(CONFIG)["arms"]),
    ],
)
def test_the_same_in_other_words_changes_nothing(rules_under: Read, key: str, value: Any) -> None:
    assert rules_under(CONFIG).against(rules_under(changed(CONFIG, key, value))) == set()


def test_the_order_of_keys_changes_nothing(rules_under: Read) -> None:
    backwards = dict(reversed(CONFIG.items()))
    assert rules_under(CONFIG).against(rules_under(backwards)) == set()


def test_a_default_that_is_written_out_changes_nothing(rules_under: Read) -> None:
    base = {**CONFIG, "replay": [{"file": "one.pcap", "label": "eMBB"}]}
    assert rules_under(base).against(rules_under(changed(base, "replay.plain", False))) == set()


@pytest.mark.parametrize(
    ("engine", "key", "value", "expected"),
    [
        ("tailcall", "convert.division", 3, {"convert", *ENGINES_BENCH}),
        ("table", "convert.division", 3, ENGINES_BENCH),
    ],
)
def test_an_engine_has_settings_of_its_own(
    rules_under: Read, engine: str, key: str, value: Any, expected: set[str]
) -> None:
    base = changed(CONFIG, "classify.engine", engine)
    assert rules_under(base).against(rules_under(changed(base, key, value))) == expected


def test_arms_that_are_not_batched_do_not_wait(rules_under: Read) -> None:
    base = changed(CONFIG, "arms", "paper")
    assert rules_under(base).against(rules_under(changed(base, "delivery.delay_ms", 2))) == set()


def test_every_script_is_in_its_rule_s_parameters_but_those_of_the_gates(rules_under: Read) -> None:
    rules = rules_under(CONFIG)
    assert rules.with_script - rules.hashes.keys() == {"check_machines", "provision", "testbed"}


TRIES_EVERY_ENGINE = {"bench_inference", "bench_saturation"}
RUNS = {"capture", "classify", "exactness_run", "generalise_run"}
BED = {*RUNS, "testbed", "check_machines", "load", "bench_saturation"}
AGENT = {*RUNS, "load", "bench_saturation"}
BENCHES = {"bench_delivery", "bench_inference", "bench_lock", "bench_path", "bench_replay", "bench_saturation"}
CLASSIFY = {*BENCHES, "classify", "exactness", "exactness_run", "flood", "load", "sweep_point"}
COLLECT = {*AGENT, "bench_replay", "exactness", "replay"}
PROGRAMS = CLASSIFY | COLLECT
EVERY_BPF = {*PROGRAMS, "check_machines", "testbed", "timer"}
IN_C = {"bench_saturation", "classify", "exactness", "exactness_run", "load"}
OWN = "the script or figure of its name"
SHARED = "what more than one room uses: no exact set"

FILES: dict[str, set[str] | str] = {
    "workflow/scripts/*.py": OWN,
    "bpf/afxdp.bpf.c": IN_C - {"exactness"},
    "bpf/bench.h": {"bench_delivery", "bench_inference", "bench_path"},
    "bpf/classify.bpf.c": CLASSIFY,
    "bpf/collect.bpf.c": COLLECT,
    "bpf/engines/inline.h": CLASSIFY,
    "bpf/engines/votes.h": CLASSIFY,
    "bpf/engines/*.h": TRIES_EVERY_ENGINE,
    "bpf/include/arrival.h": IN_C - {"exactness"},
    "bpf/include/counters.h": EVERY_BPF,
    "bpf/include/cursor.h": EVERY_BPF - {"timer"},
    "bpf/include/gtpu.h": EVERY_BPF - {"timer"},
    "bpf/include/*.h": PROGRAMS,
    "bpf/injector.bpf.c": {"load", "bench_saturation"},
    "bpf/timer.bpf.c": {"timer"},
    "bpf/switches.bpf.c": RUNS,
    "bpf/upf.bpf.c": BED,
    "bpf/wire.bpf.c": BED,
    "workflow/upfml/*.py": SHARED,
    "workflow/upfml/base/*.py": SHARED,
    "*/__init__.py": SHARED,
    "workflow/upfml/bpf/abilities.py": {"check_machines"},
    "workflow/upfml/bpf/xdpfeatures.py": {"check_machines"},
    "workflow/upfml/bpf/xdp.py": {*AGENT, "check_machines"},
    "workflow/upfml/bpf/batch.h": EVERY_BPF - {"testbed"},
    "workflow/upfml/bpf/testrun.*": EVERY_BPF - {"testbed"},
    "workflow/upfml/bpf/delivery.py": PROGRAMS,
    "workflow/upfml/bpf/flowtable.py": PROGRAMS,
    "workflow/upfml/bpf/ring.*": PROGRAMS,
    "workflow/upfml/bpf/switches.py": RUNS,
    "workflow/upfml/bpf/*": EVERY_BPF,
    "workflow/upfml/checks/*": set(),
    "workflow/upfml/classify/afxdp.*": IN_C - {"exactness"},
    "workflow/upfml/classify/collector.py": COLLECT,
    "workflow/upfml/classify/inputs.py": CLASSIFY,
    "workflow/upfml/classify/kernel.py": CLASSIFY,
    "workflow/upfml/classify/uplink.py": BED,
    "workflow/upfml/classify/user.py": {*IN_C, "bench_inference", "sweep_point"},
    "workflow/upfml/classify/*": IN_C,
    "workflow/upfml/model/engines/inline.py": {*CLASSIFY, "convert"},
    "workflow/upfml/model/engines/*.py": TRIES_EVERY_ENGINE,
    "workflow/upfml/model/synthetic.py": set(),
    "workflow/upfml/model/*": SHARED,
    "workflow/upfml/packets/capturefile.*": {"replay", "bench_replay"},
    "workflow/upfml/packets/windows.py": {"windows", "exactness", "generalise"},
    "workflow/upfml/packets/*": SHARED,
    "workflow/upfml/provision/finding.py": {"check_machines", "provision"},
    "workflow/upfml/provision/machine.py": {*RUNS, "check_machines"},
    "workflow/upfml/provision/*": {"check_machines"},
    "workflow/upfml/reference/parser.py": {"testbed", "check_machines"},
    "workflow/upfml/reference/*": {"exactness"},
    "workflow/upfml/replay/captures.py": {"replay", "bench_replay"},
    "workflow/upfml/replay/feed.py": {"replay", "bench_replay", "exactness", "flood", "sweep_point"},
    "workflow/upfml/report/figures/style.py": SHARED,
    "workflow/upfml/report/figures/*.py": OWN,
    "workflow/upfml/report/manual/*": set(),
    "workflow/upfml/report/*": SHARED,
    "workflow/upfml/run/agent*.py": AGENT,
    "workflow/upfml/run/apart.py": {"classify", "enough_trials"},
    "workflow/upfml/run/job.py": AGENT,
    "workflow/upfml/run/sampling.py": {*RUNS, "sample"},
    "workflow/upfml/run/trace.py": RUNS - {"classify"},
    "workflow/upfml/run/trials.py": {"classify", "enough_trials"},
    "workflow/upfml/run/*": RUNS,
    "workflow/upfml/studies/*": SHARED,
    "workflow/upfml/testbed/check.py": {"testbed"},
    "workflow/upfml/testbed/tap.py": {"testbed", "check_machines"},
    "workflow/upfml/testbed/ssh/*": set(),
    "workflow/upfml/testbed/*": BED,
    "workflow/upfml/traffic/control.c": {"control"},
    "workflow/upfml/traffic/control.py": {*RUNS, "control"},
    "workflow/upfml/traffic/ladder.py": {*RUNS, "ladder"},
    "workflow/upfml/traffic/player.py": {*RUNS, "check_machines"},
    "workflow/upfml/traffic/injector/schedule.py": {"load"},
    "workflow/upfml/traffic/injector/*": {"load", "bench_saturation"},
    "workflow/upfml/traffic/*": RUNS,
}
"""Files, and the scripts whose code they are in: the first pattern that fits counts. On the test bed `namespaces`."""

MEASURING = {*PROGRAMS, *RUNS, "timer", "testbed", "windows", "train", "convert"}
TELLING = [
    *("workflow/upfml/report/*", "workflow/upfml/base/words.py", "workflow/upfml/base/pages.py"),
    *("workflow/upfml/base/published.py", "workflow/upfml/base/statistics.py", "workflow/upfml/config.py"),
    *("workflow/upfml/cli.py", "workflow/upfml/glue.py", "workflow/upfml/studies/*/page.py"),
]
"""What numbers are told with. Nothing is measured again when it changes."""


def unused_by(script: str) -> list[str]:
    unused = upfml_config.unused_code(CONFIG, every_engine=script in TRIES_EVERY_ENGINE)
    return unused + (upfml_config.CLASSIFIERS if script in {"capture", "generalise_run"} else [])


@pytest.fixture(scope="module")
def code_of() -> dict[str, set[str]]:
    """Every source file, and the scripts whose code it is in."""
    found: dict[str, set[str]] = {
        str(path.relative_to(ROOT)): set()
        for folder in ("bpf", "workflow/scripts", "workflow/upfml")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in (".py", ".c", ".h")
    }
    for script in (ROOT / "workflow/scripts").glob("*.py"):
        for name in sourcecode.files(script.name, unused_by(script.stem)):
            found[name].add(script.stem)
    return found


def test_a_source_file_is_in_the_code_of_what_uses_it(code_of: dict[str, set[str]]) -> None:
    wrong = {}
    for name, scripts in code_of.items():
        expected = next(of for pattern, of in FILES.items() if fnmatch(name, pattern))
        stem = Path(name).stem
        if expected == OWN:
            expected = {stem if "scripts" in name else f"figure_{stem}"}
        if expected != SHARED and scripts != expected:
            wrong[name] = (scripts, expected)
    assert wrong == {}


def test_nothing_is_measured_again_for_another_way_to_tell_it(code_of: dict[str, set[str]]) -> None:
    told = {name: of & MEASURING for name, of in code_of.items() if any(fnmatch(name, each) for each in TELLING)}
    assert {name: of for name, of in told.items() if of} == {}
    assert len(told) > 30


def test_rules_leave_out_what_their_script_does_not_use(rules_under: Read) -> None:
    hashes = rules_under(CONFIG).hashes
    assert len(hashes) > 50
    for rule, (script, code) in hashes.items():
        assert code == sourcecode.of(script, unused_by(Path(script).stem)), rule


def planned(folder: Path, *words: str, root: Path = ROOT) -> set[str]:
    """The rules that Snakemake would run in a folder, with the workflow of `root`."""
    command = [Path(sys.executable).with_name("snakemake"), "--snakefile", root / "Snakefile", "--dry-run", "all"]
    environment = os.environ | {"PYTHONPATH": str(root / "workflow")}
    done = subprocess.run([*command, *words], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return set(re.findall(r"^(\w+) +\d+$", done.stdout + done.stderr, re.MULTILINE)) - {"total", "all"}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, rules_under: Read) -> Path:
    """A folder with Snakemake's records of a finished run, and every file of it empty."""
    folder = tmp_path_factory.mktemp("finished")
    shutil.copy(ROOT / "config.yaml", folder)
    (folder / "results/runs").mkdir(parents=True)
    (folder / "results/runs/enough.json").write_text('{"batches": 2}')
    snakemake = [Path(sys.executable).with_name("snakemake"), "--snakefile", ROOT / "Snakefile", "all"]
    listed = subprocess.run([*snakemake, "--summary"], cwd=folder, capture_output=True, text=True, check=True)
    names = {
        line.split("\t")[0] for line in listed.stdout.splitlines()[1:] if line.startswith(("results/", "figures/"))
    }
    for name in names | rules_under(CONFIG).benchmarks - {"results/runs/enough.json"}:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        if name.endswith(("/sampling", "/ladder")) or re.fullmatch(r"results/convert/[^/]+", name):
            (folder / name).mkdir(exist_ok=True)
        elif not (folder / name).exists():
            (folder / name).touch()
    subprocess.run([*snakemake, "--touch", "--forceall"], cwd=folder, capture_output=True, check=True)
    assert planned(folder) == set()
    return folder


@pytest.mark.parametrize(
    ("setting", "runs", "does_not_run"),
    [
        ("classify: {engine: table}", {"convert", *WITH_MODEL} - BENCHES, {"capture", "windows", "train", "timer"}),
        ("runs: {batches: {most: 9}}", {"enough_trials", "metrics"}, {"classify", "sample", "capture", "convert"}),
        ("features: {window_ms: 400}", {"windows", "train", "classify"}, {"capture", "generalise_run", "timer"}),
        (
            "testbed: {xdp_mode: generic}",
            {"capture", "load_turns"},
            {"check_machines", "testbed", "ladder", "control", "timer"},
        ),
        ("capture: {duration_s: 90.0}", set(), MEASURING),
    ],
)
def test_snakemake_runs_what_a_key_changes(
    finished: Path, setting: str, runs: set[str], does_not_run: set[str]
) -> None:
    (finished / "other.yaml").write_text(setting)
    again = planned(finished, "--configfile", "config.yaml", "other.yaml")
    assert runs <= again
    assert not does_not_run & again


@pytest.mark.parametrize(
    ("name", "old", "new", "runs", "does_not_run"),
    [
        (
            "bpf/classify.bpf.c",
            "XDP_PASS",
            "XDP_DROP",
            {"classify", "sweep_point", "exactness"},
            {"capture", "convert"},
        ),
        ("workflow/scripts/sweep_point.py", "{**s", "{'new': 1, **s", {"sweep_point"}, {"classify", "exactness"}),
        ("workflow/upfml/provision/machine.py", "memory", "memories", set(), MEASURING | {"check_machines"}),
    ],
)
def test_snakemake_runs_what_code_changes(
    finished: Path, tmp_path: Path, name: str, old: str, new: str, runs: set[str], does_not_run: set[str]
) -> None:
    for part in ("Snakefile", "bpf", "profiles", "workflow"):
        copied = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
        copied(ROOT / part, tmp_path / part)
    text = (tmp_path / name).read_text()
    assert old in text
    (tmp_path / name).write_text(text.replace(old, new))
    again = planned(finished, root=tmp_path)
    assert runs <= again
    assert not does_not_run & again
