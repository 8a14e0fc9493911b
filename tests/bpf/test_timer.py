"""The clock is timed everywhere that times are taken."""

from __future__ import annotations

from upfml.studies import timer


def test_a_reading_takes_time_but_not_much() -> None:
    found = timer.measure()
    assert set(found) == {"kernel_ns", "native_ns", "python_ns"}
    assert all(1 < ns < 10_000 for ns in found.values())
