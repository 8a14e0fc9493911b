"""workflow/lint.py: every complaint of `snakemake --lint` counts but the one about conda environments."""

import runpy
from pathlib import Path

import pytest

LINT = Path(__file__).parents[2] / "workflow/lint.py"
CLEAN = """rule a:
    output:
        "a.txt",
    log:
        "a.log",
    shell:
        "touch {output} 2> {log}"
"""


def complaint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, snakefile: str) -> str | None:
    """What the linter ends with for a workflow: None when it is content."""
    (tmp_path / "Snakefile").write_text(snakefile)
    monkeypatch.chdir(tmp_path)
    try:
        runpy.run_path(str(LINT), run_name="__main__")
    except SystemExit as end:
        return str(end)
    return None


def test_missing_conda_environment_is_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert complaint(tmp_path, monkeypatch, CLEAN) is None


def test_other_complaints_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = complaint(tmp_path, monkeypatch, CLEAN.replace('    log:\n        "a.log",\n', "").replace(" 2> {log}", ""))
    assert found is not None
    assert "rule a" in found
    assert "No log directive defined" in found
    assert "conda" not in found


def test_workflow_that_cannot_be_read_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = complaint(tmp_path, monkeypatch, "rule a\n")
    assert found is not None
    assert "SyntaxError" in found
