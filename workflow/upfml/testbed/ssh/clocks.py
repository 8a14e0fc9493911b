"""How far a machine's clocks are from ours: Cristian's algorithm (1989)."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

CLOCK_ROUND_TRIPS = 20


@dataclass(frozen=True)
class ClockOffset:
    """How far a host's clocks are ahead of this machine's, in nanoseconds, give or take `uncertainty_ns`."""

    realtime_ns: int
    monotonic_ns: int
    uncertainty_ns: int


async def compare(ask: Callable[[], Awaitable[Mapping[str, Any]]]) -> ClockOffset:
    """`ask` brings the machine's clocks, and what ours read when the answer was heard (heard_…_ns).

    The answer is taken for the middle of a round trip, the shortest of CLOCK_ROUND_TRIPS; so the offset is off by half
    of that at most.
    """
    best: ClockOffset | None = None
    for _ in range(CLOCK_ROUND_TRIPS):
        realtime_before_ns, before_ns = time.time_ns(), time.monotonic_ns()
        there = await ask()
        realtime_after_ns, after_ns = there["heard_realtime_ns"], there["heard_monotonic_ns"]
        half_ns = (after_ns - before_ns + 1) // 2
        if best is None or half_ns < best.uncertainty_ns:
            best = ClockOffset(
                there["realtime_ns"] - (realtime_before_ns + realtime_after_ns) // 2,
                there["monotonic_ns"] - (before_ns + after_ns) // 2,
                half_ns,
            )
    assert best is not None
    return best
