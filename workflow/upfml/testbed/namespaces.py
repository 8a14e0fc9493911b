"""The paper's three machines (section 3.3, figure 5) as network namespaces of this one.

    PREFIX-ran                            PREFIX-upf                       PREFIX-dn
    uesimtun0 -- gnb | n3 ───── GTP-U ───── n3 |  routing  | n6 ─── IP ─── n6
    10.60.0.1          10.200.0.1   10.200.0.2   10.70.0.254       10.70.0.1

UE and gNB share a namespace, as UERANSIM's do on one machine. GTP-U is made by the tc programs of bpf/upf.bpf.c.

A packet is received on the CPU that sends it. Where the UPF has CPUs of its own (cpus.py), receive packet steering
(RPS, Documentation/networking/scaling.rst) moves it: on the way to the UPF to these, on the way from it to the others.
N3 has a wire of its own for that, PREFIX-wire: native XDP runs before a device's RPS, so the device before N3 steers.

    gnb n3 ── gnb | upf ── n3 upf        gnb: RPS to the UPF's CPUs; upf: RPS to the others (bpf/wire.bpf.c)

Set-up begins by removing what a killed run left under the same prefix; a watcher process removes everything when this
process dies, however it dies.
"""

from __future__ import annotations

import contextlib
import fcntl
import ipaddress
import logging
import os
import signal
import struct
import subprocess
import time
from collections.abc import Collection, Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from pyroute2 import Ethtool, IPRoute, netns
from pyroute2.netlink.exceptions import NetlinkError

from upfml.base.errors import UserError
from upfml.bpf.module import SCHED_CLS, Module, Program
from upfml.classify.uplink import Uplink
from upfml.testbed.cpus import Split, give_back, mask, take
from upfml.testbed.host import LocalHost

log = logging.getLogger(__name__)

ROLES = ("ran", "upf", "dn")
_WIRE = "wire"
UE, GNB_N3, UPF_N3, UPF_N6, DN = "10.60.0.1", "10.200.0.1", "10.200.0.2", "10.70.0.254", "10.70.0.1"
UE_MAC = "02:00:00:00:00:01"
UE_DEVICE, GNB_DEVICE, N3, N6 = "uesimtun0", "gnb", "n3", "n6"
_TO_GNB, _TO_UPF = "gnb", "upf"
"""The wire's ends."""
UPLINK_TEID, DOWNLINK_TEID, QFI = 0x10001, 0x20001, 9
"""One PDU session. QFI 9, the usual default flow: the network has not been told what the traffic is."""

N3_MTU_BYTES = 1500
TCP_CONGESTION_CONTROL = "cubic"
"""Linux's default, also on the paper's machines; this machine's own choice would shape the IATs of both classes."""
_OFFLOADS = (
    "tx-tcp-segmentation",
    "tx-tcp6-segmentation",
    "tx-tcp-ecn-segmentation",
    "tx-tcp-mangleid-segmentation",
    "tx-generic-segmentation",
    "tx-udp-segmentation",
    "tx-gso-list",
    "tx-checksum-ip-generic",
    "rx-gro",
)
"""A superpacket that is encapsulated first and segmented afterwards carries wrong GTP-U lengths; a checksum left to the
device would be wrong on N3."""

_TCP = {"cc_algo": TCP_CONGESTION_CONTROL}
"""By route: a namespace may not choose it by sysctl unless the whole machine allows that."""

_NAMED = Path("/run/netns")
INGRESS, EGRESS = "ffff:fff2", "ffff:fff3"
"""Of a device's clsact."""
TBF_BURST_BYTES = 16_000
TBF_LATENCY = "50ms"


