"""The test bed as packets of the generator go through it: their frames, the UPF's thread, and counters at its ends.

Generator and UPF must not share a CPU, or their sum is measured, in which no program seems to cost much: by default a
veth receives on the CPU that sends. So N3's NAPI runs in a kernel thread (Documentation/networking/napi.rst, "Threaded
NAPI"), in which all of the UPF's work on a packet is done, up to the discard at the data network. A veth has NAPI only
with an XDP program or with GRO, and GRO comes with a program: so GRO is on without a program as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pyroute2 import Ethtool, IPRoute

from upfml.base.errors import UserError
from upfml.base.flowkey import UDP
from upfml.bpf.module import SCHED_CLS, Module
from upfml.packets import frames
from upfml.testbed.namespaces import (
    DN,
    INGRESS,
    N3,
    N6,
    QFI,
    UE,
    UPLINK_TEID,
    Namespaces,
    attach_tc,
    inside,
    set_device,
)

_FIRST_PORT = 20_000
_PORTS = 40_000
"""Source ports; flows beyond have another destination port."""
_INNER_BYTES = 62  # of an IP packet; its frame is of 120 bytes, a multiple of 8 as maps have it


@dataclass(frozen=True)
class InjectorBed:
    """A test bed that is ready for the generator."""

    module: Module
    """bpf/injector.bpf.c."""
    packets: NDArray[np.uint8]
    """A packet of each flow, uplink on N3 to the UPF, shape (flows, bytes)."""
    n3_ifindex: int
    """The gNB's."""
    thread: int
    """The pid of the UPF's thread."""
    _ran: IPRoute
    _dn: IPRoute

    def forwarded(self) -> int:
        """Packets that have arrived at the data network."""
        return _statistics(self._dn, N6)["rx_packets"]

    def sent(self) -> int:
        """Packets that have been sent to N3, with those that the veth had no room for."""
        sender = _statistics(self._ran, N3)
        return sender["tx_packets"] + sender["tx_dropped"]


@contextmanager
def ready(bed: Namespaces, flows: int) -> Iterator[InjectorBed]:
    """Have the data network discard what arrives, and the UPF's N3 received in a thread.

    Raises UserError where that cannot be had.
    """
    with ExitStack() as stack:
        ran, upf, dn = (stack.enter_context(IPRoute(netns=host.namespace)) for host in (bed.ran, bed.upf, bed.dn))
        packets = _packets(upf, flows)
        module = Module("injector.bpf.c", {"FRAMES": len(packets), "FRAME_BYTES": packets.shape[1]})
        attach_tc(dn, dn.link_lookup(ifname=N6)[0], module.load("discard", SCHED_CLS), INGRESS)
        yield InjectorBed(module, packets, ran.link_lookup(ifname=N3)[0], _receive_in_thread(bed), ran, dn)


def _packets(upf: IPRoute, flows: int) -> NDArray[np.uint8]:
    mac = bytes.fromhex(upf.get_links(ifname=N3)[0].get("address").replace(":", ""))
    sent = []
    for flow in range(flows):
        ports = _FIRST_PORT + flow % _PORTS, 5_001 + flow // _PORTS
        packet = frames.inner(UE, ports[0], DN, ports[1], UDP, _INNER_BYTES)
        sent.append(mac + frames.n3(packet, teid=UPLINK_TEID, qfi=QFI)[len(mac) :])
    return np.frombuffer(b"".join(sent), np.uint8).reshape(flows, -1)


def _receive_in_thread(bed: Namespaces) -> int:
    """Have the UPF's N3 received by a kernel thread: its pid."""
    with inside(bed.upf.namespace), Ethtool() as ethtool:
        features = ethtool.get_features(N3)
        features.features["rx-gro"].enable = True
        ethtool.set_features(N3, features)
    before = napi_threads()
    done = set_device(bed.upf, N3, "threaded", "1")
    made = napi_threads() - before
    if done.returncode or len(made) != 1:
        raise UserError(
            f"N3 does not get a receiving thread of its own: {done.stderr.strip()}", "boot Linux 5.12 or later"
        )
    return made.pop()


def cpu_ns(pid: int) -> int:
    """Time that a thread, or a process's first one, had a CPU (Documentation/scheduler/sched-stats.rst)."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0])


def napi_threads() -> set[int]:
    """The pids of all threads that receive an N3."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # ended meanwhile
            if (process / "comm").read_text().startswith(f"napi/{N3}-"):
                found.add(int(process.name))
    return found


def _statistics(ip: IPRoute, device: str) -> Mapping[str, int]:
    statistics: Mapping[str, int] = ip.get_links(ifname=device)[0].get("stats64")
    return statistics
