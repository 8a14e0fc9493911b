"""archive: what is recorded of a figure's rule, and which files an archive takes from the project."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from snakemake.iocontainers import Namedlist

from upfml.base.errors import UserError
from upfml.report import archive, drawings

ROOT = Path(__file__).resolve().parents[2]
PROVENANCE = {
    "head": "0123456789abcdef",
    "runs": {"results/capture": {"git_commit": "0123456789abcdef", "git_changes": False, "older_than": []}},
    "seed": 1, "cpus": 2, "cpu": "AMD EPYC", "kernel": "6.18",
    "xdp_modes": ["native"], "start": "2026-01-01T00:00:00+00:00", "end": "2026-01-01T01:00:00+00:00",
}  # fmt: skip


def rule(inputs: dict[str, Any] | list[str], params: dict[str, Any]) -> SimpleNamespace:
    """As much of one of Snakemake's rules as is asked for."""
    given = Namedlist(fromdict=inputs) if isinstance(inputs, dict) else Namedlist(inputs)
    return SimpleNamespace(
        name="figure_x",
        script="../scripts/figure_x.py",
        input=given,
        output=Namedlist(fromdict={"pdf": "figures/x.pdf"}),
        params=Namedlist(fromdict=params),
    )


def test_a_drawing_has_its_inputs_by_name_and_its_parameters_as_they_are() -> None:
    inputs = {"one": "a.json", "many": ["b.json", "c.json"], "asked": lambda wildcards: ["d.json"]}
    drawing = drawings.drawing(rule(inputs, {"rates": [100, None], "window_ms": 500}), {})
    assert drawing["named"] == {"one": "a.json", "many": ["b.json", "c.json"], "asked": ["d.json"]}
    assert drawing["params"] == {"rates": [100, None], "window_ms": 500}
    assert (drawing["rule"], drawing["script"]) == ("figure_x", "figure_x.py")
    assert json.loads(json.dumps(drawing)) == drawing


def test_inputs_without_a_name_keep_their_order() -> None:
    drawing = drawings.drawing(rule(["b.json", "a.json"], {}), {})
    assert (drawing["files"], drawing["named"]) == (["b.json", "a.json"], {})


def test_tables_of_drawings_are_named_once() -> None:
    drawn = [drawings.drawing(rule(files, {}), {}) for files in (["a", "b"], {"x": "b", "y": ["c", "a"]})]
    assert drawings.tables_of(drawn) == ["a", "b", "c"]


def test_the_code_is_what_redrawing_needs_and_no_pictures() -> None:
    files = archive.code(ROOT)
    assert {"workflow/redraw.smk", "Makefile", "envs/requirements.lock", "envs/setup.sh", "pyproject.toml"} <= set(
        files
    )
    assert "config.yaml" not in files  # the run's own takes its place
    assert not [path for path in files if path.startswith(("docs/", "tests/", "results/"))]


def test_only_a_clone_makes_archives(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not a git clone"):
        archive.code(tmp_path)


def test_runs_of_other_code_or_settings_are_not_packed() -> None:
    runs = {"results/capture": {"older_than": []}, "results/load": {"older_than": ["code"]}}
    with pytest.raises(UserError, match=r"other settings than are here: results/load \(code\)"):
        archive.check(runs)
    archive.check({"results/capture": {"older_than": []}})


def test_packing_the_same_twice_lists_the_same_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("figures").mkdir()
    Path("figures/x.pdf").write_bytes(b"%PDF")
    drawn = [drawings.drawing(rule([], {}), {})]
    listed = []
    for name in ("a.zip", "b.zip"):
        archive.pack(tmp_path / name, {"figures/x.pdf": "figure_x"}, drawn, {"seed": 1}, PROVENANCE, ROOT)
        with zipfile.ZipFile(tmp_path / name) as packed:
            listed.append({item.filename: item.CRC for item in packed.infolist()})
            assert packed.read("config.yaml").endswith(b"seed: 1\n")
    assert listed[0].keys() == listed[1].keys()
    assert {name for name in listed[0] if listed[0][name] != listed[1][name]} <= {"ro-crate-metadata.json"}
