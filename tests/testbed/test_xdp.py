"""XDP programs on devices: the mode that works is taken and told, what others attached is left alone, nothing stays."""

from __future__ import annotations

import copy
import json
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from pyroute2 import IPRoute
from tests.testbed.test_agent import PACKETS, send

from upfml.arms import Arm
from upfml.base.errors import UserError
from upfml.base.xdpmode import MODES
from upfml.bpf import xdp
from upfml.bpf.module import SCHED_CLS, Module, Program
from upfml.run.agentprocess import AgentProcess
from upfml.testbed.namespaces import N3, Namespaces, inside

ROOT = Path(__file__).resolve().parents[2]
CONFIG: dict[str, Any] = yaml.safe_load((ROOT / "config.yaml").read_text())
TOO_LARGE_BYTES = 6_000
"""An MTU of a veth's peer at which it refuses native XDP: a packet has to fit a page."""
KERNELS_WORD = {"native": "Numerical result out of range", "offload": "Invalid argument"}
"""ERANGE of veth's driver; EINVAL where a program is loaded for a device that runs none."""


@pytest.fixture(scope="module")
def module() -> Module:
    return Module("injector.bpf.c", {"FRAMES": 1, "FRAME_BYTES": 120})


@pytest.fixture(scope="module")
def program(module: Module) -> Program:
    return module.load("pass")


@pytest.fixture
def bed() -> Iterator[Namespaces]:
    with Namespaces("upfxdp", 1400) as made:
        yield made


@pytest.fixture
def large(bed: Namespaces) -> Namespaces:
    for host in (bed.ran, bed.upf):
        with IPRoute(netns=host.namespace) as ip:
            ip.link("set", index=ip.link_lookup(ifname=N3)[0], mtu=TOO_LARGE_BYTES)
    return bed


def configured(mode: str) -> dict[str, Any]:
    config = copy.deepcopy(CONFIG)
    config["testbed"]["xdp_mode"] = mode
    return config


def on_n3(bed: Namespaces) -> dict[str, int]:
    with inside(bed.upf.namespace), IPRoute() as ip:
        return xdp.occupants(ip.link_lookup(ifname=N3)[0])


@contextmanager
def attached(bed: Namespaces, module: Module, program: Program, mode: str) -> Iterator[xdp.Attachment]:
    with inside(bed.upf.namespace):
        made = xdp.attach(module, program, N3, mode)
    yield made
    with inside(bed.upf.namespace):
        made.detach()


def capture(config: dict[str, Any], bed: Namespaces, work: Path) -> AgentProcess:
    """Two turns of a capture, the first of which sees packets."""
    agent = AgentProcess(config, Arm("capture"), bed, None, work)
    assert agent.xdp_mode == ""
    agent.attach()
    send(bed, work / "send.log")
    assert agent.detach()["received"] == PACKETS
    assert on_n3(bed) == {}
    agent.attach()
    agent.end()
    assert on_n3(bed) == {}
    return agent


def test_auto_takes_native_on_a_veth(bed: Namespaces, tmp_path: Path) -> None:
    agent = capture(configured("auto"), bed, tmp_path)
    assert agent.xdp_mode == "native"
    assert json.loads((tmp_path / "agent.json").read_text())["xdp_mode"] == "native"


def test_auto_takes_generic_where_the_driver_cannot(large: Namespaces, tmp_path: Path) -> None:
    agent = capture(configured("auto"), large, tmp_path)
    assert agent.xdp_mode == "generic"
    assert json.loads((tmp_path / "agent.json").read_text())["xdp_mode"] == "generic"


def test_generic_is_taken_where_it_is_wanted(bed: Namespaces, tmp_path: Path) -> None:
    assert capture(configured("generic"), bed, tmp_path).xdp_mode == "generic"


def test_an_arm_keeps_the_mode_of_its_first_turn(bed: Namespaces, tmp_path: Path) -> None:
    """Native would be refused in the second: it is not made up for in another mode."""
    agent = AgentProcess(configured("auto"), Arm("collect"), bed, None, tmp_path)
    agent.attach()
    agent.detach()
    with IPRoute(netns=bed.ran.namespace) as ip:
        ip.link("set", index=ip.link_lookup(ifname=N3)[0], mtu=TOO_LARGE_BYTES)
    with pytest.raises(UserError, match=rf"cannot attach collect to n3: native: {KERNELS_WORD['native']}\n"):
        agent.attach()


@pytest.mark.parametrize("mode", ["native", "offload"])
def test_a_mode_that_is_wanted_alone_is_tried_alone(large: Namespaces, tmp_path: Path, mode: str) -> None:
    agent = AgentProcess(configured(mode), Arm("collect"), large, None, tmp_path)
    with pytest.raises(UserError, match=rf"cannot attach collect to n3: {mode}: {KERNELS_WORD[mode]}\n"):
        agent.attach()
    assert on_n3(large) == {}