class Namespaces:
    """The test bed `namespaces`, up between __enter__ and __exit__."""

    ue_address, dn_address, n3_device, n3_is_ours = UE, DN, N3, True
    uplink = Uplink(N6, DN, [UPLINK_TEID])

    def __init__(self, prefix: str, ue_mtu_bytes: int, cpus: Split | None = None) -> None:
        """`cpus`: the UPF's own, from which everything else is moved; None: it shares them all."""
        self._cpus, self.upf_cpus = cpus, cpus.upf if cpus else ()
        names = dict(zip((*ROLES, _WIRE), _names(prefix), strict=True))
        self.ran, self.dn, self.meters = (LocalHost(role, names[role]) for role in ("ran", "dn", "upf"))
        self.upf = LocalHost("upf", names["upf"], self.upf_cpus)
        self._wire = LocalHost(_WIRE, names[_WIRE])
        self._prefix = prefix
        self._ue_mtu_bytes = ue_mtu_bytes
        self._lock: IO[str] | None = None
        self._watcher: int | None = None

    def __enter__(self) -> Namespaces:
        """Build it. Raises UserError when another run uses the prefix, or something cannot be made."""
        self._lock = _lock(self._prefix)
        remove(self._prefix)
        self._watcher = _watch(self._prefix)
        try:
            self._build()
            if self._cpus:
                take(self._cpus, _taken_path(self._prefix))
        except (NetlinkError, OSError) as error:
            self.__exit__(None, None, None)
            raise UserError(
                f"cannot build the test bed {self._prefix}-*: {error}", "see `snakemake provision`"
            ) from error
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        remove(self._prefix)
        if self._watcher is not None:
            os.kill(self._watcher, signal.SIGKILL)
            os.waitpid(self._watcher, 0)
            self._watcher = None
        if self._lock is not None:
            _lock_path(self._prefix).unlink()
            self._lock.close()
            self._lock = None

    def limit_n3(self, rate_mbit_s: float | None) -> None:
        """Shape N3's uplink (tbf), or lift the limit with None."""
        with IPRoute(netns=self.ran.namespace) as ip:
            device = _index(ip, N3)
            if rate_mbit_s is None:
                with contextlib.suppress(NetlinkError):  # there was none
                    ip.tc("del", index=device, root=True)
                return
            rate_bytes_s = int(rate_mbit_s * 1e6 / 8)
            ip.tc("replace", "tbf", device, 0x10000, rate=rate_bytes_s, burst=TBF_BURST_BYTES, latency=TBF_LATENCY)

    def facts(self) -> dict[str, Any]:
        """What provenance records of the test bed."""
        return {
            "kind": "namespaces",
            "hosts": {host.role: host.namespace for host in (self.ran, self.upf, self.dn)},
            "upf_cpus": list(self.upf_cpus),
            "n3_and_n6_received_by": "RPS" if self._cpus else "the CPU that sends",
            "n3_mtu_bytes": N3_MTU_BYTES,
            "ue_mtu_bytes": self._ue_mtu_bytes,
            "offloads_off": list(_OFFLOADS),
            "tcp_congestion_control": TCP_CONGESTION_CONTROL,
            "gtpu": {"uplink_teid": UPLINK_TEID, "downlink_teid": DOWNLINK_TEID, "qfi": QFI},
        }

    def _build(self) -> None:
        hosts = [self.ran, self.upf, self.dn, *([self._wire] if self._cpus else [])]
        for host in hosts:
            netns.create(host.namespace)
            with inside(host.namespace):
                _sysctl("net/ipv6/conf/all/disable_ipv6", 1)
                _sysctl("net/ipv6/conf/default/disable_ipv6", 1)
                _sysctl("net/ipv4/ip_forward", int(host is self.upf))
        self._link(self.ran, UE_DEVICE, self.ran, GNB_DEVICE)
        if self._cpus:
            self._link(self.ran, N3, self._wire, _TO_GNB)
            self._link(self._wire, _TO_UPF, self.upf, N3)
        else:
            self._link(self.ran, N3, self.upf, N3)
        self._link(self.upf, N6, self.dn, N6)
        with IPRoute(netns=self.ran.namespace) as ip:
            ue = _index(ip, UE_DEVICE)
            # A PDU session has no neighbours to resolve: whatever the UE sends goes to the gNB.
            ip.link("set", index=ue, address=UE_MAC, mtu=self._ue_mtu_bytes, arp=False)
            ip.addr("add", index=ue, address=UE, prefixlen=32)
            ip.addr("add", index=_index(ip, N3), address=GNB_N3, prefixlen=24)
            self._up(ip, UE_DEVICE, GNB_DEVICE, N3)
            ip.route("add", dst="0.0.0.0/0", oif=ue, prefsrc=UE, metrics=_TCP)
        with IPRoute(netns=self.dn.namespace) as ip:
            ip.addr("add", index=_index(ip, N6), address=DN, prefixlen=24)
            self._up(ip, N6)
            ip.route("add", dst="0.0.0.0/0", gateway=UPF_N6, metrics=_TCP)
        with IPRoute(netns=self.upf.namespace) as ip:
            ip.addr("add", index=_index(ip, N3), address=UPF_N3, prefixlen=24)
            ip.addr("add", index=_index(ip, N6), address=UPF_N6, prefixlen=24)
            self._up(ip, N3, N6)
            ip.route("add", dst=f"{UE}/32", gateway=GNB_N3, oif=_index(ip, N3), metrics={"mtu": self._ue_mtu_bytes})
        for host in hosts:
            self._offloads_off(host)
        self._user_plane()
        if self._cpus:
            self._steer(self._cpus)

    def _steer(self, cpus: Split) -> None:
        """Join the wire's ends, and have what goes to the UPF received on its CPUs, and all else on the others."""
        with IPRoute(netns=self._wire.namespace) as wire:
            self._up(wire, _TO_GNB, _TO_UPF)
            ends = [_index(wire, device) for device in (_TO_GNB, _TO_UPF)]
            program = Module("wire.bpf.c", {"GNB_SIDE": ends[0], "UPF_SIDE": ends[1]}).load("wire", SCHED_CLS)
            for end in ends:
                attach_tc(wire, end, program, INGRESS)
            os.close(program.fd)
        for host, device, to in (
            (self._wire, _TO_GNB, cpus.upf),
            (self.upf, N6, cpus.upf),
            (self._wire, _TO_UPF, cpus.others),
            (self.dn, N6, cpus.others),
        ):
            _receive_on(host, device, to)

    def _link(self, left: LocalHost, left_device: str, right: LocalHost, right_device: str) -> None:
        with IPRoute(netns=left.namespace) as ip:
            peer: dict[str, str | None] = {"ifname": right_device}
            if right is not left:
                peer["net_ns_fd"] = right.namespace
            ip.link("add", ifname=left_device, kind="veth", peer=peer)

    @staticmethod
    def _up(ip: IPRoute, *devices: str) -> None:
        for device in ("lo", *devices):
            ip.link("set", index=_index(ip, device), state="up")

    @staticmethod
    def _offloads_off(host: LocalHost) -> None:
        with IPRoute(netns=host.namespace) as ip:
            devices = [link.get("ifname") for link in ip.get_links() if link.get("ifname") != "lo"]
        with inside(host.namespace), Ethtool() as ethtool:
            for device in devices:
                features = ethtool.get_features(device)
                for name in _OFFLOADS:
                    if name in features.features and features.features[name].available:
                        features.features[name].enable = False
                ethtool.set_features(device, features)

    def _user_plane(self) -> None:
        """Load bpf/upf.bpf.c and put its programs at gNB and UPF; tc keeps them until the namespaces go."""
        with IPRoute(netns=self.ran.namespace) as ran, IPRoute(netns=self.upf.namespace) as upf:
            gnb, n3 = _index(ran, GNB_DEVICE), _index(ran, N3)
            module = Module("upf.bpf.c", {"N3_IFINDEX": n3, "GNB_UE_IFINDEX": gnb})
            _establish_session(module)
            for ip, device, direction, name in (
                (ran, gnb, INGRESS, "gnb_uplink"),
                (ran, n3, INGRESS, "gnb_downlink"),
                (upf, _index(upf, N3), INGRESS, "upf_uplink"),
                (upf, _index(upf, N3), EGRESS, "upf_downlink"),
            ):
                program = module.load(name, SCHED_CLS)
                attach_tc(ip, device, program, direction)
                os.close(program.fd)


