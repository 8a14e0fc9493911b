"""The test bed `namespaces`: carries TCP and UDP through GTP-U, and is gone afterwards, however its run ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.waiting import until

from upfml.base.errors import UserError
from upfml.bpf import xdp
from upfml.bpf.flowtable import FlowTable
from upfml.classify.collector import collector
from upfml.testbed import namespaces
from upfml.testbed.check import check
from upfml.testbed.host import LocalHost, stop
from upfml.testbed.namespaces import ROLES, Namespaces, inside

PREFIX = "upftest"
NAMES = [f"{PREFIX}-{role}" for role in ROLES]

# Builds the test bed, leaves a process in it, says so, and waits to be ended.
HOLDER = f"""
import sys, time
from pathlib import Path
from upfml.testbed.namespaces import Namespaces
with Namespaces({PREFIX!r}, 1400) as bed:
    sleeper = bed.dn.start(["sleep", "600"], log=Path(sys.argv[1]))
    print(bed._watcher, sleeper.pid, flush=True)
    time.sleep(600)
"""


def there() -> list[str]:
    return [name for name in NAMES if Path("/run/netns", name).exists()]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except OSError:
        return False


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], int, int]]:
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path / "log")], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    watcher, sleeper = map(int, process.stdout.readline().split())
    assert there() == NAMES
    yield process, watcher, sleeper
    process.kill()
    process.wait()
    assert until(lambda: not there())


def test_carries_tcp_and_udp_both_ways_in_gtpu(tmp_path: Path) -> None:
    with Namespaces(PREFIX, 1400) as bed:
        seen = check(bed, tmp_path)["seen_on_n3"]
    segments = 100_000 // (1400 - 40)
    assert seen[f"uplink teid {namespaces.UPLINK_TEID:#x} qfi 9"] > segments
    assert seen[f"downlink teid {namespaces.DOWNLINK_TEID:#x} qfi 9"] > segments
    assert there() == []


def test_tshark_reads_the_tunnel_as_5g_does(tmp_path: Path) -> None:
    """An independent reader of what bpf/upf.bpf.c writes: types, lengths, QFI, PDU types, checksums."""
    fields = ["gtp.teid", "gtp.length", "gtp.ext_hdr.pdu_ses_con.pdu_type", "gtp.ext_hdr.pdu_ses_con.qos_flow_id",
              "ip.checksum.status", "ip.len", "_ws.malformed"]  # fmt: skip
    capture = tmp_path / "n3.pcap"
    with Namespaces(PREFIX, 1400) as bed:
        tshark = bed.upf.start(["tshark", "-q", "-i", "n3", "-w", capture], log=tmp_path / "log")
        assert until(lambda: capture.exists() and capture.stat().st_size > 0)
        time.sleep(0.5)
        check(bed, tmp_path)
        time.sleep(1)
        stop(tshark, by=signal.SIGINT)
    options = [word for field in fields for word in ("-e", field)]
    read = ["tshark", "-r", capture, "-o", "ip.check_checksum:TRUE", "-Y", "gtp", "-T", "fields", *options]
    lines = [
        line.split("\t")
        for line in subprocess.run(read, capture_output=True, text=True, check=True).stdout.splitlines()
    ]
    assert {(int(line[0], 16), line[2], line[3]) for line in lines} == {
        (namespaces.UPLINK_TEID, "1", "9"),
        (namespaces.DOWNLINK_TEID, "0", "9"),
    }
    for line in lines:
        outer_bytes, inner_bytes = map(int, line[5].split(","))
        assert int(line[1]) == inner_bytes + 8
        assert outer_bytes == inner_bytes + 44
        assert line[4] == "1,1"  # both header checksums are good
        assert not line[6]


def test_native_xdp_sees_uplink_packets_one_by_one(tmp_path: Path) -> None:
    with Namespaces(PREFIX, 1400) as bed:
        with inside(bed.upf.namespace):
            module = collector(FlowTable())
            xdp.attach(module, module.load("collect"), bed.n3_device, "native")
        check(bed, tmp_path)
        counters = module.counters()
    assert counters["flow"] > 100_000 // (1400 - 40)  # no superpackets
    assert counters["truncated"] == counters["not_gtpu"] == 0


def test_n3_rate_can_be_changed_and_lifted(tmp_path: Path) -> None:
    def qdisc(host: LocalHost) -> str:
        return subprocess.run(host.command(["tc", "qdisc", "show", "dev", "n3"]), capture_output=True, text=True).stdout

    with Namespaces(PREFIX, 1400) as bed:
        for rate, shown in ((10, "rate 10Mbit"), (20.5, "rate 20500Kbit")):
            bed.limit_n3(rate)
            assert shown in qdisc(bed.ran)
        bed.limit_n3(None)
        bed.limit_n3(None)
        assert "tbf" not in qdisc(bed.ran)


def test_is_gone_after_an_error() -> None:
    with pytest.raises(RuntimeError), Namespaces(PREFIX, 1400):
        raise RuntimeError
    assert there() == []


@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_is_gone_after_a_kill(holder: tuple[subprocess.Popen[str], int, int], by: signal.Signals) -> None:
    process, watcher, sleeper = holder
    process.send_signal(by)
    process.wait()
    assert until(lambda: not there())
    assert until(lambda: not alive(sleeper))
    assert until(lambda: not alive(watcher))
    assert not list(Path("/run").glob(f"*{PREFIX}*"))


def test_leftovers_of_a_killed_run_and_watcher_are_removed(
    holder: tuple[subprocess.Popen[str], int, int], tmp_path: Path
) -> None:
    process, watcher, _ = holder
    os.kill(watcher, signal.SIGKILL)
    process.kill()
    process.wait()
    assert until(lambda: not alive(watcher))  # until then it holds the lock, which it has inherited
    assert there() == NAMES
    with Namespaces(PREFIX, 1400) as bed:
        check(bed, tmp_path)
    assert there() == []


def test_a_second_run_waits_its_turn(holder: tuple[subprocess.Popen[str], int, int]) -> None:
    process, *_ = holder
    with pytest.raises(UserError, match=f"in use by process {process.pid}"), Namespaces(PREFIX, 1400):
        pass
    assert there() == NAMES


def test_a_namespace_that_somebody_else_made_is_left_alone() -> None:
    subprocess.run(["ip", "netns", "add", NAMES[0]], check=True)
    try:
        with pytest.raises(UserError, match=f"{NAMES[0]} already exists"), Namespaces(PREFIX, 1400):
            pass
        assert there() == NAMES[:1]
    finally:
        subprocess.run(["ip", "netns", "del", NAMES[0]], check=True)


def test_nothing_is_left_in_run() -> None:
    with Namespaces(PREFIX, 1400):
        pass
    assert not list(Path("/run").glob(f"*{PREFIX}*"))


def test_other_namespaces_are_left_alone() -> None:
    other = f"{PREFIX}-other"
    subprocess.run(["ip", "netns", "add", other], check=True)
    try:
        with Namespaces(PREFIX, 1400):
            pass
        assert Path("/run/netns", other).exists()
    finally:
        subprocess.run(["ip", "netns", "del", other], check=True)
