"""The definition of windows and features, against the design's words computed the slow way with exact fractions."""

from __future__ import annotations

import math
from collections import defaultdict
from fractions import Fraction
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from upfml.features import IAT_MAX, WINDOW_IATS_MAX, ClosedWindow, Definition, Flow

DEFINITION = Definition(500_000_000, 1_000)


def run(times_ns: list[int]) -> list[ClosedWindow]:
    flow, last_ns, closed = Flow(times_ns[0]), times_ns[0], []
    for t_ns in times_ns[1:]:
        window = flow.packet(t_ns, t_ns - last_ns, DEFINITION)
        last_ns = t_ns
        if window is not None:
            closed.append(window)
    return closed


def by_definition(times_ns: list[int]) -> list[tuple[int, tuple[int, ...]]]:
    """Every classifiable window, from the whole trace at once."""
    iats = defaultdict(list)
    for before, t_ns in pairwise(times_ns):
        window = (t_ns - times_ns[0]) // DEFINITION.window_ns
        iats[window].append(min((t_ns - before) // DEFINITION.iat_unit_ns, IAT_MAX))
    last = (times_ns[-1] - times_ns[0]) // DEFINITION.window_ns
    statistics = {}
    for window, values in sorted(iats.items()):
        mean = Fraction(sum(values), len(values))
        variance = sum((value - mean) ** 2 for value in values) / len(values)
        statistics[window] = (math.floor(mean), math.floor(variance))
    windows = [window for window in statistics if window < last]  # the running one has not closed
    return [(window, statistics[window] + statistics[previous]) for previous, window in pairwise(windows)]


@given(st.lists(st.integers(0, 2_000_000_000), min_size=1, max_size=80), st.integers(0, 2**50))
def test_is_what_the_design_says(gaps_ns: list[int], start_ns: int) -> None:
    times = [start_ns]
    for gap in gaps_ns:
        times.append(times[-1] + gap)
    assert [(window.window, window.features) for window in run(times)] == by_definition(times)


def test_hand_made_windows() -> None:
    ms = 1_000_000
    times = [0, 100 * ms, 300 * ms, 600 * ms, 700 * ms, 1_100 * ms]
    # window 0: 100, 200 ms; window 1: 300, 100 ms; the packet at 1,100 ms closes it
    assert run(times) == [ClosedWindow(1, 2, (200_000, 100_000**2, 150_000, 50_000**2))]


def test_empty_windows_are_skipped() -> None:
    ms = 1_000_000
    times = [0, 100 * ms, 2_600 * ms, 2_700 * ms, 3_100 * ms]
    assert [(window.window, window.features[2:]) for window in run(times)] == [(5, (100_000, 0))]


def test_a_long_silence_counts_as_the_longest_iat() -> None:
    hour = 3_600 * 10**9
    times = [0, 1_000_000, hour, hour + 1_000_000_000]
    (window,) = run(times)
    assert window.features[:2] == (IAT_MAX, 0)


def test_nothing_overflows_64_bits_at_the_limits() -> None:
    """The bound that bpf/include/window.h states: n·Σx² and (Σx)² at their largest."""
    longest_window = 5_000_000
    n = WINDOW_IATS_MAX
    squares = IAT_MAX**2 + longest_window**2
    assert n * squares < 2**63
    assert (IAT_MAX + longest_window) ** 2 < 2**63


def test_milliseconds_are_whole() -> None:
    flow = Flow(0)
    definition = Definition(500_000_000, 1_000_000)
    t_ns, closed = 0, None
    while closed is None:
        t_ns += 2_900_000
        closed = flow.packet(t_ns, 2_900_000, definition)
    assert closed.features == (2, 0, 2, 0)
