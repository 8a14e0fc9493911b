"""envs/setup.sh, in a copy of its own: what it makes, what it makes anew, and that a second run does nothing.

The copy asks for no Debian package that is missing and locks no Python package, so nothing is downloaded; setuptools,
which installs the project, is lent to it.
"""

import os
import shutil
import subprocess
import sysconfig
import time
from pathlib import Path

import pytest

import upfml

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project with few packages and the real set-up script, set up once."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "envs").mkdir()
    shutil.copy(ROOT / "envs/setup.sh", folder / "envs")
    (folder / "envs/debian.txt").write_text("dpkg # is always there\n")
    (folder / "envs/requirements.lock").write_text("")
    for name in ("pyproject.toml", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    shutil.copytree(ROOT / "workflow/upfml", folder / "workflow/upfml", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "lent").mkdir()
    for pattern in ("setuptools*", "_distutils_hack"):
        for path in Path(sysconfig.get_path("purelib")).glob(pattern):
            (folder / "lent" / path.name).symlink_to(path)
    assert "setup: done" in setup(folder).stdout
    return folder


def setup(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the script as a user would, from another folder."""
    variables = os.environ | {"PYTHONPATH": str(folder / "lent")} | environment
    return subprocess.run([folder / "envs/setup.sh"], cwd="/", env=variables, capture_output=True, text=True)


def test_environment_has_bcc_and_the_project(project: Path) -> None:
    subprocess.run([project / ".venv/bin/python", "-c", "import bcc, upfml.base.errors"], check=True, cwd="/")
    subprocess.run([project / ".venv/bin/python", "-m", "upfml.bpf.headers"], check=True, cwd="/")


def test_second_run_does_nothing_at_once(project: Path) -> None:
    start = time.monotonic()
    done = setup(project)
    assert (done.returncode, done.stdout, done.stderr) == (0, "setup: nothing to do\n", "")
    assert time.monotonic() - start < 2


def test_the_program_follows_pyproject(project: Path) -> None:
    """It is there under the version of the package; a changed pyproject.toml needs no new environment."""
    (version,) = (project / ".venv").glob("lib/python3*/site-packages/upfml-*.dist-info")
    assert version.name == f"upfml-{upfml.__version__}.dist-info"
    assert (project / ".venv/bin/upfml").exists()
    (project / ".venv/kept").touch()
    pyproject = project / "pyproject.toml"
    pyproject.write_text(pyproject.read_text().replace('upfml = "upfml.cli:app"', 'another = "upfml.cli:app"'))
    assert "installing the project" in setup(project).stdout
    assert (project / ".venv/bin/another").exists()
    assert not (project / ".venv/bin/upfml").exists()
    assert (project / ".venv/kept").exists()
    assert setup(project).stdout == "setup: nothing to do\n"


def test_unfinished_environment_is_made_anew(project: Path) -> None:
    (project / ".venv/made-from").unlink()
    (project / ".venv/left-over").touch()
    assert "making .venv" in setup(project).stdout
    assert not (project / ".venv/left-over").exists()
    assert setup(project).stdout == "setup: nothing to do\n"


def test_environment_follows_the_lock(project: Path) -> None:
    (project / "envs/requirements.lock").write_text("upfml-no-such-package==1 --hash=sha256:" + "0" * 64 + "\n")
    done = setup(project, PIP_NO_INDEX="1")
    assert done.returncode == 1
    assert "remedy:" in done.stderr
    assert "upfml-no-such-package" in done.stderr  # pip's own words
    (project / "envs/requirements.lock").write_text("")
    assert "setup: done" in setup(project).stdout


def test_missing_package_without_root_names_both(project: Path, tmp_path: Path) -> None:
    (tmp_path / "id").write_text("#!/bin/sh\necho 1000\n")
    (tmp_path / "id").chmod(0o755)
    listed = (project / "envs/debian.txt").read_text()
    (project / "envs/debian.txt").write_text("dpkg\nupfml-no-such-package\n")
    done = setup(project, PATH=f"{tmp_path}:{os.environ['PATH']}")
    (project / "envs/debian.txt").write_text(listed)
    assert done.returncode == 1
    assert "not installed: upfml-no-such-package\n" in done.stderr
    assert "as root" in done.stderr
