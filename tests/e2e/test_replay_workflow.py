"""The workflow on a user's captures: from two files to the figure of the sweep, without a test bed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.captures import traffic, tunnelled, write_pcap

from upfml.base import files, tables
from upfml.base.classes import EMBB, URLLC

ROOT = Path(__file__).resolve().parents[2]
SNAKEMAKE = [str(Path(sys.executable).parent / "snakemake"), "--cores", "4", "--snakefile", str(ROOT / "Snakefile")]
SETTINGS = """\
replay:
  - {file: traces/video.pcap, label: eMBB}
  - {file: traces/control.pcap, label: URLLC, plain: true}
model:
  max_depth: [3]
  n_estimators: [3]
  deployed: {max_depth: 3, n_estimators: 3}
"""


def snakemake(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    config = ["--configfile", str(ROOT / "config.yaml"), str(folder / "settings.yaml")]
    command = [*SNAKEMAKE, "--directory", str(folder), *words, *config]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two captures, nearly periodic control and bursty video, after `snakemake all`."""
    folder = tmp_path_factory.mktemp("replay")
    (folder / "traces").mkdir()
    (folder / "settings.yaml").write_text(SETTINGS)
    video, control = traffic(1, 6, 1_000, regular=False), traffic(101, 6, 1_000, regular=True)
    write_pcap(folder / "traces/video.pcap", tunnelled(video))
    write_pcap(folder / "traces/control.pcap", [(t_ns, bytes(12) + b"\x08\x00" + inner) for t_ns, inner in control])
    done = snakemake(folder, "all")
    assert done.returncode == 0, done.stderr[-5000:]
    return folder


def test_everything_that_needs_no_live_run_is_made(finished: Path) -> None:
    for name in ("sweep", "accuracy_causes"):
        assert (finished / f"figures/{name}.pdf").read_bytes().startswith(b"%PDF")
    exactness = json.loads((finished / "results/exactness.json").read_text())["replayed"]
    for arm in ("kernel", "user", "native", "sklearn"):
        assert (exactness[arm]["feature_differences"], exactness[arm]["decision_differences"]) == (0, 0)
    assert not (finished / "results/testbed.json").exists()
    assert not (finished / "results/runs").exists()


def test_flows_have_the_labels_of_their_captures(finished: Path) -> None:
    flows = files.read(finished / "results/capture/flows.parquet", tables.FLOWS)
    assert flows.groupby("label").size().to_dict() == {URLLC: 6, EMBB: 6}
    run = json.loads((finished / "results/capture/run.json").read_text())
    assert [capture["file"] for capture in run["captures"]] == ["traces/video.pcap", "traces/control.pcap"]


def test_the_model_learns_the_captures(finished: Path) -> None:
    sweep = files.read(finished / "results/sweep/sweep.parquet", tables.SWEEP)
    assert len(sweep) == 1
    assert sweep["accuracy_kernel"].item() == sweep["accuracy_user"].item() > 0.95


def test_a_capture_that_is_not_there_is_named(finished: Path) -> None:
    (finished / "traces/video.pcap").rename(finished / "traces/moved.pcap")
    done = snakemake(finished, "all", "--dry-run")
    assert done.returncode != 0
    assert f"there is no file traces/video.pcap\n  remedy: give its path from {finished}" in done.stdout + done.stderr
