"""Has the UPF its CPUs to itself? Where the XDP program ran, by its own count for each CPU, and what else ran there."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from upfml.base.errors import UserError
from upfml.bpf.switches import Tenancy
from upfml.run.agentprocess import AgentProcess
from upfml.run.meter import MeterProcess

log = logging.getLogger(__name__)

ELSEWHERE_BOUND_PCT = 1.0
"""A run does not begin when more of the packets were received on other CPUs than the UPF's."""
_NOTED_PCT = 0.1
"""Of the UPF's CPU time: who had less is not listed."""
_FOREIGN_BOUND_PCT = 1.0
_IDLE = 0


def check(
    upf_cpus: Sequence[int], meter: MeterProcess, agent: AgentProcess, settle: Callable[[], None]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Attach an agent while the traffic settles. Returns what run.json says of it, and the agent's report.

    `upf_cpus` is empty where the UPF has its whole machine, or shares it. Raises UserError when its packets were
    received on other CPUs than its own.
    """
    before, began_s = meter.tenancies(), time.monotonic()
    agent.attach()
    settle()
    after, seconds = meter.tenancies(), time.monotonic() - began_s
    report = agent.detach()
    by_cpu = report["counted_by_cpu"]
    found = {
        "upf_cpus": list(upf_cpus),
        "xdp_counted_by_cpu": by_cpu,
        "ran_there": tenants(before, after, seconds * (len(upf_cpus) or len(by_cpu))),
    }
    if upf_cpus:
        _require_apart(by_cpu, upf_cpus)
        for tenant in found["ran_there"]:
            if tenant["process"] not in (_IDLE, agent.pid) and tenant["share_pct"] > _FOREIGN_BOUND_PCT:
                log.warning("%(name)s (%(process)d) had %(share_pct).1f%% of the UPF's CPUs", tenant)
    return found, report


def _require_apart(by_cpu: Sequence[int], upf_cpus: Sequence[int]) -> None:
    elsewhere = {cpu: count for cpu, count in enumerate(by_cpu) if cpu not in upf_cpus and count}
    share_pct = 100 * sum(elsewhere.values()) / max(1, sum(by_cpu))
    if share_pct > ELSEWHERE_BOUND_PCT:
        where = ", ".join(f"{count} on CPU {cpu}" for cpu, count in elsewhere.items())
        raise UserError(
            f"XDP ran outside the UPF's CPUs for {share_pct:.1f} % of what it counted ({where})",
            "see whether another program changes RPS, or share the CPUs with testbed.cpus: []",
        )


def tenants(before: Sequence[Tenancy], after: Sequence[Tenancy], cpu_s: float) -> list[dict[str, Any]]:
    """Who had a share of `cpu_s` seconds of CPUs between two lists of `Meter.tenancies`, the largest first.

    Interrupts, and so softirq, count for whom they interrupted. Process 0 is the idle CPU.
    """
    ran_ns: Counter[int] = Counter()
    switches: Counter[int] = Counter()
    names: dict[int, str] = {}
    for each, sign in [*((t, -1) for t in before), *((t, 1) for t in after)]:
        ran_ns[each.process] += sign * each.ran_ns
        switches[each.process] += sign * each.switches
        names[each.process] = "idle" if each.process == _IDLE else each.name
    shares = {process: 100 * ns / 1e9 / cpu_s for process, ns in ran_ns.most_common()}
    return [
        {"name": names[process], "process": process, "share_pct": round(share, 2), "switches": switches[process]}
        for process, share in shares.items()
        if share >= _NOTED_PCT
    ]
