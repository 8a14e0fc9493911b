"""The benchmark of the live UPF: every arm forwards, engines decide, nothing is left. No rate is asserted."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from tests.forests import noisy_forest
from tests.waiting import until

from upfml.base.errors import UserError
from upfml.studies.bench import saturation
from upfml.traffic.injector.bed import napi_threads

ROOT = Path(__file__).resolve().parents[2]
PREFIX = "upftb"
DURATION_S = 0.1


def config(**bench: Any) -> dict[str, Any]:
    return {
        "seed": 1,
        "testbed": {"prefix": PREFIX, "ue_mtu_bytes": 1400, "xdp_mode": "auto"},
        "features": {"window_ms": 20, "iat_unit": "us"},
        "flow_table": {"kind": "lru", "flows": 1024},
        "convert": {"thresholds": "exact", "voting": "soft", "division": 2},
        "classify": {"when": "window", "emit": "every"},
        "delivery": {"delay_ms": 1},
        "bench": {"saturation": {"flows": 8, "duration_s": DURATION_S, "repeats": 2} | bench},
    }


def left_over() -> list[str]:
    """Of this benchmark: namespaces and locks, threads that receive N3."""
    run = [str(path) for path in Path("/run").glob(f"**/*{PREFIX}*")]
    return run + [f"napi thread {thread}" for thread in napi_threads()]


def assert_nothing_left() -> None:
    """At once, or soon: the kernel ends a removed namespace's devices, with their threads, when it has time."""
    until(lambda: not left_over())
    assert left_over() == []


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return saturation.measure(noisy_forest(trees=4, depth=5), config())


def test_every_arm_has_a_row_in_every_turn(table: pd.DataFrame) -> None:
    assert list(table.columns) == saturation.COLUMNS
    assert sorted(zip(table["turn"], table["arm"], table["engine"], strict=True)) == sorted(
        (turn, *arm) for turn in range(2) for arm in saturation.ARMS
    )


def test_the_upf_forwards_in_every_arm_and_not_more_than_is_sent(table: pd.DataFrame) -> None:
    assert (table["forwarded_packets_per_s"] > 0).all()
    # A turn may begin with packets that wait: 256 in the veth's ring, 1,000 in a backlog, and those of a moment between
    # the readings of what was sent and what arrived.
    surplus = (table["forwarded_packets_per_s"] - table["sent_packets_per_s"]) * DURATION_S
    assert (surplus < 2_500).all()
    assert (table["upf_cpu_share"] > 0).all()


def test_over_pass_is_against_the_same_turn(table: pd.DataFrame) -> None:
    for _, turn in table.groupby("turn"):
        (passed,) = turn.loc[turn["arm"] == "XDP_PASS", "forwarded_packets_per_s"]
        assert (turn["over_pass"] * passed).tolist() == pytest.approx(turn["forwarded_packets_per_s"].tolist())


def test_engines_decide_and_only_they(table: pd.DataFrame) -> None:
    classified = table["arm"] == "kernel"
    assert (table.loc[classified].groupby("engine")["decisions"].sum() > 0).all()
    assert (table.loc[~classified, "decisions"] == 0).all()
    assert set(table.loc[table["arm"] != "none", "xdp_mode"]) == {"native"}


def test_nothing_is_left(table: pd.DataFrame) -> None:
    assert_nothing_left()
    assert len(os.sched_getaffinity(0)) == os.cpu_count()


def test_a_run_in_which_an_engine_decides_nothing_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saturation, "ARMS", [("kernel", "inline")])
    settings = config(repeats=1)
    settings["features"]["window_ms"] = 5_000
    with pytest.raises(UserError, match="inline has decided nothing"):
        saturation.measure(noisy_forest(trees=1, depth=2), settings)
    assert_nothing_left()


def test_nothing_is_left_by_a_killed_run() -> None:
    killed = """
import logging, sys
from tests.testbed.test_bench_saturation import config
from upfml.studies.bench import saturation
logging.basicConfig(level=logging.INFO, stream=sys.stdout)
saturation.ARMS = [("none", ""), ("XDP_PASS", "")]
saturation.measure(None, config(repeats=1000))
"""
    run = subprocess.Popen([sys.executable, "-c", killed], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert run.stdout
    assert any("turn 2 of" in line for line in run.stdout)
    assert left_over()
    run.kill()
    run.wait()
    assert_nothing_left()
