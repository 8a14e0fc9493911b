"""Windows and features as the definition words them, for comparison with what runs (features.py, bpf/include/window.h).

Slow and plain: a flow's packets are all there, each window has the list of its IATs, and the statistics are taken from
that list rather than from running sums.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from upfml.packets.features import IAT_MAX, WINDOW_IATS_MAX, Definition


class Subject(NamedTuple):
    """What is classified: a window, or the part of it that has passed, and the packet that called for it."""

    t_packet_ns: int
    window: int
    packets: int
    features: tuple[int, ...]  # in the order of tables.FEATURES


class _Arrival(NamedTuple):
    t_ns: int
    iat: int  # IAT units


def _by_window(times_ns: Sequence[int], definition: Definition) -> dict[int, list[_Arrival]]:
    """Each packet but the first, in its window; one that is earlier than the latest counts as of the latest's time."""
    windows: dict[int, list[_Arrival]] = {}
    clock_ns = times_ns[0]
    for t_ns in times_ns[1:]:
        iat_ns = max(t_ns - clock_ns, 0)
        clock_ns += iat_ns
        window = (clock_ns - times_ns[0]) // definition.window_ns
        windows.setdefault(window, []).append(_Arrival(t_ns, min(iat_ns // definition.iat_unit_ns, IAT_MAX)))
    return windows


def _statistics(arrivals: Sequence[_Arrival]) -> tuple[int, int]:
    """Mean and population variance, each rounded down from the exact rational value.

    The variance is the mean of (x - S/n)^2, which is that of (n*x - S)^2 / n^2, where S is the sum.
    """
    iats = [arrival.iat for arrival in arrivals[:WINDOW_IATS_MAX]]
    n, total = len(iats), sum(iats)
    return total // n, sum((n * x - total) ** 2 for x in iats) // n**3


def _features(arrivals: Sequence[_Arrival], previous: Sequence[_Arrival]) -> tuple[int, ...]:
    return _statistics(arrivals) + _statistics(previous)


def of_flow(times_ns: Sequence[int], definition: Definition, when: str) -> list[Subject]:
    """What is classified in one flow, whose packets arrived at `times_ns`, in the order in which they were seen.

    With `when` "window" each closed window that has a previous one; with "packet" each packet whose window has one.
    """
    windows = _by_window(times_ns, definition)
    if when == "packet":
        return [
            Subject(arrival.t_ns, window, count, _features(windows[window][:count], windows[previous]))
            for previous, window in pairwise(windows)
            for count, arrival in enumerate(windows[window], start=1)
        ]
    return [
        Subject(
            windows[following][0].t_ns,
            window,
            len(windows[window]),
            _features(windows[window], windows[previous]),
        )
        for (previous, window), (_, following) in pairwise(pairwise(windows))
    ]
