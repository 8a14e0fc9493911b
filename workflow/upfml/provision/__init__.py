"""Checks that every machine of the test bed is fit for the experiment. They change nothing on a machine.

In: the hosts of the test bed with their checks (roles.py). Out: Findings: what was found, what is wanted, a verdict and
a remedy. A check works on any host, not only on this machine: it reads files through `cat`, and it starts
bpf/abilities.py on the host to try what the kernel can do. It imports base, bpf and testbed.
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
