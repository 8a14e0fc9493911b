"""The agent on the UPF: loaded once, it takes turns, in each of which flows begin anew."""

from __future__ import annotations

import copy
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml

from upfml.arms import Arm
from upfml.base import files, tables
from upfml.base.errors import UserError
from upfml.run.agentprocess import AgentProcess, loss
from upfml.testbed.namespaces import DN, Namespaces

ROOT = Path(__file__).resolve().parents[2]
CONFIG: dict[str, Any] = yaml.safe_load((ROOT / "config.yaml").read_text())
PACKETS = 20
SEND = f"""
import socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("", 4000))
for _ in range({PACKETS}):
    s.sendto(b"x" * 100, ({DN!r}, 5001))
    time.sleep(0.005)
"""


@pytest.fixture
def bed() -> Iterator[Namespaces]:
    with Namespaces("upfagent", 1400) as made:
        yield made


def send(bed: Namespaces, log: Path) -> None:
    assert bed.ran.start([sys.executable, "-c", SEND], log=log).wait() == 0


def test_flows_are_forgotten_between_turns(bed: Namespaces, tmp_path: Path) -> None:
    agent = AgentProcess(CONFIG, Arm("capture"), bed, None, tmp_path)
    reports = []
    for _ in range(2):
        agent.attach()
        send(bed, tmp_path / "send.log")
        reports.append(agent.detach())
        send(bed, tmp_path / "send.log")  # nobody looks
    agent.end()
    assert [report["received"] for report in reports] == [PACKETS, 2 * PACKETS]
    assert loss(reports[1])["lost"] == 0
    assert reports[1]["counters"]["flow_new"] == 2
    assert reports[1]["counters"]["flows_evicted"] == 0
    packets = files.read(tmp_path / "packets.parquet", tables.PACKETS)
    assert (packets["iat_ns"] == -1).sum() == 2  # a first packet in each turn
    assert len(packets) == 2 * PACKETS


def test_an_agent_answers_one_who_has_many_files_open(bed: Namespaces, tmp_path: Path) -> None:
    with ExitStack() as stack:
        for _ in range(1_100):
            stack.enter_context(Path("/dev/null").open())
        agent = AgentProcess(CONFIG, Arm("collect"), bed, None, tmp_path)
        agent.attach()
        assert agent.detach()["received"] == 0
        agent.end()


def test_what_an_agent_says_before_it_ends_is_told(bed: Namespaces, tmp_path: Path) -> None:
    config = copy.deepcopy(CONFIG)
    agent = AgentProcess(config, Arm("kernel"), bed, tmp_path / "no-model", tmp_path)
    with pytest.raises(UserError, match=r"cannot read .*no-model") as caught:
        agent.wait_until_loaded()
    assert "agent.log" in caught.value.remedy


def test_an_agent_that_is_killed_in_its_turn_is_noticed(bed: Namespaces, tmp_path: Path) -> None:
    agent = AgentProcess(CONFIG, Arm("collect"), bed, None, tmp_path)
    agent.attach()
    agent._process.send_signal(signal.SIGKILL)
    time.sleep(0.2)
    with pytest.raises(UserError, match="ended early"):
        agent.check()
    with pytest.raises(UserError, match="ended early"):
        agent.detach()
