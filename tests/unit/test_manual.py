"""What is generated of the manual: complete, true to code and schemas, and the only place of measured numbers."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pandas as pd
import pandera.pandas as pa
import pytest
import yaml

from upfml.base import files, tables
from upfml.packets.features import Definition
from upfml.reference import windows as reference
from upfml.report.manual import __main__ as pictures
from upfml.report.manual import blocks, configuration, outputs, run, window

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "ARTIFACT.md", *sorted((ROOT / "docs").rglob("*.md"))]
SCHEMA: dict[str, Any] = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text())
DEFAULTS: dict[str, Any] = yaml.safe_load((ROOT / "config.yaml").read_text())


def test_every_key_of_the_configuration_has_a_row_with_its_default() -> None:
    page = configuration.markdown(SCHEMA, DEFAULTS)
    for section, values in DEFAULTS.items():
        assert f"## {section}\n" in page
        for key, value in values.items() if isinstance(values, dict) else ():
            row = next(line for line in page.splitlines() if line.startswith(f"| `{key}` |"))
            assert isinstance(value, dict) or row.endswith("` |"), row
    assert "| `video.clients` | Players that come and go in a run | 1 to 50 players | `6` |" in page


def test_a_key_without_a_meaning_is_refused() -> None:
    nameless = {"properties": {"seed": {"type": "integer", "description": "a number"}}}
    with pytest.raises(KeyError, match="title"):
        configuration.markdown(nameless, {"seed": 1})


def test_every_column_of_every_table_is_there() -> None:
    page = outputs.markdown()
    for schema in (value for value in vars(tables).values() if isinstance(value, pa.DataFrameSchema)):
        of_table = page.partition(f"## {schema.name}\n")[2].partition("\n## ")[0]
        assert re.findall(r"^\| `(\w+)` \|", of_table, re.M) == list(schema.columns)
        assert schema.description and all(column.description for column in schema.columns.values())
    assert "| `protocol` | int16 | 0 to 255 | IP protocol number" in page


def test_the_example_window_is_what_the_reference_says() -> None:
    definition = Definition(window.WINDOW_MS * 1_000_000, 1_000_000)
    times = [t * 1_000_000 for t in window.ARRIVALS_MS]
    wanted = [(w.window, w.packets, w.t_packet_ns, w.features) for w in reference.of_flow(times, definition, "window")]
    first, *others = window.example()
    assert [(w.window, w.packets, w.closed_by_ms * 1_000_000, w.features) for w in others] == wanted
    assert (first.mean, first.variance) == wanted[0][3][2:] and first.features is None
    assert "window 3" in window.svg()


def test_a_block_is_replaced_and_nothing_else() -> None:
    page = "before\n<!-- run: one -->\nold\n<!-- /run -->\nbetween\n<!-- run: two -->\n<!-- /run -->\n"
    assert blocks.names(page) == ["one", "two"]
    filled = blocks.fill(page, {"one": "new\n"})
    assert filled == page.replace("old", "new")
    assert blocks.fill(filled, {"one": "new"}) == filled
    assert blocks.without(page) == "before\n\nbetween\n\n"


def test_a_section_of_a_page_is_found_in_both_languages() -> None:
    assert run.section("# T\n\n## A\n\nwords\n\n## B\n\nmore\n", "A") == "words"
    assert run.section("T\n=\n\nA\n-\n\nwords\n\nB\n-\n\nmore\n", "B") == "more"
    assert run.section("T\n=\n\nA\n-\n\nwords\n\nB\n-\n\nmore\n", "A") == "words"
    with pytest.raises(ValueError, match="no section C"):
        run.section("## A\n", "C")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_blocks_are_whole_and_known(page: Path) -> None:
    text = page.read_text()
    assert text.count("<!-- run: ") == text.count("<!-- /run -->") == len(blocks.names(text))
    assert set(blocks.names(text)) <= run.NAMES


def a_run(folder: Path, *, without: str = "") -> Path:
    """Files of a run with three trials: the kernel is faster and cheaper, nobody is more accurate."""
    levels = {
        "kernel": {"arrival_to_label_median": 1e3, "arrival_to_user_space_median": 5e4, "cpu_direct": 0.5},
        "native": {"arrival_to_label_median": 4e4, "arrival_to_user_space_median": 4e4, "cpu_direct": 5.0},
    }
    shared = {"context_switches_mean": 3000.0, "accuracy": 99.0}
    rows = [
        (arm, trial, metric, value * (1 + 0.01 * trial * (-1) ** (trial + len(arm))), "x")
        for arm, values in levels.items()
        if arm != without
        for trial in (1, 2, 3)
        for metric, value in (values | shared).items()
    ]
    metrics = pd.DataFrame(rows, columns=["arm", "trial", "metric", "value", "unit"]).assign(xdp_mode="native")
    files.write(metrics, folder / "metrics.parquet", tables.METRICS)
    period = {
        "kernel": {"held": 1.0, "broke": None, "by": None, "lost_pct": {}},
        "native": {"held": 5.0, "broke": 1.0, "by": "events", "lost_pct": {"events": 12.34}},
    }
    sweeps = {"period": {"unit": "ms", "arms": period, "not_offered": []}}
    files.write_json({"limit_pct": 0.1, "sweeps": sweeps}, folder / "load/breaks.json")
    run = {"git_commit": "0123456789abcdef", "git_changes": False, "older_than": []}
    record = {
        "head": "0123456789abcdef",
        "runs": {"results/capture": run},
        "cpus": 2,
        "cpu": "AMD EPYC",
        "kernel": "6.18",
    }
    record |= {"note": None, "xdp_modes": ["native"], "start": "2026-01-02T00:00:00+00:00"}
    files.write_json(record, folder / "provenance.json")
    return folder


def test_the_answer_is_what_the_run_says(tmp_path: Path) -> None:
    made, wanting = run.texts(a_run(tmp_path))
    assert set(made) == {"answer", "load"} and wanting["timer"] == "no timer.json"
    rows = [line.split(" | ") for line in made["answer"].splitlines() if line.startswith("| ")]
    assert [row[-1].rstrip(" |") for row in rows[2:]] == [
        "kernel", "user space", "kernel", "not resolved", "not resolved", "kernel",
    ]  # fmt: skip
    assert rows[2][1].startswith("0.993 [") and rows[2][1].endswith("]")
    assert rows[-1][1:3] == ["holds 1", "breaks at 1"]
    assert "| period, ms | `native` | 5 | 1 | 12.3 % of events |" in made["load"]
    assert "run of 2026-01-02: commit 0123456789ab, 2 CPUs (AMD EPYC), Linux 6.18" in made["answer"]


def test_the_tables_of_a_quick_run_stay_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = a_run(tmp_path / "results")
    record = files.read_json(folder / "provenance.json") | {"note": "quick run: too short for conclusions"}
    files.write_json(record, folder / "provenance.json")
    (tmp_path / "README.md").write_text("<!-- run: answer -->\n<!-- /run -->\n")
    monkeypatch.chdir(tmp_path)
    assert pictures.main() == 1
    assert "the run in results/ is marked: quick run" in capsys.readouterr().err


def test_a_run_without_an_arm_says_so(tmp_path: Path) -> None:
    made, wanting = run.texts(a_run(tmp_path, without="native"))
    assert "answer" not in made and "arm native" in wanting["answer"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_of_the_project_are_where_pages_say(page: Path) -> None:
    if page.parent.name == "extending":
        pytest.skip("it makes files; tests follow it by the letter")
    named = re.findall(r"`((?:bpf|workflow|tests|docs|presets|envs)/[\w./-]+)`", page.read_text())
    assert [name for name in named if not (ROOT / name).exists()] == []


MEASURED = re.compile(
    r"±|\[[−-]?\d[\d.,]*, [−+-]?\d[\d.,]*\]|\b\d[\d.,]*\s?(?:µs|ns|points?)\b|× \d|(?<!at least )\b\d[\d.,]* times\b"
)
"""How a measurement looks: interval, time as only a clock tells it, difference, ratio. "At least" sets a bound."""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_measured_number_is_typed_by_hand(page: Path) -> None:
    typed = re.sub(r"^```.*?^```|`[^`\n]*`", "", blocks.without(page.read_text()), flags=re.M | re.S)
    found = [line for line in typed.splitlines() if MEASURED.search(line)]
    assert not found


@pytest.mark.parametrize(
    "typed", ["costs 1.1 points", "0.93 µs [0.82, 1.01]", "× 1.06", "42 times", "about 35 ns more"]
)
def test_what_a_measured_number_looks_like(typed: str) -> None:
    assert MEASURED.search(typed)
