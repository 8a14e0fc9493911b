"""Check that every machine of the test bed is fit for the experiment, and record what it is.

In: the hosts of the test bed (roles.py), each a way to run a command there and the checks that it has to pass. Out: a
`Findings`: what was found, what is wanted, a verdict and a remedy. No check assumes that a host is this machine: files
are read through `cat`, and what the kernel can do is tried by a program (bpf/abilities.py) that is started on the host.
Nothing on a machine is changed.
"""

from __future__ import annotations

from collections.abc import Iterable

from upfml.provision.checkedhost import CheckedHost, Runner, run_here
from upfml.provision.finding import Finding, Findings, Verdict
from upfml.provision.machine import IDLE_WANTED_PCT, idle_pct
from upfml.provision.roles import HERE, hosts

__all__ = [
    "HERE",
    "IDLE_WANTED_PCT",
    "CheckedHost",
    "Finding",
    "Findings",
    "Runner",
    "Verdict",
    "check",
    "hosts",
    "idle_pct",
    "run_here",
]  # fmt: skip


def check(hosts: Iterable[CheckedHost]) -> Findings:
    """Check every host."""
    return Findings(tuple(finding for host in hosts for finding in host.findings()))
