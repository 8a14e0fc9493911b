"""A point of the sweep, with a forest that loads and with one that the verifier refuses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.forests import converted, noisy_forest

from upfml.base import files, tables
from upfml.base.flowkey import UDP
from upfml.bpf.flowtable import FlowTable
from upfml.model.baselines import Baselines
from upfml.model.voting import Voting
from upfml.packets import windows
from upfml.packets.features import Definition
from upfml.studies import sweep

DEFINITION = Definition(500_000_000, 1_000)


@pytest.fixture(scope="module")
def trace() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Packets and windows of 20 flows, half of them regular, that belong to nobody's experiment."""
    random = np.random.default_rng(0)
    flows = []
    for port in range(20):
        gaps = random.normal(10e6, 1e5, 1_500) if port % 2 else random.exponential(10e6, 1_500)
        times = np.cumsum(np.maximum(gaps, 0).astype("int64")) + port
        flow = pd.DataFrame(dict.fromkeys(tables.PACKETS.columns, 0), index=range(len(times)))
        flow[["src", "dst"]] = "10.60.0.1", "10.70.0.1"
        flow["src_port"], flow["dst_port"], flow["protocol"], flow["length_bytes"] = port, 5_001, UDP, 60 + port
        flow["t_ns"], flow["iat_ns"] = times, np.diff(times, prepend=times[0] + 1)
        flows.append(flow)
    packets = tables.typed(pd.concat(flows).sort_values("t_ns"), tables.PACKETS)
    closed = windows.closed(packets, DEFINITION)
    labels = closed["flow"].str.extract(r":(\d+)>")[0].astype(int) % 2
    return packets, windows.split(closed.assign(label=labels.astype("int8")), 0.2, None, seed=1)


def measure(
    folder: Path, trace: tuple[pd.DataFrame, pd.DataFrame], voting: Voting, engine: str = "tailcall", **forest: int
) -> dict[str, object]:
    model = noisy_forest(**forest)
    stump = Baselines.fit(trace[1], "split_random")
    folder = converted(model, folder, engine=engine, voting=voting)
    return sweep.measure(model, stump, folder, *trace, DEFINITION, FlowTable())


def test_a_forest_that_loads(trace: tuple[pd.DataFrame, pd.DataFrame], tmp_path: Path) -> None:
    row = measure(tmp_path, trace, "soft", trees=10, depth=10)
    assert row["status"] == "loaded"
    assert row["accuracy_kernel"] == row["accuracy_user"]
    assert row["programs"] == 3
    test = trace[1][trace[1]["split_random"] == "test"]
    assert row["accuracy_majority"] == max((test["label"] == label).mean() for label in (0, 1))
    assert float(str(row["accuracy_one_threshold"])) > 0.9  # regular flows and others differ in their variance
    for key in ("instructions", "verified_instructions", "jited_bytes", "inference_kernel_median_ns"):
        assert float(str(row[key])) > 0


def test_a_table_takes_what_others_refuse(trace: tuple[pd.DataFrame, pd.DataFrame], tmp_path: Path) -> None:
    row = measure(tmp_path, trace, "majority", "table", trees=36, depth=20, rows=6_000)
    assert row["status"] == "loaded"
    assert row["accuracy_kernel"] == row["accuracy_user"]


def test_a_forest_that_the_verifier_refuses(trace: tuple[pd.DataFrame, pd.DataFrame], tmp_path: Path) -> None:
    row = measure(tmp_path, trace, "majority", trees=36, depth=20, rows=6_000)
    assert row["status"] == "refused"
    assert str(row["refused_reason"]).startswith("the kernel refuses forest_part_0: ")
    frame = pd.DataFrame([{"max_depth": 20, "n_estimators": 36, **row}])
    files.write(tables.typed(frame, tables.SWEEP), tmp_path / "sweep.parquet", tables.SWEEP)
    assert files.read(tmp_path / "sweep.parquet", tables.SWEEP)["accuracy_kernel"].isna().all()
