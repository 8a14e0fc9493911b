"""Load on a real test bed: turns are complete, what is sent is counted, what is lost shows. No rate is asserted."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from tests.forests import converted, noisy_forest
from tests.testbed.test_bench_saturation import PREFIX, assert_nothing_left, left_over

from upfml.base import tables
from upfml.studies.load import breaks, turns

ROOT = Path(__file__).resolve().parents[2]
ARMS = ["none", "collect", "user", "kernel", "kernel-change", "kernel-packet"]


def config(arms: list[str], rate: float, *, delay_ms: float = 0, repeats: int = 1) -> dict[str, Any]:
    return {
        "seed": 1,
        "testbed": {"prefix": PREFIX, "ue_mtu_bytes": 1400, "xdp_mode": "auto"},
        "features": {"window_ms": 500, "iat_unit": "us"},
        "flow_table": {"kind": "lru", "flows": 1024},
        "delivery": {"delay_ms": delay_ms},
        "load": {
            "arms": arms,
            "window_ms": 100,
            "turn_s": 0.4,
            "repeats": repeats,
            "rate": {"packets_per_s": [rate], "flows": 10},
            "flows": {"flows": [200], "packets_per_s": 1_000},  # a period of two windows
            "period": {"period_ms": [20], "flows": 30},
        },
    }


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return converted(noisy_forest(trees=4, depth=5), tmp_path_factory.mktemp("model"), engine="inline")


@pytest.fixture(scope="module")
def table(model: Path) -> pd.DataFrame:
    return turns.measure(config(ARMS, 1_000), model)


def test_every_arm_has_a_turn_at_every_value(table: pd.DataFrame) -> None:
    tables.LOAD.validate(table)
    assert sorted(zip(table["sweep"], table["arm"], strict=True)) == sorted(
        (sweep, arm) for sweep in ("rate", "flows", "period") for arm in ARMS
    )


def test_what_is_wanted_is_offered_and_forwarded(table: pd.DataFrame) -> None:
    assert (table["packets_offered"] <= table["packets_wanted"]).all()
    assert (table["packets_offered"] > 0.9 * table["packets_wanted"]).all()
    # A stray packet, such as ARP, may arrive, too.
    assert table["packets_forwarded"].between(table["packets_offered"], table["packets_offered"] + 10).all()


def test_nothing_is_lost_at_a_low_rate(table: pd.DataFrame) -> None:
    assert (table["events_lost"] == 0).all()
    window = table[table["arm"].isin(["user", "kernel", "kernel-change"])]
    missing = window["packets_wanted"] - window["packets_offered"]  # a busy machine's generator gave them up
    assert (window["decisions_made"] >= window["decisions_expected"] - missing).all()
    assert (window["decisions_made"] <= window["decisions_expected"] + missing).all()
    on_time = table[missing.reindex(table.index, fill_value=0) == 0]
    assert (breaks.medians(on_time)["lost_pct"] == 0).all()


def test_events_are_packets_decisions_or_changes(table: pd.DataFrame) -> None:
    by_arm = {str(arm): rows for arm, rows in table.groupby("arm")}
    assert (by_arm["none"][["events_made", "decisions_made"]] == 0).all(axis=None)
    for arm in ("collect", "user"):
        assert (by_arm[arm]["events_made"] == by_arm[arm]["packets_offered"]).all()
    for arm in ("kernel", "kernel-packet"):
        assert (by_arm[arm]["events_made"] == by_arm[arm]["decisions_made"]).all()
    assert by_arm["kernel-change"]["events_made"].sum() < by_arm["kernel-change"]["decisions_made"].sum()
    assert by_arm["kernel-packet"]["decisions_expected"].isna().all()


def test_what_it_costs_is_there(table: pd.DataFrame) -> None:
    with_program = table["arm"] != "none"
    each = table["thread_cpu_ns_per_packet"].dropna()  # a late generator may send nothing in a steady part
    assert (each > 0).all() and len(each) > len(table) / 2
    assert (table.loc[with_program, "program_ns"] > 0).all()
    assert table.loc[~with_program, "program_ns"].isna().all()
    decides = table["arm"].isin(["user", "kernel", "kernel-packet"])
    assert (table.loc[decides, "latency_p50_ns"] > 0).all()
    assert (table.loc[decides, "latency_p50_ns"] <= table.loc[decides, "latency_p99_ns"]).all()


def test_a_reader_that_is_too_slow_breaks(model: Path) -> None:
    """A ring has room for some 10,000 packets; the reader sleeps for longer than the turn."""
    slow = turns.measure(config(["none", "user-batched"], 60_000, delay_ms=1_000), model)
    user = slow[(slow["sweep"] == "rate") & (slow["arm"] == "user-batched")].iloc[0]
    assert 0.3 * user["events_made"] < user["events_lost"] < user["events_made"]
    everything = slow.assign(packets_wanted=slow["packets_offered"])  # this machine's generator may be late
    found = breaks.find(everything)["sweeps"]["rate"]["arms"]["user-batched"]
    assert (found["held"], found["broke"]) == (None, 60_000)
    assert found["lost_pct"]["events"] > 30


def test_nothing_is_left(table: pd.DataFrame) -> None:
    assert_nothing_left()
    assert len(os.sched_getaffinity(0)) == os.cpu_count()


def test_nothing_is_left_by_a_killed_run() -> None:
    killed = """
import logging, sys
from tests.testbed.test_load import config
from upfml.studies.load import turns
logging.basicConfig(level=logging.INFO, stream=sys.stdout)
turns.measure(config(["none", "collect"], 1_000, repeats=1000), None)
"""
    run = subprocess.Popen([sys.executable, "-c", killed], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert run.stdout
    assert any("round 2 of" in line for line in run.stdout)
    assert left_over()
    run.kill()
    run.wait()
    assert_nothing_left()
