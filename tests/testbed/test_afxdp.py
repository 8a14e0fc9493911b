"""The user plane in user space, on the test bed: what it forwards, what it drops, what it decides, what it leaves."""

from __future__ import annotations

import signal
import socket
import struct
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.forests import converted, noisy_forest

from upfml.base import tables
from upfml.base.errors import UserError
from upfml.base.flowkey import UDP, flow_id
from upfml.bpf import xdp
from upfml.classify.afxdp import AfXdp
from upfml.classify.user import predictor
from upfml.packets import frames
from upfml.packets.features import Definition
from upfml.testbed.check import echo
from upfml.testbed.namespaces import DN, GNB_N3, N3, N6, UE, UPF_N3, UPLINK_TEID, Namespaces, inside

PREFIX = "upftest"
WINDOW_NS = 20_000_000
DEFINITION = Definition(WINDOW_NS, 1_000)
ICMP, ETH_P_IP = 1, 0x0800
FRAMES = 4_096  # afxdp.c

# Holds the user plane of the UPF, says so, and goes on until it is killed.
HOLDER = """
import sys
from pathlib import Path
from upfml.bpf import xdp
from upfml.classify.afxdp import AfXdp
from upfml.packets.features import Definition
from upfml.testbed.namespaces import N3, Namespaces
plane = AfXdp(Path(sys.argv[1]), Definition(500_000_000, 1_000), "window", Namespaces.uplink)
plane.open(N3)
attachment = xdp.attach(plane.module, plane.program, N3, "auto")
print("ready", flush=True)
while True:
    plane.wait(0.1)
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return converted(noisy_forest(trees=10, depth=8), tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def bed() -> Iterator[Namespaces]:
    with Namespaces(PREFIX, 1400) as made:
        yield made
    assert not list(Path("/run/netns").glob(f"{PREFIX}-*"))


@contextmanager
def on_n3(bed: Namespaces, plane: AfXdp, mode: str = "native") -> Iterator[None]:
    """A turn: packets are taken in the block, in another thread."""
    over = threading.Event()

    def take() -> None:
        while not over.is_set():
            plane.wait(0.05)

    with inside(bed.upf.namespace):
        plane.open(N3)
        attachment = xdp.attach(plane.module, plane.program, N3, mode)
    taking = threading.Thread(target=take)
    taking.start()
    try:
        yield
    finally:
        over.set()
        taking.join()
        attachment.detach()
        plane.drain()
        plane.close()
        plane.forget()


@pytest.fixture
def plane(bed: Namespaces, model: Path) -> AfXdp:
    return AfXdp(model, DEFINITION, "packet", bed.uplink)


@pytest.mark.parametrize("mode", ["native", "generic"])
def test_forwards_tcp_both_ways_and_udp(bed: Namespaces, plane: AfXdp, tmp_path: Path, mode: str) -> None:
    with on_n3(bed, plane, mode):
        echo(bed, "tcp", 100_000, tmp_path)
        echo(bed, "udp", 1_000, tmp_path)
    counts, counters = plane.counts, plane.module.counters()
    assert counts["flow"] == counts["forwarded"] == plane.received == counters["event_sent"]
    assert plane.received > 100_000 // (1_400 - 40)
    assert counters["event_lost"] == counts["rx_dropped"] == counts["rx_ring_full"] == 0
    assert counts["flow_new"] == 2


def arrived(tap: socket.socket) -> list[bytes]:
    """The IP packets that the data network saw."""
    found = []
    while True:
        try:
            found.append(tap.recv(65_536)[14:])
        except BlockingIOError:
            return found


def test_routes_what_is_no_flow_and_drops_what_no_router_forwards(bed: Namespaces, plane: AfXdp) -> None:
    datagram = frames.inner(UE, 5_000, DN, 5_001, UDP, 100)
    ping = frames.ipv4(UE, DN, ICMP, struct.pack("!BBHHH", 8, 0, 0, 1, 1))
    last_hop = frames.ipv4(UE, DN, UDP, datagram[20:])
    last_hop = last_hop[:8] + bytes([1]) + last_hop[9:]
    too_long = datagram[:2] + struct.pack("!H", 101) + datagram[4:]
    packets = [
        *(frames.gtpu(UPLINK_TEID, inner) for inner in (datagram, ping, last_hop, too_long)),
        frames.gtpu(UPLINK_TEID, datagram, qfi=None) + bytes(7),  # behind the packet that the lengths speak of
        frames.gtpu(UPLINK_TEID, frames.inner("fd00::1", 5_000, "fd00::2", 5_001, UDP, 100)),
        frames.gtpu(UPLINK_TEID + 1, datagram),
    ]
    with inside(bed.dn.namespace):
        tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_IP))
    with inside(bed.ran.namespace):
        gnb = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        gnb.bind((GNB_N3, 0))
    with tap, gnb, on_n3(bed, plane):
        tap.bind((N6, ETH_P_IP))
        tap.setblocking(False)
        for packet in packets:
            gnb.sendto(packet, (UPF_N3, frames.GTPU_PORT))
        gnb.sendto(struct.pack("!BBHI", 0x30, 1, 0, 0), (UPF_N3, frames.GTPU_PORT))  # an echo request: the kernel's
        gnb.sendto(frames.gtpu(UPLINK_TEID, bytes(1_600)), (UPF_N3, frames.GTPU_PORT))  # in two fragments: likewise
        time.sleep(0.3)
        seen = [packet for packet in arrived(tap) if packet[12:16] == socket.inet_aton(UE)]
    wanted = [datagram, ping, datagram]
    assert [packet[20:] for packet in seen] == [packet[20:] for packet in wanted]
    for packet, sent in zip(seen, wanted, strict=True):
        assert packet[8] == sent[8] - 1 == 63
        assert sum(struct.unpack("!10H", packet[:20])) % 0xFFFF == 0  # RFC 1071
    counts = plane.counts
    named = ["forwarded", "ttl_expired", "malformed", "not_ipv4", "unknown_teid"]
    assert [counts[name] for name in named] == [3, 1, 1, 1, 1]
    assert plane.received == len(packets)
    assert (counts["flow"], counts["inner_no_ports"]) == (6, 1)  # the parser looks at headers alone
    counters = plane.module.counters()
    assert [counters[name] for name in ("gtpu_not_gpdu", "outer_first_fragment", "outer_fragment")] == [1, 1, 1]


def send(bed: Namespaces, flows: int, packets: int, apart_s: float = 0.002) -> list[str]:
    """UDP packets of some flows, each flow's so far apart on average: the flows' names."""
    random = np.random.default_rng(5)
    with inside(bed.ran.namespace):
        senders = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(flows)]
    names = []
    for sender in senders:
        sender.bind((UE, 0))
        names.append(flow_id(UE, sender.getsockname()[1], DN, 5_001, UDP))
    for at in random.permutation(np.repeat(np.arange(flows), packets)).tolist():
        senders[at].sendto(bytes(40), (DN, 5_001))
        if apart_s:
            time.sleep(random.exponential(apart_s / flows))
    for sender in senders:
        sender.close()
    return names


def check_windows(decisions: pd.DataFrame) -> int:
    """Recompute from a flow's arrivals what each decision says of the running window: how many could be.

    A flow's first two windows have no decisions, and of the third the first IAT is not known.
    """
    times = decisions["t_packet_ns"].to_numpy()
    first_from = max(t - (k + 1) * WINDOW_NS for t, k in zip(times, decisions["window"], strict=True))
    first_to = min(t - k * WINDOW_NS for t, k in zip(times, decisions["window"], strict=True))
    assert first_from < first_to  # there is a beginning of the flow's clock from which all windows follow
    iats = pd.Series(np.diff(times, prepend=times[0]) // 1_000, index=decisions.index).astype(object)
    previous, checked = None, 0
    for number, (_, rows) in enumerate(decisions.groupby("window")):
        if number == 0:
            continue
        for packets in range(1, len(rows) + 1):
            row, so_far = rows.iloc[packets - 1], iats[rows.index[:packets]]
            mean = sum(so_far) // packets
            variance = (packets * sum(iat * iat for iat in so_far) - sum(so_far) ** 2) // packets**2
            assert (row["packets"], row["iat_mean"], row["iat_var"]) == (packets, mean, variance)
            if previous:
                assert (row["prev_iat_mean"], row["prev_iat_var"]) == previous
                checked += 1
        previous = mean, variance
    return checked


def test_decides_by_the_definition_on_what_it_forwards(bed: Namespaces, plane: AfXdp, model: Path) -> None:
    with on_n3(bed, plane):
        first = send(bed, flows=4, packets=150)
    with on_n3(bed, plane):  # a second turn, which knows nothing of the first
        second = send(bed, flows=1, packets=150)
    decisions = plane.table()
    assert set(decisions["flow"]) == {*first, *second}
    for _, rows in decisions.groupby("flow"):
        assert check_windows(rows.reset_index(drop=True)) > 30
    predict = predictor(model / "model.so")
    assert decisions["predicted"].tolist() == [predict(row) for row in decisions[tables.FEATURES].to_numpy().tolist()]
    steps = ["t_packet_ns", "t_sent_ns", "t_start_ns", "t_features_ns", "t_label_ns", "t_delivered_ns"]
    assert (decisions[steps].diff(axis=1).iloc[:, 1:] >= 0).all(axis=None)
    assert (decisions["t_sent_ns"] > decisions["t_packet_ns"]).any()
    assert plane.counts["flow_new"] == 5


def test_devices_that_another_socket_holds_are_left_alone(bed: Namespaces, plane: AfXdp, model: Path) -> None:
    other = AfXdp(model, DEFINITION, "window", bed.uplink)
    with on_n3(bed, plane), inside(bed.upf.namespace), pytest.raises(UserError, match="no AF_XDP sockets on n3 and n6"):
        other.open(N3)
    with on_n3(bed, other):
        send(bed, flows=1, packets=10)
    assert other.received == 10


def test_a_way_that_is_not_there_is_named(bed: Namespaces, plane: AfXdp, model: Path) -> None:
    with inside(bed.ran.namespace), pytest.raises(UserError, match="there is no device n6 here"):
        plane.open(N3)
    nowhere = AfXdp(model, DEFINITION, "window", replace(bed.uplink, next_hop="10.70.0.99"))
    with inside(bed.upf.namespace), pytest.raises(UserError, match=r"the next hop 10\.70\.0\.99 on n6 does not answer"):
        nowhere.open(N3)


def test_packets_for_which_no_frame_is_left_are_counted(bed: Namespaces, plane: AfXdp) -> None:
    with inside(bed.upf.namespace):
        plane.open(N3)
        attachment = xdp.attach(plane.module, plane.program, N3, "auto")
    send(bed, flows=1, packets=FRAMES + 500, apart_s=0)
    assert plane.received == 0
    attachment.detach()
    plane.drain()
    before_close = plane.counts
    plane.close()
    assert plane.counts == before_close
    assert before_close["forwarded"] == plane.received == FRAMES
    assert before_close["rx_dropped"] == plane.module.counters()["event_sent"] - FRAMES == 500


def test_when_it_is_killed_the_kernel_forwards(bed: Namespaces, plane: AfXdp, model: Path, tmp_path: Path) -> None:
    holder = bed.upf.start([sys.executable, "-c", HOLDER, model], log=tmp_path / "log", talks=True)
    try:
        assert holder.hear(60) == "ready\n", (tmp_path / "log").read_text()
        echo(bed, "udp", 1_000, tmp_path)
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    echo(bed, "tcp", 10_000, tmp_path)
    with on_n3(bed, plane):
        echo(bed, "udp", 1_000, tmp_path)
