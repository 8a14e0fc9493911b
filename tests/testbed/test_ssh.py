"""The test bed `ssh` on three machines made of this one: sees traffic as the others do, and leaves nothing behind."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from snakemake.iocontainers import Namedlist
from tests.forests import converted, noisy_forest
from tests.testbed.machines import Testbed
from tests.waiting import until

from upfml.arms import Arm
from upfml.base import files, tables
from upfml.base.errors import UserError
from upfml.run.agentprocess import AgentProcess, loss
from upfml.run.meter import MeterProcess
from upfml.testbed.bed import Bed, bed_of
from upfml.testbed.check import check, echo
from upfml.testbed.namespaces import DN, N3, N6, QFI, UE, UPLINK_TEID
from upfml.testbed.ssh import elsewhere
from upfml.testbed.ssh.bed import SshBed

ROOT = Path(__file__).resolve().parents[2]
CONFIG: dict[str, Any] = yaml.safe_load((ROOT / "config.yaml").read_text())


def section(testbed: Testbed, **of_machines: dict[str, Any]) -> dict[str, Any]:
    """The section `testbed`, with other values for machines."""
    described = testbed.section()
    machines = {role: value | of_machines.get(role, {}) if isinstance(value, dict) else value
                for role, value in described["machines"].items()}  # fmt: skip
    return CONFIG["testbed"] | described | {"machines": machines}


@pytest.fixture
def bed(testbed: Testbed) -> Any:
    with bed_of(section(testbed)) as made:
        yield made
    assert all(not testbed.folder(role).exists() for role in ("ran", "upf", "dn"))


def test_carries_tcp_and_udp_both_ways_in_gtpu(bed: Bed, tmp_path: Path) -> None:
    seen = check(bed, tmp_path)["seen_on_n3"]
    assert seen[f"uplink teid {UPLINK_TEID:#x} qfi {QFI}"] > 70
    assert (bed.ue_address, bed.dn_address) == (UE, DN)
    assert (bed.uplink.device, bed.uplink.next_hop, list(bed.uplink.teids)) == (N6, DN, [UPLINK_TEID])


def test_clocks_are_compared_at_the_start_and_at_the_end(bed: Bed) -> None:
    start, end = bed.facts()["clock_offsets_ns"]
    for role in ("ran", "upf", "dn"):
        for offset in (start[role], end[role]):
            assert abs(offset["realtime_ns"]) <= offset["uncertainty_ns"] + 1e6  # it is the same clock
            assert offset["uncertainty_ns"] > 0


def test_n3_can_be_limited_and_the_limit_goes_with_the_run(testbed: Testbed) -> None:
    def qdisc() -> str:
        return testbed.inside("ran", "tc", "qdisc", "show", "dev", N3).stdout

    with bed_of(section(testbed)) as bed:
        bed.limit_n3(20.5)
        assert "rate 20500Kbit" in qdisc()
        bed.limit_n3(10)
        assert "rate 10Mbit" in qdisc()
        bed.limit_n3(None)
        assert "tbf" not in qdisc()
        bed.limit_n3(10)
    assert "tbf" not in qdisc()


def test_a_discipline_of_somebody_else_is_left_alone(testbed: Testbed) -> None:
    testbed.inside("ran", "tc", "qdisc", "add", "dev", N3, "root", "htb")
    try:
        with bed_of(section(testbed)) as bed, pytest.raises(UserError, match=r"discipline of its own \(htb\)"):
            bed.limit_n3(10)
        assert "htb" in testbed.inside("ran", "tc", "qdisc", "show", "dev", N3).stdout
    finally:
        testbed.inside("ran", "tc", "qdisc", "del", "dev", N3, "root")


def test_an_agent_and_the_meter_work_there(bed: SshBed, tmp_path: Path) -> None:
    meter = MeterProcess(bed, tmp_path / "meter.log")
    agent = AgentProcess(CONFIG, Arm("capture"), bed, None, tmp_path / "work")
    agent.attach()
    before = meter.reading(N3, agent.pid)
    with meter.sampling(tmp_path / "sampling", {"classifier": agent.pid}):
        check(bed, tmp_path)
        time.sleep(1.5)
    after = meter.reading(N3, agent.pid)
    assert agent.detach()["received"] > 70
    assert loss(agent.end())["lost"] == 0
    packets = files.read(tmp_path / "work/packets.parquet", tables.PACKETS)
    assert len(packets) > 70 and set(packets["src"]) == {UE}
    assert packets["t_ns"].between(before["t_ns"], after["t_ns"]).all()
    assert after["n3_packets"] - before["n3_packets"] >= len(packets)
    assert after["agent_slices"] > before["agent_slices"]
    assert (tmp_path / "sampling/mpstat.json").stat().st_size > 0
    assert meter.machine()["kernel"]
    assert agent.xdp_mode == "native"


def test_a_user_plane_in_user_space_forwards_what_was_found(bed: Bed, tmp_path: Path) -> None:
    """The arm afxdp, which has to know tunnels and way: nobody has told it, the probe has."""
    model = converted(noisy_forest(trees=3, depth=3), tmp_path)
    agent = AgentProcess(CONFIG, Arm("afxdp"), bed, model, tmp_path / "work")
    agent.attach()
    echo(bed, "tcp", 100_000, tmp_path)
    agent.detach()
    counts = agent.end()["user_space"]
    assert counts["forwarded"] > 70
    assert counts["unknown_teid"] == 0


@pytest.mark.parametrize(
    ("role", "changed", "cause"),
    [
        ("ran", {"ue": "uesimtun7"}, "uesimtun7 is no device with an IPv4 address on ran, which has lo, .*uesimtun0"),
        ("ran", {"ue": "10.60.0.99"}, "the UE cannot send from 10.60.0.99 to .*Cannot assign requested address"),
        ("upf", {"n3": "mgmt"}, "is not seen as GTP-U on mgmt"),
        ("upf", {"n3": "n33"}, "cannot listen on N3"),
    ],
)
def test_what_is_wrong_is_named(testbed: Testbed, role: str, changed: dict[str, str], cause: str) -> None:
    with pytest.raises(UserError, match=cause), bed_of(section(testbed, **{role: changed})):
        pass
    assert not testbed.folder(role).exists()


def test_without_a_tunnel_there_is_no_test_bed(testbed: Testbed) -> None:
    testbed.inside("ran", "ip", "link", "set", "gnb", "down")
    try:
        with pytest.raises(UserError, match=r"is not seen as GTP-U on n3|Network is unreachable"):
            bed_of(section(testbed)).__enter__()
    finally:
        testbed.inside("ran", "ip", "link", "set", "gnb", "up")


SCRIPT = """
import sys, time
from pathlib import Path
assert snakemake.params.config == {"answer": 42} and snakemake.wildcards.point == "one"
print(Path(snakemake.input.question).read_text(), Path(snakemake.input[1]).name, flush=True)
Path(snakemake.output[0]).write_text(Path("/proc/self/mountinfo").read_text())
time.sleep(float(Path(snakemake.input.question).read_text()))
"""


def rule_of(folder: Path, seconds: float) -> SimpleNamespace:
    """What a script sees of a rule that takes so long."""
    (folder / "in").mkdir()
    (folder / "in/question").write_text(str(seconds))
    (folder / "in/other").touch()
    inputs = {"question": str(folder / "in/question"), "other": str(folder / "in/other")}
    return SimpleNamespace(
        input=Namedlist(fromdict=inputs), output=Namedlist([str(folder / "out/answer")]),
        log=Namedlist([str(folder / "rule.log")]), wildcards=Namedlist(fromdict={"point": "one"}),
        params=Namedlist(fromdict={"config": {"answer": 42}, "testbed": None}),
    )  # fmt: skip


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(elsewhere, "SCRIPTS", tmp_path)
    (tmp_path / "elsewhere-test.py").write_text(SCRIPT)
    return "elsewhere-test.py"


def test_a_script_runs_there_with_its_rules_files(testbed: Testbed, tmp_path: Path, script: str) -> None:
    rule = rule_of(tmp_path, 0)
    rule.params.testbed = section(testbed)
    elsewhere.run(rule, script)
    mounts = (tmp_path / "out/answer").read_text()
    assert "/run/upfml" in mounts and mounts != Path("/proc/self/mountinfo").read_text()
    assert (tmp_path / "rule.upf.log").read_text() == "0 other\n"


def test_a_script_there_ends_when_nobody_waits_for_it(testbed: Testbed, tmp_path: Path, script: str) -> None:
    def running() -> bool:
        return testbed.inside("upf", "pgrep", "-f", "upfml.testbed.ssh.elsewhere").returncode == 0

    rule = rule_of(tmp_path, 300)
    rule.params.testbed = section(testbed)

    def wait() -> None:
        with contextlib.suppress(UserError):
            elsewhere.run(rule, script)

    waiting = Thread(target=wait, daemon=True)
    waiting.start()
    assert until(running, 20)
    listening = str(testbed.sshd["upf"].pid)  # the newest in its network is the connection's own
    killed = testbed.inside("upf", "pkill", "-x", "--newest", "--ns", listening, "--nslist", "net", "sshd")
    assert killed.returncode == 0
    assert until(lambda: not running(), 20)
    waiting.join(20)
    assert not waiting.is_alive()


def test_a_connection_that_is_cut_ends_the_run_with_a_clear_word(testbed: Testbed, tmp_path: Path) -> None:
    with (
        pytest.raises(UserError, match=r"the connection to upf \(10.213.77.6\) was lost"),
        bed_of(section(testbed)) as bed,
    ):
        agent = AgentProcess(CONFIG, Arm("collect"), bed, None, tmp_path)
        agent.attach()
        testbed.link("upf", "down")
        try:
            deadline = time.monotonic() + 30
            while time.monotonic() < deadline:
                agent.check()
                time.sleep(0.1)
        finally:
            testbed.link("upf", "up")
    assert until(lambda: not testbed.folder("upf").exists(), 20)
    assert "xdp" not in testbed.inside("upf", "ip", "link", "show", "dev", N3).stdout
