"""Same seed and same captured trace: the same windows, model and decisions, to the byte.

Everything is made twice, in folders of other names, by processes with another order of sets, other numbers of threads
and cores, another time zone and another language. Times that were measured are no part of it: they are clock readings.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.captures import traffic, tunnelled, write_pcap
from tests.e2e.workflow import ROOT

from upfml.base import files, tables

SETTINGS = """\
replay:
  - {file: traces/video.pcap, label: eMBB}
  - {file: traces/control.pcap, label: URLLC}
model:
  max_depth: [5]
  n_estimators: [7]
  deployed: {max_depth: 5, n_estimators: 7}
"""
POINT = "depth5-trees7"
ENGINES = ["inline", "table"]
FIRST = {"PYTHONHASHSEED": "1", "OMP_NUM_THREADS": "1", "TZ": "UTC", "LANG": "C.UTF-8", "cores": "1"}
SECOND = {"PYTHONHASHSEED": "2", "OMP_NUM_THREADS": "2", "TZ": "Asia/Tokyo", "LANG": "C", "cores": "2"}
CLOCK_READINGS = ["t_start_ns", "t_features_ns", "t_label_ns", "t_delivered_ns"]
"""Of a replayed decision; the packet's time is the capture's."""


def make(folder: Path, setting: dict[str, str]) -> None:
    """Captures, and from them everything in `folder`/results, the model and its decisions once for each engine."""
    (folder / "traces").mkdir(parents=True)
    (folder / "settings.yaml").write_text(SETTINGS)
    write_pcap(folder / "traces/video.pcap", tunnelled(traffic(1, 6, 800, regular=False)))
    write_pcap(folder / "traces/control.pcap", tunnelled(traffic(101, 6, 800, regular=True)))
    environment = os.environ | {name: value for name, value in setting.items() if name != "cores"}
    python = Path(sys.executable)
    for engine in ENGINES:
        results = f"results/convert/{POINT}", "results/exactness.json"
        config = [str(ROOT / "config.yaml"), str(folder / "settings.yaml")]
        workflow = [python.parent / "snakemake", "--cores", setting["cores"], "--snakefile", ROOT / "Snakefile"]
        command = [*workflow, *results, "--configfile", *config, "--config", f"classify={{engine: {engine}}}"]
        run(command, folder, environment)
        model = folder / "results/convert" / POINT
        replay = ["replay", "traces/video.pcap", "--model", model, "-o", f"replayed-{engine}"]
        run([python.with_name("upfml"), *replay], folder, environment)
        shutil.copytree(model, folder / "results" / engine)  # and stays: the next engine takes its place


def run(command: list[str | Path], folder: Path, environment: dict[str, str]) -> None:
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-5000:]


@pytest.fixture(scope="module")
def twice(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    first = tmp_path_factory.mktemp("one") / "place"
    second = tmp_path_factory.mktemp("another") / "and/deeper"
    with ThreadPoolExecutor() as both:
        list(both.map(make, (first, second), (FIRST, SECOND)))
    return first, second


def digests(folder: Path, pattern: str) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.glob(pattern))
        if path.is_file()
    }


@pytest.mark.parametrize(
    ("pattern", "count"),
    [
        ("results/capture/*.parquet", 2),
        ("results/windows/*", 2),
        (f"results/train/{POINT}/*", 2),
        ("results/inline/[!.]*", 7),
        ("results/table/[!.]*", 7),
        ("results/exactness.json", 1),
        ("replayed-*/packets.parquet", 2),
        ("replayed-*/windows.parquet", 2),
    ],
)
def test_files_are_the_same_to_the_byte(twice: tuple[Path, Path], pattern: str, count: int) -> None:
    first, second = (digests(folder, pattern) for folder in twice)
    assert len(first) == count
    assert first == second


@pytest.mark.parametrize("engine", ENGINES)
def test_decisions_are_the_same_but_for_clock_readings(twice: tuple[Path, Path], engine: str) -> None:
    first, second = (
        files.read(folder / f"replayed-{engine}/decisions.parquet", tables.DECISIONS).drop(columns=CLOCK_READINGS)
        for folder in twice
    )
    assert len(first) > 50
    assert first.equals(second)
