"""The plan of the URLLC flows, and the program that carries it out as far as it needs no network."""

import socket
import subprocess
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.waiting import until

from upfml.base import tables
from upfml.base.classes import URLLC
from upfml.base.flowkey import TCP, UDP
from upfml.traffic import control

UE, DN = "10.60.0.1", "10.70.0.1"
TRAFFIC = {
    "robot_arm": {
        "flows": 26,
        "first_port": 5001,
        "period_ms": [5, 16],
        "jitter_ms": 0.2,
        "payload_bytes": [40, 250],
        "tcp_share": 0.5,
    },
    "motion_control": {"first_port": 5101, "period_ms": [1, 2, 4], "jitter_ms": 0.02, "payload_bytes": 64},
}


@pytest.fixture
def plan():
    return control.plan(TRAFFIC, seed=1, ue=UE, dn=DN)


def test_same_seed_same_plan(plan):
    pd.testing.assert_frame_equal(plan, control.plan(TRAFFIC, seed=1, ue=UE, dn=DN))


def test_other_seed_other_plan(plan):
    other = control.plan(TRAFFIC, seed=2, ue=UE, dn=DN)
    assert (plan["flow"] != other["flow"]).any()  # other flows are TCP
    arms = plan["application"] == "robot-arm"
    for column in ("period_ns", "phase_ns", "jitter_seed"):
        assert (plan.loc[arms, column] != other.loc[arms, column]).all()


def test_rows_are_flows_of_class_urllc(plan):
    tables.FLOWS.validate(plan[list(tables.FLOWS.columns)])
    assert (plan["label"] == URLLC).all()
    assert set(plan["src"]) == {UE}
    assert set(plan["dst"]) == {DN}


def test_ports_are_the_papers_and_each_source_port_is_used_once(plan):
    arms, motion = plan[plan["application"] == "robot-arm"], plan[plan["application"] == "motion-control"]
    assert arms["dst_port"].tolist() == list(range(5001, 5027))
    assert motion["dst_port"].tolist() == [5101, 5102, 5103]
    assert plan["src_port"].tolist() == list(range(40000, 40029))


def test_drawn_values_keep_to_their_ranges(plan):
    arms, motion = plan[plan["application"] == "robot-arm"], plan[plan["application"] == "motion-control"]
    assert arms["period_ms"].between(5, 16).all()
    assert arms["payload_bytes"].between(40, 250).all()
    assert motion["period_ms"].tolist() == [1, 2, 4]
    assert (motion["payload_bytes"] == 64).all()
    assert plan["phase_ns"].between(0, plan["period_ns"], inclusive="left").all()
    assert arms["jitter_ns"].unique().tolist() == [200_000]
    assert motion["jitter_ns"].unique().tolist() == [20_000]


@pytest.mark.parametrize(("share", "flows"), [(0, 0), (0.5, 13), (1, 26)])
def test_tcp_share_is_exact_and_motion_control_is_udp(share, flows):
    plan = control.plan(TRAFFIC | {"robot_arm": TRAFFIC["robot_arm"] | {"tcp_share": share}}, seed=3, ue=UE, dn=DN)
    assert (plan["protocol"] == TCP).sum() == flows
    assert (plan.loc[plan["application"] == "motion-control", "protocol"] == UDP).all()


def test_events_come_beside_the_periodic_flows_and_do_not_move_them(plan):
    settings = {"flows": 5, "first_port": 5201, "mean_interval_ms": [5, 50], "payload_bytes": 80}
    more = control.plan(TRAFFIC | {"applications": {"event_control": settings}}, seed=1, ue=UE, dn=DN)
    pd.testing.assert_frame_equal(more.iloc[: len(plan)], plan)
    events = more.iloc[len(plan) :]
    tables.FLOWS.validate(more[list(tables.FLOWS.columns)])
    assert events["dst_port"].tolist() == [5201, 5202, 5203, 5204, 5205]
    assert set(events["application"]) == {"event-control"} and set(events["label"]) == {URLLC}
    assert events["period_ms"].isna().all()  # there is none; the sender gets the mean
    assert events["period_ns"].between(5e6, 50e6).all()
    assert {line.split()[5] for line in control.lines(events).splitlines()} == {"events"}


def gaps_ms(program: Path, account: Path) -> np.ndarray:
    """Between 1,500 events of one sender on loopback, 2 ms apart on average, as they arrive."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sink:
        sink.bind(("127.0.0.1", 0))
        sink.settimeout(5)
        port = sink.getsockname()[1]
        plan = f"17 127.0.0.1 0 127.0.0.1 {port} events 2000000 0 64 0 12345\n"
        sender = subprocess.Popen([program, "send", account], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        try:
            sender.stdin.write(plan.encode())
            sender.stdin.close()
            times = []
            for _ in range(1500):
                sink.recv(2048)
                times.append(time.monotonic())
        finally:
            sender.terminate()
            sender.wait(5)
    return np.diff(times) * 1e3


def test_events_are_exponentially_distributed(tmp_path):
    """Tried again where it fails: a busy machine delays messages, but no other distribution looks like this one."""
    program, tried = control.build(tmp_path), []

    def exponential():
        gaps = gaps_ms(program, tmp_path / "account")
        # Shares rather than a standard deviation, which one long delay would spoil.
        shares = (gaps > 2).mean(), (gaps < 0.5).mean()
        tried.append((gaps.mean(), *shares))
        return gaps.mean() == pytest.approx(2, rel=0.15) and shares == pytest.approx(
            (np.exp(-1), 1 - np.exp(-0.25)), abs=0.07
        )

    assert until(exponential, 60), tried


def test_a_line_has_the_words_that_the_sender_reads(plan):
    row = plan.iloc[0]
    words = control.lines(plan).splitlines()[0].split()
    assert words[:5] == [str(row.protocol), UE, "40000", DN, "5001"]
    assert words[5] == "periodic"
    assert [int(word) for word in words[6:]] == [
        row.period_ns,
        row.jitter_ns,
        row.payload_bytes,
        row.phase_ns,
        row.jitter_seed,
    ]


@pytest.mark.parametrize(
    ("line", "cause"),
    [
        ("", "has no flow"),
        ("6 127.0.0.1 40000\n", "not a flow"),
        ("132 127.0.0.1 40000 127.0.0.1 5001 periodic 1000000 0 64 0 1\n", "neither TCP (6) nor UDP (17)"),
        ("17 127.0.0.1 40000 127.0.0.1 5001 bursts 1000000 0 64 0 1\n", "neither periodic nor events"),
        ("17 127.0.0.1 40000 localhost 5001 periodic 1000000 0 64 0 1\n", "not a numeric address"),
        ("17 127.0.0.1 40000 127.0.0.1 5001 periodic 0 0 64 0 1\n", "a period of zero"),
        ("17 127.0.0.1 40000 127.0.0.1 5001 periodic 1000000 0 4 0 1\n", "a payload outside 12 to 1400 bytes"),
    ],
)
def test_the_program_names_what_is_wrong_with_a_plan(tmp_path_factory, line, cause):
    program = control.build(tmp_path_factory.getbasetemp())
    run = subprocess.run([program, "sink"], input=line, capture_output=True, text=True, timeout=10)
    assert run.returncode == 1
    assert cause in run.stderr
