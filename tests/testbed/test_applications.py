"""Further applications on the test bed, all at once: what each really sends through N3, and under which true class."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from upfml import config as upfml_config
from upfml.arms import Arm
from upfml.base import files, tables
from upfml.base.classes import EMBB, NEITHER, URLLC
from upfml.base.flowkey import FIVE_TUPLE
from upfml.run import trace
from upfml.traffic import control, gaming, ladder

ROOT = Path(__file__).resolve().parents[2]
APPLICATIONS: dict[str, Any] = {
    "download": {"clients": 2, "rate_mbit_s": [4, 8], "file_mbyte": 1},
    "event_control": {"flows": 2, "first_port": 5201, "mean_interval_ms": [5, 10], "payload_bytes": 64},
    "voice": {"calls": 2, "first_port": 5601, "bitrate_kbit_s": 24},
    "gaming": {"players": {"Quake3": 1, "CSa": 1, "CSi": 1}, "first_port": 5401},
    "telemetry": {"sensors": 3, "interval_s": [0.1, 0.2], "payload_bytes": 64},
}
TRUE = {
    "download": EMBB,
    "event-control": URLLC,
    "voice": NEITHER,
    "gaming": NEITHER,
    "telemetry": NEITHER,
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six seconds of every application, as a scenario would capture it."""
    folder = tmp_path_factory.mktemp("applications")
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    config["testbed"] |= {"prefix": "upfapp", "n3_rate_mbit_s": None}
    config["traffic"]["video"] |= {"clients": 1, "ladder_mbit_s": [0.5, 1], "length_s": 8}
    config["generalise"]["scenarios"] = [{"name": "all", "applications": APPLICATIONS}]
    upfml_config.check(config)
    video = config["traffic"]["video"]
    ladder.encode(folder / "ladder", video["ladder_mbit_s"], video["segment_s"], video["length_s"])
    trace.run(
        upfml_config.scenarios(config)["all"], Arm("capture"), seed=1, warmup_s=0.5, duration_s=6,
        ladder=folder / "ladder", control=control.build(folder), model=None, code="code", out=folder / "run",
    )  # fmt: skip
    return folder / "run"


@pytest.fixture(scope="module")
def packets(run: Path) -> pd.DataFrame:
    """Every packet that the collector saw, with flow, application and label of the generators' manifest."""
    flows = files.read(run / "flows.parquet", tables.FLOWS)
    seen = files.read(run / "packets.parquet", tables.PACKETS)
    return seen.merge(flows[[*FIVE_TUPLE, "flow", "application", "label"]], on=FIVE_TUPLE, how="left")


def iats_ms(of: pd.DataFrame) -> np.ndarray:
    return of.loc[of["iat_ns"] > 0, "iat_ns"].to_numpy() / 1e6


def test_every_packet_is_of_a_flow_that_a_generator_knows(packets: pd.DataFrame) -> None:
    strangers = packets[packets["flow"].isna()]
    assert set(strangers["dst_port"]) <= {gaming.SIGNALLING}, strangers[FIVE_TUPLE].drop_duplicates()


@pytest.mark.parametrize("application", TRUE)
def test_each_sends_through_n3_under_its_true_class(packets: pd.DataFrame, application: str) -> None:
    mine = packets[packets["application"] == application]
    assert set(mine["label"]) == {TRUE[application]}
    flows = {"download": 2, "event-control": 2, "voice": 2, "gaming": 3, "telemetry": 3}[application]
    found = mine["flow"].nunique()
    assert found >= flows if application == "download" else found == flows  # a file is a connection


def test_downloads_are_acknowledgements_on_the_uplink(packets: pd.DataFrame) -> None:
    sizes = packets.loc[packets["application"] == "download", "length_bytes"]
    assert len(sizes) > 200
    assert sizes.median() == 52  # IPv4, TCP and its timestamps


def test_events_have_no_period(packets: pd.DataFrame) -> None:
    """The median of an exponential distribution is ln 2 of its mean; that of a period is the mean."""
    for _, flow in packets[packets["application"] == "event-control"].groupby("flow"):
        iats = iats_ms(flow)
        assert np.median(iats) / iats.mean() == pytest.approx(np.log(2), abs=0.15)


def test_calls_send_a_packet_every_20_ms_but_not_in_pauses(packets: pd.DataFrame) -> None:
    iats = iats_ms(packets[packets["application"] == "voice"])
    assert np.median(iats) == pytest.approx(20, abs=4)
    assert iats.max() > 100


def test_players_send_by_their_models(packets: pd.DataFrame) -> None:
    of_port = packets[packets["application"] == "gaming"].groupby("dst_port")
    quake, active, idle = (of_port.get_group(port) for port in (5401, 5402, 5403))
    assert len(quake) > 3 * len(active)
    for flow, typical_bytes in ((quake, 64), (active, 43), (idle, 28)):
        assert flow["length_bytes"].median() - 28 == pytest.approx(typical_bytes, abs=6)  # less IPv4 and UDP


def test_sensors_publish_and_acknowledge(packets: pd.DataFrame) -> None:
    """Of each message the uplink has the publication, longer than its 64 bytes, and an acknowledgement."""
    mine = packets[packets["application"] == "telemetry"]
    published = mine["length_bytes"] > 52 + 64
    assert published.sum() > 50
    assert (mine.loc[~published, "length_bytes"] == 52).mean() > 0.9
