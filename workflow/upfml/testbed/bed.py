"""What every test bed is to those who use it, and the one that the configuration names."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Protocol, Self

from upfml.classify.uplink import Uplink
from upfml.testbed import cpus
from upfml.testbed.host import Host
from upfml.testbed.namespaces import Namespaces


class Bed(Protocol):
    """A test bed, there between __enter__ and __exit__, after which nothing of it is left on any machine."""

    @property
    def ran(self) -> Host:
        """UE and gNB."""

    @property
    def upf(self) -> Host:
        """The UPF, whose N3 is observed."""

    @property
    def meters(self) -> Host:
        """The UPF's machine for what measures it: beside the UPF's CPUs, where it has CPUs of its own."""

    @property
    def dn(self) -> Host:
        """The data network."""

    ue_address: str  # IPv4, inside the tunnel
    dn_address: str  # IPv4, on N6
    n3_device: str  # the UPF's
    n3_is_ours: bool  # whether N3 carries nothing but the experiment's traffic
    upf_cpus: tuple[int, ...]  # the UPF's own; empty: all of its machine

    @property
    def uplink(self) -> Uplink:
        """Where the UPF forwards what comes from the UE."""

    def __enter__(self) -> Self:
        """Build it, or connect to it. Raises UserError when that cannot be, or another run uses it."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take it down, with every process on its hosts."""

    def limit_n3(self, rate_mbit_s: float | None) -> None:
        """Shape N3's uplink, or lift the limit with None."""

    def facts(self) -> dict[str, Any]:
        """What provenance records of it."""


def bed_of(testbed: Mapping[str, Any]) -> Bed:
    """The test bed that the configuration's section `testbed` names."""
    if testbed["kind"] == "ssh":
        from upfml.testbed.ssh.bed import SshBed  # asyncssh takes a third of a second to import

        return SshBed(testbed)
    return Namespaces(testbed["prefix"], testbed["ue_mtu_bytes"], cpus.split(testbed["cpus"]))
