"""The figures of the load, from a made-up table."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from tests.unit.test_figures import words
from tests.unit.test_load import table

from upfml.arms import Arms
from upfml.report.figures import load, style

EVERY = Arms.of("every")

VALUES = {"rate": [1e4, 5e4, 2e5], "flows": [260.0, 5000.0], "period": [20.0, 5.0, 1.0]}
ARMS = ["none", "user-perf", "kernel-packet-perf", "user", "native", "afxdp", "kernel", "kernel-change"]


def loaded() -> pd.DataFrame:
    lost = {
        ("rate", 2e5, "user"): {"events_lost": 300},
        ("rate", 2e5, "native"): {"packets_offered": 90_000, "turns": [0, 1]},
        ("period", 5.0, "user-perf"): {"decisions_made": 500},
        ("period", 1.0, "user-perf"): {"decisions_made": 100},
    }
    return table(VALUES, ARMS, lost)


@pytest.mark.parametrize("sweep", VALUES)
def test_is_drawn_with_every_arm(sweep: str, tmp_path: Path) -> None:
    figure = load.draw(EVERY, loaded(), sweep, 100)
    said = words(figure)
    assert all(arm in said for arm in ARMS)
    assert "window 100 ms; XDP mode: native;" in said
    style.save(figure, tmp_path / "load.pdf", tmp_path / "load.png", note=None)
    assert (tmp_path / "load.pdf").read_bytes().startswith(b"%PDF")
    assert (tmp_path / "load.png").read_bytes().startswith(b"\x89PNG")


def crosses(sweep: str) -> list[tuple[float, float]]:
    """Where arms break, in the panel of what they lose."""
    axes = load.draw(EVERY, loaded(), sweep, 100).axes[0]
    marks = [line for line in axes.get_lines() if line.get_marker() == "x"]
    return [(float(x), float(y)) for line in marks for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True)]


def test_an_arms_break_is_marked_once() -> None:
    assert crosses("rate") == [(2e5, 30.0)]
    assert crosses("period") == [(5.0, 50.0)]
    assert crosses("flows") == []


def test_load_grows_to_the_right() -> None:
    left, right = load.draw(EVERY, loaded(), "period", 100).axes[0].get_xlim()
    assert left > right


def test_turns_that_were_left_out_are_said() -> None:
    assert "native at 200000 (2)" in words(load.draw(EVERY, loaded(), "rate", 100))
    assert "Left out" not in words(load.draw(EVERY, loaded(), "flows", 100))


def test_a_sweep_that_was_never_offered_is_drawn_empty_and_says_so(tmp_path: Path) -> None:
    late = loaded().assign(packets_offered=1)
    figure = load.draw(EVERY, late, "rate", 100)
    assert "Left out" in words(figure)
    assert all(arm in words(figure) for arm in ARMS)
    style.save(figure, tmp_path / "load.png", note=None)