def test_where_no_mode_works_each_says_why(large: Namespaces, module: Module) -> None:
    """A program for tc is none for XDP."""
    wrong = module.load("discard", SCHED_CLS)
    with inside(large.upf.namespace), pytest.raises(UserError) as caught:
        xdp.attach(module, wrong, N3, "auto")
    reasons = "; ".join(f"{mode}: Invalid argument" for mode in MODES)
    assert caught.value.cause == f"cannot attach discard to n3: {reasons}"


def test_a_device_that_is_not_there_is_named(bed: Namespaces, module: Module, program: Program) -> None:
    with inside(bed.upf.namespace), pytest.raises(UserError, match="there is no device n9 here"):
        xdp.attach(module, program, "n9", "auto")


@pytest.mark.parametrize("wanted", ["auto", *MODES])
@pytest.mark.parametrize("occupied", ["native", "generic"])
def test_another_program_is_left_alone(
    bed: Namespaces, module: Module, program: Program, occupied: str, wanted: str
) -> None:
    with attached(bed, module, program, occupied):
        before = on_n3(bed)
        with inside(bed.upf.namespace), pytest.raises(UserError) as caught:
            xdp.attach(module, module.load("pass"), N3, wanted)
        assert on_n3(bed) == before
    number = before[occupied]
    assert caught.value.cause == (
        f"n3 already has an XDP program, which this run leaves alone: id {number}, pass, {occupied} mode"
    )
    assert {"native": "xdpdrv off", "generic": "xdpgeneric off"}[occupied] in caught.value.remedy
    assert on_n3(bed) == {}


def test_an_agent_tells_who_is_there(bed: Namespaces, module: Module, program: Program, tmp_path: Path) -> None:
    with attached(bed, module, program, "generic"):
        agent = AgentProcess(configured("auto"), Arm("collect"), bed, None, tmp_path)
        with pytest.raises(UserError, match=r"leaves alone: id \d+, pass, generic mode"):
            agent.attach()


def test_who_comes_between_look_and_attach_is_left_alone(
    bed: Namespaces, module: Module, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel says so, too; generic mode, which no program is in, is not tried instead."""
    with attached(bed, module, program, "native"):
        before = on_n3(bed)
        monkeypatch.setattr(xdp, "occupants", lambda index: {})
        with (
            inside(bed.upf.namespace),
            pytest.raises(UserError, match=r"does not name .native: Device or resource busy"),
        ):
            xdp.attach(module, program, N3, "auto")
        with inside(bed.upf.namespace), pytest.raises(UserError, match=r"does not name .generic: File exists"):
            xdp.attach(module, program, N3, "generic")
        monkeypatch.undo()
        assert on_n3(bed) == before


def test_a_killed_agent_leaves_nothing_on_a_device_that_stays(bed: Namespaces, tmp_path: Path) -> None:
    agent = AgentProcess(CONFIG, Arm("collect"), bed, None, tmp_path)
    agent.attach()
    assert list(on_n3(bed)) == ["native"]
    agent._process.send_signal(signal.SIGKILL)
    agent._process.wait()
    assert on_n3(bed) == {}


# What a kernel without XDP links does: it holds a program until somebody takes it off.
HOLDER = """
import os, signal, sys
from upfml.bpf import xdp
from upfml.bpf.module import Module
xdp._has_links = lambda: False
module = Module("injector.bpf.c", {"FRAMES": 1, "FRAME_BYTES": 120})
xdp.attach(module, module.load("pass"), sys.argv[1], "auto")
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_without_links_a_killed_program_stays_and_is_named(
    bed: Namespaces, module: Module, program: Program, tmp_path: Path
) -> None:
    bed.upf.start([sys.executable, "-c", HOLDER, N3], log=tmp_path / "log").wait()
    (number,) = on_n3(bed).values()
    with inside(bed.upf.namespace), pytest.raises(UserError, match=rf"alone: id {number}, pass, native") as caught:
        xdp.attach(module, program, N3, "auto")
    command = caught.value.remedy.split("`")[-2]
    assert bed.upf.start(command.split(), log=tmp_path / "log").wait() == 0
    assert on_n3(bed) == {}


def test_without_links_the_same_modes_are_tried_and_only_the_own_program_goes(
    large: Namespaces, module: Module, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(xdp, "_has_links", lambda: False)
    with attached(large, module, program, "auto") as attachment:
        assert attachment.mode == "generic"
        before = on_n3(large)
    assert on_n3(large) == {}
    with attached(large, module, program, "auto"):
        assert on_n3(large) == before
        with IPRoute(netns=large.upf.namespace) as ip:  # somebody puts another in its place, as `ip -force` does
            index, other = ip.link_lookup(ifname=N3)[0], module.load("pass")
            attributes = [("IFLA_XDP_FD", other.fd), ("IFLA_XDP_FLAGS", xdp._FLAGS["generic"])]
            ip.link("set", index=index, xdp={"attrs": attributes})
        others = on_n3(large)
        assert others != before
    assert on_n3(large) == others
