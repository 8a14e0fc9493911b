"""GTP-U of others: Osmocom's GGSN and SGSN emulator make a tunnel as 3G has it, and tshark says what is in it.

Their G-PDUs have a sequence number (S flag) and no extension header, so no QFI: a header that nothing of this project
writes. The user plane is in user space on both sides, so a tunnel's ends are tun devices.

    upfgtpPID-sgsn                            upfgtpPID-ggsn
    ue -- sgsnemu | gn ──── GTP-C, GTP-U ──── gn | osmo-ggsn -- apn
    10.61.0.2         10.201.0.1     10.201.0.2                  10.61.0.1
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pyroute2 import IPRoute, netns
from tests.forests import converted, noisy_forest
from tests.waiting import until

from upfml.arms import Arm
from upfml.base import files, tables
from upfml.base.classes import URLLC
from upfml.base.flowkey import TCP, UDP
from upfml.classify.uplink import Uplink
from upfml.model.baselines import Baselines
from upfml.packets.features import Definition
from upfml.run.agentprocess import AgentProcess, loss
from upfml.studies import exactness
from upfml.testbed.host import LocalHost, Process, stop
from upfml.testbed.namespaces import inside

GN = "gn"
SGSN, GGSN = "10.201.0.1", "10.201.0.2"
APN_NETWORK, APN = "10.61.0.0/24", "10.61.0.1"
UE_MTU_BYTES = 1400
UDP_PORT, TCP_PORT = 5001, 5002
ROUNDS = 200
WINDOW_MS = 20
CONFIG: dict[str, Any] = {
    "testbed": {"xdp_mode": "auto"},
    "features": {"window_ms": WINDOW_MS, "iat_unit": "us"},
    "flow_table": {"kind": "lru", "flows": 1024},
    "delivery": {"delay_ms": 1},
}
GGSN_CONFIG = f"""
line vty
 no login
ggsn here
 gtp state-dir {{folder}}
 gtp bind-ip {GGSN}
 apn internet
  gtpu-mode tun
  tun-device apn
  type-support v4
  ip prefix dynamic {APN_NETWORK}
  ip ifconfig {APN}/24
  no shutdown
 default-apn internet
 no shutdown ggsn
"""


@dataclass(frozen=True)
class Link:
    """Two hosts and the link between them. To an agent it is what a test bed is, seen from the GGSN."""

    sgsn: LocalHost
    upf: LocalHost
    n3_device = GN
    uplink = Uplink(GN, SGSN, [])


@pytest.fixture(scope="module")
def link() -> Iterator[Link]:
    with ExitStack() as stack:
        hosts = []
        for role in ("sgsn", "ggsn"):
            name = f"upfgtp{os.getpid()}-{role}"
            netns.create(name)
            stack.callback(netns.remove, name)
            hosts.append(LocalHost(role, name))
            with inside(name):
                for which in ("all", "default"):  # nobody but the peers shall speak
                    Path(f"/proc/sys/net/ipv6/conf/{which}/disable_ipv6").write_text("1")
            with IPRoute(netns=name) as ip:
                if role == "ggsn":
                    ip.link("add", ifname=GN, kind="veth", peer={"ifname": GN, "net_ns_fd": hosts[0].namespace})
                ip.link("set", index=ip.link_lookup(ifname="lo")[0], state="up")
        for host, address in zip(hosts, (SGSN, GGSN), strict=True):
            with IPRoute(netns=host.namespace) as ip:
                index = ip.link_lookup(ifname=GN)[0]
                ip.addr("add", index=index, address=address, prefixlen=24)
                ip.link("set", index=index, state="up")
        yield Link(*hosts)


def awaited(condition: Callable[[], Any], what: str, logs: Path) -> Any:
    """What `condition` gives as soon as it is true."""
    found = until(condition, 20)
    said = "\n".join(path.read_text(errors="replace") for path in logs.glob("*.log"))
    assert found, f"{what}:\n{said}"
    return found


def address_of(host: LocalHost, device: str) -> str | None:
    """Of a tun device that somebody makes, once it is there; its MTU leaves room for the tunnel from then on."""
    with IPRoute(netns=host.namespace) as ip:
        for index in ip.link_lookup(ifname=device):
            for found in ip.get_addr(index=index):
                ip.link("set", index=index, mtu=UE_MTU_BYTES)
                return str(found.get("IFA_ADDRESS"))
    return None


def talk(link: Link, ue: str) -> tuple[int, int]:
    """Echoes by UDP and TCP, whose sizes and distances vary: the UE's ports."""
    random = np.random.default_rng(2)
    with ExitStack() as stack:
        with inside(link.upf.namespace):
            udp_server = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            udp_server.bind((APN, UDP_PORT))
            listener = stack.enter_context(socket.create_server((APN, TCP_PORT)))
        with inside(link.sgsn.namespace):
            udp = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            tcp = stack.enter_context(socket.socket())
        for each in (udp_server, listener, udp, tcp):
            each.settimeout(10)
        udp.bind((ue, 0))
        udp.connect((APN, UDP_PORT))
        tcp.bind((ue, 0))
        tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        tcp.connect((APN, TCP_PORT))
        tcp_server = stack.enter_context(listener.accept()[0])
        tcp_server.settimeout(10)
        for size in random.integers(1, UE_MTU_BYTES - 60, ROUNDS).tolist():
            for client, server in ((udp, udp_server), (tcp, tcp_server)):
                client.send(bytes(size))
                if server is udp_server:
                    data, peer = server.recvfrom(2_048)
                    server.sendto(data, peer)
                else:
                    server.sendall(receive(server, size))
                assert receive(client, size) == bytes(size)
            time.sleep(random.exponential(0.004))
        return udp.getsockname()[1], tcp.getsockname()[1]


