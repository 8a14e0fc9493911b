"""The definition of windows and features as it runs, against the reference and against windows computed by hand."""

from __future__ import annotations

from itertools import accumulate

from hypothesis import given
from hypothesis import strategies as st

from upfml.packets.features import IAT_MAX, WINDOW_IATS_MAX, ClosedWindow, Definition, Flow, no_overflows
from upfml.reference import windows as reference

DEFINITION = Definition(500_000_000, 1_000)


def run(times_ns: list[int], *, every_packet: bool = False) -> list[ClosedWindow]:
    flow, found = Flow(times_ns[0], no_overflows()), []
    for t_ns in times_ns[1:]:
        closed = flow.packet(t_ns, max(t_ns - flow.last_ns, 0), DEFINITION)
        subject = flow.running() if every_packet else closed
        if subject is not None:
            found.append(subject)
    return found


def subjects(times_ns: list[int], when: str) -> list[ClosedWindow]:
    return [ClosedWindow(*subject[1:]) for subject in reference.of_flow(times_ns, DEFINITION, when)]


@given(st.lists(st.integers(-1_000_000_000, 2_000_000_000), min_size=1, max_size=80), st.integers(2**40, 2**50))
def test_is_the_reference(gaps_ns: list[int], start_ns: int) -> None:
    times = list(accumulate(gaps_ns, initial=start_ns))
    assert run(times) == subjects(times, "window")
    assert run(times, every_packet=True) == subjects(times, "packet")


def test_hand_made_windows() -> None:
    ms = 1_000_000
    times = [0, 100 * ms, 300 * ms, 600 * ms, 700 * ms, 1_100 * ms]
    # window 0: 100, 200 ms; window 1: 300, 100 ms; the packet at 1,100 ms closes it
    assert run(times) == subjects(times, "window") == [ClosedWindow(1, 2, (200_000, 100_000**2, 150_000, 50_000**2))]
    previous = (150_000, 50_000**2)
    assert subjects(times, "packet") == [
        ClosedWindow(1, 1, (300_000, 0, *previous)),
        ClosedWindow(1, 2, (200_000, 100_000**2, *previous)),
        ClosedWindow(2, 1, (400_000, 0, 200_000, 100_000**2)),
    ]


def test_empty_windows_are_skipped() -> None:
    ms = 1_000_000
    times = [0, 100 * ms, 2_600 * ms, 2_700 * ms, 3_100 * ms]
    assert [(window.window, window.features[2:4]) for window in run(times)] == [(5, (100_000, 0))]


def test_a_long_silence_counts_as_the_longest_iat() -> None:
    hour = 3_600 * 10**9
    times = [0, 1_000_000, hour, hour + 1_000_000_000]
    (window,) = run(times)
    assert window.features[:2] == (IAT_MAX, 0)
    assert subjects(times, "window") == [window]


def test_what_overflows_is_counted() -> None:
    overflows = no_overflows()
    flow = Flow(0, overflows)
    for packet in range(1, WINDOW_IATS_MAX + 11):
        flow.packet(packet, 1, DEFINITION)
    flow.packet(20 * 10**9, 20 * 10**9 - WINDOW_IATS_MAX - 10, DEFINITION)
    assert overflows == {"iat_left_out": 10, "iat_clamped": 1}


def test_nothing_overflows_64_bits_at_the_limits() -> None:
    """The bound that bpf/include/window.h states: n·Σx² and (Σx)² at their largest."""
    longest_window = 5_000_000
    n = WINDOW_IATS_MAX
    squares = IAT_MAX**2 + longest_window**2
    assert n * squares < 2**63
    assert (IAT_MAX + longest_window) ** 2 < 2**63


def test_milliseconds_are_whole() -> None:
    flow = Flow(0, no_overflows())
    definition = Definition(500_000_000, 1_000_000)
    t_ns, closed = 0, None
    while closed is None:
        t_ns += 2_900_000
        closed = flow.packet(t_ns, 2_900_000, definition)
    assert closed.features[:4] == (2, 0, 2, 0)
