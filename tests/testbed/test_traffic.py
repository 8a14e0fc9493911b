"""A session between two namespaces of this test's own, joined by a veth pair: real server, players, sender and sink."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from pyroute2 import NetNS, netns
from tests.waiting import until

from upfml.base import tables
from upfml.base.classes import EMBB, URLLC
from upfml.base.errors import UserError
from upfml.base.flowkey import flow_id
from upfml.testbed.host import LocalHost, stop
from upfml.traffic import control, ladder
from upfml.traffic.session import SENDER, Session

UE, DN = "10.60.0.1", "10.60.0.2"
TRAFFIC = {
    "video": {
        "clients": 2,
        "watch_s": [3, 5],
        "buffer_s": 4,
        "ladder_mbit_s": [0.5, 1, 2],
        "segment_s": 2,
        "length_s": 8,
    },
    "robot_arm": {
        "flows": 6,
        "first_port": 5001,
        "period_ms": [5, 16],
        "jitter_ms": 0.2,
        "payload_bytes": [40, 250],
        "tcp_share": 0.5,
    },
    "motion_control": {"first_port": 5101, "period_ms": [1, 4], "jitter_ms": 0.02, "payload_bytes": 64},
}


@pytest.fixture(scope="module")
def hosts():
    """Hosts `ran` and `dn`, each with its end of the veth pair."""
    names = [f"traffic-test-{os.getpid()}-{role}" for role in ("ran", "dn")]
    try:
        for name in names:
            netns.create(name)
        with NetNS(names[0]) as ran, NetNS(names[1]) as dn:
            ran.link("add", ifname="to-dn", kind="veth", peer={"ifname": "to-ran", "net_ns_fd": names[1]})
            for end, device, address in ((ran, "to-dn", UE), (dn, "to-ran", DN)):
                index = end.link_lookup(ifname=device)[0]
                end.addr("add", index=index, address=address, prefixlen=24)
                end.link("set", index=index, state="up")
        yield LocalHost("ran", names[0]), LocalHost("dn", names[1])
    finally:
        for name in names:
            netns.remove(name)


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    """The ladder and the control program, made once."""
    folder = tmp_path_factory.mktemp("traffic")
    video = TRAFFIC["video"]
    ladder.encode(folder / "ladder", video["ladder_mbit_s"], video["segment_s"], video["length_s"])
    return {"ladder": folder / "ladder", "control": control.build(folder)}


def session(hosts, parts, workdir, ue_address=UE):
    ran, dn = hosts
    return Session(
        TRAFFIC,
        seed=1,
        ran=ran,
        dn=dn,
        ue_address=ue_address,
        dn_address=DN,
        workdir=workdir,
        duration_s=8,
        **parts,
    )


def pids(host):
    """Every process in the host's namespace."""
    listed = subprocess.run(["ip", "netns", "pids", host.namespace], capture_output=True, text=True, check=True)
    return set(listed.stdout.split())


def test_session_on_the_wire(hosts, parts, tmp_path):
    capture = tmp_path / "wire.pcap"
    listener = hosts[1].start(["tshark", "-q", "-i", "to-ran", "-s", "96", "-w", capture], log=tmp_path / "tshark.log")
    try:
        assert until(lambda: "Capturing on" in (tmp_path / "tshark.log").read_text())
        with session(hosts, parts, tmp_path) as running:
            assert set(running.processes(hosts[0])) == {"nginx", "control-sink", "control-sender"}
            end = time.monotonic() + 8
            while time.monotonic() < end:
                running.tend()
                time.sleep(0.1)
    finally:
        stop(listener, by=signal.SIGINT)

    assert not pids(hosts[0])
    assert not pids(hosts[1])

    flows = tables.FLOWS.validate(running.flows())
    seen = flows_on_the_wire(capture)
    manifest = set(flows["flow"])
    assert set(seen) <= manifest, "packets of a flow whose class nobody knows"
    assert set(flows.loc[flows["label"] == URLLC, "flow"]) <= set(seen)
    assert (flows["label"] == EMBB).sum() >= 1

    # 1 ms is the shortest period: eight seconds hold about 8,000 of its messages.
    fastest = flows.loc[flows["period_ms"] == 1, "flow"].item()
    assert seen[fastest] == pytest.approx(8000, rel=0.15)

    rungs = tables.RUNGS.validate(running.rungs())
    assert rungs.loc[rungs["client"] == "client-1", "rung"].nunique() > 1  # from the first segment's rung to a higher
    report = running.report()
    assert report["embb"]["clients_started"] >= report["embb"]["clients_played"] >= 2
    assert report["urllc"]["packets"] >= 8 * sum(1000 / flows["period_ms"].dropna()) * 0.9


def test_a_dead_generator_is_named(hosts, parts, tmp_path):
    with session(hosts, parts, tmp_path) as running, pytest.raises(UserError, match=SENDER):
        os.kill(running.processes(hosts[0])[SENDER], signal.SIGKILL)
        assert until(running.tend)
    assert not pids(hosts[0])
    assert not pids(hosts[1])


def test_a_server_that_cannot_start_is_named_and_nothing_stays(hosts, parts, tmp_path):
    with pytest.raises(UserError, match=r"(?s)nginx.*10\.60\.0\.77"):
        session(hosts, parts, tmp_path, ue_address="10.60.0.77").__enter__()
    assert not pids(hosts[0])
    assert not pids(hosts[1])


def test_a_kill_leaves_no_process(hosts, parts, tmp_path):
    script = f"""
import sys, time
from pathlib import Path
sys.path.insert(0, {str(Path(__file__).parent)!r})
from test_traffic import LocalHost, session
parts = {{"ladder": Path({str(parts["ladder"])!r}), "control": Path({str(parts["control"])!r})}}
hosts = [LocalHost(role, name) for role, name in {[(host.role, host.namespace) for host in hosts]!r}]
with session(hosts, parts, Path({str(tmp_path)!r})) as running:
    print("flows", flush=True)
    time.sleep(60)
"""
    run = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert run.stdout.readline() == "flows\n"
    assert pids(hosts[0])
    run.kill()
    run.wait()
    assert until(lambda: not pids(hosts[0]) and not pids(hosts[1]))


def flows_on_the_wire(capture):
    """Packets by flow, each flow named in the uplink direction."""
    fields = ["ip.src", "ip.dst", "ip.proto", "tcp.srcport", "tcp.dstport", "udp.srcport", "udp.dstport"]
    argv = ["tshark", "-r", capture, "-Y", "ip and (tcp or udp)", "-T", "fields"]
    for field in fields:
        argv += ["-e", field]
    rows = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines()
    packets: dict[str, int] = {}
    for row in rows:
        source, destination, protocol, *ports = row.split("\t")
        source_port, destination_port = (int(port) for port in ports if port)
        if source == UE:
            name = flow_id(source, source_port, destination, destination_port, int(protocol))
        else:
            name = flow_id(destination, destination_port, source, source_port, int(protocol))
        packets[name] = packets.get(name, 0) + 1
    return packets