def receive(source: socket.socket, size: int) -> bytes:
    got = b""
    while len(got) < size:
        got += source.recv(2_048)
    return got


@dataclass(frozen=True)
class Seen:
    """What went through the tunnel, by the agent's account and by tshark's."""

    ue: str
    ports: tuple[int, int]
    report: dict[str, Any]
    packets: pd.DataFrame
    decisions: dict[str, pd.DataFrame]
    capture: Path

    def tshark(self, which: str, fields: Sequence[str]) -> list[list[str]]:
        """Some fields of the packets that match a display filter."""
        options = [word for field in fields for word in ("-e", field)]
        read = ["tshark", "-r", str(self.capture), "-Y", which, "-T", "fields", "-E", "occurrence=a", *options]
        done = subprocess.run(read, capture_output=True, text=True, check=True)
        return [line.split("\t") for line in done.stdout.splitlines()]


FOREST = noisy_forest(trees=10, depth=8)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return converted(FOREST, tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def seen(link: Link, model: Path, tmp_path_factory: pytest.TempPathFactory) -> Seen:
    folder = tmp_path_factory.mktemp("gtp")
    capture = folder / "gn.pcap"
    with ExitStack() as stack:

        def start(host: LocalHost, *command: str | Path, by: signal.Signals = signal.SIGTERM) -> Process:
            process = host.start(command, log=folder / f"{command[0]}.log")
            stack.callback(stop, process, by=by)
            return process

        (folder / "ggsn.cfg").write_text(GGSN_CONFIG.format(folder=folder))
        start(link.upf, "osmo-ggsn", "-c", folder / "ggsn.cfg")
        awaited(lambda: address_of(link.upf, "apn"), "the GGSN has no tun device", folder)
        start(link.upf, "tshark", "-q", "-i", GN, "-w", capture, by=signal.SIGINT)
        awaited(lambda: capture.exists() and capture.stat().st_size, "tshark does not listen", folder)
        time.sleep(0.5)
        agent = AgentProcess(CONFIG, Arm("exactness", "packet"), link, model, folder / "agent")  # type: ignore[arg-type]
        agent.attach()
        sgsn = start(
            link.sgsn, "sgsnemu", "--listen", SGSN, "--remote", GGSN, "--createif", "--defaultroute",
            "--tun-device", "ue", "--statedir", folder, "--pidfile", folder / "sgsnemu.pid",
        )  # fmt: skip
        ue = awaited(lambda: address_of(link.sgsn, "ue"), "the SGSN has no PDP context", folder)
        ports = talk(link, ue)
        time.sleep(0.5)  # for TCP's last acknowledgement
        stop(sgsn)  # it deletes its PDP context
        time.sleep(0.5)
        agent.detach()
        report = agent.end()
    packets = files.read(folder / "agent/packets.parquet", tables.PACKETS)
    sides = ("kernel", "user", "native")
    decisions = {side: files.read(folder / f"agent/{side}.parquet", tables.DECISIONS) for side in sides}
    return Seen(ue, ports, report, packets, decisions, capture)


UPLINK = f"gtp.message == 0xff && ip.dst == {GGSN}"


def test_the_tunnel_is_of_a_kind_that_this_project_does_not_make(seen: Seen) -> None:
    lines = seen.tshark("gtp.message == 0xff", ["gtp.flags.version", "gtp.flags.s", "gtp.flags.e", "gtp.flags.pn"])
    assert len(lines) > 4 * ROUNDS  # both ways
    assert {tuple(line) for line in lines} == {("1", "1", "0", "0")}


def test_the_collector_reads_what_tshark_reads(seen: Seen) -> None:
    fields = ["gtp.teid", "ip.src", "ip.dst", "ip.proto", "ip.len", "udp.srcport", "udp.dstport", "tcp.srcport",
              "tcp.dstport", "tcp.flags", "tcp.seq_raw", "tcp.ack_raw", "tcp.window_size_value"]  # fmt: skip
    wanted = []
    for line in seen.tshark(UPLINK, fields):
        teid, *ip, udp_from, udp_to, tcp_from, tcp_to, flags, sequence, acknowledged, window = line
        src, dst, protocol, length = (pair.split(",")[1] for pair in ip)  # the outer one comes first
        ports = (tcp_from, tcp_to) if tcp_from else (udp_from.split(",")[1], udp_to.split(",")[1])
        numbers = [int(part or "0", 0) for part in (flags, sequence, acknowledged, window)]
        wanted.append((int(teid, 0), -1, src, dst, *map(int, ports), int(protocol), int(length), *numbers))
    columns = ["teid", "qfi", "src", "dst", "src_port", "dst_port", "protocol", "length_bytes"]
    columns += ["tcp_flags", "tcp_seq", "tcp_ack", "tcp_window"]
    assert list(seen.packets[columns].itertuples(index=False, name=None)) == wanted


def test_tunnel_and_flows_are_those_that_were_made(seen: Seen) -> None:
    (given,) = {line[0] for line in seen.tshark(f"gtp.message == 0x11 && ip.src == {GGSN}", ["gtp.teid_data"])}
    assert set(seen.packets["teid"]) == {int(given, 0)}
    flows = seen.packets.groupby(["src", "dst", "protocol", "src_port", "dst_port"]).size()
    udp, tcp = ((seen.ue, APN, *rest) for rest in ((UDP, seen.ports[0], UDP_PORT), (TCP, seen.ports[1], TCP_PORT)))
    assert set(flows.index) == {udp, tcp}
    assert flows[udp] == ROUNDS
    assert flows[tcp] > ROUNDS


def test_windows_and_decisions_are_the_references(seen: Seen, model: Path) -> None:
    definition = Definition(WINDOW_MS * 1_000_000, 1_000)
    forest = exactness.Model(FOREST, model, "soft", definition, "packet")
    flows = pd.DataFrame({"flow": seen.decisions["kernel"]["flow"].unique(), "label": URLLC})
    stump = Baselines(URLLC, "iat_mean", 0.0, URLLC, URLLC)
    judged = exactness.judge(forest, stump, seen.packets, flows, seen.decisions)
    assert judged["kernel"]["windows"] > 1.5 * ROUNDS
    for arm in ("kernel", "user", "native", "sklearn"):
        assert (judged[arm]["feature_differences"], judged[arm]["decision_differences"]) == (0, 0)


def test_only_what_is_no_user_data_leaves_early(seen: Seen) -> None:
    """The parser's outcomes: each packet has one."""
    counters = seen.report["counters"]
    names = list(counters)
    outcomes = {name: counters[name] for name in names[: names.index("inner_no_ports") + 1] if counters[name]}
    control = seen.tshark(f"udp.port == 2123 && ip.dst == {GGSN} && !icmp", ["frame.number"])
    assert outcomes.pop("flow") == len(seen.packets)
    assert outcomes.pop("not_gtpu") == len(control) == 3  # echo, a PDP context is created, and deleted
    assert set(outcomes) <= {"not_ip"}  # ARP
    assert loss(seen.report)["lost"] == 0
