"""The arms `native` and `afxdp` as measured runs have them: agents on one test bed that take turns on N3."""

from __future__ import annotations

import signal
from pathlib import Path

import pandas as pd
import pytest
from tests.forests import converted, noisy_forest
from tests.testbed.test_afxdp import PREFIX, check_windows, send

from upfml.arms import Arm
from upfml.base import files, tables
from upfml.run.agentprocess import AgentProcess, loss
from upfml.testbed.check import echo
from upfml.testbed.namespaces import Namespaces

ARMS = ["native", "afxdp", "afxdp-packet"]
CONFIG = {
    "testbed": {"xdp_mode": "auto"},
    "features": {"window_ms": 20, "iat_unit": "us"},
    "flow_table": {"kind": "lru", "flows": 1024},
    "delivery": {"delay_ms": 1},
}
TURNS = 2


def test_agents_take_turns_and_decide_by_the_definition(tmp_path: Path) -> None:
    model = converted(noisy_forest(trees=10, depth=8), tmp_path / "model")
    reports, sent = {}, {}
    with Namespaces(PREFIX, 1400) as bed:
        agents = {name: AgentProcess(CONFIG, Arm.parse(name), bed, model, tmp_path / name) for name in ARMS}
        for _ in range(TURNS):
            for name, agent in agents.items():
                agent.attach()
                sent[name] = send(bed, flows=2, packets=100)
                reports[name] = agent.detach()
        for name, agent in agents.items():
            assert agent.end()["received"] == reports[name]["received"]
    for name, report in reports.items():
        assert report["received"] == TURNS * 200
        assert loss(report)["lost"] == 0
        decisions = files.read(tmp_path / name / "decisions.parquet", tables.DECISIONS)
        latest = {flow: rows.reset_index(drop=True) for flow, rows in decisions.groupby("flow") if flow in sent[name]}
        assert set(latest) == set(sent[name])
        if name.endswith("-packet"):
            assert all(check_windows(rows) > 30 for rows in latest.values())
        else:
            assert all(rows["window"].is_unique and len(rows) > 3 for rows in latest.values())
    for name in ("afxdp", "afxdp-packet"):
        assert reports[name]["user_space"]["forwarded"] == reports[name]["received"]
    assert reports["native"]["user_space"] == {"iat_clamped": 0, "iat_left_out": 0, "event_overtook": 0}


def test_kernel_python_and_c_decide_alike_on_live_packets(tmp_path: Path) -> None:
    model = converted(noisy_forest(trees=10, depth=8), tmp_path / "model")
    with Namespaces(PREFIX, 1400) as bed:
        agent = AgentProcess(CONFIG, Arm("exactness", "packet"), bed, model, tmp_path)
        agent.attach()
        send(bed, flows=4, packets=150)
        assert loss(agent.end())["lost"] == 0
    decided = ["flow", "t_packet_ns", "window", "packets", *tables.FEATURES, "predicted"]
    kernel, python, c = (
        files.read(tmp_path / f"{side}.parquet", tables.DECISIONS)[decided].sort_values(decided, ignore_index=True)
        for side in ("kernel", "user", "native")
    )
    assert len(c) > 300
    pd.testing.assert_frame_equal(c, python)
    pd.testing.assert_frame_equal(c, kernel)


@pytest.mark.parametrize("name", ["native", "afxdp"])
def test_nothing_is_left_when_an_agent_is_killed(name: str, tmp_path: Path) -> None:
    model = converted(noisy_forest(trees=2, depth=3), tmp_path / "model")
    with Namespaces(PREFIX, 1400) as bed:
        agent = AgentProcess(CONFIG, Arm.parse(name), bed, model, tmp_path / name)
        agent.attach()
        agent._process.send_signal(signal.SIGKILL)
        agent._process.wait()
        echo(bed, "udp", 100, tmp_path)  # through the program that is still there
    assert not list(Path("/run").glob(f"**/*{PREFIX}*"))