def _receive_on(host: LocalHost, device: str, cpus: Collection[int]) -> None:
    """Have what a device receives processed on some CPUs. Raises UserError where the kernel has no RPS."""
    done = set_device(host, device, "queues/rx-*/rps_cpus", mask(cpus))
    if done.returncode:
        raise UserError(
            f"{device} of {host.namespace} cannot be received on CPUs of choice: {done.stderr.strip()}",
            "use a kernel with CONFIG_RPS, or set testbed.cpus: [] so that UPF and traffic share the CPUs",
        )


def set_device(host: LocalHost, device: str, attributes: str, value: str) -> subprocess.CompletedProcess[str]:
    """Write a value to attributes of a host's device (a pattern below /sys/class/net/DEVICE): how that went."""
    # `ip netns exec` has the namespace's devices in /sys.
    words = ["ip", "netns", "exec", str(host.namespace), "sh", "-c", f"tee /sys/class/net/{device}/{attributes}"]
    return subprocess.run(words, input=value, capture_output=True, text=True)


def attach_tc(ip: IPRoute, device: int, program: Program, direction: str) -> None:
    """Attach a program to the clsact of a device (its index), INGRESS or EGRESS, until the device goes."""
    with contextlib.suppress(NetlinkError):  # the device has its clsact already
        ip.tc("add", "clsact", device)
    ip.tc(
        "add-filter", "bpf", device, ":1", fd=program.fd, name=program.name, parent=direction, classid=1,
        direct_action=True,
    )  # fmt: skip


