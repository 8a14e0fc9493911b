"""The catalogue of Snakemake workflows checks this one in an environment of Snakemake and snakefmt and nothing else."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
LOCK = ROOT / "envs/requirements.lock"
FILES = ["Snakefile", "workflow"]


@pytest.fixture(scope="module")
def bare() -> Path:
    """The programs of an environment that has the two, as locked. It is made once for each lock (40 s)."""
    versions = "".join(f"{line}\n" for line in re.findall(r"^[\w.-]+==[\w.]+", LOCK.read_text(), re.MULTILINE))
    name = hashlib.sha256(f"{sys.version}\n{versions}".encode()).hexdigest()[:16]
    folder = ROOT / ".cache/catalogue" / name
    if not (folder / "made").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        (folder / "constraints.txt").write_text(versions)
        pip = [folder / "bin/python", "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
        subprocess.run([*pip, "--constraint", folder / "constraints.txt", "snakemake", "snakefmt"], check=True)
        (folder / "made").touch()
    return folder / "bin"


def run(bare: Path, *command: str | Path) -> subprocess.CompletedProcess[str]:
    """In the environment, with nothing on Python's path besides."""
    environment = {"PATH": f"{bare}:/usr/bin:/bin", "HOME": str(Path.home()), "LANG": "C.UTF-8"}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)


def test_it_has_nothing_of_the_projects(bare: Path) -> None:
    done = run(bare, "python", "-c", "import importlib.util as i; print([i.find_spec(x) for x in ('upfml', 'numpy')])")
    assert done.stdout == "[None, None]\n"


def test_the_workflow_passes_the_linter(bare: Path) -> None:
    done = run(bare, "python", "workflow/lint.py")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_rules_are_formatted(bare: Path) -> None:
    done = run(bare, "snakefmt", "--check", *FILES)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("snakefile", ["Snakefile", "workflow/Snakefile"])
def test_a_run_is_planned_from_either_snakefile(bare: Path, snakefile: str) -> None:
    done = run(bare, "snakemake", "--snakefile", snakefile, "--dry-run", "--forceall", "all")
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Drawing accuracy" in done.stdout + done.stderr


def test_a_wrong_key_is_named_there_too(bare: Path) -> None:
    done = run(bare, "snakemake", "--dry-run", "all", "--config", "sede=1")
    assert done.returncode != 0
    assert "('sede' was unexpected)\n  remedy: " in done.stdout


def test_what_the_catalogue_looks_for_is_there() -> None:
    usage = yaml.safe_load((ROOT / ".snakemake-workflow-catalog.yml").read_text())["usage"]
    assert {"root", "BCC"} <= set(re.findall(r"\w+", usage["mandatory-flags"]["desc"]))
    assert usage["report"] is True
    assert not any(usage["software-stack-deployment"].values())  # as lint.py says
    for path in re.findall(r"\]\(([^)]+)\)", (ROOT / "config/README.md").read_text()):
        assert (ROOT / "config" / path).exists(), path
    readme = (ROOT / "README.md").read_text().lower()
    assert "snakemake" in readme  # how the catalogue finds a repository
    assert "workflow" in readme
