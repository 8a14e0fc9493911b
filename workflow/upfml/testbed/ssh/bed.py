"""Three machines reached by SSH, with a 5G user plane of their own: UERANSIM and free5GC, as in the paper, or others.

Nothing is built: the PDU session has to be there (docs/real-testbed.md). What a run starts or changes on the machines
is gone when it ends (keeper.py): processes, its folder, the XDP program on N3, a limit of N3's rate.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, Self

from upfml.base.errors import UserError
from upfml.classify.uplink import Uplink
from upfml.testbed import tap
from upfml.testbed.host import Host
from upfml.testbed.namespaces import TBF_BURST_BYTES, TBF_LATENCY
from upfml.testbed.ssh.inventory import Machine, machines
from upfml.testbed.ssh.remote import RemoteHost

_REPLACEABLE = {"noqueue", "mq", "pfifo_fast", "fq", "fq_codel", "tbf"}
"""Queueing disciplines that a device has by default: the kernel puts the same there again. And tbf, this project's."""
_PROBE = """
import socket, sys, time
probe = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
probe.bind((sys.argv[1], 0))
for _ in range(3):
    probe.sendto(b"probe", (sys.argv[2], 9))  # discard
    time.sleep(0.2)  # the last one has to arrive, too
"""
_SEE_PROVISION = "see `snakemake provision`"


def upf(testbed: Mapping[str, Any]) -> RemoteHost:
    """The UPF's machine alone, to be entered: for what needs its kernel but no traffic."""
    return RemoteHost(machines(testbed)["upf"])


class SshBed:
    """The test bed `ssh`."""

    n3_is_ours = False
    upf_cpus: tuple[int, ...] = ()

    def __init__(self, testbed: Mapping[str, Any]) -> None:
        """`testbed` is that section of the configuration, with `machines`."""
        self._machines = machines(testbed)
        self.ran, self.upf, self.dn = (RemoteHost(machine) for machine in self._machines.values())
        self.meters = self.upf
        self.ue_address, self.dn_address = "", self._machines["dn"].address_n6
        self.n3_device = self._machines["upf"].n3
        self._clocks: list[dict[str, dict[str, int]]] = []
        self._limited = False
        self._undo = ExitStack()

    def __enter__(self) -> Self:
        """Connect; find the UE's address and its PDU session. Raises UserError when one of it is not there."""
        with ExitStack() as undo:
            for host in (self.ran, self.upf, self.dn):
                undo.enter_context(host)
            self.ue_address = ue_address(self.ran, self._machines["ran"])
            self.uplink = self._find_uplink()
            self._clocks = [self._offsets()]
            self._undo = undo.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._undo.__exit__(kind, error, trace)

    def limit_n3(self, rate_mbit_s: float | None) -> None:
        """As Bed.limit_n3: by tbf at the RAN's N3. Raises UserError when that device has a discipline of its own."""
        device = self._machines["ran"].n3
        if rate_mbit_s is None:
            if self._limited:
                _checked(self.ran, ["tc", "qdisc", "del", "dev", device, "root"])
                self._limited = False
            return
        if not self._limited:
            present = _json(self.ran, ["tc", "-json", "qdisc", "show", "dev", device, "root"])
            foreign = {each["kind"] for each in present} - _REPLACEABLE
            if foreign:
                raise UserError(
                    f"{device} of ran has a queueing discipline of its own ({', '.join(foreign)}), which stays",
                    "set testbed.n3_rate_mbit_s to null",
                )
            # Where the limit has been lifted by then, there is nothing to delete, and tc says so.
            self.ran.afterwards(["sh", "-c", 'tc qdisc del dev "$1" root 2>/dev/null; true', "sh", device])
            self._limited = True
        shape = ["rate", f"{round(rate_mbit_s * 1000)}kbit", "burst", str(TBF_BURST_BYTES), "latency", TBF_LATENCY]
        _checked(self.ran, ["tc", "qdisc", "replace", "dev", device, "root", "tbf", *shape])

    def facts(self) -> dict[str, Any]:
        """As Bed.facts. The clocks' offsets to this machine are measured at the start and now."""
        return {
            "kind": "ssh",
            "hosts": {role: machine.address for role, machine in self._machines.items()},
            "n3_devices": {role: self._machines[role].n3 for role in ("ran", "upf")},
            "ue_address": self.ue_address,
            "dn_address": self.dn_address,
            "gtpu": {"uplink_teids": list(self.uplink.teids)},
            "clock_offsets_ns": [*self._clocks, self._offsets()],
        }

    def _offsets(self) -> dict[str, dict[str, int]]:
        return {host.role: vars(host.clock_offset()) for host in (self.ran, self.upf, self.dn)}

    def _find_uplink(self) -> Uplink:
        """Send from the UE, and see by which tunnel that comes to the UPF, and how it goes on to the data network."""
        with (
            TemporaryDirectory() as work,
            tap.tapped(self.upf, self.n3_device, self.ue_address, Path(work, "tap.log")) as seen,
        ):
            sent = self.ran.run([self.ran.python, "-c", _PROBE, self.ue_address, self.dn_address])
        if sent.returncode:
            why = (sent.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise UserError(
                f"the UE cannot send from {self.ue_address} to {self.dn_address}: {why}",
                f"see testbed.machines.ran.ue and dn.address_n6; {_SEE_PROVISION}",
            )
        teids = [int(name.split()[2], 16) for name in seen if name.startswith("uplink teid")]
        if not teids:
            raise UserError(
                f"what the UE ({self.ue_address}) sends to {self.dn_address} is not seen as GTP-U on "
                f"{self.n3_device} of upf; seen there: {dict(seen) or 'nothing'}",
                f"check the PDU session, and that testbed.machines.upf.n3 is the right device; {_SEE_PROVISION}",
            )
        route = _json(self.upf, ["ip", "-json", "route", "get", self.dn_address])[0]
        return Uplink(route["dev"], route.get("gateway", self.dn_address), sorted(set(teids)))


def ue_address(ran: Host, machine: Machine) -> str:
    """The UE's IPv4 address: as the inventory has it, or that of the tunnel's device. Raises UserError without one."""
    with contextlib.suppress(ValueError):
        return str(ipaddress.IPv4Address(machine.ue))
    links = _json(ran, ["ip", "-json", "-4", "address", "show"])
    found = [a["local"] for link in links if link["ifname"] == machine.ue for a in link["addr_info"]]
    if not found:
        there = ", ".join(link["ifname"] for link in links)
        raise UserError(
            f"testbed.machines.ran.ue: {machine.ue} is no device with an IPv4 address on ran, which has {there}",
            "establish the PDU session (UERANSIM's nr-ue makes uesimtun0), or name its device, or the UE's address",
        )
    return str(found[0])


def _checked(host: Host, argv: Sequence[str]) -> str:
    done = host.run(argv)
    if done.returncode:
        raise UserError(f"{host.role}: {' '.join(argv)}: {done.stderr.strip()[-500:]}", _SEE_PROVISION)
    return done.stdout


def _json(host: Host, argv: Sequence[str]) -> Any:
    return json.loads(_checked(host, argv) or "[]")