def _establish_session(module: Module) -> None:
    session = module["session_by_ue"].Leaf()
    session.ue_addr, session.gnb_addr, session.upf_addr = (_network_order(a) for a in (UE, GNB_N3, UPF_N3))
    session.uplink_teid, session.downlink_teid, session.qfi = UPLINK_TEID, DOWNLINK_TEID, QFI
    for position, byte in enumerate(bytes.fromhex(UE_MAC.replace(":", ""))):
        session.ue_mac[position] = byte
    by_ue, by_teid = module["session_by_ue"], module["session_by_teid"]
    by_ue[by_ue.Key(session.ue_addr)] = session
    for teid in (UPLINK_TEID, DOWNLINK_TEID):
        by_teid[by_teid.Key(teid)] = session


def _network_order(address: str) -> int:
    return int(struct.unpack("=I", ipaddress.IPv4Address(address).packed)[0])


def remove(prefix: str) -> None:
    """Remove the namespaces of a prefix, end the processes in them, and give the UPF's CPUs back."""
    give_back(_taken_path(prefix))
    for name in _names(prefix):
        path = _NAMED / name
        if path.exists():
            _end_processes(path.stat().st_ino)
            netns.remove(name)


def _names(prefix: str) -> list[str]:
    return [f"{prefix}-{role}" for role in (*ROLES, _WIRE)]


def _end_processes(namespace_inode: int) -> None:
    """Kill every process whose network namespace this is, and wait until they are gone."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        found = False
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):  # ended meanwhile
                if (process / "ns/net").stat().st_ino == namespace_inode and int(process.name) != os.getpid():
                    found = True
                    os.kill(int(process.name), signal.SIGKILL)
        if not found:
            return
        time.sleep(0.05)


def _lock_path(prefix: str) -> Path:
    return Path(f"/run/upfml-{prefix}.lock")


def _taken_path(prefix: str) -> Path:
    """What the UPF's CPUs were taken from (cpus.py)."""
    return Path(f"/run/upfml-{prefix}.cpus")


def _lock(prefix: str) -> IO[str]:
    """Hold the prefix. The file is there from before the first namespace until after the last one is gone.

    So namespaces of these names are leftovers of a killed run only where a file is that nobody holds; without one they
    are somebody else's. Raises UserError then, and when another run holds the file.
    """
    path = _lock_path(prefix)
    foreign = [] if path.exists() else [name for name in _names(prefix) if (_NAMED / name).exists()]
    if foreign:
        raise UserError(
            f"network namespace {', '.join(foreign)} already exists, and no run of this project made it",
            "choose another testbed.prefix in config.yaml",
        )
    try:
        lock = path.open("a+")
    except PermissionError as error:
        raise UserError(f"cannot write {path}: {error.strerror}", "run as root: the test bed needs it") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        lock.seek(0)
        raise UserError(
            f"the test bed {prefix}-* is in use by process {lock.read().strip() or 'unknown'} ({path})",
            "wait for that run to end, or choose another testbed.prefix",
        ) from error
    if not path.exists() or os.fstat(lock.fileno()).st_ino != path.stat().st_ino:
        lock.close()  # the run that held it ended just now and took it away
        return _lock(prefix)
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()
    return lock


def _watch(prefix: str) -> int:
    """Fork a process that removes the test bed when this one is gone. Returns its pid."""
    read_end, write_end = os.pipe()
    os.set_inheritable(write_end, False)
    pid = os.fork()
    if pid:
        os.close(read_end)
        return pid
    os.setsid()  # Ctrl-C and a killed process group must not reach it
    os.close(write_end)
    os.read(read_end, 1)  # returns when every holder of the other end is gone
    with contextlib.suppress(Exception):
        remove(prefix)
        _lock_path(prefix).unlink()  # held until now: this process has inherited it
    os._exit(0)


@contextlib.contextmanager
def inside(namespace: str | None) -> Iterator[None]:
    """Be in a network namespace for the length of the block: what is opened there stays there."""
    netns.pushns(namespace)
    try:
        yield
    finally:
        netns.popns()


def _index(ip: IPRoute, device: str) -> int:
    return int(ip.link_lookup(ifname=device)[0])


def _sysctl(name: str, value: int) -> None:
    Path("/proc/sys", name).write_text(str(value))
