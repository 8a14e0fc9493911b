"""`snakemake provision` where something is missing: a table that is kept, a clear end, a new look next time."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from tests.e2e.workflow import CONFIG, SNAKEMAKE

RESULTS = ("provision.json", "provision.txt", "provision.html")


def snakemake(folder: Path, *words: str, path: str = os.environ["PATH"], through: tuple[str, ...] = ()) -> str:
    """What it says, with its status before it."""
    command = [*through, *SNAKEMAKE, "--directory", str(folder), *words, *CONFIG]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env={**os.environ, "PATH": path})
    return f"{done.returncode}\n{done.stdout}{done.stderr}"


@pytest.fixture
def without_nginx(tmp_path: Path) -> str:
    """A PATH with every program but nginx."""
    programs = tmp_path / "programs"
    programs.mkdir()
    for folder in reversed(os.environ["PATH"].split(":")):
        for program in Path(folder).iterdir() if Path(folder).is_dir() else ():
            (programs / program.name).unlink(missing_ok=True)
            (programs / program.name).symlink_to(program)
    (programs / "nginx").unlink()
    return str(programs)


def test_what_is_missing_is_told_kept_and_looked_for_again(tmp_path: Path, without_nginx: str) -> None:
    said = snakemake(tmp_path, "results/testbed.json", path=without_nginx)
    assert said.startswith("1\n")
    assert "failed   nginx" in said
    assert "this machine: nginx: nginx: not found. Remedy: run `make setup` as root" in said
    assert "Traceback" not in said
    assert not (tmp_path / "results/testbed.json").exists()
    assert "failed   nginx" in (tmp_path / "results/provision.txt").read_text()
    assert '<tr class="failed"><td>failed</td><td>nginx</td>' in (tmp_path / "results/provision.html").read_text()
    mended = snakemake(tmp_path, "provision")
    assert mended.startswith("0\n"), mended[-3000:]
    rows = json.loads((tmp_path / "results/provision.json").read_text())
    assert "failed" not in {row["verdict"] for row in rows}
    assert all((tmp_path / "results" / name).exists() for name in RESULTS)
    assert "Nothing to be done" in snakemake(tmp_path, "provision")


def test_without_privileges_there_is_a_table(tmp_path: Path) -> None:
    said = snakemake(tmp_path, "provision", through=("setpriv", "--bounding-set=-all", "--inh-caps=-all"))
    assert said.startswith("1\n")
    assert "failed   BCC" in said
    assert "Operation not permitted" in said
    assert "Traceback" not in said
