"""What the rules promise, read from Snakemake's own plan; nothing is run."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MEASURED = {
    *("check_machines", "testbed", "capture", "classify", "sweep_point", "exactness_run", "timer", "generalise_run"),
    "load_turns",
    *("bench_lock", "bench_replay", "bench_inference", "bench_path", "bench_delivery", "bench_saturation"),
}


def snakemake(folder: Path, *words: str) -> str:
    """Plan in an empty folder that holds only the configuration."""
    shutil.copy(ROOT / "config.yaml", folder)
    command = [str(Path(sys.executable).parent / "snakemake"), "--snakefile", str(ROOT / "Snakefile"), *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def jobs(plan: str) -> dict[str, int]:
    """How often each rule would run."""
    return {name: int(count) for name, count in re.findall(r"^(\w+) +(\d+)$", plan, re.MULTILINE)}


def test_measured_rules_hold_all_cores() -> None:
    text = "\n".join(path.read_text() for path in (ROOT / "workflow/rules").glob("*.smk"))
    rules = {rule.split(":")[0]: rule for rule in re.split(r"^rule ", text, flags=re.MULTILINE)[1:]}
    assert {name for name, rule in rules.items() if "threads: ALL_CORES\n" in rule} == MEASURED


@pytest.mark.parametrize(
    ("target", "needs", "does_not_need"),
    [
        ("fig6", {"classify", "sample", "figure_cpu_usage"}, {"sweep_point", "comparison", "figure_latency"}),
        ("fig7", {"classify", "sample", "figure_context_switches"}, {"sweep_point", "metrics", "figure_cpu_usage"}),
        ("figures/context_switches.pdf", {"figure_context_switches"}, {"sweep_point", "figure_cpu_usage"}),
        ("latency", {"classify", "timer", "figure_latency"}, {"metrics", "sweep_point"}),
        ("accuracy", {"classify", "figure_accuracy"}, {"metrics", "sweep_point"}),
        ("sweep", {"sweep_point", "figure_sweep"}, {"classify", "sample"}),
        ("traffic", {"capture", "figure_traffic"}, {"windows", "train", "classify"}),
        ("accuracy_causes", {"capture", "causes", "figure_accuracy_causes"}, {"classify", "sample", "sweep_point"}),
        ("figures/accuracy_causes.pdf", {"capture", "causes"}, {"exactness_run", "classify"}),
        ("results/exactness.json", {"exactness_run", "exactness"}, {"classify", "sweep_point"}),
        ("bench", {"bench_inference", "bench_path", "figure_bench_inference", "figure_bench_path"}, {"classify"}),
        ("figures/bench_inference.pdf", {"windows", "bench_inference"}, {"bench_path", "convert"}),
        (
            "figures/bench_saturation.pdf",
            {"train", "testbed", "bench_saturation"},
            {"bench_path", "convert", "classify"},
        ),
        ("figures/load_rate.pdf", {"convert", "load_turns", "figure_load_rate"}, {"classify", "figure_load_flows"}),
        ("results/load/breaks.json", {"load_turns", "load_breaks"}, {"classify", "figure_load_rate"}),
        ("provision", {"check_machines", "provision"}, {"testbed"}),
    ],
)
def test_a_figure_needs_only_what_it_shows(
    tmp_path: Path, target: str, needs: set[str], does_not_need: set[str]
) -> None:
    planned = jobs(snakemake(tmp_path, "--cores", "4", "--dry-run", target)).keys()
    assert needs <= planned
    assert not does_not_need & planned


def test_the_papers_scale_is_a_preset(tmp_path: Path) -> None:
    preset = str(ROOT / "presets/paper.yaml")
    assert jobs(snakemake(tmp_path, "--cores", "4", "--dry-run", "all", "--configfile", preset))["classify"] == 5


def test_commands_with_a_preset_are_as_snakemake_reads_them(tmp_path: Path) -> None:
    """Whatever follows --configfile is a file to Snakemake."""
    texts = [
        (ROOT / name).read_text()
        for name in ("README.md", "config.yaml", "presets/paper.yaml", "presets/bench.yaml", "presets/load.yaml")
    ]
    found = {
        words for text in texts for words in re.findall(r"snakemake (--cores \d .*?--configfile [\w/.]+[^`#\n]*)", text)
    }
    commands = {tuple(words.replace("presets/", f"{ROOT}/presets/").split()) for words in found}
    assert len(commands) == 4
    for words in commands:
        planned = snakemake(tmp_path, "--dry-run", *words)
        assert jobs(planned)["total"] > 1


def started_by_make(*words: str) -> list[str]:
    """Snakemake's command lines in the recipe of a target."""
    make = ["make", "--dry-run", "--assume-old=setup", *words]
    recipe = subprocess.run(make, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [line for line in recipe.replace("\\\n", " ").splitlines() if line.startswith("snakemake ")]


@pytest.mark.parametrize("words", [("all",), ("quick",), ("all", "CONFIG=presets/paper.yaml")])
def test_what_make_starts_is_as_snakemake_reads_it(tmp_path: Path, words: tuple[str, ...]) -> None:
    (tmp_path / "presets").symlink_to(ROOT / "presets")
    (command,) = started_by_make(*words)
    assert jobs(snakemake(tmp_path, "--dry-run", *shlex.split(command)[1:]))["classify"] >= 1


@pytest.mark.parametrize("target", ["all", "report", "archive"])
def test_a_preset_given_to_make_comes_last(target: str) -> None:
    preset = "presets/paper.yaml"
    commands = started_by_make(target, f"CONFIG={preset}")
    assert commands
    assert all(shlex.split(command)[-2:] == ["--configfile", preset] for command in commands)


def test_the_sweep_follows_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "deeper.yaml").write_text("model: {max_depth: [3, 10, 30]}")
    plan = snakemake(tmp_path, "--cores", "4", "--dry-run", "sweep", "--configfile", "deeper.yaml")
    assert jobs(plan)["sweep_point"] == 3 * 3


def test_the_workflow_can_be_drawn(tmp_path: Path) -> None:
    drawing = snakemake(tmp_path, "all", "--rulegraph", "dot")
    for rule in ("provision", "testbed", "capture", "windows", "train", "convert", "classify", "sample", "metrics"):
        assert f'label = "{rule}"' in drawing
