"""The clients' schedule, and what the server's access log says about flows and rungs."""

import pytest

from upfml.base import tables
from upfml.base.classes import EMBB
from upfml.traffic import video

VIDEO = {"clients": 6, "watch_s": [12, 30], "length_s": 60}

# Written by nginx 1.22.1 with our format, for GStreamer 1.22.0's players behind a shared tbf.
ACCESS_LOG = """\
1795376172.331 10.60.0.2 33092 1 /client-1/manifest.mpd 2789 0.000
1795376172.343 10.60.0.2 33098 2 /client-1/rung-0-init.m4s 1065 0.000
1795376172.355 10.60.0.2 33098 2 /client-1/rung-0-00001.m4s 155473 0.005
1795376174.019 10.60.0.2 38768 7 /client-4/manifest.mpd 2789 0.000
1795376174.067 10.60.0.2 38776 8 /client-4/rung-0-init.m4s 1065 0.000
1795376174.158 10.60.0.2 38776 8 /client-4/rung-0-00001.m4s 155473 0.065
1795376174.525 10.60.0.2 38776 8 /client-4/rung-2-init.m4s 1065 0.000
1795376175.642 10.60.0.2 38776 8 /client-4/rung-2-00002.m4s 492104 1.100
1795376177.395 10.60.0.2 38776 8 /client-4/rung-2-00003.m4s 497466 1.322
1795376177.836 10.60.0.2 38776 8 /client-4/rung-1-init.m4s 1065 0.000
1795376178.426 10.60.0.2 38776 8 /client-4/rung-1-00004.m4s 255220 0.571
"""
LADDER = {"rungs": [{"rung": rung, "bitrate_mbit_s": rate} for rung, rate in enumerate([0.5, 1, 2, 4, 6])]}


def test_same_seed_same_visits():
    assert video.visits(VIDEO, 1, 90) == video.visits(VIDEO, 1, 90)
    assert video.visits(VIDEO, 1, 90) != video.visits(VIDEO, 2, 90)


@pytest.mark.parametrize("seed", range(5))
def test_never_more_clients_than_configured_and_each_stays_as_long_as_it_may(seed):
    visits = video.visits(VIDEO, seed, 90)
    for visit in visits:
        there = [other for other in visits if other.arrive_s <= visit.arrive_s < other.leave_s]
        assert len(there) <= VIDEO["clients"]
        assert 12 <= visit.leave_s - visit.arrive_s <= 30
    assert visits[0].arrive_s == 0
    assert visits[VIDEO["clients"] - 1].arrive_s <= video.ARRIVAL_SPREAD_S
    assert all(visit.arrive_s < 90 for visit in visits)
    assert len(visits) > 2 * VIDEO["clients"]
    assert len({visit.client for visit in visits}) == len(visits)


def test_nobody_stays_longer_than_the_video():
    visits = video.visits(VIDEO | {"length_s": 8}, 1, 60)
    assert {round(visit.leave_s - visit.arrive_s, 6) for visit in visits} == {8}


def test_every_connection_is_an_embb_flow_from_the_ue():
    flows = tables.FLOWS.validate(video.flows(ACCESS_LOG, "10.60.0.1"))
    assert flows["flow"].tolist() == [
        "10.60.0.1:80>10.60.0.2:33092/6",
        "10.60.0.1:80>10.60.0.2:33098/6",
        "10.60.0.1:80>10.60.0.2:38768/6",
        "10.60.0.1:80>10.60.0.2:38776/6",
    ]
    assert (flows["label"] == EMBB).all()


def test_rungs_are_the_media_segments_by_client():
    rungs = tables.RUNGS.validate(video.rungs(ACCESS_LOG, LADDER, began_s=1795376172.0))
    assert rungs["client"].tolist() == ["client-1"] + ["client-4"] * 4
    fourth = rungs[rungs["client"] == "client-4"]
    assert fourth["rung"].tolist() == [0, 2, 2, 1]
    assert fourth["bitrate_mbit_s"].tolist() == [0.5, 2, 2, 1]
    assert fourth["segment"].tolist() == ["00001", "00002", "00003", "00004"]
    # Asked for at 1795376175.642 - 1.100.
    assert fourth["t_s"].iloc[1] == pytest.approx(2.542)
    assert fourth["bytes"].iloc[1] == 492104


def test_a_log_without_requests_gives_empty_tables():
    assert tables.FLOWS.validate(video.flows("", "10.60.0.1")).empty
    assert tables.RUNGS.validate(video.rungs("", LADDER, 0.0)).empty
