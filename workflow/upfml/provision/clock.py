"""Checks that the machines' clocks agree, because times of the generators are compared with times of the UPF."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from upfml.provision.checkedhost import CheckedHost
from upfml.provision.finding import Finding

if TYPE_CHECKING:
    from upfml.testbed.ssh.clocks import ClockOffset

OFFSET_WANTED_MS = 50.0
_REMEDY = "let chrony or systemd-timesyncd set all clocks from one server (`timedatectl set-ntp true`)"


def synchronised(host: CheckedHost) -> Iterator[Finding]:
    """Whether something keeps the clock right, as systemd or chrony says."""
    by_systemd = host.ask("timedatectl", "show", "--property=NTPSynchronized", "--value")
    chrony = host.ask("chronyc", "-c", "tracking")
    # The last field of chronyc's CSV is the leap status.
    by_chrony = None if chrony is None else chrony.rpartition(",")[2] != "Not synchronised"
    said = [f"systemd: {by_systemd}"] if by_systemd else []
    said += [] if by_chrony is None else [f"chrony: {'yes' if by_chrony else 'no'}"]
    ok = by_systemd == "yes" or by_chrony is True
    found = ", ".join(said) or "neither timedatectl nor chronyc answers"
    yield host.finding("clock synchronised", found, "yes", ok, _REMEDY, "warning")


def near(host: CheckedHost, offset: ClockOffset) -> Iterator[Finding]:
    """How far the machine's clock is from this one's."""
    ahead_ms, uncertainty_ms = offset.realtime_ns / 1e6, offset.uncertainty_ns / 1e6
    # The uncertainty of the measurement does not count against the machine.
    ok = abs(ahead_ms) - uncertainty_ms <= OFFSET_WANTED_MS
    found = f"{ahead_ms:+.2f} ms, give or take {uncertainty_ms:.2f}"
    yield host.finding("clock against here", found, f"within {OFFSET_WANTED_MS:.0f} ms", ok, _REMEDY)
