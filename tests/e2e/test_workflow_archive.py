"""The archive of a finished run: all of it is described, and a stranger without rights draws its figures again."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from rocrate.rocrate import ROCrate
from tests.e2e.workflow import snakemake

from upfml import config

NOBODY = [
    *("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "--no-new-privs"),
    # No right but to read the environment of this clone, which may lie in root's own folder.
    *(
        "--bounding-set=-all,+dac_read_search",
        "--inh-caps=-all,+dac_read_search",
        "--ambient-caps=-all,+dac_read_search",
    ),
]


@pytest.fixture(scope="module")
def unpacked(finished: Path, report: Path) -> Iterator[Path]:
    """The archive, unpacked into a folder of nobody's."""
    done = snakemake(finished, "archive")
    assert done.returncode == 0, done.stderr[-3000:]
    with tempfile.TemporaryDirectory(prefix="upfml-archive-") as name:
        folder = Path(name)
        with zipfile.ZipFile(finished / "results/archive.zip") as archive:
            archive.extractall(folder)
        subprocess.run(["chown", "-R", "nobody", folder], check=True)
        yield folder


@pytest.fixture(scope="module")
def crate(unpacked: Path) -> ROCrate:
    return ROCrate(unpacked)


def test_every_file_is_described_and_is_what_it_was(unpacked: Path, crate: ROCrate) -> None:
    described = {entity.id: entity for entity in crate.get_by_type("File")}
    there = {str(path.relative_to(unpacked)) for path in unpacked.rglob("*") if path.is_file()}
    assert set(described) == there - {"ro-crate-metadata.json"}
    for name, entity in described.items():
        assert hashlib.sha256((unpacked / name).read_bytes()).hexdigest() == entity["sha256"], name
        assert entity["description"]
        assert "/" in entity["encodingFormat"]


def test_the_crate_tells_of_the_run(crate: ROCrate) -> None:
    assert crate.version == "1.1"
    run = crate.get("#run")
    assert run.type == "CreateAction"
    assert run["startTime"] < run["endTime"]
    assert "commit" in run["instrument"]["softwareVersion"]
    assert crate.license.id == "https://spdx.org/licenses/GPL-2.0-only"
    assert [author["name"] for author in crate.root_dataset["author"]] == ["The upfml developers"]
    figures = crate.get("#rule-figure_latency")["result"]
    assert [figure.id for figure in figures] == ["figures/latency.pdf", "figures/latency.png"]
    assert "Made by rule figure_latency." in figures[0]["description"]


def test_its_configuration_is_the_run_s(unpacked: Path) -> None:
    settings = yaml.safe_load((unpacked / "config.yaml").read_text())
    config.check(settings)
    assert settings["testbed"]["prefix"] == "upfe2e"


def test_nobody_draws_the_same_figures_again(unpacked: Path) -> None:
    """Without root, BCC, git or the clone's code; to the byte."""
    (unpacked / "workflow/bcc.py").write_text("raise ImportError('there is no BCC on this machine')\n")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {"PATH": path, "HOME": str(unpacked), "LANG": "C.UTF-8"}
    command = [*NOBODY, "make", "--assume-old=venv", "redraw", "CORES=2"]  # the environment is there
    done = subprocess.run(command, cwd=unpacked, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-5000:]
    figures = {path.name: path.read_bytes() for path in (unpacked / "figures").iterdir()}
    redrawn = {path.name: path.read_bytes() for path in (unpacked / "redrawn").iterdir() if path.is_file()}
    assert len(figures) >= 16
    assert [name for name in figures if redrawn.get(name) != figures[name]] == []
