"""One small run of the whole workflow for all tests that look at one."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.workflow import CONFIG, ROOT, SNAKEMAKE, gone, namespaces, snakemake
from tests.waiting import until


@pytest.fixture(scope="session")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder in which a run was killed, with everything that it had started, while it captured."""
    folder = tmp_path_factory.mktemp("workflow")
    command = [*SNAKEMAKE, "--directory", str(folder), "all", *CONFIG]
    with (folder / "killed.log").open("w") as log:
        run = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
        until((folder / "results/capture/sampling").exists, 120)
        assert run.poll() is None, (folder / "killed.log").read_text()
        time.sleep(3)
        assert len(namespaces()) == 3
        os.killpg(run.pid, signal.SIGKILL)
        run.wait()
    yield folder


@pytest.fixture(scope="session")
def left_by_the_kill(killed: Path) -> list[str]:
    """Namespaces and tables that the killed run has left, looked at before it goes on."""
    tables = [str(path) for path in (killed / "results/capture").glob("packets.parquet")]
    return tables if gone() else [*namespaces(), *tables]


@pytest.fixture(scope="session")
def finished(killed: Path, left_by_the_kill: list[str]) -> Path:
    """The same folder after the run was started again."""
    assert left_by_the_kill == []
    subprocess.run([*SNAKEMAKE, "--directory", str(killed), "--unlock", *CONFIG], check=True, capture_output=True)
    done = snakemake(killed, "--rerun-incomplete", "all")
    assert done.returncode == 0, done.stderr[-5000:]
    return killed


@pytest.fixture(scope="session")
def report(finished: Path) -> Path:
    """The finished run's report, made as by `make report`."""
    style = str(ROOT / "workflow/report/report.css")
    done = snakemake(finished, "all", "--report", "results/report.html", "--report-stylesheet", style)
    assert done.returncode == 0, done.stderr[-3000:]
    return finished / "results/report.html"
