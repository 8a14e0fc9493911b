"""The UPF's own CPUs: what is kept off them, where XDP runs, and that everything is given back."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.waiting import until

from upfml.arms import Arm
from upfml.base.errors import UserError
from upfml.run import apart
from upfml.run.agentprocess import AgentProcess
from upfml.run.meter import MeterProcess
from upfml.testbed import cpus
from upfml.testbed.check import echo
from upfml.testbed.namespaces import Namespaces

PREFIX = "upfcpus"
ALL = os.sched_getaffinity(0)
NOTE = Path(f"/run/upfml-{PREFIX}.cpus")
TIMERS = Path("/proc/sys/kernel/timer_migration")
CONFIG = {
    "testbed": {"xdp_mode": "auto"},
    "features": {"window_ms": 500, "iat_unit": "us"},
    "flow_table": {"kind": "lru", "flows": 1024},
    "delivery": {"delay_ms": 1},
}


@pytest.fixture
def bystander() -> Iterator[int]:
    """A process that has nothing to do with the run."""
    process = subprocess.Popen(["sleep", "60"])
    yield process.pid
    process.kill()
    process.wait()


def test_a_bystander_is_moved_off_them_and_back(bystander: int) -> None:
    split = cpus.split(None)
    assert split
    before = TIMERS.read_text()
    with Namespaces(PREFIX, 1400, split):
        assert os.sched_getaffinity(bystander) == set(split.others) == os.sched_getaffinity(0)
        assert TIMERS.read_text() == "0\n"
        born = subprocess.Popen(["sleep", "60"])  # has inherited it
    try:
        assert os.sched_getaffinity(bystander) == ALL == os.sched_getaffinity(0)
        assert os.sched_getaffinity(born.pid) == ALL
        assert TIMERS.read_text() == before
        assert not NOTE.exists()
    finally:
        born.kill()
        born.wait()


def test_who_was_bound_before_is_bound_as_before(bystander: int) -> None:
    split = cpus.split(None)
    assert split
    os.sched_setaffinity(bystander, split.others)
    with Namespaces(PREFIX, 1400, split):
        pass
    assert os.sched_getaffinity(bystander) == set(split.others)


def test_a_killed_run_gives_them_back(bystander: int) -> None:
    script = f"""
import time
from upfml.testbed import cpus
from upfml.testbed.namespaces import Namespaces
with Namespaces({PREFIX!r}, 1400, cpus.split(None)):
    print("there", flush=True)
    time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout
        assert run.stdout.readline() == "there\n"
        assert os.sched_getaffinity(bystander) != ALL
        run.send_signal(signal.SIGKILL)
    assert until(lambda: os.sched_getaffinity(bystander) == ALL and not NOTE.exists(), 15)


def test_all_of_the_upfs_work_is_done_on_them(tmp_path: Path) -> None:
    """XDP by the program's own count; forwarding in both directions, by what the counter of switches saw."""
    split = cpus.split(None)
    assert split
    with Namespaces(PREFIX, 1400, split) as bed:
        meter = MeterProcess(bed, tmp_path / "meter.log")
        agent = AgentProcess(CONFIG, Arm("collect"), bed, None, tmp_path / "work")
        agent.wait_until_loaded()
        assert os.sched_getaffinity(agent.pid) == set(split.upf)
        found, report = apart.check(bed.upf_cpus, meter, agent, lambda: echo(bed, "tcp", 1_000_000, tmp_path))
        agent.end()
        meter.end()
    counted = found["xdp_counted_by_cpu"]
    assert sum(counted) > 700
    assert {cpu for cpu, count in enumerate(counted) if count} <= set(split.upf)
    assert report["received"] > 700
    assert {tenant["process"] for tenant in found["ran_there"]} >= {0}
    assert bed.facts()["n3_and_n6_received_by"] == "RPS"
    json.dumps(found)


def test_a_run_whose_packets_go_elsewhere_is_refused(tmp_path: Path) -> None:
    """Without a split, the CPU that sends receives: if the UPF's CPUs are said to be others, that is told."""
    with Namespaces(PREFIX, 1400) as bed:
        meter = MeterProcess(bed, tmp_path / "meter.log")
        agent = AgentProcess(CONFIG, Arm("collect"), bed, None, tmp_path / "work")
        with pytest.raises(UserError, match="XDP ran outside the UPF's CPUs"):
            apart.check([4096], meter, agent, lambda: echo(bed, "udp", 1_000, tmp_path))
